//! A small good repository, with a place for one fault each.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock};

use assay::domain::Timestamp;
use assay::format::compress::{Compression, compress};
use assay::host::Clock;
use assay::lint::Outcome;
use assay::trust::ArchiveKey;
use sha2::Digest as _;

/// One kind of broken repository.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// What lint must find, at the least.
    pub(crate) code: &'static str,
    /// What each apt does.
    pub(crate) outcomes: [Outcome; 2],
    /// What clients had before, when they had something.
    pub(crate) before: Option<fn(&mut Broken)>,
    /// Whether there is an index for packages of all architectures beside the usual one.
    pub(crate) with_all: bool,
    pub(crate) fault: fn(&mut Broken),
    pub(crate) ask: Ask,
}

/// How a client asks.
#[derive(Clone, Copy)]
pub(crate) struct Ask {
    pub(crate) components: &'static [&'static str],
    pub(crate) architectures: &'static [&'static str],
    /// The packages that it must see.
    pub(crate) sees: &'static [&'static str],
    /// Whether it fetches a package and a source, and lint reads their files.
    pub(crate) fetches: bool,
    /// Whether it fetches a package.
    pub(crate) downloads: bool,
    /// Whether it asks for a snapshot.
    pub(crate) snapshot: bool,
}

pub(crate) const ASK: Ask = Ask {
    components: &["main"],
    architectures: &["amd64"],
    sees: &["hello"],
    fetches: false,
    downloads: false,
    snapshot: false,
};

/// Who signs.
pub(crate) enum Signer {
    /// A key that clients trust.
    Ours,
    /// One that they do not.
    Stranger,
    /// Both.
    Both,
    /// Clients trust a second key of ours, and that signs.
    Second,
    /// A key that GnuPG made: what `--quick-gen-key` is given, and how it signs.
    Gnupg(&'static [&'static str], &'static [&'static str]),
}

pub(crate) struct Broken {
    /// Fields of Release, before the hashes.
    pub(crate) fields: Vec<(&'static str, String)>,
    /// Texts of indexes, by path below the suite.
    pub(crate) indexes: BTreeMap<String, String>,
    /// Compressions: what is listed and what is there.
    pub(crate) forms: Vec<&'static str>,
    /// The sections of hashes.
    pub(crate) hashes: Vec<&'static str>,
    /// The folders of by-hash; none for no field.
    pub(crate) by_hash: Vec<&'static str>,
    pub(crate) plain_names: bool,
    /// How many streams a compressed file is made of, but for gzip.
    pub(crate) streams: usize,
    pub(crate) flat: bool,
    pub(crate) signer: Signer,
    /// The text of Release before it is signed.
    pub(crate) edit_text: fn(String) -> String,
    /// Release files, and all that is there, at the end.
    pub(crate) edit_folder: fn(&Path),
    /// When its InRelease was written, in seconds from now.
    pub(crate) modified: i64,
}

/// A repository on disk.
pub(crate) struct Written {
    pub(crate) folder: tempfile::TempDir,
    /// What clients trust.
    pub(crate) certificate: PathBuf,
    pub(crate) flat: bool,
}

struct Keys {
    ours: ArchiveKey,
    second: ArchiveKey,
    stranger: ArchiveKey,
}

fn keys() -> &'static Keys {
    static KEYS: OnceLock<Keys> = OnceLock::new();
    KEYS.get_or_init(|| {
        let made = now().plus(-1_000_000);
        let key = |name: &str| ArchiveKey::generate(name, made).unwrap();
        Keys {
            ours: key("Ours <o@example.org>"),
            second: key("Second <s@example.org>"),
            stranger: key("Stranger <x@example.org>"),
        }
    })
}

/// One instant for the times of all files: two of the same second are of the same second, however busy the machine is.
fn started() -> Timestamp {
    static AT: OnceLock<Timestamp> = OnceLock::new();
    *AT.get_or_init(now)
}

pub(crate) fn now() -> Timestamp {
    Clock::System.now()
}

/// The fingerprint of the key that signs as a rule.
pub(crate) fn our_fingerprint() -> String {
    keys().ours.fingerprint().to_string()
}

/// The bytes of a package, and its control file.
type Deb = (Vec<u8>, String);

fn deb(name: &str, architecture: &str) -> Deb {
    static BUILT: OnceLock<Mutex<BTreeMap<String, Deb>>> = OnceLock::new();
    let mut built = BUILT.get_or_init(Default::default).lock().unwrap();
    let make = || {
        let folder = tempfile::tempdir().unwrap();
        let control = format!(
            "Package: {name}\nVersion: 1.0\nArchitecture: {architecture}\nMaintainer: T <t@example.org>\nDescription: x\n"
        );
        fs::create_dir_all(folder.path().join("tree/DEBIAN")).unwrap();
        fs::write(folder.path().join("tree/DEBIAN/control"), &control).unwrap();
        let deb = folder.path().join("a.deb");
        let output = Command::new("dpkg-deb")
            .args(["--root-owner-group", "--build"])
            .args([&folder.path().join("tree"), &deb])
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        (fs::read(deb).unwrap(), control)
    };
    let key = format!("{name}_{architecture}");
    built.entry(key).or_insert_with(make).clone()
}

