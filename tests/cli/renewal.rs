//! What clients notice of renewals: a later Date and Valid-Until over the same indexes.

use std::fs;

use assay::domain::Timestamp;

use super::made::Made;
use crate::support::apt::{Apt, source};
use crate::support::archive::Archive;
use crate::support::http::Upstream;
use crate::support::repository::now;
use crate::support::web::Web;

const DAY: i64 = 86_400;

/// What an InRelease says.
#[derive(Debug)]
struct Says {
    date: Timestamp,
    valid_until: Timestamp,
    /// The lines of its lists of hashes.
    hashes: Vec<String>,
}

/// The InRelease at the head of a suite.
fn head(made: &Made, archive: &str, suite: &str) -> Says {
    let path = made
        .path("store")
        .join(archive)
        .join("dists")
        .join(suite)
        .join("InRelease");
    let text = fs::read_to_string(path).unwrap();
    let date = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        Timestamp::parse_release_date(line.trim()).unwrap()
    };
    Says {
        date: date("Date:"),
        valid_until: date("Valid-Until:"),
        hashes: text
            .lines()
            .filter(|line| line.starts_with(' '))
            .map(str::to_owned)
            .collect(),
    }
}

/// `verb ARCHIVE` is run at the start, within the first half of ten valid days, and in the second:
/// only the last changes what clients read, and apt takes it today.
fn is_renewed_after_half_its_days(made: &Made, start: Timestamp, verb: &str, archive: &str, suite: &str) {
    made.run_at(start, &[verb, archive]);
    let first = head(made, archive, suite);
    // A custom archive's file may have been put in force by a snapshot of its own.
    assert!((0..=1).contains(&first.date.since(start)), "{first:?}");
    assert_eq!(first.valid_until, first.date.plus(10 * DAY));
    assert!(!first.hashes.is_empty());

    made.run_at(start.plus(4 * DAY), &[verb, archive]);
    let young = head(made, archive, suite);
    assert_eq!((young.date, young.valid_until), (first.date, first.valid_until));

    let today = start.plus(6 * DAY);
    made.run_at(today, &[verb, archive]);
    let renewed = head(made, archive, suite);
    assert_eq!((renewed.date, renewed.valid_until), (today, today.plus(10 * DAY)));
    assert_eq!(renewed.hashes, first.hashes);
    made.apt(archive, suite).update();
}

/// A site whose mirror `debian` follows this upstream, made at an instant.
fn mirroring(upstream: &Upstream, start: Timestamp) -> Made {
    let signer = assay::trust::ArchiveKey::generate("Upstream <u@example.org>", start.plus(-400 * DAY)).unwrap();
    upstream.set(Archive::new(start.plus(-3600)).files(&signer));
    let made = Made::at(start);
    fs::write(made.path("upstream.asc"), signer.certificate_armored().unwrap()).unwrap();
    made.edit("repos/debian.toml", |text| {
        let (before, rest) = text.split_once("signers = [").unwrap();
        let (_, after) = rest.split_once(']').unwrap();
        format!("{before}signers = [\"{}\"]{after}", signer.fingerprint())
            .replace("\"Debian\"", "\"Foundry\"")
            .replace("/usr/share/keyrings/debian-archive-keyring.gpg", "upstream.asc")
            .replace(
                "# uri = \"http://deb.example.org/debian/\"",
                &format!("uri = \"{}\"", upstream.url()),
            )
    });
    made
}

#[test]
fn a_mirror_whose_upstream_is_silent_does_not_expire() {
    let start = now().plus(-6 * DAY);
    let upstream = Upstream::start();
    let made = mirroring(&upstream, start);
    is_renewed_after_half_its_days(&made, start, "mirror", "debian", "tin");
}

