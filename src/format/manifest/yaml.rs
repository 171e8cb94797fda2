//! The part of YAML that build manifests are written in: block maps and lists, and scalars on one
//! line. Whatever else YAML has (anchors, tags, flow, several documents, values over several lines)
//! is refused: two readers might not read it alike. Every scalar is text: `3.10` is no number.

use crate::domain::escape;
use crate::format::FormatError;

const WHAT: &str = "YAML";
const DEEPEST: usize = 12;

/// A value, and the line it starts on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) line: usize,
    pub(super) value: Value,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    List(Vec<Node>),
    /// In the order of the file, each key once.
    Map(Vec<(String, Node)>),
}

/// A line without its indentation.
struct Line<'a> {
    number: usize,
    indent: usize,
    text: &'a str,
}

/// Reads a document.
pub(super) fn parse(bytes: &[u8]) -> Result<Node, FormatError> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
        bad(
            memchr::memchr_iter(b'\n', before).count().saturating_add(1),
            "it is not UTF-8",
        )
    })?;
    let mut lines = Vec::new();
    for (at, text) in text.split('\n').enumerate() {
        let number = at.saturating_add(1);
        if text.chars().any(|c| c.is_control() || c == '\u{feff}') {
            return Err(bad(number, "there is a control character"));
        }
        let bare = text.trim_start_matches(' ');
        let indent = text.len().saturating_sub(bare.len());
        let bare = bare.trim_end_matches(' ');
        let start = bare == "---" && indent == 0 && lines.is_empty();
        if bare.is_empty() || bare.starts_with('#') || start {
            continue;
        }
        lines.push(Line {
            number,
            indent,
            text: bare,
        });
    }
    lines.reverse();
    let mut reader = Reader { lines };
    let Some(indent) = reader.lines.last().map(|line| line.indent) else {
        return Err(bad(1, "it is empty"));
    };
    let node = reader.node(indent, 0)?;
    match reader.lines.last() {
        None => Ok(node),
        Some(line) => Err(bad(line.number, "it belongs to nothing before it")),
    }
}

/// The lines that are not read yet, the next one last.
struct Reader<'a> {
    lines: Vec<Line<'a>>,
}

impl<'a> Reader<'a> {
    /// The value whose first line is the next one, at this indentation.
    fn node(&mut self, indent: usize, depth: usize) -> Result<Node, FormatError> {
        let Some(first) = self.lines.last() else {
            return Err(bad(1, "it ends too early"));
        };
        let line = first.number;
        if depth > DEEPEST {
            return Err(bad(line, "it is nested too deep"));
        }
        if item(first.text).is_some() {
            return self.list(indent, depth);
        }
        if key(first.text).is_some() {
            return self.map(indent, depth);
        }
        let value = Value::Text(scalar(first.text, line)?);
        self.lines.pop();
        Ok(Node { line, value })
    }

    fn list(&mut self, indent: usize, depth: usize) -> Result<Node, FormatError> {
        let mut items = Vec::new();
        let line = self.lines.last().map_or(0, |line| line.number);
        while let Some(next) = self.lines.last_mut().filter(|next| next.indent == indent) {
            let Some(rest) = item(next.text) else { break };
            let number = next.number;
            if rest.is_empty() {
                self.lines.pop();
                items.push(self.below(indent, number, depth)?);
                continue;
            }
            // What follows the dash is a line of its own, indented to where it stands.
            let inner = indent.saturating_add(next.text.len().saturating_sub(rest.len()));
            (next.indent, next.text) = (inner, rest);
            items.push(self.node(inner, depth.saturating_add(1))?);
        }
        Ok(Node {
            line,
            value: Value::List(items),
        })
    }

    fn map(&mut self, indent: usize, depth: usize) -> Result<Node, FormatError> {
        let mut entries: Vec<(String, Node)> = Vec::new();
        let mut seen = std::collections::BTreeSet::new();
        let line = self.lines.last().map_or(0, |line| line.number);
        while let Some(next) = self.lines.last().filter(|next| next.indent == indent) {
            let number = next.number;
            let Some((name, rest)) = key(next.text) else { break };
            let name = scalar(name, number)?;
            self.lines.pop();
            let node = if rest.is_empty() {
                self.below_key(indent, number, depth)?
            } else {
                let value = match rest {
                    "[]" => Value::List(Vec::new()),
                    "{}" => Value::Map(Vec::new()),
                    text => Value::Text(scalar(text, number)?),
                };
                Node { line: number, value }
            };
            if !seen.insert(name.clone()) {
                return Err(bad(number, format!("the key `{}` stands twice", escape(&name))));
            }
            entries.push((name, node));
        }
        Ok(Node {
            line,
            value: Value::Map(entries),
        })
    }

