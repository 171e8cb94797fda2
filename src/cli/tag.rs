//! `assay tag`: a name for a state of every archive named, kept until it is let go.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;

use super::args::TagArgs;
use super::context::{Context, nonce};
use super::failure::{Failure, Later, UsageError};
use super::mirror::{made, upstream_uri};
use super::sources::references;
use super::work::Unframed;
use crate::domain::{ArchiveName, Kind, SnapshotName, SnapshotRef, TagName};
use crate::environment::Lock;
use crate::format::json;
use crate::format::manifest::Manifest;
use crate::format::site_lock::SiteLock;
use crate::publish::{self, Part, Tagging, is_new_tag, load_vouched, select_packages};
use crate::site::{ArchiveConfig, Site};
use crate::snapshot::{Record, SuiteState};
use crate::store::{Key, Store};
use crate::upstream::{Client, Limits, fill_pool, lacking, was_filled};

#[derive(Serialize)]
struct Tagged<'a> {
    tag: &'a str,
    archive: &'a ArchiveName,
    serial: &'a str,
    partial: bool,
    state: &'static str,
}

#[derive(Serialize)]
struct NotFound<'a> {
    missing: &'a str,
    version: &'a str,
    architecture: String,
    source_of: Option<&'a str>,
}

pub(super) fn run(context: &Context, args: &TagArgs) -> Result<ExitCode, Failure> {
    let site = context.site()?;
    let store = context.store(&site)?;
    if site
        .archives()
        .keys()
        .any(|archive| archive.as_str() == args.tag.as_str())
    {
        let why = format!(
            "`{}` is an archive of this site: URLs could not tell the two apart",
            args.tag
        );
        return Err(UsageError::Argument(why).into());
    }
    let archives = site.archives().keys();
    let writing = archives.map(|archive| context.writing(&store, archive, "tag"));
    let _working = writing.collect::<Result<Vec<_>, _>>()?;
    if !args.manifests.is_empty() {
        return partial(context, &site, store.as_ref(), args);
    }
    let references = named(context, &site, store.as_ref(), args)?;
    tag_whole(context, &site, store.as_ref(), args, &references)
}

/// That no archive has the name of a tag that was made before it: the tag's URLs would be the archive's.
pub(super) fn check_names(site: &Site, store: &dyn Store) -> Result<(), Failure> {
    for archive in site.archives().keys() {
        let Ok(tag) = archive.as_str().parse::<TagName>() else {
            continue;
        };
        for tagged in site.archives().keys() {
            if store.head(&Key::tag(tagged, &tag))?.is_some() {
                let why = format!(
                    "the archive `{archive}` has the name of a tag of `{tagged}`: URLs could not tell the two apart; \
                     name the file `repos/{archive}.toml` otherwise"
                );
                return Err(UsageError::Argument(why).into());
            }
        }
    }
    Ok(())
}

/// Tags whole snapshots.
fn tag_whole(
    context: &Context,
    site: &Site,
    store: &dyn Store,
    args: &TagArgs,
    references: &[SnapshotRef],
) -> Result<ExitCode, Failure> {
    let mut states = Vec::new();
    for reference in references {
        let chain = load_vouched(store, &reference.archive, &site.archive_keyring(&reference.archive)?)?;
        let record = chain.resolve(store, &reference.name)?;
        states.push((record.suites.clone(), record));
    }
    for (suites, of) in &states {
        is_new_tag(store, &tagging_of(args, suites, of, false))?;
        keep_files(context, site, store, args, of)?;
    }
    make_all(context, site, store, args, (&states, false))
}

/// What a lock names, or the command line, or the latest.
fn named(context: &Context, site: &Site, store: &dyn Store, args: &TagArgs) -> Result<Vec<SnapshotRef>, Failure> {
    match &args.lock {
        Some(file) => super::lock::references(site, store, file),
        None => references(context, site, store, &args.snapshots),
    }
}

