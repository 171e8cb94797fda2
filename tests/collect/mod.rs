//! Tests of `collect`: what goes, what stays, and that nothing else ever happens.

mod custom;
mod damage;
mod faults;
mod killed;
mod many;
mod program;
mod state;
mod working;
