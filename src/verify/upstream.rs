//! Mirrors: every index of a snapshot is covered by upstream's own signature, by its Release or by a
//! list that the Release covers.

use std::collections::{BTreeMap, BTreeSet};

use super::editions::{History, editions, entry_key, is_newest};
use super::hashing::Damaged;
use super::releases::{dropped, get, says_as_recorded, says_where_snapshots_are, signed, signed_beside};
use super::selected::{is_selected, selected_problems};
use super::{Anchor, AnchorKind, Problem, Report};
use crate::domain::RelPath;
use crate::format::chained::{Chained, LARGEST_LIST, chained, list_kind};
use crate::format::release::Release;
use crate::snapshot::{Edition, IndexFile, SuiteState, UpstreamRelease, index_key, read_index, upstream_files};
use crate::store::{Key, Store};
use crate::trust::{Requirement, Verified, unverified_text, verify_detached, verify_inrelease};
use crate::upstream::{is_of_suite, lacking_indexes, release_fields};

/// Every suite of every edition of a mirror.
pub(super) fn check(store: &dyn Store, anchor: &Anchor, history: &History, damaged: &Damaged, report: &mut Report) {
    for edition in editions(store, history) {
        let newest = is_newest(history, &edition);
        check_edition(store, anchor, (&edition, newest), damaged, report);
    }
}

/// What clients read says what the records say and nothing else: of that all that is not ours to say is held against
/// what upstream signed. That our own key signed it proves nothing; but without it no client takes the file.
pub(super) fn check_published(store: &dyn Store, anchor: &Anchor, history: &History, report: &mut Report) {
    for edition in editions(store, history) {
        let newest = is_newest(history, &edition);
        for state in &edition.suites {
            for name in [Some(edition.name.as_str()), None]
                .into_iter()
                .take(1 + usize::from(newest))
            {
                report
                    .problems
                    .extend(published(store, (anchor, history), (&edition, state), (name, newest)).err());
            }
        }
    }
}

/// The same of what `dists/<suite>/` still shows of suites that the newest snapshot does not have. A mark takes
/// nothing from what upstream has to prove of it.
pub(super) fn check_dropped(
    store: &dyn Store,
    anchor: &Anchor,
    history: &History,
    damaged: &Damaged,
    report: &mut Report,
) {
    // What the newest was is not known of every broken chain.
    let known = !(history.is_broken() && history.chain.is_empty());
    for (suite, (edition, state)) in dropped(store, history).into_iter().filter(|_| known) {
        let there = |file: &str| {
            let key = RelPath::new(file).map(|path| Key::dists(&anchor.name, &suite, &path));
            key.is_ok_and(|key| matches!(store.head(&key), Ok(Some(_))))
        };
        if !(there("InRelease") || there("Release")) {
            continue;
        }
        report
            .problems
            .extend(published(store, (anchor, history), (&edition, &state), (None, false)).err());
        let mut of_suite = Report::default();
        let suites = vec![state];
        check_edition(
            store,
            anchor,
            (&Edition { suites, ..edition }, false),
            damaged,
            &mut of_suite,
        );
        report.problems.append(&mut of_suite.problems);
    }
}

fn published(
    store: &dyn Store,
    (anchor, history): (&Anchor, &History),
    (edition, state): (&Edition, &SuiteState),
    (name, newest): (Option<&str>, bool),
) -> Result<(), Problem> {
    let place = |file: &str| -> Result<Key, Problem> {
        let path = RelPath::new(file).map_err(|error| Problem::new(Problem::RECORD, file, error))?;
        Ok(match name {
            Some(name) => Key::dists_named(&edition.archive, &state.suite, name, &path),
            None => Key::dists(&edition.archive, &state.suite, &path),
        })
    };
    let file = history.readable(store, edition, &place("InRelease")?);
    let key = place(file)?;
    let bad = |error: &dyn std::fmt::Display| Problem::new(Problem::RELEASE, &key, error);
    let bytes = get(store, &key)?;
    let text = match file {
        "InRelease" => unverified_text(&bytes).map_err(|error| bad(&error))?,
        _ => bytes.clone(),
    };
    let release = Release::parse(&text).map_err(|error| bad(&error))?;
    // At the head, of no edition that is the newest, is what a dropped suite still shows.
    let dropped = name.is_none() && !newest;
    says_as_recorded(&text, (state, edition), dropped)
        .and_then(|()| says_where_snapshots_are(&text, anchor, newest))
        .map_err(|why| bad(&why))?;
    // What a client asks for next: the same text, and a signature beside it.
    let (plain, signature) = (get(store, &place("Release")?)?, place("Release.gpg")?);
    if plain != text {
        let why = "it is not the text that InRelease signs";
        return Err(Problem::new(Problem::RELEASE, place("Release")?, why));
    }
    let (found, now) = (get(store, &signature)?, release.date().map_err(|error| bad(&error))?);
    if file == "InRelease" {
        signed(anchor, &key, &bytes, now)?;
    }
    signed_beside(anchor, (&signature, &found), &plain, now).map(drop)
}

