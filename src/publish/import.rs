//! Imports: what a mirror's snapshot has of a source package, and what upstream's own files prove of it. What
//! these are is kept with the archive that imports, so that nothing needs the mirror afterwards.
//!
//! Nothing is believed that the mirror says of packages: names and digests are taken from what upstream signed.

use std::collections::{BTreeMap, BTreeSet};

use super::admit::{Admission, Gate, Question, admit_together};
use super::evidence::{add_document, hold, read_document};
use super::known::{load_before, newest_rows};
use super::next::Edits;
use super::propose::{inspect, removed};
use super::vouch::check_vouched;
use super::{Fetch, GateError, Keyrings, ledger};
use crate::admission::{
    Asked, Described, INDEX, Import, ImportCase, ImportEvidence, ImportedFrom, ImportedSnapshot, KEYRING, Matter,
    Proof, RELEASE, SIGNATURE, Terms, UpstreamFiles, identity, import_signers, is_built_of, prove, prove_again,
};
use crate::domain::{
    Architecture, ArchiveName, Component, Digest, FileName, PackageName, PolicyName, PoolPath, RelPath, Sha256,
    SnapshotName, SuiteName, Timestamp, Version,
};
use crate::format::deb822::Stanzas;
use crate::format::intoto::ImportBinding;
use crate::format::packages::Source;
use crate::site::{CustomArchive, Policy};
use crate::snapshot::{
    Chain, Edition, IndexFile, SuiteState, TagRecord, UpstreamRelease, kept_index, read_index, read_plain_index,
    upstream_files,
};
use crate::source::SourceFile;
use crate::store::{Key, Store};
use crate::trust::{Keyring, unframed_text};

/// The most that a file which upstream signed, or a keyring, may have, in bytes.
const LARGEST_SIGNED: u64 = 16 << 20;
/// The largest index that is kept, in bytes.
const LARGEST_INDEX: u64 = 1 << 30;
/// The largest .dsc, in bytes.
const LARGEST_DSC: u64 = 1 << 20;

/// Where imports go, and what they are found with.
#[derive(Clone, Copy)]
pub struct Importer<'a> {
    /// The store.
    pub store: &'a dyn Store,
    /// The custom archive.
    pub archive: &'a ArchiveName,
    /// What the site says of it.
    pub config: &'a CustomArchive,
    /// Whose records of mirrors count.
    pub keyrings: Keyrings<'a>,
    /// How files come that the mirror's pool lacks.
    pub fetch: Fetch<'a>,
}

/// What is asked for.
#[derive(Debug, Clone)]
pub struct ImportRequest<'a> {
    /// The mirror.
    pub from: &'a ArchiveName,
    /// Which of its snapshots, or tags.
    pub name: &'a SnapshotName,
    /// Which suite of it; absent: the only one that has the source package.
    pub suite: Option<&'a SuiteName>,
    /// The source package.
    pub source: &'a PackageName,
    /// Its version; absent: the newest of the suite.
    pub version: Option<&'a Version>,
    /// The suites that it goes to, all under the policy.
    pub suites: &'a [SuiteName],
    /// The policy's name.
    pub policy_name: &'a PolicyName,
    /// The policy.
    pub policy: &'a Policy,
    /// The keyring that the mirror is followed with.
    pub keyring: &'a [u8],
    /// The keys as a verifier knows them: those of the site's Git tree come first.
    pub known: Option<&'a Keyring>,
    /// Whether the site declares the source package itself.
    pub declared: bool,
    /// Why it is wanted.
    pub reason: &'a str,
    /// Who asks.
    pub asked_by: &'a str,
}

/// An import with what is known of it, and upstream's files that prove it.
#[derive(Debug, Clone)]
pub struct Importing {
    /// What is offered.
    pub import: Import,
    /// What is known.
    pub evidence: ImportEvidence,
    files: UpstreamFiles,
}

/// A suite of an edition that has the source package.
struct Found {
    state: SuiteState,
    upstream: UpstreamRelease,
    component: Component,
    version: Version,
}

