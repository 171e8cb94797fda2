//! Archives of ours: indexes follow from packages, and a custom one lists nothing that was not admitted.

use std::collections::{BTreeMap, BTreeSet};

use super::changelogs::{Known, changelog_problems};
use super::contents::contents_problems;
use super::dependencies::Dependencies;
use super::editions::{History, editions};
use super::environments::Environments;
use super::evidence::{Decided, decision};
use super::hashing::Damaged;
use super::import::Carried;
use super::ledger::Memory;
use super::objects::intact;
use super::pool::{package_indexes, stem};
use super::returns::Returns;
use super::selected::differing_forms;
use super::translations::{is_translated, translation_problems};
use super::{Anchor, Anchors, Problem, Report};
use crate::admission::{DebFacts, OtherRules, identity};
use crate::domain::{Architecture, PackageName, PoolPath, Sha256, SuiteName, Timestamp};
use crate::format::deb::{DebLimits, read_deb};
use crate::format::deb822::{Stanza, Stanzas, paragraph};
use crate::format::packages::{Binary, Source, pool_files};
use crate::index::{
    Descriptions, FileList, binary_stanza, changelogs_path, overridden, source_stanza, translation_path,
};
use crate::publish::{DECISIONS, GateError, Kept, parse_decisions};
use crate::site::Overrides;
use crate::snapshot::{SuiteState, index_key, kept_index, read_plain_index};
use crate::store::{Key, Store, StoreError};
use crate::trust::unframed_text;

/// The largest .dsc that is read, in bytes.
const LARGEST_DSC: u64 = 1 << 20;

/// Decisions that were checked, and the records that agree; none when they do not hold.
pub(super) type Judged = BTreeMap<Sha256, Option<(Decided, Carried)>>;

/// A stanza, and what its suite says of it beside its package.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Derived {
    stanza: Sha256,
    translated: bool,
    overrides: Overrides,
}

struct Check<'a> {
    store: &'a dyn Store,
    anchors: &'a Anchors,
    anchor: &'a Anchor,
    damaged: &'a Damaged,
    now: Timestamp,
    decided: Judged,
    /// Stanzas that were derived again.
    derived: BTreeSet<Derived>,
    /// What was seen in each package that was read: package → digest of its facts.
    seen: BTreeMap<Sha256, Option<Sha256>>,
    /// The files of each package that was read.
    lists: BTreeMap<Sha256, FileList>,
    /// The descriptions of each package that was read.
    descriptions: Descriptions,
    /// The changelog of each package that was read for it.
    changelogs: Known,
    /// The bytes of each package that an unproven archive has or had, by name, version without epoch, and architecture.
    versions: BTreeMap<(PackageName, String, Architecture), Sha256>,
    /// What left suites.
    returns: Returns<'a>,
    /// What the gate must never forget.
    memory: Memory,
    /// What the builds behind what is listed were made in.
    environments: &'a mut Environments,
    /// Packages of ours in those.
    dependencies: Dependencies<'a>,
}

pub(super) fn check(
    store: &dyn Store,
    anchors: &Anchors,
    (anchor, history): (&Anchor, &History),
    damaged: &Damaged,
    now: Timestamp,
    (environments, report): (&mut Environments, &mut Report),
) {
    let mut check = Check {
        store,
        anchors,
        anchor,
        damaged,
        now,
        decided: BTreeMap::new(),
        derived: BTreeSet::new(),
        seen: BTreeMap::new(),
        lists: BTreeMap::new(),
        descriptions: Descriptions::new(),
        changelogs: Known::new(),
        versions: BTreeMap::new(),
        returns: Returns::new(store),
        memory: Memory::default(),
        environments,
        dependencies: Dependencies::new(store, anchors, now),
    };
    for edition in editions(store, history) {
        for state in &edition.suites {
            check.suite(state, report);
            check.returns.suite(&edition, state, &check.decided, history, report);
        }
        if let Some(Ok(record)) = edition.number.map(|(n, _)| history.chain.record(store, n)) {
            check.returns.dropped(&record);
        }
    }
    let stanzas = check.derived.len() as u64;
    match anchor.is_unproven() {
        true => drop(report.unproven.insert(anchor.name.clone(), stanzas)),
        false => report.packages += stanzas,
    }
    check.memory.check(store, anchors, (anchor, history), (damaged, report));
}

