//! Every object by hash: names, indexes and records say what the bytes must be.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::editions::{History, all, is_newest, unrecorded};
use super::hashing::{Damaged, Expected, hash};
use super::{Anchor, AnchorKind, Anchors, Problem, Report, VerifyError};
use crate::domain::{ArchiveName, Digest, PoolPath, RelPath, Sha256, SuiteName, Timestamp};
use crate::format::FormatError;
use crate::format::packages::pool_files;
use crate::host::Progress;
use crate::publish::Unrecorded;
use crate::snapshot::{
    Edition, IndexFile, SnapshotError, SuiteState, content_digest, each_chunk, index_key, read_plain_index,
    upstream_files,
};
use crate::store::{Key, Meta, Store};

/// Hashes every object that something names; reports those that differ, are missing, or that
/// nothing names.
pub(super) fn check(
    store: &dyn Store,
    listing: &[Meta],
    anchors: &Anchors,
    histories: &[(&Anchor, History)],
    (now, progress): (Timestamp, &Progress),
    report: &mut Report,
) -> Result<Damaged, VerifyError> {
    let mut expected: HashMap<String, Expected> = HashMap::new();
    let mut required: BTreeSet<String> = BTreeSet::new();
    let mut places: BTreeSet<String> = BTreeSet::new();
    let mut lost: Vec<Unrecorded> = Vec::new();
    // An archive without a whole chain of records names nothing that could be relied on.
    let whole = |anchor: &&Anchor| histories.iter().any(|(known, _)| known.name == anchor.name);
    let mut unreadable: BTreeSet<&str> = anchors
        .archives
        .iter()
        .filter(|anchor| !whole(anchor))
        .map(|anchor| anchor.name.as_str())
        .collect();
    for (anchor, history) in histories {
        expect_indexes(store, history, &mut expected, &mut required);
        places.extend(signed_places(store, history));
        lost.extend(unrecorded(store, (anchor, history), listing, now, report)?);
        let pool = expect_pool(store, anchor, history, listing, report);
        required.extend(pool.required);
        if pool.unreadable {
            unreadable.insert(anchor.name.as_str());
        }
        expected.extend(pool.files);
    }
    for meta in listing {
        if let Some(sha256) = named_by_hash(meta.key.as_str()) {
            expected
                .entry(meta.key.as_str().to_owned())
                .or_insert(Expected { sha256, size: None });
        }
    }
    let mut damaged = hash(store, listing, &expected, progress, report);
    absent(listing, required.iter(), &mut damaged, report);
    let known = Known {
        expected: &expected,
        places: &places,
        unreadable: &unreadable,
        lost: &lost,
    };
    unnamed(anchors, listing, &known, report);
    Ok(damaged)
}

/// Hashes every index that these snapshots name, and what upstream signed.
pub(super) fn check_indexes(
    store: &dyn Store,
    histories: &[(&Anchor, History)],
    progress: &Progress,
    report: &mut Report,
) -> Result<Damaged, VerifyError> {
    let listing = store.list("")?;
    let (mut expected, mut required) = (HashMap::new(), BTreeSet::new());
    for (_, history) in histories {
        expect_indexes(store, history, &mut expected, &mut required);
    }
    let mut damaged = hash(store, &listing, &expected, progress, report);
    absent(&listing, required.iter(), &mut damaged, report);
    Ok(damaged)
}

/// The index files of an archive. A published snapshot is whole; but what is gone may be there, since
/// its removal was interrupted, and so may names at the head that the newest no longer has.
fn expect_indexes(
    store: &dyn Store,
    history: &History,
    expected: &mut HashMap<String, Expected>,
    required: &mut BTreeSet<String>,
) {
    for (edition, gone) in all(store, history) {
        let newest = is_newest(history, &edition);
        for (key, digest, head) in indexes(&edition) {
            if !gone && (newest || !head) {
                required.insert(key.clone());
            }
            expected.insert(key, digest.into());
        }
    }
}

/// Reports what must be in the store and is not.
fn absent<'a>(
    listing: &[Meta],
    required: impl Iterator<Item = &'a String>,
    damaged: &mut Damaged,
    report: &mut Report,
) {
    let there: HashSet<&str> = listing.iter().map(|meta| meta.key.as_str()).collect();
    for name in required.filter(|name| !there.contains(name.as_str())) {
        let why = "a snapshot names it, and it is not in the store";
        report.problem(Problem::MISSING, name, why);
        damaged.add(name);
    }
}

/// The digest that an object's own name gives, at the places where names are hashes:
/// `<archive>/dists/…/by-hash/SHA256/<hex>`, `<archive>/provenance/sha256/<hex>`, `state/<archive>/held/sha256/<hex>`.
fn named_by_hash(name: &str) -> Option<Sha256> {
    let (folder, hex) = name.rsplit_once('/')?;
    let (top, below) = folder.split_once('/')?;
    let by_hash = top != "state" && below.starts_with("dists/") && below.ends_with("/by-hash/SHA256");
    let document = top != "state" && below == "provenance/sha256";
    let held = top == "state" && below.split_once('/').is_some_and(|(_, rest)| rest == "held/sha256");
    if by_hash || document || held {
        hex.parse().ok()
    } else {
        None
    }
}

