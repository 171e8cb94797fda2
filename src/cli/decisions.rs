//! `assay decisions`: what the gate decided; the same decisions made again; and which of them fall with a key.

use std::collections::BTreeSet;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::context::{Context, custom_archive};
use super::failure::{Failure, UsageError};
use crate::admission::{OtherRules, Revoked, builder_fingerprint};
use crate::domain::{ArchiveName, BuilderId, Coded as _, Fingerprint, Kind, PackageName, Sha256, Timestamp};
use crate::format::intoto::{ImportBinding, RuleResult, Summary};
use crate::publish::{GateError, Kept, list_decisions, load_decision};
use crate::query::WhichKey;
use crate::site::Site;
use crate::store::{Store, StoreError};
use crate::trust::Ed25519Public;
use crate::verify::{Anchors, Problem, Proof, check_standing};

/// List the gate's decisions, make them again, or say which of them fall with a key
///
/// Every decision is signed and names all that it was made on: with `--again` it is made again from that, at
/// its own instant and under its own policy, and must come out the same (exit 3 when one does not, 6 when one
/// cannot be made again, since what it names is missing, or since rules that changed meanwhile judge it otherwise).
/// What it let in must also stand today: under the policy of now, by signers and builders who may still speak.
/// All are listed, whatever is wrong with one. `--revoked KEY` makes every decision that admitted something again as if the policy
/// had revoked that key, and lists those that would have been refused (exit 1 when there is one).
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  assay decisions hello\n  assay decisions --again\n  assay decisions --revoked alice/laptop --since 2026-11-01T00:00:00Z"
)]
pub(super) struct DecisionsArgs {
    /// Source packages, or decisions by their SHA-256 [default: all]
    #[arg(value_name = "NAME|SHA256")]
    which: Vec<String>,
    /// The custom archive [default: the only one]
    #[arg(long)]
    archive: Option<ArchiveName>,
    /// Make each again, from what is kept
    #[arg(long)]
    again: bool,
    /// Only those that a key carries: a builder's id, or a key as `by-signer` takes it
    #[arg(long, value_name = "KEY|BUILDER", conflicts_with = "again")]
    revoked: Option<String>,
    /// From when on nothing counts that the key signed [default: ever]
    #[arg(long, value_name = "TIME", requires = "revoked")]
    since: Option<String>,
}

/// One decision, as it is listed.
#[derive(Serialize)]
struct Listed {
    decision: Sha256,
    decided_at: Timestamp,
    archive: String,
    suites: Vec<String>,
    source: String,
    version: String,
    admitted: bool,
    policy: String,
    levels: Vec<String>,
    /// Where it was imported from, and by what it is proven.
    #[serde(skip_serializing_if = "Option::is_none")]
    import: Option<ImportBinding>,
    /// What rule A7 says of exceptions, when there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    exceptions: Option<String>,
    /// The rules that refuse it.
    refused_by: Vec<RuleResult>,
    /// How it came out again; absent when nobody asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    again: Option<Vec<String>>,
    /// What rules that changed since judge otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    other_rules: Option<OtherRules>,
    /// Why what it let in does not stand under the policy of now.
    #[serde(skip_serializing_if = "Option::is_none")]
    today: Option<Problem>,
}

/// A decision that nothing can be said of.
#[derive(Serialize)]
struct Unreadable {
    decision: Sha256,
    code: &'static str,
    unreadable: String,
}

/// How a decision came out again.
#[derive(Default)]
struct Again {
    differences: Vec<String>,
    other_rules: Option<OtherRules>,
    today: Option<Problem>,
}

struct Review<'a> {
    context: &'a Context,
    /// What decisions that are made again are held against.
    anchors: Option<Anchors>,
    store: &'a dyn Store,
    archive: &'a ArchiveName,
    gate: Ed25519Public,
}

pub(super) fn run(context: &Context, args: &DecisionsArgs) -> Result<ExitCode, Failure> {
    let site = context.site()?;
    let archive = custom_archive(&site, args.archive.as_ref())?;
    let store = context.store_to_read(&site)?;
    let review = Review {
        context,
        anchors: args.again.then(|| Anchors::from_site(&site)).transpose()?,
        store: store.as_ref(),
        archive: &archive,
        gate: site.gate_public()?,
    };
    let revoked = args
        .revoked
        .as_deref()
        .map(|key| revoked(&site, &archive, key, args.since.as_deref()))
        .transpose()?;
    let (mut found, mut worst) = (Vec::new(), 0);
    for sha256 in list_decisions(review.store, &archive)? {
        match load_decision(review.store, &archive, &sha256, &review.gate) {
            Ok(statement) if wanted(&args.which, &sha256, Some(&statement.predicate))? => {
                let summary = statement.predicate;
                found.push((summary.time_verified, sha256, summary));
            }
            Ok(_) => {}
            // Whose it was cannot be said: it is told whoever was asked for, but for another decision.
            Err(error) if wanted(&args.which, &sha256, None)? => {
                worst = worse(worst, review.unreadable(&sha256, &error)?);
            }
            Err(_) => {}
        }
    }
    if found.is_empty() && worst == 0 && !args.which.is_empty() {
        let why = format!("the archive `{archive}` has no such decision");
        let next = "without a name `assay decisions` lists all, refusals too; `--archive` asks another archive";
        return Err(UsageError::Unknown { why, next }.into());
    }
    found.sort_by_key(|one| (one.0, one.1));
    let mut known = false;
    for (_, sha256, summary) in found {
        let code = match &revoked {
            Some(revoked) => review.without(&sha256, &summary, revoked)?,
            None => Some(review.listed(&sha256, &summary, args.again)?),
        };
        known |= code.is_some();
        worst = worse(worst, code.unwrap_or_default());
    }
    if let Some(revoked) = revoked.filter(|_| !known) {
        is_known(&site, &archive, &revoked)?;
    }
    Ok(ExitCode::from(worst))
}

