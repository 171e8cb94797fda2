//! Locking an environment again makes nothing unheard, nor does declaring the same source again: neither who was asked
//! before and is silent, nor who contradicts another there (rules R4 and A5).

use assay::admission::{Decision, RecordEvidence, identity};
use assay::format::intoto::Outcome;
use assay::publish::{self, Kept, issue_nonce, load_records, load_redeclared, note_declared};
use assay::site::Dissent;
use assay::source::Declaration;
use assay::trust::Ed25519Key;

use super::scenario::{Scenario, at, secret_key, sha};
use super::site::Site;

/// A builder was asked, and answered, in an environment that was locked before.
fn before<'s>(scenario: &'s mut Scenario, builder: &str) -> &'s mut RecordEvidence {
    scenario.rebuild(builder);
    scenario.evidence.nonces.last_mut().unwrap().lock = sha("the environment before");
    let record = scenario.evidence.records.last_mut().unwrap();
    record.lock = sha("the environment before");
    record
}

fn fails(record: &mut RecordEvidence) {
    record.outcome = Outcome::Ftbfs;
    record.outputs.clear();
}

fn said<'d>(decision: &'d Decision, rule: &str) -> &'d str {
    let found = decision.rules.iter().find(|found| found.id == rule).unwrap();
    &found.evidence
}

#[test]
fn who_was_asked_before_it_was_locked_again_is_waited_for() {
    let mut scenario = Scenario::good();
    before(&mut scenario, "b3");
    scenario.admitted();
    scenario.evidence.records.pop();
    let why = scenario.refused(&["R4"]);
    let place = format!(
        "in the environment {}, which was locked before",
        sha("the environment before").short()
    );
    assert!(why.contains("`b3` has not answered") && why.contains(&place), "{why}");

    // Who never answers is named for ever.
    scenario.now = at("2026-06-04T00:00:00Z");
    let decision = scenario.admitted();
    assert!(
        said(&decision, "R4").contains(&format!("timed out: b3 {place}")),
        "{}",
        said(&decision, "R4")
    );
    scenario.rule(|policy| policy.dissent = Dissent::AnySilenceBlocks);
    let why = scenario.refused(&["A5"]);
    assert!(why.contains("`b3` did not answer") && why.contains(&place), "{why}");
}

#[test]
fn a_build_that_failed_where_another_succeeded_still_blocks() {
    let mut scenario = Scenario::good();
    before(&mut scenario, "b1");
    fails(before(&mut scenario, "b3"));
    let why = scenario.refused(&["A5"]);
    assert!(
        why.contains("contradicts") && why.contains("which was locked before"),
        "{why}"
    );
    // Nor does it help to keep one of the two back.
    for hidden in 2..4 {
        let mut less = scenario.clone();
        less.evidence.records.remove(hidden);
        less.refused(&["R4"]);
    }
    // Whose key did not sign it says nothing; and who built it later has built it.
    let mut forged = scenario.clone();
    forged.evidence.records[3].signed_by.clear();
    forged.refused(&["R4"]);
    let later = before(&mut scenario, "b3");
    (later.started_on, later.finished_on) = (at("2026-06-01T15:00:00Z"), at("2026-06-01T15:10:00Z"));
    scenario.admitted();

    // Where all failed alike nobody contradicts: that is what an environment is locked again for.
    let mut broken = Scenario::good();
    fails(before(&mut broken, "b1"));
    fails(before(&mut broken, "b3"));
    broken.admitted();
}

#[test]
fn a_build_that_ran_out_of_time_before_is_silence_where_none_may_pass() {
    let mut scenario = Scenario::good();
    let record = before(&mut scenario, "b3");
    record.outcome = Outcome::Timeout;
    record.outputs.clear();
    scenario.admitted();
    scenario.rule(|policy| policy.dissent = Dissent::AnySilenceBlocks);
    let why = scenario.refused(&["A5"]);
    assert!(
        why.contains("ran out of time") && why.contains("which was locked before"),
        "{why}"
    );
}

