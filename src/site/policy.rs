//! `policies/<name>.toml`: who may sign sources, who may rebuild, and what it takes to be admitted.

use std::collections::{BTreeMap, BTreeSet};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::PackagePattern;
use super::spelling::each;
use crate::domain::{
    Architecture, ArchiveName, BuilderId, Fingerprint, PackageName, SnapshotId, SuiteName, Timestamp, Version,
};
use crate::trust::Ed25519Public;

/// A policy. Its identity in decisions is the SHA-256 of its canonical JSON. What is added to it later is
/// left out of that where it is not used: so policies keep their identity, and old decisions their policy.
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
    /// Whether a rebuild counts only when its builder had committed to the result before any was shown.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub blind_rebuilds: bool,
    /// What differs on purpose between the rebuilds of a quorum.
    #[serde(default = "Varied::usual", skip_serializing_if = "Varied::is_usual")]
    pub vary: Vec<Varied>,
    /// Whether the operators that make a quorum must be hosted apart, too.
    #[serde(default, skip_serializing_if = "is_default")]
    pub distinct_hosting: bool,
    /// What blocks although the quorum is there.
    #[serde(default, skip_serializing_if = "is_default")]
    pub dissent: Dissent,
    /// How the members of a .deb may be compressed; empty: in each way that the reader takes.
    #[serde(default, skip_serializing_if = "is_default")]
    pub compressions: BTreeSet<DebCompression>,
    /// When a package may have the name of a mirrored one.
    #[serde(default, skip_serializing_if = "is_default")]
    pub shadowing: Shadowing,
    /// The architecture whose builds give the packages for all architectures; absent: any.
    #[serde(default, skip_serializing_if = "is_default")]
    pub all_built_on: Option<Architecture>,
    /// What is otherwise for some suites.
    #[serde(rename = "suite", default, skip_serializing_if = "is_default")]
    pub suites: BTreeMap<SuiteName, SuiteTerms>,
    /// Names and fields that a package may use although they are not its own.
    #[serde(rename = "allow", default, skip_serializing_if = "is_default")]
    pub allowed: Vec<Allowance>,
    /// Binary packages that move to another source.
    #[serde(rename = "takeover", default, skip_serializing_if = "is_default")]
    pub takeovers: Vec<Takeover>,
    /// What may be imported from mirrors as it is, on their upstreams' signatures.
    #[serde(rename = "import", default, skip_serializing_if = "Vec::is_empty")]
    pub imports: Vec<ImportRule>,
    /// Who may sign sources.
    #[serde(rename = "signer", default, deserialize_with = "signers")]
    pub signers: Vec<SignerKey>,
    /// Who may rebuild.
    #[serde(rename = "builder", default, deserialize_with = "builders")]
    pub builders: Vec<Builder>,
    /// Who else rebuilds, with rebuilderd: shown, and never counted.
    #[serde(rename = "observer", default, skip_serializing_if = "Vec::is_empty")]
    pub observers: Vec<Observer>,
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

impl SignerKey {
    /// Whether it speaks for a source package at all by `now`. When it signed is not looked at.
    ///
    /// # Errors
    /// Why it does not, in words that follow the signer's name.
    pub fn speaks(&self, source: &PackageName, now: Timestamp) -> Result<(), String> {
        match self.revoked_at.filter(|revoked| *revoked <= now) {
            Some(revoked) => Err(format!("was revoked {}", revoked.as_since())),
            None if self.sources.is_empty() || self.sources.contains(source) => Ok(()),
            None => Err(format!("may not sign `{source}`")),
        }
    }
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
    #[serde(deserialize_with = "ed25519")]
    pub public_key: String,
    /// Records made earlier do not count.
    #[serde(default, skip_serializing_if = "is_default")]
    pub valid_from: Option<Timestamp>,
    /// Records made later do not count.
    #[serde(default, skip_serializing_if = "is_default")]
    pub valid_until: Option<Timestamp>,
    /// Records signed from this instant on do not count, nor any when it is before them.
    pub revoked_at: Option<Timestamp>,
}

/// A worker of rebuilderd, whose signed links are weak evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Observer {
    /// Who this is, for people.
    pub name: String,
    /// The Ed25519 public key, 64 hexadecimal digits.
    #[serde(deserialize_with = "ed25519")]
    pub public_key: String,
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
    /// For this version only; absent: for all.
    #[serde(default, skip_serializing_if = "is_default")]
    pub version: Option<Version>,
    /// Why.
    #[serde(deserialize_with = "said")]
    pub reason: String,
    /// Who answers for it.
    #[serde(deserialize_with = "said")]
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

