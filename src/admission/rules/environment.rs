//! E1 to E3 and E7: what the build chroots consist of.

use std::collections::{BTreeMap, BTreeSet};

use crate::environment::{Lock, LockedPackage, LockedSnapshot};

use crate::site::EnvironmentRule;

use super::super::context::{Context, Set};
use super::super::evidence::{Indexed, IndexedKind, KnownSnapshot};
use super::Verdict;

/// The level of what two operators at least rebuilt.
const REPRODUCED: &str = "SLSA_BUILD_REPRODUCED";

/// The lock of each set, or why a rule breaks without.
fn locks<'c, 'a>(context: &'c Context<'a>) -> Result<Vec<(&'c Set<'a>, &'a Lock)>, Verdict> {
    let locked = |set: &'c Set<'a>| match set.lock {
        Some(lock) => Ok((set, lock)),
        None => {
            let wanted = set.set.lock.short();
            Err(Verdict::broken(format!(
                "the environment lock {wanted} is missing, or is not what it is named by"
            )))
        }
    };
    context.sets.iter().map(locked).collect()
}

fn each(context: &Context<'_>, evidence: &str, problem: impl Fn(&Set<'_>, &Lock) -> Option<String>) -> Verdict {
    match locks(context) {
        Ok(locks) if locks.is_empty() => Verdict::broken("nothing is offered that was built in an environment"),
        Ok(locks) => Verdict::unless(locks.iter().find_map(|(set, lock)| problem(set, lock)), evidence),
        Err(verdict) => verdict,
    }
}

/// Known snapshots, and the floor.
pub(super) fn e1(context: &Context<'_>) -> Verdict {
    each(
        context,
        "every snapshot of the environment is one of ours, with upstream's InRelease",
        |set, lock| {
            if lock.architecture != set.set.architecture {
                let (lock, set) = (&lock.architecture, &set.set.architecture);
                return Some(format!("the environment is for {lock}, the build for {set}"));
            }
            if lock.snapshots.is_empty() {
                return Some("the environment names no snapshot".to_owned());
            }
            lock.snapshots.iter().find_map(|locked| snapshot(context, locked))
        },
    )
}

fn snapshot(context: &Context<'_>, locked: &LockedSnapshot) -> Option<String> {
    let name = format!("{}@{} ({})", locked.archive, locked.id, locked.suite);
    let matches = |known: &&KnownSnapshot| {
        (&known.archive, &known.suite, &known.id) == (&locked.archive, &locked.suite, &locked.id)
    };
    let Some(known) = context.evidence.snapshots.iter().find(matches) else {
        return Some(format!("{name} is no snapshot of this site"));
    };
    if known.serial != locked.serial {
        return Some(format!(
            "{name} has the serial {}, the lock says {}",
            known.serial, locked.serial
        ));
    }
    let upstream = (known.inrelease_sha256, known.release_date);
    if upstream != (locked.inrelease_sha256, locked.release_date) {
        return Some(format!("{name} has another upstream InRelease than the lock says"));
    }
    if let Some(index) = locked
        .packages_sha256
        .iter()
        .find(|index| !known.packages_sha256.contains(index))
    {
        return Some(format!("{name} has no Packages index {}", index.short()));
    }
    let taken = context
        .policy
        .environments
        .iter()
        .filter(|one| one.takes(&locked.archive, &locked.suite));
    let taken: Vec<&EnvironmentRule> = taken.collect();
    if taken.is_empty() && !context.policy.environments.is_empty() {
        return Some(format!("{name} is of a suite that the policy does not take"));
    }
    let floors = taken.into_iter().filter_map(|one| one.floor.as_ref());
    let floor = floors.chain(&context.terms.environment_floor).max()?;
    (locked.id < *floor).then(|| format!("{name} is older than the policy's floor, {floor}"))
}

/// No way back.
pub(super) fn e7(context: &Context<'_>) -> Verdict {
    let before = &context.evidence.previous;
    if before.is_empty() {
        return Verdict::not_applicable("no version was admitted before that was built in an environment");
    }
    each(
        context,
        "no snapshot of the environment is older than that of the version admitted before",
        |_, lock| {
            lock.snapshots.iter().find_map(|locked| {
                let same = |s: &&LockedSnapshot| (&s.archive, &s.suite) == (&locked.archive, &locked.suite);
                let newest = before.iter().filter(same).map(|s| &s.id).max()?;
                (locked.id < *newest).then(|| {
                    let (archive, suite) = (&locked.archive, &locked.suite);
                    format!(
                        "{archive}@{} ({suite}) is older than {newest}, which the version before had",
                        locked.id
                    )
                })
            })
        },
    )
}

/// Every package of the environments.
pub(in crate::admission) fn dependencies<'c>(context: &'c Context<'_>) -> impl Iterator<Item = &'c LockedPackage> {
    let locks = context.sets.iter().filter_map(|set| set.lock);
    locks.flat_map(|lock| &lock.packages)
}

