//! Upstream tarballs that are kept byte for byte: from pristine-tar, by hash, of a mirror's source package.
//! Rule S7 looks into each.

use std::path::PathBuf;

use assay::domain::{ArchiveName, Digest, FileName, PoolPath, Sha256, SnapshotName, Version};
use assay::publish::{StoreFiles, Unfetched};
use assay::source::{Base, OrigMethod, SourceError, WantedOrig};
use assay::store::Key;
use assay::trust::Keyring;
use assay::upstream::{Client, Sums, fetch_pool_file};

use super::maker::{Maker, TAGGED, reference};
use crate::support::archive::{Archive, Mirror, key, noon};
use crate::support::http::{Trick, Upstream};

const TAG: &str = "debian/2.0-1";

/// Upstream's tarball as upstream's own tools write it, with `more` in it that Git has not.
fn tarball(maker: &Maker, options: &[&str], more: &str) -> PathBuf {
    let folder = maker.path("released");
    let script = "rm -rf released && mkdir -p released && git --git-dir=git/.git archive --prefix=quilted-2.0/ upstream/2.0 | \
                  tar -x -C released && cd released && eval \"$1\"";
    maker.run_in(maker.path("").to_str().unwrap(), "sh", &["-euc", script, "sh", more]);
    let path = maker.path("quilted_2.0.orig.tar.gz");
    let mut args = vec!["--owner=upstream:1000", "--group=users:100", "--mtime=@1600000000"];
    args.extend(options);
    args.extend([
        "-C",
        folder.to_str().unwrap(),
        "-caf",
        path.to_str().unwrap(),
        "quilted-2.0",
    ]);
    maker.run_in("/", "tar", &args);
    path
}

fn wanted(method: OrigMethod, bytes: &[u8]) -> Option<WantedOrig> {
    Some(WantedOrig {
        method,
        sha256: Some(Sha256::of(bytes)),
    })
}

/// As `pristine-tar commit` keeps it.
fn pristine(maker: &Maker, tarball: &std::path::Path) {
    maker.git(&["checkout", "-q", "-b", "made", "main"]);
    maker.run("pristine-tar", &["commit", tarball.to_str().unwrap(), "upstream/2.0"]);
    maker.git(&["checkout", "-q", "main"]);
}

fn unpacks(maker: &Maker, package: &assay::source::SourcePackage) {
    let dsc = maker.write_package(package, &maker.path("package"));
    let unpacked = maker.path("unpacked");
    let args = [
        "--require-strong-checksums",
        "-x",
        dsc.to_str().unwrap(),
        unpacked.to_str().unwrap(),
    ];
    maker.run_in("/", "dpkg-source", &args);
    let patched = std::fs::read_to_string(unpacked.join("src/hello.c")).unwrap();
    assert!(patched.contains("return 0"), "{patched}");
    std::fs::remove_dir_all(unpacked).unwrap();
}

fn rule(id: &str, words: &str, error: &SourceError) {
    assert_eq!(error.broken_rule(), Some(id), "{error}");
    assert!(error.to_string().contains(words), "{error}");
}

