//! What every record must satisfy, whoever wrote it: nothing that could break a reader of the
//! archive, or that would put two files under one name.

use std::collections::BTreeSet;

use super::{SnapshotError, SuiteState};
use crate::domain::{RelPath, Serial};

/// Checks the suites of a record or of a tag on their own.
pub(super) fn check_suites(suites: &[SuiteState]) -> Result<(), SnapshotError> {
    let mut names = BTreeSet::new();
    for state in suites {
        let bad = |why: &str| Err(SnapshotError::suite(&state.suite, why));
        if !names.insert(state.suite.as_str()) {
            return bad("it is there twice");
        }
        if state.suite.has_serial() {
            return bad("a part of its name is like a serial, where snapshots are kept");
        }
        check_suite(state)?;
    }
    if let Some(first) = suites.first()
        && !suites.is_sorted_by(|a, b| a.suite < b.suite)
    {
        return Err(SnapshotError::suite(&first.suite, "the suites are not sorted"));
    }
    for state in suites {
        let mut above = state.suite.as_str();
        while let Some((parent, _)) = above.rsplit_once('/') {
            if names.contains(parent) {
                return Err(SnapshotError::suite(
                    &state.suite,
                    "it lies in the folder of another suite",
                ));
            }
            above = parent;
        }
    }
    Ok(())
}

fn check_suite(state: &SuiteState) -> Result<(), SnapshotError> {
    let bad = |why: String| Err(SnapshotError::suite(&state.suite, why));
    let mut seen = BTreeSet::new();
    for (name, value) in &state.fields {
        if !is_descriptive(name) {
            return bad(format!("the field `{name}` is not one that a record may set"));
        }
        if !seen.insert(name.to_ascii_lowercase()) {
            return bad(format!("the field `{name}` is there twice"));
        }
        if !is_plain(value) {
            return bad(format!(
                "the field `{name}` is empty, too long, or more than one plain line"
            ));
        }
    }
    check_indexes(state)
}

const OURS: [&str; 12] = [
    "Date",
    "Valid-Until",
    "Acquire-By-Hash",
    "Architectures",
    "Components",
    "Snapshots",
    "Signed-By",
    "MD5Sum",
    "SHA1",
    "SHA256",
    "SHA512",
    "Hash",
];

/// Whether a field of a Release file names or describes the suite, so that it may stand in
/// `SuiteState::fields`: all but those that follow from the rest of a record, and those that would
/// be a lie in ours.
#[must_use]
pub fn is_descriptive(name: &str) -> bool {
    !OURS.iter().any(|ours| ours.eq_ignore_ascii_case(name))
        && name.len() <= 100
        && name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// The most that the value of a field may have, in bytes.
pub const LONGEST_VALUE: usize = 1000;

/// Whether this may be the value of a field: one line of printable text, of at most [`LONGEST_VALUE`] bytes.
#[must_use]
pub fn is_plain(value: &str) -> bool {
    value.trim() == value && !value.is_empty() && value.len() <= LONGEST_VALUE && !value.chars().any(char::is_control)
}

fn check_indexes(state: &SuiteState) -> Result<(), SnapshotError> {
    let bad = |why: String| Err(SnapshotError::suite(&state.suite, why));
    if !state.indexes.is_sorted_by(|a, b| a.path < b.path) {
        return bad("its indexes are not sorted, or one is there twice".to_owned());
    }
    let paths: BTreeSet<&str> = state.indexes.iter().map(|index| index.path.as_str()).collect();
    for index in &state.indexes {
        let path = index.path.as_str();
        if is_reserved(&index.path) {
            return bad(format!("an index may not be called `{path}`"));
        }
        let mut above = path;
        while let Some((parent, _)) = above.rsplit_once('/') {
            if paths.contains(parent) {
                return bad(format!("`{parent}` is both an index and a folder"));
            }
            above = parent;
        }
        // apt reads the sizes and hashes of the plain file only: without them it fetches nothing,
        // says nothing, and the packages are gone.
        if let Some(plain) = uncompressed(&index.path)
            && !paths.contains(plain)
        {
            return bad(format!("`{path}` is listed without its uncompressed form `{plain}`"));
        }
    }
    Ok(())
}

/// Names that publishing gives to other files.
fn is_reserved(path: &RelPath) -> bool {
    let text = path.as_str();
    let first = text.split('/').next().unwrap_or_default();
    matches!(text, "InRelease" | "Release" | "Release.gpg")
        || first == "upstream"
        || is_serial(first)
        || text.split('/').any(|part| part == "by-hash")
}

fn is_serial(part: &str) -> bool {
    Serial::new(part).is_ok()
}

fn uncompressed(path: &RelPath) -> Option<&str> {
    let (plain, extension) = path.as_str().rsplit_once('.')?;
    let compressed = matches!(extension, "xz" | "gz" | "bz2" | "zst" | "lzma" | "lz4");
    let name = plain.rsplit('/').next().unwrap_or_default();
    (compressed && matches!(name, "Packages" | "Sources")).then_some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Digest, SuiteName, Timestamp};
    use crate::snapshot::IndexFile;

    fn suite(paths: &[&str], fields: &[(&str, &str)]) -> SuiteState {
        let index = |path: &&str| IndexFile {
            path: RelPath::new(*path).unwrap(),
            digest: Digest::of(b""),
            kept: true,
        };
        SuiteState {
            suite: SuiteName::new("trixie").unwrap(),
            date: Timestamp::from_unix(0),
            fields: fields.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(),
            architectures: Vec::new(),
            components: Vec::new(),
            indexes: paths.iter().map(index).collect(),
            upstream: None,
            custom: None,
        }
    }

    #[test]
    fn no_index_takes_the_name_of_another_file() {
        assert!(check_suite(&suite(&["main/Contents-amd64.gz", "main/binary-amd64/Release"], &[])).is_ok());
        for bad in [
            &["InRelease"][..],
            &["Release.gpg"],
            &["upstream/InRelease"],
            &["2026112201/Release"],
            &["main/by-hash/SHA256/x"],
            &["main", "main/x"],
            &["main", "main-x", "main/x"],
            &["b", "a"],
            &["a", "a"],
            &["main/binary-amd64/Packages.xz"],
        ] {
            assert!(check_suite(&suite(bad, &[])).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn no_field_says_what_only_we_may_say() {
        assert!(check_suite(&suite(&[], &[("Origin", "Debian"), ("NotAutomatic", "yes")])).is_ok());
        for bad in [
            &[("date", "x")][..],
            &[("SHA256", "x")],
            &[("Origin", "a\nSHA256:")],
            &[("Origin:", "a")],
            &[("Origin", "a"), ("origin", "b")],
            &[("Label", "")],
            &[("Label", " x")],
        ] {
            assert!(check_suite(&suite(&[], bad)).is_err(), "{bad:?}");
        }
    }
}
