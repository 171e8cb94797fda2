//! What the trait promises, asked of each backend.

use std::io::Read;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};

use assay::domain::Digest;
use assay::host::Progress;
use assay::store::{Created, Key, LocalStore, ObjectStore, Reading, Store, StoreError};

use super::key;
use crate::support::s3::{Fault, S3};
use crate::support::service::Service;

/// Runs one promise against every backend.
macro_rules! promises {
    ($($name:ident),* $(,)?) => {
        mod on_disk {
            $(#[test] fn $name() {
                let folder = tempfile::tempdir().unwrap();
                super::$name(&super::LocalStore::open(folder.path()).unwrap());
            })*
        }
        mod in_memory {
            $(#[test] fn $name() { super::$name(&super::ObjectStore::memory().unwrap()); })*
        }
        mod in_s3 {
            $(#[test] fn $name() {
                let service = super::Service::start();
                super::$name(&super::ObjectStore::cloud(service.folder(), service.settings()).unwrap());
            })*
        }
    };
}

promises!(
    what_was_written_is_read_back,
    limits_hold,
    one_writer_wins,
    creating_the_same_again_is_ours,
    listings_are_sorted_and_bounded_by_a_folder,
    a_survey_gives_all_and_reads_what_is_wanted,
    streams_are_checked_before_anything_appears,
    an_object_that_is_there_is_kept,
    many_objects_are_settled_together,
    large_streams_arrive_whole,
    pointers_move,
    links_are_the_same_object_and_stay_when_it_goes,
    deleting_is_exact_and_repeatable,
    every_legal_character_is_kept_apart,
    it_works_from_inside_a_runtime,
);

fn many_objects_are_settled_together(store: &dyn Store) {
    let bytes = |n: usize| format!("object {n}").into_bytes();
    let name = |n: usize| key(&format!("pool/{}/{n}", n % 3));
    store.create(&name(4), &bytes(4)).unwrap();
    let staged: Vec<_> = (0..9)
        .map(|n| {
            store
                .stage(&name(n), &Digest::of(&bytes(n)), &mut &bytes(n)[..])
                .unwrap()
        })
        .collect();
    let wrong = store.stage(&name(9), &Digest::of(b"x"), &mut &b"y"[..]);
    assert!(matches!(wrong, Err(StoreError::Digest { .. })));
    // Another writer is faster with one of them.
    store
        .put_stream(&name(5), &Digest::of(&bytes(5)), &mut &bytes(5)[..])
        .unwrap();
    store.settle(staged).unwrap();
    for n in 0..9 {
        assert_eq!(store.get(&name(n), 100).unwrap(), bytes(n));
    }
    assert_eq!(store.list("pool").unwrap().len(), 9);
    store.settle(Vec::new()).unwrap();
}

fn what_was_written_is_read_back(store: &dyn Store) {
    assert_eq!(store.create(&key("a/b/c"), b"bytes").unwrap(), Created::Yes);
    assert_eq!(store.create(&key("a/empty"), b"").unwrap(), Created::Yes);
    assert_eq!(store.get(&key("a/b/c"), 100).unwrap(), b"bytes");
    assert_eq!(store.get(&key("a/empty"), 0).unwrap(), b"");
    let mut streamed = Vec::new();
    store.open(&key("a/b/c")).unwrap().read_to_end(&mut streamed).unwrap();
    assert_eq!(streamed, b"bytes");
    let meta = store.head(&key("a/b/c")).unwrap().unwrap();
    assert_eq!((meta.size, meta.key.as_str()), (5, "a/b/c"));
    assert!(meta.modified.unix() > 1_600_000_000);
    for absent in ["a", "a/b", "a/b/c/d", "a/b/x", "x"] {
        let absent = key(absent);
        assert!(matches!(store.get(&absent, 9), Err(StoreError::Missing(k)) if k == absent));
        assert!(matches!(store.open(&absent), Err(StoreError::Missing(_))));
        assert_eq!(store.head(&absent).unwrap(), None);
        assert_eq!(store.local_path(&absent), None);
    }
}

fn limits_hold(store: &dyn Store) {
    store.create(&key("x"), &[7; 1000]).unwrap();
    assert_eq!(store.get(&key("x"), 1000).unwrap().len(), 1000);
    assert!(matches!(
        store.get(&key("x"), 999),
        Err(StoreError::TooLarge { limit: 999, .. })
    ));
}

