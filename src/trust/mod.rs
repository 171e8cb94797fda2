//! Trust: who may speak (DESIGN §6, threats S1–S9).
//!
//! Owns OpenPGP certificate evaluation, clearsigned and detached signatures, SSH signatures, the
//! archive's signing key, and the Ed25519 keys of builders and gates with their DSSE signatures.
//! The `pgp` crate gives packets and primitives only; every policy is ours and is here. Everything
//! works on bytes in memory: no file, no network, no clock. Nothing is kept, so a crash loses nothing.

mod archive_key;
mod armor;
mod certificate;
mod cleartext;
mod ed25519;
mod envelope;
mod error;
mod examine;
mod key;
mod keyring;
mod link;
mod packet;
mod several;
mod signature;
mod ssh;

pub use archive_key::ArchiveKey;
pub use cleartext::{unframed_text, unverified_text};
pub use ed25519::{Ed25519Key, Ed25519Public};
pub use envelope::{sign_envelope, verify_envelope};
pub use error::TrustError;
pub use examine::{Claim, Clearsigned, Frame, KeyFacts, claims, split_as_apt};
pub use keyring::{CertificateStatus, Keyring};
pub use link::{Link, read_link};
pub use several::{latest_date, merge_certificates, merge_clearsigned, merge_detached};
pub use signature::{
    Requirement, Signer, Verified, verify_detached, verify_inrelease, verify_old_inrelease, verify_release_gpg,
    verify_tag,
};
pub use ssh::{SshKey, verify_ssh};
