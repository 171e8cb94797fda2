//! `admit FILE.changes`: what somebody offers is looked at before it is believed.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use assay::domain::Digest;
use assay::store::{Key, LocalStore, Store as _};

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
fn packages_of_another_version_than_their_source_are_refused() {
    let offered = Offered::new();
    let bytes = deb(DECLARED, "x");
    let changes = offered.offer(DECLARED, &bytes, &Digest::of(&bytes));
    let text = fs::read_to_string(&changes).unwrap();
    let text = text.replace("Source: hello\n", &format!("Source: hello ({DECLARED})\n"));
    let text = text.replace(&format!("Version: {DECLARED}\n"), &format!("Version: {DECLARED}+b1\n"));
    fs::write(&changes, text).unwrap();
    offered.refused(&changes, 1, &["E-UPLOAD-008", "only a declared version is built here"]);
}

#[test]
fn an_upload_that_is_named_after_another_source_is_refused() {
    let offered = Offered::new();
    let bytes = deb(DECLARED, "x");
    let changes = offered.offer(DECLARED, &bytes, &Digest::of(&bytes));
    for other in ["other_2.10-3+custom1_amd64.changes", "hello_2.10-3_amd64.changes"] {
        let named = offered.path(other);
        fs::copy(&changes, &named).unwrap();
        offered.refused(&named, 1, &["E-UPLOAD-008", other, "is named `hello_2.10-3+custom1_…"]);
    }
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

#[test]
fn an_incoming_folder_is_worked_through_and_says_what_became_of_each() {
    let offered = Offered::new();
    offered.made.edit("repos/custom.toml", |text| {
        text.replacen("[[suite]]", "incoming = \"incoming\"\n\n[[suite]]", 1)
    });
    let incoming = offered.made.path("incoming");
    fs::create_dir_all(&incoming).unwrap();
    let bytes = deb("9.9-1", "x");
    let moved = |changes: PathBuf| {
        for path in [changes.with_file_name("hello_9.9-1_amd64.deb"), changes.clone()] {
            if path.exists() {
                fs::rename(&path, incoming.join(path.file_name().unwrap())).unwrap();
            }
        }
    };
    // Another version than is declared; a package that is still arriving; another source; a link.
    moved(offered.offer("9.9-1", &bytes, &Digest::of(&bytes)));
    let said = Digest::of(&bytes);
    let late = offered.offer("9.8-1", &bytes, &said);
    fs::rename(&late, incoming.join("hello_9.8-1_source.changes")).unwrap();
    let other = fs::read_to_string(incoming.join("hello_9.9-1_amd64.changes")).unwrap();
    let other = other
        .replace("Source: hello", "Source: stranger")
        .replace("hello_9.9-1", "stranger_9.9-1");
    fs::write(incoming.join("stranger_9.9-1_amd64.changes"), other).unwrap();
    fs::write(incoming.join("stranger_9.9-1_amd64.deb"), &bytes).unwrap();
    symlink("/etc/passwd", incoming.join("link.changes")).unwrap();
    let before = files(&offered.made.path("store"));
    let run = offered.made.run(&["admit", "--incoming"]);
    let said = super::text(&run.stdout);
    assert_eq!(run.status.code(), Some(1), "{run:?}");
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 4, "{said}");
    assert!(
        lines[1].starts_with("hello_9.9-1_amd64.changes refused: the .changes file is for hello 9.9-1"),
        "{said}"
    );
    assert!(
        lines[0].starts_with("hello_9.8-1_source.changes waits: ") && lines[0].contains("hello_9.8-1_amd64.deb"),
        "{said}"
    );
    assert!(
        lines[2].starts_with("link.changes refused: ") && lines[2].contains("a symbolic link"),
        "{said}"
    );
    assert!(
        lines[3].contains("refused") && lines[3].contains("is not declared"),
        "{said}"
    );
    let refused = incoming.join("refused/hello_9.9-1_amd64");
    let reason = fs::read_to_string(refused.join("hello_9.9-1_amd64.reason")).unwrap();
    assert!(reason.contains("2.10-3+custom1 is declared"), "{reason}");
    assert!(refused.join("hello_9.9-1_amd64.deb").exists());
    let again = offered.made.run(&["admit", "--incoming", "--patience", "0", "--json"]);
    let said = super::text(&again.stdout);
    assert!(
        said.contains("\"fate\":\"refused\"") && said.lines().count() == 1,
        "nobody waits for ever: {said}"
    );
    assert_eq!(offered.made.run(&["admit", "--incoming"]).status.code(), Some(0));
    assert_eq!(
        files(&offered.made.path("store")),
        before,
        "nothing of all this is in the store"
    );
}