fn one_writer_wins(store: &dyn Store) {
    const WRITERS: usize = 16;
    const ROUNDS: usize = 40;
    let barrier = Barrier::new(WRITERS);
    let winners: Vec<AtomicUsize> = (0..ROUNDS).map(|_| AtomicUsize::new(0)).collect();
    let claimed: Vec<AtomicUsize> = (0..ROUNDS).map(|_| AtomicUsize::new(usize::MAX)).collect();
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (barrier, winners, claimed) = (&barrier, &winners, &claimed);
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    barrier.wait();
                    let bytes = format!("writer {writer}");
                    if store
                        .create(&key(&format!("state/{round}.json")), bytes.as_bytes())
                        .unwrap()
                        == Created::Yes
                    {
                        winners[round].fetch_add(1, Ordering::SeqCst);
                        claimed[round].store(writer, Ordering::SeqCst);
                    }
                }
            });
        }
    });
    for round in 0..ROUNDS {
        assert_eq!(winners[round].load(Ordering::SeqCst), 1, "round {round}");
        let there = store.get(&key(&format!("state/{round}.json")), 100).unwrap();
        let winner = claimed[round].load(Ordering::SeqCst);
        assert_eq!(there, format!("writer {winner}").as_bytes(), "round {round}");
    }
    assert_eq!(store.list("").unwrap().len(), ROUNDS, "nothing else appeared");
}

fn creating_the_same_again_is_ours(store: &dyn Store) {
    assert_eq!(store.create(&key("k"), b"mine").unwrap(), Created::Yes);
    assert_eq!(store.create(&key("k"), b"mine").unwrap(), Created::Yes);
    for other in [&b"mine!"[..], b"min", b"", b"ours"] {
        assert_eq!(store.create(&key("k"), other).unwrap(), Created::No);
    }
    assert_eq!(store.get(&key("k"), 9).unwrap(), b"mine");
}

fn listings_are_sorted_and_bounded_by_a_folder(store: &dyn Store) {
    let all = ["a-b/x", "a/b", "a/b.c/d", "a0", "ab/c", "b"];
    for name in all.iter().rev() {
        store.create(&key(name), name.as_bytes()).unwrap();
    }
    let names = |prefix: &str| -> Vec<String> {
        let metas = store.list(prefix).unwrap();
        metas.iter().map(|meta| meta.key.to_string()).collect()
    };
    assert_eq!(names(""), all);
    assert_eq!(names("a"), ["a/b", "a/b.c/d"]);
    assert_eq!(names("a/b.c"), ["a/b.c/d"]);
    assert_eq!(names("b"), [""; 0], "an object is not below itself");
    assert_eq!(names("nothing/here"), [""; 0]);
    assert_eq!(store.list("ab").unwrap()[0].size, 4);
    for bad in ["..", "/", "a/", "/a", "a/../b"] {
        assert!(store.list(bad).is_err(), "{bad}");
    }
    for prefix in ["", "a", "nothing/here"] {
        let mut visited = Vec::new();
        store.visit(prefix, &mut |meta| visited.push(meta)).unwrap();
        visited.sort_by(|x, y| x.key.cmp(&y.key));
        assert_eq!(visited, store.list(prefix).unwrap());
    }
    let folders = |prefix: &str| store.folders(prefix).unwrap();
    assert_eq!(folders("a"), ["b.c"]);
    assert_eq!((folders("b"), folders("a/b.c")), (vec![], vec![]));
    assert_eq!(folders("nothing/here"), [""; 0]);
    assert!(store.folders("../b").is_err());
    // Nothing but what is below a folder goes with it.
    for folder in ["a", "a0", "nothing/here"] {
        store.delete_all(folder).unwrap();
    }
    assert!(store.delete_all("../b").is_err());
    assert_eq!(names(""), ["a-b/x", "a0", "ab/c", "b"]);
}

fn a_survey_gives_all_and_reads_what_is_wanted(store: &dyn Store) {
    // More files than one core takes at once, nothing, a large one, and one with two names.
    let large = vec![7; 700_000];
    let mut objects: Vec<(String, Vec<u8>)> = (0..300)
        .map(|n| (format!("pool/many/{n}"), n.to_string().into_bytes()))
        .collect();
    objects.push(("pool/a/b/c/large".to_owned(), large));
    objects.push(("pool/a/empty".to_owned(), Vec::new()));
    objects.push(("pool/a/b/one".to_owned(), b"one".to_vec()));
    objects.push(("unread/x".to_owned(), b"x".to_vec()));
    for (name, bytes) in &objects {
        store.create(&key(name), bytes).unwrap();
    }
    store.link(&key("pool/a/b/one"), &key("links/two")).unwrap();
    objects.push(("links/two".to_owned(), b"one".to_vec()));
    objects.sort();

    let bar = Progress::hidden().bytes("hashing", 0);
    let wanted = |key: &Key| !key.as_str().starts_with("unread/");
    let survey = |prefix: &str| {
        let reading = Reading {
            wanted: &wanted,
            bar: &bar,
        };
        let mut surveyed = store.survey(prefix, &reading).unwrap().objects;
        surveyed.sort_by(|a, b| a.meta.key.cmp(&b.meta.key));
        let metas: Vec<_> = surveyed.iter().map(|object| object.meta.clone()).collect();
        assert_eq!(metas, store.list(prefix).unwrap());
        surveyed
    };
    let surveyed = survey("");
    assert_eq!(surveyed.len(), objects.len());
    for (object, (name, bytes)) in surveyed.iter().zip(&objects) {
        assert_eq!(object.meta.key.as_str(), name);
        let expected = (name != "unread/x").then(|| Ok(Digest::of(bytes)));
        assert_eq!(object.digest, expected, "{name}");
    }
    assert_eq!(survey("pool/a/b").len(), 2);
    assert_eq!(survey("pool/nothing").len(), 0);
}

