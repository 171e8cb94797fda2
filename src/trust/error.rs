//! What was not trusted, and why.

use crate::domain::{Coded, DomainError, Fingerprint, Kind, Timestamp};

/// A signature, key or signed text that Assay does not take.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// Not exactly one clean clearsigned text (threats S1, S3, S4).
    #[error("clearsigned text, line {line}: {why}")]
    Cleartext {
        /// Counted from 1.
        line: usize,
        /// What is wrong there.
        why: &'static str,
    },
    /// More than a verifier takes (threats S9).
    #[error("{what}: more than {limit} {unit}")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// The limit.
        limit: usize,
        /// Of what: `bytes`, `signatures`.
        unit: &'static str,
    },
    /// Not well-formed ASCII armor.
    #[error("{what}: the armor is malformed: {why}")]
    Armor {
        /// What was being read.
        what: &'static str,
        /// What is wrong.
        why: &'static str,
    },
    /// Not a plain sequence of the packets that belong here.
    #[error("{what}, byte {offset}: {why}")]
    Packet {
        /// What was being read.
        what: &'static str,
        /// Offset of the packet in the decoded bytes.
        offset: usize,
        /// What is wrong.
        why: String,
    },
    /// A signature of another type than this place needs (threats S5).
    #[error("{what}: a signature has type {found:#04x}; only {expected:#04x} counts here")]
    SignatureType {
        /// What was being verified.
        what: &'static str,
        /// The type it has (RFC 9580 §5.2.1).
        found: u8,
        /// The type it must have.
        expected: u8,
    },
    /// A signature over a hash that can be forged, or that we do not know.
    #[error("{what}: the signature by `{signer}` uses {hash}; SHA-256, SHA-384 or SHA-512 is needed")]
    WeakHash {
        /// What was being verified.
        what: &'static str,
        /// The issuer, as the signature claims.
        signer: String,
        /// The hash algorithm.
        hash: String,
    },
    /// The `Hash:` headers do not name the hash that a signature uses.
    #[error("clearsigned text: no `Hash:` header names {hash}, which the signature by `{signer}` uses")]
    HashHeader {
        /// The issuer, as the signature claims.
        signer: String,
        /// The hash algorithm.
        hash: String,
    },
    /// A known key's signature does not match the data: somebody changed one of them (threats S7).
    #[error("{what}: the signature by `{key}` does not match the data")]
    BadSignature {
        /// What was being verified.
        what: &'static str,
        /// The key, primary or subkey.
        key: Fingerprint,
    },
    /// A known key's signature says something that makes it void.
    #[error("{what}: the signature by `{key}` is not valid: {why}")]
    VoidSignature {
        /// What was being verified.
        what: &'static str,
        /// The key, primary or subkey.
        key: Fingerprint,
        /// What is wrong.
        why: String,
    },
    /// A signature from the future.
    #[error("{what}: the signature by `{key}` is dated {made_at}, and now is {now}", made_at = made_at.rfc3339(), now = now.rfc3339())]
    Future {
        /// What was being verified.
        what: &'static str,
        /// The key, primary or subkey.
        key: Fingerprint,
        /// What it says.
        made_at: Timestamp,
        /// Our clock.
        now: Timestamp,
    },
    /// Too few distinct keys signed.
    #[error(
        "{what}: {good} of the {needed} signatures that are needed count{}",
        uncounted(others)
    )]
    Threshold {
        /// What was being verified.
        what: &'static str,
        /// How many distinct keys must sign.
        needed: u32,
        /// How many did.
        good: usize,
        /// The other signatures, and why each does not count.
        others: Vec<String>,
    },
    /// A requirement that nothing could fail.
    #[error("a threshold of 0 signatures would let everything pass")]
    NoThreshold,
    /// Not a keyring, or one without any certificate.
    #[error("keyring: {why}")]
    Keyring {
        /// What is wrong.
        why: String,
    },
    /// A fingerprint that was asked for is of no primary key in the keyring.
    #[error("keyring: there is no certificate `{fingerprint}`")]
    NotInKeyring {
        /// The full fingerprint.
        fingerprint: Fingerprint,
        /// The primary key, when it is one of a subkey in the keyring.
        primary: Option<Fingerprint>,
    },
    /// An SSH public key that is malformed, or of a kind that does not count.
    #[error("SSH public key: {why}")]
    SshKey {
        /// What is wrong.
        why: String,
    },
    /// Not an SSH signature that counts.
    #[error("SSH signature: {why}")]
    SshSignature {
        /// What is wrong.
        why: String,
    },
    /// An SSH signature for another purpose.
    #[error("SSH signature: its namespace is `{found}`, not `{expected}`")]
    SshNamespace {
        /// What it says, escaped.
        found: String,
        /// What it must say.
        expected: String,
    },
    /// An SSH signature by a key that is not among those asked for.
    #[error("SSH signature: it is by `{fingerprint}`, which is not one of the keys that may sign this")]
    SshUnknown {
        /// The key.
        fingerprint: Fingerprint,
    },
    /// An SSH signature by a known key that does not match the data.
    #[error("SSH signature: the signature by `{fingerprint}` does not match the data")]
    SshBadSignature {
        /// The key.
        fingerprint: Fingerprint,
    },
    /// Not a secret key of ours. Never says what was found.
    #[error("secret key: {why}")]
    SecretKey {
        /// What is wrong.
        why: &'static str,
    },
    /// Not an Ed25519 public key.
    #[error("Ed25519 public key: {why}")]
    PublicKey {
        /// What is wrong.
        why: &'static str,
    },
    /// Text that a reader of ours would refuse, so it is not signed.
    #[error("text to sign, line {line}: {why}")]
    Unsignable {
        /// Counted from 1.
        line: usize,
        /// What is wrong there.
        why: &'static str,
    },
    /// An instant at which this key may not sign.
    #[error("key `{key}` cannot sign at {at}: {why}", at = at.rfc3339())]
    SigningTime {
        /// The key.
        key: Fingerprint,
        /// The instant.
        at: Timestamp,
        /// What is wrong.
        why: &'static str,
    },
    /// The OpenPGP library failed at something that cannot fail for our keys.
    #[error("signing failed: {why}")]
    Signing {
        /// What it says.
        why: String,
    },
    /// An envelope with another payload.
    #[error("envelope: its payload type is `{found}`, not `{expected}`")]
    PayloadType {
        /// What it says, escaped.
        found: String,
        /// What it must say.
        expected: String,
    },
    /// A link of in-toto that is none.
    #[error("link: {why}")]
    Link {
        /// What is wrong.
        why: String,
    },
    /// An envelope that none of the keys signed.
    #[error("envelope: none of its {signatures} signatures is by one of the {keys} keys that count")]
    Unsigned {
        /// Signatures in the envelope.
        signatures: usize,
        /// Keys that were asked for.
        keys: usize,
    },
    /// A fingerprint that the domain does not take. Not reachable for keys that were parsed.
    #[error(transparent)]
    Name(#[from] DomainError),
}

