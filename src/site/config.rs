//! `assay.toml`.

use std::num::NonZeroU16;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::MovedGit;
use crate::domain::{ArchiveName, Fingerprint, PublicUrl};

/// `assay.toml`: where things are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SiteConfig {
    /// Where objects are kept: a folder relative to the site, or a `file:`, `s3:`, `gs:` or `az:` URL.
    pub store: String,
    /// The base URL under which clients reach the archives.
    pub public_url: PublicUrl,
    /// The archive that `serve` also has at the root of its URL: `<public-url>/dists/…`, `<public-url>/pool/…`.
    pub root: Option<ArchiveName>,
    /// The folder of secret keys, relative to the site; never in Git.
    #[serde(default = "default_keys")]
    pub keys: PathBuf,
    /// The folder for chroots and build trees, relative to the site; may be deleted at any time.
    #[serde(default = "default_cache")]
    pub cache: PathBuf,
    /// How many files are fetched from upstreams at once, from all of them together; a host has no more connections than
    /// that, but for the moment in which one takes the place of another.
    #[serde(default = "default_connections")]
    pub connections: NonZeroU16,
    /// How packages are rebuilt here.
    #[serde(default, skip_serializing_if = "RebuildConfig::is_default")]
    pub rebuild: RebuildConfig,
    /// The Ed25519 key that signs decisions: `policies/keys/ed25519-<hex>.pub`.
    pub gate: Fingerprint,
    /// Who signs checkpoints: absent, a checkpoint is the reader's own, and counts without a signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub witnesses: Option<Witnesses>,
    /// Git repositories, as folders relative to the site or URLs: every snapshot that a serial file on
    /// one of their branches names is kept.
    #[serde(default)]
    pub serials: Vec<String>,
    /// Git repositories that are elsewhere now than declarations say.
    #[serde(default, skip_serializing_if = "MovedGit::is_empty")]
    pub moved_git: MovedGit,
}

/// `[witnesses]` of `assay.toml`: who says what a store had, so that nobody rolls it back unseen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Witnesses {
    /// How many of them must have signed a checkpoint.
    pub threshold: NonZeroU16,
    /// Their Ed25519 keys: `policies/keys/ed25519-<hex>.pub`.
    pub keys: Vec<Fingerprint>,
}

/// `[rebuild]` of `assay.toml`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RebuildConfig {
    /// What runs builds on this machine.
    #[serde(default)]
    pub backend: Backend,
}

impl RebuildConfig {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What runs a build: each takes a source package and a locked chroot, and gives outputs and a log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Backend {
    /// Our own runner: an overlay over the locked chroot, in namespaces.
    #[default]
    Overlay,
    /// Debian's sbuild, in unshare mode.
    Sbuild,
}

impl std::str::FromStr for Backend {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "overlay" => Ok(Self::Overlay),
            "sbuild" => Ok(Self::Sbuild),
            _ => Err("it is neither `overlay` nor `sbuild`".to_owned()),
        }
    }
}

fn default_keys() -> PathBuf {
    "keys".into()
}

fn default_cache() -> PathBuf {
    "cache".into()
}

fn default_connections() -> NonZeroU16 {
    NonZeroU16::new(8).unwrap_or(NonZeroU16::MIN)
}
