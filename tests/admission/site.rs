//! A store with a mirror in it, and a gate before it; packages are made by dpkg-deb.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use assay::admission::{Candidate, Evidence, RecordEvidence, SourceEvidence, identity};
use assay::domain::{ArchiveName, Digest, Fingerprint, Sha256, SuiteName, Timestamp};
use assay::environment::Lock;
use assay::format::dsse::IN_TOTO;
use assay::format::intoto::{
    BuildDefinition, BuildMetadata, BuilderDetails, PROVENANCE, Provenance, ResourceDescriptor, RunDetails, STATEMENT,
    Statement, Subject, sha256_set,
};
use assay::format::json;
use assay::host::Clock;
use assay::publish::{
    Admission, Gate, GateError, Hearing, Journal, Proposal, Records, add_document, add_record, admit, gather, hold,
    issue_nonce, note_declared, propose,
};
use assay::rebuild::{BUILD_TYPE, FileOrder, Parameters, Recipe};
use assay::site::{Backend, CustomArchive, CustomSuite, IndexForm, Overrides};
use assay::source::SourceFile;
use assay::store::{Key, LocalStore, Store};
use assay::trust::{ArchiveKey, Ed25519Key, sign_envelope};

use super::scenario::{Scenario, at, file, secret_key, sha, version};
use crate::support::repository::{Repository, now};

pub(crate) struct Site {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) store: LocalStore,
    pub(crate) archive: ArchiveName,
    pub(crate) config: CustomArchive,
    pub(crate) gate_key: Ed25519Key,
    pub(crate) archive_key: ArchiveKey,
    pub(crate) lock: Lock,
    /// What its packages are built for.
    pub(crate) architecture: &'static str,
    /// The mirror that environments come from.
    pub(crate) debian: Repository,
    now: Timestamp,
}

/// A source package of one version with what two builders made of it.
pub(crate) struct Built {
    pub(crate) scenario: Scenario,
    pub(crate) locks: BTreeMap<Sha256, Lock>,
}

