//! The scanner: the one grammar, over slices of the input, fast enough for whole indexes.

use memchr::{memchr, memmem};

use super::{LARGEST_STANZA, MOST_FIELDS, Paragraph, has_control_character, is_field_name};
use crate::domain::escape;
use crate::format::FormatError;

/// The stanzas of a Packages or Sources file, in order, as slices of it. Ends after the first error.
#[derive(Debug, Clone)]
pub struct Stanzas<'a> {
    what: &'static str,
    rest: &'a [u8],
    line: usize,
    comments: bool,
}

/// One stanza, checked: its bytes as they stand, and its fields.
#[derive(Debug, Clone)]
pub struct Stanza<'a> {
    what: &'static str,
    text: &'a str,
    line: usize,
    fields: Vec<Field<'a>>,
    /// One bit for each kind of name (by length and first letter) that there is: most names are the
    /// first of their kind, and need not be looked for.
    kinds: u64,
}

#[derive(Debug, Clone, Copy)]
struct Field<'a> {
    name: &'a str,
    /// The first line, without blanks around it.
    first: &'a str,
    /// The lines after it as they stand, each with its newline.
    rest: &'a str,
}

impl<'a> Stanzas<'a> {
    /// Reads an uncompressed index.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self::of("index", bytes)
    }

    /// Says the lines of a part of a file as the whole has them: it begins at `line`, counted from 1.
    #[must_use]
    pub fn from_line(mut self, line: usize) -> Self {
        self.line = line;
        self
    }

    pub(super) fn of(what: &'static str, bytes: &'a [u8]) -> Self {
        Self {
            what,
            rest: bytes,
            line: 1,
            comments: false,
        }
    }

    /// Takes lines that start with `#` as comments, as `debian/control` alone may have them.
    pub(super) fn with_comments(mut self) -> Self {
        self.comments = true;
        self
    }

    fn read(&mut self) -> Result<Option<Stanza<'a>>, FormatError> {
        while let Some(block) = self.next_block()? {
            let line = self.line;
            let stanza = Stanza::scan(self.what, block, line, self.comments)?;
            self.line += memchr::memchr_iter(b'\n', block.as_bytes()).count();
            if !stanza.fields.is_empty() {
                return Ok(Some(stanza));
            }
        }
        Ok(None)
    }

    /// The next run of lines that are not empty, with its last newline.
    fn next_block(&mut self) -> Result<Option<&'a str>, FormatError> {
        let (empty, block, rest) = cut(self.rest);
        self.line += empty;
        self.rest = rest;
        if block.is_empty() {
            return Ok(None);
        }
        if block.len() > LARGEST_STANZA {
            return Err(FormatError::Limit {
                what: self.what,
                limit: LARGEST_STANZA as u64,
                unit: "bytes in a stanza",
            });
        }
        let text = std::str::from_utf8(block).map_err(|error| {
            let lines = memchr::memchr_iter(b'\n', block.get(..error.valid_up_to()).unwrap_or_default()).count();
            self.bad(self.line + lines, "it is not UTF-8")
        })?;
        if has_control_character(text) {
            let lines = text.split('\n').take_while(|line| !has_control_character(line)).count();
            return Err(self.bad(self.line + lines, "there is a control character"));
        }
        if !text.ends_with('\n') {
            return Err(self.bad(self.line + text.lines().count() - 1, "the last line has no newline"));
        }
        Ok(Some(text))
    }

    fn bad(&self, line: usize, why: impl ToString) -> FormatError {
        FormatError::malformed(self.what, format!("line {line}"), why)
    }
}

/// The empty lines at the start, the run of other lines that follows, with its last newline, and the rest.
fn cut(mut bytes: &[u8]) -> (usize, &[u8], &[u8]) {
    let mut empty = 0;
    while let Some(rest) = bytes.strip_prefix(b"\n") {
        bytes = rest;
        empty += 1;
    }
    let length = memmem::find(bytes, b"\n\n").map_or(bytes.len(), |at| at + 1);
    let (block, rest) = bytes.split_at_checked(length).unwrap_or((bytes, &[]));
    (empty, block, rest)
}

/// What [`Stanzas`] reads one by one, as it stands and unchecked; each with the number of lines before it.
pub fn blocks(bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let (mut rest, mut lines) = (bytes, 0);
    std::iter::from_fn(move || {
        let (empty, block, after) = cut(rest);
        let before = lines + empty;
        lines = before + memchr::memchr_iter(b'\n', block).count();
        rest = after;
        (!block.is_empty()).then_some((before, block))
    })
}

impl<'a> Iterator for Stanzas<'a> {
    type Item = Result<Stanza<'a>, FormatError>;
    fn next(&mut self) -> Option<Self::Item> {
        let next = self.read().transpose();
        if matches!(next, Some(Err(_))) {
            self.rest = &[];
        }
        next
    }
}

