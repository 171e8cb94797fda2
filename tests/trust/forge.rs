//! An attacker's workshop: certificates and signatures that no honest program makes.

use assay::domain::Timestamp;
use assay::trust::{Keyring, TrustError, verify_detached};
use pgp::composed::KeyType;
use pgp::crypto::hash::HashAlgorithm;
use pgp::crypto::public_key::PublicKeyAlgorithm;
use pgp::packet::{
    KeyFlags, PacketTrait, PubKeyInner, PublicKey, PublicSubkey, SecretKey, SecretSubkey, Signature, SignatureConfig,
    SignatureType, Subpacket, SubpacketData, UserId,
};
use pgp::types::{Duration, KeyVersion, PacketHeaderVersion, Password, SigningKey, Tag};

use super::{MADE, TEXT, at, needs};

pub(super) fn seconds(at: Timestamp) -> pgp::types::Timestamp {
    pgp::types::Timestamp::from_secs(u32::try_from(at.unix()).unwrap())
}

pub(super) fn bytes(packet: &impl PacketTrait) -> Vec<u8> {
    let mut bytes = Vec::new();
    packet.to_writer_with_header(&mut bytes).unwrap();
    bytes
}

/// One forged identity: a primary key, one user id, and one subkey that may be used or not.
pub(super) struct Forge {
    pub(super) primary: SecretKey,
    pub(super) subkey: SecretSubkey,
    user: UserId,
}

/// What a self-signature says, and how.
#[derive(Clone)]
pub(super) struct Says {
    pub(super) made: Timestamp,
    pub(super) sign: Option<bool>,
    pub(super) lifetime: Option<u32>,
    pub(super) hash: HashAlgorithm,
    pub(super) more: Vec<Subpacket>,
}

impl Default for Says {
    fn default() -> Self {
        Self {
            made: at(MADE),
            sign: Some(true),
            lifetime: None,
            hash: HashAlgorithm::Sha512,
            more: Vec::new(),
        }
    }
}

impl Forge {
    pub(super) fn new() -> Self {
        Self::of(KeyType::Ed25519Legacy, PublicKeyAlgorithm::EdDSALegacy)
    }

    pub(super) fn of(kind: KeyType, algorithm: PublicKeyAlgorithm) -> Self {
        let inner = |kind: &KeyType, algorithm| {
            let (public, secret) = kind.generate(rand::thread_rng()).unwrap();
            let inner = PubKeyInner::new(KeyVersion::V4, algorithm, seconds(at(MADE)), None, public).unwrap();
            (inner, secret)
        };
        let (public, secret) = inner(&kind, algorithm);
        let primary = SecretKey::new(PublicKey::from_inner(public).unwrap(), secret).unwrap();
        let (public, secret) = inner(&KeyType::Ed25519Legacy, PublicKeyAlgorithm::EdDSALegacy);
        let subkey = SecretSubkey::new(PublicSubkey::from_inner(public).unwrap(), secret).unwrap();
        Self {
            primary,
            subkey,
            user: UserId::from_str(PacketHeaderVersion::New, "Forged <forged@example.org>").unwrap(),
        }
    }

    pub(super) fn key_packet(&self) -> Vec<u8> {
        bytes(self.primary.public_key())
    }

    pub(super) fn user_packet(&self) -> Vec<u8> {
        bytes(&self.user)
    }

    pub(super) fn subkey_packet(&self) -> Vec<u8> {
        bytes(self.subkey.public_key())
    }

    /// Key, user id, self-signature.
    pub(super) fn certificate(&self, says: &Says) -> Vec<u8> {
        [self.key_packet(), self.user_packet(), self.user_signature(says)].concat()
    }

    pub(super) fn user_signature(&self, says: &Says) -> Vec<u8> {
        let config = config(SignatureType::CertPositive, &self.primary, says);
        let public = self.primary.public_key();
        let signature = config.sign_certification(&self.primary, public, &Password::empty(), Tag::UserId, &self.user);
        bytes(&signature.unwrap())
    }

