//! The 512-byte header (POSIX.1-1988 ustar, and GNU's variant of it).

use crate::format::FormatError;

use super::{BLOCK, WHAT};

/// A header whose fields are well-formed; what they mean together is the reader's matter.
#[derive(Debug)]
pub(super) struct Header {
    /// Name, with the ustar prefix before it. Bytes: only the effective name must be UTF-8.
    pub(super) name: Vec<u8>,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) size: u64,
    pub(super) mtime: u64,
    pub(super) flag: u8,
    pub(super) link: Vec<u8>,
    pub(super) user: String,
    pub(super) group: String,
}

const CHECKSUM_AT: usize = 148;

impl Header {
    /// Reads a block that is not all zeros.
    pub(super) fn parse(block: &[u8; BLOCK], at: &str, foreign: bool) -> Result<Self, FormatError> {
        let bad = |why: &str| FormatError::malformed(WHAT, at, why);
        let mut fields = Fields { rest: block, at };
        let name = fields.text(100, "name")?;
        let mode = fields.small(8, "mode")?;
        let uid = fields.small(8, "user")?;
        let gid = fields.small(8, "group")?;
        let size = fields.number(12, "size")?;
        let mtime = fields.number(12, "time")?;
        let sum = fields.number(8, "checksum")?;
        if sum != u64::from(checksum(block)) {
            return Err(bad("the checksum of a header is wrong"));
        }
        let flag = fields.take(1).first().copied().unwrap_or_default();
        let link = fields.text(100, "link")?;
        let magic = fields.take(8);
        let user = fields.owner("user")?;
        let group = fields.owner("group")?;
        let devices = fields.take(16);
        if devices.iter().any(|b| !matches!(b, 0 | b'0')) {
            return Err(bad("a header has device numbers"));
        }
        let name = match magic {
            b"ustar\x0000" => joined(fields.text(155, "prefix")?, name),
            b"ustar  \0" => name.to_vec(),
            b"\0\0\0\0\0\0\0\0" if foreign => name.to_vec(),
            _ => return Err(bad("a header is neither ustar nor GNU tar")),
        };
        if fields.rest.iter().any(|&b| b != 0) {
            return Err(bad("a header has fields that this reader does not know"));
        }
        if mode > 0o7777 {
            return Err(bad("a mode has bits beyond the permissions"));
        }
        // v7 had no type for folders: their names end with a slash.
        let flag = match flag {
            0 if foreign && name.ends_with(b"/") => b'5',
            0 if foreign => b'0',
            flag => flag,
        };
        Ok(Self {
            name,
            mode,
            uid,
            gid,
            size,
            mtime,
            flag,
            link: link.to_vec(),
            user,
            group,
        })
    }
}

fn joined(prefix: &[u8], name: &[u8]) -> Vec<u8> {
    if prefix.is_empty() {
        return name.to_vec();
    }
    [prefix, b"/", name].concat()
}

/// The sum of all bytes, the checksum itself taken as blanks.
pub(super) fn checksum(block: &[u8; BLOCK]) -> u32 {
    let counted = |(at, byte): (usize, &u8)| match at.checked_sub(CHECKSUM_AT) {
        Some(0..8) => u32::from(b' '),
        _ => u32::from(*byte),
    };
    block.iter().enumerate().map(counted).sum()
}

/// Takes fields from the front of a header.
struct Fields<'a> {
    rest: &'a [u8],
    at: &'a str,
}

impl<'a> Fields<'a> {
    fn take(&mut self, length: usize) -> &'a [u8] {
        let (field, rest) = self.rest.split_at_checked(length).unwrap_or_default();
        self.rest = rest;
        field
    }

    /// Bytes up to the first NUL. Behind it only NULs: what is hidden there one reader may see.
    fn text(&mut self, length: usize, what: &str) -> Result<&'a [u8], FormatError> {
        let field = self.take(length);
        let end = field.iter().position(|&b| b == 0).unwrap_or(field.len());
        let (text, after) = field.split_at_checked(end).unwrap_or_default();
        if after.iter().any(|&b| b != 0) {
            return Err(self.bad(&format!("the {what} has bytes behind its end")));
        }
        Ok(text)
    }

    fn owner(&mut self, what: &str) -> Result<String, FormatError> {
        let text = self.text(32, what)?;
        let plain = |b: &u8| b.is_ascii_graphic() && !matches!(b, b':' | b'/');
        if !text.iter().all(plain) {
            return Err(self.bad(&format!("the {what}'s name has an odd character")));
        }
        Ok(String::from_utf8_lossy(text).into_owned())
    }

    /// Octal digits, then at least one NUL or blank.
    fn number(&mut self, length: usize, what: &str) -> Result<u64, FormatError> {
        let bad = |fields: &Self| fields.bad(&format!("the {what} is not a plain octal number"));
        let field = self.take(length);
        let end = field.iter().position(|b| !b.is_ascii_digit()).unwrap_or(field.len());
        let (digits, after) = field.split_at_checked(end).unwrap_or_default();
        if after.is_empty() || after.iter().any(|b| !matches!(b, 0 | b' ')) {
            return Err(bad(self));
        }
        let digits = std::str::from_utf8(digits).map_err(|_| bad(self))?;
        u64::from_str_radix(digits, 8).map_err(|_| bad(self))
    }

    fn small(&mut self, length: usize, what: &str) -> Result<u32, FormatError> {
        let number = self.number(length, what)?;
        u32::try_from(number).map_err(|_| self.bad(&format!("the {what} is too large")))
    }

    fn bad(&self, why: &str) -> FormatError {
        FormatError::malformed(WHAT, self.at, why)
    }
}
