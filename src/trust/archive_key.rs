//! The archive's own signing key.

use std::fmt;

use pgp::crypto::ed25519::{Mode, SecretKey as Ed25519Secret};
use pgp::crypto::eddsa_legacy::SecretKey as EddsaLegacySecret;
use pgp::crypto::hash::HashAlgorithm;
use pgp::crypto::public_key::PublicKeyAlgorithm;
use pgp::packet::{
    KeyFlags, PacketTrait, PubKeyInner, PublicKey, SecretKey, Signature, SignatureConfig, SignatureType, Subpacket,
    SubpacketData, UserId,
};
use pgp::types::{
    Duration, EddsaLegacyPublicParams, KeyDetails as _, KeyVersion, PacketHeaderVersion, Password, PlainSecretParams,
    PublicParams, SecretParams, Tag,
};
use zeroize::Zeroizing;

use super::armor::{self, Label};
use super::key::{Key, Material};
use super::{TrustError, cleartext, packet};
use crate::domain::{Fingerprint, Timestamp};

/// The hash of every signature that we make, as `Hash:` headers write it.
const HASH: &str = "SHA512";
const LONGEST_USER_ID: usize = 200;

/// An OpenPGP secret key: v4, EdDSA over Ed25519 in its legacy form, the one modern kind that both
/// of apt's verifiers take, gpgv 2.2 of bookworm and sqv of trixie. Its secret parts are wiped when
/// dropped, and `Debug` shows only its fingerprint.
pub struct ArchiveKey {
    secret: SecretKey,
    user_id: UserId,
    self_signature: Signature,
    public: Key,
}

impl ArchiveKey {
    /// A new key made at `now`, that may certify and sign, without an end of validity.
    ///
    /// # Errors
    /// When the user id is empty, too long or not plain text, or OpenPGP cannot write `now`.
    pub fn generate(user_id: &str, now: Timestamp) -> Result<Self, TrustError> {
        Self::generate_for(user_id, now, None)
    }

    /// The same, valid for so many days.
    ///
    /// # Errors
    /// As `generate`.
    pub fn generate_for(user_id: &str, now: Timestamp, days: Option<u32>) -> Result<Self, TrustError> {
        if user_id.is_empty() || user_id.len() > LONGEST_USER_ID || user_id.chars().any(char::is_control) {
            return Err(TrustError::Unsignable {
                line: 1,
                why: "a user id has 1 to 200 bytes without control characters, like `Name <mail@example.org>`",
            });
        }
        let ed25519 = Ed25519Secret::generate(rand::rngs::OsRng, Mode::EdDSALegacy);
        let inner = PubKeyInner::new(
            KeyVersion::V4,
            PublicKeyAlgorithm::EdDSALegacy,
            seconds(now)?,
            None,
            PublicParams::EdDSALegacy(EddsaLegacyPublicParams::from(&ed25519)),
        );
        let public = inner.and_then(PublicKey::from_inner).map_err(failed)?;
        let plain = SecretParams::Plain(PlainSecretParams::EdDSALegacy(EddsaLegacySecret::Ed25519(ed25519)));
        let secret = SecretKey::new(public, plain).map_err(failed)?;
        let user_id = UserId::from_str(PacketHeaderVersion::New, user_id).map_err(failed)?;
        let self_signature = certify(&secret, &user_id, now, days)?;
        Self::of(secret, user_id, self_signature)
    }

    /// The same key, valid until so many days from `now`: a newer self-signature says so. Clients need the new certificate.
    ///
    /// # Errors
    /// When OpenPGP cannot write `now`.
    pub fn extended(self, now: Timestamp, days: u32) -> Result<Self, TrustError> {
        let age = now.since(self.made_at()).max(0);
        let lifetime = days.saturating_add(u32::try_from(age / 86_400).unwrap_or(u32::MAX));
        let self_signature = certify(&self.secret, &self.user_id, now, Some(lifetime))?;
        Ok(Self { self_signature, ..self })
    }

