//! Several upstreams in one run.

use std::time::Duration;

use super::hours;
use crate::support::archive::{Archive, noon};
use crate::support::http::{Trick, Upstream};
use crate::support::mirrored::Mirrored;

/// A site that follows three upstreams, all honest.
fn three() -> (Mirrored, Upstream, Upstream) {
    let site = Mirrored::new("http://127.0.0.1:1", "");
    let (second, third) = (Upstream::start(), Upstream::start());
    for (name, upstream) in [("bronze", &second), ("copper", &third)] {
        site.follows(name, upstream);
    }
    for upstream in [&site.upstream, &second, &third] {
        upstream.set(site.files(&Archive::new(hours(-1))));
    }
    (site, second, third)
}

#[test]
fn what_fails_with_one_archive_is_named_and_stops_no_other() {
    let (site, second, third) = three();
    second.trick("InRelease", Trick::Status(403));
    third.trick("alloy_1_amd64.deb", Trick::Flipped);
    let run = site.output(noon(), &["mirror"]);
    let (out, err) = (
        String::from_utf8_lossy(&run.stdout),
        String::from_utf8_lossy(&run.stderr),
    );
    assert_eq!(out.lines().count(), 1, "{out}");
    assert!(
        out.starts_with("foundry 2026112201 ") && out.ends_with("new\n"),
        "{out}"
    );
    assert!(err.contains("error[E-UP-003]: bronze: cannot fetch"), "{err}");
    assert!(err.contains("error[E-UP-008]: copper: "), "{err}");
    assert_eq!(run.status.code(), Some(3), "the worst of 0, 5 and 3");

    second.honest();
    third.honest();
    let mut lines: Vec<String> = site
        .run(noon().plus(60), &["mirror"])
        .lines()
        .map(str::to_owned)
        .collect();
    lines.sort();
    let ends: Vec<&str> = lines.iter().map(|line| line.rsplit(' ').next().unwrap()).collect();
    assert_eq!(ends, ["new", "new", "unchanged"], "{lines:?}");
}

#[test]
fn no_more_connections_than_the_site_allows() {
    let (site, second, third) = three();
    let toml = site.site().join("assay.toml");
    let text = std::fs::read_to_string(&toml).unwrap();
    assert!(text.contains("connections = 8"));
    std::fs::write(&toml, text.replace("connections = 8", "connections = 2")).unwrap();
    // Every file takes a while: what is fetched at once overlaps.
    let all = [&site.upstream, &second, &third];
    for upstream in all {
        upstream.trick("", Trick::Late(Duration::from_millis(30)));
    }
    site.run(noon(), &["mirror"]);
    let busy = crate::support::http::most_at_once(&all);
    assert!(busy == 2, "{busy} at once");
    std::fs::write(&toml, text.replace("connections = 8", "connections = 0")).unwrap();
    assert_eq!(site.output(noon(), &["mirror"]).status.code(), Some(2));
}

/// Its indexes come slowly; those of another archive are read meanwhile, though there are only so many decompressors.
#[test]
fn a_slow_upstream_keeps_no_other_archive_waiting() {
    let site = Mirrored::new("http://127.0.0.1:1", "");
    let slow = Upstream::start();
    for name in ["bronze", "copper", "iron", "zinc"] {
        site.follows(name, &slow);
    }
    let mut archive = Archive::new(hours(-1));
    for n in 0..10 {
        let path = format!("pool/main/b/brass/brass_{n}_amd64.deb");
        let pad = "one of many words ".repeat(8_000);
        archive = archive
            .with(&path, format!("brass {n}").as_bytes())
            .extra(&path, &format!("Pad: {pad}\n"));
    }
    let files = site.files(&archive);
    let large = |path: &&String| path.ends_with("binary-amd64/Packages.xz");
    let index = assay::domain::Digest::of(&files[files.keys().find(large).unwrap()])
        .sha256
        .hex();
    slow.set(files.clone());
    site.upstream.set(files);
    // The slow ones have all places by then.
    site.upstream.trick("InRelease", Trick::Late(Duration::from_secs(2)));
    slow.trick(
        &index,
        Trick::Behind(site.upstream.clone(), "brass_9_amd64.deb".to_owned()),
    );
    let said = site.run(noon(), &["mirror"]);
    assert_eq!(said.matches("new\n").count(), 5, "{said}");
    let verified = site.run(noon(), &["verify"]);
    assert!(verified.contains("verified"), "{verified}");
}

/// An upstream's host may count connections, also those that nobody uses.
#[test]
fn the_mirrors_of_one_host_share_its_connections() {
    let site = Mirrored::new("http://127.0.0.1:1", "");
    let others = ["bronze", "copper", "iron", "zinc"];
    others.iter().for_each(|name| site.follows(name, &site.upstream));
    let toml = site.site().join("assay.toml");
    let text = std::fs::read_to_string(&toml).unwrap();
    std::fs::write(&toml, text.replace("connections = 8", "connections = 1")).unwrap();
    let archive = Archive::new(hours(-1)).with("pool/main/b/brass/brass_1_amd64.deb", b"brass 1");
    site.upstream.set(site.files(&archive));
    site.upstream.trick("", Trick::Late(Duration::from_millis(10)));
    let said = site.run(noon(), &["mirror"]);
    assert_eq!(said.matches("new\n").count(), 5, "{said}");
    // One that is in use, one that is not yet known to be free, and one that is being closed.
    let most = site.upstream.most_open();
    assert!(most <= 3, "{most} connections");
}

#[test]
fn a_pool_that_was_lazy_is_filled_without_anything_new_upstream() {
    let site = Mirrored::new("http://127.0.0.1:1", "");
    let repo = site.site().join("repos/foundry.toml");
    let full = std::fs::read_to_string(&repo).unwrap();
    std::fs::write(&repo, full.replace("pool = \"full\"", "pool = \"lazy\"")).unwrap();
    site.upstream.set(site.files(&Archive::new(hours(-1))));
    site.run(noon(), &["mirror"]);
    let pool = |asked: Vec<String>| asked.iter().filter(|path| path.starts_with("pool/")).count();
    assert_eq!(pool(site.upstream.requests()), 0);
    std::fs::write(&repo, full).unwrap();
    for fetched in [1, 0] {
        let said = site.run(noon().plus(60), &["mirror"]);
        assert!(said.ends_with("unchanged\n"), "{said}");
        assert_eq!(pool(site.upstream.requests()), fetched);
    }
}
