//! Each operation on the store fails once while suites follow branches and packages move between them: who reads sees
//! the suite before or after, whole, and the next run finishes.

use std::collections::BTreeMap;

use assay::domain::Timestamp;
use assay::publish::{Gate, GateError, Move, Target, moves, sync};
use assay::store::Store;
use assay::trust::ArchiveKey;

use super::crash::{Faulty, Mode, everything, read_suite, restored};
use super::suites::{admit, refs, sources_in, suite, target, with_classes};
use crate::admission::site::Site;
use crate::support::repository::{Repository, now};

/// Indexes by the suite's name, path and hash: what a client has of a store; a suite that is not there has none.
type Seen = BTreeMap<String, Vec<(String, String)>>;

fn seen(store: &dyn Store, site: &Site, suites: &[&str]) -> Seen {
    let key = site.archive_key.secret_armored().unwrap();
    let mut repository = Repository {
        archive: site.archive.clone(),
        suite: suite("stable"),
        key: ArchiveKey::parse(key.as_bytes()).unwrap(),
        ..Repository::new("file:///nowhere")
    };
    let mut seen = Seen::new();
    for name in suites {
        repository.suite = suite(name);
        let release = read_suite(store, &repository, "", now().plus(7200));
        let entries = release.iter().flat_map(|release| release.entries());
        let packages = entries.filter(|(path, _)| path.as_str().contains("/binary-"));
        let packages = packages.map(|(path, listed)| (path.to_string(), listed.digest.sha256.to_string()));
        seen.insert((*name).to_owned(), packages.collect());
    }
    seen
}

fn gate<'a>(site: &'a Site, store: &'a dyn Store) -> Gate<'a> {
    Gate { store, ..site.gate() }
}

/// What happens to the suites `names`, with every operation failing once, or each so many-th.
fn survives(site: &Site, names: &[&str], each: usize, work: &dyn Fn(&Gate<'_>) -> Result<(), GateError>) {
    let before = everything(&site.store);
    let old = seen(&restored(&before), site, names);
    let undisturbed = restored(&before);
    work(&gate(site, &undisturbed)).unwrap();
    let new = seen(&undisturbed, site, names);
    assert_ne!(old, new);
    let held = |store: &dyn Store| -> Vec<_> { names.iter().map(|name| sources_in(store, site, name)).collect() };
    let wanted = held(&undisturbed);
    let mut last = BTreeMap::new();
    for fails_at in (0..).step_by(each) {
        let store = restored(&before);
        let faulty = Faulty::new(&store, fails_at, Mode::Before);
        let outcome = work(&gate(site, &faulty));
        // What only read since the run before failed has left the same. Records have something random in them.
        let mut left = everything(&store);
        for (_, bytes) in left.iter_mut().filter(|(key, _)| key.starts_with("state/")) {
            bytes.clear();
        }
        if outcome.is_err() && left == last {
            continue;
        }
        last = left;
        let read = seen(&store, site, names);
        for (name, indexes) in &read {
            assert!(*indexes == old[name] || *indexes == new[name], "{fails_at} {name}");
        }
        work(&gate(site, &store)).unwrap();
        assert_eq!(seen(&store, site, names), new, "{fails_at}");
        assert_eq!(held(&store), wanted, "{fails_at}");
        if outcome.is_ok() {
            assert!(fails_at > 20, "it only had {fails_at} operations to fail at");
            let done = everything(&store);
            work(&gate(site, &store)).unwrap();
            assert_eq!(everything(&store), done, "again: nothing to do");
            return;
        }
    }
}

fn shift(how: Move, from: &str, target: &Target, at: Timestamp) -> impl Fn(&Gate<'_>) -> Result<(), GateError> {
    move |gate| {
        let moves = moves(gate, how, &suite(from), target.clone())?;
        let admissions = moves.carry_out(gate, at)?;
        let broken = admissions.iter().flat_map(|admission| admission.decision.broken());
        assert_eq!(broken.map(|rule| rule.id.clone()).collect::<Vec<_>>(), [""; 0]);
        Ok(())
    }
}

#[test]
fn sync_merge_and_reset_that_fail_anywhere_are_finished_by_the_next_run() {
    let mut site = Site::new();
    with_classes(&mut site.config);
    let synced = |gate: &Gate<'_>| sync(&gate.writer(), &refs(&["refs/heads/feature/foo"]), now()).map(|_| ());
    assay::publish::make_declared(&site.gate().writer(), now()).unwrap();
    assay::publish::publish(&site.store, &site.archive, &site.archive_key, "file:///nowhere").unwrap();
    survives(&site, &["stable", "feature-foo"], 1, &synced);

    synced(&site.gate()).unwrap();
    let first = admit(&site, "1.0", "first", "feature-foo");
    let into = target(&first, "stable", &[]);
    survives(
        &site,
        &["stable", "feature-foo"],
        5,
        &shift(Move::Merge, "feature-foo", &into, now()),
    );

    let second = admit(&site, "1.1", "second", "stable");
    let back = target(&second, "stable", &[("V3", "1.1 does not start")]);
    survives(
        &site,
        &["stable", "feature-foo"],
        7,
        &shift(Move::Reset, "feature-foo", &back, now()),
    );
}
