//! Blind rebuilds (gate rule R2): nobody sees a result before enough others have bound themselves.
//!
//! A builder that succeeded first hands in a signed *commitment*: the SHA-256 of its signed record. The
//! record and its outputs wait in a folder beside the store. When as many operators as the policy asks
//! for have committed, the *round* is closed: one object, created once and signed by the gate, lists what was committed to by
//! then. Only after it exists is anything shown, and only what it lists counts for a quorum. So a
//! builder that copies what another one published comes too late. A later round, of as many who rebuild what
//! was shown before, is a new one. Failures name no outputs, and are
//! shown at once.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::admission::{RecordEvidence, Round, Shortage, shortage};
use crate::domain::{ArchiveName, Digest, FileName, Sha256, SuiteName, Timestamp};
use crate::format::dsse::{self, Envelope};
use crate::format::intoto::Outcome;
use crate::format::json;
use crate::host::files;
use crate::rebuild::{Answer, COMMITMENT, Commitment};
use crate::site::Policy;
use crate::store::{Key, Store, StoreError, hash_stream};
use crate::trust::{Ed25519Key, Ed25519Public, verify_envelope};

use super::evidence::{add_record, create_or_same, hold, keys_of, load_nonces, read_record};
use super::rounds::{add_round, load_rounds};
use super::{GateError, canary};

/// The largest output that is taken, in bytes.
const LARGEST_OUTPUT: u64 = 4 << 30;
/// The most that a log, .buildinfo and .changes may have together, in bytes: a build's log ends at 256 MiB.
const LARGEST_BYPRODUCTS: u64 = 320 << 20;

/// What became of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// Its record is listed, and its outputs are held.
    Shown(Sha256),
    /// It is committed to, and waits for this many operators more.
    Sealed {
        /// SHA-256 of its record.
        record: Sha256,
        /// How many operators are missing until the round is closed.
        missing: usize,
    },
    /// Enough are committed, and it waits for the gate to close the round: whoever has the gate's key takes this folder.
    Bound {
        /// SHA-256 of its record.
        record: Sha256,
        /// Where the answer is.
        folder: PathBuf,
    },
}

impl Taken {
    /// SHA-256 of the answer's record.
    #[must_use]
    pub fn record(&self) -> Sha256 {
        match self {
            Self::Shown(record) | Self::Sealed { record, .. } | Self::Bound { record, .. } => *record,
        }
    }

    /// How many operators must still answer before it is shown.
    #[must_use]
    pub fn missing(&self) -> usize {
        match self {
            Self::Shown(_) | Self::Bound { .. } => 0,
            Self::Sealed { missing, .. } => *missing,
        }
    }
}

/// Where answers wait: `sealed` below a cache of the gate's, or of the builder's own.
#[derive(Debug, Clone, Copy)]
pub struct Desk<'a> {
    /// The store.
    pub store: &'a dyn Store,
    /// The custom archive.
    pub archive: &'a ArchiveName,
    /// The policy of the declared source.
    pub policy: &'a Policy,
    /// The suites that it is declared for: a policy may ask for more in some.
    pub suites: &'a [SuiteName],
    /// SHA-256 of its declaration.
    pub declaration: Sha256,
    /// The folder of answers that wait; not public.
    pub sealed: &'a Path,
    /// Whose rounds count.
    pub gate: &'a Ed25519Public,
    /// The gate's key, which closes rounds; absent where it is not at hand, and then nothing is shown that waits for that.
    pub key: Option<&'a Ed25519Key>,
    /// Now.
    pub now: Timestamp,
}

/// How it stands with the rounds in an environment.
enum Standing {
    /// One is closed: then results can be seen, and to hide more of them protects nothing.
    Closed,
    /// This many operators are missing.
    Lacks(usize),
    /// Enough are bound, and the gate's key is not here.
    Due,
}

