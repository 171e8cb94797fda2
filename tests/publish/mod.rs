//! Tests of `publish`: real apt and gpgv read what comes out, and crashes at every step.

mod client;
mod reader;
pub(crate) mod crash;
mod faults;
mod renew;
mod suites;
mod unproven;
mod writers;
