//! Each operation on the store goes wrong while suites are made, follow branches, and packages come, leave and move between
//! them: who reads sees the suite before or after, whole, and the next run finishes.

use std::cell::RefCell;

use assay::domain::Timestamp;
use assay::host::Clock;
use assay::publish::{Gate, GateError, Move, Target, admit, make_declared, moves, publish, remove, sync};
use assay::store::Store;
use assay::trust::ArchiveKey;

use super::crash::read_suite;
use super::suites::{admit as admitted, refs, suite, target, with_classes};
use crate::admission::site::Site;
use crate::support::faulty::{Objects, Scenario, everything};
use crate::support::repository::{Repository, now};

/// Indexes by path and hash: what a client has of a suite; of one that is not there, none.
type Seen = Vec<(String, String)>;

fn seen(store: &dyn Store, clients: &mut Repository, suites: &[&str]) -> Vec<Seen> {
    let read = |name: &&str| {
        clients.suite = suite(name);
        let release = read_suite(store, clients, "", now().plus(7200));
        let entries = release.iter().flat_map(|release| release.entries());
        let packages = entries.filter(|(path, _)| path.as_str().contains("/binary-"));
        let packages = packages.map(|(path, listed)| (path.to_string(), listed.digest.sha256.to_string()));
        packages.collect()
    };
    suites.iter().map(read).collect()
}

fn gate<'a>(site: &'a Site, store: &'a dyn Store) -> Gate<'a> {
    Gate { store, ..site.gate() }
}

/// All but what has a nonce in it, or an instant: records, whose effect is all the rest; and notes of decisions on which
/// nothing came to rest.
pub(super) fn nothing_random(mut all: Objects) -> Objects {
    all.retain(|name, _| !name.starts_with("state/") && !name.contains("/provenance/"));
    all
}

/// What happens to the suites `names`, wherever it is cut short.
fn survives(site: &Site, name: &str, one_of: usize, names: &[&str], work: &dyn Fn(&Gate<'_>) -> Result<(), GateError>) {
    let key = site.archive_key.secret_armored().unwrap();
    let clients = RefCell::new(Repository {
        archive: site.archive.clone(),
        key: ArchiveKey::parse(key.as_bytes()).unwrap(),
        ..Repository::new("file:///nowhere")
    });
    let scenario = Scenario {
        name,
        before: &everything(&site.store),
        one_of,
        work: &|store| work(&gate(site, store.as_ref())).map_err(|error| error.to_string()),
        read: &|store| seen(store, &mut clients.borrow_mut(), names),
        same: &|mut all| {
            // What moves is decided anew by each run, and the suite says by which decision it has what it has.
            all.retain(|key, _| !["merge", "reset"].contains(&name) || !key.starts_with("custom/"));
            nothing_random(all)
        },
    };
    scenario.survives();
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

/// An archive with its suites, empty.
fn made() -> Site {
    let mut site = Site::new();
    with_classes(&mut site.config);
    declared(&site.gate()).unwrap();
    site
}

fn declared(gate: &Gate<'_>) -> Result<(), GateError> {
    let Clock::Fixed(at) = gate.clock else {
        panic!("it stands still")
    };
    make_declared(&gate.writer(), at)?;
    publish(gate.store, gate.archive, gate.signer, "file:///nowhere")?;
    Ok(())
}

#[test]
fn the_first_publication_that_fails_anywhere_is_finished_by_the_next_run() {
    survives(&Site::new(), "init", 3, &["stable"], &declared);
}

#[test]
fn admitting_that_fails_anywhere_is_finished_by_the_next_run() {
    let site = made();
    let built = site.build("1.0", "first");
    let (candidate, evidence) = site.prepare(&built);
    let at = now();
    survives(&site, "admit", 3, &["stable"], &|gate| {
        let admission = admit(gate, &built.scenario.policy, &candidate, &evidence, at)?;
        assert!(admission.decision.admitted);
        Ok(())
    });
}

#[test]
fn removing_that_fails_anywhere_is_finished_by_the_next_run() {
    let site = made();
    assert!(site.admit(&site.build("1.0", "first")).unwrap().decision.admitted);
    let (hello, at) = ("hello".parse().unwrap(), now().plus(60));
    survives(&site, "remove", 3, &["stable"], &|gate| {
        remove(&gate.writer(), &suite("stable"), &hello, "it eats data", at).map(drop)
    });
}

#[test]
fn sync_merge_and_reset_that_fail_anywhere_are_finished_by_the_next_run() {
    let site = made();
    let both = ["stable", "feature-foo"];
    let at = now();
    let synced = |gate: &Gate<'_>| sync(&gate.writer(), &refs(&["refs/heads/feature/foo"]), at).map(|_| ());
    survives(&site, "sync", 14, &both, &synced);

    synced(&site.gate()).unwrap();
    let first = admitted(&site, "1.0", "first", "feature-foo");
    let into = target(&first, "stable", &[]);
    survives(
        &site,
        "merge",
        28,
        &both,
        &shift(Move::Merge, "feature-foo", &into, now()),
    );

    let second = admitted(&site, "1.1", "second", "stable");
    let back = target(&second, "stable", &[("V3", "1.1 does not start")]);
    survives(
        &site,
        "reset",
        28,
        &both,
        &shift(Move::Reset, "feature-foo", &back, now()),
    );
}
