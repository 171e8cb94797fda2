//! What is published and signed by the archive's key, and has no record.
//!
//! The record comes before the tree, and a tree that is let go loses its InRelease first: so such a tree
//! has lost its record, and nothing else says that it was to be kept.

use std::collections::BTreeSet;

use crate::domain::{ArchiveName, Serial, SuiteName, TagName, Timestamp};
use crate::format::release::Release;
use crate::snapshot::{Chain, Edition, SuiteState};
use crate::store::{Key, Store, StoreError};
use crate::trust::{Keyring, Requirement, latest_date, unverified_text, verify_inrelease};

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
        let Some(bytes) = read(store, key)? else { continue };
        let requirement = Requirement {
            keyring,
            threshold: 1,
            now,
        };
        // What somebody else put there was never published by us.
        if verify_inrelease(&bytes, &requirement).is_ok() {
            found.push(lost(record, key.clone()));
        }
    }
    Ok(found)
}

/// What clients can have seen that is newer than all records: the record of it, or its renewal, is lost. A writer
/// that was killed may have published no more than the tree of its serial. None when another writer made it meanwhile.
/// It reads one InRelease of each suite of the newest record, and lists the suite's folder; it checks the signature
/// only of what has a later Date, or a later serial.
///
/// # Errors
/// When the store cannot be read.
pub fn lost_newest(store: &dyn Store, chain: &Chain, keyring: &Keyring) -> Result<Option<Unrecorded>, StoreError> {
    let archive = chain.archive();
    let next = Key::record(archive, chain.next_number());
    let Some((newest, latest)) = chain.latest_edition().zip(chain.latest()) else {
        let mut published = store.list(&format!("{archive}/dists"))?;
        published.retain(|meta| meta.key.as_str().ends_with("/InRelease"));
        for meta in published {
            if signed_after(store, &meta.key, None, keyring)?.is_some() && store.head(&next)?.is_none() {
                return Ok(Some(lost(next, meta.key)));
            }
        }
        return Ok(None);
    };
    let renewed = newest.number.map_or(0, |(_, k)| k);
    let renewal = Key::renewal(archive, latest.n, renewed.saturating_add(1));
    for state in &newest.suites {
        let found = match newer(store, &newest, state, keyring)? {
            Some((inrelease, Newer::Date)) => lost(renewal.clone(), inrelease),
            Some((inrelease, Newer::Snapshot)) => lost(next.clone(), inrelease),
            None => continue,
        };
        // A record is made before its tree.
        if store.head(&next)?.is_some() || store.head(&renewal)?.is_some() {
            return Ok(None);
        }
        return Ok(Some(found));
    }
    Ok(None)
}

/// How something is newer than an edition.
enum Newer {
    /// The same snapshot, with a later Date.
    Date,
    /// Another snapshot.
    Snapshot,
}

/// An InRelease of a suite that is newer than the newest edition, when one of these keys signed it.
fn newer(
    store: &dyn Store,
    newest: &Edition,
    state: &SuiteState,
    keyring: &Keyring,
) -> Result<Option<(Key, Newer)>, StoreError> {
    let (archive, suite) = (&newest.archive, &state.suite);
    let [Ok(head), Ok(tree)] = ["", newest.name.as_str()].map(|name| inrelease(archive, suite, name)) else {
        return Ok(None);
    };
    let at_head = signed_after(store, &head, Some(state.date), keyring)?;
    let in_tree = match store.is_same(&head, &tree)? {
        Some(true) => at_head.clone(),
        _ => signed_after(store, &tree, Some(state.date), keyring)?,
    };
    match (at_head, in_tree) {
        (Some(at_head), in_tree) if in_tree.as_ref() != Some(&at_head) => return Ok(Some((head, Newer::Snapshot))),
        (Some(_), _) => return Ok(Some((head, Newer::Date))),
        (None, Some(_)) => return Ok(Some((tree, Newer::Date))),
        (None, None) => {}
    }
    // Readers ask as well, over HTTP; who could take a tree's place has listings.
    if !store.has_listings() {
        return Ok(None);
    }
    for name in store.folders(&format!("{archive}/dists/{suite}"))? {
        let is_later = Serial::new(name.as_str()).is_ok() && name.as_str() > newest.name.as_str();
        if is_later
            && let Ok(later) = inrelease(archive, suite, &name)
            && signed_after(store, &later, None, keyring)?.is_some()
        {
            return Ok(Some((later, Newer::Snapshot)));
        }
    }
    Ok(None)
}

fn lost(record: Key, inrelease: Key) -> Unrecorded {
    Unrecorded { record, inrelease }
}

fn inrelease(archive: &ArchiveName, suite: &SuiteName, name: &str) -> Result<Key, StoreError> {
    let folder = if name.is_empty() {
        String::new()
    } else {
        format!("{name}/")
    };
    Key::new(format!("{archive}/dists/{suite}/{folder}InRelease"))
}

fn read(store: &dyn Store, key: &Key) -> Result<Option<Vec<u8>>, StoreError> {
    match store.get(key, LARGEST) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(StoreError::Missing(_) | StoreError::TooLarge { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// An InRelease with a later Date, when one of these keys signed it. What somebody else put there is not ours.
fn signed_after(
    store: &dyn Store,
    key: &Key,
    known: Option<Timestamp>,
    keyring: &Keyring,
) -> Result<Option<Vec<u8>>, StoreError> {
    let Some(bytes) = read(store, key)? else {
        return Ok(None);
    };
    let text = unverified_text(&bytes).unwrap_or_default();
    let Some(date) = Release::parse(&text).ok().and_then(|release| release.date().ok()) else {
        return Ok(None);
    };
    if known.is_some_and(|known| date <= known) {
        return Ok(None);
    }
    let requirement = Requirement {
        keyring,
        threshold: 1,
        now: latest_date(&bytes).map_or(date, |signed| signed.max(date)),
    };
    Ok(verify_inrelease(&bytes, &requirement).is_ok().then_some(bytes))
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
