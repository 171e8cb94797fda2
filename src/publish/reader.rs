//! What readers will make of a Release file, before it takes the place of the one before.
//!
//! A signer may be a program of somebody else's, or a key that has ended: what came of it is read here as clients
//! read it. Indexes and files are not: each was hashed, from the store, since it is in no edition before.

use super::project::{LARGEST_INRELEASE, release_of};
use super::{PublishError, Release, Signed};
use crate::domain::{RelPath, Sha256, Timestamp};
use crate::index::release::{SNAPSHOTS, lines_but};
use crate::lint::{Finding, Object, Outcome, Question, Seen, judge};
use crate::snapshot::{Edition, Record, SuiteState};
use crate::store::{Key, Store};
use crate::trust::{Keyring, Requirement, latest_date, verify_detached, verify_inrelease, verify_release_gpg};

/// The largest signed file that is read: what apt takes, in bytes.
const LARGEST: u64 = 10_000_000;

/// Reads both signed forms of a Release on the day that it is of: as we do ourselves, and as each apt does.
///
/// # Errors
/// `Unreadable`.
pub(super) fn read_as_clients(state: &SuiteState, release: &Release, keyring: &Keyring) -> Result<(), PublishError> {
    let unreadable = |by: String, why: String| PublishError::Unreadable {
        suite: state.suite.clone(),
        by,
        why,
    };
    let ours = |error: crate::trust::TrustError| unreadable("our own reader".to_owned(), error.to_string());
    let signed = &release.signed;
    let requirement = by_all(state, signed, keyring);
    let verified = verify_inrelease(&signed.inrelease, &requirement).map_err(ours)?;
    if verified.text != release.text {
        let why = "InRelease is signed over another text than Release has".to_owned();
        return Err(unreadable("our own reader".to_owned(), why));
    }
    verify_detached(&release.text, &signed.release_gpg, &requirement).map_err(ours)?;
    let suite = state.suite.as_str();
    let question = question(suite, Some(keyring), requirement.now);
    let mut seen = Seen::default();
    let inrelease = Object::Bytes(signed.inrelease.clone());
    seen.objects.insert(format!("dists/{suite}/InRelease"), inrelease);
    let first = judge(&question, &seen, None).findings;
    let next = match release
        .text
        .split(|byte| *byte == b'\n')
        .any(|line| line.starts_with(b"Signed-By:"))
    {
        true => judge(&question, &seen, Some(&seen)).findings,
        false => Vec::new(),
    };
    // A client that has this Release would not take the next one, by the same keys.
    let shuts_out = |finding: &&Finding| finding.code == "L-SIGNED-BY" && !first.contains(finding);
    match first
        .iter()
        .filter(|finding| finding.outcome == Outcome::Reject)
        .chain(next.iter().filter(shuts_out))
        .next()
    {
        Some(finding) => Err(unreadable(apts_of(finding), why_of(finding))),
        None => Ok(()),
    }
}

/// Looks at what the Release files of a snapshot would say before it is made: as each apt reads them, whoever signs them.
///
/// # Errors
/// `Unfit`; `TooLarge`.
pub(super) fn check_texts(record: &Record) -> Result<(), PublishError> {
    let edition = Edition::of_record(record, None);
    for state in &edition.suites {
        let suite = state.suite.as_str();
        let text = release_of(&edition, state, "");
        let size = text.len() as u64;
        if size > LARGEST_INRELEASE {
            return Err(PublishError::TooLarge {
                suite: state.suite.clone(),
                size,
                limit: LARGEST_INRELEASE,
            });
        }
        let mut seen = Seen::default();
        for (name, object) in [
            ("InRelease", Object::Absent),
            ("Release", Object::Bytes(text)),
            ("Release.gpg", Object::Bytes(Vec::new())),
        ] {
            seen.objects.insert(format!("dists/{suite}/{name}"), object);
        }
        let findings = judge(&question(suite, None, state.date), &seen, None).findings;
        if let Some(finding) = findings.iter().find(|finding| finding.outcome == Outcome::Reject) {
            return Err(PublishError::Unfit {
                suite: state.suite.clone(),
                by: apts_of(finding),
                why: why_of(finding),
            });
        }
    }
    Ok(())
}