#[test]
fn an_upload_with_a_file_that_nobody_compares_is_refused_with_the_next_step() {
    let offered = Offered::new();
    let bytes = deb(DECLARED, "x");
    let changes = offered.offer(DECLARED, &bytes, &Digest::of(&bytes));
    let (evil, text) = (Digest::of(b"evil"), fs::read_to_string(&changes).unwrap());
    let text = text.replace("Files:\n", &format!(" {} 4 evil.sh\nFiles:\n", evil.sha256));
    let md5 = "0123456789abcdef".repeat(2);
    fs::write(&changes, format!("{text} {md5} 4 devel optional evil.sh\n")).unwrap();
    fs::write(offered.path("evil.sh"), "evil").unwrap();
    offered.refused(
        &changes,
        1,
        &["E-UPLOAD-007", "evil.sh", "next: upload it without that file"],
    );
    let run = offered
        .made
        .run(&["admit", "--incoming", offered.folder.path().to_str().unwrap()]);
    assert_eq!(run.status.code(), Some(1), "{run:?}");
    assert!(super::text(&run.stdout).contains(" refused: E-UPLOAD-007: "), "{run:?}");
    let refused = offered.path(&format!("refused/hello_{DECLARED}_amd64"));
    assert_eq!(fs::read(refused.join("evil.sh")).unwrap(), b"evil");
    assert!(refused.join(changes.file_name().unwrap()).exists());
    let reason = fs::read_to_string(refused.join(format!("hello_{DECLARED}_amd64.reason"))).unwrap();
    assert!(reason.contains("\nnext: "), "{reason}");
}

/// Whoever may write into the folder stops nobody else's upload with it.
#[test]
fn what_is_no_upload_is_refused_by_itself_and_the_others_go_on() {
    let offered = Offered::new();
    let bytes = deb(DECLARED, "x");
    let good = offered.offer(DECLARED, &bytes, &Digest::of(&bytes));
    let folder = offered.folder.path();
    let strange = ["a-fifo.changes", "a-folder.changes", "a-link.changes"];
    fifo(&folder.join(strange[0]));
    fs::create_dir(folder.join(strange[1])).unwrap();
    fs::write(folder.join("a-folder.changes/x"), "x").unwrap();
    symlink("/nonexistent", folder.join(strange[2])).unwrap();
    fs::write(folder.join("a name.changes"), "x").unwrap();
    // One whose package is a folder, and what no upload names.
    let other = offered.offer("9.9-1", &bytes, &Digest::of(&bytes));
    fs::remove_file(offered.path("hello_9.9-1_amd64.deb")).unwrap();
    fs::create_dir(offered.path("hello_9.9-1_amd64.deb")).unwrap();
    fifo(&folder.join("nobody.deb"));
    let incoming = ["admit", "--incoming", folder.to_str().unwrap(), "--json"];
    let admit = || {
        let run = offered.made.run(&incoming);
        let lines = super::text(&run.stdout);
        let fates = lines.lines().map(|line| {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            let of = |field: &str| value[field].as_str().unwrap().to_owned();
            (of("upload"), of("fate"))
        });
        (run.status.code(), fates.collect::<Vec<_>>(), super::text(&run.stderr))
    };
    let all = |fate: &str| {
        let ours = [
            (
                good.file_name().unwrap().to_str().unwrap().to_owned(),
                "waits".to_owned(),
            ),
            (other.file_name().unwrap().to_str().unwrap().to_owned(), fate.to_owned()),
        ];
        let ignored = ("a name.changes".to_owned(), "ignored".to_owned());
        let refused = strange.map(|name| (name.to_owned(), fate.to_owned()));
        [ignored].into_iter().chain(refused).chain(ours).collect::<Vec<_>>()
    };

    // The refused cannot be put away: said of each, and all that is wrong is left.
    symlink(offered.made.path(""), folder.join("refused")).unwrap();
    let (code, fates, said) = admit();
    assert_eq!((code, fates), (Some(5), all("failed")), "{said}");
    fs::remove_file(folder.join("refused")).unwrap();

    let (code, fates, said) = admit();
    assert_eq!((code, fates), (Some(1), all("refused")), "{said}");
    assert!(folder.join("refused/a-folder/a-folder.changes/x").exists());
    assert!(folder.join("nobody.deb").exists() && good.exists());
    let (code, fates, _) = admit();
    assert_eq!((code, fates), (Some(0), [&all("")[..1], &all("")[4..5]].concat()));
}

