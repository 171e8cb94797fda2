//! A custom archive of any size with real signed documents: decisions, rebuild records, locks, declarations.
//!
//! Made by the same types as the gate's own, without building or deciding anything; documents go straight to their
//! places in a local store, since bringing each to the disk would take hours.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use assay::admission::{Decision, LedgerEntry, LedgerKey, RULES, identity};
use assay::domain::{
    ArchiveName, BuilderId, Digest, FileName, Fingerprint, GitOid, GitRef, PackageName, PoolPath, Serial, Sha256,
    SnapshotId, Timestamp, Version,
};
use assay::environment::{Lock, LockedChroot, LockedPackage, LockedSnapshot};
use assay::format::dsse::IN_TOTO;
use assay::format::intoto::{
    BuildDefinition, BuildMetadata, BuilderDetails, Outcome, PROVENANCE, Provenance, ResourceDescriptor, RuleResult,
    RunDetails, STATEMENT, Statement, Subject, sha256_set,
};
use assay::format::json;
use assay::index::{Catalog, suite_indexes};
use assay::publish::{DECISIONS, commit};
use assay::rebuild::{BUILD_TYPE, FileOrder, Parameters, Recipe};
use assay::site::{SignerScheme, Site};
use assay::snapshot::{Chain, IndexFile, Made, SuiteState, index_key};
use assay::source::{BuildDepends, Declaration, DeclaredPackage, DeclaredSigner, SourceFile};
use assay::store::{Key, LocalStore};
use assay::trust::{Ed25519Key, sign_envelope};

/// How much of everything.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// Source packages, of two binary packages each.
    pub(crate) sources: usize,
    /// Packages in each environment.
    pub(crate) environment: usize,
    /// Packages that environments are drawn from.
    pub(crate) debian: usize,
}

/// Every tenth source was built with a package of the one before.
pub(crate) fn builds_with_ours(number: usize) -> bool {
    number % 10 == 9
}

/// The signer of every source.
pub(crate) const SIGNER: &str = "4D64FEC119C2029067D6E791F8D2585B8783D481";
/// The only package of an environment that not all have: every third source's has it.
pub(crate) const RARE: &str = "rare-compiler";

/// A site with its archive, and what signs there.
pub(crate) struct Maker {
    pub(crate) root: PathBuf,
    site: Site,
    pub(crate) store: LocalStore,
    archive: ArchiveName,
    gate: Ed25519Key,
    builders: [(BuilderId, Ed25519Key); 2],
    at: Timestamp,
}

/// What one source came to.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) source: PackageName,
    pub(crate) declaration: Declaration,
    pub(crate) files: BTreeMap<PoolPath, Sha256>,
    pub(crate) decision: Sha256,
    pub(crate) records: Vec<Sha256>,
}

impl Maker {
    /// In a site that `assay init` made just before.
    pub(crate) fn new(root: &Path, at: Timestamp) -> Self {
        let builders = ["alice/desk", "bob/server"].map(|id| (BuilderId::new(id).unwrap(), Ed25519Key::generate()));
        let policy = root.join("policies/default.toml");
        let mut text = fs::read_to_string(&policy).unwrap();
        text.push_str(&format!(
            "\n[[signer]]\nname = \"Dana\"\nscheme = \"openpgp\"\nfingerprint = \"{SIGNER}\"\n"
        ));
        for (id, key) in &builders {
            let operator = id.as_str().split('/').next().unwrap();
            text.push_str(&format!(
                "\n[[builder]]\nid = \"{id}\"\noperator = \"{operator}\"\nhosting = \"a desk\"\npublic-key = \"{}\"\n",
                key.public().hex()
            ));
        }
        fs::write(&policy, text).unwrap();
        let site = Site::load(root).unwrap();
        let gate = site.ed25519_key(&site.config().gate).unwrap();
        Self {
            root: root.to_owned(),
            store: LocalStore::open(&root.join("store")).unwrap(),
            archive: "custom".parse().unwrap(),
            site,
            gate,
            builders,
            at,
        }
    }

    /// A whole archive, published.
    pub(crate) fn archive(&self, plan: Plan) -> Vec<Source> {
        let mut all: Vec<Source> = Vec::new();
        for number in 0..plan.sources {
            let before = all.last().filter(|_| builds_with_ours(number));
            let lock = self.lock(plan, number, before);
            all.push(self.source(number, &lock, |_| {}));
        }
        self.publish(&all);
        all
    }

    /// A builder's key.
    pub(crate) fn builder(&self, number: usize) -> Fingerprint {
        self.builders[number].1.public().fingerprint()
    }

