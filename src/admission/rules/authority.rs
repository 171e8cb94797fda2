//! S10: who may sign follows from what was admitted before, never from what is being judged.

use std::collections::BTreeSet;

use super::super::context::Context;
use super::super::evidence::Previous;
use super::Verdict;
use super::source::{allowed, derived};
use crate::domain::escape;
use crate::site::SignerKey;

pub(super) fn s10(context: &Context<'_>) -> Verdict {
    let declared = &context.candidate.declaration;
    let Some(lineage) = &context.evidence.lineage else {
        return Verdict::broken("nobody looked which declaration of this source was admitted before");
    };
    let Some(previous) = &lineage.newest else {
        return match declared.supersedes {
            Some(other) => Verdict::broken(format!(
                "it follows the declaration {}, and none of this source was admitted",
                other.short()
            )),
            None => Verdict::not_applicable("nothing of this source was admitted before: the policy says who may sign"),
        };
    };
    let version = &previous.version;
    let names = previous.declaration.short();
    if let Some(other) = declared.supersedes
        && !lineage.admitted.contains(&other)
    {
        return Verdict::broken(format!(
            "it follows the declaration {}, which was not admitted",
            other.short()
        ));
    }
    if previous.authorised.is_empty() && previous.threshold.is_none() {
        return Verdict::held(format!(
            "the declaration of {version} ({names}) leaves it to the policy who may sign"
        ));
    }
    if declared.supersedes != Some(previous.declaration) {
        return Verdict::broken(format!(
            "the declaration of {version} ({names}) says who may sign the next one, which must say that it follows it"
        ));
    }
    let source = match derived(context, "S10") {
        Ok(source) => source,
        Err(verdict) => return verdict,
    };
    let people: BTreeSet<&str> = source
        .signers
        .iter()
        .filter_map(|signer| allowed(context, signer).ok())
        .filter(|key| lists(previous, key))
        .map(|key| key.name.as_str())
        .collect();
    let wanted = previous
        .threshold
        .unwrap_or(1)
        .max(context.policy.signer_threshold)
        .max(1) as usize;
    if people.len() < wanted {
        return Verdict::broken(format!(
            "{} of {wanted} people signed it whom the declaration of {version} ({names}) lets sign the next one",
            people.len()
        ));
    }
    let people: Vec<String> = people.into_iter().map(escape).collect();
    let people = people.join(", ");
    Verdict::held(format!(
        "the declaration of {version} ({names}) lets {people} sign this one"
    ))
}

/// Whether a declaration lets this key sign the next one.
fn lists(previous: &Previous, key: &SignerKey) -> bool {
    let listed = &previous.authorised;
    listed.is_empty()
        || listed
            .iter()
            .any(|one| one.scheme == key.scheme && one.fingerprint == key.fingerprint)
}
