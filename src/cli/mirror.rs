//! `assay mirror`: follow upstream.

use std::process::ExitCode;

use serde::Serialize;

use super::args::MirrorArgs;
use super::context::{Context, named_or_all, nonce};
use super::failure::{Failure, UsageError};
use crate::domain::ArchiveName;
use crate::host::apt_sources;
use crate::publish;
use crate::site::{ArchiveConfig, Site};
use crate::snapshot::{self, Chain, Committed, Record, SuiteState};
use crate::store::Store;
use crate::trust::ArchiveKey;
use crate::upstream::{self, Client, Follow, Followed};

#[derive(Serialize)]
struct Mirrored<'a> {
    archive: &'a ArchiveName,
    serial: String,
    id: String,
    state: &'static str,
}

pub(super) fn run(context: &Context, args: &MirrorArgs) -> Result<ExitCode, Failure> {
    let site = context.site()?;
    let store = context.store(&site)?;
    for archive in named_or_all(&site, &args.archives, |a| matches!(a, ArchiveConfig::Mirror(_)))? {
        let (record, state) = mirror(context, args, &site, store.as_ref(), &archive)?;
        let shown = Mirrored {
            archive: &archive,
            serial: record.serial.to_string(),
            id: record.id.to_string(),
            state,
        };
        context
            .output
            .record(&shown, &format!("{archive} {} {} {state}", shown.serial, shown.id))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The base URL of a mirror's upstream.
pub(super) fn upstream_uri(site: &Site, archive: &ArchiveName) -> Result<String, Failure> {
    let config = site.mirror(archive)?;
    let sources = if config.uri.is_some() {
        Vec::new()
    } else {
        apt_sources()?
    };
    Ok(upstream::mirror_uri(config, &sources)?)
}

fn mirror(
    context: &Context,
    args: &MirrorArgs,
    site: &Site,
    store: &dyn Store,
    archive: &ArchiveName,
) -> Result<(Record, &'static str), Failure> {
    let config = site.mirror(archive)?;
    let keyring = site.upstream_keyring(config)?;
    let client = Client::new(&upstream_uri(site, archive)?, upstream::Limits::default())?;
    let key = site.archive_key(&config.signing_key)?;
    let chain = publish::load_vouched(store, archive, &site.archive_keyring(&config.signing_key)?)?;
    let follow = Follow {
        client: &client,
        archive,
        config,
        keyring: &keyring,
        previous: chain.latest(),
        allow_release_info_change: args.allow_release_info_change,
    };
    let followed = upstream::follow(&follow, store, context.now(), &context.progress)?;
    let (suites, reason) = match (followed, chain.latest()) {
        (Followed::Changed(suites), None) => (suites, "first snapshot"),
        (Followed::Changed(suites), Some(_)) => (suites, "upstream changed"),
        // Clients refuse what is past its Valid-Until, however seldom upstream changes.
        (Followed::Unchanged, Some(latest)) if publish::renewal_due(latest, context.now()) => {
            (latest.suites.clone(), "renewed: upstream is unchanged")
        }
        (Followed::Unchanged, Some(latest)) => {
            // A crash after the commit leaves the record unpublished: finish that now.
            if !publish::is_published(store, latest)? {
                publish::publish(store, archive, &key, &site.config().public_url)?;
            }
            return Ok((latest.clone(), "unchanged"));
        }
        (Followed::Unchanged, None) => {
            return Err(UsageError::Argument(format!("`{archive}` has no snapshot to be unchanged")).into());
        }
    };
    let record = make(context, store, &chain, suites, config.valid_days, reason, &key)?;
    publish::publish(store, archive, &key, &site.config().public_url)?;
    Ok((record, "new"))
}

/// Makes the next snapshot of an archive.
pub(super) fn make(
    context: &Context,
    store: &dyn Store,
    chain: &Chain,
    suites: Vec<SuiteState>,
    valid_days: u32,
    reason: &str,
    key: &ArchiveKey,
) -> Result<Record, Failure> {
    let made_by = concat!("assay ", env!("CARGO_PKG_VERSION"));
    let record = snapshot::next(
        chain,
        suites,
        Some(valid_days),
        reason,
        made_by,
        &nonce(),
        context.now(),
    )?;
    if publish::commit(store, &record, key)? == Committed::Conflict {
        return Err(UsageError::Conflict(chain.archive().to_string()).into());
    }
    Ok(record)
}
