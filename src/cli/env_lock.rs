//! `assay env lock`: resolve build dependencies from snapshots, and write the lock.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::args::Declared;
use super::context::Context;
use super::env::{Set, chroot, show};
use super::failure::{Failure, UsageError};
use super::work::{Unframed, Work};
use crate::domain::{Architecture, ArchiveName, Kind, PackageName, Sha256, SnapshotName, SnapshotRef};
use crate::environment::{
    self, Lock, LockedBuildinfo, LockedPackage, Recorded, Searched, SnapshotInput, find_recorded, snapshot_input,
};
use crate::format::buildinfo::Buildinfo;
use crate::format::json;
use crate::host::{TempFolder, files};
use crate::publish::load_vouched;
use crate::site::EnvironmentSource;
use crate::snapshot::Chain;

/// Resolve build dependencies from snapshots and write `repos/<archive>/<source>.lock`
///
/// With `--buildinfo` the environment is the one that a build had: every package in exactly the version
/// that the file records, out of the snapshots that have them, and beside them what it leaves out (apt,
/// fakeroot, and all that is Essential or of priority `required`) from the same snapshots. Prints how
/// many packages each snapshot gave, with `-v` each package. What no snapshot has is printed, one a line,
/// with exit 1, and no lock is written.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  assay env lock hello\n  assay env lock hello --snapshot debian@2026112201 --snapshot custom\n  assay env lock hello --buildinfo hello_2.10-3_amd64.buildinfo"
)]
pub(super) struct LockArgs {
    #[command(flatten)]
    declared: Declared,
    /// The snapshots to resolve from, by id, serial, tag or any timestamp [default: the latest of each
    /// archive; with `--buildinfo`: whichever have the packages]
    #[arg(long = "snapshot", value_name = "REF")]
    snapshots: Vec<SnapshotRef>,
    /// What a build had installed
    #[arg(long, value_name = "FILE")]
    buildinfo: Option<PathBuf>,
}

/// What is locked: out of which snapshots, and why these.
struct Resolved {
    inputs: Vec<SnapshotInput>,
    packages: Vec<LockedPackage>,
    buildinfo: Option<LockedBuildinfo>,
}

#[derive(Serialize)]
struct NotFound<'a> {
    missing: &'a PackageName,
    version: &'a str,
}

#[derive(Serialize)]
struct From<'a> {
    source: &'a PackageName,
    archive: &'a str,
    serial: &'a str,
    suite: &'a str,
    recorded: usize,
    added: usize,
}

#[derive(Serialize)]
struct Package<'a> {
    package: &'a LockedPackage,
    recorded: bool,
}

/// Locks one source, out of these snapshots where they are of archives that it is built from.
pub(super) fn lock(
    context: &Context,
    archive: &ArchiveName,
    source: &PackageName,
    snapshots: Vec<SnapshotRef>,
) -> Result<(), Failure> {
    let declared = Declared {
        names: vec![source.clone()],
        archive: Some(archive.clone()),
    };
    let args = LockArgs {
        declared,
        snapshots,
        buildinfo: None,
    };
    run(context, &args).map(|_| ())
}

pub(super) fn run(context: &Context, args: &LockArgs) -> Result<ExitCode, Failure> {
    let declared = &args.declared;
    let work = Work::open(context, declared.archive.as_ref())?;
    let architecture = work.custom.architectures.iter().find(|a| !a.is_all()).ok_or_else(|| {
        UsageError::Argument(format!(
            "the archive `{}` has no architecture to build on",
            work.archive
        ))
    })?;
    if let Some(other) = args.snapshots.iter().find(|one| !is_source(&work, one)) {
        let why = format!(
            "`{}` is no `environment` of the archive `{}`",
            other.archive, work.archive
        );
        return Err(UsageError::Argument(why).into());
    }
    // The snapshots must not go before the lock that keeps them is written.
    let mut working = Vec::new();
    for source in &work.custom.environment {
        working.push(context.writing(&work.store, &source.archive, "env lock")?);
    }
    let recorded = match &args.buildinfo {
        Some(path) => Some(recorded(context, &work, args, path, architecture)?),
        None => None,
    };
    if let Some((found, _)) = &recorded
        && !found.missing.is_empty()
    {
        return not_found(context, found);
    }
    let latest = match &recorded {
        Some(_) => Vec::new(),
        None => inputs(context, &work, &args.snapshots, architecture)?,
    };
    for name in &declared.names {
        let declaration = work.declared(name)?.declaration;
        let wanted = environment::wanted(&declaration.build_depends)?;
        let temp = TempFolder::below(&work.site.cache().join("work"))?;
        let bar = context
            .progress
            .waiting(&format!("resolving the environment of {name}"));
        let resolved = match &recorded {
            None => environment::resolve(&latest, &wanted, architecture, temp.path()).map(|packages| Resolved {
                inputs: latest.clone(),
                packages,
                buildinfo: None,
            }),
            Some((found, of)) => found
                .resolve(&wanted, architecture, temp.path())
                .map(|(packages, extras)| Resolved {
                    inputs: found.inputs.clone(),
                    packages,
                    buildinfo: Some(LockedBuildinfo { extras, ..of.clone() }),
                }),
        };
        bar.finish();
        let resolved = resolved?;
        let epoch = newest_date(&resolved.inputs);
        let set = Set {
            architecture,
            packages: &resolved.packages,
            inputs: &resolved.inputs,
            source_date_epoch: epoch,
        };
        let chroot = chroot(context, &work, &set)?;
        let lock = Lock {
            format: 1,
            architecture: architecture.clone(),
            snapshots: resolved.inputs.iter().map(|input| input.locked.clone()).collect(),
            wanted,
            buildinfo: resolved.buildinfo,
            packages: resolved.packages,
            chroot,
        };
        let canonical = json::canonical("environment lock", &lock)?;
        let path = work.site.lock_path(&work.archive, name);
        files::write(&path, &[canonical.as_slice(), b"\n"].concat())?;
        show(context, name.as_str(), &lock, &Sha256::of(&canonical))?;
        show_origins(context, name, &lock)?;
        context.output.note(&format!(
            "wrote {}; next: commit it, then `assay rebuild {name}`",
            path.display()
        ));
    }
    drop(working);
    Ok(ExitCode::SUCCESS)
}

