//! Snapshot records: `state/<archive>/<n>.json`, the truth about what is published.

use serde::{Deserialize, Serialize};

use super::check::check_suites;
use super::{Entry, Marked, SnapshotError};
use crate::domain::{
    Architecture, ArchiveName, Component, Digest, Fingerprint, GitOid, GitRef, PackageName, RelPath, Serial, Sha256,
    SignedByKey, SnapshotId, SuiteName, Timestamp, Version,
};
use crate::site::Overrides;
use crate::store::Key;

/// The field of Release by which everybody sees that an archive takes packages without the gate, and what it says.
pub const UNPROVEN: (&str, &str) = ("Provenance", "unproven");

/// Snapshot `n` of an archive. Canonical JSON; record `n` names the hash of record `n − 1`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Record {
    /// The format of this file: 1.
    pub format: u32,
    /// Whose state this is.
    pub archive: ArchiveName,
    /// 1, 2, 3, …
    pub n: u64,
    /// SHA-256 of record `n − 1`; absent in the first.
    pub previous: Option<Sha256>,
    /// When it was accepted.
    pub id: SnapshotId,
    /// Its serial.
    pub serial: Serial,
    /// Why it was made, in one line.
    pub reason: String,
    /// Which program made it.
    pub made_by: String,
    /// Random, so that two writers never make the same bytes: tells a writer its own success.
    pub nonce: String,
    /// `Valid-Until` is this many days after the Date; absent: no `Valid-Until`.
    pub valid_days: Option<u32>,
    /// `Signed-By` of its Release files; empty: they have none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signed_by: Vec<SignedByKey>,
    /// The suites, sorted by name.
    pub suites: Vec<SuiteState>,
    /// SHA-256 of the document that says what a custom archive's ledger holds for ever; absent in mirrors, and before
    /// anything was admitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ledger: Option<Sha256>,
    /// The newest mark when it was made; absent when there was none. So what is to be kept does not hang on the marks
    /// alone, whose newest could be deleted without a trace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub marks: Option<Marked>,
    /// The files that remember what left a mirror's snapshots, when it was made: so that one which is gone is missed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<Digest>,
}

impl Record {
    /// Whether it can be published: nothing in it could break a reader of the archive, or put two files under one name.
    ///
    /// # Errors
    /// `Suite`, with what cannot.
    pub fn check(&self) -> Result<(), SnapshotError> {
        check_suites(&self.suites)
    }
}

impl Entry for Record {
    fn archive(&self) -> &ArchiveName {
        &self.archive
    }

    fn key(&self) -> Key {
        Key::record(&self.archive, self.n)
    }

    fn title(&self) -> String {
        format!("record {} {}", self.archive, self.n)
    }

    fn made_at(&self) -> Timestamp {
        self.id.timestamp()
    }

    fn dated(&self) -> Timestamp {
        let dates = self.suites.iter().map(|state| state.date);
        dates.fold(self.made_at(), Timestamp::max)
    }
}

/// One suite of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SuiteState {
    /// The name it is published under, `dists/<this>/`.
    pub suite: SuiteName,
    /// `Date` of our Release file for this snapshot.
    pub date: Timestamp,
    /// The fields of our Release file that name and describe the suite, in the order they are
    /// written: `Origin`, `Label`, `Suite`, `Version`, `Codename`, `Description`, … Never `Date`,
    /// `Valid-Until`, `Architectures`, `Components` nor hashes.
    pub fields: Vec<(String, String)>,
    /// `Architectures`.
    pub architectures: Vec<Architecture>,
    /// `Components`.
    pub components: Vec<Component>,
    /// Every file that Release lists, sorted by path.
    pub indexes: Vec<IndexFile>,
    /// What upstream signed; absent in custom archives.
    pub upstream: Option<UpstreamRelease>,
    /// What suites of custom archives have beside packages, when there is something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom: Option<CustomState>,
}

/// What a suite of a custom archive has beside packages.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct CustomState {
    /// The branch or tag that it is the suite of; absent for one that the site names itself. Which policy
    /// it is under follows from this and from the site's rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_for: Option<MadeFor>,
    /// Source packages that were removed on purpose, by name: they do not come back by themselves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<Removed>,
    /// What its indexes say of packages instead of their control files, as the site declared it then.
    #[serde(default, skip_serializing_if = "Overrides::is_empty")]
    pub overrides: Overrides,
}

