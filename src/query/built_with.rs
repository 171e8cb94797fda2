//! `built-with`: every package whose locked environment held a package, also through other packages of ours.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::answer::Answer;
use super::facts::{DecisionId, Facts, LockedFacts};
use super::index::Index;
use crate::domain::{DomainError, PackageName, Sha256, Version};

/// What an environment is searched for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ingredient {
    /// One .deb.
    File(Sha256),
    /// A binary package, or every package of a source, in any version or in one.
    Package(PackageName, Option<Version>),
}

impl std::str::FromStr for Ingredient {
    type Err = DomainError;
    fn from_str(text: &str) -> Result<Self, DomainError> {
        if let Ok(sha256) = text.parse() {
            return Ok(Self::File(sha256));
        }
        let (name, version) = match text.split_once('=') {
            Some((name, version)) => (name, Some(Version::new(version)?)),
            None => (text, None),
        };
        Ok(Self::Package(PackageName::new(name)?, version))
    }
}

impl Ingredient {
    fn is(&self, package: &LockedFacts) -> bool {
        match self {
            Self::File(sha256) => package.sha256 == *sha256,
            Self::Package(name, version) => {
                let wanted = |found: &str| version.as_ref().is_none_or(|version| covers(version, found));
                let (binary, source) = (name.as_str() == package.package, name.as_str() == package.source);
                (binary && wanted(&package.version)) || (source && wanted(&package.source_version))
            }
        }
    }
}

/// Whether a version is the one that is meant. `5.6.1` means every revision of it, as an advisory does.
fn covers(wanted: &Version, found: &str) -> bool {
    if wanted.as_str() == found {
        return true;
    }
    let Ok(found) = Version::new(found) else { return false };
    let epoch = |version: &Version| version.as_str().split_once(':').map(|(epoch, _)| epoch.to_owned());
    wanted.revision().is_none() && wanted.upstream() == found.upstream() && epoch(wanted) == epoch(&found)
}

/// How a decision is concerned.
#[derive(Debug, Clone)]
struct Concerned {
    /// The package of its environment.
    held: u32,
    /// The decision that let that package in, when it is one of ours that is concerned itself.
    through: Option<DecisionId>,
}

/// Every decision in scope that an ingredient concerns, those that held it themselves first. A decision whose
/// environment cannot be read is there too: nobody can say that it did not hold it.
pub fn built_with(index: &mut Index<'_>, ingredient: &Ingredient) -> Vec<Answer> {
    let concerned = concerned(index, ingredient);
    let scope: Vec<&DecisionId> = concerned.keys().filter(|id| index.in_scope(id)).collect();
    let ids: Vec<DecisionId> = scope.into_iter().cloned().collect();
    index.recheck(ids.iter());
    let index: &Index<'_> = index;
    let mut answers: Vec<Answer> = ids
        .par_iter()
        .filter_map(|id| {
            let through = chain(index, &concerned, id);
            let held = through
                .held
                .and_then(|number| index.known.packages.get(number as usize))?;
            let mut answer = Answer::of_decision(index, id, format!("its environment held {held}"));
            if let Some(nearest) = through.names.first() {
                answer.why = format!("its environment held {nearest}, whose environment held {held}");
            }
            answer.through = through.names;
            Some(answer)
        })
        .collect();
    answers.sort_by(|a, b| (a.through.len(), &a.source, &a.version).cmp(&(b.through.len(), &b.source, &b.version)));
    let doubtful = index.unread().filter(|(id, _)| index.in_scope(id));
    let doubtful = doubtful.map(|(id, _)| Answer::of_decision(index, id, "its environment is not known".to_owned()));
    answers.extend(doubtful.collect::<Vec<_>>());
    answers.extend(untraced(index, &concerned));
    answers
}

