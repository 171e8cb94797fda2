//! Answers of builders: handed in as files, sealed until enough others are bound, and checked when taken.

use std::path::{Path, PathBuf};

use assay::admission::{explain, identity};
use assay::domain::{Coded as _, Digest, Sha256, Timestamp};
use assay::format::intoto::Outcome;
use assay::publish::{
    Desk, GateError, Records, Taken, canaries, contrasts, forgotten, hold, issue_nonce, load_records, load_rounds,
    recall_all,
};
use assay::rebuild::{Finished, Limits, Produced, RecordInput, Variation, write_answer};
use assay::site::Backend;
use assay::site::Varied;
use assay::store::{Key, Store};
use assay::trust::Ed25519Key;

use crate::admission::scenario::{file, secret_key, sha};
use crate::admission::site::{Built, Site, deb};

struct Place {
    site: Site,
    built: Built,
    now: Timestamp,
    /// Whether the gate's key is at hand.
    key: bool,
}

impl Place {
    fn new() -> Self {
        let site = Site::new();
        let mut built = site.build("1.0", "what the test harness holds");
        built.scenario.rule(|policy| policy.blind_rebuilds = true);
        let now = built.scenario.now;
        let key = true;
        Self { site, built, now, key }
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.site.folder.path().join(name)
    }

    fn declaration(&self) -> Sha256 {
        identity(&self.built.scenario.candidate.declaration).unwrap()
    }

    /// What the builder of the n-th nonce answers: a package of this content.
    fn answer(&self, name: &str, nonce: usize, content: &str, outcome: Outcome, key: &Ed25519Key) -> PathBuf {
        let work = self.folder(&format!("work-{name}"));
        std::fs::create_dir_all(&work).unwrap();
        let produced = |name: &str, bytes: &[u8]| {
            let path = work.join(name);
            std::fs::write(&path, bytes).unwrap();
            let (name, digest) = (file(name), Digest::of(bytes));
            Produced { name, path, digest }
        };
        let is_built = outcome == Outcome::Built;
        let output = || produced("hello_1.0_amd64.deb", &deb("1.0", content));
        let finished = Finished {
            outcome,
            reason: None,
            outputs: is_built.then(output).into_iter().collect(),
            byproducts: vec![produced("hello-1.0.log", format!("log of {name}").as_bytes())],
            kernel: "6.1".into(),
            started: self.now.plus(nonce as i64),
            ended: self.now.plus(nonce as i64 + 5),
        };
        let asked = &self.built.scenario.evidence.records[nonce];
        let (lock_sha256, lock) = self.built.locks.iter().next().unwrap();
        let input = RecordInput {
            declaration: &self.built.scenario.candidate.declaration,
            declaration_sha256: &self.declaration(),
            lock,
            lock_sha256,
            variation: &Variation::of_run(nonce, Varied::ALL),
            limits: &Limits::default(),
            backend: Backend::Overlay,
            nonce: &asked.nonce,
            builder: &asked.builder,
            finished: &finished,
        };
        let folder = self.folder(name);
        write_answer(&folder, &input, key).unwrap();
        folder
    }

    fn take(&self, folder: &Path) -> Result<Taken, GateError> {
        let sealed = self.folder("sealed");
        let desk = Desk {
            store: &self.site.store,
            archive: &self.site.archive,
            policy: &self.built.scenario.policy,
            suites: &self.built.scenario.candidate.declaration.suites,
            declaration: self.declaration(),
            sealed: &sealed,
            gate: &self.site.gate_key.public(),
            key: self.key.then_some(&self.site.gate_key),
            now: self.now.plus(60),
        };
        desk.take(folder)
    }

    fn public(&self) -> Vec<Key> {
        let all = self.site.objects("").into_iter().map(|(key, _)| key);
        let private = |key: &Key| key.as_str().contains("/commitments/") || key.as_str().contains("/rounds/");
        all.filter(|key| !private(key)).collect()
    }
}

