//! Tests of `index`.

mod blocks;
mod catalog;
mod contents;
mod packages;

pub(crate) use blocks::filler;
