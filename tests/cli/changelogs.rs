//! `extract-changelogs`: `apt changelog` prints what a package of ours has.

use std::fs;
use std::path::{Path, PathBuf};

use assay::domain::{ArchiveName, Digest};
use assay::format::compress::{Compression, compress};
use assay::host::Clock;
use assay::publish;
use assay::snapshot::{Chain, index_key};
use assay::store::{LocalStore, Store as _};

use super::small::said;
use super::unproven::Apps;
use crate::support::apt::{Apt, source};
use crate::support::packages::deb_with;
use crate::support::repository::{made, now};
use crate::support::web::Web;

fn changelog(source: &str, version: &str, change: &str) -> String {
    format!(
        "{source} ({version}) stable; urgency=low\n\n  * {change}\n\n -- T <t@example.org>  Tue, 14 Nov 2023 22:13:20 +0000\n"
    )
}

/// A package with a changelog, as debhelper puts it there; and upstream's, which is another.
fn deb(folder: &Path, name: &str, version: &str, fields: &str, text: &str) -> PathBuf {
    let packed = compress(Compression::Gzip, text.as_bytes()).unwrap();
    let doc = format!("usr/share/doc/{name}");
    let upstream = compress(Compression::Gzip, b"news of upstream\n").unwrap();
    let files = [
        (format!("{doc}/changelog.gz"), upstream),
        (format!("{doc}/changelog.Debian.gz"), packed),
    ];
    let files: Vec<(&str, &[u8])> = files.iter().map(|(path, bytes)| (path.as_str(), &bytes[..])).collect();
    deb_with(folder, (name, version, "amd64"), fields, &files)
}

#[test]
fn apt_prints_the_changelog_of_a_package_and_it_is_verified_and_collected_as_packages_are() {
    let apps = Apps::with("extract-changelogs = true\nkeep = { count = 1 }\n");
    let web = Web::serve(&apps.made.path("store"));
    let host = web.url.clone();
    apps.made.edit("assay.toml", |text| {
        let line = text.lines().find(|line| line.starts_with("public-url")).unwrap();
        text.replace(line, &format!("public-url = \"{host}\""))
    });
    let folder = tempfile::tempdir().unwrap();
    let debs = folder.path();
    let first = deb(debs, "hello", "1:1.0", "", &changelog("hello", "1:1.0", "It greets."));
    let library = changelog("libfoo", "2.0", "It is a library.");
    let library = deb(debs, "libfoo1", "2.0+b1", "Source: libfoo (2.0)\n", &library);
    let foreign = deb(
        debs,
        "plain",
        "1.0",
        "",
        &changelog("another", "1.0", "It is of something else."),
    );
    let paths = [&first, &library, &foreign].map(|path| path.to_str().unwrap());
    apps.prints(&[&["include", "apps", "stable"][..], &paths].concat());

    let release = fs::read_to_string(apps.made.path("store/apps/dists/stable/Release")).unwrap();
    let wanted = format!("\nChangelogs: {host}/apps/pool/@CHANGEPATH@_changelog\n");
    assert!(release.contains(&wanted), "{release}");
    let certificate = apps.made.certificate("apps");
    let sources = source(&format!("{host}/apps"), "stable", &certificate);
    for apt in [Apt::new(&sources), Apt::next(&sources)] {
        // That of the next stable has a root of its own, which has nothing of the site.
        let own = apt.folder().join("apps.asc");
        fs::copy(&certificate, &own).unwrap();
        apt.set_sources(&source(&format!("{host}/apps"), "stable", &own));
        apt.update();
        for (package, says) in [("hello", "  * It greets."), ("libfoo1", "  * It is a library.")] {
            let printed = apt.run("apt", &["changelog", package]);
            assert!(printed.ok && printed.text.contains(says), "{package}: {}", printed.text);
        }
        assert!(!apt.get(&["changelog", "--download-only", "plain"]).ok);
    }
    // It is an object as others are.
    let [hello, foo] = [
        "store/apps/pool/main/h/hello/hello_1.0_changelog",
        "store/apps/pool/main/libf/libfoo/libfoo_2.0_changelog",
    ]
    .map(|path| apps.made.path(path));
    assert!(
        apps.run(&["verify"]).status.success(),
        "{}",
        said(&apps.run(&["verify"]))
    );
    let bytes = fs::read(&hello).unwrap();
    fs::remove_file(&hello).unwrap();
    for other in [None, Some("something else")] {
        other.iter().for_each(|other| fs::write(&hello, other).unwrap());
        for verb in ["verify", "fsck"] {
            let named = apps.run(&[verb]);
            let heard = said(&named);
            assert_eq!(named.status.code(), Some(3), "{heard}");
            assert!(heard.contains("apps/pool/main/h/hello/hello_1.0_changelog"), "{heard}");
        }
    }
    fs::write(&hello, &bytes).unwrap();
    assert!(apps.run(&["verify"]).status.success());

    // A change touches what changed, and what nobody lists any more goes.
    let made = fs::metadata(&foo).unwrap().modified().unwrap();
    let second = deb(
        debs,
        "hello",
        "1:1.1",
        "",
        &changelog("hello", "1:1.1", "It greets twice."),
    );
    apps.prints(&["include", "apps", "stable", second.to_str().unwrap()]);
    assert_eq!(fs::metadata(&foo).unwrap().modified().unwrap(), made);
    assert!(
        apps.run(&["verify"]).status.success(),
        "{}",
        said(&apps.run(&["verify"]))
    );
    apps.prints(&["gc", "--at-once"]);
    assert!(!hello.exists() && foo.exists());
    assert!(hello.with_file_name("hello_1.1_changelog").exists());
    apps.prints(&["remove", "apps", "stable", "hello"]);
    apps.prints(&["gc", "--at-once"]);
    assert!(!hello.with_file_name("hello_1.1_changelog").exists() && foo.exists());
    assert!(apps.run(&["verify"]).status.success());
}