    /// Reads what `secret_armored` wrote.
    ///
    /// # Errors
    /// When it is anything else, encrypted, or its self-signature does not verify.
    pub fn parse(secret_armored: &[u8]) -> Result<Self, TrustError> {
        let bad = |why| TrustError::SecretKey { why };
        let bytes = armor::decode(Label::PrivateKey, secret_armored)?;
        let packets = packet::split("OpenPGP secret key", &bytes)?;
        let [key, user_id, self_signature] = packets.as_slice() else {
            return Err(bad("it is not one key, one user id and one self-signature"));
        };
        // The errors of the library are dropped here: they might repeat parts of the secret.
        let mut rest = key.body;
        let secret = SecretKey::try_from_reader(key.header, &mut rest).map_err(|_| bad("it is not a secret key"))?;
        if !rest.is_empty() {
            return Err(bad("more bytes follow the key"));
        }
        let SecretParams::Plain(PlainSecretParams::EdDSALegacy(EddsaLegacySecret::Ed25519(ed25519))) =
            secret.secret_params()
        else {
            return Err(bad("it is encrypted, or not EdDSA over Ed25519 in its legacy form"));
        };
        // With a public half that is not its own, nobody could verify what it signs.
        let derived = PublicParams::EdDSALegacy(EddsaLegacyPublicParams::from(ed25519));
        if secret.public_key().public_params() != &derived {
            return Err(bad("its public half is not that of its secret half"));
        }
        let user_id = UserId::try_from_reader(user_id.header, user_id.body)
            .ok()
            .filter(|_| user_id.tag() == Tag::UserId)
            .ok_or(bad("its second part is not a user id"))?;
        let self_signature = self_signature
            .signature()
            .filter(|s| s.typ() == Some(SignatureType::CertPositive))
            .ok_or(bad("its third part is not a self-signature"))?;
        self_signature
            .verify_certification(secret.public_key(), Tag::UserId, &user_id)
            .map_err(|_| bad("its self-signature does not verify"))?;
        Self::of(secret, user_id, self_signature)
    }

    fn of(secret: SecretKey, user_id: UserId, self_signature: Signature) -> Result<Self, TrustError> {
        let public = Key::of(Material::Primary(secret.public_key().clone()))?;
        Ok(Self {
            secret,
            user_id,
            self_signature,
            public,
        })
    }

    /// The secret key in ASCII armor, not encrypted. Write it only to files that others cannot read.
    ///
    /// # Errors
    /// Never for keys of this type.
    pub fn secret_armored(&self) -> Result<Zeroizing<String>, TrustError> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(1024));
        self.secret.to_writer_with_header(&mut *bytes).map_err(failed)?;
        self.write_binding(&mut bytes)?;
        Ok(armor::encode(Label::PrivateKey, &bytes))
    }

    /// The certificate in ASCII armor, for `Signed-By`. Always the same bytes for the same key.
    ///
    /// # Errors
    /// Never for keys of this type.
    pub fn certificate_armored(&self) -> Result<String, TrustError> {
        let mut bytes = Vec::new();
        self.secret
            .public_key()
            .to_writer_with_header(&mut bytes)
            .map_err(failed)?;
        self.write_binding(&mut bytes)?;
        Ok(armor::encode(Label::PublicKey, &bytes).to_string())
    }

    fn write_binding(&self, bytes: &mut Vec<u8>) -> Result<(), TrustError> {
        self.user_id.to_writer_with_header(bytes).map_err(failed)?;
        self.self_signature.to_writer_with_header(bytes).map_err(failed)
    }

    /// The fingerprint of the primary key, which signs.
    #[must_use]
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.public.fingerprint
    }

    /// The user id, for people.
    #[must_use]
    pub fn user_id(&self) -> String {
        String::from_utf8_lossy(self.user_id.id()).into_owned()
    }

    /// When the key was made.
    #[must_use]
    pub fn made_at(&self) -> Timestamp {
        self.public.made_at
    }

    /// `text`, clearsigned: an InRelease file. The same text and instant give the same bytes.
    ///
    /// # Errors
    /// When `verify_inrelease` would refuse the text, or `at` is before the key was made.
    pub fn clearsign(&self, text: &[u8], at: Timestamp) -> Result<Vec<u8>, TrustError> {
        let signature = self.sign(SignatureType::Text, cleartext::signed_part(text), at)?;
        cleartext::join(text, HASH, &signature)
    }

    /// A detached signature in ASCII armor: a Release.gpg file. Deterministic too.
    ///
    /// # Errors
    /// When `at` is before the key was made.
    pub fn detach(&self, data: &[u8], at: Timestamp) -> Result<Vec<u8>, TrustError> {
        Ok(self.sign(SignatureType::Binary, data, at)?.as_bytes().to_vec())
    }

    fn sign(&self, kind: SignatureType, data: &[u8], at: Timestamp) -> Result<Zeroizing<String>, TrustError> {
        if at < self.public.made_at {
            return Err(TrustError::SigningTime {
                key: self.public.fingerprint.clone(),
                at,
                why: "the key was made later",
            });
        }
        let config = config(&self.secret, kind, at, Vec::new())?;
        let signature = config.sign(&self.secret, &Password::empty(), data).map_err(failed)?;
        let mut bytes = Vec::new();
        signature.to_writer_with_header(&mut bytes).map_err(failed)?;
        Ok(armor::encode(Label::Signature, &bytes))
    }
}

