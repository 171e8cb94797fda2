//! What the site declares, beside what was decided: `unreproduced`.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;

use super::QueryError;
use super::answer::Answer;
use super::facts::{DecisionId, DeclarationFile, SiteDeclaration};
use super::index::{Index, named_below};
use super::view::Decision;
use crate::domain::{PackageName, Sha256, Timestamp};
use crate::host::{Clock, files};
use crate::site::{Site, SiteError};
use crate::source::Declaration;

/// The level that two operators' equal rebuilds earn.
const REPRODUCED: &str = "SLSA_BUILD_REPRODUCED";
/// The level of an exception to what builds must differ in.
const ALIKE: &str = "ASSAY_RELAXED_E5";

/// The largest declaration that is read, in bytes.
const LARGEST: u64 = 1 << 20;

/// A file that was changed within so many seconds may have been changed again since it was read, and look the same.
const SETTLED: i64 = 2;

/// Every declaration of the site, with the place of its archive. A file that was read before and not written to since
/// is not read.
pub(super) fn of_site(index: &mut Index<'_>, site: &Site) -> Result<Vec<(usize, SiteDeclaration)>, QueryError> {
    let settled = Clock::System.now().plus(-SETTLED);
    let (mut all, mut new) = (Vec::new(), Vec::new());
    for (place, anchor, _) in &index.archives {
        let archive = &anchor.name;
        let read = |name: PackageName| -> Result<_, QueryError> {
            let path = site.declaration_path(archive, &name);
            let stamp = files::stamp(&path).map_err(SiteError::from)?;
            if let Some(known) = index.known.declaration(archive.as_str(), name.as_str(), &stamp) {
                return Ok((known, None));
            }
            let bytes = files::read(&path, LARGEST).map_err(SiteError::from)?;
            let declaration = Declaration::parse_file(&path, &bytes)?;
            let read = SiteDeclaration {
                sha256: declaration.identity()?,
                source: declaration.source,
                version: declaration.version,
            };
            let archive = archive.clone();
            let file = DeclarationFile { archive, name, stamp };
            Ok((read, Some(file).filter(|file| file.stamp.changed() < settled)))
        };
        let read: Result<Vec<_>, QueryError> = site.declared(archive)?.into_par_iter().map(read).collect();
        for (declaration, file) in read? {
            new.extend(file.map(|file| (file, declaration.clone())));
            all.push((*place, declaration));
        }
    }
    index.learn_declarations(new);
    Ok(all)
}

/// What `unreproduced` found.
#[derive(Debug, Default)]
pub struct Unreproduced {
    /// What is asked for.
    pub answers: Vec<Answer>,
    /// How many more are reproduced, but at one build path only; none when these are among the answers.
    pub at_one_path: usize,
}

/// What is admitted without `SLSA_BUILD_REPRODUCED`, or with it although its builds did not differ as they should, by
/// exception; and what is declared and not admitted. With `one_path` also what was reproduced at one build path only.
///
/// # Errors
/// When a declaration of the site cannot be read; the store's failure.
pub fn unreproduced(index: &mut Index<'_>, site: &Site, one_path: bool) -> Result<Unreproduced, QueryError> {
    let mut found = Unreproduced {
        answers: by_exception(index, one_path),
        at_one_path: 0,
    };
    if !one_path {
        let scope = index.scope().par_iter();
        found.at_one_path = scope
            .filter(|id| index.decision(id).is_some_and(only_at_one_path))
            .count();
    }
    found.answers.extend(not_admitted(index, site)?);
    Ok(found)
}

/// Whether nothing else speaks against a decision than that its builds were all made at one path.
fn only_at_one_path(decision: Decision<'_>) -> bool {
    let mut levels = decision.levels.iter();
    decision.admitted && decision.at_one_path && levels.any(|level| level == REPRODUCED)
}

