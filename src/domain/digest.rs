//! Digests of files, Git object ids and key fingerprints.

use std::fmt;
use std::str::FromStr;

use sha2::Digest as _;

use super::DomainError;
use super::name::text_type;

/// A SHA-256 digest: the identity of every file that Assay keeps.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sha256([u8; 32]);

impl Sha256 {
    /// The digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha2::Sha256::digest(bytes).into())
    }

    /// A digest that was computed elsewhere.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// 64 lower-case hexadecimal digits.
    #[must_use]
    pub fn hex(&self) -> String {
        hex::encode(self.0)
    }

    /// The first 12 digits, for people.
    #[must_use]
    pub fn short(&self) -> String {
        self.hex().chars().take(12).collect()
    }
}

/// What a hexadecimal digit is; more than 15 for what is none. An index has millions of them.
fn digit(text: u8) -> u8 {
    let (number, letter) = (text.wrapping_sub(b'0'), (text | 0x20).wrapping_sub(b'a'));
    match (number, letter) {
        (0..=9, _) => number,
        (_, 0..=5) => letter + 10,
        _ => 0xff,
    }
}

impl FromStr for Sha256 {
    type Err = DomainError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = |why| DomainError::new("SHA-256", text, why);
        if text.len() != 64 {
            return Err(bad("it does not have 64 digits"));
        }
        let (mut bytes, mut bad_digits) = ([0; 32], 0);
        let (pairs, _) = text.as_bytes().as_chunks::<2>();
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            let (high, low) = (digit(*high), digit(*low));
            bad_digits |= high | low;
            *byte = high << 4 | low;
        }
        if bad_digits > 0xf {
            return Err(bad("it has characters that are not hexadecimal"));
        }
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Sha256 {
    type Error = DomainError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Sha256> for String {
    fn from(value: Sha256) -> Self {
        value.hex()
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.hex())
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sha256({})", self.hex())
    }
}

/// Where the computation of a SHA-256 stood after each so many bytes of a text: of another text that begins alike, only
/// the rest is hashed.
#[derive(Debug, Clone, Default)]
pub struct Milestones(Vec<sha2::Sha256>);

impl Milestones {
    /// How far they are apart, in bytes.
    const APART: usize = 256 << 10;

    /// The digest of `bytes`, and its milestones.
    #[must_use]
    pub fn of(bytes: &[u8]) -> (Digest, Self) {
        let (mut hash, mut states) = (sha2::Sha256::new(), Vec::new());
        for chunk in bytes.chunks(Self::APART) {
            hash.update(chunk);
            states.push(hash.clone());
        }
        (finished(hash, bytes), Self(states))
    }

    /// The digest of other `bytes`, of which the first `common` are those that these are of.
    #[must_use]
    pub fn digest(&self, bytes: &[u8], common: usize) -> Digest {
        let passed = (common.min(bytes.len()) / Self::APART).min(self.0.len());
        let state = passed.checked_sub(1).and_then(|last| self.0.get(last));
        let rest = bytes.get(passed * Self::APART..).unwrap_or_default();
        finished(state.cloned().unwrap_or_default().chain_update(rest), bytes)
    }
}

fn finished(hash: sha2::Sha256, bytes: &[u8]) -> Digest {
    Digest {
        sha256: Sha256(hash.finalize().into()),
        size: bytes.len() as u64,
    }
}

/// A file by content: its SHA-256 and its size in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Digest {
    /// SHA-256 of the whole file.
    pub sha256: Sha256,
    /// Bytes.
    pub size: u64,
}

impl Digest {
    /// The digest and size of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self {
            sha256: Sha256::of(bytes),
            size: bytes.len() as u64,
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} bytes)", self.sha256, self.size)
    }
}

text_type!(
    /// A Git object id: 40 (SHA-1) or 64 (SHA-256) lower-case hexadecimal digits.
    GitOid, "Git object id", git_oid
);

text_type!(
    /// A full key fingerprint. OpenPGP: 40 or 64 upper-case hexadecimal digits. SSH: `SHA256:` and
    /// 43 characters of base64, as `ssh-keygen -l` prints it. Ed25519 keys of builders and gates:
    /// `ed25519:` and 64 lower-case hexadecimal digits, the SHA-256 of the public key.
    Fingerprint, "key fingerprint", fingerprint
);

