//! A decision can be made again: what it was made on is a document, and the same document gives the
//! same decision.
//!
//! The document (the *case*) holds what the gate saw and what no other document holds. Records, locks
//! and the policy are documents of their own, which the decision names by hash; whoever reads a case
//! puts them back from there, and checks signatures again on the way.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::{BuilderId, Fingerprint, Sha256, SuiteName, Timestamp};
use crate::environment::Lock;
use crate::format::json;
use crate::site::Policy;
use crate::snapshot::Removed;

use super::evidence::{builder_fingerprint, identity};
use super::import::{Import, ImportEvidence, decide_import};
use super::ledger::LedgerView;
use super::proof::Proof;
use super::whole::Whole;
use super::{AdmissionError, Candidate, Decision, Evidence, RecordEvidence, decide};

/// The format that is written.
const FORMAT: u32 = 1;
/// How an input of a decision is called that is its case.
pub const CASE: &str = "case";

/// Everything that a decision was made on, but its policy and its instant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Case {
    /// The format of this document: 1.
    pub format: u32,
    /// What was offered.
    pub candidate: Candidate,
    /// What was known.
    pub evidence: Evidence,
}

impl Case {
    /// Of a candidate and the evidence for it.
    #[must_use]
    pub fn new(candidate: &Candidate, evidence: &Evidence) -> Self {
        Self {
            format: FORMAT,
            candidate: candidate.clone(),
            evidence: evidence.clone(),
        }
    }

    /// The document's bytes.
    ///
    /// # Errors
    /// Never for a case that was read or gathered.
    pub fn canonical(&self) -> Result<Vec<u8>, AdmissionError> {
        Ok(json::canonical("case", self)?)
    }

    /// Reads the document, and puts back what it names only.
    ///
    /// # Errors
    /// When it is malformed or of another format.
    pub fn parse(
        bytes: &[u8],
        locks: BTreeMap<Sha256, Lock>,
        records: Vec<RecordEvidence>,
    ) -> Result<Self, AdmissionError> {
        let mut case: Self = json::strict("case", bytes)?;
        check_format(case.format)?;
        case.evidence.locks = locks;
        case.evidence.records = records;
        Ok(case)
    }

    /// Decides on it again.
    #[must_use]
    pub fn decide(&self, policy: &Policy, at: Timestamp) -> Decision {
        decide(policy, &self.candidate, &self.evidence, at)
    }

    /// Decides on it as if the policy had revoked a key by then, everything else being as it was.
    #[must_use]
    pub fn decide_without(&self, policy: &Policy, revoked: &Revoked, at: Timestamp) -> Decision {
        let policy = revoked.from(policy);
        let mut candidate = self.candidate.clone();
        if let Some(sha256) = identity(&policy) {
            candidate.policy_sha256 = sha256;
        }
        decide(&policy, &candidate, &self.evidence, at)
    }
}

fn check_format(format: u32) -> Result<(), AdmissionError> {
    match format {
        FORMAT => Ok(()),
        other => Err(AdmissionError::Case(format!("it has the format {other}, not {FORMAT}"))),
    }
}

/// Everything that a decision on an import was made on, but its policy, its instant and upstream's own files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ImportCase {
    /// The format of this document: 1.
    pub format: u32,
    /// What was offered.
    pub import: Import,
    /// What was known.
    pub evidence: ImportEvidence,
}

impl ImportCase {
    /// Of an import and the evidence for it.
    #[must_use]
    pub fn new(import: &Import, evidence: &ImportEvidence) -> Self {
        Self {
            format: FORMAT,
            import: import.clone(),
            evidence: evidence.clone(),
        }
    }

    /// The document's bytes.
    ///
    /// # Errors
    /// Never for a case that was read or gathered.
    pub fn canonical(&self) -> Result<Vec<u8>, AdmissionError> {
        Ok(json::canonical("case", self)?)
    }

    /// Reads the document. `prove` gives what upstream's files prove of the import, as of an instant.
    ///
    /// # Errors
    /// When it is malformed or of another format; what `prove` fails with.
    pub fn parse<E: From<AdmissionError>>(
        bytes: &[u8],
        prove: impl FnOnce(&Import, Timestamp) -> Result<Option<Proof>, E>,
    ) -> Result<Self, E> {
        let mut case: Self = json::strict("case", bytes).map_err(AdmissionError::from)?;
        check_format(case.format)?;
        case.evidence.proof = prove(&case.import, case.evidence.proven_at)?;
        Ok(case)
    }

    /// Decides on it as if the policy had never named a key that was revoked by then.
    fn decide_without(&self, policy: &Policy, revoked: &Revoked, at: Timestamp) -> Decision {
        let mut policy = policy.clone();
        if revoked.since <= at {
            for rule in &mut policy.imports {
                rule.signers.retain(|signer| revoked.key.as_ref() != Some(signer));
            }
        }
        let mut import = self.import.clone();
        if let Some(sha256) = identity(&policy) {
            import.policy_sha256 = sha256;
        }
        decide_import(&policy, &import, &self.evidence, at)
    }
}

