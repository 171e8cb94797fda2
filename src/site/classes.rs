//! `[branches]` of a custom archive: which branches and tags of a Git repository have suites, and under
//! which policy. Rules only: which suites there are is in the archive's records.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::CustomArchive;
use super::select::matches_pattern;
use crate::domain::{DomainError, GitRef, PolicyName, SuiteName};

/// Suites for the branches and tags of a Git repository: `assay suite sync` makes them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct BranchSuites {
    /// The repository: a URL or a folder.
    pub git: String,
    /// The classes. The first that has a branch or tag counts; one that none has gets no suite.
    #[serde(rename = "class")]
    pub classes: Vec<SuiteClass>,
}

/// What the suites of a class of branches or tags have in common.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SuiteClass {
    /// The class's name, for people.
    pub name: String,
    /// Branches, or patterns with `*` and `?`.
    #[serde(default)]
    pub branches: Vec<RefPattern>,
    /// Tags, or patterns with `*` and `?`: releases.
    #[serde(default)]
    pub tags: Vec<RefPattern>,
    /// The policy that admits packages to these suites.
    pub policy: PolicyName,
    /// When `assay prepare` rebuilds. Absent: `missing` for branches, `always` for tags.
    pub rebuild: Option<Rebuild>,
    /// The suites hold only what a branch adds to its base branch.
    #[serde(default)]
    pub overlay: bool,
    /// So many days after its branch is gone a suite leaves the archive. Those of tags stay.
    #[serde(default = "a_month")]
    pub expire_days: u32,
}

/// When a source package is rebuilt before it is admitted to a suite. It is never decided by a version's
/// text: what was built is told by the declaration and the environment lock, by hash.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rebuild {
    /// Each suite has rebuilds of its own: records from before it was made do not count.
    Always,
    /// What has enough records is reused, what has not is rebuilt.
    #[default]
    Missing,
    /// As `always` for suites of tags, as `never` for all others.
    ReleaseOnly,
    /// Nothing is rebuilt: what has not enough records is refused.
    Never,
}

/// The name of a branch or tag, in which `*` stands for any characters and `?` for one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RefPattern(String);

impl RefPattern {
    /// Checks a pattern and takes it.
    ///
    /// # Errors
    /// When no branch or tag could have such a name.
    pub fn new(text: impl Into<String>) -> Result<Self, DomainError> {
        let text = text.into();
        // With a letter for each star it must be a ref.
        if GitRef::new(format!("refs/heads/{}", text.replace(['*', '?'], "x"))).is_err() {
            let why = "no branch or tag can have such a name";
            return Err(DomainError::new("pattern of branches", &text, why));
        }
        Ok(Self(text))
    }
}

impl TryFrom<String> for RefPattern {
    type Error = DomainError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::new(text)
    }
}

impl From<RefPattern> for String {
    fn from(pattern: RefPattern) -> Self {
        pattern.0
    }
}

impl fmt::Display for RefPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl SuiteClass {
    /// Whether its suites are those of releases.
    #[must_use]
    pub fn of_tags(&self) -> bool {
        !self.tags.is_empty()
    }

    /// When its suites are rebuilt: never [`Rebuild::ReleaseOnly`], which this resolves.
    #[must_use]
    pub fn rebuild(&self) -> Rebuild {
        match self.rebuild {
            None | Some(Rebuild::ReleaseOnly) if self.of_tags() => Rebuild::Always,
            None => Rebuild::Missing,
            Some(Rebuild::ReleaseOnly) => Rebuild::Never,
            Some(other) => other,
        }
    }

    fn has(&self, reference: &str) -> bool {
        let has = |patterns: &[RefPattern], name: &str| patterns.iter().any(|p| matches_pattern(&p.0, name));
        match (
            reference.strip_prefix("refs/heads/"),
            reference.strip_prefix("refs/tags/"),
        ) {
            (Some(branch), _) => has(&self.branches, branch),
            (_, Some(tag)) => has(&self.tags, tag),
            _ => false,
        }
    }
}

/// What governs a suite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuiteRules<'a> {
    /// The policy that admits packages to it.
    pub policy: &'a PolicyName,
    /// When `assay prepare` rebuilds.
    pub rebuild: Rebuild,
    /// Its class; absent for a suite that the site names itself.
    pub class: Option<&'a SuiteClass>,
}

impl CustomArchive {
    /// The class of a branch or tag, when it has one.
    #[must_use]
    pub fn class_of(&self, reference: &GitRef) -> Option<&SuiteClass> {
        let classes = &self.branches.as_ref()?.classes;
        classes.iter().find(|class| class.has(reference.as_str()))
    }

    /// Whether a class has a ref, whatever its name is made of.
    #[must_use]
    pub fn has_class(&self, reference: &str) -> bool {
        let branches = self.branches.as_ref();
        branches.is_some_and(|branches| branches.classes.iter().any(|class| class.has(reference)))
    }

    /// What governs a suite: what the site says of it by name, else the class of the branch or tag that
    /// it is of. None for a suite that the site knows nothing of: nothing may be in it.
    #[must_use]
    pub fn rules_of(&self, suite: &SuiteName, made_for: Option<&GitRef>) -> Option<SuiteRules<'_>> {
        if let Some(named) = self.suites.iter().find(|named| named.name == *suite) {
            return Some(SuiteRules {
                policy: &named.policy,
                rebuild: named.rebuild,
                class: None,
            });
        }
        let reference = made_for.filter(|reference| reference.suite().as_ref() == Ok(suite))?;
        let class = self.class_of(reference)?;
        Some(SuiteRules {
            policy: &class.policy,
            rebuild: class.rebuild(),
            class: Some(class),
        })
    }

    /// Every policy that some suite may have.
    pub fn policies(&self) -> impl Iterator<Item = &PolicyName> {
        let classes = self.branches.iter().flat_map(|branches| &branches.classes);
        let named = self.suites.iter().map(|suite| &suite.policy);
        named.chain(classes.map(|class| &class.policy))
    }

    /// What is wrong with its suites, in one line.
    pub(super) fn check_suites(&self) -> Result<(), String> {
        let classes = self.branches.as_ref().map_or(&[][..], |branches| &branches.classes);
        if self.suites.is_empty() && classes.is_empty() {
            return Err("it needs a `[[suite]]`, or `[branches]` with a `[[branches.class]]`".to_owned());
        }
        if let Some(suite) = self.suites.iter().find(|suite| {
            // A suite that is named here has no instant from which on records would count.
            matches!(suite.rebuild, Rebuild::Always | Rebuild::ReleaseOnly)
        }) {
            return Err(format!(
                "the suite `{}` can be rebuilt when something is `missing`, or `never`: only suites of branches and tags can have rebuilds of their own",
                suite.name
            ));
        }
        for class in classes {
            let name = &class.name;
            if class.branches.is_empty() == class.tags.is_empty() {
                return Err(format!(
                    "the class `{name}` must have `branches` or `tags`, and not both"
                ));
            }
            if class.of_tags() && class.rebuild() != Rebuild::Always {
                return Err(format!(
                    "the class `{name}` is of tags, and releases always need rebuilds of their own: leave `rebuild` out"
                ));
            }
        }
        Ok(())
    }
}

fn a_month() -> u32 {
    30
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_names_of_branches() {
        for good in ["stable", "feature/*", "*", "[0-9]".trim_matches(['[', ']']), "v?.*"] {
            assert!(RefPattern::new(good).is_ok(), "{good}");
        }
        for bad in ["", "/x", "a b", "-x", "a..b", "x.lock", "a~1"] {
            assert!(RefPattern::new(bad).is_err(), "{bad}");
        }
    }
}
