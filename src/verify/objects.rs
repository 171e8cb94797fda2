//! Every object by hash: names, indexes and records say what the bytes must be.

use std::collections::{BTreeSet, HashSet};

use super::editions::{History, all, is_newest, lost_head, unrecorded};
use super::evidence::{inputs, signed_decision};
use super::hashing::{Damaged, Expected, compare, named_by_hash, survey};
use super::places::check_strange;
use super::pool::{self, Pools};
use super::state::is_written;
use super::{Anchor, AnchorKind, Anchors, Problem, Report, VerifyError};
use crate::domain::{ArchiveName, Digest, RelPath, SuiteName, Timestamp};
use crate::host::Progress;
use crate::publish::{Book, Unrecorded, claim_entries};
use crate::snapshot::{Edition, Entry as _, IndexFile, Renewal, SuiteState, index_key, read_plain_index};
use crate::store::{Key, Store, Survey};
use crate::upstream::forgotten_rows;

/// Hashes every object that something names; reports those that differ, are missing, or that
/// nothing names. What the indexes name is read meanwhile, as far as it need not be known what is there.
pub(super) fn check(
    store: &dyn Store,
    prefixes: &[String],
    anchors: &Anchors,
    histories: &[(&Anchor, History)],
    (now, progress): (Timestamp, &Progress),
    report: &mut Report,
) -> Result<Damaged, VerifyError> {
    let (mut expected, mut places) = (Expected::default(), BTreeSet::new());
    let mut listings = Vec::new();
    for (anchor, history) in histories {
        let head = head(store, anchor, history);
        expect_indexes(store, (history, head), &mut expected, &mut places);
        places.extend(signed_places(store, history));
        listings.extend(pool::listings(store, anchor, history, report)?);
        if !matches!(anchor.kind, AnchorKind::Mirror { .. }) && !history.is_broken() {
            expect_books(store, &anchor.name, history, &mut expected);
        }
        expect_left(store, &anchor.name, history, &mut expected);
    }
    let (whole, others): (Vec<_>, Vec<_>) = listings.iter().partition(|listing| listing.is_whole());
    // What the indexes do not name is not there to be read, but for what is our own word.
    let state = |name: &str| name.starts_with("state/") && named_by_hash(name).is_none();
    let wanted = |key: &Key| !state(key.as_str()) && !places.contains(key.as_str());
    let (surveyed, mut unreadable) = rayon::join(
        || survey(store, prefixes, &wanted, progress),
        || pool::expect(store, &whole, &Pools::default(), &mut expected, report),
    );
    let surveyed = surveyed?;
    expect_listed(store, anchors, &surveyed, &mut expected);
    if !others.is_empty() {
        let objects = surveyed.objects.iter().map(|object| object.meta.key.as_str());
        let strange = surveyed.strange.iter().map(|strange| strange.name.as_str());
        let pools = objects.chain(strange).collect();
        unreadable.extend(pool::expect(store, &others, &pools, &mut expected, report));
    }
    // An archive without a whole chain of records names nothing that could be relied on.
    let whole = |anchor: &&Anchor| {
        let is_whole = |(known, history): &(&Anchor, History)| known.name == anchor.name && !history.is_broken();
        histories.iter().any(is_whole)
    };
    let broken = anchors.archives.iter().filter(|anchor| !whole(anchor));
    unreadable.extend(broken.map(|anchor| anchor.name.as_str()));
    let mut lost: Vec<Unrecorded> = Vec::new();
    for (anchor, history) in histories.iter().filter(|(_, history)| !history.is_broken()) {
        let keys = surveyed.objects.iter().map(|object| &object.meta.key);
        lost.extend(unrecorded(store, (anchor, history), keys, now, report)?);
    }
    let (damaged, unexpected) = compare(store, &surveyed, &expected, report);
    let known = Known {
        begun: histories
            .iter()
            .filter(|(_, history)| !history.chain.is_empty() || history.is_broken())
            .map(|(anchor, _)| anchor.name.as_str())
            .collect(),
        places: &places,
        unreadable: &unreadable,
        lost: &lost,
    };
    unnamed(anchors, unexpected, &known, report);
    Ok(damaged)
}

