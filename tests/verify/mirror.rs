//! `verify` on a mirror: everything is what upstream signed.

use assay::domain::Timestamp;
use assay::host::Progress;
use assay::trust::{Ed25519Key, Keyring};
use assay::verify::{Anchor, AnchorKind, Anchors, verify};

use crate::support::archive::{Archive, Mirror, key, noon};
use crate::support::http::Upstream;

/// What a verifier finds in a mirror's store: objects and codes.
fn problems(mirror: &Mirror, now: Timestamp) -> Vec<(String, &'static str)> {
    let certificate = mirror.ours.certificate_armored().unwrap();
    let anchor = Anchor {
        name: mirror.name.clone(),
        keyring: Keyring::parse(certificate.as_bytes()).unwrap(),
        kind: AnchorKind::Mirror {
            config: Box::new(mirror.config.clone()),
            upstream: mirror.keyring.clone(),
            threshold: 1,
        },
    };
    let anchors = Anchors {
        archives: vec![anchor],
        imports: None,
        gate: Ed25519Key::generate().public(),
    };
    let report = verify(mirror.store.as_ref(), &anchors, now, &Progress::hidden()).unwrap();
    let problems = report.problems.into_iter();
    problems.map(|problem| (problem.object, problem.code)).collect()
}

#[test]
fn a_snapshot_that_names_nothing_signed_by_upstream_is_named() {
    let signer = key("upstream");
    let upstream = Upstream::start();
    upstream.set(Archive::new(noon().plus(-3600)).files(&signer));
    let mirror = Mirror::of(&signer);
    let good = mirror.accept(&upstream.url(), noon());
    assert_eq!(problems(&mirror, noon()), []);

    // What a thief of our own key could publish as Debian's: the record is signed, the hashes agree.
    let mut suites = good.suites;
    suites[0].upstream = None;
    let later = noon().plus(60);
    mirror.publish(suites, later);
    assert_eq!(
        problems(&mirror, later),
        [("state/foundry/2.json".to_owned(), "V-UPSTREAM")]
    );
}

/// Whoever has our key alone gives a mirror no other name, and no suite what upstream signed for another.
#[test]
fn a_mirror_has_upstreams_names_and_each_suite_its_own_release() {
    let signer = key("upstream");
    let upstream = Upstream::start();
    upstream.set(Archive::new(noon().plus(-3600)).files(&signer));
    let mirror = Mirror::of(&signer);
    let good = mirror.accept(&upstream.url(), noon());
    let mut suites = good.suites.clone();
    for (name, value) in &mut suites[0].fields {
        if name == "Label" {
            "Foundry-Security".clone_into(value);
        }
    }
    let later = noon().plus(60);
    mirror.publish(suites, later);
    let label = problems(&mirror, later);
    assert!(label.contains(&("tin".to_owned(), "V-UPSTREAM")), "{label:?}");
    assert!(
        label.contains(&("state/foundry/2.json".to_owned(), "V-RELEASE")),
        "{label:?}"
    );
}

/// Nobody who has our key alone serves upstream's state of last week as today's.
#[test]
fn an_upstream_state_that_is_older_than_the_one_before_is_named() {
    let signer = key("upstream");
    let upstream = Upstream::start();
    upstream.set(Archive::new(noon().plus(-7200)).files(&signer));
    let mirror = Mirror::of(&signer);
    let old = mirror.accept(&upstream.url(), noon());
    upstream.set(Archive::new(noon().plus(-3600)).files(&signer));
    mirror.accept(&upstream.url(), noon().plus(60));
    let later = noon().plus(120);
    assert_eq!(problems(&mirror, later), []);
    mirror.publish(old.suites, later);
    assert_eq!(
        problems(&mirror, later),
        [("state/foundry/3.json".to_owned(), "V-UPSTREAM")]
    );
}
