//! A store whose operation number N goes wrong, for every N and in every way; and what must hold after each.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use assay::domain::{Digest, Sha256};
use assay::store::{Created, Key, Meta, Store, StoreError};

use super::repository::now;

/// How an operation goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// It did nothing.
    Before,
    /// It did its work, and its answer was lost.
    After,
    /// It did half of its work: a stream breaks off, of many objects some are gone.
    Torn,
    /// The writer is gone: not even what it does about errors happens.
    Killed,
}

/// All that can go wrong with one operation: how, and whether it is well again afterwards.
const WAYS: [(Mode, bool); 7] = [
    (Mode::Before, true),
    (Mode::Before, false),
    (Mode::After, true),
    (Mode::After, false),
    (Mode::Torn, true),
    (Mode::Torn, false),
    (Mode::Killed, false),
];

/// A store whose operation number `fails_at` goes wrong.
#[derive(Debug)]
pub(crate) struct Faulty {
    store: Arc<dyn Store>,
    count: AtomicU64,
    fails_at: u64,
    mode: Mode,
    once: bool,
}

impl Faulty {
    /// Every operation after that fails, too, as after a crash.
    pub(crate) fn new(store: Arc<dyn Store>, fails_at: u64, mode: Mode) -> Self {
        Self {
            store,
            count: AtomicU64::new(0),
            fails_at,
            mode,
            once: false,
        }
    }

    /// Whether it came to the operation that goes wrong.
    fn was_hit(&self) -> bool {
        self.count.load(Ordering::SeqCst) > self.fails_at
    }

    fn fault<T>(&self, work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
        if self.mode != Mode::Torn {
            return self.counted(work, || Err(broken()));
        }
        match self.was_hit() && !self.once {
            true => Err(broken()),
            false => work(),
        }
    }

    /// As `fault`, of an operation that has a half: where operations are torn, only these are counted.
    fn tearable<T>(
        &self,
        work: impl FnOnce() -> Result<T, StoreError>,
        half: impl FnOnce() -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match self.mode {
            Mode::Torn => self.counted(work, half),
            _ => self.counted(work, || Err(broken())),
        }
    }

    fn counted<T>(
        &self,
        work: impl FnOnce() -> Result<T, StoreError>,
        half: impl FnOnce() -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let count = self.count.fetch_add(1, Ordering::SeqCst);
        match self.mode {
            _ if count < self.fails_at || (count > self.fails_at && self.once) => work(),
            Mode::Torn if count == self.fails_at => half(),
            Mode::After if count == self.fails_at => {
                // Its answer is lost, whatever it was.
                drop(work());
                Err(broken())
            }
            _ => self.end(),
        }
    }

    fn end<T>(&self) -> Result<T, StoreError> {
        if self.mode == Mode::Killed && !std::thread::panicking() {
            resume_unwind(Box::new(Gone));
        }
        Err(broken())
    }
}

/// What a killed writer ends with.
struct Gone;

fn broken() -> StoreError {
    StoreError::Backend {
        act: "do",
        key: "anything".to_owned(),
        source: "crash".into(),
    }
}

/// The first half of a stream, and then an error.
struct Half(std::io::Cursor<Vec<u8>>);

impl Half {
    fn of(mut stream: impl Read) -> Self {
        let mut bytes = Vec::new();
        // What breaks off by itself has a half, too.
        let _ = stream.read_to_end(&mut bytes);
        bytes.truncate(bytes.len() / 2);
        Self(std::io::Cursor::new(bytes))
    }
}

impl Read for Half {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self.0.read(buffer)? {
            0 if !buffer.is_empty() => Err(std::io::Error::other("it breaks off")),
            count => Ok(count),
        }
    }
}

