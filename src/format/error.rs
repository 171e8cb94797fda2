//! What a reader refuses.

use crate::domain::{Coded, DomainError, Kind};

/// Input that does not follow its format, or exceeds a limit.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// Not the grammar of this format. `at` says where: a line, an offset, a member, a field.
    #[error("{what}: {why} ({at})")]
    Malformed {
        /// Which format: `deb822`, `tar`, `Release`, ...
        what: &'static str,
        /// Where in the input.
        at: String,
        /// What is wrong.
        why: String,
    },
    /// A list of packages in none of the forms that are known.
    #[error("{what}: {why} ({at})")]
    NoList {
        /// Which format it would be.
        what: &'static str,
        /// Where in the input.
        at: String,
        /// What is wrong.
        why: String,
    },
    /// A limit was exceeded.
    #[error("{what}: more than {limit} {unit}")]
    Limit {
        /// Which format.
        what: &'static str,
        /// The limit.
        limit: u64,
        /// Of what: `bytes`, `fields`, `entries`.
        unit: &'static str,
    },
    /// A field that must be there is not.
    #[error("{what}: the field `{field}` is missing")]
    MissingField {
        /// Which format.
        what: &'static str,
        /// Which field.
        field: &'static str,
    },
    /// A value is not what its type allows.
    #[error("{what}: {source}")]
    Value {
        /// Which format, and which field of it.
        what: String,
        /// What is wrong with it.
        source: DomainError,
    },
    /// Not JSON, or not the JSON that was expected.
    #[error("{what}: {source}")]
    Json {
        /// Which document.
        what: &'static str,
        /// Where and why.
        source: serde_json::Error,
    },
    /// The stream could not be read, or a decompressor refused it.
    #[error("{what}: {source}")]
    Read {
        /// Which format.
        what: &'static str,
        /// Why.
        source: std::io::Error,
    },
}

impl FormatError {
    pub(crate) fn malformed(what: &'static str, at: impl ToString, why: impl ToString) -> Self {
        Self::Malformed {
            what,
            at: at.to_string(),
            why: why.to_string(),
        }
    }
}

impl Coded for FormatError {
    fn code(&self) -> &'static str {
        match self {
            Self::Malformed { .. } | Self::NoList { .. } => "E-FORMAT-001",
            Self::Limit { .. } => "E-FORMAT-002",
            Self::MissingField { .. } => "E-FORMAT-003",
            Self::Value { .. } => "E-FORMAT-004",
            Self::Json { .. } => "E-FORMAT-005",
            Self::Read { .. } => "E-FORMAT-006",
        }
    }
    fn kind(&self) -> Kind {
        Kind::Verification
    }
    fn hint(&self) -> Option<String> {
        matches!(self, Self::NoList { .. }).then(|| {
            "give one of these: a build manifest of Tails (its format 1 or 2), what `dpkg-query -W` prints, dpkg's status \
             file, a list of `name=version` as mmdebstrap's `--include` takes, a `.buildinfo` file, an environment lock of \
             `assay env lock`, or the `assay.lock` of `assay lock`"
                .to_owned()
        })
    }
}