impl fmt::Debug for ArchiveKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ArchiveKey({}, secret)", self.public.fingerprint)
    }
}

/// The signature by which a key takes a user id and says what it may do.
/// `days` are from the day on which the key was made.
fn certify(secret: &SecretKey, user_id: &UserId, now: Timestamp, days: Option<u32>) -> Result<Signature, TrustError> {
    let mut flags = KeyFlags::default();
    flags.set_certify(true);
    flags.set_sign(true);
    let hashes = [HashAlgorithm::Sha512, HashAlgorithm::Sha384, HashAlgorithm::Sha256];
    let mut says = vec![
        SubpacketData::KeyFlags(flags),
        SubpacketData::PreferredHashAlgorithms(hashes.into_iter().collect()),
        SubpacketData::IsPrimary(true),
    ];
    if let Some(days) = days {
        let lifetime = Duration::from_secs(days.saturating_mul(86_400));
        says.push(SubpacketData::KeyExpirationTime(lifetime));
    }
    config(secret, SignatureType::CertPositive, now, says)?
        .sign_certification(secret, secret.public_key(), &Password::empty(), Tag::UserId, user_id)
        .map_err(failed)
}

/// What each of our signatures says: when, by whom, over SHA-512.
fn config(
    secret: &SecretKey,
    kind: SignatureType,
    at: Timestamp,
    says: Vec<SubpacketData>,
) -> Result<SignatureConfig, TrustError> {
    let regular = |data| Subpacket::regular(data).map_err(failed);
    let mut config = SignatureConfig::v4(kind, PublicKeyAlgorithm::EdDSALegacy, HashAlgorithm::Sha512);
    config.hashed_subpackets = vec![
        regular(SubpacketData::SignatureCreationTime(seconds(at)?))?,
        regular(SubpacketData::IssuerFingerprint(secret.fingerprint()))?,
    ];
    for data in says {
        config.hashed_subpackets.push(regular(data)?);
    }
    // For readers that know only the short form; a hint, so not signed.
    config.unhashed_subpackets = vec![regular(SubpacketData::IssuerKeyId(secret.legacy_key_id()))?];
    Ok(config)
}

fn seconds(at: Timestamp) -> Result<pgp::types::Timestamp, TrustError> {
    let seconds = u32::try_from(at.unix()).map_err(|_| TrustError::Signing {
        why: format!("OpenPGP cannot write the year of {}", at.rfc3339()),
    })?;
    Ok(pgp::types::Timestamp::from_secs(seconds))
}

