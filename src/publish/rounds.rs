//! Rounds of blind rebuilds: `state/<archive>/rounds/<declaration>/<lock>-<n>.json`, each created once and signed by the gate.
//!
//! Who may write to the store could else say, once all results can be seen, that those whom he wants to count were bound
//! before. A round that no gate signed, of a version that signed none, or of somebody else, stops whoever reads it; but one that a
//! decision of the gate was made on is vouched for by that, and is signed by [`super::recall()`].

use serde::{Deserialize, Serialize};

use crate::admission::Round;
use crate::domain::{ArchiveName, Sha256};
use crate::format::dsse::Envelope;
use crate::format::json;
use crate::store::{Created, Key, Store};
use crate::trust::{Ed25519Key, Ed25519Public, sign_envelope, verify_envelope};

use super::GateError;

/// The DSSE payload type of rounds.
const ROUND: &str = "application/vnd.assay.round+json";
/// The largest round that is read, in bytes.
const LARGEST: u64 = 2 << 20;

/// What is signed: a round is of one archive and declaration.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Signed {
    archive: ArchiveName,
    declaration: Sha256,
    round: Round,
}

/// What lies where a round would.
#[derive(Debug)]
pub(super) enum Held {
    /// The gate signed it.
    Signed(Round),
    /// Nobody did.
    Unsigned(Round),
    /// It is no round, or is signed by somebody else, or about something else.
    Other(String),
}

/// Every closed round for a declaration, as the gate signed it.
///
/// # Errors
/// `Round` when the gate did not sign one of them, and none with the same content; the store's failure.
pub fn load_rounds(
    store: &dyn Store,
    archive: &ArchiveName,
    declaration: &Sha256,
    gate: &Ed25519Public,
) -> Result<Vec<Round>, GateError> {
    let (mut rounds, mut others) = (Vec::new(), Vec::new());
    for (key, held) in held_rounds(store, archive, declaration, gate)? {
        match held {
            Held::Signed(round) => rounds.push(round),
            Held::Unsigned(round) => others.push((key, Some(round), "the gate did not sign it".to_owned())),
            Held::Other(why) => others.push((key, None, why)),
        }
    }
    let unsigned = |round: &Option<Round>| round.as_ref().is_none_or(|round| !rounds.contains(round));
    match others.into_iter().find(|(_, round, _)| unsigned(round)) {
        Some((key, _, why)) => Err(GateError::Round { key, why }),
        None => Ok(rounds),
    }
}

/// All that lies where rounds for a declaration are.
pub(super) fn held_rounds(
    store: &dyn Store,
    archive: &ArchiveName,
    declaration: &Sha256,
    gate: &Ed25519Public,
) -> Result<Vec<(Key, Held)>, GateError> {
    let mut found = Vec::new();
    for meta in store.list(&folder(archive, declaration))? {
        let bytes = store.get(&meta.key, LARGEST)?;
        found.push((meta.key, read(&bytes, archive, declaration, gate)));
    }
    Ok(found)
}

fn read(bytes: &[u8], archive: &ArchiveName, declaration: &Sha256, gate: &Ed25519Public) -> Held {
    let Ok(envelope) = Envelope::parse(bytes) else {
        return json::strict("round", bytes).map_or_else(|error| Held::Other(error.to_string()), Held::Unsigned);
    };
    if let Err(error) = verify_envelope(&envelope, ROUND, std::slice::from_ref(gate)) {
        return Held::Other(error.to_string());
    }
    match json::strict::<Signed>("round", &envelope.payload) {
        Ok(signed) if (&signed.archive, &signed.declaration) == (archive, declaration) => Held::Signed(signed.round),
        Ok(_) => Held::Other("it is about another declaration, or another archive".to_owned()),
        Err(error) => Held::Other(error.to_string()),
    }
}

/// Keeps a round, signed, behind those that are there. When another one was faster, what he listed counts.
///
/// # Errors
/// The store's failure.
pub(super) fn add_round(
    store: &dyn Store,
    archive: &ArchiveName,
    declaration: &Sha256,
    round: Round,
    key: &Ed25519Key,
) -> Result<Created, GateError> {
    // Each environment has numbers of its own, and some may be lost.
    let mut n = 0;
    let at = loop {
        let at = place(archive, declaration, &round.lock, n)?;
        if store.head(&at)?.is_none() {
            break at;
        }
        n += 1;
    };
    let signed = Signed {
        archive: archive.clone(),
        declaration: *declaration,
        round,
    };
    let payload = json::canonical("round", &signed).map_err(GateError::document(&at))?;
    let envelope = sign_envelope(ROUND, &payload, key).to_bytes();
    Ok(store.create(&at, &envelope.map_err(GateError::document(&at))?)?)
}

/// Where the round after `n` others in an environment is.
pub(super) fn place(archive: &ArchiveName, declaration: &Sha256, lock: &Sha256, n: usize) -> Result<Key, GateError> {
    Ok(Key::new(format!("{}/{lock}-{n}.json", folder(archive, declaration)))?)
}

fn folder(archive: &ArchiveName, declaration: &Sha256) -> String {
    format!("state/{archive}/rounds/{declaration}")
}
