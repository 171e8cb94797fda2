//! The ledger: a name and version never come back with other bytes, even after removal (Debian
//! Policy §3.2.2). Keys carry versions without their epoch, since file names do.
//!
//! Pure: what is claimed under which key, and what a conflict is. `publish::ledger` keeps it.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::domain::{Architecture, FileName, PackageName, Sha256, SuiteName, Version};

use super::{DebFacts, Whole};

/// What can be claimed once.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum LedgerKey {
    /// A source package of a version: its .dsc.
    Source {
        /// Its name.
        package: PackageName,
        /// Its version without epoch.
        version: String,
    },
    /// An upstream version of a source package: its tarball.
    Upstream {
        /// The source package.
        package: PackageName,
        /// The upstream version.
        version: String,
    },
    /// A binary package of a version and architecture: its .deb.
    Binary {
        /// Its name.
        package: PackageName,
        /// Its version without epoch.
        version: String,
        /// Its architecture.
        architecture: Architecture,
    },
    /// The name of a tarball: pool folders are shared by all versions of a source.
    File {
        /// The name.
        name: FileName,
    },
    /// A version of a package in a suite: versions there never go back.
    Suite {
        /// The suite.
        suite: SuiteName,
        /// The package's name.
        package: PackageName,
        /// Its version without epoch.
        version: String,
        /// Its architecture; `source` for source packages.
        architecture: Architecture,
    },
}

/// Who claimed it, with which bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LedgerEntry {
    /// What is claimed.
    pub key: LedgerKey,
    /// The file's SHA-256.
    pub sha256: Sha256,
    /// The source package that it belongs to.
    pub source: PackageName,
    /// The whole version, with its epoch.
    pub version: Version,
}

/// What the ledger holds under the names that matter to a candidate.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<LedgerEntry>", into = "Vec<LedgerEntry>")]
pub struct LedgerView {
    entries: BTreeMap<LedgerKey, LedgerEntry>,
}

/// A claim that cannot be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerConflict {
    /// What was claimed before.
    pub held: LedgerEntry,
    /// What is claimed now.
    pub claimed: LedgerEntry,
}

impl LedgerKey {
    /// Where the store keeps it, below `state/<archive>/ledger/`.
    #[must_use]
    pub fn path(&self) -> String {
        match self {
            Self::Source { package, version } => format!("source/{package}/{version}"),
            Self::Upstream { package, version } => format!("upstream/{package}/{version}"),
            Self::Binary {
                package,
                version,
                architecture,
            } => format!("binary/{package}/{version}/{architecture}"),
            Self::File { name } => format!("file/{name}"),
            Self::Suite {
                suite,
                package,
                version,
                architecture,
            } => format!("suite/{package}/{suite}/{version}/{architecture}"),
        }
    }

    /// The name that it is about: a package's, or a file's.
    #[must_use]
    pub fn subject(&self) -> &str {
        match self {
            Self::Source { package, .. }
            | Self::Upstream { package, .. }
            | Self::Binary { package, .. }
            | Self::Suite { package, .. } => package.as_str(),
            Self::File { name } => name.as_str(),
        }
    }
}

impl fmt::Display for LedgerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source { package, version } => write!(f, "the source package {package} {version}"),
            Self::Upstream { package, version } => write!(f, "the upstream version {version} of {package}"),
            Self::Binary {
                package,
                version,
                architecture,
            } => write!(f, "the package {package} {version} {architecture}"),
            Self::File { name } => write!(f, "the file name {name}"),
            Self::Suite {
                suite,
                package,
                version,
                architecture,
            } => write!(f, "{package} {version} {architecture} in the suite {suite}"),
        }
    }
}

impl From<Vec<LedgerEntry>> for LedgerView {
    fn from(entries: Vec<LedgerEntry>) -> Self {
        Self::new(entries)
    }
}

impl From<LedgerView> for Vec<LedgerEntry> {
    fn from(view: LedgerView) -> Self {
        view.entries.into_values().collect()
    }
}

impl LedgerView {
    /// From entries, in any order.
    #[must_use]
    pub fn new(entries: impl IntoIterator<Item = LedgerEntry>) -> Self {
        Self {
            entries: entries.into_iter().map(|entry| (entry.key.clone(), entry)).collect(),
        }
    }

