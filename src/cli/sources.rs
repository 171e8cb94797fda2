//! `assay sources`: APT sources for exactly one state.

use std::process::ExitCode;

use serde::Serialize;

use super::args::SourcesArgs;
use super::context::Context;
use super::failure::{Failure, UsageError};
use crate::domain::{ArchiveName, SnapshotName, SnapshotRef, TagName, Timestamp};
use crate::site::Site;
use crate::snapshot::{Chain, Edition, EditionName, SuiteState, TagRecord};
use crate::store::Store;

/// One source of APT.
#[derive(Serialize)]
pub(super) struct Source {
    types: String,
    uri: String,
    suites: Vec<String>,
    components: Vec<String>,
    architectures: Vec<String>,
    signed_by: String,
    /// Nothing in it is proven.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    unproven: bool,
    /// Its `Valid-Until`, which has passed: apt refuses it until it is renewed.
    #[serde(skip_serializing_if = "Option::is_none")]
    expired: Option<Timestamp>,
}

pub(super) fn run(context: &Context, args: &SourcesArgs) -> Result<ExitCode, Failure> {
    if let Some(folder) = &args.tails_checkout {
        return super::checkout::sources(context, args, folder);
    }
    let site = context.site()?;
    let store = context.store_if_any(&site)?;
    let url = args
        .url
        .as_deref()
        .unwrap_or(site.config().public_url.as_str())
        .trim_end_matches('/');
    let references = match (&args.tag, &args.lock) {
        (Some(tag), _) => tagged(&site, store.as_ref(), tag)?,
        (None, Some(file)) => super::lock::references(&site, store.as_ref(), file)?,
        (None, None) => references(context, &site, store.as_ref(), &args.snapshots)?,
    };
    super::snapshot::known(&site, store.as_ref(), &references)?;
    for reference in references {
        let chain = Chain::load(store.as_ref(), &reference.archive)?;
        let source = source(context, &site, url, &chain.edition(store.as_ref(), &reference.name)?)?;
        context.output.record(&source, &stanza(&source))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Every archive that has a tag, at that tag.
fn tagged(site: &Site, store: &dyn Store, tag: &TagName) -> Result<Vec<SnapshotRef>, Failure> {
    let mut found = Vec::new();
    for archive in site.archives().keys() {
        if TagRecord::find(store, archive, tag)?.is_some() {
            found.push(SnapshotRef {
                archive: archive.clone(),
                name: SnapshotName::Tag(tag.clone()),
            });
        }
    }
    if found.is_empty() {
        return Err(UsageError::NotFound(format!("no archive has a tag `{tag}`")).into());
    }
    Ok(found)
}

/// The snapshots that were named, or the latest of every archive that has one.
pub(super) fn references(
    context: &Context,
    site: &Site,
    store: &dyn Store,
    named: &[SnapshotRef],
) -> Result<Vec<SnapshotRef>, Failure> {
    let mut references = named.to_vec();
    if !named.is_empty() {
        return Ok(references);
    }
    for archive in site.archives().keys() {
        references.extend(latest_of(context, archive, &Chain::load(store, archive)?));
    }
    if references.is_empty() {
        return Err(none_yet());
    }
    Ok(references)
}

/// The newest snapshot of an archive; that there is none is said.
pub(super) fn latest_of(context: &Context, archive: &ArchiveName, chain: &Chain) -> Option<SnapshotRef> {
    if chain.is_empty() {
        context.output.note(&format!("{archive} has no snapshot yet: left out"));
        return None;
    }
    Some(SnapshotRef {
        archive: archive.clone(),
        name: SnapshotName::Latest,
    })
}

/// No archive has anything.
pub(super) fn none_yet() -> Failure {
    let why = "no archive has a snapshot yet: make one with `assay mirror` or `assay admit`";
    UsageError::NotFound(why.to_owned()).into()
}

/// The snapshot's own URL, `<url>/<archive>/<id>/`: every apt takes it, and it means one state for ever.
fn source(context: &Context, site: &Site, url: &str, edition: &Edition) -> Result<Source, Failure> {
    let name = match &edition.name {
        EditionName::Serial(_) => edition.id.as_str(),
        EditionName::Tag(tag) => tag.as_str(),
    };
    let uri = format!("{url}/{}/{name}/", edition.archive);
    Source::of_edition(context, site, edition, uri)
}

impl Source {
    /// One suite with the component `main`, by its own certificate.
    pub(super) fn of_suite(uri: String, suite: String, architecture: String, signed_by: String) -> Self {
        Self {
            types: "deb".to_owned(),
            uri,
            suites: vec![suite],
            components: vec!["main".to_owned()],
            architectures: vec![architecture],
            signed_by,
            unproven: false,
            expired: None,
        }
    }

    /// All suites of an edition, at a URL. That clients refuse it by now is said.
    pub(super) fn of_edition(context: &Context, site: &Site, edition: &Edition, uri: String) -> Result<Self, Failure> {
        let expired = edition.valid_until().filter(|until| *until <= context.now());
        if let Some(until) = expired {
            let name = format!("{}@{}", edition.archive, edition.name);
            context.output.note(&format!(
                "{name} has expired: apt refuses it, since its Valid-Until is {until}; `assay snapshot renew {name}` makes it valid again"
            ));
        }
        let source = Self::new(site, &edition.archive, &edition.suites, uri)?;
        Ok(Self { expired, ..source })
    }

    /// These suites of an archive, at a URL.
    pub(super) fn new(site: &Site, archive: &ArchiveName, suites: &[SuiteState], uri: String) -> Result<Self, Failure> {
        let first = suites.first();
        let first = first.ok_or_else(|| UsageError::NotFound(format!("`{archive}` has no suites")))?;
        Ok(Self {
            types: "deb".to_owned(),
            uri,
            suites: suites.iter().map(|suite| suite.suite.to_string()).collect(),
            components: first.components.iter().map(ToString::to_string).collect(),
            architectures: first
                .architectures
                .iter()
                .filter(|a| !a.is_all())
                .map(ToString::to_string)
                .collect(),
            signed_by: site.certificates(archive)?,
            unproven: suites.iter().any(SuiteState::is_unproven),
            expired: None,
        })
    }
}

/// One deb822 stanza, the key embedded: apt of bookworm and later read it.
pub(super) fn stanza(source: &Source) -> String {
    let key: Vec<String> = source
        .signed_by
        .trim_end()
        .lines()
        .map(|line| {
            if line.is_empty() {
                " .".to_owned()
            } else {
                format!(" {line}")
            }
        })
        .collect();
    let mark = match source.unproven {
        true => "# unproven: nobody rebuilt the packages of this source\n",
        false => "",
    };
    format!(
        "{mark}Types: {}\nURIs: {}\nSuites: {}\nComponents: {}\nArchitectures: {}\nSigned-By:\n{}\n",
        source.types,
        source.uri,
        source.suites.join(" "),
        source.components.join(" "),
        source.architectures.join(" "),
        key.join("\n")
    )
}
