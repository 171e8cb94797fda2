//! Rules S1 to S9: what a hostile repository may try.

use assay::domain::{Coded, Timestamp};
use assay::source::{self, SourceError};

use super::maker::{Maker, TAGGED, now, reference};

/// Commits what `change` makes of a good native package, tags it, and tries to declare it.
fn native(change: impl Fn(&Maker)) -> SourceError {
    let maker = Maker::native();
    change(&maker);
    maker.commit("change");
    maker.declare(&maker.tag("v1.0")).unwrap_err()
}

fn quilt(change: impl Fn(&Maker)) -> SourceError {
    let maker = Maker::quilt();
    change(&maker);
    maker.commit("change");
    maker.declare(&maker.tag("debian/2.0-1")).unwrap_err()
}

fn rule(id: &str, words: &str, error: &SourceError) {
    assert_eq!(error.broken_rule(), Some(id), "{error}");
    assert!(error.to_string().contains(words), "{error}");
}

#[test]
fn s1_only_a_signer_of_the_policy_counts() {
    let mut maker = Maker::native();
    maker.git(&["tag", "-a", "-m", "not signed", "unsigned"]);
    rule(
        "S1",
        "not signed",
        &maker.verify(&reference("refs/tags/unsigned")).unwrap_err(),
    );

    let stranger = maker.ssh_key("stranger");
    let tag = maker.tag_with("stranger", "v1.0", "HEAD");
    rule("S1", &stranger, &maker.verify(&tag).unwrap_err());

    let tag = maker.tag("v1.0");
    maker.verify(&tag).unwrap();
    let good = maker.signers.clone();
    let day = |offset| Some(Timestamp::from_unix(TAGGED + offset));
    maker.signers[0].revoked_at = day(86_400);
    rule("S1", "revoked", &maker.verify(&tag).unwrap_err());
    maker.signers = good.clone();
    maker.signers[0].valid_until = day(-86_400);
    rule("S1", "until", &maker.verify(&tag).unwrap_err());
    maker.signers = good.clone();
    maker.signers[0].valid_from = day(86_400);
    rule("S1", "from", &maker.verify(&tag).unwrap_err());
    maker.signers = good.clone();
    maker.signers[0].sources = vec!["other".parse().unwrap()];
    rule(
        "S1",
        "may not sign the source package `native`",
        &maker.declare(&tag).unwrap_err(),
    );
    // The key has an entry for each of two source packages.
    for other in [0, 1] {
        maker.signers = vec![good[0].clone(), good[0].clone()];
        maker.signers[other].sources = vec!["other".parse().unwrap()];
        maker.signers[1 - other].sources = vec!["native".parse().unwrap()];
        maker.declare(&tag).unwrap();
    }
    maker.signers.clear();
    rule("S1", "no signer", &maker.verify(&tag).unwrap_err());
}

#[test]
fn s1_a_signature_is_over_these_bytes_and_for_git() {
    let maker = Maker::native();
    let good = maker.git(&["cat-file", "tag", maker.tag("v1.0").as_str()]) + "\n";
    let (payload, signature) = good.split_at(good.find("-----BEGIN").unwrap());
    let signed_for_a_file = {
        maker.write("payload", payload);
        let key = maker.path("signer");
        maker.run(
            "ssh-keygen",
            &["-q", "-Y", "sign", "-n", "file", "-f", key.to_str().unwrap(), "payload"],
        );
        payload.to_owned() + &std::fs::read_to_string(maker.git.join("payload.sig")).unwrap()
    };
    for (what, object) in [
        ("another message", good.replace("\nv1.0\n", "\nv1.1\n")),
        ("another date", good.replace("1700000000", "1700000001")),
        ("another namespace", signed_for_a_file),
        ("something after it", good.clone() + "more\n"),
        ("two signatures", good.clone() + signature),
        (
            "an empty signature",
            payload.to_owned() + "-----BEGIN SSH SIGNATURE-----\n-----END SSH SIGNATURE-----\n",
        ),
        ("another kind", good.replace("SSH SIGNATURE", "SIGNED MESSAGE")),
    ] {
        let id = maker.pipe(
            &maker.url(),
            "git",
            &["hash-object", "-t", "tag", "-w", "--stdin"],
            &object,
        );
        maker.git(&["update-ref", "refs/tags/v1.0", &id]);
        let error = maker.verify(&reference("refs/tags/v1.0")).unwrap_err();
        assert_eq!(error.broken_rule(), Some("S1"), "{what}: {error}");
    }
}

