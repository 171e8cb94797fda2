//! The files of a commit, by object id (rules S4 and S6), and their manifest.
//!
//! No attribute counts: what is in the blob is what is in the file.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::fmt;

use super::object::{Kind, TreeEntry};
use super::{Repository, SourceError, path};
use crate::domain::{GitOid, Sha256, SourceFolder};

const MOST_FILES: usize = 200_000;
const DEEPEST: usize = 64;
const LARGEST_LINK: usize = 4096;
const LARGEST_LFS_POINTER: usize = 1024;

/// The tree of a folder of `top`, read name by name: what lies beside it is not looked at.
pub(super) fn descend(repository: &Repository, top: &GitOid, folder: &SourceFolder) -> Result<GitOid, SourceError> {
    let mut id = top.clone();
    for name in folder.as_str().split('/') {
        let entries = repository.object(&id, Kind::Tree)?.tree()?;
        let mut named = entries.into_iter().filter(|entry| entry.name == name.as_bytes());
        let refused = |why: &str| SourceError::rule("S6", folder.as_str(), why);
        id = match (named.next(), named.next()) {
            (Some(entry), None) if matches!(entry.mode.as_str(), "40000" | "040000") => entry.id,
            (Some(_), None) => return Err(refused("it is no folder of the tree")),
            (Some(_), Some(_)) => return Err(refused("the tree has this name twice")),
            (None, _) => return Err(refused("the tree has no such folder")),
        };
    }
    Ok(id)
}

/// What a file of a source may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    File,
    Program,
    Link,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File => "100644",
            Self::Program => "100755",
            Self::Link => "120000",
        })
    }
}

/// A file: its mode and its blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct File {
    pub(super) mode: Mode,
    pub(super) id: GitOid,
}

/// All files of a tree, by path, sorted bytewise.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tree {
    pub(super) files: BTreeMap<String, File>,
}

/// The bytes of blobs, each kept once.
#[derive(Debug, Default)]
pub(super) struct Blobs(HashMap<GitOid, (Vec<u8>, Sha256)>);

impl Tree {
    /// Reads a tree object and all below it, level by level.
    pub(super) fn read(repository: &Repository, id: &GitOid) -> Result<Self, SourceError> {
        let mut tree = Self::default();
        let mut level = vec![(String::new(), id.clone())];
        for _ in 0..DEEPEST {
            if level.is_empty() {
                path::refuse_twins(tree.files.keys())?;
                return Ok(tree);
            }
            let (mut folders, ids): (VecDeque<String>, Vec<GitOid>) = level.into_iter().unzip();
            let mut next = Vec::new();
            repository.objects(&ids, &mut |object| {
                let folder = folders.pop_front().unwrap_or_default();
                if object.kind != Kind::Tree {
                    let why = format!("it is a {}, not a tree", object.kind);
                    return Err(SourceError::rule("S3", object.id.as_str(), why));
                }
                tree.take_level(&folder, object.tree()?, &mut next)
            })?;
            level = next;
        }
        Err(SourceError::Limit {
            limit: DEEPEST as u64,
            unit: "levels of folders",
        })
    }

    fn take_level(
        &mut self,
        folder: &str,
        entries: Vec<TreeEntry>,
        next: &mut Vec<(String, GitOid)>,
    ) -> Result<(), SourceError> {
        let mut seen = BTreeSet::new();
        for entry in entries {
            let path = path::below(folder, &entry.name)?;
            // Folders count as well: a few objects may name each other without end.
            if self.files.len() >= MOST_FILES || next.len() >= MOST_FILES {
                return Err(SourceError::Limit {
                    limit: MOST_FILES as u64,
                    unit: "files",
                });
            }
            if !seen.insert(entry.name) {
                return Err(SourceError::rule("S6", &path, "the tree has this name twice"));
            }
            let mode = match entry.mode.as_str() {
                "40000" | "040000" => {
                    next.push((path, entry.id));
                    continue;
                }
                // Old versions of Git wrote 100664; they mean the same.
                "100644" | "100664" => Mode::File,
                "100755" => Mode::Program,
                "120000" => Mode::Link,
                "160000" => {
                    return Err(SourceError::rule(
                        "S4",
                        &path,
                        "it is a submodule: commit its files instead",
                    ));
                }
                mode => return Err(SourceError::rule("S4", &path, format!("its mode is {mode}"))),
            };
            self.files.insert(path, File { mode, id: entry.id });
        }
        Ok(())
    }

