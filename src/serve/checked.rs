//! Pool files that are what an index says, as far as this server has seen.
//!
//! A file is hashed before it is sent for the first time, and again when anything of it has changed since:
//! writing to a file sets its change time, which no program can set back.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::domain::PoolPath;
use crate::host::files::Stamp;

/// How many files are remembered: some 200 bytes each.
const MOST: usize = 200_000;

/// What was hashed, and how it looked then.
#[derive(Debug, Default)]
pub(super) struct Checked(Mutex<HashMap<PoolPath, Stamp>>);

impl Checked {
    /// Whether the file was hashed, and has not changed since.
    pub(super) fn has(&self, path: &PoolPath, stamp: &Stamp) -> bool {
        self.known().get(path) == Some(stamp)
    }

    /// The file was hashed as it looks so, and is what it should be.
    pub(super) fn add(&self, path: PoolPath, stamp: Stamp) {
        let mut known = self.known();
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(path, stamp);
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<PoolPath, Stamp>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