/// Every suite of an edition of a mirror.
pub(super) fn check_edition(
    store: &dyn Store,
    anchor: &Anchor,
    (edition, newest): (&Edition, bool),
    damaged: &Damaged,
    report: &mut Report,
) {
    for state in &edition.suites {
        match &state.upstream {
            Some(upstream) => {
                let lacking = lacking(store, anchor, (state, upstream), newest);
                report.partial_suites += u64::from(!upstream.indexes.is_empty() || !lacking.is_empty());
                if !lacking.is_empty() {
                    let place = format!("{} {} {}", edition.archive, edition.name, state.suite);
                    report.lacking.insert(place, lacking);
                }
                let problems = upstream_problems(store, anchor, state, upstream, damaged);
                report.problems.extend(problems);
            }
            None => {
                let why = format!("it names nothing that upstream signed for `{}`", state.suite);
                report.problem(Problem::UPSTREAM, entry_key(edition), why);
            }
        }
    }
}

/// What upstream's Release lists, the site asks for, and the snapshot is without. What the site asks for now was not asked of
/// older ones: they say themselves what upstream did not have.
fn lacking(
    store: &dyn Store,
    anchor: &Anchor,
    (state, upstream): (&SuiteState, &UpstreamRelease),
    newest: bool,
) -> BTreeSet<RelPath> {
    let mut lacking: BTreeSet<RelPath> = upstream.absent.iter().cloned().collect();
    if let (AnchorKind::Mirror { config, .. }, true) = (&anchor.kind, newest) {
        // What is wrong with what upstream signed is said where it is judged.
        let signed = verified(store, anchor, state, upstream).ok();
        let release = signed.and_then(|signed| Release::parse(&signed.text).ok());
        lacking.extend(
            release
                .into_iter()
                .flat_map(|release| lacking_indexes(config, &release, state)),
        );
    }
    lacking
}

/// Upstream's own signature covers every index of the snapshot, or every stanza of those that were
/// selected.
pub(super) fn check_upstream(
    store: &dyn Store,
    anchor: &Anchor,
    state: &SuiteState,
    upstream: &UpstreamRelease,
) -> Result<Verified, Problem> {
    let verified = check_listed(store, anchor, state, upstream)?;
    match selected_problems(store, anchor, state, upstream, &Damaged::default())
        .into_iter()
        .next()
    {
        Some(problem) => Err(problem),
        None => Ok(verified),
    }
}

/// The same, with everything that does not hold.
fn upstream_problems(
    store: &dyn Store,
    anchor: &Anchor,
    state: &SuiteState,
    upstream: &UpstreamRelease,
    damaged: &Damaged,
) -> Vec<Problem> {
    if upstream_evidence(anchor, state, upstream)
        .iter()
        .any(|key| damaged.has(key))
    {
        return Vec::new();
    }
    match check_listed(store, anchor, state, upstream) {
        Err(problem) => vec![problem],
        Ok(_) => selected_problems(store, anchor, state, upstream, damaged),
    }
}

