//! The full set of indexes: each kept byte for byte, and proven from upstream's signature.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::sync::Arc;

use assay::domain::{Coded as _, Digest, Timestamp};
use assay::format::compress::{Compression, compress};
use assay::host::{Clock, Progress};
use assay::serve::{Overlays, ServeConfig, ServedArchive, Server};
use assay::site::IndexKind;
use assay::snapshot::{Record, SuiteState};
use assay::trust::{ArchiveKey, Ed25519Key, Keyring};
use assay::upstream::Followed;
use assay::verify::{Anchor, AnchorKind, Anchors, verify};

use super::hours;
use crate::support::apt::{Apt, source};
use crate::support::archive::{Archive, Mirror, key, noon};
use crate::support::http::{Trick, Upstream, get};
use crate::support::mirrored::Mirrored;

const IMAGES: &str = "main/installer-amd64/20260101/images";
const CURRENT: &str = "main/installer-amd64/current/images";

/// Everything that Debian's own archive has for one architecture.
fn full() -> Archive {
    let sums = format!(
        "{}  ./netboot/mini.iso\n{}  ./MANIFEST\n",
        Digest::of(b"an image").sha256,
        Digest::of(b"a manifest").sha256
    );
    let mut archive = Archive::new(hours(-1));
    for (path, bytes) in [
        ("main/Contents-amd64.gz", &b"usr/bin/alloy main/alloy\n"[..]),
        ("main/Contents-all.gz", b"usr/share/alloy main/alloy\n"),
        ("main/Contents-source.gz", b"debian/rules alloy\n"),
        ("main/Contents-udeb-amd64.gz", b""),
        ("main/Contents-i386.gz", b"no\n"),
        ("main/binary-all/Packages.gz", b""),
        ("main/cnf/Commands-amd64.gz", b"suite: tin\n"),
        ("main/debian-installer/binary-amd64/Packages.gz", b""),
        ("main/dep11/Components-amd64.yml.gz", b"---\n"),
        ("main/dep11/icons-48x48.tar.gz", b"icons"),
        (&format!("{IMAGES}/SHA256SUMS"), sums.as_bytes()),
        (&format!("{CURRENT}/SHA256SUMS"), sums.as_bytes()),
    ] {
        archive = archive.index(path, bytes);
    }
    for folder in [IMAGES, CURRENT] {
        archive = archive
            .loose(&format!("{folder}/netboot/mini.iso"), b"an image")
            .loose(&format!("{folder}/MANIFEST"), b"a manifest");
    }
    archive
}

fn kept(state: &SuiteState) -> Vec<&str> {
    let kept = state.indexes.iter().filter(|index| index.kept);
    kept.map(|index| index.path.as_str()).collect()
}

/// What a reader says who trusts upstream's key and ours.
pub(super) fn problems(mirror: &Mirror, upstream: &ArchiveKey) -> Vec<(String, &'static str, String)> {
    let keyring = |key: &ArchiveKey| Keyring::parse(key.certificate_armored().unwrap().as_bytes()).unwrap();
    let anchors = Anchors {
        archives: vec![Anchor {
            public_url: None,
            name: mirror.name.clone(),
            keyring: keyring(&mirror.ours),
            kind: AnchorKind::Mirror {
                config: Box::new(mirror.config.clone()),
                upstream: keyring(upstream),
                threshold: 1,
            },
        }],
        imports: None,
        gate: Ed25519Key::generate().public(),
    };
    let now = mirror.latest().unwrap().id.timestamp();
    let report = verify(mirror.store.as_ref(), &anchors, now, &Progress::hidden()).unwrap();
    let problems = report.problems.into_iter();
    problems
        .map(|problem| (problem.object, problem.code, problem.why))
        .collect()
}

