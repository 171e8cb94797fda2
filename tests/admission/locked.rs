//! `assay.lock`: which bytes of every declared source are admitted.

use assay::domain::Sha256;
use assay::environment::{Declared, SourceName};
use assay::publish::{lock_site, locked_records};
use assay::snapshot::Chain;

use super::site::Site;

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

    let (lock, left) = lock_site(&site.store, &chains(), &both).unwrap();
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
    let (later, left) = lock_site(&site.store, &chains(), &both).unwrap();
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

    let mut forged = lock.clone();
    let (first, _) = forged.outputs.pop_first().unwrap();
    forged.outputs.insert(first.clone(), Sha256::of(b"other bytes"));
    let (_, problems) = locked_records(&site.store, &chains(), &forged).unwrap();
    assert_eq!(problems.len(), 1);
    assert!(problems[0].why.contains(first.path.as_str()), "{problems:?}");
}
