//! One test at least for each rule id, which fails without the rule.

use std::collections::{BTreeMap, BTreeSet};

use assay::admission::{
    Inspected, LedgerEntry, LedgerKey, LedgerView, RULES, SourceFailure, claims, explain, explain_json, identity,
};
use assay::domain::{Architecture, Fingerprint, GitOid, SnapshotId, SuiteName};
use assay::format::intoto::{Outcome, VerificationResult};
use assay::site::BuilderGroup;

use super::scenario::{Scenario, arch, at, builder, dbgsym, facts, file, key_of, output, package, row, sha, version};

#[test]
fn a_good_candidate_is_admitted_and_the_decision_says_all() {
    let scenario = Scenario::good();
    let decision = scenario.admitted();
    assert_eq!(decision.levels, ["SLSA_BUILD_REPRODUCED"]);
    assert_eq!(decision.rules.len(), RULES.len());
    let paths: Vec<&str> = decision.files.keys().map(|path| path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "pool/main/h/hello/hello-data_2.10-3+custom1_all.deb",
            "pool/main/h/hello/hello_2.10-3+custom1.debian.tar.xz",
            "pool/main/h/hello/hello_2.10-3+custom1.dsc",
            "pool/main/h/hello/hello_2.10-3+custom1_amd64.deb",
            "pool/main/h/hello/hello_2.10.orig.tar.xz",
        ]
    );
    let gate = Fingerprint::new(format!("ed25519:{}", sha("gate"))).unwrap();
    let summary = decision.summary(&gate, "assay 0.1.0");
    assert_eq!(summary.subject.len(), 5);
    assert_eq!(summary.predicate.verification_result, VerificationResult::Passed);
    assert_eq!(summary.predicate.resource_uri, "assay:custom/hello/2.10-3+custom1");
    let names: Vec<_> = summary
        .predicate
        .input_attestations
        .iter()
        .filter_map(|i| i.name.clone())
        .collect();
    assert_eq!(
        names,
        ["declaration", "environment-lock", "rebuild-record", "rebuild-record"]
    );
}

#[test]
fn ids_are_unique_and_every_rule_can_be_repeated() {
    let ids: BTreeSet<&str> = RULES.iter().map(|rule| rule.id).collect();
    assert_eq!(ids.len(), RULES.len());
    assert!(
        RULES
            .iter()
            .all(|rule| rule.repeat.starts_with("assay ") && rule.repeat.contains("{source}"))
    );
}

#[test]
fn rule_s1_signer_must_be_allowed_valid_and_not_revoked() {
    let spoiled = |change: fn(&mut assay::site::SignerKey)| {
        let mut scenario = Scenario::good();
        scenario.rule(|policy| change(&mut policy.signers[0]));
        scenario.refused(&["S1"])
    };
    assert!(spoiled(|key| key.revoked_at = Some(at("2026-06-01T23:00:00Z"))).contains("revoked"));
    assert!(spoiled(|key| key.valid_until = Some(at("2026-06-01T09:00:00Z"))).contains("after it was valid"));
    assert!(spoiled(|key| key.valid_from = Some(at("2026-06-01T11:00:00Z"))).contains("before it was valid"));
    assert!(spoiled(|key| key.sources = vec![package("other")]).contains("may not sign `hello`"));
    assert!(spoiled(|key| key.fingerprint = Fingerprint::new("A".repeat(40)).unwrap()).contains("does not know"));
    assert!(spoiled(|key| key.scheme = assay::site::SignerScheme::Ssh).contains("does not know"));
    let mut unsigned = Scenario::good();
    unsigned.declare(|declaration| declaration.signers.clear());
    unsigned.evidence.source.as_mut().unwrap().signers.clear();
    assert!(unsigned.refused(&["S1"]).contains("not signed"));
    let mut other = Scenario::good();
    other.declare(|declaration| declaration.signers[0].fingerprint = Fingerprint::new("B".repeat(40)).unwrap());
    assert!(other.refused(&["S1"]).contains("did not sign"));
    let mut later = Scenario::good();
    later.rule(|policy| policy.signers[0].revoked_at = Some(at("2026-07-01T00:00:00Z")));
    later.admitted();
}

#[test]
fn rule_s2_ids_must_be_the_declared_ones() {
    let mut moved = Scenario::good();
    moved.evidence.source.as_mut().unwrap().derived.git_commit = GitOid::new("9".repeat(40)).unwrap();
    assert!(moved.refused(&["S2"]).contains("commit is `9999"));
    let mut retagged = Scenario::good();
    retagged.evidence.source.as_mut().unwrap().derived.git_tag = GitOid::new("9".repeat(40)).unwrap();
    assert!(retagged.refused(&["S2"]).contains("tag object"));
}