    /// The value of a key: indented deeper, or a list at the key's own indentation.
    fn below_key(&mut self, indent: usize, number: usize, depth: usize) -> Result<Node, FormatError> {
        match self.lines.last() {
            Some(next) if next.indent == indent && item(next.text).is_some() => {
                self.node(indent, depth.saturating_add(1))
            }
            _ => self.below(indent, number, depth),
        }
    }

    fn below(&mut self, indent: usize, number: usize, depth: usize) -> Result<Node, FormatError> {
        match self.lines.last() {
            Some(next) if next.indent > indent => {
                let inner = next.indent;
                self.node(inner, depth.saturating_add(1))
            }
            _ => Err(bad(number, "there is no value")),
        }
    }
}

/// What follows the dash of a list's item.
fn item(text: &str) -> Option<&str> {
    if text == "-" {
        return Some("");
    }
    text.strip_prefix("- ").map(|rest| rest.trim_start_matches(' '))
}

/// Key and value, as they are written; the value without a comment after it, perhaps empty.
fn key(text: &str) -> Option<(&str, &str)> {
    let end = match text.chars().next()? {
        quote @ ('\'' | '"') => {
            let close = text.get(1..)?.find(quote)?.checked_add(2)?;
            text.get(close..)?.starts_with(':').then_some(close)?
        }
        _ => text.match_indices(':').map(|(at, _)| at).find(|at| {
            let after = text.get(at.saturating_add(1)..).unwrap_or_default();
            after.is_empty() || after.starts_with(' ')
        })?,
    };
    let rest = text.get(end.saturating_add(1)..)?.trim_start_matches(' ');
    Some((text.get(..end)?, if rest.starts_with('#') { "" } else { rest }))
}

/// A scalar on one line, in any of its three styles.
fn scalar(text: &str, number: usize) -> Result<String, FormatError> {
    let (value, rest) = match text.chars().next() {
        Some('\'') => single(text).ok_or_else(|| bad(number, "a quote is not closed on its line"))?,
        Some('"') => double(text).ok_or_else(|| {
            bad(
                number,
                "a quote is not closed on its line, or it has an escape that is not read here",
            )
        })?,
        _ => return plain(text, number),
    };
    let rest = rest.trim_start_matches(' ');
    if rest.is_empty() || rest.starts_with('#') {
        Ok(value)
    } else {
        Err(bad(number, "there is text after the closing quote"))
    }
}

fn plain(text: &str, number: usize) -> Result<String, FormatError> {
    let text = text
        .split_once(" #")
        .map_or(text, |(value, _)| value.trim_end_matches(' '));
    let indicator = text.starts_with([
        '&', '*', '!', '|', '>', '%', '@', '`', '{', '}', '[', ']', ',', '#', '?',
    ]) || text.starts_with("- ")
        || text.starts_with(':');
    if indicator {
        let why = format!(
            "`{}` is not a plain value: only plain and quoted ones are read",
            escape(text)
        );
        return Err(bad(number, why));
    }
    if text.contains(": ") || text.ends_with(':') {
        return Err(bad(number, "there are two keys on one line"));
    }
    if text.is_empty() || text == "~" || text.eq_ignore_ascii_case("null") {
        return Err(bad(number, "there is no value"));
    }
    Ok(text.to_owned())
}

/// The text between single quotes, where two are one; and what follows.
fn single(text: &str) -> Option<(String, &str)> {
    let mut rest = text.strip_prefix('\'')?;
    let mut value = String::new();
    loop {
        let (part, after) = rest.split_once('\'')?;
        value.push_str(part);
        match after.strip_prefix('\'') {
            Some(after) => {
                value.push('\'');
                rest = after;
            }
            None => return Some((value, after)),
        }
    }
}

/// The text between double quotes, where `\"` and `\\` are the only escapes; and what follows.
fn double(text: &str) -> Option<(String, &str)> {
    let mut chars = text.strip_prefix('"')?.chars();
    let mut value = String::new();
    loop {
        match chars.next()? {
            '"' => return Some((value, chars.as_str())),
            '\\' => match chars.next()? {
                escaped @ ('"' | '\\') => value.push(escaped),
                _ => return None,
            },
            c => value.push(c),
        }
    }
}

fn bad(number: usize, why: impl ToString) -> FormatError {
    FormatError::malformed(WHAT, format!("line {number}"), why)
}
