//! What the gate is asked: a candidate out of what the rebuilders left, and the evidence for it.
//! Reads only.

use std::collections::{BTreeMap, BTreeSet};

use crate::admission::{
    Candidate, Evidence, Inspected, Offered, Output, OutputSet, RecordEvidence, SourceEvidence, SourceFailure, Terms,
    identity,
};
use crate::domain::{ArchiveName, Digest, FileName, PolicyName, Sha256, SuiteName};
use crate::environment::Lock;
use crate::format::deb::{DebLimits, read_deb};
use crate::rebuild::{self, Difference, Guess};
use crate::site::Policy;
use crate::snapshot::{Chain, Record, Removed, SuiteState};
use crate::source::{Declaration, SourceFile};
use crate::store::{Key, Store, StoreError};
use crate::trust::Ed25519Public;

use super::admit::hash;
use super::known::{load_before, load_known, load_levels, load_previous};
use super::{GateError, Records, ledger, load_lineage, load_nonces, load_rounds};

/// The largest file that is compared, in bytes.
const LARGEST_COMPARED: u64 = 512 << 20;

/// What is known before the outputs are looked at.
#[derive(Debug, Clone)]
pub struct Proposal<'a> {
    /// The custom archive.
    pub archive: &'a ArchiveName,
    /// Its suites, all under one policy.
    pub suites: &'a [SuiteName],
    /// That policy's name.
    pub policy_name: &'a PolicyName,
    /// That policy.
    pub policy: &'a Policy,
    /// What is declared.
    pub declaration: &'a Declaration,
    /// The .dsc and tarballs, derived again.
    pub source_files: &'a [SourceFile],
    /// The environments that are asked for, by SHA-256.
    pub locks: &'a BTreeMap<Sha256, Lock>,
}

/// The candidate that the rebuilders' own outputs make: nobody uploaded anything. When they differ,
/// the outputs that most builders gave are taken, and the gate refuses them.
///
/// # Errors
/// When an output is not held, or was swapped; the store's failure.
pub fn propose(store: &dyn Store, proposal: &Proposal<'_>, records: &[RecordEvidence]) -> Result<Candidate, GateError> {
    let declaration = identity(proposal.declaration);
    let mut sets = Vec::new();
    for (sha256, lock) in proposal.locks {
        let ours = |r: &&RecordEvidence| r.lock == *sha256 && Some(r.declaration) == declaration;
        let mut outputs = Vec::new();
        for (name, digest) in most_given(records.iter().filter(ours)) {
            outputs.push(inspect(store, proposal.archive, name, digest)?);
        }
        sets.push(OutputSet {
            lock: *sha256,
            architecture: lock.architecture.clone(),
            outputs,
        });
    }
    Ok(Candidate {
        archive: proposal.archive.clone(),
        suites: proposal.suites.to_vec(),
        policy: proposal.policy_name.clone(),
        policy_sha256: identity(proposal.policy).unwrap_or(Sha256::from_bytes([0; 32])),
        declaration: proposal.declaration.clone(),
        source_files: proposal.source_files.to_vec(),
        sets,
        offered: Offered::ByRecords,
        terms: Terms::default(),
    })
}

/// The outputs that most builders signed for; of several, the first by digest.
fn most_given<'a>(records: impl Iterator<Item = &'a RecordEvidence>) -> BTreeMap<FileName, Sha256> {
    let mut votes: BTreeMap<&BTreeMap<FileName, Sha256>, BTreeSet<&str>> = BTreeMap::new();
    for record in records.filter(|record| !record.outputs.is_empty() && !record.signed_by.is_empty()) {
        votes
            .entry(&record.outputs)
            .or_default()
            .insert(record.builder.as_str());
    }
    let best = votes.into_iter().rev().max_by_key(|(_, builders)| builders.len());
    best.map(|(outputs, _)| outputs.clone()).unwrap_or_default()
}

/// Reads a held file as the gate wants to know it.
///
/// # Errors
/// When it is not held, or was swapped; the store's failure.
pub fn inspect(store: &dyn Store, archive: &ArchiveName, name: FileName, sha256: Sha256) -> Result<Output, GateError> {
    let key = Key::held(archive, &sha256);
    let digest: Digest = hash(store, &key)?;
    if digest.sha256 != sha256 {
        let found = digest.sha256;
        return Err(GateError::Swapped { key, found });
    }
    let facts = Inspected::new(read_deb(store.open(&key)?, &DebLimits::default()));
    Ok(Output { name, digest, facts })
}

