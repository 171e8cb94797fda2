//! What is in the store of an archive, and what of it nothing needs.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::standing::{Keys, SIGNED, Standing};
use super::{CollectError, Collection};
use crate::domain::SuiteName;
use crate::format::packages::pool_files;
use crate::publish::{Recorded, unrecorded};
use crate::snapshot::{EditionName, each_chunk};
use crate::store::{Key, Meta};

/// Some objects.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Amount {
    pub(super) objects: u64,
    pub(super) bytes: u64,
}

impl Amount {
    pub(super) fn add(&mut self, bytes: u64) {
        self.objects = self.objects.saturating_add(1);
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

/// A pool file, and which index names it.
#[derive(Debug)]
pub(super) struct PoolFile {
    pub(super) key: Key,
    pub(super) size: u64,
    pub(super) named_by: Option<String>,
}

/// What goes of an archive, besides what is in its state.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// Trees of editions that go or went.
    pub(super) trees: BTreeMap<(EditionName, SuiteName), Amount>,
    /// Names at the head that the newest snapshot does not have.
    pub(super) stale: Vec<Key>,
    /// Objects by hash that nothing names, by suite.
    pub(super) objects: BTreeMap<SuiteName, Vec<Meta>>,
    /// All pool files.
    pub(super) pool: Vec<PoolFile>,
}

/// Editions by the names of their trees, and whether each goes.
type Names<'a> = HashMap<&'a str, (&'a EditionName, bool)>;

/// Where an object below `dists/` is.
enum Place<'a> {
    /// In the tree of an edition; whether that goes, and the path there.
    Tree(&'a EditionName, bool, &'a str),
    /// An object by hash.
    Object,
    /// A name at the head.
    Head,
}

impl Scan {
    pub(super) fn of(what: &Collection<'_>, standing: &Standing) -> Result<Self, CollectError> {
        let mut scan = Self::default();
        // Every InRelease that was signed for a snapshot is kept by hash with the snapshot's tree; at the
        // head it stays as long as that.
        let mut pinned = Keys::default();
        let prefix = format!("{}/", what.archive);
        let kept = standing.kept.iter().map(|name| (name.as_str(), (name, false)));
        let going = standing.going.keys().chain(&standing.gone);
        let doomed = going.map(|name| (name.as_str(), (name, true)));
        let names: Names<'_> = kept.chain(doomed).collect();
        let mut signed = Vec::new();
        what.store.visit(what.archive.as_str(), &mut |meta| {
            if meta.key.as_str().ends_with("/InRelease") {
                signed.push(meta.key.clone());
            }
            let Some(path) = meta.key.as_str().strip_prefix(&prefix) else {
                return;
            };
            match path.split_once('/') {
                Some(("dists", below)) => scan.dists(what, standing, &names, &mut pinned, below, &meta),
                Some(("provenance" | "project", _)) => {}
                _ => scan.pool.push(PoolFile {
                    key: meta.key.clone(),
                    size: meta.size,
                    named_by: None,
                }),
            }
        })?;
        refuse_unrecorded(what, standing, &names, &signed)?;
        for (suite, objects) in &mut scan.objects {
            objects.retain(|meta| !pinned.has(&pin(suite, hex(meta.key.as_str()))));
        }
        scan.objects.retain(|_, objects| !objects.is_empty());
        scan.pool.sort_by(|a, b| a.key.cmp(&b.key));
        scan.name_pool(what, standing)?;
        Ok(scan)
    }

