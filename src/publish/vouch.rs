//! Records, renewals and tags are vouched for by the archive's key before anything is built on them
//! or signed.
//!
//! Whoever can write to the store could plant one; publishing it would make our own key sign it. So
//! each has a detached signature, kept by the entry's hash and written before the entry is created:
//! after a crash there is a signature too many, never an entry without one. The newest record's covers
//! the whole chain, since each record names the hash of the one before.

use super::reader::check_texts;
use super::{PublishError, ReleaseSigner, lost_newest, waiting};
use crate::domain::{ArchiveName, Sha256, SnapshotName};
use crate::host::Clock;
use crate::snapshot::{Chain, Committed, Entry, Mark, Marks, Record, Renewal, TagRecord, commit as create};
use crate::store::{Key, Store, StoreError};
use crate::trust::{Keyring, Requirement, latest_date, verify_detached};

const LARGEST: u64 = 64 << 10;

/// Signs an entry and makes it, if nobody was faster.
///
/// # Errors
/// `Waits` when the signature comes from another machine: the entry is kept until it does. The signer's or the store's
/// failure: no entry was made, or trying again tells.
pub fn commit(store: &dyn Store, entry: &impl Entry, signer: &dyn ReleaseSigner) -> Result<Committed, PublishError> {
    sign(store, entry, signer)?;
    Ok(create(store, entry)?)
}

/// Puts the signature of all keys that sign now on an entry. One that another machine makes is waited for.
///
/// # Errors
/// As `commit`.
pub(super) fn sign(store: &dyn Store, entry: &impl Entry, signer: &dyn ReleaseSigner) -> Result<(), PublishError> {
    let sha256 = entry.identity()?;
    let signature = match signer.detach(&statement(entry, &sha256), entry.made_at()) {
        Err(error @ PublishError::Waits { .. }) => {
            waiting::stage(store, entry)?;
            return Err(error);
        }
        done => done?,
    };
    Ok(store.replace(&Key::signature(entry.archive(), &sha256), &signature)?)
}

/// The same, no earlier than the entry is dated: ids and Dates rise by a second at least, so those of several
/// snapshots within a second lie ahead. apt takes no Date that is 10 s ahead, and sqv no signature that is at all.
///
/// # Errors
/// `Ahead` when that would take long, since a clock was wrong; as `commit`.
pub fn commit_in_time(
    store: &dyn Store,
    entry: &impl Entry,
    clock: Clock,
    signer: &dyn ReleaseSigner,
) -> Result<Committed, PublishError> {
    let dated = entry.dated();
    clock.reach(dated).map_err(|now| PublishError::Ahead {
        what: entry.title(),
        dated,
        now,
    })?;
    commit(store, entry, signer)
}

/// Says in a record that is about to be committed what it says besides its suites: by which keys clients may go on, and the
/// newest mark, see [`crate::snapshot::Marked`]. Marks that nobody vouches for, or that have lost what the record before names, say nothing.
/// A record that could not be published is refused here, while nothing names it.
///
/// # Errors
/// `Unfit`, `TooLarge`; when the marks cannot be read; the store's failure.
pub fn complete(store: &dyn Store, record: &mut Record, signer: &dyn ReleaseSigner) -> Result<(), PublishError> {
    record.signed_by = signer.signed_by().to_vec();
    check_texts(record)?;
    let marks = Marks::load(store, &record.archive)?;
    let Some(newest) = marks.newest() else { return Ok(()) };
    if marks.have(record.marks.as_ref()) && check_vouched(store, newest, &signer.keyring()?).is_ok() {
        marks.copy(store, &record.archive)?;
        record.marks = marks.named();
    }
    Ok(())
}

/// Signs a mark and makes it, and its copy, if nobody was faster.
///
/// # Errors
/// As `commit`.
pub fn commit_mark(store: &dyn Store, mark: &Mark, signer: &dyn ReleaseSigner) -> Result<Committed, PublishError> {
    let done = commit(store, mark, signer)?;
    if done == Committed::Yes {
        Marks::load(store, &mark.archive)?.copy(store, &mark.archive)?;
    }
    Ok(done)
}

