//! V1 to V4: what the ledger remembers.

use std::cmp::Ordering;

use crate::domain::{PackageName, escape};
use crate::site::Takeover;

use super::super::context::Common;
use super::super::ledger::{LedgerConflict, LedgerEntry, LedgerKey, claims};
use super::Verdict;

/// Binaries.
pub(super) fn v1(context: &Common<'_>) -> Verdict {
    taken(context, |key| matches!(key, LedgerKey::Binary { .. }))
}

/// Sources, upstream versions, file names.
pub(super) fn v2(context: &Common<'_>) -> Verdict {
    taken(context, |key| {
        !matches!(key, LedgerKey::Binary { .. } | LedgerKey::Suite { .. })
    })
}

fn taken(context: &Common<'_>, about: impl Fn(&LedgerKey) -> bool) -> Verdict {
    let ledger = context.ledger;
    let claims = claims(context.whole.clone());
    let mine = || claims.iter().filter(|claim| about(&claim.key));
    // The candidate may contradict itself, too.
    let twice = mine().find_map(|claim| {
        let other = mine().find(|other| other.key == claim.key && other.sha256 != claim.sha256)?;
        Some(format!(
            "{} is claimed with two contents ({}, {})",
            claim.key,
            claim.sha256.short(),
            other.sha256.short()
        ))
    });
    let problem = twice.or_else(|| mine().find_map(|claim| ledger.conflict(claim)).map(|c| describe(&c)));
    let again = mine().filter(|claim| ledger.get(&claim.key).is_some()).count();
    let new = mine().count().saturating_sub(again);
    Verdict::unless(
        problem,
        format!("{new} new in the ledger, {again} there with the same bytes"),
    )
}

fn describe(conflict: &LedgerConflict) -> String {
    let (held, claimed) = (&conflict.held, &conflict.claimed);
    let epoch = if held.version == claimed.version {
        String::new()
    } else {
        format!(" (as {}; an epoch makes no other name)", held.version)
    };
    format!(
        "{} was admitted before with the bytes {}{epoch}, and is offered as {}",
        claimed.key,
        held.sha256.short(),
        claimed.sha256.short()
    )
}

/// Order.
pub(super) fn v3(context: &Common<'_>) -> Verdict {
    let claims = claims(context.whole.clone());
    let problem = claims
        .iter()
        .find_map(|claim| context.ledger.entries().find_map(|held| backwards(held, claim)));
    Verdict::unless(problem, "no version goes back")
}

fn backwards(held: &LedgerEntry, claim: &LedgerEntry) -> Option<String> {
    let (
        LedgerKey::Suite {
            suite: a,
            package: b,
            architecture: c,
            ..
        },
        LedgerKey::Suite {
            suite,
            package,
            architecture,
            ..
        },
    ) = (&held.key, &claim.key)
    else {
        return None;
    };
    if (a, b, c) != (suite, package, architecture) {
        return None;
    }
    let (old, new) = (&held.version, &claim.version);
    match new.dpkg_cmp(old) {
        Ordering::Less => Some(format!(
            "{package} {new} is older than {old}, which `{suite}` had ({architecture})"
        )),
        Ordering::Equal if new != old => Some(format!(
            "{package} {new} and {old}, which `{suite}` had, are the same version to dpkg"
        )),
        _ => None,
    }
}

/// Owners.
pub(super) fn v4(context: &Common<'_>) -> Verdict {
    let source = context.whole.source;
    let declared = |package: &PackageName, from: &PackageName| {
        let takeover = |t: &&Takeover| (&t.package, &t.from, &t.to) == (package, from, source);
        context.policy.takeovers.iter().find(takeover)
    };
    let mut moved = Vec::new();
    let problem = context.whole.debs().find_map(|(output, facts)| {
        let mut others = context.ledger.entries().filter(|held| {
            matches!(&held.key, LedgerKey::Binary { package, .. } if *package == facts.package)
                && held.source != *source
        });
        let held = others.find(|held| match declared(&facts.package, &held.source) {
            Some(takeover) => {
                moved.push(format!(
                    "{} came from {} ({})",
                    facts.package,
                    held.source,
                    escape(&takeover.reason)
                ));
                false
            }
            None => true,
        })?;
        Some(format!(
            "`{}`: the package {} belongs to the source {}",
            output.name, facts.package, held.source
        ))
    });
    moved.sort();
    moved.dedup();
    let evidence = if moved.is_empty() {
        format!("no package belongs to another source than {source}")
    } else {
        format!("declared takeovers: {}", moved.join("; "))
    };
    Verdict::unless(problem, evidence)
}
