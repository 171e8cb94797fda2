//! A decision and what it rests on, checked again from the gate's and the builders' keys.

use std::collections::{BTreeMap, BTreeSet};

use super::import::Carried;
use super::{Anchor, AnchorKind, Anchors, Problem};
use crate::admission::{KeptCase, RecordEvidence, builder_fingerprint, shortage};
use crate::domain::{
    ArchiveName, BuilderId, DomainError, Fingerprint, PackageName, PoolPath, Sha256, SuiteName, Timestamp, escape,
};
use crate::environment::Lock;
use crate::format::dsse::{Envelope, IN_TOTO, LARGEST};
use crate::format::intoto::{Outcome, SUMMARY, Statement, Summary, VerificationResult};
use crate::format::json;
use crate::publish::Kept;
use crate::rebuild::read_statement;
use crate::site::{Builder, Policy, Rebuild};
use crate::snapshot::SuiteState;
use crate::source::Declaration;
use crate::store::{Key, Store};
use crate::trust::{Ed25519Public, verify_envelope};

/// Clocks of builders and of the gate may differ by this many seconds.
const SKEW: i64 = 600;

/// A decision whose signature held, and its evidence.
#[derive(Debug, Clone)]
pub(super) struct Decided {
    pub(super) key: Key,
    pub(super) summary: Summary,
    pub(super) files: BTreeMap<PoolPath, Sha256>,
    pub(super) inputs: Vec<(String, Sha256)>,
}

/// A rebuild record that a builder of the policy signed and whose outputs are the decision's.
#[derive(Debug, Clone)]
pub(super) struct Agreeing {
    pub(super) key: Key,
    pub(super) operator: String,
    hosting: String,
    pub(super) record: RecordEvidence,
}

/// Reads a decision, also one that refuses, and checks that the gate signed it and that it is about this archive.
pub(crate) fn signed_decision(
    store: &dyn Store,
    anchors: &Anchors,
    archive: &ArchiveName,
    sha256: &Sha256,
) -> Result<Summary, Problem> {
    let key = Key::provenance(archive, sha256);
    let bytes = named(store, &key, sha256)?;
    let unsigned = |why: String| Problem::new(Problem::SIGNATURE, &key, why);
    let envelope = Envelope::parse(&bytes).map_err(|error| unsigned(error.to_string()))?;
    let gate = std::slice::from_ref(&anchors.gate);
    let signed = verify_envelope(&envelope, IN_TOTO, gate).map_err(|error| unsigned(error.to_string()))?;
    if signed.is_empty() {
        return Err(unsigned(format!(
            "the gate {} did not sign it",
            anchors.gate.fingerprint()
        )));
    }
    let wrong = |why: String| Problem::new(Problem::DECISION, &key, why);
    let statement: Statement<Summary> =
        json::strict("decision", &envelope.payload).map_err(|error| wrong(error.to_string()))?;
    let summary = statement.predicate;
    if statement.predicate_type != SUMMARY {
        return Err(wrong("it is no decision".to_owned()));
    }
    if summary.assay_binding.archive != archive.as_str() {
        return Err(wrong(format!(
            "it is about the archive `{}`",
            escape(&summary.assay_binding.archive)
        )));
    }
    Ok(summary)
}

/// Reads a decision and checks that the gate signed it, and that it admits.
pub(super) fn decision(
    store: &dyn Store,
    anchors: &Anchors,
    anchor: &Anchor,
    sha256: &Sha256,
) -> Result<Decided, Problem> {
    let key = Key::provenance(&anchor.name, sha256);
    let summary = signed_decision(store, anchors, &anchor.name, sha256)?;
    let wrong = |why: String| Problem::new(Problem::DECISION, &key, why);
    if summary.verification_result != VerificationResult::Passed {
        return Err(wrong("it does not admit anything".to_owned()));
    }
    if let Some(rule) = summary.assay_rules.iter().find(|rule| !rule.passed) {
        return Err(wrong(format!("it admits although rule {} did not hold", rule.id)));
    }
    let files = pool_files(&summary).map_err(wrong)?;
    let inputs = inputs(&summary).map_err(wrong)?;
    Ok(Decided {
        key,
        summary,
        files,
        inputs,
    })
}

/// The pool files that a decision is about.
pub(crate) fn pool_files(summary: &Summary) -> Result<BTreeMap<PoolPath, Sha256>, String> {
    let file = |(path, sha256): (&String, &String)| Ok((PoolPath::new(path.clone())?, sha256.parse()?));
    let files = summary
        .assay_binding
        .files
        .iter()
        .map(file)
        .collect::<Result<_, DomainError>>();
    files.map_err(|error| error.to_string())
}

