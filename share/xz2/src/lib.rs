//! The interface of `xz2`, by `liblzma`, which is that crate carried on over liblzma 5.8.
pub use liblzma::*;
