//! Which process this is, and whether another one of this machine still runs.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{HostError, files};

const LARGEST: u64 = 64 << 10;

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
        let other = Process {
            kernel: "other".to_owned(),
            ..own.clone()
        };
        assert_eq!(own.life(&other), Life::Elsewhere);
        Ok(())
    }
}
