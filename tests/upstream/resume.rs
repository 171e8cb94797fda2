//! Downloads that break off.

use assay::domain::{Coded as _, Digest};

use super::hours;
use crate::support::archive::{Archive, Mirror, key, noon};
use crate::support::http::{Rest, Trick, Upstream};

/// An upstream whose Packages.xz breaks off after 40 bytes, and what a mirror then has of it.
fn mirrored(rest: Rest) -> (Result<Vec<u8>, &'static str>, Vec<usize>, usize) {
    let signer = key("upstream");
    let upstream = Upstream::start();
    let files = Archive::new(hours(-1)).files(&signer);
    let good = files["dists/tin/main/binary-amd64/Packages.xz"].clone();
    upstream.set(files);
    let digest = Digest::of(&good).sha256.hex();
    upstream.trick(&digest, Trick::CutAt(40, rest));
    let mirror = Mirror::of(&signer);
    let followed = mirror.follow(&upstream.url(), noon());
    let asked = upstream
        .requests()
        .iter()
        .filter(|path| path.ends_with(&digest))
        .count();
    let kept = followed.map(|_| {
        let key = format!("foundry/dists/tin/main/binary-amd64/by-hash/SHA256/{digest}");
        mirror
            .store
            .get(&assay::store::Key::new(key).unwrap(), 1 << 20)
            .unwrap()
    });
    let kept = kept.map_err(|error| error.code());
    if let Ok(kept) = &kept {
        assert_eq!(kept, &good);
    }
    (kept, upstream.ranges(), asked)
}

#[test]
fn the_rest_is_asked_for_and_nothing_comes_twice() {
    let (kept, ranges, asked) = mirrored(Rest::Honest);
    assert!(kept.is_ok(), "{kept:?}");
    assert_eq!((ranges, asked), (vec![40], 2));
}

#[test]
fn a_server_without_ranges_sends_the_whole_again() {
    let (kept, ranges, _) = mirrored(Rest::Whole);
    assert!(kept.is_ok(), "{kept:?}");
    assert_eq!(ranges, [40]);
}

#[test]
fn an_answer_that_names_another_range_is_not_taken() {
    let (kept, ranges, asked) = mirrored(Rest::Misnamed);
    assert!(kept.is_ok(), "{kept:?}");
    // The third request is for the whole file.
    assert_eq!((ranges, asked), (vec![40], 3));
}

#[test]
fn pieces_of_two_files_are_fetched_once_more_in_one() {
    let (kept, ranges, asked) = mirrored(Rest::Flipped);
    assert!(kept.is_ok(), "{kept:?}");
    assert_eq!((ranges, asked), (vec![40], 3));
}

#[test]
fn tries_are_bounded() {
    let (kept, ranges, asked) = mirrored(Rest::CutAgain);
    assert_eq!(kept.unwrap_err(), "E-UP-002");
    assert_eq!((ranges, asked), (vec![40, 41], 3));
    let (kept, _, asked) = mirrored(Rest::Refused);
    assert_eq!(kept.unwrap_err(), "E-UP-002");
    assert_eq!(asked, 3);
}
