//! Why the last run of a mirror came to nothing: a note for `status`, and no part of the archive's history.
//!
//! A run that fails writes it over the one before, and one that succeeds removes it. A run that is killed leaves what
//! it found: the next one that ends says how it is. Nothing is decided by it, so nobody signs it.

use serde::{Deserialize, Serialize};

use super::UpstreamError;
use crate::domain::{ArchiveName, Coded, Timestamp};
use crate::format::{FormatError, json};
use crate::store::{Key, Store, StoreError};

const WHAT: &str = "note of a refused run";
/// The largest note, in bytes.
const LARGEST: u64 = 64 << 10;
/// The longest cause and next step, in characters.
const LONGEST: usize = 4000;

/// How a run failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Refused {
    /// When.
    pub at: Timestamp,
    /// The error's stable code.
    pub code: String,
    /// What was wrong.
    pub cause: String,
    /// What to do next, when the error says so.
    pub next: Option<String>,
}

impl Refused {
    /// What an error says.
    #[must_use]
    pub fn by(error: &dyn Coded, at: Timestamp) -> Self {
        let short = |text: String| text.chars().take(LONGEST).collect();
        Self {
            at,
            code: error.code().to_owned(),
            cause: short(error.to_string()),
            next: error.hint().map(short),
        }
    }

    /// Notes it.
    ///
    /// # Errors
    /// The store's failure.
    pub fn keep(&self, store: &dyn Store, archive: &ArchiveName) -> Result<(), UpstreamError> {
        let bytes = json::canonical(WHAT, self).map_err(in_note(archive))?;
        Ok(store.replace(&Key::refused(archive), &bytes)?)
    }

    /// A run succeeded: nothing is noted any more.
    ///
    /// # Errors
    /// The store's failure.
    pub fn forget(store: &dyn Store, archive: &ArchiveName) -> Result<(), UpstreamError> {
        match store.head(&Key::refused(archive))? {
            Some(_) => Ok(store.delete(&Key::refused(archive))?),
            None => Ok(()),
        }
    }

    /// What is noted, when the last run failed.
    ///
    /// # Errors
    /// When the note cannot be read.
    pub fn last(store: &dyn Store, archive: &ArchiveName) -> Result<Option<Self>, UpstreamError> {
        match store.get(&Key::refused(archive), LARGEST) {
            Ok(bytes) => json::strict(WHAT, &bytes).map(Some).map_err(in_note(archive)),
            Err(StoreError::Missing(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

fn in_note(archive: &ArchiveName) -> impl FnOnce(FormatError) -> UpstreamError {
    let url = Key::refused(archive).to_string();
    move |source| UpstreamError::Format { url, source }
}
