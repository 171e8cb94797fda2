//! A full pool: every file that the followed Packages and Sources name is in the store.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::index::each_file;
use super::pull::{check_room, fetch_checked, in_parallel, is_there, replace_pool_file};
use super::{Client, Sums, UpstreamError};
use crate::domain::{ArchiveName, PoolPath, Timestamp};
use crate::format::packages::PoolFile;
use crate::host::Progress;
use crate::snapshot::{SuiteState, content_digest};
use crate::store::{Key, Meta, Staged, Store, StoreError};

/// How many files, and how many bytes, are brought to the disk together.
const TOGETHER: (usize, u64) = (2048, 256 << 20);

/// And after how long, however few have come: what a slow line brought is not lost with a run that is killed.
const SETTLED_EVERY: Duration = Duration::from_secs(3);

/// How long nobody looks again at a pool that was seen to have everything, in seconds. To look costs as
/// much as all else that an unchanged upstream takes, many times over.
const TRUSTED: i64 = 86_400;

/// The most bytes of a note of that.
const LONGEST_NOTE: u64 = 64;

/// Where all but flat repositories have their files.
const POOL: &str = "pool/";

/// A store's files that were fetched and are not settled.
struct Pending<'a> {
    store: &'a dyn Store,
    /// With the sum of their sizes.
    staged: Mutex<(Vec<Staged>, u64)>,
    /// Whether all have come, or one failed.
    ended: Mutex<bool>,
    ending: Condvar,
}

/// Fetches what is missing of the pool files that these suites name, by one listing of the pool, and
/// gives how many that were. What a run that was killed had fetched is not fetched again; a file of
/// another size than the index says is replaced.
///
/// # Errors
/// When an index is damaged, or names one file twice with different bytes; the first file that cannot
/// be had. What was fetched before stays.
pub fn fill_pool(
    client: &Client,
    store: &dyn Store,
    archive: &ArchiveName,
    suites: &[SuiteState],
    progress: &Progress,
) -> Result<usize, UpstreamError> {
    let missing = missing(client.connections(), store, archive, suites)?;
    let count = fetch(client, store, archive, &missing, progress)?;
    // Written anew, so that its time says when the pool was last looked at.
    store.replace(&Key::filled(archive, &content_digest(suites)), b"")?;
    Ok(count)
}

/// As [`fill_pool`], of suites that list nothing but `added` beside what the pool was seen to have at `looked`
/// ([`last_filled`]): no other file is looked for.
///
/// # Errors
/// As [`fill_pool`].
pub fn fill_added(
    client: &Client,
    store: &dyn Store,
    archive: &ArchiveName,
    suites: &[SuiteState],
    (added, looked): (Vec<PoolFile>, Timestamp),
    progress: &Progress,
) -> Result<usize, UpstreamError> {
    let mut missing = BTreeMap::new();
    for file in &added {
        if !is_there(store, &Key::pool(archive, &file.path), &file.digest)? {
            add(&mut missing, file)?;
        }
    }
    let missing: Vec<_> = missing.into_iter().collect();
    let count = fetch(client, store, archive, &missing, progress)?;
    let looked = looked.rfc3339();
    store.replace(&Key::filled(archive, &content_digest(suites)), looked.as_bytes())?;
    Ok(count)
}

/// Fetches these; gives how many they are.
fn fetch(
    client: &Client,
    store: &dyn Store,
    archive: &ArchiveName,
    missing: &[(PoolPath, Sums)],
    progress: &Progress,
) -> Result<usize, UpstreamError> {
    let total = missing
        .iter()
        .map(|(_, sums)| sums.digest.size)
        .fold(0, u64::saturating_add);
    check_room(store, total)?;
    let bar = progress.transfer(&format!("{archive} packages"), missing.len() as u64, total);
    let pending = Pending {
        store,
        staged: Mutex::default(),
        ended: Mutex::new(false),
        ending: Condvar::new(),
    };
    let (fetched, settled) = std::thread::scope(|scope| {
        let settling = scope.spawn(|| pending.settle_until_the_end());
        let fetched = in_parallel(client.connections(), missing, |(path, sums)| {
            let key = Key::pool(archive, path);
            let brought = match store.head(&key)? {
                Some(_) => replace_pool_file(client, store, archive, path, sums),
                None => pending.fetch(client, &key, path, sums),
            };
            brought.map_err(|error| in_pool(path, error))?;
            bar.advance(sums.digest.size);
            bar.file_done();
            Ok(())
        });
        pending.end();
        (fetched, settling.join().unwrap_or(Err(UpstreamError::Bug)))
    });
    bar.finish();
    // Also after a failure: what has come need not come again.
    settled?;
    fetched?;
    Ok(missing.len())
}

/// What is not there is a file that upstream lists itself.
fn in_pool(path: &PoolPath, error: UpstreamError) -> UpstreamError {
    match error {
        UpstreamError::NotFound { url, status } => UpstreamError::NotInPool {
            path: path.clone(),
            url,
            status,
        },
        other => other,
    }
}

/// Whether [`fill_pool`] has seen every pool file that these suites name in the store, within a day before
/// `now`. What goes meanwhile is named by `verify` and `fsck`.
///
/// # Errors
/// When the store cannot be read.
pub fn was_filled(
    store: &dyn Store,
    archive: &ArchiveName,
    suites: &[SuiteState],
    now: Timestamp,
) -> Result<bool, UpstreamError> {
    Ok(last_filled(store, archive, suites, now)?.is_some())
}

