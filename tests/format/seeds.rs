//! The fuzzers start from good input: each seed is read by the reader that it is for.

use std::path::Path;

use assay::format::compress::{Compression, decompress};
use assay::format::deb::{DebLimits, read_deb};
use assay::format::tar::{Limits, read};
use assay::format::{
    buildinfo, changelog, changes, control, deb822, dsc, dsse, json, manifest, packages, relation, release,
};
use assay::snapshot::Record;

#[test]
fn every_seed_is_good_input() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus");
    let seeds = |target: &str| -> Vec<(String, Vec<u8>)> {
        let folder = std::fs::read_dir(root.join(target)).unwrap();
        let paths = folder.map(|entry| entry.unwrap().path());
        let seed = |path: std::path::PathBuf| (path.file_name().unwrap().to_str().unwrap().to_owned(), path);
        paths
            .map(seed)
            .map(|(name, path)| (name, std::fs::read(path).unwrap()))
            .collect()
    };
    let seed = |target, name| seeds(target).into_iter().find(|(there, _)| there == name).unwrap().1;
    let text = |target, name| String::from_utf8(seed(target, name)).unwrap();
    let limits = Limits {
        bytes: 1 << 20,
        entries: 100,
        keep_content: false,
        pax: true,
        foreign: false,
    };
    for (name, bytes) in seeds("tar") {
        assert!(read(&bytes[..], &limits).unwrap().len() >= 2, "{name}");
    }
    for (name, bytes) in seeds("deb") {
        read_deb(&bytes[..], &DebLimits::default()).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    for (name, bytes) in seeds("decompress") {
        let compression = match name.split('-').next() {
            Some("gzip") => Compression::Gzip,
            Some("xz") => Compression::Xz,
            _ => Compression::Zstd,
        };
        decompress(compression, &bytes, 1 << 20).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    for (name, bytes) in seeds("index") {
        assert!(packages::pool_files(&bytes).all(|file| file.is_ok()), "{name}");
    }
    for (name, bytes) in seeds("manifest") {
        let read = manifest::Manifest::parse(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(!read.binaries.is_empty(), "{name}");
    }
    assert_eq!(deb822::paragraphs("seed", &seed("deb822", "control")).unwrap().len(), 2);
    assert_eq!(
        release::Release::parse(&seed("release", "release"))
            .unwrap()
            .entries()
            .len(),
        2
    );
    dsc::Dsc::parse(&seed("control", "dsc")).unwrap();
    changes::Changes::parse(&seed("control", "changes")).unwrap();
    buildinfo::Buildinfo::parse(&seed("control", "buildinfo")).unwrap();
    control::SourceControl::parse(&seed("control", "source")).unwrap();
    changelog::parse_head(&seed("control", "changelog")).unwrap();
    relation::Relations::parse("Depends", &text("control", "relation")).unwrap();
    dsse::Envelope::parse(&seed("documents", "envelope")).unwrap();
    json::strict::<Record>("seed", &seed("documents", "record")).unwrap();
}
