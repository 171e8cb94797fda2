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
pub mod host;
pub mod format;
pub mod store;
pub mod trust;
pub mod lint;
pub mod site;
pub mod snapshot;
pub mod index;
pub mod upstream;
pub mod source;
pub mod environment;
pub mod rebuild;
pub mod admission;
pub mod publish;
pub mod collect;
pub mod verify;
pub mod query;
pub mod prepare;
pub mod serve;
pub mod cli;
