//! What a decision was made on is heard by every later one: taking evidence away never admits.

use std::fs;

use assay::admission::{Decision, identity};
use assay::domain::{Coded as _, Sha256};
use assay::format::intoto::Outcome;
use assay::publish::{Book, Writer, forgotten, load_records, load_redeclared, make_declared, recall_all, remove};
use assay::snapshot::Chain;
use assay::store::{Key, Store as _};

use super::scenario::{Scenario, secret_key};
use super::site::{Built, Site};
use crate::support::repository::now;

/// Three builders were asked; the third one's build failed, and so the source was refused.
fn refused(site: &Site) -> (Built, Vec<String>) {
    let mut built = site.build_as("1.0", "first", |scenario: &mut Scenario| {
        scenario.rebuild("b3");
    });
    let third = built.scenario.evidence.records.last_mut().unwrap();
    third.outcome = Outcome::Ftbfs;
    third.outputs.clear();
    let (nonce, declaration) = (third.nonce.clone(), third.declaration);
    for record in &built.scenario.evidence.records {
        site.sign(record, &secret_key(record.builder.as_str()));
    }
    let third = site.sign(built.scenario.evidence.records.last().unwrap(), &secret_key("b3"));
    let decision = again(site, &built);
    assert!(!decision.admitted);
    assert!(decision.broken().any(|rule| rule.id == "A5"), "{decision:?}");
    let about = declaration.hex();
    let of_hers = vec![
        format!("state/custom/evidence/{about}/{third}"),
        format!("state/custom/nonces/{about}/{nonce}"),
    ];
    (built, of_hers)
}

fn again(site: &Site, built: &Built) -> Decision {
    let declaration = identity(&built.scenario.candidate.declaration).unwrap();
    let records = load_records(&site.store, &site.archive, &declaration, &built.scenario.policy).unwrap();
    site.admit_with(built, &records).unwrap().decision
}

#[test]
fn a_dissent_that_is_taken_out_of_the_state_is_named_and_put_back() {
    let site = Site::new();
    let (built, of_hers) = refused(&site);
    let lost = || -> Vec<String> {
        let lost = forgotten(&site.store, &site.archive, &site.gate_key.public()).unwrap();
        assert!(lost.unread.is_empty() && lost.unsigned.is_empty(), "{lost:?}");
        lost.forgotten.iter().map(|lost| lost.key.to_string()).collect()
    };
    assert_eq!(lost(), Vec::<String>::new());
    for name in &of_hers {
        fs::remove_file(site.folder.path().join("store").join(name)).unwrap();
    }
    assert_eq!(lost(), of_hers);
    let declaration = &built.scenario.candidate.declaration;
    assert_eq!(site.hearing(None).recall(declaration).unwrap(), 2);
    assert_eq!(lost(), Vec::<String>::new());
    let decision = again(&site, &built);
    assert!(decision.broken().any(|rule| rule.id == "A5"), "{decision:?}");
    assert_eq!(site.hearing(None).recall(declaration).unwrap(), 0);
}

#[test]
fn a_question_that_was_changed_is_named_and_nothing_is_decided() {
    let site = Site::new();
    let (built, of_hers) = refused(&site);
    let path = site.folder.path().join("store").join(&of_hers[1]);
    let text = fs::read_to_string(&path).unwrap().replace("\"b3\"", "\"b1\"");
    fs::remove_file(&path).unwrap();
    fs::write(&path, text).unwrap();
    let lost = forgotten(&site.store, &site.archive, &site.gate_key.public())
        .unwrap()
        .forgotten;
    assert!(lost.iter().all(|lost| lost.changed) && lost.len() == 1, "{lost:?}");
    let error = site
        .hearing(None)
        .recall(&built.scenario.candidate.declaration)
        .unwrap_err();
    assert!(error.to_string().contains("other bytes"), "{error}");
}

#[test]
fn a_decision_whose_document_is_gone_is_not_passed_over() {
    let site = Site::new();
    let (built, _) = refused(&site);
    for (key, _) in site.objects("state/custom/decisions") {
        let name = key.as_str().rsplit('/').next().unwrap().to_owned();
        fs::remove_file(site.folder.path().join("store/custom/provenance/sha256").join(name)).unwrap();
    }
    let lost = forgotten(&site.store, &site.archive, &site.gate_key.public()).unwrap();
    assert_eq!(lost.unread.len(), 1);
    assert!(
        site.hearing(None)
            .recall(&built.scenario.candidate.declaration)
            .is_err()
    );
}

