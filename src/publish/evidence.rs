//! The gate's evidence in the store: nonces that were issued, records that came back, and files that
//! wait for a decision.
//!
//! Everything here is created once and never changed; a crash leaves it or does not. Records may be
//! written by anybody: what they are worth is `admission`'s to say.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use rand::RngCore as _;

use crate::admission::{IssuedNonce, Missed, RecordEvidence};
use crate::domain::{ArchiveName, BuilderId, Digest, Fingerprint, Sha256, Timestamp};
use crate::format::dsse::{self, Envelope};
use crate::format::json;
use crate::rebuild::{self, Circumstances, Commitment, VARIATIONS};
use crate::site::Policy;
use crate::store::{Created, Key, Store, StoreError};
use crate::trust::{Ed25519Public, verify_envelope};

use super::canary::load_missed;
use super::{GateError, Redeclared, load_commitments};

/// The largest nonce that is read, in bytes.
pub(super) const LARGEST_NONCE: u64 = 16 << 10;

/// Records for one declaration.
#[derive(Debug, Clone, Default)]
pub struct Records {
    /// Those that could be read: what a builder of the policy signed, and sole answers to what was asked that no key of it signed.
    pub records: Vec<RecordEvidence>,
    /// Those that are no records of ours, and why: named to people, of no weight.
    pub unreadable: Vec<(Sha256, String)>,
    /// What builders have committed to, shown by now or not.
    pub commitments: Vec<Commitment>,
    /// What builders of the policy got wrong of sources that were admitted.
    pub missed: Vec<Missed>,
    /// What belongs to other declarations of the same source package.
    pub redeclared: Redeclared,
    /// What was around each build, by the SHA-256 of its record: tells why outputs differ.
    pub around: BTreeMap<Sha256, Circumstances>,
}

/// Issues a nonce for one run of one builder (rule R3) under a declaration and in an environment, which has `patience` seconds to answer.
/// Each run varies other things than those that were asked for before, as far as there are so many; `turn` is the builder's place, from 0, and
/// how many the policy has, so that two who are asked in the same moment are asked for different runs.
///
/// # Errors
/// When one that was issued before is malformed; the store's failure.
pub fn issue_nonce(
    store: &dyn Store,
    archive: &ArchiveName,
    (declaration, lock): (Sha256, Sha256),
    (builder, turn): (&BuilderId, (usize, usize)),
    now: Timestamp,
    patience: i64,
) -> Result<IssuedNonce, GateError> {
    let mut chance = [0_u8; 32];
    rand::rngs::OsRng.fill_bytes(&mut chance);
    let run = next_run(&load_nonces(store, archive, &declaration)?, builder, turn);
    let nonce = IssuedNonce {
        nonce: hex::encode(chance),
        declaration,
        lock,
        builder: builder.clone(),
        issued_at: now,
        answer_by: now.plus(patience),
        run: u32::try_from(run).ok(),
    };
    let key = nonce_key(archive, &nonce)?;
    let bytes = json::canonical("nonce", &nonce).map_err(GateError::document(&key))?;
    store.create(&key, &bytes)?;
    Ok(nonce)
}

/// Which run a nonce is for, counted from 0; of one that earlier versions issued: the how many-th it is.
#[must_use]
pub fn run_of(issued: &[IssuedNonce], nonce: &str) -> usize {
    let own = issued.iter().find(|one| one.nonce == nonce);
    if let Some(run) = own
        .and_then(|nonce| nonce.run)
        .and_then(|run| usize::try_from(run).ok())
    {
        return run;
    }
    let place = |nonce: &IssuedNonce| (nonce.issued_at, nonce.nonce.clone());
    own.map_or(issued.len(), |own| {
        issued.iter().filter(|one| place(one) < place(own)).count()
    })
}

/// The next run of a builder, who is at this place of so many: it varies other things than what each was asked for last, it itself
/// before all. Neighbours differ in everything, and two who are asked in the same moment are asked for different runs.
fn next_run(issued: &[IssuedNonce], builder: &BuilderId, (place, of): (usize, usize)) -> usize {
    let of = of.max(1);
    let mut last: BTreeMap<&BuilderId, usize> = BTreeMap::new();
    for nonce in issued {
        let run = run_of(issued, &nonce.nonce);
        last.entry(&nonce.builder)
            .and_modify(|at| *at = run.max(*at))
            .or_insert(run);
    }
    let same = |run: usize, other: &usize| other % VARIATIONS == run % VARIATIONS;
    let unlike_all = |run: &usize| !last.values().any(|other| same(*run, other));
    let unlike_own = |run: &usize| last.get(builder).is_none_or(|own| !same(*run, own));
    let turn = (place % of + of - issued.len() % of) % of;
    let first = issued.len().saturating_add(turn);
    let near = || (first..).step_by(of).take(VARIATIONS).chain((first..).take(VARIATIONS));
    let found = near().find(unlike_all).or_else(|| near().find(unlike_own));
    found.unwrap_or(first)
}

