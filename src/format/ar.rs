//! The `ar` container of a .deb (deb(5)), read strictly and as a stream.
//!
//! dpkg, apt and binutils each accept more than this, and not the same. Here: no long names, no
//! trailing slash, no symbol tables, decimal numbers padded with blanks, one newline of padding
//! after an odd size, and nothing behind the last member.

use std::io::Read;

use super::FormatError;
use super::input::{Input, read_failed};

const WHAT: &str = "ar";
const MAGIC: &[u8; 8] = b"!<arch>\n";
const HEADER: usize = 60;

/// The header of one member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its name: letters, digits and `._-` only.
    pub name: String,
    /// Bytes of content.
    pub size: u64,
    /// Seconds since 1970.
    pub mtime: u64,
}

/// Reads members one after the other. As a [`Read`] it gives the content of the current member.
#[derive(Debug)]
pub struct Reader<R> {
    input: Input<R>,
    left: u64,
    padded: bool,
}

impl<R: Read> Reader<R> {
    /// Starts reading: takes the magic.
    ///
    /// # Errors
    /// When it is not an ar archive, or the stream cannot be read.
    pub fn new(reader: R) -> Result<Self, FormatError> {
        let mut input = Input::new(WHAT, reader);
        let mut magic = [0; 8];
        input.exact(&mut magic)?;
        if &magic != MAGIC {
            return Err(FormatError::malformed(
                WHAT,
                "byte 0",
                "it does not start with `!<arch>`",
            ));
        }
        Ok(Self {
            input,
            left: 0,
            padded: false,
        })
    }

    /// The next member, or none at the end of the file.
    ///
    /// # Errors
    /// When the header is not canonical, the content before it was not read to its end, or the
    /// stream ends early.
    pub fn next_member(&mut self) -> Result<Option<Member>, FormatError> {
        if self.left > 0 {
            return Err(self.bad("the member before has bytes that nobody read"));
        }
        if std::mem::take(&mut self.padded) {
            let mut byte = [0];
            self.input.exact(&mut byte)?;
            if byte != *b"\n" {
                return Err(self.bad("the padding is not a newline"));
            }
        }
        let mut header = [0; HEADER];
        if !self.input.exact_or_end(&mut header)? {
            return Ok(None);
        }
        let member = self.parse(&header)?;
        self.left = member.size;
        self.padded = member.size % 2 == 1;
        Ok(Some(member))
    }

    /// How many bytes of the current member are still to be read.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.left
    }

    fn parse(&self, header: &[u8; HEADER]) -> Result<Member, FormatError> {
        let mut rest = header.as_slice();
        let mut field = |length: usize| {
            let (field, after) = rest.split_at_checked(length).unwrap_or_default();
            rest = after;
            padded(field)
        };
        let [name, mtime, uid, gid, mode, size] = [16, 12, 6, 6, 8, 10].map(&mut field);
        if rest != b"`\n" {
            return Err(self.bad("a header does not end with a backquote and a newline"));
        }
        let name = name
            .filter(|name| {
                name.bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
            })
            .ok_or_else(|| self.bad("a member's name is not letters, digits and `._-`"))?;
        let number = |field: Option<&str>, radix, what: &str| {
            field
                .filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))
                .and_then(|digits| u64::from_str_radix(digits, radix).ok())
                .ok_or_else(|| self.bad(&format!("the {what} of `{name}` is not a plain number")))
        };
        number(uid, 10, "user")?;
        number(gid, 10, "group")?;
        number(mode, 8, "mode")?;
        Ok(Member {
            name: name.to_owned(),
            size: number(size, 10, "size")?,
            mtime: number(mtime, 10, "time")?,
        })
    }

    fn bad(&self, why: &str) -> FormatError {
        FormatError::malformed(WHAT, self.input.position(), why)
    }
}

impl<R: Read> Read for Reader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let Some(part) = buffer.get_mut(..most).filter(|part| !part.is_empty()) else {
            return Ok(0);
        };
        let count = self.input.read(part)?;
        if count == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        self.left = self.left.saturating_sub(count as u64);
        Ok(count)
    }
}

/// The text of a field that is filled up with blanks: not empty, and no blank inside.
fn padded(field: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(field).ok()?.trim_end_matches(' ');
    (!text.is_empty() && !text.contains(|c: char| !c.is_ascii_graphic())).then_some(text)
}

/// Reads what is left of the current member into memory.
///
/// # Errors
/// When it is larger than `limit` bytes, or the stream ends early.
pub fn content<R: Read>(reader: &mut Reader<R>, limit: u64) -> Result<Vec<u8>, FormatError> {
    if reader.left() > limit {
        return Err(FormatError::Limit {
            what: WHAT,
            limit,
            unit: "bytes",
        });
    }
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).map_err(read_failed(WHAT))?;
    Ok(bytes)
}
