//! A small archive of one suite, staged, committed and published as the real ones are.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use assay::domain::{Architecture, ArchiveName, Component, Digest, PoolPath, RelPath, SuiteName, Timestamp};
use assay::format::compress::Compression;
use assay::host::Clock;
use assay::index::{Cut, blocks, packed};
use assay::publish::{Published, publish};
use assay::snapshot::{Chain, Committed, IndexFile, Made, Record, SuiteState, UpstreamRelease};
use assay::snapshot::{index_key, upstream_files};
use assay::store::{Key, Store};
use assay::trust::{ArchiveKey, Keyring};
use assay::verify::{Anchor, AnchorKind};

/// Makes snapshots in a store.
pub(crate) struct Repository {
    pub(crate) archive: ArchiveName,
    pub(crate) suite: SuiteName,
    pub(crate) key: ArchiveKey,
    /// Upstream's own.
    pub(crate) upstream: ArchiveKey,
    pub(crate) url: String,
}

impl Repository {
    pub(crate) fn new(url: &str) -> Self {
        Self {
            archive: "custom".parse().unwrap(),
            suite: "trixie".parse().unwrap(),
            key: ArchiveKey::generate("Test <test@example.org>", now()).unwrap(),
            upstream: ArchiveKey::generate("Upstream <up@example.org>", now()).unwrap(),
            url: url.to_owned(),
        }
    }

    /// Stages the indexes of a suite whose `Packages` is this, and commits them as the next record.
    pub(crate) fn commit(&self, store: &dyn Store, packages: &str) -> Record {
        let chain = Chain::load(store, &self.archive).unwrap();
        let record = self.next(store, &chain, vec![self.stage(store, packages)]);
        assert_eq!(
            assay::publish::commit(store, &record, &self.key).unwrap(),
            Committed::Yes
        );
        record
    }

    pub(crate) fn next(&self, store: &dyn Store, chain: &Chain, suites: Vec<SuiteState>) -> Record {
        static NONCE: AtomicU64 = AtomicU64::new(0);
        let nonce = NONCE.fetch_add(1, Ordering::Relaxed).to_string();
        chain.next(store, suites, made(&nonce, now())).unwrap()
    }

