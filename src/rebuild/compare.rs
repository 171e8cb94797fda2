//! Where two sets of outputs differ, in plain words.
//!
//! A .deb is compared by what it holds, what packages contain first: a different file in the data
//! archive also changes `md5sums`, `Installed-Size` and the compressed bytes, which explain nothing.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::domain::escape;
use crate::format::deb::{Deb, DebLimits, read_deb};
use crate::format::deb822::Paragraph;
use crate::format::tar::{TarEntry, TarKind};

/// What a comparison found. Identical when there is no difference.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Comparison {
    /// By file name; for a .deb that differs, the first differences inside it.
    pub differences: Vec<Difference>,
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, tag = "kind", rename_all = "kebab-case")]
pub enum Difference {
    /// The second set has no such file.
    Missing {
        /// Its name.
        file: String,
    },
    /// The first set has no such file.
    Extra {
        /// Its name.
        file: String,
    },
    /// The file differs.
    Content {
        /// Its name.
        file: String,
        /// Where inside it, outermost first: `data.tar`, `./usr/bin/x`.
        at: Vec<String>,
        /// How.
        what: String,
    },
}

/// The most differences that are told of one file; the first ones explain the rest.
const MOST: usize = 10;

impl Comparison {
    /// Whether the two sets are the same, by name and by content.
    #[must_use]
    pub fn identical(&self) -> bool {
        self.differences.is_empty()
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { file } => write!(f, "{}: missing from the second build", escape(file)),
            Self::Extra { file } => write!(f, "{}: not in the first build", escape(file)),
            Self::Content { file, at, what } => {
                write!(f, "{}: ", escape(file))?;
                for part in at {
                    write!(f, "{}: ", escape(part))?;
                }
                f.write_str(what)
            }
        }
    }
}

/// Compares two sets of outputs, by name and content. The order within a set means nothing.
#[must_use]
pub fn compare(first: &[(String, Vec<u8>)], second: &[(String, Vec<u8>)]) -> Comparison {
    let (first, second) = (by_name(first), by_name(second));
    let mut differences = Vec::new();
    for (name, one) in &first {
        match second.get(name) {
            None => differences.push(Difference::Missing { file: name.to_string() }),
            Some(other) if one == other => {}
            Some(other) => differences.extend(inside(name, one, other)),
        }
    }
    let extra = second.keys().filter(|name| !first.contains_key(*name));
    differences.extend(extra.map(|name| Difference::Extra { file: name.to_string() }));
    Comparison { differences }
}

fn by_name(files: &[(String, Vec<u8>)]) -> BTreeMap<&str, &[u8]> {
    files
        .iter()
        .map(|(name, bytes)| (name.as_str(), bytes.as_slice()))
        .collect()
}

/// What differs in a file that is known to differ: never empty.
fn inside(name: &str, first: &[u8], second: &[u8]) -> Vec<Difference> {
    let is_package = [".deb", ".udeb", ".ddeb"].iter().any(|end| name.ends_with(end));
    let mut found = match is_package.then(|| (read(first), read(second))) {
        None => Found::new(
            "",
            format!("content differs ({} and {} bytes)", first.len(), second.len()),
        ),
        Some((Ok(one), Ok(other))) => debs(&one, &other),
        Some((one, other)) => unreadable(one.err(), other.err()),
    };
    let more = found.0.len().saturating_sub(MOST);
    found.0.truncate(MOST);
    if more > 0 {
        found.add("", format!("and {more} more differences"));
    }
    let difference = |(at, what): (Vec<String>, String)| Difference::Content {
        file: name.to_owned(),
        at,
        what,
    };
    found.0.into_iter().map(difference).collect()
}

fn read(bytes: &[u8]) -> Result<Deb, String> {
    read_deb(bytes, &DebLimits::default()).map_err(|error| error.to_string())
}

fn unreadable(first: Option<String>, second: Option<String>) -> Found {
    let mut found = Found::default();
    for (which, error) in [("first", first), ("second", second)] {
        if let Some(error) = error {
            found.add("", format!("the {which} build's is not a package: {error}"));
        }
    }
    found
}

/// Places inside a file, and what differs there.
#[derive(Default)]
struct Found(Vec<(Vec<String>, String)>);

impl Found {
    fn new(at: &str, what: String) -> Self {
        let mut found = Self::default();
        found.add(at, what);
        found
    }

    /// `at` is `data.tar` or `data.tar/./usr/bin/x`: the part after the first slash is one place.
    fn add(&mut self, at: &str, what: String) {
        let at = at.splitn(2, '/').filter(|part| !part.is_empty()).map(str::to_owned);
        self.0.push((at.collect(), what));
    }
}

fn debs(first: &Deb, second: &Deb) -> Found {
    let mut found = Found::default();
    tars("data.tar", &first.data, &second.data, &mut found);
    fields(&first.control, &second.control, &mut found);
    let without = |deb: &Deb| -> Vec<TarEntry> {
        let told = |entry: &&TarEntry| !matches!(entry.path.as_str(), "control" | "md5sums");
        deb.control_files.iter().filter(told).cloned().collect()
    };
    tars("control.tar", &without(first), &without(second), &mut found);
    if found.0.is_empty() {
        tars("control.tar", &first.control_files, &second.control_files, &mut found);
    }
    if first.data_compression != second.data_compression || first.control_compression != second.control_compression {
        found.add("", "compressed in another way".to_owned());
    }
    if found.0.is_empty() {
        found.add("", "the same files, packed or compressed in another way".to_owned());
    }
    found
}

