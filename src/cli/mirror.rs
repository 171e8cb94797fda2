//! `assay mirror`: follow upstream.

use std::process::ExitCode;
use std::sync::Arc;

use serde::Serialize;

use super::args::MirrorArgs;
use super::context::{Context, named_or_all, nonce};
use super::failure::{Failure, UsageError, worst};
use super::taking::Taking;
use crate::domain::{ArchiveName, Kind};
use crate::host::{apt_sources, keep_little_memory};
use crate::publish::{self, PublishError, Signers};
use crate::site::{ArchiveConfig, Site};
use crate::snapshot::{Chain, Committed, Made, Record, SnapshotError, SuiteState};
use crate::store::{Store, StoreError};
use crate::upstream::{self, Client, Connections, Follow, Followed, Mended, Mender, Mending, Refused, UpstreamError};

#[derive(Serialize)]
struct Mirrored<'a> {
    archive: &'a ArchiveName,
    serial: String,
    id: String,
    state: &'static str,
}

/// What all archives of one run share.
struct Run<'a> {
    context: &'a Context,
    args: &'a MirrorArgs,
    site: &'a Site,
    store: &'a Arc<dyn Store>,
    connections: Connections,
}

pub(super) fn run(context: &Context, args: &MirrorArgs) -> Result<ExitCode, Failure> {
    keep_little_memory();
    let site = context.site()?;
    let store = context.store(&site)?;
    super::tag::check_names(&site, store.as_ref())?;
    let mut archives = named_or_all(&site, &args.archives, |a| matches!(a, ArchiveConfig::Mirror(_)))?;
    archives.sort();
    archives.dedup();
    let run = Run {
        context,
        args,
        site: &site,
        store: &store,
        connections: Connections::at_most(site.config().connections.get().into()),
    };
    if let [only] = archives.as_slice() {
        run.archive(only)?;
        return Ok(ExitCode::SUCCESS);
    }
    // Each on its own: what is wrong with one upstream is no reason to fall behind another.
    let codes = std::thread::scope(|scope| {
        let threads: Vec<_> = archives
            .iter()
            .map(|archive| scope.spawn(|| run.one_of_many(archive)))
            .collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, u8>| thread.join().unwrap_or(Kind::Bug.exit_code());
        threads.into_iter().map(join).collect::<Vec<u8>>()
    });
    Ok(ExitCode::from(worst(&codes)))
}

