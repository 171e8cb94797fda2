//! Everything that an archive has under a name: records, renewals and tags, as they are vouched for.

use std::collections::{BTreeMap, BTreeSet};

use super::{Anchor, Anchors, Problem, Report};
use crate::domain::{ArchiveName, RelPath, Sha256, SuiteName, Timestamp};
use crate::publish::{self, PublishError, Recorded, Unrecorded, check_vouched};
use crate::snapshot::{
    Chain, Edition, EditionName, Entry, Marks, Record, Removed, Renewal, SnapshotError, SuiteState, TagRecord,
    content_digest,
};
use crate::store::{Key, Store, StoreError};
use crate::trust::Keyring;

/// The largest entry of an archive's state, in bytes.
const LARGEST: u64 = 64 << 20;

/// All that an archive ever had, and which of it is gone.
#[derive(Debug)]
pub(super) struct History {
    pub(super) chain: Chain,
    /// The suites of editions that are marked as gone, and that no client can read any more.
    gone: BTreeSet<(EditionName, SuiteName)>,
    /// The editions that are marked as gone, of which something is still there to read.
    leaving: BTreeSet<EditionName>,
    /// What was removed on purpose, as any record says.
    removed: Tombstones,
    /// Of a chain that is broken: the numbers of the records that are judged all the same, each on its own.
    alone: Option<Vec<u64>>,
}

/// What was removed on purpose from each suite, and the first record that says so. Records stay for ever: whoever
/// leaves it out of a later one does not take it back.
type Tombstones = BTreeMap<SuiteName, BTreeMap<Removed, u64>>;

/// Adds what a record says was removed on purpose.
fn bury(tombstones: &mut Tombstones, record: &Record) {
    for state in record.suites.iter().filter(|state| !state.removed().is_empty()) {
        let known = tombstones.entry(state.suite.clone()).or_default();
        for removed in state.removed() {
            if !known.contains_key(removed) {
                known.insert(removed.clone(), record.n);
            }
        }
    }
}

impl History {
    /// A mark alone takes nothing from what is judged, whoever signed it: what clients can still read is
    /// judged, and so is the newest, which `dists/<suite>/` shows and which is never let go.
    fn new(store: &dyn Store, chain: Chain, alone: Option<Vec<u64>>, marks: &Marks) -> Result<Self, SnapshotError> {
        let mut history = Self {
            chain,
            gone: BTreeSet::new(),
            leaving: BTreeSet::new(),
            removed: Tombstones::new(),
            alone,
        };
        let (mut gone, mut leaving, mut suites) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        // Tags come last: by then it is known which suites there are.
        for edition in named(store, &history) {
            if marks.gone(&edition.name).is_none() {
                suites.extend(edition.suites.into_iter().map(|state| state.suite));
                continue;
            }
            for state in edition.suites.iter().filter(|_| !is_newest(&history, &edition)) {
                let is_another = is_in_a_suite(&suites, &state.suite, &edition.name);
                if !is_another && is_served(store, &edition, &state.suite)? {
                    leaving.insert(edition.name.clone());
                } else {
                    gone.insert((edition.name.clone(), state.suite.clone()));
                }
            }
        }
        (history.gone, history.leaving) = (gone, leaving);
        Ok(history)
    }

    /// Whether its chain is broken: there may be more than is known.
    pub(super) fn is_broken(&self) -> bool {
        self.alone.is_some()
    }

    /// Whether the archive's key vouches for the newest record, and so for all; of a broken chain it does for
    /// each that is judged.
    pub(super) fn is_vouched(&self, store: &dyn Store, anchor: &Anchor) -> bool {
        if self.is_broken() {
            return true;
        }
        let newest = self.chain.latest();
        newest.is_none_or(|newest| vouches(store, newest, anchor, true).is_ok())
    }

    /// What was removed on purpose, by an edition, after a decision that let it in.
    pub(super) fn removed_after(
        &self,
        edition: &Edition,
        suite: &SuiteName,
        source: &str,
        decided: Timestamp,
    ) -> Option<&Removed> {
        let (n, _) = edition.number?;
        let found = self
            .removed
            .get(suite)?
            .iter()
            .find(|(removed, since)| removed.source.as_str() == source && **since <= n && decided < removed.at);
        found.map(|(removed, _)| removed)
    }

