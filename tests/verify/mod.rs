//! Tests of `verify`: whatever is changed in the store, the reader says so, and names it.

mod all;
mod checkpoint;
mod environments;
mod forms;
mod fsck;
mod ledger;
mod mirror;
mod operator;
mod partial;
mod several;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use assay::admission::identity;
use assay::domain::{ArchiveName, Coded as _, Digest, PolicyName, RelPath, SuiteName, Timestamp};
use assay::format::compress::{Compression, compress};
use assay::host::Progress;
use assay::publish::{self, load_records};
use assay::site::{CustomSuite, Policy};
use assay::snapshot::{
    Chain, Committed, EditionName, IndexFile, Marks, Record, Says, SuiteState, index_key, read_index,
};
use assay::store::{LocalStore, Store as _};
use assay::trust::{Ed25519Key, Ed25519Public, Keyring};
use assay::verify::{Anchor, AnchorKind, Anchors, Proof, Report, Subject, find, verify, why};

use crate::admission::scenario::secret_key;
use crate::admission::site::Site;
use crate::support::repository::{made, now};

/// A custom archive with one package, and what its verifier trusts.
pub(crate) struct Published {
    pub(crate) site: Site,
    pub(crate) policy: Policy,
}

impl Published {
    pub(crate) fn new() -> Self {
        let site = Site::new();
        let policy = admit(&site, "1.0", "first");
        Self { site, policy }
    }

    fn anchors(&self, gate: Ed25519Public, policy: &Policy) -> Anchors {
        let certificate = self.site.archive_key.certificate_armored().unwrap();
        let policies = BTreeMap::from([(PolicyName::new("default").unwrap(), policy.clone())]);
        let custom = Anchor {
            public_url: None,
            name: ArchiveName::new("custom").unwrap(),
            keyring: Keyring::parse(certificate.as_bytes()).unwrap(),
            kind: AnchorKind::Custom {
                config: Box::new(self.site.config.clone()),
                policies,
            },
        };
        Anchors {
            archives: vec![custom, self.site.debian.anchor()],
            imports: None,
            gate,
        }
    }

    /// The report on a store, without what the fixture's unpublished mirror gives.
    pub(crate) fn report(&self, store: &Path, gate: Ed25519Public, policy: &Policy) -> Report {
        self.report_at(store, gate, policy, now())
    }

    fn report_at(&self, store: &Path, gate: Ed25519Public, policy: &Policy, now: Timestamp) -> Report {
        let store = LocalStore::open(store).unwrap();
        let anchors = self.anchors(gate, policy);
        let mut report = verify(&store, &anchors, now, &Progress::hidden()).unwrap();
        report
            .problems
            .retain(|problem| !problem.object.starts_with("debian/") && !problem.object.starts_with("state/debian/"));
        report
    }

    pub(crate) fn problems(&self, store: &Path) -> Vec<(String, &'static str)> {
        let report = self.report(store, self.site.gate_key.public(), &self.policy);
        report
            .problems
            .into_iter()
            .map(|problem| (problem.object, problem.code))
            .collect()
    }

    pub(crate) fn store(&self) -> std::path::PathBuf {
        self.site.folder.path().join("store")
    }
}

/// Builds a version twice, and has it admitted; the policy that it was admitted by.
fn admit(site: &Site, version: &str, content: &str) -> Policy {
    let built = site.build(version, content);
    let policy = built.scenario.policy.clone();
    for record in &built.scenario.evidence.records {
        site.sign(record, &secret_key(record.builder.as_str()));
    }
    let declaration = identity(&built.scenario.candidate.declaration).unwrap();
    let records = load_records(&site.store, &site.archive, &declaration, &policy).unwrap();
    assert!(site.admit_with(&built, &records).unwrap().decision.admitted);
    policy
}

