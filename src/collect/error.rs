//! Why nothing could be collected.

use std::path::PathBuf;

use crate::domain::{ArchiveName, Coded, Kind};
use crate::format::FormatError;
use crate::host::HostError;
use crate::publish::{GateError, PublishError, Unrecorded};
use crate::site::SiteError;
use crate::snapshot::SnapshotError;
use crate::source::SourceError;
use crate::store::{Key, StoreError};

/// What `collect` cannot do.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The archive's records are not in order, or an index is damaged.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// An entry is not vouched for, or a mark could not be made.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The site's files.
    #[error(transparent)]
    Site(#[from] SiteError),
    /// A file of the site could not be read.
    #[error(transparent)]
    Host(#[from] HostError),
    /// A repository whose serial files keep snapshots could not be read.
    #[error("cannot tell which snapshots the serial files of `{repository}` name: {source}")]
    Serials {
        /// Which repository.
        repository: String,
        /// Why.
        source: Box<SourceError>,
    },
    /// Files on branches that should say what is kept, and cannot be read.
    #[error("nobody knows which snapshots of `{archive}` these keep: {files}")]
    Unreadable {
        /// Which archive.
        archive: ArchiveName,
        /// Where they are, and what is wrong with each.
        files: String,
    },
    /// An environment lock that cannot be read: what it pins is not known.
    #[error("`{}`: {source}", path.display())]
    Lock {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: FormatError,
    },
    /// A decision, or a lock that it rests on, that cannot be read: what it pins is not known.
    #[error("cannot tell what listed packages were built in: {0}")]
    Built(Box<GateError>),
    /// A declaration that cannot be read: what waits for it is not known.
    #[error(transparent)]
    Declaration(Box<SourceError>),
    /// A published tree whose record is lost: what it needs is not known.
    #[error("`{}` is signed by the archive's key, and its record `{}` is missing", .0.inrelease, .0.record)]
    Unrecorded(Box<Unrecorded>),
    /// A mark that a record names, and its copy, are lost: what was to be kept is not known.
    #[error("`{record}` names the mark `{mark}`, which is not there as it was, nor is its copy")]
    Unmarked {
        /// Which mark.
        mark: Key,
        /// Which record.
        record: Key,
    },
    /// Somebody works on the archive who must end first.
    #[error("{other} works on `{archive}`")]
    Busy {
        /// Which archive.
        archive: ArchiveName,
        /// Who.
        other: String,
    },
    /// A note of somebody's work that cannot be read.
    #[error("`{key}`: {source}")]
    Note {
        /// Where it is.
        key: Key,
        /// What is wrong with it.
        source: FormatError,
    },
}

impl Coded for CollectError {
    fn code(&self) -> &'static str {
        match self {
            Self::Store(error) => error.code(),
            Self::Snapshot(error) => error.code(),
            Self::Publish(error) => error.code(),
            Self::Site(error) => error.code(),
            Self::Host(error) => error.code(),
            Self::Declaration(error) => error.code(),
            Self::Built(error) => error.code(),
            Self::Serials { .. } => "E-COLLECT-001",
            Self::Lock { .. } => "E-COLLECT-002",
            Self::Busy { .. } => "E-COLLECT-003",
            Self::Note { .. } => "E-COLLECT-004",
            Self::Unrecorded(_) => "E-COLLECT-005",
            Self::Unmarked { .. } => "E-COLLECT-006",
            Self::Unreadable { .. } => "E-COLLECT-007",
        }
    }
    fn kind(&self) -> Kind {
        match self {
            Self::Store(error) => error.kind(),
            Self::Snapshot(error) => error.kind(),
            Self::Publish(error) => error.kind(),
            Self::Site(error) => error.kind(),
            Self::Host(error) => error.kind(),
            Self::Built(error) => error.kind(),
            Self::Declaration(source) | Self::Serials { source, .. } => source.kind(),
            Self::Lock { .. } => Kind::Usage,
            Self::Busy { .. } => Kind::Conflict,
            Self::Note { .. } | Self::Unrecorded(_) | Self::Unmarked { .. } | Self::Unreadable { .. } => {
                Kind::Verification
            }
        }
    }
    fn hint(&self) -> Option<String> {
        match self {
            Self::Store(error) => error.hint(),
            Self::Snapshot(error) => error.hint(),
            Self::Publish(error) => error.hint(),
            Self::Site(error) => error.hint(),
            Self::Host(error) => error.hint(),
            Self::Declaration(error) => error.hint(),
            Self::Built(error) => error.hint(),
            Self::Serials { .. } => Some(
                "make it reachable, or take it out of `serials` in assay.toml: until then nothing is let go".to_owned(),
            ),
            Self::Unreadable { .. } => Some(
                "mend it on its branch, or delete the branch: until then nothing of the archive is let go; `assay gc \
                 --ignore-unreadable` goes on without it, and what it alone kept goes"
                    .to_owned(),
            ),
            Self::Busy { .. } => Some("wait until it has ended, and run this again".to_owned()),
            Self::Unrecorded(lost) => Some(format!(
                "put the record and its signature back from a backup; or, when the tree is to go, remove `{}` from the \
                 store: until then nothing is let go",
                lost.tree()
            )),
            Self::Unmarked { .. } => Some(
                "somebody changed the store: put the mark and its signature back from a backup; until then nothing is let go"
                    .to_owned(),
            ),
            Self::Note { .. } => Some("remove it when nothing works on the store".to_owned()),
            Self::Lock { .. } => {
                Some("write it anew with `assay env lock`, or remove it: until then nothing is let go".to_owned())
            }
        }
    }
}
