//! The changelogs of a suite of ours, where its site wants them served: taken out of each package once, when it comes, and kept
//! in the pool, each by its own name, where `apt changelog` asks for it.
//!
//! A file is put into the pool before any index names it; what a crash leaves is unreferenced, and goes with `gc`.

use std::collections::{BTreeMap, BTreeSet};

use super::GateError;
use super::admit::hash;
use super::forms::{Was, stage_forms};
use super::included::in_batches;
use crate::domain::{ArchiveName, Component, Digest, PoolPath, SuiteName};
use crate::format::FormatError;
use crate::format::deb::{DebLimits, read_deb_keeping};
use crate::format::packages::Binary;
use crate::index::{
    CHANGELOGS, Catalog, Listed, changelog_of, changelog_place, changelogs, changelogs_path, index_path,
    may_be_changelog,
};
use crate::site::{IndexForm, OwnArchive, OwnKind};
use crate::snapshot::{IndexFile, SuiteState, kept_index, read_plain_index};
use crate::store::{Created, Key, Store};

/// Whether a suite has indexes of changelogs.
pub(super) fn has_changelogs(state: &SuiteState) -> bool {
    state.indexes.iter().any(|index| index.path.file_name() == CHANGELOGS)
}

/// Packages by component: those that may have a changelog.
pub(super) type Members = BTreeSet<(Component, Listed)>;

/// Those of a catalog.
pub(super) fn listed(catalog: &Catalog<'_>) -> Members {
    let debs = catalog.binaries().filter(|(_, binary)| is_deb(binary));
    debs.map(|(component, binary)| (component.clone(), binary.key()))
        .collect()
}

fn is_deb(binary: &Binary) -> bool {
    binary.filename.as_str().ends_with(".deb")
}

/// The indexes of changelogs that a suite is to have, as it had them: none of a component where they could not be read.
#[derive(Debug)]
pub(super) struct Changelogs(BTreeMap<Component, Option<Vec<u8>>>);

impl Changelogs {
    /// None, where the site asks for none.
    pub(super) fn read<K: OwnKind>(
        store: &dyn Store,
        (archive, config): (&ArchiveName, &OwnArchive<K>),
        before: Option<&SuiteState>,
    ) -> Self {
        let components = config.components.iter().filter(|_| config.extract_changelogs);
        let read = |component: &Component| {
            let state = before?;
            let index = kept_index(state, &changelogs_path(component))?;
            read_plain_index(store, archive, &state.suite, index).ok()
        };
        Self(
            components
                .map(|component| (component.clone(), read(component)))
                .collect(),
        )
    }

    /// Whether each could be read: then what did not change need not be known.
    pub(super) fn are_whole(&self) -> bool {
        self.0.values().all(Option::is_some)
    }

    /// Puts the changelogs of packages that came into the pool, and stages the index of each component. `old` is what the suite
    /// had before of what the catalog may have.
    ///
    /// # Errors
    /// When a .deb is missing or damaged; the store's failure.
    pub(super) fn stage(
        &self,
        store: &dyn Store,
        (archive, suite): (&ArchiveName, &SuiteName),
        forms: &BTreeSet<IndexForm>,
        (before, old): (Option<&SuiteState>, &Members),
        catalog: &Catalog<'_>,
    ) -> Result<Vec<IndexFile>, GateError> {
        let now = listed(catalog);
        let mut staged = Vec::new();
        for (component, text) in &self.0 {
            let of = |members: &Members| -> BTreeSet<Listed> {
                let here = members.iter().filter(|(of, _)| of == component);
                here.map(|(_, listed)| listed.clone()).collect()
            };
            let (now, old) = (of(&now), if text.is_some() { of(old) } else { BTreeSet::new() });
            let gone = old.difference(&now).cloned().collect();
            let came = catalog.binaries().filter(|(of, binary)| {
                let key = binary.key();
                *of == component && is_deb(binary) && now.contains(&key) && !old.contains(&key)
            });
            // One package may be in the indexes of several architectures.
            let came: BTreeMap<Listed, &Binary> = came.map(|(_, binary)| (binary.key(), binary)).collect();
            let came: Vec<(Listed, &Binary)> = came.into_iter().collect();
            let rows = rows(store, archive, component, &came)?;
            let index = changelogs(text.as_deref().unwrap_or_default(), &gone, &rows)?;
            let was = before.zip(text.as_deref());
            let was = was.map(|(state, text)| Was {
                state,
                text,
                milestones: None,
            });
            let path = index_path(changelogs_path(component))?;
            staged.extend(stage_forms(store, (archive, suite), (path, &index), forms, was)?);
        }
        Ok(staged)
    }
}

/// The rows of packages that came and have a changelog, which is in the pool then. Of several packages of one source the first
/// gives it; one that has another under the same name has no row.
fn rows(
    store: &dyn Store,
    archive: &ArchiveName,
    component: &Component,
    came: &[(Listed, &Binary)],
) -> Result<Vec<(Listed, PoolPath, Digest)>, GateError> {
    let read = in_batches(came, |(_, binary)| {
        let key = Key::pool(archive, &binary.filename);
        let stream = store.open(&key)?;
        let deb = read_deb_keeping(stream, &DebLimits::default(), &may_be_changelog);
        let deb = deb.map_err(GateError::document(&key))?;
        if deb.digest != binary.digest {
            let found = deb.digest.sha256;
            return Err(GateError::Swapped { key, found });
        }
        Ok(changelog_of(&deb))
    });
    let mut rows = Vec::new();
    for ((listed, binary), text) in came.iter().zip(read) {
        let Some(text) = text? else { continue };
        let place = changelog_place(component, &binary.source, &binary.source_version);
        let path = place.map_err(|source| {
            GateError::document(CHANGELOGS)(FormatError::Value {
                what: "changelog".to_owned(),
                source,
            })
        })?;
        let (key, digest) = (Key::pool(archive, &path), Digest::of(&text));
        let is_ours = match store.head(&key)? {
            Some(_) => hash(store, &key)? == digest,
            None => store.create(&key, &text)? == Created::Yes,
        };
        if is_ours {
            rows.push((listed.clone(), path, digest));
        }
    }
    Ok(rows)
}
