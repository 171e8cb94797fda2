//! diffoscope's word on two files, when it is installed: for people.

use std::path::Path;

use super::RebuildError;
use crate::domain::escape;
use crate::host::{HostError, Program};

/// The most lines of it that are shown.
const MOST: usize = 40;
/// How long it may take: seconds.
const SECONDS: u64 = 600;

/// The first lines of what `program` says about two files; none when it is not installed, or cannot say.
/// What it shows comes out of hostile files, so nothing in it reaches a terminal as it is.
///
/// # Errors
/// When it is there and cannot be run.
pub fn diffoscope(program: &str, one: &Path, other: &Path) -> Result<Option<String>, RebuildError> {
    let ran = Program::new(program)
        .args(["--text", "-", "--no-progress", "--max-report-size", "200000"])
        .arg(one)
        .arg(other)
        .timeout(SECONDS)
        .run_any();
    let said = match ran {
        // 1: they differ.
        Ok((Some(1), output)) => output.stdout,
        Ok(_) | Err(HostError::Start { .. } | HostError::TimedOut { .. } | HostError::TooMuchOutput { .. }) => {
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    };
    let said = String::from_utf8_lossy(&said);
    let mut lines: Vec<String> = said.lines().take(MOST).map(escape).collect();
    if said.lines().count() > MOST {
        lines.push("…".to_owned());
    }
    Ok(Some(lines.join("\n")))
}
