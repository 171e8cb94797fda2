//! What a reader remembers of a store: rolled back, forked, or robbed of a decision it is validly signed, and known
//! only to whoever kept a checkpoint.

use std::fs;
use std::path::Path;

use assay::domain::Coded as _;
use assay::publish::{self, list_decisions};
use assay::snapshot::Chain;
use assay::store::{Key, LocalStore};
use assay::trust::Ed25519Key;
use assay::verify::{Anchors, Checkpoint};

use super::{Published, admit};
use crate::support::repository::{made, now};

fn anchors(published: &Published) -> Anchors {
    published.anchors(published.site.gate_key.public(), &published.policy)
}

fn taken(published: &Published) -> Checkpoint {
    let checkpoint = Checkpoint::of(&published.site.store, &anchors(published), now()).unwrap();
    let bytes = checkpoint.to_bytes(&[], None).unwrap();
    assert_eq!(Checkpoint::parse(&bytes, &[], 0).unwrap(), checkpoint, "as it is kept");
    checkpoint
}

fn broken(checkpoint: &Checkpoint, published: &Published) -> Vec<(String, String)> {
    let store = LocalStore::open(&published.store()).unwrap();
    let problems = checkpoint.broken(&store, &anchors(published)).into_iter();
    problems.map(|problem| (problem.object, problem.why)).collect()
}

fn copy(from: &Path, to: &Path) {
    let copied = std::process::Command::new("cp")
        .args(["--archive", "--no-target-directory"])
        .args([from, to])
        .status();
    assert!(copied.unwrap().success());
}

#[test]
fn a_store_that_went_on_holds_and_one_that_was_rolled_back_or_forked_does_not() {
    let published = Published::new();
    let old = published.site.folder.path().join("old");
    copy(&published.store(), &old);
    let first = taken(&published);
    assert_eq!(broken(&first, &published), []);
    admit(&published.site, "1.1", "second");
    assert_eq!(broken(&first, &published), [], "it went on");
    let second = taken(&published);

    // The whole store as it was: each signature holds, and `verify` alone finds nothing.
    for top in ["custom", "debian", "state"] {
        let path = published.store().join(top);
        if path.exists() {
            fs::remove_dir_all(&path).unwrap();
        }
        if old.join(top).exists() {
            copy(&old.join(top), &path);
        }
    }
    assert_eq!(published.problems(&published.store()), []);
    let said = broken(&second, &published);
    assert_eq!(said[0].0, "state/custom/2.json");
    assert!(
        said[0]
            .1
            .contains("rolled back: there are 1 snapshots, and there were 2"),
        "{said:?}"
    );
    assert!(
        said[1..].iter().all(|(_, why)| why.contains("was dropped")) && said.len() == 2,
        "{said:?}"
    );

    // Another second snapshot by the archive's key.
    published.steal(|_| {});
    let said = broken(&second, &published);
    assert_eq!(said[0].0, "state/custom/2.json");
    assert!(said[0].1.contains("another one"), "{said:?}");
    assert_eq!(broken(&first, &published), [], "the first is where they part");
}

#[test]
fn a_decision_tag_or_mark_that_is_dropped_is_missed() {
    let published = Published::new();
    let (store, archive) = (&published.site.store, &published.site.archive);
    let refused = published
        .site
        .admit(&published.site.build("1.0", "other bytes"))
        .unwrap();
    let refused = refused.decision_sha256.unwrap();
    assert!(list_decisions(store, archive).unwrap().contains(&refused));
    let chain = Chain::load(store, archive).unwrap();
    let record = chain.latest().unwrap();
    let tag = "1.0-rc1".parse().unwrap();
    let tagging = publish::Tagging {
        tag: &tag,
        of: record,
        suites: record.suites.clone(),
        partial: false,
    };
    publish::tag(
        store,
        tagging,
        made("t", now()),
        &published.site.archive_key,
        "file:///nowhere",
    )
    .unwrap();
    let marks = assay::snapshot::Marks::load(store, archive).unwrap();
    let name = assay::snapshot::EditionName::Tag(tag.clone());
    let says = assay::snapshot::Says::Keep { name, until: None };
    publish::commit(
        store,
        &marks.next(archive, says, made("m", now())),
        &published.site.archive_key,
    )
    .unwrap();
    let checkpoint = taken(&published);
    assert_eq!(broken(&checkpoint, &published), []);

    for key in [
        Key::provenance(archive, &refused),
        Key::tag(archive, &tag),
        Key::mark(archive, 1),
    ] {
        let path = published.store().join(key.as_str());
        let bytes = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let said = broken(&checkpoint, &published);
        assert!(said.len() == 1 && said[0].0 == key.as_str(), "{key}: {said:?}");
        fs::write(&path, bytes).unwrap();
    }
    assert_eq!(broken(&checkpoint, &published), []);
}

#[test]
fn a_checkpoint_counts_when_enough_witnesses_signed_it() {
    let published = Published::new();
    let checkpoint = taken(&published);
    let witnesses = [Ed25519Key::generate(), Ed25519Key::generate()];
    let keys = witnesses.each_ref().map(Ed25519Key::public);
    let unsigned = checkpoint.to_bytes(&[], None).unwrap();
    let error = Checkpoint::parse(&unsigned, &keys, 1).unwrap_err();
    assert_eq!(error.code(), "E-VERIFY-001");
    let one = checkpoint.to_bytes(&witnesses[..1], Some(&unsigned)).unwrap();
    assert_eq!(Checkpoint::parse(&one, &keys, 1).unwrap(), checkpoint);
    assert!(Checkpoint::parse(&one, &keys, 2).is_err());
    // Again by the same one is still one; by the other it is two.
    let again = checkpoint.to_bytes(&witnesses[..1], Some(&one)).unwrap();
    assert!(Checkpoint::parse(&again, &keys, 2).is_err());
    let both = checkpoint.to_bytes(&witnesses[1..], Some(&again)).unwrap();
    assert_eq!(Checkpoint::parse(&both, &keys, 2).unwrap(), checkpoint);
    let stranger = checkpoint.to_bytes(&[Ed25519Key::generate()], None).unwrap();
    assert!(Checkpoint::parse(&stranger, &keys, 1).is_err());
    let lie = String::from_utf8(unsigned)
        .unwrap()
        .replace("\"records\":1", "\"records\":1,\"records\":2");
    assert!(
        Checkpoint::parse(lie.as_bytes(), &[], 0).is_err(),
        "a key that stands twice"
    );
}
