//! Each operation on the store goes wrong while a mirror follows its upstream, and while a damaged pool file is fetched
//! again.

use std::sync::Arc;

use assay::domain::{Coded, PoolPath, Timestamp};
use assay::host::Progress;
use assay::publish::{commit, finish, load_vouched, publish};
use assay::snapshot::{Committed, Record};
use assay::store::{Key, Store};
use assay::trust::{ArchiveKey, Keyring};
use assay::upstream::{Client, Follow, Followed, PullThrough, fill_pool, follow};

use super::hours;
use crate::publish::crash::read_suite;
use crate::support::archive::{Archive, Mirror, key, noon};
use crate::support::faulty::{Scenario, everything};
use crate::support::http::Upstream;
use crate::support::repository::{Repository, made};

const FIRST: &str = "pool/main/a/alloy/alloy_1_amd64.deb";
const SECOND: &str = "pool/main/a/alloy/alloy_2_amd64.deb";

fn keyring(key: &ArchiveKey) -> Keyring {
    Keyring::parse(key.certificate_armored().unwrap().as_bytes()).unwrap()
}

/// What `assay mirror` does of an archive with a full pool.
fn mirrored(mirror: &Mirror, upstream: &Upstream, store: &dyn Store, now: Timestamp) -> Result<(), Box<dyn Coded>> {
    let client = Client::new(&upstream.url(), Mirror::limits()).unwrap();
    let chain = load_vouched(store, &mirror.name, &keyring(&mirror.ours)).map_err(boxed)?;
    let previous = chain.latest().map(Record::as_upstream_has_it);
    let what = Follow {
        client: &client,
        archive: &mirror.name,
        config: &mirror.config,
        keyring: &mirror.keyring,
        previous: previous.as_ref(),
        earlier: &[],
        allow_release_info_change: false,
    };
    let hidden = Progress::hidden();
    let url = "http://127.0.0.1:1";
    let Followed::Changed(suites, _) = follow(&what, store, now, &hidden).map_err(boxed)? else {
        return finish(store, &chain, &mirror.ours, url).map(drop).map_err(boxed);
    };
    fill_pool(&client, store, &mirror.name, &suites, &hidden).map_err(boxed)?;
    let record = chain.next(store, suites, made("fixed", now)).map_err(boxed)?;
    assert_eq!(commit(store, &record, &mirror.ours).map_err(boxed)?, Committed::Yes);
    publish(store, &mirror.name, &mirror.ours, url).map(drop).map_err(boxed)
}

fn boxed(error: impl Coded + 'static) -> Box<dyn Coded> {
    Box::new(error)
}

#[test]
fn following_that_fails_anywhere_is_finished_by_the_next_run() {
    let (upstream, signer) = (Upstream::start(), key("upstream"));
    let mirror = Mirror::of(&signer);
    let follows = |store: &dyn Store, now| mirrored(&mirror, &upstream, store, now).map_err(|error| error.to_string());
    upstream.set(Archive::new(hours(-1)).files(&signer));
    follows(mirror.store.as_ref(), noon()).unwrap();
    let mut second = Archive::new(hours(1)).with(SECOND, b"alloy 2");
    second.pool.remove(FIRST);
    upstream.set(second.files(&signer));
    let clients = Repository {
        archive: mirror.name.clone(),
        suite: "tin".parse().unwrap(),
        key: ArchiveKey::parse(mirror.ours.secret_armored().unwrap().as_bytes()).unwrap(),
        ..Repository::new("http://127.0.0.1:1")
    };
    let scenario = Scenario {
        name: "mirror",
        before: &everything(mirror.store.as_ref()),
        one_of: 3,
        work: &|store| follows(store.as_ref(), hours(2)),
        read: &|store| {
            let release = read_suite(store, &clients, "", hours(3)).unwrap();
            let date = release.date().unwrap();
            // What it lists can be had.
            let file = if date == hours(2) { SECOND } else { FIRST };
            let file = Key::pool(&mirror.name, &PoolPath::new(file).unwrap());
            assert!(store.head(&file).unwrap().is_some(), "{file}");
            vec![date]
        },
        same: &|all| all,
    };
    scenario.survives();
}

#[test]
fn a_repair_that_fails_anywhere_is_finished_by_the_next_run() {
    let (upstream, signer) = (Upstream::start(), key("upstream"));
    let mirror = Mirror::of(&signer);
    upstream.set(Archive::new(hours(-1)).files(&signer));
    mirrored(&mirror, &upstream, mirror.store.as_ref(), noon())
        .map_err(|error| error.to_string())
        .unwrap();
    let path = PoolPath::new(FIRST).unwrap();
    let file = Key::pool(&mirror.name, &path);
    let mut before = everything(mirror.store.as_ref());
    let whole = before.insert(file.to_string(), b"alloy !".to_vec()).unwrap();
    let client = Arc::new(Client::new(&upstream.url(), Mirror::limits()).unwrap());
    let scenario = Scenario {
        name: "repair",
        before: &before,
        one_of: 1,
        work: &|store| {
            let pool = PullThrough::new(mirror.name.clone(), Arc::clone(store), Some(Arc::clone(&client)));
            pool.mend(&path).map_err(|error| error.to_string())
        },
        read: &|store| {
            let bytes = store.get(&file, 100).unwrap();
            assert!(bytes == whole || bytes == b"alloy !");
            vec![bytes]
        },
        same: &|all| all,
    };
    scenario.survives();
}
