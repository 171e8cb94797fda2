//! The snapshots that an environment is resolved from, read out of the store.

use super::{EnvironmentError, Lock, LockedSnapshot, SnapshotInput};
use crate::domain::{Architecture, ArchiveName, Component, Sha256, SnapshotName, SuiteName};
use crate::snapshot::{Chain, Record, SuiteState, kept_index, read_plain_index};
use crate::store::Store;

/// One suite of a snapshot, with its Packages indexes of `components`, checked by hash.
///
/// # Errors
/// When the snapshot has no such suite or component, or an index is missing or damaged.
pub fn snapshot_input(
    store: &dyn Store,
    record: &Record,
    suite: &SuiteName,
    components: &[Component],
    architecture: &Architecture,
) -> Result<SnapshotInput, EnvironmentError> {
    let absent = |what: String| EnvironmentError::NoIndex {
        snapshot: format!("{}@{}", record.archive, record.serial),
        what,
    };
    let state = record.suites.iter().find(|state| state.suite == *suite);
    let state = state.ok_or_else(|| absent(format!("suite `{suite}`")))?;
    let mut packages = Vec::new();
    for component in components {
        let plain = format!("{component}/binary-{architecture}/Packages");
        let index = kept_index(state, &plain).ok_or_else(|| absent(format!("index `{plain}`")))?;
        packages.push(read_plain_index(store, &record.archive, suite, index)?);
    }
    let sha256 = packages.iter().map(|bytes| Sha256::of(bytes)).collect();
    let locked = locked_snapshot(record, state, components, sha256);
    Ok(SnapshotInput { locked, packages })
}

/// What a lock says of a suite of a snapshot, whose Packages indexes of `components` have these SHA-256.
#[must_use]
pub fn locked_snapshot(
    record: &Record,
    state: &SuiteState,
    components: &[Component],
    packages_sha256: Vec<Sha256>,
) -> LockedSnapshot {
    let upstream = state.upstream.as_ref();
    LockedSnapshot {
        archive: record.archive.clone(),
        suite: state.suite.clone(),
        components: components.to_vec(),
        id: record.id.clone(),
        serial: record.serial.clone(),
        inrelease_sha256: upstream.map(|upstream| upstream.inrelease.sha256),
        release_date: upstream.map(|upstream| upstream.date),
        packages_sha256,
    }
}

/// The inputs that a lock was resolved from; each must still be what the lock says.
///
/// # Errors
/// When a snapshot is gone, or is not the one that the lock names.
pub fn locked_inputs(store: &dyn Store, lock: &Lock) -> Result<Vec<SnapshotInput>, EnvironmentError> {
    let mut inputs = Vec::new();
    for locked in &lock.snapshots {
        let chain = Chain::load(store, &locked.archive)?;
        let record = chain.resolve(store, &SnapshotName::Serial(locked.serial.clone()))?;
        let input = snapshot_input(store, &record, &locked.suite, &locked.components, &lock.architecture)?;
        if input.locked != *locked {
            return Err(changed(&locked.archive, locked));
        }
        inputs.push(input);
    }
    Ok(inputs)
}

fn changed(archive: &ArchiveName, locked: &LockedSnapshot) -> EnvironmentError {
    EnvironmentError::NotTheLock {
        difference: format!(
            "the snapshot {archive}@{} is not the one that was locked",
            locked.serial
        ),
    }
}