fn by_exception(index: &Index<'_>, one_path: bool) -> Vec<Answer> {
    let shared = index;
    let admitted = shared.scope().par_iter().filter_map(|id| {
        let Some(decision) = shared.decision(id) else {
            return Some(Answer::of_decision(shared, id, "its decision is not known".to_owned()));
        };
        let has = |wanted: &str| decision.levels.iter().any(|level| level == wanted);
        let (lacks, alike) = (!has(REPRODUCED), has(ALIKE));
        let (doubted, at_one_path) = (shared.doubt(id).is_some(), one_path && only_at_one_path(decision));
        if !decision.admitted || !(lacks || alike || doubted || at_one_path) {
            return None;
        }
        let remarks = remarks(decision);
        let why = match (lacks, remarks.is_empty()) {
            (false, _) if doubted => "admitted as reproduced, which does not hold today".to_owned(),
            (false, _) if alike => {
                format!("reproduced, but by builds that were too much alike, by exception: {remarks}")
            }
            (false, _) => {
                "reproduced, but at one build path only: what it took from its path would not show".to_owned()
            }
            (true, _) if decision.imported().is_some() => imported(decision, &remarks),
            (true, true) => format!("admitted without {REPRODUCED}"),
            (true, false) => format!("admitted without {REPRODUCED}, by exception: {remarks}"),
        };
        Some(Answer::of_decision(shared, id, why))
    });
    let mut answers: Vec<Answer> = admitted.collect();
    // By name, as people look for them, and not as the hashes of decisions happen to fall.
    answers.sort_by(|a, b| (&a.archive, &a.source, &a.version).cmp(&(&b.archive, &b.source, &b.version)));
    answers
}

fn imported(decision: Decision<'_>, remarks: &str) -> String {
    let said = decision
        .imported()
        .map(|imported| imported.to_string())
        .unwrap_or_default();
    match remarks {
        "" => format!("not rebuilt by us: {said}"),
        some => format!("not rebuilt by us: {said}; by exception: {some}"),
    }
}

fn remarks(decision: Decision<'_>) -> String {
    let remarks = decision.remarks.iter().map(|(rule, why)| format!("{rule}: {why}"));
    remarks.collect::<Vec<_>>().join("; ")
}

/// Declarations of the site that no listed decision is about, with the newest decision about each.
fn not_admitted(index: &mut Index<'_>, site: &Site) -> Result<Vec<Answer>, QueryError> {
    let declared = of_site(index, site)?;
    let listed = index.listed.decisions();
    let admitted: BTreeSet<Sha256> = listed.filter_map(|id| index.decision(&id)?.declaration).collect();
    let open = declared.into_iter().filter(|(_, one)| !admitted.contains(&one.sha256));
    let open: Vec<(usize, SiteDeclaration)> = open.collect();
    let newest = newest_decisions(index, &open.iter().map(|(place, one)| (*place, one.sha256)).collect())?;
    let answer = |(place, one): &(usize, SiteDeclaration)| {
        let known = newest
            .get(&(*place, one.sha256))
            .and_then(|id| Some((id, index.decision(id)?)));
        if let Some((id, decision)) = known {
            let verdict = if decision.admitted {
                "admitted, and not published"
            } else {
                "refused"
            };
            let (at, remarks) = (decision.decided_at, remarks(decision));
            let why = format!("declared, and {verdict} at {at}: {remarks}");
            return Some(Answer::of_decision(index, id, why));
        }
        let archive = index.anchors().archives.get(*place)?;
        let mut answer = Answer::declared(index, archive, one, "declared, not decided on".into());
        answer.declaration = Some(one.sha256);
        Some(answer)
    };
    Ok(open.par_iter().filter_map(answer).collect())
}

/// A decision, and the declaration that it is about, with the place of its archive.
type About = ((usize, Sha256), DecisionId);

/// The newest decision about each of these declarations, of archives by their places. What the gate did not sign says
/// nothing; a doubt about it is for `verify`.
pub(super) fn newest_decisions(
    index: &mut Index<'_>,
    declarations: &BTreeSet<(usize, Sha256)>,
) -> Result<BTreeMap<(usize, Sha256), DecisionId>, QueryError> {
    let shared: &Index<'_> = index;
    let named = |about: &(usize, Sha256)| -> Result<Vec<_>, QueryError> {
        let Some(anchor) = shared.anchors().archives.get(about.0) else {
            return Ok(Vec::new());
        };
        let found = named_below(shared.store(), &format!("state/{}/decisions/{}", anchor.name, about.1))?;
        let id = |sha256| DecisionId {
            archive: about.0,
            sha256,
        };
        Ok(found.into_iter().map(|sha256| (*about, id(sha256))).collect())
    };
    let all: Result<Vec<Vec<About>>, QueryError> = declarations.par_iter().map(named).collect();
    let all: Vec<About> = all?.into_iter().flatten().collect();
    index.learn_decisions(&all.iter().map(|(_, id)| *id).collect::<Vec<_>>());
    let mut newest: BTreeMap<(usize, Sha256), (Timestamp, DecisionId)> = BTreeMap::new();
    for (about, id) in all {
        if let Some(decision) = index.decision(&id) {
            let found = (decision.decided_at, id);
            let kept = newest.entry(about).or_insert(found);
            *kept = (*kept).max(found);
        }
    }
    Ok(newest.into_iter().map(|(about, (_, id))| (about, id)).collect())
}
