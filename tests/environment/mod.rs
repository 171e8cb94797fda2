//! Tests of `environment`: real apt resolves, real mmdebstrap builds, on real Debian packages.

mod compare;
mod fetch;
pub(crate) mod fixture;
mod order;
mod recorded;

use std::path::PathBuf;
use std::process::Command;

use assay::domain::{Coded, Sha256, Timestamp};
use assay::environment::{EnvironmentError, LockedChroot, SnapshotInput, locked_archive, resolve, set_digest};
use assay::trust::ArchiveKey;
use fixture::{Served, amd64, chroot, inputs, served};

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
        "perl-base",
    ] {
        assert!(names.contains(&wanted), "{wanted} is missing");
    }
    assert!(names.is_sorted(), "{names:?}");
    assert!(packages.len() < 300, "recommended packages came along: {names:?}");
    let work = tempfile::tempdir().unwrap();
    let again = resolve(&inputs().0, "debhelper-compat (= 13)", &amd64(), work.path()).unwrap();
    assert_eq!(
        set_digest(&amd64(), &again).unwrap(),
        set_digest(&amd64(), packages).unwrap()
    );
    assert_eq!(
        std::fs::read_dir(work.path()).unwrap().count(),
        0,
        "nothing is left over"
    );
}

/// A small distribution: each package is a line `name version depends hash-seed`.
fn small(archive: &str, packages: &[(&str, &str, &str, &str)]) -> SnapshotInput {
    let mut index = String::new();
    for (name, version, depends, seed) in packages {
        let essential = if *name == "base-files" { "Essential: yes\n" } else { "" };
        index.push_str(&format!(
            "Package: {name}\nVersion: {version}\nArchitecture: all\n{essential}Maintainer: x <x@example.org>\n\
             Depends: {depends}\nRecommends: unwanted\nFilename: pool/main/{name}_{version}.deb\nSize: 10\nSHA256: {}\n\n",
            Sha256::of(seed.as_bytes())
        ));
    }
    let mut input = inputs().0[0].clone();
    input.locked.archive = archive.parse().unwrap();
    input.packages = vec![index.replace("Depends: \n", "").into_bytes()];
    input
}

fn base() -> SnapshotInput {
    small(
        "base",
        &[
            ("base-files", "1", "", "a"),
            ("apt", "1", "", "b"),
            ("build-essential", "1", "", "c"),
            ("fakeroot", "1", "", "d"),
            ("unwanted", "1", "", "e"),
            ("foo", "1", "", "f"),
            ("bar", "1", "foo (>= 1)", "g"),
        ],
    )
}

fn names(inputs: &[SnapshotInput], wanted: &str) -> Result<Vec<String>, EnvironmentError> {
    let work = tempfile::tempdir().unwrap();
    let locked = resolve(inputs, wanted, &amd64(), work.path())?;
    Ok(locked
        .iter()
        .map(|p| format!("{}={}@{}", p.package, p.version, p.archive))
        .collect())
}

const MINIMUM: [&str; 4] = [
    "apt=1@base",
    "base-files=1@base",
    "build-essential=1@base",
    "fakeroot=1@base",
];

#[test]
fn restrictions_alternatives_and_conflicts_mean_what_debian_says() {
    let inputs = [base()];
    let more = |extra: &[&str]| {
        let mut all: Vec<String> = MINIMUM.iter().chain(extra).map(|s| (*s).to_owned()).collect();
        all.sort();
        all
    };
    assert_eq!(names(&inputs, "").unwrap(), MINIMUM);
    assert_eq!(names(&inputs, "bar").unwrap(), more(&["bar=1@base", "foo=1@base"]));
    assert_eq!(names(&inputs, "absent | foo").unwrap(), more(&["foo=1@base"]));
    assert_eq!(names(&inputs, "absent [i386], foo <nocheck>").unwrap(), MINIMUM);
    assert_eq!(names(&inputs, "foo [amd64] <!nocheck>").unwrap(), more(&["foo=1@base"]));
    for (wanted, why) in [
        ("absent", "absent"),
        ("foo (>= 2)", "foo"),
        ("bar Conflicts: foo", "foo"),
    ] {
        let error = names(&inputs, wanted).unwrap_err();
        assert_eq!(error.code(), "E-ENV-002", "{error}");
        assert!(error.to_string().contains(why), "{error}");
    }
    assert_eq!(names(&inputs, "foo; rm -rf /").unwrap_err().code(), "E-ENV-001");
}

