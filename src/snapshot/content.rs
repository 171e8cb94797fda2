//! What a snapshot consists of: its indexes, by hash.

use serde::Serialize;

use super::{IndexFile, SnapshotError, SuiteState, UpstreamRelease};
use crate::domain::{ArchiveName, Digest, Milestones, RelPath, Sha256, SuiteName};
use crate::format::compress::{Compression, decompress};
use crate::format::json;
use crate::store::{Key, Store, StoreError};

/// The identity of what a snapshot holds: a SHA-256 over the names of its suites and the paths and
/// hashes of their indexes. Renewing a snapshot keeps it; any other change does not.
#[must_use]
pub fn content_digest(suites: &[SuiteState]) -> Sha256 {
    #[derive(Serialize)]
    struct Content<'a> {
        suite: &'a SuiteName,
        indexes: &'a [IndexFile],
    }
    let contents: Vec<_> = suites.iter().map(content).collect();
    fn content(state: &SuiteState) -> Content<'_> {
        Content {
            suite: &state.suite,
            indexes: &state.indexes,
        }
    }
    #[expect(
        clippy::expect_used,
        reason = "lists and structs of strings and numbers are always JSON"
    )]
    Sha256::of(&json::canonical("snapshot content", &contents).expect("plain values"))
}

/// Where the bytes of an index are kept, once for all snapshots of the suite.
#[must_use]
pub fn index_key(archive: &ArchiveName, suite: &SuiteName, index: &IndexFile) -> Key {
    Key::by_hash(archive, suite, &index.path, &index.digest.sha256)
}

/// One file that upstream signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamFile {
    /// Below `dists/<suite>/` and `dists/<suite>/<serial>/`.
    pub path: RelPath,
    /// Where its bytes are kept, once for all snapshots of the suite.
    pub key: Key,
    /// What it is.
    pub digest: Digest,
}

/// What upstream signed: `upstream/InRelease`, or `upstream/Release` and then its `Release.gpg`.
#[must_use]
pub fn upstream_files(archive: &ArchiveName, suite: &SuiteName, upstream: &UpstreamRelease) -> Vec<UpstreamFile> {
    let file = |name: &str, digest: Digest| {
        #[expect(clippy::expect_used, reason = "constants that follow the grammar")]
        let path = RelPath::new(format!("upstream/{name}")).expect("constant");
        UpstreamFile {
            key: Key::by_hash(archive, suite, &path, &digest.sha256),
            path,
            digest,
        }
    };
    match upstream.release_gpg {
        None => vec![file("InRelease", upstream.inrelease)],
        Some(signature) => vec![file("Release", upstream.inrelease), file("Release.gpg", signature)],
    }
}

/// An index of a suite, checked against its record.
///
/// # Errors
/// When it is not kept, not in the store, or its bytes are not those of the record.
pub fn read_index(
    store: &dyn Store,
    archive: &ArchiveName,
    suite: &SuiteName,
    index: &IndexFile,
) -> Result<Vec<u8>, SnapshotError> {
    read_index_marked(store, archive, suite, index).map(|(bytes, _)| bytes)
}

/// The same, with the milestones of its hash: for who makes another index of it.
///
/// # Errors
/// As [`read_index`].
pub fn read_index_marked(
    store: &dyn Store,
    archive: &ArchiveName,
    suite: &SuiteName,
    index: &IndexFile,
) -> Result<(Vec<u8>, Milestones), SnapshotError> {
    if !index.kept {
        return Err(SnapshotError::NotKept {
            suite: suite.clone(),
            path: index.path.clone(),
        });
    }
    let key = index_key(archive, suite, index);
    let bytes = match store.get(&key, index.digest.size) {
        Err(StoreError::TooLarge { key, .. }) => return Err(SnapshotError::Damaged { key }),
        other => other?,
    };
    let (digest, milestones) = Milestones::of(&bytes);
    if digest != index.digest {
        return Err(SnapshotError::Damaged { key });
    }
    Ok((bytes, milestones))
}

/// The largest uncompressed index that is read, in bytes.
const LARGEST_PLAIN: u64 = 1 << 30;

/// Reads one index of a snapshot as `read_index` does, and decompresses it.
///
/// # Errors
/// As `read_index`; `Record` when it cannot be decompressed.
pub fn read_plain_index(
    store: &dyn Store,
    archive: &ArchiveName,
    suite: &SuiteName,
    index: &IndexFile,
) -> Result<Vec<u8>, SnapshotError> {
    let bytes = read_index(store, archive, suite, index)?;
    decompress(Compression::of_name(index.path.as_str()), &bytes, LARGEST_PLAIN).map_err(|source| {
        SnapshotError::Record {
            key: index_key(archive, suite, index),
            source,
        }
    })
}

/// The kept form of an index that is quickest to read, by the name of its uncompressed form.
#[must_use]
pub fn kept_index<'a>(state: &'a SuiteState, plain: &str) -> Option<&'a IndexFile> {
    let of_this = |index: &&IndexFile| index.kept && index.path.as_str().starts_with(plain);
    // Decompressing costs more than hashing what it gives: xz most, by far.
    let quickest = ["", ".zst", ".gz", ".xz"];
    let place = |index: &'a IndexFile| {
        let form = index.path.as_str().strip_prefix(plain)?;
        Some((quickest.iter().position(|known| *known == form)?, index))
    };
    let forms = state.indexes.iter().filter(of_this).filter_map(place);
    forms.min_by_key(|(place, _)| *place).map(|(_, index)| index)
}