#[test]
fn pristine_tar_gives_upstreams_own_bytes() {
    let mut maker = Maker::quilt();
    let path = tarball(&maker, &["--format=gnu"], "true");
    let bytes = std::fs::read(&path).unwrap();
    pristine(&maker, &path);
    let tag = maker.tag(TAG);
    maker.request.orig = Some(WantedOrig {
        method: OrigMethod::PristineTar,
        sha256: None,
    });
    let (declaration, package) = maker.declare(&tag).unwrap();
    let orig = declaration.orig.clone().unwrap();
    assert_eq!(
        (orig.name.as_str(), orig.sha256),
        ("quilted_2.0.orig.tar.gz", Sha256::of(&bytes))
    );
    assert_eq!(orig.difference, None);
    assert_eq!(package.files[2].1, bytes);
    unpacks(&maker, &package);

    // The branch goes on; what was declared stays what it was.
    maker.git(&["checkout", "-q", "pristine-tar"]);
    maker.git(&["commit", "-q", "--allow-empty", "-m", "another version"]);
    maker.git(&["checkout", "-q", "main"]);
    let (again, same) = (
        maker.check(&declaration).unwrap(),
        maker.declare_from(&maker.url(), &tag, "cache2"),
    );
    assert_eq!(again, package);
    assert_eq!(same.unwrap().1, package);
    // A delta of some hundred bytes that unpacks to 10 GiB does not get the room.
    maker.git(&["checkout", "-q", "-b", "bomb", "pristine-tar"]);
    let bomb = "mkdir ../bomb; cd ../bomb; truncate -s 10G manifest; echo 2.0 > version; echo x > delta; printf tar > type; \
                tar --sparse -czf ../git/quilted_2.0.orig.tar.gz.delta *";
    maker.run("sh", &["-euc", bomb]);
    maker.git(&["commit", "-q", "-a", "-m", "bomb"]);
    let declared = maker.git(&["rev-parse", "pristine-tar"]);
    maker.git(&["branch", "-q", "-f", "pristine-tar", "bomb"]);
    let refused = maker.declare_from(&maker.url(), &tag, "bombed").unwrap_err();
    rule("S7", "no tarball comes of its delta", &refused);
    maker.git(&["branch", "-q", "-f", "pristine-tar", declared.trim()]);
    maker.git(&["checkout", "-q", "main"]);
    let mut other = declaration.clone();
    other.orig.as_mut().unwrap().sha256 = Sha256::of(b"another");
    rule("S7", "is declared", &maker.check(&other).unwrap_err());
    maker.git(&["tag", "-f", "-a", "-m", "moved", "upstream/2.0", "main"]);
    rule(
        "S7",
        "another tree",
        &maker.declare_from(&maker.url(), &tag, "cache3").unwrap_err(),
    );
}

#[test]
fn a_tarball_that_is_not_upstreams_tree_says_so() {
    let mut maker = Maker::quilt();
    let tag = maker.tag(TAG);
    for (more, difference) in [
        ("true", None),
        (
            "echo eval > quilted-2.0/build-to-host.m4",
            Some("`build-to-host.m4` is added"),
        ),
        ("rm quilted-2.0/README", Some("`README` is missing")),
        ("echo x >> quilted-2.0/README", Some("`README` has other content")),
        ("chmod 755 quilted-2.0/README", Some("`README` has another mode")),
    ] {
        // As autotools, as Git, and as others write them.
        for options in [
            &["--format=v7"][..],
            &["--format=ustar"],
            &["--format=pax"],
            &["--format=gnu"],
        ] {
            let bytes = std::fs::read(tarball(&maker, options, more)).unwrap();
            maker.request.orig = wanted(OrigMethod::File, &bytes);
            maker.files.files = vec![bytes.clone()];
            let (declaration, package) = maker.declare(&tag).unwrap();
            let orig = declaration.orig.clone().unwrap();
            assert_eq!(orig.difference.as_deref(), difference, "{options:?} {more}");
            assert_eq!(
                package.files[2],
                (FileName::new("quilted_2.0.orig.tar.gz").unwrap(), bytes)
            );
            assert_eq!(maker.check(&declaration).unwrap(), package);
        }
        if difference.is_none() {
            let (_, package) = maker.declare(&tag).unwrap();
            unpacks(&maker, &package);
        }
    }
    maker.files.files.clear();
    assert!(maker.declare(&tag).unwrap_err().to_string().contains("missing"));

    // `git archive` writes a global header with the commit.
    let archive = maker.path("archive.tar.gz");
    let output = format!("--output={}", archive.display());
    maker.git(&["archive", "--prefix=x-2.0/", &output, "upstream/2.0"]);
    let bytes = std::fs::read(archive).unwrap();
    maker.request.orig = wanted(OrigMethod::File, &bytes);
    maker.files.files = vec![bytes];
    assert_eq!(maker.declare(&tag).unwrap().0.orig.unwrap().difference, None);

    // No upstream tag: then nothing says what the tarball should hold.
    maker.git(&["tag", "-d", "upstream/2.0"]);
    let (declaration, _) = maker.declare_from(&maker.url(), &tag, "cache2").unwrap();
    assert_eq!(declaration.upstream, None);
    assert!(
        declaration
            .orig
            .unwrap()
            .difference
            .unwrap()
            .contains("no upstream tag")
    );
}

