//! Imports: what upstream's signature proves, read from upstream's own files; and each rule that refuses one.

use std::collections::{BTreeMap, BTreeSet};

use assay::admission::{
    Asked, Described, Import, ImportCase, ImportEvidence, ImportedFrom, ImportedSnapshot, Indexed, IndexedKind,
    Inspected, LedgerEntry, LedgerKey, LedgerView, Moved, Output, Proof, RULES, Terms, UpstreamFiles, claims,
    decide_import, explain, identity, prove, prove_again,
};
use assay::admission::{Decision, IMPORT_RULES};
use assay::domain::{Digest, Fingerprint, RelPath, Sha256, SnapshotId, Timestamp};
use assay::site::{ImportRule, Policy, Relaxation};
use assay::snapshot::Removed;
use assay::source::SourceFile;
use assay::trust::{ArchiveKey, Keyring};

use super::scenario::{Scenario, arch, at, facts, file, output, package, sha, version};

const VERSION: &str = "2.10-3+custom1";
const DSC: &str = "hello_2.10-3+custom1.dsc";
const TARBALL: &str = "hello_2.10-3+custom1.tar.xz";
const SOURCES: &str = "main/source/Sources";
const PACKAGES: &str = "main/binary-amd64/Packages";

/// An upstream that a key of its own signs.
pub(crate) struct Upstream {
    key: ArchiveKey,
    suite: &'static str,
    /// Indexes by path.
    /// More fields of its Release.
    more: &'static str,
    indexes: BTreeMap<&'static str, String>,
}

impl Upstream {
    fn new() -> Self {
        let listed = |outputs: &[Output]| outputs.iter().map(stanza).collect::<String>();
        let outputs = outputs();
        Self {
            key: ArchiveKey::generate("Upstream <u@example.org>", at("2026-01-01T00:00:00Z")).unwrap(),
            suite: "trixie",
            more: "",
            indexes: BTreeMap::from([
                (SOURCES, sources(VERSION)),
                (PACKAGES, listed(&outputs)),
                ("main/debian-installer/binary-amd64/Packages", String::new()),
            ]),
        }
    }

    fn signer(&self) -> Fingerprint {
        self.key.fingerprint().clone()
    }

    /// What it signs, with these indexes; they are what `served` says.
    fn files(&self, served: &BTreeMap<&'static str, String>) -> UpstreamFiles {
        let mut text = format!(
            "Origin: Upstream\nSuite: stable\nCodename: {}\nDate: Mon, 01 Jun 2026 00:00:00 UTC\n\
             Valid-Until: Mon, 08 Jun 2026 00:00:00 UTC\n{}SHA256:\n",
            self.suite, self.more
        );
        for (path, index) in &self.indexes {
            let Digest { sha256, size } = Digest::of(index.as_bytes());
            text.push_str(&format!(" {sha256} {size} {path}\n"));
        }
        let indexes = served.iter();
        UpstreamFiles {
            release: self.key.clearsign(text.as_bytes(), at("2026-06-01T00:00:00Z")).unwrap(),
            signature: None,
            keyring: self.key.certificate_armored().unwrap().into_bytes(),
            indexes: indexes
                .map(|(path, text)| (RelPath::new(*path).unwrap(), text.clone().into_bytes()))
                .collect(),
        }
    }
}

fn outputs() -> Vec<Output> {
    vec![output(facts("hello", "amd64")), output(facts("hello-data", "all"))]
}

fn stanza(output: &Output) -> String {
    let facts = output.facts.facts().unwrap();
    let (name, Digest { sha256, size }) = (&output.name, output.digest);
    format!(
        "Package: {}\nSource: {} ({})\nVersion: {}\nArchitecture: {}\nFilename: pool/main/h/hello/{name}\nSize: {size}\n\
         SHA256: {sha256}\n\n",
        facts.package, facts.source, facts.source_version, facts.version, facts.architecture
    )
}

