//! Partial tags, verified: what was put in, changed or left out of the proof is named.

use std::collections::BTreeMap;

use assay::domain::{Digest, RelPath};
use assay::format::compress::{Compression, compress};
use assay::format::manifest::Manifest;
use assay::host::Progress;
use assay::publish::{Tagging, select_packages, tag};
use assay::snapshot::{Chain, EditionName, IndexFile, Marks, Says, SuiteState, TagRecord, index_key};
use assay::store::Key;
use assay::trust::{ArchiveKey, Ed25519Key, Keyring};
use assay::verify::{Anchor, AnchorKind, Anchors, Report, verify, verify_against_upstream};

use super::Published;
use crate::support::archive::{Archive, Mirror, key, noon};
use crate::support::http::Upstream;
use crate::support::repository::{made, now};

/// A mirror with a partial tag `5.15.1` of `alloy` 1.
struct Tagged {
    mirror: Mirror,
    signer: ArchiveKey,
}

impl Tagged {
    fn new(change: impl FnOnce(&mut SuiteState, &Mirror)) -> Self {
        let signer = key("upstream");
        let upstream = Upstream::start();
        let mirror = Mirror::of(&signer);
        let archive = Archive::new(noon().plus(-3600))
            .with("pool/zz_1_amd64.deb", b"z")
            .source("alloy", "1");
        upstream.set(archive.files(&signer));
        let record = mirror.accept(&upstream.url(), noon());
        let manifest = Manifest::parse(b"alloy 1 amd64\n").unwrap();
        let selection = select_packages(mirror.store.as_ref(), vec![record], &manifest).unwrap();
        assert_eq!((selection.missing.len(), selection.unsourced.len()), (0, 0));
        let part = &selection.parts[0];
        assert_eq!(part.pool_files().unwrap().len(), 2);
        let mut suites = part.stage(mirror.store.as_ref()).unwrap();
        change(&mut suites[0], &mirror);
        let tagging = Tagging {
            tag: &"5.15.1".parse().unwrap(),
            of: &part.of,
            suites,
            partial: true,
        };
        tag(
            mirror.store.as_ref(),
            tagging,
            made("t", noon()),
            &mirror.ours,
            "http://127.0.0.1:1",
        )
        .unwrap();
        Self { mirror, signer }
    }

    fn anchors(&self) -> Anchors {
        let keyring = |key: &ArchiveKey| Keyring::parse(key.certificate_armored().unwrap().as_bytes()).unwrap();
        Anchors {
            archives: vec![Anchor {
                public_url: None,
                name: self.mirror.name.clone(),
                keyring: keyring(&self.mirror.ours),
                kind: AnchorKind::Mirror {
                    config: Box::new(self.mirror.config.clone()),
                    upstream: keyring(&self.signer),
                    threshold: 1,
                },
            }],
            imports: None,
            gate: Ed25519Key::generate().public(),
        }
    }

    fn report(&self) -> Vec<(String, &'static str)> {
        let report = verify(self.mirror.store.as_ref(), &self.anchors(), noon(), &Progress::hidden()).unwrap();
        report
            .problems
            .into_iter()
            .map(|problem| (problem.object, problem.code))
            .collect()
    }

    /// What both kinds of verifying say: the same, where upstream is concerned.
    fn problems(&self) -> Vec<(&'static str, String)> {
        let (store, anchors) = (self.mirror.store.as_ref(), self.anchors());
        let problems = |report: Report| -> Vec<(&'static str, String)> {
            report
                .problems
                .into_iter()
                .map(|problem| (problem.code, problem.why))
                .collect()
        };
        let mut all = problems(verify(store, &anchors, noon().plus(120), &Progress::hidden()).unwrap());
        // Nothing was fetched.
        all.retain(|(code, _)| *code != "V-MISSING");
        let proven = problems(verify_against_upstream(store, &anchors, &Progress::hidden()).unwrap());
        assert_eq!(all, proven);
        all
    }
}

/// Gives a suite another text for one of its indexes, in every form.
fn rewrite(state: &mut SuiteState, mirror: &Mirror, path: &str, change: impl FnOnce(String) -> String) {
    let plain = state.indexes.iter().find(|index| index.path.as_str() == path).unwrap();
    let bytes = mirror
        .store
        .get(&index_key(&mirror.name, &state.suite, plain), 1 << 20)
        .unwrap();
    let text = change(String::from_utf8(bytes).unwrap());
    for (ending, compression) in [
        ("", Compression::Plain),
        (".gz", Compression::Gzip),
        (".xz", Compression::Xz),
    ] {
        let bytes = compress(compression, text.as_bytes()).unwrap();
        let index = IndexFile {
            path: RelPath::new(format!("{path}{ending}")).unwrap(),
            digest: Digest::of(&bytes),
            kept: true,
        };
        mirror
            .store
            .create(&index_key(&mirror.name, &state.suite, &index), &bytes)
            .unwrap();
        state.indexes.retain(|other| other.path != index.path);
        state.indexes.push(index);
    }
}

