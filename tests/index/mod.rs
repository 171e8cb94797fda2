//! Tests of `index`.

mod catalog;
mod packages;
