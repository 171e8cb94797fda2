//! Tarballs that were packed before: xz is most of the time that deriving a source package takes.
//!
//! Nothing here is believed. A tarball is taken when its SHA-256 is the declared one, and what it unpacks to is, byte
//! for byte, what was derived from Git just now; whatever else may lie in the folder, it is packed anew.

use std::path::{Path, PathBuf};

use super::SourceFile;
use crate::domain::{FileName, Sha256};
use crate::format::compress::{Compression, decompress};
use crate::host::files;

/// A folder of tarballs, and which of them a declaration names.
#[derive(Debug, Clone, Copy)]
pub struct Packed<'a> {
    /// Each file is named by its own SHA-256. May be deleted at any time.
    pub folder: &'a Path,
    /// What is declared.
    pub declared: &'a [SourceFile],
}

impl Packed<'_> {
    /// The declared .xz tarball of this name, when it is here and `tar` is what is in it.
    #[must_use]
    pub fn of(&self, name: &FileName, tar: &[u8]) -> Option<Vec<u8>> {
        let (path, file) = self.place(name)?;
        let packed = files::read(&path, file.digest.size).ok()?;
        if Sha256::of(&packed) != file.digest.sha256 {
            return None;
        }
        let unpacked = decompress(Compression::Xz, &packed, tar.len() as u64).ok()?;
        (unpacked == tar).then_some(packed)
    }

    /// Keeps a tarball for the next time, when it is a declared one. That it cannot be kept is no reason to stop: it is
    /// packed again then.
    pub fn keep(&self, name: &FileName, packed: &[u8]) {
        if let Some((path, file)) = self.place(name)
            && Sha256::of(packed) == file.digest.sha256
        {
            let _ = files::write(&path, packed);
        }
    }

    fn place(&self, name: &FileName) -> Option<(PathBuf, &SourceFile)> {
        let file = self.declared.iter().find(|file| file.name == *name)?;
        Some((self.folder.join(file.digest.sha256.hex()), file))
    }
}
