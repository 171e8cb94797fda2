//! The catalog: output is a function of the set of stanzas, and nothing vanishes silently.

use assay::domain::{Architecture, Coded, Component, RelPath};
use assay::index::{Catalog, IndexError, suite_indexes};
use proptest::prelude::*;

fn component(name: &str) -> Component {
    Component::new(name).unwrap()
}

fn stanza(name: &str, version: &str, architecture: &str, byte: u8) -> String {
    format!(
        "Package: {name}\nVersion: {version}\nArchitecture: {architecture}\n\
         Filename: pool/{name}_{version}_{architecture}.deb\nSize: 1\nSHA256: {}\n",
        hex::encode([byte; 32])
    )
}

fn indexes(catalog: &Catalog) -> Result<Vec<(RelPath, Vec<u8>)>, IndexError> {
    let architectures = ["amd64", "arm64", "all"].map(|name| Architecture::new(name).unwrap());
    suite_indexes(
        catalog,
        &[component("main"), component("extra")],
        &architectures,
        Default::default(),
    )
}

fn text(files: &[(RelPath, Vec<u8>)], path: &str) -> String {
    let (_, bytes) = files.iter().find(|(there, _)| there.as_str() == path).unwrap();
    String::from_utf8(bytes.clone()).unwrap()
}

#[test]
fn every_index_is_there() {
    let all = stanza("tools", "1", "all", 1);
    let arm = stanza("tools-bin", "1", "arm64", 2);
    let both = format!("{arm}\n{all}\n");
    let mut catalog = Catalog::new();
    catalog.add_packages(&component("main"), both.as_bytes()).unwrap();
    catalog.add_packages(&component("main"), all.as_bytes()).unwrap();
    let files = indexes(&catalog).unwrap();
    let paths: Vec<&str> = files.iter().map(|(path, _)| path.as_str()).collect();
    let mut expected = Vec::new();
    for component in ["extra", "main"] {
        for index in ["binary-amd64/Packages", "binary-arm64/Packages", "source/Sources"] {
            expected.push(format!("{component}/{index}"));
        }
    }
    assert_eq!(paths, expected);
    assert_eq!(text(&files, "main/binary-amd64/Packages"), format!("{all}\n"));
    assert_eq!(text(&files, "main/binary-arm64/Packages"), format!("{all}\n{arm}\n"));
    assert_eq!(text(&files, "extra/binary-arm64/Packages"), "");
}

#[test]
fn udebs_are_listed_where_only_the_installer_looks() {
    let deb = stanza("tools", "1", "amd64", 1);
    let udeb = stanza("tools-udeb", "1", "amd64", 2).replace(".deb\n", ".udeb\n");
    let both = format!("{deb}\n{udeb}\n");
    let mut catalog = Catalog::new();
    catalog.add_packages(&component("main"), both.as_bytes()).unwrap();
    let files = indexes(&catalog).unwrap();
    assert_eq!(text(&files, "main/binary-amd64/Packages"), format!("{deb}\n"));
    let installers = "main/debian-installer/binary-amd64/Packages";
    assert_eq!(text(&files, installers), format!("{udeb}\n"));
    assert_eq!(files.len(), 7, "and no index for it where there is no udeb");
}

#[test]
fn contradictions_and_strays_are_refused() {
    let first = stanza("tools", "1", "amd64", 1);
    let refused = |place: &str, text: &str| {
        let mut catalog = Catalog::new();
        catalog.add_packages(&component("main"), first.as_bytes()).unwrap();
        let error = catalog.add_packages(&component(place), text.as_bytes()).unwrap_err();
        assert_eq!(error.code(), "E-INDEX-002", "{error}");
    };
    refused("main", &stanza("tools", "1", "amd64", 2));
    refused("main", &format!("{first}Tag: other\n"));
    refused("extra", &first);
    refused(
        "main",
        &stanza("tools", "1", "amd64", 3).replace("Version: 1", "Version: 1:1"),
    );
    for (place, architecture) in [("contrib", "amd64"), ("main", "i386"), ("main", "source")] {
        let stray = stanza("tools", "1", architecture, 1);
        let mut catalog = Catalog::new();
        catalog.add_packages(&component(place), stray.as_bytes()).unwrap();
        assert_eq!(
            indexes(&catalog).unwrap_err().code(),
            "E-INDEX-003",
            "{place} {architecture}"
        );
    }
}

#[test]
fn retain_takes_by_source() {
    let binary = stanza("tools-bin", "1.0+b1", "amd64", 1).replace("Version", "Source: tools (1.0)\nVersion");
    let both = format!("{binary}\n{}", stanza("other", "2", "amd64", 2));
    let mut catalog = Catalog::new();
    catalog.add_packages(&component("main"), both.as_bytes()).unwrap();
    catalog
        .retain(|name, version| (name.as_str(), version.as_str()) != ("tools", "1.0"))
        .unwrap();
    let left: Vec<String> = catalog
        .binaries()
        .map(|(_, binary)| binary.package.to_string())
        .collect();
    assert_eq!(left, ["other"]);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]
    #[test]
    fn order_of_input_does_not_show(
        packages in prop::collection::btree_map(
            ("[a-c]{2}", "[0-9]\\.[0-9a~+]{1,3}", prop::sample::select(vec!["amd64", "arm64", "all"])),
            (any::<u8>(), any::<bool>()),
            0..12,
        ),
        seed in any::<u64>(),
    ) {
        let mut all: Vec<(Component, String)> = packages
            .iter()
            .map(|((name, version, architecture), (byte, main))| {
                let place = if *main { "main" } else { "extra" };
                (component(place), stanza(name, version, architecture, *byte))
            })
            .collect();
        let made = |all: &[(Component, String)]| {
            let mut catalog = Catalog::new();
            for (place, stanza) in all {
                catalog.add_packages(place, stanza.as_bytes()).unwrap();
            }
            indexes(&catalog).unwrap()
        };
        let first = made(&all);
        // Any other order: sorted by a hash that the seed changes.
        all.sort_by_key(|(_, stanza)| assay::domain::Sha256::of(format!("{seed}{stanza}").as_bytes()));
        prop_assert_eq!(&first, &made(&all));
        // And the output, read again, gives itself.
        let mut catalog = Catalog::new();
        for (path, bytes) in first.iter().filter(|(path, _)| path.file_name() == "Packages") {
            catalog.add_packages(&component(path.as_str().split('/').next().unwrap()), bytes).unwrap();
        }
        prop_assert_eq!(&first, &indexes(&catalog).unwrap());
    }
}