impl Site {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = LocalStore::open(&folder.path().join("store")).unwrap();
        let archive_key = ArchiveKey::generate("Custom <custom@example.org>", now()).unwrap();
        let config = CustomArchive {
            kind: assay::site::ArchiveKind::Custom,
            origin: "Custom".into(),
            label: "Custom".into(),
            suites: vec![CustomSuite {
                name: SuiteName::new("stable").unwrap(),
                policy: "default".parse().unwrap(),
                rebuild: assay::site::Rebuild::Missing,
                description: None,
                not_automatic: false,
                but_automatic_upgrades: false,
            }],
            branches: None,
            components: vec!["main".parse().unwrap()],
            architectures: vec!["amd64".parse().unwrap()],
            compress: IndexForm::usual(),
            all: Default::default(),
            contents: true,
            translations: false,
            overrides: Overrides::new(),
            changelogs: None,
            extract_changelogs: false,
            dbgsym_component: None,
            valid_days: 10,
            keep: None,
            incoming: None,
            signing_key: archive_key.fingerprint().clone(),
            signing: Default::default(),
            environment: Vec::new(),
        };
        let (debian, lock) = mirror(&store);
        Self {
            folder,
            store,
            archive: "custom".parse().unwrap(),
            config,
            gate_key: Ed25519Key::generate(),
            archive_key,
            lock,
            architecture: "amd64",
            debian,
            now: now(),
        }
    }

    /// The same site at another time.
    pub(crate) fn at(mut self, now: Timestamp) -> Self {
        self.now = now;
        self
    }

    pub(crate) fn gate(&self) -> Gate<'_> {
        Gate {
            store: &self.store,
            archive: &self.archive,
            config: &self.config,
            public_url: "file:///nowhere",
            key: &self.gate_key,
            signer: &self.archive_key,
            program: "assay test",
            clock: Clock::Fixed(self.now),
            journal: None,
        }
    }

    /// What its gate hears before it decides.
    pub(crate) fn hearing<'a>(&'a self, journal: Option<&'a std::path::Path>) -> Hearing<'a> {
        Hearing {
            store: &self.store,
            archive: &self.archive,
            key: &self.gate_key,
            journal: journal.map(Journal),
        }
    }

    /// `hello` of a version, built twice to these bytes, and held.
    pub(crate) fn build(&self, text: &str, content: &str) -> Built {
        self.build_for(text, content, &["stable"])
    }

    /// The same, with something else declared or ruled.
    pub(crate) fn build_as(&self, text: &str, content: &str, change: impl FnOnce(&mut Scenario)) -> Built {
        self.build_with(text, content, &["stable"], change)
    }

    /// The same, declared and offered for these suites.
    pub(crate) fn build_for(&self, text: &str, content: &str, suites: &[&str]) -> Built {
        self.build_with(text, content, suites, |_| {})
    }

    fn build_with(&self, text: &str, content: &str, suites: &[&str], change: impl FnOnce(&mut Scenario)) -> Built {
        let suites: Vec<SuiteName> = suites.iter().map(|name| name.parse().unwrap()).collect();
        let deb = deb_for(self.architecture, text, content);
        let mut scenario = Scenario::good();
        scenario.now = self.now;
        scenario.rule(|policy| {
            policy.environment_floor = None;
            policy.signers[0].valid_until = None;
        });
        let files = self.source(text);
        scenario.declare(|declaration| {
            declaration.version = version(text);
            declaration.suites.clone_from(&suites);
            declaration.tree_sha256 = sha(content);
            declaration.source_format = "3.0 (native)".into();
            declaration.upstream = None;
            declaration.source_date_epoch = self.now.unix() - 86_400;
            declaration.packages.truncate(1);
            if self.architecture == "all" {
                declaration.packages[0].architectures = vec!["all".to_owned()];
            }
            declaration.files = files;
        });
        scenario.candidate.suites.clone_from(&suites);
        let signed_at = self.now.plus(-3600);
        let source = scenario.evidence.source.as_mut().unwrap();
        (source.tagged_at, source.signers[0].made_at) = (signed_at, signed_at);
        change(&mut scenario);
        let name = file(&format!("hello_{text}_{}.deb", self.architecture));
        let digest = Digest::of(&deb);
        hold(&self.store, &self.archive, &digest, &mut &deb[..]).unwrap();
        let lock = identity(&self.lock).unwrap();
        let declaration = identity(&scenario.candidate.declaration).unwrap();
        note_declared(&self.store, &self.archive, &scenario.candidate.declaration).unwrap();
        for (later, record) in (0..).zip(&mut scenario.evidence.records) {
            let builder = &record.builder;
            let asked = issue_nonce(
                &self.store,
                &self.archive,
                (declaration, lock),
                (builder, (0, 1)),
                self.now,
                600,
            )
            .unwrap();
            record.nonce = asked.nonce;
            record.lock = lock;
            record.outputs = BTreeMap::from([(name.clone(), digest.sha256)]);
            (record.started_on, record.finished_on) = (self.now, self.now.plus(later));
        }
        Built {
            scenario,
            locks: BTreeMap::from([(lock, self.lock.clone())]),
        }
    }

    /// A native source package, held.
    fn source(&self, text: &str) -> Vec<SourceFile> {
        let tarball = format!("the tarball of {text}");
        let tarball_name = format!("hello_{text}.tar.xz");
        let digest = Digest::of(tarball.as_bytes());
        let dsc = format!(
            "Format: 3.0 (native)\nSource: hello\nBinary: hello\nArchitecture: any\nVersion: {text}\n\
             Maintainer: T <t@example.org>\nPackage-List:\n hello deb devel optional arch=any\n\
             Checksums-Sha256:\n {} {} {tarball_name}\nFiles:\n {} {} {tarball_name}\n",
            digest.sha256,
            digest.size,
            "0123456789abcdef".repeat(2),
            digest.size,
        );
        let hold = |name: String, bytes: &[u8]| {
            let digest = Digest::of(bytes);
            hold(&self.store, &self.archive, &digest, &mut &*bytes).unwrap();
            SourceFile {
                name: file(&name),
                digest,
            }
        };
        vec![
            hold(format!("hello_{text}.dsc"), dsc.as_bytes()),
            hold(tarball_name, tarball.as_bytes()),
        ]
    }

    /// The record as its builder signs it, kept as a rebuilder leaves it.
    pub(crate) fn sign(&self, record: &RecordEvidence, key: &Ed25519Key) -> Sha256 {
        let payload = json::canonical("record", &statement(record)).unwrap();
        let envelope = sign_envelope(IN_TOTO, &payload, key).to_bytes().unwrap();
        for text in ["log".to_owned(), format!("buildinfo of {}", record.builder)] {
            add_document(&self.store, &self.archive, text.as_bytes()).unwrap();
        }
        add_record(&self.store, &self.archive, &record.declaration, &envelope).unwrap()
    }

    /// What the rebuilders' outputs make, with all evidence from the store.
    pub(crate) fn prepare(&self, built: &Built) -> (Candidate, Evidence) {
        let mut records = built.scenario.evidence.records.clone();
        for record in &mut records {
            record.sha256 = self.sign(record, &secret_key(record.builder.as_str()));
        }
        let records = Records {
            records,
            ..Records::default()
        };
        self.prepare_with(built, &records)
    }

    fn prepare_with(&self, built: &Built, records: &Records) -> (Candidate, Evidence) {
        let scenario = &built.scenario;
        let proposal = Proposal {
            archive: &self.archive,
            suites: &scenario.candidate.suites,
            policy_name: &scenario.candidate.policy,
            policy: &scenario.policy,
            declaration: &scenario.candidate.declaration,
            source_files: &scenario.candidate.source_files,
            locks: &built.locks,
        };
        let candidate = propose(&self.store, &proposal, &records.records).unwrap();
        let source: SourceEvidence = scenario.evidence.source.clone().unwrap();
        let evidence = gather(
            &self.store,
            &candidate,
            &built.locks,
            records,
            Ok(source),
            (
                &["debian", "debian-security"].map(|name| name.parse().unwrap()).into(),
                &self.gate_key.public(),
            ),
        )
        .unwrap();
        (candidate, evidence)
    }

    pub(crate) fn admit(&self, built: &Built) -> Result<Admission, GateError> {
        let (candidate, evidence) = self.prepare(built);
        admit(&self.gate(), &built.scenario.policy, &candidate, &evidence, self.now)
    }

    pub(crate) fn admit_with(&self, built: &Built, records: &Records) -> Result<Admission, GateError> {
        let (candidate, evidence) = self.prepare_with(built, records);
        admit(&self.gate(), &built.scenario.policy, &candidate, &evidence, self.now)
    }

    /// Every object of the store with its size: what a refusal must not change.
    pub(crate) fn objects(&self, prefix: &str) -> Vec<(Key, u64)> {
        let list = self.store.list(prefix).unwrap();
        list.into_iter().map(|meta| (meta.key, meta.size)).collect()
    }

    pub(crate) fn gate_fingerprint(&self) -> Fingerprint {
        self.gate_key.public().fingerprint()
    }
}

