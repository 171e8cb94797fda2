//! `stale`: what needs somebody's attention, now or within some days.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use rayon::prelude::*;

use super::QueryError;
use super::answer::{Answer, Exception, State};
use super::declared::of_site;
use super::facts::{DecisionId, SiteDeclaration};
use super::index::{Index, suites};
use super::view::Decision;
use crate::domain::{ArchiveName, Sha256, SnapshotId, Timestamp, Version};
use crate::site::{Policy, Site};
use crate::source::{Declaration, strayed_tags};
use crate::trust::Keyring;
use crate::verify::{Anchor, AnchorKind, Proof};

/// What counts as old and as soon.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// An environment may be this many days older than the newest snapshot of its suite.
    pub environment_days: u32,
    /// What ends within this many days is near its end.
    pub soon_days: u32,
}

/// Environments that are older than the newest snapshot of their suite, packages whose declaration moved on or is
/// gone, rebuild records near the age at which they no longer count, exceptions and keys near their end.
///
/// # Errors
/// When a declaration of the site or a mirror's chain cannot be read; the store's failure.
pub fn stale(index: &mut Index<'_>, site: &Site, limits: Limits) -> Result<Vec<Answer>, QueryError> {
    let declared = of_site(index, site)?;
    let index: &Index<'_> = index;
    let newest = newest_snapshots(index)?;
    let listed: Vec<DecisionId> = index.listed.decisions().collect();
    let old = listed.par_iter().flat_map_iter(|id| {
        let Some(decision) = index.decision(id) else {
            return vec![Answer::of_decision(index, id, "its decision is not known".to_owned())];
        };
        let said = [
            environment(index, decision, &newest, limits),
            records(index, id, decision, limits),
        ];
        let said = said.into_iter().flatten();
        said.map(|why| Answer::of_decision(index, id, why)).collect()
    });
    let mut answers: Vec<Answer> = old.collect();
    answers.extend(behind(index, &listed, &declared));
    for (_, anchor, _) in &index.archives {
        for policy in anchor.policies() {
            answers.extend(policy_items(index, &anchor.name, policy, limits));
        }
    }
    answers.extend(
        index
            .anchors()
            .archives
            .iter()
            .flat_map(|anchor| keys(index, anchor, limits)),
    );
    answers.dedup();
    Ok(answers)
}

/// The declared sources whose repository has another tag than was declared, lacks it, or does not answer. The one question that is
/// not answered offline: each repository is asked once, and nothing is fetched.
///
/// # Errors
/// When a declaration of the site cannot be read.
pub fn strayed(index: &mut Index<'_>, site: &Site, cache: &Path) -> Result<Vec<Answer>, QueryError> {
    let declared = of_site(index, site)?;
    let index: &Index<'_> = index;
    let mut declarations = Vec::new();
    for (anchor, one) in &placed(index, &declared) {
        let declaration = Declaration::load(&site.declaration_path(&anchor.name, &one.source))?;
        let url = site.config().moved_git.now(&declaration.git);
        declarations.push((declaration, url));
    }
    let mut answers = Vec::new();
    for ((anchor, one), said) in placed(index, &declared)
        .into_iter()
        .zip(strayed_tags(&declarations, cache))
    {
        let said: Vec<(Proof, String)> = match said {
            Ok(strayed) => strayed
                .iter()
                .map(|strayed| {
                    (
                        if strayed.found.is_some() {
                            Proof::Refuted
                        } else {
                            Proof::Unknown
                        },
                        strayed.to_string(),
                    )
                })
                .collect(),
            Err(error) => vec![(
                Proof::Unknown,
                format!("nobody can say whether its tag was moved: {error}"),
            )],
        };
        for (proof, why) in said {
            let mut answer = Answer::declared(index, anchor, one, why);
            (answer.declaration, answer.proof) = (Some(one.sha256), proof);
            answers.push(answer);
        }
    }
    Ok(answers)
}

/// Declarations, each with its archive.
fn placed<'i>(
    index: &'i Index<'_>,
    declared: &'i [(usize, SiteDeclaration)],
) -> Vec<(&'i Anchor, &'i SiteDeclaration)> {
    let anchor = |place: &usize| index.anchors().archives.get(*place);
    declared
        .iter()
        .filter_map(|(place, one)| Some((anchor(place)?, one)))
        .collect()
}

/// By archive, then by suite.
type Newest = HashMap<String, HashMap<String, SnapshotId>>;

/// The newest snapshot of each suite of each archive.
fn newest_snapshots(index: &Index<'_>) -> Result<Newest, QueryError> {
    let mut newest = Newest::new();
    for anchor in &index.anchors().archives {
        let chain = anchor.chain(index.store())?;
        if let Some(record) = chain.latest() {
            let suites = record
                .suites
                .iter()
                .map(|state| (state.suite.to_string(), record.id.clone()));
            newest.insert(anchor.name.to_string(), suites.collect());
        }
    }
    Ok(newest)
}

fn environment(index: &Index<'_>, decision: Decision<'_>, newest: &Newest, limits: Limits) -> Option<String> {
    let mut oldest: Option<(i64, String)> = None;
    for ((archive, suite), at) in index.known.locks_of(decision).flat_map(|lock| lock.snapshots.iter()) {
        let Some(now) = newest.get(archive).and_then(|suites| suites.get(suite)) else {
            continue;
        };
        let Ok(then) = Timestamp::parse_compact(at) else {
            continue;
        };
        let days = now.timestamp().since(then) / 86_400;
        if days >= i64::from(limits.environment_days) {
            let why = format!("its environment is {archive}@{at} of {suite}, {days} days older than {archive}@{now}");
            oldest = oldest.max(Some((days, why)));
        }
    }
    oldest.map(|(_, why)| why)
}

