//! The same bytes for everyone, and dpkg takes them.

use std::collections::BTreeMap;
use std::path::Path;

use assay::domain::{Coded, Component, Digest, FileName, PackageName, Sha256};
use assay::site::SignerScheme;
use assay::source::{self, Base, Declaration, Files, NoFiles, Packed, SourceError};

use super::maker::{Maker, TAGGED, signer};

#[test]
fn a_native_package_unpacks_to_the_tagged_tree() {
    let maker = Maker::native();
    let (declaration, package) = maker.declare(&maker.tag("v1.0")).unwrap();
    assert_eq!(declaration.version.as_str(), "1.0");
    assert_eq!(declaration.source_format, "3.0 (native)");
    assert_eq!(declaration.source_date_epoch, TAGGED - 7200);
    assert_eq!(declaration.git_commit.as_str(), maker.git(&["rev-parse", "HEAD"]));
    assert_eq!(declaration.git_tree.as_str(), maker.git(&["rev-parse", "HEAD^{tree}"]));
    assert_eq!(names(&package.files), ["native_1.0.dsc", "native_1.0.tar.xz"]);

    let dsc = maker.write_package(&package, &maker.path("package"));
    let unpacked = maker.path("unpacked");
    maker.run_in(
        "/",
        "dpkg-source",
        &["--require-strong-checksums", "-x", text(&dsc), text(&unpacked)],
    );
    maker.run_in(
        "/",
        "diff",
        &[
            "-r",
            "--no-dereference",
            "-x",
            ".git",
            text(&maker.git),
            text(&unpacked),
        ],
    );
    let listed = maker.run_in(
        "/",
        "tar",
        &["-tvf", text(&maker.path("package/native_1.0.tar.xz")), "--full-time"],
    );
    assert!(
        listed.lines().all(|line| line.contains("2023-11-14 20:13:20")),
        "{listed}"
    );
    assert!(listed.lines().all(|line| line.contains(" 0/0 ")), "{listed}");

    // The manifest is what the reference says, computed here by other programs.
    let script = "git ls-files -s | while read -r mode id _ path; do \
        printf '%s %s %s\\0' $mode $(git cat-file blob $id | sha256sum | cut -d' ' -f1) \"$path\"; done | sha256sum";
    let manifest = maker.run("sh", &["-c", script]);
    assert!(manifest.starts_with(&declaration.tree_sha256.hex()), "{manifest}");
}

/// Nothing but what was packed before.
struct Before<'a>(Packed<'a>);

impl Files for Before<'_> {
    fn kept(&self, a: &Component, b: &PackageName, c: &FileName, d: &Sha256) -> Result<Vec<u8>, SourceError> {
        NoFiles.kept(a, b, c, d)
    }
    fn base(&self, source: &PackageName, base: &Base) -> Result<Vec<(FileName, Vec<u8>)>, SourceError> {
        NoFiles.base(source, base)
    }
    fn packed(&self) -> Option<Packed<'_>> {
        Some(self.0)
    }
}

#[test]
fn a_tarball_that_was_packed_before_is_taken_when_it_is_the_declared_one_with_the_derived_content() {
    let maker = Maker::native();
    let (declaration, package) = maker.declare(&maker.tag("v1.0")).unwrap();
    let folder = maker.path("packed");
    let derive = |declared: &Declaration| {
        let repository = source::open(&maker.url(), &maker.path("cache")).unwrap();
        let keys = maker.keys();
        let before = Before(Packed {
            folder: &folder,
            declared: &declared.files,
        });
        let (_, _, package) = source::derive(&repository, declared, &maker.allowed(&keys), &before).unwrap();
        package
    };
    assert_eq!(derive(&declaration), package);
    let kept = folder.join(declaration.files[1].digest.sha256.hex());
    let ours = package.files[1].1.clone();
    assert_eq!(std::fs::read(&kept).unwrap(), ours, "it is kept by its own SHA-256");

    // Damaged, or another's: it is packed anew, and the next finds it mended.
    std::fs::write(&kept, "anything").unwrap();
    assert_eq!(derive(&declaration), package);
    assert_eq!(std::fs::read(&kept).unwrap(), ours);

    // Declared, and of the same content, if packed otherwise: it is what is taken.
    let packed_by = |script: &str| {
        maker.run_in(text(&folder), "sh", &["-euc", script, "sh", text(&kept)]);
        let bytes = std::fs::read(folder.join("other")).unwrap();
        let mut other = declaration.clone();
        other.files[1].digest = Digest::of(&bytes);
        std::fs::write(folder.join(other.files[1].digest.sha256.hex()), &bytes).unwrap();
        (other, bytes)
    };
    let (fast, bytes) = packed_by("xz -dc --format=xz <\"$1\" | xz -0 >other");
    assert_ne!(bytes, ours);
    assert_eq!(derive(&fast).files[1].1, bytes);
    // Whoever judges packs anew, and sees that nobody else would get these bytes.
    assert!(maker.check(&fast).is_err());

    // Declared and here, but of other content.
    let (other, _) = packed_by("xz -dc --format=xz <\"$1\" | tr d e | xz >other");
    assert_eq!(derive(&other).files[1].1, ours);
}