fn statement(record: &RecordEvidence) -> Statement<Provenance<Parameters>> {
    let named = |name: &str, sha256: &Sha256| Subject {
        name: name.to_owned(),
        digest: sha256_set(sha256),
    };
    Statement {
        statement_type: STATEMENT.to_owned(),
        subject: record
            .outputs
            .iter()
            .map(|(name, sha256)| named(name.as_str(), sha256))
            .collect(),
        predicate_type: PROVENANCE.to_owned(),
        predicate: Provenance {
            build_definition: BuildDefinition {
                build_type: BUILD_TYPE.to_owned(),
                external_parameters: Parameters {
                    declaration: record.declaration,
                    environment_lock: record.lock,
                    recipe: Recipe {
                        build: "binary".into(),
                        build_path: record.build_path.clone(),
                        deb_build_options: format!("parallel={}", record.parallel),
                        deb_build_profiles: String::new(),
                        lc_all: "C.UTF-8".into(),
                        tz: "UTC".into(),
                        umask: "0022".into(),
                        hostname: record.hostname.clone(),
                        user: record.user.clone(),
                        uid: 1000,
                        source_date_epoch: record.source_date_epoch,
                        network: "none".into(),
                        backend: Backend::Overlay,
                        file_order: FileOrder::Disk,
                        seconds: 60,
                        memory: 1 << 30,
                        disk: 1 << 30,
                        processes: 100,
                        log: 1 << 20,
                    },
                    nonce: record.nonce.clone(),
                },
                resolved_dependencies: Vec::new(),
            },
            run_details: RunDetails {
                builder: BuilderDetails {
                    id: record.builder.to_string(),
                    version: BTreeMap::new(),
                },
                metadata: BuildMetadata {
                    invocation_id: record.nonce.clone(),
                    started_on: record.started_on,
                    finished_on: record.finished_on,
                },
                byproducts: record
                    .documents
                    .iter()
                    .map(|(name, sha256)| ResourceDescriptor {
                        name: Some(name.to_string()),
                        uri: None,
                        digest: sha256_set(sha256),
                    })
                    .collect(),
            },
            assay_outcome: record.outcome,
        },
    }
}

