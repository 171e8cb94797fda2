//! The chain of an archive's records: reading it, naming one of it, and adding to it.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::check::check_suites;
use super::entry::{self, Entry};
use super::tag::check_next;
use super::{Edition, EditionName, Marks, Record, Renewal, SnapshotError, SuiteState, TagRecord};
use crate::domain::{ArchiveName, Serial, Sha256, SnapshotId, SnapshotName, SuiteName, Timestamp};
use crate::host::Clock;
use crate::store::{Key, Store, StoreError};

/// The format of records that this program writes and reads.
const FORMAT: u32 = 1;

/// The records of one archive. Only the newest is in memory, with its newest renewal: an archive may
/// have many thousands, of megabytes each.
#[derive(Debug, Clone)]
pub struct Chain {
    archive: ArchiveName,
    head: Option<Head>,
}

#[derive(Debug, Clone)]
struct Head {
    record: Record,
    sha256: Sha256,
    renewal: Option<Renewal>,
}

impl Chain {
    /// Reads the newest record of an archive, and checks it against the one before. One without
    /// records has an empty chain. [`Chain::records`] reads and checks all.
    ///
    /// # Errors
    /// When the record is not in canonical form, does not continue the one before it, or is missing
    /// while a later one is there; the store's failure.
    pub fn load(store: &dyn Store, archive: &ArchiveName) -> Result<Self, SnapshotError> {
        let mut chain = Self::empty(archive);
        let newest = entry::newest(store, |n| Key::record(archive, n))?;
        if newest == 0 {
            return Ok(chain);
        }
        let (record, sha256) = load(store, archive, newest)?;
        let mut walk = Walk::default();
        if newest > 1 {
            let (before, sha256) = load(store, archive, newest - 1)?;
            walk.continue_from(&before, sha256);
        }
        walk.check(archive, &record)?;
        let renewal = Renewal::newest(store, &record)?;
        chain.head = Some(Head {
            record,
            sha256,
            renewal,
        });
        Ok(chain)
    }

    /// That of an archive without records.
    #[must_use]
    pub fn empty(archive: &ArchiveName) -> Self {
        Self {
            archive: archive.clone(),
            head: None,
        }
    }

    /// A chain that does not load, with what stands under the highest number as its head when that can be read by itself;
    /// and the numbers of all records that there are. Only to look at it: nobody may go on from there.
    ///
    /// # Errors
    /// The store's failure.
    pub fn broken(store: &dyn Store, archive: &ArchiveName) -> Result<(Self, Vec<u64>), StoreError> {
        let (folder, mut numbers) = (format!("state/{archive}"), Vec::new());
        store.visit(&folder, &mut |meta| {
            let name = meta.key.as_str().strip_prefix(&folder);
            let number = name.and_then(|name| name.strip_prefix('/')?.strip_suffix(".json")?.parse().ok());
            numbers.extend(number.filter(|n| meta.key == Key::record(archive, *n)));
        })?;
        numbers.sort_unstable();
        let head = numbers.last().and_then(|n| load(store, archive, *n).ok());
        let head = head.map(|(record, sha256)| Head {
            renewal: Renewal::newest(store, &record).ok().flatten(),
            record,
            sha256,
        });
        let archive = archive.clone();
        Ok((Self { archive, head }, numbers))
    }

    /// Whose records these are.
    #[must_use]
    pub fn archive(&self) -> &ArchiveName {
        &self.archive
    }

    /// The newest record; none in a new archive.
    #[must_use]
    pub fn latest(&self) -> Option<&Record> {
        self.head.as_ref().map(|head| &head.record)
    }

    /// The newest renewal of the newest record.
    #[must_use]
    pub fn renewal(&self) -> Option<&Renewal> {
        self.head.as_ref()?.renewal.as_ref()
    }

    /// The newest record as clients see it.
    #[must_use]
    pub fn latest_edition(&self) -> Option<Edition> {
        let head = self.head.as_ref()?;
        Some(Edition::of_record(&head.record, head.renewal.as_ref()))
    }

