//! What is known of decisions, rebuild records and environment locks once their documents were verified.

use std::collections::BTreeMap;

use crate::domain::{
    ArchiveName, BuilderId, FileName, Fingerprint, PackageName, PoolPath, Sha256, SnapshotId, SuiteName, Timestamp,
    Version,
};
use crate::format::intoto::{Outcome, RuleResult};

/// What names a decision: the archive it is about, and the SHA-256 of its signed envelope.
pub type DecisionId = (ArchiveName, Sha256);

/// A decision that the gate signed, with what its declaration says of the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Whether it admits.
    pub admitted: bool,
    /// When it was made.
    pub decided_at: Timestamp,
    /// The policy's name.
    pub policy: String,
    /// The suites that it is for.
    pub suites: Vec<SuiteName>,
    /// The source package.
    pub source: PackageName,
    /// Its version.
    pub version: Version,
    /// `SLSA_BUILD_REPRODUCED`, `ASSAY_RELAXED_…`.
    pub levels: Vec<String>,
    /// Rule and evidence: of an admission, where it leans on an exception; of a refusal, what was broken.
    pub remarks: Vec<(String, String)>,
    /// The pool files that it is about.
    pub files: BTreeMap<PoolPath, Sha256>,
    /// SHA-256 of the declaration.
    pub declaration: Option<Sha256>,
    /// What the declaration says; absent when it is not public, as for most that were refused.
    pub declared: Option<Declared>,
    /// SHA-256 of each environment lock.
    pub locks: Vec<Sha256>,
    /// SHA-256 of each rebuild record that it was decided on.
    pub records: Vec<Sha256>,
}

impl Facts {
    /// The packages that it is about, by file name.
    #[must_use]
    pub fn outputs(&self) -> BTreeMap<&str, Sha256> {
        let binary = self.files.iter().filter(|(path, _)| is_package(path.as_str()));
        binary.map(|(path, sha256)| (path.file_name(), *sha256)).collect()
    }

    /// What is worth keeping of the rules: see [`Facts::remarks`].
    pub(super) fn remarks_of(admitted: bool, levels: &[String], rules: Vec<RuleResult>) -> Vec<(String, String)> {
        let relaxed = |id: &str| {
            levels
                .iter()
                .any(|level| level.strip_prefix("ASSAY_RELAXED_") == Some(id))
        };
        let kept = rules
            .into_iter()
            .filter(|rule| if admitted { relaxed(&rule.id) } else { !rule.passed });
        kept.map(|rule| (rule.id, rule.evidence)).collect()
    }
}

/// Whether a file is a binary package.
pub(super) fn is_package(path: &str) -> bool {
    [".deb", ".udeb", ".ddeb"].iter().any(|end| path.ends_with(end))
}

/// Where a source came from, as its declaration says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared {
    /// The Git repository.
    pub git: String,
    /// The signed tag, or the branch of the signed commit, fully qualified.
    pub reference: String,
    /// The tag object; absent when the commit itself is signed.
    pub git_tag: Option<String>,
    /// The commit.
    pub git_commit: String,
    /// Its tree.
    pub git_tree: String,
    /// The tree's identity.
    pub tree_sha256: Sha256,
    /// Who signed the tag or the commit.
    pub signers: Vec<Fingerprint>,
}

/// A rebuild record, with the builders' keys whose signatures on it hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordFacts {
    /// The keys.
    pub signed_by: Vec<Fingerprint>,
    /// Who it says built.
    pub builder: BuilderId,
    /// SHA-256 of the declaration that was built.
    pub declaration: Sha256,
    /// SHA-256 of the environment lock it was built in.
    pub lock: Sha256,
    /// How it ended.
    pub outcome: Outcome,
    /// When.
    pub finished_on: Timestamp,
    /// What it gave.
    pub outputs: BTreeMap<FileName, Sha256>,
}

impl RecordFacts {
    /// Whether it gave exactly these.
    #[must_use]
    pub fn gave(&self, outputs: &BTreeMap<&str, Sha256>) -> bool {
        self.outputs.len() == outputs.len()
            && self
                .outputs
                .iter()
                .all(|(name, sha256)| outputs.get(name.as_str()) == Some(sha256))
    }
}

/// An environment lock. Its packages are numbers: many locks share them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockFacts {
    /// The snapshots that it was resolved from.
    pub snapshots: Vec<LockedAt>,
    /// Its packages, ascending.
    pub packages: Vec<u32>,
    /// For each package out of a custom archive, by its number: the decision that let it in, when that is known.
    pub ours: BTreeMap<u32, Option<Sha256>>,
}

/// A suite of a snapshot that a lock was resolved from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedAt {
    /// Which archive.
    pub archive: ArchiveName,
    /// Which of its suites.
    pub suite: SuiteName,
    /// Which snapshot.
    pub id: SnapshotId,
}

/// A package that stands in an environment lock.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LockedFacts {
    /// The .deb.
    pub sha256: Sha256,
    /// From which archive.
    pub archive: String,
    /// Its name.
    pub package: String,
    /// Its version.
    pub version: String,
    /// Its architecture.
    pub architecture: String,
    /// The source package.
    pub source: String,
    /// The source package's version.
    pub source_version: String,
}

impl std::fmt::Display for LockedFacts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} {} {} of {}",
            self.package, self.version, self.architecture, self.archive
        )
    }
}

/// Everything that was verified once. What is in it is named by hash, so it never changes.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// Decisions.
    pub decisions: BTreeMap<DecisionId, Facts>,
    /// Rebuild records, by the SHA-256 of their envelopes.
    pub records: BTreeMap<Sha256, RecordFacts>,
    /// Environment locks, by the SHA-256 of their canonical JSON.
    pub locks: BTreeMap<Sha256, LockFacts>,
    /// The packages of all locks.
    pub packages: Vec<LockedFacts>,
    /// Declaration files of the site, by the SHA-256 of their bytes.
    pub declarations: BTreeMap<Sha256, SiteDeclaration>,
}

/// What a declaration file of the site declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteDeclaration {
    /// Its identity.
    pub sha256: Sha256,
    /// The source package.
    pub source: PackageName,
    /// Its version.
    pub version: Version,
}
