//! Each threat of F1 to F9: refused with its own code, and what is published stays as it was.

use std::num::NonZeroU16;
use std::sync::Arc;

use super::hours;
use crate::support::archive::{Archive, Mirror, key, noon};
use crate::support::http::{Trick, Upstream};

use assay::domain::{Coded as _, Digest};
use assay::host::Progress;
use assay::snapshot::Chain;
use assay::store::Key;
use assay::trust::ArchiveKey;
use assay::upstream::{Client, Followed, Mender, PullThrough, fill_pool};

/// A mirror with one snapshot, of an upstream that is about to turn.
struct Victim {
    signer: ArchiveKey,
    upstream: Upstream,
    mirror: Mirror,
}

impl Victim {
    fn new() -> Self {
        let signer = key("upstream");
        let upstream = Upstream::start();
        upstream.set(Archive::new(hours(-1)).files(&signer));
        let mirror = Mirror::of(&signer);
        mirror.accept(&upstream.url(), noon());
        Self {
            signer,
            upstream,
            mirror,
        }
    }

    fn publish(&self, archive: &Archive) {
        self.upstream.set(archive.files(&self.signer));
    }

    /// Follows two hours later: refused, with nothing changed, and a message that names the cause.
    fn refused(&self, code: &str, says: &str) {
        let before = self.mirror.visible();
        let error = self.mirror.follow(&self.upstream.url(), hours(2)).expect_err(says);
        assert_eq!(
            (error.code(), error.to_string().contains(says)),
            (code, true),
            "{error}"
        );
        assert!(self.mirror.visible() == before, "{says}: the store has changed");
    }
}

fn newer() -> Archive {
    Archive::new(hours(1)).with("pool/main/a/alloy/alloy_2_amd64.deb", b"alloy 2")
}

#[test]
fn f1_rollback_and_equivocation() {
    let victim = Victim::new();
    victim.publish(&Archive::new(hours(-2)));
    victim.refused("E-UP-010", "went back in time");
    victim.publish(&Archive::new(hours(-1)).with("pool/x_0_amd64.deb", b"0"));
    victim.refused("E-UP-011", "two different Release files");
}

/// What is around the signed text is in anybody's hands: it neither accuses upstream, nor keeps its own file out later.
#[test]
fn f1_other_bytes_around_the_same_signed_text() {
    let victim = Victim::new();
    let files = Archive::new(hours(1)).files(&victim.signer);
    let name = "dists/tin/InRelease";
    let (honest, begin) = (files[name].clone(), "-----BEGIN PGP SIGNATURE-----\n");
    let text = String::from_utf8(honest.clone()).unwrap();
    let around = text.replacen(begin, &format!("{begin}Comment: added on the way\n"), 1);
    assert_ne!(around, text);
    let follow = |bytes: &[u8], at| {
        let mut files = files.clone();
        files.insert(name.to_owned(), bytes.to_vec());
        victim.upstream.set(files);
        victim.mirror.follow(&victim.upstream.url(), at).unwrap()
    };
    let Followed::Changed(suites, _) = follow(around.as_bytes(), hours(2)) else {
        panic!("unchanged")
    };
    victim.mirror.publish(suites, hours(2));
    // Nothing changed: whoever is on the way would fill the archive with snapshots.
    let other = around.replace("added", "changed");
    for bytes in [&honest, other.as_bytes(), around.as_bytes()] {
        assert_eq!(follow(bytes, hours(3)), Followed::Unchanged);
    }
    // What was accepted is damaged here: that is no fault of upstream's.
    let upstream = victim.mirror.latest().unwrap().suites[0].upstream.clone().unwrap();
    let name = format!(
        "foundry/dists/tin/upstream/by-hash/SHA256/{}",
        upstream.inrelease.sha256
    );
    victim.mirror.store.replace(&Key::new(name).unwrap(), b"other").unwrap();
    let error = victim.mirror.follow(&victim.upstream.url(), hours(3));
    assert_eq!(error.unwrap(), Followed::Unchanged, "the same bytes need no other");
    let mut files = files;
    files.insert("dists/tin/InRelease".to_owned(), honest);
    victim.upstream.set(files);
    let error = victim.mirror.follow(&victim.upstream.url(), hours(3)).unwrap_err();
    assert!(!error.code().starts_with("E-UP-011"), "{error}");
}