#[test]
fn s2_a_tag_is_what_its_ref_says() {
    let maker = Maker::native();
    let tag = maker.tag("v1.0");
    maker.git(&["tag", "light"]);
    rule(
        "S2",
        "lightweight",
        &maker.verify(&reference("refs/tags/light")).unwrap_err(),
    );
    maker.git(&["update-ref", "refs/tags/v2.0", tag.as_str()]);
    rule(
        "S2",
        "calls itself `v1.0`",
        &maker.verify(&reference("refs/tags/v2.0")).unwrap_err(),
    );
    maker.git(&["update-ref", "refs/other/v1.0", tag.as_str()]);
    rule(
        "S2",
        "neither below",
        &maker.verify(&reference("refs/other/v1.0")).unwrap_err(),
    );
    let nested = maker.tag_with("signer", "nested", tag.as_str());
    rule("S2", "tag of a tag", &maker.verify(&nested).unwrap_err());
    let tree = maker.tag_with("signer", "tree", "HEAD^{tree}");
    rule("S2", "commit", &maker.verify(&tree).unwrap_err());
    let missing = maker.verify(&reference("refs/tags/v3.0")).unwrap_err();
    assert_eq!(missing.code(), "E-SRC-003", "{missing}");
}

#[test]
fn s2_a_declared_tag_never_moves() {
    let mut maker = Maker::native();
    let (declaration, _) = maker.declare(&maker.tag("v1.0")).unwrap();
    maker.at(TAGGED + 60);
    maker.tag("v1.0");
    rule("S2", "moved", &maker.check(&declaration).unwrap_err());
}

#[test]
fn s3_objects_are_hashed_again_and_never_borrowed() {
    let maker = Maker::native();
    let tag = maker.tag("v1.0");
    let repository = maker.fetch(&tag).unwrap();
    maker.declare(&tag).unwrap();
    let cache = repository.folder().to_str().unwrap().to_owned();

    // Git gives out a loose object without looking whether it is the one.
    let loose = |path: &str| {
        let id = maker.git(&["rev-parse", &format!("HEAD:{path}")]);
        format!("{cache}/objects/{}/{}", &id[..2], &id[2..])
    };
    let script = format!(
        "mv objects/pack/*.pack ../p && rm -f objects/pack/* && git unpack-objects -q < ../p && cp -f {} {}",
        loose("tool"),
        loose("sub/data")
    );
    maker.run_in(&cache, "sh", &["-c", &script]);
    rule("S3", "its bytes are those of", &maker.declare(&tag).unwrap_err());

    for borrowed in ["shallow", "info/grafts", "objects/info/alternates"] {
        let path = std::path::Path::new(&cache).join(borrowed);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, format!("{}\n", maker.git(&["rev-parse", "HEAD"]))).unwrap();
        rule(
            "S3",
            borrowed,
            &source::open(&maker.url(), &maker.path("cache")).unwrap_err(),
        );
        std::fs::remove_file(&path).unwrap();
    }
}

#[test]
fn s3_replaced_and_missing_objects_do_not_pass() {
    let maker = Maker::native();
    let tag = maker.tag("v1.0");
    let (declaration, _) = maker.declare_from(&maker.url(), &tag, "cache1").unwrap();
    let blob = maker.git(&["rev-parse", "HEAD:tool"]);
    let other = maker.git(&["rev-parse", "HEAD:sub/data"]);
    maker.git(&["replace", &blob, &other]);
    let (again, _) = maker.declare_from(&maker.url(), &tag, "cache2").unwrap();
    assert_eq!(again, declaration);
    maker.git(&["replace", "-d", &blob]);
    std::fs::remove_file(maker.git.join(format!(".git/objects/{}/{}", &blob[..2], &blob[2..]))).unwrap();
    let error = maker.declare_from(&maker.url(), &tag, "cache3").unwrap_err();
    assert_eq!(error.code(), "E-SRC-002", "{error}");
}

