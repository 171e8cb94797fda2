//! Serve: HTTP and pages. GET and HEAD only, and nothing that is not published (threats K5).
//!
//! Owns the URL layout that a static host cannot give: snapshots by any of their names, pool files
//! that are fetched on first request, environments. Writes nothing but verified pool files, so a
//! crash leaves the store as it was, or with one more of them.

mod answer;
mod app;
mod checked;
mod error;
mod listener;
mod meant;
mod object;
mod overlay;
mod pages;
mod route;
mod server;

pub use error::ServeError;
pub use overlay::{Overlay, Overlays};
pub use server::{Running, ServeConfig, ServedArchive, Server};
