//! `assay include` and `assay remove`: packages into an unproven archive, and out of it.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::context::Context;
use super::failure::Failure;
use super::publish::writer;
use crate::domain::{ArchiveName, Component, PackageName, SuiteName, Version};
use crate::publish::{Destination, Gone, Included, Others, Published, exclude, include, read_all};

/// Put packages into an unproven archive, without the gate
///
/// Takes .deb, .udeb, .dsc (with what it names) and .changes (with all that it names). All of them are in the next snapshot, or
/// nothing changes. Other versions of the same package leave the suite; one that is newer is in the way. A name and version
/// never comes back with other bytes. What a package holds is unpacked, and refused when it is damaged, where the archive has
/// Contents or changelogs; else it is only hashed. Nothing of it is proven, which its Release, `why`, `verify` and `status` say.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  assay include apps stable hello_2.10-3_amd64.deb\n  assay include apps stable --component contrib tool_1.0_amd64.changes"
)]
pub(super) struct IncludeArgs {
    /// The unproven archive
    #[arg(value_name = "ARCHIVE")]
    archive: ArchiveName,
    /// The suite
    #[arg(value_name = "SUITE")]
    suite: SuiteName,
    /// The files
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// The component [default: the one that the package's Section begins with, or the archive's first]
    #[arg(long, value_name = "COMPONENT")]
    component: Option<Component>,
    /// Other versions stay, as aptly has it
    #[arg(long)]
    keep_older: bool,
}

/// Take packages out of a suite of an unproven archive
///
/// What has the name goes: binary packages and source packages. Snapshots and tags that have it keep it, and its version is
/// used up for good.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  assay remove apps stable hello\n  assay remove apps stable --source hello=2.10-3")]
pub(super) struct RemoveArgs {
    /// The unproven archive
    #[arg(value_name = "ARCHIVE")]
    archive: ArchiveName,
    /// The suite
    #[arg(value_name = "SUITE")]
    suite: SuiteName,
    /// What goes: `NAME` in each version, or `NAME=VERSION`
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,
    /// They are source packages, and go with all that was built of them
    #[arg(long)]
    source: bool,
}

#[derive(Serialize)]
struct Line<'a> {
    archive: &'a ArchiveName,
    suite: &'a SuiteName,
    component: &'a Component,
    package: &'a PackageName,
    version: &'a Version,
    architecture: &'a str,
    sha256: String,
}

pub(super) fn run(context: &Context, args: &IncludeArgs) -> Result<ExitCode, Failure> {
    let site = context.site()?;
    let config = site.unproven(&args.archive)?;
    let into = Destination {
        config,
        suite: &args.suite,
        component: args.component.as_ref(),
    };
    let read = read_all(&args.files, into, || {});
    let read: Vec<Vec<Included>> = read.into_iter().collect::<Result<_, _>>()?;
    let packages: Vec<Included> = read.into_iter().flatten().collect();
    let others = if args.keep_older { Others::Stay } else { Others::Go };
    let titles: Vec<String> = packages.iter().map(Included::title).collect();
    let reason = short("include", &titles, &args.suite);
    let store = context.store(&site)?;
    let _working = context.writing(&store, &args.archive, "include")?;
    let signer = context.signers(&site, &args.archive)?;
    let writer = writer(context, &site, store.as_ref(), (&args.archive, config), &signer)?;
    let published = include(&writer, &packages, others, &reason, context.now())?;
    show_included(context, &args.archive, &packages)?;
    show(context, &published)
}

/// One line for each package.
pub(super) fn show_included(context: &Context, archive: &ArchiveName, packages: &[Included]) -> Result<(), Failure> {
    for package in packages {
        let (suite, component, architecture) = (&package.suite, &package.component, package.architecture.as_ref());
        let line = Line {
            archive,
            suite,
            component,
            package: &package.package,
            version: &package.version,
            architecture: architecture.map_or("source", |of| of.as_str()),
            sha256: package.sha256.hex(),
        };
        let text = format!("{archive} {suite} {component} {}", package.title());
        context.output.record(&line, &text)?;
    }
    Ok(())
}

pub(super) fn remove(context: &Context, args: &RemoveArgs) -> Result<ExitCode, Failure> {
    let site = context.site()?;
    let config = site.unproven(&args.archive)?;
    let gone = args.names.iter().map(|text| {
        let (name, version) = match text.split_once('=') {
            Some((name, version)) => (name, Some(Version::new(version)?)),
            None => (text.as_str(), None),
        };
        Ok(Gone {
            name: PackageName::new(name)?,
            version,
            whole_source: args.source,
        })
    });
    let gone: Vec<Gone> = gone.collect::<Result<_, Failure>>()?;
    let store = context.store(&site)?;
    let _working = context.writing(&store, &args.archive, "remove")?;
    let signer = context.signers(&site, &args.archive)?;
    let writer = writer(context, &site, store.as_ref(), (&args.archive, config), &signer)?;
    let reason = short("remove", &args.names, &args.suite);
    let published = exclude(&writer, &args.suite, &gone, &reason, context.now())?;
    show(context, &published)
}

/// What a record says of why it was made, in one line that is no longer than people read.
fn short(act: &str, names: &[String], suite: &SuiteName) -> String {
    const SHOWN: usize = 5;
    let shown: Vec<&str> = names.iter().take(SHOWN).map(String::as_str).collect();
    let rest = names.len().saturating_sub(SHOWN);
    let more = if rest == 0 {
        String::new()
    } else {
        format!(" and {rest} more")
    };
    format!("{act} {}{more} ({suite}), without the gate", shown.join(", "))
}

/// The snapshot that clients see now.
pub(super) fn show(context: &Context, published: &Published) -> Result<ExitCode, Failure> {
    let Published {
        archive,
        name,
        id,
        written,
        ..
    } = published;
    let value = serde_json::json!({ "archive": archive, "serial": name.as_str(), "id": id, "written": written });
    let text = format!(
        "{archive} {name} {id} unproven {}",
        if *written == 0 { "unchanged" } else { "published" }
    );
    context.output.record(&value, &text)?;
    Ok(ExitCode::SUCCESS)
}
