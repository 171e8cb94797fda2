//! Whoever runs the server has all of the disk and the archive's key, and no key of a gate, builder or signer.
//! What he can do with that, a reader says.

use std::fs;

use assay::host::Progress;
use assay::publish;
use assay::snapshot::{Chain, SuiteState};
use assay::store::Key;
use assay::verify::{Proof, Subject, check_admitted, find, fsck, why};

use super::{Published, admit, objects};
use crate::admission::scenario::sha;
use crate::admission::site::Site;
use crate::support::repository::now;

/// The problems of the store, each with why.
fn said(published: &Published) -> Vec<(&'static str, String)> {
    let gate = published.site.gate_key.public();
    let report = published.report_at(&published.store(), gate, &published.policy, now().plus(600));
    let problems = report.problems.into_iter();
    problems
        .map(|problem| (problem.code, format!("{}: {}", problem.object, problem.why)))
        .collect()
}

/// Gate rule A5: a log or .buildinfo that a record names is evidence, as the record is.
#[test]
fn a_log_or_buildinfo_that_is_withheld_is_missed() {
    let published = Published::new();
    for document in ["log", "buildinfo of b1"] {
        let key = Key::provenance(&published.site.archive, &sha(document));
        let path = published.store().join(key.as_str());
        let bytes = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let problems = said(&published);
        assert_eq!(problems.len(), 1, "{document}: {problems:?}");
        let (code, why) = &problems[0];
        assert!(
            *code == "V-MISSING" && why.starts_with(key.as_str()) && why.contains("evidence is withheld"),
            "{document}: {problems:?}"
        );
        let anchors = published.anchors(published.site.gate_key.public(), &published.policy);
        let subject = Subject::Package("hello".parse().unwrap());
        let found = find(&published.site.store, &anchors, &subject).found.remove(0);
        let chain = why_of(&published, &anchors, &found);
        assert_ne!(chain.proof(), Proof::Proven, "{document}");
        fs::write(&path, bytes).unwrap();
    }
    assert_eq!(said(&published), []);
}

fn why_of(
    published: &Published,
    anchors: &assay::verify::Anchors,
    found: &assay::verify::Found<'_>,
) -> assay::verify::Chain {
    why(&published.site.store, anchors, found, None, now())
}

/// Nor does the gate count a record whose evidence is gone when it decides.
#[test]
fn the_gate_counts_no_record_whose_buildinfo_is_gone() {
    let site = crate::admission::site::Site::new();
    let built = site.build("1.0", "first");
    let (candidate, evidence) = site.prepare(&built);
    assert!(evidence.lost.is_empty());
    let path = site.folder.path().join("store");
    let key = Key::provenance(&site.archive, &sha("buildinfo of b2"));
    fs::remove_file(path.join(key.as_str())).unwrap();
    let records = assay::publish::load_records(
        &site.store,
        &site.archive,
        &assay::admission::identity(&candidate.declaration).unwrap(),
        &built.scenario.policy,
    )
    .unwrap();
    let admission = site.admit_with(&built, &records).unwrap();
    let broken: Vec<&str> = admission.decision.broken().map(|rule| rule.id.as_str()).collect();
    assert_eq!(broken, ["R1", "R8"]);
}

/// A key whose end is announced speaks until then.
#[test]
fn a_revocation_counts_from_its_instant_on() {
    let published = Published::new();
    let mut policy = published.policy.clone();
    let gate = published.site.gate_key.public();
    policy.builders[0].revoked_at = Some(now().plus(3600));
    assert_eq!(published.report(&published.store(), gate, &policy).problems, []);
    policy.builders[0].revoked_at = Some(now().plus(-1));
    let report = published.report(&published.store(), gate, &policy);
    assert!(
        report.problems.iter().any(|problem| problem.code == "V-EVIDENCE"),
        "{report:?}"
    );
}

/// A signer who was revoked, or whom the policy lets sign the source no more, speaks for it in no verb, as a builder's key.
#[test]
fn a_signer_who_may_no_more_proves_no_source() {
    type Change = fn(&mut assay::site::Policy);
    let published = Published::new();
    let (store, gate) = (&published.site.store, published.site.gate_key.public());
    let chain = Chain::load(store, &published.site.archive).unwrap();
    let state = &chain.latest().unwrap().suites[0];
    let decisions = publish::read_decisions(store, &published.site.archive, state).unwrap();
    let (_, decision) = decisions.values().next().unwrap();
    let subject = Subject::Package("hello".parse().unwrap());
    let cases: [(&str, Change); 4] = [
        ("was revoked at", |policy| {
            policy.signers[0].revoked_at = Some(now().plus(-1))
        }),
        ("the policy does not know the signer", |policy| policy.signers.clear()),
        ("may not sign `hello`", |policy| {
            policy.signers[0].sources = vec!["other".parse().unwrap()]
        }),
        ("only 1 of 2 people", |policy| policy.signer_threshold = 2),
    ];
    for (said, change) in cases {
        let mut policy = published.policy.clone();
        change(&mut policy);
        let report = published.report(&published.store(), gate, &policy);
        let problems = report.problems.iter();
        let found: Vec<bool> = problems
            .map(|p| p.code == "V-EVIDENCE" && p.why.contains(said))
            .collect();
        assert_eq!(found, [true], "{said}: {:?}", report.problems);

        let anchors = published.anchors(gate, &policy);
        let problem = check_admitted(store, &anchors, &published.site.archive, state, decision, now()).unwrap_err();
        assert!(problem.why.contains(said), "{problem:?}");
        let found = find(store, &anchors, &subject).found.remove(0);
        let chain = why_of(&published, &anchors, &found);
        let refuted = chain.hops.iter().filter(|hop| hop.proof == Proof::Refuted);
        let refuted: Vec<_> = refuted.map(|hop| (hop.hop, hop.evidence.contains(said))).collect();
        assert_eq!(refuted, [("signature", true)], "{said}: {:?}", chain.hops);
    }
    let mut policy = published.policy.clone();
    policy.signers[0].revoked_at = Some(now().plus(3600));
    assert_eq!(published.report(&published.store(), gate, &policy).problems, []);
}

