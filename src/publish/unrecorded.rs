//! What is published and signed by the archive's key, and has no record.
//!
//! The record comes before the tree, and a tree that is let go loses its InRelease first: so such a tree
//! has lost its record, and nothing else says that it was to be kept.

use std::collections::BTreeSet;

use crate::domain::{ArchiveName, Serial, SuiteName, TagName, Timestamp};
use crate::store::{Key, Store, StoreError};
use crate::trust::{Keyring, Requirement, verify_inrelease};

const LARGEST: u64 = 10_000_000;

/// What the records of an archive tell of.
#[derive(Debug)]
pub struct Recorded<'a> {
    /// Whose.
    pub archive: &'a ArchiveName,
    /// How many records of snapshots there are.
    pub records: u64,
    /// Serials and tags, also of what is gone.
    pub editions: BTreeSet<String>,
    /// All suites that any of them has.
    pub suites: BTreeSet<SuiteName>,
}

/// A signed place without its record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unrecorded {
    /// The record that is missing: of a tag, or of the first or next snapshot.
    pub record: Key,
    /// The signed file.
    pub inrelease: Key,
}

impl Unrecorded {
    /// The folder of the signed file.
    #[must_use]
    pub fn tree(&self) -> &str {
        self.inrelease.as_str().trim_end_matches("InRelease")
    }
}

/// Those among these objects of an archive that its key signed and no record has.
///
/// # Errors
/// When the store cannot be read.
pub fn unrecorded<'k>(
    store: &dyn Store,
    recorded: &Recorded<'_>,
    objects: impl Iterator<Item = &'k Key>,
    keyring: &Keyring,
    now: Timestamp,
) -> Result<Vec<Unrecorded>, StoreError> {
    let mut found = Vec::new();
    for key in objects {
        let Some(record) = recorded.lost(key) else { continue };
        let bytes = match store.get(key, LARGEST) {
            Ok(bytes) => bytes,
            Err(StoreError::Missing(_) | StoreError::TooLarge { .. }) => continue,
            Err(error) => return Err(error),
        };
        let requirement = Requirement {
            keyring,
            threshold: 1,
            now,
        };
        // What somebody else put there was never published by us.
        if verify_inrelease(&bytes, &requirement).is_ok() {
            found.push(Unrecorded {
                record,
                inrelease: key.clone(),
            });
        }
    }
    Ok(found)
}

impl Recorded<'_> {
    /// The record that would explain an InRelease at a place where we publish; none when there is one.
    fn lost(&self, key: &Key) -> Option<Key> {
        let below = key
            .as_str()
            .strip_prefix(self.archive.as_str())?
            .strip_prefix("/dists/")?;
        let place = below.strip_suffix("/InRelease")?;
        if self.suites.iter().any(|suite| suite.as_str() == place) {
            return None;
        }
        let next = Key::record(self.archive, self.records.saturating_add(1));
        if self.records == 0 && self.editions.is_empty() {
            return (!place.ends_with("/upstream")).then_some(next);
        }
        let (suite, name) = place.rsplit_once('/')?;
        if !self.suites.iter().any(|known| known.as_str() == suite) || self.editions.contains(name) {
            return None;
        }
        match (TagName::new(name), Serial::new(name)) {
            (Ok(tag), _) => Some(Key::tag(self.archive, &tag)),
            (_, Ok(_)) => Some(next),
            _ => None,
        }
    }
}