/// Every object below `folder`, relative to it.
fn objects(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut todo = vec![folder.to_owned()];
    while let Some(next) = todo.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                todo.push(path);
            } else {
                found.push(path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    found.retain(|name| !name.contains(".tmp-"));
    found
}

/// Gives one name other bytes; other links of the same object keep theirs.
fn replace(path: &Path, bytes: &[u8]) {
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
}

#[test]
fn an_untouched_store_verifies() {
    let published = Published::new();
    let report = published.report(&published.store(), published.site.gate_key.public(), &published.policy);
    assert_eq!(report.problems, []);
    assert!(report.packages >= 2 && report.releases >= 2, "{report:?}");
    assert_eq!((report.environments, report.not_rechecked), (1, vec![]));
}

#[test]
fn one_flipped_byte_of_any_public_object_is_found_and_named() {
    let published = Published::new();
    let store = published.store();
    let names: Vec<String> = objects(&store)
        .into_iter()
        .filter(|n| n.starts_with("custom/") || n == "state/custom/1.json")
        .collect();
    assert!(names.len() >= 25, "{names:?}");
    for name in names {
        let path = store.join(&name);
        let good = fs::read(&path).unwrap();
        let mut bad = good.clone();
        // An index without packages has no bytes to flip: one too many is as bad.
        match bad.get_mut(good.len() / 2) {
            Some(byte) => *byte ^= 1,
            None => bad.push(b'x'),
        }
        replace(&path, &bad);
        let problems = published.problems(&store);
        assert!(!problems.is_empty(), "{name}: nobody noticed");
        // A record that was changed may name what is nowhere: that is said, too.
        let said =
            |(object, code): &(String, &str)| object == &name || (name.starts_with("state/") && *code != "V-RECORD");
        assert!(
            problems.iter().any(|(object, _)| *object == name) && problems.iter().all(said),
            "{name}: {problems:?}"
        );
        replace(&path, &good);
    }
    assert_eq!(published.problems(&store), []);
}

#[test]
fn what_is_missing_or_added_is_named() {
    let published = Published::new();
    let store = published.store();
    let deb = objects(&store).into_iter().find(|name| name.ends_with(".deb")).unwrap();
    let bytes = fs::read(store.join(&deb)).unwrap();
    fs::remove_file(store.join(&deb)).unwrap();
    assert_eq!(published.problems(&store), [(deb.clone(), "V-MISSING")]);
    fs::write(store.join(&deb), &bytes).unwrap();
    let extra = deb.replace("hello_1.0", "hello_6.6");
    fs::write(store.join(&extra), &bytes).unwrap();
    assert_eq!(published.problems(&store), [(extra.clone(), "V-UNNAMED")]);
    fs::remove_file(store.join(&extra)).unwrap();

    // An archive that the site does not know, also where a name is the hash of its bytes.
    let hash = Digest::of(&bytes).sha256;
    let strange = [
        format!("strange/dists/suite/by-hash/SHA256/{hash}"),
        "strange/pool/a".to_owned(),
    ];
    for name in &strange {
        fs::create_dir_all(store.join(name).parent().unwrap()).unwrap();
        fs::write(store.join(name), &bytes).unwrap();
    }
    assert_eq!(published.problems(&store), strange.map(|name| (name, "V-UNNAMED")));
}

#[test]
fn another_gate_or_a_revoked_builder_proves_nothing() {
    let published = Published::new();
    let other = Ed25519Key::generate().public();
    let report = published.report(&published.store(), other, &published.policy);
    assert!(
        report.problems.iter().any(|problem| problem.code == "V-SIGNATURE"),
        "{:?}",
        report.problems
    );

    let mut policy = published.policy.clone();
    policy.builders[0].revoked_at = Some(now());
    let report = published.report(&published.store(), published.site.gate_key.public(), &policy);
    assert!(
        report.problems.iter().any(|problem| problem.code == "V-EVIDENCE"),
        "{:?}",
        report.problems
    );
}

#[test]
fn a_decision_proves_nothing_of_another_suite_or_policy() {
    let mut published = Published::new();
    let decisions = |published: &Published| {
        let report = published.report(&published.store(), published.site.gate_key.public(), &published.policy);
        let of_decisions = report
            .problems
            .into_iter()
            .filter(|problem| problem.code == "V-DECISION");
        of_decisions.map(|problem| problem.why).collect::<Vec<_>>()
    };
    published.site.config.suites[0].policy = "strict".parse().unwrap();
    let said = decisions(&published);
    assert!(
        said.len() == 1 && said[0].contains("`stable` is under `strict`"),
        "{said:?}"
    );
    let stable = published.site.config.suites.pop().unwrap();
    let said = decisions(&published);
    assert!(
        said.len() == 1 && said[0].contains("knows no suite `stable`"),
        "{said:?}"
    );

    // The archive's key alone moves what was admitted to `stable` into `testing`.
    let site = &mut published.site;
    let testing: SuiteName = "testing".parse().unwrap();
    site.config.suites = ["stable", "testing"]
        .map(|name| CustomSuite {
            name: name.parse().unwrap(),
            policy: "default".parse().unwrap(),
            ..stable.clone()
        })
        .to_vec();
    let chain = Chain::load(&site.store, &site.archive).unwrap();
    let mut states = chain.latest().unwrap().suites.clone();
    let mut moved = states[0].clone();
    moved.suite = testing.clone();
    moved
        .fields
        .iter_mut()
        .filter(|(name, _)| name == "Suite" || name == "Codename")
        .for_each(|field| field.1 = "testing".into());
    for index in moved.indexes.iter().filter(|index| index.kept) {
        let bytes = read_index(&site.store, &site.archive, &states[0].suite, index).unwrap();
        let key = index_key(&site.archive, &testing, index);
        site.store.put_stream(&key, &index.digest, &mut &bytes[..]).unwrap();
    }
    states.push(moved);
    let record = chain.next(&site.store, states, made("a thief", now())).unwrap();
    publish::commit(&site.store, &record, &site.archive_key).unwrap();
    publish::publish(&site.store, &site.archive, &site.archive_key, "file:///nowhere").unwrap();
    let said = decisions(&published);
    assert!(
        said.len() == 1 && said[0].contains("for stable, and not for the suite `testing`"),
        "{said:?}"
    );
}

#[test]
fn why_proves_each_hop_that_needs_no_git_and_refutes_a_swapped_file() {
    let published = Published::new();
    let anchors = published.anchors(published.site.gate_key.public(), &published.policy);
    let store = LocalStore::open(&published.store()).unwrap();
    let subject = Subject::Package("hello".parse().unwrap());
    let found = find(&store, &anchors, &subject).found.remove(0);
    let chain = why(&store, &anchors, &found, None, now());
    let proven: Vec<&str> = chain
        .hops
        .iter()
        .filter(|hop| hop.proof == Proof::Proven)
        .map(|hop| hop.hop)
        .collect();
    assert_eq!(proven[..4], ["release", "index", "file", "decision"], "{chain:#?}");
    assert_eq!(proven.iter().filter(|hop| **hop == "rebuild").count(), 2, "{chain:#?}");
    let source = chain.hops.iter().find(|hop| hop.hop == "source").unwrap();
    assert_eq!(source.proof, Proof::Unknown);

    let deb = published.store().join("custom").join(&chain.file);
    let mut bytes = fs::read(&deb).unwrap();
    bytes[100] ^= 1;
    replace(&deb, &bytes);
    let chain = why(&store, &anchors, &found, None, now());
    let file = chain.hops.iter().find(|hop| hop.hop == "file").unwrap();
    assert_eq!((file.proof, chain.proof()), (Proof::Refuted, Proof::Refuted));
}

#[test]
fn renewals_and_tags_are_rechecked_as_snapshots_are() {
    let published = Published::new();
    let (store, archive) = (&published.site.store, &published.site.archive);
    let key = &published.site.archive_key;
    let chain = Chain::load(store, archive).unwrap();
    let record = chain.latest().unwrap();
    let name = "1.0-rc1".parse().unwrap();
    let tagging = publish::Tagging {
        tag: &name,
        of: record,
        suites: record.suites.clone(),
        partial: false,
    };
    publish::tag(store, tagging, made("t", now()), key, "file:///nowhere").unwrap();
    publish::renew(store, &chain, record, true, made("r", now()), key, "file:///nowhere").unwrap();
    assert_eq!(published.codes(), Vec::<&str>::new());

    // An index of the tag alone is damaged, then its record.
    let index = "custom/dists/stable/1.0-rc1/main/binary-amd64/Packages";
    let path = published.store().join(index);
    let bytes = fs::read(&path).unwrap();
    replace(&path, b"Package: evil\n");
    assert_eq!(
        published.problems(&published.store()),
        [(index.to_owned(), "V-DAMAGED")]
    );
    replace(&path, &bytes);
    let entry = "state/custom/tags/1.0-rc1.json";
    let path = published.store().join(entry);
    let text = fs::read_to_string(&path).unwrap();
    replace(
        &path,
        text.replace("\"tagged\"", "\"evil!!\"")
            .replace("a test", "a lie!")
            .as_bytes(),
    );
    assert_eq!(published.problems(&published.store()), [(entry.to_owned(), "V-RECORD")]);
}

impl Published {
    /// What a thief of the archive's key can do: any next snapshot, signed and published.
    fn steal(&self, change: impl FnOnce(&mut SuiteState)) -> Record {
        let record = self.plan(change);
        publish::commit(&self.site.store, &record, &self.site.archive_key).unwrap();
        publish::publish(
            &self.site.store,
            &self.site.archive,
            &self.site.archive_key,
            "file:///nowhere",
        )
        .unwrap();
        record
    }

    fn plan(&self, change: impl FnOnce(&mut SuiteState)) -> Record {
        let chain = Chain::load(&self.site.store, &self.site.archive).unwrap();
        let mut suites = chain.latest().unwrap().suites.clone();
        change(&mut suites[0]);
        chain.next(&self.site.store, suites, made("nonce", now())).unwrap()
    }

    /// Puts an index with a package that nobody admitted into the store; gives its forms.
    fn stage(&self, path: &str) -> Vec<IndexFile> {
        self.stage_file(path, "pool/e.deb", &Digest::of(b"e"))
    }

    /// The same, with the package's file at this place of the archive.
    fn stage_file(&self, path: &str, filename: &str, digest: &Digest) -> Vec<IndexFile> {
        let text = format!(
            "Package: evil\nVersion: 9.9\nArchitecture: amd64\nFilename: {filename}\nSize: {}\nSHA256: {}\n\n",
            digest.size, digest.sha256
        );
        let mut forms = Vec::new();
        for (ending, compression) in [("", Compression::Plain), (".gz", Compression::Gzip)] {
            let bytes = compress(compression, text.as_bytes()).unwrap();
            let path = RelPath::new(format!("{path}{ending}")).unwrap();
            let index = IndexFile {
                path,
                digest: Digest::of(&bytes),
                kept: true,
            };
            let key = index_key(&self.site.archive, &"stable".parse().unwrap(), &index);
            self.site
                .store
                .put_stream(&key, &index.digest, &mut &bytes[..])
                .unwrap();
            forms.push(index);
        }
        forms
    }

    fn codes(&self) -> Vec<&'static str> {
        self.problems(&self.store()).into_iter().map(|(_, code)| code).collect()
    }
}

