//! The page and the JSON that list archives and snapshots. Everything in them is of a checked type,
//! whose grammar has no character that HTML would read.

use std::fmt::Write as _;
use std::sync::Arc;

use serde::Serialize;

use crate::domain::{ArchiveName, Serial, SnapshotId, SuiteName, TagName};
use crate::format::json;
use crate::snapshot::{Chain, EditionName, Marks, Record, SnapshotError, SuiteState, TagRecord};
use crate::store::Store;

/// How many snapshots of an archive the page shows.
const SHOWN: usize = 50;

/// What the page says of an archive that takes packages without the gate.
const UNPROVEN: &str =
    "<p><strong>unproven</strong>: nobody rebuilt these packages, they are here on their operator's word</p>\n";

/// The page at `/`.
pub(super) fn home(store: &dyn Store, chains: &[Arc<Chain>]) -> Result<String, SnapshotError> {
    let mut page = String::from("<!DOCTYPE html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>Assay</title>\n");
    page.push_str("<h1>Archives</h1>\n");
    for chain in chains {
        let archive = chain.archive();
        // Writing to a string cannot fail.
        let unproven = if is_unproven(chain) { UNPROVEN } else { "" };
        let _ = writeln!(page, "<h2>{archive}</h2>\n{unproven}<ul>");
        let marks = Marks::load(store, archive)?;
        let mut shown = 0;
        for n in (1..=chain.len()).rev() {
            let record = chain.record(store, n)?;
            if is_gone(&marks, &record) {
                continue;
            }
            if shown == SHOWN {
                break;
            }
            shown += 1;
            let _ = writeln!(
                page,
                "<li>{} {}: {}</li>",
                record.serial,
                record.id,
                links(archive, record.id.as_str(), &record.suites)
            );
        }
        for tag in kept_tags(store, &marks, archive)? {
            let links = links(archive, tag.tag.as_str(), &tag.suites);
            let _ = writeln!(page, "<li>{} of {}: {links}</li>", tag.tag, tag.of.serial);
        }
        page.push_str("</ul>\n");
        if chain.len() > SHOWN as u64 {
            page.push_str("<p>All of them: <a href=\"/api/v1/snapshots\">/api/v1/snapshots</a></p>\n");
        }
    }
    Ok(page)
}

/// Whether an archive takes packages without the gate.
fn is_unproven(chain: &Chain) -> bool {
    let states = chain.latest().into_iter().flat_map(|record| &record.suites);
    states.clone().any(SuiteState::is_unproven)
}

fn is_gone(marks: &Marks, record: &Record) -> bool {
    marks.gone(&EditionName::Serial(record.serial.clone())).is_some()
}

fn kept_tags(store: &dyn Store, marks: &Marks, archive: &ArchiveName) -> Result<Vec<TagRecord>, SnapshotError> {
    let mut tags = TagRecord::all(store, archive)?;
    tags.retain(|tag| marks.gone(&EditionName::Tag(tag.tag.clone())).is_none());
    Ok(tags)
}

fn links(archive: &ArchiveName, name: &str, suites: &[SuiteState]) -> String {
    let link = |suite: &SuiteName| {
        let url = format!("/{archive}/{name}/dists/{suite}/InRelease");
        format!("<a href=\"{url}\">{suite}</a>")
    };
    suites
        .iter()
        .map(|state| link(&state.suite))
        .collect::<Vec<_>>()
        .join(", ")
}

#[derive(Serialize)]
struct Listing<'a> {
    archives: Vec<ArchiveListing<'a>>,
}

#[derive(Serialize)]
struct ArchiveListing<'a> {
    name: &'a ArchiveName,
    /// Nothing in it is proven.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    unproven: bool,
    /// Oldest first.
    snapshots: Vec<SnapshotListing>,
    /// By name.
    tags: Vec<TagListing>,
}

#[derive(Serialize)]
struct SnapshotListing {
    n: u64,
    id: SnapshotId,
    serial: Serial,
    suites: Vec<SuiteName>,
}

#[derive(Serialize)]
struct TagListing {
    tag: TagName,
    serial: Serial,
    partial: bool,
    suites: Vec<SuiteName>,
}

/// The document at `/api/v1/snapshots`.
pub(super) fn snapshots(store: &dyn Store, chains: &[Arc<Chain>]) -> Result<Vec<u8>, SnapshotError> {
    let mut archives = Vec::new();
    for chain in chains {
        let marks = Marks::load(store, chain.archive())?;
        let kept =
            |record: &Result<Record, SnapshotError>| !record.as_ref().is_ok_and(|record| is_gone(&marks, record));
        let records = chain.records(store).filter(kept);
        let snapshots: Result<_, SnapshotError> = records.map(|record| record.map(listing)).collect();
        let tags = kept_tags(store, &marks, chain.archive())?;
        archives.push(ArchiveListing {
            name: chain.archive(),
            unproven: is_unproven(chain),
            snapshots: snapshots?,
            tags: tags.into_iter().map(tag_listing).collect(),
        });
    }
    #[expect(
        clippy::expect_used,
        reason = "lists and structs of strings and numbers are always JSON"
    )]
    Ok(json::canonical("snapshots", &Listing { archives }).expect("plain values"))
}

fn tag_listing(tag: TagRecord) -> TagListing {
    TagListing {
        tag: tag.tag,
        serial: tag.of.serial,
        partial: tag.partial,
        suites: tag.suites.into_iter().map(|state| state.suite).collect(),
    }
}

fn listing(record: Record) -> SnapshotListing {
    SnapshotListing {
        n: record.n,
        id: record.id,
        serial: record.serial,
        suites: record.suites.into_iter().map(|state| state.suite).collect(),
    }
}
