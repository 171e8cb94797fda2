//! Environment locks: `repos/<archive>/<source>.lock`.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::domain::{
    Architecture, ArchiveName, Component, DomainError, PackageName, PoolPath, Serial, Sha256, SnapshotId, SnapshotName,
    SuiteName, Timestamp, Version,
};
use crate::format::manifest::{Details, Manifest, Wanted, WantedArchitecture};

/// The exact set of packages in a build chroot. Canonical JSON; its identity is its SHA-256.
pub type Lock = LockOf<LockedPackage>;

/// A lock whose packages are `P`: who reads very many locks reads a package that stands in all of them once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LockOf<P> {
    /// The format of this file: 1.
    #[serde(deserialize_with = "known_format")]
    pub format: u32,
    /// The architecture that builds.
    pub architecture: Architecture,
    /// The snapshots it was resolved from.
    pub snapshots: Vec<LockedSnapshot>,
    /// What was asked for: the build dependencies, one relation list.
    pub wanted: String,
    /// The `.buildinfo` whose build had these packages; absent when they were resolved anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buildinfo: Option<LockedBuildinfo>,
    /// Everything installed, sorted by name.
    pub packages: Vec<P>,
    /// The chroot made of them.
    pub chroot: LockedChroot,
}

/// What is in a later format may mean something else by the same fields.
fn known_format<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    match u32::deserialize(deserializer)? {
        1 => Ok(1),
        other => Err(D::Error::custom(format!(
            "the format {other} is not known to this program"
        ))),
    }
}

impl Lock {
    /// The packages, as a manifest names them: each by its hash, with the snapshots they came from.
    #[must_use]
    pub fn manifest(&self) -> Manifest {
        let serial = |locked: &LockedSnapshot| Some(SnapshotName::Serial(locked.serial.clone()));
        let wanted = |locked: &LockedPackage| Wanted {
            package: locked.package.clone(),
            version: locked.version.clone(),
            architecture: WantedArchitecture::Exactly(locked.architecture.clone()),
            details: Details {
                sha256: Some(locked.sha256),
                size: Some(locked.size),
                archive: Some(locked.archive.clone()),
                suite: Some(locked.suite.clone()),
                source: Some(locked.source.clone()),
                source_version: Some(locked.source_version.clone()),
                ..Details::default()
            },
        };
        let mut manifest = Manifest::default();
        manifest.merge(Manifest {
            origins: self
                .snapshots
                .iter()
                .map(|one| (one.archive.clone(), serial(one)))
                .collect(),
            binaries: self.packages.iter().map(wanted).collect(),
            ..Manifest::default()
        });
        manifest
    }
}

/// The `.buildinfo` that a lock was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LockedBuildinfo {
    /// The file, with its signature if it had one.
    pub sha256: Sha256,
    /// Its source package.
    pub source: PackageName,
    /// The source package's version.
    pub version: Version,
    /// Packages of the lock that it does not record, by name.
    pub extras: Vec<PackageName>,
}

/// One suite of one snapshot.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LockedSnapshot {
    /// Which archive.
    pub archive: ArchiveName,
    /// Which of its suites.
    pub suite: SuiteName,
    /// Which components.
    pub components: Vec<Component>,
    /// Which snapshot.
    pub id: SnapshotId,
    /// Its serial.
    pub serial: Serial,
    /// SHA-256 of upstream's InRelease (mirrors), for E1.
    pub inrelease_sha256: Option<Sha256>,
    /// `Date` of upstream's InRelease.
    pub release_date: Option<Timestamp>,
    /// The Packages indexes used, uncompressed, by hash.
    pub packages_sha256: Vec<Sha256>,
}

/// One package of the chroot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LockedPackage {
    /// Its name.
    pub package: PackageName,
    /// Its version.
    pub version: Version,
    /// Its architecture.
    pub architecture: Architecture,
    /// The .deb.
    pub sha256: Sha256,
    /// Bytes of the .deb.
    pub size: u64,
    /// Where the archive keeps it.
    pub filename: PoolPath,
    /// From which archive.
    pub archive: ArchiveName,
    /// From which suite.
    pub suite: SuiteName,
    /// The source package.
    pub source: PackageName,
    /// The source package's version.
    pub source_version: Version,
}

/// A [`LockedPackage`] as it stands in a document, not checked yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LockedText<'a> {
    /// Its name.
    pub package: &'a str,
    /// Its version.
    pub version: &'a str,
    /// Its architecture.
    pub architecture: &'a str,
    /// The .deb.
    pub sha256: &'a str,
    /// Bytes of the .deb.
    pub size: u64,
    /// Where the archive keeps it.
    pub filename: &'a str,
    /// From which archive.
    pub archive: &'a str,
    /// From which suite.
    pub suite: &'a str,
    /// The source package.
    pub source: &'a str,
    /// The source package's version.
    pub source_version: &'a str,
}

impl LockedText<'_> {
    /// The package, checked.
    ///
    /// # Errors
    /// When a value does not follow its grammar.
    pub fn check(&self) -> Result<LockedPackage, DomainError> {
        Ok(LockedPackage {
            package: self.package.parse()?,
            version: self.version.parse()?,
            architecture: self.architecture.parse()?,
            sha256: self.sha256.parse()?,
            size: self.size,
            filename: self.filename.parse()?,
            archive: self.archive.parse()?,
            suite: self.suite.parse()?,
            source: self.source.parse()?,
            source_version: self.source_version.parse()?,
        })
    }
}

/// The chroot's identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LockedChroot {
    /// SHA-256 of its tar archive.
    pub tar_sha256: Sha256,
    /// What made it: `mmdebstrap`.
    pub tool: String,
    /// Which version of it.
    pub tool_version: String,
    /// The time stamp that its files are clamped to.
    pub source_date_epoch: i64,
}
