//! Hashing: what the store has is compared with what its objects must be.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};

use rayon::prelude::*;

use super::{Problem, Report};
use crate::domain::{Digest, Sha256};
use crate::host::Progress;
use crate::store::{Key, Meta, Oddity, Reading, Store, StoreError, Strange, Survey, Surveyed, hash_stream};

/// What the bytes of an object must be. Content-addressed names say no size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Must {
    pub(super) sha256: Sha256,
    pub(super) size: Option<u64>,
}

impl From<Digest> for Must {
    fn from(digest: Digest) -> Self {
        Self {
            sha256: digest.sha256,
            size: Some(digest.size),
        }
    }
}

/// Objects that one core compares at a time.
const AT_ONCE: usize = 2048;

/// What is known of objects that something names, by their names.
#[derive(Debug, Default)]
pub(super) struct Expected {
    objects: HashMap<String, Object>,
    /// What the gate keeps lists of and is not there, and the name by which each is listed.
    listed: BTreeMap<String, String>,
}

#[derive(Debug)]
struct Object {
    must: Must,
    /// A snapshot has it, or a list of the gate, so it has to be there.
    required: bool,
    there: AtomicBool,
}

impl Expected {
    /// Something names an object: gives its name again when something else was said of it before. What is
    /// said last counts.
    pub(super) fn add(&mut self, name: String, must: Must, required: bool) -> Option<String> {
        match self.objects.entry(name) {
            Entry::Vacant(new) => {
                new.insert(Object {
                    must,
                    required,
                    there: AtomicBool::new(false),
                });
                None
            }
            Entry::Occupied(mut known) => {
                let object = known.get_mut();
                object.required |= required;
                let before = std::mem::replace(&mut object.must, must);
                (before != must).then(|| known.key().clone())
            }
        }
    }

    /// A list of the gate names an object, by its hash, that is not there.
    pub(super) fn add_listed(&mut self, name: String, sha256: Sha256, by: &str) {
        let must = Must { sha256, size: None };
        self.add(name.clone(), must, true);
        self.listed.insert(name, by.to_owned());
    }

    /// The same, unless something else named it before.
    pub(super) fn add_if_new(&mut self, name: String, must: Must) {
        self.objects.entry(name).or_insert(Object {
            must,
            required: false,
            there: AtomicBool::new(false),
        });
    }

    pub(super) fn names(&self, object: &str) -> bool {
        self.objects.contains_key(object)
    }

    /// The object at whose place there is a folder, with this in it.
    fn above<'n>(&self, name: &'n str) -> Option<&'n str> {
        let taken = |folder: &&str| {
            let object = self.objects.get(*folder);
            object.is_some_and(|object| !object.there.load(Ordering::Relaxed))
        };
        folders(name).find(taken)
    }

    /// Room for so many more.
    pub(super) fn reserve(&mut self, more: usize) {
        self.objects.reserve(more);
    }

    /// What these bytes must be, when anything says so; notes that they are there.
    fn meet(&self, name: &str) -> Option<Must> {
        let object = self.objects.get(name)?;
        object.there.store(true, Ordering::Relaxed);
        Some(object.must)
    }

    /// What must be there and is not, and the name by which the gate lists it.
    fn absent(&self) -> impl Iterator<Item = (&String, Option<&String>)> {
        let absent = self
            .objects
            .iter()
            .filter(|(_, object)| object.required && !object.there.load(Ordering::Relaxed));
        absent.map(|(name, _)| (name, self.listed.get(name)))
    }
}

/// The digest that an object's own name gives, at the places where names are hashes:
/// `<archive>/dists/…/by-hash/SHA256/<hex>`, `<archive>/provenance/sha256/<hex>`, `state/<archive>/held/sha256/<hex>`,
/// `state/<archive>/left/<hex>`.
pub(super) fn named_by_hash(name: &str) -> Option<Must> {
    let (folder, hex) = name.rsplit_once('/')?;
    let (top, below) = folder.split_once('/')?;
    let by_hash = top != "state" && below.starts_with("dists/") && below.ends_with("/by-hash/SHA256");
    let document = top != "state" && below == "provenance/sha256";
    let rest = below.split_once('/').map(|(_, rest)| rest);
    let state = top == "state" && matches!(rest, Some("held/sha256" | "left"));
    if !(by_hash || document || state) {
        return None;
    }
    let sha256 = hex.parse().ok()?;
    Some(Must { sha256, size: None })
}

