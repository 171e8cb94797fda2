//! Source: Git commit → signer → tree digest → source package (DESIGN §6).
//!
//! Owns how a Git repository is fetched and read safely, and how anyone derives the same .dsc and
//! tarballs from it. Runs nothing that the repository holds.

mod declaration;

pub use declaration::{BuildDepends, Declaration, DeclaredPackage, DeclaredSigner, SourceFile, Upstream};
