//! What a policy may say, and what follows from it.

use std::collections::{BTreeMap, BTreeSet};

use assay::admission::{Before, identity};
use assay::domain::SuiteName;
use assay::format::intoto::Outcome;
use assay::site::{Allowance, DebCompression, Dissent, ListedField, Policy, Shadowing, SuiteTerms, Takeover};

use super::scenario::{Scenario, arch, at, dbgsym, facts, output, package, row, secret_key, sha, version};

fn suite(text: &str) -> SuiteName {
    SuiteName::new(text).unwrap()
}

#[test]
fn two_operators_in_one_place_are_one_where_hosting_must_be_distinct() {
    let mut scenario = Scenario::good();
    scenario.rule(|policy| {
        policy.distinct_hosting = true;
        policy.builders[1].hosting = policy.builders[0].hosting.clone();
    });
    assert!(
        scenario
            .refused(&["R1"])
            .contains("1 of 2 operators, each hosted apart")
    );
    // Bob has a second machine elsewhere.
    scenario.rebuild("b3");
    scenario.admitted();
}

#[test]
fn one_key_is_no_two_operators() {
    let mut scenario = Scenario::good();
    scenario.rule(|policy| policy.builders[1].public_key = policy.builders[0].public_key.clone());
    let b1 = scenario.evidence.records[0].signed_by.clone();
    scenario.evidence.records[1].signed_by = b1;
    scenario.refused(&["R1", "R4", "R7", "B1"]);
}

#[test]
fn builders_keys_have_times() {
    for change in [
        (|p| p.builders[1].valid_from = Some(at("2026-06-01T13:30:00Z"))) as fn(&mut Policy),
        |p| p.builders[1].valid_until = Some(at("2026-06-01T12:30:00Z")),
    ] {
        let mut scenario = Scenario::good();
        scenario.rule(change);
        assert!(scenario.refused(&["R1", "R5"]).contains("1 of 2 operators"));
    }
    let mut within = Scenario::good();
    within.rule(|policy| {
        policy.builders[1].valid_from = Some(at("2026-01-01T00:00:00Z"));
        policy.builders[1].valid_until = Some(at("2026-12-01T00:00:00Z"));
    });
    within.admitted();
}

#[test]
fn suites_have_terms_of_their_own_and_the_strictest_counts() {
    let terms = |quorum| SuiteTerms {
        quorum: Some(quorum),
        ..SuiteTerms::default()
    };
    let mut stricter = Scenario::good();
    stricter.rule(|policy| policy.suites = BTreeMap::from([(suite("stable"), terms(3))]));
    assert!(stricter.refused(&["R1"]).contains("2 of 3 operators"));
    let mut other = Scenario::good();
    other.rule(|policy| policy.suites = BTreeMap::from([(suite("testing"), terms(3))]));
    other.admitted();
    // Both at once: three are needed.
    other.declare(|declaration| declaration.suites.push(suite("testing")));
    other.candidate.suites.push(suite("testing"));
    assert!(other.refused(&["R1"]).contains("2 of 3 operators"));
    let mut looser = Scenario::good();
    looser.evidence.records.pop();
    looser.evidence.nonces.pop();
    looser.rule(|policy| policy.suites = BTreeMap::from([(suite("stable"), terms(1))]));
    let decision = looser.admitted();
    assert!(decision.levels.is_empty(), "one operator alone reproduces nothing");
}

#[test]
fn silence_blocks_where_the_policy_says_so() {
    let silent = |scenario: &mut Scenario| scenario.rule(|policy| policy.dissent = Dissent::AnySilenceBlocks);
    let mut unanswered = Scenario::good();
    unanswered.rebuild("b3");
    unanswered.evidence.records.pop();
    unanswered.now = at("2026-06-04T00:00:00Z");
    unanswered.admitted();
    silent(&mut unanswered);
    assert!(unanswered.refused(&["A5"]).contains("`b3` did not answer"));
    let mut late = Scenario::good();
    let record = late.rebuild("b3");
    record.outcome = Outcome::Timeout;
    record.outputs.clear();
    late.admitted();
    silent(&mut late);
    assert!(late.refused(&["A5"]).contains("ran out of time"));
    let mut all = Scenario::good();
    silent(&mut all);
    all.admitted();
}

