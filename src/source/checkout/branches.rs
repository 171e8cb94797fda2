//! Serial files and locks on every branch of a repository: which snapshots images are built from.

use std::path::Path;

use super::serials::{Frozen, parse};
use crate::domain::{ArchiveName, Serial, escape};
use crate::source::SourceError;
use crate::source::object::Kind;
use crate::source::repository::fetch_tips;

/// The image's serial files, and those of the VM that builds it.
const TREES: [&str; 2] = [
    "config/APT_snapshots.d",
    "vagrant/definitions/tails-builder/config/APT_snapshots.d",
];

/// Where a site has its locks.
const LOCKS: [&str; 2] = ["repos", "assay.lock"];

/// A serial that a branch names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BranchSerial {
    /// The branch; `origin/x` for one that the repository knows of another.
    pub branch: String,
    /// The file.
    pub file: String,
    /// Which archive.
    pub archive: ArchiveName,
    /// Which snapshot.
    pub serial: Serial,
}

/// What the branches of a repository name.
#[derive(Debug, Clone, Default)]
pub struct BranchSerials {
    /// Every serial, on every branch.
    pub pins: Vec<BranchSerial>,
    /// The environment locks on every branch, and what `assay lock` wrote: branch, file, bytes.
    pub locks: Vec<(String, String, Vec<u8>)>,
    /// Serial files that hold something else: of which archive, and what is wrong, in words. No image can be built from such
    /// a branch, and nobody knows what it was built from before.
    pub malformed: Vec<(ArchiveName, String)>,
}

/// The locks, and the serials that the serial files on every branch of a repository name. `latest` names none.
///
/// # Errors
/// When the repository cannot be fetched into `cache`, or an object of it is not what it says.
pub fn branch_serials(url: &str, cache: &Path) -> Result<BranchSerials, SourceError> {
    let (repository, _held) = fetch_tips(url, cache)?;
    let mut found = BranchSerials::default();
    for reference in repository.references()? {
        let branch = ["refs/heads/", "refs/remotes/"]
            .iter()
            .find_map(|prefix| reference.strip_prefix(prefix))
            .unwrap_or(&reference);
        for (file, id) in repository.files_below(&reference, &LOCKS)? {
            if file.ends_with(".lock") {
                let bytes = repository.object(&id, Kind::Blob)?.bytes;
                found.locks.push((escape(branch), escape(&file), bytes));
            }
        }
        for (file, id) in repository.files_below(&reference, &TREES)? {
            let Some(archive) = archive_of(&file) else { continue };
            let bytes = repository.object(&id, Kind::Blob)?.bytes;
            let (file, branch) = (escape(&file), escape(branch));
            match parse(Path::new(&file), &bytes) {
                Ok(Frozen::At(serial)) => found.pins.push(BranchSerial {
                    branch,
                    file,
                    archive,
                    serial,
                }),
                Ok(Frozen::Latest) => {}
                Err(error) => found.malformed.push((archive, format!("branch {branch}: {error}"))),
            }
        }
    }
    Ok(found)
}

/// `config/APT_snapshots.d/debian/serial` is of `debian`.
fn archive_of(file: &str) -> Option<ArchiveName> {
    let rest = TREES.iter().find_map(|tree| file.strip_prefix(tree))?;
    let name = rest.strip_prefix('/')?.strip_suffix("/serial")?;
    ArchiveName::new(name).ok()
}
