//! The file lists of `.dsc`, `.changes`, `.buildinfo` and Sources stanzas.

use crate::domain::{Digest, FileName, Sha256, escape};

use super::FormatError;

/// The most files of one list.
const MOST_FILES: usize = 10_000;

/// Reads the lines of `Checksums-Sha256`: digest, size, name.
pub(super) fn sha256_list<'a>(
    what: &'static str,
    lines: impl Iterator<Item = &'a str>,
) -> Result<Vec<(FileName, Digest)>, FormatError> {
    let mut files: Vec<(FileName, Digest)> = Vec::new();
    for line in lines {
        let [hex, size, name] = words(what, "Checksums-Sha256", line)?;
        let name: FileName = value(what, "Checksums-Sha256", name)?;
        let sha256: Sha256 = lower_hex(what, "Checksums-Sha256", hex)?;
        let size = number(what, "Checksums-Sha256", size)?;
        if files.iter().any(|(other, _)| *other == name) {
            return Err(FormatError::malformed(
                what,
                "Checksums-Sha256",
                format!("`{name}` is there twice"),
            ));
        }
        if files.len() == MOST_FILES {
            return Err(FormatError::Limit {
                what,
                limit: MOST_FILES as u64,
                unit: "files",
            });
        }
        files.push((name, Digest { sha256, size }));
    }
    Ok(files)
}

/// Checks that another list (`Files`, `Checksums-Sha1`) names the same files with the same sizes.
/// The size is the second word and the name the last, among `count` words.
pub(super) fn agrees<'a>(
    what: &'static str,
    field: &'static str,
    count: usize,
    lines: impl Iterator<Item = &'a str>,
    files: &[(FileName, Digest)],
) -> Result<(), FormatError> {
    let differs = || FormatError::malformed(what, field, "it does not list the same files as Checksums-Sha256");
    let mut seen: Vec<&str> = Vec::new();
    for line in lines {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let (Some(size), Some(name)) = (words.get(1), words.last()) else {
            return Err(differs());
        };
        let size = number(what, field, size)?;
        let listed = files
            .iter()
            .any(|(other, digest)| other.as_str() == *name && digest.size == size);
        if words.len() != count || !listed || seen.contains(name) {
            return Err(differs());
        }
        seen.push(name);
    }
    if seen.len() == files.len() {
        Ok(())
    } else {
        Err(differs())
    }
}

/// Exactly `N` words.
pub(super) fn words<'a, const N: usize>(
    what: &'static str,
    at: &'static str,
    line: &'a str,
) -> Result<[&'a str; N], FormatError> {
    let mut parts = line.split([' ', '\t']).filter(|word| !word.is_empty());
    let bad = || FormatError::malformed(what, at, format!("`{}` does not have {N} words", escape(line)));
    let mut out = [""; N];
    for word in &mut out {
        *word = parts.next().ok_or_else(bad)?;
    }
    if parts.next().is_some() { Err(bad()) } else { Ok(out) }
}

/// A number of bytes: decimal digits and nothing else (`parse` alone takes a `+`).
pub(super) fn number(what: &'static str, at: &'static str, text: &str) -> Result<u64, FormatError> {
    let bad = || FormatError::malformed(what, at, format!("`{}` is not a number of bytes", escape(text)));
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(bad());
    }
    text.parse().map_err(|_| bad())
}

/// A digest in lower case: another case would be other bytes for the same value.
pub(super) fn lower_hex(what: &'static str, at: &'static str, text: &str) -> Result<Sha256, FormatError> {
    if text.bytes().any(|b| b.is_ascii_uppercase()) {
        let why = format!("the digest `{}` is not in lower case", escape(text));
        return Err(FormatError::malformed(what, at, why));
    }
    value(what, at, text)
}

/// A value of one of our types.
pub(super) fn value<T>(what: &'static str, at: &'static str, text: &str) -> Result<T, FormatError>
where
    T: std::str::FromStr<Err = crate::domain::DomainError>,
{
    text.parse().map_err(|source| FormatError::Value {
        what: format!("{what}: {at}"),
        source,
    })
}
