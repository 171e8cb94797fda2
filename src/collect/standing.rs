//! What stays and what goes: every edition of an archive judged, and what those that stay consist of.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::hash::{BuildHasher as _, RandomState};

use super::{CollectError, Collection, Finding, load_marks, reading};
use crate::domain::{Sha256, SuiteName};
use crate::publish::{check_vouched, load_vouched};
use crate::snapshot::{
    EditionName, IndexFile, Marks, Reading, Retention, SuiteState, TagRecord, Verdict, content_digest, file_indexes,
    index_key, upstream_files,
};
use crate::store::{Key, Meta};

/// An index that names pool files, and the newest edition that has it.
#[derive(Debug, Clone)]
pub(super) struct Listing {
    pub(super) edition: EditionName,
    pub(super) suite: SuiteName,
    pub(super) index: IndexFile,
}

/// Keys, by a hash of each. Should two have the same, one object stays that could go.
#[derive(Debug, Default)]
pub(super) struct Keys {
    hashes: HashSet<u64>,
    state: RandomState,
}

impl Keys {
    pub(super) fn add(&mut self, key: &str) {
        self.hashes.insert(self.state.hash_one(key));
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.hashes.contains(&self.state.hash_one(key))
    }
}

/// An archive, judged.
#[derive(Debug, Default)]
pub(super) struct Standing {
    pub(super) marks: Marks,
    /// How many records of snapshots there are.
    pub(super) records: u64,
    /// Editions that stay.
    pub(super) kept: BTreeSet<EditionName>,
    /// Editions that go now, and why.
    pub(super) going: BTreeMap<EditionName, String>,
    /// Editions that went before; something of them may be left.
    pub(super) gone: BTreeSet<EditionName>,
    /// Every suite that any edition has.
    pub(super) suites: BTreeSet<SuiteName>,
    /// The objects by hash that stay.
    pub(super) objects: Keys,
    /// The names at the head that stay.
    pub(super) head: Keys,
    /// Notes that the pool has all of some content, by its digest: those of content that does not stay.
    pub(super) filled: BTreeMap<Sha256, Meta>,
    /// Names of folders that indexes of what stays lie in.
    pub(super) folders: BTreeSet<String>,
    /// Packages and Sources of what stays, each once.
    pub(super) listings: BTreeMap<Sha256, Listing>,
}

/// The three signed files of a tree: InRelease, which clients ask for first, goes first.
pub(super) const SIGNED: [&str; 3] = ["InRelease", "Release", "Release.gpg"];

impl Standing {
    /// Reads all that an archive has. Everything must be vouched for: a planted record could let real
    /// objects go.
    pub(super) fn judge(what: &Collection<'_>, take: &mut dyn FnMut(Finding)) -> Result<Self, CollectError> {
        let keyring = what.signer.keyring()?;
        let chain = load_vouched(what.store, what.archive, &keyring)?;
        let mut standing = Self {
            marks: load_marks(what.store, &chain, &keyring)?,
            records: chain.len(),
            ..Self::default()
        };
        for meta in what.store.list(&Key::all_filled(what.archive))? {
            if let Some(content) = meta.key.named_sha256() {
                standing.filled.insert(content, meta);
            }
        }
        let marks = standing.marks.clone();
        let reading = match what.at_once {
            true => Reading::new(),
            false => reading(what.store, &chain, what.made.now)?,
        };
        let retention = Retention {
            keep: what.keep,
            pins: what.pins,
            marks: &marks,
            reading: &reading,
            newest: chain.len(),
            now: what.made.now,
        };
        let bar = what.progress.items("snapshots", chain.len());
        for record in chain.records(what.store) {
            let record = record?;
            let verdict = retention.snapshot(record.n, &record.id, &record.serial);
            let name = EditionName::Serial(record.serial);
            standing.add(what, name, &verdict, &record.suites, take);
            bar.advance(1);
        }
        bar.finish();
        for tag in TagRecord::all(what.store, what.archive)? {
            check_vouched(what.store, &tag, &keyring)?;
            let verdict = retention.tag(&tag.tag);
            standing.add(what, EditionName::Tag(tag.tag), &verdict, &tag.suites, take);
        }
        if let Some(newest) = chain.latest() {
            standing.add_head(what, &newest.suites);
        }
        Ok(standing)
    }

    fn add(
        &mut self,
        what: &Collection<'_>,
        name: EditionName,
        verdict: &Verdict,
        suites: &[SuiteState],
        take: &mut dyn FnMut(Finding),
    ) {
        self.suites.extend(suites.iter().map(|state| state.suite.clone()));
        match verdict {
            Verdict::Gone(_) => {
                self.gone.insert(name);
            }
            Verdict::Expired(why) => {
                self.going.insert(name, why.clone());
            }
            Verdict::Kept(_) | Verdict::Read(_) => {
                let mut stays = Finding::stays(what.archive, "edition", name.as_str(), verdict.why());
                stays.until = match verdict {
                    Verdict::Read(until) => Some(*until),
                    _ => None,
                };
                take(stays);
                suites.iter().for_each(|state| self.add_suite(what, &name, state));
                if !self.filled.is_empty() {
                    self.filled.remove(&content_digest(suites));
                }
                self.kept.insert(name);
            }
        }
    }

    /// What is below a suite's folder belongs to an edition that stays, whatever edition that went had this name too.
    fn add_folders(&mut self, state: &SuiteState) {
        let first = |index: &IndexFile| index.path.as_str().split('/').next().map(str::to_owned);
        self.folders.extend(state.indexes.iter().filter_map(first));
        self.folders.extend(state.suite.as_str().split('/').map(str::to_owned));
    }

    fn add_suite(&mut self, what: &Collection<'_>, edition: &EditionName, state: &SuiteState) {
        self.add_folders(state);
        let upstream = state.upstream.iter();
        let proofs = upstream.clone().flat_map(|upstream| &upstream.indexes);
        let indexes = state.indexes.iter().filter(|index| index.kept);
        for index in indexes.chain(proofs) {
            self.objects.add(index_key(what.archive, &state.suite, index).as_str());
        }
        for upstream in upstream {
            for file in upstream_files(what.archive, &state.suite, upstream) {
                self.objects.add(file.key.as_str());
            }
        }
        for index in file_indexes(state).into_values() {
            let listing = Listing {
                edition: edition.clone(),
                suite: state.suite.clone(),
                index: index.clone(),
            };
            self.listings.insert(index.digest.sha256, listing);
        }
    }

    /// What `dists/<suite>/` shows: the newest snapshot, and nothing else.
    fn add_head(&mut self, what: &Collection<'_>, suites: &[SuiteState]) {
        for state in suites {
            let mut add = |path: &crate::domain::RelPath| {
                self.head.add(Key::dists(what.archive, &state.suite, path).as_str());
            };
            let kept = state.indexes.iter().filter(|index| index.kept);
            kept.for_each(|index| add(&index.path));
            if let Some(upstream) = &state.upstream {
                let files = upstream_files(what.archive, &state.suite, upstream);
                files.iter().for_each(|file| add(&file.path));
            }
            let signed = SIGNED.iter().filter_map(|name| crate::domain::RelPath::new(*name).ok());
            signed.for_each(|path| add(&path));
        }
    }
}
