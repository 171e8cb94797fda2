//! A candidate that is admitted, to be spoiled in one way by each test.

use std::collections::{BTreeMap, BTreeSet};

use assay::admission::{
    Candidate, DebFacts, Decision, Evidence, Indexed, IndexedKind, Inspected, IssuedNonce, KnownSnapshot, LedgerView,
    Lineage, Missed, Offered, Output, OutputSet, RecordEvidence, SourceEvidence, TagSigner, Terms, decide, identity,
};
use assay::domain::{
    Architecture, ArchiveName, BuilderId, Component, Digest, FileName, Fingerprint, GitOid, GitRef, PackageName,
    PolicyName, PoolPath, Serial, Sha256, SnapshotId, SuiteName, Timestamp, Version,
};
use assay::environment::{Lock, LockedChroot, LockedPackage, LockedSnapshot};
use assay::format::intoto::Outcome;
use assay::site::{Builder, DebCompression, Dissent, Policy, Relaxation, Shadowing, SignerKey, SignerScheme, Varied};
use assay::source::{BuildDepends, Declaration, DeclaredPackage, DeclaredSigner, SourceFile, Upstream};
use assay::trust::Ed25519Key;

/// Everything that a decision is made of.
#[derive(Debug, Clone)]
pub(crate) struct Scenario {
    pub(crate) policy: Policy,
    pub(crate) candidate: Candidate,
    pub(crate) evidence: Evidence,
    pub(crate) now: Timestamp,
}

pub(crate) const SIGNER: &str = "4D64FEC119C2029067D6E791F8D2585B8783D481";

pub(crate) fn at(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).unwrap()
}

pub(crate) fn package(text: &str) -> PackageName {
    PackageName::new(text).unwrap()
}

pub(crate) fn version(text: &str) -> Version {
    Version::new(text).unwrap()
}

pub(crate) fn arch(text: &str) -> Architecture {
    Architecture::new(text).unwrap()
}

pub(crate) fn file(text: &str) -> FileName {
    FileName::new(text).unwrap()
}

pub(crate) fn sha(text: &str) -> Sha256 {
    Sha256::of(text.as_bytes())
}

