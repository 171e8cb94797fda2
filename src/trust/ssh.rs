//! SSH signatures (OpenSSH's PROTOCOL.sshsig), as Git makes them with `gpg.format = ssh`.

use ssh_key::public::KeyData;
use ssh_key::{Algorithm, EcdsaCurve, HashAlg, PublicKey, SshSig};

use super::TrustError;
use crate::domain::{Fingerprint, escape};

/// The largest signature that is read, in bytes.
const LARGEST: usize = 64 << 10;
const LONGEST_LINE: usize = 16 << 10;
const SHORTEST_RSA: usize = 3072;

/// An SSH public key that may sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshKey {
    key: PublicKey,
    fingerprint: Fingerprint,
}

impl SshKey {
    /// Reads one line of a `.pub` file: `ssh-ed25519 AAAA… comment`. Options before the key, as
    /// `authorized_keys` may have, are refused: they say nothing about signing.
    ///
    /// # Errors
    /// When it is anything else than an Ed25519, P-256 or RSA (3072 bits or more) key.
    pub fn parse(line: &str) -> Result<Self, TrustError> {
        let bad = |why: String| TrustError::SshKey { why };
        let line = line.strip_suffix('\n').unwrap_or(line);
        if line.len() > LONGEST_LINE || line.chars().any(char::is_control) {
            return Err(bad("it is not one line of plain text".into()));
        }
        let key = PublicKey::from_openssh(line).map_err(|error| bad(escape(&error.to_string())))?;
        if let Some(why) = weakness(key.key_data()) {
            return Err(bad(why));
        }
        Ok(Self {
            fingerprint: fingerprint(key.key_data())?,
            key,
        })
    }

    /// `SHA256:…`, as `ssh-keygen -l` prints it.
    #[must_use]
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }
}

/// Verifies an armored SSH signature made for `namespace` (`git` for tags); says which of `keys`
/// made it. SSH signatures have no date: what dates there are is for the policy to say.
///
/// # Errors
/// Whenever there is any doubt.
pub fn verify_ssh(
    data: &[u8],
    signature_pem: &[u8],
    namespace: &str,
    keys: &[SshKey],
) -> Result<Fingerprint, TrustError> {
    let bad = |why: String| TrustError::SshSignature { why };
    if signature_pem.len() > LARGEST {
        return Err(TrustError::TooLarge {
            what: "SSH signature",
            limit: LARGEST,
            unit: "bytes",
        });
    }
    // The standard for this armor allows text around it, where different readers find different things.
    if !signature_pem.starts_with(b"-----BEGIN SSH SIGNATURE-----\n") {
        return Err(bad("it does not start with `-----BEGIN SSH SIGNATURE-----`".into()));
    }
    let signature = SshSig::from_pem(signature_pem).map_err(|error| bad(escape(&error.to_string())))?;
    if signature.version() != SshSig::VERSION {
        return Err(bad(format!("version {} is not known", signature.version())));
    }
    if signature.namespace() != namespace {
        return Err(TrustError::SshNamespace {
            found: escape(signature.namespace()),
            expected: namespace.to_owned(),
        });
    }
    let fingerprint = fingerprint(signature.public_key())?;
    let Some(key) = keys.iter().find(|key| key.key.key_data() == signature.public_key()) else {
        return Err(TrustError::SshUnknown { fingerprint });
    };
    if !matches!(signature.hash_alg(), HashAlg::Sha256 | HashAlg::Sha512) {
        return Err(bad("its hash is neither sha256 nor sha512".into()));
    }
    // `ssh-rsa` as a signature algorithm means SHA-1, whatever hash the frame names.
    let algorithm = signature.algorithm();
    if !matches!(
        algorithm,
        Algorithm::Ed25519
            | Algorithm::Ecdsa {
                curve: EcdsaCurve::NistP256
            }
            | Algorithm::Rsa { hash: Some(_) }
    ) {
        return Err(bad(format!(
            "its algorithm `{}` does not count",
            escape(algorithm.as_str())
        )));
    }
    key.key
        .verify(namespace, data, &signature)
        .map_err(|_| TrustError::SshBadSignature {
            fingerprint: fingerprint.clone(),
        })?;
    Ok(fingerprint)
}

fn fingerprint(key: &KeyData) -> Result<Fingerprint, TrustError> {
    Ok(Fingerprint::new(key.fingerprint(HashAlg::Sha256).to_string())?)
}

/// Why this kind of key does not count, if it does not.
fn weakness(key: &KeyData) -> Option<String> {
    match key {
        KeyData::Ed25519(_) => None,
        KeyData::Ecdsa(key) if key.curve() == EcdsaCurve::NistP256 => None,
        KeyData::Rsa(key) => {
            let modulus = key.n.as_positive_bytes().unwrap_or_default();
            let unused = modulus.first().map_or(0, |byte| byte.leading_zeros() as usize);
            let bits = modulus.len().saturating_mul(8).saturating_sub(unused);
            (bits < SHORTEST_RSA).then(|| format!("RSA with {bits} bits, where {SHORTEST_RSA} are needed"))
        }
        other => Some(format!(
            "`{}` is not among Ed25519, P-256 and RSA",
            escape(other.algorithm().as_str())
        )),
    }
}
