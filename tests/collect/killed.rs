//! Real processes that are killed.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use crate::support::archive::{Archive, noon};
use crate::support::http::Trick;
use crate::support::mirrored::Mirrored;

/// Many small packages, so that there is something to be in the middle of.
fn day(n: u32) -> Archive {
    let mut archive = Archive::new(noon().plus_days(n));
    let package = |k: u32| {
        let path = format!("pool/main/p/p{k}/p{k}_{n}_amd64.deb");
        (path, format!("{k} {n}").into_bytes())
    };
    archive.pool = (0..60).map(package).collect();
    archive
}

#[test]
fn a_collection_killed_at_any_moment_leaves_a_whole_store() {
    let site = Mirrored::new("http://127.0.0.1:1", "{ count = 1 }");
    for n in 0..6 {
        site.follow(&day(n));
        let at = noon().plus_days(n).plus(7200);
        let mut child = site
            .command(at, &["gc"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(15 * u64::from(n) + 10));
        child.kill().unwrap();
        child.wait().unwrap();
        site.run(at, &["verify"]);
    }
    // The notes of the dead are in nobody's way.
    let at = noon().plus_days(6);
    site.run(at, &["gc", "--wait", "0"]);
    site.run(at, &["verify"]);
    let left = fs::read_dir(site.site().join("store/foundry/pool/main/p")).unwrap();
    let files = left
        .map(|folder| fs::read_dir(folder.unwrap().path()).unwrap().count())
        .sum::<usize>();
    assert_eq!(files, 60, "those of the newest");
}

#[test]
fn nothing_is_collected_under_the_hands_of_a_mirror() {
    let site = Mirrored::new("http://127.0.0.1:1", "{ count = 1 }");
    site.follow(&day(0));
    site.upstream.trick("_1_amd64.deb", Trick::Late(Duration::from_secs(2)));
    let next = day(1);
    let at = next.date.plus(60);
    site.serve(&next);
    let mut mirror = site
        .command(at, &["mirror"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let working = site.site().join("store/state/foundry/working");
    let busy = || fs::read_dir(&working).is_ok_and(|mut notes| notes.next().is_some());
    while !busy() {
        std::thread::sleep(Duration::from_millis(5));
    }
    let refused = site.output(at, &["gc", "--wait", "0"]);
    assert_eq!(refused.status.code(), Some(4));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        said.contains("`assay mirror`") && said.contains(&mirror.id().to_string()),
        "{said}"
    );
    // A killed one is in nobody's way, and what it staged goes.
    mirror.kill().unwrap();
    mirror.wait().unwrap();
    site.upstream.honest();
    site.run(at, &["gc", "--wait", "0"]);
    site.run(at, &["verify"]);
    site.follow(&next);
    site.run(at.plus(60), &["gc"]);
    site.run(at.plus(60), &["verify"]);
}
