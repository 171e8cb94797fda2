//! What left the snapshots of an archive, for ever (threat F7): a name that comes back means the same bytes.
//!
//! Owns `state/<archive>/left/<sha256>`: rows of a name and what it had, in no order, written before the
//! snapshot that has them no more. That is true whether or not that snapshot comes, so a run that was killed
//! leaves nothing wrong. Snapshots may be collected; these stay.

use std::io::{self, BufReader, Read};

use sha2::Digest as _;

use super::UpstreamError;
use super::listed::{Bytes, Name, Names, having};
use crate::domain::{ArchiveName, Digest, Sha256};
use crate::store::{Key, Meta, Store, StoreError, hash_stream};

/// A name and what it had.
const ROW: usize = size_of::<Name>() + size_of::<Bytes>();
/// Files that there may be before they are made one.
const MANY: usize = 32;
/// How often it is looked again for files that went meanwhile.
const ATTEMPTS: u32 = 3;
/// Bytes read at once.
const BUFFER: usize = 64 << 10;

/// The files that there are, sorted: the next record names them.
///
/// # Errors
/// The store's failure.
pub fn remembered(store: &dyn Store, archive: &ArchiveName) -> Result<Vec<Digest>, StoreError> {
    let files = store.list(&Key::all_left(archive))?;
    let digest = |meta: &Meta| {
        Some(Digest {
            sha256: meta.key.named_sha256()?,
            size: meta.size,
        })
    };
    Ok(files.iter().filter_map(digest).collect())
}

/// The files that a record names and that are gone, with their rows: a run that was killed before its snapshot may have
/// made one file of them.
///
/// # Errors
/// The store's failure.
pub fn forgotten_rows(store: &dyn Store, archive: &ArchiveName, named: &[Digest]) -> Result<Vec<Key>, StoreError> {
    let there = remembered(store, archive)?;
    let mut lost: Vec<&Digest> = named.iter().filter(|file| !there.contains(file)).collect();
    lost.sort_by_key(|file| file.sha256);
    for whole in there.iter().filter(|file| !named.contains(file)) {
        let part = |lost: &&Digest| lost.size <= whole.size;
        if lost.iter().any(part) {
            let bytes = store.get(&Key::left(archive, &whole.sha256), whole.size)?;
            // The parts stand in it in the order of their names, most of them right after one another.
            let mut reached = 0;
            lost.retain(|lost| match find_rows(&bytes, reached, lost) {
                Some(end) => {
                    reached = end;
                    false
                }
                None => true,
            });
        }
    }
    Ok(lost.iter().map(|lost| Key::left(archive, &lost.sha256)).collect())
}

/// Where these rows end that stand in others, one after the other; looked for from there on first. Who has to hash too much for
/// that is not believed.
fn find_rows(all: &[u8], from: usize, rows: &Digest) -> Option<usize> {
    /// Bytes that are hashed at most.
    const MOST: u64 = 1 << 28;
    let size = usize::try_from(rows.size).ok().filter(|size| *size > 0)?;
    let tries = usize::try_from(MOST / rows.size).unwrap_or(usize::MAX);
    let last = all.len().checked_sub(size)?;
    let starts = (from..=last).step_by(ROW).chain((0..from.min(last)).step_by(ROW));
    let mut ends = starts
        .take(tries.max(1))
        .map(|start| (start, start.saturating_add(size)));
    let is_it =
        |&(start, end): &(usize, usize)| all.get(start..end).is_some_and(|part| Sha256::of(part) == rows.sha256);
    ends.find(is_it).map(|(_, end)| end)
}

/// The memory of an archive.
#[derive(Debug, Clone, Copy)]
pub(super) struct Left<'a> {
    pub(super) store: &'a dyn Store,
    pub(super) archive: &'a ArchiveName,
}

