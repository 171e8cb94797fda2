//! Contents are checked against the packages; and the forms of a custom archive's indexes follow its file, from the next record on; old records stay what they are.

use std::collections::BTreeSet;
use std::fs;

use assay::domain::{Digest, PackageName, Section};
use assay::format::compress::{Compression, compress};
use assay::format::manifest::Manifest;
use assay::publish::{commit, make_declared, select_packages};
use assay::site::{IndexForm, Override, Overrides, Priority};
use assay::snapshot::{Chain, index_key, kept_index, read_plain_index};
use assay::store::Store as _;

use super::{Published, admit};
use crate::support::apt::{Apt, source};
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
    text(published, "main/Contents-amd64")
}

/// The text of one of the newest record's indexes.
fn text(published: &Published, path: &str) -> Option<String> {
    let (store, archive) = (&published.site.store, &published.site.archive);
    let chain = Chain::load(store, archive).unwrap();
    let state = &chain.latest().unwrap().suites[0];
    let index = kept_index(state, path)?;
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
    lie(
        &published,
        "main/Contents-amd64",
        &line.replace("hello/text", "other/text"),
    );
}

/// Commits a record whose index is another text: `verify` must name it.
fn lie(published: &Published, path: &str, lie: &str) {
    let (store, archive) = (&published.site.store, &published.site.archive);
    let chain = Chain::load(store, archive).unwrap();
    let mut suites = chain.latest().unwrap().suites.clone();
    let state = &mut suites[0];
    let suite = state.suite.clone();
    for index in &mut state.indexes {
        let compression = Compression::of_name(index.path.as_str());
        if index.path.as_str().starts_with(path) {
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
            .any(|(object, code)| object.contains("/by-hash/SHA256/") && *code == "V-INDEX"),
        "{problems:?}"
    );
}

/// The one description that the fixture's packages have.
fn described(version: &str) -> String {
    format!("x\n Greets in version {version}.\n .\n   As told.\n")
}

#[test]
fn long_descriptions_can_stand_in_a_translation_that_apt_reads_and_a_lie_is_named() {
    let mut published = Published::new();
    let root = published.site.folder.path().to_owned();
    let certificate = root.join("key.asc");
    fs::write(&certificate, published.site.archive_key.certificate_armored().unwrap()).unwrap();
    let url = format!("file:{}/store/custom", root.display());
    for (version, translations) in [("1.1", true), ("1.2", true), ("1.3", false), ("1.4", true)] {
        published.site.config.translations = translations;
        admit(&published.site, version, version);
        assert_eq!(published.problems(&published.store()), []);
        let packages = text(&published, "main/binary-amd64/Packages").unwrap();
        let whole = packages.contains(&format!("Description: {}", described(version)));
        assert_eq!(whole, !translations, "{packages}");
        let translation = text(&published, "main/i18n/Translation-en");
        assert_eq!(translation.is_some(), translations);
        let apt = Apt::new(&source(&url, "stable", &certificate));
        for (languages, long) in [("en", true), ("none", !translations)] {
            let languages = format!("Acquire::Languages={languages}");
            apt.run("apt-get", &["-o", &languages, "update"]);
            let shown = apt.run("apt-cache", &["-o", &languages, "show", "hello"]).text;
            assert_eq!(
                shown.contains(&format!("Greets in version {version}.")),
                long,
                "{languages}: {shown}"
            );
        }
    }
    // A partial tag has the descriptions of what it lists.
    let chain = Chain::load(&published.site.store, &published.site.archive).unwrap();
    let record = chain.latest().unwrap().clone();
    for (names, expected) in [("hello 1.4 amd64\n", 1), ("other 1.4 amd64\n", 0)] {
        let manifest = Manifest::parse(names.as_bytes()).unwrap();
        let selection = select_packages(&published.site.store, vec![record.clone()], &manifest).unwrap();
        let state = &selection.parts[0].stage(&published.site.store).unwrap()[0];
        let index = kept_index(state, "main/i18n/Translation-en").unwrap();
        let text = read_plain_index(&published.site.store, &published.site.archive, &state.suite, index).unwrap();
        assert_eq!(
            String::from_utf8_lossy(&text).matches("Description-en: x").count(),
            expected
        );
    }
    let translation = text(&published, "main/i18n/Translation-en").unwrap();
    lie(
        &published,
        "main/i18n/Translation-en",
        &translation.replace("As told", "As lied"),
    );
}

/// What `assay publish` does.
fn publish_declared(published: &Published) {
    let site = &published.site;
    make_declared(&site.gate().writer(), now()).unwrap();
    assay::publish::publish(&site.store, &site.archive, &site.archive_key, "http://127.0.0.1").unwrap();
}

#[test]
fn sections_and_priorities_are_those_that_the_site_gives_and_others_are_named() {
    let mut published = Published::new();
    let root = published.site.folder.path().to_owned();
    let certificate = root.join("key.asc");
    fs::write(&certificate, published.site.archive_key.certificate_armored().unwrap()).unwrap();
    let url = format!("file:{}/store/custom", root.display());
    let own = text(&published, "main/binary-amd64/Packages").unwrap();
    let games = Override {
        section: Section::new("games").ok(),
        priority: Some(Priority::Standard),
    };
    let given = Overrides::from([(PackageName::new("hello").unwrap(), games)]);
    for translations in [false, true] {
        published.site.config.translations = translations;
        for overrides in [Overrides::new(), given.clone()] {
            published.site.config.overrides = overrides.clone();
            // Also of packages that are there already.
            publish_declared(&published);
            let apt = Apt::new(&source(&url, "stable", &certificate));
            apt.update();
            let shown = apt.run("apt-cache", &["show", "hello"]).text;
            let said = shown.contains("Section: games\n") && shown.contains("Priority: standard\n");
            assert_eq!(said, !overrides.is_empty(), "{shown}");
            assert_eq!(published.problems(&published.store()), []);
        }
    }
    published.site.config.overrides = Overrides::new();
    let problems = published.problems(&published.store());
    assert!(matches!(problems.as_slice(), [(_, "V-RELEASE")]), "{problems:?}");
    published.site.config.translations = false;
    publish_declared(&published);
    assert_eq!(text(&published, "main/binary-amd64/Packages"), Some(own), "as before");
}