    /// How many records there are.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.latest().map_or(0, |record| record.n)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.head.is_none()
    }

    /// The number that the next record will have.
    #[must_use]
    pub fn next_number(&self) -> u64 {
        self.len().saturating_add(1)
    }

    /// Record `n`, checked on its own: it stands where its number says. Who signs for it asks for its
    /// signature, too.
    ///
    /// # Errors
    /// When there is none, or it is no record.
    pub fn record(&self, store: &dyn Store, n: u64) -> Result<Record, SnapshotError> {
        match self.latest() {
            Some(latest) if latest.n == n => Ok(latest.clone()),
            _ => load(store, &self.archive, n).map(|(record, _)| record),
        }
    }

    /// The record before one, which names its hash; none before the first.
    ///
    /// # Errors
    /// When it is missing, is no record, or is not the one that is named.
    pub fn before(&self, store: &dyn Store, record: &Record) -> Result<Option<Record>, SnapshotError> {
        let Some(wanted) = record.previous else { return Ok(None) };
        let (before, sha256) = load(store, &self.archive, record.n.saturating_sub(1))?;
        if sha256 != wanted {
            return Err(SnapshotError::chain(
                &record.key(),
                "it does not name the hash of the record before it",
            ));
        }
        Ok(Some(before))
    }

    /// Every record, oldest first, one at a time, each checked against the one before it. Ends after
    /// the first error.
    #[must_use]
    pub fn records<'a>(&'a self, store: &'a dyn Store) -> Records<'a> {
        Records {
            chain: self,
            store,
            walk: Walk::default(),
            ended: false,
        }
    }

    /// The record that a name means. An id that no record has means the newest not after it; a tag,
    /// the record that it is the whole of.
    ///
    /// # Errors
    /// `NotFound`, `LetGo`; what is wrong with records on the way to it.
    pub fn resolve(&self, store: &dyn Store, name: &SnapshotName) -> Result<Record, SnapshotError> {
        let found = match name {
            // The newest is never let go.
            SnapshotName::Latest => return self.latest().cloned().ok_or_else(|| self.not_found(name)),
            SnapshotName::At(id) => self.last_until(store, |record| record.id.cmp(id))?,
            SnapshotName::Serial(serial) => {
                let found = self.last_until(store, |record| record.serial.cmp(serial))?;
                found.filter(|record| record.serial == *serial)
            }
            SnapshotName::Tag(tag) => {
                self.is_there(store, name, &EditionName::Tag(tag.clone()))?;
                let tag = TagRecord::load(store, &self.archive, tag)?;
                if tag.partial {
                    return Err(SnapshotError::Partial {
                        archive: self.archive.clone(),
                        tag: tag.tag,
                    });
                }
                Some(self.record(store, tag.of.n)?)
            }
        };
        let found = found.ok_or_else(|| self.not_found(name))?;
        self.is_there(store, name, &EditionName::Serial(found.serial.clone()))?;
        Ok(found)
    }

    fn not_found(&self, name: &SnapshotName) -> SnapshotError {
        SnapshotError::NotFound {
            archive: self.archive.clone(),
            name: Box::new(name.clone()),
        }
    }

    /// Refuses an edition that is gone. Of an instant, too: another snapshot would be another state.
    fn is_there(&self, store: &dyn Store, name: &SnapshotName, edition: &EditionName) -> Result<(), SnapshotError> {
        match Marks::load(store, &self.archive)?.gone(edition) {
            None => Ok(()),
            Some(at) => Err(SnapshotError::LetGo {
                archive: self.archive.clone(),
                name: Box::new(name.clone()),
                edition: edition.to_string(),
                at,
            }),
        }
    }

    /// What clients see under a name: a snapshot as its newest renewal has it, or a tag.
    ///
    /// # Errors
    /// As `resolve`.
    pub fn edition(&self, store: &dyn Store, name: &SnapshotName) -> Result<Edition, SnapshotError> {
        if let SnapshotName::Tag(tag) = name {
            self.is_there(store, name, &EditionName::Tag(tag.clone()))?;
            return Ok(Edition::of_tag(&TagRecord::load(store, &self.archive, tag)?));
        }
        let record = self.resolve(store, name)?;
        let renewal = Renewal::newest(store, &record)?;
        Ok(Edition::of_record(&record, renewal.as_ref()))
    }

    /// The newest record that does not come after a place, given how a record compares to it: ids and
    /// serials only go forward. It reads a few records only.
    fn last_until(
        &self,
        store: &dyn Store,
        compare: impl Fn(&Record) -> Ordering,
    ) -> Result<Option<Record>, SnapshotError> {
        let (mut found, mut below, mut above) = (None, 0, self.next_number());
        if let Some(latest) = self.latest()
            && compare(latest) != Ordering::Greater
        {
            return Ok(Some(latest.clone()));
        }
        while above - below > 1 {
            let middle = below + (above - below) / 2;
            let record = self.record(store, middle)?;
            if compare(&record) == Ordering::Greater {
                above = middle;
            } else {
                below = middle;
                found = Some(record);
            }
        }
        Ok(found)
    }

    /// The newest Date that clients may have seen of a suite, over gaps too: apt refuses to go back.
    pub(super) fn last_date(&self, store: &dyn Store, suite: &SuiteName) -> Result<Option<Timestamp>, SnapshotError> {
        let Some((record, state)) = self.last_with(store, suite)? else {
            return Ok(None);
        };
        let renewed = Renewal::newest(store, &record)?.map(|renewal| renewal.date);
        Ok(Some(state.date).max(renewed))
    }

    /// The newest record that has a suite, and the suite as it was there.
    ///
    /// # Errors
    /// What is wrong with records on the way to it.
    pub fn last_with(
        &self,
        store: &dyn Store,
        suite: &SuiteName,
    ) -> Result<Option<(Record, SuiteState)>, SnapshotError> {
        let mut next = self.latest().cloned();
        while let Some(record) = next {
            if let Some(state) = record.suites.iter().find(|state| state.suite == *suite).cloned() {
                return Ok(Some((record, state)));
            }
            next = self.before(store, &record)?;
        }
        Ok(None)
    }

    /// The record that would follow. Its id, serial and Dates are later than all before, even when
    /// the clock went back. The `date` of the given suites is not looked at; suites and indexes are
    /// sorted here.
    ///
    /// # Errors
    /// When the day has had its 99 snapshots, or a suite cannot be published as it is.
    pub fn next(
        &self,
        store: &dyn Store,
        mut suites: Vec<SuiteState>,
        made: Made<'_>,
    ) -> Result<Record, SnapshotError> {
        let (latest, now) = (self.latest(), made.now);
        let at = latest.map_or(now, |record| now.max(record.id.timestamp().plus(1)));
        let serial = Serial::next(latest.map(|record| &record.serial), at).map_err(|source| SnapshotError::Full {
            archive: self.archive.clone(),
            source,
        })?;
        for state in &mut suites {
            let last = self.last_date(store, &state.suite)?;
            state.date = last.map_or(now, |last| now.max(last.plus(1)));
            state.indexes.sort_by(|a, b| a.path.cmp(&b.path));
        }
        suites.sort_by(|a, b| a.suite.cmp(&b.suite));
        let record = Record {
            format: FORMAT,
            archive: self.archive.clone(),
            n: self.next_number(),
            previous: self.head.as_ref().map(|head| head.sha256),
            id: SnapshotId::at(at),
            serial,
            reason: made.reason.to_owned(),
            made_by: made.by.to_owned(),
            nonce: made.nonce.to_owned(),
            valid_days: made.valid_days,
            signed_by: Vec::new(),
            suites,
            ledger: latest.and_then(|record| record.ledger),
            marks: latest.and_then(|record| record.marks),
            left: Vec::new(),
        };
        check_suites(&record.suites)?;
        check_next(store, &self.archive, &record.suites)?;
        Ok(record)
    }
}

