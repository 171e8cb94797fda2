//! Renewals and tags, as clients and thieves see them.

use std::collections::BTreeSet;

use assay::domain::{Coded as _, RelPath, Timestamp};
use assay::publish::{
    PublishError, Published, ReleaseSigner, Signed, Tagging, check_vouched, finish, finish_renewal, is_published,
    is_signed_otherwise, load_vouched, publish_tag, renew, tag, vouch_anew,
};
use assay::snapshot::{Chain, Edition, Entry as _, Made, Record, Renewal, TagRecord, commit};
use assay::store::{Key, LocalStore, ObjectStore, Store};
use assay::trust::{ArchiveKey, Keyring, merge_clearsigned, merge_detached};

use super::crash::read_as_client_at;
use crate::support::apt::{Apt, source};
use crate::support::faulty::{Scenario, everything};
use crate::support::repository::{Repository, made, now};
use crate::support::web::Web;

fn renewed(
    store: &dyn Store,
    repository: &Repository,
    record: &Record,
    days: u32,
    at: Timestamp,
) -> Result<Published, PublishError> {
    let chain = Chain::load(store, &repository.archive).unwrap();
    let made = Made {
        valid_days: Some(days),
        ..made("r", at)
    };
    renew(store, &chain, record, false, made, &repository.key, &repository.url)
}

/// What a client sees in a year: these tests look ahead.
fn read_as_client(store: &dyn Store, repository: &Repository, tree: &str) -> Option<Timestamp> {
    read_as_client_at(store, repository, tree, now().plus_days(365))
}

fn release(store: &dyn Store, repository: &Repository, tree: &str) -> String {
    String::from_utf8(
        store
            .get(&repository.dists(&format!("{tree}Release")), 1 << 20)
            .unwrap(),
    )
    .unwrap()
}

#[test]
fn renewing_changes_dates_and_nothing_else() {
    let store = ObjectStore::memory().unwrap();
    let repository = Repository::new("https://example.org");
    let first = repository.commit(&store, "Package: a\n");
    repository.publish(&store);
    let before = release(&store, &repository, "");
    let serial = format!("{}/", first.serial);
    let later = now().plus(5 * 86_400);
    renewed(&store, &repository, &first, 183, later).unwrap();
    for tree in ["", serial.as_str()] {
        assert_eq!(read_as_client(&store, &repository, tree), Some(later), "{tree}");
        let after = release(&store, &repository, tree);
        let changed: BTreeSet<&str> = before
            .lines()
            .zip(after.lines())
            .filter(|(before, after)| before != after)
            .map(|(before, _)| before.split(':').next().unwrap())
            .collect();
        assert_eq!(changed, BTreeSet::from(["Date", "Valid-Until"]), "{after}");
        let until = later.plus_days(183).release_date();
        assert!(after.contains(&format!("Valid-Until: {until}\n")), "{after}");
    }
    let chain = Chain::load(&store, &repository.archive).unwrap();
    assert_eq!(chain.len(), 1, "no new snapshot");
    assert!(is_published(&store, &chain.latest_edition().unwrap()).unwrap());

    // It would run out earlier than it does now.
    let said = renewed(&store, &repository, &first, 10, later).unwrap_err();
    assert_eq!(said.code(), "E-PUBLISH-007");
    // Dates go on, whatever the clock says: of renewals, and of the next snapshot.
    renewed(&store, &repository, &first, 300, now()).unwrap();
    assert_eq!(read_as_client(&store, &repository, ""), Some(later.plus(1)));
    let second = repository.commit(&store, "Package: b\n");
    assert!(second.suites[0].date > later.plus(1));
    repository.publish(&store);

    // An older snapshot is renewed without touching the head.
    renewed(&store, &repository, &first, 400, later.plus_days(1)).unwrap();
    assert_eq!(read_as_client(&store, &repository, &serial), Some(later.plus_days(1)));
    assert_eq!(read_as_client(&store, &repository, ""), Some(second.suites[0].date));
}

#[test]
fn a_renewal_that_was_cut_short_is_finished_by_the_next_publish() {
    let store = ObjectStore::memory().unwrap();
    let repository = Repository::new("https://example.org");
    let record = repository.commit(&store, "Package: a\n");
    repository.publish(&store);
    let later = now().plus_days(6);
    let renewal = Renewal::next(&record, None, 10, "test", "n", later).unwrap();
    assay::publish::commit(&store, &renewal, &repository.key).unwrap();
    let edition = Chain::load(&store, &repository.archive)
        .unwrap()
        .latest_edition()
        .unwrap();
    assert!(!is_published(&store, &edition).unwrap());
    repository.publish(&store);
    assert!(is_published(&store, &edition).unwrap());
    assert_eq!(read_as_client(&store, &repository, ""), Some(later));
    assert_eq!(repository.publish(&store).written, 0);
}

