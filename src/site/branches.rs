//! `policies/branches.toml`: which snapshots an image's checkout may be built from, by its base branch.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::ArchiveName;

/// What counts when the site has no file of its own: the rules of Tails.
pub(super) const DEFAULT: &str = include_str!("branches.toml");

/// The rules of every base branch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct BranchPolicy {
    /// The custom archive that has the suites of branches. Absent: the site's only one.
    pub custom: Option<ArchiveName>,
    /// Archives that freezing and thawing leave alone unless they are named.
    #[serde(default)]
    pub never_frozen: Vec<ArchiveName>,
    /// The base branches.
    #[serde(rename = "branch", default)]
    pub branches: Vec<BaseBranch>,
}

/// The rules of one base branch, and of topic branches that are based on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct BaseBranch {
    /// The branch.
    pub name: String,
    /// What its serial files must hold.
    pub serials: SerialKind,
    /// Archives for which they must hold something else.
    #[serde(default)]
    pub except: BTreeMap<ArchiveName, SerialKind>,
    /// What counts once the last version in the changelog was released.
    pub released: Released,
    /// Whether, when the last version was not released, the one before it must have been.
    #[serde(default)]
    pub previous_released: bool,
}

/// What a serial file may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SerialKind {
    /// A serial: the archive is frozen.
    Numeric,
    /// `latest`.
    Latest,
    /// Either.
    Any,
}

/// What counts once the last version in the changelog has a Git tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Released {
    /// The custom suite of that version, without overlays; and the tagged snapshots when HEAD is on a tag.
    Tagged,
    /// The same as before.
    Ignored,
}

impl BranchPolicy {
    /// The rules of a base branch.
    #[must_use]
    pub fn base(&self, name: &str) -> Option<&BaseBranch> {
        self.branches.iter().find(|branch| branch.name == name)
    }
}

impl BaseBranch {
    /// What the serial file of an archive must hold.
    #[must_use]
    pub fn serial_of(&self, archive: &ArchiveName) -> SerialKind {
        self.except.get(archive).copied().unwrap_or(self.serials)
    }
}