/// What blocks a candidate although enough operators agree. Never a majority: a dissent is a hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dissent {
    /// One valid record of other bytes, or of a build that failed.
    #[default]
    AnyMismatchBlocks,
    /// The same, and a build that ran out of time, and a nonce that nobody answered.
    AnySilenceBlocks,
}

/// How a member of a .deb is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DebCompression {
    /// Not at all.
    None,
    /// gzip.
    Gzip,
    /// xz.
    Xz,
    /// Zstandard.
    Zstd,
}

/// When a package may have the name of one that a mirror has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shadowing {
    /// When it is of the same source, and newer without another epoch.
    #[default]
    NewerOfSameSource,
    /// When an `[[allow]]` lists it.
    Listed,
}

/// What is otherwise for one suite; what is absent is as for all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SuiteTerms {
    /// As `quorum`.
    #[serde(default, deserialize_with = "some_at_least_one")]
    pub quorum: Option<u32>,
    /// As `distinct-hosting`.
    pub distinct_hosting: Option<bool>,
    /// As `max-record-age-days`.
    pub max_record_age_days: Option<u32>,
    /// As `environment-floor`.
    pub environment_floor: Option<SnapshotId>,
}

/// What it takes to be admitted to some suites: where they differ, the strictest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// How many distinct operators.
    pub quorum: u32,
    /// Whether they must be hosted apart.
    pub distinct_hosting: bool,
    /// How old records may be, in days.
    pub max_record_age_days: u32,
    /// How old environments may be.
    pub environment_floor: Option<SnapshotId>,
}

impl Policy {
    /// The builder of this id. One that is named twice, or shares its key with another, speaks for nobody: a
    /// quorum would count one key as two operators.
    ///
    /// # Errors
    /// Why there is none, in words.
    pub fn builder(&self, id: &BuilderId) -> Result<&Builder, String> {
        let mut named = self.builders.iter().filter(|builder| builder.id == *id);
        let builder = named
            .next()
            .ok_or_else(|| format!("the policy has no builder `{id}`"))?;
        if named.next().is_some() {
            return Err(format!("the policy names the builder `{id}` twice"));
        }
        let shares = |other: &&Builder| other.id != *id && other.public_key == builder.public_key;
        match self.builders.iter().find(shares) {
            Some(other) => Err(format!("the key of the builder `{id}` is also that of `{}`", other.id)),
            None => Ok(builder),
        }
    }

    /// What holds for these suites: the strictest of what each has. For no suite: what holds for all.
    #[must_use]
    pub fn terms(&self, suites: &[SuiteName]) -> Terms {
        let base = SuiteTerms::default();
        let mut each: Vec<&SuiteTerms> = suites.iter().map(|s| self.suites.get(s).unwrap_or(&base)).collect();
        if each.is_empty() {
            each.push(&base);
        }
        let quorums = each.iter().map(|terms| terms.quorum.unwrap_or(self.quorum));
        let ages = each
            .iter()
            .map(|terms| terms.max_record_age_days.unwrap_or(self.max_record_age_days));
        let floors = each
            .iter()
            .map(|terms| terms.environment_floor.as_ref().or(self.environment_floor.as_ref()));
        Terms {
            quorum: quorums.max().unwrap_or(self.quorum),
            distinct_hosting: each
                .iter()
                .any(|terms| terms.distinct_hosting.unwrap_or(self.distinct_hosting)),
            max_record_age_days: ages.min().unwrap_or(self.max_record_age_days),
            environment_floor: floors.max().flatten().cloned(),
        }
    }
}

/// A field, or the use of a name, that needs to be listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ListedField {
    /// Having the name of a package that a mirror has, from another source or an older version.
    Package,
    /// Having another epoch than the mirrors' version.
    Epoch,
    /// `Essential: yes`.
    Essential,
    /// `Protected: yes`.
    Protected,
    /// `Important: yes`.
    Important,
    /// `Provides` of a mirrored package of another source, by name.
    Provides,
    /// `Replaces` of a mirrored package of another source, by name.
    Replaces,
}

/// What one source's packages may use although rule A8 refuses it. It has no end: it is part of what the
/// package is, where an exception is a debt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Allowance {
    /// The source package.
    pub source: PackageName,
    /// The binary package; absent: each of the source's.
    pub package: Option<PackageName>,
    /// What it may use.
    pub fields: BTreeSet<ListedField>,
    /// The names of others that `provides` and `replaces` may name.
    #[serde(default)]
    pub names: BTreeSet<PackageName>,
    /// Why.
    #[serde(deserialize_with = "said")]
    pub reason: String,
}

