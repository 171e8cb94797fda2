//! `dissent`: rebuild records that failed or contradict.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rayon::prelude::*;

use super::QueryError;
use super::answer::{Answer, State};
use super::declared::{newest_decisions, of_site};
use super::facts::{DecisionId, SiteDeclaration};
use super::index::Index;
use super::view::{Decision, Record};
use crate::domain::{ArchiveName, Sha256};
use crate::format::intoto::Outcome;
use crate::host::Progress;
use crate::site::Site;
use crate::store::{Key, Reading};
use crate::verify::Problem;

/// Every rebuild record that failed or that others contradict, also about candidates that were refused, and
/// records that came after the decision.
///
/// # Errors
/// When a declaration of the site cannot be read; the store's failure.
pub fn dissent(index: &mut Index<'_>, site: &Site) -> Result<Vec<Answer>, QueryError> {
    Ok(all(index, site)?.into_iter().map(|(answer, _)| answer).collect())
}

/// All of it, each with whether its builder says today that what was admitted is not what the build gives, and no decision heard that.
fn all(index: &mut Index<'_>, site: &Site) -> Result<Vec<(Answer, bool)>, QueryError> {
    let declared = of_site(index, site)?;
    let mut said = Vec::new();
    for place in index.archives.iter().map(|(place, ..)| *place).collect::<Vec<_>>() {
        said.extend(of_archive(index, place)?);
    }
    let about: HashMap<(usize, Sha256), &SiteDeclaration> = declared
        .iter()
        .map(|(place, one)| ((*place, one.sha256), one))
        .collect();
    let open = said.iter().filter(|said| said.decision.is_none());
    let open = open.map(|said| (said.archive, said.declaration)).collect();
    let refusals = newest_decisions(index, &open)?;
    let index: &Index<'_> = index;
    let answers = said.into_iter().filter_map(|said| {
        let anchor = index.anchors().archives.get(said.archive)?;
        let place = (said.archive, said.declaration);
        let mut answer = match (said.decision.or(refusals.get(&place).copied()), about.get(&place)) {
            (Some(id), _) => Answer::of_decision(index, &id, said.why),
            (None, Some(declared)) => Answer::declared(index, anchor, declared, said.why),
            (None, None) => Answer::bare(anchor.name.to_string(), "", "", State::Declared, said.why),
        };
        answer.declaration = Some(said.declaration);
        answer.record = Some(said.record);
        answer.doubted(said.problem.as_ref());
        Some((answer, said.is_new))
    });
    Ok(answers.collect())
}

/// What contradicts a package that the newest snapshots list, and came after its decision or was not heard by it: records of builders of
/// today's policies.
///
/// # Errors
/// As [`dissent`].
pub fn contradicted(index: &mut Index<'_>, site: &Site) -> Result<Vec<Answer>, QueryError> {
    let counts = |(answer, is_new): &(Answer, bool)| *is_new && answer.state == State::Admitted;
    Ok(all(index, site)?
        .into_iter()
        .filter(counts)
        .map(|(answer, _)| answer)
        .collect())
}

/// One record that is worth a word.
struct Said {
    archive: usize,
    declaration: Sha256,
    /// The decision that admitted the declaration.
    decision: Option<DecisionId>,
    record: Sha256,
    why: String,
    problem: Option<Problem>,
    /// Whether it is against what was admitted, in its environment, by a builder of today, and not among what was decided on.
    is_new: bool,
}

/// The rebuild records about a declaration, each once, in order.
type Evidence = BTreeMap<Sha256, BTreeSet<Sha256>>;