impl Importer<'_> {
    /// Finds what a mirror's snapshot has of a source package, and holds its files: those, and those only, that
    /// upstream's stanzas name. Lazy pools fetch what they lack.
    ///
    /// # Errors
    /// `NotImportable` when no suite has it, or several; when a file is not what upstream's stanza says; `Unfetched` when
    /// upstream has it no more, or it could not be kept; the store's failure. That upstream signed something else is for the gate to say.
    pub fn find(&self, request: &ImportRequest<'_>, now: Timestamp) -> Result<Importing, GateError> {
        let chain = Chain::load(self.store, request.from)?;
        let edition = chain.edition(self.store, request.name)?;
        let doubt = self.doubt(&chain, &edition);
        let found = self.only(request, &edition)?;
        let from = ImportedFrom {
            archive: request.from.clone(),
            edition: edition.name.clone(),
            id: edition.id.clone(),
            suite: found.state.suite.clone(),
            component: found.component.clone(),
        };
        let files = self.upstream(request, &found)?;
        let asked = Asked {
            source: request.source,
            version: &found.version,
            signers: &import_signers(request.policy, &from, request.source),
            at: now,
            keyring: None,
        };
        let proof = prove(&files, &asked);
        agree(&proof, &files, &asked, request.known)?;
        let (mut source_files, mut outputs, mut dsc) = (Vec::new(), Vec::new(), Described::Absent);
        for (path, digest) in pool_files(&proof)? {
            self.take(request.from, &path, &digest)?;
            let name = FileName::new(path.file_name()).map_err(|error| not_importable(&error))?;
            if [".deb", ".udeb"].iter().any(|end| name.as_str().ends_with(end)) {
                outputs.push(inspect(self.store, self.archive, name, digest.sha256)?);
                continue;
            }
            if name.as_str().ends_with(".dsc") {
                let bytes = self.store.get(&Key::held(self.archive, &digest.sha256), LARGEST_DSC)?;
                dsc = match unframed_text(&bytes) {
                    Ok(text) => Described::new(&text),
                    Err(error) => Described::Malformed(error.to_string()),
                };
            }
            source_files.push(SourceFile { name, digest });
        }
        let snapshot = ImportedSnapshot {
            doubt,
            release: Some(found.upstream.inrelease.sha256),
            verified_at: found.upstream.verified_at,
            valid_until: edition.valid_until(),
        };
        let import = Import {
            archive: self.archive.clone(),
            suites: request.suites.to_vec(),
            policy: request.policy_name.clone(),
            policy_sha256: identity(request.policy).unwrap_or(Sha256::from_bytes([0; 32])),
            from,
            source: request.source.clone(),
            version: found.version,
            architectures: self.config.architectures.clone(),
            reason: request.reason.to_owned(),
            asked_by: request.asked_by.to_owned(),
            source_files,
            dsc,
            outputs,
            terms: Terms::default(),
        };
        let mut evidence = self.evidence(&import, proof, snapshot, request.declared)?;
        evidence.elsewhere = self.elsewhere(&import, &found.state)?;
        Ok(Importing {
            import,
            evidence,
            files,
        })
    }

    /// Why an edition's record is not believed.
    fn doubt(&self, chain: &Chain, edition: &Edition) -> Option<String> {
        let check = || -> Result<(), String> {
            let keyring = (self.keyrings)(chain.archive())?;
            let checked = match (&edition.number, &edition.name) {
                (Some((n, _)), _) => {
                    let record = chain.record(self.store, *n).map_err(|error| error.to_string())?;
                    check_vouched(self.store, &record, &keyring)
                }
                (None, crate::snapshot::EditionName::Tag(tag)) => {
                    let tag = TagRecord::load(self.store, chain.archive(), tag).map_err(|error| error.to_string())?;
                    check_vouched(self.store, &tag, &keyring)
                }
                (None, name) => return Err(format!("there is no record of `{name}`")),
            };
            checked.map_err(|error| error.to_string())
        };
        check().err()
    }

    /// The suite that has the source package, in the newest version that it has or in the one that is asked for.
    fn only(&self, request: &ImportRequest<'_>, edition: &Edition) -> Result<Found, GateError> {
        let mut found: Vec<Found> = Vec::new();
        for state in &edition.suites {
            let wanted = request.suite.is_none_or(|suite| *suite == state.suite);
            let Some(upstream) = state.upstream.as_ref().filter(|upstream| wanted && !upstream.flat) else {
                continue;
            };
            let mut best: Option<Found> = None;
            for component in &state.components {
                for version in self.versions(request, edition, state, component)? {
                    if best.as_ref().is_none_or(|best| version.dpkg_cmp(&best.version).is_gt()) {
                        best = Some(Found {
                            state: own(state),
                            upstream: upstream.clone(),
                            component: component.clone(),
                            version,
                        });
                    }
                }
            }
            found.extend(best);
        }
        let (source, name) = (request.source, format!("{}@{}", request.from, edition.name));
        match (found.pop(), found.is_empty()) {
            (Some(only), true) => Ok(only),
            (None, _) => {
                let version = request.version.map(|version| format!(" {version}")).unwrap_or_default();
                let why = format!("no suite of {name} has the source package `{source}`{version}");
                Err(not_importable(&why))
            }
            (Some(last), false) => {
                found.push(last);
                let each: Vec<String> = found
                    .iter()
                    .map(|f| format!("{} {}", f.state.suite, f.version))
                    .collect();
                let why = format!(
                    "several suites of {name} have `{source}` ({}): name one with `--from-suite`",
                    each.join(", ")
                );
                Err(not_importable(&why))
            }
        }
    }

    /// The versions that upstream's own Sources of a component list.
    fn versions(
        &self,
        request: &ImportRequest<'_>,
        edition: &Edition,
        state: &SuiteState,
        component: &Component,
    ) -> Result<Vec<Version>, GateError> {
        let mut versions = Vec::new();
        let state = own(state);
        let Some(index) = kept_index(&state, &format!("{component}/source/Sources")) else {
            return Ok(versions);
        };
        let text = read_plain_index(self.store, &edition.archive, &state.suite, index)?;
        for stanza in Stanzas::new(&text) {
            let stanza = stanza.map_err(GateError::document(&index.path))?;
            if stanza.field("Package") == Some(request.source.as_str()) {
                let source = Source::from_stanza(&stanza).map_err(GateError::document(&index.path))?;
                let wanted = request.version.is_none_or(|version| *version == source.version);
                versions.extend(Some(source.version).filter(|_| wanted));
            }
        }
        Ok(versions)
    }

    /// Upstream's own files: what it signed, and the indexes of the component that may list the packages.
    fn upstream(&self, request: &ImportRequest<'_>, found: &Found) -> Result<UpstreamFiles, GateError> {
        let (archive, state) = (request.from, &found.state);
        let mut signed = Vec::new();
        for file in upstream_files(archive, &state.suite, &found.upstream) {
            signed.push(self.store.get(&file.key, LARGEST_SIGNED)?);
        }
        let mut signed = signed.into_iter();
        let component = &found.component;
        let mut plain = vec![format!("{component}/source/Sources")];
        plain.append(&mut self.package_indexes(component));
        let indexes = plain.iter().filter_map(|plain| kept_index(state, plain));
        let read = |index: &IndexFile| -> Result<(RelPath, Vec<u8>), GateError> {
            Ok((
                index.path.clone(),
                read_index(self.store, archive, &state.suite, index)?,
            ))
        };
        Ok(UpstreamFiles {
            release: signed.next().unwrap_or_default(),
            signature: signed.next(),
            keyring: request.keyring.to_vec(),
            indexes: indexes.map(read).collect::<Result<_, _>>()?,
        })
    }

    /// What upstream built of the source package and lists in another component, for the archive's architectures.
    fn elsewhere(
        &self,
        import: &Import,
        state: &SuiteState,
    ) -> Result<BTreeMap<Component, BTreeSet<PackageName>>, GateError> {
        let mut found: BTreeMap<Component, BTreeSet<PackageName>> = BTreeMap::new();
        let others = state.components.iter().filter(|other| **other != import.from.component);
        for component in others {
            for plain in self.package_indexes(component) {
                let Some(index) = kept_index(state, &plain) else {
                    continue;
                };
                let text = read_plain_index(self.store, &import.from.archive, &state.suite, index)?;
                for stanza in Stanzas::new(&text) {
                    let malformed = || GateError::document(&index.path);
                    let stanza = stanza.map_err(malformed())?;
                    if is_built_of(&stanza, &import.source, &import.version).map_err(malformed())? {
                        let name = stanza.require("Packages", "Package").map_err(malformed())?;
                        let name = PackageName::new(name).map_err(|error| not_importable(&error))?;
                        found.entry(component.clone()).or_default().insert(name);
                    }
                }
            }
        }
        Ok(found)
    }

    /// The plain paths of the indexes that may list packages for the archive's architectures.
    fn package_indexes(&self, component: &Component) -> Vec<String> {
        let all = Architecture::all();
        let architectures = self.config.architectures.iter().chain([&all]);
        architectures
            .flat_map(|architecture| {
                [
                    format!("{component}/binary-{architecture}/Packages"),
                    format!("{component}/debian-installer/binary-{architecture}/Packages"),
                ]
            })
            .collect()
    }

    /// Holds a file of the mirror's pool, which is hashed as it is read: the mirror's own copy may be damaged,
    /// or be another one.
    fn take(&self, from: &ArchiveName, path: &PoolPath, digest: &Digest) -> Result<(), GateError> {
        if self.store.head(&Key::held(self.archive, &digest.sha256))?.is_some() {
            return Ok(());
        }
        let key = Key::pool(from, path);
        if self.store.head(&key)?.is_none() {
            (self.fetch)(from, path, digest)?;
        }
        hold(self.store, self.archive, digest, &mut self.store.open(&key)?)
    }

    fn evidence(
        &self,
        import: &Import,
        proof: Proof,
        snapshot: ImportedSnapshot,
        declared: bool,
    ) -> Result<ImportEvidence, GateError> {
        let chain = Chain::load(self.store, self.archive)?;
        let environment = self
            .config
            .environment
            .iter()
            .map(|source| (&source.archive, &source.suite));
        let places: BTreeSet<_> = environment
            .chain([(&import.from.archive, &import.from.suite)])
            .collect();
        Ok(ImportEvidence {
            proven_at: proof.at,
            proof: Some(proof),
            snapshot,
            declared,
            elsewhere: BTreeMap::new(),
            admitted: BTreeMap::new(),
            indexed: newest_rows(self.store, places, import)?,
            ledger: ledger::load_ledger(self.store, self.archive, import, chain.latest())?,
            removed: removed(chain.latest()),
            before: load_before(self.store, import)?,
        })
    }
}

