//! `assay verify`: recheck the whole store.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::context::{Context, named_or_all};
use super::failure::{Failure, UsageError};
use super::keep::Keeping;
use super::work::Work;
use crate::collect::{CollectError, Pinned};
use crate::domain::{ArchiveName, Fingerprint, Kind, RelPath};
use crate::host::files;
use crate::publish::load_vouched;
use crate::site::{ArchiveConfig, Site};
use crate::snapshot::Verdict;
use crate::store::{Store, open_store_to_read};
use crate::verify::{
    Anchors, Checkpoint, LARGEST_CHECKPOINT, Problem, Report, VerifyError, check_held, verify, verify_against_upstream,
};

/// Indexes that are missing and are named one by one.
const NAMED: usize = 5;

/// Recheck the whole store from keys and Git alone
///
/// Exit 3 when something does not hold; each problem is one line: code, object, cause.
///
/// `--against upstream` needs nothing of ours: of the mirrors, it proves from what upstream signed and
/// upstream's keys alone, offline, that every index of a whole snapshot is upstream's, and that every
/// stanza of a partial one is, byte for byte, in an index that upstream signed; and that clients find no
/// signed file below the mirrors that is of neither. The certificates of the site prove nothing there; they are asked only
/// whether clients would take what is published, and so must be in its folder.
///
/// A store that was rolled back, or lost a decision, is validly signed throughout: only who remembers can tell.
/// `--write-checkpoint` writes what the store has; the site's `assay.checkpoint`, or `--checkpoint FILE`, is then
/// what the store must still have. With `[witnesses]` in assay.toml a checkpoint counts when enough of them signed it.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  assay verify\n  assay verify /backup/store --json\n  assay verify /backup/store --against upstream\n  \
                  assay verify --write-checkpoint assay.checkpoint && git add assay.checkpoint\n  \
                  assay verify --checkpoint theirs.checkpoint --sign ed25519:…"
)]
pub(super) struct VerifyArgs {
    /// A copy of the store [default: the site's own]
    #[arg(value_name = "DIR")]
    store: Option<String>,
    /// Also derive every declared source from its Git repository again
    #[arg(long)]
    git: bool,
    /// Only what the mirrors' upstreams prove
    #[arg(long, value_enum, conflicts_with = "git")]
    against: Option<Against>,
    /// What the store must still have [default: assay.checkpoint of the site, when it is there]
    #[arg(long, value_name = "FILE", conflicts_with = "against")]
    checkpoint: Option<PathBuf>,
    /// Write what the store has, when all of it holds
    #[arg(long, value_name = "FILE", conflicts_with = "against")]
    write_checkpoint: Option<PathBuf>,
    /// Sign the checkpoint that is written, or else the one that was checked, with this Ed25519 key of the site
    #[arg(long, value_name = "KEY", conflicts_with = "against")]
    sign: Vec<Fingerprint>,
}

/// That nobody's signature on a checkpoint was checked: on standard error.
#[derive(Serialize)]
struct Unchecked {
    checkpoint: String,
    signatures_not_checked: usize,
}

/// Whose signature proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Against {
    /// That of the archives that the mirrors follow
    Upstream,
}

