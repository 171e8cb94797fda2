//! What builds were made in: each locked snapshot is one that its archive signed and, of a mirror, that upstream's own
//! signature covers, and each locked package stands in it, by name, version, architecture and SHA-256 (rules E1 to E3).
//! What packages of our own archives rest on is for `dependencies`.
//!
//! Many locks name the same snapshots, and many snapshots the same indexes: each is checked once, each index read once,
//! as a stream, for all that any lock wants of it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rayon::prelude::*;

use super::hashing::Damaged;
use super::upstream::check_upstream;
use super::{AnchorKind, Anchors, Problem};
use crate::domain::{Architecture, ArchiveName, Sha256, SnapshotName, SuiteName};
use crate::environment::{Lock, LockedPackage, LockedSnapshot, locked_snapshot};
use crate::format::deb822::{Stanza, Stanzas};
use crate::host::Progress;
use crate::publish::check_vouched;
use crate::snapshot::{Chain, IndexFile, SnapshotError, each_plain_chunk, index_key, kept_index};
use crate::store::{Key, Store, StoreError};

/// A suite of an archive.
type Place = (ArchiveName, SuiteName);
/// A suite of a snapshot, as locks for an architecture name it.
type Named = (LockedSnapshot, Architecture);
/// An index, by its place and the SHA-256 of the form that is read.
type Read = (Place, Sha256);

/// A package as a lock names it: an index must list exactly that.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Row {
    place: Place,
    package: String,
    version: String,
    architecture: String,
    sha256: Sha256,
}

impl Row {
    fn of(package: &LockedPackage) -> Self {
        Self {
            place: (package.archive.clone(), package.suite.clone()),
            package: package.package.to_string(),
            version: package.version.to_string(),
            architecture: package.architecture.to_string(),
            sha256: package.sha256,
        }
    }

    fn is(&self, stanza: &Stanza<'_>) -> bool {
        stanza.field("Package") == Some(&self.package)
            && stanza.field("Version") == Some(&self.version)
            && stanza.field("Architecture") == Some(&self.architecture)
    }
}

/// A lock, as far as it is needed: numbers of what it names.
#[derive(Debug)]
struct Wanted {
    snapshots: Vec<usize>,
    rows: Vec<usize>,
}

/// The environments that decisions rest on; first all are added, then checked.
#[derive(Debug, Default)]
pub(super) struct Environments {
    locks: BTreeMap<Key, Wanted>,
    snapshots: Vec<Named>,
    rows: Vec<Row>,
    known_snapshots: BTreeMap<Named, usize>,
    known_rows: HashMap<Row, usize>,
}

/// The number of a value in a list of different ones.
fn number<T: Clone>(value: T, all: &mut Vec<T>, known: impl FnOnce(T, usize) -> usize) -> usize {
    let number = known(value.clone(), all.len());
    if number == all.len() {
        all.push(value);
    }
    number
}

/// What is known of a snapshot by its record: what a lock must say of it, but for the hashes of its indexes; and these.
struct Found {
    locked: LockedSnapshot,
    indexes: Vec<IndexFile>,
}

/// What stands in an index: its SHA-256, uncompressed, and which of the wanted rows.
type Listed = (Sha256, BTreeSet<usize>);

impl Environments {
    /// Adds a lock, which its key names by hash; whether it is new.
    pub(super) fn add(&mut self, key: &Key, lock: &Lock) -> bool {
        if self.locks.contains_key(key) {
            return false;
        }
        let named = |locked: &LockedSnapshot| {
            let named = (locked.clone(), lock.architecture.clone());
            let known = &mut self.known_snapshots;
            number(named, &mut self.snapshots, |named, next| {
                *known.entry(named).or_insert(next)
            })
        };
        let snapshots = lock.snapshots.iter().map(named).collect();
        let row = |package: &LockedPackage| {
            let known = &mut self.known_rows;
            number(Row::of(package), &mut self.rows, |row, next| {
                *known.entry(row).or_insert(next)
            })
        };
        let rows = lock.packages.iter().map(row).collect();
        self.locks.insert(key.clone(), Wanted { snapshots, rows });
        true
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.locks.len()
    }

