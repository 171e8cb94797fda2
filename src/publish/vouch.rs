//! Records are vouched for by the archive's key before anything is built on them or signed.
//!
//! Whoever can write to the store could plant a record; publishing it would make our own key sign it.
//! So each record has a detached signature, kept by the record's hash and written before the record
//! is created: after a crash there is a signature too many, never a record without one. The newest
//! record's covers the whole chain, since each record names the hash of the one before.

use super::{PublishError, ReleaseSigner};
use crate::domain::{ArchiveName, Sha256, Timestamp};
use crate::format::json;
use crate::snapshot::{Chain, Committed, Record, SnapshotError, commit as create};
use crate::store::{Key, Store};
use crate::trust::{Keyring, Requirement, verify_detached};

const LARGEST: u64 = 64 << 10;

/// Signs a record and makes it the archive's next, if nobody was faster.
///
/// # Errors
/// The signer's or the store's failure: no record was made, or trying again tells.
pub fn commit(store: &dyn Store, record: &Record, signer: &dyn ReleaseSigner) -> Result<Committed, PublishError> {
    let sha256 = identity(record)?;
    let signature = signer.detach(&statement(record, &sha256), record.id.timestamp())?;
    store.replace(&signature_key(&record.archive, &sha256)?, &signature)?;
    Ok(create(store, record)?)
}

/// The chain of an archive, whose newest record the archive's key vouches for.
///
/// # Errors
/// As `Chain::load`; `NotVouched`.
pub fn load_vouched(store: &dyn Store, archive: &ArchiveName, keyring: &Keyring) -> Result<Chain, PublishError> {
    let chain = Chain::load(store, archive)?;
    if let Some(latest) = chain.latest() {
        check_vouched(store, latest, keyring)?;
    }
    Ok(chain)
}

/// Checks the signature on one record.
///
/// # Errors
/// `NotVouched` when there is none, or it is not by this key over this record.
pub fn check_vouched(store: &dyn Store, record: &Record, keyring: &Keyring) -> Result<(), PublishError> {
    let not_vouched = |why: String| PublishError::NotVouched {
        key: Key::record(&record.archive, record.n),
        why,
    };
    let sha256 = identity(record)?;
    let signature = store
        .get(&signature_key(&record.archive, &sha256)?, LARGEST)
        .map_err(|error| not_vouched(error.to_string()))?;
    let requirement = Requirement {
        keyring,
        threshold: 1,
        now: record.id.timestamp(),
    };
    verify_detached(&statement(record, &sha256), &signature, &requirement)
        .map(|_| ())
        .map_err(|error| not_vouched(error.to_string()))
}

/// Whether more than half of the time has passed for which a record's Release files are valid.
#[must_use]
pub fn renewal_due(record: &Record, now: Timestamp) -> bool {
    let Some(days) = record.valid_days else { return false };
    let half = i64::from(days).saturating_mul(43_200);
    record.suites.iter().any(|state| now.since(state.date) > half)
}

fn identity(record: &Record) -> Result<Sha256, PublishError> {
    Ok(Sha256::of(&json::canonical("snapshot record", record).map_err(
        |source| SnapshotError::Record {
            key: Key::record(&record.archive, record.n),
            source,
        },
    )?))
}

/// What is signed: short, whatever the record's size, and like no other thing that the key signs.
fn statement(record: &Record, sha256: &Sha256) -> Vec<u8> {
    format!("assay snapshot record {} {} {sha256}\n", record.archive, record.n).into_bytes()
}

fn signature_key(archive: &ArchiveName, sha256: &Sha256) -> Result<Key, PublishError> {
    Ok(Key::new(format!("state/{archive}/signatures/{sha256}"))?)
}
