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
use crate::store::{Key, Store, StoreError};

use super::GateError;
use super::evidence::{LARGEST_NONCE, create_or_same, nonce_key, read_document, read_unverified};
use super::redeclared::{declared_key, list_declared, note_declared};
use super::repeat::{LARGEST_CASE, named_inputs};
use super::sealed::{LARGEST_ROUND, load_rounds, round_key};

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
}

/// What the decisions of an archive were made on and `state/` has no more, or otherwise; and the decisions that cannot
/// be asked, each with why.
///
/// # Errors
/// The store's failure.
pub fn forgotten(store: &dyn Store, archive: &ArchiveName) -> Result<(Vec<Forgotten>, Vec<Unread>), GateError> {
    let mut unread = Vec::new();
    let found = search(store, archive, None, |decision, error| {
        unread.push((decision, error));
        Ok(())
    })?;
    Ok((found, unread))
}

/// What is no decision, or names a case of another format, says nothing; who signed it is not asked:
/// what comes back has its own signatures, and can only be held against a candidate.
fn search(
    store: &dyn Store,
    archive: &ArchiveName,
    about: Option<&Sha256>,
    mut unread: impl FnMut(Sha256, GateError) -> Result<(), GateError>,
) -> Result<Vec<Forgotten>, GateError> {
    let below = about.map(|declaration| format!("/{declaration}")).unwrap_or_default();
    let mut memory = Memory {
        store,
        archive,
        cases: BTreeSet::new(),
        found: BTreeMap::new(),
    };
    for meta in store.list(&format!("state/{archive}/decisions{below}"))? {
        if let Some(decision) = meta.key.named_sha256() {
            memory.decision(decision).or_else(|error| unread(decision, error))?;
        }
    }
    Ok(memory.found.into_values().collect())
}

/// Puts back what decisions on a declaration were made on, and those on the other declarations of its source package.
/// To be done before the gate is asked about it. Gives how many objects were made.
///
/// # Errors
/// When a listed decision, or a document that it names, is missing or damaged: what it says must not get lost;
/// `Different` when there is one with other bytes; the store's failure.
pub fn recall(store: &dyn Store, archive: &ArchiveName, declaration: &Declaration) -> Result<u64, GateError> {
    let mut made: u64 = 0;
    if let Some(own) = identity(declaration) {
        made = made.saturating_add(put_back(store, archive, Some(&own))?);
    }
    for other in list_declared(store, archive, declaration)? {
        made = made.saturating_add(put_back(store, archive, Some(&other))?);
    }
    Ok(made)
}

/// Puts back what all decisions of an archive were made on. Gives how many objects were made.
///
/// # Errors
/// As [`recall`].
pub fn recall_all(store: &dyn Store, archive: &ArchiveName) -> Result<u64, GateError> {
    put_back(store, archive, None)
}

fn put_back(store: &dyn Store, archive: &ArchiveName, about: Option<&Sha256>) -> Result<u64, GateError> {
    let mut made: u64 = 0;
    for lost in search(store, archive, about, |_, error| Err(error))? {
        match lost.remedy {
            Remedy::Object(bytes) => create_or_same(store, &lost.key, &bytes)?,
            Remedy::Declared(declaration) => note_declared(store, archive, &declaration)?,
        }
        made = made.saturating_add(1);
    }
    Ok(made)
}

struct Memory<'a> {
    store: &'a dyn Store,
    archive: &'a ArchiveName,
    /// Those that were read: decisions that were made again and again share one.
    cases: BTreeSet<Sha256>,
    found: BTreeMap<Key, Forgotten>,
}

impl Memory<'_> {
    fn decision(&mut self, decision: Sha256) -> Result<(), GateError> {
        let bytes = read_document(self.store, self.archive, &decision, dsse::LARGEST)?;
        let statement = Envelope::parse(&bytes).and_then(|envelope| json::strict("decision", &envelope.payload));
        let Ok(statement): Result<Statement<Summary>, _> = statement else {
            return Ok(());
        };
        for (name, sha256) in named_inputs(&statement.predicate).unwrap_or_default() {
            match name.as_str() {
                "rebuild-record" => self.record(decision, sha256)?,
                CASE if self.cases.insert(sha256) => self.case(decision, &sha256)?,
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

    fn case(&mut self, decision: Sha256, sha256: &Sha256) -> Result<(), GateError> {
        let bytes = read_document(self.store, self.archive, sha256, LARGEST_CASE)?;
        let Ok(case) = Case::parse(&bytes, BTreeMap::new(), Vec::new()) else {
            return Ok(());
        };
        let (nonces, declared) = (&case.evidence.nonces, &case.candidate.declaration);
        for nonce in nonces {
            self.nonce(decision, nonce)?;
        }
        if let Some(declaration) = identity(declared) {
            self.rounds(decision, &declaration, &case.evidence.rounds)?;
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
        let there = load_rounds(self.store, self.archive, declaration)?;
        for round in rounds.iter().filter(|round| !there.contains(round)) {
            let remedy = Remedy::Object(json::canonical("round", round).map_err(GateError::document("round"))?);
            let mut n = 0;
            let key = loop {
                let key = round_key(self.archive, declaration, &round.lock, n)?;
                let taken = self.found.get(&key).is_some_and(|lost| lost.remedy != remedy);
                if !taken && self.store.head(&key)?.is_none() {
                    break key;
                }
                n += 1;
            };
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
        let limit = LARGEST_NONCE.max(LARGEST_ROUND);
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
