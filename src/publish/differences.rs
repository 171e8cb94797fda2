//! What differs inside files that rebuilders gave different bytes: for people, no rule leans on it.

use std::collections::BTreeMap;

use super::GateError;
use crate::admission::{Candidate, RecordEvidence};
use crate::domain::{ArchiveName, FileName, Sha256};
use crate::rebuild::compare;
use crate::store::{Key, Store, StoreError};

/// The largest package whose inside is compared, in bytes.
const LARGEST: u64 = 256 << 20;

/// For each file of a record that is not the candidate's file of that name: what differs inside.
///
/// # Errors
/// The store's failure.
pub fn differences(
    store: &dyn Store,
    candidate: &Candidate,
    records: &[RecordEvidence],
) -> Result<BTreeMap<Sha256, String>, GateError> {
    let ours: BTreeMap<&FileName, Sha256> = candidate
        .sets
        .iter()
        .flat_map(|set| &set.outputs)
        .map(|output| (&output.name, output.digest.sha256))
        .collect();
    let mut found = BTreeMap::new();
    for (name, theirs) in records.iter().flat_map(|record| &record.outputs) {
        let Some(mine) = ours.get(name).filter(|mine| *mine != theirs) else {
            continue;
        };
        if found.contains_key(theirs) {
            continue;
        }
        let sides = (
            held(store, &candidate.archive, mine)?,
            held(store, &candidate.archive, theirs)?,
        );
        let (Some(mine), Some(other)) = sides else { continue };
        let side = |bytes| vec![(name.to_string(), bytes)];
        let inside: Vec<String> = compare(&side(mine), &side(other))
            .differences
            .iter()
            .map(ToString::to_string)
            .collect();
        found.insert(*theirs, inside.join("; "));
    }
    Ok(found)
}

fn held(store: &dyn Store, archive: &ArchiveName, sha256: &Sha256) -> Result<Option<Vec<u8>>, StoreError> {
    match store.get(&Key::held(archive, sha256), LARGEST) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(StoreError::Missing(_) | StoreError::TooLarge { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
