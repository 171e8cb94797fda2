//! What a decision was made on is heard by every later one: taking evidence away never admits.

use std::fs;

use assay::admission::{Decision, identity};
use assay::format::intoto::Outcome;
use assay::publish::{forgotten, load_records, recall};

use super::scenario::{Scenario, secret_key};
use super::site::{Built, Site};

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
    assert_eq!(
        recall(&site.store, &site.archive, declaration, &site.gate_key).unwrap(),
        2
    );
    assert_eq!(lost(), Vec::<String>::new());
    let decision = again(&site, &built);
    assert!(decision.broken().any(|rule| rule.id == "A5"), "{decision:?}");
    assert_eq!(
        recall(&site.store, &site.archive, declaration, &site.gate_key).unwrap(),
        0
    );
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
    let error = recall(
        &site.store,
        &site.archive,
        &built.scenario.candidate.declaration,
        &site.gate_key,
    )
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
        recall(
            &site.store,
            &site.archive,
            &built.scenario.candidate.declaration,
            &site.gate_key
        )
        .is_err()
    );
}