    /// The signed file that clients read of a suite of an edition. Of one that is being removed InRelease
    /// goes first, and what is left is Release and Release.gpg.
    pub(super) fn readable(&self, store: &dyn Store, edition: &Edition, inrelease: &Key) -> &'static str {
        let left = self.leaving.contains(&edition.name) && matches!(store.head(inrelease), Ok(None));
        if left { "Release" } else { "InRelease" }
    }
}

/// Whether a suite that stays has its files in the tree of an edition that is gone, and came later: these are its own.
fn is_in_a_suite(suites: &BTreeSet<SuiteName>, suite: &SuiteName, edition: &EditionName) -> bool {
    let tree = format!("{suite}/{edition}");
    let below = |suite: &SuiteName| {
        suite
            .as_str()
            .strip_prefix(&tree)
            .map(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    suites.iter().filter_map(below).any(|is_in| is_in)
}

/// Whether apt can read a suite of an edition under the edition's name: by InRelease, or by Release and
/// Release.gpg, which it asks for next.
fn is_served(store: &dyn Store, edition: &Edition, suite: &SuiteName) -> Result<bool, SnapshotError> {
    let there = |file: &str| -> Result<bool, SnapshotError> {
        let Ok(path) = RelPath::new(file) else { return Ok(false) };
        let key = Key::dists_named(&edition.archive, suite, edition.name.as_str(), &path);
        Ok(store.head(&key)?.is_some())
    };
    Ok(there("InRelease")? || (there("Release")? && there("Release.gpg")?))
}

/// The histories of all archives. Of one that is broken, which is reported, there are the records and tags that
/// the archive's key vouches for on their own; it is left out when its marks cannot be read.
pub(super) fn histories<'a>(
    store: &dyn Store,
    anchors: &'a Anchors,
    report: &mut Report,
) -> Vec<(&'a Anchor, History)> {
    let mut histories = Vec::new();
    for anchor in &anchors.archives {
        let read = Chain::load(store, &anchor.name).and_then(|chain| {
            let removed = vouched(store, anchor, &chain, report)?;
            report.snapshots += chain.len();
            let marks = marks(store, anchor, chain.latest(), report)?;
            let history = History::new(store, chain, None, &marks)?;
            Ok(History { removed, ..history })
        });
        let read = read.or_else(|error| {
            let broken = entry_of(&error, &anchor.name);
            let history = alone(store, anchor, Some(&anchor.keyring), report)?;
            // Where the record before is not vouched for, that is the one that does not fit.
            let before = record_before(&broken, &anchor.name);
            let is_known = |before: &Key| report.problems.iter().any(|known| known.object == before.as_str());
            if !before.as_ref().is_some_and(is_known) {
                report.problem(Problem::RECORD, broken, error);
            }
            let removed = buried(store, &history);
            Ok(History { removed, ..history })
        });
        match read {
            Ok(history) => histories.push((anchor, history)),
            Err(error) => report.problem(Problem::RECORD, entry_of(&error, &anchor.name), error),
        }
    }
    histories
}

/// What there is of a broken chain: the records that can be read, and that `keyring`, where one is given, vouches for.
/// The highest number counts as the newest when it is one of these; else nobody knows what that was.
fn alone(
    store: &dyn Store,
    anchor: &Anchor,
    keyring: Option<&Keyring>,
    report: &mut Report,
) -> Result<History, SnapshotError> {
    let (chain, mut numbers) = Chain::broken(store, &anchor.name)?;
    let newest = numbers.last().copied();
    numbers.retain(|n| {
        let record = match chain.record(store, *n) {
            Ok(record) => record,
            Err(error) => {
                report.problem(Problem::RECORD, Key::record(&anchor.name, *n), error);
                return false;
            }
        };
        let checked = keyring.map_or(Ok(()), |keyring| check_vouched(store, &record, keyring));
        let is_vouched = checked.is_ok();
        signed_record(store, checked, &record, report);
        is_vouched
    });
    let marks = match keyring {
        Some(_) => marks(store, anchor, None, report)?,
        None => Marks::load(store, &anchor.name)?,
    };
    let is_head = newest.is_some() && newest == numbers.last().copied();
    let chain = if is_head { chain } else { Chain::empty(&anchor.name) };
    report.snapshots += numbers.len() as u64;
    for tag in TagRecord::all(store, &anchor.name)? {
        report.tags += 1;
        if let Some(keyring) = keyring {
            signed(store, check_vouched(store, &tag, keyring), &tag, report);
        }
    }
    History::new(store, chain, Some(numbers), &marks)
}

/// What was removed on purpose, as the records of a broken chain say.
fn buried(store: &dyn Store, history: &History) -> Tombstones {
    let mut removed = Tombstones::new();
    for n in history.alone.iter().flatten() {
        if let Ok(record) = history.chain.record(store, *n) {
            bury(&mut removed, &record);
        }
    }
    removed
}

/// What was said about editions, as far as `newest` knows; marks and copies that are lost or changed are reported. Marks that
/// the archive's key does not vouch for say nothing: whoever planted them could hide what he removed.
fn marks(
    store: &dyn Store,
    anchor: &Anchor,
    latest: Option<&Record>,
    report: &mut Report,
) -> Result<Marks, SnapshotError> {
    let (archive, marks) = (&anchor.name, Marks::load(store, &anchor.name)?);
    if let Some(newest) = marks.newest()
        && let Err(error) = vouches(store, newest, anchor, true)
    {
        blame(store, newest, true, &error, report);
        return Ok(Marks::default());
    }
    let named = latest.and_then(|record| Some((record, record.marks?)));
    if let Some((record, named)) = named.filter(|(_, named)| !marks.have(Some(named))) {
        let why = format!(
            "`{}` names it, and it is not there as it was, nor is its copy: what it said is not known, and `assay gc` lets \
             nothing go; put it and its signature back from a backup",
            record.key()
        );
        report.problem(Problem::MISSING, Key::mark(archive, named.k), why);
    }
    // Who reads it over HTTP is shown no copies.
    if store.has_listings() {
        for lost in marks.damaged(store, archive, named.map(|(_, named)| named).as_ref())? {
            let (code, what) = match lost.is_missing {
                true => (Problem::MISSING, "is gone"),
                false => (Problem::DAMAGED, "was changed"),
            };
            let why =
                format!("it {what}: `assay fsck {archive} --repair` puts it back from the other of its two copies");
            report.problem(code, lost.key, why);
        }
    }
    Ok(marks)
}

/// The histories of some archives, whose entries nobody vouches for: something else has to prove what
/// they say, or nothing is believed.
pub(super) fn unvouched<'a>(
    store: &dyn Store,
    anchors: impl Iterator<Item = &'a Anchor>,
    report: &mut Report,
) -> Vec<(&'a Anchor, History)> {
    let mut histories = Vec::new();
    for anchor in anchors {
        let read = Chain::load(store, &anchor.name).and_then(|chain| {
            for record in chain.records(store) {
                record?;
            }
            report.snapshots += chain.len();
            report.tags += TagRecord::all(store, &anchor.name)?.len() as u64;
            // Nobody vouches for these either: they only excuse what is not there.
            let marks = Marks::load(store, &anchor.name)?;
            History::new(store, chain, None, &marks)
        });
        let read = read.or_else(|error| {
            report.problem(Problem::RECORD, entry_of(&error, &anchor.name), error);
            alone(store, anchor, None, report)
        });
        match read {
            Ok(history) => histories.push((anchor, history)),
            Err(error) => report.problem(Problem::RECORD, entry_of(&error, &anchor.name), error),
        }
    }
    histories
}