#[test]
fn results_are_shown_when_enough_are_bound_and_later_ones_do_not_count() {
    let mut place = Place::new();
    let before = place.public();
    let alice = place.answer("alice", 0, "the same", Outcome::Built, &secret_key("b1"));
    let taken = place.take(&alice).unwrap();
    assert!(matches!(taken, Taken::Sealed { missing: 1, .. }), "{taken:?}");
    assert_eq!(place.public(), before, "nothing of it can be seen in the store");
    assert_eq!(place.take(&alice).unwrap(), taken, "again is the same");
    let bob = place.answer("bob", 1, "the same", Outcome::Built, &secret_key("b2"));
    assert!(matches!(place.take(&bob).unwrap(), Taken::Shown(_)));
    let digest = Digest::of(&deb("1.0", "the same"));
    let held = Key::held(&place.site.archive, &digest.sha256);
    assert!(place.site.store.head(&held).unwrap().is_some());

    // One who answers now could have copied.
    let policy = place.built.scenario.policy.clone();
    let (lock, declaration) = (*place.built.locks.keys().next().unwrap(), place.declaration());
    let (store, archive) = (&place.site.store, &place.site.archive);
    let asked = issue_nonce(
        store,
        archive,
        (declaration, lock),
        (&policy.builders[2].id, (0, 1)),
        place.now,
        600,
    )
    .unwrap();
    let mut late = place.built.scenario.evidence.records[1].clone();
    (late.nonce, late.builder) = (asked.nonce, asked.builder);
    place.built.scenario.evidence.records.push(late);
    let late = place.answer("late", 2, "the same", Outcome::Built, &secret_key("b3"));
    assert!(matches!(place.take(&late).unwrap(), Taken::Shown(_)));
    let rounds = load_rounds(
        &place.site.store,
        &place.site.archive,
        &declaration,
        &place.site.gate_key.public(),
    )
    .unwrap();
    assert_eq!((rounds.len(), rounds[0].commitments.len()), (1, 2));

    let records = load_records(&place.site.store, &place.site.archive, &declaration, &policy).unwrap();
    assert_eq!((records.records.len(), records.commitments.len()), (3, 3));
    let Place { site, built, now, .. } = place;
    let decision = site.at(now.plus(120)).admit_with(&built, &records).unwrap().decision;
    assert!(decision.admitted, "{}", explain(&decision));
    let r2 = decision.rules.iter().find(|rule| rule.id == "R2").unwrap();
    assert!(r2.evidence.contains("`b3` does not count"), "{}", r2.evidence);
}

#[test]
fn an_answer_to_what_is_known_marks_its_builder_when_it_is_wrong() {
    let mut place = Place::new();
    let alice = place.answer("alice", 0, "the same", Outcome::Built, &secret_key("b1"));
    let bob = place.answer("bob", 1, "the same", Outcome::Built, &secret_key("b2"));
    place.take(&alice).unwrap();
    place.take(&bob).unwrap();
    let (declaration, policy) = (place.declaration(), place.built.scenario.policy.clone());
    let records = load_records(&place.site.store, &place.site.archive, &declaration, &policy).unwrap();
    place.site = place.site.at(place.now.plus(120));
    let admission = place.site.admit_with(&place.built, &records).unwrap();
    assert!(admission.decision.admitted, "{}", explain(&admission.decision));

    // The gate asks for it once more, and knows the answer.
    let lock = *place.built.locks.keys().next().unwrap();
    let known = &place.built.scenario.candidate.declaration;
    let canaries = |lock| canaries(&place.site.store, &place.site.archive, vec![(1, known, lock)], 5).unwrap();
    assert_eq!(canaries(lock), [1]);
    assert_eq!(
        canaries(sha("another environment")),
        [0; 0],
        "nobody knows what comes out there"
    );
    let missed = || {
        let (store, archive) = (&place.site.store, &place.site.archive);
        load_records(store, archive, &sha("any"), &policy).unwrap().missed
    };
    let asked = |builder: usize, content: &str| {
        let (store, archive) = (&place.site.store, &place.site.archive);
        let id = &policy.builders[builder].id;
        let nonce = issue_nonce(store, archive, (declaration, lock), (id, (0, 1)), place.now, 600).unwrap();
        let mut built = place.built.scenario.evidence.records[0].clone();
        (built.nonce, built.builder) = (nonce.nonce, nonce.builder);
        (built, content.to_owned())
    };
    let (right, wrong) = (asked(0, "the same"), asked(1, "something else"));
    for (n, (record, content)) in [(2, right), (3, wrong)] {
        place.built.scenario.evidence.records.push(record);
        let key = secret_key(["b1", "b2"][n - 2]);
        let answer = place.answer(&format!("canary-{n}"), n, &content, Outcome::Built, &key);
        assert!(matches!(place.take(&answer).unwrap(), Taken::Shown(_)));
    }
    let found = missed();
    assert_eq!((found.len(), found[0].builder.as_str()), (1, "b2"), "{found:?}");

    // He does not count for anything else.
    let next = place.site.build("1.1", "what comes next");
    for record in &next.scenario.evidence.records {
        place.site.sign(record, &secret_key(record.builder.as_str()));
    }
    let (store, archive) = (&place.site.store, &place.site.archive);
    let identity = identity(&next.scenario.candidate.declaration).unwrap();
    let records = load_records(store, archive, &identity, &next.scenario.policy).unwrap();
    let refused = place.site.admit_with(&next, &records).unwrap().decision;
    let broken: Vec<&str> = refused.broken().map(|rule| rule.id.as_str()).collect();
    assert_eq!(broken, ["R1", "R9"], "{}", explain(&refused));

    // A note that a decision heard of does not get lost.
    let gate = &place.site.gate_key;
    let note = format!("store/state/{archive}/missed/{}", found[0].record);
    std::fs::remove_file(place.site.folder.path().join(note)).unwrap();
    assert!(missed().is_empty());
    assert_eq!(recall_all(store, archive, &gate.public(), Some(gate)).unwrap(), 1);
    assert_eq!(missed(), found);

    // A note that anybody writes says nothing, and one ends with what it contradicts.
    let forged = Key::new(format!("state/{archive}/missed/{}", records.records[0].sha256)).unwrap();
    store.create(&forged, b"").unwrap();
    assert_eq!(missed(), found);
    let trusted = Records {
        missed: Vec::new(),
        ..records
    };
    assert!(place.site.admit_with(&next, &trusted).unwrap().decision.admitted);
    assert_eq!(missed(), []);
}