/// Asks about a Release alone.
fn question<'a>(suite: &'a str, keyring: Option<&'a Keyring>, now: Timestamp) -> Question<'a> {
    Question {
        suite,
        components: Vec::new(),
        architectures: Vec::new(),
        languages: Vec::new(),
        sources: None,
        keyring,
        now,
        files: false,
    }
}

fn apts_of(finding: &Finding) -> String {
    let apts: Vec<&str> = finding.apts.iter().map(|apt| apt.name()).collect();
    apts.join(" and ")
}

fn why_of(finding: &Finding) -> String {
    format!("{} ({})", finding.why, finding.code)
}

/// What an edition's signed files are already, or what was signed elsewhere to become them: when all keys of a keyring
/// signed this very text in both, and nobody else. A token is not asked twice, and publishing again changes nothing.
pub(super) fn signed_before(
    store: &dyn Store,
    edition: &Edition,
    state: &SuiteState,
    text: &[u8],
    keyring: &Keyring,
) -> Option<Signed> {
    let sha256 = Sha256::of(text);
    let brought = |name: &str| {
        store
            .get(&Key::signed(&edition.archive, &sha256, name).ok()?, LARGEST)
            .ok()
    };
    both(&brought)
        .filter(|signed| is_signed(state, signed, text, keyring))
        .or_else(|| {
            let signed = both(&|name: &str| public(store, edition, state, name))?;
            is_signed(state, &signed, text, keyring).then_some(signed)
        })
}

/// What clients have of an edition already, when it is `text` but for where snapshots are: the site's `public-url` is another
/// since. Two texts of one Date are not signed as long as these files are there, so the next snapshot or renewal says it.
pub(super) fn said_before(
    store: &dyn Store,
    edition: &Edition,
    state: &SuiteState,
    text: &[u8],
    keyring: &Keyring,
) -> Option<Release> {
    let said = public(store, edition, state, "Release").filter(|said| said != text)?;
    if lines_but(&said, &[SNAPSHOTS]) != lines_but(text, &[SNAPSHOTS]) {
        return None;
    }
    let signed = both(&|name: &str| public(store, edition, state, name))?;
    is_signed(state, &signed, &said, keyring).then_some(Release { text: said, signed })
}

fn both(get: &dyn Fn(&str) -> Option<Vec<u8>>) -> Option<Signed> {
    Some(Signed {
        inrelease: get("InRelease")?,
        release_gpg: get("Release.gpg")?,
    })
}

/// A signed file of an edition as it is published.
fn public(store: &dyn Store, edition: &Edition, state: &SuiteState, name: &str) -> Option<Vec<u8>> {
    let path = RelPath::new(name).ok()?;
    let key = Key::dists_named(&edition.archive, &state.suite, edition.name.as_str(), &path);
    store.get(&key, LARGEST).ok()
}

fn is_signed(state: &SuiteState, signed: &Signed, text: &[u8], keyring: &Keyring) -> bool {
    let requirement = by_all(state, signed, keyring);
    let inrelease = verify_inrelease(&signed.inrelease, &requirement);
    let detached = verify_release_gpg(text, &signed.release_gpg, &requirement, false);
    match (inrelease, detached) {
        (Ok(inrelease), Ok(detached)) => {
            inrelease.text == text && inrelease.others.is_empty() && detached.others.is_empty()
        }
        _ => false,
    }
}

/// That each key has signed, on the day of the Release. A signature of another program or machine may be a little later.
fn by_all<'k>(state: &SuiteState, signed: &Signed, keyring: &'k Keyring) -> Requirement<'k> {
    let dates = [&signed.inrelease, &signed.release_gpg].map(|bytes| latest_date(bytes));
    Requirement {
        keyring,
        threshold: u32::try_from(keyring.fingerprints().len()).unwrap_or(u32::MAX),
        now: dates.into_iter().flatten().fold(state.date, Timestamp::max),
    }
}
