//! What decisions were made on, held against what is there below `state/`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;

use crate::admission::{CASE, Case, IssuedNonce, Round, identity};
use crate::domain::{ArchiveName, PackageName, Sha256, Version};
use crate::format::dsse::{self, Envelope};
use crate::format::intoto::{SUMMARY, Statement, Summary};
use crate::format::json;
use crate::source::Declaration;
use crate::store::{Created, Key, Store, StoreError};
use crate::trust::{Ed25519Key, Ed25519Public, verify_envelope};

use super::book::Page;
use super::evidence::{LARGEST_NONCE, create_or_same, nonce_key, read_document, read_unverified};
use super::redeclared::{declared_key, note_declared};
use super::repeat::{LARGEST_CASE, named_inputs};
use super::rounds::{self, Held, add_round, held_rounds};
use super::{GateError, canary, heard};

/// How envelopes begin as the gate writes them.
const ENVELOPE: &[u8] = br#"{"payload":""#;

/// Something that a decision was made on, and that is not in `state/` as it was then; or a decision that is in no list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forgotten {
    /// The object.
    pub key: Key,
    /// The decision that names it.
    pub decision: Sha256,
    /// Whether there is one with other bytes.
    pub changed: bool,
    remedy: Remedy,
}

impl Forgotten {
    /// Whether it is the decision's own name in a list.
    #[must_use]
    pub fn is_name(&self) -> bool {
        self.remedy == Remedy::Listed
    }

    /// Whether it is the name by which the next record is to remember the decision.
    #[must_use]
    pub fn is_awaited(&self) -> bool {
        self.is_name() && heard::is_key(&self.key)
    }
}

/// How it is put back.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Remedy {
    Object(Vec<u8>),
    Declared(Box<Declaration>),
    /// The gate's key signs it again: a case has its content only.
    Round(Sha256, Round),
    /// The decision is listed.
    Listed,
}

/// What was read of decisions, and what is lost of what they name.
pub(super) struct Memory<'a> {
    pub(super) store: &'a dyn Store,
    pub(super) archive: &'a ArchiveName,
    gate: Ed25519Public,
    /// Those that were read: decisions that were made again and again share one.
    cases: BTreeSet<Sha256>,
    /// What lies where rounds are, by declaration.
    rounds: BTreeMap<Sha256, Vec<(Key, Held)>>,
    found: BTreeMap<Key, Forgotten>,
    /// The decisions that the newest record remembers of what is asked about; and whether it does of all.
    pub(super) remembered: BTreeSet<Sha256>,
    remembers: bool,
    /// The source of each decision that the gate signed.
    signed: BTreeMap<Sha256, PackageName>,
    /// Decisions that no list named, or only the first of the two: their writer may have been killed then.
    unlisted: BTreeSet<Sha256>,
}

impl<'a> Memory<'a> {
    pub(super) fn of(store: &'a dyn Store, archive: &'a ArchiveName, gate: Ed25519Public) -> Self {
        Self {
            store,
            archive,
            gate,
            cases: BTreeSet::new(),
            rounds: BTreeMap::new(),
            found: BTreeMap::new(),
            remembered: BTreeSet::new(),
            remembers: false,
            signed: BTreeMap::new(),
            unlisted: BTreeSet::new(),
        }
    }

    /// What the newest record remembers of what is asked about.
    pub(super) fn know(&mut self, page: &Page, all: bool) {
        self.remembered = page.decisions.values().flatten().copied().collect();
        self.remembers = all;
    }

    /// The decisions on a source that the gate signed, of those that were read.
    pub(super) fn about(&self, source: &PackageName) -> Vec<Sha256> {
        let ours = self.signed.iter().filter(|(_, about)| *about == source);
        ours.map(|(decision, _)| *decision).collect()
    }

