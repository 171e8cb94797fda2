//! What the site declares, beside what was decided: `unreproduced` and `dissent`.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;

use super::QueryError;
use super::answer::{Answer, State};
use super::facts::{DecisionId, RecordFacts, SiteDeclaration};
use super::index::Index;
use crate::domain::{ArchiveName, PackageName, Sha256, Version};
use crate::format::intoto::Outcome;
use crate::host::files;
use crate::site::{Site, SiteError};
use crate::source::Declaration;
use crate::store::Key;
use crate::verify::Problem;

/// The level that two operators' equal rebuilds earn.
const REPRODUCED: &str = "SLSA_BUILD_REPRODUCED";

/// The largest declaration that is read, in bytes.
const LARGEST: u64 = 1 << 20;

/// Every declaration of the site, with its archive.
pub(super) fn of_site(index: &mut Index<'_>, site: &Site) -> Result<Vec<(ArchiveName, SiteDeclaration)>, QueryError> {
    let archives: Vec<ArchiveName> = index.archives.iter().map(|(anchor, _)| anchor.name.clone()).collect();
    let mut all = Vec::new();
    for archive in archives {
        let read = |source: PackageName| -> Result<(Sha256, SiteDeclaration), QueryError> {
            let path = site.declaration_path(&archive, &source);
            let bytes = files::read(&path, LARGEST).map_err(SiteError::from)?;
            let file = Sha256::of(&bytes);
            if let Some(known) = index.declaration(&file) {
                return Ok((file, known.clone()));
            }
            let declaration = Declaration::parse(&path.display().to_string(), &bytes)?;
            let read = SiteDeclaration {
                sha256: declaration.identity()?,
                source: declaration.source,
                version: declaration.version,
            };
            Ok((file, read))
        };
        let read: Result<Vec<_>, QueryError> = site.declared(&archive)?.into_par_iter().map(read).collect();
        let read = read?;
        all.extend(
            read.iter()
                .map(|(_, declaration)| (archive.clone(), declaration.clone())),
        );
        index.learn_declarations(read);
    }
    Ok(all)
}

/// What is admitted without `SLSA_BUILD_REPRODUCED`, by exception; and what is declared and not admitted.
///
/// # Errors
/// When a declaration of the site cannot be read; the store's failure.
pub fn unreproduced(index: &mut Index<'_>, site: &Site) -> Result<Vec<Answer>, QueryError> {
    let mut answers = Vec::new();
    let scope: Vec<DecisionId> = index.scope().cloned().collect();
    for id in &scope {
        let Some(facts) = index.known.decisions.get(id) else {
            answers.push(Answer::of_decision(index, id, "its decision is not known".to_owned()));
            continue;
        };
        let lacks = !facts.levels.iter().any(|level| level == REPRODUCED);
        if facts.admitted && (lacks || index.doubt(id).is_some()) {
            let remarks: Vec<String> = facts
                .remarks
                .iter()
                .map(|(rule, why)| format!("{rule}: {why}"))
                .collect();
            let why = match (lacks, remarks.is_empty()) {
                (false, _) => "admitted as reproduced, which does not hold today".to_owned(),
                (true, true) => format!("admitted without {REPRODUCED}"),
                (true, false) => format!("admitted without {REPRODUCED}, by exception: {}", remarks.join("; ")),
            };
            answers.push(Answer::of_decision(index, id, why));
        }
    }
    answers.extend(not_admitted(index, site)?);
    Ok(answers)
}

/// Declarations of the site that no listed decision is about, with the newest refusal of each.
fn not_admitted(index: &mut Index<'_>, site: &Site) -> Result<Vec<Answer>, QueryError> {
    let listed = index.listed.keys().filter_map(|id| index.known.decisions.get(id));
    let admitted: BTreeSet<Sha256> = listed.filter_map(|facts| facts.declaration).collect();
    let mut answers = Vec::new();
    for (archive, declared) in of_site(index, site)? {
        if admitted.contains(&declared.sha256) {
            continue;
        }
        answers.push(match newest_decision(index, &archive, &declared)? {
            Some((id, why)) => Answer::of_decision(index, &id, why),
            None => {
                let what = (&declared.source, &declared.version);
                let mut answer = Answer::declared(index, &archive, what, "declared, not decided on".into());
                answer.declaration = Some(declared.sha256);
                answer
            }
        });
    }
    Ok(answers)
}

