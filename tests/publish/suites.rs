//! Suites of branches and tags: made and let go as Git has them; what moves between them is decided anew.

use std::collections::BTreeMap;

use assay::admission::{Terms, identity};
use assay::domain::{Coded as _, GitOid, GitRef, SuiteName, Timestamp};
use assay::publish::{
    Move, Named, SourceChange, SuiteChange, Target, contents, load_records, moves, nameless, plan_sync, remove,
    restore, suite_of, sync,
};
use assay::site::{BranchSuites, CustomArchive, SuiteClass};
use assay::snapshot::Chain;

use crate::admission::scenario::secret_key;
use crate::admission::site::{Built, Site};
use crate::support::repository::now;
use crate::verify::Published;

fn class(name: &str, refs: &str, tags: bool) -> SuiteClass {
    let patterns = vec![refs.to_owned().try_into().unwrap()];
    let (branches, tags) = if tags {
        (Vec::new(), patterns)
    } else {
        (patterns, Vec::new())
    };
    SuiteClass {
        name: name.into(),
        branches,
        tags,
        policy: "default".parse().unwrap(),
        rebuild: None,
        overlay: name == "topic",
        expire_days: 30,
    }
}

pub(super) fn with_classes(config: &mut CustomArchive) {
    config.branches = Some(BranchSuites {
        git: "/nowhere".into(),
        classes: vec![class("topic", "feature/*", false), class("release", "?.*", true)],
    });
}

pub(super) fn refs(names: &[&str]) -> Named {
    let commit = GitOid::new("1".repeat(40)).unwrap();
    names
        .iter()
        .map(|name| (name.parse().unwrap(), commit.clone()))
        .collect()
}

pub(super) fn suite(name: &str) -> SuiteName {
    name.parse().unwrap()
}

fn sources(site: &Site, name: &str) -> BTreeMap<String, String> {
    let chain = Chain::load(&site.store, &site.archive).unwrap();
    let state = suite_of(&site.archive, chain.latest(), &suite(name)).unwrap();
    let held = contents(&site.store, &site.archive, state).unwrap();
    held.into_iter()
        .map(|(source, held)| (source.to_string(), held.version.to_string()))
        .collect()
}

/// Builds a version for a suite, and admits it there.
pub(super) fn admit(site: &Site, version: &str, content: &str, into: &str) -> Built {
    let mut built = site.build_for(version, content, &[into]);
    for record in &mut built.scenario.evidence.records {
        record.sha256 = site.sign(record, &secret_key(record.builder.as_str()));
    }
    let declaration = identity(&built.scenario.candidate.declaration).unwrap();
    let records = load_records(&site.store, &site.archive, &declaration, &built.scenario.policy).unwrap();
    let admission = site.admit_with(&built, &records).unwrap();
    let said = assay::admission::explain(&admission.decision);
    assert!(admission.decision.admitted, "{said}");
    built
}

pub(super) fn target(built: &Built, name: &str, allowed: &[(&str, &str)]) -> Target {
    Target {
        suite: suite(name),
        policy_name: "default".parse().unwrap(),
        policy: built.scenario.policy.clone(),
        terms: Terms {
            allowed: allowed
                .iter()
                .map(|(rule, why)| ((*rule).into(), (*why).into()))
                .collect(),
            ..Terms::default()
        },
    }
}

/// What the gate says to a move: the rules that refuse it, none when it was done.
fn shift(site: &Site, how: Move, from: &str, target: Target) -> Vec<String> {
    let gate = site.gate();
    let moves = moves(&gate, how, &suite(from), target).unwrap();
    let admissions = moves.carry_out(&gate, now()).unwrap();
    let broken = admissions.iter().flat_map(|admission| admission.decision.broken());
    broken.map(|rule| rule.id.clone()).collect()
}

