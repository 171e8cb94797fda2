//! `debian/patches`: rule S8. Pure.
//!
//! dpkg-source applies the patches when the source is unpacked, inside the locked environment. Here
//! is only made sure that every dpkg-source applies the same ones, to files of the source alone.

use std::collections::BTreeSet;

use super::SourceError;
use super::debian::find;
use super::tree::{Blobs, Mode, Tree};
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
    let links = tree.files.iter().filter(|(_, file)| file.mode == Mode::Link);
    let links: BTreeSet<&str> = links.map(|(path, _)| path.as_str()).collect();
    for name in patches(bytes)? {
        let path = format!("{FOLDER}/{name}");
        let patch = find(tree, blobs, &path)?
            .ok_or_else(|| SourceError::rule("S8", &path, "the series names it, but it is not there"))?;
        check_patch(&path, patch, &links)?;
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

/// Refuses a patch whose headers name a file outside the source, or of `debian/`, in any way in which `patch -p1` would
/// read it: indented, quoted, with parts that say nothing, or as what Git renames and copies; and through a symbolic link of the
/// source, which may lead there.
fn check_patch(path: &str, patch: &[u8], links: &BTreeSet<&str>) -> Result<(), SourceError> {
    for line in patch.split(|&b| b == b'\n') {
        let text = String::from_utf8_lossy(line);
        let text = text.trim_start_matches([' ', '\t', 'X']);
        let refused = |name: &str, why: &str| Err(SourceError::rule("S8", path, format!("`{}`: {why}", escape(name))));
        if let Some(mode) = text.strip_prefix("new ")
            && mode.trim_end().ends_with("mode 120000")
        {
            return refused(text, "it makes a symbolic link, which may lead below `debian/`");
        }
        for (name, strip) in named_files(text) {
            let Some(name) = unquoted(name) else {
                return refused(name, "it is no quoted name");
            };
            if name == "/dev/null" {
                continue;
            }
            let mut parts = name.split('/').filter(|part| !part.is_empty() && *part != ".");
            if name.starts_with('/') || parts.clone().any(|part| part == "..") {
                return refused(&name, "it changes a file outside the source");
            }
            if parts.nth(strip) == Some("debian") && parts.next().is_some() {
                return refused(&name, "it changes a file below `debian/`");
            }
            if let Some(link) = through(&name, strip, links) {
                let why = format!("it goes through the symbolic link `{}`", escape(&link));
                return refused(&name, &why);
            }
        }
    }
    Ok(())
}

/// The link that a name is, or leads through.
fn through(name: &str, strip: usize, links: &BTreeSet<&str>) -> Option<String> {
    let mut path = String::new();
    for part in name
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .skip(strip)
    {
        if !path.is_empty() {
            path.push('/');
        }
        path.push_str(part);
        if links.contains(path.as_str()) {
            return Some(path);
        }
    }
    None
}

/// The files that a line of a patch names when it is a header's, each with how many parts are stripped of it.
fn named_files(line: &str) -> Vec<(&str, usize)> {
    for header in ["+++ ", "--- ", "Index: "] {
        if let Some(rest) = line.strip_prefix(header) {
            let name = rest.split('\t').next().unwrap_or_default();
            return vec![(name.trim(), 1)];
        }
    }
    for header in ["rename from ", "rename to ", "copy from ", "copy to "] {
        if let Some(rest) = line.strip_prefix(header) {
            return vec![(rest.trim(), 0), (rest.trim(), 1)];
        }
    }
    Vec::new()
}

/// A name as it is, or as C and Git quote one.
fn unquoted(name: &str) -> Option<String> {
    let Some(rest) = name.strip_prefix('"') else {
        return Some(name.to_owned());
    };
    let mut bytes = rest.bytes();
    let mut found = Vec::new();
    loop {
        match bytes.next()? {
            b'"' => return Some(String::from_utf8_lossy(&found).into_owned()),
            b'\\' => match bytes.next()? {
                first @ b'0'..=b'3' => {
                    let digits = [first, bytes.next()?, bytes.next()?];
                    let text = std::str::from_utf8(&digits).ok()?;
                    found.push(u8::from_str_radix(text, 8).ok()?);
                }
                // What is meant by others is in no path that matters here.
                other => found.push(other),
            },
            byte => found.push(byte),
        }
    }
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
        let links = BTreeSet::from(["x", "lib/y"]);
        let check = |patch: &str| check_patch("p", patch.as_bytes(), &links);
        let patch = |to: &str| format!("Description: x\n--- a/src/x.c\n+++ {to}\n@@ -1 +1 @@\n-a\n+b\n");
        for good in ["b/src/x.c", "/dev/null", "b/x.c\t2020-01-01", "b/xy"] {
            assert!(check(&patch(good)).is_ok(), "{good}");
        }
        for bad in [
            "/etc/passwd",
            "b/../../x",
            "b/debian/rules",
            "b/./debian/rules",
            "b//debian/rules",
            "./b/debian/./rules",
            "\"b/debian/\\162ules\"",
            "\"b/\\056\\056/x\"",
            "\"b/x",
            "b/x/rules",
            "b/./x//rules",
            "b/lib/y/sub/z",
            "b/x",
        ] {
            assert!(check(&patch(bad)).is_err(), "{bad}");
            let indented = patch(bad).replace("+++ ", "X  +++ ");
            assert!(check(&indented).is_err(), "{bad}");
        }
        for bad in [
            "diff --git a/x b/debian/x\nrename from x\nrename to debian/x\n",
            "diff --git a/a b/x/a\nrename from a\nrename to x/a\n",
            "diff --git a/debian/x b/x\ncopy from debian/x\ncopy to x\n",
            "Index: pkg/debian/rules\n",
            "diff --git a/d b/d\nnew file mode 120000\n--- /dev/null\n+++ b/d\n",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
        for good in [
            "b/debian",
            "b/src/debian/x",
            "\"b/caf\\303\\251\"",
            "b/X/x",
            "b/lib/z",
            "b/lib/x/y",
        ] {
            assert!(check(&patch(good)).is_ok(), "{good}");
        }
    }
}