/// Takes away all that names the refusal: what it was made on, and both lists of decisions.
fn rob(site: &Site, of_hers: &[String]) {
    let store = site.folder.path().join("store");
    for name in of_hers {
        fs::remove_file(store.join(name)).unwrap();
    }
    for list in ["decisions", "heard"] {
        let _ = fs::remove_dir_all(store.join("state/custom").join(list));
    }
}

/// Also the documents of the refusals.
fn rob_all(site: &Site, of_hers: &[String], decisions: &[Sha256]) {
    rob(site, of_hers);
    for decision in decisions {
        fs::remove_file(
            site.folder
                .path()
                .join(format!("store/custom/provenance/sha256/{decision}")),
        )
        .unwrap();
    }
}

fn decisions(site: &Site) -> Vec<Sha256> {
    let listed = site.objects("state/custom/decisions");
    listed.iter().filter_map(|(key, _)| key.named_sha256()).collect()
}

#[test]
fn a_refusal_that_no_list_names_is_found_among_the_documents() {
    let site = Site::new();
    let (built, of_hers) = refused(&site);
    let gate = site.gate_key.public();
    rob(&site, &of_hers);
    let lost: Vec<String> = forgotten(&site.store, &site.archive, &gate)
        .unwrap()
        .forgotten
        .iter()
        .map(|lost| lost.key.to_string())
        .collect();
    assert!(of_hers.iter().all(|key| lost.contains(key)), "{lost:?}");
    assert_eq!(
        recall_all(&site.store, &site.archive, &gate, None).unwrap() as usize,
        lost.len()
    );
    let decision = again(&site, &built);
    assert!(decision.broken().any(|rule| rule.id == "A5"), "{decision:?}");
}

/// Its writer was killed between the two lists, and nothing of its source comes after it, as with what is imported.
#[test]
fn a_decision_that_is_listed_under_its_source_alone_is_listed_with_the_next_snapshot() {
    let site = Site::new();
    refused(&site);
    let listed = site.objects("state/custom/decisions");
    assert_eq!(listed.len(), 1);
    fs::remove_dir_all(site.folder.path().join("store/state/custom/decisions")).unwrap();
    let lost = || {
        let lost = forgotten(&site.store, &site.archive, &site.gate_key.public()).unwrap();
        lost.forgotten
    };
    assert_eq!(lost(), [], "a kill explains it");
    assert!(site.admit(&site.build("1.1", "second")).unwrap().decision.admitted);
    let (key, _) = &listed[0];
    assert!(
        site.objects("state/custom/decisions")
            .iter()
            .any(|(there, _)| there == key)
    );
    assert_eq!(lost(), []);
    // Now a record remembers it: whoever takes it out of the list is seen.
    fs::remove_file(site.folder.path().join("store").join(key.as_str())).unwrap();
    assert_eq!(lost().len(), 1);
}

/// What the gate signs here it knows here, whatever becomes of the store.
#[test]
fn a_machine_that_signed_a_refusal_does_not_forget_it() {
    let site = Site::new();
    let journal = site.folder.path().join("decided");
    let (built, of_hers) = refused(&site);
    let declaration = &built.scenario.candidate.declaration;
    let hear = || site.hearing(Some(&journal)).recall(declaration);
    assert_eq!(hear().unwrap(), 0);
    let signed = decisions(&site);
    rob(&site, &of_hers);
    assert_eq!(hear().unwrap(), 3);
    assert!(again(&site, &built).broken().any(|rule| rule.id == "A5"));
    rob_all(&site, &of_hers, &signed);
    let error = hear().unwrap_err();
    assert_eq!(error.code(), "E-GATE-124", "{error}");
    assert!(error.to_string().contains("on this machine"), "{error}");
    assert!(error.hint().unwrap().contains("provenance/sha256"));
    // On purpose.
    fs::remove_dir_all(&journal).unwrap();
    assert_eq!(hear().unwrap(), 0);
}

