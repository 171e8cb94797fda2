//! Standard output: one record a line, as text or as JSON. Control characters never reach a terminal.

use std::io::Write as _;

use rayon::prelude::*;
use serde::Serialize;

use super::failure::{Failure, UsageError};

/// So many records are in memory as lines.
const AT_ONCE: usize = 4096;

/// How results are printed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Output {
    pub(super) json: bool,
    pub(super) quiet: bool,
    /// Records are for people, on standard error.
    pub(super) aside: bool,
}

impl Output {
    /// One record: `text` for people and simple scripts, `value` with `--json`.
    pub(super) fn record(self, value: &impl Serialize, text: &str) -> Result<(), Failure> {
        if self.aside {
            self.note(text);
            return Ok(());
        }
        if self.json {
            let line = serde_json::to_string(value).map_err(|error| UsageError::Output(error.into()))?;
            return write(format!("{line}\n").as_bytes());
        }
        write(format!("{}\n", printable(text)).as_bytes())
    }

    /// Many records: the lines are made by all cores.
    pub(super) fn records<T: Serialize + Sync>(
        self,
        values: &[T],
        text: impl Fn(&T) -> String + Sync,
    ) -> Result<(), Failure> {
        let line = |value: &T| match self.json && !self.aside {
            true => serde_json::to_string(value).map_err(|error| UsageError::Output(error.into())),
            false => Ok(printable(&text(value))),
        };
        for some in values.chunks(AT_ONCE) {
            let lines: Vec<String> = some.par_iter().map(line).collect::<Result<_, _>>()?;
            match self.aside {
                true => lines.iter().for_each(|line| self.note(line)),
                false => write(format!("{}\n", lines.join("\n")).as_bytes())?,
            }
        }
        Ok(())
    }

    /// What is no result, and must be seen all the same: on standard error, as JSON with `--json`.
    pub(super) fn aside(self, value: &impl Serialize, text: &str) -> Result<(), Failure> {
        if self.json {
            say(&serde_json::to_string(value).map_err(|error| UsageError::Output(error.into()))?);
        } else {
            say(&printable(text));
        }
        Ok(())
    }

    /// Bytes that are a file, as they are.
    pub(super) fn file(self, bytes: &[u8]) -> Result<(), Failure> {
        write(bytes)
    }

    /// A line for people, on standard error; not with `-q` or `--json`.
    pub(super) fn note(self, text: &str) {
        if !self.quiet && !self.json {
            say(&printable(text));
        }
    }

    /// That some of what an archive keeps in `state/` was gone, and is there again.
    pub(super) fn put_back(self, archive: &crate::domain::ArchiveName, count: u64, of_what: &str) {
        if count > 0 {
            self.note(&format!("{archive}: put back {count} entries of its {of_what}"));
        }
    }
}

/// A line on standard error. That nobody reads it is no failure: what was done is done.
pub(super) fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

fn write(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = std::io::stdout();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        // Whoever reads, as `head`, has had enough: no failure of ours.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(|error| UsageError::Output(error).into()),
    }
}

/// Text without control characters other than newlines, nor bidirectional overrides.
pub(super) fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let bidi = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if (c.is_control() && c != '\n' && c != '\t') || bidi {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn terminals_are_safe() {
        assert_eq!(printable("a\x1b[31mb\u{202e}c\n"), "a\\u{1b}[31mb\\u{202e}c\n");
    }
}
