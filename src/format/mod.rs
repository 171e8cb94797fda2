//! Bytes ⇄ values, with limits: deb822, Release, Packages, pdiff indexes, SHA256SUMS, ar, tar, .deb, .dsc, .changes,
//! .buildinfo, manifests, DSSE.
//!
//! Owns every grammar. Hostile input is the normal case: each reader has limits, refuses what two
//! readers could read in two ways, and never touches a file or the network itself.

pub mod ar;
pub mod buildinfo;
pub mod chained;
pub mod changelog;
pub mod changes;
mod checksums;
mod compat;
pub mod compress;
pub mod control;
pub mod deb;
pub mod deb822;
pub mod dsc;
pub mod dsse;
pub mod ed;
pub mod elf;
mod error;
pub mod foreign;
pub mod hashes;
mod input;
pub mod intoto;
pub mod json;
pub mod manifest;
pub mod packages;
pub mod parts;
pub mod pdiff;
pub mod relation;
pub mod release;
pub mod site_lock;
pub mod sums;
pub mod tar;

pub use error::FormatError;
