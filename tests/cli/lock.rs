//! `assay lock`: one file that says which state everything is in.

use std::fs;

use super::retention::three_days;
use super::snapshots::archive;
use crate::support::archive::noon;
use crate::support::mirrored::Mirrored;

#[test]
fn a_lock_names_the_state_and_everything_goes_by_it() {
    let site = Mirrored::new("http://repository.example", "{ count = 1 }");
    let [_, _, third] = three_days(&site);
    let at = noon().plus_days(2).plus(600);
    let first = site.run(at, &["lock"]);
    assert!(first.starts_with("added archive foundry: - → "), "{first}");
    let path = site.site().join("assay.lock");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("format 1\narchive foundry "), "{text}");
    assert!(text.contains(&third), "{text}");
    assert_eq!(site.run(at, &["lock", "--check"]), "");
    assert_eq!(site.run(at, &["lock"]), "");
    assert_eq!(
        fs::read_to_string(&path).unwrap(),
        text,
        "the same state, the same bytes"
    );

    // Renewing is no change of state; following upstream is.
    site.run(at, &["snapshot", "renew", "foundry"]);
    assert_eq!(site.run(at, &["lock", "--check"]), "");
    let fourth = site.follow(&archive(3, &[("alloy", "9")]));
    let later = noon().plus_days(3).plus(600);
    let check = site.output(later, &["lock", "--check"]);
    assert_eq!(check.status.code(), Some(1), "{check:?}");
    let said = String::from_utf8(check.stdout).unwrap();
    assert!(said.starts_with("changed archive foundry: "), "{said}");
    assert!(said.contains(&third) && said.contains(&fourth), "{said}");

    // What the lock names is kept, printed, tagged and verified.
    let id = text.lines().nth(1).unwrap().split(' ').nth(3).unwrap().to_owned();
    let sources = site.run(later, &["sources", "--lock", "assay.lock"]);
    assert!(
        sources.contains(&format!("URIs: http://repository.example/foundry/{id}/\n")),
        "{sources}"
    );
    let all = site.json(later, &["snapshot", "list", "foundry"]);
    let why = |serial: &str| all.iter().find(|one| one["serial"] == *serial).unwrap()["why"].clone();
    assert_eq!(why(&third), "locked by assay.lock");
    let content = text.lines().nth(1).unwrap().rsplit(' ').next().unwrap().to_owned();
    site.run(later, &["tag", "release-1", "--lock", "assay.lock"]);
    let tagged = site.run(later, &["snapshot", "show", "foundry@release-1"]);
    assert!(tagged.contains(&content), "{tagged}");
    site.run(later, &["verify"]);

    // Another content under the same serial is no state that this store ever had.
    fs::write(&path, text.replace(&content, &"ab".repeat(32))).unwrap();
    let verify = site.output(later, &["verify"]);
    assert_eq!(verify.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&verify.stdout).starts_with("V-LOCK assay.lock: foundry: "));
    let sources = site.output(later, &["sources", "--lock", "assay.lock"]);
    assert_eq!(sources.status.code(), Some(3), "{sources:?}");
    assert!(sources.stdout.is_empty());
    let said = String::from_utf8_lossy(&sources.stderr).into_owned();
    assert!(said.contains("E-CLI-020") && said.contains(&content), "{said}");
}
