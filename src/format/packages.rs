//! Stanzas of Packages and Sources files: what names a package, and where its bytes are.

use crate::domain::{Architecture, Digest, FileName, PackageName, PoolPath, Version, escape};

use super::FormatError;
use super::checksums::{agrees, lower_hex, number, sha256_list, value};
use super::deb822::{Stanza, Stanzas};

const PACKAGES: &str = "Packages";
const SOURCES: &str = "Sources";

/// A binary package, as a Packages file lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binary {
    /// Its name.
    pub package: PackageName,
    /// Its version.
    pub version: Version,
    /// Its architecture, or `all`.
    pub architecture: Architecture,
    /// The source package that it is built from: its own name when there is no `Source`.
    pub source: PackageName,
    /// The version of the source package: its own when `Source` says nothing else.
    pub source_version: Version,
    /// Where the .deb is, relative to the archive's base.
    pub filename: PoolPath,
    /// SHA-256 and size of the .deb.
    pub digest: Digest,
}

/// A source package, as a Sources file lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its name.
    pub package: PackageName,
    /// Its version.
    pub version: Version,
    /// The folder of its files, relative to the archive's base.
    pub directory: PoolPath,
    /// Its files: the .dsc and what that names.
    pub files: Vec<(FileName, Digest)>,
}

impl Binary {
    /// Reads a stanza of a Packages file.
    ///
    /// # Errors
    /// When a field that names the package or its bytes is missing or malformed.
    pub fn from_stanza(stanza: &Stanza<'_>) -> Result<Self, FormatError> {
        Self::read(stanza).map_err(|error| at_stanza(PACKAGES, stanza, error))
    }

    fn read(stanza: &Stanza<'_>) -> Result<Self, FormatError> {
        let field = |name| stanza.require(PACKAGES, name);
        let package: PackageName = value(PACKAGES, "Package", field("Package")?)?;
        let version: Version = value(PACKAGES, "Version", field("Version")?)?;
        let (source, source_version) = match stanza.field("Source") {
            Some(text) => source_of(PACKAGES, text, &version)?,
            None => (package.clone(), version.clone()),
        };
        Ok(Self {
            architecture: value(PACKAGES, "Architecture", field("Architecture")?)?,
            filename: value(PACKAGES, "Filename", field("Filename")?)?,
            digest: Digest {
                sha256: lower_hex(PACKAGES, "SHA256", field("SHA256")?)?,
                size: number(PACKAGES, "Size", field("Size")?)?,
            },
            package,
            version,
            source,
            source_version,
        })
    }
}

impl Source {
    /// Reads a stanza of a Sources file.
    ///
    /// # Errors
    /// When a field that names the package or its bytes is missing or malformed, or its lists of
    /// files differ.
    pub fn from_stanza(stanza: &Stanza<'_>) -> Result<Self, FormatError> {
        Self::read(stanza).map_err(|error| at_stanza(SOURCES, stanza, error))
    }

    fn read(stanza: &Stanza<'_>) -> Result<Self, FormatError> {
        let field = |name| stanza.require(SOURCES, name);
        field("Checksums-Sha256")?;
        let files = sha256_list(SOURCES, stanza.lines("Checksums-Sha256"))?;
        if stanza.field("Files").is_some() {
            agrees(SOURCES, "Files", 3, stanza.lines("Files"), &files)?;
        }
        Ok(Self {
            package: value(SOURCES, "Package", field("Package")?)?,
            version: value(SOURCES, "Version", field("Version")?)?,
            directory: value(SOURCES, "Directory", field("Directory")?)?,
            files,
        })
    }

    /// The paths of its files, relative to the archive's base.
    ///
    /// # Errors
    /// When a path would be too long.
    pub fn pool_files(&self) -> Result<Vec<(PoolPath, Digest)>, FormatError> {
        let path = |name: &FileName| value(SOURCES, "Directory", &format!("{}/{name}", self.directory));
        self.files
            .iter()
            .map(|(name, digest)| Ok((path(name)?, *digest)))
            .collect()
    }
}

/// Reads `name` or `name (version)`, as the field `Source` has it; `version` is what a bare name means.
///
/// # Errors
/// When it has another form.
pub fn source_of(what: &'static str, text: &str, version: &Version) -> Result<(PackageName, Version), FormatError> {
    let Some((name, rest)) = text.split_once(' ') else {
        return Ok((value(what, "Source", text)?, version.clone()));
    };
    let inner = rest.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
    let inner = inner.ok_or_else(|| {
        let why = format!("`{}` is not like `name (version)`", escape(text));
        FormatError::malformed(what, "Source", why)
    })?;
    Ok((value(what, "Source", name)?, value(what, "Source", inner)?))
}

/// Every pool file of a Packages or Sources file, uncompressed, in its order; a file may come twice.
/// Each item is an error of its stanza, or a path and its digest.
pub fn pool_files(index: &[u8]) -> impl Iterator<Item = Result<(PoolPath, Digest), FormatError>> {
    Stanzas::new(index).flat_map(|stanza| match stanza.and_then(|stanza| files_of(&stanza)) {
        Ok(files) => files.into_iter().map(Ok).collect(),
        Err(error) => vec![Err(error)],
    })
}

fn files_of(stanza: &Stanza<'_>) -> Result<Vec<(PoolPath, Digest)>, FormatError> {
    if stanza.field("Directory").is_some() {
        return Source::from_stanza(stanza)?.pool_files();
    }
    let binary = Binary::from_stanza(stanza)?;
    Ok(vec![(binary.filename, binary.digest)])
}

/// Says at which stanza an error is: its line, and its package when it has one.
fn at_stanza(what: &'static str, stanza: &Stanza<'_>, error: FormatError) -> FormatError {
    let name = stanza
        .field("Package")
        .map(|name| format!(" (package `{}`)", escape(name)));
    FormatError::malformed(
        what,
        format!("the stanza at line {}{}", stanza.line(), name.unwrap_or_default()),
        error,
    )
}
