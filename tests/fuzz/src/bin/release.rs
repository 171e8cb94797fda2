//! Release files.
#![no_main]

use assay::format::release::Release;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(release) = Release::parse(data) else {
        return;
    };
    let _ = (release.date(), release.valid_until());
    for path in release.entries().keys() {
        assert!(
            path.as_str()
                .split('/')
                .all(|part| !part.is_empty() && !part.starts_with('.'))
        );
    }
});
