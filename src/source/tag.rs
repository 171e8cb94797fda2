//! Signed tags: rules S1, S2, and the dates of S9.

use super::object::{self, Kind};
use super::{DeclaredSigner, Repository, SourceError, SourceKeys};
use crate::domain::{GitOid, GitRef, PackageName, Timestamp};
use crate::site::{SignerKey, SignerScheme};

/// How far the clocks of those who commit, tag and verify may differ, in seconds.
pub(super) const SKEW: i64 = 3600;
/// 1980-01-01: before it some archive formats cannot tell the time, and no tag was made.
pub(super) const EARLIEST: i64 = 315_532_800;

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
    /// The entries of the policy that allowed them.
    allowed: Vec<SignerKey>,
}

/// Verifies the annotated tag at `tag_ref`: signed by one of `signers` within the time that its key
/// counts, naming itself as the ref does, and naming a commit.
///
/// # Errors
/// Rule S1 when no signature of a signer holds; S2 when the tag is not what the ref says; S3 when an
/// object is not what its id says; S9 when it is from the future or from before 1980.
pub fn verify_tag(
    repository: &Repository,
    tag_ref: &GitRef,
    signers: &[SignerKey],
    keys: &SourceKeys,
    now: Timestamp,
) -> Result<VerifiedTag, SourceError> {
    let id = repository.resolve(tag_ref)?;
    let object = repository.any_object(&id)?;
    if object.kind != Kind::Tag {
        let why = "it is a lightweight tag, which nobody signed";
        return Err(SourceError::rule("S2", tag_ref.as_str(), why));
    }
    let tag = object.tag()?;
    check_header(&tag, tag_ref)?;
    check_date("S9", tag_ref.as_str(), tag.date, now)?;
    let signature = Signature::of(&object.bytes, tag_ref)?;
    let allowed = signature.verify(tag_ref, tag.date, signers, keys, now)?;
    // Peeled once: `type commit` was demanded, and the object must be one.
    let commit = repository.object(&tag.object, Kind::Commit)?.commit()?;
    Ok(VerifiedTag {
        tag_ref: tag_ref.clone(),
        tag: id,
        commit: tag.object,
        tree: commit.tree,
        date: tag.date,
        signers: allowed.iter().map(declared).collect(),
        allowed,
    })
}

impl VerifiedTag {
    /// The signers who may sign this source package.
    pub(super) fn signers_of(&self, source: &PackageName) -> Result<Vec<DeclaredSigner>, SourceError> {
        let may = |key: &&SignerKey| key.sources.is_empty() || key.sources.contains(source);
        let signers: Vec<DeclaredSigner> = self.allowed.iter().filter(may).map(declared).collect();
        if signers.is_empty() {
            let why = format!("its signers may not sign the source package `{source}`");
            return Err(SourceError::rule("S1", self.tag_ref.as_str(), why));
        }
        Ok(signers)
    }
}

fn declared(key: &SignerKey) -> DeclaredSigner {
    DeclaredSigner {
        scheme: key.scheme,
        fingerprint: key.fingerprint.clone(),
    }
}

/// The header's own name must be the ref's: Git verifies a tag object under any ref.
pub(super) fn check_header(tag: &object::Tag, tag_ref: &GitRef) -> Result<(), SourceError> {
    let refused = |why: String| Err(SourceError::rule("S2", tag_ref.as_str(), why));
    let Some(name) = tag_ref.tag_name() else {
        return refused("it is not below `refs/tags/`".to_owned());
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

/// What was signed, and the signature: Git puts it at the end of the message.
struct Signature<'a> {
    scheme: SignerScheme,
    payload: &'a [u8],
    block: &'a [u8],
}

const OPENPGP: (&[u8], &[u8]) = (b"-----BEGIN PGP SIGNATURE-----", b"-----END PGP SIGNATURE-----");
const SSH: (&[u8], &[u8]) = (b"-----BEGIN SSH SIGNATURE-----", b"-----END SSH SIGNATURE-----");

impl<'a> Signature<'a> {
    /// Finds the one block. Git takes the last of several; another reader might take the first.
    fn of(object: &'a [u8], tag_ref: &GitRef) -> Result<Self, SourceError> {
        let refused = |why| SourceError::rule("S1", tag_ref.as_str(), why);
        let finder = memchr::memmem::Finder::new(b"-----BEGIN ");
        let mut starts = finder
            .find_iter(object)
            .filter(|&at| at == 0 || object.get(at - 1) == Some(&b'\n'));
        let start = starts.next().ok_or_else(|| refused("the tag is not signed"))?;
        if starts.next().is_some() {
            return Err(refused("the tag has more than one signature block"));
        }
        let (payload, block) = object.split_at_checked(start).unwrap_or((object, &[]));
        let (scheme, end) = if block.starts_with(OPENPGP.0) {
            (SignerScheme::Openpgp, OPENPGP.1)
        } else if block.starts_with(SSH.0) {
            (SignerScheme::Ssh, SSH.1)
        } else {
            return Err(refused("its signature is neither OpenPGP's nor SSH's"));
        };
        if !block.strip_suffix(b"\n").is_some_and(|block| block.ends_with(end)) {
            return Err(refused("something follows the signature, or it is cut off"));
        }
        Ok(Self { scheme, payload, block })
    }

    /// The entries of the policy whose keys made this signature while they counted.
    fn verify(
        &self,
        tag_ref: &GitRef,
        tag_date: Timestamp,
        signers: &[SignerKey],
        keys: &SourceKeys,
        now: Timestamp,
    ) -> Result<Vec<SignerKey>, SourceError> {
        let refused = |why: String| SourceError::rule("S1", tag_ref.as_str(), why);
        let made = keys
            .who_signed(self.scheme, self.payload, self.block, signers, tag_date, now)
            .map_err(refused)?;
        let mut allowed = Vec::new();
        let mut why = "no key of the policy's signers made its signature".to_owned();
        for (fingerprint, at) in made {
            for signer in signers
                .iter()
                .filter(|s| s.scheme == self.scheme && s.fingerprint == fingerprint)
            {
                match refusal(signer, at, now) {
                    None => allowed.push(signer.clone()),
                    Some(reason) => why = format!("`{fingerprint}` signed it at {at}, but {reason}"),
                }
            }
        }
        if allowed.is_empty() {
            Err(refused(why))
        } else {
            Ok(allowed)
        }
    }
}

/// Why a signature that this signer made at `at` does not count now.
fn refusal(signer: &SignerKey, at: Timestamp, now: Timestamp) -> Option<String> {
    if let Some(revoked) = signer.revoked_at.filter(|&revoked| revoked <= now) {
        return Some(format!("the policy revoked this key at {revoked}"));
    }
    if let Some(from) = signer.valid_from.filter(|&from| at < from) {
        return Some(format!("the policy lets this key sign from {from} on only"));
    }
    if let Some(until) = signer.valid_until.filter(|&until| at > until) {
        return Some(format!("the policy let this key sign until {until} only"));
    }
    None
}
