//! Imports: packages of a mirror that get in as they are. Upstream's signature is the proof, no rebuild is; so
//! a policy has to allow each, and what is decided says everywhere what it stands on.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::domain::{
    Architecture, ArchiveName, Component, Fingerprint, PackageName, PolicyName, Sha256, SnapshotId, SuiteName,
    Timestamp, Version,
};
use crate::format::dsc::Dsc;
use crate::format::intoto::ImportBinding;
use crate::site::{ImportRule, Policy};
use crate::snapshot::{EditionName, Removed};
use crate::source::SourceFile;

use super::candidate::{Output, Terms};
use super::context::Common;
use super::decide::{Decision, apply, relaxed};
use super::evidence::{Before, Indexed, identity};
use super::ledger::LedgerView;
use super::proof::Proof;
use super::rules::{IMPORT_RULES, Seen};
use super::whole::{Whole, file_set};

/// The level of what upstream's signature alone proves. Nobody rebuilt it for us.
pub const UPSTREAM_SIGNED: &str = "ASSAY_UPSTREAM_SIGNED";

/// A source package of a mirror's snapshot, with its packages: admitted whole, or refused whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Import {
    /// The custom archive.
    pub archive: ArchiveName,
    /// Its suites that the packages would go to; all are under the same policy.
    pub suites: Vec<SuiteName>,
    /// The name of that policy.
    pub policy: PolicyName,
    /// SHA-256 of that policy's canonical JSON, as the caller knows it.
    pub policy_sha256: Sha256,
    /// Where it comes from.
    pub from: ImportedFrom,
    /// The source package.
    pub source: PackageName,
    /// Its version.
    pub version: Version,
    /// The architectures of the custom archive.
    pub architectures: Vec<Architecture>,
    /// Why it is wanted.
    pub reason: String,
    /// Who says that they asked for it. Nobody's signature: the gate's, which let it in, counts.
    pub asked_by: String,
    /// The .dsc and what upstream lists with it.
    pub source_files: Vec<SourceFile>,
    /// What the .dsc says.
    pub dsc: Described,
    /// The .debs and .udebs.
    pub outputs: Vec<Output>,
    /// What else counts.
    pub terms: Terms,
}

/// A suite and component of a mirror's snapshot or tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ImportedFrom {
    /// The mirror.
    pub archive: ArchiveName,
    /// The snapshot's serial, or the tag.
    pub edition: EditionName,
    /// The snapshot's id.
    pub id: SnapshotId,
    /// The suite, as the mirror publishes it.
    pub suite: SuiteName,
    /// The component.
    pub component: Component,
}

/// What a .dsc says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Described {
    /// It was read.
    As {
        /// `Source`.
        source: PackageName,
        /// `Version`.
        version: Version,
        /// The files that it names.
        files: Vec<SourceFile>,
    },
    /// It cannot be read, and why.
    Malformed(String),
    /// There is none.
    Absent,
}

impl Described {
    /// Of the text of a .dsc, without the frame of its signature.
    #[must_use]
    pub fn new(text: &[u8]) -> Self {
        match Dsc::parse(text) {
            Ok(dsc) => Self::As {
                source: dsc.source,
                version: dsc.version,
                files: dsc
                    .files
                    .into_iter()
                    .map(|(name, digest)| SourceFile { name, digest })
                    .collect(),
            },
            Err(error) => Self::Malformed(error.to_string()),
        }
    }
}

/// Everything known about an import.
///
/// As JSON (see `ImportCase`) it has no proof: that follows again from upstream's own files, which are
/// documents of their own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ImportEvidence {
    /// What upstream's signature proves.
    #[serde(skip)]
    pub proof: Option<Proof>,
    /// As of when it was proven.
    pub proven_at: Timestamp,
    /// The snapshot, as this site knows it.
    pub snapshot: ImportedSnapshot,
    /// Whether the site declares a source package of this name for the archive.
    pub declared: bool,
    /// Packages that upstream built of the source package and lists in another component: an import is of one
    /// component, so these are left out.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub elsewhere: BTreeMap<Component, BTreeSet<PackageName>>,
    /// Files that a signed decision admitted to the suite that it comes from: file → decision.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub admitted: BTreeMap<Sha256, Sha256>,
    /// What the newest indexes of the mirror's suite, and of the suites that the archive's environments are
    /// resolved from, hold under its names.
    pub indexed: Vec<Indexed>,
    /// What was ever admitted under its names.
    pub ledger: LedgerView,
    /// Source packages that were removed on purpose from suites of the archive.
    pub removed: Vec<(SuiteName, Removed)>,
    /// What the newest snapshot of the archive holds under the names of its packages.
    pub before: Vec<Before>,
}

/// A snapshot or tag of a mirror, as its signed record says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ImportedSnapshot {
    /// Why its record is not believed.
    pub doubt: Option<String>,
    /// SHA-256 of what upstream signed.
    pub release: Option<Sha256>,
    /// When the mirror verified that.
    pub verified_at: Timestamp,
    /// Until when clients take the snapshot; absent: for ever.
    pub valid_until: Option<Timestamp>,
}

impl<'a> From<&'a Import> for Whole<'a> {
    fn from(import: &'a Import) -> Self {
        let mut outputs: Vec<&Output> = import.outputs.iter().collect();
        outputs.sort_by(|a, b| (&a.name, a.digest).cmp(&(&b.name, b.digest)));
        Self {
            archive: &import.archive,
            suites: &import.suites,
            policy: &import.policy,
            policy_sha256: import.policy_sha256,
            component: &import.from.component,
            source: &import.source,
            version: &import.version,
            source_files: &import.source_files,
            outputs,
            terms: &import.terms,
        }
    }
}