impl Check<'_> {
    fn suite(&mut self, state: &SuiteState, report: &mut Report) {
        let mut listed = BTreeMap::new();
        let mut packages: BTreeMap<String, Vec<Sha256>> = BTreeMap::new();
        let mut texts = BTreeMap::new();
        self.only_ours(state, report);
        for forms in package_indexes(state) {
            let Some((key, text)) = intact(self.store, &self.anchor.name, &state.suite, &forms) else {
                if let Some(index) = forms.first().filter(|_| !forms.iter().any(|index| index.kept)) {
                    let key = index_key(&self.anchor.name, &state.suite, index);
                    report.problem(Problem::INDEX, key, "it is listed in no form that is kept");
                }
                // Damaged in every form, which is reported already: what it lists cannot be judged.
                return;
            };
            let place = (&self.anchor.name, state);
            let problems = differing_forms(self.store, place, &forms, &text, self.damaged);
            report.problems.extend(problems);
            listed.extend(pool_files(&text).flatten());
            let debs = pool_files(&text)
                .flatten()
                .filter(|(path, _)| path.as_str().ends_with(".deb"));
            let path = forms.first().map_or("", |index| stem(index)).to_owned();
            packages.insert(path.clone(), debs.map(|(_, digest)| digest.sha256).collect());
            self.stanzas((&key, &text), state, report);
            texts.insert(path, text);
        }
        with_all(&mut packages);
        let place = (self.anchor, state);
        let problems = contents_problems(self.store, place, &packages, &self.lists, self.damaged);
        report.problems.extend(problems);
        let problems = changelog_problems(self.store, place, &texts, self.damaged, &mut self.changelogs);
        report.problems.extend(problems);
        let problems = translation_problems(self.store, place, &texts, &self.descriptions, self.damaged);
        report.problems.extend(problems);
        if self.anchor.is_unproven() != state.is_unproven() {
            let why = "what its Release says of its provenance is not what the archive is";
            report.problem(Problem::RELEASE, state_name(self.anchor, &state.suite), why);
        }
        let listed = listed.into_iter().map(|(path, digest)| (path, digest.sha256)).collect();
        if !self.anchor.is_unproven() {
            self.decisions(state, &listed, report);
        }
    }

    /// A custom suite has the indexes that we make, and no other that a client might read.
    fn only_ours(&self, state: &SuiteState, report: &mut Report) {
        // What nobody decided on has no list of decisions: readers would take it for proof.
        let decisions = (!self.anchor.is_unproven()).then(|| DECISIONS.to_owned());
        let mut ours = BTreeSet::from_iter(decisions);
        for component in &state.components {
            ours.insert(format!("{component}/source/Sources"));
            ours.insert(translation_path(component));
            ours.insert(changelogs_path(component));
            for architecture in &state.architectures {
                ours.insert(format!("{component}/binary-{architecture}/Packages"));
                ours.insert(format!("{component}/debian-installer/binary-{architecture}/Packages"));
                ours.insert(format!("{component}/Contents-{architecture}"));
            }
        }
        for index in state.indexes.iter().filter(|index| !ours.contains(stem(index))) {
            let key = index_key(&self.anchor.name, &state.suite, index);
            report.problem(
                Problem::INDEX,
                key,
                format!("`{}` is no index of such an archive", index.path),
            );
        }
    }

    /// Every file that Packages and Sources list has a decision that admits exactly it.
    fn decisions(&mut self, state: &SuiteState, listed: &BTreeMap<PoolPath, Sha256>, report: &mut Report) {
        let Some(index) = kept_index(state, DECISIONS) else {
            report.problem(
                Problem::INDEX,
                state_name(self.anchor, &state.suite),
                "it has no `provenance/Decisions`",
            );
            return;
        };
        let key = index_key(&self.anchor.name, &state.suite, index);
        if self.damaged.has(&key) {
            return;
        }
        let text = match read_plain_index(self.store, &self.anchor.name, &state.suite, index) {
            Ok(text) => text,
            Err(error) => return report.problem(Problem::INDEX, &key, error),
        };
        let decided = match parse_decisions(&text) {
            Ok(decided) => decided,
            Err(error) => return report.problem(Problem::INDEX, &key, error),
        };
        let mut looked_at = BTreeSet::new();
        let anchor = self.anchor;
        for (path, sha256) in listed {
            let object = Key::pool(&anchor.name, path);
            match decided.get(path) {
                Some((named, decision)) if named == sha256 => {
                    let decision = *decision;
                    let Some((decided, carried)) = self.decided(&decision, report) else {
                        continue;
                    };
                    if decided.files.get(path) != Some(sha256) {
                        let why = format!("its decision {decision} does not admit it");
                        report.problem(Problem::DECISION, &object, why);
                    } else if looked_at.insert(decision)
                        && let Err(why) = decided.covers(anchor, state, carried)
                    {
                        let why = format!("{object} is in `{}` by it: {why}", state.suite);
                        report.problem(Problem::DECISION, &decided.key, why);
                    }
                }
                Some(_) => report.problem(
                    Problem::INDEX,
                    &object,
                    "`provenance/Decisions` lists it with other bytes",
                ),
                None => report.problem(Problem::DECISION, &object, "it is listed, and no decision admits it"),
            }
        }
        for path in decided.keys().filter(|path| !listed.contains_key(*path)) {
            report.problem(
                Problem::INDEX,
                &key,
                format!("it names `{path}`, which no other index lists"),
            );
        }
    }

    /// A decision with what carries it; none when it does not hold, which is reported once.
    fn decided(&mut self, sha256: &Sha256, report: &mut Report) -> Option<&(Decided, Carried)> {
        if !self.decided.contains_key(sha256) {
            let decided = match self.check(sha256) {
                Ok((decided, carried, kept, other_rules)) => {
                    self.memory.listed(&kept);
                    let other = |why| Problem::new(Problem::OTHER_RULES, &decided.key, why);
                    report.not_rechecked.extend(other_rules.map(other));
                    let decided = (decided, carried);
                    self.built_in(&decided, report);
                    Some(decided)
                }
                Err(problem) => {
                    if !self.damaged.names(&problem.object) {
                        report.problems.push(problem);
                    }
                    None
                }
            };
            self.decided.insert(*sha256, decided);
        }
        self.decided.get(sha256)?.as_ref()
    }

    /// The environments of the records that count are checked when all are known; an import has none.
    fn built_in(&mut self, (decided, carried): &(Decided, Carried), report: &mut Report) {
        let used: BTreeSet<Key> = carried
            .rebuilds()
            .into_iter()
            .flatten()
            .map(|agreeing| Key::provenance(&self.anchor.name, &agreeing.record.lock))
            .collect();
        // That they can be read was asked before.
        let locks = decided.locks(self.store, self.anchor).unwrap_or_default();
        for (key, lock) in locks.iter().filter(|(key, _)| used.contains(key)) {
            if !self.environments.add(key, lock) {
                continue;
            }
            let environments = &mut *self.environments;
            let followed = self.dependencies.follow(key, lock, &mut |key, lock| {
                environments.add(key, lock);
            });
            let problems = followed.into_iter().filter_map(Result::err);
            report
                .problems
                .extend(problems.filter(|problem| !self.damaged.names(&problem.object)));
        }
    }

    fn check(&self, sha256: &Sha256) -> Result<(Decided, Carried, Box<Kept>, Option<OtherRules>), Problem> {
        let decided = decision(self.store, self.anchors, self.anchor, sha256)?;
        decided.locks(self.store, self.anchor)?;
        let (kept, other_rules) = self.again(sha256)?;
        // What it counts must all be there: whoever withholds evidence is told from one who has none.
        decided.documents(self.store, self.anchor, &kept)?;
        let carried = decided.carried_as(self.store, (self.anchors, self.anchor), (&kept, self.now))?;
        Ok((decided, carried, kept, other_rules))
    }

    /// The decision follows from what it names: made again it is the same, and the packages hold what the
    /// gate saw in them.
    fn again(&self, sha256: &Sha256) -> Result<(Box<Kept>, Option<OtherRules>), Problem> {
        let key = Key::provenance(&self.anchor.name, sha256);
        let kept = Kept::load(self.store, &self.anchor.name, sha256, &self.anchors.gate);
        let kept = Box::new(kept.map_err(|error| unreadable(&key, &error))?);
        let compared = kept.compared();
        if let Some(first) = compared.differences.into_iter().next() {
            return Err(Problem::new(Problem::DECISION, &key, format!("made again: {first}")));
        }
        let other = |(_, package, seen): &(&str, Sha256, Option<Sha256>)| {
            self.seen.get(package).is_some_and(|found| found != seen)
        };
        let misread = kept.packages().find(other).map(|(name, ..)| name.to_owned());
        match misread {
            Some(name) => {
                let why = format!("`{name}` holds something else than the gate saw in it");
                Err(Problem::new(Problem::EVIDENCE, &key, why))
            }
            None => Ok((kept, compared.other_rules)),
        }
    }

    /// A4: each stanza is what its package gives.
    fn stanzas(&mut self, (index, text): (&Key, &[u8]), state: &SuiteState, report: &mut Report) {
        let translated = is_translated(state);
        for stanza in Stanzas::new(text) {
            let stanza = match stanza {
                Ok(stanza) => stanza,
                Err(error) => return report.problem(Problem::INDEX, index, error),
            };
            let name = stanza.field("Package").and_then(|name| PackageName::new(name).ok());
            let other = name.and_then(|name| Some((name.clone(), state.overrides().get(&name)?.clone())));
            let overrides = Overrides::from_iter(other);
            let this = Derived {
                stanza: Sha256::of(stanza.bytes()),
                translated,
                overrides: overrides.clone(),
            };
            if !self.derived.insert(this) {
                continue;
            }
            let derived = if index.as_str().contains("/source/") {
                self.source(&stanza)
            } else {
                self.binary(&stanza, &overrides, translated)
            };
            match derived {
                Ok(Some(bytes)) if bytes.trim_ascii_end() != stanza.bytes().trim_ascii_end() => {
                    let name = stanza.field("Package").unwrap_or_default();
                    report.problem(
                        Problem::INDEX,
                        index,
                        format!("the stanza of `{name}` is not what its file gives"),
                    );
                }
                Ok(_) => {}
                Err(why) => report.problem(Problem::INDEX, index, why),
            }
        }
    }

    /// The stanza that a .deb gives; none when the .deb is damaged, which is reported already.
    fn binary(
        &mut self,
        stanza: &Stanza<'_>,
        overrides: &Overrides,
        translated: bool,
    ) -> Result<Option<Vec<u8>>, String> {
        let binary = Binary::from_stanza(stanza).map_err(|error| error.to_string())?;
        let key = Key::pool(&self.anchor.name, &binary.filename);
        if self.anchor.is_unproven() {
            let version = binary.version.without_epoch().to_owned();
            let named = (binary.package.clone(), version, binary.architecture.clone());
            let first = *self.versions.entry(named).or_insert(binary.digest.sha256);
            if first != binary.digest.sha256 {
                let (package, version) = (&binary.package, &binary.version);
                return Err(format!(
                    "`{package}` {version} is there as {first} and as {}",
                    binary.digest.sha256
                ));
            }
        }
        if self.damaged.has(&key) {
            return Ok(None);
        }
        let stream = self.store.open(&key).map_err(|error| error.to_string())?;
        let deb = read_deb(stream, &DebLimits::default()).map_err(|error| format!("`{key}`: {error}"))?;
        let mut stanza =
            binary_stanza(&deb.control, &binary.filename, &binary.digest).map_err(|error| error.to_string())?;
        stanza = overridden(&stanza, overrides)
            .map_err(|error| error.to_string())?
            .into_owned();
        if translated {
            stanza = self.descriptions.take(&stanza).map_err(|error| error.to_string())?;
        }
        let facts = DebFacts::from_deb(&deb).ok().and_then(|facts| identity(&facts));
        self.seen.insert(deb.digest.sha256, facts);
        self.lists.insert(deb.digest.sha256, FileList::of(&deb));
        Ok(Some(stanza))
    }

    fn source(&self, stanza: &Stanza<'_>) -> Result<Option<Vec<u8>>, String> {
        let source = Source::from_stanza(stanza).map_err(|error| error.to_string())?;
        let dsc = source.files.iter().find(|(name, _)| name.as_str().ends_with(".dsc"));
        let (name, _) = dsc.ok_or_else(|| format!("`{}` has no .dsc", source.package))?;
        let directory = source
            .directory
            .as_ref()
            .ok_or_else(|| format!("`{}` is in no folder", source.package))?;
        let path = PoolPath::new(source.path_of(name)).map_err(|error| error.to_string())?;
        let key = Key::pool(&self.anchor.name, &path);
        if self.damaged.has(&key) {
            return Ok(None);
        }
        let bytes = self.store.get(&key, LARGEST_DSC).map_err(|error| error.to_string())?;
        let text = unframed_text(&bytes).map_err(|error| error.to_string())?;
        let control = paragraph(".dsc", &text).map_err(|error| error.to_string())?;
        source_stanza(&control, name, &bytes, directory)
            .map(Some)
            .map_err(|error| error.to_string())
    }
}

