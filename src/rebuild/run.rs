//! The runner: one build, in an overlay over the locked chroot, without network.

use std::path::{Path, PathBuf};

use super::RebuildError;
use crate::domain::{Digest, FileName, PackageName, Sha256, Timestamp, Version};
use crate::format::intoto::Outcome;
use crate::host::Clock;

/// What a rebuilder varies on purpose between the runs of a quorum (gate rule E5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variation {
    /// The host name inside.
    pub hostname: String,
    /// The build user's name inside.
    pub user: String,
    /// Its numeric id inside: 1000 to 60000.
    pub uid: u32,
    /// `parallel=` of `DEB_BUILD_OPTIONS`.
    pub parallel: u32,
}

/// What one build may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Wall time.
    pub seconds: u64,
    /// Address space of each process, in bytes.
    pub memory: u64,
    /// Largest file, in bytes.
    pub file: u64,
    /// Processes of the build user.
    pub processes: u64,
}

/// One build to run.
#[derive(Debug, Clone)]
pub struct Job<'a> {
    /// The source package's name.
    pub source: &'a PackageName,
    /// Its version.
    pub version: &'a Version,
    /// The .dsc first, then what it names; checked against the declaration by the caller.
    pub files: &'a [(FileName, Vec<u8>)],
    /// The locked chroot's tar archive.
    pub chroot_tar: &'a Path,
    /// What the lock says about it: checked when it is unpacked.
    pub chroot_sha256: &'a Sha256,
    /// Where unpacked chroots are kept between builds, by digest.
    pub cache: &'a Path,
    /// What is varied.
    pub variation: &'a Variation,
    /// What the build may use.
    pub limits: &'a Limits,
    /// A folder that exists; the outputs stay in it.
    pub work: &'a Path,
    /// When the build starts and ends.
    pub clock: Clock,
}

/// A file that the build left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Produced {
    /// Its name.
    pub name: FileName,
    /// Where it is, below the job's work folder.
    pub path: PathBuf,
    /// Its content.
    pub digest: Digest,
}

/// How the build ended. A failed build is a result like any other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// Built, failed, or out of time.
    pub outcome: Outcome,
    /// Every .deb, .udeb and .ddeb, sorted by name. Empty unless built.
    pub outputs: Vec<Produced>,
    /// Log, .buildinfo, .changes: by-products, which differ between honest builds.
    pub byproducts: Vec<Produced>,
    /// When it started.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
}

/// Runs one build.
///
/// # Errors
/// When the build could not be run at all. A build that fails is an outcome.
pub fn run(job: &Job<'_>) -> Result<Finished, RebuildError> {
    let _ = job;
    Err(RebuildError::Runner {
        why: "not yet".to_owned(),
    })
}
