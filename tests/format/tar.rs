//! tar: what we write GNU tar reads; what is not plain is refused.

use std::fmt::Write as _;
use std::process::Command;

use assay::format::tar::{Body, Limits, NewEntry, TarEntry, TarKind, Writer, read};
use proptest::prelude::*;

const LIMITS: Limits = Limits {
    bytes: 64 << 20,
    entries: 10_000,
    keep_content: true,
    pax: true,
    foreign: false,
};

/// A header by hand, as hostile as its caller wants it.
#[derive(Clone)]
struct Raw {
    block: [u8; 512],
    content: Vec<u8>,
}

impl Raw {
    fn new(flag: u8, name: &[u8], content: &[u8]) -> Self {
        let mut raw = Self {
            block: [0; 512],
            content: content.to_vec(),
        };
        raw.set(0, name);
        raw.set(100, b"0000644\0");
        raw.set(108, b"0000000\0");
        raw.set(116, b"0000000\0");
        raw.set(124, format!("{:011o}\0", content.len()).as_bytes());
        raw.set(136, b"00000000000\0");
        raw.set(156, &[flag]);
        raw.set(257, b"ustar  \0");
        raw
    }
    fn file(name: &str) -> Self {
        Self::new(b'0', name.as_bytes(), b"text")
    }
    fn link(flag: u8, name: &str, target: &str) -> Self {
        Self::new(flag, name.as_bytes(), b"").with(157, target.as_bytes())
    }
    fn set(&mut self, at: usize, bytes: &[u8]) {
        self.block[at..at + bytes.len()].copy_from_slice(bytes);
    }
    fn with(mut self, at: usize, bytes: &[u8]) -> Self {
        self.set(at, bytes);
        self
    }
    fn bytes(&self) -> Vec<u8> {
        let mut block = self.block;
        if block[148..156] == [0; 8] {
            block[148..156].copy_from_slice(b"        ");
            let sum: u32 = block.iter().map(|&b| u32::from(b)).sum();
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
        let mut out = block.to_vec();
        out.extend_from_slice(&self.content);
        out.resize(out.len().next_multiple_of(512), 0);
        out
    }
}

fn archive(entries: &[Raw]) -> Vec<u8> {
    let mut out: Vec<u8> = entries.iter().flat_map(Raw::bytes).collect();
    out.resize(out.len() + 1024, 0);
    out
}

fn entries(bytes: &[u8]) -> Result<Vec<TarEntry>, String> {
    read(bytes, &LIMITS).map_err(|error| error.to_string())
}

#[test]
fn the_raw_form_is_a_good_one() {
    let long = format!("d/{}", "n".repeat(200));
    let all = [
        Raw::new(b'5', b"./", b""),
        Raw::file("./f"),
        Raw::link(b'1', "./g", "./f"),
        Raw::link(b'2', "./s", "../../etc/passwd"),
        Raw::new(b'L', b"././@LongLink", format!("{long}\0").as_bytes()),
        Raw::new(b'0', &long.as_bytes()[..100], b"x"),
    ];
    let read = entries(&archive(&all)).unwrap();
    let paths: Vec<&str> = read.iter().map(|e| e.path.as_str()).collect();
    assert_eq!(paths, [".", "f", "g", "s", &long]);
    assert_eq!(read[1].digest(), read[2].digest());
    assert!(matches!(&read[3].kind, TarKind::Symlink(target) if target == "../../etc/passwd"));
}

#[test]
fn what_is_not_plain_is_refused() {
    let long = "n".repeat(200);
    let long_name = |text: &str| Raw::new(b'L', b"././@LongLink", format!("{text}\0").as_bytes());
    let cut = |text: &str| Raw::new(b'0', &text.as_bytes()[..100], b"x");
    let pax = |records: &str| Raw::new(b'x', b"./PaxHeaders/f", records.as_bytes());
    let padded = {
        let mut bytes = archive(&[Raw::file("f")]);
        bytes[600] = 1;
        bytes
    };
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("absolute", archive(&[Raw::file("/etc/passwd")])),
        ("parent", archive(&[Raw::file("../x")])),
        ("parent inside", archive(&[Raw::file("a/../x")])),
        ("dot inside", archive(&[Raw::file("a/./x")])),
        ("twice dot", archive(&[Raw::file("././x")])),
        ("empty part", archive(&[Raw::file("a//x")])),
        ("no name", archive(&[Raw::file("")])),
        ("root as file", archive(&[Raw::file("./")])),
        ("file with slash", archive(&[Raw::file("a/")])),
        ("twice", archive(&[Raw::file("a"), Raw::file("./a")])),
        (
            "twice a directory",
            archive(&[Raw::new(b'5', b"a", b""), Raw::new(b'5', b"a/", b"")]),
        ),
        ("file over folder", archive(&[Raw::file("a/b"), Raw::file("a")])),
        ("below a file", archive(&[Raw::file("a"), Raw::file("a/b")])),
        (
            "below a symlink",
            archive(&[Raw::link(b'2', "a", "/etc"), Raw::file("a/b")]),
        ),
        (
            "symlink over folder",
            archive(&[Raw::file("a/b"), Raw::link(b'2', "a", "/etc")]),
        ),
        ("hard link to nothing", archive(&[Raw::link(b'1', "a", "b")])),
        (
            "hard link to later",
            archive(&[Raw::link(b'1', "a", "b"), Raw::file("b")]),
        ),
        (
            "hard link to symlink",
            archive(&[Raw::link(b'2', "a", "/etc/passwd"), Raw::link(b'1', "b", "a")]),
        ),
        ("hard link outside", archive(&[Raw::link(b'1', "a", "/etc/passwd")])),
        ("hard link to itself", archive(&[Raw::link(b'1', "a", "a")])),
        (
            "hard link gives setuid",
            archive(&[Raw::file("a"), Raw::link(b'1', "b", "a").with(100, b"0004755\0")]),
        ),
        (
            "hard link with content",
            archive(&[Raw::file("a"), Raw::new(b'1', b"b", b"evil").with(157, b"a")]),
        ),
        (
            "symlink with content",
            archive(&[Raw::new(b'2', b"b", b"evil").with(157, b"a")]),
        ),
        ("folder with content", archive(&[Raw::new(b'5', b"b/", b"evil")])),
        ("symlink to nothing", archive(&[Raw::link(b'2', "a", "")])),
        ("file with target", archive(&[Raw::link(b'0', "a", "b")])),
        ("character device", archive(&[Raw::new(b'3', b"a", b"")])),
        ("block device", archive(&[Raw::new(b'4', b"a", b"")])),
        ("fifo", archive(&[Raw::new(b'6', b"a", b"")])),
        ("contiguous", archive(&[Raw::new(b'7', b"a", b"")])),
        ("sparse", archive(&[Raw::new(b'S', b"a", b"")])),
        ("multi-volume", archive(&[Raw::new(b'M', b"a", b"")])),
        ("volume name", archive(&[Raw::new(b'V', b"a", b"")])),
        ("v7 flag", archive(&[Raw::new(0, b"a", b"")])),
        ("v7 magic", archive(&[Raw::file("a").with(257, &[0; 8])])),
        ("mixed magic", archive(&[Raw::file("a").with(257, b"ustar\x0001")])),
        ("not UTF-8", archive(&[Raw::new(b'0', b"a\xff", b"")])),
        ("newline in a name", archive(&[Raw::file("a\nb")])),
        ("escape in a name", archive(&[Raw::file("a\x1b[2Jb")])),
        ("C1 in a name", archive(&[Raw::file("a\u{85}b")])),
        ("bytes behind the name", archive(&[Raw::new(b'0', b"a\0b", b"")])),
        ("newline in a target", archive(&[Raw::link(b'2', "a", "b\nc")])),
        (
            "long part",
            archive(&[long_name(&"n".repeat(300)), cut(&"n".repeat(300))]),
        ),
        (
            "base-256 size",
            archive(&[Raw::file("a").with(124, b"\x80\0\0\0\0\0\0\0\0\0\0\x04")]),
        ),
        ("negative size", archive(&[Raw::file("a").with(124, b"-0000000004\0")])),
        ("size in blanks", archive(&[Raw::file("a").with(124, b"          4\0")])),
        ("size with an 8", archive(&[Raw::file("a").with(124, b"00000000008\0")])),
        ("size that lies", archive(&[Raw::file("a").with(124, b"00000010000\0")])),
        ("mode with type", archive(&[Raw::file("a").with(100, b"0100644\0")])),
        ("device numbers", archive(&[Raw::file("a").with(329, b"0000001\0")])),
        ("GNU fields", archive(&[Raw::file("a").with(345, b"0000001\0")])),
        ("owner with colon", archive(&[Raw::file("a").with(265, b"a:b")])),
        ("wrong checksum", archive(&[Raw::file("a").with(148, b"000001\0 ")])),
        ("padding", padded),
        (
            "long name twice",
            archive(&[long_name(&long), long_name(&long), cut(&long)]),
        ),
        (
            "long name of another",
            archive(&[long_name(&long), Raw::file("innocent")]),
        ),
        ("long name of nothing", archive(&[Raw::file("f"), long_name(&long)])),
        ("short long name", archive(&[long_name("short"), Raw::file("short")])),
        (
            "long name with NUL",
            archive(&[long_name(&format!("{long}\0x")), cut(&long)]),
        ),
        (
            "long name upwards",
            archive(&[long_name(&format!("../{long}")), cut(&format!("../{long}"))]),
        ),
        (
            "long name, odd header",
            archive(&[Raw::new(b'L', b"x", format!("{long}\0").as_bytes()), cut(&long)]),
        ),
        ("pax size", archive(&[pax("12 size=512\n"), Raw::file("f")])),
        ("pax path of another", archive(&[pax("9 path=g\n"), Raw::file("f")])),
        (
            "pax before long name",
            archive(&[pax(&format!("210 path={long}\n")), long_name(&long), cut(&long)]),
        ),
        ("pax owner", archive(&[pax("8 uid=0\n"), Raw::file("f")])),
        (
            "pax xattr",
            archive(&[pax("33 SCHILY.xattr.user.test=some12\n"), Raw::file("f")]),
        ),
        ("pax sparse", archive(&[pax("22 GNU.sparse.major=1\n"), Raw::file("f")])),
        ("pax without end", archive(&[pax("10 path=g"), Raw::file("f")])),
        ("pax wrong length", archive(&[pax("99 path=g\n"), Raw::file("f")])),
        ("pax twice", archive(&[pax("9 size=4\n9 size=4\n"), Raw::file("f")])),
        (
            "pax global",
            archive(&[
                Raw::new(b'g', b"pax_global_header", b"15 comment=abc\n"),
                Raw::file("f"),
            ]),
        ),
        ("no end", Raw::file("f").bytes()),
        ("half an end", [Raw::file("f").bytes(), vec![0; 512]].concat()),
        (
            "entry behind one zero block",
            [vec![0; 512], archive(&[Raw::file("f")])].concat(),
        ),
        (
            "entry behind the end",
            [archive(&[Raw::file("f")]), archive(&[Raw::file("g")])].concat(),
        ),
        (
            "half a block behind the end",
            [archive(&[Raw::file("f")]), vec![0; 100]].concat(),
        ),
        ("empty", vec![]),
    ];
    let mut refusals = String::new();
    for (name, bytes) in &cases {
        let refusal = entries(bytes).map_or_else(|why| why, |_| panic!("{name} was taken"));
        writeln!(refusals, "{name}: {refusal}").unwrap();
    }
    insta::assert_snapshot!(refusals);
    entries(&archive(&[pax("9 size=4\n"), Raw::file("f")])).unwrap();
    let pax_less = Limits { pax: false, ..LIMITS };
    assert!(read(&archive(&[pax("9 size=4\n"), Raw::file("f")])[..], &pax_less).is_err());
}

