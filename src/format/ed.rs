//! ed scripts as `diff --ed` writes them, which is what APT's patches of indexes (pdiffs) are.
//!
//! The commands of such a script go from the end of the file to its start, so that line numbers stay those of
//! the old file. Only `a`, `c` and `d` are taken, as by apt. A script is held whole; the file streams.

use std::io::{self, BufRead, BufReader, Read};
use std::ops::Range;

use super::FormatError;

const WHAT: &str = "patch";

/// A script, checked: its changes do not overlap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    bytes: Vec<u8>,
    /// From the start of the file to its end.
    changes: Vec<Change>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Change {
    /// Lines of the old file before it.
    before: u64,
    /// Lines of the old file that go.
    removed: u64,
    /// Where in the script the lines are that come.
    text: Range<usize>,
}

impl Script {
    /// Reads a script.
    ///
    /// # Errors
    /// When it has another command, a line without its end, or commands out of their order.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, FormatError> {
        let mut changes: Vec<Change> = Vec::new();
        let mut at = 0;
        while let Some(line) = line(&bytes, at)? {
            let (before, removed, has_text) = command(&bytes, &line)?;
            at = line.end.saturating_add(1);
            let start = at;
            let mut text = start..start;
            if has_text {
                loop {
                    let next = self::line(&bytes, at)?.ok_or_else(|| bad(start, "a text has no end"))?;
                    at = next.end.saturating_add(1);
                    if bytes.get(next.clone()) == Some(b".") {
                        break;
                    }
                    text.end = at;
                }
            }
            let after = before.saturating_add(removed);
            if changes.last().is_some_and(|later| after > later.before) {
                return Err(bad(
                    line.start,
                    "its commands do not go from the end of the file to its start",
                ));
            }
            changes.push(Change { before, removed, text });
        }
        changes.reverse();
        Ok(Self { bytes, changes })
    }

    /// The file that it makes of another, as that is read. That the other is the right one only a hash of
    /// the outcome can tell.
    pub fn apply<'a, R: Read + Send + 'a>(&'a self, old: R) -> Box<dyn Read + Send + 'a> {
        Box::new(Patched {
            old: BufReader::with_capacity(64 << 10, old),
            script: self,
            line: 0,
            next: 0,
            text: 0..0,
        })
    }
}

/// The line that starts at `at`, without its end; none at the end of the script.
fn line(bytes: &[u8], at: usize) -> Result<Option<Range<usize>>, FormatError> {
    let rest = bytes.get(at..).unwrap_or_default();
    if rest.is_empty() {
        return Ok(None);
    }
    let length = memchr::memchr(b'\n', rest).ok_or_else(|| bad(at, "its last line has no end"))?;
    Ok(Some(at..at.saturating_add(length)))
}

/// How many lines stay before a command's place, how many go there, and whether lines come.
fn command(bytes: &[u8], line: &Range<usize>) -> Result<(u64, u64, bool), FormatError> {
    let unknown = || bad(line.start, "it has a command other than `a`, `c` and `d`");
    let (kind, lines) = bytes
        .get(line.clone())
        .and_then(<[u8]>::split_last)
        .ok_or_else(unknown)?;
    let lines = std::str::from_utf8(lines).map_err(|_| unknown())?;
    let (first, last) = lines.split_once(',').unwrap_or((lines, lines));
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| text.parse::<u64>().ok()).flatten().ok_or_else(unknown)
    };
    let (first, last) = (number(first)?, number(last)?);
    match kind {
        b'a' if !lines.contains(',') => Ok((first, 0, true)),
        b'c' | b'd' if first > 0 && last >= first => {
            let removed = last.saturating_sub(first).saturating_add(1);
            Ok((first.saturating_sub(1), removed, *kind == b'c'))
        }
        _ => Err(unknown()),
    }
}

fn bad(at: usize, why: &'static str) -> FormatError {
    FormatError::malformed(WHAT, format!("byte {at}"), why)
}

/// A file as a script changes it.
struct Patched<'a, R> {
    old: BufReader<R>,
    script: &'a Script,
    /// Lines of the old file that were read.
    line: u64,
    /// The change that comes next.
    next: usize,
    /// What is left of the lines of the last change.
    text: Range<usize>,
}

