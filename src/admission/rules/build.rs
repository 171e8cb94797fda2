//! B1 to B7: the set of outputs.

use std::collections::BTreeMap;

use crate::domain::{Architecture, FileName, PackageName, Sha256};
use crate::format::intoto::Outcome;

use super::super::candidate::Output;
use super::super::context::{Context, Set};
use super::super::facts::DebFacts;
use super::super::standing::Standing;
use super::Verdict;
use super::record;

const DEBUG: &str = "-dbgsym";

/// Broken by the first .deb with a problem.
fn each(
    context: &Context<'_>,
    evidence: &str,
    problem: impl Fn(&Set<'_>, &Output, &DebFacts) -> Option<String>,
) -> Verdict {
    let mut debs = context.debs();
    Verdict::unless(
        debs.find_map(|(set, output, facts)| problem(set, output, facts)),
        evidence,
    )
}

/// The set that was rebuilt.
pub(super) fn b1(context: &Context<'_>) -> Verdict {
    if context.sets.is_empty() {
        return Verdict::broken("no file is offered");
    }
    for set in &context.sets {
        if set.outputs.is_empty() {
            return Verdict::broken(format!("no file is offered for {}", set.set.architecture));
        }
        if context.counted(set).next().is_some() {
            continue;
        }
        let differing = context.records.iter().find_map(|judged| match &judged.standing {
            Standing::Differs(why) if judged.record.lock == set.set.lock && judged.record.outcome == Outcome::Built => {
                Some((judged.record, why))
            }
            _ => None,
        });
        return Verdict::broken(match differing {
            Some((rebuilt, why)) => {
                format!(
                    "{} differs: {}",
                    record::name(rebuilt),
                    record::explain(context, rebuilt, why)
                )
            }
            None => format!(
                "no record that counts says what the build for {} gives",
                set.set.architecture
            ),
        });
    }
    let files: usize = context.sets.iter().map(|set| set.outputs.len()).sum();
    Verdict::held(format!("{files} files, each as every rebuild gave it"))
}

/// The package list.
pub(super) fn b2(context: &Context<'_>) -> Verdict {
    each(context, "every package is declared", |set, output, facts| {
        let wanted_type = if output.name.as_str().ends_with(".udeb") {
            "udeb"
        } else {
            "deb"
        };
        let package = if debug(facts) {
            parent_name(facts)?
        } else {
            facts.package.clone()
        };
        let declared = context
            .candidate
            .declaration
            .packages
            .iter()
            .find(|p| p.name == package);
        let Some(declared) = declared else {
            return Some(format!("`{}`: the source declares no package `{package}`", output.name));
        };
        if declared.package_type != wanted_type {
            let kind = crate::domain::escape(&declared.package_type);
            return Some(format!(
                "`{}` is a {wanted_type}, but declared is a {kind}",
                output.name
            ));
        }
        if declared.built_for(&set.set.architecture).as_ref() == Some(&facts.architecture) {
            return None;
        }
        let (architecture, build) = (&facts.architecture, &set.set.architecture);
        Some(format!(
            "`{}`: the source declares no {architecture} package on {build}",
            output.name
        ))
    })
}

/// Whether a package is, or says it is, debug symbols.
fn debug(facts: &DebFacts) -> bool {
    facts.package.as_str().ends_with(DEBUG) || facts.auto_built.as_deref() == Some("debug-symbols")
}

fn parent_name(facts: &DebFacts) -> Option<PackageName> {
    facts
        .package
        .as_str()
        .strip_suffix(DEBUG)
        .and_then(|name| PackageName::new(name).ok())
}

/// Debug symbols.
pub(super) fn b3(context: &Context<'_>) -> Verdict {
    if !context.debs().any(|(_, _, facts)| debug(facts)) {
        return Verdict::not_applicable("there is no debug package");
    }
    each(
        context,
        "every debug package belongs to a package of its build",
        |set, output, facts| {
            if !debug(facts) {
                return None;
            }
            let refuse = |why: String| Some(format!("`{}`: {why}", output.name));
            let Some(parent) = parent_name(facts) else {
                return refuse("it says that it is debug symbols, but is not named so".to_owned());
            };
            if facts.auto_built.as_deref() != Some("debug-symbols") {
                return refuse("it has no `Auto-Built-Package: debug-symbols`".to_owned());
            }
            let same = |other: &&DebFacts| {
                (&other.package, &other.version, &other.architecture) == (&parent, &facts.version, &facts.architecture)
            };
            let mut others = set.outputs.iter().filter_map(|o| o.facts.facts());
            let Some(whose) = others.find(same) else {
                return refuse(format!(
                    "its build has no {parent} {} {}",
                    facts.version, facts.architecture
                ));
            };
            if let Some(id) = foreign_symbols(facts, whose) {
                return refuse(format!(
                    "it has symbols of `{}`, which no file of {parent} has",
                    crate::domain::escape(id)
                ));
            }
            stowaway(facts).and_then(refuse)
        },
    )
}

/// A build id of the debug package that no file of its parent has. Where the parent has files without a
/// build id that could be read, nothing can be said.
fn foreign_symbols<'a>(debug: &'a DebFacts, parent: &DebFacts) -> Option<&'a String> {
    let mut ids = debug.build_ids.iter();
    ids.find(|id| parent.elf_without_id == 0 && !parent.elf_build_ids.contains(*id))
}