#[test]
fn rule_s3_tree_digest_is_the_identity() {
    let mut scenario = Scenario::good();
    scenario.evidence.source.as_mut().unwrap().derived.tree_sha256 = sha("another tree");
    scenario.refused(&["S3"]);
}

#[test]
fn rule_s4_source_format_must_be_taken() {
    let mut scenario = Scenario::good();
    scenario.rule(|policy| policy.source_formats = vec!["3.0 (native)".into()]);
    assert!(scenario.refused(&["S4"]).contains("3.0 (quilt)"));
}

#[test]
fn rule_s5_s6_the_reader_of_git_refuses_by_the_same_ids() {
    for id in ["S1", "S2", "S3", "S4", "S5", "S6", "S7", "S8", "S9"] {
        let mut scenario = Scenario::good();
        scenario.evidence.source = None;
        scenario.evidence.source_failure = Some(SourceFailure {
            rule: Some(id.into()),
            why: "a hostile tree".into(),
        });
        assert!(scenario.refused(&[id]).contains("a hostile tree"));
    }
    let mut nothing = Scenario::good();
    nothing.evidence.source = None;
    nothing.refused(&["S1", "S2", "S3", "S4", "S5", "S6", "S7", "S8", "S9"]);
}

#[test]
fn rule_s7_upstream_tarball_must_be_a_declared_tree() {
    let mut undeclared = Scenario::good();
    undeclared.declare(|declaration| declaration.upstream = None);
    assert!(undeclared.refused(&["S7"]).contains("no upstream tag"));
    let mut moved = Scenario::good();
    moved
        .evidence
        .source
        .as_mut()
        .unwrap()
        .derived
        .upstream
        .as_mut()
        .unwrap()
        .git_tree = GitOid::new("9".repeat(40)).unwrap();
    assert!(moved.refused(&["S7"]).contains("refs/tags/upstream/2.10"));
    let mut native = Scenario::good();
    native.declare(|declaration| {
        declaration.source_format = "3.0 (native)".into();
        declaration.upstream = None;
    });
    native.admitted();
}

#[test]
fn rule_s8_source_files_must_be_what_git_gives() {
    let mut offered = Scenario::good();
    offered.candidate.source_files[1].digest.sha256 = sha("swapped");
    assert!(offered.refused(&["S8"]).contains("debian.tar.xz"));
    let mut derived = Scenario::good();
    derived.evidence.source.as_mut().unwrap().derived.files.pop();
    assert!(derived.refused(&["S8"]).contains("orig.tar.xz"));
}

#[test]
fn rule_s9_changelog_must_be_the_declared_one_and_not_later_than_the_tag() {
    let mut other = Scenario::good();
    other.evidence.source.as_mut().unwrap().derived.version = version("2.10-4");
    assert!(other.refused(&["S9"]).contains("2.10-4"));
    let mut future = Scenario::good();
    future.declare(|declaration| declaration.source_date_epoch = at("2026-06-09T00:00:00Z").unix());
    assert!(future.refused(&["S9"]).contains("later than the tag"));
    let mut old = Scenario::good();
    old.declare(|declaration| declaration.source_date_epoch = 0);
    assert!(old.refused(&["S9"]).contains("1980"));
    let mut control = Scenario::good();
    control.evidence.source.as_mut().unwrap().derived.build_depends.any = "evil".into();
    assert!(control.refused(&["S9"]).contains("debian/control"));
}

#[test]
fn rule_e1_environment_is_from_known_signed_snapshots_above_the_floor() {
    let mut unknown = Scenario::good();
    unknown.evidence.snapshots.clear();
    unknown.refused(&["E1", "E3"]);
    let mut other = Scenario::good();
    other.relock(|lock| lock.snapshots[0].inrelease_sha256 = Some(sha("forged")));
    assert!(other.refused(&["E1"]).contains("another upstream InRelease"));
    let mut index = Scenario::good();
    index.relock(|lock| lock.snapshots[0].packages_sha256 = vec![sha("forged")]);
    assert!(index.refused(&["E1"]).contains("no Packages index"));
    let mut floor = Scenario::good();
    floor.rule(|policy| policy.environment_floor = Some(SnapshotId::new("20260601T000000Z").unwrap()));
    assert!(floor.refused(&["E1"]).contains("floor"));
    let mut foreign = Scenario::good();
    foreign.relock(|lock| lock.architecture = arch("arm64"));
    assert!(foreign.refused(&["E1"]).contains("arm64"));
    let mut none = Scenario::good();
    none.relock(|lock| lock.snapshots.clear());
    none.refused(&["E1", "E2"]);
    let mut renamed = Scenario::good();
    renamed.evidence.locks.values_mut().next().unwrap().wanted = "changed behind its name".into();
    renamed.refused(&["E1", "E2", "E3"]);
}