#[test]
fn suites_follow_branches_and_tags() {
    let mut site = Site::new();
    with_classes(&mut site.config);
    let branches = refs(&[
        "refs/heads/feature/foo-123",
        "refs/heads/other",
        "refs/heads/stable",
        "refs/tags/1.0",
    ]);
    let made = sync(&site.gate().writer(), &branches, now()).unwrap();
    let names: Vec<_> = made
        .steps
        .iter()
        .map(|step| (step.suite.as_str(), step.change))
        .collect();
    assert_eq!(
        names,
        [("1.0", SuiteChange::New), ("feature-foo-123", SuiteChange::New)]
    );
    let record = || {
        Chain::load(&site.store, &site.archive)
            .unwrap()
            .latest()
            .unwrap()
            .clone()
    };
    let suites: Vec<String> = record().suites.iter().map(|state| state.suite.to_string()).collect();
    assert_eq!(suites, ["1.0", "feature-foo-123", "stable"]);
    assert!(
        sync(&site.gate().writer(), &branches, now())
            .unwrap()
            .published
            .is_none(),
        "nothing to do"
    );

    // Branches whose suites could have no such name, and one that no class has: the others get theirs.
    let long = format!("refs/heads/feature/{}", "x".repeat(100));
    let named = refs(&[&long, "refs/heads/by-hash", "refs/heads/feature/bar"]);
    let strange = ["refs/heads/feature/f\u{f6}\u{f6}", "refs/heads/f\u{f6}\u{f6}"];
    let strange = strange.map(|name| (name.to_owned(), GitRef::new(name).unwrap_err()));
    let found: Vec<_> = nameless(&site.config, &named, &strange.clone().into())
        .into_iter()
        .map(|one| (one.reference, one.code))
        .collect();
    assert_eq!(found, [&long, &strange[0].0].map(|name| (name.clone(), "E-NAME-001")));
    let steps = plan_sync(&site.config, &named, None, now());
    assert_eq!(steps.len(), 1, "{steps:?}");

    // Another branch that would have the same suite: the one that has it keeps it.
    let twins = refs(&[
        "refs/heads/feature/Foo_123",
        "refs/heads/feature/foo-123",
        "refs/tags/1.0",
    ]);
    let steps = plan_sync(&site.config, &twins, Some(&record()), now());
    assert_eq!(steps.len(), 1, "{steps:?}");
    assert_eq!(steps[0].change, SuiteChange::Collision);
    assert_eq!(steps[0].other.as_ref().unwrap().as_str(), "refs/heads/feature/foo-123");
    assert_eq!(
        plan_sync(&site.config, &twins, None, now())
            .iter()
            .filter(|s| s.suite.as_str() == "feature-foo-123" && s.change == SuiteChange::New)
            .count(),
        0
    );

    // Gone: the days are counted from when it was seen; a tag's suite stays for ever.
    let (late, later) = (now().plus_days(1), now().plus_days(40));
    let gone = sync(&site.gate().writer(), &refs(&["refs/heads/stable"]), late).unwrap();
    assert_eq!(
        gone.steps
            .iter()
            .filter(|step| step.change == SuiteChange::Gone)
            .count(),
        2
    );
    assert!(
        record()
            .suites
            .iter()
            .any(|state| state.suite.as_str() == "feature-foo-123"),
        "not at once"
    );
    assert!(plan_sync(&site.config, &Named::new(), Some(&record()), late.plus_days(29)).is_empty());
    let back = plan_sync(&site.config, &branches, Some(&record()), later);
    assert!(
        back.iter().all(|step| step.change == SuiteChange::Back) && back.len() == 2,
        "{back:?}"
    );
    let expired = sync(&site.gate().writer(), &Named::new(), later).unwrap();
    assert_eq!(expired.steps.len(), 1);
    assert_eq!(expired.steps[0].change, SuiteChange::Expired);
    let suites: Vec<String> = record().suites.iter().map(|state| state.suite.to_string()).collect();
    assert_eq!(suites, ["1.0", "stable"]);
}

