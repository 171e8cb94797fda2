//! What decisions were made on stays heard. Each decision, a refusal too, is listed below `state/<archive>/decisions` and
//! names its records and its case; whoever takes a record, a nonce or a round out of `state/` again would have the gate
//! forget what it once signed (gate rules R4, A5: taking evidence away never admits).
//!
//! Creates objects below `state/` only, each as it was when the decision was made. Killed at any point, the next run
//! puts back the rest.

use std::collections::{BTreeMap, BTreeSet};

use crate::admission::{CASE, Case, IssuedNonce, Round, identity};
use crate::domain::{ArchiveName, Sha256};
use crate::format::dsse::{self, Envelope};
use crate::format::intoto::{Statement, Summary};
use crate::format::json;
use crate::source::Declaration;
use crate::store::{Created, Key, Store, StoreError};
use crate::trust::{Ed25519Key, Ed25519Public, verify_envelope};

use super::GateError;
use super::evidence::{LARGEST_NONCE, create_or_same, nonce_key, read_document, read_unverified};
use super::redeclared::{declared_key, list_declared, note_declared};
use super::repeat::{LARGEST_CASE, named_inputs};
use super::rounds::{self, Held, add_round, held_rounds};

/// A decision that cannot be asked, and why.
pub type Unread = (Sha256, GateError);

/// Something that a decision was made on, and that is not in `state/` as it was then.
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

/// How it is put back.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Remedy {
    Object(Vec<u8>),
    Declared(Box<Declaration>),
    /// The gate's key signs it again: a case has its content only.
    Round(Sha256, Round),
}

/// What is not in `state/` as decisions, or the gate, left it.
#[derive(Debug, Default)]
pub struct Lost {
    /// What the decisions of an archive were made on.
    pub forgotten: Vec<Forgotten>,
    /// The decisions that cannot be asked, each with why.
    pub unread: Vec<Unread>,
    /// What lies where rounds are, and which the gate neither signed nor made a decision on.
    pub unsigned: Vec<(Key, String)>,
}

/// What the decisions of an archive were made on and `state/` has no more, or otherwise; `gate` signed them.
///
/// # Errors
/// The store's failure.
pub fn forgotten(store: &dyn Store, archive: &ArchiveName, gate: &Ed25519Public) -> Result<Lost, GateError> {
    let mut unread = Vec::new();
    let mut memory = Memory::of(store, archive, *gate);
    memory.search(None, |decision, error| {
        unread.push((decision, error));
        Ok(())
    })?;
    let unsigned = memory.unsigned_rounds()?;
    // One that waits to be signed by the gate is there.
    let is_lost = |lost: &Forgotten| !matches!(&lost.remedy, Remedy::Round(..)) || !memory.is_there(&lost.remedy);
    let forgotten = memory.found.values().filter(|lost| is_lost(lost)).cloned().collect();
    Ok(Lost {
        forgotten,
        unread,
        unsigned,
    })
}

/// Puts back what decisions on a declaration were made on, and those on the other declarations of its source package.
/// To be done before the gate, whose key it is, is asked about it. Gives how many objects were made.
///
/// # Errors
/// When a listed decision, or a document that it names, is missing or damaged: what it says must not get lost;
/// `Different` when there is one with other bytes; the store's failure.
pub fn recall(
    store: &dyn Store,
    archive: &ArchiveName,
    declaration: &Declaration,
    key: &Ed25519Key,
) -> Result<u64, GateError> {
    let mut made: u64 = 0;
    let mut about = |declaration: &Sha256| -> Result<(), GateError> {
        let mut memory = Memory::of(store, archive, key.public());
        memory.search(Some(declaration), |_, error| Err(error))?;
        made = made.saturating_add(memory.put_back(Some(key))?);
        Ok(())
    };
    if let Some(own) = identity(declaration) {
        about(&own)?;
    }
    for other in list_declared(store, archive, declaration)? {
        about(&other)?;
    }
    Ok(made)
}

/// Puts back what all decisions of an archive were made on; rounds where the gate's key is at hand, which signs them. Gives how
/// many objects were made.
///
/// # Errors
/// As [`recall`].
pub fn recall_all(
    store: &dyn Store,
    archive: &ArchiveName,
    gate: &Ed25519Public,
    key: Option<&Ed25519Key>,
) -> Result<u64, GateError> {
    let mut memory = Memory::of(store, archive, *gate);
    memory.search(None, |_, error| Err(error))?;
    memory.put_back(key)
}

struct Memory<'a> {
    store: &'a dyn Store,
    archive: &'a ArchiveName,
    gate: Ed25519Public,
    /// Those that were read: decisions that were made again and again share one.
    cases: BTreeSet<Sha256>,
    /// What lies where rounds are, by declaration.
    rounds: BTreeMap<Sha256, Vec<(Key, Held)>>,
    found: BTreeMap<Key, Forgotten>,
}

