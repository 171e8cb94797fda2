//! The pool files that indexes name.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use rayon::prelude::*;

use super::editions::{History, all};
use super::hashing::{Expected, folders};
use super::{Anchor, AnchorKind, Problem, Report};
use crate::domain::{Digest, SuiteName};
use crate::format::FormatError;
use crate::format::packages::pool_files;
use crate::index::CHANGELOGS;
use crate::snapshot::{IndexFile, SnapshotError, SuiteState, UpstreamRelease, content_digest, each_chunk, index_key};
use crate::store::{Key, Meta, Store, StoreError};
use crate::upstream::looked_at;

/// Indexes that are in memory at once.
const AT_ONCE: usize = 4;

/// A Packages or Sources file of an archive: all its forms, of which one is read.
#[derive(Debug)]
pub(super) struct Listing<'a> {
    anchor: &'a Anchor,
    suite: SuiteName,
    forms: Vec<IndexFile>,
    promise: Promise,
}

/// How much of what an index names must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Promise {
    /// An archive of ours keeps all, and nowhere but in its pool.
    AllInPool,
    /// A full pool had all of this content once, and a partial tag keeps what it names.
    All,
    /// A mirror fetches on demand: it has some.
    Some,
    /// It is gone: it explains what is left of it, and that no other names.
    Nothing,
}

impl Promise {
    fn of(anchor: &Anchor, tag: bool, full: bool, state: &SuiteState) -> Self {
        let says = |what: &dyn Fn(&UpstreamRelease) -> bool| state.upstream.as_ref().is_some_and(what);
        match anchor.kind {
            AnchorKind::Custom { .. } | AnchorKind::Unproven { .. } => Self::AllInPool,
            AnchorKind::Mirror { .. } if full || says(&|upstream| upstream.filled) => Self::All,
            AnchorKind::Mirror { .. } if tag && says(&|upstream| !upstream.indexes.is_empty()) => Self::All,
            AnchorKind::Mirror { .. } => Self::Some,
        }
    }
}

impl Listing<'_> {
    /// Whether all that it names must be there: then it need not be known what is.
    pub(super) fn is_whole(&self) -> bool {
        matches!(self.promise, Promise::AllInPool | Promise::All)
    }
}

/// The Packages and Sources of all editions of an archive, each once.
pub(super) fn listings<'a>(
    store: &dyn Store,
    anchor: &'a Anchor,
    history: &History,
    report: &mut Report,
) -> Result<Vec<Listing<'a>>, StoreError> {
    // Notes of content that was all fetched: what is lost of it is missing. Nobody signs them; what was fetched before
    // the snapshot was made its record says, too.
    let notes = store.list(&Key::all_filled(&anchor.name))?;
    for note in &notes {
        check_note(store, note, report);
    }
    let filled: BTreeSet<Key> = notes.into_iter().map(|meta| meta.key).collect();
    let mut listings = Vec::new();
    let mut known = BTreeSet::new();
    for (edition, gone) in all(store, history) {
        let full = filled.contains(&Key::filled(&anchor.name, &content_digest(&edition.suites)));
        let tag = edition.number.is_none();
        for state in &edition.suites {
            let promise = match gone {
                true => Promise::Nothing,
                false => Promise::of(anchor, tag, full, state),
            };
            for forms in named(state, &["Packages", "Sources", CHANGELOGS]) {
                let Some(first) = forms.first() else { continue };
                if known.insert((first.digest.sha256, promise)) {
                    listings.push(Listing {
                        anchor,
                        suite: state.suite.clone(),
                        forms: forms.into_iter().cloned().collect(),
                        promise,
                    });
                }
            }
        }
    }
    // What is gone only explains files that are left: it comes last.
    listings.sort_by_key(|listing| listing.promise);
    Ok(listings)
}

/// Names a note that does not say when: no run of ours writes it, and a mirror does not go by it.
fn check_note(store: &dyn Store, note: &Meta, report: &mut Report) {
    let why = match looked_at(store, note) {
        Ok(Some(_)) => return,
        Ok(None) => "it does not say when the pool was looked at".to_owned(),
        Err(error) => error.to_string(),
    };
    let next = "remove it: `assay mirror` looks at the pool again then";
    report.problem(Problem::DAMAGED, &note.key, format!("{why}; {next}"));
}

/// The pool files that archives have, and the folders that they are in, by archive; all by their names in the store. A
/// folder may be where a file should be.
#[derive(Debug, Default)]
pub(super) struct Pools<'a>(BTreeMap<&'a str, HashSet<&'a str>>);

