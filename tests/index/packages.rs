//! Packages and Sources: the same field values as Debian's own tools give, and apt reads them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use assay::domain::{Architecture, Component, Digest, FileName, PoolPath};
use assay::format::deb::{DebLimits, read_deb};
use assay::format::deb822::{self, Stanzas};
use assay::index::{Catalog, binary_stanza, debug_symbols_apart, source_stanza, suite_indexes};
use sha2::{Digest as _, Sha256};

use crate::support::debs::debs;

/// An archive on disk: `pool/` with real .debs and one source package of our own.
struct Archive {
    root: tempfile::TempDir,
    architecture: String,
    packages: Vec<u8>,
    sources: Vec<u8>,
}

const DSC: &str = "tiny_1.0.dsc";

impl Archive {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let pool = root.path().join("pool");
        std::fs::create_dir(&pool).unwrap();
        let mut packages = Vec::new();
        for path in debs() {
            // A colon, as apt-get download has it for an epoch, is no part of names in a pool.
            let name = path.file_name().unwrap().to_str().unwrap().replace("%3a", "_");
            let bytes = std::fs::read(&path).unwrap();
            std::fs::write(pool.join(&name), &bytes).unwrap();
            let deb = read_deb(&bytes[..], &DebLimits::default()).unwrap();
            let filename = PoolPath::new(format!("pool/{name}")).unwrap();
            packages.extend(binary_stanza(&deb.control, &filename, &deb.digest).unwrap());
            packages.push(b'\n');
        }
        source_package(&pool);
        let bytes = std::fs::read(pool.join(DSC)).unwrap();
        let dsc = deb822::paragraph("dsc", &bytes).unwrap();
        let name = FileName::new(DSC).unwrap();
        let sources = source_stanza(&dsc, &name, &bytes, &PoolPath::new("pool").unwrap()).unwrap();
        let architecture = run(Command::new("dpkg").arg("--print-architecture")).trim().to_owned();
        Self {
            root,
            architecture,
            packages,
            sources,
        }
    }

    /// Writes dists/ with a Release file, and gives the uncompressed Packages and Sources.
    fn publish(&self) -> (Vec<u8>, Vec<u8>) {
        let components = [Component::new("main").unwrap()];
        let architectures = [
            Architecture::all(),
            Architecture::new(self.architecture.as_str()).unwrap(),
        ];
        let mut catalog = Catalog::new();
        catalog.add_packages(&components[0], &self.packages).unwrap();
        catalog.add_sources(&components[0], &self.sources).unwrap();
        let files = suite_indexes(&catalog, &components, &architectures, Default::default()).unwrap();
        let dists = self.root.path().join("dists/test");
        let mut release = format!(
            "Origin: Test\nSuite: test\nCodename: test\nDate: Sat, 11 Jul 2026 10:16:37 UTC\n\
             Architectures: {}\nComponents: main\nSHA256:\n",
            self.architecture
        );
        let mut plain = BTreeMap::new();
        for (path, bytes) in files {
            release += &format!(" {} {} {path}\n", hex::encode(Sha256::digest(&bytes)), bytes.len());
            let to = dists.join(path.as_str());
            std::fs::create_dir_all(to.parent().unwrap()).unwrap();
            std::fs::write(to, &bytes).unwrap();
            plain.insert(path.file_name().to_owned(), bytes);
        }
        std::fs::write(dists.join("Release"), release).unwrap();
        (plain["Packages"].clone(), plain["Sources"].clone())
    }
}

fn source_package(pool: &Path) {
    let work = tempfile::tempdir().unwrap();
    let debian = work.path().join("tiny-1.0/debian");
    std::fs::create_dir_all(debian.join("source")).unwrap();
    std::fs::write(debian.join("source/format"), "3.0 (native)\n").unwrap();
    std::fs::write(
        debian.join("changelog"),
        "tiny (1.0) unstable; urgency=low\n\n  * First.\n\n -- A <a@example.org>  Sat, 11 Jul 2026 10:16:37 +0000\n",
    )
    .unwrap();
    std::fs::write(
        debian.join("control"),
        "Source: tiny\nSection: misc\nPriority: optional\nMaintainer: A <a@example.org>\nStandards-Version: 4.6.2\n\
         Build-Depends: debhelper-compat (= 13)\n\nPackage: tiny\nArchitecture: all\nDescription: tiny\n Long.\n",
    )
    .unwrap();
    run(Command::new("dpkg-source").args(["-b", "tiny-1.0"]).current_dir(&work));
    for name in [DSC, "tiny_1.0.tar.xz"] {
        std::fs::copy(work.path().join(name), pool.join(name)).unwrap();
    }
}

