//! A site whose only archive mirrors an upstream that tests change, run as the program, at any time.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use assay::domain::Timestamp;
use assay::trust::ArchiveKey;

use super::archive::{Archive, key, noon};
use super::http::Upstream;

/// The program under test.
pub(crate) const ASSAY: &str = env!("CARGO_BIN_EXE_assay");

pub(crate) struct Mirrored {
    folder: tempfile::TempDir,
    pub(crate) upstream: Upstream,
    pub(crate) key: ArchiveKey,
}

impl Mirrored {
    /// A site that follows `foundry` with a full pool; `keep` is the value in its configuration.
    pub(crate) fn new(public_url: &str, keep: &str) -> Self {
        Self::since(noon(), public_url, keep)
    }

    /// The same, made at an instant: for real clients, which have a clock of their own.
    pub(crate) fn since(start: Timestamp, public_url: &str, keep: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let made = Self {
            folder,
            upstream: Upstream::start(),
            key: key("upstream"),
        };
        made.run(start, &["init", ".", "--public-url", public_url, "--codename", "tin"]);
        let repos = made.site().join("repos");
        let example = fs::read_to_string(repos.join("debian.toml")).unwrap();
        let signing = example.lines().find(|line| line.starts_with("signing-key")).unwrap();
        for other in ["debian.toml", "custom.toml"] {
            fs::remove_file(repos.join(other)).unwrap();
        }
        fs::write(
            made.site().join("upstream.asc"),
            made.key.certificate_armored().unwrap(),
        )
        .unwrap();
        let text = format!(
            "kind = \"mirror\"\nuri = \"{}\"\norigin = \"Foundry\"\nlabel = \"Foundry\"\nkeyring = \"upstream.asc\"\n\
             signers = [\"{}\"]\nsuites = [\"tin\"]\ncomponents = [\"main\"]\narchitectures = [\"amd64\"]\n\
             pool = \"full\"\n{signing}\n{}",
            made.upstream.url(),
            made.key.fingerprint(),
            if keep.is_empty() {
                String::new()
            } else {
                format!("keep = {keep}\n")
            }
        );
        fs::write(repos.join("foundry.toml"), text).unwrap();
        made
    }

    /// Follows another upstream, whose archives the same key signs, as `name`.
    pub(crate) fn follows(&self, name: &str, upstream: &Upstream) {
        let repos = self.site().join("repos");
        let text = fs::read_to_string(repos.join("foundry.toml")).unwrap();
        let text = text.replace(&self.upstream.url(), &upstream.url());
        fs::write(repos.join(format!("{name}.toml")), text).unwrap();
    }

    /// The files of an archive as its own upstream signs them.
    pub(crate) fn files(&self, archive: &Archive) -> std::collections::BTreeMap<String, Vec<u8>> {
        archive.files(&self.key)
    }

    pub(crate) fn site(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// Stays when the test has ended.
    pub(crate) fn leave(self) -> PathBuf {
        self.folder.keep()
    }

    /// The program with these arguments, on a machine whose clock says `at`.
    pub(crate) fn command(&self, at: Timestamp, args: &[&str]) -> Command {
        let mut command = Command::new(ASSAY);
        command.args(args).current_dir(self.folder.path());
        command.env("ASSAY_TEST_CLOCK", at.unix().to_string());
        command
    }

    pub(crate) fn output(&self, at: Timestamp, args: &[&str]) -> Output {
        self.command(at, args).output().unwrap()
    }

    /// Standard output of a run that must succeed.
    pub(crate) fn run(&self, at: Timestamp, args: &[&str]) -> String {
        let output = self.output(at, args);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Each line of a run with `--json`.
    pub(crate) fn json(&self, at: Timestamp, args: &[&str]) -> Vec<serde_json::Value> {
        let text = self.run(at, &[args, &["--json"]].concat());
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The upstream becomes this.
    pub(crate) fn serve(&self, archive: &Archive) {
        self.upstream.set(archive.files(&self.key));
    }

    /// The upstream becomes this; the mirror follows. Gives the serial of the snapshot.
    pub(crate) fn follow(&self, archive: &Archive) -> String {
        self.serve(archive);
        let said = self.run(archive.date.plus(60), &["mirror", "foundry"]);
        assert!(said.ends_with("new\n"), "{said}");
        said.split(' ').nth(1).unwrap().to_owned()
    }
}
