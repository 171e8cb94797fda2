//! The snapshots that an environment is resolved from, read out of the store.

use std::collections::BTreeMap;

use super::{EnvironmentError, Lock, LockedPackage, LockedSnapshot, SnapshotInput};
use crate::domain::{Architecture, ArchiveName, Component, Sha256, SnapshotName, SuiteName};
use crate::format::deb822::Stanzas;
use crate::snapshot::{Chain, Record, kept_index, read_plain_index};
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
    let upstream = state.upstream.as_ref();
    let locked = LockedSnapshot {
        archive: record.archive.clone(),
        suite: suite.clone(),
        components: components.to_vec(),
        id: record.id.clone(),
        serial: record.serial.clone(),
        inrelease_sha256: upstream.map(|upstream| upstream.inrelease.sha256),
        release_date: upstream.map(|upstream| upstream.date),
        packages_sha256: packages.iter().map(|bytes| Sha256::of(bytes)).collect(),
    };
    Ok(SnapshotInput { locked, packages })
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

/// Checks that every locked package is in the index of its archive and suite, with its SHA-256.
///
/// # Errors
/// `Missing`, with the first that is not.
pub fn check_packages(lock: &Lock, inputs: &[SnapshotInput]) -> Result<(), EnvironmentError> {
    let mut wanted: BTreeMap<(&str, &str), &LockedPackage> = lock
        .packages
        .iter()
        .map(|p| ((p.package.as_str(), p.architecture.as_str()), p))
        .collect();
    for input in inputs {
        for stanza in input.packages.iter().flat_map(|text| Stanzas::new(text)) {
            let stanza = stanza.map_err(EnvironmentError::format("Packages"))?;
            let key = (
                stanza.field("Package").unwrap_or_default(),
                stanza.field("Architecture").unwrap_or_default(),
            );
            let Some(package) = wanted.get(&key) else { continue };
            let here = (&input.locked.archive, &input.locked.suite) == (&package.archive, &package.suite);
            let same = stanza.field("Version") == Some(package.version.as_str())
                && stanza.field("SHA256") == Some(package.sha256.hex().as_str());
            if here && same {
                wanted.remove(&key);
            }
        }
    }
    match wanted.values().next() {
        Some(p) => Err(EnvironmentError::Missing {
            package: format!("{} {} {}", p.package, p.version, p.architecture),
        }),
        None => Ok(()),
    }
}

fn changed(archive: &ArchiveName, locked: &LockedSnapshot) -> EnvironmentError {
    EnvironmentError::NotTheLock {
        difference: format!(
            "the snapshot {archive}@{} is not the one that was locked",
            locked.serial
        ),
    }
}
