//! Flat repositories: mirrored as a suite with one component, whose indexes are upstream's bytes.

use std::collections::BTreeMap;
use std::sync::Arc;

use assay::domain::{Coded as _, Digest, Timestamp};
use assay::format::compress::{Compression, compress};
use assay::host::{Clock, Progress};
use assay::publish::{Tagging, tag};
use assay::serve::{Overlays, ServeConfig, ServedArchive, Server};
use assay::trust::{ArchiveKey, unframed_text};
use assay::upstream::{Client, Followed, Limits, fill_pool};

use super::indexes::problems;
use crate::support::apt::{Apt, source};
use crate::support::archive::{Mirror, key};
use crate::support::http::{Upstream, get};
use crate::support::repository::made;

fn ago(hours: i64) -> Timestamp {
    Clock::System.now().plus(-3600 * hours)
}

/// What `dpkg-scanpackages` and `apt-ftparchive release` make of a folder with one package.
fn flat(folder: &str, filename: &str, key: &ArchiveKey) -> BTreeMap<String, Vec<u8>> {
    let deb = Digest::of(b"alloy 1");
    let packages = format!(
        "Package: alloy\nVersion: 1\nArchitecture: amd64\nMaintainer: T <t@example.org>\nFilename: {filename}\n\
         Size: {}\nSHA256: {}\nDescription: test\n\n",
        deb.size, deb.sha256
    );
    let plain = packages.into_bytes();
    let packed = compress(Compression::Gzip, &plain).unwrap();
    let mut text = format!(
        "Origin: Foundry\nLabel: Foundry\nDate: {}\nSHA256:\n",
        ago(3).release_date()
    );
    for (name, bytes) in [("Packages", &plain), ("Packages.gz", &packed)] {
        text.push_str(&format!(" {} {} {name}\n", Digest::of(bytes).sha256, bytes.len()));
    }
    let path = filename.strip_prefix("./").unwrap_or(filename);
    BTreeMap::from([
        (
            format!("{folder}InRelease"),
            key.clearsign(text.as_bytes(), ago(3)).unwrap(),
        ),
        (format!("{folder}Packages.gz"), packed),
        (path.to_owned(), b"alloy 1".to_vec()),
    ])
}

#[test]
fn a_flat_repository_becomes_a_suite_that_real_apt_reads_and_upstream_proves() {
    for (folder, prefix, filename) in [
        ("./", "", "./alloy_1_amd64.deb"),
        ("deb/", "deb/", "deb/amd64/alloy_1_amd64.deb"),
    ] {
        let signer = key("upstream");
        let upstream = Upstream::start();
        let files = flat(prefix, filename, &signer);
        upstream.set(files.clone());
        let mut mirror = Mirror::of(&signer);
        mirror.config.flat = Some(folder.parse().unwrap());
        let record = mirror.accept(&upstream.url(), ago(2));
        let indexes: Vec<&str> = record.suites[0]
            .indexes
            .iter()
            .map(|index| index.path.as_str())
            .collect();
        assert_eq!(indexes, ["main/binary-amd64/Packages", "main/binary-amd64/Packages.gz"]);
        let ours = &mirror.visible()["foundry/dists/tin/main/binary-amd64/Packages.gz"];
        assert_eq!(ours, &files[&format!("{prefix}Packages.gz")]);
        assert_eq!(mirror.follow(&upstream.url(), ago(1)).unwrap(), Followed::Unchanged);
        assert_eq!(problems(&mirror, &signer), []);

        let name = "w1".parse().unwrap();
        let tagging = Tagging {
            tag: &name,
            of: &record,
            suites: record.suites.clone(),
            partial: false,
        };
        tag(
            mirror.store.as_ref(),
            tagging,
            made("t", ago(2)),
            &mirror.ours,
            "http://127.0.0.1:1",
        )
        .unwrap();
        let running = Server::start(ServeConfig {
            listen: "127.0.0.1:0".parse().unwrap(),
            store: Arc::clone(&mirror.store),
            archives: vec![ServedArchive {
                name: mirror.name.clone(),
                upstream: Some(Arc::new(Client::new(&upstream.url(), Limits::default()).unwrap())),
            }],
            root: Some(mirror.name.clone()),
            overlays: Overlays::default(),
            now: ago(1),
        })
        .unwrap();
        let certificate = tempfile::NamedTempFile::with_suffix(".asc").unwrap();
        std::fs::write(certificate.path(), mirror.ours.certificate_armored().unwrap()).unwrap();
        let base = format!("{}/foundry", running.url());
        for (uri, suite) in [
            (base.clone(), "tin".to_owned()),
            (base.clone(), format!("tin/{}", record.serial)),
            (format!("{base}/{}", record.id), "tin".to_owned()),
            (format!("{base}/w1"), "tin".to_owned()),
            (format!("{}/w1/foundry", running.url()), "tin".to_owned()),
            (base.clone(), "tin/w1".to_owned()),
            // At the root, too.
            (running.url(), "tin".to_owned()),
            (format!("{}/{}", running.url(), record.serial), "tin".to_owned()),
            (format!("{}/w1", running.url()), "tin".to_owned()),
        ] {
            let apt = Apt::new(&source(&uri, &suite, certificate.path()));
            apt.update();
            let said = apt.get(&["download", "alloy"]);
            assert!(said.ok, "{uri} {suite}: {}", said.text);
            assert_eq!(
                std::fs::read(apt.folder().join("alloy_1_amd64.deb")).unwrap(),
                b"alloy 1"
            );
        }
        assert_eq!(problems(&mirror, &signer), []);
        for other in [
            "/foundry/other.deb",
            "/foundry/w2/alloy_1_amd64.deb",
            "/w2/foundry/alloy_1_amd64.deb",
            "/other.deb",
            "/foundry/state/1.json",
            "/foundry/InRelease",
        ] {
            assert_eq!(get(running.address(), other).status, 404, "{other}");
        }
    }
}

