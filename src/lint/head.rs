//! What apt does with a Release whose signature it took: times, names, and what changed.

use super::Apt;
use super::finding::{Findings, Outcome};
use super::judge::Judging;
use super::release::{Release, Unloadable, date};
use super::signed::Believed;
use crate::domain::{SignedByKey, Timestamp};

/// How far ahead of a client's clock a Release may be, in seconds.
const AHEAD: i64 = 10;

/// What apt does with a Release; false when it goes no further.
pub(super) fn head(
    judging: &Judging<'_>,
    findings: &mut Findings,
    believed: &Believed,
    before: Option<&Before>,
) -> bool {
    let at = believed.at.as_str();
    let release = match Release::load(&believed.text) {
        Ok(release) => release,
        Err(why) => {
            let why = match why {
                Unloadable::Malformed => "it is no section of fields".to_owned(),
                Unloadable::Hashes(name) => format!("a line of `{name}` is not a hash, a size and a name"),
            };
            findings.add(Outcome::Reject, "L-RELEASE", at, why);
            return false;
        }
    };
    if !release.entries.values().any(super::release::Entry::is_usable) {
        findings.add(Outcome::Reject, "L-WEAK-HASH", at, "it lists no SHA-256 and no SHA-512");
        findings.saying("provides only weak security information");
        return false;
    }
    let last = before.and_then(|before| Release::load(&before.text).ok());
    if let Some(why) = last
        .as_ref()
        .and_then(|last| unlike_signed_by(last, believed, judging.question.now))
    {
        let why = format!("{why}: clients whose source names no key of its own keep what they have");
        findings.add(Outcome::Accept, "L-SIGNED-BY", at, why);
    }
    let taken = times(judging, findings, at, &release, last.as_ref());
    if !taken {
        return false;
    }
    if !distribution(judging.question.suite, &release) {
        let got = release.get("Codename").unwrap_or_default();
        findings.add(
            Outcome::Warn,
            "L-DISTRIBUTION",
            at,
            format!("neither its Suite nor its Codename is `{}`", judging.question.suite),
        );
        findings.saying(format!("(expected {} but got {got})", judging.question.suite));
    }
    if let Some(last) = &last
        && !unchanged(findings, at, last, &release)
    {
        return false;
    }
    fields(findings, at, &release);
    true
}

/// What clients have already.
pub(super) struct Before {
    /// The text of its Release.
    pub(super) text: String,
}

/// Dates. False when the Release is not taken.
fn times(
    judging: &Judging<'_>,
    findings: &mut Findings,
    at: &str,
    release: &Release<'_>,
    last: Option<&Release<'_>>,
) -> bool {
    let now = judging.question.now;
    let made = release.date();
    if made.is_none() {
        let why = "its Date is missing, or not RFC 1123 in UTC";
        findings.add(Outcome::Warn, "L-DATE", at, why);
        findings.saying("Invalid 'Date' entry in Release file");
    }
    match release.get("Valid-Until").map(date) {
        Some(None) => {
            findings.add(
                Outcome::Reject,
                "L-VALID-UNTIL",
                at,
                "its Valid-Until is not RFC 1123 in UTC",
            );
            // That is all that it says, of the Release as a whole.
            findings.saying("provides only weak security information");
            return false;
        }
        Some(Some(end)) if now > end => {
            findings.add(
                Outcome::Reject,
                "L-EXPIRED",
                at,
                format!("it expired at {}", end.rfc3339()),
            );
            findings.saying("is expired (invalid since");
            return false;
        }
        Some(Some(_)) => {}
        None => findings.add(
            Outcome::Accept,
            "L-NO-VALID-UNTIL",
            at,
            "it has no Valid-Until: whoever is between can keep clients at this state for ever",
        ),
    }
    if let Some(made) = made.filter(|made| made.since(now) > AHEAD) {
        let why = format!("it is dated {}, and now is {}", made.rfc3339(), now.rfc3339());
        findings.add(Outcome::Reject, "L-FUTURE", at, why);
        findings.saying("is not valid yet (invalid for another");
        return false;
    }
    let zero = Timestamp::from_unix(0);
    let old = last.and_then(Release::date).unwrap_or(zero);
    if old > made.unwrap_or(zero) {
        let why = format!(
            "its Date is before {}, which clients have: they keep that",
            old.rfc3339()
        );
        match findings.apt {
            Apt::Gpgv => findings.add(Outcome::Ignore, "L-OLDER", at, why),
            Apt::Sqv => {
                // It forgets what the source says, and so all that it says is beside the point.
                findings.add(Outcome::Warn, "L-OLDER", at, why);
                findings.saying("Missing Signed-By in the sources.list(5) entry");
            }
        }
        return false;
    }
    true
}

