//! Which declarations of a source were admitted, one after the other: `state/<archive>/lineage/<source>/<n>.json`.
//!
//! Each entry is created if absent, before the snapshot that needs it, and never changed: so there is one
//! successor of each, and who may sign the next is what the last one says (rule S10). A crash between an
//! entry and its snapshot leaves an entry of what was decided to be admitted, which doing it again uses. What is lost
//! of them the book still knows, which the newest record names ([`super::Book`]).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::admission::{Candidate, Evidence, Lineage, Previous, identity};
use crate::domain::{ArchiveName, PackageName, Sha256};
use crate::format::json;
use crate::snapshot::Record;
use crate::source::Declaration;
use crate::store::{Created, Key, Store, StoreError};

use super::GateError;
use super::book::Book;
use super::evidence::read_document;

/// The largest entry, and the largest declaration, in bytes.
const LARGEST_ENTRY: u64 = 4 << 10;
const LARGEST_DECLARATION: u64 = 1 << 20;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Entry {
    declaration: Sha256,
}

/// The declarations of `source` that were admitted, `latest` being the archive's newest record. Of one that is among
/// them already, those before it.
///
/// # Errors
/// `Forgotten` when an entry says something else than the book; when an entry or a declaration is missing, damaged or malformed; the store's failure.
pub fn load_lineage(
    store: &dyn Store,
    archive: &ArchiveName,
    source: &PackageName,
    candidate: Option<Sha256>,
    latest: Option<&Record>,
) -> Result<Lineage, GateError> {
    let mut before = load_admitted(store, archive, source, latest)?;
    if let Some(at) = before.iter().position(|entry| Some(*entry) == candidate) {
        before.truncate(at);
    }
    let newest = match before.last() {
        None => None,
        Some(sha256) => {
            let bytes = read_document(store, archive, sha256, LARGEST_DECLARATION)?;
            let declared: Declaration =
                json::strict("declaration", &bytes).map_err(GateError::document("declaration"))?;
            Some(Previous {
                declaration: *sha256,
                version: declared.version,
                authorised: declared.authorised,
                threshold: declared.authorised_threshold,
            })
        }
    };
    Ok(Lineage {
        newest,
        admitted: before.into_iter().collect(),
    })
}

/// Adds an admitted candidate's declaration behind those that it was judged by. Safe to do again.
///
/// # Errors
/// `Overtaken` when another declaration of the source was admitted meanwhile; the store's failure.
pub(super) fn append_lineage(
    store: &dyn Store,
    archive: &ArchiveName,
    candidate: &Candidate,
    judged_by: &Evidence,
    latest: Option<&Record>,
) -> Result<(), GateError> {
    let source = &candidate.declaration.source;
    let (Some(declaration), Some(lineage)) = (identity(&candidate.declaration), &judged_by.lineage) else {
        return Ok(());
    };
    let book = in_book(store, archive, source, latest)?;
    put_back(store, archive, source, &book)?;
    loop {
        let now = load_lineage(store, archive, source, None, latest)?;
        if now.admitted.contains(&declaration) {
            return Ok(());
        }
        let said = |previous: &Previous| !previous.authorised.is_empty() || previous.threshold.is_some();
        if now != *lineage && now.newest.as_ref().is_some_and(said) {
            return Err(GateError::Overtaken {
                rule: "S10".to_owned(),
                why: format!("another declaration of `{source}` was admitted meanwhile, and says who may sign next"),
            });
        }
        // Somebody may have been faster once more: each turn, one is.
        if create(store, archive, source, now.admitted.len(), declaration)? == Created::Yes {
            return Ok(());
        }
    }
}

/// Whether a candidate's declaration is among those that the newest record remembers. Where nobody looked at the
/// lineage nothing is to be remembered.
pub(super) fn is_remembered(
    store: &dyn Store,
    archive: &ArchiveName,
    candidate: &Candidate,
    judged_by: &Evidence,
    latest: Option<&Record>,
) -> Result<bool, GateError> {
    let (Some(declaration), Some(_)) = (identity(&candidate.declaration), &judged_by.lineage) else {
        return Ok(true);
    };
    Ok(in_book(store, archive, &candidate.declaration.source, latest)?.contains(&declaration))
}