fn path() -> impl Strategy<Value = String> {
    let part = prop_oneof!["[a-zA-Z0-9 +~_é-]{1,12}", "[a-z0-9]{60,200}", "[äöü]{30,80}"];
    prop::collection::vec(part, 1..8).prop_map(|parts| parts.join("/"))
}

#[derive(Debug, Clone)]
enum What {
    File(Vec<u8>),
    Folder,
    Link(String),
}

fn what() -> impl Strategy<Value = What> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..2000).prop_map(What::File),
        Just(What::Folder),
        path().prop_map(What::Link),
    ]
}

fn written(all: &[(String, u32, u32, What)]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for (path, mode, mtime, what) in all {
        let body = match what {
            What::File(bytes) => Body::File(bytes),
            What::Folder => Body::Directory,
            What::Link(target) => Body::Symlink(target),
        };
        writer
            .append(&NewEntry {
                path,
                mode: *mode,
                mtime: u64::from(*mtime),
                body,
            })
            .unwrap();
    }
    writer.finish().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(128) })]
    #[test]
    fn what_is_written_is_read(all in prop::collection::vec((path(), 0_u32..0o10000, any::<u32>(), what()), 0..20)) {
        // Numbered, so that no path stands twice or below a file.
        let all: Vec<_> = all.into_iter().enumerate().map(|(n, (p, m, t, w))| (format!("{n}x/{p}"), m, t, w)).collect();
        let bytes = written(&all);
        prop_assert_eq!(&bytes, &written(&all));
        prop_assert_eq!(bytes.len() % 10240, 0);
        let read = entries(&bytes).unwrap();
        prop_assert_eq!(read.len(), all.len());
        for (entry, (path, mode, mtime, what)) in read.iter().zip(&all) {
            prop_assert_eq!((&entry.path, entry.mode, entry.mtime), (path, *mode, u64::from(*mtime)));
            match (&entry.kind, what) {
                (TarKind::File(_), What::File(bytes)) => prop_assert_eq!(entry.content.as_ref(), Some(bytes)),
                (TarKind::Directory, What::Folder) => {}
                (TarKind::Symlink(target), What::Link(link)) => prop_assert_eq!(target, link),
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }
}

#[test]
fn gnu_tar_reads_what_we_write() {
    let deep = format!("{}/{}", "d".repeat(120), "f".repeat(120));
    let deeper = format!("{}/{}", vec!["é".repeat(50); 8].join("/"), "f".repeat(150));
    let all = [
        ("a b".to_owned(), 0o755, 1_700_000_000, What::File(b"text".to_vec())),
        ("dir".to_owned(), 0o755, 1, What::Folder),
        (deep.clone(), 0o644, 2, What::File(vec![7; 700])),
        (deeper.clone(), 0o600, 3, What::File(vec![])),
        ("link".to_owned(), 0o777, 4, What::Link("t".repeat(150))),
    ];
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("x.tar"), written(&all)).unwrap();
    let run = |args: &[&str]| {
        let output = Command::new("tar")
            .args(args)
            .current_dir(&folder)
            .env("LC_ALL", "C.UTF-8")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let listed = run(&["--quoting-style=literal", "-tf", "x.tar"]);
    assert_eq!(
        listed.lines().collect::<Vec<_>>(),
        ["a b", "dir/", &deep, &deeper, "link"]
    );
    run(&["-xf", "x.tar"]);
    assert_eq!(std::fs::read(folder.path().join(&deep)).unwrap(), vec![7; 700]);
    let target = std::fs::read_link(folder.path().join("link")).unwrap();
    assert_eq!(target.to_str(), Some("t".repeat(150).as_str()));
}

#[test]
fn gnu_tars_own_archives_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    let deep = root.join("d".repeat(60)).join("é".repeat(35));
    std::fs::create_dir_all(&deep).unwrap();
    std::fs::write(deep.join("file"), "text").unwrap();
    std::fs::hard_link(deep.join("file"), deep.join("twin")).unwrap();
    std::os::unix::fs::symlink("x".repeat(180), root.join("link")).unwrap();
    for format in ["gnu", "ustar"] {
        // ustar cannot hold the long targets.
        if format == "ustar" {
            std::fs::remove_file(root.join("link")).unwrap();
            std::fs::remove_file(deep.join("twin")).unwrap();
        }
        let output = Command::new("tar")
            .args(["--format", format, "--sort=name", "-c", "."])
            .current_dir(&root)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let read = entries(&output.stdout).unwrap();
        assert_eq!(read.len(), if format == "gnu" { 6 } else { 4 });
        assert!(
            read.iter()
                .any(|e| e.path.ends_with("/file") && e.content.as_deref() == Some(b"text"))
        );
    }
}
