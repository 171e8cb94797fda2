//! Attacks on the gate with real files: packages that dpkg-deb made, records that builders signed and left in
//! the store, and the gate that reads all of it from there. Moved and replayed tags are in `tests/source`.

use std::fs;

use assay::admission::{RecordEvidence, explain, identity};
use assay::domain::{Digest, Sha256};
use assay::publish::{Admission, hold, load_records};
use assay::snapshot::Chain;
use assay::store::{Key, Store as _};

use super::scenario::{file, secret_key};
use super::site::{Built, Site, deb};

/// What the gate says when it reads the records from the store; the store's public part must stay as it is
/// when it refuses.
fn judged(site: &Site, built: &Built) -> Admission {
    let declaration = identity(&built.scenario.candidate.declaration).unwrap();
    let records = load_records(&site.store, &site.archive, &declaration, &built.scenario.policy).unwrap();
    let before = (site.objects("custom/pool"), site.objects("custom/dists"));
    let admission = site.admit_with(built, &records).unwrap();
    if !admission.decision.admitted {
        assert_eq!((site.objects("custom/pool"), site.objects("custom/dists")), before);
    }
    admission
}

fn broken(admission: &Admission) -> Vec<&str> {
    admission.decision.broken().map(|rule| rule.id.as_str()).collect()
}

fn said(admission: &Admission, rule: &str) -> String {
    let mut broken = admission.decision.broken().filter(|broken| broken.id == rule);
    broken
        .next()
        .unwrap_or_else(|| panic!("{}", explain(&admission.decision)))
        .evidence
        .clone()
}

/// Leaves a record as its builder signs it.
fn leave(site: &Site, record: &RecordEvidence) -> Sha256 {
    site.sign(record, &secret_key(record.builder.as_str()))
}

/// Leaves all records of a build.
fn leave_all(site: &Site, built: &Built) {
    for record in &built.scenario.evidence.records {
        leave(site, record);
    }
}

/// A package that somebody made, held as a rebuild's output.
fn made(site: &Site, version: &str, content: &str) -> Sha256 {
    let bytes = deb(version, content);
    let digest = Digest::of(&bytes);
    hold(&site.store, &site.archive, &digest, &mut &bytes[..]).unwrap();
    digest.sha256
}

#[test]
fn one_dishonest_builder_of_two_admits_nothing_and_is_named_with_the_file_that_differs() {
    let site = Site::new();
    let built = site.build("1.0", "first");
    let records = &built.scenario.evidence.records;
    leave(&site, &records[0]);
    let mut dishonest = records[1].clone();
    dishonest
        .outputs
        .insert(file("hello_1.0_amd64.deb"), made(&site, "1.0", "with a back door"));
    leave(&site, &dishonest);
    let admission = judged(&site, &built);
    assert_eq!(broken(&admission)[0], "R1");
    let a5 = said(&admission, "A5");
    assert!(a5.contains("contradict") && a5.contains("usr/share/hello/text"), "{a5}");
    // A third, honest one makes no majority: the dissent is a hold.
    let mut third = built.scenario.clone();
    let other = third.rebuild("b3").clone();
    let record = RecordEvidence {
        lock: records[0].lock,
        outputs: records[0].outputs.clone(),
        started_on: records[0].started_on,
        finished_on: records[0].finished_on,
        ..other
    };
    leave(&site, &record);
    assert!(said(&judged(&site, &built), "A5").contains("contradict"));
}

#[test]
fn two_keys_of_one_operator_are_one() {
    let site = Site::new();
    let mut built = site.build("1.0", "first");
    built
        .scenario
        .rule(|policy| policy.builders[1].operator = policy.builders[0].operator.clone());
    for record in &built.scenario.evidence.records {
        leave(&site, record);
    }
    let admission = judged(&site, &built);
    assert_eq!(broken(&admission), ["R1"]);
    assert!(said(&admission, "R1").contains("1 of 2 operators"));
}

