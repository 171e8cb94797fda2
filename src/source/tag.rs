//! Signed tags: rules S1 and S2.

use super::{DeclaredSigner, Repository, SourceError, SourceKeys};
use crate::domain::{GitOid, GitRef, Timestamp};
use crate::site::SignerKey;

/// A tag whose signature holds.
#[derive(Debug, Clone)]
pub struct VerifiedTag {
    /// The ref it was found under.
    pub tag_ref: GitRef,
    /// The tag object.
    pub tag: GitOid,
    /// The commit it names.
    pub commit: GitOid,
    /// That commit's tree.
    pub tree: GitOid,
    /// When the tagger says it was made.
    pub date: Timestamp,
    /// Whose signatures hold.
    pub signers: Vec<DeclaredSigner>,
    /// The entries of the policy that allowed them, in the same order.
    pub allowed: Vec<SignerKey>,
}

/// Verifies the annotated tag at `tag_ref`: signed by one of `signers` within the time that its key
/// counts, naming itself as the ref does, and naming a commit.
///
/// # Errors
/// Rule S1 when no signature of a signer holds; S2 when the tag is not what the ref says; S3 when an
/// object is not what its id says; S9 when it is from the future.
pub fn verify_tag(
    repository: &Repository,
    tag_ref: &GitRef,
    signers: &[SignerKey],
    keys: &SourceKeys,
    now: Timestamp,
) -> Result<VerifiedTag, SourceError> {
    let _ = (repository, signers, keys, now);
    Err(SourceError::rule("S1", tag_ref.as_str(), "not built yet"))
}
