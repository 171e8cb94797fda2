//! Decisions are made again from what is kept: the same, or it is said where not; and which fall with a key.

use std::fs;

use assay::admission::{Compared, RULE_SET, Revoked, identity};
use assay::domain::{BuilderId, Fingerprint, Kind, Sha256, Timestamp};
use assay::format::dsse::{Envelope, IN_TOTO};
use assay::format::intoto::{Statement, Summary, VerificationResult};
use assay::format::json;
use assay::publish::{GateError, Kept, add_document, issue_nonce, list_decisions, read_document};
use assay::store::{Key, Store as _};
use assay::trust::sign_envelope;

use super::site::Site;
use assay::domain::Coded as _;

fn load(site: &Site, sha256: &Sha256) -> Result<Kept, GateError> {
    Kept::load(&site.store, &site.archive, sha256, &site.gate_key.public())
}

/// The decision with its statement changed, as whoever has the gate's key could sign it.
fn forged(site: &Site, sha256: &Sha256, change: impl FnOnce(&mut Statement<Summary>)) -> Sha256 {
    let bytes = read_document(&site.store, &site.archive, sha256, 1 << 20).unwrap();
    let envelope = Envelope::parse(&bytes).unwrap();
    let mut statement: Statement<Summary> = json::strict("decision", &envelope.payload).unwrap();
    change(&mut statement);
    let payload = json::canonical("decision", &statement).unwrap();
    let envelope = sign_envelope(IN_TOTO, &payload, &site.gate_key).to_bytes().unwrap();
    add_document(&site.store, &site.archive, &envelope).unwrap()
}

#[test]
fn admissions_and_refusals_come_out_the_same_again() {
    let site = Site::new();
    let admitted = site
        .admit(&site.build("1.0", "first"))
        .unwrap()
        .decision_sha256
        .unwrap();
    let refused = site.admit(&site.build("1.0", "other bytes")).unwrap();
    assert!(!refused.decision.admitted);
    let refused = refused.decision_sha256.unwrap();
    let listed = list_decisions(&site.store, &site.archive).unwrap();
    assert_eq!(listed, [admitted, refused].into_iter().collect());
    for sha256 in listed {
        let kept = load(&site, &sha256).unwrap();
        assert_eq!(kept.differences(), Vec::<String>::new());
        assert_eq!(kept.misread(&site.store, &site.archive).unwrap(), Vec::<String>::new());
        let again = kept.again().summary(&site.gate_fingerprint(), "assay test");
        assert_eq!(again, kept.statement, "to the byte");
    }
}

#[test]
fn what_was_decided_under_names_that_no_policy_may_have_any_more_is_decided_again() {
    let site = Site::new();
    let mut built = site.build("1.0", "first");
    let names = ["alice", "Alice "].into_iter().cycle();
    for (builder, name) in built.scenario.policy.builders.iter_mut().zip(names) {
        builder.operator = name.into();
    }
    built.scenario.candidate.policy_sha256 = identity(&built.scenario.policy).unwrap();
    let admission = site.admit(&built).unwrap();
    let kept = load(&site, &admission.decision_sha256.unwrap()).unwrap();
    assert_eq!(kept.differences(), Vec::<String>::new());
}

#[test]
fn a_decision_that_does_not_follow_from_its_evidence_is_named() {
    let site = Site::new();
    site.admit(&site.build("1.0", "first")).unwrap();
    let refused = site
        .admit(&site.build("1.0", "other bytes"))
        .unwrap()
        .decision_sha256
        .unwrap();
    let forged_verdict = forged(&site, &refused, |statement| {
        statement.predicate.verification_result = VerificationResult::Passed;
        statement
            .predicate
            .assay_rules
            .iter_mut()
            .for_each(|rule| rule.passed = true);
    });
    let said = load(&site, &forged_verdict).unwrap().differences().join("\n");
    assert!(said.contains("it was admitted, and would be refused"), "{said}");
    assert!(said.contains("rule V1 held, and would not be so"), "{said}");
    let forged_level = forged(&site, &refused, |statement| {
        statement.predicate.verified_levels.push("SLSA_BUILD_REPRODUCED".into());
    });
    assert_eq!(
        load(&site, &forged_level).unwrap().differences(),
        ["it would name other levels"]
    );
    // A dissent that is left out of the inputs changes what it is made on.
    let fewer = forged(&site, &refused, |statement| {
        let inputs = &mut statement.predicate.input_attestations;
        let at = inputs
            .iter()
            .position(|i| i.name.as_deref() == Some("rebuild-record"))
            .unwrap();
        inputs.remove(at);
    });
    assert!(!load(&site, &fewer).unwrap().differences().is_empty());
    let without = forged(&site, &refused, |statement| {
        statement
            .predicate
            .input_attestations
            .retain(|i| i.name.as_deref() != Some("case"));
    });
    let error = load(&site, &without).unwrap_err();
    assert_eq!((error.code(), error.kind()), ("E-GATE-108", Kind::Unknown));
}

