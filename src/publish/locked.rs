//! `assay.lock`: made of the archives as they are, and held against them. Reads only.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::{ArchiveName, Sha256, SnapshotName};
use crate::environment::Declared;
use crate::format::site_lock::{LockedOutput, LockedState, SiteLock};
use crate::snapshot::{Chain, Record, SnapshotError, content_digest};
use crate::source::Declaration;
use crate::store::Store;

use super::GateError;
use super::known::{own_decisions, read_summary};
use super::stage::read_decisions;

/// What does not hold of a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockProblem {
    /// Of which archive.
    pub archive: ArchiveName,
    /// What, in words.
    pub why: String,
}

/// A lock of what is, and what stands behind it.
#[derive(Debug)]
pub struct Locking<'a> {
    /// The newest snapshot of each archive, and the files of the declared sources.
    pub lock: SiteLock,
    /// The decisions that let these files in, with their archives.
    pub decisions: BTreeSet<(ArchiveName, Sha256)>,
    /// The sources that are not in it: nothing of them was admitted in the declared version.
    pub left: Vec<&'a Declared>,
}

/// A lock of the newest snapshot of each archive. Whether its decisions stand today is asked elsewhere.
///
/// # Errors
/// When a decision or index is missing or damaged; the store's failure.
pub fn lock_site<'a>(store: &dyn Store, chains: &[Chain], declared: &'a [Declared]) -> Result<Locking<'a>, GateError> {
    let mut lock = SiteLock::default();
    let mut decisions = BTreeSet::new();
    for record in chains.iter().filter_map(Chain::latest) {
        let state = LockedState {
            serial: record.serial.clone(),
            id: record.id.clone(),
            content: content_digest(&record.suites),
        };
        lock.archives.insert(record.archive.clone(), state);
    }
    let mut left = Vec::new();
    for one in declared {
        let (archive, declaration) = (&one.name.archive, &one.declaration);
        let chain = chains.iter().find(|chain| chain.archive() == archive);
        let latest = chain.and_then(Chain::latest);
        let (outputs, behind) = outputs(store, archive, declaration, latest)?;
        if outputs.is_empty() {
            left.push(one);
        }
        lock.outputs.extend(outputs);
        decisions.extend(behind.into_iter().map(|decision| (archive.clone(), decision)));
    }
    Ok(Locking { lock, decisions, left })
}

/// The files that were admitted of a source in its declared version, and the decisions that admitted them.
fn outputs(
    store: &dyn Store,
    archive: &ArchiveName,
    declaration: &Declaration,
    latest: Option<&Record>,
) -> Result<(BTreeMap<LockedOutput, Sha256>, BTreeSet<Sha256>), GateError> {
    let (source, version) = (&declaration.source, &declaration.version);
    let decided = own_decisions(store, latest, declaration, &declaration.suites)?;
    let decisions: BTreeSet<Sha256> = decided.values().map(|(_, decision)| *decision).collect();
    let mut current = BTreeSet::new();
    for decision in decisions {
        let binding = read_summary(store, archive, &decision)?.map(|summary| summary.assay_binding);
        if binding.is_some_and(|b| b.source == source.as_str() && b.version == version.as_str()) {
            current.insert(decision);
        }
    }
    let admitted = decided
        .into_iter()
        .filter(|(_, (_, decision))| current.contains(decision));
    let output = |(path, (sha256, _))| {
        let output = LockedOutput {
            archive: archive.clone(),
            source: source.clone(),
            version: version.clone(),
            path,
        };
        (output, sha256)
    };
    Ok((admitted.map(output).collect(), current))
}

/// The snapshots that a lock names, and what does not hold of it, in words: a snapshot that is gone or
/// has other content, a file that was not admitted there with these bytes.
///
/// # Errors
/// The store's failure; never that a snapshot is not there.
pub fn locked_records(
    store: &dyn Store,
    chains: &[Chain],
    lock: &SiteLock,
) -> Result<(Vec<Record>, Vec<LockProblem>), GateError> {
    let (mut records, mut problems) = (Vec::new(), Vec::new());
    let problem = |archive: &ArchiveName, why: String| LockProblem {
        archive: archive.clone(),
        why,
    };
    for (archive, state) in &lock.archives {
        let Some(chain) = chains.iter().find(|chain| chain.archive() == archive) else {
            problems.push(problem(
                archive,
                "the site has no such archive, or it is unproven".to_owned(),
            ));
            continue;
        };
        let record = match chain.resolve(store, &SnapshotName::Serial(state.serial.clone())) {
            Err(error @ (SnapshotError::NotFound { .. } | SnapshotError::LetGo { .. })) => {
                problems.push(problem(archive, error.to_string()));
                continue;
            }
            found => found?,
        };
        let content = content_digest(&record.suites);
        if (&record.id, content) != (&state.id, state.content) {
            let why = format!(
                "its snapshot {} has the content {content}, not {}",
                record.serial, state.content
            );
            problems.push(problem(archive, why));
        }
        let outputs = lock.outputs.iter().filter(|(output, _)| output.archive == *archive);
        let mut admitted = BTreeMap::new();
        for state in &record.suites {
            admitted.extend(read_decisions(store, archive, state)?);
        }
        for (output, sha256) in outputs {
            if admitted.get(&output.path).is_none_or(|(there, _)| there != sha256) {
                let why = format!(
                    "`{}` was not admitted to {} with the SHA-256 {sha256}",
                    output.path, record.serial
                );
                problems.push(problem(archive, why));
            }
        }
        records.push(record);
    }
    Ok((records, problems))
}