fn is_source(work: &Work, reference: &SnapshotRef) -> bool {
    let mut sources = work.custom.environment.iter();
    sources.any(|source| source.archive == reference.archive)
}

/// The snapshots that have what a `.buildinfo` records.
fn recorded(
    context: &Context,
    work: &Work,
    args: &LockArgs,
    path: &std::path::Path,
    architecture: &Architecture,
) -> Result<(Recorded, LockedBuildinfo), Failure> {
    let file = Unframed::read(path)?;
    let buildinfo = Buildinfo::parse(&file.text)?;
    let mut searched = Vec::new();
    for source in &work.custom.environment {
        let chain = vouched(work, source)?;
        let only = named(&args.snapshots, source).cloned();
        if only.is_some() || !chain.is_empty() {
            searched.push(Searched {
                chain,
                source: source.clone(),
                only,
            });
        }
    }
    let bar = context.progress.waiting("looking for snapshots");
    let found = find_recorded(work.store.as_ref(), &searched, &buildinfo, architecture);
    bar.finish();
    let of = LockedBuildinfo {
        sha256: file.sha256,
        source: buildinfo.source,
        version: buildinfo.source_version,
        extras: Vec::new(),
    };
    Ok((found?, of))
}

fn not_found(context: &Context, found: &Recorded) -> Result<ExitCode, Failure> {
    for one in &found.missing {
        let shown = NotFound {
            missing: &one.package,
            version: one.version.as_str(),
        };
        context
            .output
            .record(&shown, &format!("not found: {} {}", one.package, one.version))?;
    }
    context.output.note(&format!(
        "{} packages are in no snapshot of this archive's environment: no lock was written.",
        found.missing.len()
    ));
    Ok(ExitCode::from(Kind::Refused.exit_code()))
}

/// How many packages came from where; with `-v` which.
fn show_origins(context: &Context, name: &PackageName, lock: &Lock) -> Result<(), Failure> {
    let Some(buildinfo) = &lock.buildinfo else {
        return Ok(());
    };
    let is_recorded = |package: &LockedPackage| !buildinfo.extras.contains(&package.package);
    for snapshot in &lock.snapshots {
        let here = |p: &&LockedPackage| (&p.archive, &p.suite) == (&snapshot.archive, &snapshot.suite);
        let (recorded, added): (Vec<_>, Vec<_>) = lock.packages.iter().filter(here).partition(|p| is_recorded(p));
        let from = From {
            source: name,
            archive: snapshot.archive.as_str(),
            serial: snapshot.serial.as_str(),
            suite: snapshot.suite.as_str(),
            recorded: recorded.len(),
            added: added.len(),
        };
        let text = format!(
            " {}@{} {}: {} recorded, {} added",
            from.archive, from.serial, from.suite, from.recorded, from.added
        );
        context.output.record(&from, &text)?;
    }
    for package in lock.packages.iter().filter(|_| context.verbose) {
        let recorded = is_recorded(package);
        let word = if recorded { "recorded" } else { "added" };
        let text = format!(
            " {word} {} {} {} {}/{} {}",
            package.package, package.version, package.architecture, package.archive, package.suite, package.sha256
        );
        context.output.record(&Package { package, recorded }, &text)?;
    }
    Ok(())
}

fn named<'a>(snapshots: &'a [SnapshotRef], source: &EnvironmentSource) -> Option<&'a SnapshotName> {
    let found = snapshots.iter().find(|reference| reference.archive == source.archive);
    found.map(|reference| &reference.name)
}

/// The newest may be anybody's who can write to the store: only ours is built on.
fn vouched(work: &Work, source: &EnvironmentSource) -> Result<Chain, Failure> {
    let keyring = work.site.archive_keyring(&source.archive)?;
    Ok(load_vouched(work.store.as_ref(), &source.archive, &keyring)?)
}

/// The snapshots that the archive's environments are resolved from.
fn inputs(
    context: &Context,
    work: &Work,
    snapshots: &[SnapshotRef],
    architecture: &Architecture,
) -> Result<Vec<SnapshotInput>, Failure> {
    let mut inputs = Vec::new();
    for source in &work.custom.environment {
        let (name, chain) = (named(snapshots, source), vouched(work, source)?);
        let archive = &source.archive;
        // A custom archive is an environment of its own from its first package on. Without a mirror nothing could be built.
        if name.is_none() && chain.is_empty() && work.site.custom(archive).is_ok() {
            context.output.note(&format!("{archive} has no snapshot yet: left out"));
            continue;
        }
        let record = chain.resolve(work.store.as_ref(), name.unwrap_or(&SnapshotName::Latest))?;
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
