//! gzip, xz, zstd: never more than the limit, whatever the input.
#![no_main]

use assay::format::compress::{Compression, decompress};
use libfuzzer_sys::fuzz_target;

const LIMIT: u64 = 1 << 20;

fuzz_target!(|data: &[u8]| {
    let compression = match data {
        [0x1f, ..] => Compression::Gzip,
        [0xfd, ..] => Compression::Xz,
        _ => Compression::Zstd,
    };
    if let Ok(bytes) = decompress(compression, data, LIMIT) {
        assert!(bytes.len() as u64 <= LIMIT);
    }
});
