//! The files of a source package, made from trees: the same trees give the same bytes.

use std::collections::BTreeSet;

use super::debian::Debian;
use super::dsc;
use super::orig::{Side, file_name};
use super::tree::{Blobs, Mode, Tree};
use super::{Packed, SourceError, derive::SourcePackage};
use crate::domain::{FileName, Timestamp};
use crate::format::FormatError;
use crate::format::compress::{Compression, compress};
use crate::format::tar::{Body, NewEntry, Writer};

/// Makes the source package of a tree. With `upstream` it is `3.0 (quilt)`.
///
/// The .orig tarball depends on upstream's tag alone, so that every Debian revision has the same one.
pub(super) fn make(
    debian: &Debian,
    tree: &Tree,
    blobs: &Blobs,
    upstream: Option<Side>,
    packed: Option<Packed<'_>>,
) -> Result<SourcePackage, SourceError> {
    let source = &debian.control.name;
    let version = &debian.head.version;
    let stem = format!("{source}_{}", version.without_epoch());
    let mut tarballs = Vec::new();
    match upstream {
        Some(side) => {
            let packaging = tree.below("debian");
            let name = file_name(format!("{stem}.debian.tar.xz"))?;
            tarballs.push(tarball(
                name,
                &tar(&packaging, blobs, None, debian.head.date, &[])?,
                packed,
            )?);
            match side {
                Side::Kept(kept) => tarballs.extend(kept),
                Side::Tree { tree, date } => {
                    let folder = format!("{source}-{}", version.upstream());
                    let name = file_name(format!("{source}_{}.orig.tar.xz", version.upstream()))?;
                    tarballs.push(tarball(name, &tar(&tree, blobs, Some(&folder), date, &[])?, packed)?);
                }
            }
        }
        None => {
            let folder = format!("{source}-{}", version.without_epoch());
            let name = file_name(format!("{stem}.tar.xz"))?;
            tarballs.push(tarball(
                name,
                &tar(tree, blobs, Some(&folder), debian.head.date, &[])?,
                packed,
            )?);
        }
    }
    tarballs.sort();
    let mut files = vec![(file_name(format!("{stem}.dsc"))?, dsc::dsc(debian, &tarballs)?)];
    files.append(&mut tarballs);
    Ok(SourcePackage {
        files,
        manifest: tree.manifest(blobs)?,
    })
}

/// A tar archive as an .xz tarball of this name, which may have been packed before.
fn tarball(name: FileName, tar: &[u8], packed: Option<Packed<'_>>) -> Result<(FileName, Vec<u8>), SourceError> {
    if let Some(before) = packed.and_then(|packed| packed.of(&name, tar)) {
        return Ok((name, before));
    }
    let made = compress(Compression::Xz, tar).map_err(in_tar("the compressed tarball"))?;
    if let Some(packed) = packed {
        packed.keep(&name, &made);
    }
    Ok((name, made))
}

/// A tree as a tar archive, below `top` when there is one, and then `more` files. Sorted bytewise by path,
/// a folder before what is in it; one time for all.
pub(super) fn tar(
    tree: &Tree,
    blobs: &Blobs,
    top: Option<&str>,
    date: Timestamp,
    more: &[(&str, Mode, &[u8])],
) -> Result<Vec<u8>, SourceError> {
    let mut writer = Writer::new(Vec::new());
    let mut folders: BTreeSet<String> = BTreeSet::new();
    let mtime = date.unix_u64();
    for (path, file) in &tree.files {
        let path = match top {
            Some(top) => format!("{top}/{path}"),
            None => path.clone(),
        };
        for (at, _) in path.match_indices('/') {
            let folder = path.get(..at).unwrap_or_default();
            if folders.insert(folder.to_owned()) {
                let entry = NewEntry {
                    path: folder,
                    mode: 0o755,
                    mtime,
                    body: Body::Directory,
                };
                writer.append(&entry).map_err(in_tar(folder))?;
            }
        }
        append(&mut writer, (&path, file.mode, blobs.bytes(&file.id)?), mtime)?;
    }
    for file in more {
        append(&mut writer, *file, mtime)?;
    }
    writer.finish().map_err(in_tar("the end"))
}

fn append(
    writer: &mut Writer<Vec<u8>>,
    (path, mode, bytes): (&str, Mode, &[u8]),
    mtime: u64,
) -> Result<(), SourceError> {
    let (mode, body) = match mode {
        Mode::File => (0o644, Body::File(bytes)),
        Mode::Program => (0o755, Body::File(bytes)),
        Mode::Link => (0o777, Body::Symlink(link(path, bytes)?)),
    };
    let entry = NewEntry {
        path,
        mode,
        mtime,
        body,
    };
    writer.append(&entry).map_err(in_tar(path))
}

fn link<'a>(path: &str, target: &'a [u8]) -> Result<&'a str, SourceError> {
    std::str::from_utf8(target).map_err(|_| SourceError::rule("S6", path, "the link's target is not UTF-8"))
}

fn in_tar(path: &str) -> impl FnOnce(FormatError) -> SourceError {
    let path = path.to_owned();
    move |source| SourceError::File { path, source }
}
