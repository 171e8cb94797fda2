//! Jobs whose right answer is known (gate rule R9): a source that was admitted, asked for once more. Whoever
//! answers with other bytes is noted, and does not count until that is looked into.
//!
//! A note is `state/<archive>/missed/<record>`, created once, and only the name of a record: what it says is
//! read each time from the record, whose signature is checked, and from what the archive has now. So a note that
//! anybody writes says nothing by itself, and one ends when the archive no longer has what the record contradicts.

use rand::seq::SliceRandom as _;

use crate::admission::{Missed, RecordEvidence, builder_fingerprint, identity};
use crate::domain::{ArchiveName, Sha256};
use crate::format::dsse;
use crate::format::intoto::Outcome;
use crate::format::json;
use crate::site::Policy;
use crate::snapshot::{Chain, Record};
use crate::source::Declaration;
use crate::store::{Key, Store};

use super::GateError;
use super::evidence::{create_or_same, keys_of, read_document, read_record};
use super::known::{own_decisions, read_summary};

/// The largest declaration that is read, in bytes.
const LARGEST_DECLARATION: u64 = 1 << 20;

/// Notes that an answer, whose signature was checked, is not what the archive has of that source.
pub(super) fn note(store: &dyn Store, archive: &ArchiveName, record: &RecordEvidence) -> Result<(), GateError> {
    if record.outcome == Outcome::Built
        && missed(store, archive, Chain::load(store, archive)?.latest(), record)?.is_some()
    {
        create_or_same(store, &note_key(archive, &record.sha256)?, b"")?;
    }
    Ok(())
}

/// What builders of a policy got wrong, and the archive still has.
pub(super) fn load_missed(store: &dyn Store, archive: &ArchiveName, policy: &Policy) -> Result<Vec<Missed>, GateError> {
    let notes = store.list(&format!("state/{archive}/missed"))?;
    if notes.is_empty() {
        return Ok(Vec::new());
    }
    let (chain, keys) = (Chain::load(store, archive)?, keys_of(policy));
    let mut found = Vec::new();
    for meta in notes {
        let Some(sha256) = meta.key.named_sha256() else {
            continue;
        };
        let bytes = read_document(store, archive, &sha256, dsse::LARGEST)?;
        let Ok(record) = read_record(sha256, &bytes, &keys) else {
            continue;
        };
        let builder = policy.builder(&record.builder).ok();
        let key = builder.and_then(builder_fingerprint);
        if key.is_some_and(|key| record.signed_by.contains(&key)) {
            found.extend(missed(store, archive, chain.latest(), &record)?);
        }
    }
    Ok(found)
}

/// Some sources that were admitted as they are declared and locked, taken by chance: who is asked for one cannot
/// tell it from a job whose answer nobody knows.
///
/// # Errors
/// When the archive's newest state cannot be read.
pub fn canaries<T>(
    store: &dyn Store,
    archive: &ArchiveName,
    mut declared: Vec<(T, &Declaration, Sha256)>,
    count: usize,
) -> Result<Vec<T>, GateError> {
    let chain = Chain::load(store, archive)?;
    let mut found = Vec::new();
    declared.shuffle(&mut rand::rngs::OsRng);
    for (one, declaration, lock) in declared {
        if found.len() == count {
            break;
        }
        let decisions = admitted(store, chain.latest(), declaration)?;
        let decided = decisions.into_values().next().map(|(_, decision)| decision);
        if let (Some(identity), Some(decision)) = (identity(declaration), decided)
            && is_about(store, archive, &decision, &identity, &lock)?
        {
            found.push(one);
        }
    }
    Ok(found)
}

/// The first file that a record gives in other bytes than the archive has by a decision on the same declaration
/// and environment.
fn missed(
    store: &dyn Store,
    archive: &ArchiveName,
    latest: Option<&Record>,
    record: &RecordEvidence,
) -> Result<Option<Missed>, GateError> {
    let key = Key::provenance(archive, &record.declaration);
    if latest.is_none() || store.head(&key)?.is_none() {
        return Ok(None);
    }
    let bytes = read_document(store, archive, &record.declaration, LARGEST_DECLARATION)?;
    let declaration: Declaration = json::strict("declaration", &bytes).map_err(GateError::document(&key))?;
    for (path, (has, decision)) in admitted(store, latest, &declaration)? {
        let rebuilt = record
            .outputs
            .iter()
            .find(|(name, _)| name.as_str() == path.file_name());
        let Some((file, got)) = rebuilt.filter(|(_, got)| **got != has) else {
            continue;
        };
        if is_about(store, archive, &decision, &record.declaration, &record.lock)? {
            return Ok(Some(Missed {
                builder: record.builder.clone(),
                record: record.sha256,
                source: declaration.source,
                version: declaration.version,
                file: file.clone(),
                admitted: has,
                rebuilt: *got,
            }));
        }
    }
    Ok(None)
}

/// What any suite has of a source.
fn admitted(
    store: &dyn Store,
    latest: Option<&Record>,
    declaration: &Declaration,
) -> Result<super::Decisions, GateError> {
    let suites = latest.iter().flat_map(|record| &record.suites);
    let suites: Vec<_> = suites.map(|state| state.suite.clone()).collect();
    own_decisions(store, latest, declaration, &suites)
}

/// Whether a decision is on this declaration, built in this environment.
fn is_about(
    store: &dyn Store,
    archive: &ArchiveName,
    decision: &Sha256,
    declaration: &Sha256,
    lock: &Sha256,
) -> Result<bool, GateError> {
    let Some(summary) = read_summary(store, archive, decision)? else {
        return Ok(false);
    };
    let names = |what: &str, sha256: &Sha256| {
        summary.input_attestations.iter().any(|input| {
            input.name.as_deref() == Some(what) && input.digest.get("sha256").map(String::as_str) == Some(&sha256.hex())
        })
    };
    Ok(names("declaration", declaration) && names("environment-lock", lock))
}

pub(super) fn note_key(archive: &ArchiveName, record: &Sha256) -> Result<Key, GateError> {
    Ok(Key::new(format!("state/{archive}/missed/{record}"))?)
}