#[test]
fn failures_are_shown_at_once_and_bind_nobody() {
    let place = Place::new();
    let failed = place.answer("alice", 0, "", Outcome::Ftbfs, &secret_key("b1"));
    assert!(matches!(place.take(&failed).unwrap(), Taken::Shown(_)));
    let bob = place.answer("bob", 1, "x", Outcome::Built, &secret_key("b2"));
    assert!(matches!(place.take(&bob).unwrap(), Taken::Sealed { missing: 1, .. }));
}

#[test]
fn what_does_not_hold_is_not_taken() {
    let mut place = Place::new();
    let code = |place: &Place, folder: &Path, why: &str| {
        let before = place.site.objects("");
        let error = place.take(folder).unwrap_err();
        assert_eq!(error.code(), "E-GATE-121", "{error}");
        assert!(error.to_string().contains(why), "{why}: {error}");
        assert_eq!(place.site.objects(""), before, "nothing of it is kept");
    };
    let swapped = place.answer("swapped", 0, "one", Outcome::Built, &secret_key("b1"));
    std::fs::write(swapped.join("hello_1.0_amd64.deb"), deb("1.0", "two")).unwrap();
    code(&place, &swapped, "not the file that the record names");
    let stranger = place.answer("stranger", 0, "one", Outcome::Built, &Ed25519Key::generate());
    code(&place, &stranger, "");
    let other = place.answer("other", 0, "one", Outcome::Built, &secret_key("b2"));
    code(&place, &other, "not signed by the builder that it names");
    let mixed = place.answer("mixed", 0, "one", Outcome::Built, &secret_key("b1"));
    std::fs::copy(other.join("commitment.json"), mixed.join("commitment.json")).unwrap();
    code(&place, &mixed, "");
    let unbound = place.answer("unbound", 0, "one", Outcome::Built, &secret_key("b1"));
    std::fs::remove_file(unbound.join("commitment.json")).unwrap();
    code(&place, &unbound, "no commitment");
    let log = place.answer("log", 0, "one", Outcome::Built, &secret_key("b1"));
    let path = log.join("hello-1.0.log");
    std::fs::write(&path, "another log").unwrap();
    code(&place, &log, "`hello-1.0.log` is not the file that the record names");
    std::fs::remove_file(&path).unwrap();
    code(&place, &log, "hello-1.0.log");
    std::fs::write(log.join("elsewhere"), "log of log").unwrap();
    std::os::unix::fs::symlink(log.join("elsewhere"), &path).unwrap();
    code(&place, &log, "hello-1.0.log");
    for outcome in [Outcome::Built, Outcome::Ftbfs] {
        let large = place.answer(&format!("large-{outcome:?}"), 0, "one", outcome, &secret_key("b1"));
        let file = std::fs::File::create(large.join("hello-1.0.log")).unwrap();
        file.set_len(2 << 30).unwrap();
        code(&place, &large, "`hello-1.0.log` is too large");
    }
    place.built.scenario.evidence.records[0].nonce = "ab".repeat(32);
    let unasked = place.answer("unasked", 0, "one", Outcome::Built, &secret_key("b1"));
    code(&place, &unasked, "nonce was not issued");
}

