//! Collect: who needs which snapshots, and what becomes of those that nobody needs (DESIGN §4).
//!
//! Owns garbage collection: mark and sweep over an archive's editions. Asks `snapshot::Retention`
//! what stays, after it has read everything that pins snapshots: environment locks of the site, and
//! serial files on the branches of Git repositories. Writes marks, and removes objects; makes none.

mod error;
mod gc;
mod held;
mod marking;
mod pins;
mod reading;
mod scan;
mod standing;
mod working;

pub use error::CollectError;
pub use gc::{Collected, Collection, Finding, collect};
pub use held::{Awaited, unheld, waiting};
pub use marking::{load_marks, mark};
pub use pins::{Pinned, pinned};
pub use reading::reading;
pub use working::{Work, Working, work};
