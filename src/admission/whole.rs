//! A source package with everything that is offered of it, whatever proves it: rebuilds, or an upstream's
//! signature. The ledger, the pool and the rules about names, versions and files see no more.

use std::collections::BTreeMap;

use crate::domain::{ArchiveName, Component, PackageName, PolicyName, PoolPath, Sha256, SuiteName, Version};
use crate::source::SourceFile;

use super::candidate::{Candidate, Output, Terms};
use super::facts::DebFacts;

/// What is admitted whole, or refused whole.
#[derive(Debug, Clone)]
pub struct Whole<'a> {
    /// The custom archive.
    pub archive: &'a ArchiveName,
    /// Its suites that the packages would go to.
    pub suites: &'a [SuiteName],
    /// The name of their policy.
    pub policy: &'a PolicyName,
    /// SHA-256 of that policy's canonical JSON, as the caller knows it.
    pub policy_sha256: Sha256,
    /// The component.
    pub component: &'a Component,
    /// The source package.
    pub source: &'a PackageName,
    /// Its version.
    pub version: &'a Version,
    /// The .dsc and what it names.
    pub source_files: &'a [SourceFile],
    /// The packages.
    pub outputs: Vec<&'a Output>,
    /// What else counts.
    pub terms: &'a Terms,
}

impl<'a> From<&'a Candidate> for Whole<'a> {
    fn from(candidate: &'a Candidate) -> Self {
        let declared = &candidate.declaration;
        Self {
            archive: &candidate.archive,
            suites: &candidate.suites,
            policy: &candidate.policy,
            policy_sha256: candidate.policy_sha256,
            component: &declared.component,
            source: &declared.source,
            version: &declared.version,
            source_files: &candidate.source_files,
            outputs: candidate.outputs().map(|(_, output)| output).collect(),
            terms: &candidate.terms,
        }
    }
}

impl<'a> Whole<'a> {
    /// Every output that is a .deb.
    pub fn debs(&self) -> impl Iterator<Item = (&'a Output, &'a DebFacts)> {
        let readable = |output: &&'a Output| output.facts.facts().map(|facts| (*output, facts));
        self.outputs.iter().filter_map(readable)
    }

    /// The package names that the gate wants to know about: the source's, those of the packages, and
    /// those that they provide or replace. The rows of indexes and the ledger must cover them.
    #[must_use]
    pub fn names(&self) -> Vec<PackageName> {
        let mut names = vec![self.source.clone()];
        for (_, facts) in self.debs() {
            names.push(facts.package.clone());
            names.extend(facts.provides.iter().chain(&facts.replaces).cloned());
        }
        names.sort();
        names.dedup();
        names
    }
}

/// Every pool file of a candidate: sources and packages, at Debian's own paths.
///
/// # Errors
/// When a path would not follow the grammar of pool paths, or one path has two contents: in one
/// plain sentence.
pub fn file_set<'a>(whole: impl Into<Whole<'a>>) -> Result<BTreeMap<PoolPath, Sha256>, String> {
    let whole = whole.into();
    let sources = whole.source_files.iter().map(|file| (&file.name, file.digest.sha256));
    let outputs = whole.outputs.iter().map(|output| (&output.name, output.digest.sha256));
    let mut files = BTreeMap::new();
    for (name, sha256) in sources.chain(outputs) {
        let path = PoolPath::in_pool(whole.component, whole.source, name).map_err(|error| error.to_string())?;
        if files.insert(path, sha256).is_some_and(|other| other != sha256) {
            return Err(format!("`{name}` is offered with two contents"));
        }
    }
    Ok(files)
}
