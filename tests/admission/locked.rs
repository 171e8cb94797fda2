//! `assay.lock`: which bytes of every declared source are admitted. And what is built with what is.

use assay::domain::Sha256;
use assay::environment::{Declared, LockedPackage, SourceName, snapshot_input};
use assay::format::deb822::Stanzas;
use assay::format::packages::Binary;
use assay::format::site_lock::SiteLock;
use assay::publish::{Locking, lock_site, locked_records, select_packages};
use assay::snapshot::Chain;

use super::site::Site;
use crate::support::repository::Repository;

#[test]
fn every_admitted_file_of_a_declared_version_is_locked() {
    let site = Site::new();
    let chains = || vec![Chain::load(&site.store, &site.archive).unwrap()];
    let declared = |built: &super::site::Built| Declared {
        name: SourceName {
            archive: site.archive.clone(),
            source: built.scenario.candidate.declaration.source.clone(),
        },
        declaration: built.scenario.candidate.declaration.clone(),
        environment: Vec::new(),
        architecture: "amd64".parse().unwrap(),
    };
    let (old, new) = (site.build("1.0", "first"), site.build("1.1", "second"));
    let both = [declared(&old), declared(&new)];
    let admitted = site.admit(&old).unwrap().decision;

    let Locking { lock, left, .. } = lock_site(&site.store, &chains(), &both).unwrap();
    let locked: Vec<(String, Sha256)> = lock
        .outputs
        .iter()
        .map(|(output, sha256)| (output.path.to_string(), *sha256))
        .collect();
    let files: Vec<(String, Sha256)> = admitted
        .files
        .iter()
        .map(|(path, sha)| (path.to_string(), *sha))
        .collect();
    assert_eq!(locked, files);
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].declaration.version.as_str(), "1.1");

    assert!(site.admit(&new).unwrap().decision.admitted);
    let Locking { lock: later, left, .. } = lock_site(&site.store, &chains(), &both).unwrap();
    assert_eq!(
        left[0].declaration.version.as_str(),
        "1.0",
        "its suite has another version now"
    );
    assert_ne!(later.archives, lock.archives);
    // The old lock names the snapshot that still has it.
    let (records, problems) = locked_records(&site.store, &chains(), &lock).unwrap();
    assert_eq!(problems, []);
    assert_eq!(records[0].n, 1);

    // As a manifest it names each package by its bytes, of that snapshot.
    let named = |lock: &SiteLock| {
        let record = vec![records[0].clone()];
        select_packages(&site.store, record, &lock.manifest().unwrap()).unwrap()
    };
    let selection = named(&lock);
    assert!(selection.missing.is_empty(), "{:?}", selection.missing);
    let packages = files
        .iter()
        .filter(|(path, _)| path.ends_with(".deb") || path.ends_with(".dsc"));
    let held = selection.parts[0].pool_files().unwrap();
    for (path, sha256) in packages {
        let found = held.iter().find(|(held, _)| held.as_str() == path);
        assert_eq!(found.map(|(_, digest)| digest.sha256), Some(*sha256), "{path}");
    }
    let mut other = lock.clone();
    for sha256 in other.outputs.values_mut() {
        *sha256 = Sha256::of(b"other bytes");
    }
    assert!(!named(&other).missing.is_empty());

    let mut forged = lock.clone();
    let (first, _) = forged.outputs.pop_first().unwrap();
    forged.outputs.insert(first.clone(), Sha256::of(b"other bytes"));
    let (_, problems) = locked_records(&site.store, &chains(), &forged).unwrap();
    assert_eq!(problems.len(), 1);
    assert!(problems[0].why.contains(first.path.as_str()), "{problems:?}");
}

#[test]
fn what_is_built_with_a_package_of_ours_rests_on_its_decision() {
    let mut site = Site::new();
    let first = site.admit(&site.build("1.0", "first")).unwrap();
    let chain = Chain::load(&site.store, &site.archive).unwrap();
    let record = chain.latest().unwrap();
    let input = snapshot_input(
        &site.store,
        record,
        &record.suites[0].suite,
        &["main".parse().unwrap()],
        &"amd64".parse().unwrap(),
    )
    .unwrap();
    let stanza = Stanzas::new(&input.packages[0]).next().unwrap().unwrap();
    let binary = Binary::from_stanza(&stanza).unwrap();
    site.lock.packages.push(LockedPackage {
        package: binary.package,
        version: binary.version,
        architecture: binary.architecture,
        sha256: binary.digest.sha256,
        size: binary.digest.size,
        filename: binary.filename,
        archive: site.archive.clone(),
        suite: record.suites[0].suite.clone(),
        source: binary.source,
        source_version: binary.source_version,
    });
    site.lock.snapshots.push(input.locked);

    let second = site.admit(&site.build("1.1", "second")).unwrap();
    let decision = &second.decision;
    assert!(decision.admitted, "{}", assay::admission::explain(decision));
    let by = ("dependency-decision".to_owned(), first.decision_sha256.unwrap());
    assert!(decision.inputs.contains(&by), "{:?}", decision.inputs);
    let count = |level: &str| decision.dependencies.as_ref().unwrap().get(level).copied();
    assert_eq!(count("SLSA_BUILD_REPRODUCED"), Some(1), "{:?}", decision.dependencies);
    assert_eq!(count("ASSAY_UPSTREAM_SIGNED"), Some(2));

    let (_, evidence) = site.prepare(&site.build("1.2", "third"));
    assert_eq!(evidence.previous.len(), 2, "the snapshots of 1.1's environment");
}

/// Rule E3: whoever has the key of a custom archive that environments come from signs for no upstream.
#[test]
fn a_custom_archive_has_no_packages_that_an_upstream_signed() {
    let mut site = Site::new();
    let mut other = Repository::new("file:///nowhere");
    other.archive = "tools".parse().unwrap();
    let sha256 = Sha256::of(b"a compiler of whoever has that key");
    let packages = format!(
        "Package: cc\nVersion: 1\nArchitecture: amd64\nMaintainer: T <t@example.org>\n\
         Filename: pool/main/cc.deb\nSize: 1000\nSHA256: {sha256}\n\n"
    );
    let record = other.commit(&site.store, &packages);
    let mut snapshot = site.lock.snapshots[0].clone();
    let mut package = site.lock.packages[0].clone();
    let upstream = record.suites[0].upstream.as_ref().unwrap();
    snapshot.archive = other.archive.clone();
    (snapshot.id, snapshot.serial) = (record.id.clone(), record.serial.clone());
    snapshot.inrelease_sha256 = Some(upstream.inrelease.sha256);
    snapshot.release_date = Some(upstream.date);
    snapshot.packages_sha256 = vec![Sha256::of(packages.as_bytes())];
    (package.package, package.version) = ("cc".parse().unwrap(), "1".parse().unwrap());
    (package.archive, package.suite, package.sha256) = (other.archive.clone(), other.suite.clone(), sha256);
    site.lock.snapshots.push(snapshot);
    site.lock.packages.push(package);
    let decision = site
        .admit(&site.build_as("1.0", "first", |scenario| {
            scenario.rule(|policy| policy.environments.clear());
        }))
        .unwrap()
        .decision;
    assert!(!decision.admitted);
    let broken: Vec<&str> = decision
        .rules
        .iter()
        .filter(|rule| !rule.passed)
        .map(|rule| rule.id.as_str())
        .collect();
    assert_eq!(broken, ["E3"], "{}", assay::admission::explain(&decision));
}
