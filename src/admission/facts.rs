//! What the gate wants to know of a .deb. Made from the strict reader's result, never from an index.

use std::collections::BTreeMap;

use crate::domain::{Architecture, PackageName, Sha256, Version};

/// What is inside a package file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DebFacts {
    /// `Package`.
    pub package: PackageName,
    /// `Version`.
    pub version: Version,
    /// `Architecture`.
    pub architecture: Architecture,
    /// The name in `Source`, or the package's own.
    pub source: PackageName,
    /// The version in `Source`, or the package's own.
    pub source_version: Version,
    /// `Section`.
    pub section: Option<String>,
    /// `Priority`.
    pub priority: Option<String>,
    /// `Multi-Arch`.
    pub multi_arch: Option<String>,
    /// `Essential: yes`.
    pub essential: bool,
    /// `Protected: yes` or `Important: yes`.
    pub protected: bool,
    /// The names in `Provides`.
    pub provides: Vec<PackageName>,
    /// `Built-Using` and `Static-Built-Using`, as they stand.
    pub built_using: Vec<String>,
    /// `Auto-Built-Package`.
    pub auto_built: Option<String>,
    /// `Build-Ids`.
    pub build_ids: Vec<String>,
    /// The names of all control fields, as they stand.
    pub fields: Vec<String>,
    /// `preinst`, `postinst`, `prerm`, `postrm`, `config`, with the digest of each.
    pub scripts: BTreeMap<String, Sha256>,
    /// Files with a set-user-id or set-group-id bit.
    pub setuid: Vec<String>,
    /// Device nodes, FIFOs and what else is neither file, folder nor link.
    pub devices: Vec<String>,
    /// Regular files with their digests (links by their target), for comparing siblings.
    pub files: BTreeMap<String, Sha256>,
}
