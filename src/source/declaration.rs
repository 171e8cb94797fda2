//! Declarations: `repos/<archive>/<source>.toml`.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::SourceError;
use crate::domain::{
    Architecture, Component, Digest, FileName, Fingerprint, GitOid, GitRef, PackageName, Sha256, SuiteName, Version,
};
use crate::format::json;
use crate::host::files;
use crate::site::SignerScheme;

/// A Git-kept statement: this source package, at this commit and signed tag, by these signers, may
/// become packages of this archive. Its identity is the SHA-256 of its canonical JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Declaration {
    /// The source package.
    pub source: PackageName,
    /// Its version: the changelog's head and the tag's.
    pub version: Version,
    /// The suites it is meant for.
    pub suites: Vec<SuiteName>,
    /// The component its packages go to.
    pub component: Component,
    /// Where to fetch from. A hint, never identity.
    pub git: String,
    /// The signed tag, fully qualified.
    #[serde(rename = "ref")]
    pub tag_ref: GitRef,
    /// The tag object.
    pub git_tag: GitOid,
    /// The commit it names.
    pub git_commit: GitOid,
    /// That commit's tree.
    pub git_tree: GitOid,
    /// Identity: SHA-256 over the tree's manifest (`source::tree`).
    pub tree_sha256: Sha256,
    /// `3.0 (native)` or `3.0 (quilt)`.
    pub source_format: String,
    /// Where the upstream tarball comes from; absent in a native package.
    pub upstream: Option<Upstream>,
    /// The changelog head's date as seconds since 1970: `SOURCE_DATE_EPOCH` of every build.
    pub source_date_epoch: i64,
    /// `debian/control`'s build dependencies, folded to one line each.
    pub build_depends: BuildDepends,
    /// The binary packages, from `debian/control`.
    #[serde(rename = "package")]
    pub packages: Vec<DeclaredPackage>,
    /// The derived source package's files: the .dsc first, then tarballs by name.
    #[serde(rename = "file")]
    pub files: Vec<SourceFile>,
    /// Who signed the tag.
    #[serde(rename = "signer")]
    pub signers: Vec<DeclaredSigner>,
}

/// The upstream side of a `3.0 (quilt)` package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Upstream {
    /// The upstream tag.
    #[serde(rename = "ref")]
    pub tag_ref: GitRef,
    /// The commit it names.
    pub git_commit: GitOid,
    /// That commit's tree: the tarball holds exactly this.
    pub git_tree: GitOid,
}

/// Build dependencies as control has them; empty when a field is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct BuildDepends {
    /// `Build-Depends`.
    #[serde(default)]
    pub any: String,
    /// `Build-Depends-Arch`.
    #[serde(default)]
    pub arch: String,
    /// `Build-Depends-Indep`.
    #[serde(default)]
    pub indep: String,
    /// `Build-Conflicts`, `-Arch` and `-Indep`, joined.
    #[serde(default)]
    pub conflicts: String,
}

/// A binary package that the source may make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct DeclaredPackage {
    /// Its name.
    pub name: PackageName,
    /// `deb` or `udeb`.
    pub package_type: String,
    /// `Section`, with the source's as the default.
    pub section: String,
    /// `Priority`, with the source's as the default.
    pub priority: String,
    /// Architectures or wildcards: `any`, `all`, `linux-any`, `amd64`.
    pub architectures: Vec<String>,
}

/// One file of a source package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SourceFile {
    /// Its name.
    pub name: FileName,
    /// SHA-256 and size.
    #[serde(flatten)]
    pub digest: Digest,
}

/// One signature on the tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct DeclaredSigner {
    /// OpenPGP or SSH.
    pub scheme: SignerScheme,
    /// The full fingerprint.
    pub fingerprint: Fingerprint,
}

impl DeclaredPackage {
    /// Whether a build on `build` makes this package, and for which architecture.
    #[must_use]
    pub fn built_for(&self, build: &Architecture) -> Option<Architecture> {
        let wants = |word: &str| self.architectures.iter().any(|a| a == word);
        if wants("all") {
            return Some(Architecture::all());
        }
        let named = self
            .architectures
            .iter()
            .any(|a| a == "any" || a == build.as_str() || a == "linux-any" || *a == format!("any-{build}"));
        named.then(|| build.clone())
    }
}

const LARGEST_FILE: u64 = 1 << 20;

impl Declaration {
    /// Reads a declaration file.
    ///
    /// # Errors
    /// When it cannot be read, is not TOML, or has a field that is unknown, missing or malformed.
    pub fn load(path: &Path) -> Result<Self, SourceError> {
        let bytes = files::read(path, LARGEST_FILE)?;
        Self::parse(&path.display().to_string(), &bytes)
    }

    /// Reads a declaration's TOML; `path` is for messages.
    ///
    /// # Errors
    /// When it is not TOML, or has a field that is unknown, missing or malformed.
    pub fn parse(path: &str, bytes: &[u8]) -> Result<Self, SourceError> {
        let failed = |why: String| SourceError::Declaration {
            path: path.to_owned(),
            why,
        };
        let text = std::str::from_utf8(bytes).map_err(|_| failed("it is not UTF-8".to_owned()))?;
        toml::from_str(text).map_err(|error| failed(error.to_string()))
    }

    /// The declaration as TOML: the same declaration gives the same bytes.
    ///
    /// # Errors
    /// Never for a declaration that was read or derived.
    pub fn to_toml(&self) -> Result<String, SourceError> {
        toml::to_string(self).map_err(|error| SourceError::Declaration {
            path: self.source.to_string(),
            why: error.to_string(),
        })
    }

    /// The canonical JSON: what is kept in the archive, and what the identity is taken of.
    ///
    /// # Errors
    /// Never for a declaration that was read or derived.
    pub fn canonical(&self) -> Result<Vec<u8>, SourceError> {
        json::canonical("declaration", self).map_err(|source| SourceError::File {
            path: format!("{}.toml", self.source),
            source,
        })
    }

    /// The identity: SHA-256 of the canonical JSON.
    ///
    /// # Errors
    /// As `canonical`.
    pub fn identity(&self) -> Result<Sha256, SourceError> {
        Ok(Sha256::of(&self.canonical()?))
    }
}