    /// What is lost and no kill explains: one that was not listed yet, or only under its source, lacks nothing else, and a round
    /// that waits to be signed by the gate is there.
    pub(super) fn lost(&self) -> Vec<Forgotten> {
        let others = self.found.values().filter(|lost| lost.remedy != Remedy::Listed);
        let missing: BTreeSet<Sha256> = others.map(|lost| lost.decision).collect();
        let is_lost = |lost: &Forgotten| match &lost.remedy {
            Remedy::Listed => !self.unlisted.contains(&lost.decision) || missing.contains(&lost.decision),
            Remedy::Round(..) => !self.is_there(&lost.remedy),
            Remedy::Object(_) | Remedy::Declared(_) => true,
        };
        self.found.values().filter(|lost| is_lost(lost)).cloned().collect()
    }

    /// Decisions of the gate on this archive among the documents of its provenance, beside those that a list names.
    pub(super) fn unlisted(&mut self, listed: &BTreeSet<Sha256>) -> Result<Vec<Sha256>, GateError> {
        let mut found = Vec::new();
        for meta in self.store.list(&format!("{}/provenance/sha256", self.archive))? {
            let Some(sha256) = meta.key.named_sha256().filter(|sha256| !listed.contains(sha256)) else {
                continue;
            };
            // Logs and the like are not read whole.
            let mut begin = Vec::new();
            let mut stream = self.store.open(&meta.key)?.take(ENVELOPE.len() as u64);
            if meta.size > dsse::LARGEST || stream.read_to_end(&mut begin).is_err() || begin != ENVELOPE {
                continue;
            }
            let Ok(bytes) = read_document(self.store, self.archive, &sha256, dsse::LARGEST) else {
                continue;
            };
            if self
                .read(&bytes)
                .is_some_and(|(summary, is_signed)| is_signed && heard::about(&summary, self.archive).is_some())
            {
                found.push(sha256);
            }
        }
        self.unlisted.extend(&found);
        Ok(found)
    }

    /// A decision, and whether the gate signed it.
    fn read(&self, bytes: &[u8]) -> Option<(Summary, bool)> {
        let envelope = Envelope::parse(bytes).ok()?;
        memchr::memmem::find(&envelope.payload, SUMMARY.as_bytes())?;
        let statement: Statement<Summary> = json::strict("decision", &envelope.payload).ok()?;
        let gate = std::slice::from_ref(&self.gate);
        let is_signed = statement.predicate_type == SUMMARY && verify_envelope(&envelope, dsse::IN_TOTO, gate).is_ok();
        Some((statement.predicate, is_signed))
    }

    /// Puts back what is lost. Gives how many objects were made.
    pub(super) fn put_back(self, key: Option<&Ed25519Key>) -> Result<u64, GateError> {
        let mut made: u64 = 0;
        for lost in self.found.into_values() {
            match lost.remedy {
                Remedy::Object(bytes) => create_or_same(self.store, &lost.key, &bytes)?,
                Remedy::Declared(declaration) => note_declared(self.store, self.archive, &declaration)?,
                Remedy::Listed => create_or_same(self.store, &lost.key, b"")?,
                Remedy::Round(declaration, round) => {
                    let Some(key) = key else { continue };
                    // When somebody was faster, the next run sees what he put there.
                    if add_round(self.store, self.archive, &declaration, round, key)? == Created::No {
                        continue;
                    }
                }
            }
            made = made.saturating_add(1);
        }
        Ok(made)
    }

    /// Whether an unsigned round of the same content is there.
    fn is_there(&self, remedy: &Remedy) -> bool {
        let Remedy::Round(declaration, round) = remedy else {
            return false;
        };
        let held = self.rounds.get(declaration).into_iter().flatten();
        held.into_iter()
            .any(|(_, held)| matches!(held, Held::Unsigned(there) if there == round))
    }

