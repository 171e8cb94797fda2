//! `assay gc`: what nobody needs goes.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::args::GcArgs;
use super::context::{Context, named_or_all, nonce};
use super::failure::{Each, Failure};
use super::mirror::made;
use crate::collect::{self, Collected, Collection, Finding, Work, collect, waiting};
use crate::domain::ArchiveName;
use crate::publish::{self, PublishError};
use crate::site::{ArchiveConfig, Site};
use crate::snapshot::Chain;
use crate::store::{Key, Store};

#[derive(Serialize)]
struct Summary<'a> {
    archive: &'a ArchiveName,
    dry_run: bool,
    #[serde(flatten)]
    collected: Collected,
}

pub(super) fn run(context: &Context, args: &GcArgs) -> Result<ExitCode, Failure> {
    let site = context.site()?;
    let store = context.store(&site)?;
    let archives = named_or_all(&site, &args.archives, |_| true)?;
    let mut each = Each::of(context, archives.len());
    for archive in archives {
        each.done(&archive, one(context, args, &site, &store, &archive))?;
    }
    each.end(Ok(ExitCode::SUCCESS))
}

fn one(
    context: &Context,
    args: &GcArgs,
    site: &Site,
    store: &Arc<dyn Store>,
    archive: &ArchiveName,
) -> Result<(), Failure> {
    if Chain::load(store.as_ref(), archive)?.is_empty()
        && !has_left_overs(context, args, site, store.as_ref(), archive)?
    {
        return Ok(());
    }
    let collected = archive_of(context, args, site, store, archive)?;
    let summary = Summary {
        archive,
        dry_run: args.dry_run,
        collected,
    };
    let Collected {
        kept,
        editions,
        objects,
        bytes,
    } = collected;
    let would = if args.dry_run { "would go" } else { "went" };
    let text =
        format!("{archive}: {editions} editions, {objects} objects, {bytes} bytes {would}; {kept} editions stay");
    context.output.record(&summary, &text)
}

/// Whether an archive without any snapshot has files all the same that are to go: of a first admission that was killed. What
/// a first `mirror` fetched before it was killed or refused stays, since the next one goes on from there; that is said.
fn has_left_overs(
    context: &Context,
    args: &GcArgs,
    site: &Site,
    store: &dyn Store,
    archive: &ArchiveName,
) -> Result<bool, Failure> {
    let left = store.list(archive.as_str())?;
    let stays = matches!(site.archive(archive)?, ArchiveConfig::Mirror(_)) && !args.at_once;
    if stays && !left.is_empty() {
        let bytes = left.iter().map(|meta| meta.size).fold(0, u64::saturating_add);
        context.output.note(&format!(
            "{archive}: {} objects, {bytes} bytes stay: there is no snapshot yet, and the next `assay mirror` goes on with what one \
             before it fetched; `assay gc --at-once {archive}` removes it",
            left.len()
        ));
    }
    Ok(!stays && !left.is_empty())
}

fn archive_of(
    context: &Context,
    args: &GcArgs,
    site: &Site,
    store: &Arc<dyn Store>,
    archive: &ArchiveName,
) -> Result<Collected, Failure> {
    let patience = Duration::from_secs(args.wait);
    let _working = match args.dry_run {
        true => None,
        false => Some(context.working(store, archive, Work::Collecting, "gc", patience)?),
    };
    // What pins snapshots must be known, or nothing goes. Read only now: whoever was waited for may have
    // written a lock.
    let pinned = collect::pinned(site, store.as_ref())?;
    let pins = if args.ignore_unreadable {
        for file in pinned.unreadable_of(archive) {
            context
                .output
                .note(&format!("{archive}: ignored, it keeps nothing: {file}"));
        }
        pinned.of(archive)
    } else {
        pinned.all_of(archive)?
    };
    let config = site.archive(archive)?;
    let (key, nonce) = (context.signers(site, archive)?, nonce());
    // The newest record is what stays; clients must see it before what they see now goes.
    if !args.dry_run {
        let chain = Chain::load(store.as_ref(), archive)?;
        let next = chain.next_number();
        if store.head(&Key::waiting(archive, &next.to_string())?)?.is_some() {
            return Err(PublishError::StillWaits {
                archive: archive.clone(),
                title: format!("record {archive} {next}"),
            }
            .into());
        }
        publish::finish(store.as_ref(), &chain, &key, site.config().public_url.as_str())?;
    }
    let waiting = match config {
        ArchiveConfig::Custom(_) => {
            let waiting = waiting(site, store.as_ref(), archive)?;
            waiting.map(|waiting| waiting.into_keys().collect())
        }
        ArchiveConfig::Mirror(_) | ArchiveConfig::Unproven(_) => None,
    };
    let what = Collection {
        store: store.as_ref(),
        archive,
        keep: config.keep(),
        pins: &pins,
        waiting,
        held_days: args.held.0,
        made: made(context, None, "collected", &nonce),
        signer: &key,
        copies: store.local_path(&Key::record(archive, 1)).is_none(),
        dry_run: args.dry_run,
        at_once: args.at_once,
        progress: &context.progress,
    };
    let mut failed = None;
    let collected = collect(&what, &mut |finding| {
        if finding.goes || finding.until.is_some() || context.verbose {
            failed = failed.take().or(tell(context, &finding).err());
        }
    })?;
    match failed {
        Some(failure) => Err(failure),
        None => Ok(collected),
    }
}

fn tell(context: &Context, finding: &Finding) -> Result<(), Failure> {
    let Finding {
        archive,
        kind,
        name,
        why,
        objects,
        bytes,
        ..
    } = finding;
    let text = match finding.goes {
        true => format!("{archive} {kind} {name} goes: {why}; {objects} objects, {bytes} bytes"),
        false => format!("{archive} {kind} {name} stays: {why}"),
    };
    context.output.record(finding, &text)
}
