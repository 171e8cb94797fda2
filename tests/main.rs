//! One integration binary, a folder per stage. Real parts: apt, dpkg, gpgv, git, mmdebstrap.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice
)]
#![allow(
    clippy::disallowed_methods,
    reason = "tests touch files and programs as a user would"
)]
#![allow(missing_docs)]

mod admission;
mod architecture;
mod cli;
mod collect;
mod domain;
mod environment;
mod format;
mod index;
mod lint;
mod prepare;
mod publish;
mod query;
mod rebuild;
mod serve;
mod site;
mod snapshot;
mod source;
mod store;
mod support;
mod trust;
mod upstream;
mod verify;
