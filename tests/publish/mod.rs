//! Tests of `publish`: real apt and gpgv read what comes out, and crashes at every step.

mod client;
mod crash;
mod renew;
mod writers;