fn run(command: &mut Command) -> String {
    let output = command.env("LC_ALL", "C.UTF-8").output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Package → field in lower case → value, without the fields that only one side has on purpose.
fn values(index: &[u8]) -> BTreeMap<String, BTreeMap<String, String>> {
    let ours_not = [
        "md5sum",
        "sha1",
        "sha512",
        "description-md5",
        "checksums-sha1",
        "checksums-sha512",
    ];
    let mut all = BTreeMap::new();
    for stanza in Stanzas::new(index) {
        let paragraph = stanza.unwrap().to_paragraph();
        let mut fields: BTreeMap<String, String> = paragraph
            .fields()
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect();
        fields.retain(|name, _| !ours_not.contains(&name.as_str()));
        for list in ["files", "checksums-sha256", "package-list"] {
            // A set of lines: the tools differ in where the .dsc stands.
            if let Some(value) = fields.get_mut(list) {
                let lines: BTreeSet<&str> = value.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
                *value = lines.into_iter().collect::<Vec<_>>().join("\n");
            }
        }
        all.insert(fields["package"].clone(), fields);
    }
    all
}

#[test]
fn values_are_those_of_debians_tools() {
    let archive = Archive::new();
    let (packages, sources) = archive.publish();
    let tool = |name: &str, args: &[&str]| run(Command::new(name).args(args).current_dir(&archive.root)).into_bytes();
    let ours = values(&packages);
    assert_eq!(ours.len(), debs().len());
    assert_eq!(ours, values(&tool("apt-ftparchive", &["packages", "pool"])));
    assert_eq!(ours, values(&tool("dpkg-scanpackages", &["pool"])));
    let ours = values(&sources);
    let theirs = values(&tool("apt-ftparchive", &["sources", "pool"]));
    assert_eq!(ours["tiny"], theirs["tiny"]);
}

#[test]
fn apt_reads_them() {
    let archive = Archive::new();
    archive.publish();
    let apt = tempfile::tempdir().unwrap();
    for folder in [
        "etc/apt/apt.conf.d",
        "etc/apt/preferences.d",
        "var/lib/dpkg",
        "var/cache/apt",
        "out",
    ] {
        std::fs::create_dir_all(apt.path().join(folder)).unwrap();
    }
    std::fs::write(apt.path().join("var/lib/dpkg/status"), "").unwrap();
    let line = format!("[trusted=yes] copy:{} test main\n", archive.root.path().display());
    std::fs::write(
        apt.path().join("etc/apt/sources.list"),
        format!("deb {line}deb-src {line}"),
    )
    .unwrap();
    let apt_get = |args: &[&str]| {
        let mut command = Command::new("apt-get");
        command
            .arg("-qq")
            .arg("-o")
            .arg(format!("Dir={}", apt.path().display()));
        command.args([
            "-o",
            "Dir::State::status=var/lib/dpkg/status",
            "-o",
            "APT::Sandbox::User=",
        ]);
        let status = format!(
            "Dir::State::status={}",
            apt.path().join("var/lib/dpkg/status").display()
        );
        command
            .args(["-o", &status])
            .args(args)
            .current_dir(apt.path().join("out"));
        run(&mut command)
    };
    apt_get(&["update"]);
    apt_get(&["download", "hello", "tzdata"]);
    apt_get(&["source", "--download-only", "tiny"]);
    let mut fetched: Vec<String> = std::fs::read_dir(apt.path().join("out"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    fetched.sort();
    let starts: Vec<&str> = fetched.iter().map(|name| name.split('_').next().unwrap()).collect();
    assert_eq!(starts, ["hello", "tiny", "tiny", "tzdata"]);
}

#[test]
fn a_control_file_cannot_speak_for_the_archive() {
    let filename = PoolPath::new("pool/a.deb").unwrap();
    let stanza = |text: &str| {
        let control = deb822::paragraph("control", text.as_bytes()).map_err(|error| error.to_string())?;
        binary_stanza(&control, &filename, &Digest::of(b"")).map_err(|error| error.to_string())
    };
    let good = "Architecture: all\nVersion: 1\nPackage: tiny\nDescription: tiny\n long\n .\n  more\n";
    let written = String::from_utf8(stanza(good).unwrap()).unwrap();
    let expected = format!(
        "Package: tiny\nArchitecture: all\nVersion: 1\nDescription: tiny\n long\n .\n  more\nFilename: pool/a.deb\nSize: 0\nSHA256: {}\n",
        Digest::of(b"").sha256
    );
    assert_eq!(written, expected);
    for field in [
        "Filename: pool/evil.deb",
        "SHA256: 00",
        "size: 1",
        "MD5Sum: 00",
        "Status: install ok installed",
    ] {
        assert!(
            stanza(&format!("{good}{field}\n"))
                .unwrap_err()
                .contains("only an index may set"),
            "{field}"
        );
    }
    for bad in [
        "Version: 1\nArchitecture: all\n",
        "Package: tiny\nArchitecture: all\n",
        "Package: tiny\nVersion: 1\n",
    ] {
        assert!(stanza(bad).is_err(), "{bad}");
    }
}

/// What a build split off by itself, and nothing that is only called so.
#[test]
fn debug_symbols_are_told_by_name_and_field() {
    let stanza = |name: &str, more: &str| format!("Package: {name}\nVersion: 1\n{more}\n");
    let split = stanza("hello-dbgsym", "Auto-Built-Package: debug-symbols\n");
    let others =
        stanza("hello", "") + &stanza("tool-dbgsym", "") + &stanza("odd", "Auto-Built-Package: debug-symbols\n");
    let (symbols, rest) = debug_symbols_apart((split.clone() + &others).as_bytes()).unwrap();
    assert_eq!(String::from_utf8(symbols).unwrap(), split);
    assert_eq!(String::from_utf8(rest).unwrap(), others);
}
