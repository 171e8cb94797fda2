//! What indexes list: of each name, and of what it has, some bytes of a hash. Each index is read as a stream, and
//! what stands in the newest snapshot's index already, byte for byte, was judged when it came there.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::Read as _;

use sha2::Digest as _;

use super::UpstreamError;
use super::decoders::Decoders;
use super::pull::each_in_parallel;
use crate::domain::{ArchiveName, Digest, Sha256, SuiteName};
use crate::format::FormatError;
use crate::format::compress::Compression;
use crate::format::deb822::{LARGEST_STANZA, Stanza, Stanzas, blocks};
use crate::format::hashes::OtherHashes;
use crate::format::packages::{Entry, Glance, PoolFile};
use crate::snapshot::{IndexFile, SuiteState, each_chunk, index_key, package_indexes};
use crate::store::Store;

/// A name, as the start of its SHA-256. Of two names with one such start, both would be refused.
pub(super) type Name = [u8; 8];
/// What it has, as the start of that SHA-256: of a length that nobody finds two files for. Of a SHA-256, which is
/// a name as well, it is the size, after as many zeros as no SHA-256 starts with.
pub(super) type Bytes = [u8; 16];
/// What a path has that is a folder of files.
pub(super) const FOLDER: Bytes = [0xff; 16];
/// Names and what they have, sorted.
pub(super) type Names = Vec<(Name, Bytes)>;

/// Indexes that are read at once.
const AT_ONCE: usize = 2;
/// The most files that are new since the newest snapshot and are named one by one.
const MOST_ADDED: usize = 20_000;
const STANZA_END: &[u8] = b"\n\n";

/// An index of a suite, with its path without the ending of a compression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Of<'a> {
    pub(super) suite: &'a SuiteName,
    pub(super) plain: &'a str,
    pub(super) index: &'a IndexFile,
}

/// The Packages and Sources of suites.
pub(super) fn indexes(states: &[SuiteState]) -> Vec<Of<'_>> {
    let of = |state| {
        let SuiteState { suite, .. }: &SuiteState = state;
        let indexes = package_indexes(state).into_iter();
        indexes.map(move |(plain, index)| Of { suite, plain, index })
    };
    states.iter().flat_map(of).collect()
}

/// Where indexes are read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a> {
    pub(super) store: &'a dyn Store,
    pub(super) archive: &'a ArchiveName,
    /// Who reads an index takes a place.
    pub(super) decoders: &'a Decoders,
}

/// Takes a stanza as it stands.
type Take<'a> = &'a mut dyn FnMut(&[u8]) -> Result<(), UpstreamError>;

/// What the newest snapshot's indexes list.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Of the indexes that stay.
    pub(super) stay: Names,
    /// Of those that have a successor or go, with the stanza that says so, by its place in `marks`' order of reading.
    go: Vec<(Name, Bytes, u32)>,
    /// The stanzas of these.
    marks: Marks,
}

/// Stanzas, each as a hash of its bytes and its place under a key that is drawn anew for each run: nobody can
/// make two with one mark who does not know it.
#[derive(Debug, Default)]
struct Marks {
    keys: RandomState,
    /// With the number of the stanza; sorted.
    stanzas: Vec<(u64, u32)>,
}

impl Marks {
    fn of(&self, of: &Of<'_>, stanza: &[u8]) -> u64 {
        let mut hasher = self.keys.build_hasher();
        for part in [of.suite.as_str().as_bytes(), of.plain.as_bytes(), stanza] {
            hasher.write(part);
            hasher.write_u8(0xff);
        }
        hasher.finish()
    }

    /// The numbers of the stanzas with this mark.
    fn find(&self, mark: u64) -> impl Iterator<Item = u32> {
        let from = self.stanzas.partition_point(|(known, _)| *known < mark);
        let rest = self.stanzas.get(from..).unwrap_or_default().iter();
        rest.take_while(move |(known, _)| *known == mark)
            .map(|(_, number)| *number)
    }
}

/// What an old index lists, before it is put together with the others.
#[derive(Default)]
struct Old {
    names: Vec<(Name, Bytes, u32)>,
    marks: Vec<u64>,
}

