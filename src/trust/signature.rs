//! When a signature counts.
//!
//! A signature by a key that is not in the keyring changes nothing. One by a known key must match
//! the data and be sound in itself, else everything is refused: somebody is changing things. One
//! that matches, by a key that has expired or was revoked, does not count towards the threshold.

use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Signature, SignatureType};

use super::armor::{self, Label};
use super::certificate::{CLOCK_SKEW, Certificate, When, is_strong};
use super::key::{Key, claimed_issuer, ends_at, has_unknown_demand, made_at};
use super::{Keyring, TrustError, cleartext, packet};
use crate::domain::{Fingerprint, Timestamp};

/// The most signature data that is looked at, in bytes.
const LARGEST: usize = 64 << 10;
const MOST_SIGNATURES: usize = 16;
const CLEARTEXT: &str = "clearsigned text";
const DETACHED: &str = "detached signature";
const TAG: &str = "tag signature";

/// What it takes to be believed.
#[derive(Debug, Clone, Copy)]
pub struct Requirement<'a> {
    /// The certificates that may sign.
    pub keyring: &'a Keyring,
    /// How many distinct certificates must have signed; at least 1.
    pub threshold: u32,
    /// The present.
    pub now: Timestamp,
}

/// Who signed, and when they say they did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    /// The certificate, by its primary key.
    pub primary: Fingerprint,
    /// The key that signed: the primary or a subkey.
    pub key: Fingerprint,
    /// The signature's own date.
    pub made_at: Timestamp,
}

/// A text that was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The signed text, and nothing else. Parse this; never the file it came in.
    pub text: Vec<u8>,
    /// The signatures that count, one per certificate, in the order of the file.
    pub signers: Vec<Signer>,
    /// The signatures that do not count, and why, in words.
    pub others: Vec<String>,
}

/// Verifies a clearsigned text: InRelease. The keys must be valid when they signed and now. All
/// signatures must be over text (type 0x01), and the file must hold nothing else.
///
/// # Errors
/// Whenever there is any doubt.
pub fn verify_inrelease(bytes: &[u8], requirement: &Requirement<'_>) -> Result<Verified, TrustError> {
    clearsigned(bytes, requirement, When::SignedAndNow)
}

/// The same for what is kept as it was: a key that has expired since it signed still counts, one that was revoked
/// does not.
///
/// # Errors
/// Whenever there is any doubt.
pub fn verify_old_inrelease(bytes: &[u8], requirement: &Requirement<'_>) -> Result<Verified, TrustError> {
    clearsigned(bytes, requirement, When::Signed)
}

fn clearsigned(bytes: &[u8], requirement: &Requirement<'_>, when: When) -> Result<Verified, TrustError> {
    let cleartext = cleartext::split(bytes)?;
    let check = Check {
        what: CLEARTEXT,
        expected: SignatureType::Text,
        hashes: Some(&cleartext.hashes),
        when,
        requirement,
    };
    let signatures = read(CLEARTEXT, cleartext.signatures)?;
    let (signers, others) = check.all(&signatures, cleartext.signed())?;
    Ok(Verified {
        text: cleartext.text,
        signers,
        others,
    })
}

/// Verifies a detached signature, armored or binary: Release.gpg. The keys must be valid when they
/// signed and now. All signatures must be over bytes (type 0x00).
///
/// # Errors
/// Whenever there is any doubt.
pub fn verify_detached(
    data: &[u8],
    signature: &[u8],
    requirement: &Requirement<'_>,
) -> Result<Vec<Signer>, TrustError> {
    Ok(detached(data, signature, requirement, When::SignedAndNow)?.0)
}

/// The same with the signatures that do not count, and, when it is `old`, as `verify_old_inrelease` does it.
///
/// # Errors
/// Whenever there is any doubt.
pub fn verify_release_gpg(
    text: &[u8],
    signature: &[u8],
    requirement: &Requirement<'_>,
    old: bool,
) -> Result<Verified, TrustError> {
    let when = if old { When::Signed } else { When::SignedAndNow };
    let (signers, others) = detached(text, signature, requirement, when)?;
    Ok(Verified {
        text: text.to_vec(),
        signers,
        others,
    })
}

