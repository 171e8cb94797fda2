//! Pool files from upstream into the store: verified before anybody sees a byte of them.

use std::collections::VecDeque;
use std::io;
use std::sync::{Mutex, PoisonError};

use super::inspect::Checked;
use super::{Body, Client, Expect, UpstreamError};
use crate::domain::{ArchiveName, Digest, PoolPath, Sha256};
use crate::format::hashes::OtherHashes;
use crate::format::packages::PoolFile;
use crate::store::{Key, Store, StoreError};

/// What a pool file must be, to the last hash that is listed for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sums {
    /// SHA-256 and size.
    pub digest: Digest,
    /// The other hashes; those that are listed.
    pub others: OtherHashes,
}

impl Sums {
    /// Where nothing but the SHA-256 is known.
    #[must_use]
    pub fn sha256(digest: Digest) -> Self {
        let others = OtherHashes::NONE;
        Self { digest, others }
    }

    /// What an index lists.
    pub(super) fn of(file: &PoolFile) -> Self {
        let (digest, others) = (file.digest, file.others);
        Self { digest, others }
    }
}

/// Fetches one pool file, unless the store has it. Nothing appears in the store unless size, SHA-256
/// and every other listed hash are as said.
///
/// # Errors
/// `NotFound` when upstream no longer has it; what the network, the bytes or the store do wrong.
pub fn fetch_pool_file(
    client: &Client,
    store: &dyn Store,
    archive: &ArchiveName,
    path: &PoolPath,
    sums: &Sums,
) -> Result<(), UpstreamError> {
    let key = Key::pool(archive, path);
    if is_there(store, &key, &sums.digest)? {
        return Ok(());
    }
    fetch_object(client, store, path.as_str(), &key, sums)
}

/// Fetches a pool file anew beside the one that the store has with other bytes, and puts it in its place:
/// readers see the one or the other.
///
/// # Errors
/// As [`fetch_pool_file`]; what was there stays then.
pub(super) fn replace_pool_file(
    client: &Client,
    store: &dyn Store,
    archive: &ArchiveName,
    path: &PoolPath,
    sums: &Sums,
) -> Result<(), UpstreamError> {
    replace(
        store,
        archive,
        &Key::pool(archive, path),
        &sums.digest.sha256,
        |beside| fetch_object(client, store, path.as_str(), beside, sums),
    )
}

/// Has `put` write an object beside the one that may be there, and puts it in its place: readers see the one or the
/// other. Whoever writes beside it checks what the bytes are.
pub(super) fn replace(
    store: &dyn Store,
    archive: &ArchiveName,
    key: &Key,
    sha256: &Sha256,
    put: impl FnOnce(&Key) -> Result<(), UpstreamError>,
) -> Result<(), UpstreamError> {
    let beside = Key::beside(archive, sha256);
    // What a killed run left was never looked at again.
    store.delete(&beside)?;
    put(&beside)?;
    store.link(&beside, key)?;
    Ok(store.delete(&beside)?)
}

/// Checks that there is room, before the first byte of a large fetch comes.
pub(super) fn check_room(store: &dyn Store, needed: u64) -> Result<(), UpstreamError> {
    match store.free_bytes()? {
        Some(free) if free < needed => Err(UpstreamError::NoRoom { needed, free }),
        _ => Ok(()),
    }
}

/// Whether the store has this object, as far as its size tells: it was verified when it was written.
pub(super) fn is_there(store: &dyn Store, key: &Key, digest: &Digest) -> Result<bool, UpstreamError> {
    Ok(store.head(key)?.is_some_and(|meta| meta.size == digest.size))
}

/// Fetches `path` below the base URL into the store under `key`, checking while it streams.
fn fetch_object(client: &Client, store: &dyn Store, path: &str, key: &Key, sums: &Sums) -> Result<(), UpstreamError> {
    fetch_checked(client, path, sums, |bytes| store.put_stream(key, &sums.digest, bytes))
}

/// Fetches a pool file, and has `put` store it. What has another hash than is listed fails before its end: the
/// store never shows it.
pub(super) fn fetch_checked<T>(
    client: &Client,
    path: &str,
    sums: &Sums,
    put: impl Fn(&mut dyn io::Read) -> Result<T, StoreError>,
) -> Result<T, UpstreamError> {
    let fetched = in_pieces_or_one(client, path, Expect::Exactly(sums.digest.size), |body| {
        let mut checked = Checked::new(&mut *body, sums.others);
        let stored = put(&mut checked);
        let wrong = checked.is_wrong();
        match stored {
            Ok(stored) => Ok(stored),
            Err(_) if wrong => Err(UpstreamError::PoolHash {
                name: path.to_owned(),
                hashes: sums.others.names(),
            }),
            Err(error) => Err(outcome(Err(error), body).err().unwrap_or(UpstreamError::Bug)),
        }
    });
    // Its connection is given back by now.
    fetched.map_err(|error| match error {
        UpstreamError::PoolHash { name, hashes } => wrong_hash(client, sums, (name, hashes)),
        other => other,
    })
}