#[test]
fn rule_e2_environment_is_by_hash() {
    let mut swapped = Scenario::good();
    swapped.relock(|lock| lock.packages[0].sha256 = sha("evil gcc"));
    assert!(swapped.refused(&["E2", "E3"]).contains("gcc-14"));
    let mut two = Scenario::good();
    let mut other = row("libc6", "2.41-12", sha("another libc6"));
    other.suite = SuiteName::new("trixie-backports").unwrap();
    two.evidence.indexed.push(other);
    assert!(two.refused(&["E2"]).contains("different bytes"));
    let mut twice = Scenario::good();
    twice.relock(|lock| lock.packages.push(lock.packages[0].clone()));
    assert!(twice.refused(&["E2"]).contains("only version"));
}

#[test]
fn rule_e3_environment_is_signed_by_upstream_or_admitted() {
    let mut ours = Scenario::good();
    for row in &mut ours.evidence.indexed {
        row.mirrored = row.package.as_str() != "libc6";
    }
    assert!(ours.refused(&["E3"]).contains("libc6"));
    ours.evidence.admitted.insert(sha("libc6"), sha("decision"));
    ours.admitted();
}

#[test]
fn rule_e4_builds_have_no_network() {
    let mut scenario = Scenario::good();
    scenario.evidence.records[1].network = "host".into();
    let evidence = scenario.refused(&["E4", "R1"]);
    assert!(evidence.contains("`host`"));
}

#[test]
fn rule_e5_runs_must_differ() {
    for (what, change) in [
        (
            "host name",
            (|r| r.hostname = "host-b1".into()) as fn(&mut assay::admission::RecordEvidence),
        ),
        ("user", |r| r.user = "user-b1".into()),
        ("parallelism", |r| r.parallel = 1),
    ] {
        let mut scenario = Scenario::good();
        change(&mut scenario.evidence.records[1]);
        assert!(scenario.refused(&["E5"]).contains(what));
    }
}

#[test]
fn rule_e6_tests_run_and_profiles_are_refused() {
    let mut nocheck = Scenario::good();
    nocheck.evidence.records[1].options = vec!["nocheck".into()];
    nocheck.refused(&["E6", "R1"]);
    nocheck.except("E6", "2026-07-01T00:00:00Z");
    let levels = nocheck.admitted().levels;
    assert_eq!(levels, ["SLSA_BUILD_REPRODUCED", "ASSAY_RELAXED_E6"]);
    nocheck.evidence.records[1].profiles = vec!["nodoc".into()];
    let decision = nocheck.decide();
    assert!(!decision.admitted, "no exception lets a profile in");
}

#[test]
fn rule_r1_operators_count_and_not_keys() {
    let mut one = Scenario::good();
    one.evidence.records.pop();
    one.evidence.nonces.pop();
    assert!(one.refused(&["R1"]).contains("1 of 2 operators"));
    let mut sybil = one.clone();
    sybil.rule(|policy| policy.builders[2].operator = "alice".into());
    sybil.rebuild("b3");
    assert!(sybil.refused(&["R1"]).contains("alice"));
    let mut empty = Scenario::good();
    empty.rule(|policy| policy.quorum = 0);
    assert!(empty.refused(&["R1"]).contains("quorum of 0"));
}

#[test]
fn rule_r1_every_group_has_its_threshold() {
    let mut scenario = Scenario::good();
    scenario.rule(|policy| {
        policy.groups = vec![BuilderGroup {
            name: "universities".into(),
            operators: vec!["carol".into(), "alice".into()],
            threshold: 2,
        }];
    });
    assert!(scenario.refused(&["R1"]).contains("universities"));
}

