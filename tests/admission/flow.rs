//! From records to packages that apt takes; and what a refusal, a crash, a rival and a thief change.

use std::collections::BTreeSet;
use std::fs;

use assay::admission::{Offered, identity};
use assay::domain::{Coded as _, Digest, Fingerprint, Kind};
use assay::format::dsse::{Envelope, IN_TOTO};
use assay::format::intoto::{Statement, Summary, VerificationResult};
use assay::format::json;
use assay::publish::{
    DECISIONS, GateError, add_record, admit, hold, inspect, load_records, read_decisions, read_document,
};
use assay::snapshot::{Chain, EditionName, read_index};
use assay::store::{Key, Store};
use assay::trust::{Ed25519Key, verify_envelope};

use super::scenario::{Scenario, file, secret_key};
use super::site::{Site, deb};
use crate::support::apt::{Apt, source};

#[test]
fn what_is_admitted_is_what_apt_gets_with_its_decision_beside_it() {
    let site = Site::new();
    let built = site.build("1.0", "first");
    let admission = site.admit(&built).unwrap();
    assert!(
        admission.decision.admitted,
        "{}",
        assay::admission::explain(&admission.decision)
    );
    let published = admission.published.unwrap();

    let certificate = site.folder.path().join("key.asc");
    fs::write(&certificate, site.archive_key.certificate_armored().unwrap()).unwrap();
    let apt = Apt::new(&source(
        &format!("file:{}/store/custom", site.folder.path().display()),
        "stable",
        &certificate,
    ));
    apt.update();
    assert_eq!(apt.versions("hello"), ["1.0"]);
    let said = apt.get(&["download", "hello"]);
    assert!(said.ok, "{}", said.text);

    let chain = Chain::load(&site.store, &site.archive).unwrap();
    let state = &chain.latest().unwrap().suites[0];
    let decisions = read_decisions(&site.store, &site.archive, state).unwrap();
    assert_eq!(decisions.len(), 3, "the .deb, the .dsc and the tarball");
    let sha256 = admission.decision_sha256.unwrap();
    assert!(decisions.values().all(|(_, decision)| *decision == sha256));
    let index = state
        .indexes
        .iter()
        .find(|index| index.path.as_str() == DECISIONS)
        .unwrap();
    let text = String::from_utf8(read_index(&site.store, &site.archive, &state.suite, index).unwrap()).unwrap();
    assert!(text.lines().all(|line| line.split(' ').count() == 3), "{text}");

    let envelope = read_document(&site.store, &site.archive, &sha256, 1 << 20).unwrap();
    let envelope = Envelope::parse(&envelope).unwrap();
    verify_envelope(&envelope, IN_TOTO, &[site.gate_key.public()]).unwrap();
    let statement: Statement<Summary> = json::strict("decision", &envelope.payload).unwrap();
    assert_eq!(statement.predicate.verification_result, VerificationResult::Passed);
    assert_eq!(statement.predicate.verifier.id, site.gate_fingerprint().as_str());
    for input in statement
        .predicate
        .input_attestations
        .iter()
        .filter(|i| i.name.as_deref() != Some("rebuild-record"))
    {
        let sha256 = input.digest["sha256"].parse().unwrap();
        read_document(&site.store, &site.archive, &sha256, 1 << 20).unwrap();
    }

    let before = site.objects("");
    let again = site.admit(&built).unwrap();
    assert_eq!(again.decision_sha256, None, "there was nothing to decide");
    assert_eq!(again.published.unwrap().name, published.name);
    assert_eq!(site.objects(""), before, "nothing changed");
}

#[test]
fn one_changed_byte_is_refused_signed_and_changes_nothing_else() {
    let site = Site::new();
    site.admit(&site.build("1.0", "first")).unwrap();
    let built = site.build("1.1", "second");
    let (mut candidate, _) = site.prepare(&built);
    let mut bytes = deb("1.1", "second");
    let at = bytes.len() - 10;
    bytes[at] ^= 1;
    let digest = Digest::of(&bytes);
    hold(&site.store, &site.archive, &digest, &mut &bytes[..]).unwrap();
    let name = file("hello_1.1_amd64.deb");
    candidate.sets[0].outputs = vec![inspect(&site.store, &site.archive, name, digest.sha256).unwrap()];
    candidate.offered = Offered::Upload {
        changes: Digest::of(b".changes").sha256,
    };
    let (_, evidence) = site.prepare(&built);
    let public = site.objects("custom/pool");
    let records = Chain::load(&site.store, &site.archive).unwrap().len();
    let admission = admit(
        &site.gate(),
        &built.scenario.policy,
        &candidate,
        &evidence,
        built.scenario.now,
    )
    .unwrap();
    assert!(admission.published.is_none());
    let broken: Vec<_> = admission.decision.broken().map(|rule| rule.id.as_str()).collect();
    assert!(broken.contains(&"B1"), "{broken:?}");
    assert_eq!(site.objects("custom/pool"), public);
    assert_eq!(Chain::load(&site.store, &site.archive).unwrap().len(), records);
    let declaration = admission.decision.declaration.unwrap();
    let listed = site.objects(&format!("state/custom/decisions/{declaration}"));
    assert_eq!(listed.len(), 1);
    let kept = read_document(&site.store, &site.archive, &admission.decision_sha256.unwrap(), 1 << 20).unwrap();
    let statement: Statement<Summary> = json::strict("decision", &Envelope::parse(&kept).unwrap().payload).unwrap();
    assert_eq!(statement.predicate.verification_result, VerificationResult::Failed);
}

