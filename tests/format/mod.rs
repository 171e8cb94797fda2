//! Tests of `format`.

mod deb;
mod tar;
