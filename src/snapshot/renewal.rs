//! Renewals: a new Date, Valid-Until and Signed-By over a snapshot that stays what it is.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::entry::{self, Entry};
use super::{Record, SnapshotError};
use crate::domain::{ArchiveName, Sha256, SignedByKey, SuiteName, Timestamp};
use crate::store::{Key, Store};

/// Renewal `k` of snapshot `n`. It names no index: there is nothing else that it could change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Renewal {
    /// The format of this file: 1.
    pub format: u32,
    /// Whose snapshot it is.
    pub archive: ArchiveName,
    /// The snapshot's number.
    pub n: u64,
    /// SHA-256 of the snapshot's record.
    pub record: Sha256,
    /// 1, 2, 3, …
    pub k: u64,
    /// SHA-256 of renewal `k − 1`; absent in the first.
    pub previous: Option<Sha256>,
    /// `Date` of every Release file of the snapshot from now on.
    pub date: Timestamp,
    /// `Valid-Until` is this many days after the Date.
    pub valid_days: u32,
    /// `Signed-By` of every Release file of the snapshot from now on; empty: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signed_by: Vec<SignedByKey>,
    /// SHA-256 of the InRelease of each suite that clients had until now: it stays by hash, for those that pin it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub replaced: BTreeMap<SuiteName, Sha256>,
    /// Which program made it.
    pub made_by: String,
    /// Random, so that two writers never make the same bytes.
    pub nonce: String,
}

impl Entry for Renewal {
    fn archive(&self) -> &ArchiveName {
        &self.archive
    }

    fn key(&self) -> Key {
        Key::renewal(&self.archive, self.n, self.k)
    }

    fn title(&self) -> String {
        format!("renewal {} {} {}", self.archive, self.n, self.k)
    }

    fn made_at(&self) -> Timestamp {
        self.date
    }
}

impl Renewal {
    /// The newest renewal of a record, when it was ever renewed.
    ///
    /// # Errors
    /// When it is not in canonical form, is of another record, or lies before the record's Dates;
    /// the store's failure.
    pub fn newest(store: &dyn Store, record: &Record) -> Result<Option<Self>, SnapshotError> {
        let key = |k| Key::renewal(&record.archive, record.n, k);
        let k = entry::newest(store, key)?;
        if k == 0 {
            return Ok(None);
        }
        let Some((renewal, _)) = entry::load::<Self>(store, &key(k))? else {
            return Err(SnapshotError::chain(&key(k), "it was there, and is gone"));
        };
        if renewal.format != 1 || renewal.record != record.identity()? {
            return Err(SnapshotError::chain(
                &key(k),
                "it is not of this snapshot, or of a format that this program does not know",
            ));
        }
        if record.suites.iter().any(|state| state.date >= renewal.date) {
            return Err(SnapshotError::chain(
                &key(k),
                "its Date is not later than that of the snapshot's record",
            ));
        }
        Ok(Some(renewal))
    }

    /// Renewal `k` of a snapshot, when there is one.
    ///
    /// # Errors
    /// When it is not in canonical form; the store's failure.
    pub fn load(store: &dyn Store, archive: &ArchiveName, n: u64, k: u64) -> Result<Option<Self>, SnapshotError> {
        Ok(entry::load(store, &Key::renewal(archive, n, k))?.map(|(renewal, _)| renewal))
    }

    /// The renewals before this one, the latest first, each as the one after it names it.
    ///
    /// # Errors
    /// `Chain` with the first that is not; the store's failure.
    pub fn all_before(&self, store: &dyn Store) -> Result<Vec<Self>, SnapshotError> {
        let (mut k, mut wanted, mut all) = (self.k, self.previous, Vec::new());
        while let Some(sha256) = wanted {
            k = k.saturating_sub(1);
            let key = Key::renewal(&self.archive, self.n, k);
            match entry::load::<Self>(store, &key)? {
                Some((before, found)) if found == sha256 => {
                    wanted = before.previous;
                    all.push(before);
                }
                Some(_) => {
                    return Err(SnapshotError::chain(
                        &key,
                        "it is not the renewal that the one after it names",
                    ));
                }
                None => return Err(SnapshotError::chain(&key, "it is missing, and a later one is there")),
            }
        }
        Ok(all)
    }

    /// The renewal that follows `before` of a record, valid for `valid_days` from now. Its Date is
    /// later than every one before, even when the clock went back.
    ///
    /// # Errors
    /// Never for records that were read or made by this program.
    pub fn next(
        record: &Record,
        before: Option<&Self>,
        valid_days: u32,
        made_by: &str,
        nonce: &str,
        now: Timestamp,
    ) -> Result<Self, SnapshotError> {
        let dates = record.suites.iter().map(|state| state.date);
        let last = dates.chain(before.map(|renewal| renewal.date)).max();
        Ok(Self {
            format: 1,
            archive: record.archive.clone(),
            n: record.n,
            record: record.identity()?,
            k: before.map_or(1, |renewal| renewal.k.saturating_add(1)),
            previous: before.map(Entry::identity).transpose()?,
            date: last.map_or(now, |last| now.max(last.plus(1))),
            valid_days,
            signed_by: Vec::new(),
            replaced: BTreeMap::new(),
            made_by: made_by.to_owned(),
            nonce: nonce.to_owned(),
        })
    }
}