    /// Rounds that the gate did not sign, of the whole archive, but those that a decision was made on.
    pub(super) fn unsigned_rounds(&mut self) -> Result<Vec<(Key, String)>, GateError> {
        let top = format!("state/{}/rounds/", self.archive);
        let mut declarations = BTreeSet::new();
        for meta in self.store.list(top.trim_end_matches('/'))? {
            let below = meta.key.as_str().strip_prefix(&top).unwrap_or_default();
            declarations.extend(below.split('/').next().and_then(|hex| hex.parse::<Sha256>().ok()));
        }
        let mut vouched: BTreeMap<Sha256, Vec<&Round>> = BTreeMap::new();
        for lost in self.found.values() {
            if let Remedy::Round(declaration, round) = &lost.remedy {
                vouched.entry(*declaration).or_default().push(round);
            }
        }
        let mut found = Vec::new();
        for declaration in declarations {
            let held = match self.rounds.remove(&declaration) {
                Some(held) => held,
                None => held_rounds(self.store, self.archive, &declaration, &self.gate)?,
            };
            let signed = |round: &Round| {
                held.iter()
                    .any(|(_, held)| matches!(held, Held::Signed(there) if there == round))
            };
            let vouches = |round: &Round| {
                vouched
                    .get(&declaration)
                    .is_some_and(|vouched| vouched.contains(&round))
            };
            for (key, held) in &held {
                match held {
                    Held::Signed(_) => {}
                    Held::Unsigned(round) if vouches(round) || signed(round) => {}
                    Held::Unsigned(_) => found.push((key.clone(), "the gate did not sign it".to_owned())),
                    Held::Other(why) => found.push((key.clone(), why.clone())),
                }
            }
            self.rounds.insert(declaration, held);
        }
        Ok(found)
    }

