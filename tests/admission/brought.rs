//! What an upload brings beside its packages: nothing that the source does not give gets past, and nothing is deleted unseen.

use std::fs;
use std::path::Path;

use assay::domain::{Coded as _, Digest, Kind};
use assay::publish::{Incoming, Upload};

use super::incoming::{honest, names, offered};
use super::scenario::file;
use super::site::{Site, deb};

const DEB: &str = "hello_1.0_amd64.deb";

/// A `.dsc` of `hello` with this tarball.
pub(super) fn dsc(version: &str, tarball: &[u8]) -> String {
    let digest = Digest::of(tarball);
    format!(
        "Format: 3.0 (native)\nSource: hello\nBinary: hello\nArchitecture: any\nVersion: {version}\n\
         Maintainer: T <t@example.org>\nChecksums-Sha256:\n {} {} hello_{version}.tar.xz\n",
        digest.sha256, digest.size
    )
}

/// A `.buildinfo` of `hello` that says it made these files.
pub(super) fn buildinfo(version: &str, made: &[(&str, &[u8])]) -> Vec<u8> {
    let lines = made.iter().map(|(name, bytes)| {
        let digest = Digest::of(bytes);
        format!("\n {} {} {name}", digest.sha256, digest.size)
    });
    format!(
        "Format: 1.0\nSource: hello\nBinary: hello\nArchitecture: amd64\nVersion: {version}\nBuild-Architecture: amd64\n\
         Checksums-Sha256:{}\nInstalled-Build-Depends:\n bash (= 5.2.15-2+b2)\n",
        lines.collect::<String>()
    )
    .into_bytes()
}

#[test]
fn a_file_that_the_source_does_not_give_refuses_the_upload_and_stays_to_be_looked_at() {
    let site = Site::new();
    let built = site.build("1.0", "first");
    let good = deb("1.0", "first");
    let before = site.objects("");
    for (foreign, bytes) in [
        ("evil.sh", &b"#!/bin/sh\n"[..]),
        ("hello_1.0.orig.tar.gz", b"another tarball"),
        ("hello_1.0.tar.gz", b"another compression"),
        ("other_1.0.dsc", dsc("1.0", b"the tarball of 1.0").as_bytes()),
        ("hello_0.9_amd64.buildinfo", &buildinfo("0.9", &[])),
        ("other_1.0_amd64.buildinfo", &buildinfo("1.0", &[])),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let name = honest(folder.path(), "1.0", &[(DEB, &good), (foreign, bytes)]);
        let error = offered(&site, &built, folder.path(), &name).unwrap_err();
        assert_eq!(error.code(), "E-UPLOAD-007", "{foreign}: {error}");
        assert!(error.to_string().contains(foreign) && error.hint().is_some(), "{error}");
        assert_eq!(error.kind(), Kind::Refused);
        assert!(error.is_its_own() && !error.may_be_unfinished());
        let mut incoming = Incoming::look(folder.path()).unwrap();
        let said = incoming.refuse(&file(&name), &error.to_string()).unwrap();
        let mut kept = names(said.parent().unwrap());
        kept.retain(|kept| !kept.ends_with(".reason"));
        let mut wanted = vec![DEB.to_owned(), foreign.to_owned(), name];
        wanted.sort();
        assert_eq!(kept, wanted, "all of it is beside the reason");
    }
    assert_eq!(site.objects(""), before, "nothing was held");
}

#[test]
fn a_dsc_or_buildinfo_that_says_something_else_refuses_the_upload() {
    let site = Site::new();
    let built = site.build("1.0", "first");
    let (good, tarball) = (deb("1.0", "first"), &b"the tarball of 1.0"[..]);
    let right = dsc("1.0", tarball);
    let info = |made: &[(&str, &[u8])]| buildinfo("1.0", made);
    let before = site.objects("");
    let (dsc_name, info_name) = ("hello_1.0.dsc", "hello_1.0_amd64.buildinfo");
    let cases: &[(&str, Vec<u8>, &str)] = &[
        (dsc_name, b"no dsc at all".to_vec(), "dsc"),
        (
            dsc_name,
            dsc("1.0", b"another tarball").into_bytes(),
            "which Git does not give",
        ),
        (
            dsc_name,
            right.replace("3.0 (native)", "3.0 (quilt)").into_bytes(),
            "its format is",
        ),
        (
            dsc_name,
            right.replace("Binary: hello", "Binary: hello, sudo").into_bytes(),
            "sudo",
        ),
        (
            dsc_name,
            right.replace("Version: 1.0", "Version: 1:1.0").into_bytes(),
            "it is of hello 1:1.0",
        ),
        (info_name, b"x".to_vec(), "buildinfo"),
        (info_name, buildinfo("1.1", &[]), "it is of hello 1.1"),
        (
            info_name,
            info(&[(DEB, b"other bytes")]),
            "it says that hello_1.0_amd64.deb",
        ),
        (
            info_name,
            info(&[(DEB, &good), ("sudo_1.0_amd64.deb", b"x")]),
            "lists sudo_1.0_amd64.deb",
        ),
    ];
    for (name, bytes, why) in cases {
        let folder = tempfile::tempdir().unwrap();
        let changes = honest(folder.path(), "1.0", &[(DEB, &good), (name, bytes)]);
        let error = offered(&site, &built, folder.path(), &changes).unwrap_err();
        assert_eq!(error.code(), "E-UPLOAD-008", "{error}");
        assert!(
            error.to_string().contains(why) && error.to_string().contains(name),
            "{error}"
        );
        assert!(error.is_its_own() && !error.may_be_unfinished() && error.hint().is_some());
    }
    assert_eq!(site.objects(""), before, "nothing was held");

    let folder = tempfile::tempdir().unwrap();
    let all: [(&str, &[u8]); 4] = [
        (DEB, &good),
        (dsc_name, right.as_bytes()),
        ("hello_1.0.tar.xz", tarball),
        (info_name, &info(&[(DEB, &good), (dsc_name, right.as_bytes())])),
    ];
    let changes = honest(folder.path(), "1.0", &all);
    assert!(
        offered(&site, &built, folder.path(), &changes)
            .unwrap()
            .decision
            .admitted
    );
}

