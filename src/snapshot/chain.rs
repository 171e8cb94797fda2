//! The chain of an archive's records: reading it, naming one of it, and adding to it.

use super::check::check;
use super::{Record, SnapshotError, SuiteState};
use crate::domain::{ArchiveName, Serial, Sha256, SnapshotId, SnapshotName, SuiteName, Timestamp};
use crate::format::json;
use crate::store::{Created, Key, Store, StoreError};

/// The most that a record may have, in bytes.
const LARGEST: u64 = 64 << 20;
/// The format of records that this program writes and reads.
const FORMAT: u32 = 1;

/// All records of one archive, oldest first, each checked against the one before it.
#[derive(Debug, Clone)]
pub struct Chain {
    archive: ArchiveName,
    records: Vec<Record>,
    /// SHA-256 of the newest record's file.
    head: Option<Sha256>,
}

/// Whether a record became the archive's next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Committed {
    /// It is.
    Yes,
    /// Another writer was faster: load the chain again, and start over from it.
    Conflict,
}

impl Chain {
    /// Reads every record of an archive. One without records has an empty chain.
    ///
    /// # Errors
    /// When a record is not in canonical form, does not continue the one before it, or is missing
    /// while a later one is there; the store's failure.
    pub fn load(store: &dyn Store, archive: &ArchiveName) -> Result<Self, SnapshotError> {
        let mut chain = Self {
            archive: archive.clone(),
            records: Vec::new(),
            head: None,
        };
        while let Some(bytes) = chain.read_next(store)? {
            chain.push(&bytes)?;
        }
        Ok(chain)
    }

    /// Whose records these are.
    #[must_use]
    pub fn archive(&self) -> &ArchiveName {
        &self.archive
    }

    /// Every record, oldest first.
    #[must_use]
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// The newest record; none in a new archive.
    #[must_use]
    pub fn latest(&self) -> Option<&Record> {
        self.records.last()
    }

    /// The number that the next record will have.
    #[must_use]
    pub fn next_number(&self) -> u64 {
        self.latest().map_or(1, |record| record.n.saturating_add(1))
    }

    /// The record that a name means. An id that no record has means the newest not after it.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn resolve(&self, name: &SnapshotName) -> Result<&Record, SnapshotError> {
        let mut newest_first = self.records.iter().rev();
        let found = match name {
            SnapshotName::Latest => newest_first.next(),
            SnapshotName::At(id) => newest_first.find(|record| record.id <= *id),
            SnapshotName::Serial(serial) => newest_first.find(|record| record.serial == *serial),
            SnapshotName::Tag(_) => None,
        };
        found.ok_or_else(|| SnapshotError::NotFound {
            archive: self.archive.clone(),
            name: Box::new(name.clone()),
        })
    }

    /// The bytes of the next record, when there is one.
    fn read_next(&self, store: &dyn Store) -> Result<Option<Vec<u8>>, SnapshotError> {
        let n = self.next_number();
        let key = Key::record(&self.archive, n);
        if let Some(bytes) = read(store, &key)? {
            return Ok(Some(bytes));
        }
        if store.head(&Key::record(&self.archive, n.saturating_add(1)))?.is_none() {
            return Ok(None);
        }
        // Two writers may have been faster than our two looks: only a hole that stays is one.
        match read(store, &key)? {
            Some(bytes) => Ok(Some(bytes)),
            None => Err(SnapshotError::Chain {
                key,
                why: "it is missing, and a later record is there".to_owned(),
            }),
        }
    }

    fn push(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        let key = Key::record(&self.archive, self.next_number());
        let in_record = |source| SnapshotError::Record {
            key: key.clone(),
            source,
        };
        let record: Record = json::strict("snapshot record", bytes).map_err(in_record)?;
        if json::canonical("snapshot record", &record).map_err(in_record)? != bytes {
            return Err(self.broken("it is not in canonical form"));
        }
        self.check_next(&record)?;
        self.head = Some(Sha256::of(bytes));
        self.records.push(record);
        Ok(())
    }

    /// Checks that a record continues this chain.
    fn check_next(&self, record: &Record) -> Result<(), SnapshotError> {
        if record.format != FORMAT {
            return Err(self.broken("it has a format that this program does not know"));
        }
        if record.archive != self.archive {
            return Err(self.broken("it is of another archive"));
        }
        if record.n != self.next_number() {
            return Err(self.broken("its number is not that of its name"));
        }
        if record.previous != self.head {
            return Err(self.broken("it does not name the hash of the record before it"));
        }
        if let Some(latest) = self.latest() {
            if record.id <= latest.id {
                return Err(self.broken("its id is not later than that of the record before it"));
            }
            if record.serial <= latest.serial {
                return Err(self.broken("its serial is not later than that of the record before it"));
            }
        }
        for state in &record.suites {
            if self.last_date(&state.suite).is_some_and(|last| state.date <= last) {
                return Err(SnapshotError::suite(
                    &state.suite,
                    "its Date is not later than that of the record before it",
                ));
            }
        }
        check(record)
    }

    /// `Date` of the newest Release file of a suite, over gaps too: apt refuses to go back.
    fn last_date(&self, suite: &SuiteName) -> Option<Timestamp> {
        let in_record = |record: &Record| record.suites.iter().find(|s| s.suite == *suite).map(|s| s.date);
        self.records.iter().rev().find_map(in_record)
    }

    fn broken(&self, why: &str) -> SnapshotError {
        SnapshotError::Chain {
            key: Key::record(&self.archive, self.next_number()),
            why: why.to_owned(),
        }
    }
}

