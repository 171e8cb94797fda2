//! Writers and garbage collection keep out of each other's way.
//!
//! A writer stages objects that nothing names yet; garbage collection removes what nothing names.
//! Each therefore leaves a note in the store before it starts, and then looks for a note of the other
//! kind: whichever of two comes later sees the other. A writer that finds a collection takes its own
//! note back and waits; a collection leaves its note where new writers see it, and waits for those
//! that were there before. A note is removed at its end; that of a process that has died here is
//! removed by whoever finds it, and one from elsewhere when it was not refreshed for an hour.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::CollectError;
use crate::domain::ArchiveName;
use crate::format::json;
use crate::host::{Clock, Life, Process};
use crate::store::{Key, Meta, Store, StoreError};

const LARGEST: u64 = 64 << 10;
/// How often a note is refreshed, and after how long one is of no account: seconds.
const REFRESH: u64 = 600;
const STALE: i64 = 3600;
/// How often those who wait look again.
const PAUSE: Duration = Duration::from_millis(500);

/// What is being done to an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Work {
    /// Objects are staged and named.
    Writing,
    /// Objects that nothing names are removed.
    Collecting,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Note {
    work: Work,
    verb: String,
    process: Process,
}

impl Note {
    fn in_words(&self) -> String {
        format!("`assay {}` ({})", self.verb, self.process)
    }
}

/// A note in the store: this process works on an archive. Removed when dropped.
#[derive(Debug)]
pub struct Working {
    store: Arc<dyn Store>,
    key: Key,
    refresher: Option<(Sender<()>, JoinHandle<()>)>,
}

/// Says in the store that this process works on an archive, once nobody works on it who must not.
/// `waiting` is told whom it waits for, for at most `patience`.
///
/// # Errors
/// `Busy` with whom it waited for in vain; the store's failure.
pub fn work(
    store: &Arc<dyn Store>,
    archive: &ArchiveName,
    work: Work,
    verb: &str,
    patience: Duration,
    waiting: &mut dyn FnMut(&str),
) -> Result<Working, CollectError> {
    let own = Process::current()?;
    let note = Note {
        work,
        verb: verb.to_owned(),
        process: own.clone(),
    };
    let mut left = patience;
    loop {
        let working = leave(store, archive, &note)?;
        loop {
            let Some(other) = in_the_way(store.as_ref(), archive, work, &working.key, &own)? else {
                return Ok(working);
            };
            // Two collections would wait for each other.
            if left.is_zero() || (work, other.work) == (Work::Collecting, Work::Collecting) {
                return Err(CollectError::Busy {
                    archive: archive.clone(),
                    other: other.in_words(),
                });
            }
            waiting(&other.in_words());
            if work == Work::Writing {
                break;
            }
            pause(&mut left);
        }
        drop(working);
        pause(&mut left);
    }
}

fn pause(left: &mut Duration) {
    let step = PAUSE.min(*left);
    std::thread::sleep(step);
    *left = left.saturating_sub(step);
}

/// Writes the note, and refreshes it from a thread of its own.
fn leave(store: &Arc<dyn Store>, archive: &ArchiveName, note: &Note) -> Result<Working, CollectError> {
    use rand::RngCore as _;
    let mut chance = [0; 16];
    rand::rngs::OsRng.fill_bytes(&mut chance);
    let key = Key::new(format!("{}/{}.json", Key::working_on(archive), hex::encode(chance)))?;
    let bytes = json::canonical("note", note).map_err(|source| CollectError::Note {
        key: key.clone(),
        source,
    })?;
    store.create(&key, &bytes)?;
    let mut working = Working {
        store: Arc::clone(store),
        key: key.clone(),
        refresher: None,
    };
    let (end, ended) = channel();
    let store = Arc::clone(store);
    let thread = std::thread::spawn(move || {
        while ended.recv_timeout(Duration::from_secs(REFRESH)) == Err(RecvTimeoutError::Timeout) {
            if let Err(error) = store.replace(&key, &bytes) {
                tracing::warn!(%key, %error, "the note of this work could not be refreshed");
            }
        }
    });
    working.refresher = Some((end, thread));
    Ok(working)
}

impl Drop for Working {
    fn drop(&mut self) {
        if let Some((end, thread)) = self.refresher.take() {
            drop(end);
            let _ = thread.join();
        }
        // One that stays is removed by the next who finds that this process has ended.
        if let Err(error) = self.store.delete(&self.key) {
            tracing::warn!(key = %self.key, %error, "the note of this work could not be removed");
        }
    }
}

/// Somebody else who must end first; notes of the dead are removed on the way.
fn in_the_way(
    store: &dyn Store,
    archive: &ArchiveName,
    work: Work,
    ours: &Key,
    own: &Process,
) -> Result<Option<Note>, CollectError> {
    for meta in store.list(&Key::working_on(archive))? {
        if meta.key == *ours {
            continue;
        }
        let Some(note) = read(store, &meta.key)? else { continue };
        if is_stale(&meta, &note, own) {
            store.delete(&meta.key)?;
            continue;
        }
        // Writers do not mind each other: the commit decides between them.
        if work == Work::Collecting || note.work == Work::Collecting {
            return Ok(Some(note));
        }
    }
    Ok(None)
}

fn is_stale(meta: &Meta, note: &Note, own: &Process) -> bool {
    match own.life(&note.process) {
        Life::Runs => false,
        Life::Ended => true,
        Life::Elsewhere => Clock::System.now().since(meta.modified) > STALE,
    }
}

/// A note; none when it was removed meanwhile.
fn read(store: &dyn Store, key: &Key) -> Result<Option<Note>, CollectError> {
    let bytes = match store.get(key, LARGEST) {
        Ok(bytes) => bytes,
        Err(StoreError::Missing(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let note = json::strict("note", &bytes).map_err(|source| CollectError::Note {
        key: key.clone(),
        source,
    })?;
    Ok(Some(note))
}
