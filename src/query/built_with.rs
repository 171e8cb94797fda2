//! `built-with`: every package whose locked environment held a package, also through other packages of ours.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;

use super::answer::Answer;
use super::facts::{DecisionId, LockedFacts};
use super::index::Index;
use super::view::Lock;
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

impl std::fmt::Display for Ingredient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(sha256) => sha256.fmt(f),
            Self::Package(name, None) => name.fmt(f),
            Self::Package(name, Some(version)) => write!(f, "{name}={version}"),
        }
    }
}

impl Ingredient {
    /// The same package in whatever version: whether its name is known at all.
    #[must_use]
    pub fn in_any_version(&self) -> Self {
        match self {
            Self::File(_) => self.clone(),
            Self::Package(name, _) => Self::Package(name.clone(), None),
        }
    }

    /// As what a package is meant, if it is.
    fn meant(&self, package: &LockedFacts<&str>) -> Option<Meant> {
        match self {
            Self::File(sha256) => (package.sha256 == *sha256).then_some(Meant::Itself),
            Self::Package(name, version) => {
                let wanted = |found: &str| version.as_ref().is_none_or(|version| covers(version, found));
                let (binary, source) = (name.as_str() == package.package, name.as_str() == package.source);
                if binary && wanted(package.version) {
                    return Some(Meant::Itself);
                }
                (source && wanted(package.source_version)).then_some(Meant::BySource)
            }
        }
    }
}

/// As what a package of an environment is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meant {
    /// It is the package that was asked for.
    Itself,
    /// It is of the source package that was asked for.
    BySource,
}

