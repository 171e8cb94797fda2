//! Manifests: build manifests of Tails, package lists, stanzas, `.buildinfo` files.
#![no_main]

use assay::format::manifest::{Manifest, WantedArchitecture};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(manifest) = Manifest::parse(data) else { return };
    let exact = |wanted: &&_| {
        let wanted: &assay::format::manifest::Wanted = wanted;
        matches!(wanted.architecture, WantedArchitecture::Exactly(_))
    };
    let all = manifest.binaries.iter().chain(&manifest.sources);
    if !all.clone().all(|wanted| exact(&wanted)) {
        return;
    }
    let written = manifest.to_v2();
    assert_eq!(Manifest::parse(&written).expect("our own form is refused"), manifest);
    let first = manifest.to_v1();
    if first.len() > "---\n".len() {
        let read = Manifest::parse(&first).expect("our own form is refused");
        assert_eq!(read.to_v1(), first);
    }
});
