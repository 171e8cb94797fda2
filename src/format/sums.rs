//! `SHA256SUMS`: what `sha256sum` writes, and installer images lie beside.

use std::collections::BTreeMap;

use crate::domain::{RelPath, Sha256, escape};

use super::FormatError;
use super::checksums::{lower_hex, value};

const WHAT: &str = "SHA256SUMS";
/// The most files of one list.
const MOST_FILES: usize = 100_000;

/// The files of a list, by their paths below its folder.
///
/// # Errors
/// When a line is no digest and path, a path could leave the folder, or one stands twice.
pub fn sha256sums(bytes: &[u8]) -> Result<BTreeMap<RelPath, Sha256>, FormatError> {
    let bad = |line: &str, why: &str| FormatError::malformed(WHAT, escape(line), why);
    let text = std::str::from_utf8(bytes).map_err(|_| bad("", "it is not UTF-8"))?;
    let mut files = BTreeMap::new();
    for line in text.lines() {
        let (hex, path) = line
            .split_once(' ')
            .ok_or_else(|| bad(line, "it has no digest and path"))?;
        // The second character is the mode: text or binary, which means nothing here.
        let path = path.strip_prefix([' ', '*']);
        let path = path.ok_or_else(|| bad(line, "it has no digest and path"))?;
        let path: RelPath = value(WHAT, "path", path.strip_prefix("./").unwrap_or(path))?;
        let sha256 = lower_hex(WHAT, "digest", hex)?;
        if files.len() == MOST_FILES {
            let (limit, unit) = (MOST_FILES as u64, "files");
            return Err(FormatError::Limit {
                what: WHAT,
                limit,
                unit,
            });
        }
        if files.insert(path, sha256).is_some() {
            return Err(bad(line, "the file is there twice"));
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_strictly() {
        let hex = "ab".repeat(32);
        let good = format!("{hex}  ./netboot/mini.iso\n{hex} *MANIFEST\n");
        let files = sha256sums(good.as_bytes()).unwrap();
        let paths: Vec<&str> = files.keys().map(RelPath::as_str).collect();
        assert_eq!(paths, ["MANIFEST", "netboot/mini.iso"]);
        for bad in [
            format!("{hex}  ../x\n"),
            format!("{hex}  /x\n"),
            format!("{hex}\n"),
            format!("{hex} x\n"),
            format!("{}  x\n", "AB".repeat(32)),
            format!("{hex}  x\n{hex}  ./x\n"),
            format!("{hex}  a\\b\n"),
        ] {
            assert!(sha256sums(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }
}
