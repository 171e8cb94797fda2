//! What of a work tree is not as its commit has it: the state of the Git tree has to say all.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::domain::{GitOid, escape};
use crate::host::files;
use crate::source::SourceError;
use crate::source::object::blob_id;
use crate::source::repository::head_files;

/// The largest file that is compared, in bytes.
const LARGEST: u64 = 64 << 20;
/// How deep folders are looked into.
const DEEPEST: u32 = 8;

/// The word for a link. Whoever reads the site follows it, and its commit has only where it leads.
pub const LINK: &str = "a symbolic link";

/// How the files of some folders differ from the commit of HEAD.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Uncommitted {
    /// Whether the first of the paths is in the commit at all.
    pub is_kept: bool,
    /// Files that are changed, not committed or missing, and every symbolic link: each with a word for it.
    pub files: Vec<(String, &'static str)>,
    /// What the commit has at the paths.
    pub committed: BTreeMap<String, GitOid>,
}

/// Compares the files that lie in `paths` below `folder` with the commit that HEAD names in the repository that
/// `folder` is in; none when it is in none. `counts` says which file names count. `cache` is a folder of ours.
///
/// # Errors
/// When a file cannot be read, or Git fails.
pub fn uncommitted(
    folder: &Path,
    paths: &[&str],
    counts: impl Fn(&str) -> bool,
    cache: &Path,
) -> Result<Option<Uncommitted>, SourceError> {
    let folder = files::absolute(folder)?;
    let Some(top) = folder.ancestors().find(|above| files::exists(&above.join(".git"))) else {
        return Ok(None);
    };
    let inside = folder.strip_prefix(top).unwrap_or(Path::new(""));
    let places: Vec<String> = paths
        .iter()
        .map(|path| inside.join(path).to_string_lossy().into_owned())
        .collect();
    let head = head_files(top, &places, cache)?;
    let committed: BTreeMap<String, GitOid> = head.files.into_iter().collect();
    let mut links: BTreeSet<String> = head.links.into_iter().collect();
    let first = places.first().map(String::as_str).unwrap_or_default();
    let mut found = Uncommitted {
        is_kept: committed
            .keys()
            .chain(&links)
            .any(|path| path == first || path.starts_with(&format!("{first}/"))),
        files: Vec::new(),
        committed: BTreeMap::new(),
    };
    let mut here = Vec::new();
    for place in &places {
        below(&top.join(place), DEEPEST, &mut here)?;
    }
    let mut seen = BTreeSet::new();
    for path in here {
        let name = path.strip_prefix(top).unwrap_or(&path).to_string_lossy().into_owned();
        if files::link_target(&path).is_ok() {
            links.insert(name);
            continue;
        }
        if !counts(&name) || links.contains(&name) {
            continue;
        }
        let what = match committed.get(&name) {
            None => Some("not committed"),
            Some(id) if blob_id(id, &files::read(&path, LARGEST)?)? != *id => Some("changed"),
            Some(_) => None,
        };
        found.files.extend(what.map(|what| (escape(&name), what)));
        seen.insert(name);
    }
    let gone = committed
        .keys()
        .filter(|name| counts(name) && !seen.contains(*name) && !links.contains(*name));
    found.files.extend(gone.map(|name| (escape(name), "missing")));
    let linked = links.iter().filter(|name| counts(name));
    found.files.extend(linked.map(|name| (escape(name), LINK)));
    found.files.sort();
    found.committed = committed;
    Ok(Some(found))
}

/// The files and links at or below a path; none when it is not there. No link is followed.
fn below(path: &Path, depth: u32, found: &mut Vec<PathBuf>) -> Result<(), SourceError> {
    if !files::exists(path) {
        return Ok(());
    }
    if files::link_target(path).is_ok() || !files::is_folder(path) {
        found.push(path.to_owned());
    } else if let Some(depth) = depth.checked_sub(1) {
        for entry in files::list(path)? {
            below(&entry, depth, found)?;
        }
    }
    Ok(())
}
