//! `assay suite`: suites of branches and tags; what they hold, and moving it between them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::context::Context;
use super::failure::{Failure, UsageError};
use super::sources::{Source, stanza};
use super::work::Work;
use crate::admission::Decision;
use crate::domain::{Architecture, ArchiveName, FileName, GitRef, Kind, PackageName, SuiteName, Timestamp, Version};
use crate::host::files;
use crate::publish::{
    self, Move, Moves, ReleaseSigner, SourceDiff, SuiteChange, SyncStep, Writer, compare, contents, load_vouched,
    moves, plan_sync, suite_of,
};
use crate::site::Rebuild;
use crate::snapshot::{Chain, SuiteState};
use crate::source::{ListedRefs, branches_and_tags};
use crate::trust::ArchiveKey;

/// The largest package that is read, in bytes.
const LARGEST_PACKAGE: u64 = 2 << 30;

/// The suites of custom archives: what they hold, for which branches they are, and moving packages
///
/// Each change makes one snapshot, or none when it changes nothing or something is refused.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  assay suite list\n  assay suite sync --dry-run\n  assay suite merge feature-foo stable"
)]
pub(super) struct SuiteArgs {
    /// The custom archive [default: the only one]
    #[arg(long, global = true)]
    archive: Option<ArchiveName>,
    #[command(subcommand)]
    verb: SuiteVerb,
}

#[derive(Debug, Subcommand)]
enum SuiteVerb {
    /// Make the suites of new branches and tags of a Git repository, and let those of deleted branches expire
    ///
    /// `[branches]` in `repos/<archive>.toml` says which have suites. Exit 1 when two have the same suite,
    /// or one has a name that no suite can have: it gets none, and all else is done.
    #[command(
        after_help = "Example:\n  assay suite sync --dry-run\n  assay suite sync --git https://git.example.org/image.git"
    )]
    Sync {
        /// The repository: a URL or a folder [default: `git` of `[branches]`]
        #[arg(long, value_name = "URL")]
        git: Option<String>,
        /// Only say what would change
        #[arg(long)]
        dry_run: bool,
    },
    /// List suites: archive, name, class, policy, source packages, branch or tag, and when it expires
    #[command(after_help = "Example:\n  assay suite list\n  assay suite list --json")]
    List,
    /// Print what differs from one suite to another, by source package
    #[command(after_help = "Example:\n  assay suite diff stable testing")]
    Diff {
        /// The suite that counts as old
        #[arg(value_name = "A")]
        old: SuiteName,
        /// The suite that counts as new
        #[arg(value_name = "B")]
        new: SuiteName,
    },
    /// Add all that suite A has to suite B
    ///
    /// Each source package is decided on again, under the policy of B. When one is refused nothing changes.
    #[command(
        after_help = "Example:\n  assay suite merge feature-foo stable --dry-run\n  assay suite merge feature-foo stable"
    )]
    Merge {
        /// Where packages come from
        #[arg(value_name = "A")]
        from: SuiteName,
        /// Where they go to
        #[arg(value_name = "B")]
        into: SuiteName,
        #[command(flatten)]
        options: MoveOptions,
    },
    /// Make suite A hold what suite B holds, and nothing else
    #[command(after_help = "Example:\n  assay suite reset testing devel --dry-run\n  assay suite reset testing devel")]
    Reset {
        /// The suite that changes
        #[arg(value_name = "A")]
        into: SuiteName,
        /// The suite that it becomes like
        #[arg(value_name = "B")]
        from: SuiteName,
        #[command(flatten)]
        options: MoveOptions,
    },
    /// Remove a source package from a suite on purpose: it does not come back by itself
    #[command(after_help = "Example:\n  assay suite remove stable hello --reason 'it eats data'")]
    Remove(Named),
    /// Make a suite of packages that were just built, for one image build on this machine
    ///
    /// It is signed by a key that is thrown away, is never published, and enters no archive. Prints its APT
    /// source; what remains is `manifest.json`, with the hash of every package.
    #[command(
        after_help = "Example:\n  assay suite ephemeral --output build/overlay hello_2.10-4_amd64.deb > build/overlay.sources"
    )]
    Ephemeral(EphemeralArgs),
    /// Let a source package come back into a suite that it was removed from
    #[command(after_help = "Example:\n  assay suite restore stable hello --reason 'version 2.0 is mended'")]
    Restore(Named),
}