/// Checks that a key of the archive vouches for an entry; for what is newest one that signs now.
fn vouches(store: &dyn Store, entry: &impl Entry, anchor: &Anchor, newest: bool) -> Result<(), PublishError> {
    match newest {
        true => check_vouched(store, entry, &anchor.present()?),
        false => check_vouched(store, entry, &anchor.keyring),
    }
}

/// Reads the whole chain, and checks the signature on each entry. Gives what was removed on purpose.
fn vouched(
    store: &dyn Store,
    anchor: &Anchor,
    chain: &Chain,
    report: &mut Report,
) -> Result<Tombstones, SnapshotError> {
    let (mut removed, mut upstreams) = (Tombstones::new(), BTreeMap::new());
    for record in chain.records(store) {
        let record = record?;
        bury(&mut removed, &record);
        for state in &record.suites {
            let Some(date) = state.upstream.as_ref().map(|upstream| upstream.date) else {
                continue;
            };
            let before = upstreams.insert(state.suite.clone(), date);
            if before.is_some_and(|before| date < before) {
                let why = format!(
                    "upstream's Release of `{}` is older than that of the snapshot before",
                    state.suite
                );
                report.problem(Problem::UPSTREAM, record.key(), why);
            }
        }
        // A key that signed before may be in other hands by now: it proves what is old, and makes nothing new.
        let newest = record.n == chain.len();
        signed_record(store, vouches(store, &record, anchor, newest), &record, report);
        if let Some(renewal) = Renewal::newest(store, &record)? {
            signed(store, vouches(store, &renewal, anchor, newest), &renewal, report);
            if let Err(error) = renewal.all_before(store) {
                report.problem(Problem::RECORD, entry_of(&error, &anchor.name), error);
            }
        }
    }
    for tag in TagRecord::all(store, &anchor.name)? {
        report.tags += 1;
        signed(store, check_vouched(store, &tag, &anchor.keyring), &tag, report);
        let of = chain.record(store, tag.of.n)?;
        let whole = tag.partial || content_digest(&tag.suites) == content_digest(&of.suites);
        if of.identity()? != tag.of.record || !whole {
            let why = format!("it is not what snapshot {}, which it names, has", tag.of.serial);
            report.problem(Problem::RECORD, tag.key(), why);
        }
    }
    Ok(removed)
}

