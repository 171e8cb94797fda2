//! `policies/<name>.toml`: who may sign sources, who may rebuild, and what it takes to be admitted.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::domain::{ArchiveName, BuilderId, Fingerprint, PackageName, SnapshotId, SuiteName, Timestamp};

/// A policy. Its identity in decisions is the SHA-256 of its canonical JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Policy {
    /// How many distinct operators must have rebuilt to the same bytes.
    #[serde(deserialize_with = "at_least_one")]
    pub quorum: u32,
    /// Rebuild records older than this many days do not count.
    #[serde(default = "year")]
    pub max_record_age_days: u32,
    /// Source formats that are taken: `3.0 (native)`, `3.0 (quilt)`.
    pub source_formats: Vec<String>,
    /// Environments resolved from snapshots older than this are refused.
    pub environment_floor: Option<SnapshotId>,
    /// The suites that environments may be resolved from; empty: all of this site's.
    #[serde(rename = "environment", default, skip_serializing_if = "Vec::is_empty")]
    pub environments: Vec<EnvironmentRule>,
    /// How many people must have signed a source: signers of different names.
    #[serde(default = "one", deserialize_with = "at_least_one", skip_serializing_if = "is_one")]
    pub signer_threshold: u32,
    /// What differs on purpose between the rebuilds of a quorum.
    #[serde(default = "Varied::usual", skip_serializing_if = "Varied::is_usual")]
    pub vary: Vec<Varied>,
    /// Who may sign sources.
    #[serde(rename = "signer", default)]
    pub signers: Vec<SignerKey>,
    /// Who may rebuild.
    #[serde(rename = "builder", default)]
    pub builders: Vec<Builder>,
    /// Groups of operators; when there are any, each must reach its own threshold too.
    #[serde(rename = "group", default)]
    pub groups: Vec<BuilderGroup>,
    /// Declared relaxations, each with an owner, a reason and an end.
    #[serde(rename = "exception", default)]
    pub exceptions: Vec<Relaxation>,
}

/// An archive, or one suite of it, that environments may be resolved from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct EnvironmentRule {
    /// The archive.
    pub archive: ArchiveName,
    /// One of its suites; absent: each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suite: Option<SuiteName>,
    /// Older snapshots of it are refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub floor: Option<SnapshotId>,
}

impl EnvironmentRule {
    /// Whether it is about this suite.
    #[must_use]
    pub fn takes(&self, archive: &ArchiveName, suite: &SuiteName) -> bool {
        self.archive == *archive && self.suite.as_ref().is_none_or(|own| own == suite)
    }
}

/// What rebuilds of one source vary on purpose, beside the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Varied {
    /// How many jobs `DEB_BUILD_OPTIONS` allows.
    Parallelism,
    /// The host name.
    Hostname,
    /// The build user's name and number.
    User,
    /// `LC_ALL`.
    Locale,
    /// The order in which folders list their files.
    FileOrder,
    /// The path of the source: most toolchains write it into what they make.
    Path,
}

impl Varied {
    /// All of it.
    pub const ALL: &'static [Self] = &[
        Self::Parallelism,
        Self::Hostname,
        Self::User,
        Self::Locale,
        Self::FileOrder,
        Self::Path,
    ];

    /// What is varied unless a policy says otherwise: all but the path.
    #[must_use]
    pub fn usual() -> Vec<Self> {
        Self::ALL
            .iter()
            .copied()
            .filter(|varied| *varied != Self::Path)
            .collect()
    }

    fn is_usual(vary: &[Self]) -> bool {
        vary == Self::usual()
    }
}

/// How a source signature is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SignerScheme {
    /// OpenPGP; the key is `policies/keys/<FINGERPRINT>.asc`.
    Openpgp,
    /// SSH; the key is `policies/keys/SHA256-<base64, with / as _>.pub`.
    Ssh,
}

/// A key that may sign sources.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SignerKey {
    /// Who this is: a threshold counts people by this name.
    pub name: String,
    /// OpenPGP or SSH.
    pub scheme: SignerScheme,
    /// The full fingerprint (of the primary key, for OpenPGP).
    pub fingerprint: Fingerprint,
    /// Signatures made earlier do not count.
    pub valid_from: Option<Timestamp>,
    /// Signatures made later do not count.
    pub valid_until: Option<Timestamp>,
    /// From this instant on no signature counts, whenever it says it was made.
    pub revoked_at: Option<Timestamp>,
    /// The source packages this key may sign; empty: all.
    #[serde(default)]
    pub sources: Vec<PackageName>,
}

/// A builder's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Builder {
    /// The `builder.id` of its records.
    pub id: BuilderId,
    /// Who runs it. A quorum counts these, not keys.
    pub operator: String,
    /// Where it runs.
    pub hosting: String,
    /// The Ed25519 public key, 64 hexadecimal digits.
    pub public_key: String,
    /// Records signed from this instant on do not count, nor any when it is before them.
    pub revoked_at: Option<Timestamp>,
}

/// A group of operators with a threshold of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct BuilderGroup {
    /// Its name.
    pub name: String,
    /// Operators in it.
    pub operators: Vec<String>,
    /// How many of them must agree.
    #[serde(deserialize_with = "at_least_one")]
    pub threshold: u32,
}

/// An exception to one rule for one source package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Relaxation {
    /// The rule's id, such as `S7`.
    pub rule: String,
    /// For this source package only.
    pub source: PackageName,
    /// Why.
    pub reason: String,
    /// Who answers for it.
    pub owner: String,
    /// After this it no longer counts.
    pub expires: Timestamp,
}

fn one() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over so")]
fn is_one(count: &u32) -> bool {
    *count == 1
}

fn year() -> u32 {
    365
}

/// How many must agree. Read here, and not checked later, so that the error points at the line.
fn at_least_one<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    match u32::deserialize(deserializer)? {
        0 => Err(D::Error::custom("0 is too few: anything would be admitted")),
        count => Ok(count),
    }
}
