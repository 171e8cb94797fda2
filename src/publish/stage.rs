//! The next state of an archive's own suites: what was there, and what was admitted to a custom archive, or taken into
//! an unproven one.
//!
//! Stages index objects by hash before any record names them; what a crash leaves is unreferenced.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use crate::admission::Decision;
use crate::domain::{
    Architecture, ArchiveName, Component, Digest, Milestones, PackageName, PoolPath, RelPath, Sha256, SuiteName,
    Timestamp, Version,
};
use crate::format::FormatError;
use crate::format::packages::{Binary, Source};
use crate::index::{Catalog, debug_symbols_apart, overridden, suite_indexes};
use crate::site::{AllPackages, ArchiveKind, OwnArchive, OwnKind, OwnSuite, UnprovenArchive};
use crate::snapshot::{
    CustomState, IndexFile, MadeFor, Record, Removed, SuiteState, UNPROVEN, index_key, read_index, read_index_marked,
};
use crate::store::Store;

use super::GateError;
use super::changelogs::{Changelogs, has_changelogs, listed};
use super::contents::{Contents, Lists, has_contents, members};
use super::few::Few;
use super::forms::{Was, has_forms, stage_forms};
use super::overrides::with_overrides;
use super::translations::{Translations, has_translations};

/// The index that says which decision let each pool file in.
pub const DECISIONS: &str = "provenance/Decisions";

/// What a decision adds to a suite.
#[derive(Debug)]
pub(super) struct Addition<'a> {
    pub(super) decision: &'a Decision,
    pub(super) decision_sha256: Sha256,
    /// Stanzas for Packages, each ended by an empty line.
    pub(super) packages: Vec<u8>,
    /// The stanza for Sources.
    pub(super) sources: Vec<u8>,
}

/// What a suite of an unproven archive gets.
pub(super) struct Taken<'a> {
    /// Stanzas for Packages, each with its component.
    pub(super) packages: Vec<(&'a Component, &'a [u8])>,
    /// Those for Sources.
    pub(super) sources: Vec<(&'a Component, &'a [u8])>,
    /// What is there and goes, by a catalog that has at least what is touched.
    pub(super) goes: Box<dyn Fn(&Catalog<'_>) -> Goes + 'a>,
    /// The names of all packages that are touched; none where all have to be looked at.
    pub(super) names: Option<BTreeSet<&'a str>>,
    /// What was read already.
    pub(super) read: Option<&'a Read>,
    /// What Contents is to say of what comes, where it is known.
    pub(super) lists: Lists<'a>,
}

/// Stanzas for Packages, by component.
type Placed<'c, 't> = Vec<(&'c Component, Cow<'t, [u8]>)>;

/// The texts of a suite, and of which state they are.
#[derive(Debug, Clone, Default)]
pub(super) struct Read {
    indexes: Vec<IndexFile>,
    pub(super) texts: Texts,
    milestones: BTreeMap<RelPath, Milestones>,
}

impl Read {
    /// Reads them.
    ///
    /// # Errors
    /// When an index is missing or damaged; the store's failure.
    pub(super) fn of(store: &dyn Store, archive: &ArchiveName, state: &SuiteState) -> Result<Self, GateError> {
        let mut read = Self {
            indexes: state.indexes.clone(),
            ..Self::default()
        };
        for index in &state.indexes {
            if let Some(component) = component_of(state, index.path.as_str()) {
                let (bytes, milestones) = read_index_marked(store, archive, &state.suite, index)?;
                read.texts.insert(index.path.clone(), (component.clone(), bytes));
                read.milestones.insert(index.path.clone(), milestones);
            }
        }
        Ok(read)
    }

    fn is_of(&self, state: &SuiteState) -> bool {
        self.indexes == state.indexes
    }
}

/// Binary packages and source packages that go, each by its name, version and, of a binary package, architecture.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Goes {
    pub(super) binaries: BTreeSet<(PackageName, Version, Architecture)>,
    pub(super) sources: BTreeSet<(PackageName, Version)>,
}

impl Goes {
    fn has_binary(&self, binary: &Binary) -> bool {
        let Binary {
            package,
            version,
            architecture,
            ..
        } = binary;
        self.binaries
            .contains(&(package.clone(), version.clone(), architecture.clone()))
    }