/// The branch or tag of a suite.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct MadeFor {
    /// `refs/heads/…` or `refs/tags/…`.
    #[serde(rename = "ref")]
    pub reference: GitRef,
    /// When the suite was made. Where a suite has rebuilds of its own, older records do not count.
    pub since: Timestamp,
    /// The commit that the tag named then: a tag never moves. Absent for a branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<GitOid>,
    /// When the branch or tag was first seen to be gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone_since: Option<Timestamp>,
}

/// A source package that was removed on purpose.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Removed {
    /// Its name.
    pub source: PackageName,
    /// The version that was there.
    pub version: Version,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// One file that Release lists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct IndexFile {
    /// Relative to `dists/<suite>/`.
    pub path: RelPath,
    /// SHA-256 and size.
    #[serde(flatten)]
    pub digest: Digest,
    /// Whether we keep the file. One that is only listed is the uncompressed form of one that we
    /// keep: apt wants its hash in Release all the same.
    pub kept: bool,
}

/// What upstream signed, kept byte for byte below `upstream/`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct UpstreamRelease {
    /// `upstream/InRelease`; `upstream/Release` when there is a `release-gpg`.
    pub inrelease: Digest,
    /// `upstream/Release.gpg`, of an upstream that has no InRelease.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release_gpg: Option<Digest>,
    /// Upstream is a flat repository: what is `main/binary-amd64/Packages` here is its `Packages`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub flat: bool,
    /// Its `Date`.
    pub date: Timestamp,
    /// Its `Valid-Until`.
    pub valid_until: Option<Timestamp>,
    /// The primary keys whose signatures held.
    pub signers: Vec<Fingerprint>,
    /// When we verified it.
    pub verified_at: Timestamp,
    /// The base URL it came from.
    pub uri: String,
    /// Upstream's own index files that ours were selected from, kept by hash: every stanza of ours is
    /// one of theirs, byte for byte. Empty when the suite's indexes are upstream's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub indexes: Vec<IndexFile>,
    /// SHA-256 of the selection that a filtered mirror made: another one makes another snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selection: Option<Sha256>,
    /// Every pool file that the suite's indexes name was in the store.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub filled: bool,
    /// Files that its Release lists, that the site asks for, and that upstream did not have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub absent: Vec<RelPath>,
}

impl Record {
    /// The snapshot as upstream has it: of a filtered mirror, with upstream's own indexes.
    #[must_use]
    pub fn as_upstream_has_it(&self) -> Self {
        Self {
            suites: self.suites.iter().map(SuiteState::as_upstream_has_it).collect(),
            ..self.clone()
        }
    }
}

impl SuiteState {
    /// The branch or tag that it is the suite of.
    #[must_use]
    pub fn made_for(&self) -> Option<&MadeFor> {
        self.custom.as_ref()?.made_for.as_ref()
    }

    /// Whether its Release says that nothing in it is proven, be it ours or a mirror's of somebody else's.
    #[must_use]
    pub fn is_unproven(&self) -> bool {
        let (name, value) = UNPROVEN;
        self.fields.iter().any(|(field, said)| field == name && said == value)
    }

    /// The source packages that were removed from it on purpose.
    #[must_use]
    pub fn removed(&self) -> &[Removed] {
        self.custom.as_ref().map_or(&[], |custom| &custom.removed)
    }

    /// What its indexes say of packages instead of their control files.
    #[must_use]
    pub fn overrides(&self) -> &Overrides {
        static NONE: Overrides = Overrides::new();
        self.custom.as_ref().map_or(&NONE, |custom| &custom.overrides)
    }

    /// The suite as upstream has it: of a filtered one, with upstream's own indexes.
    #[must_use]
    pub fn as_upstream_has_it(&self) -> Self {
        let mut state = self.clone();
        if let Some(upstream) = state.upstream.as_mut().filter(|upstream| upstream.selection.is_some()) {
            state.indexes = std::mem::take(&mut upstream.indexes);
            upstream.selection = None;
        }
        state
    }
}
