//! A8: names and fields that are not a package's own to use.
//!
//! A package may take the place of a mirrored one of the same source, when it is newer without another
//! epoch. All else that reaches beyond the package itself must be listed in the policy, by name.
//!
//! Whose a name is, every mirror's newest snapshot says as well, which a lock need not name. What is newer is a
//! question to the snapshots of the locks alone: a release that is frozen goes on while its mirrors go on.

use std::cmp::Ordering;

use crate::domain::{PackageName, Version};
use crate::site::{ListedField, Shadowing};

use super::super::candidate::Output;
use super::super::context::Common;
use super::super::evidence::{Indexed, IndexedKind};
use super::super::facts::DebFacts;
use super::Verdict;

/// Names of others.
pub(super) fn a8(context: &Common<'_>) -> Verdict {
    let problem = context.whole.debs().find_map(|(output, facts)| {
        let taken = forced(context, output, facts).or_else(|| shadowed(context, output, facts));
        taken
            .or_else(|| named(context, output, facts, ListedField::Provides))
            .or_else(|| named(context, output, facts, ListedField::Replaces))
    });
    let problem = problem.or_else(|| source_name(context));
    let mut shadows: Vec<&str> = context
        .whole
        .debs()
        .filter(|(_, facts)| rows(context, IndexedKind::Binary, &facts.package).next().is_some())
        .map(|(_, facts)| facts.package.as_str())
        .collect();
    shadows.dedup();
    let mut evidence = if shadows.is_empty() {
        "no name of a mirrored archive is used".to_owned()
    } else {
        format!("replaces packages of the mirrored archives: {}", shadows.join(", "))
    };
    let listed: Vec<&str> = context
        .policy
        .allowed
        .iter()
        .filter(|allowed| allowed.source == *context.whole.source)
        .map(|allowed| allowed.reason.as_str())
        .collect();
    if !listed.is_empty() {
        evidence.push_str(&format!(
            "; the policy lists what else it may use ({})",
            crate::domain::escape(&listed.join("; "))
        ));
    }
    Verdict::unless(problem, evidence)
}

/// Whether the policy lists a field for a package; and the name, where the field names others.
fn listed(context: &Common<'_>, package: Option<&PackageName>, field: ListedField, name: Option<&PackageName>) -> bool {
    context.policy.allowed.iter().any(|allowed| {
        allowed.source == *context.whole.source
            && (allowed.package.is_none() || allowed.package.as_ref() == package)
            && allowed.fields.contains(&field)
            && name.is_none_or(|name| allowed.names.contains(name))
    })
}

fn forced(context: &Common<'_>, output: &Output, facts: &DebFacts) -> Option<String> {
    let fields = [
        (facts.essential, ListedField::Essential, "Essential"),
        (facts.protected, ListedField::Protected, "Protected"),
        (facts.important, ListedField::Important, "Important"),
    ];
    let unlisted =
        |(set, field, _): &&(bool, ListedField, &str)| *set && !listed(context, Some(&facts.package), *field, None);
    let (_, _, field) = fields.iter().find(unlisted)?;
    Some(format!(
        "`{}` is {field}, and so could not be removed again; the policy may list it under [[allow]]",
        output.name
    ))
}

fn rows<'c>(context: &'c Common<'_>, kind: IndexedKind, name: &'c PackageName) -> impl Iterator<Item = &'c Indexed> {
    context
        .indexed
        .iter()
        .filter(move |row| row.mirrored && row.kind == kind && row.package == *name)
}

/// Whether an index lists one of the very files that an upstream signed: that stands in nobody's place.
fn is_own(context: &Common<'_>, row: &Indexed) -> bool {
    let whole = &context.whole;
    let mut files = whole.source_files.iter().map(|file| file.digest.sha256);
    let mut packages = whole.outputs.iter().map(|output| output.digest.sha256);
    context.as_signed && (files.any(|sha256| sha256 == row.sha256) || packages.any(|sha256| sha256 == row.sha256))
}

fn shadowed(context: &Common<'_>, output: &Output, facts: &DebFacts) -> Option<String> {
    let name = &facts.package;
    if listed(context, Some(name), ListedField::Package, None) {
        return None;
    }
    let mut found: Vec<String> = rows(context, IndexedKind::Binary, name)
        .filter(|row| !is_own(context, row))
        .filter_map(|row| {
            let (archive, source) = (&row.archive, &row.source);
            if row.source != facts.source {
                return Some(format!("{name} is a package of `{archive}`, from the source {source}"));
            }
            if context.policy.shadowing == Shadowing::Listed {
                return Some(format!(
                    "{name} is a package of `{archive}`, and the policy does not list it"
                ));
            }
            if row.newest {
                return None;
            }
            not_above(context, Some(name), row, &facts.version)
        })
        .collect();
    found.sort();
    found.into_iter().next().map(|why| format!("`{}`: {why}", output.name))
}

fn source_name(context: &Common<'_>) -> Option<String> {
    let whole = &context.whole;
    // An import without a .dsc is refused by I5, or for want of a signature.
    let nothing = context.as_signed && context.whole.source_files.is_empty();
    if nothing || listed(context, None, ListedField::Package, None) {
        return None;
    }
    let mut problems = rows(context, IndexedKind::Source, whole.source)
        .filter(|row| !row.newest && !is_own(context, row))
        .filter_map(|row| not_above(context, None, row, whole.version));
    problems.next().map(|why| format!("the source package {why}"))
}

fn not_above(context: &Common<'_>, package: Option<&PackageName>, row: &Indexed, version: &Version) -> Option<String> {
    let (name, archive, theirs) = (&row.package, &row.archive, &row.version);
    if version.dpkg_cmp(theirs) != Ordering::Greater {
        return Some(format!("{name} {version} is not newer than {theirs} in `{archive}`"));
    }
    let inflated = epoch(version) != epoch(theirs) && !listed(context, package, ListedField::Epoch, None);
    inflated.then(|| format!("{name} {version} has another epoch than {theirs} in `{archive}`"))
}

fn epoch(version: &Version) -> &str {
    let epoch = version.as_str().split_once(':').map_or("0", |(epoch, _)| epoch);
    let plain = epoch.trim_start_matches('0');
    if plain.is_empty() { "0" } else { plain }
}

/// Providing the name of a real package of another source stands in for it just as well, and replacing
/// it takes its files. What the mirrors' own version of the package does is nothing new.
fn named(context: &Common<'_>, output: &Output, facts: &DebFacts, field: ListedField) -> Option<String> {
    let (names, does) = match field {
        ListedField::Provides => (&facts.provides, "provides"),
        _ => (&facts.replaces, "replaces"),
    };
    let mut names: Vec<&PackageName> = names.iter().collect();
    names.sort();
    names.into_iter().find_map(|name| {
        let row = rows(context, IndexedKind::Binary, name).find(|row| row.source != facts.source)?;
        let as_before = rows(context, IndexedKind::Binary, &facts.package)
            .any(|row| row.source == facts.source && row.takes.contains(name));
        let may = as_before || listed(context, Some(&facts.package), field, Some(name));
        (!may).then(|| {
            format!(
                "`{}` {does} {name}, which is a package of `{}`",
                output.name, row.archive
            )
        })
    })
}