/// A key by any of its names, as `by-signer` takes them.
fn revoked(site: &Site, archive: &ArchiveName, key: &str, since: Option<&str>) -> Result<Revoked, Failure> {
    let since = match since {
        Some(text) => Timestamp::parse_rfc3339(text)?,
        None => Timestamp::from_unix(0),
    };
    let mut keys = BTreeSet::new();
    if let Ok(which) = WhichKey::new(key) {
        for name in site.custom(archive)?.policies() {
            keys.extend(which.keys_in(&site.policy(name)?));
        }
    }
    if keys.len() > 1 {
        let keys = keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        return Err(UsageError::Argument(format!("`{key}` means several keys: {keys}; give one of them whole")).into());
    }
    let revoked = Revoked {
        builder: BuilderId::new(key).ok(),
        // A key that no policy of today has may be in that of an older decision.
        key: keys.pop_first().or_else(|| Fingerprint::new(key).ok()),
        since,
    };
    if revoked.builder.is_none() && revoked.key.is_none() {
        is_known(site, archive, &revoked)?;
    }
    Ok(revoked)
}

/// That a policy of the site has the key: a mistyped one must not pass for one that carries nothing.
fn is_known(site: &Site, archive: &ArchiveName, revoked: &Revoked) -> Result<(), Failure> {
    let mut names = BTreeSet::new();
    for name in site.custom(archive)?.policies() {
        let policy = site.policy(name)?;
        if revoked.is_in(&policy) {
            return Ok(());
        }
        names.extend(policy.builders.iter().map(|builder| builder.id.to_string()));
        names.extend(
            policy
                .builders
                .iter()
                .filter_map(|one| Some(builder_fingerprint(one)?.to_string())),
        );
        names.extend(policy.signers.iter().map(|signer| signer.fingerprint.to_string()));
        let upstream = policy.imports.iter().flat_map(|rule| &rule.signers);
        names.extend(upstream.map(ToString::to_string));
    }
    let names = names.into_iter().collect::<Vec<_>>().join(", ");
    let why = format!("no policy of `{archive}` and of its decisions has the key to revoke; known are: {names}");
    Err(UsageError::Argument(why).into())
}

/// Whether somebody asked for a decision; of one that cannot be read, any source may be.
fn wanted(which: &[String], sha256: &Sha256, summary: Option<&Summary>) -> Result<bool, Failure> {
    let mut found = which.is_empty();
    for one in which {
        found |= match one.parse::<Sha256>() {
            Ok(named) => named == *sha256,
            Err(_) => {
                let source = PackageName::new(one.as_str())?;
                summary.is_none_or(|summary| source.as_str() == summary.assay_binding.source)
            }
        };
    }
    Ok(found)
}