/// When every pool file that these suites name was looked for, within a day before `now`, and came to be there.
///
/// # Errors
/// When the store cannot be read.
pub fn last_filled(
    store: &dyn Store,
    archive: &ArchiveName,
    suites: &[SuiteState],
    now: Timestamp,
) -> Result<Option<Timestamp>, UpstreamError> {
    let key = Key::filled(archive, &content_digest(suites));
    let Some(note) = store.head(&key)? else { return Ok(None) };
    let looked = looked_at(store, &note)?;
    Ok(looked.filter(|looked| (0..TRUSTED).contains(&now.since(*looked))))
}

/// When all was looked for, as a note of a pool that has everything says; none when it says nothing that such notes say:
/// nobody goes by it then.
///
/// # Errors
/// When the store cannot be read.
pub fn looked_at(store: &dyn Store, note: &Meta) -> Result<Option<Timestamp>, StoreError> {
    match note.size {
        0 => Ok(Some(note.modified)),
        // It was only added to what had been looked at then.
        1..=LONGEST_NOTE => {
            let text = store.get(&note.key, LONGEST_NOTE)?;
            Ok(Timestamp::parse_rfc3339(&String::from_utf8_lossy(&text)).ok())
        }
        _ => Ok(None),
    }
}

/// How many of the pool files that these suites name the store lacks, and their bytes.
///
/// # Errors
/// When an index is damaged, or names one file twice with different bytes.
pub fn lacking(store: &dyn Store, archive: &ArchiveName, suites: &[SuiteState]) -> Result<(usize, u64), UpstreamError> {
    let missing = missing(1, store, archive, suites)?;
    let sizes = missing.iter().map(|(_, sums)| sums.digest.size);
    Ok((missing.len(), sizes.fold(0, u64::saturating_add)))
}

/// The files that the store lacks, each once.
fn missing(
    threads: usize,
    store: &dyn Store,
    archive: &ArchiveName,
    suites: &[SuiteState],
) -> Result<Vec<(PoolPath, Sums)>, UpstreamError> {
    let sizes = sizes(store, archive)?;
    let mut missing = BTreeMap::new();
    each_file(store, archive, suites, &mut |files| {
        let absent = Mutex::new(Vec::new());
        in_parallel(threads, &files, |file| {
            let path = &file.path;
            let there = match path.as_str().starts_with(POOL) {
                true => sizes.get(path.as_str()) == Some(&file.digest.size),
                // A flat repository has its files anywhere.
                false => is_there(store, &Key::pool(archive, path), &file.digest)?,
            };
            if !there {
                let mut absent = absent.lock().unwrap_or_else(PoisonError::into_inner);
                absent.push(file.clone());
            }
            Ok(())
        })?;
        let mut absent = absent.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter();
        absent.try_for_each(|file| add(&mut missing, &file))
    })?;
    Ok(missing.into_iter().collect())
}

fn add(missing: &mut BTreeMap<PoolPath, Sums>, file: &PoolFile) -> Result<(), UpstreamError> {
    let sums = Sums::of(file);
    let before = missing.insert(file.path.clone(), sums);
    if before.is_some_and(|before| before.digest != sums.digest) {
        return Err(UpstreamError::Ambiguous(file.path.to_string()));
    }
    Ok(())
}

/// The sizes of the files below `pool/`, by path.
fn sizes(store: &dyn Store, archive: &ArchiveName) -> Result<HashMap<String, u64>, UpstreamError> {
    let (top, mut sizes) = (format!("{archive}/"), HashMap::new());
    store.visit(&format!("{top}pool"), &mut |meta| {
        if let Some(path) = meta.key.as_str().strip_prefix(&top) {
            sizes.insert(path.to_owned(), meta.size);
        }
    })?;
    Ok(sizes)
}

impl Pending<'_> {
    fn fetch(&self, client: &Client, key: &Key, path: &PoolPath, sums: &Sums) -> Result<(), UpstreamError> {
        let stage = |bytes: &mut dyn io::Read| self.store.stage(key, &sums.digest, bytes);
        let staged = fetch_checked(client, path.as_str(), sums, stage)?;
        let full = {
            let mut all = self.staged.lock().unwrap_or_else(PoisonError::into_inner);
            all.1 = all.1.saturating_add(staged.size());
            all.0.push(staged);
            let full = all.0.len() >= TOGETHER.0 || all.1 >= TOGETHER.1;
            full.then(|| std::mem::take(&mut *all))
        };
        match full {
            Some((staged, _)) => Ok(self.store.settle(staged)?),
            None => Ok(()),
        }
    }

    /// Settles what has come, from time to time, and all that is left at the end.
    fn settle_until_the_end(&self) -> Result<(), UpstreamError> {
        loop {
            let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
            let waited = self.ending.wait_timeout_while(ended, SETTLED_EVERY, |ended| !*ended);
            let ended = *waited.unwrap_or_else(PoisonError::into_inner).0;
            let (staged, _) = std::mem::take(&mut *self.staged.lock().unwrap_or_else(PoisonError::into_inner));
            self.store.settle(staged)?;
            if ended {
                return Ok(());
            }
        }
    }

    fn end(&self) {
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.ending.notify_all();
    }
}
