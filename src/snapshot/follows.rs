//! Entries that were made some time ago, and are to be committed only now: whether they still follow what is there.
//!
//! While they waited somebody else may have been faster. Numbers would tell when they are created; but Dates must go
//! forward, too, and a renewal may have moved those.

use super::{Chain, Entry as _, Mark, Marks, Record, Renewal, SnapshotError, TagRecord};
use crate::store::Store;

impl Chain {
    /// Whether a record is the next one, and later in all that clients compare.
    ///
    /// # Errors
    /// What is wrong with records on the way; the store's failure.
    pub fn is_next(&self, store: &dyn Store, record: &Record) -> Result<bool, SnapshotError> {
        let latest = self.latest();
        let previous = latest.map(|latest| latest.identity()).transpose()?;
        let later = latest.is_none_or(|latest| record.id > latest.id && record.serial > latest.serial);
        if record.n != self.next_number() || record.previous != previous || !later {
            return Ok(false);
        }
        for state in &record.suites {
            if self
                .last_date(store, &state.suite)?
                .is_some_and(|last| state.date <= last)
            {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Renewal {
    /// Whether it is the next one of a record.
    ///
    /// # Errors
    /// As `newest`.
    pub fn is_next(&self, store: &dyn Store, record: &Record) -> Result<bool, SnapshotError> {
        let before = Self::newest(store, record)?;
        let previous = before.as_ref().map(Self::identity).transpose()?;
        let k = before.as_ref().map_or(1, |before| before.k.saturating_add(1));
        let dates = record.suites.iter().map(|state| state.date);
        let last = dates.chain(before.map(|before| before.date)).max();
        let later = last.is_none_or(|last| self.date > last);
        Ok(self.record == record.identity()? && self.k == k && self.previous == previous && later)
    }
}

impl TagRecord {
    /// Whether its name is free, and the record that it is of still what it was.
    ///
    /// # Errors
    /// What is wrong with that record; the store's failure.
    pub fn is_next(&self, store: &dyn Store, chain: &Chain) -> Result<bool, SnapshotError> {
        if Self::find(store, chain.archive(), &self.tag)?.is_some() || self.of.n > chain.len() {
            return Ok(false);
        }
        Ok(chain.record(store, self.of.n)?.identity()? == self.of.record)
    }
}

impl Marks {
    /// Whether a mark is the next one.
    ///
    /// # Errors
    /// Never for marks that were read.
    pub fn is_next(&self, mark: &Mark) -> Result<bool, SnapshotError> {
        let previous = self.newest().map(|newest| newest.identity()).transpose()?;
        let k = self.newest().map_or(1, |newest| newest.k.saturating_add(1));
        Ok(mark.k == k && mark.previous == previous)
    }
}
