//! `assay sources --tails-checkout`, `assay freeze` and `assay thaw`: an image's checkout.

use std::process::ExitCode;

use serde::Serialize;

use super::args::{FreezeArgs, SourcesArgs};
use super::context::{Context, custom_archive};
use super::failure::{Failure, UsageError};
use super::sources::{Source, stanza};
use crate::domain::{ArchiveName, Serial, SnapshotName};
use crate::format::json;
use crate::site::Site;
use crate::snapshot::Chain;
use crate::source::checkout::{
    Checkout, Frozen, Origin, Resolved, SerialChange, Serials, change_serials, check_replayed, read_serials,
};
use crate::store::Store;

/// `assay sources --tails-checkout`.
pub(super) fn sources(context: &Context, args: &SourcesArgs, folder: &std::path::Path) -> Result<ExitCode, Failure> {
    let site = context.site()?;
    let store = context.store(&site)?;
    let checkout = Checkout::read(folder, &args.serial_files, &site.cache())?;
    let resolved = checkout.resolve(&site.branch_policy()?)?;
    let replayed = args
        .serials
        .as_deref()
        .map(|text| json::strict("serials", text.as_bytes()));
    let replayed: Option<Serials> = replayed.transpose()?;
    if let Some(replayed) = &replayed {
        check_replayed(replayed, site.archives().keys())?;
    }
    let mut serials = Serials::new();
    for (archive, frozen) in &checkout.serials {
        let settled = frozen.settle(archive, replayed.as_ref())?;
        let serial = settled.map_or_else(|| newest(store.as_ref(), archive), Ok)?;
        serials.insert(archive.clone(), serial);
    }
    if args.print_serials_only {
        return print_serials(context, &serials);
    }
    let url = args.url.as_deref().unwrap_or(site.config().public_url.as_str());
    let url = url.trim_end_matches('/');
    // Nothing is printed before all is known: half of the sources would be another build.
    let mut sources = Vec::new();
    for (archive, serial) in serials {
        let (name, uri) = match resolved.archives.get(&archive) {
            Some(Origin::Tagged(tag)) => (SnapshotName::Tag(tag.clone()), format!("{url}/{tag}/{archive}/")),
            _ => {
                let uri = format!("{url}/{archive}/{serial}/");
                (SnapshotName::Serial(serial), uri)
            }
        };
        sources.push(state(context, &site, store.as_ref(), &archive, &name, uri)?);
    }
    if args.without_custom {
        needs_no_custom(&resolved)?;
    } else {
        sources.push(custom(context, &site, store.as_ref(), url, &resolved)?);
    }
    for source in &sources {
        context.output.record(source, &stanza(source))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn newest(store: &dyn Store, archive: &ArchiveName) -> Result<Serial, Failure> {
    let chain = Chain::load(store, archive)?;
    Ok(chain.resolve(store, &SnapshotName::Latest)?.serial)
}

fn print_serials(context: &Context, serials: &Serials) -> Result<ExitCode, Failure> {
    let lines: Vec<String> = serials
        .iter()
        .map(|(archive, serial)| format!("{archive}: {serial}"))
        .collect();
    context.output.record(serials, &lines.join("\n"))?;
    Ok(ExitCode::SUCCESS)
}

/// All suites of one state of an archive, at a URL.
pub(super) fn state(
    context: &Context,
    site: &Site,
    store: &dyn Store,
    archive: &ArchiveName,
    name: &SnapshotName,
    uri: String,
) -> Result<Source, Failure> {
    let edition = Chain::load(store, archive)?.edition(store, name)?;
    Source::of_edition(context, site, &edition, uri)
}

/// Whether a checkout can do without the custom archive: overlays and releases have packages of their own.
fn needs_no_custom(resolved: &Resolved) -> Result<(), Failure> {
    if !resolved.released && resolved.custom.len() == 1 {
        return Ok(());
    }
    let suites: Vec<String> = resolved.custom.iter().map(ToString::to_string).collect();
    let why = format!(
        "`--without-custom` would leave out what this checkout names: {}",
        suites.join(", ")
    );
    Err(UsageError::Argument(why).into())
}

/// The suites of the branch, its overlays or the release, in the custom archive's newest snapshot. Every
/// branch has a suite there: one that is left out without a word would be an image without its own packages.
fn custom(
    context: &Context,
    site: &Site,
    store: &dyn Store,
    url: &str,
    resolved: &Resolved,
) -> Result<Source, Failure> {
    let archive = custom_archive(site, site.branch_policy()?.custom.as_ref())?;
    let chain = Chain::load(store, &archive)?;
    if chain.latest().is_none() {
        return Err(UsageError::NoCustom(archive).into());
    }
    let mut newest = chain.edition(store, &SnapshotName::Latest)?;
    let mut found = Vec::new();
    for suite in &resolved.custom {
        let state = newest.suites.iter().find(|state| state.suite == *suite);
        found.push(state.cloned().ok_or_else(|| {
            let why = format!("`{archive}` has no suite `{suite}`: add it to repos/{archive}.toml, and publish");
            UsageError::Argument(why)
        })?);
    }
    newest.suites = found;
    let uri = format!("{url}/{archive}/{}/", newest.id);
    Source::of_edition(context, site, &newest, uri)
}

#[derive(Serialize)]
struct Changed<'a> {
    archive: &'a ArchiveName,
    old: String,
    new: String,
}

/// `assay freeze`: the newest serial of each archive.
pub(super) fn freeze(context: &Context, args: &FreezeArgs) -> Result<ExitCode, Failure> {
    let site = context.site()?;
    let store = context.store(&site)?;
    change(context, &site, args, |archive| {
        Ok(Frozen::At(newest(store.as_ref(), archive)?))
    })
}

/// `assay thaw`: `latest`.
pub(super) fn thaw(context: &Context, args: &FreezeArgs) -> Result<ExitCode, Failure> {
    change(context, &context.site()?, args, |_| Ok(Frozen::Latest))
}

/// Every new content is known before the first file is written.
fn change(
    context: &Context,
    site: &Site,
    args: &FreezeArgs,
    new: impl Fn(&ArchiveName) -> Result<Frozen, Failure>,
) -> Result<ExitCode, Failure> {
    let serials = read_serials(&args.checkout, &args.serial_files)?;
    if let Some(absent) = args.archives.iter().find(|archive| !serials.contains_key(*archive)) {
        let why = format!("`{absent}` has no serial file below `{}`", args.serial_files.display());
        return Err(UsageError::Argument(why).into());
    }
    let never = site.branch_policy()?.never_frozen;
    let mut changes = Vec::new();
    for (archive, old) in serials {
        let named = args.archives.contains(&archive);
        if named || (args.archives.is_empty() && !never.contains(&archive)) {
            let new = new(&archive)?;
            changes.push(SerialChange { archive, old, new });
        } else if never.contains(&archive) {
            let note = format!("{archive}: {old}, left alone: name it with `--archive {archive}` to change it");
            context.output.note(&note);
        }
    }
    change_serials(&args.checkout, &args.serial_files, &changes)?;
    for change in &changes {
        let changed = Changed {
            archive: &change.archive,
            old: change.old.to_string(),
            new: change.new.to_string(),
        };
        let text = format!("{}: {} → {}", changed.archive, changed.old, changed.new);
        context.output.record(&changed, &text)?;
    }
    context
        .output
        .note("Nothing is committed: look at `git diff`, then commit.");
    Ok(ExitCode::SUCCESS)
}
