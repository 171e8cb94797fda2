//! R1 to R9 without R4, A5, A6, E4 to E6: the rebuild records.
//!
//! A rule that voids records breaks only when the quorum is missed: then it says which record it
//! voided, and why. Otherwise whoever can write to the store could block every package.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::{Sha256, escape};
use crate::format::intoto::Outcome;
use crate::site::Dissent;

use super::super::context::{Context, Judged, Set};
use super::super::evidence::RecordEvidence;
use super::super::standing::{self, Standing, built_later, first_difference, is_blind, is_spoken, offered};
use super::super::unvaried::unvaried;
use super::Verdict;
use super::asked::{answered, asked, place};

/// What rule E5 says of builds whose path nothing varied.
pub const ONE_PATH: &str = "all were built at one path";

/// Quorum over operators and groups.
pub(super) fn r1(context: &Context<'_>) -> Verdict {
    if context.terms.quorum == 0 {
        return Verdict::broken("the policy asks for a quorum of 0, which would admit anything");
    }
    if context.sets.is_empty() {
        return Verdict::broken("nothing is offered that could have been rebuilt");
    }
    let mut found = Vec::new();
    for set in &context.sets {
        let names: Vec<String> = context.operators(set).into_iter().map(escape).collect();
        let who = if names.is_empty() {
            "nobody".to_owned()
        } else {
            names.join(", ")
        };
        let architecture = &set.set.architecture;
        if let Some(shortage) = context.shortage(set) {
            return Verdict::broken(format!("for {architecture} only {shortage} gave these bytes: {who}"));
        }
        let wanted = context.terms.quorum;
        found.push(format!(
            "{} operators of {wanted} needed gave these bytes for {architecture}: {who}",
            names.len()
        ));
    }
    Verdict::held(found.join("; "))
}

/// Nobody could copy.
pub(super) fn r2(context: &Context<'_>) -> Verdict {
    if !context.policy.blind_rebuilds {
        return Verdict::not_applicable("the policy does not ask for blind rebuilds");
    }
    if let Verdict::Broken(why) = voided(context, "R2") {
        return Verdict::Broken(why);
    }
    let sighted = |judged: &&Judged<'_>| judged.standing == Standing::Counts && !is_blind(context, judged.record);
    if let Some(judged) = context.records.iter().find(sighted) {
        // Held only by the exception: saying so here makes it visible in the decision.
        return Verdict::broken(format!("{} was made when results could be seen", name(judged.record)));
    }
    let shown = |nonce: &str| context.records.iter().any(|judged| judged.record.nonce == nonce);
    let ours = |lock: &Sha256| context.sets.iter().any(|set| set.set.lock == *lock);
    let waiting: BTreeSet<&str> = context
        .evidence
        .commitments
        .iter()
        .filter(|c| ours(&c.lock) && Some(c.declaration) == context.declaration && !shown(&c.nonce))
        .map(|c| c.builder.as_str())
        .collect();
    if !waiting.is_empty() && !context.has_quorum() {
        let waiting: Vec<&str> = waiting.into_iter().collect();
        let wanted = context.terms.quorum;
        return Verdict::broken(format!(
            "sealed until {wanted} operators have answered: the results of {}",
            waiting.join(", ")
        ));
    }
    voided(context, "R2")
}

/// Binding and freshness.
pub(super) fn r3(context: &Context<'_>) -> Verdict {
    voided(context, "R3")
}

/// Revoked builders.
pub(super) fn r5(context: &Context<'_>) -> Verdict {
    voided(context, "R5")
}

/// Complete records of successful builds.
pub(super) fn r6(context: &Context<'_>) -> Verdict {
    voided(context, "R6")
}

/// Signer and builder belong together.
pub(super) fn r7(context: &Context<'_>) -> Verdict {
    voided(context, "R7")
}

/// Nothing is withheld.
pub(super) fn r8(context: &Context<'_>) -> Verdict {
    voided(context, "R8")
}

