//! Signed tags and signed commits: rules S1 and S2, and the dates of S9.

use std::collections::{BTreeMap, BTreeSet};

use super::object::{self, Kind, Object};
use super::signature::{Block, counts};
use super::{DeclaredSigner, Repository, SourceError, SourceKeys};
use crate::domain::{Fingerprint, GitOid, GitRef, PackageName, Timestamp};
use crate::site::{SignerKey, SignerScheme};

/// How far the clocks of those who commit, tag and verify may differ, in seconds.
pub(super) const SKEW: i64 = 3600;
/// 1980-01-01: before it some archive formats cannot tell the time, and no tag was made.
pub(super) const EARLIEST: i64 = 315_532_800;

/// Who may sign sources, as a policy says, and what time it is.
#[derive(Debug, Clone, Copy)]
pub struct Signers<'a> {
    /// The policy's signers.
    pub allowed: &'a [SignerKey],
    /// Their public keys.
    pub keys: &'a SourceKeys,
    /// How many people must have signed; at least 1.
    pub threshold: u32,
    /// The present.
    pub now: Timestamp,
}

/// A tag or a commit whose signature holds.
#[derive(Debug, Clone)]
pub struct SignedSource {
    /// The ref it was found under: the tag, or the branch that has the commit.
    pub reference: GitRef,
    /// The tag object; none when it is the commit that is signed.
    pub tag: Option<GitOid>,
    /// The commit.
    pub commit: GitOid,
    /// That commit's tree.
    pub tree: GitOid,
    /// When the tagger, or the committer, says it was made.
    pub date: Timestamp,
    /// The signatures that hold, on the tag and on the commit, each key once for each entry of the policy that allows it, by key.
    pub signatures: Vec<SourceSignature>,
    /// The tag's message, with whatever tools wrote into it; empty when there is no tag.
    pub(super) message: Vec<u8>,
}

/// A signature that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceSignature {
    /// The entry of the policy that allowed it.
    pub signer: SignerKey,
    /// When it was made: the signature's own time, or the tagger's or committer's.
    pub made_at: Timestamp,
}

/// Verifies what stands at `reference`: an annotated tag, or below `refs/heads/` the commit `commit`
/// (absent: the newest). It must be signed by one of `signers` within the time that its key counts.
///
/// A tag must name itself as the ref does, and name a commit; signatures on that commit count too.
/// A commit must be in the branch's history.
///
/// # Errors
/// Rule S1 when no signature of a signer holds; S2 when the tag is not what the ref says, or the branch
/// lacks the commit; S3 when an object is not what its id says; S9 when it is from the future or from
/// before 1980.
pub fn verify_signed(
    repository: &Repository,
    reference: &GitRef,
    commit: Option<&GitOid>,
    signers: &Signers<'_>,
) -> Result<SignedSource, SourceError> {
    if reference.as_str().starts_with("refs/heads/") {
        verify_commit(repository, reference, commit, signers)
    } else {
        verify_tag(repository, reference, signers)
    }
}

fn verify_tag(repository: &Repository, reference: &GitRef, signers: &Signers<'_>) -> Result<SignedSource, SourceError> {
    let id = repository.resolve(reference)?;
    let object = repository.any_object(&id)?;
    if object.kind != Kind::Tag {
        let why = "it is a lightweight tag, which nobody signed";
        return Err(SourceError::rule("S2", reference.as_str(), why));
    }
    let tag = object.tag()?;
    check_header(&tag, reference)?;
    check_date("S9", reference.as_str(), tag.date, signers.now)?;
    let block = Block::at_the_end(&object.bytes, reference)?;
    let mut signatures = counts(&block, reference, tag.date, signers)?;
    // Peeled once: `type commit` was demanded, and the object must be one.
    let commit = repository.object(&tag.object, Kind::Commit)?;
    // One more signature may add to a threshold; one that does not hold takes nothing away.
    if let Ok(Some(more)) = on_commit(&commit, reference, signers) {
        signatures.extend(more);
    }
    Ok(SignedSource {
        reference: reference.clone(),
        tag: Some(id),
        tree: commit.commit()?.tree,
        commit: tag.object,
        date: tag.date,
        signatures: each_key_once(signatures),
        message: tag.message,
    })
}