#[test]
fn what_was_said_under_another_declaration_of_the_source_is_heard_and_counts_for_nothing() {
    // A rebuild there is none of this declaration.
    let mut scenario = Scenario::good();
    scenario.under_another(|_| {});
    scenario.refused(&["R1", "R3"]);
    scenario.rebuild("b3");
    scenario.admitted();

    // Another URL is another declaration, too: who wrote one in is told what to do, and nobody contradicts what is not offered.
    let mut moved = Scenario::good();
    let elsewhere = |declaration: &mut Declaration| {
        declaration.authorised.clear();
        declaration.git = "https://elsewhere.example.org/hello.git".into();
    };
    moved.under_another(elsewhere);
    moved.refused(&["R1", "R3"]);
    let decision = moved.decide();
    let why = &decision.broken().find(|rule| rule.id == "R3").unwrap().evidence;
    assert!(
        why.contains("differs in `git` only; next: declare it from `https://elsewhere.example.org/hello.git`"),
        "{why}"
    );
    for set in &mut moved.candidate.sets {
        set.outputs.clear();
    }
    assert!(!moved.decide().broken().any(|rule| rule.id == "A5"));

    let mut scenario = Scenario::good();
    scenario.rebuild("b3");
    fails(scenario.under_another(|_| {}));
    let why = scenario.refused(&["A5"]);
    assert!(
        why.contains("contradicts what is offered under the declaration") && why.contains("the build failed"),
        "{why}"
    );
    let mut other = scenario.clone();
    let good = other.evidence.records[0].outputs.clone();
    let record = other.evidence.records.last_mut().unwrap();
    (record.outcome, record.outputs) = (Outcome::Built, good);
    other.admitted();
    let record = other.evidence.records.last_mut().unwrap();
    record.outputs.values_mut().for_each(|sha256| *sha256 = sha("other"));
    other.refused(&["A5"]);
    // Whose key did not sign it says nothing, and is waited for; and who built it later has built it.
    let mut forged = scenario.clone();
    forged.evidence.records[2].signed_by.clear();
    forged.refused(&["R4"]);
    forged.evidence.records.pop();
    let why = forged.refused(&["R4"]);
    assert!(
        why.contains("`b3` has not answered") && why.contains("of the same source"),
        "{why}"
    );
    let later = scenario.rebuild("b3");
    (later.started_on, later.finished_on) = (at("2026-06-01T15:00:00Z"), at("2026-06-01T15:10:00Z"));
    scenario.admitted();

    // Other bytes of the source are another source.
    let mut unlike = Scenario::good();
    unlike.rebuild("b3");
    fails(unlike.under_another(|declaration| declaration.files[0].digest.sha256 = sha("another .dsc")));
    unlike.admitted();
}

/// Declared again with another word of who signs next, and built by two who agree: who dissented before is heard.
#[test]
fn declaring_a_source_again_silences_nobody() {
    let site = Site::new();
    let first = site.build("1.0", "first");
    let declaration = &first.scenario.candidate.declaration;
    let sha256 = identity(declaration).unwrap();
    let lock = *first.locks.keys().next().unwrap();
    note_declared(&site.store, &site.archive, declaration).unwrap();
    site.prepare(&first);
    let carol = "b3".parse().unwrap();
    let now = first.scenario.now;
    let asked = issue_nonce(&site.store, &site.archive, (sha256, lock), (&carol, (0, 1)), now, 600).unwrap();

    let anew = site.build_as("1.0", "first", |scenario| {
        scenario.declare(|declaration| declaration.authorised = declaration.signers.clone());
    });
    site.prepare(&anew);
    let declared = &anew.scenario.candidate.declaration;
    let again = identity(declared).unwrap();
    let policy = &anew.scenario.policy;
    let admit = || {
        let mut records = load_records(&site.store, &site.archive, &again, policy).unwrap();
        records.redeclared = load_redeclared(&site.store, &site.archive, declared, policy).unwrap();
        site.admit_with(&anew, &records).unwrap()
    };
    let broken = |admission: &publish::Admission| {
        let broken = admission.decision.broken().map(|rule| rule.id.clone());
        broken.collect::<Vec<_>>()
    };
    assert_eq!(broken(&admit()), ["R4"], "she has not answered");
    let mut record = first.scenario.evidence.records[0].clone();
    (record.builder, record.nonce) = (carol, asked.nonce);
    fails(&mut record);
    site.sign(&record, &secret_key("b3"));
    let refused = admit();
    assert_eq!(broken(&refused), ["A5"]);
    let kept = Kept::load(
        &site.store,
        &site.archive,
        &refused.decision_sha256.unwrap(),
        &site.gate_key.public(),
    );
    assert_eq!(kept.unwrap().differences(), Vec::<String>::new());
}

