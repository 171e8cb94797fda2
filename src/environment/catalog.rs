//! The stanzas of an environment's Packages indexes: which file a name, version and architecture is.

use std::collections::BTreeMap;

use super::{EnvironmentError, LockedPackage, SnapshotInput};
use crate::domain::{Architecture, PackageName, Version};
use crate::format::deb822::{Stanza, Stanzas};
use crate::format::packages::Binary;

/// What apt calls a package version: all that its output names.
pub(super) type Identity = (PackageName, Version, Architecture);

/// A stanza, and the lock entry it makes.
pub(super) struct Found<'a> {
    pub(super) locked: LockedPackage,
    pub(super) stanza: Stanza<'a>,
}

/// Calls `each` with every stanza of every index, in order.
pub(super) fn visit<'a>(
    inputs: &'a [SnapshotInput],
    mut each: impl FnMut(&'a SnapshotInput, Stanza<'a>) -> Result<(), EnvironmentError>,
) -> Result<(), EnvironmentError> {
    for input in inputs {
        for index in &input.packages {
            for stanza in Stanzas::new(index) {
                each(input, stanza.map_err(EnvironmentError::format(label(input)))?)?;
            }
        }
    }
    Ok(())
}

/// Finds each wanted package. The first index that has it gives its place; another index may have
/// the same file, but not another file under the same identity.
///
/// # Errors
/// When one is in no index, or in two with different contents (gate rule E2).
pub(super) fn find<'a>(inputs: &'a [SnapshotInput], wanted: &[Identity]) -> Result<Vec<Found<'a>>, EnvironmentError> {
    // Most stanzas are not wanted: their names alone are looked at.
    let mut by_name: BTreeMap<&str, Vec<&Identity>> = BTreeMap::new();
    for identity in wanted {
        by_name.entry(identity.0.as_str()).or_default().push(identity);
    }
    let mut found: BTreeMap<&Identity, Found<'a>> = BTreeMap::new();
    visit(inputs, |input, stanza| {
        let Some(versions) = stanza.field("Package").and_then(|name| by_name.get(name)) else {
            return Ok(());
        };
        let binary = Binary::from_stanza(&stanza).map_err(EnvironmentError::format(label(input)))?;
        let same = |id: &&&Identity| id.1 == binary.version && id.2 == binary.architecture;
        let Some(identity) = versions.iter().find(same).copied() else {
            return Ok(());
        };
        if let Some(first) = found.get(identity) {
            return same_file(identity, &first.locked, &binary);
        }
        let locked = locked(input, binary);
        found.insert(identity, Found { locked, stanza });
        Ok(())
    })?;
    wanted
        .iter()
        .map(|id| {
            found
                .remove(id)
                .ok_or_else(|| EnvironmentError::Missing { package: spell(id) })
        })
        .collect()
}

fn same_file(identity: &Identity, first: &LockedPackage, second: &Binary) -> Result<(), EnvironmentError> {
    if first.sha256 == second.digest.sha256 {
        return Ok(());
    }
    Err(EnvironmentError::Ambiguous {
        package: spell(identity),
        first: first.sha256.hex(),
        second: second.digest.sha256.hex(),
    })
}

fn locked(input: &SnapshotInput, binary: Binary) -> LockedPackage {
    LockedPackage {
        package: binary.package,
        version: binary.version,
        architecture: binary.architecture,
        sha256: binary.digest.sha256,
        size: binary.digest.size,
        filename: binary.filename,
        archive: input.locked.archive.clone(),
        suite: input.locked.suite.clone(),
        source: binary.source,
        source_version: binary.source_version,
    }
}

fn label(input: &SnapshotInput) -> String {
    format!(
        "Packages of `{}` in {}@{}",
        input.locked.suite, input.locked.archive, input.locked.id
    )
}

pub(super) fn spell((package, version, architecture): &Identity) -> String {
    format!("{package} {version} {architecture}")
}
