//! `source-of`, `outputs-of` and `by-signer`: between packages, commits and keys.

use std::collections::BTreeSet;

use rayon::prelude::*;

use super::QueryError;
use super::answer::{Answer, State};
use super::facts::DecisionId;
use super::index::Index;
use crate::domain::{DomainError, PackageName, Sha256};
use crate::publish::load_vouched;
use crate::verify::{Found, Problem, Subject, find};

/// What is asked about with a name: a binary or source package, or a file by its hash.
fn is_meant(subject: &Subject, path: &str, sha256: &Sha256, source: Option<&PackageName>) -> bool {
    match subject {
        Subject::File(wanted) => wanted == sha256,
        Subject::Package(name) => {
            let file = path.rsplit('/').next().unwrap_or_default();
            let package = file.split_once('_').map_or("", |(package, _)| package);
            source == Some(name) || (super::facts::is_package(path) && package == name.as_str())
        }
    }
}

/// The sources behind a file or a package: the commit, its signed tag, and who signed it. What only a mirror has
/// is upstream's: its source package is named.
///
/// # Errors
/// When the store cannot be read.
pub fn source_of(index: &mut Index<'_>, subject: &Subject) -> Result<Vec<Answer>, QueryError> {
    let mut ids = BTreeSet::new();
    for (id, listed) in &index.listed {
        let source = index.known.decisions.get(id).map(|facts| &facts.source);
        if listed
            .iter()
            .any(|listed| is_meant(subject, listed.path.as_str(), &listed.sha256, source))
        {
            ids.insert(id.clone());
        }
    }
    for (id, facts) in index.known.decisions.iter().filter(|(id, _)| index.in_scope(id)) {
        let mut files = facts.files.iter();
        if files.any(|(path, sha256)| is_meant(subject, path.as_str(), sha256, Some(&facts.source))) {
            ids.insert(id.clone());
        }
    }
    if ids.is_empty() {
        let found = find(index.store(), index.anchors(), subject)?;
        return Ok(found.map(|found| mirrored(index, &found)).into_iter().collect());
    }
    index.recheck(ids.iter());
    let answer = |id: &DecisionId| {
        let declared = index.known.decisions.get(id).and_then(|facts| facts.declared.as_ref());
        let why = match declared {
            Some(declared) => format!("built from commit {} at {}", declared.git_commit, declared.reference),
            None => "its source is not known".to_owned(),
        };
        let mut answer = Answer::of_decision(index, id, why);
        if let Subject::File(sha256) = subject {
            answer.files.retain(|_, found| found == sha256);
        }
        answer
    };
    Ok(ids.iter().map(answer).collect())
}

fn mirrored(index: &Index<'_>, found: &Found<'_>) -> Answer {
    let (binary, archive) = (found.binary(), found.archive());
    let (source, version) = (binary.source.as_str(), binary.source_version.as_str());
    let why = format!(
        "{} {} is upstream's, from its source {source} {version}: `assay why {}` checks upstream's signature",
        binary.package, binary.version, binary.package
    );
    let mut answer = Answer::bare(archive, source, version, State::Mirrored, why);
    answer.suites = vec![found.suite().to_string()];
    answer.files.insert(binary.filename.clone(), binary.digest.sha256);
    let vouched = index
        .anchor(archive)
        .map(|anchor| load_vouched(index.store(), archive, &anchor.keyring));
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
    let named = index.known.decisions.iter().filter(|(id, facts)| {
        let declared = facts.declared.as_ref();
        let meant = declared.is_some_and(|d| {
            d.git_commit.starts_with(&commit)
                || d.git_tag.as_ref().is_some_and(|tag| tag.starts_with(&commit))
                || d.reference == commit
        });
        meant && index.in_scope(id)
    });
    let ids: Vec<DecisionId> = named.map(|(id, _)| id.clone()).collect();
    index.recheck(ids.iter());
    let answer = |id: &DecisionId| {
        let why = match index.known.decisions.get(id) {
            Some(facts) => format!("{} packages were admitted of it", facts.outputs().len()),
            None => "nothing is known of it".to_owned(),
        };
        Answer::of_decision(index, id, why)
    };
    Ok(ids.iter().map(answer).collect())
}

/// Everything that stands on a key: sources that it signed, and packages that it rebuilt. A fingerprint may be
/// cut short after eight digits at least.
///
/// # Errors
/// When it is no fingerprint.
pub fn by_signer(index: &mut Index<'_>, fingerprint: &str) -> Result<Vec<Answer>, QueryError> {
    let digits = fingerprint.rsplit(':').next().unwrap_or_default();
    if digits.len() < 8 {
        let why = "it is too short: give a whole fingerprint, as `assay key list` prints it";
        return Err(DomainError::new("fingerprint", fingerprint, why).into());
    }
    let is = |found: &str| found == fingerprint || (digits.len() >= 8 && found.starts_with(fingerprint));
    let mut found = Vec::new();
    for (id, facts) in index.known.decisions.iter().filter(|(id, _)| index.in_scope(id)) {
        let declared = facts.declared.iter().flat_map(|declared| &declared.signers);
        let signed = declared.filter(|signer| is(signer.as_str()));
        let mut said: Vec<String> = signed
            .map(|signer| format!("its source is signed by {signer}"))
            .collect();
        for record in facts
            .records
            .iter()
            .filter_map(|sha256| index.known.records.get(sha256))
        {
            let by = record.signed_by.iter().filter(|key| is(key.as_str()));
            said.extend(by.map(|key| format!("{} rebuilt it with {key}", record.builder)));
        }
        if !said.is_empty() {
            said.dedup();
            found.push((id.clone(), said.join("; ")));
        }
    }
    index.recheck(found.iter().map(|(id, _)| id));
    let index: &Index<'_> = index;
    let answers = found
        .into_par_iter()
        .map(|(id, why)| Answer::of_decision(index, &id, why));
    Ok(answers.collect())
}
