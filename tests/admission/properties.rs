//! For any evidence: order does not matter, less evidence never admits, a dissent never admits.

use assay::admission::Evidence;
use assay::format::intoto::Outcome;
use proptest::prelude::*;

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
    let record = scenario.rebuild(["b1", "b2", "b3"][builder % 3]);
    match kind {
        Kind::Good => {}
        Kind::OtherBytes => {
            record
                .outputs
                .insert(file("hello_2.10-3+custom1_amd64.deb"), sha("other"));
        }
        Kind::Failed => {
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
    let forget: [fn(&mut Evidence); 4] = [
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
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_order_of_evidence_does_not_matter(records in records(), spoiled in 0..12_u8, seed in any::<u64>()) {
        let scenario = scenario(&records, spoiled);
        let mut other = scenario.clone();
        let turn = |length: usize| if length == 0 { 0 } else { (seed as usize) % length };
        let evidence = &mut other.evidence;
        let (r, n, i) = (turn(evidence.records.len()), turn(evidence.nonces.len()), turn(evidence.indexed.len()));
        evidence.records.rotate_left(r);
        evidence.nonces.rotate_left(n);
        evidence.nonces.reverse();
        evidence.indexed.rotate_left(i);
        let doubled = evidence.records.clone();
        evidence.records.extend(doubled);
        other.candidate.sets[0].outputs.reverse();
        other.candidate.source_files.reverse();
        prop_assert_eq!(scenario.decide(), other.decide());
    }

    #[test]
    fn less_evidence_never_admits(records in records(), spoiled in 0..12_u8) {
        let scenario = scenario(&records, spoiled);
        if !scenario.decide().admitted {
            for evidence in less(&scenario.evidence) {
                let fewer = Scenario { evidence, ..scenario.clone() };
                prop_assert!(!fewer.decide().admitted);
            }
        }
    }

    #[test]
    fn a_dissent_never_admits(records in records(), spoiled in 0..12_u8, failed in any::<bool>()) {
        let mut scenario = scenario(&records, spoiled);
        add(&mut scenario, 2, if failed { Kind::Failed } else { Kind::OtherBytes });
        prop_assert!(!scenario.decide().admitted);
    }
}
