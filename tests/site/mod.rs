//! Tests of `site`.