    fn has_source(&self, source: &Source) -> bool {
        self.sources.contains(&(source.package.clone(), source.version.clone()))
    }
}

/// Pool path → (its SHA-256, the decision's SHA-256).
pub type Decisions = BTreeMap<PoolPath, (Sha256, Sha256)>;

/// What the next snapshot changes.
#[derive(Debug, Default)]
pub(super) struct Change<'a> {
    /// What was admitted, to the suites of its decision.
    pub(super) additions: &'a [Addition<'a>],
    /// What else changes, by suite.
    pub(super) edits: BTreeMap<SuiteName, Edit>,
}

/// What changes in a suite beside what is admitted to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Edit {
    /// Source packages that go, with all that was built of them.
    pub(super) remove: BTreeSet<PackageName>,
    /// They go on purpose.
    pub(super) bury: Option<Burial>,
    /// Source packages that may come back although they were removed on purpose.
    pub(super) lift: BTreeSet<PackageName>,
    /// The suite is made for a branch or tag, when it is not there.
    pub(super) make: Option<MadeFor>,
    /// Its branch or tag is gone, or is there again.
    pub(super) gone: Option<Gone>,
    /// The suite itself goes.
    pub(super) drop: bool,
}

/// Why and when source packages are removed on purpose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Burial {
    pub(super) reason: String,
    pub(super) at: Timestamp,
}

/// Whether the branch or tag of a suite is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gone {
    /// It was seen to be gone then.
    Since(Timestamp),
    /// It is there.
    Not,
}

/// The states of every suite of the archive after a change, staged: those that the site names, those that
/// the newest record has for branches and tags, and those that the change makes.
///
/// # Errors
/// `NoSuite` when something is admitted to a suite that is none of these; when the suite's own indexes
/// are missing or damaged, or the packages do not fit in; the store's failure.
pub(super) fn next_states<K: OwnKind>(
    store: &dyn Store,
    archive: &ArchiveName,
    config: &OwnArchive<K>,
    latest: Option<&Record>,
    change: &Change<'_>,
) -> Result<Vec<SuiteState>, GateError> {
    states_after(store, (archive, config), latest, change, &BTreeMap::new())
}

/// The same for an unproven archive, whose suites take packages that nobody decided on. No other archive can.
///
/// # Errors
/// As `next_states`.
pub(super) fn next_unproven(
    store: &dyn Store,
    archive: &ArchiveName,
    config: &UnprovenArchive,
    latest: Option<&Record>,
    taken: &BTreeMap<SuiteName, Taken<'_>>,
) -> Result<Vec<SuiteState>, GateError> {
    states_after(store, (archive, config), latest, &Change::default(), taken)
}

fn states_after<K: OwnKind>(
    store: &dyn Store,
    (archive, config): (&ArchiveName, &OwnArchive<K>),
    latest: Option<&Record>,
    change: &Change<'_>,
    taken: &BTreeMap<SuiteName, Taken<'_>>,
) -> Result<Vec<SuiteState>, GateError> {
    // What got in without the gate would be carried over by whoever changes the kind in the site's file.
    let states = latest.iter().flat_map(|record| &record.suites);
    if let Some(other) = states.clone().find(|state| state.is_unproven() == K::GATED) {
        return Err(GateError::OtherKind {
            archive: archive.clone(),
            suite: other.suite.clone(),
            made: if K::GATED {
                ArchiveKind::Unproven
            } else {
                ArchiveKind::Custom
            },
        });
    }
    let before = |suite: &SuiteName| latest.and_then(|record| record.suites.iter().find(|s| s.suite == *suite));
    let mut suites: BTreeSet<&SuiteName> = config.suites.iter().map(|suite| &suite.name).collect();
    suites.extend(
        states
            .filter(|state| state.made_for().is_some())
            .map(|state| &state.suite),
    );
    suites.extend(change.edits.keys());
    suites.retain(|suite| !change.edits.get(*suite).is_some_and(|edit| edit.drop));
    let admitted = change.additions.iter().flat_map(|addition| &addition.decision.suites);
    let mut wanted = admitted.chain(taken.keys());
    if let Some(absent) = wanted.find(|suite| !suites.contains(suite)) {
        return Err(GateError::NoSuite {
            archive: archive.clone(),
            suite: absent.clone(),
        });
    }
    let place = Place { store, archive, config };
    let states = suites.into_iter().map(|suite| {
        let of_this = |addition: &&Addition<'_>| addition.decision.suites.contains(suite);
        let additions: Vec<&Addition<'_>> = change.additions.iter().filter(of_this).collect();
        let taken = taken.get(suite);
        match (before(suite), change.edits.get(suite)) {
            (Some(state), None) if additions.is_empty() && taken.is_none() && has_shape(config, state) => {
                Ok(state.clone())
            }
            (state, edit) => place.next_state(suite, state, &additions, (edit, taken)),
        }
    });
    states.collect()
}

