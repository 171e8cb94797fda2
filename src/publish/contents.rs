//! Contents indexes of a custom suite: of a package that came, its file list is read from its .deb in
//! the pool; all else comes from the index before.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;

use super::GateError;
use super::forms::{Was, stage_forms};
use crate::domain::{Architecture, ArchiveName, Component, PackageName, PoolPath, SuiteName};
use crate::format::deb::{DebLimits, read_deb};
use crate::format::packages::Binary;
use crate::index::{Catalog, FileList, contents, contents_path, has_index, index_path};
use crate::site::{OwnArchive, OwnKind};
use crate::snapshot::{IndexFile, SuiteState, kept_index, read_plain_index};
use crate::store::{Key, Store};

/// What a package file is in a suite.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Member {
    component: Component,
    architecture: Architecture,
    package: PackageName,
    filename: PoolPath,
}

/// The package files that Contents speaks of; packages of the installer have no place in it.
pub(super) fn members(catalog: &Catalog<'_>) -> BTreeSet<Member> {
    let debs = catalog.binaries().filter(|(_, binary)| is_deb(binary));
    let member = |(component, binary): (&Component, &Binary)| Member {
        component: component.clone(),
        architecture: binary.architecture.clone(),
        package: binary.package.clone(),
        filename: binary.filename.clone(),
    };
    debs.map(member).collect()
}

fn is_deb(binary: &Binary) -> bool {
    binary.filename.as_str().ends_with(".deb")
}

/// Whether a suite has Contents indexes.
pub(super) fn has_contents(state: &SuiteState) -> bool {
    state
        .indexes
        .iter()
        .any(|index| index.path.file_name().starts_with("Contents-"))
}

/// One Contents index, as it is to be.
struct Wanted<'a> {
    path: String,
    /// What it was; none where it could not be read: then nothing may be taken over from it.
    before: Option<Vec<u8>>,
    /// Packages of which it says something else than now.
    changed: BTreeSet<&'a str>,
    /// The package files to be read for it.
    new: Vec<&'a Binary>,
}

/// Stages the Contents of every component and architecture. `old` is what the suite had before.
///
/// # Errors
/// When a .deb is missing or damaged; the store's failure.
pub(super) fn stage_contents<K: OwnKind>(
    store: &dyn Store,
    (archive, suite): (&ArchiveName, &SuiteName),
    config: &OwnArchive<K>,
    (before, old): (Option<&SuiteState>, &BTreeSet<Member>),
    catalog: &Catalog<'_>,
) -> Result<Vec<IndexFile>, GateError> {
    let now = members(catalog);
    let mut wanted = Vec::new();
    for component in &config.components {
        for architecture in config.architectures.iter().filter(|a| has_index(a)) {
            let Some(path) = contents_path(&format!("{component}/binary-{architecture}/Packages")) else {
                continue;
            };
            let kept = before.and_then(|state| Some((state, kept_index(state, &path)?)));
            // What is missing or damaged there is made anew.
            let text = kept.and_then(|(state, index)| read_plain_index(store, archive, &state.suite, index).ok());
            let here = |member: &&Member| {
                let of = &member.architecture;
                member.component == *component && (of == architecture || of.is_all())
            };
            let changed: BTreeSet<&str> = match &text {
                Some(_) => old
                    .symmetric_difference(&now)
                    .filter(here)
                    .map(|member| member.package.as_str())
                    .collect(),
                None => now.iter().filter(here).map(|member| member.package.as_str()).collect(),
            };
            let new = catalog.binaries().filter(|(of, binary)| {
                let matches = binary.architecture == *architecture || binary.architecture.is_all();
                *of == component && matches && is_deb(binary) && changed.contains(binary.package.as_str())
            });
            wanted.push(Wanted {
                new: new.map(|(_, binary)| binary).collect(),
                path,
                before: text,
                changed,
            });
        }
    }
    let lists = file_lists(store, archive, &wanted)?;
    let mut staged = Vec::new();
    for index in &wanted {
        let new: Vec<&FileList> = index
            .new
            .iter()
            .filter_map(|binary| lists.get(&binary.filename))
            .collect();
        let text = contents(index.before.as_deref().unwrap_or_default(), &index.changed, &new)?;
        let was = before.zip(index.before.as_deref());
        let was = was.map(|(state, text)| Was { state, text });
        let path = index_path(index.path.clone())?;
        staged.extend(stage_forms(
            store,
            (archive, suite),
            (path, &text),
            &config.compress,
            was,
        )?);
    }
    Ok(staged)
}

/// The files of each package that has to be read, once.
fn file_lists<'a>(
    store: &dyn Store,
    archive: &ArchiveName,
    wanted: &[Wanted<'a>],
) -> Result<BTreeMap<&'a PoolPath, FileList>, GateError> {
    let binaries = wanted.iter().flat_map(|index| &index.new);
    let files: BTreeMap<&PoolPath, &Binary> = binaries.map(|binary| (&binary.filename, *binary)).collect();
    let lists = files.into_par_iter().map(|(path, binary)| {
        let key = Key::pool(archive, path);
        let deb = read_deb(store.open(&key)?, &DebLimits::default()).map_err(GateError::document(&key))?;
        if deb.digest != binary.digest {
            let found = deb.digest.sha256;
            return Err(GateError::Swapped { key, found });
        }
        Ok((path, FileList::of(&deb)))
    });
    lists.collect()
}
