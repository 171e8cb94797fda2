//! `assay lint`: what each apt will do with a repository.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::context::Context;
use super::failure::{Failure, UsageError};
use crate::domain::Kind;
use crate::host::files;
use crate::lint::{Finding, Judgement, Outcome, Question, Repository, lint};
use crate::trust::Keyring;

/// The largest keyring that is read, in bytes.
const LARGEST_KEYRING: u64 = 16 << 20;

/// Say what each apt (2.6 with gpgv, 3.0 with sqv) will do with a repository, any repository
///
/// One line for each finding: what they do (accept, warn, ignore, reject), which apts, a stable code, the file, why, and
/// what apt says; then one line for each apt and suite. `ignore` means that something is left out without a word.
/// Exit 0: all take it, 3: one of them rejects or ignores something; with `--strict` also when one warns.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  assay lint https://deb.example.org/debian --suite trixie --keyring example.asc\n  \
                  assay lint ./repository --files --json\n  assay lint new/ --before old/   # for clients that have the old state"
)]
pub(super) struct LintArgs {
    /// The repository, as a source names it: an `http://` or `https://` URL, or a folder
    #[arg(value_name = "URL|DIR")]
    repository: String,
    /// A suite, or with a slash at its end the folder of a flat repository [default: every suite of a folder]
    #[arg(long = "suite", value_name = "SUITE")]
    suites: Vec<String>,
    /// A component that clients ask for [default: those of the Release]
    #[arg(long = "component", value_name = "COMPONENT")]
    components: Vec<String>,
    /// An architecture of clients [default: those of the Release]
    #[arg(long = "architecture", value_name = "ARCH")]
    architectures: Vec<String>,
    /// The certificates that clients trust [default: that its signer is one of them is taken for granted]
    #[arg(long, value_name = "FILE")]
    keyring: Option<PathBuf>,
    /// The same repository as clients have it: what changed then counts, too
    #[arg(long, value_name = "URL|DIR")]
    before: Option<String>,
    /// Read the files of packages and sources as well: all of them
    #[arg(long)]
    files: bool,
    /// Exit 3 when an apt has anything to say
    #[arg(long)]
    strict: bool,
}

pub(super) fn run(context: &Context, args: &LintArgs) -> Result<ExitCode, Failure> {
    let folder = context.environment.current_folder()?;
    let repository = Repository::open(&args.repository, &folder)?;
    let before = args
        .before
        .as_deref()
        .map(|before| Repository::open(before, &folder))
        .transpose()?;
    let keyring = match &args.keyring {
        Some(path) => Some(Keyring::parse(&files::read(path, LARGEST_KEYRING)?)?),
        None => None,
    };
    let named = named(args, &repository)?;
    let mut worst = Outcome::Accept;
    for suite in &named {
        let question = Question {
            suite,
            components: args.components.clone(),
            architectures: args.architectures.clone(),
            languages: vec!["en".to_owned()],
            sources: None,
            keyring: keyring.as_ref(),
            now: context.now(),
            files: args.files,
        };
        let judgement = lint(&repository, before.as_ref(), &question)?;
        worst = worst.max(tell(context, &judgement)?);
    }
    let fails = worst >= Outcome::Ignore || (args.strict && worst > Outcome::Accept);
    Ok(ExitCode::from(if fails { Kind::Verification.exit_code() } else { 0 }))
}

fn named(args: &LintArgs, repository: &Repository) -> Result<Vec<String>, Failure> {
    if !args.suites.is_empty() {
        return Ok(args.suites.clone());
    }
    if matches!(repository, Repository::Web(_)) {
        let why = "a URL cannot be listed: name its suites with `--suite`";
        return Err(UsageError::Argument(why.to_owned()).into());
    }
    let found = repository.suites()?;
    if found.is_empty() {
        let why = format!(
            "`{}` has no Release file, neither below `dists/` nor of its own",
            args.repository
        );
        return Err(UsageError::NotFound(why).into());
    }
    Ok(found)
}

/// Prints what is said of a suite, and gives the worst of it.
fn tell(context: &Context, judgement: &Judgement) -> Result<Outcome, Failure> {
    for finding in &judgement.findings {
        context.output.record(finding, &line(finding))?;
    }
    for verdict in &judgement.verdicts {
        let text = format!("{} {} {}", verdict.outcome, verdict.apt, verdict.suite);
        context.output.record(verdict, &text)?;
    }
    let worst = judgement.verdicts.iter().map(|verdict| verdict.outcome).max();
    Ok(worst.unwrap_or(Outcome::Accept))
}

fn line(finding: &Finding) -> String {
    let apts: BTreeSet<String> = finding.apts.iter().map(ToString::to_string).collect();
    let apts: Vec<String> = apts.into_iter().collect();
    let said = finding.message.as_ref().map(|message| format!(" (apt: \"{message}\")"));
    format!(
        "{} {} {} {}: {}{}",
        finding.outcome,
        apts.join(","),
        finding.code,
        finding.at,
        finding.why,
        said.unwrap_or_default()
    )
}
