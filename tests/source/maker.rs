//! Makes Git repositories with the real git, gpg and ssh-keygen.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use assay::domain::{Component, FileName, Fingerprint, GitRef, PackageName, Sha256, SuiteName, Timestamp};
use assay::host::Clock;
use assay::site::{SignerKey, SignerScheme};
use assay::source::{
    self, Base, Declaration, Files, Repository, Request, SignedSource, Signers, SourceError, SourceKeys, SourcePackage,
};
use tempfile::TempDir;

/// 2023-11-14: when everything was tagged, unless a test says otherwise.
pub(crate) const TAGGED: i64 = 1_700_000_000;

/// A folder with a repository `git`, a cache, and SSH keys.
pub(crate) struct Maker {
    folder: TempDir,
    pub(crate) signers: Vec<SignerKey>,
    pub(crate) threshold: u32,
    /// What is not in Git.
    pub(crate) files: Kept,
    /// What declarations ask for beside the tag.
    pub(crate) request: Request,
    pub(crate) git: PathBuf,
    date: i64,
}

impl Maker {
    /// An empty repository, and a signer with an SSH key.
    pub(crate) fn new() -> Self {
        Self::with_format("sha1")
    }

    pub(crate) fn with_format(format: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let git = folder.path().join("git");
        let mut maker = Self {
            signers: Vec::new(),
            threshold: 1,
            request: request(),
            files: Kept::default(),
            git,
            date: TAGGED,
            folder,
        };
        std::fs::create_dir(maker.path("keys")).unwrap();
        let path = maker.git.to_str().unwrap().to_owned();
        let format = format!("--object-format={format}");
        maker.run_in("/", "git", &["init", "-q", "-b", "main", &format, &path]);
        let fingerprint = maker.ssh_key("signer");
        maker.signers.push(signer(SignerScheme::Ssh, &fingerprint));
        maker
    }

    /// A native package `native` 1.0 in its first commit, not tagged yet.
    pub(crate) fn native() -> Self {
        let maker = Self::new();
        maker.write_native();
        maker.commit("first");
        maker
    }

    pub(crate) fn write_native(&self) {
        self.packaging("native", "1.0", "3.0 (native)");
        self.write("tool", "#!/bin/sh\necho native\n");
        self.run("chmod", &["755", "tool"]);
        self.write("sub/data", "data\n");
        std::os::unix::fs::symlink("sub/data", self.git.join("link")).unwrap();
    }

    /// A `3.0 (quilt)` package `quilted` 2.0-1 with one patch; upstream is tagged, the rest is not yet.
    pub(crate) fn quilt() -> Self {
        let maker = Self::new();
        maker.write_upstream();
        maker.commit("upstream");
        maker.git(&["tag", "-a", "-m", "upstream", "upstream/2.0"]);
        maker.write_quilt();
        maker.commit("packaging");
        maker
    }

    pub(crate) fn write_upstream(&self) {
        self.write("src/hello.c", "int main(void)\n{\n\treturn 1;\n}\n");
        self.write("README", "Read me.\n");
    }

    pub(crate) fn write_quilt(&self) {
        self.packaging("quilted", "2.0-1", "3.0 (quilt)");
        self.write("debian/patches/series", "# ours\nfix.patch\n");
        self.write(
            "debian/patches/fix.patch",
            "--- a/src/hello.c\n+++ b/src/hello.c\n@@ -1,4 +1,4 @@\n int main(void)\n {\n-\treturn 1;\n+\treturn 0;\n }\n",
        );
    }

    pub(crate) fn packaging(&self, source: &str, version: &str, format: &str) {
        self.write("debian/source/format", &format!("{format}\n"));
        self.write(
            "debian/control",
            &format!(
                "Source: {source}\nSection: misc\nPriority: optional\nMaintainer: A <a@example.org>\nBuild-Depends: debhelper-compat (= 13)\n\
                 Standards-Version: 4.6.2\n\nPackage: {source}\nArchitecture: all\nDescription: x\n y\n"
            ),
        );
        self.changelog(source, version, "Tue, 14 Nov 2023 20:13:20 +0000");
        self.write("debian/rules", "#!/usr/bin/make -f\n%:\n\tdh $@\n");
        self.run("chmod", &["755", "debian/rules"]);
    }