#[derive(Debug, Args)]
struct EphemeralArgs {
    /// The folder to make it in: must not be there, or be empty
    #[arg(long, value_name = "DIR")]
    output: PathBuf,
    /// The suite's name
    #[arg(long, value_name = "SUITE", default_value = "ephemeral")]
    name: SuiteName,
    /// The architecture of the machine that installs them
    #[arg(long, value_name = "ARCH", default_value = "amd64")]
    architecture: Architecture,
    /// The packages: .deb files
    #[arg(value_name = "FILE", required = true)]
    packages: Vec<PathBuf>,
}

#[derive(Debug, Args)]
struct MoveOptions {
    /// Only say what would change, and what would be refused
    #[arg(long)]
    dry_run: bool,
    /// Let versions go back, for this reason
    #[arg(long, value_name = "REASON")]
    allow_downgrade: Option<String>,
    /// Let packages come back that were removed on purpose, for this reason
    #[arg(long, value_name = "REASON")]
    readd: Option<String>,
}

#[derive(Debug, Args)]
struct Named {
    /// The suite
    #[arg(value_name = "SUITE")]
    suite: SuiteName,
    /// The source package
    #[arg(value_name = "SOURCE")]
    source: PackageName,
    /// Why, for those who ask later
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

pub(super) fn run(context: &Context, args: &SuiteArgs) -> Result<ExitCode, Failure> {
    if let SuiteVerb::Ephemeral(args) = &args.verb {
        return ephemeral(context, args);
    }
    let work = Work::open(context, args.archive.as_ref())?;
    match &args.verb {
        SuiteVerb::Ephemeral(args) => ephemeral(context, args),
        SuiteVerb::Sync { git, dry_run } => sync(context, &work, git.as_deref(), *dry_run),
        SuiteVerb::List => list(context, &work),
        SuiteVerb::Diff { old, new } => diff(context, &work, old, new),
        SuiteVerb::Merge { from, into, options } => shift(context, &work, Move::Merge, (from, into), options),
        SuiteVerb::Reset { into, from, options } => shift(context, &work, Move::Reset, (from, into), options),
        SuiteVerb::Remove(named) => edit(context, &work, named, "removed", publish::remove),
        SuiteVerb::Restore(named) => edit(context, &work, named, "may come back", publish::restore),
    }
}

/// The packages first, then the indexes, InRelease last: who reads it meanwhile sees nothing yet.
fn ephemeral(context: &Context, args: &EphemeralArgs) -> Result<ExitCode, Failure> {
    if files::exists(&args.output) && !files::list(&args.output)?.is_empty() {
        return Err(UsageError::NotEmpty(args.output.display().to_string()).into());
    }
    let mut packages = Vec::new();
    for path in &args.packages {
        let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        packages.push((FileName::new(name.as_ref())?, files::read(path, LARGEST_PACKAGE)?));
    }
    let key = ArchiveKey::generate("Assay ephemeral suite", context.now())?;
    let made = publish::ephemeral(&args.name, &args.architecture, &packages, &key, context.now())?;
    files::create_folder(&args.output)?;
    let folder = files::absolute(&args.output)?;
    for (name, bytes) in &packages {
        files::write(&folder.join("pool").join(name.as_str()), bytes)?;
    }
    for (path, bytes) in &made.files {
        files::write(&folder.join(path), bytes)?;
    }
    files::write(
        &folder.join("manifest.json"),
        &[made.manifest.as_slice(), b"\n"].concat(),
    )?;
    let source = Source::of_suite(
        format!("file:{}/", folder.display()),
        args.name.to_string(),
        args.architecture.to_string(),
        key.certificate_armored()?,
    );
    context.output.record(&source, &stanza(&source))?;
    Ok(ExitCode::SUCCESS)
}

fn sync(context: &Context, work: &Work, git: Option<&str>, dry_run: bool) -> Result<ExitCode, Failure> {
    let configured = work.custom.branches.as_ref();
    let branches = configured.ok_or_else(|| UsageError::NoBranches(work.archive.clone()))?;
    let ListedRefs { named: refs, strange } = branches_and_tags(git.unwrap_or(&branches.git), &work.git_cache())?;
    let steps = if dry_run {
        let chain = Chain::load(work.store.as_ref(), &work.archive)?;
        plan_sync(&work.custom, &refs, chain.latest(), work.now)
    } else {
        let _working = context.writing(&work.store, &work.archive, "suite sync")?;
        let signer = work.archive_signers()?;
        let synced = publish::sync(&work.writer(&signer)?, &refs, work.now)?;
        if let Some(published) = &synced.published {
            context
                .output
                .note(&format!("published {}@{}", published.archive, published.name));
        }
        synced.steps
    };
    for step in &steps {
        context.output.record(step, &in_words(step))?;
    }
    for step in steps.iter().filter(|step| step.change == SuiteChange::Moved) {
        let (suite, reference) = (&step.suite, &step.reference);
        context.output.note(&format!(
            "the suite `{suite}` stays what it was: a tag that gave a suite must not move\n  next: find out who moved \
             `{reference}`; make a new tag for what is to be released, or put it back where it was"
        ));
    }
    let nameless = publish::nameless(&work.custom, &refs, &strange);
    for one in &nameless {
        let (reference, code, why) = (&one.reference, one.code, &one.why);
        context
            .output
            .record(one, &format!("- no-suite {reference} {code}: {why}"))?;
    }
    if !nameless.is_empty() {
        context.output.note(
            "what is above as `no-suite` has no suite, and all else is done\n  next: rename it, or let no class of `[branches]` have it",
        );
    }
    Ok(if !nameless.is_empty() || steps.iter().any(SyncStep::is_refused) {
        ExitCode::from(Kind::Refused.exit_code())
    } else {
        ExitCode::SUCCESS
    })
}

fn in_words(step: &SyncStep) -> String {
    let what = match step.change {
        SuiteChange::New => "new",
        SuiteChange::Gone => "gone",
        SuiteChange::Back => "back",
        SuiteChange::Expired => "expired",
        SuiteChange::Collision => "collision",
        SuiteChange::Moved => "moved-tag",
    };
    let mut text = format!("{} {what} {}", step.suite, step.reference);
    if let Some(other) = &step.other {
        text.push_str(&format!(" {other}"));
    }
    if let Some((before, now)) = &step.moved {
        text.push_str(&format!(" was {before}, is {now}"));
    }
    text
}

#[derive(Serialize)]
struct Listed<'a> {
    archive: &'a ArchiveName,
    suite: &'a SuiteName,
    class: Option<&'a str>,
    overlay: bool,
    policy: Option<String>,
    rebuild: Option<Rebuild>,
    packages: BTreeMap<PackageName, Version>,
    removed: Vec<&'a PackageName>,
    #[serde(rename = "ref")]
    reference: Option<&'a GitRef>,
    gone_since: Option<Timestamp>,
    expires: Option<Timestamp>,
}