#[test]
fn rule_r3_records_are_bound_and_fresh() {
    type Change = fn(&mut Scenario);
    let cases: [(&str, Change); 8] = [
        ("about the declaration", |s| {
            s.evidence.records[1].declaration = sha("another")
        }),
        ("not the candidate's", |s| s.evidence.records[1].lock = sha("another")),
        ("never issued", |s| s.evidence.records[1].nonce = "00".repeat(32)),
        ("issued to `b1`", |s| {
            let nonce = s.evidence.nonces[0].nonce.clone();
            s.evidence.records[1].nonce = nonce;
        }),
        ("before its nonce", |s| {
            s.evidence.records[1].started_on = at("2026-06-01T09:00:00Z")
        }),
        ("in the future", |s| {
            s.evidence.records[1].finished_on = at("2026-06-02T00:11:00Z")
        }),
        ("before it started", |s| {
            s.evidence.records[1].finished_on = at("2026-06-01T12:30:00Z")
        }),
        ("SOURCE_DATE_EPOCH", |s| s.evidence.records[1].source_date_epoch += 1),
    ];
    for (what, change) in cases {
        let mut scenario = Scenario::good();
        change(&mut scenario);
        // A record that does not answer leaves its nonce open, which R4 says too.
        let decision = scenario.decide();
        let broken: Vec<_> = decision.broken().map(|rule| rule.id.as_str()).collect();
        assert!(broken.starts_with(&["R1", "R3"]), "{}", explain(&decision));
        let r3 = decision.broken().find(|rule| rule.id == "R3").unwrap();
        assert!(r3.evidence.contains(what), "{}", r3.evidence);
    }
    let mut stale = Scenario::good();
    stale.now = at("2026-06-12T00:00:00Z");
    stale.rule(|policy| policy.max_record_age_days = 10);
    assert!(stale.refused(&["R1", "R3", "B1"]).contains("0 of 2"));
}

#[test]
fn rule_r4_open_nonces_are_waited_for() {
    let mut hidden = Scenario::good();
    hidden.rebuild("b3");
    hidden.evidence.records.pop();
    assert!(hidden.refused(&["R4"]).contains("`b3`"));
    hidden.now = at("2026-06-04T00:00:00Z");
    let decision = hidden.admitted();
    let r4 = decision.rules.iter().find(|rule| rule.id == "R4").unwrap();
    assert!(r4.evidence.contains("timed out: b3"), "{}", r4.evidence);
    let mut forged = Scenario::good();
    forged.rebuild("b3").signed_by = vec![];
    assert!(forged.refused(&["R4"]).contains("`b3`"), "an unsigned answer is none");
}

#[test]
fn rule_r5_revoked_builders_do_not_count() {
    let mut early = Scenario::good();
    early.rule(|policy| policy.builders[1].revoked_at = Some(at("2026-06-01T13:30:00Z")));
    assert!(
        early
            .decide()
            .broken()
            .any(|rule| rule.id == "R5" && rule.evidence.contains("revoked"))
    );
    early.refused(&["R1", "R5"]);
    // A thief sets the clock back; the gate's own nonce does not follow.
    let mut backdated = Scenario::good();
    backdated.rule(|policy| policy.builders[1].revoked_at = Some(at("2026-06-01T11:00:00Z")));
    let record = &mut backdated.evidence.records[1];
    (record.started_on, record.finished_on) = (at("2026-05-01T00:00:00Z"), at("2026-05-01T01:00:00Z"));
    backdated.refused(&["R1", "R5"]);
    let mut later = Scenario::good();
    later.rule(|policy| policy.builders[1].revoked_at = Some(at("2026-06-01T15:00:00Z")));
    later.admitted();
}

#[test]
fn rule_r6_records_are_complete() {
    let mut scenario = Scenario::good();
    scenario.evidence.records[1].log = None;
    scenario.refused(&["R1", "R6"]);
}

#[test]
fn rule_r7_signer_and_builder_belong_together() {
    let mut other = Scenario::good();
    other.evidence.records[1].signed_by = vec![key_of(&builder("b1", "alice"))];
    other.refused(&["R1", "R4", "R7"]);
    let mut unknown = Scenario::good();
    unknown.rule(|policy| policy.builders.retain(|b| b.id.as_str() != "b2"));
    assert!(
        unknown
            .decide()
            .broken()
            .any(|rule| rule.id == "R7" && rule.evidence.contains("no builder `b2`"))
    );
    let mut twice = Scenario::good();
    twice.rule(|policy| policy.builders.push(builder("b2", "carol")));
    assert!(
        twice
            .decide()
            .broken()
            .any(|rule| rule.id == "R7" && rule.evidence.contains("twice"))
    );
}

