//! Every step fails once, before or after it took effect; then publishing runs again.

use std::sync::Arc;

use assay::domain::{Digest, Timestamp};
use assay::format::release::Release;
use assay::publish::publish;
use assay::store::{ObjectStore, Store, StoreError};
use assay::trust::{Keyring, Requirement, verify_inrelease};

use crate::support::faulty::{Scenario, everything};
use crate::support::repository::{Repository, now};

#[test]
fn a_crash_at_any_step_leaves_the_old_or_the_new_and_the_next_run_finishes() {
    let repository = Repository::new("https://example.org");
    let before = ObjectStore::memory().unwrap();
    let old = repository.commit(&before, "Package: old\n");
    repository.publish(&before);
    let new = repository.commit(&before, "Package: new\n");
    let work = |store: &Arc<dyn Store>| {
        let done = publish(store.as_ref(), &repository.archive, &repository.key, &repository.url);
        done.map(drop).map_err(|error| error.to_string())
    };
    let [old_date, new_date] = [old, new.clone()].map(|record| record.suites[0].date);
    let read = |store: &dyn Store| {
        let seen = read_as_client(store, &repository, "").unwrap();
        assert!(seen == old_date || seen == new_date);
        match read_as_client(store, &repository, &format!("{}/", new.serial)) {
            Some(date) => assert_eq!(date, new_date),
            None => assert_eq!(seen, old_date, "the serial comes before the head"),
        }
        vec![seen]
    };
    let scenario = Scenario {
        name: "publish",
        before: &everything(&before),
        one_of: 1,
        work: &work,
        read: &read,
        same: &|all| all,
    };
    scenario.survives();
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
pub(crate) fn read_suite(store: &dyn Store, repository: &Repository, tree: &str, now: Timestamp) -> Option<Release> {
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
