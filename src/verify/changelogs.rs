//! Changelogs of archives of ours: each that is listed is that of its package, where `apt changelog` looks for it; and each
//! package that has one of its own has it there.

use std::collections::BTreeMap;

use super::hashing::Damaged;
use super::objects::intact;
use super::pool::{named, stem};
use super::selected::differing_forms;
use super::{Anchor, Problem};
use crate::domain::{Component, Digest, Sha256};
use crate::format::deb::{DebLimits, read_deb_keeping};
use crate::format::deb822::Stanzas;
use crate::format::packages::Binary;
use crate::index::{CHANGELOGS, changelog_of, changelog_place, changelogs_path, may_be_changelog, read_changelogs};
use crate::snapshot::{SuiteState, index_key};
use crate::store::{Key, Store, hash_stream};

/// The changelogs of packages that were read, by the hash of each package.
pub(super) type Known = BTreeMap<Sha256, Option<Digest>>;

/// What does not hold of the changelogs of a suite, whose Packages are these texts. It has them for each component, or
/// none.
pub(super) fn changelog_problems(
    store: &dyn Store,
    (anchor, state): (&Anchor, &SuiteState),
    texts: &BTreeMap<String, Vec<u8>>,
    damaged: &Damaged,
    known: &mut Known,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    for forms in named(state, &[CHANGELOGS]) {
        let path = forms.first().map_or("", |index| stem(index));
        let component = state
            .components
            .iter()
            .find(|component| changelogs_path(component) == path);
        let Some((key, text)) = intact(store, &anchor.name, &state.suite, &forms) else {
            let mut keys = forms.iter().map(|index| index_key(&anchor.name, &state.suite, index));
            if !keys.clone().any(|key| damaged.has(&key)) {
                let why = "it is in no form that can be read";
                problems.extend(keys.next().map(|key| Problem::new(Problem::INDEX, key, why)));
            }
            continue;
        };
        problems.extend(differing_forms(store, (&anchor.name, state), &forms, &text, damaged));
        let checked = match component {
            None => Err(format!("`{path}` is of no component")),
            Some(component) => of_component(store, anchor, (component, texts), &text, damaged, known),
        };
        problems.extend(checked.err().map(|why| Problem::new(Problem::INDEX, key, why)));
    }
    problems
}

fn of_component(
    store: &dyn Store,
    anchor: &Anchor,
    (component, texts): (&Component, &BTreeMap<String, Vec<u8>>),
    index: &[u8],
    damaged: &Damaged,
    known: &mut Known,
) -> Result<(), String> {
    let mut listed = read_changelogs(index).map_err(|error| error.to_string())?;
    let there: std::collections::BTreeSet<_> = listed.values().map(|(path, _)| path.clone()).collect();
    let folder = format!("{component}/binary-");
    let mut packages = BTreeMap::new();
    for (_, text) in texts.iter().filter(|(path, _)| path.starts_with(&folder)) {
        for binary in Stanzas::new(text)
            .flatten()
            .filter_map(|stanza| Binary::from_stanza(&stanza).ok())
        {
            let key = (
                binary.package.clone(),
                binary.version.clone(),
                binary.architecture.clone(),
            );
            if binary.filename.as_str().ends_with(".deb") {
                packages.insert(key, binary);
            }
        }
    }
    for (key, binary) in packages {
        let row = listed.remove(&key);
        let pool = Key::pool(&anchor.name, &binary.filename);
        if damaged.has(&pool) {
            continue;
        }
        let own = match known.get(&binary.digest.sha256) {
            Some(own) => *own,
            None => {
                let stream = store.open(&pool).map_err(|error| error.to_string())?;
                let deb = read_deb_keeping(stream, &DebLimits::default(), &may_be_changelog);
                let deb = deb.map_err(|error| format!("`{pool}`: {error}"))?;
                let own = changelog_of(&deb).map(|text| Digest::of(&text));
                known.insert(binary.digest.sha256, own);
                own
            }
        };
        let place = changelog_place(component, &binary.source, &binary.source_version);
        let place = place.map_err(|error| error.to_string())?;
        match (row, own) {
            (Some((path, digest)), Some(own)) if path == place && digest == own => {}
            (None, None) => {}
            // Of several packages of one source one gives it.
            (None, Some(_)) if there.contains(&place) => {}
            // Something else of that name came before.
            (None, Some(own)) if is_other(store, &Key::pool(&anchor.name, &place), &own) => {}
            (Some(_), _) => {
                return Err(format!(
                    "what it lists of `{}` is not that package's changelog",
                    binary.package
                ));
            }
            (None, Some(_)) => return Err(format!("it lacks the changelog of `{}`", binary.package)),
        }
    }
    match listed.keys().next() {
        None => Ok(()),
        Some((package, version, _)) => Err(format!("no package `{package}` {version} is listed beside it")),
    }
}

/// Whether there is something else than this changelog.
fn is_other(store: &dyn Store, key: &Key, own: &Digest) -> bool {
    let found = store.open(key).and_then(|stream| hash_stream(key, stream));
    found.is_ok_and(|found| found != *own)
}