/// The newest decision about a declaration, and what it says.
fn newest_decision(
    index: &mut Index<'_>,
    archive: &ArchiveName,
    declared: &SiteDeclaration,
) -> Result<Option<(DecisionId, String)>, QueryError> {
    let prefix = format!("state/{archive}/decisions/{}", declared.sha256);
    let mut newest = None;
    for sha256 in named_below(index, &prefix)? {
        let id = (archive.clone(), sha256);
        // What the gate did not sign says nothing; a doubt about it is for `verify`.
        if let Ok(facts) = index.decision(&id) {
            let verdict = if facts.admitted {
                "admitted, and not published"
            } else {
                "refused"
            };
            let remarks: Vec<String> = facts
                .remarks
                .iter()
                .map(|(rule, why)| format!("{rule}: {why}"))
                .collect();
            let why = format!(
                "declared, and {verdict} at {}: {}",
                facts.decided_at,
                remarks.join("; ")
            );
            newest = newest.max(Some((facts.decided_at, id, why)));
        }
    }
    Ok(newest.map(|(_, id, why)| (id, why)))
}

/// The hashes that objects below a prefix are named by.
fn named_below(index: &Index<'_>, prefix: &str) -> Result<Vec<Sha256>, QueryError> {
    let mut found = Vec::new();
    index.store().visit(prefix, &mut |meta| {
        let name = meta.key.as_str().rsplit('/').next().unwrap_or_default();
        found.extend(name.parse::<Sha256>().ok());
    })?;
    Ok(found)
}

/// Every rebuild record that failed or that others contradict, also about candidates that were refused, and
/// records that came after the decision.
///
/// # Errors
/// When a declaration of the site cannot be read; the store's failure.
pub fn dissent(index: &mut Index<'_>, site: &Site) -> Result<Vec<Answer>, QueryError> {
    let mut answers = Vec::new();
    let archives: Vec<ArchiveName> = index.archives.iter().map(|(anchor, _)| anchor.name.clone()).collect();
    let declared = of_site(index, site)?;
    for archive in archives {
        let mut evidence: BTreeMap<Sha256, Vec<Sha256>> = BTreeMap::new();
        let prefix = format!("state/{archive}/evidence");
        index.store().visit(&prefix, &mut |meta| {
            let mut words = meta.key.as_str().rsplit('/').map(str::parse);
            if let (Some(Ok(record)), Some(Ok(declaration))) = (words.next(), words.next()) {
                evidence.entry(declaration).or_default().push(record);
            }
        })?;
        for id in index.listed.keys().filter(|id| id.0 == archive) {
            if let Some(facts) = index.known.decisions.get(id)
                && let Some(declaration) = facts.declaration
            {
                evidence.entry(declaration).or_default().extend(&facts.records);
            }
        }
        let about = About::of(index, &archive, &declared);
        for (declaration, mut records) in evidence {
            records.sort();
            records.dedup();
            answers.extend(disagreeing(index, &archive, &about, &declaration, &records)?);
        }
    }
    Ok(answers)
}

/// What a declaration is about, by its identity.
struct About {
    decisions: BTreeMap<Sha256, DecisionId>,
    declared: BTreeMap<Sha256, (PackageName, Version)>,
}

impl About {
    fn of(index: &Index<'_>, archive: &ArchiveName, declared: &[(ArchiveName, SiteDeclaration)]) -> Self {
        let decisions = index
            .known
            .decisions
            .iter()
            .filter(|(id, facts)| id.0 == *archive && facts.admitted);
        let declared = declared.iter().filter(|(of, _)| of == archive);
        Self {
            decisions: decisions
                .filter_map(|(id, facts)| Some((facts.declaration?, id.clone())))
                .collect(),
            declared: declared
                .map(|(_, one)| (one.sha256, (one.source.clone(), one.version.clone())))
                .collect(),
        }
    }
}

/// One record that is worth a word.
struct Word {
    record: Sha256,
    why: String,
    problem: Option<Problem>,
}