/// Whether a Release is of the suite that was asked for (`metaIndex::CheckDist`).
fn distribution(suite: &str, release: &Release<'_>) -> bool {
    let is = |name: &str| [release.get("Codename"), release.get("Suite")].contains(&Some(name));
    let folder = suite.rsplit_once('/').map_or(suite, |(folder, _)| folder);
    is(suite) || folder.is_empty() || folder == "." || is(folder)
}

/// Whether nothing changed that people pin by.
fn unchanged(findings: &mut Findings, at: &str, last: &Release<'_>, release: &Release<'_>) -> bool {
    let mut taken = true;
    for (name, fatal) in [
        ("Origin", true),
        ("Label", true),
        ("Codename", true),
        ("Suite", false),
        ("Version", false),
    ] {
        let [was, is] = [last, release].map(|release| release.get(name).unwrap_or_default());
        if was == is {
            continue;
        }
        let outcome = if fatal { Outcome::Reject } else { Outcome::Warn };
        taken &= !fatal;
        findings.add(
            outcome,
            "L-CHANGED",
            at,
            format!("its {name} was `{was}` and is `{is}`"),
        );
        findings.saying(format!("changed its '{name}' value from '{was}' to '{is}'"));
    }
    let [was, is] = [last.default_pin(), release.default_pin()];
    if was != is {
        taken = false;
        let why = format!("packages of it had the priority {was} and have {is}");
        findings.add(Outcome::Reject, "L-CHANGED", at, why);
        findings.saying(format!(
            "changed its default priority for apt_preferences(5) from {was} to {is}."
        ));
    }
    taken
}

/// Fields that have no effect where they stand.
fn fields(findings: &mut Findings, at: &str, release: &Release<'_>) {
    let named = release.get("Origin").is_some() || release.get("Label").is_some();
    if findings.apt == Apt::Sqv && release.get("Snapshots").is_some() && !named {
        let why = "without an Origin or a Label its field Snapshots has no effect";
        findings.add(Outcome::Ignore, "L-SNAPSHOTS", at, why);
    }
    if release.get("Signed-By").is_some() && release.get("Valid-Until").is_none() {
        let why = "without a Valid-Until its field Signed-By has no effect";
        findings.add(Outcome::Accept, "L-SIGNED-BY", at, why);
    }
    if let Some(url) = release.get("Changelogs")
        && url != "no"
        && !url.contains("@CHANGEPATH@")
    {
        let why = format!("its Changelogs is `{url}`, without `@CHANGEPATH@`: `apt changelog` finds none");
        findings.add(Outcome::Accept, "L-CHANGELOGS", at, why);
    }
    if release.default_pin() != 500 {
        let why = format!("NotAutomatic: its packages have the priority {}", release.default_pin());
        findings.add(Outcome::Accept, "L-PIN", at, why);
    }
}

/// Why the Release before does not allow the signers of this one, as long as it is valid.
fn unlike_signed_by(last: &Release<'_>, believed: &Believed, now: Timestamp) -> Option<String> {
    let allowed = last.get("Signed-By")?;
    let end = last.get("Valid-Until").and_then(date)?;
    let fingerprints: Vec<String> = allowed
        .split([',', '\n', ' '])
        .map(|word| word.trim().to_ascii_uppercase())
        .filter(|word| !word.is_empty())
        .collect();
    // One that is not makes apt ignore them all.
    let well_formed = |word: &String| SignedByKey::new(word.as_str()).is_ok();
    if now > end || believed.signers.is_empty() || !fingerprints.iter().all(well_formed) {
        return None;
    }
    let is_allowed = believed.signers.iter().any(|signer| fingerprints.contains(signer));
    (!is_allowed).then(|| "the Release before it has a Signed-By that names none of its signers".to_owned())
}
