//! Why the gate could not carry out a decision, or read what it should decide on. A refusal is no
//! error: it is a decision.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::admission::{AdmissionError, LedgerEntry};
use crate::domain::{ArchiveName, Coded, Digest, Kind, PackageName, Sha256, SuiteName};
use crate::format::FormatError;
use crate::host::HostError;
use crate::index::IndexError;
use crate::rebuild::RebuildError;
use crate::site::ArchiveKind;
use crate::snapshot::SnapshotError;
use crate::store::{Key, StoreError};

use super::{PublishError, Unfetched};

/// What the gate's edge cannot do.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// The store failed, or an object is missing.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The archive's records are not in order.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The snapshot was made, and could not be published.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The packages cannot be indexed.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// Evidence that is not what it says.
    #[error(transparent)]
    Admission(#[from] AdmissionError),
    /// A kept document is malformed.
    #[error("`{key}`: {source}")]
    Document {
        /// Which.
        key: String,
        /// What is wrong with it.
        source: FormatError,
    },
    /// A kept object is not the one that its name says.
    #[error("`{key}` has the SHA-256 {found}")]
    Swapped {
        /// Which.
        key: Key,
        /// What it has.
        found: Sha256,
    },
    /// A pool file is there with other bytes.
    #[error("`{key}` is already in the pool as {found}, and was admitted as {expected}")]
    Pool {
        /// Which.
        key: Key,
        /// What was admitted.
        expected: Sha256,
        /// What is there.
        found: Digest,
    },
    /// Somebody else claimed the same name and version while this was decided.
    #[error("{} was claimed with other bytes while this was decided", entry.key)]
    Claimed {
        /// The claim that came too late.
        entry: Box<LedgerEntry>,
    },
    /// What the archive must never forget is not what its newest record says.
    #[error("{what} is kept as {held}, and the newest snapshot remembers {said}")]
    Forgotten {
        /// Which claim or entry.
        what: String,
        /// What the store has.
        held: Box<Sha256>,
        /// What the record remembers.
        said: Box<Sha256>,
    },
    /// Somebody else admitted something meanwhile that this may not follow.
    #[error("something else was admitted while this was decided ({rule}: {why})")]
    Overtaken {
        /// The rule that refuses it now.
        rule: String,
        /// What was found.
        why: String,
    },
    /// A decision that the gate did not sign.
    #[error("`{key}`: {why}")]
    Unsigned {
        /// Which.
        key: Key,
        /// What is wrong.
        why: String,
    },
    /// A decision that does not name all that it was made on, or that was made by another program.
    #[error("`{key}` cannot be made again: {why}")]
    NotRepeatable {
        /// Which.
        key: Key,
        /// Why.
        why: String,
    },
    /// Something would go to a suite that there is not.
    #[error("the archive `{archive}` has no suite `{suite}`")]
    NoSuite {
        /// The archive.
        archive: ArchiveName,
        /// The suite.
        suite: SuiteName,
    },
    /// The site calls the archive another kind than its records were made as.
    #[error("the suite `{suite}` of `{archive}` was made as that of an archive of kind `{}`, and stays that", made.as_str())]
    OtherKind {
        /// The archive.
        archive: ArchiveName,
        /// The suite.
        suite: SuiteName,
        /// What it was made as.
        made: ArchiveKind,
    },
    /// A source package that a suite has not, and never had removed.
    #[error("the suite `{suite}` has no source package `{source_package}`")]
    NotThere {
        /// The suite.
        suite: SuiteName,
        /// The source package.
        source_package: PackageName,
    },
    /// What a release has would be replaced or removed.
    #[error("`{0}` is the suite of a release: what it has stays")]
    Released(SuiteName),
    /// What a builder hands in is not an answer to a nonce of ours.
    #[error("`{}` is not taken: {why}", folder.display())]
    Answer {
        /// Where it is.
        folder: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// What a builder hands in was made as another run than it was asked for: it would not vary what it has to.
    #[error("`{}` is not taken: its nonce is for run {run}, and it was built with the {what} of another", folder.display())]
    Run {
        /// Where it is.
        folder: PathBuf,
        /// Which run was asked for.
        run: u32,
        /// What is not as in that.
        what: &'static str,
    },
    /// A link that no observer of the policy signed.
    #[error("the link is not kept: {why}")]
    Link {
        /// What is wrong.
        why: String,
    },
    /// A round of blind rebuilds that the gate did not sign.
    #[error("`{key}` is no round of the gate's: {why}")]
    Round {
        /// Which.
        key: Key,
        /// What is wrong.
        why: String,
    },
    /// A decision that the gate signed, and that is not in the store any more.
    #[error("the decision {decision} on `{source_package}` is gone, which {by} names")]
    Dropped {
        /// The archive.
        archive: ArchiveName,
        /// Which.
        decision: Box<Sha256>,
        /// The source package.
        source_package: PackageName,
        /// Who knows of it.
        by: String,
    },
    /// The selection of a mirror does not fit what upstream has.
    #[error("`[select]` {}", unfit(absent, unmet))]
    Selection {
        /// What it names and upstream does not have.
        absent: BTreeSet<String>,
        /// What chosen packages need and nothing satisfies.
        unmet: BTreeSet<String>,
    },
    /// An answer that cannot be read.
    #[error(transparent)]
    Rebuild(#[from] RebuildError),
    /// A folder beside the store could not be read or written.
    #[error(transparent)]
    Host(#[from] HostError),
    /// A snapshot has not what is to be imported, or not as one thing.
    #[error("nothing is imported: {why}")]
    NotImportable {
        /// What is wrong.
        why: String,
    },
    /// A file that is to be imported did not come.
    #[error("nothing is imported: {0}")]
    Unfetched(#[from] Unfetched),
    /// Other writers were faster each time.
    #[error("other writers were faster {0} times")]
    Busy(u32),
}

/// All of what a selection lacks.
fn unfit(absent: &BTreeSet<String>, unmet: &BTreeSet<String>) -> String {
    let list = |said: &BTreeSet<String>, by: &str| said.iter().cloned().collect::<Vec<_>>().join(by);
    let names = || format!("names what upstream does not have: {}", list(absent, ", "));
    let needs = || format!("chooses what nothing satisfies: {}", list(unmet, "; "));
    let (absent, unmet) = ((!absent.is_empty()).then(names), (!unmet.is_empty()).then(needs));
    absent.into_iter().chain(unmet).collect::<Vec<_>>().join("; and ")
}

impl GateError {
    pub(super) fn document(key: impl ToString) -> impl FnOnce(FormatError) -> Self {
        let key = key.to_string();
        move |source| Self::Document { key, source }
    }

    pub(super) fn forgotten(what: &impl ToString, held: &Sha256, said: &Sha256) -> Self {
        Self::Forgotten {
            what: what.to_string(),
            held: Box::new(*held),
            said: Box::new(*said),
        }
    }
}

impl Coded for GateError {
    fn code(&self) -> &'static str {
        match self {
            Self::Store(error) => error.code(),
            Self::Snapshot(error) => error.code(),
            Self::Publish(error) => error.code(),
            Self::Index(error) => error.code(),
            Self::Admission(error) => error.code(),
            Self::Document { .. } => "E-GATE-101",
            Self::Swapped { .. } => "E-GATE-102",
            Self::Pool { .. } => "E-GATE-103",
            Self::Claimed { .. } => "E-GATE-104",
            Self::Busy(_) => "E-GATE-105",
            Self::Overtaken { .. } => "E-GATE-106",
            Self::Unsigned { .. } => "E-GATE-107",
            Self::NotRepeatable { .. } => "E-GATE-108",
            Self::NoSuite { .. } => "E-GATE-109",
            Self::NotThere { .. } => "E-GATE-110",
            Self::OtherKind { .. } => "E-GATE-115",
            Self::Released(_) => "E-GATE-111",
            Self::Selection { .. } => "E-GATE-112",
            Self::NotImportable { .. } => "E-GATE-113",
            Self::Forgotten { .. } => "E-GATE-114",
            Self::Answer { .. } => "E-GATE-121",
            Self::Link { .. } => "E-GATE-122",
            Self::Round { .. } => "E-GATE-123",
            Self::Dropped { .. } => "E-GATE-124",
            Self::Run { .. } => "E-GATE-125",
            Self::Rebuild(error) => error.code(),
            Self::Host(error) => error.code(),
            Self::Unfetched(error) => error.code(),
        }
    }
    fn kind(&self) -> Kind {
        match self {
            Self::Store(error) => error.kind(),
            Self::Snapshot(error) => error.kind(),
            Self::Publish(error) => error.kind(),
            Self::Index(error) => error.kind(),
            Self::Admission(error) => error.kind(),
            Self::Document { .. }
            | Self::Swapped { .. }
            | Self::Pool { .. }
            | Self::Unsigned { .. }
            | Self::Round { .. }
            | Self::Dropped { .. }
            | Self::Forgotten { .. } => Kind::Verification,
            Self::NoSuite { .. }
            | Self::NotThere { .. }
            | Self::OtherKind { .. }
            | Self::Selection { .. }
            | Self::NotImportable { .. } => Kind::Usage,
            Self::Released(_) | Self::Answer { .. } | Self::Run { .. } | Self::Link { .. } => Kind::Refused,
            Self::Rebuild(error) => error.kind(),
            Self::Host(error) => error.kind(),
            Self::Unfetched(error) => error.kind(),
            Self::NotRepeatable { .. } => Kind::Unknown,
            Self::Claimed { .. } | Self::Overtaken { .. } | Self::Busy(_) => Kind::Conflict,
        }
    }
    fn hint(&self) -> Option<String> {
        match self {
            Self::Store(error) => error.hint(),
            Self::Snapshot(error) => error.hint(),
            Self::Publish(error) => error.hint(),
            Self::Index(error) => error.hint(),
            Self::Admission(error) => error.hint(),
            Self::Rebuild(error) => error.hint(),
            Self::Host(error) => error.hint(),
            Self::Unfetched(error) => error.hint(),
            Self::NotRepeatable { .. } | Self::NotImportable { .. } | Self::Answer { .. } | Self::Link { .. } => None,
            Self::Run { run, .. } => Some(format!(
                "build it once more with `--run {run}` and the same nonce: `assay rebuild NAME --plan --issue` prints the command"
            )),
            Self::Document { .. } | Self::Swapped { .. } | Self::Unsigned { .. } => {
                Some("`assay verify` names all that is damaged".to_owned())
            }
            Self::Round { key, .. } => Some(format!(
                "somebody wrote it who may write to the store, or a version of this program that did not sign rounds yet: take `{key}` \
                 away, and ask for a new round: `assay rebuild NAME`, or `assay rebuild NAME --plan --again` for builders elsewhere"
            )),
            Self::Dropped { archive, decision, .. } => Some(format!(
                "somebody who may write to the store took it away: put `{}` and what it names back from a copy of the store. Where the \
                 store was set back on purpose, remove the folder below `cache/decided` that knows of it",
                Key::provenance(archive, decision)
            )),
            Self::Pool { key, .. } => Some(format!(
                "it is damaged, or somebody put it there: move `{key}` out of the store and run this again, which puts there what was \
                 admitted"
            )),
            Self::Forgotten { .. } => Some(
                "somebody who may write to the store changed it: `assay verify` names all that is not as it was; take those files away, \
                 and `assay publish` puts back what the snapshot remembers"
                    .to_owned(),
            ),
            Self::Claimed { .. } | Self::Overtaken { .. } => {
                Some("`assay admit --explain` shows who holds it".to_owned())
            }
            Self::NoSuite { archive, .. } => Some(format!(
                "those of branches and tags are made by `assay suite sync`, those that repos/{archive}.toml names by `assay publish {archive}`"
            )),
            Self::OtherKind { archive, made, .. } => Some(format!(
                "set `kind = \"{}\"` in repos/{archive}.toml again, and give what is to be of another kind a name and a key of its own",
                made.as_str()
            )),
            Self::NotThere { .. } => Some("`assay suite list` shows what each suite has".to_owned()),
            Self::Selection { absent, unmet } => {
                let takes = match (absent.is_empty(), unmet.is_empty()) {
                    (false, true) => "`allow-missing = true` in `[select]` takes it as it is",
                    (true, _) => {
                        "`allow-unmet = true` in `[select]` takes it as it is, as an archive needs that stands on another one"
                    }
                    (false, false) => "`allow-missing = true` and `allow-unmet = true` in `[select]` take it as it is",
                };
                Some(format!(
                    "nothing was changed, and clients keep the old state: correct the selection, or follow the suites and components that \
                     have the rest; {takes}"
                ))
            }
            Self::Released(_) => Some("make another release, with a tag and so a suite of its own".to_owned()),
            Self::Busy(_) => Some("run it again: nothing is lost, and nothing was published twice".to_owned()),
        }
    }
}
