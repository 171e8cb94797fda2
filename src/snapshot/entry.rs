//! What the state of an archive consists of: entries, each one canonical JSON file that is created
//! if absent and never changed. After a crash an entry is there, whole, or not at all.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::SnapshotError;
use crate::domain::{ArchiveName, Sha256, Timestamp};
use crate::format::{FormatError, json};
use crate::store::{Created, Key, Store, StoreError};

/// The most that an entry may have, in bytes.
const LARGEST: u64 = 64 << 20;

/// A snapshot record, a renewal or a tag.
pub trait Entry: Serialize + DeserializeOwned {
    /// Whose state it belongs to.
    fn archive(&self) -> &ArchiveName;

    /// Its name in the store: the only entry that may stand there.
    fn key(&self) -> Key;

    /// What and which it is, in words that no other entry has: `record debian 7`.
    fn title(&self) -> String;

    /// When it was made.
    fn made_at(&self) -> Timestamp;

    /// The latest instant that anything signed for it is of.
    fn dated(&self) -> Timestamp {
        self.made_at()
    }

    /// The file's bytes.
    ///
    /// # Errors
    /// Never for what was read or made by this program.
    fn bytes(&self) -> Result<Vec<u8>, SnapshotError> {
        json::canonical("entry", self).map_err(|source| SnapshotError::Record {
            key: self.key(),
            source,
        })
    }

    /// The SHA-256 of the file.
    ///
    /// # Errors
    /// As `bytes`.
    fn identity(&self) -> Result<Sha256, SnapshotError> {
        Ok(Sha256::of(&self.bytes()?))
    }
}

/// Whether an entry was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Committed {
    /// It is.
    Yes,
    /// Another writer was faster: load the chain again, and start over from it.
    Conflict,
}

/// Makes an entry: the only commit point. After an error the outcome is unknown, and committing the
/// same entry again tells.
///
/// # Errors
/// The store's failure.
pub fn commit(store: &dyn Store, entry: &impl Entry) -> Result<Committed, SnapshotError> {
    Ok(match store.create(&entry.key(), &entry.bytes()?)? {
        Created::Yes => Committed::Yes,
        Created::No => Committed::Conflict,
    })
}

/// The bytes of an entry, when there is one.
pub(super) fn read(store: &dyn Store, key: &Key) -> Result<Option<Vec<u8>>, StoreError> {
    match store.get(key, LARGEST) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(StoreError::Missing(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The entry that has these bytes, which must be its canonical form.
///
/// # Errors
/// When it is not, or is the entry of another name.
pub fn parse_entry<E: Entry>(key: &Key, bytes: &[u8]) -> Result<E, SnapshotError> {
    let in_entry = |source: FormatError| SnapshotError::Record {
        key: key.clone(),
        source,
    };
    let entry: E = json::strict("entry", bytes).map_err(in_entry)?;
    if entry.bytes()? != bytes {
        return Err(SnapshotError::chain(key, "it is not in canonical form"));
    }
    if entry.key() != *key {
        let title = entry.title();
        return Err(SnapshotError::chain(
            key,
            format!("it is {title}, which has another name"),
        ));
    }
    Ok(entry)
}

/// The entry under a name, when there is one, with its SHA-256.
pub(super) fn load<E: Entry>(store: &dyn Store, key: &Key) -> Result<Option<(E, Sha256)>, SnapshotError> {
    match read(store, key)? {
        Some(bytes) => Ok(Some((parse_entry(key, &bytes)?, Sha256::of(&bytes)))),
        None => Ok(None),
    }
}

/// The number of the newest of entries that are numbered 1, 2, 3, … without a hole; 0 when there is
/// none. It looks at a few names only, however many there are.
///
/// # Errors
/// When an entry is missing while the one after it is there; the store's failure.
pub fn newest(store: &dyn Store, key: impl Fn(u64) -> Key) -> Result<u64, SnapshotError> {
    newest_of(&|n| store.head(&key(n)).map(|meta| meta.is_some()), &key)
}

/// The same, of what counts as there.
pub(super) fn newest_of(
    is_there: &dyn Fn(u64) -> Result<bool, StoreError>,
    key: impl Fn(u64) -> Key,
) -> Result<u64, SnapshotError> {
    let mut above: u64 = 1;
    while is_there(above)? {
        above = above.saturating_mul(2);
    }
    let mut below = above / 2;
    while above - below > 1 {
        let middle = below + (above - below) / 2;
        if is_there(middle)? {
            below = middle;
        } else {
            above = middle;
        }
    }
    // Writers may be faster than our looks: only a hole that stays is one.
    while is_there(below + 2)? {
        if !is_there(below + 1)? {
            return Err(SnapshotError::chain(
                &key(below + 1),
                "it is missing, and a later one is there",
            ));
        }
        below += 2;
    }
    Ok(below)
}
