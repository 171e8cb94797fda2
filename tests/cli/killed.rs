//! Real runs that are killed with SIGKILL; the next ones finish, and leave nothing over.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use super::made::files;
use super::small::{Small, kill, said, until};
use super::snapshots::archive;
use super::text;
use crate::support::archive::noon;
use crate::support::http::Trick;
use crate::support::mirrored::Mirrored;

const NONE: [PathBuf; 0] = [];

#[test]
fn what_a_killed_rebuild_left_goes_with_the_next_run_and_what_a_live_one_has_stays() {
    let small = Small::new();
    let building = |not: &[PathBuf]| {
        let mut builds = small.builds();
        builds.retain(|folder| !not.contains(folder));
        builds.into_iter().any(|folder| Small::is_building(&folder))
    };
    let mut dead = small.start(&["rebuild", "tiny", "--builder", "alice/laptop"]);
    until(&mut dead, || building(&[]));
    kill(dead);
    let left = small.builds();
    assert!(!left.is_empty(), "it was killed at work");

    let mut alive = small.start(&["rebuild", "tiny", "--builder", "alice/laptop"]);
    until(&mut alive, || building(&left));
    let there = small.builds();
    assert!(left.iter().all(|folder| !there.contains(folder)), "swept: {left:?}");
    // A third one looks meanwhile. Its owner lives: if what it builds in were swept, it could not end.
    small.prints(&["rebuild", "tiny", "--plan"]);
    let built = alive.wait_with_output().unwrap();
    assert!(
        built.status.success() && text(&built.stdout).contains(" built "),
        "{}",
        said(&built)
    );
    assert_eq!(small.builds(), NONE);
}

#[test]
fn prepare_that_is_killed_goes_on_and_does_all_of_it_once() {
    let small = Small::new();
    let prepare = ["prepare", "--checkout", ".", "--build-dir", "../build"];
    let state = |kind: &str| files(&small.path("store/state/custom").join(kind));
    let snapshots = || small.prints(&["snapshot", "list", "custom"]).lines().count();

    // At a rebuild.
    let mut child = small.start(&prepare);
    until(&mut child, || {
        small.builds().iter().any(|folder| Small::is_building(folder))
    });
    kill(child);
    assert!(!small.builds().is_empty() && state("evidence").is_empty());
    // When rebuilds are there, when the decision is signed, and when the snapshot is committed.
    let committed = small.path("store/state/custom/1.json");
    for done in [
        &(|| !state("evidence").is_empty()) as &dyn Fn() -> bool,
        &|| !state("decisions").is_empty(),
        &|| committed.exists(),
    ] {
        let mut child = small.start(&prepare);
        until(&mut child, done);
        kill(child);
    }

    let first = small.prints(&prepare);
    assert!(
        first.contains("/custom/") && first.contains("Suites: stable"),
        "{first}"
    );
    assert_eq!(
        small.prints(&prepare),
        first,
        "again: nothing to do, and the same sources"
    );
    assert_eq!(small.builds(), NONE);
    let mut left = files(&small.path("../build"));
    left.extend(files(&small.path("cache/git")));
    left.retain(|path| path.to_string_lossy().contains("assay-"));
    assert_eq!(left, NONE, "swept by the runs that came later");
    assert_eq!(state("evidence").len(), 2, "each builder built once to the end");
    assert_eq!(snapshots(), 1);
    // Who was killed after it decided has left a decision that nothing rests on.
    let decided = small.prints(&["decisions", "tiny"]);
    assert!(
        decided.contains("tiny 1.0 admitted") && !decided.contains("refused"),
        "{decided}"
    );
    let is_there = || {
        let apt = small.made.apt("custom", "stable");
        apt.update();
        assert_eq!(apt.versions("tiny"), ["1.0"]);
    };
    is_there();

    // What it was built in is needed from now on, by its lock and by what is listed.
    let listed = small.prints(&["snapshot", "list", "debian"]);
    let needed = "(locked by repos/custom/tiny.lock; packages that custom lists were built in it)";
    assert!(listed.contains(needed), "{listed}");

    // As it is for whoever was killed between the commit and the last step of publishing.
    for name in ["project/trace/custom", "dists/stable/InRelease"] {
        fs::remove_file(small.path("store/custom").join(name)).unwrap();
    }
    assert_eq!(small.prints(&prepare), first);
    is_there();
}

#[test]
fn what_changes_while_it_is_prepared_from_gives_no_sources() {
    let small = Small::new();
    let prepare = ["prepare", "--checkout", ".", "--build-dir", "../build"];
    let mut child = small.start(&prepare);
    until(&mut child, || {
        small.builds().iter().any(|folder| Small::is_building(folder))
    });
    let policy = small.path("policies/default.toml");
    let text = fs::read_to_string(&policy).unwrap();
    fs::write(&policy, format!("{text}\n# changed\n")).unwrap();
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(1), "{}", said(&ended));
    assert!(
        said(&ended).contains("E-PREP-009") && ended.stdout.is_empty(),
        "{}",
        said(&ended)
    );
    // As it was: what was built counts, and nothing is built again.
    fs::write(&policy, &text).unwrap();
    let sources = small.prints(&prepare);
    assert!(sources.contains("Suites: stable"), "{sources}");
    assert_eq!(files(&small.path("store/state/custom/evidence")).len(), 2);
}

/// A slow line, and a machine that is switched off: what came and was verified need not come again.
#[test]
fn a_full_pool_goes_on_from_what_a_killed_mirror_had_fetched() {
    let site = Mirrored::new("http://127.0.0.1:1", "");
    site.serve(&archive(0, &[("alloy", "1"), ("brass", "1"), ("copper", "1")]));
    site.upstream
        .trick("copper_1_amd64.deb", Trick::Late(Duration::from_secs(60)));
    let pool = |name: &str| {
        let path = format!("store/foundry/pool/main/{}/{name}/{name}_1_amd64.deb", &name[..1]);
        site.site().join(path)
    };
    let at = noon().plus(60);
    let mut command = site.command(at, &["mirror", "foundry"]);
    let mut running = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    until(&mut running, || pool("alloy").exists() && pool("brass").exists());
    kill(running);
    site.upstream.honest();
    assert!(site.run(at, &["mirror", "foundry"]).ends_with("new\n"));
    assert!(pool("copper").exists());
    let requests = site.upstream.requests();
    for name in ["alloy", "brass"] {
        let asked = requests
            .iter()
            .filter(|path| path.contains(&format!("{name}_1_amd64.deb")));
        assert_eq!(asked.count(), 1, "{name}: {requests:?}");
    }
}