fn signed(store: &dyn Store, checked: Result<(), PublishError>, entry: &impl Entry, report: &mut Report) {
    if let Err(error) = checked {
        blame(store, entry, true, &error, report);
    }
}

/// The same of a record, which counts as published where a client can read a suite of it.
fn signed_record(store: &dyn Store, checked: Result<(), PublishError>, record: &Record, report: &mut Report) {
    if let Err(error) = checked {
        let edition = Edition::of_record(record, None);
        let mut suites = record.suites.iter();
        let is_published = suites.any(|state| is_served(store, &edition, &state.suite).unwrap_or(false));
        blame(store, record, is_published, &error, report);
    }
}

/// An entry is not vouched for: what is wrong is its signature where that is there, by the entry's own hash, or is gone;
/// but the entry itself where another signature has lost what it signed, and where no client ever saw it.
fn blame(store: &dyn Store, entry: &impl Entry, is_published: bool, error: &PublishError, report: &mut Report) {
    let signature = entry.identity().map(|sha256| Key::signature(entry.archive(), &sha256));
    let planted = || match is_published {
        true => signs_nothing(store, entry.archive()).unwrap_or(true),
        false => true,
    };
    let (code, object) = match signature {
        Ok(key) if matches!(store.head(&key), Ok(Some(_))) => (Problem::SIGNATURE, key),
        Ok(key) if !planted() => (Problem::MISSING, key),
        _ => (Problem::RECORD, entry.key()),
    };
    let next = match code {
        Problem::RECORD => "",
        _ => "; put it back from a backup of the store",
    };
    report.problem(code, object, format!("{error}{next}"));
}

/// Whether there is a signature over no entry that is there: what it signed was changed or is lost.
fn signs_nothing(store: &dyn Store, archive: &ArchiveName) -> Result<bool, StoreError> {
    let (state, mut signatures, mut entries) = (format!("state/{archive}"), BTreeSet::new(), Vec::new());
    let folder = format!("{state}/signatures/");
    store.visit(&state, &mut |meta| match meta.key.as_str() {
        name if name.starts_with(&folder) => signatures.extend(meta.key.named_sha256()),
        name if name.ends_with(".json") => entries.push(meta.key),
        _ => {}
    })?;
    for key in entries {
        signatures.remove(&Sha256::of(&store.get(&key, LARGEST)?));
    }
    Ok(!signatures.is_empty())
}

/// The record before the one that this is the name of.
fn record_before(name: &str, archive: &ArchiveName) -> Option<Key> {
    let number = name.strip_prefix(&format!("state/{archive}/"))?.strip_suffix(".json")?;
    Some(Key::record(archive, number.parse::<u64>().ok()?.checked_sub(1)?))
}

fn entry_of(error: &SnapshotError, archive: &ArchiveName) -> String {
    error
        .object()
        .map_or_else(|| format!("state/{archive}"), ToString::to_string)
}