    fn dists(
        &mut self,
        what: &Collection<'_>,
        standing: &Standing,
        names: &Names<'_>,
        pinned: &mut Keys,
        below: &str,
        meta: &Meta,
    ) {
        // The longest that fits: `tin/updates` is no part of `tin`.
        let suites = standing.suites.iter();
        let fits = |suite: &&SuiteName| {
            below
                .strip_prefix(suite.as_str())
                .is_some_and(|rest| rest.starts_with('/'))
        };
        let Some(suite) = suites.filter(fits).max_by_key(|suite| suite.as_str().len()) else {
            return;
        };
        let path = below.get(suite.as_str().len() + 1..).unwrap_or_default();
        match place(names, &standing.folders, path) {
            Place::Tree(name, true, path) => {
                // On a disk all but the signed files are links to objects by hash.
                let own = what.copies || SIGNED.contains(&path) || path.starts_with("by-hash/");
                let amount = self.trees.entry((name.clone(), suite.clone())).or_default();
                amount.add(if own { meta.size } else { 0 });
            }
            Place::Tree(_, false, path) => {
                if let Some(hex) = path.strip_prefix("by-hash/SHA256/") {
                    pinned.add(&pin(suite, hex));
                }
            }
            Place::Object if standing.objects.has(meta.key.as_str()) => {}
            Place::Object => {
                self.objects.entry(suite.clone()).or_default().push(meta.clone());
            }
            Place::Head if standing.head.has(meta.key.as_str()) => {}
            Place::Head => self.stale.push(meta.key.clone()),
        }
    }

    /// Finds out which pool files are named, newest indexes first, until all are.
    fn name_pool(&mut self, what: &Collection<'_>, standing: &Standing) -> Result<(), CollectError> {
        let mut unnamed = self.pool.len();
        let mut listings: Vec<_> = standing.listings.values().collect();
        listings.sort_by(|a, b| b.edition.cmp(&a.edition));
        let bar = what.progress.items("indexes", listings.len() as u64);
        for listing in listings {
            if unnamed == 0 {
                break;
            }
            let by = format!("{} {} {}", listing.edition, listing.suite, listing.index.path);
            each_chunk(
                what.store,
                what.archive,
                &listing.suite,
                &listing.index,
                &mut |stanzas| {
                    // A stanza that cannot be read names no file that was ever fetched.
                    for (path, _) in pool_files(stanzas).filter_map(Result::ok) {
                        let key = Key::pool(what.archive, &path);
                        let found = self.pool.binary_search_by(|file| file.key.cmp(&key)).ok();
                        let file = found.and_then(|at| self.pool.get_mut(at));
                        if let Some(file) = file.filter(|file| file.named_by.is_none()) {
                            file.named_by = Some(by.clone());
                            unnamed = unnamed.saturating_sub(1);
                        }
                    }
                    Ok::<_, CollectError>(())
                },
            )?;
            bar.advance(1);
        }
        bar.finish();
        Ok(())
    }
}

/// What lost its record is in no list of what stays, and must not go for that.
fn refuse_unrecorded(
    what: &Collection<'_>,
    standing: &Standing,
    names: &Names<'_>,
    signed: &[Key],
) -> Result<(), CollectError> {
    let recorded = Recorded {
        archive: what.archive,
        records: standing.records,
        editions: names.keys().map(|name| (*name).to_owned()).collect(),
        suites: standing.suites.clone(),
    };
    let (keyring, now) = (what.signer.keyring()?, what.made.now);
    let lost = unrecorded(what.store, &recorded, signed.iter(), &keyring, now)?;
    match lost.into_iter().next() {
        Some(lost) => Err(CollectError::Unrecorded(Box::new(lost))),
        None => Ok(()),
    }
}

/// Where an object is. A folder that something kept has its indexes in is not the tree of what goes: tags of other days were
/// not held against components that came later.
fn place<'a>(names: &'a Names<'_>, folders: &BTreeSet<String>, path: &'a str) -> Place<'a> {
    if let Some((first, rest)) = path.split_once('/')
        && let Some((name, doomed)) = names.get(first)
        && !(*doomed && folders.contains(first))
    {
        return Place::Tree(name, *doomed, rest);
    }
    match path.rsplit_once('/') {
        Some((folder, _)) if folder == "by-hash/SHA256" || folder.ends_with("/by-hash/SHA256") => Place::Object,
        _ => Place::Head,
    }
}

fn pin(suite: &SuiteName, hex: &str) -> String {
    format!("{suite} {hex}")
}

/// The hash in the name of an object.
fn hex(key: &str) -> &str {
    key.rsplit_once("/by-hash/SHA256/").map_or("", |(_, hex)| hex)
}
