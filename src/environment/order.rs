//! In which order declared sources are built, when some are built with packages of others.
//!
//! A source comes after another when a build dependency of it can be a package that the other
//! declares, in an archive and suite that its environments are resolved from. Which packages a build
//! really gets is for [`super::resolve`] to say; this order only makes sure that those of ours are
//! admitted by then.

use std::collections::{BTreeMap, BTreeSet};

use super::EnvironmentError;
use crate::domain::{Architecture, ArchiveName, PackageName};
use crate::format::relation::{Relation, Relations};
use crate::site::{ArchiveConfig, EnvironmentSource, Site};
use crate::source::{BuildDepends, Declaration};

/// A source package of a custom archive.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct SourceName {
    /// The archive that it is declared in.
    pub archive: ArchiveName,
    /// Its name.
    pub source: PackageName,
}

impl std::fmt::Display for SourceName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.archive, self.source)
    }
}

/// A declared source, and where its environments come from.
#[derive(Debug, Clone)]
pub struct Declared {
    /// Which.
    pub name: SourceName,
    /// What is declared.
    pub declaration: Declaration,
    /// `environment` of its archive.
    pub environment: Vec<EnvironmentSource>,
    /// The architecture that builds.
    pub architecture: Architecture,
}

/// A source, with those that must be admitted before it is locked and built.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Step {
    /// Which.
    pub name: SourceName,
    /// Those before it that it is built with, directly; sorted.
    pub after: Vec<SourceName>,
}

/// Every declared source of a site, for [`order`].
///
/// # Errors
/// When a declaration cannot be read.
pub fn declared_sources(site: &Site) -> Result<Vec<Declared>, EnvironmentError> {
    let mut found = Vec::new();
    for (archive, config) in site.archives() {
        let ArchiveConfig::Custom(custom) = config else {
            continue;
        };
        let Some(architecture) = custom.architectures.iter().find(|a| !a.is_all()) else {
            continue;
        };
        for source in site.declared(archive)? {
            found.push(Declared {
                declaration: Declaration::load(&site.declaration_path(archive, &source))?,
                name: SourceName {
                    archive: archive.clone(),
                    source,
                },
                environment: custom.environment.clone(),
                architecture: architecture.clone(),
            });
        }
    }
    Ok(found)
}

/// The sources so that each comes after all that it is built with; those that nothing orders, by name.
///
/// # Errors
/// `Cycle` when sources are built with each other's packages; when build dependencies are malformed.
pub fn order(declared: &[Declared]) -> Result<Vec<Step>, EnvironmentError> {
    let mut waiting: BTreeMap<&SourceName, BTreeSet<SourceName>> = BTreeMap::new();
    for one in declared {
        waiting.insert(&one.name, built_with(one, declared)?);
    }
    let (mut done, mut steps) = (BTreeSet::new(), Vec::new());
    while !waiting.is_empty() {
        let ready = waiting
            .iter()
            .find(|(_, after)| after.iter().all(|name| done.contains(name)));
        let Some(name) = ready.map(|(name, _)| *name) else {
            return Err(EnvironmentError::Cycle { path: cycle(&waiting) });
        };
        let after = waiting.remove(name).unwrap_or_default();
        done.insert(name.clone());
        steps.push(Step {
            name: name.clone(),
            after: after.into_iter().collect(),
        });
    }
    Ok(steps)
}

/// The sources of ours whose packages a build may take.
fn built_with(one: &Declared, all: &[Declared]) -> Result<BTreeSet<SourceName>, EnvironmentError> {
    let offers: Vec<&Declared> = all
        .iter()
        .filter(|other| other.name != one.name && is_offered(other, &one.environment))
        .collect();
    let mut found = BTreeSet::new();
    for relation in relations(&one.declaration.build_depends)? {
        if relation.counts_on(one.architecture.as_str()) {
            let meant = offers.iter().filter(|other| satisfies(other, &relation));
            found.extend(meant.map(|other| other.name.clone()));
        }
    }
    Ok(found)
}

fn is_offered(other: &Declared, environment: &[EnvironmentSource]) -> bool {
    environment.iter().any(|source| {
        source.archive == other.name.archive
            && other.declaration.suites.contains(&source.suite)
            && source.components.contains(&other.declaration.component)
    })
}

/// A version of ours that will not do is nothing to wait for: something else satisfies the relation.
fn satisfies(other: &Declared, relation: &Relation) -> bool {
    let declaration = &other.declaration;
    let makes = |name: &PackageName| {
        let mut packages = declaration.packages.iter();
        packages.any(|package| package.name == *name && package.package_type == "deb")
    };
    makes(&relation.package) && relation.admits(&declaration.version)
}

fn relations(depends: &BuildDepends) -> Result<Vec<Relation>, EnvironmentError> {
    let fields = [&depends.any, &depends.arch, &depends.indep];
    let mut all = Vec::new();
    for field in fields {
        let read = Relations::parse("Build-Depends", field).map_err(EnvironmentError::format("build dependencies"))?;
        all.extend(read.0.into_iter().flatten());
    }
    Ok(all)
}

/// One way round: `a → b → a`, each built with the next.
fn cycle(waiting: &BTreeMap<&SourceName, BTreeSet<SourceName>>) -> String {
    let mut path: Vec<&SourceName> = Vec::new();
    let mut at = waiting.keys().next().copied();
    while let Some(name) = at {
        if let Some(start) = path.iter().position(|seen| *seen == name) {
            path.drain(..start);
            path.push(name);
            break;
        }
        path.push(name);
        let after = waiting.get(name).into_iter().flatten();
        at = after.filter(|next| waiting.contains_key(next)).min();
    }
    let names: Vec<String> = path.into_iter().map(ToString::to_string).collect();
    names.join(" → ")
}
