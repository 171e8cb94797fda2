//! What a site says of a suite is what clients are told, from the next record on.

use std::fs;

use super::site::Site;
use crate::support::apt::{Apt, source};

#[test]
fn a_suite_can_ask_to_be_chosen_by_name() {
    let mut site = Site::new();
    let certificate = site.folder.path().join("key.asc");
    fs::write(&certificate, site.archive_key.certificate_armored().unwrap()).unwrap();
    let url = format!("file:{}/store/custom", site.folder.path().display());
    for (version, not_automatic, upgrades, pin) in [
        ("1.0", false, false, "500"),
        ("1.1", true, false, "1"),
        ("1.2", true, true, "100"),
    ] {
        let suite = &mut site.config.suites[0];
        (suite.not_automatic, suite.but_automatic_upgrades) = (not_automatic, upgrades);
        suite.description = Some(format!("version {version}"));
        site.config.changelogs = Some("https://changes.example.org/@CHANGEPATH@".into());
        site.admit(&site.build(version, version)).unwrap();
        let release = fs::read_to_string(site.folder.path().join("store/custom/dists/stable/Release")).unwrap();
        let said = |line: &str| release.lines().any(|there| there == line);
        assert_eq!(said("NotAutomatic: yes"), not_automatic, "{release}");
        assert_eq!(said("ButAutomaticUpgrades: yes"), upgrades, "{release}");
        assert!(said(&format!("Description: version {version}")), "{release}");
        let apt = Apt::new(&source(&url, "stable", &certificate));
        apt.update();
        let policy = apt.run("apt-cache", &["policy"]).text;
        let line = policy.lines().find(|line| line.contains("store/custom")).unwrap();
        assert_eq!(line.split_whitespace().next(), Some(pin), "{policy}");
        let uris = apt.get(&["changelog", "--print-uris", "hello"]);
        assert!(uris.text.contains("https://changes.example.org/"), "{}", uris.text);
    }
}