impl Known {
    /// What `stay` and `go` list.
    ///
    /// # Errors
    /// `Old`, when one cannot be read: an upstream that nothing is compared with could say anything.
    pub(super) fn read(reader: Reader<'_>, stay: &[Of<'_>], go: &[Of<'_>]) -> Result<Self, UpstreamError> {
        let mut known = Self::default();
        let read = |of: &Of<'_>| {
            let mut old = Old::default();
            let mut names = Naming::of(of);
            let done = reader.each(of, &mut |block| {
                let number = u32::try_from(old.marks.len()).unwrap_or(u32::MAX);
                old.marks.push(known.marks.of(of, block));
                names.old(block, &mut |name, bytes| old.names.push((name, bytes, number)));
                Ok(())
            });
            done.map(|()| old).map_err(|source| UpstreamError::Old {
                suite: of.suite.clone(),
                index: of.index.path.clone(),
                source: Box::new(source),
            })
        };
        let stay = each_in_parallel(AT_ONCE, stay, read)?;
        let read_go = each_in_parallel(AT_ONCE, go, read)?;
        let names = stay.into_iter().flat_map(|old| old.names);
        known.stay = sorted(names.map(|(name, bytes, _)| (name, bytes)).collect());
        let mut count = 0u32;
        for old in read_go {
            let first = count;
            let numbered = |number: u32| first.saturating_add(number);
            known.go.extend(
                old.names
                    .into_iter()
                    .map(|(name, bytes, number)| (name, bytes, numbered(number))),
            );
            for mark in old.marks {
                known.marks.stanzas.push((mark, count));
                count = count.saturating_add(1);
            }
        }
        known.go.sort_unstable();
        known.marks.stanzas.sort_unstable();
        Ok(known)
    }

    /// All that a name had, and whether `kept` says that a stanza that says so is still there.
    pub(super) fn had(&self, name: Name, kept: &Kept) -> impl Iterator<Item = (Bytes, bool)> {
        let from = self.go.partition_point(|(known, _, _)| *known < name);
        let rest = self.go.get(from..).unwrap_or_default().iter();
        let go = rest.take_while(move |(known, _, _)| *known == name);
        let go = go.map(|(_, bytes, number)| (*bytes, kept.has(*number)));
        having(&self.stay, name).map(|bytes| (bytes, false)).chain(go)
    }

    /// Whether a stanza of an index that goes is still there as it was.
    pub(super) fn is_kept(&self, of: &Of<'_>, stanza: &[u8], kept: &Kept) -> bool {
        self.marks
            .find(self.marks.of(of, stanza))
            .any(|number| kept.has(number))
    }

    /// Whether it has these bytes under a name.
    pub(super) fn has(&self, name: Name, bytes: Bytes) -> bool {
        self.stay.binary_search(&(name, bytes)).is_ok() || {
            let at = self
                .go
                .partition_point(|(known, had, _)| (*known, *had) < (name, bytes));
            self.go
                .get(at)
                .is_some_and(|(known, had, _)| (*known, *had) == (name, bytes))
        }
    }

    /// What no stanza says any more that is kept, or that `there` knows.
    pub(super) fn gone(&self, kept: &Kept, there: impl Fn(&(Name, Bytes)) -> bool) -> Names {
        let all = self
            .go
            .chunk_by(|(name, bytes, _), (other, others, _)| (name, bytes) == (other, others));
        let gone = all.filter(|same| !same.iter().any(|(_, _, number)| kept.has(*number)));
        let named = gone.filter_map(|same| same.first().map(|(name, bytes, _)| (*name, *bytes)));
        named.filter(|named| !there(named)).collect()
    }
}

/// The stanzas of `Known` that new indexes have as they were.
#[derive(Debug, Default)]
pub(super) struct Kept(Vec<u64>);

impl Kept {
    fn add(&mut self, number: u32) {
        let (at, bit) = (number as usize / 64, number % 64);
        if self.0.len() <= at {
            self.0.resize(at.saturating_add(1), 0);
        }
        if let Some(word) = self.0.get_mut(at) {
            *word |= 1 << bit;
        }
    }