impl Store for Faulty {
    fn get(&self, key: &Key, limit: u64) -> Result<Vec<u8>, StoreError> {
        self.fault(|| self.store.get(key, limit))
    }
    fn open(&self, key: &Key) -> Result<Box<dyn Read + Send>, StoreError> {
        self.tearable(
            || self.store.open(key),
            || Ok(Box::new(Half::of(self.store.open(key)?))),
        )
    }
    fn head(&self, key: &Key) -> Result<Option<Meta>, StoreError> {
        self.fault(|| self.store.head(key))
    }
    fn list(&self, prefix: &str) -> Result<Vec<Meta>, StoreError> {
        self.fault(|| self.store.list(prefix))
    }
    fn create(&self, key: &Key, bytes: &[u8]) -> Result<Created, StoreError> {
        self.fault(|| self.store.create(key, bytes))
    }
    fn put_stream(&self, key: &Key, digest: &Digest, stream: &mut dyn Read) -> Result<(), StoreError> {
        // Both need the stream, and one of them runs.
        let stream = std::cell::RefCell::new(stream);
        let put = |stream: &mut dyn Read| self.store.put_stream(key, digest, stream);
        self.tearable(
            || put(&mut *stream.borrow_mut()),
            || put(&mut Half::of(&mut *stream.borrow_mut())),
        )
    }
    fn replace(&self, key: &Key, bytes: &[u8]) -> Result<(), StoreError> {
        self.fault(|| self.store.replace(key, bytes))
    }
    fn link(&self, from: &Key, to: &Key) -> Result<(), StoreError> {
        self.fault(|| self.store.link(from, to))
    }
    fn is_same(&self, a: &Key, b: &Key) -> Result<Option<bool>, StoreError> {
        self.fault(|| self.store.is_same(a, b))
    }
    fn delete(&self, key: &Key) -> Result<(), StoreError> {
        self.fault(|| self.store.delete(key))
    }
    fn delete_all(&self, prefix: &str) -> Result<(), StoreError> {
        let half = || {
            let all = self.store.list(prefix)?;
            all.iter()
                .take(all.len() / 2)
                .try_for_each(|meta| self.store.delete(&meta.key))?;
            Err(broken())
        };
        self.tearable(|| self.store.delete_all(prefix), half)
    }
    fn local_path(&self, key: &Key) -> Option<PathBuf> {
        self.store.local_path(key)
    }
}

/// All objects of a store.
pub(crate) type Objects = BTreeMap<String, Vec<u8>>;

pub(crate) fn restored(objects: &Objects) -> Memory {
    let shared = objects
        .iter()
        .map(|(name, bytes)| (name.clone(), Arc::new(bytes.clone())));
    Memory(Mutex::new(shared.collect()))
}

/// Objects in this thread's reach, without the threads that the library's own store in memory has: thousands are made.
#[derive(Debug)]
pub(crate) struct Memory(Mutex<BTreeMap<String, Arc<Vec<u8>>>>);

impl Memory {
    fn find(&self, key: &Key) -> Option<Arc<Vec<u8>>> {
        self.0.lock().unwrap().get(key.as_str()).cloned()
    }

    fn must_find(&self, key: &Key) -> Result<Arc<Vec<u8>>, StoreError> {
        self.find(key).ok_or_else(|| StoreError::Missing(key.clone()))
    }

    fn put(&self, key: &Key, bytes: Arc<Vec<u8>>) {
        self.0.lock().unwrap().insert(key.to_string(), bytes);
    }
}

fn meta(key: &Key, bytes: &[u8]) -> Meta {
    Meta {
        key: key.clone(),
        size: bytes.len() as u64,
        modified: now(),
        object: None,
    }
}

