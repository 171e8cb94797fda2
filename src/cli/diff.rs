//! `assay snapshot diff`: what differs between two editions of an archive.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::args::{DiffArgs, DiffBy};
use super::context::Context;
use super::failure::{Failure, UsageError};
use crate::domain::{PackageName, Sha256, SnapshotName, SnapshotRef, SuiteName, Version};
use crate::snapshot::{Chain, Change, Edition, PackageChange, diff_indexes, diff_packages};
use crate::store::Store;

pub(super) fn run(context: &Context, store: &dyn Store, args: &DiffArgs) -> Result<(), Failure> {
    let latest = || SnapshotRef {
        archive: args.old.archive.clone(),
        name: SnapshotName::Latest,
    };
    let new = args.new.clone().unwrap_or_else(latest);
    if new.archive != args.old.archive {
        let why = format!(
            "`{}` and `{new}` are of two archives: name two editions of one",
            args.old
        );
        return Err(UsageError::Argument(why).into());
    }
    let chain = Chain::load(store, &new.archive)?;
    let (old, new) = (chain.edition(store, &args.old.name)?, chain.edition(store, &new.name)?);
    if args.indexes {
        return indexes(context, &old, &new);
    }
    match args.by {
        DiffBy::Package => diff_packages(store, &old, &new, &mut |change| package(context, &change)),
        DiffBy::Source => {
            let mut sources = BTreeMap::<_, SourceCounts>::new();
            diff_packages(store, &old, &new, &mut |change| {
                let key = (change.place.suite.clone(), change.source.clone());
                sources.entry(key).or_default().add(change);
                Ok::<_, Failure>(())
            })?;
            sources.iter().try_for_each(|((suite, source), counts)| {
                let text = counts.text(suite, source.as_str());
                context.output.record(
                    &Named {
                        suite,
                        source: source.as_str(),
                        counts,
                    },
                    &text,
                )
            })
        }
        DiffBy::Component => {
            let mut components = BTreeMap::<_, Counts>::new();
            diff_packages(store, &old, &new, &mut |change| {
                let place = change.place;
                let key = (place.suite, place.component, place.architecture);
                components.entry(key).or_default().add(change.change);
                Ok::<_, Failure>(())
            })?;
            components
                .iter()
                .try_for_each(|((suite, component, architecture), counts)| {
                    let text = format!("{suite} {} {} {counts}", or_dash(component), or_dash(architecture));
                    let value = OfComponent {
                        suite,
                        component,
                        architecture,
                        counts,
                    };
                    context.output.record(&value, &text)
                })
        }
    }
}

fn indexes(context: &Context, old: &Edition, new: &Edition) -> Result<(), Failure> {
    for change in diff_indexes(old, new) {
        let bytes =
            |digest: Option<crate::domain::Digest>| digest.map_or_else(|| "-".to_owned(), |d| d.size.to_string());
        let (suite, path) = (&change.suite, &change.path);
        let text = format!(
            "{} {suite} {path} {} {}",
            change.change.as_str(),
            bytes(change.old),
            bytes(change.new)
        );
        context.output.record(&change, &text)?;
    }
    Ok(())
}

fn package(context: &Context, change: &PackageChange) -> Result<(), Failure> {
    let version = |version: &Option<Version>| version.as_ref().map_or("-", Version::as_str).to_owned();
    let text = format!(
        "{} {} {} {} {} {}",
        change.change.as_str(),
        change.place.suite,
        change.place.index,
        change.package,
        version(&change.old),
        version(&change.new)
    );
    context.output.record(change, &text)
}

/// How many packages differ in which way.
#[derive(Debug, Default, Serialize)]
struct Counts {
    added: u64,
    removed: u64,
    version: u64,
    bytes: u64,
}

impl Counts {
    fn add(&mut self, change: Change) {
        let count = match change {
            Change::Added => &mut self.added,
            Change::Removed => &mut self.removed,
            Change::Version => &mut self.version,
            Change::Bytes => &mut self.bytes,
        };
        *count = count.saturating_add(1);
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            added,
            removed,
            version,
            bytes,
        } = self;
        write!(f, "{added} added, {removed} removed, {version} version, {bytes} bytes")
    }
}

/// One source package: its own versions, and its binary packages.
#[derive(Debug, Default, Serialize)]
struct SourceCounts {
    old: Option<Version>,
    new: Option<Version>,
    #[serde(flatten)]
    binaries: Counts,
    /// What was counted: several indexes list a package for all architectures.
    #[serde(skip)]
    counted: BTreeSet<(PackageName, Option<Sha256>, Option<Sha256>)>,
}

impl SourceCounts {
    fn add(&mut self, change: PackageChange) {
        if change.place.architecture == "source" {
            (self.old, self.new) = (change.old, change.new);
        } else if self
            .counted
            .insert((change.package, change.old_sha256, change.new_sha256))
        {
            self.binaries.add(change.change);
        }
    }

    fn text(&self, suite: &SuiteName, source: &str) -> String {
        let version = |version: &Option<Version>| version.as_ref().map_or("-", Version::as_str).to_owned();
        format!(
            "{suite} {source} {} {} {}",
            version(&self.old),
            version(&self.new),
            self.binaries
        )
    }
}

#[derive(Serialize)]
struct Named<'a> {
    suite: &'a SuiteName,
    source: &'a str,
    #[serde(flatten)]
    counts: &'a SourceCounts,
}

#[derive(Serialize)]
struct OfComponent<'a> {
    suite: &'a SuiteName,
    component: &'a str,
    architecture: &'a str,
    #[serde(flatten)]
    counts: &'a Counts,
}

fn or_dash(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}