impl Importing {
    /// What the gate says of it now, without keeping or changing anything.
    #[must_use]
    pub fn preview(&self, policy: &Policy, now: Timestamp) -> crate::admission::Decision {
        Matter::Imported(&self.import, &self.evidence).decide(policy, now)
    }

    /// Decides on it, keeps the signed decision with upstream's files, and when it is admitted makes and
    /// publishes the next snapshot. Idempotent, as [`super::admit`] is.
    ///
    /// # Errors
    /// As [`super::admit`].
    pub fn admit(&self, gate: &Gate<'_>, policy: &Policy, now: Timestamp) -> Result<Admission, GateError> {
        let files = &self.files;
        let indexes = files.indexes.iter().map(|(_, bytes)| bytes);
        for bytes in [&files.release, &files.keyring]
            .into_iter()
            .chain(&files.signature)
            .chain(indexes)
        {
            add_document(gate.store, gate.archive, bytes)?;
        }
        let matter = Matter::Imported(&self.import, &self.evidence);
        let (source, version, from) = (&self.import.source, &self.import.version, &self.import.from);
        let place = format!("{}@{} ({})", from.archive, from.edition, from.suite);
        let reason = format!("import {source} {version} from {place}: {}", self.import.reason);
        let admitted = admit_together(gate, &[Question { policy, matter }], &Edits::new(), &reason, now)?;
        admitted.into_iter().next().ok_or(GateError::Busy(0))
    }
}

