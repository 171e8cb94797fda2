//! Control data: what is read is written in a form that reads as the same.
#![no_main]

use assay::format::deb822::{Stanzas, paragraphs};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(all) = paragraphs("fuzz", data) else {
        return;
    };
    let written: Vec<Vec<u8>> = all.iter().map(|paragraph| paragraph.to_bytes()).collect();
    let again = paragraphs("fuzz", &written.join(&b"\n"[..])).expect("our own form is refused");
    assert_eq!(all, again);
    // The scanner's slices are the input, and hold the same fields.
    for (stanza, paragraph) in Stanzas::new(data).zip(&all) {
        let stanza = stanza.expect("two readers of one grammar");
        for (name, value) in paragraph.fields() {
            assert_eq!(stanza.field(name), value.lines().next().or(Some("")));
        }
    }
});
