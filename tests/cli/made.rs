//! Sites as `assay init` makes them, for tests that need more than a new one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use assay::domain::{Fingerprint, Timestamp};
use assay::site::{ArchiveConfig, Site};
use assay::snapshot::{Chain, Committed, index_key};
use assay::store::{LocalStore, Store as _};

use crate::support::apt::{Apt, source};
use crate::support::repository::{Repository, made};

/// A site in a folder of its own.
pub(super) struct Made {
    folder: tempfile::TempDir,
}

impl Made {
    /// As `init` makes it at this instant, for a mirror of the suite `tin`.
    pub(super) fn at(now: Timestamp) -> Self {
        let made = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let init = made
            .command(&["init", "site", "--codename", "tin"])
            .env("ASSAY_TEST_CLOCK", now.unix().to_string())
            .current_dir(made.folder.path())
            .output()
            .unwrap();
        assert!(init.status.success(), "{init:?}");
        made
    }

    /// A path below the site.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("site").join(name)
    }

    pub(super) fn load(&self) -> Site {
        Site::load(&self.path("")).unwrap()
    }

    /// The program, in the site.
    pub(super) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(super::ASSAY);
        command.args(args).current_dir(self.path(""));
        command
    }

    pub(super) fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// What it prints at an instant; it must succeed.
    pub(super) fn run_at(&self, now: Timestamp, args: &[&str]) -> String {
        let epoch = now.unix().to_string();
        let output = self.command(args).env("ASSAY_TEST_CLOCK", epoch).output().unwrap();
        assert!(output.status.success(), "{args:?}: {output:?}");
        super::text(&output.stdout)
    }

    /// Changes one file of the site.
    pub(super) fn edit(&self, name: &str, change: impl FnOnce(&str) -> String) {
        let path = self.path(name);
        let text = fs::read_to_string(&path).unwrap();
        let changed = change(&text);
        assert_ne!(text, changed, "{name}");
        fs::write(path, changed).unwrap();
    }

    /// Commits the first snapshot of the custom archive, with one package that nobody decided on.
    pub(super) fn commit_custom(&self, now: Timestamp) {
        let site = self.load();
        let archive = "custom".parse().unwrap();
        let key = site.archive_key(self.signing_key(&site, "custom")).unwrap();
        let store = LocalStore::open(&self.path("store")).unwrap();
        let repository = Repository {
            archive,
            suite: "stable".parse().unwrap(),
            key,
            ..Repository::new("file:///nowhere")
        };
        let packages = repository.add_hello(&store, "1.0");
        let mut state = repository.stage(&store, &packages);
        state.upstream = None;
        // A custom archive keeps the plain form, too.
        for index in state.indexes.iter_mut().filter(|index| !index.kept) {
            index.kept = true;
            let key = index_key(&repository.archive, &repository.suite, index);
            store.create(&key, packages.as_bytes()).unwrap();
        }
        let chain = Chain::load(&store, &repository.archive).unwrap();
        let record = chain.next(&store, vec![state], made("a nonce", now)).unwrap();
        let committed = assay::publish::commit(&store, &record, &repository.key).unwrap();
        assert_eq!(committed, Committed::Yes);
    }

    fn signing_key<'a>(&self, site: &'a Site, archive: &str) -> &'a Fingerprint {
        site.archive(&archive.parse().unwrap())
            .map(ArchiveConfig::signing_key)
            .unwrap()
    }

    /// The file with the public key of an archive.
    pub(super) fn certificate(&self, archive: &str) -> PathBuf {
        let fingerprint = self.signing_key(&self.load(), archive).clone();
        self.path(&format!("policies/keys/{fingerprint}.asc"))
    }

    /// This machine's apt, following an archive at its head in the store's folder.
    pub(super) fn apt(&self, archive: &str, suite: &str) -> Apt {
        let certificate = self.certificate(archive);
        let uri = format!("file:{}", self.path("store").join(archive).display());
        Apt::new(&source(&uri, suite, &certificate))
    }
}

/// Every file below a folder, sorted; none when there is no such folder.
pub(super) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut todo = vec![folder.to_owned()];
    while let Some(next) = todo.pop() {
        for entry in fs::read_dir(next).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                todo.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}
