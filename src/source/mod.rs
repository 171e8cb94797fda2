//! Source: Git commit → signer → tree digest → source package (DESIGN §6).
//!
//! Owns how a Git repository is fetched and read safely, and how anyone derives the same .dsc and
//! tarballs from it. Runs nothing that the repository holds, and reads no attribute, no hook and no
//! configuration of it: only objects, each hashed again by us. Keeps bare repositories below a cache
//! folder; they may be deleted at any time, and after a crash the next fetch repairs them. Writes
//! nothing else: of working trees, only the serial files that a person asks it to change ([`checkout`]).

pub mod checkout;
mod contents;
mod debian;
mod declaration;
mod derive;
mod dsc;
mod error;
mod git;
mod keys;
mod moved;
mod object;
mod orig;
mod package;
mod packed;
mod path;
mod pristine;
mod repository;
mod series;
mod signature;
mod signed;
mod text;
mod tree;

pub use declaration::{
    Base, BuildDepends, Declaration, DeclaredPackage, DeclaredSigner, Orig, OrigMethod, SourceFile, Upstream,
};
pub use derive::{Request, SourcePackage, check, declare, derive};
pub use error::SourceError;
pub use keys::SourceKeys;
pub use moved::{Strayed, strayed_tags};
pub use orig::{Files, NoFiles, WantedOrig};
pub use packed::Packed;
pub use pristine::pristine_branch;
pub use repository::{ListedRefs, Repository, address, branches_and_tags, fetch, fetch_declared, main_branch, open};
pub use signed::{SignedSource, Signers, SourceSignature, verify_signed};
