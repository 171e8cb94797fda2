//! What the rebuilds of a quorum must differ in (rule E5). Who asks for more rebuilds goes by the same.

use std::collections::BTreeSet;
use std::fmt;

use crate::site::Varied;

use super::evidence::RecordEvidence;

/// What rebuilds had to differ in, and did not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unvaried {
    /// When they began and ended.
    Time,
    /// `parallel=` of `DEB_BUILD_OPTIONS`.
    Parallelism,
    /// The host name.
    Hostname,
    /// The build user.
    User,
    /// Where the source was.
    Path,
}

impl fmt::Display for Unvaried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Time => "time",
            Self::Parallelism => "parallelism",
            Self::Hostname => "host name",
            Self::User => "user",
            Self::Path => "build path",
        })
    }
}

/// The first thing that all of these records have in common, and must not under a policy that varies this.
#[must_use]
pub fn unvaried(records: &[&RecordEvidence], vary: &[Varied]) -> Option<Unvaried> {
    fn same<T: Ord>(records: &[&RecordEvidence], of: impl Fn(&RecordEvidence) -> T) -> bool {
        records.iter().map(|record| of(record)).collect::<BTreeSet<T>>().len() < 2
    }
    let varied = |what| vary.contains(&what);
    let checks = [
        (
            Unvaried::Time,
            true,
            same(records, |record| (record.started_on, record.finished_on)),
        ),
        (Unvaried::Parallelism, true, same(records, |record| record.parallel)),
        (
            Unvaried::Hostname,
            varied(Varied::Hostname),
            same(records, |record| record.hostname.clone()),
        ),
        (
            Unvaried::User,
            varied(Varied::User),
            same(records, |record| record.user.clone()),
        ),
        (
            Unvaried::Path,
            varied(Varied::Path),
            same(records, |record| record.build_path.clone()),
        ),
    ];
    let broken = checks.into_iter().find(|(_, demanded, same)| *demanded && *same);
    broken.map(|(what, ..)| what)
}
