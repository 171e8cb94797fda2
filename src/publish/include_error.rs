//! Why an unproven archive does not take something.

use std::path::PathBuf;

use crate::admission::LedgerConflict;
use crate::domain::{Coded, Digest, Kind, PackageName, SuiteName, Version};
use crate::host::HostError;
use crate::store::StoreError;

use super::{GateError, PublishError, UploadError};

/// What is wrong with something that is handed in, or cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum IncludeError {
    /// A file could not be read.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The store failed, or the archive's records are not in order.
    #[error(transparent)]
    Gate(#[from] GateError),
    /// What a `.changes` names is not so.
    #[error(transparent)]
    Upload(Box<UploadError>),
    /// A file is no package, or no list of some.
    #[error("`{}`: {why}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A file has other bytes than an index or a .dsc says.
    #[error("`{}` has the SHA-256 {}, and is listed with {} and {} bytes", path.display(), found.sha256, said.sha256, said.size)]
    Other {
        /// The file.
        path: PathBuf,
        /// What was said.
        said: Digest,
        /// What it is.
        found: Digest,
    },
    /// A file that is listed is not there.
    #[error("`{}` is listed, and is not there", .0.display())]
    Missing(PathBuf),
    /// A name and version was there before with other bytes.
    #[error("{} was taken before as {}, and comes now as {}", conflict.held.key, conflict.held.sha256, conflict.claimed.sha256)]
    Returned {
        /// Both.
        conflict: Box<LedgerConflict>,
    },
    /// What is there is newer.
    #[error("`{suite}` has {package} {there}, which is newer than {offered}")]
    Older {
        /// The suite.
        suite: SuiteName,
        /// The package.
        package: PackageName,
        /// The version that is there.
        there: Version,
        /// The newest that is offered.
        offered: Version,
    },
    /// The archive's file does not name a suite, component or architecture.
    #[error("the archive has no {what} `{value}`")]
    Outside {
        /// `suite`, `component` or `architecture`.
        what: &'static str,
        /// Its name.
        value: String,
    },
    /// A suite has nothing of that name.
    #[error("the suite `{suite}` has no `{name}`")]
    NotThere {
        /// The suite.
        suite: SuiteName,
        /// What was asked for.
        name: String,
    },
    /// A repository is not what it should be.
    #[error("`{}` is no repository that can be brought over: {why}", path.display())]
    Repository {
        /// Where.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A Release file is not signed as it must be.
    #[error("`{}` is not signed by a key of the keyring: {why}", path.display())]
    Unsigned {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Several things are wrong, each of which was named.
    #[error("{0} things are wrong, and nothing was taken")]
    Several(usize),
}

impl From<UploadError> for IncludeError {
    fn from(error: UploadError) -> Self {
        Self::Upload(Box::new(error))
    }
}

impl From<StoreError> for IncludeError {
    fn from(error: StoreError) -> Self {
        Self::Gate(error.into())
    }
}

impl From<PublishError> for IncludeError {
    fn from(error: PublishError) -> Self {
        Self::Gate(error.into())
    }
}

impl Coded for IncludeError {
    fn code(&self) -> &'static str {
        match self {
            Self::Host(error) => error.code(),
            Self::Gate(error) => error.code(),
            Self::Upload(error) => error.code(),
            Self::Malformed { .. } => "E-UNPROVEN-001",
            Self::Other { .. } => "E-UNPROVEN-002",
            Self::Missing(_) => "E-UNPROVEN-003",
            Self::Returned { .. } => "E-UNPROVEN-004",
            Self::Older { .. } => "E-UNPROVEN-005",
            Self::Outside { .. } => "E-UNPROVEN-006",
            Self::NotThere { .. } => "E-UNPROVEN-007",
            Self::Repository { .. } => "E-UNPROVEN-008",
            Self::Unsigned { .. } => "E-UNPROVEN-009",
            Self::Several(_) => "E-UNPROVEN-010",
        }
    }
    fn kind(&self) -> Kind {
        match self {
            Self::Host(error) => error.kind(),
            Self::Gate(error) => error.kind(),
            Self::Upload(error) => error.kind(),
            Self::Malformed { .. }
            | Self::Other { .. }
            | Self::Missing(_)
            | Self::Unsigned { .. }
            | Self::Several(_) => Kind::Verification,
            Self::Returned { .. } | Self::Older { .. } => Kind::Refused,
            Self::Outside { .. } | Self::NotThere { .. } | Self::Repository { .. } => Kind::Usage,
        }
    }
    fn hint(&self) -> Option<String> {
        match self {
            Self::Host(error) => error.hint(),
            Self::Gate(error) => error.hint(),
            Self::Upload(error) => error.hint(),
            Self::Returned { .. } => {
                Some("give it another version: clients and caches have one file of a name".to_owned())
            }
            Self::Older { .. } => Some("`--keep-older` puts it beside the newer one; or remove that first".to_owned()),
            Self::Outside { what, value } => Some(format!("name the {what} `{value}` in the archive's file in repos/")),
            Self::Several(_) => Some("mend the repository, and run it again".to_owned()),
            _ => None,
        }
    }
}
