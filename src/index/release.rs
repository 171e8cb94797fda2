//! Our Release files (Debian wiki, RepositoryFormat): pure.

use crate::snapshot::SuiteState;

/// The Release file of a suite, unsigned. `snapshots_url` is the `Snapshots` field, with its
/// `@SNAPSHOTID@`. No value can begin a line of its own, whatever it has in it.
#[must_use]
pub fn release_text(_suite: &SuiteState, _valid_days: Option<u32>, _snapshots_url: Option<&str>) -> Vec<u8> {
    todo!()
}
