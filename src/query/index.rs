//! The index: what the newest snapshots list, as the archive signs it, and the facts behind each decision.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rayon::prelude::*;

use super::QueryError;
use super::cache::{self, Cache, Kept};
use super::codec;
use super::facts::{Batch, DecisionId, DeclarationFile, Imported, LockFacts, SiteDeclaration};
use super::known::Known;
use super::listed::{Listed, Listing};
use super::read::{self, Numbers, Sources, Unread};
use super::view::{Decision, Record, Segment};
use crate::domain::{ArchiveName, Fingerprint, Sha256, SnapshotId, SnapshotName, SuiteName, Timestamp};
use crate::host::Progress;
use crate::publish::{check_vouched, read_decisions};
use crate::site::{Builder, Policy};
use crate::snapshot::{Chain, SuiteState};
use crate::store::Store;
use crate::trust::Ed25519Public;
use crate::verify::{Anchor, Anchors, Problem, covers, unsigned, voice};
use crate::{admission::shortage, format::intoto::Outcome};

/// How often it is looked for decisions behind build dependencies of ours: each round goes one package deeper.
const ROUNDS: usize = 32;
/// So many decisions of an answer are read again from the store, whatever the cache says.
const RECHECKED: usize = 32;
/// So many decisions are read before what was learned is kept: a run that is killed loses no more.
const CHUNK: usize = 4096;

/// Everything that queries are answered from.
#[derive(Debug)]
pub struct Index<'a> {
    store: &'a dyn Store,
    anchors: &'a Anchors,
    /// Now.
    pub now: Timestamp,
    keys: &'a [Ed25519Public],
    /// The custom archives, each with its place and its chain of snapshots.
    pub(super) archives: Vec<(usize, &'a Anchor, Chain)>,
    /// The files that newest snapshots list.
    pub(super) listed: Listing,
    /// What was verified.
    pub(super) known: Known,
    /// Where facts are kept, and under which key.
    cache: Option<(&'a Cache, Sha256)>,
    kept: Kept,
    /// Facts that the cache does not have.
    learned: Vec<Vec<u8>>,
    /// The decisions that answers are about, in order.
    scope: Vec<DecisionId>,
    unread: Unread,
    /// Decisions that were read without what they rest on.
    alone: BTreeSet<DecisionId>,
    voices: Voices<'a>,
}

/// How an index is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'c> {
    /// Where facts are kept between runs. None: every document is read.
    pub cache: Option<&'c Cache>,
    /// Every decision that was ever made, and not those alone whose packages the newest snapshots list.
    pub all: bool,
    /// Now.
    pub now: Timestamp,
    /// The keys that builders may sign with: see [`builder_keys`].
    pub keys: &'c [Ed25519Public],
}

/// The builders of each policy of each archive that may speak, by their ids, with the key of each: made once, since
/// every record is asked for its builder.
type Voices<'a> = HashMap<(usize, &'a str), HashMap<&'a str, (&'a Builder, Fingerprint)>>;

impl<'a> Index<'a> {
    /// Reads what the newest snapshots of all custom archives list, and of the decisions behind it those that
    /// the cache does not have.
    ///
    /// # Errors
    /// When a snapshot is not signed by its archive, or its indexes cannot be read; the store's failure.
    pub fn load(
        store: &'a dyn Store,
        anchors: &'a Anchors,
        asked: &Asked<'a>,
        progress: &Progress,
    ) -> Result<Self, QueryError> {
        let key = cache::key(anchors, asked.keys);
        let cache = asked.cache.map(|cache| (cache, key));
        let from_cache = || cache.map(|(cache, key)| cache.load(&key)).unwrap_or_default();
        let (mut kept, listed) = rayon::join(from_cache, || list(store, anchors));
        let (archives, listed) = listed?;
        let mut index = Self {
            store,
            anchors,
            now: asked.now,
            keys: asked.keys,
            archives,
            scope: listed.decisions().collect(),
            listed,
            known: Known::new(std::mem::take(&mut kept.segments)),
            cache,
            kept,
            learned: Vec::new(),
            unread: Unread::new(),
            alone: BTreeSet::new(),
            voices: voices(anchors, asked.now),
        };
        if asked.all {
            let mut scope: BTreeSet<DecisionId> = index.scope.iter().copied().collect();
            scope.extend(index.all_decisions()?);
            index.scope = scope.into_iter().collect();
        }
        index.learn(progress);
        Ok(index)
    }

