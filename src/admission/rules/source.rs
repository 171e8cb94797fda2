//! S1 to S9: the source. What only the reader of Git can see, it refused by the same ids.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::{FileName, Sha256, Timestamp};
use crate::site::SignerKey;
use crate::source::{Declaration, Orig, SourceFile};

use super::super::context::Context;
use super::super::evidence::{SourceEvidence, TagSigner};
use super::Verdict;

/// The changelog may be this many seconds later than the tag: clocks and zones.
const SKEW: i64 = 86_400;
/// 1980-01-01, before which zip and others cannot write dates.
const FIRST: i64 = 315_532_800;

/// The evidence from Git, or why a rule breaks without it.
pub(super) fn derived<'a>(context: &Context<'a>, rule: &str) -> Result<&'a SourceEvidence, Verdict> {
    match (&context.evidence.source, &context.evidence.source_failure) {
        (Some(source), None) => Ok(source),
        (_, Some(failure)) => {
            let named = failure.rule.as_deref();
            let why = crate::domain::escape(&failure.why);
            if named.is_none_or(|named| named == rule) {
                Err(Verdict::broken(format!("the source was refused: {why}")))
            } else {
                let named = named.unwrap_or_default();
                Err(Verdict::not_applicable(format!(
                    "rule {named} refused the source before this could be judged"
                )))
            }
        }
        (None, None) => Err(Verdict::broken("the source was not derived again from Git")),
    }
}

fn with_source(context: &Context<'_>, rule: &str, check: impl Fn(&SourceEvidence) -> Verdict) -> Verdict {
    match derived(context, rule) {
        Ok(source) => check(source),
        Err(verdict) => verdict,
    }
}

/// Signers.
pub(super) fn s1(context: &Context<'_>) -> Verdict {
    with_source(context, "S1", |source| {
        let declared = &context.candidate.declaration.signers;
        let missing = declared
            .iter()
            .find(|wanted| !source.signers.iter().any(|s| s.fingerprint == wanted.fingerprint));
        if let Some(missing) = missing {
            return Verdict::broken(format!("the declared signer {} did not sign it", missing.fingerprint));
        }
        let (mut signed, mut refusals) = (BTreeMap::new(), BTreeSet::new());
        for signer in &source.signers {
            match allowed(context, signer) {
                Ok(key) => {
                    signed.insert(&signer.fingerprint, (key.name.as_str(), signer.made_at));
                }
                Err(why) => {
                    refusals.insert(why);
                }
            }
        }
        // A person with two keys is one person.
        let people: BTreeSet<&str> = signed.values().map(|(name, _)| *name).collect();
        let wanted = context.policy.signer_threshold.max(1) as usize;
        if people.len() < wanted {
            let unsigned = || "it is not signed".to_owned();
            let why = refusals.into_iter().next();
            return Verdict::broken(match people.len() {
                0 => why.unwrap_or_else(unsigned),
                few => format!("{few} of {wanted} people signed it who may"),
            });
        }
        let each = signed
            .iter()
            .map(|(key, (name, at))| format!("{} ({key}) at {at}", crate::domain::escape(name)));
        Verdict::held(format!("signed by {}", each.collect::<Vec<_>>().join(", ")))
    })
}

/// The policy's key that allows this signature, or why none does.
pub(super) fn allowed<'a>(context: &Context<'a>, signer: &TagSigner) -> Result<&'a SignerKey, String> {
    let name = &signer.fingerprint;
    let known = |key: &&SignerKey| key.fingerprint == *name && key.scheme == signer.scheme;
    let mut keys = context.policy.signers.iter().filter(known).peekable();
    if keys.peek().is_none() {
        return Err(format!("the policy does not know the signer {name}"));
    }
    let mut why = String::new();
    for key in keys {
        match counts(context, key, signer.made_at) {
            Ok(()) => return Ok(key),
            Err(refusal) => why = format!("the signer {name} {refusal}"),
        }
    }
    Err(why)
}

