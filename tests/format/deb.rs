//! .debs: real ones are read as dpkg reads them; everything odd is refused.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use assay::domain::Sha256;
use assay::format::compress::{Compression, compress};
use assay::format::deb::{Deb, DebHead, DebLimits, read_deb, read_deb_head};
use assay::format::tar::{Body, NewEntry, TarKind, Writer};

use crate::support::debs::debs;

/// Path → permissions and what it is, as one line each.
type Listing = BTreeMap<String, String>;

#[test]
fn real_debs_are_read_as_dpkg_reads_them() {
    let mut privileged = 0;
    for path in debs() {
        let bytes = std::fs::read(&path).unwrap();
        let deb = read_deb(&bytes[..], &DebLimits::default()).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert_eq!(deb.digest.sha256, Sha256::of(&bytes));
        let shown = Command::new("dpkg-deb").arg("-f").arg(&path).output().unwrap();
        assert_eq!(deb.control.to_bytes(), shown.stdout, "{}", path.display());
        let root = tempfile::tempdir().unwrap();
        let status = Command::new("dpkg-deb")
            .arg("-x")
            .arg(&path)
            .arg(root.path())
            .status()
            .unwrap();
        assert!(status.success());
        let mut expected = Listing::new();
        on_disk(root.path(), root.path(), &mut expected);
        assert_eq!(listed(&deb), expected, "{}", path.display());
        privileged += deb.privileged().count();
    }
    assert!(privileged >= 3, "passwd has setuid programs");
}

fn on_disk(root: &Path, folder: &Path, listing: &mut Listing) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let metadata = std::fs::symlink_metadata(&path).unwrap();
        let what = if metadata.is_symlink() {
            format!("-> {}", std::fs::read_link(&path).unwrap().display())
        } else if metadata.is_dir() {
            on_disk(root, &path, listing);
            format!("{:o} dir", metadata.permissions().mode() & 0o7777)
        } else {
            let sha256 = Sha256::of(&std::fs::read(&path).unwrap());
            format!("{:o} {sha256}", metadata.permissions().mode() & 0o7777)
        };
        listing.insert(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned(), what);
    }
}

fn listed(deb: &Deb) -> Listing {
    let line = |entry: &assay::format::tar::TarEntry| match &entry.kind {
        TarKind::Symlink(target) => format!("-> {target}"),
        TarKind::Directory => format!("{:o} dir", entry.mode),
        TarKind::File(digest) | TarKind::Hardlink { digest, .. } => format!("{:o} {}", entry.mode, digest.sha256),
    };
    let entries = deb.data.iter().filter(|entry| entry.path != ".");
    entries.map(|entry| (entry.path.clone(), line(entry))).collect()
}

fn ar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = b"!<arch>\n".to_vec();
    for (name, bytes) in members {
        out.extend(format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, 100644, bytes.len()).bytes());
        out.extend_from_slice(bytes);
        if bytes.len() % 2 == 1 {
            out.push(b'\n');
        }
    }
    out
}

fn tar(files: &[(&str, &str)]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for (path, text) in files {
        let body = Body::File(text.as_bytes());
        writer
            .append(&NewEntry {
                path,
                mode: 0o644,
                mtime: 0,
                body,
            })
            .unwrap();
    }
    writer.finish().unwrap()
}

const CONTROL: &str =
    "Package: tiny\nVersion: 1.0\nArchitecture: all\nMaintainer: A <a@example.org>\nDescription: tiny\n";

fn control() -> Vec<u8> {
    tar(&[("control", CONTROL)])
}

fn assert_refused(cases: &[(&str, Vec<u8>)]) {
    for (name, bytes) in cases {
        let refusal = read(bytes).map_or_else(|why| why, |_| panic!("{name} was taken"));
        println!("{name}: {refusal}");
    }
}

fn read(bytes: &[u8]) -> Result<Deb, String> {
    read_deb(bytes, &DebLimits::default()).map_err(|error| error.to_string())
}

