//! Tests of `snapshot`: the chain of records, names for them, and writers that race.

use std::collections::BTreeSet;
use std::sync::Barrier;

use assay::domain::{Coded, Kind, RelPath, Serial, Sha256, SnapshotId, SnapshotName, Timestamp};
use assay::format::json;
use assay::snapshot::{
    Chain, Committed, Record, SnapshotError, SuiteState, commit, content_digest, index_key, read_index,
};
use assay::store::{Key, ObjectStore, Store};
use serde_json::{Value, json};

use crate::support::repository::{Repository, made, now};

fn repository() -> (ObjectStore, Repository) {
    (ObjectStore::memory().unwrap(), Repository::new("https://example.org"))
}

fn at(text: &str) -> Timestamp {
    Timestamp::parse_compact(text).unwrap()
}

/// `next` at an instant, then `commit`.
fn add(store: &dyn Store, repository: &Repository, suites: Vec<SuiteState>, now: Timestamp) -> Record {
    let chain = Chain::load(store, &repository.archive).unwrap();
    let record = chain.next(store, suites, made("n", now)).unwrap();
    assert_eq!(commit(store, &record).unwrap(), Committed::Yes);
    record
}

#[test]
fn an_archive_without_records_is_empty() {
    let (store, repository) = repository();
    let chain = Chain::load(&store, &repository.archive).unwrap();
    assert!(chain.latest().is_none());
    let said = chain.resolve(&store, &SnapshotName::Latest).unwrap_err();
    assert!(matches!(said, SnapshotError::NotFound { .. }));
    assert_eq!((said.code(), said.kind()), ("E-SNAPSHOT-005", Kind::Usage));
}

#[test]
fn ids_serials_and_dates_only_go_forward() {
    let (store, repository) = repository();
    let state = || vec![repository.stage(&store, "")];
    let first = add(&store, &repository, state(), at("20261122T235958Z"));
    // The same second, then a clock that went back, then a day without the suite.
    let second = add(&store, &repository, state(), at("20261122T235958Z"));
    let third = add(&store, &repository, state(), at("20250101T000000Z"));
    let fourth = add(&store, &repository, Vec::new(), at("20261124T000000Z"));
    let fifth = add(&store, &repository, state(), at("20261120T000000Z"));
    let ids = [&first, &second, &third, &fourth, &fifth].map(|r| r.id.to_string());
    assert_eq!(
        ids,
        [
            "20261122T235958Z",
            "20261122T235959Z",
            "20261123T000000Z",
            "20261124T000000Z",
            "20261124T000001Z"
        ]
    );
    let serials = [&first, &second, &third, &fourth, &fifth].map(|r| r.serial.to_string());
    assert_eq!(
        serials,
        ["2026112201", "2026112202", "2026112301", "2026112401", "2026112402"]
    );
    let dates = [&first, &second, &third, &fifth].map(|r| r.suites[0].date.compact());
    assert_eq!(
        dates,
        [
            "20261122T235958Z",
            "20261122T235959Z",
            "20261123T000000Z",
            "20261123T000001Z"
        ]
    );
    assert_eq!(
        Chain::load(&store, &repository.archive)
            .unwrap()
            .records(&store)
            .count(),
        5
    );
}

#[test]
fn names_mean_records() {
    let (store, repository) = repository();
    let first = add(&store, &repository, Vec::new(), at("20261122T072000Z"));
    let second = add(&store, &repository, Vec::new(), at("20261123T072000Z"));
    let chain = Chain::load(&store, &repository.archive).unwrap();
    let means = |name: &str| chain.resolve(&store, &name.parse().unwrap()).map(|record| record.n);
    assert_eq!(means("latest").unwrap(), 2);
    assert_eq!(means("20261122T072000Z").unwrap(), 1);
    assert_eq!(means("20261123T071959Z").unwrap(), 1, "the newest not after it");
    assert_eq!(means("2026-11-23T07:20:00Z").unwrap(), 2);
    assert_eq!(means("20990101T000000Z").unwrap(), 2);
    assert_eq!(means(first.serial.as_str()).unwrap(), 1);
    assert_eq!(means(second.serial.as_str()).unwrap(), 2);
    for absent in ["20261122T071959Z", "2026112202", "5.15.1"] {
        assert!(matches!(means(absent), Err(SnapshotError::NotFound { .. })), "{absent}");
    }
}

