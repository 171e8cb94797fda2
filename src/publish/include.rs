//! Taking packages into an unproven archive, and out of it: its operator's word is all that it takes.
//!
//! In the order of an admission: claims, pool files, indexes by hash, and then the record, which is the commit. Killed before
//! it, this leaves what nobody names; run again it finishes. Only an unproven archive can be given to it: the type says so.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use rayon::prelude::*;

use crate::admission::LedgerEntry;
use crate::domain::{Architecture, PackageName, PoolPath, Sha256, SuiteName, Timestamp, Version};
use crate::format::packages::{Binary, Source};
use crate::host::files;
use crate::index::{Catalog, FileList};
use crate::site::Ungated;
use crate::snapshot::{Chain, Record, SuiteState};
use crate::store::{Key, Staged};

use super::admit::put_in_pool;
use super::claimed::{self, claim, remember};
use super::contents::Lists;
use super::few::Few;
use super::included::{Included, IncludedFile, check_together};
use super::next::{Next, Writer, next_snapshot};
use super::stage::{Goes, Read, Taken, Texts, catalog, next_unproven};
use super::{GateError, IncludeError, Published, load_vouched, publish, suite_of};

/// From how many files on they are brought to the disk together.
const TOGETHER: usize = 32;

/// What becomes of other versions of what comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Others {
    /// They go; one that is newer is in the way.
    Go,
    /// They stay beside it.
    Stay,
}

/// What goes from a suite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gone {
    /// Its name.
    pub name: PackageName,
    /// In this version; absent: in each.
    pub version: Option<Version>,
    /// A source package, with all that was built of it; else whatever has the name.
    pub whole_source: bool,
}

impl Gone {
    fn is(&self, name: &PackageName, version: &Version) -> bool {
        self.name == *name && self.version.as_ref().is_none_or(|wanted| wanted == version)
    }

    fn has_binary(&self, binary: &Binary) -> bool {
        match self.whole_source {
            true => self.is(&binary.source, &binary.source_version),
            false => self.is(&binary.package, &binary.version),
        }
    }
}

/// Everything that keeps an archive from taking some packages; none when it can.
///
/// # Errors
/// When a record or index is damaged; the store's failure.
pub fn check_included(
    writer: &Writer<'_, Ungated>,
    packages: &[Included],
    others: Others,
) -> Result<Vec<IncludeError>, IncludeError> {
    checked(writer, packages, others).map(|(problems, _)| problems)
}

/// The same, with what was read for it.
fn checked<'a>(
    writer: &Writer<'_, Ungated>,
    packages: &'a [Included],
    others: Others,
) -> Result<(Vec<IncludeError>, BTreeMap<&'a SuiteName, Read>), IncludeError> {
    let mut problems = check_together(writer.config, packages);
    let claims = claims(packages);
    let (chain, claimed, book) = claimed::load(writer.store, writer.archive, &writer.signer.keyring()?)?;
    let held = claimed.held(&book, &claims)?;
    for conflict in claimed::conflicts(&held, &claims) {
        let conflict = Box::new(conflict);
        problems.push(IncludeError::Returned { conflict });
    }
    let mut read = BTreeMap::new();
    if others == Others::Go && problems.is_empty() {
        for (suite, offered) in by_suite(packages) {
            if let Some(state) = state_of(chain.latest(), suite) {
                let there = Read::of(writer.store, writer.archive, state)?;
                problems.extend(newer(suite, &there.texts, &offered)?);
                read.insert(suite, there);
            }
        }
    }
    Ok((problems, read))
}

/// Takes packages in: one snapshot has all of them, or nothing changes. What is there already changes nothing.
///
/// # Errors
/// As [`check_included`] names them, the first; when a file has other bytes by now; the store's failure. Doing it again is safe.
pub fn include(
    writer: &Writer<'_, Ungated>,
    packages: &[Included],
    others: Others,
    reason: &str,
    now: Timestamp,
) -> Result<Published, IncludeError> {
    let (problems, read) = checked(writer, packages, others)?;
    if let Some(problem) = problems.into_iter().next() {
        return Err(problem);
    }
    let claims = claims(packages);
    claim(writer.store, writer.archive, &writer.signer.keyring()?, &claims)?;
    fill_pool(writer, packages)?;
    change(writer, (reason, now), &claims, |_| {
        let mut taken = BTreeMap::new();
        for (suite, offered) in by_suite(packages) {
            taken.insert(suite.clone(), take(&offered, others, read.get(suite)));
        }
        Ok(taken)
    })
}

