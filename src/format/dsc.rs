//! `.dsc` files (Debian Policy §5.4): a source package and its files. The frame of a signature is not
//! unwrapped here: give the text that `trust` verified.

use crate::domain::{Digest, FileName, PackageName, Version, escape};

use super::checksums::{agrees, sha256_list, value};
use super::deb822::{Paragraph, paragraph};
use super::{FormatError, compat};

const WHAT: &str = ".dsc";

/// A `.dsc`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dsc {
    /// The source format, such as `3.0 (quilt)`.
    pub format: String,
    /// The source package.
    pub source: PackageName,
    /// Its version.
    pub version: Version,
    /// The binary packages that it builds.
    pub binaries: Vec<PackageName>,
    /// Its files.
    pub files: Vec<(FileName, Digest)>,
    /// All its fields.
    pub paragraph: Paragraph,
}

impl Dsc {
    /// Reads the text of a `.dsc`.
    ///
    /// # Errors
    /// When it is not one strict paragraph, a field is missing, or its lists of files differ.
    pub fn parse(text: &[u8]) -> Result<Self, FormatError> {
        let paragraph = paragraph(WHAT, text)?;
        let field = |name| paragraph.require(WHAT, name);
        let source: PackageName = value(WHAT, "Source", field("Source")?)?;
        let files = files_of(WHAT, &paragraph, 3)?;
        if files.is_empty() {
            return Err(FormatError::malformed(WHAT, "Checksums-Sha256", "it lists no file"));
        }
        for (name, _) in &files {
            let own = name
                .as_str()
                .strip_prefix(source.as_str())
                .is_some_and(|rest| rest.starts_with('_'));
            if !own || name.as_str().ends_with(".dsc") {
                let why = format!("`{name}` is not a file of `{source}`");
                return Err(FormatError::malformed(WHAT, "Checksums-Sha256", why));
            }
        }
        compat::reads_the_same(WHAT, text, &source, &files)?;
        Ok(Self {
            format: source_format(field("Format")?)?,
            version: value(WHAT, "Version", field("Version")?)?,
            binaries: names(WHAT, "Binary", paragraph.get("Binary").unwrap_or_default())?,
            source,
            files,
            paragraph,
        })
    }
}

/// The files of `Checksums-Sha256`, which must be those of `Checksums-Sha1` and `Files` too; a line
/// of `Files` has `words` words.
pub(super) fn files_of(
    what: &'static str,
    paragraph: &Paragraph,
    words: usize,
) -> Result<Vec<(FileName, Digest)>, FormatError> {
    let lines = |name: &'static str| {
        paragraph
            .get(name)
            .map(|value| value.split('\n').filter(|line| !line.is_empty()))
    };
    let sha256 = lines("Checksums-Sha256").ok_or(FormatError::MissingField {
        what,
        field: "Checksums-Sha256",
    })?;
    let files = sha256_list(what, sha256)?;
    if let Some(lines) = lines("Checksums-Sha1") {
        agrees(what, "Checksums-Sha1", 3, lines, &files)?;
    }
    if let Some(lines) = lines("Files") {
        agrees(what, "Files", words, lines, &files)?;
    }
    Ok(files)
}

/// Package names between commas or blanks.
pub(super) fn names(what: &'static str, field: &'static str, text: &str) -> Result<Vec<PackageName>, FormatError> {
    text.split([',', ' ', '\t', '\n'])
        .filter(|name| !name.is_empty())
        .map(|name| value(what, field, name))
        .collect()
}

fn source_format(text: &str) -> Result<String, FormatError> {
    match text {
        "1.0" | "3.0 (native)" | "3.0 (quilt)" => Ok(text.to_owned()),
        _ => {
            let why = format!("`{}` is not a source format that is taken", escape(text));
            Err(FormatError::malformed(WHAT, "Format", why))
        }
    }
}
