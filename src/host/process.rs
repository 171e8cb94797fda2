//! Which process this is, and whether another one of this machine still runs.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{HostError, files};

const LARGEST: u64 = 64 << 10;

/// Has a program lead a group of its own, to which all belongs that it starts.
pub(super) fn lead_a_group(command: &mut std::process::Command) {
    use std::os::unix::process::CommandExt as _;
    command.process_group(0);
}

/// Kills such a group, as far as it is still there.
pub(super) fn end_group(leader: u32) {
    use rustix::process::{Pid, Signal, kill_process_group};
    let leader = i32::try_from(leader).ok().and_then(Pid::from_raw);
    let _ = leader.map(|leader| kill_process_group(leader, Signal::KILL));
}

/// The number of the user that this process acts as.
pub(super) fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// A process, named so that no other one, now or later, has the name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Process {
    /// The machine's host name, for people.
    pub host: String,
    /// The kernel that runs it, since it was started, and its own view of process ids.
    pub kernel: String,
    /// Its number.
    pub pid: u32,
    /// When it was started, in the kernel's ticks: numbers come again.
    pub started: u64,
}

/// What is known of another process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// It runs.
    Runs,
    /// It has ended.
    Ended,
    /// It is of another machine or container: it cannot be seen from here.
    Elsewhere,
}

impl Process {
    /// This process.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn current() -> Result<Self, HostError> {
        let pid = std::process::id();
        let boot = text(Path::new("/proc/sys/kernel/random/boot_id"))?;
        let space = files::link_target(Path::new("/proc/self/ns/pid"))?;
        Ok(Self {
            host: text(Path::new("/proc/sys/kernel/hostname"))?,
            kernel: format!("{boot} {}", space.display()),
            pid,
            started: started(pid)?.unwrap_or_default(),
        })
    }

    /// Whether a process still runs, as far as this one can see.
    #[must_use]
    pub fn life(&self, other: &Self) -> Life {
        if other.kernel != self.kernel {
            return Life::Elsewhere;
        }
        match started(other.pid) {
            Ok(Some(started)) if started == other.started => Life::Runs,
            Ok(_) => Life::Ended,
            Err(_) => Life::Elsewhere,
        }
    }
}

/// What names of temporary files begin with.
const TEMPORARY: &str = "assay-";
/// The digits that a name has of the kernel that its owner runs on.
const KERNEL_DIGITS: usize = 8;

impl Process {
    /// What the name of a temporary file or folder of this process begins with: it says whose it is from the instant
    /// that it is there.
    pub(super) fn temporary(&self) -> String {
        format!("{TEMPORARY}{}-{}-{}-", self.pid, self.started, self.kernel_digits())
    }

    /// Whose a temporary file is, by its name; none when the name does not say, or is no such name.
    pub(super) fn owner_of(&self, name: &str) -> Option<Owner> {
        let rest = name.strip_prefix('.').unwrap_or(name).strip_prefix(TEMPORARY)?;
        let mut parts = rest.split('-');
        let named = (|| Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?)))();
        let Some((pid, started, kernel)) = named else {
            return Some(Owner::Unknown);
        };
        if kernel != self.kernel_digits() {
            return Some(Owner::Unknown);
        }
        let owner = Self {
            pid,
            started,
            ..self.clone()
        };
        Some(match self.life(&owner) {
            Life::Ended => Owner::Dead,
            Life::Runs => Owner::Lives,
            Life::Elsewhere => Owner::Unknown,
        })
    }

    fn kernel_digits(&self) -> String {
        let hash = crate::domain::Sha256::of(self.kernel.as_bytes()).hex();
        hash.chars().take(KERNEL_DIGITS).collect()
    }
}

/// Whether the process lives that made a temporary file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    Lives,
    Dead,
    /// It is of another machine, container or start of the machine, or does not say.
    Unknown,
}

impl std::fmt::Display for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "process {} on {}", self.pid, self.host)
    }
}

/// When a process was started; none when there is none of this number, or only its remains.
fn started(pid: u32) -> Result<Option<u64>, HostError> {
    let path = PathBuf::from(format!("/proc/{pid}/stat"));
    if !files::exists(&path) {
        return Ok(None);
    }
    let stat = text(&path)?;
    // The name, in parentheses, may have anything in it: fields are counted after its end.
    let fields: Vec<&str> = stat
        .rsplit_once(')')
        .map_or("", |(_, rest)| rest)
        .split_whitespace()
        .collect();
    let is_dead = fields.first().is_some_and(|state| matches!(*state, "Z" | "X"));
    Ok(fields.get(19).filter(|_| !is_dead).and_then(|ticks| ticks.parse().ok()))
}

fn text(path: &Path) -> Result<String, HostError> {
    let bytes = files::read(path, LARGEST)?;
    Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_living_and_the_dead_are_told_apart() -> Result<(), HostError> {
        let own = Process::current()?;
        assert_eq!(own.life(&own), Life::Runs);
        let reborn = Process {
            started: own.started + 1,
            ..own.clone()
        };
        assert_eq!(own.life(&reborn), Life::Ended, "its number came again");
        let nobody = Process {
            pid: u32::MAX,
            ..own.clone()
        };
        assert_eq!(own.life(&nobody), Life::Ended);
        let owner = |process: &Process| own.owner_of(&format!(".{}x1Y2z3", process.temporary()));
        assert_eq!(owner(&own), Some(Owner::Lives));
        assert_eq!(owner(&reborn), Some(Owner::Dead));
        assert_eq!(own.owner_of("assay-x1Y2z3"), Some(Owner::Unknown), "an older name");
        assert_eq!(own.owner_of("assay.sources"), None);
        let other = Process {
            kernel: "other".to_owned(),
            ..own.clone()
        };
        assert_eq!(own.life(&other), Life::Elsewhere);
        Ok(())
    }
}