/// How a record comes about.
#[derive(Debug, Clone, Copy)]
pub struct Made<'a> {
    /// `Valid-Until` of its Release files, in days from the Date.
    pub valid_days: Option<u32>,
    /// Why, in one line.
    pub reason: &'a str,
    /// By which program.
    pub by: &'a str,
    /// Random: with it no two writers ever make the same record.
    pub nonce: &'a str,
    /// When.
    pub now: Timestamp,
    /// What `now` was read from: what has to be dated later than that waits for it.
    pub clock: Clock,
}

/// See [`Chain::records`].
#[derive(Debug)]
pub struct Records<'a> {
    chain: &'a Chain,
    store: &'a dyn Store,
    walk: Walk,
    ended: bool,
}

impl Iterator for Records<'_> {
    type Item = Result<Record, SnapshotError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended || self.walk.n >= self.chain.len() {
            return None;
        }
        let next = self.read();
        self.ended = next.is_err();
        Some(next)
    }
}

impl Records<'_> {
    fn read(&mut self) -> Result<Record, SnapshotError> {
        let archive = &self.chain.archive;
        let (record, sha256) = load(self.store, archive, self.walk.n.saturating_add(1))?;
        self.walk.check(archive, &record)?;
        self.walk.continue_from(&record, sha256);
        match &self.chain.head {
            Some(head) if head.record.n == record.n && head.sha256 != sha256 => {
                Err(SnapshotError::chain(&record.key(), "it changed while it was read"))
            }
            _ => Ok(record),
        }
    }
}

