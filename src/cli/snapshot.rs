//! `assay snapshot`: look at snapshots.

use std::collections::BTreeSet;
use std::process::ExitCode;

use serde::Serialize;

use super::args::{SnapshotArgs, SnapshotVerb};
use super::context::{Context, named_or_all};
use super::failure::{Each, Failure};
use super::keep::Keeping;
use super::verify::without;
use super::{diff, keep};
use crate::domain::{ArchiveName, SnapshotRef, Timestamp};
use crate::format::packages::pool_files;
use crate::site::Site;
use crate::snapshot::{
    Chain, Edition, Renewal, SnapshotError, SuiteState, TagRecord, Verdict, content_digest, each_chunk, package_indexes,
};
use crate::store::{Key, Store};

#[derive(Serialize)]
struct Listed<'a> {
    archive: &'a str,
    serial: &'a str,
    id: &'a str,
    reason: &'a str,
    valid_until: Option<Timestamp>,
    kept: bool,
    why: String,
    /// Locks, serial files and packages that need it, in words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    needed_by: Vec<&'a str>,
}

#[derive(Serialize)]
struct ListedTag<'a> {
    archive: &'a str,
    tag: &'a str,
    id: &'a str,
    of: &'a str,
    partial: bool,
    reason: &'a str,
    kept: bool,
    why: String,
}

#[derive(Serialize)]
struct Shown<'a> {
    archive: &'a str,
    name: &'a str,
    id: &'a str,
    age_seconds: i64,
    reason: &'a str,
    suites: &'a [SuiteState],
    content: String,
    valid_until: Option<Timestamp>,
    kept: bool,
    why: String,
    index_files: usize,
    index_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pool: Option<PoolCounts>,
}

/// Pool files that an edition names.
#[derive(Debug, Default, Serialize)]
struct PoolCounts {
    files: u64,
    bytes: u64,
    files_in_store: u64,
    bytes_in_store: u64,
}

pub(super) fn run(context: &Context, args: &SnapshotArgs) -> Result<ExitCode, Failure> {
    let site = context.site()?;
    let store = context.store(&site)?;
    let store = store.as_ref();
    match &args.verb {
        SnapshotVerb::List { archives, all } => {
            let archives = named_or_all(&site, archives, |_| true)?;
            let mut each = Each::of(context, archives.len());
            for archive in archives {
                each.done(&archive, list(context, &site, store, &archive, *all))?;
            }
            return each.end(Ok(ExitCode::SUCCESS));
        }
        SnapshotVerb::Diff(args) => {
            known(&site, store, std::iter::once(&args.old).chain(&args.new))?;
            diff::run(context, store, args)?;
        }
        SnapshotVerb::Keep { references, until } => {
            known(&site, store, references)?;
            keep::keep(context, &site, store, references, *until)?;
        }
        SnapshotVerb::Drop { references } => {
            known(&site, store, references)?;
            keep::drop(context, &site, store, references)?;
        }
        SnapshotVerb::Renew(args) => return super::renew::run(context, args),
        SnapshotVerb::Show { reference, pool } => {
            known(&site, store, [reference])?;
            show(context, &site, store, reference, *pool)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Names an archive that there is not. One that the site gave up may have its snapshots yet.
pub(super) fn known<'a>(
    site: &Site,
    store: &dyn Store,
    references: impl IntoIterator<Item = &'a SnapshotRef>,
) -> Result<(), Failure> {
    for SnapshotRef { archive, .. } in references {
        if !site.archives().contains_key(archive) && Chain::load(store, archive)?.is_empty() {
            site.archive(archive)?;
        }
    }
    Ok(())
}

fn list(context: &Context, site: &Site, store: &dyn Store, archive: &ArchiveName, all: bool) -> Result<(), Failure> {
    let chain = Chain::load(store, archive)?;
    let keeping = Keeping::to_show(context, site, store, &chain)?;
    for record in chain.records(store) {
        let record = record?;
        let verdict = keeping.retention().snapshot(record.n, &record.id, &record.serial);
        if !all && matches!(verdict, Verdict::Gone(_)) {
            continue;
        }
        let renewal = Renewal::newest(store, &record)?;
        let listed = Listed {
            archive: record.archive.as_str(),
            serial: record.serial.as_str(),
            id: record.id.as_str(),
            reason: &record.reason,
            valid_until: Edition::of_record(&record, renewal.as_ref()).valid_until(),
            kept: verdict.is_kept(),
            why: verdict.why(),
            needed_by: keeping.needed_by(&record.serial),
        };
        let mut text = format!("{archive} {} {} {}", listed.serial, listed.id, listed.reason);
        if !listed.needed_by.is_empty() {
            text.push_str(&format!(" ({})", listed.needed_by.join("; ")));
        }
        context.output.record(&listed, &text)?;
    }
    for tag in TagRecord::all(store, archive)? {
        let verdict = keeping.retention().tag(&tag.tag);
        if !all && matches!(verdict, Verdict::Gone(_)) {
            continue;
        }
        let (listed, name) = (listed_tag(&tag, &verdict), &tag.tag);
        let text = format!(
            "{archive} {name} {} tag of {}: {}",
            listed.id, tag.of.serial, listed.reason
        );
        context.output.record(&listed, &text)?;
    }
    Ok(())
}

fn listed_tag<'a>(tag: &'a TagRecord, verdict: &Verdict) -> ListedTag<'a> {
    ListedTag {
        archive: tag.archive.as_str(),
        tag: tag.tag.as_str(),
        id: tag.id.as_str(),
        of: tag.of.serial.as_str(),
        partial: tag.partial,
        reason: &tag.reason,
        kept: verdict.is_kept(),
        why: verdict.why(),
    }
}