#[test]
fn replayed_stale_and_foreign_records_count_for_nothing() {
    type Spoil = fn(&mut RecordEvidence, &RecordEvidence);
    let cases: [(&str, &str, Spoil); 3] = [
        // The first builder's nonce once more, in the other's name.
        ("R3", "issued to `b1`", |record, first| {
            record.nonce = first.nonce.clone()
        }),
        ("R3", "never issued", |record, _| record.nonce = "00".repeat(32)),
        ("R3", "older than 365 days", |record, _| {
            record.started_on = record.started_on.plus(-400 * 86_400);
            record.finished_on = record.started_on;
            // So is the nonce that it would answer.
        }),
    ];
    for (rule, words, spoil) in cases {
        let site = Site::new();
        let built = site.build("1.0", "first");
        let records = &built.scenario.evidence.records;
        leave(&site, &records[0]);
        let mut spoiled = records[1].clone();
        spoil(&mut spoiled, &records[0]);
        leave(&site, &spoiled);
        let admission = judged(&site, &built);
        let why = admission.decision.broken().find(|broken| broken.id == rule);
        let why = why.unwrap_or_else(|| panic!("{rule}: {}", explain(&admission.decision)));
        let stale = words.contains("older") && why.evidence.contains("before its nonce was issued");
        assert!(why.evidence.contains(words) || stale, "{}", why.evidence);
        assert!(said(&admission, "R1").contains("1 of 2 operators"));
    }
    // A record of another version, whose bytes are good for it, left under this one.
    let site = Site::new();
    let (old, new) = (site.build("1.0", "first"), site.build("1.1", "second"));
    leave(&site, &new.scenario.evidence.records[0]);
    let foreign = &old.scenario.evidence.records[1];
    let declaration = identity(&new.scenario.candidate.declaration).unwrap();
    let sha256 = leave(&site, foreign);
    site.store
        .create(&Key::evidence(&site.archive, &declaration, &sha256), b"")
        .unwrap();
    let admission = judged(&site, &new);
    assert!(said(&admission, "R3").contains("about the declaration"));
}

#[test]
fn a_stranger_who_writes_to_the_store_neither_admits_nor_blocks() {
    let site = Site::new();
    let built = site.build("1.0", "first");
    let records = &built.scenario.evidence.records;
    leave(&site, &records[0]);
    // The second answer is forged: by a stranger, in the builder's name.
    site.sign(&records[1], &assay::trust::Ed25519Key::generate());
    let admission = judged(&site, &built);
    assert_eq!(broken(&admission), ["R1", "R4", "R7"]);
    leave(&site, &records[1]);
    assert!(
        judged(&site, &built).decision.admitted,
        "the honest answer counts all the same"
    );
}

#[test]
fn an_extra_binary_of_one_build_and_a_reused_version_are_refused() {
    let site = Site::new();
    let built = site.build("1.0", "first");
    for record in &built.scenario.evidence.records {
        let mut record = record.clone();
        record
            .outputs
            .insert(file("stowaway_1.0_amd64.deb"), made(&site, "1.0", "stowaway"));
        leave(&site, &record);
    }
    // Both builders gave it, and still the source does not declare it; nor is the file what its name says.
    assert_eq!(broken(&judged(&site, &built)), ["B7", "V1"]);
    let site = Site::new();
    let first = site.build("1.0", "first");
    leave_all(&site, &first);
    assert!(judged(&site, &first).decision.admitted);
    let again = site.build("1.0", "the same version, other bytes");
    leave_all(&site, &again);
    let admission = judged(&site, &again);
    assert_eq!(broken(&admission), ["V1"]);
    assert!(said(&admission, "V1").contains("was admitted before"));
    assert_eq!(Chain::load(&site.store, &site.archive).unwrap().len(), 1);
}

#[test]
fn a_deb_that_is_swapped_after_the_check_is_not_published() {
    let site = Site::new();
    let built = site.build("1.0", "first");
    leave_all(&site, &built);
    let (candidate, evidence) = site.prepare(&built);
    let held = Key::held(&site.archive, &candidate.sets[0].outputs[0].digest.sha256);
    let path = site.store.local_path(&held).unwrap();
    fs::remove_file(&path).unwrap();
    fs::write(&path, deb("1.0", "swapped")).unwrap();
    let scenario = &built.scenario;
    let error = assay::publish::admit(&site.gate(), &scenario.policy, &candidate, &evidence, scenario.now).unwrap_err();
    assert!(error.to_string().contains(held.as_str()), "{error}");
    assert!(site.objects("custom/pool").is_empty() && site.objects("custom/dists").is_empty());
}
