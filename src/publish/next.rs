//! The next snapshot of an archive whose indexes we make: made on the newest record, and again when another writer was faster.

use std::collections::{BTreeMap, BTreeSet};

use rand::RngCore as _;

use super::stage::{Edit, Gone, held_sources};
use super::{GateError, ReleaseSigner, commit_in_time, complete, ledger, load_vouched};
use crate::domain::{ArchiveName, Sha256, SuiteName, Timestamp};
use crate::host::Clock;
use crate::site::{Gated, OwnArchive, OwnKind};
use crate::snapshot::{Chain, Committed, Made, Record, SuiteState};
use crate::store::{Key, Store};
use crate::trust::Ed25519Public;

/// How often a faster writer is made way for.
const ATTEMPTS: u32 = 8;

/// What changes in suites beside what is admitted, by suite.
pub(super) type Edits = BTreeMap<SuiteName, Edit>;

/// Where snapshots of an archive of ours are made, and by whom.
#[derive(Clone, Copy)]
pub struct Writer<'a, K: OwnKind = Gated> {
    /// The store.
    pub store: &'a dyn Store,
    /// The archive.
    pub archive: &'a ArchiveName,
    /// What the site says of it.
    pub config: &'a OwnArchive<K>,
    /// The site's base URL.
    pub public_url: &'a str,
    /// Signs records and Release files.
    pub signer: &'a dyn ReleaseSigner,
    /// Whose decisions records remember.
    pub gate: Ed25519Public,
    /// This program and its version.
    pub program: &'a str,
    /// The machine's clock.
    pub clock: Clock,
}

/// What the next record has.
pub(super) struct Next {
    /// Its suites.
    states: Vec<SuiteState>,
    /// What the ledger holds by it; absent: what the record before says, and the decisions that wait to be remembered.
    ledger: Option<Sha256>,
    /// What goes once the record is there, which has it.
    heard: Vec<Key>,
}

impl From<Vec<SuiteState>> for Next {
    fn from(states: Vec<SuiteState>) -> Self {
        Self {
            states,
            ledger: None,
            heard: Vec::new(),
        }
    }
}

impl Next {
    /// The same, with what the ledger holds by it, and what goes once it is there.
    pub(super) fn remembering(self, ledger: Sha256, heard: Vec<Key>) -> Self {
        Self {
            ledger: Some(ledger),
            heard,
            ..self
        }
    }

    /// The same of an archive with a gate, with all that its gate signed by now: whatever a snapshot is made for, it remembers the
    /// refusals before it, so that nobody can make the gate forget them.
    fn remembering_all<K: OwnKind>(self, writer: &Writer<'_, K>, latest: Option<&Record>) -> Result<Self, GateError> {
        if self.ledger.is_some() || !K::GATED {
            return Ok(self);
        }
        let nothing = (&BTreeSet::new(), &writer.gate);
        let (ledger, heard) = ledger::remember(writer.store, writer.archive, latest, [], nothing)?;
        Ok(self.remembering(ledger, heard))
    }
}

/// Commits the record that `next` gives for the chain as it is; none when nothing is to be done.
///
/// # Errors
/// What `next` gives; `Busy` when other writers were faster too often; the store's failure.
pub(super) fn next_snapshot<K: OwnKind>(
    writer: &Writer<'_, K>,
    reason: &str,
    now: Timestamp,
    mut next: impl FnMut(&Chain) -> Result<Option<Next>, GateError>,
) -> Result<(), GateError> {
    let keyring = writer.signer.keyring()?;
    for _ in 0..ATTEMPTS {
        let chain = load_vouched(writer.store, writer.archive, &keyring)?;
        let Some(next) = next(&chain)? else {
            return Ok(());
        };
        let next = next.remembering_all(writer, chain.latest())?;
        let mut chance = [0_u8; 16];
        rand::rngs::OsRng.fill_bytes(&mut chance);
        let made = Made {
            valid_days: Some(writer.config.valid_days),
            reason,
            by: writer.program,
            nonce: &hex::encode(chance),
            now,
            clock: writer.clock,
        };
        let mut record = chain.next(writer.store, next.states, made)?;
        record.ledger = next.ledger.or(record.ledger);
        complete(writer.store, &mut record, writer.signer)?;
        if commit_in_time(writer.store, &record, writer.clock, writer.signer)? == Committed::Yes {
            for key in next.heard {
                writer.store.delete(&key)?;
            }
            return Ok(());
        }
    }
    Err(GateError::Busy(ATTEMPTS))
}

/// Whether a record is as the edits would leave it.
pub(super) fn are_edited(
    store: &dyn Store,
    archive: &ArchiveName,
    edits: &Edits,
    latest: Option<&Record>,
) -> Result<bool, GateError> {
    for (suite, edit) in edits {
        let state = latest.and_then(|record| record.suites.iter().find(|state| state.suite == *suite));
        let done = match state {
            None => edit.drop,
            Some(state) => !edit.drop && is_edited(store, archive, edit, state)?,
        };
        if !done {
            return Ok(false);
        }
    }
    Ok(true)
}

fn is_edited(store: &dyn Store, archive: &ArchiveName, edit: &Edit, state: &SuiteState) -> Result<bool, GateError> {
    let is_gone = state.made_for().is_some_and(|made| made.gone_since.is_some());
    let marked = match edit.gone {
        None => true,
        Some(Gone::Since(_)) => is_gone,
        Some(Gone::Not) => !is_gone,
    };
    let lifted = !state
        .removed()
        .iter()
        .any(|removed| edit.lift.contains(&removed.source));
    if !marked || !lifted || edit.remove.is_empty() {
        return Ok(marked && lifted);
    }
    let sources = held_sources(store, archive, state)?;
    Ok(!sources.iter().any(|source| edit.remove.contains(&source.package)))
}
