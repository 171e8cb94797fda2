//! Contents indexes of a custom suite: of a package that came, its file list is read from its .deb in
//! the pool; all else comes from the index before.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::GateError;
use super::forms::{Was, stage_forms};
use super::included::in_batches;
use crate::domain::{Architecture, ArchiveName, Component, PackageName, PoolPath, Sha256, SuiteName};
use crate::format::deb::{DebLimits, read_deb};
use crate::format::packages::Binary;
use crate::index::{Catalog, FileList, contents, contents_path, has_index, index_path};
use crate::site::{IndexForm, OwnArchive, OwnKind};
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

/// File lists that were read already, by the file and its SHA-256.
pub(super) type Lists<'a> = BTreeMap<&'a PoolPath, (Sha256, &'a FileList)>;

/// The Contents of a suite of ours: those that it is to have, as it had them.
#[derive(Debug)]
pub(super) struct Contents(Vec<Before>);

/// Of one component and architecture.
#[derive(Debug)]
struct Before {
    component: Component,
    architecture: Architecture,
    path: String,
    /// What it was; none where it could not be read: then nothing may be taken over from it.
    text: Option<Vec<u8>>,
}

impl Contents {
    /// None, where the site asks for none.
    pub(super) fn read<K: OwnKind>(
        store: &dyn Store,
        (archive, config): (&ArchiveName, &OwnArchive<K>),
        before: Option<&SuiteState>,
    ) -> Self {
        let mut all = Vec::new();
        for component in config.components.iter().filter(|_| config.contents) {
            for architecture in config.architectures.iter().filter(|a| has_index(a)) {
                let Some(path) = contents_path(&format!("{component}/binary-{architecture}/Packages")) else {
                    continue;
                };
                let kept = before.and_then(|state| Some((state, kept_index(state, &path)?)));
                // What is missing or damaged there is made anew.
                let text = kept.and_then(|(state, index)| read_plain_index(store, archive, &state.suite, index).ok());
                all.push(Before {
                    component: component.clone(),
                    architecture: architecture.clone(),
                    path,
                    text,
                });
            }
        }
        Self(all)
    }

    /// Whether each could be read: then what did not change need not be known.
    pub(super) fn are_whole(&self) -> bool {
        self.0.iter().all(|before| before.text.is_some())
    }

    /// Stages each. `old` is what the suite had before of what the catalog may have, and `known` what need not be read.
    ///
    /// # Errors
    /// When a .deb is missing or damaged; the store's failure.
    pub(super) fn stage(
        &self,
        store: &dyn Store,
        (archive, suite): (&ArchiveName, &SuiteName),
        forms: &BTreeSet<IndexForm>,
        (before, old): (Option<&SuiteState>, &BTreeSet<Member>),
        (catalog, known): (&Catalog<'_>, &Lists<'_>),
    ) -> Result<Vec<IndexFile>, GateError> {
        let now = members(catalog);
        let wanted: Vec<Wanted<'_>> = self.0.iter().map(|before| before.wanted(old, &now, catalog)).collect();
        let lists = file_lists(store, archive, &wanted, known)?;
        let mut staged = Vec::new();
        for index in &wanted {
            let new: Vec<&FileList> = index
                .new
                .iter()
                .filter_map(|binary| lists.get(&binary.filename).map(Cow::as_ref))
                .collect();
            let text = contents(index.before.unwrap_or_default(), &index.changed, &new)?;
            let was = before.zip(index.before);
            let was = was.map(|(state, text)| Was {
                state,
                text,
                milestones: None,
            });
            let path = index_path(index.path.to_owned())?;
            staged.extend(stage_forms(store, (archive, suite), (path, &text), forms, was)?);
        }
        Ok(staged)
    }
}

/// One Contents index, as it is to be.
struct Wanted<'a> {
    path: &'a str,
    before: Option<&'a [u8]>,
    /// Packages of which it says something else than now.
    changed: BTreeSet<&'a str>,
    /// The package files to be read for it.
    new: Vec<&'a Binary>,
}

impl Before {
    fn wanted<'a>(
        &'a self,
        old: &'a BTreeSet<Member>,
        now: &'a BTreeSet<Member>,
        catalog: &'a Catalog<'_>,
    ) -> Wanted<'a> {
        let is_here = |of: &Architecture| *of == self.architecture || of.is_all();
        let here = |member: &&Member| member.component == self.component && is_here(&member.architecture);
        let name = |member: &'a Member| member.package.as_str();
        let changed: BTreeSet<&str> = match &self.text {
            Some(_) => old.symmetric_difference(now).filter(here).map(name).collect(),
            None => now.iter().filter(here).map(name).collect(),
        };
        let new = catalog.binaries().filter(|(of, binary)| {
            **of == self.component
                && is_here(&binary.architecture)
                && is_deb(binary)
                && changed.contains(binary.package.as_str())
        });
        Wanted {
            new: new.map(|(_, binary)| binary).collect(),
            path: &self.path,
            before: self.text.as_deref(),
            changed,
        }
    }
}

/// The files of each package that Contents has to be told of, read once.
fn file_lists<'a>(
    store: &dyn Store,
    archive: &ArchiveName,
    wanted: &[Wanted<'a>],
    known: &Lists<'a>,
) -> Result<BTreeMap<&'a PoolPath, Cow<'a, FileList>>, GateError> {
    let binaries = wanted.iter().flat_map(|index| &index.new);
    let files: BTreeMap<&PoolPath, &Binary> = binaries.map(|binary| (&binary.filename, *binary)).collect();
    let (mut lists, mut unread) = (BTreeMap::new(), Vec::new());
    for (path, binary) in files {
        match known.get(path) {
            Some((sha256, list)) if *sha256 == binary.digest.sha256 => drop(lists.insert(path, Cow::Borrowed(*list))),
            _ => unread.push((path, binary)),
        }
    }
    let read = in_batches(&unread, |(path, binary)| {
        let key = Key::pool(archive, path);
        let deb = read_deb(store.open(&key)?, &DebLimits::default()).map_err(GateError::document(&key))?;
        if deb.digest != binary.digest {
            let found = deb.digest.sha256;
            return Err(GateError::Swapped { key, found });
        }
        Ok((*path, FileList::of(&deb)))
    });
    for read in read {
        let (path, list) = read?;
        lists.insert(path, Cow::Owned(list));
    }
    Ok(lists)
}