#[test]
fn a_change_of_a_debian_package_takes_its_tarballs() {
    let mut maker = Maker::quilt();
    let bytes = std::fs::read(tarball(
        &maker,
        &[],
        "mkdir quilted-2.0/debian; echo theirs > quilted-2.0/debian/x",
    ))
    .unwrap();
    maker.git(&["tag", "-d", "upstream/2.0"]);
    maker.changelog("quilted", "2.0-1+custom1", "Tue, 14 Nov 2023 20:13:20 +0000");
    maker.commit("ours");
    let tag = maker.tag("debian/2.0-1+custom1");
    let base = Base {
        archive: "debian".parse().unwrap(),
        serial: "2023111401".parse().unwrap(),
        suite: "trixie".parse().unwrap(),
        version: "2.0-1".parse().unwrap(),
        dsc_sha256: Sha256::of(b".dsc"),
    };
    let name = FileName::new("quilted_2.0.orig.tar.gz").unwrap();
    maker
        .files
        .bases
        .insert(base.dsc_sha256, vec![(name.clone(), bytes.clone())]);
    maker.request.base = Some(base.clone());
    let (declaration, package) = maker.declare(&tag).unwrap();
    assert_eq!(declaration.base.as_ref(), Some(&base));
    assert_eq!(declaration.below_base(), None);
    assert_eq!(package.files[2], (name.clone(), bytes));
    assert_eq!(maker.check(&declaration).unwrap(), package);
    unpacks(&maker, &package);

    // What the tag says of upstream is looked at, although the tarballs are the base's.
    maker.git(&["tag", "-a", "-m", "theirs", "v2.0", "HEAD~1"]);
    let theirs = maker.git(&["rev-parse", "v2.0^{commit}"]);
    let says = |text: &str| maker.tag_saying("debian/2.0-1+custom1", &format!("ours\n\n[dgit {text}]\n"));
    let said = says(&format!("upstream-tag=v2.0 upstream={theirs}"));
    assert_eq!(maker.declare(&said).unwrap().1.files, package.files);
    for (text, words) in [
        (
            format!("upstream-tag=v2.0 upstream={}", "0".repeat(40)),
            "names the commit",
        ),
        (format!("upstream={theirs}"), "`upstream-tag=` must be there too"),
    ] {
        rule("S9", words, &maker.declare(&says(&text)).unwrap_err());
    }
    let tag = maker.tag("debian/2.0-1+custom1");

    // Not refused: it may be meant. Whoever declares it is told.
    let later: Version = "2.0-2".parse().unwrap();
    maker.request.base.as_mut().unwrap().version = later.clone();
    assert_eq!(maker.declare(&tag).unwrap().0.below_base(), Some(&later));
    maker.request.base.as_mut().unwrap().version = "2.1-1".parse().unwrap();
    rule("S7", "upstream version", &maker.declare(&tag).unwrap_err());
    maker.request.base = Some(base);
    maker.at(TAGGED + 60);
    maker.write("src/hello.c", "int main(void) { return 2; }\n");
    maker.commit("upstream's files changed");
    let changed = maker.declare(&maker.tag("debian/2.0-1+custom1")).unwrap_err();
    rule("S7", "`src/hello.c` has other content", &changed);
}

/// The package as Debian has it, built by dpkg-source: the .dsc first.
fn as_debian_has_it(maker: &Maker) -> Vec<(String, Vec<u8>)> {
    tarball(maker, &[], "true");
    let script = "mkdir -p base/quilted && cp quilted_2.0.orig.tar.gz base/ && git --git-dir=git/.git archive HEAD | \
                  tar -x -C base/quilted && cd base/quilted && dpkg-source -b . >/dev/null 2>&1";
    maker.run_in(maker.path("").to_str().unwrap(), "sh", &["-euc", script]);
    let names = [
        "quilted_2.0-1.dsc",
        "quilted_2.0.orig.tar.gz",
        "quilted_2.0-1.debian.tar.xz",
    ];
    let read = |name: &str| (name.to_owned(), std::fs::read(maker.path("base").join(name)).unwrap());
    names.map(read).into()
}