/// A mirror whose snapshot lists two packages of the build environment, and the lock of them.
fn mirror(store: &LocalStore) -> (Repository, Lock) {
    let mut debian = Repository::new("file:///nowhere");
    debian.archive = "debian".parse().unwrap();
    let stanza = |name: &str, version: &str, sha256: Sha256| {
        format!(
            "Package: {name}\nVersion: {version}\nArchitecture: amd64\nMaintainer: T <t@example.org>\n\
             Filename: pool/main/{name}.deb\nSize: 1000\nSHA256: {sha256}\n\n"
        )
    };
    let packages = [
        stanza("gcc-14", "14.2.0-19", sha("gcc-14")),
        stanza("hello", "0.9-1", sha("Debian's hello")),
        stanza("libc6", "2.41-12", sha("libc6")),
    ]
    .concat();
    let record = debian.commit(store, &packages);
    let upstream = record.suites[0].upstream.clone().unwrap();
    let mut lock = super::scenario::lock();
    let locked = &mut lock.snapshots[0];
    locked.id = record.id.clone();
    locked.serial = record.serial.clone();
    locked.inrelease_sha256 = Some(upstream.inrelease.sha256);
    locked.release_date = Some(upstream.date);
    locked.packages_sha256 = vec![Sha256::of(packages.as_bytes())];
    (debian, lock)
}

/// A package that holds one file.
pub(crate) fn deb(version: &str, content: &str) -> Vec<u8> {
    deb_for("amd64", version, content)
}

fn deb_for(architecture: &str, version: &str, content: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let tree = folder.path().join("tree");
    fs::create_dir_all(tree.join("DEBIAN")).unwrap();
    fs::create_dir_all(tree.join("usr/share/hello")).unwrap();
    fs::write(tree.join("usr/share/hello/text"), content).unwrap();
    let control = format!(
        "Package: hello\nVersion: {version}\nArchitecture: {architecture}\nMaintainer: T <t@example.org>\n\
         Description: x\n Greets in version {version}.\n .\n   As told.\n"
    );
    fs::write(tree.join("DEBIAN/control"), control).unwrap();
    let path = folder.path().join("hello.deb");
    let output = Command::new("dpkg-deb")
        .args(["--root-owner-group", "--build"])
        .args([&tree, &path])
        .env("SOURCE_DATE_EPOCH", at("2026-01-01T00:00:00Z").unix().to_string())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    fs::read(path).unwrap()
}
