//! What waits for a signature of a key on another machine.
//!
//! An entry that such a key must sign is not committed: it is kept aside (`state/<archive>/waiting/`), and says by itself
//! which texts are to be signed; [`super::attach()`] takes what was signed over. Nothing here is believed: whoever writes to
//! the store can plant an entry, and it is on those who sign to look at what they sign. After a crash an entry waits, or
//! the one before it does.

use super::vouch::statement;
use super::{PublishError, ReleaseSigner, is_by_all, load_vouched};
use crate::domain::{ArchiveName, Sha256, SuiteName, Timestamp};
use crate::snapshot::{Chain, Edition, Entry, Mark, Marks, Record, Renewal, SnapshotError, TagRecord, parse_entry};
use crate::store::{Key, Store, StoreError};

/// The most that an entry, or a signed file, may have, in bytes.
pub(super) const LARGEST: u64 = 64 << 20;

/// An entry that waits.
#[derive(Debug, Clone)]
pub(super) enum What {
    Record(Record),
    Tag(TagRecord),
    Renewal(Renewal, Box<Record>),
    Mark(Mark),
}

/// How far an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// It would follow what is there.
    Next,
    /// It is committed; only its own signature is to be by the keys of today.
    Anew,
    /// It is committed, and signed by all.
    Done,
    /// Something else is there: it cannot be committed any more.
    Late,
}

/// One entry, with what is to be signed for it.
#[derive(Debug, Clone)]
pub struct Waiting {
    /// Its name among what waits, without an ending: `7`, `renewals-3-1`, `tags-5.0`, `marks-2`.
    pub name: String,
    /// What and which it is, in words.
    pub title: String,
    /// The SHA-256 of its file.
    pub sha256: Sha256,
    /// Where it will be, or is.
    pub key: Key,
    /// What vouches for it.
    pub statement: Vec<u8>,
    /// The Release files that become public with it.
    pub releases: Vec<(SuiteName, Vec<u8>)>,
    pub(super) what: What,
    pub(super) stage: Stage,
}

impl Waiting {
    /// The files that are to be signed, below the folder of its archive.
    pub fn files(&self) -> impl Iterator<Item = (String, &[u8])> {
        let statement = (format!("{}/statement", self.name), self.statement.as_slice());
        let releases = self.releases.iter();
        let releases = releases.map(|(suite, text)| (release_path(&self.name, suite), text.as_slice()));
        std::iter::once(statement).chain(releases)
    }

    /// Whether it is still to be signed.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.stage, Stage::Next | Stage::Anew)
    }

    /// Whether something else has taken its place.
    #[must_use]
    pub fn is_late(&self) -> bool {
        self.stage == Stage::Late
    }
}

pub(super) fn release_path(name: &str, suite: &SuiteName) -> String {
    format!("{name}/{suite}/Release")
}

/// Keeps an entry until it is signed. One that says the same, and was made not long ago, stays: it may have been given
/// away already. A later one takes the place of another, but never that of a record of packages that were admitted: no
/// upstream would bring them again.
pub(super) fn stage<E: Entry>(store: &dyn Store, entry: &E) -> Result<(), PublishError> {
    let key = waiting_key(entry)?;
    let before = match store.get(&key, LARGEST) {
        Ok(bytes) => parse_entry::<E>(&entry.key(), &bytes).ok(),
        Err(StoreError::Missing(_)) => None,
        Err(error) => return Err(error.into()),
    };
    if let Some(before) = &before {
        let (old, new) = (Content::of(before)?, Content::of(entry)?);
        if old == new && entry.made_at().since(before.made_at()) < old.may_wait() {
            return Ok(());
        }
        if old != new && old.is_admitted() && store.head(&entry.key())?.is_none() {
            return Err(PublishError::StillWaits {
                archive: entry.archive().clone(),
                title: before.title(),
            });
        }
    }
    Ok(store.replace(&key, &entry.bytes()?)?)
}

