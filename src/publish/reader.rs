//! What readers will make of a Release file, before it takes the place of the one before.
//!
//! A signer may be a program of somebody else's, or a key that has ended: what came of it is read here as clients
//! read it. Indexes and files are not: each was hashed, from the store, since it is in no edition before.

use super::{PublishError, Release};
use crate::domain::Timestamp;
use crate::lint::{Finding, Object, Outcome, Question, Seen, judge};
use crate::snapshot::SuiteState;
use crate::trust::{Keyring, Requirement, latest_date, verify_detached, verify_inrelease};

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
    // A signature of another program or machine may be a little later than the Release.
    let dates = [&signed.inrelease, &signed.release_gpg].map(|bytes| latest_date(bytes));
    let now = dates.into_iter().flatten().fold(state.date, Timestamp::max);
    let keys = keyring.fingerprints().len();
    let requirement = Requirement {
        keyring,
        threshold: u32::try_from(keys).unwrap_or(u32::MAX),
        now,
    };
    let verified = verify_inrelease(&signed.inrelease, &requirement).map_err(ours)?;
    if verified.text != release.text {
        let why = "InRelease is signed over another text than Release has".to_owned();
        return Err(unreadable("our own reader".to_owned(), why));
    }
    verify_detached(&release.text, &signed.release_gpg, &requirement).map_err(ours)?;
    let suite = state.suite.as_str();
    let question = Question {
        suite,
        components: Vec::new(),
        architectures: Vec::new(),
        languages: Vec::new(),
        sources: None,
        keyring: Some(keyring),
        now,
        files: false,
    };
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
        Some(finding) => {
            let apts: Vec<&str> = finding.apts.iter().map(|apt| apt.name()).collect();
            Err(unreadable(
                apts.join(" and "),
                format!("{} ({})", finding.why, finding.code),
            ))
        }
        None => Ok(()),
    }
}