pub(super) fn run(context: &Context, args: &VerifyArgs) -> Result<ExitCode, Failure> {
    let site = context.site()?;
    let anchors = Anchors::from_site(&site)?;
    let store = match &args.store {
        Some(store) => open_store_to_read(store, &context.environment.current_folder()?, context.environment)?,
        None => context.store_to_read(&site)?,
    };
    let mut report = match args.against {
        Some(Against::Upstream) => verify_against_upstream(store.as_ref(), &anchors, &context.progress)?,
        None => verify(store.as_ref(), &anchors, context.now(), &context.progress)?,
    };
    // Where a record is damaged, nothing can be said of what it holds.
    let is_whole = report.problems.iter().all(|problem| problem.code == Problem::EXPIRED);
    if args.against.is_none() && is_whole {
        report.problems.extend(super::lock::problems(&site, store.as_ref())?);
        report.problems.extend(expired(context, &site, store.as_ref())?);
    }
    if args.against.is_none() {
        let custom = named_or_all(&site, &[], |archive| matches!(archive, ArchiveConfig::Custom(_)))?;
        held(context, &site, store.as_ref(), &custom, &mut report);
    }
    if args.git {
        report.problems.extend(sources(context, &site)?);
    }
    let checked = checkpoint(context, &site, &anchors, store.as_ref(), args)?;
    if let Some((_, broken)) = &checked {
        report.problems.extend(broken.iter().cloned());
    }
    if report.snapshots == 0 && report.tags == 0 && report.problems.is_empty() {
        let nothing =
            "there is nothing to verify: the store has no snapshot or tag of the archives that were asked for";
        return Err(UsageError::NotFound(nothing.to_owned()).into());
    }
    problems(context, &report.problems)?;
    problems(context, &report.not_rechecked)?;
    let open = report.not_rechecked.iter();
    let open = open.filter(|open| open.code == Problem::NOT_RECHECKED);
    let environments: BTreeSet<&str> = open.map(|open| open.object.as_str()).collect();
    for archive in &report.empty {
        context.output.note(&format!("`{archive}`: nothing published yet"));
    }
    for (suite, lacking) in &report.lacking {
        let text = format!("{suite} is partial: {}", without(lacking));
        context.output.note(&text);
    }
    for (archive, count) in &report.unproven {
        let text = format!("`{archive}` is unproven: {count} packages and sources taken on the operator's word");
        context.output.note(&text);
    }
    let text = format!(
        "{}{}: {} snapshots, {} tags, {} partial suites, {} signed Release files, {} packages and sources, {} environments, {} objects, {} bytes",
        if report.problems.is_empty() {
            "verified".to_owned()
        } else {
            format!("{} problems", report.problems.len())
        },
        match environments.len() {
            0 => String::new(),
            open => format!(", {open} environments not rechecked"),
        },
        report.snapshots,
        report.tags,
        report.partial_suites,
        report.releases,
        report.packages,
        report.environments,
        report.objects,
        report.bytes
    );
    context.output.record(&report, &text)?;
    if report.problems.is_empty() {
        let checked = checked.map(|(checkpoint, _)| checkpoint);
        keep_checkpoint(context, &site, &anchors, store.as_ref(), args, checked)?;
    } else if args.write_checkpoint.is_some() || !args.sign.is_empty() {
        context
            .output
            .note("no checkpoint is written or signed of what does not hold");
    }
    let code = if report.problems.is_empty() {
        0
    } else {
        Kind::Verification.exit_code()
    };
    Ok(ExitCode::from(code))
}

/// That a suite is without what upstream's Release lists.
pub(super) fn without<'a>(lacking: impl IntoIterator<Item = &'a RelPath>) -> String {
    let mut paths = lacking.into_iter();
    let first: Vec<&str> = paths.by_ref().take(NAMED).map(RelPath::as_str).collect();
    let more = match paths.count() {
        0 => String::new(),
        count => format!(" and {count} more"),
    };
    format!(
        "it is without what upstream's Release lists: {}{more}",
        first.join(", ")
    )
}

/// The checkpoint that the store is held against, and where it falls short; none when there is none.
fn checkpoint(
    context: &Context,
    site: &Site,
    anchors: &Anchors,
    store: &dyn Store,
    args: &VerifyArgs,
) -> Result<Option<(Checkpoint, Vec<Problem>)>, Failure> {
    let own = site.checkpoint_file();
    let path = args.checkpoint.clone().or_else(|| files::exists(&own).then_some(own));
    let (Some(path), None) = (path, args.against) else {
        return Ok(None);
    };
    let (mut witnesses, mut threshold) = site.witnesses()?;
    if !args.sign.is_empty() && args.write_checkpoint.is_none() {
        // Who signs it has nobody's word for it but the store's.
        (witnesses, threshold) = (Vec::new(), 0);
    }
    let bytes = files::read(&path, LARGEST_CHECKPOINT)?;
    let checkpoint = Checkpoint::parse(&bytes, &witnesses, threshold)?;
    context
        .output
        .note(&format!("held against {} of {}", path.display(), checkpoint.at));
    let signatures = Checkpoint::signatures(&bytes);
    if threshold == 0 && signatures > 0 {
        let unchecked = Unchecked {
            checkpoint: path.display().to_string(),
            signatures_not_checked: signatures,
        };
        let why = match args.sign.is_empty() {
            true => "assay.toml has no [witnesses]",
            false => "who signs it takes nobody's word",
        };
        let text = format!(
            "nobody's signature on {} was checked ({signatures} are on it), since {why}: it is as good as the place where it was kept",
            path.display()
        );
        context.output.aside(&unchecked, &text)?;
    }
    let broken = checkpoint.broken(store, anchors);
    Ok(Some((checkpoint, broken)))
}

