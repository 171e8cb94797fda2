//! Release files: signed by the archive's key, saying what the record says, not expired; and for
//! mirrors, every index covered by upstream's own signature.

use std::collections::{BTreeMap, BTreeSet};

use super::editions::{History, all, editions, is_newest, lost_head};
use super::hashing::Damaged;
use super::upstream::check_edition;
use super::{Anchor, AnchorKind, Problem, Report};
use crate::domain::{Fingerprint, RelPath, Sha256, SuiteName, Timestamp, escape};
use crate::index::release::{SNAPSHOTS, Terms, lines_but, release_text};
use crate::publish;
use crate::snapshot::{Edition, Marks, SuiteState};
use crate::store::{Key, Store};
use crate::trust::{Requirement, TrustError, Verified, verify_inrelease, verify_old_inrelease, verify_release_gpg};
use crate::upstream::ended;

/// The largest signed file that is read, in bytes: what apt takes.
const LARGEST: u64 = 10_000_000;

/// Clocks may differ by this many seconds.
const SKEW: i64 = 600;

/// The three signed files of a suite at one place.
struct Place<'a> {
    archive: &'a Anchor,
    state: &'a SuiteState,
    /// The edition's; none at the head.
    name: Option<&'a str>,
    /// Whether newer snapshots do not have the suite. Its head stays as it was, while what it shows may be
    /// renewed, until `gc` takes it away.
    dropped: bool,
}

impl Place<'_> {
    /// The name that a signed file has beside its own, by which clients can pin it.
    fn by_hash(&self, file: &str, bytes: &[u8]) -> Option<Key> {
        let (path, sha256) = (RelPath::new(file).ok()?, Sha256::of(bytes));
        Some(match self.name {
            Some(name) => Key::by_hash_named(&self.archive.name, &self.state.suite, name, &path, &sha256),
            None => Key::by_hash(&self.archive.name, &self.state.suite, &path, &sha256),
        })
    }

    fn key(&self, file: &str) -> Option<Key> {
        let path = RelPath::new(file).ok()?;
        Some(match self.name {
            Some(name) => Key::dists_named(&self.archive.name, &self.state.suite, name, &path),
            None => Key::dists(&self.archive.name, &self.state.suite, &path),
        })
    }

    /// Whether each key that signs has signed, and nobody else. What was signed before another key came stays what it
    /// is, where a key that signed before has: but not at the head.
    fn by_all(&self, verified: &Verified) -> Result<(), String> {
        if self.dropped {
            return Ok(());
        }
        if let Some(stranger) = verified.others.first() {
            let why = "`assay snapshot renew --all` signs it anew, with the keys of the site alone";
            return Err(format!("a signature on it does not count: {stranger}; {why}"));
        }
        let present = self.archive.signing_keys();
        let is_old = verified.signers.iter().any(|signer| !present.contains(&signer.primary));
        let missing = |key: &&Fingerprint| verified.signers.iter().all(|signer| signer.primary != **key);
        match present.iter().find(missing) {
            Some(key) if self.name.is_none() || !is_old => Err(format!(
                "it has no signature by `{key}`, which signs for `{}`: `assay snapshot renew --all` makes one",
                self.archive.name
            )),
            _ => Ok(()),
        }
    }
}

