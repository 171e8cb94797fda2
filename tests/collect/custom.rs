//! A custom archive: what was admitted is proven, however much of it goes.

use assay::collect::{Collection, collect};
use assay::domain::{Digest, Sha256};
use assay::host::Progress;
use assay::site::Keep;
use assay::snapshot::{Chain, Pins};
use assay::store::{Key, Store as _};

use crate::support::repository::{made, now};
use crate::verify::Published;

#[test]
fn what_stays_of_a_custom_archive_is_still_proven() {
    let published = Published::new();
    let site = &published.site;
    // A second snapshot of the same content, as a renewal of old made it.
    let chain = Chain::load(&site.store, &site.archive).unwrap();
    let suites = chain.latest().unwrap().suites.clone();
    let record = chain.next(&site.store, suites, made("again", now())).unwrap();
    assay::publish::commit(&site.store, &record, &site.archive_key).unwrap();
    assay::publish::publish(&site.store, &site.archive, &site.archive_key, "file:///nowhere").unwrap();
    let hold = |bytes: &[u8]| {
        let key = Key::held(&site.archive, &Sha256::of(bytes));
        site.store
            .put_stream(&key, &Digest::of(bytes), &mut &bytes[..])
            .unwrap();
        key
    };
    let (waits, forgotten) = (hold(b"waits"), hold(b"forgotten"));
    let later = now().plus_days(40);
    let run = |waiting: Option<&[u8]>| {
        let (pins, progress) = (Pins::new(), Progress::hidden());
        let what = Collection {
            store: &site.store,
            archive: &site.archive,
            keep: Some(Keep {
                days: None,
                count: Some(1),
            }),
            pins: &pins,
            waiting: waiting.map(|bytes| [Sha256::of(bytes)].into()),
            held_days: 30,
            made: made("gc", later),
            signer: &site.archive_key,
            copies: false,
            dry_run: false,
            at_once: true,
            progress: &progress,
        };
        collect(&what, &mut |_| {}).unwrap()
    };
    let provenance = site.objects("custom/provenance");
    let collected = run(None);
    assert_eq!((collected.editions, collected.kept), (1, 1));
    assert!(
        site.store.head(&forgotten).unwrap().is_some(),
        "what waits is not known"
    );
    run(Some(b"waits"));
    assert!(site.store.head(&waits).unwrap().is_some());
    assert!(site.store.head(&forgotten).unwrap().is_none());
    assert_eq!(site.objects("custom/provenance"), provenance, "evidence stays");
    assert_eq!(published.problems(&published.store()), []);
    let report = published.report(&published.store(), site.gate_key.public(), &published.policy);
    assert!(report.packages > 0, "{report:?}");
}

/// What listed packages were built in stays, wherever their locks are by now: `verify` reads it again.
#[test]
fn what_listed_packages_were_built_in_is_pinned() {
    let published = Published::new();
    let site = &published.site;
    let mut pinned = assay::collect::Pinned::default();
    pinned.built_in(&site.store, &site.archive).unwrap();
    let locked = &site.lock.snapshots[0];
    let pins = pinned.of(&locked.archive);
    assert_eq!(pins.keys().collect::<Vec<_>>(), [&locked.serial]);
    let why = pins[&locked.serial].iter().next().unwrap();
    assert_eq!(why, "packages that custom lists were built in it");
}
