//! `.changes` files (Debian Policy §5.5): what one build made. The frame of a signature is not
//! unwrapped here: give the text that `trust` verified.

use crate::domain::{Architecture, Digest, FileName, PackageName, SuiteName, Version};

use super::checksums::value;
use super::deb822::{Paragraph, paragraph};
use super::dsc::{files_of, names};
use super::packages::source_of;
use super::{FormatError, compat};

const WHAT: &str = ".changes";

/// A `.changes`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    /// The source package.
    pub source: PackageName,
    /// The version of the source package.
    pub source_version: Version,
    /// The version of the binary packages; differs from the source's in a binary-only upload.
    pub version: Version,
    /// The architectures it has files for, with `source` for the source package.
    pub architectures: Vec<Architecture>,
    /// The binary packages.
    pub binaries: Vec<PackageName>,
    /// The suites it is for.
    pub distributions: Vec<SuiteName>,
    /// Its files.
    pub files: Vec<(FileName, Digest)>,
    /// All its fields.
    pub paragraph: Paragraph,
}

impl Changes {
    /// Reads the text of a `.changes`.
    ///
    /// # Errors
    /// When it is not one strict paragraph, a field is missing, or its lists of files differ.
    pub fn parse(text: &[u8]) -> Result<Self, FormatError> {
        let paragraph = paragraph(WHAT, text)?;
        let field = |name| paragraph.require(WHAT, name);
        let version: Version = value(WHAT, "Version", field("Version")?)?;
        let (source, source_version) = source_of(WHAT, field("Source")?, &version)?;
        let files = files_of(WHAT, &paragraph, 5)?;
        compat::reads_the_same(WHAT, text, &source, &files)?;
        Ok(Self {
            architectures: values("Architecture", field("Architecture")?)?,
            distributions: values("Distribution", field("Distribution")?)?,
            binaries: names(WHAT, "Binary", paragraph.get("Binary").unwrap_or_default())?,
            source,
            source_version,
            version,
            files,
            paragraph,
        })
    }
}

fn values<T>(field: &'static str, text: &str) -> Result<Vec<T>, FormatError>
where
    T: std::str::FromStr<Err = crate::domain::DomainError>,
{
    text.split_ascii_whitespace()
        .map(|word| value(WHAT, field, word))
        .collect()
}
