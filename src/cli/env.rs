//! `assay env`: build the chroot of an environment. Locks are made in `env_lock`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Subcommand};

use super::args::Declared;
use super::context::Context;
use super::failure::Failure;
use super::work::Work;
use crate::domain::{Architecture, Sha256};
use crate::environment::{
    ChrootJob, EnvironmentError, Lock, LockedChroot, LockedPackage, SnapshotInput, build_chroot, locked_archive,
    locked_inputs, set_digest,
};
use crate::host::{TempFolder, files};
use crate::serve::{Overlays, Running};
use crate::trust::ArchiveKey;

/// Lock, build and compare environments
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  assay env lock hello\n  assay env build hello\n  assay env diff old.lock repos/custom/hello.lock"
)]
pub(super) struct EnvArgs {
    #[command(subcommand)]
    verb: EnvVerb,
}

#[derive(Debug, Subcommand)]
enum EnvVerb {
    Lock(super::env_lock::LockArgs),
    /// Build the chroot again from the lock and compare its digest
    #[command(after_help = "Example:\n  assay env build hello")]
    Build(Declared),
    Diff(super::env_diff::EnvDiffArgs),
    Recreate(super::env_recreate::RecreateArgs),
}

pub(super) fn run(context: &Context, args: &EnvArgs) -> Result<ExitCode, Failure> {
    match &args.verb {
        EnvVerb::Lock(args) => super::env_lock::run(context, args),
        EnvVerb::Build(declared) => build(context, declared),
        EnvVerb::Diff(args) => super::env_diff::run(context, args),
        EnvVerb::Recreate(args) => super::env_recreate::run(context, args),
    }
}

fn build(context: &Context, args: &Declared) -> Result<ExitCode, Failure> {
    let work = Work::open(context, args.archive.as_ref())?;
    for name in &args.names {
        let (lock, sha256) = work.lock(name)?;
        let made = rebuild_chroot(context, &work, &lock)?;
        check(&lock, &made)?;
        show(context, name.as_str(), &lock, &sha256)?;
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn show(context: &Context, name: &str, lock: &Lock, sha256: &Sha256) -> Result<(), Failure> {
    let value = serde_json::json!({
        "source": name, "lock": sha256, "packages": lock.packages.len(), "chroot": lock.chroot.tar_sha256,
    });
    let text = format!(
        "{name} lock {sha256} {} packages chroot {}",
        lock.packages.len(),
        lock.chroot.tar_sha256
    );
    context.output.record(&value, &text)
}

/// The chroot that a lock names, from the cache or built anew.
pub(super) fn locked_chroot(context: &Context, work: &Work, lock: &Lock) -> Result<PathBuf, Failure> {
    let tar = tar_path(work, &lock.chroot.tar_sha256);
    if !files::exists(&tar) {
        let made = rebuild_chroot(context, work, lock)?;
        check(lock, &made)?;
    }
    Ok(tar)
}

/// The same lock gives the same bytes, or something is not what it says; with another mmdebstrap that
/// may be why.
pub(super) fn check(lock: &Lock, made: &LockedChroot) -> Result<(), Failure> {
    let locked = &lock.chroot;
    if made.tar_sha256 == locked.tar_sha256 {
        return Ok(());
    }
    let mut difference = format!("the chroot's SHA-256 is {}, not {}", made.tar_sha256, locked.tar_sha256);
    if made.tool_version != locked.tool_version {
        difference.push_str(&format!(
            "; it was made by {} {}, not {}",
            made.tool, made.tool_version, locked.tool_version
        ));
    }
    Err(EnvironmentError::NotTheLock { difference }.into())
}

fn rebuild_chroot(context: &Context, work: &Work, lock: &Lock) -> Result<LockedChroot, Failure> {
    let inputs = locked_inputs(work.store.as_ref(), lock)?;
    chroot(context, work, &Set::of(lock, &inputs))
}

fn tar_path(work: &Work, sha256: &Sha256) -> PathBuf {
    work.site.cache().join("chroots").join(format!("{sha256}.tar"))
}

/// What a chroot is made of.
pub(super) struct Set<'a> {
    pub(super) architecture: &'a Architecture,
    pub(super) packages: &'a [LockedPackage],
    pub(super) inputs: &'a [SnapshotInput],
    pub(super) source_date_epoch: i64,
}

impl<'a> Set<'a> {
    pub(super) fn of(lock: &'a Lock, inputs: &'a [SnapshotInput]) -> Self {
        Self {
            architecture: &lock.architecture,
            packages: &lock.packages,
            inputs,
            source_date_epoch: lock.chroot.source_date_epoch,
        }
    }
}

/// Builds a chroot through a server of our own that offers exactly these packages, and keeps it.
pub(super) fn chroot(context: &Context, work: &Work, set: &Set<'_>) -> Result<LockedChroot, Failure> {
    let temp = TempFolder::below(&work.site.cache().join("work"))?;
    let output = temp.path().join("chroot.tar");
    let listen = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let start = |overlays| super::serve::start(context, &work.site, Arc::clone(&work.store), listen, overlays);
    let made = chroot_at(context, set, start, temp.path(), &output)?;
    keep(&output, &tar_path(work, &made.tar_sha256))?;
    Ok(made)
}

/// Builds a chroot at a path; `start` starts the server that has the packages' files.
pub(super) fn chroot_at(
    context: &Context,
    set: &Set<'_>,
    start: impl FnOnce(Overlays) -> Result<Running, Failure>,
    folder: &Path,
    output: &Path,
) -> Result<LockedChroot, Failure> {
    let digest = set_digest(set.architecture, set.packages)?;
    // Vouches for nothing but this one transfer: the lock's hashes are what is trusted.
    let now = context.now();
    let key = ArchiveKey::generate("Assay locked archive", now)?;
    let archive = locked_archive(set.architecture, set.packages, set.inputs, &key, now)?;
    let overlays = Overlays::default();
    overlays.add(digest, archive.files, archive.pool);
    let server = start(overlays)?;
    let bar = context
        .progress
        .waiting(&format!("building a chroot of {} packages", set.packages.len()));
    let made = build_chroot(&ChrootJob {
        base_url: &format!("{}/env/{digest}/", server.url()),
        certificate: &key.certificate_armored()?,
        architecture: set.architecture,
        packages: set.packages,
        source_date_epoch: set.source_date_epoch,
        output_tar: output,
        work: folder,
        log: &folder.join("mmdebstrap.log"),
    });
    bar.finish();
    Ok(made?)
}

fn keep(made: &Path, kept: &Path) -> Result<(), Failure> {
    if let Some(folder) = kept.parent() {
        files::create_folder(folder)?;
    }
    Ok(files::rename(made, kept)?)
}