/// The record that would follow a chain. Its id, serial and Dates are later than all before, even
/// when the clock went back. The `date` of the given suites is not looked at; suites and indexes are sorted here.
///
/// `nonce` is random: with it no two writers ever make the same record.
///
/// # Errors
/// When the day has had its 99 snapshots, or a suite cannot be published as it is.
pub fn next(
    chain: &Chain,
    mut suites: Vec<SuiteState>,
    valid_days: Option<u32>,
    reason: &str,
    made_by: &str,
    nonce: &str,
    now: Timestamp,
) -> Result<Record, SnapshotError> {
    let latest = chain.latest();
    let at = latest.map_or(now, |record| now.max(record.id.timestamp().plus(1)));
    let serial = Serial::next(latest.map(|record| &record.serial), at).map_err(|source| SnapshotError::Full {
        archive: chain.archive.clone(),
        source,
    })?;
    for state in &mut suites {
        state.date = chain.last_date(&state.suite).map_or(now, |last| now.max(last.plus(1)));
        state.indexes.sort_by(|a, b| a.path.cmp(&b.path));
    }
    suites.sort_by(|a, b| a.suite.cmp(&b.suite));
    let record = Record {
        format: FORMAT,
        archive: chain.archive.clone(),
        n: chain.next_number(),
        previous: chain.head,
        id: SnapshotId::at(at),
        serial,
        reason: reason.to_owned(),
        made_by: made_by.to_owned(),
        nonce: nonce.to_owned(),
        valid_days,
        suites,
    };
    chain.check_next(&record)?;
    Ok(record)
}

/// Makes a record the archive's next: the only commit point. After an error the outcome is unknown,
/// and committing the same record again tells.
///
/// # Errors
/// The store's failure.
pub fn commit(store: &dyn Store, record: &Record) -> Result<Committed, SnapshotError> {
    let key = Key::record(&record.archive, record.n);
    let bytes = json::canonical("snapshot record", record).map_err(|source| SnapshotError::Record {
        key: key.clone(),
        source,
    })?;
    Ok(match store.create(&key, &bytes)? {
        Created::Yes => Committed::Yes,
        Created::No => Committed::Conflict,
    })
}

fn read(store: &dyn Store, key: &Key) -> Result<Option<Vec<u8>>, StoreError> {
    match store.get(key, LARGEST) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(StoreError::Missing(_)) => Ok(None),
        Err(error) => Err(error),
    }
}
