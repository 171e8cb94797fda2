//! The list of broken repositories (`apt-conformance.md` §6), one fault each, with what the apts do.

use std::fs;

use assay::format::compress::{Compression, compress};
use assay::lint::Outcome::{self, Accept, Ignore, Reject, Warn};

use super::broken::{ASK, Ask, Broken, Case, Signer, now, our_fingerprint, stanza};

fn case(name: &'static str, code: &'static str, outcomes: [Outcome; 2], fault: fn(&mut Broken)) -> Case {
    Case {
        name,
        code,
        outcomes,
        before: None,
        with_all: false,
        fault,
        ask: ASK,
    }
}

/// The same for clients that have a good state.
fn later(name: &'static str, code: &'static str, outcomes: [Outcome; 2], fault: fn(&mut Broken)) -> Case {
    Case {
        before: Some(|_| {}),
        ..case(name, code, outcomes, fault)
    }
}

fn asking(case: Case, ask: Ask) -> Case {
    Case { ask, ..case }
}

/// And a package and a source are fetched.
fn fetching(case: Case) -> Case {
    asking(case, Ask { fetches: true, ..ASK })
}

fn edit_inrelease(folder: &std::path::Path, edit: impl Fn(Vec<u8>) -> Vec<u8>) {
    let path = folder.join("dists/trixie/InRelease");
    let bytes = fs::read(&path).unwrap();
    fs::write(path, edit(bytes)).unwrap();
}

fn remove(folder: &std::path::Path, names: &[&str]) {
    for name in names {
        fs::remove_file(folder.join("dists/trixie").join(name)).unwrap();
    }
}

fn tampered(broken: &mut Broken) {
    broken.edit_folder = |folder| {
        edit_inrelease(folder, |bytes| {
            String::from_utf8(bytes)
                .unwrap()
                .replace("Label: Test", "Label: Evil")
                .into_bytes()
        });
    };
}

pub(super) fn signatures() -> Vec<Case> {
    vec![
        fetching(case("good", "", [Accept; 2], |_| {})),
        later("good, later", "", [Accept; 2], |_| {}),
        case("text before the message", "L-FRAME", [Reject; 2], |b| {
            b.edit_folder = |folder| edit_inrelease(folder, |bytes| [b"Origin: Evil\n\n".to_vec(), bytes].concat());
        }),
        case("text after the signature", "L-FRAME", [Reject; 2], |b| {
            b.edit_folder = |folder| edit_inrelease(folder, |bytes| [bytes, b"Origin: Evil\n".to_vec()].concat());
        }),
        case("no signed message", "L-FRAME", [Reject; 2], |b| {
            b.edit_folder = |folder| edit_inrelease(folder, |_| b"<html>\n".to_vec());
        }),
        case("Release and Release.gpg alone", "L-NO-INRELEASE", [Accept; 2], |b| {
            b.edit_folder = |folder| remove(folder, &["InRelease"]);
        }),
        case("no signature", "L-UNSIGNED", [Reject; 2], |b| {
            b.edit_folder = |folder| remove(folder, &["InRelease", "Release.gpg"]);
        }),
        case("no Release", "L-NO-RELEASE", [Reject; 2], |b| {
            b.edit_folder = |folder| remove(folder, &["InRelease", "Release"]);
        }),
        case("a stranger's signature", "L-UNKNOWN-KEY", [Reject; 2], |b| {
            b.signer = Signer::Stranger
        }),
        case("ours and a stranger's", "", [Accept; 2], |b| b.signer = Signer::Both),
        case("tampered with", "L-BAD-SIGNATURE", [Reject; 2], tampered),
        later("tampered with, later", "L-BAD-SIGNATURE", [Warn; 2], tampered),
        case("RSA with 1024 bits", "L-WEAK-KEY", [Accept, Reject], |b| {
            b.signer = Signer::Gnupg(
                &["--quick-gen-key", "X <x@example.org>", "rsa1024", "sign", "never"],
                &[],
            );
        }),
        case("SHA-1", "L-WEAK-DIGEST", [Reject; 2], |b| {
            b.signer = Signer::Gnupg(
                &["--quick-gen-key", "X <x@example.org>", "rsa2048", "sign", "never"],
                &["--digest-algo", "SHA1"],
            );
        }),
        case("a key that has expired since", "L-KEY-EXPIRED", [Reject, Accept], |b| {
            b.signer = Signer::Gnupg(
                &[
                    "--faked-system-time",
                    "20250101T000000!",
                    "--quick-gen-key",
                    "X <x@example.org>",
                    "ed25519",
                    "sign",
                    "30d",
                ],
                &["--faked-system-time", "20250110T000000!"],
            );
        }),
        case("more than 10 MB", "L-TOO-LARGE", [Reject; 2], |b| {
            b.edit_folder = |folder| {
                edit_inrelease(folder, |bytes| [bytes, vec![b'\n'; 10_000_001]].concat());
                remove(folder, &["Release", "Release.gpg"]);
            };
        }),
    ]
}

