//! Contents: which package has which file (Debian wiki, RepositoryFormat: `Contents`).
//!
//! One line a path, sorted: the path, blanks up to column 55, and the names of its packages as
//! `section/package`, with commas between. Folders have no line.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use crate::format::FormatError;
use crate::format::deb::Deb;
use crate::format::tar::TarKind;

use super::IndexError;
use super::blocks::{Cut, units};

/// Where the names stand, when the path leaves room.
const COLUMN: usize = 55;
/// From more packages than this on, reading each line costs less than looking for each name.
const FEW: usize = 12;

/// What one package has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileList {
    /// `section/package`; the package alone when it has no section.
    name: String,
    paths: Vec<String>,
}

impl FileList {
    /// Of a .deb that the strict reader read. A path that no line can say, with a control character or
    /// a blank at its end, is left out; so is a section that is no plain word.
    #[must_use]
    pub fn of(deb: &Deb) -> Self {
        let plain = |section: &&str| {
            let word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'+' | b'-' | b'.' | b'_');
            !section.is_empty() && section.bytes().all(word)
        };
        let name = match deb.control.get("Section").map(str::trim).filter(plain) {
            Some(section) => format!("{section}/{}", deb.package),
            None => deb.package.to_string(),
        };
        let files = deb.data.iter().filter(|entry| entry.kind != TarKind::Directory);
        let sayable = |path: &&String| !path.is_empty() && !path.ends_with(' ') && !path.contains(char::is_control);
        Self {
            name,
            paths: files.map(|entry| &entry.path).filter(sayable).cloned().collect(),
        }
    }

    /// How much memory it takes, about, in bytes.
    #[must_use]
    pub fn room(&self) -> usize {
        let path = |path: &String| path.len() + 2 * size_of::<String>();
        self.name.len() + self.paths.iter().map(path).sum::<usize>()
    }
}

/// The Contents index that belongs to a Packages index: `main/Contents-amd64` to `main/binary-amd64/Packages`.
/// That of the installer's packages has none: Debian names theirs otherwise, and apt-file does not look there.
#[must_use]
pub fn contents_path(packages: &str) -> Option<String> {
    let (component, architecture) = packages.strip_suffix("/Packages")?.rsplit_once("/binary-")?;
    let installer = component.ends_with("/debian-installer");
    (!installer).then(|| format!("{component}/Contents-{architecture}"))
}

/// A Contents index after a change: without what it says of the packages in `gone`, and with these lists.
/// From an empty one and all lists comes the same as from any that was made here and what changed.
///
/// # Errors
/// When a line of `before` that is looked at is none of a Contents index.
pub fn contents(before: &[u8], gone: &BTreeSet<&str>, new: &[&FileList]) -> Result<Vec<u8>, IndexError> {
    let mut rows: Vec<(&str, &str)> = Vec::new();
    for list in new {
        rows.extend(list.paths.iter().map(|path| (path.as_str(), list.name.as_str())));
    }
    rows.sort_unstable();
    rows.dedup();
    // Lines that become others, by where they begin, and what comes to each.
    let mut changed: BTreeMap<usize, Edit<'_>> = BTreeMap::new();
    for range in naming(before, gone)? {
        changed.insert(range.start, (range, &[]));
    }
    let mut added: Vec<Edit<'_>> = Vec::new();
    for group in rows.chunk_by(|a, b| a.0 == b.0) {
        match place(before, path_of(group))? {
            range if range.is_empty() => added.push((range, group)),
            range => drop(changed.insert(range.start, (range, group))),
        }
    }
    let mut edits: Vec<Edit<'_>> = added.into_iter().chain(changed.into_values()).collect();
    edits.sort_by_key(|(range, _)| (range.start, range.end));
    let new_line = |(path, name): &(&str, &str)| path.len().max(COLUMN) + name.len() + 2;
    let mut text = Vec::with_capacity(before.len() + rows.iter().map(new_line).sum::<usize>());
    let mut copied = 0;
    for (range, group) in edits {
        text.extend_from_slice(before.get(copied..range.start).unwrap_or_default());
        copied = range.end;
        let names = group.iter().map(|(_, name)| *name);
        if range.is_empty() {
            row(&mut text, path_of(group), names);
            continue;
        }
        let line = line(before, &range)?;
        let mut left: BTreeSet<&str> = line.names.filter(|name| !gone.contains(package(name))).collect();
        left.extend(names);
        row(&mut text, line.path, left);
    }
    text.extend_from_slice(before.get(copied..).unwrap_or_default());
    Ok(text)
}

/// A line, or an empty range before one; and the rows of one path that come there.
type Edit<'a> = (Range<usize>, &'a [(&'a str, &'a str)]);

