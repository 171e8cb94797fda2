//! Marks, made.

use super::CollectError;
use crate::domain::ArchiveName;
use crate::publish::{PublishError, ReleaseSigner, check_vouched, commit_mark, read_vouched};
use crate::snapshot::{Chain, Committed, EditionName, Entry as _, Made, Mark, Marks, Says, SnapshotError};
use crate::store::{Key, Store};
use crate::trust::Keyring;

/// How often one writer starts over because others were faster.
const ATTEMPTS: u32 = 20;

/// The marks of an archive, which its key vouches for, and which have all that its newest record names.
///
/// # Errors
/// As `Marks::load`; `NotVouched`; `Unmarked`.
pub fn load_marks(store: &dyn Store, chain: &Chain, keyring: &Keyring) -> Result<Marks, CollectError> {
    let archive = chain.archive();
    let marks = Marks::load(store, archive)?;
    if let Some(newest) = marks.newest() {
        check_vouched(store, newest, keyring)?;
    }
    match chain.latest().map(|latest| (latest, latest.marks)) {
        Some((latest, Some(named))) if !marks.have(Some(&named)) => Err(CollectError::Unmarked {
            mark: Key::mark(archive, named.k),
            record: latest.key(),
        }),
        _ => Ok(marks),
    }
}

/// Says something about one edition. It must be there.
///
/// # Errors
/// `LetGo` when it was removed meanwhile; as [`load_marks`]; the signer's or the store's failure.
pub fn mark(
    store: &dyn Store,
    archive: &ArchiveName,
    name: &EditionName,
    says: &Says,
    made: Made<'_>,
    signer: &dyn ReleaseSigner,
) -> Result<Mark, CollectError> {
    let keyring = signer.keyring()?;
    for _ in 0..ATTEMPTS {
        let marks = load_marks(store, &read_vouched(store, archive, &keyring)?, &keyring)?;
        if let Some(at) = marks.gone(name) {
            return Err(SnapshotError::let_go(archive, name, at).into());
        }
        let mark = marks.next(archive, says.clone(), made);
        if commit_mark(store, &mark, signer)? == Committed::Yes {
            return Ok(mark);
        }
    }
    Err(PublishError::Busy(ATTEMPTS).into())
}
