//! A stanza of a Sources file, from a .dsc.

use md5::Digest as _;

use super::IndexError;
use crate::domain::{Digest, FileName, PoolPath};
use crate::format::FormatError;
use crate::format::deb822::{Paragraph, Stanzas};
use crate::format::packages::Source;

const WHAT: &str = ".dsc";

/// The stanza for a source package: `Package` in place of the .dsc's `Source`, its fields in their
/// order, then `Directory`, `Files` and `Checksums-Sha256`, both with the .dsc itself as the first
/// file. `dsc_bytes` are the .dsc as the archive will serve it.
///
/// # Errors
/// When the .dsc lacks a list of its files, the lists differ, or it brings a field of the index.
pub fn source_stanza(
    dsc: &Paragraph,
    dsc_name: &FileName,
    dsc_bytes: &[u8],
    directory: &PoolPath,
) -> Result<Vec<u8>, IndexError> {
    for field in ["Package", "Directory"] {
        if dsc.get(field).is_some() {
            return Err(IndexError::IndexField {
                what: "the .dsc",
                field,
            });
        }
    }
    let own = Digest::of(dsc_bytes);
    let files = list(
        dsc,
        "Files",
        &hex::encode(md5::Md5::digest(dsc_bytes)),
        own.size,
        dsc_name,
    )?;
    let sha256 = list(dsc, "Checksums-Sha256", &own.sha256.hex(), own.size, dsc_name)?;
    let mut stanza = Paragraph::new();
    stanza.set("Package", dsc.require(WHAT, "Source")?)?;
    // SHA-1 proves nothing, and a list without the .dsc would contradict the others.
    let dropped = [
        "Source",
        "Files",
        "Checksums-Sha256",
        "Checksums-Sha1",
        "Checksums-Sha512",
    ];
    for (name, value) in dsc.fields() {
        if !dropped.iter().any(|dropped| dropped.eq_ignore_ascii_case(name)) {
            stanza.set(name, value)?;
        }
    }
    stanza.set("Directory", directory.as_str())?;
    stanza.set("Files", &files)?;
    stanza.set("Checksums-Sha256", &sha256)?;
    let bytes = stanza.to_bytes();
    for stanza in Stanzas::new(&bytes) {
        Source::from_stanza(&stanza?)?;
    }
    Ok(bytes)
}

/// A list of files with the .dsc before it: each on its own line, nothing on the first.
fn list(dsc: &Paragraph, field: &'static str, hex: &str, size: u64, name: &FileName) -> Result<String, IndexError> {
    let listed = dsc.require(WHAT, field)?;
    let rest = listed
        .strip_prefix('\n')
        .ok_or_else(|| FormatError::malformed(WHAT, field, "the list does not start on a line of its own"))?;
    Ok(format!("\n{hex} {size} {name}\n{rest}"))
}
