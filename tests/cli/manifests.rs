//! Build manifests on the command line: made from logs, compared.

use std::fs;

use super::{assay, text};

const DEBS: &str = "\
acl 2.2.52-3+b1 http://x.example/debian/2017060904/pool/main/a/acl/acl_2.2.52-3+b1_amd64.deb
adduser 3.118 http://x.example/debian/2017060904/pool/main/a/adduser/adduser_3.118_all.deb
";
const BINARIES: &str = "\
acl 2.2.52-3+b1 http://x.example/debian/2017060904/pool/main/a/acl/acl_2.2.52-3+b1_amd64.deb
libc6 2.24-11 http://x.example/debian-security/2017070403/pool/updates/main/g/glibc/libc6_2.24-11_amd64.deb
";
const SOURCES: &str = "\
syslinux 3:6.03+dfsg-14.1 http://x.example/debian/2017060904/pool/main/s/syslinux/syslinux_6.03+dfsg-14.1.dsc
syslinux 3:6.03+dfsg-14.1 http://x.example/debian/2017060904/pool/main/s/syslinux/syslinux_6.03+dfsg.orig.tar.xz
";
const V1: &str = "\
---
origin_references:
  debian:
    reference: '2017060904'
  debian-security:
    reference: '2017070403'
packages:
  binary:
  - arch: amd64
    package: acl
    version: 2.2.52-3+b1
  - arch: all
    package: adduser
    version: '3.118'
  - arch: amd64
    package: libc6
    version: 2.24-11
  source:
  - package: syslinux
    version: 3:6.03+dfsg-14.1
";

#[test]
fn a_manifest_is_made_from_what_a_build_fetched() {
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("logs");
    fs::create_dir(&logs).unwrap();
    let build = |more: &[&str]| {
        assay(
            folder.path(),
            &[&["manifest", "build", "--logs", "logs"], more].concat(),
        )
    };
    let nothing = build(&[]);
    assert_eq!(nothing.status.code(), Some(2), "{nothing:?}");
    // Sources alone are what is left when the other log was lost.
    fs::write(logs.join("srcuris"), SOURCES).unwrap();
    for lost in [false, true] {
        if lost {
            fs::write(logs.join("binuris"), "").unwrap();
        }
        let sources = build(&[]);
        assert_eq!(sources.status.code(), Some(2), "{sources:?}");
        assert!(
            sources.stdout.is_empty() && text(&sources.stderr).contains("no binary package"),
            "{sources:?}"
        );
    }
    for (name, log) in [("deburis", DEBS), ("binuris", BINARIES), ("srcuris", SOURCES)] {
        fs::write(logs.join(name), log).unwrap();
    }
    let made = build(&["--v1"]);
    assert!(made.status.success(), "{}", text(&made.stderr));
    assert_eq!(text(&made.stdout), V1);
    let second = text(&build(&[]).stdout);
    assert!(second.contains("    archive: debian-security\n"), "{second}");
    // What the logs miss.
    let extra = "---\npackages:\n  binary:\n  - arch: amd64\n    package: zenity\n    version: 3.22.0-1+b1\n";
    fs::write(folder.path().join("extra"), extra).unwrap();
    assert!(text(&build(&["--extra", "extra"]).stdout).contains("zenity"));
    // A build that did what was not captured has no manifest.
    fs::write(logs.join("unknown"), "").unwrap();
    let refused = build(&[]);
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    assert!(refused.stdout.is_empty(), "{refused:?}");
    fs::remove_file(logs.join("unknown")).unwrap();
    for bad in [
        "acl 1\n",
        "acl 1 http://x.example/pool/acl.tar\n",
        "../acl 1 http://x.example/pool/acl_1_amd64.deb\n",
        "acl 1 http://x.example/debian/2017060905/pool/main/a/acl/acl_1_amd64.deb\n",
    ] {
        fs::write(logs.join("binuris"), bad).unwrap();
        let refused = build(&[]);
        assert_eq!(refused.status.code(), Some(3), "{bad}: {}", text(&refused.stderr));
        assert!(
            refused.stdout.is_empty() && text(&refused.stderr).contains("log of fetched packages"),
            "{}",
            text(&refused.stderr)
        );
    }
}

#[test]
fn two_manifests_are_identical_similar_or_different() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &str| fs::write(folder.path().join(name), bytes).unwrap();
    let compared = |a: &str, b: &str, more: &[&str]| {
        write("a", a);
        write("b", b);
        let run = assay(folder.path(), &[&["manifest", "diff", "a", "b"], more].concat());
        (run.status.code(), text(&run.stdout))
    };
    assert_eq!(compared(V1, V1, &[]), (Some(0), "identical\n".to_owned()));
    let later = V1.replace("2017070403", "2017070501");
    let moved = "snapshot debian-security 2017070403 2017070501\n";
    assert_eq!(compared(V1, &later, &[]), (Some(7), format!("{moved}similar\n")));
    let (code, said) = compared(&later, V1, &[]);
    assert_eq!(
        (code, said.ends_with("different\n")),
        (Some(8), true),
        "it went back: {said}"
    );
    assert_eq!(compared(V1, &later, &["--moving", "torproject"]).0, Some(8));
    let newer = V1.replace("2.24-11", "2.24-12");
    let changed = "package libc6 amd64 2.24-11 2.24-12\ndifferent\n";
    assert_eq!(compared(V1, &newer, &[]), (Some(8), changed.to_owned()));
    assert_eq!(compared(V1, &newer.replace("2017070403", "2017070501"), &[]).0, Some(8));
    // The second version of the format says more; what only one says is no difference.
    let hashed = |n: &str| {
        V1.replace("---\n", "---\nformat: '2'\n").replace(
            "    package: acl\n",
            &format!("    package: acl\n    sha256: {}\n", n.repeat(64)),
        )
    };
    assert_eq!(compared(V1, &hashed("a"), &[]).0, Some(0));
    let (code, said) = compared(&hashed("a"), &hashed("b"), &[]);
    assert_eq!(
        (code, said.contains("other bytes: 2.2.52-3+b1")),
        (Some(8), true),
        "{said}"
    );
}
