//! The signature on a tag or a commit, and whether the policy lets it count (rule S1). Pure.

use super::SourceError;
use super::signed::{Signers, SourceSignature};
use crate::domain::{GitRef, Timestamp};
use crate::site::{SignerKey, SignerScheme};

const OPENPGP: (&[u8], &[u8]) = (b"-----BEGIN PGP SIGNATURE-----", b"-----END PGP SIGNATURE-----");
const SSH: (&[u8], &[u8]) = (b"-----BEGIN SSH SIGNATURE-----", b"-----END SSH SIGNATURE-----");

/// What was signed, and the signature.
#[derive(Debug)]
pub(super) struct Block<'a> {
    scheme: SignerScheme,
    payload: &'a [u8],
    armor: &'a [u8],
}

impl<'a> Block<'a> {
    /// Of a tag: Git puts the signature at the end of the message. There must be one block: Git takes
    /// the last of several; another reader might take the first.
    pub(super) fn at_the_end(object: &'a [u8], reference: &GitRef) -> Result<Self, SourceError> {
        let refused = |why| SourceError::rule("S1", reference.as_str(), why);
        let finder = memchr::memmem::Finder::new(b"-----BEGIN ");
        let mut starts = finder
            .find_iter(object)
            .filter(|&at| at == 0 || object.get(at - 1) == Some(&b'\n'));
        let start = starts.next().ok_or_else(|| refused("the tag is not signed"))?;
        if starts.next().is_some() {
            return Err(refused("the tag has more than one signature block"));
        }
        let (payload, armor) = object.split_at_checked(start).unwrap_or((object, &[]));
        Self::alone(payload, armor, reference)
    }

    /// A signature that stands apart from what it signs, as a commit's does.
    pub(super) fn alone(payload: &'a [u8], armor: &'a [u8], reference: &GitRef) -> Result<Self, SourceError> {
        let refused = |why| SourceError::rule("S1", reference.as_str(), why);
        let (scheme, end) = if armor.starts_with(OPENPGP.0) {
            (SignerScheme::Openpgp, OPENPGP.1)
        } else if armor.starts_with(SSH.0) {
            (SignerScheme::Ssh, SSH.1)
        } else {
            return Err(refused("its signature is neither OpenPGP's nor SSH's"));
        };
        if !armor.strip_suffix(b"\n").is_some_and(|armor| armor.ends_with(end)) {
            return Err(refused("something follows the signature, or it is cut off"));
        }
        Ok(Self { scheme, payload, armor })
    }
}

/// The entries of the policy whose keys made this signature while they counted; `date` is the
/// tagger's or committer's.
pub(super) fn counts(
    block: &Block<'_>,
    reference: &GitRef,
    date: Timestamp,
    signers: &Signers<'_>,
) -> Result<Vec<SourceSignature>, SourceError> {
    let refused = |why: String| SourceError::rule("S1", reference.as_str(), why);
    let made = signers
        .keys
        .who_signed(
            block.scheme,
            block.payload,
            block.armor,
            signers.allowed,
            date,
            signers.now,
        )
        .map_err(refused)?;
    let mut counted = Vec::new();
    let mut why = "no key of the policy's signers made its signature".to_owned();
    for (fingerprint, made_at) in made {
        let entries = signers.allowed.iter();
        for signer in entries.filter(|s| s.scheme == block.scheme && s.fingerprint == fingerprint) {
            match refusal(signer, made_at, signers.now) {
                None => counted.push(SourceSignature {
                    signer: signer.clone(),
                    made_at,
                }),
                Some(reason) => why = format!("`{fingerprint}` signed it at {made_at}, but {reason}"),
            }
        }
    }
    if counted.is_empty() {
        Err(refused(why))
    } else {
        Ok(counted)
    }
}

/// Why a signature that this signer made at `at` does not count now.
fn refusal(signer: &SignerKey, at: Timestamp, now: Timestamp) -> Option<String> {
    if let Some(revoked) = signer.revoked_at.filter(|&revoked| revoked <= now) {
        return Some(format!("the policy revoked this key {}", revoked.as_since()));
    }
    if let Some(from) = signer.valid_from.filter(|&from| at < from) {
        return Some(format!("the policy lets this key sign from {from} on only"));
    }
    if let Some(until) = signer.valid_until.filter(|&until| at > until) {
        return Some(format!("the policy let this key sign until {until} only"));
    }
    None
}
