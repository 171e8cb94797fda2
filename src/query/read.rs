//! Documents of the store → facts: each is read by its hash, and its signature is checked.

use std::collections::{BTreeMap, HashMap};
use std::sync::{PoisonError, RwLock};

use rayon::prelude::*;

use super::facts::{Batch, DecisionId, Declared, Facts, Imported, LockFacts, LockedAt, LockedFacts, RecordFacts};
use crate::admission::ONE_PATH;
use crate::domain::{ArchiveName, PackageName, Sha256, Version};
use crate::environment::{Lock, LockOf, LockedPackage, LockedText};
use crate::format::intoto::{ImportBinding, RuleResult, VerificationResult};
use crate::format::json;
use crate::host::Bar;
use crate::source::Declaration;
use crate::store::{Key, Store};
use crate::trust::Ed25519Public;
use crate::verify::{Anchors, Problem, inputs, named, pool_files, record, signed_decision};

/// What could not be read or does not hold, by the decision that it was needed for.
pub(super) type Unread = BTreeMap<DecisionId, Problem>;

/// What documents are read with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sources<'a> {
    pub(super) store: &'a dyn Store,
    pub(super) anchors: &'a Anchors,
    /// The keys that builders may sign with.
    pub(super) keys: &'a [Ed25519Public],
}

/// A document, and the decisions that need it.
type Needed = BTreeMap<Sha256, Vec<DecisionId>>;

/// Reads decisions with all that they rest on; what they were learned from holds. Gives those beside that do not.
pub(super) fn decisions(sources: Sources<'_>, wanted: &[DecisionId], numbers: &Numbers, bar: &Bar) -> (Batch, Unread) {
    let (mut batch, mut unread) = (Batch::default(), Unread::new());
    let read: Vec<_> = wanted.par_iter().map(|id| decision(sources, id)).collect();
    let (mut locks, mut records) = (Needed::new(), Needed::new());
    for (id, read) in wanted.iter().zip(read) {
        match read {
            Ok((archive, facts)) => {
                for (of, into) in [(&facts.locks, &mut locks), (&facts.records, &mut records)] {
                    of.iter().for_each(|sha256| into.entry(*sha256).or_default().push(*id));
                }
                batch.decisions.insert((id.sha256, archive.clone()), facts);
            }
            Err(problem) => drop(unread.insert(*id, problem)),
        }
        bar.advance(1);
    }
    let mut lost = |ids: &[DecisionId], problem: &Problem| {
        for id in ids {
            unread.entry(*id).or_insert_with(|| problem.clone());
        }
    };
    for (sha256, ids, read) in in_parallel(sources, &records, |archive, sha256| {
        rebuild_record(sources, archive, sha256)
    }) {
        match read {
            Ok(facts) => drop(batch.records.insert(sha256, facts)),
            Err(problem) => lost(ids, &problem),
        }
    }
    for (sha256, ids, read) in in_parallel(sources, &locks, |archive, sha256| {
        lock(sources, archive, sha256, numbers)
    }) {
        match read {
            Ok(facts) => drop(batch.locks.insert(sha256, facts)),
            Err(problem) => lost(ids, &problem),
        }
    }
    // What a decision rests on and could not be read is read again the next time.
    for id in unread.keys() {
        if let Some(anchor) = sources.anchors.archives.get(id.archive) {
            batch.decisions.remove(&(id.sha256, anchor.name.clone()));
        }
    }
    (batch, unread)
}

type Read<'n, T> = (Sha256, &'n [DecisionId], Result<T, Problem>);

fn in_parallel<'n, T: Send>(
    sources: Sources<'_>,
    needed: &'n Needed,
    read: impl Fn(&ArchiveName, &Sha256) -> Result<T, Problem> + Sync,
) -> Vec<Read<'n, T>> {
    let needed: Vec<(&Sha256, &Vec<DecisionId>)> = needed.iter().collect();
    let one = |(sha256, ids): (&Sha256, &'n Vec<DecisionId>)| {
        let anchor = sources.anchors.archives.get(ids.first()?.archive)?;
        Some((*sha256, ids.as_slice(), read(&anchor.name, sha256)))
    };
    needed.into_par_iter().filter_map(one).collect()
}

