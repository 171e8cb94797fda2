//! `assay snapshot renew`: a new Date and Valid-Until for snapshots that are kept.

use std::process::ExitCode;

use serde::Serialize;

use super::args::RenewArgs;
use super::context::{Context, named_or_all, nonce};
use super::failure::{Failure, UsageError};
use super::keep::Keeping;
use super::mirror::made;
use crate::collect::{self, Pinned};
use crate::domain::{ArchiveName, SnapshotName, Timestamp};
use crate::publish::{self, load_vouched};
use crate::site::{ArchiveConfig, Site};
use crate::snapshot::{Chain, Edition, Record, Renewal, Verdict};
use crate::store::Store;
use crate::trust::ArchiveKey;

#[derive(Serialize)]
struct Renewed<'a> {
    archive: &'a ArchiveName,
    serial: &'a str,
    valid_until: Option<Timestamp>,
    state: &'static str,
}

struct Renewing<'a> {
    context: &'a Context,
    args: &'a RenewArgs,
    site: &'a Site,
    store: &'a dyn Store,
}

pub(super) fn run(context: &Context, args: &RenewArgs) -> Result<ExitCode, Failure> {
    let site = context.site()?;
    let store = context.store(&site)?;
    let renewing = Renewing {
        context,
        args,
        site: &site,
        store: store.as_ref(),
    };
    if args.all {
        // A repository that cannot be reached must not let snapshots expire that it names.
        let pinned = collect::pinned(&site);
        if let Err(error) = &pinned {
            context.output.note(&format!(
                "all snapshots are renewed, not only those that are kept: {error}"
            ));
        }
        for archive in named_or_all(&site, &[], |_| true)? {
            let _working = context.writing(&store, &archive, "snapshot renew")?;
            renewing.all(&archive, pinned.as_ref().ok())?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    if args.references.is_empty() {
        return Err(UsageError::Argument("name snapshots to renew, or give `--all`".to_owned()).into());
    }
    for reference in &args.references {
        let _working = context.writing(&store, &reference.archive, "snapshot renew")?;
        let (chain, key) = renewing.open(&reference.archive)?;
        if let SnapshotName::Tag(tag) = &reference.name {
            return Err(
                UsageError::Argument(format!("the tag `{tag}` never expires: there is nothing to renew")).into(),
            );
        }
        let record = chain.resolve(store.as_ref(), &reference.name)?;
        renewing.one(&chain, &record, &key)?;
    }
    Ok(ExitCode::SUCCESS)
}

impl Renewing<'_> {
    fn open(&self, archive: &ArchiveName) -> Result<(Chain, ArchiveKey), Failure> {
        let signing_key = self.site.archive(archive)?.signing_key();
        let chain = load_vouched(self.store, archive, &self.site.archive_keyring(signing_key)?)?;
        Ok((chain, self.site.archive_key(signing_key)?))
    }

    /// Every kept snapshot whose time is more than half over. The newest comes last: what `serve` and
    /// static clients use most is touched when all else is done.
    fn all(&self, archive: &ArchiveName, pinned: Option<&Pinned>) -> Result<(), Failure> {
        let (chain, key) = self.open(archive)?;
        let keeping = Keeping::of(
            self.context,
            self.site,
            self.store,
            &chain,
            pinned.unwrap_or(&Pinned::default()),
        )?;
        let bar = self.context.progress.items("snapshots", chain.len());
        for record in chain.records(self.store) {
            let record = record?;
            bar.advance(1);
            let verdict = keeping.retention().snapshot(record.n, &record.id, &record.serial);
            let goes = match verdict {
                Verdict::Gone(_) => true,
                Verdict::Kept(_) => false,
                // Who needs it is not known.
                Verdict::Expired(_) => pinned.is_some(),
            };
            if goes {
                continue;
            }
            let edition = Edition::of_record(&record, Renewal::newest(self.store, &record)?.as_ref());
            if edition.renewal_due(self.context.now()) {
                self.one(&chain, &record, &key)?;
            }
        }
        bar.finish();
        Ok(())
    }

    fn one(&self, chain: &Chain, record: &Record, key: &ArchiveKey) -> Result<(), Failure> {
        let configured = match self.site.archive(&record.archive)? {
            ArchiveConfig::Mirror(mirror) => mirror.valid_days,
            ArchiveConfig::Custom(custom) => custom.valid_days,
        };
        let days = self.args.valid_for.map_or(configured, |days| days.0);
        let nonce = nonce();
        let made = made(self.context, Some(days), "renewed", &nonce);
        let url = self.site.config().public_url.as_str();
        publish::renew(self.store, chain, record, self.args.shorten, made, key, url)?;
        let edition = Edition::of_record(record, Renewal::newest(self.store, record)?.as_ref());
        let renewed = Renewed {
            archive: &record.archive,
            serial: record.serial.as_str(),
            valid_until: edition.valid_until(),
            state: "renewed",
        };
        let until = renewed.valid_until.map(|until| until.to_string()).unwrap_or_default();
        let text = format!("{} {} renewed until {until}", record.archive, record.serial);
        self.context.output.record(&renewed, &text)
    }
}
