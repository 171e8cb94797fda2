//! What this site's own snapshots say about the packages that environments and candidates name.
//! Reads only; every index is checked against the record that lists it.

use std::collections::{BTreeMap, BTreeSet};

use crate::admission::{Before, Candidate, Import, Indexed, IndexedKind, Inspected, KnownSnapshot, Whole};
use crate::domain::{Architecture, ArchiveName, PackageName, PoolPath, Sha256, SnapshotName, SuiteName};
use crate::environment::{Lock, LockedSnapshot};
use crate::format::FormatError;
use crate::format::compress::{Compression, decompress};
use crate::format::deb::{DebLimits, read_deb};
use crate::format::deb822::{Stanza, Stanzas};
use crate::format::dsse::{self, Envelope};
use crate::format::intoto::{Statement, Summary};
use crate::format::json;
use crate::format::packages::{Binary, Source};
use crate::format::relation::Relations;
use crate::snapshot::{Chain, IndexFile, Record, SnapshotError, SuiteState, index_key, read_index};
use crate::source::Declaration;
use crate::store::{Key, Store};

use super::GateError;
use super::evidence::read_document;
use super::stage::{Decisions, read_decisions};

/// The largest lock that is read, in bytes.
const LARGEST_LOCK: u64 = 4 << 20;

/// The part of the gate's evidence that is this site's own.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// For `Evidence::snapshots`.
    pub snapshots: Vec<KnownSnapshot>,
    /// For `Evidence::indexed`.
    pub indexed: Vec<Indexed>,
    /// For `Evidence::admitted`.
    pub admitted: BTreeMap<Sha256, Sha256>,
}

/// Looks up everything that `locks` and `candidate` name, in the snapshots that the locks name; and whose the
/// candidate's names are, in the newest of every mirror too, since who writes the lock chooses what it leaves out. All
/// of it is kept with the decision, which is so made again from the same facts for ever. A snapshot that this
/// site does not have is left out, and rule E1 refuses it. Only the packages of `mirrors`, the archives
/// that the site says are mirrors, can be signed by an upstream, whatever a record says.
///
/// # Errors
/// When a record or index is missing, damaged or malformed; the store's failure.
pub fn load_known<'a>(
    store: &dyn Store,
    locks: impl IntoIterator<Item = &'a Lock>,
    candidate: &Candidate,
    mirrors: &BTreeSet<ArchiveName>,
) -> Result<Known, GateError> {
    let mut known = Known::default();
    let own: BTreeSet<PackageName> = Whole::from(candidate).names().into_iter().collect();
    let (mut names, mut built, mut seen) = (own.clone(), BTreeSet::new(), BTreeSet::new());
    let mut wanted: BTreeMap<_, (&LockedSnapshot, BTreeSet<&Architecture>)> = BTreeMap::new();
    for lock in locks {
        names.extend(lock.packages.iter().map(|package| package.package.clone()));
        built.insert(&lock.architecture);
        for locked in &lock.snapshots {
            let entry = wanted.entry((&locked.archive, &locked.suite, &locked.id));
            entry.or_insert((locked, BTreeSet::new())).1.insert(&lock.architecture);
        }
    }
    for (locked, architectures) in wanted.into_values() {
        let chain = Chain::load(store, &locked.archive)?;
        let record = match chain.resolve(store, &SnapshotName::At(locked.id.clone())) {
            Err(SnapshotError::NotFound { .. } | SnapshotError::LetGo { .. }) => None,
            found => Some(found?).filter(|record| record.id == locked.id),
        };
        let state = record.as_ref();
        let state = state.and_then(|r| Some((r, r.suites.iter().find(|s| s.suite == locked.suite)?)));
        // What is unproven, here or where a mirror has it from, is no environment: rule E1 misses it.
        let Some((record, state)) = state.filter(|(_, state)| !state.is_unproven()) else {
            continue;
        };
        known.snapshots.push(KnownSnapshot {
            archive: locked.archive.clone(),
            suite: locked.suite.clone(),
            id: record.id.clone(),
            serial: record.serial.clone(),
            inrelease_sha256: state.upstream.as_ref().map(|upstream| upstream.inrelease.sha256),
            release_date: state.upstream.as_ref().map(|upstream| upstream.date),
            packages_sha256: state
                .indexes
                .iter()
                .filter(|i| is_packages(i))
                .map(|i| i.digest.sha256)
                .collect(),
        });
        let mirror = mirrors.contains(&locked.archive);
        let reader = Reader {
            store,
            place: (&locked.archive, &locked.suite),
            state,
            mirror,
        };
        for index in state
            .indexes
            .iter()
            .filter(|index| is_packages(index) && built_for(index, &architectures))
        {
            seen.insert((locked.archive.clone(), locked.suite.clone(), index.digest.sha256));
            reader.binaries(index, &names, &mut known.indexed)?;
        }
        for index in state.indexes.iter().filter(|index| index.path.file_name() == "Sources") {
            reader.sources(index, &candidate.declaration.source, &mut known.indexed)?;
        }
        let decided = read_decisions(store, &locked.archive, state)?;
        known.admitted.extend(decided.into_values());
    }
    known
        .indexed
        .extend(newest_owners(store, mirrors, (&own, &built), &seen)?);
    known.indexed.sort();
    known.indexed.dedup();
    Ok(known)
}