fn detached(
    data: &[u8],
    signature: &[u8],
    requirement: &Requirement<'_>,
    when: When,
) -> Result<(Vec<Signer>, Vec<String>), TrustError> {
    let check = Check {
        what: DETACHED,
        expected: SignatureType::Binary,
        hashes: None,
        when,
        requirement,
    };
    check.all(&read(DETACHED, signature)?, data)
}

/// Verifies the signature on a Git tag: like `verify_detached`, but a key that has expired since it
/// signed still counts: tags are not made again. A key that was revoked does not count, whatever
/// the date of the tag, since a thief dates as he likes.
///
/// # Errors
/// Whenever there is any doubt.
pub fn verify_tag(payload: &[u8], signature: &[u8], requirement: &Requirement<'_>) -> Result<Vec<Signer>, TrustError> {
    let check = Check {
        what: TAG,
        expected: SignatureType::Binary,
        hashes: None,
        when: When::Signed,
        requirement,
    };
    Ok(check.all(&read(TAG, signature)?, payload)?.0)
}

/// The packets of signatures, armored or not.
pub(super) fn packets(what: &'static str, bytes: &[u8]) -> Result<Vec<u8>, TrustError> {
    if bytes.len() > LARGEST {
        return Err(TrustError::TooLarge {
            what,
            limit: LARGEST,
            unit: "bytes of signatures",
        });
    }
    match bytes.starts_with(b"-") {
        true => Ok(armor::decode(Label::Signature, bytes)?.to_vec()),
        false => Ok(bytes.to_vec()),
    }
}

/// Reads signatures, armored or not: nothing but signatures, and not many.
pub(super) fn read(what: &'static str, bytes: &[u8]) -> Result<Vec<Signature>, TrustError> {
    let bytes = packets(what, bytes)?;
    let packets = packet::split(what, &bytes)?;
    if packets.len() > MOST_SIGNATURES {
        return Err(TrustError::TooLarge {
            what,
            limit: MOST_SIGNATURES,
            unit: "signatures",
        });
    }
    packets
        .iter()
        .map(|packet| {
            packet
                .signature()
                .ok_or_else(|| packet.error(what, "it is not a v4 or v6 signature"))
        })
        .collect()
}

/// One verification.
struct Check<'a> {
    what: &'static str,
    expected: SignatureType,
    hashes: Option<&'a [HashAlgorithm]>,
    when: When,
    requirement: &'a Requirement<'a>,
}

