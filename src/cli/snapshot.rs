//! `assay snapshot`: look at snapshots.

use std::process::ExitCode;

use serde::Serialize;

use super::args::{SnapshotArgs, SnapshotVerb};
use super::context::{Context, named_or_all};
use super::diff;
use super::failure::Failure;
use crate::domain::{SnapshotRef, Timestamp};
use crate::snapshot::{Chain, SuiteState, content_digest};

#[derive(Serialize)]
struct Listed<'a> {
    archive: &'a str,
    serial: &'a str,
    id: &'a str,
    reason: &'a str,
}

#[derive(Serialize)]
struct Shown<'a> {
    archive: &'a str,
    name: &'a str,
    id: &'a str,
    reason: &'a str,
    suites: &'a [SuiteState],
    content: String,
    valid_until: Option<Timestamp>,
    index_files: usize,
    index_bytes: u64,
}

pub(super) fn run(context: &Context, args: &SnapshotArgs) -> Result<ExitCode, Failure> {
    let site = context.site()?;
    let store = context.store(&site)?;
    match &args.verb {
        SnapshotVerb::List { archives } => {
            for archive in named_or_all(&site, archives, |_| true)? {
                let chain = Chain::load(store.as_ref(), &archive)?;
                for record in chain.records(store.as_ref()) {
                    let record = record?;
                    let listed = Listed {
                        archive: record.archive.as_str(),
                        serial: record.serial.as_str(),
                        id: record.id.as_str(),
                        reason: &record.reason,
                    };
                    let text = format!("{archive} {} {} {}", listed.serial, listed.id, listed.reason);
                    context.output.record(&listed, &text)?;
                }
            }
        }
        SnapshotVerb::Diff(args) => diff::run(context, store.as_ref(), args)?,
        SnapshotVerb::Renew(args) => return super::renew::run(context, args),
        SnapshotVerb::Show { reference } => show(context, store.as_ref(), reference)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn show(context: &Context, store: &dyn crate::store::Store, reference: &SnapshotRef) -> Result<(), Failure> {
    let chain = Chain::load(store, &reference.archive)?;
    let edition = chain.edition(store, &reference.name)?;
    let kept = || {
        edition
            .suites
            .iter()
            .flat_map(|suite| suite.indexes.iter().filter(|index| index.kept))
    };
    let expiry = |date: Timestamp| edition.valid_days.map(|days| date.plus_days(days));
    let shown = Shown {
        archive: edition.archive.as_str(),
        name: edition.name.as_str(),
        id: edition.id.as_str(),
        reason: &edition.reason,
        suites: &edition.suites,
        content: content_digest(&edition.suites).hex(),
        valid_until: edition.valid_until(),
        index_files: kept().count(),
        index_bytes: kept().map(|index| index.digest.size).sum(),
    };
    let mut lines = vec![
        format!("{} {} {}", edition.archive, edition.name, edition.id),
        format!("reason       {}", shown.reason),
        format!("content      {}", shown.content),
        format!("indexes      {} files, {} bytes", shown.index_files, shown.index_bytes),
    ];
    for suite in &edition.suites {
        lines.push(format!("suite        {}", suite.suite));
        let valid = expiry(suite.date).map_or_else(|| "for ever".to_owned(), |at| at.to_string());
        lines.push(format!("  date       {} valid until {valid}", suite.date));
        if let Some(upstream) = &suite.upstream {
            let signers: Vec<&str> = upstream.signers.iter().map(|s| s.as_str()).collect();
            lines.push(format!(
                "  upstream   {} signed by {}",
                upstream.date,
                signers.join(", ")
            ));
            lines.push(format!("  verified   {} from {}", upstream.verified_at, upstream.uri));
        }
    }
    context.output.record(&shown, &lines.join("\n"))
}
