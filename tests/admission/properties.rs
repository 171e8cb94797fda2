//! For any evidence: order does not matter, less evidence never admits, a dissent never admits.

use std::collections::BTreeSet;

use assay::admission::{Case, Evidence, Revoked};
use assay::format::intoto::Outcome;
use assay::site::{Dissent, SuiteTerms};
use proptest::prelude::*;

use super::registry::BREAKS;
use super::scenario::{Scenario, at, file, sha};

/// How one record may be.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Good,
    OtherBytes,
    Failed,
    TimedOut,
    Unsigned,
    NoLog,
    Network,
    Nocheck,
    SameHost,
    Old,
    /// In an environment that was locked before: the same, other bytes, and no success.
    Before,
    OtherBefore,
    FailedBefore,
    Under,
    OtherUnder,
    FailedUnder,
}

fn kinds() -> impl Strategy<Value = Kind> {
    use Kind::*;
    prop_oneof![
        6 => Just(Good),
        1 => Just(OtherBytes),
        1 => Just(Failed),
        1 => Just(TimedOut),
        1 => Just(Unsigned),
        1 => Just(NoLog),
        1 => Just(Network),
        1 => Just(Nocheck),
        1 => Just(SameHost),
        1 => Just(Old),
        1 => Just(Before),
        1 => Just(OtherBefore),
        1 => Just(FailedBefore),
        1 => Just(Under),
        1 => Just(OtherUnder),
        1 => Just(FailedUnder),
    ]
}

fn scenario(records: &[(usize, Kind)], spoiled: u8) -> Scenario {
    let mut scenario = Scenario::good();
    scenario.evidence.records.clear();
    scenario.evidence.nonces.clear();
    for (builder, kind) in records {
        add(&mut scenario, *builder, *kind);
    }
    match spoiled {
        0 => scenario.evidence.source = None,
        1 => scenario.evidence.snapshots.clear(),
        2 => scenario.evidence.locks.clear(),
        3 => scenario.candidate.sets[0].outputs[0].digest.sha256 = sha("swapped"),
        4 => scenario.rule(|policy| policy.quorum = 1),
        _ => {}
    }
    scenario
}

fn add(scenario: &mut Scenario, builder: usize, kind: Kind) {
    scenario.rebuild(["b1", "b2", "b3"][builder % 3]);
    if matches!(kind, Kind::Before | Kind::OtherBefore | Kind::FailedBefore) {
        let nonce = scenario.evidence.nonces.last_mut().unwrap();
        nonce.lock = sha("the environment before");
        scenario.evidence.records.last_mut().unwrap().lock = nonce.lock;
    }
    if matches!(kind, Kind::Under | Kind::OtherUnder | Kind::FailedUnder) {
        scenario.under_another(|_| {});
    }
    let record = scenario.evidence.records.last_mut().unwrap();
    match kind {
        Kind::Good | Kind::Before | Kind::Under => {}
        Kind::OtherBytes | Kind::OtherBefore | Kind::OtherUnder => {
            record
                .outputs
                .insert(file("hello_2.10-3+custom1_amd64.deb"), sha("other"));
        }
        Kind::Failed | Kind::FailedBefore | Kind::FailedUnder => {
            record.outcome = Outcome::Ftbfs;
            record.outputs.clear();
        }
        Kind::TimedOut => {
            record.outcome = Outcome::Timeout;
            record.outputs.clear();
        }
        Kind::Unsigned => record.signed_by.clear(),
        Kind::NoLog => record.log = None,
        Kind::Network => record.network = "host".into(),
        Kind::Nocheck => record.options = vec!["nocheck".into()],
        Kind::SameHost => record.hostname = "same".into(),
        Kind::Old => (record.started_on, record.finished_on) = (at("2020-01-01T00:00:00Z"), at("2020-01-01T01:00:00Z")),
    }
}

/// A scenario that any rules may refuse: records of any kind, spoiled in any of the ways that the
/// registry knows, some at once, under a policy that asks for more or less.
fn any_scenario() -> impl Strategy<Value = Scenario> {
    let breaks = prop::collection::vec(0..BREAKS.len() * 3, 0..3);
    (records(), breaks, 0..8_u8, any::<bool>()).prop_map(|(records, breaks, policy, late)| {
        let mut scenario = scenario(&records, 5);
        for one in breaks.iter().filter_map(|number| BREAKS.get(*number)) {
            // Some ways need two records to be there.
            if scenario.evidence.records.len() >= 2 {
                (one.how)(&mut scenario);
            }
        }
        match policy {
            0 => scenario.rule(|policy| policy.distinct_hosting = true),
            1 => scenario.rule(|policy| policy.quorum = 1),
            2 => scenario.rule(|policy| policy.dissent = Dissent::AnySilenceBlocks),
            3 => scenario.except("E6", "2026-07-01T00:00:00Z"),
            4 => scenario.except("E5", "2026-07-01T00:00:00Z"),
            5 => scenario.except("S7", "2026-07-01T00:00:00Z"),
            6 => scenario.rule(|policy| {
                policy.suites.insert(
                    "stable".parse().unwrap(),
                    SuiteTerms {
                        quorum: Some(3),
                        ..SuiteTerms::default()
                    },
                );
            }),
            _ => {}
        }
        if late && policy == 2 {
            scenario.now = at("2026-06-20T00:00:00Z");
        }
        scenario
    })
}

