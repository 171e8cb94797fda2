//! `assay status`: ages, expiries, and what fails.

use std::process::ExitCode;

use serde::Serialize;

use super::args::StatusArgs;
use super::context::Context;
use super::failure::{Each, Failure};
use super::keep::Keeping;
use super::verify::without;
use crate::collect::Pinned;
use crate::domain::{ArchiveName, Timestamp};
use crate::publish;
use crate::query::{self, Answer, Asked, Cache, Index};
use crate::site::{ArchiveConfig, MirrorArchive, Site};
use crate::snapshot::{Chain, Edition, Record, SuiteState, Verdict};
use crate::store::{Key, Store};
use crate::upstream::{self, Refused};
use crate::verify::Anchors;

/// A snapshot that expires this soon is worth a warning: seconds.
const SOON: i64 = 2 * 86_400;

#[derive(Serialize)]
struct Status {
    archive: ArchiveName,
    kind: &'static str,
    snapshots: u64,
    serial: Option<String>,
    id: Option<String>,
    age_seconds: Option<i64>,
    valid_until: Option<Timestamp>,
    sources: Option<usize>,
    /// Why the last run of a mirror came to nothing.
    refused: Option<Refused>,
    problems: Vec<String>,
}

pub(super) fn run(context: &Context, _args: &StatusArgs) -> Result<ExitCode, Failure> {
    let site = context.site()?;
    let store = context.store_if_any(&site)?;
    let mut each = Each::of(context, site.archives().len());
    let fallen = fallen(context, &site, store.as_ref());
    for (archive, config) in site.archives() {
        let said = status(context, &site, store.as_ref(), archive, config).map(|mut status| {
            if status.sources.is_some() {
                status.problems.extend(does_not_stand(&fallen, archive));
            }
            status
        });
        let said = said.and_then(|status| context.output.record(&status, &text(&status)));
        each.done(archive, said)?;
    }
    each.end(Ok(ExitCode::SUCCESS))
}

fn text(status: &Status) -> String {
    let mut text = format!("{} {} {} snapshots", status.archive, status.kind, status.snapshots);
    if let (Some(serial), Some(age)) = (&status.serial, status.age_seconds) {
        text.push_str(&format!(", newest {serial}, {} old", duration(age)));
    }
    if let Some(until) = status.valid_until {
        text.push_str(&format!(", valid until {until}"));
    }
    if let Some(sources) = status.sources {
        text.push_str(&format!(", {sources} sources declared"));
    }
    for problem in &status.problems {
        text.push_str(&format!("\n  problem: {problem}"));
    }
    text
}

fn status(
    context: &Context,
    site: &Site,
    store: &dyn Store,
    archive: &ArchiveName,
    config: &ArchiveConfig,
) -> Result<Status, Failure> {
    let now = context.now();
    let chain = Chain::load(store, archive)?;
    let (latest, edition) = (chain.latest(), chain.latest_edition());
    let mut problems = Vec::new();
    let valid_until = edition.as_ref().and_then(Edition::valid_until);
    match valid_until {
        Some(until) if until <= now => problems.push("expired: clients refuse it; run `assay mirror`".to_owned()),
        Some(until) if until.since(now) < SOON => problems.push(format!("expires in {}", duration(until.since(now)))),
        _ => {}
    }
    let keyring = site.archive_keyring(archive)?;
    if let Some(lost) = publish::lost_newest(store, &chain, &keyring)? {
        problems.push(format!(
            "clients have `{}`, and its record `{}` is missing: put it and its signature back from a backup",
            lost.inrelease, lost.record
        ));
    } else if let Some(edition) = &edition
        && !publish::is_published(store, edition)?
    {
        problems.push("the newest snapshot is not published: run `assay publish`".to_owned());
    }
    // What Git pins is not asked for: whether one of these is kept `renew` finds out.
    let keeping = Keeping::of(context, site, store, &chain, &Pinned::default())?;
    problems.extend(overdue(&keeping.expired(store, &chain)?));
    let refused = last_refused(store, archive, latest, &mut problems);
    if let Some(refused) = &refused {
        let ago = duration(now.since(refused.at));
        let next = refused
            .next
            .as_ref()
            .map(|next| format!("; next: {next}"))
            .unwrap_or_default();
        problems.push(format!(
            "the last `assay mirror {archive}` came to nothing, {ago} ago: error[{}]: {}{next}",
            refused.code, refused.cause
        ));
    }
    let sources = match config {
        ArchiveConfig::Mirror(mirror) => {
            problems.extend(latest.into_iter().flat_map(|record| ageing(record, mirror, now)));
            problems.extend(latest.into_iter().flat_map(partial));
            None
        }
        ArchiveConfig::Custom(_) => Some(site.declared(archive)?.len()),
        ArchiveConfig::Unproven(_) => None,
    };
    if let Err(error) = publish::Signers::of(site, archive, now) {
        problems.push(error.to_string());
    }
    problems.extend(publish::ending_keys(site, archive, now)?);
    let waiting = store.list(&Key::all_waiting(archive))?;
    let waiting = waiting
        .iter()
        .filter(|meta| meta.key.as_str().ends_with(".json"))
        .count();
    if waiting > 0 {
        problems.push(format!(
            "for a key on another machine wait: {waiting}; `assay publish --prepare DIR` writes what is to be signed"
        ));
    }
    if let Some(latest) = latest
        && !publish::is_by_all(store, latest, &keyring)?
    {
        problems.push(
            "the newest snapshot is not signed by all its keys, and no others: run `assay snapshot renew --all`"
                .to_owned(),
        );
    }
    Ok(Status {
        archive: archive.clone(),
        kind: config.kind().as_str(),
        snapshots: chain.len(),
        serial: latest.map(|record| record.serial.to_string()),
        id: latest.map(|record| record.id.to_string()),
        age_seconds: latest.map(|record| now.since(record.id.timestamp())),
        valid_until,
        sources,
        refused,
        problems,
    })
}

