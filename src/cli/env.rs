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
    self, ChrootJob, Lock, LockedChroot, LockedPackage, SnapshotInput, build_chroot, locked_archive, locked_inputs,
    set_digest,
};
use crate::host::{TempFolder, files};
use crate::serve::Overlays;
use crate::trust::ArchiveKey;

/// Lock, build and compare environments
#[derive(Debug, Args)]
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
}

pub(super) fn run(context: &Context, args: &EnvArgs) -> Result<ExitCode, Failure> {
    match &args.verb {
        EnvVerb::Lock(args) => super::env_lock::run(context, args),
        EnvVerb::Build(declared) => build(context, declared),
        EnvVerb::Diff(args) => super::env_diff::run(context, args),
    }
}

fn build(context: &Context, args: &Declared) -> Result<ExitCode, Failure> {
    let work = Work::open(context, args.archive.as_ref())?;
    for name in &args.names {
        let (lock, sha256) = work.lock(name)?;
        let made = rebuild_chroot(context, &work, &lock)?;
        if made.tar_sha256 != lock.chroot.tar_sha256 {
            let difference = format!(
                "the chroot's SHA-256 is {}, not {}",
                made.tar_sha256, lock.chroot.tar_sha256
            );
            return Err(environment::EnvironmentError::NotTheLock { difference }.into());
        }
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
        if made.tar_sha256 != lock.chroot.tar_sha256 {
            let difference = format!(
                "the chroot's SHA-256 is {}, not {}",
                made.tar_sha256, lock.chroot.tar_sha256
            );
            return Err(environment::EnvironmentError::NotTheLock { difference }.into());
        }
    }
    Ok(tar)
}

fn rebuild_chroot(context: &Context, work: &Work, lock: &Lock) -> Result<LockedChroot, Failure> {
    let inputs = locked_inputs(work.store.as_ref(), lock)?;
    chroot(
        context,
        work,
        &lock.architecture,
        &lock.packages,
        &inputs,
        lock.chroot.source_date_epoch,
    )
}

fn tar_path(work: &Work, sha256: &Sha256) -> PathBuf {
    work.site.cache().join("chroots").join(format!("{sha256}.tar"))
}

/// Builds a chroot through a server of our own that offers exactly these packages, and keeps it.
pub(super) fn chroot(
    context: &Context,
    work: &Work,
    architecture: &Architecture,
    packages: &[LockedPackage],
    inputs: &[SnapshotInput],
    source_date_epoch: i64,
) -> Result<LockedChroot, Failure> {
    let digest = set_digest(architecture, packages)?;
    // Vouches for nothing but this one transfer: the lock's hashes are what is trusted.
    let key = ArchiveKey::generate("Assay locked archive", work.now)?;
    let archive = locked_archive(architecture, packages, inputs, &key, work.now)?;
    let overlays = Overlays::default();
    overlays.add(digest, archive.files);
    let listen = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let server = super::serve::start(context, &work.site, Arc::clone(&work.store), listen, overlays)?;

    let temp = TempFolder::below(&work.site.cache().join("work"))?;
    let output_tar = temp.path().join("chroot.tar");
    let bar = context
        .progress
        .waiting(&format!("building a chroot of {} packages", packages.len()));
    let made = build_chroot(&ChrootJob {
        base_url: &format!("{}/env/{digest}/", server.url()),
        certificate: &key.certificate_armored()?,
        architecture,
        packages,
        source_date_epoch,
        output_tar: &output_tar,
        work: temp.path(),
        log: &temp.path().join("mmdebstrap.log"),
    });
    bar.finish();
    let made = made?;
    keep(&output_tar, &tar_path(work, &made.tar_sha256))?;
    Ok(made)
}

fn keep(made: &Path, kept: &Path) -> Result<(), Failure> {
    if let Some(folder) = kept.parent() {
        files::create_folder(folder)?;
    }
    Ok(files::rename(made, kept)?)
}
