//! The ledger's objects: `state/<archive>/ledger/…`, one for each claim, created if absent and
//! never removed, so that a name and version outlives the package (rules V1 to V4).
//!
//! A claim is made before the snapshot that needs it. A crash between the two leaves a claim that
//! only the same bytes can use, which doing it again does.

use crate::admission::{LedgerEntry, LedgerKey, LedgerView, Whole, claims};
use crate::domain::{ArchiveName, PackageName};
use crate::format::json;
use crate::store::{Created, Key, Store, StoreError};

use super::GateError;

/// The most that an entry may have, in bytes.
const LARGEST: u64 = 64 << 10;

/// What the ledger holds under the names that matter to a candidate.
///
/// # Errors
/// When an entry is malformed or lies under another's name; the store's failure.
pub fn load_ledger<'a>(
    store: &dyn Store,
    archive: &ArchiveName,
    candidate: impl Into<Whole<'a>>,
) -> Result<LedgerView, GateError> {
    let mut entries = Vec::new();
    let candidate = candidate.into();
    for name in candidate.names() {
        for kind in ["source", "upstream", "binary", "suite"] {
            entries.extend(load_all(store, archive, kind, &name)?);
        }
    }
    for claim in claims(candidate) {
        if matches!(claim.key, LedgerKey::File { .. }) {
            entries.extend(load(store, archive, &key(archive, &claim.key)?)?);
        }
    }
    Ok(LedgerView::new(entries))
}

/// Makes every claim of an admitted candidate. Claims that are there with the same bytes stay.
///
/// # Errors
/// `Claimed` when another candidate was faster; the store's failure. Doing it again is safe.
pub fn append_ledger(store: &dyn Store, archive: &ArchiveName, entries: &[LedgerEntry]) -> Result<(), GateError> {
    for entry in entries {
        let key = key(archive, &entry.key)?;
        let bytes = json::canonical("ledger entry", entry).map_err(GateError::document(&key))?;
        if store.create(&key, &bytes)? == Created::Yes {
            continue;
        }
        // An entry of other text may still be the same claim.
        let same = load(store, archive, &key)?.is_some_and(|held| held.sha256 == entry.sha256);
        if !same {
            return Err(GateError::Claimed {
                entry: Box::new(entry.clone()),
            });
        }
    }
    Ok(())
}

fn load_all(
    store: &dyn Store,
    archive: &ArchiveName,
    kind: &str,
    name: &PackageName,
) -> Result<Vec<LedgerEntry>, GateError> {
    let mut entries = Vec::new();
    for meta in store.list(&format!("{}/{kind}/{name}", prefix(archive)))? {
        entries.extend(load(store, archive, &meta.key)?);
    }
    Ok(entries)
}

fn load(store: &dyn Store, archive: &ArchiveName, at: &Key) -> Result<Option<LedgerEntry>, GateError> {
    let bytes = match store.get(at, LARGEST) {
        Err(StoreError::Missing(_)) => return Ok(None),
        other => other?,
    };
    let entry: LedgerEntry = json::strict("ledger entry", &bytes).map_err(GateError::document(at))?;
    if key(archive, &entry.key)? == *at {
        return Ok(Some(entry));
    }
    let wrong = crate::format::FormatError::Malformed {
        what: "ledger entry",
        at: entry.key.path(),
        why: "it lies under another name".to_owned(),
    };
    Err(GateError::document(at)(wrong))
}

fn prefix(archive: &ArchiveName) -> String {
    format!("state/{archive}/ledger")
}

fn key(archive: &ArchiveName, key: &LedgerKey) -> Result<Key, StoreError> {
    Key::new(format!("{}/{}", prefix(archive), key.path()))
}