/// A file in a debug package that is no debug symbols, or a build id without its symbols.
fn stowaway(facts: &DebFacts) -> Option<String> {
    let own = format!("usr/share/doc/{}", facts.package);
    let plain = |path: &str| path.starts_with("usr/lib/debug/") || path == own;
    if let Some(path) = facts.files.keys().find(|path| !plain(path)) {
        return Some(format!(
            "it holds `{}`, which is no debug symbols",
            crate::domain::escape(path)
        ));
    }
    let missing = facts.build_ids.iter().find(|id| {
        let path = id
            .split_at_checked(2)
            .map(|(a, b)| format!("usr/lib/debug/.build-id/{a}/{b}.debug"));
        !path.is_some_and(|path| facts.files.contains_key(&path))
    });
    missing.map(|id| format!("it has no symbols for its build id `{}`", crate::domain::escape(id)))
}

/// The source that packages name.
pub(super) fn b4(context: &Context<'_>) -> Verdict {
    let declared = &context.candidate.declaration;
    let (source, version) = (&declared.source, &declared.version);
    each(
        context,
        "every package names the declared source",
        |_, output, facts| {
            let same = (&facts.source, &facts.source_version) == (source, version);
            let (found, at) = (&facts.source, &facts.source_version);
            (!same).then(|| {
                format!(
                    "`{}` says it is built from {found} {at}, not {source} {version}",
                    output.name
                )
            })
        },
    )
}

/// Binary-only rebuilds.
pub(super) fn b5(context: &Context<'_>) -> Verdict {
    each(context, "no package is a binary-only rebuild", |_, output, facts| {
        let binary_only = |text: &str| {
            let digits = text.rsplit_once("+b").map(|(_, digits)| digits);
            digits.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
        };
        let rebuilt = binary_only(facts.version.as_str()) && !binary_only(facts.source_version.as_str());
        rebuilt.then(|| format!("`{}` is a binary-only rebuild, which was not declared", output.name))
    })
}

/// Separate environments.
pub(super) fn b6(context: &Context<'_>) -> Verdict {
    let mut locks = BTreeMap::new();
    let mut files: BTreeMap<_, Sha256> = BTreeMap::new();
    for set in &context.sets {
        if locks.insert(set.set.lock, ()).is_some() {
            return Verdict::broken(format!("two sets claim the environment {}", set.set.lock.short()));
        }
        for output in &set.outputs {
            if files
                .insert(&output.name, output.digest.sha256)
                .is_some_and(|sha| sha != output.digest.sha256)
            {
                return Verdict::broken(format!("`{}` is offered with two contents", output.name));
            }
        }
    }
    if let Some(problem) = mixed(context) {
        return Verdict::Broken(problem);
    }
    let architectures: Vec<&str> = context.sets.iter().map(|set| set.set.architecture.as_str()).collect();
    Verdict::held(format!("one set each for {}", architectures.join(", ")))
}

