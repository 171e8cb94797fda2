//! What the gate signed of each source, refusals too, by the source's name, so that it is heard before the next decision:
//! `state/<archive>/heard/<source>/<decision>`, until the book of the newest record has it ([`super::Book`]), which is signed.
//!
//! A refusal makes no snapshot, so the next one of any source remembers it. Until then whoever may write to the store can take
//! it away; but the machine that signed it keeps a note of its own ([`Journal`]), in the site's cache, which is not the store's.
//! Objects below `heard` go once a record has them; a crash before that leaves them, and the next snapshot does it again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::domain::{ArchiveName, PackageName, Sha256};
use crate::format::intoto::Summary;
use crate::host::files;
use crate::store::{Key, Store, StoreError};
use crate::trust::Ed25519Public;

use super::admit::list_key;
use super::book::Book;
use super::repeat::{load_decision, named_inputs, noted_decisions};
use super::{GateError, evidence::create_or_same};

/// Decisions by source.
pub(super) type BySource = BTreeMap<PackageName, BTreeSet<Sha256>>;

/// Lists a decision under its source. To be done after its document is kept.
pub(super) fn note(store: &dyn Store, archive: &ArchiveName, source: &str, decision: &Sha256) -> Result<(), GateError> {
    Ok(create_or_same(store, &key(archive, source, decision)?, b"")?)
}

/// Where a decision is listed under its source.
pub(super) fn key(archive: &ArchiveName, source: &str, decision: &Sha256) -> Result<Key, GateError> {
    Ok(Key::new(format!("state/{archive}/heard/{source}/{decision}"))?)
}

/// Where a decision is listed beside: under its declaration, or with those on imports.
pub(super) fn listed_key(
    archive: &ArchiveName,
    summary: &Summary,
    decision: &Sha256,
) -> Result<Option<Key>, StoreError> {
    let inputs = named_inputs(summary).unwrap_or_default();
    let declaration = inputs.iter().find(|(name, _)| name == "declaration");
    let is_import = summary.assay_import.is_some();
    list_key(archive, declaration.map(|(_, sha256)| sha256), is_import, decision)
}

/// Whether a decision is listed under its source there.
pub(super) fn is_key(key: &Key) -> bool {
    key.as_str().split('/').nth(2) == Some("heard")
}

/// The decisions on a source that no record remembers yet.
pub(super) fn waiting(
    store: &dyn Store,
    archive: &ArchiveName,
    source: &PackageName,
) -> Result<BTreeSet<Sha256>, GateError> {
    let listed = store.list(&format!("state/{archive}/heard/{source}"))?;
    Ok(listed.iter().filter_map(|meta| meta.key.named_sha256()).collect())
}

/// What the next record remembers of decisions, and what goes once it is there. Only what the gate signed is remembered: whoever
/// writes a name here must not have it signed. Of an archive whose book has none yet, all that were ever listed.
///
/// What was listed here alone, since its writer was killed then, is listed with the others first: nobody does it later.
pub(super) fn to_remember(
    store: &dyn Store,
    archive: &ArchiveName,
    book: &Book<'_>,
    gate: &Ed25519Public,
) -> Result<(BySource, Vec<Key>), GateError> {
    let (mut found, mut done) = (BySource::new(), Vec::new());
    let mut remember = |sha256: Sha256| -> Option<Summary> {
        // What cannot be read is for whoever asks about that source, and for `verify`.
        let signed = load_decision(store, archive, &sha256, gate).ok()?;
        let source = about(&signed.predicate, archive)?;
        found.entry(source).or_default().insert(sha256);
        Some(signed.predicate)
    };
    for meta in store.list(&format!("state/{archive}/heard"))? {
        let Some(sha256) = meta.key.named_sha256() else {
            continue;
        };
        if let Some(summary) = remember(sha256) {
            if let Some(key) = listed_key(archive, &summary, &sha256)? {
                create_or_same(store, &key, b"")?;
            }
            done.push(meta.key);
        }
    }
    if !book.knows_decisions() {
        for sha256 in noted_decisions(store, archive)? {
            remember(sha256);
        }
    }
    Ok((found, done))
}

/// The source that a decision is about, when it is of this archive.
pub(super) fn about(summary: &Summary, archive: &ArchiveName) -> Option<PackageName> {
    let binding = &summary.assay_binding;
    let ours = binding.archive == archive.as_str();
    PackageName::new(&binding.source).ok().filter(|_| ours)
}

/// What the gate signed on this machine, or met when it decided here: empty files, by archive and source. It is no part of the
/// store, so who may write there cannot shorten it; delete it to have the gate forget on purpose.
#[derive(Debug, Clone, Copy)]
pub struct Journal<'a>(pub &'a Path);

impl Journal<'_> {
    /// Where it is kept for a source.
    pub(super) fn folder(&self, archive: &ArchiveName, source: &PackageName) -> PathBuf {
        self.0.join(archive.as_str()).join(source.as_str())
    }

    /// Adds a decision.
    pub(super) fn add(&self, archive: &ArchiveName, source: &PackageName, decision: &Sha256) -> Result<(), GateError> {
        let path = self.folder(archive, source).join(decision.hex());
        if !files::exists(&path) {
            files::create_folder(&self.folder(archive, source))?;
            files::write(&path, b"")?;
        }
        Ok(())
    }

    /// The decisions on a source.
    pub(super) fn of(&self, archive: &ArchiveName, source: &PackageName) -> Result<BTreeSet<Sha256>, GateError> {
        let folder = self.folder(archive, source);
        if !files::is_folder(&folder) {
            return Ok(BTreeSet::new());
        }
        let names = files::list(&folder)?;
        let digest = |path: PathBuf| path.file_name()?.to_str()?.parse().ok();
        Ok(names.into_iter().filter_map(digest).collect())
    }
}