/// A binary package that moves from one source to another, once and for all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Takeover {
    /// The binary package.
    pub package: PackageName,
    /// The source that it belonged to.
    pub from: PackageName,
    /// The source that it belongs to now.
    pub to: PackageName,
    /// Why.
    #[serde(deserialize_with = "said")]
    pub reason: String,
}

/// Source packages of a mirror that may be taken as they are: upstream's signature is the proof, and nobody
/// rebuilds them. A mirror is known by the keys of its upstream, and not by its name alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ImportRule {
    /// The mirror.
    pub archive: ArchiveName,
    /// Its suites; empty: each.
    #[serde(default)]
    pub suites: BTreeSet<SuiteName>,
    /// The primary keys that count on upstream's Release, by their full fingerprints.
    #[serde(deserialize_with = "some_of")]
    pub signers: BTreeSet<Fingerprint>,
    /// How many of them must have signed it.
    #[serde(default = "one", deserialize_with = "at_least_one")]
    pub threshold: u32,
    /// The source packages: names, or patterns with `*` and `?`.
    #[serde(deserialize_with = "some_of")]
    pub sources: BTreeSet<PackagePattern>,
    /// Older snapshots are refused.
    pub floor: Option<SnapshotId>,
    /// Why.
    #[serde(deserialize_with = "said")]
    pub reason: String,
    /// Who answers for it.
    #[serde(deserialize_with = "said")]
    pub owner: String,
    /// After this nothing more is imported by it; what is in stays.
    pub expires: Option<Timestamp>,
}

impl ImportRule {
    /// Whether it is about a source package of a mirror's suite.
    #[must_use]
    pub fn takes(&self, archive: &ArchiveName, suite: &SuiteName, source: &PackageName) -> bool {
        let in_suite = self.suites.is_empty() || self.suites.contains(suite);
        let named = |pattern: &PackagePattern| pattern.matches(source.as_str());
        self.archive == *archive && in_suite && self.sources.iter().any(named)
    }

    /// Whether these keys are enough of those that it names.
    #[must_use]
    pub fn is_signed_by(&self, keys: &BTreeSet<Fingerprint>) -> bool {
        self.signers.intersection(keys).count() >= self.threshold.max(1) as usize
    }
}

/// A list that has something: an empty one would be read as everything by some, and as nothing by others.
fn some_of<'de, D: Deserializer<'de>, T: Deserialize<'de> + Ord>(deserializer: D) -> Result<BTreeSet<T>, D::Error> {
    let all = BTreeSet::deserialize(deserializer)?;
    if all.is_empty() {
        return Err(D::Error::custom("it must name one at least"));
    }
    Ok(all)
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A text that says something.
fn said<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.trim().is_empty() {
        return Err(D::Error::custom("it must say something: every query shows it"));
    }
    Ok(text)
}

/// A public key, so that a mistyped one is found where it stands.
fn ed25519<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    Ed25519Public::parse(&text).map_err(D::Error::custom)?;
    Ok(text)
}

/// Builders, each with an id and a key of its own: a quorum counts operators, and one key is one. Each is compared with those before it
/// while it is read, so that the error points at its line.
fn builders<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Builder>, D::Error> {
    each(deserializer, |before: &[Builder], one: &Builder| {
        for other in before {
            let (one_id, other_id) = (&one.id, &other.id);
            if one_id == other_id {
                return Err(format!("two builders have the id `{one_id}`"));
            }
            if one.public_key == other.public_key {
                return Err(format!(
                    "the builders `{other_id}` and `{one_id}` have the same public-key"
                ));
            }
        }
        Ok(())
    })
}

/// Signers: a key may be listed several times, for other sources or times, but belongs to one person.
fn signers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<SignerKey>, D::Error> {
    each(deserializer, |before: &[SignerKey], one: &SignerKey| {
        for other in before {
            let (name, owner, key) = (&one.name, &other.name, &one.fingerprint);
            if key == &other.fingerprint && name != owner {
                return Err(format!(
                    "the signers `{owner}` and `{name}` have the same fingerprint {key}"
                ));
            }
        }
        Ok(())
    })
}

fn some_at_least_one<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    at_least_one(deserializer).map(Some)
}

fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_yes(value: &bool) -> bool {
    *value
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
