//! Tests of manifests: each form, and what is refused.

use super::*;

const V1: &str = "---
origin_references:
  debian:
    reference: '2017060904'
  debian-security:
    reference: '2017070403'
  torproject:
    reference: unknown
packages:
  binary:
  - arch: amd64
    package: acl
    version: 2.2.52-3+b1
  - arch: all
    package: adduser
    version: '3.118'
  - arch: amd64
    package: zenity-common
    version: 3.22.0-1+b1
  - arch: amd64
    package: zenity
    version: 3.22.0-1+b1
  source:
  - package: syslinux
    version: 3:6.03+dfsg-14.1
";

fn parse(text: &str) -> Result<Manifest, FormatError> {
    Manifest::parse(text.as_bytes())
}

fn names(list: &[Wanted]) -> Vec<String> {
    list.iter().map(ToString::to_string).collect()
}

#[test]
fn tails_manifests_are_read_and_written_to_the_byte() -> Result<(), FormatError> {
    let manifest = parse(V1)?;
    assert_eq!(
        names(&manifest.binaries),
        [
            "acl 2.2.52-3+b1 amd64",
            "adduser 3.118 all",
            "zenity-common 3.22.0-1+b1 amd64",
            "zenity 3.22.0-1+b1 amd64"
        ]
    );
    assert_eq!(names(&manifest.sources), ["syslinux 3:6.03+dfsg-14.1 source"]);
    let origins: Vec<_> = manifest.origins.iter().map(|(a, n)| format!("{a} {n:?}")).collect();
    assert_eq!(origins.len(), 3);
    assert!(
        origins[0].contains("2017060904") && origins[2].ends_with("None"),
        "{origins:?}"
    );
    assert_eq!(String::from_utf8(manifest.to_v1()).unwrap(), V1);
    let again = V1.replace(
        "  - arch: all",
        "  - arch: amd64\n    package: acl\n    version: 2.2.52-3+b1\n  - arch: all",
    );
    assert_eq!(parse(&again)?, manifest, "a package that is there twice is one");
    Ok(())
}

#[test]
fn hand_written_manifests_may_look_otherwise() -> Result<(), FormatError> {
    let other = "# ours\npackages:\n    binary:\n      -\n        package: \"acl\"   # why\n        explanation: it's so\n        arch: 'amd64'\n        version: 3.10\n";
    assert_eq!(names(&parse(other)?.binaries), ["acl 3.10 amd64"]);
    assert_eq!(
        parse("---\norigin_references:\n  debian:\n    reference: latest\npackages: {}\n")?.binaries,
        []
    );
    Ok(())
}

#[test]
fn hashes_stand_beside_what_a_first_reader_knows() -> Result<(), FormatError> {
    let mut manifest = parse(V1)?;
    manifest.git_commit = GitOid::new("a".repeat(40)).ok();
    manifest.environment = Some(Sha256::of(b"lock"));
    manifest.binaries[0].details = Details {
        sha256: Some(Sha256::of(b"acl")),
        size: Some(3),
        archive: ArchiveName::new("debian").ok(),
        suite: SuiteName::new("stretch").ok(),
        component: Component::new("main").ok(),
        source: PackageName::new("acl").ok(),
        source_version: Version::new("2.2.52-3").ok(),
        input_id: Some(Sha256::of(b"inputs")),
        path: None,
    };
    let written = String::from_utf8(manifest.to_v2()).unwrap();
    assert!(
        written.contains("  - arch: amd64\n    archive: debian\n    component: main\n"),
        "{written}"
    );
    assert!(
        written.contains("format: '2'\n") && written.contains("    size: '3'\n"),
        "{written}"
    );
    assert_eq!(parse(&written)?, manifest);
    assert!(parse(&written.replace("format: '2'\n", "")).is_err());
    Ok(())
}

