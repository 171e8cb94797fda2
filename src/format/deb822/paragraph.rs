//! Owned paragraphs: for documents that are small, and for all that is written.

use super::{LARGEST, LARGEST_STANZA, MOST_FIELDS, MOST_PARAGRAPHS, Stanzas, has_control_character, is_field_name};
use crate::domain::escape;
use crate::format::FormatError;

/// A paragraph: fields in order, names in their own case, looked up without case.
///
/// A value is its first line without blanks around it, then for each continuation line a newline
/// and the line without its first blank: the value of `Description` is
/// `short\nlong text\n.\n  verbatim`. No line but the first is blank.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Paragraph {
    fields: Vec<(String, String)>,
}

/// Reads all paragraphs of a document. `what` names it in errors.
///
/// # Errors
/// When it is not strictly deb822, or exceeds a limit.
pub fn paragraphs(what: &'static str, bytes: &[u8]) -> Result<Vec<Paragraph>, FormatError> {
    collect(what, bytes, Stanzas::of(what, bytes))
}

/// Reads all paragraphs of a `debian/control`, where lines that start with `#` are comments.
///
/// # Errors
/// When it is not strictly deb822, or exceeds a limit.
pub fn paragraphs_with_comments(what: &'static str, bytes: &[u8]) -> Result<Vec<Paragraph>, FormatError> {
    collect(what, bytes, Stanzas::of(what, bytes).with_comments())
}

/// Reads a document that has exactly one paragraph.
///
/// # Errors
/// When it is not strictly deb822, exceeds a limit, or has none or several.
pub fn paragraph(what: &'static str, bytes: &[u8]) -> Result<Paragraph, FormatError> {
    let mut all = paragraphs(what, bytes)?;
    match (all.pop(), all.len()) {
        (Some(only), 0) => Ok(only),
        (_, others) => Err(FormatError::malformed(
            what,
            "the whole document",
            format!(
                "there are {} paragraphs in place of one",
                if others == 0 { 0 } else { others + 1 }
            ),
        )),
    }
}

fn collect(what: &'static str, bytes: &[u8], stanzas: Stanzas) -> Result<Vec<Paragraph>, FormatError> {
    let limit = |limit: usize, unit| FormatError::Limit {
        what,
        limit: limit as u64,
        unit,
    };
    if bytes.len() > LARGEST {
        return Err(limit(LARGEST, "bytes"));
    }
    let mut all = Vec::new();
    for stanza in stanzas {
        if all.len() == MOST_PARAGRAPHS {
            return Err(limit(MOST_PARAGRAPHS, "paragraphs"));
        }
        all.push(stanza?.to_paragraph());
    }
    Ok(all)
}

impl Paragraph {
    /// A paragraph without fields.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Fields that the scanner has checked.
    pub(super) fn from_checked(fields: Vec<(String, String)>) -> Self {
        Self { fields }
    }

    /// The value of a field.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let field = self.fields.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
        field.map(|(_, value)| value.as_str())
    }

    /// The value of a field that must be there.
    ///
    /// # Errors
    /// When it is not there.
    pub fn require(&self, what: &'static str, field: &'static str) -> Result<&str, FormatError> {
        self.get(field).ok_or(FormatError::MissingField { what, field })
    }

    /// Sets a field: in its place when it is there (with the case that it has there), at the end otherwise.
    ///
    /// # Errors
    /// When the name or the value could be read as something else than this field with this value:
    /// a blank line, blanks at the end of a line or the start of the first, control characters.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), FormatError> {
        let bad = |why: String| FormatError::malformed("deb822", format!("field {}", escape(name)), why);
        if !is_field_name(name) {
            return Err(bad("it is not a field name".to_owned()));
        }
        check_value(value).map_err(|why| bad(format!("the value `{}` {why}", escape(value))))?;
        if let Some((_, old)) = self.fields.iter_mut().find(|(n, _)| n.eq_ignore_ascii_case(name)) {
            value.clone_into(old);
            return Ok(());
        }
        if self.fields.len() == MOST_FIELDS {
            return Err(bad(format!("there are more than {MOST_FIELDS} fields")));
        }
        self.fields.push((name.to_owned(), value.to_owned()));
        Ok(())
    }

    /// Takes a field out; its value when it was there.
    pub fn remove(&mut self, name: &str) -> Option<String> {
        let at = self.fields.iter().position(|(n, _)| n.eq_ignore_ascii_case(name))?;
        Some(self.fields.remove(at).1)
    }

    /// Name and value of each field, in order.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Whether there is no field.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The one form that Assay writes: `Name: value`, continuation lines after one space, a newline
    /// at the end of each line, no empty line.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = String::new();
        for (name, value) in &self.fields {
            let mut lines = value.split('\n');
            out.push_str(name);
            out.push(':');
            if let Some(first) = lines.next().filter(|first| !first.is_empty()) {
                out.push(' ');
                out.push_str(first);
            }
            out.push('\n');
            for line in lines {
                out.push(' ');
                out.push_str(line);
                out.push('\n');
            }
        }
        out.into_bytes()
    }
}

fn check_value(value: &str) -> Result<(), &'static str> {
    if value.len() > LARGEST_STANZA / 2 {
        return Err("is too long");
    }
    if has_control_character(value) {
        return Err("has a control character");
    }
    if value.starts_with([' ', '\t']) {
        return Err("starts with a blank");
    }
    for (number, line) in value.split('\n').enumerate() {
        if line.ends_with([' ', '\t']) {
            return Err("has a line that ends with a blank");
        }
        if number > 0 && line.is_empty() {
            return Err("has an empty line");
        }
    }
    Ok(())
}
