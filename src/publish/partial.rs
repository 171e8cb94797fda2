//! Partial tags: of each snapshot only the packages that a manifest names, with their sources.
//!
//! A version that several archives or suites have is taken from each of them: else pinning would
//! choose another one when the image is built again. Stanzas are taken byte for byte; beside them lie
//! upstream's own indexes, which prove them. Nothing is staged before everything is found.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::{Architecture, ArchiveName, Digest, PackageName, PoolPath, SuiteName, Version};
use crate::format::FormatError;
use crate::format::deb822::Stanza;
use crate::format::manifest::{Manifest, Wanted, WantedArchitecture};
use crate::format::packages::pool_files;
use crate::index::{IndexError, Place, Search, index_path, select};
use crate::site::IndexForm;
use crate::snapshot::{IndexFile, Record, SuiteState, UpstreamRelease, each_chunk, package_indexes};
use crate::store::Store;

use super::GateError;
use super::forms::stage_forms;
use super::stage::{DECISIONS, component_of, decisions_text, read_decisions, rel_path, stage};
use super::translations::{Translations, has_translations};

/// What a manifest's packages are in some snapshots.
#[derive(Debug)]
pub struct Selection {
    /// One for each snapshot, in their order.
    pub parts: Vec<Part>,
    /// What is in none of them.
    pub missing: Vec<Missing>,
    /// Sources that are not there, of packages from archives that offer no sources at all.
    pub unsourced: Vec<Missing>,
}

/// What is taken of one snapshot.
#[derive(Debug)]
pub struct Part {
    /// The snapshot.
    pub of: Record,
    /// The text of each Packages and Sources file, by suite and path.
    texts: BTreeMap<(SuiteName, String), Vec<u8>>,
}

/// A package that is in no snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// The package; of the architecture `source` when it is a source package.
    pub package: Wanted,
    /// The binary package whose source it is, unless the manifest names it itself.
    pub source_of: Option<String>,
}

/// A source package that a binary package was built from.
#[derive(Debug)]
struct Built {
    /// One of its binary packages.
    binary: String,
    /// The snapshots that have its binary packages, by their place.
    parts: BTreeSet<usize>,
}

type Sources = BTreeMap<(PackageName, Version), Built>;

/// Finds what a manifest names in some snapshots, one index at a time.
///
/// # Errors
/// When an index is missing, damaged or malformed.
pub fn select_packages(store: &dyn Store, snapshots: Vec<Record>, manifest: &Manifest) -> Result<Selection, GateError> {
    let mut parts: Vec<Part> = snapshots.into_iter().map(Part::new).collect();
    let mut search = Search::new(&manifest.binaries);
    let mut built = Sources::new();
    for (at, part) in parts.iter_mut().enumerate() {
        part.take(store, "Packages", |stanza, place| {
            let Some(binary) = search.binary(stanza, place)? else {
                return Ok(false);
            };
            let named = format!("{} {} {}", binary.package, binary.version, binary.architecture);
            let source = built.entry((binary.source, binary.source_version));
            let source = source.or_insert_with(|| Built {
                binary: named,
                parts: BTreeSet::new(),
            });
            source.parts.insert(at);
            Ok(true)
        })?;
    }
    let mut missing: Vec<Missing> = search.missing().map(|one| Missing::new(one, None)).collect();
    let (lacking, unsourced) = take_sources(store, &mut parts, manifest, &built)?;
    missing.extend(lacking);
    Ok(Selection {
        parts,
        missing,
        unsourced,
    })
}

