//! Compressed forms: a function of the text, made again only where it changed, and read by everybody.

use std::io::Write as _;
use std::process::{Command, Stdio};

use assay::domain::Digest;
use assay::format::compress::Compression;
use assay::index::{Before, Common, Cut, Packed, blocks, packed};
use proptest::prelude::*;
use sha2::Digest as _;

use crate::support::apt::Apt;

const FORMS: [Compression; 3] = [Compression::Gzip, Compression::Xz, Compression::Zstd];

fn stanza(number: usize) -> String {
    let hash = hex::encode(sha2::Sha256::digest(number.to_string()));
    format!(
        "Package: filler{number:05}\nVersion: 1.{}\nArchitecture: amd64\nMaintainer: T <t@example.org>\n\
         Depends: {}\nDescription: {}\n {}\nFilename: pool/{hash}.deb\nSize: {number}\nSHA256: {hash}\n\n",
        number % 7,
        &hash[..20],
        &hash[20..40],
        hash.repeat(5 + number % 3),
    )
}

/// Stanzas of packages that are nowhere, about 600 bytes each.
pub(crate) fn filler(count: usize) -> String {
    (0..count).map(stanza).collect()
}

fn pack(compression: Compression, text: &str, before: Option<(&str, &Packed)>) -> Packed {
    let before = before.map(|(was, packed)| Before {
        text: was.as_bytes(),
        packed: &packed.bytes,
        common: Common::of(was.as_bytes(), text.as_bytes()),
    });
    let cut = blocks(text.as_bytes(), Cut::Stanzas);
    packed(compression, (text.as_bytes(), &cut), before).unwrap()
}

#[test]
fn a_change_compresses_what_it_touches_and_gives_what_all_anew_gives() {
    let stanzas: Vec<String> = (0..5000).map(stanza).collect();
    let text = stanzas.concat();
    for compression in FORMS {
        let first = pack(compression, &text, None);
        assert!(first.blocks >= 4, "{} blocks", first.blocks);
        assert_eq!(first.fresh, first.blocks);
        assert_eq!(pack(compression, &text, Some((&text, &first))).fresh, 0);
        for at in [0, 1700, 4999] {
            let mut changed = stanzas.clone();
            match at {
                0 => drop(changed.remove(at)),
                1700 => changed[at] = changed[at].replace("Version: 1.", "Version: 2."),
                _ => changed.push(stanza(90_000)),
            }
            let changed = changed.concat();
            let next = pack(compression, &changed, Some((&text, &first)));
            assert!(
                next.fresh <= 3,
                "{compression} at {at}: {} of {}",
                next.fresh,
                next.blocks
            );
            if at == 1700 {
                assert_eq!(
                    next.bytes,
                    pack(compression, &changed, None).bytes,
                    "{compression} at {at}"
                );
                let single = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
                assert_eq!(single.install(|| pack(compression, &changed, None)).bytes, next.bytes);
            }
        }
    }
}

#[test]
fn what_two_texts_have_in_common_is_counted_once() {
    let long = filler(30);
    let texts = [
        "",
        "a",
        "aa",
        "ab",
        "ba",
        &long,
        &long[1..],
        &long[..9000],
        &format!("{}x{}", &long[..5000], &long[5000..]),
    ];
    for a in texts {
        for b in texts {
            let Common { prefix, suffix } = Common::of(a.as_bytes(), b.as_bytes());
            assert!(prefix + suffix <= a.len().min(b.len()));
            assert_eq!(a[..prefix], b[..prefix]);
            assert_eq!(a[a.len() - suffix..], b[b.len() - suffix..]);
            let (a, b) = (&a[prefix..a.len() - suffix], &b[prefix..b.len() - suffix]);
            let differ = |one: Option<char>, other: Option<char>| one.is_none() || one != other;
            assert!(differ(a.chars().next(), b.chars().next()) && differ(a.chars().last(), b.chars().last()));
        }
    }
}

#[test]
fn what_is_no_earlier_form_of_the_text_is_not_used() {
    let (text, other) = (filler(1500), filler(1400));
    for compression in FORMS {
        let right = pack(compression, &text, None);
        let foreign = assay::format::compress::compress(compression, text.as_bytes()).unwrap();
        for (before, packed) in [
            (&other, right.bytes.clone()),
            (&text, foreign),
            (&text, b"nothing".to_vec()),
        ] {
            let packed = Packed {
                bytes: packed,
                blocks: 0,
                fresh: 0,
            };
            assert_eq!(
                pack(compression, &text, Some((before, &packed))),
                right,
                "{compression}"
            );
        }
    }
}

