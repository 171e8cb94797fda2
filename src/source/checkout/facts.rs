//! What a checkout says of itself.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::serials::{Frozen, is_hidden, read_serials};
use crate::domain::{ArchiveName, GitOid, GitRef, Version, escape};
use crate::format::changelog;
use crate::host::files;
use crate::source::SourceError;
use crate::source::repository::{Refs, refs_of};

/// The most bytes of the changelog that are read.
const LARGEST_CHANGELOG: u64 = 32 << 20;
const LARGEST: u64 = 64 << 10;
/// So many branches are named where one is not there.
const SHOWN: usize = 20;

/// A checkout, as its files and its Git repository describe it.
#[derive(Debug, Clone)]
pub struct Checkout {
    /// Where it is.
    pub folder: PathBuf,
    /// The branch that HEAD is on; none when HEAD is detached.
    pub branch: Option<String>,
    /// Whether a tag names the commit of HEAD.
    pub on_a_tag: bool,
    /// All tags, without `refs/tags/`.
    pub tags: BTreeSet<String>,
    /// The line of `config/base_branch`.
    pub base_branch: String,
    /// The file names in `config/APT_overlays.d/`.
    pub overlays: Vec<String>,
    /// The last version in `debian/changelog`.
    pub version: Version,
    /// The version before it.
    pub previous: Option<Version>,
    /// What the serial file of each archive holds.
    pub serials: BTreeMap<ArchiveName, Frozen>,
}

impl Checkout {
    /// Reads the checkout in `folder`, whose serial files are below `serials`
    /// (`config/APT_snapshots.d`). `cache` is a folder of ours.
    ///
    /// # Errors
    /// When a file is missing or not as it must be, or Git cannot say which refs there are.
    pub fn read(folder: &Path, serials: &Path, cache: &Path) -> Result<Self, SourceError> {
        let folder = files::absolute(folder)?;
        let base_branch = base_branch(&folder)?;
        let overlays = overlays(&folder)?;
        let path = "debian/changelog";
        let text = files::read_beneath(&folder, Path::new(path), LARGEST_CHANGELOG)?;
        let (version, previous) = changelog::last_versions(&text).map_err(|source| SourceError::File {
            path: path.to_owned(),
            source,
        })?;
        let serials = read_serials(&folder, serials)?;
        let Refs { branch, head, tags, .. } = refs_of(&folder, cache)?;
        Ok(Self {
            on_a_tag: tags.values().any(|commit| *commit == head),
            tags: tags.into_keys().collect(),
            folder,
            branch,
            base_branch,
            overlays,
            version,
            previous,
            serials,
        })
    }

    /// Whether a version was released: whether it has a tag, where `~` is written `-`.
    #[must_use]
    pub fn was_released(&self, version: &Version) -> bool {
        self.tags.contains(&version.as_str().replace('~', "-"))
    }
}

/// What the tags of a checkout mean.
///
/// # Errors
/// When Git cannot say which refs there are, or it has branches, and none of the name that is asked for.
pub fn tags_of(folder: &Path, branch: Option<&str>, cache: &Path) -> Result<BTreeMap<String, GitOid>, SourceError> {
    let refs = refs_of(&files::absolute(folder)?, cache)?;
    match branch.filter(|branch| !refs.branches.is_empty() && !refs.branches.contains(*branch)) {
        None => Ok(refs.tags),
        Some(absent) => {
            let known: Vec<String> = refs.branches.iter().take(SHOWN).map(|name| escape(name)).collect();
            let why = format!("there is no branch `{}`", escape(absent));
            let more = if refs.branches.len() > SHOWN { ", …" } else { "" };
            let fix = format!("name one that is there: {}{more}", known.join(", "));
            Err(SourceError::checkout("branch", &why, &fix))
        }
    }
}

/// The tags and the branch that HEAD is on, tags first. `branch` says which branch it is where HEAD does not.
///
/// # Errors
/// When Git cannot say which refs there are.
pub fn head_of(folder: &Path, branch: Option<&str>, cache: &Path) -> Result<Vec<GitRef>, SourceError> {
    let refs = refs_of(&files::absolute(folder)?, cache)?;
    let on_it = refs.tags.iter().filter(|(_, commit)| **commit == refs.head);
    let mut names: Vec<String> = on_it.map(|(tag, _)| format!("refs/tags/{tag}")).collect();
    let branch = branch.map(str::to_owned).or(refs.branch);
    names.extend(branch.map(|branch| format!("refs/heads/{branch}")));
    Ok(names.into_iter().filter_map(|name| GitRef::new(name).ok()).collect())
}

fn base_branch(folder: &Path) -> Result<String, SourceError> {
    let refused = |why: &str| {
        let fix = "write the name of the base branch, one line, into config/base_branch";
        SourceError::checkout("base-branch", why, fix)
    };
    if !files::exists(&folder.join("config/base_branch")) {
        return Err(refused("there is no config/base_branch"));
    }
    let bytes = files::read_beneath(folder, Path::new("config/base_branch"), LARGEST)?;
    let text = String::from_utf8(bytes).map_err(|_| refused("config/base_branch is not UTF-8"))?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    if line.is_empty() || line.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(refused(
            "config/base_branch is not exactly one line with a branch's name",
        ));
    }
    Ok(line.to_owned())
}

fn overlays(folder: &Path) -> Result<Vec<String>, SourceError> {
    if !files::is_folder(&folder.join("config/APT_overlays.d")) {
        let fix = "make it, with a file `.placeholder` in it so that Git keeps it";
        return Err(SourceError::checkout(
            "overlays",
            "there is no config/APT_overlays.d",
            fix,
        ));
    }
    let paths = files::list_beneath(folder, Path::new("config/APT_overlays.d"))?;
    let mut names = Vec::new();
    for path in paths.iter().filter(|path| !is_hidden(path)) {
        let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(|| {
            let why = format!("`{}` is not UTF-8", escape(&path.to_string_lossy()));
            SourceError::checkout("overlays", &why, "remove the file")
        })?;
        names.push(name.to_owned());
    }
    Ok(names)
}
