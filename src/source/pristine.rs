//! Upstream tarballs from a branch `pristine-tar`: what the tree lacks to the bytes that upstream
//! published. Debian's own program puts the two together.
//!
//! It sees the tree and the delta, and nothing else of this machine but its programs: no network, no
//! files, no repository. What it gives is compared with what is declared, and with the tree.

use super::object::Kind;
use super::orig::file_name;
use super::package::tar;
use super::tree::{Blobs, Mode, Tree};
use super::{Repository, SourceError, Upstream};
use crate::domain::{FileName, GitOid, GitRef};
use crate::host::{HostError, Program};

const BRANCH: &str = "refs/heads/pristine-tar";
const LARGEST_TARBALL: u64 = 1 << 30;
const SECONDS: u64 = 900;
/// What it may keep in each of its two folders, which are memory, and what each of its processes may take, in bytes: a delta is a
/// compressed archive of its own, written by whoever may push.
const LARGEST_FOLDER: u64 = 4 << 30;
const LARGEST_PROCESS: u64 = 4 << 30;
const SCRIPT: &str = "tar -xf - && cd src && pristine-tar gentar ../delta ../out >&2 && cat ../out";

/// A tarball that was made again.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) name: FileName,
    pub(super) bytes: Vec<u8>,
    /// The commit of the branch.
    pub(super) commit: GitOid,
}

/// The branch that `pristine-tar` keeps its deltas on.
///
/// # Errors
/// Never.
pub fn pristine_branch() -> Result<GitRef, SourceError> {
    GitRef::new(BRANCH).map_err(|source| SourceError::Name {
        what: BRANCH.to_owned(),
        source,
    })
}

/// Makes the tarball of `stem` (`<source>_<upstream version>`) again, from `commit` of the branch or its
/// newest.
pub(super) fn make(
    repository: &Repository,
    stem: &str,
    commit: Option<&GitOid>,
    upstream: &Upstream,
    tree: &Tree,
    blobs: &Blobs,
) -> Result<Made, SourceError> {
    let branch = pristine_branch()?;
    repository.need(&branch)?;
    let newest = repository.resolve(&branch)?;
    let commit = commit.unwrap_or(&newest);
    let object = repository.object(commit, Kind::Commit)?;
    if *commit != newest && !repository.is_ancestor(commit, &newest)? {
        let why = format!("the commit `{commit}` is not in its history");
        return Err(SourceError::rule("S2", BRANCH, why));
    }
    let entries = repository.object(&object.commit()?.tree, Kind::Tree)?.tree()?;
    let blob = |name: &str| {
        let named = entries.iter().find(|entry| entry.name == name.as_bytes());
        named.map(|entry| repository.object(&entry.id, Kind::Blob).map(|object| object.bytes))
    };
    let refused = |what: &str, why: String| SourceError::rule("S7", what, why);
    let found = ["xz", "gz", "bz2"].into_iter().find_map(|extension| {
        let name = format!("{stem}.orig.tar.{extension}");
        blob(&format!("{name}.delta")).map(|delta| (name, delta))
    });
    let (name, delta) = found.ok_or_else(|| refused(BRANCH, format!("it has no delta for `{stem}.orig.tar`")))?;
    let of_tree = blob(&format!("{name}.id")).transpose()?.unwrap_or_default();
    let of_tree = String::from_utf8_lossy(&of_tree).trim().to_owned();
    if of_tree != upstream.git_tree.as_str() && of_tree != upstream.git_commit.as_str() {
        let why = format!("it was made with another tree than that of `{}`", upstream.tag_ref);
        return Err(refused(&name, why));
    }
    let made = run(&tar_of(tree, blobs, &delta?)?);
    let made = made.map_err(|error| match is_the_deltas(&error) {
        true => refused(&name, format!("no tarball comes of its delta: {error}")),
        false => error.into(),
    });
    Ok(Made {
        bytes: made?,
        name: file_name(name)?,
        commit: commit.clone(),
    })
}

/// The tree below `src`, and the delta.
fn tar_of(tree: &Tree, blobs: &Blobs, delta: &[u8]) -> Result<Vec<u8>, SourceError> {
    tar(
        tree,
        blobs,
        Some("src"),
        crate::domain::Timestamp::from_unix(0),
        &[("delta", Mode::File, delta)],
    )
}

/// Whether it is the delta's fault that nothing came of it, and not this machine's: the program is there and could be run.
fn is_the_deltas(error: &HostError) -> bool {
    match error {
        HostError::Failed { status, stderr, .. } => {
            !status.contains("127") && !stderr.starts_with("bwrap:") && !stderr.starts_with("prlimit:")
        }
        HostError::TimedOut { .. } | HostError::TooMuchOutput { .. } => true,
        _ => false,
    }
}

fn run(input: &[u8]) -> Result<Vec<u8>, HostError> {
    let folder = LARGEST_FOLDER.to_string();
    let output = Program::new("bwrap")
        .args(["--unshare-all", "--die-with-parent", "--new-session", "--clearenv"])
        .args(["--setenv", "PATH", "/usr/bin:/bin", "--setenv", "LC_ALL", "C.UTF-8"])
        .args(["--setenv", "TZ", "UTC", "--setenv", "HOME", "/work"])
        .args([
            "--ro-bind",
            "/usr",
            "/usr",
            "--symlink",
            "usr/bin",
            "/bin",
            "--symlink",
            "usr/sbin",
            "/sbin",
        ])
        .args(["--symlink", "usr/lib", "/lib", "--symlink", "usr/lib64", "/lib64"])
        .args(["--proc", "/proc", "--dev", "/dev"])
        .args([
            "--size", &folder, "--tmpfs", "/tmp", "--size", &folder, "--tmpfs", "/work",
        ])
        .args(["--chdir", "/work"])
        .args([
            "prlimit",
            // One more than is taken: what was cut there is not passed for a tarball.
            &format!("--fsize={}", LARGEST_TARBALL.saturating_add(1)),
            &format!("--as={LARGEST_PROCESS}"),
            "/bin/sh",
            "-euc",
            SCRIPT,
        ])
        .input(input.to_vec())
        .limit(LARGEST_TARBALL)
        .timeout(SECONDS)
        .run();
    Ok(output?.stdout)
}