/// Packages for all architectures: from the builds that the policy names, and from each build all or none.
fn mixed(context: &Context<'_>) -> Option<String> {
    let all = |set: &Set<'_>| -> BTreeMap<PackageName, FileName> {
        let facts = set
            .outputs
            .iter()
            .filter_map(|output| Some((output, output.facts.facts()?)));
        let all = facts.filter(|(_, facts)| facts.architecture.is_all());
        all.map(|(output, facts)| (facts.package.clone(), output.name.clone()))
            .collect()
    };
    let sets: Vec<_> = context
        .sets
        .iter()
        .map(|set| (&set.set.architecture, all(set)))
        .collect();
    let giving: Vec<_> = sets.iter().filter(|(_, packages)| !packages.is_empty()).collect();
    if let Some(((a, first), (b, other))) = giving
        .first()
        .and_then(|first| Some((first, giving.iter().find(|(_, packages)| *packages != first.1)?)))
    {
        let differs = |name: &&PackageName| first.get(*name) != other.get(*name);
        let name = first.keys().chain(other.keys()).find(differs)?;
        return Some(format!("{name} is given by one of the builds for {a} and {b} only"));
    }
    let wanted = context.policy.all_built_on.as_ref()?;
    let (found, packages) = giving.first()?;
    let name = packages.keys().next()?;
    let missing = !giving.iter().any(|(architecture, _)| *architecture == wanted);
    missing.then(|| format!("{name} was built on {found}, and the policy wants packages for all built on {wanted}"))
}

/// Names.
pub(super) fn b7(context: &Context<'_>) -> Verdict {
    let verdict = each(context, "file names and control fields agree", |set, output, facts| {
        named(set, output, facts)
    });
    match (verdict, siblings(context)) {
        (Verdict::Held(_), Some(problem)) => Verdict::Broken(problem),
        (verdict, _) => verdict,
    }
}

fn named(set: &Set<'_>, output: &Output, facts: &DebFacts) -> Option<String> {
    let build: &Architecture = &set.set.architecture;
    let ending = if output.name.as_str().ends_with(".udeb") {
        "udeb"
    } else {
        "deb"
    };
    let (package, version) = (&facts.package, facts.version.without_epoch());
    let expected = format!("{package}_{version}_{}.{ending}", facts.architecture);
    if output.name.as_str() != expected {
        return Some(format!("`{}` should be named `{expected}`", output.name));
    }
    if facts.architecture != *build && !facts.architecture.is_all() {
        return Some(format!("`{}` is not for {build}, which built it", output.name));
    }
    let all_and_same = facts.architecture.is_all() && facts.multi_arch.as_deref() == Some("same");
    all_and_same.then(|| {
        format!(
            "`{}` is `Multi-Arch: same` and for all architectures, which dpkg refuses",
            output.name
        )
    })
}

/// `Multi-Arch: same` packages are installed side by side: the files that they share must be the same.
fn siblings(context: &Context<'_>) -> Option<String> {
    let mut seen: BTreeMap<(&PackageName, &str), (&Architecture, Sha256)> = BTreeMap::new();
    for (_, _, facts) in context
        .debs()
        .filter(|(_, _, facts)| facts.multi_arch.as_deref() == Some("same"))
    {
        for (path, sha256) in &facts.files {
            let first = seen
                .entry((&facts.package, path))
                .or_insert((&facts.architecture, *sha256));
            if first.1 != *sha256 {
                let (package, path) = (&facts.package, crate::domain::escape(path));
                let (a, b) = (first.0, &facts.architecture);
                return Some(format!(
                    "`{path}` of {package} differs between {a} and {b}, which share it"
                ));
            }
        }
    }
    None
}
