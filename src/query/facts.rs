//! What is known of decisions, rebuild records and environment locks once their documents were verified.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::domain::{
    ArchiveName, BuilderId, FileName, Fingerprint, PackageName, PoolPath, Sha256, SnapshotId, SuiteName, Timestamp,
    Version, escape,
};
use crate::format::intoto::{Outcome, RuleResult};
use crate::host::files::Stamp;

/// What names a decision: the archive it is about, and the SHA-256 of its signed envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DecisionId {
    /// The archive, by its place among those that the site trusts something about.
    pub archive: usize,
    /// The envelope.
    pub sha256: Sha256,
}

/// A decision that the gate signed, with what its declaration says of the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    /// Whether it admits.
    pub admitted: bool,
    /// Whether all of its builds were made at one path, as rule E5 says.
    pub at_one_path: bool,
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
    /// Where it was imported from: upstream's signature is what it stands on.
    pub imported: Option<Imported>,
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

/// Where packages were imported from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Imported {
    /// The mirror.
    pub archive: String,
    /// Its snapshot or tag.
    pub snapshot: String,
    /// Its suite.
    pub suite: String,
    /// SHA-256 of the Release that upstream signed.
    pub release: String,
    /// The keys that signed it.
    pub signers: Vec<String>,
    /// Why.
    pub reason: String,
    /// Who asked for it.
    pub asked_by: String,
}

impl std::fmt::Display for Imported {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "imported from {}@{} ({}) on upstream's signature; {}: {}",
            self.archive,
            self.snapshot,
            self.suite,
            escape(&self.asked_by),
            escape(&self.reason)
        )
    }
}

/// Where a source came from, as its declaration says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Declared {
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
pub(super) struct RecordFacts {
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
    /// When it started.
    pub started_on: Timestamp,
    /// When it ended.
    pub finished_on: Timestamp,
    /// What it gave.
    pub outputs: BTreeMap<FileName, Sha256>,
}

/// An environment lock. Its packages are numbers: many locks share them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LockFacts {
    /// The snapshots that it was resolved from.
    pub snapshots: Vec<LockedAt>,
    /// Its packages.
    pub packages: Vec<u32>,
    /// For each package out of a custom archive, by its number: the decision that let it in, when that is known.
    pub ours: BTreeMap<u32, Option<Sha256>>,
}

/// A suite of a snapshot that a lock was resolved from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LockedAt {
    /// Which archive.
    pub archive: ArchiveName,
    /// Which of its suites.
    pub suite: SuiteName,
    /// Which snapshot.
    pub id: SnapshotId,
}

/// A package that stands in an environment lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LockedFacts<T> {
    /// Its name.
    pub package: T,
    /// Its version.
    pub version: T,
    /// Its architecture.
    pub architecture: T,
    /// From which archive.
    pub archive: T,
    /// The source package.
    pub source: T,
    /// The source package's version.
    pub source_version: T,
    /// The .deb.
    pub sha256: Sha256,
}

impl<T: fmt::Display> fmt::Display for LockedFacts<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (package, version) = (&self.package, &self.version);
        write!(f, "{package} {version} {} of {}", self.architecture, self.archive)
    }
}

/// What a declaration file of the site declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SiteDeclaration {
    /// Its identity.
    pub sha256: Sha256,
    /// The source package.
    pub source: PackageName,
    /// Its version.
    pub version: Version,
}

/// A declaration file: where it is, and what tells that nobody wrote to it since it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DeclarationFile {
    /// The archive whose folder it is in.
    pub archive: ArchiveName,
    /// Its name, without `.toml`.
    pub name: PackageName,
    /// The file as it was read.
    pub stamp: Stamp,
}

/// What was learned together, from documents that hold.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Decisions, each with its archive.
    pub decisions: BTreeMap<(Sha256, ArchiveName), Facts>,
    /// Rebuild records, by the SHA-256 of their envelopes.
    pub records: BTreeMap<Sha256, RecordFacts>,
    /// Environment locks, by the SHA-256 of their canonical JSON.
    pub locks: BTreeMap<Sha256, LockFacts>,
    /// The packages of all locks.
    pub packages: Vec<LockedFacts<String>>,
    /// Declaration files of the site.
    pub declarations: Vec<(DeclarationFile, SiteDeclaration)>,
}

impl Batch {
    /// Whether nothing was learned.
    pub(super) fn is_empty(&self) -> bool {
        self.decisions.is_empty() && self.records.is_empty() && self.declarations.is_empty()
    }

    /// Takes over what another has, but for its packages.
    pub(super) fn append(&mut self, mut other: Self) {
        self.decisions.append(&mut other.decisions);
        self.records.append(&mut other.records);
        self.locks.append(&mut other.locks);
        self.declarations.append(&mut other.declarations);
    }

    /// Takes out the decisions of which not everything is known: how a package of ours came into their
    /// environment. It is looked for again the next time.
    pub(super) fn take_untraced(&mut self) -> Self {
        let untraced = |lock: &LockFacts| lock.ours.values().any(Option::is_none);
        if !self.locks.values().any(untraced) {
            return Self::default();
        }
        let (lost, kept): (BTreeMap<_, _>, BTreeMap<_, _>) = std::mem::take(&mut self.locks)
            .into_iter()
            .partition(|(_, lock)| untraced(lock));
        self.locks = kept;
        let theirs = |facts: &Facts| facts.locks.iter().any(|lock| lost.contains_key(lock));
        let (decisions, kept) = std::mem::take(&mut self.decisions)
            .into_iter()
            .partition(|(_, facts)| theirs(facts));
        self.decisions = kept;
        Self {
            decisions,
            locks: lost,
            packages: self.packages.clone(),
            ..Self::default()
        }
    }
}
