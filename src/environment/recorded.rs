//! From a `.buildinfo` back to the packages: which snapshots of ours have exactly those versions.
//!
//! A `.buildinfo` names what was installed, without hashes, and only what the build dependencies
//! brought along. The hashes are those of our verified indexes; what it leaves out (`apt`,
//! `fakeroot`, `tzdata`, keyrings, …) is what Debian's builders have beside it: everything
//! Essential or of priority `required`, and what `dpkg-buildpackage` needs, of the same snapshots.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::catalog::{Identity, visit};
use super::resolve::{BASE, essential, names_with, resolve_among};
use super::wanted::Wanted;
use super::{EnvironmentError, LockedPackage, SnapshotInput, snapshot_input};
use crate::domain::{Architecture, PackageName, Sha256, SnapshotName, Timestamp};
use crate::format::buildinfo::{Buildinfo, Installed};
use crate::index::select;
use crate::site::EnvironmentSource;
use crate::snapshot::{Chain, Record, SnapshotError, kept_index};
use crate::store::Store;

/// The archives and suites that are searched, each with its chain.
#[derive(Debug)]
pub struct Searched {
    /// The snapshots.
    pub chain: Chain,
    /// Which suite and components of them.
    pub source: EnvironmentSource,
    /// Only this snapshot; all of them when absent.
    pub only: Option<SnapshotName>,
}

/// What was found of a `.buildinfo`.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// The snapshots that have the packages, those first that have most.
    pub inputs: Vec<SnapshotInput>,
    /// Each package that was found: name, version, architecture.
    found: BTreeSet<Identity>,
    /// What no snapshot has in that version, in the order of the `.buildinfo`.
    pub missing: Vec<Installed>,
}

/// One snapshot, with the numbers of the installed packages that it has.
struct Candidate {
    /// Which of the searched.
    at: usize,
    record: Record,
    has: BTreeMap<usize, Identity>,
}

/// Looks for snapshots that have what a build had installed: first as they were on its date, then
/// from there back and forth, until one of each suite is enough or there are no more.
///
/// # Errors
/// When the build was not on `architecture`, or a record or index is missing or damaged.
pub fn find_recorded(
    store: &dyn Store,
    searched: &[Searched],
    buildinfo: &Buildinfo,
    architecture: &Architecture,
) -> Result<Recorded, EnvironmentError> {
    if buildinfo.build_architecture != *architecture {
        return Err(EnvironmentError::BuildArchitecture {
            found: buildinfo.build_architecture.clone(),
            wanted: architecture.clone(),
        });
    }
    let installed = &buildinfo.installed;
    let mut walks = Vec::new();
    for one in searched {
        walks.push(Walk::new(store, one, buildinfo.build_date)?);
    }
    let mut candidates: Vec<Candidate> = Vec::new();
    let mut seen: BTreeSet<(usize, Vec<Sha256>)> = BTreeSet::new();
    let mut ended = false;
    while !ended && !is_enough(&candidates, installed.len(), walks.len()) {
        ended = true;
        for (at, (walk, one)) in walks.iter_mut().zip(searched).enumerate() {
            let Some(record) = walk.next(store, &one.chain)? else {
                continue;
            };
            ended = false;
            if !seen.insert((at, indexes(&record, &one.source, architecture))) {
                continue;
            }
            let has = read(store, &record, &one.source, architecture)?
                .map_or_else(|| Ok(BTreeMap::new()), |input| present(&input, installed, architecture))?;
            candidates.push(Candidate { at, record, has });
        }
    }
    // One snapshot of each suite, when those have it all.
    let suites = is_enough(&candidates, installed.len(), walks.len()).then_some(walks.len());
    let chosen = choose(&candidates, installed.len(), suites);
    let mut recorded = Recorded {
        inputs: Vec::new(),
        found: BTreeSet::new(),
        missing: Vec::new(),
    };
    let mut numbers = BTreeSet::new();
    for candidate in chosen.iter().filter_map(|number| candidates.get(*number)) {
        let source = searched.get(candidate.at).map(|one| &one.source);
        let input = source.map(|source| read(store, &candidate.record, source, architecture));
        recorded.inputs.extend(input.transpose()?.flatten());
        recorded.found.extend(candidate.has.values().cloned());
        numbers.extend(candidate.has.keys().copied());
    }
    let missing = installed
        .iter()
        .enumerate()
        .filter(|(number, _)| !numbers.contains(number));
    recorded.missing = missing.map(|(_, one)| one.clone()).collect();
    Ok(recorded)
}

