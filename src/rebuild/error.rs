//! What can go wrong around a rebuild. A build that fails is no error: it is an outcome.

use crate::domain::{Coded, DomainError, Kind};
use crate::format::FormatError;
use crate::host::HostError;

/// A rebuild that could not be run, recorded or compared.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// The runner could not set up its namespaces, mounts or user.
    #[error("the build could not be started: {why}")]
    Runner {
        /// What failed.
        why: String,
    },
    /// What was asked to vary cannot be varied so.
    #[error("variation: {why}")]
    Variation {
        /// What is wrong.
        why: String,
    },
    /// The source package does not match its declaration.
    #[error("the source package is not the declared one: {why}")]
    Source {
        /// What differs.
        why: String,
    },
    /// The chroot is not the locked one.
    #[error("the chroot's SHA-256 is {found}, the lock says {wanted}")]
    Chroot {
        /// What the file has.
        found: String,
        /// What the lock has.
        wanted: String,
    },
    /// A record that is not one of ours.
    #[error("rebuild record: {why}")]
    Record {
        /// What is wrong.
        why: String,
    },
    /// A file is malformed.
    #[error("{what}: {source}")]
    Format {
        /// Which file.
        what: String,
        /// What is wrong.
        source: FormatError,
    },
    /// A name is malformed.
    #[error(transparent)]
    Domain(#[from] DomainError),
    /// The machine could not do it.
    #[error(transparent)]
    Host(#[from] HostError),
}

impl RebuildError {
    pub(crate) fn format(what: impl ToString) -> impl FnOnce(FormatError) -> Self {
        let what = what.to_string();
        move |source| Self::Format { what, source }
    }
}

impl Coded for RebuildError {
    fn code(&self) -> &'static str {
        match self {
            Self::Runner { .. } => "E-BUILD-001",
            Self::Source { .. } => "E-BUILD-002",
            Self::Chroot { .. } => "E-BUILD-003",
            Self::Record { .. } => "E-BUILD-004",
            Self::Variation { .. } => "E-BUILD-005",
            Self::Format { source, .. } => source.code(),
            Self::Domain(source) => source.code(),
            Self::Host(source) => source.code(),
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Runner { .. } => Kind::Environment,
            Self::Variation { .. } => Kind::Usage,
            Self::Source { .. } | Self::Chroot { .. } | Self::Record { .. } | Self::Format { .. } => Kind::Verification,
            Self::Domain(source) => source.kind(),
            Self::Host(source) => source.kind(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Runner { .. } => Some(
                "an ordinary user needs the packages `uidmap` and `util-linux`, a line in `/etc/subuid` and `/etc/subgid`, and user namespaces".to_owned(),
            ),
            Self::Chroot { .. } => Some("make the chroot again with `assay env build`".to_owned()),
            Self::Host(source) => source.hint(),
            _ => None,
        }
    }
}