fn records() -> impl Strategy<Value = Vec<(usize, Kind)>> {
    prop::collection::vec((0..3_usize, kinds()), 0..6)
}

/// Each way to know less.
fn less(evidence: &Evidence) -> Vec<Evidence> {
    let mut all = Vec::new();
    for at in 0..evidence.records.len() {
        let mut fewer = evidence.clone();
        fewer.records.remove(at);
        all.push(fewer);
    }
    for at in 0..evidence.records.len() {
        let mut unsigned = evidence.clone();
        unsigned.records[at].signed_by.clear();
        all.push(unsigned);
    }
    let forget: [fn(&mut Evidence); 6] = [
        |e| e.records.clear(),
        |e| e.lineage = None,
        |e| e.source = None,
        |e| e.snapshots.clear(),
        |e| e.locks.clear(),
        |e| e.admitted.clear(),
    ];
    for forget in forget {
        let mut fewer = evidence.clone();
        forget(&mut fewer);
        all.push(fewer);
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_order_of_evidence_does_not_matter(scenario in any_scenario(), seed in any::<u64>()) {
        let mut other = scenario.clone();
        let turn = |length: usize| if length == 0 { 0 } else { (seed as usize) % length };
        let evidence = &mut other.evidence;
        let (r, n, i) = (turn(evidence.records.len()), turn(evidence.nonces.len()), turn(evidence.indexed.len()));
        evidence.records.rotate_left(r);
        evidence.nonces.rotate_left(n);
        evidence.nonces.reverse();
        evidence.indexed.rotate_left(i);
        evidence.redeclared.extend(evidence.redeclared.clone());
        evidence.snapshots.reverse();
        let doubled = evidence.records.clone();
        evidence.records.extend(doubled);
        other.candidate.sets.reverse();
        for set in &mut other.candidate.sets {
            set.outputs.reverse();
        }
        other.candidate.source_files.reverse();
        other.candidate.suites.reverse();
        prop_assert_eq!(scenario.decide(), other.decide());
    }

    #[test]
    fn a_decision_is_made_again_from_what_is_kept_of_it(scenario in any_scenario()) {
        let (evidence, decision) = (&scenario.evidence, scenario.decide());
        let bytes = Case::new(&scenario.candidate, evidence).canonical().unwrap();
        let case = Case::parse(&bytes, evidence.locks.clone(), evidence.records.clone()).unwrap();
        prop_assert_eq!(case.decide(&scenario.policy, scenario.now), decision);
        prop_assert_eq!(case.canonical().unwrap(), bytes);
    }

    #[test]
    fn levels_are_earned(scenario in any_scenario()) {
        let decision = scenario.decide();
        if decision.levels.iter().any(|level| level == "SLSA_BUILD_REPRODUCED") {
            prop_assert!(decision.admitted);
            let built = scenario.evidence.records.iter().filter(|r| r.outcome == Outcome::Built && !r.signed_by.is_empty());
            let operators: BTreeSet<bool> = built.map(|r| r.builder.as_str() == "b1").collect();
            prop_assert_eq!(operators.len(), 2, "alice has b1, bob the others");
        }
        prop_assert!(decision.admitted || decision.levels.is_empty());
        prop_assert_eq!(decision.admitted, decision.broken().next().is_none());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn less_evidence_never_admits(scenario in any_scenario()) {
        if !scenario.decide().admitted {
            for evidence in less(&scenario.evidence) {
                let fewer = Scenario { evidence, ..scenario.clone() };
                prop_assert!(!fewer.decide().admitted);
            }
        }
    }

    #[test]
    fn revoking_a_key_never_admits(scenario in any_scenario(), builder in 0..3_usize) {
        if !scenario.decide().admitted {
            // But a dissent of a key that is revoked is heard no more: that is what revoking is for.
            let id = ["b1", "b2", "b3"][builder];
            prop_assume!(scenario.evidence.records.iter().all(|r| r.builder.as_str() != id || r.outcome == Outcome::Built));
            let ours: Vec<_> = scenario.evidence.records.iter().filter(|r| r.builder.as_str() == id).collect();
            prop_assume!(ours.iter().all(|r| !r.outputs.values().any(|sha256| *sha256 == sha("other") || *sha256 == sha("other bytes"))));
            let revoked = Revoked { builder: id.parse().ok(), key: None, since: at("2000-01-01T00:00:00Z") };
            let case = Case::new(&scenario.candidate, &scenario.evidence);
            let named = assay::admission::identity(&scenario.policy) == Some(scenario.candidate.policy_sha256);
            prop_assume!(named);
            prop_assert!(!case.decide_without(&scenario.policy, &revoked, scenario.now).admitted);
        }
    }

    #[test]
    fn a_dissent_never_admits(scenario in any_scenario(), failed in any::<bool>()) {
        let mut scenario = scenario;
        add(&mut scenario, 2, if failed { Kind::Failed } else { Kind::OtherBytes });
        prop_assert!(!scenario.decide().admitted);
    }
}