/// In each of the forms that Debian's tools give the folder of a source package.
#[test]
fn a_flat_repository_has_its_sources_where_its_tools_say() {
    for (directory, path) in [
        ("Directory: .\n", "a_1.dsc"),
        ("", "a_1.dsc"),
        ("Directory: ./deb\n", "deb/a_1.dsc"),
    ] {
        let signer = key("upstream");
        let upstream = Upstream::start();
        let mut files = flat("", "./alloy_1_amd64.deb", &signer);
        let dsc = Digest::of(b"dsc");
        let sources = format!(
            "Package: ore\nVersion: 1\nMaintainer: T <t@example.org>\nArchitecture: any\nFormat: 3.0 (native)\n{directory}\
             Checksums-Sha256:\n {} 3 a_1.dsc\n\n",
            dsc.sha256
        );
        let text = String::from_utf8(unframed_text(&files["InRelease"]).unwrap()).unwrap();
        let listed = Digest::of(sources.as_bytes());
        let text = format!("{}\n {} {} Sources\n", text.trim_end(), listed.sha256, listed.size);
        files.insert(
            "InRelease".to_owned(),
            signer.clearsign(text.as_bytes(), ago(3)).unwrap(),
        );
        files.insert("Sources".to_owned(), sources.into_bytes());
        files.insert(path.to_owned(), b"dsc".to_vec());
        upstream.set(files);
        let mut mirror = Mirror::of(&signer);
        mirror.config.flat = Some("./".parse().unwrap());
        let record = mirror.accept(&upstream.url(), ago(2));
        assert_eq!(problems(&mirror, &signer), []);
        let client = Client::new(&upstream.url(), Limits::default()).unwrap();
        let store = mirror.store.as_ref();
        assert_eq!(
            fill_pool(&client, store, &mirror.name, &record.suites, &Progress::hidden()).unwrap(),
            2,
            "{path}"
        );
        assert_eq!(mirror.visible()[&format!("foundry/{path}")], b"dsc");
    }
}

#[test]
fn a_flat_repository_that_calls_itself_otherwise_is_another_one() {
    let signer = key("upstream");
    let upstream = Upstream::start();
    let mut mirror = Mirror::of(&signer);
    mirror.config.flat = Some("./".parse().unwrap());
    let named = |suite: &str, hours: i64| {
        let mut files = flat("", "alloy_1_amd64.deb", &signer);
        let release = unframed_text(&files["InRelease"]).unwrap();
        let release = String::from_utf8(release).unwrap();
        let date = |hours| format!("Date: {}", ago(hours).release_date());
        let release = release.replacen("Label: Foundry", &format!("Label: Foundry\nSuite: {suite}"), 1);
        let old = release
            .lines()
            .find(|line| line.starts_with("Date: "))
            .unwrap()
            .to_owned();
        let release = release.replacen(&old, &date(hours), 1);
        let signed = signer.clearsign(release.as_bytes(), ago(hours)).unwrap();
        files.insert("InRelease".to_owned(), signed);
        upstream.set(files);
    };
    named("stable", 8);
    mirror.accept(&upstream.url(), ago(7));
    named("stable", 6);
    mirror.accept(&upstream.url(), ago(5));
    named("oldstable", 4);
    let error = mirror.follow(&upstream.url(), ago(3)).unwrap_err();
    assert_eq!(error.code(), "E-UP-014", "{error}");
    assert!(error.hint().unwrap().contains("--allow-release-info-change"));
}

#[test]
fn a_flat_repository_cannot_put_files_where_other_things_are() {
    for filename in [
        "dists/tin/InRelease",
        "./provenance/x",
        "../x",
        "2026112201/x.deb",
        "20261122T000000Z/x.deb",
    ] {
        let signer = key("upstream");
        let upstream = Upstream::start();
        upstream.set(flat("", filename, &signer));
        let mut mirror = Mirror::of(&signer);
        mirror.config.flat = Some("./".parse().unwrap());
        let error = mirror.follow(&upstream.url(), ago(2)).unwrap_err();
        assert_eq!(error.code(), "E-UP-025", "{filename}: {error}");
    }
}