fn of_archive(index: &mut Index<'_>, archive: usize) -> Result<Vec<Said>, QueryError> {
    let Some(anchor) = index.anchors().archives.get(archive) else {
        return Ok(Vec::new());
    };
    let (mut evidence, mut decided) = (Evidence::new(), HashMap::new());
    let prefix = format!("state/{}/evidence", anchor.name);
    // A folder for each declaration: on all cores, and nothing of them is read.
    let reading = Reading {
        wanted: &|_| false,
        bar: &Progress::hidden().items("", 0),
    };
    for found in index.store().survey(&prefix, &reading)?.objects {
        let mut words = found.meta.key.as_str().rsplit('/').map(str::parse);
        if let (Some(Ok(record)), Some(Ok(declaration))) = (words.next(), words.next()) {
            evidence.entry(declaration).or_default().insert(record);
        }
    }
    for id in index.scope().iter().filter(|id| id.archive == archive) {
        if let Some((decision, declaration)) = index.decision(id).and_then(|known| Some((known, known.declaration?))) {
            // What a refusal heard stays said, whatever became of `state/` since.
            if !decision.admitted || !index.listed.of(id).is_empty() {
                let records = decision.records.iter().map(|record| record.sha256);
                evidence.entry(declaration).or_default().extend(records);
            }
            if decision.admitted {
                decided.insert(declaration, *id);
            }
        }
    }
    let records = evidence.values().flatten().map(|sha256| (anchor.name.clone(), *sha256));
    let unreadable = index.learn_records(&records.collect::<Vec<_>>());
    let index: &Index<'_> = index;
    let said = evidence.par_iter().flat_map_iter(|(declaration, records)| {
        let decision = decided.get(declaration).copied();
        let known = records
            .iter()
            .filter_map(|sha256| Some((*sha256, index.known.record(sha256)?)));
        let known: Vec<(Sha256, Record<'_>)> = known.collect();
        let admitted = decision
            .and_then(|id| index.decision(&id))
            .map(|decision| decision.outputs());
        let word = |record, why, problem, is_new| Said {
            archive,
            declaration: *declaration,
            decision,
            record,
            why,
            problem,
            is_new,
        };
        let mute = records
            .iter()
            .filter_map(|sha256| Some((*sha256, unreadable.get(sha256)?.clone())));
        let mute =
            mute.map(|(sha256, problem)| word(sha256, "a record that says nothing".to_owned(), Some(problem), false));
        let mut said: Vec<Said> = mute.collect();
        for (sha256, why) in contradictions(&known, admitted.as_deref()) {
            let signed = known
                .iter()
                .any(|(of, record)| *of == sha256 && record.signed_by.len() > 0);
            let decided = decision.and_then(|id| index.decision(&id));
            let is_new = decided.is_some_and(|decided| {
                let own = known.iter().find(|(of, _)| *of == sha256);
                own.is_some_and(|(_, record)| {
                    index.speaks((archive, decided.policy), *record) && is_new_to(decided, &known, (&sha256, *record))
                })
            });
            said.push(word(
                sha256,
                why,
                (!signed).then(|| unsigned(&anchor.name, &sha256)),
                is_new,
            ));
        }
        said
    });
    Ok(said.collect())
}

/// Whether a record that contradicts is of an environment of the decision, is none that it was made on, and was not taken back: its builder
/// built it later.
fn is_new_to(decision: Decision<'_>, known: &[(Sha256, Record<'_>)], (sha256, record): (&Sha256, Record<'_>)) -> bool {
    let built_later = || {
        known.iter().any(|(_, other)| {
            other.outcome == Outcome::Built
                && (other.builder, other.lock) == (record.builder, record.lock)
                && other.started_on >= record.finished_on
        })
    };
    let speaks = record.outcome == Outcome::Built || (record.outcome == Outcome::Ftbfs && !built_later());
    speaks
        && decision.locks.iter().any(|lock| lock.sha256 == record.lock)
        && !decision.records.iter().any(|heard| heard.sha256 == *sha256)
}

fn unsigned(archive: &ArchiveName, record: &Sha256) -> Problem {
    let key = Key::provenance(archive, record);
    Problem::new(Problem::MISSING, key, "no builder of a policy of today signed it")
}

/// Records that failed, that differ from what was admitted, or, when nothing was, from one another; and why.
fn contradictions(records: &[(Sha256, Record<'_>)], admitted: Option<&[(&str, Sha256)]>) -> Vec<(Sha256, String)> {
    let built = || records.iter().filter(|(_, record)| record.outcome == Outcome::Built);
    let against = |record: Record<'_>| -> Option<String> {
        if let Some(admitted) = admitted {
            let why = (!record.gave(admitted))
                .then(|| difference(&outputs(record), admitted))
                .flatten()?;
            return Some(format!("which was admitted otherwise: {why}"));
        }
        let own = outputs(record);
        let (_, other) = built().find(|(_, other)| other.lock == record.lock && !other.gave(&own))?;
        Some(format!(
            "and {} differs: {}",
            other.builder,
            difference(&own, &outputs(*other))?
        ))
    };
    let mut words = Vec::new();
    for (sha256, record) in records {
        let (builder, at) = (record.builder, record.finished_on);
        let why = match (record.outcome, record.outcome.limit()) {
            (_, Some(limit)) => Some(format!("{builder}'s build ran out of {limit} at {at}")),
            (Outcome::Built, _) => against(*record).map(|other| format!("{builder} built it at {at}, {other}")),
            _ => Some(format!("{builder}'s build failed at {at}")),
        };
        words.extend(why.map(|why| (*sha256, why)));
    }
    words
}

fn outputs<'r>(record: Record<'r>) -> Vec<(&'r str, Sha256)> {
    record.outputs.iter().collect()
}

/// The first file that two builds gave differently.
fn difference(a: &[(&str, Sha256)], b: &[(&str, Sha256)]) -> Option<String> {
    let find = |set: &[(&str, Sha256)], name: &str| set.iter().find(|(of, _)| *of == name).map(|(_, sha256)| *sha256);
    let names: BTreeSet<&str> = a.iter().chain(b).map(|(name, _)| *name).collect();
    let first = names.into_iter().find(|name| find(a, name) != find(b, name))?;
    let shown = |set: &[(&str, Sha256)]| find(set, first).map_or("absent".to_owned(), |sha256| sha256.short());
    Some(format!("`{first}` is {} and {}", shown(a), shown(b)))
}