fn source_files() -> Vec<SourceFile> {
    let one = |name: &str| SourceFile {
        name: file(name),
        digest: Digest::of(name.as_bytes()),
    };
    vec![one(DSC), one(TARBALL)]
}

fn sources(version: &str) -> String {
    let lines: String = source_files()
        .iter()
        .map(|file| format!("\n {} {} {}", file.digest.sha256, file.digest.size, file.name))
        .collect();
    format!(
        "Package: hello\nBinary: hello, hello-data\nVersion: {version}\nDirectory: pool/main/h/hello\n\
         Checksums-Sha256:{lines}\n\n"
    )
}

/// An import that is admitted, to be spoiled in one way by each test.
pub(crate) struct Importing {
    pub(crate) policy: Policy,
    pub(crate) import: Import,
    pub(crate) evidence: ImportEvidence,
    pub(crate) now: Timestamp,
}

impl Importing {
    pub(crate) fn good() -> Self {
        let upstream = Upstream::new();
        Self::of(&upstream, &upstream.files(&upstream.indexes))
    }

    /// What upstream's files make.
    fn of(upstream: &Upstream, files: &UpstreamFiles) -> Self {
        let now = at("2026-06-02T00:00:00Z");
        let mut policy = Scenario::good().policy;
        policy.imports.push(ImportRule {
            archive: "debian".parse().unwrap(),
            suites: BTreeSet::new(),
            signers: BTreeSet::from([upstream.signer()]),
            threshold: 1,
            sources: BTreeSet::from([assay::site::PackagePattern::new("hel*").unwrap()]),
            floor: Some(SnapshotId::new("20260501T000000Z").unwrap()),
            reason: "freeze exceptions".into(),
            owner: "Olga".into(),
            expires: Some(at("2026-12-01T00:00:00Z")),
        });
        let import = Import {
            archive: "custom".parse().unwrap(),
            suites: vec!["stable".parse().unwrap()],
            policy: "default".parse().unwrap(),
            policy_sha256: identity(&policy).unwrap(),
            from: ImportedFrom {
                archive: "debian".parse().unwrap(),
                edition: "2026060101".to_owned().try_into().unwrap(),
                id: SnapshotId::new("20260601T060000Z").unwrap(),
                suite: "trixie".parse().unwrap(),
                component: "main".parse().unwrap(),
            },
            source: package("hello"),
            version: version(VERSION),
            architectures: vec![arch("amd64")],
            reason: "it mends a crash".into(),
            asked_by: "dana".into(),
            source_files: source_files(),
            dsc: Described::As {
                source: package("hello"),
                version: version(VERSION),
                files: source_files().split_off(1),
            },
            outputs: outputs(),
            terms: Terms::default(),
        };
        let proof = proven(upstream, files, now);
        // The mirror's newest snapshot has the very same files.
        let own = |kind, name: &str, architecture: &str, sha256| Indexed {
            kind,
            architecture: arch(architecture),
            source: package("hello"),
            ..super::scenario::row(name, VERSION, sha256)
        };
        let evidence = ImportEvidence {
            proven_at: now,
            snapshot: ImportedSnapshot {
                doubt: None,
                release: Some(proof.release),
                verified_at: at("2026-06-01T06:00:00Z"),
                valid_until: Some(at("2026-06-11T06:00:00Z")),
            },
            proof: Some(proof),
            declared: false,
            elsewhere: BTreeMap::new(),
            admitted: BTreeMap::new(),
            indexed: vec![
                own(IndexedKind::Binary, "hello", "amd64", outputs()[0].digest.sha256),
                own(IndexedKind::Binary, "hello-data", "all", outputs()[1].digest.sha256),
                own(IndexedKind::Source, "hello", "source", source_files()[0].digest.sha256),
            ],
            ledger: LedgerView::default(),
            removed: Vec::new(),
            before: Vec::new(),
        };
        Self {
            policy,
            import,
            evidence,
            now,
        }
    }

    pub(crate) fn decide(&self) -> Decision {
        decide_import(&self.policy, &self.import, &self.evidence, self.now)
    }

