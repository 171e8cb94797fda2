//! Environments: resolve → lock → chroot (DESIGN §6).
//!
//! Owns what a build chroot consists of. Every package in it is in a snapshot of ours, by SHA-256;
//! the chroot is made of exactly those .debs and the same lock gives the same bytes.

mod lock;

pub use lock::{Lock, LockedChroot, LockedPackage, LockedSnapshot};
