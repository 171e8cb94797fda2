//! The newest entry of a `debian/changelog` (Debian Policy §4.4, deb-changelog(5)).

use crate::domain::{PackageName, SuiteName, Timestamp, Version, escape};

use super::FormatError;
use super::checksums::value;

const WHAT: &str = "debian/changelog";
/// The most bytes of the newest entry.
const LARGEST: usize = 1 << 20;

/// What the newest entry says of the package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The source package.
    pub source: PackageName,
    /// Its version.
    pub version: Version,
    /// The suites it is for.
    pub distributions: Vec<SuiteName>,
    /// What follows the semicolon, such as `urgency` → `medium`; keys in lower case.
    pub options: Vec<(String, String)>,
    /// The changes as they stand, without the empty lines around them, each line with its newline.
    pub changes: String,
    /// `Name <mail@address>`.
    pub maintainer: String,
    /// When the entry was closed.
    pub date: Timestamp,
}

/// Reads the newest entry; what follows it is not looked at.
///
/// # Errors
/// When the entry is not exactly as deb-changelog(5) has it: where dpkg only warns, this refuses.
pub fn parse_head(bytes: &[u8]) -> Result<Head, FormatError> {
    let mut lines = Lines {
        rest: bytes,
        number: 0,
        read: 0,
    };
    let line = lines.next_line()?;
    let (source, version, distributions, options) = heading(line, lines.number)?;
    let mut changes = String::new();
    loop {
        let line = lines.next_line()?;
        if let Some(trailer) = line.strip_prefix(" -- ") {
            if changes.trim_matches('\n').is_empty() {
                return Err(bad(lines.number, "the entry has no changes"));
            }
            let (maintainer, date) = trailer_of(trailer, lines.number)?;
            return Ok(Head {
                source,
                version,
                distributions,
                options,
                changes: changes.trim_matches('\n').to_owned() + "\n",
                maintainer,
                date,
            });
        }
        if !line.is_empty() && !line.starts_with("  ") {
            return Err(bad(
                lines.number,
                "it is neither a change, which two blanks start, nor the end of the entry",
            ));
        }
        changes.push_str(line);
        changes.push('\n');
    }
}

/// The versions of the newest entry and of the one before it, which may be absent.
///
/// # Errors
/// When the newest entry is not as `parse_head` wants it, or what follows it is not the heading of an entry.
pub fn last_versions(bytes: &[u8]) -> Result<(Version, Option<Version>), FormatError> {
    let newest = parse_head(bytes)?.version;
    let mut rest = bytes;
    let mut number = 0_usize;
    let mut closed = false;
    while let Some(end) = memchr::memchr(b'\n', rest) {
        let (line, after) = rest.split_at_checked(end).unwrap_or((rest, b""));
        rest = after.strip_prefix(b"\n").unwrap_or(after);
        number = number.saturating_add(1);
        let line = line.trim_ascii_end();
        if closed && !line.is_empty() {
            let line = std::str::from_utf8(line).map_err(|_| bad(number, "it is not UTF-8"))?;
            return Ok((newest, Some(heading(line, number)?.1)));
        }
        closed |= line.starts_with(b" -- ");
    }
    Ok((newest, None))
}

struct Lines<'a> {
    rest: &'a [u8],
    number: usize,
    read: usize,
}

impl<'a> Lines<'a> {
    /// The next line, without blanks at its end.
    fn next_line(&mut self) -> Result<&'a str, FormatError> {
        self.number += 1;
        let end = memchr::memchr(b'\n', self.rest).ok_or_else(|| bad(self.number, "the entry does not end"))?;
        let (line, rest) = self.rest.split_at_checked(end).unwrap_or((self.rest, b""));
        self.rest = rest.strip_prefix(b"\n").unwrap_or(rest);
        self.read = self.read.saturating_add(line.len()).saturating_add(1);
        if self.read > LARGEST {
            return Err(FormatError::Limit {
                what: WHAT,
                limit: LARGEST as u64,
                unit: "bytes in the newest entry",
            });
        }
        let line = std::str::from_utf8(line).map_err(|_| bad(self.number, "it is not UTF-8"))?;
        if line.chars().any(|c| c.is_control() && c != '\t') {
            return Err(bad(self.number, "there is a control character"));
        }
        Ok(line.trim_end_matches([' ', '\t']))
    }
}