/// What it was decided on, by name.
pub(crate) fn inputs(summary: &Summary) -> Result<Vec<(String, Sha256)>, String> {
    let input = |resource: &crate::format::intoto::ResourceDescriptor| {
        let sha256 = resource.digest.get("sha256").and_then(|hex| hex.parse().ok());
        let sha256 = sha256.ok_or_else(|| "an input has no SHA-256".to_owned())?;
        Ok((resource.name.clone().unwrap_or_default(), sha256))
    };
    summary.input_attestations.iter().map(input).collect()
}

/// An object whose name is its hash.
pub(crate) fn named(store: &dyn Store, key: &Key, sha256: &Sha256) -> Result<Vec<u8>, Problem> {
    let bytes = store
        .get(key, LARGEST)
        .map_err(|error| Problem::new(Problem::MISSING, key, error))?;
    let found = Sha256::of(&bytes);
    if found != *sha256 {
        return Err(Problem::new(
            Problem::DAMAGED,
            key,
            format!("its SHA-256 is {found}, not {sha256}"),
        ));
    }
    Ok(bytes)
}

impl Decided {
    fn input<T>(
        &self,
        store: &dyn Store,
        anchor: &Anchor,
        name: &str,
        read: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<Vec<(Key, T)>, Problem> {
        let mut found = Vec::new();
        for (_, sha256) in self.inputs.iter().filter(|(n, _)| n == name) {
            let key = Key::provenance(&anchor.name, sha256);
            let bytes = named(store, &key, sha256)?;
            let value = read(&bytes);
            let why = || Problem::new(Problem::EVIDENCE, &key, format!("it is no {name} that can be read"));
            found.push((key.clone(), value.ok_or_else(why)?));
        }
        Ok(found)
    }

    /// The declaration that it is about.
    pub(super) fn declaration(&self, store: &dyn Store, anchor: &Anchor) -> Result<(Key, Declaration), Problem> {
        let read = |bytes: &[u8]| json::strict::<Declaration>("declaration", bytes).ok();
        let found = self.input(store, anchor, "declaration", read)?.into_iter().next();
        let (key, declaration) =
            found.ok_or_else(|| Problem::new(Problem::EVIDENCE, &self.key, "it names no declaration"))?;
        let binding = &self.summary.assay_binding;
        if declaration.source.as_str() != binding.source || declaration.version.as_str() != binding.version {
            return Err(Problem::new(
                Problem::EVIDENCE,
                &key,
                "it declares another source or version than was admitted",
            ));
        }
        Ok((key, declaration))
    }

    /// The environments that it rests on.
    pub(super) fn locks(&self, store: &dyn Store, anchor: &Anchor) -> Result<Vec<(Key, Lock)>, Problem> {
        self.input(store, anchor, "environment-lock", |bytes| {
            json::strict::<Lock>("environment lock", bytes).ok()
        })
    }

    /// The policy of the Git tree that it is judged by now.
    pub(super) fn policy<'a>(&self, anchor: &'a Anchor) -> Result<&'a Policy, Problem> {
        let name = self.summary.policy.name.as_deref().unwrap_or_default();
        let found = anchor.policy(name);
        found.ok_or_else(|| {
            Problem::new(
                Problem::DECISION,
                &self.key,
                format!("the site has no policy `{name}` for it"),
            )
        })
    }

    /// What it covers: see [`covers`].
    pub(super) fn covers(&self, anchor: &Anchor, state: &SuiteState, carried: &Carried) -> Result<(), String> {
        let suites: Vec<&str> = self.summary.assay_binding.suites.iter().map(String::as_str).collect();
        let decided_under = self.summary.policy.name.as_deref().unwrap_or_default();
        let rebuilt = carried.rebuilds().map(|agreeing| {
            let started = |a: &Agreeing| a.record.started_on;
            agreeing.iter().map(move |a| (a.operator.as_str(), started(a)))
        });
        covers(anchor, state, &suites, decided_under, rebuilt)
    }

    /// Enough people signed its source whom the policy of today lets.
    pub(super) fn signed(&self, store: &dyn Store, anchor: &Anchor, now: Timestamp) -> Result<(), Problem> {
        let (key, declaration) = self.declaration(store, anchor)?;
        let signers = declaration.signers.iter().map(|signer| signer.fingerprint.as_str());
        let lacks = unsigned(self.policy(anchor)?, declaration.source.as_str(), signers, now);
        lacks.map_or(Ok(()), |why| Err(Problem::new(Problem::EVIDENCE, key, why)))
    }

    /// The records that agree with the decision; enough operators must have signed one.
    pub(super) fn quorum(&self, store: &dyn Store, anchor: &Anchor, now: Timestamp) -> Result<Vec<Agreeing>, Problem> {
        let policy = self.policy(anchor)?;
        let keys: Vec<Ed25519Public> = policy
            .builders
            .iter()
            .filter_map(|b| Ed25519Public::parse(&b.public_key).ok())
            .collect();
        let declaration = self.declaration(store, anchor)?.1.identity();
        let declaration = declaration.map_err(|error| Problem::new(Problem::EVIDENCE, &self.key, error))?;
        let locks: BTreeSet<Sha256> = self
            .inputs
            .iter()
            .filter(|(name, _)| name == "environment-lock")
            .map(|(_, sha256)| *sha256)
            .collect();
        let (mut agreeing, mut missing) = (Vec::new(), None);
        for (key, record) in self.input(store, anchor, "rebuild-record", |bytes| record(bytes, &keys))? {
            let Some(builder) = speaker(policy, &record.builder, &record.signed_by, now) else {
                continue;
            };
            let same = record.declaration == declaration && locks.contains(&record.lock);
            let withheld = withheld(store, anchor, &record);
            if withheld.is_some() {
                missing = missing.or(withheld);
            } else if same && record.outcome == Outcome::Built && self.outputs() == record_outputs(&record) {
                agreeing.push(Agreeing {
                    key,
                    operator: builder.operator.clone(),
                    hosting: builder.hosting.clone(),
                    record,
                });
            }
        }
        let terms = policy.terms(&self.suites());
        let rebuilders: BTreeSet<(&str, &str)> = agreeing
            .iter()
            .map(|a| (a.operator.as_str(), a.hosting.as_str()))
            .collect();
        if let Some(lacks) = shortage(policy, &terms, &rebuilders) {
            if let Some(problem) = missing {
                return Err(problem);
            }
            let why = format!("only {lacks} left a record that carries it, as the policy asks");
            return Err(Problem::new(Problem::EVIDENCE, &self.key, why));
        }
        Ok(agreeing)
    }

    /// Every log and .buildinfo that a builder's record names is there, but what the gate lacked already.
    pub(super) fn documents(&self, store: &dyn Store, anchor: &Anchor, kept: &Kept) -> Result<(), Problem> {
        let KeptCase::Rebuilt(case) = &kept.case else {
            return Ok(());
        };
        let lost = &case.evidence.lost;
        let signed = |record: &&RecordEvidence| {
            speaker(&kept.policy, &record.builder, &record.signed_by, kept.decided_at()).is_some()
                && !record.documents.values().any(|document| lost.contains(document))
        };
        let records = case.evidence.records.iter().filter(signed);
        match records.filter_map(|record| withheld(store, anchor, record)).next() {
            Some(problem) => Err(problem),
            None => Ok(()),
        }
    }

    /// The suites that it admits to.
    fn suites(&self) -> Vec<SuiteName> {
        let names = self.summary.assay_binding.suites.iter();
        names.filter_map(|name| SuiteName::new(name.as_str()).ok()).collect()
    }

    /// The binary packages that it admits, by file name.
    pub(super) fn outputs(&self) -> BTreeMap<String, Sha256> {
        let binary = |path: &PoolPath| {
            [".deb", ".udeb", ".ddeb"]
                .iter()
                .any(|end| path.as_str().ends_with(end))
        };
        self.files
            .iter()
            .filter(|(path, _)| binary(path))
            .map(|(p, s)| (p.file_name().to_owned(), *s))
            .collect()
    }
}

