//! `verify` on a mirror: everything is what upstream signed.

use assay::domain::{Digest, Timestamp};
use assay::host::Progress;
use assay::publish::{self, ReleaseSigner as _};
use assay::snapshot::{Chain, EditionName, Marks, Says, TagRecord};
use assay::store::Key;
use assay::trust::{Ed25519Key, Keyring};
use assay::verify::{Anchor, AnchorKind, Anchors, Report, fsck, verify, verify_against_upstream};

use crate::support::archive::{Archive, Mirror, key, noon};
use crate::support::http::Upstream;
use crate::support::repository::made;

/// What a verifier trusts of a mirror.
fn anchors(mirror: &Mirror) -> Anchors {
    let certificate = mirror.ours.certificate_armored().unwrap();
    let anchor = Anchor {
        public_url: Some("http://127.0.0.1:1".parse().unwrap()),
        name: mirror.name.clone(),
        keyring: Keyring::parse(certificate.as_bytes()).unwrap(),
        kind: AnchorKind::Mirror {
            config: Box::new(mirror.config.clone()),
            upstream: mirror.keyring.clone(),
            threshold: 1,
        },
    };
    Anchors {
        archives: vec![anchor],
        imports: None,
        gate: Ed25519Key::generate().public(),
    }
}

fn named(report: Report) -> Vec<(String, &'static str)> {
    let problems = report.problems.into_iter();
    problems.map(|problem| (problem.object, problem.code)).collect()
}

/// What a verifier finds in a mirror's store: objects and codes.
fn problems(mirror: &Mirror, now: Timestamp) -> Vec<(String, &'static str)> {
    named(verify(mirror.store.as_ref(), &anchors(mirror), now, &Progress::hidden()).unwrap())
}

fn against_upstream(mirror: &Mirror) -> Report {
    verify_against_upstream(mirror.store.as_ref(), &anchors(mirror), &Progress::hidden()).unwrap()
}

/// One key may sign several archives, whose suites have one name: only Origin and Label tell them apart.
#[test]
fn another_archive_of_the_same_upstream_key_is_not_this_one() {
    let signer = key("upstream");
    let upstream = Upstream::start();
    upstream.set(Archive::new(noon().plus(-3600)).files(&signer));
    let mut mirror = Mirror::of(&signer);
    let record = mirror.accept(&upstream.url(), noon());
    assert_eq!(named(against_upstream(&mirror)), []);
    mirror.config.label = "Smithy".to_owned();
    let found = [(format!("state/foundry/{}.json", record.n), "V-RELEASE")];
    assert_eq!(named(against_upstream(&mirror)), found);
    assert_eq!(problems(&mirror, noon()), found);
}

/// Nobody signs two texts of one Date: whoever mirrors this archive would take it for an attack.
#[test]
fn another_public_url_is_said_by_a_renewal_alone() {
    let signer = key("upstream");
    let upstream = Upstream::start();
    upstream.set(Archive::new(noon().plus(-3600)).files(&signer));
    let mirror = Mirror::of(&signer);
    let record = mirror.accept(&upstream.url(), noon());
    let (store, before) = (mirror.store.as_ref(), mirror.visible());
    let mut anchors = anchors(&mirror);
    let url = "https://apt.example.org";
    anchors.archives[0].public_url = Some(url.parse().unwrap());
    let found = || verify(store, &anchors, noon().plus(60), &Progress::hidden()).unwrap();
    let (old, new) = (noon(), noon().plus(60));
    for public_url in ["http://127.0.0.1:1", url] {
        let published = publish::publish(store, &mirror.name, &mirror.ours, public_url).unwrap();
        assert_eq!(published.former_url, public_url == url);
        assert_eq!(mirror.visible(), before, "{public_url}");
        let problems = found().problems;
        assert!(!problems.is_empty());
        for problem in problems {
            assert_eq!(problem.code, "V-RELEASE", "{}", problem.why);
            assert!(
                problem.why.contains("`assay snapshot renew` says it anew"),
                "{}",
                problem.why
            );
        }
    }
    let chain = Chain::load(store, &mirror.name).unwrap();
    let again = publish::renew(store, &chain, &record, false, made("r", new), &mirror.ours, url).unwrap();
    assert!(!again.former_url && new > old);
    assert_eq!(found().problems, []);
}

