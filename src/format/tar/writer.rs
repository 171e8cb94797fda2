//! The writer: ustar, the same bytes for the same entries.
//!
//! Owner and group are 0 without names. What is longer than ustar's fields goes to a pax header
//! with `path` or `linkpath` and nothing else. The end is filled up to GNU tar's record size.

use std::io::Write;

use super::header::checksum;
use super::{BLOCK, WHAT, path};
use crate::domain::escape;
use crate::format::FormatError;
use crate::format::input::read_failed;

const RECORD: u64 = 10240;

/// One entry to write.
#[derive(Debug, Clone, Copy)]
pub struct NewEntry<'a> {
    /// Relative, without a slash at the end.
    pub path: &'a str,
    /// Permission bits.
    pub mode: u32,
    /// Seconds since 1970, up to the year 2242.
    pub mtime: u64,
    /// What it is.
    pub body: Body<'a>,
}

/// What an entry is.
#[derive(Debug, Clone, Copy)]
pub enum Body<'a> {
    /// A regular file.
    File(&'a [u8]),
    /// A directory.
    Directory,
    /// A symlink with this target.
    Symlink(&'a str),
}

/// Writes an archive. The caller gives the entries in the order they shall have.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    written: u64,
}

impl<W: Write> Writer<W> {
    /// Writes to `out`.
    pub fn new(out: W) -> Self {
        Self { out, written: 0 }
    }

    /// Writes one entry.
    ///
    /// # Errors
    /// When a path or target is none that our own reader takes, a number does not fit its field, or
    /// `out` fails.
    pub fn append(&mut self, entry: &NewEntry<'_>) -> Result<(), FormatError> {
        let bad = |why| FormatError::malformed(WHAT, format!("`{}`", escape(entry.path)), why);
        if path::normal(entry.path)? != entry.path {
            return Err(bad("the path is not in its normal form"));
        }
        let (flag, name, link, bytes) = match entry.body {
            Body::File(bytes) => (b'0', entry.path.to_owned(), "", bytes),
            Body::Directory => (b'5', format!("{}/", entry.path), "", &[][..]),
            Body::Symlink(target) => (b'2', entry.path.to_owned(), path::target(target)?, &[][..]),
        };
        if entry.path == "." && flag != b'5' {
            return Err(bad("the root is no directory"));
        }
        let split = split(&name);
        let records = [
            ("path", name.as_str(), split.is_none()),
            ("linkpath", link, link.len() > 100),
        ];
        let records: String = records
            .iter()
            .filter(|r| r.2)
            .map(|(key, value, _)| record(key, value))
            .collect();
        let mut fields = Fields {
            prefix: "",
            name: "././@PaxHeader",
            mode: 0o644,
            size: records.len() as u64,
            mtime: entry.mtime,
            flag: b'x',
            link: "",
        };
        if !records.is_empty() {
            self.block(&fields, records.as_bytes())?;
        }
        (fields.prefix, fields.name) = split.unwrap_or_else(|| ("", cut(&name)));
        fields.link = cut(link);
        fields.mode = entry.mode;
        fields.size = bytes.len() as u64;
        fields.flag = flag;
        self.block(&fields, bytes)
    }

    /// Writes the end and gives the output back.
    ///
    /// # Errors
    /// When the output fails.
    pub fn finish(mut self) -> Result<W, FormatError> {
        let end = self.written.saturating_add(2 * BLOCK as u64).next_multiple_of(RECORD);
        let zeros = usize::try_from(end.saturating_sub(self.written)).unwrap_or_default();
        self.write(&vec![0; zeros])?;
        self.out.flush().map_err(read_failed(WHAT))?;
        Ok(self.out)
    }

    fn block(&mut self, fields: &Fields<'_>, content: &[u8]) -> Result<(), FormatError> {
        self.write(&fields.encode()?)?;
        self.write(content)?;
        let over = content.len() % BLOCK;
        if over > 0 {
            self.write([0; BLOCK].get(over..).unwrap_or_default())?;
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), FormatError> {
        self.out.write_all(bytes).map_err(read_failed(WHAT))?;
        self.written = self.written.saturating_add(bytes.len() as u64);
        Ok(())
    }
}

/// What a header says.
struct Fields<'a> {
    prefix: &'a str,
    name: &'a str,
    mode: u32,
    size: u64,
    mtime: u64,
    flag: u8,
    link: &'a str,
}

impl Fields<'_> {
    fn encode(&self) -> Result<[u8; BLOCK], FormatError> {
        let mut block = [0; BLOCK];
        let mut put = |at: usize, bytes: &[u8]| {
            for (to, from) in block.iter_mut().skip(at).zip(bytes) {
                *to = *from;
            }
        };
        put(0, self.name.as_bytes());
        put(100, &octal(u64::from(self.mode & 0o7777), 7)?);
        put(108, &octal(0, 7)?);
        put(116, &octal(0, 7)?);
        put(124, &octal(self.size, 11)?);
        put(136, &octal(self.mtime, 11)?);
        put(156, &[self.flag]);
        put(157, self.link.as_bytes());
        put(257, b"ustar\x0000");
        put(329, &octal(0, 7)?);
        put(337, &octal(0, 7)?);
        put(345, self.prefix.as_bytes());
        let sum = octal(u64::from(checksum(&block)), 6)?;
        for (to, from) in block.iter_mut().skip(148).zip(sum.iter().chain(b"\0 ")) {
            *to = *from;
        }
        Ok(block)
    }
}

fn octal(number: u64, digits: usize) -> Result<Vec<u8>, FormatError> {
    let text = format!("{number:0digits$o}");
    if text.len() > digits {
        return Err(FormatError::malformed(
            WHAT,
            number,
            "the number does not fit its field",
        ));
    }
    Ok(text.into_bytes())
}

/// Prefix and name, when ustar can hold the path.
fn split(name: &str) -> Option<(&str, &str)> {
    if name.len() <= 100 {
        return Some(("", name));
    }
    // The first slash that leaves a name short enough; the slash at a directory's end cannot be it.
    let fits = |(at, _): (usize, &str)| {
        let (prefix, rest) = name.split_at_checked(at)?;
        let rest = rest.strip_prefix('/')?;
        (prefix.len() <= 155 && rest.len() <= 100 && !rest.is_empty()).then_some((prefix, rest))
    };
    name.match_indices('/').find_map(fits)
}

/// The first 100 bytes at most, whole characters only.
fn cut(text: &str) -> &str {
    let end = (0..=text.len().min(100)).rev().find(|&end| text.is_char_boundary(end));
    text.get(..end.unwrap_or_default()).unwrap_or_default()
}

/// `LENGTH KEY=VALUE\n`, where LENGTH counts its own digits.
fn record(key: &str, value: &str) -> String {
    let bare = key.len().saturating_add(value.len()).saturating_add(3);
    let mut length = bare;
    while length != bare.saturating_add(length.to_string().len()) {
        length = bare.saturating_add(length.to_string().len());
    }
    format!("{length} {key}={value}\n")
}
