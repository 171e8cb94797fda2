//! What a build was made with: a package of ours is as good as its own decision, and as what that was
//! made with in turn. A mirror's packages are covered by upstream's signature, which `why` checks.

use std::collections::BTreeSet;

use super::evidence::{Decided, decision};
use super::import::Carried;
use super::why::hop;
use super::{Anchor, AnchorKind, Anchors, Hop, Problem};
use crate::domain::{Sha256, SnapshotName, Timestamp};
use crate::environment::{Lock, LockedPackage};
use crate::publish::read_decisions;
use crate::snapshot::Chain;
use crate::store::{Key, Store};

/// Follows the packages of custom archives from one lock to the next.
pub(super) struct Dependencies<'a> {
    store: &'a dyn Store,
    anchors: &'a Anchors,
    now: Timestamp,
    /// Decisions that were looked at.
    seen: BTreeSet<Sha256>,
}

impl<'a> Dependencies<'a> {
    pub(super) fn new(store: &'a dyn Store, anchors: &'a Anchors, now: Timestamp) -> Self {
        Self {
            store,
            anchors,
            now,
            seen: BTreeSet::new(),
        }
    }

    /// How many packages of a lock are of our own archives.
    pub(super) fn count(anchors: &Anchors, lock: &Lock) -> usize {
        lock.packages
            .iter()
            .filter(|package| own(anchors, package).is_some())
            .count()
    }

    /// A hop for each package of ours in a lock, and for those that they were built with.
    pub(super) fn hops(&mut self, key: &Key, lock: &Lock) -> Vec<Hop> {
        let followed = self.follow(key, lock, &mut |_, _| {});
        followed.into_iter().map(|one| hop("dependency", one)).collect()
    }

    /// What holds, and what does not, of each package of ours in a lock, and of those that they were built with;
    /// `visit` sees the locks of these. No decision is looked at twice.
    pub(super) fn follow(
        &mut self,
        key: &Key,
        lock: &Lock,
        visit: &mut dyn FnMut(&Key, &Lock),
    ) -> Vec<Result<String, Problem>> {
        let mut found = Vec::new();
        let mut todo = vec![(key.clone(), lock.clone())];
        while let Some((key, lock)) = todo.pop() {
            for package in &lock.packages {
                let Some(anchor) = own(self.anchors, package) else {
                    continue;
                };
                match self.package(anchor, &key, &lock, package) {
                    Ok((sha256, decided, evidence)) => {
                        if self.seen.insert(sha256) {
                            found.push(Ok(evidence));
                            match decided.locks(self.store, anchor) {
                                Ok(locks) => {
                                    locks.iter().for_each(|(key, lock)| visit(key, lock));
                                    todo.extend(locks);
                                }
                                Err(problem) => found.push(Err(problem)),
                            }
                        }
                    }
                    Err(problem) => found.push(Err(problem)),
                }
            }
        }
        found
    }

    /// The decision that admitted a locked package, with enough rebuilds behind it.
    fn package(
        &self,
        anchor: &Anchor,
        key: &Key,
        lock: &Lock,
        package: &LockedPackage,
    ) -> Result<(Sha256, Decided, String), Problem> {
        let (store, archive) = (self.store, &package.archive);
        let name = format!("{} {} {}", package.package, package.version, package.architecture);
        let wrong = |why: String| Problem::new(Problem::EVIDENCE, key, why);
        let chain = Chain::load(store, archive).map_err(|error| Problem::new(Problem::RECORD, archive, error))?;
        let here = |s: &&crate::environment::LockedSnapshot| (&s.archive, &s.suite) == (archive, &package.suite);
        let mut found = None;
        for locked in lock.snapshots.iter().filter(here) {
            let record = chain.resolve(store, &SnapshotName::Serial(locked.serial.clone()));
            let record = record.map_err(|error| wrong(error.to_string()))?;
            for state in record.suites.iter().filter(|state| state.suite == package.suite) {
                let decisions = read_decisions(store, archive, state).map_err(|error| wrong(error.to_string()))?;
                found = found.or_else(|| decisions.get(&package.filename).copied());
            }
        }
        let sha256 = match found {
            Some((file, decision)) if file == package.sha256 => decision,
            _ => return Err(wrong(format!("{name} has no decision for these bytes in {archive}"))),
        };
        let decided = decision(store, self.anchors, anchor, &sha256)?;
        if decided.files.get(&package.filename) != Some(&package.sha256) {
            return Err(Problem::new(
                Problem::DECISION,
                &decided.key,
                format!("it does not admit {name}"),
            ));
        }
        let by = match decided.carried(store, (self.anchors, anchor), self.now)? {
            Carried::Upstream(said) => said,
            Carried::Rebuilds(agreeing) => {
                let operators: BTreeSet<&str> = agreeing.iter().map(|one| one.operator.as_str()).collect();
                let operators: Vec<&str> = operators.into_iter().collect();
                format!("rebuilt by {}", operators.join(" and "))
            }
        };
        let levels = decided.summary.verified_levels.join(", ");
        let evidence = format!(
            "{name} of {archive} was admitted, {}, {by}: {}",
            if levels.is_empty() { "no level" } else { &levels },
            decided.key
        );
        Ok((sha256, decided, evidence))
    }
}

/// The custom archive that a locked package is of.
fn own<'a>(anchors: &'a Anchors, package: &LockedPackage) -> Option<&'a Anchor> {
    let anchor = anchors.archive(&package.archive)?;
    matches!(anchor.kind, AnchorKind::Custom { .. }).then_some(anchor)
}