#[test]
fn every_compression_that_dpkg_writes_is_read() {
    let data = tar(&[("usr/share/doc/tiny/a file", "text")]);
    for compression in [
        Compression::Plain,
        Compression::Gzip,
        Compression::Xz,
        Compression::Zstd,
    ] {
        let packed = |bytes: &[u8]| compress(compression, bytes).unwrap();
        let name = |stem: &str| format!("{stem}{}", compression.extension());
        let bytes = ar(&[
            ("debian-binary", b"2.0\n"),
            (&name("control.tar"), &packed(&control())),
            (&name("data.tar"), &packed(&data)),
        ]);
        let deb = read(&bytes).unwrap();
        assert_eq!(deb.data_compression, compression);
        assert_eq!(deb.data[0].path, "usr/share/doc/tiny/a file");
        assert_eq!(deb.source().unwrap().0.as_str(), "tiny");
    }
}

#[test]
fn what_is_not_exactly_a_deb_is_refused() {
    let (c, d) = (control(), tar(&[("a", "a")]));
    let (gz, xz, zst) = (
        compress(Compression::Gzip, &d).unwrap(),
        compress(Compression::Xz, &d).unwrap(),
        compress(Compression::Zstd, &d).unwrap(),
    );
    let first: (&str, &[u8]) = ("debian-binary", b"2.0\n");
    let good = ar(&[first, ("control.tar", &c), ("data.tar", &d)]);
    read(&good).unwrap();
    let with = |bytes: &[u8], end: &[u8]| [bytes, end].concat();
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("empty", vec![]),
        ("only the magic", b"!<arch>\n".to_vec()),
        ("old magic", with(b"0.939000\n", &good)),
        (
            "version 2.1",
            ar(&[("debian-binary", b"2.1\n"), ("control.tar", &c), ("data.tar", &d)]),
        ),
        ("no debian-binary", ar(&[("control.tar", &c), ("data.tar", &d)])),
        ("no data", ar(&[first, ("control.tar", &c)])),
        (
            "data before control",
            ar(&[first, ("data.tar", &d), ("control.tar", &c)]),
        ),
        (
            "second control",
            ar(&[first, ("control.tar", &c), ("control.tar", &c), ("data.tar", &d)]),
        ),
        (
            "second data",
            ar(&[first, ("control.tar", &c), ("data.tar", &d), ("data.tar", &d)]),
        ),
        (
            "private member",
            ar(&[first, ("_x", b""), ("control.tar", &c), ("data.tar", &d)]),
        ),
        (
            "signature behind",
            ar(&[first, ("control.tar", &c), ("data.tar", &d), ("_gpgorigin", b"x")]),
        ),
        (
            "GNU name",
            ar(&[("debian-binary/", b"2.0\n"), ("control.tar", &c), ("data.tar", &d)]),
        ),
        ("bzip2", ar(&[first, ("control.tar", &c), ("data.tar.bz2", &d)])),
        ("lzma", ar(&[first, ("control.tar", &c), ("data.tar.lzma", &d)])),
        (
            "gz that is plain",
            ar(&[first, ("control.tar", &c), ("data.tar.gz", &d)]),
        ),
        ("plain that is gz", ar(&[first, ("control.tar", &c), ("data.tar", &gz)])),
        ("trailing newline", with(&good, b"\n")),
        ("trailing text", with(&good, b"more")),
        ("a second archive", with(&good, &good)),
        (
            "bytes behind gzip",
            ar(&[first, ("control.tar", &c), ("data.tar.gz", &with(&gz, b"xx"))]),
        ),
        (
            "zeros behind gzip",
            ar(&[first, ("control.tar", &c), ("data.tar.gz", &with(&gz, &[0; 64]))]),
        ),
        (
            "bytes behind xz",
            ar(&[first, ("control.tar", &c), ("data.tar.xz", &with(&xz, b"xx"))]),
        ),
        (
            "two xz streams",
            ar(&[first, ("control.tar", &c), ("data.tar.xz", &with(&xz, &xz))]),
        ),
        (
            "xz padding",
            ar(&[first, ("control.tar", &c), ("data.tar.xz", &with(&xz, &[0; 4]))]),
        ),
        (
            "bytes behind zstd",
            ar(&[first, ("control.tar", &c), ("data.tar.zst", &with(&zst, b"xxxxx"))]),
        ),
        (
            "cut gzip",
            ar(&[first, ("control.tar", &c), ("data.tar.gz", &gz[..gz.len() - 4])]),
        ),
        (
            "cut xz",
            ar(&[first, ("control.tar", &c), ("data.tar.xz", &xz[..xz.len() - 4])]),
        ),
        (
            "cut zstd",
            ar(&[first, ("control.tar", &c), ("data.tar.zst", &zst[..zst.len() - 4])]),
        ),
    ];
    assert_refused(&cases);
    for end in 0..good.len() {
        assert!(read(&good[..end]).is_err(), "cut at {end} was taken");
    }
}