/// One decision, with its declaration when that is public.
pub(super) fn decision<'a>(sources: Sources<'a>, id: &DecisionId) -> Result<(&'a ArchiveName, Facts), Problem> {
    let (Sources { store, anchors, .. }, sha256) = (sources, &id.sha256);
    let missing = || Problem::new(Problem::MISSING, sha256, "the site has no such archive");
    let archive = &anchors.archives.get(id.archive).ok_or_else(missing)?.name;
    let key = Key::provenance(archive, sha256);
    let summary = signed_decision(store, anchors, archive, sha256)?;
    let wrong = |why: String| Problem::new(Problem::DECISION, &key, why);
    let binding = &summary.assay_binding;
    let source = PackageName::new(binding.source.as_str()).map_err(|error| wrong(error.to_string()))?;
    let version = Version::new(binding.version.as_str()).map_err(|error| wrong(error.to_string()))?;
    let suites = binding.suites.iter().filter_map(|suite| suite.parse().ok()).collect();
    let admitted = summary.verification_result == VerificationResult::Passed;
    if admitted && let Some(rule) = summary.assay_rules.iter().find(|rule| !rule.passed) {
        return Err(wrong(format!("it admits although rule {} did not hold", rule.id)));
    }
    let all = inputs(&summary).map_err(wrong)?;
    let of_kind = |kind: &str| {
        let matching = all.iter().filter(|(name, _)| name == kind);
        matching.map(|(_, sha256)| *sha256).collect::<Vec<_>>()
    };
    let declaration = of_kind("declaration").pop();
    let declared = match &declaration {
        Some(sha256) => declared(store, archive, sha256, admitted, (&source, &version))?,
        None => None,
    };
    let at_one_path = |rule: &RuleResult| rule.id == "E5" && rule.passed && rule.evidence.contains(ONE_PATH);
    let facts = Facts {
        admitted,
        at_one_path: summary.assay_rules.iter().any(at_one_path),
        decided_at: summary.time_verified,
        policy: summary.policy.name.clone().unwrap_or_default(),
        files: pool_files(&summary).map_err(wrong)?,
        declaration,
        declared,
        // A refusal's inputs are public only if something else brought them: nothing is asked of them.
        locks: if admitted {
            of_kind("environment-lock")
        } else {
            Vec::new()
        },
        records: of_kind("rebuild-record"),
        remarks: Facts::remarks_of(admitted, &summary.verified_levels, summary.assay_rules),
        levels: summary.verified_levels,
        imported: summary.assay_import.map(imported),
        suites,
        source,
        version,
    };
    Ok((archive, facts))
}

fn imported(binding: ImportBinding) -> Imported {
    Imported {
        archive: binding.archive,
        snapshot: binding.snapshot,
        suite: binding.suite,
        release: binding.release,
        signers: binding.signers,
        reason: binding.reason,
        asked_by: binding.asked_by,
    }
}

/// What the declaration of a decision says. That of a refused candidate need not be public.
fn declared(
    store: &dyn Store,
    archive: &ArchiveName,
    sha256: &Sha256,
    needed: bool,
    (source, version): (&PackageName, &Version),
) -> Result<Option<Declared>, Problem> {
    let key = Key::provenance(archive, sha256);
    let bytes = match named(store, &key, sha256) {
        Err(problem) if problem.code == Problem::MISSING && !needed => return Ok(None),
        other => other?,
    };
    let wrong = |why: String| Problem::new(Problem::EVIDENCE, &key, why);
    let declaration: Declaration = json::strict("declaration", &bytes).map_err(|error| wrong(error.to_string()))?;
    if (&declaration.source, &declaration.version) != (source, version) {
        return Err(wrong(
            "it declares another source or version than was decided on".into(),
        ));
    }
    Ok(Some(Declared {
        git: declaration.git,
        reference: declaration.reference.to_string(),
        git_tag: declaration.git_tag.map(|tag| tag.to_string()),
        git_commit: declaration.git_commit.to_string(),
        git_tree: declaration.git_tree.to_string(),
        tree_sha256: declaration.tree_sha256,
        signers: declaration
            .signers
            .into_iter()
            .map(|signer| signer.fingerprint)
            .collect(),
    }))
}

/// One rebuild record. It is taken, too, when no key of ours signed it: then it has no signers.
pub(super) fn rebuild_record(
    sources: Sources<'_>,
    archive: &ArchiveName,
    sha256: &Sha256,
) -> Result<RecordFacts, Problem> {
    let key = Key::provenance(archive, sha256);
    let bytes = named(sources.store, &key, sha256)?;
    let found = record(&bytes, sources.keys);
    let found = found.ok_or_else(|| Problem::new(Problem::EVIDENCE, &key, "it is no rebuild record"))?;
    Ok(RecordFacts {
        signed_by: found.signed_by,
        builder: found.builder,
        declaration: found.declaration,
        lock: found.lock,
        outcome: found.outcome,
        started_on: found.started_on,
        finished_on: found.finished_on,
        outputs: found.outputs,
    })
}