type Heading = (PackageName, Version, Vec<SuiteName>, Vec<(String, String)>);

/// `source (version) suite suite; urgency=medium, key=value`.
fn heading(line: &str, number: usize) -> Result<Heading, FormatError> {
    let malformed = || {
        let why = format!("`{}` is not like `name (version) suite; urgency=medium`", escape(line));
        bad(number, why)
    };
    let (name, rest) = line.split_once(" (").ok_or_else(malformed)?;
    let (version, rest) = rest.split_once(')').ok_or_else(malformed)?;
    let (suites, options) = rest.split_once(';').ok_or_else(malformed)?;
    let suites: Vec<SuiteName> = suites
        .strip_prefix(' ')
        .ok_or_else(malformed)?
        .split_ascii_whitespace()
        .map(|suite| value(WHAT, "the suite", suite))
        .collect::<Result<_, _>>()?;
    // dpkg's grammar for suites here is narrower than that of an archive: `trixie/updates` is none.
    let narrow = |suite: &SuiteName| {
        suite
            .as_str()
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-+.".contains(&b))
    };
    if suites.is_empty() || !suites.iter().all(narrow) {
        return Err(malformed());
    }
    let pairs = options_of(options).ok_or_else(malformed)?;
    let source = value(WHAT, "the source", name)?;
    Ok((source, value(WHAT, "the version", version)?, suites, pairs))
}

/// `urgency=medium, binary-only=yes`; only keys that dpkg knows, or that start as its extensions do.
fn options_of(text: &str) -> Option<Vec<(String, String)>> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    let text = text.trim();
    for option in text.split(',').filter(|_| !text.is_empty()) {
        let (key, option) = option.trim().split_once('=')?;
        let (key, option) = (key.to_ascii_lowercase(), option.trim());
        let word = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let known = match key.as_str() {
            "urgency" => option.split([' ', '\t']).next().is_some_and(word),
            "binary-only" => option == "yes",
            key => {
                let prefix = key.strip_prefix('x').and_then(|rest| rest.split_once('-'));
                let letters = |prefix: &str| !prefix.is_empty() && prefix.bytes().all(|b| b"bcs".contains(&b));
                prefix.is_some_and(|(prefix, _)| letters(prefix)) && word(key) && !option.is_empty()
            }
        };
        if !known || pairs.iter().any(|(other, _)| *other == key) {
            return None;
        }
        pairs.push((key, option.to_owned()));
    }
    Some(pairs)
}

/// `Name <mail@address>  date`, with exactly two blanks before the date.
fn trailer_of(text: &str, number: usize) -> Result<(String, Timestamp), FormatError> {
    let malformed = || {
        let why = format!(
            "`{}` is not like `Name <mail@address>  Sat, 11 Jul 2026 10:16:37 +0000`",
            escape(text)
        );
        bad(number, why)
    };
    let (maintainer, date) = text.rsplit_once(">  ").ok_or_else(malformed)?;
    let (name, mail) = maintainer.split_once(" <").ok_or_else(malformed)?;
    let odd_name = name.trim() != name || name.contains(['<', '>']);
    if odd_name || mail.contains(['<', '>', ' ']) || date.starts_with(' ') || !has_shape_of_date(date) {
        return Err(malformed());
    }
    let date = Timestamp::parse_rfc2822(date).map_err(|source| FormatError::Value {
        what: format!("{WHAT}: line {number}"),
        source,
    })?;
    Ok((format!("{maintainer}>"), date))
}