#[test]
fn one_identity_with_two_contents_is_refused() {
    let same = small("other", &[("foo", "1", "", "f")]);
    assert!(
        names(&[base(), same], "foo")
            .unwrap()
            .contains(&"foo=1@base".to_owned())
    );
    let newer = small("other", &[("foo", "2", "", "x")]);
    assert!(
        names(&[base(), newer], "foo")
            .unwrap()
            .contains(&"foo=2@other".to_owned())
    );
    let swapped = small("other", &[("foo", "1", "", "x")]);
    let error = names(&[base(), swapped.clone()], "foo").unwrap_err();
    assert_eq!(error.code(), "E-ENV-004", "{error}");
    assert_eq!(
        names(&[base(), swapped], "").unwrap(),
        MINIMUM,
        "it does not matter when it is not installed"
    );
}

#[test]
fn the_locked_archive_offers_the_lock_and_nothing_else() {
    let inputs = [base()];
    let work = tempfile::tempdir().unwrap();
    let mut packages = resolve(&inputs, "bar", &amd64(), work.path()).unwrap();
    let now = Timestamp::from_unix(fixture::EPOCH);
    let key = ArchiveKey::generate("test", now).unwrap();
    let archive = locked_archive(&amd64(), &packages, &inputs, &key, now).unwrap();
    let index = String::from_utf8(archive.files["dists/lock/main/binary-amd64/Packages"].clone()).unwrap();
    assert_eq!(index.matches("Package: ").count(), 6);
    assert!(!index.contains("unwanted_"), "{index}");
    assert!(index.contains("\nFilename: base/pool/main/foo_1.deb\n"), "{index}");
    let pool: Vec<&str> = archive.pool.keys().map(String::as_str).collect();
    assert_eq!(pool.len(), 6);
    assert!(pool.contains(&"base/pool/main/foo_1.deb"));

    packages[0].sha256 = Sha256::of(b"another");
    let error = locked_archive(&amd64(), &packages, &inputs, &key, now).unwrap_err();
    assert_eq!(error.code(), "E-ENV-008", "{error}");
    packages[0].version = "99".parse().unwrap();
    let error = locked_archive(&amd64(), &packages, &inputs, &key, now).unwrap_err();
    assert_eq!(error.code(), "E-ENV-003", "{error}");
}

#[test]
fn the_chroot_is_the_same_bytes_for_whoever_makes_it() {
    let first = chroot();
    let second = by_another_user().unwrap_or_else(|| {
        let folder = tempfile::tempdir().unwrap();
        fixture::make(served(), folder.path()).made
    });
    assert_eq!(second, first.made);

    let listing = Command::new("tar").arg("-tf").arg(&first.tar).output().unwrap();
    let listing = String::from_utf8(listing.stdout).unwrap();
    for gone in [
        "./etc/hostname",
        "./etc/machine-id",
        "./etc/apt/sources.list",
        "./etc/apt/apt.conf.d/99mmdebstrap",
    ] {
        assert!(!listing.lines().any(|line| line == gone), "{gone}");
    }
    assert!(!listing.contains("./var/log/dpkg.log") && !listing.contains("./var/lib/apt/lists/1"));
}

/// Root asks a user with subordinate ids to make the chroot; nobody else can ask another.
fn by_another_user() -> Option<LockedChroot> {
    if fixture::own_uid() != 0 {
        return None;
    }
    let subordinate = std::fs::read_to_string("/etc/subuid").ok()?;
    let user = subordinate.lines().next()?.split(':').next()?.to_owned();
    let program = std::env::current_exe().unwrap();
    let run = |args: &[&str]| {
        Command::new("runuser")
            .args(["-u", &user, "--"])
            .args(args)
            .output()
            .unwrap()
    };
    if !run(&["test", "-x", program.to_str().unwrap()]).status.success() {
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("served.json"), serde_json::to_vec(served()).unwrap()).unwrap();
    let owned = Command::new("chown")
        .arg("-R")
        .arg(&user)
        .arg(folder.path())
        .status()
        .unwrap();
    assert!(owned.success());
    let place = format!("ASSAY_TEST_FOLDER={}", folder.path().display());
    let made = run(&[
        "env",
        &place,
        program.to_str().unwrap(),
        "--exact",
        "environment::child",
        "--ignored",
    ]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stdout));
    let bytes = std::fs::read(folder.path().join("made.json")).unwrap();
    Some(serde_json::from_slice(&bytes).unwrap())
}

#[test]
#[ignore = "run as another user by the test above"]
fn child() {
    let folder = PathBuf::from(std::env::var("ASSAY_TEST_FOLDER").unwrap());
    let served: Served = serde_json::from_slice(&std::fs::read(folder.join("served.json")).unwrap()).unwrap();
    let chroot = fixture::make(&served, &folder);
    std::fs::write(folder.join("made.json"), serde_json::to_vec(&chroot.made).unwrap()).unwrap();
}
