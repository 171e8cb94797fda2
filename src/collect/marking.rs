//! Marks, made.

use super::CollectError;
use crate::domain::ArchiveName;
use crate::publish::{PublishError, ReleaseSigner, check_vouched, commit};
use crate::snapshot::{Committed, EditionName, Made, Mark, Marks, Says, SnapshotError};
use crate::store::Store;
use crate::trust::Keyring;

/// How often one writer starts over because others were faster.
const ATTEMPTS: u32 = 20;

/// The marks of an archive, which its key vouches for.
///
/// # Errors
/// As `Marks::load`; `NotVouched`.
pub fn load_marks(store: &dyn Store, archive: &ArchiveName, keyring: &Keyring) -> Result<Marks, CollectError> {
    let marks = Marks::load(store, archive)?;
    if let Some(newest) = marks.newest() {
        check_vouched(store, newest, keyring)?;
    }
    Ok(marks)
}

/// Says something about one edition. It must be there.
///
/// # Errors
/// `LetGo` when it was removed meanwhile; `NotVouched`; the signer's or the store's failure.
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
        let marks = load_marks(store, archive, &keyring)?;
        if let Some(at) = marks.gone(name) {
            return Err(SnapshotError::let_go(archive, name, at).into());
        }
        let mark = marks.next(archive, says.clone(), made);
        if commit(store, &mark, signer)? == Committed::Yes {
            return Ok(mark);
        }
    }
    Err(PublishError::Busy(ATTEMPTS).into())
}