/// Copies their files into the pool, hashing on the way. Many are brought to the disk together, which costs all of them a
/// fraction of what it costs one by one; of few, one by one does not wait for what others write. A crash leaves no name
/// with other bytes either way, and no record names any of them yet.
fn fill_pool(writer: &Writer<'_, Ungated>, packages: &[Included]) -> Result<(), GateError> {
    let (store, archive) = (writer.store, writer.archive);
    let files: Vec<&IncludedFile> = packages.iter().flat_map(|package| &package.files).collect();
    let together = files.len() >= TOGETHER;
    let put = |file: &&IncludedFile| {
        let key = Key::pool(archive, &file.path);
        if together && store.head(&key)?.is_none() {
            let mut bytes = files::open(&file.from)?;
            return Ok(Some(store.stage(&key, &file.digest, &mut bytes)?));
        }
        let open = || -> Result<Box<dyn io::Read>, GateError> { Ok(Box::new(files::open(&file.from)?)) };
        put_in_pool(store, archive, (&file.path, &file.digest), open).map(|()| None)
    };
    let staged: Vec<Option<Staged>> = files.par_iter().map(put).collect::<Result<_, GateError>>()?;
    Ok(store.settle(staged.into_iter().flatten().collect())?)
}

/// Takes packages out of a suite. What was there stays in the snapshots that have it, and its version is used up.
///
/// # Errors
/// `NotThere` when the suite has nothing of a name; the store's failure.
pub fn exclude(
    writer: &Writer<'_, Ungated>,
    suite: &SuiteName,
    gone: &[Gone],
    reason: &str,
    now: Timestamp,
) -> Result<Published, IncludeError> {
    let chain = load_vouched(writer.store, writer.archive, &writer.signer.keyring()?)?;
    let state = suite_of(writer.archive, chain.latest(), suite)?;
    // What is built of a source package may have any name.
    let names = gone
        .iter()
        .map(|gone| (!gone.whole_source).then_some(gone.name.as_str()));
    let names: Option<BTreeSet<&str>> = names.collect();
    let read = Read::of(writer.store, writer.archive, state)?;
    let goes = with_catalog(&read.texts, names.as_ref(), |catalog| {
        let goes = |one| named(catalog, std::slice::from_ref(one));
        gone.iter().map(goes).collect::<Vec<Goes>>()
    })?;
    for (one, goes) in gone.iter().zip(goes) {
        if goes == Goes::default() {
            // A run before may have done it, and was killed before clients saw it.
            super::finish(writer.store, &chain, writer.signer, writer.public_url)?;
            return Err(IncludeError::NotThere {
                suite: suite.clone(),
                name: match &one.version {
                    Some(version) => format!("{}={version}", one.name),
                    None => one.name.to_string(),
                },
            });
        }
    }
    change(writer, (reason, now), &[], |chain| {
        suite_of(writer.archive, chain.latest(), suite)?;
        let taken = Taken {
            packages: Vec::new(),
            sources: Vec::new(),
            goes: Box::new(|catalog| named(catalog, gone)),
            names: names.clone(),
            read: Some(&read),
            lists: Lists::new(),
        };
        Ok(BTreeMap::from([(suite.clone(), taken)]))
    })
}

/// Makes the next snapshot when it is another than the newest, and publishes. The record remembers the claims.
fn change<'a>(
    writer: &Writer<'_, Ungated>,
    (reason, now): (&str, Timestamp),
    claims: &[LedgerEntry],
    taken: impl Fn(&Chain) -> Result<BTreeMap<SuiteName, Taken<'a>>, GateError>,
) -> Result<Published, IncludeError> {
    let (store, archive) = (writer.store, writer.archive);
    next_snapshot(writer, reason, now, |chain| {
        let states = next_unproven(store, archive, writer.config, chain.latest(), &taken(chain)?)?;
        if is_same(&states, chain.latest()) {
            return Ok(None);
        }
        let ledger = remember(store, archive, chain.latest(), claims)?;
        Ok(Some(Next::from(states).remembering(ledger, Vec::new())))
    })?;
    Ok(publish(store, archive, writer.signer, writer.public_url)?)
}

/// What all of them claim.
fn claims(packages: &[Included]) -> Vec<LedgerEntry> {
    packages.iter().flat_map(Included::claims).collect()
}

/// Whether a record has these suites already: its Dates are its own, and its indexes are sorted.
fn is_same(states: &[SuiteState], latest: Option<&Record>) -> bool {
    let same = |(new, old): (&SuiteState, &SuiteState)| {
        let mut new = SuiteState {
            date: old.date,
            ..new.clone()
        };
        new.indexes.sort_by(|a, b| a.path.cmp(&b.path));
        new == *old
    };
    latest.is_some_and(|record| states.len() == record.suites.len() && states.iter().zip(&record.suites).all(same))
}

fn state_of<'a>(latest: Option<&'a Record>, suite: &SuiteName) -> Option<&'a SuiteState> {
    latest.and_then(|record| record.suites.iter().find(|state| state.suite == *suite))
}

fn by_suite(packages: &[Included]) -> BTreeMap<&SuiteName, Vec<&Included>> {
    let mut suites: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for package in packages {
        suites.entry(&package.suite).or_default().push(package);
    }
    suites
}