#[test]
fn s4_submodules_and_lfs_pointers_are_refused() {
    let maker = Maker::native();
    let commit = maker.git(&["rev-parse", "HEAD"]);
    maker.git(&[
        "update-index",
        "--add",
        "--cacheinfo",
        &format!("160000,{commit},module"),
    ]);
    maker.git(&["commit", "-q", "-m", "module"]);
    rule("S4", "`module`", &maker.declare(&maker.tag("v1.0")).unwrap_err());
    let error = native(|maker| {
        let oid = "0".repeat(64);
        maker.write(
            "big",
            &format!("version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize 5\n"),
        );
    });
    rule("S4", "LFS", &error);
}

#[test]
fn s5_addresses_that_run_programs_are_refused() {
    let maker = Maker::native();
    let tag = maker.tag("v1.0");
    let canary = maker.path("canary");
    for url in [
        format!("ext::touch {}", canary.display()),
        format!("--upload-pack=touch {}", canary.display()),
        format!("ext::sh -c touch% {}", canary.display()),
        "ftp://localhost/x.git".to_owned(),
        "https://user:password@localhost/x.git".to_owned(),
    ] {
        let error = source::fetch(&url, std::slice::from_ref(&tag), &maker.path("cache")).unwrap_err();
        assert_eq!(error.code(), "E-SRC-001", "{error}");
        assert!(error.to_string().contains("rule S5"), "{error}");
    }
    assert!(!canary.exists());
}

#[test]
fn s6_paths_that_mean_another_file_are_refused() {
    let twins = native(|maker| {
        maker.write("Sub/data2", "x\n");
    });
    rule("S6", "only by case", &twins);
    let outside = native(|maker| std::os::unix::fs::symlink("../../etc/passwd", maker.git.join("sub/out")).unwrap());
    rule("S6", "outside", &outside);
    let control = native(|maker| {
        std::fs::rename(maker.git.join("debian/control"), maker.git.join("control")).unwrap();
        std::os::unix::fs::symlink("../control", maker.git.join("debian/control")).unwrap();
    });
    rule("S6", "debian/control", &control);
    let bidi = native(|maker| maker.write("a\u{202e}b", "x\n"));
    rule("S6", "not seen", &bidi);

    // Git's own check refuses these when they are fetched; ours, which unit tests cover, would too.
    for name in [".git", "..", ".GIT"] {
        let maker = Maker::native();
        let tree = maker.git(&["rev-parse", "HEAD^{tree}"]);
        let listed = maker.git(&["ls-tree", &tree]);
        let blob = maker.git(&["rev-parse", "HEAD:tool"]);
        let bad = format!("{listed}\n100644 blob {blob}\t{name}\n");
        let tree = maker.pipe(&maker.url(), "git", &["mktree"], &bad);
        let commit = maker.git(&["commit-tree", "-m", "bad", &tree]);
        let tag = maker.tag_with("signer", "v1.0", &commit);
        let error = maker.declare(&tag).unwrap_err();
        assert!(matches!(error.code(), "E-SRC-002" | "E-SRC-004"), "{error}");
    }
}

/// A few objects that name each other make a tree without end.
#[test]
fn folders_without_files_are_counted_too() {
    let maker = Maker::native();
    let mut tree = maker.git(&["rev-parse", "HEAD^{tree}"]);
    for _ in 0..3 {
        let entries: String = (0..600).map(|n| format!("040000 tree {tree}\td{n}\n")).collect();
        tree = maker.pipe(&maker.url(), "git", &["mktree"], &entries);
    }
    let commit = maker.git(&["commit-tree", "-m", "folders", &tree]);
    let tag = maker.tag_with("signer", "v1.0", &commit);
    let error = maker.declare(&tag).unwrap_err();
    assert!(error.to_string().contains("more than 200000 files"), "{error}");
}

