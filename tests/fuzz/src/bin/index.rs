//! Packages and Sources: a catalog made of an index, written and read again, is the same catalog.
#![no_main]

use assay::domain::{Architecture, Component};
use assay::format::packages::pool_files;
use assay::index::{Catalog, suite_indexes};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = pool_files(data).count();
    let main = Component::new("main").expect("plain");
    let architectures = [Architecture::new("amd64").expect("plain")];
    let written = |packages: &[u8], sources: &[u8]| {
        let mut catalog = Catalog::new();
        catalog.add_packages(&main, packages).ok()?;
        catalog.add_sources(&main, sources).ok()?;
        let files = suite_indexes(
            &catalog,
            std::slice::from_ref(&main),
            &architectures,
            Default::default(),
        )
        .ok()?;
        let plain = |name| {
            files
                .iter()
                .find(|(path, _)| path.file_name() == name)
                .map(|(_, bytes)| bytes.clone())
        };
        plain("Packages").zip(plain("Sources"))
    };
    for (packages, sources) in [(data, &b""[..]), (b"", data)] {
        if let Some((packages, sources)) = written(packages, sources) {
            assert_eq!(written(&packages, &sources), Some((packages, sources)));
        }
    }
});
