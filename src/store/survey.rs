//! Everything that is there, with digests: each object is read once, on all cores, whatever its names.

use std::cmp::Reverse;
use std::fmt;
use std::io::{self, Read};
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use super::folder::{Listed, TEMP_FOLDER, below};
use super::local::{failed, meta};
use super::strange::{Oddity, Strange};
use super::{HASHED, Key, Meta, StoreError, hash_through};
use crate::domain::{Digest, escape};
use crate::host::Bar;

/// An object up to this size is read where it is found, in bytes: to look it up again would cost about as
/// much. The larger ones wait until all are known, so that no core is left with one at the end.
const SMALL: u64 = 256 << 10;
/// Files of one folder that one core takes at a time.
const BATCH: usize = 128;

/// All that is there.
#[derive(Debug, Default)]
pub struct Survey {
    /// The objects, in no order.
    pub objects: Vec<Surveyed>,
    /// What the store never makes, and folders with nothing in them, in no order. Only folders have such.
    pub strange: Vec<Strange>,
}

impl Survey {
    /// Takes what another has.
    pub fn append(&mut self, mut other: Self) {
        self.objects.append(&mut other.objects);
        self.strange.append(&mut other.strange);
    }
}

/// An object, and what its bytes are.
#[derive(Debug, Clone)]
pub struct Surveyed {
    /// What a listing shows of it.
    pub meta: Meta,
    /// None where it was not wanted; an error, as text, where it could not be read.
    pub digest: Option<Result<Digest, String>>,
    /// It may have more names (`Meta::object` tells).
    pub shared: bool,
}

/// Which objects are read, and who is told how far it is.
pub struct Reading<'a> {
    /// Whether an object is to be read.
    pub wanted: &'a (dyn Fn(&Key) -> bool + Sync),
    /// Grows by the bytes that are found, and advances by those that were read.
    pub bar: &'a Bar,
}

impl fmt::Debug for Reading<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reading").finish_non_exhaustive()
    }
}

/// How an object is opened.
type Open<'a> = dyn Fn(&Key) -> Result<Box<dyn Read + Send>, StoreError> + Sync + 'a;

/// Room for what is read at once.
pub(super) fn room() -> Vec<u8> {
    vec![0; HASHED]
}

/// Reads those of a listing that are wanted.
pub(super) fn of(listing: Vec<Meta>, reading: &Reading<'_>, open: &Open<'_>) -> Vec<Surveyed> {
    let (wanted, others) = listing.into_iter().partition(|meta| (reading.wanted)(&meta.key));
    let mut surveyed = read(wanted, reading.bar, open);
    surveyed.extend(others.into_iter().map(|meta| Surveyed {
        meta,
        digest: None,
        shared: true,
    }));
    surveyed
}

/// Reads all of these, the largest first.
fn read(mut metas: Vec<Meta>, bar: &Bar, open: &Open<'_>) -> Vec<Surveyed> {
    metas.sort_by_key(|meta| (Reverse(meta.size), meta.object));
    let objects: Vec<&[Meta]> = metas
        .chunk_by(|a, b| a.object.is_some() && a.object == b.object)
        .collect();
    let first = |object: &&[Meta]| object.first().map_or(0, |meta| meta.size);
    bar.extend(objects.iter().map(first).sum());
    let digest = |room: &mut Vec<u8>, object: &&[Meta]| {
        let meta = object.first()?;
        let digest = open(&meta.key).and_then(|stream| hash_through(&meta.key, stream, room));
        bar.advance(meta.size);
        Some(digest.map_err(|error| error.to_string()))
    };
    let digests: Vec<_> = objects.par_iter().with_max_len(1).map_init(room, digest).collect();
    let named = |(object, digest): (&&[Meta], Option<Result<Digest, String>>)| {
        let surveyed = object.iter().map(|meta| Surveyed {
            meta: meta.clone(),
            digest: digest.clone(),
            shared: object.len() > 1,
        });
        surveyed.collect::<Vec<_>>()
    };
    objects.iter().zip(digests).flat_map(named).collect()
}

/// A file that was met in a folder.
enum Seen {
    Now(Surveyed),
    Later(Meta),
}