/// Writes, or signs, a checkpoint.
fn keep_checkpoint(
    context: &Context,
    site: &Site,
    anchors: &Anchors,
    store: &dyn Store,
    args: &VerifyArgs,
    checked: Option<Checkpoint>,
) -> Result<(), Failure> {
    let keys = args.sign.iter().map(|key| site.ed25519_key(key));
    let keys = keys.collect::<Result<Vec<_>, _>>()?;
    if let Some(path) = &args.write_checkpoint {
        let made = Checkpoint::of(store, anchors, context.now());
        let made = made.map_err(|problem| VerifyError::Checkpoint(format!("{}: {}", problem.object, problem.why)))?;
        files::write(path, &made.to_bytes(&keys, None)?)?;
        context.output.note(&format!("wrote {}", path.display()));
    } else if let (Some(checked), false) = (checked, keys.is_empty()) {
        let path = args.checkpoint.clone().unwrap_or_else(|| site.checkpoint_file());
        let before = files::read(&path, LARGEST_CHECKPOINT)?;
        files::write(&path, &checked.to_bytes(&keys, Some(&before))?)?;
        context.output.note(&format!("signed {}", path.display()));
    }
    Ok(())
}

/// What waits for a decision and is gone. Where that cannot be said it is noted: a declaration that cannot be read is no
/// damage to the store.
pub(super) fn held(context: &Context, site: &Site, store: &dyn Store, custom: &[ArchiveName], report: &mut Report) {
    for archive in custom {
        match check_held(site, store, archive) {
            Ok(problems) => report.problems.extend(problems),
            Err(CollectError::Declaration(error)) => {
                let object = format!("repos/{archive}");
                report
                    .problems
                    .push(Problem::new(Problem::SOURCE, object, error.to_string()));
            }
            Err(error) => context.output.note(&format!(
                "`{archive}`: it is not known what waits for a decision: {error}"
            )),
        }
    }
}

/// The snapshots that are kept, by their archive's rules or by hand, and that clients refuse. What Git pins is not asked
/// for: that may need a network.
fn expired(context: &Context, site: &Site, store: &dyn Store) -> Result<Vec<Problem>, Failure> {
    let mut problems = Vec::new();
    for archive in site.archives().keys() {
        let chain = load_vouched(store, archive, &site.archive_keyring(archive)?)?;
        let keeping = Keeping::of(context, site, store, &chain, &Pinned::default())?;
        for (edition, verdict) in keeping.expired(store, &chain)? {
            let (Verdict::Kept(kept), Some(until)) = (verdict, edition.valid_until()) else {
                continue;
            };
            let why = format!(
                "it is kept ({}), and clients refuse it since {until}: run `assay snapshot renew --all`",
                kept.join(", ")
            );
            problems.push(Problem::new(
                Problem::EXPIRED,
                format!("{archive}@{}", edition.name),
                why,
            ));
        }
    }
    Ok(problems)
}

/// One line for each problem; as JSON they are part of the report.
pub(super) fn problems(context: &Context, problems: &[Problem]) -> Result<(), Failure> {
    for problem in problems.iter().filter(|_| !context.output.json) {
        let mut text = format!("{} {}: {}", problem.code, problem.object, problem.why);
        if !problem.also.is_empty() {
            text.push_str(&format!(" (the same object as {})", problem.also.join(", ")));
        }
        context.output.record(problem, &text)?;
    }
    Ok(())
}

/// Derives every declared source from its Git repository again.
fn sources(context: &Context, site: &Site) -> Result<Vec<Problem>, Failure> {
    let mut problems = Vec::new();
    for archive in named_or_all(site, &[], |archive| matches!(archive, ArchiveConfig::Custom(_)))? {
        let work = Work::open(context, Some(&archive))?;
        for name in site.declared(&archive)? {
            let derived = work.declared(&name).and_then(|declared| work.derive(&declared));
            if let Err(failure) = derived {
                let object = format!("repos/{archive}/{name}.toml");
                problems.push(Problem::new(Problem::SOURCE, object, failure.cause()));
            }
        }
    }
    Ok(problems)
}