#[test]
fn an_image_is_fetched_under_the_name_that_upstream_has_it_under() {
    let (signer, upstream) = (key("upstream"), Upstream::start());
    let image = Digest::of(b"an image").sha256;
    let sums = format!("{image}  ./hd-media/mini.iso\n{image}  ./netboot/mini.iso\n");
    let archive = Archive::new(hours(-1)).index(&format!("{IMAGES}/SHA256SUMS"), sums.as_bytes());
    let archive = archive.loose(&format!("{IMAGES}/netboot/mini.iso"), b"an image");
    upstream.set(archive.files(&signer));
    let mirror = Mirror::of(&signer);
    let record = mirror.accept(&upstream.url(), noon());
    for name in ["hd-media", "netboot"] {
        let path = format!("{IMAGES}/{name}/mini.iso");
        assert!(kept(&record.suites[0]).contains(&path.as_str()), "{path}");
        assert_eq!(mirror.visible()[&format!("foundry/dists/tin/{path}")], b"an image");
    }
    assert_eq!(problems(&mirror, &signer), []);
}

#[test]
fn a_name_that_becomes_a_folder_or_was_one_is_refused_before_anything_is_made() {
    let (signer, upstream) = (key("upstream"), Upstream::start());
    for (before, after) in [("a/b", "a"), ("a", "a/b")] {
        let with = |name: &str, date| {
            let sums = format!("{}  ./{name}\n", Digest::of(b"an image").sha256);
            let archive = Archive::new(date).index(&format!("{IMAGES}/SHA256SUMS"), sums.as_bytes());
            archive.loose(&format!("{IMAGES}/{name}"), b"an image").files(&signer)
        };
        upstream.set(with(before, hours(-1)));
        let mirror = Mirror::of(&signer);
        mirror.accept(&upstream.url(), noon());
        upstream.set(with(after, hours(1)));
        let error = mirror.follow(&upstream.url(), hours(2)).unwrap_err();
        let said = format!("`dists/tin/{IMAGES}/{after}`");
        assert!(
            error.code() == "E-UP-040" && error.to_string().contains(&said),
            "{error}"
        );
    }
}

#[test]
fn every_kind_is_kept_byte_for_byte_and_proven() {
    let signer = key("upstream");
    let upstream = Upstream::start();
    let files = full().files(&signer);
    upstream.set(files.clone());
    let mirror = Mirror::of(&signer);
    let record = mirror.accept(&upstream.url(), noon());
    let state = &record.suites[0];
    assert_eq!(
        kept(state),
        [
            "main/Contents-all.gz",
            "main/Contents-amd64.gz",
            "main/Contents-source.gz",
            "main/Contents-udeb-amd64.gz",
            "main/binary-all/Packages.gz",
            "main/binary-amd64/Packages.gz",
            "main/binary-amd64/Packages.xz",
            "main/binary-amd64/Release",
            "main/cnf/Commands-amd64.gz",
            "main/debian-installer/binary-amd64/Packages.gz",
            "main/dep11/Components-amd64.yml.gz",
            "main/dep11/icons-48x48.tar.gz",
            "main/i18n/Translation-en.gz",
            "main/i18n/Translation-en.xz",
            "main/installer-amd64/20260101/images/MANIFEST",
            "main/installer-amd64/20260101/images/SHA256SUMS",
            "main/installer-amd64/20260101/images/netboot/mini.iso",
            "main/installer-amd64/current/images/MANIFEST",
            "main/installer-amd64/current/images/SHA256SUMS",
            "main/installer-amd64/current/images/netboot/mini.iso",
            "main/source/Sources.gz",
            "main/source/Sources.xz",
        ]
    );
    let visible = mirror.visible();
    for path in kept(state) {
        let (ours, theirs) = (format!("foundry/dists/tin/{path}"), format!("dists/tin/{path}"));
        assert!(visible[&ours] == files[&theirs], "{path}");
    }
    let images = upstream
        .requests()
        .into_iter()
        .filter(|path| path.ends_with("mini.iso"));
    assert_eq!(images.count(), 1, "one image under two names comes once");
    assert_eq!(mirror.follow(&upstream.url(), hours(1)).unwrap(), Followed::Unchanged);
    assert_eq!(problems(&mirror, &signer), []);
}

