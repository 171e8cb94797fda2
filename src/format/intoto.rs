//! in-toto Statement v1 with the two predicates that Assay writes: SLSA Provenance v1 (rebuild
//! records) and SLSA Verification Summary v1 (decisions). Extension fields are named `assay_…`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::{Sha256, Timestamp};

/// `_type` of every statement.
pub const STATEMENT: &str = "https://in-toto.io/Statement/v1";
/// `predicateType` of rebuild records.
pub const PROVENANCE: &str = "https://slsa.dev/provenance/v1";
/// `predicateType` of decisions.
pub const SUMMARY: &str = "https://slsa.dev/verification_summary/v1";

/// An in-toto Statement v1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Statement<P> {
    /// [`STATEMENT`].
    #[serde(rename = "_type")]
    pub statement_type: String,
    /// What it is about. Matched by digest; the gate binds names itself.
    pub subject: Vec<Subject>,
    /// What kind of predicate follows.
    pub predicate_type: String,
    /// The predicate.
    pub predicate: P,
}

/// A file by name and digest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// The file's name.
    pub name: String,
    /// Digests by algorithm.
    pub digest: DigestSet,
}

/// Digests by algorithm: `sha256`, `gitCommit`, `gitTree`, `gitTag`, …
pub type DigestSet = BTreeMap<String, String>;

/// A digest set with one SHA-256.
#[must_use]
pub fn sha256_set(sha256: &Sha256) -> DigestSet {
    BTreeMap::from([("sha256".to_owned(), sha256.hex())])
}

/// Something that a build or a decision used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResourceDescriptor {
    /// Its name, when a name says more than the URI.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where it can be had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,
    /// Its digests.
    pub digest: DigestSet,
}

/// SLSA Provenance v1, with our parameters `E`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Provenance<E> {
    /// What was built, from what, how.
    pub build_definition: BuildDefinition<E>,
    /// Who built it, when, with what by-products.
    pub run_details: RunDetails,
    /// How it ended.
    #[serde(rename = "assay_outcome")]
    pub assay_outcome: Outcome,
}

/// `buildDefinition`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct BuildDefinition<E> {
    /// The URI of the build type, whose schema we publish.
    pub build_type: String,
    /// Our parameters; unknown ones are refused.
    pub external_parameters: E,
    /// Everything that went in.
    pub resolved_dependencies: Vec<ResourceDescriptor>,
}

/// `runDetails`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunDetails {
    /// Who built.
    pub builder: BuilderDetails,
    /// When.
    pub metadata: BuildMetadata,
    /// Log, .buildinfo, .changes.
    pub byproducts: Vec<ResourceDescriptor>,
}

/// `runDetails.builder`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BuilderDetails {
    /// The builder's id.
    pub id: String,
    /// Versions of runner, kernel, tools.
    #[serde(default)]
    pub version: BTreeMap<String, String>,
}

/// `runDetails.metadata`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct BuildMetadata {
    /// The nonce that the gate issued.
    pub invocation_id: String,
    /// When the build started.
    pub started_on: Timestamp,
    /// When it ended.
    pub finished_on: Timestamp,
}

/// How a rebuild ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The build succeeded; subjects are its outputs.
    Built,
    /// The build failed (fails to build from source).
    Ftbfs,
    /// It exceeded its time.
    Timeout,
    /// It took more memory than it may.
    Memory,
    /// It wrote more than it may.
    Disk,
    /// It ran more processes than it may.
    Processes,
    /// It wrote a longer log than it may.
    Log,
}

impl Outcome {
    /// What it ran out of, when a limit ended it: that says nothing about what the source gives.
    #[must_use]
    pub fn limit(self) -> Option<&'static str> {
        match self {
            Self::Built | Self::Ftbfs => None,
            Self::Timeout => Some("time"),
            Self::Memory => Some("memory"),
            Self::Disk => Some("disk"),
            Self::Processes => Some("processes"),
            Self::Log => Some("room for its log"),
        }
    }
}

