//! Rebuild: run, compare, record (DESIGN §6).
//!
//! Owns the runner (a chroot without network) and what a rebuild record says. Never sees the
//! candidate's hashes before its record is signed.
