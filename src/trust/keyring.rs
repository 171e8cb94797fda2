//! Keyrings: the certificates that a caller pins.

use pgp::packet::UserId;
use pgp::types::Tag;

use super::TrustError;
use super::armor::{self, Label};
use super::certificate::{Certificate, When};
use super::key::Key;
use super::packet::{self, Packet};
use crate::domain::{Fingerprint, Timestamp, escape};

const WHAT: &str = "keyring";
/// The largest keyring that is read, in bytes. Debian's archive keyring has 56 kB.
const LARGEST: usize = 16 << 20;

/// One or more OpenPGP certificates.
#[derive(Debug, Clone)]
pub struct Keyring {
    certificates: Vec<Certificate>,
    /// Those that a restriction took out: they count for nothing, and are known by name.
    others: Vec<Certificate>,
    left_out: Vec<String>,
}

/// What a certificate is worth at one instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateStatus {
    /// The primary key.
    pub fingerprint: Fingerprint,
    /// The user ids, with control characters escaped.
    pub user_ids: Vec<String>,
    /// The keys that may sign now: the primary, subkeys, or both.
    pub signing_keys: Vec<Fingerprint>,
    /// When the last of these can sign no more; none when it can for ever.
    pub ends_at: Option<Timestamp>,
    /// Each key that may not, and why.
    pub problems: Vec<String>,
}

impl Keyring {
    /// Reads certificates, binary or in ASCII armor (then any number of blocks). A certificate that
    /// is there twice is merged. Keys of a kind that cannot be read are left out (see `left_out`).
    ///
    /// # Errors
    /// When the packets are malformed, a secret key is among them, or there is no certificate.
    pub fn parse(bytes: &[u8]) -> Result<Self, TrustError> {
        if bytes.len() > LARGEST {
            return Err(TrustError::TooLarge {
                what: WHAT,
                limit: LARGEST,
                unit: "bytes",
            });
        }
        let bytes = if bytes.trim_ascii_start().starts_with(b"-----") {
            armor::decode_all(Label::PublicKey, bytes)?
        } else {
            bytes.to_vec()
        };
        let mut reader = Reader::default();
        for packet in packet::split(WHAT, &bytes)? {
            reader.take(&packet)?;
        }
        let mut certificates = reader.certificates;
        if certificates.is_empty() {
            return Err(TrustError::Keyring {
                why: format!("it has no certificate that can be read {}", reader.left_out.join("; "))
                    .trim_end()
                    .into(),
            });
        }
        certificates.iter_mut().for_each(Certificate::finish);
        Ok(Self {
            certificates,
            others: Vec::new(),
            left_out: reader.left_out,
        })
    }

    /// The keys that could not be read, and why, in words.
    #[must_use]
    pub fn left_out(&self) -> &[String] {
        &self.left_out
    }

    /// The primary keys' fingerprints, in the order of the file.
    #[must_use]
    pub fn fingerprints(&self) -> Vec<Fingerprint> {
        self.certificates
            .iter()
            .map(|c| c.primary.fingerprint.clone())
            .collect()
    }

    /// Only the certificates with these primary fingerprints.
    ///
    /// # Errors
    /// When one is not here, or none is asked for.
    pub fn restricted_to(&self, fingerprints: &[Fingerprint]) -> Result<Self, TrustError> {
        if fingerprints.is_empty() {
            return Err(TrustError::Keyring {
                why: "no certificate of it is asked for".into(),
            });
        }
        let mut certificates: Vec<Certificate> = Vec::new();
        for fingerprint in fingerprints {
            let found = self.certificates.iter().find(|c| c.primary.fingerprint == *fingerprint);
            let found = found.ok_or_else(|| TrustError::NotInKeyring {
                fingerprint: fingerprint.clone(),
                primary: self.primary_of(fingerprint),
            })?;
            if certificates.iter().all(|c| c.primary.fingerprint != *fingerprint) {
                certificates.push(found.clone());
            }
        }
        let asked = |c: &&Certificate| fingerprints.contains(&c.primary.fingerprint);
        let others = self.certificates.iter().filter(|c| !asked(c)).chain(&self.others);
        Ok(Self {
            others: others.cloned().collect(),
            certificates,
            left_out: Vec::new(),
        })
    }

    /// The certificates of both.
    #[must_use]
    pub fn joined(mut self, other: Self) -> Self {
        self.certificates.extend(other.certificates);
        self.left_out.extend(other.left_out);
        self
    }

    /// Says for each certificate which of its keys may sign at `now`, and why others may not.
    #[must_use]
    pub fn status(&self, now: Timestamp) -> Vec<CertificateStatus> {
        self.certificates.iter().map(|c| status(c, now)).collect()
    }

    fn primary_of(&self, subkey: &Fingerprint) -> Option<Fingerprint> {
        let holds = |c: &&Certificate| c.subkeys.iter().any(|s| s.key.fingerprint == *subkey);
        let found = self.certificates.iter().find(holds)?;
        Some(found.primary.fingerprint.clone())
    }

    pub(super) fn certificates(&self) -> &[Certificate] {
        &self.certificates
    }

    /// The certificates that were not asked for.
    pub(super) fn others(&self) -> &[Certificate] {
        &self.others
    }
}

