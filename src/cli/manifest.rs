//! `assay manifest`: build manifests, made from what a build fetched, and compared.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::context::Context;
use super::failure::{Failure, UsageError};
use super::work::Unframed;
use crate::domain::{ArchiveName, SnapshotName, Version};
use crate::format::manifest::{LARGEST, Likeness, Manifest, ManifestDiff};
use crate::host::files;

/// Build manifests: which packages, and which snapshots, something was built from
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  assay manifest build --logs LOGS > build.manifest\n  assay manifest diff old.manifest build.manifest"
)]
pub(super) struct ManifestArgs {
    #[command(subcommand)]
    verb: ManifestVerb,
}

#[derive(Debug, Subcommand)]
enum ManifestVerb {
    /// Write the manifest of a build, from the logs of what it fetched, to standard output
    ///
    /// The folder has the files `deburis` and `binuris` (binary packages) and `srcuris` (sources), each with
    /// lines of `package version uri`; one with binary packages is needed: a build that fetched none is a lost log. A file `unknown` in it says that the build did what
    /// was not captured: then nothing is written. The snapshots are told by the URIs.
    #[command(after_help = "Example:\n  assay manifest build --logs tmp/apt --extra config/extra.yml > build-manifest")]
    Build {
        /// The folder of logs
        #[arg(long, value_name = "DIR")]
        logs: PathBuf,
        /// A manifest with packages that the logs miss; may be given more than once
        #[arg(long, value_name = "FILE")]
        extra: Vec<PathBuf>,
        /// Only what the first version of the format has
        #[arg(long)]
        v1: bool,
    },
    /// Compare two manifests, by package and by snapshot
    ///
    /// The last line is the verdict. Exit 0: identical. 7: similar, which is the same packages, and only archives
    /// that may move on (`--moving`) have a later snapshot in the second. 8: different.
    #[command(after_help = "Example:\n  assay manifest diff almost-final.build-manifest final.build-manifest")]
    Diff {
        /// The first
        #[arg(value_name = "A")]
        before: PathBuf,
        /// The second
        #[arg(value_name = "B")]
        after: PathBuf,
        /// An archive that is always used at its latest; may be given more than once
        #[arg(long, value_name = "ARCHIVE", default_value = "debian-security")]
        moving: Vec<ArchiveName>,
    },
}

#[derive(Serialize)]
struct PackageLine<'a> {
    package: &'a str,
    architecture: &'a str,
    before: &'a [Version],
    after: &'a [Version],
    other_bytes: &'a [Version],
}

pub(super) fn run(context: &Context, args: &ManifestArgs) -> Result<ExitCode, Failure> {
    match &args.verb {
        ManifestVerb::Build { logs, extra, v1 } => build(context, logs, extra, *v1),
        ManifestVerb::Diff { before, after, moving } => diff(context, before, after, moving),
    }
}

fn build(context: &Context, logs: &Path, extra: &[PathBuf], v1: bool) -> Result<ExitCode, Failure> {
    if files::exists(&logs.join("unknown")) {
        let why = format!(
            "`{}` says that the build did what was not captured",
            logs.join("unknown").display()
        );
        return Err(UsageError::Argument(why).into());
    }
    let mut manifest = Manifest::default();
    let mut found = false;
    for (name, add) in [
        (
            "deburis",
            Manifest::add_fetched_binaries as fn(&mut Manifest, &[u8]) -> _,
        ),
        ("binuris", Manifest::add_fetched_binaries),
        ("srcuris", Manifest::add_fetched_sources),
    ] {
        let path = logs.join(name);
        if files::exists(&path) {
            found = true;
            add(&mut manifest, &files::read(&path, LARGEST as u64)?)?;
        }
    }
    if !found {
        let why = format!("`{}` has none of `deburis`, `binuris` and `srcuris`", logs.display());
        return Err(UsageError::Argument(why).into());
    }
    if manifest.binaries.is_empty() {
        let why = format!(
            "`{}` tells of no binary package: `deburis` and `binuris` are absent or empty",
            logs.display()
        );
        return Err(UsageError::Argument(why).into());
    }
    for path in extra {
        manifest.merge(read(path)?);
    }
    let bytes = if v1 { manifest.to_v1() } else { manifest.to_v2() };
    context.output.file(&bytes)?;
    Ok(ExitCode::SUCCESS)
}

fn diff(context: &Context, before: &Path, after: &Path, moving: &[ArchiveName]) -> Result<ExitCode, Failure> {
    let found = ManifestDiff::of(&read(before)?, &read(after)?);
    for one in &found.packages {
        let line = PackageLine {
            package: one.package.as_str(),
            architecture: &one.architecture,
            before: &one.before,
            after: &one.after,
            other_bytes: &one.other_bytes,
        };
        let mut text = format!(
            "package {} {} {} {}",
            one.package,
            one.architecture,
            list(&one.before),
            list(&one.after)
        );
        if !one.other_bytes.is_empty() {
            text.push_str(&format!(" other bytes: {}", list(&one.other_bytes)));
        }
        context.output.record(&line, &text)?;
    }
    for one in &found.origins {
        let value = serde_json::json!({ "archive": one.archive, "before": one.before.as_ref().map(ToString::to_string), "after": one.after.as_ref().map(ToString::to_string) });
        let text = format!(
            "snapshot {} {} {}",
            one.archive,
            name(one.before.as_ref()),
            name(one.after.as_ref())
        );
        context.output.record(&value, &text)?;
    }
    let likeness = found.likeness(moving);
    let value = serde_json::json!({ "verdict": likeness.as_str() });
    context.output.record(&value, likeness.as_str())?;
    Ok(ExitCode::from(match likeness {
        Likeness::Identical => 0,
        Likeness::Similar => 7,
        Likeness::Different => 8,
    }))
}

fn list(versions: &[Version]) -> String {
    let versions: Vec<_> = versions.iter().map(ToString::to_string).collect();
    if versions.is_empty() {
        "-".to_owned()
    } else {
        versions.join(",")
    }
}

fn name(snapshot: Option<&SnapshotName>) -> String {
    snapshot.map_or_else(|| "-".to_owned(), ToString::to_string)
}

fn read(path: &Path) -> Result<Manifest, Failure> {
    Ok(Manifest::parse(&Unframed::read(path)?.text)?)
}
