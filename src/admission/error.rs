//! What admission cannot read. That a candidate is refused is no error: it is a decision.

use crate::domain::{Coded, Kind, Sha256};
use crate::format::FormatError;

/// Evidence that is not what it says it is.
#[derive(Debug, thiserror::Error)]
pub enum AdmissionError {
    /// A document cannot be written canonically or read strictly.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// A rebuild record that does not follow its own schema.
    #[error("rebuild record `{record}`: `{field}`: {why}")]
    Record {
        /// The envelope's SHA-256.
        record: Sha256,
        /// Which field.
        field: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// A case that cannot be decided on again.
    #[error("case: {0}")]
    Case(String),
    /// A .deb without a field that the gate needs, or with a value that its type refuses.
    #[error("control field `{field}`: {why}")]
    Control {
        /// Which field.
        field: &'static str,
        /// What is wrong with it.
        why: String,
    },
}

impl Coded for AdmissionError {
    fn code(&self) -> &'static str {
        match self {
            Self::Format(_) => "E-GATE-001",
            Self::Record { .. } => "E-GATE-002",
            Self::Control { .. } => "E-GATE-003",
            Self::Case(_) => "E-GATE-004",
        }
    }
    fn kind(&self) -> Kind {
        Kind::Verification
    }
}
