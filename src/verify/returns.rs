//! What left a suite comes back by a new decision alone. The archive's key can make any next record; without this
//! it could list again what was removed or replaced, since the old decision still admits it.

use std::collections::{BTreeMap, BTreeSet};

use super::custom::Judged;
use super::editions::History;
use super::{Problem, Report};
use crate::domain::{Sha256, SuiteName};
use crate::publish::read_decisions;
use crate::snapshot::{Edition, Record, SuiteState};
use crate::store::Store;

/// The decisions of each suite, as the records go by, oldest first.
pub(super) struct Returns<'a> {
    store: &'a dyn Store,
    suites: BTreeMap<SuiteName, Seen>,
}

#[derive(Default)]
struct Seen {
    /// Those that the last record has, and since when.
    there: BTreeSet<Sha256>,
    /// Those that a record had and a later one has not; and that one's name.
    left: BTreeMap<Sha256, String>,
}

impl<'a> Returns<'a> {
    pub(super) fn new(store: &'a dyn Store) -> Self {
        Self {
            store,
            suites: BTreeMap::new(),
        }
    }

    /// What a suite had that a record has no more left it.
    pub(super) fn dropped(&mut self, record: &Record) {
        for (suite, seen) in &mut self.suites {
            if !record.suites.iter().any(|state| state.suite == *suite) {
                let there = std::mem::take(&mut seen.there);
                seen.left
                    .extend(there.into_iter().map(|sha256| (sha256, record.serial.to_string())));
            }
        }
    }

    /// Judges a suite of the next record. A tag is of a record that may be any: it is passed over.
    pub(super) fn suite(
        &mut self,
        edition: &Edition,
        state: &SuiteState,
        judged: &Judged,
        history: &History,
        report: &mut Report,
    ) {
        // What cannot be read is reported where each listed file is looked for.
        let decisions = read_decisions(self.store, &edition.archive, state);
        let (Some(_), Ok(decisions)) = (edition.number, decisions) else {
            return;
        };
        let there: BTreeSet<Sha256> = decisions.into_values().map(|(_, decision)| decision).collect();
        let seen = self.suites.entry(state.suite.clone()).or_default();
        for sha256 in there.difference(&seen.there) {
            let Some((decided, _)) = judged.get(sha256).and_then(Option::as_ref) else {
                continue;
            };
            let binding = &decided.summary.assay_binding;
            let (source, version, suite) = (&binding.source, &binding.version, &state.suite);
            let back = |why: String| {
                let why = format!(
                    "snapshot {} has {source} {version} in `{suite}` again by it, {why}: only a new decision brings it back",
                    edition.name
                );
                Problem::new(Problem::DECISION, &decided.key, why)
            };
            let at = decided.summary.time_verified;
            if let Some(removed) = history.removed_after(edition, suite, source, at) {
                let why = format!("which was removed on purpose at {}", removed.at);
                report.problems.push(back(why));
            } else if let Some(left) = seen.left.get(sha256) {
                report
                    .problems
                    .push(back(format!("which snapshot {left} did not have")));
            }
        }
        let name = edition.name.to_string();
        let gone = seen.there.difference(&there).map(|sha256| (*sha256, name.clone()));
        seen.left.extend(gone);
        seen.there = there;
    }
}