fn show(
    context: &Context,
    site: &Site,
    store: &dyn Store,
    reference: &SnapshotRef,
    with_pool: bool,
) -> Result<(), Failure> {
    let chain = Chain::load(store, &reference.archive)?;
    let edition = chain.edition(store, &reference.name)?;
    let keeping = Keeping::to_show(context, site, store, &chain)?;
    let verdict = keeping.verdict(&edition);
    let kept = || {
        let suites = edition.suites.iter();
        suites.flat_map(|suite| suite.indexes.iter().filter(|index| index.kept))
    };
    let shown = Shown {
        archive: edition.archive.as_str(),
        name: edition.name.as_str(),
        id: edition.id.as_str(),
        age_seconds: context.now().since(edition.id.timestamp()),
        reason: &edition.reason,
        suites: &edition.suites,
        content: content_digest(&edition.suites).hex(),
        valid_until: edition.valid_until(),
        kept: verdict.is_kept(),
        why: verdict.why(),
        index_files: kept().count(),
        index_bytes: kept().map(|index| index.digest.size).sum(),
        pool: if with_pool { Some(pool(store, &edition)?) } else { None },
    };
    context.output.record(&shown, &text(&shown, &edition))
}

fn text(shown: &Shown<'_>, edition: &Edition) -> String {
    let mut lines = vec![
        format!("{} {} {}", shown.archive, shown.name, shown.id),
        format!("age          {}", super::status::duration(shown.age_seconds)),
        format!("reason       {}", shown.reason),
        format!("content      {}", shown.content),
        format!("indexes      {} files, {} bytes", shown.index_files, shown.index_bytes),
    ];
    if let Some(pool) = &shown.pool {
        let PoolCounts {
            files,
            bytes,
            files_in_store,
            bytes_in_store,
        } = pool;
        lines.push(format!(
            "pool         {files} files, {bytes} bytes; {files_in_store} files, {bytes_in_store} bytes of them are here"
        ));
    }
    let kept = if shown.kept { "kept        " } else { "expired     " };
    lines.push(format!("{kept} {}", shown.why));
    for suite in &edition.suites {
        lines.push(format!("suite        {}", suite.suite));
        let expiry = edition.valid_days.map(|days| suite.date.plus_days(days));
        let valid = expiry.map_or_else(|| "for ever".to_owned(), |at| at.to_string());
        lines.push(format!("  date       {} valid until {valid}", suite.date));
        if let Some(upstream) = &suite.upstream {
            let signers: Vec<&str> = upstream.signers.iter().map(|s| s.as_str()).collect();
            lines.push(format!(
                "  upstream   {} signed by {}",
                upstream.date,
                signers.join(", ")
            ));
            lines.push(format!("  verified   {} from {}", upstream.verified_at, upstream.uri));
            if !upstream.absent.is_empty() {
                lines.push(format!("  partial    {}", without(&upstream.absent)));
            }
        }
    }
    lines.join("\n")
}

/// The pool files that an edition's indexes name, each once.
fn pool(store: &dyn Store, edition: &Edition) -> Result<PoolCounts, Failure> {
    let listing = store.list(&format!("{}/pool", edition.archive))?;
    let there: BTreeSet<Key> = listing.into_iter().map(|meta| meta.key).collect();
    let (mut seen, mut counts) = (BTreeSet::new(), PoolCounts::default());
    for state in &edition.suites {
        for index in package_indexes(state).into_values() {
            each_chunk(store, &edition.archive, &state.suite, index, &mut |stanzas| {
                for (path, digest) in pool_files(stanzas).filter_map(Result::ok) {
                    let key = Key::pool(&edition.archive, &path);
                    let here = there.contains(&key);
                    if seen.insert(key) {
                        counts.files += 1;
                        counts.bytes = counts.bytes.saturating_add(digest.size);
                        counts.files_in_store += u64::from(here);
                        counts.bytes_in_store += if here { digest.size } else { 0 };
                    }
                }
                Ok::<_, SnapshotError>(())
            })?;
        }
    }
    Ok(counts)
}