pub(super) fn check(
    store: &dyn Store,
    anchor: &Anchor,
    history: &History,
    damaged: &Damaged,
    now: Timestamp,
    report: &mut Report,
) {
    // Then the head is of a record that is named as missing.
    let lost = lost_head(store, anchor, history);
    if let Some(latest) = history.chain.latest_edition()
        && lost.is_none()
        && !publish::is_published(store, &latest).unwrap_or(false)
    {
        let why = format!(
            "it does not name the newest serial, {}, and its Date: run `assay publish`",
            latest.name
        );
        report.problem(Problem::RELEASE, Key::trace(&anchor.name), why);
    }
    for edition in editions(store, history) {
        let newest = is_newest(history, &edition);
        for state in &edition.suites {
            let name = Some(edition.name.as_str());
            for name in if newest && lost.is_none() {
                vec![name, None]
            } else {
                vec![name]
            } {
                let place = Place {
                    archive: anchor,
                    state,
                    name,
                    dropped: false,
                };
                if let Err(problem) = check_place(store, &place, history, &edition, now) {
                    // A renewal that is lost may have been missed where its record was read.
                    let is_known = |known: &Problem| known.object == problem.object && problem.code == Problem::MISSING;
                    if !report.problems.iter().any(is_known) {
                        report.problems.push(problem);
                    }
                }
                report.releases += 1;
            }
        }
        if let AnchorKind::Mirror { .. } = anchor.kind {
            check_edition(store, anchor, (&edition, newest), damaged, report);
        }
    }
    if history.is_broken() && history.chain.is_empty() {
        head_alone(store, anchor, history, now, report);
        return;
    }
    for (suite, (edition, state)) in dropped(store, history) {
        let place = Place {
            archive: anchor,
            state: &state,
            name: None,
            dropped: true,
        };
        let there = |file| {
            place
                .key(file)
                .is_some_and(|key| matches!(store.head(&key), Ok(Some(_))))
        };
        if !(there("InRelease") || there("Release")) {
            continue;
        }
        if let Err(mut problem) = check_place(store, &place, history, &edition, now) {
            problem.why = format!(
                "{} (the newest snapshot has no `{suite}`: `assay gc` removes what is left)",
                problem.why
            );
            report.problems.push(problem);
        }
        report.releases += 1;
    }
}

/// What clients read at the head, when nobody knows what the newest snapshot was: our key signed it, at least.
fn head_alone(store: &dyn Store, anchor: &Anchor, history: &History, now: Timestamp, report: &mut Report) {
    let states = editions(store, history).flat_map(|edition| edition.suites);
    let suites: BTreeSet<SuiteName> = states.map(|state| state.suite).collect();
    for suite in suites {
        let Ok(path) = RelPath::new("InRelease") else { return };
        let key = Key::dists(&anchor.name, &suite, &path);
        if matches!(store.head(&key), Ok(Some(_))) {
            report.problems.extend(signed_text(store, anchor, &key, now).err());
            report.releases += 1;
        }
    }
}

/// The suites that the newest snapshot does not have, each as the last snapshot with it had it.
pub(super) fn dropped(store: &dyn Store, history: &History) -> BTreeMap<SuiteName, (Edition, SuiteState)> {
    let newest = history
        .chain
        .latest()
        .map(|record| record.suites.as_slice())
        .unwrap_or_default();
    let mut last = BTreeMap::new();
    for (edition, _) in all(store, history).filter(|(edition, _)| edition.number.is_some()) {
        for state in &edition.suites {
            if newest.iter().all(|shown| shown.suite != state.suite) {
                last.insert(state.suite.clone(), (edition.clone(), state.clone()));
            }
        }
    }
    last
}

