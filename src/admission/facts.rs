//! What the gate wants to know of a .deb. Made from the strict reader's result, never from an index.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::domain::{Architecture, PackageName, Sha256, Version};
use crate::format::compress::Compression;
use crate::format::deb::Deb;
use crate::format::deb822::Paragraph;
use crate::format::relation::Relations;
use crate::format::tar::{TarEntry, TarKind};

use crate::site::DebCompression;

use super::AdmissionError;

/// What is inside a package file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
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
    /// `Protected: yes`.
    pub protected: bool,
    /// `Important: yes`.
    pub important: bool,
    /// The names in `Provides`.
    pub provides: Vec<PackageName>,
    /// The names in `Replaces`.
    pub replaces: Vec<PackageName>,
    /// `Built-Using` and `Static-Built-Using`, as they stand.
    pub built_using: Vec<String>,
    /// `Auto-Built-Package`.
    pub auto_built: Option<String>,
    /// `Build-Ids`.
    pub build_ids: Vec<String>,
    /// The build ids of its ELF files.
    pub elf_build_ids: BTreeSet<String>,
    /// How many of its ELF files have no build id that could be read.
    pub elf_without_id: u64,
    /// How its control and data archives are compressed.
    pub compressions: BTreeSet<DebCompression>,
    /// The names of all control fields, as they stand.
    pub fields: Vec<String>,
    /// `preinst`, `postinst`, `prerm`, `postrm`, `config`, with the digest of each.
    pub scripts: BTreeMap<String, Sha256>,
    /// Files with a set-user-id or set-group-id bit.
    pub setuid: Vec<String>,
    /// Every path that is no folder, with the digest of its content, or of a symlink's target.
    /// Devices and other special files are refused by the reader.
    pub files: BTreeMap<String, Sha256>,
}

impl DebFacts {
    /// From what the strict reader read.
    ///
    /// # Errors
    /// When `Source`, `Provides` or `Replaces` is malformed.
    pub fn from_deb(deb: &Deb) -> Result<Self, AdmissionError> {
        let control = &deb.control;
        let get = |name: &str| control.get(name).map(|value| value.trim().to_owned());
        let yes = |name: &str| get(name).is_some_and(|value| value.eq_ignore_ascii_case("yes"));
        let (source, source_version) = deb.source()?;
        let elf = || deb.data.iter().filter_map(|entry| entry.elf.as_ref());
        let using = ["Built-Using", "Static-Built-Using"];
        Ok(Self {
            package: deb.package.clone(),
            version: deb.version.clone(),
            architecture: deb.architecture.clone(),
            source,
            source_version,
            section: get("Section"),
            priority: get("Priority"),
            multi_arch: get("Multi-Arch"),
            essential: yes("Essential"),
            protected: yes("Protected"),
            important: yes("Important"),
            provides: named(control, "Provides")?,
            replaces: named(control, "Replaces")?,
            built_using: using.into_iter().filter_map(get).collect(),
            auto_built: get("Auto-Built-Package"),
            build_ids: get("Build-Ids").map(words).unwrap_or_default(),
            elf_build_ids: elf().filter_map(|elf| elf.build_id.clone()).collect(),
            elf_without_id: elf().filter(|elf| elf.build_id.is_none()).count() as u64,
            compressions: [deb.control_compression, deb.data_compression].map(compression).into(),
            fields: control.fields().map(|(name, _)| name.to_owned()).collect(),
            scripts: deb.scripts().filter_map(digest_of).collect(),
            setuid: deb.privileged().map(|entry| entry.path.clone()).collect(),
            files: deb.data.iter().filter_map(content_of).collect(),
        })
    }
}

fn compression(compression: Compression) -> DebCompression {
    match compression {
        Compression::Plain => DebCompression::None,
        Compression::Gzip => DebCompression::Gzip,
        Compression::Xz => DebCompression::Xz,
        Compression::Zstd => DebCompression::Zstd,
    }
}

/// The names in a relation field.
fn named(control: &Paragraph, field: &'static str) -> Result<Vec<PackageName>, AdmissionError> {
    let Some(text) = control.get(field) else {
        return Ok(Vec::new());
    };
    let relations = Relations::parse(field, text)?;
    Ok(relations
        .0
        .into_iter()
        .flatten()
        .map(|relation| relation.package)
        .collect())
}

fn words(text: String) -> Vec<String> {
    text.split_whitespace().map(ToOwned::to_owned).collect()
}

fn digest_of(entry: &TarEntry) -> Option<(String, Sha256)> {
    Some((entry.path.clone(), entry.digest()?.sha256))
}

fn content_of(entry: &TarEntry) -> Option<(String, Sha256)> {
    let sha256 = match &entry.kind {
        TarKind::Directory => return None,
        TarKind::Symlink(target) => Sha256::of(target.as_bytes()),
        TarKind::File(digest) | TarKind::Hardlink { digest, .. } => digest.sha256,
    };
    Some((entry.path.clone(), sha256))
}
