//! Tests of `verify`: whatever is changed in the store, the reader says so, and names it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use assay::admission::identity;
use assay::domain::{ArchiveName, PolicyName};
use assay::host::Progress;
use assay::publish::load_records;
use assay::site::Policy;
use assay::store::LocalStore;
use assay::trust::{Ed25519Key, Ed25519Public, Keyring};
use assay::verify::{Anchor, AnchorKind, Anchors, Proof, Report, Subject, find, verify, why};

use crate::admission::scenario::secret_key;
use crate::admission::site::Site;
use crate::support::repository::now;

/// A custom archive with one package, and what its verifier trusts.
struct Published {
    site: Site,
    policy: Policy,
}

impl Published {
    fn new() -> Self {
        let site = Site::new();
        let built = site.build("1.0", "first");
        let policy = built.scenario.policy.clone();
        for record in &built.scenario.evidence.records {
            site.sign(record, &secret_key(record.builder.as_str()));
        }
        let declaration = identity(&built.scenario.candidate.declaration).unwrap();
        let records = load_records(&site.store, &site.archive, &declaration, &policy).unwrap();
        assert!(site.admit_with(&built, &records).unwrap().decision.admitted);
        Self { site, policy }
    }

    fn anchors(&self, gate: Ed25519Public, policy: &Policy) -> Anchors {
        let certificate = self.site.archive_key.certificate_armored().unwrap();
        let policies = BTreeMap::from([(PolicyName::new("default").unwrap(), policy.clone())]);
        let custom = Anchor {
            name: ArchiveName::new("custom").unwrap(),
            keyring: Keyring::parse(certificate.as_bytes()).unwrap(),
            kind: AnchorKind::Custom { policies },
        };
        Anchors {
            archives: vec![custom],
            gate,
        }
    }

    /// The report on a store, without what the fixture's unpublished mirror gives.
    fn report(&self, store: &Path, gate: Ed25519Public, policy: &Policy) -> Report {
        let store = LocalStore::open(store).unwrap();
        let anchors = self.anchors(gate, policy);
        let mut report = verify(&store, &anchors, now(), &Progress::hidden()).unwrap();
        report.problems.retain(|problem| !problem.object.starts_with("debian/"));
        report
    }

    fn problems(&self, store: &Path) -> Vec<(String, &'static str)> {
        let report = self.report(store, self.site.gate_key.public(), &self.policy);
        report
            .problems
            .into_iter()
            .map(|problem| (problem.object, problem.code))
            .collect()
    }

    fn store(&self) -> std::path::PathBuf {
        self.site.folder.path().join("store")
    }
}

/// Every object below `folder`, relative to it.
fn objects(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut todo = vec![folder.to_owned()];
    while let Some(next) = todo.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                todo.push(path);
            } else {
                found.push(path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    found.retain(|name| !name.contains(".tmp-"));
    found
}

/// Gives one name other bytes; other links of the same object keep theirs.
fn replace(path: &Path, bytes: &[u8]) {
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
}

#[test]
fn an_untouched_store_verifies() {
    let published = Published::new();
    let report = published.report(&published.store(), published.site.gate_key.public(), &published.policy);
    assert_eq!(report.problems, []);
    assert!(report.packages >= 2 && report.releases >= 2, "{report:?}");
}

#[test]
fn one_flipped_byte_of_any_public_object_is_found_and_named() {
    let published = Published::new();
    let store = published.store();
    let names: Vec<String> = objects(&store)
        .into_iter()
        .filter(|n| n.starts_with("custom/") || n == "state/custom/1.json")
        .collect();
    assert!(names.len() >= 25, "{names:?}");
    for name in names {
        let path = store.join(&name);
        let good = fs::read(&path).unwrap();
        let mut bad = good.clone();
        // An index without packages has no bytes to flip: one too many is as bad.
        match bad.get_mut(good.len() / 2) {
            Some(byte) => *byte ^= 1,
            None => bad.push(b'x'),
        }
        replace(&path, &bad);
        let problems = published.problems(&store);
        assert!(!problems.is_empty(), "{name}: nobody noticed");
        for (object, code) in &problems {
            assert_eq!(object, &name, "{code}, of {problems:?}");
        }
        replace(&path, &good);
    }
    assert_eq!(published.problems(&store), []);
}

#[test]
fn what_is_missing_or_added_is_named() {
    let published = Published::new();
    let store = published.store();
    let deb = objects(&store).into_iter().find(|name| name.ends_with(".deb")).unwrap();
    let bytes = fs::read(store.join(&deb)).unwrap();
    fs::remove_file(store.join(&deb)).unwrap();
    assert_eq!(published.problems(&store), [(deb.clone(), "V-MISSING")]);
    fs::write(store.join(&deb), &bytes).unwrap();
    let extra = deb.replace("hello_1.0", "hello_6.6");
    fs::write(store.join(&extra), &bytes).unwrap();
    assert_eq!(published.problems(&store), [(extra, "V-UNNAMED")]);
}

#[test]
fn another_gate_or_a_revoked_builder_proves_nothing() {
    let published = Published::new();
    let other = Ed25519Key::generate().public();
    let report = published.report(&published.store(), other, &published.policy);
    assert!(
        report.problems.iter().any(|problem| problem.code == "V-SIGNATURE"),
        "{:?}",
        report.problems
    );

    let mut policy = published.policy.clone();
    policy.builders[0].revoked_at = Some(now());
    let report = published.report(&published.store(), published.site.gate_key.public(), &policy);
    assert!(
        report.problems.iter().any(|problem| problem.code == "V-EVIDENCE"),
        "{:?}",
        report.problems
    );
}

#[test]
fn why_proves_each_hop_that_needs_no_git_and_refutes_a_swapped_file() {
    let published = Published::new();
    let anchors = published.anchors(published.site.gate_key.public(), &published.policy);
    let store = LocalStore::open(&published.store()).unwrap();
    let subject = Subject::Package("hello".parse().unwrap());
    let found = find(&store, &anchors, &subject).unwrap().unwrap();
    let chain = why(&store, &anchors, &found, None, now());
    let proven: Vec<&str> = chain
        .hops
        .iter()
        .filter(|hop| hop.proof == Proof::Proven)
        .map(|hop| hop.hop)
        .collect();
    assert_eq!(proven[..4], ["release", "index", "file", "decision"], "{chain:#?}");
    assert_eq!(proven.iter().filter(|hop| **hop == "rebuild").count(), 2, "{chain:#?}");
    let source = chain.hops.iter().find(|hop| hop.hop == "source").unwrap();
    assert_eq!(source.proof, Proof::Unknown);

    let deb = published.store().join("custom").join(&chain.file);
    let mut bytes = fs::read(&deb).unwrap();
    bytes[100] ^= 1;
    replace(&deb, &bytes);
    let chain = why(&store, &anchors, &found, None, now());
    let file = chain.hops.iter().find(|hop| hop.hop == "file").unwrap();
    assert_eq!((file.proof, chain.proof()), (Proof::Refuted, Proof::Refuted));
}
