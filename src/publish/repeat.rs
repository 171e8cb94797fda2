//! Decisions that were made, and making them again from what is kept: anybody can who has the store, or
//! a copy of its public part, and the gate's public key.
//!
//! Reads only. Every document is checked against its name; the records' own signatures are checked
//! again with the builders' keys of the policy that the decision names.

use std::collections::{BTreeMap, BTreeSet};

use crate::admission::{
    CASE, Case, Compared, DebFacts, Decision, Inspected, KeptCase, RecordEvidence, compare, identity,
};
use crate::domain::{ArchiveName, PoolPath, Sha256, Timestamp};
use crate::environment::Lock;
use crate::format::deb::{DebLimits, read_deb};
use crate::format::dsse::{self, Envelope};
use crate::format::intoto::{SUMMARY, Statement, Summary};
use crate::format::json;
use crate::site::Policy;
use crate::snapshot::Chain;
use crate::store::{Key, Store};
use crate::trust::{Ed25519Public, verify_envelope};

use super::evidence::{keys_of, read_document, read_record, read_unverified};
use super::{GateError, read_decisions};

/// The largest case that is read, in bytes: packages of very many files have large ones.
pub(super) const LARGEST_CASE: u64 = 256 << 20;

/// A decision with all that it was made on.
#[derive(Debug, Clone)]
pub struct Kept {
    /// SHA-256 of its envelope.
    pub sha256: Sha256,
    /// What the gate signed.
    pub statement: Statement<Summary>,
    /// The policy that it was made under.
    pub policy: Policy,
    /// What it was made on.
    pub case: KeptCase,
    case_sha256: Sha256,
}

/// The decisions of an archive: every one that was listed when it was made, and those that its newest
/// snapshot names.
///
/// # Errors
/// When a record or index is damaged; the store's failure.
pub fn list_decisions(store: &dyn Store, archive: &ArchiveName) -> Result<BTreeSet<Sha256>, GateError> {
    let mut found = noted_decisions(store, archive)?;
    if let Some(record) = Chain::load(store, archive)?.latest() {
        for state in &record.suites {
            found.extend(read_decisions(store, archive, state)?.into_values().map(|(_, by)| by));
        }
    }
    Ok(found)
}

/// Every decision that was listed when it was made, refusals too.
///
/// # Errors
/// The store's failure.
pub fn noted_decisions(store: &dyn Store, archive: &ArchiveName) -> Result<BTreeSet<Sha256>, GateError> {
    let listed = store.list(&format!("state/{archive}/decisions"))?;
    Ok(listed.iter().filter_map(|meta| meta.key.named_sha256()).collect())
}

/// What the gate signed under this name.
///
/// # Errors
/// When it is missing, damaged or malformed, or not signed by the gate; the store's failure.
pub fn load_decision(
    store: &dyn Store,
    archive: &ArchiveName,
    sha256: &Sha256,
    gate: &Ed25519Public,
) -> Result<Statement<Summary>, GateError> {
    let key = Key::provenance(archive, sha256);
    let bytes = read_document(store, archive, sha256, dsse::LARGEST)?;
    let envelope = Envelope::parse(&bytes).map_err(GateError::document(&key))?;
    let unsigned = |why: String| GateError::Unsigned { key: key.clone(), why };
    let signed = verify_envelope(&envelope, dsse::IN_TOTO, std::slice::from_ref(gate));
    if signed.map_err(|error| unsigned(error.to_string()))?.is_empty() {
        return Err(unsigned(format!("the gate {} did not sign it", gate.fingerprint())));
    }
    let statement: Statement<Summary> =
        json::strict("decision", &envelope.payload).map_err(GateError::document(&key))?;
    if statement.predicate_type == SUMMARY {
        Ok(statement)
    } else {
        Err(unsigned("it is no decision".to_owned()))
    }
}