fn failed(error: pgp::errors::Error) -> TrustError {
    TrustError::Signing { why: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Coded as _;
    use crate::trust::{Keyring, Requirement, verify_detached, verify_inrelease};

    const TEXT: &[u8] = b"Origin: x\n-dash\nFrom: y\n";

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix(1_700_000_000).plus(seconds)
    }

    fn key() -> ArchiveKey {
        ArchiveKey::generate("Test <t@example.org>", at(0)).unwrap()
    }

    #[test]
    fn what_it_signs_verifies_and_repeats() {
        let key = key();
        let keyring = Keyring::parse(key.certificate_armored().unwrap().as_bytes()).unwrap();
        assert_eq!(keyring.fingerprints(), [key.fingerprint().clone()]);
        assert_eq!(keyring.status(at(0))[0].signing_keys, [key.fingerprint().clone()]);
        let requirement = Requirement {
            keyring: &keyring,
            threshold: 1,
            now: at(60),
        };
        let signed = key.clearsign(TEXT, at(5)).unwrap();
        assert_eq!(signed, key.clearsign(TEXT, at(5)).unwrap());
        let verified = verify_inrelease(&signed, &requirement).unwrap();
        assert_eq!(verified.text, TEXT);
        assert_eq!(verified.signers[0].made_at, at(5));
        let detached = key.detach(b"\0any\r\nbytes", at(5)).unwrap();
        assert!(verify_detached(b"\0any\r\nbytes", &detached, &requirement).is_ok());
        let error = verify_detached(b"\0any\nbytes", &detached, &requirement).unwrap_err();
        assert_eq!(error.code(), "E-SIG-008");
        assert!(error.to_string().contains(key.fingerprint().as_str()));
    }

    #[test]
    fn it_survives_being_written() {
        let key = key();
        let secret = key.secret_armored().unwrap();
        let again = ArchiveKey::parse(secret.as_bytes()).unwrap();
        assert_eq!(again.fingerprint(), key.fingerprint());
        assert_eq!(again.user_id(), "Test <t@example.org>");
        assert_eq!(again.made_at(), at(0));
        assert_eq!(again.certificate_armored().unwrap(), key.certificate_armored().unwrap());
        assert_eq!(again.detach(TEXT, at(9)).unwrap(), key.detach(TEXT, at(9)).unwrap());
        assert!(Keyring::parse(secret.as_bytes()).is_err());
        assert!(ArchiveKey::parse(key.certificate_armored().unwrap().as_bytes()).is_err());
        assert!(!format!("{key:?}").contains("BEGIN") && format!("{key:?}").len() < 80);
    }

    #[test]
    fn it_ends_on_its_day_until_it_is_extended() {
        let key = ArchiveKey::generate_for("Test <t@example.org>", at(0), Some(10)).unwrap();
        let status = |key: &ArchiveKey, days: i64| {
            let keyring = Keyring::parse(key.certificate_armored().unwrap().as_bytes()).unwrap();
            keyring.status(at(86_400 * days)).remove(0)
        };
        assert_eq!(status(&key, 9).ends_at, Some(at(86_400 * 10)));
        let ended = status(&key, 10);
        assert!(
            ended.signing_keys.is_empty() && ended.problems.concat().contains("it expired at"),
            "{ended:?}"
        );
        let extended = key.extended(at(86_400 * 9), 10).unwrap();
        assert_eq!(status(&extended, 10).ends_at, Some(at(86_400 * 19)));
        let again = ArchiveKey::parse(extended.secret_armored().unwrap().as_bytes()).unwrap();
        assert_eq!(status(&again, 18).signing_keys.len(), 1);
        assert_eq!(status(&self::key(), 9).ends_at, None);
    }

    #[test]
    fn a_swapped_public_half_is_refused() {
        let decode = |key: &ArchiveKey| armor::decode(Label::PrivateKey, key.secret_armored().unwrap().as_bytes());
        let (mine, other) = (decode(&key()).unwrap(), decode(&key()).unwrap());
        let mut mixed = mine.to_vec();
        // Header 2, version 1, time 4, algorithm 1, OID 10, MPI length 2, 0x40: then the public point.
        mixed[21..53].copy_from_slice(&other[21..53]);
        let error = ArchiveKey::parse(armor::encode(Label::PrivateKey, &mixed).as_bytes()).unwrap_err();
        assert_eq!(error.code(), "E-SIG-020", "{error}");
    }

    #[test]
    fn what_a_reader_would_refuse_is_not_signed() {
        let key = key();
        for text in ["", "a", "a \n", "a\t\n", "a\r\n", "a\0\n"] {
            assert_eq!(
                key.clearsign(text.as_bytes(), at(0)).unwrap_err().code(),
                "E-SIG-022",
                "{text:?}"
            );
        }
        assert_eq!(key.clearsign(TEXT, at(-1)).unwrap_err().code(), "E-SIG-023");
        assert!(key.clearsign(TEXT, Timestamp::from_unix(i64::MAX)).is_err());
        assert!(ArchiveKey::generate("a\nb", at(0)).is_err());
    }
}