fn streams_are_checked_before_anything_appears(store: &dyn Store) {
    let digest = Digest::of(b"right");
    for wrong in [&b"wrong"[..], b"righ", b"right and more", b""] {
        let outcome = store.put_stream(&key("p"), &digest, &mut &wrong[..]);
        assert!(matches!(outcome, Err(StoreError::Digest { .. })), "{outcome:?}");
        assert_eq!(store.head(&key("p")).unwrap(), None);
    }
    let mut broken = b"rig".chain(Breaks);
    assert!(store.put_stream(&key("p"), &digest, &mut broken).is_err());
    assert_eq!(store.list("").unwrap(), []);
    store.put_stream(&key("p"), &digest, &mut &b"right"[..]).unwrap();
    assert_eq!(store.get(&key("p"), 9).unwrap(), b"right");
}

/// A connection that ends too early.
struct Breaks;

impl Read for Breaks {
    fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
        Err(std::io::ErrorKind::ConnectionReset.into())
    }
}

fn an_object_that_is_there_is_kept(store: &dyn Store) {
    let digest = Digest::of(b"first");
    store.put_stream(&key("p"), &digest, &mut &b"first"[..]).unwrap();
    store.put_stream(&key("p"), &digest, &mut Breaks).unwrap();
    let larger = Digest::of(b"second");
    assert!(matches!(
        store.put_stream(&key("p"), &larger, &mut &b"second"[..]),
        Err(StoreError::Different(_))
    ));
    assert_eq!(store.get(&key("p"), 9).unwrap(), b"first");
}

fn large_streams_arrive_whole(store: &dyn Store) {
    // More than one part of an upload, and no whole number of them.
    let bytes: Vec<u8> = (0..20_000_003_u32).map(|i| (i % 251) as u8).collect();
    let digest = Digest::of(&bytes);
    let mut flipped = bytes.clone();
    flipped[19_999_999] ^= 1;
    assert!(store.put_stream(&key("big"), &digest, &mut &flipped[..]).is_err());
    assert_eq!(store.head(&key("big")).unwrap(), None);
    store.put_stream(&key("big"), &digest, &mut &bytes[..]).unwrap();
    let mut read = Vec::new();
    store.open(&key("big")).unwrap().read_to_end(&mut read).unwrap();
    assert!(read == bytes);
}

fn pointers_move(store: &dyn Store) {
    store.replace(&key("d/InRelease"), b"old").unwrap();
    let mut open = store.open(&key("d/InRelease")).unwrap();
    store.replace(&key("d/InRelease"), b"newer").unwrap();
    let mut read = Vec::new();
    open.read_to_end(&mut read).unwrap();
    assert_eq!(read, b"old", "a reader that began keeps what it began with");
    assert_eq!(store.get(&key("d/InRelease"), 9).unwrap(), b"newer");
}

fn links_are_the_same_object_and_stay_when_it_goes(store: &dyn Store) {
    store.create(&key("by-hash/1"), b"one").unwrap();
    store.create(&key("by-hash/2"), b"two").unwrap();
    store.link(&key("by-hash/1"), &key("plain/Packages")).unwrap();
    assert_eq!(store.get(&key("plain/Packages"), 9).unwrap(), b"one");
    store.link(&key("by-hash/1"), &key("plain/Packages")).unwrap();
    store.link(&key("by-hash/2"), &key("plain/Packages")).unwrap();
    store.link(&key("by-hash/2"), &key("by-hash/2")).unwrap();
    assert_eq!(store.get(&key("plain/Packages"), 9).unwrap(), b"two");
    assert_eq!(store.get(&key("by-hash/1"), 9).unwrap(), b"one");
    store.delete(&key("by-hash/2")).unwrap();
    assert_eq!(store.get(&key("plain/Packages"), 9).unwrap(), b"two");
    assert!(matches!(
        store.link(&key("by-hash/3"), &key("x")),
        Err(StoreError::Missing(_))
    ));
    assert!(matches!(
        store.link(&key("nowhere/3"), &key("x")),
        Err(StoreError::Missing(_))
    ));
    store.replace(&key("plain/Packages"), b"three").unwrap();
    store.link(&key("by-hash/1"), &key("other")).unwrap();
    store.replace(&key("other"), b"four").unwrap();
    assert_eq!(
        store.get(&key("by-hash/1"), 9).unwrap(),
        b"one",
        "a pointer is not written through"
    );
    assert_eq!(store.list("").unwrap().len(), 3, "no other names are left");
}

