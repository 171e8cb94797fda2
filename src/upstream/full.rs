//! A full pool: every file that the followed Packages and Sources name is in the store.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::index::each_file;
use super::pull::{check_room, in_parallel, in_pieces_or_one, is_there, outcome};
use super::{Client, Expect, UpstreamError};
use crate::domain::{ArchiveName, Digest, PoolPath};
use crate::host::Progress;
use crate::snapshot::{SuiteState, content_digest};
use crate::store::{Key, Staged, Store};

/// How many files, and how many bytes, are brought to the disk together.
const TOGETHER: (usize, u64) = (2048, 256 << 20);

/// A store's files that were fetched and are not settled.
struct Pending<'a> {
    store: &'a dyn Store,
    /// With the sum of their sizes.
    staged: Mutex<(Vec<Staged>, u64)>,
}

/// Fetches what is missing of the pool files that these suites name. What a run that was killed had
/// fetched is not fetched again.
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
) -> Result<(), UpstreamError> {
    let missing = missing(client, store, archive, suites)?;
    let total = missing
        .iter()
        .map(|(_, digest)| digest.size)
        .fold(0, u64::saturating_add);
    check_room(store, total)?;
    let bar = progress.transfer(&format!("{archive} packages"), missing.len() as u64, total);
    let pending = Pending {
        store,
        staged: Mutex::default(),
    };
    let fetched = in_parallel(client.connections(), &missing, |(path, digest)| {
        pending.fetch(client, &Key::pool(archive, path), path, digest)?;
        bar.advance(digest.size);
        bar.file_done();
        Ok(())
    });
    bar.finish();
    // Also after a failure: what has come need not come again.
    let (rest, _) = pending.staged.into_inner().unwrap_or_else(PoisonError::into_inner);
    store.settle(rest)?;
    fetched?;
    store.create(&Key::filled(archive, &content_digest(suites)), b"")?;
    Ok(())
}

/// Whether every pool file that these suites name was brought into the store once. A mirror whose
/// pool was lazy has such a state, and nothing that is new upstream.
///
/// # Errors
/// The store's failure.
pub fn is_pool_full(store: &dyn Store, archive: &ArchiveName, suites: &[SuiteState]) -> Result<bool, UpstreamError> {
    Ok(store.head(&Key::filled(archive, &content_digest(suites)))?.is_some())
}

/// The files that the store lacks, each once.
fn missing(
    client: &Client,
    store: &dyn Store,
    archive: &ArchiveName,
    suites: &[SuiteState],
) -> Result<Vec<(PoolPath, Digest)>, UpstreamError> {
    let mut missing = BTreeMap::new();
    each_file(store, archive, suites, &mut |files| {
        let absent = Mutex::new(Vec::new());
        in_parallel(client.connections(), &files, |(path, digest)| {
            if !is_there(store, &Key::pool(archive, path), digest)? {
                let mut absent = absent.lock().unwrap_or_else(PoisonError::into_inner);
                absent.push((path.clone(), *digest));
            }
            Ok(())
        })?;
        for (path, digest) in absent.into_inner().unwrap_or_else(PoisonError::into_inner) {
            let before = missing.insert(path.clone(), digest);
            if before.is_some_and(|before| before != digest) {
                return Err(UpstreamError::Ambiguous(path));
            }
        }
        Ok(())
    })?;
    Ok(missing.into_iter().collect())
}

impl Pending<'_> {
    fn fetch(&self, client: &Client, key: &Key, path: &PoolPath, digest: &Digest) -> Result<(), UpstreamError> {
        let expect = Expect::Exactly(digest.size);
        let staged = in_pieces_or_one(client, path.as_str(), expect, |body| {
            match self.store.stage(key, digest, body) {
                Ok(staged) => Ok(staged),
                Err(error) => Err(outcome(Err(error), body).err().unwrap_or(UpstreamError::Bug)),
            }
        })?;
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
}
