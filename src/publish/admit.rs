//! From a decision to the next snapshot.
//!
//! In the order: claims in the ledger, pool files by hash, documents (also the book, which remembers the claims),
//! indexes by hash, and then the record, which is the commit. A crash before it leaves objects that nobody names, and claims that
//! only the same bytes can use; doing it again finishes. A refusal is signed and kept, and changes
//! nothing else.

use std::collections::BTreeSet;
use std::io::Read;

use crate::admission::{Candidate, Decision, Evidence, Matter, Whole, claims, file_set};
use crate::domain::{ArchiveName, Digest, FileName, PoolPath, Sha256, Timestamp};
use crate::format::deb::{DebLimits, read_deb};
use crate::format::{deb822, dsse, json};
use crate::host::Clock;
use crate::index::{binary_stanza, source_stanza};
use crate::site::{CustomArchive, Policy};
use crate::snapshot::Record;
use crate::store::{Key, Store, StoreError};
use crate::trust::{Ed25519Key, sign_envelope, unframed_text};

use super::evidence::{add_document, create_or_same, read_document};
use super::next::{Edits, Next, Writer, are_edited, next_snapshot};
use super::propose::removed;
use super::stage::{Addition, Change, next_states, read_decisions};
use super::{GateError, Hearing, Journal, Published, ReleaseSigner, heard, ledger, lineage, load_vouched, publish};

/// What decisions on imports are listed under, where others have their declaration.
const IMPORTS: &str = "imports";
/// How far the newest snapshot may be ahead of the clock by snapshots that were made within a second, in seconds.
const AHEAD: i64 = 60;
/// The most that a .dsc may have, in bytes.
const LARGEST_DSC: u64 = 1 << 20;

/// Where and with which keys the gate works.
#[derive(Clone, Copy)]
pub struct Gate<'a> {
    /// The store.
    pub store: &'a dyn Store,
    /// The custom archive.
    pub archive: &'a ArchiveName,
    /// What the site says of it.
    pub config: &'a CustomArchive,
    /// The site's base URL.
    pub public_url: &'a str,
    /// Signs decisions.
    pub key: &'a Ed25519Key,
    /// Signs Release files.
    pub signer: &'a dyn ReleaseSigner,
    /// This program and its version.
    pub program: &'a str,
    /// The machine's clock.
    pub clock: Clock,
    /// What this machine keeps of what it signed.
    pub journal: Option<Journal<'a>>,
}

impl<'a> Gate<'a> {
    /// What it hears before it decides.
    pub(super) fn hearing(&self) -> Hearing<'a> {
        Hearing {
            store: self.store,
            archive: self.archive,
            key: self.key,
            journal: self.journal,
        }
    }

    /// Who makes the archive's next snapshot.
    #[must_use]
    pub fn writer(&self) -> Writer<'a> {
        Writer {
            store: self.store,
            archive: self.archive,
            config: self.config,
            public_url: self.public_url,
            signer: self.signer,
            gate: self.key.public(),
            program: self.program,
            clock: self.clock,
        }
    }
}

/// What came of a candidate.
#[derive(Debug, Clone)]
pub struct Admission {
    /// The decision.
    pub decision: Decision,
    /// SHA-256 of its signed envelope, under which it is kept; absent when there was nothing to
    /// decide, since all its files are in already.
    pub decision_sha256: Option<Sha256>,
    /// The snapshot that holds the packages; absent when they were refused.
    pub published: Option<Published>,
}

impl From<Decision> for Admission {
    /// What would come of it: nothing is kept.
    fn from(decision: Decision) -> Self {
        Self::of(decision, None, None)
    }
}

impl Admission {
    fn of(decision: Decision, decision_sha256: Option<Sha256>, published: Option<Published>) -> Self {
        Self {
            decision,
            decision_sha256,
            published,
        }
    }
}

/// A candidate, and what it is judged by.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The policy of its suites.
    pub policy: &'a Policy,
    /// What is offered, and what is known of it.
    pub matter: Matter<'a>,
}

