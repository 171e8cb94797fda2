//! What cannot be indexed.

use crate::domain::{Coded, Kind};
use crate::format::FormatError;

/// Why an index could not be made.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// A stanza is not what its format says.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// A control file brings a field that only an index may have.
    #[error("{what} brings the field `{field}`, which only an index may set")]
    IndexField {
        /// Which file.
        what: &'static str,
        /// Which field.
        field: &'static str,
    },
    /// Two stanzas for one package, version and architecture, or two files for one path.
    #[error("`{what}` stands twice in one suite, with different content")]
    Conflict {
        /// Name, version and architecture, or the path.
        what: String,
    },
    /// A component or architecture that the suite does not have: its packages would vanish.
    #[error("`{package}` is for {what} `{value}`, which the suite does not have")]
    Outside {
        /// Which package.
        package: String,
        /// `component` or `architecture`.
        what: &'static str,
        /// Its value.
        value: String,
    },
    /// Packages names a description by its hash, and Translation-en does not have it.
    #[error("the description of `{package}` that Packages names by its MD5 is in no Translation-en")]
    NoDescription {
        /// Which package.
        package: String,
    },
}

impl Coded for IndexError {
    fn code(&self) -> &'static str {
        match self {
            Self::Format(inner) => inner.code(),
            Self::IndexField { .. } => "E-INDEX-001",
            Self::Conflict { .. } => "E-INDEX-002",
            Self::Outside { .. } => "E-INDEX-003",
            Self::NoDescription { .. } => "E-INDEX-004",
        }
    }
    fn kind(&self) -> Kind {
        match self {
            Self::Format(inner) => inner.kind(),
            Self::IndexField { .. } | Self::Conflict { .. } | Self::NoDescription { .. } => Kind::Verification,
            Self::Outside { .. } => Kind::Usage,
        }
    }
    fn hint(&self) -> Option<String> {
        match self {
            Self::Format(inner) => inner.hint(),
            Self::Conflict { .. } => {
                Some("a name and version never comes back with other bytes: raise the version".into())
            }
            Self::Outside { what, .. } => Some(format!("add the {what} to the archive's file below `repos/`")),
            Self::NoDescription { .. } => Some("`assay fsck` says what is damaged or missing in the store".into()),
            Self::IndexField { .. } => {
                Some("take the field out of the package's control file: the archive writes it itself".into())
            }
        }
    }
}