/// Whose key was replaced, or who was taken out of the policy, has not unsaid what he signed: it counts no more, and the
/// decision names it.
#[test]
fn what_was_said_with_a_key_that_the_policy_has_no_more_is_named() {
    let site = Site::new();
    let mut built = site.build("1.0", "first");
    let sha256 = identity(&built.scenario.candidate.declaration).unwrap();
    let (lock, now) = (*built.locks.keys().next().unwrap(), built.scenario.now);
    let carol = "b3".parse().unwrap();
    let asked = issue_nonce(&site.store, &site.archive, (sha256, lock), (&carol, (0, 1)), now, 600).unwrap();
    let mut dissents = built.scenario.evidence.records[0].clone();
    (dissents.builder, dissents.nonce) = (carol, asked.nonce);
    fails(&mut dissents);
    let dissent = site.sign(&dissents, &secret_key("b3"));
    for record in &built.scenario.evidence.records {
        site.sign(record, &secret_key(record.builder.as_str()));
    }
    // Anybody could have written this one, which answers nothing that was asked.
    dissents.nonce = sha("another").hex();
    let stranger = site.sign(&dissents, &Ed25519Key::generate());
    let decide = |site: &Site, built: &super::site::Built| {
        let policy = &built.scenario.policy;
        let records = load_records(&site.store, &site.archive, &sha256, policy).unwrap();
        assert_eq!(records.unreadable.len(), 1, "{:?}", records.unreadable);
        site.admit_with(built, &records).unwrap()
    };
    assert!(decide(&site, &built).decision.broken().any(|rule| rule.id == "A5"));

    built.scenario.policy.builders[2].public_key = Ed25519Key::generate().public().hex();
    let waiting = decide(&site, &built).decision;
    let broken: Vec<&str> = waiting.broken().map(|rule| rule.id.as_str()).collect();
    assert_eq!(broken, ["R4"]);
    let why = said(&waiting, "R4");
    assert!(
        why.contains("the answer of `b3`") && why.contains(&dissent.short()) && why.contains("not signed by the key"),
        "{why}"
    );
    let site = site.at(now.plus(700));
    let admission = decide(&site, &built);
    let decision = &admission.decision;
    assert!(decision.admitted, "{:?}", decision.broken().collect::<Vec<_>>());
    let (r4, r7) = (said(decision, "R4"), said(decision, "R7"));
    assert!(r4.contains("timed out: b3 (its answer, the record"), "{r4}");
    assert!(
        r7.contains(&dissent.short()) && r7.contains("does not count: it is not signed by the key of `b3`"),
        "{r7}"
    );
    let named = |record| decision.inputs.iter().any(|(_, sha256)| *sha256 == record);
    assert!(named(dissent) && !named(stranger), "{:?}", decision.inputs);
    let gate = site.gate_key.public();
    let kept = Kept::load(&site.store, &site.archive, &admission.decision_sha256.unwrap(), &gate);
    assert_eq!(kept.unwrap().differences(), Vec::<String>::new());

    // The same of one who is no builder any more.
    built.scenario.policy.builders.remove(2);
    let gone = decide(&site, &built).decision;
    assert!(said(&gone, "R7").contains(&dissent.short()), "{}", said(&gone, "R7"));
}