/// Decides on a candidate, keeps the signed decision, and when it is admitted makes and publishes
/// the next snapshot. Every file must be held (`hold`) beforehand. Idempotent: a candidate that is
/// in already changes nothing.
///
/// # Errors
/// When the store fails, a held file is missing or was swapped, the packages cannot be indexed, or
/// other writers were faster too often. Nothing was published then, and doing it again is safe.
pub fn admit(
    gate: &Gate<'_>,
    policy: &Policy,
    candidate: &Candidate,
    evidence: &Evidence,
    now: Timestamp,
) -> Result<Admission, GateError> {
    let question = Question {
        policy,
        matter: Matter::Rebuilt(candidate, evidence),
    };
    let declared = &candidate.declaration;
    let reason = format!("admit {} {}", declared.source, declared.version);
    let admitted = admit_together(gate, &[question], &Edits::new(), &reason, now)?;
    admitted.into_iter().next().ok_or(GateError::Busy(0))
}

/// The same for several candidates at once, with what else changes in suites: one snapshot has all of it,
/// or nothing changes since one is refused.
///
/// # Errors
/// As `admit`.
pub(super) fn admit_together(
    gate: &Gate<'_>,
    questions: &[Question<'_>],
    edits: &Edits,
    reason: &str,
    now: Timestamp,
) -> Result<Vec<Admission>, GateError> {
    let mut decided: Vec<Decision> = questions
        .iter()
        .map(|asked| asked.matter.decide(asked.policy, now))
        .collect();
    if decided.iter().any(|decision| !decision.admitted) {
        let kept = questions.iter().zip(decided).map(|(asked, decision)| {
            if decision.admitted {
                return Ok(Admission::of(decision, None, None));
            }
            let decision = decision.resting_on(keep_inputs(gate, asked)?);
            let sha256 = keep(gate, &decision)?;
            Ok(Admission::of(decision, Some(sha256), None))
        });
        return kept.collect();
    }
    let chain = load_vouched(gate.store, gate.archive, &gate.signer.keyring()?)?;
    let at = not_before(now, chain.latest());
    if at != now {
        decided = questions
            .iter()
            .map(|asked| asked.matter.decide(asked.policy, at))
            .collect();
    }
    let mut kept = vec![None; decided.len()];
    let mut stanzas = Vec::new();
    for ((asked, decision), kept) in questions.iter().zip(&mut decided).zip(&mut kept) {
        let there = is_in(gate, decision, chain.latest())?;
        // The same packages may be declared anew, to say who signs next.
        if there && is_remembered(gate, asked.matter, chain.latest())? {
            stanzas.push(None);
            continue;
        }
        let made = (!there)
            .then(|| self::stanzas(gate, &asked.matter.whole()))
            .transpose()?;
        *decision = decision.clone().resting_on(keep_inputs(gate, asked)?);
        // Before any claim: who loses here has changed nothing.
        if let Matter::Rebuilt(candidate, evidence) = asked.matter {
            lineage::append_lineage(gate.store, gate.archive, candidate, evidence, chain.latest())?;
        }
        if !there {
            ledger::append_ledger(gate.store, gate.archive, &claims(asked.matter.whole()))?;
            fill_pool(gate, &asked.matter.whole())?;
        }
        *kept = Some(keep(gate, decision)?);
        stanzas.push(made);
    }
    if !is_done(gate, questions, &decided, edits, chain.latest())? {
        let made = decided.iter().zip(&kept).zip(stanzas);
        let additions: Vec<Addition<'_>> = made
            .filter_map(|((decision, kept), made)| {
                let (packages, sources) = made?;
                Some(Addition {
                    decision,
                    decision_sha256: (*kept)?,
                    packages,
                    sources,
                })
            })
            .collect();
        make_snapshot(gate, questions, &additions, edits, reason, at)?;
    }
    let published = publish(gate.store, gate.archive, gate.signer, gate.public_url)?;
    let admissions = decided.into_iter().zip(kept);
    Ok(admissions
        .map(|(decision, kept)| Admission::of(decision, kept, Some(published.clone())))
        .collect())
}

/// A decision is dated no earlier than the newest snapshot, whose id is ahead of the clock by some seconds when
/// several were made within one. Else what is removed, restored and admitted within a second would come back by
/// the very document that it left with, and `verify` could not tell that from an old decision used again.
fn not_before(now: Timestamp, latest: Option<&Record>) -> Timestamp {
    let newest = latest.map_or(now, |record| record.id.timestamp());
    if newest <= now.plus(AHEAD) {
        now.max(newest)
    } else {
        now
    }
}

/// Whether the record says who may sign the next: an entry of the lineage alone can be deleted unseen. What is
/// imported says nothing of it.
fn is_remembered(gate: &Gate<'_>, matter: Matter<'_>, latest: Option<&Record>) -> Result<bool, GateError> {
    match matter {
        Matter::Rebuilt(candidate, evidence) => {
            lineage::is_remembered(gate.store, gate.archive, candidate, evidence, latest)
        }
        Matter::Imported(..) => Ok(true),
    }
}

/// Whether a record has all that was decided and asked, and nothing of what goes.
fn is_done(
    gate: &Gate<'_>,
    questions: &[Question<'_>],
    decided: &[Decision],
    edits: &Edits,
    latest: Option<&Record>,
) -> Result<bool, GateError> {
    for decision in decided {
        if !is_in(gate, decision, latest)? {
            return Ok(false);
        }
    }
    for asked in questions {
        if !is_remembered(gate, asked.matter, latest)? {
            return Ok(false);
        }
    }
    are_edited(gate.store, gate.archive, edits, latest)
}

/// Whether each suite holds exactly these files already, and nothing else of this source.
fn is_in(gate: &Gate<'_>, decision: &Decision, latest: Option<&Record>) -> Result<bool, GateError> {
    let Some(record) = latest else {
        return Ok(false);
    };
    for suite in &decision.suites {
        let Some(state) = record.suites.iter().find(|s| s.suite == *suite) else {
            return Ok(false);
        };
        let held = read_decisions(gate.store, gate.archive, state)?;
        let same = |(path, sha256): (&PoolPath, &Sha256)| held.get(path).is_some_and(|(there, _)| there == sha256);
        if !decision.files.iter().all(same) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Signs a decision and keeps it, listed under its source and its declaration, in this order: so one that is under its declaration
/// is under its source, until a record remembers it.
fn keep(gate: &Gate<'_>, decision: &Decision) -> Result<Sha256, GateError> {
    let statement = decision.summary(&gate.key.public().fingerprint(), gate.program);
    let payload = json::canonical("decision", &statement).map_err(GateError::document("decision"))?;
    let envelope = sign_envelope(dsse::IN_TOTO, &payload, gate.key);
    let bytes = envelope.to_bytes().map_err(GateError::document("decision"))?;
    let sha256 = add_document(gate.store, gate.archive, &bytes)?;
    let (archive, store) = (gate.archive, gate.store);
    heard::note(store, archive, decision.source.as_str(), &sha256)?;
    let (about, is_import) = (decision.declaration.as_ref(), decision.import.is_some());
    if let Some(key) = list_key(archive, about, is_import, &sha256)? {
        create_or_same(store, &key, b"")?;
    }
    if let Some(journal) = gate.journal {
        journal.add(archive, &decision.source, &sha256)?;
    }
    Ok(sha256)
}

/// Where a decision is listed: under its declaration, or with those on imports.
pub(super) fn list_key(
    archive: &ArchiveName,
    declaration: Option<&Sha256>,
    is_import: bool,
    decision: &Sha256,
) -> Result<Option<Key>, StoreError> {
    let about = declaration
        .map(Sha256::hex)
        .or_else(|| is_import.then(|| IMPORTS.to_owned()));
    let key = about.map(|about| Key::new(format!("state/{archive}/decisions/{about}/{decision}")));
    key.transpose()
}

/// The policy, the declaration, the locks and the case: what anybody needs to make the decision again
/// ([`super::Kept`]). Records and logs are there since they came. Gives the case's SHA-256.
fn keep_inputs(gate: &Gate<'_>, asked: &Question<'_>) -> Result<Sha256, GateError> {
    let bytes = json::canonical("policy", asked.policy).map_err(GateError::document("policy"))?;
    add_document(gate.store, gate.archive, &bytes)?;
    if let Matter::Rebuilt(candidate, evidence) = asked.matter {
        keep_rebuilt(gate, candidate, evidence)?;
    }
    add_document(gate.store, gate.archive, &asked.matter.case()?)
}

fn keep_rebuilt(gate: &Gate<'_>, candidate: &Candidate, evidence: &Evidence) -> Result<(), GateError> {
    let declaration =
        json::canonical("declaration", &candidate.declaration).map_err(GateError::document("declaration"))?;
    add_document(gate.store, gate.archive, &declaration)?;
    for lock in candidate.sets.iter().filter_map(|set| evidence.locks.get(&set.lock)) {
        let bytes = json::canonical("environment lock", lock).map_err(GateError::document("environment lock"))?;
        add_document(gate.store, gate.archive, &bytes)?;
    }
    for package in evidence.locks.values().flat_map(|lock| &lock.packages) {
        // A decision of another archive of ours: whoever has this archive alone can read it, too.
        let decision = evidence.admitted.get(&package.sha256);
        if let Some(decision) = decision.filter(|_| package.archive != *gate.archive) {
            let bytes = read_document(gate.store, &package.archive, decision, dsse::LARGEST)?;
            add_document(gate.store, gate.archive, &bytes)?;
        }
    }
    Ok(())
}

/// Every file of the candidate once, with its place in the pool.
fn files(candidate: &Whole<'_>) -> Result<Vec<(FileName, Digest, PoolPath)>, GateError> {
    let sources = candidate.source_files.iter().map(|file| (&file.name, file.digest));
    let outputs = candidate.outputs.iter().map(|output| (&output.name, output.digest));
    let paths = file_set(candidate.clone()).map_err(|why| malformed("pool", &why))?;
    let mut seen = BTreeSet::new();
    let mut files = Vec::new();
    for (name, digest) in sources.chain(outputs) {
        let path = paths.keys().find(|path| path.file_name() == name.as_str());
        if let Some(path) = path.filter(|path| seen.insert((*path).clone())) {
            files.push((name.clone(), digest, path.clone()));
        }
    }
    Ok(files)
}

/// Copies held files into the pool, hashing on the way: only the bytes that were decided on get there.
fn fill_pool(gate: &Gate<'_>, candidate: &Whole<'_>) -> Result<(), GateError> {
    for (_, digest, path) in files(candidate)? {
        put_in_pool(gate.store, gate.archive, (&path, &digest), || {
            Ok(Box::new(gate.store.open(&Key::held(gate.archive, &digest.sha256))?))
        })?;
    }
    Ok(())
}

/// Puts a file into the pool, or sees that the very same is there.
pub(super) fn put_in_pool(
    store: &dyn Store,
    archive: &ArchiveName,
    (path, digest): (&PoolPath, &Digest),
    open: impl FnOnce() -> Result<Box<dyn Read>, GateError>,
) -> Result<(), GateError> {
    let key = Key::pool(archive, path);
    if store.head(&key)?.is_some() {
        // The store keeps what is there when its size is right: only its bytes tell.
        let found = hash(store, &key)?;
        if found != *digest {
            return Err(GateError::Pool {
                key,
                expected: digest.sha256,
                found,
            });
        }
        return Ok(());
    }
    store.put_stream(&key, digest, &mut open()?)?;
    Ok(())
}

pub(super) fn hash(store: &dyn Store, key: &Key) -> Result<Digest, GateError> {
    use sha2::Digest as _;
    let mut hasher = sha2::Sha256::new();
    let mut stream = store.open(key)?;
    let size = std::io::copy(&mut stream, &mut hasher).map_err(|source| StoreError::Backend {
        act: "read",
        key: key.to_string(),
        source: source.into(),
    })?;
    Ok(Digest {
        sha256: Sha256::from_bytes(hasher.finalize().into()),
        size,
    })
}

/// The stanzas for Packages and Sources, read anew from the held bytes.
fn stanzas(gate: &Gate<'_>, candidate: &Whole<'_>) -> Result<(Vec<u8>, Vec<u8>), GateError> {
    let (mut packages, mut sources) = (Vec::new(), Vec::new());
    for (name, digest, path) in files(candidate)? {
        let key = Key::held(gate.archive, &digest.sha256);
        if name.as_str().ends_with(".dsc") {
            sources.extend(source_entry(gate, &key, &name, &digest, &path)?);
        } else if candidate.outputs.iter().any(|output| output.name == name) {
            let deb = read_deb(gate.store.open(&key)?, &DebLimits::default()).map_err(GateError::document(&key))?;
            if deb.digest != digest {
                let found = deb.digest.sha256;
                return Err(GateError::Swapped { key, found });
            }
            packages.extend(binary_stanza(&deb.control, &path, &digest)?);
            packages.push(b'\n');
        }
    }
    Ok((packages, sources))
}

fn source_entry(
    gate: &Gate<'_>,
    key: &Key,
    name: &FileName,
    digest: &Digest,
    path: &PoolPath,
) -> Result<Vec<u8>, GateError> {
    let bytes = gate.store.get(key, LARGEST_DSC)?;
    if Digest::of(&bytes) != *digest {
        let found = Sha256::of(&bytes);
        return Err(GateError::Swapped {
            key: key.clone(),
            found,
        });
    }
    let text = unframed_text(&bytes).map_err(|error| malformed(".dsc", &error.to_string()))?;
    let dsc = deb822::paragraph(".dsc", &text).map_err(GateError::document(key))?;
    let folder = path.as_str().rsplit_once('/').map_or("", |(folder, _)| folder);
    let folder = PoolPath::new(folder).map_err(|error| malformed("pool", &error.to_string()))?;
    Ok(source_stanza(&dsc, name, &bytes, &folder)?)
}

/// Makes the record, again on a newer base when another writer was faster.
///
/// Each time it is decided again, on the ledger as it is after the chain was read. Everybody claims
/// before he commits: so whatever is in that chain is in that ledger, and a version that was overtaken
/// meanwhile is refused. What is committed after it makes our own commit a conflict.
fn make_snapshot(
    gate: &Gate<'_>,
    questions: &[Question<'_>],
    additions: &[Addition<'_>],
    edits: &Edits,
    reason: &str,
    now: Timestamp,
) -> Result<(), GateError> {
    let change = Change {
        additions,
        edits: edits.clone(),
    };
    let decisions: Vec<Decision> = additions.iter().map(|addition| addition.decision.clone()).collect();
    next_snapshot(&gate.writer(), reason, now, |chain| {
        if is_done(gate, questions, &decisions, edits, chain.latest())? {
            return Ok(None);
        }
        for asked in questions {
            let ledger = ledger::load_ledger(gate.store, gate.archive, asked.matter.whole(), chain.latest())?;
            let decision = asked
                .matter
                .decide_after(asked.policy, ledger, removed(chain.latest()), now);
            if let Some(broken) = decision.broken().next() {
                let (rule, why) = (broken.id.clone(), broken.evidence.clone());
                return Err(GateError::Overtaken { rule, why });
            }
        }
        let states = next_states(gate.store, gate.archive, gate.config, chain.latest(), &change)?;
        let claims = questions.iter().flat_map(|asked| claims(asked.matter.whole()));
        let rebuilt = questions.iter().filter_map(|asked| match asked.matter {
            Matter::Rebuilt(candidate, _) => Some(candidate.declaration.source.clone()),
            Matter::Imported(..) => None,
        });
        let about = (&rebuilt.collect(), &gate.key.public());
        let (ledger, heard) = ledger::remember(gate.store, gate.archive, chain.latest(), claims, about)?;
        Ok(Some(Next::from(states).remembering(ledger, heard)))
    })
}

pub(super) fn malformed(what: &'static str, why: &str) -> GateError {
    GateError::document(what)(crate::format::FormatError::Malformed {
        what,
        at: "candidate".to_owned(),
        why: why.to_owned(),
    })
}