/// The quorum ends with the records that carry it: one policy later they no longer count.
fn records(index: &Index<'_>, id: &DecisionId, decision: Decision<'_>, limits: Limits) -> Option<String> {
    let policy = index.anchor(id)?.policy(decision.policy)?;
    let mut by_operator: BTreeMap<&str, Timestamp> = BTreeMap::new();
    for (record, builder) in index.agreeing(id, decision) {
        let newest = by_operator
            .entry(builder.operator.as_str())
            .or_insert(record.finished_on);
        *newest = (*newest).max(record.finished_on);
    }
    let mut times: Vec<Timestamp> = by_operator.into_values().collect();
    times.sort();
    // The quorum holds as long as the k-th newest operator's record counts.
    let terms = policy.terms(&suites(decision));
    let at = times.len().checked_sub(terms.quorum as usize)?;
    let end = times.get(at)?.plus_days(terms.max_record_age_days);
    (end <= index.now.plus_days(limits.soon_days)).then(|| {
        let days = terms.max_record_age_days;
        format!("its quorum ends at {end}, when a rebuild record is {days} days old: rebuild it")
    })
}

/// Sources whose declaration is not what was admitted.
fn behind(index: &Index<'_>, listed: &[DecisionId], declared: &[(usize, SiteDeclaration)]) -> Vec<Answer> {
    let identities: HashSet<Sha256> = declared.iter().map(|(_, one)| one.sha256).collect();
    let by_source: HashMap<(usize, &str), &Version> = declared
        .iter()
        .map(|(place, one)| ((*place, one.source.as_str()), &one.version))
        .collect();
    let behind = listed.par_iter().filter_map(|id| {
        let decision = index.decision(id)?;
        // What was imported is none of the site's sources: it has no declaration that could be behind.
        let imported = decision.imported().is_some();
        if imported || decision.declaration.is_some_and(|sha256| identities.contains(&sha256)) {
            return None;
        }
        let why = match by_source.get(&(id.archive, decision.source)) {
            Some(version) if version.as_str() == decision.version => {
                "its declaration changed since it was admitted".to_owned()
            }
            Some(version) => format!("the site declares {version}, which is not admitted"),
            None => "the site does not declare it any more".to_owned(),
        };
        Some(Answer::of_decision(index, id, why))
    });
    behind.collect()
}

/// What a policy says that ends soon, or has ended and still stands there.
fn policy_items(index: &Index<'_>, archive: &ArchiveName, policy: &Policy, limits: Limits) -> Vec<Answer> {
    let (now, soon) = (index.now, index.now.plus_days(limits.soon_days));
    let when = |end: Timestamp| {
        if end <= now {
            format!("ended at {end}")
        } else {
            format!("ends at {end}")
        }
    };
    let item = |source: &str, why: String| Answer::bare(archive.to_string(), source, "", State::Policy, why);
    let mut answers = Vec::new();
    for exception in policy.exceptions.iter().filter(|exception| exception.expires <= soon) {
        let (rule, owner) = (&exception.rule, &exception.owner);
        let why = format!("the exception of {owner} to rule {rule} {}", when(exception.expires));
        let mut answer = item(exception.source.as_str(), why);
        answer.exceptions = vec![Exception::from(exception)];
        answers.push(answer);
    }
    for import in &policy.imports {
        if let Some(end) = import.expires.filter(|end| *end <= soon) {
            let sources: Vec<String> = import.sources.iter().map(ToString::to_string).collect();
            let (sources, from, owner) = (sources.join(", "), &import.archive, &import.owner);
            answers.push(item(
                "",
                format!("the import of {sources} from {from} by {owner} {}", when(end)),
            ));
        }
    }
    for signer in &policy.signers {
        let (name, key) = (&signer.name, &signer.fingerprint);
        if let Some(end) = signer.valid_until.filter(|end| *end <= soon) {
            answers.push(item("", format!("the signer {name} ({key}) {}", when(end))));
        }
        if let Some(at) = signer.revoked_at {
            answers.push(item("", format!("the signer {name} ({key}) is revoked since {at}")));
        }
    }
    for builder in &policy.builders {
        if let Some(end) = builder.valid_until.filter(|end| *end <= soon) {
            answers.push(item("", format!("the key of the builder {} {}", builder.id, when(end))));
        }
        if let Some(at) = builder.revoked_at {
            answers.push(item(
                "",
                format!("the key of the builder {} is revoked since {at}", builder.id),
            ));
        }
    }
    answers
}

/// OpenPGP keys of an archive, and of its upstream, that nothing may be signed with soon.
fn keys(index: &Index<'_>, anchor: &Anchor, limits: Limits) -> Vec<Answer> {
    let soon = index.now.plus_days(limits.soon_days);
    let own = anchor.present();
    let mut rings: Vec<(&str, &Keyring)> = own.iter().map(|own| ("its own", own)).collect();
    if let AnchorKind::Mirror { upstream, .. } = &anchor.kind {
        rings.push(("its upstream's", upstream));
    }
    let mut answers = Vec::new();
    for (whose, keyring) in rings {
        for status in keyring.status(soon) {
            if status.signing_keys.is_empty() {
                let (key, why) = (&status.fingerprint, status.problems.join("; "));
                let why = format!("with {whose} key {key} nothing can be signed at {soon}: {why}");
                answers.push(Answer::bare(anchor.name.to_string(), "", "", State::Policy, why));
            }
        }
    }
    answers
}
