//! What every rule looks at: the candidate and the evidence, put in order once, so that no rule can
//! depend on the order in which they were handed over.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::{Architecture, Digest, FileName, Sha256, SuiteName, Timestamp};
use crate::environment::Lock;
use crate::site::{Policy, Relaxation, Terms};
use crate::snapshot::Removed;
use crate::source::Declaration;

use super::candidate::{Candidate, Output, OutputSet};
use super::evidence::{Before, Evidence, Indexed, RecordEvidence, identity};
use super::facts::DebFacts;
use super::ledger::LedgerView;
use super::quorum::{Shortage, shortage};
use super::standing::{Standing, assess};
use super::whole::Whole;

/// What every kind of candidate has, and what is known of its names and versions.
#[derive(Debug)]
pub(super) struct Common<'a> {
    pub(super) policy: &'a Policy,
    /// What is offered; the packages in order.
    pub(super) whole: Whole<'a>,
    pub(super) now: Timestamp,
    /// SHA-256 of the policy's canonical JSON.
    pub(super) policy_sha256: Option<Sha256>,
    /// What was ever admitted under its names.
    pub(super) ledger: &'a LedgerView,
    /// What indexes of this site hold under its names.
    pub(super) indexed: &'a [Indexed],
    /// Source packages that were removed on purpose.
    pub(super) removed: &'a [(SuiteName, Removed)],
    /// What is in the archive under its names.
    pub(super) before: &'a [Before],
    /// Whether an upstream signed the packages as they are: what an index lists with the same bytes is the
    /// package itself.
    pub(super) as_signed: bool,
}

impl<'a> Common<'a> {
    /// The exception that applies to a rule: the one that ends last.
    pub(super) fn exception(&self, rule: &str) -> Option<&'a Relaxation> {
        let applies = |r: &&Relaxation| r.rule == rule && self.concerns(r);
        let order = |r: &&Relaxation| (r.expires, r.owner.clone(), r.reason.clone());
        self.policy.exceptions.iter().filter(applies).max_by_key(order)
    }

    /// Whether an exception is for this source and version.
    pub(super) fn concerns(&self, exception: &Relaxation) -> bool {
        let version = exception.version.as_ref();
        exception.source == *self.whole.source && version.is_none_or(|version| version == self.whole.version)
    }

    /// Whether an exception to a rule is in force now.
    pub(super) fn relaxed(&self, rule: &str) -> bool {
        self.exception(rule)
            .is_some_and(|exception| exception.expires > self.now)
    }
}

/// The candidate and the evidence, in order.
#[derive(Debug)]
pub(super) struct Context<'a> {
    pub(super) common: Common<'a>,
    pub(super) policy: &'a Policy,
    pub(super) candidate: &'a Candidate,
    pub(super) evidence: &'a Evidence,
    pub(super) now: Timestamp,
    /// What the policy asks for in the candidate's suites.
    pub(super) terms: Terms,
    /// SHA-256 of the declaration's canonical JSON.
    pub(super) declaration: Option<Sha256>,
    /// Other declarations of the very same source package.
    pub(super) redeclared: BTreeSet<Sha256>,
    /// By lock.
    pub(super) sets: Vec<Set<'a>>,
    /// By SHA-256, each once.
    pub(super) records: Vec<Judged<'a>>,
}

/// One set of outputs, in order of names.
#[derive(Debug)]
pub(super) struct Set<'a> {
    pub(super) set: &'a OutputSet,
    pub(super) outputs: Vec<&'a Output>,
    /// Its lock, when there is one whose bytes have the digest it is named by.
    pub(super) lock: Option<&'a Lock>,
}

impl<'a> Set<'a> {
    /// What the order of sets goes by: environment, architecture, and what was built.
    fn place(&self) -> (Sha256, &'a Architecture, Vec<(&'a FileName, Digest)>) {
        let outputs = self.outputs.iter().map(|output| (&output.name, output.digest));
        (self.set.lock, &self.set.architecture, outputs.collect())
    }
}

/// A record with what it is worth.
#[derive(Debug)]
pub(super) struct Judged<'a> {
    pub(super) record: &'a RecordEvidence,
    pub(super) standing: Standing,
}