impl Kept {
    /// Reads a decision and all that it was made on.
    ///
    /// # Errors
    /// `NotRepeatable` when it does not name all of that, or names what this program reads otherwise; as
    /// [`load_decision`] for the decision and each document.
    pub fn load(
        store: &dyn Store,
        archive: &ArchiveName,
        sha256: &Sha256,
        gate: &Ed25519Public,
    ) -> Result<Self, GateError> {
        let statement = load_decision(store, archive, sha256, gate)?;
        let lacks = |why: &str| GateError::NotRepeatable {
            key: Key::provenance(archive, sha256),
            why: why.to_owned(),
        };
        let inputs = named_inputs(&statement.predicate).ok_or_else(|| lacks("an input has no SHA-256"))?;
        let named = |name: &'static str| inputs.iter().filter(move |(n, _)| n == name).map(|(_, sha256)| *sha256);
        let case_sha256 = named(CASE).next().ok_or_else(|| lacks("it names no case"))?;
        let policy_sha256 = sha256_of(&statement.predicate.policy).ok_or_else(|| lacks("it names no policy"))?;
        let document = |sha256: &Sha256, limit| read_document(store, archive, sha256, limit);
        let at = |sha256: &Sha256| Key::provenance(archive, sha256);
        let policy: Policy = json::strict("policy", &document(&policy_sha256, dsse::LARGEST)?)
            .map_err(GateError::document(at(&policy_sha256)))?;
        if identity(&policy) != Some(policy_sha256) {
            return Err(lacks("its policy has another SHA-256 to this program"));
        }
        let bytes = document(&case_sha256, LARGEST_CASE)?;
        if let Some(binding) = &statement.predicate.assay_import {
            let case = super::import::read_case(store, archive, &policy, &bytes, (binding, &inputs))?;
            return Ok(Self {
                sha256: *sha256,
                case: KeptCase::Imported(Box::new(case)),
                statement,
                policy,
                case_sha256,
            });
        }
        let mut locks = BTreeMap::new();
        for sha256 in named("environment-lock") {
            let lock: Lock = json::strict("environment lock", &document(&sha256, dsse::LARGEST)?)
                .map_err(GateError::document(at(&sha256)))?;
            locks.insert(sha256, lock);
        }
        let keys = keys_of(&policy);
        let mut records: Vec<RecordEvidence> = Vec::new();
        for sha256 in named("rebuild-record") {
            let bytes = document(&sha256, dsse::LARGEST)?;
            // One that no key of that policy signed was heard as such (rule R7).
            let read = read_record(sha256, &bytes, &keys).or_else(|_| read_unverified(sha256, &bytes));
            records.push(read.map_err(|why| lacks(&format!("record {sha256}: {why}")))?);
        }
        let case = KeptCase::Rebuilt(Box::new(Case::parse(&bytes, locks, records)?));
        Ok(Self {
            sha256: *sha256,
            statement,
            policy,
            case,
            case_sha256,
        })
    }

    /// When it was decided.
    #[must_use]
    pub fn decided_at(&self) -> Timestamp {
        self.statement.predicate.time_verified
    }

    /// The decision, made again.
    #[must_use]
    pub fn again(&self) -> Decision {
        self.case
            .matter()
            .decide(&self.policy, self.decided_at())
            .resting_on(self.case_sha256)
    }

    /// The decision that is made again, beside the one that is kept.
    #[must_use]
    pub fn compared(&self) -> Compared {
        compare(&self.statement, &self.again())
    }

    /// Where the two differ although the rules are the same; nowhere, as a rule.
    #[must_use]
    pub fn differences(&self) -> Vec<String> {
        self.compared().differences
    }

    /// The packages that it was made on: path, SHA-256, and the digest of what was seen inside.
    pub fn packages(&self) -> impl Iterator<Item = (&str, Sha256, Option<Sha256>)> {
        self.case.matter().whole().outputs.into_iter().map(|output| {
            let seen = output.facts.facts().and_then(identity::<DebFacts>);
            (output.name.as_str(), output.digest.sha256, seen)
        })
    }

    /// Packages of the pool in which something else is found than the gate saw. Those that are gone from
    /// the pool are passed over, and all that was refused.
    ///
    /// # Errors
    /// The store's failure.
    pub fn misread(&self, store: &dyn Store, archive: &ArchiveName) -> Result<Vec<String>, GateError> {
        let mut found = Vec::new();
        if !self.statement.predicate.admits() {
            return Ok(found);
        }
        for (path, sha256) in &self.statement.predicate.assay_binding.files {
            let (Ok(path), Ok(sha256)) = (PoolPath::new(path.clone()), sha256.parse::<Sha256>()) else {
                continue;
            };
            let Some((name, _, seen)) = self.packages().find(|(_, digest, _)| *digest == sha256) else {
                continue;
            };
            let key = Key::pool(archive, &path);
            if store.head(&key)?.is_none() {
                continue;
            }
            let read = Inspected::new(read_deb(store.open(&key)?, &DebLimits::default()));
            if read.facts().and_then(identity::<DebFacts>) != seen {
                found.push(format!("`{name}` holds something else than the gate saw in it"));
            }
        }
        Ok(found)
    }
}

fn sha256_of(resource: &crate::format::intoto::ResourceDescriptor) -> Option<Sha256> {
    resource.digest.get("sha256").and_then(|hex| hex.parse().ok())
}

/// What a decision was made on: the name and the SHA-256 of each document; none when one has no SHA-256.
pub(super) fn named_inputs(summary: &Summary) -> Option<Vec<(String, Sha256)>> {
    let input = |resource: &crate::format::intoto::ResourceDescriptor| {
        Some((resource.name.clone().unwrap_or_default(), sha256_of(resource)?))
    };
    summary.input_attestations.iter().map(input).collect()
}