/// What custom archives list and does not stand today; or why nobody can say.
fn fallen(context: &Context, site: &Site, store: &dyn Store) -> Result<Listed, Failure> {
    let anchors = Anchors::from_site(site)?;
    let cache = Cache::below(&site.cache());
    let keys = query::builder_keys(&anchors);
    let asked = Asked {
        cache: Some(&cache),
        all: false,
        now: context.now(),
        keys: &keys,
    };
    let mut index = Index::load(store, &anchors, &asked, &context.progress)?;
    index.keep();
    let contradicted = query::contradicted(&mut index, site)?;
    Ok(Listed {
        fallen: query::fallen(&index),
        contradicted,
    })
}

/// What is wrong today with what custom archives list.
struct Listed {
    /// Does not stand any more.
    fallen: Vec<Answer>,
    /// Stands, and a builder said later that it gives something else.
    contradicted: Vec<Answer>,
}

/// One line for each source of an archive that does not stand.
fn does_not_stand(listed: &Result<Listed, Failure>, archive: &ArchiveName) -> Vec<String> {
    match listed {
        Ok(listed) => {
            let of_archive = |answers: &'_ [Answer]| -> Vec<Answer> {
                let ours = answers.iter().filter(|answer| answer.archive == archive.as_str());
                ours.cloned().collect()
            };
            let line = |answer: &Answer| {
                let (source, version, why) = (&answer.source, &answer.version, &answer.why);
                format!("{source} {version} does not stand today: {why}; `assay why {source}` says more")
            };
            let dissent = |answer: &Answer| {
                let (source, version, why) = (&answer.source, &answer.version, &answer.why);
                format!("{source} {version} is contradicted: {why}; `assay dissent` lists all such")
            };
            let mut lines: Vec<String> = of_archive(&listed.fallen).iter().map(line).collect();
            lines.extend(of_archive(&listed.contradicted).iter().map(dissent));
            lines
        }
        Err(error) => vec![format!("whether its packages stand cannot be said: {}", error.cause())],
    }
}

/// That snapshots have expired which are still there.
fn overdue(expired: &[(Edition, Verdict)]) -> Option<String> {
    let (first, _) = expired.first()?;
    let (name, until, count) = (&first.name, first.valid_until()?, expired.len());
    Some(format!(
        "clients refuse {count} older snapshots, which have expired, {name} first ({until}): `assay snapshot renew --all` renews those that \
         are kept, and its timer does; `assay gc` takes the others"
    ))
}

/// How the last run failed, when it did. A run that made a snapshot and was killed then did not take the note away.
fn last_refused(
    store: &dyn Store,
    archive: &ArchiveName,
    latest: Option<&Record>,
    problems: &mut Vec<String>,
) -> Option<Refused> {
    match Refused::last(store, archive) {
        Ok(refused) => refused.filter(|refused| latest.is_none_or(|latest| latest.id.timestamp() <= refused.at)),
        Err(error) => {
            problems.push(error.to_string());
            None
        }
    }
}

/// The suites whose upstream has had no news for long.
fn ageing(record: &Record, mirror: &MirrorArchive, now: Timestamp) -> Vec<String> {
    let said = |state: &SuiteState| {
        let upstream = state.upstream.as_ref()?;
        let end = upstream::ageing(upstream, mirror.max_age_days, now)?;
        let age = duration(now.since(upstream.date));
        let suite = &state.suite;
        Some(format!(
            "upstream's Release of `{suite}` is {age} old, and too old from {end} on"
        ))
    };
    record.suites.iter().filter_map(said).collect()
}

/// The suites of which upstream did not have all that its Release lists.
fn partial(record: &Record) -> Vec<String> {
    let said = |state: &SuiteState| {
        let absent = &state.upstream.as_ref()?.absent;
        let text = || {
            format!(
                "`{}` is partial: {}; each run looks for it again",
                state.suite,
                without(absent)
            )
        };
        (!absent.is_empty()).then(text)
    };
    record.suites.iter().filter_map(said).collect()
}

pub(super) fn duration(seconds: i64) -> String {
    match seconds {
        ..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}
