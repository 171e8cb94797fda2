//! Suites follow the branches and tags of a Git repository.

use std::collections::BTreeMap;

use super::next::{Edits, Writer, are_edited, next_snapshot};
use super::stage::{Change, Edit, Gone, has_shape, next_states};
use super::{GateError, Published, finish, load_vouched, publish};
use crate::domain::{Coded as _, DomainError, GitOid, GitRef, SuiteName, Timestamp, escape};
use crate::site::{CustomArchive, OwnArchive, OwnKind};
use crate::snapshot::{MadeFor, Record};

/// The days that a suite stays whose branch is gone and has no class any more.
const DAYS: u32 = 30;

/// What becomes of a suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SuiteChange {
    /// It is made, for a new branch or tag.
    New,
    /// Its branch or tag is gone: from now on its days are counted.
    Gone,
    /// Its branch or tag is there again.
    Back,
    /// Its days are over: it leaves the archive. Snapshots that have it keep it.
    Expired,
    /// Two branches or tags would have it: neither gets it.
    Collision,
    /// Its tag names another commit than when the suite was made: the suite stays what it was.
    Moved,
}

/// A suite that changes, and for which ref.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct SyncStep {
    /// The suite.
    pub suite: SuiteName,
    /// What becomes of it.
    pub change: SuiteChange,
    /// The branch or tag.
    #[serde(rename = "ref")]
    pub reference: GitRef,
    /// The other one, of two that collide.
    pub other: Option<GitRef>,
    /// The commit that the suite was made for, and the one that its tag names now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub moved: Option<(GitOid, GitOid)>,
    /// The commit of a tag that gets a suite.
    #[serde(skip)]
    commit: Option<GitOid>,
}

impl SyncStep {
    /// Whether somebody has to look into it: nothing was done.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        matches!(self.change, SuiteChange::Collision | SuiteChange::Moved)
    }
}

/// A branch or tag that a class gives a suite, and whose name is none that a suite can have.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Nameless {
    /// The branch or tag, escaped.
    #[serde(rename = "ref")]
    pub reference: String,
    /// The stable code of why.
    pub code: &'static str,
    /// Why.
    pub why: String,
}

/// The refs that should have a suite and get none, since its name is reserved, too long or malformed. A function of its input.
#[must_use]
pub fn nameless(config: &CustomArchive, refs: &Named, strange: &BTreeMap<String, DomainError>) -> Vec<Nameless> {
    let named = refs
        .keys()
        .filter_map(|reference| Some((reference.as_str(), reference.suite().err()?)));
    let strange = strange.iter().map(|(name, error)| (name.as_str(), error.clone()));
    let refused = |(reference, error): (&str, DomainError)| Nameless {
        reference: escape(reference),
        code: error.code(),
        why: error.to_string(),
    };
    let all = named.chain(strange);
    all.filter(|(reference, _)| config.has_class(reference))
        .map(refused)
        .collect()
}

/// Branches and tags, each with the commit that it names.
pub type Named = BTreeMap<GitRef, GitOid>;

/// What must change so that the suites of a record are those of `refs`. A function of its input.
///
/// A suite that the site names itself stays out of it. When two refs would have the same suite, the one
/// that has it keeps it, and neither gets it when it is new.
#[must_use]
pub fn plan_sync(config: &CustomArchive, refs: &Named, latest: Option<&Record>, now: Timestamp) -> Vec<SyncStep> {
    let mut steps = Vec::new();
    let states = latest.iter().flat_map(|record| &record.suites);
    let made: BTreeMap<&SuiteName, &MadeFor> = states.filter_map(|s| Some((&s.suite, s.made_for()?))).collect();
    let mut wanted: BTreeMap<SuiteName, Vec<&GitRef>> = BTreeMap::new();
    for reference in refs.keys().filter(|reference| config.class_of(reference).is_some()) {
        // `nameless` says which.
        let Ok(suite) = reference.suite() else { continue };
        if !config.suites.iter().any(|named| named.name == suite) {
            wanted.entry(suite).or_default().push(reference);
        }
    }
    let step = |suite: &SuiteName, change, reference: &GitRef| SyncStep {
        suite: suite.clone(),
        change,
        reference: reference.clone(),
        other: None,
        moved: None,
        commit: refs.get(reference).filter(|_| reference.tag_name().is_some()).cloned(),
    };
    for (suite, candidates) in &wanted {
        let holder = made.get(suite).map(|made| &made.reference);
        let first = holder.or(candidates.first().copied());
        let Some(first) = first else { continue };
        let others: Vec<&&GitRef> = candidates.iter().filter(|reference| **reference != first).collect();
        if holder.is_none() && others.is_empty() {
            steps.push(step(suite, SuiteChange::New, first));
        }
        steps.extend(others.into_iter().map(|other| SyncStep {
            other: Some(first.clone()),
            ..step(suite, SuiteChange::Collision, other)
        }));
    }
    for (suite, made) in made {
        let commits = made.commit.as_ref().zip(refs.get(&made.reference));
        if let Some((before, now)) = commits.filter(|(before, now)| before != now) {
            steps.push(SyncStep {
                moved: Some((before.clone(), now.clone())),
                ..step(suite, SuiteChange::Moved, &made.reference)
            });
            continue;
        }
        let there = refs.contains_key(&made.reference) && config.class_of(&made.reference).is_some();
        match made.gone_since {
            None if !there => steps.push(step(suite, SuiteChange::Gone, &made.reference)),
            Some(_) if there => steps.push(step(suite, SuiteChange::Back, &made.reference)),
            Some(since) if expires(config, made, since).is_some_and(|end| end <= now) => {
                steps.push(step(suite, SuiteChange::Expired, &made.reference));
            }
            _ => {}
        }
    }
    steps.sort_by(|a, b| (&a.suite, &a.reference).cmp(&(&b.suite, &b.reference)));
    steps
}

