//! Small archives, as an upstream would publish them, and a mirror of one.

use std::collections::BTreeMap;
use std::io::{Seek as _, Write as _};
use std::sync::Arc;

use assay::domain::{ArchiveName, Digest, Timestamp};
use assay::format::compress::{Compression, compress};
use assay::host::Progress;
use assay::publish::publish;
use assay::site::{MirrorArchive, PoolMode};
use assay::snapshot::{Chain, Committed, Record, SuiteState};
use assay::store::{LocalStore, Store};
use assay::trust::{ArchiveKey, Keyring};
use assay::upstream::{Client, Follow, Followed, Limits, UpstreamError, follow};
use md5::Digest as _;

use super::repository::made;

/// When tests happen.
pub(crate) fn noon() -> Timestamp {
    Timestamp::parse_compact("20261122T120000Z").unwrap()
}

/// An upstream archive of one suite, whose parts tests change before it is published.
#[derive(Debug, Clone)]
pub(crate) struct Archive {
    /// `tin`.
    pub(crate) suite: &'static str,
    /// Fields of its Release before the hashes, in order.
    pub(crate) fields: Vec<(&'static str, String)>,
    pub(crate) date: Timestamp,
    pub(crate) valid_until: Option<Timestamp>,
    /// Pool files.
    pub(crate) pool: BTreeMap<String, Vec<u8>>,
    /// What stands in Packages, beside the stanzas of the pool files.
    pub(crate) more: String,
    /// More fields of the stanzas of pool files, by path.
    extra: BTreeMap<String, String>,
    /// What stands in Sources.
    pub(crate) sources: String,
    /// Files of source packages.
    source_files: BTreeMap<String, Vec<u8>>,
    /// Changes of Release lines: the first text becomes the second.
    pub(crate) edits: Vec<(String, String)>,
    /// More indexes: uncompressed, and as they are served.
    more_indexes: Vec<(String, Vec<u8>)>,
    /// Files below `dists/tin/` that Release does not list.
    loose: BTreeMap<String, Vec<u8>>,
    /// Whether its indexes are compressed by the programs that Debian's archive uses.
    pub(crate) by_programs: bool,
}

impl Archive {
    pub(crate) fn new(date: Timestamp) -> Self {
        let field = |name, value: &str| (name, value.to_owned());
        Self {
            suite: "tin",
            fields: vec![
                field("Origin", "Foundry"),
                field("Label", "Foundry"),
                field("Suite", "stable"),
                field("Codename", "tin"),
                field("Acquire-By-Hash", "yes"),
                field("Architectures", "all amd64 i386"),
                field("Components", "main contrib"),
                field("Description", "Tests"),
            ],
            date,
            valid_until: Some(date.plus_days(7)),
            pool: BTreeMap::from([("pool/main/a/alloy/alloy_1_amd64.deb".to_owned(), b"alloy 1".to_vec())]),
            more: String::new(),
            extra: BTreeMap::new(),
            sources: String::new(),
            source_files: BTreeMap::new(),
            edits: Vec::new(),
            more_indexes: Vec::new(),
            loose: BTreeMap::new(),
            by_programs: false,
        }
    }

    /// With an index; as `.gz` alone when its name ends so.
    pub(crate) fn index(mut self, path: &str, bytes: &[u8]) -> Self {
        self.more_indexes.push((path.to_owned(), bytes.to_vec()));
        self
    }

    /// With a file below `dists/tin/` that Release does not list.
    pub(crate) fn loose(mut self, path: &str, bytes: &[u8]) -> Self {
        self.loose.insert(path.to_owned(), bytes.to_vec());
        self
    }

    /// With more lines in the stanza of a pool file.
    pub(crate) fn extra(mut self, path: &str, lines: &str) -> Self {
        self.extra.insert(path.to_owned(), lines.to_owned());
        self
    }

    /// With a source package.
    pub(crate) fn source(self, name: &str, version: &str) -> Self {
        let dsc = format!("the .dsc of {name} {version}").into_bytes();
        self.source_of(name, version, "3.0 (native)", &[(format!("{name}_{version}.dsc"), dsc)])
    }

    /// With a source package of these files.
    pub(crate) fn source_of(mut self, name: &str, version: &str, format: &str, files: &[(String, Vec<u8>)]) -> Self {
        let folder = format!("pool/main/s/{name}");
        let (mut md5, mut sha256) = (String::new(), String::new());
        for (file, bytes) in files {
            let digest = Digest::of(bytes);
            md5.push_str(&format!(
                "\n {} {} {file}",
                hex::encode(md5::Md5::digest(bytes)),
                digest.size
            ));
            sha256.push_str(&format!("\n {} {} {file}", digest.sha256, digest.size));
            self.source_files.insert(format!("{folder}/{file}"), bytes.clone());
        }
        self.sources.push_str(&format!(
            "Package: {name}\nBinary: {name}\nVersion: {version}\nMaintainer: T <t@example.org>\nArchitecture: any\n\
             Format: {format}\nDirectory: {folder}\nFiles:{md5}\nChecksums-Sha256:{sha256}\n\n"
        ));
        self
    }

