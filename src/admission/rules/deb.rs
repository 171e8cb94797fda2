//! D1 to D4: the .debs themselves. The strict reader refused what it could not read in one way only.

use crate::domain::escape;
use crate::index::INDEX_FIELDS;

use super::super::candidate::Inspected;
use super::super::context::Context;
use super::Verdict;

/// Well-formed.
pub(super) fn d1(context: &Context<'_>) -> Verdict {
    refused(context, |facts| match facts {
        Inspected::Malformed(why) => Some(why),
        _ => None,
    })
}

/// Within limits.
pub(super) fn d3(context: &Context<'_>) -> Verdict {
    refused(context, |facts| match facts {
        Inspected::TooLarge(why) => Some(why),
        _ => None,
    })
}

fn refused(context: &Context<'_>, why: impl Fn(&Inspected) -> Option<&String>) -> Verdict {
    let mut outputs = context.sets.iter().flat_map(|set| &set.outputs);
    let problem = outputs.find_map(|output| {
        let why = why(&output.facts)?;
        Some(format!("`{}`: {}", output.name, escape(why)))
    });
    Verdict::unless(problem, "every file was read by the strict reader")
}

/// Rights.
pub(super) fn d2(context: &Context<'_>) -> Verdict {
    let problem = context.debs().find_map(|(_, output, facts)| {
        let path = facts.setuid.iter().min()?;
        Some(format!(
            "`{}` has the set-user-id or set-group-id file `{}`",
            output.name,
            escape(path)
        ))
    });
    let scripts = context.debs().filter(|(_, _, facts)| !facts.scripts.is_empty());
    let listed: Vec<String> = scripts
        .map(|(_, output, facts)| {
            let names: Vec<&str> = facts.scripts.keys().map(String::as_str).collect();
            format!("{} ({})", output.name, names.join(", "))
        })
        .collect();
    let evidence = if listed.is_empty() {
        "no such files, and no maintainer scripts".to_owned()
    } else {
        format!("no such files; maintainer scripts: {}", listed.join("; "))
    };
    Verdict::unless(problem, evidence)
}

/// Control fields.
pub(super) fn d4(context: &Context<'_>) -> Verdict {
    let problem = context.debs().find_map(|(_, output, facts)| {
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