/// Says of other bytes than are there that they are this file.
fn claim(folder: &Path, version: &str, bytes: &[u8]) -> String {
    let there = fs::read(folder.join(DEB)).unwrap();
    let name = honest(folder, version, &[(DEB, bytes)]);
    fs::write(folder.join(DEB), there).unwrap();
    name
}

#[test]
fn an_upload_that_names_another_takes_nothing_of_it_away() {
    let folder = tempfile::tempdir().unwrap();
    let good = honest(folder.path(), "1.0", &[(DEB, &deb("1.0", "first"))]);
    let text = fs::read(folder.path().join(&good)).unwrap();
    fs::create_dir(folder.path().join("refused")).unwrap();
    for other in [good.as_str(), "hello_6.6.6_amd64.changes", "refused"] {
        let bad = "hello_6.6.6_amd64.changes";
        let content: &[u8] = if other == good { &text } else { b"x" };
        let sums = Digest::of(content);
        let list = String::from_utf8(text.clone())
            .unwrap()
            .replace(DEB, other)
            .replace("1.0", "6.6.6");
        let own = Digest::of(&deb("1.0", "first"));
        let list = list.replace("hello_6.6.6_amd64.changes", other);
        let list = list.replace(&own.sha256.to_string(), &sums.sha256.to_string());
        fs::write(folder.path().join(bad), list).unwrap();
        let mut incoming = Incoming::look(folder.path()).unwrap();
        let error = Upload::read(folder.path(), &file(bad)).unwrap_err();
        assert_eq!(error.code(), "E-UPLOAD-006", "{other}: {error}");
        assert!(error.to_string().contains(other) && error.hint().is_some(), "{error}");
        assert!(error.is_its_own() && !error.may_be_unfinished());
        incoming.refuse(&file(bad), "no").unwrap();
        assert_eq!(names(folder.path()), [good.as_str(), DEB, "refused"]);
        Upload::read(folder.path(), &file(&good)).unwrap().check().unwrap();
    }
}

#[test]
fn of_two_uploads_that_say_a_file_is_something_else_only_the_true_one_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let good = honest(folder.path(), "1.0", &[(DEB, &deb("1.0", "first"))]);
    let false_one = claim(folder.path(), "6.6.6", &deb("1.0", "other"));
    // The same file with the same bytes may well be in two: a source's tarball is.
    honest(folder.path(), "7.7.7", &[(DEB, &deb("1.0", "first"))]);
    let mut incoming = Incoming::look(folder.path()).unwrap();
    let check = |name: &str| Upload::read(folder.path(), &file(name)).unwrap().check();
    check(&good).unwrap();
    assert!(check(&false_one).unwrap_err().may_be_unfinished());
    let error = incoming.contested(&file(&false_one)).unwrap();
    assert_eq!(error.code(), "E-UPLOAD-009");
    assert!(
        error.to_string().contains(&good) && error.is_its_own() && !error.may_be_unfinished(),
        "{error}"
    );
    incoming.refuse(&file(&false_one), "no").unwrap();
    check(&good).unwrap();
    assert!(incoming.contested(&file(&good)).is_none());
}

#[test]
fn what_arrives_while_others_are_worked_through_keeps_its_files() {
    let folder = tempfile::tempdir().unwrap();
    let early = honest(folder.path(), "6.6.6", &[(DEB, &deb("1.0", "first")), ("x.sh", b"x")]);
    let mut incoming = Incoming::look(folder.path()).unwrap();
    let late = honest(folder.path(), "1.0", &[(DEB, &deb("1.0", "first"))]);
    incoming.refuse(&file(&early), "no").unwrap();
    assert_eq!(names(folder.path()), [late.as_str(), DEB, "refused"]);
}
