//! `assay lock`: write `assay.lock`, or say how it differs from what is.

use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::context::Context;
use super::failure::{Failure, UsageError};
use crate::domain::{Kind, SnapshotName, SnapshotRef};
use crate::environment::declared_sources;
use crate::format::manifest::Manifest;
use crate::format::site_lock::{LARGEST, SiteLock};
use crate::host::files;
use crate::publish::{LockProblem, Locking, load_vouched, lock_site, locked_records};
use crate::site::{ArchiveKind, Site};
use crate::snapshot::{Chain, Record};
use crate::store::Store;
use crate::verify::{Anchors, Problem, check_standing, contradicted};

/// Write `assay.lock`: the newest snapshot of every archive, and every admitted file
///
/// One entry a line, for Git: each archive's serial, id and content digest (which renewing keeps), and the
/// SHA-256 of every admitted file of each declared source. An image whose tree holds this file and the
/// declarations defines every package in it. `sources --lock` and `tag --lock` go by it; `verify` and `gc`
/// look at it. Of a source whose signers or builders may speak no more none is written (exit 3).
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  assay lock\n  assay lock --check\n  assay sources --lock assay.lock")]
pub(super) struct LockArgs {
    /// Write nothing; print what differs, one a line, with exit 1
    #[arg(long)]
    check: bool,
}

/// What was said against a package after it was admitted: on standard error.
#[derive(Serialize)]
struct Dissent {
    dissent: String,
}

pub(super) fn run(context: &Context, args: &LockArgs) -> Result<ExitCode, Failure> {
    let site = context.site()?;
    let store = context.store_to_read(&site)?;
    let chains = vouched(&site, store.as_ref())?;
    let declared = declared_sources(&site)?;
    let Locking { lock, decisions, left } = lock_site(store.as_ref(), &chains, &declared)?;
    let anchors = Anchors::from_site(&site)?;
    let stands =
        |(archive, decision): &(_, _)| check_standing(store.as_ref(), &anchors, archive, decision, context.now());
    let fallen: Vec<Problem> = decisions.iter().filter_map(|one| stands(one).err()).collect();
    for one in left {
        let (name, version) = (&one.name, &one.declaration.version);
        context
            .output
            .note(&format!("{name} {version} is not admitted: left out"));
    }
    for (archive, decision) in &decisions {
        for said in contradicted(store.as_ref(), &anchors, archive, decision, context.now()) {
            let text = format!("dissent: {said}");
            context.output.aside(&Dissent { dissent: said }, &text)?;
        }
    }
    let path = site.lock_file();
    let before = if files::exists(&path) {
        read(&path)?
    } else {
        SiteLock::default()
    };
    let changes = before.changes(&lock);
    for change in &changes {
        let dash = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
        let text = format!(
            "{} {}: {} → {}",
            change.change,
            change.what,
            dash(&change.old),
            dash(&change.new)
        );
        context.output.record(change, &text)?;
    }
    if !fallen.is_empty() {
        for problem in &fallen {
            let text = format!("{} {}: {}", problem.code, problem.object, problem.why);
            context.output.record(problem, &text)?;
        }
        context
            .output
            .note("what is declared does not stand today, and no lock is written of it; `assay verify` says more");
        return Ok(ExitCode::from(Kind::Verification.exit_code()));
    }
    if args.check {
        let code = if changes.is_empty() {
            0
        } else {
            Kind::Refused.exit_code()
        };
        return Ok(ExitCode::from(code));
    }
    if !changes.is_empty() || !files::exists(&path) {
        files::write(&path, lock.to_text().as_bytes())?;
        context
            .output
            .note(&format!("wrote {}; next: commit it", path.display()));
    }
    Ok(ExitCode::SUCCESS)
}

/// The chain of every archive of a site that a lock can be of: an unproven one defines nothing.
fn vouched(site: &Site, store: &dyn Store) -> Result<Vec<Chain>, Failure> {
    let mut chains = Vec::new();
    let archives = site.archives().iter();
    for (archive, _) in archives.filter(|(_, config)| config.kind() != ArchiveKind::Unproven) {
        chains.push(load_vouched(store, archive, &site.archive_keyring(archive)?)?);
    }
    Ok(chains)
}

/// Reads a lock file.
fn read(path: &Path) -> Result<SiteLock, Failure> {
    Ok(SiteLock::parse(&files::read(path, LARGEST)?)?)
}

/// The snapshots that a lock file names; each must be what it says.
pub(super) fn references(site: &Site, store: &dyn Store, path: &Path) -> Result<Vec<SnapshotRef>, Failure> {
    let (records, problems) = locked_records(store, &vouched(site, store)?, &read(path)?)?;
    let reference = |record: Record| SnapshotRef {
        archive: record.archive,
        name: SnapshotName::Serial(record.serial),
    };
    match problems.first() {
        None => Ok(records.into_iter().map(reference).collect()),
        Some(LockProblem { archive, why }) => {
            Err(UsageError::Lock(format!("`{}`: {archive}: {why}", path.display())).into())
        }
    }
}

/// The packages that a lock file names, and its snapshots; each must be what it says.
pub(super) fn manifest(site: &Site, store: &dyn Store, path: &Path) -> Result<Manifest, Failure> {
    references(site, store, path)?;
    Ok(read(path)?.manifest()?)
}

/// What does not hold of the site's own lock, when it has one.
pub(super) fn problems(site: &Site, store: &dyn Store) -> Result<Vec<Problem>, Failure> {
    let path = site.lock_file();
    if !files::exists(&path) {
        return Ok(Vec::new());
    }
    let (_, problems) = locked_records(store, &vouched(site, store)?, &read(&path)?)?;
    let problem = |LockProblem { archive, why }| Problem::new(Problem::LOCK, "assay.lock", format!("{archive}: {why}"));
    Ok(problems.into_iter().map(problem).collect())
}
