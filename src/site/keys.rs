//! The keys of a site: each file is named by the full fingerprint of the key that it must hold.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{ArchiveConfig, MirrorArchive, Policy, Site, SiteError};
use crate::domain::{ArchiveName, Fingerprint};
use crate::host::files;
use crate::trust::{ArchiveKey, Ed25519Key, Ed25519Public, Keyring, merge_certificates};

/// The largest key file that is read, in bytes.
const LARGEST: u64 = 4 << 20;

impl Site {
    /// Where the public half of a key is.
    #[must_use]
    pub fn public_key_path(&self, fingerprint: &Fingerprint) -> PathBuf {
        let ending = if fingerprint.as_str().contains(':') {
            "pub"
        } else {
            "asc"
        };
        self.public_keys().join(format!("{}.{ending}", fingerprint.file_stem()))
    }

    /// Where the secret half of a key is, on the machine that may use it.
    #[must_use]
    pub fn secret_key_path(&self, fingerprint: &Fingerprint) -> PathBuf {
        self.secret_keys().join(format!("{}.secret", fingerprint.file_stem()))
    }

    /// The armored certificate of an archive's key, as clients need it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn certificate(&self, fingerprint: &Fingerprint) -> Result<Vec<u8>, SiteError> {
        Ok(files::read(&self.public_key_path(fingerprint), LARGEST)?)
    }

    /// The armored certificates of all keys that sign for an archive, as one block: apt reads no second one.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn certificates(&self, archive: &ArchiveName) -> Result<String, SiteError> {
        let config = self.archive(archive)?;
        let first = self.certificate(config.signing_key())?;
        if config.signing().further_keys.is_empty() {
            return Ok(String::from_utf8_lossy(&first).into_owned());
        }
        let keys = config.signing_keys();
        let all = keys
            .iter()
            .map(|key| self.certificate(key))
            .collect::<Result<Vec<_>, _>>()?;
        let path = self.public_key_path(config.signing_key());
        merge_certificates(&all).map_err(|error| wrong_key(&path, config.signing_key())(error.to_string()))
    }

    /// A keyring of the keys that sign for an archive. Whoever builds on a record, or signs what it says, believes these.
    ///
    /// # Errors
    /// When the site has no such archive; when a file cannot be read or holds another key.
    pub fn archive_keyring(&self, archive: &ArchiveName) -> Result<Keyring, SiteError> {
        let config = self.archive(archive)?;
        self.keyring_of(
            self.openpgp_keyring(config.signing_key())?,
            &config.signing().further_keys,
        )
    }

    /// The same with those that signed before: by them is proven what is old.
    ///
    /// # Errors
    /// As `archive_keyring`.
    pub fn proving_keyring(&self, archive: &ArchiveName) -> Result<Keyring, SiteError> {
        let former = &self.archive(archive)?.signing().former_keys;
        self.keyring_of(self.archive_keyring(archive)?, former)
    }

    fn keyring_of(&self, first: Keyring, more: &[Fingerprint]) -> Result<Keyring, SiteError> {
        more.iter()
            .try_fold(first, |all, key| Ok(all.joined(self.openpgp_keyring(key)?)))
    }

    /// A keyring of one OpenPGP key.
    ///
    /// # Errors
    /// When the file cannot be read or holds another key.
    pub fn openpgp_keyring(&self, fingerprint: &Fingerprint) -> Result<Keyring, SiteError> {
        let path = self.public_key_path(fingerprint);
        let wrong = wrong_key(&path, fingerprint);
        let keyring = Keyring::parse(&self.certificate(fingerprint)?).map_err(|error| wrong(error.to_string()))?;
        keyring
            .restricted_to(std::slice::from_ref(fingerprint))
            .map_err(|error| wrong(error.to_string()))
    }

    /// The first of the keys that sign for an archive with which this machine cannot.
    ///
    /// # Errors
    /// When the site has no such archive.
    pub fn absent_key(&self, archive: &ArchiveName) -> Result<Option<Fingerprint>, SiteError> {
        for key in self.archive(archive)?.signing_keys() {
            if !self.signs_here(&key)? {
                return Ok(Some(key));
            }
        }
        Ok(None)
    }

    /// The secret key that signs an archive's Release files.
    ///
    /// # Errors
    /// When it is not here, others may read it, or it is another key.
    pub fn archive_key(&self, fingerprint: &Fingerprint) -> Result<ArchiveKey, SiteError> {
        let path = self.secret_key_path(fingerprint);
        let wrong = wrong_key(&path, fingerprint);
        let secret = files::read_secret(&path, LARGEST)?;
        let key = ArchiveKey::parse(&secret).map_err(|error| wrong(error.to_string()))?;
        if key.fingerprint() != fingerprint {
            return Err(wrong(format!("it holds {}", key.fingerprint())));
        }
        Ok(key)
    }

    /// The public key that decisions must be signed by.
    ///
    /// # Errors
    /// When the file cannot be read or holds another key.
    pub fn gate_public(&self) -> Result<Ed25519Public, SiteError> {
        self.ed25519_public(&self.config().gate)
    }

    /// The keys of the witnesses, and how many must have signed; none: the site has no witnesses.
    ///
    /// # Errors
    /// When one cannot be read, or is another's.
    pub fn witnesses(&self) -> Result<(Vec<Ed25519Public>, usize), SiteError> {
        let Some(witnesses) = &self.config().witnesses else {
            return Ok((Vec::new(), 0));
        };
        let keys = witnesses.keys.iter().map(|key| self.ed25519_public(key));
        Ok((keys.collect::<Result<_, _>>()?, witnesses.threshold.get().into()))
    }

    fn ed25519_public(&self, fingerprint: &Fingerprint) -> Result<Ed25519Public, SiteError> {
        let path = self.public_key_path(fingerprint);
        let wrong = wrong_key(&path, fingerprint);
        let text = String::from_utf8(files::read(&path, LARGEST)?).map_err(|error| wrong(error.to_string()))?;
        let key = Ed25519Public::parse(text.trim_end()).map_err(|error| wrong(error.to_string()))?;
        if key.fingerprint() != *fingerprint {
            return Err(wrong(format!("it holds {}", key.fingerprint())));
        }
        Ok(key)
    }

    /// The secret half of an Ed25519 key.
    ///
    /// # Errors
    /// When it is not here, others may read it, or it is another key.
    pub fn ed25519_key(&self, fingerprint: &Fingerprint) -> Result<Ed25519Key, SiteError> {
        let path = self.secret_key_path(fingerprint);
        let wrong = wrong_key(&path, fingerprint);
        let secret =
            String::from_utf8(files::read_secret(&path, LARGEST)?).map_err(|error| wrong(error.to_string()))?;
        let key = Ed25519Key::parse(secret.trim_end()).map_err(|error| wrong(error.to_string()))?;
        if key.public().fingerprint() != *fingerprint {
            return Err(wrong(format!("it holds {}", key.public().fingerprint())));
        }
        Ok(key)
    }

    /// The keys that may have signed a mirror's upstream Release files.
    ///
    /// # Errors
    /// When the keyring cannot be read or lacks one of `signers`.
    pub fn upstream_keyring(&self, mirror: &MirrorArchive) -> Result<Keyring, SiteError> {
        let path = self.keyring(mirror);
        let bytes = files::read(&path, LARGEST)?;
        let wrong = |why: String| SiteError::Keyring {
            path: path.clone(),
            why,
        };
        let keyring = Keyring::parse(&bytes).map_err(|error| wrong(error.to_string()))?;
        keyring
            .restricted_to(&mirror.signers)
            .map_err(|error| wrong(error.to_string()))
    }
}