/// Asks a catalog of what a suite has of these names, or of all that it has.
fn with_catalog<T>(
    texts: &Texts,
    names: Option<&BTreeSet<&str>>,
    ask: impl FnOnce(&Catalog<'_>) -> T,
) -> Result<T, GateError> {
    let few = names.and_then(|names| Few::named(texts, names.iter().map(|name| (*name).to_owned()).collect()));
    Ok(ask(&catalog(few.as_ref().map_or(texts, |few| &few.texts))?))
}

fn names<'a>(offered: &[&'a Included]) -> BTreeSet<&'a str> {
    offered.iter().map(|package| package.package.as_str()).collect()
}

fn take<'a>(offered: &[&'a Included], others: Others, read: Option<&'a Read>) -> Taken<'a> {
    let all = offered.to_vec();
    let mut taken = Taken {
        packages: Vec::new(),
        sources: Vec::new(),
        goes: Box::new(move |catalog| replaced(catalog, &all, others)),
        names: Some(names(offered)),
        read,
        lists: offered.iter().flat_map(|package| known_lists(package)).collect(),
    };
    let mut seen = BTreeSet::new();
    for package in offered {
        // A plain folder may have one file twice.
        if !seen.insert((&package.component, &package.stanza)) {
            continue;
        }
        let stanzas = match package.architecture {
            Some(_) => &mut taken.packages,
            None => &mut taken.sources,
        };
        stanzas.push((&package.component, package.stanza.as_slice()));
    }
    taken
}

/// What Contents is to say of a package, by its file.
fn known_lists(package: &Included) -> impl Iterator<Item = (&PoolPath, (Sha256, &FileList))> {
    let files = package.files.iter().zip(&package.list);
    files.map(|(file, list)| (&file.path, (file.digest.sha256, list)))
}

/// The versions that are offered of each package, by its name and architecture; none for source packages.
type Offered<'a> = BTreeMap<(&'a PackageName, Option<&'a Architecture>), Vec<&'a Included>>;

fn offers<'a>(packages: &[&'a Included]) -> Offered<'a> {
    let mut offers = Offered::new();
    for package in packages {
        let key = (&package.package, package.architecture.as_ref());
        offers.entry(key).or_default().push(package);
    }
    offers
}

/// Binary and source packages that a suite has in the same name and architecture as what is offered.
fn rivals<'a, 'o>(
    catalog: &'a Catalog<'_>,
    offers: &'a Offered<'o>,
) -> impl Iterator<Item = (Rival<'a>, &'a [&'o Included])> {
    let binaries = catalog.binaries().filter_map(|(_, binary)| {
        let offered = offers.get(&(&binary.package, Some(&binary.architecture)))?;
        Some((Rival::Binary(binary), offered.as_slice()))
    });
    let sources = catalog.sources().filter_map(|(_, source)| {
        let offered = offers.get(&(&source.package, None))?;
        Some((Rival::Source(source), offered.as_slice()))
    });
    binaries.chain(sources)
}

enum Rival<'a> {
    Binary(&'a Binary),
    Source(&'a Source),
}

impl Rival<'_> {
    fn version(&self) -> &Version {
        match self {
            Self::Binary(binary) => &binary.version,
            Self::Source(source) => &source.version,
        }
    }
}

/// What is newer in the suite than all that is offered of it.
fn newer(suite: &SuiteName, texts: &Texts, offered: &[&Included]) -> Result<Vec<IncludeError>, GateError> {
    let offers = offers(offered);
    with_catalog(texts, Some(&names(offered)), |catalog| {
        let older = |(rival, offered): (Rival<'_>, &[&Included])| {
            let best = offered.iter().max_by(|a, b| a.version.dpkg_cmp(&b.version))?;
            let there = rival.version();
            there.dpkg_cmp(&best.version).is_gt().then(|| IncludeError::Older {
                suite: suite.clone(),
                package: best.package.clone(),
                there: there.clone(),
                offered: best.version.clone(),
            })
        };
        rivals(catalog, &offers).filter_map(older).collect()
    })
}

/// What goes since something comes in its place: other versions, and the same one where its component is another now.
fn replaced(catalog: &Catalog<'_>, offered: &[&Included], others: Others) -> Goes {
    let offers = offers(offered);
    let mut goes = Goes::default();
    for (rival, offered) in rivals(catalog, &offers) {
        if others == Others::Stay && !offered.iter().any(|package| package.version == *rival.version()) {
            continue;
        }
        match rival {
            Rival::Binary(binary) => drop(goes.binaries.insert(binary.key())),
            Rival::Source(source) => drop(goes.sources.insert((source.package.clone(), source.version.clone()))),
        }
    }
    goes
}

fn named(catalog: &Catalog<'_>, gone: &[Gone]) -> Goes {
    let binaries = catalog.binaries().map(|(_, binary)| binary);
    let sources = catalog.sources().map(|(_, source)| source);
    Goes {
        binaries: binaries
            .filter(|binary| gone.iter().any(|gone| gone.has_binary(binary)))
            .map(Binary::key)
            .collect(),
        sources: sources
            .filter(|source| gone.iter().any(|gone| gone.is(&source.package, &source.version)))
            .map(|source| (source.package.clone(), source.version.clone()))
            .collect(),
    }
}