    /// The files at or below a folder, with their whole paths.
    pub(super) fn below(&self, folder: &str) -> Self {
        self.select(|path| is_below(path, folder))
    }

    /// The files not below a folder.
    pub(super) fn without(&self, folder: &str) -> Self {
        self.select(|path| !is_below(path, folder))
    }

    fn select(&self, wanted: impl Fn(&str) -> bool) -> Self {
        let files = self.files.iter().filter(|(path, _)| wanted(path));
        Self {
            files: files.map(|(path, file)| (path.clone(), file.clone())).collect(),
        }
    }

    /// The first path, bytewise, at which two trees differ.
    pub(super) fn first_difference(&self, other: &Self) -> Option<String> {
        let paths: BTreeSet<&String> = self.files.keys().chain(other.files.keys()).collect();
        let differs = |path: &&String| self.files.get(*path) != other.files.get(*path);
        paths.into_iter().find(differs).cloned()
    }

    /// `mode SP sha256 SP path NUL` for each file, sorted bytewise by path.
    pub(super) fn manifest(&self, blobs: &Blobs) -> Result<Vec<u8>, SourceError> {
        let mut manifest = Vec::new();
        for (path, file) in &self.files {
            let digest = blobs.digest(&file.id)?;
            manifest.extend_from_slice(format!("{} {digest} {path}\0", file.mode).as_bytes());
        }
        Ok(manifest)
    }
}

impl Blobs {
    /// Reads the blobs of a tree that are not here yet, and looks at each file: links stay inside,
    /// and no file is a Git LFS pointer, which stands for bytes that no signature covers.
    pub(super) fn read(&mut self, repository: &Repository, tree: &Tree) -> Result<(), SourceError> {
        let ids: BTreeSet<&GitOid> = tree.files.values().map(|file| &file.id).collect();
        let missing: Vec<GitOid> = ids.into_iter().filter(|id| !self.0.contains_key(id)).cloned().collect();
        repository.objects(&missing, &mut |object| {
            if object.kind != Kind::Blob {
                let why = format!("it is a {}, not a blob", object.kind);
                return Err(SourceError::rule("S3", object.id.as_str(), why));
            }
            let digest = Sha256::of(&object.bytes);
            self.0.insert(object.id, (object.bytes, digest));
            Ok(())
        })?;
        tree.files.iter().try_for_each(|(path, file)| self.look_at(path, file))
    }

    fn look_at(&self, path: &str, file: &File) -> Result<(), SourceError> {
        let bytes = self.bytes(&file.id)?;
        if file.mode == Mode::Link {
            if bytes.len() > LARGEST_LINK {
                return Err(SourceError::rule("S6", path, "the link's target is too long"));
            }
            return path::refuse_link_outside(path, bytes);
        }
        let pointer = [
            &b"version https://git-lfs.github.com/spec/"[..],
            b"version https://hawser.github.com/spec/",
        ];
        if bytes.len() <= LARGEST_LFS_POINTER && pointer.iter().any(|start| bytes.starts_with(start)) {
            return Err(SourceError::rule(
                "S4",
                path,
                "it is a Git LFS pointer: commit the file itself",
            ));
        }
        Ok(())
    }

    pub(super) fn bytes(&self, id: &GitOid) -> Result<&[u8], SourceError> {
        let missing = || SourceError::rule("S3", id.as_str(), "the object is missing");
        self.0.get(id).map(|(bytes, _)| bytes.as_slice()).ok_or_else(missing)
    }

    pub(super) fn digest(&self, id: &GitOid) -> Result<Sha256, SourceError> {
        let missing = || SourceError::rule("S3", id.as_str(), "the object is missing");
        self.0.get(id).map(|(_, digest)| *digest).ok_or_else(missing)
    }
}

fn is_below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