impl Site {
    /// The keys of the upstreams that policies let packages be imported from: each is
    /// `policies/keys/<FINGERPRINT>.asc`, or stands in the keyring of a mirror. Keys that are in neither are left
    /// out: nothing is proven by them then.
    ///
    /// # Errors
    /// When a file below `policies/keys/` is there and holds another key.
    pub fn import_keyring<'p>(
        &self,
        policies: impl IntoIterator<Item = &'p Policy>,
    ) -> Result<Option<Keyring>, SiteError> {
        let rules = policies.into_iter().flat_map(|policy| &policy.imports);
        let wanted: BTreeSet<&Fingerprint> = rules.flat_map(|rule| &rule.signers).collect();
        let mut found: Option<Keyring> = None;
        for fingerprint in wanted {
            let own = match files::exists(&self.public_key_path(fingerprint)) {
                true => Some(self.openpgp_keyring(fingerprint)?),
                false => self.in_a_mirror(fingerprint),
            };
            found = match (found, own) {
                (Some(all), Some(own)) => Some(all.joined(own)),
                (all, own) => all.or(own),
            };
        }
        Ok(found)
    }

    /// A key out of the keyring of any mirror.
    fn in_a_mirror(&self, fingerprint: &Fingerprint) -> Option<Keyring> {
        self.archives().values().find_map(|archive| {
            let ArchiveConfig::Mirror(mirror) = archive else {
                return None;
            };
            let bytes = files::read(&self.keyring(mirror), LARGEST).ok()?;
            Keyring::parse(&bytes)
                .ok()?
                .restricted_to(std::slice::from_ref(fingerprint))
                .ok()
        })
    }
}

fn wrong_key<'a>(path: &'a Path, fingerprint: &'a Fingerprint) -> impl Fn(String) -> SiteError + 'a {
    move |why| SiteError::Key {
        path: path.to_owned(),
        fingerprint: fingerprint.clone(),
        why,
    }
}