text_type!(
    /// A key in the `Signed-By` of a Release file, as apt reads it: 40 upper-case hexadecimal digits. With `!` at
    /// its end only a signature by that very key counts, without it also one by a subkey of it.
    SignedByKey, "Signed-By key", signed_by_key
);

impl Fingerprint {
    /// The name, without its ending, of the files that hold this key: `:` and `/` are replaced.
    #[must_use]
    pub fn file_stem(&self) -> String {
        self.as_str().replace(':', "-").replace('/', "_")
    }

    /// The fingerprint of an Ed25519 key of a builder or of the gate.
    #[must_use]
    pub fn of_ed25519(public: &[u8; 32]) -> Self {
        Self(format!("ed25519:{}", Sha256::of(public)))
    }
}

fn upper_hex(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit() || (b'A'..=b'F').contains(&b))
}

/// apt ignores the whole field when one word of it has another form.
fn signed_by_key(text: &str) -> Result<(), &'static str> {
    let digits = text.strip_suffix('!').unwrap_or(text);
    if digits.len() == 40 && upper_hex(digits) {
        Ok(())
    } else {
        Err("apt takes 40 upper-case hexadecimal digits here, with or without `!` at their end")
    }
}

fn lower_hex(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

fn git_oid(text: &str) -> Result<(), &'static str> {
    if !matches!(text.len(), 40 | 64) {
        return Err("it does not have 40 or 64 digits");
    }
    if lower_hex(text) {
        Ok(())
    } else {
        Err("it has characters that are not lower-case hexadecimal")
    }
}

fn fingerprint(text: &str) -> Result<(), &'static str> {
    if let Some(rest) = text.strip_prefix("ed25519:") {
        return if rest.len() == 64 && lower_hex(rest) {
            Ok(())
        } else {
            Err("it does not have 64 lower-case digits")
        };
    }
    if let Some(rest) = text.strip_prefix("SHA256:") {
        let base64 = rest
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/'));
        return if rest.len() == 43 && base64 {
            Ok(())
        } else {
            Err("it is not an SSH fingerprint")
        };
    }
    if !matches!(text.len(), 40 | 64) {
        return Err("short key ids are not accepted: give all 40 (or 64) digits");
    }
    if upper_hex(text) {
        Ok(())
    } else {
        Err("it has characters that are not upper-case hexadecimal")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_round_trip() {
        let digest = Sha256::of(b"");
        assert_eq!(
            digest.hex(),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        assert_eq!(digest.hex().parse(), Ok(digest));
        assert!("e3b0".parse::<Sha256>().is_err());
    }

    #[test]
    fn what_begins_alike_is_hashed_from_there_on() {
        let text: Vec<u8> = (0..Milestones::APART * 3 + 17).map(|n| (n % 251) as u8).collect();
        let (digest, milestones) = Milestones::of(&text);
        assert_eq!(digest, Digest::of(&text));
        for common in [0, 1, Milestones::APART, Milestones::APART * 2 + 5, text.len()] {
            for end in [&b""[..], b"other"] {
                let other = [&text[..common], end].concat();
                assert_eq!(milestones.digest(&other, common), Digest::of(&other), "{common}");
                // What is no more than the truth is right, too; and of what is shorter no more is common than it has.
                assert_eq!(milestones.digest(&other, common / 2), Digest::of(&other), "{common}");
                assert_eq!(
                    milestones.digest(&text[..common], text.len()),
                    Digest::of(&text[..common])
                );
            }
        }
        assert_eq!(Milestones::default().digest(&text, 0), digest);
    }

    #[test]
    fn short_key_ids_are_refused() {
        assert!(Fingerprint::new("DEADBEEF").is_err());
        let key = "4D64FEC119C2029067D6E791F8D2585B8783D481";
        for (text, taken) in [
            (key.to_owned(), true),
            (format!("{key}!"), true),
            (format!("{key}!!"), false),
            (format!("!{key}"), false),
            (key.to_lowercase(), false),
            ("E8D2585B8783D481".to_owned(), false),
            (format!("{key}, {key}"), false),
            (String::new(), false),
        ] {
            assert_eq!(SignedByKey::new(text.as_str()).is_ok(), taken, "{text}");
        }
        assert!(Fingerprint::new("4D64FEC119C2029067D6E791F8D2585B8783D481").is_ok());
        assert!(Fingerprint::new("SHA256:uNiVztksCsDhcc0u9e8BrWKbXKRkKNhJcXb4wYyXjTs").is_ok());
    }
}
