//! `assay snapshot renew`: a new Date and Valid-Until for snapshots that are kept.

use std::process::ExitCode;

use serde::Serialize;

use super::args::RenewArgs;
use super::context::{Context, named_or_all, nonce};
use super::failure::{Each, Failure, Later, UsageError};
use super::keep::Keeping;
use super::mirror::made;
use crate::collect::{self, Pinned};
use crate::domain::{ArchiveName, SnapshotName, TagName, Timestamp};
use crate::publish::{self, Signers, load_vouched};
use crate::site::Site;
use crate::snapshot::{Chain, Edition, EditionName, Record, Renewal, SuiteState, TagRecord, Verdict};
use crate::store::Store;
use crate::upstream;

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
        let pinned = collect::pinned(&site, store.as_ref());
        if let Err(error) = &pinned {
            context.output.note(&format!(
                "all snapshots are renewed, not only those that are kept: {error}"
            ));
        }
        let all_of = |archive: &ArchiveName| {
            let known = pinned.as_ref().ok();
            let unreadable = known.map_or_else(Vec::new, |pinned| pinned.unreadable_of(archive));
            for file in &unreadable {
                let note = "all snapshots are renewed, not only those that are kept";
                context.output.note(&format!("{archive}: {note}: {file}"));
            }
            (known, known.is_some() && unreadable.is_empty())
        };
        let mut later = Later::default();
        let archives = named_or_all(&site, &[], |_| true)?;
        let mut each = Each::of(context, archives.len());
        for archive in archives {
            let working = context.writing(&store, &archive, "snapshot renew");
            let done = working.and_then(|_working| renewing.all(&archive, all_of(&archive), &mut later));
            each.done(&archive, done)?;
        }
        return each.end(later.end());
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
        let days = renewing.days(&reference.archive)?;
        renewing.one(&chain, &record, days, &key)?;
    }
    Ok(ExitCode::SUCCESS)
}

impl Renewing<'_> {
    fn open(&self, archive: &ArchiveName) -> Result<(Chain, Signers), Failure> {
        let chain = load_vouched(self.store, archive, &self.site.archive_keyring(archive)?)?;
        Ok((chain, self.context.signers(self.site, archive)?))
    }

    /// Every kept snapshot whose time is more than half over, and every one and every tag that others signed than sign now. The newest comes last: what `serve` and
    /// static clients use most is touched when all else is done.
    fn all(
        &self,
        archive: &ArchiveName,
        (pinned, is_whole): (Option<&Pinned>, bool),
        later: &mut Later,
    ) -> Result<(), Failure> {
        let (chain, key) = self.open(archive)?;
        let keeping = Keeping::of(
            self.context,
            self.site,
            self.store,
            &chain,
            pinned.unwrap_or(&Pinned::default()),
        )?;
        let tags = self.tags(archive, &keeping, &key, later)?;
        let bar = self.context.progress.items("snapshots", chain.len());
        for record in chain.records(self.store) {
            let record = record?;
            bar.advance(1);
            let renewal = Renewal::newest(self.store, &record)?;
            let verdict = keeping.retention().snapshot(record.n, &record.id, &record.serial);
            let goes = match verdict {
                Verdict::Gone(_) => true,
                Verdict::Kept(_) | Verdict::Read(_) => false,
                // Who needs it is not known.
                Verdict::Expired(_) => is_whole,
            };
            let edition = Edition::of_record(&record, renewal.as_ref());
            let is_news = record.n == chain.len() && !keeping.retention().is_named(&record.serial);
            let is_due = || -> Result<bool, Failure> {
                let otherwise = publish::is_signed_otherwise(self.store, &record, &edition, &key)?;
                let due = edition.renewal_due(self.context.now());
                Ok(otherwise || (due && !(is_news && self.is_frozen(&edition))))
            };
            if !goes && is_due()? {
                // One that was renewed for longer than usual stays valid for as long.
                let (now, usual) = (self.context.now(), self.days(archive)?);
                let shortens = edition.valid_until().is_some_and(|until| now.plus_days(usual) < until);
                let days = edition.valid_days.filter(|_| shortens && !self.args.shorten);
                later.of(self.one(&chain, &record, days.unwrap_or(usual), &key))?;
            }
            if !goes {
                let url = self.site.config().public_url.as_str();
                let finished = publish::finish_renewal(self.store, &chain, &record, &key, url);
                later.of(finished.map_err(Failure::from))?;
            }
            // What goes is still a part of the chain, and is proven as one.
            if let Some(renewal) = Renewal::newest(self.store, &record)? {
                later.of(publish::vouch_anew(self.store, &renewal, &key).map_err(Failure::from))?;
            }
            later.of(publish::vouch_anew(self.store, &record, &key).map_err(Failure::from))?;
        }
        bar.finish();
        for tag in tags {
            self.context.output.record(
                &Renewed {
                    archive,
                    serial: tag.as_str(),
                    valid_until: None,
                    state: "signed",
                },
                &format!("{archive} {tag} signed anew"),
            )?;
        }
        Ok(())
    }

    /// Whether upstream's own time is over for what clients take for news: they must not get it as fresh again, since whoever
    /// keeps us from upstream could freeze them so. Says it.
    fn is_frozen(&self, edition: &Edition) -> bool {
        let (now, mirror) = (self.context.now(), self.site.mirror(&edition.archive).ok());
        let max_age_days = mirror.and_then(|mirror| mirror.max_age_days);
        let ended = |state: &SuiteState| {
            let end = upstream::ended(state.upstream.as_ref()?, max_age_days, now)?;
            Some((state.suite.clone(), end))
        };
        let Some((suite, until)) = edition.suites.iter().find_map(ended) else {
            return false;
        };
        self.context.output.note(&format!(
            "{} {}: the newest snapshot is not renewed, since upstream's own Release of `{suite}` counts until {until}; `assay mirror {}` \
             follows upstream, and `assay snapshot renew {}@{}` renews it all the same",
            edition.archive, edition.name, edition.archive, edition.archive, edition.name
        ));
        true
    }

    /// Tags never expire; but the keys that signed them do, or are taken out of use.
    fn tags(
        &self,
        archive: &ArchiveName,
        keeping: &Keeping,
        key: &Signers,
        later: &mut Later,
    ) -> Result<Vec<TagName>, Failure> {
        let url = self.site.config().public_url.as_str();
        let mut signed = Vec::new();
        for tag in TagRecord::all(self.store, archive)? {
            let gone = keeping.marks.gone(&EditionName::Tag(tag.tag.clone())).is_some();
            let anew = match gone {
                true => publish::vouch_anew(self.store, &tag, key),
                false => publish::resign_tag(self.store, &tag, key, url),
            };
            if later.of(anew.map_err(Failure::from))? == Some(true) && !gone {
                signed.push(tag.tag);
            }
        }
        if let Some(mark) = keeping.marks.newest() {
            later.of(publish::vouch_anew(self.store, mark, key).map_err(Failure::from))?;
        }
        Ok(signed)
    }

    /// For how many days snapshots are renewed.
    fn days(&self, archive: &ArchiveName) -> Result<u32, Failure> {
        let configured = self.site.archive(archive)?.valid_days();
        Ok(self.args.valid_for.map_or(configured, |days| days.0))
    }

    fn one(&self, chain: &Chain, record: &Record, days: u32, key: &Signers) -> Result<(), Failure> {
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