/// Two keys that sign together: one that clients know, and one that takes its turn.
struct Both<'a>([&'a ArchiveKey; 2]);

impl ReleaseSigner for Both<'_> {
    fn sign(&self, text: &[u8], at: Timestamp) -> Result<Signed, PublishError> {
        let clearsigned: Vec<_> = self.0.iter().map(|key| key.clearsign(text, at).unwrap()).collect();
        Ok(Signed {
            inrelease: merge_clearsigned(&clearsigned)?,
            release_gpg: self.detach(text, at)?,
        })
    }
    fn detach(&self, data: &[u8], at: Timestamp) -> Result<Vec<u8>, PublishError> {
        let detached: Vec<_> = self.0.iter().map(|key| key.detach(data, at).unwrap()).collect();
        Ok(merge_detached(&detached)?)
    }
    fn keyring(&self) -> Result<Keyring, PublishError> {
        let certificates = self.0.map(|key| key.certificate_armored().unwrap());
        Ok(Keyring::parse(certificates.concat().as_bytes())?)
    }
}

/// What `assay snapshot renew --all` does.
fn renew_all(
    store: &dyn Store,
    repository: &Repository,
    signer: &dyn ReleaseSigner,
    at: Timestamp,
) -> Result<(), PublishError> {
    let chain = load_vouched(store, &repository.archive, &signer.keyring()?)?;
    for record in chain.records(store) {
        let record = record?;
        let edition = Edition::of_record(&record, Renewal::newest(store, &record)?.as_ref());
        if is_signed_otherwise(store, &record, &edition, signer)? || edition.renewal_due(at) {
            renew(store, &chain, &record, false, made("r", at), signer, &repository.url)?;
        }
        finish_renewal(store, &chain, &record, signer, &repository.url)?;
        if let Some(renewal) = Renewal::newest(store, &record)? {
            vouch_anew(store, &renewal, signer)?;
        }
        vouch_anew(store, &record, signer)?;
    }
    finish(store, &chain, signer, &repository.url).map(drop)
}

#[test]
fn renewing_and_rotating_keys_that_fail_anywhere_are_finished_by_the_next_run() {
    let store = ObjectStore::memory().unwrap();
    let repository = Repository::new("https://example.org");
    let serials = ["Package: a\n", "Package: b\n"].map(|packages| {
        let record = repository.commit(&store, packages);
        repository.publish(&store);
        record.serial.to_string()
    });
    let other = ArchiveKey::generate("Next <next@example.org>", now()).unwrap();
    let both = Both([&repository.key, &other]);
    let later = Repository {
        archive: repository.archive.clone(),
        suite: repository.suite.clone(),
        key: ArchiveKey::parse(other.secret_armored().unwrap().as_bytes()).unwrap(),
        ..Repository::new("https://example.org")
    };
    for (name, signer, at) in [
        ("renew", &repository.key as &dyn ReleaseSigner, now().plus_days(6)),
        ("rotate", &both, now().plus_days(1)),
    ] {
        let scenario = Scenario {
            name,
            before: &everything(&store),
            one_of: 3,
            work: &|store| renew_all(store.as_ref(), &repository, signer, at).map_err(|error| error.to_string()),
            read: &|store| {
                let places = [String::new(), format!("{}/", serials[0]), format!("{}/", serials[1])];
                let is_renewed = |place: String| {
                    let date = read_as_client(store, &repository, &place).unwrap();
                    // Clients that know one of the keys only.
                    if date >= at && name == "rotate" {
                        assert_eq!(read_as_client(store, &later, &place), Some(date));
                    }
                    date >= at
                };
                places.map(is_renewed).into()
            },
            same: &|mut all| {
                // Cut short before its record is signed anew, a snapshot is renewed twice: a second later.
                all.retain(|name_of, _| {
                    name == "renew" || !name_of.contains("/dists/") && !name_of.starts_with("state/")
                });
                all.retain(|name_of, _| name == "renew" || !name_of.contains("/project/"));
                all
            },
        };
        scenario.survives();
    }
}