impl Store for Memory {
    fn get(&self, key: &Key, limit: u64) -> Result<Vec<u8>, StoreError> {
        let bytes = self.must_find(key)?;
        match bytes.len() as u64 > limit {
            true => Err(StoreError::TooLarge {
                key: key.clone(),
                limit,
            }),
            false => Ok(bytes.to_vec()),
        }
    }
    fn open(&self, key: &Key) -> Result<Box<dyn Read + Send>, StoreError> {
        Ok(Box::new(std::io::Cursor::new(self.must_find(key)?.to_vec())))
    }
    fn head(&self, key: &Key) -> Result<Option<Meta>, StoreError> {
        Ok(self.find(key).map(|bytes| meta(key, &bytes)))
    }
    fn list(&self, prefix: &str) -> Result<Vec<Meta>, StoreError> {
        let below = if prefix.is_empty() {
            String::new()
        } else {
            format!("{prefix}/")
        };
        let all = self.0.lock().unwrap();
        let found = all.iter().filter(|(name, _)| name.starts_with(&below));
        Ok(found
            .map(|(name, bytes)| meta(&Key::new(name.as_str()).unwrap(), bytes))
            .collect())
    }
    fn create(&self, key: &Key, bytes: &[u8]) -> Result<Created, StoreError> {
        let mut all = self.0.lock().unwrap();
        let there = all.entry(key.to_string()).or_insert_with(|| Arc::new(bytes.to_vec()));
        Ok(if there.as_slice() == bytes {
            Created::Yes
        } else {
            Created::No
        })
    }
    fn put_stream(&self, key: &Key, digest: &Digest, stream: &mut dyn Read) -> Result<(), StoreError> {
        if let Some(there) = self.find(key) {
            return match there.len() as u64 == digest.size {
                true => Ok(()),
                false => Err(StoreError::Different(key.clone())),
            };
        }
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).map_err(|error| StoreError::Backend {
            act: "write",
            key: key.to_string(),
            source: error.into(),
        })?;
        let found = Digest::of(&bytes);
        if found != *digest {
            return Err(StoreError::Digest {
                key: key.clone(),
                expected: *digest,
                found,
            });
        }
        self.put(key, Arc::new(bytes));
        Ok(())
    }
    fn replace(&self, key: &Key, bytes: &[u8]) -> Result<(), StoreError> {
        self.put(key, Arc::new(bytes.to_vec()));
        Ok(())
    }
    fn link(&self, from: &Key, to: &Key) -> Result<(), StoreError> {
        self.put(to, self.must_find(from)?);
        Ok(())
    }
    fn is_same(&self, _a: &Key, _b: &Key) -> Result<Option<bool>, StoreError> {
        Ok(None)
    }
    fn delete(&self, key: &Key) -> Result<(), StoreError> {
        self.0.lock().unwrap().remove(key.as_str());
        Ok(())
    }
    fn local_path(&self, _key: &Key) -> Option<PathBuf> {
        None
    }
}

pub(crate) fn everything(store: &dyn Store) -> Objects {
    let read = |meta: Meta| (meta.key.to_string(), store.get(&meta.key, 1 << 20).unwrap());
    store.list("").unwrap().into_iter().map(read).collect()
}

/// What a run does to a store.
type Work<'a> = dyn Fn(&Arc<dyn Store>) -> Result<(), String> + 'a;

/// What is done to a store, and what must hold wherever it is cut short.
pub(crate) struct Scenario<'a, T> {
    /// As `fault-counts` names it.
    pub(crate) name: &'a str,
    pub(crate) before: &'a Objects,
    /// Of how many operations one goes wrong; those of the ways differ. With `ASSAY_FAULTS=all` (`make test-faults`) it is each.
    pub(crate) one_of: usize,
    /// Done again it finishes what is not done, and changes nothing that is.
    pub(crate) work: &'a Work<'a>,
    /// What readers see, of each suite; it fails when that is half done.
    pub(crate) read: &'a dyn Fn(&dyn Store) -> Vec<T>,
    /// What of all objects is the same whenever it is done: what has nothing random in it.
    pub(crate) same: &'a dyn Fn(Objects) -> Objects,
}