/// A suite with upstream's own indexes: of a filtered mirror, or a partial tag, those that were selected from.
fn own(state: &SuiteState) -> SuiteState {
    let mut state = state.clone();
    if let Some(upstream) = state.upstream.as_mut().filter(|upstream| !upstream.indexes.is_empty()) {
        state.indexes = std::mem::take(&mut upstream.indexes);
    }
    state
}

/// Every file that the stanzas name, once, at upstream's own path.
fn pool_files(proof: &Proof) -> Result<BTreeSet<(PoolPath, Digest)>, GateError> {
    let mut files = BTreeSet::new();
    for source in proof.sources() {
        files.extend(source.pool_files().map_err(GateError::document("Sources"))?);
    }
    files.extend(proof.binaries().map(|binary| (binary.filename.clone(), binary.digest)));
    Ok(files)
}

/// What is admitted with the mirror's keyring must hold with the keys of a verifier, too.
fn agree(proof: &Proof, files: &UpstreamFiles, asked: &Asked<'_>, known: Option<&Keyring>) -> Result<(), GateError> {
    if known.is_none() || proof.refused.is_some() {
        return Ok(());
    }
    let asked = Asked {
        keyring: known,
        ..*asked
    };
    let again = prove_again(proof, files, &asked).unwrap_or_else(|| prove(files, &asked));
    if again.refused.is_none() && again.signers == proof.signers {
        return Ok(());
    }
    let why = again.refused.unwrap_or_else(|| "fewer keys hold".to_owned());
    Err(not_importable(&format!(
        "upstream's Release is verified by the mirror's keyring, but not by the keys in `policies/keys`: {why}. \
         Bring the mirror's keyring up to date"
    )))
}