    pub(crate) fn stage(&self, store: &dyn Store, packages: &str) -> SuiteState {
        let plain = packages.as_bytes();
        let [gz, xz] = [Compression::Gzip, Compression::Xz]
            .map(|c| packed(c, (plain, &blocks(plain, Cut::Stanzas)), None).unwrap().bytes);
        let mut indexes = Vec::new();
        for (name, bytes, kept) in [("", plain, false), (".gz", &gz, true), (".xz", &xz, true)] {
            let index = IndexFile {
                path: RelPath::new(format!("main/binary-amd64/Packages{name}")).unwrap(),
                digest: Digest::of(bytes),
                kept,
            };
            if kept {
                store
                    .create(&index_key(&self.archive, &self.suite, &index), bytes)
                    .unwrap();
            }
            indexes.push(index);
        }
        let fields: Vec<(String, String)> = [
            ("Origin", "Test"),
            ("Label", "Test"),
            ("Suite", "stable"),
            ("Codename", "trixie"),
            ("Description", "A test"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        let inrelease = self.upstream_signs(&fields, &indexes);
        let upstream = UpstreamRelease {
            inrelease: Digest::of(&inrelease),
            release_gpg: None,
            flat: false,
            date: now(),
            valid_until: None,
            signers: vec![self.upstream.fingerprint().clone()],
            verified_at: now(),
            uri: "http://upstream.example/debian/".to_owned(),
            indexes: Vec::new(),
            selection: None,
            filled: false,
            absent: Vec::new(),
        };
        let [file] = &upstream_files(&self.archive, &self.suite, &upstream)[..] else {
            panic!("one file");
        };
        store.create(&file.key, &inrelease).unwrap();
        SuiteState {
            suite: self.suite.clone(),
            date: now(),
            fields,
            architectures: vec![Architecture::new("amd64").unwrap()],
            components: vec![Component::new("main").unwrap()],
            indexes,
            upstream: Some(upstream),
            custom: None,
        }
    }

    /// What a site that mirrors it trusts.
    pub(crate) fn anchor(&self) -> Anchor {
        let certificate = |key: &ArchiveKey| Keyring::parse(key.certificate_armored().unwrap().as_bytes()).unwrap();
        let (suite, signer, key) = (&self.suite, self.upstream.fingerprint(), self.key.fingerprint());
        let config = format!(
            "kind = \"mirror\"\norigin = \"Test\"\nlabel = \"Test\"\nkeyring = \"unused\"\nsigners = [\"{signer}\"]\n\
             suites = [\"{suite}\"]\ncomponents = [\"main\"]\narchitectures = [\"amd64\"]\nvalid-days = 10\npool = \"lazy\"\n\
             signing-key = \"{key}\"\n"
        );
        Anchor {
            public_url: None,
            name: self.archive.clone(),
            keyring: certificate(&self.key),
            kind: AnchorKind::Mirror {
                config: Box::new(toml::from_str(&config).unwrap()),
                upstream: certificate(&self.upstream),
                threshold: 1,
            },
        }
    }

    /// What upstream says of these indexes.
    fn upstream_signs(&self, fields: &[(String, String)], indexes: &[IndexFile]) -> Vec<u8> {
        let mut text: String = fields
            .iter()
            .map(|(name, value)| format!("{name}: {value}\n"))
            .collect();
        text.push_str(&format!("Date: {}\nSHA256:\n", now().release_date()));
        for index in indexes {
            let (digest, path) = (&index.digest, &index.path);
            text.push_str(&format!(" {} {} {path}\n", digest.sha256, digest.size));
        }
        self.upstream.clearsign(text.as_bytes(), now()).unwrap()
    }

    pub(crate) fn publish(&self, store: &dyn Store) -> Published {
        publish(store, &self.archive, &self.key, &self.url).unwrap()
    }

    /// A key below `dists/<suite>/`.
    pub(crate) fn dists(&self, path: &str) -> Key {
        Key::dists(&self.archive, &self.suite, &RelPath::new(path).unwrap())
    }

    pub(crate) fn write_certificate(&self, path: &Path) {
        fs::write(path, self.key.certificate_armored().unwrap()).unwrap();
    }

    /// Builds a package `hello` of a version, puts it into the pool, and gives its stanza.
    pub(crate) fn add_hello(&self, store: &dyn Store, version: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let control = format!(
            "Package: hello\nVersion: {version}\nArchitecture: amd64\nMaintainer: T <t@example.org>\nDescription: x\n"
        );
        fs::create_dir_all(folder.path().join("tree/DEBIAN")).unwrap();
        fs::write(folder.path().join("tree/DEBIAN/control"), &control).unwrap();
        let deb = folder.path().join("hello.deb");
        let built = Command::new("dpkg-deb")
            .args(["--root-owner-group", "--build"])
            // The same bytes, whenever it is built.
            .env("SOURCE_DATE_EPOCH", "1700000000")
            .args([&folder.path().join("tree"), &deb])
            .output()
            .unwrap();
        assert!(built.status.success(), "{built:?}");
        let bytes = fs::read(&deb).unwrap();
        let digest = Digest::of(&bytes);
        let path = PoolPath::new(format!("pool/main/h/hello/hello_{version}_amd64.deb")).unwrap();
        store
            .put_stream(&Key::pool(&self.archive, &path), &digest, &mut &bytes[..])
            .unwrap();
        format!(
            "{control}Filename: {path}\nSize: {}\nSHA256: {}\n\n",
            digest.size, digest.sha256
        )
    }
}

/// How records of the tests come about.
pub(crate) fn made(nonce: &str, now: Timestamp) -> Made<'_> {
    Made {
        valid_days: Some(10),
        reason: "a test",
        by: "the tests",
        nonce,
        now,
        clock: Clock::Fixed(now),
    }
}

/// apt compares dates with the machine's clock.
pub(crate) fn now() -> Timestamp {
    Clock::System.now()
}
