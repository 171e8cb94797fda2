//! What the gate decides on. The caller checked signatures and read the store; the gate believes
//! nothing else of it: digests are computed again from the values, times are compared here.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::domain::{
    Architecture, ArchiveName, BuilderId, FileName, Fingerprint, PackageName, Serial, Sha256, SnapshotId, SuiteName,
    Timestamp, Version,
};
use crate::environment::{Lock, LockedSnapshot};
use crate::format::intoto::{DigestSet, Outcome, Provenance, Statement};
use crate::format::json;
use crate::rebuild::{Commitment, Parameters};
use crate::site::{Builder, SignerScheme};
use crate::snapshot::Removed;
use crate::source::{Declaration, DeclaredSigner, SignedSource, SourceSignature};
use crate::trust::Ed25519Public;

use super::{AdmissionError, DebFacts, LedgerView};

/// Everything known about a candidate.
///
/// As JSON (see `Case`) it has neither records nor locks: those are documents of their own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Evidence {
    /// What was found in Git when the source was derived again; absent when that failed.
    pub source: Option<SourceEvidence>,
    /// Why the source could not be derived again.
    pub source_failure: Option<SourceFailure>,
    /// Which declarations of this source were admitted before; absent when nobody looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lineage: Option<Lineage>,
    /// Other declarations of the same source, whose records and nonces are here, too: what they were asked and said
    /// stays heard (rules R4, A5), and counts for no quorum.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redeclared: Vec<Declaration>,
    /// Every rebuild record for the declaration, also those that dissent.
    #[serde(skip)]
    pub records: Vec<RecordEvidence>,
    /// Every nonce issued for the declaration.
    pub nonces: Vec<IssuedNonce>,
    /// The environment locks by the SHA-256 they are named by.
    #[serde(skip)]
    pub locks: BTreeMap<Sha256, Lock>,
    /// The snapshots of this site that the locks name.
    pub snapshots: Vec<KnownSnapshot>,
    /// What the indexes of those snapshots, and of the suites that the archive's environments are
    /// resolved from, hold under the names that the locks and the candidate use.
    pub indexed: Vec<Indexed>,
    /// Files that a signed decision admitted: file → decision.
    pub admitted: BTreeMap<Sha256, Sha256>,
    /// The levels that those decisions gave which admitted packages of the environments.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub levels: BTreeMap<Sha256, Vec<String>>,
    /// The snapshots of the environments of the version that the suites have now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub previous: Vec<LockedSnapshot>,
    /// What was ever admitted under the candidate's names.
    pub ledger: LedgerView,
    /// Source packages that were removed on purpose from suites of the archive.
    pub removed: Vec<(SuiteName, Removed)>,
    /// What the newest snapshot of the archive holds under the names of the candidate's packages.
    #[serde(default)]
    pub before: Vec<Before>,
    /// The rounds of blind rebuilds that were closed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rounds: Vec<Round>,
    /// What builders have committed to, shown by now or not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commitments: Vec<Commitment>,
    /// What builders got wrong of sources that were admitted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missed: Vec<Missed>,
    /// What differs inside a file that a record names: for people, no rule leans on it.
    pub differences: BTreeMap<Sha256, String>,
    /// Documents that records name, and that are not kept with the bytes that they name.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub lost: BTreeSet<Sha256>,
}

/// The declarations of a source that were admitted before.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Lineage {
    /// The newest of them; absent when there is none.
    pub newest: Option<Previous>,
    /// All of them.
    pub admitted: BTreeSet<Sha256>,
}

/// A declaration that was admitted, and what it says of the next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Previous {
    /// Its identity.
    pub declaration: Sha256,
    /// The version that it declares.
    pub version: Version,
    /// Who may sign the next; empty: whom the policy lets.
    pub authorised: Vec<DeclaredSigner>,
    /// How many people must sign the next; absent: as many as the policy says.
    pub threshold: Option<u32>,
}

/// What Git holds, verified and derived now, whatever the declaration says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SourceEvidence {
    /// Whose signatures on the tag and the commit held.
    pub signers: Vec<TagSigner>,
    /// When the tagger, or committer, says that it was made.
    pub tagged_at: Timestamp,
    /// The declaration, derived again from Git.
    pub derived: Declaration,
}

/// A signature on the tag or commit that held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TagSigner {
    /// The full fingerprint (of the primary key, for OpenPGP).
    pub fingerprint: Fingerprint,
    /// OpenPGP or SSH.
    pub scheme: SignerScheme,
    /// When it was made: the signature's own time, or the tagger's or committer's.
    pub made_at: Timestamp,
}

/// Why a source could not be derived again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SourceFailure {
    /// The rule that it broke, `S1` to `S9`; absent when nothing could be said, as without network.
    pub rule: Option<String>,
    /// What was found.
    pub why: String,
}

impl SourceEvidence {
    /// From what `source::derive` gave.
    #[must_use]
    pub fn new(signed: &SignedSource, derived: Declaration) -> Self {
        let signer = |made: &SourceSignature| TagSigner {
            fingerprint: made.signer.fingerprint.clone(),
            scheme: made.signer.scheme,
            made_at: made.made_at,
        };
        Self {
            signers: signed.signatures.iter().map(signer).collect(),
            tagged_at: signed.date,
            derived,
        }
    }
}