pub(super) fn times() -> Vec<Case> {
    vec![
        case("no Date", "L-DATE", [Warn; 2], |b| b.remove("Date")),
        case("a Date of another zone", "L-DATE", [Warn; 2], |b| {
            b.set("Date", now().plus(-60).release_date().replace("UTC", "+0200"));
        }),
        case("a Date in the future", "L-FUTURE", [Reject; 2], |b| {
            b.set("Date", now().plus(4000).release_date())
        }),
        later("an older Date", "L-OLDER", [Ignore, Warn], |b| {
            b.set("Date", now().plus(-90_000).release_date())
        }),
        later("the same second", "L-SAME-SECOND", [Ignore; 2], |b| b.modified = -1000),
        case("expired", "L-EXPIRED", [Reject; 2], |b| {
            b.set("Valid-Until", now().plus(-10).release_date())
        }),
        case("a Valid-Until that is none", "L-VALID-UNTIL", [Reject; 2], |b| {
            b.set("Valid-Until", "soon")
        }),
        case("no Valid-Until", "L-NO-VALID-UNTIL", [Accept; 2], |b| {
            b.remove("Valid-Until")
        }),
    ]
}

/// Clients that had a Release which allows our usual key alone.
fn signed_by_us(broken: &mut Broken) {
    broken.set("Signed-By", our_fingerprint());
}

pub(super) fn names() -> Vec<Case> {
    let second = |name, code, outcomes, before| Case {
        before: Some(before),
        ..case(name, code, outcomes, |b| b.signer = Signer::Second)
    };
    vec![
        case("another suite", "L-DISTRIBUTION", [Warn; 2], |b| {
            b.set("Suite", "unstable");
            b.set("Codename", "sid");
        }),
        later("another Origin", "L-CHANGED", [Reject; 2], |b| b.set("Origin", "Evil")),
        later("another Label", "L-CHANGED", [Reject; 2], |b| b.set("Label", "Evil")),
        later("another Codename", "L-CHANGED", [Reject; 2], |b| {
            b.set("Suite", "trixie");
            b.set("Codename", "evil");
        }),
        later("another Suite", "L-CHANGED", [Warn; 2], |b| b.set("Suite", "oldstable")),
        later("another Version", "L-CHANGED", [Warn; 2], |b| b.set("Version", "14")),
        later("another priority", "L-CHANGED", [Reject; 2], |b| {
            b.set("NotAutomatic", "yes")
        }),
        case("NotAutomatic", "L-PIN", [Accept; 2], |b| b.set("NotAutomatic", "yes")),
        asking(
            case("Snapshots without a name", "L-SNAPSHOTS", [Accept, Ignore], |b| {
                b.remove("Origin");
                b.remove("Label");
                b.set("Snapshots", "http://127.0.0.1:9/@SNAPSHOTID@/");
            }),
            Ask { snapshot: true, ..ASK },
        ),
        case("an architecture without an index", "L-NO-INDEX", [Ignore; 2], |b| {
            b.indexes.remove("main/binary-amd64/Packages");
        }),
        asking(
            case("an architecture that it has not", "L-ARCHITECTURE", [Warn; 2], |_| {}),
            Ask {
                architectures: &["amd64", "arm64"],
                ..ASK
            },
        ),
        case("no Architectures", "", [Accept; 2], |b| b.remove("Architectures")),
        asking(
            case("a component that it has not", "L-COMPONENT", [Warn; 2], |_| {}),
            Ask {
                components: &["main", "contrib"],
                ..ASK
            },
        ),
        all("all with an index of its own", "", [Accept; 2], |b| {
            b.set("Architectures", "all amd64")
        }),
        all("all that is not named", "L-ARCH-ALL", [Ignore; 2], |_| {}),
        all("all that is not supported", "L-ARCH-ALL", [Ignore; 2], |b| {
            b.set("Architectures", "all amd64");
            b.set("No-Support-for-Architecture-all", "Packages");
        }),
        all("all in both, as Debian has it", "", [Accept; 2], |b| {
            b.set("Architectures", "all amd64");
            b.set("No-Support-for-Architecture-all", "Packages");
            b.packages(|text| text + &stanza("hello-doc", "all"));
        }),
        all("an index for all that is damaged and not read", "", [Accept; 2], |b| {
            b.packages(|text| text + &stanza("hello-doc", "all"));
            b.edit_folder = |folder| {
                let path = folder.join("dists/trixie/main/binary-all/Packages.xz");
                fs::write(path, "damaged").unwrap();
            };
        }),
        all(
            "a package for all that no architecture has, among others",
            "L-ARCH-ALL",
            [Accept; 2],
            |b| {
                b.packages(|text| text + &stanza("hello-doc", "all"));
                let more = stanza("hello-doc", "all") + &stanza("hello-doc", "all").replace("hello-doc", "other");
                b.indexes.insert("main/binary-all/Packages".to_owned(), more);
            },
        ),
        case("Signed-By without Valid-Until", "L-SIGNED-BY", [Accept; 2], |b| {
            signed_by_us(b);
            b.remove("Valid-Until");
        }),
        second(
            "signed by another than the last one allows",
            "L-SIGNED-BY",
            [Accept; 2],
            signed_by_us,
        ),
        second("the same, without Valid-Until", "", [Accept; 2], |b| {
            signed_by_us(b);
            b.remove("Valid-Until");
        }),
    ]
}

