//! `assay env`: lock and build environments.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use super::args::{Declared, EnvArgs, EnvVerb};
use super::context::Context;
use super::failure::{Failure, UsageError};
use super::work::Work;
use crate::domain::{Architecture, Sha256, SnapshotName, SnapshotRef};
use crate::environment::{
    self, ChrootJob, Lock, LockedChroot, LockedPackage, SnapshotInput, build_chroot, locked_archive, locked_inputs,
    set_digest, snapshot_input,
};
use crate::format::json;
use crate::host::{TempFolder, files};
use crate::publish::load_vouched;
use crate::serve::Overlays;
use crate::trust::ArchiveKey;

pub(super) fn run(context: &Context, args: &EnvArgs) -> Result<ExitCode, Failure> {
    match &args.verb {
        EnvVerb::Lock { declared, snapshots } => lock(context, declared, snapshots),
        EnvVerb::Build(declared) => build(context, declared),
    }
}

fn lock(context: &Context, args: &Declared, snapshots: &[SnapshotRef]) -> Result<ExitCode, Failure> {
    let work = Work::open(context, args.archive.as_ref())?;
    let architecture = work.custom.architectures.iter().find(|a| !a.is_all()).ok_or_else(|| {
        UsageError::Argument(format!(
            "the archive `{}` has no architecture to build on",
            work.archive
        ))
    })?;
    // The snapshots must not go before the lock that keeps them is written.
    let mut working = Vec::new();
    for source in &work.custom.environment {
        working.push(context.writing(&work.store, &source.archive, "env lock")?);
    }
    let inputs = inputs(&work, snapshots, architecture)?;
    for name in &args.names {
        let declared = work.declared(name)?;
        let wanted = environment::wanted(&declared.declaration.build_depends)?;
        let temp = TempFolder::below(&work.site.cache().join("work"))?;
        let bar = context
            .progress
            .waiting(&format!("resolving the environment of {name}"));
        let packages = environment::resolve(&inputs, &wanted, architecture, temp.path());
        bar.finish();
        let packages = packages?;
        let epoch = newest_date(&inputs);
        let chroot = chroot(context, &work, architecture, &packages, &inputs, epoch)?;
        let lock = Lock {
            format: 1,
            architecture: architecture.clone(),
            snapshots: inputs.iter().map(|input| input.locked.clone()).collect(),
            wanted,
            packages,
            chroot,
        };
        let canonical = json::canonical("environment lock", &lock)?;
        let path = work.site.lock_path(&work.archive, name);
        files::write(&path, &[canonical.as_slice(), b"\n"].concat())?;
        show(context, name.as_str(), &lock, &Sha256::of(&canonical))?;
        context.output.note(&format!(
            "wrote {}; next: commit it, then `assay rebuild {name}`",
            path.display()
        ));
    }
    drop(working);
    Ok(ExitCode::SUCCESS)
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

fn show(context: &Context, name: &str, lock: &Lock, sha256: &Sha256) -> Result<(), Failure> {
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

/// The snapshots that the archive's environments are resolved from.
fn inputs(work: &Work, snapshots: &[SnapshotRef], architecture: &Architecture) -> Result<Vec<SnapshotInput>, Failure> {
    let mut inputs = Vec::new();
    for source in &work.custom.environment {
        let named = snapshots.iter().find(|reference| reference.archive == source.archive);
        let name = named.map_or(&SnapshotName::Latest, |reference| &reference.name);
        // The newest may be anybody's who can write to the store: only ours is built on.
        let keyring = work
            .site
            .archive_keyring(work.site.archive(&source.archive)?.signing_key())?;
        let chain = load_vouched(work.store.as_ref(), &source.archive, &keyring)?;
        let record = chain.resolve(work.store.as_ref(), name)?;
        inputs.push(snapshot_input(
            work.store.as_ref(),
            &record,
            &source.suite,
            &source.components,
            architecture,
        )?);
    }
    Ok(inputs)
}

/// The newest instant that upstream vouches for: no file of the chroot is younger.
fn newest_date(inputs: &[SnapshotInput]) -> i64 {
    let dates = inputs
        .iter()
        .map(|input| input.locked.release_date.unwrap_or(input.locked.id.timestamp()));
    dates.max().map_or(0, crate::domain::Timestamp::unix)
}

/// Builds a chroot through a server of our own that offers exactly these packages, and keeps it.
fn chroot(
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