impl Desk<'_> {
    /// Takes an answer that lies in a folder of its own: checks it, commits to it, and shows it when it
    /// may be shown. What does not check is left where it is, and nothing of it is kept.
    ///
    /// # Errors
    /// When it is not a record of a builder of the policy that answers a nonce of ours, or its files are
    /// not those that the record names, or it was built as another run than was asked for; the store's failure. Doing it again is safe.
    pub fn take(&self, folder: &Path) -> Result<Taken, GateError> {
        let answer = Answer::read(folder)?;
        let (record, commitment) = self.check(&answer)?;
        self.check_run(&answer, &record)?;
        if record.outcome != Outcome::Built || !self.policy.blind_rebuilds {
            self.show(&answer, &record)?;
            return Ok(Taken::Shown(record.sha256));
        }
        let bytes = commitment.ok_or_else(|| refused(folder, "it has no commitment of its builder"))?;
        let key = commitment_key(self.archive, &record.declaration, &record.nonce)?;
        create_or_same(self.store, &key, &bytes)?;
        let (place, lock) = (self.place(&record), record.lock);
        // One that was damaged meanwhile is put right.
        let sound = Answer::read(&place).is_ok_and(|waiting| self.check(&waiting).is_ok());
        if !sound {
            files::remove_folder(&place)?;
            answer.copy_to(&place)?;
        }
        self.show_all()?;
        let record = record.sha256;
        Ok(match self.close(&lock)? {
            Standing::Closed => Taken::Shown(record),
            Standing::Lacks(missing) => Taken::Sealed { record, missing },
            Standing::Due => Taken::Bound { record, folder: place },
        })
    }

    /// Closes each round for a declaration that has enough commitments, and shows the answers of closed
    /// rounds that wait here.
    ///
    /// # Errors
    /// As `take`.
    pub fn show_all(&self) -> Result<(), GateError> {
        let folder = self.sealed.join(self.declaration.hex());
        if !files::is_folder(&folder) {
            return Ok(());
        }
        for waiting in files::list(&folder)? {
            // What is damaged, or not by a builder of the policy any more, stays where it is: it says nothing.
            let Ok(answer) = Answer::read(&waiting) else {
                continue;
            };
            let record = match self.check(&answer) {
                Err(GateError::Answer { .. } | GateError::Host(_)) => continue,
                checked => checked?.0,
            };
            if !matches!(self.close(&record.lock)?, Standing::Closed) {
                continue;
            }
            match self.show(&answer, &record) {
                Err(GateError::Answer { .. } | GateError::Store(StoreError::Digest { .. })) => {}
                shown => {
                    shown?;
                    files::remove_folder(&waiting)?;
                }
            }
        }
        Ok(())
    }

    fn place(&self, record: &RecordEvidence) -> PathBuf {
        self.sealed.join(record.declaration.hex()).join(&record.nonce)
    }

    /// The record of an answer and its commitment, when all of it holds.
    fn check(&self, answer: &Answer) -> Result<(RecordEvidence, Option<Vec<u8>>), GateError> {
        let refuse = |why: &str| refused(&answer.folder, why);
        let keys = keys_of(self.policy);
        let sha256 = Sha256::of(&answer.record);
        let record = read_record(sha256, &answer.record, &keys).map_err(|why| refuse(&why))?;
        if record.declaration != self.declaration {
            return Err(refuse("it is about another declaration"));
        }
        if !self.signed(&record) {
            return Err(refuse("it is not signed by the builder that it names"));
        }
        let nonces = load_nonces(self.store, self.archive, &record.declaration)?;
        let asked = nonces
            .iter()
            .any(|nonce| nonce.nonce == record.nonce && nonce.builder == record.builder && nonce.lock == record.lock);
        if !asked {
            return Err(refuse("its nonce was not issued for it"));
        }
        for (name, wanted) in &record.outputs {
            self.digest(answer, name, wanted, LARGEST_OUTPUT)?;
        }
        let mut room = LARGEST_BYPRODUCTS;
        for (name, wanted) in &answer.byproducts {
            room = room.saturating_sub(self.digest(answer, name, wanted, room)?.size);
        }
        let Some(bytes) = &answer.commitment else {
            return Ok((record, None));
        };
        let commitment = read_commitment(bytes, self.policy).map_err(|why| refuse(&why))?;
        if commitment != commitment_to(&record) {
            return Err(refuse("its commitment is to another record"));
        }
        Ok((record, Some(bytes.clone())))
    }

    /// Of a build that succeeded, that it varied what it was asked to: else the gate would refuse what all built alike, when nobody is
    /// left to be asked. One that failed says something however it was run, and is heard.
    fn check_run(&self, answer: &Answer, record: &RecordEvidence) -> Result<(), GateError> {
        let nonces = load_nonces(self.store, self.archive, &record.declaration)?;
        let asked = nonces.iter().find(|nonce| nonce.nonce == record.nonce);
        let Some(run) = asked
            .and_then(|nonce| nonce.run)
            .filter(|_| record.outcome == Outcome::Built)
        else {
            return Ok(());
        };
        match answer.recipe.strays_from(run as usize, &self.policy.vary) {
            None => Ok(()),
            Some(what) => Err(GateError::Run {
                folder: answer.folder.clone(),
                run,
                what,
            }),
        }
    }

    fn signed(&self, record: &RecordEvidence) -> bool {
        let builder = self.policy.builder(&record.builder).ok();
        let key = builder.and_then(crate::admission::builder_fingerprint);
        key.is_some_and(|key| record.signed_by.contains(&key))
    }

    /// The digest of a file of an answer, which is the one that its record names, and not larger than it may be.
    fn digest(&self, answer: &Answer, name: &FileName, wanted: &Sha256, most: u64) -> Result<Digest, GateError> {
        let refuse = |why: String| refused(&answer.folder, &why);
        let (file, size) = answer.open(name).map_err(|error| refuse(error.to_string()))?;
        if size > most {
            return Err(refuse(format!("`{name}` is too large: it has {size} bytes")));
        }
        let digest = hash_stream(&Key::new(name.as_str())?, file.take(most));
        let digest = digest.map_err(|error| refuse(error.to_string()))?;
        if digest.sha256 != *wanted {
            return Err(refuse(format!("`{name}` is not the file that the record names")));
        }
        Ok(digest)
    }

    /// By-products and outputs first: a record never names what is not there.
    fn show(&self, answer: &Answer, record: &RecordEvidence) -> Result<(), GateError> {
        for (name, sha256) in &answer.byproducts {
            let digest = self.digest(answer, name, sha256, LARGEST_BYPRODUCTS)?;
            let key = Key::provenance(self.archive, sha256);
            self.store.put_stream(&key, &digest, &mut answer.open(name)?.0)?;
        }
        for (name, sha256) in &record.outputs {
            let digest = self.digest(answer, name, sha256, LARGEST_OUTPUT)?;
            hold(self.store, self.archive, &digest, &mut answer.open(name)?.0)?;
        }
        add_record(self.store, self.archive, &record.declaration, &answer.record)?;
        canary::note(self.store, self.archive, record)
    }

    /// What those who have committed lack for a quorum.
    fn shortage(&self, committed: &[Commitment], lock: &Sha256) -> Option<Shortage> {
        let here = committed.iter().filter(|c| c.lock == *lock);
        let builders = here.filter_map(|c| self.policy.builder(&c.builder).ok());
        let rebuilders = builders.map(|b| (b.operator.as_str(), b.hosting.as_str())).collect();
        shortage(self.policy, &self.policy.terms(self.suites), &rebuilders)
    }

    /// Closes the next round in this environment when enough operators have committed since the last one.
    fn close(&self, lock: &Sha256) -> Result<Standing, GateError> {
        let mut rounds = load_rounds(self.store, self.archive, &self.declaration, self.gate)?;
        rounds.retain(|round| round.lock == *lock);
        let listed = |c: &Commitment| rounds.iter().any(|round| round.commitments.contains(c));
        let mut committed = load_commitments(self.store, self.archive, &self.declaration, self.policy)?;
        committed.retain(|c| c.lock == *lock && !listed(c));
        let is_first = rounds.is_empty();
        if is_first {
            // What can be seen was shown by a round, which is gone: nobody is bound to it any more.
            let mut sealed = Vec::new();
            for bound in committed {
                if self
                    .store
                    .head(&Key::provenance(self.archive, &bound.record))?
                    .is_none()
                {
                    sealed.push(bound);
                }
            }
            committed = sealed;
        }
        if let Some(lacks) = self.shortage(&committed, lock) {
            return Ok(match is_first {
                true => Standing::Lacks(lacks.missing().max(1)),
                false => Standing::Closed,
            });
        }
        let Some(key) = self.key else {
            return Ok(match is_first {
                true => Standing::Due,
                false => Standing::Closed,
            });
        };
        let round = Round {
            lock: *lock,
            closed_at: self.now,
            commitments: committed,
        };
        // When another one was faster, what he listed counts.
        add_round(self.store, self.archive, &self.declaration, round, key)?;
        Ok(Standing::Closed)
    }
}

