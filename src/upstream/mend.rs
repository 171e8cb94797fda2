//! Indexes of snapshots that were damaged or lost, put back: from another of their names, from another form of the same
//! index, or from upstream. Nothing is believed: what gets in has the digest that the record says.

use std::collections::BTreeSet;
use std::io::Read;

use super::follow::location;
use super::patched::compressor;
use super::plan::uncompressed_name;
use super::pull::{in_pieces_or_one, outcome, replace};
use super::{Client, Expect, UpstreamError};
use crate::domain::{ArchiveName, Digest, RelPath};
use crate::format::compress::{self, Compression};
use crate::site::MirrorArchive;
use crate::snapshot::{Chain, Edition, EditionFile, IndexFile, Marks, SnapshotError, SuiteState, TagRecord, index_key};
use crate::store::{Key, Store, StoreError, hash_stream};

/// The most bytes of an index that is compressed again: it is held in memory.
const LARGEST_MADE: u64 = 48 << 20;
/// The largest index, uncompressed, in bytes.
const LARGEST: u64 = 4 << 30;

/// Puts back what a mirror's snapshots consist of.
#[derive(Debug, Clone, Copy)]
pub struct Mender<'a> {
    /// The upstream.
    pub client: &'a Client,
    /// Where it is put back.
    pub store: &'a dyn Store,
    /// The mirror.
    pub archive: &'a ArchiveName,
    /// What the site says of it.
    pub config: &'a MirrorArchive,
}

/// An index that is there again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mended {
    /// Where its bytes were found; none where only names of it were lost.
    pub from: Option<String>,
    /// The names under which it was put back.
    pub names: Vec<Key>,
}

/// What became of an index; one that cannot be put back keeps no other from it.
pub type Mending = (Key, Result<Mended, UpstreamError>);

/// Looks whether every index file of an edition that is published is there under each of its names, with its size. None is
/// read: `verify` and `fsck` do that.
///
/// # Errors
/// `Store` with the first name that is missing, `Snapshot` with the first whose size is another; the store's failure.
pub fn look_at(store: &dyn Store, edition: &Edition) -> Result<(), UpstreamError> {
    for file in edition.files() {
        match lost_name(store, &file)? {
            Some((name, true)) => return Err(SnapshotError::Damaged { key: name.clone() }.into()),
            Some((name, false)) => return Err(StoreError::Missing(name.clone()).into()),
            None => {}
        }
    }
    Ok(())
}

/// The first name of a file that is missing, or has another size; whether it is there.
fn lost_name<'f>(store: &dyn Store, file: &'f EditionFile<'_>) -> Result<Option<(&'f Key, bool)>, StoreError> {
    for name in file.all_names() {
        match store.head(name)? {
            Some(meta) if meta.size == file.digest.size => {}
            other => return Ok(Some((name, other.is_some()))),
        }
    }
    Ok(None)
}