/// What is decided on: a candidate that was rebuilt, or an import; with what is known of it.
#[derive(Debug, Clone, Copy)]
pub enum Matter<'a> {
    /// A declared source and its rebuilds.
    Rebuilt(&'a Candidate, &'a Evidence),
    /// What an upstream signed.
    Imported(&'a Import, &'a ImportEvidence),
}

impl<'a> Matter<'a> {
    /// What is offered.
    #[must_use]
    pub fn whole(self) -> Whole<'a> {
        match self {
            Self::Rebuilt(candidate, _) => Whole::from(candidate),
            Self::Imported(import, _) => Whole::from(import),
        }
    }

    /// Decides on it.
    #[must_use]
    pub fn decide(self, policy: &Policy, now: Timestamp) -> Decision {
        match self {
            Self::Rebuilt(candidate, evidence) => decide(policy, candidate, evidence, now),
            Self::Imported(import, evidence) => decide_import(policy, import, evidence, now),
        }
    }

    /// Decides on it with what the ledger and the suites hold by now.
    #[must_use]
    pub fn decide_after(
        self,
        policy: &Policy,
        ledger: LedgerView,
        removed: Vec<(SuiteName, Removed)>,
        now: Timestamp,
    ) -> Decision {
        match self {
            Self::Rebuilt(candidate, evidence) => {
                let current = Evidence {
                    ledger,
                    removed,
                    ..evidence.clone()
                };
                decide(policy, candidate, &current, now)
            }
            Self::Imported(import, evidence) => {
                let current = ImportEvidence {
                    ledger,
                    removed,
                    ..evidence.clone()
                };
                decide_import(policy, import, &current, now)
            }
        }
    }

    /// The document that it can be decided on again from.
    ///
    /// # Errors
    /// Never for what was read or gathered.
    pub fn case(self) -> Result<Vec<u8>, AdmissionError> {
        match self {
            Self::Rebuilt(candidate, evidence) => Case::new(candidate, evidence).canonical(),
            Self::Imported(import, evidence) => ImportCase::new(import, evidence).canonical(),
        }
    }
}

/// A case of either kind, as it was read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeptCase {
    /// A declared source and its rebuilds.
    Rebuilt(Box<Case>),
    /// What an upstream signed.
    Imported(Box<ImportCase>),
}

impl KeptCase {
    /// What was decided on.
    #[must_use]
    pub fn matter(&self) -> Matter<'_> {
        match self {
            Self::Rebuilt(case) => Matter::Rebuilt(&case.candidate, &case.evidence),
            Self::Imported(case) => Matter::Imported(&case.import, &case.evidence),
        }
    }

    /// Decides on it again as if the policy had revoked a key by then, everything else being as it was.
    #[must_use]
    pub fn decide_without(&self, policy: &Policy, revoked: &Revoked, at: Timestamp) -> Decision {
        match self {
            Self::Rebuilt(case) => case.decide_without(policy, revoked, at),
            Self::Imported(case) => case.decide_without(policy, revoked, at),
        }
    }
}

/// A key that is supposed to be revoked: of a builder, by the builder's id or the key's fingerprint, of a
/// signer of sources, or of an upstream that packages are imported from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revoked {
    /// The builder's id, when that is how it was named.
    pub builder: Option<BuilderId>,
    /// The key's fingerprint, when that is how it was named.
    pub key: Option<Fingerprint>,
    /// From when on nothing counts that it signed.
    pub since: Timestamp,
}

impl Revoked {
    /// Whether the policy has this key at all.
    #[must_use]
    pub fn is_in(&self, policy: &Policy) -> bool {
        let signer = policy
            .signers
            .iter()
            .any(|signer| self.key.as_ref() == Some(&signer.fingerprint));
        let upstream = policy
            .imports
            .iter()
            .any(|rule| self.key.as_ref().is_some_and(|key| rule.signers.contains(key)));
        signer || upstream || policy.builders.iter().any(|builder| self.names(builder))
    }

    fn names(&self, builder: &crate::site::Builder) -> bool {
        self.builder.as_ref() == Some(&builder.id) || (self.key.is_some() && self.key == builder_fingerprint(builder))
    }

    /// The policy with the key revoked; earlier revocations stay.
    fn from(&self, policy: &Policy) -> Policy {
        let mut policy = policy.clone();
        let earlier = |held: Option<Timestamp>| Some(held.map_or(self.since, |held| held.min(self.since)));
        for builder in policy.builders.iter_mut().filter(|builder| self.names(builder)) {
            builder.revoked_at = earlier(builder.revoked_at);
        }
        for signer in &mut policy.signers {
            if self.key.as_ref() == Some(&signer.fingerprint) {
                signer.revoked_at = earlier(signer.revoked_at);
            }
        }
        policy
    }
}