/// Everything that is published under a name, oldest snapshot first, then the tags. What cannot be
/// read was reported where the chain was read.
pub(super) fn editions<'a>(store: &'a dyn Store, history: &'a History) -> impl Iterator<Item = Edition> + 'a {
    let there = |(edition, gone)| if gone { None } else { Some(edition) };
    all(store, history).filter_map(there)
}

/// The same with what is gone; whether it is. An edition of which only some suites are gone comes twice.
pub(super) fn all<'a>(store: &'a dyn Store, history: &'a History) -> impl Iterator<Item = (Edition, bool)> + 'a {
    named(store, history).flat_map(|mut edition| {
        let gone = |state: &SuiteState| history.gone.contains(&(edition.name.clone(), state.suite.clone()));
        let (left, there): (Vec<_>, Vec<_>) = edition.suites.drain(..).partition(gone);
        let part = |suites: Vec<SuiteState>, gone| {
            let edition = edition.clone();
            (!suites.is_empty()).then_some((Edition { suites, ..edition }, gone))
        };
        [part(there, false), part(left, true)].into_iter().flatten()
    })
}

/// Every edition that an archive ever had.
fn named<'a>(store: &'a dyn Store, history: &'a History) -> impl Iterator<Item = Edition> + 'a {
    let whole = history.chain.records(store).take_while(|_| !history.is_broken());
    let alone = history.alone.iter().flatten();
    let alone = alone.filter_map(|n| history.chain.record(store, *n).ok());
    let records = whole.map_while(Result::ok).chain(alone).map(|record| {
        let renewal = Renewal::newest(store, &record).ok().flatten();
        Edition::of_record(&record, renewal.as_ref())
    });
    let tags = TagRecord::all(store, history.chain.archive()).unwrap_or_default();
    records.chain(tags.into_iter().map(|tag| Edition::of_tag(&tag)))
}

/// What clients have seen that is newer than all records of a chain that is whole.
pub(super) fn lost_newest(store: &dyn Store, anchor: &Anchor, history: &History) -> Option<Unrecorded> {
    let whole = !history.is_broken();
    let found = whole.then(|| publish::lost_newest(store, &history.chain, &anchor.keyring));
    found.and_then(|found| found.ok().flatten())
}

/// The same, of a head that is not what the newest record says: most are, and nothing is looked for then.
pub(super) fn lost_head(store: &dyn Store, anchor: &Anchor, history: &History) -> Option<Unrecorded> {
    let latest = history.chain.latest_edition()?;
    match publish::is_published(store, &latest) {
        Ok(true) => None,
        _ => lost_newest(store, anchor, history),
    }
}

/// What an archive's key signed and no record has; each is reported under the record's own name.
pub(super) fn unrecorded<'k>(
    store: &dyn Store,
    (anchor, history): (&Anchor, &History),
    objects: impl Iterator<Item = &'k Key>,
    now: Timestamp,
    report: &mut Report,
) -> Result<Vec<Unrecorded>, StoreError> {
    let mut recorded = Recorded {
        archive: &anchor.name,
        records: history.chain.len(),
        editions: BTreeSet::new(),
        suites: BTreeSet::new(),
    };
    for (edition, _) in all(store, history) {
        recorded.editions.insert(edition.name.as_str().to_owned());
        recorded
            .suites
            .extend(edition.suites.into_iter().map(|state| state.suite));
    }
    let top = format!("{}/", anchor.name);
    let ours = objects.filter(|key| key.as_str().starts_with(&top) && key.as_str().ends_with("/InRelease"));
    let found = publish::unrecorded(store, &recorded, ours, &anchor.keyring, now)?;
    let mut records = BTreeSet::new();
    for lost in &found {
        if records.insert(&lost.record) {
            let why = format!(
                "the archive's key signed `{}`, which must have this record: put it and its signature back from a backup",
                lost.inrelease
            );
            report.problem(Problem::MISSING, &lost.record, why);
        }
    }
    Ok(found)
}

/// Whether it is what `dists/<suite>/` shows.
pub(super) fn is_newest(history: &History, edition: &Edition) -> bool {
    edition.number.is_some_and(|(n, _)| n == history.chain.len())
}

/// The entry that an edition comes from.
pub(super) fn entry_key(edition: &Edition) -> Key {
    match (&edition.number, &edition.name) {
        (_, EditionName::Tag(tag)) => Key::tag(&edition.archive, tag),
        (number, _) => Key::record(&edition.archive, number.map_or(0, |(n, _)| n)),
    }
}
