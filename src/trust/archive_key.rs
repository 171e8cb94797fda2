//! The archive's own signing key.

use std::fmt;

use zeroize::Zeroizing;

use super::TrustError;
use crate::domain::{Fingerprint, Timestamp};

/// An OpenPGP secret key: v4, EdDSA with Ed25519 in its legacy form, the one modern kind that apt's
/// verifiers of bookworm (gpgv 2.2) and trixie (sqv) both take.
pub struct ArchiveKey {
    fingerprint: Fingerprint,
}

const NOT_YET: TrustError = TrustError::SecretKey { why: "not built yet" };

impl ArchiveKey {
    /// A new key, without an end of validity.
    ///
    /// # Errors
    /// When the user id is not plain text, or `now` is outside of what OpenPGP can write.
    pub fn generate(_user_id: &str, _now: Timestamp) -> Result<Self, TrustError> {
        Err(NOT_YET)
    }

    /// Reads what `secret_armored` wrote.
    ///
    /// # Errors
    /// When it is anything else, or encrypted.
    pub fn parse(_secret_armored: &[u8]) -> Result<Self, TrustError> {
        Err(NOT_YET)
    }

    /// The secret key in ASCII armor, not encrypted. Write it only to files that others cannot read.
    ///
    /// # Errors
    /// Never for keys of this type.
    pub fn secret_armored(&self) -> Result<Zeroizing<String>, TrustError> {
        Err(NOT_YET)
    }

    /// The certificate in ASCII armor, for `Signed-By`. Always the same bytes for the same key.
    ///
    /// # Errors
    /// Never for keys of this type.
    pub fn certificate_armored(&self) -> Result<String, TrustError> {
        Err(NOT_YET)
    }

    /// The fingerprint of the primary key, which signs.
    #[must_use]
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    /// `text`, clearsigned: an InRelease file. The same text and instant give the same bytes.
    ///
    /// # Errors
    /// When `verify_inrelease` would refuse the text, or `at` is before the key was made.
    pub fn clearsign(&self, _text: &[u8], _at: Timestamp) -> Result<Vec<u8>, TrustError> {
        Err(NOT_YET)
    }

    /// A detached signature in ASCII armor: a Release.gpg file. Deterministic too.
    ///
    /// # Errors
    /// When `at` is before the key was made.
    pub fn detach(&self, _data: &[u8], _at: Timestamp) -> Result<Vec<u8>, TrustError> {
        Err(NOT_YET)
    }
}

impl fmt::Debug for ArchiveKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ArchiveKey({}, secret)", self.fingerprint)
    }
}
