//! From a verified tag to a declaration and the bytes of a source package.

use super::{Declaration, Repository, SourceError, SourceKeys, VerifiedTag};
use crate::domain::{Component, FileName, GitRef, Sha256, SuiteName, Timestamp};
use crate::site::SignerKey;

/// The bytes of a derived source package.
#[derive(Debug, Clone)]
pub struct SourcePackage {
    /// The .dsc first, then the tarballs by name.
    pub files: Vec<(FileName, Vec<u8>)>,
    /// The tree's manifest: `mode SP sha256 SP path NUL` for each file, sorted bytewise by path.
    pub manifest: Vec<u8>,
}

impl SourcePackage {
    /// The tree's identity: SHA-256 of the manifest.
    #[must_use]
    pub fn tree_sha256(&self) -> Sha256 {
        Sha256::of(&self.manifest)
    }
}

/// Derives the declaration of the tagged source, for `suites` and `component`, and its bytes.
/// Without `upstream`, a `3.0 (quilt)` package's upstream tag is `refs/tags/upstream/<version>`.
///
/// # Errors
/// When a rule from S3 to S9 does not hold, or a file below `debian/` cannot be read.
pub fn declare(
    repository: &Repository,
    git: &str,
    tag: &VerifiedTag,
    upstream: Option<&GitRef>,
    suites: &[SuiteName],
    component: &Component,
) -> Result<(Declaration, SourcePackage), SourceError> {
    let _ = (repository, git, upstream, suites, component);
    Err(SourceError::rule("S9", tag.tag_ref.as_str(), "not built yet"))
}

/// Verifies the tag of `declaration` again, derives everything again, and compares with every field.
///
/// # Errors
/// As `verify_tag` and `declare`; and with the first field that differs.
pub fn check(
    repository: &Repository,
    declaration: &Declaration,
    signers: &[SignerKey],
    keys: &SourceKeys,
    now: Timestamp,
) -> Result<SourcePackage, SourceError> {
    let tag = super::verify_tag(repository, &declaration.tag_ref, signers, keys, now)?;
    let upstream = declaration.upstream.as_ref().map(|u| &u.tag_ref);
    let derived = declare(
        repository,
        &declaration.git,
        &tag,
        upstream,
        &declaration.suites,
        &declaration.component,
    );
    derived.map(|(_, package)| package)
}
