//! Every operation of a collection fails once, before or after it took effect; then it runs again.

use assay::collect::{CollectError, Collected, Collection, Finding, collect};
use assay::domain::{Digest, PoolPath, Timestamp};
use assay::host::Progress;
use assay::site::Keep;
use assay::snapshot::{Chain, EditionName, Marks, Pins, SnapshotError};
use assay::store::{Key, Store};
use assay::trust::{Ed25519Key, Keyring};
use assay::verify::{Anchor, AnchorKind, Anchors, verify};

use crate::support::archive::{Archive, Mirror, key, noon};
use crate::support::faulty::{Scenario, everything, restored};
use crate::support::http::Upstream;
use crate::support::repository::made;

/// A mirror with three snapshots of three days, and all their pool files.
fn mirrored() -> (Mirror, [String; 3]) {
    let (upstream, signer) = (Upstream::start(), key("upstream"));
    let mirror = Mirror::of(&signer);
    let day = |n: u32| {
        let mut archive = Archive::new(noon().plus_days(n));
        let path = format!("pool/main/a/alloy/alloy_{n}_amd64.deb");
        archive.pool = [
            (path, format!("alloy {n}").into_bytes()),
            ("pool/main/b/brass/brass_1_amd64.deb".into(), b"brass".to_vec()),
        ]
        .into();
        for (path, bytes) in &archive.pool {
            let key = Key::pool(&mirror.name, &PoolPath::new(path.as_str()).unwrap());
            mirror
                .store
                .put_stream(&key, &Digest::of(bytes), &mut &bytes[..])
                .unwrap();
        }
        upstream.set(archive.files(&signer));
        mirror.accept(&upstream.url(), archive.date.plus(60)).serial.to_string()
    };
    let serials = [day(0), day(1), day(2)];
    (mirror, serials)
}

fn now() -> Timestamp {
    noon().plus_days(3)
}

fn run(mirror: &Mirror, store: &dyn Store, dry_run: bool) -> Result<(Collected, Vec<Finding>), CollectError> {
    let (pins, progress) = (Pins::new(), Progress::hidden());
    let what = Collection {
        store,
        archive: &mirror.name,
        keep: Some(Keep {
            days: None,
            count: Some(1),
        }),
        pins: &pins,
        waiting: None,
        held_days: 30,
        made: made("gc", now()),
        signer: &mirror.ours,
        copies: true,
        dry_run,
        at_once: true,
        progress: &progress,
    };
    let mut findings = Vec::new();
    let collected = collect(&what, &mut |finding| findings.push(finding))?;
    Ok((collected, findings))
}

fn problems(mirror: &Mirror, store: &dyn Store) -> Vec<String> {
    let anchors = Anchors {
        archives: vec![Anchor {
            public_url: None,
            name: mirror.name.clone(),
            keyring: Keyring::parse(mirror.ours.certificate_armored().unwrap().as_bytes()).unwrap(),
            kind: AnchorKind::Mirror {
                config: Box::new(mirror.config.clone()),
                upstream: mirror.keyring.clone(),
                threshold: 1,
            },
        }],
        imports: None,
        gate: Ed25519Key::generate().public(),
    };
    let report = verify(store, &anchors, now(), &Progress::hidden()).unwrap();
    report.problems.iter().map(|problem| format!("{problem:?}")).collect()
}

#[test]
fn a_collection_that_fails_anywhere_leaves_a_whole_store_and_the_next_finishes() {
    let (mirror, serials) = mirrored();
    let before = everything(mirror.store.as_ref());
    assert_eq!(problems(&mirror, mirror.store.as_ref()), Vec::<String>::new());
    let undisturbed = restored(&before);
    let (collected, _) = run(&mirror, &undisturbed, false).unwrap();
    assert_eq!((collected.editions, collected.kept), (2, 1));
    assert_eq!(problems(&mirror, &undisturbed), Vec::<String>::new());
    let undisturbed = everything(&undisturbed);
    let left = |part: &str| undisturbed.keys().filter(|name| name.contains(part)).count();
    assert_eq!(left("/pool/"), 2, "what the newest names");
    for serial in &serials[..2] {
        assert_eq!(left(serial), 0);
        assert!(before.keys().any(|name| name.contains(serial.as_str())));
    }
    assert_eq!(
        left("state/foundry/3.json") + left("state/foundry/1.json"),
        2,
        "records stay"
    );

    let scenario = Scenario {
        name: "gc",
        before: &before,
        one_of: 1,
        work: &|store| {
            run(&mirror, store.as_ref(), false)
                .map(drop)
                .map_err(|error| error.to_string())
        },
        read: &|store| problems(&mirror, store),
        same: &|all| all,
    };
    scenario.survives();
}