#[test]
fn a_quilt_package_unpacks_with_its_patches_applied() {
    let maker = Maker::quilt();
    let (declaration, package) = maker.declare(&maker.tag("debian/2.0-1")).unwrap();
    assert_eq!(
        names(&package.files),
        [
            "quilted_2.0-1.dsc",
            "quilted_2.0-1.debian.tar.xz",
            "quilted_2.0.orig.tar.xz"
        ]
    );
    assert_eq!(declaration.upstream.unwrap().tag_ref.as_str(), "refs/tags/upstream/2.0");
    let dsc = maker.write_package(&package, &maker.path("package"));
    let unpacked = maker.path("unpacked");
    maker.run_in(
        "/",
        "dpkg-source",
        &["--require-strong-checksums", "-x", text(&dsc), text(&unpacked)],
    );
    let patched = std::fs::read_to_string(unpacked.join("src/hello.c")).unwrap();
    assert!(patched.contains("return 0"), "{patched}");

    // A later Debian revision has the same .orig tarball, to the byte.
    maker.changelog("quilted", "2.0-2", "Tue, 14 Nov 2023 21:13:20 +0000");
    maker.commit("2.0-2");
    let (_, later) = maker.declare(&maker.tag("debian/2.0-2")).unwrap();
    assert_eq!(later.files[2], package.files[2]);
    assert_ne!(later.files[1], package.files[1]);
}

#[test]
fn two_clones_under_hostile_settings_give_the_same_bytes() {
    let maker = Maker::new();
    maker.write_upstream();
    maker.write("version", "$Format:%d %h$ $Id$\n");
    maker.git(&["add", "."]);
    // Into the index alone, so that Git does not act by it while this test makes the commits.
    let attributes =
        "* text eol=crlf\nREADME export-ignore ident\nversion export-subst\nsrc/* working-tree-encoding=UTF-16\n";
    let blob = maker.pipe(&maker.url(), "git", &["hash-object", "-w", "--stdin"], attributes);
    let upstream = format!("100644,{blob},.gitattributes");
    maker.git(&["update-index", "--add", "--cacheinfo", &upstream]);
    maker.git(&["commit", "-q", "-m", "upstream"]);
    maker.git(&["tag", "-a", "-m", "upstream", "upstream/2.0"]);
    maker.write_quilt();
    maker.git(&["add", "debian"]);
    maker.git(&["commit", "-q", "-m", "packaging"]);
    let tag = maker.tag("debian/2.0-1");
    let (declaration, package) = maker.declare(&tag).unwrap();

    let clone = maker.path("clone");
    let script = format!(
        "umask 077 && git clone -q --mirror {from} {to} && cd {to} && git tag another && git gc -q --aggressive && \
         git config core.autocrlf true && git config tar.umask 007 && git config core.bigFileThreshold 1 && \
         git config transfer.hideRefs refs/heads && git config uploadpack.packObjectsHook 'touch {canary}; exec' && \
         git config core.fsmonitor 'touch {canary}' && git config core.sshCommand 'touch {canary}' && \
         echo '* export-ignore text' > info/attributes && \
         for hook in post-checkout pre-receive post-upload-pack reference-transaction; do \
             mkdir -p hooks && printf '#!/bin/sh\\ntouch {canary}\\n' > hooks/$hook && chmod 755 hooks/$hook; done",
        from = maker.url(),
        to = clone.display(),
        canary = maker.path("canary").display(),
    );
    maker.run_in("/", "sh", &["-c", &script]);
    if rustix::process::geteuid().is_root() {
        // Somebody else's repository is read all the same.
        maker.run_in("/", "chown", &["-R", "nobody", text(&clone)]);
    }
    let (again, same) = maker.declare_from(text(&clone), &tag, "cache2").unwrap();
    assert_eq!(again.identity().unwrap(), declaration.identity().unwrap());
    assert_eq!(same, package);
    assert!(!maker.path("canary").exists(), "something of the repository was run");

    let dsc = maker.write_package(&package, &maker.path("package"));
    maker.run_in("/", "dpkg-source", &["-x", text(&dsc), text(&maker.path("unpacked"))]);
    let version = std::fs::read_to_string(maker.path("unpacked/version")).unwrap();
    assert_eq!(version, "$Format:%d %h$ $Id$\n");
    assert!(maker.path("unpacked/README").exists());
}

