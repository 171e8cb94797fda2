//! The page and the JSON that list archives and snapshots. Everything in them is of a checked type,
//! whose grammar has no character that HTML would read.

use std::fmt::Write as _;
use std::sync::Arc;

use serde::Serialize;

use crate::domain::{ArchiveName, Serial, SnapshotId, SuiteName};
use crate::format::json;
use crate::snapshot::{Chain, Record, SnapshotError};
use crate::store::Store;

/// How many snapshots of an archive the page shows.
const SHOWN: usize = 50;

/// The page at `/`.
pub(super) fn home(store: &dyn Store, chains: &[Arc<Chain>]) -> Result<String, SnapshotError> {
    let mut page = String::from("<!DOCTYPE html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>Assay</title>\n");
    page.push_str("<h1>Archives</h1>\n");
    for chain in chains {
        let archive = chain.archive();
        // Writing to a string cannot fail.
        let _ = writeln!(page, "<h2>{archive}</h2>\n<ul>");
        for n in (1..=chain.len()).rev().take(SHOWN) {
            let record = chain.record(store, n)?;
            let _ = writeln!(
                page,
                "<li>{} {}: {}</li>",
                record.serial,
                record.id,
                links(archive, &record)
            );
        }
        page.push_str("</ul>\n");
        if chain.len() > SHOWN as u64 {
            page.push_str("<p>All of them: <a href=\"/api/v1/snapshots\">/api/v1/snapshots</a></p>\n");
        }
    }
    Ok(page)
}

fn links(archive: &ArchiveName, record: &Record) -> String {
    let link = |suite: &SuiteName| {
        let url = format!("/{archive}/{}/dists/{suite}/InRelease", record.id);
        format!("<a href=\"{url}\">{suite}</a>")
    };
    record
        .suites
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
    /// Oldest first.
    snapshots: Vec<SnapshotListing>,
}

#[derive(Serialize)]
struct SnapshotListing {
    n: u64,
    id: SnapshotId,
    serial: Serial,
    suites: Vec<SuiteName>,
}

/// The document at `/api/v1/snapshots`.
pub(super) fn snapshots(store: &dyn Store, chains: &[Arc<Chain>]) -> Result<Vec<u8>, SnapshotError> {
    let mut archives = Vec::new();
    for chain in chains {
        let snapshots: Result<_, SnapshotError> = chain.records(store).map(|record| record.map(listing)).collect();
        archives.push(ArchiveListing {
            name: chain.archive(),
            snapshots: snapshots?,
        });
    }
    #[expect(
        clippy::expect_used,
        reason = "lists and structs of strings and numbers are always JSON"
    )]
    Ok(json::canonical("snapshots", &Listing { archives }).expect("plain values"))
}

fn listing(record: Record) -> SnapshotListing {
    SnapshotListing {
        n: record.n,
        id: record.id,
        serial: record.serial,
        suites: record.suites.into_iter().map(|state| state.suite).collect(),
    }
}
