//! `assay fsck`: what is damaged or missing, and what of it upstream still has.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::Arc;

use super::args::FsckArgs;
use super::context::{Context, named_or_all};
use super::failure::Failure;
use super::mirror::{say_mended, upstream_uri};
use super::verify::{held, problems};
use crate::domain::{ArchiveName, Kind, PoolPath};
use crate::publish::{mend_marks, read_vouched};
use crate::site::{ArchiveConfig, Site};
use crate::store::Key;
use crate::upstream::{Client, Limits, Mender, PullThrough};
use crate::verify::{Anchors, Report, fsck};

pub(super) fn run(context: &Context, args: &FsckArgs) -> Result<ExitCode, Failure> {
    let site = context.site()?;
    let named = named_or_all(&site, &args.archives, |_| true)?;
    let mut anchors = Anchors::from_site(&site)?;
    anchors.archives.retain(|anchor| named.contains(&anchor.name));
    let store = context.store_to_read(&site)?;
    let mut report = fsck(store.as_ref(), &anchors, context.now(), &context.progress)?;
    let mut repairable = 0;
    for archive in &named {
        let marks = [Key::mark(archive, 1), Key::mark_again(archive, 1)];
        let folders = marks.iter().filter_map(|key| Some(key.as_str().rsplit_once('/')?.0));
        if folders.into_iter().any(|folder| report.has_lost(folder)) {
            if args.repair {
                repair_marks(context, &site, archive, &mut report)?;
            } else {
                repairable += 1;
            }
        }
        match site.archive(archive)? {
            ArchiveConfig::Custom(_) => {
                held(
                    context,
                    &site,
                    store.as_ref(),
                    std::slice::from_ref(archive),
                    &mut report,
                );
                continue;
            }
            ArchiveConfig::Unproven(_) => continue,
            ArchiveConfig::Mirror(_) => {}
        }
        let (indexes, files) = (report.index_files(archive), report.pool_files(archive));
        if indexes.is_empty() && files.is_empty() {
            continue;
        }
        if args.repair {
            repair(context, &site, archive, (&indexes, &files), &mut report)?;
        } else {
            repairable += indexes.len() + files.len();
        }
    }
    problems(context, &report.problems)?;
    if repairable > 0 {
        let text = "next: `assay fsck --repair` puts back what is lost and that the store has under another name, and of mirrors what upstream still has";
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

/// Puts back marks from their copies, and the other way round.
fn repair_marks(context: &Context, site: &Site, archive: &ArchiveName, report: &mut Report) -> Result<(), Failure> {
    let store = context.store(site)?;
    let _working = context.writing(&store, archive, "fsck")?;
    match mend_marks(store.as_ref(), archive, &site.archive_keyring(archive)?) {
        Ok(mended) => {
            for key in mended {
                report.repaired(&key);
                context
                    .output
                    .note(&format!("{key}: put back from the other of its two copies"));
            }
        }
        Err(error) => context.output.note(&format!("{archive}: no mark is put back: {error}")),
    }
    Ok(())
}

/// Puts back indexes of a mirror, and then fetches files of its pool again. What cannot be had stays a problem.
fn repair(
    context: &Context,
    site: &Site,
    archive: &ArchiveName,
    (indexes, files): (&BTreeSet<String>, &[PoolPath]),
    report: &mut Report,
) -> Result<(), Failure> {
    let store = context.store(site)?;
    let _working = context.writing(&store, archive, "fsck")?;
    let config = site.mirror(archive)?;
    let client = Client::new(&upstream_uri(site, archive)?, Limits::of(config))?;
    if !indexes.is_empty() {
        let mender = Mender {
            client: &client,
            store: store.as_ref(),
            archive,
            config,
        };
        match read_vouched(store.as_ref(), archive, &site.archive_keyring(archive)?) {
            Ok(chain) => {
                let mended = mender.mend(&chain, indexes)?;
                mended.iter().for_each(|mending| say_mended(context, mending));
                let mended = mended.iter().filter_map(|(_, done)| done.as_ref().ok());
                mended
                    .flat_map(|mended| &mended.names)
                    .for_each(|name| report.repaired(name));
            }
            Err(error) => context
                .output
                .note(&format!("{archive}: no index is put back: {error}")),
        }
    }
    let pool = PullThrough::new(archive.clone(), Arc::clone(&store), Some(Arc::new(client)));
    for path in files {
        match pool.mend(path) {
            Ok(()) => {
                report.repaired(&Key::pool(archive, path));
                context.output.note(&format!("{archive}/{path}: fetched again"));
            }
            Err(error) => context
                .output
                .note(&format!("{archive}/{path} cannot be fetched again: {error}")),
        }
    }
    Ok(())
}