/// The one form that dpkg takes: RFC 2822 itself allows years of two digits, named zones and more.
fn has_shape_of_date(date: &str) -> bool {
    let digits = |text: &str, least: usize, most: usize| {
        (least..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
    };
    let words: Vec<&str> = date.split(' ').filter(|word| !word.is_empty()).collect();
    let words = match words.split_first() {
        Some((weekday, rest)) if weekday.ends_with(',') => rest,
        _ => words.as_slice(),
    };
    let [day, month, year, time, zone] = words else {
        return false;
    };
    let time: Vec<&str> = time.split(':').collect();
    let [hour, minute, second] = time.as_slice() else {
        return false;
    };
    digits(day, 1, 2)
        && month.len() == 3
        && digits(year, 4, 4)
        && digits(hour, 1, 2)
        && digits(minute, 2, 2)
        && digits(second, 2, 2)
        && zone.strip_prefix(['+', '-']).is_some_and(|zone| digits(zone, 4, 4))
}

fn bad(number: usize, why: impl ToString) -> FormatError {
    FormatError::malformed(WHAT, format!("line {number}"), why)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "hello (1:2.10-3+b1) trixie custom; urgency=medium, binary-only=yes\n\n  * One.\n\n  [ X ]\n    two\n\n -- A. Person <a@example.org>  Sat, 11 Jul 2026 12:16:37 +0200\n";

    #[test]
    fn the_newest_entry_is_read() -> Result<(), FormatError> {
        let head = parse_head(format!("{HEAD}\nolder \u{fffd}").as_bytes())?;
        assert_eq!(head.source.as_str(), "hello");
        assert_eq!(head.version.as_str(), "1:2.10-3+b1");
        assert_eq!(head.distributions.len(), 2);
        assert_eq!(head.options.first().map(|(_, v)| v.as_str()), Some("medium"));
        assert_eq!(head.changes, "  * One.\n\n  [ X ]\n    two\n");
        assert_eq!(head.maintainer, "A. Person <a@example.org>");
        assert_eq!(head.date.rfc3339(), "2026-07-11T10:16:37Z");
        Ok(())
    }

    #[test]
    fn the_version_before_the_newest_is_found() -> Result<(), FormatError> {
        let versions = |text: &str| {
            let (newest, previous) = last_versions(text.as_bytes())?;
            Ok::<_, FormatError>((newest.to_string(), previous.map(|v| v.to_string())))
        };
        assert_eq!(versions(HEAD)?, ("1:2.10-3+b1".to_owned(), None));
        let two = format!("\n{HEAD}\n\nhello (1.0~rc1) stable; urgency=low\n\n  garbage");
        assert!(
            last_versions(two.as_bytes()).is_err(),
            "the file starts with an empty line"
        );
        assert_eq!(versions(two.trim_start())?.1.as_deref(), Some("1.0~rc1"));
        assert!(versions(&format!("{HEAD}\nnonsense\n")).is_err());
        Ok(())
    }

    #[test]
    fn an_entry_that_is_not_whole_is_refused() {
        for (from, to) in [
            ("hello (", "hello("),
            (" trixie custom", " trixie/custom"),
            ("  * One.\n\n  [ X ]\n    two\n", ""),
            ("+0200", "EST"),
            (" trixie custom;", ";"),
            ("; urgency", " urgency"),
            ("urgency=medium", "urgency"),
            ("binary-only=yes", "urgency=low"),
            ("  * One", "* One"),
            ("  * One", "\tOne"),
            ("  * One", "  \r* One"),
            (">  Sat", "> Sat"),
            (">  Sat", ">   Sat"),
            ("Sat, 11", "Sun, 11"),
            (" -- ", " --"),
            ("+0200\n", "+0200"),
            ("hello (1:2.10-3+b1)", "hello (../1)"),
            ("hello", "../hello"),
            ("trixie", "../trixie"),
        ] {
            assert!(HEAD.contains(from), "{from:?}");
            assert!(
                parse_head(HEAD.replace(from, to).as_bytes()).is_err(),
                "{from:?} -> {to:?}"
            );
        }
        assert!(parse_head(b"").is_err());
        assert!(parse_head(b"\n\n\n").is_err());
    }
}
