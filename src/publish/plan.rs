//! What publishing a snapshot consists of, as a list: pure.

use super::Signed;
use crate::domain::Digest;
use crate::snapshot::Record;
use crate::store::Key;

/// One step. Doing it again changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Reads the object as a reader would: it must be there, and be these bytes.
    Check {
        /// Which object.
        key: Key,
        /// What it must be.
        digest: Digest,
    },
    /// Gives an object a second name.
    Link {
        /// The object by hash.
        from: Key,
        /// Its public name.
        to: Key,
        /// What it is.
        digest: Digest,
    },
    /// Writes an immutable object.
    Create {
        /// Its name, with its hash in it.
        key: Key,
        /// Its bytes.
        bytes: Vec<u8>,
    },
    /// Moves a pointer.
    Replace {
        /// Its name.
        key: Key,
        /// Its new bytes.
        bytes: Vec<u8>,
    },
    /// Ends here when this record is there: a newer snapshot owns the rest.
    StopIfThere(Key),
}

/// The steps that publish a record. `releases` has for each suite of the record its Release file and
/// the signed forms. With `newest` they also make it what `dists/<suite>/` shows.
#[must_use]
pub fn plan(_record: &Record, _releases: &[(Vec<u8>, Signed)], _newest: bool) -> Vec<Step> {
    todo!()
}
