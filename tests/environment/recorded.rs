//! Environments out of `.buildinfo` files: which snapshots have what a build had installed.

use assay::domain::{Coded, Sha256};
use assay::environment::{Recorded, Searched, find_recorded};
use assay::format::buildinfo::Buildinfo;
use assay::site::EnvironmentSource;
use assay::snapshot::{Chain, Record};
use assay::store::LocalStore;

use super::fixture::amd64;
use crate::support::repository::Repository;

/// Two archives, `main` and `extra`, whose snapshots are made of lines `name version depends`.
struct Archives {
    folder: tempfile::TempDir,
    main: Repository,
    extra: Repository,
}

impl Archives {
    fn new() -> Self {
        let named = |name: &str| Repository {
            archive: name.parse().unwrap(),
            ..Repository::new("file:///nowhere")
        };
        Self {
            folder: tempfile::tempdir().unwrap(),
            main: named("main"),
            extra: named("extra"),
        }
    }

    fn store(&self) -> LocalStore {
        LocalStore::open(self.folder.path()).unwrap()
    }

    fn main(&self, packages: &[&str]) -> Record {
        self.main.commit(&self.store(), &index(packages))
    }

    fn extra(&self, packages: &[&str]) -> Record {
        self.extra.commit(&self.store(), &index(packages))
    }

    fn find(&self, buildinfo: &Buildinfo, only: Option<&Record>) -> Recorded {
        let searched: Vec<Searched> = [&self.main, &self.extra]
            .map(|repository| self.searched(repository, only))
            .into();
        find_recorded(&self.store(), &searched, buildinfo, &amd64()).unwrap()
    }

    fn searched(&self, repository: &Repository, only: Option<&Record>) -> Searched {
        let only = only.filter(|record| record.archive == repository.archive);
        Searched {
            chain: Chain::load(&self.store(), &repository.archive).unwrap(),
            source: EnvironmentSource {
                archive: repository.archive.clone(),
                suite: repository.suite.clone(),
                components: vec!["main".parse().unwrap()],
            },
            only: only.map(|record| assay::domain::SnapshotName::Serial(record.serial.clone())),
        }
    }
}

fn index(packages: &[&str]) -> String {
    let base = [
        "dpkg 1 -",
        "apt 1 keyring",
        "keyring 1 -",
        "build-essential 1 -",
        "fakeroot 1 -",
        "tzdata 1 -",
    ];
    let stanza = |line: &&str| {
        let words: Vec<&str> = line.split(' ').collect();
        let (name, version) = (words[0], words[1]);
        let essential = if name == "dpkg" { "Essential: yes\n" } else { "" };
        let priority = if name == "tzdata" { "required" } else { "optional" };
        let depends = words[2].replace('-', "");
        let depends = if depends.is_empty() {
            depends
        } else {
            format!("Depends: {depends}\n")
        };
        format!(
            "Package: {name}\nVersion: {version}\nArchitecture: all\n{essential}{depends}Priority: {priority}\n\
             Maintainer: x <x@example.org>\nFilename: pool/main/{name}_{version}.deb\nSize: 10\nSHA256: {}\n\n",
            Sha256::of(format!("{name} {version}").as_bytes())
        )
    };
    base.iter().chain(packages).map(stanza).collect()
}

fn buildinfo(installed: &str, date: Option<&Record>) -> Buildinfo {
    let date = date.map(|record| {
        format!(
            "Build-Date: {}\n",
            record.id.timestamp().release_date().replace("UTC", "+0000")
        )
    });
    let text = format!(
        "Format: 1.0\nSource: hello\nBinary: hello\nArchitecture: amd64\nVersion: 1.0\nChecksums-Sha256:\n {} 10 hello_1.0_amd64.deb\n\
         Build-Architecture: amd64\n{}Installed-Build-Depends: {installed}\n",
        Sha256::of(b"hello"),
        date.unwrap_or_default()
    );
    Buildinfo::parse(text.as_bytes()).unwrap()
}

/// `archive n`, in the order in which they were chosen.
fn chosen(archives: &Archives, found: &Recorded) -> Vec<String> {
    let number = |input: &assay::environment::SnapshotInput| {
        let chain = Chain::load(&archives.store(), &input.locked.archive).unwrap();
        let name = assay::domain::SnapshotName::Serial(input.locked.serial.clone());
        format!(
            "{} {}",
            input.locked.archive,
            chain.resolve(&archives.store(), &name).unwrap().n
        )
    };
    found.inputs.iter().map(number).collect()
}