fn disagreeing(
    index: &mut Index<'_>,
    archive: &ArchiveName,
    about: &About,
    declaration: &Sha256,
    records: &[Sha256],
) -> Result<Vec<Answer>, QueryError> {
    let mut read: Vec<(Sha256, RecordFacts)> = Vec::new();
    let mut words = Vec::new();
    for sha256 in records {
        match index.record(archive, sha256) {
            Ok(record) => read.push((*sha256, record)),
            Err(problem) => words.push(Word {
                record: *sha256,
                why: "a record that says nothing".to_owned(),
                problem: Some(problem),
            }),
        }
    }
    words.extend(contradictions(
        archive,
        &read,
        admitted(index, about, declaration).as_ref(),
    ));
    if words.is_empty() {
        return Ok(Vec::new());
    }
    let decision = match about.decisions.get(declaration) {
        Some(id) => Some(id.clone()),
        None => refusal(index, archive, declaration)?,
    };
    let answer = |word: Word| {
        let mut answer = match (&decision, about.declared.get(declaration)) {
            (Some(id), _) => Answer::of_decision(index, id, word.why),
            (None, Some((source, version))) => Answer::declared(index, archive, (source, version), word.why),
            (None, None) => Answer::bare(archive, "", "", State::Declared, word.why),
        };
        answer.declaration = Some(*declaration);
        answer.record = Some(word.record);
        answer.doubted(word.problem.as_ref());
        answer
    };
    Ok(words.into_iter().map(answer).collect())
}

fn refusal(index: &mut Index<'_>, archive: &ArchiveName, of: &Sha256) -> Result<Option<DecisionId>, QueryError> {
    for sha256 in named_below(index, &format!("state/{archive}/decisions/{of}"))? {
        let id = (archive.clone(), sha256);
        if index.decision(&id).is_ok() {
            return Ok(Some(id));
        }
    }
    Ok(None)
}

/// What was admitted of a declaration, by file name.
fn admitted(index: &Index<'_>, about: &About, declaration: &Sha256) -> Option<BTreeMap<String, Sha256>> {
    let facts = index.known.decisions.get(about.decisions.get(declaration)?)?;
    let outputs = facts.outputs().into_iter();
    Some(outputs.map(|(name, sha256)| (name.to_owned(), sha256)).collect())
}

/// Records that failed, that differ from what was admitted, or, when nothing was, from one another.
fn contradictions(
    archive: &ArchiveName,
    records: &[(Sha256, RecordFacts)],
    admitted: Option<&BTreeMap<String, Sha256>>,
) -> Vec<Word> {
    let outputs = |record: &RecordFacts| -> BTreeMap<String, Sha256> {
        let files = record.outputs.iter();
        files.map(|(name, sha256)| (name.to_string(), *sha256)).collect()
    };
    let built: Vec<_> = records
        .iter()
        .filter(|(_, record)| record.outcome == Outcome::Built)
        .map(|(sha256, record)| (*sha256, record, outputs(record)))
        .collect();
    let against = |record: &RecordFacts, own: &BTreeMap<String, Sha256>| -> Option<String> {
        if let Some(admitted) = admitted {
            return difference(own, admitted).map(|why| format!("which was admitted otherwise: {why}"));
        }
        let other = built
            .iter()
            .find(|(_, other, given)| other.lock == record.lock && given != own);
        other.and_then(|(_, other, given)| Some(format!("and {} differs: {}", other.builder, difference(own, given)?)))
    };
    let mut words = Vec::new();
    for (sha256, record) in records {
        let (builder, at) = (&record.builder, record.finished_on);
        let why = match (record.outcome, record.outcome.limit()) {
            (_, Some(limit)) => Some(format!("{builder}'s build ran out of {limit} at {at}")),
            (Outcome::Built, _) => {
                against(record, &outputs(record)).map(|other| format!("{builder} built it at {at}, {other}"))
            }
            _ => Some(format!("{builder}'s build failed at {at}")),
        };
        let Some(why) = why else { continue };
        let unsigned = record.signed_by.is_empty().then(|| {
            let key = Key::provenance(archive, sha256);
            Problem::new(Problem::MISSING, key, "no builder of a policy of today signed it")
        });
        words.push(Word {
            record: *sha256,
            why,
            problem: unsigned,
        });
    }
    words
}

/// The first file that two builds gave differently.
fn difference(a: &BTreeMap<String, Sha256>, b: &BTreeMap<String, Sha256>) -> Option<String> {
    let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    let first = names.into_iter().find(|name| a.get(*name) != b.get(*name))?;
    let shown = |set: &BTreeMap<String, Sha256>| set.get(first).map_or("absent".to_owned(), Sha256::short);
    Some(format!("`{first}` is {} and {}", shown(a), shown(b)))
}
