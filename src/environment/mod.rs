//! Environments: resolve → lock → chroot (DESIGN §6).
//!
//! Owns what a build chroot consists of. Every package in it is in a snapshot of ours, by SHA-256;
//! the chroot is made of exactly those .debs and the same lock gives the same bytes.
//!
//! Three steps, each of which can be repeated by anybody:
//! [`resolve`] asks Debian's own apt, in a private root that sees the snapshots' Packages indexes and
//! nothing of this machine; [`locked_archive`] makes an APT archive that offers exactly the
//! resolved packages, so that nothing else can be installed from it; [`build_chroot`] has
//! mmdebstrap install it, and checks what was installed against the lock.
//!
//! After a crash there is the finished chroot or none: it is moved to its place when it is whole.
//! Never touches the store: bytes come in verified, and go out as values or to the named path.

mod archive;
mod catalog;
pub(crate) mod chroot;
mod compare;
mod error;
mod fetch;
mod input;
mod lock;
pub(crate) mod namespace;
mod order;
mod recorded;
mod resolve;
mod wanted;

pub use archive::{LockedArchive, locked_archive, set_digest};
pub use chroot::{ChrootJob, build_chroot};
pub use compare::{Comparison, Difference, Likeness, Side, compare};
pub use error::EnvironmentError;
pub use fetch::{fetch_inputs, fetch_packages};
pub use input::{locked_inputs, locked_snapshot, snapshot_input};
pub use lock::{Lock, LockOf, LockedBuildinfo, LockedChroot, LockedPackage, LockedSnapshot, LockedText};
pub use order::{Declared, SourceName, Step, declared_sources, order};
pub use recorded::{Recorded, Searched, find_recorded};
pub use resolve::{SnapshotInput, resolve};
pub use wanted::wanted;
