//! Whether the store still has what facts in the cache were drawn from. A fact of a document that is gone was true; but
//! nobody can check it any more, and whoever asks must know.
//!
//! Every document of a large archive is too much to look for at each query: of the decisions that answers are about, so
//! many are looked at, spread over all of them and others each second. Of a small archive that is all; and of a large one
//! nothing that is gone by the hundred stays unseen.

use rayon::prelude::*;

use super::facts::DecisionId;
use super::index::Index;
use crate::domain::Timestamp;
use crate::store::{Key, StoreError};
use crate::verify::Problem;

/// So many decisions are looked at.
const LOOKED_AT: usize = 256;

/// What is gone from the store; nothing, as a rule.
pub(super) fn lost(index: &Index<'_>) -> Result<Vec<Problem>, StoreError> {
    let mut problems = emptied(index)?;
    let spread = spread(index.scope(), index.now);
    let gone = spread
        .par_iter()
        .map(|id| gone(index, id))
        .collect::<Result<Vec<_>, _>>()?;
    let lost = gone.iter().filter(|gone| !gone.is_empty()).count();
    if let Some(first) = gone.iter().flatten().next() {
        let why = format!(
            "it is gone from the store, and so is what {lost} of {} decisions rest on that were looked at: what is said of them was \
             verified before; `--fresh` says what can be verified now, and `assay verify` names all that is missing",
            spread.len()
        );
        problems.push(Problem::new(Problem::MISSING, first, why));
    }
    Ok(problems)
}

/// Archives that were published, or that the cache knows, and that have no snapshot.
fn emptied(index: &Index<'_>) -> Result<Vec<Problem>, StoreError> {
    let mut problems = Vec::new();
    for (_, anchor, _) in index.archives.iter().filter(|(.., chain)| chain.is_empty()) {
        let archive = &anchor.name;
        let known = index
            .known
            .segments()
            .iter()
            .any(|segment| segment.knows(archive.as_str()));
        if known || index.store().head(&Key::trace(archive))?.is_some() {
            let why = "the archive has no snapshot, and had some: `assay verify` says what is left of them";
            problems.push(Problem::new(Problem::RECORD, format!("state/{archive}"), why));
        }
    }
    Ok(problems)
}

/// The documents of a decision that the store has no more.
fn gone(index: &Index<'_>, id: &DecisionId) -> Result<Vec<Key>, StoreError> {
    let (Some(anchor), Some(decision)) = (index.anchor(id), index.decision(id)) else {
        // Of what could not be read, the answer says so.
        return Ok(Vec::new());
    };
    let rests_on = decision.records.iter().chain(decision.locks.iter());
    let named = rests_on.map(|reference| reference.sha256).chain([id.sha256]);
    let mut gone = Vec::new();
    for sha256 in named {
        let key = Key::provenance(&anchor.name, &sha256);
        if index.store().head(&key)?.is_none() {
            gone.push(key);
        }
    }
    Ok(gone)
}

/// Some of them, spread over all, others each second.
fn spread(all: &[DecisionId], now: Timestamp) -> Vec<DecisionId> {
    let step = all.len().div_ceil(LOOKED_AT).max(1);
    let first = usize::try_from(now.unix_u64()).unwrap_or_default() % step;
    all.iter().skip(first).step_by(step).copied().collect()
}
