//! What real clients see.

use std::fs;
use std::path::Path;
use std::process::Command;

use assay::store::{LocalStore, Store};

use crate::support::apt::{Apt, source};
use crate::support::repository::Repository;
use crate::support::web::Web;

#[test]
fn apt_follows_the_head_and_stays_at_a_serial_without_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let store = LocalStore::open(&folder.path().join("store")).unwrap();
    let web = Web::serve(&folder.path().join("store"));
    let repository = Repository::new(&web.url);
    let certificate = folder.path().join("key.asc");
    repository.write_certificate(&certificate);
    let base = format!("{}/custom", web.url);

    let old = repository.add_hello(&store, "1.0");
    repository.commit(&store, &old);
    let first = repository.publish(&store);
    let head = Apt::new(&source(&base, "trixie", &certificate));
    let named = Apt::new(&source(&base, &format!("trixie/{}", first.name), &certificate));
    let by_hash = format!("by-hash/SHA256/{}", first.suites[0].inrelease.sha256);
    let pinned = Apt::new(&format!(
        "deb [inrelease-path={by_hash} signed-by={}] {base} trixie main\n",
        certificate.display()
    ));
    for client in [&head, &named, &pinned] {
        client.update();
        assert_eq!(client.versions("hello"), ["1.0"]);
        let said = client.get(&["download", "hello"]);
        assert!(said.ok, "{}", said.text);
        assert!(client.folder().join("hello_1.0_amd64.deb").exists());
    }

    // Within the same second: apt asks by `If-Modified-Since`, and must not be told that nothing changed.
    let new = repository.add_hello(&store, "2.0");
    repository.commit(&store, &new);
    let second = repository.publish(&store);
    assert!(second.name.as_str() > first.name.as_str());
    for (client, version) in [(&head, "2.0"), (&named, "1.0"), (&pinned, "1.0")] {
        client.update();
        assert_eq!(client.versions("hello"), [version]);
    }
    let trace = fs::read_to_string(folder.path().join("store/custom/project/trace/custom")).unwrap();
    assert!(
        trace.starts_with(&format!("Archive serial: {}\n", second.name)),
        "{trace}"
    );
}

#[test]
fn apt_reads_the_folder_itself() {
    let folder = tempfile::tempdir().unwrap();
    let store = LocalStore::open(&folder.path().join("store")).unwrap();
    let repository = Repository::new("file:///nowhere");
    let certificate = folder.path().join("key.asc");
    repository.write_certificate(&certificate);
    repository.commit(&store, &repository.add_hello(&store, "1.0"));
    repository.publish(&store);
    let uri = format!("file:{}/store/custom", folder.path().display());
    let client = Apt::new(&source(&uri, "trixie", &certificate));
    client.update();
    assert_eq!(client.versions("hello"), ["1.0"]);
    let release = store.get(&repository.dists("Release"), 1 << 20).unwrap();
    assert!(
        !String::from_utf8(release).unwrap().contains("Snapshots:"),
        "no server, no ids"
    );
}

/// The clients in the field of the year before last look at each of the three files.
#[test]
fn gpgv_takes_both_signatures_of_both_trees() {
    let folder = tempfile::tempdir().unwrap();
    let store = LocalStore::open(&folder.path().join("store")).unwrap();
    let repository = Repository::new("https://example.org/");
    let armored = folder.path().join("key.asc");
    repository.write_certificate(&armored);
    let keyring = folder.path().join("key.gpg");
    let dearmored = Command::new("gpg")
        .args(["--batch", "--dearmor", "--output"])
        .args([&keyring, &armored])
        .env("GNUPGHOME", folder.path())
        .output()
        .unwrap();
    assert!(dearmored.status.success(), "{dearmored:?}");
    repository.commit(&store, "");
    let published = repository.publish(&store);
    for tree in ["".to_owned(), format!("{}/", published.name)] {
        let at = |name: &str| {
            let key = repository.dists(&format!("{tree}{name}"));
            store.local_path(&key).unwrap()
        };
        gpgv(&keyring, &[&at("InRelease")]);
        gpgv(&keyring, &[&at("Release.gpg"), &at("Release")]);
        let inrelease = fs::read_to_string(at("InRelease")).unwrap();
        let release = fs::read_to_string(at("Release")).unwrap();
        assert!(inrelease.contains(&release), "the same text is signed twice");
        assert!(
            release.contains("Snapshots: https://example.org/custom/@SNAPSHOTID@/\n"),
            "{release}"
        );
        let upstream = fs::read(at("upstream/InRelease")).unwrap();
        assert!(upstream.starts_with(b"-----BEGIN PGP SIGNED MESSAGE-----"));
    }
}

fn gpgv(keyring: &Path, files: &[&Path]) {
    let output = Command::new("gpgv")
        .arg("--keyring")
        .arg(keyring)
        .args(files)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && !said.to_lowercase().contains("warning"),
        "{said}"
    );
}

#[test]
fn what_a_release_names_must_be_there() {
    let folder = tempfile::tempdir().unwrap();
    let store = LocalStore::open(folder.path()).unwrap();
    let repository = Repository::new("https://example.org/");
    repository.commit(&store, "");
    repository.publish(&store);
    let inrelease = repository.dists("InRelease");
    let before = store.get(&inrelease, 1 << 20).unwrap();

    let record = repository.commit(&store, "Package: x\n");
    let index = record.suites[0].indexes.iter().find(|index| index.kept).unwrap();
    let key = assay::snapshot::index_key(&repository.archive, &repository.suite, index);
    let bytes = store.get(&key, 1 << 20).unwrap();
    let attempt = || assay::publish::publish(&store, &repository.archive, &repository.key, &repository.url);

    store.replace(&key, &vec![b'x'; bytes.len()]).unwrap();
    let said = attempt().unwrap_err();
    assert!(matches!(said, assay::publish::PublishError::Damaged { .. }), "{said}");
    assert!(said.to_string().contains(key.as_str()));
    store.delete(&key).unwrap();
    let said = attempt().unwrap_err();
    assert!(matches!(said, assay::publish::PublishError::Missing(_)), "{said}");
    assert_eq!(
        store.get(&inrelease, 1 << 20).unwrap(),
        before,
        "readers keep the old state"
    );

    store.create(&key, &bytes).unwrap();
    attempt().unwrap();
    assert_ne!(store.get(&inrelease, 1 << 20).unwrap(), before);
}
