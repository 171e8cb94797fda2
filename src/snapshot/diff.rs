//! What differs between two editions of an archive. Only indexes that differ are read, one pair at a
//! time, and of each package only name, version and digest are kept meanwhile.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{Edition, IndexFile, SnapshotError, SuiteState, each_chunk, package_indexes};
use crate::domain::{ArchiveName, Digest, PackageName, Sha256, SuiteName, Version};
use crate::format::deb822::{Stanza, Stanzas};
use crate::format::packages::{Binary, Source, is_source};
use crate::store::Store;

/// How a package or a file differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It has another version.
    Version,
    /// It has the same version with other bytes. Of an index: other bytes.
    Bytes,
}

impl Change {
    /// The word that is printed.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Version => "version",
            Self::Bytes => "bytes",
        }
    }
}

/// Where a package is listed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// The suite.
    pub suite: SuiteName,
    /// The component; empty in a flat archive.
    pub component: String,
    /// The architecture of the index; `source` for Sources.
    pub architecture: String,
    /// The index, uncompressed, below `dists/<suite>/`.
    pub index: String,
}

/// One package that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PackageChange {
    /// How.
    pub change: Change,
    /// Where it is listed.
    #[serde(flatten)]
    pub place: Place,
    /// Its name.
    pub package: PackageName,
    /// The source package that it is built from; its own name for a source.
    pub source: PackageName,
    /// The version before.
    pub old: Option<Version>,
    /// The version after.
    pub new: Option<Version>,
    /// SHA-256 of the .deb before; of a source, of its list of files.
    pub old_sha256: Option<Sha256>,
    /// The same after.
    pub new_sha256: Option<Sha256>,
}

/// One index file that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IndexChange {
    /// How: never `Version`.
    pub change: Change,
    /// The suite.
    pub suite: SuiteName,
    /// Below `dists/<suite>/`.
    pub path: String,
    /// What it was.
    pub old: Option<Digest>,
    /// What it is.
    pub new: Option<Digest>,
}

/// The index files that differ, by suite and path.
#[must_use]
pub fn diff_indexes(old: &Edition, new: &Edition) -> Vec<IndexChange> {
    let [before, after] = [old, new].map(|edition| {
        let files = edition.suites.iter().flat_map(|state| {
            let named = move |index: &IndexFile| ((state.suite.clone(), index.path.to_string()), index.digest);
            state.indexes.iter().map(named)
        });
        files.collect::<BTreeMap<_, _>>()
    });
    let names: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let change = |(suite, path): &(SuiteName, String)| {
        let name = (suite.clone(), path.clone());
        let (old, new) = (before.get(&name).copied(), after.get(&name).copied());
        let change = match (old, new) {
            (None, _) => Change::Added,
            (_, None) => Change::Removed,
            (Some(old), Some(new)) if old == new => return None,
            _ => Change::Bytes,
        };
        Some(IndexChange {
            change,
            suite: suite.clone(),
            path: path.clone(),
            old,
            new,
        })
    };
    names.into_iter().filter_map(change).collect()
}

/// Gives every package that differs to `take`, by suite and index, then by name.
///
/// # Errors
/// When an index is missing, damaged or malformed; what `take` fails with.
pub fn diff_packages<E: From<SnapshotError>>(
    store: &dyn Store,
    old: &Edition,
    new: &Edition,
    take: &mut dyn FnMut(PackageChange) -> Result<(), E>,
) -> Result<(), E> {
    let suites: BTreeSet<&SuiteName> = [old, new]
        .into_iter()
        .flat_map(|edition| edition.suites.iter().map(|state| &state.suite))
        .collect();
    for suite in suites {
        let (before, after) = (suite_of(old, suite), suite_of(new, suite));
        let states = before.into_iter().chain(after);
        let indexes: BTreeSet<&str> = states.flat_map(|state| package_indexes(state).into_keys()).collect();
        for plain in indexes {
            if same(before, after, plain) {
                continue;
            }
            let before = read(store, &old.archive, before, plain)?;
            let after = read(store, &new.archive, after, plain)?;
            compare(&place(suite, plain), before, after, take)?;
        }
    }
    Ok(())
}

fn suite_of<'a>(edition: &'a Edition, suite: &SuiteName) -> Option<&'a SuiteState> {
    edition.suites.iter().find(|state| state.suite == *suite)
}

/// Whether a form of an index that both list has the same digest in both.
fn same(before: Option<&SuiteState>, after: Option<&SuiteState>, plain: &str) -> bool {
    let (Some(before), Some(after)) = (before, after) else {
        return false;
    };
    let of_this = |index: &&IndexFile| {
        index
            .path
            .as_str()
            .strip_prefix(plain)
            .is_some_and(|rest| rest.is_empty() || (rest.starts_with('.') && !rest.contains('/')))
    };
    before.indexes.iter().filter(of_this).any(|index| {
        after
            .indexes
            .iter()
            .any(|other| other.path == index.path && other.digest == index.digest)
    })
}