#[test]
fn f2_freeze() {
    let victim = Victim::new();
    let mut old = newer();
    old.valid_until = Some(hours(2));
    victim.publish(&old);
    victim.refused("E-UP-012", "expired");
    // The very same bytes as before, for too long: no news is not good news.
    victim.publish(&Archive::new(hours(-1)));
    let error = victim
        .mirror
        .follow(&victim.upstream.url(), noon().plus_days(8))
        .unwrap_err();
    assert_eq!(error.code(), "E-UP-012");
}

#[test]
fn f2_a_maximum_age_of_our_own() {
    let mut victim = Victim::new();
    let mut old = Archive::new(hours(-15 * 24));
    old.valid_until = None;
    let signer = &victim.signer;
    victim.upstream.set(old.files(signer));
    victim.mirror = crate::support::archive::Mirror::of(signer);
    // A released suite may be as old as it likes, unless the site says otherwise.
    victim.mirror.accept(&victim.upstream.url(), noon());
    victim.mirror.config.max_age_days = NonZeroU16::new(15);
    victim.refused("E-UP-032", "none that is older than 15 days");
    victim.mirror.config.max_age_days = NonZeroU16::new(16);
    let fresh = victim.mirror.follow(&victim.upstream.url(), hours(2)).unwrap();
    assert_eq!(fresh, assay::upstream::Followed::Unchanged);
}