/// What a package says of itself is read without what it holds; but it is one package and no more.
#[test]
fn the_head_is_the_same_and_the_data_is_not_looked_at() {
    let (c, d) = (control(), compress(Compression::Xz, &tar(&[("a", "a")])).unwrap());
    let first: (&str, &[u8]) = ("debian-binary", b"2.0\n");
    let head = |bytes: &[u8]| read_deb_head(bytes, &DebLimits::default());
    let good = ar(&[first, ("control.tar", &c), ("data.tar.xz", &d)]);
    assert_eq!(head(&good).unwrap(), DebHead::from(read(&good).unwrap()));
    let mut damaged = d.clone();
    damaged[d.len() / 2] ^= 1;
    let damaged = ar(&[first, ("control.tar", &c), ("data.tar.xz", &damaged)]);
    assert!(read(&damaged).is_err());
    assert_eq!(head(&damaged).unwrap().digest.sha256, Sha256::of(&damaged));
    for (name, refused) in [
        ("no data", ar(&[first, ("control.tar", &c)])),
        ("another name", ar(&[first, ("control.tar", &c), ("data.tar.bz2", &d)])),
        (
            "one more",
            ar(&[first, ("control.tar", &c), ("data.tar.xz", &d), ("_gpgorigin", b"x")]),
        ),
        ("bytes behind", [&good[..], b"x"].concat()),
    ] {
        assert!(head(&refused).is_err(), "{name}");
    }
    for end in 0..good.len() {
        assert!(head(&good[..end]).is_err(), "cut at {end} was taken");
    }
}

#[test]
fn a_header_of_ar_has_one_form() {
    let good = ar(&[
        ("debian-binary", b"2.0\n"),
        ("control.tar", &control()),
        ("data.tar", &tar(&[])),
    ]);
    let size_at = 8 + 48;
    for (name, at, text) in [
        ("negative size", size_at, "-4        "),
        ("hexadecimal size", size_at, "0x4       "),
        ("size with plus", size_at, "+4        "),
        ("blank before the size", size_at, " 4        "),
        ("blank in the size", size_at, "4 0       "),
        ("no size", size_at, "          "),
        ("huge size", size_at, "9999999999"),
        ("size with a letter", size_at, "4a        "),
        ("end", 8 + 58, "x\n"),
        ("blank before the name", 8, " debian-binary  "),
        ("NUL behind the name", 8, "debian-binary\0\0\0"),
        ("path", 8, "a/debian-binary "),
        ("owner", 8 + 28, "root  "),
    ] {
        let mut bytes = good.clone();
        bytes[at..at + text.len()].copy_from_slice(text.as_bytes());
        assert!(read(&bytes).is_err(), "{name} was taken");
    }
}