/// Builders that get right what is known.
pub(super) fn r9(context: &Context<'_>) -> Verdict {
    let doubtful = |judged: &Judged<'_>| match judged.standing {
        Standing::Counts => standing::missed(context, judged.record),
        _ => None,
    };
    match context.records.iter().find_map(doubtful) {
        // Held only by the exception: saying so here makes it visible in the decision.
        Some(why) => Verdict::broken(why),
        None => voided(context, "R9"),
    }
}

/// No network.
pub(super) fn e4(context: &Context<'_>) -> Verdict {
    voided(context, "E4")
}

/// No skipped tests, no profiles.
pub(super) fn e6(context: &Context<'_>) -> Verdict {
    if let Verdict::Broken(why) = voided(context, "E6") {
        return Verdict::Broken(why);
    }
    let skipped = |judged: &&Judged<'_>| {
        judged.standing == Standing::Counts && !(judged.record.options.is_empty() && judged.record.profiles.is_empty())
    };
    match context.records.iter().find(skipped) {
        // Held only by the exception: saying so here makes the relaxation visible in the decision.
        Some(judged) => Verdict::broken(format!("{} was built with `nocheck`", name(judged.record))),
        None => voided(context, "E6"),
    }
}

/// Time-outs.
pub(super) fn a6(context: &Context<'_>) -> Verdict {
    voided(context, "A6")
}

/// Variation among the records that count.
pub(super) fn e5(context: &Context<'_>) -> Verdict {
    if context.terms.quorum < 2 {
        return Verdict::not_applicable("the policy asks for one rebuild only");
    }
    let mut all_paths = BTreeSet::new();
    for set in &context.sets {
        let counted: Vec<&RecordEvidence> = context.counted(set).collect();
        if counted.len() < 2 {
            return Verdict::not_applicable("fewer than two rebuilds count");
        }
        if let Some(what) = unvaried(&counted, &context.policy.vary) {
            let (architecture, source) = (&set.set.architecture, context.common.whole.source);
            return Verdict::broken(format!(
                "all rebuilds for {architecture} had the same {what}; next: another run of each, as `assay rebuild {source} --plan` plans it"
            ));
        }
        all_paths.extend(counted.into_iter().map(|record| record.build_path.as_str()));
    }
    let varied = "the rebuilds differed in time, parallelism, and what else the policy varies";
    // A package that holds its build path passes as reproducible here: whoever builds elsewhere must know.
    match Vec::from_iter(all_paths).as_slice() {
        [one] => Verdict::held(format!("{varied}; {ONE_PATH}, {}", escape(one))),
        paths => Verdict::held(format!("{varied}; they were built at {} paths", paths.len())),
    }
}

/// Dissent.
pub(super) fn a5(context: &Context<'_>) -> Verdict {
    for set in &context.sets {
        if let Some(why) = dissent(context, set) {
            return Verdict::broken(why);
        }
    }
    if let Some(why) = dissent_elsewhere(context) {
        return Verdict::broken(why);
    }
    if context.policy.dissent == Dissent::AnySilenceBlocks
        && let Some(why) = silence(context)
    {
        return Verdict::broken(format!("{why}, and the policy lets no silence pass"));
    }
    Verdict::held("no valid record contradicts another")
}

/// Rebuilds in an environment that is no more the candidate's, or under another declaration of the same source, that came
/// out differently there: neither makes one of them honest, or the source reproducible. Where all failed alike, nobody
/// contradicts: that is what an environment is locked again for. In an environment of the candidate's, what is offered
/// says something, too.
fn dissent_elsewhere(context: &Context<'_>) -> Option<String> {
    let mut said: BTreeMap<Sha256, Vec<&RecordEvidence>> = BTreeMap::new();
    for record in context.records.iter().map(|judged| judged.record) {
        let failed = record.outcome == Outcome::Ftbfs && !built_later(context, record);
        let speaks = record.outcome == Outcome::Built || failed;
        if speaks && !context.is_about(record) && is_spoken(context, record) {
            said.entry(record.lock).or_default().push(record);
        }
    }
    said.values().find_map(|records| {
        let first = records.first()?;
        // Where nothing is offered, nobody contradicts that.
        if let Some(set) = context.set_of(first).filter(|set| !set.outputs.is_empty())
            && let Some((record, why)) = records.iter().find_map(|record| Some((record, against(set, record)?)))
        {
            let place = place(context, &record.declaration, &record.lock);
            return Some(format!("{} contradicts what is offered{place}: {why}", name(record)));
        }
        let other = records
            .iter()
            .find(|other| (other.outcome, &other.outputs) != (first.outcome, &first.outputs))?;
        let place = place(context, &other.declaration, &other.lock);
        Some(format!("{} contradicts {}{place}", name(other), name(first)))
    })
}