/// Every commitment for a declaration that a builder of the policy signed; others count for nothing.
///
/// # Errors
/// The store's failure.
pub fn load_commitments(
    store: &dyn Store,
    archive: &ArchiveName,
    declaration: &Sha256,
    policy: &Policy,
) -> Result<Vec<Commitment>, GateError> {
    let mut found = Vec::new();
    for meta in store.list(&format!("state/{archive}/commitments/{declaration}"))? {
        let bytes = store.get(&meta.key, dsse::LARGEST)?;
        found.extend(
            read_commitment(&bytes, policy)
                .ok()
                .filter(|c| c.declaration == *declaration),
        );
    }
    Ok(found)
}

fn read_commitment(bytes: &[u8], policy: &Policy) -> Result<Commitment, String> {
    let envelope = Envelope::parse(bytes).map_err(|error| error.to_string())?;
    let commitment: Commitment = json::strict("commitment", &envelope.payload).map_err(|error| error.to_string())?;
    let builder = policy.builder(&commitment.builder)?;
    let key = Ed25519Public::parse(&builder.public_key).map_err(|error| error.to_string())?;
    let signed = verify_envelope(&envelope, COMMITMENT, &[key]).map_err(|error| error.to_string())?;
    if signed.is_empty() {
        return Err("its builder did not sign it".to_owned());
    }
    Ok(commitment)
}

fn commitment_to(record: &RecordEvidence) -> Commitment {
    Commitment {
        nonce: record.nonce.clone(),
        builder: record.builder.clone(),
        declaration: record.declaration,
        lock: record.lock,
        record: record.sha256,
    }
}

fn commitment_key(archive: &ArchiveName, declaration: &Sha256, nonce: &str) -> Result<Key, GateError> {
    Ok(Key::new(format!("state/{archive}/commitments/{declaration}/{nonce}"))?)
}

fn refused(folder: &Path, why: &str) -> GateError {
    GateError::Answer {
        folder: folder.to_owned(),
        why: why.to_owned(),
    }
}