/// Tags what manifests name.
fn partial(context: &Context, site: &Site, store: &dyn Store, args: &TagArgs) -> Result<ExitCode, Failure> {
    let manifest = read_manifests(site, store, &args.manifests)?;
    if manifest.binaries.is_empty() && manifest.sources.is_empty() {
        return whole(context, site, store, args, &manifest);
    }
    let snapshots = snapshots(context, site, store, args, &manifest)?;
    let selection = select_packages(store, snapshots, &manifest)?;
    for missing in &selection.unsourced {
        context
            .output
            .note(&format!("no archive that has it offers sources: {missing}"));
    }
    if !selection.missing.is_empty() {
        for missing in &selection.missing {
            let package = &missing.package;
            let shown = NotFound {
                missing: package.package.as_str(),
                version: package.version.as_str(),
                architecture: package.architecture.to_string(),
                source_of: missing.source_of.as_deref(),
            };
            context.output.record(&shown, &format!("not found: {missing}"))?;
        }
        let count = selection.missing.len();
        context.output.note(&format!(
            "{count} packages are in none of the snapshots: no tag was made. `--snapshot ARCHIVE@ID` looks in an older one"
        ));
        return Ok(ExitCode::from(Kind::Refused.exit_code()));
    }
    let mut states = Vec::new();
    for part in selection.parts {
        let suites = part.stage(store)?;
        fetch(context, site, store, &part, &suites)?;
        states.push((suites, part.of));
    }
    make_all(context, site, store, args, (&states, true))
}

/// Tags the snapshots that manifests name, when they name no package: as locks do that have no admitted source.
fn whole(
    context: &Context,
    site: &Site,
    store: &dyn Store,
    args: &TagArgs,
    manifest: &Manifest,
) -> Result<ExitCode, Failure> {
    let reference = |(archive, name): (&ArchiveName, &Option<SnapshotName>)| {
        name.clone().map(|name| SnapshotRef {
            archive: archive.clone(),
            name,
        })
    };
    let references: Vec<SnapshotRef> = manifest.origins.iter().filter_map(reference).collect();
    if references.is_empty() {
        let why = "the manifests name neither a package nor a snapshot: there is nothing to tag";
        return Err(UsageError::Argument(why.to_owned()).into());
    }
    context.output.note(
        "the manifests name no package, only snapshots: these are tagged whole; next: to tag less, give the list of what \
         was used as well, such as `--manifest image.build-manifest`",
    );
    tag_whole(context, site, store, args, &references)
}

/// The snapshot of each archive: what the manifests say, else what the command line says, else the latest.
fn snapshots(
    context: &Context,
    site: &Site,
    store: &dyn Store,
    args: &TagArgs,
    manifest: &Manifest,
) -> Result<Vec<Record>, Failure> {
    let named = manifest
        .origins
        .keys()
        .chain(args.snapshots.iter().map(|reference| &reference.archive));
    for archive in named {
        site.archive(archive)?;
    }
    let mut records = Vec::new();
    let locked = args
        .lock
        .as_ref()
        .map(|file| super::lock::references(site, store, file));
    let given = locked.transpose()?.unwrap_or_else(|| args.snapshots.clone());
    for archive in site.archives().keys() {
        let given = given.iter().find(|reference| reference.archive == *archive);
        let given = given.map(|reference| reference.name.clone());
        let name = manifest.origins.get(archive).cloned().flatten().or(given);
        let chain = load_vouched(store, archive, &site.archive_keyring(archive)?)?;
        if chain.is_empty() && name.is_none() {
            context.output.note(&format!("{archive} has no snapshot yet: left out"));
            continue;
        }
        records.push(chain.resolve(store, &name.unwrap_or(SnapshotName::Latest))?);
    }
    Ok(records)
}

fn read_manifests(site: &Site, store: &dyn Store, paths: &[PathBuf]) -> Result<Manifest, Failure> {
    let mut all = Manifest::default();
    for path in paths {
        all.merge(read_manifest(site, store, path)?);
    }
    Ok(all)
}