impl Mender<'_> {
    /// The names by hash of the newest snapshot's files that are missing or damaged, each of which is read whole; and their
    /// other names that are missing or have another size.
    ///
    /// # Errors
    /// The store's failure.
    pub fn damaged(&self, chain: &Chain) -> Result<BTreeSet<String>, UpstreamError> {
        let mut damaged = BTreeSet::new();
        for file in chain.latest_edition().iter().flat_map(Edition::files) {
            if !self.is(&file.key, &file.digest)? {
                damaged.insert(file.key.to_string());
            }
            damaged.extend(lost_name(self.store, &file)?.map(|(name, _)| name.to_string()));
        }
        Ok(damaged)
    }

    /// Puts back the files of all snapshots and tags that have one of these names, under each name that they lost. What
    /// could not be put back anywhere is tried once.
    ///
    /// # Errors
    /// When the records cannot be read.
    pub fn mend(&self, chain: &Chain, names: &BTreeSet<String>) -> Result<Vec<Mending>, UpstreamError> {
        let (mut done, mut failed) = (Vec::new(), BTreeSet::new());
        let marks = Marks::load(self.store, self.archive)?;
        let newest = chain.latest_edition();
        let before = chain
            .records(self.store)
            .map(|record| record.map(|r| Edition::of_record(&r, None)));
        let tags = TagRecord::all(self.store, self.archive)?;
        let tags = tags.iter().map(|tag| Ok(Edition::of_tag(tag)));
        for edition in before.chain(tags) {
            let edition = edition?;
            if marks.gone(&edition.name).is_some() {
                continue;
            }
            let at_head = newest.as_ref().is_some_and(|newest| newest.name == edition.name);
            for file in edition.files() {
                let is_named = file.all_names().any(|name| names.contains(name.as_str()));
                if !is_named || failed.contains(&file.key) {
                    continue;
                }
                match self.file(&file, at_head) {
                    Ok(mended) if mended.names.is_empty() => {}
                    Ok(mended) => done.push((file.key, Ok(mended))),
                    Err(error) => {
                        failed.insert(file.key.clone());
                        done.push((file.key, Err(error)));
                    }
                }
            }
        }
        Ok(done)
    }

    fn file(&self, file: &EditionFile<'_>, at_head: bool) -> Result<Mended, UpstreamError> {
        let mut mended = Mended {
            from: None,
            names: Vec::new(),
        };
        if !self.is(&file.key, &file.digest)? {
            mended.from = Some(self.bring(file)?);
            mended.names.push(file.key.clone());
        }
        for name in file.names.iter().chain(file.head.as_ref().filter(|_| at_head)) {
            let is_linked = self.store.is_same(&file.key, name)? == Some(true);
            if !is_linked && !self.is(name, &file.digest)? {
                self.store.link(&file.key, name)?;
                mended.names.push(name.clone());
            }
        }
        Ok(mended)
    }

    /// Whether an object is there with these bytes. One that cannot be read is not.
    fn is(&self, key: &Key, digest: &Digest) -> Result<bool, UpstreamError> {
        match self.store.head(key)? {
            Some(meta) if meta.size == digest.size => {}
            _ => return Ok(false),
        }
        let found = self.store.open(key).and_then(|bytes| hash_stream(key, bytes));
        Ok(found.is_ok_and(|found| found == *digest))
    }

    /// Has the bytes of a file again, and says from where.
    fn bring(&self, file: &EditionFile<'_>) -> Result<String, UpstreamError> {
        for name in file.names.iter().chain(&file.head) {
            if self.is(name, &file.digest)? && self.put(file, &mut self.store.open(name)?).is_ok() {
                return Ok(format!("`{name}`"));
            }
        }
        for (form, key) in self.other_forms(file)? {
            match self.make_of(file, form, &key) {
                Ok(true) => return Ok(format!("`{key}`, which has the same text")),
                Ok(false) => {}
                Err(error) => tracing::info!(index = %file.key, form = %key, %error, "it is not made of another form"),
            }
        }
        self.fetch_any(file)
    }

    fn put(&self, file: &EditionFile<'_>, bytes: &mut dyn Read) -> Result<(), UpstreamError> {
        let mut bytes = Some(bytes);
        replace(self.store, self.archive, &file.key, &file.digest.sha256, |beside| {
            let Some(bytes) = bytes.take() else {
                return Err(StoreError::Missing(beside.clone()).into());
            };
            Ok(self.store.put_stream(beside, &file.digest, bytes)?)
        })
    }

    /// Whole forms of the same index, quickest to read first.
    fn other_forms<'f>(&self, file: &EditionFile<'f>) -> Result<Vec<(&'f IndexFile, Key)>, UpstreamError> {
        let SuiteState { suite, indexes, .. } = file.state;
        let theirs = file.state.upstream.iter().flat_map(|upstream| &upstream.indexes);
        let mut found = Vec::new();
        for index in indexes.iter().chain(theirs) {
            let is_form = index.path != file.path && uncompressed_name(&index.path) == uncompressed_name(&file.path);
            if !is_form || !index.kept || is_unread(&index.path) {
                continue;
            }
            let key = index_key(self.archive, suite, index);
            if self.is(&key, &index.digest)? {
                found.push((index, key));
            }
        }
        found.sort_by_key(|(index, _)| Compression::of_name(index.path.file_name()));
        Ok(found)
    }

    /// Makes a file of another form, as Debian's archive compresses; whether that is what it was.
    fn make_of(&self, file: &EditionFile<'_>, form: &IndexFile, key: &Key) -> Result<bool, UpstreamError> {
        let compression = Compression::of_name(form.path.file_name());
        let text = compress::reader(compression, self.store.open(key)?, LARGEST);
        let mut text = text.map_err(|source| UpstreamError::Format {
            url: key.to_string(),
            source,
        })?;
        let wanted = Compression::of_name(file.path.file_name());
        let made = match compressor(wanted) {
            _ if is_unread(&file.path) => return Ok(false),
            None if wanted == Compression::Plain => self.put(file, &mut text),
            None => return Ok(false),
            Some(program) => {
                let made = program.limit(LARGEST_MADE).run_reading(&mut text)?.stdout;
                self.put(file, &mut made.as_slice())
            }
        };
        match made {
            Err(UpstreamError::Store(StoreError::Digest { .. })) => Ok(false),
            done => done.map(|()| true),
        }
    }

    /// Fetches a file by its hash, or under its name while it is what upstream has.
    fn fetch_any(&self, file: &EditionFile<'_>) -> Result<String, UpstreamError> {
        let Digest { sha256, .. } = file.digest;
        let folder = if file.is_signed() { "" } else { file.path.folder() };
        let by_hash = format!("by-hash/SHA256/{sha256}");
        let mut last = None;
        for name in [by_hash.as_str(), file.path.file_name()] {
            let path = location(self.config, &file.state.suite, folder, name);
            match self.fetch(file, &path) {
                Ok(()) => return Ok(format!("upstream's `{path}`")),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or(UpstreamError::Bug))
    }

    fn fetch(&self, file: &EditionFile<'_>, path: &str) -> Result<(), UpstreamError> {
        let (store, digest) = (self.store, &file.digest);
        replace(store, self.archive, &file.key, &digest.sha256, |beside| {
            in_pieces_or_one(self.client, path, Expect::Exactly(digest.size), |body| {
                let stored = store.put_stream(beside, digest, body);
                outcome(stored, body)
            })
        })
    }
}

/// Whether an index is compressed in a way that is not read here.
fn is_unread(path: &RelPath) -> bool {
    path.as_str().ends_with(".bz2")
}