/// Contents are made for each architecture, and speak of the packages for all of them, wherever those are listed.
fn with_all(packages: &mut BTreeMap<String, Vec<Sha256>>) {
    const ALL: &str = "/binary-all/Packages";
    let all: Vec<String> = packages.keys().filter(|path| path.ends_with(ALL)).cloned().collect();
    for path in all {
        let debs = packages.remove(&path).unwrap_or_default();
        let folder = path.strip_suffix(ALL).unwrap_or_default();
        let prefix = format!("{folder}/binary-");
        for (_, listed) in packages.iter_mut().filter(|(path, _)| path.starts_with(&prefix)) {
            let missing: Vec<Sha256> = debs.iter().filter(|deb| !listed.contains(deb)).copied().collect();
            listed.extend(missing);
        }
    }
}

/// Why a decision cannot be made again, under the name of what is to blame.
pub(super) fn unreadable(decision: &Key, error: &GateError) -> Problem {
    match error {
        GateError::Store(StoreError::Missing(key)) => Problem::new(Problem::MISSING, key, error),
        GateError::Swapped { key, .. } => Problem::new(Problem::DAMAGED, key, error),
        _ => Problem::new(Problem::EVIDENCE, decision, error),
    }
}

fn state_name(anchor: &Anchor, suite: &SuiteName) -> String {
    format!("{}/dists/{suite}", anchor.name)
}