/// The lines that name one of these packages. A few are looked for as bytes; of many every line is read.
fn naming(text: &[u8], gone: &BTreeSet<&str>) -> Result<Vec<Range<usize>>, IndexError> {
    if gone.len() > FEW {
        let mut found = Vec::new();
        for range in units(text, Cut::Lines) {
            if line(text, &range)?.names.any(|name| gone.contains(package(name))) {
                found.push(range);
            }
        }
        return Ok(found);
    }
    let mut found: BTreeMap<usize, Range<usize>> = BTreeMap::new();
    for name in gone {
        for at in memchr::memmem::find_iter(text, name.as_bytes()) {
            // The rest of the line may be a path.
            let is_end = matches!(text.get(at + name.len()), Some(b',' | b'\n'));
            let is_start = at > 0 && matches!(text.get(at - 1), Some(b' ' | b',' | b'/'));
            if !is_end || !is_start {
                continue;
            }
            let range = line_around(text, at);
            if line(text, &range)?.names.any(|there| package(there) == *name) {
                found.insert(range.start, range);
            }
        }
    }
    Ok(found.into_values().collect())
}

/// The line of a path; an empty range where it would be.
fn place(text: &[u8], path: &str) -> Result<Range<usize>, IndexError> {
    let (mut from, mut until) = (0, text.len());
    while from < until {
        let range = line_around(text, from + (until - from) / 2);
        match line(text, &range)?.path.cmp(path) {
            Ordering::Less => from = range.end,
            Ordering::Greater => until = range.start,
            Ordering::Equal => return Ok(range),
        }
    }
    Ok(from..from)
}

/// The line that has a byte, with its end.
fn line_around(text: &[u8], at: usize) -> Range<usize> {
    let (before, after) = text.split_at(at);
    let start = memchr::memrchr(b'\n', before).map_or(0, |end| end + 1);
    let end = memchr::memchr(b'\n', after).map_or(text.len(), |length| at + length + 1);
    start..end
}

/// The path that rows are of.
fn path_of<'a>(rows: &[(&'a str, &'a str)]) -> &'a str {
    rows.first().map_or("", |(path, _)| *path)
}

/// A line: a path, and what has it.
struct Line<'a> {
    path: &'a str,
    names: std::str::Split<'a, char>,
}

fn line<'a>(text: &'a [u8], range: &Range<usize>) -> Result<Line<'a>, IndexError> {
    let bytes = text.get(range.clone()).unwrap_or_default();
    let line = std::str::from_utf8(bytes).ok().and_then(|line| line.strip_suffix('\n'));
    let Some((path, names)) = line.and_then(|line| line.rsplit_once(' ')) else {
        let at = format!("byte {}", range.start);
        let why = "it is not a path and the packages that have it";
        return Err(FormatError::malformed("Contents", at, why).into());
    };
    Ok(Line {
        path: path.trim_end_matches(' '),
        names: names.split(','),
    })
}

fn package(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

fn row<'a>(text: &mut Vec<u8>, path: &str, names: impl IntoIterator<Item = &'a str>) {
    let names: Vec<&str> = names.into_iter().collect();
    if !names.is_empty() {
        text.extend_from_slice(format!("{path:<COLUMN$} {}\n", names.join(",")).as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(name: &str, paths: &[&str]) -> FileList {
        FileList {
            name: name.to_owned(),
            paths: paths.iter().map(|path| (*path).to_owned()).collect(),
        }
    }

    #[test]
    fn a_change_gives_what_all_anew_gives() -> Result<(), IndexError> {
        let long = "usr/share/a folder with blanks/and a name that is longer than the column  has room for";
        let a1 = list("utils/a", &["usr/bin/a", "usr/share/common", long]);
        let a2 = list("admin/a", &["usr/bin/a2", "usr/share/common", "zz"]);
        let b = list("b", &["usr/bin/b", "usr/share/common", "a"]);
        let c = list("libs/c", &["usr/bin/a"]);
        let none = BTreeSet::new();
        let first = contents(b"", &none, &[&a1, &b])?;
        let expected = format!(
            "{:<55} b\n{:<55} utils/a\n{:<55} b\n{long} utils/a\n{:<55} b,utils/a\n",
            "a", "usr/bin/a", "usr/bin/b", "usr/share/common"
        );
        assert_eq!(String::from_utf8_lossy(&first), expected);
        let changed = contents(&first, &BTreeSet::from(["a"]), &[&a2, &c])?;
        assert_eq!(changed, contents(b"", &none, &[&c, &b, &a2])?);
        assert_eq!(contents(&changed, &BTreeSet::from(["a", "b", "c"]), &[])?, b"");
        for bad in [&b"nothing\n"[..], b"usr/bin/a b"] {
            assert!(contents(bad, &none, &[&b]).is_err());
        }
        Ok(())
    }

    #[test]
    fn each_packages_index_has_its_contents() {
        assert_eq!(
            contents_path("main/binary-amd64/Packages").as_deref(),
            Some("main/Contents-amd64")
        );
        assert_eq!(
            contents_path("up/main/binary-all/Packages").as_deref(),
            Some("up/main/Contents-all")
        );
        assert_eq!(contents_path("main/source/Sources"), None);
    }
}