/// What a record says against what is offered for its environment.
fn against(set: &Set<'_>, record: &RecordEvidence) -> Option<String> {
    if record.outcome == Outcome::Ftbfs {
        return Some("the build failed".to_owned());
    }
    first_difference(&offered(set), &record.outputs)
}

/// Who was asked and did not say what the build gives, in whatever environment.
fn silence(context: &Context<'_>) -> Option<String> {
    let late = |judged: &&Judged<'_>| {
        let record = judged.record;
        let before = !context.is_about(record) && is_spoken(context, record);
        matches!(judged.standing, Standing::Void("A6", _)) || (before && record.outcome.limit().is_some())
    };
    if let Some(judged) = context.records.iter().find(late) {
        let place = place(context, &judged.record.declaration, &judged.record.lock);
        return Some(format!("{} ran out of time{place}", name(judged.record)));
    }
    let open = asked(context).into_iter().find(|nonce| !answered(context, nonce))?;
    Some(format!(
        "`{}` did not answer what it was asked at {}{}",
        open.builder,
        open.issued_at,
        place(context, &open.declaration, &open.lock)
    ))
}

/// Why the valid records of one set contradict each other. That all of them contradict the
/// candidate alike is B1's to say.
fn dissent(context: &Context<'_>, set: &Set<'_>) -> Option<String> {
    let differing = || {
        context.records.iter().filter_map(|judged| match &judged.standing {
            Standing::Differs(why) if judged.record.lock == set.set.lock => Some((judged.record, why)),
            _ => None,
        })
    };
    if let Some((record, _)) = differing().find(|(record, _)| record.outcome != Outcome::Built) {
        return Some(format!("{} says that the build failed", name(record)));
    }
    let (first, why) = differing().next()?;
    let explained = explain(context, first, why);
    if let Some(agreeing) = context.counted(set).next() {
        return Some(format!("{} contradicts {}: {explained}", name(first), name(agreeing)));
    }
    let (other, _) = differing().find(|(record, _)| record.outputs != first.outputs)?;
    Some(format!(
        "{} and {} contradict each other: {explained}",
        name(first),
        name(other)
    ))
}

/// The difference, and what the caller found inside the file.
pub(super) fn explain(context: &Context<'_>, record: &RecordEvidence, why: &str) -> String {
    let inside = |sha256: &Sha256| context.evidence.differences.get(sha256);
    match record.outputs.values().find_map(inside) {
        Some(inside) => format!("{why} ({})", escape(inside)),
        None => why.to_owned(),
    }
}

/// Broken by the first record that `rule` voided, when the quorum is missed.
fn voided(context: &Context<'_>, rule: &'static str) -> Verdict {
    let why = |judged: &Judged<'_>| match &judged.standing {
        Standing::Void(by, why) if *by == rule => Some(format!("{} does not count: {why}", name(judged.record))),
        _ => None,
    };
    let mut found = context.records.iter().filter_map(why);
    match found.next() {
        None => Verdict::held("no record fails this"),
        Some(first) if context.has_quorum() => {
            let more = found.count();
            let rest = if more == 0 {
                String::new()
            } else {
                format!(", and {more} more do not")
            };
            Verdict::held(format!("the quorum is reached without: {first}{rest}"))
        }
        Some(first) => Verdict::broken(first),
    }
}

/// A record, for people.
pub(super) fn name(record: &RecordEvidence) -> String {
    format!("the record {} of `{}`", record.sha256.short(), record.builder)
}
