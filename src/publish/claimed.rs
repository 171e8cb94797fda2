//! What is claimed in an unproven archive: `state/<archive>/claims/<k>`, one object for all that is taken in together.
//!
//! Its packages come by the thousand, and an object for each claim would cost more than the packages. So claims are made in
//! numbered entries, each created if absent behind the newest, and never changed or removed. An entry has all that is claimed and
//! that is not in the book ([`Book`]) of the record it was made on; the book says which entry it has all of. So the newest
//! entry and the newest book together are all that was ever claimed. Of two writers one comes second, and looks again at
//! what the first has claimed, before it puts any file anywhere: a name and version never has two files.
//!
//! A crash between an entry and its record leaves claims that only the same bytes can use, as in [`super::ledger`]; the next
//! record's book has them. Stores from before this have their claims one by one: the first entry takes them over.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Read as _};

use serde::{Deserialize, Serialize};

use crate::admission::{LedgerConflict, LedgerEntry, LedgerKey};
use crate::domain::{ArchiveName, Sha256};
use crate::format::{FormatError, json};
use crate::snapshot::{Chain, Record, newest_number};
use crate::store::{Created, Key, Store, StoreError};
use crate::trust::Keyring;

use super::book::{Book, Page};
use super::{GateError, ledger, load_vouched};

/// The format that is written.
const FORMAT: u32 = 1;
/// The most that an entry may have, in bytes: two million claims.
const LARGEST: u64 = 512 << 20;
/// The most that its first line may have, in bytes.
const LARGEST_HEAD: u64 = 4096;
/// How often a faster writer is made way for: each time one more has its claims.
const ATTEMPTS: u32 = 64;

/// What an entry begins with; a claim is on each line after it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Head {
    /// The entry that the book has all of on which this one was made.
    after: u64,
    format: u32,
    /// SHA-256 of the entry before it; absent in the first, and where nobody knew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    previous: Option<Sha256>,
}

/// What is claimed beside what a book says.
#[derive(Debug)]
pub struct Claimed {
    /// The number of the newest entry.
    newest: u64,
    /// Its SHA-256, where it is known.
    sha256: Option<Sha256>,
    /// Every claim that is in an entry and may not be in the book.
    pub claims: BTreeMap<LedgerKey, LedgerEntry>,
}

impl Claimed {
    /// Beside the book of a record, which the newest should be. None when a later record has been made, since the newest
    /// entry stands on its book.
    ///
    /// # Errors
    /// When an entry is missing or malformed; the store's failure.
    pub fn beside(store: &dyn Store, archive: &ArchiveName, book: &Book<'_>) -> Result<Option<Self>, GateError> {
        let known = book.has_entries_until();
        let newest = known.saturating_add(newest_number(store, |n| Key::claims(archive, known.saturating_add(n)))?);
        let mut sha256 = book.newest_entry();
        let claims = match newest {
            // One by one, as they were made before.
            0 => ledger::load_all(store, archive, "")?,
            _ if newest == known => Vec::new(),
            _ => {
                let key = Key::claims(archive, newest);
                let bytes = store.get(&key, LARGEST)?;
                let (head, claims) = parse(&key, &bytes)?;
                if head.after > known {
                    return Ok(None);
                }
                sha256 = Some(Sha256::of(&bytes));
                claims
            }
        };
        let claims = claims.into_iter().map(|entry| (entry.key.clone(), entry)).collect();
        Ok(Some(Self { newest, sha256, claims }))
    }

    /// Where the newest entry is.
    #[must_use]
    pub fn key(&self, archive: &ArchiveName) -> Key {
        Key::claims(archive, self.newest)
    }

    /// What is held under the keys of some claims, here or in the book.
    ///
    /// # Errors
    /// `Forgotten` when the two say different things; when a page is missing or damaged; the store's failure.
    pub(super) fn held(
        &self,
        book: &Book<'_>,
        claims: &[LedgerEntry],
    ) -> Result<BTreeMap<LedgerKey, LedgerEntry>, GateError> {
        let keys = claims.iter().map(|claim| &claim.key).chain(self.claims.keys());
        let mut held = book.about(&keys.map(LedgerKey::subject).collect())?.claims;
        for (key, entry) in &self.claims {
            let said = held.entry(key.clone()).or_insert_with(|| entry.clone());
            if said.sha256 != entry.sha256 {
                return Err(GateError::forgotten(key, &entry.sha256, &said.sha256));
            }
        }
        Ok(held)
    }

    /// Makes the next entry, when something of these claims is new. Whether all of them are made then.
    fn add(
        &self,
        store: &dyn Store,
        archive: &ArchiveName,
        book: &Book<'_>,
        claims: &[LedgerEntry],
    ) -> Result<Created, GateError> {
        let held = self.held(book, claims)?;
        if let Some(conflict) = conflicts(&held, claims).into_iter().next() {
            let entry = Box::new(conflict.claimed);
            return Err(GateError::Claimed { entry });
        }
        let new = claims.iter().map(|claim| (&claim.key, claim));
        let mut new: BTreeMap<&LedgerKey, &LedgerEntry> = new.filter(|(key, _)| !held.contains_key(*key)).collect();
        if new.is_empty() {
            return Ok(Created::Yes);
        }
        new.extend(&self.claims);
        let key = Key::claims(archive, self.newest.saturating_add(1));
        let head = Head {
            after: book.has_entries_until(),
            format: FORMAT,
            previous: self.sha256,
        };
        let bytes = written(&head, new.into_values()).map_err(GateError::document(&key))?;
        Ok(store.create(&key, &bytes)?)
    }
}