    /// What does not hold of them, or could not be rechecked, by lock. What only fails because something is damaged is
    /// left out: that was reported.
    pub(super) fn problems(
        &self,
        store: &dyn Store,
        anchors: &Anchors,
        damaged: &Damaged,
        progress: &Progress,
    ) -> Vec<Problem> {
        let found: Vec<Result<Found, Problem>> = self
            .snapshots
            .par_iter()
            .map(|named| snapshot(store, anchors, named))
            .collect();
        let listed = self.read(store, &found, progress);
        let held: Vec<Result<BTreeSet<usize>, Problem>> = self
            .snapshots
            .iter()
            .zip(&found)
            .map(|((locked, _), found)| holds(locked, found.as_ref().map_err(Clone::clone)?, &listed))
            .collect();
        let mut problems = Vec::new();
        for (key, wanted) in &self.locks {
            problems.extend(self.lock(key, wanted, &held, damaged));
        }
        problems
    }

    /// Reads each index that any of the snapshots has, on all cores.
    fn read(
        &self,
        store: &dyn Store,
        found: &[Result<Found, Problem>],
        progress: &Progress,
    ) -> BTreeMap<Read, Result<Listed, Problem>> {
        let mut wanted: BTreeMap<&Place, HashMap<Sha256, Vec<usize>>> = BTreeMap::new();
        for (number, row) in self.rows.iter().enumerate() {
            let here = wanted.entry(&row.place).or_default();
            here.entry(row.sha256).or_default().push(number);
        }
        let mut indexes: BTreeMap<Read, &IndexFile> = BTreeMap::new();
        for found in found.iter().flatten() {
            indexes.extend(found.indexes.iter().map(|index| (read(&found.locked, index), index)));
        }
        let none = HashMap::new();
        let bar = progress.items("environments", indexes.len() as u64);
        let listed = indexes.into_par_iter().map(|((place, sha256), index)| {
            let listed = self.index(store, &place, index, wanted.get(&place).unwrap_or(&none));
            bar.advance(1);
            ((place, sha256), listed)
        });
        let listed = listed.collect();
        bar.finish();
        listed
    }

    fn index(
        &self,
        store: &dyn Store,
        (archive, suite): &Place,
        index: &IndexFile,
        wanted: &HashMap<Sha256, Vec<usize>>,
    ) -> Result<Listed, Problem> {
        let mut found = BTreeSet::new();
        let key = index_key(archive, suite, index);
        let plain = each_plain_chunk(store, archive, suite, index, &mut |chunk| {
            for stanza in Stanzas::new(chunk) {
                let stanza = stanza.map_err(|source| SnapshotError::Record {
                    key: key.clone(),
                    source,
                })?;
                let sha256 = stanza.field("SHA256").and_then(|hex| hex.parse().ok());
                let here = sha256.and_then(|sha256: Sha256| wanted.get(&sha256));
                let same = |row: &&usize| self.rows.get(**row).is_some_and(|row| row.is(&stanza));
                found.extend(here.into_iter().flatten().filter(same));
            }
            Ok::<_, SnapshotError>(())
        });
        let code = |error: &SnapshotError| match error {
            SnapshotError::Store(StoreError::Missing(_)) => Problem::MISSING,
            SnapshotError::Damaged { .. } => Problem::DAMAGED,
            _ => Problem::ENVIRONMENT,
        };
        match plain {
            Ok(plain) => Ok((plain, found)),
            Err(error) => Err(Problem::new(code(&error), &key, error)),
        }
    }

    /// What does not hold of one lock.
    fn lock(
        &self,
        key: &Key,
        wanted: &Wanted,
        held: &[Result<BTreeSet<usize>, Problem>],
        damaged: &Damaged,
    ) -> Vec<Problem> {
        let (mut problems, mut listed) = (Vec::new(), BTreeSet::<usize>::new());
        if wanted.snapshots.is_empty() {
            problems.push(Problem::new(Problem::ENVIRONMENT, key, "it names no snapshot"));
        }
        let mut unjudged = BTreeSet::new();
        for number in &wanted.snapshots {
            let (Some(held), Some((locked, _))) = (held.get(*number), self.snapshots.get(*number)) else {
                continue;
            };
            match held {
                Ok(rows) => listed.extend(rows),
                Err(problem) => {
                    unjudged.insert((&locked.archive, &locked.suite));
                    if damaged.names(&problem.object) {
                        continue;
                    }
                    let name = name(locked);
                    let why = match problem.object == name {
                        true => format!("{name}: {}", problem.why),
                        false => format!("{name}: {}: {}", problem.object, problem.why),
                    };
                    problems.push(Problem::new(problem.code, key, why));
                }
            }
        }
        let missing = wanted.rows.iter().filter(|row| !listed.contains(row));
        let missing = missing.filter_map(|row| self.rows.get(*row));
        // Of a snapshot that does not hold itself, nothing is said of what it lists.
        let missing = missing.filter(|row| !unjudged.contains(&(&row.place.0, &row.place.1)));
        problems.extend(missing.map(|row| {
            let (archive, suite) = &row.place;
            let why = format!(
                "{} {} {} is locked with the SHA-256 {}, which no locked snapshot of {archive} ({suite}) lists",
                row.package, row.version, row.architecture, row.sha256
            );
            Problem::new(Problem::ENVIRONMENT, key, why)
        }));
        problems
    }
}

