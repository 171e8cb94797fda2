//! The ledger's objects: `state/<archive>/ledger/…`, one for each claim, created if absent and
//! never removed, so that a name and version outlives the package (rules V1 to V4).
//!
//! A claim is made before the snapshot that needs it. A crash between the two leaves a claim that
//! only the same bytes can use, which doing it again does. What snapshots need is in the book, too, which the newest
//! record names ([`super::Book`]): of an object that is lost the book still knows, and one that says otherwise stops the gate.
//! Unproven archives claim many at once ([`super::claimed`]).

use std::collections::{BTreeMap, BTreeSet};

use crate::admission::{LedgerEntry, LedgerKey, LedgerView, Whole, claims};
use crate::domain::{ArchiveName, PackageName, Sha256};
use crate::format::json;
use crate::snapshot::Record;
use crate::store::{Created, Key, Store, StoreError};
use crate::trust::Ed25519Public;

use super::book::{Book, Page};
use super::{GateError, heard, lineage};

/// The most that an entry may have, in bytes.
const LARGEST: u64 = 64 << 10;

/// What the ledger holds under the names that matter to a candidate, `latest` being the archive's newest record.
///
/// # Errors
/// `Forgotten` when an entry says something else than the book; when an entry is malformed or lies under another's
/// name; the store's failure.
pub fn load_ledger<'a>(
    store: &dyn Store,
    archive: &ArchiveName,
    candidate: impl Into<Whole<'a>>,
    latest: Option<&Record>,
) -> Result<LedgerView, GateError> {
    let mut entries = Vec::new();
    let candidate = candidate.into();
    let names = candidate.names();
    for name in &names {
        for kind in ["source", "upstream", "binary", "suite"] {
            entries.extend(load_all(store, archive, &format!("{kind}/{name}"))?);
        }
    }
    let claims = claims(candidate);
    for claim in &claims {
        if matches!(claim.key, LedgerKey::File { .. }) {
            entries.extend(load_claim(store, archive, &claim.key)?);
        }
    }
    let claimed = claims.iter().map(|claim| claim.key.subject());
    let subjects: BTreeSet<&str> = names.iter().map(PackageName::as_str).chain(claimed).collect();
    let mut found: BTreeMap<LedgerKey, LedgerEntry> = entries.into_iter().map(|e| (e.key.clone(), e)).collect();
    for (key, said) in Book::of(store, archive, latest)?.about(&subjects)?.claims {
        match found.get(&key) {
            Some(held) if held.sha256 != said.sha256 => {
                return Err(GateError::forgotten(&key, &held.sha256, &said.sha256));
            }
            Some(_) => {}
            None => drop(found.insert(key, said)),
        }
    }
    Ok(LedgerView::new(found.into_values()))
}

/// Makes every claim of an admitted candidate. Claims that are there with the same bytes stay.
///
/// # Errors
/// `Claimed` when another candidate was faster; the store's failure. Doing it again is safe.
pub fn append_ledger<'e>(
    store: &dyn Store,
    archive: &ArchiveName,
    entries: impl IntoIterator<Item = &'e LedgerEntry>,
) -> Result<(), GateError> {
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

/// What the next record remembers, beside what the newest does: the claims of what it lists, the lineages of the
/// sources, and the decisions that wait for it, whose names go once it is there. Of an archive whose records name no book yet, all that the ledger holds.
///
/// # Errors
/// As [`load_ledger`].
pub(super) fn remember(
    store: &dyn Store,
    archive: &ArchiveName,
    latest: Option<&Record>,
    claims: impl IntoIterator<Item = LedgerEntry>,
    (sources, gate): (&BTreeSet<PackageName>, &Ed25519Public),
) -> Result<(Sha256, Vec<Key>), GateError> {
    let book = Book::of(store, archive, latest)?;
    let (decisions, heard) = heard::to_remember(store, archive, &book, gate)?;
    let mut more = Page {
        decisions,
        ..Page::default()
    };
    if !book.is_kept() && latest.is_some() {
        let all = load_all(store, archive, "")?;
        more.claims
            .extend(all.into_iter().map(|entry| (entry.key.clone(), entry)));
        more.lineages = lineage::all(store, archive)?;
    }
    more.claims
        .extend(claims.into_iter().map(|entry| (entry.key.clone(), entry)));
    for source in sources {
        let admitted = lineage::load_admitted(store, archive, source, latest)?;
        more.lineages.insert(source.clone(), admitted);
    }
    more.lineages.retain(|_, lineage| !lineage.is_empty());
    Ok((book.knowing_decisions().with(more)?, heard))
}

/// Puts back what ledger and lineages have lost of what the newest record remembers. Gives how many entries were made.
///
/// # Errors
/// `Forgotten` when one is there that says something else; what a damaged book gives; the store's failure.
pub fn put_back(store: &dyn Store, archive: &ArchiveName, latest: Option<&Record>) -> Result<u64, GateError> {
    let mut made: u64 = 0;
    for page in Book::of(store, archive, latest)?.pages() {
        let page = page?;
        for entry in page.claims.values() {
            match load_claim(store, archive, &entry.key)? {
                Some(held) if held.sha256 == entry.sha256 => {}
                Some(held) => return Err(GateError::forgotten(&entry.key, &held.sha256, &entry.sha256)),
                None => {
                    append_ledger(store, archive, [entry])?;
                    made = made.saturating_add(1);
                }
            }
        }
        for (source, said) in &page.lineages {
            made = made.saturating_add(lineage::put_back(store, archive, source, said)?);
        }
    }
    Ok(made)
}

/// Every claim that is an object of its own, below a folder of the ledger.
pub(super) fn load_all(store: &dyn Store, archive: &ArchiveName, below: &str) -> Result<Vec<LedgerEntry>, GateError> {
    let folder = format!("{}/{below}", prefix(archive));
    let mut entries = Vec::new();
    for meta in store.list(folder.trim_end_matches('/'))? {
        entries.extend(load(store, archive, &meta.key)?);
    }
    Ok(entries)
}

/// What the ledger's own objects hold under a key.
///
/// # Errors
/// When the entry is malformed or lies under another's name; the store's failure.
pub fn load_claim(
    store: &dyn Store,
    archive: &ArchiveName,
    claimed: &LedgerKey,
) -> Result<Option<LedgerEntry>, GateError> {
    load(store, archive, &key(archive, claimed)?)
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

/// Where the store keeps a claim.
///
/// # Errors
/// When the names in it are none that the store takes.
pub fn key(archive: &ArchiveName, key: &LedgerKey) -> Result<Key, StoreError> {
    Key::new(format!("{}/{}", prefix(archive), key.path()))
}
