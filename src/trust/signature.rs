//! When a signature counts.

use super::{Keyring, TrustError};
use crate::domain::{Fingerprint, Timestamp};

/// What it takes to be believed.
#[derive(Debug, Clone, Copy)]
pub struct Requirement<'a> {
    /// The certificates that may sign.
    pub keyring: &'a Keyring,
    /// How many distinct certificates must have signed; at least 1.
    pub threshold: u32,
    /// The present.
    pub now: Timestamp,
}

/// Who signed, and when they say they did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    /// The certificate, by its primary key.
    pub primary: Fingerprint,
    /// The key that signed: the primary or a subkey.
    pub key: Fingerprint,
    /// The signature's own date.
    pub made_at: Timestamp,
}

/// A text that was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The signed text, and nothing else. Parse this; never the file it came in.
    pub text: Vec<u8>,
    /// The signatures that count, one per certificate, in the order of the file.
    pub signers: Vec<Signer>,
    /// The signatures that do not count, and why, in words.
    pub others: Vec<String>,
}

/// Verifies a clearsigned text: InRelease, a .dsc. The keys must be valid when they signed and now.
///
/// # Errors
/// Whenever there is any doubt.
pub fn verify_inrelease(_bytes: &[u8], _requirement: &Requirement<'_>) -> Result<Verified, TrustError> {
    Err(TrustError::NoThreshold)
}

/// Verifies a detached signature, armored or binary: Release.gpg. The keys must be valid when they
/// signed and now.
///
/// # Errors
/// Whenever there is any doubt.
pub fn verify_detached(
    _data: &[u8],
    _signature: &[u8],
    _requirement: &Requirement<'_>,
) -> Result<Vec<Signer>, TrustError> {
    Err(TrustError::NoThreshold)
}

/// Verifies the signature on a Git tag: like `verify_detached`, but a key that has expired since it
/// signed still counts. A key that was revoked since does not.
///
/// # Errors
/// Whenever there is any doubt.
pub fn verify_tag(
    _payload: &[u8],
    _signature: &[u8],
    _requirement: &Requirement<'_>,
) -> Result<Vec<Signer>, TrustError> {
    Err(TrustError::NoThreshold)
}