fn resolved(found: &Recorded) -> (Vec<String>, Vec<String>) {
    let work = tempfile::tempdir().unwrap();
    let (packages, added) = found.resolve("", &amd64(), work.path()).unwrap();
    let spell = |p: &assay::environment::LockedPackage| format!("{}={}@{}", p.package, p.version, p.archive);
    (
        packages.iter().map(spell).collect(),
        added.iter().map(ToString::to_string).collect(),
    )
}

#[test]
fn what_a_build_had_comes_from_the_snapshot_that_has_it() {
    let archives = Archives::new();
    archives.main(&["foo 1 -", "bar 1 foo"]);
    let then = archives.main(&["foo 2 -", "bar 1 foo"]);
    archives.main(&["foo 3 -", "foo 2 -", "bar 2 foo"]);
    let buildinfo = buildinfo("dpkg (= 1), foo (= 2), bar (= 1)", Some(&then));
    let found = archives.find(&buildinfo, None);
    assert!(found.missing.is_empty());
    assert_eq!(chosen(&archives, &found), ["main 2"]);
    let (packages, added) = resolved(&found);
    assert_eq!(
        packages,
        [
            "apt=1@main",
            "bar=1@main",
            "build-essential=1@main",
            "dpkg=1@main",
            "fakeroot=1@main",
            "foo=2@main",
            "keyring=1@main",
            "tzdata=1@main"
        ]
    );
    assert_eq!(
        added,
        ["apt", "build-essential", "fakeroot", "keyring", "tzdata"],
        "what .buildinfo files leave out"
    );
}

#[test]
fn the_date_of_the_build_is_only_where_the_search_begins() {
    let archives = Archives::new();
    let old = archives.main(&["foo 1 -"]);
    let middle = archives.main(&["foo 2 -"]);
    archives.main(&["foo 3 -"]);
    for (version, date) in [("1", Some(&middle)), ("3", Some(&old)), ("2", None)] {
        let found = archives.find(&buildinfo(&format!("foo (= {version})"), date), None);
        assert_eq!(chosen(&archives, &found), [format!("main {version}")]);
        let (packages, _) = resolved(&found);
        assert!(packages.contains(&format!("foo={version}@main")), "{packages:?}");
    }
}

#[test]
fn several_archives_and_several_snapshots_may_be_needed() {
    let archives = Archives::new();
    archives.main(&["foo 1 -", "bar 1 -"]);
    archives.main(&["foo 2 -", "bar 2 -"]);
    archives.extra(&["foo 1 -"]);
    archives.extra(&["baz 1 -"]);
    // One of each is enough, though `main` alone has no snapshot with both.
    let found = archives.find(&buildinfo("foo (= 1), bar (= 2)", None), None);
    let mut both = chosen(&archives, &found);
    both.sort();
    assert_eq!(both, ["extra 1", "main 2"]);
    // Here two snapshots of one archive are.
    let found = archives.find(&buildinfo("foo (= 2), bar (= 1), baz (= 1)", None), None);
    assert!(found.missing.is_empty());
    let mut all = chosen(&archives, &found);
    all.sort();
    assert_eq!(all, ["extra 2", "main 1", "main 2"]);
    let (packages, _) = resolved(&found);
    for one in ["foo=2@main", "bar=1@main", "baz=1@extra"] {
        assert!(packages.contains(&one.to_owned()), "{packages:?}");
    }
}

#[test]
fn what_no_snapshot_has_is_said() {
    let archives = Archives::new();
    let old = archives.main(&["foo 1 -"]);
    archives.main(&["foo 2 -"]);
    let missing = |found: &Recorded| -> Vec<String> {
        found
            .missing
            .iter()
            .map(|one| format!("{} {}", one.package, one.version))
            .collect()
    };
    let wanted = buildinfo("foo (= 2), gone (= 1), foo:i386 (= 1), dpkg (= 2)", None);
    assert_eq!(missing(&archives.find(&wanted, None)), ["gone 1", "foo 1", "dpkg 2"]);
    let found = archives.find(&buildinfo("foo (= 2)", None), Some(&old));
    assert_eq!(missing(&found), ["foo 2"], "only the snapshot that was named counts");

    let mut elsewhere = buildinfo("foo (= 2)", None);
    elsewhere.build_architecture = "arm64".parse().unwrap();
    let searched = [archives.searched(&archives.main, None)];
    let error = find_recorded(&archives.store(), &searched, &elsewhere, &amd64()).unwrap_err();
    assert_eq!(error.code(), "E-ENV-012", "{error}");
}