#[test]
fn f2_half_of_the_time_is_said() {
    let site = crate::support::mirrored::Mirrored::new("http://127.0.0.1:1", "");
    site.follow(&Archive::new(noon()));
    let said = |days: i64, args: &[&str]| {
        let run = site.output(noon().plus(days * 86_400), args);
        assert!(run.status.success(), "{run:?}");
        [run.stdout, run.stderr]
            .map(|bytes| String::from_utf8(bytes).unwrap())
            .concat()
    };
    let (mirror, status) = ("is it still updated?", "upstream's Release of `tin` is");
    assert!(!said(3, &["mirror"]).contains(mirror) && !said(3, &["status"]).contains(status));
    assert!(said(4, &["mirror"]).contains(mirror) && said(4, &["status"]).contains(status));
    let file = site.site().join("repos/foundry.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("max-age-days = 4\n{text}")).unwrap();
    assert!(said(3, &["mirror"]).contains(mirror) && said(3, &["status"]).contains(status));
}

#[test]
fn f4_from_the_future() {
    let victim = Victim::new();
    victim.publish(&Archive::new(hours(2).plus(11)));
    victim.refused("E-UP-009", "signed Release");
    // A signature from the past over a Date in the future.
    let later = hours(3).release_date();
    victim.publish(&newer().edit(format!("Date: {}", hours(1).release_date()), format!("Date: {later}")));
    victim.refused("E-UP-013", "from the future");
}

#[test]
fn f5_mixed_indexes() {
    let victim = Victim::new();
    let mut files = newer().files(&victim.signer);
    files.retain(|path, _| !path.contains("/by-hash/"));
    let other = newer()
        .with("pool/main/e/evil/evil_1_amd64.deb", b"evil")
        .files(&key("evil"));
    let index = "dists/tin/main/binary-amd64/Packages.xz";
    files.insert(index.to_owned(), other[index].clone());
    victim.upstream.set(files);
    victim.refused("E-UP-005", "wrong size");
    victim.publish(&newer());
    let packages = Digest::of(&newer().files(&victim.signer)[index]).sha256.hex();
    victim.upstream.trick(&packages, Trick::Flipped);
    victim.refused("E-UP-008", "wrong bytes");
}

#[test]
fn f6_another_identity() {
    let victim = Victim::new();
    for (field, value) in [
        ("Origin", "Forgery"),
        ("Label", "Forgery"),
        ("Codename", "lead"),
        ("Suite", "testing"),
    ] {
        victim.publish(&newer().field(field, value));
        victim.refused("E-UP-014", &format!("has the {field} `{value}`"));
    }
    for (field, value, lacks) in [
        ("Architectures", "all i386", "architecture `amd64`"),
        ("Components", "contrib", "component `main`"),
    ] {
        victim.publish(&newer().field(field, value));
        victim.refused("E-UP-037", &format!("has no {lacks}: it lists `{value}`"));
    }
    // The site wants what upstream does not have, though it says so.
    let packages = "main/binary-amd64/Packages";
    victim.publish(&newer().edit(format!(" {packages}"), " main/binary-amd64/Parcels"));
    victim.refused("E-UP-015", packages);
    // apt would find no package in it, and say nothing.
    victim.publish(&newer().edit(format!(" {packages}\n"), " main/binary-amd64/Parcels\n"));
    victim.refused("E-UP-039", &format!("lists `{packages}.gz`, and not the size and hash"));
}

#[test]
fn f7_contradicting_hashes() {
    let victim = Victim::new();
    let files = newer().files(&victim.signer);
    let hex = |path: &str| {
        use md5::Digest as _;
        hex::encode(md5::Md5::digest(&files[&format!("dists/tin/{path}")]))
    };
    victim.publish(&newer().edit(hex("main/binary-amd64/Packages.xz"), "0".repeat(32)));
    victim.refused("E-UP-022", "another MD5");
    let plain = Digest::of(&newer().packages()).sha256.hex();
    let victim = Victim::new();
    victim.publish(&newer().edit(plain, "0".repeat(64)));
    victim.refused("E-UP-016", "decompresses to");
    for form in ["xz", "gz"] {
        let hash = Digest::of(&files[&format!("dists/tin/main/binary-amd64/Packages.{form}")]).sha256;
        let key = Key::new(format!("foundry/dists/tin/main/binary-amd64/by-hash/SHA256/{hash}")).unwrap();
        assert_eq!(
            victim.mirror.store.head(&key).unwrap(),
            None,
            "what could be any size stays nowhere"
        );
    }
    victim.publish(&newer().edit("SHA256:", "SHA1024:"));
    victim.refused("E-UP-019", "SHA256");
}

#[test]
fn f8_endless_short_slow() {
    let mut victim = Victim::new();
    victim.mirror.limits.tries = 1;
    victim.publish(&newer());
    victim.upstream.trick("InRelease", Trick::Endless);
    victim.refused("E-UP-005", "wrong size");
    victim.upstream.honest();
    let index = Digest::of(&newer().files(&victim.signer)["dists/tin/main/binary-amd64/Packages.xz"]);
    let index = index.sha256.hex();
    for (trick, code, says) in [
        (Trick::Endless, "E-UP-005", "wrong size"),
        (Trick::Announced(1 << 50), "E-UP-005", "1125899906842624 bytes"),
        (Trick::Truncated(10), "E-UP-002", "cannot fetch"),
        (Trick::Stalled, "E-UP-007", "no byte for"),
        (
            Trick::Dripping,
            "E-UP-007",
            "and at least 1048576 a second are waited for",
        ),
        (Trick::Status(500), "E-UP-003", "500"),
        (Trick::Status(403), "E-UP-003", "403"),
    ] {
        victim.upstream.trick(&index, trick);
        victim.refused(code, says);
    }
}

#[test]
fn f8_more_than_there_is_room_for() {
    let site = crate::support::mirrored::Mirrored::new("http://127.0.0.1:1", "");
    let mut archive = Archive::new(hours(-1));
    let digest = "0".repeat(64);
    archive.more = format!(
        "Package: huge\nVersion: 1\nArchitecture: all\nFilename: pool/main/h/huge/huge_1_all.deb\n\
         Size: {}\nSHA256: {digest}\n\n",
        1u64 << 60
    );
    site.upstream.set(site.files(&archive));
    let run = site.output(noon(), &["mirror"]);
    let said = String::from_utf8_lossy(&run.stderr);
    assert_eq!(run.status.code(), Some(5), "{said}");
    assert!(
        said.contains("E-UP-026") && said.contains("bytes are to be fetched"),
        "{said}"
    );
    let asked = site.upstream.requests();
    assert!(!asked.iter().any(|path| path.starts_with("pool/")), "{asked:?}");
}

#[test]
fn f9_redirects() {
    let victim = Victim::new();
    victim.publish(&newer());
    let other = Upstream::start();
    other.set(newer().files(&victim.signer));
    for (to, says) in [
        ("/dists/tin/InRelease".to_owned(), "too many"),
        (format!("{}dists/tin/InRelease", other.url()), "another port"),
        ("http://mirror.invalid/InRelease".to_owned(), "another host"),
        ("ftp://127.0.0.1/InRelease".to_owned(), "neither http:// nor https://"),
        ("file:///etc/passwd".to_owned(), "neither http:// nor https://"),
        ("/a\tb".to_owned(), "control"),
        (
            format!("http://u:p@127.0.0.1:{}/x", victim.upstream.port()),
            "user name",
        ),
    ] {
        victim.upstream.trick("InRelease", Trick::Redirect(to));
        victim.refused("E-UP-006", says);
    }
    assert_eq!(other.requests(), Vec::<String>::new());
}

#[test]
fn f9_a_host_that_the_site_allows() {
    let mut victim = Victim::new();
    victim.publish(&newer());
    let other = Upstream::start();
    other.set(newer().files(&victim.signer));
    let to = format!("http://localhost:{}/dists/tin/InRelease", other.port());
    victim.upstream.trick("InRelease", Trick::Redirect(to));
    victim.refused("E-UP-006", "private address");
    victim.mirror.limits.allowed_hosts = vec!["localhost".parse().unwrap()];
    victim.refused("E-UP-006", "another port than `allowed-hosts` names");
    assert_eq!(other.requests(), Vec::<String>::new());
    let named = format!("localhost:{}", other.port());
    victim.mirror.config.allowed_hosts = vec![named.parse().unwrap()];
    victim.mirror.limits.allowed_hosts = assay::upstream::Limits::of(&victim.mirror.config).allowed_hosts;
    victim.mirror.accept(&victim.upstream.url(), hours(2));
    assert_eq!(other.requests(), ["dists/tin/InRelease"]);
}

#[test]
fn s7_a_key_of_the_keyring_that_is_no_signer_is_named() {
    let mut victim = Victim::new();
    let other = key("other");
    let both = [&victim.signer, &other]
        .map(|key| key.certificate_armored().unwrap())
        .concat();
    let keyring = assay::trust::Keyring::parse(both.as_bytes()).unwrap();
    victim.mirror.keyring = keyring.restricted_to(&[victim.signer.fingerprint().clone()]).unwrap();
    victim.upstream.set(newer().files(&other));
    victim.refused(
        "E-UP-009",
        &format!("`{}` is in the keyring, and not among the signers", other.fingerprint()),
    );
    victim.upstream.set(newer().files(&key("evil")));
    victim.refused("E-UP-009", "is not in the keyring");
    victim.publish(&newer());
    victim.mirror.accept(&victim.upstream.url(), hours(2));
}

#[test]
fn nobody_else_may_sign() {
    let victim = Victim::new();
    victim.upstream.set(newer().files(&key("evil")));
    victim.refused("E-UP-009", "Release of `tin`");
    let mut files = newer().files(&victim.signer);
    files.insert("dists/tin/InRelease".to_owned(), b"Origin: Foundry\n".to_vec());
    victim.upstream.set(files);
    victim.refused("E-UP-009", "Release of `tin`");
    victim.upstream.remove("dists/tin/InRelease");
    victim.refused("E-UP-004", "404");
}

#[test]
fn x1_paths_outside_of_the_pool() {
    let victim = Victim::new();
    for path in [
        "../../etc/passwd",
        "/etc/passwd",
        "pool/../../state/foundry/1.json",
        "dists/tin/InRelease",
        "provenance/sha256/x",
    ] {
        let mut archive = newer();
        archive.more = format!("Package: evil\nVersion: 1\nArchitecture: all\nFilename: {path}\nSize: 1\n\n");
        victim.publish(&archive);
        victim.refused("E-UP-025", &format!("has the package `evil` at `{path}`"));
        let mut archive = newer();
        archive.sources = format!("Package: evil\nVersion: 1\nDirectory: {path}\n\n");
        victim.publish(&archive);
        victim.refused("E-UP-025", &format!("has the package `evil` at `{path}`"));
    }
}

/// A stanza of a package that is nowhere but in the index.
fn stanza(package: &str, path: &str, bytes: &[u8]) -> String {
    let Digest { sha256, size } = Digest::of(bytes);
    format!("Package: {package}\nVersion: 1\nArchitecture: all\nFilename: {path}\nSize: {size}\nSHA256: {sha256}\n\n")
}

#[test]
fn x1_stanzas_that_apt_cannot_read_or_that_name_no_bytes() {
    let good = stanza("good", "pool/main/g/good/good_1_all.deb", b"good");
    let cases = [
        ("Package: good\n", "", "Package"),
        ("Package: good\n", "Package: good\r\n", "control character"),
        ("Version: 1\n", "Version: 1\nPackage: evil\n", "twice"),
        ("Version: 1\n", "Version: 1\n \t\n", "blanks"),
        ("Version: 1\n", "Version: 1\nno field\n", "colon"),
        ("SHA256: ", "SHA1: ", "SHA256"),
        ("Size: ", "Length: ", "Size"),
        ("Filename: ", "Name: ", "Filename"),
        ("Version: 1\n", "Version: 1\nMD5sum: z\n", "MD5sum"),
        ("Version: 1\n", "Version: 1\nSHA1: 0\n", "SHA1"),
    ];
    let victim = Victim::new();
    for (from, to, says) in cases {
        assert!(good.contains(from));
        let mut archive = newer();
        archive.more = good.clone() + &good.replace(from, to);
        victim.publish(&archive);
        victim.refused("E-UP-033", says);
        let error = victim.mirror.follow(&victim.upstream.url(), hours(2)).unwrap_err();
        assert!(error.to_string().contains("main/binary-amd64/Packages") && error.hint().is_some());
        // A first snapshot is no other.
        let first = Mirror::of(&victim.signer);
        let error = first.follow(&victim.upstream.url(), hours(2)).unwrap_err();
        assert_eq!(error.code(), "E-UP-033", "{error}");
    }
    let mut archive = newer().source("slag", "1");
    archive.sources = archive.sources.replace("Checksums-Sha256:", "Checksums-Sha512:");
    victim.publish(&archive);
    victim.refused("E-UP-033", "slag");
    let mut archive = newer();
    archive.more = good;
    victim.publish(&archive);
    victim.mirror.accept(&victim.upstream.url(), hours(2));
}

#[test]
fn f7_every_hash_that_is_listed_for_a_pool_file_must_match() {
    const PATH: &str = "pool/main/g/good/good_1_all.deb";
    let signer = key("upstream");
    let upstream = Upstream::start();
    let mirror = Mirror::of(&signer);
    // Of `good`: 755f85c2723bb39381c7379a604160d8 is its MD5.
    let publish = |hour, md5: &str| {
        let mut archive = Archive::new(hours(hour));
        let field = format!("Package: good\nMD5sum: {md5}\n");
        archive.more = stanza("good", PATH, b"good").replace("Package: good\n", &field);
        let mut files = archive.files(&signer);
        files.insert(PATH.to_owned(), b"good".to_vec());
        upstream.set(files);
    };
    let (right, wrong) = ("755f85c2723bb39381c7379a604160d8", "0".repeat(32));
    let client = || Client::new(&upstream.url(), Mirror::limits()).unwrap();
    let fill = || {
        let suites = mirror.latest().unwrap().suites;
        fill_pool(
            &client(),
            mirror.store.as_ref(),
            &mirror.name,
            &suites,
            &Progress::hidden(),
        )
    };
    let ensure = || {
        let pool = PullThrough::new(mirror.name.clone(), Arc::clone(&mirror.store), Some(Arc::new(client())));
        pool.ensure(&PATH.parse().unwrap())
    };
    let there = || {
        mirror
            .store
            .head(&Key::pool(&mirror.name, &PATH.parse().unwrap()))
            .unwrap()
    };
    publish(-1, &wrong);
    mirror.accept(&upstream.url(), noon());
    for error in [fill().unwrap_err(), ensure().unwrap_err()] {
        assert_eq!(error.code(), "E-UP-036", "{error}");
        assert!(error.to_string().contains("MD5") && error.hint().is_some());
        assert_eq!(there(), None);
    }
    // Other bytes are what they are: SHA-256 says so first.
    upstream.trick("good_1_all.deb", Trick::Flipped);
    assert_eq!(ensure().unwrap_err().code(), "E-UP-008");
    upstream.honest();
    // Upstream may put its index right.
    publish(1, right);
    mirror.accept(&upstream.url(), hours(2));
    ensure().unwrap();
    fill().unwrap();
    assert!(there().is_some());
    // And wrong again: what is in the pool is looked into.
    publish(3, &wrong);
    let error = mirror.follow(&upstream.url(), hours(4)).unwrap_err();
    assert_eq!(error.code(), "E-UP-036", "{error}");
    publish(5, right);
    mirror.accept(&upstream.url(), hours(6));
    // Also when none was listed before, of a file that was listed and of one that comes back.
    let mut archive = Archive::new(hours(7));
    for (hour, more) in [(7, stanza("good", PATH, b"good")), (9, String::new())] {
        (archive.date, archive.more) = (hours(hour), more);
        upstream.set(archive.files(&signer));
        mirror.accept(&upstream.url(), hours(hour));
        publish(hour + 1, &wrong);
        let error = mirror.follow(&upstream.url(), hours(hour + 1)).unwrap_err();
        assert_eq!(error.code(), "E-UP-036", "{error}");
    }
    publish(11, right);
    mirror.accept(&upstream.url(), hours(11));
}

#[test]
fn f7_two_files_of_one_name() {
    let (one, two) = (
        "pool/main/g/good/good_1_all.deb",
        "pool/main/g/good/again/good_1_all.deb",
    );
    let victim = Victim::new();
    for (path, says) in [(one, one), (two, "good 1 all")] {
        let mut archive = newer();
        archive.more = stanza("good", one, b"good") + &stanza("good", path, b"evil");
        victim.publish(&archive);
        victim.refused("E-UP-030", says);
        let first = Mirror::of(&victim.signer);
        let error = first.follow(&victim.upstream.url(), hours(2)).unwrap_err();
        assert_eq!(error.code(), "E-UP-030", "{error}");
    }
    // The same bytes may be listed twice, and an udeb is no deb.
    let mut archive = newer().index(
        "main/debian-installer/binary-amd64/Packages.gz",
        stanza("good", "pool/main/g/good/good_1_all.udeb", b"udeb").as_bytes(),
    );
    archive.more = stanza("good", one, b"good").repeat(2);
    victim.publish(&archive);
    victim.mirror.accept(&victim.upstream.url(), hours(2));
    // Against the newest snapshot, at the same path or at another.
    archive.date = hours(2);
    for (path, says) in [(one, one), (two, "good 1 all, pool/main/g/good/again/")] {
        archive.more = stanza("good", path, b"evil");
        victim.publish(&archive);
        victim.refused("E-UP-031", "other bytes");
        let error = victim.mirror.follow(&victim.upstream.url(), hours(2)).unwrap_err();
        let had = &Digest::of(b"good").sha256.hex()[..32];
        assert!(
            error.to_string().contains(says) || error.to_string().contains("good 1 all"),
            "{error}"
        );
        assert!(error.to_string().contains(had), "{error}");
    }
}

#[test]
fn f7_a_new_stanza_may_not_contradict_one_that_stays() {
    let (one, two) = (
        "pool/main/g/good/good_1_all.deb",
        "pool/main/g/good/again/good_1_all.deb",
    );
    let listed = |path: &str, bytes: &[u8], md5: &str| {
        stanza("good", path, bytes).replace("Package: good\n", &format!("Package: good\nMD5sum: {md5}\n"))
    };
    let (right, wrong) = ("755f85c2723bb39381c7379a604160d8", "0".repeat(32));
    let victim = Victim::new();
    let mut archive = newer();
    archive.more = listed(one, b"good", right);
    victim.publish(&archive);
    victim.mirror.accept(&victim.upstream.url(), hours(2));
    archive.date = hours(2);
    let stays = archive.more.clone();
    for added in [
        listed(one, b"evil", right),
        listed(two, b"evil", right),
        listed(one, b"good", &wrong),
    ] {
        for more in [stays.clone() + &added, added.clone() + &stays] {
            archive.more = more;
            victim.publish(&archive);
            victim.refused("E-UP-030", "two different digests");
        }
    }
    // What is wrong with a stanza is said with its line, wherever it stands.
    archive.more =
        stays.clone() + &stanza("slag", "pool/main/s/slag/slag_1_all.deb", b"slag").replace("Size", "size\u{e4}");
    victim.publish(&archive);
    victim.refused("E-UP-033", "is not a field name (line 13)");
    archive.more = listed(two, b"good", right) + &stays;
    victim.publish(&archive);
    victim.mirror.accept(&victim.upstream.url(), hours(2));
}

#[test]
fn f7_a_file_keeps_its_size() {
    let path = "pool/main/g/good/good_1_all.deb";
    let good = stanza("good", path, b"good");
    let other = good.replace("Size: 4", "Size: 5");
    let victim = Victim::new();
    let mut archive = newer();
    archive.more = good.clone() + &other;
    victim.publish(&archive);
    victim.refused("E-UP-030", path);
    let mut archive = newer().source("slag", "1");
    archive.more = good;
    victim.publish(&archive);
    victim.mirror.accept(&victim.upstream.url(), hours(2));
    archive.date = hours(2);
    let mut sources = archive.clone();
    assert!(sources.sources.contains(" 18 slag_1.dsc"));
    sources.sources = sources.sources.replace(" 18 slag_1.dsc", " 5 slag_1.dsc");
    archive.more = other;
    for (archive, path, had) in [
        (archive, path, "had 4 bytes"),
        (sources, "pool/main/s/slag/slag_1.dsc", "had 18 bytes"),
    ] {
        victim.publish(&archive);
        victim.refused("E-UP-031", path);
        victim.refused("E-UP-031", had);
    }
}

#[test]
fn f7_a_path_is_a_file_or_a_folder() {
    let file = stanza("good", "pool/main/g/good/good_1_all.deb", b"good");
    let below = stanza("evil", "pool/main/g/good/good_1_all.deb/a/evil_1_all.deb", b"evil");
    let victim = Victim::new();
    let mut archive = newer();
    archive.more = file.clone() + &below;
    victim.publish(&archive);
    victim.refused("E-UP-040", "good_1_all.deb");
    for (hour, [one, two]) in [(2, [&file, &below]), (2, [&below, &file])] {
        let victim = Victim::new();
        let mut archive = newer();
        archive.more = one.clone();
        victim.publish(&archive);
        victim.mirror.accept(&victim.upstream.url(), hours(hour));
        archive.date = hours(hour);
        for more in [two.clone(), one.clone() + two] {
            archive.more = more;
            victim.publish(&archive);
            victim.refused("E-UP-040", "good_1_all.deb");
        }
    }
}

#[test]
fn f7_a_newest_snapshot_that_lost_an_index_is_compared_all_the_same() {
    let path = "pool/main/g/good/good_1_all.deb";
    let victim = Victim::new();
    let mut archive = newer();
    archive.more = stanza("good", path, b"good");
    victim.publish(&archive);
    victim.mirror.accept(&victim.upstream.url(), hours(2));
    (archive.date, archive.more) = (hours(2), stanza("good", path, b"evil"));
    victim.publish(&archive);
    let store = victim.mirror.store.as_ref();
    let lose = || {
        let all = store.list("foundry/dists/tin/main/binary-amd64/by-hash").unwrap();
        assert!(!all.is_empty());
        all.iter().for_each(|meta| store.delete(&meta.key).unwrap());
    };
    let refused = |code: &str| {
        let error = victim.mirror.follow(&victim.upstream.url(), hours(2)).unwrap_err();
        assert_eq!(error.code(), code, "{error}");
    };
    lose();
    // There is nothing to compare with, before it is put back from its other names.
    refused("E-UP-041");
    let (archive, config) = (&victim.mirror.name, &victim.mirror.config);
    let mender = Mender {
        client: &Client::new(&victim.upstream.url(), victim.mirror.limits.clone()).unwrap(),
        store,
        archive,
        config,
    };
    let chain = Chain::load(store, archive).unwrap();
    let mended = mender.mend(&chain, &mender.damaged(&chain).unwrap()).unwrap();
    assert!(
        mended.len() == 2 && mended.iter().all(|(_, done)| done.is_ok()),
        "{mended:?}"
    );
    refused("E-UP-031");
}

#[test]
fn f7_what_left_comes_back_as_it_was() {
    let path = "pool/main/g/good/good_1_all.deb";
    let victim = Victim::new();
    let at = |hour: i64, stanzas: String| {
        let mut archive = newer();
        archive.date = hours(hour);
        archive.valid_until = Some(hours(hour).plus_days(7));
        archive.more = stanzas;
        victim.publish(&archive);
    };
    let follow = |hour: i64| victim.mirror.follow(&victim.upstream.url(), hours(hour));
    let accept = |hour: i64| victim.mirror.accept(&victim.upstream.url(), hours(hour));
    at(1, stanza("good", path, b"good"));
    accept(1);
    at(2, String::new());
    accept(2);
    // Nothing else leaves: what left is no longer in the newest snapshot, nor in the one before.
    at(3, stanza("other", "pool/main/o/other/other_1_all.deb", b"other"));
    accept(3);
    let before = victim.mirror.visible();
    for path in [path, "pool/main/g/good/again/good_1_all.deb"] {
        at(4, stanza("good", path, b"evil"));
        let error = follow(4).unwrap_err();
        assert_eq!(error.code(), "E-UP-031", "{error}");
        assert!(
            error.to_string().contains(&Digest::of(b"good").sha256.hex()[..32]),
            "{error}"
        );
        assert!(error.hint().is_some());
    }
    assert!(victim.mirror.visible() == before, "the store has changed");
    // A run that was killed has remembered what it did not take away.
    at(5, stanza("good", path, b"good"));
    follow(5).unwrap();
    accept(5);
    at(6, String::new());
    accept(6);
    at(7, stanza("good", path, b"evil"));
    assert_eq!(follow(7).unwrap_err().code(), "E-UP-031");
    // What is remembered is rotten.
    let store = victim.mirror.store.as_ref();
    let left = store.list("state/foundry/left").unwrap().remove(0).key;
    store.replace(&left, b"rotten").unwrap();
    at(8, stanza("new", "pool/main/n/new/new_1_all.deb", b"new"));
    let error = follow(8).unwrap_err();
    assert_eq!(error.code(), "E-UP-034", "{error}");
    store.delete(&left).unwrap();
    accept(8);
}

#[test]
fn f7_what_left_and_was_collected_comes_back_as_it_was() {
    let site = crate::support::mirrored::Mirrored::new("http://127.0.0.1:1", "{ count = 1 }");
    let (deb, tail) = ("pool/main/b/brass/brass_1_amd64.deb", &b"brass"[..]);
    let archive = |day: u32| Archive::new(noon().plus_days(day));
    site.follow(&archive(0).with(deb, tail));
    site.follow(&archive(1));
    let collected = site.run(noon().plus_days(2), &["gc"]);
    assert!(collected.contains(deb), "{collected}");
    site.serve(&archive(2).with(deb, b"other bytes"));
    let refused = site.output(noon().plus_days(2).plus(60), &["mirror"]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(3), "{said}");
    assert!(said.contains("E-UP-031") && said.contains("brass"), "{said}");
    site.run(noon().plus_days(2).plus(60), &["verify"]);
    site.follow(&archive(3).with(deb, tail));
    site.run(noon().plus_days(3).plus(60), &["verify"]);
}
