//! DSSE v1 envelopes: the bytes that are signed, and the JSON around them. Keys are `trust`'s.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::{FormatError, json};

/// The payload type of in-toto statements.
pub const IN_TOTO: &str = "application/vnd.in-toto+json";
/// The largest envelope that is read, in bytes.
pub const LARGEST: u64 = 16 << 20;
const MOST_SIGNATURES: usize = 16;

/// An envelope whose signatures nobody has checked yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// What the payload is.
    pub payload_type: String,
    /// The payload, decoded.
    pub payload: Vec<u8>,
    /// The signatures.
    pub signatures: Vec<Signature>,
}

/// One signature. `keyid` is a hint that nobody vouches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// A hint at the key.
    pub keyid: String,
    /// The signature's bytes.
    pub sig: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    #[serde(rename = "payloadType")]
    payload_type: String,
    payload: String,
    signatures: Vec<WireSignature>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireSignature {
    #[serde(default)]
    keyid: String,
    sig: String,
}

/// The bytes that a signature covers: `DSSEv1 SP LEN(type) SP type SP LEN(body) SP body`.
#[must_use]
pub fn pre_authentication_encoding(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    bytes.extend_from_slice(payload);
    bytes
}

impl Envelope {
    /// Reads an envelope.
    ///
    /// # Errors
    /// When it is not exactly one envelope, with 1 to 16 signatures.
    pub fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        let wire: Wire = json::strict("DSSE", bytes)?;
        let decode = |at: &str, text: &str| {
            STANDARD
                .decode(text)
                .map_err(|error| FormatError::malformed("DSSE", at, error))
        };
        if wire.signatures.is_empty() || wire.signatures.len() > MOST_SIGNATURES {
            return Err(FormatError::malformed("DSSE", "signatures", "there must be 1 to 16"));
        }
        let signatures = wire
            .signatures
            .iter()
            .map(|s| {
                Ok(Signature {
                    keyid: s.keyid.clone(),
                    sig: decode("sig", &s.sig)?,
                })
            })
            .collect::<Result<_, FormatError>>()?;
        Ok(Self {
            payload: decode("payload", &wire.payload)?,
            payload_type: wire.payload_type,
            signatures,
        })
    }

    /// The canonical bytes of this envelope.
    ///
    /// # Errors
    /// Never for values of these types.
    pub fn to_bytes(&self) -> Result<Vec<u8>, FormatError> {
        let signatures = self.signatures.iter().map(|s| WireSignature {
            keyid: s.keyid.clone(),
            sig: STANDARD.encode(&s.sig),
        });
        let wire = Wire {
            payload_type: self.payload_type.clone(),
            payload: STANDARD.encode(&self.payload),
            signatures: signatures.collect(),
        };
        json::canonical("DSSE", &wire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encoding_is_the_standards() {
        let bytes = pre_authentication_encoding("http://example.com/HelloWorld", b"hello world");
        assert_eq!(bytes, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
    }

    #[test]
    fn envelopes_round_trip() -> Result<(), FormatError> {
        let signatures = vec![Signature {
            keyid: "k".into(),
            sig: vec![1, 2, 3],
        }];
        let envelope = Envelope {
            payload_type: IN_TOTO.into(),
            payload: b"{}".to_vec(),
            signatures,
        };
        assert_eq!(Envelope::parse(&envelope.to_bytes()?)?, envelope);
        assert!(Envelope::parse(br#"{"payloadType":"t","payload":"","signatures":[]}"#).is_err());
        Ok(())
    }
}