/// The names of objects that are damaged or missing: what depends on them is not judged.
#[derive(Debug, Default)]
pub(super) struct Damaged(BTreeSet<String>);

impl Damaged {
    pub(super) fn has(&self, key: &Key) -> bool {
        self.names(key.as_str())
    }

    pub(super) fn names(&self, object: &str) -> bool {
        self.0.contains(object)
    }
}

/// Everything below these prefixes, hashed where it is wanted.
pub(super) fn survey(
    store: &dyn Store,
    prefixes: &[String],
    wanted: &(dyn Fn(&Key) -> bool + Sync),
    progress: &Progress,
) -> Result<Survey, StoreError> {
    let bar = progress.bytes("hashing", 0);
    let reading = Reading { wanted, bar: &bar };
    let mut surveyed = Survey::default();
    for prefix in prefixes {
        surveyed.append(store.survey(prefix, &reading)?);
    }
    bar.finish();
    Ok(surveyed)
}

/// Reports what is not as it must be, and what must be there and is not; names of one damaged object come
/// together. What is expected and was not read yet is read now. Gives what is damaged or missing, and the
/// names that nothing expects, whatever they say themselves.
pub(super) fn compare<'a>(
    store: &dyn Store,
    surveyed: &'a Survey,
    expected: &Expected,
    report: &mut Report,
) -> (Damaged, Vec<&'a str>) {
    let mut damaged = Damaged::default();
    let mut groups: BTreeMap<(Sha256, String), Vec<&str>> = BTreeMap::new();
    let mut linked: HashSet<Identity<'_>> = HashSet::new();
    let parts = surveyed
        .objects
        .par_chunks(AT_ONCE)
        .map(|objects| Part::of(store, objects, expected));
    let parts: Vec<Part<'a>> = parts.collect();
    let mut unexpected = Vec::with_capacity(parts.iter().map(|part| part.unexpected.len()).sum());
    for part in parts {
        unexpected.extend(part.unexpected);
        report.objects += part.objects;
        report.bytes = report.bytes.saturating_add(part.bytes);
        for meta in part.shared {
            if linked.insert(identity(meta)) {
                report.objects += 1;
                report.bytes = report.bytes.saturating_add(meta.size);
            }
        }
        for (name, sha256, why) in part.wrong {
            damaged.0.insert(name.to_owned());
            groups.entry((sha256, why)).or_default().push(name);
        }
    }
    for ((_, why), mut names) in groups {
        // The shortest name is the one that clients fetch; the others are links to it.
        names.sort_by_key(|name| (name.len(), *name));
        let mut names = names.into_iter().map(ToOwned::to_owned);
        let mut problem = Problem::new(Problem::DAMAGED, names.next().unwrap_or_default(), why);
        problem.also = names.collect();
        report.problems.push(problem);
    }
    misplaced(&surveyed.strange, expected, &mut unexpected, &mut damaged, report);
    for (name, listed) in expected.absent() {
        // What is in its place was said.
        if damaged.0.insert(name.clone()) {
            let why = match listed {
                Some(by) => {
                    format!("`{by}` lists it, and it is not in the store; put it back from a copy of the store")
                }
                None => "a snapshot names it, and it is not in the store".to_owned(),
            };
            report.problem(Problem::MISSING, name, why);
        }
    }
    (damaged, unexpected)
}

/// Reports what the store never makes: in the place of an object, where that is damaged by it, and elsewhere. What is in a
/// folder that is in the place of an object is said with that; other names that are no key are unexpected ones.
fn misplaced<'a>(
    strange: &'a [Strange],
    expected: &Expected,
    unexpected: &mut Vec<&'a str>,
    damaged: &mut Damaged,
    report: &mut Report,
) {
    let mut taken: BTreeMap<&str, Oddity> = BTreeMap::new();
    for Strange { name, what } in strange {
        match (expected.above(name), what) {
            (Some(object), _) => {
                taken.insert(object, Oddity::Folder);
            }
            (None, what) if expected.names(name) => {
                taken.insert(name, *what);
            }
            (None, Oddity::Folder) => {}
            (None, Oddity::Unnamed) => unexpected.push(name),
            (None, what) => {
                let why = format!("{what}, which the store never makes: {HANDED_OUT}; remove it");
                report.problem(Problem::STRANGE, name, why);
            }
        }
    }
    unexpected.retain(|name| match expected.above(name) {
        Some(object) => {
            taken.insert(object, Oddity::Folder);
            false
        }
        None => true,
    });
    for (object, what) in taken {
        let why = format!("{what} is in its place, which the store never makes: {HANDED_OUT}; remove it");
        report.problem(Problem::DAMAGED, object, why);
        damaged.0.insert(object.to_owned());
    }
}

