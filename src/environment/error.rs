//! What can go wrong on the way from snapshots to a chroot.

use crate::domain::{Architecture, Coded, DomainError, Kind};
use crate::format::FormatError;
use crate::host::HostError;
use crate::site::SiteError;
use crate::snapshot::SnapshotError;
use crate::source::SourceError;
use crate::trust::TrustError;
use crate::upstream::UpstreamError;

/// An environment that cannot be resolved, locked or built.
#[derive(Debug, thiserror::Error)]
pub enum EnvironmentError {
    /// The build dependencies are not a relation list that we pass on to apt.
    #[error("build dependencies: {why} in `{text}`")]
    Wanted {
        /// The part that is wrong.
        text: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// apt finds no set of packages that satisfies the build dependencies.
    #[error("the snapshots cannot satisfy the build dependencies:\n{said}")]
    Unsatisfiable {
        /// The end of what apt said.
        said: String,
    },
    /// A package of the environment is in none of its snapshots.
    #[error("`{package}` is in no Packages index of the environment's snapshots")]
    Missing {
        /// Name, version and architecture.
        package: String,
    },
    /// Two indexes have different files under one name, version and architecture (gate rule E2).
    #[error("`{package}` is in two indexes with different contents: {first} and {second}")]
    Ambiguous {
        /// Name, version and architecture.
        package: String,
        /// SHA-256 in the one.
        first: String,
        /// SHA-256 in the other.
        second: String,
    },
    /// A locked package is not what its snapshots say.
    #[error("`{package}` is in the environment's snapshots with another hash, size or path")]
    NotInSnapshot {
        /// Name, version and architecture.
        package: String,
    },
    /// apt reads some characters of a path as syntax.
    #[error("apt cannot work below `{}`: the path has characters that its configuration does not take", path.display())]
    Folder {
        /// The folder.
        path: std::path::PathBuf,
    },
    /// The chroot does not hold exactly the locked packages (gate rule E2).
    #[error("the chroot is not what the lock says: {difference}")]
    NotTheLock {
        /// The first packages that are missing, extra or different.
        difference: String,
    },
    /// Something that must never be different was not what it has to be: a bug of ours.
    #[error("{what}")]
    Bug {
        /// What it was.
        what: String,
    },
    /// mmdebstrap failed.
    #[error("mmdebstrap failed ({status}); the end of its log:\n{log}")]
    Mmdebstrap {
        /// Its exit status.
        status: String,
        /// The end of its log.
        log: String,
    },
    /// An index or a status file is malformed.
    #[error("{what}: {source}")]
    Format {
        /// Which file.
        what: String,
        /// What is wrong.
        source: FormatError,
    },
    /// The throwaway key could not be made or used.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// A snapshot lacks what the environment is resolved from.
    #[error("the snapshot {snapshot} has no {what}")]
    NoIndex {
        /// Which snapshot.
        snapshot: String,
        /// Which suite or index.
        what: String,
    },
    /// A `.buildinfo` is of a build on another architecture.
    #[error("the .buildinfo is of a build on {found}; this environment is for {wanted}")]
    BuildArchitecture {
        /// The one it was on.
        found: Architecture,
        /// The one that is wanted.
        wanted: Architecture,
    },
    /// Declared sources need each other's packages to be built.
    #[error("these sources are built with each other's packages: {path}")]
    Cycle {
        /// One way round.
        path: String,
    },
    /// A declaration cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The site cannot be read.
    #[error(transparent)]
    Site(#[from] SiteError),
    /// A store over HTTP does not answer, or has other bytes.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// A store over HTTP does not have an index with the locked hash.
    #[error("`{url}` has no {index} of {snapshot} with the SHA-256 {wanted}")]
    NoSuchIndex {
        /// Where it was looked for.
        url: String,
        /// Which index.
        index: String,
        /// Which snapshot.
        snapshot: String,
        /// The locked hash.
        wanted: String,
    },
    /// A snapshot is missing or damaged.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// A name or version is malformed.
    #[error(transparent)]
    Domain(#[from] DomainError),
    /// The machine could not do it.
    #[error(transparent)]
    Host(#[from] HostError),
}

impl EnvironmentError {
    pub(crate) fn format(what: impl ToString) -> impl FnOnce(FormatError) -> Self {
        let what = what.to_string();
        move |source| Self::Format { what, source }
    }
}

impl Coded for EnvironmentError {
    fn code(&self) -> &'static str {
        match self {
            Self::Wanted { .. } => "E-ENV-001",
            Self::Unsatisfiable { .. } => "E-ENV-002",
            Self::Missing { .. } => "E-ENV-003",
            Self::Ambiguous { .. } => "E-ENV-004",
            Self::NotTheLock { .. } => "E-ENV-005",
            Self::Mmdebstrap { .. } => "E-ENV-006",
            Self::Bug { .. } => "E-ENV-007",
            Self::NotInSnapshot { .. } => "E-ENV-008",
            Self::Folder { .. } => "E-ENV-009",
            Self::NoIndex { .. } => "E-ENV-010",
            Self::Cycle { .. } => "E-ENV-011",
            Self::BuildArchitecture { .. } => "E-ENV-012",
            Self::NoSuchIndex { .. } => "E-ENV-013",
            Self::Upstream(source) => source.code(),
            Self::Source(source) => source.code(),
            Self::Site(source) => source.code(),
            Self::Snapshot(source) => source.code(),
            Self::Format { source, .. } => source.code(),
            Self::Trust(source) => source.code(),
            Self::Domain(source) => source.code(),
            Self::Host(source) => source.code(),
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Wanted { .. }
            | Self::Unsatisfiable { .. }
            | Self::Folder { .. }
            | Self::NoIndex { .. }
            | Self::Cycle { .. }
            | Self::BuildArchitecture { .. } => Kind::Usage,
            Self::Upstream(source) => source.kind(),
            Self::Source(source) => source.kind(),
            Self::Site(source) => source.kind(),
            Self::Missing { .. }
            | Self::Ambiguous { .. }
            | Self::NotInSnapshot { .. }
            | Self::NotTheLock { .. }
            | Self::NoSuchIndex { .. }
            | Self::Format { .. } => Kind::Verification,
            Self::Trust(source) => source.kind(),
            Self::Snapshot(source) => source.kind(),
            Self::Mmdebstrap { .. } => Kind::Environment,
            Self::Bug { .. } => Kind::Bug,
            Self::Domain(source) => source.kind(),
            Self::Host(source) => source.kind(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Unsatisfiable { .. } => {
                Some("add the suite that has the missing packages to `environment` of the custom archive".to_owned())
            }
            Self::Missing { .. } => Some("resolve the lock again with `assay env lock`".to_owned()),
            Self::Trust(source) => source.hint(),
            Self::NoIndex { .. } => Some("check `environment` in the custom archive's file".to_owned()),
            Self::Cycle { .. } => Some(
                "build one of them with the version that a mirror has: give its build dependency a version \
                 that ours does not satisfy, or declare it without that dependency first"
                    .to_owned(),
            ),
            Self::Upstream(source) => source.hint(),
            Self::Source(source) => source.hint(),
            Self::Site(source) => source.hint(),
            Self::Snapshot(source) => source.hint(),
            Self::Host(source) => source.hint(),
            _ => None,
        }
    }
}
