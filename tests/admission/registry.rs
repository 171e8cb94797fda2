//! For each rule of the gate one way to break it, and what else breaks with it. A rule that has none
//! here fails the test: it could be taken out and nobody would notice.

use std::collections::BTreeSet;

use assay::admission::{
    IMPORT_RULES, Inspected, LedgerEntry, LedgerKey, LedgerView, RULE_SET, RULES, SourceFailure, explain, explain_json,
};
use assay::domain::{GitOid, SnapshotId, SuiteName};
use assay::format::intoto::Outcome;
use assay::snapshot::Removed;

use super::scenario::{Scenario, arch, at, dbgsym, facts, file, missed, output, package, row, sha, version};

/// A rule, a way to break it, and the rules that cannot hold either when it does not.
pub(crate) struct Break {
    pub(crate) rule: &'static str,
    pub(crate) with: &'static [&'static str],
    pub(crate) how: fn(&mut Scenario),
}

const fn alone(rule: &'static str, how: fn(&mut Scenario)) -> Break {
    Break { rule, with: &[], how }
}

/// A record that does not count leaves the quorum short.
const fn record(rule: &'static str, how: fn(&mut Scenario)) -> Break {
    Break {
        rule,
        with: &["R1"],
        how,
    }
}

fn refused_source(scenario: &mut Scenario, rule: &str) {
    scenario.evidence.source = None;
    scenario.evidence.source_failure = Some(SourceFailure {
        rule: Some(rule.into()),
        why: "a hostile tree".into(),
    });
}

/// Changes what Git gives, when it gives something.
fn derived(scenario: &mut Scenario, change: fn(&mut assay::source::Declaration)) {
    if let Some(source) = &mut scenario.evidence.source {
        change(&mut source.derived);
    }
}

fn held(key: LedgerKey, bytes: &str, source: &str, text: &str) -> LedgerEntry {
    LedgerEntry {
        key,
        sha256: sha(bytes),
        source: package(source),
        version: version(text),
    }
}

fn ledger(scenario: &mut Scenario, entry: LedgerEntry) {
    scenario.evidence.ledger = LedgerView::new(scenario.evidence.ledger.entries().cloned().chain([entry]));
}

fn binary(text: &str) -> LedgerKey {
    LedgerKey::Binary {
        package: package("hello"),
        version: text.into(),
        architecture: arch("amd64"),
    }
}