fn concerned(index: &Index<'_>, ingredient: &Ingredient) -> BTreeMap<DecisionId, Concerned> {
    let known = &index.known;
    let meant: Vec<bool> = known.packages.iter().map(|package| ingredient.is(package)).collect();
    let holds = |facts: &Facts| {
        let packages = facts.locks.iter().filter_map(|lock| known.locks.get(lock));
        let mut packages = packages.flat_map(|lock| &lock.packages);
        packages
            .find(|number| meant.get(**number as usize) == Some(&true))
            .copied()
    };
    let mut concerned: BTreeMap<DecisionId, Concerned> = BTreeMap::new();
    for (id, facts) in &known.decisions {
        if let Some(held) = holds(facts) {
            concerned.insert(id.clone(), Concerned { held, through: None });
        }
    }
    // What was built with a concerned package is concerned, too: until a round finds nothing new.
    loop {
        let mut more = Vec::new();
        for (id, facts) in known.decisions.iter().filter(|(id, _)| !concerned.contains_key(*id)) {
            let ours = facts
                .locks
                .iter()
                .filter_map(|lock| known.locks.get(lock))
                .flat_map(|lock| &lock.ours);
            let mut origins = ours.filter_map(|(held, decision)| {
                let archive = known.packages.get(*held as usize)?.archive.parse().ok()?;
                let origin = (archive, (*decision)?);
                concerned.contains_key(&origin).then_some((*held, origin))
            });
            if let Some((held, origin)) = origins.next() {
                let through = Some(origin);
                more.push((id.clone(), Concerned { held, through }));
            }
        }
        if more.is_empty() {
            return concerned;
        }
        concerned.extend(more);
    }
}

/// The way from a decision to the ingredient.
#[derive(Default)]
struct Way {
    /// The packages of ours between, nearest first.
    names: Vec<String>,
    /// What the last of them was built with.
    held: Option<u32>,
}

fn chain(index: &Index<'_>, concerned: &BTreeMap<DecisionId, Concerned>, id: &DecisionId) -> Way {
    let mut way = Way::default();
    let mut at = id;
    // Each step was found before the one that leads to it: there is no way round.
    while let Some(step) = concerned.get(at) {
        way.held = Some(step.held);
        let Some(next) = &step.through else { break };
        let name = index.known.packages.get(step.held as usize).map(ToString::to_string);
        way.names.push(name.unwrap_or_default());
        at = next;
    }
    way
}

/// Decisions that were built with a package of ours of which nobody knows how it came in.
fn untraced(index: &Index<'_>, concerned: &BTreeMap<DecisionId, Concerned>) -> Vec<Answer> {
    let mut answers = Vec::new();
    for (id, facts) in &index.known.decisions {
        if !index.in_scope(id) || concerned.contains_key(id) {
            continue;
        }
        let ours = facts
            .locks
            .iter()
            .filter_map(|lock| index.known.locks.get(lock))
            .flat_map(|lock| &lock.ours);
        let mut lost = ours.filter(|(_, decision)| decision.is_none());
        if let Some(package) = lost
            .next()
            .and_then(|(held, _)| index.known.packages.get(*held as usize))
        {
            let why = format!("its environment held {package}, and no decision is known that let that in");
            let mut answer = Answer::of_decision(index, id, why);
            answer.proof = answer.proof.max(crate::verify::Proof::Unknown);
            answers.push(answer);
        }
    }
    answers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_without_revision_means_all_of_them() {
        let covers = |wanted: &str, found: &str| covers(&Version::new(wanted).unwrap(), found);
        assert!(covers("5.6.1", "5.6.1-1+deb13u1"));
        assert!(covers("1:5.6.1", "1:5.6.1-1"));
        assert!(covers("5.6.1-1", "5.6.1-1"));
        assert!(!covers("5.6.1-1", "5.6.1-2"));
        assert!(!covers("5.6.1", "1:5.6.1-1"));
        assert!(!covers("5.6.1", "5.6.10-1"));
    }
}