/// The documents that archives list in their state: each decision, refusals too, and each record of a rebuild. They are
/// written before they are listed. What is there says by its own name what it must be.
fn expect_listed(store: &dyn Store, anchors: &Anchors, surveyed: &Survey, expected: &mut Expected) {
    let names = || surveyed.objects.iter().map(|object| object.meta.key.as_str());
    let there: HashSet<&str> = names().filter(|name| name.contains("/provenance/sha256/")).collect();
    for name in names() {
        let ["state", archive, folder @ ("decisions" | "evidence"), _, hex] = *name.split('/').collect::<Vec<_>>()
        else {
            continue;
        };
        let anchor = anchors.archives.iter().find(|anchor| anchor.name.as_str() == archive);
        let Some((anchor, sha256)) = anchor.zip(hex.parse().ok()) else {
            continue;
        };
        let key = Key::provenance(&anchor.name, &sha256);
        // Somebody may have written both while the store was being read.
        if !there.contains(key.as_str()) && !matches!(store.head(&key), Ok(Some(_))) {
            expected.add_listed(key.to_string(), sha256, name);
        } else if folder == "decisions" {
            // What it was made on is kept as long.
            let summary = signed_decision(store, anchors, &anchor.name, &sha256);
            let inputs = summary.ok().and_then(|summary| inputs(&summary).ok());
            for (_, input) in inputs.unwrap_or_default() {
                expected.add_listed(Key::provenance(&anchor.name, &input).to_string(), input, key.as_str());
            }
        }
    }
}

/// Hashes every index that these snapshots name, and what upstream signed; reports what clients can read beside.
pub(super) fn check_indexes(
    store: &dyn Store,
    anchors: &Anchors,
    histories: &[(&Anchor, History)],
    progress: &Progress,
    report: &mut Report,
) -> Result<Damaged, VerifyError> {
    let (mut expected, mut places) = (Expected::default(), BTreeSet::new());
    for (anchor, history) in histories {
        let head = head(store, anchor, history);
        expect_indexes(store, (history, head), &mut expected, &mut places);
        places.extend(signed_places(store, history));
    }
    let wanted = |key: &Key| expected.names(key.as_str());
    let surveyed = survey(store, &[String::new()], &wanted, progress)?;
    let (damaged, unexpected) = compare(store, &surveyed, &expected, report);
    check_strange(anchors, histories, &places, &unexpected, report);
    Ok(damaged)
}

/// What the records of an archive of ours name beside its indexes: the book of each, page by page; and the entries of
/// claims that the newest has all of.
fn expect_books(store: &dyn Store, archive: &ArchiveName, history: &History, expected: &mut Expected) {
    let mut seen = BTreeSet::new();
    for record in history.chain.records(store).flatten() {
        let Some(sha256) = record.ledger.filter(|sha256| seen.insert(*sha256)) else {
            continue;
        };
        let key = Key::provenance(archive, &sha256);
        expected.add_listed(key.to_string(), sha256, record.key().as_str());
        let Ok(book) = Book::of(store, archive, Some(&record)) else {
            continue;
        };
        for page in book.documents().filter(|page| seen.insert(**page)) {
            expected.add_listed(Key::provenance(archive, page).to_string(), *page, key.as_str());
        }
        let is_newest = record.n == history.chain.len();
        let entries = if is_newest {
            claim_entries(store, archive, &book).unwrap_or_default()
        } else {
            Vec::new()
        };
        for (entry, sha256) in entries {
            expected.add_listed(entry.to_string(), sha256, key.as_str());
        }
    }
}

/// What the newest record of a mirror names of all that left its snapshots.
fn expect_left(store: &dyn Store, archive: &ArchiveName, history: &History, expected: &mut Expected) {
    let Some(record) = history.chain.latest().filter(|_| !history.is_broken()) else {
        return;
    };
    for key in forgotten_rows(store, archive, &record.left).unwrap_or_default() {
        if let Some(sha256) = key.named_sha256() {
            expected.add_listed(key.to_string(), sha256, record.key().as_str());
        }
    }
}

/// Whether it is known what `dists/<suite>/` shows.
fn head(store: &dyn Store, anchor: &Anchor, history: &History) -> bool {
    !history.chain.is_empty() && lost_head(store, anchor, history).is_none()
}

/// The index files of an archive. A published snapshot is whole; but what is gone may be there, since
/// its removal was interrupted, and so may names at the head that the newest no longer has. What those must be nobody knows
/// where the head is not known.
fn expect_indexes(
    store: &dyn Store,
    (history, head_is_known): (&History, bool),
    expected: &mut Expected,
    places: &mut BTreeSet<String>,
) {
    for (edition, gone) in all(store, history) {
        let newest = is_newest(history, &edition);
        if !gone {
            expect_replaced(store, &edition, expected);
        }
        for (key, digest, head) in indexes(&edition) {
            if head && !head_is_known {
                places.insert(key);
                continue;
            }
            if gone && edition.number.is_none() {
                // What has its name by now may be another suite's.
                expected.add_if_new(key, digest.into());
            } else {
                expected.add(key, digest.into(), !gone && (newest || !head));
            }
        }
    }
}