    pub(crate) fn changelog(&self, source: &str, version: &str, date: &str) {
        let text =
            format!("{source} ({version}) stable; urgency=medium\n\n  * Made.\n\n -- A <a@example.org>  {date}\n");
        self.write("debian/changelog", &text);
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.git.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub(crate) fn commit(&self, message: &str) {
        self.git(&["add", "--all", "--force", "."]);
        self.git(&["commit", "-q", "-m", message]);
    }

    /// Later commits and tags say that they were made then.
    pub(crate) fn at(&mut self, seconds: i64) {
        self.date = seconds;
    }

    /// A tag signed with the SSH key `signer`.
    pub(crate) fn tag(&self, name: &str) -> GitRef {
        self.tag_with("signer", name, "HEAD")
    }

    pub(crate) fn tag_with(&self, key: &str, name: &str, what: &str) -> GitRef {
        let key = format!("user.signingKey={}", self.path(key).display());
        self.git(&[
            "-c",
            "gpg.format=ssh",
            "-c",
            &key,
            "tag",
            "-f",
            "-s",
            "-m",
            name,
            name,
            what,
        ]);
        reference(&format!("refs/tags/{name}"))
    }

    /// The same with this message.
    pub(crate) fn tag_saying(&self, name: &str, message: &str) -> GitRef {
        let key = format!("user.signingKey={}", self.path("signer").display());
        let ssh = ["-c", "gpg.format=ssh", "-c", &key];
        self.git(&[&ssh[..], &["tag", "-f", "-s", "-m", message, name]].concat());
        reference(&format!("refs/tags/{name}"))
    }

    /// Commits everything, signed with an SSH key.
    pub(crate) fn commit_signed(&self, key: &str, message: &str) {
        let key = format!("user.signingKey={}", self.path(key).display());
        let ssh = ["-c", "gpg.format=ssh", "-c", &key];
        self.git(&["add", "--all", "--force", "."]);
        self.git(&[&ssh[..], &["commit", "-q", "-S", "--allow-empty", "-m", message]].concat());
    }

    /// Makes an SSH key, and puts its public half where a site has it; gives its fingerprint.
    pub(crate) fn ssh_key(&self, name: &str) -> String {
        let path = self.path(name);
        let path = path.to_str().unwrap();
        self.run_in(
            "/",
            "ssh-keygen",
            &["-q", "-t", "ed25519", "-N", "", "-C", name, "-f", path],
        );
        let listed = self.run_in("/", "ssh-keygen", &["-l", "-E", "sha256", "-f", &format!("{path}.pub")]);
        let fingerprint = listed.split(' ').nth(1).unwrap().to_owned();
        let public = self
            .path("keys")
            .join(format!("{}.pub", fingerprint.replace(':', "-").replace('/', "_")));
        std::fs::copy(format!("{path}.pub"), public).unwrap();
        fingerprint
    }

    pub(crate) fn git(&self, args: &[&str]) -> String {
        self.run("git", args)
    }

    pub(crate) fn run(&self, program: &str, args: &[&str]) -> String {
        self.run_in(self.git.to_str().unwrap(), program, args)
    }

    pub(crate) fn run_in(&self, folder: &str, program: &str, args: &[&str]) -> String {
        self.pipe(folder, program, args, "")
    }

    pub(crate) fn pipe(&self, folder: &str, program: &str, args: &[&str], input: &str) -> String {
        let date = format!("{} +0000", self.date);
        let mut child = Command::new(program)
            .args(args)
            .current_dir(folder)
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("LC_ALL", "C.UTF-8")
            .env("TZ", "UTC")
            .env("HOME", self.folder.path())
            .env("GNUPGHOME", self.folder.path().join("gnupg"))
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            // What these make is thrown away: it need not survive a crash.
            .env("GIT_CONFIG_COUNT", "1")
            .env("GIT_CONFIG_KEY_0", "core.fsync")
            .env("GIT_CONFIG_VALUE_0", "none")
            .env("GIT_AUTHOR_NAME", "A")
            .env("GIT_AUTHOR_EMAIL", "a@example.org")
            .env("GIT_COMMITTER_NAME", "A")
            .env("GIT_COMMITTER_EMAIL", "a@example.org")
            .env("GIT_AUTHOR_DATE", &date)
            .env("GIT_COMMITTER_DATE", &date)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let (out, err) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        assert!(output.status.success(), "{program} {args:?}: {out}{err}");
        out.trim_end().to_owned()
    }

    pub(crate) fn url(&self) -> String {
        self.git.to_str().unwrap().to_owned()
    }

    pub(crate) fn fetch(&self, tag: &GitRef) -> Result<Repository, SourceError> {
        source::fetch(&self.url(), std::slice::from_ref(tag), &self.path("cache"))
    }

    pub(crate) fn keys(&self) -> SourceKeys {
        SourceKeys::load(&self.path("keys"), &self.signers).unwrap()
    }

    pub(crate) fn verify(&self, reference: &GitRef) -> Result<SignedSource, SourceError> {
        let keys = self.keys();
        source::verify_signed(&self.fetch(reference)?, reference, None, &self.allowed(&keys))
    }

    pub(crate) fn allowed<'a>(&'a self, keys: &'a SourceKeys) -> Signers<'a> {
        Signers {
            allowed: &self.signers,
            keys,
            threshold: self.threshold,
            now: now(),
        }
    }

    pub(crate) fn declare(&self, tag: &GitRef) -> Result<(Declaration, SourcePackage), SourceError> {
        self.declare_from(&self.url(), tag, "cache")
    }

    /// Fetches from `url` into a cache of its own, verifies and declares.
    pub(crate) fn declare_from(
        &self,
        url: &str,
        tag: &GitRef,
        cache: &str,
    ) -> Result<(Declaration, SourcePackage), SourceError> {
        self.declare_with(url, tag, cache, &self.files)
    }

    /// The same, with files from elsewhere.
    pub(crate) fn declare_with(
        &self,
        url: &str,
        tag: &GitRef,
        cache: &str,
        files: &dyn Files,
    ) -> Result<(Declaration, SourcePackage), SourceError> {
        let repository = source::fetch(url, std::slice::from_ref(tag), &self.path(cache))?;
        let keys = self.keys();
        let signers = self.allowed(&keys);
        let signed = source::verify_signed(&repository, tag, None, &signers)?;
        source::declare(&repository, &self.request, &signed, &signers, files)
    }

    pub(crate) fn check(&self, declaration: &Declaration) -> Result<SourcePackage, SourceError> {
        let mut here = declaration.clone();
        here.git = self.url();
        let repository = source::fetch_declared(&here, &here.git, &self.path("cache"))?;
        source::check(&repository, declaration, &self.allowed(&self.keys()), &self.files)
    }

    /// Writes a source package's files to a folder; gives the path of the .dsc.
    pub(crate) fn write_package(&self, package: &SourcePackage, folder: &Path) -> PathBuf {
        std::fs::create_dir_all(folder).unwrap();
        for (name, bytes) in &package.files {
            std::fs::write(folder.join(name.as_str()), bytes).unwrap();
        }
        folder.join(package.files[0].0.as_str())
    }
}

/// Files that were kept, and the tarballs of bases by the hash of their .dsc.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    pub(crate) files: Vec<Vec<u8>>,
    pub(crate) bases: BTreeMap<Sha256, Vec<(FileName, Vec<u8>)>>,
}