#[test]
fn a_dry_run_says_the_same_and_touches_nothing() {
    let (mirror, serials) = mirrored();
    let before = everything(mirror.store.as_ref());
    let store = restored(&before);
    let (would, findings) = run(&mirror, &store, true).unwrap();
    assert_eq!(everything(&store), before);
    let (did, same) = run(&mirror, &store, false).unwrap();
    assert_eq!((would, &findings), (did, &same));
    let of = |kind: &str, goes: bool| -> Vec<&str> {
        let found = findings.iter().filter(|f| f.kind == kind && f.goes == goes);
        found.map(|f| f.name.as_str()).collect()
    };
    assert_eq!(of("edition", true), [serials[0].as_str(), serials[1].as_str()]);
    assert_eq!(of("edition", false), [serials[2].as_str()]);
    let pool = |name: &str| format!("foundry/pool/main/{name}_amd64.deb");
    assert_eq!(of("pool", true), [pool("a/alloy/alloy_0"), pool("a/alloy/alloy_1")]);
    assert_eq!(of("pool", false), [pool("a/alloy/alloy_2"), pool("b/brass/brass_1")]);
    assert_eq!(of("indexes", true), ["tin"]);
    assert!(would.bytes > 0 && would.objects > 10, "{would:?}");
    let (again, _) = run(&mirror, &store, false).unwrap();
    assert_eq!((again.editions, again.objects), (0, 0));
}

/// A flipped byte in a kept index could take the name of a pool file away.
#[test]
fn nothing_goes_while_an_index_that_stays_is_damaged() {
    let (mirror, _) = mirrored();
    let mut objects = everything(mirror.store.as_ref());
    let chain = Chain::load(mirror.store.as_ref(), &mirror.name).unwrap();
    let latest = chain.latest().unwrap();
    let index = assay::snapshot::package_indexes(&latest.suites[0])["main/binary-amd64/Packages"];
    let name = assay::snapshot::index_key(&mirror.name, &latest.suites[0].suite, index).to_string();
    let bytes = objects.get_mut(&name).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let store = restored(&objects);
    let said = run(&mirror, &store, false).unwrap_err().to_string();
    assert!(said.contains(&name), "{said}");
    assert_eq!(everything(&store), objects);
}

/// Somebody keeps a snapshot just before it would be marked as gone.
#[test]
fn who_keeps_in_time_keeps() {
    let (mirror, serials) = mirrored();
    let store = restored(&everything(mirror.store.as_ref()));
    let name = EditionName::try_from(serials[0].clone()).unwrap();
    let says = assay::snapshot::Says::Keep {
        name: name.clone(),
        until: None,
    };
    assay::collect::mark(&store, &mirror.name, &name, &says, made("keep", now()), &mirror.ours).unwrap();
    let (collected, _) = run(&mirror, &store, false).unwrap();
    assert_eq!((collected.editions, collected.kept), (1, 2));
    let gone = EditionName::try_from(serials[1].clone()).unwrap();
    let says = assay::snapshot::Says::Keep {
        name: gone.clone(),
        until: None,
    };
    let said = assay::collect::mark(&store, &mirror.name, &gone, &says, made("late", now()), &mirror.ours).unwrap_err();
    assert!(
        matches!(said, CollectError::Snapshot(SnapshotError::LetGo { .. })),
        "{said}"
    );
    let chain = Chain::load(&store, &mirror.name).unwrap();
    let resolve = |name: &str| chain.resolve(&store, &name.parse().unwrap());
    assert!(resolve(&serials[0]).is_ok());
    assert!(matches!(resolve(&serials[1]), Err(SnapshotError::LetGo { .. })));
    // An instant that meant it does not come to mean another state.
    assert!(matches!(resolve("20261123T180000Z"), Err(SnapshotError::LetGo { .. })));
    assert_eq!(problems(&mirror, &store), Vec::<String>::new());
}

/// Whoever can write to the store cannot hide what he removed.
#[test]
fn a_planted_mark_lets_nothing_go() {
    let (mirror, serials) = mirrored();
    let store = restored(&everything(mirror.store.as_ref()));
    let names = vec![EditionName::try_from(serials[0].clone()).unwrap()];
    let mark = Marks::default().next(
        &mirror.name,
        assay::snapshot::Says::Gone { names },
        made("thief", now()),
    );
    assay::snapshot::commit(&store, &mark).unwrap();
    let said = run(&mirror, &store, false).unwrap_err().to_string();
    assert!(said.contains("marks/1.json"), "{said}");
    let found = problems(&mirror, &store);
    assert!(
        found.iter().any(|problem| problem.contains("marks/1.json")),
        "{found:?}"
    );
}

/// A lazy pool looks through older snapshots for a file; those that are gone have no indexes any more.
#[test]
fn pull_through_passes_over_what_is_gone() {
    let (mirror, serials) = mirrored();
    let find = |name: &str| {
        let client = assay::upstream::Client::new("http://127.0.0.1:1/", Mirror::limits()).unwrap();
        let pool = assay::upstream::PullThrough::new(mirror.name.clone(), mirror.store.clone(), Some(client.into()));
        pool.find(&PoolPath::new(format!("pool/main/a/alloy/{name}")).unwrap())
            .unwrap()
    };
    assert!(find("alloy_0_amd64.deb").is_some());
    let name = EditionName::try_from(serials[1].clone()).unwrap();
    let says = assay::snapshot::Says::Keep {
        name: name.clone(),
        until: None,
    };
    assay::collect::mark(
        mirror.store.as_ref(),
        &mirror.name,
        &name,
        &says,
        made("keep", now()),
        &mirror.ours,
    )
    .unwrap();
    run(&mirror, mirror.store.as_ref(), false).unwrap();
    assert!(find("alloy_1_amd64.deb").is_some());
    assert_eq!(find("alloy_0_amd64.deb"), None);
    assert_eq!(find("alloy_9_amd64.deb"), None);
}