#[test]
fn a_day_has_99_snapshots() {
    let (store, repository) = repository();
    for _ in 0..99 {
        add(&store, &repository, Vec::new(), at("20261122T072000Z"));
    }
    let chain = Chain::load(&store, &repository.archive).unwrap();
    let said = chain
        .next(&store, Vec::new(), made("n", at("20261122T080000Z")))
        .unwrap_err();
    assert!(matches!(said, SnapshotError::Full { .. }), "{said}");
    assert!(
        chain
            .next(&store, Vec::new(), made("n", at("20261123T000000Z")))
            .is_ok()
    );
}

type Change = Box<dyn Fn(&mut Value)>;

/// Whoever can write to the store can put anything there: each such record is refused by name.
#[test]
fn records_that_were_tampered_with_are_refused() {
    let change = |field: &'static str, value: Value| move |record: &mut Value| record[field] = value.clone();
    let changes: Vec<(&str, Change)> = vec![
        ("format", Box::new(change("format", json!(2)))),
        ("another name", Box::new(change("archive", json!("debian")))),
        ("another name", Box::new(change("n", json!(3)))),
        ("hash", Box::new(change("previous", json!(null)))),
        ("hash", Box::new(change("previous", json!(Sha256::of(b"x").hex())))),
        ("id", Box::new(change("id", json!("20261122T072000Z")))),
        ("serial", Box::new(change("serial", json!("2026112201")))),
        (
            "Date",
            Box::new(|r| r["suites"][0]["date"] = json!("2026-11-22T07:20:00Z")),
        ),
        ("unknown field", Box::new(change("extra", json!(1)))),
        (
            "missing field",
            Box::new(|r| drop(r.as_object_mut().unwrap().remove("nonce"))),
        ),
        (
            "twice",
            Box::new(|r| {
                let again = r["suites"][0].clone();
                r["suites"].as_array_mut().unwrap().push(again);
            }),
        ),
        (
            "sorted",
            Box::new(|r| r["suites"][0]["indexes"].as_array_mut().unwrap().reverse()),
        ),
        (
            "may not be called",
            Box::new(|r| r["suites"][0]["indexes"][0]["path"] = json!("InRelease")),
        ),
        (
            "may not be called",
            Box::new(|r| r["suites"][0]["indexes"][0]["path"] = json!("2026112201/Release")),
        ),
        (
            "index path",
            Box::new(|r| r["suites"][0]["indexes"][0]["path"] = json!("../../x")),
        ),
        (
            "uncompressed",
            Box::new(|r| drop(r["suites"][0]["indexes"].as_array_mut().unwrap().remove(0))),
        ),
        (
            "field",
            Box::new(|r| r["suites"][0]["fields"][0][1] = json!("Debian\nSHA256:\n 00 0 x")),
        ),
        (
            "field",
            Box::new(|r| r["suites"][0]["fields"][0][0] = json!("Valid-Until")),
        ),
        (
            "like a serial",
            Box::new(|r| r["suites"][0]["suite"] = json!("trixie/2026112201")),
        ),
    ];
    for (why, change) in changes {
        let (store, repository) = repository();
        let state = || vec![repository.stage(&store, "")];
        add(&store, &repository, state(), at("20261122T072000Z"));
        let second = add(&store, &repository, state(), at("20261123T072000Z"));
        let key = Key::record(&repository.archive, 2);
        let mut value = serde_json::to_value(&second).unwrap();
        change(&mut value);
        store.replace(&key, &json::canonical("test", &value).unwrap()).unwrap();
        let said = Chain::load(&store, &repository.archive).unwrap_err();
        assert_eq!(said.kind(), Kind::Verification, "{why}: {said}");
        assert!(said.to_string().contains(why), "{why}: {said}");
        // A Date that goes back, too: whoever looks must find the record.
        assert_eq!(said.object(), Some(&key), "{why}: {said}");
    }
}

