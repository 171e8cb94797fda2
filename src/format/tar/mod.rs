//! tar: a strict streaming reader and a deterministic writer.
//!
//! Nothing is ever extracted. The reader takes what GNU tar writes for dpkg-deb and what our own
//! writer writes; everything that two readers could take for two things is refused: v7 headers,
//! base-256 numbers, sparse files, devices, global pax headers, a pax or GNU long name that does
//! not continue the name in the header, a pax size, duplicate paths, paths below a symlink.

mod header;
mod path;
mod reader;
mod writer;

pub use reader::{Limits, read, read_keeping};
pub use writer::{Body, NewEntry, Writer};

use crate::domain::Digest;
use crate::format::elf::Elf;

pub(super) const WHAT: &str = "tar";
pub(super) const BLOCK: usize = 512;

/// One entry of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TarEntry {
    /// Relative, without `./` and without a slash at the end; the archive's root is `.`.
    pub path: String,
    /// What it is.
    pub kind: TarKind,
    /// Permission bits, with setuid (0o4000), setgid (0o2000) and sticky (0o1000).
    pub mode: u32,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// Owner's name; may be empty.
    pub user: String,
    /// Group's name; may be empty.
    pub group: String,
    /// Seconds since 1970.
    pub mtime: u64,
    /// What was found in a regular file that is an ELF file.
    pub elf: Option<Elf>,
    /// The bytes of a regular file, when the reader was told to keep them.
    pub content: Option<Vec<u8>>,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TarKind {
    /// A regular file, with the digest of its content.
    File(Digest),
    /// A directory.
    Directory,
    /// A symlink, with its target as it stands: nothing was resolved.
    Symlink(String),
    /// One more name of a regular file that stands before it in the same archive.
    Hardlink {
        /// The path of that file.
        target: String,
        /// Its content.
        digest: Digest,
    },
}

impl TarEntry {
    /// The content's digest, for files and hard links.
    #[must_use]
    pub fn digest(&self) -> Option<&Digest> {
        match &self.kind {
            TarKind::File(digest) | TarKind::Hardlink { digest, .. } => Some(digest),
            TarKind::Directory | TarKind::Symlink(_) => None,
        }
    }

    /// Whether it runs with its owner's or group's rights: a file with setuid or setgid.
    #[must_use]
    pub fn is_privileged(&self) -> bool {
        self.digest().is_some() && self.mode & 0o6000 != 0
    }
}