    /// Keeps what was learned, by loading the index and by answering.
    pub fn keep(&mut self) {
        let Some((cache, key)) = self.cache else { return };
        let learned = std::mem::take(&mut self.learned);
        let saved: Vec<Option<_>> = learned.iter().map(|bytes| cache.save(&key, bytes)).collect();
        if !saved.is_empty() && saved.iter().all(Option::is_some) {
            self.kept.tidy(&saved.into_iter().flatten().collect::<Vec<_>>());
        }
    }

    fn sources(&self) -> Sources<'a> {
        Sources {
            store: self.store,
            anchors: self.anchors,
            keys: self.keys,
        }
    }

    /// Every decision that the gate ever made, refusals too.
    fn all_decisions(&self) -> Result<Vec<DecisionId>, QueryError> {
        let mut found = Vec::new();
        for (archive, anchor, _) in &self.archives {
            let named = named_below(self.store, &format!("state/{}/decisions", anchor.name))?;
            found.extend(named.into_iter().map(|sha256| DecisionId {
                archive: *archive,
                sha256,
            }));
        }
        Ok(found)
    }

    /// The decisions that answers are about.
    pub fn scope(&self) -> &[DecisionId] {
        &self.scope
    }

    /// Whether answers are about a decision.
    #[must_use]
    pub fn in_scope(&self, id: &DecisionId) -> bool {
        self.scope.binary_search(id).is_ok()
    }

    /// What is known of a decision: nothing of one that does not hold, or whose evidence cannot be read, unless it was
    /// asked for by itself.
    pub(super) fn decision(&self, id: &DecisionId) -> Option<Decision<'_>> {
        let lost = self.unread.contains_key(id) && !self.alone.contains(id);
        self.kept_decision(id).filter(|_| !lost)
    }

    fn kept_decision(&self, id: &DecisionId) -> Option<Decision<'_>> {
        let anchor = self.anchors.archives.get(id.archive)?;
        self.known.decision(anchor.name.as_str(), &id.sha256)
    }

    /// Whether a decision is known, with all that it rests on.
    fn is_known(&self, id: &DecisionId) -> bool {
        self.kept_decision(id).is_some_and(|decision| {
            let mut records = decision.records.iter();
            records.all(|record| self.known.record_of(record).is_some())
                && self.known.locks_of(decision).count() as u64 == decision.locks.len()
        })
    }

    /// Reads decisions that are not known yet, and those behind the packages of ours that they were built with.
    fn learn(&mut self, progress: &Progress) {
        let unknown = self.scope.par_iter().filter(|id| !self.is_known(id));
        let mut wanted: BTreeSet<DecisionId> = unknown.copied().collect();
        wanted.extend(self.untraced());
        let (mut all, mut checkpoints) = (Batch::default(), Vec::new());
        let (numbers, mut origins, mut seen) = (Numbers::default(), Origins::default(), BTreeSet::new());
        for _ in 0..ROUNDS {
            if wanted.is_empty() {
                break;
            }
            seen.extend(wanted.iter().copied());
            let round: Vec<DecisionId> = std::mem::take(&mut wanted).into_iter().collect();
            let bar = progress.items("checking decisions", round.len() as u64);
            for (number, chunk) in round.chunks(CHUNK).enumerate() {
                let (mut batch, unread) = read::decisions(self.sources(), chunk, &numbers, &bar);
                self.unread.extend(unread);
                let found = self.trace(batch.locks.values_mut(), &numbers, &mut origins);
                wanted.extend(found.into_iter().filter(|id| !seen.contains(id) && !self.is_known(id)));
                if (number + 1) * CHUNK < round.len() {
                    batch.packages = numbers.all();
                    checkpoints.extend(self.checkpoint(&mut batch, &mut all));
                }
                all.append(batch);
            }
            bar.finish();
        }
        all.packages = numbers.all();
        let rest = all.take_untraced();
        self.know(&rest, false);
        self.know(&all, true);
        self.kept.replaced(checkpoints);
    }

    /// Keeps a part of what is being learned; what is not complete waits in `rest`.
    fn checkpoint(&self, batch: &mut Batch, rest: &mut Batch) -> Option<std::path::PathBuf> {
        let (cache, key) = self.cache?;
        rest.append(batch.take_untraced());
        cache.save(&key, &codec::write(batch))
    }

    /// Takes what was learned.
    fn know(&mut self, batch: &Batch, keep: bool) {
        if batch.is_empty() {
            return;
        }
        let bytes = codec::write(batch);
        if keep && self.cache.is_some() {
            self.learned.push(bytes.clone());
        }
        if let Some(segment) = Segment::new(bytes, 0) {
            self.known.add(segment);
        }
    }

    /// The decisions behind packages of ours, of locks that are known, that are not known.
    fn untraced(&self) -> Vec<DecisionId> {
        let mut found = BTreeSet::new();
        for lock in self.known.locks() {
            for (number, decision) in lock.ours() {
                let archive = lock.segment().package(number).map(|package| package.archive);
                let archive = archive.and_then(|name| self.place(name));
                found.extend(
                    archive
                        .zip(decision)
                        .map(|(archive, sha256)| DecisionId { archive, sha256 }),
                );
            }
        }
        found.into_iter().filter(|id| !self.is_known(id)).collect()
    }

    /// Finds which decision let in each package of ours that environments held; gives those decisions.
    fn trace<'l>(
        &self,
        locks: impl Iterator<Item = &'l mut LockFacts>,
        numbers: &Numbers,
        origins: &mut Origins,
    ) -> BTreeSet<DecisionId> {
        let mut found = BTreeSet::new();
        for lock in locks {
            let snapshots = &lock.snapshots;
            for (number, decision) in &mut lock.ours {
                let Some(package) = numbers.get(*number) else {
                    continue;
                };
                for at in snapshots.iter().filter(|at| at.archive.as_str() == package.archive) {
                    if decision.is_none() {
                        let place = (at.archive.clone(), at.id.clone());
                        *decision = origins.find(self.store, self.anchors, &place, &package.sha256);
                    }
                    let archive = self.place(at.archive.as_str());
                    found.extend(
                        archive
                            .zip(*decision)
                            .map(|(archive, sha256)| DecisionId { archive, sha256 }),
                    );
                }
            }
        }
        found
    }

    /// The place of an archive.
    pub(super) fn place(&self, archive: &str) -> Option<usize> {
        let mut anchors = self.anchors.archives.iter();
        anchors.position(|anchor| anchor.name.as_str() == archive)
    }

    /// Reads rebuild records that are not known; gives those that cannot be read, with why.
    pub(super) fn learn_records(&mut self, wanted: &[(ArchiveName, Sha256)]) -> BTreeMap<Sha256, Problem> {
        let unknown = wanted
            .par_iter()
            .filter(|(_, sha256)| self.known.record(sha256).is_none());
        let sources = self.sources();
        let read: Vec<(Sha256, Result<_, Problem>)> = unknown
            .map(|(archive, sha256)| (*sha256, read::rebuild_record(sources, archive, sha256)))
            .collect();
        let (mut batch, mut problems) = (Batch::default(), BTreeMap::new());
        for (sha256, read) in read {
            match read {
                Ok(facts) => drop(batch.records.insert(sha256, facts)),
                Err(problem) => drop(problems.insert(sha256, problem)),
            }
        }
        self.know(&batch, true);
        problems
    }

    /// Reads decisions that are not known, such as refusals: without what they rest on. One that cannot be read, or
    /// that the gate did not sign, says nothing.
    pub(super) fn learn_decisions(&mut self, wanted: &[DecisionId]) {
        let unknown = wanted.par_iter().filter(|id| self.decision(id).is_none());
        let sources = self.sources();
        let read: Vec<(DecisionId, _)> = unknown
            .filter_map(|id| Some((*id, read::decision(sources, id).ok()?)))
            .collect();
        self.alone.extend(read.iter().map(|(id, _)| *id));
        let decisions = read
            .into_iter()
            .map(|(id, (archive, facts))| ((id.sha256, archive.clone()), facts));
        let batch = Batch {
            decisions: decisions.collect(),
            ..Batch::default()
        };
        self.know(&batch, true);
    }

    /// Remembers declaration files.
    pub(super) fn learn_declarations(&mut self, declarations: Vec<(DeclarationFile, SiteDeclaration)>) {
        let batch = Batch {
            declarations,
            ..Batch::default()
        };
        self.know(&batch, true);
    }

    /// The site's store.
    #[must_use]
    pub fn store(&self) -> &'a dyn Store {
        self.store
    }

    /// What the site trusts about the archive of a decision.
    #[must_use]
    pub fn anchor(&self, id: &DecisionId) -> Option<&'a Anchor> {
        self.anchors.archives.get(id.archive)
    }

    /// What the site trusts.
    #[must_use]
    pub fn anchors(&self) -> &'a Anchors {
        self.anchors
    }

    /// The newest state of a suite that lists a file.
    pub(super) fn state(&self, listed: &Listed) -> Option<&SuiteState> {
        let mut archives = self.archives.iter();
        let (.., chain) = archives.find(|(archive, ..)| *archive == listed.decision.archive)?;
        chain.latest()?.suites.get(listed.suite)
    }

    /// Decisions that could not be verified, with why.
    pub fn unread(&self) -> impl Iterator<Item = (&DecisionId, &Problem)> {
        self.unread.iter()
    }

    /// Why a decision behind listed files is not believed; none when it holds: it admits them, and the policy of
    /// today still finds its quorum in the records, and covers the suites that list them.
    #[must_use]
    pub fn doubt(&self, id: &DecisionId) -> Option<Problem> {
        if let Some(problem) = self.unread.get(id) {
            return Some(problem.clone());
        }
        self.refused(id).err().map(|(code, why)| {
            let key = self
                .anchor(id)
                .map(|anchor| crate::store::Key::provenance(&anchor.name, &id.sha256));
            Problem::new(
                code,
                key.map_or_else(|| id.sha256.to_string(), |key| key.to_string()),
                why,
            )
        })
    }

    fn refused(&self, id: &DecisionId) -> Result<(), (&'static str, String)> {
        let Some((decision, anchor)) = self.decision(id).zip(self.anchor(id)) else {
            return Err((Problem::MISSING, "it was not read".to_owned()));
        };
        if !decision.admitted {
            return Err((Problem::DECISION, "it does not admit anything".to_owned()));
        }
        let listed = self.listed.of(id);
        let files: Vec<(&str, Sha256)> = decision.files.iter().collect();
        for file in listed {
            let found = files.binary_search_by(|(path, _)| (*path).cmp(file.path.as_str()));
            let found = found.ok().and_then(|at| files.get(at));
            if found.is_none_or(|(_, sha256)| *sha256 != file.sha256) {
                return Err((Problem::DECISION, format!("it does not admit `{}`", file.path)));
            }
        }
        let Some(policy) = anchor.policy(decision.policy) else {
            let why = format!("the site has no policy `{}` for it", decision.policy);
            return Err((Problem::DECISION, why));
        };
        let bound: Vec<&str> = decision.suites.iter().collect();
        let states = || {
            let suites = listed.chunk_by(|a, b| a.suite == b.suite);
            suites.filter_map(|in_suite| in_suite.first().and_then(|listed| self.state(listed)))
        };
        if let Some(imported) = decision.imported() {
            if let Some(why) = doubt_import(decision.source, &imported, policy) {
                return Err((Problem::EVIDENCE, why));
            }
            for state in states() {
                let rebuilt = None::<std::iter::Empty<(&str, Timestamp)>>;
                covers(anchor, state, &bound, decision.policy, rebuilt).map_err(|why| (Problem::DECISION, why))?;
            }
            return Ok(());
        }
        let agreeing = self.agreeing(id, decision);
        let rebuilders = agreeing.iter().map(|(_, b)| (b.operator.as_str(), b.hosting.as_str()));
        let terms = policy.terms(&suites(decision));
        if let Some(lacks) = shortage(policy, &terms, &rebuilders.collect()) {
            let why = format!("only {lacks} left a record that carries it, as the policy asks");
            return Err((Problem::EVIDENCE, why));
        }
        let declared = decision.declared().into_iter();
        let signers = declared.flat_map(|declared| declared.signers.iter());
        if let Some(lacks) = unsigned(policy, decision.source, signers, self.now) {
            return Err((Problem::EVIDENCE, lacks));
        }
        for state in states() {
            let rebuilt = agreeing
                .iter()
                .map(|(record, b)| (b.operator.as_str(), record.started_on));
            covers(anchor, state, &bound, decision.policy, Some(rebuilt)).map_err(|why| (Problem::DECISION, why))?;
        }
        Ok(())
    }

    /// Whether a record's builder may speak today, under a policy of an archive, and its key signed it.
    pub(super) fn speaks(&self, (archive, policy): (usize, &str), record: Record<'_>) -> bool {
        let voices = self.voices.get(&(archive, policy));
        let voice = voices.and_then(|voices| voices.get(record.builder));
        voice.is_some_and(|(_, key)| record.signed_by.iter().any(|by| by == key.as_str()))
    }

    /// The records that carry a decision under the policy of today, each with its builder.
    pub(super) fn agreeing<'s>(&'s self, id: &DecisionId, decision: Decision<'s>) -> Vec<(Record<'s>, &'a Builder)> {
        let Some(voices) = self.voices.get(&(id.archive, decision.policy)) else {
            return Vec::new();
        };
        let outputs = decision.outputs();
        let records = decision
            .records
            .iter()
            .filter_map(|reference| self.known.record_of(reference));
        let agreeing = records.filter_map(|record| {
            let (builder, _) = voices.get(record.builder)?;
            let signed = self.speaks((id.archive, decision.policy), record);
            let mut locks = decision.locks.iter();
            let same = Some(record.declaration) == decision.declaration && locks.any(|lock| lock.sha256 == record.lock);
            let built = record.outcome == Outcome::Built && record.gave(&outputs);
            (signed && same && built).then_some((record, *builder))
        });
        agreeing.collect()
    }

    /// What the store has no more of what the cache was made from; nothing without a cache, which reads all.
    ///
    /// # Errors
    /// The store's failure.
    pub fn lost(&self) -> Result<Vec<Problem>, QueryError> {
        Ok(super::lost::lost(self)?)
    }

    /// Reads the decisions of a small answer again, whatever the cache says of them: the documents decide.
    pub(super) fn recheck(&mut self, ids: &[DecisionId]) {
        if ids.len() > RECHECKED {
            return;
        }
        let mut batch = Batch::default();
        for id in ids {
            if self.unread.contains_key(id) {
                continue;
            }
            match read::decision(self.sources(), id) {
                Ok((archive, facts)) => drop(batch.decisions.insert((id.sha256, archive.clone()), facts)),
                Err(problem) => drop(self.unread.insert(*id, problem)),
            }
        }
        self.know(&batch, false);
    }
}

