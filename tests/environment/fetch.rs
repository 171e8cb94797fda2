//! What a lock needs, from a store that any web server serves: nothing of the server is trusted.

use assay::domain::{Coded, Sha256};
use assay::environment::{Lock, LockedPackage, LockedSnapshot, fetch_inputs, fetch_packages};
use assay::format::deb822::Stanzas;
use assay::format::packages::Binary;
use assay::host::Progress;
use assay::store::{Key, LocalStore, Store};

use crate::admission::scenario;
use crate::support::repository::Repository;
use crate::support::web::Web;

/// A served store with one package, and the lock of it.
struct Served {
    folder: tempfile::TempDir,
    url: String,
    lock: Lock,
}

impl Served {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = LocalStore::open(folder.path()).unwrap();
        let repository = Repository::new("file:///nowhere");
        let packages = repository.add_hello(&store, "1.0");
        let record = repository.commit(&store, &packages);
        repository.publish(&store);
        let stanza = Stanzas::new(packages.as_bytes()).next().unwrap().unwrap();
        let binary = Binary::from_stanza(&stanza).unwrap();
        let mut lock = scenario::lock();
        lock.packages = vec![LockedPackage {
            package: binary.package,
            version: binary.version,
            architecture: binary.architecture,
            sha256: binary.digest.sha256,
            size: binary.digest.size,
            filename: binary.filename,
            archive: repository.archive.clone(),
            suite: repository.suite.clone(),
            source: binary.source,
            source_version: binary.source_version,
        }];
        lock.snapshots = vec![LockedSnapshot {
            archive: repository.archive.clone(),
            suite: repository.suite.clone(),
            id: record.id.clone(),
            serial: record.serial.clone(),
            packages_sha256: vec![Sha256::of(packages.as_bytes())],
            ..lock.snapshots[0].clone()
        }];
        // What is newest moves on; the lock's snapshot stays where it is.
        repository.commit(&store, &repository.add_hello(&store, "2.0"));
        repository.publish(&store);
        let url = Web::serve(folder.path()).url;
        Self { folder, url, lock }
    }

    fn fetched(&self) -> Result<LocalStore, assay::environment::EnvironmentError> {
        let folder = tempfile::tempdir().unwrap().keep();
        let store = LocalStore::open(&folder).unwrap();
        let inputs = fetch_inputs(&self.url, &self.lock)?;
        assert_eq!(inputs.len(), 1);
        assert_eq!(
            Sha256::of(&inputs[0].packages[0]),
            self.lock.snapshots[0].packages_sha256[0]
        );
        fetch_packages(&self.url, &self.lock, &store, &Progress::hidden())?;
        Ok(store)
    }
}

#[test]
fn a_lock_and_a_url_are_enough() {
    let served = Served::new();
    let store = served.fetched().unwrap();
    let package = &served.lock.packages[0];
    let bytes = store
        .get(&Key::pool(&package.archive, &package.filename), 1 << 20)
        .unwrap();
    assert_eq!(Sha256::of(&bytes), package.sha256);
}

#[test]
fn a_server_with_other_bytes_gives_nothing() {
    let mut served = Served::new();
    let path = served
        .folder
        .path()
        .join(format!("custom/{}", served.lock.packages[0].filename));
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[100] ^= 1;
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, bytes).unwrap();
    let error = served.fetched().unwrap_err();
    assert_eq!(error.kind(), assay::domain::Kind::Verification, "{error}");

    served.lock.snapshots[0].packages_sha256 = vec![Sha256::of(b"another index")];
    let error = fetch_inputs(&served.url, &served.lock).unwrap_err();
    assert_eq!(error.code(), "E-ENV-013", "{error}");
    served.lock.snapshots[0].serial = "2020010101".parse().unwrap();
    let error = fetch_inputs(&served.url, &served.lock).unwrap_err();
    assert_eq!(error.code(), "E-ENV-013", "a snapshot that is not there: {error}");
}