impl Files for Kept {
    fn kept(&self, _: &Component, _: &PackageName, name: &FileName, sha: &Sha256) -> Result<Vec<u8>, SourceError> {
        let found = self.files.iter().find(|bytes| Sha256::of(bytes) == *sha);
        found
            .cloned()
            .ok_or_else(|| SourceError::kept(name.as_str(), "missing"))
    }

    fn base(&self, source: &PackageName, base: &Base) -> Result<Vec<(FileName, Vec<u8>)>, SourceError> {
        let found = self.bases.get(&base.dsc_sha256);
        found
            .cloned()
            .ok_or_else(|| SourceError::kept(source.as_str(), "missing"))
    }
}

fn request() -> Request {
    Request {
        git: "https://example.org/x.git".to_owned(),
        suites: vec![SuiteName::new("stable").unwrap()],
        component: Component::new("main").unwrap(),
        subfolder: None,
        upstream: None,
        orig: None,
        pristine_commit: None,
        base: None,
        supersedes: None,
        authorised_threshold: None,
        authorised: Vec::new(),
    }
}

pub(crate) fn signer(scheme: SignerScheme, fingerprint: &str) -> SignerKey {
    SignerKey {
        name: "A".to_owned(),
        scheme,
        fingerprint: Fingerprint::new(fingerprint).unwrap(),
        valid_from: None,
        valid_until: None,
        revoked_at: None,
        sources: Vec::new(),
    }
}

pub(crate) fn reference(text: &str) -> GitRef {
    GitRef::new(text).unwrap()
}

pub(crate) fn now() -> Timestamp {
    Clock::System.now()
}