/// Why the policy of today does not take an import for proven: what upstream signed is for `verify` to read.
fn doubt_import(source: &str, imported: &Imported, policy: &Policy) -> Option<String> {
    let signers = imported.signers.iter();
    let signers: BTreeSet<Fingerprint> = signers.filter_map(|key| Fingerprint::new(key.as_str()).ok()).collect();
    let takes = || -> Option<bool> {
        let (archive, suite) = (imported.archive.parse().ok()?, imported.suite.parse().ok()?);
        let source = source.parse().ok()?;
        let mut rules = policy
            .imports
            .iter()
            .filter(|rule| rule.takes(&archive, &suite, &source));
        Some(rules.any(|rule| rule.is_signed_by(&signers)))
    };
    let why = "the policy has no [[import]] for it with the keys that signed it";
    (takes() != Some(true)).then(|| why.to_owned())
}

/// The suites that a decision is for.
pub(super) fn suites(decision: Decision<'_>) -> Vec<SuiteName> {
    decision.suites.iter().filter_map(|suite| suite.parse().ok()).collect()
}

type ListedArchives<'a> = (Vec<(usize, &'a Anchor, Chain)>, Listing);

fn list<'a>(store: &dyn Store, anchors: &'a Anchors) -> Result<ListedArchives<'a>, QueryError> {
    let (mut archives, mut listed) = (Vec::new(), Listing::default());
    let custom = anchors
        .archives
        .iter()
        .enumerate()
        .filter(|(_, anchor)| anchor.is_custom());
    for (place, anchor) in custom {
        let chain = anchor.chain(store)?;
        if let Some(record) = chain.latest() {
            listed.add(store, place, record)?;
        }
        archives.push((place, anchor, chain));
    }
    Ok((archives, listed.finish()))
}