fn fields(first: &Paragraph, second: &Paragraph, found: &mut Found) {
    for (name, one) in first.fields() {
        match second.get(name) {
            Some(other) if one == other => {}
            Some(other) => found.add(
                "control",
                format!("field {name}: `{}` and `{}`", escape(one), escape(other)),
            ),
            None => found.add("control", format!("field {name}: only in the first build")),
        }
    }
    for (name, _) in second.fields().filter(|(name, _)| first.get(name).is_none()) {
        found.add("control", format!("field {name}: only in the second build"));
    }
}

fn tars(archive: &str, first: &[TarEntry], second: &[TarEntry], found: &mut Found) {
    let map = |entries: &[TarEntry]| -> BTreeMap<String, TarEntry> {
        entries
            .iter()
            .map(|entry| (entry.path.clone(), entry.clone()))
            .collect()
    };
    let (ours, theirs) = (map(first), map(second));
    let before = found.0.len();
    for (path, one) in &ours {
        let at = format!("{archive}/./{path}");
        match theirs.get(path) {
            Some(other) => entries(&at, one, other, found),
            None => found.add(&at, "only in the first build".to_owned()),
        }
    }
    for path in theirs.keys().filter(|path| !ours.contains_key(*path)) {
        found.add(&format!("{archive}/./{path}"), "only in the second build".to_owned());
    }
    let order = |entries: &[TarEntry]| -> Vec<String> { entries.iter().map(|entry| entry.path.clone()).collect() };
    if found.0.len() == before && order(first) != order(second) {
        found.add(archive, "the same entries in another order".to_owned());
    }
}

/// The content comes first: where it differs, times and sizes follow.
fn entries(at: &str, first: &TarEntry, second: &TarEntry, found: &mut Found) {
    if let Some(what) = content(&first.kind, &second.kind) {
        found.add(at, what);
    }
    if first.mode != second.mode {
        found.add(at, format!("mode: {:04o} and {:04o}", first.mode, second.mode));
    }
    let owner = |e: &TarEntry| format!("{}({})/{}({})", escape(&e.user), e.uid, escape(&e.group), e.gid);
    if owner(first) != owner(second) {
        found.add(at, format!("owner: {} and {}", owner(first), owner(second)));
    }
    if first.mtime != second.mtime {
        found.add(at, format!("modification time: {} and {}", first.mtime, second.mtime));
    }
}

fn content(first: &TarKind, second: &TarKind) -> Option<String> {
    use TarKind::{Directory, File, Hardlink, Symlink};
    match (first, second) {
        (File(one), File(other)) if one.sha256 != other.sha256 => {
            Some(format!("content differs ({} and {} bytes)", one.size, other.size))
        }
        (Symlink(one), Symlink(other)) if one != other => {
            Some(format!("link target: `{}` and `{}`", escape(one), escape(other)))
        }
        // The content of a hard link is told where its file stands.
        (Hardlink { target: one, .. }, Hardlink { target: other, .. }) if one != other => {
            Some(format!("hard link to `{}` and to `{}`", escape(one), escape(other)))
        }
        (File(_), File(_)) | (Symlink(_), Symlink(_)) | (Hardlink { .. }, Hardlink { .. }) | (Directory, Directory) => {
            None
        }
        (one, other) => Some(format!("{} and {}", kind(one), kind(other))),
    }
}

fn kind(kind: &TarKind) -> &'static str {
    match kind {
        TarKind::File(_) => "a file",
        TarKind::Directory => "a folder",
        TarKind::Symlink(_) => "a symbolic link",
        TarKind::Hardlink { .. } => "a hard link",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(files: &[(&str, &[u8])]) -> Vec<(String, Vec<u8>)> {
        files
            .iter()
            .map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec()))
            .collect()
    }

    #[test]
    fn sets_are_compared_by_name() {
        let first = set(&[("b.deb", b"1"), ("a.txt", b"one")]);
        assert!(compare(&first, &set(&[("a.txt", b"one"), ("b.deb", b"1")])).identical());
        let found = compare(&first, &set(&[("a.txt", b"two!"), ("c.deb", b"2")]));
        let words: Vec<String> = found.differences.iter().map(ToString::to_string).collect();
        assert_eq!(
            words,
            [
                "a.txt: content differs (3 and 4 bytes)",
                "b.deb: missing from the second build",
                "c.deb: not in the first build"
            ]
        );
    }

    #[test]
    fn what_is_no_package_is_still_told() {
        let found = compare(&set(&[("a.deb", b"1")]), &set(&[("a.deb", b"2")]));
        let words: Vec<String> = found.differences.iter().map(ToString::to_string).collect();
        assert!(
            words.iter().all(|w| w.contains("is not a package")) && words.len() == 2,
            "{words:?}"
        );
    }
}
