//! What is said of a repository.

use std::fmt;

use serde::Serialize;

use super::Apt;
use crate::domain::escape;

/// What apt does. The worst of a repository's findings is its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It takes it without a word.
    Accept,
    /// It takes it, and says something: `W:` or `N:`.
    Warn,
    /// It leaves something out, and says nothing.
    Ignore,
    /// It fails: `E:`.
    Reject,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Accept => "accept",
            Self::Warn => "warn",
            Self::Ignore => "ignore",
            Self::Reject => "reject",
        })
    }
}

/// One thing that some apts do with one file of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which apts.
    pub apts: Vec<Apt>,
    /// The suite, as a source names it.
    pub suite: String,
    /// The file, below the repository's URL.
    pub at: String,
    /// What they do.
    pub outcome: Outcome,
    /// The stable code.
    pub code: &'static str,
    /// Why.
    pub why: String,
    /// What they say then, in part, when they say something.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// What one apt does with a suite, all in all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Which apt.
    pub apt: Apt,
    /// The suite.
    pub suite: String,
    /// The worst of what it does.
    pub outcome: Outcome,
}

/// The findings of one apt about one suite, while they are made.
#[derive(Debug)]
pub(super) struct Findings {
    pub(super) apt: Apt,
    pub(super) suite: String,
    pub(super) list: Vec<Finding>,
}

impl Findings {
    /// For what is looked at and not said.
    pub(super) fn unsaid(apt: Apt) -> Self {
        Self {
            apt,
            suite: String::new(),
            list: Vec::new(),
        }
    }

    /// Adds one. What comes from the repository is made safe for a terminal.
    pub(super) fn add(&mut self, outcome: Outcome, code: &'static str, at: &str, why: impl AsRef<str>) {
        self.list.push(Finding {
            apts: vec![self.apt],
            suite: self.suite.clone(),
            at: escape(at),
            outcome,
            code,
            why: plain(why.as_ref()),
            message: None,
        });
    }

    /// Says what apt says of the last one.
    pub(super) fn saying(&mut self, message: impl AsRef<str>) {
        if let Some(last) = self.list.last_mut() {
            last.message = Some(plain(message.as_ref()));
        }
    }
}

/// Control characters escaped, at full length.
fn plain(text: &str) -> String {
    let escaped = text.chars().flat_map(|c| {
        let mut buffer = [0; 4];
        escape(c.encode_utf8(&mut buffer)).chars().collect::<Vec<_>>()
    });
    escaped.collect()
}

/// One list of all apts' findings: the same of several is one.
pub(super) fn merged(all: Vec<Findings>) -> Vec<Finding> {
    let mut merged: Vec<Finding> = Vec::new();
    for finding in all.into_iter().flat_map(|findings| findings.list) {
        let same = |known: &&mut Finding| {
            let mut mine = finding.clone();
            mine.apts.clone_from(&known.apts);
            **known == mine
        };
        match merged.iter_mut().find(same) {
            Some(known) if finding.apts.iter().all(|apt| known.apts.contains(apt)) => {}
            Some(known) => known.apts.extend(finding.apts),
            None => merged.push(finding),
        }
    }
    merged
}