/// Upstream's Release, or a list that it covers, lists every index but those that were selected, and
/// each index that those were selected from.
fn check_listed(
    store: &dyn Store,
    anchor: &Anchor,
    state: &SuiteState,
    upstream: &UpstreamRelease,
) -> Result<Verified, Problem> {
    let verified = verified(store, anchor, state, upstream)?;
    let at = |error| Problem::new(Problem::UPSTREAM, &state.suite, error);
    let release = Release::parse(&verified.text).map_err(at)?;
    let listed = |index: &IndexFile| {
        // A flat repository has its indexes in no folder.
        let place = match upstream.flat {
            true => RelPath::new(index.path.file_name()).ok(),
            false => Some(index.path.clone()),
        };
        let found = place.and_then(|place| release.entries().get(&place));
        found.is_some_and(|found| found.digest == index.digest)
    };
    // The keys of one upstream sign many suites and archives: what they signed for another is not this one's.
    if !upstream.flat && !is_of_suite(&release, &state.suite) {
        let why = "what upstream signed is of another suite";
        return Err(Problem::new(Problem::UPSTREAM, &state.suite, why));
    }
    if state.fields != release_fields(&release, &state.suite, upstream.flat) {
        let why = "the snapshot names or describes the suite otherwise than upstream does";
        return Err(Problem::new(Problem::UPSTREAM, &state.suite, why));
    }
    let ours = state.indexes.iter().filter(|index| !is_selected(upstream, index));
    let (covered, others): (Vec<&IndexFile>, Vec<&IndexFile>) =
        ours.chain(&upstream.indexes).partition(|index| listed(index));
    if others.is_empty() {
        return Ok(verified);
    }
    let further = further(store, anchor, state, &covered)?;
    for index in others {
        let says = further.get(&index.path);
        let same = |says: &Chained| {
            says.sha256 == index.digest.sha256 && says.size.is_none_or(|size| size == index.digest.size)
        };
        if !says.is_some_and(same) {
            let why = format!(
                "upstream's signed Release does not list `{}` with SHA-256 {}, nor does a list that it covers",
                index.path, index.digest.sha256
            );
            let key = index_key(&anchor.name, &state.suite, index);
            return Err(Problem::new(Problem::UPSTREAM, key, why));
        }
    }
    Ok(verified)
}

/// The objects that say what upstream's signature covers.
fn upstream_evidence(anchor: &Anchor, state: &SuiteState, upstream: &UpstreamRelease) -> Vec<Key> {
    let signed = upstream_files(&anchor.name, &state.suite, upstream);
    let lists = state
        .indexes
        .iter()
        .filter(|index| index.kept && list_kind(&index.path).is_some());
    let lists = lists
        .chain(&upstream.indexes)
        .map(|index| index_key(&anchor.name, &state.suite, index));
    signed.into_iter().map(|file| file.key).chain(lists).collect()
}

/// What the lists among these indexes name.
fn further(
    store: &dyn Store,
    anchor: &Anchor,
    state: &SuiteState,
    covered: &[&IndexFile],
) -> Result<BTreeMap<RelPath, Chained>, Problem> {
    let mut further = BTreeMap::new();
    let is_list = |index: &&&IndexFile| index.kept && list_kind(&index.path).is_some();
    for index in covered.iter().filter(is_list) {
        let key = index_key(&anchor.name, &state.suite, index);
        if index.digest.size > LARGEST_LIST {
            let why = format!("it is larger than the {LARGEST_LIST} bytes that a list may have");
            return Err(Problem::new(Problem::UPSTREAM, key, why));
        }
        let bytes = read_index(store, &anchor.name, &state.suite, index);
        let bytes = bytes.map_err(|error| Problem::new(Problem::MISSING, &key, error))?;
        let files = chained(&index.path, &bytes).map_err(|error| Problem::new(Problem::UPSTREAM, &key, error))?;
        further.extend(files);
    }
    Ok(further)
}

/// What upstream signed, in either of its forms, verified again.
fn verified(
    store: &dyn Store,
    anchor: &Anchor,
    state: &SuiteState,
    upstream: &UpstreamRelease,
) -> Result<Verified, Problem> {
    let AnchorKind::Mirror {
        upstream: keyring,
        threshold,
        ..
    } = &anchor.kind
    else {
        let why = "the archive is not a mirror";
        return Err(Problem::new(Problem::UPSTREAM, &state.suite, why));
    };
    // Judged as of when we first verified it: an old snapshot's upstream keys may have expired since.
    let requirement = Requirement {
        keyring,
        threshold: *threshold,
        now: upstream.verified_at,
    };
    let files = upstream_files(&anchor.name, &state.suite, upstream);
    let problem = |error| Problem::new(Problem::SIGNATURE, &state.suite, error);
    match files.as_slice() {
        [inrelease] => {
            let bytes = get(store, &inrelease.key)?;
            verify_inrelease(&bytes, &requirement)
                .map_err(|error| Problem::new(Problem::SIGNATURE, &inrelease.key, error))
        }
        [release, signature] => {
            let (text, signature_bytes) = (get(store, &release.key)?, get(store, &signature.key)?);
            let signers = verify_detached(&text, &signature_bytes, &requirement)
                .map_err(|error| Problem::new(Problem::SIGNATURE, &signature.key, error))?;
            Ok(Verified {
                text,
                signers,
                others: Vec::new(),
            })
        }
        _ => Err(problem("it names no file that upstream signed")),
    }
}
