//! Assay: an APT repository manager that proves where every package came from.
//!
//! The modules follow the flow, and an import only ever goes up this list (`tests/architecture.rs`):
//!
//! ```text
//! upstream archive ──verify──► snapshot ──lock──► environment ─┐
//!                                                              ├─► rebuild ──record──► admission ──► index ──► publish ──► apt
//! Git repository ──verify tag──► source package ───────────────┘                                               └──► verify
//! ```

pub mod domain;
pub mod environment;
pub mod format;
pub mod host;
pub mod site;
pub mod snapshot;
pub mod source;
pub mod store;