#[test]
fn an_upload_that_waits_for_rebuilds_leaves_nothing_that_could_be_copied() {
    let offered = Offered::new();
    let bytes = deb(DECLARED, "x");
    let changes = offered.offer(DECLARED, &bytes, &Digest::of(&bytes));
    let incoming = ["admit", "--incoming", offered.folder.path().to_str().unwrap()];
    // Nobody has locked its environment: the others in the folder are worked through all the same.
    let before = files(&offered.made.path("store"));
    let unlocked = offered.made.run(&incoming);
    assert_eq!(unlocked.status.code(), Some(0), "{unlocked:?}");
    let said = super::text(&unlocked.stdout);
    assert!(
        said.contains("waits: the environment of `hello` is not locked"),
        "{said}"
    );

    let lock = assay::format::json::canonical("lock", &crate::admission::site::Site::new().lock).unwrap();
    let source = "hello".parse().unwrap();
    fs::write(offered.made.load().lock_path(&"custom".parse().unwrap(), &source), lock).unwrap();
    offered.refused(&changes, 6, &["waits for rebuilds"]);
    let run = offered.made.run(&incoming);
    assert!(super::text(&run.stdout).contains("waits: too few operators"), "{run:?}");
    assert_eq!(files(&offered.made.path("store")), before);
    assert!(changes.exists());
}

#[test]
fn decisions_are_listed_and_a_key_that_nobody_has_carries_none() {
    let made = Offered::new().made;
    made.commit_custom(now());
    let listed = made.run(&["decisions", "--again"]);
    assert!(listed.status.success() && listed.stdout.is_empty(), "{listed:?}");
    assert_eq!(
        made.run(&["decisions", "hello"]).status.code(),
        Some(6),
        "there is none of it"
    );
    let mistyped = made.run(&["decisions", "--revoked", "alice/laptop"]);
    assert_eq!(mistyped.status.code(), Some(2), "{mistyped:?}");
    let key = crate::admission::scenario::secret_key("b1").public().hex();
    made.edit("policies/default.toml", |text| {
        format!("{text}\n[[builder]]\nid = \"alice/laptop\"\noperator = \"alice\"\nhosting = \"home\"\npublic-key = \"{key}\"\n")
    });
    assert_eq!(
        made.run(&["decisions", "--revoked", "alice/laptop"]).status.code(),
        Some(0)
    );
    let mistyped = made.run(&["decisions", "--revoked", "alice/lapto"]);
    assert_eq!(mistyped.status.code(), Some(2), "{mistyped:?}");
    assert!(
        super::text(&mistyped.stderr).contains("known are: alice/laptop"),
        "{mistyped:?}"
    );
    assert_eq!(made.run(&["decisions", "--revoked", "no key"]).status.code(), Some(2));
}

#[test]
fn what_a_killed_first_admission_left_goes_with_the_next_collection() {
    let made = Offered::new().made;
    let store = LocalStore::open(&made.path("store")).unwrap();
    let bytes = deb(DECLARED, "x");
    let key = Key::new("custom/pool/main/h/hello/hello_2.10-3+custom1_amd64.deb").unwrap();
    store.put_stream(&key, &Digest::of(&bytes), &mut &bytes[..]).unwrap();
    let found = made.run(&["verify"]);
    assert!(
        super::text(&found.stdout).contains("V-UNNAMED custom/pool"),
        "{found:?}"
    );
    let collected = made.run(&["gc"]);
    assert!(collected.status.success(), "{collected:?}");
    assert!(
        super::text(&collected.stdout).contains("goes: nothing that is kept names it"),
        "{collected:?}"
    );
    assert!(store.head(&key).unwrap().is_none());
    assert_eq!(
        made.run(&["verify"]).status.code(),
        Some(6),
        "there is nothing to verify, and nothing wrong"
    );
}