    fn broken(&self) -> Vec<(String, String)> {
        let decision = self.decide();
        assert_eq!(decision.admitted, decision.broken().next().is_none());
        decision
            .broken()
            .map(|rule| (rule.id.clone(), rule.evidence.clone()))
            .collect()
    }

    /// Asserts a refusal by exactly this rule; gives its evidence.
    fn refused(&self, id: &str) -> String {
        let broken = self.broken();
        assert_eq!(broken.len(), 1, "{}", explain(&self.decide()));
        assert_eq!(broken[0].0, id, "{}", explain(&self.decide()));
        broken[0].1.clone()
    }

    fn rule(&mut self, change: impl FnOnce(&mut Policy)) {
        change(&mut self.policy);
        self.import.policy_sha256 = identity(&self.policy).unwrap();
    }

    fn proof(&mut self) -> &mut Proof {
        self.evidence.proof.as_mut().unwrap()
    }

    fn change(&mut self, change: impl FnOnce(&mut assay::admission::DebFacts)) {
        let Inspected::Readable(facts) = &mut self.import.outputs[0].facts else {
            unreachable!()
        };
        change(facts);
    }

    fn held(&mut self, key: LedgerKey, source: &str, text: &str) {
        let entry = LedgerEntry {
            key,
            sha256: sha("other bytes"),
            source: package(source),
            version: version(text),
        };
        self.evidence.ledger = LedgerView::new([entry]);
    }
}

fn proven(upstream: &Upstream, files: &UpstreamFiles, at: Timestamp) -> Proof {
    let asked = Asked {
        source: &package("hello"),
        version: &version(VERSION),
        signers: &BTreeSet::from([upstream.signer()]),
        at,
        keyring: None,
    };
    prove(files, &asked)
}

fn binary(text: &str) -> LedgerKey {
    LedgerKey::Binary {
        package: package("hello"),
        version: text.into(),
        architecture: arch("amd64"),
    }
}

#[test]
fn an_upstream_that_says_it_is_unproven_proves_nothing() {
    let upstream = Upstream {
        more: "Provenance: unproven\n",
        ..Upstream::new()
    };
    let import = Importing::of(&upstream, &upstream.files(&upstream.indexes));
    let broken = import.broken();
    assert!(
        broken.iter().any(|(id, why)| id == "I2" && why.contains("unproven")),
        "{broken:?}"
    );
}