#[test]
fn the_next_snapshot_remembers_every_decision_that_the_gate_signed() {
    let site = Site::new();
    let (built, of_hers) = refused(&site);
    let declaration = &built.scenario.candidate.declaration;
    let refusals = decisions(&site);
    // A name that somebody put there is not remembered.
    let stranger = Key::new(format!("state/custom/heard/hello/{}", super::scenario::sha("policy"))).unwrap();
    site.store.create(&stranger, b"").unwrap();
    assert!(site.admit(&site.build("1.1", "second")).unwrap().decision.admitted);
    let chain = Chain::load(&site.store, &site.archive).unwrap();
    let remembered = Book::of(&site.store, &site.archive, chain.latest())
        .unwrap()
        .whole()
        .unwrap();
    let remembered = &remembered.decisions[&declaration.source];
    assert!(
        refusals.iter().all(|refusal| remembered.contains(refusal)),
        "{remembered:?}"
    );
    assert_eq!(remembered.len(), 2, "the admission too");
    let left = site.objects("state/custom/heard");
    assert_eq!(left.len(), 1, "{left:?}");
    fs::remove_file(site.folder.path().join("store").join(stranger.as_str())).unwrap();

    let hear = || site.hearing(None).recall(declaration);
    assert_eq!(hear().unwrap(), 0);
    rob(&site, &of_hers);
    // Both, and two lists: the records of the other version are none of this one's.
    assert_eq!(hear().unwrap(), 4);
    let decision = again(&site, &built);
    assert!(decision.broken().any(|rule| rule.id == "A5"), "{decision:?}");
    rob_all(&site, &of_hers, &refusals);
    let error = hear().unwrap_err();
    assert_eq!(error.code(), "E-GATE-124", "{error}");
    assert!(error.to_string().contains("the newest snapshot"), "{error}");
}

/// Whatever a snapshot is made for.
#[test]
fn a_snapshot_that_admits_nothing_remembers_the_refusals_before_it() {
    let removed = |site: &Site| {
        let (suite, source) = ("stable".parse().unwrap(), "hello".parse().unwrap());
        remove(&site.gate().writer(), &suite, &source, "a test", now().plus(5)).unwrap();
    };
    let declared = |site: &Site| {
        let mut config = site.config.clone();
        let mut later = config.suites[0].clone();
        later.name = "later".parse().unwrap();
        config.suites.push(later);
        let writer = Writer {
            config: &config,
            ..site.gate().writer()
        };
        assert!(make_declared(&writer, now().plus(5)).unwrap());
    };
    for change in [&removed as &dyn Fn(&Site), &declared] {
        let site = Site::new();
        let (built, of_hers) = refused(&site);
        let declaration = &built.scenario.candidate.declaration;
        assert!(site.admit(&site.build("1.1", "second")).unwrap().decision.admitted);
        let before = decisions(&site);
        assert!(!again(&site, &built).admitted);
        let mut refusals = decisions(&site);
        refusals.retain(|one| !before.contains(one));
        assert_eq!((refusals.len(), site.objects("state/custom/heard").len()), (1, 1));
        change(&site);
        assert_eq!(site.objects("state/custom/heard"), []);
        rob_all(&site, &of_hers, &refusals);
        let error = site.hearing(None).recall(declaration).unwrap_err();
        assert_eq!(error.code(), "E-GATE-124", "{error}");
    }
}

#[test]
fn what_a_kill_kept_from_being_listed_is_no_attack_and_is_listed_by_the_next_publish() {
    let site = Site::new();
    refused(&site);
    rob(&site, &[]);
    let gate = site.gate_key.public();
    assert!(
        forgotten(&site.store, &site.archive, &gate)
            .unwrap()
            .forgotten
            .is_empty()
    );
    assert_eq!(recall_all(&site.store, &site.archive, &gate, None).unwrap(), 1);
    assert_eq!(decisions(&site).len(), 1);
}

/// Who declares a source again is told of the dissent under the declaration before, also when the list of declarations is gone.
#[test]
fn what_was_said_under_a_declaration_that_is_listed_no_more_is_heard() {
    let site = Site::new();
    let (_, _) = refused(&site);
    let other = site.build_as("1.0", "first", |scenario: &mut Scenario| {
        scenario.declare(|declaration| declaration.authorised = declaration.signers.clone());
    });
    let declaration = &other.scenario.candidate.declaration;
    fs::remove_dir_all(site.folder.path().join("store/state/custom/declared")).unwrap();
    assert_eq!(site.hearing(None).recall(declaration).unwrap(), 1);
    let heard = load_redeclared(&site.store, &site.archive, declaration, &other.scenario.policy).unwrap();
    assert!(format!("{heard:?}").contains("Ftbfs"), "{heard:?}");
}
