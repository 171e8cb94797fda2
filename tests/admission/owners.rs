//! Whose a name is, also where the lock that a candidate brings does not look.

use super::site::Site;
use crate::support::repository::Repository;

fn stanza(package: &str, source: &str, version: &str) -> String {
    format!(
        "Package: {package}\nSource: {source}\nVersion: {version}\nArchitecture: amd64\nMaintainer: T <t@example.org>\n\
         Filename: pool/main/{package}.deb\nSize: 1000\nSHA256: {:064}\n\n",
        7
    )
}

fn mirrored(site: &Site, archive: &str, packages: &str) {
    let mut repository = Repository::new("file:///nowhere");
    repository.archive = archive.parse().unwrap();
    repository.commit(&site.store, packages);
}

#[test]
fn a_name_of_a_mirror_that_no_lock_names_is_taken_by_nobody() {
    let site = Site::new();
    mirrored(&site, "debian-security", &stanza("hello", "greetings-22", "9.0"));
    let decision = site.admit(&site.build("1.0", "first")).unwrap().decision;
    let a8 = decision.broken().find(|rule| rule.id == "A8").expect("A8 refuses");
    assert!(
        a8.evidence
            .contains("hello is a package of `debian-security`, from the source greetings-22"),
        "{}",
        a8.evidence
    );
}

#[test]
fn a_name_that_a_mirror_gave_away_since_the_lock_is_taken_by_nobody() {
    let site = Site::new();
    let taken = stanza("hello", "greetings-22", "0.1");
    site.debian.commit(&site.store, &taken);
    let decision = site.admit(&site.build("1.0", "first")).unwrap().decision;
    assert!(decision.broken().any(|rule| rule.id == "A8"), "{decision:?}");
}

#[test]
fn a_mirror_that_went_on_keeps_no_frozen_release_from_its_own_versions() {
    let site = Site::new();
    site.debian.commit(&site.store, &stanza("hello", "hello", "2.0"));
    mirrored(&site, "debian-security", &stanza("hello", "hello", "2.0"));
    let admission = site.admit(&site.build("1.0", "first")).unwrap();
    assert!(
        admission.decision.admitted,
        "{}",
        assay::admission::explain(&admission.decision)
    );
}