impl Meant {
    /// A package in words: of one whose name is another than was asked for, also why it is named.
    fn say(self, package: &LockedFacts<&str>) -> String {
        let (source, version) = (package.source, package.source_version);
        match self {
            Self::Itself => package.to_string(),
            Self::BySource if version == package.version => format!("{package}, of the source {source}"),
            Self::BySource => format!("{package}, of the source {source} {version}"),
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
    held: String,
    /// The decision that let that package in, when it is one of ours that is concerned itself.
    through: Option<DecisionId>,
}

type AllConcerned = BTreeMap<DecisionId, Concerned>;

/// Every decision in scope that an ingredient concerns, those that held it themselves first. A decision whose
/// environment cannot be read is there too: nobody can say that it did not hold it.
pub fn built_with(index: &mut Index<'_>, ingredient: &Ingredient) -> Vec<Answer> {
    let concerned = concerned(index, ingredient);
    let ids: Vec<DecisionId> = concerned.keys().filter(|id| index.in_scope(id)).copied().collect();
    index.recheck(&ids);
    let index: &Index<'_> = index;
    let mut answers: Vec<Answer> = ids
        .par_iter()
        .map(|id| {
            let way = way(&concerned, id);
            let held = way.held.unwrap_or_default();
            let mut answer = Answer::of_decision(index, id, format!("its environment held {held}"));
            if let Some(nearest) = way.names.first() {
                answer.why = format!("its environment held {nearest}, whose environment held {held}");
            }
            answer.through = way.names;
            answer
        })
        .collect();
    answers.sort_by(|a, b| (a.through.len(), &a.source, &a.version).cmp(&(b.through.len(), &b.source, &b.version)));
    let doubtful = index.unread();
    let doubtful = doubtful.filter(|(id, _)| index.in_scope(id) && !concerned.contains_key(id));
    let doubtful = doubtful.map(|(id, _)| Answer::of_decision(index, id, "its environment is not known".to_owned()));
    answers.extend(doubtful.collect::<Vec<_>>());
    answers.extend(untraced(index, &concerned));
    answers
}

/// Decisions that answers are about, and those behind packages of ours in their environments.
fn reached(index: &Index<'_>) -> Vec<DecisionId> {
    let mut reached: BTreeSet<DecisionId> = index.scope().iter().copied().collect();
    let mut new: Vec<DecisionId> = index.scope().to_vec();
    while !new.is_empty() {
        let origins = new
            .par_iter()
            .flat_map_iter(|id| origins(index, id).map(|(_, origin)| origin));
        let origins: BTreeSet<DecisionId> = origins.flatten().collect();
        new = origins.difference(&reached).copied().collect();
        reached.extend(new.iter().copied());
    }
    reached.into_iter().collect()
}

/// The packages of ours that a decision's environments held, and the decision that let each in.
fn origins<'i>(
    index: &'i Index<'_>,
    id: &DecisionId,
) -> impl Iterator<Item = (LockedFacts<&'i str>, Option<DecisionId>)> {
    let locks = index
        .decision(id)
        .into_iter()
        .flat_map(|decision| index.known.locks_of(decision));
    let ours = locks.flat_map(|lock| {
        lock.ours()
            .map(move |(number, sha256)| (lock.segment(), number, sha256))
    });
    ours.filter_map(|(segment, number, sha256)| {
        let package = segment.package(number)?;
        let archive = index.place(package.archive)?;
        Some((package, sha256.map(|sha256| DecisionId { archive, sha256 })))
    })
}

fn concerned(index: &Index<'_>, ingredient: &Ingredient) -> AllConcerned {
    // Which packages are meant, for each segment: its locks name them by number.
    let meant: Vec<Vec<Option<Meant>>> = index
        .known
        .segments()
        .par_iter()
        .map(|segment| {
            let package = |at: usize| u32::try_from(at).ok().and_then(|at| segment.package(at));
            let meant = |at: usize| ingredient.meant(&package(at)?);
            (0..segment.packages()).map(meant).collect()
        })
        .collect();
    let meant_of = |lock: Lock<'_>| {
        let mut segments = index.known.segments().iter();
        meant.get(segments.position(|segment| std::ptr::eq(segment, lock.segment()))?)
    };
    // The package itself, where an environment has it, rather than another one of the same source.
    let holds = |id: &DecisionId| {
        let decision = index.decision(id)?;
        let mut first = None;
        for lock in index.known.locks_of(decision) {
            let Some(meant) = meant_of(lock) else { continue };
            for number in lock.packages() {
                let Some(as_what) = meant.get(number as usize).copied().flatten() else {
                    continue;
                };
                if as_what == Meant::Itself {
                    return lock.segment().package(number).map(|package| as_what.say(&package));
                }
                first = first.or_else(|| lock.segment().package(number).map(|package| as_what.say(&package)));
            }
        }
        first
    };
    let reached = reached(index);
    let held = reached.par_iter().filter_map(|id| {
        let held = holds(id)?;
        Some((*id, Concerned { held, through: None }))
    });
    let mut concerned: AllConcerned = held.collect();
    // What was built with a concerned package is concerned, too: until a round finds nothing new.
    loop {
        let rest = reached.par_iter().filter(|id| !concerned.contains_key(id));
        let more: Vec<(DecisionId, Concerned)> = rest
            .filter_map(|id| {
                let mut through = origins(index, id).filter_map(|(package, origin)| Some((package, origin?)));
                let (package, origin) = through.find(|(_, origin)| concerned.contains_key(origin))?;
                let (held, through) = (package.to_string(), Some(origin));
                Some((*id, Concerned { held, through }))
            })
            .collect();
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
    held: Option<String>,
}

fn way(concerned: &AllConcerned, id: &DecisionId) -> Way {
    let mut way = Way::default();
    let mut at = id;
    // Each step was found before the one that leads to it: there is no way round.
    while let Some(step) = concerned.get(at) {
        way.held = Some(step.held.clone());
        let Some(next) = &step.through else { break };
        way.names.push(step.held.clone());
        at = next;
    }
    way
}

/// Decisions that were built with a package of ours of which nobody knows how it came in.
fn untraced(index: &Index<'_>, concerned: &AllConcerned) -> Vec<Answer> {
    let rest = index.scope().iter().filter(|id| !concerned.contains_key(id));
    let lost = rest.filter_map(|id| {
        let (package, _) = origins(index, id).find(|(_, origin)| origin.is_none())?;
        let why = format!("its environment held {package}, and no decision is known that let that in");
        let mut answer = Answer::of_decision(index, id, why);
        answer.proof = answer.proof.max(crate::verify::Proof::Unknown);
        Some(answer)
    });
    lost.collect()
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