const DSC: &str = "Format: 3.0 (native)\nSource: hello\nVersion: 1.0\n";

fn sha256(bytes: &[u8]) -> String {
    hex::encode(sha2::Sha256::digest(bytes))
}

/// The stanza of a package whose file is in the pool.
pub(crate) fn stanza(name: &str, architecture: &str) -> String {
    let (bytes, control) = deb(name, architecture);
    format!(
        "{control}Filename: pool/{name}_1.0_{architecture}.deb\nSize: {}\nMD5sum: {}\nSHA256: {}\n\n",
        bytes.len(),
        hex::encode(md5::Md5::digest(&bytes)),
        sha256(&bytes)
    )
}

impl Broken {
    pub(crate) fn good() -> Self {
        let sources = format!(
            "Package: hello\nBinary: hello\nVersion: 1.0\nMaintainer: T <t@example.org>\nArchitecture: any\nFormat: 3.0 (native)\n\
             Directory: pool\nFiles:\n {} {} hello_1.0.dsc\nChecksums-Sha256:\n {} {} hello_1.0.dsc\n\n",
            hex::encode(md5::Md5::digest(DSC)),
            DSC.len(),
            sha256(DSC.as_bytes()),
            DSC.len()
        );
        let indexes = [
            ("main/binary-amd64/Packages", stanza("hello", "amd64")),
            ("main/source/Sources", sources),
        ];
        let fields = [
            ("Origin", "Test".to_owned()),
            ("Label", "Test".to_owned()),
            ("Suite", "stable".to_owned()),
            ("Codename", "trixie".to_owned()),
            ("Date", now().plus(-60).release_date()),
            ("Valid-Until", now().plus_days(7).release_date()),
            ("Architectures", "amd64".to_owned()),
            ("Components", "main".to_owned()),
        ];
        Self {
            fields: fields.into(),
            indexes: indexes.map(|(path, text)| (path.to_owned(), text)).into(),
            forms: vec!["", ".gz", ".xz"],
            hashes: vec!["SHA256"],
            by_hash: Vec::new(),
            plain_names: true,
            streams: 1,
            flat: false,
            signer: Signer::Ours,
            edit_text: |text| text,
            edit_folder: |_| {},
            modified: -10,
        }
    }

    /// Gives a field another value, at its place or at the end.
    pub(crate) fn set(&mut self, name: &'static str, value: impl Into<String>) {
        let value = value.into();
        match self.fields.iter_mut().find(|(known, _)| *known == name) {
            Some(field) => field.1 = value,
            None => self.fields.push((name, value)),
        }
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.fields.retain(|(known, _)| *known != name);
    }

    /// Changes the text of Packages.
    pub(crate) fn packages(&mut self, change: impl Fn(String) -> String) {
        let text = self.indexes.get_mut("main/binary-amd64/Packages").unwrap();
        *text = change(text.clone());
    }

    pub(crate) fn written(&self) -> Written {
        let folder = tempfile::tempdir().unwrap();
        self.write(folder.path());
        let certificate = folder.path().join("trusted.asc");
        Written {
            folder,
            certificate,
            flat: self.flat,
        }
    }

    /// Writes it, in place of what is there.
    pub(crate) fn write(&self, folder: &Path) {
        let _ = fs::remove_dir_all(folder.join("dists"));
        let dists = if self.flat {
            folder.to_owned()
        } else {
            folder.join("dists/trixie")
        };
        fs::create_dir_all(&dists).unwrap();
        fs::create_dir_all(folder.join("pool")).unwrap();
        for (name, architecture) in [("hello", "amd64"), ("hello-doc", "all")] {
            let (bytes, _) = deb(name, architecture);
            fs::write(folder.join(format!("pool/{name}_1.0_{architecture}.deb")), bytes).unwrap();
        }
        fs::write(folder.join("pool/hello_1.0.dsc"), DSC).unwrap();
        let mut listed = Vec::new();
        for (path, text) in &self.indexes {
            for form in &self.forms {
                let parts = if matches!(*form, "" | ".gz") { 1 } else { self.streams };
                let chunks = text.as_bytes().chunks(text.len().div_ceil(parts).max(1));
                let bytes: Vec<u8> = chunks.flat_map(|part| packed(form, part)).collect();
                let path = format!("{path}{form}");
                self.put(&dists, &path, &bytes);
                listed.push((path, bytes));
            }
        }
        let text = (self.edit_text)(self.text(&listed));
        self.sign(folder, &dists, text.as_bytes());
        (self.edit_folder)(folder);
        if let Ok(file) = fs::File::options().write(true).open(dists.join("InRelease")) {
            let at = u64::try_from(started().plus(self.modified).unix()).unwrap();
            let at = std::time::UNIX_EPOCH + std::time::Duration::from_secs(at);
            file.set_modified(at).unwrap();
        }
    }

