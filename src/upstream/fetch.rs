//! Indexes from upstream into the store: each checked while it streams, and none fetched twice.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Mutex, PoisonError};

use super::decoders::Turn;
use super::inspect::{Inspected, inspect, split};
use super::listed::Reading;
use super::pull::{bug, check_room, in_parallel, in_pieces_or_one, is_there, outcome};
use super::same::Same;
use super::{Body, Expect, Follow, Planned, UpstreamError};
use crate::domain::{Digest, RelPath, Sha256, SuiteName};
use crate::format::FormatError;
use crate::format::compress::Compression;
use crate::host::{Bar, Progress};
use crate::snapshot::{IndexFile, SuiteState, index_key};
use crate::store::{Key, Store, StoreError};

/// The largest image of an installer, in bytes.
const LARGEST_IMAGE: u64 = 8 << 30;

/// One index to have in the store.
pub(super) struct Wanted<'a> {
    pub(super) suite: &'a SuiteName,
    /// Whether upstream says that it has names by hash.
    pub(super) by_hash: bool,
    pub(super) file: &'a Planned,
}

/// An image of which only the SHA-256 is known, under each of its names.
pub(super) struct Image<'a> {
    pub(super) suite: &'a SuiteName,
    pub(super) sha256: Sha256,
    pub(super) paths: Vec<RelPath>,
}

/// Who reads new indexes as they pass by.
type Reads<'j, 's> = Option<&'j Same<'s>>;

/// Files that a Release names and upstream does not have.
pub(super) type Absent = BTreeSet<(SuiteName, RelPath)>;

/// The fetching of one run.
pub(super) struct Fetch<'a> {
    pub(super) follow: &'a Follow<'a>,
    pub(super) store: &'a dyn Store,
    pub(super) progress: &'a Progress,
    /// Whether upstream is known not to move: what it then does not have, it does not have.
    pub(super) settled: bool,
}