impl<'a> Memory<'a> {
    fn of(store: &'a dyn Store, archive: &'a ArchiveName, gate: Ed25519Public) -> Self {
        Self {
            store,
            archive,
            gate,
            cases: BTreeSet::new(),
            rounds: BTreeMap::new(),
            found: BTreeMap::new(),
        }
    }

    /// What is no decision, or names a case of another format, says nothing. Who signed it is asked only where what comes back
    /// lets something count: the rest has its own signatures, and can only be held against a candidate.
    fn search(
        &mut self,
        about: Option<&Sha256>,
        mut unread: impl FnMut(Sha256, GateError) -> Result<(), GateError>,
    ) -> Result<(), GateError> {
        let below = about.map(|declaration| format!("/{declaration}")).unwrap_or_default();
        for meta in self.store.list(&format!("state/{}/decisions{below}", self.archive))? {
            if let Some(decision) = meta.key.named_sha256() {
                self.decision(decision).or_else(|error| unread(decision, error))?;
            }
        }
        Ok(())
    }

    fn put_back(self, key: Option<&Ed25519Key>) -> Result<u64, GateError> {
        let mut made: u64 = 0;
        for lost in self.found.into_values() {
            match lost.remedy {
                Remedy::Object(bytes) => create_or_same(self.store, &lost.key, &bytes)?,
                Remedy::Declared(declaration) => note_declared(self.store, self.archive, &declaration)?,
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
    fn unsigned_rounds(&mut self) -> Result<Vec<(Key, String)>, GateError> {
        let top = format!("state/{}/rounds/", self.archive);
        let mut declarations = BTreeSet::new();
        for meta in self.store.list(top.trim_end_matches('/'))? {
            let below = meta.key.as_str().strip_prefix(&top).unwrap_or_default();
            declarations.extend(below.split('/').next().and_then(|hex| hex.parse::<Sha256>().ok()));
        }
        let mut found = Vec::new();
        for declaration in declarations {
            let vouched: Vec<&Round> = self
                .found
                .values()
                .filter_map(|lost| match &lost.remedy {
                    Remedy::Round(of, round) if *of == declaration => Some(round),
                    _ => None,
                })
                .collect();
            let held = match self.rounds.remove(&declaration) {
                Some(held) => held,
                None => held_rounds(self.store, self.archive, &declaration, &self.gate)?,
            };
            let signed = |round: &Round| {
                held.iter()
                    .any(|(_, held)| matches!(held, Held::Signed(there) if there == round))
            };
            for (key, held) in &held {
                match held {
                    Held::Signed(_) => {}
                    Held::Unsigned(round) if vouched.contains(&round) || signed(round) => {}
                    Held::Unsigned(_) => found.push((key.clone(), "the gate did not sign it".to_owned())),
                    Held::Other(why) => found.push((key.clone(), why.clone())),
                }
            }
            self.rounds.insert(declaration, held);
        }
        Ok(found)
    }

    fn decision(&mut self, decision: Sha256) -> Result<(), GateError> {
        let bytes = read_document(self.store, self.archive, &decision, dsse::LARGEST)?;
        let Ok(envelope) = Envelope::parse(&bytes) else {
            return Ok(());
        };
        let Ok(statement): Result<Statement<Summary>, _> = json::strict("decision", &envelope.payload) else {
            return Ok(());
        };
        let gate = std::slice::from_ref(&self.gate);
        let is_signed = verify_envelope(&envelope, dsse::IN_TOTO, gate).is_ok();
        for (name, sha256) in named_inputs(&statement.predicate).unwrap_or_default() {
            match name.as_str() {
                "rebuild-record" => self.record(decision, sha256)?,
                CASE if self.cases.insert(sha256) => self.case(decision, &sha256, is_signed)?,
                _ => {}
            }
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
            self.lost(decision, key, false, remedy);
        }
        Ok(())
    }

    fn declared(&mut self, decision: Sha256, declaration: &Declaration) -> Result<(), GateError> {
        let Some(key) = declared_key(self.archive, declaration)? else {
            return Ok(());
        };
        if self.store.head(&key)?.is_none() {
            self.lost(decision, key, false, Remedy::Declared(Box::new(declaration.clone())));
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
        self.lost(decision, key, changed, Remedy::Object(bytes));
        Ok(())
    }

    fn lost(&mut self, decision: Sha256, key: Key, changed: bool, remedy: Remedy) {
        self.found.entry(key.clone()).or_insert(Forgotten {
            key,
            decision,
            changed,
            remedy,
        });
    }
}
