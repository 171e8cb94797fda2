//! The page and the JSON that list archives and snapshots. Everything in them is of a checked type,
//! whose grammar has no character that HTML would read.

use std::fmt::Write as _;
use std::sync::Arc;

use serde::Serialize;

use crate::domain::{ArchiveName, Component, Serial, SnapshotId, SuiteName, TagName};
use crate::format::json;
use crate::snapshot::{Chain, EditionName, Marks, Record, SnapshotError, SuiteState, TagRecord};
use crate::store::Store;

/// How many snapshots of an archive the page shows.
const SHOWN: usize = 50;

/// What the page says of an archive that takes packages without the gate.
const UNPROVEN: &str =
    "<p><strong>unproven</strong>: nobody rebuilt these packages, they are here on their operator's word</p>\n";

/// Records that are looked at for the oldest that is kept: a refusal shall cost little.
const LOOKED_AT: usize = 256;

/// The page at `/`.
pub(super) fn home(store: &dyn Store, chains: &[Arc<Chain>]) -> Result<String, SnapshotError> {
    let mut page = start();
    page.push_str("<h1>Archives</h1>\n");
    for chain in chains {
        section(&mut page, store, chain)?;
    }
    Ok(page)
}

/// The page at `/ARCHIVE/`, which is what sources.list names.
pub(super) fn of_archive(store: &dyn Store, chain: &Chain) -> Result<String, SnapshotError> {
    let mut page = start();
    let archive = chain.archive();
    if let Some(newest) = chain.latest() {
        let _ = writeln!(
            page,
            "<p>An archive of packages: apt asks for files below this URL, of these suites and components. The newest snapshot is {} \
             ({}).</p>\n<ul>",
            newest.serial, newest.id
        );
        for state in &newest.suites {
            let components: Vec<&str> = state.components.iter().map(Component::as_str).collect();
            let suite = &state.suite;
            let url = format!("/{archive}/dists/{suite}/InRelease");
            let _ = writeln!(page, "<li><a href=\"{url}\">{suite}</a> {}</li>", components.join(" "));
        }
        page.push_str("</ul>\n");
    }
    section(&mut page, store, chain)?;
    Ok(page)
}

/// What somebody can ask for who asked for a snapshot that there is not.
pub(super) fn instead(store: &dyn Store, chain: &Chain) -> Result<String, SnapshotError> {
    let archive = chain.archive();
    let Some(newest) = chain.latest() else {
        return Ok(format!("`{archive}` has no snapshot yet"));
    };
    let marks = Marks::load(store, archive)?;
    let mut first = chain.records(store).take(LOOKED_AT).filter_map(Result::ok);
    let oldest = first.find(|record| !is_gone(&marks, record));
    let oldest = oldest.map(|oldest| format!("the oldest that is kept is {} ({}), ", oldest.serial, oldest.id));
    Ok(format!(
        "{}the newest {} ({}); all are at /api/v1/snapshots",
        oldest.unwrap_or_default(),
        newest.serial,
        newest.id
    ))
}

fn start() -> String {
    String::from("<!DOCTYPE html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>Assay</title>\n")
}

/// An archive's snapshots and tags.
fn section(page: &mut String, store: &dyn Store, chain: &Chain) -> Result<(), SnapshotError> {
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
    Ok(())
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
