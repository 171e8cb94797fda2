//! Links of rebuilderd: shown, and never counted.

use std::collections::BTreeSet;

use assay::domain::{Coded as _, Sha256};
use assay::format::json;
use assay::publish::{GateError, add_link, load_links};
use assay::site::Observer;
use assay::store::Key;
use ed25519_dalek::{Signer as _, SigningKey};

use crate::admission::scenario::sha;
use crate::admission::site::Site;

fn secret(name: &str) -> SigningKey {
    SigningKey::from_bytes(sha(name).as_bytes())
}

fn observer(name: &str) -> Observer {
    Observer {
        name: name.into(),
        public_key: hex::encode(secret(name).verifying_key().as_bytes()),
    }
}

/// As rebuilderd's worker signs it.
fn link(file: &str, sha256: &Sha256, signers: &[SigningKey]) -> Vec<u8> {
    let digests = serde_json::json!({ "sha256": sha256, "sha512": "0".repeat(128) });
    let signed = serde_json::json!({
        "_type": "link", "name": format!("rebuild {file}"), "materials": { "hello_1.0_amd64.buildinfo": digests },
        "products": { file: digests }, "environment": null, "byproducts": {}, "command": [],
    });
    let bytes = json::canonical("link", &signed).unwrap();
    let signature = |key: &SigningKey| {
        let keyid = hex::encode(key.verifying_key().as_bytes());
        serde_json::json!({ "keyid": keyid, "sig": hex::encode(key.sign(&bytes).to_bytes()) })
    };
    let signatures: Vec<_> = signers.iter().map(signature).collect();
    serde_json::to_vec(&serde_json::json!({ "signatures": signatures, "signed": signed })).unwrap()
}

#[test]
fn links_are_shown_by_hash_and_give_no_vote() {
    let site = Site::new();
    let mut built = site.build("1.0", "bytes");
    let observers = vec![observer("debian.example"), observer("arch.example")];
    built.scenario.rule(|policy| policy.observers = observers.clone());
    // One builder of two is missing, and any number of observers does not stand in for it.
    built.scenario.evidence.records.pop();
    let policy = built.scenario.policy.clone();
    let (name, sha256) = built.scenario.evidence.records[0].outputs.first_key_value().unwrap();
    let (store, archive) = (&site.store, &site.archive);
    let both = link(
        "other-name.deb",
        sha256,
        &[secret("debian.example"), secret("arch.example")],
    );
    assert_eq!(add_link(store, archive, &policy, &both).unwrap(), 1);
    assert_eq!(
        add_link(store, archive, &policy, &both).unwrap(),
        1,
        "again is the same"
    );

    let seen = load_links(store, archive, &policy, &BTreeSet::from([*sha256])).unwrap();
    let words: Vec<String> = seen.iter().map(ToString::to_string).collect();
    assert_eq!(words.len(), 2, "{words:?}");
    assert!(words[0].contains("`arch.example` got `other-name.deb`") && words[0].contains("not counted"));
    let other = BTreeSet::from([sha("another file")]);
    assert!(load_links(store, archive, &policy, &other).unwrap().is_empty());

    let decision = site.admit(&built).unwrap().decision;
    let r1 = decision.broken().find(|rule| rule.id == "R1").unwrap();
    assert!(r1.evidence.contains("1 of 2 operators"), "{}", r1.evidence);

    // Forged, by somebody unknown, or changed after it was signed.
    let stranger = link(name.as_str(), sha256, &[secret("nobody")]);
    let changed = String::from_utf8(both)
        .unwrap()
        .replace("other-name.deb", "third-name.deb");
    for bad in [stranger, changed.into_bytes(), b"{}".to_vec()] {
        let refused = add_link(store, archive, &policy, &bad).unwrap_err();
        assert!(matches!(refused, GateError::Link { .. }), "{refused}");
        assert_eq!(refused.code(), "E-GATE-122");
    }
    // One that got into the store by other ways says nothing either.
    let planted = link(name.as_str(), sha256, &[secret("nobody")]);
    let document = assay::publish::add_document(store, archive, &planted).unwrap();
    let key = Key::new(format!("state/{archive}/links/{sha256}/{document}")).unwrap();
    assay::store::Store::create(store, &key, b"").unwrap();
    assert_eq!(
        load_links(store, archive, &policy, &BTreeSet::from([*sha256])).unwrap(),
        seen
    );
}