fn add(state: &mut SuiteState, forms: Vec<IndexFile>) {
    state
        .indexes
        .retain(|index| !forms.iter().any(|form| form.path == index.path));
    state.indexes.extend(forms);
    state.indexes.sort_by(|a, b| a.path.cmp(&b.path));
}

#[test]
fn a_planted_record_is_neither_published_nor_built_on_nor_believed() {
    let published = Published::new();
    let forms = published.stage("main/binary-amd64/Packages");
    let record = published.plan(|state| add(state, forms));
    assert_eq!(
        assay::snapshot::commit(&published.site.store, &record).unwrap(),
        Committed::Yes
    );
    let site = &published.site;
    let refused = publish::publish(&site.store, &site.archive, &site.archive_key, "file:///nowhere").unwrap_err();
    assert_eq!(refused.code(), "E-PUBLISH-006");
    let next = site.build("1.1", "second");
    assert!(
        site.admit(&next).is_err(),
        "the gate built on a record that it did not make"
    );
    assert_eq!(published.codes(), ["V-RECORD"], "that, and nothing of what it says");

    let anchors = published.anchors(site.gate_key.public(), &published.policy);
    let subject = Subject::Package("evil".parse().unwrap());
    let found = find(&site.store, &anchors, &subject).found.remove(0);
    assert_ne!(why(&site.store, &anchors, &found, None, now()).proof(), Proof::Proven);
}