/// The snapshot's suite, when it has it.
fn read(
    store: &dyn Store,
    record: &Record,
    source: &EnvironmentSource,
    architecture: &Architecture,
) -> Result<Option<SnapshotInput>, EnvironmentError> {
    match snapshot_input(store, record, &source.suite, &source.components, architecture) {
        Err(EnvironmentError::NoIndex { .. }) => Ok(None),
        other => other.map(Some),
    }
}

/// What tells a suite's packages from those of another snapshot, without reading them.
fn indexes(record: &Record, source: &EnvironmentSource, architecture: &Architecture) -> Vec<Sha256> {
    let state = record.suites.iter().find(|state| state.suite == source.suite);
    let index = |component| {
        let plain = format!("{component}/binary-{architecture}/Packages");
        state
            .and_then(|state| kept_index(state, &plain))
            .map(|index| index.digest.sha256)
    };
    source.components.iter().filter_map(index).collect()
}

/// Which of the installed packages the indexes have, in exactly their version.
fn present(
    input: &SnapshotInput,
    installed: &[Installed],
    architecture: &Architecture,
) -> Result<BTreeMap<usize, Identity>, EnvironmentError> {
    let mut by_name: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (number, one) in installed.iter().enumerate() {
        by_name.entry(one.package.as_str()).or_default().push(number);
    }
    let mut found = BTreeMap::new();
    visit(std::slice::from_ref(input), |_, stanza| {
        let numbers = stanza.field("Package").and_then(|name| by_name.get(name));
        for (number, one) in numbers
            .into_iter()
            .flatten()
            .filter_map(|n| Some((*n, installed.get(*n)?)))
        {
            let here = stanza.field("Architecture").unwrap_or_default();
            // A name without an architecture is the build's own, or one for all.
            let same = match &one.architecture {
                Some(exactly) => exactly.as_str() == here,
                None => here == architecture.as_str() || here == "all",
            };
            if same && stanza.field("Version") == Some(one.version.as_str()) {
                found.insert(number, (one.package.clone(), one.version.clone(), here.parse()?));
            }
        }
        Ok(())
    })?;
    Ok(found)
}

/// Whether one snapshot of each suite has all together.
fn is_enough(candidates: &[Candidate], wanted: usize, suites: usize) -> bool {
    let chosen = choose(candidates, wanted, Some(suites));
    let has = chosen
        .iter()
        .filter_map(|number| candidates.get(*number))
        .flat_map(|c| c.has.keys());
    !candidates.is_empty() && has.collect::<BTreeSet<_>>().len() == wanted
}

/// The fewest snapshots that have the most: each time the one that adds most; of equal ones the
/// first, which is nearest to the build's date. With `suites`, at most one of each suite.
fn choose(candidates: &[Candidate], wanted: usize, suites: Option<usize>) -> Vec<usize> {
    let (mut chosen, mut has, mut used) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    while has.len() < wanted && suites.is_none_or(|suites| chosen.len() < suites) {
        let adds = |candidate: &Candidate| candidate.has.keys().filter(|number| !has.contains(*number)).count();
        let free = |candidate: &Candidate| suites.is_none() || !used.contains(&candidate.at);
        let mut best: Option<(usize, usize)> = None;
        for (number, candidate) in candidates.iter().enumerate().filter(|(_, c)| free(c)) {
            let adds = adds(candidate);
            if adds > best.map_or(0, |(_, most)| most) {
                best = Some((number, adds));
            }
        }
        let Some((number, candidate)) = best.and_then(|(n, _)| Some((n, candidates.get(n)?))) else {
            break;
        };
        has.extend(candidate.has.keys().copied());
        used.insert(candidate.at);
        chosen.push(number);
    }
    chosen
}