#[test]
fn what_it_was_made_on_cannot_be_changed_or_lost_unseen() {
    let site = Site::new();
    let sha256 = site
        .admit(&site.build("1.0", "first"))
        .unwrap()
        .decision_sha256
        .unwrap();
    let statement = load(&site, &sha256).unwrap().statement;
    let mut names: Vec<Sha256> = statement
        .predicate
        .input_attestations
        .iter()
        .map(|i| i.digest["sha256"].parse().unwrap())
        .collect();
    names.push(statement.predicate.policy.digest["sha256"].parse().unwrap());
    assert_eq!(names.len(), 6, "declaration, lock, two records, case, policy");
    for name in names {
        let path = site.store.local_path(&Key::provenance(&site.archive, &name)).unwrap();
        let bytes = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let is_declaration = load(&site, &sha256).is_ok();
        let mut other = bytes.clone();
        other[10] ^= 1;
        fs::write(&path, other).unwrap();
        // The declaration is in the case, too, whose own hash covers it.
        assert_eq!(load(&site, &sha256).is_ok(), is_declaration);
        fs::remove_file(&path).unwrap();
        fs::write(&path, bytes).unwrap();
    }
    let mut pool = site.objects("custom/pool");
    pool.retain(|(key, _)| key.as_str().ends_with(".deb"));
    let path = site.store.local_path(&pool[0].0).unwrap();
    fs::remove_file(&path).unwrap();
    fs::write(&path, super::site::deb("1.0", "swapped after the check")).unwrap();
    let found = load(&site, &sha256)
        .unwrap()
        .misread(&site.store, &site.archive)
        .unwrap();
    assert!(found[0].contains("hello_1.0_amd64.deb"), "{found:?}");
}

#[test]
fn rule_r5_a_revoked_key_takes_down_what_it_carried_and_nothing_else() {
    let site = Site::new();
    let sha256 = site
        .admit(&site.build("1.0", "first"))
        .unwrap()
        .decision_sha256
        .unwrap();
    let kept = load(&site, &sha256).unwrap();
    let falls = |builder: Option<&str>, key: Option<Fingerprint>, since: Timestamp| {
        let revoked = Revoked {
            builder: builder.map(|id| BuilderId::new(id).unwrap()),
            key,
            since,
        };
        let decision = kept.case.decide_without(&kept.policy, &revoked, kept.decided_at());
        let broken: Vec<_> = decision.broken().map(|rule| rule.id.clone()).collect();
        (revoked.is_in(&kept.policy), broken)
    };
    let ever = Timestamp::from_unix(0);
    let key = |id: &str| super::scenario::secret_key(id).public().fingerprint();
    for (builder, key) in [(Some("b1"), None), (None, Some(key("b2")))] {
        assert_eq!(falls(builder, key, ever), (true, vec!["R1".into(), "R5".into()]));
    }
    let signer = Fingerprint::new(super::scenario::SIGNER).unwrap();
    assert_eq!(falls(None, Some(signer), ever), (true, vec!["S1".into()]));
    assert_eq!(falls(Some("b3"), None, ever), (true, vec![]), "it carried nothing");
    assert_eq!(falls(Some("stranger"), None, ever), (false, vec![]));
    let later = kept.decided_at().plus(60);
    assert_eq!(
        falls(Some("b1"), None, later),
        (true, vec![]),
        "what it signed before stays"
    );
}

/// Rules change. What one judges otherwise that changed since is told, and does not make the decision false.
#[test]
fn a_decision_of_other_rules_is_not_called_false() {
    let site = Site::new();
    let built = site.build("1.0", "first");
    let declaration = assay::admission::identity(&built.scenario.candidate.declaration).unwrap();
    // Rule R4 waits for this nonce; the first rules did not, since it is of an environment that is no more asked for.
    let (builder, lock) = ("b3".parse().unwrap(), super::scenario::sha("the environment before"));
    let asked = issue_nonce(
        &site.store,
        &site.archive,
        (declaration, lock),
        (&builder, (0, 1)),
        built.scenario.now,
        600,
    );
    asked.unwrap();
    let refused = site.admit(&built).unwrap();
    let broken: Vec<&str> = refused.decision.broken().map(|rule| rule.id.as_str()).collect();
    assert_eq!(broken, ["R4"]);
    let refused = refused.decision_sha256.unwrap();
    assert_eq!(load(&site, &refused).unwrap().compared(), Compared::default());
    let made_under = |rules: Option<u32>, rule: &str| {
        let sha256 = forged(&site, &refused, |statement| {
            let summary = &mut statement.predicate;
            summary.assay_rule_set = rules;
            summary.verification_result = VerificationResult::Passed;
            summary.verified_levels.push("SLSA_BUILD_REPRODUCED".into());
            for one in &mut summary.assay_rules {
                one.passed = if one.id == "R4" {
                    true
                } else {
                    one.passed && one.id != rule
                };
            }
        });
        load(&site, &sha256).unwrap().compared()
    };
    for (rules, number) in [(None, 1), (Some(1), 1), (Some(RULE_SET + 1), RULE_SET + 1)] {
        let compared = made_under(rules, "");
        assert_eq!(compared.differences, Vec::<String>::new(), "{rules:?}");
        let said = compared.other_rules.unwrap().to_string();
        let begin =
            format!("decided under rules {number}, this build has {RULE_SET}: differs in rules R4 (`b3` has not");
        assert!(said.starts_with(&begin), "{said}");
    }
    // Of the same rules it is false; and so is what no change of rules explains.
    let same = made_under(Some(RULE_SET), "");
    assert!(
        same.other_rules.is_none() && same.differences[0].contains("would be refused"),
        "{same:?}"
    );
    let other = made_under(None, "V1");
    assert_eq!(other.differences.len(), 1, "{other:?}");
    assert!(other.differences[0].contains("rule V1 was broken"), "{other:?}");
}