/// What an entry says, without when and by whom it was made.
#[derive(Debug, PartialEq)]
struct Content(serde_json::Value);

impl Content {
    fn of(entry: &impl Entry) -> Result<Self, PublishError> {
        let mut value = serde_json::from_slice(&entry.bytes()?).unwrap_or_default();
        strip(&mut value);
        Ok(Self(value))
    }

    /// How long it may wait before it is made again, in seconds: what is published must be valid for some time.
    fn may_wait(&self) -> i64 {
        let days = self.0.get("valid-days").and_then(serde_json::Value::as_i64);
        days.map_or(i64::MAX, |days| days.saturating_mul(86_400 / 4))
    }

    /// Whether it is a record of a custom archive.
    fn is_admitted(&self) -> bool {
        let suites = self.0.get("suites").and_then(serde_json::Value::as_array);
        let suites = suites.filter(|_| self.0.get("valid-days").is_some());
        suites.is_some_and(|suites| {
            suites
                .iter()
                .any(|suite| suite.get("upstream").is_none_or(|up| up.is_null()))
        })
    }
}

fn strip(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Object(fields) => {
            for when in [
                "nonce",
                "date",
                "id",
                "serial",
                "made-by",
                "reason",
                "verified-at",
                "at",
            ] {
                fields.remove(when);
            }
            fields.values_mut().for_each(strip);
        }
        serde_json::Value::Array(values) => values.iter_mut().for_each(strip),
        _ => {}
    }
}

fn waiting_key(entry: &impl Entry) -> Result<Key, PublishError> {
    Ok(Key::waiting(entry.archive(), &name_of(entry))?)
}

/// An entry's own name below `state/<archive>/`, in one part.
fn name_of(entry: &impl Entry) -> String {
    let key = entry.key();
    let top = format!("state/{}/", entry.archive());
    let below = key.as_str().strip_prefix(&top).unwrap_or_default();
    below.trim_end_matches(".json").replace('/', "-")
}

/// All that waits in an archive, in the order in which it is committed.
///
/// # Errors
/// When something there is no entry, or the chain is broken; the store's failure.
pub fn waiting(
    store: &dyn Store,
    archive: &ArchiveName,
    signer: &dyn ReleaseSigner,
    public_url: &str,
) -> Result<Vec<Waiting>, PublishError> {
    let keyring = signer.keyring()?;
    let (chain, marks) = (load_vouched(store, archive, &keyring)?, Marks::load(store, archive)?);
    let mut found = Vec::new();
    for meta in store.list(&Key::all_waiting(archive))? {
        let file = meta.key.as_str().rsplit('/').next().unwrap_or_default();
        let Some(name) = file.strip_suffix(".json") else {
            continue;
        };
        let what = read(store, &chain, &meta.key, name)?;
        let stage = match &what {
            What::Record(entry) => stage_of(store, entry, signer, || chain.is_next(store, entry))?,
            What::Tag(entry) => stage_of(store, entry, signer, || entry.is_next(store, &chain))?,
            What::Renewal(entry, of) => stage_of(store, entry, signer, || entry.is_next(store, of))?,
            What::Mark(entry) => stage_of(store, entry, signer, || marks.is_next(entry))?,
        };
        found.push(of(name, what, stage, public_url)?);
    }
    let order = |waiting: &Waiting| match waiting.what {
        What::Record(_) => 0,
        What::Tag(_) => 1,
        What::Renewal(..) => 2,
        What::Mark(_) => 3,
    };
    found.sort_by_key(|waiting| (waiting.stage == Stage::Anew, order(waiting)));
    Ok(found)
}

