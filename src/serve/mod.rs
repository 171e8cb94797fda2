//! Serve: HTTP and pages. GET and HEAD only, and nothing that is not published.
//!
//! Owns the URL layout that a static host cannot give: snapshots by any of their names, pool files
//! that are fetched on first request, environments. Writes nothing but verified pool files.

mod error;
mod overlay;
mod server;

pub use error::ServeError;
pub use overlay::{Overlay, Overlays};
pub use server::{Running, ServeConfig, ServedArchive, Server};
