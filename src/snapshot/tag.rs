//! Tags: names for states that are kept until they are let go.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::check::check_suites;
use super::entry::{self, Entry};
use super::{EditionName, Marks, SnapshotError, SuiteState};
use crate::domain::{ArchiveName, Serial, Sha256, SnapshotId, SnapshotName, TagName, Timestamp};
use crate::store::{Key, Store};

/// A tagged snapshot of one archive: whole, or only what a manifest names. It has no `Valid-Until`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TagRecord {
    /// The format of this file: 1.
    pub format: u32,
    /// Whose state this is.
    pub archive: ArchiveName,
    /// Its name.
    pub tag: TagName,
    /// When it was made.
    pub id: SnapshotId,
    /// The snapshot that it was made from.
    pub of: TaggedRecord,
    /// Whether it has only some of that snapshot's packages.
    pub partial: bool,
    /// Why it was made, in one line.
    pub reason: String,
    /// Which program made it.
    pub made_by: String,
    /// Random, so that two writers never make the same bytes.
    pub nonce: String,
    /// The suites, sorted by name; those of the snapshot, with a Date of their own.
    pub suites: Vec<SuiteState>,
}

/// A snapshot, named for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TaggedRecord {
    /// Its number.
    pub n: u64,
    /// Its serial.
    pub serial: Serial,
    /// SHA-256 of its record.
    pub record: Sha256,
}

impl Entry for TagRecord {
    fn archive(&self) -> &ArchiveName {
        &self.archive
    }

    fn key(&self) -> Key {
        Key::tag(&self.archive, &self.tag)
    }

    fn title(&self) -> String {
        format!("tag {} {}", self.archive, self.tag)
    }

    fn made_at(&self) -> Timestamp {
        self.id.timestamp()
    }
}

impl TagRecord {
    /// The tag of this name, when the archive has one.
    ///
    /// # Errors
    /// When it is not in canonical form, or cannot be published as it is; the store's failure.
    pub fn find(store: &dyn Store, archive: &ArchiveName, tag: &TagName) -> Result<Option<Self>, SnapshotError> {
        let key = Key::tag(archive, tag);
        let Some((found, _)) = entry::load::<Self>(store, &key)? else {
            return Ok(None);
        };
        if found.format != 1 {
            return Err(SnapshotError::chain(
                &key,
                "it has a format that this program does not know",
            ));
        }
        found.check()?;
        Ok(Some(found))
    }

    /// The tag of this name.
    ///
    /// # Errors
    /// As `find`; `NotFound`.
    pub fn load(store: &dyn Store, archive: &ArchiveName, tag: &TagName) -> Result<Self, SnapshotError> {
        Self::find(store, archive, tag)?.ok_or_else(|| SnapshotError::NotFound {
            archive: archive.clone(),
            name: Box::new(SnapshotName::Tag(tag.clone())),
        })
    }

    /// All tags of an archive, by name.
    ///
    /// # Errors
    /// As `find`.
    pub fn all(store: &dyn Store, archive: &ArchiveName) -> Result<Vec<Self>, SnapshotError> {
        let mut tags = Vec::new();
        for tag in names(store, archive)? {
            tags.extend(Self::find(store, archive, &tag)?);
        }
        Ok(tags)
    }

    /// Whether it would have files where the newest snapshot of its archive has its own.
    ///
    /// # Errors
    /// `Clash`.
    pub fn check_apart(
        archive: &ArchiveName,
        tag: &TagName,
        of: &[SuiteState],
        newest: &[SuiteState],
    ) -> Result<(), SnapshotError> {
        match newest.iter().find(|state| overlaps(tag, of, state)) {
            None => Ok(()),
            Some(state) => Err(SnapshotError::Clash {
                archive: archive.clone(),
                suite: state.suite.clone(),
                tag: tag.clone(),
            }),
        }
    }

    /// Whether it can be published: as for records.
    ///
    /// # Errors
    /// `Suite`, with what cannot.
    pub fn check(&self) -> Result<(), SnapshotError> {
        Self::check_apart(&self.archive, &self.tag, &self.suites, &self.suites)?;
        check_suites(&self.suites)
    }
}

fn names(store: &dyn Store, archive: &ArchiveName) -> Result<Vec<TagName>, SnapshotError> {
    let named = |key: &Key| {
        let name = key.as_str().rsplit('/').next().unwrap_or_default();
        let tag = name.strip_suffix(".json").and_then(|name| TagName::new(name).ok());
        tag.ok_or_else(|| SnapshotError::chain(key, "its name is not that of a tag"))
    };
    let metas = store.list(&Key::tags(archive))?;
    metas.iter().map(|meta| named(&meta.key)).collect()
}

/// Whether a suite, or an index of it, lies in the folder of a tag of these suites.
fn overlaps(tag: &TagName, tagged: &[SuiteState], state: &SuiteState) -> bool {
    tagged.iter().any(|of| {
        let folder = format!("{}/{tag}/", of.suite);
        let below = |path: &str| format!("{}/{path}", state.suite).starts_with(&folder);
        below("") || state.indexes.iter().any(|index| below(index.path.as_str()))
    })
}

/// Checks that the next snapshot has no file in the folder of a tag: a component or suite may have come that is named as one.
/// A tag that is gone has no folder.
pub(super) fn check_next(store: &dyn Store, archive: &ArchiveName, suites: &[SuiteState]) -> Result<(), SnapshotError> {
    let paths = suites.iter().flat_map(|state| {
        let indexes = state.indexes.iter().flat_map(|index| index.path.as_str().split('/'));
        state.suite.as_str().split('/').chain(indexes)
    });
    let folders: BTreeSet<&str> = paths.collect();
    for tag in names(store, archive)? {
        if !folders.contains(tag.as_str())
            || Marks::load(store, archive)?
                .gone(&EditionName::Tag(tag.clone()))
                .is_some()
        {
            continue;
        }
        if let Some(found) = TagRecord::find(store, archive, &tag)? {
            TagRecord::check_apart(archive, &tag, &found.suites, suites)?;
        }
    }
    Ok(())
}