#[test]
fn rule_b1_files_must_be_all_that_was_rebuilt() {
    let mut swapped = Scenario::good();
    swapped.candidate.sets[0].outputs[0].digest.sha256 = sha("one byte changed");
    let decision = swapped.decide();
    let broken: Vec<_> = decision.broken().map(|rule| rule.id.as_str()).collect();
    assert_eq!(broken, ["R1", "B1"]);
    let b1 = decision.broken().find(|rule| rule.id == "B1").unwrap();
    assert!(
        b1.evidence.contains("`hello_2.10-3+custom1_amd64.deb` is offered as"),
        "{}",
        b1.evidence
    );
    assert_eq!(b1.repeat, "assay rebuild hello");
    let mut extra = Scenario::good();
    extra.candidate.sets[0]
        .outputs
        .push(output(facts("hello-extra", "all")));
    extra.refused(&["R1", "B1", "B2"]);
    let mut missing = Scenario::good();
    missing.candidate.sets[0].outputs.pop();
    assert!(
        missing
            .decide()
            .broken()
            .any(|rule| rule.id == "B1" && rule.evidence.contains("is not offered"))
    );
}

#[test]
fn rule_b2_packages_must_be_declared() {
    let mut scenario = Scenario::good();
    scenario.outputs(vec![
        output(facts("hello", "amd64")),
        output(facts("stowaway", "amd64")),
    ]);
    assert!(scenario.refused(&["B2"]).contains("stowaway"));
    let mut wrong = Scenario::good();
    wrong.outputs(vec![output(facts("hello", "all"))]);
    assert!(wrong.refused(&["B2"]).contains("no all package"));
    let mut udeb = Scenario::good();
    let mut smuggled = output(facts("hello", "amd64"));
    smuggled.name = file("hello_2.10-3+custom1_amd64.udeb");
    udeb.outputs(vec![smuggled]);
    assert!(udeb.refused(&["B2"]).contains("udeb"));
}

#[test]
fn rule_b3_debug_packages_have_a_parent_and_hold_symbols_only() {
    let with = |changed: assay::admission::DebFacts| {
        let mut scenario = Scenario::good();
        scenario.outputs(vec![output(facts("hello", "amd64")), output(changed)]);
        scenario
    };
    with(dbgsym()).admitted();
    let mut tool = dbgsym();
    tool.files.insert("usr/bin/evil".into(), sha("evil"));
    assert!(with(tool).refused(&["B3"]).contains("usr/bin/evil"));
    let mut unmarked = dbgsym();
    unmarked.auto_built = None;
    with(unmarked).refused(&["B3"]);
    let mut empty = dbgsym();
    empty.build_ids.push("123456".into());
    assert!(with(empty).refused(&["B3"]).contains("123456"));
    let mut orphan = Scenario::good();
    orphan.outputs(vec![output(dbgsym())]);
    assert!(orphan.refused(&["B3"]).contains("has no hello"));
}

#[test]
fn rule_b4_packages_name_the_declared_source() {
    let mut other = Scenario::good();
    other.change(|facts| facts.source = package("evil"));
    other.evidence.indexed.retain(|row| row.package.as_str() != "hello");
    assert!(other.refused(&["B4"]).contains("evil"));
    let mut old = Scenario::good();
    old.change(|facts| facts.source_version = version("2.10-2"));
    old.refused(&["B4"]);
}

#[test]
fn rule_b5_binary_only_rebuilds_are_refused() {
    let mut scenario = Scenario::good();
    scenario.change(|facts| facts.version = version("2.10-3+custom1+b1"));
    scenario.refused(&["B5"]);
}

#[test]
fn rule_b6_sets_are_of_one_environment_each() {
    let mut twice = Scenario::good();
    twice.candidate.sets.push(twice.candidate.sets[0].clone());
    assert!(twice.refused(&["B6"]).contains("two sets"));
    let mut differing = Scenario::good();
    let mut other = differing.candidate.sets[0].clone();
    other.lock = sha("another lock");
    other.outputs[1].digest.sha256 = sha("built elsewhere");
    differing.candidate.sets.push(other);
    assert!(
        differing
            .decide()
            .broken()
            .any(|rule| rule.id == "B6" && rule.evidence.contains("hello-data"))
    );
}

#[test]
fn rule_b7_names_agree() {
    let mut named = Scenario::good();
    let mut wrong = output(facts("hello", "amd64"));
    wrong.name = file("hello_2.10-3+custom1_i386.deb");
    named.outputs(vec![wrong]);
    assert!(named.refused(&["B7"]).contains("should be named"));
    let mut same = Scenario::good();
    let mut data = facts("hello-data", "all");
    data.multi_arch = Some("same".into());
    same.outputs(vec![output(facts("hello", "amd64")), output(data)]);
    assert!(same.refused(&["B7"]).contains("dpkg refuses"));
}