pub(crate) const BREAKS: &[Break] = &[
    alone("S1", |s| {
        s.rule(|p| p.signers[0].revoked_at = Some(at("2026-06-01T23:00:00Z")))
    }),
    alone("S2", |s| {
        derived(s, |found| found.git_commit = GitOid::new("9".repeat(40)).unwrap())
    }),
    alone("S3", |s| derived(s, |found| found.tree_sha256 = sha("another tree"))),
    alone("S4", |s| s.rule(|p| p.source_formats = vec!["3.0 (native)".into()])),
    alone("S5", |s| refused_source(s, "S5")),
    alone("S6", |s| refused_source(s, "S6")),
    alone("S7", |s| s.declare(|d| d.upstream = None)),
    alone("S8", |s| s.candidate.source_files[1].digest.sha256 = sha("swapped")),
    alone("S9", |s| {
        s.declare(|d| d.source_date_epoch = at("2026-06-09T00:00:00Z").unix())
    }),
    alone("S10", |s| {
        s.declare(|d| d.supersedes = Some(sha("a declaration that nobody admitted")));
    }),
    alone("E1", |s| {
        s.relock(|lock| lock.snapshots[0].packages_sha256 = vec![sha("forged")])
    }),
    alone("E2", |s| {
        let mut other = row("libc6", "2.41-12", sha("another libc6"));
        other.suite = SuiteName::new("trixie-backports").unwrap();
        s.evidence.indexed.push(other);
    }),
    alone("E3", |s| {
        for row in &mut s.evidence.indexed {
            row.mirrored = row.package.as_str() != "libc6";
        }
    }),
    record("E4", |s| s.evidence.records[1].network = "host".into()),
    alone("E5", |s| {
        s.evidence.records[1].hostname = s.evidence.records[0].hostname.clone()
    }),
    record("E6", |s| s.evidence.records[1].options = vec!["nocheck".into()]),
    alone("E7", |s| {
        let mut later = super::scenario::lock().snapshots[0].clone();
        later.id = SnapshotId::new("20260501T000001Z").unwrap();
        s.evidence.previous.push(later);
    }),
    alone("R1", |s| {
        s.evidence.records.pop();
        s.evidence.nonces.pop();
    }),
    Break {
        rule: "R2",
        with: &["R1", "B1"],
        how: |s| s.rule(|policy| policy.blind_rebuilds = true),
    },
    record("R3", |s| s.evidence.records[1].source_date_epoch += 1),
    alone("R4", |s| {
        s.rebuild("b3");
        s.evidence.records.pop();
    }),
    record("R5", |s| {
        s.rule(|p| p.builders[1].revoked_at = Some(at("2026-06-01T13:30:00Z")))
    }),
    record("R6", |s| s.evidence.records[1].log = None),
    record("R8", |s| {
        let buildinfo = sha("the .buildinfo of the second");
        s.evidence.records[1]
            .documents
            .insert(file("hello_2.10-3+custom1_amd64.buildinfo"), buildinfo);
        s.evidence.lost.insert(buildinfo);
    }),
    Break {
        rule: "R7",
        with: &["R1", "R4"],
        how: |s| s.evidence.records[1].signed_by.clear(),
    },
    record("R9", |s| s.evidence.missed.push(missed("b2"))),
    record("B1", |s| {
        s.candidate.sets[0].outputs[0].digest.sha256 = sha("one byte changed")
    }),
    alone("B2", |s| {
        s.outputs(vec![
            output(facts("hello", "amd64")),
            output(facts("stowaway", "amd64")),
        ])
    }),
    alone("B3", |s| {
        let mut symbols = dbgsym();
        symbols.files.insert("usr/bin/evil".into(), sha("evil"));
        s.outputs(vec![output(facts("hello", "amd64")), output(symbols)]);
    }),
    alone("B4", |s| s.change(|facts| facts.source_version = version("2.10-2"))),
    alone("B5", |s| s.change(|facts| facts.version = version("2.10-3+custom1+b1"))),
    alone("B6", |s| s.candidate.sets.push(s.candidate.sets[0].clone())),
    alone("B7", |s| {
        let mut wrong = output(facts("hello", "amd64"));
        wrong.name = file("hello_2.10-3+custom1_i386.deb");
        s.outputs(vec![wrong]);
    }),
    alone("D1", |s| {
        s.candidate.sets[0].outputs[0].facts = Inspected::Malformed("trailing bytes".into())
    }),
    alone("D2", |s| s.change(|facts| facts.setuid.push("usr/bin/hello".into()))),
    alone("D3", |s| {
        s.candidate.sets[0].outputs[0].facts = Inspected::TooLarge("more than 10 bytes".into())
    }),
    alone("D4", |s| s.change(|facts| facts.fields.push("Filename".into()))),
    alone("V1", |s| {
        ledger(s, held(binary("2.10-3+custom1"), "other", "hello", "2.10-3+custom1"))
    }),
    alone("V2", |s| {
        let key = LedgerKey::Source {
            package: package("hello"),
            version: "2.10-3+custom1".into(),
        };
        ledger(s, held(key, "other", "hello", "1:2.10-3+custom1"));
    }),
    alone("V3", |s| {
        let key = LedgerKey::Suite {
            suite: SuiteName::new("stable").unwrap(),
            package: package("hello"),
            version: "2.10-4".into(),
            architecture: arch("source"),
        };
        ledger(s, held(key, "newer", "hello", "2.10-4"));
    }),
    alone("V4", |s| ledger(s, held(binary("2.0-1"), "old", "greetings", "2.0-1"))),
    alone("A2", |s| {
        s.declare(|d| d.files.retain(|file| !file.name.as_str().ends_with(".dsc")))
    }),
    alone("A5", |s| {
        let dissent = s.rebuild("b3");
        dissent
            .outputs
            .insert(file("hello_2.10-3+custom1_amd64.deb"), sha("other bytes"));
    }),
    record("A6", |s| {
        s.evidence.records[1].outcome = Outcome::Timeout;
        s.evidence.records[1].outputs.clear();
    }),
    alone("A8", |s| s.change(|facts| facts.essential = true)),
    alone("A10", |s| s.policy.max_record_age_days = 3650),
    alone("A11", |s| s.candidate.suites.push(SuiteName::new("testing").unwrap())),
    alone("A12", |s| {
        let removed = Removed {
            source: package("hello"),
            version: version("2.10-2"),
            reason: "it eats data".into(),
            at: at("2026-05-01T00:00:00Z"),
        };
        s.evidence.removed.push((SuiteName::new("stable").unwrap(), removed));
    }),
    alone("A7", |s| s.except("R1", "2026-07-01T00:00:00Z")),
];

#[test]
fn every_rule_is_broken_by_something_and_says_so_by_its_id() {
    for rule in RULES {
        let found: Vec<&Break> = BREAKS.iter().filter(|one| one.rule == rule.id).collect();
        assert!(
            !found.is_empty(),
            "rule {} has no test in tests/admission/registry.rs",
            rule.id
        );
        for one in found {
            let mut scenario = Scenario::good();
            (one.how)(&mut scenario);
            let decision = scenario.decide();
            let broken: BTreeSet<&str> = decision.broken().map(|rule| rule.id.as_str()).collect();
            let expected: BTreeSet<&str> = one.with.iter().copied().chain([one.rule]).collect();
            assert_eq!(broken, expected, "{}", explain(&decision));
            let text = explain(&decision);
            let line = text
                .lines()
                .find(|line| line.starts_with(&format!("{:<4} REFUSED", one.rule)));
            let line = line.unwrap_or_else(|| panic!("{} is not in: {text}", one.rule));
            assert!(line.len() > 16, "{} gives no evidence", one.rule);
            let json = explain_json(&decision);
            let listed = json["rules"]
                .as_array()
                .unwrap()
                .iter()
                .find(|r| r["id"] == one.rule)
                .unwrap();
            assert_eq!(listed["passed"], false);
            assert!(listed["repeat"].as_str().unwrap().starts_with("assay "));
        }
    }
    for one in BREAKS {
        assert!(
            RULES.iter().any(|rule| rule.id == one.rule),
            "there is no rule {}",
            one.rule
        );
    }
}

/// Who changes what is judged raises `RULE_SET` and says which rules differ (`CHANGED`): decisions that were made before are
/// else called false. The table is pinned; a rule that only got another body is for its author to remember.
#[test]
fn the_rules_have_the_version_that_they_were_last_given() {
    let text: String = RULES
        .iter()
        .chain(IMPORT_RULES)
        .map(|rule| format!("{} {} {}\n", rule.id, rule.excusable, rule.demands))
        .collect();
    assert_eq!((RULE_SET, sha(&text).short().as_str()), (5, "ef2a71b3a70b"));
}
