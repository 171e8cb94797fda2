//! The chroot: made by mmdebstrap from a locked archive, the same bytes each time.

use std::path::Path;

use super::{EnvironmentError, LockedChroot, LockedPackage};
use crate::domain::Architecture;

/// A chroot to make.
#[derive(Debug, Clone, Copy)]
pub struct ChrootJob<'a> {
    /// Where the locked archive is served: `http://127.0.0.1:<port>/env/<set digest>/`.
    pub base_url: &'a str,
    /// The armored OpenPGP certificate that signs it.
    pub certificate: &'a str,
    /// The architecture.
    pub architecture: &'a Architecture,
    /// Exactly what is to be installed.
    pub packages: &'a [LockedPackage],
    /// The newest upstream `Date` of the snapshots; seconds since 1970. No file is younger.
    pub source_date_epoch: i64,
    /// Where the tar archive goes. What is there is replaced, when the new one is whole.
    pub output_tar: &'a Path,
    /// A folder that exists, for temporary files: 2 GiB.
    pub work: &'a Path,
    /// Where mmdebstrap's output goes; must not exist.
    pub log: &'a Path,
}

/// Makes the chroot, as root or as an ordinary user with subordinate ids.
///
/// # Errors
/// When mmdebstrap is missing or fails, or when what it installed is not exactly `packages`.
pub fn build_chroot(job: &ChrootJob<'_>) -> Result<LockedChroot, EnvironmentError> {
    let _ = job;
    Err(EnvironmentError::Bug {
        what: "not yet".to_owned(),
    })
}
