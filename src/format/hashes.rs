//! The hashes that an index lists for a pool file beside its SHA-256. apt checks every one that is listed, so
//! a file counts as what an index says only when all of them match (threat F7).

use sha1::Digest as _;

use super::FormatError;
use super::checksums::words;
use super::deb822::Stanza;
use crate::domain::{FileName, Sha256, escape};

/// Some of the hashes of a file, in lower-case hexadecimal digits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hashes {
    /// MD5, 32 digits.
    pub md5: Option<String>,
    /// SHA-1, 40 digits.
    pub sha1: Option<String>,
    /// SHA-512, 128 digits.
    pub sha512: Option<String>,
}

/// Which hashes beside SHA-256 are listed for a file, and what they are, in 16 bytes: an archive has hundreds
/// of thousands of files. Two of these are equal when the same hashes are listed, and each has the same value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OtherHashes([u8; 16]);

/// SHA-1 of a file as lists name it, in lower-case hexadecimal digits: plain, as apt and dpkg compute it,
/// without the defence against collisions that Git's objects get. Nothing is believed for it alone.
#[must_use]
pub fn sha1(bytes: &[u8]) -> String {
    hex::encode(sha1::Sha1::digest(bytes))
}

const MD5: u8 = 1;
const SHA1: u8 = 2;
const SHA512: u8 = 4;

impl OtherHashes {
    /// None is listed.
    pub const NONE: Self = Self([0; 16]);

    /// Whether MD5 is among them.
    #[must_use]
    pub fn has_md5(self) -> bool {
        self.kinds() & MD5 != 0
    }

    /// Whether SHA-1 is among them.
    #[must_use]
    pub fn has_sha1(self) -> bool {
        self.kinds() & SHA1 != 0
    }

    /// Whether SHA-512 is among them.
    #[must_use]
    pub fn has_sha512(self) -> bool {
        self.kinds() & SHA512 != 0
    }

    /// Which they are: one bit for each.
    #[must_use]
    pub fn kinds(self) -> u8 {
        let [kinds, ..] = self.0;
        kinds
    }

    /// Their names, for people.
    #[must_use]
    pub fn names(self) -> String {
        let names = [
            (self.has_md5(), "MD5"),
            (self.has_sha1(), "SHA-1"),
            (self.has_sha512(), "SHA-512"),
        ];
        let names: Vec<&str> = names.iter().filter(|(is, _)| *is).map(|(_, name)| *name).collect();
        names.join(" or ")
    }

    /// The 16 bytes: the kinds, and the start of the SHA-256 of what they are.
    #[must_use]
    pub fn bytes(self) -> [u8; 16] {
        self.0
    }
}

impl From<&Hashes> for OtherHashes {
    fn from(hashes: &Hashes) -> Self {
        let all = [(&hashes.md5, MD5), (&hashes.sha1, SHA1), (&hashes.sha512, SHA512)];
        let (mut kinds, mut text) = (0, String::new());
        for (hash, kind) in all {
            if let Some(hash) = hash {
                kinds |= kind;
                text.push_str(hash);
                text.push('\n');
            }
        }
        if kinds == 0 {
            return Self::NONE;
        }
        let sum = Sha256::of(text.as_bytes());
        let mut short = [kinds; 16];
        short
            .iter_mut()
            .skip(1)
            .zip(sum.as_bytes())
            .for_each(|(to, from)| *to = *from);
        Self(short)
    }
}

/// What a stanza of a Packages file lists.
pub(super) fn of_binary(what: &'static str, stanza: &Stanza<'_>) -> Result<Hashes, FormatError> {
    let field = |name: &'static str, digits| stanza.field(name).map(|text| hex(what, name, text, digits)).transpose();
    Ok(Hashes {
        md5: field("MD5sum", 32)?,
        sha1: field("SHA1", 40)?,
        sha512: field("SHA512", 128)?,
    })
}

/// What a list of a Sources stanza says of each of `files`, of which it names no other.
pub(super) fn of_list<'a>(
    what: &'static str,
    (field, digits): (&'static str, usize),
    lines: impl Iterator<Item = &'a str>,
    names: &[&FileName],
) -> Result<Vec<String>, FormatError> {
    let mut found = vec![String::new(); names.len()];
    for line in lines {
        let [text, _, name] = words(what, field, line)?;
        let at = names.iter().position(|known| known.as_str() == name);
        if let Some(slot) = at.and_then(|at| found.get_mut(at)) {
            *slot = hex(what, field, text, digits)?;
        }
    }
    Ok(found)
}

/// A hash of this many digits. apt takes it in either case.
fn hex(what: &'static str, field: &'static str, text: &str, digits: usize) -> Result<String, FormatError> {
    if text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(text.to_ascii_lowercase());
    }
    let why = format!("`{}` is not {digits} hexadecimal digits", escape(text));
    Err(FormatError::malformed(what, field, why))
}