/// A rebuild record whose signatures the caller checked against every builder's key of the policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordEvidence {
    /// SHA-256 of the envelope.
    pub sha256: Sha256,
    /// The keys whose signatures held, each once.
    pub signed_by: Vec<Fingerprint>,
    /// `builder.id`.
    pub builder: BuilderId,
    /// SHA-256 of the declaration that was built.
    pub declaration: Sha256,
    /// SHA-256 of the environment lock it was built in.
    pub lock: Sha256,
    /// The nonce.
    pub nonce: String,
    /// The host name inside the build.
    pub hostname: String,
    /// The user's name inside the build.
    pub user: String,
    /// Where the source was.
    pub build_path: String,
    /// `parallel=` of `DEB_BUILD_OPTIONS`; 1 when it is absent.
    pub parallel: u32,
    /// `DEB_BUILD_OPTIONS` without `parallel=N`.
    pub options: Vec<String>,
    /// `DEB_BUILD_PROFILES`.
    pub profiles: Vec<String>,
    /// `SOURCE_DATE_EPOCH`.
    pub source_date_epoch: i64,
    /// `none` when the build had no network.
    pub network: String,
    /// When the build started.
    pub started_on: Timestamp,
    /// When it ended.
    pub finished_on: Timestamp,
    /// How it ended.
    pub outcome: Outcome,
    /// What it gave, by file name.
    pub outputs: BTreeMap<FileName, Sha256>,
    /// SHA-256 of the build log.
    pub log: Option<Sha256>,
    /// What else it names beside the outputs, by file name: the log, the .buildinfo, the .changes.
    pub documents: BTreeMap<FileName, Sha256>,
}

impl RecordEvidence {
    /// From a record that `rebuild::read_statement` read, the SHA-256 of its envelope, and the
    /// builders' keys whose signatures on it held.
    ///
    /// # Errors
    /// When a name or digest in it is malformed, or a file stands twice.
    pub fn new(
        sha256: Sha256,
        signed_by: Vec<Fingerprint>,
        statement: &Statement<Provenance<Parameters>>,
    ) -> Result<Self, AdmissionError> {
        let bad = |field, why: String| AdmissionError::Record {
            record: sha256,
            field,
            why,
        };
        let provenance = &statement.predicate;
        let (run, parameters) = (
            &provenance.run_details,
            &provenance.build_definition.external_parameters,
        );
        if run.metadata.invocation_id != parameters.nonce {
            return Err(bad("invocationId", "it is not the nonce".to_owned()));
        }
        let recipe = &parameters.recipe;
        let (parallel, options) = split_parallel(&recipe.deb_build_options);
        let mut outputs = BTreeMap::new();
        for subject in &statement.subject {
            let name = FileName::new(&subject.name).map_err(|error| bad("subject", error.to_string()))?;
            let digest = sha256_of(&subject.digest).map_err(|why| bad("subject", why))?;
            if outputs.insert(name, digest).is_some() {
                return Err(bad("subject", "a file stands twice".to_owned()));
            }
        }
        let mut documents = BTreeMap::new();
        for document in &run.byproducts {
            let name = document.name.as_deref().unwrap_or_default();
            let name = FileName::new(name).map_err(|error| bad("byproducts", error.to_string()))?;
            let digest = sha256_of(&document.digest).map_err(|why| bad("byproducts", why))?;
            if documents.insert(name, digest).is_some() {
                return Err(bad("byproducts", "a file stands twice".to_owned()));
            }
        }
        let is_log = |name: &&FileName| name.as_str() == "log" || name.as_str().ends_with(".log");
        Ok(Self {
            sha256,
            signed_by,
            builder: BuilderId::new(&run.builder.id).map_err(|error| bad("builder.id", error.to_string()))?,
            declaration: parameters.declaration,
            lock: parameters.environment_lock,
            nonce: parameters.nonce.clone(),
            hostname: recipe.hostname.clone(),
            user: recipe.user.clone(),
            build_path: recipe.build_path.clone(),
            parallel,
            options,
            profiles: recipe
                .deb_build_profiles
                .split_whitespace()
                .map(ToOwned::to_owned)
                .collect(),
            source_date_epoch: recipe.source_date_epoch,
            network: recipe.network.clone(),
            started_on: run.metadata.started_on,
            finished_on: run.metadata.finished_on,
            outcome: provenance.assay_outcome,
            outputs,
            log: documents
                .keys()
                .find(is_log)
                .and_then(|log| documents.get(log).copied()),
            documents,
        })
    }
}

/// `parallel=N` and the other words of `DEB_BUILD_OPTIONS`.
fn split_parallel(options: &str) -> (u32, Vec<String>) {
    let (mut parallel, mut others) = (1, Vec::new());
    for word in options.split_whitespace() {
        match word.strip_prefix("parallel=").and_then(|n| n.parse().ok()) {
            Some(n) => parallel = n,
            None => others.push(word.to_owned()),
        }
    }
    (parallel, others)
}

