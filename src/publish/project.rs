//! Carrying out the plan.

use std::io::Read;

use sha2::Digest as _;

use super::plan::{INRELEASE, constant};
use super::{PublishError, Release, ReleaseSigner, Step, load_vouched, plan};
use crate::domain::{ArchiveName, Digest, Serial, Sha256, SnapshotId, SuiteName};
use crate::index::release::release_text;
use crate::snapshot::{Chain, Record, SuiteState};
use crate::store::{Created, Key, Store, StoreError};

/// apt's `Acquire::MaxReleaseFileSize`.
const LARGEST_INRELEASE: u64 = 10_000_000;

/// What is public now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Whose.
    pub archive: ArchiveName,
    /// Which snapshot.
    pub id: SnapshotId,
    /// Its serial.
    pub serial: Serial,
    /// Its suites.
    pub suites: Vec<PublishedSuite>,
    /// How many objects were written: none when all was there already.
    pub written: u64,
}

/// One published suite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedSuite {
    /// Its name.
    pub suite: SuiteName,
    /// Its signed Release file, which a client can pin by hash.
    pub inrelease: Digest,
}

/// Whether a record is published: its serial is in the trace, which is written last of all.
///
/// # Errors
/// The store's failure.
pub fn is_published(store: &dyn Store, record: &Record) -> Result<bool, PublishError> {
    let wanted = super::plan::trace(record);
    match store.get(&Key::trace(&record.archive), wanted.len() as u64) {
        Ok(found) => Ok(found == wanted),
        Err(StoreError::Missing(_) | StoreError::TooLarge { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Publishes the newest snapshot of an archive, and those before it whose publishing a crash cut
/// short. Safe beside other writers: whoever ends last leaves the newest.
///
/// `public_url` is the site's, below which clients find the archive.
///
/// # Errors
/// When an index is missing or damaged: no InRelease that would name it has moved then; the
/// signer's or the store's failure: calling it again finishes.
pub fn publish(
    store: &dyn Store,
    archive: &ArchiveName,
    signer: &dyn ReleaseSigner,
    public_url: &str,
) -> Result<Published, PublishError> {
    let mut written = 0;
    loop {
        let chain = load_vouched(store, archive, &signer.keyring()?)?;
        let latest = chain.latest().ok_or_else(|| PublishError::Nothing(archive.clone()))?;
        let outcome = project(store, &chain, latest, signer, public_url);
        // A record that came meanwhile may have been published under our hands. What we wrote after
        // it is older, what we read back may be newer: it is on us to publish that record again.
        if store.head(&Key::record(archive, chain.next_number()))?.is_some() {
            written += outcome.map_or(0, |published| published.written);
            continue;
        }
        let mut published = outcome?;
        written += published.written;
        for record in cut_short(store, &chain)? {
            written += project(store, &chain, record, signer, public_url)?.written;
        }
        published.written = written;
        return Ok(published);
    }
}

/// Publishes one record of a chain; as the newest state too when it is the chain's latest.
///
/// # Errors
/// As `publish`.
pub fn project(
    store: &dyn Store,
    chain: &Chain,
    record: &Record,
    signer: &dyn ReleaseSigner,
    public_url: &str,
) -> Result<Published, PublishError> {
    let newest = chain.latest().is_some_and(|latest| latest.n == record.n);
    let mut releases = Vec::new();
    let mut suites = Vec::new();
    for state in &record.suites {
        let release = signed_release(record, state, signer, public_url)?;
        suites.push(PublishedSuite {
            suite: state.suite.clone(),
            inrelease: Digest::of(&release.signed.inrelease),
        });
        releases.push(release);
    }
    Ok(Published {
        archive: record.archive.clone(),
        id: record.id.clone(),
        serial: record.serial.clone(),
        suites,
        written: execute(store, &plan(record, &releases, newest))?,
    })
}

fn signed_release(
    record: &Record,
    state: &SuiteState,
    signer: &dyn ReleaseSigner,
    public_url: &str,
) -> Result<Release, PublishError> {
    let snapshots = snapshots_url(&record.archive, public_url);
    let text = release_text(state, record.valid_days, snapshots.as_deref());
    let signed = signer.sign(&text, state.date)?;
    let size = signed.inrelease.len() as u64;
    if size > LARGEST_INRELEASE {
        return Err(PublishError::TooLarge {
            suite: state.suite.clone(),
            size,
            limit: LARGEST_INRELEASE,
        });
    }
    Ok(Release { text, signed })
}

/// What apt puts a snapshot's id into. Only a server can answer it: files on a disk cannot.
fn snapshots_url(archive: &ArchiveName, public_url: &str) -> Option<String> {
    let base = public_url.trim_end_matches('/');
    let served = base.starts_with("http://") || base.starts_with("https://");
    served.then(|| format!("{base}/{archive}/@SNAPSHOTID@/"))
}

/// The records before the latest that nobody finished publishing, newest first. Everyone finishes
/// what he finds, so that the first finished one ends the search.
fn cut_short<'a>(store: &dyn Store, chain: &'a Chain) -> Result<Vec<&'a Record>, PublishError> {
    let mut found = Vec::new();
    for record in chain.records().iter().rev().skip(1) {
        if is_public(store, record)? {
            break;
        }
        found.push(record);
    }
    Ok(found)
}

fn is_public(store: &dyn Store, record: &Record) -> Result<bool, StoreError> {
    for state in &record.suites {
        let key = Key::dists_named(
            &record.archive,
            &state.suite,
            record.serial.as_str(),
            &constant(INRELEASE),
        );
        if store.head(&key)?.is_none() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Does the steps in order; gives the number of objects written.
fn execute(store: &dyn Store, steps: &[Step]) -> Result<u64, PublishError> {
    let mut written = 0;
    for step in steps {
        match step {
            Step::Check { key, digest } => check(store, key, digest)?,
            Step::Link { from, to, digest } => {
                if found(store, to, digest.size)? != Some(*digest) {
                    store.link(from, to)?;
                    written += 1;
                }
            }
            Step::Create { key, bytes } => {
                if store.head(key)?.is_none() {
                    written += 1;
                }
                if store.create(key, bytes)? == Created::No {
                    return Err(StoreError::Different(key.clone()).into());
                }
            }
            Step::Replace { key, bytes } => {
                if found(store, key, bytes.len() as u64)? != Some(Digest::of(bytes)) {
                    store.replace(key, bytes)?;
                    written += 1;
                }
            }
            Step::StopIfThere(key) => {
                if store.head(key)?.is_some() {
                    break;
                }
            }
        }
    }
    Ok(written)
}

fn check(store: &dyn Store, key: &Key, expected: &Digest) -> Result<(), PublishError> {
    match found(store, key, expected.size)? {
        None => Err(PublishError::Missing(key.clone())),
        Some(found) if found != *expected => Err(PublishError::Damaged {
            key: key.clone(),
            expected: *expected,
            found,
        }),
        Some(_) => Ok(()),
    }
}

/// What is under a name, as far as it can still be what has `size` bytes; none when nothing is.
fn found(store: &dyn Store, key: &Key, size: u64) -> Result<Option<Digest>, StoreError> {
    let stream = match store.open(key) {
        Ok(stream) => stream,
        Err(StoreError::Missing(_)) => return Ok(None),
        Err(error) => return Err(error),
    };
    let failed = |source: std::io::Error| StoreError::Backend {
        act: "read",
        key: key.to_string(),
        source: source.into(),
    };
    let mut limited = stream.take(size.saturating_add(1));
    let mut hasher = sha2::Sha256::new();
    let size = std::io::copy(&mut limited, &mut hasher).map_err(failed)?;
    Ok(Some(Digest {
        sha256: Sha256::from_bytes(hasher.finalize().into()),
        size,
    }))
}
