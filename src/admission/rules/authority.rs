//! S10: who may sign follows from what was admitted before, never from what is being judged.

use std::collections::BTreeSet;

use super::super::context::Context;
use super::super::evidence::{Lineage, Previous};
use super::Verdict;
use super::source::{allowed, derived};
use crate::domain::{PackageName, Sha256, escape};
use crate::site::{Policy, SignerKey};
use crate::source::DeclaredSigner;

pub(super) fn s10(context: &Context<'_>) -> Verdict {
    let Some(lineage) = &context.evidence.lineage else {
        return Verdict::broken("nobody looked which declaration of this source was admitted before");
    };
    let previous = match successor(lineage, context.candidate.declaration.supersedes) {
        Ok(Some(previous)) => previous,
        Ok(None) => {
            return Verdict::not_applicable("nothing of this source was admitted before: the policy says who may sign");
        }
        Err(why) => return Verdict::broken(why),
    };
    if leaves_it_to_the_policy(previous) {
        let names = named(previous);
        return Verdict::held(format!("{names} leaves it to the policy who may sign"));
    }
    let source = match derived(context, "S10") {
        Ok(source) => source,
        Err(verdict) => return verdict,
    };
    let keys = source.signers.iter().filter_map(|signer| allowed(context, signer).ok());
    match authorised(previous, context.policy, keys) {
        Ok(people) => Verdict::held(format!("{} lets {people} sign this one", named(previous))),
        Err(why) => Verdict::broken(why),
    }
}

/// Why rule S10 would refuse a declaration that follows `supersedes` and is signed by these keys of the policy; none when it would not.
#[must_use]
pub fn unauthorised<'k>(
    lineage: &Lineage,
    supersedes: Option<Sha256>,
    policy: &Policy,
    keys: impl Iterator<Item = &'k SignerKey>,
) -> Option<String> {
    match successor(lineage, supersedes) {
        Err(why) => Some(why),
        Ok(Some(previous)) if !leaves_it_to_the_policy(previous) => authorised(previous, policy, keys).err(),
        Ok(_) => None,
    }
}

/// Why nobody could follow a declaration of `source` that says this of the next one: people are counted, not keys, and the policy asks
/// for some in any case.
#[must_use]
pub fn too_few_successors(
    policy: &Policy,
    source: &PackageName,
    listed: &[DeclaredSigner],
    threshold: Option<u32>,
) -> Option<String> {
    if listed.is_empty() && threshold.is_none() {
        return None;
    }
    let may = |key: &&SignerKey| key.sources.is_empty() || key.sources.contains(source);
    let keys = policy.signers.iter().filter(may).filter(|key| is_listed(listed, key));
    let people: BTreeSet<&str> = keys.map(|key| key.name.as_str()).collect();
    let wanted = wanted(threshold, policy);
    (people.len() < wanted).then(|| {
        let count = people.len();
        format!("{count} people are authorised who may sign `{source}`, and {wanted} must sign: nobody could follow")
    })
}

fn wanted(threshold: Option<u32>, policy: &Policy) -> usize {
    threshold.unwrap_or(1).max(policy.signer_threshold).max(1) as usize
}

/// The declaration that has a say about one which says that it follows `supersedes`; none when nothing was admitted yet.
fn successor(lineage: &Lineage, supersedes: Option<Sha256>) -> Result<Option<&Previous>, String> {
    let Some(previous) = &lineage.newest else {
        return match supersedes {
            Some(other) => Err(format!(
                "it follows the declaration {}, and none of this source was admitted",
                other.short()
            )),
            None => Ok(None),
        };
    };
    if let Some(other) = supersedes
        && !lineage.admitted.contains(&other)
    {
        return Err(format!(
            "it follows the declaration {}, which was not admitted",
            other.short()
        ));
    }
    if !leaves_it_to_the_policy(previous) && supersedes != Some(previous.declaration) {
        return Err(format!(
            "{} says who may sign the next one, which must say that it follows it",
            named(previous)
        ));
    }
    Ok(Some(previous))
}

fn leaves_it_to_the_policy(previous: &Previous) -> bool {
    previous.authorised.is_empty() && previous.threshold.is_none()
}

fn named(previous: &Previous) -> String {
    format!(
        "the declaration of {} ({})",
        previous.version,
        previous.declaration.short()
    )
}

/// The people among these signers whom a declaration lets sign the next one; or that they are too few.
fn authorised<'k>(
    previous: &Previous,
    policy: &Policy,
    keys: impl Iterator<Item = &'k SignerKey>,
) -> Result<String, String> {
    let people: BTreeSet<&str> = keys
        .filter(|key| lists(previous, key))
        .map(|key| key.name.as_str())
        .collect();
    let wanted = wanted(previous.threshold, policy);
    if people.len() < wanted {
        return Err(format!(
            "{} of {wanted} people signed it whom {} lets sign the next one",
            people.len(),
            named(previous)
        ));
    }
    let people: Vec<String> = people.into_iter().map(escape).collect();
    Ok(people.join(", "))
}

/// Whether a declaration lets this key sign the next one.
fn lists(previous: &Previous, key: &SignerKey) -> bool {
    is_listed(&previous.authorised, key)
}

fn is_listed(listed: &[DeclaredSigner], key: &SignerKey) -> bool {
    let same = |one: &DeclaredSigner| one.scheme == key.scheme && one.fingerprint == key.fingerprint;
    listed.is_empty() || listed.iter().any(same)
}
