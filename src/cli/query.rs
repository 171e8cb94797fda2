//! `assay source-of`, `outputs-of`, `by-signer`, `built-with`, `unreproduced`, `dissent`, `stale`: one question
//! each about whole archives, and one form of answer.

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::context::Context;
use super::failure::{Failure, UsageError};
use super::why::{exit_code, mark, subject};
use crate::query::{self, Answer, Asked, Cache, Index, Ingredient, Limits, QueryError};
use crate::site::Site;
use crate::verify::{Anchors, Proof};

/// Where an answer comes from. The same for every question.
#[derive(Debug, Args)]
pub(super) struct From {
    /// A copy of the store [default: the site's own]
    #[arg(long, value_name = "DIR")]
    store: Option<String>,
    /// Every decision that was ever made, not only those behind the newest snapshots
    #[arg(long)]
    all: bool,
    /// Read every document again, whatever the cache knows
    #[arg(long)]
    fresh: bool,
}

/// Say which commit a package or file was built from, and who signed it
///
/// What only a mirror has is upstream's: its source package is named. Exit 0: the decision behind each answer
/// holds, 3: it does not, 6: nothing is known.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  assay source-of hello\n  assay source-of ./hello_2.10-3_amd64.deb --json")]
pub(super) struct SourceOfArgs {
    /// A binary or source package, a file, or a SHA-256
    #[arg(value_name = "FILE|SHA256|PACKAGE")]
    what: String,
    #[command(flatten)]
    from: From,
}

/// Say what came of a commit
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  assay outputs-of 1f0c5d9\n  assay outputs-of refs/tags/debian/2.10-3 --all")]
pub(super) struct OutputsOfArgs {
    /// A commit or tag object, seven digits of it at least; or a tag's full name
    #[arg(value_name = "COMMIT")]
    commit: String,
    #[command(flatten)]
    from: From,
}

/// List everything that stands on a key: what it signed, and what it rebuilt
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  assay by-signer 0123456789ABCDEF0123456789ABCDEF01234567\n  assay by-signer SHA256:k3nq --all"
)]
pub(super) struct BySignerArgs {
    /// The fingerprint of a source's signer (OpenPGP, SSH) or of a builder, or the beginning of one
    #[arg(value_name = "FINGERPRINT")]
    fingerprint: String,
    #[command(flatten)]
    from: From,
}

/// List every package whose build environment held a package, also through other packages of ours
///
/// A version without a Debian revision means all revisions of it. No record and exit 0: none held it; exit 6 with
/// none: no environment had a package of that name. A package whose environment cannot be verified is listed, and the exit
/// code is 3 or 6.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  assay built-with xz-utils=5.6.1\n  assay built-with gcc-12 --json")]
pub(super) struct BuiltWithArgs {
    /// A binary or source package, in any version or in one; or the SHA-256 of a .deb
    #[arg(value_name = "NAME[=VERSION]|SHA256")]
    what: Ingredient,
    #[command(flatten)]
    from: From,
}

/// List what is admitted and not reproduced, by exception, and what is declared and not admitted
///
/// What was reproduced by builds that did not differ as the policy varies them is listed, too. Where no policy varies
/// the build path, all builds of a package are made at one: how many packages have nothing else against them is said,
/// and `--one-path` lists them.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  assay unreproduced\n  assay unreproduced --one-path --json")]
pub(super) struct UnreproducedArgs {
    /// Also what is reproduced at one build path only
    #[arg(long)]
    one_path: bool,
    #[command(flatten)]
    from: From,
}

/// List rebuild records that failed or contradict, also about candidates that were refused
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  assay dissent\n  assay dissent --json")]
pub(super) struct DissentArgs {
    #[command(flatten)]
    from: From,
}

/// List what needs attention: old environments, declarations that moved on, records, exceptions and keys near their end
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  assay stale\n  assay stale --older-than 14 --within 60\n  assay stale --git")]
pub(super) struct StaleArgs {
    /// Environments that are this many days older than the newest snapshot of their suite
    #[arg(long, value_name = "DAYS", default_value_t = 30)]
    older_than: u32,
    /// What ends within this many days
    #[arg(long, value_name = "DAYS", default_value_t = 30)]
    within: u32,
    /// Ask the repository of each declared source, too, whether its tag was moved (exit 3) or is gone (6)
    #[arg(long)]
    git: bool,
    #[command(flatten)]
    from: From,
}