const PACKAGES: &str = "main/binary-amd64/Packages";

#[test]
fn an_honest_tag_is_proven_by_what_upstream_signed() {
    let tagged = Tagged::new(|_, _| ());
    assert_eq!(tagged.problems(), []);
    let record = TagRecord::load(
        tagged.mirror.store.as_ref(),
        &tagged.mirror.name,
        &"5.15.1".parse().unwrap(),
    )
    .unwrap();
    assert!(record.partial);
    let evidence = &record.suites[0].upstream.as_ref().unwrap().indexes;
    assert_eq!(evidence.len(), 2, "the Packages and the Sources that it was taken from");
}

/// A mirror that keeps only some packages has such suites in its snapshots: a tag of it has their proof.
#[test]
fn a_selection_from_a_selection_is_proven_by_the_same_evidence() {
    let tagged = Tagged::new(|_, _| ());
    let mirror = &tagged.mirror;
    let (store, name) = (mirror.store.as_ref(), "5.15.1".parse().unwrap());
    let first = TagRecord::load(store, &mirror.name, &name).unwrap();
    let filtered = mirror.publish(first.suites.clone(), noon().plus(60));
    let manifest = Manifest::parse(b"alloy 1 amd64\n").unwrap();
    let selection = select_packages(store, vec![filtered], &manifest).unwrap();
    let suites = selection.parts[0].stage(store).unwrap();
    assert_eq!(suites[0].upstream, first.suites[0].upstream);
    assert_eq!(suites[0].indexes, first.suites[0].indexes);
    assert_eq!(tagged.problems(), []);
}

#[test]
fn a_flipped_byte_of_the_tag_its_proof_or_its_packages_is_found_and_named() {
    let tagged = Tagged::new(|_, _| ());
    let store = tagged.mirror.store.as_ref();
    let pool: Vec<(Key, Vec<u8>)> = [
        ("pool/main/a/alloy/alloy_1_amd64.deb", &b"alloy 1"[..]),
        ("pool/main/s/alloy/alloy_1.dsc", b"the .dsc of alloy 1"),
    ]
    .map(|(path, bytes)| (Key::pool(&tagged.mirror.name, &path.parse().unwrap()), bytes.to_vec()))
    .into();
    for (key, _) in &pool {
        assert!(tagged.report().contains(&(key.to_string(), "V-MISSING")), "{key}");
    }
    for (key, bytes) in &pool {
        store.create(key, bytes).unwrap();
    }
    assert_eq!(tagged.report(), []);
    let names: Vec<Key> = store
        .list("foundry")
        .unwrap()
        .into_iter()
        .map(|meta| meta.key)
        .collect();
    assert!(names.len() > 30, "{names:?}");
    for name in names {
        let good = store.get(&name, 1 << 20).unwrap();
        let mut bad = good.clone();
        match bad.get_mut(good.len() / 2) {
            Some(byte) => *byte ^= 1,
            None => bad.push(b'x'),
        }
        store.replace(&name, &bad).unwrap();
        let problems = tagged.report();
        assert!(
            problems.iter().any(|(object, _)| object == name.as_str()),
            "{name}: {problems:?}"
        );
        store.replace(&name, &good).unwrap();
    }
    assert_eq!(tagged.report(), []);
}

#[test]
fn a_stanza_that_upstream_did_not_sign_is_named_by_its_package() {
    for (from, to) in [
        ("Version: 1\n", "Version: 2\n"),
        ("Maintainer:", "maintainer:"),
        ("Description: test\n", "Description: test\nDepends: evil\n"),
        (
            "Description: test\n\n",
            "Description: test\n\nPackage: alloy2\nVersion: 1\nArchitecture: amd64\nFilename: pool/alloy2_1_amd64.deb\nSize: 7\nSHA256: 3333333333333333333333333333333333333333333333333333333333333333\n\n",
        ),
    ] {
        let tagged = Tagged::new(|state, mirror| {
            rewrite(state, mirror, PACKAGES, |text| {
                assert!(text.contains(from));
                text.replace(from, to)
            });
        });
        let problems = tagged.problems();
        assert!(
            matches!(problems.as_slice(), [("V-UPSTREAM", why)] if why.contains("the stanza of `alloy")),
            "{to:?}: {problems:?}"
        );
    }
}

/// Nobody has to sign a mark for those who ask for upstream's word alone.
#[test]
fn a_planted_mark_hides_nothing_that_is_published() {
    let tagged = Tagged::new(|state, mirror| {
        rewrite(state, mirror, PACKAGES, |text| {
            text.replace("Version: 1\n", "Version: 2\n")
        });
    });
    let (store, archive) = (tagged.mirror.store.as_ref(), &tagged.mirror.name);
    let newest = Chain::load(store, archive).unwrap().latest().unwrap().serial.clone();
    let names = vec![EditionName::Tag("5.15.1".parse().unwrap()), EditionName::Serial(newest)];
    let mark = Marks::default().next(archive, Says::Gone { names }, made("thief", noon()));
    assay::snapshot::commit(store, &mark).unwrap();
    let report = verify_against_upstream(store, &tagged.anchors(), &Progress::hidden()).unwrap();
    let codes: Vec<&str> = report.problems.iter().map(|problem| problem.code).collect();
    assert_eq!(codes, ["V-UPSTREAM"], "{:?}", report.problems);
}