fn deleting_is_exact_and_repeatable(store: &dyn Store) {
    for name in ["a/b/c", "a/b/d", "a/bc"] {
        store.create(&key(name), b"x").unwrap();
    }
    store.delete(&key("a/b/c")).unwrap();
    store.delete(&key("a/b/c")).unwrap();
    store.delete(&key("never/was")).unwrap();
    let left: Vec<_> = store.list("").unwrap().iter().map(|m| m.key.to_string()).collect();
    assert_eq!(left, ["a/b/d", "a/bc"]);
    assert_eq!(store.create(&key("a/b/c"), b"again").unwrap(), Created::Yes);
}

fn every_legal_character_is_kept_apart(store: &dyn Store) {
    let names = ["x~1", "x_1", "x+1", "x-1", "x@1", "x:1", "x,1", "x=1", "x.1", "X~1"];
    for name in names {
        store.create(&key(&format!("pool/{name}")), name.as_bytes()).unwrap();
    }
    for name in names {
        assert_eq!(store.get(&key(&format!("pool/{name}")), 9).unwrap(), name.as_bytes());
    }
    assert_eq!(store.list("pool").unwrap().len(), names.len());
}

fn it_works_from_inside_a_runtime(store: &dyn Store) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        store.create(&key("a"), b"1").unwrap();
        assert_eq!(store.get(&key("a"), 1).unwrap(), b"1");
        drop(ObjectStore::memory().unwrap());
    });
}

#[test]
fn hostile_names_are_no_keys() {
    for bad in [
        "",
        "/",
        "/etc/passwd",
        "..",
        "a/../../etc/passwd",
        "a/./b",
        ".tmp-writes/x",
        "a/.tmp-1",
        "a//b",
        "a/",
        "a\\b",
        "a%2fb",
        "a\0b",
        "a\nb",
        "a b",
        "ä",
        "a\u{202e}b",
        &"x".repeat(256),
        &format!("{}z", "y/".repeat(500)),
    ] {
        assert!(assay::store::Key::new(bad).is_err(), "{bad:?}");
    }
}

/// A folder of the server's bucket.
fn in_s3(server: &S3) -> ObjectStore {
    ObjectStore::cloud("s3://bucket/a/folder", server.settings()).unwrap()
}

#[test]
fn what_a_cloud_service_gets_wrong_is_tried_again_or_said_and_nothing_is_half_there() {
    let large = vec![7; (8 << 20) + 5];
    for fault in [
        Fault::Refused(503),
        Fault::DoneAndRefused(500),
        Fault::DoneAndGone,
        Fault::Half,
    ] {
        let server = S3::start();
        let store = in_s3(&server);
        server.fail_each(3, fault);
        // What fails is done again by whoever wanted it; so is what was done and not answered.
        let again = |what: &dyn Fn() -> Result<(), StoreError>| {
            let done = (0..20).any(|_| what().is_ok());
            assert!(done, "{fault:?}: {:?}", what());
        };
        for n in 0..9 {
            let name = key(&format!("pool/{n}"));
            again(&|| match store.create(&name, &[n])? {
                Created::Yes => Ok(()),
                Created::No => panic!("{fault:?}: nobody else writes"),
            });
            let other = store.create(&name, b"other");
            assert!(!matches!(other, Ok(Created::Yes)), "{fault:?}");
        }
        let whole = key("pool/large");
        again(&|| store.put_stream(&whole, &Digest::of(&large), &mut &large[..]));
        again(&|| store.link(&whole, &key("pool/copy")));
        again(&|| store.replace(&key("pointer"), b"there"));
        again(&|| store.list("pool").map(|found| assert_eq!(found.len(), 11, "{fault:?}")));
        again(&|| {
            let read = store.get(&key("pool/copy"), large.len() as u64)?;
            assert!(read == large, "{fault:?}");
            Ok(())
        });
        again(&|| store.delete(&whole));
        server.honest();
        assert_eq!(server.unsigned(), 0);
        let mut names: Vec<String> = (0..9).map(|n| format!("a/folder/pool/{n}")).collect();
        names.extend(["a/folder/pool/copy".to_owned(), "a/folder/pointer".to_owned()]);
        names.sort();
        assert_eq!(server.names(), names, "{fault:?}");
    }
}