#[test]
fn every_kind_is_served_at_the_head_and_below_a_snapshot() {
    let signer = key("upstream");
    let upstream = Upstream::start();
    let files = full().files(&signer);
    upstream.set(files.clone());
    let mirror = Mirror::of(&signer);
    let record = mirror.accept(&upstream.url(), noon());
    let running = Server::start(ServeConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        store: Arc::clone(&mirror.store),
        archives: vec![ServedArchive {
            name: mirror.name.clone(),
            upstream: None,
        }],
        root: None,
        overlays: Overlays::default(),
        now: hours(1),
    })
    .unwrap();
    let [head, serial, id] = [
        "dists/tin".to_owned(),
        format!("dists/tin/{}", record.serial),
        format!("{}/dists/tin", record.id),
    ];
    for folder in [head, serial, id] {
        for path in kept(&record.suites[0]) {
            let answer = get(running.address(), &format!("/foundry/{folder}/{path}"));
            assert_eq!(answer.status, 200, "{folder}/{path}");
            assert!(answer.body == files[&format!("dists/tin/{path}")], "{folder}/{path}");
        }
    }
}

#[test]
fn what_no_list_of_upstreams_names_is_refuted() {
    let signer = key("upstream");
    let upstream = Upstream::start();
    upstream.set(full().files(&signer));
    let mirror = Mirror::of(&signer);
    let mut suites = mirror.accept(&upstream.url(), noon()).suites;
    // Our own key signs an image of ours in the place of upstream's.
    let evil = Digest::of(b"an evil one");
    let image = format!("{IMAGES}/netboot/mini.iso");
    let index = suites[0]
        .indexes
        .iter_mut()
        .find(|index| index.path.as_str() == image)
        .unwrap();
    index.digest = evil;
    let key = assay::snapshot::index_key(&mirror.name, &"tin".parse().unwrap(), index);
    mirror.store.put_stream(&key, &evil, &mut &b"an evil one"[..]).unwrap();
    mirror.publish(suites, hours(1));
    let found = problems(&mirror, &signer);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].2.contains("nor does a list that it covers"), "{found:?}");
}

#[test]
fn only_the_kinds_that_the_site_names() {
    let signer = key("upstream");
    let upstream = Upstream::start();
    upstream.set(full().files(&signer));
    let mut mirror = Mirror::of(&signer);
    mirror.config.sources = false;
    mirror.config.indexes = BTreeSet::from([IndexKind::Contents]);
    let record = mirror.accept(&upstream.url(), noon());
    assert_eq!(
        kept(&record.suites[0]),
        [
            "main/Contents-all.gz",
            "main/Contents-amd64.gz",
            "main/binary-all/Packages.gz",
            "main/binary-amd64/Packages.gz",
            "main/binary-amd64/Packages.xz",
            "main/binary-amd64/Release",
            "main/i18n/Translation-en.gz",
            "main/i18n/Translation-en.xz",
        ]
    );
    mirror.config.indexes.insert(IndexKind::Dep11);
    let more = mirror.accept(&upstream.url(), hours(1));
    assert!(kept(&more.suites[0]).contains(&"main/dep11/icons-48x48.tar.gz"));
}

