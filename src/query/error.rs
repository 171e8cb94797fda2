//! Why a query has no answer at all. What is doubtful about an answer stands in the answer.

use crate::domain::{Coded, DomainError, Kind};
use crate::publish::{GateError, PublishError};
use crate::site::SiteError;
use crate::snapshot::SnapshotError;
use crate::source::SourceError;
use crate::store::StoreError;
use crate::verify::VerifyError;

/// Why a query has no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The site.
    #[error(transparent)]
    Site(#[from] SiteError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A snapshot that the archive's key does not vouch for.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// A chain of snapshots.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// An index of decisions.
    #[error(transparent)]
    Gate(#[from] GateError),
    /// A declaration of the site.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The site's keys and policies.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// What is asked about is no name, hash or version.
    #[error(transparent)]
    Question(#[from] DomainError),
}

impl QueryError {
    fn inner(&self) -> &dyn Coded {
        match self {
            Self::Site(error) => error,
            Self::Store(error) => error,
            Self::Publish(error) => error,
            Self::Snapshot(error) => error,
            Self::Gate(error) => error,
            Self::Source(error) => error,
            Self::Verify(error) => error,
            Self::Question(error) => error,
        }
    }
}

impl Coded for QueryError {
    fn code(&self) -> &'static str {
        self.inner().code()
    }
    fn kind(&self) -> Kind {
        self.inner().kind()
    }
    fn hint(&self) -> Option<String> {
        self.inner().hint()
    }
}
