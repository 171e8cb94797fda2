//! `why` of a package that several archives have: each is proven by what it stands on, a custom one under the policy
//! that its decision names and no other.

use assay::domain::{PolicyName, SuiteName};
use assay::site::CustomSuite;
use assay::verify::{AnchorKind, Anchors, Chain, Proof, Subject, find, why};

use super::Published;
use crate::support::repository::now;

/// The site has a second policy, for a suite of its own, which three operators would have to meet.
fn with_another(published: &Published, strict: &str) -> Anchors {
    let mut anchors = published.anchors(published.site.gate_key.public(), &published.policy);
    if let AnchorKind::Custom { config, policies } = &mut anchors.archives[0].kind {
        let mut policy = published.policy.clone();
        policy.quorum = 3;
        let strict: PolicyName = strict.parse().unwrap();
        config.suites.push(CustomSuite {
            name: SuiteName::new("testing").unwrap(),
            policy: strict.clone(),
            ..config.suites[0].clone()
        });
        policies.insert(strict, policy);
    }
    anchors
}

fn chains(published: &Published, anchors: &Anchors) -> Vec<Chain> {
    let store = &published.site.store;
    let found = find(store, anchors, &Subject::Package("hello".parse().unwrap())).found;
    found
        .iter()
        .map(|found| why(store, anchors, found, None, now()))
        .collect()
}

fn hops<'c>(chain: &'c Chain, name: &str) -> Vec<(&'c str, Proof)> {
    let hops = chain.hops.iter().filter(|hop| hop.hop == name);
    hops.map(|hop| (hop.evidence.as_str(), hop.proof)).collect()
}

#[test]
fn why_answers_for_each_archive_under_the_policy_that_let_it_in() {
    let published = Published::new();
    published.site.debian.publish(&published.site.store);
    // Before and behind `default` in order: neither is taken in its place.
    for strict in ["a-strict", "strict"] {
        let chains = chains(&published, &with_another(&published, strict));
        let archives: Vec<&str> = chains.iter().map(|chain| chain.archive.as_str()).collect();
        assert_eq!(archives, ["custom", "debian"]);
        let (custom, debian) = (&chains[0], &chains[1]);
        assert!(
            hops(custom, "decision")[0].0.contains("under policy default"),
            "{custom:#?}"
        );
        let rebuilds = hops(custom, "rebuild");
        assert!(
            rebuilds.len() == 2 && rebuilds.iter().all(|(_, proof)| *proof == Proof::Proven),
            "{custom:#?}"
        );
        assert!(hops(custom, "upstream").is_empty() && hops(debian, "decision").is_empty());
        assert_eq!(hops(debian, "upstream")[0].1, Proof::Proven, "{debian:#?}");
        assert_eq!(debian.version, "0.9-1");
    }
    // The policy by that very name, as it is today, decides.
    let chains = chains(&published, &with_another(&published, "default"));
    let rebuilds = hops(&chains[0], "rebuild");
    assert!(
        matches!(rebuilds[..], [(why, Proof::Refuted)] if why.contains("only 2 of 3 operators")),
        "{rebuilds:?}"
    );
}
