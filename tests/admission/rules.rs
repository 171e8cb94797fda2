//! One test at least for each rule id, which fails without the rule.

use std::collections::BTreeSet;

use assay::admission::{RULES, Round, SourceFailure, explain};
use assay::domain::{Fingerprint, GitOid, SnapshotId, SuiteName};
use assay::format::intoto::VerificationResult;
use assay::rebuild::Commitment;
use assay::site::{BuilderGroup, EnvironmentRule};

use super::scenario::{Scenario, arch, at, builder, key_of, missed, package, row, sha, version};

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
    let mut two = Scenario::good();
    two.rule(|policy| policy.signer_threshold = 2);
    assert!(two.refused(&["S1"]).contains("1 of 2 people"));
    let mut second = two.evidence.source.as_ref().unwrap().signers[0].clone();
    second.fingerprint = Fingerprint::new("A".repeat(40)).unwrap();
    let mut key = two.policy.signers[0].clone();
    key.fingerprint = second.fingerprint.clone();
    two.evidence.source.as_mut().unwrap().signers.push(second);
    two.rule(|policy| policy.signers.push(key));
    two.refused(&["S1"]);
    two.rule(|policy| policy.signers[1].name = "Erin".into());
    two.admitted();
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
    retagged.evidence.source.as_mut().unwrap().derived.git_tag = Some(GitOid::new("9".repeat(40)).unwrap());
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
fn rule_s7_a_kept_tarball_is_upstreams_tree_or_an_exception_that_shows() {
    let mut kept = Scenario::good();
    kept.declare(|declaration| {
        declaration.orig = Some(assay::source::Orig {
            method: assay::source::OrigMethod::File,
            name: super::scenario::file("hello_2.10.orig.tar.xz"),
            sha256: sha("hello_2.10.orig.tar.xz"),
            git_commit: None,
            difference: None,
        });
    });
    kept.admitted();
    let mut other = kept.clone();
    other.evidence.source.as_mut().unwrap().derived.orig = None;
    other.refused(&["S7"]);
    kept.declare(|declaration| {
        declaration.orig.as_mut().unwrap().difference = Some("`build-to-host.m4` is added".into());
    });
    assert!(kept.refused(&["S7"]).contains("build-to-host.m4"));
    kept.except("S7", "2026-07-01T00:00:00Z");
    assert!(kept.admitted().levels.contains(&"ASSAY_RELAXED_S7".to_owned()));

    let mut based = Scenario::good();
    based.declare(|declaration| {
        declaration.upstream = None;
        declaration.base = Some(assay::source::Base {
            archive: "debian".parse().unwrap(),
            serial: "2026050101".parse().unwrap(),
            suite: "trixie".parse().unwrap(),
            version: version("2.10-3"),
            dsc_sha256: sha(".dsc"),
        });
    });
    based.admitted();
    based.evidence.source.as_mut().unwrap().derived.base = None;
    based.refused(&["S7"]);
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
fn rule_s10_who_may_sign_follows_from_what_was_admitted_before() {
    let key = |fingerprint: &str| assay::source::DeclaredSigner {
        scheme: assay::site::SignerScheme::Openpgp,
        fingerprint: Fingerprint::new(fingerprint).unwrap(),
    };
    let other = "A".repeat(40);
    let previous = assay::admission::Previous {
        declaration: sha("version 1"),
        version: version("2.10-2"),
        authorised: Vec::new(),
        threshold: None,
    };
    let after = |previous: &assay::admission::Previous| {
        let mut scenario = Scenario::good();
        scenario.evidence.lineage = Some(assay::admission::Lineage {
            newest: Some(previous.clone()),
            admitted: BTreeSet::from([sha("version 0"), sha("version 1")]),
        });
        scenario
    };
    after(&previous).admitted();
    let mut first = Scenario::good();
    first.declare(|declaration| declaration.supersedes = Some(sha("version 1")));
    assert!(first.refused(&["S10"]).contains("none of this source"));
    first.evidence.lineage = None;
    assert!(first.refused(&["S10"]).contains("nobody looked"));

    // The policy still lists the signer; the declaration before does not.
    let mut removed = after(&assay::admission::Previous {
        authorised: vec![key(&other)],
        ..previous.clone()
    });
    assert!(removed.refused(&["S10"]).contains("must say that it follows it"));
    removed.declare(|declaration| declaration.supersedes = Some(sha("version 0")));
    removed.refused(&["S10"]);
    removed.declare(|declaration| declaration.supersedes = Some(sha("version 1")));
    assert!(removed.refused(&["S10"]).contains("0 of 1 people"));
    // What is being judged has no say in it.
    removed.declare(|declaration| declaration.authorised = declaration.signers.clone());
    removed.refused(&["S10"]);
    // The way out when nobody can sign any more is an exception, which shows.
    removed.except("S10", "2026-07-01T00:00:00Z");
    assert!(removed.admitted().levels.contains(&"ASSAY_RELAXED_S10".to_owned()));

    let follows = |previous: &assay::admission::Previous| {
        let mut scenario = after(previous);
        scenario.declare(|declaration| declaration.supersedes = Some(sha("version 1")));
        scenario
    };
    let listed = assay::admission::Previous {
        authorised: vec![key(&other), key(super::scenario::SIGNER)],
        ..previous.clone()
    };
    follows(&listed).admitted();
    let two = assay::admission::Previous {
        threshold: Some(2),
        ..listed.clone()
    };
    assert!(follows(&two).refused(&["S10"]).contains("1 of 2 people"));
    // Being listed before does not help whom the policy no longer lets sign.
    let mut revoked = follows(&listed);
    revoked.rule(|policy| policy.signers[0].revoked_at = Some(at("2026-06-01T00:00:00Z")));
    revoked.refused(&["S1", "S10"]);
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
    let rule = |suite: Option<&str>, floor: Option<&str>| EnvironmentRule {
        archive: "debian".parse().unwrap(),
        suite: suite.map(|suite| suite.parse().unwrap()),
        floor: floor.map(|floor| floor.parse().unwrap()),
    };
    for (rules, refused) in [
        (vec![rule(None, None)], None),
        (vec![rule(Some("trixie"), Some("20260501T000000Z"))], None),
        (vec![rule(Some("trixie"), Some("20260501T000001Z"))], Some("floor")),
        (vec![rule(Some("bookworm"), None)], Some("does not take")),
        (
            vec![
                rule(Some("bookworm"), Some("20260601T000000Z")),
                rule(Some("trixie"), None),
            ],
            None,
        ),
    ] {
        let mut suites = Scenario::good();
        suites.rule(|policy| policy.environments = rules);
        match refused {
            Some(why) => assert!(suites.refused(&["E1"]).contains(why)),
            None => drop(suites.admitted()),
        }
    }
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
fn what_it_was_built_with_is_counted_by_level() {
    let levels = |scenario: &Scenario| scenario.admitted().dependencies.unwrap();
    let of = |level: &str, count: u64| (level.to_owned(), count);
    let mut ours = Scenario::good();
    assert_eq!(levels(&ours), [of("ASSAY_UPSTREAM_SIGNED", 2)].into());
    ours.evidence.admitted.insert(sha("libc6"), sha("decision"));
    let decision = ours.admitted();
    assert_eq!(
        decision.dependencies.clone().unwrap(),
        [of("ASSAY_ADMITTED", 1), of("ASSAY_UPSTREAM_SIGNED", 1)].into()
    );
    assert!(
        decision
            .inputs
            .contains(&("dependency-decision".to_owned(), sha("decision")))
    );
    let reproduced = vec!["SLSA_BUILD_REPRODUCED".to_owned()];
    ours.evidence.levels.insert(sha("decision"), reproduced);
    assert_eq!(
        levels(&ours),
        [of("ASSAY_UPSTREAM_SIGNED", 1), of("SLSA_BUILD_REPRODUCED", 1)].into()
    );
    let decision = ours.admitted();
    let e3 = decision.rules.iter().find(|rule| rule.id == "E3").unwrap();
    let named = format!(
        "libc6 2.41-12 by the decision {} (SLSA_BUILD_REPRODUCED)",
        sha("decision").short()
    );
    assert!(e3.evidence.contains(&named), "{}", e3.evidence);
}

#[test]
fn rule_e7_environments_do_not_go_back() {
    let before = |id: &str, suite: &str| {
        let mut scenario = Scenario::good();
        let mut snapshot = super::scenario::lock().snapshots[0].clone();
        snapshot.id = SnapshotId::new(id).unwrap();
        snapshot.suite = SuiteName::new(suite).unwrap();
        scenario.evidence.previous.push(snapshot);
        scenario
    };
    before("20260501T000000Z", "trixie").admitted();
    before("20260601T000000Z", "bookworm").admitted();
    let mut back = before("20260501T000001Z", "trixie");
    assert!(back.refused(&["E7"]).contains("20260501T000001Z"));
    back.except("E7", "2026-07-01T00:00:00Z");
    let levels = back.admitted().levels;
    assert_eq!(levels, ["SLSA_BUILD_REPRODUCED", "ASSAY_RELAXED_E7"]);
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
        ("time", |r| r.started_on = at("2026-06-01T13:00:00Z")),
    ] {
        let mut scenario = Scenario::good();
        change(&mut scenario.evidence.records[1]);
        assert!(scenario.refused(&["E5"]).contains(what));
    }
    let mut fixed = Scenario::good();
    fixed.rule(|policy| policy.vary = vec![assay::site::Varied::Parallelism]);
    fixed.evidence.records[1].hostname = "host-b1".into();
    fixed.admitted();
    fixed.evidence.records[1].parallel = 1;
    fixed.refused(&["E5"]);

    // The path is varied on request; what was built at one says so.
    let said = |scenario: &Scenario| {
        let decision = scenario.decide();
        let rule = decision.rules.into_iter().find(|rule| rule.id == "E5").unwrap();
        (rule.passed, rule.evidence)
    };
    let mut path = Scenario::good();
    let (passed, evidence) = said(&path);
    assert!(
        passed && evidence.contains("at one path, /build/reproducible-path/hello-2.10"),
        "{evidence}"
    );
    path.rule(|policy| policy.vary = assay::site::Varied::ALL.to_vec());
    assert!(path.refused(&["E5"]).contains("build path"));
    path.evidence.records[1].build_path = "/build/second-path/hello-2.10".into();
    let (passed, evidence) = said(&path);
    assert!(passed && evidence.contains("at 2 paths"), "{evidence}");
}

#[test]
fn rule_r2_a_result_that_could_be_copied_does_not_count() {
    let commitments = |scenario: &Scenario| -> Vec<Commitment> {
        let to = |r: &assay::admission::RecordEvidence| Commitment {
            nonce: r.nonce.clone(),
            builder: r.builder.clone(),
            declaration: r.declaration,
            lock: r.lock,
            record: r.sha256,
        };
        scenario.evidence.records.iter().map(to).collect()
    };
    let mut blind = Scenario::good();
    blind.rule(|policy| policy.blind_rebuilds = true);
    blind.evidence.commitments = commitments(&blind);
    let round = Round {
        lock: blind.candidate.sets[0].lock,
        closed_at: at("2026-06-01T15:00:00Z"),
        commitments: commitments(&blind),
    };
    blind.evidence.rounds = vec![round];
    blind.admitted();

    let mut late = blind.clone();
    late.evidence.rounds[0].commitments.pop();
    let decision = late.decide();
    let r2 = decision.broken().find(|rule| rule.id == "R2").unwrap();
    assert!(r2.evidence.contains("had not committed"), "{}", r2.evidence);
    late.refused(&["R1", "R2"]);
    late.except("R2", "2026-07-01T00:00:00Z");
    assert!(late.admitted().levels.contains(&"ASSAY_RELAXED_R2".to_owned()));

    let mut changed = blind.clone();
    changed.evidence.rounds[0].commitments[1].record = sha("what it had committed to");
    changed.refused(&["R1", "R2", "R4"]);
    let mut elsewhere = blind.clone();
    elsewhere.evidence.rounds[0].lock = sha("another environment");
    elsewhere.refused(&["R1", "R2", "B1"]);

    let mut sealed = blind;
    sealed.evidence.rounds.clear();
    sealed.evidence.records.pop();
    let decision = sealed.decide();
    let r2 = decision.broken().find(|rule| rule.id == "R2").unwrap();
    assert!(r2.evidence.contains("had not committed"), "{}", r2.evidence);
    sealed.evidence.records.clear();
    let decision = sealed.decide();
    let r2 = decision.broken().find(|rule| rule.id == "R2").unwrap();
    assert!(
        r2.evidence
            .contains("sealed until 2 operators have answered: the results of b1, b2")
    );
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
fn rule_r4_names_all_who_are_waited_for_since_when_and_what_to_do() {
    let mut waiting = Scenario::good();
    for builder in ["b3", "b1"] {
        waiting.rebuild(builder);
        waiting.evidence.records.pop();
    }
    let why = waiting.refused(&["R4"]);
    for said in [
        "`b1` has not answered",
        "`b3` has not answered",
        "asked at 2026-06-01T",
        "it has time until 2026-06-0",
        "next: `assay rebuild hello --take DIR`",
    ] {
        assert!(why.contains(said), "{said}: {why}");
    }
}

/// Who takes away a record and the question that it answers takes nothing that a round or a commitment names.
#[test]
fn rule_r4_what_a_builder_is_bound_to_must_be_there() {
    let commitment = |record: &assay::admission::RecordEvidence| Commitment {
        nonce: record.nonce.clone(),
        builder: record.builder.clone(),
        declaration: record.declaration,
        lock: record.lock,
        record: record.sha256,
    };
    let mut blind = Scenario::good();
    blind.rule(|policy| policy.blind_rebuilds = true);
    blind
        .rebuild("b3")
        .outputs
        .values_mut()
        .for_each(|sha256| *sha256 = sha("other"));
    let commitments: Vec<Commitment> = blind.evidence.records.iter().map(commitment).collect();
    blind.evidence.rounds = vec![Round {
        lock: blind.candidate.sets[0].lock,
        closed_at: at("2026-06-01T15:00:00Z"),
        commitments,
    }];
    blind.refused(&["A5"]);
    // The dissent and its nonce are gone, and what she committed to as well; the round stays.
    let dissent = blind.evidence.records.pop().unwrap();
    blind.evidence.nonces.pop();
    let why = blind.refused(&["R4"]);
    assert!(why.contains("`b3` was bound") && why.contains("--builder b3"), "{why}");
    // What she built before is no answer; what she built since is.
    let mut again = blind.clone();
    again.rebuild("b3");
    again.evidence.records.last_mut().unwrap().sha256 = sha("another answer");
    again.refused(&["R4"]);
    let record = again.evidence.records.last_mut().unwrap();
    (record.started_on, record.finished_on) = (at("2026-06-01T15:00:00Z"), at("2026-06-01T15:10:00Z"));
    again.admitted();
    // The round is gone, and her commitment is not.
    blind.rule(|policy| policy.blind_rebuilds = false);
    blind.evidence.rounds.clear();
    blind.evidence.commitments = vec![commitment(&dissent)];
    let why = blind.refused(&["R4"]);
    assert!(why.contains("`b3` is bound") && why.contains("nonce"), "{why}");
    // Who may not speak any more holds up nothing.
    blind.rule(|policy| policy.builders[2].revoked_at = Some(at("2026-06-01T15:00:00Z")));
    blind.admitted();
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
fn who_got_wrong_what_is_known_does_not_count_until_that_is_looked_into() {
    let mut scenario = Scenario::good();
    scenario.evidence.missed = vec![missed("b3")];
    scenario.admitted();
    scenario.evidence.missed.push(missed("b2"));
    let decision = scenario.decide();
    let r9 = decision.broken().find(|rule| rule.id == "R9").unwrap();
    let said = "`b2` rebuilt `known_1.0_amd64.deb` of known 1.0, which was admitted as";
    assert!(r9.evidence.contains(said), "{}", r9.evidence);
    // What it says against a candidate is heard all the same.
    let mut dissent = scenario.clone();
    let output = dissent.evidence.records[1].outputs.values_mut().next().unwrap();
    *output = sha("other bytes");
    assert!(dissent.decide().broken().any(|rule| rule.id == "A5"));

    scenario.except("R9", "2026-07-01T00:00:00Z");
    let decision = scenario.admitted();
    let r9 = decision.rules.iter().find(|rule| rule.id == "R9").unwrap();
    assert!(r9.evidence.contains(said), "it is still shown: {}", r9.evidence);
    assert!(decision.levels.contains(&"ASSAY_RELAXED_R9".to_owned()));
}