#[test]
fn what_moves_is_decided_under_the_suite_that_it_goes_to() {
    let mut site = Site::new();
    with_classes(&mut site.config);
    let writer = |site: &Site, refs: &Named, at: Timestamp| sync(&site.gate().writer(), refs, at).unwrap();
    writer(&site, &refs(&["refs/heads/feature/foo"]), now());
    let first = admit(&site, "1.0", "first", "feature-foo");
    assert_eq!(
        (sources(&site, "feature-foo").len(), sources(&site, "stable").len()),
        (1, 0)
    );

    let gate = site.gate();
    let planned = moves(&gate, Move::Merge, &suite("feature-foo"), target(&first, "stable", &[])).unwrap();
    assert!(planned.preview(now()).iter().all(|decision| decision.admitted));
    assert_eq!(sources(&site, "stable").len(), 0, "a preview changes nothing");
    assert_eq!(
        shift(&site, Move::Merge, "feature-foo", target(&first, "stable", &[])),
        [""; 0]
    );
    assert_eq!(sources(&site, "stable")["hello"], "1.0");
    let published = Published {
        policy: first.scenario.policy.clone(),
        site,
    };
    assert_eq!(
        published.problems(&published.store()),
        [],
        "each suite has a decision of its own"
    );
    let site = published.site;
    let n = Chain::load(&site.store, &site.archive).unwrap().len();
    assert_eq!(
        shift(&site, Move::Merge, "feature-foo", target(&first, "stable", &[])),
        [""; 0]
    );
    assert_eq!(
        Chain::load(&site.store, &site.archive).unwrap().len(),
        n,
        "again: nothing to do"
    );

    // Back to an older version: only when told, with the reason in the decision.
    let second = admit(&site, "1.1", "second", "stable");
    let refused = shift(&site, Move::Merge, "feature-foo", target(&second, "stable", &[]));
    assert_eq!(refused, ["V3"]);
    assert_eq!(sources(&site, "stable")["hello"], "1.1");
    let told = [("V3", "1.1 does not start")];
    let planned = moves(
        &site.gate(),
        Move::Reset,
        &suite("feature-foo"),
        target(&second, "stable", &told),
    )
    .unwrap();
    assert_eq!(planned.changes[0].change, SourceChange::Older);
    assert_eq!(
        shift(&site, Move::Reset, "feature-foo", target(&second, "stable", &told)),
        [""; 0]
    );
    assert_eq!(sources(&site, "stable")["hello"], "1.0");

    // Removed on purpose: it comes back only when told.
    let (stable, hello) = (suite("stable"), "hello".parse().unwrap());
    remove(&site.gate().writer(), &stable, &hello, "it eats data", now()).unwrap();
    remove(&site.gate().writer(), &stable, &hello, "it eats data", now()).unwrap();
    assert!(sources(&site, "stable").is_empty());
    assert_eq!(
        shift(&site, Move::Merge, "feature-foo", target(&first, "stable", &told)),
        ["A12"]
    );
    restore(&site.gate().writer(), &stable, &hello, "mended", now()).unwrap();
    assert_eq!(
        restore(&site.gate().writer(), &stable, &hello, "mended", now())
            .unwrap_err()
            .code(),
        "E-GATE-110"
    );
    assert_eq!(
        shift(&site, Move::Merge, "feature-foo", target(&first, "stable", &told)),
        [""; 0]
    );

    // A release has rebuilds of its own.
    let tagged = now().plus(3600);
    writer(&site, &refs(&["refs/heads/feature/foo", "refs/tags/1.0"]), tagged);
    let mut release = target(&first, "1.0", &[]);
    release.terms.fresh_since = Some(tagged);
    let refused = shift(&site, Move::Merge, "stable", release);
    assert!(refused.contains(&"R1".to_owned()), "{refused:?}");
    assert!(sources(&site, "1.0").is_empty());
    // Whoever leaves that out is found out.
    assert_eq!(shift(&site, Move::Merge, "stable", target(&first, "1.0", &[])), [""; 0]);
    let published = Published {
        policy: first.scenario.policy.clone(),
        site,
    };
    let mut problems = published.problems(&published.store());
    // Their dates are an hour ahead of this test's clock.
    problems.retain(|(_, code)| *code != "V-SIGNATURE");
    assert!(problems.len() == 1 && problems[0].1 == "V-DECISION", "{problems:?}");
    let error = remove(&published.site.gate().writer(), &suite("1.0"), &hello, "no", now()).unwrap_err();
    assert_eq!(error.code(), "E-GATE-111");
}

