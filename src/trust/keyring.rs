//! Keyrings: the certificates that a caller pins.

use super::TrustError;
use crate::domain::Fingerprint;

/// One or more OpenPGP certificates.
#[derive(Debug, Clone)]
pub struct Keyring {}

impl Keyring {
    /// Reads certificates, binary or in ASCII armor (then any number of blocks).
    ///
    /// # Errors
    /// When the packets are malformed, a secret key is among them, or there is no certificate.
    pub fn parse(_bytes: &[u8]) -> Result<Self, TrustError> {
        Err(TrustError::Keyring {
            why: "not built yet".into(),
        })
    }

    /// The primary keys' fingerprints, in the order of the file.
    #[must_use]
    pub fn fingerprints(&self) -> Vec<Fingerprint> {
        Vec::new()
    }

    /// Only the certificates with these primary fingerprints.
    ///
    /// # Errors
    /// When one is not here, or none is asked for.
    pub fn restricted_to(&self, _fingerprints: &[Fingerprint]) -> Result<Self, TrustError> {
        Ok(self.clone())
    }
}
