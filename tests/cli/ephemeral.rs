//! `assay suite ephemeral`: stock apt takes it for one build, and it is in no archive.

use std::fs;

use super::{assay, text};
use crate::admission::site::deb;
use crate::support::apt::Apt;

#[test]
fn apt_installs_from_it_and_only_hashes_remain() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = deb("3.0", "just built");
    fs::write(folder.path().join("hello_3.0_amd64.deb"), &bytes).unwrap();
    fs::create_dir(folder.path().join("out")).unwrap();
    let ask = ["suite", "ephemeral", "--output", "out/overlay", "hello_3.0_amd64.deb"];
    let made = assay(folder.path(), &ask);
    assert!(made.status.success(), "{}", text(&made.stderr));
    let apt = Apt::new(&text(&made.stdout));
    apt.update();
    assert_eq!(apt.versions("hello"), ["3.0"]);
    let said = apt.get(&["download", "hello"]);
    assert!(said.ok, "{}", said.text);
    let manifest = fs::read_to_string(folder.path().join("out/overlay/manifest.json")).unwrap();
    assert!(
        manifest.contains(&assay::domain::Sha256::of(&bytes).hex()),
        "{manifest}"
    );
    // A second build has a suite of its own, by another key.
    assert_eq!(assay(folder.path(), &ask).status.code(), Some(2));
    let again = assay(
        folder.path(),
        &["suite", "ephemeral", "--output", "out/other", "hello_3.0_amd64.deb"],
    );
    assert!(again.status.success());
    let key = |folder: &std::path::Path| fs::read_to_string(folder.join("manifest.json")).unwrap();
    assert_ne!(
        key(&folder.path().join("out/overlay")),
        key(&folder.path().join("out/other"))
    );
    fs::write(folder.path().join("bad.deb"), b"no package").unwrap();
    let refused = assay(folder.path(), &["suite", "ephemeral", "--output", "out/bad", "bad.deb"]);
    assert!(!refused.status.success() && !folder.path().join("out/bad/dists").exists());
}
