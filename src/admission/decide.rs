//! The decision: every rule on the same context, and nothing but the rules.

use std::collections::BTreeMap;

use crate::domain::{
    ArchiveName, Component, DomainError, Fingerprint, PackageName, PolicyName, PoolPath, Sha256, SuiteName, Timestamp,
    Version,
};
use crate::format::intoto::{
    Binding, ResourceDescriptor, RuleResult, STATEMENT, SUMMARY, Statement, Subject, Summary, VerificationResult,
    Verifier, sha256_set,
};
use crate::site::Policy;

use super::{Candidate, Evidence, identity};

/// The version of SLSA that decisions follow.
const SLSA_VERSION: &str = "1.1";

/// What the gate decided, and on what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Whether the candidate may become packages.
    pub admitted: bool,
    /// Each rule and how it came out, in the order of [`super::RULES`].
    pub rules: Vec<RuleResult>,
    /// The archive.
    pub archive: ArchiveName,
    /// Its suites.
    pub suites: Vec<SuiteName>,
    /// The component.
    pub component: Component,
    /// The source package.
    pub source: PackageName,
    /// Its version.
    pub version: Version,
    /// Every pool file that the decision covers.
    pub files: BTreeMap<PoolPath, Sha256>,
    /// The policy's name.
    pub policy: PolicyName,
    /// SHA-256 of the policy's canonical JSON, computed from the policy that was applied.
    pub policy_sha256: Option<Sha256>,
    /// SHA-256 of the declaration's canonical JSON.
    pub declaration: Option<Sha256>,
    /// Everything it was decided on, by name: declaration, locks, records (dissenting ones too).
    pub inputs: Vec<(String, Sha256)>,
    /// `SLSA_BUILD_REPRODUCED` when two operators at least gave these bytes; `ASSAY_RELAXED_<rule>`
    /// for each exception it leans on.
    pub levels: Vec<String>,
    /// When.
    pub decided_at: Timestamp,
}

/// Decides. Pure and total: any input gives a decision, and what cannot be judged is refused.
#[must_use]
pub fn decide(policy: &Policy, candidate: &Candidate, _evidence: &Evidence, now: Timestamp) -> Decision {
    let declaration = &candidate.declaration;
    Decision {
        admitted: false,
        rules: Vec::new(),
        archive: candidate.archive.clone(),
        suites: candidate.suites.clone(),
        component: declaration.component.clone(),
        source: declaration.source.clone(),
        version: declaration.version.clone(),
        files: file_set(candidate).unwrap_or_default(),
        policy: candidate.policy.clone(),
        policy_sha256: identity(policy),
        declaration: identity(declaration),
        inputs: Vec::new(),
        levels: Vec::new(),
        decided_at: now,
    }
}

/// Every pool file of the candidate: sources and outputs, at Debian's own paths.
///
/// # Errors
/// When a path would not follow the grammar of pool paths, or one path has two contents.
pub fn file_set(_candidate: &Candidate) -> Result<BTreeMap<PoolPath, Sha256>, DomainError> {
    Ok(BTreeMap::new())
}

impl Decision {
    /// The statement that the gate signs: an SLSA verification summary, for refusals too.
    /// `gate` is the fingerprint of the gate's key, `program` names this program and its version.
    #[must_use]
    pub fn summary(&self, gate: &Fingerprint, program: &str) -> Statement<Summary> {
        let subject = |(path, sha256): (&PoolPath, &Sha256)| Subject {
            name: path.file_name().to_owned(),
            digest: sha256_set(sha256),
        };
        let mut subjects: Vec<Subject> = self.files.iter().map(subject).collect();
        subjects.sort();
        Statement {
            statement_type: STATEMENT.to_owned(),
            subject: subjects,
            predicate_type: SUMMARY.to_owned(),
            predicate: Summary {
                verifier: Verifier {
                    id: gate.as_str().to_owned(),
                    version: BTreeMap::from([("assay".to_owned(), program.to_owned())]),
                },
                time_verified: self.decided_at,
                resource_uri: format!("assay:{}/{}/{}", self.archive, self.source, self.version),
                policy: ResourceDescriptor {
                    name: Some(self.policy.as_str().to_owned()),
                    uri: None,
                    digest: self.policy_sha256.as_ref().map(sha256_set).unwrap_or_default(),
                },
                input_attestations: self.inputs.iter().map(input).collect(),
                verification_result: if self.admitted {
                    VerificationResult::Passed
                } else {
                    VerificationResult::Failed
                },
                verified_levels: self.levels.clone(),
                slsa_version: SLSA_VERSION.to_owned(),
                assay_rules: self.rules.clone(),
                assay_binding: self.binding(),
            },
        }
    }

    fn binding(&self) -> Binding {
        let file = |(path, sha256): (&PoolPath, &Sha256)| (path.as_str().to_owned(), sha256.hex());
        Binding {
            archive: self.archive.as_str().to_owned(),
            suites: self.suites.iter().map(|s| s.as_str().to_owned()).collect(),
            component: self.component.as_str().to_owned(),
            source: self.source.as_str().to_owned(),
            version: self.version.as_str().to_owned(),
            files: self.files.iter().map(file).collect(),
        }
    }
}

fn input((name, sha256): &(String, Sha256)) -> ResourceDescriptor {
    ResourceDescriptor {
        name: Some(name.clone()),
        uri: Some(format!("provenance/sha256/{sha256}")),
        digest: sha256_set(sha256),
    }
}
