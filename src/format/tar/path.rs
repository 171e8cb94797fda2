//! The grammar of paths in a tar, the same for the reader and the writer.

use crate::domain::escape;
use crate::format::FormatError;

use super::WHAT;

/// The longest path or link target, in bytes: what Linux takes, less some room for a root before it.
pub(super) const LONGEST: usize = 3000;

/// Checks a path and takes `./` and a slash at the end off: `./usr/bin/` gives `usr/bin`, `./` gives `.`.
pub(super) fn normal(raw: &str) -> Result<&str, FormatError> {
    let bad = |why| Err(FormatError::malformed(WHAT, format!("path `{}`", escape(raw)), why));
    if raw.len() > LONGEST {
        return bad("it is too long");
    }
    if raw.chars().any(char::is_control) {
        return bad("it has a control character");
    }
    if matches!(raw, "." | "./") {
        return Ok(".");
    }
    let inner = raw.strip_prefix("./").unwrap_or(raw);
    let inner = inner.strip_suffix('/').unwrap_or(inner);
    for part in inner.split('/') {
        match part {
            "" => return bad("it is absolute or has an empty part"),
            "." | ".." => return bad("it has a part `.` or `..`"),
            part if part.len() > 255 => return bad("a part is longer than 255 bytes"),
            _ => {}
        }
    }
    Ok(inner)
}

/// Checks the target of a symlink: any text, since nothing follows it here.
pub(super) fn target(raw: &str) -> Result<&str, FormatError> {
    let bad = |why| Err(FormatError::malformed(WHAT, format!("link to `{}`", escape(raw)), why));
    if raw.is_empty() {
        return bad("it is empty");
    }
    if raw.len() > LONGEST {
        return bad("it is too long");
    }
    if raw.chars().any(char::is_control) {
        return bad("it has a control character");
    }
    Ok(raw)
}

/// The folders above a normal path, from the top.
pub(super) fn parents(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').filter_map(|(at, _)| path.get(..at))
}
