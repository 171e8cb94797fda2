//! Where an index says that files are (threat X1): judged as it passes by, before a snapshot names it.
//!
//! apt takes any path, `..` as well, and puts the archive's base before it. What lies outside of
//! `pool/` would be a name of something else here.

use super::UpstreamError;
use crate::domain::{FileName, PoolPath, RelPath, SnapshotName, SuiteName, escape};

/// The most bytes of a line that is looked at. A path has 600.
const LONGEST: usize = 1000;
/// The fields that are looked into.
const NAMES: [&[u8]; 7] = [
    b"package",
    b"filename",
    b"directory",
    b"files",
    b"checksums-sha1",
    b"checksums-sha256",
    b"checksums-sha512",
];

/// Takes the text of a Packages or Sources file, and keeps the first path that is not in the pool.
pub(super) struct PathCheck<'a> {
    suite: &'a SuiteName,
    index: &'a RelPath,
    flat: bool,
    /// The line so far, when it may be one that matters.
    line: Vec<u8>,
    skipping: bool,
    /// The package whose stanza this is.
    package: String,
    /// Files of this stanza's `Checksums-…` and `Files` follow.
    in_files: bool,
    /// Whether this stanza lists files, and whether it says where.
    lists: bool,
    placed: bool,
    wrong: Option<(String, String)>,
}

impl<'a> PathCheck<'a> {
    /// For an index; none for one that names no files.
    pub(super) fn of(suite: &'a SuiteName, index: &'a RelPath, flat: bool) -> Option<Self> {
        let name = index.file_name();
        let plain = name.split_once('.').map_or(name, |(plain, _)| plain);
        matches!(plain, "Packages" | "Sources").then(|| Self {
            suite,
            index,
            flat,
            line: Vec::new(),
            skipping: false,
            package: String::new(),
            in_files: false,
            lists: false,
            placed: false,
            wrong: None,
        })
    }

    /// After the whole text.
    pub(super) fn verdict(mut self) -> Result<(), UpstreamError> {
        self.end_of_line(b"");
        self.end_of_stanza();
        match self.wrong {
            None => Ok(()),
            Some((package, path)) => Err(UpstreamError::OutsidePool {
                suite: self.suite.clone(),
                index: self.index.clone(),
                package: escape(&package),
                path: escape(&path),
            }),
        }
    }

    /// The end of a line, of which `part` is what was not taken yet.
    fn end_of_line(&mut self, part: &[u8]) {
        if self.line.is_empty() && !self.skipping && part.len() <= LONGEST {
            // Most lines are whole, and matter to nobody.
            match part.first() {
                Some(first) if self.matches_start(*first) => self.look_at(part),
                Some(_) => {}
                None => self.end_of_stanza(),
            }
            return;
        }
        self.part_of_line(part);
        let line = std::mem::take(&mut self.line);
        if !std::mem::take(&mut self.skipping) {
            self.look_at(&line);
        }
    }

    /// Files of which nobody says where they are lie at the base: of a flat repository alone.
    fn end_of_stanza(&mut self) {
        if self.lists && !self.placed && !self.flat {
            self.refuse(".");
        }
        (self.in_files, self.lists, self.placed) = (false, false, false);
    }

    fn look_at(&mut self, line: &[u8]) {
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
        // With whatever may be a blank to somebody around it.
        let (from, to) = (
            name.iter().position(u8::is_ascii_graphic),
            name.iter().rposition(u8::is_ascii_graphic),
        );
        let name = from
            .zip(to)
            .and_then(|(from, to)| name.get(from..=to))
            .unwrap_or_default();
        let known = |known: &[u8]| name.eq_ignore_ascii_case(known);
        if line.starts_with(b" ") || line.starts_with(b"\t") || NAMES.into_iter().any(known) {
            self.look_into(&String::from_utf8_lossy(line));
        } else {
            self.in_files = false;
        }
    }

    fn look_into(&mut self, line: &str) {
        if line.starts_with([' ', '\t']) {
            let name = line.split_ascii_whitespace().last();
            if let Some(name) = name.filter(|name| self.in_files && FileName::new(*name).is_err()) {
                self.refuse(name);
            }
            return;
        }
        self.in_files = false;
        // As apt: in any case, and with blanks before the colon.
        let Some((name, value)) = line.split_once(':') else {
            return;
        };
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
        match name.as_str() {
            "package" => value.clone_into(&mut self.package),
            "filename" | "directory" => {
                self.placed = true;
                let at_base = self.flat && name == "directory" && matches!(value, "" | "." | "./");
                if !at_base && !self.is_right(value) {
                    self.refuse(value);
                }
            }
            "files" | "checksums-sha1" | "checksums-sha256" | "checksums-sha512" => {
                (self.in_files, self.lists) = (true, true);
            }
            _ => {}
        }
    }