/// What the gate decided, refusals too, and what it was told: whoever takes one away is found without a checkpoint.
#[test]
fn a_decision_or_record_that_is_listed_and_gone_is_missed() {
    let published = Published::new();
    let (store, site) = (published.store(), &published.site);
    let refused = site.admit(&site.build("1.0", "other bytes")).unwrap();
    assert!(!refused.decision.admitted);
    let refusal = refused.decision_sha256.unwrap().to_string();
    assert_eq!(published.problems(&store), []);
    let mut listed = objects(&store);
    listed.retain(|name| {
        ["decisions", "evidence"]
            .iter()
            .any(|of| name.starts_with(&format!("state/custom/{of}/")))
    });
    assert_eq!(listed.len(), 6, "two decisions and four records: {listed:?}");
    assert!(listed.iter().any(|name| name.ends_with(&refusal)), "{listed:?}");
    for note in listed {
        let object = format!("custom/provenance/sha256/{}", note.rsplit('/').next().unwrap());
        let bytes = fs::read(store.join(&object)).unwrap();
        fs::remove_file(store.join(&object)).unwrap();
        let problems = said(&published);
        assert_eq!(problems.len(), 1, "{note}: {problems:?}");
        let (code, why) = &problems[0];
        assert!(
            *code == "V-MISSING" && why.starts_with(&object) && why.contains(&note),
            "{note}: {problems:?}"
        );
        let anchors = published.anchors(site.gate_key.public(), &published.policy);
        let report = fsck(&site.store, &anchors, now(), &Progress::hidden()).unwrap();
        let mut found = report
            .problems
            .iter()
            .map(|problem| (problem.code, problem.object.as_str()));
        assert!(
            found.any(|found| found == ("V-MISSING", object.as_str())),
            "{note}: {:?}",
            report.problems
        );
        fs::write(store.join(&object), bytes).unwrap();
    }
    assert_eq!(said(&published), []);
}

/// Names, shape and days of what is published are the site's to say.
#[test]
fn what_is_published_under_another_name_or_for_longer_is_named() {
    type Change = fn(&mut assay::snapshot::SuiteState);
    let cases: [(&str, Change); 4] = [
        ("Origin is `Debian`, and not `Custom`", |state| {
            field(state, "Origin", "Debian")
        }),
        ("Label is `Debian`", |state| field(state, "Label", "Debian")),
        ("Suite is `trixie`", |state| field(state, "Suite", "trixie")),
        ("NotAutomatic is `yes`, and not absent", |state| {
            state.fields.push(("NotAutomatic".into(), "yes".into()));
        }),
    ];
    for (why, change) in cases {
        let published = Published::new();
        published.steal(change);
        let problems = said(&published);
        assert_eq!(problems.len(), 1, "{why}: {problems:?}");
        assert!(
            problems[0].0 == "V-RELEASE" && problems[0].1.contains(why),
            "{problems:?}"
        );
    }
    let mut published = Published::new();
    published.site.config.valid_days = 9;
    assert!(said(&published)[0].1.contains("valid for 10 days, and the site says 9"));
}

fn field(state: &mut assay::snapshot::SuiteState, name: &str, value: &str) {
    let found = state.fields.iter_mut().find(|(field, _)| field == name);
    found.unwrap().1 = value.to_owned();
}