pub(super) fn source_of(context: &Context, args: &SourceOfArgs) -> Result<ExitCode, Failure> {
    let subject = subject(&args.what)?;
    let said = ask(context, &args.from, |index, _| query::source_of(index, &subject))?;
    if said.answers.is_empty() {
        return nothing(
            format!("no newest snapshot of this site lists `{}`", args.what),
            "`--all` also answers from decisions of before; `assay unreproduced` lists what is declared and not in, `assay suite list` what each \
             suite has",
        );
    }
    show(context, &said, true)
}

pub(super) fn outputs_of(context: &Context, args: &OutputsOfArgs) -> Result<ExitCode, Failure> {
    let said = ask(context, &args.from, |index, _| query::outputs_of(index, &args.commit))?;
    if said.answers.is_empty() {
        return nothing(
            format!("nothing is known that was built from `{}`", args.commit),
            "`--all` also answers from decisions of before; `assay unreproduced` lists what is declared and not in",
        );
    }
    show(context, &said, true)
}

pub(super) fn by_signer(context: &Context, args: &BySignerArgs) -> Result<ExitCode, Failure> {
    let asked = &args.fingerprint;
    let mut known = false;
    let said = ask(context, &args.from, |index, _| {
        let answers = query::by_signer(index, asked)?;
        known = answers.is_some();
        Ok(answers.unwrap_or_default())
    })?;
    if !known {
        return nothing(
            format!("no policy and no decision names a key or builder `{asked}`"),
            "give a fingerprint as `assay key list` prints it, or a builder's id; `--all` also answers from decisions of before",
        );
    }
    show(context, &said, false)
}

pub(super) fn built_with(context: &Context, args: &BuiltWithArgs) -> Result<ExitCode, Failure> {
    let mut known = true;
    let said = ask(context, &args.from, |index, _| {
        let answers = query::built_with(index, &args.what);
        known = !answers.is_empty() || !query::built_with(index, &args.what.in_any_version()).is_empty();
        Ok(answers)
    })?;
    if said.answers.is_empty() {
        let why = format!("no environment of a decision that is known held `{}`", args.what);
        if !known {
            return nothing(
                why,
                "give the name of a binary or source package, or the SHA-256 of a .deb; `--all` also asks environments of decisions of before",
            );
        }
        context.output.note(&why);
    }
    show(context, &said, false)
}

pub(super) fn unreproduced(context: &Context, args: &UnreproducedArgs) -> Result<ExitCode, Failure> {
    let mut at_one_path = 0;
    let said = ask(context, &args.from, |index, site| {
        let found = query::unreproduced(index, site, args.one_path)?;
        at_one_path = found.at_one_path;
        Ok(found.answers)
    })?;
    if at_one_path > 0 {
        let text = format!(
            "{at_one_path} more are reproduced, but at one build path only, where what a package takes from its path does not show: \
             `--one-path` lists them, and \"path\" in the `vary` of a policy demands more"
        );
        context.output.aside(&OnePath { at_one_path }, &text)?;
    }
    show(context, &said, false)
}

pub(super) fn dissent(context: &Context, args: &DissentArgs) -> Result<ExitCode, Failure> {
    show(context, &ask(context, &args.from, query::dissent)?, false)
}

pub(super) fn stale(context: &Context, args: &StaleArgs) -> Result<ExitCode, Failure> {
    let limits = Limits {
        environment_days: args.older_than,
        soon_days: args.within,
    };
    let said = ask(context, &args.from, |index, site| {
        let mut answers = query::stale(index, site, limits)?;
        if args.git {
            answers.extend(query::strayed(index, site, &site.cache().join("git"))?);
        }
        Ok(answers)
    })?;
    if !args.git {
        let text = "not asked: whether tags were moved; `--git` asks each repository";
        context.output.aside(
            &NotAsked {
                not_asked: "moved-tags",
            },
            text,
        )?;
    }
    show(context, &said, false)
}

/// What a query leaves out, since it is answered offline: on standard error.
#[derive(Serialize)]
struct NotAsked {
    not_asked: &'static str,
}