/// Every nonce that was issued for a declaration.
///
/// # Errors
/// When one is malformed; the store's failure.
pub fn load_nonces(
    store: &dyn Store,
    archive: &ArchiveName,
    declaration: &Sha256,
) -> Result<Vec<IssuedNonce>, GateError> {
    let mut found = Vec::new();
    for meta in store.list(&nonces(archive, declaration))? {
        let bytes = store.get(&meta.key, LARGEST_NONCE)?;
        found.push(json::strict("nonce", &bytes).map_err(GateError::document(&meta.key))?);
    }
    Ok(found)
}

/// Keeps a signed record, listed under the declaration it is about. Gives its SHA-256.
///
/// # Errors
/// The store's failure; doing it again is safe.
pub fn add_record(
    store: &dyn Store,
    archive: &ArchiveName,
    declaration: &Sha256,
    envelope: &[u8],
) -> Result<Sha256, GateError> {
    let sha256 = add_document(store, archive, envelope)?;
    create_or_same(store, &Key::evidence(archive, declaration, &sha256), b"")?;
    Ok(sha256)
}

/// Every record for a declaration, with the keys of the policy's builders that signed each; none for an answer whose builder had
/// another key then.
///
/// # Errors
/// When the bytes of a record are missing or are not those it is listed by: a contradiction must
/// not get lost. The store's failure.
pub fn load_records(
    store: &dyn Store,
    archive: &ArchiveName,
    declaration: &Sha256,
    policy: &Policy,
) -> Result<Records, GateError> {
    let keys = keys_of(policy);
    let nonces = load_nonces(store, archive, declaration)?;
    let is_answer = |record: &RecordEvidence| {
        let mut asked = nonces.iter();
        asked.any(|nonce| (&nonce.nonce, &nonce.builder) == (&record.nonce, &record.builder))
    };
    let mut unsigned = Vec::new();
    let mut found = Records {
        commitments: load_commitments(store, archive, declaration, policy)?,
        missed: load_missed(store, archive, policy)?,
        ..Records::default()
    };
    for meta in store.list(&format!("state/{archive}/evidence/{declaration}"))? {
        let Some(sha256) = meta.key.named_sha256() else {
            continue;
        };
        let bytes = read_document(store, archive, &sha256, dsse::LARGEST)?;
        match read_record(sha256, &bytes, &keys) {
            Ok(record) => {
                found.around.extend(around(&bytes).map(|around| (sha256, around)));
                found.records.push(record);
            }
            Err(why) => unsigned.push((sha256, why, read_unverified(sha256, &bytes).ok())),
        }
    }
    // The only answer to what was asked, and no key of today's policy signed it: its builder's may have been replaced. It counts for
    // nothing (rule R7), and the decision says so. Others are anybody's.
    let signed: BTreeSet<String> = found.records.iter().map(|record| record.nonce.clone()).collect();
    for (sha256, why, record) in unsigned {
        match record.filter(|record| is_answer(record) && !signed.contains(&record.nonce)) {
            Some(record) => found.records.push(record),
            None => found.unreadable.push((sha256, why)),
        }
    }
    Ok(found)
}

/// The keys of the policy's builders.
pub(super) fn keys_of(policy: &Policy) -> Vec<Ed25519Public> {
    let builders = policy.builders.iter();
    builders
        .filter_map(|b| Ed25519Public::parse(&b.public_key).ok())
        .collect()
}

/// A record, and which of `keys` signed it.
pub(super) fn read_record(sha256: Sha256, bytes: &[u8], keys: &[Ed25519Public]) -> Result<RecordEvidence, String> {
    let envelope = Envelope::parse(bytes).map_err(|error| error.to_string())?;
    let signed_by = verify_envelope(&envelope, dsse::IN_TOTO, keys).map_err(|error| error.to_string())?;
    let fingerprints = signed_by.iter().map(Ed25519Public::fingerprint).collect();
    of_payload(sha256, &envelope, fingerprints)
}