    fn has(&self, number: u32) -> bool {
        self.0
            .get(number as usize / 64)
            .is_some_and(|word| word & (1 << (number % 64)) != 0)
    }
}

/// What the stanzas of new indexes list that `Known` has not as they stand.
#[derive(Debug, Default)]
pub(super) struct Fresh {
    pub(super) names: Names,
    /// The paths of files, and what is listed of each beside its SHA-256.
    pub(super) others: Names,
    pub(super) kept: Kept,
    /// Files that `Known` does not have with these bytes; none where they are too many, or nothing is known.
    pub(super) added: Option<Vec<PoolFile>>,
}

impl Fresh {
    /// Judges an index: every stanza that is not known must be as it should.
    ///
    /// # Errors
    /// `Stanza`; when the index is not in the store, or damaged.
    pub(super) fn read(reader: Reader<'_>, of: &Of<'_>, known: Option<&Known>) -> Result<Self, UpstreamError> {
        let mut reading = Reading::new(*of, known);
        reader.each_run(of, &mut |stanzas| reading.take(stanzas))?;
        Ok(reading.fresh)
    }

    fn add(&mut self, names: &mut Naming, stanza: &Stanza<'_>, known: Option<&Known>) -> Result<(), FormatError> {
        let entry = Entry::from_stanza(stanza)?;
        let package = names.package(&entry);
        for file in entry.listed_files(stanza)? {
            let (name, bytes) = (names.path(file.path.as_str()), first(&file.digest.sha256));
            self.names.push((name, bytes));
            self.names.push(sized(&file.digest));
            names.folders(file.path.as_str(), &mut |name, bytes| self.names.push((name, bytes)));
            if file.others != OtherHashes::NONE {
                self.others.push((name, file.others.bytes()));
            }
            if known.is_some_and(|known| !known.has(name, bytes)) {
                self.note(file);
            }
        }
        self.names.extend(package);
        Ok(())
    }

    fn note(&mut self, file: PoolFile) {
        match &mut self.added {
            Some(added) if added.len() < MOST_ADDED => added.push(file),
            _ => self.added = None,
        }
    }

    /// All of these together, sorted.
    pub(super) fn of_all(all: impl IntoIterator<Item = Self>) -> Self {
        let mut all: Vec<Self> = all.into_iter().collect();
        // Into the longest, which has room for all then: they are the most that a first run holds.
        all.sort_by_key(|one| one.names.len());
        let rows = |of: fn(&Self) -> &Names| all.iter().map(|one| of(one).len()).sum::<usize>();
        let (names, others) = (rows(|one| &one.names), rows(|one| &one.others));
        let mut sum = all.pop().unwrap_or_else(|| Self {
            added: Some(Vec::new()),
            ..Self::default()
        });
        sum.names.reserve_exact(names.saturating_sub(sum.names.len()));
        sum.others.reserve_exact(others.saturating_sub(sum.others.len()));
        while let Some(one) = all.pop() {
            sum.names.extend(one.names);
            sum.others.extend(one.others);
            if sum.kept.0.len() < one.kept.0.len() {
                sum.kept.0.resize(one.kept.0.len(), 0);
            }
            sum.kept.0.iter_mut().zip(one.kept.0).for_each(|(to, from)| *to |= from);
            sum.added = match (sum.added, one.added) {
                (Some(mut added), Some(more)) if added.len() + more.len() <= MOST_ADDED => {
                    added.extend(more);
                    Some(added)
                }
                _ => None,
            };
        }
        sum.names = sorted(sum.names);
        sum.others = sorted(sum.others);
        sum
    }
}

/// A new index that is being read.
pub(super) struct Reading<'a> {
    of: Of<'a>,
    known: Option<&'a Known>,
    names: Naming,
    fresh: Fresh,
    line: usize,
    /// The start of a stanza, whose end is still to come.
    tail: Vec<u8>,
    failed: Option<UpstreamError>,
}