fn status(certificate: &Certificate, now: Timestamp) -> CertificateStatus {
    let (mut signing_keys, mut problems, mut ends) = (Vec::new(), Vec::new(), Vec::new());
    let subkeys = certificate.subkeys.iter().map(|s| &s.key);
    for key in std::iter::once(&certificate.primary).chain(subkeys) {
        match certificate.objection(&key.fingerprint, now, now, When::SignedAndNow) {
            None => {
                signing_keys.push(key.fingerprint.clone());
                ends.push(certificate.standing(&key.fingerprint, now).key_ends_at);
            }
            Some(why) => problems.push(format!("`{}`: {why}", key.fingerprint)),
        }
    }
    CertificateStatus {
        fingerprint: certificate.primary.fingerprint.clone(),
        user_ids: certificate.user_ids().iter().map(|id| escape(id)).collect(),
        signing_keys,
        // One without an end outlives all others.
        ends_at: ends.into_iter().reduce(|a, b| Some(a?.max(b?))).flatten(),
        problems,
    }
}

/// Puts packets together to certificates (RFC 9580 §10.1).
#[derive(Default)]
struct Reader {
    certificates: Vec<Certificate>,
    /// The certificate that is being read; none while one that we cannot read goes by.
    current: Option<usize>,
    target: Target,
    left_out: Vec<String>,
}

/// What the next signatures are over.
#[derive(Default)]
enum Target {
    #[default]
    Primary,
    User(usize, UserId),
    Subkey(usize),
    /// A picture, or a subkey of a kind that we do not read.
    Ignored,
}

impl Reader {
    fn take(&mut self, packet: &Packet<'_>) -> Result<(), TrustError> {
        match packet.tag() {
            Tag::PublicKey => {
                self.start(packet);
                Ok(())
            }
            Tag::SecretKey | Tag::SecretSubkey => Err(TrustError::Keyring {
                why: "it holds a secret key, which belongs into no keyring: export the certificate only".into(),
            }),
            Tag::UserId => self.user(packet),
            Tag::UserAttribute => {
                self.target = Target::Ignored;
                Ok(())
            }
            Tag::PublicSubkey => {
                self.subkey(packet);
                Ok(())
            }
            Tag::Signature => {
                self.signature(packet);
                Ok(())
            }
            // GnuPG's own notes, and what the standard says to skip.
            Tag::Trust | Tag::Marker | Tag::Padding => Ok(()),
            other => Err(packet.error(WHAT, format!("a packet of type {other:?} does not belong here"))),
        }
    }

    fn start(&mut self, packet: &Packet<'_>) {
        self.target = Target::Primary;
        self.current = None;
        let Some(key) = self.key(packet) else {
            return;
        };
        let known = self
            .certificates
            .iter()
            .position(|c| c.primary.fingerprint == key.fingerprint);
        self.current = Some(known.unwrap_or(self.certificates.len()));
        if known.is_none() {
            self.certificates.push(Certificate::new(key));
        }
    }

    fn key(&mut self, packet: &Packet<'_>) -> Option<Key> {
        match Key::read(packet) {
            Ok(key) => Some(key),
            Err(why) => {
                self.left_out.push(format!("key at byte {}: {why}", packet.offset));
                None
            }
        }
    }

    fn certificate(&mut self) -> Option<&mut Certificate> {
        self.current.and_then(|index| self.certificates.get_mut(index))
    }

    fn user(&mut self, packet: &Packet<'_>) -> Result<(), TrustError> {
        let id = UserId::try_from_reader(packet.header, packet.body)
            .map_err(|error| packet.error(WHAT, format!("not a user id: {error}")))?;
        let index = self.certificate().map(|c| c.user(packet.body));
        self.target = index.map_or(Target::Ignored, |index| Target::User(index, id));
        Ok(())
    }

    fn subkey(&mut self, packet: &Packet<'_>) {
        self.target = Target::Ignored;
        if self.current.is_none() {
            return;
        }
        if let Some(key) = self.key(packet)
            && let Some(index) = self.certificate().map(|c| c.subkey(key))
        {
            self.target = Target::Subkey(index);
        }
    }

    fn signature(&mut self, packet: &Packet<'_>) {
        let Some(certificate) = self.current.and_then(|index| self.certificates.get_mut(index)) else {
            return;
        };
        match (packet.signature(), &self.target) {
            (Some(signature), Target::Primary) => certificate.add_direct(signature),
            (Some(signature), Target::User(index, id)) => certificate.add_to_user(*index, id, &signature),
            (Some(signature), Target::Subkey(index)) => certificate.add_to_subkey(*index, signature),
            (None, Target::Primary) if revokes(packet) => certificate.add_unreadable_revocation(None),
            (None, Target::Subkey(index)) if revokes(packet) => certificate.add_unreadable_revocation(Some(*index)),
            _ => {}
        }
    }
}

/// Whether a signature that we cannot read says that it revokes a key or subkey.
fn revokes(packet: &Packet<'_>) -> bool {
    let kind = match packet.body {
        [2 | 3, _, kind, ..] | [_, kind, ..] => *kind,
        _ => return true,
    };
    matches!(kind, 0x20 | 0x28)
}