    fn put(&self, key: &Key, bytes: &[u8]) {
        let path = self.root.join("store").join(key.as_str());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn document(&self, bytes: &[u8]) -> Sha256 {
        let sha256 = Sha256::of(bytes);
        self.put(&Key::provenance(&self.archive, &sha256), bytes);
        sha256
    }

    pub(crate) fn lock(&self, plan: Plan, number: usize, ours: Option<&Source>) -> Lock {
        let debian: ArchiveName = "debian".parse().unwrap();
        let locked = |name: String, version: &str| LockedPackage {
            sha256: Sha256::of(format!("{name} {version}").as_bytes()),
            package: PackageName::new(name.as_str()).unwrap(),
            version: Version::new(version).unwrap(),
            architecture: "amd64".parse().unwrap(),
            size: 123_456,
            filename: PoolPath::new(format!("pool/main/{}/{name}_{version}_amd64.deb", &name[..1])).unwrap(),
            archive: debian.clone(),
            suite: "bookworm".parse().unwrap(),
            source: PackageName::new(name.as_str()).unwrap(),
            source_version: Version::new(version).unwrap(),
        };
        // The first half is in every environment, as the build essentials are; the rest is drawn.
        let common = plan.environment / 2;
        let drawn = (common..plan.environment).map(|at| common + (number * 7919 + at * at * 104_729) % plan.debian);
        let mut names: Vec<usize> = (0..common).chain(drawn).collect();
        names.sort_unstable();
        names.dedup();
        let mut packages: Vec<LockedPackage> = names
            .into_iter()
            .map(|at| locked(format!("dep{at:05}"), "1.2-3+deb12u1"))
            .collect();
        if number.is_multiple_of(3) {
            // Its source gives another one, too, of a name that comes first.
            packages.push(LockedPackage {
                source: PackageName::new(RARE).unwrap(),
                ..locked("base-compiler".to_owned(), "5.6.1-1")
            });
            packages.push(locked(RARE.to_owned(), "5.6.1-1"));
        }
        if let Some(ours) = ours {
            let (path, sha256) = ours
                .files
                .iter()
                .find(|(path, _)| path.as_str().contains("-dev_"))
                .unwrap();
            packages.push(LockedPackage {
                sha256: *sha256,
                filename: path.clone(),
                archive: self.archive.clone(),
                suite: "stable".parse().unwrap(),
                source: ours.source.clone(),
                ..locked(format!("lib{}-dev", ours.source), "1.0-1")
            });
        }
        let serial = Serial::new("2026010101").unwrap();
        let at = |archive: &ArchiveName, suite: &str, id: SnapshotId| LockedSnapshot {
            archive: archive.clone(),
            suite: suite.parse().unwrap(),
            components: vec!["main".parse().unwrap()],
            id,
            serial: serial.clone(),
            inrelease_sha256: Some(Sha256::of(b"InRelease")),
            release_date: Some(self.at),
            packages_sha256: vec![Sha256::of(b"Packages")],
        };
        let mut snapshots = vec![at(&debian, "bookworm", SnapshotId::new("20260101T000000Z").unwrap())];
        if ours.is_some() {
            let later = SnapshotId::new(self.at.plus(3600).compact()).unwrap();
            snapshots.push(at(&self.archive, "stable", later));
        }
        Lock {
            format: 1,
            architecture: "amd64".parse().unwrap(),
            snapshots,
            wanted: "debhelper-compat (= 13)".into(),
            buildinfo: None,
            packages,
            chroot: LockedChroot {
                tar_sha256: Sha256::of(number.to_string().as_bytes()),
                tool: "mmdebstrap".into(),
                tool_version: "1.3.5".into(),
                source_date_epoch: 1,
            },
        }
    }

    /// One admitted source with its records; `change` spoils the decision before it is signed.
    pub(crate) fn source(&self, number: usize, lock: &Lock, change: impl FnOnce(&mut Decision)) -> Source {
        let declaration = self.declaration(&format!("src{number:05}"));
        let lock = self.document(&json::canonical("lock", lock).unwrap());
        let declared = self.document(&declaration.canonical().unwrap());
        let outputs = outputs(&declaration, "");
        let records: Vec<Sha256> = self
            .builders
            .iter()
            .map(|(id, key)| self.record(&declaration, lock, id, key, Outcome::Built, &outputs))
            .collect();
        let mut decision = self.decision(&declaration, declared, lock, &records, &outputs);
        change(&mut decision);
        let sha256 = self.sign(&decision);
        self.declare(&declaration);
        Source {
            source: declaration.source.clone(),
            files: decision.files.clone(),
            decision: sha256,
            declaration,
            records,
        }
    }

    /// Puts a declaration into the site.
    pub(crate) fn declare(&self, declaration: &Declaration) {
        let path = self.site.declaration_path(&self.archive, &declaration.source);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, declaration.to_toml().unwrap()).unwrap();
    }