#[test]
fn the_control_archive_is_plain() {
    let data = tar(&[]);
    let deb = |files: &[(&str, &str)]| {
        ar(&[
            ("debian-binary", b"2.0\n"),
            ("control.tar", &tar(files)),
            ("data.tar", &data),
        ])
    };
    let changed = |from: &str, to: &str| CONTROL.replace(from, to);
    read(&deb(&[("control", CONTROL), ("postinst", "#!/bin/sh\n")])).unwrap();
    for (name, bytes) in [
        ("no control", deb(&[("postinst", "x")])),
        ("a folder", deb(&[("control", CONTROL), ("a/control", CONTROL)])),
        ("an odd name", deb(&[("control", CONTROL), ("post inst", "")])),
        ("two paragraphs", deb(&[("control", &format!("{CONTROL}\n{CONTROL}"))])),
        (
            "twice a field",
            deb(&[("control", &format!("{CONTROL}package: other\n"))]),
        ),
        ("carriage return", deb(&[("control", &CONTROL.replace('\n', "\r\n"))])),
        ("no package", deb(&[("control", &changed("Package: tiny\n", ""))])),
        (
            "bad package",
            deb(&[("control", &changed("Package: tiny", "Package: ../tiny"))]),
        ),
        ("bad version", deb(&[("control", &changed("1.0", "1.0 evil"))])),
        (
            "no architecture",
            deb(&[("control", &changed("Architecture: all\n", ""))]),
        ),
        ("empty", deb(&[("control", "")])),
    ] {
        assert!(read(&bytes).is_err(), "{name} was taken");
    }
}

#[test]
fn bombs_are_stopped() {
    let zeros = "\0".repeat(40 << 20);
    let data = compress(Compression::Xz, &tar(&[("zeros", &zeros)])).unwrap();
    let bytes = ar(&[
        ("debian-binary", b"2.0\n"),
        ("control.tar", &control()),
        ("data.tar.xz", &data),
    ]);
    assert!(read(&bytes).unwrap_err().contains("more than"), "ratio");
    let many: Vec<String> = (0..200).map(|n| format!("f{n}")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|name| (name.as_str(), "x")).collect();
    let bytes = ar(&[
        ("debian-binary", b"2.0\n"),
        ("control.tar", &control()),
        ("data.tar", &tar(&many)),
    ]);
    let small = DebLimits {
        entries: 100,
        ..DebLimits::default()
    };
    assert!(read_deb(&bytes[..], &small).is_err(), "entries");
    let small = DebLimits {
        data: 10_000,
        ..DebLimits::default()
    };
    assert!(read_deb(&bytes[..], &small).is_err(), "data");
    let small = DebLimits {
        control: 1000,
        ..DebLimits::default()
    };
    assert!(read_deb(&bytes[..], &small).is_err(), "control");
}

/// Build ids are those that readelf reads, of programs and libraries of this machine.
#[test]
fn build_ids_are_those_that_readelf_reads() {
    let folder = tempfile::tempdir().unwrap();
    let tree = folder.path().join("tree");
    fs::create_dir_all(tree.join("DEBIAN")).unwrap();
    fs::create_dir_all(tree.join("usr/bin")).unwrap();
    fs::write(
        tree.join("DEBIAN/control"),
        "Package: a1\nVersion: 1\nArchitecture: amd64\nMaintainer: T <t@example.org>\nDescription: x\n",
    )
    .unwrap();
    let mut expected = BTreeMap::new();
    for name in ["dpkg", "tar", "git", "perl"] {
        let from = Path::new("/usr/bin").join(name);
        fs::copy(&from, tree.join("usr/bin").join(name)).unwrap();
        let said = Command::new("readelf").arg("-n").arg(&from).output().unwrap();
        let said = String::from_utf8(said.stdout).unwrap();
        let id = said.lines().find_map(|line| line.trim().strip_prefix("Build ID: "));
        expected.insert(format!("usr/bin/{name}"), id.map(str::to_owned));
    }
    assert!(expected.values().flatten().count() >= 2, "{expected:?}");
    fs::write(tree.join("usr/bin/script"), "#!/bin/sh\n").unwrap();
    let path = folder.path().join("a1.deb");
    let built = Command::new("dpkg-deb")
        .args(["--root-owner-group", "-Znone", "--build"])
        .args([&tree, &path])
        .output()
        .unwrap();
    assert!(built.status.success(), "{built:?}");
    let deb = read_deb(fs::File::open(&path).unwrap(), &DebLimits::default()).unwrap();
    let found = deb
        .data
        .iter()
        .filter_map(|entry| Some((entry.path.clone(), entry.elf.as_ref()?.build_id.clone())));
    assert_eq!(found.collect::<BTreeMap<_, _>>(), expected);
}