/// The declarations of `source` that were admitted, in that order.
///
/// # Errors
/// As [`load_lineage`].
pub fn load_admitted(
    store: &dyn Store,
    archive: &ArchiveName,
    source: &PackageName,
    latest: Option<&Record>,
) -> Result<Vec<Sha256>, GateError> {
    let book = in_book(store, archive, source, latest)?;
    let there = store.list(&folder(archive, source))?.len();
    let mut found = Vec::new();
    for n in 0..there.max(book.len()) {
        found.push(match (load_entry(store, archive, source, n)?, book.get(n)) {
            (Some(held), Some(said)) if held != *said => return Err(other(archive, source, n, &held, said)?),
            (Some(held), _) => held,
            (None, Some(said)) => *said,
            (None, None) => return Err(StoreError::Missing(key(archive, source, n)?).into()),
        });
    }
    Ok(found)
}

/// Those of every source, as the store has them.
pub(super) fn all(store: &dyn Store, archive: &ArchiveName) -> Result<BTreeMap<PackageName, Vec<Sha256>>, GateError> {
    let top = format!("state/{archive}/lineage");
    let mut sources = BTreeSet::new();
    for meta in store.list(&top)? {
        let below = meta.key.as_str().strip_prefix(&top).unwrap_or_default();
        let name = below.trim_start_matches('/').split('/').next().unwrap_or_default();
        sources.extend(PackageName::new(name).ok());
    }
    let of = |source: PackageName| {
        let admitted = load_admitted(store, archive, &source, None)?;
        Ok((source, admitted))
    };
    sources.into_iter().map(of).collect()
}

/// Puts back the entries of a source that are lost. Gives how many were made.
pub(super) fn put_back(
    store: &dyn Store,
    archive: &ArchiveName,
    source: &PackageName,
    said: &[Sha256],
) -> Result<u64, GateError> {
    let mut made: u64 = 0;
    for (n, declaration) in said.iter().enumerate() {
        match load_entry(store, archive, source, n)? {
            Some(held) if held == *declaration => continue,
            Some(held) => return Err(other(archive, source, n, &held, declaration)?),
            None => {}
        }
        if create(store, archive, source, n, *declaration)? == Created::Yes {
            made = made.saturating_add(1);
        }
    }
    Ok(made)
}

/// The declaration of an entry; none when it is not there.
fn load_entry(
    store: &dyn Store,
    archive: &ArchiveName,
    source: &PackageName,
    n: usize,
) -> Result<Option<Sha256>, GateError> {
    let key = key(archive, source, n)?;
    let bytes = match store.get(&key, LARGEST_ENTRY) {
        Err(StoreError::Missing(_)) => return Ok(None),
        other => other?,
    };
    let entry: Entry = json::strict("lineage", &bytes).map_err(GateError::document(&key))?;
    Ok(Some(entry.declaration))
}

fn create(
    store: &dyn Store,
    archive: &ArchiveName,
    source: &PackageName,
    n: usize,
    declaration: Sha256,
) -> Result<Created, GateError> {
    let key = key(archive, source, n)?;
    let bytes = json::canonical("lineage", &Entry { declaration }).map_err(GateError::document(&key))?;
    Ok(store.create(&key, &bytes)?)
}

/// What the book says of a source.
fn in_book(
    store: &dyn Store,
    archive: &ArchiveName,
    source: &PackageName,
    latest: Option<&Record>,
) -> Result<Vec<Sha256>, GateError> {
    let page = Book::of(store, archive, latest)?.about(&BTreeSet::from([source.as_str()]))?;
    Ok(page.lineages.get(source).cloned().unwrap_or_default())
}

/// An entry that says something else than the book.
fn other(
    archive: &ArchiveName,
    source: &PackageName,
    n: usize,
    held: &Sha256,
    said: &Sha256,
) -> Result<GateError, GateError> {
    let key = key(archive, source, n)?;
    Ok(GateError::forgotten(&key, held, said))
}

/// Where the store keeps the lineage of a source.
#[must_use]
pub fn folder(archive: &ArchiveName, source: &PackageName) -> String {
    format!("state/{archive}/lineage/{source}")
}

fn key(archive: &ArchiveName, source: &PackageName, n: usize) -> Result<Key, GateError> {
    Ok(Key::new(format!("{}/{n}.json", folder(archive, source)))?)
}