/// How many packages of the environments are of which level, each once: `SLSA_BUILD_REPRODUCED` when our
/// own decision gave it that, `ASSAY_ADMITTED` when we admitted it otherwise, `ASSAY_UPSTREAM_SIGNED`
/// when its upstream's signature is all that covers it. What nothing covers is not counted (rule E3).
pub(in crate::admission) fn dependency_levels(context: &Context<'_>) -> Option<BTreeMap<String, u64>> {
    if context.sets.is_empty() {
        return None;
    }
    let mut counted = BTreeSet::new();
    let mut levels: BTreeMap<String, u64> = BTreeMap::new();
    for package in dependencies(context) {
        if !counted.insert((&package.package, &package.architecture, package.sha256)) {
            continue;
        }
        if let Some(level) = level(context, package) {
            let count = levels.entry(level.to_owned()).or_default();
            *count = count.saturating_add(1);
        }
    }
    Some(levels)
}

fn level(context: &Context<'_>, package: &LockedPackage) -> Option<&'static str> {
    let Some(decision) = context.evidence.admitted.get(&package.sha256) else {
        return covered(context, package).then_some("ASSAY_UPSTREAM_SIGNED");
    };
    let levels = context.evidence.levels.get(decision);
    let reproduced = levels.is_some_and(|levels| levels.iter().any(|level| level == REPRODUCED));
    Some(if reproduced { REPRODUCED } else { "ASSAY_ADMITTED" })
}

/// The rows of verified indexes that list exactly this package.
fn rows<'c>(context: &'c Context<'_>, package: &'c LockedPackage) -> impl Iterator<Item = &'c Indexed> {
    context.evidence.indexed.iter().filter(move |row| {
        row.kind == IndexedKind::Binary
            && !row.newest
            && (&row.package, &row.version, &row.architecture)
                == (&package.package, &package.version, &package.architecture)
    })
}

/// Every package by hash.
pub(super) fn e2(context: &Context<'_>) -> Verdict {
    each(
        context,
        "every package of the environment is in the index of its snapshot, by SHA-256",
        |_, lock| {
            let mut names = BTreeSet::new();
            lock.packages.iter().find_map(|package| {
                let name = format!("{} {} {}", package.package, package.version, package.architecture);
                if !names.insert((&package.package, &package.architecture)) {
                    return Some(format!("{name} is not the only version in the environment"));
                }
                let from = |row: &&Indexed| (&row.archive, &row.suite) == (&package.archive, &package.suite);
                if !lock
                    .snapshots
                    .iter()
                    .any(|s| (&s.archive, &s.suite) == (&package.archive, &package.suite))
                {
                    return Some(format!(
                        "{name} is from `{}`, which the lock does not name",
                        package.archive
                    ));
                }
                if !rows(context, package)
                    .filter(from)
                    .any(|row| row.sha256 == package.sha256)
                {
                    let found = package.sha256.short();
                    return Some(format!("{name} is locked as {found}, which the index does not list"));
                }
                let other = rows(context, package)
                    .map(|row| row.sha256)
                    .find(|sha256| *sha256 != package.sha256);
                other.map(|other| format!("{name} is in two archives with different bytes ({})", other.short()))
            })
        },
    )
}

/// Closure.
pub(super) fn e3(context: &Context<'_>) -> Verdict {
    let mut admitted = BTreeMap::new();
    let mut signed = 0_usize;
    let locks = match locks(context) {
        Ok(locks) => locks,
        Err(verdict) => return verdict,
    };
    for package in locks.iter().flat_map(|(_, lock)| &lock.packages) {
        if let Some(decision) = context.evidence.admitted.get(&package.sha256) {
            let level = level(context, package).unwrap_or_default();
            admitted.insert(
                (&package.package, &package.version, package.sha256),
                format!(
                    "{} {} by the decision {} ({level})",
                    package.package,
                    package.version,
                    decision.short()
                ),
            );
        } else if covered(context, package) {
            signed = signed.saturating_add(1);
        } else {
            let (name, version) = (&package.package, &package.version);
            return Verdict::broken(format!(
                "{name} {version} is neither signed by an upstream nor admitted"
            ));
        }
    }
    let mut text = format!(
        "{signed} packages are signed by their upstream, {} were admitted by us",
        admitted.len()
    );
    if !admitted.is_empty() {
        let each: Vec<String> = admitted.into_values().collect();
        text.push_str(&format!(": {}", each.join(", ")));
    }
    Verdict::held(text)
}

/// Whether a mirror's index lists the package, in a suite that upstream signed.
fn covered(context: &Context<'_>, package: &LockedPackage) -> bool {
    rows(context, package).any(|row| {
        let signed =
            |s: &KnownSnapshot| (&s.archive, &s.suite) == (&row.archive, &row.suite) && s.inrelease_sha256.is_some();
        row.mirrored && row.sha256 == package.sha256 && context.evidence.snapshots.iter().any(signed)
    })
}