/// InRelease, Release and Release.gpg at one place.
fn check_place(
    store: &dyn Store,
    place: &Place<'_>,
    history: &History,
    edition: &Edition,
    now: Timestamp,
) -> Result<(), Problem> {
    let (anchor, valid_days) = (place.archive, edition.valid_days);
    let inrelease = place.key("InRelease").ok_or_else(|| bad_suite(place))?;
    let plain = place.key("Release").ok_or_else(|| bad_suite(place))?;
    let release = get(store, &plain);
    let mut pinned = Ok(());
    let text = match history.readable(store, edition, &inrelease) {
        "InRelease" => {
            let bytes = get(store, &inrelease)?;
            pinned = check_pinned(store, place, &bytes);
            let verified = signed(anchor, &inrelease, &bytes, now)?;
            place
                .by_all(&verified)
                .map_err(|why| Problem::new(Problem::SIGNATURE, &inrelease, why))?;
            verified.text
        }
        _ => release.clone()?,
    };
    let newest = !place.dropped && is_newest(history, edition);
    let wrong = |why| Problem::new(Problem::RELEASE, &inrelease, why);
    says_as_recorded(&text, (place.state, edition), place.dropped)
        .map_err(|why| was_renewed(&text, place, edition).unwrap_or_else(|| wrong(why)))?;
    says_where_snapshots_are(&text, anchor, newest).map_err(wrong)?;

    let release = release?;
    if release != text {
        return Err(Problem::new(
            Problem::RELEASE,
            &plain,
            "it is not the text that InRelease signs",
        ));
    }
    let detached = place.key("Release.gpg").ok_or_else(|| bad_suite(place))?;
    let verified = signed_beside(anchor, (&detached, &get(store, &detached)?), &release, now)?;
    place
        .by_all(&verified)
        .map_err(|why| Problem::new(Problem::SIGNATURE, &detached, why))?;
    pinned?;

    if place.state.date > now.plus(SKEW) {
        let why = "its Date lies in the future";
        return Err(Problem::new(Problem::RELEASE, &inrelease, why));
    }
    // An old snapshot's dates are for `renew`, and for clients that pin it; the newest must be fresh.
    let newest = place.name.is_none() && !place.dropped;
    if newest && valid_days.is_some_and(|days| place.state.date.plus_days(days) <= now) {
        let verb = match &anchor.kind {
            AnchorKind::Mirror { .. } => "mirror",
            AnchorKind::Custom { .. } | AnchorKind::Unproven { .. } => "publish",
        };
        let archive = &anchor.name;
        let why = format!("its Valid-Until has passed, clients refuse it: run `assay {verb} {archive}`");
        return Err(Problem::new(Problem::EXPIRED, &inrelease, why));
    }
    let max_age_days = match &anchor.kind {
        AnchorKind::Mirror { config, .. } => config.max_age_days,
        AnchorKind::Custom { .. } | AnchorKind::Unproven { .. } => None,
    };
    // Who may sign for the archive said that it stays as it is: that is no news to anybody. A mark that nobody vouches for is a
    // problem of its own.
    let is_marked = || {
        let marks = Marks::load(store, &anchor.name);
        marks.is_ok_and(|marks| marks.kept(&edition.name, now).is_some())
    };
    let theirs = place.state.upstream.as_ref().filter(|_| newest);
    let end = theirs.and_then(|theirs| ended(theirs, max_age_days, now));
    if let Some(until) = end.filter(|_| !is_marked()) {
        let why = format!(
            "upstream's own Release counts until {until}, and clients take this one for news: run `assay mirror {}`, or keep it on purpose with \
             `assay snapshot keep {}@{}`",
            anchor.name, anchor.name, edition.name
        );
        return Err(Problem::new(Problem::EXPIRED, &inrelease, why));
    }
    Ok(())
}

/// What our key signed of a snapshot with another Date and nothing else: its newest renewal is lost.
fn was_renewed(text: &[u8], place: &Place<'_>, edition: &Edition) -> Option<Problem> {
    let (n, k) = edition.number.filter(|_| !place.dropped)?;
    says_as_recorded(text, (place.state, edition), true).ok()?;
    let key = Key::renewal(&place.archive.name, n, k.saturating_add(1));
    let why = format!(
        "the archive's key signed snapshot {} with another Date than any renewal of it has: put the renewal and its signature \
         back from a backup, or make a later one with `assay snapshot renew`",
        edition.name
    );
    Some(Problem::new(Problem::MISSING, key, why))
}

/// The InRelease must be there by its hash, too: whoever pins it asks for it so.
fn check_pinned(store: &dyn Store, place: &Place<'_>, inrelease: &[u8]) -> Result<(), Problem> {
    let key = place.by_hash("InRelease", inrelease).ok_or_else(|| bad_suite(place))?;
    match store.head(&key) {
        Ok(Some(_)) => Ok(()),
        Ok(None) => {
            let why = "it is the InRelease beside it by its hash, which clients pin, and is not in the store";
            Err(Problem::new(Problem::MISSING, key, why))
        }
        Err(error) => Err(Problem::new(Problem::MISSING, key, error)),
    }
}

fn bad_suite(place: &Place<'_>) -> Problem {
    Problem::new(Problem::RECORD, &place.state.suite, "its name makes no object name")
}

/// A Release file that the archive's key signed.
pub(super) fn signed_text(store: &dyn Store, anchor: &Anchor, key: &Key, now: Timestamp) -> Result<Verified, Problem> {
    signed(anchor, key, &get(store, key)?, now)
}

/// What a key of the archive's signed as an InRelease.
pub(super) fn signed(anchor: &Anchor, key: &Key, bytes: &[u8], now: Timestamp) -> Result<Verified, Problem> {
    let verify = |old| match old {
        false => verify_inrelease(bytes, &by_any(anchor, now)),
        true => verify_old_inrelease(bytes, &by_any(anchor, now)),
    };
    by_present_or_former(anchor, verify).map_err(|error| Problem::new(Problem::SIGNATURE, key, error))
}

