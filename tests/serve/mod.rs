//! Tests of `serve`: every form of URL, and nothing else.

mod apt;
mod layouts;
mod next;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use assay::domain::{Digest, Sha256};
use assay::serve::{Overlays, Running, ServeConfig, ServedArchive, Server};
use assay::snapshot::Record;
use assay::store::{Key, ObjectStore, Store};
use assay::upstream::{Client, Limits};

use crate::support::archive::{Archive, Mirror, key, noon};
use crate::support::http::{Trick, Upstream, ask, get};

const FIRST: &str = "pool/main/a/alloy/alloy_1_amd64.deb";
const SECOND: &str = "pool/main/a/alloy/alloy_2+b1~x_amd64.deb";

/// A mirror with two snapshots, served.
struct Served {
    upstream: Upstream,
    mirror: Mirror,
    records: [Record; 2],
    overlays: Overlays,
    running: Running,
}

impl Served {
    fn new() -> Self {
        let signer = key("upstream");
        let upstream = Upstream::start();
        let mirror = Mirror::of(&signer);
        upstream.set(Archive::new(noon().plus(-3600)).files(&signer));
        let first = mirror.accept(&upstream.url(), noon());
        upstream.set(Archive::new(noon().plus(1)).with(SECOND, b"alloy 2").files(&signer));
        let second = mirror.accept(&upstream.url(), noon().plus(86_400));
        upstream.requests();
        let overlays = Overlays::default();
        let running = serve(&mirror.store, Some(upstream.url()), &overlays);
        Self {
            upstream,
            mirror,
            records: [first, second],
            overlays,
            running,
        }
    }

    fn at(&self) -> SocketAddr {
        self.running.address()
    }

    fn status(&self, path: &str) -> u16 {
        get(self.at(), path).status
    }
}

fn serve(store: &Arc<dyn Store>, upstream: Option<String>, overlays: &Overlays) -> Running {
    let config = ServeConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        store: Arc::clone(store),
        archives: vec![ServedArchive {
            name: "foundry".parse().unwrap(),
            upstream: upstream.map(|uri| Arc::new(Client::new(&uri, Limits::default()).unwrap())),
        }],
        root: None,
        overlays: overlays.clone(),
        now: noon(),
    };
    Server::start(config).unwrap()
}

#[test]
fn a_snapshot_is_found_by_each_of_its_names() {
    let served = Served::new();
    let [first, second] = &served.records;
    let dates = |path: &str| {
        let text = get(served.at(), path).text();
        let date = text.lines().find(|line| line.starts_with("Date: ")).map(str::to_owned);
        date.unwrap_or_else(|| panic!("{path}: {text}"))
    };
    let (old, new) = (
        format!("Date: {}", first.suites[0].date.release_date()),
        format!("Date: {}", second.suites[0].date.release_date()),
    );
    for (name, date) in [
        (first.id.to_string(), &old),
        (first.serial.to_string(), &old),
        (first.id.timestamp().rfc3339(), &old),
        (first.id.timestamp().plus(60).compact(), &old),
        (second.id.to_string(), &new),
        (second.serial.to_string(), &new),
        ("latest".to_owned(), &new),
        ("20990101T000000Z".to_owned(), &new),
    ] {
        assert_eq!(&dates(&format!("/foundry/{name}/dists/tin/InRelease")), date, "{name}");
    }
    assert_eq!(dates("/foundry/dists/tin/InRelease"), new);
    assert_eq!(dates(&format!("/foundry/dists/tin/{}/InRelease", first.serial)), old);

    let packages = first.suites[0]
        .indexes
        .iter()
        .find(|index| index.path.file_name() == "Packages.xz")
        .unwrap();
    let by_hash = format!("dists/tin/main/binary-amd64/by-hash/SHA256/{}", packages.digest.sha256);
    for path in [
        format!("/foundry/{}/dists/tin/main/binary-amd64/Packages.xz", first.id),
        format!("/foundry/{}/{by_hash}", first.id),
        format!("/foundry/{by_hash}"),
    ] {
        assert_eq!(Digest::of(&get(served.at(), &path).body), packages.digest, "{path}");
    }
}

