//! The chain behind one package, hop by hop, each proven, refuted or unknown.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Serialize;

use super::dependencies::Dependencies;
use super::environments::Environments;
use super::evidence::{Agreeing, decision};
use super::hashing::Damaged;
use super::import::Carried;
use super::releases::{matches_record, signed_text};
use super::upstream::check_upstream;
use super::{Anchor, AnchorKind, Anchors, Problem};
use crate::domain::{ArchiveName, PackageName, RelPath, Sha256, SuiteName, Timestamp, escape};
use crate::environment::Lock;
use crate::format::deb822::{Stanza, Stanzas};
use crate::format::packages::Binary;
use crate::host::Progress;
use crate::publish::{DECISIONS, Observation, StoreFiles, load_links, parse_decisions};
use crate::site::{MovedGit, Policy};
use crate::snapshot::{Chain as Snapshots, Edition, IndexFile, SuiteState, index_key, kept_index, read_plain_index};
use crate::source::{Declaration, Signers, SourceKeys, check, fetch_declared};
use crate::store::{Key, Store, hash_stream};

/// What is asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A binary package, in its newest version.
    Package(PackageName),
    /// A file, by its hash.
    File(Sha256),
}

/// How a hop came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Proof {
    /// It was checked again and holds.
    Proven,
    /// The evidence does not suffice to say.
    Unknown,
    /// It was checked again and does not hold.
    Refuted,
}

/// One hop of a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hop {
    /// What is linked: `release`, `index`, `file`, `decision`, `rebuild`, `environment`, `source`, …
    pub hop: &'static str,
    /// How it came out.
    pub proof: Proof,
    /// What was found.
    pub evidence: String,
}

/// A chain from the archive's signature to whoever stands behind the bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Chain {
    /// The archive.
    pub archive: String,
    /// The suite.
    pub suite: String,
    /// The package.
    pub package: String,
    /// Its version.
    pub version: String,
    /// Its architecture.
    pub architecture: String,
    /// The pool file.
    pub file: String,
    /// Its SHA-256.
    pub sha256: Sha256,
    /// The hops.
    pub hops: Vec<Hop>,
}

impl Chain {
    /// The worst of the hops.
    #[must_use]
    pub fn proof(&self) -> Proof {
        self.hops.iter().map(|hop| hop.proof).max().unwrap_or(Proof::Unknown)
    }
}

/// A package of the newest snapshot of an archive.
#[derive(Debug)]
pub struct Found<'a> {
    anchor: &'a Anchor,
    edition: Edition,
    state: SuiteState,
    index: RelPath,
    binary: Binary,
}

impl Found<'_> {
    /// The archive.
    #[must_use]
    pub fn archive(&self) -> &ArchiveName {
        &self.anchor.name
    }

    /// The suite.
    #[must_use]
    pub fn suite(&self) -> &SuiteName {
        &self.state.suite
    }

    /// The package.
    #[must_use]
    pub fn binary(&self) -> &Binary {
        &self.binary
    }
}

/// Where newest snapshots list a subject.
#[derive(Debug, Default)]
pub struct Findings<'a> {
    /// One for each archive that has it; custom archives first, since they are asked about.
    pub found: Vec<Found<'a>>,
    /// What could not be read: the subject may be there, too.
    pub unread: Vec<Problem>,
}

/// Where the newest snapshots list the subject: of each archive the suite that has the newest version, which is the
/// one that clients would install.
#[must_use]
pub fn find<'a>(store: &dyn Store, anchors: &'a Anchors, subject: &Subject) -> Findings<'a> {
    let mut findings = Findings::default();
    let (first, second): (Vec<&Anchor>, Vec<&Anchor>) = anchors.archives.iter().partition(|anchor| anchor.is_custom());
    for anchor in first.into_iter().chain(second) {
        let edition = match Snapshots::load(store, &anchor.name) {
            Ok(chain) => chain.latest_edition(),
            Err(error) => {
                findings.unread.push(Problem::new(Problem::RECORD, &anchor.name, error));
                None
            }
        };
        let Some(edition) = edition else {
            continue;
        };
        let mut best: Option<Found<'a>> = None;
        for state in &edition.suites {
            let found = in_suite(store, (&edition, state), subject, &mut findings.unread);
            let newer = |found: &(RelPath, Binary)| {
                let version = &found.1.version;
                best.as_ref()
                    .is_none_or(|best| version.dpkg_cmp(&best.binary.version).is_gt())
            };
            if let Some((index, binary)) = found.filter(newer) {
                let (edition, state) = (edition.clone(), state.clone());
                best = Some(Found {
                    anchor,
                    edition,
                    state,
                    index,
                    binary,
                });
            }
        }
        findings.found.extend(best);
    }
    findings
}