/// With an index for packages of all architectures.
fn all(name: &'static str, code: &'static str, outcomes: [Outcome; 2], fault: fn(&mut Broken)) -> Case {
    let ask = Ask {
        sees: &["hello", "hello-doc"],
        ..ASK
    };
    asking(
        Case {
            with_all: true,
            ..case(name, code, outcomes, fault)
        },
        ask,
    )
}

const PDIFF: &str = "main/binary-amd64/Packages.diff/Index";

/// What clients have: one package more.
fn two() -> String {
    stanza("hello", "amd64") + &stanza("hello-doc", "all")
}

/// A patch that takes it away again, and the same compressed.
fn patch() -> (Vec<u8>, Vec<u8>) {
    let [kept, all] = [stanza("hello", "amd64"), two()].map(|text| text.lines().count());
    let patch = format!("{},{all}d\n", kept + 1).into_bytes();
    let packed = compress(Compression::Gzip, &patch).unwrap();
    (patch, packed)
}

/// Lists it as apt wants it, and puts it there.
fn patched(b: &mut Broken) {
    let (plain, packed) = patch();
    let (old, new) = (two(), stanza("hello", "amd64"));
    let row = |bytes: &[u8]| format!("{} {}", super::broken::hash("SHA256", bytes), bytes.len());
    let index = format!(
        "SHA256-Current: {}\nSHA256-History:\n {} 1\nSHA256-Patches:\n {} 1\nSHA256-Download:\n {} 1.gz\n\
         X-Patch-Precedence: merged\n",
        row(new.as_bytes()),
        row(old.as_bytes()),
        row(&plain),
        row(&packed)
    );
    b.indexes.insert(PDIFF.to_owned(), index);
    b.edit_folder = |folder| {
        let folder = folder.join("dists/trixie/main/binary-amd64/Packages.diff");
        fs::write(folder.join("1.gz"), patch().1).unwrap();
    };
}

/// Whatever is wrong with patches, apt fetches the whole index.
fn pdiffs(name: &'static str, code: &'static str, fault: fn(&mut Broken)) -> Case {
    fetching(Case {
        before: Some(|b| b.packages(|_| two())),
        ..case(name, code, [Accept; 2], fault)
    })
}