impl<T: PartialEq + Debug> Scenario<'_, T> {
    /// Each operation goes wrong in each way, until there is none left.
    pub(crate) fn survives(&self) {
        let undisturbed: Arc<dyn Store> = Arc::new(restored(self.before));
        let old = (self.read)(undisturbed.as_ref());
        (self.work)(&undisturbed).unwrap();
        let new = (self.read)(undisturbed.as_ref());
        let done = everything(undisturbed.as_ref());
        (self.work)(&undisturbed).unwrap();
        let again = everything(undisturbed.as_ref());
        let other = difference(&again, &done);
        assert_eq!(other, "", "{}: done again, it changes something", self.name);
        let done = (self.same)(done);
        let mut counted = 0;
        let all = std::env::var_os("ASSAY_FAULTS").is_some();
        let one_of = if all { 1 } else { self.one_of };
        for (first, (mode, once)) in WAYS.into_iter().enumerate() {
            // What only read before it was cut short has left what another one left.
            let mut left = BTreeSet::new();
            for fails_at in (0..).skip(first % one_of).step_by(one_of) {
                let at = format!("{}: {mode:?} at {fails_at}, once: {once}", self.name);
                let store: Arc<dyn Store> = Arc::new(restored(self.before));
                let faulty = Arc::new(Faulty {
                    once,
                    ..Faulty::new(Arc::clone(&store), fails_at, mode)
                });
                let given: Arc<dyn Store> = Arc::clone(&faulty) as Arc<dyn Store>;
                let outcome = catch_unwind(AssertUnwindSafe(|| (self.work)(&given)));
                if let Err(panic) = &outcome
                    && mode != Mode::Killed
                {
                    panic!("{at}: {:?}", panic.downcast_ref::<String>());
                }
                if !faulty.was_hit() {
                    outcome.unwrap().unwrap();
                    break;
                }
                counted += 1;
                let ok = matches!(outcome, Ok(Ok(())));
                if !left.insert((ok, identity(&everything(store.as_ref())))) {
                    continue;
                }
                let seen = (self.read)(store.as_ref());
                for ((seen, old), new) in seen.iter().zip(&old).zip(&new) {
                    assert!(seen == new || (seen == old && !ok), "{at}: {seen:?}");
                }
                if let Err(error) = (self.work)(&store) {
                    panic!("{at}: the next run: {error}");
                }
                assert_eq!((self.read)(store.as_ref()), new, "{at}");
                let left = (self.same)(everything(store.as_ref()));
                let other = difference(&left, &done);
                assert_eq!(other, "", "{at}: what only one of the two runs left");
            }
        }
        counts(self.name, counted);
    }
}

/// The first name that only one of them has, or another object under it, with the lines that differ.
fn difference(left: &Objects, right: &Objects) -> String {
    let names: BTreeSet<_> = left.keys().chain(right.keys()).collect();
    let Some(name) = names.into_iter().find(|name| left.get(*name) != right.get(*name)) else {
        return String::new();
    };
    let [left, right] = [left, right].map(|objects| match objects.get(name) {
        Some(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        None => "nothing".to_owned(),
    });
    let pairs = left.lines().zip(right.lines()).filter(|(left, right)| left != right);
    let pairs: Vec<_> = pairs.take(3).collect();
    format!("{name}: {pairs:?}")
}

fn identity(objects: &Objects) -> Sha256 {
    let mut text = Vec::new();
    for (name, bytes) in objects {
        text.extend(format!("{name} {}\n", Digest::of(bytes).sha256).into_bytes());
    }
    Sha256::of(&text)
}

/// Compares with how many faults were enumerated before.
pub(crate) fn counts(name: &str, counted: u64) {
    println!("{name}: {counted} faults");
    let known = include_str!("fault-counts").lines().find_map(|line| {
        let (known, count) = line.split_once(' ')?;
        (known == name).then(|| count.trim().parse::<u64>().unwrap())
    });
    let known = known.unwrap_or_else(|| panic!("put `{name} {counted}` into tests/support/fault-counts"));
    assert!(
        counted >= known,
        "{name}: only {counted} faults were tried, {known} before (tests/support/fault-counts): what is not tried any more? \
         Where the work itself came to need fewer operations, lower the number and say so in the commit"
    );
}