fn in_suite(
    store: &dyn Store,
    (edition, state): (&Edition, &SuiteState),
    subject: &Subject,
    unread: &mut Vec<Problem>,
) -> Option<(RelPath, Binary)> {
    let mut best: Option<(RelPath, Binary)> = None;
    for index in packages(state) {
        let key = index_key(&edition.archive, &state.suite, index);
        let text = match read_plain_index(store, &edition.archive, &state.suite, index) {
            Ok(text) => text,
            Err(error) => {
                unread.push(Problem::new(Problem::MISSING, key, error));
                continue;
            }
        };
        for stanza in Stanzas::new(&text) {
            let binary = match stanza {
                Ok(stanza) if !is_subject(&stanza, subject) => continue,
                Ok(stanza) => Binary::from_stanza(&stanza),
                Err(error) => Err(error),
            };
            match binary {
                Err(error) => unread.push(Problem::new(Problem::INDEX, &key, error)),
                Ok(binary) => {
                    let newer = |(_, best): &(RelPath, Binary)| binary.version.dpkg_cmp(&best.version).is_gt();
                    if best.as_ref().is_none_or(newer) {
                        best = Some((index.path.clone(), binary));
                    }
                }
            }
        }
    }
    best
}

/// The Packages of a suite, each in one form, the installer's too.
fn packages(state: &SuiteState) -> impl Iterator<Item = &IndexFile> {
    state.components.iter().flat_map(move |component| {
        let folders = [component.to_string(), format!("{component}/debian-installer")];
        let places = folders.into_iter().flat_map(move |folder| {
            let of = move |architecture| format!("{folder}/binary-{architecture}/Packages");
            state.architectures.iter().map(of)
        });
        places.filter_map(move |plain| kept_index(state, &plain))
    })
}

fn is_subject(stanza: &Stanza<'_>, subject: &Subject) -> bool {
    match subject {
        Subject::Package(name) => stanza.field("Package") == Some(name.as_str()),
        Subject::File(sha256) => stanza.field("SHA256") == Some(sha256.hex().as_str()),
    }
}

/// Where Git repositories are kept and which keys may sign; absent: the Git hops stay unknown.
#[derive(Debug, Clone, Copy)]
pub struct Git<'a> {
    /// The folder of bare repositories.
    pub cache: &'a Path,
    /// Where repositories are now.
    pub moved: &'a MovedGit,
    /// The folder of public keys.
    pub keys: &'a Path,
}

/// The chain behind what was found.
#[must_use]
pub fn why(store: &dyn Store, anchors: &Anchors, found: &Found<'_>, git: Option<Git<'_>>, now: Timestamp) -> Chain {
    let binary = &found.binary;
    let mut hops = vec![release(store, found, now), index(found), file(store, found)];
    match &found.anchor.kind {
        AnchorKind::Mirror { .. } => hops.push(upstream(store, found)),
        AnchorKind::Custom { .. } => hops.extend(custom(store, anchors, found, git, now)),
        AnchorKind::Unproven { .. } => hops.push(unproven(found)),
    }
    Chain {
        archive: found.anchor.name.to_string(),
        suite: found.state.suite.to_string(),
        package: binary.package.to_string(),
        version: binary.version.to_string(),
        architecture: binary.architecture.to_string(),
        file: binary.filename.to_string(),
        sha256: binary.digest.sha256,
        hops,
    }
}

pub(super) fn hop(name: &'static str, outcome: Result<String, Problem>) -> Hop {
    match outcome {
        Ok(evidence) => Hop {
            hop: name,
            proof: Proof::Proven,
            evidence,
        },
        Err(problem) => Hop {
            hop: name,
            proof: problem.proof(),
            evidence: format!("{}: {}", problem.object, problem.why),
        },
    }
}

