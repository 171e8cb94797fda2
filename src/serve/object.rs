//! Objects of the store as HTTP bodies: streamed, and never held in memory whole.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;

use axum::body::{Body, Bytes};
use futures_util::stream;
use tokio::io::AsyncReadExt as _;
use tokio::sync::mpsc;
use tokio_util::io::ReaderStream;

use crate::domain::{Digest, Timestamp};
use crate::host::files::{self, Stamp};
use crate::store::{Key, Store, StoreError, hash_stream};

/// Bytes in one piece of a body.
const PIECE: usize = 64 << 10;
/// Release files and what else is small and must be looked into, in bytes.
const SMALL: u64 = 16 << 20;

/// Something that can be sent.
#[derive(Debug)]
pub(super) struct Object {
    /// Bytes.
    pub(super) size: u64,
    /// When it was made, for `Last-Modified`.
    pub(super) modified: Timestamp,
    /// What stands in `ETag`, without quotes.
    pub(super) tag: String,
    /// What changes with the bytes.
    pub(super) stamp: Stamp,
    source: Source,
}

enum Source {
    Memory(Bytes),
    Disk(File),
    Store(Arc<dyn Store>, Key),
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Memory(_) => "Memory",
            Self::Disk(_) => "Disk",
            Self::Store(..) => "Store",
        })
    }
}

impl Object {
    /// Bytes in memory, made at `modified`.
    pub(super) fn memory(bytes: impl Into<Bytes>, modified: Timestamp) -> Self {
        let bytes: Bytes = bytes.into();
        Self {
            size: bytes.len() as u64,
            modified,
            tag: Digest::of(&bytes).sha256.hex(),
            stamp: Stamp::default(),
            source: Source::Memory(bytes),
        }
    }

    /// An object of the store; none when there is none. Blocks.
    pub(super) fn open(store: &Arc<dyn Store>, key: &Key) -> Result<Option<Self>, StoreError> {
        if let Some(path) = store.local_path(key)
            && let Ok(file) = files::open(&path)
            && let Ok(meta) = file.metadata()
            && meta.is_file()
        {
            let since = meta
                .modified()
                .ok()
                .and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
            let since = since.unwrap_or_default();
            let modified = Timestamp::from_unix(i64::try_from(since.as_secs()).unwrap_or(i64::MAX));
            return Ok(Some(Self {
                size: meta.len(),
                modified,
                tag: format!("{:x}-{:x}", since.as_nanos(), meta.len()),
                stamp: Stamp::of(&meta),
                source: Source::Disk(file),
            }));
        }
        let Some(meta) = store.head(key)? else { return Ok(None) };
        Ok(Some(Self {
            size: meta.size,
            modified: meta.modified,
            tag: format!("{:x}-{:x}", meta.modified.unix(), meta.size),
            stamp: Stamp::written(meta.size, meta.modified.unix()),
            source: Source::Store(Arc::clone(store), key.clone()),
        }))
    }

    /// A Release file. Its `Date` is when it was made: two that are published within one second have
    /// different Dates, and a client that asks whether there is a newer one must be told. Blocks.
    pub(super) fn open_release(store: &Arc<dyn Store>, key: &Key) -> Result<Option<Self>, StoreError> {
        let bytes = match store.get(key, SMALL) {
            Ok(bytes) => bytes,
            Err(StoreError::Missing(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let Some(date) = date_of(&bytes) else {
            return Self::open(store, key);
        };
        Ok(Some(Self::memory(bytes, date)))
    }

    /// The digest of all of its bytes. Blocks.
    pub(super) fn digest(&self, key: &Key) -> Result<Digest, StoreError> {
        match &self.source {
            Source::Memory(bytes) => Ok(Digest::of(bytes)),
            // Its place in the file is set before it is sent.
            Source::Disk(file) => hash_stream(key, file),
            Source::Store(store, key) => hash_stream(key, store.open(key)?),
        }
    }

    /// The bytes from `start` on, `length` of them.
    pub(super) async fn body(self, start: u64, length: u64) -> io::Result<Body> {
        match self.source {
            Source::Memory(bytes) => {
                let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
                let (from, to) = (at(start), at(start.saturating_add(length)));
                Ok(Body::from(bytes.slice(from..to)))
            }
            Source::Disk(mut file) => {
                let file = tokio::task::spawn_blocking(move || file.seek(SeekFrom::Start(start)).map(|_| file));
                let file = tokio::fs::File::from_std(file.await.map_err(io::Error::other)??);
                Ok(Body::from_stream(ReaderStream::with_capacity(file.take(length), PIECE)))
            }
            Source::Store(store, key) => Ok(from_store(store, key, start, length)),
        }
    }
}

/// A body that a thread of its own reads out of the store.
fn from_store(store: Arc<dyn Store>, key: Key, start: u64, length: u64) -> Body {
    let (to, from) = mpsc::channel::<io::Result<Bytes>>(4);
    tokio::task::spawn_blocking(move || {
        if let Err(error) = copy(store.as_ref(), &key, start, length, &to) {
            // A client that is gone need not be told.
            let _ = to.blocking_send(Err(error));
        }
    });
    Body::from_stream(stream::unfold(from, |mut from| async {
        from.recv().await.map(|piece| (piece, from))
    }))
}

fn copy(store: &dyn Store, key: &Key, start: u64, length: u64, to: &mpsc::Sender<io::Result<Bytes>>) -> io::Result<()> {
    let mut reader = store.open(key).map_err(io::Error::other)?;
    io::copy(&mut reader.by_ref().take(start), &mut io::sink())?;
    let mut rest = reader.take(length);
    loop {
        let mut piece = Vec::new();
        rest.by_ref().take(PIECE as u64).read_to_end(&mut piece)?;
        if piece.is_empty() || to.blocking_send(Ok(piece.into())).is_err() {
            return Ok(());
        }
    }
}

/// The field `Date` of a Release or InRelease file.
fn date_of(bytes: &[u8]) -> Option<Timestamp> {
    let at = memchr::memmem::find(bytes, b"\nDate: ")?.saturating_add(7);
    let line = bytes.get(at..)?.split(|b| *b == b'\n').next()?;
    Timestamp::parse_release_date(std::str::from_utf8(line).ok()?).ok()
}
