//! `keys/<FINGERPRINT>.toml`: how this machine has things signed by an OpenPGP key that it does not hold. Like the secrets
//! beside it, it belongs to the machine, not to Git.

use std::num::NonZeroU16;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Site, SiteError, load};
use crate::domain::Fingerprint;
use crate::host::files;
use crate::trust::ArchiveKey;

/// A key that something else signs with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct OutsideSigner {
    /// A program and its arguments. `--clearsign` or `--detach-sign` is added; it reads what is to be signed, and writes
    /// what `gpg` writes then.
    #[serde(default)]
    pub signer: Vec<String>,
    /// Whether the key is on another machine that nothing here reaches: `publish --prepare` and `--attach`.
    #[serde(default)]
    pub offline: bool,
    /// How long the program has for one signature, in seconds.
    #[serde(default = "a_minute")]
    pub timeout_seconds: NonZeroU16,
}

/// How this machine signs with a key.
#[derive(Debug)]
pub enum SigningKey {
    /// It holds the key.
    Held(Box<ArchiveKey>),
    /// A program signs.
    Outside(OutsideSigner),
    /// Another machine signs, and what it signed is brought here.
    Offline,
}

impl Site {
    /// Where it is said how a key signs that this machine does not hold.
    #[must_use]
    pub fn signer_path(&self, fingerprint: &Fingerprint) -> PathBuf {
        self.secret_keys().join(format!("{}.toml", fingerprint.file_stem()))
    }

    /// How this machine signs with an OpenPGP key.
    ///
    /// # Errors
    /// As `archive_key`, when nothing else is said of the key; when what is said is not one thing.
    pub fn signing_key(&self, fingerprint: &Fingerprint) -> Result<SigningKey, SiteError> {
        let path = self.signer_path(fingerprint);
        if !files::exists(&path) {
            return Ok(SigningKey::Held(Box::new(self.archive_key(fingerprint)?)));
        }
        let bad = |why: &str| SiteError::Toml {
            path: path.clone(),
            why: why.to_owned(),
        };
        if files::exists(&self.secret_key_path(fingerprint)) {
            return Err(bad(
                "the secret key lies beside it, and signs without anybody's help: remove one of them",
            ));
        }
        let said: OutsideSigner = load::read_toml(&path)?;
        match (said.signer.is_empty(), said.offline) {
            (false, false) => Ok(SigningKey::Outside(said)),
            (true, true) => Ok(SigningKey::Offline),
            _ => Err(bad(
                "give `signer = [\"PROGRAM\", …]`, or `offline = true`: one of them",
            )),
        }
    }

    /// Whether this machine can sign with a key at once.
    ///
    /// # Errors
    /// When what is said of a key that it does not hold is malformed.
    pub(super) fn signs_here(&self, fingerprint: &Fingerprint) -> Result<bool, SiteError> {
        if files::exists(&self.secret_key_path(fingerprint)) {
            return Ok(true);
        }
        match files::exists(&self.signer_path(fingerprint)) {
            true => Ok(matches!(self.signing_key(fingerprint)?, SigningKey::Outside(_))),
            false => Ok(false),
        }
    }
}

fn a_minute() -> NonZeroU16 {
    NonZeroU16::new(60).unwrap_or(NonZeroU16::MIN)
}