/// What was removed on purpose, or replaced, is still admitted by its old decision: it comes back by a new one.
#[test]
fn the_archives_key_alone_brings_back_nothing_that_was_removed_or_replaced() {
    let mut published = Published::new();
    let first = Chain::load(&published.site.store, &published.site.archive).unwrap();
    let first = first.latest().unwrap().suites[0].clone();
    let later = now().plus(60);
    let (suite, source) = ("stable".parse().unwrap(), "hello".parse().unwrap());
    let remove = |site: &Site, at| publish::remove(&site.gate().writer(), &suite, &source, "it eats data", at).unwrap();
    remove(&published.site, later);
    assert_eq!(said(&published), []);

    // The owner lets it back, and the gate decides anew: nothing is wrong with that.
    published.site = published.site.at(later.plus(60));
    let writer = published.site.gate().writer();
    publish::restore(&writer, &suite, &source, "it is mended", later.plus(30)).unwrap();
    let built = published.site.build("1.0", "first");
    assert!(published.site.admit(&built).unwrap().decision.admitted);
    assert_eq!(said(&published), []);

    // Whoever has the archive's key alone lists what the first decision admitted.
    let before = first.clone();
    remove(&published.site, later.plus(120));
    published.steal(|state| {
        *state = SuiteState {
            date: state.date,
            ..before
        }
    });
    let problems = said(&published);
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(
        problems[0].0 == "V-DECISION" && problems[0].1.contains("removed on purpose at"),
        "{problems:?}"
    );

    let published = Published::new();
    let first = Chain::load(&published.site.store, &published.site.archive).unwrap();
    let first = first.latest().unwrap().suites[0].clone();
    admit(&published.site, "1.1", "second");
    assert_eq!(said(&published), []);
    published.steal(|state| {
        *state = SuiteState {
            date: state.date,
            ..first
        }
    });
    let problems = said(&published);
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(
        problems[0].0 == "V-DECISION" && problems[0].1.contains("only a new decision brings it back"),
        "{problems:?}"
    );
}

/// What cannot be read may list it, too: that is said, and no answer is given as if it were not there.
#[test]
fn an_index_that_cannot_be_read_is_no_silence() {
    let published = Published::new();
    let anchors = published.anchors(published.site.gate_key.public(), &published.policy);
    let chain = Chain::load(&published.site.store, &published.site.archive).unwrap();
    let state = &chain.latest().unwrap().suites[0];
    let subject = Subject::Package("hello".parse().unwrap());
    let is_packages =
        |index: &&assay::snapshot::IndexFile| index.path.as_str().starts_with("main/binary-amd64/Packages");
    for index in state.indexes.iter().filter(is_packages) {
        let key = assay::snapshot::index_key(&published.site.archive, &state.suite, index);
        fs::remove_file(published.store().join(key.as_str())).unwrap();
    }
    let findings = find(&published.site.store, &anchors, &subject);
    let ours = |found: &assay::verify::Found<'_>| *found.archive() == published.site.archive;
    assert!(!findings.found.iter().any(ours));
    assert!(
        findings
            .unread
            .iter()
            .any(|problem| problem.object.contains("main/binary-amd64")),
        "{:?}",
        findings.unread
    );
}

/// Dates that lie ahead freeze clients, and no later snapshot gets past them.
#[test]
fn a_date_in_the_future_is_named() {
    let published = Published::new();
    let chain = Chain::load(&published.site.store, &published.site.archive).unwrap();
    let suites = chain.latest().unwrap().suites.clone();
    let made = crate::support::repository::made("thief", now().plus(86_400));
    let record = chain.next(&published.site.store, suites, made).unwrap();
    publish::commit(&published.site.store, &record, &published.site.archive_key).unwrap();
    let signer = Backdated(&published.site.archive_key);
    publish::publish(
        &published.site.store,
        &published.site.archive,
        &signer,
        "file:///nowhere",
    )
    .unwrap();
    let problems = said(&published);
    assert!(!problems.is_empty(), "nobody noticed");
    for (code, why) in problems {
        assert!(
            code == "V-RELEASE" && why.contains("its Date lies in the future"),
            "{code} {why}"
        );
    }
}

/// Says of each signature that it was made now.
struct Backdated<'a>(&'a assay::trust::ArchiveKey);

impl publish::ReleaseSigner for Backdated<'_> {
    fn sign(&self, text: &[u8], _: assay::domain::Timestamp) -> Result<publish::Signed, publish::PublishError> {
        publish::ReleaseSigner::sign(self.0, text, now())
    }

    fn detach(&self, data: &[u8], _: assay::domain::Timestamp) -> Result<Vec<u8>, publish::PublishError> {
        publish::ReleaseSigner::detach(self.0, data, now())
    }

    fn keyring(&self) -> Result<assay::trust::Keyring, publish::PublishError> {
        publish::ReleaseSigner::keyring(self.0)
    }
}

/// A tag that says that it is the whole of a snapshot is that, and of the one that it names.
#[test]
fn a_tag_that_is_not_of_its_snapshot_is_named() {
    let published = Published::new();
    let (store, archive) = (&published.site.store, &published.site.archive);
    admit(&published.site, "1.1", "second");
    let chain = Chain::load(store, archive).unwrap();
    let (old, tag) = (chain.record(store, 1).unwrap(), "1.0".parse().unwrap());
    let tagging = publish::Tagging {
        tag: &tag,
        of: chain.latest().unwrap(),
        suites: old.suites,
        partial: false,
    };
    let made = crate::support::repository::made("thief", now());
    publish::tag(store, tagging, made, &published.site.archive_key, "file:///nowhere").unwrap();
    let problems = said(&published);
    assert!(
        problems
            .iter()
            .any(|(code, why)| *code == "V-RECORD" && why.contains("it is not what snapshot")),
        "{problems:?}"
    );
}