impl<'a> FromIterator<&'a str> for Pools<'a> {
    fn from_iter<I: IntoIterator<Item = &'a str>>(names: I) -> Self {
        let mut pools = Self::default();
        for name in names {
            let Some((archive, path)) = name.split_once('/') else {
                continue;
            };
            let other = ["dists/", "provenance/", "project/"];
            if archive != "state" && !other.iter().any(|top| path.starts_with(top)) {
                let known = pools.0.entry(archive).or_default();
                if known.insert(name) {
                    let _ = folders(name).take_while(|folder| known.insert(folder)).count();
                }
            }
        }
        pools
    }
}

/// Expects what these name, which are read on all cores; gives the archives of which an index could not be
/// read in any form, so that what it names is not known. Of what need not be there, only what `pools` have
/// is expected.
pub(super) fn expect<'a>(
    store: &dyn Store,
    listings: &[&Listing<'a>],
    pools: &Pools<'_>,
    expected: &mut Expected,
    report: &mut Report,
) -> BTreeSet<&'a str> {
    let mut unreadable = BTreeSet::new();
    let none = HashSet::new();
    let there = |listing: &Listing<'_>| pools.0.get(listing.anchor.name.as_str()).unwrap_or(&none);
    let matter = |listing: &&&Listing<'_>| listing.is_whole() || !there(listing).is_empty();
    let listings: Vec<&Listing<'a>> = listings.iter().filter(matter).copied().collect();
    for some in listings.chunks(AT_ONCE) {
        let read = |listing: &&Listing<'_>| listing.names(store, there(listing));
        let names: Vec<_> = some.par_iter().map(read).collect();
        for (listing, names) in some.iter().zip(names) {
            match names {
                Some((key, names)) => listing.expect(&key, names, expected, report),
                None if listing.promise == Promise::Nothing => {}
                None => {
                    unreadable.insert(listing.anchor.name.as_str());
                }
            }
        }
    }
    unreadable
}

/// What an index names; an error where it is malformed.
type Names = Vec<Result<(String, Digest), FormatError>>;

impl Listing<'_> {
    /// The pool files that it names and that matter, from its first form that is whole, and that form's
    /// name. It is read as a stream: the text of a large one would be most of what is in memory.
    fn names(&self, store: &dyn Store, there: &HashSet<&str>) -> Option<(Key, Names)> {
        let archive = &self.anchor.name;
        let wanted = |name: &str| self.is_whole() || there.contains(name);
        let read = |index: &IndexFile| {
            let mut names = Names::new();
            let whole = each_chunk(store, archive, &self.suite, index, &mut |chunk| {
                let files = pool_files(chunk).map(|file| {
                    let (path, digest) = file?;
                    Ok((format!("{archive}/{path}"), digest))
                });
                names.extend(files.filter(|file| file.as_ref().map_or(true, |(name, _)| wanted(name))));
                Ok::<_, SnapshotError>(())
            });
            whole.ok()?;
            Some((index_key(archive, &self.suite, index), names))
        };
        self.forms.iter().filter(|index| index.kept).find_map(read)
    }

    fn expect(&self, key: &Key, names: Names, expected: &mut Expected, report: &mut Report) {
        expected.reserve(names.len());
        for name in names {
            let (name, digest) = match name {
                Ok(name) => name,
                Err(_) if self.promise == Promise::Nothing => return,
                Err(error) => return report.problem(Problem::INDEX, key, error),
            };
            match self.promise {
                Promise::Nothing => {
                    expected.add_if_new(name, digest.into());
                    continue;
                }
                Promise::AllInPool if !is_in_pool(&name) => {
                    let path = name.split_once('/').map_or("", |(_, path)| path);
                    let why = format!("it lists `{path}`, which is not in the pool");
                    report.problem(Problem::INDEX, key, why);
                    continue;
                }
                _ => {}
            }
            if let Some(name) = expected.add(name, digest.into(), self.is_whole()) {
                report.problem(Problem::INDEX, name, "two indexes give it different digests");
            }
        }
    }
}

fn is_in_pool(name: &str) -> bool {
    name.split_once('/').is_some_and(|(_, path)| path.starts_with("pool/"))
}

/// The Packages and Sources files of a suite: each in all its forms, kept or only listed.
pub(super) fn package_indexes(state: &SuiteState) -> Vec<Vec<&IndexFile>> {
    named(state, &["Packages", "Sources"])
}

/// The indexes of these names, each in all its forms.
pub(super) fn named<'s>(state: &'s SuiteState, names: &[&str]) -> Vec<Vec<&'s IndexFile>> {
    let mut by_stem: BTreeMap<&str, Vec<&IndexFile>> = BTreeMap::new();
    for index in &state.indexes {
        let stem = stem(index);
        if stem.rsplit('/').next().is_some_and(|name| names.contains(&name)) {
            by_stem.entry(stem).or_default().push(index);
        }
    }
    by_stem.into_values().collect()
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
