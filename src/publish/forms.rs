//! Staging an index in all its forms. What is in the state before is taken from there: an index that is
//! the same is not even read, and of one that is not, only what changed is compressed.

use std::cell::LazyCell;
use std::collections::BTreeSet;

use super::GateError;
use super::stage::stage_as;
use crate::domain::{ArchiveName, Digest, Milestones, RelPath, SuiteName};
use crate::index::{Before, Common, Cut, blocks, index_path, packed};
use crate::site::IndexForm;
use crate::snapshot::{IndexFile, SuiteState, index_key, read_index_marked};
use crate::store::{Store, StoreError};

/// The state that a suite was in, with the text that an index had in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Was<'a> {
    /// The state.
    pub(super) state: &'a SuiteState,
    /// The text.
    pub(super) text: &'a [u8],
    /// The milestones of its hash, where it was read as it stands.
    pub(super) milestones: Option<&'a Milestones>,
}

/// Keeps an index by hash, in each form and plain. A plain Contents, which nobody reads and is large, is only
/// listed.
///
/// # Errors
/// When a compressor has no memory; the store's failure.
pub(super) fn stage_forms(
    store: &dyn Store,
    (archive, suite): (&ArchiveName, &SuiteName),
    (path, text): (RelPath, &[u8]),
    forms: &BTreeSet<IndexForm>,
    was: Option<Was<'_>>,
) -> Result<Vec<IndexFile>, GateError> {
    let there = |path: &RelPath| {
        let indexes = was.iter().flat_map(|was| &was.state.indexes);
        indexes.into_iter().find(|index| index.kept && index.path == *path)
    };
    let same = was.is_some_and(|was| was.text == text);
    let cut = cut(&path);
    let blocks = LazyCell::new(|| blocks(text, cut));
    let common = LazyCell::new(|| was.map(|was| Common::of(was.text, text)).unwrap_or_default());
    let mut staged = Vec::new();
    for form in forms {
        let compression = form.compression();
        let path = index_path(format!("{path}{}", compression.extension()))?;
        let known = there(&path);
        if let Some(known) = known.filter(|_| same)
            && is_there(store, archive, suite, known)?
        {
            staged.push(known.clone());
            continue;
        }
        // What is missing or damaged there is made anew; `verify` is who reports it.
        let old = known.and_then(|index| read_index_marked(store, archive, suite, index).ok());
        let before = was.zip(old.as_ref()).map(|(was, (packed, _))| Before {
            text: was.text,
            packed,
            common: *common,
        });
        let bytes = packed(compression, (text, &blocks), before)?.bytes;
        let digest = match &old {
            Some((old, milestones)) => milestones.digest(&bytes, Common::of(old, &bytes).prefix),
            None => Digest::of(&bytes),
        };
        staged.push(stage_as(store, (archive, suite), path, digest, &bytes)?);
    }
    let digest = match was.and_then(|was| was.milestones) {
        Some(milestones) => milestones.digest(text, common.prefix),
        None => Digest::of(text),
    };
    // The plain text is there for simple tools, whose indexes are Packages and Sources.
    let kept = forms.is_empty() || cut == Cut::Stanzas;
    staged.push(if kept {
        stage_as(store, (archive, suite), path, digest, text)?
    } else {
        IndexFile { path, digest, kept }
    });
    Ok(staged)
}

fn is_there(
    store: &dyn Store,
    archive: &ArchiveName,
    suite: &SuiteName,
    index: &IndexFile,
) -> Result<bool, StoreError> {
    let found = store.head(&index_key(archive, suite, index))?;
    Ok(found.is_some_and(|meta| meta.size == index.digest.size))
}

/// Where blocks of an index may begin.
fn cut(path: &RelPath) -> Cut {
    if path.file_name().starts_with("Contents-") {
        Cut::Lines
    } else {
        Cut::Stanzas
    }
}

/// Whether every Packages and Sources file of a suite has these forms and no other.
pub(super) fn has_forms(state: &SuiteState, forms: &BTreeSet<IndexForm>) -> bool {
    let all = [IndexForm::Gz, IndexForm::Xz, IndexForm::Zst];
    let paths: BTreeSet<&str> = state.indexes.iter().map(|index| index.path.as_str()).collect();
    let plain = paths
        .iter()
        .filter(|path| path.ends_with("/Packages") || path.ends_with("/Sources"));
    plain.into_iter().all(|path| {
        let has = |form: IndexForm| paths.contains(format!("{path}{}", form.compression().extension()).as_str());
        all.into_iter().all(|form| has(form) == forms.contains(&form))
    })
}
