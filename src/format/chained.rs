//! Files that a Release does not list, and that a file which it lists does: the patches of an
//! `Index`, the images of a `SHA256SUMS`. So its signature covers them, too.

use std::collections::BTreeMap;

use crate::domain::{RelPath, Sha256};

use super::FormatError;
use super::pdiff::PdiffIndex;
use super::sums::sha256sums;

/// The most bytes of a list.
pub const LARGEST_LIST: u64 = 16 << 20;

/// What a list says of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chained {
    /// Its digest.
    pub sha256: Sha256,
    /// How large it is, when the list says so.
    pub size: Option<u64>,
}

/// Which kind of list an index is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListKind {
    /// `*.diff/Index`.
    Patches,
    /// `installer-*/…/SHA256SUMS`.
    Images,
}

/// Whether an index is such a list.
#[must_use]
pub fn list_kind(path: &RelPath) -> Option<ListKind> {
    match path.file_name() {
        "Index" if path.folder().ends_with(".diff/") => Some(ListKind::Patches),
        "SHA256SUMS" if path.folder().contains("/installer-") => Some(ListKind::Images),
        _ => None,
    }
}

/// The files that a list names, by their paths below `dists/<suite>/`; none when it is no list.
///
/// # Errors
/// When it is malformed.
pub fn chained(list: &RelPath, bytes: &[u8]) -> Result<BTreeMap<RelPath, Chained>, FormatError> {
    let below = |name: &str| {
        RelPath::new(format!("{}{name}", list.folder())).map_err(|source| FormatError::Value {
            what: list.to_string(),
            source,
        })
    };
    match list_kind(list) {
        None => Ok(BTreeMap::new()),
        Some(ListKind::Patches) => {
            let patches = PdiffIndex::parse(bytes)?.patches.into_iter().map(|patch| {
                let (sha256, size) = (patch.download.sha256, Some(patch.download.size));
                Ok((below(patch.file.as_str())?, Chained { sha256, size }))
            });
            patches.collect()
        }
        Some(ListKind::Images) => {
            let images = sha256sums(bytes)?
                .into_iter()
                .map(|(path, sha256)| Ok((below(path.as_str())?, Chained { sha256, size: None })));
            images.collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_lie_below_the_folder_of_their_list() {
        let path = |text: &str| RelPath::new(text).unwrap();
        let sums = format!("{}  ./netboot/mini.iso\n", "ab".repeat(32));
        let list = path("main/installer-amd64/current/images/SHA256SUMS");
        let images = chained(&list, sums.as_bytes()).unwrap();
        let found: Vec<&str> = images.keys().map(RelPath::as_str).collect();
        assert_eq!(found, ["main/installer-amd64/current/images/netboot/mini.iso"]);
        for other in [
            "main/SHA256SUMS",
            "main/installer-amd64/MD5SUMS",
            "main/diff/Index",
            "Index",
        ] {
            assert_eq!(list_kind(&path(other)), None, "{other}");
        }
        assert_eq!(
            list_kind(&path("main/Contents-all.diff/Index")),
            Some(ListKind::Patches)
        );
    }
}
