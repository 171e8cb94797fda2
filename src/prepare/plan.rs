//! Which suite each declared source has to be in.

use std::collections::BTreeMap;

use super::PrepareError;
use crate::domain::{GitOid, GitRef, PackageName, Sha256, SuiteName};
use crate::snapshot::MadeFor;

/// What a checkout declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The source package.
    pub source: PackageName,
    /// The identity of its declaration: what is admitted is told by it, never by a version.
    pub declaration: Sha256,
    /// The suites that the declaration names; none when it is for that of the branch.
    pub suites: Vec<SuiteName>,
}

/// The suites that an image is built from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The base first, then the overlays; empty when the declarations alone say.
    pub suites: Vec<SuiteName>,
    /// The suite of the branch or tag that is built.
    pub own: Own,
}

impl Image {
    /// Whether what is declared for these suites, or for that of its branch, is for one of the image's.
    #[must_use]
    pub fn wants(&self, suites: &[SuiteName]) -> bool {
        suites.is_empty() || suites.iter().any(|suite| self.takes(suite))
    }

    fn takes(&self, suite: &SuiteName) -> bool {
        self.suites.is_empty() || self.suites.contains(suite)
    }
}

/// The suite of what is built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Own {
    /// It has one, which the image is built from.
    Suite(SuiteName),
    /// It has none, why, and what mends that.
    None {
        /// Why.
        why: String,
        /// What mends it.
        fix: String,
    },
}

/// Which branch or tag the suites of an image have to be of. Two refs can give one name, and the suite is of
/// the one that came first, under its policy: whoever may push a branch could take the name of a release
/// before it is tagged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heads {
    /// The image's own suite is of exactly this one.
    Head(GitRef),
    /// This suite is of a tag, and all others are of branches.
    Release(SuiteName),
    /// All are of branches.
    Branches,
}

impl Heads {
    /// Checks the ref that a suite was made for; one that the site names itself is of none.
    ///
    /// # Errors
    /// `Foreign`.
    pub fn check(&self, suite: &SuiteName, made_for: Option<&GitRef>) -> Result<(), PrepareError> {
        let Some(reference) = made_for else { return Ok(()) };
        let right = match self {
            Self::Head(head) => reference == head || head.suite().as_ref() != Ok(suite),
            Self::Release(release) if release == suite => reference.tag_name().is_some(),
            Self::Release(_) | Self::Branches => reference.branch_name().is_some(),
        };
        if right {
            return Ok(());
        }
        Err(PrepareError::Foreign {
            suite: suite.clone(),
            reference: reference.clone(),
        })
    }
}

/// Checks that a tag means in the checkout what it meant when its suite was made: a tag never moves.
///
/// # Errors
/// `Moved`.
pub fn check_tag(suite: &SuiteName, made: &MadeFor, tags: &BTreeMap<String, GitOid>) -> Result<(), PrepareError> {
    let here = made.reference.tag_name().and_then(|tag| tags.get(tag));
    match made.commit.as_ref().zip(here).filter(|(made, here)| made != here) {
        None => Ok(()),
        Some((before, now)) => Err(PrepareError::Moved {
            suite: suite.clone(),
            reference: made.reference.clone(),
            made: before.clone(),
            now: now.clone(),
        }),
    }
}

/// Whether a file of a site or checkout says anything of an image's packages: hidden files and editors' drafts do not.
#[must_use]
pub fn says_what_is_in(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    !(name.starts_with('.') || name.ends_with('~'))
}

/// What of a work tree keeps its commit from defining the image's packages, and the environment locks that are only
/// to be committed yet: `prepare` writes those itself, and decisions name them by hash.
#[must_use]
pub fn undefined(files: Vec<(String, &'static str)>) -> (Vec<(String, &'static str)>, Vec<String>) {
    let (locks, rest): (Vec<_>, Vec<_>) = files
        .into_iter()
        .partition(|(file, what)| file.ends_with(".lock") && *what == "not committed");
    (rest, locks.into_iter().map(|(file, _)| file).collect())
}

/// What is to be done for one declared source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Nothing: a suite of the image has exactly what is declared.
    Held(SuiteName),
    /// It has to be admitted to these suites.
    Bring(Vec<SuiteName>),
    /// It is for other suites than the image's.
    Elsewhere,
}

/// Where a declared source has to be. `holds` says whether a suite has exactly what a declaration says.
///
/// What the base has is never put into an overlay as well: an overlay holds what its branch adds.
///
/// # Errors
/// `NoSuite`; what `holds` gives.
pub fn place<E: From<PrepareError>>(
    wanted: &Wanted,
    image: &Image,
    mut holds: impl FnMut(&SuiteName) -> Result<bool, E>,
) -> Result<Step, E> {
    if !wanted.suites.is_empty() {
        let ours: Vec<&SuiteName> = wanted.suites.iter().filter(|suite| image.takes(suite)).collect();
        let Some(first) = ours.first() else {
            return Ok(Step::Elsewhere);
        };
        for suite in &ours {
            if !holds(suite)? {
                return Ok(Step::Bring(wanted.suites.clone()));
            }
        }
        return Ok(Step::Held((*first).clone()));
    }
    for suite in &image.suites {
        if holds(suite)? {
            return Ok(Step::Held(suite.clone()));
        }
    }
    match &image.own {
        Own::Suite(suite) => Ok(Step::Bring(vec![suite.clone()])),
        Own::None { why, fix } => Err(PrepareError::NoSuite {
            source_package: wanted.source.clone(),
            why: why.clone(),
            fix: fix.clone(),
        }
        .into()),
    }
}