    /// Whether a file may be there: in the pool, or, of a flat repository, anywhere but where the archive
    /// and its server have other things.
    fn is_right(&self, path: &str) -> bool {
        if !self.flat {
            return path.starts_with("pool/") && PoolPath::new(path).is_ok();
        }
        let Ok(path) = PoolPath::from_index(path) else {
            return false;
        };
        let first = path.as_str().split('/').next().unwrap_or_default();
        let taken = ["dists", "provenance", "project"].contains(&first);
        let snapshot = matches!(
            first.parse(),
            Ok(SnapshotName::At(_) | SnapshotName::Serial(_) | SnapshotName::Latest)
        );
        !taken && !snapshot
    }

    fn refuse(&mut self, path: &str) {
        let package = self.package.clone();
        self.wrong.get_or_insert_with(|| (package, path.to_owned()));
    }

    /// Whether a line that starts so may be one that matters.
    fn matters(&self, first: u8) -> bool {
        match first.to_ascii_lowercase() {
            b' ' | b'\t' => self.in_files,
            first => matches!(first, b'p' | b'f' | b'd' | b'c'),
        }
    }

    fn part_of_line(&mut self, part: &[u8]) {
        let Some(first) = part.first().filter(|_| !self.skipping) else {
            return;
        };
        if self.line.is_empty() && !self.matches_start(*first) {
            self.skipping = true;
            return;
        }
        self.line.extend_from_slice(part);
        if self.line.len() > LONGEST {
            // A path that is too long is refused for the start of it.
            let line = std::mem::take(&mut self.line);
            self.look_at(&line);
            self.skipping = true;
        }
    }

    fn matches_start(&mut self, first: u8) -> bool {
        let matters = self.matters(first);
        if !matters && !matches!(first, b' ' | b'\t') {
            self.in_files = false;
        }
        matters
    }

    /// Takes more of the text.
    pub(super) fn take(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some((part, after)) = memchr::memchr(b'\n', rest).and_then(|at| rest.split_at_checked(at)) {
            self.end_of_line(part);
            rest = after.get(1..).unwrap_or_default();
        }
        self.part_of_line(rest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(index: &str, text: &str, at_once: usize) -> Option<String> {
        let (suite, index) = ("tin".parse().unwrap(), index.parse().unwrap());
        let mut check = PathCheck::of(&suite, &index, false)?;
        for part in text.as_bytes().chunks(at_once) {
            check.take(part);
        }
        check.verdict().err().map(|error| error.to_string())
    }

    #[test]
    fn only_paths_in_the_pool() {
        let good = "Package: a\nFilename: pool/main/a/a_1.deb\nDescription: Filename: ../x\n Filename: /etc\n\n\
                    Package: s\nDirectory: pool/main/s\nFiles:\n 00 1 s_1.dsc\nDepends: x\n ../y\n";
        for at_once in [1, 7, 1000] {
            assert_eq!(refused("main/binary-amd64/Packages.xz", good, at_once), None);
            for (from, to) in [
                ("Filename: pool/main", "Filename: ../pool/main"),
                ("Filename: pool/main/a/a_1", "Filename: pool/../dists/tin/x"),
                ("Filename: pool", "Filename: dists"),
                ("Filename: pool", "Filename: /pool"),
                ("Filename: pool", "FILENAME : pool/%2e%2e"),
                ("Filename: pool", "Filename: ./pool"),
                ("Filename: pool/main/a/a_1.deb", "Filename:\n pool/main/a/a_1.deb"),
                ("Filename: pool/main", "Filename: pool/main/a b"),
                ("Filename: pool/main", &format!("Filename: pool/{}", "x".repeat(2000))),
                ("Directory: pool", "directory: state"),
                ("1 s_1.dsc", "1 ../s_1.dsc"),
                ("Directory: pool/main/s", "Directory: ."),
                ("Directory: pool/main/s\n", ""),
            ] {
                assert!(good.contains(from));
                let found = refused("main/source/Sources", &good.replace(from, to), at_once);
                assert!(found.is_some(), "{to}");
            }
        }
        let said = refused("Packages", &good.replace("Filename: pool", "Filename: ../pool"), 5);
        assert!(said.is_some_and(|said| said.contains("`a`") && said.contains("../pool/main/a/a_1.deb")));
        assert_eq!(refused("main/Contents-amd64.gz", "Filename: /etc/passwd\n", 5), None);
    }
}