#[test]
fn nothing_that_is_not_published_is_reached() {
    let served = Served::new();
    let secret = Key::new("state/foundry/held/sha256/x").unwrap();
    served.mirror.store.replace(&secret, b"held").unwrap();
    for path in [
        "/state/foundry/held/sha256/x",
        "/state/foundry/nonces/x/y",
        "/state/foundry/9.json",
        "/foundry/../state/foundry/1.json",
        "/foundry/dists/../../state/foundry/1.json",
        "/foundry/dists/%2e%2e/%2e%2e/state/foundry/1.json",
        "/foundry/dists/..%2f..%2fstate/foundry/1.json",
        "//state/foundry/1.json",
        "/foundry//dists/tin/InRelease",
        "/foundry/dists/tin",
        "/foundry/dists/tin/",
        "/foundry/2026112299/",
        "/other/",
        "/foundry/dists/tin/.InRelease",
        "/other/dists/tin/InRelease",
        "/foundry/19990101T000000Z/dists/tin/InRelease",
        "/foundry/2026112299/dists/tin/InRelease",
        "/foundry/5.15/dists/tin/InRelease",
        "/foundry/yes/dists/tin/InRelease",
        "/foundry/latest/dists/lead/InRelease",
        "/foundry/19990101T000000Z/pool/main/a/alloy/alloy_1_amd64.deb",
        "/foundry/pool/main/e/evil/evil_1_amd64.deb",
        "/foundry/project/trace/other",
    ] {
        let answer = get(served.at(), path);
        assert_eq!(
            (answer.status, answer.text().lines().count()),
            (404, 1),
            "{path}: {}",
            answer.text()
        );
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PROPFIND"] {
        let answer = ask(served.at(), method, "/foundry/dists/tin/InRelease", &[]);
        assert_eq!(
            (answer.status, answer.header("allow")),
            (405, Some("GET, HEAD")),
            "{method}"
        );
    }
}

/// What sources.list has is where a person looks first.
#[test]
fn the_urls_that_apt_is_given_say_what_is_below_them() {
    let served = Served::new();
    let [first, second] = &served.records;
    for path in [
        "/foundry",
        "/foundry/",
        &format!("/foundry/{}/", first.id),
        &format!("/foundry/{}/", first.serial),
    ] {
        let page = get(served.at(), path);
        assert_eq!(
            (page.status, page.header("content-type")),
            (200, Some("text/html; charset=utf-8")),
            "{path}"
        );
        for said in [
            second.serial.as_str(),
            first.serial.as_str(),
            "/foundry/dists/tin/InRelease",
            "main",
        ] {
            assert!(page.text().contains(said), "{path}: {said}: {}", page.text());
        }
    }
}

/// Who is refused is told what there is instead, in the same line.
#[test]
fn a_refusal_says_what_to_do_next() {
    let served = Served::new();
    let [first, second] = &served.records;
    let none = get(served.at(), "/foundry/19990101T000000Z/dists/tin/InRelease").text();
    for name in [first.serial.as_str(), first.id.as_str(), second.serial.as_str()] {
        assert!(
            none.contains("; next: the oldest that is kept is ") && none.contains(name),
            "{none}"
        );
    }
    let file = get(served.at(), "/foundry/dists/lead/InRelease").text();
    assert!(file.contains("; next: the page at /foundry/"), "{file}");
    let archive = get(served.at(), "/other/dists/tin/InRelease").text();
    assert!(archive.contains("the page at / names"), "{archive}");
    let unlisted = get(served.at(), "/foundry/pool/main/e/evil/evil_1_amd64.deb").text();
    assert!(unlisted.contains("; next: `apt update`"), "{unlisted}");
    served.upstream.trick("alloy_1_amd64.deb", Trick::Flipped);
    let broken = get(served.at(), &format!("/foundry/{FIRST}"));
    assert!(
        broken.status == 502 && broken.text().contains("; next: try again"),
        "{}",
        broken.text()
    );
    served.upstream.honest();
    served.upstream.remove(FIRST);
    let gone = get(served.at(), &format!("/foundry/{FIRST}")).text();
    assert!(
        gone.contains("; next: `apt update`") && gone.contains("pool = \"full\""),
        "{gone}"
    );
}