fn lock(sources: Sources<'_>, archive: &ArchiveName, sha256: &Sha256, numbers: &Numbers) -> Result<LockFacts, Problem> {
    let key = Key::provenance(archive, sha256);
    let bytes = named(sources.store, &key, sha256)?;
    // No object of a lock has keys of one's own choice: its types refuse what stands twice and what is no integer.
    let quick = serde_json::from_slice::<LockOf<LockedText<'_>>>(&bytes).ok();
    if let Some(facts) = quick.and_then(|lock| numbers.quick(sources.anchors, &lock)) {
        return Ok(facts);
    }
    let lock: Lock =
        json::strict("environment lock", &bytes).map_err(|error| Problem::new(Problem::EVIDENCE, &key, error))?;
    let given = lock.packages.iter().map(|package| numbers.of(sources.anchors, package));
    let given: Vec<Numbered> = given.collect();
    Ok(lock_facts(&lock, given.into_iter()))
}

fn lock_facts<P>(lock: &LockOf<P>, given: impl Iterator<Item = Numbered>) -> LockFacts {
    let snapshots = lock.snapshots.iter().map(|at| LockedAt {
        archive: at.archive.clone(),
        suite: at.suite.clone(),
        id: at.id.clone(),
    });
    let mut facts = LockFacts {
        snapshots: snapshots.collect(),
        packages: Vec::with_capacity(lock.packages.len()),
        ours: BTreeMap::new(),
    };
    for Numbered { number, ours } in given {
        facts.packages.push(number);
        if ours {
            facts.ours.insert(number, None);
        }
    }
    facts
}

/// A package of locks that has its number.
#[derive(Debug, Clone, Copy)]
struct Numbered {
    number: u32,
    /// Whether it is out of a custom archive.
    ours: bool,
}

/// The packages of all locks that are read together, each with its number: the same package stands in most locks, and
/// is checked once.
#[derive(Debug, Default)]
pub(super) struct Numbers(RwLock<Table>);

#[derive(Debug, Default)]
struct Table {
    packages: Vec<LockedFacts<String>>,
    /// By the SHA-256 of the .deb, as text.
    of: HashMap<String, Vec<(LockedPackage, Numbered)>>,
}

impl Table {
    fn find(&self, text: &LockedText<'_>) -> Option<Numbered> {
        let same = |package: &LockedPackage| {
            package.size == text.size
                && [
                    (package.package.as_str(), text.package),
                    (package.version.as_str(), text.version),
                    (package.architecture.as_str(), text.architecture),
                    (package.filename.as_str(), text.filename),
                    (package.archive.as_str(), text.archive),
                    (package.suite.as_str(), text.suite),
                    (package.source.as_str(), text.source),
                    (package.source_version.as_str(), text.source_version),
                ]
                .iter()
                .all(|(a, b)| a == b)
        };
        let known = self.of.get(text.sha256)?;
        known.iter().find(|(package, _)| same(package)).map(|(_, found)| *found)
    }

    fn add(&mut self, anchors: &Anchors, package: &LockedPackage) -> Numbered {
        let known = self.of.entry(package.sha256.hex()).or_default();
        if let Some((_, found)) = known.iter().find(|(other, _)| other == package) {
            return *found;
        }
        let found = Numbered {
            number: u32::try_from(self.packages.len()).unwrap_or(u32::MAX),
            ours: anchors
                .archive(&package.archive)
                .is_some_and(|anchor| anchor.is_custom()),
        };
        self.packages.push(LockedFacts {
            package: package.package.to_string(),
            version: package.version.to_string(),
            architecture: package.architecture.to_string(),
            archive: package.archive.to_string(),
            source: package.source.to_string(),
            source_version: package.source_version.to_string(),
            sha256: package.sha256,
        });
        known.push((package.clone(), found));
        found
    }
}

impl Numbers {
    /// A lock of which every package is known or follows the grammar; none else.
    fn quick(&self, anchors: &Anchors, lock: &LockOf<LockedText<'_>>) -> Option<LockFacts> {
        let table = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let found: Vec<Option<Numbered>> = lock.packages.iter().map(|text| table.find(text)).collect();
        drop(table);
        let each = found.into_iter().zip(&lock.packages);
        let each = each.map(|(found, text)| found.or_else(|| Some(self.of(anchors, &text.check().ok()?))));
        let given: Option<Vec<Numbered>> = each.collect();
        Some(lock_facts(lock, given?.into_iter()))
    }

    fn of(&self, anchors: &Anchors, package: &LockedPackage) -> Numbered {
        let mut table = self.0.write().unwrap_or_else(PoisonError::into_inner);
        table.add(anchors, package)
    }

    /// One of them.
    pub(super) fn get(&self, number: u32) -> Option<LockedFacts<String>> {
        let table = self.0.read().unwrap_or_else(PoisonError::into_inner);
        table.packages.get(number as usize).cloned()
    }

    /// All of them.
    pub(super) fn all(&self) -> Vec<LockedFacts<String>> {
        let table = self.0.read().unwrap_or_else(PoisonError::into_inner);
        table.packages.clone()
    }
}
