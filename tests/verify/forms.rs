//! The forms of a custom archive's indexes follow its file, from the next record on; old records stay what they are.

use std::collections::BTreeSet;

use assay::site::IndexForm;
use assay::snapshot::Chain;

use super::{Published, admit};

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