fn list(context: &Context, work: &Work) -> Result<ExitCode, Failure> {
    let chain = Chain::load(work.store.as_ref(), &work.archive)?;
    for state in chain.latest().iter().flat_map(|record| &record.suites) {
        let listed = listed(work, state)?;
        let mut words = vec![listed.archive.to_string(), listed.suite.to_string()];
        words.push(listed.class.unwrap_or("-").to_owned());
        words.push(listed.policy.clone().unwrap_or_else(|| "-".to_owned()));
        words.push(format!("{} sources", listed.packages.len()));
        words.extend(listed.reference.map(ToString::to_string));
        words.extend(listed.gone_since.map(|at| format!("gone since {at}")));
        words.extend(listed.expires.map(|at| format!("expires {at}")));
        context.output.record(&listed, &words.join(" "))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn listed<'a>(work: &'a Work, state: &'a SuiteState) -> Result<Listed<'a>, Failure> {
    let made = state.made_for();
    let rules = work.custom.rules_of(&state.suite, made.map(|made| &made.reference));
    let class = rules.as_ref().and_then(|rules| rules.class);
    let gone_since = made.and_then(|made| made.gone_since);
    let held = contents(work.store.as_ref(), &work.archive, state)?;
    Ok(Listed {
        archive: &work.archive,
        suite: &state.suite,
        class: class.map(|class| class.name.as_str()),
        overlay: class.is_some_and(|class| class.overlay),
        policy: rules.as_ref().map(|rules| rules.policy.to_string()),
        rebuild: rules.as_ref().map(|rules| rules.rebuild),
        packages: held.into_iter().map(|(source, held)| (source, held.version)).collect(),
        removed: state.removed().iter().map(|removed| &removed.source).collect(),
        reference: made.map(|made| &made.reference),
        gone_since,
        expires: made.and_then(|made| publish::expires(&work.custom, made, gone_since?)),
    })
}

fn diff(context: &Context, work: &Work, old: &SuiteName, new: &SuiteName) -> Result<ExitCode, Failure> {
    let (store, archive) = (work.store.as_ref(), &work.archive);
    let chain = Chain::load(store, archive)?;
    let [old, new] = [old, new].map(|suite| suite_of(archive, chain.latest(), suite));
    let (old, new) = (contents(store, archive, old?)?, contents(store, archive, new?)?);
    for change in compare(&old, &new) {
        context.output.record(&change, &line(&change))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn line(change: &SourceDiff) -> String {
    let version = |version: &Option<Version>| version.as_ref().map_or("-".to_owned(), ToString::to_string);
    let (source, what) = (&change.source, change.change.as_str());
    format!("{what} {source} {} → {}", version(&change.old), version(&change.new))
}

#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    change: &'a SourceDiff,
    refused: Vec<String>,
}

/// Merge and reset: what changes, one line each, with what the gate refuses of it.
fn shift(
    context: &Context,
    work: &Work,
    how: Move,
    (from, into): (&SuiteName, &SuiteName),
    options: &MoveOptions,
) -> Result<ExitCode, Failure> {
    let _working = context.writing(&work.store, &work.archive, "suite")?;
    let signer = work.archive_signers()?;
    let key = work.site.ed25519_key(&work.site.config().gate)?;
    let gate = work.gate(&key, &signer);
    let chain = load_vouched(work.store.as_ref(), &work.archive, &signer.keyring()?)?;
    let mut target = work.target(suite_of(&work.archive, chain.latest(), into)?)?;
    let allowed = [("V3", &options.allow_downgrade), ("A12", &options.readd)];
    target.terms.allowed = allowed
        .into_iter()
        .filter_map(|(rule, reason)| Some((rule.to_owned(), reason.clone()?)))
        .collect();
    let moves = moves(&gate, how, from, target)?;
    let preview = moves.preview(work.now);
    show(context, &moves, &preview)?;
    if options.dry_run {
        let all = preview.iter().all(|decision| decision.admitted);
        return Ok(moved(context, all, "nothing would be changed"));
    }
    // Also when nothing moves: what a killed run committed is published.
    let admissions = moves.carry_out(&gate, work.now)?;
    if let Some(published) = admissions.iter().find_map(|admission| admission.published.as_ref()) {
        context
            .output
            .note(&format!("published {}@{}", published.archive, published.name));
    }
    let all = admissions.iter().all(|admission| admission.decision.admitted);
    Ok(moved(
        context,
        all,
        "nothing was changed: the refusals are signed and kept",
    ))
}

/// How a move ends: what is refused keeps all of it from being done.
fn moved(context: &Context, all: bool, refused: &str) -> ExitCode {
    if all {
        return ExitCode::SUCCESS;
    }
    context.output.note(&format!(
        "{refused}\n  next: mend what each rule names; `--allow-downgrade REASON` lets versions go back, `--readd REASON` what was \
         removed on purpose come back"
    ));
    ExitCode::from(Kind::Refused.exit_code())
}

fn show(context: &Context, moves: &Moves, decisions: &[Decision]) -> Result<(), Failure> {
    for change in &moves.changes {
        let decision = decisions.iter().find(|decision| decision.source == change.source);
        let rules = decision.iter().flat_map(|decision| decision.broken());
        let refused: Vec<String> = rules.map(|rule| format!("{}: {}", rule.id, rule.evidence)).collect();
        let mut text = line(change);
        for rule in &refused {
            text.push_str(&format!("\n  refused by {rule}"));
        }
        context.output.record(&Shown { change, refused }, &text)?;
    }
    Ok(())
}

type Editing =
    fn(&Writer<'_>, &SuiteName, &PackageName, &str, Timestamp) -> Result<publish::Published, publish::GateError>;

fn edit(context: &Context, work: &Work, named: &Named, what: &str, editing: Editing) -> Result<ExitCode, Failure> {
    let _working = context.writing(&work.store, &work.archive, "suite")?;
    let signer = work.archive_signers()?;
    let Named { suite, source, reason } = named;
    let published = editing(&work.writer(&signer)?, suite, source, reason, work.now)?;
    let value =
        serde_json::json!({ "suite": suite, "source": source, "reason": reason, "snapshot": published.name.as_str() });
    let text = format!("{source} {what} in {suite}, {}@{}", published.archive, published.name);
    context.output.record(&value, &text)?;
    Ok(ExitCode::SUCCESS)
}
