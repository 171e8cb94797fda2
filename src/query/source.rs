//! `source-of`, `outputs-of` and `by-signer`: between packages, commits and keys.

use rayon::prelude::*;

use super::QueryError;
use super::answer::{Answer, State};
use super::facts::DecisionId;
use super::index::Index;
use super::key::WhichKey;
use super::view::Decision;
use crate::domain::{DomainError, Sha256};
use crate::verify::{Anchor, Found, Problem, Proof, Subject, VerifyError, find};

/// What is asked about with a name: a binary or source package, or a file by its hash.
fn is_meant(subject: &Subject, path: &str, sha256: &Sha256, source: Option<&str>) -> bool {
    match subject {
        Subject::File(wanted) => wanted == sha256,
        Subject::Package(name) => {
            let file = path.rsplit('/').next().unwrap_or_default();
            let package = file.split_once('_').map_or("", |(package, _)| package);
            source == Some(name.as_str()) || (super::facts::is_package(path) && package == name.as_str())
        }
    }
}

/// The sources behind a file or a package: the commit, its signed tag, and who signed it. What only a mirror has
/// is upstream's: its source package is named.
///
/// # Errors
/// When the store cannot be read.
pub fn source_of(index: &mut Index<'_>, subject: &Subject) -> Result<Vec<Answer>, QueryError> {
    let ids: Vec<DecisionId> = index
        .scope()
        .par_iter()
        .filter(|id| is_about(index, id, subject))
        .copied()
        .collect();
    if ids.is_empty() {
        let findings = find(index.store(), index.anchors(), subject);
        if let (true, Some(unread)) = (findings.found.is_empty(), findings.unread.into_iter().next()) {
            return Err(VerifyError::Unread(Box::new(unread)).into());
        }
        return Ok(findings.found.iter().map(|found| listed(index, found)).collect());
    }
    index.recheck(&ids);
    let answer = |id: &DecisionId| {
        let decision = index.decision(id);
        let why = match decision.and_then(Decision::declared) {
            Some(declared) => format!("built from commit {} at {}", declared.git_commit, declared.reference),
            None => match decision.and_then(Decision::imported) {
                Some(imported) => format!("its source is upstream's: {imported}"),
                None => "its source is not known".to_owned(),
            },
        };
        let mut answer = Answer::of_decision(index, id, why);
        if let Subject::File(sha256) = subject {
            answer.files.retain(|_, found| found == sha256);
        }
        answer
    };
    Ok(ids.iter().map(answer).collect())
}

/// Whether it let in what is asked about, as the snapshots or as the decision itself say.
fn is_about(index: &Index<'_>, id: &DecisionId, subject: &Subject) -> bool {
    let decision = index.decision(id);
    let source = decision.map(|decision| decision.source);
    let mut listed = index.listed.of(id).iter();
    let mut files = decision.into_iter().flat_map(|decision| decision.files.iter());
    listed.any(|listed| is_meant(subject, listed.path.as_str(), &listed.sha256, source))
        || files.any(|(path, sha256)| is_meant(subject, path, &sha256, source))
}

/// What a mirror lists, or an unproven archive.
fn listed(index: &Index<'_>, found: &Found<'_>) -> Answer {
    let (binary, archive) = (found.binary(), found.archive());
    let (source, version) = (binary.source.as_str(), binary.source_version.as_str());
    let anchor = index.anchors().archive(archive);
    let is_unproven = anchor.is_some_and(Anchor::is_unproven);
    let (state, says) = match is_unproven {
        true => (
            State::Unproven,
            format!("unproven, and says itself that it is from {source} {version}: it is here on the operator's word"),
        ),
        false => (
            State::Mirrored,
            format!(
                "upstream's, from its source {source} {version}: `assay why {}` checks upstream's signature",
                binary.package
            ),
        ),
    };
    let why = format!("{} {} is {says}", binary.package, binary.version);
    let mut answer = Answer::bare(archive.to_string(), source, version, state, why);
    if is_unproven {
        answer.proof = Proof::Unknown;
    }
    answer.suites = vec![found.suite().to_string()];
    answer.files.insert(binary.filename.clone(), binary.digest.sha256);
    let vouched = anchor.map(|anchor| anchor.chain(index.store()));
    if let Some(Err(error)) = vouched {
        answer.doubted(Some(&Problem::new(Problem::RECORD, archive, error)));
    }
    answer
}