#[test]
fn rule_b7_multi_arch_same_siblings_share_files() {
    let mut scenario = Scenario::good();
    scenario.change(|facts| {
        facts.multi_arch = Some("same".into());
        facts.files.insert("usr/include/hello.h".into(), sha("amd64"));
    });
    let mut other = scenario.candidate.sets[0].clone();
    let mut sibling = facts("hello", "arm64");
    sibling.multi_arch = Some("same".into());
    sibling.files.insert("usr/include/hello.h".into(), sha("arm64"));
    other.lock = sha("arm64 lock");
    other.architecture = Architecture::new("arm64").unwrap();
    other.outputs = vec![output(sibling)];
    scenario.candidate.sets.push(other);
    let decision = scenario.decide();
    let b7 = decision.broken().find(|rule| rule.id == "B7").unwrap();
    assert!(b7.evidence.contains("usr/include/hello.h"), "{}", b7.evidence);
}

#[test]
fn rule_d1_malformed_debs_are_refused() {
    let mut scenario = Scenario::good();
    scenario.candidate.sets[0].outputs[0].facts =
        Inspected::Malformed("a member stands behind the data\u{1b}[0m".into());
    let evidence = scenario.refused(&["D1"]);
    assert!(evidence.contains("behind the data") && !evidence.contains('\u{1b}'));
}

#[test]
fn rule_d2_rights_are_declared() {
    let mut scenario = Scenario::good();
    scenario.change(|facts| facts.setuid.push("usr/bin/hello".into()));
    assert!(scenario.refused(&["D2"]).contains("usr/bin/hello"));
    scenario.except("D2", "2026-07-01T00:00:00Z");
    assert!(scenario.admitted().levels.contains(&"ASSAY_RELAXED_D2".to_owned()));
    let mut scripted = Scenario::good();
    scripted.change(|facts| {
        facts.scripts.insert("postinst".into(), sha("postinst"));
    });
    let decision = scripted.admitted();
    let d2 = decision.rules.iter().find(|rule| rule.id == "D2").unwrap();
    assert!(d2.evidence.contains("postinst"), "maintainer scripts are shown");
}

#[test]
fn rule_d3_limits_hold() {
    let mut scenario = Scenario::good();
    scenario.candidate.sets[0].outputs[0].facts = Inspected::TooLarge("more than 10 bytes".into());
    scenario.refused(&["D3"]);
}

#[test]
fn rule_d4_control_brings_no_archive_field() {
    let mut scenario = Scenario::good();
    scenario.change(|facts| facts.fields.push("filename".into()));
    assert!(scenario.refused(&["D4"]).contains("`filename`"));
}

fn held(key: LedgerKey, bytes: &str, source: &str, text: &str) -> LedgerEntry {
    LedgerEntry {
        key,
        sha256: sha(bytes),
        source: package(source),
        version: version(text),
    }
}

fn binary(name: &str, text: &str) -> LedgerKey {
    LedgerKey::Binary {
        package: package(name),
        version: text.into(),
        architecture: arch("amd64"),
    }
}

#[test]
fn rule_v1_a_binary_never_comes_back_with_other_bytes() {
    let mut scenario = Scenario::good();
    let entry = held(binary("hello", "2.10-3+custom1"), "other", "hello", "2.10-3+custom1");
    scenario.evidence.ledger = LedgerView::new([entry]);
    assert!(scenario.refused(&["V1"]).contains("was admitted before"));
    scenario.evidence.ledger = LedgerView::new(claims(&scenario.candidate));
    scenario.admitted();
}

#[test]
fn rule_v2_epochs_and_formats_make_no_new_name() {
    let key = LedgerKey::Source {
        package: package("hello"),
        version: "2.10-3+custom1".into(),
    };
    let mut epoch = Scenario::good();
    epoch.evidence.ledger = LedgerView::new([held(key, "other", "hello", "1:2.10-3+custom1")]);
    assert!(epoch.refused(&["V2"]).contains("an epoch makes no other name"));
    let key = LedgerKey::Upstream {
        package: package("hello"),
        version: "2.10".into(),
    };
    let mut native = Scenario::good();
    native.evidence.ledger = LedgerView::new([held(key, "the native tarball", "hello", "2.10")]);
    assert!(native.refused(&["V2"]).contains("upstream version 2.10"));
    let key = LedgerKey::File {
        name: file("hello_2.10.orig.tar.xz"),
    };
    let mut orig = Scenario::good();
    orig.evidence.ledger = LedgerView::new([held(key, "another tarball", "hello", "2.10-2")]);
    orig.refused(&["V2"]);
}

