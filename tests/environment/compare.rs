//! Identical, similar, different; and what nobody said.

use assay::domain::Sha256;
use assay::environment::{Likeness, Lock, Side, compare};
use assay::format::json;

use crate::admission::scenario::{lock, sha, version};

fn of(lock: &Lock) -> Side {
    Side::of_lock(lock).unwrap()
}

/// The verdict, and one line for each thing.
fn compared(a: &Side, b: &Side) -> (Likeness, Vec<String>) {
    let found = compare(a, b);
    let line = |one: &assay::environment::Difference| {
        let value = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        match one.kind {
            "unsaid" => format!("unsaid {}", one.what),
            kind => format!("{kind} {} {} {}", one.what, value(&one.a), value(&one.b)),
        }
    };
    (found.likeness, found.differences.iter().map(line).collect())
}

#[test]
fn one_lock_is_identical_and_the_same_packages_are_similar() {
    let first = lock();
    assert_eq!(compared(&of(&first), &of(&first)), (Likeness::Identical, Vec::new()));
    let file = json::canonical("environment lock", &first).unwrap();
    assert_eq!(
        compared(&of(&first), &Side::read(&file).unwrap()).0,
        Likeness::Identical
    );

    let mut second = first.clone();
    second.snapshots[0].serial = "2026050102".parse().unwrap();
    second.chroot.tool_version = "1.5.8".to_owned();
    let (likeness, lines) = compared(&of(&first), &of(&second));
    assert_eq!(likeness, Likeness::Similar);
    assert_eq!(
        lines,
        [
            "origin debian/trixie 2026050101 2026050102",
            "origin mmdebstrap 1.5.7 1.5.8"
        ]
    );
}

#[test]
fn another_build_architecture_and_an_unknown_format_are_not_passed_over() {
    let first = lock();
    let mut second = first.clone();
    second.architecture = "arm64".parse().unwrap();
    let (likeness, lines) = compared(&of(&first), &of(&second));
    assert_eq!(likeness, Likeness::Different);
    assert_eq!(lines[0], "architecture build amd64 arm64");
    let built = buildinfo("gcc-14 (= 14.2.0-19)", "");
    assert_eq!(compared(&of(&first), &built).0, Likeness::Unknown);
    assert_eq!(compared(&built, &of(&second)).0, Likeness::Different);
    let mut later = first.clone();
    later.format = 2;
    let error = Side::read(&json::canonical("environment lock", &later).unwrap()).unwrap_err();
    assert!(error.to_string().contains("the format 2 is not known"), "{error}");
}

#[test]
fn any_package_that_is_not_the_same_is_named() {
    let first = lock();
    let mut second = first.clone();
    second.packages[0].version = version("14.2.0-20");
    second.packages[1].sha256 = sha("another libc6");
    let mut more = second.packages[0].clone();
    more.package = "apt".parse().unwrap();
    second.packages.push(more);
    let (likeness, lines) = compared(&of(&first), &of(&second));
    assert_eq!(likeness, Likeness::Different);
    assert_eq!(
        lines,
        [
            "version gcc-14:amd64 14.2.0-19 14.2.0-20".to_owned(),
            format!("bytes libc6:amd64 {} {}", sha("libc6"), sha("another libc6")),
            "added apt:amd64 - 14.2.0-20".to_owned(),
        ]
    );
    assert_eq!(
        compared(&of(&second), &of(&first)).1[2],
        "removed apt:amd64 14.2.0-20 -"
    );
}

fn buildinfo(installed: &str, more: &str) -> Side {
    let text = format!(
        "Format: 1.0\nSource: hello\nBinary: hello\nArchitecture: amd64\nVersion: 1.0\nChecksums-Sha256:\n {} 10 hello_1.0_amd64.deb\n\
         Build-Architecture: amd64\n{more}Installed-Build-Depends: {installed}\n",
        Sha256::of(b"hello"),
    );
    Side::read(text.as_bytes()).unwrap()
}

#[test]
fn what_a_buildinfo_does_not_say_is_not_taken_for_the_same() {
    let (likeness, lines) = compared(&of(&lock()), &buildinfo("gcc-14 (= 14.2.0-19)", ""));
    assert_eq!(likeness, Likeness::Unknown);
    assert_eq!(
        lines,
        [
            "unsaid whether the second has 1 more packages of the first",
            "unsaid the SHA-256 of 1 packages",
            "unsaid the variables of the build",
            "unsaid the build path",
        ]
    );
    let (likeness, lines) = compared(
        &of(&lock()),
        &buildinfo("gcc-14 (= 14.2.0-19), libc6 (= 2.41-13), perl (= 5)", ""),
    );
    assert_eq!(likeness, Likeness::Different);
    assert_eq!(lines[..2], ["version libc6:amd64 2.41-12 2.41-13", "added perl - 5"]);
}

#[test]
fn variables_and_build_path_count_and_processors_do_not() {
    let path = "Build-Path: /build/x\n";
    let variables = |text: &str| buildinfo("libc6 (= 2)", &format!("{path}Environment:\n{text}"));
    let first = variables(" DEB_BUILD_OPTIONS=\"parallel=4\"\n LC_ALL=\"C.UTF-8\"\n");
    let (likeness, _) = compared(
        &first,
        &variables(" DEB_BUILD_OPTIONS=\"parallel=9\"\n LC_ALL=\"C.UTF-8\"\n"),
    );
    assert_eq!(likeness, Likeness::Unknown);
    let (likeness, lines) = compared(&first, &variables(" DEB_BUILD_OPTIONS=\"nocheck\"\n LANG=\"C\"\n"));
    assert_eq!(likeness, Likeness::Different);
    assert_eq!(
        lines[..3],
        [
            "variable DEB_BUILD_OPTIONS  nocheck",
            "variable LANG - C",
            "variable LC_ALL C.UTF-8 -"
        ]
    );
    let moved = buildinfo("libc6 (= 2)", "Build-Path: /build/y\n");
    let (likeness, lines) = compared(&first, &moved);
    assert_eq!(likeness, Likeness::Different);
    assert!(
        lines.contains(&"build-path build /build/x /build/y".to_owned()),
        "{lines:?}"
    );
}

#[test]
fn a_running_system_is_compared_by_its_dpkg_status() {
    let status = "Package: gcc-14\nStatus: install ok installed\nArchitecture: amd64\nVersion: 14.2.0-19\n\n\
                  Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.41-12\n\n\
                  Package: removed\nStatus: deinstall ok config-files\nArchitecture: all\nVersion: 1\n";
    let (likeness, lines) = compared(&of(&lock()), &Side::read(status.as_bytes()).unwrap());
    assert_eq!(likeness, Likeness::Unknown);
    assert_eq!(lines[0], "unsaid the SHA-256 of 2 packages");
    let more = format!("{status}\nPackage: vim\nStatus: install ok installed\nArchitecture: amd64\nVersion: 9\n");
    let (likeness, lines) = compared(&of(&lock()), &Side::read(more.as_bytes()).unwrap());
    assert_eq!(likeness, Likeness::Different);
    assert_eq!(lines[0], "added vim:amd64 - 9");
}
