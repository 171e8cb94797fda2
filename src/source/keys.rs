//! The public keys of those who may sign sources.

use std::path::{Path, PathBuf};

use super::SourceError;
use crate::domain::{Fingerprint, Timestamp};
use crate::host::files;
use crate::site::{SignerKey, SignerScheme};
use crate::trust::{self, Keyring, Requirement, SshKey};

const LARGEST_KEY: u64 = 1 << 20;
/// What Git tells `ssh-keygen -Y sign` that it signs.
const NAMESPACE: &str = "git";

/// The public keys that a policy's signers are known by.
#[derive(Debug, Clone, Default)]
pub struct SourceKeys {
    openpgp: Option<Keyring>,
    ssh: Vec<SshKey>,
}

impl SourceKeys {
    /// Reads the key of each of `signers` from `folder` (`policies/keys/`): `<FINGERPRINT>.asc`, or
    /// `SHA256-<base64, with / as _>.pub`.
    ///
    /// # Errors
    /// When a file is missing, or is not the key that its name says.
    pub fn load(folder: &Path, signers: &[SignerKey]) -> Result<Self, SourceError> {
        let mut certificates = Vec::new();
        let mut ssh: Vec<SshKey> = Vec::new();
        for signer in signers {
            let path = key_path(folder, signer);
            let bytes = files::read(&path, LARGEST_KEY)?;
            match signer.scheme {
                SignerScheme::Openpgp => {
                    check_certificate(&path, &bytes, &signer.fingerprint)?;
                    certificates.extend_from_slice(&bytes);
                    certificates.push(b'\n');
                }
                SignerScheme::Ssh => ssh.push(read_ssh(&path, &bytes, &signer.fingerprint)?),
            }
        }
        let openpgp = match certificates.is_empty() {
            true => None,
            false => Some(Keyring::parse(&certificates).map_err(unusable(folder))?),
        };
        Ok(Self { openpgp, ssh })
    }

    /// Whose keys made a signature, and when they say they did. SSH signatures have no date of their
    /// own: the tag's or commit's stands for it. Only keys of `signers` count; in words, why there is none.
    pub(super) fn who_signed(
        &self,
        scheme: SignerScheme,
        payload: &[u8],
        signature: &[u8],
        signers: &[SignerKey],
        tag_date: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<(Fingerprint, Timestamp)>, String> {
        let wanted: Vec<Fingerprint> = signers
            .iter()
            .filter(|signer| signer.scheme == scheme)
            .map(|signer| signer.fingerprint.clone())
            .collect();
        if wanted.is_empty() {
            return Err("the policy lists no signer with this kind of key".to_owned());
        }
        match scheme {
            SignerScheme::Openpgp => {
                let keyring = self.openpgp.as_ref().ok_or("no OpenPGP key was loaded")?;
                let keyring = keyring.restricted_to(&wanted).map_err(|error| error.to_string())?;
                let requirement = Requirement {
                    keyring: &keyring,
                    threshold: 1,
                    now,
                };
                let made = trust::verify_tag(payload, signature, &requirement).map_err(|error| error.to_string())?;
                Ok(made
                    .into_iter()
                    .map(|signer| (signer.primary, signer.made_at))
                    .collect())
            }
            SignerScheme::Ssh => {
                let may = |key: &&SshKey| wanted.contains(key.fingerprint());
                let keys: Vec<SshKey> = self.ssh.iter().filter(may).cloned().collect();
                let made = trust::verify_ssh(payload, signature, NAMESPACE, &keys);
                Ok(vec![(made.map_err(|error| error.to_string())?, tag_date)])
            }
        }
    }
}

fn key_path(folder: &Path, signer: &SignerKey) -> PathBuf {
    let stem = signer.fingerprint.file_stem();
    folder.join(match signer.scheme {
        SignerScheme::Openpgp => format!("{stem}.asc"),
        SignerScheme::Ssh => format!("{stem}.pub"),
    })
}

/// A second certificate in a file would be one that nobody meant to trust.
fn check_certificate(path: &Path, bytes: &[u8], fingerprint: &Fingerprint) -> Result<(), SourceError> {
    let keyring = Keyring::parse(bytes).map_err(unusable(path))?;
    if keyring.fingerprints() != std::slice::from_ref(fingerprint) {
        return Err(unusable(path)(
            "it does not hold exactly the certificate that its name says",
        ));
    }
    Ok(())
}

fn read_ssh(path: &Path, bytes: &[u8], fingerprint: &Fingerprint) -> Result<SshKey, SourceError> {
    let text = std::str::from_utf8(bytes).map_err(unusable(path))?;
    let key = SshKey::parse(text.trim_end()).map_err(unusable(path))?;
    if key.fingerprint() != fingerprint {
        return Err(unusable(path)("it is not the key that its name says"));
    }
    Ok(key)
}

fn unusable<E: ToString>(path: &Path) -> impl FnOnce(E) -> SourceError {
    let path = path.display().to_string();
    move |error| SourceError::Key {
        path,
        why: error.to_string(),
    }
}