/// The first document that a record names and that is not in the store. Its bytes are for whoever hashes
/// all that is named by hash.
fn withheld(store: &dyn Store, anchor: &Anchor, record: &RecordEvidence) -> Option<Problem> {
    record.documents.iter().find_map(|(name, sha256)| {
        let key = Key::provenance(&anchor.name, sha256);
        let why = match store.head(&key) {
            Ok(Some(_)) => return None,
            Ok(None) => "it is not in the store".to_owned(),
            Err(error) => error.to_string(),
        };
        let (builder, record) = (&record.builder, record.sha256);
        let why = format!("evidence is withheld: the record {record} of `{builder}` names it as `{name}`, and {why}");
        Some(Problem::new(Problem::MISSING, key, why))
    })
}

/// The binary packages that a record gives, by file name.
pub(super) fn record_outputs(record: &RecordEvidence) -> BTreeMap<String, Sha256> {
    record
        .outputs
        .iter()
        .map(|(name, sha256)| (name.to_string(), *sha256))
        .collect()
}

/// The builder of the policy that a record names, when the record is signed by its key and that is not revoked.
/// A key that is revoked by `now` speaks for nothing that it ever signed: only its holder says when that was.
pub(crate) fn speaker<'a>(
    policy: &'a Policy,
    named: &BuilderId,
    signed_by: &[Fingerprint],
    now: Timestamp,
) -> Option<&'a Builder> {
    let (builder, key) = voice(policy, named, now)?;
    signed_by.contains(&key).then_some(builder)
}