#[test]
fn a_thief_of_the_archives_key_lists_nothing_that_verifies() {
    let published = Published::new();
    let forms = published.stage("main/binary-amd64/Packages");
    published.steal(|state| add(state, forms));
    assert!(!published.codes().is_empty());
}

/// `why NAME` is about the newest version of all suites, not about the first suite that has one.
#[test]
fn why_takes_the_newest_version_of_all_suites() {
    let published = Published::new();
    let (store, archive) = (&published.site.store, &published.site.archive);
    let digest = Digest::of(b"e");
    let text = format!(
        "Package: hello\nVersion: 9.9\nArchitecture: amd64\nFilename: pool/e.deb\nSize: 1\nSHA256: {}\n\n",
        digest.sha256
    );
    let path = RelPath::new("main/binary-amd64/Packages").unwrap();
    let digest = Digest::of(text.as_bytes());
    let evil = IndexFile {
        path,
        digest,
        kept: true,
    };
    let chain = Chain::load(store, archive).unwrap();
    let mut suites = chain.latest().unwrap().suites.clone();
    let mut testing = suites[0].clone();
    testing.suite = "testing".parse().unwrap();
    testing.indexes = vec![evil.clone()];
    store
        .create(&index_key(archive, &testing.suite, &evil), text.as_bytes())
        .unwrap();
    suites.push(testing);
    let record = chain.next(store, suites, made("thief", now())).unwrap();
    publish::commit(store, &record, &published.site.archive_key).unwrap();
    let anchors = published.anchors(published.site.gate_key.public(), &published.policy);
    let found = find(store, &anchors, &Subject::Package("hello".parse().unwrap()));
    let found = &found.found[0];
    assert_eq!(
        (found.suite().as_str(), found.binary().version.as_str()),
        ("testing", "9.9")
    );
    assert_ne!(why(store, &anchors, found, None, now()).proof(), Proof::Proven);
}

