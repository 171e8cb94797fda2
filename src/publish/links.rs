//! Links that workers of rebuilderd signed: weak evidence, shown to people and counted by no rule. They
//! answer no nonce, name no environment, and are made by whoever saw the package first.

use std::collections::BTreeSet;
use std::fmt;

use crate::domain::{ArchiveName, Sha256, escape};
use crate::site::Policy;
use crate::store::{Key, Store};
use crate::trust::{Ed25519Public, Link, TrustError, read_link};

use super::GateError;
use super::evidence::{add_document, create_or_same, read_document};

/// The largest link that is read, in bytes.
pub const LARGEST_LINK: u64 = 1 << 20;

/// What an observer of the policy saw.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Observation {
    /// Its name in the policy.
    pub observer: String,
    /// The file, as it calls it.
    pub file: String,
    /// The file's SHA-256.
    pub sha256: Sha256,
}

impl fmt::Display for Observation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (observer, file) = (escape(&self.observer), escape(&self.file));
        write!(
            f,
            "`{observer}` got `{file}` with the same bytes, by rebuilderd; not counted"
        )
    }
}

fn observers(policy: &Policy) -> Vec<(String, Ed25519Public)> {
    let known = |o: &crate::site::Observer| Some((o.name.clone(), Ed25519Public::parse(&o.public_key).ok()?));
    policy.observers.iter().filter_map(known).collect()
}

/// Keeps a link of an observer, listed under each file that it is about. Gives how many.
///
/// # Errors
/// When no observer of the policy signed it; the store's failure. Doing it again is safe.
pub fn add_link(store: &dyn Store, archive: &ArchiveName, policy: &Policy, bytes: &[u8]) -> Result<usize, GateError> {
    let link = read(policy, bytes).map_err(|error| GateError::Link { why: error.to_string() })?;
    let sha256 = add_document(store, archive, bytes)?;
    for product in link.products.values() {
        let key = Key::new(format!("state/{archive}/links/{product}/{sha256}"))?;
        create_or_same(store, &key, b"")?;
    }
    Ok(link.products.len())
}

fn read(policy: &Policy, bytes: &[u8]) -> Result<Link, TrustError> {
    let keys: Vec<Ed25519Public> = observers(policy).into_iter().map(|(_, key)| key).collect();
    read_link(bytes, &keys)
}

/// What the observers of a policy say of these files, matched by hash alone.
///
/// # Errors
/// The store's failure.
pub fn load_links(
    store: &dyn Store,
    archive: &ArchiveName,
    policy: &Policy,
    files: &BTreeSet<Sha256>,
) -> Result<BTreeSet<Observation>, GateError> {
    let mut found = BTreeSet::new();
    let observers = observers(policy);
    if observers.is_empty() {
        return Ok(found);
    }
    for sha256 in files {
        for meta in store.list(&format!("state/{archive}/links/{sha256}"))? {
            let Some(document) = meta.key.named_sha256() else {
                continue;
            };
            let bytes = read_document(store, archive, &document, LARGEST_LINK)?;
            let Ok(link) = read(policy, &bytes) else {
                continue;
            };
            for (observer, _) in observers.iter().filter(|(_, key)| link.signed_by.contains(key)) {
                let products = link.products.iter().filter(|(_, product)| *product == sha256);
                found.extend(products.map(|(file, sha256)| Observation {
                    observer: observer.clone(),
                    file: file.clone(),
                    sha256: *sha256,
                }));
            }
        }
    }
    Ok(found)
}