    /// What is held under `key`.
    #[must_use]
    pub fn get(&self, key: &LedgerKey) -> Option<&LedgerEntry> {
        self.entries.get(key)
    }

    /// Every entry, by key.
    pub fn entries(&self) -> impl Iterator<Item = &LedgerEntry> {
        self.entries.values()
    }

    /// Why `claimed` cannot be made; none when nobody holds its key, or the same bytes do.
    #[must_use]
    pub fn conflict(&self, claimed: &LedgerEntry) -> Option<LedgerConflict> {
        let held = self.get(&claimed.key)?;
        (held.sha256 != claimed.sha256).then(|| LedgerConflict {
            held: held.clone(),
            claimed: claimed.clone(),
        })
    }
}

/// Every claim that admitting a candidate makes, by key. A file that is no .deb claims nothing: it
/// cannot be admitted.
#[must_use]
pub fn claims<'a>(whole: impl Into<Whole<'a>>) -> Vec<LedgerEntry> {
    let whole = whole.into();
    let mut claims = source_claims(&whole);
    for (output, facts) in whole.debs() {
        claims.extend(binary_claims(&whole, facts, output.digest.sha256));
    }
    claims.sort_by(|a, b| (&a.key, a.sha256).cmp(&(&b.key, b.sha256)));
    claims.dedup();
    claims
}

fn source_claims(whole: &Whole<'_>) -> Vec<LedgerEntry> {
    let (package, version) = (whole.source, whole.version.without_epoch());
    let entry = |key: LedgerKey, sha256: Sha256| LedgerEntry {
        key,
        sha256,
        source: package.clone(),
        version: whole.version.clone(),
    };
    let mut claims = Vec::new();
    for file in whole.source_files {
        let (name, sha256) = (file.name.as_str(), file.digest.sha256);
        if name.ends_with(".dsc") {
            let key = LedgerKey::Source {
                package: package.clone(),
                version: version.to_owned(),
            };
            claims.push(entry(key, sha256));
            if let Ok(architecture) = Architecture::new("source") {
                let in_suite = |suite: &SuiteName| LedgerKey::Suite {
                    suite: suite.clone(),
                    package: package.clone(),
                    version: version.to_owned(),
                    architecture: architecture.clone(),
                };
                claims.extend(whole.suites.iter().map(|suite| entry(in_suite(suite), sha256)));
            }
            continue;
        }
        let key = LedgerKey::File {
            name: file.name.clone(),
        };
        claims.push(entry(key, sha256));
        if let Some(version) = upstream_version(whole, name) {
            let key = LedgerKey::Upstream {
                package: package.clone(),
                version,
            };
            claims.push(entry(key, sha256));
        }
    }
    claims
}

/// The upstream version that a tarball claims. A native tarball is its own upstream: switching
/// between native and quilt must not give one upstream version two contents.
fn upstream_version(whole: &Whole<'_>, name: &str) -> Option<String> {
    let (package, version) = (whole.source, whole.version);
    if name.starts_with(&format!("{package}_{}.orig.tar.", version.upstream())) && !name.ends_with(".asc") {
        return Some(version.upstream().to_owned());
    }
    let native = name.starts_with(&format!("{package}_{}.tar.", version.without_epoch()));
    native.then(|| version.without_epoch().to_owned())
}

fn binary_claims(whole: &Whole<'_>, facts: &DebFacts, sha256: Sha256) -> Vec<LedgerEntry> {
    let version = facts.version.without_epoch().to_owned();
    let entry = |key: LedgerKey| LedgerEntry {
        key,
        sha256,
        source: whole.source.clone(),
        version: facts.version.clone(),
    };
    let in_suite = |suite: &SuiteName| LedgerKey::Suite {
        suite: suite.clone(),
        package: facts.package.clone(),
        version: version.clone(),
        architecture: facts.architecture.clone(),
    };
    let mut claims: Vec<LedgerEntry> = whole.suites.iter().map(|suite| entry(in_suite(suite))).collect();
    claims.push(entry(LedgerKey::Binary {
        package: facts.package.clone(),
        version: version.clone(),
        architecture: facts.architecture.clone(),
    }));
    claims
}