/// What is still published is judged, whatever the archive's key says of it.
#[test]
fn a_thief_of_the_archives_key_hides_nothing_by_marking_it_as_gone() {
    let published = Published::new();
    let forms = published.stage("main/binary-amd64/Packages");
    let first = published.steal(|state| add(state, forms));
    let before = published.problems(&published.store());
    assert!(!before.is_empty());
    let gone = |names: Vec<EditionName>| {
        let marks = Marks::load(&published.site.store, &published.site.archive).unwrap();
        let mark = marks.next(&published.site.archive, Says::Gone { names }, made("thief", now()));
        publish::commit(&published.site.store, &mark, &published.site.archive_key).unwrap();
    };
    gone(vec![EditionName::Serial(first.serial)]);
    assert_eq!(published.problems(&published.store()), before, "the newest");

    // Nor when its own name is not published any more: `dists/stable/` shows it.
    let chain = Chain::load(&published.site.store, &published.site.archive).unwrap();
    let newest = chain.latest().unwrap().serial.to_string();
    fs::remove_dir_all(published.store().join("custom/dists/stable").join(newest)).unwrap();
    assert!(published.codes().contains(&"V-INDEX") || published.codes().contains(&"V-DECISION"));
}

#[test]
fn an_index_that_is_only_listed_hides_nothing() {
    let published = Published::new();
    let mut forms = published.stage("main/binary-amd64/Packages");
    forms.iter_mut().for_each(|form| form.kept = false);
    published.steal(|state| {
        state
            .indexes
            .retain(|index| !index.path.as_str().starts_with("main/binary-amd64/"));
        add(state, forms);
    });
    assert!(published.codes().contains(&"V-INDEX"), "{:?}", published.codes());
}

/// Elsewhere is where other things are named: a listed file there would vouch for what it replaces.
#[test]
fn a_package_listed_outside_the_pool_is_named() {
    for filename in ["elsewhere/e.deb", "dists/stable/InRelease", "provenance/sha256/e.deb"] {
        let published = Published::new();
        let file = published.store().join("custom").join(filename);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        if !file.exists() {
            fs::write(&file, b"e").unwrap();
        }
        let digest = Digest::of(&fs::read(&file).unwrap());
        let path = "main/binary-amd64/Packages";
        let forms = published.stage_file(path, filename, &digest);
        published.steal(|state| add(state, forms));
        let report = published.report(&published.store(), published.site.gate_key.public(), &published.policy);
        let found = report.problems.iter().find(|problem| {
            problem.code == "V-INDEX" && problem.why.contains(&format!("`{filename}`, which is not in the pool"))
        });
        assert!(found.is_some(), "{filename}: {:?}", report.problems);
    }
}

#[test]
fn a_component_with_a_dot_hides_nothing() {
    let published = Published::new();
    let forms = published.stage("x.y/binary-amd64/Packages");
    published.steal(|state| {
        state.components.push("x.y".parse().unwrap());
        add(state, forms);
    });
    assert!(!published.codes().is_empty());
}

#[test]
fn forms_of_one_index_cannot_differ() {
    let published = Published::new();
    let forms = published.stage("main/binary-amd64/Packages");
    published.steal(|state| {
        add(
            state,
            forms
                .into_iter()
                .filter(|form| form.path.as_str().ends_with(".gz"))
                .collect(),
        )
    });
    assert!(published.codes().contains(&"V-INDEX"), "{:?}", published.codes());
}

#[test]
fn a_suite_that_no_record_names_is_named() {
    let published = Published::new();
    let evil = published.store().join("custom/dists/evil");
    fs::create_dir_all(&evil).unwrap();
    fs::copy(
        published.store().join("custom/dists/stable/InRelease"),
        evil.join("InRelease"),
    )
    .unwrap();
    assert_eq!(
        published.problems(&published.store()),
        [("custom/dists/evil/InRelease".to_owned(), "V-UNNAMED")]
    );
}
