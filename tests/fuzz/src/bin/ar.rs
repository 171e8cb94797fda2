//! ar: the members account for every byte.
#![no_main]

use assay::format::ar::{Reader, content};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(mut reader) = Reader::new(data) else {
        return;
    };
    let mut total = 8_u64;
    loop {
        match reader.next_member() {
            Err(_) => return,
            Ok(None) => break,
            Ok(Some(member)) => {
                let Ok(bytes) = content(&mut reader, 1 << 20) else {
                    return;
                };
                assert_eq!(bytes.len() as u64, member.size);
                total += 60 + member.size + member.size % 2;
            }
        }
    }
    assert_eq!(total, data.len() as u64);
});