/// A walk through the folders of a local store.
pub(super) struct Walk<'a> {
    reading: &'a Reading<'a>,
    found: Mutex<Vec<Surveyed>>,
    /// Large objects, and those that have more names.
    later: Mutex<Vec<Meta>>,
    strange: Mutex<Vec<Strange>>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(reading: &'a Reading<'a>) -> Self {
        Self {
            reading,
            found: Mutex::default(),
            later: Mutex::default(),
            strange: Mutex::default(),
        }
    }

    /// Takes all that is in a folder, whose path is `above`.
    pub(super) fn folder(&self, folder: &Listed, above: &str, room: &mut Vec<u8>) -> io::Result<()> {
        for (name, what) in &folder.strange {
            // The one name of our own that is no key.
            match above.is_empty() && name == TEMP_FOLDER && *what == Oddity::Unnamed {
                true => self.temp(folder)?,
                false => self.strange(&below(above, name), *what),
            }
        }
        if folder.is_empty() && !above.is_empty() {
            self.strange(above, Oddity::Folder);
        }
        if folder.files.len() <= BATCH {
            self.files(folder, &folder.files, above, room)?;
        } else {
            let batches = folder.files.par_chunks(BATCH);
            batches.try_for_each_init(self::room, |room, names| self.files(folder, names, above, room))?;
        }
        let inner = |room: &mut Vec<u8>, name: &String| match folder.enter(name)? {
            Some(inner) => self.folder(&inner, &below(above, name), room),
            None => Ok(()),
        };
        match folder.folders.as_slice() {
            [] => Ok(()),
            [only] => inner(room, only),
            many => many.par_iter().try_for_each_init(self::room, inner),
        }
    }

    /// What is where files are being written, and is none of these.
    fn temp(&self, folder: &Listed) -> io::Result<()> {
        let Some(temp) = folder.enter(TEMP_FOLDER)? else {
            return Ok(());
        };
        for name in temp.files.iter().chain(&temp.folders) {
            self.strange(&below(TEMP_FOLDER, name), Oddity::Unnamed);
        }
        for (name, what) in &temp.strange {
            if !(*what == Oddity::Unnamed && temp.is_temp(name)?) {
                self.strange(&below(TEMP_FOLDER, name), *what);
            }
        }
        Ok(())
    }

    fn strange(&self, name: &str, what: Oddity) {
        // `escape` cuts what is long.
        let name = Key::new(name).map_or_else(|_| escape(name), |_| name.to_owned());
        let mut strange = self.strange.lock().unwrap_or_else(PoisonError::into_inner);
        strange.push(Strange { name, what });
    }

    fn files(&self, folder: &Listed, names: &[String], above: &str, room: &mut [u8]) -> io::Result<()> {
        let (mut found, mut later) = (Vec::with_capacity(names.len()), Vec::new());
        for name in names {
            let path = below(above, name);
            let Ok(key) = Key::new(path.as_str()) else {
                self.strange(&path, Oddity::Unnamed);
                continue;
            };
            match self.file(folder, name, key, room)? {
                Some(Seen::Now(surveyed)) => found.push(surveyed),
                Some(Seen::Later(meta)) => later.push(meta),
                None => {}
            }
        }
        let read = found.iter().filter(|object| object.digest.is_some());
        let bytes = read.map(|object| object.meta.size).sum();
        self.reading.bar.extend(bytes);
        self.reading.bar.advance(bytes);
        self.found
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .append(&mut found);
        self.later
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .append(&mut later);
        Ok(())
    }

    /// One file of a folder; none when it is not there any more.
    fn file(&self, folder: &Listed, name: &str, key: Key, room: &mut [u8]) -> io::Result<Option<Seen>> {
        let look = |key: Key, digest| {
            let seen = |there| {
                let meta = meta(key, there);
                let shared = true;
                Seen::Now(Surveyed { meta, digest, shared })
            };
            Ok(folder.look(name)?.map(seen))
        };
        if !(self.reading.wanted)(&key) {
            return look(key, None);
        }
        match folder.open(name) {
            Ok(Some((_, there))) if there.names > 1 || there.size > SMALL => Ok(Some(Seen::Later(meta(key, there)))),
            Ok(Some((file, there))) => {
                let digest = hash_through(&key, file.take(there.size), room);
                let digest = Some(digest.map_err(|error| error.to_string()));
                let meta = meta(key, there);
                let shared = false;
                Ok(Some(Seen::Now(Surveyed { meta, digest, shared })))
            }
            Ok(None) => Ok(None),
            Err(error) => {
                let why = failed("read", &key)(error).to_string();
                look(key, Some(Err(why)))
            }
        }
    }

    /// Reads what is left; gives everything.
    pub(super) fn finish(self, open: &Open<'_>) -> Survey {
        let mut found = self.found.into_inner().unwrap_or_else(PoisonError::into_inner);
        let later = self.later.into_inner().unwrap_or_else(PoisonError::into_inner);
        found.extend(read(later, self.reading.bar, open));
        Survey {
            objects: found,
            strange: self.strange.into_inner().unwrap_or_else(PoisonError::into_inner),
        }
    }
}
