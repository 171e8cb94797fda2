//! The keys that sign for an archive, together: everything that one of them signs, all of them do.

use super::{PublishError, ReleaseSigner, Signed};
use crate::domain::{ArchiveName, Fingerprint, SignedByKey, Timestamp};
use crate::site::Site;
use crate::trust::{ArchiveKey, Keyring, merge_clearsigned, merge_detached};

/// All that signs for one archive, as this machine can.
#[derive(Debug)]
pub struct Signers {
    keys: Vec<ArchiveKey>,
    keyring: Keyring,
    signed_by: Vec<SignedByKey>,
}

impl Signers {
    /// What `repos/<archive>.toml` names, when each of its keys is here and may sign at `now`.
    ///
    /// # Errors
    /// `KeyEnded`; when a key is not here.
    pub fn of(site: &Site, archive: &ArchiveName, now: Timestamp) -> Result<Self, PublishError> {
        let config = site.archive(archive)?;
        let keyring = site.archive_keyring(archive)?;
        let mut keys = Vec::new();
        for fingerprint in config.signing_keys() {
            may_sign(archive, &fingerprint, &keyring, now)?;
            let key = site.archive_key(&fingerprint)?;
            if key.made_at() > now {
                let why = format!(
                    "it was made at {}, and now is {now}: look at this machine's clock",
                    key.made_at()
                );
                return Err(ended(archive, &fingerprint, why));
            }
            keys.push(key);
        }
        Ok(Self {
            keys,
            keyring,
            signed_by: config.signing().signed_by.clone(),
        })
    }
}

/// Whether a certificate lets its key sign: clients ask the same.
fn may_sign(archive: &ArchiveName, key: &Fingerprint, keyring: &Keyring, now: Timestamp) -> Result<(), PublishError> {
    let status = keyring
        .status(now)
        .into_iter()
        .find(|status| status.fingerprint == *key);
    match status {
        Some(status) if status.signing_keys.is_empty() => Err(ended(archive, key, status.problems.join("; "))),
        _ => Ok(()),
    }
}

fn ended(archive: &ArchiveName, key: &Fingerprint, why: String) -> PublishError {
    PublishError::KeyEnded {
        archive: archive.clone(),
        key: key.clone(),
        why,
    }
}

impl ReleaseSigner for Signers {
    fn sign(&self, text: &[u8], at: Timestamp) -> Result<Signed, PublishError> {
        let clear = self.keys.iter().map(|key| key.clearsign(text, at.max(key.made_at())));
        Ok(Signed {
            inrelease: merge_clearsigned(&clear.collect::<Result<Vec<_>, _>>()?)?,
            release_gpg: self.detach(text, at)?,
        })
    }

    /// A key that is younger than what it signs, as when a snapshot is signed anew, says so.
    fn detach(&self, data: &[u8], at: Timestamp) -> Result<Vec<u8>, PublishError> {
        let detached = self.keys.iter().map(|key| key.detach(data, at.max(key.made_at())));
        Ok(merge_detached(&detached.collect::<Result<Vec<_>, _>>()?)?)
    }

    fn keyring(&self) -> Result<Keyring, PublishError> {
        Ok(self.keyring.clone())
    }

    fn signed_by(&self) -> &[SignedByKey] {
        &self.signed_by
    }
}