impl<'a> Reading<'a> {
    pub(super) fn new(of: Of<'a>, known: Option<&'a Known>) -> Self {
        Self {
            of,
            known,
            names: Naming::of(&of),
            fresh: Fresh {
                added: known.map(|_| Vec::new()),
                ..Fresh::default()
            },
            line: 1,
            tail: Vec::new(),
            failed: None,
        }
    }

    /// Takes some bytes of the text.
    pub(super) fn push(&mut self, mut bytes: &[u8]) {
        if self.failed.is_some() {
            return;
        }
        if !self.tail.is_empty() {
            let end = memchr::memmem::find(bytes, STANZA_END).map_or(bytes.len(), |at| at + STANZA_END.len());
            let (head, rest) = bytes.split_at_checked(end).unwrap_or((bytes, &[]));
            self.tail.extend_from_slice(head);
            if !self.tail.ends_with(STANZA_END) && self.tail.len() <= LARGEST_STANZA {
                return;
            }
            let whole = std::mem::take(&mut self.tail);
            self.failed = self.take(&whole).err();
            bytes = rest;
        }
        let end = memchr::memmem::rfind(bytes, STANZA_END).map_or(0, |at| at + STANZA_END.len());
        let (whole, rest) = bytes.split_at_checked(end).unwrap_or((bytes, &[]));
        if self.failed.is_none() {
            self.failed = self.take(whole).err();
        }
        self.tail.extend_from_slice(rest);
    }

    /// What was found, after all of the text.
    ///
    /// # Errors
    /// `Stanza`.
    pub(super) fn finish(mut self) -> Result<(Of<'a>, Fresh), UpstreamError> {
        let tail = std::mem::take(&mut self.tail);
        match self.failed.take() {
            Some(failed) => Err(failed),
            None => self.take(&tail).map(|()| {
                self.fresh.names.shrink_to_fit();
                self.fresh.others.shrink_to_fit();
                (self.of, self.fresh)
            }),
        }
    }

    /// Takes a run of whole stanzas.
    fn take(&mut self, stanzas: &[u8]) -> Result<(), UpstreamError> {
        let Self {
            of,
            known,
            names,
            fresh,
            ..
        } = self;
        for (before, block) in blocks(stanzas) {
            if let Some(known) = known {
                let mut found = known.marks.find(known.marks.of(of, block)).peekable();
                if found.peek().is_some() {
                    found.for_each(|number| fresh.kept.add(number));
                    continue;
                }
            }
            for stanza in Stanzas::new(block).from_line(self.line + before) {
                let added = stanza.and_then(|stanza| fresh.add(names, &stanza, *known));
                added.map_err(|source| UpstreamError::Stanza {
                    suite: of.suite.clone(),
                    index: of.index.path.clone(),
                    source: Box::new(source),
                })?;
            }
        }
        self.line += memchr::memchr_iter(b'\n', stanzas).count();
        Ok(())
    }
}

impl Reader<'_> {
    /// Gives every stanza of an index to `take`, as it stands.
    pub(super) fn each(self, of: &Of<'_>, take: Take<'_>) -> Result<(), UpstreamError> {
        self.each_run(of, &mut |stanzas| {
            blocks(stanzas).try_for_each(|(_, block)| take(block))
        })
    }

    /// Gives runs of whole stanzas.
    fn each_run(self, of: &Of<'_>, take: Take<'_>) -> Result<(), UpstreamError> {
        let place = self.decoders.place_for(of.index, None);
        // Where it cannot be read that is said below.
        let _weight = place.as_ref().and_then(|_| {
            let stream = self.store.open(&index_key(self.archive, of.suite, of.index)).ok()?;
            let mut weighed = self
                .decoders
                .weighed(Compression::of_name(of.index.path.file_name()), stream);
            weighed.read_exact(&mut [0]).ok()?;
            Some(weighed)
        });
        each_chunk(self.store, self.archive, of.suite, of.index, take)
    }
}

/// The names that stanzas of an index give bytes: the paths of its files, and its package's name, version and
/// architecture, wherever the file is.
pub(super) struct Naming {
    /// Where the names of packages count: within the same kind of indexes of one suite. Paths count everywhere.
    binaries: String,
    sources: String,
    /// The folder of the file before, whose folders were given.
    folder: String,
}

