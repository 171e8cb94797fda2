//! Contents of custom archives: made again from the packages themselves.

use std::collections::{BTreeMap, BTreeSet};

use super::hashing::Damaged;
use super::objects::intact;
use super::pool::stem;
use super::selected::differing_forms;
use super::{Anchor, Problem};
use crate::domain::Sha256;
use crate::index::{FileList, contents, contents_path};
use crate::snapshot::{IndexFile, SuiteState, index_key};
use crate::store::Store;

/// Whether an index is a Contents.
pub(super) fn is_contents(index: &IndexFile) -> bool {
    stem(index)
        .rsplit('/')
        .next()
        .is_some_and(|name| name.starts_with("Contents-"))
}

/// What does not hold of the Contents of a suite. `packages` are the .debs that each Packages index lists, and
/// `lists` the files of those that are whole. A suite has all of its Contents, or none.
pub(super) fn contents_problems(
    store: &dyn Store,
    (anchor, state): (&Anchor, &SuiteState),
    packages: &BTreeMap<String, Vec<Sha256>>,
    lists: &BTreeMap<Sha256, FileList>,
    damaged: &Damaged,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut by_stem: BTreeMap<&str, Vec<&IndexFile>> = BTreeMap::new();
    for index in state.indexes.iter().filter(|index| is_contents(index)) {
        by_stem.entry(stem(index)).or_default().push(index);
    }
    if by_stem.is_empty() {
        return problems;
    }
    let ours: BTreeSet<String> = packages.keys().filter_map(|path| contents_path(path)).collect();
    for (path, forms) in by_stem.iter().filter(|(path, _)| !ours.contains(**path)) {
        let why = format!("`{path}` is of no Packages index");
        let key = forms
            .iter()
            .map(|index| index_key(&anchor.name, &state.suite, index))
            .take(1);
        problems.extend(key.map(|key| Problem::new(Problem::INDEX, key, &why)));
    }
    for (path, debs) in packages
        .iter()
        .filter_map(|(path, debs)| Some((contents_path(path)?, debs)))
    {
        let Some(forms) = by_stem.get(path.as_str()) else {
            let place = format!("{}/dists/{}/{path}", anchor.name, state.suite);
            problems.push(Problem::new(
                Problem::INDEX,
                place,
                "other Contents are there, and this one is not",
            ));
            continue;
        };
        let Some((key, text)) = intact(store, &anchor.name, &state.suite, forms) else {
            let unreadable = forms.iter().map(|index| index_key(&anchor.name, &state.suite, index));
            if !unreadable.clone().any(|key| damaged.has(&key)) {
                let why = "it is in no form that can be read";
                problems.extend(unreadable.take(1).map(|key| Problem::new(Problem::INDEX, key, why)));
            }
            continue;
        };
        problems.extend(differing_forms(store, (&anchor.name, state), forms, &text, damaged));
        let known: Option<Vec<&FileList>> = debs.iter().map(|deb| lists.get(deb)).collect();
        // Of a package that is damaged nobody knows what it had.
        let made = known.map(|lists| contents(b"", &BTreeSet::new(), &lists));
        if made.is_some_and(|made| made.ok().as_deref() != Some(text.as_slice())) {
            problems.push(Problem::new(Problem::INDEX, key, "it is not what the packages have"));
        }
    }
    problems
}
