//! What is in the state of an archive without use: files that wait for nothing, signatures of nothing.

use std::collections::BTreeSet;
use std::path::Path;

use super::{CollectError, Collection};
use crate::domain::{ArchiveName, Sha256};
use crate::format::dsse::{self, Envelope};
use crate::host::Clock;
use crate::publish::read_document;
use crate::rebuild::read_statement;
use crate::site::Site;
use crate::source::Declaration;
use crate::store::{Meta, Store};

/// A signature is written before what it signs: so young it may still come.
const YOUNG: i64 = 86_400;
/// The largest entry of an archive's state, in bytes.
const LARGEST: u64 = 64 << 20;

/// The outputs that records of rebuilds name for sources that the site declares now: they may still be
/// decided on. None when a record cannot be read: then nothing that is held may go.
///
/// # Errors
/// When a declaration cannot be read; the store's failure.
pub fn waiting(
    site: &Site,
    store: &dyn Store,
    archive: &ArchiveName,
) -> Result<Option<BTreeSet<Sha256>>, CollectError> {
    let mut found = BTreeSet::new();
    for source in site.declared(archive)? {
        let path = site.declaration_path(archive, &source);
        let identity = declaration(&path)?;
        for meta in store.list(&format!("state/{archive}/evidence/{identity}"))? {
            let name = meta.key.as_str().rsplit('/').next().unwrap_or_default();
            let Ok(record) = name.parse::<Sha256>() else { continue };
            let Some(outputs) = outputs(store, archive, &record) else {
                return Ok(None);
            };
            found.extend(outputs);
        }
    }
    Ok(Some(found))
}

fn declaration(path: &Path) -> Result<Sha256, CollectError> {
    let read = Declaration::load(path).and_then(|declaration| declaration.identity());
    read.map_err(|source| CollectError::Declaration(Box::new(source)))
}

fn outputs(store: &dyn Store, archive: &ArchiveName, record: &Sha256) -> Option<Vec<Sha256>> {
    let bytes = read_document(store, archive, record, dsse::LARGEST).ok()?;
    let statement = read_statement(&Envelope::parse(&bytes).ok()?.payload).ok()?;
    let digests = statement
        .subject
        .iter()
        .filter_map(|subject| subject.digest.get("sha256"));
    digests.map(|hex| hex.parse().ok()).collect()
}

/// Held files that are old and wait for nothing.
pub(super) fn stale_held(what: &Collection<'_>) -> Result<Vec<Meta>, CollectError> {
    let Some(waiting) = &what.waiting else {
        return Ok(Vec::new());
    };
    let age = i64::from(what.held_days).saturating_mul(86_400);
    let mut metas = what.store.list(&format!("state/{}/held/sha256", what.archive))?;
    metas.retain(|meta| {
        let name = meta.key.as_str().rsplit('/').next().unwrap_or_default();
        let waits = name.parse::<Sha256>().is_ok_and(|sha256| waiting.contains(&sha256));
        !waits && what.made.now.since(meta.modified) > age
    });
    Ok(metas)
}

/// Signatures whose entry a crash kept from being made.
pub(super) fn orphaned_signatures(what: &Collection<'_>) -> Result<Vec<Meta>, CollectError> {
    let prefix = format!("state/{}", what.archive);
    let (signatures, entry) = (format!("{prefix}/signatures/"), [".json"]);
    let (mut found, mut entries) = (Vec::new(), Vec::new());
    what.store.visit(&prefix, &mut |meta| {
        let name = meta.key.as_str();
        if name.starts_with(&signatures) {
            found.push(meta);
        } else if entry.iter().any(|ending| name.ends_with(ending)) && !name.contains("/working/") {
            entries.push(meta.key);
        }
    })?;
    // Each entry has one: most of the time there is nothing to look for.
    if found.len() <= entries.len() {
        return Ok(Vec::new());
    }
    let mut signed = BTreeSet::new();
    for key in entries {
        signed.insert(Sha256::of(&what.store.get(&key, LARGEST)?));
    }
    let now = Clock::System.now();
    found.retain(|meta| {
        let name = meta.key.as_str().rsplit('/').next().unwrap_or_default();
        let orphan = name.parse::<Sha256>().is_ok_and(|sha256| !signed.contains(&sha256));
        orphan && now.since(meta.modified) > YOUNG
    });
    found.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(found)
}
