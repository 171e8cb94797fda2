//! E1 to E3: what the build chroots consist of.

use std::collections::BTreeSet;

use crate::environment::{Lock, LockedPackage, LockedSnapshot};

use super::super::context::{Context, Set};
use super::super::evidence::{Indexed, IndexedKind, KnownSnapshot};
use super::Verdict;

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
    let floor = context.policy.environment_floor.as_ref()?;
    (locked.id < *floor).then(|| format!("{name} is older than the policy's floor, {floor}"))
}

/// The rows of verified indexes that list exactly this package.
fn rows<'c>(context: &'c Context<'_>, package: &'c LockedPackage) -> impl Iterator<Item = &'c Indexed> {
    context.evidence.indexed.iter().filter(move |row| {
        row.kind == IndexedKind::Binary
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
    let mut admitted = 0_usize;
    let mut signed = 0_usize;
    let locks = match locks(context) {
        Ok(locks) => locks,
        Err(verdict) => return verdict,
    };
    for package in locks.iter().flat_map(|(_, lock)| &lock.packages) {
        if context.evidence.admitted.contains_key(&package.sha256) {
            admitted = admitted.saturating_add(1);
        } else if covered(context, package) {
            signed = signed.saturating_add(1);
        } else {
            let (name, version) = (&package.package, &package.version);
            return Verdict::broken(format!(
                "{name} {version} is neither signed by an upstream nor admitted"
            ));
        }
    }
    Verdict::held(format!(
        "{signed} packages are signed by their upstream, {admitted} were admitted by us"
    ))
}

/// Whether a mirror's index lists the package, in a suite that upstream signed.
fn covered(context: &Context<'_>, package: &LockedPackage) -> bool {
    rows(context, package).any(|row| {
        let signed =
            |s: &KnownSnapshot| (&s.archive, &s.suite) == (&row.archive, &row.suite) && s.inrelease_sha256.is_some();
        row.mirrored && row.sha256 == package.sha256 && context.evidence.snapshots.iter().any(signed)
    })
}
