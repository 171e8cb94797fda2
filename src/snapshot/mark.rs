//! Marks: what people and garbage collection said about editions: keep it, let it go, it is gone.
//!
//! Each is kept twice: `marks/<k>.json` is made first and is the lock between writers, `said/<k>.json` is its copy. What
//! is to be kept must not hang on one file: a mark counts while either is there, and records name the newest ([`Marked`]).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::chain::Made;
use super::entry::{self, Entry};
use super::{EditionName, SnapshotError};
use crate::domain::{ArchiveName, Sha256, Timestamp};
use crate::store::{Key, Meta, Store, StoreError};

/// Mark `k` of an archive; mark `k` names the hash of mark `k − 1`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Mark {
    /// The format of this file: 1.
    pub format: u32,
    /// Whose editions are meant.
    pub archive: ArchiveName,
    /// 1, 2, 3, …
    pub k: u64,
    /// SHA-256 of mark `k − 1`; absent in the first.
    pub previous: Option<Sha256>,
    /// When it was made.
    pub at: Timestamp,
    /// What it says.
    pub says: Says,
    /// Which program made it.
    pub made_by: String,
    /// Random, so that two writers never make the same bytes.
    pub nonce: String,
}

/// What a mark says. Of two about one edition the later counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum Says {
    /// Keep it, whatever its age.
    #[serde(rename_all = "kebab-case")]
    Keep {
        /// Which edition.
        name: EditionName,
        /// Until when; absent: until it is let go.
        until: Option<Timestamp>,
    },
    /// Let it go, whatever its age: the next garbage collection takes it.
    #[serde(rename_all = "kebab-case")]
    Drop {
        /// Which edition.
        name: EditionName,
    },
    /// They are gone: from now on no name means them. Written before the first of their objects is removed.
    #[serde(rename_all = "kebab-case")]
    Gone {
        /// Which editions, sorted.
        names: Vec<EditionName>,
    },
}

impl Entry for Mark {
    fn archive(&self) -> &ArchiveName {
        &self.archive
    }

    fn key(&self) -> Key {
        Key::mark(&self.archive, self.k)
    }

    fn title(&self) -> String {
        format!("mark {} {}", self.archive, self.k)
    }

    fn made_at(&self) -> Timestamp {
        self.at
    }
}

/// The newest mark as a record names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Marked {
    /// Its number.
    pub k: u64,
    /// Its SHA-256.
    pub mark: Sha256,
}

/// A mark, or its copy, that is not there as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DamagedMark {
    /// Where it should be.
    pub key: Key,
    /// Whether nothing is there.
    pub is_missing: bool,
    /// Whether it is the copy.
    pub is_copy: bool,
    /// What must be there, when either of the two still has it.
    pub bytes: Option<Vec<u8>>,
}

/// What all marks of an archive together say.
#[derive(Debug, Clone, Default)]
pub struct Marks {
    newest: Option<(Mark, Sha256)>,
    /// SHA-256 of each, the first first.
    identities: Vec<Sha256>,
    kept: BTreeMap<EditionName, Option<Timestamp>>,
    dropped: BTreeSet<EditionName>,
    gone: BTreeMap<EditionName, Timestamp>,
}

impl Marks {
    /// Reads every mark of an archive, from its copy where that is lost or changed. The newest vouches for those before,
    /// since each names the hash of the one before it.
    ///
    /// # Errors
    /// When one is missing or changed, and so is its copy; the store's failure.
    pub fn load(store: &dyn Store, archive: &ArchiveName) -> Result<Self, SnapshotError> {
        let is_there = |k: u64| -> Result<bool, StoreError> {
            Ok(store.head(&Key::mark(archive, k))?.is_some() || store.head(&Key::mark_again(archive, k))?.is_some())
        };
        let mut k = entry::newest_of(&is_there, |k| Key::mark(archive, k))?;
        let (mut found, mut wanted) = (Vec::new(), None);
        while k > 0 {
            let (mark, sha256) = match wanted {
                None => newest(store, archive, k)?,
                Some(wanted) => named(store, archive, k, &wanted)?,
            };
            wanted = mark.previous;
            if mark.format != 1 || wanted.is_some() != (k > 1) {
                return Err(SnapshotError::chain(
                    &Key::mark(archive, k),
                    "it does not name the hash of the mark before it, or has a format that this program does not know",
                ));
            }
            found.push((mark, sha256));
            k -= 1;
        }
        let mut marks = Self::default();
        for (mark, sha256) in found.into_iter().rev() {
            marks.apply(&mark);
            marks.identities.push(sha256);
            marks.newest = Some((mark, sha256));
        }
        Ok(marks)
    }

    /// How a record names the newest of them, and so all.
    #[must_use]
    pub fn named(&self) -> Option<Marked> {
        let newest = self.newest.as_ref();
        newest.map(|(mark, sha256)| Marked {
            k: mark.k,
            mark: *sha256,
        })
    }

    /// Whether they have all that a record names; of one that names none they do.
    #[must_use]
    pub fn have(&self, named: Option<&Marked>) -> bool {
        named.is_none_or(|named| self.identity_of(named.k) == Some(named.mark))
    }

    /// Makes the copies that are not there. Doing it again after any failure is safe.
    ///
    /// # Errors
    /// The store's failure.
    pub fn copy(&self, store: &dyn Store, archive: &ArchiveName) -> Result<(), SnapshotError> {
        if store.list(&Key::marks_again(archive))?.len() >= self.identities.len() {
            return Ok(());
        }
        for lost in self.damaged(store, archive, self.named().as_ref())? {
            if let Some(bytes) = lost.bytes.filter(|_| lost.is_missing && lost.is_copy) {
                store.create(&lost.key, &bytes)?;
            }
        }
        Ok(())
    }