fn read_manifest(site: &Site, store: &dyn Store, path: &Path) -> Result<Manifest, Failure> {
    let bytes = Unframed::read(path)?.text;
    if bytes.trim_ascii_start().starts_with(b"{") {
        return Ok(json::strict::<Lock>("environment lock", &bytes)?.manifest());
    }
    if SiteLock::is_one(&bytes) {
        return super::lock::manifest(site, store, path);
    }
    Ok(Manifest::parse(&bytes)?)
}

/// Fetches the pool files that a mirror's part of the tag needs: upstream may drop them any day.
fn fetch(context: &Context, site: &Site, store: &dyn Store, part: &Part, suites: &[SuiteState]) -> Result<(), Failure> {
    let archive = &part.of.archive;
    let ArchiveConfig::Mirror(config) = site.archive(archive)? else {
        return Ok(());
    };
    for path in part.pool_files()?.keys() {
        if store.head(&Key::pool(archive, path))?.is_none() {
            let client = Client::new(&upstream_uri(site, archive)?, Limits::of(config))?;
            return Ok(fill_pool(&client, store, archive, suites, &context.progress).map(drop)?);
        }
    }
    Ok(())
}

/// Fetches the pool files of a whole snapshot of a mirror, or says that a lazy pool lacks them.
fn keep_files(context: &Context, site: &Site, store: &dyn Store, args: &TagArgs, of: &Record) -> Result<(), Failure> {
    let (archive, suites) = (&of.archive, &of.suites);
    let ArchiveConfig::Mirror(config) = site.archive(archive)? else {
        return Ok(());
    };
    if args.fetch {
        let client = Client::new(&upstream_uri(site, archive)?, Limits::of(config))?;
        let fetched = fill_pool(&client, store, archive, suites, &context.progress)?;
        context
            .output
            .note(&format!("{archive}: fetched {fetched} pool files of `{}`", args.tag));
        return Ok(());
    }
    if was_filled(store, archive, suites, context.now())? {
        return Ok(());
    }
    let (files, bytes) = lacking(store, archive, suites)?;
    if files > 0 {
        context.output.note(&format!(
            "{archive}: {files} pool files ({bytes} bytes) of `{tag}` are not here, and upstream may drop them any day; \
             next: `assay tag {tag} --fetch`, with the same snapshots, fetches them now",
            tag = args.tag
        ));
    }
    Ok(())
}

/// Makes the tag of every archive, or of none when one has it with other content.
fn make_all(
    context: &Context,
    site: &Site,
    store: &dyn Store,
    args: &TagArgs,
    (states, partial): (&[(Vec<SuiteState>, Record)], bool),
) -> Result<ExitCode, Failure> {
    for (suites, of) in states {
        is_new_tag(store, &tagging_of(args, suites, of, partial))?;
    }
    let mut later = Later::default();
    for (suites, of) in states {
        let nonce = nonce();
        let made = made(context, None, "tagged", &nonce);
        let key = context.signers(site, &of.archive)?;
        let tagging = tagging_of(args, suites, of, partial);
        let done = publish::tag(store, tagging, made, &key, site.config().public_url.as_str());
        let Some((_, new)) = later.of(done.map_err(Failure::from))? else {
            continue;
        };
        let tagged = Tagged {
            tag: args.tag.as_str(),
            archive: &of.archive,
            serial: of.serial.as_str(),
            partial,
            state: if new { "new" } else { "unchanged" },
        };
        let text = format!("{} {} {} {}", tagged.archive, args.tag, tagged.serial, tagged.state);
        context.output.record(&tagged, &text)?;
    }
    later.end()
}

fn tagging_of<'a>(args: &'a TagArgs, suites: &[SuiteState], of: &'a Record, partial: bool) -> Tagging<'a> {
    Tagging {
        tag: &args.tag,
        of,
        suites: suites.to_vec(),
        partial,
    }
}