/// Whether a suite has the shape that the site declares.
pub(super) fn has_shape<K: OwnKind>(config: &OwnArchive<K>, state: &SuiteState) -> bool {
    state.components == config.components
        && state.architectures == config.release_architectures()
        && has_all_index(state) == config.all.has_index()
        && has_forms(state, &config.compress)
        && has_contents(state) == config.contents
        && has_translations(state) == config.translations
        && has_changelogs(state) == config.extract_changelogs
        && *state.overrides() == config.overrides
        && state.fields == suite_fields(config, &state.suite)
}

fn has_all_index(state: &SuiteState) -> bool {
    let is_all = |index: &IndexFile| index.path.as_str().ends_with("/binary-all/Packages");
    state.indexes.iter().any(is_all)
}

/// Where suites are staged.
struct Place<'a, K: OwnKind> {
    store: &'a dyn Store,
    archive: &'a ArchiveName,
    config: &'a OwnArchive<K>,
}

impl<K: OwnKind> Place<'_, K> {
    fn next_state(
        &self,
        suite: &SuiteName,
        before: Option<&SuiteState>,
        additions: &[&Addition<'_>],
        (edit, taken): (Option<&Edit>, Option<&Taken<'_>>),
    ) -> Result<SuiteState, GateError> {
        let mut decisions = Decisions::new();
        let mut custom = before.and_then(|state| state.custom.clone()).unwrap_or_default();
        let known = |state: &SuiteState| taken.and_then(|taken| taken.read).filter(|read| read.is_of(state));
        let read: Cow<'_, Read> = match before.map(|state| (state, known(state))) {
            None => Cow::default(),
            Some((_, Some(read))) => Cow::Borrowed(read),
            Some((state, None)) => Cow::Owned(Read::of(self.store, self.archive, state)?),
        };
        if let Some(state) = before {
            decisions = read_decisions(self.store, self.archive, state)?;
        }
        let mut translations = Translations::read(self.store, self.archive, before, self.config.translations)?;
        let overrides = (&custom.overrides, &self.config.overrides);
        let overridden_texts = with_overrides(self.store, self.archive, &read.texts, overrides)?;
        let shaped = translations.shaped(overridden_texts)?;
        let added = additions.iter().map(|addition| {
            let packages = overridden(&addition.packages, &self.config.overrides)?;
            let component = &addition.decision.component;
            let apart = match &self.config.dbgsym_component {
                None => vec![(component, packages)],
                Some(debug) => {
                    let (symbols, others) = debug_symbols_apart(&packages)?;
                    vec![(component, others.into()), (debug, symbols.into())]
                }
            };
            let shaped = apart
                .into_iter()
                .map(|(component, packages)| Ok((component, translations.packages(component, packages)?)));
            shaped.collect::<Result<Vec<_>, GateError>>()
        });
        let added: Vec<Placed<'_, '_>> = added.collect::<Result<_, GateError>>()?;
        let brought = taken
            .iter()
            .flat_map(|taken| &taken.packages)
            .map(|&(component, packages)| {
                let packages = overridden(packages, &self.config.overrides)?;
                Ok((component, translations.packages(component, packages)?))
            });
        let brought: Vec<(&Component, Cow<'_, [u8]>)> = brought.collect::<Result<_, GateError>>()?;
        custom.overrides.clone_from(&self.config.overrides);
        let contents = Contents::read(self.store, (self.archive, self.config), before);
        let changes = Changelogs::read(self.store, (self.archive, self.config), before);
        let whole = contents.are_whole() && changes.are_whole();
        let few = match before.filter(|state| edit.is_none() && has_shape(self.config, state) && whole) {
            Some(_) => Few::of(&shaped, additions, taken)?,
            None => None,
        };
        let mut catalog = catalog(few.as_ref().map_or(&shaped, |few| &few.texts))?;
        let (old, old_listed) = (members(&catalog), listed(&catalog));
        let touched: Option<BTreeSet<PoolPath>> = few
            .as_ref()
            .map(|_| catalog.files().map(|(path, _)| path.clone()).collect());
        if let Some(edit) = edit {
            if let Some(burial) = &edit.bury {
                bury(&mut custom, &catalog, edit, burial);
            }
            catalog.retain(|name, _| !edit.remove.contains(name))?;
            custom.removed.retain(|removed| !edit.lift.contains(&removed.source));
            if before.is_none() {
                custom.made_for.clone_from(&edit.make);
            }
            if let (Some(made), Some(gone)) = (&mut custom.made_for, edit.gone) {
                made.gone_since = match gone {
                    Gone::Since(at) => Some(made.gone_since.unwrap_or(at)),
                    Gone::Not => None,
                };
            }
        }
        for (addition, packages) in additions.iter().zip(&added) {
            let Decision {
                source,
                component,
                files,
                ..
            } = addition.decision;
            // A new version takes the place of the one before: whole, with packages that it no longer builds.
            catalog.retain(|name, _| name != source)?;
            for (component, packages) in packages {
                catalog.add_packages(component, packages)?;
            }
            catalog.add_sources(component, &addition.sources)?;
            let added = files
                .iter()
                .map(|(path, sha256)| (path.clone(), (*sha256, addition.decision_sha256)));
            decisions.extend(added);
            custom.removed.retain(|removed| removed.source != *source);
        }
        if let Some(taken) = taken {
            let goes = (taken.goes)(&catalog);
            catalog.retain_each(|binary| !goes.has_binary(binary), |source| !goes.has_source(source))?;
            for (component, packages) in &brought {
                catalog.add_packages(component, packages)?;
            }
            for (component, sources) in &taken.sources {
                catalog.add_sources(component, sources)?;
            }
        }
        let listed: BTreeSet<&PoolPath> = catalog.files().map(|(path, _)| path).collect();
        let untouched = |path: &PoolPath| touched.as_ref().is_some_and(|touched| !touched.contains(path));
        decisions.retain(|path, _| listed.contains(path) || untouched(path));
        let (all, components) = (self.config.all, &self.config.components);
        let indexes = suite_indexes(&catalog, components, &self.config.architectures, all)?;
        let indexes = match &few {
            Some(few) => few.put_in(&shaped, indexes)?,
            None => indexes.into_iter().map(|(path, text)| (path, text.into())).collect(),
        };
        let mut staged = self.indexes(suite, (before, &read), &indexes, &translations)?;
        // The texts of a large suite are much of what is in memory.
        drop(indexes);
        if self.config.contents {
            let (none, place) = (Lists::new(), (self.archive, suite));
            let lists = taken.map_or(&none, |taken| &taken.lists);
            let was = (before, &old);
            staged.extend(contents.stage(self.store, place, &self.config.compress, was, (&catalog, lists))?);
        }
        if self.config.extract_changelogs {
            let was = (before, &old_listed);
            staged.extend(changes.stage(self.store, (self.archive, suite), &self.config.compress, was, &catalog)?);
        }
        if K::GATED {
            let text = decisions_text(&decisions);
            staged.push(stage(self.store, self.archive, suite, rel_path(DECISIONS)?, &text)?);
        }
        Ok(SuiteState {
            suite: suite.clone(),
            // `snapshot::next` sets it.
            date: Timestamp::from_unix(0),
            fields: suite_fields(self.config, suite),
            architectures: self.config.release_architectures(),
            components: self.config.components.clone(),
            indexes: staged,
            upstream: None,
            custom: Some(custom).filter(|custom| *custom != CustomState::default()),
        })
    }

    /// Stages Packages, Sources and Translation-en; what `before` has already is taken over.
    fn indexes(
        &self,
        suite: &SuiteName,
        (before, read): (Option<&SuiteState>, &Read),
        indexes: &[(RelPath, Cow<'_, [u8]>)],
        translations: &Translations,
    ) -> Result<Vec<IndexFile>, GateError> {
        let components = &self.config.components;
        let mut staged = Vec::new();
        let place = (self.archive, suite);
        staged.extend(translations.stage(self.store, place, (components, &self.config.compress), before, indexes)?);
        for (path, text) in indexes {
            let was = before.and_then(|state| Some((state, read.texts.get(path)?)));
            let was = was.map(|(state, (_, text))| Was {
                state,
                text,
                milestones: read.milestones.get(path),
            });
            staged.extend(stage_forms(
                self.store,
                place,
                (path.clone(), text),
                &self.config.compress,
                was,
            )?);
        }
        Ok(staged)
    }
}

/// Remembers what is removed on purpose.
fn bury(custom: &mut CustomState, catalog: &Catalog<'_>, edit: &Edit, burial: &Burial) {
    for (_, source) in catalog
        .sources()
        .filter(|(_, source)| edit.remove.contains(&source.package))
    {
        custom.removed.retain(|removed| removed.source != source.package);
        custom.removed.push(Removed {
            source: source.package.clone(),
            version: source.version.clone(),
            reason: burial.reason.clone(),
            at: burial.at,
        });
    }
    custom.removed.sort();
}

/// What the `Description` of an unproven suite begins with.
const NOTHING_PROVEN: &str = "unproven: nobody rebuilt these packages, they are here on their operator's word";

/// What the Release of a suite of an archive of ours says, as the site declares it. That of an unproven one says so.
#[must_use]
pub fn suite_fields<K: OwnKind>(config: &OwnArchive<K>, suite: &SuiteName) -> Vec<(String, String)> {
    let says = config.suites.iter().find(|says| says.name == *suite);
    let yes = |is: fn(&OwnSuite<K>) -> bool| says.filter(|says| is(says)).map(|_| "yes");
    let described = says.and_then(|says| says.description.as_deref());
    let description = match (K::GATED, described) {
        (true, own) => own.map(str::to_owned),
        (false, Some(own)) => Some(format!("{own} ({NOTHING_PROVEN})")),
        (false, None) => Some(NOTHING_PROVEN.to_owned()),
    };
    let fields = [
        ("Origin", Some(config.origin.as_str())),
        ("Label", Some(config.label.as_str())),
        ("Suite", Some(suite.as_str())),
        ("Codename", Some(suite.as_str())),
        ("Changelogs", config.changelogs.as_deref()),
        (
            "No-Support-for-Architecture-all",
            (config.all == AllPackages::Also).then_some("Packages"),
        ),
        ("NotAutomatic", yes(|says| says.not_automatic)),
        ("ButAutomaticUpgrades", yes(|says| says.but_automatic_upgrades)),
        (UNPROVEN.0, (!K::GATED).then_some(UNPROVEN.1)),
        ("Description", description.as_deref()),
    ];
    let there = |(name, value): (&str, Option<&str>)| Some((name.to_owned(), value?.to_owned()));
    fields.into_iter().filter_map(there).collect()
}

/// Keeps an index by hash.
pub(super) fn stage(
    store: &dyn Store,
    archive: &ArchiveName,
    suite: &SuiteName,
    path: RelPath,
    bytes: &[u8],
) -> Result<IndexFile, GateError> {
    stage_as(store, (archive, suite), path, Digest::of(bytes), bytes)
}

/// The same of bytes whose digest is known: whoever publishes them hashes what is in the store.
pub(super) fn stage_as(
    store: &dyn Store,
    (archive, suite): (&ArchiveName, &SuiteName),
    path: RelPath,
    digest: Digest,
    bytes: &[u8],
) -> Result<IndexFile, GateError> {
    let index = IndexFile {
        path,
        digest,
        kept: true,
    };
    store.put_bytes(&index_key(archive, suite, &index), &digest, bytes)?;
    Ok(index)
}

/// The source packages of a suite.
pub(super) fn held_sources(
    store: &dyn Store,
    archive: &ArchiveName,
    state: &SuiteState,
) -> Result<Vec<Source>, GateError> {
    let read = Read::of(store, archive, state)?;
    Ok(catalog(&read.texts)?
        .sources()
        .map(|(_, source)| source.clone())
        .collect())
}

/// Packages and Sources of a suite, each with its component.
pub(super) type Texts = BTreeMap<RelPath, (Component, Vec<u8>)>;

/// Everything that they hold.
pub(super) fn catalog(texts: &Texts) -> Result<Catalog<'_>, GateError> {
    let mut catalog = Catalog::new();
    for (path, (component, text)) in texts {
        match path.file_name() {
            "Packages" => catalog.add_packages(component, text)?,
            _ => catalog.add_sources(component, text)?,
        }
    }
    Ok(catalog)
}

/// The component of a Packages or Sources, by its path without the ending of a compression.
pub(super) fn component_of<'a>(state: &'a SuiteState, path: &str) -> Option<&'a Component> {
    let (folder, name) = path.rsplit_once('/')?;
    if !matches!(name, "Packages" | "Sources") {
        return None;
    }
    let (component, _) = folder.rsplit_once('/')?;
    let component = component.strip_suffix("/debian-installer").unwrap_or(component);
    state.components.iter().find(|c| c.as_str() == component)
}