#[test]
fn s7_upstream_files_are_those_of_upstreams_tag() {
    let changed = quilt(|maker| maker.write("src/hello.c", "int main(void) { return 2; }\n"));
    rule("S7", "src/hello.c", &changed);
    let added = quilt(|maker| maker.write("build-to-host.m4", "eval\n"));
    rule("S7", "build-to-host.m4", &added);
    let removed = quilt(|maker| std::fs::remove_file(maker.git.join("README")).unwrap());
    rule("S7", "README", &removed);
    let mode = quilt(|maker| drop(maker.run("chmod", &["755", "README"])));
    rule("S7", "README", &mode);
    let error = {
        let maker = Maker::quilt();
        maker.git(&["tag", "-d", "upstream/2.0"]);
        maker.declare(&maker.tag("debian/2.0-1")).unwrap_err()
    };
    assert!(error.to_string().contains("refs/tags/upstream/2.0"), "{error}");
}

#[test]
fn s8_patches_and_options_change_nothing_but_the_source() {
    let series = |text: &'static str| quilt(move |maker| maker.write("debian/patches/series", text));
    rule("S8", "elsewhere", &series("../../evil\n"));
    rule("S8", "not there", &series("missing.patch\n"));
    rule("S8", "-p1", &series("fix.patch -p0\n"));
    let vendor = quilt(|maker| maker.write("debian/patches/debian.series", "fix.patch\n"));
    rule("S8", "vendor", &vendor);
    let outside = quilt(|maker| {
        maker.write(
            "debian/patches/fix.patch",
            "--- a/x\n+++ b/../../x\n@@ -0,0 +1 @@\n+x\n",
        )
    });
    rule("S8", "outside", &outside);
    let around = quilt(|maker| {
        std::os::unix::fs::symlink("debian", maker.git.join("way")).unwrap();
        let patch = "--- a/way/rules\n+++ b/way/rules\n@@ -1 +1,2 @@\n #!/usr/bin/make -f\n+x\n";
        maker.write("debian/patches/fix.patch", patch);
    });
    rule("S8", "through the symbolic link `way`", &around);
    let options = quilt(|maker| maker.write("debian/source/options", "# x\ncompression = xz\nunapply-patches\n"));
    rule("S8", "unapply-patches", &options);
    let local = native(|maker| maker.write("debian/source/local-options", "x\n"));
    rule("S8", "local-options", &local);
}

#[test]
fn s9_changelog_and_tag_agree() {
    let version = native(|maker| maker.changelog("native", "1.1", "Tue, 14 Nov 2023 20:13:20 +0000"));
    rule("S9", "`1.1`", &version);
    let name = native(|maker| maker.changelog("other", "1.0", "Tue, 14 Nov 2023 20:13:20 +0000"));
    rule("S9", "`other`", &name);
    let later = native(|maker| maker.changelog("native", "1.0", "Thu, 16 Nov 2023 20:13:20 +0000"));
    rule("S9", "after", &later);
    let early = native(|maker| maker.changelog("native", "1.0", "Mon, 01 Jan 1979 00:00:00 +0000"));
    rule("S9", "1980", &early);
    let binary_only = native(|maker| {
        let text = "native (1.0) stable; urgency=low, binary-only=yes\n\n  * X.\n\n -- A <a@example.org>  Tue, 14 Nov 2023 20:13:20 +0000\n";
        maker.write("debian/changelog", text);
    });
    rule("S9", "binary-only", &binary_only);

    let mut maker = Maker::native();
    maker.at(now().unix() + 86_400);
    rule("S9", "after", &maker.declare(&maker.tag("v1.0")).unwrap_err());
}

#[test]
fn a_format_that_is_not_derived_is_named() {
    let error = native(|maker| maker.write("debian/source/format", "1.0\n"));
    assert!(error.to_string().contains("`1.0` is neither"), "{error}");
    let error = native(|maker| std::fs::remove_file(maker.git.join("debian/source/format")).unwrap());
    assert!(error.to_string().contains("debian/source/format"), "{error}");
    let error = native(|maker| maker.changelog("native", "1.0-1", "Tue, 14 Nov 2023 20:13:20 +0000"));
    assert!(error.to_string().contains("revision"), "{error}");
}