#[test]
fn a_snapshot_that_names_nothing_signed_by_upstream_is_named() {
    let signer = key("upstream");
    let upstream = Upstream::start();
    upstream.set(Archive::new(noon().plus(-3600)).files(&signer));
    let mirror = Mirror::of(&signer);
    let good = mirror.accept(&upstream.url(), noon());
    assert_eq!(problems(&mirror, noon()), []);

    // What a thief of our own key could publish as Debian's: the record is signed, the hashes agree.
    let mut suites = good.suites;
    suites[0].upstream = None;
    let later = noon().plus(60);
    mirror.publish(suites, later);
    assert_eq!(
        problems(&mirror, later),
        [("state/foundry/2.json".to_owned(), "V-UPSTREAM")]
    );
}

/// Whoever has our key alone gives a mirror no other name, and no suite what upstream signed for another.
#[test]
fn a_mirror_has_upstreams_names_and_each_suite_its_own_release() {
    let signer = key("upstream");
    let upstream = Upstream::start();
    upstream.set(Archive::new(noon().plus(-3600)).files(&signer));
    let mirror = Mirror::of(&signer);
    let good = mirror.accept(&upstream.url(), noon());
    let mut suites = good.suites.clone();
    for (name, value) in &mut suites[0].fields {
        if name == "Label" {
            "Foundry-Security".clone_into(value);
        }
    }
    let later = noon().plus(60);
    mirror.publish(suites, later);
    let label = problems(&mirror, later);
    assert!(label.contains(&("tin".to_owned(), "V-UPSTREAM")), "{label:?}");
    assert!(
        label.contains(&("state/foundry/2.json".to_owned(), "V-RELEASE")),
        "{label:?}"
    );
}

/// Nobody who has our key alone serves upstream's state of last week as today's.
#[test]
fn an_upstream_state_that_is_older_than_the_one_before_is_named() {
    let signer = key("upstream");
    let upstream = Upstream::start();
    upstream.set(Archive::new(noon().plus(-7200)).files(&signer));
    let mirror = Mirror::of(&signer);
    let old = mirror.accept(&upstream.url(), noon());
    upstream.set(Archive::new(noon().plus(-3600)).files(&signer));
    mirror.accept(&upstream.url(), noon().plus(60));
    let later = noon().plus(120);
    assert_eq!(problems(&mirror, later), []);
    mirror.publish(old.suites, later);
    assert_eq!(
        problems(&mirror, later),
        [("state/foundry/3.json".to_owned(), "V-UPSTREAM")]
    );
}

/// A mirror with two snapshots, of which the first is also a tag, and the second was renewed.
fn tagged(upstream: &Upstream) -> Mirror {
    let signer = key("upstream");
    upstream.set(Archive::new(noon().plus(-7200)).files(&signer));
    let mirror = Mirror::of(&signer);
    let first = mirror.accept(&upstream.url(), noon());
    let tagging = publish::Tagging {
        tag: &"t1".parse().unwrap(),
        of: &first,
        suites: first.suites.clone(),
        partial: false,
    };
    let (store, url) = (mirror.store.as_ref(), "http://127.0.0.1:1");
    publish::tag(store, tagging, made("t", noon()), &mirror.ours, url).unwrap();
    let newer = Archive::new(noon().plus(-3600)).with("pool/main/b/brass/brass_1_amd64.deb", b"brass 1");
    upstream.set(newer.files(&signer));
    let second = mirror.accept(&upstream.url(), noon().plus(60));
    let chain = Chain::load(store, &mirror.name).unwrap();
    let renewed = made("r", noon().plus(120));
    publish::renew(store, &chain, &second, true, renewed, &mirror.ours, url).unwrap();
    mirror
}

fn at(name: &str) -> Key {
    Key::new(name).unwrap()
}

fn delete(mirror: &Mirror, prefix: &str) {
    let found = mirror.store.list(prefix).unwrap();
    assert!(!found.is_empty(), "{prefix}");
    found.iter().for_each(|meta| mirror.store.delete(&meta.key).unwrap());
}

/// Has another package in a folder of `dists`, signed with the site's own key.
fn forge(mirror: &Mirror, folder: &str) {
    for (file, bytes) in forged(mirror) {
        mirror.store.replace(&at(&format!("{folder}/{file}")), &bytes).unwrap();
    }
}

fn forged(mirror: &Mirror) -> [(String, Vec<u8>); 5] {
    let index = b"Package: evil\nVersion: 9\nArchitecture: amd64\nFilename: pool/e.deb\nSize: 1\n\n";
    let Digest { sha256, size } = Digest::of(index);
    let text = format!("Suite: stable\nCodename: tin\nSHA256:\n {sha256} {size} main/binary-amd64/Packages\n");
    let signed = mirror.ours.sign(text.as_bytes(), noon()).unwrap();
    [
        ("InRelease".to_owned(), signed.inrelease),
        ("Release".to_owned(), text.into_bytes()),
        ("Release.gpg".to_owned(), signed.release_gpg),
        ("main/binary-amd64/Packages".to_owned(), index.to_vec()),
        (format!("main/binary-amd64/by-hash/SHA256/{sha256}"), index.to_vec()),
    ]
}