#[test]
fn what_upstream_names_and_does_not_have_is_left_out_when_it_may_be() {
    let signer = key("upstream");
    let upstream = Upstream::start();
    let mut files = full().files(&signer);
    let contents = Digest::of(&files["dists/tin/main/Contents-amd64.gz"]).sha256.hex();
    files.retain(|path, _| !path.contains("Contents-amd64") && !path.ends_with(&contents));
    files.retain(|path, _| !path.ends_with("mini.iso"));
    let packages = Digest::of(&files["dists/tin/main/binary-amd64/Packages.xz"])
        .sha256
        .hex();
    files.retain(|path, _| !path.ends_with("amd64/Packages.xz") && !path.ends_with(&packages));
    upstream.set(files);
    let mirror = Mirror::of(&signer);
    let record = mirror.accept(&upstream.url(), noon());
    let state = &record.suites[0];
    let absent = state.upstream.iter().flat_map(|upstream| &upstream.absent);
    let absent: Vec<&str> = absent.map(assay::domain::RelPath::as_str).collect();
    assert_eq!(absent, ["main/Contents-amd64.gz", "main/binary-amd64/Packages.xz"]);
    let listed: Vec<&str> = state.indexes.iter().map(|index| index.path.as_str()).collect();
    for gone in ["Contents-amd64", "mini.iso", "main/binary-amd64/Packages.xz"] {
        assert!(!listed.iter().any(|path| path.contains(gone)), "{gone}");
    }
    for there in [
        "main/binary-amd64/Packages.gz",
        "main/binary-amd64/Packages",
        "main/Contents-all.gz",
    ] {
        assert!(listed.contains(&there), "{there}");
    }
    assert_eq!(mirror.follow(&upstream.url(), hours(1)).unwrap(), Followed::Unchanged);
    assert_eq!(problems(&mirror, &signer), []);
    // Nor is one taken that somebody put there instead, of an index that nobody needs.
    let mut files = full().files(&signer);
    let contents = Digest::of(&files["dists/tin/main/Contents-amd64.gz"]).sha256.hex();
    files.retain(|path, _| !path.ends_with(&contents));
    files.insert("dists/tin/main/Contents-amd64.gz".to_owned(), b"older".to_vec());
    // Mirrors have this one of another day, as large as it was.
    let release = "dists/tin/main/binary-amd64/Release";
    let by_hash = Digest::of(&files[release]).sha256.hex();
    files.retain(|path, _| !path.ends_with(&by_hash));
    files.get_mut(release).unwrap().reverse();
    upstream.set(files);
    let record = Mirror::of(&signer).accept(&upstream.url(), noon());
    let listed = kept(&record.suites[0]);
    for gone in ["main/Contents-amd64.gz", "main/binary-amd64/Release"] {
        assert!(!listed.contains(&gone), "{gone}");
    }
    // Packages in no form at all is no archive.
    let mut files = full().files(&signer);
    files.retain(|path, _| !path.contains("main/binary-amd64/"));
    upstream.set(files);
    let fresh = Mirror::of(&signer);
    let error = fresh.follow(&upstream.url(), noon()).unwrap_err();
    assert_eq!(error.code(), "E-UP-004", "{error}");
}

/// The real clock's, since apt looks at that: so many hours ago.
pub(super) fn ago(hours: i64) -> Timestamp {
    Clock::System.now().plus(-3600 * hours)
}

/// Two hundred packages, of which `alloy` has this version.
pub(super) fn many(version: u32) -> Archive {
    let mut archive = Archive::new(ago(20 - i64::from(version)));
    archive.pool.clear();
    for n in 0..200 {
        let path = format!("pool/main/m/metal{n}/metal{n}_1_amd64.deb");
        archive = archive.with(&path, format!("{n}").as_bytes());
    }
    let path = format!("pool/main/a/alloy/alloy_{version}_amd64.deb");
    archive.with(&path, version.to_string().as_bytes())
}

/// The patch between two texts, as `diff --ed` writes it.
pub(super) fn ed(old: &[u8], new: &[u8]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("old", old), ("new", new)] {
        std::fs::File::create(folder.path().join(name))
            .unwrap()
            .write_all(text)
            .unwrap();
    }
    let mut diff = std::process::Command::new("diff");
    diff.args(["--ed", "old", "new"]).current_dir(folder.path());
    diff.output().unwrap().stdout
}