#[test]
fn rule_v3_versions_do_not_go_back_in_a_suite() {
    let key = |suite: &str, text: &str| LedgerKey::Suite {
        suite: SuiteName::new(suite).unwrap(),
        package: package("hello"),
        version: text.into(),
        architecture: arch("source"),
    };
    let mut back = Scenario::good();
    back.evidence.ledger = LedgerView::new([held(key("stable", "2.10-4"), "newer", "hello", "2.10-4")]);
    assert!(back.refused(&["V3"]).contains("older than 2.10-4"));
    back.except("V3", "2026-07-01T00:00:00Z");
    back.admitted();
    let mut elsewhere = Scenario::good();
    elsewhere.evidence.ledger = LedgerView::new([held(key("testing", "2.10-4"), "newer", "hello", "2.10-4")]);
    elsewhere.admitted();
    let mut alike = Scenario::good();
    alike.evidence.ledger = LedgerView::new([held(key("stable", "2.010-3+custom1"), "x", "hello", "2.010-3+custom1")]);
    assert!(alike.refused(&["V3"]).contains("the same version to dpkg"));
}

#[test]
fn rule_v4_binaries_stay_with_their_source() {
    let mut scenario = Scenario::good();
    scenario.evidence.ledger = LedgerView::new([held(binary("hello", "2.0-1"), "old", "greetings", "2.0-1")]);
    assert!(scenario.refused(&["V4"]).contains("greetings"));
    scenario.except("V4", "2026-07-01T00:00:00Z");
    scenario.admitted();
}

#[test]
fn rule_a2_everything_is_decided_together() {
    let mut without_source = Scenario::good();
    without_source.declare(|declaration| declaration.files.retain(|f| !f.name.as_str().ends_with(".dsc")));
    assert!(without_source.refused(&["A2"]).contains("source package"));
    let mut empty = Scenario::good();
    empty.candidate.sets.clear();
    assert!(empty.decide().broken().any(|rule| rule.id == "A2"));
    assert!(empty.decide().broken().any(|rule| rule.id == "R1"));
}

#[test]
fn rule_a5_one_dissent_blocks_any_majority() {
    let mut scenario = Scenario::good();
    let dissent = scenario.rebuild("b3");
    dissent
        .outputs
        .insert(file("hello_2.10-3+custom1_amd64.deb"), sha("other bytes"));
    scenario
        .evidence
        .differences
        .insert(sha("other bytes"), "usr/bin/hello differs at byte 7".into());
    let evidence = scenario.refused(&["A5"]);
    assert!(
        evidence.contains("`b3`") && evidence.contains("usr/bin/hello differs"),
        "{evidence}"
    );
    // Age, missing nonce or missing log do not silence it.
    let record = scenario.evidence.records.last_mut().unwrap();
    record.finished_on = at("2020-01-01T00:00:00Z");
    record.started_on = record.finished_on;
    record.log = None;
    record.network = "host".into();
    assert!(scenario.decide().broken().any(|rule| rule.id == "A5"));
    // Nor do strangers, whoever they say they are.
    scenario.evidence.records.last_mut().unwrap().signed_by = vec![];
    assert!(!scenario.decide().broken().any(|rule| rule.id == "A5"));
}

#[test]
fn rule_a5_a_failed_build_is_a_dissent_until_its_builder_builds_it() {
    let mut scenario = Scenario::good();
    let failed = scenario.rebuild("b3");
    failed.outcome = Outcome::Ftbfs;
    failed.outputs = BTreeMap::new();
    assert!(scenario.refused(&["A5"]).contains("failed"));
    let again = scenario.rebuild("b3");
    again.started_on = at("2026-06-01T15:00:00Z");
    again.finished_on = at("2026-06-01T16:00:00Z");
    scenario.admitted();
}

#[test]
fn rule_a5_builders_that_contradict_each_other_are_named() {
    let mut scenario = Scenario::good();
    for (number, record) in scenario.evidence.records.iter_mut().enumerate() {
        record
            .outputs
            .insert(file("hello_2.10-3+custom1_amd64.deb"), sha(&number.to_string()));
    }
    scenario.refused(&["R1", "B1", "A5"]);
}