#[test]
fn compressions_are_those_that_the_policy_takes() {
    let mut scenario = Scenario::good();
    scenario.rule(|policy| policy.compressions = BTreeSet::from([DebCompression::Xz]));
    scenario.admitted();
    scenario.change(|facts| facts.compressions = BTreeSet::from([DebCompression::Xz, DebCompression::Zstd]));
    assert!(scenario.refused(&["D1"]).contains("zstd"));
}

#[test]
fn exceptions_may_be_for_one_version() {
    let mut scenario = Scenario::good();
    scenario.declare(|declaration| declaration.upstream = None);
    scenario.except("S7", "2026-07-01T00:00:00Z");
    scenario.rule(|policy| policy.exceptions[0].version = Some(version("2.10-3+custom1")));
    scenario.admitted();
    scenario.rule(|policy| policy.exceptions[0].version = Some(version("2.10-2+custom1")));
    scenario.refused(&["S7"]);
}

#[test]
fn names_and_fields_are_used_when_they_are_listed_and_only_then() {
    use ListedField::{Epoch, Essential, Important, Package, Protected, Provides, Replaces};
    type Change = fn(&mut Scenario);
    let cases: [(ListedField, &str, Change); 7] = [
        (Essential, "", |s| s.change(|facts| facts.essential = true)),
        (Protected, "", |s| s.change(|facts| facts.protected = true)),
        (Important, "", |s| s.change(|facts| facts.important = true)),
        (Provides, "libc6", |s| {
            s.change(|facts| facts.provides = vec![package("libc6")])
        }),
        (Replaces, "libc6", |s| {
            s.change(|facts| facts.replaces = vec![package("libc6")])
        }),
        (Package, "", |s| {
            s.evidence.indexed.push(row("hello", "2.10-4", sha("newer")))
        }),
        (Epoch, "", |s| {
            s.evidence.indexed.retain(|row| row.package.as_str() != "hello");
            s.evidence.indexed.push(row("hello", "0:1.0-1", sha("older")));
            s.change(|facts| facts.version = version("1:2.10-3+custom1"));
        }),
    ];
    for (field, name, change) in cases {
        let mut scenario = Scenario::good();
        change(&mut scenario);
        let evidence = scenario.refused(&["A8"]);
        assert!(
            evidence.contains("hello_2.10-3+custom1_amd64.deb"),
            "{field:?}: {evidence}"
        );
        let allow = |field, names: &[&str]| Allowance {
            source: package("hello"),
            package: Some(package("hello")),
            fields: BTreeSet::from([field]),
            names: names.iter().map(|name| package(name)).collect(),
            reason: "it is what it is for".into(),
        };
        if !name.is_empty() {
            scenario.rule(|policy| policy.allowed = vec![allow(field, &["libc7"])]);
            scenario.refused(&["A8"]);
        }
        let other = if field == Essential { Protected } else { Essential };
        scenario.rule(|policy| policy.allowed = vec![allow(other, &["libc6"])]);
        scenario.refused(&["A8"]);
        scenario.rule(|policy| policy.allowed = vec![allow(field, if name.is_empty() { &[] } else { &["libc6"] })]);
        let decision = scenario.admitted();
        let a8 = decision.rules.iter().find(|rule| rule.id == "A8").unwrap();
        assert!(a8.evidence.contains("it is what it is for"), "{}", a8.evidence);
    }
}

#[test]
fn what_the_mirrored_version_replaces_the_newer_one_may_replace_too() {
    let mut scenario = Scenario::good();
    scenario
        .evidence
        .indexed
        .push(row("hello-traditional", "2.10-6", sha("another")));
    scenario.change(|facts| facts.replaces = vec![package("hello-traditional")]);
    assert!(scenario.refused(&["A8"]).contains("replaces hello-traditional"));
    for row in scenario
        .evidence
        .indexed
        .iter_mut()
        .filter(|row| row.package.as_str() == "hello")
    {
        row.takes = vec![package("hello-traditional")];
    }
    scenario.admitted();
}

#[test]
fn shadowing_may_need_a_list() {
    let mut scenario = Scenario::good();
    scenario.rule(|policy| policy.shadowing = Shadowing::Listed);
    assert!(scenario.refused(&["A8"]).contains("does not list it"));
    scenario.rule(|policy| {
        policy.allowed = vec![Allowance {
            source: package("hello"),
            package: None,
            fields: BTreeSet::from([ListedField::Package]),
            names: BTreeSet::new(),
            reason: "patched here".into(),
        }];
    });
    scenario.admitted();
}

