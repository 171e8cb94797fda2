//! Which declarations of a source were admitted, one after the other: `state/<archive>/lineage/<source>/<n>.json`.
//!
//! Each entry is created if absent, before the snapshot that needs it, and never changed: so there is one
//! successor of each, and who may sign the next is what the last one says (rule S10). A crash between an
//! entry and its snapshot leaves an entry of what was decided to be admitted, which doing it again uses.

use serde::{Deserialize, Serialize};

use crate::admission::{Candidate, Evidence, Lineage, Previous, identity};
use crate::domain::{ArchiveName, PackageName, Sha256};
use crate::format::json;
use crate::source::Declaration;
use crate::store::{Created, Key, Store};

use super::GateError;
use super::evidence::read_document;

/// The largest entry, and the largest declaration, in bytes.
const LARGEST_ENTRY: u64 = 4 << 10;
const LARGEST_DECLARATION: u64 = 1 << 20;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Entry {
    declaration: Sha256,
}

/// The declarations of `source` that were admitted. Of one that is among them already, those before it.
///
/// # Errors
/// When an entry or a declaration is missing, damaged or malformed; the store's failure.
pub fn load_lineage(
    store: &dyn Store,
    archive: &ArchiveName,
    source: &PackageName,
    candidate: Option<Sha256>,
) -> Result<Lineage, GateError> {
    let mut before = entries(store, archive, source)?;
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
) -> Result<(), GateError> {
    let source = &candidate.declaration.source;
    let (Some(declaration), Some(lineage)) = (identity(&candidate.declaration), &judged_by.lineage) else {
        return Ok(());
    };
    loop {
        let now = load_lineage(store, archive, source, None)?;
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
        let key = key(archive, source, now.admitted.len())?;
        let bytes = json::canonical("lineage", &Entry { declaration }).map_err(GateError::document(&key))?;
        // Somebody may have been faster once more: each turn, one is.
        if store.create(&key, &bytes)? == Created::Yes {
            return Ok(());
        }
    }
}

/// Whether a candidate's declaration is among those that were admitted.
pub(super) fn is_in_lineage(
    store: &dyn Store,
    archive: &ArchiveName,
    candidate: &Candidate,
) -> Result<bool, GateError> {
    let declaration = identity(&candidate.declaration);
    let admitted = entries(store, archive, &candidate.declaration.source)?;
    Ok(declaration.is_some_and(|declaration| admitted.contains(&declaration)))
}

/// In the order in which they were admitted.
fn entries(store: &dyn Store, archive: &ArchiveName, source: &PackageName) -> Result<Vec<Sha256>, GateError> {
    let mut found = Vec::new();
    for n in 0..store.list(&prefix(archive, source))?.len() {
        let key = key(archive, source, n)?;
        let bytes = store.get(&key, LARGEST_ENTRY)?;
        let entry: Entry = json::strict("lineage", &bytes).map_err(GateError::document(&key))?;
        found.push(entry.declaration);
    }
    Ok(found)
}

fn prefix(archive: &ArchiveName, source: &PackageName) -> String {
    format!("state/{archive}/lineage/{source}")
}

fn key(archive: &ArchiveName, source: &PackageName, n: usize) -> Result<Key, GateError> {
    Ok(Key::new(format!("{}/{n}.json", prefix(archive, source)))?)
}
