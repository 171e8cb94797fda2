//! `assay fsck`: what is damaged or missing, and what of it upstream still has.

use std::process::ExitCode;
use std::sync::Arc;

use super::args::FsckArgs;
use super::context::{Context, named_or_all};
use super::failure::Failure;
use super::mirror::upstream_uri;
use super::verify::problems;
use crate::domain::{ArchiveName, Kind, PoolPath};
use crate::site::{ArchiveConfig, Site};
use crate::upstream::{Client, Limits, PullThrough};
use crate::verify::{Anchors, Report, fsck};

pub(super) fn run(context: &Context, args: &FsckArgs) -> Result<ExitCode, Failure> {
    let site = context.site()?;
    let named = named_or_all(&site, &args.archives, |_| true)?;
    let mut anchors = Anchors::from_site(&site)?;
    anchors.archives.retain(|anchor| named.contains(&anchor.name));
    let mut report = fsck(
        context.store_to_read(&site)?.as_ref(),
        &anchors,
        context.now(),
        &context.progress,
    )?;
    let mut repairable = 0;
    for archive in &named {
        let ArchiveConfig::Mirror(_) = site.archive(archive)? else {
            continue;
        };
        let files = report.pool_files(archive);
        if args.repair && !files.is_empty() {
            repair(context, &site, archive, &files, &mut report)?;
        } else {
            repairable += files.len();
        }
    }
    problems(context, &report.problems)?;
    if repairable > 0 {
        let text = "next: `assay fsck --repair` fetches pool files of mirrors again while upstream has them";
        context.output.note(text);
    }
    let outcome = match report.problems.len() {
        0 => "whole".to_owned(),
        count => format!("{count} problems"),
    };
    let text = format!("{outcome}: {} objects, {} bytes", report.objects, report.bytes);
    context.output.record(&report, &text)?;
    Ok(match report.problems.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(Kind::Verification.exit_code()),
    })
}

/// Fetches files of a mirror's pool again. What cannot be had stays a problem.
fn repair(
    context: &Context,
    site: &Site,
    archive: &ArchiveName,
    files: &[PoolPath],
    report: &mut Report,
) -> Result<(), Failure> {
    let store = context.store(site)?;
    let _working = context.writing(&store, archive, "fsck")?;
    let client = Client::new(&upstream_uri(site, archive)?, Limits::of(site.mirror(archive)?))?;
    let pool = PullThrough::new(archive.clone(), Arc::clone(&store), Some(Arc::new(client)));
    for path in files {
        match pool.mend(path) {
            Ok(()) => {
                report.repaired(archive, path);
                context.output.note(&format!("{archive}/{path}: fetched again"));
            }
            Err(error) => context
                .output
                .note(&format!("{archive}/{path} cannot be fetched again: {error}")),
        }
    }
    Ok(())
}
