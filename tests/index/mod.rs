//! Tests of `index`.

mod blocks;
mod catalog;
mod packages;

pub(crate) use blocks::filler;