/// When a suite leaves whose branch is gone. Those of tags stay.
#[must_use]
pub fn expires(config: &CustomArchive, made: &MadeFor, gone_since: Timestamp) -> Option<Timestamp> {
    let of_tag = made.reference.tag_name().is_some();
    let days = config.class_of(&made.reference).map_or(DAYS, |class| class.expire_days);
    (!of_tag).then(|| gone_since.plus_days(days))
}

/// What came of following a repository.
#[derive(Debug)]
pub struct Synced {
    /// What changed, and what collides.
    pub steps: Vec<SyncStep>,
    /// The snapshot that has it; absent when nothing was to be done.
    pub published: Option<Published>,
}

/// Makes, marks and drops suites so that they are those of `refs`: one snapshot, or none when nothing is
/// to be done. Collisions and tags that moved are in the result, and keep nothing else from being done.
///
/// # Errors
/// When a record or index is damaged; the store's failure.
pub fn sync(writer: &Writer<'_>, refs: &Named, now: Timestamp) -> Result<Synced, GateError> {
    let mut steps = Vec::new();
    let mut changed = false;
    next_snapshot(writer, "follow branches and tags", now, |chain| {
        steps = plan_sync(writer.config, refs, chain.latest(), now);
        let edits = edits(&steps, now);
        changed = !edits.is_empty();
        if !changed || are_edited(writer.store, writer.archive, &edits, chain.latest())? {
            return Ok(None);
        }
        let change = Change { additions: &[], edits };
        let states = next_states(writer.store, writer.archive, writer.config, chain.latest(), &change)?;
        Ok(Some(states.into()))
    })?;
    let (store, archive) = (writer.store, writer.archive);
    let published = if changed {
        Some(publish(store, archive, writer.signer, writer.public_url)?)
    } else {
        // A run before may have committed it and was killed then.
        let chain = load_vouched(store, archive, &writer.signer.keyring()?)?;
        finish(store, &chain, writer.signer, writer.public_url)?
    };
    Ok(Synced { steps, published })
}

/// Makes the suites that the site names and the archive has not yet, empty, and gives the others the shape that the site declares
/// now: one snapshot, or none when all is so. Gives whether one was made.
///
/// # Errors
/// When a record or index is damaged; the store's failure.
pub fn make_declared<K: OwnKind>(writer: &Writer<'_, K>, now: Timestamp) -> Result<bool, GateError> {
    let mut made = false;
    next_snapshot(writer, "as the site declares it", now, |chain| {
        made = !is_as_declared(writer.config, chain.latest());
        if !made {
            return Ok(None);
        }
        let change = Change {
            additions: &[],
            edits: Edits::new(),
        };
        let states = next_states(writer.store, writer.archive, writer.config, chain.latest(), &change)?;
        Ok(Some(states.into()))
    })?;
    Ok(made)
}

fn is_as_declared<K: OwnKind>(config: &OwnArchive<K>, latest: Option<&Record>) -> bool {
    let states = || latest.iter().flat_map(|record| &record.suites);
    let is_there = |name: &SuiteName| states().any(|state| state.suite == *name);
    config.suites.iter().all(|suite| is_there(&suite.name))
        && latest.is_none_or(|record| record.valid_days == Some(config.valid_days))
        && states().all(|state| has_shape(config, state))
}

fn edits(steps: &[SyncStep], now: Timestamp) -> Edits {
    let edit = |step: &SyncStep| {
        let edit = match step.change {
            SuiteChange::New => Edit {
                make: Some(MadeFor {
                    reference: step.reference.clone(),
                    since: now,
                    commit: step.commit.clone(),
                    gone_since: None,
                }),
                ..Edit::default()
            },
            SuiteChange::Gone => Edit {
                gone: Some(Gone::Since(now)),
                ..Edit::default()
            },
            SuiteChange::Back => Edit {
                gone: Some(Gone::Not),
                ..Edit::default()
            },
            SuiteChange::Expired => Edit {
                drop: true,
                ..Edit::default()
            },
            SuiteChange::Collision | SuiteChange::Moved => return None,
        };
        Some((step.suite.clone(), edit))
    };
    steps.iter().filter_map(edit).collect()
}