/// A rule, a way to break it, and what cannot hold either then.
type Break = (&'static str, &'static [&'static str], fn(&mut Importing));

pub(crate) const BREAKS: &[Break] = &[
    ("I1", &[], |s| {
        s.rule(|p| p.imports[0].expires = Some(at("2026-06-01T00:00:00Z")))
    }),
    ("I2", &[], |s| s.proof().signers.clear()),
    ("I3", &[], |s| s.proof().names = vec!["stable-security".into()]),
    ("I4", &[], |s| s.proof().indexes[0].listed = None),
    ("I5", &[], |s| drop(s.import.outputs.pop())),
    ("I6", &[], |s| {
        s.evidence.snapshot.doubt = Some("nobody signed its record".into())
    }),
    ("I7", &[], |s| {
        s.change(|facts| facts.source_version = version("2.10-2"))
    }),
    ("I8", &[], |s| s.import.architectures = vec![arch("i386")]),
    ("I9", &[], |s| s.evidence.declared = true),
    ("I10", &[], |s| s.import.reason = " ".into()),
    ("I11", &[], |s| s.import.suites.clear()),
    ("D1", &["I7"], |s| {
        s.import.outputs[0].facts = Inspected::Malformed("trailing bytes".into())
    }),
    ("D2", &[], |s| {
        s.change(|facts| facts.setuid.push("usr/bin/hello".into()))
    }),
    ("D3", &["I7"], |s| {
        s.import.outputs[0].facts = Inspected::TooLarge("more than 10 bytes".into())
    }),
    ("D4", &[], |s| s.change(|facts| facts.fields.push("Filename".into()))),
    ("V1", &[], |s| s.held(binary(VERSION), "hello", VERSION)),
    ("V2", &[], |s| {
        let key = LedgerKey::Upstream {
            package: package("hello"),
            version: VERSION.into(),
        };
        s.held(key, "hello", VERSION);
    }),
    ("V3", &[], |s| {
        let key = LedgerKey::Suite {
            suite: "stable".parse().unwrap(),
            package: package("hello"),
            version: "2.10-4".into(),
            architecture: arch("source"),
        };
        s.held(key, "hello", "2.10-4");
    }),
    ("V4", &[], |s| s.held(binary("2.0-1"), "greetings", "2.0-1")),
    ("A8", &[], |s| s.change(|facts| facts.essential = true)),
    ("A10", &[], |s| s.policy.max_record_age_days = 3650),
    ("A12", &[], |s| {
        let removed = Removed {
            source: package("hello"),
            version: version("2.10-2"),
            reason: "it eats data".into(),
            at: at("2026-05-01T00:00:00Z"),
        };
        s.evidence.removed.push(("stable".parse().unwrap(), removed));
    }),
    ("A7", &[], |s| {
        let exception = Relaxation {
            rule: "I2".into(),
            source: package("hello"),
            version: None,
            reason: "a reason".into(),
            owner: "Olga".into(),
            expires: at("2026-07-01T00:00:00Z"),
        };
        s.rule(|policy| policy.exceptions.push(exception));
    }),
];

#[test]
fn what_upstream_signed_is_admitted_and_never_called_reproduced() {
    let good = Importing::good();
    let decision = good.decide();
    assert!(decision.admitted, "{}", explain(&decision));
    assert_eq!(decision.levels, ["ASSAY_UPSTREAM_SIGNED"]);
    let import = decision.import.as_ref().unwrap();
    assert_eq!(
        (import.archive.as_str(), import.snapshot.as_str()),
        ("debian", "2026060101")
    );
    assert_eq!(import.signers.len(), 1);
    assert_eq!(import.indexes.len(), 3);
    assert_eq!(decision.files.len(), 4);
    let text = explain(&decision);
    assert!(text.contains("nobody rebuilt it"), "{text}");
    let statement = decision.summary(&good.policy.imports[0].signers.first().unwrap().clone(), "assay test");
    assert_eq!(statement.predicate.assay_import, decision.import);
    let ids: BTreeSet<&str> = RULES.iter().chain(IMPORT_RULES).map(|rule| rule.id).collect();
    assert!(ids.contains("I1") && ids.contains("R1"));
    for rule in IMPORT_RULES.iter().filter(|rule| rule.id.starts_with('I')) {
        assert!(!rule.excusable, "{}: what proves an import has no exceptions", rule.id);
    }
}

#[test]
fn every_rule_is_broken_by_something() {
    for rule in IMPORT_RULES {
        assert!(
            BREAKS.iter().any(|(id, ..)| *id == rule.id),
            "rule {} has no test",
            rule.id
        );
    }
    for (id, with, how) in BREAKS {
        let mut spoiled = Importing::good();
        how(&mut spoiled);
        let broken: BTreeSet<String> = spoiled.broken().into_iter().map(|(id, _)| id).collect();
        let expected: BTreeSet<String> = with.iter().chain([id]).map(|id| (*id).to_owned()).collect();
        assert_eq!(broken, expected, "{}", explain(&spoiled.decide()));
        assert!(spoiled.decide().levels.is_empty());
    }
}

#[test]
fn a_case_gives_the_same_decision_again() {
    let good = Importing::good();
    let bytes = ImportCase::new(&good.import, &good.evidence).canonical().unwrap();
    let proof = good.evidence.proof.clone();
    let read = ImportCase::parse(&bytes, |import, at| {
        assert_eq!((import, at), (&good.import, good.now));
        Ok::<_, assay::admission::AdmissionError>(proof)
    });
    let read = read.unwrap();
    assert_eq!(
        decide_import(&good.policy, &read.import, &read.evidence, good.now),
        good.decide()
    );
    let unproven = ImportCase::parse(&bytes, |_, _| Ok::<_, assay::admission::AdmissionError>(None)).unwrap();
    assert!(!decide_import(&good.policy, &unproven.import, &unproven.evidence, good.now).admitted);
}

#[test]
fn a_stanza_that_only_we_have_is_not_read() {
    let upstream = Upstream::new();
    let mut served = upstream.indexes.clone();
    let ours = sha("a package with a back door");
    let theirs = outputs()[0].digest.sha256;
    let text = served[PACKAGES].replace(&theirs.hex(), &ours.hex());
    assert_ne!(text, served[PACKAGES]);
    served.insert(PACKAGES, text);
    let mut forged = Importing::of(&upstream, &upstream.files(&served));
    forged.import.outputs[0].digest.sha256 = ours;
    let broken: Vec<String> = forged.broken().into_iter().map(|(id, _)| id).collect();
    assert_eq!(broken[..2], ["I4", "I5"]);
    assert!(forged.evidence.proof.unwrap().binaries().next().is_none());
}

#[test]
fn whose_key_it_is_counts_and_not_the_name_of_the_mirror() {
    // A mirror of the allowed name, whose upstream is another.
    let (debian, stranger) = (Upstream::new(), Upstream::new());
    let mut mixed = Importing::of(&stranger, &stranger.files(&stranger.indexes));
    mixed.rule(|policy| policy.imports[0].signers = BTreeSet::from([debian.signer()]));
    assert!(mixed.refused("I2").contains("0 of 1 keys"));
    // The bytes that the stranger signed prove nothing of Debian, not even with Debian's key at hand.
    let mut files = stranger.files(&stranger.indexes);
    files.keyring = debian.key.certificate_armored().unwrap().into_bytes();
    let proof = proven(&debian, &files, at("2026-06-02T00:00:00Z"));
    assert!(proof.signers.is_empty() && proof.binaries().next().is_none());
    assert!(proof.refused.is_some());
    // More keys than signed it.
    let mut good = Importing::good();
    good.rule(|policy| policy.imports[0].threshold = 2);
    assert!(good.refused("I2").contains("1 of 2 keys"));
    // What was judged as of another time is not judged.
    let mut later = Importing::good();
    later.proof().at = later.now.plus(60);
    later.refused("I2");
}

/// The gate's keyring and the reader's judge the same files: the indexes, which are large, are read for one of them.
#[test]
fn other_certificates_judge_what_was_read_before() {
    let (upstream, stranger) = (Upstream::new(), Upstream::new());
    let files = upstream.files(&upstream.indexes);
    let keyring = |of: &Upstream| Keyring::parse(of.key.certificate_armored().unwrap().as_bytes()).unwrap();
    let (ours, theirs) = (keyring(&upstream), keyring(&stranger));
    let (source, version) = (package("hello"), version(VERSION));
    let signers = BTreeSet::from([upstream.signer(), stranger.signer()]);
    let asked = |keyring| Asked {
        source: &source,
        version: &version,
        signers: &signers,
        at: at("2026-06-02T00:00:00Z"),
        keyring,
    };
    let without_indexes = UpstreamFiles {
        indexes: Vec::new(),
        ..files.clone()
    };
    let read = prove(&files, &asked(None));
    assert_eq!(read.binaries().count(), 2);
    for keyring in [&ours, &theirs] {
        let again = prove_again(&read, &without_indexes, &asked(Some(keyring))).unwrap();
        assert_eq!(again, prove(&files, &asked(Some(keyring))));
    }
    // What was not read, since nobody had signed it, is not taken for read.
    let unsigned = prove(&files, &asked(Some(&theirs)));
    assert_eq!(unsigned.binaries().count(), 0);
    assert_eq!(prove_again(&unsigned, &without_indexes, &asked(Some(&ours))), None);
    let other = stranger.files(&stranger.indexes);
    assert_eq!(prove_again(&read, &other, &asked(None)), None, "another Release");
}

#[test]
fn each_entry_of_the_policy_is_met_as_a_whole() {
    let stranger = Upstream::new().signer();
    let mut none = Importing::good();
    none.rule(|policy| policy.imports.clear());
    let broken: Vec<String> = none.broken().into_iter().map(|(id, _)| id).collect();
    assert_eq!(broken, ["I1", "I2"]);
    // One entry's keys do not count for the other, nor its age for that of the other.
    let mut two = Importing::good();
    two.rule(|policy| {
        let mut other = policy.imports[0].clone();
        other.signers = BTreeSet::from([stranger]);
        other.floor = None;
        policy.imports.push(other);
    });
    assert!(two.decide().admitted);
    two.import.from.id = SnapshotId::new("20260430T235959Z").unwrap();
    two.refused("I6");
    two.rule(|policy| policy.imports[0].expires = Some(at("2026-06-01T00:00:00Z")));
    two.refused("I2");
    let mut suites = Importing::good();
    suites.rule(|policy| policy.imports[0].suites = BTreeSet::from(["bookworm".parse().unwrap()]));
    assert!(suites.broken()[0].1.contains("(`trixie`)"));
}

#[test]
fn the_release_is_of_this_suite_and_of_its_time() {
    let mut security = Upstream::new();
    security.suite = "trixie-security";
    let other = Importing::of(&security, &security.files(&security.indexes));
    assert!(other.refused("I3").contains("trixie-security"));
    let mut replayed = Importing::good();
    replayed.evidence.snapshot.verified_at = at("2026-06-08T00:00:00Z");
    replayed.evidence.snapshot.valid_until = None;
    assert!(replayed.refused("I3").contains("expired"));
    let mut swapped = Importing::good();
    swapped.evidence.snapshot.release = Some(sha("another Release"));
    assert!(swapped.refused("I3").contains("not the Release"));
}

#[test]
fn old_snapshots_do_not_bring_old_packages_back() {
    let mut old = Importing::good();
    old.import.from.id = SnapshotId::new("20260430T235959Z").unwrap();
    assert!(old.refused("I6").contains("older than 20260501T000000Z"));
    let mut expired = Importing::good();
    expired.evidence.snapshot.valid_until = Some(expired.now);
    assert!(expired.refused("I6").contains("expired"));
    // The newest snapshot of the mirror has a newer version by now: the same name, other bytes.
    let mut rolled = Importing::good();
    rolled.evidence.indexed[0].version = version("2.10-4");
    rolled.evidence.indexed[0].sha256 = sha("2.10-4");
    assert!(rolled.refused("A8").contains("not newer than 2.10-4"));
    let mut foreign = Importing::good();
    foreign.evidence.indexed[0].source = package("greetings");
    foreign.evidence.indexed[0].sha256 = sha("of another archive");
    assert!(foreign.refused("A8").contains("from the source greetings"));
}

#[test]
fn binary_only_rebuilds_of_upstream_are_of_their_source() {
    let mut upstream = Upstream::new();
    let mut rebuilt = facts("hello", "amd64");
    rebuilt.version = version("2.10-3+custom1+b2");
    let rebuilt = output(rebuilt);
    let all = outputs().pop().unwrap();
    let mut udeb = facts("hello-udeb", "amd64");
    udeb.version = version("2.10-3+custom1+b2");
    let mut udeb = output(udeb);
    udeb.name = file(&udeb.name.as_str().replace(".deb", ".udeb"));
    // A package of an earlier version that is still there does not belong to this one.
    let left = stanza(&output(facts("hello-old", "amd64"))).replace(&format!("({VERSION})"), "(2.9-1)");
    upstream
        .indexes
        .insert(PACKAGES, stanza(&rebuilt) + &stanza(&all) + &left);
    upstream
        .indexes
        .insert("main/debian-installer/binary-amd64/Packages", stanza(&udeb));
    let mut import = Importing::of(&upstream, &upstream.files(&upstream.indexes));
    import.import.outputs = vec![rebuilt.clone(), all.clone(), udeb];
    import.evidence.indexed.clear();
    let decision = import.decide();
    assert!(decision.admitted, "{}", explain(&decision));
    let said = &decision.rules.iter().find(|rule| rule.id == "I8").unwrap().evidence;
    assert!(said.contains("hello 2.10-3+custom1+b2"), "{said}");
    // Both builds at once are no state that anybody meant.
    let first = outputs().remove(0);
    upstream
        .indexes
        .insert(PACKAGES, stanza(&rebuilt) + &stanza(&first) + &stanza(&all));
    upstream
        .indexes
        .insert("main/debian-installer/binary-amd64/Packages", String::new());
    let mut both = Importing::of(&upstream, &upstream.files(&upstream.indexes));
    both.import.outputs = vec![rebuilt, first, all];
    both.evidence.indexed.clear();
    assert!(both.refused("I8").contains("two versions"));
}

/// The ledger knows what was imported as it knows what was rebuilt: a name and version have one content, whoever gives it.
#[test]
fn what_was_imported_can_be_rebuilt_later_when_it_gives_the_very_same_bytes() {
    let imported = Importing::good().import;
    let mut scenario = Scenario::good();
    scenario.outputs(outputs());
    scenario.evidence.ledger = LedgerView::new(claims(&imported));
    let decision = scenario.admitted();
    assert_eq!(decision.levels[0], "SLSA_BUILD_REPRODUCED", "now somebody rebuilt it");
    assert!(decision.import.is_none());

    // One package of it has other bytes; the .dsc that upstream signed is another one than the derived.
    let mut other = imported.clone();
    other.outputs[0].digest = Digest::of(b"upstream's own build");
    scenario.evidence.ledger = LedgerView::new(claims(&other));
    assert!(scenario.refused(&["V1"]).contains("was admitted before"));
    let mut signed = imported;
    signed.source_files[0].digest = Digest::of(b"the .dsc with a signature");
    scenario.evidence.ledger = LedgerView::new(claims(&signed));
    assert!(scenario.refused(&["V2"]).contains("hello"));
}

/// What the archive leaves out of a source package is in the signed decision.
#[test]
fn what_upstream_lists_in_another_component_is_said() {
    let mut good = Importing::good();
    let i5 = |importing: &Importing| {
        let decision = importing.decide();
        assert!(decision.admitted, "{}", explain(&decision));
        decision
            .rules
            .into_iter()
            .find(|rule| rule.id == "I5")
            .unwrap()
            .evidence
    };
    assert!(!i5(&good).contains("left out"));
    let names = BTreeSet::from([package("hello-firmware"), package("hello-more")]);
    good.evidence.elsewhere.insert("contrib".parse().unwrap(), names);
    let said = i5(&good);
    assert!(
        said.ends_with("; left out, since upstream has it in `contrib`: hello-firmware, hello-more"),
        "{said}"
    );
    let bytes = ImportCase::new(&good.import, &good.evidence).canonical().unwrap();
    let read = ImportCase::parse(&bytes, |_, _| {
        Ok::<_, assay::admission::AdmissionError>(good.evidence.proof.clone())
    });
    assert_eq!(
        read.unwrap().evidence,
        good.evidence,
        "and is made again of what is kept"
    );
}

#[test]
fn what_moves_to_another_suite_is_what_was_let_in() {
    let mut moved = Importing::good();
    let decision: Sha256 = sha("decision");
    moved.import.terms.moved = Some(Moved {
        from: "testing".parse().unwrap(),
        decision,
    });
    assert!(moved.refused("I11").contains("was not let into"));
    let files = moved.decide().files;
    moved.evidence.admitted = files.values().map(|sha256| (*sha256, decision)).collect();
    assert!(moved.decide().admitted);
    assert!(moved.decide().inputs.contains(&("decision".to_owned(), decision)));
}