impl Fetch<'_> {
    /// Has all of these in the store, but for those that may be absent and are. `judge` reads along.
    pub(super) fn indexes(&self, mut wanted: Vec<Wanted<'_>>, judge: Reads<'_, '_>) -> Result<Absent, UpstreamError> {
        for index in &wanted {
            self.check_place(index.suite, &index.file.path)?;
        }
        // The largest first, so that no single one is left for the end.
        wanted.sort_by_key(|index| std::cmp::Reverse(index.file.listed.digest.size));
        let size = |index: &Wanted<'_>| index.file.listed.digest.size;
        let total = wanted.iter().map(size).fold(0, u64::saturating_add);
        check_room(self.store, self.missing(&wanted)?)?;
        let bar = self
            .progress
            .transfer(&self.title("indexes"), wanted.len() as u64, total);
        let absent = Mutex::new(Absent::new());
        let done = in_parallel(self.follow.client.connections(), &wanted, |index| {
            let done = self.index(index, judge, &bar);
            bar.file_done();
            self.may_be_absent(index.suite, index.file, &absent, done)
        });
        bar.finish();
        done.map(|()| absent.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// How many bytes of these the store lacks.
    fn missing(&self, wanted: &[Wanted<'_>]) -> Result<u64, UpstreamError> {
        let mut missing = 0u64;
        for index in wanted {
            let digest = index.file.listed.digest;
            if !is_there(self.store, &self.key(index.suite, &index.file.path, digest), &digest)? {
                missing = missing.saturating_add(digest.size);
            }
        }
        Ok(missing)
    }

    /// Has all of these images in the store; their sizes, by suite and path.
    pub(super) fn images(&self, images: &[Image<'_>]) -> Result<BTreeMap<(SuiteName, RelPath), Digest>, UpstreamError> {
        for (image, path) in images
            .iter()
            .flat_map(|image| image.paths.iter().map(move |path| (image, path)))
        {
            self.check_place(image.suite, path)?;
        }
        let bar = self.progress.items(&self.title("images"), images.len() as u64);
        let found = Mutex::new(BTreeMap::new());
        let done = in_parallel(self.follow.client.connections(), images, |image| {
            let digest = match self.image(image) {
                Ok(Some(digest)) => digest,
                Ok(None) => return Ok(()),
                Err(UpstreamError::NotFound { .. }) if self.settled => return Ok(()),
                Err(error) => return Err(error),
            };
            bar.advance(1);
            let named = image
                .paths
                .iter()
                .map(|path| ((image.suite.clone(), path.clone()), digest));
            found.lock().unwrap_or_else(PoisonError::into_inner).extend(named);
            Ok(())
        });
        bar.finish();
        done.map(|()| found.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// That no file is where a new name needs a folder, and no folder where it is itself: an earlier snapshot may have had such.
    /// A bucket has room for both.
    fn check_place(&self, suite: &SuiteName, path: &RelPath) -> Result<(), UpstreamError> {
        let (store, archive) = (self.store, self.follow.archive);
        let known = |state: &SuiteState| state.indexes.iter().any(|index| index.path == *path && index.kept);
        let key = Key::dists(archive, suite, path);
        let has_folders = store.local_path(&Key::record(archive, 1)).is_some();
        if !has_folders || self.follow.before(suite).is_some_and(known) {
            return Ok(());
        }
        let nested = || UpstreamError::Nested(format!("dists/{suite}/{path}"));
        for folder in path
            .as_str()
            .match_indices('/')
            .filter_map(|(at, _)| path.as_str().get(..at))
        {
            let folder = RelPath::new(folder).map(|folder| Key::dists(archive, suite, &folder));
            if let Ok(folder) = folder
                && store.head(&folder)?.is_some()
            {
                return Err(nested());
            }
        }
        match store.head(&key)?.is_none() && !store.list(key.as_str())?.is_empty() {
            true => Err(nested()),
            false => Ok(()),
        }
    }

    fn title(&self, what: &str) -> String {
        format!("{} {what}", self.follow.archive)
    }

    /// Takes down what a settled upstream does not have: nothing is there, or, of an index that nobody
    /// needs, something else.
    fn may_be_absent(
        &self,
        suite: &SuiteName,
        file: &Planned,
        absent: &Mutex<Absent>,
        done: Result<(), UpstreamError>,
    ) -> Result<(), UpstreamError> {
        let is_absent = match &done {
            Err(UpstreamError::NotFound { .. }) => self.settled,
            Err(UpstreamError::Size { .. }) => self.settled && !file.needed,
            // Mirrors are known to have the `binary-amd64/Release` of another day, which no client reads.
            Err(UpstreamError::Digest { .. }) => self.settled && !file.needed && file.path.file_name() == "Release",
            _ => false,
        };
        if !is_absent {
            return done;
        }
        let mut absent = absent.lock().unwrap_or_else(PoisonError::into_inner);
        absent.insert((suite.clone(), file.path.clone()));
        Ok(())
    }

    fn index(&self, index: &Wanted<'_>, judge: Reads<'_, '_>, bar: &Bar) -> Result<(), UpstreamError> {
        let digest = index.file.listed.digest;
        let key = self.key(index.suite, &index.file.path, digest);
        let is_there = is_there(self.store, &key, &digest)?;
        if is_there && self.was_checked(index) {
            bar.advance(digest.size);
            return Ok(());
        }
        // Before there is a connection that would have to wait, and after those that need places, too.
        if let Some(judge) = judge {
            judge.wait_for(index.suite, &index.file.index());
        }
        let decoders = self.follow.client.decoders();
        let place = || decoders.place_for(&index.file.index(), index.file.uncompressed);
        let mut held = place();
        if is_there {
            bar.advance(digest.size);
        } else {
            let turn = held.take().map(|place| decoders.turn(place));
            self.fetch_index(index, &key, (judge, bar), turn.as_ref())?;
            if turn.is_none_or(|turn| !turn.has_ended()) {
                return Ok(());
            }
            // It came slowly, and others took its place.
            held = place();
        }
        let compression = match &held {
            Some(_) => Compression::of_name(index.file.path.file_name()),
            None => Compression::Plain,
        };
        let stored = decoders.weighed(compression, self.store.open(&key)?);
        let reading = self.inspect(index, stored, judge);
        let reading = reading.or_else(|error| {
            if is_there {
                Err(error)
            } else {
                self.refused(&key, error)
            }
        })?;
        judge
            .zip(reading)
            .into_iter()
            .for_each(|(judge, reading)| judge.end(reading));
        Ok(())
    }

    /// Has an index in the store, by its hash or by its name; it was inspected unless its turn has ended.
    fn fetch_index(
        &self,
        index: &Wanted<'_>,
        key: &Key,
        to: (Reads<'_, '_>, &Bar),
        turn: Option<&Turn<'_>>,
    ) -> Result<(), UpstreamError> {
        let path = &index.file.path;
        if index.by_hash {
            let name = format!("by-hash/SHA256/{}", index.file.listed.digest.sha256);
            let by_hash = self.follow.location(index.suite, path.folder(), &name);
            match self.fetch(&by_hash, index, key, to, turn) {
                Err(UpstreamError::NotFound { .. }) => {}
                done => return done,
            }
        }
        let plain = self.follow.location(index.suite, path.folder(), path.file_name());
        self.fetch(&plain, index, key, to, turn)
    }

    /// What is refused and came just now: what could be any size would stay until `gc`. Nothing had these bytes, and nothing
    /// will name them.
    fn refused<T>(&self, key: &Key, error: UpstreamError) -> Result<T, UpstreamError> {
        if is_of_another_size(&error) {
            self.store.delete(key)?;
        }
        Err(error)
    }

    fn key(&self, suite: &SuiteName, path: &RelPath, digest: Digest) -> Key {
        let index = IndexFile {
            path: path.clone(),
            digest,
            kept: true,
        };
        index_key(self.follow.archive, suite, &index)
    }

    fn inspected<'b>(&self, index: &'b Wanted<'_>) -> Inspected<'b> {
        Inspected {
            suite: index.suite,
            file: index.file,
            flat: self.follow.config.flat.is_some(),
        }
    }

    /// Whether the newest snapshot has it: then it passed every check before.
    fn was_checked(&self, index: &Wanted<'_>) -> bool {
        let same =
            |known: &IndexFile| known.path == index.file.path && known.digest == index.file.listed.digest && known.kept;
        let has = |before: &SuiteState| before.indexes.iter().any(same);
        self.follow.before(index.suite).is_some_and(has)
    }

    /// Reads an index to its end, and checks it; what `judge` reads of it meanwhile counts only when all is well.
    fn inspect<'j>(
        &self,
        index: &Wanted<'_>,
        bytes: impl io::Read + Send,
        judge: Reads<'j, '_>,
    ) -> Result<Option<Reading<'j>>, UpstreamError> {
        let mut reading = judge.and_then(|judge| judge.begin(index.suite, &index.file.index()));
        let whole = inspect(&self.inspected(index), bytes, &mut |text| {
            reading.iter_mut().for_each(|reading| reading.push(text));
        })?;
        Ok(reading.filter(|_| whole))
    }

    fn fetch(
        &self,
        path: &str,
        index: &Wanted<'_>,
        key: &Key,
        to: (Reads<'_, '_>, &Bar),
        turn: Option<&Turn<'_>>,
    ) -> Result<(), UpstreamError> {
        let expect = Expect::Exactly(index.file.listed.digest.size);
        in_pieces_or_one(self.follow.client, path, expect, |body| {
            self.take(body, index, key, to, turn)
        })
    }

    fn take(
        &self,
        body: &mut Body<'_>,
        index: &Wanted<'_>,
        key: &Key,
        (judge, bar): (Reads<'_, '_>, &Bar),
        turn: Option<&Turn<'_>>,
    ) -> Result<(), UpstreamError> {
        let digest = index.file.listed.digest;
        let counted = Counted {
            reader: &mut *body,
            bar,
        };
        let (mut tee, follower) = split(counted, turn);
        let (stored, inspected) = std::thread::scope(|scope| {
            let inspector = scope.spawn(|| match turn {
                Some(turn) => {
                    let compression = Compression::of_name(index.file.path.file_name());
                    self.inspect(index, turn.weighed(compression, follower), judge)
                }
                None => self.inspect(index, follower, judge),
            });
            let mut stored = self.store.put_stream(key, &digest, &mut tee);
            if stored.is_ok() {
                // Another run may have been faster, and the store did not read to the end.
                let rest = io::copy(&mut tee, &mut io::sink());
                stored = rest.map(|_| ()).map_err(|error| broken(key, error));
            }
            drop(tee);
            (stored, inspector.join().unwrap_or_else(|_| Err(bug())))
        });
        // A stream that broke is what the inspector stumbles over, too: the cause comes first.
        outcome(stored, body)?;
        if turn.is_some_and(Turn::has_ended) {
            return Ok(());
        }
        let reading = inspected.or_else(|error| self.refused(key, error))?;
        judge
            .zip(reading)
            .into_iter()
            .for_each(|(judge, reading)| judge.end(reading));
        Ok(())
    }

    /// Has an image in the store under all its names, from the first of them that upstream has it under.
    fn image(&self, image: &Image<'_>) -> Result<Option<Digest>, UpstreamError> {
        let mut absent = None;
        for name in &image.paths {
            let digest = match self.one_image(image, name) {
                Err(error @ UpstreamError::NotFound { .. }) => {
                    absent = absent.or(Some(error));
                    continue;
                }
                other => other?,
            };
            let from = self.key(image.suite, name, digest);
            for path in &image.paths {
                let to = self.key(image.suite, path, digest);
                if !is_there(self.store, &to, &digest)? {
                    self.store.link(&from, &to)?;
                }
            }
            return Ok(Some(digest));
        }
        absent.map_or(Ok(None), Err)
    }

    fn one_image(&self, image: &Image<'_>, path: &RelPath) -> Result<Digest, UpstreamError> {
        let archive = self.follow.archive;
        let key = Key::by_hash(archive, image.suite, path, &image.sha256);
        let of_size = |size| Digest {
            sha256: image.sha256,
            size,
        };
        if let Some(there) = self.store.head(&key)? {
            return Ok(of_size(there.size));
        }
        let name = self.follow.location(image.suite, path.folder(), path.file_name());
        in_pieces_or_one(self.follow.client, &name, Expect::AtMost(LARGEST_IMAGE), |body| {
            let size = body.size().ok_or_else(|| UpstreamError::Transport {
                url: body.url().to_owned(),
                why: "the server does not say how large it is".to_owned(),
            })?;
            check_room(self.store, size)?;
            let stored = self.store.put_stream(&key, &of_size(size), body);
            outcome(stored, body)?;
            Ok(of_size(size))
        })
    }
}

/// Whether an index decompresses to other or more bytes than its Release lists.
fn is_of_another_size(error: &UpstreamError) -> bool {
    matches!(
        error,
        UpstreamError::Uncompressed { .. }
            | UpstreamError::Format {
                source: FormatError::Limit { .. },
                ..
            }
    )
}

fn broken(key: &Key, error: io::Error) -> StoreError {
    StoreError::Backend {
        act: "fill",
        key: key.to_string(),
        source: Box::new(error),
    }
}

/// Shows what passes by.
struct Counted<'a, R> {
    reader: R,
    bar: &'a Bar,
}

impl<R: io::Read> io::Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.bar.advance(count as u64);
        Ok(count)
    }
}
