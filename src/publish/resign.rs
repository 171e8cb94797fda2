//! Signing anew what is there, when other keys sign than did: the same content, the same entries.
//!
//! An entry's own signature is the last to change: one that is by all keys that sign now says that what is published of it
//! is, too. After a crash the next run finds the rest by that.

use super::project::publish_tag;
use super::vouch::{read_signature, sign, statement};
use super::{PublishError, ReleaseSigner, check_vouched};
use crate::domain::SignedByKey;
use crate::snapshot::{Edition, Entry, TagRecord};
use crate::store::Store;
use crate::trust::{Keyring, Requirement, latest_date, verify_release_gpg};

/// Whether all keys that sign now vouch for an entry, and nobody else.
///
/// # Errors
/// The store's failure, where it is not that there is no signature.
pub fn is_by_all(store: &dyn Store, entry: &impl Entry, keyring: &Keyring) -> Result<bool, PublishError> {
    let sha256 = entry.identity()?;
    let Ok(signature) = read_signature(store, entry, &sha256) else {
        return Ok(false);
    };
    let keys = keyring.fingerprints().len();
    let requirement = Requirement {
        keyring,
        threshold: u32::try_from(keys).unwrap_or(u32::MAX),
        now: latest_date(&signature).map_or(entry.made_at(), |date| date.max(entry.made_at())),
    };
    let verified = verify_release_gpg(&statement(entry, &sha256), &signature, &requirement, true);
    Ok(verified.is_ok_and(|verified| verified.others.is_empty()))
}

/// Whether an edition is to be published anew, since other keys sign or follow than it says.
///
/// # Errors
/// As `is_by_all`.
pub fn is_signed_otherwise(
    store: &dyn Store,
    entry: &impl Entry,
    edition: &Edition,
    signer: &dyn ReleaseSigner,
) -> Result<bool, PublishError> {
    let follow: &[SignedByKey] = if edition.valid_days.is_some() {
        signer.signed_by()
    } else {
        &[]
    };
    Ok(edition.signed_by != follow || !is_by_all(store, entry, &signer.keyring()?)?)
}

/// Makes the signature on an entry one by all keys that sign now. Whether it was not.
///
/// # Errors
/// `NotVouched` when none of them signed it before: it is not ours to say that it is good. The signer's or the store's
/// failure.
pub fn vouch_anew(store: &dyn Store, entry: &impl Entry, signer: &dyn ReleaseSigner) -> Result<bool, PublishError> {
    let keyring = signer.keyring()?;
    if is_by_all(store, entry, &keyring)? {
        return Ok(false);
    }
    check_vouched(store, entry, &keyring)?;
    sign(store, entry, signer)?;
    Ok(true)
}

/// Signs a tag anew, which keeps its Date: there is nothing in it that could be another. Whether that was to be done.
///
/// # Errors
/// As `publish_tag` and `vouch_anew`.
pub fn resign_tag(
    store: &dyn Store,
    tag: &TagRecord,
    signer: &dyn ReleaseSigner,
    public_url: &str,
) -> Result<bool, PublishError> {
    if is_by_all(store, tag, &signer.keyring()?)? {
        return Ok(false);
    }
    match publish_tag(store, &tag.archive, &tag.tag, signer, public_url) {
        // What is to be signed elsewhere is written out together with the entry.
        Ok(_) | Err(PublishError::Waits { .. }) => vouch_anew(store, tag, signer),
        Err(error) => Err(error),
    }
}