fn uncounted(others: &[String]) -> String {
    if others.is_empty() {
        return String::new();
    }
    format!(" ({})", others.join("; "))
}

impl Coded for TrustError {
    fn code(&self) -> &'static str {
        match self {
            Self::Cleartext { .. } => "E-SIG-001",
            Self::TooLarge { .. } => "E-SIG-002",
            Self::Armor { .. } => "E-SIG-003",
            Self::Packet { .. } => "E-SIG-004",
            Self::SignatureType { .. } => "E-SIG-005",
            Self::WeakHash { .. } => "E-SIG-006",
            Self::HashHeader { .. } => "E-SIG-007",
            Self::BadSignature { .. } => "E-SIG-008",
            Self::VoidSignature { .. } => "E-SIG-009",
            Self::Future { .. } => "E-SIG-010",
            Self::Threshold { .. } => "E-SIG-011",
            Self::NoThreshold => "E-SIG-012",
            Self::Keyring { .. } => "E-SIG-013",
            Self::NotInKeyring { .. } => "E-SIG-014",
            Self::SshKey { .. } => "E-SIG-015",
            Self::SshSignature { .. } => "E-SIG-016",
            Self::SshNamespace { .. } => "E-SIG-017",
            Self::SshUnknown { .. } => "E-SIG-018",
            Self::SshBadSignature { .. } => "E-SIG-019",
            Self::SecretKey { .. } => "E-SIG-020",
            Self::PublicKey { .. } => "E-SIG-021",
            Self::Unsignable { .. } => "E-SIG-022",
            Self::SigningTime { .. } => "E-SIG-023",
            Self::Signing { .. } => "E-SIG-024",
            Self::PayloadType { .. } => "E-SIG-025",
            Self::Unsigned { .. } => "E-SIG-026",
            Self::Link { .. } => "E-SIG-027",
            Self::Name(error) => error.code(),
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::NoThreshold
            | Self::Keyring { .. }
            | Self::NotInKeyring { .. }
            | Self::SshKey { .. }
            | Self::SecretKey { .. }
            | Self::PublicKey { .. } => Kind::Usage,
            Self::SigningTime { .. } => Kind::Environment,
            Self::Unsignable { .. } | Self::Signing { .. } | Self::Name(_) => Kind::Bug,
            _ => Kind::Verification,
        }
    }

    fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Cleartext { .. } | Self::BadSignature { .. } | Self::SshBadSignature { .. } => {
                "the file was changed after it was signed: fetch it again, and from another mirror if this repeats"
                    .into()
            }
            Self::WeakHash { .. } => "ask the signer to sign with SHA-512".into(),
            Self::Future { .. } | Self::SigningTime { .. } => "check this machine's clock".into(),
            Self::Threshold { .. } => {
                "if the archive has a new key, get its certificate by a way that you trust, add it to the keyring and its primary key's \
                 fingerprint to the signers"
                    .into()
            }
            Self::NotInKeyring {
                primary: Some(primary), ..
            } => format!("that is a subkey: give the fingerprint of its primary key, `{primary}`"),
            Self::NotInKeyring { fingerprint, .. } => {
                format!("add the certificate to the keyring, or remove `{fingerprint}` from the configured signers")
            }
            Self::SshUnknown { fingerprint } => {
                format!("if `{fingerprint}` may sign, add it to the policy's signers and its key to `policies/keys`")
            }
            Self::SshKey { .. } => "give one line as in a `.pub` file: `ssh-ed25519 AAAA… comment`".into(),
            Self::SecretKey { .. } => "`assay key new` makes a key in the right form".into(),
            _ => return None,
        };
        Some(text)
    }
}