/// What the rules about imports look at.
#[derive(Debug)]
pub(super) struct ImportContext<'a> {
    pub(super) common: Common<'a>,
    pub(super) import: &'a Import,
    pub(super) evidence: &'a ImportEvidence,
    pub(super) proof: Option<&'a Proof>,
}

impl<'a> ImportContext<'a> {
    fn new(policy: &'a Policy, import: &'a Import, evidence: &'a ImportEvidence, now: Timestamp) -> Self {
        Self {
            common: Common {
                policy,
                whole: Whole::from(import),
                now,
                policy_sha256: identity(policy),
                ledger: &evidence.ledger,
                indexed: &evidence.indexed,
                removed: &evidence.removed,
                before: &evidence.before,
                as_signed: true,
            },
            import,
            evidence,
            proof: evidence.proof.as_ref(),
        }
    }

    /// The entries of the policy that are about this archive, suite and source.
    pub(super) fn allowing(&self) -> impl Iterator<Item = &'a ImportRule> {
        let (from, source) = (&self.import.from, &self.import.source);
        let rules = self.common.policy.imports.iter();
        rules.filter(move |rule| rule.takes(&from.archive, &from.suite, source))
    }

    /// Those of them that are in force.
    pub(super) fn in_force(&self) -> impl Iterator<Item = &'a ImportRule> {
        let now = self.common.now;
        self.allowing()
            .filter(move |rule| rule.expires.is_none_or(|end| end > now))
    }

    /// Those that I2 judges by: the ones in force, or, so that it says more than I1, the ones that have ended.
    pub(super) fn judging(&self) -> Vec<&'a ImportRule> {
        let in_force: Vec<_> = self.in_force().collect();
        if in_force.is_empty() {
            self.allowing().collect()
        } else {
            in_force
        }
    }

    /// Those in force that upstream's signatures satisfy. What one entry asks for is never met by parts of two.
    pub(super) fn satisfied(&self) -> impl Iterator<Item = &'a ImportRule> {
        let signers = self.proof.map(|proof| &proof.signers);
        self.in_force()
            .filter(move |rule| signers.is_some_and(|signers| rule.is_signed_by(signers)))
    }
}

/// The keys that a policy's imports of a source package from an archive must be signed by.
#[must_use]
pub fn import_signers(policy: &Policy, from: &ImportedFrom, source: &PackageName) -> BTreeSet<Fingerprint> {
    let rules = policy.imports.iter();
    let ours = rules.filter(|rule| rule.takes(&from.archive, &from.suite, source));
    ours.flat_map(|rule| rule.signers.iter().cloned()).collect()
}

/// Decides on an import. Pure and total, as `decide` is for what was rebuilt: what cannot be judged is refused.
#[must_use]
pub fn decide_import(policy: &Policy, import: &Import, evidence: &ImportEvidence, now: Timestamp) -> Decision {
    let context = ImportContext::new(policy, import, evidence, now);
    let seen = Seen::Imported(&context);
    let rules = apply(IMPORT_RULES, seen);
    let admitted = !rules.is_empty() && rules.iter().all(|result| result.passed);
    let mut levels = Vec::new();
    if admitted {
        levels.push(UPSTREAM_SIGNED.to_owned());
        levels.extend(relaxed(IMPORT_RULES, seen));
    }
    let mut suites = import.suites.clone();
    suites.sort();
    suites.dedup();
    let documents = evidence.proof.iter().flat_map(Proof::documents);
    let mut inputs: Vec<(String, Sha256)> = documents.map(|(name, sha256)| (name.to_owned(), sha256)).collect();
    let moved = import.terms.moved.as_ref();
    inputs.extend(moved.map(|moved| ("decision".to_owned(), moved.decision)));
    inputs.sort();
    inputs.dedup();
    Decision {
        admitted,
        rules,
        archive: import.archive.clone(),
        suites,
        component: import.from.component.clone(),
        source: import.source.clone(),
        version: import.version.clone(),
        files: file_set(import).unwrap_or_default(),
        policy: import.policy.clone(),
        policy_sha256: context.common.policy_sha256,
        declaration: None,
        inputs,
        levels,
        dependencies: None,
        import: Some(binding(import, evidence)),
        decided_at: now,
    }
}

/// What a decision says of where it comes from.
fn binding(import: &Import, evidence: &ImportEvidence) -> ImportBinding {
    let from = &import.from;
    let proof = evidence.proof.as_ref();
    let indexes = proof.iter().flat_map(|proof| &proof.indexes);
    ImportBinding {
        archive: from.archive.to_string(),
        snapshot: from.edition.to_string(),
        id: from.id.to_string(),
        suite: from.suite.to_string(),
        component: from.component.to_string(),
        release: proof.map(|proof| proof.release.hex()).unwrap_or_default(),
        signers: proof
            .iter()
            .flat_map(|proof| &proof.signers)
            .map(ToString::to_string)
            .collect(),
        indexes: indexes
            .map(|index| (index.path.to_string(), index.digest.sha256.hex()))
            .collect(),
        proven_at: evidence.proven_at,
        reason: import.reason.clone(),
        asked_by: import.asked_by.clone(),
    }
}