    /// Signs a decision and keeps it where the gate does.
    pub(crate) fn sign(&self, decision: &Decision) -> Sha256 {
        let summary = decision.summary(&self.gate.public().fingerprint(), "assay test");
        let payload = json::canonical("decision", &summary).unwrap();
        let sha256 = self.document(&sign_envelope(IN_TOTO, &payload, &self.gate).to_bytes().unwrap());
        let declaration = decision.declaration.unwrap();
        let key = Key::new(format!("state/{}/decisions/{declaration}/{sha256}", self.archive)).unwrap();
        self.put(&key, b"");
        sha256
    }

    pub(crate) fn declaration(&self, name: &str) -> Declaration {
        let source = PackageName::new(name).unwrap();
        let oid = |what: &str| GitOid::new(&Sha256::of(format!("{what} {name}").as_bytes()).hex()[..40]).unwrap();
        let file = |end: &str| SourceFile {
            name: FileName::new(format!("{name}_{end}")).unwrap(),
            digest: Digest::of(format!("{name}_{end}").as_bytes()),
        };
        let package = |name: String| DeclaredPackage {
            name: PackageName::new(name).unwrap(),
            package_type: "deb".into(),
            section: "devel".into(),
            priority: "optional".into(),
            architectures: vec!["any".into()],
        };
        let mut declaration: Declaration = toml::from_str(&format!(
            "source = \"{name}\"\nversion = \"1.0-1\"\nsuites = [\"stable\"]\ncomponent = \"main\"\n\
             git = \"https://git.example.org/{name}.git\"\nref = \"refs/tags/debian/1.0-1\"\n\
             git-tag = \"{}\"\ngit-commit = \"{}\"\ngit-tree = \"{}\"\ntree-sha256 = \"{}\"\n\
             source-format = \"3.0 (native)\"\nsource-date-epoch = 1\npackage = []\nfile = []\nsigner = []\n[build-depends]\n",
            oid("tag"),
            oid("commit"),
            oid("tree"),
            Sha256::of(name.as_bytes())
        ))
        .unwrap();
        declaration.build_depends = BuildDepends::default();
        declaration.packages = vec![package(name.to_owned()), package(format!("lib{source}-dev"))];
        declaration.files = vec![file("1.0-1.dsc"), file("1.0-1.tar.xz")];
        declaration.signers = vec![DeclaredSigner {
            scheme: SignerScheme::Openpgp,
            fingerprint: Fingerprint::new(SIGNER).unwrap(),
        }];
        declaration.reference = GitRef::new("refs/tags/debian/1.0-1").unwrap();
        declaration
    }

    /// A builder's signed record, listed as a rebuilder lists it.
    pub(crate) fn answer(
        &self,
        declaration: &Declaration,
        lock: &Lock,
        by: usize,
        outcome: Outcome,
        salt: &str,
    ) -> Sha256 {
        let lock = identity(lock).unwrap();
        let outputs = match outcome {
            Outcome::Built => outputs(declaration, salt),
            _ => Vec::new(),
        };
        let (id, key) = &self.builders[by];
        self.record(declaration, lock, id, key, outcome, &outputs)
    }

