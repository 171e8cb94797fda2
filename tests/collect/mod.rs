//! Tests of `collect`: what goes, what stays, and that nothing else ever happens.

mod faults;
mod killed;
mod program;
mod working;