impl<'a> Stanza<'a> {
    /// The stanza as it stands in the file, with its last newline.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.text.as_bytes()
    }

    /// The number of its first line in the file, from 1.
    #[must_use]
    pub fn line(&self) -> usize {
        self.line
    }

    /// The first line of a field, without blanks around it. Names are compared without case.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&'a str> {
        self.find(name).map(|field| field.first)
    }

    /// The lines of a field after its first, without blanks around them; none when the field is absent.
    pub fn lines(&self, name: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        self.find(name).map_or("", |field| field.rest).lines().map(trim)
    }

    /// The first line of a field that must be there.
    ///
    /// # Errors
    /// When it is not there.
    pub fn require(&self, what: &'static str, field: &'static str) -> Result<&'a str, FormatError> {
        self.field(field).ok_or(FormatError::MissingField { what, field })
    }

    /// All fields, owned.
    #[must_use]
    pub fn to_paragraph(&self) -> Paragraph {
        let value = |field: &Field| {
            let mut value = field.first.to_owned();
            for line in field.rest.lines().filter(|line| !line.starts_with('#')) {
                value.push('\n');
                let mut chars = line.chars();
                chars.next();
                value.push_str(chars.as_str().trim_end_matches(BLANKS));
            }
            value
        };
        Paragraph::from_checked(self.fields.iter().map(|f| (f.name.to_owned(), value(f))).collect())
    }

    fn find(&self, name: &str) -> Option<&Field<'a>> {
        if self.kinds & kind(name) == 0 {
            return None;
        }
        self.fields.iter().find(|field| field.name.eq_ignore_ascii_case(name))
    }

    fn scan(what: &'static str, text: &'a str, line: usize, comments: bool) -> Result<Self, FormatError> {
        let mut stanza = Self {
            what,
            text,
            line,
            fields: Vec::with_capacity(32),
            kinds: 0,
        };
        let mut rest = text;
        let mut number = line;
        while let Some((current, after)) = split_line(rest) {
            match current.as_bytes().first() {
                Some(b'#') if comments => {}
                Some(b' ' | b'\t') => return Err(stanza.continuation_without_field(number)),
                _ => {
                    let (field_rest, after_field, lines) = stanza.continuations(after, number + 1, comments)?;
                    stanza.add(current, field_rest, number)?;
                    rest = after_field;
                    number += 1 + lines;
                    continue;
                }
            }
            rest = after;
            number += 1;
        }
        Ok(stanza)
    }

    /// The continuation lines at the start of `text`, what follows them, and how many they are.
    fn continuations(
        &self,
        text: &'a str,
        number: usize,
        comments: bool,
    ) -> Result<(&'a str, &'a str, usize), FormatError> {
        let mut rest = text;
        let mut lines = 0;
        while let Some((line, after)) = split_line(rest) {
            match line.as_bytes().first() {
                Some(b' ' | b'\t') if trim(line).is_empty() => {
                    return Err(self.bad(number + lines, "the line has nothing but blanks"));
                }
                Some(b' ' | b'\t') => {}
                Some(b'#') if comments => {}
                _ => break,
            }
            rest = after;
            lines += 1;
        }
        let taken = text.len() - rest.len();
        let (taken, rest) = text.split_at_checked(taken).unwrap_or((text, ""));
        Ok((taken, rest, lines))
    }

    fn add(&mut self, line: &'a str, rest: &'a str, number: usize) -> Result<(), FormatError> {
        let colon = memchr(b':', line.as_bytes()).and_then(|at| line.split_at_checked(at));
        let Some((name, value)) = colon else {
            return Err(self.bad(number, "the line has no colon"));
        };
        if !is_field_name(name) {
            return Err(self.bad(number, format!("`{}` is not a field name", escape(name))));
        }
        if self.kinds & kind(name) != 0 && self.find(name).is_some() {
            return Err(self.bad(number, format!("the field `{}` is there twice", escape(name))));
        }
        if self.fields.len() == MOST_FIELDS {
            return Err(FormatError::Limit {
                what: self.what,
                limit: MOST_FIELDS as u64,
                unit: "fields",
            });
        }
        let first = trim(value.strip_prefix(':').unwrap_or(value));
        self.kinds |= kind(name);
        self.fields.push(Field { name, first, rest });
        Ok(())
    }

    fn continuation_without_field(&self, number: usize) -> FormatError {
        self.bad(number, "the line continues no field")
    }

    fn bad(&self, line: usize, why: impl ToString) -> FormatError {
        FormatError::malformed(self.what, format!("line {line}"), why)
    }
}

/// The bit of a name's kind; the same whatever the case of its letters.
fn kind(name: &str) -> u64 {
    let first = name.as_bytes().first().map_or(0, u8::to_ascii_lowercase);
    1 << ((name.len() * 7 + usize::from(first)) % 64)
}

const BLANKS: [char; 2] = [' ', '\t'];

fn trim(text: &str) -> &str {
    text.trim_matches(BLANKS)
}

/// The first line without its newline, and what follows; nothing at the end.
fn split_line(text: &str) -> Option<(&str, &str)> {
    let at = memchr(b'\n', text.as_bytes())?;
    let (line, rest) = text.split_at_checked(at)?;
    Some((line, rest.strip_prefix('\n')?))
}