impl Check<'_> {
    fn all(&self, signatures: &[Signature], data: &[u8]) -> Result<(Vec<Signer>, Vec<String>), TrustError> {
        if self.requirement.threshold == 0 {
            return Err(TrustError::NoThreshold);
        }
        // The form of every signature comes first: a stranger's is part of the file too.
        for signature in signatures {
            let found = signature.typ().map_or(0xFF, u8::from);
            if found != u8::from(self.expected) {
                return Err(TrustError::SignatureType {
                    what: self.what,
                    found,
                    expected: u8::from(self.expected),
                });
            }
        }
        let (mut signers, mut others): (Vec<Signer>, Vec<String>) = (Vec::new(), Vec::new());
        for signature in signatures {
            match self.one(signature, data)? {
                Ok(signer) if signers.iter().any(|s| s.primary == signer.primary) => {
                    others.push(format!("`{}` signed a second time", signer.primary));
                }
                Ok(signer) => signers.push(signer),
                Err(why) => others.push(why),
            }
        }
        let needed = self.requirement.threshold;
        if u32::try_from(signers.len()).unwrap_or(u32::MAX) < needed {
            return Err(TrustError::Threshold {
                what: self.what,
                needed,
                good: signers.len(),
                others,
            });
        }
        Ok((signers, others))
    }

    /// Who made a sound signature; or in words why it does not count; or an error, when it is by a
    /// known key and unsound.
    fn one(&self, signature: &Signature, data: &[u8]) -> Result<Result<Signer, String>, TrustError> {
        let claimed: Vec<(&Certificate, &Key)> = self
            .requirement
            .keyring
            .certificates()
            .iter()
            .flat_map(|certificate| certificate.claimed_by(signature).map(move |key| (certificate, key)))
            .collect();
        let Some((_, first)) = claimed.first() else {
            return Ok(Err(self.stranger(signature)));
        };
        self.check_hash(signature)?;
        if has_unknown_demand(signature) {
            return Err(self.void(first, "it has a critical part that is not known here".into()));
        }
        let Some((certificate, key)) = claimed.iter().find(|(_, key)| key.made(signature, data)) else {
            return Err(TrustError::BadSignature {
                what: self.what,
                key: first.fingerprint.clone(),
            });
        };
        let made_at = self.date(signature, key)?;
        let now = self.requirement.now;
        if let Some(end) = ends_at(signature).filter(|end| now >= *end) {
            return Ok(Err(format!(
                "the signature by `{}` expired at {}",
                key.fingerprint,
                end.rfc3339()
            )));
        }
        if let Some(why) = certificate.objection(&key.fingerprint, made_at, now, self.when) {
            return Ok(Err(format!("`{}` does not count: {why}", key.fingerprint)));
        }
        Ok(Ok(Signer {
            primary: certificate.primary.fingerprint.clone(),
            key: key.fingerprint.clone(),
            made_at,
        }))
    }

    /// Who may not sign, as far as the keyring knows him.
    fn stranger(&self, signature: &Signature) -> String {
        let mut others = self.requirement.keyring.others().iter();
        let known = others.find_map(|other| other.claimed_by(signature).next().map(|key| (other, key)));
        match known {
            None => format!("`{}` is not in the keyring", claimed_issuer(signature)),
            Some((other, key)) if key.fingerprint == other.primary.fingerprint => {
                format!("`{}` is in the keyring, and not among the signers", key.fingerprint)
            }
            Some((other, key)) => format!(
                "`{}` is in the keyring, and its primary key `{}` is not among the signers",
                key.fingerprint, other.primary.fingerprint
            ),
        }
    }

    fn check_hash(&self, signature: &Signature) -> Result<(), TrustError> {
        let hash = signature.hash_alg();
        let name = || hash.map_or_else(|| "no hash".to_owned(), |h| h.to_string());
        if !is_strong(signature) {
            return Err(TrustError::WeakHash {
                what: self.what,
                signer: claimed_issuer(signature),
                hash: name(),
            });
        }
        match (self.hashes, hash) {
            (Some(named), Some(hash)) if !named.contains(&hash) => Err(TrustError::HashHeader {
                signer: claimed_issuer(signature),
                hash: name(),
            }),
            _ => Ok(()),
        }
    }

    /// The date of a signature that `key` made, when it can be true.
    fn date(&self, signature: &Signature, key: &Key) -> Result<Timestamp, TrustError> {
        let void = |why| self.void(key, why);
        if !key.is_only_claimed_by(signature) {
            return Err(void("it names another key as its maker too".into()));
        }
        let made_at = made_at(signature).ok_or_else(|| void("it has no date".into()))?;
        if made_at < key.made_at {
            return Err(void(format!(
                "it is dated {}, before the key was made",
                made_at.rfc3339()
            )));
        }
        let now = self.requirement.now;
        if made_at > now.plus(CLOCK_SKEW) {
            return Err(TrustError::Future {
                what: self.what,
                key: key.fingerprint.clone(),
                made_at,
                now,
            });
        }
        Ok(made_at)
    }

    fn void(&self, key: &Key, why: String) -> TrustError {
        TrustError::VoidSignature {
            what: self.what,
            key: key.fingerprint.clone(),
            why,
        }
    }
}