impl Left<'_> {
    /// The first of these names, which are sorted, that had only other bytes when it left; with what it had.
    /// Reads all that ever left, as streams.
    ///
    /// # Errors
    /// `Left`; the store's failure.
    pub(super) fn contradicted(&self, added: Names) -> Result<Option<(Name, Bytes)>, UpstreamError> {
        if added.is_empty() {
            return Ok(None);
        }
        for _ in 0..ATTEMPTS {
            match self.look(&added) {
                // Another run made one file of many meanwhile.
                Err(UpstreamError::Store(StoreError::Missing(_))) => {}
                done => return done,
            }
        }
        self.look(&added)
    }

    fn look(&self, added: &Names) -> Result<Option<(Name, Bytes)>, UpstreamError> {
        let (mut same, mut other) = (Names::new(), Names::new());
        for meta in self.files()? {
            self.each(&meta, &mut |name, had| {
                for bytes in having(added, name) {
                    let to = if bytes == had { &mut same } else { &mut other };
                    to.push((name, had));
                }
            })?;
        }
        same.sort_unstable();
        Ok(other
            .into_iter()
            .find(|(name, _)| having(&same, *name).next().is_none()))
    }

    /// Remembers what leaves.
    ///
    /// # Errors
    /// `Left`; the store's failure.
    pub(super) fn remember(&self, leaving: impl Iterator<Item = (Name, Bytes)>) -> Result<(), UpstreamError> {
        let rows: Vec<u8> = leaving.flat_map(|(name, had)| name.into_iter().chain(had)).collect();
        if rows.is_empty() {
            return Ok(());
        }
        let digest = Digest::of(&rows);
        self.store
            .put_stream(&self.key(&digest), &digest, &mut rows.as_slice())?;
        let files = self.files()?;
        if files.len() <= MANY {
            return Ok(());
        }
        match self.merge(&files) {
            // Another run does the same.
            Err(UpstreamError::Store(StoreError::Missing(_))) => Ok(()),
            done => done,
        }
    }

    /// Makes one file of many. Until each of them is gone its rows are there twice, which says nothing new.
    fn merge(&self, files: &[Meta]) -> Result<(), UpstreamError> {
        let all = || {
            let none: Box<dyn Read + Send> = Box::new(io::empty());
            files.iter().try_fold(none, |before, meta| {
                let next = self.store.open(&meta.key)?;
                Ok::<Box<dyn Read + Send>, StoreError>(Box::new(before.chain(next)))
            })
        };
        for meta in files {
            self.each(meta, &mut |_, _| {})?;
        }
        let digest = hash_stream(&Key::left(self.archive, &Sha256::of(b"")), all()?)?;
        let whole = self.key(&digest);
        self.store.put_stream(&whole, &digest, &mut all()?)?;
        let mut parts = files.iter().filter(|meta| meta.key != whole);
        Ok(parts.try_for_each(|meta| self.store.delete(&meta.key))?)
    }

    fn key(&self, digest: &Digest) -> Key {
        Key::left(self.archive, &digest.sha256)
    }

    fn files(&self) -> Result<Vec<Meta>, UpstreamError> {
        Ok(self.store.list(&Key::all_left(self.archive))?)
    }

    /// Gives each row of a file to `take`. What was given counts only when the file is what its name says.
    fn each(&self, meta: &Meta, take: &mut dyn FnMut(Name, Bytes)) -> Result<(), UpstreamError> {
        let damaged = |why: String| UpstreamError::Left {
            key: meta.key.clone(),
            why,
        };
        let mut reader = BufReader::with_capacity(BUFFER, self.store.open(&meta.key)?);
        let (mut hasher, mut row) = (sha2::Sha256::new(), [0; ROW]);
        for _ in 0..meta.size / ROW as u64 {
            let read = reader.read_exact(&mut row);
            read.map_err(|error| damaged(error.to_string()))?;
            hasher.update(row);
            if let Some((name, had)) = row.split_first_chunk()
                && let Some(had) = had.first_chunk()
            {
                take(*name, *had);
            }
        }
        let found = Sha256::from_bytes(hasher.finalize().into());
        if meta.key == Key::left(self.archive, &found) {
            Ok(())
        } else {
            Err(damaged(format!("its bytes have the SHA-256 {found}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::LocalStore;

    fn row(n: u16, had: u8) -> (Name, Bytes) {
        let mut name = Name::default();
        name[..2].copy_from_slice(&n.to_be_bytes());
        (name, [had; 16])
    }

    #[test]
    fn many_files_become_one_and_say_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let store = LocalStore::open(&folder.path().join("store")).unwrap();
        let archive = "foundry".parse().unwrap();
        let left = Left {
            store: &store,
            archive: &archive,
        };
        let most = u16::try_from(MANY).unwrap() * 2;
        for n in 0..most {
            left.remember([row(n, 1)].into_iter()).unwrap();
            assert!(left.files().unwrap().len() <= MANY);
        }
        left.remember(std::iter::empty()).unwrap();
        // A kill before the parts were removed leaves their rows twice.
        left.remember([row(0, 1)].into_iter()).unwrap();
        for n in 0..most {
            assert_eq!(left.contradicted(vec![row(n, 1)]).unwrap(), None);
            assert_eq!(left.contradicted(vec![row(n, 2)]).unwrap(), Some(row(n, 1)));
        }
        assert_eq!(left.contradicted(vec![row(most, 2)]).unwrap(), None);
        // Of what a record names nothing is forgotten when it was put together, and what is gone is.
        for n in [900, 901] {
            left.remember([row(n, 1)].into_iter()).unwrap();
        }
        let named = remembered(&store, &archive).unwrap();
        assert!(named.len() > 1);
        left.merge(&left.files().unwrap()).unwrap();
        assert_ne!(remembered(&store, &archive).unwrap(), named);
        assert_eq!(forgotten_rows(&store, &archive, &named).unwrap(), []);
        // Also of large ones, of which few can be tried at each place.
        for first in 0..4 {
            left.remember((0..20_000).map(|n| row(n, first))).unwrap();
        }
        let large = remembered(&store, &archive).unwrap();
        left.merge(&left.files().unwrap()).unwrap();
        assert_eq!(forgotten_rows(&store, &archive, &large).unwrap(), []);
        let stranger = Digest::of(&[7; ROW]);
        let lost = [named, vec![stranger]].concat();
        let key = left.key(&stranger);
        assert_eq!(forgotten_rows(&store, &archive, &lost).unwrap(), [key]);
        // Who had both may have either.
        left.remember([row(0, 2)].into_iter()).unwrap();
        assert_eq!(left.contradicted(vec![row(0, 1)]).unwrap(), None);
        assert_eq!(left.contradicted(vec![row(0, 2)]).unwrap(), None);
    }
}