/// SLSA Verification Summary v1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Summary {
    /// Who decided.
    pub verifier: Verifier,
    /// When.
    pub time_verified: Timestamp,
    /// What for: `assay:<archive>/<source>/<version>`.
    pub resource_uri: String,
    /// Under which policy.
    pub policy: ResourceDescriptor,
    /// All evidence: declaration, environment locks, records, dissenting ones too.
    pub input_attestations: Vec<ResourceDescriptor>,
    /// Admitted or refused.
    pub verification_result: VerificationResult,
    /// `SLSA_BUILD_REPRODUCED` when earned.
    pub verified_levels: Vec<String>,
    /// How many locked packages of the build environments were verified at which level; each counts once,
    /// at its highest. Absent: nothing is said of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dependency_levels: Option<BTreeMap<String, u64>>,
    /// The version of SLSA.
    pub slsa_version: String,
    /// The version of the rules that it was decided under; absent: the first.
    #[serde(rename = "assay_rule_set", default, skip_serializing_if = "Option::is_none")]
    pub assay_rule_set: Option<u32>,
    /// Each rule and how it came out.
    #[serde(rename = "assay_rules")]
    pub assay_rules: Vec<RuleResult>,
    /// What the subjects are to the archive.
    #[serde(rename = "assay_binding")]
    pub assay_binding: Binding,
    /// Where it was imported from: upstream's signature is what it stands on, and no rebuild.
    #[serde(rename = "assay_import", default, skip_serializing_if = "Option::is_none")]
    pub assay_import: Option<ImportBinding>,
}

impl Summary {
    /// What it says of exceptions (rule A7), when there are any: every query shows it.
    #[must_use]
    pub fn exceptions(&self) -> Option<&str> {
        let rule = self.assay_rules.iter().find(|rule| rule.id == "A7")?;
        Some(rule.evidence.as_str()).filter(|said| !said.starts_with("not applicable"))
    }

    /// Whether it admits what it is about.
    #[must_use]
    pub fn admits(&self) -> bool {
        self.verification_result == VerificationResult::Passed
    }
}

/// `verifier`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verifier {
    /// The gate's id: its key's fingerprint.
    pub id: String,
    /// Versions.
    #[serde(default)]
    pub version: BTreeMap<String, String>,
}

/// `verificationResult`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum VerificationResult {
    /// Admitted.
    Passed,
    /// Refused.
    Failed,
}

/// How one rule came out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleResult {
    /// The rule's stable id, such as `B1`.
    pub id: String,
    /// What the rule demands, in one line.
    pub rule: String,
    /// Whether it held.
    pub passed: bool,
    /// What was found.
    pub evidence: String,
    /// The command that repeats the check.
    pub repeat: String,
}

/// What the subjects are to the archive: names are bound here, since subjects match by digest only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Binding {
    /// The archive.
    pub archive: String,
    /// Its suites.
    pub suites: Vec<String>,
    /// The component.
    pub component: String,
    /// The source package.
    pub source: String,
    /// Its version.
    pub version: String,
    /// Every pool file that this decision covers: path → SHA-256.
    pub files: BTreeMap<String, String>,
}

/// Where packages were imported from, and by what they are proven.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ImportBinding {
    /// The mirror.
    pub archive: String,
    /// The serial of its snapshot, or the tag.
    pub snapshot: String,
    /// The id of the snapshot.
    pub id: String,
    /// The suite.
    pub suite: String,
    /// The component.
    pub component: String,
    /// SHA-256 of the Release file that upstream signed.
    pub release: String,
    /// The primary keys whose signatures on it held.
    pub signers: Vec<String>,
    /// The indexes that it covers: path → SHA-256.
    pub indexes: BTreeMap<String, String>,
    /// As of when the signatures held.
    pub proven_at: Timestamp,
    /// Why it was imported.
    pub reason: String,
    /// Who asked for it.
    pub asked_by: String,
}
