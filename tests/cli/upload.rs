//! `admit FILE.changes`: what somebody offers is looked at before it is believed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use assay::domain::Digest;

use super::made::{Made, files};
use crate::admission::scenario::Scenario;
use crate::admission::site::deb;
use crate::support::repository::now;

/// What `hello` is declared as.
const DECLARED: &str = "2.10-3+custom1";

/// A site where `hello` is declared, and a folder with an upload of it.
struct Offered {
    made: Made,
    folder: tempfile::TempDir,
}

impl Offered {
    fn new() -> Self {
        let made = Made::at(now());
        let declaration = Scenario::good().candidate.declaration;
        let site = made.load();
        let path = site.declaration_path(&"custom".parse().unwrap(), &declaration.source);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, declaration.to_toml().unwrap()).unwrap();
        Self {
            made,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Puts the package beside its .changes, which says this of it.
    fn offer(&self, version: &str, bytes: &[u8], said: &Digest) -> PathBuf {
        let name = format!("hello_{version}_amd64.deb");
        fs::write(self.path(&name), bytes).unwrap();
        let changes = format!(
            "Format: 1.8\nDate: Sun, 22 Nov 2026 12:00:00 +0000\nSource: hello\nBinary: hello\nArchitecture: amd64\n\
             Version: {version}\nDistribution: stable\nUrgency: medium\nMaintainer: T <t@example.org>\n\
             Description:\n hello - x\nChanges:\n hello ({version}) stable; urgency=medium\n .\n   * One.\n\
             Checksums-Sha256:\n {} {} {name}\nFiles:\n {} {} devel optional {name}\n",
            said.sha256,
            said.size,
            "0123456789abcdef".repeat(2),
            said.size
        );
        let path = self.path(&format!("hello_{version}_amd64.changes"));
        fs::write(&path, changes).unwrap();
        path
    }

    /// Offers it, with a limit: what hangs shall fail.
    fn admit(&self, changes: &Path) -> Output {
        let run = Command::new("timeout")
            .args(["60", super::ASSAY, "admit"])
            .arg(changes)
            .current_dir(self.made.path(""))
            .output()
            .unwrap();
        assert_ne!(run.status.code(), Some(124), "it hangs");
        run
    }

    /// It is refused with this exit code and these words, and leaves no object anywhere.
    fn refused(&self, changes: &Path, code: i32, words: &[&str]) {
        let before = files(&self.made.path("store"));
        let run = self.admit(changes);
        let said = super::text(&run.stderr);
        assert_eq!(run.status.code(), Some(code), "{said}");
        for word in words {
            assert!(said.contains(word), "{word:?} is not in: {said}");
        }
        assert!(run.stdout.is_empty(), "{run:?}");
        assert_eq!(files(&self.made.path("store")), before);
    }
}

fn fifo(path: &Path) {
    let _ = fs::remove_file(path);
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[test]
fn a_fifo_is_no_package_and_no_changes_file() {
    let offered = Offered::new();
    let changes = offered.offer(DECLARED, b"", &Digest::of(b""));
    fifo(&offered.path(&format!("hello_{DECLARED}_amd64.deb")));
    offered.refused(&changes, 5, &["hello_2.10-3+custom1_amd64.deb", "no regular file"]);
    fifo(&changes);
    offered.refused(&changes, 5, &["hello_2.10-3+custom1_amd64.changes", "no regular file"]);
}

#[test]
fn a_file_of_another_size_is_refused_unread() {
    let offered = Offered::new();
    let bytes = deb(DECLARED, "x");
    let mut said = Digest::of(&bytes);
    said.size -= 1;
    let changes = offered.offer(DECLARED, &bytes, &said);
    let size = format!("the {} bytes that the .changes file says", said.size);
    offered.refused(&changes, 2, &["hello_2.10-3+custom1_amd64.deb", &size]);

    // So large that reading it would be noticed.
    let package = fs::File::create(offered.path(&format!("hello_{DECLARED}_amd64.deb"))).unwrap();
    package.set_len(3 << 30).unwrap();
    offered.refused(&changes, 2, &[&size]);
}

#[test]
fn other_bytes_of_the_same_size_are_refused() {
    let offered = Offered::new();
    let bytes = deb(DECLARED, "x");
    let changes = offered.offer(DECLARED, &bytes, &Digest::of(&bytes));
    let mut other = bytes.clone();
    other[200] ^= 1;
    fs::write(offered.path(&format!("hello_{DECLARED}_amd64.deb")), other).unwrap();
    let said = Digest::of(&bytes).sha256.to_string();
    offered.refused(&changes, 2, &["and the .changes file says", &said]);
}

#[test]
fn a_version_that_is_not_declared_is_refused_by_its_name() {
    let offered = Offered::new();
    // The packages are of the declared version, the .changes file is not.
    let bytes = deb(DECLARED, "x");
    let changes = offered.offer("9.9-1", &bytes, &Digest::of(&bytes));
    offered.refused(
        &changes,
        2,
        &["the .changes file is for hello 9.9-1", "2.10-3+custom1 is declared"],
    );
}