fn release(store: &dyn Store, found: &Found<'_>, now: Timestamp) -> Hop {
    let signed = || {
        let path = RelPath::new("InRelease").map_err(|error| Problem::new(Problem::RECORD, "InRelease", error))?;
        let serial = found.edition.name.as_str();
        let key = Key::dists_named(&found.anchor.name, &found.state.suite, serial, &path);
        let verified = signed_text(store, found.anchor, &key, now)?;
        // What is signed is what the record says: so its hashes, by which the index was read, are signed.
        matches_record(&verified.text, &found.state, &found.edition)
            .map_err(|why| Problem::new(Problem::RELEASE, &key, why))?;
        let signers: Vec<&str> = verified.signers.iter().map(|s| s.primary.as_str()).collect();
        let (archive, serial) = (&found.anchor.name, &found.edition.name);
        Ok(format!(
            "snapshot {archive}@{serial} of {}, signed by {}",
            found.state.date,
            signers.join(", ")
        ))
    };
    hop("release", signed())
}

fn index(found: &Found<'_>) -> Hop {
    let binary = &found.binary;
    // `find` read it by the hash that the record, and so the signed Release, gives.
    let evidence = format!(
        "{} lists {} {} as {}",
        found.index, binary.package, binary.version, binary.digest.sha256
    );
    hop("index", Ok(evidence))
}

fn file(store: &dyn Store, found: &Found<'_>) -> Hop {
    let key = Key::pool(&found.anchor.name, &found.binary.filename);
    let mirror = matches!(found.anchor.kind, AnchorKind::Mirror { .. });
    match store.open(&key).and_then(|stream| hash_stream(&key, stream)) {
        Ok(digest) if digest == found.binary.digest => hop("file", Ok(format!("{key} has that SHA-256"))),
        Ok(digest) => hop(
            "file",
            Err(Problem::new(
                Problem::DAMAGED,
                &key,
                format!("its SHA-256 is {}", digest.sha256),
            )),
        ),
        // A mirror fetches on demand, and checks then: its index is what is proven.
        Err(_) if mirror => hop(
            "file",
            Ok("not fetched yet; it is checked against the index when it is".to_owned()),
        ),
        Err(error) => hop("file", Err(Problem::new(Problem::MISSING, &key, error))),
    }
}

/// Its bytes are those that the archive signed, and nothing else is known of them.
fn unproven(found: &Found<'_>) -> Hop {
    let archive = found.archive();
    Hop {
        hop: "unproven",
        proof: Proof::Unknown,
        evidence: format!(
            "`{archive}` takes packages without the gate: nobody rebuilt this one, no source is known for it, and it is here on the \
             operator's word"
        ),
    }
}

fn upstream(store: &dyn Store, found: &Found<'_>) -> Hop {
    let Some(upstream) = &found.state.upstream else {
        return hop(
            "upstream",
            Err(Problem::new(
                Problem::UPSTREAM,
                &found.state.suite,
                "its record names no upstream",
            )),
        );
    };
    let verified = check_upstream(store, found.anchor, &found.state, upstream).map(|verified| {
        let signers: Vec<&str> = verified.signers.iter().map(|s| s.primary.as_str()).collect();
        format!(
            "upstream's Release of {} covers every index, signed by {}",
            upstream.date,
            signers.join(", ")
        )
    });
    hop("upstream", verified)
}