    fn record(
        &self,
        declaration: &Declaration,
        lock: Sha256,
        builder: &BuilderId,
        key: &Ed25519Key,
        outcome: Outcome,
        outputs: &[(FileName, Sha256)],
    ) -> Sha256 {
        let sha256 = declaration.identity().unwrap();
        let nonce = Sha256::of(format!("{builder} {sha256}").as_bytes()).hex();
        let named = |name: &str, sha256: &Sha256| ResourceDescriptor {
            name: Some(name.to_owned()),
            uri: None,
            digest: sha256_set(sha256),
        };
        let statement = Statement {
            statement_type: STATEMENT.to_owned(),
            subject: outputs
                .iter()
                .map(|(name, sha256)| Subject {
                    name: name.to_string(),
                    digest: sha256_set(sha256),
                })
                .collect(),
            predicate_type: PROVENANCE.to_owned(),
            predicate: Provenance {
                build_definition: BuildDefinition {
                    build_type: BUILD_TYPE.to_owned(),
                    external_parameters: Parameters {
                        declaration: sha256,
                        environment_lock: lock,
                        recipe: recipe(),
                        nonce: nonce.clone(),
                    },
                    resolved_dependencies: declaration
                        .files
                        .iter()
                        .map(|file| named(file.name.as_str(), &file.digest.sha256))
                        .collect(),
                },
                run_details: RunDetails {
                    builder: BuilderDetails {
                        id: builder.to_string(),
                        version: BTreeMap::from([("kernel".to_owned(), "6.1.0".to_owned())]),
                    },
                    metadata: BuildMetadata {
                        invocation_id: nonce,
                        started_on: self.at,
                        finished_on: self.at,
                    },
                    byproducts: vec![named("build.log", &Sha256::of(b"log")), named("x.buildinfo", &sha256)],
                },
                assay_outcome: outcome,
            },
        };
        let payload = json::canonical("record", &statement).unwrap();
        let record = self.document(&sign_envelope(IN_TOTO, &payload, key).to_bytes().unwrap());
        self.put(&Key::evidence(&self.archive, &sha256, &record), b"");
        record
    }

    /// An admission with all rules held.
    pub(crate) fn decision(
        &self,
        declaration: &Declaration,
        declared: Sha256,
        lock: Sha256,
        records: &[Sha256],
        outputs: &[(FileName, Sha256)],
    ) -> Decision {
        let sources = declaration
            .files
            .iter()
            .map(|file| (file.name.clone(), file.digest.sha256));
        let pool = |(name, sha256): (FileName, Sha256)| {
            let path = PoolPath::in_pool(&declaration.component, &declaration.source, &name).unwrap();
            (path, sha256)
        };
        let rule = |rule: &assay::admission::Rule| RuleResult {
            id: rule.id.to_owned(),
            rule: rule.demands.to_owned(),
            passed: true,
            evidence: "it held, as it does for almost every package of this archive".to_owned(),
            repeat: format!("assay admit {} --explain", declaration.source),
        };
        let mut inputs = vec![
            ("declaration".to_owned(), declared),
            ("environment-lock".to_owned(), lock),
        ];
        inputs.extend(records.iter().map(|record| ("rebuild-record".to_owned(), *record)));
        Decision {
            admitted: true,
            rules: RULES.iter().map(rule).collect(),
            archive: self.archive.clone(),
            suites: declaration.suites.clone(),
            component: declaration.component.clone(),
            source: declaration.source.clone(),
            version: declaration.version.clone(),
            files: sources.chain(outputs.iter().cloned()).map(pool).collect(),
            policy: "default".parse().unwrap(),
            policy_sha256: Some(Sha256::of(b"policy")),
            declaration: Some(declared),
            inputs,
            dependencies: None,
            import: None,
            levels: vec!["SLSA_BUILD_REPRODUCED".to_owned()],
            decided_at: self.at,
        }
    }

    /// The next snapshot of the archive lists exactly these.
    pub(crate) fn publish(&self, all: &[Source]) {
        let config = self.site.custom(&self.archive).unwrap();
        let mut catalog = Catalog::new();
        let (mut packages, mut lines) = (String::new(), BTreeMap::new());
        for one in all {
            for (path, sha256) in &one.files {
                lines.insert(path.clone(), format!("{sha256} {} {path}\n", one.decision));
                if let Some((name, _)) = path
                    .file_name()
                    .split_once('_')
                    .filter(|_| path.as_str().ends_with(".deb"))
                {
                    packages.push_str(&format!(
                        "Package: {name}\nSource: {}\nVersion: 1.0-1\nArchitecture: amd64\n\
                         Maintainer: T <t@example.org>\nDepends: libc6 (>= 2.34), libgcc-s1 (>= 3.0)\n\
                         Section: devel\nPriority: optional\nDescription: a package of the test\n\
                         Filename: {path}\nSize: 12345\nSHA256: {sha256}\n\n",
                        one.source
                    ));
                }
            }
        }
        catalog
            .add_packages(&"main".parse().unwrap(), packages.as_bytes())
            .unwrap();
        let mut indexes = suite_indexes(&catalog, &config.components, &config.architectures, config.all).unwrap();
        let decisions: String = lines.into_values().collect();
        indexes.push((DECISIONS.parse().unwrap(), decisions.into_bytes()));
        let suite = config.suites[0].name.clone();
        let staged = indexes.into_iter().map(|(path, bytes)| {
            let digest = Digest::of(&bytes);
            let index = IndexFile {
                path,
                digest,
                kept: true,
            };
            self.put(&index_key(&self.archive, &suite, &index), &bytes);
            index
        });
        let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut indexes: Vec<IndexFile> = staged.collect();
        indexes.sort_by(|a, b| a.path.cmp(&b.path));
        let state = SuiteState {
            date: self.at,
            fields: vec![
                field("Origin", &config.origin),
                field("Label", &config.label),
                field("Suite", suite.as_str()),
                field("Codename", suite.as_str()),
            ],
            suite,
            architectures: config.architectures.clone(),
            components: config.components.clone(),
            indexes,
            upstream: None,
            custom: None,
        };
        let chain = Chain::load(&self.store, &self.archive).unwrap();
        let made = Made {
            valid_days: Some(config.valid_days),
            reason: "a test",
            by: "the tests",
            nonce: "0",
            now: self.at,
            clock: assay::host::Clock::Fixed(self.at),
        };
        let mut record = chain.next(&self.store, vec![state], made).unwrap();
        record.ledger = Some(self.book(all));
        let key = self.site.archive_key(&config.signing_key).unwrap();
        commit(&self.store, &record, &key).unwrap();
    }
}

