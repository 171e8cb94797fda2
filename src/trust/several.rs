//! Signatures of several keys over one text, in one file: one block with one signature after the other, which is the form
//! that Debian's own archive has, and that gpgv and sqv both read.

use super::armor::{self, Label};
use super::cleartext::{self, LARGEST};
use super::{TrustError, key, packet, signature};
use crate::domain::Timestamp;

const CLEARTEXT: &str = "clearsigned text";
const DETACHED: &str = "detached signature";

/// Detached signatures over the same bytes, armored or binary, as one in ASCII armor.
///
/// # Errors
/// When one of them is none.
pub fn merge_detached(parts: &[Vec<u8>]) -> Result<Vec<u8>, TrustError> {
    let mut packets = Vec::new();
    for part in parts {
        packets.extend(signature::packets(DETACHED, part)?);
    }
    packet::split(DETACHED, &packets)?;
    Ok(armor::encode(Label::Signature, &packets).as_bytes().to_vec())
}

/// Clearsigned files of one text as one, with the signatures of all.
///
/// # Errors
/// When one of them is none, or has another text.
pub fn merge_clearsigned(parts: &[Vec<u8>]) -> Result<Vec<u8>, TrustError> {
    let (mut text, mut packets, mut hashes) = (None, Vec::new(), Vec::new());
    for part in parts {
        let split = cleartext::split(part)?;
        if text.as_ref().is_some_and(|text| *text != split.text) {
            return Err(TrustError::Unsignable {
                line: 0,
                why: "the signatures are over two texts",
            });
        }
        packets.extend(signature::packets(CLEARTEXT, split.signatures)?);
        for hash in split.hashes {
            if !hashes.contains(&hash) {
                hashes.push(hash);
            }
        }
        text = Some(split.text);
    }
    let names: Vec<String> = hashes.iter().map(ToString::to_string).collect();
    let block = armor::encode(Label::Signature, &packets);
    cleartext::join(&text.unwrap_or_default(), &names.join(", "), &block)
}

/// Certificates in ASCII armor as one block, as readers want them that take no second one.
///
/// # Errors
/// When one of them is none.
pub fn merge_certificates(parts: &[Vec<u8>]) -> Result<String, TrustError> {
    let mut packets = Vec::new();
    for part in parts {
        packets.extend(armor::decode_all(Label::PublicKey, part)?);
    }
    Ok(armor::encode(Label::PublicKey, &packets).to_string())
}

/// The newest date that signatures claim, detached ones or those of a clearsigned file; none when there is none to be read.
#[must_use]
pub fn latest_date(bytes: &[u8]) -> Option<Timestamp> {
    let signatures = match cleartext::split(bytes) {
        Ok(split) => signature::read(CLEARTEXT, split.signatures),
        Err(_) if bytes.len() > LARGEST => return None,
        Err(_) => signature::read(DETACHED, bytes),
    };
    signatures.ok()?.iter().filter_map(key::made_at).max()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Coded as _;
    use crate::trust::{ArchiveKey, Keyring, Requirement, verify_detached, verify_inrelease};

    const TEXT: &[u8] = b"Origin: x\n-dash\n";

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix(1_700_000_000).plus(seconds)
    }

    #[test]
    fn each_of_several_keys_has_signed() {
        let keys = [(); 2].map(|()| ArchiveKey::generate("T <t@example.org>", at(0)).unwrap());
        let rings = [0, 1].map(|i: usize| Keyring::parse(keys[i].certificate_armored().unwrap().as_bytes()).unwrap());
        let both = rings[0].clone().joined(rings[1].clone());
        let clear = [0, 1].map(|i: usize| keys[i].clearsign(TEXT, at(i as i64)).unwrap());
        let detached = [0, 1].map(|i: usize| keys[i].detach(TEXT, at(i as i64)).unwrap());
        let (file, signature) = (merge_clearsigned(&clear).unwrap(), merge_detached(&detached).unwrap());
        let needs = |keyring, threshold| Requirement {
            keyring,
            threshold,
            now: at(9),
        };
        let verified = verify_inrelease(&file, &needs(&both, 2)).unwrap();
        assert_eq!((verified.text.as_slice(), verified.signers.len()), (TEXT, 2));
        assert_eq!(verify_detached(TEXT, &signature, &needs(&both, 2)).unwrap().len(), 2);
        for ring in &rings {
            assert!(verify_inrelease(&file, &needs(ring, 1)).is_ok());
            assert!(verify_detached(TEXT, &signature, &needs(ring, 1)).is_ok());
        }
        assert_eq!(
            (latest_date(&file), latest_date(&signature)),
            (Some(at(1)), Some(at(1)))
        );
        assert_eq!(latest_date(b"x"), None);
        // One alone stays what it is.
        assert_eq!(merge_clearsigned(&clear[..1]).unwrap(), clear[0]);
        assert_eq!(merge_detached(&detached[..1]).unwrap(), detached[0]);
        let other = keys[1].clearsign(b"Origin: y\n", at(1)).unwrap();
        assert_eq!(
            merge_clearsigned(&[clear[0].clone(), other]).unwrap_err().code(),
            "E-SIG-022"
        );
        assert!(merge_detached(&[detached[0].clone(), b"x".to_vec()]).is_err());
    }
}