/// How many packages have nothing against them but that all of their builds were at one path: on standard error.
#[derive(Serialize)]
struct OnePath {
    at_one_path: usize,
}

/// What was asked for.
struct Said {
    answers: Vec<Answer>,
    /// Whether the store has no more what some of it was learned from.
    lost: bool,
}

/// Loads the index and asks it.
fn ask(
    context: &Context,
    from: &From,
    question: impl FnOnce(&mut Index<'_>, &Site) -> Result<Vec<Answer>, QueryError>,
) -> Result<Said, Failure> {
    let site = context.site()?;
    let store = match &from.store {
        Some(folder) => {
            crate::store::open_store_to_read(folder, &context.environment.current_folder()?, context.environment)?
        }
        None => context.store_to_read(&site)?,
    };
    let anchors = Anchors::from_site(&site)?;
    let cache = Cache::below(&site.cache());
    let keys = query::builder_keys(&anchors);
    let asked = Asked {
        cache: (!from.fresh).then_some(&cache),
        all: from.all,
        now: context.now(),
        keys: &keys,
    };
    let mut index = Index::load(store.as_ref(), &anchors, &asked, &context.progress)?;
    index.keep();
    let answers = question(&mut index, &site)?;
    index.keep();
    let lost = index.lost()?;
    for problem in &lost {
        let text = format!("{} {}: {}", problem.code, problem.object, problem.why);
        context.output.aside(problem, &text)?;
    }
    Ok(Said {
        answers,
        lost: !lost.is_empty(),
    })
}

fn nothing(why: String, next: &'static str) -> Result<ExitCode, Failure> {
    Err(UsageError::Unknown { why, next }.into())
}

/// Prints answers. What many of them have in common is said with `-v` only, unless `whole`.
fn show(context: &Context, said: &Said, whole: bool) -> Result<ExitCode, Failure> {
    let whole = whole || context.verbose;
    context.output.records(&said.answers, |answer| text(answer, whole))?;
    let least = if said.lost { Proof::Unknown } else { Proof::Proven };
    let worst = said.answers.iter().map(|answer| answer.proof).chain([least]).max();
    Ok(exit_code(worst.unwrap_or(Proof::Proven)))
}

fn text(answer: &Answer, whole: bool) -> String {
    let place = match answer.suites.as_slice() {
        [] => answer.archive.clone(),
        suites => format!("{}/{}", answer.archive, suites.join(",")),
    };
    let what = [place.as_str(), &answer.source, &answer.version];
    let what: Vec<&str> = what.into_iter().filter(|word| !word.is_empty()).collect();
    let mut lines = vec![format!("{} {}: {}", mark(answer.proof), what.join(" "), answer.why)];
    lines.extend(answer.doubt.iter().map(|doubt| format!("  doubt      {doubt}")));
    if whole {
        lines.extend(details(answer));
    }
    for exception in &answer.exceptions {
        let (rule, owner, end, reason) = (&exception.rule, &exception.owner, exception.expires, &exception.reason);
        lines.push(format!("  exception  {rule} of {owner} until {end}: {reason}"));
    }
    lines.join("\n")
}

fn details(answer: &Answer) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(git) = &answer.git {
        lines.push(format!("  source     {} {}", git.repository, git.reference));
        lines.push(format!("  commit     {}", git.commit));
        for (fingerprint, name) in &git.signers {
            lines.push(format!("  signer     {name} ({fingerprint})"));
        }
    }
    if let Some(imported) = &answer.imported {
        lines.push(format!(
            "  imported   {}@{} {}",
            imported.archive, imported.snapshot, imported.suite
        ));
        lines.push(format!(
            "  upstream   {} by {}",
            imported.release,
            imported.signers.join(", ")
        ));
    }
    lines.extend(answer.files.iter().map(|(path, sha256)| format!("  {sha256}  {path}")));
    lines.extend(
        answer
            .decision
            .iter()
            .map(|decision| format!("  decision   {decision}")),
    );
    lines.extend(answer.record.iter().map(|record| format!("  record     {record}")));
    if !answer.levels.is_empty() {
        lines.push(format!("  levels     {}", answer.levels.join(" ")));
    }
    lines
}
