//! Writers and collections beside each other.

use std::sync::Arc;
use std::time::Duration;

use assay::collect::{CollectError, Work, work};
use assay::domain::{ArchiveName, Coded as _, Kind};
use assay::store::{Key, ObjectStore, Store};

fn start(store: &Arc<dyn Store>, what: Work, verb: &str) -> Result<assay::collect::Working, CollectError> {
    let archive = ArchiveName::new("debian").unwrap();
    work(store, &archive, what, verb, Duration::ZERO, &mut |_| {})
}

#[test]
fn a_collection_is_alone_and_writers_are_not() {
    let store: Arc<dyn Store> = Arc::new(ObjectStore::memory().unwrap());
    let first = start(&store, Work::Writing, "mirror").unwrap();
    let second = start(&store, Work::Writing, "tag").unwrap();
    let said = start(&store, Work::Collecting, "gc").unwrap_err();
    assert_eq!((said.code(), said.kind()), ("E-COLLECT-003", Kind::Conflict));
    assert!(
        said.to_string()
            .contains(&format!("(process {} on ", std::process::id())),
        "{said}"
    );
    drop(first);
    assert!(
        start(&store, Work::Collecting, "gc")
            .unwrap_err()
            .to_string()
            .contains("`assay tag`")
    );
    drop(second);
    let collecting = start(&store, Work::Collecting, "gc").unwrap();
    assert!(
        start(&store, Work::Writing, "mirror")
            .unwrap_err()
            .to_string()
            .contains("`assay gc`")
    );
    assert!(start(&store, Work::Collecting, "gc").is_err());
    let other = ArchiveName::new("other").unwrap();
    let elsewhere = work(&store, &other, Work::Collecting, "gc", Duration::ZERO, &mut |_| {});
    assert!(elsewhere.is_ok(), "archives do not mind each other");
    drop((collecting, elsewhere));
    assert_eq!(store.list("").unwrap(), []);
}

#[test]
fn a_collection_waits_for_those_before_it_and_keeps_new_ones_out() {
    let store: Arc<dyn Store> = Arc::new(ObjectStore::memory().unwrap());
    let archive = ArchiveName::new("debian").unwrap();
    let mut writer = Some(start(&store, Work::Writing, "mirror").unwrap());
    let mut waited = Vec::new();
    let collecting = work(
        &store,
        &archive,
        Work::Collecting,
        "gc",
        Duration::from_secs(60),
        &mut |other| {
            waited.push(other.to_owned());
            let late = start(&store, Work::Writing, "tag").unwrap_err();
            assert!(late.to_string().contains("`assay gc`"), "{late}");
            writer.take();
        },
    );
    assert!(collecting.is_ok());
    assert!(waited[0].contains("`assay mirror`"), "{waited:?}");
}

#[test]
fn the_dead_are_in_nobodys_way() {
    let store: Arc<dyn Store> = Arc::new(ObjectStore::memory().unwrap());
    let working = start(&store, Work::Writing, "mirror").unwrap();
    let listed = store.list("state/debian/working").unwrap();
    let note = store.get(&listed[0].key, 10_000).unwrap();
    let text = String::from_utf8(note).unwrap();
    drop(working);
    let put = |text: &str| {
        store
            .replace(&Key::new("state/debian/working/00.json").unwrap(), text.as_bytes())
            .unwrap()
    };
    let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
    value["process"]["started"] = 1.into();
    put(&serde_json::to_string(&value).unwrap());
    drop(start(&store, Work::Collecting, "gc").unwrap());
    assert_eq!(store.list("").unwrap(), [], "its note is removed");
    // Of another machine it cannot be told: it counts until it was not refreshed for an hour.
    value["process"]["kernel"] = "another".into();
    put(&serde_json::to_string(&value).unwrap());
    assert!(start(&store, Work::Collecting, "gc").is_err());
}