impl Naming {
    pub(super) fn of(of: &Of<'_>) -> Self {
        let udebs = of.index.path.as_str().contains("debian-installer/");
        Self {
            binaries: format!("{} {}", of.suite, if udebs { "udeb" } else { "deb" }),
            sources: format!("{} dsc", of.suite),
            folder: String::new(),
        }
    }

    pub(super) fn path(&self, path: &str) -> Name {
        short("", &[path])
    }

    /// Gives the folders that a file is in, but for those that the file before is in as well: no pool has a file
    /// in their place.
    fn folders(&mut self, path: &str, give: &mut dyn FnMut(Name, Bytes)) {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        if folder == self.folder {
            return;
        }
        for part in above(path) {
            let rest = self.folder.strip_prefix(part);
            if rest.is_none_or(|rest| !rest.is_empty() && !rest.starts_with('/')) {
                give(self.path(part), FOLDER);
            }
        }
        folder.clone_into(&mut self.folder);
    }

    /// Whether a file is in this folder.
    pub(super) fn is_below(&self, path: &str, folder: Name) -> bool {
        above(path).any(|part| self.path(part) == folder)
    }

    /// Of a package, and its bytes.
    pub(super) fn package(&self, entry: &Entry) -> Option<(Name, Bytes)> {
        match entry {
            Entry::Binary(binary) => {
                let words = [
                    binary.package.as_str(),
                    binary.version.as_str(),
                    binary.architecture.as_str(),
                ];
                Some((short(&self.binaries, &words), first(&binary.digest.sha256)))
            }
            // Its .dsc names the others.
            Entry::Source(source) => {
                let is_dsc = |(name, _): &&(_, Digest)| {
                    let name: &crate::domain::FileName = name;
                    name.as_str().ends_with(".dsc")
                };
                let (_, digest) = source.files.iter().find(is_dsc)?;
                let words = [source.package.as_str(), source.version.as_str(), "source"];
                Some((short(&self.sources, &words), first(&digest.sha256)))
            }
        }
    }

    /// Gives all names of a stanza that was judged before; of one that cannot be read, none.
    fn old(&mut self, block: &[u8], give: &mut dyn FnMut(Name, Bytes)) {
        if let Some(seen) = Glance::of(block) {
            let bytes = first(&seen.digest.sha256);
            let (of_size, size) = sized(&seen.digest);
            give(of_size, size);
            give(self.path(seen.filename), bytes);
            self.folders(seen.filename, give);
            give(
                short(&self.binaries, &[seen.package, seen.version, seen.architecture]),
                bytes,
            );
            return;
        }
        for stanza in Stanzas::new(block).flatten() {
            let Ok(entry) = Entry::from_stanza(&stanza) else {
                continue;
            };
            let package = self.package(&entry);
            let files = entry.pool_files().unwrap_or_default();
            for (path, digest) in &files {
                let (of_size, size) = sized(digest);
                give(of_size, size);
                give(self.path(path.as_str()), first(&digest.sha256));
                self.folders(path.as_str(), give);
            }
            package.into_iter().for_each(|(name, bytes)| give(name, bytes));
        }
    }
}

/// The folders that a path is in.
fn above(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').filter_map(|(at, _)| path.get(..at))
}

/// The name that these words are where `place` says.
fn short(place: &str, words: &[&str]) -> Name {
    let mut hasher = sha2::Sha256::new();
    hasher.update(place);
    for (at, word) in words.iter().enumerate() {
        hasher.update(if at == 0 { "\n" } else { " " });
        hasher.update(word);
    }
    let mut start = Name::default();
    start
        .iter_mut()
        .zip(hasher.finalize())
        .for_each(|(to, from)| *to = from);
    start
}

fn first(hash: &Sha256) -> Bytes {
    let mut start = Bytes::default();
    start.iter_mut().zip(hash.as_bytes()).for_each(|(to, from)| *to = *from);
    start
}

/// A SHA-256 as a name, and its size: apt compares both.
pub(super) fn sized(digest: &Digest) -> (Name, Bytes) {
    let bytes = u128::from(digest.size).to_be_bytes();
    (short("size", &[&digest.sha256.hex()]), bytes)
}