    pub(super) fn user_revocation(&self, made: Timestamp) -> Vec<u8> {
        let says = Says {
            made,
            sign: None,
            ..Says::default()
        };
        let config = config(SignatureType::CertRevocation, &self.primary, &says);
        let public = self.primary.public_key();
        let signature = config.sign_certification(&self.primary, public, &Password::empty(), Tag::UserId, &self.user);
        bytes(&signature.unwrap())
    }

    /// A signature over the key itself: 0x1F, or 0x20, which revokes; by any key.
    pub(super) fn key_signature(&self, kind: SignatureType, by: &SecretKey, says: &Says) -> Vec<u8> {
        let config = config(kind, by, says);
        bytes(
            &config
                .sign_key(by, &Password::empty(), self.primary.public_key())
                .unwrap(),
        )
    }

    /// A signature over the subkey: 0x18 with or without the subkey's own one back, or 0x28.
    pub(super) fn subkey_signature(&self, kind: SignatureType, says: &Says, back: bool) -> Vec<u8> {
        let (public, sub) = (self.primary.public_key(), self.subkey.public_key());
        let mut says = says.clone();
        if back {
            let plain = Says {
                sign: None,
                ..Says::default()
            };
            let signature = config(SignatureType::KeyBinding, &self.subkey, &plain)
                .sign_primary_key_binding(&self.subkey, sub, &Password::empty(), public)
                .unwrap();
            says.more
                .push(regular(SubpacketData::EmbeddedSignature(Box::new(signature))));
        }
        let config = config(kind, &self.primary, &says);
        bytes(
            &config
                .sign_subkey_binding(&self.primary, public, &Password::empty(), sub)
                .unwrap(),
        )
    }

    /// A signature over data by the primary key.
    pub(super) fn sign(&self, kind: SignatureType, data: &[u8], says: &Says) -> Vec<u8> {
        sign(&self.primary, kind, data, says)
    }
}

pub(super) fn sign(key: &impl SigningKey, kind: SignatureType, data: &[u8], says: &Says) -> Vec<u8> {
    bytes(&signature(key, kind, data, says))
}

pub(super) fn signature(key: &impl SigningKey, kind: SignatureType, data: &[u8], says: &Says) -> Signature {
    let says = Says {
        sign: None,
        ..says.clone()
    };
    config(kind, key, &says).sign(key, &Password::empty(), data).unwrap()
}

pub(super) fn regular(data: SubpacketData) -> Subpacket {
    Subpacket::regular(data).unwrap()
}

pub(super) const BINARY: SignatureType = SignatureType::Binary;
pub(super) const DAY: i64 = 86_400;

/// How many signers are believed.
pub(super) fn verdict(certificate: &[u8], signature: &[u8]) -> Result<usize, TrustError> {
    let keyring = Keyring::parse(certificate)?;
    verify_detached(TEXT, signature, &needs(&keyring, 1)).map(|signers| signers.len())
}

/// Why none is.
pub(super) fn why(certificate: &[u8], signature: &[u8]) -> String {
    verdict(certificate, signature).unwrap_err().to_string()
}

/// A signature made so many seconds after the key.
pub(super) fn made(seconds: i64) -> Says {
    Says {
        made: at(MADE).plus(seconds),
        ..Says::default()
    }
}

fn config(kind: SignatureType, key: &impl SigningKey, says: &Says) -> SignatureConfig {
    let mut config = SignatureConfig::v4(kind, key.algorithm(), says.hash);
    config.hashed_subpackets = vec![
        regular(SubpacketData::SignatureCreationTime(seconds(says.made))),
        regular(SubpacketData::IssuerFingerprint(key.fingerprint())),
    ];
    if let Some(sign) = says.sign {
        let mut flags = KeyFlags::default();
        flags.set_certify(true);
        flags.set_sign(sign);
        config.hashed_subpackets.push(regular(SubpacketData::KeyFlags(flags)));
    }
    if let Some(lifetime) = says.lifetime {
        let duration = Duration::from_secs(lifetime);
        config
            .hashed_subpackets
            .push(regular(SubpacketData::KeyExpirationTime(duration)));
    }
    config.hashed_subpackets.extend(says.more.iter().cloned());
    config
}
