//! What a suite of a custom archive holds, and moving it between suites.
//!
//! What moves is decided again, on what the decision in the other suite was made on and on all that came
//! since, under the policy of the suite that it goes to: a signed decision of its own covers it there.

use std::collections::{BTreeMap, BTreeSet};

use super::admit::{Admission, Gate, Question, admit_together};
use super::evidence::{hold, load_nonces, load_records};
use super::next::{Edits, Writer, next_snapshot};
use super::propose::{lost, removed};
use super::rounds::load_rounds;
use super::stage::{Burial, Change, Edit, held_sources, next_states, read_decisions};
use super::{GateError, Kept, Published, ledger, load_redeclared, load_vouched, publish};
use crate::admission::{KeptCase, Moved, Terms, Whole, identity};
use crate::domain::{ArchiveName, Digest, PackageName, PolicyName, PoolPath, Sha256, SuiteName, Timestamp, Version};
use crate::site::{Policy, SuiteClass};
use crate::snapshot::{Record, SuiteState};
use crate::store::{Key, Store};

/// A source package in a suite, with all that was built of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Its version.
    pub version: Version,
    /// The decision that let it in.
    pub decision: Sha256,
    /// Its files.
    pub files: BTreeMap<PoolPath, Sha256>,
}

/// What a suite holds, by source package.
pub type Contents = BTreeMap<PackageName, Held>;

/// What a suite holds.
///
/// # Errors
/// When an index is missing, damaged or malformed; the store's failure.
pub fn contents(store: &dyn Store, archive: &ArchiveName, state: &SuiteState) -> Result<Contents, GateError> {
    let decisions = read_decisions(store, archive, state)?;
    let mut found = Contents::new();
    for source in held_sources(store, archive, state)? {
        let paths = source.pool_files().map_err(GateError::document("Sources"))?;
        let by = paths.iter().find_map(|(path, _)| decisions.get(path));
        let Some((_, decision)) = by else { continue };
        let own = decisions.iter().filter(|(_, (_, by))| by == decision);
        let held = Held {
            version: source.version,
            decision: *decision,
            files: own.map(|(path, (sha256, _))| (path.clone(), *sha256)).collect(),
        };
        found.insert(source.package, held);
    }
    Ok(found)
}

/// How a source package of a suite changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SourceChange {
    /// It is new there.
    Added,
    /// It goes.
    Removed,
    /// A newer version takes its place.
    Newer,
    /// An older version takes its place.
    Older,
}

impl SourceChange {
    /// The word that is printed.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Newer => "newer",
            Self::Older => "older",
        }
    }
}

/// One source package that differs between two contents.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct SourceDiff {
    /// The source package.
    pub source: PackageName,
    /// How it differs.
    pub change: SourceChange,
    /// The version before.
    pub old: Option<Version>,
    /// The version after.
    pub new: Option<Version>,
}

/// What differs, by source package. The same files are the same, whatever let them in.
#[must_use]
pub fn compare(before: &Contents, after: &Contents) -> Vec<SourceDiff> {
    let names: BTreeSet<&PackageName> = before.keys().chain(after.keys()).collect();
    let diff = |source: &PackageName| {
        let (old, new) = (before.get(source), after.get(source));
        let change = match (old, new) {
            (None, _) => SourceChange::Added,
            (_, None) => SourceChange::Removed,
            (Some(old), Some(new)) if old.files == new.files => return None,
            (Some(old), Some(new)) if new.version.dpkg_cmp(&old.version).is_lt() => SourceChange::Older,
            _ => SourceChange::Newer,
        };
        let version = |held: Option<&Held>| held.map(|held| held.version.clone());
        Some(SourceDiff {
            source: source.clone(),
            change,
            old: version(old),
            new: version(new),
        })
    };
    names.into_iter().filter_map(diff).collect()
}

/// Whether a suite keeps what the other has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Move {
    /// It does: what the other has is added.
    Merge,
    /// It does not: it becomes as the other is.
    Reset,
}

impl Move {
    /// What a suite holds after it got what another has.
    #[must_use]
    pub fn result(self, from: &Contents, into: &Contents) -> Contents {
        let mut after = match self {
            Self::Merge => into.clone(),
            Self::Reset => Contents::new(),
        };
        after.extend(from.iter().map(|(source, held)| (source.clone(), held.clone())));
        after
    }
}

/// The suite that something goes to.
#[derive(Debug, Clone)]
pub struct Target {
    /// The suite.
    pub suite: SuiteName,
    /// The name of its policy.
    pub policy_name: PolicyName,
    /// That policy.
    pub policy: Policy,
    /// What else counts there: when its own rebuilds start, and what is let pass this once.
    pub terms: Terms,
}

/// What moves from one suite into another.
#[derive(Debug)]
pub struct Moves {
    /// What changes in the suite that it goes to.
    pub changes: Vec<SourceDiff>,
    target: Target,
    reason: String,
    questions: Vec<KeptCase>,
    gone: BTreeSet<PackageName>,
}