/// An archive with merged patches from these older ones, and one from a state that nobody here had.
fn with_patches(archive: Archive, olds: &[&Archive]) -> Archive {
    let new = archive.packages();
    let stranger = [new.as_slice(), b"Package: stranger\nVersion: 1\n\n"].concat();
    let mut states: Vec<Vec<u8>> = olds.iter().map(|old| old.packages()).collect();
    states.push(stranger);
    let steps: Vec<(Vec<u8>, Vec<u8>)> = states.into_iter().map(|state| (ed(&state, &new), state)).collect();
    with_patches_from(archive, &steps, true)
}

/// An archive with these patches, each of the state that it is for.
pub(super) fn with_patches_from(archive: Archive, steps: &[(Vec<u8>, Vec<u8>)], merged: bool) -> Archive {
    let new = archive.packages();
    let digest = |bytes: &[u8]| {
        let digest = Digest::of(bytes);
        format!("{} {}", digest.sha256, digest.size)
    };
    let [mut history, mut patches, mut downloads] = [(); 3].map(|()| String::new());
    let folder = "main/binary-amd64/Packages.diff";
    let mut archive = archive;
    for (n, (patch, state)) in steps.iter().enumerate() {
        let packed = compress(Compression::Gzip, patch).unwrap();
        history.push_str(&format!(" {} T-{n}\n", digest(state)));
        patches.push_str(&format!(" {} T-{n}\n", digest(patch)));
        downloads.push_str(&format!(" {} T-{n}.gz\n", digest(&packed)));
        archive = archive.loose(&format!("{folder}/T-{n}.gz"), &packed);
    }
    let index = format!(
        "SHA256-Current: {}\nSHA256-History:\n{history}SHA256-Patches:\n{patches}SHA256-Download:\n{downloads}{}",
        digest(&new),
        if merged { "X-Patch-Precedence: merged\n" } else { "" }
    );
    archive.index(&format!("{folder}/Index"), index.as_bytes())
}