/// The same of a Release, by the Release.gpg beside it.
pub(super) fn signed_beside(
    anchor: &Anchor,
    (key, signature): (&Key, &[u8]),
    release: &[u8],
    now: Timestamp,
) -> Result<Verified, Problem> {
    let verify = |old| verify_release_gpg(release, signature, &by_any(anchor, now), old);
    by_present_or_former(anchor, verify).map_err(|error| Problem::new(Problem::SIGNATURE, key, error))
}

fn by_any(anchor: &Anchor, now: Timestamp) -> Requirement<'_> {
    Requirement {
        keyring: &anchor.keyring,
        threshold: 1,
        now,
    }
}

/// A key that signed before may have expired since: it proves what is old all the same. One that signs must be valid
/// now, since clients ask for that.
fn by_present_or_former(
    anchor: &Anchor,
    verify: impl Fn(bool) -> Result<Verified, TrustError>,
) -> Result<Verified, TrustError> {
    let strict = verify(false);
    if strict.is_ok() {
        return strict;
    }
    let present = anchor.signing_keys();
    match verify(true) {
        Ok(verified) if verified.signers.iter().all(|signer| !present.contains(&signer.primary)) => Ok(verified),
        _ => strict,
    }
}

pub(super) fn get(store: &dyn Store, key: &Key) -> Result<Vec<u8>, Problem> {
    store
        .get(key, LARGEST)
        .map_err(|error| Problem::new(Problem::MISSING, key, error))
}

/// Whether a Release text is the one that the record gives; what a dropped suite still shows may have been renewed.
pub(super) fn says_as_recorded(
    text: &[u8],
    (state, edition): (&SuiteState, &Edition),
    dropped: bool,
) -> Result<(), String> {
    match dropped {
        true => matches_but(
            &[SNAPSHOTS, "Date: ", "Valid-Until: ", "Signed-By: "],
            text,
            state,
            edition,
        ),
        false => matches_record(text, state, edition),
    }
}

/// Whether its `Snapshots` leads to this archive's own: of what is newest to where the site says that they are, which older ones
/// need not know.
pub(super) fn says_where_snapshots_are(text: &[u8], anchor: &Anchor, newest: bool) -> Result<(), String> {
    let lines = text.split(|byte| *byte == b'\n');
    let said: Vec<_> = lines
        .filter_map(|line| line.strip_prefix(SNAPSHOTS.as_bytes()))
        .collect();
    let [first, others @ ..] = said.as_slice() else {
        return Ok(());
    };
    let first = String::from_utf8_lossy(first);
    let ends = format!("/{}/@SNAPSHOTID@/", anchor.name);
    let is_url = first.starts_with("http://") || first.starts_with("https://");
    if !(is_url && first.ends_with(&ends) && others.is_empty()) {
        return Err(format!(
            "its `Snapshots` is `{}`, not a URL that ends with `{ends}`",
            escape(&first)
        ));
    }
    let wanted = anchor.public_url.as_ref().filter(|_| newest);
    let wanted = wanted.map(|url| publish::snapshots_url(&anchor.name, url.as_str()).unwrap_or_default());
    match wanted.filter(|wanted| *wanted != first) {
        None => Ok(()),
        Some(wanted) => Err(format!(
            "its `Snapshots` is `{}`, where the site's `public-url` gives `{wanted}`: when that was changed, `assay snapshot renew` says it anew",
            escape(&first)
        )),
    }
}

/// Whether a Release text is the one that the record gives. `Snapshots:` is a URL of the site that
/// publishes, which a copy elsewhere cannot know: it binds nothing.
pub(super) fn matches_record(text: &[u8], state: &SuiteState, edition: &Edition) -> Result<(), String> {
    matches_but(&[SNAPSHOTS], text, state, edition)
}

/// The same, but for lines that begin so.
fn matches_but(free: &[&str], text: &[u8], state: &SuiteState, edition: &Edition) -> Result<(), String> {
    let wanted = release_text(state, &Terms::of(edition, None));
    let (found, wanted) = (lines_but(text, free), lines_but(&wanted, free));
    match found.iter().zip(&wanted).find(|(found, wanted)| found != wanted) {
        Some((found, wanted)) => Err(format!(
            "it says `{}` where the snapshot's record says `{}`",
            escape(String::from_utf8_lossy(found).trim()),
            String::from_utf8_lossy(wanted).trim()
        )),
        None if found.len() != wanted.len() => {
            Err("it has more or fewer lines than the snapshot's record gives".to_owned())
        }
        None => Ok(()),
    }
}
