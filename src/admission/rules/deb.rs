//! D1 to D4: the .debs themselves. The strict reader refused what it could not read in one way only.

use std::collections::BTreeSet;

use crate::domain::escape;
use crate::index::INDEX_FIELDS;

use super::super::candidate::{Inspected, Output};
use super::super::context::Common;
use super::super::evidence::Before;
use super::super::facts::DebFacts;
use super::Verdict;

/// Well-formed.
pub(super) fn d1(context: &Common<'_>) -> Verdict {
    let malformed = refused(context, |facts| match facts {
        Inspected::Malformed(why) => Some(why),
        _ => None,
    });
    let taken = &context.policy.compressions;
    let other = context.whole.debs().find_map(|(output, facts)| {
        let other = facts
            .compressions
            .iter()
            .find(|found| !taken.is_empty() && !taken.contains(found))?;
        let word = format!("{other:?}").to_lowercase();
        Some(format!(
            "`{}` is compressed by {word}, which the policy does not take",
            output.name
        ))
    });
    match (malformed, other) {
        (Verdict::Held(_), Some(problem)) => Verdict::Broken(problem),
        (verdict, _) => verdict,
    }
}

/// Within limits.
pub(super) fn d3(context: &Common<'_>) -> Verdict {
    refused(context, |facts| match facts {
        Inspected::TooLarge(why) => Some(why),
        _ => None,
    })
}

fn refused(context: &Common<'_>, why: impl Fn(&Inspected) -> Option<&String>) -> Verdict {
    let mut outputs = context.whole.outputs.iter();
    let problem = outputs.find_map(|output| {
        let why = why(&output.facts)?;
        Some(format!("`{}`: {}", output.name, escape(why)))
    });
    Verdict::unless(problem, "every file was read by the strict reader")
}

/// Rights.
pub(super) fn d2(context: &Common<'_>) -> Verdict {
    let problem = context.whole.debs().find_map(|(output, facts)| {
        let path = facts.setuid.iter().min()?;
        Some(format!(
            "`{}` has the set-user-id or set-group-id file `{}`",
            output.name,
            escape(path)
        ))
    });
    let mut listed: Vec<String> = context
        .whole
        .debs()
        .filter_map(|(output, facts)| root(context, output, facts))
        .collect();
    listed.dedup();
    let evidence = if listed.is_empty() {
        "no such files, and no maintainer scripts".to_owned()
    } else {
        format!("what runs as root: {}", listed.join("; "))
    };
    Verdict::unless(problem, evidence)
}

/// What of a package runs as root, and how that differs from the version that it takes the place of.
fn root(context: &Common<'_>, output: &Output, facts: &DebFacts) -> Option<String> {
    let same = |before: &&Before| (&before.package, &before.architecture) == (&facts.package, &facts.architecture);
    let before = context.before.iter().filter(same).max();
    let mut changes = Vec::new();
    if let Some(before) = before {
        for (name, sha256) in &facts.scripts {
            match before.scripts.get(name) {
                Some(old) if old == sha256 => {}
                Some(_) => changes.push(format!("{name} changed")),
                None => changes.push(format!("{name} is new")),
            }
        }
        let gone = before.scripts.keys().filter(|name| !facts.scripts.contains_key(*name));
        changes.extend(gone.map(|name| format!("{name} is gone")));
        let (old, new): (BTreeSet<_>, BTreeSet<_>) = (before.setuid.iter().collect(), facts.setuid.iter().collect());
        changes.extend(
            new.difference(&old)
                .map(|path| format!("{} is new with set-id", escape(path))),
        );
        changes.extend(
            old.difference(&new)
                .map(|path| format!("{} has no set-id any more", escape(path))),
        );
    }
    if facts.scripts.is_empty() && facts.setuid.is_empty() && changes.is_empty() {
        return None;
    }
    let mut has: Vec<String> = facts.scripts.keys().cloned().collect();
    has.extend(facts.setuid.iter().map(|path| format!("set-id {}", escape(path))));
    let since = match before {
        None => String::new(),
        Some(before) if changes.is_empty() => format!(", as in {}", before.version),
        Some(before) => format!(", against {}: {}", before.version, changes.join(", ")),
    };
    Some(format!("{} ({}{since})", output.name, has.join(", ")))
}

/// Control fields.
pub(super) fn d4(context: &Common<'_>) -> Verdict {
    let problem = context.whole.debs().find_map(|(output, facts)| {
        let mut found: Vec<&String> = facts.fields.iter().collect();
        found.sort();
        let foreign = |field: &&&String| INDEX_FIELDS.iter().any(|no| no.eq_ignore_ascii_case(field));
        let field = found.iter().find(foreign)?;
        Some(format!(
            "`{}` has the field `{}`, which only an archive writes",
            output.name,
            escape(field)
        ))
    });
    Verdict::unless(problem, "no field is one that an archive writes")
}