    /// With files of source packages, whose stanzas stand in `sources`.
    pub(crate) fn source_files(mut self, files: &[(&str, &[u8])]) -> Self {
        let files = files.iter().map(|(path, bytes)| ((*path).to_owned(), bytes.to_vec()));
        self.source_files.extend(files);
        self
    }

    pub(crate) fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.iter_mut().find(|(known, _)| *known == name).unwrap().1 = value.to_owned();
        self
    }

    pub(crate) fn with(mut self, path: &str, bytes: &[u8]) -> Self {
        self.pool.insert(path.to_owned(), bytes.to_vec());
        self
    }

    pub(crate) fn edit(mut self, from: impl Into<String>, to: impl Into<String>) -> Self {
        self.edits.push((from.into(), to.into()));
        self
    }

    pub(crate) fn packages(&self) -> Vec<u8> {
        let mut text = self.more.clone();
        for (path, bytes) in &self.pool {
            let name = path.rsplit('/').next().unwrap();
            let mut parts = name.trim_end_matches(".deb").split('_');
            let (package, version) = (parts.next().unwrap(), parts.next().unwrap());
            let Digest { sha256, size } = Digest::of(bytes);
            let extra = self.extra.get(path).map_or("", String::as_str);
            let architecture = parts.next().filter(|word| *word == "all").unwrap_or("amd64");
            text.push_str(&format!(
                "Package: {package}\n{extra}Version: {version}\nArchitecture: {architecture}\nMaintainer: T <t@example.org>\n\
                 Filename: {path}\nSize: {size}\nSHA256: {sha256}\nDescription: test\n\n"
            ));
        }
        text.into_bytes()
    }

    /// Everything that the upstream serves, signed by `key`.
    pub(crate) fn files(&self, key: &ArchiveKey) -> BTreeMap<String, Vec<u8>> {
        let packages = self.packages();
        let mut indexes = BTreeMap::new();
        let mut hidden = Vec::new();
        for (name, plain) in [
            ("main/binary-amd64/Packages", packages),
            ("main/source/Sources", self.sources.clone().into_bytes()),
            ("main/i18n/Translation-en", b"Package: alloy\n".to_vec()),
        ] {
            let packed = |form| match form {
                Compression::Xz if self.by_programs => piped(&["xz", "-6e", "-T2"], &plain),
                Compression::Gzip if self.by_programs => piped(&["gzip", "-9cn", "--rsyncable"], &plain),
                form => compress(form, &plain).unwrap(),
            };
            indexes.insert(format!("{name}.xz"), packed(Compression::Xz));
            indexes.insert(format!("{name}.gz"), packed(Compression::Gzip));
            hidden.push((name.to_owned(), plain));
        }
        indexes.insert("main/binary-amd64/Release".to_owned(), b"Archive: stable\n".to_vec());
        for (path, bytes) in &self.more_indexes {
            match path.strip_suffix(".gz") {
                Some(plain) => {
                    indexes.insert(path.clone(), compress(Compression::Gzip, bytes).unwrap());
                    hidden.push((plain.to_owned(), bytes.clone()));
                }
                None => {
                    indexes.insert(path.clone(), bytes.clone());
                }
            }
        }
        let listed = indexes.iter().chain(hidden.iter().map(|(name, plain)| (name, plain)));
        let listed: BTreeMap<_, _> = listed.collect();
        let mut files: BTreeMap<String, Vec<u8>> = self.pool.clone();
        files.extend(self.source_files.clone());
        files.insert(format!("dists/{}/InRelease", self.suite), self.inrelease(&listed, key));
        for (path, bytes) in indexes {
            let folder = path.rsplit_once('/').unwrap().0;
            let by_hash = format!(
                "dists/{}/{folder}/by-hash/SHA256/{}",
                self.suite,
                Digest::of(&bytes).sha256
            );
            files.insert(by_hash, bytes.clone());
            files.insert(format!("dists/{}/{path}", self.suite), bytes);
        }
        let loose = self.loose.iter();
        files.extend(loose.map(|(path, bytes)| (format!("dists/{}/{path}", self.suite), bytes.clone())));
        files
    }

    /// The text of its Release.
    pub(crate) fn release(&self, key: &ArchiveKey) -> Vec<u8> {
        let keyring = Keyring::parse(key.certificate_armored().unwrap().as_bytes()).unwrap();
        let requirement = assay::trust::Requirement {
            keyring: &keyring,
            threshold: 1,
            now: self.date,
        };
        let inrelease = &self.files(key)["dists/tin/InRelease"];
        assay::trust::verify_inrelease(inrelease, &requirement).unwrap().text
    }