/// Takes the sources that the manifest names and those of the binary packages; gives those that are
/// missing, and those that are because nobody offers them.
fn take_sources(
    store: &dyn Store,
    parts: &mut [Part],
    manifest: &Manifest,
    built: &Sources,
) -> Result<(Vec<Missing>, Vec<Missing>), GateError> {
    let kind = Architecture::new("source").map(WantedArchitecture::Exactly);
    let kind = kind.map_err(|source| FormatError::Value {
        what: "manifest".to_owned(),
        source,
    });
    let kind = kind.map_err(GateError::document("manifest"))?;
    let mut wanted = manifest.sources.clone();
    let named: BTreeSet<_> = wanted
        .iter()
        .map(|one| (one.package.clone(), one.version.clone()))
        .collect();
    wanted.extend(
        built
            .keys()
            .filter(|key| !named.contains(*key))
            .map(|(name, version)| Wanted::new(name.clone(), version.clone(), kind.clone())),
    );
    let mut search = Search::new(&wanted);
    let (mut offering, mut nowhere_else) = (BTreeSet::new(), BTreeSet::new());
    loop {
        let mut passed_over = BTreeSet::new();
        for (at, part) in parts.iter_mut().enumerate() {
            part.take(store, "Sources", |stanza, place| {
                offering.insert(at);
                if is_extra(stanza) && !nowhere_else.contains(&identity(stanza)) {
                    passed_over.insert(identity(stanza));
                    return Ok(false);
                }
                Ok(search.source(stanza, place)?.is_some())
            })?;
        }
        let missing = search
            .missing()
            .map(|one| (one.package.to_string(), one.version.to_string()));
        let only_extra: BTreeSet<_> = missing.filter(|one| passed_over.contains(one)).collect();
        if only_extra.is_empty() {
            break;
        }
        nowhere_else = only_extra;
    }
    let (mut missing, mut unsourced) = (Vec::new(), Vec::new());
    for one in search.missing() {
        let built = built.get(&(one.package.clone(), one.version.clone()));
        let source = Missing::new(one, built.map(|built| built.binary.clone()));
        match built {
            Some(built) if built.parts.is_disjoint(&offering) && !manifest.sources.contains(one) => {
                unsourced.push(source)
            }
            _ => missing.push(source),
        }
    }
    Ok((missing, unsourced))
}

/// Whether a source is there only for what was built with it (`Built-Using`): its packages are in another archive, as is the source
/// itself. apt passes over it, and mirrors are known not to have its files.
fn is_extra(stanza: &Stanza<'_>) -> bool {
    stanza.field("Extra-Source-Only") == Some("yes")
}

fn identity(stanza: &Stanza<'_>) -> (String, String) {
    let field = |name| stanza.field(name).unwrap_or_default().to_owned();
    (field("Package"), field("Version"))
}

impl Missing {
    fn new(package: &Wanted, source_of: Option<String>) -> Self {
        Self {
            package: package.clone(),
            source_of,
        }
    }
}

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.package)?;
        let details = &self.package.details;
        if let Some(sha256) = &details.sha256 {
            write!(f, " with SHA-256 {sha256}")?;
        }
        if let Some(size) = details.size {
            write!(f, " of {size} bytes")?;
        }
        for (what, name) in [
            ("archive", details.archive.as_ref().map(ToString::to_string)),
            ("suite", details.suite.as_ref().map(ToString::to_string)),
            ("component", details.component.as_ref().map(ToString::to_string)),
            ("source", details.source.as_ref().map(ToString::to_string)),
            (
                "source version",
                details.source_version.as_ref().map(ToString::to_string),
            ),
        ] {
            if let Some(name) = name {
                write!(f, ", {what} {name}")?;
            }
        }
        match &self.source_of {
            Some(binary) => write!(f, " (the source of {binary})"),
            None => Ok(()),
        }
    }
}

impl Part {
    fn new(of: Record) -> Self {
        Self {
            of,
            texts: BTreeMap::new(),
        }
    }

    /// Takes stanzas out of every index of this name.
    fn take(
        &mut self,
        store: &dyn Store,
        name: &str,
        mut keep: impl FnMut(&Stanza<'_>, Place<'_>) -> Result<bool, IndexError>,
    ) -> Result<(), GateError> {
        for state in &self.of.suites {
            for (path, index) in package_indexes(state)
                .into_iter()
                .filter(|(path, _)| is_called(path, name))
            {
                let place = Place {
                    archive: &self.of.archive,
                    suite: &state.suite,
                    component: component_of(state, path),
                };
                let mut taken = Vec::new();
                each_chunk(store, &self.of.archive, &state.suite, index, &mut |chunk| {
                    taken.extend(select(chunk, |stanza| keep(stanza, place))?);
                    Ok::<_, GateError>(())
                })?;
                self.texts.insert((state.suite.clone(), path.to_owned()), taken);
            }
        }
        Ok(())
    }

