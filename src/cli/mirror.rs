//! `assay mirror`: follow upstream.

use std::process::ExitCode;

use serde::Serialize;

use super::args::MirrorArgs;
use super::context::{Context, named_or_all, nonce};
use super::failure::{Failure, UsageError};
use crate::domain::ArchiveName;
use crate::host::apt_sources;
use crate::publish;
use crate::site::{ArchiveConfig, PoolMode, Site};
use crate::snapshot::{Chain, Committed, Made, Record, SuiteState};
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
    let url = &site.config().public_url;
    let (suites, reason) = match (followed, chain.latest()) {
        (Followed::Changed(suites), None) => (suites, "first snapshot"),
        (Followed::Changed(suites), Some(_)) => (suites, "upstream changed"),
        (Followed::Unchanged, Some(latest)) => {
            let state = keep_fresh(context, store, &chain, config.valid_days, &key, url)?;
            return Ok((latest.clone(), state));
        }
        (Followed::Unchanged, None) => {
            return Err(UsageError::Argument(format!("`{archive}` has no snapshot to be unchanged")).into());
        }
    };
    if config.pool == PoolMode::Full {
        upstream::fill_pool(&client, store, archive, &suites, &context.progress)?;
    }
    let record = make(context, store, &chain, suites, config.valid_days, reason, &key)?;
    publish::publish(store, archive, &key, url)?;
    Ok((record, "new"))
}

/// What is left to do for an archive that has not changed: clients refuse what is past its
/// Valid-Until, so it is renewed when half of the time is over; and a crash after a commit leaves a
/// record unpublished.
pub(super) fn keep_fresh(
    context: &Context,
    store: &dyn Store,
    chain: &Chain,
    valid_days: u32,
    key: &ArchiveKey,
    public_url: &str,
) -> Result<&'static str, Failure> {
    let (Some(latest), Some(edition)) = (chain.latest(), chain.latest_edition()) else {
        return Ok("unchanged");
    };
    if edition.renewal_due(context.now()) {
        let nonce = nonce();
        let made = made(context, Some(valid_days), "renewed: nothing changed", &nonce);
        publish::renew(store, chain, latest, true, made, key, public_url)?;
        return Ok("renewed");
    }
    if !publish::is_published(store, &edition)? {
        publish::publish(store, chain.archive(), key, public_url)?;
    }
    Ok("unchanged")
}

/// How what this program makes now comes about.
pub(super) fn made<'a>(context: &Context, valid_days: Option<u32>, reason: &'a str, nonce: &'a str) -> Made<'a> {
    Made {
        valid_days,
        reason,
        by: concat!("assay ", env!("CARGO_PKG_VERSION")),
        nonce,
        now: context.now(),
    }
}

/// Makes the next snapshot of an archive.
fn make(
    context: &Context,
    store: &dyn Store,
    chain: &Chain,
    suites: Vec<SuiteState>,
    valid_days: u32,
    reason: &str,
    key: &ArchiveKey,
) -> Result<Record, Failure> {
    let nonce = nonce();
    let record = chain.next(store, suites, made(context, Some(valid_days), reason, &nonce))?;
    if publish::commit(store, &record, key)? == Committed::Conflict {
        return Err(UsageError::Conflict(chain.archive().to_string()).into());
    }
    Ok(record)
}
