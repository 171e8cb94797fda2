//! Links of in-toto 0.9, as rebuilderd signs them: Ed25519 over the canonical JSON of `signed`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::{Ed25519Public, TrustError};
use crate::domain::{Sha256, escape};
use crate::format::json;

/// What a link says that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The keys whose signatures held, each once.
    pub signed_by: Vec<Ed25519Public>,
    /// Files by name, with their SHA-256.
    pub products: BTreeMap<String, Sha256>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Signed {
    signatures: Vec<LinkSignature>,
    signed: Value,
}

#[derive(Deserialize)]
struct LinkSignature {
    sig: String,
}

#[derive(Deserialize)]
struct Body {
    #[serde(rename = "_type")]
    kind: String,
    products: BTreeMap<String, BTreeMap<String, String>>,
}

/// Reads a link, and which of `keys` signed it. Key ids are not looked at: nobody vouches for them.
///
/// # Errors
/// When it is no link, or none of `keys` signed it.
pub fn read_link(bytes: &[u8], keys: &[Ed25519Public]) -> Result<Link, TrustError> {
    let bad = |why: String| TrustError::Link { why };
    let link: Signed = json::strict("link", bytes).map_err(|error| bad(error.to_string()))?;
    // One form of JSON for one value: what is read below is what was signed.
    let signed = json::canonical("link", &link.signed).map_err(|error| bad(error.to_string()))?;
    let signatures: Vec<Vec<u8>> = link
        .signatures
        .iter()
        .filter_map(|s| hex::decode(&s.sig).ok())
        .collect();
    let mut signed_by: Vec<Ed25519Public> = Vec::new();
    for key in keys {
        if !signed_by.contains(key) && signatures.iter().any(|sig| key.verifies(&signed, sig)) {
            signed_by.push(*key);
        }
    }
    if signed_by.is_empty() {
        return Err(TrustError::Unsigned {
            signatures: link.signatures.len(),
            keys: keys.len(),
        });
    }
    let body: Body = serde_json::from_value(link.signed).map_err(|error| bad(error.to_string()))?;
    if body.kind != "link" {
        return Err(bad(format!("its `_type` is `{}`", escape(&body.kind))));
    }
    let mut products = BTreeMap::new();
    for (name, digests) in body.products {
        let sha256 = digests
            .get("sha256")
            .ok_or_else(|| bad(format!("`{}` has no SHA-256", escape(&name))))?;
        products.insert(name, sha256.parse().map_err(|_| bad("a SHA-256 is none".to_owned()))?);
    }
    Ok(Link { signed_by, products })
}
