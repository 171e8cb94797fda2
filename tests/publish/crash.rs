//! Every step fails once, before or after it took effect; then publishing runs again.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use assay::domain::{Digest, Timestamp};
use assay::format::release::Release;
use assay::publish::publish;
use assay::store::{Created, Key, Meta, ObjectStore, Store, StoreError};
use assay::trust::{Keyring, Requirement, verify_inrelease};

use crate::support::repository::{Repository, now};

/// When the failing operation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// It did nothing.
    Before,
    /// It did its work, and its answer was lost.
    After,
}

/// A store whose operation number `fails_at` fails, and every one after it, as after a crash.
#[derive(Debug)]
pub(crate) struct Faulty<'a> {
    store: &'a dyn Store,
    count: AtomicU64,
    fails_at: u64,
    mode: Mode,
}

impl<'a> Faulty<'a> {
    pub(crate) fn new(store: &'a dyn Store, fails_at: u64, mode: Mode) -> Self {
        Self {
            store,
            count: AtomicU64::new(0),
            fails_at,
            mode,
        }
    }

    fn fault<T>(&self, work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
        let broken = || StoreError::Backend {
            act: "do",
            key: "anything".to_owned(),
            source: "crash".into(),
        };
        let count = self.count.fetch_add(1, Ordering::SeqCst);
        if count > self.fails_at || (count == self.fails_at && self.mode == Mode::Before) {
            return Err(broken());
        }
        let done = work();
        if count == self.fails_at { Err(broken()) } else { done }
    }
}

impl Store for Faulty<'_> {
    fn get(&self, key: &Key, limit: u64) -> Result<Vec<u8>, StoreError> {
        self.fault(|| self.store.get(key, limit))
    }
    fn open(&self, key: &Key) -> Result<Box<dyn Read + Send>, StoreError> {
        self.fault(|| self.store.open(key))
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
        self.fault(|| self.store.put_stream(key, digest, stream))
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
    fn local_path(&self, key: &Key) -> Option<PathBuf> {
        self.store.local_path(key)
    }
}

#[test]
fn a_crash_at_any_step_leaves_the_old_or_the_new_and_the_next_run_finishes() {
    let repository = Repository::new("https://example.org");
    let before = ObjectStore::memory().unwrap();
    let old = repository.commit(&before, "Package: old\n");
    repository.publish(&before);
    let new = repository.commit(&before, "Package: new\n");
    let before = everything(&before);
    let undisturbed = restored(&before);
    repository.publish(&undisturbed);
    let undisturbed = everything(&undisturbed);
    let named = format!("{}/", new.serial);
    let [old, new] = [old, new].map(|record| record.suites[0].date);

    for mode in [Mode::Before, Mode::After] {
        for fails_at in 0.. {
            let store = restored(&before);
            let faulty = Faulty::new(&store, fails_at, mode);
            let outcome = publish(&faulty, &repository.archive, &repository.key, &repository.url);

            let seen = read_as_client(&store, &repository, "").unwrap();
            assert!(seen == old || seen == new, "{mode:?} {fails_at}");
            match read_as_client(&store, &repository, &named) {
                Some(date) => assert_eq!(date, new, "{mode:?} {fails_at}"),
                None => assert_eq!(seen, old, "the serial comes before the head: {mode:?} {fails_at}"),
            }

            repository.publish(&store);
            assert_eq!(everything(&store), undisturbed, "{mode:?} {fails_at}");
            assert_eq!(repository.publish(&store).written, 0, "{mode:?} {fails_at}");
            if outcome.is_ok() {
                assert!(fails_at > 40, "it only had {fails_at} operations to fail at");
                break;
            }
        }
    }
}

pub(crate) fn restored(objects: &BTreeMap<String, Vec<u8>>) -> ObjectStore {
    let store = ObjectStore::memory().unwrap();
    for (key, bytes) in objects {
        store.create(&Key::new(key).unwrap(), bytes).unwrap();
    }
    store
}

pub(crate) fn everything(store: &dyn Store) -> BTreeMap<String, Vec<u8>> {
    let read = |meta: Meta| (meta.key.to_string(), store.get(&meta.key, 1 << 20).unwrap());
    store.list("").unwrap().into_iter().map(read).collect()
}

/// Reads a tree as apt does: InRelease, then what it lists, by hash. Gives its Date; none when there
/// is no InRelease. Anything half done is a failure.
pub(super) fn read_as_client(store: &dyn Store, repository: &Repository, tree: &str) -> Option<Timestamp> {
    read_as_client_at(store, repository, tree, now().plus(60))
}

/// The same by a client whose clock says `now`.
pub(super) fn read_as_client_at(
    store: &dyn Store,
    repository: &Repository,
    tree: &str,
    now: Timestamp,
) -> Option<Timestamp> {
    let release = read_suite(store, repository, tree, now)?;
    assert_eq!(release.entries().len(), 3);
    Some(release.date().unwrap())
}

/// The same of a suite with any indexes; gives its Release.
pub(super) fn read_suite(store: &dyn Store, repository: &Repository, tree: &str, now: Timestamp) -> Option<Release> {
    let inrelease = match store.get(&repository.dists(&format!("{tree}InRelease")), 1 << 20) {
        Ok(bytes) => bytes,
        Err(StoreError::Missing(_)) => return None,
        Err(error) => panic!("{error}"),
    };
    let keyring = Keyring::parse(repository.key.certificate_armored().unwrap().as_bytes()).unwrap();
    let requirement = Requirement {
        keyring: &keyring,
        threshold: 1,
        now,
    };
    let verified = verify_inrelease(&inrelease, &requirement).unwrap();
    let pinned = format!("{tree}by-hash/SHA256/{}", Digest::of(&inrelease).sha256);
    assert_eq!(store.get(&repository.dists(&pinned), 1 << 20).unwrap(), inrelease);
    let release = Release::parse(&verified.text).unwrap();
    for (path, listed) in release.entries() {
        let by_hash = format!("{tree}{}by-hash/SHA256/{}", path.folder(), listed.digest.sha256);
        match store.get(&repository.dists(&by_hash), 1 << 20) {
            Ok(bytes) => assert_eq!(Digest::of(&bytes), listed.digest),
            Err(error) => {
                let packed = format!("{path}.xz");
                let is_packed = release.entries().iter().any(|(path, _)| path.as_str() == packed);
                assert!(is_packed, "{path}: {error}");
            }
        }
    }
    Some(release)
}

#[test]
fn a_second_run_writes_nothing_on_a_disk() {
    let folder = tempfile::tempdir().unwrap();
    let store = assay::store::LocalStore::open(folder.path()).unwrap();
    let repository = Repository::new("https://example.org");
    repository.commit(&store, "Package: x\n");
    assert!(repository.publish(&store).written > 0);
    let before = store.list("").unwrap();
    std::thread::sleep(std::time::Duration::from_millis(1100));
    assert_eq!(repository.publish(&store).written, 0);
    assert_eq!(store.list("").unwrap(), before, "names, sizes and times are the same");
}
