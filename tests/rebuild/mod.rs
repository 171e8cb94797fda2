//! Tests of `rebuild`.