impl<R: Read> Patched<'_, R> {
    /// Some of the old file, up to the line where the next change is.
    fn pass(&mut self, out: &mut [u8], until: Option<u64>) -> io::Result<usize> {
        let available = self.old.fill_buf()?;
        let some = available.get(..available.len().min(out.len())).unwrap_or_default();
        let mut count = some.len();
        if let Some(until) = until {
            if some.is_empty() {
                return Err(too_short());
            }
            for at in memchr::memchr_iter(b'\n', some) {
                self.line = self.line.saturating_add(1);
                if self.line == until {
                    count = at.saturating_add(1);
                    break;
                }
            }
        }
        copy(out, some.get(..count).unwrap_or_default());
        self.old.consume(count);
        Ok(count)
    }

    fn skip(&mut self, lines: u64) -> io::Result<()> {
        for _ in 0..lines {
            if self.old.skip_until(b'\n')? == 0 {
                return Err(too_short());
            }
            self.line = self.line.saturating_add(1);
        }
        Ok(())
    }
}

impl<R: Read> Read for Patched<'_, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        loop {
            let text = self.script.bytes.get(self.text.clone()).unwrap_or_default();
            if !text.is_empty() {
                let count = copy(out, text);
                self.text.start = self.text.start.saturating_add(count);
                return Ok(count);
            }
            match self.script.changes.get(self.next) {
                Some(change) if self.line == change.before => {
                    self.skip(change.removed)?;
                    self.text = change.text.clone();
                    self.next = self.next.saturating_add(1);
                }
                Some(change) => return self.pass(out, Some(change.before)),
                None => return self.pass(out, None),
            }
        }
    }
}

fn copy(out: &mut [u8], from: &[u8]) -> usize {
    let count = out.len().min(from.len());
    if let (Some(out), Some(from)) = (out.get_mut(..count), from.get(..count)) {
        out.copy_from_slice(from);
    }
    count
}

fn too_short() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the patch is for a longer file")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patched(script: &str, old: &str, at_once: usize) -> Option<String> {
        let script = Script::parse(script.as_bytes().to_vec()).ok()?;
        let mut reader = script.apply(old.as_bytes());
        let (mut new, mut some) = (Vec::new(), vec![0; at_once]);
        loop {
            match reader.read(&mut some) {
                Ok(0) => return String::from_utf8(new).ok(),
                Ok(count) => new.extend_from_slice(some.get(..count)?),
                Err(_) => return None,
            }
        }
    }

    #[test]
    fn commands_do_what_eds_do() {
        let old = "1\n2\n3\n4\n5\n";
        for (script, new) in [
            ("", old),
            ("0a\nx\n.\n", "x\n1\n2\n3\n4\n5\n"),
            ("5a\nx\ny\n.\n", "1\n2\n3\n4\n5\nx\ny\n"),
            ("4,5d\n2c\ntwo\n.\n", "1\ntwo\n3\n"),
            ("5a\nx\n.\n5d\n3,4c\n.\n1d\n", "2\nx\n"),
            ("2a\nlast\n.\n2a\nfirst\n.\n", "1\n2\nfirst\nlast\n3\n4\n5\n"),
            ("1,5d\n", ""),
        ] {
            for at_once in [1, 2, 3, 100] {
                assert_eq!(patched(script, old, at_once).as_deref(), Some(new), "{script}");
            }
        }
    }

    #[test]
    fn what_is_no_patch_is_refused() {
        for script in [
            "1d",
            "d\n",
            "1\n",
            "1x\n",
            "0d\n",
            "0c\nx\n.\n",
            "2,1d\n",
            "1,2a\nx\n.\n",
            "1a\nx\n",
            "1d\n2d\n",
            "1,3d\n3d\n",
            "1a\n..\n.\ns/.//\n",
            "+1d\n",
            "1,d\n",
            "99999999999999999999d\n",
            "\n",
            "!sh\n",
            "w /etc/passwd\n",
        ] {
            assert_eq!(patched(script, "1\n2\n3\n", 10), None, "{script:?}");
        }
        for script in ["4d\n", "3,4d\n", "4a\nx\n.\n", "18446744073709551615d\n"] {
            assert_eq!(patched(script, "1\n2\n3\n", 10), None, "{script:?}");
        }
    }
}
