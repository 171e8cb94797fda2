//! Contents, beside what Debian's own tool makes of the same packages.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use assay::format::deb::{DebLimits, read_deb};
use assay::index::{FileList, contents, contents_path};

use crate::support::debs::debs;

/// Path → packages.
fn rows(text: &str) -> BTreeMap<String, BTreeSet<String>> {
    let row = |line: &str| {
        let (path, names) = line.rsplit_once(|c: char| c.is_whitespace()).unwrap();
        (
            path.trim_end().to_owned(),
            names.split(',').map(ToOwned::to_owned).collect(),
        )
    };
    text.lines().map(row).collect()
}

#[test]
fn rows_are_those_of_debians_tool() {
    let lists: Vec<FileList> = debs()
        .iter()
        .map(|path| FileList::of(&read_deb(std::fs::File::open(path).unwrap(), &DebLimits::default()).unwrap()))
        .collect();
    let all: Vec<&FileList> = lists.iter().collect();
    let ours = String::from_utf8(contents(b"", &BTreeSet::new(), &all).unwrap()).unwrap();
    assert!(
        ours.lines()
            .is_sorted_by_key(|line| line.split_once("  ").map_or(line, |(path, _)| path).to_owned())
    );
    let folder = debs()[0].parent().unwrap().to_owned();
    let output = Command::new("apt-ftparchive")
        .args(["contents", "."])
        .current_dir(folder)
        .output()
        .unwrap();
    let (ours, theirs) = (rows(&ours), rows(&String::from_utf8(output.stdout).unwrap()));
    // It lists folders that are empty, too.
    let extra: Vec<_> = theirs.keys().filter(|path| !ours.contains_key(*path)).collect();
    assert!(
        extra.iter().all(|path| !path.contains('.')) && extra.len() < theirs.len() / 10,
        "{extra:?}"
    );
    for (path, names) in &ours {
        // It leaves the section out.
        let names = names
            .iter()
            .map(|name| name.rsplit('/').next().unwrap().to_owned())
            .collect();
        assert_eq!(theirs.get(path), Some(&names), "{path}");
    }
}

#[test]
fn packages_of_the_installer_have_no_contents() {
    assert_eq!(
        contents_path("main/binary-amd64/Packages").as_deref(),
        Some("main/Contents-amd64")
    );
    assert_eq!(contents_path("main/debian-installer/binary-amd64/Packages"), None);
    assert_eq!(contents_path("main/source/Sources"), None);
}
