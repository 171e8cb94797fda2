//! Pool files on request.

use std::sync::Arc;
use std::time::Duration;

use assay::domain::{Coded as _, PoolPath};
use assay::host::Progress;
use assay::snapshot::{SuiteState, content_digest};
use assay::store::Key;
use assay::upstream::{Client, Followed, PullThrough, fill_added, fill_pool, last_filled, was_filled};

use super::hours;
use crate::support::archive::{Archive, Mirror, key, noon};
use crate::support::http::{Trick, Upstream};

const FIRST: &str = "pool/main/a/alloy/alloy_1_amd64.deb";
const SECOND: &str = "pool/main/a/alloy/alloy_2_amd64.deb";

fn mirrored() -> (Upstream, Mirror, PullThrough) {
    let signer = key("upstream");
    let upstream = Upstream::start();
    upstream.set(Archive::new(hours(-1)).files(&signer));
    let mirror = Mirror::of(&signer);
    mirror.accept(&upstream.url(), noon());
    let mut second = Archive::new(hours(1)).with(SECOND, b"alloy 2");
    second.pool.remove(FIRST);
    let mut files = second.files(&signer);
    files.insert(FIRST.to_owned(), b"alloy 1".to_vec());
    upstream.set(files);
    mirror.accept(&upstream.url(), hours(2));
    upstream.requests();
    let client = Arc::new(Client::new(&upstream.url(), Mirror::limits()).unwrap());
    let pool = PullThrough::new(mirror.name.clone(), Arc::clone(&mirror.store), Some(client));
    (upstream, mirror, pool)
}

#[test]
fn a_full_pool_is_filled_before_a_snapshot_and_never_twice() {
    let (upstream, mirror, _) = mirrored();
    let state = mirror.latest().unwrap().suites;
    let fill = || {
        let client = Client::new(&upstream.url(), Mirror::limits()).unwrap();
        fill_pool(
            &client,
            mirror.store.as_ref(),
            &mirror.name,
            &state,
            &Progress::hidden(),
        )
    };
    upstream.trick("alloy_2_amd64.deb", Trick::Flipped);
    assert_eq!(fill().unwrap_err().code(), "E-UP-008");
    let key = Key::pool(&mirror.name, &path(SECOND));
    assert_eq!(mirror.store.head(&key).unwrap(), None);
    upstream.honest();
    fill().unwrap();
    assert_eq!(mirror.store.get(&key, 100).unwrap(), b"alloy 2");
    upstream.requests();
    fill().unwrap();
    assert_eq!(upstream.requests(), Vec::<String>::new(), "all of it is there");
}

#[test]
fn a_pool_that_had_everything_is_looked_at_again_the_next_day() {
    let (upstream, mirror, _) = mirrored();
    let (store, suites) = (mirror.store.as_ref(), mirror.latest().unwrap().suites);
    let was = |suites: &[SuiteState], now| was_filled(store, &mirror.name, suites, now).unwrap();
    assert!(!was(&suites, noon()), "nobody looked yet");
    let client = Client::new(&upstream.url(), Mirror::limits()).unwrap();
    let fill = || fill_pool(&client, store, &mirror.name, &suites, &Progress::hidden()).unwrap();
    assert_eq!(fill(), 1);
    let note = Key::filled(&mirror.name, &content_digest(&suites));
    let seen = store.head(&note).unwrap().unwrap().modified;
    assert!(was(&suites, seen) && was(&suites, seen.plus(86_399)));
    assert!(!was(&suites, seen.plus(86_400)));
    assert!(!was(&suites, seen.plus(-1)), "a clock that was wrong proves nothing");
    assert!(!was(&suites[..0], seen), "another content");
    // To look again counts from then on.
    assert_eq!(fill(), 0);
    assert!(store.head(&note).unwrap().unwrap().modified > seen);
}