    /// The marks and copies that are missing or changed. That marks from before there were copies have none is no damage:
    /// what `named` names, and all after the first that is there, must have them.
    ///
    /// # Errors
    /// The store's failure.
    pub fn damaged(
        &self,
        store: &dyn Store,
        archive: &ArchiveName,
        named: Option<&Marked>,
    ) -> Result<Vec<DamagedMark>, SnapshotError> {
        let mut found = Vec::new();
        let copies = store.list(&Key::marks_again(archive))?;
        let number = |meta: &Meta| {
            meta.key
                .as_str()
                .rsplit('/')
                .next()?
                .strip_suffix(".json")?
                .parse::<u64>()
                .ok()
        };
        let first = copies.iter().filter_map(number).min();
        for (k, sha256) in (1_u64..).zip(&self.identities) {
            let [mark, copy] = [Key::mark(archive, k), Key::mark_again(archive, k)];
            let read = |key: &Key| entry::read(store, key);
            let is_good = |bytes: &Vec<u8>| Sha256::of(bytes) == *sha256;
            let (mark_bytes, copy_bytes) = (read(&mark)?, read(&copy)?);
            let good = mark_bytes
                .iter()
                .chain(&copy_bytes)
                .find(|bytes| is_good(bytes))
                .cloned();
            let has_copy = named.is_some_and(|named| k <= named.k) || first.is_some_and(|first| k >= first);
            for (key, bytes, is_copy) in [(mark, mark_bytes, false), (copy, copy_bytes, true)] {
                if bytes.as_ref().is_some_and(is_good) || (bytes.is_none() && is_copy && !has_copy) {
                    continue;
                }
                found.push(DamagedMark {
                    key,
                    is_missing: bytes.is_none(),
                    is_copy,
                    bytes: good.clone(),
                });
            }
        }
        Ok(found)
    }

    fn apply(&mut self, mark: &Mark) {
        match &mark.says {
            Says::Keep { name, until } => {
                self.dropped.remove(name);
                self.kept.insert(name.clone(), *until);
            }
            Says::Drop { name } => {
                self.kept.remove(name);
                self.dropped.insert(name.clone());
            }
            Says::Gone { names } => {
                for name in names {
                    self.kept.remove(name);
                    self.dropped.remove(name);
                    self.gone.insert(name.clone(), mark.at);
                }
            }
        }
    }

    /// The newest mark, which vouches for those before it; none when there never was one.
    #[must_use]
    pub fn newest(&self) -> Option<&Mark> {
        self.newest.as_ref().map(|(mark, _)| mark)
    }

    /// SHA-256 of mark `k`, when there is one.
    #[must_use]
    pub fn identity_of(&self, k: u64) -> Option<Sha256> {
        let at = usize::try_from(k.checked_sub(1)?).ok()?;
        self.identities.get(at).copied()
    }

    /// The mark that would follow.
    #[must_use]
    pub fn next(&self, archive: &ArchiveName, says: Says, made: Made<'_>) -> Mark {
        Mark {
            format: 1,
            archive: archive.clone(),
            k: self.newest().map_or(1, |mark| mark.k.saturating_add(1)),
            previous: self.newest.as_ref().map(|(_, sha256)| *sha256),
            at: made.now,
            says,
            made_by: made.by.to_owned(),
            nonce: made.nonce.to_owned(),
        }
    }

    /// Whether an edition is marked to be kept at `now`, and until when.
    #[must_use]
    pub fn kept(&self, name: &EditionName, now: Timestamp) -> Option<Option<Timestamp>> {
        self.kept
            .get(name)
            .copied()
            .filter(|until| until.is_none_or(|until| until > now))
    }

    /// Whether an edition was let go by hand.
    #[must_use]
    pub fn is_dropped(&self, name: &EditionName) -> bool {
        self.dropped.contains(name)
    }

    /// When an edition was removed; none of one that is there.
    #[must_use]
    pub fn gone(&self, name: &EditionName) -> Option<Timestamp> {
        self.gone.get(name).copied()
    }
}

/// Mark `k`, which a later one names by this hash.
fn named(store: &dyn Store, archive: &ArchiveName, k: u64, wanted: &Sha256) -> Result<(Mark, Sha256), SnapshotError> {
    let key = Key::mark(archive, k);
    for place in [key.clone(), Key::mark_again(archive, k)] {
        if let Some(bytes) = entry::read(store, &place)?
            && Sha256::of(&bytes) == *wanted
        {
            return Ok((entry::parse_entry(&key, &bytes)?, *wanted));
        }
    }
    let why = match store.head(&key)? {
        Some(_) => "it is not the mark that the one after it names, and its copy is not either",
        None => "it was there, and is gone",
    };
    Err(SnapshotError::chain(&key, why))
}

/// Mark `k`, which no later one names. Where it and its copy differ, the one that was signed.
fn newest(store: &dyn Store, archive: &ArchiveName, k: u64) -> Result<(Mark, Sha256), SnapshotError> {
    let (key, mut first) = (Key::mark(archive, k), None);
    for place in [key.clone(), Key::mark_again(archive, k)] {
        let Some(bytes) = entry::read(store, &place)? else {
            continue;
        };
        let sha256 = Sha256::of(&bytes);
        let read = entry::parse_entry(&key, &bytes).map(|mark| (mark, sha256));
        if read.is_ok() && store.head(&Key::signature(archive, &sha256))?.is_some() {
            return read;
        }
        first.get_or_insert(read);
    }
    first.unwrap_or_else(|| Err(SnapshotError::chain(&key, "it was there, and is gone")))
}
