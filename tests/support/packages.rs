//! Small packages, made by dpkg's own tools.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A .deb with one file, in this folder, under its own name.
pub(crate) fn deb_in(folder: &Path, name: &str, version: &str, architecture: &str, content: &str) -> PathBuf {
    deb_of(folder, (name, version, architecture), "", content)
}

/// The same with more fields, each with its newline.
pub(crate) fn deb_of(
    folder: &Path,
    (name, version, architecture): (&str, &str, &str),
    fields: &str,
    content: &str,
) -> PathBuf {
    deb_with(
        folder,
        (name, version, architecture),
        fields,
        &[(&format!("usr/share/{name}/content"), content.as_bytes())],
    )
}

/// The same with these files, by their paths.
pub(crate) fn deb_with(
    folder: &Path,
    (name, version, architecture): (&str, &str, &str),
    fields: &str,
    files: &[(&str, &[u8])],
) -> PathBuf {
    fs::create_dir_all(folder).unwrap();
    let tree = tempfile::tempdir().unwrap();
    let root = tree.path().join("tree");
    fs::create_dir_all(root.join("DEBIAN")).unwrap();
    for (path, content) in files {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    let section = if fields.contains("Section") {
        ""
    } else {
        "Section: misc\n"
    };
    let control = format!(
        "Package: {name}\nVersion: {version}\nArchitecture: {architecture}\n{section}{fields}Priority: optional\nMaintainer: T <t@example.org>\n\
         Description: a test\n of something\n"
    );
    fs::write(root.join("DEBIAN/control"), control).unwrap();
    let without_epoch = version.rsplit(':').next().unwrap();
    let path = folder.join(format!("{name}_{without_epoch}_{architecture}.deb"));
    let made = Command::new("dpkg-deb")
        .args(["--root-owner-group", "-Zgzip", "--build"])
        .args([&root, &path])
        .env("SOURCE_DATE_EPOCH", "1700000000")
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    path
}

/// A native source package in this folder: its .dsc.
pub(crate) fn source_in(folder: &Path, name: &str, version: &str) -> PathBuf {
    fs::create_dir_all(folder).unwrap();
    let tree = tempfile::tempdir().unwrap();
    let root = tree.path().join(format!("{name}-{version}"));
    fs::create_dir_all(root.join("debian/source")).unwrap();
    fs::write(root.join("debian/source/format"), "3.0 (native)\n").unwrap();
    let control = format!(
        "Source: {name}\nSection: misc\nPriority: optional\nMaintainer: T <t@example.org>\nStandards-Version: 4.6.2\n\n\
         Package: {name}\nArchitecture: all\nDescription: a test\n of something\n"
    );
    fs::write(root.join("debian/control"), control).unwrap();
    let changelog = format!(
        "{name} ({version}) stable; urgency=low\n\n  * It is.\n\n -- T <t@example.org>  Tue, 14 Nov 2023 22:13:20 +0000\n"
    );
    fs::write(root.join("debian/changelog"), changelog).unwrap();
    let made = Command::new("dpkg-source")
        .args(["--build", "."])
        .current_dir(&root)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    for entry in fs::read_dir(tree.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::copy(&path, folder.join(path.file_name().unwrap())).unwrap();
        }
    }
    folder.join(format!("{name}_{version}.dsc"))
}