const HANDED_OUT: &str = "a web server on the store's folder may hand out what nobody checked";

/// The folders that a name is in, the innermost first.
pub(super) fn folders(name: &str) -> impl Iterator<Item = &str> {
    name.rmatch_indices('/').filter_map(|(at, _)| name.get(..at))
}

/// What came of comparing some of the objects.
#[derive(Default)]
struct Part<'a> {
    unexpected: Vec<&'a str>,
    /// Objects with one name, and their bytes.
    objects: u64,
    bytes: u64,
    /// Those that may have more names.
    shared: Vec<&'a Meta>,
    /// What is not as it must be: its name, and why.
    wrong: Vec<(&'a str, Sha256, String)>,
}

impl<'a> Part<'a> {
    fn of(store: &dyn Store, objects: &'a [Surveyed], expected: &Expected) -> Self {
        let mut part = Self::default();
        for object in objects {
            let name = object.meta.key.as_str();
            let known = expected.meet(name);
            if known.is_none() {
                part.unexpected.push(name);
            }
            let Some(must) = known.or_else(|| named_by_hash(name)) else {
                continue;
            };
            let read = || {
                let stream = store.open(&object.meta.key);
                let digest = stream.and_then(|stream| hash_stream(&object.meta.key, stream));
                digest.map_err(|error| error.to_string())
            };
            if object.shared {
                part.shared.push(&object.meta);
            } else {
                part.objects += 1;
                part.bytes = part.bytes.saturating_add(object.meta.size);
            }
            let judged = match &object.digest {
                Some(digest) => judge(must, digest),
                None => judge(must, &read()),
            };
            part.wrong.extend(judged.err().map(|why| (name, must.sha256, why)));
        }
        part
    }
}

/// What an object is, whatever its names.
type Identity<'a> = Result<(u64, u64), &'a str>;

fn identity(meta: &Meta) -> Identity<'_> {
    meta.object.ok_or(meta.key.as_str())
}

fn judge(must: Must, digest: &Result<Digest, String>) -> Result<(), String> {
    let digest = digest.as_ref().map_err(Clone::clone)?;
    if digest.sha256 == must.sha256 && must.size.is_none_or(|size| size == digest.size) {
        return Ok(());
    }
    match must.size {
        Some(size) if digest.sha256 == must.sha256 => {
            Err(format!("it has {} bytes, and its index says {size}", digest.size))
        }
        _ => Err(format!("its SHA-256 is {}, not {}", digest.sha256, must.sha256)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::ObjectStore;

    #[test]
    fn what_is_expected_is_read_whoever_wanted_it() -> Result<(), StoreError> {
        let store = ObjectStore::memory()?;
        for name in ["good", "bad", "other"] {
            store.create(&Key::new(format!("foundry/pool/{name}"))?, name.as_bytes())?;
        }
        let good = Digest::of(b"good").into();
        let mut expected = Expected::default();
        for (name, required) in [("good", true), ("bad", false), ("gone", true), ("never", false)] {
            assert_eq!(expected.add(format!("foundry/pool/{name}"), good, required), None);
        }
        let surveyed = survey(&store, &[String::new()], &|_| false, &Progress::hidden())?;
        let mut report = Report::default();
        let (damaged, unexpected) = compare(&store, &surveyed, &expected, &mut report);
        let found: Vec<_> = report.problems.iter().map(|p| (p.object.as_str(), p.code)).collect();
        let lost = [
            ("foundry/pool/bad", Problem::DAMAGED),
            ("foundry/pool/gone", Problem::MISSING),
        ];
        assert_eq!(found, lost);
        assert!(lost.iter().all(|(name, _)| damaged.names(name)));
        assert_eq!((report.objects, report.bytes), (2, 7));
        assert_eq!(unexpected, ["foundry/pool/other"]);
        Ok(())
    }
}