impl Review<'_> {
    fn listed(&self, sha256: &Sha256, summary: &Summary, again: bool) -> Result<u8, Failure> {
        let mut code = 0;
        let again = again.then(|| self.again(sha256, summary, &mut code)).transpose()?;
        self.show(sha256, summary, again)?;
        Ok(code)
    }

    /// Where a decision comes out otherwise.
    fn again(&self, sha256: &Sha256, summary: &Summary, code: &mut u8) -> Result<Again, Failure> {
        let kept = match Kept::load(self.store, self.archive, sha256, &self.gate) {
            Ok(kept) => kept,
            Err(error) => {
                *code = lost(&error);
                return Ok(Again {
                    differences: vec![format!("{error} ({})", error.code())],
                    ..Again::default()
                });
            }
        };
        let compared = kept.compared();
        let mut differences = compared.differences;
        differences.extend(kept.misread(self.store, self.archive)?);
        if !differences.is_empty() {
            *code = Kind::Verification.exit_code();
        } else if compared.other_rules.is_some() {
            *code = Kind::Unknown.exit_code();
        }
        let now = self.context.now();
        let anchors = self.anchors.as_ref().filter(|_| summary.admits());
        let today = anchors.and_then(|anchors| check_standing(self.store, anchors, self.archive, sha256, now).err());
        if let Some(problem) = &today {
            let kind = match problem.proof() {
                Proof::Unknown => Kind::Unknown,
                _ => Kind::Verification,
            };
            *code = worse(*code, kind.exit_code());
        }
        Ok(Again {
            differences,
            other_rules: compared.other_rules,
            today,
        })
    }

    /// Prints a decision that admitted something and would not have without a key; none when its
    /// policy does not have the key.
    fn without(&self, sha256: &Sha256, summary: &Summary, revoked: &Revoked) -> Result<Option<u8>, Failure> {
        if !summary.admits() {
            return Ok(None);
        }
        let kept = match Kept::load(self.store, self.archive, sha256, &self.gate) {
            Ok(kept) => kept,
            Err(error) => {
                self.context.output.note(&format!("{error} ({})", error.code()));
                return Ok(Some(lost(&error)));
            }
        };
        if !revoked.is_in(&kept.policy) {
            return Ok(None);
        }
        let decision = kept.case.decide_without(&kept.policy, revoked, kept.decided_at());
        if decision.admitted {
            return Ok(Some(0));
        }
        let broken = decision.broken().map(|rule| format!("{}: {}", rule.id, rule.evidence));
        let again = Again {
            differences: broken.collect(),
            ..Again::default()
        };
        self.show(sha256, summary, Some(again))?;
        Ok(Some(Kind::Refused.exit_code()))
    }

    /// Prints that nothing can be said of a decision.
    fn unreadable(&self, sha256: &Sha256, error: &GateError) -> Result<u8, Failure> {
        let unreadable = Unreadable {
            decision: *sha256,
            code: error.code(),
            unreadable: error.to_string(),
        };
        let text = format!("{sha256} cannot be read: {error} ({})", error.code());
        self.context.output.record(&unreadable, &text)?;
        Ok(lost(error))
    }

    fn show(&self, sha256: &Sha256, summary: &Summary, again: Option<Again>) -> Result<(), Failure> {
        let asked = again.is_some();
        let again = again.unwrap_or_default();
        let binding = &summary.assay_binding;
        let broken = summary.assay_rules.iter().filter(|rule| !rule.passed);
        let listed = Listed {
            decision: *sha256,
            decided_at: summary.time_verified,
            archive: binding.archive.clone(),
            suites: binding.suites.clone(),
            source: binding.source.clone(),
            version: binding.version.clone(),
            admitted: summary.admits(),
            policy: summary.policy.name.clone().unwrap_or_default(),
            levels: summary.verified_levels.clone(),
            import: summary.assay_import.clone(),
            exceptions: summary.exceptions().map(str::to_owned),
            refused_by: broken.cloned().collect(),
            again: asked.then_some(again.differences),
            other_rules: again.other_rules,
            today: again.today,
        };
        let verdict = if listed.admitted { "admitted" } else { "refused" };
        let mut text = format!(
            "{} {} {} {verdict} for {} ({}) under {} by {}",
            listed.decided_at,
            listed.source,
            listed.version,
            listed.archive,
            listed.suites.join(", "),
            listed.policy,
            listed.decision
        );
        if !listed.levels.is_empty() {
            text.push_str(&format!("\n  {}", listed.levels.join(", ")));
        }
        text.extend(
            listed
                .import
                .iter()
                .map(|import| format!("\n  {}", super::admit::imported(import))),
        );
        for rule in &listed.refused_by {
            text.push_str(&format!("\n  {}: {}", rule.id, rule.evidence));
        }
        text.extend(listed.exceptions.iter().map(|said| format!("\n  {said}")));
        match &listed.again {
            Some(found) if found.is_empty() && listed.other_rules.is_none() => {
                text.push_str("\n  made again: the same")
            }
            Some(found) => text.extend(found.iter().map(|why| format!("\n  now: {why}"))),
            None => {}
        }
        text.extend(listed.other_rules.iter().map(|other| format!("\n  {other}")));
        let today = listed.today.iter();
        text.extend(today.map(|problem| format!("\n  today: {} {}: {}", problem.code, problem.object, problem.why)));
        self.context.output.record(&listed, &text)
    }
}

/// Of two exit codes the one that says more: a refutation more than that something cannot be said.
fn worse(one: u8, other: u8) -> u8 {
    let refuted = Kind::Verification.exit_code();
    if [one, other].contains(&refuted) {
        return refuted;
    }
    one.max(other)
}

/// The exit code of a decision whose evidence cannot be read: what is missing refutes nothing.
fn lost(error: &GateError) -> u8 {
    match error {
        GateError::Store(StoreError::Missing(_)) => Kind::Unknown.exit_code(),
        other => other.kind().exit_code(),
    }
}
