//! What an archive's state consists of, besides what it publishes: each entry, each signature and each mark is named when
//! it is lost or changed, and what was marked to be kept stays.

use std::fs;

use assay::domain::Sha256;

use super::damage::{files, replace};
use crate::support::archive::{Archive, noon};
use crate::support::mirrored::Mirrored;

/// A mirror with two snapshots, the first of them marked to be kept, renewed twice and tagged.
fn marked() -> (Mirrored, String) {
    let site = Mirrored::new("http://127.0.0.1:1", "{ count = 1 }");
    let first = site.follow(&Archive::new(noon()));
    let at = noon().plus(600);
    site.run(at, &["snapshot", "keep", &format!("foundry@{first}")]);
    for later in [700, 800] {
        site.run(noon().plus(later), &["snapshot", "renew", "foundry"]);
    }
    site.run(noon().plus(900), &["tag", "t2"]);
    let mut second = Archive::new(noon().plus(1200));
    second.pool = [("pool/main/b/brass/brass_1_amd64.deb".to_owned(), b"brass".to_vec())].into();
    site.follow(&second);
    (site, first)
}

/// What fsck names, and its exit code.
fn fsck(site: &Mirrored) -> (Vec<String>, Option<i32>) {
    let said = site.output(noon().plus(1800), &["fsck"]);
    let text = String::from_utf8(said.stdout).unwrap();
    let lines = text
        .lines()
        .filter(|line| line.starts_with("V-"))
        .map(ToOwned::to_owned);
    (lines.collect(), said.status.code())
}

#[test]
fn each_entry_signature_and_mark_that_is_lost_or_flipped_is_named() {
    let (site, _) = marked();
    let store = site.site().join("store");
    assert_eq!(fsck(&site), (vec![], Some(0)));
    let mut wrong = Vec::new();
    let superseded = fs::read(store.join("state/foundry/renewals/1/1.json")).unwrap();
    let superseded = format!("/signatures/{}", Sha256::of(&superseded));
    for path in files(&store.join("state/foundry")) {
        let name = path.strip_prefix(&store).unwrap().to_str().unwrap();
        // These only say that something need not be looked for; that is asked for no more.
        if name.contains("/filled/") || name.ends_with(&superseded) {
            continue;
        }
        let bytes = fs::read(&path).unwrap();
        let mut flipped = bytes.clone();
        // In the random part of an entry, which nothing but its hash covers.
        let nonce = String::from_utf8_lossy(&bytes)
            .find("\"nonce\":\"")
            .map_or(bytes.len() / 2, |at| at + 10);
        if let Some(byte) = flipped.get_mut(nonce) {
            *byte = if *byte == b'1' { b'2' } else { b'1' };
        }
        for (is_lost, other) in [(true, None), (false, Some(&flipped))] {
            if !is_lost && bytes.is_empty() {
                continue;
            }
            match other {
                Some(other) => replace(&path, other),
                None => fs::remove_file(&path).unwrap(),
            }
            let (lines, code) = fsck(&site);
            let how = if is_lost { "lost" } else { "flipped" };
            if code != Some(3) || lines.len() != 1 || !lines[0].split(' ').nth(1).unwrap().starts_with(name) {
                wrong.push(format!("{how} {name}: {lines:#?}"));
            }
            fs::write(&path, &bytes).unwrap();
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// One file that is gone lets nothing go: its copy says the same, and fsck puts it back.
#[test]
fn what_is_marked_to_be_kept_stays_when_its_mark_is_lost() {
    let site = Mirrored::new("http://127.0.0.1:1", "{ count = 1 }");
    let first = site.follow(&Archive::new(noon()));
    site.run(noon().plus(600), &["snapshot", "keep", &format!("foundry@{first}")]);
    let store = site.site().join("store");
    let [mark, copy] = ["marks", "said"].map(|folder| store.join(format!("state/foundry/{folder}/1.json")));
    let bytes = fs::read(&mark).unwrap();
    assert_eq!(fs::read(&copy).unwrap(), bytes);
    site.follow(&Archive::new(noon().plus(1200)));
    let at = noon().plus(1800);
    let kept = store.join(format!("foundry/dists/tin/{first}/InRelease"));
    for lost in [&mark, &copy] {
        fs::remove_file(lost).unwrap();
        let (lines, code) = fsck(&site);
        assert_eq!((lines.len(), code), (1, Some(3)), "{lines:?}");
        assert!(lines[0].contains("assay fsck foundry --repair"), "{lines:?}");
        site.run(at, &["gc", "--at-once"]);
        assert!(kept.exists());
        assert!(site.run(at, &["fsck", "--repair"]).starts_with("whole: "));
        assert_eq!(fs::read(lost).unwrap(), bytes);
    }
    // Both are gone: the record that was made since names the mark, and nothing is let go.
    for lost in [&mark, &copy] {
        fs::remove_file(lost).unwrap();
    }
    let published = files(&store.join("foundry"));
    for verb in [
        &["gc", "--at-once"][..],
        &["snapshot", "keep", &format!("foundry@{first}")],
    ] {
        let refused = site.output(at, verb);
        let said = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(3), "{said}");
        assert!(
            said.contains("E-COLLECT-006") && said.contains("put the mark and its signature back"),
            "{said}"
        );
    }
    assert_eq!(files(&store.join("foundry")), published);
    let (lines, code) = fsck(&site);
    assert_eq!((lines.len(), code), (1, Some(3)), "{lines:?}");
    assert!(
        lines[0].starts_with("V-MISSING state/foundry/marks/1.json: "),
        "{lines:?}"
    );
    // Mirroring goes on, and forgets nothing.
    site.follow(&Archive::new(noon().plus(2400)));
    let again = site.output(noon().plus(3000), &["gc", "--at-once"]);
    assert_eq!(again.status.code(), Some(3));
    fs::write(&mark, &bytes).unwrap();
    site.run(noon().plus(3000), &["fsck", "--repair"]);
    site.run(noon().plus(3000), &["gc", "--at-once"]);
    assert!(kept.exists());
}
