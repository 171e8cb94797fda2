//! `debian/patches`: rule S8. Pure.
//!
//! dpkg-source applies the patches when the source is unpacked, inside the locked environment. Here
//! is only made sure that every dpkg-source applies the same ones, to files of the source alone.

use std::collections::BTreeSet;

use super::SourceError;
use super::debian::find;
use super::tree::{Blobs, Tree};
use crate::domain::escape;

const FOLDER: &str = "debian/patches";
const SERIES: &str = "debian/patches/series";

/// Checks the series and each patch in it.
pub(super) fn check(tree: &Tree, blobs: &Blobs) -> Result<(), SourceError> {
    let other = |path: &&String| path.ends_with(".series") && path.starts_with(FOLDER);
    if let Some(path) = tree.files.keys().find(other) {
        let why = "a vendor's series would give other sources on that vendor's machines";
        return Err(SourceError::rule("S8", path, why));
    }
    let Some(bytes) = find(tree, blobs, SERIES)? else {
        return Ok(());
    };
    for name in patches(bytes)? {
        let path = format!("{FOLDER}/{name}");
        let patch = find(tree, blobs, &path)?
            .ok_or_else(|| SourceError::rule("S8", &path, "the series names it, but it is not there"))?;
        check_patch(&path, patch)?;
    }
    Ok(())
}

/// The names in a series. Only `-p1`, which is what dpkg-source does anyway, may follow one.
fn patches(bytes: &[u8]) -> Result<Vec<String>, SourceError> {
    let refused = |line: &str, why: &str| SourceError::rule("S8", SERIES, format!("`{}`: {why}", escape(line)));
    let text = std::str::from_utf8(bytes).map_err(|_| refused("", "it is not UTF-8"))?;
    let mut names = Vec::new();
    let mut seen = BTreeSet::new();
    for line in text.lines() {
        let line = line.trim_end();
        let line = match line.find('#') {
            Some(0) => "",
            Some(at) if line.get(..at).is_some_and(|front| front.ends_with([' ', '\t'])) => {
                line.get(..at).unwrap_or_default().trim_end()
            }
            _ => line,
        };
        if line.is_empty() {
            continue;
        }
        let mut words = line.split_ascii_whitespace();
        let name = words.next().unwrap_or_default();
        if words.any(|option| option != "-p1") || line.starts_with([' ', '\t']) {
            return Err(refused(line, "only a patch's name and `-p1` may stand there"));
        }
        let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
        if !name.split('/').all(plain) || name.chars().any(char::is_control) {
            return Err(refused(line, "the name could point elsewhere"));
        }
        if !seen.insert(name.to_owned()) {
            return Err(refused(line, "the patch is there twice"));
        }
        names.push(name.to_owned());
    }
    Ok(names)
}

/// Refuses a patch whose headers name a file outside the source, or of `debian/`.
fn check_patch(path: &str, patch: &[u8]) -> Result<(), SourceError> {
    for line in patch.split(|&b| b == b'\n') {
        let Some(rest) = line.strip_prefix(b"+++ ").or_else(|| line.strip_prefix(b"--- ")) else {
            continue;
        };
        let text = String::from_utf8_lossy(rest);
        let name = text.split('\t').next().unwrap_or_default().trim();
        if name == "/dev/null" {
            continue;
        }
        let refused = |why: &str| Err(SourceError::rule("S8", path, format!("`{}`: {why}", escape(name))));
        if name.starts_with('/') || name.split('/').any(|part| part == "..") {
            return refused("it changes a file outside the source");
        }
        if name
            .split_once('/')
            .is_some_and(|(_, below)| below.starts_with("debian/"))
        {
            return refused("it changes a file below `debian/`");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_names_patches_and_nothing_else() {
        let good = b"# comment\na.patch\nsub/b.patch -p1 # why\n\nc#1.patch\n";
        assert_eq!(patches(good).unwrap(), ["a.patch", "sub/b.patch", "c#1.patch"]);
        for bad in [
            &b"a -p0\n"[..],
            b"../a\n",
            b"/etc/a\n",
            b"a\na\n",
            b"a -R\n",
            b" a\n",
            b"a//b\n",
            b"\xff\n",
        ] {
            assert_eq!(patches(bad).unwrap_err().broken_rule(), Some("S8"), "{bad:?}");
        }
    }

    #[test]
    fn patches_stay_in_the_source() {
        let patch = |to: &str| format!("Description: x\n--- a/src/x.c\n+++ {to}\n@@ -1 +1 @@\n-a\n+b\n");
        for good in ["b/src/x.c", "/dev/null", "b/x.c\t2020-01-01"] {
            assert!(check_patch("p", patch(good).as_bytes()).is_ok(), "{good}");
        }
        for bad in ["/etc/passwd", "b/../../x", "b/debian/rules"] {
            assert!(check_patch("p", patch(bad).as_bytes()).is_err(), "{bad}");
        }
    }
}
