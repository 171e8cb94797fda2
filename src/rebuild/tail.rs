//! The end of a build log, for people.

use std::path::Path;

use crate::domain::escape;
use crate::host::{HostError, files};

/// The lines that are shown.
const LINES: usize = 20;
/// The most that is read from the end of a log, in bytes.
const ROOM: u64 = 32 << 10;

/// The last lines of a log, escaped and cut: a build may write anything.
///
/// # Errors
/// When it cannot be read.
pub fn log_tail(path: &Path) -> Result<Vec<String>, HostError> {
    Ok(last_lines(&files::read_end(path, ROOM)?))
}

fn last_lines(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.is_empty())
        .collect();
    let skipped = lines.len().saturating_sub(LINES);
    let plain = |line: &&str| escape(&line.replace('\t', " "));
    lines.iter().skip(skipped).map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_log_is_short_and_harmless() {
        let many: String = (0..100).map(|n| format!("line {n}\n")).collect();
        let found = last_lines(many.as_bytes());
        assert_eq!(
            (found.len(), found.first().map(String::as_str)),
            (LINES, Some("line 80"))
        );
        assert_eq!(last_lines(b"\x1b[31mred\xff\tx\n\n"), ["\\u{1b}[31mred\u{fffd} x"]);
        assert!(last_lines(b"").is_empty());
    }
}
