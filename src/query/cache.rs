//! The cache: facts of documents that were verified before, as segments below the site's `cache/query/`.
//!
//! It may be deleted at any time. A segment is one file, named by the SHA-256 of its bytes, written whole and never
//! changed: runs at the same time need not know of each other, and one that was killed leaves what it had kept. It is
//! bound to the keys under which signatures were checked: under other keys, of another version or damaged it is none;
//! nor is one that others may write to. What is in it never says what an archive lists, which is read from what the
//! archive signs.

use std::path::{Path, PathBuf};

use super::view::Segment;
use crate::domain::Sha256;
use crate::host::files;
use crate::trust::Ed25519Public;
use crate::verify::Anchors;

const MAGIC: &[u8] = b"assay facts 4\n";
/// The largest segment that is read, in bytes.
const LARGEST: u64 = 2 << 30;
/// So many segments are kept beside one another. Of more, the small ones are let go: what was in them is read from the
/// documents again, and is one segment then.
const MOST: usize = 8;
/// A segment is small when all that are smaller have more than this part of its bytes together.
const SMALL: u64 = 4;

/// Where facts are kept between runs.
#[derive(Debug, Clone)]
pub struct Cache {
    folder: PathBuf,
}

/// What was found in the cache.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// The segments that are used.
    pub(super) segments: Vec<Segment>,
    /// Files that go when something new is kept.
    obsolete: Vec<PathBuf>,
}

impl Cache {
    /// The cache below a site's cache folder.
    #[must_use]
    pub fn below(folder: &Path) -> Self {
        Self {
            folder: folder.join("query"),
        }
    }

    /// What was kept under these keys.
    pub(super) fn load(&self, key: &Sha256) -> Kept {
        let mut kept = Kept::default();
        let mut found = Vec::new();
        for path in files::list(&self.folder).unwrap_or_default() {
            match read(&path, key) {
                Some(segment) => found.push((segment.bytes().len() as u64, path, segment)),
                None => kept.obsolete.push(path),
            }
        }
        found.sort_by(|a, b| (b.0, &b.1).cmp(&(a.0, &a.1)));
        let large = match found.len() > MOST {
            true => large(&found.iter().map(|(size, ..)| *size).collect::<Vec<_>>()),
            false => found.len(),
        };
        for (number, (_, path, segment)) in found.into_iter().enumerate() {
            match number < large {
                true => kept.segments.push(segment),
                false => kept.obsolete.push(path),
            }
        }
        kept
    }

    /// Keeps what was learned; gives the file. That it cannot be written is no failure: the next query reads the
    /// documents again.
    pub(super) fn save(&self, key: &Sha256, body: &[u8]) -> Option<PathBuf> {
        let bytes = [MAGIC, key.as_bytes(), body].concat();
        let path = self.folder.join(Sha256::of(&bytes).hex());
        match files::write(&path, &bytes) {
            Ok(()) => Some(path),
            Err(error) => {
                tracing::info!(%error, "the cache of facts was not written");
                None
            }
        }
    }
}

impl Kept {
    /// Files that a segment takes the place of.
    pub(super) fn replaced(&mut self, paths: Vec<PathBuf>) {
        self.obsolete.extend(paths);
    }

    /// Removes what is not used any more. What stays is removed by another run.
    pub(super) fn tidy(&mut self, but: &[PathBuf]) {
        for path in self.obsolete.drain(..).filter(|path| !but.contains(path)) {
            if let Err(error) = files::remove(&path) {
                tracing::info!(%error, "an old file of the cache was not removed");
            }
        }
    }
}

/// A segment that is what its name says, under these keys.
fn read(path: &Path, key: &Sha256) -> Option<Segment> {
    let bytes = files::read_own(path, LARGEST)
        .map_err(|error| tracing::info!(%error, "a file of the cache is not used"))
        .ok()?;
    let body = bytes.strip_prefix(MAGIC)?.strip_prefix(key.as_bytes())?;
    let start = bytes.len().checked_sub(body.len())?;
    let named = path.file_name()?.to_str()? == Sha256::of(&bytes).hex();
    named.then(|| Segment::new(bytes, start)).flatten()
}

/// How many of these sizes, largest first, are large: each at least some times what all after it have.
fn large(sizes: &[u64]) -> usize {
    let mut after: u64 = sizes.iter().sum();
    for (number, size) in sizes.iter().enumerate() {
        after = after.saturating_sub(*size);
        if size / SMALL < after {
            return number;
        }
    }
    sizes.len()
}

/// What facts depend on beside the documents: the gate's key, and the keys that builders may sign with.
pub(super) fn key(anchors: &Anchors, builders: &[Ed25519Public]) -> Sha256 {
    let mut text = format!("{}\n{}\n", env!("CARGO_PKG_VERSION"), anchors.gate.fingerprint());
    for builder in builders {
        text.push_str(&format!("{}\n", builder.fingerprint()));
    }
    for anchor in anchors.archives.iter().filter(|anchor| anchor.is_custom()) {
        text.push_str(&format!("{}\n", anchor.name));
    }
    Sha256::of(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::large;

    #[test]
    fn a_large_segment_stays_beside_many_small_ones() {
        assert_eq!(large(&[40_000, 500, 9, 9, 9, 9]), 2);
        assert_eq!(large(&[9, 9, 9, 9]), 0);
        assert_eq!(large(&[40_000, 20_000, 9]), 0, "those two become one");
    }
}
