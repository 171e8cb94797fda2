//! Which key is asked about, in each form that people and tools write one.

use std::collections::BTreeSet;

use super::QueryError;
use crate::domain::{DomainError, Fingerprint};
use crate::site::Policy;
use crate::trust::Ed25519Public;

/// The fewest digits that a fingerprint may be cut short to.
const SHORTEST: usize = 8;
/// The digits of a long key id, which is the end of an OpenPGP fingerprint.
const LONG_ID: usize = 16;

/// A key, or the builder that has it.
pub struct WhichKey {
    /// As it was written, without spaces.
    text: String,
    /// When all are hexadecimal digits: these, in capitals.
    digits: Option<String>,
    /// The fingerprint, where the public key itself was given.
    whole: Option<String>,
}

impl WhichKey {
    /// A fingerprint (`SHA256:…`, or OpenPGP's, also with spaces, in small letters, after `0x`, or cut short), a
    /// long key id, an Ed25519 public key as a policy has it, or a builder's id.
    ///
    /// # Errors
    /// When it is too short to name one key.
    pub fn new(asked: &str) -> Result<Self, QueryError> {
        let text: String = asked.split_whitespace().collect();
        let bare = text.rsplit(':').next().unwrap_or_default();
        if bare.len() < SHORTEST && !text.contains('/') {
            let why = "it is too short: give a whole fingerprint, as `assay key list` prints it";
            return Err(DomainError::new("fingerprint", asked, why).into());
        }
        let digits = bare.strip_prefix("0x").unwrap_or(bare);
        let hexadecimal = digits.bytes().all(|b| b.is_ascii_hexdigit());
        let digits = hexadecimal.then(|| digits.to_ascii_uppercase());
        let key = Ed25519Public::parse(&bare.to_ascii_lowercase()).ok();
        let whole = key.map(|key| key.fingerprint().to_string());
        Ok(Self { text, digits, whole })
    }

    /// Whether this fingerprint is meant.
    pub(super) fn is(&self, fingerprint: &str) -> bool {
        let bare = fingerprint.rsplit(':').next().unwrap_or_default();
        let asked = self.text.rsplit(':').next().unwrap_or_default();
        let hexadecimal = |asked: &String| {
            bare.starts_with(asked.as_str()) || (asked.len() == LONG_ID && bare.ends_with(asked.as_str()))
        };
        fingerprint == self.text
            || self.whole.as_deref() == Some(fingerprint)
            || (asked.len() >= SHORTEST && bare.starts_with(asked))
            || self.digits.as_ref().is_some_and(hexadecimal)
    }

    /// Whether this builder is meant.
    pub(super) fn is_builder(&self, id: &str) -> bool {
        self.text == id
    }

    /// Whether a policy names it.
    pub(super) fn is_in(&self, policy: &Policy) -> bool {
        policy.builders.iter().any(|one| self.is_builder(one.id.as_str())) || !self.keys_in(policy).is_empty()
    }

    /// The keys of a policy that are meant, by their whole fingerprints.
    #[must_use]
    pub fn keys_in(&self, policy: &Policy) -> BTreeSet<Fingerprint> {
        let builders = policy.builders.iter();
        let builders = builders.filter_map(|one| Some(Ed25519Public::parse(&one.public_key).ok()?.fingerprint()));
        let signers = policy.signers.iter().map(|signer| signer.fingerprint.clone());
        let imports = policy.imports.iter().flat_map(|import| import.signers.iter().cloned());
        let all = signers.chain(builders).chain(imports);
        all.filter(|key| self.is(key.as_str())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_meant_in_each_form() {
        let openpgp = "981B7A72003D271F46FF281B4F05DBADFC368E6F";
        for asked in [
            openpgp,
            "981b7a72003d271f46ff281b4f05dbadfc368e6f",
            "981B 7A72 003D 271F 46FF  281B 4F05 DBAD FC36 8E6F",
            "0x981B7A72003D271F46FF281B4F05DBADFC368E6F",
            "4F05DBADFC368E6F",
            "981B7A72",
        ] {
            assert!(WhichKey::new(asked).unwrap().is(openpgp), "{asked}");
        }
        let key = Ed25519Public::parse(&"11".repeat(32)).unwrap();
        let fingerprint = key.fingerprint().to_string();
        let base64 = fingerprint.rsplit(':').next().unwrap();
        for asked in [
            fingerprint.clone(),
            base64.to_owned(),
            key.hex(),
            format!("ed25519:{}", key.hex()),
        ] {
            assert!(WhichKey::new(&asked).unwrap().is(&fingerprint), "{asked}");
        }
        assert!(!WhichKey::new("DBADFC368E6F").unwrap().is(openpgp));
        assert!(!WhichKey::new("DEADBEEFDEADBEEF").unwrap().is(openpgp));
        assert!(WhichKey::new("alice/laptop").unwrap().is_builder("alice/laptop"));
        assert!(WhichKey::new("981B7A7").is_err());
    }
}
