//! Indexes: catalog → Packages, Sources, Translation, Release bytes (DESIGN §9).
//!
//! Pure and deterministic: sorted, no clock, no locale, pinned compressors.

pub mod release;
