//! Manifests: which packages something was made of. Tails' build manifests (v1, and v2 with hashes),
//! lists that `dpkg-query -W` or a call of mmdebstrap's `--include` gives, dpkg's status file and its
//! kin, and `.buildinfo` files. All become one value.

mod diff;
mod list;
mod logs;
mod tails;
mod write;
mod yaml;

pub use diff::{Likeness, ManifestDiff, OriginDifference, PackageDifference};

use std::collections::BTreeMap;

use crate::domain::{
    Architecture, ArchiveName, Component, GitOid, PackageName, PoolPath, Sha256, SnapshotName, SuiteName, Version,
};

use super::FormatError;
use super::buildinfo::Buildinfo;

/// The most bytes of a manifest.
pub const LARGEST: usize = 16 << 20;
/// The most packages of a manifest.
pub const MOST_PACKAGES: usize = 200_000;

/// What a manifest says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Manifest {
    /// For each archive that was configured, the snapshot that was used; none when that is `unknown`.
    pub origins: BTreeMap<ArchiveName, Option<SnapshotName>>,
    /// Binary packages, sorted, each once.
    pub binaries: Vec<Wanted>,
    /// Source packages, sorted, each once.
    pub sources: Vec<Wanted>,
    /// The Git commit that was built (v2).
    pub git_commit: Option<GitOid>,
    /// The lock of the environment that built (v2).
    pub environment: Option<Sha256>,
}

/// A package that a manifest names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wanted {
    /// Its name.
    pub package: PackageName,
    /// Its version.
    pub version: Version,
    /// Its architecture.
    pub architecture: WantedArchitecture,
    /// What else is known of it.
    pub details: Details,
}

/// What a manifest says of an architecture.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum WantedArchitecture {
    /// Nothing: every architecture that an index has.
    Any,
    /// This one, or `all`: what dpkg means by a name without one, on a machine of this one.
    Native(Architecture),
    /// This one. `source` for source packages.
    Exactly(Architecture),
}

/// What only v2, and locks, say of a package.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Details {
    /// SHA-256 of the .deb or .dsc.
    pub sha256: Option<Sha256>,
    /// Bytes of it.
    pub size: Option<u64>,
    /// The archive it came from.
    pub archive: Option<ArchiveName>,
    /// The suite.
    pub suite: Option<SuiteName>,
    /// The component.
    pub component: Option<Component>,
    /// The source package.
    pub source: Option<PackageName>,
    /// The source package's version.
    pub source_version: Option<Version>,
    /// What identifies the inputs of its build.
    pub input_id: Option<Sha256>,
    /// Where the archive's pool has it (site locks): then this counts, and the version, which is that of a file
    /// name without its epoch, does not.
    pub path: Option<PoolPath>,
}