#[test]
fn a_new_version_takes_the_place_of_the_old_whose_name_never_comes_back() {
    let site = Site::new();
    let first = site.admit(&site.build("1.0", "first")).unwrap().published.unwrap();
    let second = site.admit(&site.build("1.1", "second")).unwrap().published.unwrap();
    assert!(second.name.as_str() > first.name.as_str());
    let chain = Chain::load(&site.store, &site.archive).unwrap();
    let names = |name: &EditionName| {
        let record = chain.resolve(&site.store, &name.as_str().parse().unwrap()).unwrap();
        let decisions = read_decisions(&site.store, &site.archive, &record.suites[0]).unwrap();
        decisions
            .into_keys()
            .map(|path| path.file_name().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        names(&first.name),
        ["hello_1.0.dsc", "hello_1.0.tar.xz", "hello_1.0_amd64.deb"]
    );
    assert_eq!(
        names(&second.name),
        ["hello_1.1.dsc", "hello_1.1.tar.xz", "hello_1.1_amd64.deb"]
    );
    let old = site.admit(&site.build("1.0", "other bytes")).unwrap();
    let broken: Vec<_> = old.decision.broken().map(|rule| rule.id.as_str()).collect();
    assert_eq!(broken, ["V1", "V3"], "also though no suite holds it any more");
}

/// Rule S10 on what the store keeps: version 1 takes a signer off the list.
#[test]
fn a_signer_whom_the_last_version_removed_gets_nothing_in() {
    let site = Site::new();
    let stays = Fingerprint::new("A".repeat(40)).unwrap();
    let policy = |scenario: &mut Scenario| {
        scenario.rule(|policy| {
            let mut second = policy.signers[0].clone();
            (second.name, second.fingerprint) = ("Erin".into(), Fingerprint::new("A".repeat(40)).unwrap());
            policy.signers.push(second);
        });
    };
    let erin = assay::source::DeclaredSigner {
        scheme: assay::site::SignerScheme::Openpgp,
        fingerprint: stays.clone(),
    };
    let first = site.build_as("1.0", "first", |scenario| {
        policy(scenario);
        scenario.declare(|declaration| declaration.authorised = vec![erin.clone()]);
    });
    let admitted = site.admit(&first).unwrap().decision;
    assert!(admitted.admitted, "{}", assay::admission::explain(&admitted));
    let supersedes = identity(&first.scenario.candidate.declaration);

    // By Dana, whom the policy still lists; with a list that puts her back; without a word of what came before.
    for authorised in [Vec::new(), first.scenario.candidate.declaration.signers.clone()] {
        for follows in [supersedes, None] {
            let second = site.build_as("1.1", "second", |scenario| {
                policy(scenario);
                let authorised = authorised.clone();
                scenario.declare(|declaration| {
                    (declaration.supersedes, declaration.authorised) = (follows, authorised);
                });
            });
            let refused = site.admit(&second).unwrap().decision;
            let broken: Vec<_> = refused.broken().map(|rule| rule.id.as_str()).collect();
            assert_eq!(broken, ["S10"]);
        }
    }
    let by_erin = |text: &str| {
        site.build_as(text, text, |scenario| {
            policy(scenario);
            scenario.declare(|declaration| {
                declaration.supersedes = supersedes;
                (declaration.signers, declaration.authorised) = (vec![erin.clone()], vec![erin.clone()]);
            });
            scenario.evidence.source.as_mut().unwrap().signers[0].fingerprint = stays.clone();
        })
    };
    // Two successors are decided on at once: one is.
    let (one, two) = (by_erin("1.1"), by_erin("1.2"));
    let (candidate, evidence) = site.prepare(&two);
    let admitted = site.admit(&one).unwrap().decision;
    assert!(admitted.admitted, "{}", assay::admission::explain(&admitted));
    let lost = admit(
        &site.gate(),
        &two.scenario.policy,
        &candidate,
        &evidence,
        two.scenario.now,
    )
    .unwrap_err();
    assert!(
        matches!(&lost, GateError::Overtaken { rule, .. } if rule == "S10"),
        "{lost}"
    );
    // What was admitted stays so, also when it is decided on again.
    assert!(site.admit(&one).unwrap().decision.admitted);
}

#[test]
fn rivals_lose_nothing_and_overtake_nobody() {
    let site = Site::new();
    let newer = site.build("1.1", "second");
    let older = site.build("1.0", "first");
    // Both were decided on the same, empty, ledger.
    let prepared_newer = site.prepare(&newer);
    let prepared_older = site.prepare(&older);
    let run = |built: &super::site::Built, (candidate, evidence): &(_, _)| {
        admit(
            &site.gate(),
            &built.scenario.policy,
            candidate,
            evidence,
            built.scenario.now,
        )
    };
    run(&newer, &prepared_newer).unwrap();
    let error = run(&older, &prepared_older).unwrap_err();
    assert!(
        matches!(&error, GateError::Overtaken { rule, .. } if rule == "V3"),
        "{error}"
    );
    assert_eq!(error.kind(), Kind::Conflict);
    // Other bytes under the same name lose to the ledger itself.
    let site = Site::new();
    let (one, two) = (site.build("1.0", "one"), site.build("1.0", "two"));
    let (prepared_one, prepared_two) = (site.prepare(&one), site.prepare(&two));
    let run = |built: &super::site::Built, (candidate, evidence): &(_, _)| {
        admit(
            &site.gate(),
            &built.scenario.policy,
            candidate,
            evidence,
            built.scenario.now,
        )
    };
    run(&one, &prepared_one).unwrap();
    let error = run(&two, &prepared_two).unwrap_err();
    assert_eq!(error.code(), "E-GATE-104", "{error}");
}

#[test]
fn held_bytes_that_were_swapped_are_not_published() {
    let site = Site::new();
    let built = site.build("1.0", "first");
    let (candidate, evidence) = site.prepare(&built);
    let digest = candidate.sets[0].outputs[0].digest;
    let path = site
        .store
        .local_path(&Key::held(&site.archive, &digest.sha256))
        .unwrap();
    let mut bytes = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let at = bytes.len() - 10;
    bytes[at] ^= 1;
    fs::write(&path, bytes).unwrap();
    let result = admit(
        &site.gate(),
        &built.scenario.policy,
        &candidate,
        &evidence,
        built.scenario.now,
    );
    assert_eq!(result.unwrap_err().kind(), Kind::Verification);
    assert!(Chain::load(&site.store, &site.archive).unwrap().latest().is_none());
    assert!(site.objects("custom/pool").is_empty());
}

#[test]
fn records_weigh_what_their_signatures_say_and_none_gets_lost() {
    let site = Site::new();
    let built = site.build("1.0", "first");
    let policy = &built.scenario.policy;
    let mut listed = Vec::new();
    for record in &built.scenario.evidence.records {
        listed.push(site.sign(record, &secret_key(record.builder.as_str())));
    }
    let declaration = identity(&built.scenario.candidate.declaration).unwrap();
    // A stranger's dissent in b1's name, and something that is no record at all.
    let mut forged = built.scenario.evidence.records[0].clone();
    forged
        .outputs
        .insert(file("evil_1_all.deb"), Digest::of(b"evil").sha256);
    let forged = site.sign(&forged, &Ed25519Key::generate());
    let junk = add_record(&site.store, &site.archive, &declaration, b"{}").unwrap();

    let records = load_records(&site.store, &site.archive, &declaration, policy).unwrap();
    let read: BTreeSet<_> = records.records.iter().map(|record| record.sha256).collect();
    assert_eq!(read, listed.iter().copied().collect());
    let unreadable: BTreeSet<_> = records.unreadable.iter().map(|(sha256, _)| *sha256).collect();
    assert_eq!(unreadable, BTreeSet::from([forged, junk]));
    for (found, made) in records
        .records
        .iter()
        .zip(&built.scenario.evidence.records)
        .filter(|(a, b)| a.builder == b.builder)
    {
        let made = assay::admission::RecordEvidence {
            sha256: found.sha256,
            ..made.clone()
        };
        assert_eq!(*found, made);
    }
    let admission = site.admit_with(&built, &records).unwrap();
    assert!(
        admission.decision.admitted,
        "{}",
        assay::admission::explain(&admission.decision)
    );

    let path = site
        .store
        .local_path(&Key::provenance(&site.archive, &listed[0]))
        .unwrap();
    fs::remove_file(path).unwrap();
    let lost = load_records(&site.store, &site.archive, &declaration, policy);
    assert!(
        lost.is_err(),
        "a record that is listed and gone could have been a dissent"
    );
}

/// A file that stands where an admitted one goes is never taken for it, and the next step is one that helps.
#[test]
fn a_planted_pool_file_is_named_with_what_to_do() {
    let site = Site::new();
    let built = site.build("1.0", "first");
    let path = site
        .folder
        .path()
        .join("store/custom/pool/main/h/hello/hello_1.0_amd64.deb");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, deb("1.0", "planted")).unwrap();
    let error = site.admit(&built).unwrap_err();
    assert_eq!(error.code(), "E-GATE-103");
    let next = error.hint().unwrap();
    assert!(
        next.contains("move `custom/pool/main/h/hello/hello_1.0_amd64.deb` out of the store"),
        "{next}"
    );
    fs::remove_file(&path).unwrap();
    assert!(site.admit(&built).unwrap().published.is_some());
}