fn counts(context: &Context<'_>, key: &SignerKey, made_at: Timestamp) -> Result<(), String> {
    key.speaks(&context.candidate.declaration.source, context.now)?;
    if let Some(from) = key.valid_from
        && made_at < from
    {
        return Err(format!("signed at {made_at}, before it was valid ({from})"));
    }
    if let Some(until) = key.valid_until
        && made_at > until
    {
        return Err(format!("signed at {made_at}, after it was valid ({until})"));
    }
    Ok(())
}

/// Ids.
pub(super) fn s2(context: &Context<'_>) -> Verdict {
    with_source(context, "S2", |source| {
        let (declared, found) = (&context.candidate.declaration, &source.derived);
        let problem = differs("ref", &declared.reference, &found.reference)
            .or_else(|| differs("tag object", &tag_of(declared), &tag_of(found)))
            .or_else(|| differs("commit", &declared.git_commit, &found.git_commit))
            .or_else(|| differs("tree", &declared.git_tree, &found.git_tree));
        let (tag, commit) = (&declared.reference, &declared.git_commit);
        Verdict::unless(problem, format!("`{tag}` names the commit {commit}, as declared"))
    })
}

fn tag_of(declaration: &Declaration) -> &str {
    declaration.git_tag.as_ref().map_or("none", |tag| tag.as_str())
}

/// Identity.
pub(super) fn s3(context: &Context<'_>) -> Verdict {
    with_source(context, "S3", |source| {
        let (declared, found) = (context.candidate.declaration.tree_sha256, source.derived.tree_sha256);
        let evidence = format!("the tree's SHA-256 is {declared}, as declared");
        Verdict::unless(differs("tree-sha256", &declared, &found), evidence)
    })
}

/// Format.
pub(super) fn s4(context: &Context<'_>) -> Verdict {
    with_source(context, "S4", |source| {
        let declared = &context.candidate.declaration.source_format;
        let problem = differs("source format", declared, &source.derived.source_format).or_else(|| {
            let taken = context.policy.source_formats.contains(declared);
            (!taken).then(|| {
                format!(
                    "the policy does not take the source format `{}`",
                    crate::domain::escape(declared)
                )
            })
        });
        Verdict::unless(problem, format!("`{}` is taken", crate::domain::escape(declared)))
    })
}

/// Safe reading.
pub(super) fn s5(context: &Context<'_>) -> Verdict {
    with_source(context, "S5", |_| Verdict::held("derived again from Git objects alone"))
}

/// Paths.
pub(super) fn s6(context: &Context<'_>) -> Verdict {
    with_source(context, "S6", |_| {
        Verdict::held("every path of the tree was read and is plain")
    })
}

/// Upstream.
pub(super) fn s7(context: &Context<'_>) -> Verdict {
    with_source(context, "S7", |source| {
        let declared = &context.candidate.declaration;
        if native(declared) {
            let problem = declared
                .upstream
                .as_ref()
                .map(|_| "a native package declares an upstream tag".to_owned());
            return match problem {
                Some(problem) => Verdict::Broken(problem),
                None => Verdict::not_applicable("a native package has no upstream tarball"),
            };
        }
        if let Some(base) = &declared.base {
            let problem = (source.derived.base.as_ref() != Some(base)).then(|| "another base was found".to_owned());
            let place = format!(
                "{} {} of {}@{}",
                declared.source, base.version, base.archive, base.serial
            );
            return Verdict::unless(
                problem,
                format!("the tarballs are those of {place}, which its upstream signed"),
            );
        }
        if let Some(orig) = &declared.orig {
            return kept_tarball(orig, declared, source);
        }
        let Some(upstream) = &declared.upstream else {
            return Verdict::broken("no upstream tag is declared, so nothing says what the tarball should hold");
        };
        let problem = if source.derived.upstream.as_ref() == Some(upstream) {
            let orig = declared
                .files
                .iter()
                .any(|file| file.name.as_str().contains(".orig.tar."));
            (!orig).then(|| "there is no upstream tarball".to_owned())
        } else {
            Some(format!(
                "`{}` does not name the declared commit and tree",
                upstream.tag_ref
            ))
        };
        let evidence = format!(
            "the tarball is made of the tree {} of `{}`",
            upstream.git_tree, upstream.tag_ref
        );
        Verdict::unless(problem, evidence)
    })
}

