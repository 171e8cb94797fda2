//! Marks: what people and garbage collection said about editions: keep it, let it go, it is gone.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::chain::Made;
use super::entry::{self, Entry};
use super::{EditionName, SnapshotError};
use crate::domain::{ArchiveName, Sha256, Timestamp};
use crate::store::{Key, Store};

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
    /// Reads every mark of an archive, and checks that each continues the one before it.
    ///
    /// # Errors
    /// When one is not in canonical form, is missing, or does not continue the one before it; the
    /// store's failure.
    pub fn load(store: &dyn Store, archive: &ArchiveName) -> Result<Self, SnapshotError> {
        let mut marks = Self::default();
        for k in 1..=entry::newest(store, |k| Key::mark(archive, k))? {
            let key = Key::mark(archive, k);
            let Some((mark, sha256)) = entry::load::<Mark>(store, &key)? else {
                return Err(SnapshotError::chain(&key, "it was there, and is gone"));
            };
            let previous = marks.newest.as_ref().map(|(_, sha256)| *sha256);
            if mark.format != 1 || mark.previous != previous {
                return Err(SnapshotError::chain(
                    &key,
                    "it does not name the hash of the mark before it, or has a format that this program does not know",
                ));
            }
            marks.apply(&mark);
            marks.identities.push(sha256);
            marks.newest = Some((mark, sha256));
        }
        Ok(marks)
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