fn digest(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

fn archive(text: &str) -> ArchiveName {
    ArchiveName::new(text).unwrap()
}

fn suite(text: &str) -> SuiteName {
    SuiteName::new(text).unwrap()
}

/// A builder's key, the same in each run.
pub(crate) fn secret_key(id: &str) -> Ed25519Key {
    use base64::Engine as _;
    let secret = base64::engine::general_purpose::STANDARD.encode(sha(id).as_bytes());
    Ed25519Key::parse(&format!("assay-ed25519-secret:{secret}")).unwrap()
}

pub(crate) fn builder(id: &str, operator: &str) -> Builder {
    Builder {
        id: BuilderId::new(id).unwrap(),
        operator: operator.to_owned(),
        hosting: format!("{operator}-hosting"),
        public_key: secret_key(id).public().hex(),
        valid_from: None,
        valid_until: None,
        revoked_at: None,
    }
}

pub(crate) fn key_of(builder: &Builder) -> Fingerprint {
    assay::admission::builder_fingerprint(builder).unwrap()
}

fn policy() -> Policy {
    Policy {
        quorum: 2,
        max_record_age_days: 365,
        distinct_hosting: false,
        dissent: Dissent::default(),
        compressions: BTreeSet::new(),
        shadowing: Shadowing::default(),
        all_built_on: None,
        suites: BTreeMap::new(),
        allowed: Vec::new(),
        takeovers: Vec::new(),
        source_formats: vec!["3.0 (quilt)".into(), "3.0 (native)".into()],
        environment_floor: Some(SnapshotId::new("20260101T000000Z").unwrap()),
        environments: Vec::new(),
        signer_threshold: 1,
        signers: vec![SignerKey {
            name: "Dana".into(),
            scheme: SignerScheme::Openpgp,
            fingerprint: Fingerprint::new(SIGNER).unwrap(),
            valid_from: Some(at("2026-01-01T00:00:00Z")),
            valid_until: Some(at("2027-01-01T00:00:00Z")),
            revoked_at: None,
            sources: Vec::new(),
        }],
        blind_rebuilds: false,
        vary: Varied::usual(),
        builders: vec![builder("b1", "alice"), builder("b2", "bob"), builder("b3", "bob")],
        observers: Vec::new(),
        imports: Vec::new(),
        groups: Vec::new(),
        exceptions: Vec::new(),
    }
}

fn declaration() -> Declaration {
    let name = |file_name: &str| SourceFile {
        name: file(file_name),
        digest: digest(file_name),
    };
    let oid = |c: char| GitOid::new(c.to_string().repeat(40)).unwrap();
    Declaration {
        source: package("hello"),
        version: version("2.10-3+custom1"),
        suites: vec![suite("stable")],
        component: Component::new("main").unwrap(),
        git: "/srv/git/hello.git".into(),
        reference: GitRef::new("refs/tags/debian/2.10-3+custom1").unwrap(),
        git_tag: Some(oid('a')),
        git_commit: oid('b'),
        git_tree: oid('c'),
        subfolder: None,
        tree_sha256: sha("tree"),
        source_format: "3.0 (quilt)".into(),
        upstream: Some(Upstream {
            tag_ref: GitRef::new("refs/tags/upstream/2.10").unwrap(),
            git_commit: oid('d'),
            git_tree: oid('e'),
        }),
        orig: None,
        base: None,
        supersedes: None,
        authorised_threshold: None,
        authorised: Vec::new(),
        source_date_epoch: at("2026-06-01T00:00:00Z").unix(),
        build_depends: BuildDepends::default(),
        packages: vec![
            DeclaredPackage {
                name: package("hello"),
                package_type: "deb".into(),
                section: "devel".into(),
                priority: "optional".into(),
                architectures: vec!["any".into()],
            },
            DeclaredPackage {
                name: package("hello-data"),
                package_type: "deb".into(),
                section: "devel".into(),
                priority: "optional".into(),
                architectures: vec!["all".into()],
            },
        ],
        files: vec![
            name("hello_2.10-3+custom1.dsc"),
            name("hello_2.10-3+custom1.debian.tar.xz"),
            name("hello_2.10.orig.tar.xz"),
        ],
        signers: vec![DeclaredSigner {
            scheme: SignerScheme::Openpgp,
            fingerprint: Fingerprint::new(SIGNER).unwrap(),
        }],
    }
}

pub(crate) fn facts(name: &str, architecture: &str) -> DebFacts {
    DebFacts {
        package: package(name),
        version: version("2.10-3+custom1"),
        architecture: arch(architecture),
        source: package("hello"),
        source_version: version("2.10-3+custom1"),
        section: Some("devel".into()),
        priority: Some("optional".into()),
        multi_arch: None,
        essential: false,
        protected: false,
        important: false,
        provides: Vec::new(),
        replaces: Vec::new(),
        built_using: Vec::new(),
        auto_built: None,
        build_ids: Vec::new(),
        elf_build_ids: BTreeSet::from(["abcdef".to_owned()]),
        elf_without_id: 0,
        compressions: BTreeSet::from([DebCompression::Xz]),
        fields: vec!["Package".into(), "Version".into(), "Architecture".into()],
        scripts: BTreeMap::new(),
        setuid: Vec::new(),
        files: BTreeMap::from([(format!("usr/share/doc/{name}/copyright"), sha("copyright"))]),
    }
}

pub(crate) fn output(facts: DebFacts) -> Output {
    let name = format!(
        "{}_{}_{}.deb",
        facts.package,
        facts.version.without_epoch(),
        facts.architecture
    );
    Output {
        digest: digest(&name),
        name: file(&name),
        facts: Inspected::Readable(Box::new(facts)),
    }
}

pub(crate) fn dbgsym() -> DebFacts {
    DebFacts {
        auto_built: Some("debug-symbols".into()),
        build_ids: vec!["abcdef".into()],
        files: BTreeMap::from([
            ("usr/lib/debug/.build-id/ab/cdef.debug".into(), sha("symbols")),
            ("usr/share/doc/hello-dbgsym".into(), sha("hello")),
        ]),
        ..facts("hello-dbgsym", "amd64")
    }
}

pub(crate) fn lock() -> Lock {
    let locked = |name: &str, text: &str| LockedPackage {
        package: package(name),
        version: version(text),
        architecture: arch("amd64"),
        sha256: sha(name),
        size: 1000,
        filename: PoolPath::new(format!("pool/main/{name}.deb")).unwrap(),
        archive: archive("debian"),
        suite: suite("trixie"),
        source: package(name),
        source_version: version(text),
    };
    Lock {
        format: 1,
        architecture: arch("amd64"),
        snapshots: vec![LockedSnapshot {
            archive: archive("debian"),
            suite: suite("trixie"),
            components: vec![Component::new("main").unwrap()],
            id: SnapshotId::new("20260501T000000Z").unwrap(),
            serial: Serial::new("2026050101").unwrap(),
            inrelease_sha256: Some(sha("InRelease")),
            release_date: Some(at("2026-05-01T00:00:00Z")),
            packages_sha256: vec![sha("Packages")],
        }],
        wanted: "debhelper".into(),
        buildinfo: None,
        packages: vec![locked("gcc-14", "14.2.0-19"), locked("libc6", "2.41-12")],
        chroot: LockedChroot {
            tar_sha256: sha("chroot"),
            tool: "mmdebstrap".into(),
            tool_version: "1.5.7".into(),
            source_date_epoch: 0,
        },
    }
}

pub(crate) fn row(name: &str, text: &str, sha256: Sha256) -> Indexed {
    Indexed {
        kind: IndexedKind::Binary,
        mirrored: true,
        archive: archive("debian"),
        suite: suite("trixie"),
        package: package(name),
        version: version(text),
        architecture: arch("amd64"),
        source: package(name),
        takes: Vec::new(),
        sha256,
        newest: false,
    }
}

/// Something that was admitted, and that a builder rebuilt to other bytes.
pub(crate) fn missed(builder: &str) -> Missed {
    Missed {
        builder: BuilderId::new(builder).unwrap(),
        record: sha("a wrong answer"),
        source: package("known"),
        version: version("1.0"),
        file: file("known_1.0_amd64.deb"),
        admitted: sha("known"),
        rebuilt: sha("something else"),
    }
}

impl Scenario {
    /// Two operators rebuilt a signed source to the same two packages.
    pub(crate) fn good() -> Self {
        let (policy, declaration, lock) = (policy(), declaration(), lock());
        let lock_sha256 = identity(&lock).unwrap();
        let candidate = Candidate {
            archive: archive("custom"),
            suites: vec![suite("stable")],
            policy: PolicyName::new("default").unwrap(),
            policy_sha256: identity(&policy).unwrap(),
            source_files: declaration.files.clone(),
            sets: vec![OutputSet {
                lock: lock_sha256,
                architecture: arch("amd64"),
                outputs: vec![output(facts("hello", "amd64")), output(facts("hello-data", "all"))],
            }],
            offered: Offered::ByRecords,
            terms: Terms::default(),
            declaration: declaration.clone(),
        };
        let evidence = Evidence {
            source: Some(SourceEvidence {
                signers: vec![TagSigner {
                    fingerprint: Fingerprint::new(SIGNER).unwrap(),
                    scheme: SignerScheme::Openpgp,
                    made_at: at("2026-06-01T10:00:00Z"),
                }],
                tagged_at: at("2026-06-01T10:00:00Z"),
                derived: declaration,
            }),
            locks: BTreeMap::from([(lock_sha256, lock)]),
            snapshots: vec![KnownSnapshot {
                archive: archive("debian"),
                suite: suite("trixie"),
                id: SnapshotId::new("20260501T000000Z").unwrap(),
                serial: Serial::new("2026050101").unwrap(),
                inrelease_sha256: Some(sha("InRelease")),
                release_date: Some(at("2026-05-01T00:00:00Z")),
                packages_sha256: BTreeSet::from([sha("Packages")]),
            }],
            indexed: vec![
                row("gcc-14", "14.2.0-19", sha("gcc-14")),
                row("libc6", "2.41-12", sha("libc6")),
                row("hello", "2.10-3", sha("Debian's hello")),
            ],
            lineage: Some(Lineage::default()),
            ledger: LedgerView::default(),
            ..Evidence::default()
        };
        let mut scenario = Self {
            policy,
            candidate,
            evidence,
            now: at("2026-06-02T00:00:00Z"),
        };
        scenario.rebuild("b1");
        scenario.rebuild("b2");
        scenario
    }

    /// Adds a record of this builder that agrees, and the nonce it answers.
    pub(crate) fn rebuild(&mut self, id: &str) -> &mut RecordEvidence {
        let number = self.evidence.records.len();
        let set = &self.candidate.sets[0];
        let builder = self.policy.builders.iter().find(|b| b.id.as_str() == id).unwrap();
        let nonce = sha(&format!("nonce {number}")).hex();
        let declaration = identity(&self.candidate.declaration).unwrap();
        self.evidence.nonces.push(IssuedNonce {
            nonce: nonce.clone(),
            declaration,
            lock: set.lock,
            builder: builder.id.clone(),
            issued_at: at("2026-06-01T12:00:00Z"),
            answer_by: at("2026-06-03T12:00:00Z"),
            run: None,
        });
        self.evidence.records.push(RecordEvidence {
            sha256: sha(&format!("record {number}")),
            signed_by: vec![key_of(builder)],
            builder: builder.id.clone(),
            declaration,
            lock: set.lock,
            nonce,
            hostname: format!("host-{id}"),
            user: format!("user-{id}"),
            build_path: "/build/reproducible-path/hello-2.10".into(),
            parallel: number as u32 + 1,
            options: Vec::new(),
            profiles: Vec::new(),
            source_date_epoch: self.candidate.declaration.source_date_epoch,
            network: "none".into(),
            started_on: at("2026-06-01T13:00:00Z").plus(number as i64),
            finished_on: at("2026-06-01T14:00:00Z"),
            outcome: Outcome::Built,
            outputs: set.outputs.iter().map(|o| (o.name.clone(), o.digest.sha256)).collect(),
            log: Some(sha("log")),
            documents: BTreeMap::from([
                (file("hello.log"), sha("log")),
                (file("hello.buildinfo"), sha(&format!("buildinfo of {id}"))),
            ]),
        });
        self.evidence.records.last_mut().unwrap()
    }

    /// Changes the outputs of the candidate, and of all records alike.
    pub(crate) fn outputs(&mut self, outputs: Vec<Output>) {
        let built: BTreeMap<_, _> = outputs.iter().map(|o| (o.name.clone(), o.digest.sha256)).collect();
        for record in &mut self.evidence.records {
            record.outputs = built.clone();
        }
        self.candidate.sets[0].outputs = outputs;
    }

    /// Changes what the first package says of itself; its bytes are taken as they are.
    pub(crate) fn change(&mut self, change: impl FnOnce(&mut DebFacts)) {
        let mut changed = facts("hello", "amd64");
        change(&mut changed);
        self.outputs(vec![output(changed), output(facts("hello-data", "all"))]);
    }

    /// Changes the declaration, and all that names it by digest, as if it had been so from the start.
    pub(crate) fn declare(&mut self, change: impl FnOnce(&mut Declaration)) {
        let before = identity(&self.candidate.declaration).unwrap();
        change(&mut self.candidate.declaration);
        let declared = self.candidate.declaration.clone();
        let sha256 = identity(&declared).unwrap();
        for record in self.evidence.records.iter_mut().filter(|r| r.declaration == before) {
            record.declaration = sha256;
            record.source_date_epoch = declared.source_date_epoch;
        }
        for nonce in self.evidence.nonces.iter_mut().filter(|n| n.declaration == before) {
            nonce.declaration = sha256;
        }
        self.candidate.source_files = declared.files.clone();
        if let Some(source) = &mut self.evidence.source {
            source.derived = declared;
        }
    }

    /// The last nonce and its answer are of another declaration of the same source.
    pub(crate) fn under_another(&mut self, change: impl FnOnce(&mut Declaration)) -> &mut RecordEvidence {
        let mut other = self.candidate.declaration.clone();
        other.authorised = other.signers.clone();
        change(&mut other);
        let sha256 = identity(&other).unwrap();
        if !self.evidence.redeclared.contains(&other) {
            self.evidence.redeclared.push(other);
        }
        self.evidence.nonces.last_mut().unwrap().declaration = sha256;
        let record = self.evidence.records.last_mut().unwrap();
        record.declaration = sha256;
        record
    }

    /// Changes the lock, and all that names it by digest.
    pub(crate) fn relock(&mut self, change: impl FnOnce(&mut Lock)) {
        let mut changed = lock();
        change(&mut changed);
        let sha256 = identity(&changed).unwrap();
        self.candidate.sets[0].lock = sha256;
        for record in &mut self.evidence.records {
            record.lock = sha256;
        }
        for nonce in &mut self.evidence.nonces {
            nonce.lock = sha256;
        }
        self.evidence.locks = BTreeMap::from([(sha256, changed)]);
    }

    /// Changes the policy, as the archive names it.
    pub(crate) fn rule(&mut self, change: impl FnOnce(&mut Policy)) {
        change(&mut self.policy);
        self.candidate.policy_sha256 = identity(&self.policy).unwrap();
    }

    /// Makes an exception for this source.
    pub(crate) fn except(&mut self, rule: &str, expires: &str) {
        let exception = Relaxation {
            rule: rule.into(),
            source: package("hello"),
            version: None,
            reason: "a reason".into(),
            owner: "Olga".into(),
            expires: at(expires),
        };
        self.rule(|policy| policy.exceptions.push(exception));
    }

    pub(crate) fn decide(&self) -> Decision {
        decide(&self.policy, &self.candidate, &self.evidence, self.now)
    }

    /// Asserts a refusal by exactly these rules; gives the first one's evidence.
    pub(crate) fn refused(&self, ids: &[&str]) -> String {
        let decision = self.decide();
        let broken: Vec<&str> = decision.broken().map(|rule| rule.id.as_str()).collect();
        assert_eq!(broken, ids, "{}", assay::admission::explain(&decision));
        assert!(!decision.admitted);
        assert!(decision.levels.is_empty());
        decision.broken().next().unwrap().evidence.clone()
    }

    pub(crate) fn admitted(&self) -> Decision {
        let decision = self.decide();
        assert!(decision.admitted, "{}", assay::admission::explain(&decision));
        decision
    }
}
