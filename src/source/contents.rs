//! What is in a tree or in upstream tarballs, so that the two can be compared (rule S7). Pure.
//!
//! Only what a source package takes over counts: paths, content, and whether a file may be run. Folders
//! that hold nothing are not compared: Git has none.

use std::collections::{BTreeMap, BTreeSet};

use super::SourceError;
use super::tree::{Blobs, Mode, Tree};
use crate::domain::{FileName, Sha256, escape};
use crate::format::compress::{Compression, reader};
use crate::format::tar::{Limits, TarEntry, TarKind, read};

const LARGEST: u64 = 4 << 30;
const MOST_ENTRIES: u64 = 400_000;

/// Files by path, with mode and SHA-256 of their content.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Contents(BTreeMap<String, (Mode, Sha256)>);

impl Contents {
    pub(super) fn of_tree(tree: &Tree, blobs: &Blobs) -> Result<Self, SourceError> {
        let file =
            |(path, file): (&String, &super::tree::File)| Ok((path.clone(), (file.mode, blobs.digest(&file.id)?)));
        tree.files.iter().map(file).collect::<Result<_, _>>().map(Self)
    }

    /// Of one tarball, without the folder that all of it is in, as dpkg-source unpacks it; or why it
    /// cannot be read.
    pub(super) fn of_tarball(name: &FileName, bytes: &[u8]) -> Result<Self, String> {
        let compression = Compression::of_name(name.as_str());
        if compression == Compression::Plain {
            return Err(format!("`{name}` is compressed in a way that is not read here"));
        }
        let limits = Limits {
            bytes: LARGEST,
            entries: MOST_ENTRIES,
            keep_content: false,
            pax: true,
            foreign: true,
        };
        let stream = reader(compression, bytes, LARGEST).map_err(|error| error.to_string())?;
        let entries = read(stream, &limits).map_err(|error| error.to_string())?;
        let top = common_folder(&entries);
        let mut files = BTreeMap::new();
        for entry in &entries {
            let path = match &top {
                Some(top) => entry.path.strip_prefix(top.as_str()).unwrap_or(&entry.path),
                None => &entry.path,
            };
            let path = path.trim_start_matches('/');
            let found = match &entry.kind {
                TarKind::Directory => continue,
                TarKind::Symlink(target) => (Mode::Link, Sha256::of(target.as_bytes())),
                TarKind::File(digest) | TarKind::Hardlink { digest, .. } => match entry.mode & 0o111 {
                    0 => (Mode::File, digest.sha256),
                    _ => (Mode::Program, digest.sha256),
                },
            };
            files.insert(path.to_owned(), found);
        }
        Ok(Self(files))
    }

    /// Of all tarballs of a source package: `.orig-PART` is unpacked into the folder `PART`, in place of
    /// what the main one has there.
    pub(super) fn of_tarballs(tarballs: &[(FileName, Vec<u8>)]) -> Result<Self, String> {
        let (mut all, mut parts) = (Self::default(), Vec::new());
        for (name, bytes) in tarballs {
            let contents = Self::of_tarball(name, bytes)?;
            match part_of(name.as_str()) {
                None => all = contents,
                Some(part) => parts.push((part.to_owned(), contents)),
            }
        }
        for (part, contents) in parts {
            all = all.without(&part);
            let below = contents
                .0
                .into_iter()
                .map(|(path, file)| (format!("{part}/{path}"), file));
            all.0.extend(below);
        }
        Ok(all)
    }

    /// Without what is at or below a folder.
    pub(super) fn without(mut self, folder: &str) -> Self {
        self.0.retain(|path, _| {
            let rest = path.strip_prefix(folder);
            !rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        });
        self
    }

    /// The first path, bytewise, at which this differs from what is tagged, and how.
    pub(super) fn first_difference(&self, tagged: &Self) -> Option<String> {
        let paths: BTreeSet<&String> = self.0.keys().chain(tagged.0.keys()).collect();
        paths.into_iter().find_map(|path| {
            let shown = escape(path);
            match (self.0.get(path), tagged.0.get(path)) {
                (Some(a), Some(b)) if a == b => None,
                (Some((_, a)), Some((_, b))) if a == b => Some(format!("`{shown}` has another mode")),
                (Some(_), Some(_)) => Some(format!("`{shown}` has other content")),
                (Some(_), None) => Some(format!("`{shown}` is added")),
                _ => Some(format!("`{shown}` is missing")),
            }
        })
    }
}

/// The one folder that all entries are in, when there is one.
fn common_folder(entries: &[TarEntry]) -> Option<String> {
    let first = |path: &str| path.split('/').next().unwrap_or_default().to_owned();
    let mut tops = entries
        .iter()
        .filter(|entry| entry.path != ".")
        .map(|entry| first(&entry.path));
    let top = tops.next()?;
    let is_folder = |entry: &TarEntry| entry.path != top || entry.kind == TarKind::Directory;
    (tops.all(|other| other == top) && entries.iter().all(is_folder)).then_some(top)
}

fn part_of(name: &str) -> Option<&str> {
    let (_, rest) = name.split_once(".orig-")?;
    rest.split_once(".tar.").map(|(part, _)| part)
}