/// What came of a commit, named by its id or the first seven digits of it, of its tag object, or by the tag's
/// full name.
///
/// # Errors
/// When it is none of these.
pub fn outputs_of(index: &mut Index<'_>, commit: &str) -> Result<Vec<Answer>, QueryError> {
    let hexadecimal = commit.len() >= 7 && commit.bytes().all(|b| b.is_ascii_hexdigit());
    if !hexadecimal && !commit.starts_with("refs/") {
        let why = "it is neither a commit's id, seven digits of it at least, nor a ref such as refs/tags/v1.0";
        return Err(DomainError::new("commit", commit, why).into());
    }
    let commit = if hexadecimal {
        commit.to_ascii_lowercase()
    } else {
        commit.to_owned()
    };
    let meant = |id: &DecisionId| {
        index.decision(id).and_then(Decision::declared).is_some_and(|declared| {
            declared.git_commit.starts_with(&commit)
                || declared.git_tag.is_some_and(|tag| tag.starts_with(&commit))
                || declared.reference == commit
        })
    };
    let ids: Vec<DecisionId> = index.scope().par_iter().filter(|id| meant(id)).copied().collect();
    index.recheck(&ids);
    let answer = |id: &DecisionId| {
        let why = match index.decision(id) {
            Some(decision) => format!("{} packages were admitted of it", decision.outputs().len()),
            None => "nothing is known of it".to_owned(),
        };
        Answer::of_decision(index, id, why)
    };
    Ok(ids.par_iter().map(answer).collect())
}

/// Everything that stands on a key: sources that it signed, and packages that it rebuilt. It is named by its
/// fingerprint, which may be cut short after eight digits at least, by the end of one, the public key, or the
/// builder who has it. None when nobody knows it: neither a policy nor what was decided.
///
/// # Errors
/// When it is none of these.
pub fn by_signer(index: &mut Index<'_>, asked: &str) -> Result<Option<Vec<Answer>>, QueryError> {
    let which = WhichKey::new(asked)?;
    let is = |found: &str| which.is(found);
    let said = |id: &DecisionId| {
        let decision = index.decision(id)?;
        let signers = decision
            .declared()
            .into_iter()
            .flat_map(|declared| declared.signers.iter());
        let signed = signers.filter(|signer| is(signer));
        let mut said: Vec<String> = signed
            .map(|signer| format!("its source is signed by {signer}"))
            .collect();
        if let Some(imported) = decision.imported() {
            let by = imported.signers.iter().filter(|key| is(key));
            said.extend(by.map(|key| format!("{key} signed upstream's Release: {imported}")));
        }
        let records = decision.records.iter();
        for record in records.filter_map(|reference| index.known.record_of(reference)) {
            let of_builder = which.is_builder(record.builder);
            let by = record.signed_by.iter().filter(|key| of_builder || is(key));
            said.extend(by.map(|key| format!("{} rebuilt it with {key}", record.builder)));
        }
        said.dedup();
        (!said.is_empty()).then(|| (*id, said.join("; ")))
    };
    let found: Vec<(DecisionId, String)> = index.scope().par_iter().filter_map(said).collect();
    index.recheck(&found.iter().map(|(id, _)| *id).collect::<Vec<_>>());
    let index: &Index<'_> = index;
    let mut policies = index.anchors().archives.iter().flat_map(Anchor::policies);
    if found.is_empty() && !policies.any(|policy| which.is_in(policy)) {
        return Ok(None);
    }
    let answers = found
        .into_par_iter()
        .map(|(id, why)| Answer::of_decision(index, &id, why));
    Ok(Some(answers.collect()))
}