fn read(locked: &LockedSnapshot, index: &IndexFile) -> Read {
    ((locked.archive.clone(), locked.suite.clone()), index.digest.sha256)
}

/// Whether a snapshot is what locks say of it; the wanted rows that it lists.
fn holds(
    locked: &LockedSnapshot,
    found: &Found,
    listed: &BTreeMap<Read, Result<Listed, Problem>>,
) -> Result<BTreeSet<usize>, Problem> {
    let (mut rows, mut plain) = (BTreeSet::new(), Vec::new());
    for index in &found.indexes {
        let Some(listed) = listed.get(&read(locked, index)) else {
            continue;
        };
        let (sha256, here) = listed.as_ref().map_err(Clone::clone)?;
        plain.push(*sha256);
        rows.extend(here);
    }
    let found = LockedSnapshot {
        packages_sha256: plain,
        ..found.locked.clone()
    };
    if found == *locked {
        return Ok(rows);
    }
    let why = "it is not the snapshot that was locked";
    Err(Problem::new(Problem::ENVIRONMENT, name(locked), why))
}

fn name(locked: &LockedSnapshot) -> String {
    format!("{}@{} ({})", locked.archive, locked.serial, locked.suite)
}

/// A locked snapshot: that the site knows its archive, that the archive signed it, and upstream the mirror's.
fn snapshot(store: &dyn Store, anchors: &Anchors, (locked, architecture): &Named) -> Result<Found, Problem> {
    let archive = &locked.archive;
    let wrong = |why: String| Problem::new(Problem::ENVIRONMENT, name(locked), why);
    let anchor = anchors.archive(archive);
    let anchor = anchor.ok_or_else(|| wrong(format!("the site has no archive `{archive}`")))?;
    let chain = Chain::load(store, archive).map_err(|error| wrong(error.to_string()))?;
    if chain.is_empty() {
        let why = format!("no snapshot of `{archive}` is in this store");
        return Err(Problem::new(Problem::NOT_RECHECKED, name(locked), why));
    }
    let record = match chain.resolve(store, &SnapshotName::Serial(locked.serial.clone())) {
        Err(error @ (SnapshotError::NotFound { .. } | SnapshotError::LetGo { .. })) => {
            return Err(Problem::new(Problem::MISSING, name(locked), error));
        }
        found => found.map_err(|error| wrong(error.to_string()))?,
    };
    check_vouched(store, &record, &anchor.keyring).map_err(|error| wrong(error.to_string()))?;
    let state = record.suites.iter().find(|state| state.suite == locked.suite);
    let state = state.ok_or_else(|| wrong("it has no such suite".to_owned()))?;
    match (&anchor.kind, &state.upstream) {
        (AnchorKind::Mirror { .. }, Some(upstream)) => drop(check_upstream(store, anchor, state, upstream)?),
        (AnchorKind::Mirror { .. }, None) => return Err(wrong("it names nothing that upstream signed".to_owned())),
        (AnchorKind::Unproven { .. }, _) => {
            return Err(wrong(
                "the archive is unproven: nothing may be built with it".to_owned(),
            ));
        }
        (AnchorKind::Custom { .. }, Some(_)) => {
            return Err(wrong("it names an upstream, and the archive is no mirror".to_owned()));
        }
        (AnchorKind::Custom { .. }, None) => {}
    }
    let index = |component| {
        let plain = format!("{component}/binary-{architecture}/Packages");
        let found = kept_index(state, &plain).cloned();
        found.ok_or_else(|| wrong(format!("it has no index `{plain}`")))
    };
    Ok(Found {
        locked: locked_snapshot(&record, state, &locked.components, Vec::new()),
        indexes: locked.components.iter().map(index).collect::<Result<_, _>>()?,
    })
}