/// What the next record must continue.
#[derive(Debug, Default)]
struct Walk {
    n: u64,
    last: Option<(Sha256, SnapshotId, Serial)>,
    dates: BTreeMap<SuiteName, Timestamp>,
}

impl Walk {
    fn continue_from(&mut self, record: &Record, sha256: Sha256) {
        self.n = record.n;
        self.last = Some((sha256, record.id.clone(), record.serial.clone()));
        let dates = record.suites.iter().map(|state| (state.suite.clone(), state.date));
        self.dates.extend(dates);
    }

    fn check(&self, archive: &ArchiveName, record: &Record) -> Result<(), SnapshotError> {
        let broken = |why: &str| {
            Err(SnapshotError::chain(
                &Key::record(archive, self.n.saturating_add(1)),
                why,
            ))
        };
        if record.previous != self.last.as_ref().map(|(sha256, ..)| *sha256) {
            return broken("it does not name the hash of the record before it");
        }
        if let Some((_, id, serial)) = &self.last {
            if record.id <= *id {
                return broken("its id is not later than that of the record before it");
            }
            if record.serial <= *serial {
                return broken("its serial is not later than that of the record before it");
            }
        }
        for state in &record.suites {
            if self.dates.get(&state.suite).is_some_and(|last| state.date <= *last) {
                return broken(&format!(
                    "the Date of suite `{}` is not later than that of the record before it",
                    state.suite
                ));
            }
        }
        Ok(())
    }
}

/// Record `n`, and its SHA-256.
fn load(store: &dyn Store, archive: &ArchiveName, n: u64) -> Result<(Record, Sha256), SnapshotError> {
    let key = Key::record(archive, n);
    let Some((record, sha256)) = entry::load::<Record>(store, &key)? else {
        return Err(SnapshotError::chain(&key, "it is missing, and a later record is there"));
    };
    if record.format != FORMAT {
        return Err(SnapshotError::chain(
            &key,
            "it has a format that this program does not know",
        ));
    }
    // Of which record: a suite alone would not say what to look at.
    check_suites(&record.suites).map_err(|error| SnapshotError::chain(&key, error.to_string()))?;
    Ok((record, sha256))
}
