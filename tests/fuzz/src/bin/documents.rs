//! JSON documents: DSSE envelopes, statements, snapshot records, locks.
#![no_main]

use assay::environment::Lock;
use assay::format::dsse::Envelope;
use assay::format::intoto::{Statement, Summary};
use assay::format::json::{canonical, strict};
use assay::snapshot::Record;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|data: &[u8]| {
    if let Ok(envelope) = Envelope::parse(data) {
        let written = envelope.to_bytes().expect("JSON");
        assert_eq!(Envelope::parse(&written).expect("our own form is refused"), envelope);
    }
    if let Ok(value) = strict::<Value>("fuzz", data) {
        let written = canonical("fuzz", &value).expect("JSON");
        assert_eq!(
            strict::<Value>("fuzz", &written).expect("our own form is refused"),
            value
        );
    }
    if let Ok(record) = strict::<Record>("fuzz", data) {
        let written = canonical("fuzz", &record).expect("JSON");
        assert_eq!(
            strict::<Record>("fuzz", &written).expect("our own form is refused"),
            record
        );
    }
    let _ = (strict::<Lock>("fuzz", data), strict::<Statement<Summary>>("fuzz", data));
});