/// `main/debian-installer/binary-amd64/Packages` is of component `main` and architecture `amd64`.
fn place(suite: &SuiteName, plain: &str) -> Place {
    let (folder, name) = plain.rsplit_once('/').unwrap_or(("", plain));
    let (component, last) = folder.rsplit_once('/').unwrap_or(("", folder));
    let architecture = match name {
        "Sources" => "source",
        _ => last.strip_prefix("binary-").unwrap_or_default(),
    };
    Place {
        suite: suite.clone(),
        component: component.trim_end_matches("/debian-installer").to_owned(),
        architecture: architecture.to_owned(),
        index: plain.to_owned(),
    }
}

/// Name → versions with their digests, and the source of the newest stanza.
type Packages = BTreeMap<PackageName, (PackageName, BTreeMap<String, (Version, Sha256)>)>;

fn read(
    store: &dyn Store,
    archive: &ArchiveName,
    state: Option<&SuiteState>,
    plain: &str,
) -> Result<Packages, SnapshotError> {
    let mut found = Packages::new();
    let Some(state) = state else { return Ok(found) };
    let Some(index) = package_indexes(state).remove(plain) else {
        return Ok(found);
    };
    each_chunk(store, archive, &state.suite, index, &mut |stanzas| {
        for stanza in Stanzas::new(stanzas) {
            let (package, source, version, sha256) =
                stanza
                    .and_then(|stanza| entry(&stanza))
                    .map_err(|source| SnapshotError::Record {
                        key: super::index_key(archive, &state.suite, index),
                        source,
                    })?;
            let (known, versions) = found
                .entry(package)
                .or_insert_with(|| (source.clone(), BTreeMap::new()));
            *known = source;
            versions.insert(version.to_string(), (version, sha256));
        }
        Ok::<_, SnapshotError>(())
    })?;
    Ok(found)
}

fn entry(stanza: &Stanza<'_>) -> Result<(PackageName, PackageName, Version, Sha256), crate::format::FormatError> {
    if is_source(stanza) {
        let source = Source::from_stanza(stanza)?;
        let mut files: Vec<String> = source
            .files
            .iter()
            .map(|(name, digest)| format!("{} {name}\n", digest.sha256))
            .collect();
        files.sort();
        let sha256 = Sha256::of(files.concat().as_bytes());
        return Ok((source.package.clone(), source.package, source.version, sha256));
    }
    let binary = Binary::from_stanza(stanza)?;
    Ok((binary.package, binary.source, binary.version, binary.digest.sha256))
}

fn compare<E>(
    place: &Place,
    before: Packages,
    mut after: Packages,
    take: &mut dyn FnMut(PackageChange) -> Result<(), E>,
) -> Result<(), E> {
    let mut changes: BTreeMap<PackageName, Vec<PackageChange>> = BTreeMap::new();
    for (package, (source, old)) in before {
        let (source, new) = after.remove(&package).unwrap_or((source, BTreeMap::new()));
        let found = of_package(place, &package, &source, old, new);
        changes.insert(package, found);
    }
    for (package, (source, new)) in after {
        let found = of_package(place, &package, &source, BTreeMap::new(), new);
        changes.insert(package, found);
    }
    changes.into_values().flatten().try_for_each(take)
}

/// An index may list several versions of a package: what both have is set apart, and the rest
/// compared in the order of versions.
fn of_package(
    place: &Place,
    package: &PackageName,
    source: &PackageName,
    mut old: BTreeMap<String, (Version, Sha256)>,
    mut new: BTreeMap<String, (Version, Sha256)>,
) -> Vec<PackageChange> {
    let change = |change, old: Option<(Version, Sha256)>, new: Option<(Version, Sha256)>| {
        let ((old, old_sha256), (new, new_sha256)) = (old.unzip(), new.unzip());
        PackageChange {
            change,
            place: place.clone(),
            package: package.clone(),
            source: source.clone(),
            old,
            new,
            old_sha256,
            new_sha256,
        }
    };
    let mut changes = Vec::new();
    let both: Vec<String> = old
        .keys()
        .filter(|version| new.contains_key(*version))
        .cloned()
        .collect();
    for version in both {
        if let (Some(before), Some(after)) = (old.remove(&version), new.remove(&version))
            && before.1 != after.1
        {
            changes.push(change(Change::Bytes, Some(before), Some(after)));
        }
    }
    let [mut old, mut new] = [old, new].map(|versions| versions.into_values().collect::<Vec<_>>());
    old.sort_by(|a, b| a.0.cmp(&b.0));
    new.sort_by(|a, b| a.0.cmp(&b.0));
    let (mut old, mut new) = (old.into_iter(), new.into_iter());
    loop {
        match (old.next(), new.next()) {
            (None, None) => return changes,
            (before @ Some(_), after @ Some(_)) => changes.push(change(Change::Version, before, after)),
            (before @ Some(_), None) => changes.push(change(Change::Removed, before, None)),
            (None, after) => changes.push(change(Change::Added, None, after)),
        }
    }
}
