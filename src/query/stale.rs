//! `stale`: what needs somebody's attention, now or within some days.

use std::collections::{BTreeMap, BTreeSet};

use super::QueryError;
use super::answer::{Answer, Exception, State};
use super::declared::of_site;
use super::facts::{DecisionId, Facts, SiteDeclaration};
use super::index::Index;
use crate::domain::{ArchiveName, Sha256, SnapshotId, SuiteName, Timestamp};
use crate::publish::load_vouched;
use crate::site::{Policy, Site};
use crate::verify::{Anchor, AnchorKind};

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
    let mut answers = Vec::new();
    for id in index.listed.keys() {
        let Some(facts) = index.known.decisions.get(id) else {
            answers.push(Answer::of_decision(index, id, "its decision is not known".to_owned()));
            continue;
        };
        let said = [
            environment(index, facts, &newest, limits),
            records(index, id, facts, limits),
        ];
        answers.extend(
            said.into_iter()
                .flatten()
                .map(|why| Answer::of_decision(index, id, why)),
        );
    }
    answers.extend(behind(index, &declared));
    for (anchor, _) in &index.archives {
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

type Newest = BTreeMap<(ArchiveName, SuiteName), SnapshotId>;

/// The newest snapshot of each suite of each archive.
fn newest_snapshots(index: &Index<'_>) -> Result<Newest, QueryError> {
    let mut newest = Newest::new();
    for anchor in &index.anchors().archives {
        let chain = load_vouched(index.store(), &anchor.name, &anchor.keyring)?;
        if let Some(record) = chain.latest() {
            let suites = record
                .suites
                .iter()
                .map(|state| (anchor.name.clone(), state.suite.clone()));
            newest.extend(suites.map(|place| (place, record.id.clone())));
        }
    }
    Ok(newest)
}

fn environment(index: &Index<'_>, facts: &Facts, newest: &Newest, limits: Limits) -> Option<String> {
    let locks = facts.locks.iter().filter_map(|lock| index.known.locks.get(lock));
    let mut oldest: Option<(i64, String)> = None;
    for at in locks.flat_map(|lock| &lock.snapshots) {
        let place = (at.archive.clone(), at.suite.clone());
        let Some(now) = newest.get(&place) else { continue };
        let days = now.timestamp().since(at.id.timestamp()) / 86_400;
        if days >= i64::from(limits.environment_days) {
            let (archive, suite) = place;
            let why = format!(
                "its environment is {archive}@{} of {suite}, {days} days older than {archive}@{now}",
                at.id
            );
            oldest = oldest.max(Some((days, why)));
        }
    }
    oldest.map(|(_, why)| why)
}

/// The quorum ends with the records that carry it: one policy later they no longer count.
fn records(index: &Index<'_>, id: &DecisionId, facts: &Facts, limits: Limits) -> Option<String> {
    let policy = index.anchor(&id.0)?.policy(&facts.policy)?;
    let mut by_operator: BTreeMap<&str, Timestamp> = BTreeMap::new();
    for (record, builder) in index.agreeing(facts, policy) {
        let newest = by_operator
            .entry(builder.operator.as_str())
            .or_insert(record.finished_on);
        *newest = (*newest).max(record.finished_on);
    }
    let mut times: Vec<Timestamp> = by_operator.into_values().collect();
    times.sort();
    // The quorum holds as long as the k-th newest operator's record counts.
    let terms = policy.terms(&facts.suites);
    let at = times.len().checked_sub(terms.quorum as usize)?;
    let end = times.get(at)?.plus_days(terms.max_record_age_days);
    (end <= index.now.plus_days(limits.soon_days)).then(|| {
        let days = terms.max_record_age_days;
        format!("its quorum ends at {end}, when a rebuild record is {days} days old: rebuild it")
    })
}

/// Sources whose declaration is not what was admitted.
fn behind(index: &Index<'_>, declared: &[(ArchiveName, SiteDeclaration)]) -> Vec<Answer> {
    let identities: BTreeSet<Sha256> = declared.iter().map(|(_, one)| one.sha256).collect();
    let by_source: BTreeMap<_, _> = declared
        .iter()
        .map(|(archive, one)| ((archive, &one.source), &one.version))
        .collect();
    let mut answers = Vec::new();
    for id in index.listed.keys() {
        let Some(facts) = index.known.decisions.get(id) else {
            continue;
        };
        if facts.declaration.is_some_and(|sha256| identities.contains(&sha256)) {
            continue;
        }
        let why = match by_source.get(&(&id.0, &facts.source)) {
            Some(version) if **version == facts.version => "its declaration changed since it was admitted".to_owned(),
            Some(version) => format!("the site declares {version}, which is not admitted"),
            None => "the site does not declare it any more".to_owned(),
        };
        answers.push(Answer::of_decision(index, id, why));
    }
    answers
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
    let item = |source: &str, why: String| Answer::bare(archive, source, "", State::Policy, why);
    let mut answers = Vec::new();
    for exception in policy.exceptions.iter().filter(|exception| exception.expires <= soon) {
        let (rule, owner) = (&exception.rule, &exception.owner);
        let why = format!("the exception of {owner} to rule {rule} {}", when(exception.expires));
        let mut answer = item(exception.source.as_str(), why);
        answer.exceptions = vec![Exception::from(exception)];
        answers.push(answer);
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
    let mut rings = vec![("its own", &anchor.keyring)];
    if let AnchorKind::Mirror { upstream, .. } = &anchor.kind {
        rings.push(("its upstream's", upstream));
    }
    let mut answers = Vec::new();
    for (whose, keyring) in rings {
        for status in keyring.status(soon) {
            if status.signing_keys.is_empty() {
                let (key, why) = (&status.fingerprint, status.problems.join("; "));
                let why = format!("with {whose} key {key} nothing can be signed at {soon}: {why}");
                answers.push(Answer::bare(&anchor.name, "", "", State::Policy, why));
            }
        }
    }
    answers
}
