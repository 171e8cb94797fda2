//! What the builds behind a listed package were made in is rechecked: its snapshots, and upstream's signature on them.

use std::fs;

use assay::domain::Sha256;
use assay::environment::Lock;
use assay::publish;
use assay::snapshot::{Chain, Record};
use assay::verify::Report;

use super::{Published, admit};
use crate::admission::scenario::sha;
use crate::admission::site::Site;
use crate::support::repository::made;
use crate::support::repository::now;

fn report(published: &Published) -> Report {
    published.report(&published.store(), published.site.gate_key.public(), &published.policy)
}

/// Each finding about an environment.
fn environments(report: &Report) -> Vec<(&'static str, String)> {
    let of = report
        .problems
        .iter()
        .filter(|one| one.object.starts_with("custom/provenance/"));
    of.map(|one| (one.code, one.why.clone())).collect()
}

/// Locks this record of the mirror in place of the one before.
fn locks(lock: &mut Lock, record: &Record, packages: &str) {
    let locked = &mut lock.snapshots[0];
    let upstream = record.suites[0].upstream.as_ref().unwrap();
    (locked.id, locked.serial) = (record.id.clone(), record.serial.clone());
    (locked.inrelease_sha256, locked.release_date) = (Some(upstream.inrelease.sha256), Some(upstream.date));
    locked.packages_sha256 = vec![Sha256::of(packages.as_bytes())];
}

fn stanzas(lock: &Lock) -> String {
    let stanza = |package: &assay::environment::LockedPackage| {
        format!(
            "Package: {}\nVersion: {}\nArchitecture: {}\nMaintainer: T <t@example.org>\nFilename: {}\nSize: 1000\nSHA256: {}\n\n",
            package.package, package.version, package.architecture, package.filename, package.sha256
        )
    };
    lock.packages.iter().map(stanza).collect()
}

/// Who has the mirror's key, and neither upstream's nor the gate's, leads the gate into an environment of his own.
#[test]
fn an_environment_that_upstream_did_not_sign_is_named() {
    let mut site = Site::new();
    site.lock.packages[0].sha256 = sha("a compiler of his own");
    let packages = stanzas(&site.lock);
    let staged = site.debian.stage(&site.store, &packages);
    let chain = Chain::load(&site.store, &site.debian.archive).unwrap();
    let mut state = chain.latest().unwrap().suites[0].clone();
    state.indexes = staged.indexes;
    let record = chain.next(&site.store, vec![state], made("thief", now())).unwrap();
    publish::commit(&site.store, &record, &site.debian.key).unwrap();
    locks(&mut site.lock, &record, &packages);
    let policy = admit(&site, "1.0", "first");

    let published = Published { site, policy };
    let found = environments(&report(&published));
    assert_eq!(found.len(), 1, "{found:?}");
    let (code, why) = &found[0];
    assert_eq!(*code, "V-UPSTREAM");
    let name = format!("debian@{} (trixie)", record.serial);
    assert!(why.starts_with(&name) && why.contains("does not list"), "{why}");
}

/// A lock that names what its snapshot never listed, or a snapshot that never was: whatever made the gate take it.
#[test]
fn a_lock_that_its_snapshots_do_not_bear_out_is_named() {
    let mut site = Site::new();
    let honest = site.debian.archive.clone();
    let first = Chain::load(&site.store, &honest).unwrap().latest().cloned().unwrap();
    let before = stanzas(&site.lock);
    let mut evil = site.lock.clone();
    evil.packages[0].sha256 = sha("a compiler of his own");
    let packages = stanzas(&evil);
    let record = site.debian.commit(&site.store, &packages);
    locks(&mut site.lock, &record, &packages);
    site.lock.packages = evil.packages;
    let policy = admit(&site, "1.0", "first");
    let published = Published { site, policy };
    assert_eq!(
        environments(&report(&published)),
        [],
        "upstream signed what it was built with"
    );
    assert_ne!(before, packages);

    // The record that the gate saw is not there any more, and another one is in its place.
    let store = published.store();
    fs::remove_file(store.join(format!("state/debian/{}.json", record.n))).unwrap();
    let found = environments(&report(&published));
    assert!(!found.is_empty() && found[0].0 == "V-MISSING", "{found:?}");
    assert!(found[0].1.contains(record.serial.as_str()), "{found:?}");
    assert_eq!(first.n + 1, record.n);
}

/// In a store without the mirror nothing can be said of it, and that is said.
#[test]
fn what_is_in_another_store_is_not_called_verified() {
    let published = Published::new();
    fs::remove_dir_all(published.store().join("state/debian")).unwrap();
    let report = report(&published);
    assert_eq!(environments(&report), []);
    assert_eq!(report.environments, 0);
    let [open] = &report.not_rechecked[..] else {
        panic!("{report:?}");
    };
    assert_eq!(open.code, "V-NOT-RECHECKED");
    assert!(
        open.why.contains("no snapshot of `debian` is in this store"),
        "{open:?}"
    );
}
