//! What is in the state of an archive without use: files that wait for nothing, signatures of nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{CollectError, Collection};
use crate::domain::{ArchiveName, PackageName, Sha256};
use crate::format::dsse::{self, Envelope};
use crate::host::Clock;
use crate::publish::read_document;
use crate::rebuild::read_statement;
use crate::site::Site;
use crate::source::Declaration;
use crate::store::{Key, Meta, Store};

/// A signature is written before what it signs: so young it may still come.
const YOUNG: i64 = 86_400;
/// The largest entry of an archive's state, in bytes.
const LARGEST: u64 = 64 << 20;

/// An output that a record names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Awaited {
    /// The source package that it was built of.
    pub source: PackageName,
    /// Its file name.
    pub file: String,
}

/// The outputs that records of rebuilds name for sources that the site declares now: they may still be
/// decided on. None when a record cannot be read: then nothing that is held may go.
///
/// # Errors
/// When a declaration cannot be read; the store's failure.
pub fn waiting(
    site: &Site,
    store: &dyn Store,
    archive: &ArchiveName,
) -> Result<Option<BTreeMap<Sha256, Awaited>>, CollectError> {
    let mut found = BTreeMap::new();
    for source in site.declared(archive)? {
        let path = site.declaration_path(archive, &source);
        let identity = declaration(&path)?;
        for meta in store.list(&format!("state/{archive}/evidence/{identity}"))? {
            let Some(record) = meta.key.named_sha256() else {
                continue;
            };
            let Some(outputs) = outputs(store, archive, &record) else {
                return Ok(None);
            };
            let of = |file| Awaited {
                source: source.clone(),
                file,
            };
            found.extend(outputs.into_iter().map(|(file, sha256)| (sha256, of(file))));
        }
    }
    Ok(Some(found))
}

/// What waits and is not held any more: the gate reads each output when it decides. Nothing when a record cannot be read.
///
/// # Errors
/// As [`waiting`].
pub fn unheld(site: &Site, store: &dyn Store, archive: &ArchiveName) -> Result<Vec<(Key, Awaited)>, CollectError> {
    let Some(mut waiting) = waiting(site, store, archive)? else {
        return Ok(Vec::new());
    };
    // Listed after the records: outputs are held before a record names them.
    store.visit(&held(archive), &mut |meta| {
        if let Some(sha256) = meta.key.named_sha256() {
            waiting.remove(&sha256);
        }
    })?;
    let gone = waiting.into_iter();
    Ok(gone
        .map(|(sha256, awaited)| (Key::held(archive, &sha256), awaited))
        .collect())
}

fn held(archive: &ArchiveName) -> String {
    format!("state/{archive}/held/sha256")
}

fn declaration(path: &Path) -> Result<Sha256, CollectError> {
    let read = Declaration::load(path).and_then(|declaration| declaration.identity());
    read.map_err(|source| CollectError::Declaration(Box::new(source)))
}

fn outputs(store: &dyn Store, archive: &ArchiveName, record: &Sha256) -> Option<Vec<(String, Sha256)>> {
    let bytes = read_document(store, archive, record, dsse::LARGEST).ok()?;
    let statement = read_statement(&Envelope::parse(&bytes).ok()?.payload).ok()?;
    let outputs = statement.subject.into_iter();
    outputs
        .filter_map(|output| Some((output.digest.get("sha256")?.parse().ok(), output.name)))
        .map(|(sha256, name)| Some((name, sha256?)))
        .collect()
}

/// Held files that are old and wait for nothing.
pub(super) fn stale_held(what: &Collection<'_>) -> Result<Vec<Meta>, CollectError> {
    let Some(waiting) = &what.waiting else {
        return Ok(Vec::new());
    };
    let age = i64::from(what.held_days).saturating_mul(86_400);
    let mut metas = what.store.list(&held(what.archive))?;
    metas.retain(|meta| {
        let waits = meta.key.named_sha256().is_some_and(|sha256| waiting.contains(&sha256));
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
    // Each entry has one: most of the time there is nothing to look for. A copy of a mark is none of its own.
    let copies = entries.iter().filter(|key| key.as_str().contains("/said/")).count();
    if found.len() <= entries.len().saturating_sub(copies) {
        return Ok(Vec::new());
    }
    let mut signed = BTreeSet::new();
    for key in entries {
        signed.insert(Sha256::of(&what.store.get(&key, LARGEST)?));
    }
    let now = Clock::System.now();
    found.retain(|meta| {
        let orphan = meta.key.named_sha256().is_some_and(|sha256| !signed.contains(&sha256));
        orphan && now.since(meta.modified) > YOUNG
    });
    found.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(found)
}