fn read(store: &dyn Store, chain: &Chain, key: &Key, name: &str) -> Result<What, PublishError> {
    let (archive, bytes) = (chain.archive(), store.get(key, LARGEST)?);
    let own = |path: String| Key::new(format!("state/{archive}/{path}.json"));
    let kinds = ["renewals-", "tags-", "marks-"].map(|kind| name.strip_prefix(kind));
    Ok(match kinds {
        [Some(rest), ..] => {
            let renewal: Renewal = parse_entry(&own(format!("renewals/{}", rest.replace('-', "/")))?, &bytes)?;
            let of = chain.record(store, renewal.n)?;
            What::Renewal(renewal, Box::new(of))
        }
        [_, Some(tag), _] => {
            let tag: TagRecord = parse_entry(&own(format!("tags/{tag}"))?, &bytes)?;
            tag.check()?;
            What::Tag(tag)
        }
        [_, _, Some(k)] => What::Mark(parse_entry(&own(format!("marks/{k}"))?, &bytes)?),
        _ => {
            let record: Record = parse_entry(&own(name.to_owned())?, &bytes)?;
            record.check()?;
            What::Record(record)
        }
    })
}

fn stage_of<E: Entry>(
    store: &dyn Store,
    entry: &E,
    signer: &dyn ReleaseSigner,
    is_next: impl FnOnce() -> Result<bool, SnapshotError>,
) -> Result<Stage, PublishError> {
    match store.get(&entry.key(), LARGEST) {
        Ok(there) if there != entry.bytes()? => Ok(Stage::Late),
        Ok(_) if is_by_all(store, entry, &signer.keyring()?)? => Ok(Stage::Done),
        Ok(_) => Ok(Stage::Anew),
        Err(StoreError::Missing(_)) if is_next()? => Ok(Stage::Next),
        Err(StoreError::Missing(_)) => Ok(Stage::Late),
        Err(error) => Err(error.into()),
    }
}

fn of(name: &str, what: What, stage: Stage, public_url: &str) -> Result<Waiting, PublishError> {
    fn said(entry: &impl Entry) -> Result<(String, Key, Sha256, Vec<u8>), PublishError> {
        let sha256 = entry.identity()?;
        Ok((entry.title(), entry.key(), sha256, statement(entry, &sha256)))
    }
    let (title, key, sha256, statement) = match &what {
        What::Record(entry) => said(entry),
        What::Tag(entry) => said(entry),
        What::Renewal(entry, _) => said(entry),
        What::Mark(entry) => said(entry),
    }?;
    // Renewed snapshots have new Release files; a tag keeps its own, and gets the signatures of today.
    let edition = match (&what, stage) {
        (What::Record(_) | What::Renewal(..), Stage::Anew) => None,
        (what, _) => edition(what),
    };
    let suites = edition
        .iter()
        .flat_map(|edition| edition.suites.iter().map(move |state| (edition, state)));
    let releases = suites.map(|(edition, state)| {
        let text = super::project::release_of(edition, state, public_url);
        (state.suite.clone(), text)
    });
    Ok(Waiting {
        name: name.to_owned(),
        title,
        sha256,
        key,
        statement,
        releases: releases.collect(),
        what,
        stage,
    })
}

pub(super) fn edition(what: &What) -> Option<Edition> {
    match what {
        What::Record(record) => Some(Edition::of_record(record, None)),
        What::Tag(tag) => Some(Edition::of_tag(tag)),
        What::Renewal(renewal, of) => Some(Edition::of_record(of, Some(renewal))),
        What::Mark(_) => None,
    }
}

/// Forgets what waits and can never be committed, or is done.
///
/// # Errors
/// The store's failure.
pub fn forget(store: &dyn Store, archive: &ArchiveName, waiting: &Waiting) -> Result<(), PublishError> {
    Ok(store.delete(&Key::waiting(archive, &waiting.name)?)?)
}

pub(super) fn entry_date(what: &What) -> Timestamp {
    match what {
        What::Record(entry) => entry.made_at(),
        What::Tag(entry) => entry.made_at(),
        What::Renewal(entry, _) => entry.made_at(),
        What::Mark(entry) => entry.made_at(),
    }
}