    fn put(&self, dists: &Path, path: &str, bytes: &[u8]) {
        let plain = dists.join(path);
        fs::create_dir_all(plain.parent().unwrap()).unwrap();
        if self.plain_names {
            fs::write(&plain, bytes).unwrap();
        }
        for kind in &self.by_hash {
            let by_hash = plain.parent().unwrap().join("by-hash").join(kind);
            fs::create_dir_all(&by_hash).unwrap();
            fs::write(by_hash.join(hash(kind, bytes)), bytes).unwrap();
        }
    }

    fn text(&self, listed: &[(String, Vec<u8>)]) -> String {
        let mut text = String::new();
        for (name, value) in &self.fields {
            text.push_str(&format!("{name}: {value}\n"));
        }
        if !self.by_hash.is_empty() {
            text.push_str("Acquire-By-Hash: yes\n");
        }
        for kind in &self.hashes {
            text.push_str(&format!("{kind}:\n"));
            for (path, bytes) in listed {
                text.push_str(&format!(" {} {} {path}\n", hash(kind, bytes), bytes.len()));
            }
        }
        text
    }

    fn sign(&self, folder: &Path, dists: &Path, text: &[u8]) {
        let keys = keys();
        let at = now().plus(-5);
        let certificate = |key: &ArchiveKey| key.certificate_armored().unwrap();
        let mut trusted = certificate(&keys.ours);
        let clear = |key: &ArchiveKey| key.clearsign(text, at).unwrap();
        let signed = match self.signer {
            Signer::Ours => clear(&keys.ours),
            Signer::Stranger => clear(&keys.stranger),
            Signer::Second => {
                trusted.push_str(&certificate(&keys.second));
                clear(&keys.second)
            }
            Signer::Both => {
                let other = String::from_utf8(clear(&keys.stranger)).unwrap();
                let at = other.find("-----BEGIN PGP SIGNATURE").unwrap();
                [clear(&keys.ours), other.as_bytes()[at..].to_vec()].concat()
            }
            Signer::Gnupg(make, how) => {
                let (key, signed) = gnupg(make, how, text);
                trusted = key;
                signed
            }
        };
        // What clients trusted before stays: a second key is only added.
        let path = folder.join("trusted.asc");
        fs::write(path, trusted).unwrap();
        fs::write(dists.join("InRelease"), signed).unwrap();
        fs::write(dists.join("Release"), text).unwrap();
        fs::write(dists.join("Release.gpg"), keys.ours.detach(text, at).unwrap()).unwrap();
    }
}

/// Compressed by its own program, where we only read it.
fn packed(form: &str, bytes: &[u8]) -> Vec<u8> {
    let program: &[&str] = match form {
        ".bz2" => &["bzip2"],
        ".lzma" => &["xz", "--format=lzma"],
        ".lz4" => &["lz4", "-q"],
        _ => return compress(Compression::of_name(&format!("x{form}")), bytes).unwrap(),
    };
    let (file, mut plain) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
    plain.write_all(bytes).unwrap();
    plain.rewind().unwrap();
    let status = Command::new(program[0])
        .args(&program[1..])
        .arg("-c")
        .stdin(plain)
        .stdout(file.try_clone().unwrap())
        .status()
        .unwrap();
    assert!(status.success(), "{form}");
    let mut out = Vec::new();
    (&file).rewind().unwrap();
    (&file).read_to_end(&mut out).unwrap();
    out
}

pub(crate) fn hash(kind: &str, bytes: &[u8]) -> String {
    match kind {
        "SHA512" => hex::encode(sha2::Sha512::digest(bytes)),
        "SHA256" => sha256(bytes),
        "SHA1" => hex::encode(sha1_checked::Sha1::digest(bytes)),
        _ => hex::encode(md5::Md5::digest(bytes)),
    }
}

/// A certificate that GnuPG made for this once, and a text that it signed.
fn gnupg(make: &[&str], how: &[&str], text: &[u8]) -> (String, Vec<u8>) {
    let home = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| {
        let output = Command::new("gpg")
            .args([
                "--batch",
                "--quiet",
                "--no-tty",
                "--pinentry-mode",
                "loopback",
                "--passphrase",
                "",
            ])
            .args(args)
            .env("GNUPGHOME", home.path())
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        output.stdout
    };
    run(make);
    let path = home.path().join("text");
    fs::write(&path, text).unwrap();
    let sign = [how, &["--output", "-", "--clearsign", path.to_str().unwrap()]].concat();
    let signed = run(&sign);
    let certificate = run(&["--armor", "--export"]);
    let _ = Command::new("gpgconf")
        .args(["--kill", "all"])
        .env("GNUPGHOME", home.path())
        .status();
    (String::from_utf8(certificate).unwrap(), signed)
}
