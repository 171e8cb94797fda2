//! What is wrong with a snapshot, a chain of them, or a name for one.

use super::EditionName;
use crate::domain::{
    ArchiveName, Coded, DomainError, Kind, RelPath, SnapshotName, SuiteName, TagName, Timestamp, escape,
};
use crate::format::FormatError;
use crate::store::{Key, StoreError};

/// What `snapshot` refuses.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A record that is no record.
    #[error("`{key}`: {source}")]
    Record {
        /// Where the record is.
        key: Key,
        /// What is wrong with it.
        source: FormatError,
    },
    /// A record that does not continue the ones before it, or contradicts itself.
    #[error("`{key}`: {why}")]
    Chain {
        /// Where the record is.
        key: Key,
        /// What is wrong.
        why: String,
    },
    /// A suite that cannot be published as it is.
    #[error("suite `{suite}`: {why}")]
    Suite {
        /// Which suite.
        suite: SuiteName,
        /// What is wrong.
        why: String,
    },
    /// A suite and a tag that would have files in one folder.
    #[error("suite `{suite}`: `{tag}` would be both a folder of its indexes and the tag `{tag}` of `{archive}`")]
    Clash {
        /// Which archive.
        archive: ArchiveName,
        /// Which suite.
        suite: SuiteName,
        /// Which tag.
        tag: TagName,
    },
    /// No further serial.
    #[error("no further snapshot of `{archive}` today: {source}")]
    Full {
        /// Which archive.
        archive: ArchiveName,
        /// Why.
        source: DomainError,
    },
    /// No snapshot of this name.
    #[error("`{archive}` has no snapshot `{name}`")]
    NotFound {
        /// Which archive.
        archive: ArchiveName,
        /// What was asked for.
        name: Box<SnapshotName>,
    },
    /// An edition that was let go and is gone.
    #[error("`{archive}@{name}` means `{edition}`, which was let go and is gone since {at}")]
    LetGo {
        /// Which archive.
        archive: ArchiveName,
        /// What was asked for.
        name: Box<SnapshotName>,
        /// What it means.
        edition: String,
        /// When it was removed.
        at: Timestamp,
    },
    /// A tag that has only some of a snapshot's packages, where a whole snapshot is meant.
    #[error("the tag `{tag}` of `{archive}` has only some of a snapshot's packages")]
    Partial {
        /// Which archive.
        archive: ArchiveName,
        /// Which tag.
        tag: TagName,
    },
    /// A name that the suite does not list, or lists without keeping the file.
    #[error("suite `{suite}` does not keep an index `{path}`")]
    NotKept {
        /// Which suite.
        suite: SuiteName,
        /// Which index.
        path: RelPath,
    },
    /// An index whose bytes are not those of its record.
    #[error("`{key}`: the bytes are not those that the record names")]
    Damaged {
        /// Where it is.
        key: Key,
    },
}

impl SnapshotError {
    /// The object that the error is about, when it is about one.
    #[must_use]
    pub fn object(&self) -> Option<&Key> {
        match self {
            Self::Record { key, .. } | Self::Chain { key, .. } | Self::Damaged { key } => Some(key),
            _ => None,
        }
    }

    pub(crate) fn let_go(archive: &ArchiveName, edition: &EditionName, at: Timestamp) -> Self {
        let name = match edition {
            EditionName::Serial(serial) => SnapshotName::Serial(serial.clone()),
            EditionName::Tag(tag) => SnapshotName::Tag(tag.clone()),
        };
        Self::LetGo {
            archive: archive.clone(),
            name: Box::new(name),
            edition: edition.to_string(),
            at,
        }
    }

    pub(super) fn chain(key: &Key, why: impl Into<String>) -> Self {
        Self::Chain {
            key: key.clone(),
            why: why.into(),
        }
    }

    pub(crate) fn suite(suite: &SuiteName, why: impl AsRef<str>) -> Self {
        Self::Suite {
            suite: suite.clone(),
            why: escape(why.as_ref()),
        }
    }
}

impl SnapshotError {
    /// The code of `Record`.
    pub const RECORD: &'static str = "E-SNAPSHOT-001";
    /// The code of `Damaged`.
    pub const DAMAGED: &'static str = "E-SNAPSHOT-007";
}

impl Coded for SnapshotError {
    fn code(&self) -> &'static str {
        match self {
            Self::Store(error) => error.code(),
            Self::Record { .. } => Self::RECORD,
            Self::Chain { .. } => "E-SNAPSHOT-002",
            Self::Suite { .. } => "E-SNAPSHOT-003",
            Self::Full { .. } => "E-SNAPSHOT-004",
            Self::NotFound { .. } => "E-SNAPSHOT-005",
            Self::NotKept { .. } => "E-SNAPSHOT-006",
            Self::Damaged { .. } => Self::DAMAGED,
            Self::Partial { .. } => "E-SNAPSHOT-008",
            Self::LetGo { .. } => "E-SNAPSHOT-009",
            Self::Clash { .. } => "E-SNAPSHOT-010",
        }
    }
    fn kind(&self) -> Kind {
        match self {
            Self::Store(error) => error.kind(),
            Self::Record { .. } | Self::Chain { .. } | Self::Suite { .. } | Self::Damaged { .. } => Kind::Verification,
            Self::Full { .. } => Kind::Conflict,
            Self::NotFound { .. }
            | Self::NotKept { .. }
            | Self::Partial { .. }
            | Self::LetGo { .. }
            | Self::Clash { .. } => Kind::Usage,
        }
    }
    fn hint(&self) -> Option<String> {
        match self {
            Self::Store(error) => error.hint(),
            Self::Full { .. } => Some("wait for the next day (UTC)".to_owned()),
            Self::NotFound { archive, name } if **name == SnapshotName::Latest => Some(format!(
                "it has none yet: `assay mirror {archive}` makes the first one of a mirror, what is admitted, included or published that of another \
                 archive"
            )),
            Self::NotFound { archive, .. } | Self::LetGo { archive, .. } => {
                Some(format!("`assay snapshot list {archive}` prints the ones there are"))
            }
            Self::Clash { archive, tag, .. } => Some(format!(
                "choose another name for the tag; one that is there goes with `assay snapshot drop {archive}@{tag}` and `assay gc {archive}`"
            )),
            Self::Partial { .. } => Some("name a snapshot by its id or serial".to_owned()),
            Self::Damaged { .. } => Some("`assay verify` names all that is damaged".to_owned()),
            Self::Record { .. } | Self::Chain { .. } => Some(
                "something changed the store: put the object and its signature back from a backup, then run `assay verify`".to_owned(),
            ),
            Self::Suite { .. } => Some("`assay verify` says whether its indexes are damaged".to_owned()),
            Self::NotKept { .. } => {
                Some("`assay snapshot diff --indexes` names the indexes of snapshots; which a mirror has, its file in `repos/` says".to_owned())
            }
        }
    }
}