pub(super) fn indexes() -> Vec<Case> {
    vec![
        case("MD5 and SHA-1 alone", "L-WEAK-HASH", [Reject; 2], |b| {
            b.hashes = vec!["MD5Sum", "SHA1"]
        }),
        case(
            "only compressed indexes are listed",
            "L-UNCOMPRESSED",
            [Ignore; 2],
            |b| {
                b.edit_text = |text| {
                    let listed = text.split_inclusive('\n');
                    listed.filter(|line| !line.ends_with("amd64/Packages\n")).collect()
                };
            },
        ),
        case("two xz streams", "L-STREAM", [Reject; 2], |b| b.streams = 2),
        fetching(case("bzip2", "", [Accept; 2], |b| b.forms = vec!["", ".bz2"])),
        fetching(case("lzma", "", [Accept; 2], |b| b.forms = vec!["", ".lzma"])),
        fetching(case("lz4", "", [Accept; 2], |b| b.forms = vec!["", ".lz4"])),
        case("two bzip2 streams", "L-INDEX-BYTES", [Reject; 2], |b| {
            (b.forms, b.streams) = (vec!["", ".bz2"], 2);
        }),
        case("two lzma streams", "L-INDEX-BYTES", [Reject; 2], |b| {
            (b.forms, b.streams) = (vec!["", ".lzma"], 2);
        }),
        case("two lz4 frames", "L-INDEX-BYTES", [Reject; 2], |b| {
            (b.forms, b.streams) = (vec!["", ".lz4"], 2);
        }),
        case("the best compression is wrong", "L-INDEX-BYTES", [Reject; 2], |b| {
            b.edit_folder = |folder| {
                let bytes = compress(Compression::Xz, b"Package: other\n").unwrap();
                fs::write(folder.join("dists/trixie/main/binary-amd64/Packages.xz"), bytes).unwrap();
            };
        }),
        case("by-hash for the strongest hash", "", [Accept; 2], |b| {
            b.hashes = vec!["SHA256", "SHA512"];
            b.by_hash = vec!["SHA512"];
        }),
        case("by-hash not for the strongest hash", "L-BY-HASH", [Accept; 2], |b| {
            b.hashes = vec!["SHA256", "SHA512"];
            b.by_hash = vec!["SHA256"];
        }),
        case("by-hash alone", "", [Accept; 2], |b| {
            b.by_hash = vec!["SHA256"];
            b.plain_names = false;
        }),
        case("neither by-hash nor names", "L-INDEX-MISSING", [Reject; 2], |b| {
            b.hashes = vec!["SHA256", "SHA512"];
            b.by_hash = vec!["SHA256"];
            b.plain_names = false;
        }),
        case("a wrong size", "L-INDEX-BYTES", [Reject; 2], |b| {
            b.edit_text = |text| {
                let lines = text.lines().map(|line| match line.ends_with("amd64/Packages.xz") {
                    true => {
                        let words: Vec<&str> = line.split(' ').collect();
                        format!(" {} 12 {}\n", words[1], words[3])
                    }
                    false => format!("{line}\n"),
                });
                lines.collect()
            };
        }),
        case("an index that is said to be empty", "L-EMPTY", [Ignore; 2], |b| {
            b.edit_text = |text| {
                let lines = text.lines().map(|line| match line.ends_with("amd64/Packages") {
                    true => {
                        let words: Vec<&str> = line.split(' ').collect();
                        format!(" {} 0 {}\n", words[1], words[3])
                    }
                    false => format!("{line}\n"),
                });
                lines.collect()
            };
        }),
        pdiffs("patches that are there", "", patched),
        pdiffs("patches that are not there under their own names", "L-PDIFF", |b| {
            patched(b);
            b.edit_folder = |_| {};
        }),
        pdiffs("patches without SHA256-Download", "L-PDIFF", |b| {
            patched(b);
            let index = b.indexes.get_mut(PDIFF).unwrap();
            *index = index.replace("SHA256-Download", "SHA1-Download");
        }),
        pdiffs("patches that are more than the index", "L-PDIFF", |b| {
            patched(b);
            let index = b.indexes.get_mut(PDIFF).unwrap();
            *index = index.replace(&format!(" {} 1.gz", patch().1.len()), " 9999999 1.gz");
        }),
        case("Changelogs that apt cannot use", "L-CHANGELOGS", [Accept; 2], |b| {
            b.set("Changelogs", "https://example.org/changelogs");
        }),
        case("a flat repository", "", [Accept; 2], |b| {
            b.flat = true;
            let text = stanza("hello", "amd64");
            let sources = b.indexes["main/source/Sources"].clone();
            b.indexes = [("Packages".to_owned(), text), ("Sources".to_owned(), sources)].into();
        }),
    ]
}

