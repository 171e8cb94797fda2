//! One OpenPGP public key: its names, and whether its kind may speak at all.

use pgp::packet::{PublicKey, PublicSubkey, Signature, SubpacketData};
use pgp::ser::Serialize as _;
use pgp::types::{EcdsaPublicParams, EddsaLegacyPublicParams, KeyDetails, KeyId, PublicParams, Tag};

use super::TrustError;
use super::packet::Packet;
use crate::domain::{Fingerprint, Timestamp, escape};

/// Shorter RSA keys do not count (threats S6).
const SHORTEST_RSA: u16 = 2048;

/// A primary key or a subkey.
#[derive(Debug, Clone)]
pub(super) struct Key {
    pub(super) fingerprint: Fingerprint,
    pub(super) made_at: Timestamp,
    pub(super) material: Material,
    openpgp: pgp::types::Fingerprint,
    id: KeyId,
}

/// The two types that the library has for them.
#[derive(Debug, Clone)]
pub(super) enum Material {
    Primary(PublicKey),
    Sub(PublicSubkey),
}

impl Key {
    /// The key in a packet, or why we cannot read it.
    pub(super) fn read(packet: &Packet<'_>) -> Result<Self, String> {
        // v3 and older have fingerprints that can be forged; v5 exists only as a draft.
        let version = packet.body.first().copied().unwrap_or_default();
        if !matches!(version, 4 | 6) {
            return Err(format!("version {version} keys do not count"));
        }
        let mut rest = packet.body;
        let malformed = |error: pgp::errors::Error| escape(&error.to_string());
        let material = if packet.tag() == Tag::PublicKey {
            Material::Primary(PublicKey::try_from_reader(packet.header, &mut rest).map_err(malformed)?)
        } else {
            Material::Sub(PublicSubkey::try_from_reader(packet.header, &mut rest).map_err(malformed)?)
        };
        if !rest.is_empty() {
            return Err("more bytes follow the key".into());
        }
        Self::of(material).map_err(|error| error.to_string())
    }

    pub(super) fn of(material: Material) -> Result<Self, TrustError> {
        let details: &dyn KeyDetails = match &material {
            Material::Primary(key) => key,
            Material::Sub(key) => key,
        };
        let openpgp = details.fingerprint();
        Ok(Self {
            fingerprint: Fingerprint::new(hex::encode_upper(openpgp.as_bytes()))?,
            made_at: instant(details.created_at()),
            id: details.legacy_key_id(),
            openpgp,
            material,
        })
    }

    /// Whether `signature` says that this key made it. Only a hint: the signature must verify too.
    pub(super) fn is_claimed_by(&self, signature: &Signature) -> bool {
        signature.issuer_fingerprint().contains(&&self.openpgp) || signature.issuer_key_id().contains(&&self.id)
    }

    /// Whether `signature` names nobody else as its maker. Other readers may look at another of its
    /// claims than we do, and not find the key.
    pub(super) fn is_only_claimed_by(&self, signature: &Signature) -> bool {
        signature.issuer_fingerprint().iter().all(|f| **f == self.openpgp)
            && signature.issuer_key_id().iter().all(|id| **id == self.id)
    }

    /// Whether this key really made `signature` over `data`.
    pub(super) fn made(&self, signature: &Signature, data: &[u8]) -> bool {
        match &self.material {
            Material::Primary(key) => signature.verify(key, data),
            Material::Sub(key) => signature.verify(key, data),
        }
        .is_ok()
    }

    fn params(&self) -> &PublicParams {
        match &self.material {
            Material::Primary(key) => key.public_params(),
            Material::Sub(key) => key.public_params(),
        }
    }

    /// The length of an RSA key, in bits.
    pub(super) fn rsa_bits(&self) -> Option<u16> {
        let PublicParams::RSA(rsa) = self.params() else {
            return None;
        };
        // An RSA key starts with its modulus, and that with its length in bits.
        match rsa.to_bytes().unwrap_or_default().as_slice() {
            [high, low, ..] => Some(u16::from_be_bytes([*high, *low])),
            _ => Some(0),
        }
    }

    /// Why this kind of key does not count, if it does not.
    pub(super) fn weakness(&self) -> Option<String> {
        if let Some(bits) = self.rsa_bits() {
            return (bits < SHORTEST_RSA).then(|| format!("RSA with {bits} bits, where {SHORTEST_RSA} are needed"));
        }
        match self.params() {
            PublicParams::EdDSALegacy(EddsaLegacyPublicParams::Ed25519 { .. })
            | PublicParams::Ed25519(_)
            | PublicParams::ECDSA(
                EcdsaPublicParams::P256 { .. } | EcdsaPublicParams::P384 { .. } | EcdsaPublicParams::P521 { .. },
            ) => None,
            _ => Some(format!(
                "{} is not among RSA, Ed25519 and the NIST curves",
                match &self.material {
                    Material::Primary(key) => format!("{:?}", key.algorithm()),
                    Material::Sub(key) => format!("{:?}", key.algorithm()),
                }
            )),
        }
    }
}

/// Who a signature says made it, for messages.
pub(super) fn claimed_issuer(signature: &Signature) -> String {
    let fingerprint = signature
        .issuer_fingerprint()
        .first()
        .map(|f| hex::encode_upper(f.as_bytes()));
    let id = || {
        signature
            .issuer_key_id()
            .first()
            .map(|id| hex::encode_upper(id.as_ref()))
    };
    fingerprint.or_else(id).unwrap_or_else(|| "nobody".into())
}

/// Whether a signature carries a demand that we do not understand: then it is void (RFC 9580 §5.2.3.7).
pub(super) fn has_unknown_demand(signature: &Signature) -> bool {
    signature.config().is_none_or(|config| {
        config.hashed_subpackets().any(|packet| {
            packet.is_critical
                && matches!(
                    packet.data,
                    SubpacketData::Other(..) | SubpacketData::Experimental(..) | SubpacketData::Notation(..)
                )
        })
    })
}

/// When a signature says it was made, in its signed part.
pub(super) fn made_at(signature: &Signature) -> Option<Timestamp> {
    signature.created().map(instant)
}

/// When a signature stops to count, if it says so.
pub(super) fn ends_at(signature: &Signature) -> Option<Timestamp> {
    let seconds = signature.signature_expiration_time()?.as_secs();
    (seconds != 0).then(|| made_at(signature).map(|made| made.plus(i64::from(seconds))))?
}

fn instant(timestamp: pgp::types::Timestamp) -> Timestamp {
    Timestamp::from_unix(i64::from(timestamp.as_secs()))
}