#[test]
fn every_reader_reads_them() {
    let tools = [
        ("zcat", Compression::Gzip),
        ("xzcat", Compression::Xz),
        ("zstdcat", Compression::Zstd),
    ];
    for text in [filler(2000), String::new()] {
        for (tool, compression) in tools {
            let bytes = pack(compression, &text, None).bytes;
            let mut child = Command::new(tool)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let mut input = child.stdin.take().unwrap();
            let feeder = std::thread::spawn(move || input.write_all(&bytes));
            let output = child.wait_with_output().unwrap();
            feeder.join().unwrap().unwrap();
            assert!(output.status.success() && output.stdout == text.as_bytes(), "{tool}");
        }
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), pack(Compression::Xz, &filler(2000), None).bytes).unwrap();
    let list = Command::new("xz")
        .args(["--robot", "--list", "-vv"])
        .arg(file.path())
        .output()
        .unwrap();
    let list = String::from_utf8(list.stdout).unwrap();
    let totals = list.lines().find(|line| line.starts_with("file\t")).unwrap().to_owned();
    assert!(totals.starts_with("file\t1\t"), "one stream: {list}");
    assert!(
        list.lines().filter(|line| line.starts_with("block\t")).count() > 1,
        "{list}"
    );
}

#[test]
fn apt_takes_each_form_alone() {
    let text = filler(2000);
    for compression in FORMS {
        let folder = tempfile::tempdir().unwrap();
        let index = folder.path().join("dists/test/main/binary-amd64");
        std::fs::create_dir_all(&index).unwrap();
        let name = format!("Packages{}", compression.extension());
        let bytes = pack(compression, &text, None).bytes;
        std::fs::write(index.join(&name), &bytes).unwrap();
        let mut release = "Origin: T\nSuite: test\nCodename: test\nDate: Sat, 11 Jul 2026 10:16:37 UTC\n\
                           Architectures: amd64\nComponents: main\nSHA256:\n"
            .to_owned();
        for (name, bytes) in [("Packages", text.as_bytes()), (&name, &bytes)] {
            let digest = Digest::of(bytes);
            release += &format!(" {} {} main/binary-amd64/{name}\n", digest.sha256, digest.size);
        }
        std::fs::write(folder.path().join("dists/test/Release"), release).unwrap();
        let apt = Apt::new(&format!(
            "deb [trusted=yes] copy:{} test main\n",
            folder.path().display()
        ));
        let said = apt.get(&["update"]);
        assert!(said.ok, "{compression}: {}", said.text);
        assert_eq!(apt.versions("filler01999"), ["1.4"], "{compression}: {}", said.text);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(24) })]
    #[test]
    fn cuts_depend_on_what_is_near(
        units in prop::collection::vec((any::<u32>(), 2_usize..60_000), 1..120),
        at in any::<prop::sample::Index>(),
        new in (any::<u32>(), 2_usize..60_000),
    ) {
        let unit = |(seed, length): &(u32, usize)| format!("{seed:08x}{}\n\n", "x".repeat(*length));
        let text = |units: &[(u32, usize)]| units.iter().map(unit).collect::<String>();
        let mut more = units.clone();
        more.insert(at.index(units.len() + 1), new);
        let (before, after) = (text(&units), text(&more));
        let cut = |text: &str| -> Vec<String> {
            blocks(text.as_bytes(), Cut::Stanzas).into_iter().map(|range| text[range].to_owned()).collect()
        };
        let (old, new) = (cut(&before), cut(&after));
        prop_assert_eq!(old.concat(), before);
        prop_assert_eq!(new.concat(), after);
        // All but the last are longer than the distance between two cuts, and the first.
        for block in new.iter().rev().skip(1).rev().skip(1) {
            prop_assert!(block.len() > 64 << 10);
        }
        let changed = new.iter().filter(|block| !old.contains(block)).count();
        prop_assert!(changed <= 4, "{} of {}", changed, new.len());
    }
}
