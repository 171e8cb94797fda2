//! What is offered: the declared source, and the files that would become packages.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::{Architecture, ArchiveName, Digest, FileName, PolicyName, Sha256, SuiteName, Timestamp};
use crate::format::FormatError;
use crate::format::deb::Deb;
use crate::source::{Declaration, SourceFile};

use super::DebFacts;

/// One source package with everything that was built of it: admitted whole, or refused whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Candidate {
    /// The custom archive.
    pub archive: ArchiveName,
    /// Its suites that the packages would go to; all are under the same policy.
    pub suites: Vec<SuiteName>,
    /// The name of that policy.
    pub policy: PolicyName,
    /// SHA-256 of that policy's canonical JSON, as the caller knows it.
    pub policy_sha256: Sha256,
    /// What is declared.
    pub declaration: Declaration,
    /// The .dsc and tarballs, derived again from Git by the caller.
    pub source_files: Vec<SourceFile>,
    /// One set of outputs per environment (per build architecture).
    pub sets: Vec<OutputSet>,
    /// Where the files came from.
    pub offered: Offered,
    /// What else counts.
    pub terms: Terms,
}

/// What counts for one candidate beside the policy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Terms {
    /// The suite has rebuilds of its own: only records whose nonce was issued from then on count.
    pub fresh_since: Option<Timestamp>,
    /// The suite that the files come from, as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved: Option<Moved>,
    /// Rules out of [`super::ALLOWABLE`] that whoever runs the gate lets pass this once, with the reason.
    pub allowed: BTreeMap<String, String>,
}

/// Where files are already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Moved {
    /// The suite.
    pub from: SuiteName,
    /// The decision that let them in there.
    pub decision: Sha256,
}

/// Everything that one build in one environment gave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct OutputSet {
    /// The environment: SHA-256 of the lock's canonical JSON.
    pub lock: Sha256,
    /// The architecture that built.
    pub architecture: Architecture,
    /// The .debs, .udebs and dbgsym packages.
    pub outputs: Vec<Output>,
}

/// One package file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Output {
    /// Its name.
    pub name: FileName,
    /// SHA-256 and size of the bytes that would be published.
    pub digest: Digest,
    /// What is inside.
    pub facts: Inspected,
}

/// What the strict reader said of a package file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Inspected {
    /// It is a .deb.
    Readable(Box<DebFacts>),
    /// It is none, and why.
    Malformed(String),
    /// It exceeds a limit, and which.
    TooLarge(String),
}

impl Inspected {
    /// From what the strict reader gave. What it refuses, the gate refuses by rule D1 or D3.
    #[must_use]
    pub fn new(read: Result<Deb, FormatError>) -> Self {
        match read {
            Ok(deb) => match DebFacts::from_deb(&deb) {
                Ok(facts) => Self::Readable(Box::new(facts)),
                Err(error) => Self::Malformed(error.to_string()),
            },
            Err(error @ FormatError::Limit { .. }) => Self::TooLarge(error.to_string()),
            Err(error) => Self::Malformed(error.to_string()),
        }
    }

    /// What the reader found, unless it refused the file.
    #[must_use]
    pub fn facts(&self) -> Option<&DebFacts> {
        match self {
            Self::Readable(facts) => Some(facts),
            Self::Malformed(_) | Self::TooLarge(_) => None,
        }
    }
}

/// Where the files came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Offered {
    /// From the rebuilders themselves: nobody uploaded anything.
    ByRecords,
    /// From an upload.
    Upload {
        /// SHA-256 of the .changes file.
        changes: Sha256,
    },
}

impl Candidate {
    /// Every output with its set, in the order given.
    pub fn outputs(&self) -> impl Iterator<Item = (&OutputSet, &Output)> {
        self.sets
            .iter()
            .flat_map(|set| set.outputs.iter().map(move |output| (set, output)))
    }
}
