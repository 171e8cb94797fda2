//! Snapshots that clients may be in the middle of: who fetched the head's InRelease a moment ago fetches the indexes
//! and packages that it names next, whatever `keep` says of a snapshot that is the newest no more.

use super::CollectError;
use crate::domain::{RelPath, Timestamp};
use crate::snapshot::{Chain, Reading, Record};
use crate::store::{Key, Store};

/// How long a snapshot stays after another took its place at the head, in seconds. An `apt update` takes less, and
/// fetches an InRelease that is older than its lists again; who reads for longer needs `keep`.
const GRACE: i64 = 3600;

/// The snapshots that were the newest until less than an hour before `now`, and until when each stays for that.
///
/// # Errors
/// What is wrong with a record on the way back to that hour; the store's failure.
pub fn reading(store: &dyn Store, chain: &Chain, now: Timestamp) -> Result<Reading, CollectError> {
    let mut reading = Reading::new();
    let mut next = chain.latest().cloned();
    let mut came = next
        .as_ref()
        .map(|newest| shown_since(store, newest, now))
        .transpose()?;
    while let (Some(record), Some(since)) = (next, came) {
        let until = since.plus(GRACE);
        if until <= now {
            break;
        }
        next = chain.before(store, &record)?;
        came = next.as_ref().map(|before| before.id.timestamp());
        if let Some(before) = &next {
            reading.insert(before.n, until);
        }
    }
    Ok(reading)
}

/// Since when the head shows the newest snapshot: since its id, or later, where a key elsewhere had to sign it first, or
/// whoever made it was killed before he published it. A renewal makes it later, too, and no earlier.
fn shown_since(store: &dyn Store, newest: &Record, now: Timestamp) -> Result<Timestamp, CollectError> {
    let mut since = newest.id.timestamp();
    let Ok(path) = RelPath::new("InRelease") else {
        return Ok(since);
    };
    for state in &newest.suites {
        let shown = store.head(&Key::dists(&newest.archive, &state.suite, &path))?;
        // Heads that follow within a second are dated ahead; a clock that is further ahead says nothing.
        let shown = shown.map(|meta| meta.modified).filter(|shown| shown.since(now) < GRACE);
        since = since.max(shown.map_or(since, |shown| shown.min(now)));
    }
    Ok(since)
}
