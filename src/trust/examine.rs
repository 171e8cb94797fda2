//! What other readers see in a signature: the facts, without our judgement of them.
//!
//! Nothing is trusted for it. It predicts what apt's verifiers, gpgv and sqv, will say of a file that
//! `verify_inrelease` may refuse for reasons of its own.

use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::Signature;

use super::armor::{self, Label};
use super::certificate::{Certificate, Standing, is_strong};
use super::key::{Key, claimed_issuer, ends_at, made_at};
use super::{Keyring, packet};
use crate::domain::{Fingerprint, Timestamp};

const WHAT: &str = "signature";
const BEGIN: &str = "-----BEGIN PGP SIGNED MESSAGE-----";
const END: &str = "-----END PGP SIGNATURE-----";

/// Why a file is no clearsigned text to apt (its `SplitClearSignedFile`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame {
    /// It has no signed message at all.
    Unsigned,
    /// Something stands before the signed message.
    Before,
    /// A line starts with a dash where none may.
    Dash,
    /// Something stands after a signature, or between two.
    Around,
    /// It ends within a signature or the text.
    CutOff,
}

/// A clearsigned text as apt splits it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clearsigned {
    /// The text, each line with its newline, without blanks at the ends of lines.
    pub text: Vec<u8>,
    signatures: String,
}

/// One signature: what it says, and what a keyring knows of its maker.
#[derive(Debug, Clone)]
pub struct Claim {
    /// Who it says made it.
    pub issuer: String,
    /// Whether its hash is SHA-256, SHA-384 or SHA-512.
    pub strong_hash: bool,
    /// Whether its hash is SHA-224, which gpgv still takes.
    pub sha224: bool,
    /// When it says that it was made, and when it ends.
    pub made_at: Option<Timestamp>,
    /// When it stops to count.
    pub ends_at: Option<Timestamp>,
    /// The key that it claims, when the keyring has it.
    pub key: Option<KeyFacts>,
}

/// What a keyring knows of a key that a signature claims.
#[derive(Debug, Clone)]
pub struct KeyFacts {
    /// The key, primary or subkey.
    pub fingerprint: Fingerprint,
    /// The primary key of its certificate.
    pub primary: Fingerprint,
    /// The length of an RSA key, in bits.
    pub rsa_bits: Option<u16>,
    /// Whether its kind is one that every verifier takes: RSA, Ed25519, a NIST curve.
    pub usual_kind: bool,
    /// Whether the signature is over these bytes, by this key.
    pub matches: bool,
    /// Whether its certificate binds it for signing, with a strong hash.
    pub may_sign: bool,
    /// How it was revoked, if it was.
    pub revoked: Option<String>,
    /// When it expires, if it does.
    pub key_ends_at: Option<Timestamp>,
}

/// Splits a clearsigned file as apt does: more freely than we do.
///
/// # Errors
/// The part of the frame that apt does not take.
pub fn split_as_apt(bytes: &[u8]) -> Result<Clearsigned, Frame> {
    let whole = String::from_utf8_lossy(bytes);
    let mut lines = whole.split_inclusive('\n').map(str::trim_end);
    match lines.next() {
        Some(BEGIN) => {}
        _ if lines.any(|line| line == BEGIN) => return Err(Frame::Before),
        _ => return Err(Frame::Unsigned),
    }
    let header = |line: &&str| !line.is_empty() && !line.starts_with('-');
    match lines.by_ref().find(|line| !header(line)) {
        Some("") => {}
        Some(_) => return Err(Frame::Dash),
        None => return Err(Frame::CutOff),
    }
    let mut text = String::new();
    loop {
        let line = lines.next().ok_or(Frame::CutOff)?;
        if line == Label::Signature.begin() {
            break;
        }
        match line.strip_prefix("- ") {
            Some(inner) => text.push_str(inner),
            None if line.starts_with('-') => return Err(Frame::Dash),
            None => text.push_str(line),
        }
        text.push('\n');
    }
    Ok(Clearsigned {
        text: text.into_bytes(),
        signatures: blocks(&mut lines)?,
    })
}

