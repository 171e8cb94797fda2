//! Writers beside each other.

use std::io::Read;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use assay::domain::{Digest, RelPath};
use assay::publish::publish;
use assay::snapshot::Chain;
use assay::store::{Created, Key, Meta, ObjectStore, Store, StoreError};

use super::crash::read_as_client;
use crate::support::repository::Repository;

/// A store in which another writer does all of its work just before operation `at`.
pub(super) struct Overtaken<'a> {
    store: &'a dyn Store,
    other: &'a (dyn Fn(&dyn Store) + Sync),
    count: AtomicU64,
    at: u64,
}

impl std::fmt::Debug for Overtaken<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Overtaken")
    }
}

impl<'a> Overtaken<'a> {
    pub(super) fn new(store: &'a dyn Store, other: &'a (dyn Fn(&dyn Store) + Sync), at: u64) -> Self {
        let count = AtomicU64::new(0);
        Self {
            store,
            other,
            count,
            at,
        }
    }

    /// Whether there was such an operation.
    pub(super) fn was_overtaken(&self) -> bool {
        self.count.load(Ordering::SeqCst) > self.at
    }

    fn store(&self) -> &dyn Store {
        if self.count.fetch_add(1, Ordering::SeqCst) == self.at {
            (self.other)(self.store);
        }
        self.store
    }
}

impl Store for Overtaken<'_> {
    fn get(&self, key: &Key, limit: u64) -> Result<Vec<u8>, StoreError> {
        self.store().get(key, limit)
    }
    fn open(&self, key: &Key) -> Result<Box<dyn Read + Send>, StoreError> {
        self.store().open(key)
    }
    fn head(&self, key: &Key) -> Result<Option<Meta>, StoreError> {
        self.store().head(key)
    }
    fn list(&self, prefix: &str) -> Result<Vec<Meta>, StoreError> {
        self.store().list(prefix)
    }
    fn create(&self, key: &Key, bytes: &[u8]) -> Result<Created, StoreError> {
        self.store().create(key, bytes)
    }
    fn put_stream(&self, key: &Key, digest: &Digest, stream: &mut dyn Read) -> Result<(), StoreError> {
        self.store().put_stream(key, digest, stream)
    }
    fn replace(&self, key: &Key, bytes: &[u8]) -> Result<(), StoreError> {
        self.store().replace(key, bytes)
    }
    fn link(&self, from: &Key, to: &Key) -> Result<(), StoreError> {
        self.store().link(from, to)
    }
    fn is_same(&self, a: &Key, b: &Key) -> Result<Option<bool>, StoreError> {
        self.store().is_same(a, b)
    }
    fn delete(&self, key: &Key) -> Result<(), StoreError> {
        self.store().delete(key)
    }
    fn local_path(&self, key: &Key) -> Option<PathBuf> {
        self.store.local_path(key)
    }
}

#[test]
fn whoever_ends_last_leaves_the_newest() {
    for at in 0.. {
        let store = ObjectStore::memory().unwrap();
        let repository = Repository::new("https://example.org");
        repository.commit(&store, "Package: old\n");
        let other = |store: &dyn Store| {
            repository.commit(store, "Package: newest\n");
            repository.publish(store);
        };
        let overtaken = Overtaken::new(&store, &other, at);
        let outcome = publish(&overtaken, &repository.archive, &repository.key, &repository.url);
        let was_overtaken = overtaken.was_overtaken();
        // The one overtaken may find a file of its Release gone on to the newer state: it says so,
        // and what readers see is the newer state, whole.
        let chain = Chain::load(&store, &repository.archive).unwrap();
        let latest = chain.latest().unwrap();
        if !was_overtaken {
            outcome.unwrap();
            assert!(at > 30, "it only had {at} operations to be overtaken at");
            break;
        }
        assert_eq!(latest.n, 2);
        let head = read_as_client(&store, &repository, "");
        assert_eq!(head, Some(latest.suites[0].date), "{at}: {outcome:?}");
        let trace = store.get(&Key::trace(&repository.archive), 1000).unwrap();
        assert!(
            String::from_utf8(trace).unwrap().contains(latest.serial.as_str()),
            "{at}: {outcome:?}"
        );
        let plain = RelPath::new("main/binary-amd64/Packages.xz").unwrap();
        let plain = store
            .get(&Key::dists(&repository.archive, &repository.suite, &plain), 1 << 20)
            .unwrap();
        let listed = latest.suites[0]
            .indexes
            .iter()
            .find(|i| i.path.as_str().ends_with(".xz"))
            .unwrap();
        assert_eq!(Digest::of(&plain), listed.digest, "{at}: {outcome:?}");
    }
}

#[test]
fn a_snapshot_whose_writer_died_before_publishing_gets_its_tree_later() {
    let store = ObjectStore::memory().unwrap();
    let repository = Repository::new("https://example.org");
    let records: Vec<_> = (0..3)
        .map(|n| repository.commit(&store, &format!("Package: p{n}\n")))
        .collect();
    repository.publish(&store);
    for record in &records {
        let tree = format!("{}/", record.serial);
        assert_eq!(read_as_client(&store, &repository, &tree), Some(record.suites[0].date));
    }
    assert_eq!(read_as_client(&store, &repository, ""), Some(records[2].suites[0].date));
    assert_eq!(repository.publish(&store).written, 0);
}
