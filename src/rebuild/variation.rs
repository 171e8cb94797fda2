//! The variation matrix: what differs on purpose between the runs of a quorum (gate rule E5).
//!
//! What could differ between honest builders and must not show in the outputs. Time differs by itself;
//! zone, umask, network and `SOURCE_DATE_EPOCH` are fixed, and so is the path unless a policy varies it.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Limits, RebuildError, sbuild};
use crate::host::files;
use crate::site::{Backend, Varied};

/// What a rebuilder varies on purpose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variation {
    /// The host name inside: lower-case letters, digits and `-`.
    pub hostname: String,
    /// The build user's name inside: the same grammar.
    pub user: String,
    /// Its numeric id inside: 1000 to 60000.
    pub uid: u32,
    /// `parallel=` of `DEB_BUILD_OPTIONS`.
    pub parallel: u32,
    /// `LC_ALL`: `C.UTF-8` or `C`, which every chroot has.
    pub locale: String,
    /// The folder below `/build` that it happens in: the same grammar as host names.
    pub place: String,
    /// The order in which folders list their files.
    pub file_order: FileOrder,
}

/// Where the build folder is, and so in which order it lists its files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileOrder {
    /// On disk: as that file system orders them, by a hash of the names on most.
    #[default]
    Disk,
    /// In memory: the newest first.
    Memory,
}

impl FileOrder {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Disk => "disk",
            Self::Memory => "memory",
        }
    }
}

/// What is not varied, and the first line of the matrix.
const FIRST: Line = Line("assay-one", "builder", 1000, 1, "C.UTF-8", PLACE, FileOrder::Disk);
/// As on Debian's own builders.
const PLACE: &str = "reproducible-path";
/// A build in memory needs this much of it to be free, beyond what its processes may take: a quarter of its limit on disk.
const SHARE_IN_MEMORY: u64 = 4;

struct Line(
    &'static str,
    &'static str,
    u32,
    u32,
    &'static str,
    &'static str,
    FileOrder,
);

/// Neighbours differ in everything.
const MATRIX: [Line; 4] = [
    FIRST,
    Line("assay-two", "rebuilder", 2222, 2, "C", "second-path", FileOrder::Memory),
    Line(
        "assay-three",
        "other",
        30_303,
        4,
        "C.UTF-8",
        "third-path",
        FileOrder::Disk,
    ),
    Line("assay-four", "another", 4444, 3, "C", "fourth-path", FileOrder::Memory),
];

/// How many different runs there are before they begin again.
pub const VARIATIONS: usize = MATRIX.len();

impl Variation {
    /// The variation of the `n`-th run for one declaration, counted from 0, in what `vary` names; and in parallelism, which the
    /// gate's rule E5 asks for whatever a policy varies.
    #[must_use]
    pub fn of_run(n: usize, vary: &[Varied]) -> Self {
        let line = MATRIX.iter().cycle().nth(n % MATRIX.len()).unwrap_or(&FIRST);
        let of = |what: Varied| if vary.contains(&what) { line } else { &FIRST };
        Self {
            hostname: of(Varied::Hostname).0.to_owned(),
            user: of(Varied::User).1.to_owned(),
            uid: of(Varied::User).2,
            parallel: line.3,
            locale: of(Varied::Locale).4.to_owned(),
            place: of(Varied::Path).5.to_owned(),
            file_order: of(Varied::FileOrder).6,
        }
    }

    /// What a backend makes of it on this machine, and of the limits: sbuild names host and user itself, and a
    /// machine that has too little memory free builds on disk.
    ///
    /// # Errors
    /// When the machine does not tell what it must.
    pub fn fitting(mut self, backend: Backend, limits: &Limits) -> Result<(Self, Limits), RebuildError> {
        if backend == Backend::Sbuild {
            return sbuild::effective(self, limits);
        }
        let wanted = limits.memory.saturating_add(limits.disk / SHARE_IN_MEMORY);
        if self.file_order == FileOrder::Memory && memory_free()? < wanted {
            self.file_order = FileOrder::Disk;
        }
        Ok((self, *limits))
    }
}

/// In bytes.
fn memory_free() -> Result<u64, RebuildError> {
    let text = files::read(Path::new("/proc/meminfo"), 64 << 10)?;
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    Ok(kib.unwrap_or_default().saturating_mul(1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_differ_in_everything() {
        for n in 0..8 {
            let of = |n| Variation::of_run(n, Varied::ALL);
            let (one, next) = (of(n), of(n + 1));
            assert_ne!(one.hostname, next.hostname);
            assert_ne!(one.user, next.user);
            assert_ne!(one.uid, next.uid);
            assert_ne!(one.parallel, next.parallel);
            assert_ne!(one.locale, next.locale);
            assert_ne!(one.place, next.place);
            assert_ne!(one.file_order, next.file_order);
        }
    }

    #[test]
    fn what_a_policy_does_not_vary_stays() {
        let by_default = Variation::of_run(1, &Varied::usual());
        assert_eq!(by_default.place, PLACE, "the path is varied on request only");
        let fixed = Variation::of_run(1, &[Varied::Parallelism]);
        assert_eq!((fixed.parallel, fixed.hostname.as_str()), (2, FIRST.0));
        assert_eq!(fixed.file_order, FileOrder::Disk);
        assert_eq!(Variation::of_run(1, &[Varied::Path]).parallel, 2, "rule E5 asks for it");
    }
}