#[test]
fn pool_files_are_fetched_once_and_verified_first() {
    let served = Served::new();
    let [first, _] = &served.records;
    served.upstream.trick("alloy_1_amd64.deb", Trick::Flipped);
    let refused = get(served.at(), &format!("/foundry/{FIRST}"));
    assert_eq!(refused.status, 502);
    assert!(refused.text().starts_with("E-UP-008: "), "{}", refused.text());
    served.upstream.honest();
    served.upstream.requests();
    assert_eq!(get(served.at(), &format!("/foundry/{FIRST}")).text(), "alloy 1");
    assert_eq!(
        get(served.at(), &format!("/foundry/{}/{FIRST}", first.id)).text(),
        "alloy 1"
    );
    assert_eq!(
        get(
            served.at(),
            &format!("/foundry/{}", SECOND.replace('+', "%2B").replace('~', "%7e"))
        )
        .text(),
        "alloy 2"
    );
    assert_eq!(served.upstream.requests(), [FIRST, SECOND]);
    served.upstream.remove(FIRST);
    assert_eq!(served.status(&format!("/foundry/{FIRST}")), 200);
    let head = ask(served.at(), "HEAD", &format!("/foundry/{FIRST}"), &[]);
    assert_eq!(
        (head.status, head.header("content-length"), head.text().as_str()),
        (200, Some("7"), "")
    );
}

/// Bit rot in a mirror's pool: nobody gets it, and upstream's bytes take its place.
#[test]
fn a_damaged_pool_file_of_a_mirror_is_fetched_anew() {
    let served = Served::new();
    let (url, key) = (
        format!("/foundry/{FIRST}"),
        Key::new(format!("foundry/{FIRST}")).unwrap(),
    );
    let store = &served.mirror.store;
    let rot = || {
        store.delete(&key).unwrap();
        store.create(&key, b"aXXoy 1").unwrap();
    };
    rot();
    assert_eq!(get(served.at(), &url).text(), "alloy 1");
    assert_eq!(store.get(&key, 100).unwrap(), b"alloy 1");
    rot();
    served.upstream.remove(FIRST);
    let refused = get(served.at(), &url);
    assert_eq!(refused.status, 500);
    assert!(refused.text().starts_with("E-SNAPSHOT-007: "), "{}", refused.text());
    assert_eq!(store.get(&key, 100).unwrap(), b"aXXoy 1", "it stays to be looked at");
}

#[test]
fn what_upstream_no_longer_has_is_said() {
    let served = Served::new();
    served.upstream.remove(FIRST);
    let gone = get(served.at(), &format!("/foundry/{FIRST}"));
    assert_eq!(gone.status, 404);
    assert!(
        gone.text().contains("upstream no longer has this file"),
        "{}",
        gone.text()
    );
}

#[test]
fn answers_can_be_kept_resumed_and_asked_about() {
    let served = Served::new();
    let pool = format!("/foundry/{FIRST}");
    let whole = get(served.at(), &pool);
    let (tag, date) = (whole.header("etag").unwrap(), whole.header("last-modified").unwrap());
    assert!(whole.header("cache-control").unwrap().contains("immutable"));
    assert_eq!(
        whole.header("content-type"),
        Some("application/vnd.debian.binary-package")
    );
    let part = ask(served.at(), "GET", &pool, &[("Range", "bytes=6-"), ("If-Range", date)]);
    assert_eq!(
        (part.status, part.header("content-range"), part.text().as_str()),
        (206, Some("bytes 6-6/7"), "1")
    );
    assert_eq!(ask(served.at(), "GET", &pool, &[("If-None-Match", tag)]).status, 304);
    assert_eq!(
        ask(served.at(), "GET", &pool, &[("If-Modified-Since", date)]).status,
        304
    );
    assert_eq!(ask(served.at(), "GET", &pool, &[("Range", "bytes=7-")]).status, 416);

    let inrelease = get(served.at(), "/foundry/dists/tin/InRelease");
    assert_eq!(inrelease.header("cache-control"), Some("no-cache"));
    // Two that are published within one second are told apart by their Dates.
    let date = served.records[1].suites[0].date.http_date();
    assert_eq!(inrelease.header("last-modified"), Some(date.as_str()));
    let old = served.records[0].suites[0].date.http_date();
    let asked = ask(
        served.at(),
        "GET",
        "/foundry/dists/tin/InRelease",
        &[("If-Modified-Since", &old)],
    );
    assert_eq!(asked.status, 200);
}

