//! A stanza of a Packages file, from the .deb's own control file.

use std::borrow::Cow;

use super::IndexError;
use crate::domain::{Digest, PackageName, PoolPath};
use crate::format::deb822::Paragraph;
use crate::format::deb822::Stanzas;
use crate::format::packages::Binary;
use crate::site::Overrides;

/// What only an index says. A control file that says it too would speak for the archive.
pub const INDEX_FIELDS: [&str; 17] = [
    "Origin-Signature",
    "Filename",
    "MSDOS-Filename",
    "Size",
    "MD5sum",
    "SHA1",
    "SHA256",
    "SHA512",
    "Description-md5",
    "Directory",
    "Files",
    "Checksums-Sha1",
    "Checksums-Sha256",
    "Status",
    "Config-Version",
    "Conffiles",
    "Phased-Update-Percentage",
];

/// The stanza for a .deb: `Package` first, the other fields as its control file orders them, then
/// `Filename`, `Size` and `SHA256`.
///
/// # Errors
/// When the control file brings a field of the index, or lacks one that every package has.
pub fn binary_stanza(control: &Paragraph, filename: &PoolPath, digest: &Digest) -> Result<Vec<u8>, IndexError> {
    if let Some(field) = INDEX_FIELDS.into_iter().find(|field| control.get(field).is_some()) {
        return Err(IndexError::IndexField {
            what: "the control file",
            field,
        });
    }
    let mut stanza = Paragraph::new();
    stanza.set("Package", control.require("control", "Package")?)?;
    for (name, value) in control.fields() {
        stanza.set(name, value)?;
    }
    stanza.set("Filename", filename.as_str())?;
    stanza.set("Size", &digest.size.to_string())?;
    stanza.set("SHA256", &digest.sha256.hex())?;
    let bytes = stanza.to_bytes();
    read_back(&bytes)?;
    Ok(bytes)
}

/// Stanzas of a Packages file, each with an empty line after it, with the sections and priorities that the site gives.
///
/// # Errors
/// When one is malformed.
pub fn overridden<'p>(packages: &'p [u8], overrides: &Overrides) -> Result<Cow<'p, [u8]>, IndexError> {
    if overrides.is_empty() {
        return Ok(Cow::Borrowed(packages));
    }
    let mut out = Vec::with_capacity(packages.len());
    for stanza in Stanzas::new(packages) {
        let stanza = stanza?;
        let named = PackageName::new(stanza.require("Packages", "Package")?).ok();
        match named.and_then(|name| overrides.get(&name)) {
            Some(other) => {
                let mut paragraph = stanza.to_paragraph();
                if let Some(section) = &other.section {
                    paragraph.set("Section", section.as_str())?;
                }
                if let Some(priority) = other.priority {
                    paragraph.set("Priority", priority.as_str())?;
                }
                out.extend(paragraph.to_bytes());
            }
            None => out.extend_from_slice(stanza.bytes()),
        }
        out.push(b'\n');
    }
    Ok(Cow::Owned(out))
}

/// Whether a package, of which this gives the fields, is of debug symbols that a build split off by itself.
pub fn is_debug_symbols<'f>(field: impl Fn(&str) -> Option<&'f str>) -> bool {
    let is_named = field("Package").is_some_and(|name| name.trim().ends_with("-dbgsym"));
    is_named && field("Auto-Built-Package").is_some_and(|kind| kind.trim() == "debug-symbols")
}

/// Stanzas of a Packages file in two: those of debug symbols, and all others.
///
/// # Errors
/// When one is malformed.
pub fn debug_symbols_apart(packages: &[u8]) -> Result<(Vec<u8>, Vec<u8>), IndexError> {
    let (mut symbols, mut others) = (Vec::new(), Vec::new());
    for stanza in Stanzas::new(packages) {
        let stanza = stanza?;
        let text = match is_debug_symbols(|name| stanza.field(name)) {
            true => &mut symbols,
            false => &mut others,
        };
        text.extend_from_slice(stanza.bytes());
        text.push(b'\n');
    }
    Ok((symbols, others))
}

/// A stanza that our own reader would refuse is not written.
fn read_back(bytes: &[u8]) -> Result<(), IndexError> {
    for stanza in Stanzas::new(bytes) {
        Binary::from_stanza(&stanza?)?;
    }
    Ok(())
}