/// An archive's chain, what is claimed beside the book of its newest record, and that book.
///
/// # Errors
/// As [`Claimed::beside`]; `Busy` when it was made anew too often meanwhile.
pub(super) fn load<'a>(
    store: &'a dyn Store,
    archive: &'a ArchiveName,
    keyring: &Keyring,
) -> Result<(Chain, Claimed, Book<'a>), GateError> {
    for _ in 0..ATTEMPTS {
        let chain = load_vouched(store, archive, keyring)?;
        let book = Book::of(store, archive, chain.latest())?;
        if let Some(claimed) = Claimed::beside(store, archive, &book)? {
            return Ok((chain, claimed, book));
        }
    }
    Err(GateError::Busy(ATTEMPTS))
}

/// Makes all of these claims, or none. Those that are held with the same bytes stay.
///
/// # Errors
/// `Claimed` when one is held with other bytes; as [`load`]. Doing it again is safe.
pub(super) fn claim(
    store: &dyn Store,
    archive: &ArchiveName,
    keyring: &Keyring,
    claims: &[LedgerEntry],
) -> Result<(), GateError> {
    for _ in 0..ATTEMPTS {
        let (_, claimed, book) = load(store, archive, keyring)?;
        if claimed.add(store, archive, &book, claims)? == Created::Yes {
            return Ok(());
        }
    }
    Err(GateError::Busy(ATTEMPTS))
}

/// Those of some claims that something else holds, or one before it among them.
pub(super) fn conflicts(held: &BTreeMap<LedgerKey, LedgerEntry>, claims: &[LedgerEntry]) -> Vec<LedgerConflict> {
    let mut first: BTreeMap<&LedgerKey, &LedgerEntry> = BTreeMap::new();
    let mut found = Vec::new();
    for claim in claims {
        let there = held.get(&claim.key);
        let there = there.unwrap_or_else(|| first.entry(&claim.key).or_insert(claim));
        if there.sha256 != claim.sha256 {
            found.push(LedgerConflict {
                held: there.clone(),
                claimed: claim.clone(),
            });
        }
    }
    found
}

/// What the next record remembers, beside what the newest does: these claims, and all that is in an entry.
///
/// # Errors
/// As [`Claimed::beside`]; `Forgotten` when the book says something else.
pub(super) fn remember(
    store: &dyn Store,
    archive: &ArchiveName,
    latest: Option<&Record>,
    claims: &[LedgerEntry],
) -> Result<Sha256, GateError> {
    let mut book = Book::of(store, archive, latest)?;
    let mut more = Page::default();
    more.claims
        .extend(claims.iter().map(|entry| (entry.key.clone(), entry.clone())));
    // Without an answer a later record is there: the next one cannot be made on this.
    if let Some(claimed) = Claimed::beside(store, archive, &book)? {
        book = book.having_entries_until(claimed.newest, claimed.sha256);
        more.claims.extend(claimed.claims);
    }
    book.with(more)
}

/// The entries of claims that a book says it has all of, each with the SHA-256 that it must have, the newest first; none
/// before the first whose hash nobody wrote down.
///
/// # Errors
/// The store's failure, where it is not that one is gone.
pub fn entries(store: &dyn Store, archive: &ArchiveName, book: &Book<'_>) -> Result<Vec<(Key, Sha256)>, GateError> {
    let (mut found, mut k, mut wanted) = (Vec::new(), book.has_entries_until(), book.newest_entry());
    while let Some(sha256) = wanted.filter(|_| k > 0) {
        let key = Key::claims(archive, k);
        wanted = head(store, &key)?.and_then(|head| head.previous);
        found.push((key, sha256));
        k -= 1;
    }
    Ok(found)
}

/// What an entry begins with; none when it is not there, or begins with something else.
fn head(store: &dyn Store, key: &Key) -> Result<Option<Head>, GateError> {
    let mut line = Vec::new();
    let stream = match store.open(key) {
        Ok(stream) => stream,
        Err(StoreError::Missing(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let read = BufReader::new(stream.take(LARGEST_HEAD)).read_until(b'\n', &mut line);
    Ok(read.ok().and_then(|_| json::strict("claims", &line).ok()))
}

fn written<'e>(head: &Head, claims: impl Iterator<Item = &'e LedgerEntry>) -> Result<Vec<u8>, FormatError> {
    let mut bytes = json::canonical("claims", head)?;
    bytes.push(b'\n');
    for claim in claims {
        bytes.extend(json::canonical("claim", claim)?);
        bytes.push(b'\n');
    }
    Ok(bytes)
}

fn parse(key: &Key, bytes: &[u8]) -> Result<(Head, Vec<LedgerEntry>), GateError> {
    let malformed = |why: String| FormatError::Malformed {
        what: "claims",
        at: key.to_string(),
        why,
    };
    let mut lines = bytes.split_inclusive(|byte| *byte == b'\n');
    let first = lines.next().unwrap_or_default();
    let head: Head = json::strict("claims", first).map_err(GateError::document(key))?;
    if head.format != FORMAT {
        let why = format!("it has the format {}, not {FORMAT}", head.format);
        return Err(GateError::document(key)(malformed(why)));
    }
    let claims = lines.map(|line| json::strict("claim", line).map_err(GateError::document(key)));
    let claims: Vec<LedgerEntry> = claims.collect::<Result<_, _>>()?;
    let keys: BTreeSet<&LedgerKey> = claims.iter().map(|claim| &claim.key).collect();
    if keys.len() != claims.len() {
        return Err(GateError::document(key)(malformed(
            "something is claimed twice".to_owned(),
        )));
    }
    Ok((head, claims))
}
