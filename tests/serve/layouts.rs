//! The URLs that Tails' tools know, each read by the real apt.

use std::sync::Arc;

use assay::publish::{Tagging, tag};
use assay::serve::{Overlays, Running, ServeConfig, ServedArchive, Server};
use assay::snapshot::Record;
use assay::store::{LocalStore, Store};

use crate::support::apt::{Apt, source};
use crate::support::http::get;
use crate::support::repository::{Repository, made, now};

/// `hello` 1 in the first snapshot and in the tag `5.15.1`, `hello` 2 in the newest.
struct Served {
    folder: tempfile::TempDir,
    repository: Repository,
    first: Record,
    running: Running,
}

impl Served {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Arc::new(LocalStore::open(&folder.path().join("store")).unwrap());
        let repository = Repository::new("http://127.0.0.1:1");
        repository.write_certificate(&folder.path().join("key.asc"));
        let one = repository.add_hello(store.as_ref(), "1");
        let first = repository.commit(store.as_ref(), &one);
        repository.publish(store.as_ref());
        let name = "5.15.1".parse().unwrap();
        let tagging = Tagging {
            tag: &name,
            of: &first,
            suites: first.suites.clone(),
            partial: false,
        };
        tag(
            store.as_ref(),
            tagging,
            made("t", now()),
            &repository.key,
            &repository.url,
        )
        .unwrap();
        let two = repository.add_hello(store.as_ref(), "2");
        repository.commit(store.as_ref(), &two);
        repository.publish(store.as_ref());
        let running = Server::start(ServeConfig {
            listen: "127.0.0.1:0".parse().unwrap(),
            store,
            archives: vec![ServedArchive {
                name: repository.archive.clone(),
                upstream: None,
            }],
            root: Some(repository.archive.clone()),
            overlays: Overlays::default(),
            now: now(),
        })
        .unwrap();
        Self {
            folder,
            repository,
            first,
            running,
        }
    }

    fn apt(&self, below: &str, suite: &str) -> Apt {
        let uri = format!("{}/{below}", self.running.url());
        Apt::new(&source(&uri, suite, &self.folder.path().join("key.asc")))
    }

    fn date(&self, path: &str) -> Option<String> {
        let text = get(self.running.address(), path).text();
        text.lines().find(|line| line.starts_with("Date: ")).map(str::to_owned)
    }
}

#[test]
fn apt_takes_every_layout_without_a_warning() {
    let served = Served::new();
    let serial = &served.first.serial;
    for (below, suite, version) in [
        (format!("custom/{serial}/"), "trixie".to_owned(), "1"),
        (format!("custom/{serial}/"), "stable".to_owned(), "1"),
        ("custom/".to_owned(), format!("trixie/{serial}"), "1"),
        ("custom/".to_owned(), format!("stable/{serial}"), "1"),
        ("5.15.1/custom/".to_owned(), "trixie".to_owned(), "1"),
        ("5.15.1/custom/".to_owned(), "stable".to_owned(), "1"),
        ("custom/5.15.1/".to_owned(), "trixie".to_owned(), "1"),
        ("custom/".to_owned(), "trixie/5.15.1".to_owned(), "1"),
        ("custom/".to_owned(), "trixie".to_owned(), "2"),
        ("custom/".to_owned(), "stable".to_owned(), "2"),
        (String::new(), "trixie".to_owned(), "2"),
        (String::new(), format!("trixie/{serial}"), "1"),
        (format!("{serial}/"), "trixie".to_owned(), "1"),
        ("5.15.1/".to_owned(), "stable".to_owned(), "1"),
    ] {
        let apt = served.apt(&below, &suite);
        apt.update();
        assert_eq!(apt.versions("hello"), [version], "{below} {suite}");
        let got = apt.get(&["download", "hello"]);
        assert!(got.ok, "{below} {suite}: {}", got.text);
        assert!(apt.folder().join(format!("hello_{version}_amd64.deb")).exists());
    }
}

/// apt looks for the suite's name before the last slash only, here as with reprepro: it works, and says so.
#[test]
fn reprepros_own_layout_serves_the_same_files() {
    let served = Served::new();
    let serial = &served.first.serial;
    let date = served.date(&format!("/custom/{serial}/dists/trixie/Release"));
    assert!(date.is_some());
    for name in [serial.as_str(), "5.15.1"] {
        let expected = served.date(&format!("/custom/{name}/dists/trixie/Release"));
        for suite in ["trixie", "stable"] {
            let path = format!("/custom/dists/{suite}/snapshots/{name}/Release");
            assert_eq!(served.date(&path), expected, "{path}");
        }
    }
    let trace = get(served.running.address(), "/custom/project/trace/custom").text();
    assert!(trace.starts_with("Archive serial: "), "{trace}");
    let apt = served.apt("custom/", &format!("trixie/snapshots/{serial}"));
    let said = apt.get(&["update"]);
    let complaints: Vec<&str> = said.text.lines().filter(|line| line.starts_with("W:")).collect();
    assert!(
        said.ok && complaints.len() == 1 && complaints[0].contains("Conflicting distribution"),
        "{}",
        said.text
    );
    assert_eq!(apt.versions("hello"), ["1"]);
}

#[test]
fn a_pool_file_that_was_changed_on_the_disk_is_not_sent() {
    let served = Served::new();
    let path = "custom/pool/main/h/hello/hello_2_amd64.deb";
    let file = served.folder.path().join("store").join(path);
    let (at, url) = (served.running.address(), format!("/{path}"));
    let good = std::fs::read(&file).unwrap();
    assert_eq!(get(at, &url).body, good);
    // In place, with the size and the time of before.
    let when = std::fs::metadata(&file).unwrap().modified().unwrap();
    let write = |bytes: &[u8]| {
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
        std::fs::write(&file, bytes).unwrap();
        let written = std::fs::File::options().write(true).open(&file).unwrap();
        written.set_modified(when).unwrap();
    };
    let mut bad = good.clone();
    bad[good.len() / 2] ^= 1;
    write(&bad);
    for headers in [&[][..], &[("Range", "bytes=0-3")]] {
        let answer = crate::support::http::ask(at, "GET", &url, headers);
        assert_eq!(answer.status, 500, "{}", answer.text());
        assert!(
            answer.text().contains("E-SNAPSHOT-007") && answer.text().contains("hello_2_amd64.deb"),
            "{}",
            answer.text()
        );
    }
    write(&good);
    assert_eq!(get(at, &url).body, good);
    // One that no index names is not there.
    std::fs::write(file.with_file_name("other_1_amd64.deb"), "x").unwrap();
    assert_eq!(get(at, "/custom/pool/main/h/hello/other_1_amd64.deb").status, 404);
}

#[test]
fn what_is_no_tag_or_no_suite_is_not_there() {
    let served = Served::new();
    for path in [
        "/5.15.2/custom/dists/trixie/InRelease",
        "/5.15.1/custom/dists/sid/InRelease",
        "/custom/dists/sid/InRelease",
        "/custom/dists/trixie/snapshots/2016010101/InRelease",
        "/5.15.1/other/dists/trixie/InRelease",
        "/5.15.1/custom/state/custom/1.json",
    ] {
        assert_eq!(get(served.running.address(), path).status, 404, "{path}");
    }
    assert_eq!(served.repository.archive.as_str(), "custom");
}
