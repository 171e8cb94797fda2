//! The decision: every rule on the same context, and nothing but the rules.

use std::collections::BTreeMap;

use crate::domain::{
    ArchiveName, Component, Fingerprint, PackageName, PolicyName, PoolPath, Sha256, SuiteName, Timestamp, Version,
    escape,
};
use crate::format::intoto::{
    Binding, ImportBinding, ResourceDescriptor, RuleResult, STATEMENT, SUMMARY, Statement, Subject, Summary,
    VerificationResult, Verifier, sha256_set,
};
use crate::site::Policy;

use super::case::CASE;
use super::context::{Common, Context};
use super::rules::{AGAIN, RULE_SET, RULES, Rule, Seen, Verdict, dependencies, dependency_levels};
use super::whole::file_set;
use super::{Candidate, Evidence, Offered};

/// The rules that whoever runs the gate may let pass for one candidate, with a reason: what they guard
/// against is a mistake, and no forgery.
pub const ALLOWABLE: [&str; 2] = ["V3", "A12"];
/// How an input of a decision is called that is the decision on a package it was built with.
const DEPENDENCY: &str = "dependency-decision";
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
    /// How many packages of the environments are of which level (see [`super::rules::dependency_levels`]);
    /// none when nothing was built.
    pub dependencies: Option<BTreeMap<String, u64>>,
    /// Where it was imported from, when it was.
    pub import: Option<ImportBinding>,
    /// When.
    pub decided_at: Timestamp,
}

/// Decides. Pure and total: any input gives a decision, and what cannot be judged is refused.
#[must_use]
pub fn decide(policy: &Policy, candidate: &Candidate, evidence: &Evidence, now: Timestamp) -> Decision {
    let context = Context::new(policy, candidate, evidence, now);
    let rules: Vec<RuleResult> = apply(RULES, Seen::Rebuilt(&context));
    let admitted = !rules.is_empty() && rules.iter().all(|result| result.passed);
    let declaration = &candidate.declaration;
    let mut suites = candidate.suites.clone();
    suites.sort();
    suites.dedup();
    Decision {
        levels: if admitted { levels(&context) } else { Vec::new() },
        dependencies: dependency_levels(&context),
        admitted,
        rules,
        archive: candidate.archive.clone(),
        suites,
        component: declaration.component.clone(),
        source: declaration.source.clone(),
        version: declaration.version.clone(),
        files: file_set(candidate).unwrap_or_default(),
        policy: candidate.policy.clone(),
        policy_sha256: context.common.policy_sha256,
        declaration: context.declaration,
        inputs: inputs(&context),
        import: None,
        decided_at: now,
    }
}

/// Each rule, with the policy's exception to it when there is one.
pub(super) fn apply(rules: &[Rule], seen: Seen<'_, '_>) -> Vec<RuleResult> {
    let one = |rule: &Rule| {
        let (passed, evidence) = match rule.verdict(seen) {
            Verdict::Held(evidence) => (true, evidence),
            Verdict::NotApplicable(why) => (true, format!("not applicable: {why}")),
            Verdict::Broken(evidence) => excuse(rule, seen.common(), evidence),
        };
        RuleResult {
            id: rule.id.to_owned(),
            rule: rule.demands.to_owned(),
            passed,
            evidence,
            repeat: repeat(rule, seen),
        }
    };
    rules.iter().map(one).collect()
}

/// The command that repeats a rule's check. What was imported is not declared: it is decided again as it was.
fn repeat(rule: &Rule, seen: Seen<'_, '_>) -> String {
    let command = match seen {
        Seen::Rebuilt(_) => rule.repeat,
        Seen::Imported(_) => AGAIN,
    };
    command.replace("{source}", seen.common().whole.source.as_str())
}