/// The snapshots of one archive: that of an instant, those before it, and those after it.
struct Walk {
    back: u64,
    forth: u64,
    last: u64,
}

impl Walk {
    fn new(store: &dyn Store, searched: &Searched, date: Option<Timestamp>) -> Result<Self, EnvironmentError> {
        let last = searched.chain.len();
        if let Some(name) = &searched.only {
            let n = searched.chain.resolve(store, name)?.n;
            return Ok(Self {
                back: n,
                forth: n,
                last: n,
            });
        }
        let at = date.map(|date| SnapshotName::At(crate::domain::SnapshotId::at(date)));
        let start = match at.map(|name| searched.chain.resolve(store, &name)) {
            Some(Ok(record)) => record.n,
            Some(Err(SnapshotError::NotFound { .. } | SnapshotError::LetGo { .. })) | None => last,
            Some(Err(error)) => return Err(error.into()),
        };
        Ok(Self {
            back: start,
            forth: start,
            last,
        })
    }

    /// The next that is still there.
    fn next(&mut self, store: &dyn Store, chain: &Chain) -> Result<Option<Record>, EnvironmentError> {
        loop {
            let n = if self.back > 0 {
                self.back -= 1;
                self.back.saturating_add(1)
            } else if self.forth < self.last {
                self.forth = self.forth.saturating_add(1);
                self.forth
            } else {
                return Ok(None);
            };
            let serial = chain.record(store, n)?.serial;
            match chain.resolve(store, &SnapshotName::Serial(serial)) {
                Err(SnapshotError::LetGo { .. }) => {}
                found => return Ok(Some(found?)),
            }
        }
    }
}

impl Recorded {
    /// Every package of the environment, sorted by name; and of these, the names of those that the
    /// `.buildinfo` does not record. `wanted` is what must be satisfied beside it.
    ///
    /// # Errors
    /// As [`super::resolve`]: when what was recorded cannot be installed together.
    pub fn resolve(
        &self,
        wanted: &str,
        architecture: &Architecture,
        work: &Path,
    ) -> Result<(Vec<LockedPackage>, Vec<PackageName>), EnvironmentError> {
        let wanted = Wanted::parse(wanted)?;
        let recorded: BTreeMap<&str, &Identity> = self.found.iter().map(|id| (id.0.as_str(), id)).collect();
        let mut visible = self.inputs.clone();
        for input in &mut visible {
            for index in &mut input.packages {
                // No other version of what was recorded may be thought of.
                *index = select(index, |stanza| {
                    let name = stanza.field("Package").unwrap_or_default();
                    Ok::<_, crate::format::FormatError>(recorded.get(name).is_none_or(|(_, version, architecture)| {
                        stanza.field("Version") == Some(version.as_str())
                            && stanza.field("Architecture") == Some(architecture.as_str())
                    }))
                })
                .map_err(EnvironmentError::format("Packages"))?;
            }
        }
        let mut depends: BTreeSet<String> = essential(&visible)?;
        // What every chroot of Debian's builders has, whether a build depends on it or not.
        depends.extend(names_with(&visible, "Priority", "required")?);
        depends.extend(BASE.map(str::to_owned));
        depends.extend(
            self.found
                .iter()
                .map(|(name, version, _)| format!("{name} (= {version})")),
        );
        if !wanted.depends.is_empty() {
            depends.insert(wanted.depends);
        }
        let depends: Vec<String> = depends.into_iter().collect();
        let packages = resolve_among(&visible, &self.inputs, &depends, &wanted.conflicts, architecture, work)?;
        let added = packages.iter().filter(|p| !recorded.contains_key(p.package.as_str()));
        let added = added.map(|p| p.package.clone()).collect();
        Ok((packages, added))
    }
}