/// Everything that the store knows about a candidate, with what was found in Git; `mirrors` are the archives
/// that the site says are mirrors, and `gate` signed the rounds of blind rebuilds.
///
/// # Errors
/// When anything that is kept is missing, damaged or malformed; the store's failure.
pub fn gather(
    store: &dyn Store,
    candidate: &Candidate,
    locks: &BTreeMap<Sha256, Lock>,
    records: &Records,
    source: Result<SourceEvidence, SourceFailure>,
    (mirrors, gate): (&BTreeSet<ArchiveName>, &Ed25519Public),
) -> Result<Evidence, GateError> {
    let declaration = identity(&candidate.declaration);
    let known = load_known(store, locks.values(), candidate, mirrors)?;
    let chain = Chain::load(store, &candidate.archive)?;
    let nonces = match declaration {
        Some(declaration) => load_nonces(store, &candidate.archive, &declaration)?,
        None => Vec::new(),
    };
    let (source, source_failure) = match source {
        Ok(source) => (Some(source), None),
        Err(failure) => (None, Some(failure)),
    };
    let mut evidence = Evidence {
        source,
        source_failure,
        lineage: Some(load_lineage(
            store,
            &candidate.archive,
            &candidate.declaration.source,
            declaration,
            chain.latest(),
        )?),
        records: records.records.clone(),
        nonces,
        locks: locks.clone(),
        snapshots: known.snapshots,
        indexed: known.indexed,
        levels: load_levels(store, locks.values(), &known.admitted)?,
        previous: load_previous(store, chain.latest(), candidate)?,
        admitted: known.admitted,
        ledger: ledger::load_ledger(store, &candidate.archive, candidate, chain.latest())?,
        removed: removed(chain.latest()),
        before: load_before(store, candidate)?,
        rounds: match declaration {
            Some(declaration) => load_rounds(store, &candidate.archive, &declaration, gate)?,
            None => Vec::new(),
        },
        commitments: records.commitments.clone(),
        missed: records.missed.clone(),
        differences: differences(store, candidate, records),
        ..Evidence::default()
    };
    records.redeclared.clone().join(&mut evidence);
    evidence.lost = lost(store, &candidate.archive, &evidence.records)?;
    Ok(evidence)
}

/// The documents that records name, and that are not kept as they name them (rule R8).
///
/// # Errors
/// The store's failure; never that one is missing.
pub(super) fn lost(
    store: &dyn Store,
    archive: &ArchiveName,
    records: &[RecordEvidence],
) -> Result<BTreeSet<Sha256>, GateError> {
    let named: BTreeSet<Sha256> = records.iter().flat_map(|r| r.documents.values().copied()).collect();
    let mut lost = BTreeSet::new();
    for sha256 in named {
        match hash(store, &Key::provenance(archive, &sha256)) {
            Ok(digest) if digest.sha256 == sha256 => {}
            Ok(_) | Err(GateError::Store(StoreError::Missing(_))) => drop(lost.insert(sha256)),
            Err(error) => return Err(error),
        }
    }
    Ok(lost)
}

/// What was removed on purpose from the suites of a record.
pub(super) fn removed(latest: Option<&Record>) -> Vec<(SuiteName, Removed)> {
    let states = latest.iter().flat_map(|record| &record.suites);
    let of_suite = |state: &SuiteState| {
        let suite = state.suite.clone();
        state
            .removed()
            .to_vec()
            .into_iter()
            .map(move |removed| (suite.clone(), removed))
    };
    states.flat_map(of_suite).collect()
}

/// Where inside a file a rebuild differs from what is offered, and what probably made it so: for people.
/// What cannot be said is left out: no rule leans on it.
fn differences(store: &dyn Store, candidate: &Candidate, records: &Records) -> BTreeMap<Sha256, String> {
    let mut found = BTreeMap::new();
    let read = |sha256: &Sha256| store.get(&Key::held(&candidate.archive, sha256), LARGEST_COMPARED).ok();
    for record in &records.records {
        for (_, output) in candidate.outputs().filter(|(set, _)| set.lock == record.lock) {
            let offered = output.digest.sha256;
            let differs = |sha256: &&Sha256| **sha256 != offered;
            let Some(rebuilt) = record.outputs.get(&output.name).filter(differs) else {
                continue;
            };
            if found.contains_key(rebuilt) {
                continue;
            }
            let (Some(one), Some(other)) = (read(&offered), read(rebuilt)) else {
                continue;
            };
            let gave = |r: &&RecordEvidence| r.lock == record.lock && r.outputs.get(&output.name) == Some(&offered);
            let offering = records.records.iter().find(gave);
            let around = offering.and_then(|o| records.around.get(&o.sha256).zip(records.around.get(&record.sha256)));
            let causes = around
                .map(|(a, b)| rebuild::causes((&one, a), (&other, b)))
                .unwrap_or_default();
            let name = output.name.as_str().to_owned();
            let comparison = rebuild::compare(&[(name.clone(), one)], &[(name, other)]);
            if let Some(first) = comparison.differences.first() {
                found.insert(*rebuilt, in_words(first) + &likely(&causes));
            }
        }
    }
    found
}

/// The causes, behind a difference.
fn likely(causes: &[Guess]) -> String {
    let words: Vec<String> = causes.iter().map(ToString::to_string).collect();
    if words.is_empty() {
        return String::new();
    }
    format!("; likely cause: {}", words.join("; "))
}

/// A difference without the file's name, which the rule says itself.
fn in_words(difference: &Difference) -> String {
    match difference {
        Difference::Content { at, what, .. } => at.iter().chain([what]).cloned().collect::<Vec<_>>().join(": "),
        other => other.to_string(),
    }
}