fn excuse(rule: &Rule, context: &Common<'_>, evidence: String) -> (bool, String) {
    let allowed = context.whole.terms.allowed.get(rule.id);
    if let Some(reason) = allowed.filter(|_| ALLOWABLE.contains(&rule.id)) {
        return (true, format!("{evidence}; allowed this once: {}", escape(reason)));
    }
    let Some(exception) = context.exception(rule.id).filter(|_| rule.excusable) else {
        return (false, evidence);
    };
    let (owner, end) = (escape(&exception.owner), exception.expires);
    if end > context.now {
        let reason = escape(&exception.reason);
        (true, format!("{evidence}; excepted by {owner} until {end}: {reason}"))
    } else {
        (false, format!("{evidence}; the exception of {owner} ended at {end}"))
    }
}

fn levels(context: &Context<'_>) -> Vec<String> {
    let mut levels = Vec::new();
    if context.sets.iter().all(|set| context.operators(set).len() >= 2) {
        levels.push("SLSA_BUILD_REPRODUCED".to_owned());
    }
    levels.extend(relaxed(RULES, Seen::Rebuilt(context)));
    levels
}

/// The rules that did not hold, and that exceptions were made to.
pub(super) fn relaxed(rules: &[Rule], seen: Seen<'_, '_>) -> Vec<String> {
    let leaned_on = |rule: &&Rule| matches!(rule.verdict(seen), Verdict::Broken(_));
    let relaxed = rules.iter().filter(leaned_on);
    relaxed.map(|rule| format!("ASSAY_RELAXED_{}", rule.id)).collect()
}

/// Everything that was looked at, also records that do not count or dissent.
fn inputs(context: &Context<'_>) -> Vec<(String, Sha256)> {
    let mut inputs: Vec<(String, Sha256)> = Vec::new();
    inputs.extend(context.declaration.map(|sha256| ("declaration".to_owned(), sha256)));
    inputs.extend(
        context
            .sets
            .iter()
            .map(|set| ("environment-lock".to_owned(), set.set.lock)),
    );
    inputs.extend(
        context
            .records
            .iter()
            .map(|judged| ("rebuild-record".to_owned(), judged.record.sha256)),
    );
    // Of packages of ours that it was built with: each is as good as its own decision.
    let own = dependencies(context).filter_map(|package| context.evidence.admitted.get(&package.sha256));
    inputs.extend(own.map(|decision| (DEPENDENCY.to_owned(), *decision)));
    match &context.candidate.offered {
        Offered::ByRecords => {}
        Offered::Upload { changes } => inputs.push(("changes".to_owned(), *changes)),
    }
    let moved = context.candidate.terms.moved.as_ref();
    inputs.extend(moved.map(|moved| ("decision".to_owned(), moved.decision)));
    inputs.sort();
    inputs.dedup();
    inputs
}

impl Decision {
    /// The same decision, which names the document that it can be made again from.
    #[must_use]
    pub fn resting_on(mut self, case: Sha256) -> Self {
        self.inputs.push((CASE.to_owned(), case));
        self.inputs.sort();
        self
    }

    /// Whether it is refused only because rebuilds are still to come: none has said anything yet, or those that
    /// have agree and are too few.
    #[must_use]
    pub fn waits_for_rebuilds(&self) -> bool {
        let recorded = self.inputs.iter().any(|(name, _)| name == "rebuild-record");
        let open = |id: &str| matches!(id, "R1" | "R4") || (id == "B1" && !recorded);
        !self.admitted && self.rules.iter().filter(|rule| !rule.passed).all(|rule| open(&rule.id))
    }

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
                    uri: self.policy_sha256.map(|sha256| format!("provenance/sha256/{sha256}")),
                    digest: self.policy_sha256.as_ref().map(sha256_set).unwrap_or_default(),
                },
                input_attestations: self.inputs.iter().map(input).collect(),
                verification_result: if self.admitted {
                    VerificationResult::Passed
                } else {
                    VerificationResult::Failed
                },
                verified_levels: self.levels.clone(),
                dependency_levels: self.dependencies.clone(),
                slsa_version: SLSA_VERSION.to_owned(),
                assay_rule_set: Some(RULE_SET),
                assay_rules: self.rules.clone(),
                assay_binding: self.binding(),
                assay_import: self.import.clone(),
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
