//! Documents of the store → facts: each is read by its hash, and its signature is checked.

use std::collections::{BTreeMap, HashMap};

use rayon::prelude::*;

use super::facts::{DecisionId, Declared, Facts, Known, LockFacts, LockedAt, LockedFacts, RecordFacts};
use crate::domain::{ArchiveName, PackageName, Sha256, Version};
use crate::environment::Lock;
use crate::format::intoto::VerificationResult;
use crate::format::json;
use crate::host::Progress;
use crate::source::Declaration;
use crate::store::{Key, Store};
use crate::trust::Ed25519Public;
use crate::verify::{Anchors, Problem, inputs, named, pool_files, record, signed_decision};

/// How many locks are in memory at once: each has some hundred packages.
const CHUNK: usize = 512;

/// What could not be read or does not hold, by the decision that it was needed for.
pub(super) type Unread = BTreeMap<DecisionId, Problem>;

/// Reads decisions with all that they rest on into `known`; gives those that do not hold.
pub(super) fn decisions(
    store: &dyn Store,
    anchors: &Anchors,
    keys: &[Ed25519Public],
    wanted: &[DecisionId],
    known: &mut Known,
    progress: &Progress,
) -> Unread {
    let bar = progress.items("reading decisions", wanted.len() as u64);
    let mut unread = Unread::new();
    let read: Vec<_> = wanted
        .par_iter()
        .map(|id| {
            let read = decision(store, anchors, id);
            bar.advance(1);
            read
        })
        .collect();
    bar.finish();
    let mut locks: BTreeMap<Sha256, Vec<&DecisionId>> = BTreeMap::new();
    let mut records: BTreeMap<Sha256, Vec<&DecisionId>> = BTreeMap::new();
    for (id, read) in wanted.iter().zip(read) {
        match read {
            Ok(facts) => {
                for sha256 in facts.locks.iter().filter(|sha256| !known.locks.contains_key(*sha256)) {
                    locks.entry(*sha256).or_default().push(id);
                }
                for sha256 in facts
                    .records
                    .iter()
                    .filter(|sha256| !known.records.contains_key(*sha256))
                {
                    records.entry(*sha256).or_default().push(id);
                }
                known.decisions.insert(id.clone(), facts);
            }
            Err(problem) => {
                unread.insert(id.clone(), problem);
            }
        }
    }
    let mut lost = |ids: &[&DecisionId], problem: &Problem| {
        for id in ids {
            unread.entry((*id).clone()).or_insert_with(|| problem.clone());
        }
    };
    let records: Vec<(Sha256, Vec<&DecisionId>)> = records.into_iter().collect();
    for (sha256, ids, read) in in_parallel(&records, |archive, sha256| rebuild_record(store, archive, sha256, keys)) {
        match read {
            Ok(facts) => drop(known.records.insert(sha256, facts)),
            Err(problem) => lost(ids, &problem),
        }
    }
    let locks: Vec<(Sha256, Vec<&DecisionId>)> = locks.into_iter().collect();
    let bar = progress.items("reading environments", locks.len() as u64);
    let mut numbers = Numbers::of(known);
    for chunk in locks.chunks(CHUNK) {
        for (sha256, ids, read) in in_parallel(chunk, |archive, sha256| lock(store, archive, sha256)) {
            bar.advance(1);
            match read {
                Ok(lock) => drop(known.locks.insert(sha256, numbers.lock(anchors, lock))),
                Err(problem) => lost(ids, &problem),
            }
        }
    }
    bar.finish();
    known.packages = numbers.packages;
    // What a decision rests on and could not be read is read again the next time.
    for id in unread.keys() {
        known.decisions.remove(id);
    }
    unread
}

type Read<'a, T> = (Sha256, &'a [&'a DecisionId], Result<T, Problem>);

fn in_parallel<'a, T: Send>(
    items: &'a [(Sha256, Vec<&'a DecisionId>)],
    read: impl Fn(&ArchiveName, &Sha256) -> Result<T, Problem> + Sync,
) -> Vec<Read<'a, T>> {
    let one = |(sha256, ids): &'a (Sha256, Vec<&'a DecisionId>)| {
        let (archive, _) = ids.first()?;
        Some((*sha256, ids.as_slice(), read(archive, sha256)))
    };
    items.par_iter().filter_map(one).collect()
}

/// One decision, with its declaration when that is public.
pub(super) fn decision(store: &dyn Store, anchors: &Anchors, id: &DecisionId) -> Result<Facts, Problem> {
    let (archive, sha256) = id;
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
    Ok(Facts {
        admitted,
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
        suites,
        source,
        version,
    })
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
    store: &dyn Store,
    archive: &ArchiveName,
    sha256: &Sha256,
    keys: &[Ed25519Public],
) -> Result<RecordFacts, Problem> {
    let key = Key::provenance(archive, sha256);
    let bytes = named(store, &key, sha256)?;
    let found = record(&bytes, keys).ok_or_else(|| Problem::new(Problem::EVIDENCE, &key, "it is no rebuild record"))?;
    Ok(RecordFacts {
        signed_by: found.signed_by,
        builder: found.builder,
        declaration: found.declaration,
        lock: found.lock,
        outcome: found.outcome,
        finished_on: found.finished_on,
        outputs: found.outputs,
    })
}

fn lock(store: &dyn Store, archive: &ArchiveName, sha256: &Sha256) -> Result<Lock, Problem> {
    let key = Key::provenance(archive, sha256);
    let bytes = named(store, &key, sha256)?;
    json::strict("environment lock", &bytes).map_err(|error| Problem::new(Problem::EVIDENCE, &key, error))
}

/// The packages of locks, each with its number.
struct Numbers {
    packages: Vec<LockedFacts>,
    of: HashMap<LockedFacts, u32>,
}

impl Numbers {
    fn of(known: &mut Known) -> Self {
        let packages = std::mem::take(&mut known.packages);
        let of = packages.iter().cloned().zip(0..).collect();
        Self { packages, of }
    }

    fn lock(&mut self, anchors: &Anchors, lock: Lock) -> LockFacts {
        let snapshots = lock.snapshots.into_iter().map(|at| LockedAt {
            archive: at.archive,
            suite: at.suite,
            id: at.id,
        });
        let mut facts = LockFacts {
            snapshots: snapshots.collect(),
            packages: Vec::new(),
            ours: BTreeMap::new(),
        };
        for package in lock.packages {
            let ours = anchors
                .archive(&package.archive)
                .is_some_and(|anchor| anchor.is_custom());
            let number = self.number(LockedFacts {
                sha256: package.sha256,
                archive: package.archive.to_string(),
                package: package.package.to_string(),
                version: package.version.to_string(),
                architecture: package.architecture.to_string(),
                source: package.source.to_string(),
                source_version: package.source_version.to_string(),
            });
            facts.packages.push(number);
            if ours {
                facts.ours.insert(number, None);
            }
        }
        facts.packages.sort_unstable();
        facts.packages.dedup();
        facts
    }

    fn number(&mut self, package: LockedFacts) -> u32 {
        if let Some(number) = self.of.get(&package) {
            return *number;
        }
        let number = u32::try_from(self.packages.len()).unwrap_or(u32::MAX);
        self.packages.push(package.clone());
        self.of.insert(package, number);
        number
    }
}
