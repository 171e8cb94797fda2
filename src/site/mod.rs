//! The site: the folder that people write, and that says everything (DESIGN §3).
//!
//! Owns the TOML formats of `assay.toml`, `repos/` and `policies/`, and refuses what it does not
//! know, with the line. Holds no state and reads no store.

mod apart;
mod archive;
mod branches;
mod classes;
mod config;
mod keys;
mod load;
mod moved;
mod overrides;
mod own;
mod policy;
mod select;
mod signer;
mod spelling;

pub use archive::{
    AllPackages, ArchiveConfig, ArchiveKind, CustomArchive, CustomSuite, EnvironmentSource, IndexForm, IndexKind, Keep,
    MirrorArchive, OwnArchive, OwnSuite, PoolMode, Signing, UnprovenArchive,
};
pub use branches::{BaseBranch, BranchPolicy, Released, SerialKind};
pub use classes::{BranchSuites, Rebuild, RefPattern, SuiteClass, SuiteRules};
pub use config::{Backend, RebuildConfig, SiteConfig};
pub use load::{Site, SiteError};
pub use moved::MovedGit;
pub use overrides::{Override, Overrides, Priority};
pub use own::{Absent, Gated, OwnKind, Ungated};
pub use policy::{
    Allowance, Builder, BuilderGroup, DebCompression, Dissent, EnvironmentRule, ImportRule, ListedField, Observer,
    Policy, Relaxation, Shadowing, SignerKey, SignerScheme, SuiteTerms, Takeover, Terms, Varied,
};
pub use select::{PackagePattern, Select};
pub use signer::{OutsideSigner, SigningKey};
