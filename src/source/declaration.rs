//! Declarations: `repos/<archive>/<source>.toml`.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::SourceError;
use crate::domain::{
    Architecture, ArchiveName, Component, Digest, FileName, Fingerprint, GitOid, GitRef, PackageName, Serial, Sha256,
    SourceFolder, SuiteName, Version,
};
use crate::format::json;
use crate::host::files;
use crate::site::SignerScheme;

/// A Git-kept statement: this source package, at this signed tag or commit, by these signers, may
/// become packages of this archive. Its identity is the SHA-256 of its canonical JSON.
///
/// What is absent is not written: a field that came later does not change the identity of what was
/// declared before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Declaration {
    /// The source package.
    pub source: PackageName,
    /// Its version: the changelog's head and the tag's.
    pub version: Version,
    /// The suites it is meant for; none: that of the branch which has the declaration.
    #[serde(default)]
    pub suites: Vec<SuiteName>,
    /// The component its packages go to.
    pub component: Component,
    /// Where to fetch from. A hint, never identity.
    pub git: String,
    /// The signed tag, or the branch that has the signed commit, fully qualified.
    #[serde(rename = "ref")]
    pub reference: GitRef,
    /// The tag object; absent when the commit itself is signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git_tag: Option<GitOid>,
    /// The commit that is declared.
    pub git_commit: GitOid,
    /// That commit's tree.
    pub git_tree: GitOid,
    /// The folder of that tree which is the source, when it is not the whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subfolder: Option<SourceFolder>,
    /// Identity: SHA-256 over the manifest of the source's files (`source::tree`).
    pub tree_sha256: Sha256,
    /// `3.0 (native)` or `3.0 (quilt)`.
    pub source_format: String,
    /// Where the upstream tarball comes from; absent in a native package.
    pub upstream: Option<Upstream>,
    /// The upstream tarball that is not made of the upstream tag's tree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub orig: Option<Orig>,
    /// The source package of a mirror that this one is a change of: its tarballs are upstream's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Base>,
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
    /// Who signed the tag or the commit.
    #[serde(rename = "signer")]
    pub signers: Vec<DeclaredSigner>,
    /// The declaration that this one follows: the newest of this source that was admitted. It says who
    /// may sign this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supersedes: Option<Sha256>,
    /// How many of `authorised` must sign the next version; absent: as many as the policy says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorised_threshold: Option<u32>,
    /// Who may sign the next version; empty: whom the policy lets sign this source.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub authorised: Vec<DeclaredSigner>,
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

/// How an upstream tarball comes about that is kept byte for byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OrigMethod {
    /// From the branch `pristine-tar` and the upstream tag's tree, by the program of that name.
    PristineTar,
    /// A file in the store, put there with `assay source add-file`, or in the pool of a mirror.
    File,
}

/// An upstream tarball that is kept byte for byte. Rule S7 compares it with the upstream tag's tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Orig {
    /// How it comes about.
    pub method: OrigMethod,
    /// Its name: `<source>_<upstream version>.orig.tar.<compression>`.
    pub name: FileName,
    /// Its SHA-256.
    pub sha256: Sha256,
    /// The commit of the branch `pristine-tar` that it was made with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git_commit: Option<GitOid>,
    /// The first path at which it differs from the upstream tag's tree, or that there is no such tag:
    /// what rule S7 needs an exception for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub difference: Option<String>,
}

/// A source package in a mirror of this site, proven by upstream's signature on that snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Base {
    /// The mirror.
    pub archive: ArchiveName,
    /// The snapshot.
    pub serial: Serial,
    /// Its suite that lists the source package.
    pub suite: SuiteName,
    /// The source package's version there.
    pub version: Version,
    /// SHA-256 of its .dsc.
    pub dsc_sha256: Sha256,
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

/// A key that signed, or may sign.
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
    /// When it cannot be read; as `parse_file`.
    pub fn load(path: &Path) -> Result<Self, SourceError> {
        let bytes = files::read(path, LARGEST_FILE)?;
        Self::parse_file(path, &bytes)
    }

    /// Reads what a declaration file has. It declares the source package that it is named after, and no other: all verbs find a
    /// declaration by its file's name.
    ///
    /// # Errors
    /// As `parse`; when it is of another source package than its name says.
    pub fn parse_file(path: &Path, bytes: &[u8]) -> Result<Self, SourceError> {
        let declaration = Self::parse(&path.display().to_string(), bytes)?;
        if path.file_stem().is_none_or(|stem| stem != declaration.source.as_str()) {
            return Err(SourceError::Misnamed {
                path: path.display().to_string(),
                declares: declaration.source,
            });
        }
        Ok(declaration)
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

    /// Whether another declaration states the same, but where the source is fetched from, and which one it follows.
    #[must_use]
    pub fn states_the_same(&self, other: &Self) -> bool {
        let here = Self {
            git: self.git.clone(),
            supersedes: self.supersedes,
            ..other.clone()
        };
        here == *self
    }

    /// The base's version, when this one is below it: whoever has the base's packages is offered none of these.
    #[must_use]
    pub fn below_base(&self) -> Option<&Version> {
        let base = self.base.as_ref().map(|base| &base.version);
        base.filter(|base| self.version.dpkg_cmp(base).is_lt())
    }

    /// SHA-256 of the .dsc, which has the hashes of all other files of the source package.
    #[must_use]
    pub fn dsc(&self) -> Option<Sha256> {
        let first = self.files.first();
        let dsc = first.filter(|file| file.name.as_str().ends_with(".dsc"));
        dsc.map(|file| file.digest.sha256)
    }
}
