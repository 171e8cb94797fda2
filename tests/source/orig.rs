//! Upstream tarballs that are kept byte for byte: from pristine-tar, by hash, of a mirror's source package.
//! Rule S7 looks into each.

use std::path::PathBuf;

use assay::domain::{FileName, Sha256};
use assay::source::{Base, OrigMethod, SourceError, WantedOrig};

use super::maker::{Maker, TAGGED, reference};

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
    assert_eq!(package.files[2], (name.clone(), bytes));
    assert_eq!(maker.check(&declaration).unwrap(), package);
    unpacks(&maker, &package);

    maker.request.base.as_mut().unwrap().version = "2.1-1".parse().unwrap();
    rule("S7", "upstream version", &maker.declare(&tag).unwrap_err());
    maker.request.base = Some(base);
    maker.at(TAGGED + 60);
    maker.write("src/hello.c", "int main(void) { return 2; }\n");
    maker.commit("upstream's files changed");
    let changed = maker.declare(&maker.tag("debian/2.0-1+custom1")).unwrap_err();
    rule("S7", "`src/hello.c` has other content", &changed);
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