#[test]
fn the_base_of_a_change_is_found_in_a_snapshot_by_the_hash_of_its_dsc() {
    let mut maker = Maker::quilt();
    let debian = as_debian_has_it(&maker);
    let (upstream, signer) = (Upstream::start(), key("upstream"));
    let mirror = Mirror::of(&signer);
    let first = Archive::new(noon()).source_of("quilted", "2.0-1", "3.0 (quilt)", &debian);
    upstream.set(first.files(&signer));
    let serial = mirror.accept(&upstream.url(), noon().plus(60)).serial;
    // Debian moves on, and has the tarball for a while yet.
    let mut next = Archive::new(noon().plus_days(1)).files(&signer);
    next.extend(
        debian
            .iter()
            .map(|(name, bytes)| (format!("pool/main/s/quilted/{name}"), bytes.clone())),
    );
    upstream.set(next);
    mirror.accept(&upstream.url(), noon().plus_days(1).plus(60));

    let archive: ArchiveName = "custom".parse().unwrap();
    let certificate = |ours: &assay::trust::ArchiveKey| ours.certificate_armored().unwrap().into_bytes();
    let ours = certificate(&mirror.ours);
    let keyrings = |_: &ArchiveName| Keyring::parse(&ours).map_err(|error| error.to_string());
    let client = Client::new(&upstream.url(), Mirror::limits()).unwrap();
    let fetch = |name: &ArchiveName, path: &PoolPath, digest: &Digest| {
        fetch_pool_file(&client, mirror.store.as_ref(), name, path, &Sums::sha256(*digest))
            .map_err(|error| Unfetched::of(&error))
    };
    let files = StoreFiles {
        store: mirror.store.as_ref(),
        archive: &archive,
        keyrings: &keyrings,
        fetch: Some(&fetch),
        packed: None,
    };
    let dsc = Sha256::of(&debian[0].1);
    let named = SnapshotName::Serial(serial.clone());
    let base = files.find_base(&mirror.name, &named, &dsc).unwrap();
    assert_eq!(
        (&base.serial, base.version.as_str(), base.suite.as_str()),
        (&serial, "2.0-1", "tin")
    );
    for (name, sha256) in [(&SnapshotName::Latest, dsc), (&named, Sha256::of(b"another"))] {
        let error = files.find_base(&mirror.name, name, &sha256).unwrap_err();
        assert!(error.to_string().contains(&sha256.to_string()), "{error}");
    }
    // A snapshot that our key has not signed is no base.
    let theirs = certificate(&key("theirs"));
    let strange = |_: &ArchiveName| Keyring::parse(&theirs).map_err(|error| error.to_string());
    let unvouched = StoreFiles {
        keyrings: &strange,
        ..files
    };
    assert!(unvouched.find_base(&mirror.name, &named, &dsc).is_err());

    // Ours is a patch more, and upstream's tree is in no tag of this repository.
    maker.git(&["tag", "-d", "upstream/2.0"]);
    maker.changelog("quilted", "2.0-1+custom1", "Tue, 14 Nov 2023 20:13:20 +0000");
    maker.write("debian/patches/series", "fix.patch\nmore.patch\n");
    maker.write(
        "debian/patches/more.patch",
        "--- a/README\n+++ b/README\n@@ -1 +1 @@\n-Read me.\n+Read ours.\n",
    );
    maker.commit("ours");
    let tag = maker.tag("debian/2.0-1+custom1");
    maker.request.base = Some(base.clone());
    let declare = |files: &StoreFiles<'_>| maker.declare_with(&maker.url(), &tag, "cache", files);
    upstream.trick(".orig.tar.gz", Trick::Flipped);
    declare(&files).unwrap_err();
    upstream.honest();
    let offline = StoreFiles { fetch: None, ..files };
    assert!(
        declare(&offline)
            .unwrap_err()
            .to_string()
            .contains("is not in the store")
    );
    let (declaration, package) = declare(&files).unwrap();
    assert_eq!(declaration.base.as_ref(), Some(&base));
    assert_eq!(package.files[2].1, debian[1].1, "Debian's own tarball");
    let kept = PoolPath::new("pool/main/s/quilted/quilted_2.0.orig.tar.gz").unwrap();
    assert!(
        mirror.store.head(&Key::pool(&mirror.name, &kept)).unwrap().is_some(),
        "and stays here"
    );
    unpacks(&maker, &package);
    assert_eq!(
        declare(&offline).unwrap(),
        (declaration, package),
        "upstream is not asked again"
    );

    // A declaration that says of another version that it was changed.
    maker.request.base.as_mut().unwrap().version = "2.0-2".parse().unwrap();
    let error = maker.declare_with(&maker.url(), &tag, "cache", &files).unwrap_err();
    assert!(error.to_string().contains("quilted 2.0-1"), "{error}");
}

#[test]
fn a_native_package_has_no_upstream_side() {
    let mut maker = Maker::native();
    maker.request.orig = wanted(OrigMethod::File, b"x");
    let error = maker.declare(&maker.tag("v1.0")).unwrap_err();
    assert!(error.to_string().contains("native"), "{error}");
    maker.request.orig = None;
    maker.verify(&reference("refs/tags/v1.0")).unwrap();
}