fn custom(store: &dyn Store, anchors: &Anchors, found: &Found<'_>, git: Option<Git<'_>>, now: Timestamp) -> Vec<Hop> {
    let decided = decision_of(store, found).and_then(|sha256| {
        let decided = decision(store, anchors, found.anchor, &sha256)?;
        match decided.files.get(&found.binary.filename) {
            Some(sha256) if *sha256 == found.binary.digest.sha256 => Ok(decided),
            _ => Err(Problem::new(
                Problem::DECISION,
                &decided.key,
                "it does not admit this file",
            )),
        }
    });
    let decided = match decided {
        Ok(decided) => decided,
        Err(problem) => return vec![hop("decision", Err(problem))],
    };
    let summary = &decided.summary;
    let mut levels = if summary.verified_levels.is_empty() {
        "no level".into()
    } else {
        summary.verified_levels.join(", ")
    };
    levels.extend(summary.exceptions().map(|said| format!(" ({said})")));
    // Who signed the source is a hop of its own.
    let carried = match &summary.assay_import {
        None => decided.quorum(store, found.anchor, now).map(Carried::Rebuilds),
        Some(_) => decided.carried(store, (anchors, found.anchor), now),
    };
    let none = Carried::Rebuilds(Vec::new());
    let covers = decided.covers(found.anchor, &found.state, carried.as_ref().unwrap_or(&none));
    let mut hops = vec![hop(
        "decision",
        covers
            .map(|()| {
                format!(
                    "{} of {}: admitted to `{}` by {} rules under policy {}, {levels}, signed by {}",
                    decided.key,
                    summary.time_verified,
                    found.state.suite,
                    summary.assay_rules.len(),
                    summary.policy.name.as_deref().unwrap_or_default(),
                    anchors.gate.fingerprint(),
                )
            })
            .map_err(|why| Problem::new(Problem::DECISION, &decided.key, why)),
    )];
    // What was imported has no rebuild, environment or commit of ours: upstream's signature is all of it.
    if summary.assay_import.is_some() {
        let said = carried.map(|carried| match carried {
            Carried::Upstream(said) => said,
            Carried::Rebuilds(_) => String::new(),
        });
        hops.push(hop("upstream", said));
        return hops;
    }
    match carried {
        Ok(carried) => {
            let agreeing = carried.rebuilds().unwrap_or_default();
            let first = agreeing.first().map(|a| a.record.build_path.as_str());
            let one_path = agreeing.len() > 1 && agreeing.iter().all(|a| Some(a.record.build_path.as_str()) == first);
            hops.extend(
                agreeing
                    .iter()
                    .map(|agreeing| hop("rebuild", rebuilt(store, found, agreeing, one_path))),
            );
        }
        Err(problem) => hops.push(hop("rebuild", Err(problem))),
    }
    let dissent = decided.contradicted(store, found.anchor, now).into_iter();
    hops.extend(dissent.map(|evidence| Hop {
        hop: "dissent",
        proof: Proof::Unknown,
        evidence,
    }));
    hops.extend(observed(store, found));
    match decided.locks(store, found.anchor) {
        Ok(locks) => {
            let mut dependencies = Dependencies::new(store, anchors, now);
            for (key, lock) in &locks {
                hops.push(environment(store, anchors, key, lock));
                hops.extend(dependencies.hops(key, lock));
            }
        }
        Err(problem) => hops.push(hop("environment", Err(problem))),
    }
    match decided.declaration(store, found.anchor) {
        Ok((key, declaration)) => match decided.policy(found.anchor) {
            Ok(policy) => {
                let refuted = decided.signed(store, found.anchor, now).err();
                hops.extend(refuted.map(|problem| hop("signature", Err(problem))));
                let place = (found.anchor, policy);
                hops.extend(source(store, anchors, place, (&key, &declaration), git, now));
            }
            Err(problem) => hops.push(hop("source", Err(problem))),
        },
        Err(problem) => hops.push(hop("source", Err(problem))),
    }
    hops
}

/// A record that agrees, with the log and .buildinfo that it names; and whether all were built at one path, which then
/// could show in the bytes.
fn rebuilt(store: &dyn Store, found: &Found<'_>, agreeing: &Agreeing, one_path: bool) -> Result<String, Problem> {
    let record = &agreeing.record;
    for (name, sha256) in &record.documents {
        let key = Key::provenance(&found.anchor.name, sha256);
        let digest = store.open(&key).and_then(|stream| hash_stream(&key, stream));
        let digest = digest.map_err(|error| Problem::new(Problem::MISSING, &key, error))?;
        if digest.sha256 != *sha256 {
            let why = format!(
                "its SHA-256 is {}, and {} names it as `{name}`",
                digest.sha256, agreeing.key
            );
            return Err(Problem::new(Problem::DAMAGED, &key, why));
        }
    }
    let (builder, at) = (&record.builder, record.finished_on);
    let path = escape(&record.build_path);
    let like = if one_path { ", like the others" } else { "" };
    Ok(format!(
        "{builder} (operator {}) got the same bytes on {at}, built at {path}{like}: {}",
        agreeing.operator, agreeing.key
    ))
}

/// What workers of rebuilderd say of the file. That they signed it is proven; it stands for nothing more.
fn observed(store: &dyn Store, found: &Found<'_>) -> Vec<Hop> {
    let AnchorKind::Custom { policies, .. } = &found.anchor.kind else {
        return Vec::new();
    };
    let file = BTreeSet::from([found.binary.digest.sha256]);
    let seen = policies
        .values()
        .filter_map(|policy| load_links(store, &found.anchor.name, policy, &file).ok());
    let seen: BTreeSet<Observation> = seen.flatten().collect();
    seen.iter().map(|seen| hop("weak", Ok(seen.to_string()))).collect()
}

