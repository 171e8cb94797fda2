//! What the newest snapshots list, as the archives sign it, by the decision that let it in.

use rayon::prelude::*;

use super::facts::DecisionId;
use crate::domain::{PoolPath, Sha256};
use crate::publish::{GateError, read_decision_lines};
use crate::snapshot::Record;
use crate::store::Store;

/// A file that a suite lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listed {
    /// The decision that let it in.
    pub decision: DecisionId,
    /// The suite, by its place in the newest record.
    pub suite: usize,
    /// The pool file.
    pub path: PoolPath,
    /// Its SHA-256.
    pub sha256: Sha256,
}

/// All of them, in order of decisions.
#[derive(Debug, Default)]
pub(super) struct Listing(Vec<Listed>);

impl Listing {
    /// Reads what a record's suites list; `archive` is the archive's place.
    pub(super) fn add(&mut self, store: &dyn Store, archive: usize, record: &Record) -> Result<(), GateError> {
        for (suite, state) in record.suites.iter().enumerate() {
            let lines = read_decision_lines(store, &record.archive, state)?;
            self.0
                .extend(lines.into_iter().map(|(path, (sha256, decision))| Listed {
                    decision: DecisionId {
                        archive,
                        sha256: decision,
                    },
                    suite,
                    path,
                    sha256,
                }));
        }
        Ok(())
    }

    /// Puts them in order.
    pub(super) fn finish(mut self) -> Self {
        self.0.par_sort_by_key(|listed| listed.decision);
        self
    }

    /// What a decision let in.
    pub(super) fn of(&self, id: &DecisionId) -> &[Listed] {
        let start = self.0.partition_point(|listed| listed.decision < *id);
        let rest = self.0.get(start..).unwrap_or_default();
        let end = rest.iter().take_while(|listed| listed.decision == *id).count();
        rest.get(..end).unwrap_or_default()
    }

    /// Each decision once, in order.
    pub(super) fn decisions(&self) -> impl Iterator<Item = DecisionId> {
        let groups = self.0.chunk_by(|a, b| a.decision == b.decision);
        groups.filter_map(|group| Some(group.first()?.decision))
    }
}
