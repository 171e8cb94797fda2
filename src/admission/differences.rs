//! A decision that is made again, beside the one that is kept: what differs, and what of that is because the rules are
//! others today.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use crate::domain::{Fingerprint, PoolPath, Sha256};
use crate::format::intoto::{RuleResult, Statement, Summary};

use super::Decision;
use super::rules::{RULE_SET, changed_since};

/// The rules of decisions that do not say under which they were made.
const FIRST: u32 = 1;

/// How a decision comes out again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Compared {
    /// Where it differs, each in one sentence; nowhere, as a rule.
    pub differences: Vec<String>,
    /// What today's rules judge otherwise, when it was made under others.
    pub other_rules: Option<OtherRules>,
}

/// What the rules of this program judge otherwise than those that a decision was made under.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct OtherRules {
    /// The version of the rules that it was made under.
    pub made_under: u32,
    /// The version that this program has.
    pub known: u32,
    /// The rules that come out otherwise, and what they would say.
    pub differ: BTreeMap<String, String>,
}

impl fmt::Display for OtherRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (under, known) = (self.made_under, self.known);
        write!(
            f,
            "decided under rules {under}, this build has {known}: differs in rules"
        )?;
        for (number, (id, says)) in self.differ.iter().enumerate() {
            let between = if number == 0 { "" } else { ";" };
            write!(f, "{between} {id} ({says})")?;
        }
        Ok(())
    }
}

/// Compares a decision that was made again with the one that is kept.
///
/// One that was made under other rules is not false because today's judge otherwise: what differs in rules that changed
/// since is told apart. Of rules that are newer than this program nothing is known, so any of them may have changed.
#[must_use]
pub fn compare(stored: &Statement<Summary>, again: &Decision) -> Compared {
    let kept = &stored.predicate;
    let made_under = kept.assay_rule_set.unwrap_or(FIRST);
    if is_same(stored, again) {
        return Compared::default();
    }
    let changed = |id: &str| match changed_since(made_under) {
        Some(changed) => changed.contains(id),
        None => true,
    };
    let (mut found, mut differ) = (Vec::new(), BTreeMap::new());
    let old_rules: BTreeMap<&str, &RuleResult> = kept.assay_rules.iter().map(|rule| (rule.id.as_str(), rule)).collect();
    let new_rules: BTreeMap<&str, &RuleResult> = again.rules.iter().map(|rule| (rule.id.as_str(), rule)).collect();
    let same_rules = old_rules.keys().eq(new_rules.keys()) && made_under == RULE_SET;
    for id in old_rules.keys().chain(new_rules.keys()).collect::<BTreeSet<_>>() {
        let (old, new) = (old_rules.get(id), new_rules.get(id));
        let passed = |rule: Option<&&RuleResult>| rule.is_none_or(|rule| rule.passed);
        if changed(id) && passed(old) != passed(new) {
            let says = new.map_or("it is none any more", |new| new.evidence.as_str());
            differ.insert((*id).to_owned(), says.to_owned());
        } else if let (Some(old), Some(new)) = (old, new) {
            found.extend(rule_difference(old, new, same_rules));
        }
    }
    let verdict = |admitted: bool| if admitted { "admitted" } else { "refused" };
    let (before, now) = (kept.admits(), again.admitted);
    if before != now && differ.is_empty() {
        found.insert(0, format!("it was {}, and would be {}", verdict(before), verdict(now)));
    }
    found.extend(other_parts(kept, again, &changed));
    if found.is_empty() && same_rules {
        found.push("its text is another".to_owned());
    }
    let other_rules = (!differ.is_empty()).then_some(OtherRules {
        made_under,
        known: RULE_SET,
        differ,
    });
    Compared {
        differences: found,
        other_rules,
    }
}

/// To the byte, but for who made it.
fn is_same(stored: &Statement<Summary>, again: &Decision) -> bool {
    let kept = &stored.predicate;
    let program = kept.verifier.version.get("assay").map_or("", String::as_str);
    let Ok(gate) = Fingerprint::new(kept.verifier.id.as_str()) else {
        return false;
    };
    let mut made = again.summary(&gate, program);
    made.predicate.assay_rule_set = kept.assay_rule_set;
    made == *stored
}

/// What it names, and what it is for.
fn other_parts(kept: &Summary, again: &Decision, changed: &dyn Fn(&str) -> bool) -> Vec<String> {
    let inputs: Vec<_> = again.inputs.iter().map(|(_, sha256)| Some(sha256.hex())).collect();
    let named: Vec<_> = kept
        .input_attestations
        .iter()
        .map(|input| input.digest.get("sha256").cloned())
        .collect();
    let levels = |levels: &[String]| {
        let leans_on_changed = |level: &&String| level.strip_prefix("ASSAY_RELAXED_").is_some_and(changed);
        let kept = levels.iter().filter(|level| !leans_on_changed(level));
        kept.cloned().collect::<Vec<_>>()
    };
    let parts = [
        ("inputs", named == inputs),
        ("files", kept.assay_binding.files == again_files(again)),
        (
            "policy",
            kept.policy.digest.get("sha256") == again.policy_sha256.map(|sha| sha.hex()).as_ref(),
        ),
        (
            "levels",
            levels(&kept.verified_levels) == levels(&again.levels) || kept.admits() != again.admitted,
        ),
        ("origin of an import", kept.assay_import == again.import),
        (
            "suites",
            kept.assay_binding.suites == again.suites.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ),
    ];
    let other = parts.iter().filter(|(_, same)| !same);
    other.map(|(what, _)| format!("it would name other {what}")).collect()
}

fn rule_difference(old: &RuleResult, new: &RuleResult, worded: bool) -> Option<String> {
    let said = |rule: &RuleResult| if rule.passed { "held" } else { "was broken" };
    if old.passed != new.passed {
        return Some(format!(
            "rule {} {}, and would not be so: {}",
            old.id,
            said(old),
            new.evidence
        ));
    }
    (worded && old.evidence != new.evidence).then(|| {
        format!(
            "rule {} said `{}`, and would say `{}`",
            old.id, old.evidence, new.evidence
        )
    })
}

fn again_files(again: &Decision) -> BTreeMap<String, String> {
    let file = |(path, sha256): (&PoolPath, &Sha256)| (path.as_str().to_owned(), sha256.hex());
    again.files.iter().map(file).collect()
}