#[test]
fn records_have_one_form_and_no_holes() {
    let (store, repository) = repository();
    for _ in 0..3 {
        add(&store, &repository, Vec::new(), now());
    }
    let load = || Chain::load(&store, &repository.archive);
    let second = Key::record(&repository.archive, 2);
    let bytes = store.get(&second, 1 << 20).unwrap();

    store.delete(&second).unwrap();
    assert!(load().unwrap_err().to_string().contains("missing"));
    let text = String::from_utf8(bytes.clone()).unwrap();
    for other in [
        format!("{text}\n"),
        text.replacen(',', ", ", 1),
        text.replacen("{\"archive\"", "{\"archive\":\"custom\",\"archive\"", 1),
        String::new(),
        "[".repeat(10_000),
    ] {
        store.replace(&second, other.as_bytes()).unwrap();
        assert!(load().is_err(), "{}", other.get(..60).unwrap_or_default());
    }
    // The first record, changed, is found out by the second, which names its hash.
    store.replace(&second, &bytes).unwrap();
    assert_eq!(load().unwrap().len(), 3);
    let first = Key::record(&repository.archive, 1);
    let text = String::from_utf8(store.get(&first, 1 << 20).unwrap()).unwrap();
    store
        .replace(&first, text.replace("a test", "a lie!").as_bytes())
        .unwrap();
    let chain = load().unwrap();
    let said = chain.records(&store).find_map(Result::err).unwrap().to_string();
    assert!(said.contains(second.as_str()) && said.contains("hash"), "{said}");
}

#[test]
fn writers_that_race_all_get_in_one_after_the_other() {
    const WRITERS: usize = 8;
    const EACH: usize = 4;
    let (store, repository) = repository();
    let barrier = Barrier::new(WRITERS);
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (store, repository, barrier) = (&store, &repository, &barrier);
            scope.spawn(move || {
                barrier.wait();
                for turn in 0..EACH {
                    let nonce = format!("{writer}-{turn}");
                    loop {
                        let chain = Chain::load(store, &repository.archive).unwrap();
                        let record = chain.next(store, Vec::new(), made(&nonce, now())).unwrap();
                        if commit(store, &record).unwrap() == Committed::Yes {
                            // A second attempt after a lost answer is ours too.
                            assert_eq!(commit(store, &record).unwrap(), Committed::Yes);
                            break;
                        }
                    }
                }
            });
        }
    });
    let chain = Chain::load(&store, &repository.archive).unwrap();
    let nonces: BTreeSet<_> = chain.records(&store).map(|record| record.unwrap().nonce).collect();
    assert_eq!((chain.len(), nonces.len()), ((WRITERS * EACH) as u64, WRITERS * EACH));
}

#[test]
fn renewing_keeps_the_content_and_nothing_else_does() {
    let (store, repository) = repository();
    let record = add(&store, &repository, vec![repository.stage(&store, "a")], now());
    let same = content_digest(&record.suites);
    let mut renewed = record.clone();
    renewed.suites[0].date = now().plus(1000);
    renewed.valid_days = Some(183);
    renewed.n = 7;
    renewed.id = SnapshotId::at(now().plus(1000));
    renewed.serial = Serial::new("2099010101").unwrap();
    renewed.suites[0].upstream = None;
    assert_eq!(content_digest(&renewed.suites), same);

    let changes: [fn(&mut SuiteState); 4] = [
        |suite| suite.suite = "sid".parse().unwrap(),
        |suite| suite.indexes[1].path = RelPath::new("main/other").unwrap(),
        |suite| suite.indexes[1].digest.sha256 = Sha256::of(b"other"),
        |suite| drop(suite.indexes.pop()),
    ];
    for change in changes {
        let mut other = record.clone();
        change(&mut other.suites[0]);
        assert_ne!(content_digest(&other.suites), same);
    }
}

#[test]
fn an_index_is_what_its_record_says() {
    let (store, repository) = repository();
    let record = add(
        &store,
        &repository,
        vec![repository.stage(&store, "Package: a\n")],
        now(),
    );
    let read = |n: usize| {
        let index = &record.suites[0].indexes[n];
        read_index(&store, &repository.archive, &repository.suite, index)
    };
    assert!(matches!(read(0), Err(SnapshotError::NotKept { .. })));
    let bytes = read(1).unwrap();
    let key = index_key(&repository.archive, &repository.suite, &record.suites[0].indexes[1]);
    for damaged in [&bytes[1..], &[&bytes[..], b"x"].concat(), &vec![0; bytes.len()]] {
        store.replace(&key, damaged).unwrap();
        assert!(matches!(read(1), Err(SnapshotError::Damaged { .. })));
    }
    store.delete(&key).unwrap();
    assert!(matches!(read(1), Err(SnapshotError::Store(_))));
}