#[test]
fn a_declared_takeover_moves_a_package_to_another_source() {
    use assay::admission::{LedgerEntry, LedgerKey, LedgerView};
    let mut scenario = Scenario::good();
    scenario.evidence.ledger = LedgerView::new([LedgerEntry {
        key: LedgerKey::Binary {
            package: package("hello"),
            version: "2.0-1".into(),
            architecture: arch("amd64"),
        },
        sha256: sha("old"),
        source: package("greetings"),
        version: version("2.0-1"),
    }]);
    scenario.refused(&["V4"]);
    let takeover = |from: &str| Takeover {
        package: package("hello"),
        from: package(from),
        to: package("hello"),
        reason: "split off upstream".into(),
    };
    scenario.rule(|policy| policy.takeovers = vec![takeover("other")]);
    scenario.refused(&["V4"]);
    scenario.rule(|policy| policy.takeovers = vec![takeover("greetings")]);
    let decision = scenario.admitted();
    let v4 = decision.rules.iter().find(|rule| rule.id == "V4").unwrap();
    assert!(
        v4.evidence.contains("from greetings (split off upstream)"),
        "{}",
        v4.evidence
    );
}

#[test]
fn rule_b3_symbols_are_of_a_file_of_the_parent() {
    let mut scenario = Scenario::good();
    let mut symbols = dbgsym();
    symbols.build_ids = vec!["abcd00".into()];
    symbols
        .files
        .insert("usr/lib/debug/.build-id/ab/cd00.debug".into(), sha("foreign symbols"));
    let mut parent = facts("hello", "amd64");
    scenario.outputs(vec![output(parent.clone()), output(symbols.clone())]);
    assert!(
        scenario
            .refused(&["B3"])
            .contains("symbols of `abcd00`, which no file of hello has")
    );
    // Where the parent has a file whose build id cannot be read, nobody can say.
    parent.elf_without_id = 1;
    scenario.outputs(vec![output(parent), output(symbols)]);
    scenario.admitted();
}

#[test]
fn rule_b6_packages_for_all_come_from_the_builds_that_the_policy_names() {
    let mut scenario = Scenario::good();
    scenario.rule(|policy| policy.all_built_on = Some(arch("amd64")));
    scenario.admitted();
    scenario.rule(|policy| policy.all_built_on = Some(arch("arm64")));
    assert!(scenario.refused(&["B6"]).contains("hello-data was built on amd64"));
    let mut mixed = Scenario::good();
    mixed.declare(|declaration| {
        let mut doc = declaration.packages[1].clone();
        doc.name = package("hello-doc");
        declaration.packages.push(doc);
    });
    let mut second = mixed.candidate.sets[0].clone();
    second.lock = sha("arm64 lock");
    second.architecture = arch("arm64");
    second.outputs = vec![output(facts("hello-doc", "all"))];
    mixed.candidate.sets.push(second);
    let decision = mixed.decide();
    let b6 = decision.broken().find(|rule| rule.id == "B6").unwrap();
    assert!(b6.evidence.contains("by one of the builds"), "{}", b6.evidence);
}

#[test]
fn rule_d2_what_runs_as_root_is_compared_with_the_version_before() {
    let mut scenario = Scenario::good();
    scenario.evidence.before = vec![Before {
        package: package("hello"),
        architecture: arch("amd64"),
        version: version("2.10-2"),
        scripts: BTreeMap::from([("postinst".into(), sha("old")), ("prerm".into(), sha("prerm"))]),
        setuid: vec!["usr/bin/su".into()],
    }];
    scenario.change(|facts| {
        facts.scripts = BTreeMap::from([("postinst".into(), sha("new")), ("preinst".into(), sha("preinst"))]);
    });
    let decision = scenario.admitted();
    let said = &decision.rules.iter().find(|rule| rule.id == "D2").unwrap().evidence;
    let expected = "against 2.10-2: postinst changed, preinst is new, prerm is gone, usr/bin/su has no set-id any more";
    assert!(said.contains(expected), "{said}");
}

const PLAIN: &str = "quorum = 2\nsource-formats = [\"3.0 (native)\"]\n";

fn parse(text: &str) -> Result<Policy, String> {
    toml::from_str(text).map_err(|error| error.to_string())
}