/// The size, in bytes, when this is one.
pub(super) fn size_in(bytes: Bytes) -> Option<u64> {
    u64::try_from(u128::from_be_bytes(bytes)).ok()
}

fn sorted(mut names: Names) -> Names {
    names.sort_unstable();
    names.dedup();
    names
}

/// All that a name has.
pub(super) fn having(names: &[(Name, Bytes)], name: Name) -> impl Iterator<Item = Bytes> {
    let from = names.partition_point(|(known, _)| *known < name);
    let rest = names.get(from..).unwrap_or_default().iter();
    rest.take_while(move |(known, _)| *known == name)
        .map(|(_, bytes)| *bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::ObjectStore;

    fn stanza(package: &str, bytes: &str) -> String {
        format!(
            "Package: {package}\nVersion: 1\nArchitecture: all\nFilename: pool/main/{package}.deb\nSize: 1\nSHA256: {}\n\n",
            Sha256::of(bytes.as_bytes())
        )
    }

    #[test]
    fn only_what_does_not_stand_there_is_judged_in_pieces_of_any_size() {
        let store = ObjectStore::memory().unwrap();
        let (archive, suite) = ("foundry".parse().unwrap(), "tin".parse().unwrap());
        let reader = Reader {
            store: &store,
            archive: &archive,
            decoders: &Decoders::new(),
        };
        let [a, b, c, d] = ["aa", "bb", "cc", "dd"].map(|name| stanza(name, name));
        let put = |text: &str| {
            let index = IndexFile {
                path: "main/binary-amd64/Packages".parse().unwrap(),
                digest: Digest::of(text.as_bytes()),
                kept: true,
            };
            let key = crate::snapshot::index_key(&archive, &suite, &index);
            store.create(&key, text.as_bytes()).unwrap();
            index
        };
        let before = put(&[a.as_str(), &b, &c].concat());
        let of = |index| Of {
            suite: &suite,
            plain: "main/binary-amd64/Packages",
            index,
        };
        let known = Known::read(reader, &[], &[of(&before)]).unwrap();
        let text = format!("{d}{a}\n{}{c}", stanza("bb", "other"));
        let now = put(&text);
        for size in [1, 2, 7, 100, 10_000] {
            let mut reading = Reading::new(of(&now), Some(&known));
            text.as_bytes().chunks(size).for_each(|piece| reading.push(piece));
            let (_, fresh) = reading.finish().unwrap();
            let fresh = Fresh::of_all([fresh]);
            let added: Vec<&str> = fresh.added.iter().flatten().map(|file| file.path.as_str()).collect();
            assert_eq!(added, ["pool/main/dd.deb", "pool/main/bb.deb"], "{size}");
            assert_eq!(fresh.names.len(), 8);
            let gone = known.gone(&fresh.kept, |_| false);
            let of_bb = |(name, bytes): &(Name, Bytes)| {
                let digest = Digest {
                    size: 1,
                    ..Digest::of(b"bb")
                };
                *bytes == first(&digest.sha256) || (*name, *bytes) == sized(&digest)
            };
            assert!(gone.iter().all(of_bb) && gone.len() == 3);
        }
        // A snapshot whose index is damaged can be compared with nothing.
        let key = crate::snapshot::index_key(&archive, &suite, &before);
        store.replace(&key, [a.as_str(), &b, &d].concat().as_bytes()).unwrap();
        let error = Known::read(reader, &[], &[of(&before)]).map(drop).unwrap_err();
        assert_eq!(crate::domain::Coded::code(&error), "E-UP-041");
        // A line is said as it is in the whole.
        let bad = put(&format!("{a}{}", b.replace("Size: 1", "Size: x")));
        let mut reading = Reading::new(of(&bad), Some(&known));
        reading.push(format!("{a}{}", b.replace("Size: 1", "Size: x")).as_bytes());
        let error = reading.finish().map(drop).unwrap_err();
        assert!(
            std::error::Error::source(&error)
                .unwrap()
                .to_string()
                .contains("line 8"),
            "{error}"
        );
    }
}
