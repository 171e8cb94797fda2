//! What decisions were made on stays heard. Each decision, a refusal too, is listed below `state/<archive>/decisions`, known by
//! its source ([`super::heard`]), and names its records and its case; whoever takes a record, a nonce, a round, or the decision
//! itself out of `state/` again would have the gate forget what it once signed (gate rules R4, A5: taking evidence away never admits).
//!
//! Creates objects below `state/` only, each as it was when the decision was made. Killed at any point, the next run
//! puts back the rest.

use std::collections::BTreeMap;

use crate::admission::identity;
use crate::domain::{ArchiveName, Sha256};
use crate::snapshot::Chain;
use crate::source::Declaration;
use crate::store::{Key, Store, StoreError};
use crate::trust::{Ed25519Key, Ed25519Public};

use super::book::{Book, Page};
use super::heard::waiting;
use super::memory::Memory;
use super::redeclared::list_declared;
use super::repeat::noted_decisions;
use super::{GateError, Journal};

pub use super::memory::Forgotten;

/// A decision that cannot be asked, and why.
pub type Unread = (Sha256, GateError);

/// What is not in `state/` as decisions, or the gate, left it.
#[derive(Debug, Default)]
pub struct Lost {
    /// What the decisions of an archive were made on, and decisions that are in no list.
    pub forgotten: Vec<Forgotten>,
    /// The decisions that cannot be asked, each with why.
    pub unread: Vec<Unread>,
    /// What lies where rounds are, and which the gate neither signed nor made a decision on.
    pub unsigned: Vec<(Key, String)>,
}

/// What the decisions of an archive were made on and `state/` has no more, or otherwise; `gate` signed them. Also of those that
/// are in no list and whose documents are there: one that a kill kept from being listed, and which lacks nothing, is none of these.
///
/// # Errors
/// The store's failure.
pub fn forgotten(store: &dyn Store, archive: &ArchiveName, gate: &Ed25519Public) -> Result<Lost, GateError> {
    let mut unread = Vec::new();
    let mut memory = Memory::of(store, archive, *gate);
    // Records and a book that cannot be read are named by themselves.
    let known = remembered(store, archive).unwrap_or_default();
    all(&mut memory, known, |decision, error| {
        unread.push((decision, error));
        Ok(())
    })?;
    let unsigned = memory.unsigned_rounds()?;
    Ok(Lost {
        forgotten: memory.lost(),
        unread,
        unsigned,
    })
}

/// Puts back what all decisions of an archive were made on, and lists those that are in no list; rounds where the gate's key is at
/// hand, which signs them. Gives how many objects were made.
///
/// # Errors
/// As [`Hearing::recall`].
pub fn recall_all(
    store: &dyn Store,
    archive: &ArchiveName,
    gate: &Ed25519Public,
    key: Option<&Ed25519Key>,
) -> Result<u64, GateError> {
    let mut memory = Memory::of(store, archive, *gate);
    all(&mut memory, remembered(store, archive)?, |_, error| Err(error))?;
    memory.put_back(key)
}

/// What the newest record remembers, and whether of every decision.
fn remembered(store: &dyn Store, archive: &ArchiveName) -> Result<(Page, bool), GateError> {
    let chain = Chain::load(store, archive)?;
    let book = Book::of(store, archive, chain.latest())?;
    Ok((book.whole()?, book.knows_decisions()))
}

/// Every decision that a list names, and every one that none does.
fn all(
    memory: &mut Memory<'_>,
    (page, knows): (Page, bool),
    mut unread: impl FnMut(Sha256, GateError) -> Result<(), GateError>,
) -> Result<(), GateError> {
    memory.know(&page, knows);
    let mut listed = noted_decisions(memory.store, memory.archive)?;
    listed.extend(memory.remembered.iter().copied());
    for decision in &listed {
        memory
            .decision(*decision, None)
            .or_else(|error| unread(*decision, error))?;
    }
    for decision in memory.unlisted(&listed)? {
        memory
            .decision(decision, None)
            .or_else(|error| unread(decision, error))?;
    }
    Ok(())
}

/// What the gate hears before it decides.
#[derive(Clone, Copy)]
pub struct Hearing<'a> {
    /// The store.
    pub store: &'a dyn Store,
    /// The custom archive.
    pub archive: &'a ArchiveName,
    /// The gate's key, which signs rounds again.
    pub key: &'a Ed25519Key,
    /// What this machine keeps of what the gate signed.
    pub journal: Option<Journal<'a>>,
}

impl Hearing<'_> {
    /// Puts back what decisions on a declaration were made on, and all others on this version of its source package. To be done
    /// before the gate is asked about it. Gives how many objects were made.
    ///
    /// Of other versions, and of other sources, nothing is read but the decisions themselves: they say nothing of this one.
    ///
    /// # Errors
    /// `Dropped` when a decision is gone that the newest snapshot, or this machine, knows of; when a listed one, or a document that
    /// one names, is missing or damaged: what it says must not get lost; `Different` when there is one with other bytes; the
    /// store's failure.
    pub fn recall(&self, declaration: &Declaration) -> Result<u64, GateError> {
        let source = &declaration.source;
        let mut memory = Memory::of(self.store, self.archive, self.key.public());
        for (decision, by) in self.known(&mut memory, declaration)? {
            match memory.decision(decision, Some(&declaration.version)) {
                Err(GateError::Store(StoreError::Missing(key))) if key == Key::provenance(self.archive, &decision) => {
                    return Err(GateError::Dropped {
                        archive: self.archive.clone(),
                        decision: Box::new(decision),
                        source_package: source.clone(),
                        by,
                    });
                }
                other => other?,
            }
        }
        if let Some(journal) = self.journal {
            for decision in memory.about(source) {
                journal.add(self.archive, source, &decision)?;
            }
        }
        memory.put_back(Some(self.key))
    }

    /// The decisions on a source, each with who knows of it.
    fn known(&self, memory: &mut Memory<'_>, declaration: &Declaration) -> Result<BTreeMap<Sha256, String>, GateError> {
        let (store, archive, source) = (self.store, self.archive, &declaration.source);
        let chain = Chain::load(store, archive)?;
        let book = Book::of(store, archive, chain.latest())?;
        memory.know(&book.about(&[source.as_str()].into())?, book.knows_decisions());
        let mut known = BTreeMap::new();
        let mut add = |found: Vec<Sha256>, by: &dyn Fn() -> String| {
            for decision in found {
                known.entry(decision).or_insert_with(by);
            }
        };
        let list = || format!("a list below `state/{archive}`");
        add(memory.remembered.iter().copied().collect(), &|| {
            "the newest snapshot".to_owned()
        });
        if let Some(journal) = self.journal {
            let folder = journal.folder(archive, source);
            let by = || format!("`{}` on this machine", folder.display());
            add(journal.of(archive, source)?.into_iter().collect(), &by);
        }
        add(waiting(store, archive, source)?.into_iter().collect(), &list);
        let about = list_declared(store, archive, declaration)?.into_iter();
        for declared in about.chain(identity(declaration)) {
            let listed = store.list(&format!("state/{archive}/decisions/{declared}"))?;
            add(
                listed.iter().filter_map(|meta| meta.key.named_sha256()).collect(),
                &list,
            );
        }
        // Of an archive that no version made a snapshot of which remembers decisions: its list has those of every source.
        if !book.knows_decisions() {
            add(noted_decisions(store, archive)?.into_iter().collect(), &list);
        }
        Ok(known)
    }
}
