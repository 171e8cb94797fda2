//! Snapshots: records, ids, names, the chain (DESIGN §4, §5).
//!
//! Owns what a snapshot is and which name means which. Record `n` is created if absent: that is the
//! only commit point of an archive and the lock between writers. After a crash there is the record,
//! whole, or none. Publishes nothing, signs nothing.

mod chain;
mod check;
mod content;
mod error;
mod record;

pub use chain::{Chain, Committed, commit, next};
pub use check::is_descriptive;
pub(crate) use content::upstream_inrelease_path;
pub use content::{content_digest, index_key, kept_index, read_index, read_plain_index, upstream_inrelease_key};
pub use error::SnapshotError;
pub use record::{IndexFile, Record, SuiteState, UpstreamRelease};
