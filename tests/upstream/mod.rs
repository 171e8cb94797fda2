//! Tests of `upstream`: an archive on loopback that moves, breaks and lies (threats F1–F9).

mod faults;
mod flat;
mod hostile;
mod indexes;
mod patched;
mod pool;
mod resume;
mod several;
mod suites;

use assay::domain::{Coded as _, Timestamp};
use assay::upstream::Followed;

use crate::support::archive::{Archive, Mirror, key, noon};
use crate::support::http::{Trick, Upstream};

fn hours(count: i64) -> Timestamp {
    noon().plus(count * 3600)
}

#[test]
fn a_first_snapshot_keeps_every_index_and_the_next_run_makes_one_request() {
    let signer = key("upstream");
    let upstream = Upstream::start();
    let archive = Archive::new(hours(-1));
    upstream.set(archive.files(&signer));
    let mirror = Mirror::of(&signer);
    let record = mirror.accept(&upstream.url(), noon());

    let state = &record.suites[0];
    let shown = |kept| {
        let files = state.indexes.iter().filter(move |index| index.kept == kept);
        files.map(|index| index.path.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(
        shown(true),
        [
            "main/binary-amd64/Packages.gz",
            "main/binary-amd64/Packages.xz",
            "main/binary-amd64/Release",
            "main/i18n/Translation-en.gz",
            "main/i18n/Translation-en.xz",
            "main/source/Sources.gz",
            "main/source/Sources.xz",
        ]
    );
    assert_eq!(
        shown(false),
        [
            "main/binary-amd64/Packages",
            "main/i18n/Translation-en",
            "main/source/Sources"
        ]
    );
    let architectures: Vec<_> = state.architectures.iter().map(ToString::to_string).collect();
    assert_eq!(architectures, ["all", "amd64"]);
    let fields: Vec<_> = state.fields.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(fields, ["Origin", "Label", "Suite", "Codename", "Description"]);
    let signed = state.upstream.as_ref().unwrap();
    assert_eq!(signed.signers, [signer.fingerprint().clone()]);
    assert_eq!(signed.date, hours(-1));

    let visible = mirror.visible();
    let files = archive.files(&signer);
    let inrelease = format!("foundry/dists/tin/{}/upstream/InRelease", record.serial);
    assert_eq!(visible[&inrelease], files["dists/tin/InRelease"]);
    assert_eq!(
        visible["foundry/dists/tin/main/binary-amd64/Packages.xz"],
        files["dists/tin/main/binary-amd64/Packages.xz"]
    );
    let asked = upstream.requests();
    assert!(
        asked.iter().skip(1).all(|path| path.contains("/by-hash/SHA256/")),
        "{asked:?}"
    );

    assert_eq!(mirror.follow(&upstream.url(), hours(1)).unwrap(), Followed::Unchanged);
    assert_eq!(upstream.requests(), ["dists/tin/InRelease"]);
}

#[test]
fn a_change_fetches_only_what_changed() {
    let signer = key("upstream");
    let upstream = Upstream::start();
    upstream.set(Archive::new(hours(-1)).files(&signer));
    let mirror = Mirror::of(&signer);
    mirror.accept(&upstream.url(), noon());
    upstream.requests();
    let second = Archive::new(hours(1)).with("pool/main/a/alloy/alloy_2_amd64.deb", b"alloy 2");
    upstream.set(second.files(&signer));
    let record = mirror.accept(&upstream.url(), hours(2));
    assert_eq!(record.n, 2);
    let asked = upstream.requests();
    assert_eq!(asked.len(), 3, "{asked:?}");
    assert!(
        asked.iter().skip(1).all(|path| path.contains("binary-amd64")),
        "{asked:?}"
    );
}

#[test]
fn a_site_that_wants_more_gets_it_from_the_same_release() {
    let signer = key("upstream");
    let upstream = Upstream::start();
    upstream.set(Archive::new(hours(-1)).files(&signer));
    let mut mirror = Mirror::of(&signer);
    mirror.config.languages.clear();
    mirror.accept(&upstream.url(), noon());
    mirror.config.languages.push("en".to_owned());
    let record = mirror.accept(&upstream.url(), hours(1));
    assert!(
        record.suites[0]
            .indexes
            .iter()
            .any(|index| index.path.as_str() == "main/i18n/Translation-en.xz")
    );
}

#[test]
fn an_upstream_that_moves_meanwhile_is_followed_once_more() {
    let signer = key("upstream");
    let upstream = Upstream::start();
    let new = Archive::new(hours(1)).with("pool/main/a/alloy/alloy_2_amd64.deb", b"alloy 2");
    // The old indexes are gone at the moment when the first of them is asked for.
    upstream.set(Archive::new(hours(-1)).with("pool/x_0_amd64.deb", b"0").files(&signer));
    upstream.trick("dists/tin/InRelease", Trick::Then(new.files(&signer)));
    let mirror = Mirror::of(&signer);
    let record = mirror.accept(&upstream.url(), hours(2));
    assert_eq!(record.suites[0].upstream.as_ref().unwrap().date, hours(1));
}

#[test]
fn plain_names_do_when_there_is_no_by_hash_and_a_weak_server_is_asked_again() {
    let signer = key("upstream");
    let upstream = Upstream::start();
    let mut files = Archive::new(hours(-1)).files(&signer);
    files.retain(|path, _| !path.contains("/by-hash/"));
    upstream.set(files);
    upstream.trick("Packages.xz", Trick::StatusFor(503, 2));
    let mirror = Mirror::of(&signer);
    mirror.accept(&upstream.url(), noon());
    let packages = |path: &&String| path.ends_with("main/binary-amd64/Packages.xz");
    assert_eq!(upstream.requests().iter().filter(packages).count(), 3);
    let other = Archive::new(hours(1)).field("Acquire-By-Hash", "no");
    upstream.set(other.files(&signer));
    mirror.accept(&upstream.url(), hours(2));
    assert!(upstream.requests().iter().all(|path| !path.contains("by-hash")));
}

#[test]
fn a_renamed_suite_needs_a_persons_word() {
    let signer = key("upstream");
    let upstream = Upstream::start();
    upstream.set(Archive::new(hours(-1)).files(&signer));
    let mirror = Mirror::of(&signer);
    let previous = mirror.accept(&upstream.url(), noon());
    upstream.set(Archive::new(hours(1)).field("Suite", "oldstable").files(&signer));
    assert_eq!(mirror.follow(&upstream.url(), hours(2)).unwrap_err().code(), "E-UP-014");
    let client = assay::upstream::Client::new(&upstream.url(), Mirror::limits()).unwrap();
    let what = assay::upstream::Follow {
        client: &client,
        archive: &mirror.name,
        config: &mirror.config,
        keyring: &mirror.keyring,
        previous: Some(&previous),
        earlier: &[],
        allow_release_info_change: true,
    };
    let hidden = assay::host::Progress::hidden();
    let followed = assay::upstream::follow(&what, mirror.store.as_ref(), hours(2), &hidden).unwrap();
    let Followed::Changed(states, _) = followed else {
        panic!()
    };
    assert!(states[0].fields.contains(&("Suite".to_owned(), "oldstable".to_owned())));
}

#[test]
fn a_suite_that_was_let_go_and_is_followed_again_is_not_older() {
    let signer = key("upstream");
    let upstream = Upstream::start();
    upstream.set(Archive::new(hours(-1)).files(&signer));
    let mirror = Mirror::of(&signer);
    let tin = mirror.accept(&upstream.url(), noon());
    // The next snapshot is without it.
    mirror.publish(Vec::new(), hours(1));
    let chain = assay::snapshot::Chain::load(mirror.store.as_ref(), &mirror.name).unwrap();
    let (record, state) = chain
        .last_with(mirror.store.as_ref(), &tin.suites[0].suite)
        .unwrap()
        .unwrap();
    assert_eq!((record.n, &state), (1, &tin.suites[0]));

    upstream.set(Archive::new(hours(-2)).files(&signer));
    let client = assay::upstream::Client::new(&upstream.url(), Mirror::limits()).unwrap();
    let what = assay::upstream::Follow {
        client: &client,
        archive: &mirror.name,
        config: &mirror.config,
        keyring: &mirror.keyring,
        previous: chain.latest(),
        earlier: &[state],
        allow_release_info_change: false,
    };
    let hidden = assay::host::Progress::hidden();
    let said = assay::upstream::follow(&what, mirror.store.as_ref(), hours(2), &hidden).unwrap_err();
    assert_eq!(said.code(), "E-UP-010", "{said}");
}

/// The same files with Release and Release.gpg in the place of InRelease.
fn detached(archive: &Archive, signer: &assay::trust::ArchiveKey) -> std::collections::BTreeMap<String, Vec<u8>> {
    let mut files = archive.files(signer);
    files.remove("dists/tin/InRelease");
    let text = archive.release(signer);
    let signature = signer.detach(&text, archive.date).unwrap();
    files.insert("dists/tin/Release".to_owned(), text);
    files.insert("dists/tin/Release.gpg".to_owned(), signature);
    files
}

#[test]
fn an_upstream_without_inrelease_is_followed_by_its_detached_signature() {
    let signer = key("upstream");
    let upstream = Upstream::start();
    let first = Archive::new(hours(-1));
    let files = detached(&first, &signer);
    upstream.set(files.clone());
    let mirror = Mirror::of(&signer);
    let record = mirror.accept(&upstream.url(), noon());
    assert!(record.suites[0].upstream.as_ref().unwrap().release_gpg.is_some());
    let visible = mirror.visible();
    for name in ["Release", "Release.gpg"] {
        let ours = format!("foundry/dists/tin/{}/upstream/{name}", record.serial);
        assert_eq!(visible[&ours], files[&format!("dists/tin/{name}")]);
    }
    assert_eq!(mirror.follow(&upstream.url(), hours(1)).unwrap(), Followed::Unchanged);
    assert_eq!(indexes::problems(&mirror, &signer), []);

    // The same state in the other form is no second state.
    upstream.set(first.files(&signer));
    let record = mirror.accept(&upstream.url(), hours(1));
    assert_eq!(record.suites[0].upstream.as_ref().unwrap().release_gpg, None);
    assert_eq!(indexes::problems(&mirror, &signer), []);
}

#[test]
fn s8_an_upstream_that_had_an_inrelease_keeps_to_that_form() {
    let signer = key("upstream");
    let upstream = Upstream::start();
    upstream.set(Archive::new(hours(-1)).files(&signer));
    let mirror = Mirror::of(&signer);
    mirror.accept(&upstream.url(), noon());
    // As well signed, and newer; but whoever stands between could as well hide a newer InRelease.
    let newer = Archive::new(hours(1)).with("pool/main/a/alloy/alloy_2_amd64.deb", b"alloy 2");
    upstream.set(detached(&newer, &signer));
    let said = mirror.follow(&upstream.url(), hours(2)).unwrap_err();
    assert_eq!(
        (said.code(), said.to_string().contains("InRelease")),
        ("E-UP-035", true),
        "{said}"
    );
    upstream.set(newer.files(&signer));
    mirror.accept(&upstream.url(), hours(2));
}

#[test]
fn hiding_inrelease_brings_nothing_old_nor_unsigned() {
    let signer = key("upstream");
    let upstream = Upstream::start();
    upstream.set(detached(&Archive::new(hours(-1)), &signer));
    let mirror = Mirror::of(&signer);
    mirror.accept(&upstream.url(), noon());
    let code = |files| {
        upstream.set(files);
        mirror.follow(&upstream.url(), hours(2)).unwrap_err().code()
    };
    assert_eq!(code(detached(&Archive::new(hours(-2)), &signer)), "E-UP-010");
    let other = Archive::new(hours(-1)).with("pool/main/e/evil/evil_1_amd64.deb", b"evil");
    assert_eq!(code(detached(&other, &signer)), "E-UP-011");
    assert_eq!(code(detached(&Archive::new(hours(1)), &key("evil"))), "E-UP-009");
    let mut unsigned = detached(&Archive::new(hours(1)), &signer);
    unsigned.remove("dists/tin/Release.gpg");
    assert_eq!(code(unsigned), "E-UP-004");
    // A bad InRelease is not forgiven for a good pair.
    let mut both = detached(&Archive::new(hours(1)), &signer);
    both.insert("dists/tin/InRelease".to_owned(), b"Origin: Foundry\n".to_vec());
    assert_eq!(code(both), "E-UP-009");
}
