//! Contents: which package has which file (Debian wiki, RepositoryFormat: `Contents`).
//!
//! One line a path, sorted: the path, blanks up to column 55, and the names of its packages as
//! `section/package`, with commas between. Folders have no line.

use std::collections::BTreeSet;

use crate::format::FormatError;
use crate::format::deb::Deb;
use crate::format::tar::TarKind;

use super::IndexError;

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
/// When `before` is no Contents index.
pub fn contents(before: &[u8], gone: &BTreeSet<&str>, new: &[&FileList]) -> Result<Vec<u8>, IndexError> {
    let mut rows: Vec<(&str, &str)> = Vec::new();
    for list in new {
        rows.extend(list.paths.iter().map(|path| (path.as_str(), list.name.as_str())));
    }
    rows.sort_unstable();
    rows.dedup();
    let mut rows = rows.chunk_by(|a, b| a.0 == b.0).peekable();
    let mut text = Vec::with_capacity(before.len());
    for line in lines(before) {
        let Line { bytes, path, names } = line?;
        while let Some(new) = rows.next_if(|new| path_of(new) < path) {
            row(&mut text, path_of(new), new.iter().map(|(_, name)| *name));
        }
        let new = rows.next_if(|new| path_of(new) == path);
        if new.is_none() && !names.clone().any(|name| gone.contains(package(name))) {
            text.extend_from_slice(bytes);
            continue;
        }
        let mut left: BTreeSet<&str> = names.filter(|name| !gone.contains(package(name))).collect();
        left.extend(new.unwrap_or_default().iter().map(|(_, name)| *name));
        row(&mut text, path, left);
    }
    rows.for_each(|new| row(&mut text, path_of(new), new.iter().map(|(_, name)| *name)));
    Ok(text)
}

/// The path that rows are of.
fn path_of<'a>(rows: &[(&'a str, &'a str)]) -> &'a str {
    rows.first().map_or("", |(path, _)| *path)
}

/// A line: a path, and what has it.
struct Line<'a> {
    bytes: &'a [u8],
    path: &'a str,
    names: std::str::Split<'a, char>,
}

/// Each line.
fn lines(text: &[u8]) -> impl Iterator<Item = Result<Line<'_>, IndexError>> {
    let lines = text.split_inclusive(|byte| *byte == b'\n').enumerate();
    lines.map(|(number, bytes)| {
        let line = std::str::from_utf8(bytes).ok().and_then(|line| line.strip_suffix('\n'));
        let parsed = line.and_then(|line| line.rsplit_once(' '));
        let Some((path, names)) = parsed else {
            let at = format!("line {}", number.saturating_add(1));
            return Err(
                FormatError::malformed("Contents", at, "it is not a path and the packages that have it").into(),
            );
        };
        Ok(Line {
            bytes,
            path: path.trim_end_matches(' '),
            names: names.split(','),
        })
    })
}

fn package(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

fn row<'a>(text: &mut Vec<u8>, path: &str, names: impl IntoIterator<Item = &'a str>) {
    let names: Vec<&str> = names.into_iter().collect();
    if !names.is_empty() {
        text.extend_from_slice(format!("{path:<55} {}\n", names.join(",")).as_bytes());
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
        assert!(contents(b"nothing\n", &none, &[]).is_err());
        assert!(contents(b"usr/bin/a b", &none, &[]).is_err());
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