fn sha256_of(digests: &DigestSet) -> Result<Sha256, String> {
    let text = digests.get("sha256").ok_or("it has no SHA-256")?;
    text.parse()
        .map_err(|error: crate::domain::DomainError| error.to_string())
}

/// A nonce that the gate issued for one run of one builder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct IssuedNonce {
    /// 64 lower-case hexadecimal digits of chance.
    pub nonce: String,
    /// SHA-256 of the declaration to build.
    pub declaration: Sha256,
    /// SHA-256 of the environment lock to build in.
    pub lock: Sha256,
    /// Who was asked.
    pub builder: BuilderId,
    /// When.
    pub issued_at: Timestamp,
    /// Until then the answer is waited for, and no decision is made without it.
    pub answer_by: Timestamp,
    /// Which run it is for, counted from 0: each varies other things. Absent in what earlier versions issued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<u32>,
}

/// A round of blind rebuilds in one environment: what was committed to when it was closed, which was
/// before anybody could see a result (rule R2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Round {
    /// SHA-256 of the environment lock.
    pub lock: Sha256,
    /// When it was closed.
    pub closed_at: Timestamp,
    /// All commitments by then.
    pub commitments: Vec<Commitment>,
}

/// A valid record of other bytes than the archive has by a decision on the same declaration and environment: its
/// builder got something wrong whose answer is known (rule R9).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Missed {
    /// Whose record it is.
    pub builder: BuilderId,
    /// SHA-256 of the record.
    pub record: Sha256,
    /// The source that it is about.
    pub source: PackageName,
    /// Its version.
    pub version: Version,
    /// The first file that differs.
    pub file: FileName,
    /// Its SHA-256 as it was admitted.
    pub admitted: Sha256,
    /// Its SHA-256 as the record has it.
    pub rebuilt: Sha256,
}

/// A suite of a snapshot of this site, read from its own chain of records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct KnownSnapshot {
    /// Which archive.
    pub archive: ArchiveName,
    /// Which of its suites.
    pub suite: SuiteName,
    /// Which snapshot.
    pub id: SnapshotId,
    /// Its serial.
    pub serial: Serial,
    /// SHA-256 of upstream's InRelease, whose signatures held; absent in a custom archive.
    pub inrelease_sha256: Option<Sha256>,
    /// `Date` of upstream's InRelease.
    pub release_date: Option<Timestamp>,
    /// SHA-256 of its uncompressed Packages indexes.
    pub packages_sha256: BTreeSet<Sha256>,
}

/// Whether an index lists a binary or a source package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IndexedKind {
    /// From Packages.
    Binary,
    /// From Sources.
    Source,
}

/// A package as a verified index of this site lists it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Indexed {
    /// From Packages or Sources.
    pub kind: IndexedKind,
    /// Whether upstream's signature covers it (a mirror), or our decision has to.
    pub mirrored: bool,
    /// Which archive.
    pub archive: ArchiveName,
    /// Which of its suites.
    pub suite: SuiteName,
    /// Its name.
    pub package: PackageName,
    /// Its version.
    pub version: Version,
    /// Its architecture; `source` in Sources.
    pub architecture: Architecture,
    /// The source package it is built from.
    pub source: PackageName,
    /// The names in its own `Provides` and `Replaces`.
    #[serde(default)]
    pub takes: Vec<PackageName>,
    /// The file: the .deb, or the .dsc.
    pub sha256: Sha256,
    /// Of a mirror's newest snapshot, which no lock of the candidate names: says whose a name is (rule A8), and no more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub newest: bool,
}

/// A package as it is in the archive now: what an admission takes the place of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Before {
    /// Its name.
    pub package: PackageName,
    /// Its architecture.
    pub architecture: Architecture,
    /// Its version.
    pub version: Version,
    /// Its maintainer scripts.
    pub scripts: BTreeMap<String, Sha256>,
    /// Its files with a set-user-id or set-group-id bit.
    pub setuid: Vec<String>,
}

impl Before {
    /// Of a package that was read.
    #[must_use]
    pub fn of(facts: &DebFacts) -> Self {
        Self {
            package: facts.package.clone(),
            architecture: facts.architecture.clone(),
            version: facts.version.clone(),
            scripts: facts.scripts.clone(),
            setuid: facts.setuid.clone(),
        }
    }
}

/// The SHA-256 of a value's canonical JSON: what declarations, locks and policies are named by.
/// `None` for a value that cannot be JSON, which none of ours is.
#[must_use]
pub fn identity<T: Serialize>(value: &T) -> Option<Sha256> {
    json::canonical("identity", value).ok().map(|bytes| Sha256::of(&bytes))
}

/// The fingerprint of a builder's Ed25519 key; `None` when the policy has no such key.
#[must_use]
pub fn builder_fingerprint(builder: &Builder) -> Option<Fingerprint> {
    let key = Ed25519Public::parse(&builder.public_key).ok()?;
    Some(key.fingerprint())
}