impl Manifest {
    /// Reads a manifest of any form that is not JSON: which one, its first lines say. The frame of a
    /// signature is not unwrapped here.
    ///
    /// # Errors
    /// When it is none, or names no package.
    pub fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        if bytes.len() > LARGEST {
            return Err(FormatError::Limit {
                what: "manifest",
                limit: LARGEST as u64,
                unit: "bytes",
            });
        }
        let mut manifest = match form_of(bytes) {
            Form::Tails => tails::read(bytes)?,
            Form::Buildinfo => Self::of_buildinfo(&Buildinfo::parse(bytes)?),
            Form::Stanzas => list::stanzas(bytes)?,
            Form::Lines => list::lines(bytes)?,
        };
        manifest.settle();
        if manifest.binaries.len().saturating_add(manifest.sources.len()) > MOST_PACKAGES {
            return Err(FormatError::Limit {
                what: "manifest",
                limit: MOST_PACKAGES as u64,
                unit: "packages",
            });
        }
        Ok(manifest)
    }

    /// The packages that a build had installed.
    #[must_use]
    pub fn of_buildinfo(buildinfo: &Buildinfo) -> Self {
        let native = WantedArchitecture::Native(buildinfo.build_architecture.clone());
        let wanted = buildinfo.installed.iter().map(|one| {
            let architecture = one.architecture.clone().map(WantedArchitecture::Exactly);
            let architecture = architecture.unwrap_or_else(|| native.clone());
            Wanted::new(one.package.clone(), one.version.clone(), architecture)
        });
        let mut manifest = Self {
            binaries: wanted.collect(),
            ..Self::default()
        };
        manifest.settle();
        manifest
    }

    /// Adds what another manifest says. Where they name other snapshots of an archive, this one's counts.
    pub fn merge(&mut self, other: Self) {
        for (archive, name) in other.origins {
            let known = self.origins.entry(archive).or_default();
            *known = known.take().or(name);
        }
        self.binaries.extend(other.binaries);
        self.sources.extend(other.sources);
        self.settle();
    }

    /// Sorts bytewise by `package_version_architecture`, and drops what is there twice.
    fn settle(&mut self) {
        for list in [&mut self.binaries, &mut self.sources] {
            list.sort_by_cached_key(|wanted| (wanted.spelled(), wanted.details.clone()));
            list.dedup();
        }
    }

    /// A v1 manifest, byte for byte as Tails' own tools write it. What v1 has no place for is left out.
    #[must_use]
    pub fn to_v1(&self) -> Vec<u8> {
        write::v1(self)
    }

    /// A v2 manifest: the keys of v1 in their places, and what else is known. A v1 reader reads it.
    #[must_use]
    pub fn to_v2(&self) -> Vec<u8> {
        write::v2(self)
    }
}

impl Wanted {
    /// A package of which no more is known.
    #[must_use]
    pub fn new(package: PackageName, version: Version, architecture: WantedArchitecture) -> Self {
        Self {
            package,
            version,
            architecture,
            details: Details::default(),
        }
    }

    /// `package_version_architecture`: what Tails sorts by.
    fn spelled(&self) -> String {
        format!("{}_{}_{}", self.package, self.version, self.architecture)
    }
}

impl std::fmt::Display for Wanted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {}", self.package, self.version, self.architecture)
    }
}

impl WantedArchitecture {
    /// Whether a package of this architecture would do.
    #[must_use]
    pub fn admits(&self, architecture: &Architecture) -> bool {
        match self {
            Self::Any => true,
            Self::Native(native) => architecture == native || architecture.is_all(),
            Self::Exactly(one) => architecture == one,
        }
    }
}

impl std::fmt::Display for WantedArchitecture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Any => f.pad("any"),
            Self::Native(one) | Self::Exactly(one) => one.fmt(f),
        }
    }
}

enum Form {
    Tails,
    Buildinfo,
    Stanzas,
    Lines,
}

/// Told by the first line that says something. A list has no colon and blank in a line's first word.
fn form_of(bytes: &[u8]) -> Form {
    let mut lines = bytes.split(|b| *b == b'\n').filter(|line| {
        let first = line.iter().find(|b| !b.is_ascii_whitespace());
        first.is_some_and(|b| *b != b'#')
    });
    let first = lines.next().unwrap_or_default();
    let key = |line: &[u8]| {
        let at = line.iter().position(|b| *b == b':')?;
        let after = line.get(at.saturating_add(1));
        let key = line.get(..at)?;
        (after.is_none_or(u8::is_ascii_whitespace) && !key.contains(&b' ')).then(|| key.to_ascii_lowercase())
    };
    if first.starts_with(b"---") {
        return Form::Tails;
    }
    match key(first).as_deref() {
        Some(b"format")
            if !bytes
                .windows(24)
                .any(|w| w.eq_ignore_ascii_case(b"installed-build-depends:")) =>
        {
            Form::Tails
        }
        Some(b"origin_references" | b"packages" | b"git_commit" | b"environment") => Form::Tails,
        Some(b"format" | b"source") => Form::Buildinfo,
        Some(_) => Form::Stanzas,
        None => Form::Lines,
    }
}

#[cfg(test)]
mod tests;
