//! Other declarations of one source package: `state/<archive>/declared/<SHA-256 of the .dsc>/<declaration>`, created before
//! anybody is asked for a build of it.
//!
//! Whoever declares a source again, with another word of who signs next, has another declaration; what was asked and said
//! under the one before is found here, so that the gate goes on hearing it (rules R4, A5).

use crate::admission::{Evidence, IssuedNonce, RecordEvidence, identity};
use crate::domain::{ArchiveName, Sha256};
use crate::format::json;
use crate::site::Policy;
use crate::source::Declaration;
use crate::store::{Key, Store};

use super::GateError;
use super::evidence::{add_document, create_or_same, load_nonces, load_records, read_document};

/// The largest declaration that is read, in bytes.
const LARGEST: u64 = 1 << 20;

/// What belongs to other declarations of a source package.
#[derive(Debug, Clone, Default)]
pub struct Redeclared {
    declarations: Vec<Declaration>,
    records: Vec<RecordEvidence>,
    nonces: Vec<IssuedNonce>,
}

impl Redeclared {
    /// Puts it beside what belongs to the declaration itself.
    pub(super) fn join(self, evidence: &mut Evidence) {
        evidence.redeclared = self.declarations;
        evidence.records.extend(self.records);
        evidence.nonces.extend(self.nonces);
    }
}

/// Keeps a declaration, listed under its source package. To be done before a nonce is issued for it.
///
/// # Errors
/// The store's failure; doing it again is safe.
pub fn note_declared(store: &dyn Store, archive: &ArchiveName, declaration: &Declaration) -> Result<(), GateError> {
    let bytes = json::canonical("declaration", declaration).map_err(GateError::document("declaration"))?;
    let identity = add_document(store, archive, &bytes)?;
    if let Some(dsc) = declaration.dsc() {
        create_or_same(store, &note(archive, &dsc, &identity)?, b"")?;
    }
    Ok(())
}

/// The declarations that are listed under a source package, by their SHA-256.
pub(super) fn list_declared(
    store: &dyn Store,
    archive: &ArchiveName,
    declaration: &Declaration,
) -> Result<Vec<Sha256>, GateError> {
    let Some(dsc) = declaration.dsc() else {
        return Ok(Vec::new());
    };
    let listed = store.list(&folder(archive, &dsc))?;
    Ok(listed.iter().filter_map(|meta| meta.key.named_sha256()).collect())
}

/// Where a declaration is listed under its source package; nowhere when it has none.
pub(super) fn declared_key(archive: &ArchiveName, declaration: &Declaration) -> Result<Option<Key>, GateError> {
    let identity = identity(declaration);
    let place = declaration.dsc().zip(identity);
    place.map(|(dsc, identity)| note(archive, &dsc, &identity)).transpose()
}

fn note(archive: &ArchiveName, dsc: &Sha256, identity: &Sha256) -> Result<Key, GateError> {
    Ok(Key::new(format!("{}/{identity}", folder(archive, dsc)))?)
}

/// What was asked and said under the other declarations of the same source package.
///
/// # Errors
/// When one that is listed is missing or damaged: a contradiction must not get lost. As `load_records` and
/// `load_nonces`.
pub fn load_redeclared(
    store: &dyn Store,
    archive: &ArchiveName,
    declaration: &Declaration,
    policy: &Policy,
) -> Result<Redeclared, GateError> {
    let mut found = Redeclared::default();
    for identity in list_declared(store, archive, declaration)? {
        let bytes = read_document(store, archive, &identity, LARGEST)?;
        // What is no declaration says nothing of this source, whoever listed it.
        match json::strict::<Declaration>("declaration", &bytes) {
            Ok(other) if other != *declaration => {
                found.nonces.extend(load_nonces(store, archive, &identity)?);
                let records = load_records(store, archive, &identity, policy)?.records;
                found.records.extend(records);
                found.declarations.push(other);
            }
            _ => {}
        }
    }
    Ok(found)
}

fn folder(archive: &ArchiveName, dsc: &Sha256) -> String {
    format!("state/{archive}/declared/{dsc}")
}