/// A web server on the store's folder hands out every file in it, also where the store itself has no names.
#[test]
fn a_repository_in_the_state_or_in_a_hidden_folder_is_named() {
    let upstream = Upstream::start();
    let mirror = tagged(&upstream);
    let root = mirror.store.local_path(&at("state/foundry/1.json")).unwrap();
    let root = root.ancestors().nth(3).unwrap().to_owned();
    let text = "0".repeat(64);
    let cases = [
        ("state/dists/sid", "state/dists/sid/InRelease"),
        ("state/x/y/dists/sid", "state/x/y/dists/sid/InRelease"),
        (
            "state/foundry/ledger/dists/sid",
            "state/foundry/ledger/dists/sid/InRelease",
        ),
        ("state/foundry/upstream", "state/foundry/upstream/InRelease"),
        (&format!("state/foundry/waiting/signed/{text}"), ""),
        ("foundry/any/upstream", "foundry/any/upstream/InRelease"),
        ("foundry/.x/dists/sid", "foundry/.x"),
        ("foundry/dists/.sid", "foundry/dists/.sid"),
        ("state/.x/dists/sid", "state/.x"),
        (".x/dists/sid", ".x"),
        (".tmp-writes/dists/sid", ".tmp-writes/dists"),
        (".tmp-writes/.tmp-1-1-1/dists/sid", ".tmp-writes/.tmp-1-1-1"),
        ("", "InRelease"),
    ];
    for (folder, first) in cases {
        for (file, bytes) in forged(&mirror) {
            let path = root.join(folder).join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
        let all = [named(against_upstream(&mirror)), problems(&mirror, noon().plus(180))];
        for found in &all {
            let said = found
                .iter()
                .any(|(object, code)| *code == "V-UNNAMED" && (object == first || first.is_empty()));
            // What another machine signed waits there without an index: apt finds nothing in it.
            assert!(said || (first.is_empty() && found == &all[0]), "{folder}: {found:?}");
        }
        for (file, _) in forged(&mirror) {
            let path = root.join(folder).join(file);
            std::fs::remove_file(&path).unwrap();
            let above = path.ancestors().skip(1).take_while(|above| *above != root);
            let _ = above.take_while(|above| std::fs::remove_dir(above).is_ok()).count();
        }
        let temp = root.join(".tmp-writes");
        std::fs::create_dir_all(temp).unwrap();
    }
    std::fs::write(root.join(".tmp-writes/.tmp-1-2-3"), "being written").unwrap();
    assert_eq!(named(against_upstream(&mirror)), []);
    assert_eq!(problems(&mirror, noon().plus(180)), []);
}

#[test]
fn what_no_run_of_ours_writes_in_the_state_is_named() {
    let upstream = Upstream::start();
    let mirror = tagged(&upstream);
    for name in [
        "signatures/index.html",
        "filled/zz",
        "working/zz",
        "renewals/1/zz",
        "ledger/web/x",
    ] {
        let key = at(&format!("state/foundry/{name}"));
        mirror.store.create(&key, b"<html>").unwrap();
        let found = problems(&mirror, noon().plus(180));
        assert!(found.contains(&(key.to_string(), "V-UNNAMED")), "{name}: {found:?}");
        mirror.store.delete(&key).unwrap();
    }
    assert_eq!(problems(&mirror, noon().plus(180)), []);
}

/// A client that has the InRelease of a day in its sources by hash asks for it whatever was renewed since.
#[test]
fn what_a_renewal_took_the_place_of_stays_or_is_missed() {
    let upstream = Upstream::start();
    let mirror = tagged(&upstream);
    let (store, chain) = (
        mirror.store.as_ref(),
        Chain::load(mirror.store.as_ref(), &mirror.name).unwrap(),
    );
    let serial = chain.latest().unwrap().serial.clone();
    let folder = format!("foundry/dists/tin/{serial}/");
    let now = store.get(&at(&format!("{folder}InRelease")), 1 << 20).unwrap();
    let now = format!("{folder}by-hash/SHA256/{}", Digest::of(&now).sha256);
    let all = store.list(&format!("{folder}by-hash/SHA256")).unwrap();
    let before: Vec<_> = all.iter().filter(|meta| meta.key.as_str() != now).collect();
    assert_eq!((all.len(), before.len()), (2, 1));
    store.delete(&before[0].key).unwrap();
    let lost = [(before[0].key.to_string(), "V-MISSING")];
    assert_eq!(problems(&mirror, noon().plus(180)), lost);
    let damage = fsck(store, &anchors(&mirror), noon().plus(180), &Progress::hidden()).unwrap();
    assert_eq!(named(damage), lost);
}

/// Whoever has our key and the store, and takes a record away, publishes nothing that is then called verified.
#[test]
fn what_is_published_without_a_record_is_named_whoever_signed_it() {
    let upstream = Upstream::start();
    let head = "foundry/dists/tin";
    let cases = [
        ("state/foundry/1.json", head, "state/foundry/1.json"),
        (
            "state/foundry/tags/t1.json",
            "foundry/dists/tin/t1",
            "foundry/dists/tin/t1/InRelease",
        ),
        ("state/foundry", head, "foundry/dists/tin/InRelease"),
        ("", "foundry/dists/tin/evil", "foundry/dists/tin/evil/InRelease"),
        ("", "foundry/dists/evil", "foundry/dists/evil/InRelease"),
        ("", "foundry/evil", "foundry/evil/InRelease"),
        ("", "evil/dists/tin", "evil/dists/tin/InRelease"),
    ];
    for (lost, folder, named_as) in cases {
        let mirror = tagged(&upstream);
        assert_eq!(named(against_upstream(&mirror)), [], "honest");
        match lost {
            "" => {}
            "state/foundry" => delete(&mirror, lost),
            _ => mirror.store.delete(&at(lost)).unwrap(),
        }
        forge(&mirror, folder);
        let found = named(against_upstream(&mirror));
        assert!(
            found.iter().any(|(object, _)| object == named_as),
            "{lost} {folder}: {found:?}"
        );
        assert_ne!(problems(&mirror, noon().plus(180)), [], "verify: {lost} {folder}");
    }
    // Release and Release.gpg are what a client asks for next.
    let mirror = tagged(&upstream);
    forge(&mirror, "foundry/dists/evil");
    mirror.store.delete(&at("foundry/dists/evil/InRelease")).unwrap();
    let release = [("foundry/dists/evil/Release".to_owned(), "V-UNNAMED")];
    assert_eq!(named(against_upstream(&mirror)), release);
    delete(&mirror, "foundry/dists/evil");
    mirror
        .store
        .replace(&at("foundry/dists/tin/Release"), b"Suite: stable\n")
        .unwrap();
    let release = [("foundry/dists/tin/Release".to_owned(), "V-RELEASE")];
    assert_eq!(named(against_upstream(&mirror)), release);
}

/// Puts another text in the place of a head's Release, signed with the site's own key as if long ago.
fn resign(mirror: &Mirror, text: &str) {
    let signed = mirror.ours.sign(text.as_bytes(), noon()).unwrap();
    let (inrelease, head) = (Digest::of(&signed.inrelease).sha256, "foundry/dists/tin");
    let files: [(&str, &[u8]); 4] = [
        ("InRelease", &signed.inrelease),
        (&format!("by-hash/SHA256/{inrelease}"), &signed.inrelease),
        ("Release", text.as_bytes()),
        ("Release.gpg", &signed.release_gpg),
    ];
    for (file, bytes) in files {
        mirror.store.replace(&at(&format!("{head}/{file}")), bytes).unwrap();
    }
}

/// Our own key says nothing of a suite that upstream did not, and leaves out nothing.
#[test]
fn a_head_that_our_key_signed_with_other_words_than_upstreams_is_named() {
    let upstream = Upstream::start();
    let mirror = tagged(&upstream);
    let honest = mirror.store.get(&at("foundry/dists/tin/Release"), 1 << 20).unwrap();
    let honest = String::from_utf8(honest).unwrap();
    let line = |start: &str| {
        let found = honest.lines().find(|line| line.contains(start));
        format!("{}\n", found.unwrap_or_else(|| panic!("{start}: {honest}")))
    };
    let translation = line("main/i18n/Translation-en");
    let with = |added: &str| honest.replace("SHA256:", &format!("{added}\nSHA256:"));
    let cases = [
        with("NotAutomatic: yes"),
        with("ButAutomaticUpgrades: yes"),
        with("Signed-By: 0123456789ABCDEF0123456789ABCDEF01234567"),
        with("Changelogs: http://evil.example/@CHANGEPATH@"),
        with("Snapshots: http://127.0.0.1:1/foundry/@SNAPSHOTID@/"),
        honest.replace("Origin: Foundry", "Origin: Debian"),
        honest.replace(&line("Valid-Until: "), ""),
        honest.replace(&line("Valid-Until: "), "Valid-Until: Fri, 01 Jan 2100 00:00:00 UTC\n"),
        honest.replace(&line("Date: "), "Date: Fri, 01 Jan 2100 00:00:00 UTC\n"),
        honest.replace(
            &line("Snapshots: "),
            "Snapshots: http://evil.example/foundry/@SNAPSHOTID@/\n",
        ),
        honest.replace(
            &line("Snapshots: "),
            "Snapshots: http://127.0.0.1:1/other/@SNAPSHOTID@/\n",
        ),
        honest.replace(&translation, ""),
    ];
    let head = [("foundry/dists/tin/InRelease".to_owned(), "V-RELEASE")];
    for text in cases {
        assert_ne!(text, honest);
        resign(&mirror, &text);
        let report = against_upstream(&mirror);
        assert_eq!(named(report.clone()), head, "{text}");
    }
    resign(&mirror, &honest);
    let report = against_upstream(&mirror);
    assert_eq!((report.partial_suites, named(report)), (0, vec![]));

    // A record that leaves the index out, too, makes the suite a partial one; that is said.
    let mut suites = mirror.latest().unwrap().suites;
    suites[0]
        .indexes
        .retain(|index| !index.path.as_str().contains("Translation-en"));
    mirror.publish(suites, noon().plus(180));
    let report = against_upstream(&mirror);
    let lacking: Vec<String> = report.lacking.values().flatten().map(ToString::to_string).collect();
    assert!(
        !lacking.is_empty() && lacking.iter().all(|path| path.contains("Translation-en")),
        "{lacking:?}"
    );
    assert_eq!((report.partial_suites, named(report)), (1, vec![]));
}

/// What is let go, dropped or not there yet is no forgery; but what a dropped suite still shows is judged.
#[test]
fn what_went_on_purpose_is_not_missed_and_what_a_dropped_suite_shows_is_judged() {
    let upstream = Upstream::start();
    let mirror = tagged(&upstream);
    let store = mirror.store.as_ref();
    let tags = TagRecord::all(store, &mirror.name).unwrap();
    let first = Chain::load(store, &mirror.name).unwrap().record(store, 1).unwrap();
    let marks = Marks::load(store, &mirror.name).unwrap();
    let names = vec![
        EditionName::Serial(first.serial.clone()),
        EditionName::Tag(tags[0].tag.clone()),
    ];
    let mark = marks.next(&mirror.name, Says::Gone { names }, made("gc", noon()));
    publish::commit(store, &mark, &mirror.ours).unwrap();
    delete(&mirror, "foundry/dists/tin/t1");
    delete(&mirror, &format!("foundry/dists/tin/{}", first.serial));
    let report = against_upstream(&mirror);
    assert_eq!((report.empty.len(), named(report)), (0, vec![]));

    // The newest snapshot is of another suite: `dists/tin/` stays as it was.
    let mut other = mirror.latest().unwrap().suites;
    other[0].suite = "iron".parse().unwrap();
    other[0].upstream = None;
    other[0].indexes = Vec::new();
    let chain = Chain::load(store, &mirror.name).unwrap();
    let record = chain.next(store, other, made("other", noon().plus(180))).unwrap();
    publish::commit(store, &record, &mirror.ours).unwrap();
    let shown = |found: &[(String, &str)]| found.iter().any(|(object, _)| object == "foundry/dists/tin/InRelease");
    assert!(!shown(&named(against_upstream(&mirror))));
    forge(&mirror, "foundry/dists/tin");
    assert!(shown(&named(against_upstream(&mirror))));

    let none = Mirror::of(&key("upstream"));
    let report = against_upstream(&none);
    assert_eq!((report.empty.clone(), named(report)), (vec![none.name.clone()], vec![]));
}

/// A run that was killed between its record and what clients read is named with the way to end it.
#[test]
fn an_interrupted_run_is_told_how_to_be_finished() {
    let upstream = Upstream::start();
    let mirror = tagged(&upstream);
    let store = mirror.store.as_ref();
    let chain = Chain::load(store, &mirror.name).unwrap();
    let first = chain.record(store, 1).unwrap();
    let record = chain
        .next(store, first.suites, made("killed", noon().plus(180)))
        .unwrap();
    publish::commit(store, &record, &mirror.ours).unwrap();
    let report = against_upstream(&mirror);
    let ours = report
        .problems
        .iter()
        .filter(|problem| problem.object.starts_with("foundry/dists/"));
    let unhelpful: Vec<_> = ours
        .filter(|problem| !problem.why.contains("run `assay publish foundry`"))
        .collect();
    assert!(!report.problems.is_empty() && unhelpful.is_empty(), "{unhelpful:?}");
}