/// A tarball that is kept: that it is not upstream's tree may be excepted, and shows.
fn kept_tarball(orig: &Orig, declared: &Declaration, source: &SourceEvidence) -> Verdict {
    let found = &source.derived;
    if found.orig.as_ref() != Some(orig) || found.upstream != declared.upstream {
        return Verdict::broken("the tarball, or upstream's tag, is another than the declared one");
    }
    let tag = declared
        .upstream
        .as_ref()
        .map_or("no tag", |upstream| upstream.tag_ref.as_str());
    let problem = orig.difference.as_ref().map(|difference| {
        let difference = crate::domain::escape(difference);
        format!("`{}` is not the tree of `{tag}`: {difference}", orig.name)
    });
    Verdict::unless(problem, format!("`{}` holds the tree of `{tag}`", orig.name))
}

/// The source package's own bytes.
pub(super) fn s8(context: &Context<'_>) -> Verdict {
    with_source(context, "S8", |source| {
        let declared = sorted(&context.candidate.declaration.files);
        let problem = same_files(&declared, &sorted(&source.derived.files), "derived from Git")
            .or_else(|| same_files(&declared, &sorted(&context.candidate.source_files), "offered"));
        Verdict::unless(problem, "the .dsc and tarballs that Git gives are the declared ones")
    })
}

/// Changelog.
pub(super) fn s9(context: &Context<'_>) -> Verdict {
    with_source(context, "S9", |source| {
        let (declared, found) = (&context.candidate.declaration, &source.derived);
        let date = declared.source_date_epoch;
        let problem = differs("changelog's source", &declared.source, &found.source)
            .or_else(|| differs("changelog's version", &declared.version, &found.version))
            .or_else(|| differs("changelog's date", &date, &found.source_date_epoch))
            .or_else(|| (date < FIRST).then(|| "the changelog's date is before 1980".to_owned()))
            .or_else(|| {
                let later = date > source.tagged_at.unix().saturating_add(SKEW);
                let (date, tagged) = (Timestamp::from_unix(date), source.tagged_at);
                later.then(|| format!("the changelog is of {date}, later than the tag ({tagged})"))
            })
            .or_else(|| undeclared(declared, found));
        let (name, version) = (&declared.source, &declared.version);
        Verdict::unless(
            problem,
            format!("the changelog's head is {name} {version}, as declared"),
        )
    })
}

/// Whatever else the declaration says that Git does not.
fn undeclared(declared: &Declaration, found: &Declaration) -> Option<String> {
    let same = declared.packages == found.packages && declared.build_depends == found.build_depends;
    (!same).then(|| "`debian/control` has other packages or build dependencies than the declaration".to_owned())
}

pub(super) fn native(declaration: &Declaration) -> bool {
    declaration.source_format == "3.0 (native)"
}

fn sorted(files: &[SourceFile]) -> Vec<(&FileName, Sha256)> {
    let mut files: Vec<_> = files.iter().map(|file| (&file.name, file.digest.sha256)).collect();
    files.sort();
    files
}

fn same_files(declared: &[(&FileName, Sha256)], found: &[(&FileName, Sha256)], how: &str) -> Option<String> {
    if declared == found {
        return None;
    }
    let lost = declared.iter().find(|file| !found.contains(file));
    let (name, _) = lost.or_else(|| found.iter().find(|file| !declared.contains(file)))?;
    Some(format!("`{name}` is not the same file when declared and when {how}"))
}

fn differs<T: PartialEq + std::fmt::Display>(what: &str, declared: &T, found: &T) -> Option<String> {
    let text = |value: &T| crate::domain::escape(&value.to_string());
    (declared != found).then(|| format!("the {what} is `{}`, declared is `{}`", text(found), text(declared)))
}
