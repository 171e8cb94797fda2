//! Source control data: .dsc, .changes, .buildinfo, debian/control, debian/changelog, relations.
#![no_main]

use assay::domain::{FileName, PoolPath};
use assay::format::buildinfo::Buildinfo;
use assay::format::changelog::parse_head;
use assay::format::changes::Changes;
use assay::format::control::SourceControl;
use assay::format::deb822;
use assay::format::dsc::Dsc;
use assay::format::relation::Relations;
use assay::index::source_stanza;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = (
        Changes::parse(data),
        Buildinfo::parse(data),
        SourceControl::parse(data),
        parse_head(data),
    );
    if let (Ok(_), Ok(paragraph)) = (Dsc::parse(data), deb822::paragraph("fuzz", data)) {
        let name = FileName::new("tiny_1.0.dsc").expect("plain");
        let directory = PoolPath::new("pool/main/t/tiny").expect("plain");
        let _ = source_stanza(&paragraph, &name, data, &directory);
    }
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = Relations::parse("Depends", text);
    }
});
