//! Signatures on DSSE envelopes: who signed exactly these bytes.

use super::{Ed25519Key, Ed25519Public, TrustError};
use crate::domain::escape;
use crate::format::dsse::{Envelope, Signature, pre_authentication_encoding};

/// Signs a payload. Deterministic: the same payload and key give the same envelope.
#[must_use]
pub fn sign_envelope(payload_type: &str, payload: &[u8], key: &Ed25519Key) -> Envelope {
    let signature = Signature {
        keyid: key.public().fingerprint().to_string(),
        sig: key.sign(&pre_authentication_encoding(payload_type, payload)).to_vec(),
    };
    Envelope {
        payload_type: payload_type.to_owned(),
        payload: payload.to_vec(),
        signatures: vec![signature],
    }
}

/// The distinct keys among `keys` that signed this envelope, in the order of `keys`; at least one.
/// Read `envelope.payload` afterwards: those are the bytes that were verified. A key id says no more than
/// which key to try first, since nobody vouches for it, and signatures by other keys change nothing.
///
/// # Errors
/// When the payload type is another, or none of `keys` signed.
pub fn verify_envelope(
    envelope: &Envelope,
    payload_type: &str,
    keys: &[Ed25519Public],
) -> Result<Vec<Ed25519Public>, TrustError> {
    if envelope.payload_type != payload_type {
        return Err(TrustError::PayloadType {
            found: escape(&envelope.payload_type),
            expected: payload_type.to_owned(),
        });
    }
    let bytes = pre_authentication_encoding(payload_type, &envelope.payload);
    let mut made = vec![false; keys.len()];
    for signature in &envelope.signatures {
        let named = |key: &Ed25519Public| key.fingerprint().as_str() == signature.keyid;
        let hinted = keys.iter().position(named);
        let others = (0..keys.len()).filter(|at| Some(*at) != hinted);
        // One signature is by one key: the key is a part of what is signed.
        let by = hinted.into_iter().chain(others).find(|at| {
            let key = keys.get(*at);
            key.is_some_and(|key| key.verifies(&bytes, &signature.sig))
        });
        if let Some(by) = by.and_then(|at| made.get_mut(at)) {
            *by = true;
        }
    }
    let mut signers: Vec<Ed25519Public> = Vec::new();
    for (key, _) in keys.iter().zip(made).filter(|(_, made)| *made) {
        if !signers.contains(key) {
            signers.push(*key);
        }
    }
    if signers.is_empty() {
        return Err(TrustError::Unsigned {
            signatures: envelope.signatures.len(),
            keys: keys.len(),
        });
    }
    Ok(signers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Coded as _;

    const TYPE: &str = "application/vnd.in-toto+json";

    #[test]
    fn a_signer_counts_once() {
        let (key, other) = (Ed25519Key::generate(), Ed25519Key::generate());
        let mut envelope = sign_envelope(TYPE, b"{}", &key);
        envelope.signatures.push(envelope.signatures[0].clone());
        let both = [key.public(), key.public(), other.public()];
        assert_eq!(verify_envelope(&envelope, TYPE, &both).unwrap(), [key.public()]);
        let more = sign_envelope(TYPE, b"{}", &other);
        envelope.signatures.extend(more.signatures);
        assert_eq!(verify_envelope(&envelope, TYPE, &both).unwrap().len(), 2);
    }

    #[test]
    fn type_payload_and_key_are_all_bound() {
        let key = Ed25519Key::generate();
        let good = sign_envelope(TYPE, b"{}", &key);
        let keys = [key.public()];
        assert_eq!(
            verify_envelope(&good, "text/plain", &keys).unwrap_err().code(),
            "E-SIG-025"
        );
        let mut retyped = good.clone();
        retyped.payload_type = "text/plain".into();
        assert_eq!(
            verify_envelope(&retyped, "text/plain", &keys).unwrap_err().code(),
            "E-SIG-026"
        );
        let mut changed = good.clone();
        changed.payload.push(b' ');
        assert_eq!(verify_envelope(&changed, TYPE, &keys).unwrap_err().code(), "E-SIG-026");
        // A key id that names a trusted key proves nothing.
        let mut forged = sign_envelope(TYPE, b"{}", &Ed25519Key::generate());
        forged.signatures[0].keyid = good.signatures[0].keyid.clone();
        assert_eq!(verify_envelope(&forged, TYPE, &keys).unwrap_err().code(), "E-SIG-026");
        assert!(verify_envelope(&good, TYPE, &[]).is_err());
    }
}