/// Whoever may write to the store closes no round: neither by hand, nor by taking away the one that was closed.
#[test]
fn only_the_gate_closes_rounds_and_never_over_what_was_shown() {
    let mut place = Place::new();
    for (n, name) in ["alice", "bob"].into_iter().enumerate() {
        let key = secret_key(["b1", "b2"][n]);
        place.take(&place.answer(name, n, name, Outcome::Built, &key)).unwrap();
    }
    let (store, archive, declaration) = (&place.site.store, &place.site.archive, place.declaration());
    let load = || load_rounds(store, archive, &declaration, &place.site.gate_key.public());
    let round = load().unwrap().remove(0);
    assert_eq!(round.commitments.len(), 2);
    let (key, _) = place.site.objects("state/custom/rounds").remove(0);
    let path = place.site.folder.path().join("store").join(key.as_str());

    // One that names whom he wants.
    std::fs::remove_file(&path).unwrap();
    let mut forged = round.clone();
    forged.commitments.pop();
    let unsigned = assay::format::json::canonical("round", &forged).unwrap();
    let by_another = |kind: &str, payload: &[u8]| {
        let envelope = assay::trust::sign_envelope(kind, payload, &Ed25519Key::generate());
        envelope.to_bytes().unwrap()
    };
    let signed = by_another("application/vnd.assay.round+json", &unsigned);
    for bytes in [unsigned, signed] {
        std::fs::write(&path, bytes).unwrap();
        let error = load().unwrap_err();
        assert_eq!(error.code(), "E-GATE-123", "{error}");
        let hint = error.hint().unwrap();
        assert!(
            hint.contains("ask for a new round") && hint.contains(key.as_str()),
            "{hint}"
        );
        std::fs::remove_file(&path).unwrap();
    }

    // None is closed again over what everybody could see by then.
    let lock = *place.built.locks.keys().next().unwrap();
    let id = &place.built.scenario.policy.builders[2].id;
    let asked = issue_nonce(store, archive, (declaration, lock), (id, (0, 1)), place.now, 600).unwrap();
    let mut late = place.built.scenario.evidence.records[1].clone();
    (late.nonce, late.builder) = (asked.nonce, asked.builder);
    place.built.scenario.evidence.records.push(late);
    let late = place.answer("late", 2, "alice", Outcome::Built, &secret_key("b3"));
    assert!(matches!(place.take(&late).unwrap(), Taken::Sealed { missing: 1, .. }));
    assert_eq!(place.site.objects("state/custom/rounds"), []);
}

#[test]
fn what_is_bound_waits_for_the_gate_where_its_key_is_not_at_hand() {
    let mut place = Place::new();
    place.key = false;
    let alice = place.answer("alice", 0, "the same", Outcome::Built, &secret_key("b1"));
    let bob = place.answer("bob", 1, "the same", Outcome::Built, &secret_key("b2"));
    assert!(matches!(place.take(&alice).unwrap(), Taken::Sealed { missing: 1, .. }));
    let Taken::Bound { folder, .. } = place.take(&bob).unwrap() else {
        panic!("the gate's key is not here");
    };
    assert_eq!(place.site.objects("state/custom/rounds"), []);
    place.key = true;
    assert!(matches!(place.take(&folder).unwrap(), Taken::Shown(_)));
}