#[test]
fn rule_a6_a_timeout_is_called_a_timeout() {
    let mut scenario = Scenario::good();
    scenario.evidence.records[1].outcome = Outcome::Timeout;
    scenario.evidence.records[1].outputs.clear();
    let decision = scenario.decide();
    let a6 = decision.broken().find(|rule| rule.id == "A6").unwrap();
    assert!(a6.evidence.contains("ran out of time"));
    scenario.refused(&["R1", "A6"]);
}

#[test]
fn rule_a8_names_of_the_mirrors_are_only_replaced_by_newer_versions_of_the_same_source() {
    let spoiled = |row: assay::admission::Indexed| {
        let mut scenario = Scenario::good();
        scenario.evidence.indexed.push(row);
        scenario.refused(&["A8"])
    };
    assert!(spoiled(row("hello", "2.10-4", sha("newer"))).contains("not newer"));
    assert!(spoiled(row("hello", "2.10-3+custom1", sha("same"))).contains("not newer"));
    let mut other = row("hello-data", "1.0", sha("data"));
    other.source = package("other");
    assert!(spoiled(other).contains("from the source other"));
    let mut source = row("hello", "3.0-1", sha("dsc"));
    source.kind = assay::admission::IndexedKind::Source;
    source.architecture = arch("source");
    assert!(spoiled(source).contains("source package"));
    let mut inflated = Scenario::good();
    inflated.declare(|declaration| declaration.version = version("1:2.10-3+custom1"));
    inflated.change(|facts| {
        facts.version = version("1:2.10-3+custom1");
        facts.source_version = version("1:2.10-3+custom1");
    });
    let mut data = facts("hello-data", "all");
    data.source_version = version("1:2.10-3+custom1");
    let hello = inflated.candidate.sets[0].outputs[0].clone();
    inflated.outputs(vec![hello, output(data)]);
    assert!(inflated.refused(&["A8"]).contains("another epoch"));
}

#[test]
fn rule_a8_nothing_makes_itself_indispensable() {
    for change in [
        (|f| f.essential = true) as fn(&mut assay::admission::DebFacts),
        |f| f.protected = true,
        |f| f.provides = vec![package("libc6")],
    ] {
        let mut scenario = Scenario::good();
        scenario.change(change);
        scenario.refused(&["A8"]);
    }
}

#[test]
fn rule_a10_the_policy_is_the_named_one() {
    let mut scenario = Scenario::good();
    scenario.policy.max_record_age_days = 3650;
    scenario.refused(&["A10"]);
    let digest = scenario.decide().policy_sha256;
    assert_eq!(
        digest,
        identity(&scenario.policy),
        "the decision names the policy that was applied"
    );
}

#[test]
fn rule_a11_suites_are_declared() {
    let mut scenario = Scenario::good();
    scenario.candidate.suites.push(SuiteName::new("testing").unwrap());
    assert!(scenario.refused(&["A11"]).contains("testing"));
    scenario.candidate.suites.clear();
    scenario.refused(&["A11"]);
}

#[test]
fn rule_a7_exceptions_end_and_are_seen() {
    let mut expired = Scenario::good();
    expired.declare(|declaration| declaration.upstream = None);
    expired.except("S7", "2026-06-01T00:00:00Z");
    let evidence = expired.refused(&["S7", "A7"]);
    assert!(
        evidence.contains("the exception of Olga ended at 2026-06-01"),
        "{evidence}"
    );
    let mut active = Scenario::good();
    active.declare(|declaration| declaration.upstream = None);
    active.except("S7", "2026-07-01T00:00:00Z");
    let decision = active.admitted();
    let a7 = decision.rules.iter().find(|rule| rule.id == "A7").unwrap();
    assert!(a7.evidence.contains("S7 until 2026-07-01") && a7.evidence.contains("a reason"));
    for id in ["R1", "A5", "V1", "R9"] {
        let mut pointless = Scenario::good();
        pointless.except(id, "2026-07-01T00:00:00Z");
        assert!(pointless.refused(&["A7"]).contains(id));
    }
}

#[test]
fn explanations_name_rule_evidence_and_command() {
    let mut scenario = Scenario::good();
    scenario.evidence.records.pop();
    let decision = scenario.decide();
    let text = explain(&decision);
    assert!(
        text.starts_with("hello 2.10-3+custom1: refused for custom (stable)"),
        "{text}"
    );
    assert!(text.contains("R1   REFUSED"), "{text}");
    assert!(text.contains("repeat   assay rebuild hello"), "{text}");
    let json = explain_json(&decision);
    assert_eq!(json["admitted"], false);
    assert_eq!(json["rules"].as_array().unwrap().len(), RULES.len());
}
