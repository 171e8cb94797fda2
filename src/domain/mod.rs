//! Values: names, versions, digests, pool paths, snapshot ids, architectures, instants.
//!
//! Owns the words of the project. Every string that comes from outside becomes one of these types
//! at the edge; fields are private, constructors validate, and nothing here reads a file, a clock
//! or the network. No other module may give one of these words a second meaning.

mod digest;
mod error;
mod host;
mod instant;
mod name;
mod path;
mod snapshot_id;
mod version;

pub use digest::{Digest, Fingerprint, GitOid, Milestones, Sha256, SignedByKey};
pub use error::{Coded, DomainError, Kind, escape};
pub use host::HostName;
pub use instant::Timestamp;
pub use name::{
    Architecture, ArchiveName, BuilderId, Component, GitRef, PackageName, PolicyName, PublicUrl, Section, SuiteName,
    suite_of_branch,
};
pub use path::{FileName, FlatFolder, ObjectName, PoolPath, RelPath, SourceFolder};
pub use snapshot_id::{Serial, SnapshotId, SnapshotName, SnapshotRef, TagName};
pub use version::Version;
