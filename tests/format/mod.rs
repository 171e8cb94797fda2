//! Tests of `format`: what our readers take, Debian's own readers take in the same way.

mod apt_lists;
mod deb;
mod deb822;
mod seeds;
mod source_package;
mod tar;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

/// `count` values of a strategy, the same in each run.
fn generate<S: Strategy>(strategy: &S, count: usize) -> Vec<S::Value> {
    let mut runner = TestRunner::deterministic();
    (0..count)
        .map(|_| {
            strategy
                .new_tree(&mut runner)
                .expect("a strategy without filters")
                .current()
        })
        .collect()
}