/// Why a file does not have the listed hashes: it is another file, which its SHA-256 says when it is read once
/// more, or the index contradicts itself.
fn wrong_hash(client: &Client, sums: &Sums, (name, hashes): (String, String)) -> UpstreamError {
    let again = client
        .open(&name, Expect::Exactly(sums.digest.size))
        .map(Body::in_one_piece);
    match again.map(|mut body| (digest_of(&mut body), body.url().to_owned())) {
        Ok((Ok(found), url)) if found != sums.digest => UpstreamError::Digest {
            url,
            expected: sums.digest,
            found,
        },
        _ => UpstreamError::PoolHash { name, hashes },
    }
}

fn digest_of(bytes: &mut impl io::Read) -> io::Result<Digest> {
    let mut hash = sha2::Sha256::default();
    let size = io::copy(bytes, &mut hash)?;
    Ok(Digest {
        sha256: Sha256::from_bytes(sha2::Digest::finalize(hash).into()),
        size,
    })
}

/// Fetches a file with `take`. One that came in pieces and is wrong may be pieces of two files: it is
/// fetched once more in one piece.
pub(super) fn in_pieces_or_one<T>(
    client: &Client,
    path: &str,
    expect: Expect,
    take: impl Fn(&mut Body<'_>) -> Result<T, UpstreamError>,
) -> Result<T, UpstreamError> {
    let mut body = client.open(path, expect)?;
    match take(&mut body) {
        Err(UpstreamError::Digest { .. } | UpstreamError::PoolHash { .. }) if body.is_pieced() => {
            drop(body);
            take(&mut client.open(path, expect)?.in_one_piece())
        }
        done => done,
    }
}

/// What became of a body that was put into the store: whose failure it was, when it failed.
pub(super) fn outcome(stored: Result<(), StoreError>, body: &mut Body<'_>) -> Result<(), UpstreamError> {
    match stored {
        Ok(()) => Ok(()),
        Err(error) if body.has_failed() => Err(body.failure(&io::Error::other(error))),
        Err(StoreError::Digest { expected, found, .. }) => {
            let url = body.url().to_owned();
            Err(UpstreamError::Digest { url, expected, found })
        }
        Err(error) => Err(error.into()),
    }
}

/// A thread that panicked.
pub(super) fn bug() -> UpstreamError {
    UpstreamError::Bug
}

/// What `work` makes of every item, in their order, on some threads; the first failure ends it.
pub(super) fn each_in_parallel<T: Sync, R: Send>(
    threads: usize,
    items: &[T],
    work: impl Fn(&T) -> Result<R, UpstreamError> + Sync,
) -> Result<Vec<R>, UpstreamError> {
    let slots: Vec<(&T, Mutex<Option<R>>)> = items.iter().map(|item| (item, Mutex::new(None))).collect();
    in_parallel(threads, &slots, |(item, slot)| {
        let made = work(item)?;
        *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(made);
        Ok(())
    })?;
    let made = slots
        .into_iter()
        .map(|(_, slot)| slot.into_inner().unwrap_or_else(PoisonError::into_inner));
    made.map(|made| made.ok_or_else(bug)).collect()
}

/// Does `work` for every item on some threads; the first failure ends it.
pub(super) fn in_parallel<T: Sync>(
    threads: usize,
    items: &[T],
    work: impl Fn(&T) -> Result<(), UpstreamError> + Sync,
) -> Result<(), UpstreamError> {
    let queue: Mutex<VecDeque<&T>> = Mutex::new(items.iter().collect());
    let next = || queue.lock().ok().and_then(|mut queue| queue.pop_front());
    let stop = || {
        if let Ok(mut queue) = queue.lock() {
            queue.clear();
        }
    };
    let run = || {
        while let Some(item) = next() {
            if let Err(error) = work(item) {
                stop();
                return Err(error);
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads.clamp(1, items.len().max(1)))
            .map(|_| scope.spawn(run))
            .collect();
        let mut first = Ok(());
        for thread in threads {
            let ended = thread.join().unwrap_or_else(|_| Err(bug()));
            first = first.and(ended);
        }
        first
    })
}
