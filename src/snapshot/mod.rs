//! Snapshots: records, ids, names, the chain (DESIGN §4, §5).
//!
//! Owns what a snapshot is and which name means which. Record `n` is created if absent: that is the
//! only commit point of an archive and the lock between writers. Publishes nothing, signs nothing.

mod record;

pub use record::{IndexFile, Record, SuiteState, UpstreamRelease};
