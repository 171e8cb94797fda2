//! The checkout of an image that is built from snapshots, kept as Tails keeps its own: which snapshots
//! it may be built from, and its serial files.
//!
//! Files of a checkout are read without following a link, and Git is only asked which refs there are, by its own
//! program, which reads no setting of the checkout that could run something. Serial files of all branches of
//! a repository are read from objects that were fetched into a repository of ours.

mod branches;
mod facts;
mod resolve;
mod serials;
mod uncommitted;

pub use branches::{BranchSerial, BranchSerials, branch_serials};
pub use facts::{Checkout, head_of, tags_of};
pub use resolve::{Origin, Resolved};
pub use serials::{Frozen, SerialChange, Serials, change_serials, check_replayed, read_serials};
pub use uncommitted::{LINK, Uncommitted, uncommitted};
