//! What readers will make of a Release file, before it takes the place of the one before.
//!
//! A signer may be a program of somebody else's, or a key that has ended: what came of it is read here as clients
//! read it. Indexes and files are not: each was hashed, from the store, since it is in no edition before.

use super::{PublishError, Release};
use crate::lint::{Object, Outcome, Question, Seen, judge};
use crate::snapshot::SuiteState;
use crate::trust::{Keyring, Requirement, verify_detached, verify_inrelease};

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
    let requirement = Requirement {
        keyring,
        threshold: 1,
        now: state.date,
    };
    let signed = &release.signed;
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
        now: state.date,
        files: false,
    };
    let mut seen = Seen::default();
    let inrelease = Object::Bytes(signed.inrelease.clone());
    seen.objects.insert(format!("dists/{suite}/InRelease"), inrelease);
    let judgement = judge(&question, &seen, None);
    match judgement
        .findings
        .iter()
        .find(|finding| finding.outcome == Outcome::Reject)
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