fn not_importable(why: &dyn std::fmt::Display) -> GateError {
    GateError::NotImportable { why: why.to_string() }
}

/// The import that a decision was made on, with what upstream's files, as they are kept, prove of it. The
/// keys that count are those that the decision's policy names.
pub(super) fn read_case(
    store: &dyn Store,
    archive: &ArchiveName,
    policy: &Policy,
    case: &[u8],
    (binding, inputs): (&ImportBinding, &[(String, Sha256)]),
) -> Result<ImportCase, GateError> {
    ImportCase::parse(case, |import, at| {
        let files = kept_upstream(store, archive, binding, inputs)?;
        let Some(files) = files else { return Ok(None) };
        let asked = Asked {
            source: &import.source,
            version: &import.version,
            signers: &import_signers(policy, &import.from, &import.source),
            at,
            keyring: None,
        };
        Ok(Some(prove(&files, &asked)))
    })
}

/// Upstream's files, as they are kept with the archive; none when the decision names none.
///
/// # Errors
/// When one is missing or damaged; the store's failure.
pub fn kept_upstream(
    store: &dyn Store,
    archive: &ArchiveName,
    binding: &ImportBinding,
    inputs: &[(String, Sha256)],
) -> Result<Option<UpstreamFiles>, GateError> {
    let Some(mut files) = kept_release(store, archive, inputs)? else {
        return Ok(None);
    };
    for (path, hex) in &binding.indexes {
        let sha256 = hex
            .parse()
            .ok()
            .filter(|sha256| inputs.contains(&(INDEX.to_owned(), *sha256)));
        if let (Ok(path), Some(sha256)) = (RelPath::new(path.as_str()), sha256) {
            let bytes = read_document(store, archive, &sha256, LARGEST_INDEX)?;
            files.indexes.push((path, bytes));
        }
    }
    Ok(Some(files))
}

/// What upstream signed, with the keyring, as they are kept with the archive: its files without the indexes.
///
/// # Errors
/// As [`kept_upstream`].
pub fn kept_release(
    store: &dyn Store,
    archive: &ArchiveName,
    inputs: &[(String, Sha256)],
) -> Result<Option<UpstreamFiles>, GateError> {
    let named = |wanted: &str| {
        inputs
            .iter()
            .find(|(name, _)| name == wanted)
            .map(|(_, sha256)| *sha256)
    };
    let read = |sha256: Sha256, limit| read_document(store, archive, &sha256, limit);
    let (Some(release), Some(keyring)) = (named(RELEASE), named(KEYRING)) else {
        return Ok(None);
    };
    Ok(Some(UpstreamFiles {
        release: read(release, LARGEST_SIGNED)?,
        signature: named(SIGNATURE)
            .map(|sha256| read(sha256, LARGEST_SIGNED))
            .transpose()?,
        keyring: read(keyring, LARGEST_SIGNED)?,
        indexes: Vec::new(),
    }))
}