    /// The pool files of what was taken, each once.
    ///
    /// # Errors
    /// When a stanza does not say where its files are.
    pub fn pool_files(&self) -> Result<BTreeMap<PoolPath, Digest>, GateError> {
        let files = self.texts.values().flat_map(|text| pool_files(text));
        files.collect::<Result<_, _>>().map_err(GateError::document("Packages"))
    }

    /// Stages the indexes, and gives the suites: all of the snapshot's, empty ones too.
    ///
    /// # Errors
    /// When an index is missing or damaged; the store's failure.
    pub fn stage(&self, store: &dyn Store) -> Result<Vec<SuiteState>, GateError> {
        self.of
            .suites
            .iter()
            .map(|state| {
                let of_suite = self.texts.iter().filter(|((suite, _), _)| *suite == state.suite);
                let texts: Texts<'_> = of_suite
                    .map(|((_, path), text)| (path.as_str(), text.as_slice()))
                    .collect();
                stage_selected(store, &self.of.archive, state, &texts)
            })
            .collect()
    }
}

/// The texts of a suite's Packages and Sources files, by path.
pub(super) type Texts<'a> = BTreeMap<&'a str, &'a [u8]>;

/// Stages selected indexes of a suite, and gives the suite that has them, and upstream's own as proof.
pub(super) fn stage_selected(
    store: &dyn Store,
    archive: &ArchiveName,
    state: &SuiteState,
    texts: &Texts<'_>,
) -> Result<SuiteState, GateError> {
    let custom = state.indexes.iter().any(|index| index.path.as_str() == DECISIONS);
    let whole = state.indexes.iter().filter(|index| !custom && is_whole(index));
    let mut indexes: Vec<IndexFile> = whole.cloned().collect();
    for (path, text) in texts {
        let path = index_path((*path).to_owned())?;
        let place = (archive, &state.suite);
        indexes.extend(stage_forms(store, place, (path, text), &IndexForm::usual(), None)?);
    }
    if custom {
        indexes.extend(stage_translations(store, archive, state, texts)?);
        let mut decisions = read_decisions(store, archive, state)?;
        let listed: Result<BTreeMap<_, _>, _> = texts.values().flat_map(|text| pool_files(text)).collect();
        let listed = listed.map_err(GateError::document("Packages"))?;
        decisions.retain(|path, _| listed.contains_key(path));
        let text = decisions_text(&decisions);
        indexes.push(stage(store, archive, &state.suite, rel_path(DECISIONS)?, &text)?);
    }
    indexes.sort_by(|a, b| a.path.cmp(&b.path));
    let upstream = state.upstream.as_ref().map(|upstream| proven(state, upstream));
    Ok(SuiteState {
        indexes,
        upstream,
        ..state.clone()
    })
}

/// Our own translations are those of what is listed, as everywhere in a custom archive.
fn stage_translations(
    store: &dyn Store,
    archive: &ArchiveName,
    state: &SuiteState,
    texts: &Texts<'_>,
) -> Result<Vec<IndexFile>, GateError> {
    let translations = Translations::read(store, archive, Some(state), has_translations(state))?;
    let listed = texts
        .iter()
        .map(|(path, text)| Ok((index_path((*path).to_owned())?, text.to_vec())));
    let listed: Vec<_> = listed.collect::<Result<_, IndexError>>()?;
    let forms = (state.components.as_slice(), &IndexForm::usual());
    translations.stage(store, (archive, &state.suite), forms, None, &listed)
}

pub(super) fn is_called(path: &str, name: &str) -> bool {
    path.rsplit('/').next() == Some(name)
}

/// Upstream's translations are taken over whole: their texts belong to stanzas by hash.
fn is_whole(index: &IndexFile) -> bool {
    index.path.file_name().starts_with("Translation-")
}

/// What upstream signed, with its own indexes that ours were taken from.
fn proven(state: &SuiteState, upstream: &UpstreamRelease) -> UpstreamRelease {
    let mut proven = upstream.clone();
    if proven.indexes.is_empty() {
        proven.indexes = package_indexes(state).into_values().cloned().collect();
        proven.indexes.sort_by(|a, b| a.path.cmp(&b.path));
    }
    proven
}