/// Which decision let each file of a suite in.
///
/// # Errors
/// When the index is missing, damaged or malformed.
pub fn read_decisions(store: &dyn Store, archive: &ArchiveName, state: &SuiteState) -> Result<Decisions, GateError> {
    Ok(read_decision_lines(store, archive, state)?.into_iter().collect())
}

/// The same as a list, in order of paths.
///
/// # Errors
/// As [`read_decisions`].
pub fn read_decision_lines(
    store: &dyn Store,
    archive: &ArchiveName,
    state: &SuiteState,
) -> Result<Vec<DecisionLine>, GateError> {
    let Some(index) = state.indexes.iter().find(|index| index.path.as_str() == DECISIONS) else {
        return Ok(Vec::new());
    };
    decision_lines(&read_index(store, archive, &state.suite, index)?)
}

/// Reads the text of `provenance/Decisions`.
///
/// # Errors
/// When a line is not `<sha256> <decision sha256> <pool path>`, or a path stands twice or out of order.
pub fn parse_decisions(bytes: &[u8]) -> Result<Decisions, GateError> {
    Ok(decision_lines(bytes)?.into_iter().collect())
}

/// A line of it: a path, its SHA-256, and the decision.
pub type DecisionLine = (PoolPath, (Sha256, Sha256));

