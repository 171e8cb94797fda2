//! Whole .debs: what is read can be indexed or is refused, and never speaks for the archive.
#![no_main]

use assay::domain::{Digest, PoolPath};
use assay::format::deb::{DebLimits, read_deb};
use assay::format::deb822::Stanzas;
use assay::format::packages::Binary;
use assay::index::binary_stanza;
use libfuzzer_sys::fuzz_target;

const LIMITS: DebLimits = DebLimits {
    control: 1 << 20,
    data: 1 << 20,
    entries: 1000,
};

fuzz_target!(|data: &[u8]| {
    let Ok(deb) = read_deb(data, &LIMITS) else {
        return;
    };
    assert_eq!(deb.digest, Digest::of(data));
    let _ = deb.source();
    let filename = PoolPath::new("pool/main/t/tiny/tiny_1.0_all.deb").expect("plain");
    let Ok(stanza) = binary_stanza(&deb.control, &filename, &deb.digest) else {
        return;
    };
    let mut read: Vec<_> = Stanzas::new(&stanza).collect();
    assert_eq!(read.len(), 1);
    let only = read.pop().expect("one").expect("our own form");
    let binary = Binary::from_stanza(&only).expect("our own form");
    assert_eq!(
        (binary.package, binary.filename, binary.digest),
        (deb.package, filename, deb.digest)
    );
});
