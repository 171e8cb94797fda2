//! Filtered mirrors: of what upstream has, the packages that the site selects, byte for byte.
//!
//! Upstream's own indexes stay in the store beside ours, and prove them.

use std::collections::{BTreeMap, BTreeSet};

use super::GateError;
use super::partial::{Texts, is_called, stage_selected};
use crate::domain::{ArchiveName, Sha256};
use crate::format::deb822::Stanza;
use crate::format::json;
use crate::index::{Chosen, Closure, IndexError, select};
use crate::site::Select;
use crate::snapshot::{IndexFile, SuiteState, each_chunk, package_indexes};
use crate::store::Store;

/// A selection made of an archive's suites.
#[derive(Debug)]
pub struct Filtered {
    /// The suites, with indexes of their own.
    pub suites: Vec<SuiteState>,
    /// What was chosen, and what could not be.
    pub chosen: Chosen,
}

/// What a selection is, so that another one is told from it; with `follow` it takes along what is needed.
///
/// # Errors
/// Never.
pub fn selection_digest(selection: &Select, follow: bool) -> Result<Sha256, GateError> {
    let text =
        json::canonical("selection", &(selection.as_choice(), follow)).map_err(GateError::document("selection"))?;
    Ok(Sha256::of(&text))
}

/// Selects packages of an archive's suites, as upstream has them, and stages the indexes. What is
/// needed is looked for in all suites together.
///
/// # Errors
/// `Selection` when it names what upstream does not have, or chooses what needs that, and does not allow it;
/// when an index is missing, damaged or malformed; the store's failure.
pub fn filter(
    store: &dyn Store,
    archive: &ArchiveName,
    selection: &Select,
    follow: bool,
    suites: Vec<SuiteState>,
) -> Result<Filtered, GateError> {
    let mut closure = Closure::new(selection, follow);
    for state in &suites {
        for (path, index) in package_indexes(state) {
            each_chunk(store, archive, &state.suite, index, &mut |chunk| {
                let packages = is_called(path, "Packages");
                let added = if packages {
                    closure.add_packages(chunk)
                } else {
                    closure.add_sources(chunk)
                };
                added.map_err(GateError::from)
            })?;
        }
    }
    let chosen = closure.resolve()?;
    let refused = |allowed: bool, said: &BTreeSet<String>| if allowed { BTreeSet::new() } else { said.clone() };
    let absent = refused(selection.allow_missing, &chosen.absent);
    let unmet = refused(selection.allow_unmet, &chosen.unmet);
    if !(absent.is_empty() && unmet.is_empty()) {
        return Err(GateError::Selection { absent, unmet });
    }
    let digest = selection_digest(selection, follow)?;
    let suites: Result<_, GateError> = suites
        .into_iter()
        .map(|state| Ok(prove(take(store, archive, &chosen, &state)?, state.indexes, digest)))
        .collect();
    Ok(Filtered {
        suites: suites?,
        chosen,
    })
}

/// A suite with only what was chosen.
fn take(
    store: &dyn Store,
    archive: &ArchiveName,
    chosen: &Chosen,
    state: &SuiteState,
) -> Result<SuiteState, GateError> {
    let mut texts = BTreeMap::new();
    for (path, index) in package_indexes(state) {
        let packages = is_called(path, "Packages");
        let is_chosen = |stanza: &Stanza<'_>| {
            if packages {
                chosen.has_binary(stanza)
            } else {
                chosen.has_source(stanza)
            }
        };
        let mut taken = Vec::new();
        each_chunk(store, archive, &state.suite, index, &mut |chunk| {
            taken.extend(select(chunk, |stanza| Ok::<_, IndexError>(is_chosen(stanza)))?);
            Ok::<_, GateError>(())
        })?;
        texts.insert(path, taken);
    }
    let texts: Texts<'_> = texts.iter().map(|(path, text)| (*path, text.as_slice())).collect();
    stage_selected(store, archive, state, &texts)
}

/// Upstream's indexes stay with the suite, all of them: so that what upstream changes is seen next time.
fn prove(mut state: SuiteState, theirs: Vec<IndexFile>, selection: Sha256) -> SuiteState {
    if let Some(upstream) = state.upstream.as_mut() {
        upstream.indexes = theirs;
        upstream.selection = Some(selection);
    }
    state
}