#[test]
fn what_a_policy_does_not_use_leaves_its_identity_alone() {
    let plain = serde_json::to_value(parse(PLAIN).unwrap()).unwrap();
    let mut keys: Vec<&str> = plain.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    let first = [
        "builder",
        "environment-floor",
        "exception",
        "group",
        "max-record-age-days",
        "quorum",
        "signer",
        "source-formats",
    ];
    assert_eq!(
        keys, first,
        "those that the first policies had: decisions name them by this"
    );
    let whole = format!(
        "{PLAIN}distinct-hosting = true\ndissent = \"any-silence-blocks\"\ncompressions = [\"xz\", \"zstd\"]\n\
         shadowing = \"listed\"\nall-built-on = \"amd64\"\n[suite.stable]\nquorum = 3\ndistinct-hosting = false\n\
         max-record-age-days = 30\nenvironment-floor = \"20261101T000000Z\"\n\
         [[allow]]\nsource = \"a1\"\nfields = [\"essential\"]\nreason = \"r\"\n\
         [[takeover]]\npackage = \"p1\"\nfrom = \"a1\"\nto = \"b1\"\nreason = \"r\"\n\
         [[exception]]\nrule = \"S7\"\nsource = \"a1\"\nversion = \"1.0\"\nreason = \"r\"\nowner = \"o\"\nexpires = \"2027-01-01T00:00:00Z\"\n\
         [[builder]]\nid = \"a/1\"\noperator = \"a\"\nhosting = \"h\"\npublic-key = \"{}\"\nvalid-from = \"2026-01-01T00:00:00Z\"\n",
        secret_key("b1").public().hex()
    );
    let policy = parse(&whole).unwrap();
    let terms = policy.terms(&[suite("stable")]);
    assert_eq!(
        (terms.quorum, terms.distinct_hosting, terms.max_record_age_days),
        (3, false, 30)
    );
    assert_eq!(
        policy.terms(&[suite("stable"), suite("testing")]).max_record_age_days,
        30
    );
    assert!(policy.terms(&[suite("stable"), suite("testing")]).distinct_hosting);
    let again: Policy = serde_json::from_value(serde_json::to_value(&policy).unwrap()).unwrap();
    assert_eq!(identity(&again), identity(&policy), "it is read back from what is kept");
}

#[test]
fn mistakes_in_a_policy_are_found_where_they_stand() {
    let key = secret_key("b1").public().hex();
    let builder = format!("[[builder]]\nid = \"a/1\"\noperator = \"a\"\nhosting = \"h\"\npublic-key = \"{key}\"\n");
    parse(&format!("{PLAIN}{builder}")).unwrap();
    let exception = "[[exception]]\nrule = \"S7\"\nsource = \"a1\"\nreason = \" \"\nowner = \"o\"\nexpires = \"2027-01-01T00:00:00Z\"\n";
    for (text, line, word) in [
        (format!("{PLAIN}quorums = 3\n"), 3, "quorums"),
        (format!("{PLAIN}dissent = \"majority\"\n"), 3, "majority"),
        (format!("{PLAIN}compressions = [\"lzma\"]\n"), 3, "lzma"),
        (format!("{PLAIN}[suite.stable]\nquorum = 0\n"), 4, "0 is too few"),
        (format!("{PLAIN}[suite.stable]\nthreshold = 1\n"), 4, "threshold"),
        (format!("{PLAIN}{}", builder.replace(&key, "00ff")), 7, "public-key"),
        (format!("{PLAIN}{exception}"), 6, "must say something"),
        (
            format!("{PLAIN}[[allow]]\nsource = \"a1\"\nfields = [\"setuid\"]\nreason = \"r\"\n"),
            5,
            "setuid",
        ),
    ] {
        let error = parse(&text).unwrap_err();
        assert!(
            error.contains(&format!("line {line}")) && error.contains(word),
            "{error}"
        );
    }
}

/// Locking another environment does not take back what builders said of the one before.
#[test]
fn rule_a5_a_dissent_counts_after_the_environment_was_locked_again() {
    let mut scenario = Scenario::good();
    let mut before = scenario.evidence.records.clone();
    for (number, record) in before.iter_mut().enumerate() {
        record.sha256 = sha(&format!("before {number}"));
        record.lock = sha("the environment before");
    }
    scenario.evidence.records.extend(before.clone());
    scenario.admitted();
    let dissenting = scenario.evidence.records.last_mut().unwrap();
    *dissenting.outputs.values_mut().next().unwrap() = sha("other bytes");
    assert!(scenario.refused(&["A5"]).contains("which was locked before"));
    // Of a key that does not count it is no dissent.
    scenario.evidence.records.last_mut().unwrap().signed_by.clear();
    scenario.admitted();
}