/// The packages of some names and architectures in the newest snapshots of all suites of mirrors. Most locks name the
/// newest snapshot: an index that was `seen` is not read again.
fn newest_owners(
    store: &dyn Store,
    mirrors: &BTreeSet<ArchiveName>,
    (names, architectures): (&BTreeSet<PackageName>, &BTreeSet<&Architecture>),
    seen: &BTreeSet<(ArchiveName, SuiteName, Sha256)>,
) -> Result<Vec<Indexed>, GateError> {
    let mut indexed = Vec::new();
    for archive in mirrors {
        let chain = Chain::load(store, archive)?;
        let states = chain.latest().into_iter().flat_map(|record| &record.suites);
        for state in states.filter(|state| !state.is_unproven()) {
            let reader = Reader {
                store,
                place: (archive, &state.suite),
                state,
                mirror: true,
            };
            for index in state
                .indexes
                .iter()
                .filter(|i| is_packages(i) && built_for(i, architectures))
            {
                if !seen.contains(&(archive.clone(), state.suite.clone(), index.digest.sha256)) {
                    reader.binaries(index, names, &mut indexed)?;
                }
            }
        }
    }
    for row in &mut indexed {
        row.newest = true;
    }
    Ok(indexed)
}

/// What the newest snapshots of suites hold under the names of what is offered: packages for the archive's
/// architectures, and the source package.
///
/// # Errors
/// When a record or index is missing, damaged or malformed; the store's failure.
pub(super) fn newest_rows<'a>(
    store: &dyn Store,
    places: impl IntoIterator<Item = (&'a ArchiveName, &'a SuiteName)>,
    import: &Import,
) -> Result<Vec<Indexed>, GateError> {
    let names: BTreeSet<PackageName> = Whole::from(import).names().into_iter().collect();
    let architectures: BTreeSet<&Architecture> = import.architectures.iter().collect();
    let mut indexed = Vec::new();
    for (archive, suite) in places {
        let chain = Chain::load(store, archive)?;
        let states = chain.latest().into_iter().flat_map(|record| &record.suites);
        for state in states.filter(|state| state.suite == *suite) {
            let reader = Reader {
                store,
                place: (archive, suite),
                state,
                mirror: *archive != import.archive,
            };
            for index in &state.indexes {
                if is_packages(index) && built_for(index, &architectures) {
                    reader.binaries(index, &names, &mut indexed)?;
                } else if index.path.file_name() == "Sources" {
                    reader.sources(index, &import.source, &mut indexed)?;
                }
            }
        }
    }
    indexed.sort();
    indexed.dedup();
    Ok(indexed)
}

/// The levels that the decisions on locked packages of ours gave. One that cannot be read gives none.
///
/// # Errors
/// The store's failure; never that a decision is missing.
pub(super) fn load_levels<'a>(
    store: &dyn Store,
    locks: impl IntoIterator<Item = &'a Lock>,
    admitted: &BTreeMap<Sha256, Sha256>,
) -> Result<BTreeMap<Sha256, Vec<String>>, GateError> {
    let mut levels = BTreeMap::new();
    for package in locks.into_iter().flat_map(|lock| &lock.packages) {
        let Some(decision) = admitted.get(&package.sha256) else {
            continue;
        };
        if let Some(summary) = read_summary(store, &package.archive, decision)? {
            levels.insert(*decision, summary.verified_levels);
        }
    }
    Ok(levels)
}

/// The snapshots that the version of the candidate's source was built in which its suites have now.
///
/// # Errors
/// When an index is damaged; the store's failure.
pub(super) fn load_previous(
    store: &dyn Store,
    latest: Option<&Record>,
    candidate: &Candidate,
) -> Result<Vec<LockedSnapshot>, GateError> {
    let (archive, declaration) = (&candidate.archive, &candidate.declaration);
    let own = own_decisions(store, latest, declaration, &candidate.suites)?;
    let decisions: BTreeSet<Sha256> = own.into_values().map(|(_, decision)| decision).collect();
    built_in(store, archive, &decisions)
}

