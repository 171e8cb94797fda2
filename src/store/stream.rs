//! Streams with limits and digests, for every backend.

use std::io::{self, Read};

use sha2::Digest as _;

use super::{Key, StoreError};
use crate::domain::{Digest, Sha256};

const CHUNK: usize = 128 << 10;

/// Reads a whole object of at most `limit` bytes; `size` is what the backend said.
pub(super) fn read_whole(key: &Key, stream: impl Read, size: u64, limit: u64) -> Result<Vec<u8>, StoreError> {
    let too_large = || StoreError::TooLarge {
        key: key.clone(),
        limit,
    };
    if size > limit {
        return Err(too_large());
    }
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
    stream
        .take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|source| failed("read", key, source))?;
    if bytes.len() as u64 > limit {
        return Err(too_large());
    }
    Ok(bytes)
}

/// Copies a stream that must be what `digest` says, and stops as soon as it has a byte too many.
pub(super) fn copy_checked(
    key: &Key,
    digest: &Digest,
    stream: &mut dyn Read,
    mut write: impl FnMut(&[u8]) -> io::Result<()>,
) -> Result<(), StoreError> {
    let mut hasher = sha2::Sha256::new();
    let mut size = 0_u64;
    let mut buffer = buffer(digest.size);
    let mut limited = stream.take(digest.size.saturating_add(1));
    loop {
        let count = match limited.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(failed("take the bytes of", key, error)),
        };
        let chunk = buffer.get(..count).unwrap_or_default();
        hasher.update(chunk);
        size = size.saturating_add(chunk.len() as u64);
        write(chunk).map_err(|source| failed("write", key, source))?;
    }
    let found = Digest {
        sha256: Sha256::from_bytes(hasher.finalize().into()),
        size,
    };
    if found == *digest {
        return Ok(());
    }
    Err(StoreError::Digest {
        key: key.clone(),
        expected: *digest,
        found,
    })
}

/// Room for one piece of an object: small objects are many, and need no more than their size.
pub(super) fn buffer(size: u64) -> Vec<u8> {
    vec![0; usize::try_from(size.saturating_add(1)).map_or(CHUNK, |size| size.min(CHUNK))]
}

/// What becomes of an immutable object that is there already.
pub(super) fn keep(key: &Key, digest: &Digest, size: u64) -> Result<(), StoreError> {
    if size == digest.size {
        Ok(())
    } else {
        Err(StoreError::Different(key.clone()))
    }
}

fn failed(act: &'static str, key: &Key, source: io::Error) -> StoreError {
    StoreError::Backend {
        act,
        key: key.to_string(),
        source: source.into(),
    }
}
