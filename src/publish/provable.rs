//! Which of the source packages behind some packages the site declares: those could go through the gate.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::domain::{ArchiveName, PackageName, Version};
use crate::site::{ArchiveConfig, Site};
use crate::source::Declaration;

use super::{GateError, IncludeError, Included};

/// A source package, and who declares it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Provable {
    /// The source package.
    pub source: PackageName,
    /// How many of its packages there are.
    pub packages: usize,
    /// The custom archives that declare it, each with the version that it declares: what is rebuilt from there could take its
    /// place. Without any, `assay declare` is the first step.
    pub declared: BTreeMap<ArchiveName, Version>,
}

/// Every source package of some packages, by name.
///
/// # Errors
/// When a declaration cannot be read.
pub fn provable(site: &Site, packages: &[Included]) -> Result<Vec<Provable>, IncludeError> {
    let mut sources: BTreeMap<&PackageName, usize> = BTreeMap::new();
    for package in packages {
        *sources.entry(&package.source).or_default() += 1;
    }
    let custom = site.archives().iter();
    let custom = custom.filter(|(_, config)| matches!(config, ArchiveConfig::Custom(_)));
    let mut declared: Vec<(&ArchiveName, BTreeSet<PackageName>)> = Vec::new();
    for (archive, _) in custom {
        let names = site.declared(archive).map_err(|error| unread(&error))?;
        declared.push((archive, names.into_iter().collect()));
    }
    let provable = |(source, packages): (&PackageName, usize)| {
        let by = declared.iter().filter(|(_, names)| names.contains(source));
        let version = |archive: &ArchiveName| {
            let path = site.declaration_path(archive, source);
            Declaration::load(&path)
                .map(|declaration| declaration.version)
                .map_err(|error| unread(&error))
        };
        Ok(Provable {
            source: source.clone(),
            packages,
            declared: by
                .map(|(archive, _)| Ok(((*archive).clone(), version(archive)?)))
                .collect::<Result<_, IncludeError>>()?,
        })
    };
    sources.into_iter().map(provable).collect()
}

fn unread(error: &dyn std::fmt::Display) -> IncludeError {
    IncludeError::Gate(GateError::NotImportable { why: error.to_string() })
}