/// The snapshots of the environments that some decisions rest on.
///
/// # Errors
/// When a decision or a lock is damaged, or a lock is missing; the store's failure.
pub fn built_in(
    store: &dyn Store,
    archive: &ArchiveName,
    decisions: &BTreeSet<Sha256>,
) -> Result<Vec<LockedSnapshot>, GateError> {
    let (mut locks, mut snapshots) = (BTreeSet::new(), Vec::new());
    for decision in decisions {
        let summary = read_summary(store, archive, decision)?;
        for input in summary.into_iter().flat_map(|summary| summary.input_attestations) {
            let sha256 = input.digest.get("sha256").and_then(|hex| hex.parse().ok());
            if let (Some("environment-lock"), Some(sha256)) = (input.name.as_deref(), sha256)
                && locks.insert(sha256)
            {
                let bytes = read_document(store, archive, &sha256, LARGEST_LOCK)?;
                let lock: Lock = json::strict("environment lock", &bytes).map_err(GateError::document(sha256))?;
                snapshots.extend(lock.snapshots);
            }
        }
    }
    Ok(snapshots)
}

/// The admitted files that some suites of a record have of a source, with what admitted them.
pub(super) fn own_decisions(
    store: &dyn Store,
    latest: Option<&Record>,
    declaration: &Declaration,
    suites: &[SuiteName],
) -> Result<Decisions, GateError> {
    // A source has a folder of its own in the pool.
    let first = declaration.files.first();
    let place = first.and_then(|file| PoolPath::in_pool(&declaration.component, &declaration.source, &file.name).ok());
    let Some((folder, _)) = place.as_ref().and_then(|path| path.as_str().rsplit_once('/')) else {
        return Ok(Decisions::new());
    };
    let is_own = |path: &PoolPath| path.as_str().rsplit_once('/').is_some_and(|(other, _)| other == folder);
    let mut own = Decisions::new();
    if let Some(record) = latest {
        for state in record.suites.iter().filter(|state| suites.contains(&state.suite)) {
            let decided = read_decisions(store, &record.archive, state)?;
            own.extend(decided.into_iter().filter(|(path, _)| is_own(path)));
        }
    }
    Ok(own)
}

/// What a decision says, if it is there: by its hash, which the archive's own index names.
pub(super) fn read_summary(
    store: &dyn Store,
    archive: &ArchiveName,
    decision: &Sha256,
) -> Result<Option<Summary>, GateError> {
    if store.head(&Key::provenance(archive, decision))?.is_none() {
        return Ok(None);
    }
    let bytes = read_document(store, archive, decision, dsse::LARGEST)?;
    let statement = Envelope::parse(&bytes).and_then(|envelope| json::strict("decision", &envelope.payload));
    Ok(statement.ok().map(|statement: Statement<Summary>| statement.predicate))
}

/// An uncompressed Packages index of a component, not the installer's.
fn is_packages(index: &IndexFile) -> bool {
    let path = index.path.as_str();
    path.ends_with("/Packages") && !path.contains("/debian-installer/")
}

fn built_for(index: &IndexFile, architectures: &BTreeSet<&Architecture>) -> bool {
    let folder = index.path.folder().trim_end_matches('/');
    let word = folder.rsplit('/').next().and_then(|last| last.strip_prefix("binary-"));
    word.is_some_and(|word| word == "all" || architectures.iter().any(|a| a.as_str() == word))
}

/// The names in `Provides` and `Replaces` of a stanza.
fn takes(stanza: &Stanza<'_>) -> Result<Vec<PackageName>, FormatError> {
    let mut names = BTreeSet::new();
    for field in ["Provides", "Replaces"] {
        if let Some(text) = stanza.field(field) {
            let groups = Relations::parse(field, text)?.0;
            names.extend(groups.into_iter().flatten().map(|relation| relation.package));
        }
    }
    Ok(names.into_iter().collect())
}

