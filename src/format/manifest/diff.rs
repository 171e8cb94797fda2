//! What differs between two manifests: a release is built from the same packages as the build before it,
//! and only the serial of an archive that is always at its latest may have moved on.

use std::collections::{BTreeMap, BTreeSet};

use super::{Manifest, Wanted};
use crate::domain::{ArchiveName, PackageName, Sha256, SnapshotName, Version};

/// A package of which two manifests say different things. Sorted by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PackageDifference {
    /// Its name.
    pub package: PackageName,
    /// Its architecture, or `source`.
    pub architecture: String,
    /// The versions of the first that the second does not have.
    pub before: Vec<Version>,
    /// The versions of the second that the first does not have.
    pub after: Vec<Version>,
    /// Versions that both have, with other bytes.
    pub other_bytes: Vec<Version>,
}

/// An archive of which two manifests name different snapshots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginDifference {
    /// The archive.
    pub archive: ArchiveName,
    /// The snapshot of the first; none when it has none, or it is unknown.
    pub before: Option<SnapshotName>,
    /// The snapshot of the second.
    pub after: Option<SnapshotName>,
}

/// All that differs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ManifestDiff {
    /// Packages.
    pub packages: Vec<PackageDifference>,
    /// Snapshots.
    pub origins: Vec<OriginDifference>,
}

/// How alike two manifests are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Likeness {
    /// The same packages from the same snapshots.
    Identical,
    /// The same packages; only archives that may move on have a later snapshot.
    Similar,
    /// Anything else.
    Different,
}

impl Likeness {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Identical => "identical",
            Self::Similar => "similar",
            Self::Different => "different",
        }
    }
}

impl ManifestDiff {
    /// Compares two manifests. What only one of them says of a package's bytes is no difference.
    #[must_use]
    pub fn of(before: &Manifest, after: &Manifest) -> Self {
        let (old, new) = (by_name(before), by_name(after));
        let names: BTreeSet<_> = old.keys().chain(new.keys()).collect();
        let none = BTreeMap::new();
        let package = |key: &&(PackageName, String)| {
            let (old, new) = (old.get(*key).unwrap_or(&none), new.get(*key).unwrap_or(&none));
            let only = |these: &Versions, those: &Versions| -> Vec<Version> {
                let lacks = |version: &&Version| !those.contains_key(*version);
                these.keys().filter(lacks).cloned().collect()
            };
            let other = |(version, digest): (&Version, &Option<Sha256>)| {
                let same = new
                    .get(version)?
                    .as_ref()
                    .zip(digest.as_ref())
                    .is_none_or(|(a, b)| a == b);
                (!same).then(|| version.clone())
            };
            let found = PackageDifference {
                package: key.0.clone(),
                architecture: key.1.clone(),
                before: only(old, new),
                after: only(new, old),
                other_bytes: old.iter().filter_map(other).collect(),
            };
            let differs = !(found.before.is_empty() && found.after.is_empty() && found.other_bytes.is_empty());
            differs.then_some(found)
        };
        let archives: BTreeSet<_> = before.origins.keys().chain(after.origins.keys()).collect();
        let origin = |archive: &ArchiveName| {
            let of = |manifest: &Manifest| manifest.origins.get(archive).cloned();
            (of(before) != of(after)).then(|| OriginDifference {
                archive: archive.clone(),
                before: of(before).flatten(),
                after: of(after).flatten(),
            })
        };
        Self {
            packages: names.iter().filter_map(package).collect(),
            origins: archives.into_iter().filter_map(origin).collect(),
        }
    }

    /// How alike the two are, when these archives may have moved on.
    #[must_use]
    pub fn likeness(&self, moving: &[ArchiveName]) -> Likeness {
        let moved_on = |origin: &OriginDifference| {
            let later = match (&origin.before, &origin.after) {
                (Some(SnapshotName::Serial(before)), Some(SnapshotName::Serial(after))) => before < after,
                (Some(SnapshotName::At(before)), Some(SnapshotName::At(after))) => before < after,
                _ => false,
            };
            later && moving.contains(&origin.archive)
        };
        if self.packages.is_empty() && self.origins.is_empty() {
            Likeness::Identical
        } else if self.packages.is_empty() && self.origins.iter().all(moved_on) {
            Likeness::Similar
        } else {
            Likeness::Different
        }
    }
}

type Versions = BTreeMap<Version, Option<Sha256>>;

fn by_name(manifest: &Manifest) -> BTreeMap<(PackageName, String), Versions> {
    let mut found: BTreeMap<_, Versions> = BTreeMap::new();
    let mut add = |wanted: &Wanted, architecture: String| {
        let versions = found.entry((wanted.package.clone(), architecture)).or_default();
        let known = versions.entry(wanted.version.clone()).or_default();
        *known = known.take().or(wanted.details.sha256);
    };
    for wanted in &manifest.binaries {
        add(wanted, wanted.architecture.to_string());
    }
    for wanted in &manifest.sources {
        add(wanted, "source".to_owned());
    }
    found
}
