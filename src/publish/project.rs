//! Carrying out the plan.

use super::{PublishError, ReleaseSigner};
use crate::domain::{ArchiveName, Digest, Serial, SnapshotId, SuiteName};
use crate::snapshot::{Chain, Record};
use crate::store::Store;

/// What is public now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Whose.
    pub archive: ArchiveName,
    /// Which snapshot.
    pub id: SnapshotId,
    /// Its serial.
    pub serial: Serial,
    /// Its suites.
    pub suites: Vec<PublishedSuite>,
    /// How many objects were written: none when all was there already.
    pub written: u64,
}

/// One published suite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedSuite {
    /// Its name.
    pub suite: SuiteName,
    /// Its signed Release file, which a client can pin by hash.
    pub inrelease: Digest,
}

/// Publishes the newest snapshot of an archive, and those before it whose publishing a crash cut
/// short. Safe beside other writers: whoever ends last leaves the newest.
///
/// `public_url` is the site's, below which clients find the archive.
///
/// # Errors
/// When an index is missing or damaged: nothing that a reader sees has moved then; the signer's or
/// the store's failure: calling it again finishes.
pub fn publish(
    _store: &dyn Store,
    _archive: &ArchiveName,
    _signer: &dyn ReleaseSigner,
    _public_url: &str,
) -> Result<Published, PublishError> {
    todo!()
}

/// Publishes one record of a chain; as the newest state too when it is the chain's latest.
///
/// # Errors
/// As `publish`.
pub fn project(
    _store: &dyn Store,
    _chain: &Chain,
    _record: &Record,
    _signer: &dyn ReleaseSigner,
    _public_url: &str,
) -> Result<Published, PublishError> {
    todo!()
}
