//! The page and the JSON that list archives and snapshots. Everything in them is of a checked type,
//! whose grammar has no character that HTML would read.

use std::fmt::Write as _;
use std::sync::Arc;

use serde::Serialize;

use crate::domain::{ArchiveName, Serial, SnapshotId, SuiteName};
use crate::format::{FormatError, json};
use crate::snapshot::{Chain, Record};

/// How many snapshots of an archive the page shows.
const SHOWN: usize = 50;

/// The page at `/`.
pub(super) fn home(chains: &[Arc<Chain>]) -> String {
    let mut page = String::from("<!DOCTYPE html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>Assay</title>\n");
    page.push_str("<h1>Archives</h1>\n");
    for chain in chains {
        let archive = chain.archive();
        // Writing to a string cannot fail.
        let _ = writeln!(page, "<h2>{archive}</h2>\n<ul>");
        for record in chain.records().iter().rev().take(SHOWN) {
            let _ = writeln!(
                page,
                "<li>{} {}: {}</li>",
                record.serial,
                record.id,
                links(archive, record)
            );
        }
        page.push_str("</ul>\n");
        if chain.records().len() > SHOWN {
            page.push_str("<p>All of them: <a href=\"/api/v1/snapshots\">/api/v1/snapshots</a></p>\n");
        }
    }
    page
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
    snapshots: Vec<SnapshotListing<'a>>,
}

#[derive(Serialize)]
struct SnapshotListing<'a> {
    n: u64,
    id: &'a SnapshotId,
    serial: &'a Serial,
    suites: Vec<&'a SuiteName>,
}

/// The document at `/api/v1/snapshots`.
pub(super) fn snapshots(chains: &[Arc<Chain>]) -> Result<Vec<u8>, FormatError> {
    let archives = chains.iter().map(|chain| ArchiveListing {
        name: chain.archive(),
        snapshots: chain.records().iter().map(listing).collect(),
    });
    json::canonical(
        "snapshots",
        &Listing {
            archives: archives.collect(),
        },
    )
}

fn listing(record: &Record) -> SnapshotListing<'_> {
    SnapshotListing {
        n: record.n,
        id: &record.id,
        serial: &record.serial,
        suites: record.suites.iter().map(|state| &state.suite).collect(),
    }
}