    /// What a decision was made on, and that it is listed; of another version than this, if one is given, only the latter.
    ///
    /// What is no decision, or names a case of another format, says nothing. Who signed it is asked only where what comes back
    /// lets something count: the rest has its own signatures, and can only be held against a candidate.
    pub(super) fn decision(&mut self, decision: Sha256, version: Option<&Version>) -> Result<(), GateError> {
        let bytes = read_document(self.store, self.archive, &decision, dsse::LARGEST)?;
        let Some((summary, is_signed)) = self.read(&bytes) else {
            return Ok(());
        };
        let inputs = named_inputs(&summary).unwrap_or_default();
        if let Some(source) = heard::about(&summary, self.archive).filter(|_| is_signed) {
            self.listed(decision, &summary, &source)?;
            self.signed.insert(decision, source);
        }
        if version.is_some_and(|version| version.as_str() != summary.assay_binding.version) {
            return Ok(());
        }
        for (name, sha256) in inputs {
            match name.as_str() {
                "rebuild-record" => self.record(decision, sha256)?,
                CASE if self.cases.insert(sha256) => self.case(decision, &sha256, is_signed)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// It is listed under its declaration, and under its source until a record remembers it. The latter is first: what has it
    /// alone is listed by the next record.
    fn listed(&mut self, decision: Sha256, summary: &Summary, source: &PackageName) -> Result<(), GateError> {
        let list = heard::listed_key(self.archive, summary, &decision)?;
        let lacks = match list {
            Some(key) if self.store.head(&key)?.is_none() => Some(key),
            _ => None,
        };
        let awaited = heard::key(self.archive, source.as_str(), &decision)?;
        let is_remembered = !self.remembers || self.remembered.contains(&decision);
        if lacks.is_none() && is_remembered {
            return Ok(());
        }
        let is_awaited = self.store.head(&awaited)?.is_some();
        if let Some(key) = lacks {
            if is_awaited && !is_remembered {
                self.unlisted.insert(decision);
            }
            self.lost_one(decision, key, false, Remedy::Listed);
        }
        if !is_awaited && !is_remembered {
            self.lost_one(decision, awaited, false, Remedy::Listed);
        }
        Ok(())
    }

    fn record(&mut self, decision: Sha256, sha256: Sha256) -> Result<(), GateError> {
        let bytes = read_document(self.store, self.archive, &sha256, dsse::LARGEST)?;
        if let Ok(record) = read_unverified(sha256, &bytes) {
            let key = Key::evidence(self.archive, &record.declaration, &sha256);
            self.object(decision, key, Vec::new())?;
        }
        Ok(())
    }

    fn case(&mut self, decision: Sha256, sha256: &Sha256, is_signed: bool) -> Result<(), GateError> {
        let bytes = read_document(self.store, self.archive, sha256, LARGEST_CASE)?;
        let Ok(case) = Case::parse(&bytes, BTreeMap::new(), Vec::new()) else {
            return Ok(());
        };
        let (nonces, declared) = (&case.evidence.nonces, &case.candidate.declaration);
        for nonce in nonces {
            self.nonce(decision, nonce)?;
        }
        if let Some(declaration) = identity(declared) {
            if is_signed {
                self.rounds(decision, &declaration, &case.evidence.rounds)?;
            }
            // It is listed under its source before anybody is asked for a build of it.
            if nonces.iter().any(|nonce| nonce.declaration == declaration) {
                self.declared(decision, declared)?;
            }
        }
        for declaration in &case.evidence.redeclared {
            self.declared(decision, declaration)?;
        }
        for missed in &case.evidence.missed {
            self.object(decision, canary::note_key(self.archive, &missed.record)?, Vec::new())?;
        }
        Ok(())
    }

    fn nonce(&mut self, decision: Sha256, nonce: &IssuedNonce) -> Result<(), GateError> {
        let key = nonce_key(self.archive, nonce)?;
        let bytes = json::canonical("nonce", nonce).map_err(GateError::document(&key))?;
        self.object(decision, key, bytes)
    }

    /// A case does not say under which number a round was closed: it is known by its content.
    fn rounds(&mut self, decision: Sha256, declaration: &Sha256, rounds: &[Round]) -> Result<(), GateError> {
        if !self.rounds.contains_key(declaration) {
            let held = held_rounds(self.store, self.archive, declaration, &self.gate)?;
            self.rounds.insert(*declaration, held);
        }
        let there = self.rounds.get(declaration).map_or(&[][..], Vec::as_slice);
        let signed = |round: &&Round| {
            there
                .iter()
                .any(|(_, held)| matches!(held, Held::Signed(there) if there == *round))
        };
        let taken: BTreeSet<&Key> = there
            .iter()
            .filter(|(_, held)| matches!(held, Held::Signed(_)))
            .map(|(key, _)| key)
            .collect();
        let mut lost = Vec::new();
        for round in rounds.iter().filter(|round| !signed(round)) {
            let remedy = Remedy::Round(*declaration, round.clone());
            let mut n = 0;
            let key = loop {
                let key = rounds::place(self.archive, declaration, &round.lock, n)?;
                let other = self.found.get(&key).is_some_and(|lost| lost.remedy != remedy);
                if !other && !taken.contains(&key) {
                    break key;
                }
                n += 1;
            };
            lost.push((key, remedy));
        }
        for (key, remedy) in lost {
            self.lost_one(decision, key, false, remedy);
        }
        Ok(())
    }

    fn declared(&mut self, decision: Sha256, declaration: &Declaration) -> Result<(), GateError> {
        let Some(key) = declared_key(self.archive, declaration)? else {
            return Ok(());
        };
        if self.store.head(&key)?.is_none() {
            self.lost_one(decision, key, false, Remedy::Declared(Box::new(declaration.clone())));
        }
        Ok(())
    }

    fn object(&mut self, decision: Sha256, key: Key, bytes: Vec<u8>) -> Result<(), GateError> {
        let limit = LARGEST_NONCE;
        let changed = match self.store.get(&key, limit) {
            Ok(there) if there == bytes => return Ok(()),
            Ok(_) | Err(StoreError::TooLarge { .. }) => true,
            Err(StoreError::Missing(_)) => false,
            Err(error) => return Err(error.into()),
        };
        self.lost_one(decision, key, changed, Remedy::Object(bytes));
        Ok(())
    }

    fn lost_one(&mut self, decision: Sha256, key: Key, changed: bool, remedy: Remedy) {
        self.found.entry(key.clone()).or_insert(Forgotten {
            key,
            decision,
            changed,
            remedy,
        });
    }
}