    fn inrelease(&self, listed: &BTreeMap<&String, &Vec<u8>>, key: &ArchiveKey) -> Vec<u8> {
        let mut text = String::new();
        for (name, value) in &self.fields {
            text.push_str(&format!("{name}: {value}\n"));
        }
        text.push_str(&format!("Date: {}\n", self.date.release_date()));
        if let Some(until) = self.valid_until {
            text.push_str(&format!("Valid-Until: {}\n", until.release_date()));
        }
        text.push_str("MD5Sum:\n");
        for (path, bytes) in listed {
            text.push_str(&format!(
                " {} {} {path}\n",
                hex::encode(md5::Md5::digest(bytes)),
                bytes.len()
            ));
        }
        text.push_str("SHA256:\n");
        for (path, bytes) in listed {
            text.push_str(&format!(" {} {} {path}\n", Digest::of(bytes).sha256, bytes.len()));
        }
        for (from, to) in &self.edits {
            assert!(text.contains(from), "{from}");
            text = text.replace(from, to);
        }
        key.clearsign(text.as_bytes(), self.date).unwrap()
    }
}

/// What a program makes of these bytes.
fn piped(command: &[&str], bytes: &[u8]) -> Vec<u8> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file.rewind().unwrap();
    let mut program = std::process::Command::new(command[0]);
    let output = program.args(&command[1..]).stdin(file).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    output.stdout
}

/// A key that is older than every test.
pub(crate) fn key(name: &str) -> ArchiveKey {
    ArchiveKey::generate(&format!("{name} <{name}@example.org>"), noon().plus(-400 * 86_400)).unwrap()
}

/// A mirror of such an archive, in a store of its own.
#[derive(Debug)]
pub(crate) struct Mirror {
    /// Where the store is, until this is dropped.
    _folder: tempfile::TempDir,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) name: ArchiveName,
    pub(crate) config: MirrorArchive,
    pub(crate) keyring: Keyring,
    pub(crate) ours: ArchiveKey,
    pub(crate) limits: Limits,
}

impl Mirror {
    pub(crate) fn of(upstream: &ArchiveKey) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Arc::new(LocalStore::open(&folder.path().join("store")).unwrap());
        let ours = key("ours");
        let config = MirrorArchive {
            kind: assay::site::ArchiveKind::Mirror,
            uri: None,
            allowed_hosts: Vec::new(),
            max_age_days: None,
            follow_patches: false,
            origin: "Foundry".into(),
            label: "Foundry".into(),
            keyring: "unused".into(),
            signers: vec![upstream.fingerprint().clone()],
            threshold: 1,
            flat: None,
            suites: vec!["tin".parse().unwrap()],
            components: vec!["main".parse().unwrap()],
            architectures: vec!["amd64".parse().unwrap()],
            languages: vec!["en".into()],
            indexes: assay::site::IndexKind::ALL.into(),
            sources: true,
            pool: PoolMode::Lazy,
            select: None,
            keep: None,
            valid_days: 10,
            signing_key: ours.fingerprint().clone(),
            signing: Default::default(),
        };
        let keyring = Keyring::parse(upstream.certificate_armored().unwrap().as_bytes()).unwrap();
        Self {
            _folder: folder,
            store,
            name: "foundry".parse().unwrap(),
            config,
            keyring,
            ours,
            limits: Self::limits(),
        }
    }

    /// Short time-outs: what hangs shall not hang the tests.
    pub(crate) fn limits() -> Limits {
        use std::time::Duration;
        Limits {
            idle: Duration::from_millis(700),
            total: Duration::from_millis(2500),
            slowest: 1 << 20,
            backoff: Duration::from_millis(10),
            ..Limits::default()
        }
    }

    pub(crate) fn latest(&self) -> Option<Record> {
        Chain::load(self.store.as_ref(), &self.name).unwrap().latest().cloned()
    }

    pub(crate) fn follow(&self, base_uri: &str, now: Timestamp) -> Result<Followed, UpstreamError> {
        let client = Client::new(base_uri, self.limits.clone())?;
        let previous = self.latest().map(|record| record.as_upstream_has_it());
        let what = Follow {
            client: &client,
            archive: &self.name,
            config: &self.config,
            keyring: &self.keyring,
            previous: previous.as_ref(),
            earlier: &[],
            allow_release_info_change: false,
        };
        follow(&what, self.store.as_ref(), now, &Progress::hidden())
    }

    /// Follows, and makes and publishes the next snapshot.
    pub(crate) fn accept(&self, base_uri: &str, now: Timestamp) -> Record {
        match self.follow(base_uri, now).unwrap() {
            Followed::Changed(suites, _) => self.publish(suites, now),
            Followed::Unchanged => panic!("unchanged"),
        }
    }

    pub(crate) fn publish(&self, suites: Vec<SuiteState>, now: Timestamp) -> Record {
        let store = self.store.as_ref();
        let chain = Chain::load(store, &self.name).unwrap();
        let record = chain.next(store, suites, made(&now.compact(), now)).unwrap();
        assert_eq!(
            assay::publish::commit(store, &record, &self.ours).unwrap(),
            Committed::Yes
        );
        publish(store, &self.name, &self.ours, "http://127.0.0.1:1").unwrap();
        record
    }

    /// Everything that somebody can see by its name, with its bytes.
    pub(crate) fn visible(&self) -> BTreeMap<String, Vec<u8>> {
        let all = self.store.list("").unwrap().into_iter();
        let named = all.filter(|meta| !meta.key.as_str().contains("/by-hash/"));
        named
            .map(|meta| (meta.key.to_string(), self.store.get(&meta.key, 1 << 30).unwrap()))
            .collect()
    }
}
