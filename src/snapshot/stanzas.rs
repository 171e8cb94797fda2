//! Packages and Sources of a suite, read as streams: an index of any size takes little memory.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use sha2::Digest as _;

use super::{IndexFile, SnapshotError, SuiteState, index_key};
use crate::domain::{ArchiveName, Digest, Sha256, SuiteName};
use crate::format::FormatError;
use crate::format::compress::{self, Compression};
use crate::format::deb822::LARGEST_STANZA;
use crate::store::Store;

/// Uncompressed bytes of an index that are in memory at once.
const CHUNK: usize = 1 << 20;
/// The largest index, uncompressed, in bytes.
const LARGEST: u64 = 4 << 30;

/// Forms of an index, quickest to read first.
const FORMS: [&str; 4] = ["", "zst", "gz", "xz"];

/// Packages and Sources of a suite, each in the kept form that is read fastest; by path without the
/// ending of its compression.
#[must_use]
pub fn package_indexes(state: &SuiteState) -> BTreeMap<&str, &IndexFile> {
    best_forms(state, &PACKAGES)
}

/// The same, and the indexes of changelogs of a suite of ours: all that names files of the pool.
#[must_use]
pub fn file_indexes(state: &SuiteState) -> BTreeMap<&str, &IndexFile> {
    match state.upstream {
        None => best_forms(state, &FILES),
        Some(_) => best_forms(state, &PACKAGES),
    }
}

const PACKAGES: [&str; 2] = ["Packages", "Sources"];
const FILES: [&str; 3] = ["Packages", "Sources", "Changelogs"];

fn best_forms<'s>(state: &'s SuiteState, names: &[&str]) -> BTreeMap<&'s str, &'s IndexFile> {
    let mut best: BTreeMap<&str, (usize, &IndexFile)> = BTreeMap::new();
    for index in state.indexes.iter().filter(|index| index.kept) {
        let Some((plain, form)) = package_index(index, names) else {
            continue;
        };
        let better = best.get(plain).is_none_or(|(known, _)| form < *known);
        if better {
            best.insert(plain, (form, index));
        }
    }
    best.into_iter().map(|(plain, (_, index))| (plain, index)).collect()
}

/// The path of an index of one of these names without the ending of its compression, and which form it is.
fn package_index<'i>(index: &'i IndexFile, names: &[&str]) -> Option<(&'i str, usize)> {
    let (path, name) = (index.path.as_str(), index.path.file_name());
    let (plain, extension) = name.split_once('.').unwrap_or((name, ""));
    let form = FORMS.iter().position(|known| *known == extension)?;
    let ending = if extension.is_empty() { 0 } else { extension.len() + 1 };
    let plain_path = path.get(..path.len().checked_sub(ending)?)?;
    names.contains(&plain).then_some((plain_path, form))
}

/// Gives an index to `take` in runs of whole stanzas, uncompressed. Only when it returns without an
/// error is what was given all that the record names: the bytes are hashed on the way.
///
/// # Errors
/// When the index is not in the store, or is damaged; what `take` fails with.
pub fn each_chunk<E: From<SnapshotError>>(
    store: &dyn Store,
    archive: &ArchiveName,
    suite: &SuiteName,
    index: &IndexFile,
    take: &mut dyn FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let key = index_key(archive, suite, index);
    let damaged = |source: FormatError| SnapshotError::Record {
        key: key.clone(),
        source,
    };
    let hashed = Arc::new(Mutex::new(Hashed::default()));
    let tapped = Tapped {
        input: store.open(&key).map_err(SnapshotError::from)?,
        hashed: Arc::clone(&hashed),
    };
    let compression = Compression::of_name(index.path.file_name());
    let mut reader = compress::reader(compression, tapped, LARGEST).map_err(damaged)?;
    let (mut buffer, mut filled) = (Vec::new(), 0);
    loop {
        let ended =
            fill(&mut reader, &mut buffer, &mut filled).map_err(|error| damaged(compress::read_error(error)))?;
        let there = buffer.get(..filled).unwrap_or_default();
        let whole = if ended { filled } else { stanzas_end(there) };
        take(there.get(..whole).unwrap_or_default())?;
        if ended {
            break;
        }
        buffer.copy_within(whole..filled, 0);
        filled -= whole;
        if filled > LARGEST_STANZA {
            return Err(damaged(FormatError::Limit {
                what: "index",
                limit: LARGEST_STANZA as u64,
                unit: "bytes in a stanza",
            })
            .into());
        }
    }
    drop(reader);
    let hashed = hashed.lock().unwrap_or_else(PoisonError::into_inner).clone();
    if hashed.digest() != index.digest {
        return Err(SnapshotError::Damaged { key }.into());
    }
    Ok(())
}

