//! Tests of `domain`: versions are ordered as dpkg orders them.

use std::cmp::Ordering;

use assay::domain::Version;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::support::dpkg_perl;

/// Pairs that differ little: that is where orders differ.
fn pairs(count: usize) -> Vec<(Version, Version)> {
    let piece = prop::sample::select(
        &[
            "0", "1", "00", "01", "9", "10", "~", "~~", "+", ".", "-", "a", "B", "z", "rc1", "+b1", "~bpo12+1", "1:",
            "0:", "dfsg",
        ][..],
    );
    let rest = || prop::collection::vec(piece.clone(), 0..4).prop_map(|pieces| pieces.concat());
    let strategy = (
        prop_oneof!["", "0:", "1:", "12:"],
        prop_oneof!["", "0:", "1:"],
        "[0-9]",
        rest(),
        rest(),
        rest(),
    );
    let mut runner = TestRunner::deterministic();
    let mut pairs = Vec::new();
    while pairs.len() < count {
        let (one, other, digit, common, mine, theirs) = strategy.new_tree(&mut runner).unwrap().current();
        let mine = Version::new(format!("{one}{digit}{common}{mine}"));
        let theirs = Version::new(format!("{other}{digit}{common}{theirs}"));
        if let (Ok(mine), Ok(theirs)) = (mine, theirs) {
            pairs.push((mine, theirs));
        }
    }
    pairs
}

#[test]
fn versions_are_ordered_as_dpkg_orders_them() {
    let pairs = pairs(20_000);
    let cases: Vec<Vec<u8>> = pairs.iter().map(|(a, b)| format!("{a} {b}").into_bytes()).collect();
    let program = r"
        my ($one, $other) = map { Dpkg::Version->new($_, check => 1) } split / /;
        die unless $one->is_valid() && $other->is_valid();
        ($one <=> $other)
    ";
    let answers = dpkg_perl::each("use Dpkg::Version;", program, &cases);
    let mut seen = [0; 3];
    for ((a, b), dpkg) in pairs.iter().zip(answers) {
        let order = match dpkg.expect("dpkg takes each version that we take").concat().as_slice() {
            b"-1" => Ordering::Less,
            b"0" => Ordering::Equal,
            b"1" => Ordering::Greater,
            other => panic!("{other:?}"),
        };
        seen[(order as i8 + 1) as usize] += 1;
        assert_eq!(a.dpkg_cmp(b), order, "{a} {b}");
        assert_eq!(b.dpkg_cmp(a), order.reverse(), "{b} {a}");
    }
    assert!(seen.iter().all(|count| *count > 500), "{seen:?}");
}