fn decision_of(store: &dyn Store, found: &Found<'_>) -> Result<Sha256, Problem> {
    let object = || format!("{}/dists/{}/{DECISIONS}", found.anchor.name, found.state.suite);
    let index = kept_index(&found.state, DECISIONS);
    let index = index.ok_or_else(|| Problem::new(Problem::INDEX, object(), "the snapshot has none"))?;
    let text = read_plain_index(store, &found.anchor.name, &found.state.suite, index)
        .map_err(|error| Problem::new(Problem::INDEX, object(), error))?;
    let decisions = parse_decisions(&text).map_err(|error| Problem::new(Problem::INDEX, object(), error))?;
    match decisions.get(&found.binary.filename) {
        Some((sha256, decision)) if *sha256 == found.binary.digest.sha256 => Ok(*decision),
        _ => Err(Problem::new(
            Problem::DECISION,
            object(),
            "it names no decision for these bytes",
        )),
    }
}

/// Each snapshot of the lock is covered by upstream's signature, and holds the locked packages.
fn environment(store: &dyn Store, anchors: &Anchors, key: &Key, lock: &Lock) -> Hop {
    let mut environments = Environments::default();
    environments.add(key, lock);
    let problems = environments.problems(store, anchors, &Damaged::default(), &Progress::hidden());
    if let Some(problem) = problems.into_iter().max_by_key(Problem::proof) {
        return hop("environment", Err(problem));
    }
    let snapshots: Vec<String> = lock
        .snapshots
        .iter()
        .map(|s| format!("{}@{}", s.archive, s.serial))
        .collect();
    let (packages, chroot) = (lock.packages.len(), &lock.chroot.tar_sha256);
    let covered = match Dependencies::count(anchors, lock) {
        0 => "each covered by a signature".to_owned(),
        own => format!("each covered by a signature or, {own}, admitted by us"),
    };
    let evidence = format!(
        "{packages} packages of {}, {covered}; chroot {chroot}: {key}",
        snapshots.join(", ")
    );
    hop("environment", Ok(evidence))
}

/// The declared commit and its signature, derived from Git again.
fn source(
    store: &dyn Store,
    anchors: &Anchors,
    (anchor, policy): (&Anchor, &Policy),
    (key, declaration): (&Key, &Declaration),
    git: Option<Git<'_>>,
    now: Timestamp,
) -> Vec<Hop> {
    let commit = format!("{} at {} ({key})", declaration.git_commit, declaration.reference);
    let unknown = |evidence: String| {
        vec![Hop {
            hop: "source",
            proof: Proof::Unknown,
            evidence,
        }]
    };
    let Some(git) = git else {
        return unknown(format!("commit {commit}: the Git repository was not asked"));
    };
    let repository = match fetch_declared(declaration, &git.moved.now(&declaration.git), git.cache) {
        Ok(repository) => repository,
        Err(error) => return unknown(format!("commit {commit}: {error}")),
    };
    let keyrings = |name: &crate::domain::ArchiveName| {
        let anchor = anchors.archive(name);
        anchor
            .filter(|anchor| !anchor.is_unproven())
            .map(|anchor| anchor.keyring.clone())
            .ok_or_else(|| format!("the site has no `{name}` that sources may stand on"))
    };
    let files = StoreFiles {
        store,
        archive: &anchor.name,
        keyrings: &keyrings,
        fetch: None,
        packed: None,
    };
    // The policy that admitted it: who may sign under another one has no say here.
    let checked = SourceKeys::load(git.keys, &policy.signers).and_then(|keys| {
        let signers = Signers {
            allowed: &policy.signers,
            keys: &keys,
            threshold: policy.signer_threshold,
            now,
        };
        check(&repository, declaration, &signers, &files)
    });
    if let Err(error) = checked {
        return vec![hop("source", Err(Problem::new(Problem::EVIDENCE, key, error)))];
    }
    let name = |f: &crate::domain::Fingerprint| {
        let known = policy.signers.iter().find(|signer| signer.fingerprint == *f);
        known.map_or_else(|| f.to_string(), |signer| format!("{} ({f})", signer.name))
    };
    let signers: Vec<String> = declaration.signers.iter().map(|s| name(&s.fingerprint)).collect();
    let tree = &declaration.tree_sha256;
    let signed = if declaration.git_tag.is_some() { "tag" } else { "commit" };
    vec![
        hop(
            "source",
            Ok(format!("commit {commit}, tree-sha256 {tree}, derived again")),
        ),
        hop(
            "signature",
            Ok(format!("the {signed} is signed by {}", signers.join(", "))),
        ),
    ]
}