/// The same; gives the SHA-256 of the uncompressed index.
///
/// # Errors
/// As [`each_chunk`].
pub fn each_plain_chunk<E: From<SnapshotError>>(
    store: &dyn Store,
    archive: &ArchiveName,
    suite: &SuiteName,
    index: &IndexFile,
    take: &mut dyn FnMut(&[u8]) -> Result<(), E>,
) -> Result<Sha256, E> {
    let mut plain = sha2::Sha256::new();
    each_chunk(store, archive, suite, index, &mut |chunk| {
        plain.update(chunk);
        take(chunk)
    })?;
    Ok(Sha256::from_bytes(plain.finalize().into()))
}

/// What went by.
#[derive(Debug, Clone, Default)]
struct Hashed {
    hasher: sha2::Sha256,
    size: u64,
}

impl Hashed {
    fn digest(self) -> Digest {
        Digest {
            sha256: Sha256::from_bytes(self.hasher.finalize().into()),
            size: self.size,
        }
    }
}

/// Hashes what is read through it.
struct Tapped<R> {
    input: R,
    hashed: Arc<Mutex<Hashed>>,
}

impl<R: Read> Read for Tapped<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        let mut hashed = self.hashed.lock().unwrap_or_else(PoisonError::into_inner);
        hashed.hasher.update(buffer.get(..count).unwrap_or_default());
        hashed.size = hashed.size.saturating_add(count as u64);
        Ok(count)
    }
}

/// Reads behind the first `filled` bytes until there is a chunk more; whether the end was reached. A decompressor
/// works best with all the room at once.
fn fill(reader: &mut dyn Read, buffer: &mut Vec<u8>, filled: &mut usize) -> io::Result<bool> {
    let wanted = filled.saturating_add(CHUNK);
    if buffer.len() < wanted {
        buffer.resize(wanted, 0);
    }
    while let Some(room) = buffer.get_mut(*filled..wanted).filter(|room| !room.is_empty()) {
        match reader.read(room) {
            Ok(0) => return Ok(true),
            Ok(count) => *filled = filled.saturating_add(count).min(wanted),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}

/// Where the last whole stanza ends.
fn stanzas_end(buffer: &[u8]) -> usize {
    memchr::memmem::rfind(buffer, b"\n\n").map_or(0, |at| at + 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{RelPath, Timestamp};

    #[test]
    fn each_index_is_read_in_its_quickest_kept_form() {
        let index = |path: &str, kept| IndexFile {
            path: RelPath::new(path).unwrap(),
            digest: Digest::of(path.as_bytes()),
            kept,
        };
        let state = SuiteState {
            suite: SuiteName::new("tin").unwrap(),
            date: Timestamp::from_unix(0),
            fields: Vec::new(),
            architectures: Vec::new(),
            components: Vec::new(),
            indexes: vec![
                index("Packages", false),
                index("Packages.gz", true),
                index("Packages.xz", true),
                index("Sources", true),
                index("main/binary-amd64/Packages", false),
                index("main/binary-amd64/Packages.bz2", true),
                index("main/binary-amd64/Packages.diff/Index", true),
                index("main/binary-amd64/Packages.xz", true),
                index("main/Contents-amd64.gz", true),
            ],
            upstream: None,
            custom: None,
        };
        let found: Vec<_> = package_indexes(&state)
            .into_iter()
            .map(|(plain, index)| (plain, index.path.as_str()))
            .collect();
        // A flat archive has both in one folder.
        assert_eq!(
            found,
            [
                ("Packages", "Packages.gz"),
                ("Sources", "Sources"),
                ("main/binary-amd64/Packages", "main/binary-amd64/Packages.xz")
            ]
        );
    }
}