#[test]
fn a_new_snapshot_is_served_at_once() {
    let served = Served::new();
    assert_eq!(served.status("/foundry/latest/dists/tin/InRelease"), 200);
    let states = served.records[0].suites.clone();
    let third = served.mirror.publish(states, noon().plus(3 * 86_400));
    assert_eq!(
        served.status(&format!("/foundry/{}/dists/tin/InRelease", third.id)),
        200
    );
    let listed = get(served.at(), "/api/v1/snapshots").text();
    assert!(listed.contains(third.serial.as_str()), "{listed}");
    assert!(get(served.at(), "/").text().contains(third.id.as_str()));
}

#[test]
fn environments_are_files_in_memory_beside_the_pools() {
    let served = Served::new();
    let digest = Sha256::of(b"lock");
    let base = format!("/env/{digest}");
    assert_eq!(served.status(&format!("{base}/dists/lock/InRelease")), 404);
    let files = BTreeMap::from([("dists/lock/InRelease".to_owned(), b"Suite: lock\n".to_vec())]);
    let pool = BTreeMap::from([(format!("foundry/{FIRST}"), Digest::of(b"alloy 1"))]);
    served.overlays.add(digest, files, pool);
    assert_eq!(
        get(served.at(), &format!("{base}/dists/lock/InRelease")).text(),
        "Suite: lock\n"
    );
    assert_eq!(get(served.at(), &format!("{base}/foundry/{FIRST}")).text(), "alloy 1");
    assert_eq!(served.status(&format!("{base}/foundry/dists/tin/InRelease")), 404);
    assert_eq!(served.status(&format!("{base}/other/{FIRST}")), 404);
    let other = FIRST.replace("alloy", "brass");
    assert_eq!(
        served.status(&format!("{base}/foundry/{other}")),
        404,
        "nothing that is not locked"
    );
    served.overlays.remove(&digest);
    assert_eq!(served.status(&format!("{base}/foundry/{FIRST}")), 404);
}

#[test]
fn provenance_and_trace_are_public_and_any_store_will_do() {
    let store: Arc<dyn Store> = Arc::new(ObjectStore::memory().unwrap());
    let bytes = vec![b'x'; 300_000];
    let name = "foundry".parse().unwrap();
    store
        .put_stream(
            &Key::provenance(&name, &Sha256::of(&bytes)),
            &Digest::of(&bytes),
            &mut bytes.as_slice(),
        )
        .unwrap();
    store
        .replace(
            &Key::new("foundry/project/trace/foundry").unwrap(),
            b"Archive serial: 1\n",
        )
        .unwrap();
    let running = serve(&store, None, &Overlays::default());
    let path = format!("/foundry/provenance/sha256/{}", Sha256::of(&bytes));
    assert!(get(running.address(), &path).body == bytes);
    let part = ask(running.address(), "GET", &path, &[("Range", "bytes=299990-299994")]);
    assert_eq!((part.status, part.text().as_str()), (206, "xxxxx"));
    assert_eq!(
        get(running.address(), "/foundry/project/trace/foundry").text(),
        "Archive serial: 1\n"
    );
    assert_eq!(get(running.address(), "/foundry/pool/main/a/a/a_1_all.deb").status, 404);
}

/// What is in the place of a file and is none is not followed, and the answer says what it is.
#[test]
fn a_link_in_the_place_of_a_file_is_said_and_not_followed() {
    let served = Served::new();
    assert_eq!(served.status(&format!("/foundry/{FIRST}")), 200);
    let path = served
        .mirror
        .store
        .local_path(&Key::new(format!("foundry/{FIRST}")).unwrap())
        .unwrap();
    std::fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", &path).unwrap();
    let answer = get(served.at(), &format!("/foundry/{FIRST}"));
    let text = answer.text();
    assert_eq!(answer.status, 500, "{text}");
    assert!(
        text.contains("E-STORE-009") && text.contains("a symbolic link"),
        "{text}"
    );
}