/// The index files of one edition, under all their names; whether each name is one at the head. A file
/// at the head that a newer snapshot no longer has keeps the bytes of the last one that had it: so the
/// newest comes last.
fn indexes(edition: &Edition) -> Vec<(String, Digest, bool)> {
    let (archive, name, head) = (&edition.archive, edition.name.as_str(), edition.number.is_some());
    let mut found = Vec::new();
    for state in &edition.suites {
        let suite = &state.suite;
        let mut add = |key: Key, digest: Digest, head: bool| found.push((key.as_str().to_owned(), digest, head));
        for index in state.indexes.iter().filter(|index| index.kept) {
            let (path, digest) = (&index.path, index.digest);
            add(index_key(archive, suite, index), digest, false);
            add(
                Key::by_hash_named(archive, suite, name, path, &digest.sha256),
                digest,
                false,
            );
            add(Key::dists_named(archive, suite, name, path), digest, false);
            if head {
                add(Key::dists(archive, suite, path), digest, true);
            }
        }
        let Some(upstream) = &state.upstream else { continue };
        for file in upstream_files(archive, suite, upstream) {
            add(Key::dists_named(archive, suite, name, &file.path), file.digest, false);
            if head {
                add(Key::dists(archive, suite, &file.path), file.digest, true);
            }
            add(file.key, file.digest, false);
        }
        for index in upstream.indexes.iter().filter(|index| index.kept) {
            add(index_key(archive, suite, index), index.digest, false);
        }
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

/// The pool files that an archive's indexes name.
#[derive(Debug, Default)]
struct Pool {
    files: HashMap<String, Expected>,
    /// Those that must be there.
    required: BTreeSet<String>,
    /// An index could not be read in any form: what it names is not known.
    unreadable: bool,
}

/// The pool files that the archive's Packages and Sources name. Of a mirror's snapshots, and of what is
/// gone, only those that are there; a full pool and a partial tag have all of their own.
fn expect_pool(store: &dyn Store, anchor: &Anchor, history: &History, listing: &[Meta], report: &mut Report) -> Pool {
    let prefix = format!("{}/", anchor.name);
    let there: HashSet<&str> = listing
        .iter()
        .filter_map(|meta| meta.key.as_str().strip_prefix(&prefix))
        .filter(|p| is_pool(p))
        .collect();
    // Notes of content that was all fetched: what is lost of it is missing.
    let notes = Key::all_filled(&anchor.name);
    let names = listing.iter().map(|meta| meta.key.as_str());
    let filled: BTreeSet<&str> = names.filter(|name| name.starts_with(&notes)).collect();
    let mut pool = Pool::default();
    let mut read = BTreeSet::new();
    // What is there comes first: what is gone only explains files that are left.
    for turn in [false, true] {
        let editions = all(store, history).filter(|(_, gone)| *gone == turn);
        let states = editions.flat_map(|(edition, _)| {
            let tag = edition.number.is_none();
            let full = filled.contains(Key::filled(&anchor.name, &content_digest(&edition.suites)).as_str());
            edition.suites.into_iter().map(move |state| (tag, full, state))
        });
        for (tag, full, state) in states {
            let promise = if turn {
                Promise::Some
            } else {
                Promise::of(anchor, tag, full, &state)
            };
            for forms in package_indexes(&state) {
                let new = forms
                    .first()
                    .is_some_and(|index| read.insert((index.digest.sha256, promise)));
                if !new || (there.is_empty() && promise == Promise::Some) {
                    continue;
                }
                let wanted = |path: &PoolPath| promise != Promise::Some || there.contains(path.as_str());
                match names_of(store, (anchor, &state), &forms, &wanted) {
                    Some((key, files)) if turn => left_over(&mut pool, &key, files),
                    Some((key, files)) => listed(&mut pool, &key, files, promise, report),
                    None => pool.unreadable |= !turn,
                }
            }
        }
    }
    pool
}

/// Which of its pool files an archive has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Promise {
    /// A mirror fetches on demand.
    Some,
    /// A full pool had all of this content once, and a partial tag keeps what it names.
    All,
    /// A custom archive keeps all, and nowhere but in its pool.
    AllInPool,
}

impl Promise {
    fn of(anchor: &Anchor, tag: bool, full: bool, state: &SuiteState) -> Self {
        let mut upstream = state.upstream.iter();
        match anchor.kind {
            AnchorKind::Custom { .. } => Self::AllInPool,
            AnchorKind::Mirror { .. } if full => Self::All,
            AnchorKind::Mirror { .. } if tag && upstream.any(|upstream| !upstream.indexes.is_empty()) => Self::All,
            AnchorKind::Mirror { .. } => Self::Some,
        }
    }
}

/// What an index names; an error where it is malformed.
type Names = Vec<Result<(PoolPath, Digest), FormatError>>;

/// The pool files of an index that are wanted, from its first form that is whole, and that form's name. It
/// is read as a stream: the text of a large one would be most of what is in memory.
fn names_of(
    store: &dyn Store,
    (anchor, state): (&Anchor, &SuiteState),
    forms: &[&IndexFile],
    wanted: &dyn Fn(&PoolPath) -> bool,
) -> Option<(Key, Names)> {
    let read = |index: &&IndexFile| {
        let mut names = Names::new();
        let whole = each_chunk(store, &anchor.name, &state.suite, index, &mut |chunk| {
            let files = pool_files(chunk);
            names.extend(files.filter(|file| file.as_ref().map_or(true, |(path, _)| wanted(path))));
            Ok::<_, SnapshotError>(())
        });
        whole.ok()?;
        Some((index_key(&anchor.name, &state.suite, index), names))
    };
    forms.iter().filter(|index| index.kept).find_map(read)
}

/// The pool files of one index.
fn listed(pool: &mut Pool, key: &Key, files: Names, promise: Promise, report: &mut Report) {
    for file in files {
        let (path, digest) = match file {
            Ok(file) => file,
            Err(error) => return report.problem(Problem::INDEX, key, error),
        };
        if promise == Promise::AllInPool && !path.as_str().starts_with("pool/") {
            let why = format!("it lists `{path}`, which is not in the pool");
            report.problem(Problem::INDEX, key, why);
            continue;
        }
        let name = pool_name(key, &path);
        if promise != Promise::Some {
            pool.required.insert(name.clone());
        }
        let before = pool.files.insert(name.clone(), digest.into());
        if before.is_some_and(|before| before != digest.into()) {
            report.problem(Problem::INDEX, name, "two indexes give it different digests");
        }
    }
}

/// The pool files of an index that is gone: those that are still there, and that no other names.
fn left_over(pool: &mut Pool, key: &Key, files: Names) {
    for (path, digest) in files.into_iter().map_while(Result::ok) {
        pool.files.entry(pool_name(key, &path)).or_insert(digest.into());
    }
}

/// The pool of the archive that an index is of.
fn pool_name(index: &Key, path: &PoolPath) -> String {
    let archive = index.as_str().split('/').next().unwrap_or_default();
    format!("{archive}/{path}")
}

/// The path of an index without the ending of its compression. A component may have dots of its own.
pub(super) fn stem(index: &IndexFile) -> &str {
    let path = index.path.as_str();
    let endings = [".gz", ".xz", ".zst", ".bz2"];
    endings
        .iter()
        .find_map(|ending| path.strip_suffix(ending))
        .unwrap_or(path)
}

/// The Packages and Sources files of a suite: each in all its forms, kept or only listed.
pub(super) fn package_indexes(state: &SuiteState) -> Vec<Vec<&IndexFile>> {
    let mut by_stem: BTreeMap<&str, Vec<&IndexFile>> = BTreeMap::new();
    for index in &state.indexes {
        let stem = stem(index);
        if matches!(stem.rsplit('/').next(), Some("Packages" | "Sources")) {
            by_stem.entry(stem).or_default().push(index);
        }
    }
    by_stem.into_values().collect()
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

fn is_pool(path: &str) -> bool {
    !path.starts_with("dists/") && !path.starts_with("provenance/") && !path.starts_with("project/")
}

/// Objects of an archive that no signed thing names, and whole archives that the site does not know.
fn unnamed(anchors: &Anchors, listing: &[Meta], known: &Known<'_>, report: &mut Report) {
    for name in listing.iter().map(|meta| meta.key.as_str()) {
        let top = name.split_once('/').map_or(name, |(top, _)| top);
        let unjudged = known.lost.iter().any(|lost| name.starts_with(lost.tree()));
        if top == "state" || unjudged || known.unreadable.contains(top) {
            continue;
        }
        if !anchors.archives.iter().any(|anchor| anchor.name.as_str() == top) {
            report.problem(Problem::UNNAMED, name, format!("the site has no archive `{top}`"));
        } else if !known.expected.contains_key(name) && !known.places.contains(name) {
            report.problem(Problem::UNNAMED, name, "no index of any snapshot names it");
        }
    }
}

/// What may be in the store.
struct Known<'a> {
    /// By digest.
    expected: &'a HashMap<String, Expected>,
    /// By what they say.
    places: &'a BTreeSet<String>,
    /// Archives of which it is not known.
    unreadable: &'a BTreeSet<&'a str>,
    /// Trees whose records are missing.
    lost: &'a [Unrecorded],
}