impl Run<'_> {
    /// Prints how it ended, and gives the exit code.
    fn one_of_many(&self, archive: &ArchiveName) -> u8 {
        match self.archive(archive) {
            Ok(()) => 0,
            Err(failure) => failure.print_of(self.context, archive),
        }
    }

    fn archive(&self, archive: &ArchiveName) -> Result<(), Failure> {
        let _working = self.context.writing(self.store, archive, "mirror")?;
        // A file that upstream's own index names and that is gone: it may have moved on since the index was read.
        let done = match self.mirror(archive) {
            Err(failure) if failure.code() == UpstreamError::NOT_IN_POOL => self.mirror(archive),
            Err(failure) if is_damage(&failure) && self.mend(archive) => self.mirror(archive),
            done => done,
        };
        self.keep_in_mind(archive, done.as_ref().err());
        let (record, state) = done?;
        let shown = Mirrored {
            archive,
            serial: record.serial.to_string(),
            id: record.id.to_string(),
            state,
        };
        let text = format!("{archive} {} {} {state}", shown.serial, shown.id);
        self.context
            .progress
            .around(|| self.context.output.record(&shown, &text))
    }

    /// Puts back what the newest snapshot lost of its indexes; whether any of it was.
    fn mend(&self, archive: &ArchiveName) -> bool {
        let mended = self.mended(archive).unwrap_or_else(|failure| {
            // The cause is that of the run, which says it.
            tracing::info!(%archive, cause = failure.cause(), "nothing can be put back");
            Vec::new()
        });
        let say = |mending| self.context.progress.around(|| say_mended(self.context, mending));
        mended.iter().for_each(say);
        mended.iter().any(|(_, done)| done.is_ok())
    }

    fn mended(&self, archive: &ArchiveName) -> Result<Vec<Mending>, Failure> {
        let (site, store) = (self.site, self.store.as_ref());
        let config = site.mirror(archive)?;
        let limits = upstream::Limits::of(config);
        let client = Client::sharing(&upstream_uri(site, archive)?, limits, self.connections.clone())?;
        let chain = publish::load_vouched(store, archive, &site.archive_keyring(archive)?)?;
        let mender = Mender {
            client: &client,
            store,
            archive,
            config,
        };
        Ok(mender.mend(&chain, &mender.damaged(&chain)?)?)
    }

    /// How it ended, for `assay status`. Another writer that was faster says himself how it ended.
    fn keep_in_mind(&self, archive: &ArchiveName, failure: Option<&Failure>) {
        let store = self.store.as_ref();
        let kept = match failure.map(Failure::error) {
            None => Refused::forget(store, archive),
            // Nothing went wrong: what is new waits for a key on another machine.
            Some(error) if error.code() == PublishError::WAITS => Refused::forget(store, archive),
            Some(error) if error.kind() == Kind::Conflict => Ok(()),
            Some(error) => Refused::by(error, self.context.now()).keep(store, archive),
        };
        if let Err(error) = kept {
            let note = format!("{archive}: `assay status` will not know how this run ended: {error}");
            self.context.progress.around(|| self.context.output.note(&note));
        }
    }

    fn mirror(&self, archive: &ArchiveName) -> Result<(Record, &'static str), Failure> {
        let Self {
            context, site, store, ..
        } = *self;
        let store = store.as_ref();
        let config = site.mirror(archive)?;
        let keyring = site.upstream_keyring(config)?;
        let limits = upstream::Limits {
            connections: site.config().connections.get().into(),
            ..upstream::Limits::of(config)
        };
        let client = Client::sharing(&upstream_uri(site, archive)?, limits, self.connections.clone())?;
        let key = context.signers(site, archive)?;
        let chain = publish::load_vouched(store, archive, &site.archive_keyring(archive)?)?;
        // Upstream is followed as it is; what the site selects of it is our own.
        let previous = chain.latest().map(Record::as_upstream_has_it);
        let mut earlier = Vec::new();
        for suite in &config.suites {
            earlier.extend(chain.last_with(store, suite)?.map(|(_, state)| state));
        }
        let follow = Follow {
            client: &client,
            archive,
            config,
            keyring: &keyring,
            previous: previous.as_ref(),
            earlier: &earlier,
            allow_release_info_change: self.args.allow_release_info_change,
        };
        let followed = upstream::follow(&follow, store, context.now(), &context.progress)?;
        let taking = Taking {
            context,
            store,
            client: &client,
            archive,
            config,
        };
        let url = site.config().public_url.as_str();
        let (suites, added, reason) = match (followed, chain.latest()) {
            (Followed::Changed(suites, _), None) => (suites, None, "first snapshot"),
            (Followed::Changed(suites, added), Some(_)) => (suites, added, "upstream changed"),
            (Followed::Unchanged, Some(latest)) if !taking.is_selection_of(latest)? => {
                (latest.as_upstream_has_it().suites, None, "another selection")
            }
            (Followed::Unchanged, Some(latest)) => {
                if let Some(newest) = chain.latest_edition()
                    && publish::is_published(store, &newest)?
                {
                    upstream::look_at(store, &newest)?;
                }
                taking.catch_up(latest)?;
                let state = keep_fresh(context, store, &chain, config.valid_days, &key, url)?;
                return Ok((latest.clone(), state));
            }
            (Followed::Unchanged, None) => {
                return Err(UsageError::Argument(format!("`{archive}` has no snapshot to be unchanged")).into());
            }
        };
        let mut suites = taking.selected(suites)?;
        taking.fill(&mut suites, chain.latest().zip(added))?;
        let record = make(context, store, &chain, suites, config.valid_days, reason, &key)?;
        publish::publish(store, archive, &key, url)?;
        Ok((record, "new"))
    }
}

/// Whether something is wrong with what the store has, and may be put back.
fn is_damage(failure: &Failure) -> bool {
    let codes = [
        UpstreamError::OLD,
        SnapshotError::RECORD,
        SnapshotError::DAMAGED,
        StoreError::MISSING,
        PublishError::MISSING,
        PublishError::DAMAGED,
    ];
    codes.contains(&failure.code())
}

/// Says what became of an index that was damaged or missing.
pub(super) fn say_mended(context: &Context, (key, done): &Mending) {
    let also = |names: usize| match names {
        0 | 1 => String::new(),
        count => format!(", under {count} names"),
    };
    context.output.note(&match done {
        Ok(Mended { from: Some(from), names }) => format!(
            "`{key}` was damaged or missing, and was put back from {from}{}",
            also(names.len())
        ),
        Ok(Mended { from: None, names }) => {
            let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
            format!("{}: put back from `{key}`", names.join(", "))
        }
        Err(error) => format!(
            "`{key}` is damaged or missing, no other name or form of it is whole, and upstream gives no such bytes: {error}"
        ),
    });
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

/// What is left to do for an archive that has not changed: clients refuse what is past its
/// Valid-Until, so it is renewed when half of the time is over; and a crash after a commit leaves a
/// record unpublished.
pub(super) fn keep_fresh(
    context: &Context,
    store: &dyn Store,
    chain: &Chain,
    valid_days: u32,
    key: &Signers,
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
    publish::finish(store, chain, key, public_url)?;
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
        clock: context.clock,
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
    key: &Signers,
) -> Result<Record, Failure> {
    let nonce = nonce();
    let mut record = chain.next(store, suites, made(context, Some(valid_days), reason, &nonce))?;
    record.left = upstream::remembered(store, chain.archive())?;
    publish::complete(store, &mut record, key)?;
    if publish::commit_in_time(store, &record, context.clock, key)? == Committed::Conflict {
        return Err(UsageError::Conflict(chain.archive().to_string()).into());
    }
    Ok(record)
}