/// Finds what moves from the suite `from` into the target, and what it is decided on. Changes nothing but
/// that files of the pool are held again, and that what earlier decisions were made on is put back.
///
/// # Errors
/// `NoSuite`; when a decision or what it rests on is missing, damaged or not the gate's; the store's failure.
pub fn moves(gate: &Gate<'_>, how: Move, from: &SuiteName, target: Target) -> Result<Moves, GateError> {
    let (store, archive) = (gate.store, gate.archive);
    let chain = load_vouched(store, archive, &gate.signer.keyring()?)?;
    let source_state = suite_of(archive, chain.latest(), from)?;
    let (theirs, ours) = (
        contents(store, archive, source_state)?,
        contents(store, archive, suite_of(archive, chain.latest(), &target.suite)?)?,
    );
    let changes = compare(&ours, &how.result(&theirs, &ours));
    if changes.iter().any(|change| change.change != SourceChange::Added) {
        check_open(&gate.writer(), suite_of(archive, chain.latest(), &target.suite)?)?;
    }
    let mut questions = Vec::new();
    let mut gone = BTreeSet::new();
    for change in &changes {
        let Some(held) = theirs.get(&change.source) else {
            gone.insert(change.source.clone());
            continue;
        };
        questions.push(question(gate, chain.latest(), from, held, &target)?);
    }
    let reason = match how {
        Move::Merge => format!("merge {from} into {}", target.suite),
        Move::Reset => format!("reset {} to {from}", target.suite),
    };
    Ok(Moves {
        changes,
        target,
        reason,
        questions,
        gone,
    })
}

impl Moves {
    /// What the gate would say now to each source package that comes, without keeping or changing anything.
    #[must_use]
    pub fn preview(&self, now: Timestamp) -> Vec<crate::admission::Decision> {
        let decide = |case: &KeptCase| case.matter().decide(&self.target.policy, now);
        self.questions.iter().map(decide).collect()
    }

    /// Decides on each source package that comes. When all are admitted, one snapshot has all of it; else
    /// nothing changes, and the refusals are kept.
    ///
    /// # Errors
    /// As [`super::admit`].
    pub fn carry_out(&self, gate: &Gate<'_>, now: Timestamp) -> Result<Vec<Admission>, GateError> {
        let cases = self.questions.iter();
        let questions: Vec<Question<'_>> = cases
            .map(|case| Question {
                policy: &self.target.policy,
                matter: case.matter(),
            })
            .collect();
        let mut edits = Edits::new();
        if !self.gone.is_empty() {
            let edit = Edit {
                remove: self.gone.clone(),
                ..Edit::default()
            };
            edits.insert(self.target.suite.clone(), edit);
        }
        admit_together(gate, &questions, &edits, &self.reason, now)
    }
}

/// What a source package of a suite is decided on for another one: all that it was decided on there, with
/// what came since.
fn question(
    gate: &Gate<'_>,
    latest: Option<&Record>,
    from: &SuiteName,
    held: &Held,
    target: &Target,
) -> Result<KeptCase, GateError> {
    let (store, archive) = (gate.store, gate.archive);
    let kept = Kept::load(store, archive, &held.decision, &gate.key.public())?;
    let bound = &kept.statement.predicate.assay_binding;
    if !kept.statement.predicate.admits() || !bound.suites.iter().any(|suite| suite == from.as_str()) {
        return Err(GateError::Unsigned {
            key: Key::provenance(archive, &held.decision),
            why: format!("the gate did not let anything into `{from}` by it"),
        });
    }
    let policy_sha256 = identity(&target.policy);
    let terms = Terms {
        moved: Some(Moved {
            from: from.clone(),
            decision: held.decision,
        }),
        ..target.terms.clone()
    };
    let here = held.files.values().map(|sha256| (*sha256, held.decision));
    let mut case = kept.case;
    match &mut case {
        KeptCase::Rebuilt(case) => {
            let (candidate, evidence) = (&mut case.candidate, &mut case.evidence);
            candidate.suites = vec![target.suite.clone()];
            candidate.policy = target.policy_name.clone();
            candidate.policy_sha256 = policy_sha256.unwrap_or(candidate.policy_sha256);
            candidate.terms = terms;
            if let Some(declaration) = identity(&candidate.declaration) {
                gate.hearing().recall(&candidate.declaration)?;
                let records = load_records(store, archive, &declaration, &target.policy)?;
                (evidence.records, evidence.commitments) = (records.records, records.commitments);
                evidence.missed = records.missed;
                evidence.rounds = load_rounds(store, archive, &declaration, &gate.key.public())?;
                evidence.nonces = load_nonces(store, archive, &declaration)?;
                load_redeclared(store, archive, &candidate.declaration, &target.policy)?.join(evidence);
                evidence.lost = lost(store, archive, &evidence.records)?;
            }
            evidence.ledger = ledger::load_ledger(store, archive, &*candidate, latest)?;
            evidence.removed = removed(latest);
            evidence.admitted.extend(here);
        }
        // What upstream signed was proven once and for all; whether that is enough there is for the policy to say.
        KeptCase::Imported(case) => {
            let (import, evidence) = (&mut case.import, &mut case.evidence);
            import.suites = vec![target.suite.clone()];
            import.policy = target.policy_name.clone();
            import.policy_sha256 = policy_sha256.unwrap_or(import.policy_sha256);
            import.terms = terms;
            evidence.ledger = ledger::load_ledger(store, archive, &*import, latest)?;
            evidence.removed = removed(latest);
            evidence.admitted.extend(here);
        }
    }
    hold_again(store, archive, &case.matter().whole(), held)?;
    Ok(case)
}