#[test]
fn a_tag_that_moved_is_said_and_changes_nothing() {
    let mut site = Site::new();
    with_classes(&mut site.config);
    let tag: GitRef = "refs/tags/1.0".parse().unwrap();
    let first = refs(&["refs/tags/1.0"]);
    sync(&site.gate().writer(), &first, now()).unwrap();
    let before = site.objects("");
    let mut moved = first.clone();
    moved.insert(tag.clone(), GitOid::new("2".repeat(40)).unwrap());
    for refs in [&moved, &moved] {
        let synced = sync(&site.gate().writer(), refs, now()).unwrap();
        let [step] = &synced.steps[..] else {
            panic!("{:?}", synced.steps)
        };
        assert_eq!((step.change, step.is_refused()), (SuiteChange::Moved, true));
        let (was, is) = step.moved.as_ref().unwrap();
        assert_eq!((was.as_str(), is.as_str()), (&*"1".repeat(40), &*"2".repeat(40)));
        assert!(synced.published.is_none() && site.objects("") == before);
    }
    // Deleted and made again elsewhere is moved, too; a branch may go where it likes.
    sync(&site.gate().writer(), &Named::new(), now().plus_days(1)).unwrap();
    let latest = Chain::load(&site.store, &site.archive).unwrap();
    let steps = plan_sync(&site.config, &moved, latest.latest(), now().plus_days(2));
    assert_eq!(steps[0].change, SuiteChange::Moved);
    let steps = plan_sync(&site.config, &first, latest.latest(), now().plus_days(2));
    assert_eq!(steps[0].change, SuiteChange::Back);

    let made = latest
        .latest()
        .unwrap()
        .suites
        .iter()
        .find_map(|state| state.made_for().cloned())
        .unwrap();
    let here =
        |digit: &str| std::collections::BTreeMap::from([("1.0".to_owned(), GitOid::new(digit.repeat(40)).unwrap())]);
    let suite = suite("1.0");
    assert!(assay::prepare::check_tag(&suite, &made, &here("1")).is_ok());
    assert!(assay::prepare::check_tag(&suite, &made, &std::collections::BTreeMap::new()).is_ok());
    let error = assay::prepare::check_tag(&suite, &made, &here("2")).unwrap_err();
    assert_eq!(error.code(), "E-PREP-007");
}

#[test]
fn a_suite_that_the_site_names_is_made_empty_and_signed() {
    let mut site = Site::new();
    let writer = site.gate().writer();
    assert!(assay::publish::make_declared(&writer, now()).unwrap());
    assert!(!assay::publish::make_declared(&writer, now()).unwrap(), "once");
    let mut next = site.config.suites[0].clone();
    next.name = suite("testing");
    site.config.suites.push(next);
    assert!(assay::publish::make_declared(&site.gate().writer(), now().plus(1)).unwrap());
    assay::publish::publish(&site.store, &site.archive, &site.archive_key, "file:///nowhere").unwrap();
    let certificate = site.folder.path().join("key.asc");
    std::fs::write(&certificate, site.archive_key.certificate_armored().unwrap()).unwrap();
    for name in ["stable", "testing"] {
        let base = format!("file:{}/store/custom", site.folder.path().display());
        let apt = crate::support::apt::Apt::new(&crate::support::apt::source(&base, name, &certificate));
        apt.update();
        assert!(apt.versions("hello").is_empty());
    }
}