fn without(text: String, field: &str) -> String {
    let lines = text.split_inclusive('\n').filter(|line| !line.starts_with(field));
    lines.collect()
}

pub(super) fn stanzas() -> Vec<Case> {
    vec![
        case("no Package", "L-PACKAGE", [Reject; 2], |b| {
            b.packages(|text| format!("{text}Version: 1\nArchitecture: amd64\n\n"))
        }),
        case("no colon", "L-PARSE", [Reject; 2], |b| {
            b.packages(|text| format!("{text}nonsense\n\n"))
        }),
        case("no Version", "L-VERSION", [Ignore; 2], |b| {
            b.packages(|text| without(text, "Version:"))
        }),
        case("no Architecture", "L-NO-ARCHITECTURE", [Ignore; 2], |b| {
            b.packages(|text| without(text, "Architecture:"))
        }),
        fetching(case("no Filename", "L-FILENAME", [Reject; 2], |b| {
            b.packages(|text| without(text, "Filename:"))
        })),
        case("a Filename that leads out", "L-DOTDOT", [Accept; 2], |b| {
            b.packages(|text| text.replace("Filename: pool/", "Filename: ../pool/"));
        }),
        fetching(case("no Size", "L-SIZE", [Reject; 2], |b| {
            b.packages(|text| without(text, "Size:"))
        })),
        fetching(case("MD5 alone", "L-HASH", [Reject; 2], |b| {
            b.packages(|text| without(text, "SHA256:"))
        })),
        fetching(case("a wrong Size", "L-FILE", [Reject; 2], |b| {
            b.packages(|text| text.replace("Size: ", "Size: 1"));
        })),
        fetching(case("a wrong SHA256", "L-FILE", [Reject; 2], |b| {
            b.edit_folder = |folder| {
                let path = folder.join("pool/hello_1.0_amd64.deb");
                let mut bytes = fs::read(&path).unwrap();
                *bytes.last_mut().unwrap() ^= 1;
                fs::write(path, bytes).unwrap();
            };
        })),
        fetching(case("no file", "L-FILE", [Reject; 2], |b| {
            b.edit_folder = |folder| fs::remove_file(folder.join("pool/hello_1.0_amd64.deb")).unwrap();
        })),
        asking(
            case("one version with two hashes", "L-TWO-HASHES", [Warn, Accept], |b| {
                let other = stanza("hello", "amd64");
                let hash = other
                    .lines()
                    .find_map(|line| line.strip_prefix("SHA256: "))
                    .unwrap()
                    .to_owned();
                let other = other.replace(&hash, &"0".repeat(64));
                b.indexes.insert("contrib/binary-amd64/Packages".to_owned(), other);
                let sources = b.indexes["main/source/Sources"].replace("Package: hello", "Package: other");
                b.indexes.insert("contrib/source/Sources".to_owned(), sources);
                b.set("Components", "main contrib");
            }),
            Ask {
                components: &["main", "contrib"],
                downloads: true,
                ..ASK
            },
        ),
        case("relations that are none", "L-RELATION", [Reject; 2], |b| {
            b.packages(|text| text.replace("Maintainer:", "Depends: nothing (>= \nMaintainer:"));
        }),
        fetching(case("a source with MD5 alone", "L-SOURCE", [Warn; 2], |b| {
            let text = b.indexes.get_mut("main/source/Sources").unwrap();
            let at = text.find("Checksums-Sha256").unwrap();
            text.truncate(at);
            text.push('\n');
        })),
        fetching(case("a source whose file is not there", "L-FILE", [Reject; 2], |b| {
            b.edit_folder = |folder| fs::remove_file(folder.join("pool/hello_1.0.dsc")).unwrap();
        })),
    ]
}