/// The armored signatures, from within the first.
fn blocks<'a>(lines: &mut impl Iterator<Item = &'a str>) -> Result<String, Frame> {
    let begin = Label::Signature.begin();
    let mut signatures = format!("{begin}\n");
    let mut open = true;
    for line in lines {
        match (open, line) {
            (true, END) => open = false,
            (true, line) if line.starts_with('-') => return Err(Frame::Dash),
            (true, _) => {}
            (false, line) if line == begin => open = true,
            (false, _) => return Err(Frame::Around),
        }
        signatures.push_str(line);
        signatures.push('\n');
    }
    if open { Err(Frame::CutOff) } else { Ok(signatures) }
}

impl Clearsigned {
    /// The signatures on the text; none when they cannot be read.
    #[must_use]
    pub fn claims(&self, keyring: &Keyring, now: Timestamp) -> Vec<Claim> {
        let covered = super::cleartext::signed_part(&self.text);
        claims(&self.signatures.clone().into_bytes(), covered, keyring, now)
    }
}

/// The signatures of a detached signature file, armored or not, over `data`; none when they cannot be read.
#[must_use]
pub fn claims(signatures: &[u8], data: &[u8], keyring: &Keyring, now: Timestamp) -> Vec<Claim> {
    let bytes = if signatures.trim_ascii_start().starts_with(b"-") {
        armor::decode_all(Label::Signature, signatures).unwrap_or_default()
    } else {
        signatures.to_vec()
    };
    let packets = packet::split(WHAT, &bytes).unwrap_or_default();
    let read = packets.iter().filter_map(packet::Packet::signature);
    read.map(|signature| claim(&signature, data, keyring, now)).collect()
}

fn claim(signature: &Signature, data: &[u8], keyring: &Keyring, now: Timestamp) -> Claim {
    let claimed = |certificate: &'_ Certificate| {
        let certificate = certificate.clone();
        let keys: Vec<Key> = certificate.claimed_by(signature).cloned().collect();
        keys.into_iter()
            .map(move |key| facts(&certificate, &key, signature, data, now))
    };
    let mut keys: Vec<KeyFacts> = keyring.certificates().iter().flat_map(claimed).collect();
    keys.sort_by_key(|key| !key.matches);
    Claim {
        issuer: claimed_issuer(signature),
        strong_hash: is_strong(signature),
        sha224: signature.hash_alg() == Some(HashAlgorithm::Sha224),
        made_at: made_at(signature),
        ends_at: ends_at(signature),
        key: keys.into_iter().next(),
    }
}

fn facts(certificate: &Certificate, key: &Key, signature: &Signature, data: &[u8], now: Timestamp) -> KeyFacts {
    let Standing {
        may_sign,
        revoked,
        key_ends_at,
    } = certificate.standing(&key.fingerprint, now);
    KeyFacts {
        fingerprint: key.fingerprint.clone(),
        primary: certificate.primary.fingerprint.clone(),
        rsa_bits: key.rsa_bits(),
        usual_kind: key.rsa_bits().is_some() || key.weakness().is_none(),
        matches: key.made(signature, data),
        may_sign,
        revoked,
        key_ends_at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGNATURE: &str = "-----BEGIN PGP SIGNATURE-----\n\nAAAA\n-----END PGP SIGNATURE-----\n";

    #[test]
    fn it_is_split_where_apt_splits_it() {
        let file = |before: &str, text: &str, after: &str| {
            let whole = format!("{before}{BEGIN}\nHash: SHA512\n\n{text}{SIGNATURE}{after}");
            split_as_apt(whole.as_bytes()).map(|split| String::from_utf8_lossy(&split.text).into_owned())
        };
        assert_eq!(file("", "a: b \r\n- -c\n", "").unwrap(), "a: b\n-c\n");
        assert!(file("", "a: b\n", SIGNATURE).is_ok(), "two signature blocks");
        assert_eq!(file("x\n", "a: b\n", "").unwrap_err(), Frame::Before);
        assert_eq!(file("", "a: b\n", "x\n").unwrap_err(), Frame::Around);
        assert_eq!(file("", "a: b\n", "\n").unwrap_err(), Frame::Around);
        assert_eq!(file("", "-a: b\n", "").unwrap_err(), Frame::Dash);
        assert_eq!(split_as_apt(b"a: b\n").unwrap_err(), Frame::Unsigned);
        assert_eq!(split_as_apt(b"").unwrap_err(), Frame::Unsigned);
        let cut = format!("{BEGIN}\nHash: SHA512\n\na: b\n");
        assert_eq!(split_as_apt(cut.as_bytes()).unwrap_err(), Frame::CutOff);
    }
}