/// Whoever has the archive's key can list another changelog, or none: `verify` names it.
#[test]
fn a_changelog_that_is_another_packages_or_is_missing_is_named() {
    let apps = Apps::with("extract-changelogs = true\ncompress = []\n");
    let folder = tempfile::tempdir().unwrap();
    let debs = ["hello", "tool"].map(|name| {
        let text = changelog(name, "1.0", &format!("It is {name}."));
        deb(folder.path(), name, "1.0", "", &text)
    });
    let paths = debs.each_ref().map(|path| path.to_str().unwrap());
    apps.prints(&[&["include", "apps", "stable"][..], &paths].concat());
    assert!(apps.run(&["verify"]).status.success());
    let site = apps.made.load();
    let archive: ArchiveName = "apps".parse().unwrap();
    let config = site.archive(&archive).unwrap();
    let key = site.archive_key(config.signing_key()).unwrap();
    let store = LocalStore::open(&apps.made.path("store")).unwrap();
    let index = "main/changelogs/Changelogs";
    let honest = fs::read_to_string(apps.made.path(&format!("store/apps/dists/stable/{index}"))).unwrap();
    let (hello, tool) = honest.split_once("\n\n").unwrap();
    let mixed = {
        let of_tool = tool.find("Filename").map(|at| &tool[at..]).unwrap();
        format!("{}{of_tool}{tool}", &hello[..hello.find("Filename").unwrap()])
    };
    for (nonce, lie, why) in [
        ("a", mixed, "is not that package's changelog"),
        ("b", tool.to_owned(), "it lacks the changelog of `hello`"),
        (
            "c",
            honest.clone() + &honest.replace(" hello", " other"),
            "no package `other` 1.0 is listed",
        ),
    ] {
        let chain = Chain::load(&store, &archive).unwrap();
        let mut suites = chain.latest().unwrap().suites.clone();
        let suite = suites
            .iter_mut()
            .find(|state| state.suite.as_str() == "stable")
            .unwrap();
        let file = suite
            .indexes
            .iter_mut()
            .find(|file| file.path.as_str() == index)
            .unwrap();
        file.digest = Digest::of(lie.as_bytes());
        let (name, file) = (suite.suite.clone(), file.clone());
        store
            .create(&index_key(&archive, &name, &file), lie.as_bytes())
            .unwrap();
        let record = chain.next(&store, suites, made(nonce, now())).unwrap();
        publish::commit_in_time(&store, &record, Clock::System, &key).unwrap();
        publish::publish(&store, &archive, &key, "http://127.0.0.1:8080").unwrap();
        let named = apps.run(&["verify"]);
        let heard = said(&named);
        assert!(
            named.status.code() == Some(3) && heard.contains("V-INDEX") && heard.contains(why),
            "{heard}"
        );
    }
}