#[test]
fn the_dsc_says_what_dpkg_source_says() {
    let maker = Maker::quilt();
    maker.write(
        "debian/control",
        "# the source\nSource: quilted\nSection: libs\nPriority: optional\nMaintainer: A B <a@example.org>\nUploaders: C <c@example.org>,\n D <d@example.org>,\n\
         Build-Depends: debhelper-compat(= 13),dh-python ,  libfoo-dev[linux-any] <!nocheck>  <!stage1 cross>|libbar-dev (>=1.2~),\n python3:any,\n debhelper-compat (= 13)\n\
         Build-Depends-Arch: gcc (>= 12)\nBuild-Depends-Indep: texinfo <!nodoc>\nBuild-Conflicts: zz, aa (<< 1)\nStandards-Version: 4.6.2\nHomepage: https://example.org/\n\
         Vcs-Git: https://example.org/x.git\nVcs-Browser: https://example.org/x\nRules-Requires-Root: no\nXS-Go-Import-Path: example.org/x\nX-Python3-Version: >= 3\nTestsuite: other\n\n\
         Package: quilted-tools\nArchitecture: any\nSection: utils\nPriority: extra\nEssential: yes\nDescription: x\n y\n\n\
         Package: quilted-doc\nBuild-Profiles: <!nodoc>  <pkg.quilted.doc cross>\nArchitecture: all\nSection: doc\nDescription: x\n y\n\n\
         Package: quilted-udeb\nPackage-Type: udeb\nSection: debian-installer\nArchitecture: amd64 linux-any\n hurd-i386\nDescription: x\n y\n",
    );
    maker.write(
        "debian/tests/control",
        "Tests: a\nDepends: @, @builddeps@, python3-pytest (>= 7) | nose, quilted-doc\n\n# more\nTest-Command: x\nDepends: curl:any\n",
    );
    maker.commit("control");
    let (declaration, package) = maker.declare(&maker.tag("debian/2.0-1")).unwrap();
    let ours = maker.write_package(&package, &maker.path("package"));

    let theirs = maker.path("theirs");
    std::fs::create_dir(&theirs).unwrap();
    maker.run_in(
        "/",
        "dpkg-source",
        &["-q", "-x", text(&ours), text(&theirs.join("quilted-2.0"))],
    );
    maker.run_in(text(&theirs), "dpkg-source", &["-q", "-b", "quilted-2.0"]);
    let (mut ours, mut theirs) = (fields(&ours), fields(&theirs.join("quilted_2.0-1.dsc")));
    for by_bytes in ["Checksums-Sha1", "Checksums-Sha256", "Files"] {
        assert!(ours.remove(by_bytes).is_some() && theirs.remove(by_bytes).is_some());
    }
    assert_eq!(ours, theirs);
    assert_eq!(declaration.build_depends.any, ours["Build-Depends"]);
    assert_eq!(declaration.build_depends.conflicts, "aa (<< 1), zz");
    assert_eq!(
        declaration.packages[2].architectures,
        ["amd64", "linux-any", "hurd-i386"]
    );
}