fn decision_lines(bytes: &[u8]) -> Result<Vec<DecisionLine>, GateError> {
    let mut decisions: Vec<DecisionLine> = Vec::new();
    let text = String::from_utf8_lossy(bytes);
    for (number, line) in text.lines().enumerate() {
        let parsed = parse_line(line).filter(|(path, _)| decisions.last().is_none_or(|(last, _)| last < path));
        let Some(parsed) = parsed else {
            let at = format!("line {}", number.saturating_add(1));
            let why = "it is not a digest, a decision and a path, in order of paths";
            return Err(GateError::document(DECISIONS)(FormatError::Malformed {
                what: "Decisions",
                at,
                why: why.to_owned(),
            }));
        };
        decisions.push(parsed);
    }
    Ok(decisions)
}

fn parse_line(line: &str) -> Option<(PoolPath, (Sha256, Sha256))> {
    let mut words = line.split(' ');
    let (file, decision, path) = (words.next()?, words.next()?, words.next()?);
    let parsed = (PoolPath::new(path).ok()?, (file.parse().ok()?, decision.parse().ok()?));
    words.next().is_none().then_some(parsed)
}

pub(super) fn decisions_text(decisions: &Decisions) -> Vec<u8> {
    let mut text = String::new();
    for (path, (sha256, decision)) in decisions {
        text.push_str(&format!("{sha256} {decision} {path}\n"));
    }
    text.into_bytes()
}

pub(super) fn rel_path(path: &'static str) -> Result<RelPath, GateError> {
    RelPath::new(path).map_err(|source| {
        GateError::document(path)(FormatError::Value {
            what: "index".to_owned(),
            source,
        })
    })
}