/// Holds the files of the pool again: what is admitted is always read from there.
fn hold_again(store: &dyn Store, archive: &ArchiveName, candidate: &Whole<'_>, held: &Held) -> Result<(), GateError> {
    let outputs = candidate.outputs.iter().map(|output| output.digest);
    let sizes: BTreeMap<Sha256, Digest> = candidate
        .source_files
        .iter()
        .map(|file| file.digest)
        .chain(outputs)
        .map(|digest| (digest.sha256, digest))
        .collect();
    for (path, sha256) in &held.files {
        if let Some(digest) = sizes.get(sha256)
            && store.head(&Key::held(archive, sha256))?.is_none()
        {
            hold(store, archive, digest, &mut store.open(&Key::pool(archive, path))?)?;
        }
    }
    Ok(())
}

/// A suite of the newest record.
///
/// # Errors
/// `NoSuite`.
pub fn suite_of<'a>(
    archive: &ArchiveName,
    latest: Option<&'a Record>,
    suite: &SuiteName,
) -> Result<&'a SuiteState, GateError> {
    let found = latest.and_then(|record| record.suites.iter().find(|state| state.suite == *suite));
    found.ok_or_else(|| GateError::NoSuite {
        archive: archive.clone(),
        suite: suite.clone(),
    })
}

/// Takes a source package out of a suite on purpose: it does not come back by itself.
///
/// # Errors
/// `NoSuite`, `NotThere`; the store's failure.
pub fn remove(
    writer: &Writer<'_>,
    suite: &SuiteName,
    source: &PackageName,
    reason: &str,
    now: Timestamp,
) -> Result<Published, GateError> {
    let edit = Edit {
        remove: BTreeSet::from([source.clone()]),
        bury: Some(Burial {
            reason: reason.to_owned(),
            at: now,
        }),
        ..Edit::default()
    };
    let there = |state: &SuiteState| {
        let removed = state.removed().iter().any(|removed| removed.source == *source);
        Ok(removed
            || held_sources(writer.store, writer.archive, state)?
                .iter()
                .any(|s| s.package == *source))
    };
    edit_suite(
        writer,
        suite,
        source,
        edit,
        there,
        &format!("remove {source} from {suite}: {reason}"),
        now,
    )
}

/// Lets a source package come back that was removed on purpose.
///
/// # Errors
/// `NoSuite`, `NotThere`; the store's failure.
pub fn restore(
    writer: &Writer<'_>,
    suite: &SuiteName,
    source: &PackageName,
    reason: &str,
    now: Timestamp,
) -> Result<Published, GateError> {
    let edit = Edit {
        lift: BTreeSet::from([source.clone()]),
        ..Edit::default()
    };
    let there = |state: &SuiteState| Ok(state.removed().iter().any(|removed| removed.source == *source));
    edit_suite(
        writer,
        suite,
        source,
        edit,
        there,
        &format!("let {source} back into {suite}: {reason}"),
        now,
    )
}

/// What a release has stays.
fn check_open(writer: &Writer<'_>, state: &SuiteState) -> Result<(), GateError> {
    let rules = writer
        .config
        .rules_of(&state.suite, state.made_for().map(|made| &made.reference));
    match rules.and_then(|rules| rules.class).is_some_and(SuiteClass::of_tags) {
        false => Ok(()),
        true => Err(GateError::Released(state.suite.clone())),
    }
}

fn edit_suite(
    writer: &Writer<'_>,
    suite: &SuiteName,
    source: &PackageName,
    edit: Edit,
    there: impl Fn(&SuiteState) -> Result<bool, GateError>,
    reason: &str,
    now: Timestamp,
) -> Result<Published, GateError> {
    let edits = Edits::from([(suite.clone(), edit)]);
    let change = Change { additions: &[], edits };
    next_snapshot(writer, reason, now, |chain| {
        let state = suite_of(writer.archive, chain.latest(), suite)?;
        check_open(writer, state)?;
        if !there(state)? {
            return Err(GateError::NotThere {
                suite: suite.clone(),
                source_package: source.clone(),
            });
        }
        if super::next::are_edited(writer.store, writer.archive, &change.edits, chain.latest())? {
            return Ok(None);
        }
        let states = next_states(writer.store, writer.archive, writer.config, chain.latest(), &change)?;
        Ok(Some(states.into()))
    })?;
    Ok(publish(writer.store, writer.archive, writer.signer, writer.public_url)?)
}