/// What the newest snapshot of the candidate's archive holds under the names of its packages. A package
/// that cannot be read any more says nothing: the report of what is new is for people.
///
/// # Errors
/// When a record or index is missing, damaged or malformed; the store's failure.
pub(super) fn load_before<'a>(store: &dyn Store, candidate: impl Into<Whole<'a>>) -> Result<Vec<Before>, GateError> {
    let mut found = BTreeSet::new();
    let candidate = candidate.into();
    let chain = Chain::load(store, candidate.archive)?;
    let names: BTreeSet<String> = candidate.names().iter().map(ToString::to_string).collect();
    for state in chain.latest().iter().flat_map(|record| &record.suites) {
        if !candidate.suites.contains(&state.suite) {
            continue;
        }
        for index in state.indexes.iter().filter(|index| is_packages(index)) {
            let text = read_index(store, candidate.archive, &state.suite, index)?;
            for stanza in Stanzas::new(&text) {
                let stanza = stanza.map_err(GateError::document(&index.path))?;
                if !stanza.field("Package").is_some_and(|name| names.contains(name)) {
                    continue;
                }
                let binary = Binary::from_stanza(&stanza).map_err(GateError::document(&index.path))?;
                let stream = store.open(&Key::pool(candidate.archive, &binary.filename));
                let read = stream
                    .ok()
                    .map(|stream| Inspected::new(read_deb(stream, &DebLimits::default())));
                found.extend(read.as_ref().and_then(Inspected::facts).map(Before::of));
            }
        }
    }
    Ok(found.into_iter().collect())
}

/// Reads indexes of one suite of one snapshot.
struct Reader<'a> {
    store: &'a dyn Store,
    /// The archive, and its suite.
    place: (&'a ArchiveName, &'a SuiteName),
    state: &'a SuiteState,
    /// The site says that the archive is a mirror.
    mirror: bool,
}

impl Reader<'_> {
    fn binaries(
        &self,
        index: &IndexFile,
        names: &BTreeSet<PackageName>,
        indexed: &mut Vec<Indexed>,
    ) -> Result<(), GateError> {
        let names: BTreeSet<&str> = names.iter().map(PackageName::as_str).collect();
        let failed = || GateError::document(&index.path);
        for stanza in Stanzas::new(&self.plain(index)?) {
            let stanza = stanza.map_err(failed())?;
            if !stanza.field("Package").is_some_and(|name| names.contains(name)) {
                continue;
            }
            let binary = Binary::from_stanza(&stanza).map_err(failed())?;
            let row = self.row(IndexedKind::Binary, binary.digest.sha256);
            let mut row = row(binary.package, binary.version, binary.architecture, binary.source);
            row.takes = takes(&stanza).map_err(failed())?;
            indexed.push(row);
        }
        Ok(())
    }

    fn sources(&self, index: &IndexFile, name: &PackageName, indexed: &mut Vec<Indexed>) -> Result<(), GateError> {
        let failed = || GateError::document(&index.path);
        for stanza in Stanzas::new(&self.plain(index)?) {
            let stanza = stanza.map_err(failed())?;
            if stanza.field("Package") != Some(name.as_str()) {
                continue;
            }
            let source = Source::from_stanza(&stanza).map_err(failed())?;
            let dsc = source.files.iter().find(|(file, _)| file.as_str().ends_with(".dsc"));
            let (Some((_, digest)), Ok(architecture)) = (dsc, Architecture::new("source")) else {
                continue;
            };
            let row = self.row(IndexedKind::Source, digest.sha256);
            indexed.push(row(
                source.package.clone(),
                source.version,
                architecture,
                source.package,
            ));
        }
        Ok(())
    }

    fn row(
        &self,
        kind: IndexedKind,
        sha256: Sha256,
    ) -> impl Fn(PackageName, crate::domain::Version, Architecture, PackageName) -> Indexed {
        let (archive, suite) = (self.place.0.clone(), self.place.1.clone());
        // Of an archive that is no mirror, a record that names an upstream lies.
        let mirrored = self.state.upstream.is_some() && self.mirror;
        move |package, version, architecture, source| Indexed {
            kind,
            mirrored,
            archive: archive.clone(),
            suite: suite.clone(),
            package,
            version,
            architecture,
            source,
            takes: Vec::new(),
            sha256,
            newest: false,
        }
    }

    /// The bytes of an uncompressed index, from whichever form of it is kept.
    fn plain(&self, index: &IndexFile) -> Result<Vec<u8>, GateError> {
        let form = |extension: &str| {
            let path = format!("{}{extension}", index.path);
            self.state
                .indexes
                .iter()
                .find(|other| other.kept && other.path.as_str() == path)
        };
        let kept = ["", ".zst", ".xz", ".gz"].into_iter().find_map(form);
        let Some(kept) = kept else {
            return Err(SnapshotError::NotKept {
                suite: self.state.suite.clone(),
                path: index.path.clone(),
            }
            .into());
        };
        let bytes = read_index(self.store, self.place.0, &self.state.suite, kept)?;
        let compression = Compression::of_name(kept.path.file_name());
        let plain = decompress(compression, &bytes, index.digest.size).map_err(GateError::document(&kept.path))?;
        if Sha256::of(&plain) == index.digest.sha256 {
            return Ok(plain);
        }
        let key = index_key(self.place.0, &self.state.suite, kept);
        Err(SnapshotError::Damaged { key }.into())
    }
}