#[test]
fn of_an_upstream_that_lists_more_only_that_is_looked_for_within_a_day() {
    let (signer, upstream) = (key("upstream"), Upstream::start());
    let mirror = Mirror::of(&signer);
    let first = Archive::new(hours(-1)).with(SECOND, b"alloy 2");
    upstream.set(first.files(&signer));
    mirror.accept(&upstream.url(), noon());
    let (store, name, before) = (mirror.store.as_ref(), &mirror.name, mirror.latest().unwrap().suites);
    let client = Client::new(&upstream.url(), Mirror::limits()).unwrap();
    let hidden = Progress::hidden();
    fill_pool(&client, store, name, &before, &hidden).unwrap();
    let looked = store
        .head(&Key::filled(name, &content_digest(&before)))
        .unwrap()
        .unwrap()
        .modified;
    assert_eq!(last_filled(store, name, &before, looked).unwrap(), Some(looked));

    let third = "pool/main/a/alloy/alloy_3_amd64.deb";
    let archive = Archive::new(hours(3)).with(SECOND, b"alloy 2").with(third, b"alloy 3");
    upstream.set(archive.files(&signer));
    let Followed::Changed(suites, added) = mirror.follow(&upstream.url(), hours(4)).unwrap() else {
        panic!("unchanged")
    };
    let added = added.unwrap();
    let paths: Vec<&str> = added.iter().map(|file| file.path.as_str()).collect();
    assert!(paths.contains(&third) && !paths.contains(&SECOND), "{paths:?}");
    // What was there is not looked for, and what comes is checked.
    store.delete(&Key::pool(name, &path(SECOND))).unwrap();
    upstream.requests();
    upstream.trick("alloy_3_amd64.deb", Trick::Flipped);
    let fill = || fill_added(&client, store, name, &suites, (added.clone(), looked), &hidden);
    assert_eq!(fill().unwrap_err().code(), "E-UP-008");
    assert_eq!(
        last_filled(store, name, &suites, looked).unwrap(),
        None,
        "it has not all"
    );
    upstream.honest();
    fill().unwrap();
    assert!(!upstream.requests().contains(&SECOND.to_owned()));
    assert_eq!(store.get(&Key::pool(name, &path(third)), 100).unwrap(), b"alloy 3");
    // The day is counted from when all was looked for.
    let last = |now| last_filled(store, name, &suites, now).unwrap();
    assert_eq!(last(looked.plus(86_399)), Some(looked));
    assert_eq!(last(looked.plus(86_400)), None);
    assert!(was_filled(store, name, &suites, looked).unwrap());
    assert_eq!(fill_pool(&client, store, name, &suites, &hidden).unwrap(), 1);
}

fn path(text: &str) -> PoolPath {
    text.parse().unwrap()
}

#[test]
fn many_who_wait_get_one_download() {
    let (upstream, mirror, pool) = mirrored();
    upstream.trick("alloy_2_amd64.deb", Trick::Late(Duration::from_millis(300)));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| pool.ensure(&path(SECOND)).unwrap());
        }
    });
    assert_eq!(upstream.requests(), [SECOND]);
    assert_eq!(
        mirror.store.get(&Key::pool(&mirror.name, &path(SECOND)), 100).unwrap(),
        b"alloy 2"
    );
    // A file that only an older snapshot has.
    pool.ensure(&path(FIRST)).unwrap();
    pool.ensure(&path(FIRST)).unwrap();
    assert_eq!(upstream.requests(), [FIRST]);
}

#[test]
fn nothing_wrong_gets_into_the_pool() {
    let (upstream, mirror, pool) = mirrored();
    let key = Key::pool(&mirror.name, &path(SECOND));
    for (trick, code) in [
        (Trick::Flipped, "E-UP-008"),
        (Trick::Announced(6), "E-UP-005"),
        (Trick::Truncated(3), "E-UP-002"),
        (Trick::Status(404), "E-UP-004"),
    ] {
        upstream.trick("alloy_2_amd64.deb", trick);
        assert_eq!(pool.ensure(&path(SECOND)).unwrap_err().code(), code);
        assert_eq!(mirror.store.head(&key).unwrap(), None);
    }
    upstream.honest();
    upstream.requests();
    let unknown = pool.ensure(&path("pool/main/e/evil/evil_1_amd64.deb")).unwrap_err();
    assert_eq!(unknown.code(), "E-UP-018");
    assert_eq!(upstream.requests(), Vec::<String>::new());
    pool.ensure(&path(SECOND)).unwrap();
}