#[test]
fn a_declaration_is_kept_and_checked_field_by_field() {
    let maker = Maker::quilt();
    let (declaration, package) = maker.declare(&maker.tag("debian/2.0-1")).unwrap();
    let toml = declaration.to_toml().unwrap();
    let again = Declaration::parse("quilted.toml", toml.as_bytes()).unwrap();
    assert_eq!(again, declaration);
    assert_eq!(again.to_toml().unwrap(), toml);
    assert_eq!(again.identity().unwrap(), declaration.identity().unwrap());
    assert_eq!(maker.check(&again).unwrap(), package);

    let unknown = toml.replacen("source = ", "extra = 1\nsource = ", 1);
    let nested = toml.replacen("[[file]]\n", "[[file]]\nextra = 1\n", 1);
    assert_ne!(nested, toml);
    for bad in [unknown, nested, toml.replace("version = ", "# "), String::new()] {
        let error = Declaration::parse("repos/custom/quilted.toml", bad.as_bytes()).unwrap_err();
        assert!(
            error.to_string().starts_with("`repos/custom/quilted.toml`: "),
            "{error}"
        );
    }

    let zero = "0".repeat(64);
    type Change = fn(&mut Declaration, &str);
    let changes: [(&str, Change); 8] = [
        ("tree-sha256", |d, zero| d.tree_sha256 = zero.parse().unwrap()),
        ("version", |d, _| d.version = "2.0-9".parse().unwrap()),
        ("source-date-epoch", |d, _| d.source_date_epoch += 1),
        ("upstream.git-tree", |d, zero| {
            d.upstream.as_mut().unwrap().git_tree = zero[..40].parse().unwrap()
        }),
        ("build-depends.any", |d, _| d.build_depends.any.push('x')),
        ("package.0.section", |d, _| d.packages[0].section.push('x')),
        ("file.1.sha256", |d, zero| {
            d.files[1].digest.sha256 = zero.parse().unwrap()
        }),
        ("file.2.name", |d, _| d.files[2].name = FileName::new("x").unwrap()),
    ];
    for (field, change) in changes {
        let mut other = declaration.clone();
        change(&mut other, &zero);
        let error = maker.check(&other).unwrap_err();
        assert_eq!(error.code(), "E-SRC-007", "{error}");
        assert!(error.to_string().contains(&format!("`{field}`")), "{field}: {error}");
    }
}

#[test]
fn openpgp_tags_and_sha256_repositories_work_too() {
    let mut maker = Maker::with_format("sha256");
    maker.write_native();
    maker.commit("first");
    maker.run_in("/", "mkdir", &["-m", "700", text(&maker.path("gnupg"))]);
    let gpg = [
        "--batch",
        "--quiet",
        "--passphrase",
        "",
        "--quick-generate-key",
        "A <a@example.org>",
        "ed25519",
        "sign",
        "1y",
    ];
    maker.run("gpg", &gpg);
    let listed = maker.run(
        "gpg",
        &[
            "--batch",
            "--quiet",
            "--trust-model",
            "always",
            "--with-colons",
            "--list-keys",
        ],
    );
    let line = listed.lines().find(|line| line.starts_with("fpr:")).unwrap();
    let fingerprint = line.split(':').nth(9).unwrap().to_owned();
    let key = format!("user.signingKey={fingerprint}");
    maker.git(&[
        "-c",
        "gpg.format=openpgp",
        "-c",
        &key,
        "tag",
        "-s",
        "-m",
        "v1.0",
        "v1.0",
    ]);
    let certificate = maker.run("gpg", &["--batch", "--armor", "--export", &fingerprint]);
    maker.run("gpgconf", &["--kill", "all"]);
    std::fs::write(maker.path("keys").join(format!("{fingerprint}.asc")), certificate).unwrap();

    let tag = super::maker::reference("refs/tags/v1.0");
    let refused = maker.declare(&tag).unwrap_err();
    assert_eq!(refused.broken_rule(), Some("S1"), "{refused}");
    maker.signers.push(signer(SignerScheme::Openpgp, &fingerprint));
    let (declaration, package) = maker.declare(&tag).unwrap();
    assert_eq!(declaration.signers.len(), 1);
    assert_eq!(declaration.signers[0].fingerprint.as_str(), fingerprint);
    assert_eq!(declaration.git_commit.as_str().len(), 64);

    // The same files in a SHA-1 repository are the same source.
    let other = Maker::native();
    let (sha1, same) = other.declare(&other.tag("v1.0")).unwrap();
    assert_eq!(sha1.tree_sha256, declaration.tree_sha256);
    assert_eq!(same, package);
}

#[test]
fn what_was_fetched_is_there_without_the_network() {
    let maker = Maker::quilt();
    let tag = maker.tag("debian/2.0-1");
    let (declaration, package) = maker.declare(&tag).unwrap();
    let here = maker.url();
    let cached = source::open(&here, &maker.path("cache")).unwrap();
    let same = source::check(&cached, &declaration, &maker.allowed(&maker.keys()), &maker.files);
    assert_eq!(same.unwrap(), package);
    assert!(source::open(&here, &maker.path("elsewhere")).is_err());
}

fn names(files: &[(FileName, Vec<u8>)]) -> Vec<&str> {
    files.iter().map(|(name, _)| name.as_str()).collect()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn fields(dsc: &Path) -> BTreeMap<String, String> {
    let bytes = std::fs::read(dsc).unwrap();
    let paragraph = assay::format::deb822::paragraph("dsc", &bytes).unwrap();
    paragraph
        .fields()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}