/// A builder of the policy that may speak, and the key that its records must be signed by; none when that is revoked.
pub(crate) fn voice<'a>(policy: &'a Policy, named: &BuilderId, now: Timestamp) -> Option<(&'a Builder, Fingerprint)> {
    let builder = policy.builder(named).ok()?;
    let revoked = builder.revoked_at.is_some_and(|at| at <= now);
    let key = builder_fingerprint(builder)?;
    (!revoked).then_some((builder, key))
}

/// What a source lacks of the people whom the policy lets sign it, when `signers` signed it; none when there are enough.
/// As a builder's, a key that is revoked by `now`, or that the policy does not have, speaks for nothing that it ever signed.
/// That it signed in the days that the policy gives it was the gate's to see: only Git says when that was.
pub(crate) fn unsigned<'s>(
    policy: &Policy,
    source: &str,
    signers: impl Iterator<Item = &'s str>,
    now: Timestamp,
) -> Option<String> {
    let Ok(source) = PackageName::new(source) else {
        return Some(format!("nobody signs a source package `{}`", escape(source)));
    };
    let (mut people, mut silent) = (BTreeSet::new(), Vec::<String>::new());
    for signer in signers {
        let mut keys = policy.signers.iter().filter(|key| key.fingerprint.as_str() == signer);
        let mut why = format!("; the policy does not know the signer {signer}");
        let speaks = keys.find(|key| match key.speaks(&source, now) {
            Ok(()) => true,
            Err(refusal) => {
                why = format!("; the signer {} ({signer}) {refusal}", escape(&key.name));
                false
            }
        });
        match speaks {
            Some(key) => drop(people.insert(key.name.as_str())),
            None => silent.push(why),
        }
    }
    let wanted = policy.signer_threshold.max(1) as usize;
    (people.len() < wanted).then(|| {
        let (few, why) = (people.len(), silent.concat());
        format!("only {few} of {wanted} people signed it whom the policy lets sign `{source}`{why}")
    })
}

/// What a decision for these suites covers: that it is for this one, under the policy that the site has for it, and
/// that a suite which has rebuilds of its own got them; `rebuilt` are the operators whose records carry the decision,
/// and when those builds started. None of an import: there is nothing to rebuild.
///
/// # Errors
/// Why it does not, in words.
pub(crate) fn covers<'a>(
    anchor: &Anchor,
    state: &SuiteState,
    suites: &[&str],
    decided_under: &str,
    rebuilt: Option<impl Iterator<Item = (&'a str, Timestamp)>>,
) -> Result<(), String> {
    let AnchorKind::Custom { config, policies } = &anchor.kind else {
        return Err("the archive is not a custom one".to_owned());
    };
    let suite = &state.suite;
    let made_for = state.made_for();
    let rules = config.rules_of(suite, made_for.map(|made| &made.reference));
    let rules = rules.ok_or_else(|| format!("the site knows no suite `{suite}`, by name or by its branch"))?;
    if !suites.contains(&suite.as_str()) {
        let bound = suites.join(", ");
        return Err(format!("it is for {bound}, and not for the suite `{suite}`"));
    }
    if decided_under != rules.policy.as_str() {
        let policy = rules.policy;
        return Err(format!(
            "it was decided under the policy `{decided_under}`, and `{suite}` is under `{policy}`"
        ));
    }
    let made = made_for.filter(|_| rules.rebuild == Rebuild::Always);
    if let Some((made, rebuilt)) = made.zip(rebuilt) {
        let own = rebuilt.filter(|(_, started_on)| started_on.plus(SKEW) >= made.since);
        let operators: BTreeSet<&str> = own.map(|(operator, _)| operator).collect();
        let wanted = policies.get(rules.policy).map_or(u32::MAX, |policy| policy.quorum);
        if operators.len() < wanted as usize {
            let since = made.since;
            return Err(format!(
                "only {} operators rebuilt it since {since}, when the suite `{suite}` was made, and {wanted} must",
                operators.len()
            ));
        }
    }
    Ok(())
}

/// A rebuild record: its statement, and which builders' signatures on it hold. It may be none: then nobody speaks.
pub(crate) fn record(bytes: &[u8], keys: &[Ed25519Public]) -> Option<RecordEvidence> {
    let envelope = Envelope::parse(bytes).ok()?;
    if envelope.payload_type != IN_TOTO {
        return None;
    }
    let signed = verify_envelope(&envelope, IN_TOTO, keys).unwrap_or_default();
    let statement = read_statement(&envelope.payload).ok()?;
    let fingerprints = signed.iter().map(Ed25519Public::fingerprint).collect();
    RecordEvidence::new(Sha256::of(bytes), fingerprints, &statement).ok()
}