/// A record, whoever signed it: of no weight.
pub(super) fn read_unverified(sha256: Sha256, bytes: &[u8]) -> Result<RecordEvidence, String> {
    let envelope = Envelope::parse(bytes).map_err(|error| error.to_string())?;
    of_payload(sha256, &envelope, Vec::new())
}

fn of_payload(sha256: Sha256, envelope: &Envelope, signed_by: Vec<Fingerprint>) -> Result<RecordEvidence, String> {
    let statement = rebuild::read_statement(&envelope.payload).map_err(|error| error.to_string())?;
    RecordEvidence::new(sha256, signed_by, &statement).map_err(|error| error.to_string())
}

/// What was around the build that a record, which could be read, tells of.
fn around(bytes: &[u8]) -> Option<Circumstances> {
    let statement = rebuild::read_statement(&Envelope::parse(bytes).ok()?.payload).ok()?;
    Some(Circumstances::of(&statement))
}

/// Keeps a public document by its SHA-256: a declaration, a lock, a record, a log.
///
/// # Errors
/// The store's failure; doing it again is safe.
pub fn add_document(store: &dyn Store, archive: &ArchiveName, bytes: &[u8]) -> Result<Sha256, GateError> {
    let digest = Digest::of(bytes);
    store.put_bytes(&Key::provenance(archive, &digest.sha256), &digest, bytes)?;
    Ok(digest.sha256)
}

/// A public document, of at most `limit` bytes, checked against its name.
///
/// # Errors
/// When it is missing or its bytes are others; the store's failure.
pub fn read_document(
    store: &dyn Store,
    archive: &ArchiveName,
    sha256: &Sha256,
    limit: u64,
) -> Result<Vec<u8>, GateError> {
    let key = Key::provenance(archive, sha256);
    let bytes = store.get(&key, limit)?;
    let found = Sha256::of(&bytes);
    if found == *sha256 {
        Ok(bytes)
    } else {
        Err(GateError::Swapped { key, found })
    }
}

/// Holds a file until it is decided on: a build output, or a file of the source package.
///
/// # Errors
/// When the stream is not what `digest` says; the store's failure.
pub fn hold(store: &dyn Store, archive: &ArchiveName, digest: &Digest, stream: &mut dyn Read) -> Result<(), GateError> {
    Ok(store.put_stream(&Key::held(archive, &digest.sha256), digest, stream)?)
}

pub(super) fn create_or_same(store: &dyn Store, key: &Key, bytes: &[u8]) -> Result<(), StoreError> {
    match store.create(key, bytes)? {
        Created::Yes => Ok(()),
        Created::No => Err(StoreError::Different(key.clone())),
    }
}

/// Where a nonce is.
pub(super) fn nonce_key(archive: &ArchiveName, nonce: &IssuedNonce) -> Result<Key, StoreError> {
    Key::new(format!("{}/{}", nonces(archive, &nonce.declaration), nonce.nonce))
}

fn nonces(archive: &ArchiveName, declaration: &Sha256) -> String {
    format!("state/{archive}/nonces/{declaration}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_asked_in_the_same_moment_is_asked_for_another_run() {
        let builders: Vec<BuilderId> = ["a/x", "b/x", "c/x"].map(|id| BuilderId::new(id).unwrap()).into();
        let lines = |issued: &[IssuedNonce]| -> Vec<usize> {
            let each = builders.iter().enumerate();
            each.map(|(place, builder)| next_run(issued, builder, (place, 3)) % VARIATIONS)
                .collect()
        };
        assert_eq!(lines(&[]), [0, 1, 2]);
        let nonce = |builder: usize, run| IssuedNonce {
            nonce: format!("{builder}{run}"),
            declaration: Sha256::of(b"d"),
            lock: Sha256::of(b"l"),
            builder: builders[builder].clone(),
            issued_at: Timestamp::from_unix(0),
            answer_by: Timestamp::from_unix(1),
            run: Some(run),
        };
        // What the others were asked for last is not asked for again, and the own one is another, too.
        let issued = [nonce(0, 0), nonce(1, 1), nonce(1, 2), nonce(1, 3)];
        assert_eq!(next_run(&issued, &builders[1], (1, 2)), 5);
        assert_eq!(next_run(&issued, &builders[0], (0, 2)), 6);
        assert_eq!(lines(&issued[..1]), [3, 1, 2]);
        assert_eq!(run_of(&issued, "12"), 2);
    }
}
