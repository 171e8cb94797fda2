//! Contents are checked against the packages; and the forms of a custom archive's indexes follow its file, from the next record on; old records stay what they are.

use std::collections::BTreeSet;

use assay::domain::Digest;
use assay::format::compress::{Compression, compress};
use assay::publish::commit;
use assay::site::IndexForm;
use assay::snapshot::{Chain, index_key, kept_index, read_plain_index};
use assay::store::Store as _;

use super::{Published, admit};
use crate::support::repository::{made, now};

/// The endings of the newest record's Packages.
fn endings(published: &Published) -> Vec<String> {
    let chain = Chain::load(&published.site.store, &published.site.archive).unwrap();
    let state = &chain.latest().unwrap().suites[0];
    let ending = |path: &str| path.strip_prefix("main/binary-amd64/Packages").map(ToOwned::to_owned);
    state
        .indexes
        .iter()
        .filter_map(|index| ending(index.path.as_str()))
        .collect()
}

#[test]
fn another_choice_of_forms_comes_with_the_next_record_and_both_verify() {
    let mut published = Published::new();
    assert_eq!(endings(&published), ["", ".gz", ".xz"]);
    for (version, forms, expected) in [
        (
            "1.1",
            BTreeSet::from([IndexForm::Xz, IndexForm::Zst]),
            vec!["", ".xz", ".zst"],
        ),
        ("1.2", BTreeSet::new(), vec![""]),
        ("1.3", IndexForm::usual(), vec!["", ".gz", ".xz"]),
    ] {
        published.site.config.compress = forms;
        admit(&published.site, version, version);
        assert_eq!(endings(&published), expected);
        assert_eq!(published.problems(&published.store()), []);
    }
}

/// The newest record's Contents.
fn contents(published: &Published) -> Option<String> {
    let (store, archive) = (&published.site.store, &published.site.archive);
    let chain = Chain::load(store, archive).unwrap();
    let state = &chain.latest().unwrap().suites[0];
    let index = kept_index(state, "main/Contents-amd64")?;
    Some(String::from_utf8(read_plain_index(store, archive, &state.suite, index).unwrap()).unwrap())
}

#[test]
fn contents_follow_the_packages_and_a_lie_is_named() {
    let mut published = Published::new();
    let line = format!("{:<55} hello\n", "usr/share/hello/text");
    assert_eq!(contents(&published).as_ref(), Some(&line));
    published.site.config.contents = false;
    admit(&published.site, "1.1", "second");
    assert_eq!(contents(&published), None);
    // They come back whole, from the pool.
    published.site.config.contents = true;
    admit(&published.site, "1.2", "third");
    assert_eq!(contents(&published).as_ref(), Some(&line));
    assert_eq!(published.problems(&published.store()), []);

    let (store, archive) = (&published.site.store, &published.site.archive);
    let chain = Chain::load(store, archive).unwrap();
    let mut suites = chain.latest().unwrap().suites.clone();
    let state = &mut suites[0];
    let lie = line.replace("hello/text", "other/text");
    let suite = state.suite.clone();
    for index in &mut state.indexes {
        let compression = Compression::of_name(index.path.as_str());
        if index.path.as_str().starts_with("main/Contents-amd64") {
            let bytes = compress(compression, lie.as_bytes()).unwrap();
            index.digest = Digest::of(&bytes);
            if index.kept {
                store.create(&index_key(archive, &suite, index), &bytes).unwrap();
            }
        }
    }
    let record = chain.next(store, suites, made("lie", now())).unwrap();
    commit(store, &record, &published.site.archive_key).unwrap();
    let problems = published.problems(&published.store());
    assert!(
        problems
            .iter()
            .any(|(object, code)| object.contains("main/by-hash/SHA256/") && *code == "V-INDEX"),
        "{problems:?}"
    );
}
