//! Hashing: each object is read once, on all cores, whatever its names.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rayon::prelude::*;

use super::{Problem, Report};
use crate::domain::{Digest, Sha256};
use crate::host::Progress;
use crate::store::{HASHED, Key, Meta, Store, hash_through};

/// What the bytes of an object must be. Content-addressed names say no size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Expected {
    pub(super) sha256: Sha256,
    pub(super) size: Option<u64>,
}

impl From<Digest> for Expected {
    fn from(digest: Digest) -> Self {
        Self {
            sha256: digest.sha256,
            size: Some(digest.size),
        }
    }
}

/// The names of objects that are damaged or missing: what depends on them is not judged.
#[derive(Debug, Default)]
pub(super) struct Damaged(BTreeSet<String>);

impl Damaged {
    pub(super) fn add(&mut self, object: &str) {
        self.0.insert(object.to_owned());
    }

    pub(super) fn has(&self, key: &Key) -> bool {
        self.names(key.as_str())
    }

    pub(super) fn names(&self, object: &str) -> bool {
        self.0.contains(object)
    }
}

/// Hashes what is expected, in parallel, and groups names of one damaged object.
pub(super) fn hash(
    store: &dyn Store,
    listing: &[Meta],
    expected: &HashMap<String, Expected>,
    progress: &Progress,
    report: &mut Report,
) -> Damaged {
    let todo: Vec<(&Meta, Expected)> = listing
        .iter()
        .filter_map(|meta| Some((meta, *expected.get(meta.key.as_str())?)))
        .collect();
    let digests = digests(store, &todo, progress, report);
    let mut damaged = Damaged::default();
    let mut groups: BTreeMap<(Sha256, String), Vec<String>> = BTreeMap::new();
    for (meta, expected) in todo {
        let Some(digest) = digests.get(&identity(meta)) else {
            continue;
        };
        let why = match digest.clone() {
            Ok(digest) if digest.sha256 == expected.sha256 && expected.size.is_none_or(|s| s == digest.size) => {
                continue;
            }
            Ok(digest) => format!("its SHA-256 is {}, not {}", digest.sha256, expected.sha256),
            Err(error) => error,
        };
        damaged.0.insert(meta.key.as_str().to_owned());
        groups
            .entry((expected.sha256, why))
            .or_default()
            .push(meta.key.as_str().to_owned());
    }
    for ((_, why), mut names) in groups {
        // The shortest name is the one that clients fetch; the others are links to it.
        names.sort_by_key(|name| (name.len(), name.clone()));
        let mut problem = Problem::new(Problem::DAMAGED, names.remove(0), why);
        problem.also = names;
        report.problems.push(problem);
    }
    damaged
}

/// What an object is, whatever its names.
type Identity<'a> = Result<(u64, u64), &'a str>;

fn identity(meta: &Meta) -> Identity<'_> {
    meta.object.ok_or(meta.key.as_str())
}

/// The digest of each object, read once, however many names it has. The largest come first, so that no
/// core waits for one at the end.
fn digests<'a>(
    store: &dyn Store,
    todo: &[(&'a Meta, Expected)],
    progress: &Progress,
    report: &mut Report,
) -> HashMap<Identity<'a>, Result<Digest, String>> {
    let mut objects: Vec<&Meta> = todo.iter().map(|(meta, _)| *meta).collect();
    objects.sort_by_key(|meta| (std::cmp::Reverse(meta.size), identity(meta)));
    objects.dedup_by_key(|meta| identity(meta));
    report.objects = objects.len() as u64;
    report.bytes = objects.iter().map(|meta| meta.size).sum();
    let bar = progress.bytes("hashing", report.bytes);
    let digest = |buffer: &mut Vec<u8>, meta: &'a Meta| {
        let stream = store.open(&meta.key);
        let digest = stream.and_then(|stream| hash_through(&meta.key, stream, buffer));
        bar.advance(meta.size);
        (identity(meta), digest.map_err(|error| error.to_string()))
    };
    let found = objects
        .into_par_iter()
        .with_max_len(64)
        .map_init(|| vec![0; HASHED], digest)
        .collect();
    bar.finish();
    found
}
