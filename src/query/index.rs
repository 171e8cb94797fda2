//! The index: what the newest snapshots list, as the archive signs it, and the facts behind each decision.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::QueryError;
use super::cache::{self, Cache};
use super::facts::{DecisionId, Facts, Known, RecordFacts, SiteDeclaration};
use super::read::{self, Unread};
use crate::admission::strength;
use crate::domain::{ArchiveName, PoolPath, Sha256, SnapshotId, SnapshotName, SuiteName, Timestamp};
use crate::host::Progress;
use crate::publish::{check_vouched, load_vouched, read_decisions};
use crate::site::{Builder, Policy};
use crate::snapshot::{Chain, Record};
use crate::store::Store;
use crate::trust::Ed25519Public;
use crate::verify::{Anchor, Anchors, Problem, speaker};

/// How often it is looked for decisions behind build dependencies of ours: each round goes one package deeper.
const ROUNDS: usize = 32;
/// So many decisions of an answer are read again from the store, whatever the cache says.
const RECHECKED: usize = 32;

/// Everything that queries are answered from.
#[derive(Debug)]
pub struct Index<'a> {
    store: &'a dyn Store,
    anchors: &'a Anchors,
    /// Now.
    pub now: Timestamp,
    keys: Vec<Ed25519Public>,
    /// The custom archives, each with its chain of snapshots.
    pub archives: Vec<(&'a Anchor, Chain)>,
    /// The files that newest snapshots list, by the decision that let them in.
    pub listed: BTreeMap<DecisionId, Vec<Listed>>,
    /// What was verified.
    pub known: Known,
    /// Where facts are kept, and under which key.
    cache: Option<(&'a Cache, Sha256)>,
    /// Whether there are facts that the cache does not have.
    learned: bool,
    /// The decisions that answers are about.
    scope: BTreeSet<DecisionId>,
    unread: Unread,
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
}

/// A file that a suite lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The suite.
    pub suite: SuiteName,
    /// The pool file.
    pub path: PoolPath,
    /// Its SHA-256.
    pub sha256: Sha256,
}

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
        let (cache, now) = (asked.cache, asked.now);
        let keys = builder_keys(anchors);
        let key = cache::key(anchors, &keys);
        let mut index = Self {
            store,
            anchors,
            now,
            keys,
            archives: Vec::new(),
            listed: BTreeMap::new(),
            known: cache.map(|cache| cache.load(&key)).unwrap_or_default(),
            cache: cache.map(|cache| (cache, key)),
            learned: false,
            scope: BTreeSet::new(),
            unread: Unread::new(),
        };
        for anchor in anchors.archives.iter().filter(|anchor| anchor.is_custom()) {
            let chain = load_vouched(store, &anchor.name, &anchor.keyring)?;
            if let Some(record) = chain.latest() {
                index.list(record)?;
            }
            index.archives.push((anchor, chain));
        }
        index.scope = index.listed.keys().cloned().collect();
        if asked.all {
            index.scope.extend(index.all_decisions()?);
        }
        index.learned = index.learn(index.scope.clone(), progress);
        Ok(index)
    }

    /// Keeps what was learned, by loading the index and by answering.
    pub fn keep(&self) {
        if let Some((cache, key)) = self.cache.as_ref().filter(|_| self.learned) {
            cache.save(key, &self.known);
        }
    }

    /// What a declaration file of the site is about, by its bytes: most were read before.
    pub(super) fn declaration(&self, file: &Sha256) -> Option<&SiteDeclaration> {
        self.known.declarations.get(file)
    }

    /// Remembers declaration files.
    pub(super) fn learn_declarations(&mut self, read: impl IntoIterator<Item = (Sha256, SiteDeclaration)>) {
        for (file, declaration) in read {
            self.learned |= self.known.declarations.insert(file, declaration).is_none();
        }
    }

    /// Every decision that the gate ever made, refusals too.
    fn all_decisions(&self) -> Result<Vec<DecisionId>, QueryError> {
        let mut found = Vec::new();
        for (anchor, _) in &self.archives {
            self.store
                .visit(&format!("state/{}/decisions", anchor.name), &mut |meta| {
                    let name = meta.key.as_str().rsplit('/').next().unwrap_or_default();
                    found.extend(name.parse().ok().map(|sha256| (anchor.name.clone(), sha256)));
                })?;
        }
        Ok(found)
    }

    /// The decisions that answers are about.
    pub fn scope(&self) -> impl Iterator<Item = &DecisionId> {
        self.scope.iter()
    }

    /// Whether answers are about a decision.
    #[must_use]
    pub fn in_scope(&self, id: &DecisionId) -> bool {
        self.scope.contains(id)
    }

    fn list(&mut self, record: &Record) -> Result<(), QueryError> {
        for state in &record.suites {
            for (path, (sha256, decision)) in read_decisions(self.store, &record.archive, state)? {
                let listed = Listed {
                    suite: state.suite.clone(),
                    path,
                    sha256,
                };
                let id = (record.archive.clone(), decision);
                self.listed.entry(id).or_default().push(listed);
            }
        }
        Ok(())
    }

    /// Reads decisions that are not known yet, and those behind the packages of ours that they were built with.
    /// Whether anything new is known.
    fn learn(&mut self, wanted: BTreeSet<DecisionId>, progress: &Progress) -> bool {
        let mut wanted: Vec<DecisionId> = wanted.into_iter().collect();
        let mut learned = false;
        let mut origins = Origins::default();
        for _ in 0..ROUNDS {
            wanted.retain(|id| !self.known.decisions.contains_key(id) && !self.unread.contains_key(id));
            if !wanted.is_empty() {
                learned = true;
                let unread = read::decisions(self.store, self.anchors, &self.keys, &wanted, &mut self.known, progress);
                self.unread.extend(unread);
            }
            wanted = self.trace(&mut origins);
            if wanted.is_empty() {
                break;
            }
        }
        learned
    }

    /// Finds which decision let in each package of ours that an environment held; gives those decisions that
    /// are not known.
    fn trace(&mut self, origins: &mut Origins) -> Vec<DecisionId> {
        let mut found = BTreeSet::new();
        for lock in self.known.locks.values_mut() {
            let snapshots = &lock.snapshots;
            for (number, decision) in &mut lock.ours {
                let Some(package) = self.known.packages.get(*number as usize) else {
                    continue;
                };
                let at = snapshots.iter().filter(|at| at.archive.as_str() == package.archive);
                for at in at {
                    if decision.is_none() {
                        let place = (at.archive.clone(), at.id.clone());
                        *decision = origins.find(self.store, self.anchors, &place, &package.sha256);
                    }
                    if let Some(decision) = decision {
                        found.insert((at.archive.clone(), *decision));
                    }
                }
            }
        }
        let unknown = |id: &DecisionId| !self.known.decisions.contains_key(id) && !self.unread.contains_key(id);
        found.into_iter().filter(unknown).collect()
    }

    /// Rebuild records, by hash; those that are not known are read.
    ///
    /// # Errors
    /// Never: what cannot be read is given with why.
    pub fn record(&mut self, archive: &ArchiveName, sha256: &Sha256) -> Result<RecordFacts, Problem> {
        if let Some(record) = self.known.records.get(sha256) {
            return Ok(record.clone());
        }
        let record = read::rebuild_record(self.store, archive, sha256, &self.keys)?;
        self.known.records.insert(*sha256, record.clone());
        self.learned = true;
        Ok(record)
    }

    /// A decision that nothing lists, such as a refusal.
    ///
    /// # Errors
    /// When it cannot be read, or the gate did not sign it.
    pub fn decision(&mut self, id: &DecisionId) -> Result<Facts, Problem> {
        if let Some(facts) = self.known.decisions.get(id) {
            return Ok(facts.clone());
        }
        let facts = read::decision(self.store, self.anchors, id)?;
        self.known.decisions.insert(id.clone(), facts.clone());
        self.learned = true;
        Ok(facts)
    }

    /// The site's store.
    #[must_use]
    pub fn store(&self) -> &'a dyn Store {
        self.store
    }

    /// What the site trusts about an archive.
    #[must_use]
    pub fn anchor(&self, archive: &ArchiveName) -> Option<&'a Anchor> {
        self.anchors.archive(archive)
    }

    /// What the site trusts.
    #[must_use]
    pub fn anchors(&self) -> &'a Anchors {
        self.anchors
    }

    /// The mirrors.
    pub fn mirrors(&self) -> impl Iterator<Item = &'a Anchor> {
        self.anchors.archives.iter().filter(|anchor| !anchor.is_custom())
    }

    /// Decisions that could not be verified, with why.
    pub fn unread(&self) -> impl Iterator<Item = (&DecisionId, &Problem)> {
        self.unread.iter()
    }

    /// Why a decision behind listed files is not believed; none when it holds: it admits them, and the policy of
    /// today still finds its quorum in the records.
    #[must_use]
    pub fn doubt(&self, id: &DecisionId) -> Option<Problem> {
        if let Some(problem) = self.unread.get(id) {
            return Some(problem.clone());
        }
        let key = crate::store::Key::provenance(&id.0, &id.1);
        let refuse = |code, why: String| Some(Problem::new(code, &key, why));
        let Some(facts) = self.known.decisions.get(id) else {
            return refuse(Problem::MISSING, "it was not read".to_owned());
        };
        if !facts.admitted {
            return refuse(Problem::DECISION, "it does not admit anything".to_owned());
        }
        for listed in self.listed.get(id).into_iter().flatten() {
            if facts.files.get(&listed.path) != Some(&listed.sha256) {
                return refuse(Problem::DECISION, format!("it does not admit `{}`", listed.path));
            }
        }
        let Some(policy) = self.anchor(&id.0).and_then(|anchor| anchor.policy(&facts.policy)) else {
            return refuse(
                Problem::DECISION,
                format!("the site has no policy `{}` for it", facts.policy),
            );
        };
        let rebuilders = self.agreeing(facts, policy);
        let rebuilders = rebuilders
            .map(|(_, b)| (b.operator.as_str(), b.hosting.as_str()))
            .collect();
        let terms = policy.terms(&facts.suites);
        let found = strength(&rebuilders, terms.distinct_hosting);
        (found < terms.quorum as usize).then(|| {
            let quorum = terms.quorum;
            let why = format!("only {found} operators' records carry it, and the policy asks for {quorum}");
            Problem::new(Problem::EVIDENCE, &key, why)
        })
    }

    /// The records that carry a decision under the policy of today, each with its builder.
    pub(super) fn agreeing<'s, 'p: 's>(
        &'s self,
        facts: &'s Facts,
        policy: &'p Policy,
    ) -> impl Iterator<Item = (&'s RecordFacts, &'p Builder)> {
        let outputs = facts.outputs();
        facts.records.iter().filter_map(move |sha256| {
            let record = self.known.records.get(sha256)?;
            let builder = speaker(policy, &record.builder, &record.signed_by, self.now)?;
            let same = Some(record.declaration) == facts.declaration && facts.locks.contains(&record.lock);
            let built = record.outcome == crate::format::intoto::Outcome::Built && record.gave(&outputs);
            (same && built).then_some((record, builder))
        })
    }

    /// Reads the decisions of a small answer again, whatever the cache says of them: the documents decide.
    pub(super) fn recheck<'d>(&mut self, ids: impl Iterator<Item = &'d DecisionId>) {
        let ids: BTreeSet<&DecisionId> = ids.collect();
        if ids.len() > RECHECKED {
            return;
        }
        for id in ids {
            if self.unread.contains_key(id) {
                continue;
            }
            match read::decision(self.store, self.anchors, id) {
                Ok(facts) => drop(self.known.decisions.insert(id.clone(), facts)),
                Err(problem) => drop(self.unread.insert(id.clone(), problem)),
            }
        }
    }
}

/// Every key that a builder of any policy has, each once.
fn builder_keys(anchors: &Anchors) -> Vec<Ed25519Public> {
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
