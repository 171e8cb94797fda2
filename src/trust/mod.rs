//! Trust: who may speak, and how fresh (DESIGN §6, threats S1–S9).
//!
//! Owns OpenPGP certificate evaluation, clearsigned text, SSH signatures, DSSE keys and signers.
//! The `pgp` crate gives primitives only; every policy is ours and is here. Reads no file, no clock.