fn verify_commit(
    repository: &Repository,
    reference: &GitRef,
    wanted: Option<&GitOid>,
    signers: &Signers<'_>,
) -> Result<SignedSource, SourceError> {
    let newest = repository.resolve(reference)?;
    let id = wanted.unwrap_or(&newest);
    let object = repository.object(id, Kind::Commit)?;
    if *id != newest && !repository.is_ancestor(id, &newest)? {
        let why = format!("the commit `{id}` is not in its history");
        return Err(SourceError::rule("S2", reference.as_str(), why));
    }
    let commit = object.commit()?;
    check_date("S9", id.as_str(), commit.date, signers.now)?;
    let signatures = on_commit(&object, reference, signers)?
        .ok_or_else(|| SourceError::rule("S1", id.as_str(), "the commit is not signed"))?;
    Ok(SignedSource {
        reference: reference.clone(),
        tag: None,
        commit: id.clone(),
        tree: commit.tree,
        date: commit.date,
        signatures: each_key_once(signatures),
        message: Vec::new(),
    })
}

/// The signatures of signers on a commit; none when it is not signed at all.
fn on_commit(
    object: &Object,
    reference: &GitRef,
    signers: &Signers<'_>,
) -> Result<Option<Vec<SourceSignature>>, SourceError> {
    let Some(signed) = object.signed_commit()? else {
        return Ok(None);
    };
    let block = Block::alone(&signed.payload, &signed.signature, reference)?;
    counts(&block, reference, object.commit()?.date, signers).map(Some)
}

/// A policy may have a key twice, each time for other source packages: both entries stay.
fn each_key_once(signatures: Vec<SourceSignature>) -> Vec<SourceSignature> {
    let mut once: Vec<SourceSignature> = Vec::new();
    for signature in signatures {
        if !once.iter().any(|there| there.signer == signature.signer) {
            once.push(signature);
        }
    }
    once.sort_by(|a, b| a.signer.fingerprint.cmp(&b.signer.fingerprint));
    once
}

impl SignedSource {
    /// Those of the signers who may sign this source package; enough people must have.
    pub(super) fn signers_of(
        &self,
        source: &PackageName,
        signers: &Signers<'_>,
    ) -> Result<Vec<DeclaredSigner>, SourceError> {
        let may = |signature: &&SourceSignature| {
            let sources = &signature.signer.sources;
            sources.is_empty() || sources.contains(source)
        };
        let signed: BTreeMap<&Fingerprint, &SignerKey> = self
            .signatures
            .iter()
            .filter(may)
            .map(|signature| (&signature.signer.fingerprint, &signature.signer))
            .collect();
        let refused = |why: String| Err(SourceError::rule("S1", self.reference.as_str(), why));
        if signed.is_empty() {
            return refused(format!("its signers may not sign the source package `{source}`"));
        }
        // A person with two keys is one person.
        let people: BTreeSet<&str> = signed.values().map(|signer| signer.name.as_str()).collect();
        if people.len() < signers.threshold as usize {
            return refused(format!(
                "{} of {} people signed it who may sign `{source}`",
                people.len(),
                signers.threshold
            ));
        }
        Ok(signed.into_values().map(declared).collect())
    }
}

pub(super) fn declared(key: &SignerKey) -> DeclaredSigner {
    DeclaredSigner {
        scheme: key.scheme,
        fingerprint: key.fingerprint.clone(),
    }
}

/// The header's own name must be the ref's: Git verifies a tag object under any ref.
pub(super) fn check_header(tag: &object::Tag, tag_ref: &GitRef) -> Result<(), SourceError> {
    let refused = |why: String| Err(SourceError::rule("S2", tag_ref.as_str(), why));
    let Some(name) = tag_ref.tag_name() else {
        return refused("it is neither below `refs/tags/` nor below `refs/heads/`".to_owned());
    };
    if tag.name != name {
        let own = crate::domain::escape(&tag.name);
        return refused(format!("the tag object there calls itself `{own}`"));
    }
    match tag.kind.as_str() {
        "commit" => Ok(()),
        "tag" => refused("it is a tag of a tag".to_owned()),
        _ => refused("it does not name a commit".to_owned()),
    }
}

/// Rule S9: not before 1980, not after `latest` by more than clocks differ.
pub(super) fn check_date(
    rule: &'static str,
    what: &str,
    date: Timestamp,
    latest: Timestamp,
) -> Result<(), SourceError> {
    if date.unix() < EARLIEST {
        return Err(SourceError::rule(rule, what, format!("its date {date} is before 1980")));
    }
    if date.since(latest) > SKEW {
        return Err(SourceError::rule(
            rule,
            what,
            format!("its date {date} is after {latest}"),
        ));
    }
    Ok(())
}

impl SourceSignature {
    /// OpenPGP or SSH.
    #[must_use]
    pub fn scheme(&self) -> SignerScheme {
        self.signer.scheme
    }
}