/// The hashes that objects below a prefix are named by.
pub(super) fn named_below(store: &dyn Store, prefix: &str) -> Result<Vec<Sha256>, QueryError> {
    let mut found = Vec::new();
    store.visit(prefix, &mut |meta| {
        found.extend(meta.key.named_sha256());
    })?;
    Ok(found)
}

fn voices(anchors: &Anchors, now: Timestamp) -> Voices<'_> {
    let mut voices = Voices::new();
    for (place, anchor) in anchors.archives.iter().enumerate() {
        for (name, policy) in anchor.named_policies() {
            let speakers = policy.builders.iter();
            let speakers = speakers.filter_map(|builder| Some((builder.id.as_str(), voice(policy, &builder.id, now)?)));
            voices.insert((place, name.as_str()), speakers.collect());
        }
    }
    voices
}

/// Every key that a builder of any policy has, each once.
#[must_use]
pub fn builder_keys(anchors: &Anchors) -> Vec<Ed25519Public> {
    let policies = anchors.archives.iter().flat_map(Anchor::policies);
    let texts: BTreeSet<&str> = policies
        .flat_map(|policy| policy.builders.iter().map(|builder| builder.public_key.as_str()))
        .collect();
    texts
        .into_iter()
        .filter_map(|key| Ed25519Public::parse(key).ok())
        .collect()
}

type Place = (ArchiveName, SnapshotId);

/// Which decision let in each file of a snapshot, of those snapshots that were asked about.
#[derive(Default)]
struct Origins(BTreeMap<Place, HashMap<Sha256, Sha256>>);

impl Origins {
    fn find(&mut self, store: &dyn Store, anchors: &Anchors, place: &Place, file: &Sha256) -> Option<Sha256> {
        let files = self
            .0
            .entry(place.clone())
            .or_insert_with(|| files_of(store, anchors, place).unwrap_or_default());
        files.get(file).copied()
    }
}

fn files_of(store: &dyn Store, anchors: &Anchors, (archive, id): &Place) -> Option<HashMap<Sha256, Sha256>> {
    let anchor = anchors.archive(archive)?;
    let name = SnapshotName::At(id.clone());
    let record = Chain::load(store, archive).ok()?.resolve(store, &name).ok()?;
    check_vouched(store, &record, &anchor.keyring).ok()?;
    let mut files = HashMap::new();
    for state in &record.suites {
        files.extend(read_decisions(store, archive, state).ok()?.into_values());
    }
    Some(files)
}