#[test]
fn a_proof_of_its_own_making_proves_nothing() {
    // Evidence that upstream did not sign.
    let tagged = Tagged::new(|state, mirror| {
        rewrite(state, mirror, PACKAGES, |text| {
            text.replace("Version: 1\n", "Version: 2\n")
        });
        let ours: Vec<IndexFile> = state
            .indexes
            .iter()
            .filter(|i| i.path.as_str().starts_with(PACKAGES))
            .cloned()
            .collect();
        state
            .upstream
            .as_mut()
            .unwrap()
            .indexes
            .extend(ours.into_iter().take(1));
    });
    let problems = tagged.problems();
    assert!(
        matches!(problems.as_slice(), [("V-UPSTREAM", why)] if why.contains("does not list")),
        "{problems:?}"
    );

    // No evidence at all.
    let tagged = Tagged::new(|state, _| state.upstream.as_mut().unwrap().indexes.clear());
    let problems = tagged.problems();
    assert!(matches!(problems.as_slice(), [("V-UPSTREAM", _)]), "{problems:?}");

    // Evidence of another index.
    let tagged = Tagged::new(|state, _| {
        state
            .upstream
            .as_mut()
            .unwrap()
            .indexes
            .retain(|index| !index.path.as_str().contains("Packages"));
    });
    let problems = tagged.problems();
    assert!(
        matches!(problems.as_slice(), [("V-UPSTREAM", why)] if why.contains("`alloy`")),
        "{problems:?}"
    );

    // An index that is neither upstream's nor selected.
    let tagged = Tagged::new(|state, mirror| {
        let contents = b"usr/bin/evil main/alloy\n";
        let index = IndexFile {
            path: RelPath::new("main/Contents-amd64").unwrap(),
            digest: Digest::of(contents),
            kept: true,
        };
        mirror
            .store
            .create(&index_key(&mirror.name, &state.suite, &index), contents)
            .unwrap();
        state.indexes.push(index);
    });
    let problems = tagged.problems();
    assert!(
        matches!(problems.as_slice(), [("V-UPSTREAM", why)] if why.contains("Contents-amd64")),
        "{problems:?}"
    );
}

#[test]
fn clients_that_prefer_another_form_see_the_same_packages() {
    let tagged = Tagged::new(|state, mirror| {
        let bytes = compress(Compression::Gzip, b"").unwrap();
        let gz = state
            .indexes
            .iter_mut()
            .find(|index| index.path.as_str() == format!("{PACKAGES}.gz"))
            .unwrap();
        gz.digest = Digest::of(&bytes);
        let gz = gz.clone();
        mirror
            .store
            .create(&index_key(&mirror.name, &state.suite, &gz), &bytes)
            .unwrap();
    });
    let problems = tagged.problems();
    assert!(
        problems
            .iter()
            .any(|(code, why)| *code == "V-INDEX" && why.contains("other forms")),
        "{problems:?}"
    );
}

#[test]
fn a_partial_tag_of_a_custom_archive_brings_its_decisions() {
    let published = Published::new();
    let site = &published.site;
    let chain = Chain::load(&site.store, &site.archive).unwrap();
    for (name, manifest, packages) in [("some", "hello 1.0\n", 1), ("none", "other 1\n", 0)] {
        let manifest = Manifest::parse(manifest.as_bytes()).unwrap();
        let latest = vec![chain.latest().unwrap().clone()];
        let selection = select_packages(&site.store, latest, &manifest).unwrap();
        assert_eq!(selection.missing.len(), 1 - packages);
        let part = &selection.parts[0];
        let tagging = Tagging {
            tag: &name.parse().unwrap(),
            of: &part.of,
            suites: part.stage(&site.store).unwrap(),
            partial: true,
        };
        tag(
            &site.store,
            tagging,
            made("t", now()),
            &site.archive_key,
            "file:///nowhere",
        )
        .unwrap();
        assert_eq!(
            part.pool_files().unwrap().len(),
            3 * packages,
            "the .deb, the .dsc and the tarball"
        );
    }
    assert_eq!(published.problems(&published.store()), []);
    let decisions = |tag: &str| {
        let path = published
            .store()
            .join(format!("custom/dists/stable/{tag}/provenance/Decisions"));
        std::fs::read_to_string(path).unwrap().lines().count()
    };
    assert_eq!((decisions("some"), decisions("none")), (3, 0));
    let files: BTreeMap<_, _> = select_packages(
        &site.store,
        vec![chain.latest().unwrap().clone()],
        &Manifest::parse(b"hello=1.0\n").unwrap(),
    )
    .unwrap()
    .parts[0]
        .pool_files()
        .unwrap();
    assert!(files.keys().all(|path| path.as_str().starts_with("pool/main/h/hello/")));
}
