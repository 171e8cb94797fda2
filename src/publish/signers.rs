//! The keys that sign for an archive, together: everything that one of them signs, all of them do.

use super::outside::Outside;
use super::{PublishError, ReleaseSigner, Signed};
use crate::domain::{ArchiveName, Fingerprint, SignedByKey, Timestamp};
use crate::site::{SigningKey, Site};
use crate::trust::{ArchiveKey, Keyring, merge_clearsigned, merge_detached};

/// All that signs for one archive, as this machine can.
#[derive(Debug)]
pub struct Signers {
    archive: ArchiveName,
    keys: Vec<Means>,
    keyring: Keyring,
    signed_by: Vec<SignedByKey>,
}

/// By which means one of them signs.
#[derive(Debug)]
enum Means {
    Held(Box<ArchiveKey>),
    Outside(Outside),
    /// On another machine: with that nothing is signed at once.
    Elsewhere(Fingerprint),
}

impl Means {
    /// A key that is younger than what it signs, as when a snapshot is signed anew, says so.
    fn clearsign(&self, text: &[u8], at: Timestamp) -> Result<Option<Vec<u8>>, PublishError> {
        match self {
            Self::Held(key) => Ok(Some(key.clearsign(text, at.max(key.made_at()))?)),
            Self::Outside(outside) => outside.clearsign(text, at).map(Some),
            Self::Elsewhere(_) => Ok(None),
        }
    }

    fn detach(&self, data: &[u8], at: Timestamp) -> Result<Option<Vec<u8>>, PublishError> {
        match self {
            Self::Held(key) => Ok(Some(key.detach(data, at.max(key.made_at()))?)),
            Self::Outside(outside) => outside.detach(data, at).map(Some),
            Self::Elsewhere(_) => Ok(None),
        }
    }
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
            let means = match site.signing_key(&fingerprint)? {
                SigningKey::Held(key) if key.made_at() > now => {
                    let made_at = key.made_at();
                    let why = format!("it was made at {made_at}, and now is {now}: look at this machine's clock");
                    return Err(ended(archive, &fingerprint, why));
                }
                SigningKey::Held(key) => Means::Held(key),
                SigningKey::Outside(how) => Means::Outside(Outside {
                    keyring: keyring.restricted_to(std::slice::from_ref(&fingerprint))?,
                    key: fingerprint,
                    how,
                }),
                SigningKey::Offline => Means::Elsewhere(fingerprint),
            };
            keys.push(means);
        }
        Ok(Self {
            archive: archive.clone(),
            keys,
            keyring,
            signed_by: config.signing().signed_by.clone(),
        })
    }
}

/// From how many days before its end on a key is said to end.
const SOON: u32 = 30;

/// What is to be said of the keys that sign for an archive, long before one of them ends: clients need a new certificate
/// by then, and what is signed today is valid for days.
///
/// # Errors
/// When the site has no such archive, or a certificate cannot be read.
pub fn ending_keys(site: &Site, archive: &ArchiveName, now: Timestamp) -> Result<Vec<String>, PublishError> {
    let valid = now.plus_days(site.archive(archive)?.valid_days());
    let mut said = Vec::new();
    for status in site.archive_keyring(archive)?.status(now) {
        let Some(end) = status.ends_at.filter(|end| *end < valid.max(now.plus_days(SOON))) else {
            continue;
        };
        let before = match end < valid {
            true => format!(", before what is signed now runs out ({valid})"),
            false => String::new(),
        };
        let key = status.fingerprint;
        said.push(format!(
            "the key {key} of `{archive}` ends at {end}{before}: `assay key extend {key}` where its secret is and give clients its new \
             certificate, or let another key sign beside it in time (README: keys in turn)"
        ));
    }
    Ok(said)
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

impl Signers {
    /// `text`, clearsigned by each key of this machine, together with what was signed elsewhere.
    pub(super) fn clearsign_with(
        &self,
        text: &[u8],
        at: Timestamp,
        brought: &[Vec<u8>],
    ) -> Result<Vec<u8>, PublishError> {
        let own = self.keys.iter().filter_map(|key| key.clearsign(text, at).transpose());
        Ok(merge_clearsigned(&self.together(own, brought)?)?)
    }

    /// The same for a detached signature.
    pub(super) fn detach_with(&self, data: &[u8], at: Timestamp, brought: &[Vec<u8>]) -> Result<Vec<u8>, PublishError> {
        let own = self.keys.iter().filter_map(|key| key.detach(data, at).transpose());
        Ok(merge_detached(&self.together(own, brought)?)?)
    }

    fn together(
        &self,
        own: impl Iterator<Item = Result<Vec<u8>, PublishError>>,
        brought: &[Vec<u8>],
    ) -> Result<Vec<Vec<u8>>, PublishError> {
        let all = own
            .chain(brought.iter().cloned().map(Ok))
            .collect::<Result<Vec<_>, _>>()?;
        if all.is_empty() {
            self.all_here()?;
        }
        Ok(all)
    }

    /// The first of the keys that are on another machine.
    #[must_use]
    pub fn elsewhere(&self) -> Option<&Fingerprint> {
        self.keys.iter().find_map(|key| match key {
            Means::Elsewhere(fingerprint) => Some(fingerprint),
            _ => None,
        })
    }

    fn all_here(&self) -> Result<(), PublishError> {
        match self.elsewhere() {
            None => Ok(()),
            Some(key) => Err(PublishError::Waits {
                archive: self.archive.clone(),
                key: key.clone(),
            }),
        }
    }
}

impl ReleaseSigner for Signers {
    fn sign(&self, text: &[u8], at: Timestamp) -> Result<Signed, PublishError> {
        self.all_here()?;
        Ok(Signed {
            inrelease: self.clearsign_with(text, at, &[])?,
            release_gpg: self.detach_with(text, at, &[])?,
        })
    }

    fn detach(&self, data: &[u8], at: Timestamp) -> Result<Vec<u8>, PublishError> {
        self.all_here()?;
        self.detach_with(data, at, &[])
    }

    fn keyring(&self) -> Result<Keyring, PublishError> {
        Ok(self.keyring.clone())
    }

    fn repeats(&self) -> bool {
        self.keys.iter().all(|key| matches!(key, Means::Held(_)))
    }

    fn signed_by(&self) -> &[SignedByKey] {
        &self.signed_by
    }
}
