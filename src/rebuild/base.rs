//! The base: a locked chroot, unpacked once and kept, below which each build lays its own overlay.
//!
//! Nothing ever writes into a base after it is in its place. It gets there by a rename, so a crash
//! leaves a temporary folder and no half base.

use std::path::{Path, PathBuf};

use super::RebuildError;
use crate::domain::Sha256;
use crate::environment::chroot::sha256_of;
use crate::environment::namespace;
use crate::host::{TempFolder, files};

/// The unpacked chroot of this digest; unpacks `tar` when it is not there yet.
pub(super) fn unpacked(tar: &Path, sha256: &Sha256, cache: &Path) -> Result<PathBuf, RebuildError> {
    // Owners on disk depend on who unpacked: root's base is of no use to an ordinary user.
    let user = rustix::process::geteuid().as_raw();
    let base = cache.join(format!("base-{user}")).join(sha256.hex());
    if files::is_folder(&base) {
        return Ok(files::absolute(&base)?);
    }
    let tar = checked(tar, sha256)?;
    let parent = cache.join(format!("base-{user}"));
    let folder = TempFolder::below(&parent)?;
    let root = folder.path().join("root");
    files::create_folder(&root)?;
    let unpacked = unpack(&tar, &root);
    let placed = unpacked.and_then(|()| match files::rename(&root, &base) {
        // Another process was faster, with the same bytes.
        Err(_) if files::is_folder(&base) => Ok(()),
        done => done.map_err(RebuildError::from),
    });
    namespace::remove_folder(folder.path())?;
    placed?;
    Ok(files::absolute(&base)?)
}

/// The chroot's tar archive, when it has this digest.
pub(super) fn checked(tar: &Path, sha256: &Sha256) -> Result<PathBuf, RebuildError> {
    let found = sha256_of(tar)?;
    if found == *sha256 {
        return Ok(files::absolute(tar)?);
    }
    Err(RebuildError::Chroot {
        found: found.hex(),
        wanted: sha256.hex(),
    })
}

/// Devices are left out: an ordinary user cannot make them, and each build gets a `/dev` of its own.
fn unpack(tar: &Path, root: &Path) -> Result<(), RebuildError> {
    namespace::enter(&[])
        .args([
            "tar",
            "--extract",
            "--preserve-permissions",
            "--same-owner",
            "--numeric-owner",
        ])
        .args(["--exclude=./dev/*", "--file"])
        .arg(files::absolute(tar)?)
        .arg("--directory")
        .arg(root)
        .timeout(1800)
        .run()?;
    Ok(())
}