#[test]
fn patches_that_help_our_clients_are_kept_and_real_apt_uses_them() {
    let signer = key("upstream");
    let upstream = Upstream::start();
    let mirror = Mirror::of(&signer);
    let versions: Vec<Archive> = (1..4).map(many).collect();
    let mut records: Vec<Record> = Vec::new();
    for (n, version) in versions.iter().enumerate() {
        let olds: Vec<&Archive> = versions.iter().take(n).collect();
        upstream.set(with_patches(version.clone(), &olds).files(&signer));
        records.push(mirror.accept(&upstream.url(), ago(10 - i64::try_from(n).unwrap())));
    }
    let patches = |record: &Record| {
        let of = kept(&record.suites[0])
            .into_iter()
            .filter_map(|path| path.strip_prefix("main/binary-amd64/Packages.diff/"));
        of.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(patches(&records[0]), ["Index"]);
    assert_eq!(patches(&records[1]), ["Index", "T-0.gz"]);
    assert_eq!(
        patches(&records[2]),
        ["Index", "T-0.gz", "T-1.gz"],
        "clients of the first are not left behind"
    );
    assert_eq!(problems(&mirror, &signer), []);

    // A client that has the first state, at a server that shows the first and then the third.
    let served = Upstream::start();
    let certificate = tempfile::NamedTempFile::with_suffix(".asc").unwrap();
    std::fs::write(certificate.path(), mirror.ours.certificate_armored().unwrap()).unwrap();
    let at = |record: &Record| -> BTreeMap<String, Vec<u8>> {
        let from = format!("foundry/dists/tin/{}/", record.serial);
        let all = mirror.store.list("foundry/dists").unwrap().into_iter();
        let of = all.filter_map(|meta| {
            Some((
                format!("dists/tin/{}", meta.key.as_str().strip_prefix(&from)?),
                meta.key,
            ))
        });
        of.map(|(name, key)| (name, mirror.store.get(&key, 1 << 20).unwrap()))
            .collect()
    };
    let sources = source(&served.url(), "tin", certificate.path());
    let apt = Apt::new(&sources);
    served.set(at(&records[0]));
    apt.update();
    assert_eq!(apt.versions("alloy"), ["1"]);
    served.requests();
    served.set(at(&records[2]));
    apt.update();
    assert_eq!(apt.versions("alloy"), ["3"]);
    let asked = served.requests();
    assert!(
        asked.iter().any(|path| path.ends_with("Packages.diff/T-0.gz")),
        "{asked:?}"
    );
    assert!(!asked.iter().any(|path| path.ends_with("Packages.xz")), "{asked:?}");
}

#[test]
fn a_patch_that_is_not_what_its_index_says_is_refused() {
    let signer = key("upstream");
    let upstream = Upstream::start();
    let mirror = Mirror::of(&signer);
    let (old, new) = (many(1), many(2));
    upstream.set(old.files(&signer));
    mirror.accept(&upstream.url(), ago(2));
    upstream.set(with_patches(new, &[&old]).files(&signer));
    upstream.trick("T-0.gz", Trick::Flipped);
    let error = mirror.follow(&upstream.url(), ago(1)).unwrap_err();
    assert_eq!(error.code(), "E-UP-008", "{error}");
}

/// What upstream does not have and lists is said by the run, and of the snapshot for as long as it is there.
#[test]
fn who_looks_at_a_snapshot_sees_what_upstream_did_not_have() {
    let site = Mirrored::new("http://127.0.0.1:1", "");
    let archive = Archive::new(hours(-1));
    let whole = site.files(&archive);
    let mut files = whole.clone();
    let name = "dists/tin/main/i18n/Translation-en.gz";
    let by_hash = Digest::of(&files[name]).sha256.hex();
    files.retain(|path, _| path != name && !path.ends_with(&by_hash));
    site.upstream.set(files);
    let run = site.output(noon(), &["mirror", "foundry"]);
    let said = String::from_utf8(run.stderr).unwrap();
    assert!(run.status.success(), "{said}");
    let path = "main/i18n/Translation-en.gz";
    let names = |said: &str, what: &str| assert!(said.contains(what) && said.contains(path), "{said}");
    names(&said, "the snapshot is without them");
    names(
        &site.run(noon(), &["snapshot", "show", "foundry"]),
        "partial    it is without",
    );
    names(&site.run(noon(), &["status"]), "problem: `tin` is partial");
    for verb in [&["verify"][..], &["verify", "--against", "upstream"]] {
        let verified = site.output(noon(), verb);
        let said = String::from_utf8(verified.stdout).unwrap();
        assert!(said.contains(" 1 partial suites"), "{said}");
        names(&String::from_utf8(verified.stderr).unwrap(), "foundry 2026");
    }
    site.upstream.set(whole);
    let later = hours(1);
    assert!(site.run(later, &["mirror", "foundry"]).ends_with("new\n"));
    for verb in [&["status"][..], &["snapshot", "show", "foundry"]] {
        assert!(!site.run(later, verb).contains("partial"), "{verb:?}");
    }
}

/// A client that asks for an index by its name gets none of another day.
#[test]
fn an_index_that_a_new_release_does_not_list_leaves_the_head() {
    let signer = key("upstream");
    let upstream = Upstream::start();
    upstream.set(full().files(&signer));
    let mirror = Mirror::of(&signer);
    let first = mirror.accept(&upstream.url(), noon());
    upstream.set(Archive::new(hours(0)).files(&signer));
    mirror.accept(&upstream.url(), hours(1));
    let there = |place: &str| {
        let key = assay::store::Key::new(format!("foundry/dists/tin{place}")).unwrap();
        mirror.store.head(&key).unwrap().is_some()
    };
    for path in ["/main/Contents-all.gz", &format!("/{IMAGES}/MANIFEST")] {
        assert!(!there(path), "{path}");
        assert!(there(&format!("/{}{path}", first.serial)), "{path}");
    }
    assert!(there("/main/binary-amd64/Packages.xz") && there("/upstream/InRelease"));
    assert_eq!(problems(&mirror, &signer), []);
}