#[test]
fn what_two_readers_could_read_in_two_ways_is_refused() {
    for (from, to) in [
        ("reference: '2017060904'", "reference: '20170609"),
        ("reference: '2017060904'", "reference: '2017060904' x"),
        ("reference: '2017060904'", "reference:"),
        ("reference: '2017060904'", "reference: ~"),
        ("reference: '2017060904'", "ref: '2017060904'"),
        ("reference: '2017060904'", "reference: &a x"),
        ("reference: '2017060904'", "reference: >\n      x"),
        ("reference: '2017060904'", "reference: \"\\x41\""),
        ("reference: '2017060904'", "reference: ../x"),
        ("    package: acl", "    package: !!str acl"),
        ("    package: acl", "    package: {a: b}"),
        ("    package: acl", "    package: ../acl"),
        ("    package: acl", "    package: acl\n    package: acl"),
        ("    package: acl", "   package: acl"),
        ("    package: acl", "     package: acl"),
        ("    package: acl", "\tpackage: acl"),
        ("    package: acl", "    package: a: b"),
        ("    package: acl\n", ""),
        ("    version: '3.118'\n", ""),
        ("  - arch: all\n", "  - "),
        ("  binary:", "  binaries:"),
        (
            "  source:\n",
            "  source:\n  - arch: amd64\n    package: x1\n    version: '1'\n",
        ),
        ("packages:", "---\npackages:"),
        ("packages:", "format: '3'\npackages:"),
        ("packages:", "more: x\npackages:"),
        ("amd64\n", "amd64\r\n"),
        ("---\n", "--- x\n"),
        ("---\n", "%YAML 1.1\n---\n"),
    ] {
        assert!(V1.contains(from), "{from:?}");
        let text = V1.replacen(from, to, 1);
        assert!(parse(&text).is_err(), "{from:?} -> {to:?}");
    }
    let deep = format!("---\n{}x", "- ".repeat(200_000));
    assert!(parse(&deep).is_err());
    let error = parse(&V1.replace("'3.118'", "[3]")).unwrap_err().to_string();
    assert!(error.contains("line 16"), "{error}");
}

#[test]
fn lists_of_dpkg_and_mmdebstrap_are_read() -> Result<(), FormatError> {
    for (text, expected) in [
        (
            "libc6:amd64\t2.36-9\nacl\t2.3.1-3\ngone\t\n",
            ["acl 2.3.1-3 any", "libc6 2.36-9 amd64"],
        ),
        (
            "libc6:amd64 2.36-9 amd64\nacl   2.3.1-3   amd64\n",
            ["acl 2.3.1-3 amd64", "libc6 2.36-9 amd64"],
        ),
        (
            "# mmdebstrap\nacl=2.3.1-3\nlibc6:amd64=2.36-9",
            ["acl 2.3.1-3 any", "libc6 2.36-9 amd64"],
        ),
        (
            "acl=2.3.1-3,libc6:amd64=2.36-9\n",
            ["acl 2.3.1-3 any", "libc6 2.36-9 amd64"],
        ),
        (
            "Package: libc6:amd64\nVersion: 2.36-9\n\nPackage: acl\nVersion: 2.3.1-3\nArchitecture: all\n",
            ["acl 2.3.1-3 all", "libc6 2.36-9 amd64"],
        ),
        (
            "Package: libc6\nStatus: install ok installed\nVersion: 2.36-9\nArchitecture: i386\n\n\
             Package: gone\nStatus: deinstall ok config-files\nVersion: 1\nArchitecture: all\n\n\
             Package: acl\nStatus: hold ok installed\nVersion: 2.3.1-3\nArchitecture: amd64\n",
            ["acl 2.3.1-3 amd64", "libc6 2.36-9 i386"],
        ),
    ] {
        assert_eq!(names(&parse(text)?.binaries), expected, "{text}");
    }
    for bad in [
        "",
        "\n\n",
        "acl\n",
        "acl 1 2 3\n",
        "acl:amd64 1 i386\n",
        "Acl 1\n",
        "acl=\n",
        "acl=1 x\n",
        "../x 1\n",
    ] {
        assert!(parse(bad).is_err(), "{bad:?}");
    }
    Ok(())
}

#[test]
fn architectures_admit_what_dpkg_would() -> Result<(), crate::domain::DomainError> {
    let [amd64, i386] = [Architecture::new("amd64")?, Architecture::new("i386")?];
    assert!(WantedArchitecture::Any.admits(&i386));
    assert!(WantedArchitecture::Native(amd64.clone()).admits(&Architecture::all()));
    assert!(!WantedArchitecture::Native(amd64.clone()).admits(&i386));
    assert!(!WantedArchitecture::Exactly(amd64).admits(&Architecture::all()));
    Ok(())
}

#[test]
fn manifests_are_merged() -> Result<(), FormatError> {
    let mut manifest = parse(V1)?;
    manifest.merge(parse("---\norigin_references:\n  torproject:\n    reference: '2017070401'\n  debian:\n    reference: '2017070402'\npackages:\n  binary:\n  - arch: all\n    package: aaa\n    version: '1'\n")?);
    assert_eq!(names(&manifest.binaries)[0], "aaa 1 all");
    let name = |archive: &str| {
        manifest.origins[&ArchiveName::new(archive).unwrap()]
            .as_ref()
            .map(ToString::to_string)
    };
    assert_eq!(name("debian").as_deref(), Some("2017060904"));
    assert_eq!(name("torproject").as_deref(), Some("2017070401"));
    Ok(())
}