/// Whoever can write to the store could make an old snapshot look new.
#[test]
fn what_our_key_does_not_vouch_for_is_not_published() {
    let store = ObjectStore::memory().unwrap();
    let repository = Repository::new("https://example.org");
    let record = repository.commit(&store, "Package: a\n");
    repository.publish(&store);
    let renewal = Renewal::next(&record, None, 3650, "a thief", "n", now().plus_days(1)).unwrap();
    commit(&store, &renewal).unwrap();
    let said = assay::publish::publish(&store, &repository.archive, &repository.key, &repository.url).unwrap_err();
    assert_eq!(said.code(), "E-PUBLISH-006");
    assert!(said.to_string().contains("renewals/1/1.json"), "{said}");
    store.delete(&renewal.key()).unwrap();

    let name = "5.15.1".parse().unwrap();
    let tagging = Tagging {
        tag: &name,
        of: &record,
        suites: record.suites.clone(),
        partial: false,
    };
    tag(&store, tagging, made("t", now()), &repository.key, &repository.url).unwrap();
    let mut planted = TagRecord::load(&store, &repository.archive, &name).unwrap();
    planted.tag = "5.15.2".parse().unwrap();
    commit(&store, &planted).unwrap();
    let keyring = assay::trust::Keyring::parse(repository.key.certificate_armored().unwrap().as_bytes()).unwrap();
    assert!(check_vouched(&store, &planted, &keyring).is_err());
    let said = publish_tag(
        &store,
        &repository.archive,
        &planted.tag,
        &repository.key,
        &repository.url,
    )
    .unwrap_err();
    assert_eq!(said.code(), "E-PUBLISH-006");
}

#[test]
fn apt_stays_at_a_tag_that_never_expires() {
    let folder = tempfile::tempdir().unwrap();
    let store = LocalStore::open(&folder.path().join("store")).unwrap();
    let web = Web::serve(&folder.path().join("store"));
    let repository = Repository::new(&web.url);
    let certificate = folder.path().join("key.asc");
    repository.write_certificate(&certificate);
    let old = repository.add_hello(&store, "1.0");
    let first = repository.commit(&store, &old);
    repository.publish(&store);
    let name = "5.15.1".parse().unwrap();
    let make = |of: &Record, nonce: &str| {
        let tagging = Tagging {
            tag: &name,
            of,
            suites: of.suites.clone(),
            partial: false,
        };
        let made = made(nonce, now());
        tag(&store, tagging, made, &repository.key, &repository.url)
    };
    assert!(make(&first, "1").unwrap().1, "new");
    let again = make(&first, "2").unwrap();
    assert!(!again.1 && again.0.written == 0, "{again:?}");

    let second = repository.commit(&store, &repository.add_hello(&store, "2.0"));
    repository.publish(&store);
    assert_eq!(make(&second, "3").unwrap_err().code(), "E-PUBLISH-008");
    let base = format!("{}/custom", web.url);
    let client = Apt::new(&source(&base, "trixie/5.15.1", &certificate));
    client.update();
    assert_eq!(client.versions("hello"), ["1.0"]);
    assert!(!release(&store, &repository, "5.15.1/").contains("Valid-Until"));
    let edition = Edition::of_tag(&TagRecord::load(&store, &repository.archive, &name).unwrap());
    assert_eq!(edition.valid_until(), None);
}

#[test]
fn a_tag_does_not_lie_over_an_index() {
    let store = ObjectStore::memory().unwrap();
    let repository = Repository::new("https://example.org");
    let mut suites = repository.commit(&store, "Package: a\n").suites;
    for index in &mut suites[0].indexes {
        index.path = RelPath::new(index.path.as_str().replacen("main/", "extra/", 1)).unwrap();
    }
    let name = "extra".parse().unwrap();
    let chain = Chain::load(&store, &repository.archive).unwrap();
    let signed = chain.next(&store, suites, made("2", now())).unwrap();
    assay::publish::commit(&store, &signed, &repository.key).unwrap();
    let tagging = Tagging {
        tag: &name,
        of: &signed,
        suites: signed.suites.clone(),
        partial: true,
    };
    let said = tag(&store, tagging, made("t", now()), &repository.key, &repository.url).unwrap_err();
    assert_eq!(said.code(), "E-SNAPSHOT-010", "{said}");
    assert!(store.head(&Key::tag(&repository.archive, &name)).unwrap().is_none());
}
