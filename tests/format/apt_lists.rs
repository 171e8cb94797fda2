//! Real archives: what this machine's apt has fetched. Nothing to do where it has fetched nothing.

use std::path::PathBuf;
use std::process::Command;

use assay::domain::PoolPath;
use assay::format::deb822::Stanzas;
use assay::format::packages::{Binary, pool_files};
use assay::format::relation::Relations;
use assay::format::release::Release;

fn lists(end: &str) -> Vec<PathBuf> {
    let Ok(folder) = std::fs::read_dir("/var/lib/apt/lists") else {
        return Vec::new();
    };
    let paths = folder.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.to_string_lossy().contains(end)).collect()
}

/// The text inside a clearsigned frame, for a file that we know to have no dash-escaped line.
fn unframed(clearsigned: &str) -> String {
    let text = clearsigned.split_once("\n\n").unwrap().1;
    text.split_once("-----BEGIN PGP SIGNATURE-----").unwrap().0.to_owned()
}

#[test]
fn each_release_file_is_taken_whole() {
    for path in lists("InRelease") {
        let text = unframed(&std::fs::read_to_string(&path).unwrap());
        let release = Release::parse(text.as_bytes()).unwrap();
        let sha256 = release.field("SHA256").unwrap();
        assert_eq!(
            release.entries().len(),
            sha256.lines().count() - 1,
            "{}",
            path.display()
        );
        assert!(
            release
                .entries()
                .values()
                .all(|listed| listed.md5.is_some() == release.field("MD5Sum").is_some())
        );
        release.date().unwrap();
        release.valid_until().unwrap();
    }
}

#[test]
fn each_stanza_is_taken_and_comes_back_byte_for_byte() {
    for path in lists("_Packages") {
        let output = Command::new("/usr/lib/apt/apt-helper")
            .arg("cat-file")
            .arg(&path)
            .output()
            .unwrap();
        let index = output.stdout;
        let mut copy = Vec::with_capacity(index.len());
        let mut binaries: Vec<PoolPath> = Vec::new();
        for stanza in Stanzas::new(&index) {
            let stanza = stanza.unwrap();
            binaries.push(Binary::from_stanza(&stanza).unwrap().filename);
            copy.extend_from_slice(stanza.bytes());
            copy.push(b'\n');
        }
        assert!(copy == index, "{} does not come back", path.display());
        assert!(pool_files(&index).map(|file| file.unwrap().0).eq(binaries));
    }
}

#[test]
fn each_relation_is_understood() {
    for path in lists("_Packages") {
        let output = Command::new("/usr/lib/apt/apt-helper")
            .arg("cat-file")
            .arg(&path)
            .output()
            .unwrap();
        for stanza in Stanzas::new(&output.stdout).step_by(7) {
            let stanza = stanza.unwrap();
            for field in ["Depends", "Pre-Depends", "Recommends", "Conflicts", "Provides"] {
                let text = stanza.field(field).unwrap_or_default();
                assert_eq!(
                    Relations::parse(field, text).unwrap().to_string(),
                    text,
                    "{:?}",
                    stanza.field("Package")
                );
            }
        }
    }
}
