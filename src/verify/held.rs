//! What waits for a decision: the outputs that the gate reads when it decides on what the site declares now.

use super::Problem;
use crate::collect::{Awaited, CollectError, unheld};
use crate::domain::ArchiveName;
use crate::site::Site;
use crate::store::Store;

/// Names what waits for a decision in a custom archive and is not in the store any more.
///
/// # Errors
/// When a declaration of the site cannot be read; the store's failure.
pub fn check_held(site: &Site, store: &dyn Store, archive: &ArchiveName) -> Result<Vec<Problem>, CollectError> {
    let lost = unheld(site, store, archive)?.into_iter();
    let problem = |(key, Awaited { source, file })| {
        let why = format!(
            "records of `{source}` name it as `{file}`, which the gate reads when it decides, and it is not in the store; \
             next: `assay rebuild {source}`, or put it back from a copy of the store"
        );
        Problem::new(Problem::MISSING, key, why)
    };
    Ok(lost.map(problem).collect())
}
