//! A2, A7, A10, A11: the archive and the decision itself.

use std::collections::BTreeMap;

use crate::domain::{Sha256, escape};
use crate::site::Relaxation;

use super::super::candidate::Moved;
use super::super::context::{Common, Context};
use super::super::whole::{Whole, file_set};
use super::{RULES, Rule, Seen, Verdict};

/// Whole sets.
pub(super) fn a2(context: &Context<'_>) -> Verdict {
    if context.sets.is_empty() || context.sets.iter().any(|set| set.outputs.is_empty()) {
        return Verdict::broken("a set of outputs is empty");
    }
    let has_dsc = context
        .candidate
        .source_files
        .iter()
        .any(|file| file.name.as_str().ends_with(".dsc"));
    if !has_dsc {
        return Verdict::broken("the source package is not among the files");
    }
    match file_set(context.candidate) {
        Ok(files) => Verdict::held(format!("{} files are decided together", files.len())),
        Err(why) => Verdict::Broken(why),
    }
}

/// The policy's identity.
pub(super) fn a10(context: &Common<'_>) -> Verdict {
    let (named, found) = (context.whole.policy_sha256, context.policy_sha256);
    let name = context.whole.policy;
    let problem =
        (found != Some(named)).then(|| format!("the policy `{name}` is not the one with the SHA-256 {named}"));
    Verdict::unless(problem, format!("`{name}`, {named}"))
}

/// Where to.
pub(super) fn a11(context: &Context<'_>) -> Verdict {
    let (candidate, declared) = (context.candidate, &context.candidate.declaration);
    if candidate.suites.is_empty() {
        return Verdict::broken("no suite is named");
    }
    let mut suites: Vec<&str> = candidate.suites.iter().map(|s| s.as_str()).collect();
    suites.sort_unstable();
    let place = format!("{}, component {}", suites.join(", "), declared.component);
    match moved_here(&context.common.whole, &context.evidence.admitted, &place) {
        Some(verdict) => verdict,
        // A declaration without suites is for that of the branch that has it.
        _ if declared.suites.is_empty() => Verdict::held(format!("{place}, as the suite of the branch")),
        _ => {
            let foreign = suites
                .iter()
                .find(|s| !declared.suites.iter().any(|d| d.as_str() == **s));
            let problem = foreign.map(|suite| format!("the declaration is not for the suite `{suite}`"));
            Verdict::unless(problem, place)
        }
    }
}

/// What another suite has may come here whole, by the decision that let it in there. None when nothing is moved.
pub(super) fn moved_here(whole: &Whole<'_>, admitted: &BTreeMap<Sha256, Sha256>, place: &str) -> Option<Verdict> {
    let Moved { from, decision } = whole.terms.moved.as_ref()?;
    let by_it = |sha256: &Sha256| admitted.get(sha256) == Some(decision);
    let files = file_set(whole.clone()).unwrap_or_default();
    let problem = files.iter().find(|(_, sha256)| !by_it(sha256)).map(|(path, _)| {
        let name = path.file_name();
        format!(
            "`{name}` was not let into the suite `{from}` by the decision {}",
            decision.short()
        )
    });
    Some(Verdict::unless(
        problem,
        format!("{place}; from `{from}`, decision {}", decision.short()),
    ))
}

/// Tombstones.
pub(super) fn a12(context: &Common<'_>) -> Verdict {
    let (suites, source) = (context.whole.suites, context.whole.source);
    let removed = context.removed.iter();
    let mut ours: Vec<_> = removed
        .filter(|(suite, removed)| suites.contains(suite) && removed.source == *source)
        .collect();
    ours.sort();
    let problem = ours.first().map(|(suite, removed)| {
        let (version, at, reason) = (&removed.version, removed.at, escape(&removed.reason));
        format!("{source} {version} was removed from `{suite}` at {at}: {reason}")
    });
    Verdict::unless(problem, "it was never removed on purpose")
}

/// Exceptions.
pub(super) fn a7(context: &Context<'_>) -> Verdict {
    exceptions(RULES, Seen::Rebuilt(context))
}

/// The same for the rules of any kind of decision.
pub(super) fn exceptions(rules: &[Rule], seen: Seen<'_, '_>) -> Verdict {
    let context = seen.common();
    let exceptions = context.policy.exceptions.iter();
    let mut ours: Vec<&Relaxation> = exceptions.filter(|exception| context.concerns(exception)).collect();
    ours.sort_by(|a, b| (&a.rule, a.expires, &a.owner, &a.reason).cmp(&(&b.rule, b.expires, &b.owner, &b.reason)));
    if ours.is_empty() {
        return Verdict::not_applicable("there are no exceptions for this source");
    }
    let pointless = ours
        .iter()
        .find(|e| !rules.iter().any(|rule| rule.excusable && rule.id == e.rule));
    if let Some(exception) = pointless {
        return Verdict::broken(format!(
            "the rule `{}` is none that allows exceptions",
            escape(&exception.rule)
        ));
    }
    for exception in &ours {
        if context.relaxed(&exception.rule) {
            continue;
        }
        let needed = rules
            .iter()
            .find(|rule| rule.id == exception.rule)
            .is_some_and(|rule| rule.id != "A7" && matches!(rule.verdict(seen), Verdict::Broken(_)));
        if needed {
            let (owner, end) = (escape(&exception.owner), exception.expires);
            return Verdict::broken(format!(
                "the exception of {owner} to rule {} ended at {end}",
                exception.rule
            ));
        }
    }
    let listed: Vec<String> = ours
        .iter()
        .map(|e| {
            format!(
                "{} until {} ({}: {})",
                e.rule,
                e.expires,
                escape(&e.owner),
                escape(&e.reason)
            )
        })
        .collect();
    Verdict::held(format!("exceptions: {}", listed.join("; ")))
}
