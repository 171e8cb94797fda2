//! `assay snapshot`: what people see of snapshots.

use crate::support::archive::{Archive, noon};
use crate::support::mirrored::Mirrored;

fn deb(name: &str, version: &str) -> (String, Vec<u8>) {
    let path = format!("pool/main/{}/{name}/{name}_{version}_amd64.deb", &name[..1]);
    (path, format!("{name} {version}").into_bytes())
}

pub(super) fn archive(days: u32, packages: &[(&str, &str)]) -> Archive {
    let mut archive = Archive::new(noon().plus_days(days));
    archive.pool = packages.iter().map(|(name, version)| deb(name, version)).collect();
    archive
}

#[test]
fn diff_names_what_was_added_removed_and_changed() {
    let site = Mirrored::new("http://127.0.0.1:1", "");
    // A package for all architectures is listed with them, and with each.
    let with_all = |archive: Archive, all: &[u8]| archive.index("main/binary-all/Packages", all);
    let packages = [("alloy", "1"), ("brass", "1"), ("iron", "1"), ("zinc", "1")];
    let first = site.follow(&with_all(archive(0, &packages), b""));
    let packages = [("alloy", "1"), ("brass", "2"), ("copper", "1"), ("iron", "1")];
    let charm = |packages: &[_]| archive(1, packages).with("pool/main/c/charm/charm_1_all.deb", b"charm 1");
    let second = site.follow(&with_all(charm(&packages), &charm(&[]).packages()));
    let at = noon().plus_days(1);
    let (old, new) = (format!("foundry@{first}"), format!("foundry@{second}"));
    let place = "tin main/binary-amd64/Packages";
    let packages = format!(
        "added tin main/binary-all/Packages charm - 1\nversion {place} brass 1 2\nadded {place} charm - 1\n\
         added {place} copper - 1\nremoved {place} zinc 1 -\n"
    );
    assert_eq!(site.run(at, &["snapshot", "diff", &old, &new]), packages);
    // The one after is the latest unless it is named; a tag is as good a name.
    assert_eq!(site.run(at, &["snapshot", "diff", &old]), packages);
    site.run(at, &["tag", "1.0", "--snapshot", &old]);
    assert_eq!(site.run(at, &["snapshot", "diff", "foundry@1.0", "foundry"]), packages);
    assert_eq!(site.run(at, &["snapshot", "diff", "foundry@1.0", &old]), "");
    let counts = "2 added, 1 removed, 1 version, 0 bytes";
    let said = site.run(at, &["snapshot", "diff", &old, "--by", "component"]);
    let all = "tin main all 1 added, 0 removed, 0 version, 0 bytes";
    assert_eq!(said, format!("{all}\ntin main amd64 {counts}\n"));
    let said = site.run(at, &["snapshot", "diff", &old, "--by", "source"]);
    for line in [
        "tin brass - - 0 added, 0 removed, 1 version, 0 bytes\n",
        "tin charm - - 1 added, 0 removed, 0 version, 0 bytes\n",
    ] {
        assert!(said.contains(line), "{said}");
    }
    let said = site.run(at, &["snapshot", "diff", &old, "--indexes"]);
    assert!(said.contains("bytes tin main/binary-amd64/Packages.xz "), "{said}");
    assert!(!said.contains("Translation"), "{said}");

    let records = site.json(at, &["snapshot", "diff", &old, &new]);
    assert_eq!(records.len(), 5);
    let brass = records.iter().find(|record| record["package"] == "brass").unwrap();
    assert_eq!(
        (&brass["change"], &brass["component"], &brass["architecture"]),
        (&"version".into(), &"main".into(), &"amd64".into())
    );
    assert_ne!(brass["old_sha256"], brass["new_sha256"]);
}

#[test]
fn diff_is_of_one_archive() {
    let site = Mirrored::new("http://127.0.0.1:1", "");
    site.follow(&archive(0, &[("alloy", "1")]));
    let refused = site.output(noon(), &["snapshot", "diff", "foundry", "other"]);
    assert_eq!(refused.status.code(), Some(2));
    let absent = site.output(noon(), &["snapshot", "diff", "foundry@2026010101"]);
    assert_eq!(absent.status.code(), Some(2));
}