/// Whoever keeps us from upstream must not freeze clients for longer than the days that they were promised.
#[test]
fn what_upstream_vouches_for_no_more_is_not_renewed_as_news() {
    // Its Valid-Until is after seven days; the site's own limit may be earlier.
    for (days, max_age_days) in [(8, None), (6, Some(3))] {
        let start = now().plus(-days * DAY);
        let upstream = Upstream::start();
        let made = mirroring(&upstream, start);
        if let Some(days) = max_age_days {
            made.edit("repos/debian.toml", |text| format!("max-age-days = {days}\n{text}"));
        }
        made.run_at(start, &["mirror", "debian"]);
        let first = head(&made, "debian", "tin");
        let renewed = made.run(&["snapshot", "renew", "--all"]);
        let said = super::text(&renewed.stderr);
        assert!(renewed.status.success(), "{said}");
        assert!(said.contains("upstream's own Release of `tin` counts until"), "{said}");
        assert_eq!(head(&made, "debian", "tin").valid_until, first.valid_until);
        let verified = made.run(&["verify"]);
        let said = super::text(&verified.stdout) + &super::text(&verified.stderr);
        assert_eq!(verified.status.code(), Some(3), "{said}");
        assert!(
            said.contains("V-EXPIRED") && said.contains("run `assay mirror debian`"),
            "{said}"
        );
        // Somebody builds from it.
        made.run(&["snapshot", "keep", "debian@latest"]);
        assert!(made.run(&["snapshot", "renew", "--all"]).status.success());
        assert!(head(&made, "debian", "tin").valid_until > first.valid_until);
        let verified = made.run(&["verify"]);
        assert!(
            verified.status.success(),
            "on purpose: {}",
            super::text(&verified.stdout)
        );
    }
}

/// Dates rise by a second at least, and apt 3's sqv takes no signature of a second that is still to come.
#[test]
fn what_is_made_several_times_within_a_second_is_never_of_the_future() {
    let upstream = Upstream::start();
    let made = mirroring(&upstream, now().plus(-DAY));
    let succeeds = |args: &[&str]| {
        let output = made.run(args);
        assert!(output.status.success(), "{args:?}: {output:?}");
    };
    succeeds(&["mirror", "debian"]);
    succeeds(&[&["snapshot", "renew"][..], &["debian@latest"; 4]].concat());
    let renewed = head(&made, "debian", "tin");
    assert!(renewed.date <= now(), "{renewed:?}");
    made.apt("debian", "tin").update();
    let web = Web::serve(&made.path("store/debian"));
    let next = Apt::next("");
    // That is all of this machine that it sees.
    let certificate = next.folder().join("ours.asc");
    fs::copy(made.certificate("debian"), &certificate).unwrap();
    next.set_sources(&source(&web.url, "tin", &certificate));
    next.update();

    // A clock that was far ahead, once: nothing that clients refuse is made after it, and it is said why.
    made.run_at(now().plus(DAY), &["snapshot", "renew", "debian@latest"]);
    let ahead = head(&made, "debian", "tin");
    let refused = made.run(&["snapshot", "renew", "debian@latest"]);
    let said = super::text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(5), "{said}");
    assert!(said.contains("E-PUBLISH-020") && said.contains("clock"), "{said}");
    assert_eq!(head(&made, "debian", "tin").date, ahead.date);
}

#[test]
fn a_custom_archive_that_nothing_enters_does_not_expire() {
    let start = now().plus(-6 * DAY);
    let made = Made::at(start);
    made.commit_custom(start);
    is_renewed_after_half_its_days(&made, start, "publish", "custom", "stable");
}

#[test]
fn what_image_builds_export_is_not_the_present() {
    let made = Made::at(now());
    let published = made
        .command(&["publish", "custom"])
        .env("SOURCE_DATE_EPOCH", "86400")
        .output()
        .unwrap();
    assert!(published.status.success(), "{published:?}");
    let date = head(&made, "custom", "stable").date;
    assert!(date.unix() > 86_400 * 365, "{date}");
    for how in ["-q", "--json"] {
        let run = made
            .command(&["status", how])
            .env("ASSAY_TEST_CLOCK", "86400")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&run.stderr);
        assert!(said.contains("for a test, now is 1970-01-02"), "{said}");
    }
    let slip = made.command(&["status"]).env("ASSAY_TEST_CLOCK", "yesterday").output();
    let slip = slip.unwrap();
    assert_eq!(slip.status.code(), Some(2));
    let said = String::from_utf8_lossy(&slip.stderr);
    assert!(said.contains("E-HOST-007") && said.contains("next: unset it"), "{said}");
}