/// What clients had of a snapshot before it was renewed, as its renewals say: whoever pins that asks for it by its hash.
fn expect_replaced(store: &dyn Store, edition: &Edition, expected: &mut Expected) {
    let (Some((n, newest)), Ok(path)) = (edition.number, RelPath::new("InRelease")) else {
        return;
    };
    for renewal in (1..=newest).map_while(|k| Renewal::load(store, &edition.archive, n, k).ok().flatten()) {
        for SuiteState { suite, .. } in &edition.suites {
            if let Some(sha256) = renewal.replaced.get(suite) {
                let key = Key::by_hash_named(&edition.archive, suite, edition.name.as_str(), &path, sha256);
                expected.add_listed(key.to_string(), *sha256, renewal.key().as_str());
            }
        }
    }
}

/// The index files of one edition, under all their names; whether each name is one at the head. A file
/// at the head that a newer snapshot no longer has keeps the bytes of the last one that had it: so the
/// newest comes last.
fn indexes(edition: &Edition) -> Vec<(String, Digest, bool)> {
    let mut found = Vec::new();
    for file in edition.files() {
        let mut add = |key: &Key, head: bool| found.push((key.as_str().to_owned(), file.digest, head));
        add(&file.key, false);
        file.names.iter().for_each(|name| add(name, false));
        file.head.iter().for_each(|name| add(name, true));
    }
    found
}

/// The signed files of every snapshot, and the trace: `releases` judges what they say.
fn signed_places(store: &dyn Store, history: &History) -> BTreeSet<String> {
    let archive = history.chain.archive();
    let mut places = BTreeSet::from([Key::trace(archive).to_string()]);
    let files = ["InRelease", "Release", "Release.gpg"].map(RelPath::new);
    for (edition, _) in all(store, history) {
        for (state, path) in edition
            .suites
            .iter()
            .flat_map(|s| files.iter().flatten().map(move |f| (s, f)))
        {
            if edition.number.is_some() {
                places.insert(Key::dists(archive, &state.suite, path).to_string());
            }
            places.insert(Key::dists_named(archive, &state.suite, edition.name.as_str(), path).to_string());
        }
    }
    places
}

/// The text of an index from the first form that is whole, and that form's name. None when none is
/// kept, or all are damaged, which is reported where they are hashed.
pub(super) fn intact(
    store: &dyn Store,
    archive: &ArchiveName,
    suite: &SuiteName,
    forms: &[&IndexFile],
) -> Option<(Key, Vec<u8>)> {
    let read = |index: &&IndexFile| {
        let text = read_plain_index(store, archive, suite, index).ok()?;
        Some((index_key(archive, suite, index), text))
    };
    forms.iter().filter(|index| index.kept).find_map(read)
}

/// Objects of an archive that no signed thing names, and whole archives that the site does not know.
fn unnamed(anchors: &Anchors, unexpected: Vec<&str>, known: &Known<'_>, report: &mut Report) {
    for name in unexpected {
        let top = name.split_once('/').map_or(name, |(top, _)| top);
        if top == "state" {
            if !is_written(name) {
                let why = "nothing of ours has such a name, and a web server on the store's folder hands it out; remove it, \
                           and serve no `state/`";
                report.problem(Problem::UNNAMED, name, why);
            }
            continue;
        }
        let unjudged = known.lost.iter().any(|lost| name.starts_with(lost.tree()));
        if unjudged || known.unreadable.contains(top) {
            continue;
        }
        let Some(anchor) = anchors.archives.iter().find(|anchor| anchor.name.as_str() == top) else {
            report.problem(Problem::UNNAMED, name, format!("the site has no archive `{top}`"));
            continue;
        };
        let is_mirror = matches!(anchor.kind, AnchorKind::Mirror { .. });
        if is_mirror && !known.begun.contains(top) && is_of_pool(name) {
            // A first run goes on with what one before it had fetched.
            continue;
        }
        if !known.places.contains(name) && named_by_hash(name).is_none() {
            let why = match anchor.kind {
                AnchorKind::Mirror { .. } if name.starts_with(&format!("{top}/pool/")) => format!(
                    "no index of any snapshot names it; a run that was refused or killed leaves such, which `assay gc {top}` \
                     takes away"
                ),
                _ => "no index of any snapshot names it".to_owned(),
            };
            report.problem(Problem::UNNAMED, name, why);
        }
    }
}

/// Whether it lies where pool files do; those of flat repositories lie beside all else.
fn is_of_pool(name: &str) -> bool {
    let below = name.split_once('/').map_or("", |(_, below)| below);
    let others = ["dists/", "provenance/", "project/"];
    !others.iter().any(|other| below.starts_with(other))
}

/// What may be in the store.
struct Known<'a> {
    /// Archives that have a snapshot, or had one.
    begun: BTreeSet<&'a str>,
    /// By what they say.
    places: &'a BTreeSet<String>,
    /// Archives of which it is not known.
    unreadable: &'a BTreeSet<&'a str>,
    /// Trees whose records are missing.
    lost: &'a [Unrecorded],
}