impl<'a> Context<'a> {
    pub(super) fn new(policy: &'a Policy, candidate: &'a Candidate, evidence: &'a Evidence, now: Timestamp) -> Self {
        let mut sets: Vec<Set<'a>> = candidate.sets.iter().map(|set| ordered(set, evidence)).collect();
        // Also two sets of one environment, which B6 refuses, have one order: what is said of them is said the same.
        sets.sort_by(|a, b| a.place().cmp(&b.place()));
        let whole = Whole {
            outputs: sets.iter().flat_map(|set| set.outputs.iter().copied()).collect(),
            ..Whole::from(candidate)
        };
        let mut context = Self {
            common: Common {
                policy,
                whole,
                now,
                policy_sha256: identity(policy),
                ledger: &evidence.ledger,
                indexed: &evidence.indexed,
                removed: &evidence.removed,
                before: &evidence.before,
                as_signed: false,
            },
            policy,
            candidate,
            evidence,
            now,
            terms: policy.terms(&candidate.suites),
            declaration: identity(&candidate.declaration),
            redeclared: redeclared(&candidate.declaration, &evidence.redeclared),
            sets,
            records: Vec::new(),
        };
        let by_digest: BTreeMap<Sha256, &'a RecordEvidence> = evidence.records.iter().map(|r| (r.sha256, r)).collect();
        context.records = by_digest
            .into_values()
            .map(|record| Judged {
                record,
                standing: assess(&context, record),
            })
            .collect();
        context
    }

    /// Every output that is a .deb, with its set, in order.
    pub(super) fn debs(&self) -> impl Iterator<Item = (&Set<'a>, &'a Output, &'a DebFacts)> {
        self.sets.iter().flat_map(|set| {
            let readable = |output: &&'a Output| output.facts.facts().map(|facts| (*output, facts));
            set.outputs
                .iter()
                .filter_map(readable)
                .map(move |(output, facts)| (set, output, facts))
        })
    }

    /// Whether a declaration is the candidate's, or another one of the same source package.
    pub(super) fn is_same_source(&self, declaration: &Sha256) -> bool {
        self.declaration.as_ref() == Some(declaration) || self.redeclared.contains(declaration)
    }

    /// Another declaration that states the same of another place.
    pub(super) fn declared_elsewhere(&self, declaration: &Sha256) -> Option<&'a Declaration> {
        let (ours, others) = (&self.candidate.declaration, &self.evidence.redeclared);
        let mut others = others
            .iter()
            .filter(|other| ours.git != other.git && ours.states_the_same(other));
        others.find(|other| identity(*other).as_ref() == Some(declaration))
    }

    /// Whether a record is about the candidate's declaration in one of its environments.
    pub(super) fn is_about(&self, record: &RecordEvidence) -> bool {
        self.declaration == Some(record.declaration) && self.set_of(record).is_some()
    }

    /// The set that a record is about.
    pub(super) fn set_of(&self, record: &RecordEvidence) -> Option<&Set<'a>> {
        self.sets.iter().find(|set| set.set.lock == record.lock)
    }

    /// The records that count for a set.
    pub(super) fn counted(&self, set: &Set<'_>) -> impl Iterator<Item = &'a RecordEvidence> {
        let lock = set.set.lock;
        let counts = move |judged: &&Judged<'a>| judged.record.lock == lock && judged.standing == Standing::Counts;
        self.records.iter().filter(counts).map(|judged| judged.record)
    }

    /// The operators whose rebuilds count for a set.
    pub(super) fn operators(&self, set: &Set<'_>) -> BTreeSet<&'a str> {
        self.rebuilders(set).into_iter().map(|(operator, _)| operator).collect()
    }

    /// The same with where each of them is hosted.
    fn rebuilders(&self, set: &Set<'_>) -> BTreeSet<(&'a str, &'a str)> {
        let rebuilder = |record: &RecordEvidence| {
            let builder = self.policy.builders.iter().find(|b| b.id == record.builder);
            builder.map(|b| (b.operator.as_str(), b.hosting.as_str()))
        };
        self.counted(set).filter_map(rebuilder).collect()
    }

    /// Whether every set was rebuilt by enough operators, in all and in each group.
    pub(super) fn has_quorum(&self) -> bool {
        !self.sets.is_empty() && self.sets.iter().all(|set| self.shortage(set).is_none())
    }

    /// What a set lacks for its quorum.
    pub(super) fn shortage(&self, set: &Set<'_>) -> Option<Shortage> {
        shortage(self.policy, &self.terms, &self.rebuilders(set))
    }
}

/// Those that are of the same source package, to the byte, and not the declaration itself.
fn redeclared(ours: &Declaration, others: &[Declaration]) -> BTreeSet<Sha256> {
    let same = |other: &&Declaration| {
        (&other.source, &other.version) == (&ours.source, &ours.version)
            && ours.dsc().is_some_and(|dsc| other.dsc() == Some(dsc))
    };
    let own = identity(ours);
    let others = others.iter().filter(same).filter_map(identity);
    others.filter(|other| Some(*other) != own).collect()
}

fn ordered<'a>(set: &'a OutputSet, evidence: &'a Evidence) -> Set<'a> {
    let mut outputs: Vec<&Output> = set.outputs.iter().collect();
    outputs.sort_by(|a, b| (&a.name, a.digest).cmp(&(&b.name, b.digest)));
    let lock = evidence
        .locks
        .get(&set.lock)
        .filter(|lock| identity(*lock) == Some(set.lock));
    Set { set, outputs, lock }
}