/// A version before signed none: what the gate decided on is as good as signed, and so is signed.
#[test]
fn a_round_of_before_is_signed_when_a_decision_was_made_on_it() {
    let place = Place::new();
    for (n, name) in ["alice", "bob"].into_iter().enumerate() {
        let key = secret_key(["b1", "b2"][n]);
        place
            .take(&place.answer(name, n, "the same", Outcome::Built, &key))
            .unwrap();
    }
    let (declaration, policy) = (place.declaration(), place.built.scenario.policy.clone());
    let (key, _) = place.site.objects("state/custom/rounds").remove(0);
    let Place { site, built, now, .. } = place;
    let site = site.at(now.plus(120));
    let gate = site.gate_key.public();
    let round = load_rounds(&site.store, &site.archive, &declaration, &gate)
        .unwrap()
        .remove(0);
    let records = load_records(&site.store, &site.archive, &declaration, &policy).unwrap();
    assert!(site.admit_with(&built, &records).unwrap().decision.admitted);

    let path = site.folder.path().join("store").join(key.as_str());
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, assay::format::json::canonical("round", &round).unwrap()).unwrap();
    let lost = forgotten(&site.store, &site.archive, &gate).unwrap();
    assert!(
        lost.forgotten.is_empty() && lost.unsigned.is_empty(),
        "an older site is whole: {lost:?}"
    );
    let declared = &built.scenario.candidate.declaration;
    assert_eq!(site.hearing(None).recall(declared).unwrap(), 1);
    assert_eq!(
        load_rounds(&site.store, &site.archive, &declaration, &gate).unwrap(),
        [round]
    );
    assert_eq!(site.hearing(None).recall(declared).unwrap(), 0);

    // What no decision was made on is named.
    let other = Key::new(format!("state/custom/rounds/{}/{}-0.json", sha("x"), sha("y"))).unwrap();
    site.store.create(&other, b"{}").unwrap();
    let lost = forgotten(&site.store, &site.archive, &gate).unwrap();
    assert_eq!(lost.unsigned[0].0, other);
}

#[test]
fn an_answer_that_was_damaged_while_it_waited_stops_no_other() {
    let place = Place::new();
    let alice = place.answer("alice", 0, "the same", Outcome::Built, &secret_key("b1"));
    place.take(&alice).unwrap();
    let nonce = &place.built.scenario.evidence.records[0].nonce;
    let waiting = place.folder("sealed").join(place.declaration().hex()).join(nonce);
    std::fs::write(waiting.join("hello-1.0.log"), "another log").unwrap();
    let bob = place.answer("bob", 1, "the same", Outcome::Built, &secret_key("b2"));
    assert!(matches!(place.take(&bob).unwrap(), Taken::Shown(_)));
    let shown = || {
        let (store, archive) = (&place.site.store, &place.site.archive);
        let policy = &place.built.scenario.policy;
        load_records(store, archive, &place.declaration(), policy)
            .unwrap()
            .records
            .len()
    };
    assert_eq!(shown(), 1, "that of bob");
    assert!(waiting.exists(), "the damaged one stays");
    // Handed in again, it is put right.
    assert!(matches!(place.take(&alice).unwrap(), Taken::Shown(_)));
    assert_eq!(shown(), 2);
}

#[test]
fn what_differs_can_be_looked_at_with_diffoscope() {
    use std::os::unix::fs::PermissionsExt as _;
    let site = Site::new();
    let built = site.build("1.0", "one");
    let name = file("hello_1.0_amd64.deb");
    let mut records = Records {
        records: built.scenario.evidence.records.clone(),
        ..Records::default()
    };
    let other = deb("1.0", "two");
    let digest = Digest::of(&other);
    hold(&site.store, &site.archive, &digest, &mut &other[..]).unwrap();
    let work = tempfile::tempdir().unwrap();
    let look = |records: &Records, program: &str| {
        contrasts(&site.store, &site.archive, records, program, work.path()).unwrap()
    };
    assert_eq!(look(&records, "/nonexistent"), [], "they are the same");
    records.records[1].outputs.insert(name.clone(), digest.sha256);
    let found = look(&records, "/nonexistent");
    assert_eq!((found.len(), &found[0].file, &found[0].diffoscope), (1, &name, &None));
    assert!(
        found[0].differences[0].contains("./usr/share/hello/text: content differs"),
        "{found:?}"
    );

    // It is far too large to be installed for this: what stands in for it says what it was given.
    let stub = work.path().join("diffoscope");
    std::fs::write(
        &stub,
        "#!/bin/sh\nfor last; do :; done\nsha256sum <\"$last\"\nprintf '\\033[31mred\\n'\nyes | head -n 99\nexit 1\n",
    )
    .unwrap();
    std::fs::set_permissions(&stub, std::fs::Permissions::from_mode(0o755)).unwrap();
    let said = look(&records, stub.to_str().unwrap())[0].diffoscope.clone().unwrap();
    assert!(said.starts_with(&found[0].other.1.hex()), "{said}");
    assert!(!said.contains('\u{1b}') && said.ends_with('…'), "{said}");
    std::fs::write(&stub, "#!/bin/sh\nexit 2\n").unwrap();
    assert_eq!(look(&records, stub.to_str().unwrap())[0].diffoscope, None);
}
