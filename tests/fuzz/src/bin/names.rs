//! Names, versions, paths, references: what is taken is safe, and means itself.
#![no_main]

use std::cmp::Ordering;

use assay::domain::{
    Architecture, ArchiveName, BuilderId, Component, Fingerprint, GitRef, PackageName, PoolPath, SnapshotRef,
    SuiteName, Timestamp, Version, escape,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let shown = escape(text);
    assert!(!shown.chars().any(char::is_control));
    if let Ok(path) = PoolPath::new(text) {
        assert!(
            path.as_str()
                .split('/')
                .all(|part| !part.is_empty() && !part.starts_with('.'))
        );
        assert!(path.as_str().is_ascii() && !path.as_str().contains(['\\', '%', ' ']));
    }
    if let Ok(reference) = text.parse::<SnapshotRef>() {
        assert_eq!(reference.to_string().parse::<SnapshotRef>().as_ref(), Ok(&reference));
    }
    let _ = (
        PackageName::new(text),
        Component::new(text),
        SuiteName::new(text),
        Architecture::new(text),
    );
    let _ = (
        ArchiveName::new(text),
        BuilderId::new(text),
        Fingerprint::new(text),
        GitRef::new(text),
    );
    for parse in [
        Timestamp::parse_release_date,
        Timestamp::parse_rfc2822,
        Timestamp::parse_rfc3339,
    ] {
        if let Ok(at) = parse(text) {
            assert_eq!(Timestamp::parse_release_date(&at.release_date()), Ok(at));
        }
    }
    let versions: Vec<Version> = text
        .split(' ')
        .take(3)
        .filter_map(|word| Version::new(word).ok())
        .collect();
    if let [a, b, c] = versions.as_slice() {
        assert_eq!(a.dpkg_cmp(b), b.dpkg_cmp(a).reverse());
        if a.dpkg_cmp(b) != Ordering::Greater && b.dpkg_cmp(c) != Ordering::Greater {
            assert_ne!(a.dpkg_cmp(c), Ordering::Greater, "{a} {b} {c}");
        }
    }
});
