//! Translation-en of custom archives: made again from the descriptions of the packages themselves.

use std::collections::BTreeMap;

use super::hashing::Damaged;
use super::objects::intact;
use super::pool::stem;
use super::selected::differing_forms;
use super::{Anchor, Problem};
use crate::index::{Descriptions, translation_path};
use crate::snapshot::{IndexFile, SuiteState, index_key};
use crate::store::Store;

/// Whether a suite has its long descriptions in Translation-en.
pub(super) fn is_translated(state: &SuiteState) -> bool {
    state.indexes.iter().any(is_translation)
}

fn is_translation(index: &IndexFile) -> bool {
    stem(index).ends_with("/i18n/Translation-en")
}

/// What does not hold of the Translation-en of a suite, which each of its components has. `packages` are its Packages texts by
/// path, and `known` the descriptions of the packages that are whole.
pub(super) fn translation_problems(
    store: &dyn Store,
    (anchor, state): (&Anchor, &SuiteState),
    packages: &BTreeMap<String, Vec<u8>>,
    known: &Descriptions,
    damaged: &Damaged,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    for component in state.components.iter().filter(|_| is_translated(state)) {
        let path = translation_path(component);
        let forms: Vec<&IndexFile> = state.indexes.iter().filter(|index| stem(index) == path).collect();
        let keys = forms.iter().map(|index| index_key(&anchor.name, &state.suite, index));
        let Some((key, text)) = intact(store, &anchor.name, &state.suite, &forms) else {
            if !keys.clone().any(|key| damaged.has(&key)) {
                let place = format!("{}/dists/{}/{path}", anchor.name, state.suite);
                problems.push(Problem::new(Problem::INDEX, place, "it is in no form that can be read"));
            }
            continue;
        };
        problems.extend(differing_forms(store, (&anchor.name, state), &forms, &text, damaged));
        let folder = format!("{component}/binary-");
        let here = packages.iter().filter(|(path, _)| path.starts_with(&folder));
        // Of a package that is damaged nobody knows the description, and a stanza with another one is reported itself.
        let made = known.index_of(here.map(|(_, text)| text.as_slice()));
        if made.is_ok_and(|made| made != text) {
            problems.push(Problem::new(Problem::INDEX, key, "it is not what the packages say"));
        }
    }
    problems
}