/// Puts back each mark of an archive, and each copy of one, that is lost or changed while the other is whole; gives their
/// names.
///
/// # Errors
/// `NotVouched` when the archive's key does not vouch for the newest; the store's failure.
pub fn mend_marks(store: &dyn Store, archive: &ArchiveName, keyring: &Keyring) -> Result<Vec<Key>, PublishError> {
    let (chain, marks) = (read_vouched(store, archive, keyring)?, Marks::load(store, archive)?);
    if let Some(newest) = marks.newest() {
        check_vouched(store, newest, keyring)?;
    }
    let named = chain.latest().and_then(|record| record.marks);
    let mut mended = Vec::new();
    for lost in marks.damaged(store, archive, named.as_ref())? {
        if let Some(bytes) = lost.bytes {
            store.replace(&lost.key, &bytes)?;
            mended.push(lost.key);
        }
    }
    Ok(mended)
}

/// The chain of an archive to go on from: as [`read_vouched`] gives it, and clients have seen nothing newer.
///
/// # Errors
/// As `read_vouched`; `Unrecorded`: what came next would take the place of what clients have seen.
pub fn load_vouched(store: &dyn Store, archive: &ArchiveName, keyring: &Keyring) -> Result<Chain, PublishError> {
    let chain = read_vouched(store, archive, keyring)?;
    match lost_newest(store, &chain, keyring)? {
        Some(lost) => Err(PublishError::Unrecorded(Box::new(lost))),
        None => Ok(chain),
    }
}

/// The chain of an archive to look at, whose newest record and its renewal the archive's key vouches for.
///
/// # Errors
/// As `Chain::load`; `NotVouched`.
pub fn read_vouched(store: &dyn Store, archive: &ArchiveName, keyring: &Keyring) -> Result<Chain, PublishError> {
    let chain = Chain::load(store, archive)?;
    if let Some(latest) = chain.latest() {
        check_vouched(store, latest, keyring)?;
    }
    if let Some(renewal) = chain.renewal() {
        check_vouched(store, renewal, keyring)?;
    }
    Ok(chain)
}

/// Checks the signature on one entry.
///
/// # Errors
/// `NotVouched` when there is none, or it is not by this key over this entry.
pub fn check_vouched(store: &dyn Store, entry: &impl Entry, keyring: &Keyring) -> Result<(), PublishError> {
    let not_vouched = |why: String| PublishError::NotVouched { key: entry.key(), why };
    let sha256 = entry.identity()?;
    let signature = read_signature(store, entry, &sha256).map_err(|error| not_vouched(error.to_string()))?;
    // Another program or machine signs a little later, and a key that came later signs what is there again.
    let requirement = Requirement {
        keyring,
        threshold: 1,
        now: latest_date(&signature).map_or(entry.made_at(), |date| date.max(entry.made_at())),
    };
    verify_detached(&statement(entry, &sha256), &signature, &requirement)
        .map(|_| ())
        .map_err(|error| not_vouched(error.to_string()))
}

/// Checks the signature on what a name of an archive means: a record and its newest renewal, or a tag. The chain's
/// own signature covers the newest record only; an older one is found without walking there.
///
/// # Errors
/// `NotVouched`; as `Chain::resolve`.
pub fn check_named(
    store: &dyn Store,
    chain: &Chain,
    name: &SnapshotName,
    keyring: &Keyring,
) -> Result<(), PublishError> {
    if let SnapshotName::Tag(tag) = name {
        return check_vouched(store, &TagRecord::load(store, chain.archive(), tag)?, keyring);
    }
    let record = chain.resolve(store, name)?;
    check_vouched(store, &record, keyring)?;
    match Renewal::newest(store, &record)? {
        Some(renewal) => check_vouched(store, &renewal, keyring),
        None => Ok(()),
    }
}

/// The signature on an entry that has this hash.
pub(super) fn read_signature(store: &dyn Store, entry: &impl Entry, sha256: &Sha256) -> Result<Vec<u8>, StoreError> {
    store.get(&Key::signature(entry.archive(), sha256), LARGEST)
}

/// What is signed: short, whatever the entry's size, and like no other thing that the key signs.
pub(super) fn statement(entry: &impl Entry, sha256: &Sha256) -> Vec<u8> {
    format!("assay snapshot {} {sha256}\n", entry.title()).into_bytes()
}
