//! Ed25519 keys of builders and of the gate (RFC 8032).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use zeroize::Zeroizing;

use super::TrustError;
use crate::domain::Fingerprint;

/// How the text form of a secret key starts: it names itself where it is left lying about.
const SECRET_PREFIX: &str = "assay-ed25519-secret:";

/// A secret key. Its memory is wiped when dropped, and `Debug` shows only its fingerprint.
pub struct Ed25519Key(SigningKey);

impl Ed25519Key {
    /// A new key, from the operating system's random numbers.
    #[must_use]
    pub fn generate() -> Self {
        let mut seed = Zeroizing::new([0_u8; 32]);
        rand::RngCore::fill_bytes(&mut rand::rngs::OsRng, seed.as_mut());
        Self(SigningKey::from_bytes(&seed))
    }

    /// Reads the text form: `assay-ed25519-secret:` and 32 bytes of base64, on one line.
    ///
    /// # Errors
    /// When it is anything else. The error never repeats the text.
    pub fn parse(text: &str) -> Result<Self, TrustError> {
        let bad = |why| TrustError::SecretKey { why };
        let base64 = text
            .strip_suffix('\n')
            .unwrap_or(text)
            .strip_prefix(SECRET_PREFIX)
            .ok_or(bad("it does not start with `assay-ed25519-secret:`"))?;
        let decoded = Zeroizing::new(STANDARD.decode(base64).map_err(|_| bad("it is not base64"))?);
        let seed = <&[u8; 32]>::try_from(decoded.as_slice()).map_err(|_| bad("it does not have 32 bytes"))?;
        Ok(Self(SigningKey::from_bytes(seed)))
    }

    /// The text form, with a newline at its end. Write it only to files that others cannot read.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        let base64 = Zeroizing::new(STANDARD.encode(self.0.as_bytes()));
        Zeroizing::new(format!("{SECRET_PREFIX}{}\n", base64.as_str()))
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> Ed25519Public {
        Ed25519Public(self.0.verifying_key())
    }

    /// Signs bytes as they are. Deterministic (RFC 8032).
    pub(super) fn sign(&self, bytes: &[u8]) -> [u8; 64] {
        self.0.sign(bytes).to_bytes()
    }
}

impl fmt::Debug for Ed25519Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ed25519Key({}, secret)", self.public().hex())
    }
}

/// A public key. Text form: 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ed25519Public(VerifyingKey);

impl Ed25519Public {
    /// Reads 64 lower-case hexadecimal digits.
    ///
    /// # Errors
    /// When they are not a point of the curve, or a weak one, for which anybody can sign.
    pub fn parse(hex: &str) -> Result<Self, TrustError> {
        let bad = |why| TrustError::PublicKey { why };
        let bytes = decode(hex).ok_or(bad("it is not 64 lower-case hexadecimal digits"))?;
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_| bad("it is not a point of the curve"))?;
        if key.is_weak() {
            return Err(bad("it is a weak point: anybody could sign for it"));
        }
        Ok(Self(key))
    }

    /// 64 lower-case hexadecimal digits.
    #[must_use]
    pub fn hex(&self) -> String {
        hex::encode(self.0.as_bytes())
    }

    /// `ed25519:` and the SHA-256 of the 32 bytes.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of_ed25519(self.0.as_bytes())
    }

    /// Whether `signature` is this key's over `bytes`, by the strict rules: no other encoding of a
    /// signature and no weak point passes.
    pub(super) fn verifies(&self, bytes: &[u8], signature: &[u8]) -> bool {
        Signature::from_slice(signature).is_ok_and(|s| self.0.verify_strict(bytes, &s).is_ok())
    }
}

impl fmt::Debug for Ed25519Public {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ed25519Public({})", self.hex())
    }
}

fn decode(text: &str) -> Option<[u8; 32]> {
    let lower = text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let mut bytes = [0; 32];
    (text.len() == 64 && lower && hex::decode_to_slice(text, &mut bytes).is_ok()).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standards_first_vector() {
        // RFC 8032 §7.1, TEST 1.
        let seed = hex::decode("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60").unwrap();
        let key = Ed25519Key::parse(&format!("{SECRET_PREFIX}{}", STANDARD.encode(seed))).unwrap();
        assert_eq!(
            key.public().hex(),
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
        );
        let signature = key.sign(b"");
        assert!(hex::encode(signature).starts_with("e5564300c360ac729086e2cc806e828a"));
        assert!(key.public().verifies(b"", &signature));
        assert!(!key.public().verifies(b"x", &signature));
    }

    #[test]
    fn text_forms_round_trip() {
        let key = Ed25519Key::generate();
        let again = Ed25519Key::parse(&key.to_text()).unwrap();
        assert_eq!(again.public(), key.public());
        assert_eq!(Ed25519Public::parse(&key.public().hex()).unwrap(), key.public());
        assert!(key.public().fingerprint().as_str().starts_with("ed25519:"));
    }

    #[test]
    fn secrets_do_not_leak_and_bad_keys_are_refused() {
        let key = Ed25519Key::generate();
        let secret = key.to_text();
        let base64 = secret.trim_end().trim_start_matches(SECRET_PREFIX);
        assert!(!format!("{key:?}").contains(base64));
        for text in ["", "assay-ed25519-secret:", "assay-ed25519-secret:AAAA", base64] {
            let error = Ed25519Key::parse(text).unwrap_err().to_string();
            assert!(!error.contains(base64), "{error}");
        }
        // The neutral point: its "signatures" verify under lax rules.
        let neutral = format!("01{}", "00".repeat(31));
        assert!(Ed25519Public::parse(&neutral).is_err());
        assert!(Ed25519Public::parse(&key.public().hex().to_uppercase()).is_err());
    }
}
