//! Publish: plan → stage → commit → flip; recovery (DESIGN §4).
//!
//! Owns the public tree of an archive: a pure projection of its snapshot records. The indexes lie in
//! the store, by hash, before a record is made; the record is the commit; what is done here can be
//! done again after a crash at any point, and finishes to the same bytes. InRelease moves last, so
//! that a reader sees the old state or the new one, whole. Never writes a record, an index, or a
//! pool file.

mod error;
mod plan;
mod project;
mod sign;

pub use error::PublishError;
pub use plan::{Release, Step, plan};
pub use project::{Published, PublishedSuite, project, publish};
pub use sign::{ReleaseSigner, Signed};
