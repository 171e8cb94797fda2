//! Snapshots: records, renewals, tags, ids, names, the chain (DESIGN §4, §5).
//!
//! Owns what a snapshot is and which name means which. Record `n` is created if absent: that is the
//! only commit point of an archive and the lock between writers; renewals, tags and
//! marks are made in the same way. After a crash there is an entry, whole, or none. Publishes nothing, signs nothing.

mod chain;
mod check;
mod content;
mod diff;
mod edition;
mod entry;
mod error;
mod follows;
mod mark;
mod record;
mod renewal;
mod retention;
mod stanzas;
mod tag;

pub use chain::{Chain, Made, Records};
pub use check::{LONGEST_VALUE, is_descriptive, is_plain};
pub use content::{
    UpstreamFile, content_digest, index_key, kept_index, read_index, read_index_marked, read_plain_index,
    upstream_files,
};
pub use diff::{Change, IndexChange, PackageChange, Place, diff_indexes, diff_packages};
pub use edition::{Edition, EditionFile, EditionName};
pub use entry::{Committed, Entry, commit, newest as newest_number, parse_entry};
pub use error::SnapshotError;
pub use mark::{DamagedMark, Mark, Marked, Marks, Says};
pub use record::{CustomState, IndexFile, MadeFor, Record, Removed, SuiteState, UNPROVEN, UpstreamRelease};
pub use renewal::Renewal;
pub use retention::{Pins, Reading, Retention, Verdict};
pub use stanzas::{each_chunk, each_plain_chunk, file_indexes, package_indexes};
pub use tag::{TagRecord, TaggedRecord};
