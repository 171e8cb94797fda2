//! Indexes that were selected from upstream's own: every stanza is one that upstream signed, byte for byte.

use std::collections::BTreeMap;

use super::hashing::Damaged;
use super::objects::intact;
use super::pool::{package_indexes, stem};
use super::{Anchor, Problem};
use crate::domain::{ArchiveName, Digest, Sha256, escape};
use crate::format::deb822::Stanzas;
use crate::snapshot::{IndexFile, SnapshotError, SuiteState, UpstreamRelease, each_chunk, index_key, read_plain_index};
use crate::store::{Key, Store};

/// Whether an index was selected from upstream's own, which are its evidence.
pub(super) fn is_selected(upstream: &UpstreamRelease, index: &IndexFile) -> bool {
    let path = stem(index);
    !upstream.indexes.is_empty() && matches!(path.rsplit('/').next(), Some("Packages" | "Sources"))
}

/// What does not hold of the selected indexes of a suite. That upstream signed the evidence is
/// checked elsewhere.
pub(super) fn selected_problems(
    store: &dyn Store,
    anchor: &Anchor,
    state: &SuiteState,
    upstream: &UpstreamRelease,
    damaged: &Damaged,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    if upstream.indexes.is_empty() {
        return problems;
    }
    for forms in package_indexes(state) {
        let Some((key, text)) = intact(store, &anchor.name, &state.suite, &forms) else {
            let unreadable = forms.iter().map(|index| index_key(&anchor.name, &state.suite, index));
            if !unreadable.clone().any(|key| damaged.has(&key)) {
                let why = "it is in no form that can be read";
                problems.extend(unreadable.take(1).map(|key| Problem::new(Problem::INDEX, key, why)));
            }
            continue;
        };
        problems.extend(differing_forms(store, (&anchor.name, state), &forms, &text, damaged));
        let path = forms.first().map_or("", |index| stem(index));
        match unsigned(store, anchor, state, upstream, path, &text) {
            Ok(packages) => problems.extend(packages.into_iter().map(|package| {
                let why = format!("the stanza of `{}` is not one that upstream signed", escape(&package));
                Problem::new(Problem::UPSTREAM, &key, why)
            })),
            Err(why) => problems.push(Problem::new(Problem::INDEX, &key, why)),
        }
    }
    problems
}

/// The packages whose stanzas are in no evidence of the same index.
fn unsigned(
    store: &dyn Store,
    anchor: &Anchor,
    state: &SuiteState,
    upstream: &UpstreamRelease,
    path: &str,
    text: &[u8],
) -> Result<Vec<String>, SnapshotError> {
    let mut ours: BTreeMap<Sha256, String> = BTreeMap::new();
    for stanza in Stanzas::new(text) {
        let stanza = stanza.map_err(|error| SnapshotError::suite(&state.suite, error.to_string()))?;
        let name = stanza.field("Package").unwrap_or_default().to_owned();
        ours.insert(Sha256::of(stanza.bytes()), name);
    }
    for index in upstream
        .indexes
        .iter()
        .filter(|index| index.kept && stem(index) == path)
    {
        if ours.is_empty() {
            break;
        }
        let malformed = |source| SnapshotError::Record {
            key: index_key(&anchor.name, &state.suite, index),
            source,
        };
        each_chunk(store, &anchor.name, &state.suite, index, &mut |chunk| {
            for stanza in Stanzas::new(chunk) {
                ours.remove(&Sha256::of(stanza.map_err(malformed)?.bytes()));
            }
            Ok::<_, SnapshotError>(())
        })?;
    }
    Ok(ours.into_values().collect())
}

/// Clients choose among the forms of an index: each must be the same text.
pub(super) fn differing_forms(
    store: &dyn Store,
    (archive, state): (&ArchiveName, &SuiteState),
    forms: &[&IndexFile],
    text: &[u8],
    damaged: &Damaged,
) -> Vec<Problem> {
    let plain = Digest::of(text);
    let same = |index: &IndexFile, key: &Key| {
        if index.path.as_str() == stem(index) {
            index.digest == plain
        } else if index.kept && !damaged.has(key) {
            read_plain_index(store, archive, &state.suite, index).is_ok_and(|other| other == text)
        } else {
            index.kept
        }
    };
    let mut problems = Vec::new();
    for index in forms {
        let key = index_key(archive, &state.suite, index);
        if !same(index, &key) {
            let why = format!("`{}` is not the text of its other forms", index.path);
            problems.push(Problem::new(Problem::INDEX, key, why));
        }
    }
    problems
}
