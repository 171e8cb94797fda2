//! Which indexes apt looks for, and which of them it fetches (`pkgAcqMetaClearSig::QueueIndexes`).

use std::collections::BTreeSet;

use super::finding::{Findings, Outcome};
use super::judge::Question;
use super::release::Release;

/// What apt calls the compressions, in the order in which it prefers them.
pub(super) const COMPRESSIONS: [&str; 7] = [".xz", ".bz2", ".lzma", ".gz", ".lz4", ".zst", ""];
/// What an empty file takes at most, compressed, in bytes.
const EMPTY: u64 = 64;

/// What an index holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    Packages,
    Sources,
    Translation,
}

/// One index that apt looks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) holds: Holds,
    /// Its name without compression, below the suite.
    pub(super) key: String,
    pub(super) component: Option<String>,
    pub(super) architecture: Option<String>,
}

/// The indexes of a suite that apt fetches. Those that it does not, and why, are findings.
pub(super) fn fetched(
    question: &Question<'_>,
    findings: &mut Findings,
    at: &str,
    release: &Release<'_>,
) -> Vec<Target> {
    let mut wanted = targets(question, release);
    let listed = |target: &Target| release.entries.contains_key(&target.key);
    let seen: BTreeSet<String> = wanted
        .iter()
        .filter(|t| listed(t))
        .filter_map(|t| t.component.clone())
        .collect();
    wanted.retain(|target| is_fetched(findings, at, release, &seen, target));
    wanted
}

fn is_fetched(
    findings: &mut Findings,
    at: &str,
    release: &Release<'_>,
    seen: &BTreeSet<String>,
    target: &Target,
) -> bool {
    let key = target.key.as_str();
    if target.architecture.as_deref() == Some("all") && !release.supports_all("Packages") {
        return false;
    }
    let Some(entry) = release.entries.get(key) else {
        absent(findings, at, release, seen, target);
        return false;
    };
    if !entry.is_usable() {
        findings.add(
            Outcome::Warn,
            "L-WEAK-HASH",
            at,
            format!("it lists no SHA-256 of `{key}`"),
        );
        findings.saying("provides only weak security information for it");
        return false;
    }
    if entry.size == 0 {
        let holds_something = COMPRESSIONS
            .iter()
            .filter_map(|compression| release.entries.get(&format!("{key}{compression}")))
            .any(|entry| entry.size > EMPTY);
        if holds_something {
            let why = format!("it says that `{key}` is empty, and what is listed compressed is not");
            findings.add(Outcome::Ignore, "L-EMPTY", at, why);
        }
        return false;
    }
    true
}

/// What apt says of an index that the Release does not list.
fn absent(findings: &mut Findings, at: &str, release: &Release<'_>, seen: &BTreeSet<String>, target: &Target) {
    let key = target.key.as_str();
    if let Some(component) = &target.component
        && !seen.contains(component)
        && !release.has_component(component)
    {
        findings.add(
            Outcome::Warn,
            "L-COMPONENT",
            at,
            format!("it has no component `{component}`"),
        );
        return findings.saying(format!("doesn't have the component '{component}'"));
    }
    if target.holds == Holds::Translation {
        return;
    }
    if let Some(architecture) = &target.architecture {
        if !release.supports(architecture) {
            findings.add(
                Outcome::Warn,
                "L-ARCHITECTURE",
                at,
                format!("it has no architecture `{architecture}`"),
            );
            return findings.saying(format!("doesn't support architecture '{architecture}'"));
        }
        if !release.architectures.is_empty() {
            let compressed = |compression: &&str| release.entries.contains_key(&format!("{key}{compression}"));
            if let Some(compression) = COMPRESSIONS.iter().find(|c| compressed(c)) {
                let why = format!("it lists `{key}{compression}` and not `{key}`: what is in it is not seen");
                findings.add(Outcome::Ignore, "L-UNCOMPRESSED", at, why);
            } else if architecture != "all" {
                let why = format!("it names the architecture `{architecture}`, and does not list `{key}`");
                findings.add(Outcome::Ignore, "L-NO-INDEX", at, why);
            }
            return;
        }
        // An index for all architectures is optional.
        if architecture == "all" {
            return;
        }
    }
    findings.add(Outcome::Warn, "L-NO-INDEX", at, format!("it does not list `{key}`"));
    findings.saying("does not seem to provide it");
}

fn targets(question: &Question<'_>, release: &Release<'_>) -> Vec<Target> {
    let flat = question.is_flat();
    let components: Vec<String> = if flat {
        Vec::new()
    } else if question.components.is_empty() {
        let last = |component: &str| component.rsplit('/').next().unwrap_or(component).to_owned();
        release.components().map(last).collect()
    } else {
        question.components.clone()
    };
    let mut targets = Vec::new();
    let target = |holds, key: &str, component: Option<&String>, architecture: Option<&str>| Target {
        holds,
        key: key.to_owned(),
        component: component.cloned(),
        architecture: architecture.map(str::to_owned),
    };
    if flat {
        targets.push(target(Holds::Packages, "Packages", None, None));
        if question.sources.unwrap_or_else(|| is_listed(release, "Sources")) {
            targets.push(target(Holds::Sources, "Sources", None, None));
        }
    }
    for component in &components {
        for architecture in architectures(question, release) {
            let key = format!("{component}/binary-{architecture}/Packages");
            targets.push(target(Holds::Packages, &key, Some(component), Some(&architecture)));
        }
        for language in &question.languages {
            let key = format!("{component}/i18n/Translation-{language}");
            targets.push(target(Holds::Translation, &key, Some(component), None));
        }
        let key = format!("{component}/source/Sources");
        if question.sources.unwrap_or_else(|| is_listed(release, &key)) {
            targets.push(target(Holds::Sources, &key, Some(component), None));
        }
    }
    targets
}

fn is_listed(release: &Release<'_>, key: &str) -> bool {
    COMPRESSIONS
        .iter()
        .any(|compression| release.entries.contains_key(&format!("{key}{compression}")))
}

/// Those that a client asks for, and `all`.
fn architectures(question: &Question<'_>, release: &Release<'_>) -> Vec<String> {
    let mut architectures: Vec<String> = if !question.architectures.is_empty() {
        question.architectures.clone()
    } else if release.architectures.is_empty() {
        let folders = release.entries.keys().filter_map(|key| key.split('/').rev().nth(1));
        let named = folders.filter_map(|folder| folder.strip_prefix("binary-"));
        named.map(str::to_owned).collect::<BTreeSet<_>>().into_iter().collect()
    } else {
        release.architectures.iter().map(|name| (*name).to_owned()).collect()
    };
    architectures.retain(|architecture| !matches!(architecture.as_str(), "all" | "source"));
    architectures.push("all".to_owned());
    architectures
}
