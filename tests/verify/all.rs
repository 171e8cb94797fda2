//! Packages for all architectures, where the archive's file says: apt, lint and `verify` agree on each.

use assay::lint::{Outcome, Question, Repository, lint};
use assay::site::AllPackages::{self, Also, Apart, Everywhere};
use assay::snapshot::{Chain, SuiteState, kept_index, read_plain_index};
use assay::trust::Keyring;

use super::{Published, admit};
use crate::admission::site::Site;
use crate::support::apt::{Apt, source};
use crate::support::repository::now;
use crate::support::web::Web;

fn newest(published: &Published) -> SuiteState {
    let chain = Chain::load(&published.site.store, &published.site.archive).unwrap();
    chain.latest().unwrap().suites[0].clone()
}

/// Whether an index is there, and has the package.
fn lists(published: &Published, path: &str) -> Option<bool> {
    let state = newest(published);
    let index = kept_index(&state, path)?;
    let text = read_plain_index(&published.site.store, &published.site.archive, &state.suite, index).unwrap();
    Some(String::from_utf8(text).unwrap().contains("Package: hello\n"))
}

#[test]
fn packages_for_all_architectures_are_listed_where_the_archive_says() {
    let mut site = Site::new();
    site.architecture = "all";
    let policy = admit(&site, "1.0", "first");
    let mut published = Published { site, policy };
    let certificate = published.site.archive_key.certificate_armored().unwrap();
    let keyring = Keyring::parse(certificate.as_bytes()).unwrap();
    let folder = published.store().join("custom");
    let web = Web::serve(&folder);
    let apts = [Apt::new(""), Apt::next("")];
    for apt in &apts {
        let path = apt.folder().join("key.asc");
        std::fs::write(&path, &certificate).unwrap();
        apt.set_sources(&source(&web.url, "stable", &path));
    }
    let steps: [(&str, AllPackages, bool, Option<bool>); 4] = [
        ("1.1", Also, true, Some(true)),
        ("1.2", Apart, false, Some(true)),
        ("1.3", Everywhere, true, None),
        ("1.4", Apart, false, Some(true)),
    ];
    for (version, all, in_each, of_their_own) in steps {
        published.site.config.all = all;
        admit(&published.site, version, version);
        assert_eq!(
            lists(&published, "main/binary-amd64/Packages"),
            Some(in_each),
            "{version}"
        );
        assert_eq!(lists(&published, "main/binary-all/Packages"), of_their_own, "{version}");
        let fields = newest(&published).fields;
        let said = fields.iter().any(|(name, _)| name == "No-Support-for-Architecture-all");
        assert_eq!(said, all == Also, "{version}");
        assert_eq!(published.problems(&published.store()), [], "{version}");
        let question = Question {
            suite: "stable",
            components: Vec::new(),
            architectures: Vec::new(),
            languages: Vec::new(),
            sources: None,
            keyring: Some(&keyring),
            now: now(),
            files: true,
        };
        let judgement = lint(&Repository::Folder(folder.clone()), None, &question).unwrap();
        let accepted = judgement
            .verdicts
            .iter()
            .all(|verdict| verdict.outcome == Outcome::Accept);
        assert!(accepted, "{version}: {:?}", judgement.findings);
        // Dates rise by a second each time, and sqv takes no signature of a second that is still to come.
        while now() < newest(&published).date {
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        for apt in &apts {
            // A web server tells times to the second, and this test is faster.
            std::fs::remove_dir_all(apt.folder().join("var/lib/apt/lists")).unwrap();
            std::fs::create_dir_all(apt.folder().join("var/lib/apt/lists/partial")).unwrap();
            apt.update();
            assert_eq!(apt.versions("hello"), [version]);
        }
    }
}
