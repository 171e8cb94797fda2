//! Who signs Release files.

use super::PublishError;
use crate::domain::{SignedByKey, Timestamp};
use crate::trust::{ArchiveKey, Keyring, TrustError};

/// A Release file in the two signed forms that clients ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// `InRelease`: clearsigned (RFC 9580 §7).
    pub inrelease: Vec<u8>,
    /// `Release.gpg`: the detached signature, armored.
    pub release_gpg: Vec<u8>,
}

/// What signs an archive's Release files: keys that we hold, or programs that hold some.
///
pub trait ReleaseSigner {
    /// Signs `text` as of `at`.
    ///
    /// # Errors
    /// `Signing`.
    fn sign(&self, text: &[u8], at: Timestamp) -> Result<Signed, PublishError>;

    /// Signs any bytes as of `at`: a detached signature, armored.
    ///
    /// # Errors
    /// `Signing`.
    fn detach(&self, data: &[u8], at: Timestamp) -> Result<Vec<u8>, PublishError>;

    /// The public half: what was signed verifies with it, by each of its keys.
    ///
    /// # Errors
    /// `Signing`.
    fn keyring(&self) -> Result<Keyring, PublishError>;

    /// Whether signing the same again gives the same bytes. Where it does not, what is published already is not signed
    /// again.
    fn repeats(&self) -> bool {
        true
    }

    /// `Signed-By` of the Release files that are signed from now on; empty: there is none.
    fn signed_by(&self) -> &[SignedByKey] {
        &[]
    }
}

impl ReleaseSigner for ArchiveKey {
    fn sign(&self, text: &[u8], at: Timestamp) -> Result<Signed, PublishError> {
        Ok(Signed {
            inrelease: self.clearsign(text, at)?,
            release_gpg: ArchiveKey::detach(self, text, at)?,
        })
    }

    fn detach(&self, data: &[u8], at: Timestamp) -> Result<Vec<u8>, PublishError> {
        Ok(ArchiveKey::detach(self, data, at)?)
    }

    fn keyring(&self) -> Result<Keyring, PublishError> {
        Ok(Keyring::parse(self.certificate_armored()?.as_bytes())?)
    }
}

impl From<TrustError> for PublishError {
    fn from(error: TrustError) -> Self {
        Self::Signing(Box::new(error))
    }
}