impl Maker {
    /// What the newest record remembers: claims, lineages and decisions, on pages by the hash of a name.
    fn book(&self, all: &[Source]) -> Sha256 {
        let place = |name: &PackageName| Sha256::of(name.as_str().as_bytes()).hex()[..2].to_owned();
        let mut pages: BTreeMap<String, (BTreeMap<LedgerKey, LedgerEntry>, Lineages, Lineages)> = BTreeMap::new();
        for one in all {
            for (path, sha256) in &one.files {
                let (name, version) = path.file_name().split_once('_').unwrap();
                let package = PackageName::new(name).unwrap();
                let key = match version.rsplit_once('.').unwrap().1 {
                    "deb" => LedgerKey::Binary {
                        package,
                        version: "1.0-1".into(),
                        architecture: "amd64".parse().unwrap(),
                    },
                    "dsc" => LedgerKey::Source {
                        package,
                        version: "1.0-1".into(),
                    },
                    _ => continue,
                };
                let entry = LedgerEntry {
                    key: key.clone(),
                    sha256: *sha256,
                    source: one.source.clone(),
                    version: one.declaration.version.clone(),
                };
                let page = pages.entry(place(&PackageName::new(name).unwrap())).or_default();
                page.0.insert(key, entry);
            }
            let page = pages.entry(place(&one.source)).or_default();
            page.1
                .insert(one.source.clone(), vec![one.declaration.identity().unwrap()]);
            page.2.insert(one.source.clone(), vec![one.decision]);
        }
        let written = |value: serde_json::Value| self.document(&json::canonical("book", &value).unwrap());
        let pages: BTreeMap<String, Sha256> = pages
            .into_iter()
            .map(|(place, (claims, lineages, decisions))| {
                let claims: Vec<LedgerEntry> = claims.into_values().collect();
                let page = serde_json::json!({
                    "format": 1, "claims": claims, "lineages": lineages, "decisions": decisions,
                });
                (place, written(page))
            })
            .collect();
        written(serde_json::json!({ "format": 1, "pages": pages, "decisions": true }))
    }
}

/// What pages say of sources.
type Lineages = BTreeMap<PackageName, Vec<Sha256>>;

fn outputs(declaration: &Declaration, salt: &str) -> Vec<(FileName, Sha256)> {
    let name = |package: &DeclaredPackage| FileName::new(format!("{}_1.0-1_amd64.deb", package.name)).unwrap();
    let mut all: Vec<(FileName, Sha256)> = declaration
        .packages
        .iter()
        .map(|package| (name(package), Sha256::of(format!("{} {salt}", package.name).as_bytes())))
        .collect();
    all.sort();
    all
}

fn recipe() -> Recipe {
    Recipe {
        build: "binary".into(),
        build_path: "/build/reproducible-path".into(),
        deb_build_options: "parallel=2".into(),
        deb_build_profiles: String::new(),
        lc_all: "C.UTF-8".into(),
        tz: "UTC".into(),
        umask: "0022".into(),
        hostname: "host".into(),
        user: "user".into(),
        uid: 1000,
        source_date_epoch: 1,
        network: "none".into(),
        backend: assay::site::Backend::Overlay,
        file_order: FileOrder::Disk,
        seconds: 3600,
        memory: 1 << 30,
        disk: 1 << 30,
        processes: 100,
        log: 1 << 20,
    }
}
