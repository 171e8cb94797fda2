//! Locking an environment again makes nothing unheard: neither who was asked in the one before and is silent, nor who
//! contradicts another there (rules R4 and A5).

use assay::admission::{Decision, RecordEvidence};
use assay::format::intoto::Outcome;
use assay::site::Dissent;

use super::scenario::{Scenario, at, sha};

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
