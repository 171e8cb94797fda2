//! SSH signatures (OpenSSH's PROTOCOL.sshsig).

use super::TrustError;
use crate::domain::Fingerprint;

/// An SSH public key that may sign.
#[derive(Debug, Clone)]
pub struct SshKey {
    fingerprint: Fingerprint,
}

impl SshKey {
    /// Reads one line of a `.pub` file: `ssh-ed25519 AAAA… comment`. Options before the key, as
    /// `authorized_keys` may have, are refused.
    ///
    /// # Errors
    /// When it is anything else than an Ed25519, P-256 or RSA (3072 bits or more) key.
    pub fn parse(_line: &str) -> Result<Self, TrustError> {
        Err(TrustError::SshKey {
            why: "not built yet".into(),
        })
    }

    /// `SHA256:…`, as `ssh-keygen -l` prints it.
    #[must_use]
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }
}

/// Verifies an armored SSH signature made for `namespace` (`git` for tags); says which key made it.
///
/// # Errors
/// Whenever there is any doubt.
pub fn verify_ssh(
    _data: &[u8],
    _signature_pem: &[u8],
    _namespace: &str,
    _keys: &[SshKey],
) -> Result<Fingerprint, TrustError> {
    Err(TrustError::SshKey {
        why: "not built yet".into(),
    })
}
