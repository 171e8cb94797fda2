//! The rules about packages, versions and archives, as `rules.rs` has those about evidence.

use std::collections::BTreeMap;

use assay::admission::{
    Inspected, LedgerEntry, LedgerKey, LedgerView, Moved, RULES, claims, explain, explain_json, file_set, identity,
};
use assay::domain::{Architecture, SuiteName};
use assay::format::intoto::Outcome;
use assay::snapshot::Removed;

use super::scenario::{Scenario, arch, at, dbgsym, facts, file, output, package, row, sha, version};

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
    assert_eq!(b1.repeat, "assay rebuild hello --compare");
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
    // Whichever of the two comes first, the same is said of them.
    twice.candidate.sets[0].outputs[0].digest.sha256 = sha("one byte changed");
    let said = twice.decide();
    twice.candidate.sets.reverse();
    assert_eq!(twice.decide(), said);
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
    for (outcome, what) in [
        (Outcome::Memory, "memory"),
        (Outcome::Disk, "disk"),
        (Outcome::Processes, "processes"),
        (Outcome::Log, "room for its log"),
    ] {
        scenario.evidence.records[1].outcome = outcome;
        let decision = scenario.decide();
        let a6 = decision.broken().find(|rule| rule.id == "A6").unwrap();
        assert!(a6.evidence.contains(&format!("ran out of {what}")), "{}", a6.evidence);
    }
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
    let mut essential = Scenario::good();
    essential.change(|f| f.essential = true);
    let why = essential.refused(&["A8"]);
    assert!(
        why.contains("Essential") && why.contains("[[allow]]"),
        "it says what may be done: {why}"
    );
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

    let mut of_a_branch = Scenario::good();
    of_a_branch.declare(|declaration| declaration.suites.clear());
    of_a_branch.admitted();

    // From another suite: only what one decision let in there, and all of it.
    let mut merged = Scenario::good();
    let decision = sha("the decision on feature-foo");
    merged.declare(|declaration| declaration.suites = vec![SuiteName::new("feature-foo").unwrap()]);
    merged.refused(&["A11"]);
    merged.candidate.terms.moved = Some(Moved {
        from: SuiteName::new("feature-foo").unwrap(),
        decision,
    });
    assert!(merged.refused(&["A11"]).contains("feature-foo"));
    let files = file_set(&merged.candidate).unwrap();
    merged
        .evidence
        .admitted
        .extend(files.values().map(|sha256| (*sha256, decision)));
    assert!(merged.admitted().inputs.contains(&("decision".to_owned(), decision)));
    merged
        .evidence
        .admitted
        .insert(*files.values().next().unwrap(), sha("another decision"));
    merged.refused(&["A11"]);
}

#[test]
fn rule_a12_what_was_removed_on_purpose_stays_away() {
    let mut scenario = Scenario::good();
    let removed = |suite: &str| {
        let removed = Removed {
            source: "hello".parse().unwrap(),
            version: version("2.10-2"),
            reason: "it eats data".into(),
            at: at("2026-05-01T00:00:00Z"),
        };
        (SuiteName::new(suite).unwrap(), removed)
    };
    scenario.evidence.removed = vec![removed("testing")];
    scenario.admitted();
    scenario.evidence.removed.push(removed("stable"));
    assert!(scenario.refused(&["A12"]).contains("it eats data"));
    scenario.candidate.terms.allowed =
        BTreeMap::from([("A12".into(), "it is mended".into()), ("R1".into(), "no".into())]);
    let decision = scenario.admitted();
    assert!(
        decision.levels.contains(&"ASSAY_RELAXED_A12".to_owned()),
        "{:?}",
        decision.levels
    );
    let a12 = decision.rules.iter().find(|rule| rule.id == "A12").unwrap();
    assert!(a12.evidence.contains("it eats data") && a12.evidence.contains("it is mended"));
    // Nothing else can be allowed so.
    scenario.evidence.records.pop();
    scenario.refused(&["R1", "R4"]);
}

#[test]
fn rule_r3_a_suite_with_rebuilds_of_its_own_takes_no_older_ones() {
    let mut scenario = Scenario::good();
    scenario.candidate.terms.fresh_since = Some(at("2026-06-01T12:00:00Z"));
    scenario.admitted();
    scenario.candidate.terms.fresh_since = Some(at("2026-06-01T12:00:01Z"));
    let decision = scenario.decide();
    let broken: Vec<_> = decision.broken().map(|rule| rule.id.as_str()).collect();
    assert!(!decision.admitted && broken.contains(&"R1"), "{broken:?}");
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
    for id in ["R1", "A5", "V1", "R99"] {
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
