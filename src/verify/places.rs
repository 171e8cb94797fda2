//! What clients can read of an archive and no record tells of: a signed file that nobody's history has is
//! proven by nothing, however well it is signed.

use std::collections::BTreeSet;

use super::editions::{History, lost_newest};
use super::hashing::named_by_hash;
use super::state::is_written;
use super::{Anchor, Anchors, Problem, Report};
use crate::publish;
use crate::store::{Key, Store};

/// By these a client knows a suite.
pub(super) const SIGNED: [&str; 3] = ["InRelease", "Release", "Release.gpg"];

/// Of names that nothing expects: those below `dists/` of mirrors, signed files anywhere in them, archives that
/// the site does not have, signed files in the state that are not written there, and names that are no key, which the
/// store never makes: what such a folder has in it is not looked at. Of a folder with a signed file that one is named; the rest hangs on it. What is named
/// by its hash alone is nothing until a signed file lists it: an interrupted run leaves such.
pub(super) fn check_strange(
    anchors: &Anchors,
    histories: &[(&Anchor, History)],
    places: &BTreeSet<String>,
    unexpected: &[&str],
    report: &mut Report,
) {
    // Of an archive with a broken history nothing is known, which was said.
    let judged = |top: &str| {
        let mirror = histories.iter();
        let mut mirror = mirror.filter(|(_, history)| !history.is_broken());
        let mirror = mirror.any(|(anchor, _)| anchor.name.as_str() == top);
        mirror || anchors.archives.iter().all(|anchor| anchor.name.as_str() != top)
    };
    let strange = |name: &str| {
        let (top, below) = name.split_once('/').unwrap_or((name, ""));
        let ours = match top {
            "state" => signed_folder(name).is_none() || is_written(name),
            _ => {
                let read = below.starts_with("dists/") || signed_folder(name).is_some();
                !read || !judged(top) || places.contains(name) || named_by_hash(name).is_some()
            }
        };
        !ours || Key::new(name).is_err()
    };
    let mut names: Vec<&str> = unexpected.iter().copied().filter(|name| strange(name)).collect();
    names.sort_unstable();
    let folders: BTreeSet<&str> = names.iter().filter_map(|name| signed_folder(name)).collect();
    let mut said = BTreeSet::new();
    for name in names {
        let first = match signed_folder(name) {
            Some(folder) => said.insert(folder),
            None => !folders
                .iter()
                .any(|folder| !folder.is_empty() && name.starts_with(folder)),
        };
        if first {
            let why = "clients can read it, and no record of a snapshot or tag has it: nothing of upstream's proves \
                       it; put the record back from a backup, or remove it";
            report.problem(Problem::UNNAMED, name, why);
        }
    }
}

/// The folder, with its slash, that such a file signs for; of one at the top of the store that has no name.
fn signed_folder(name: &str) -> Option<&str> {
    let folder = |file: &&str| name.strip_suffix(*file).filter(is_folder);
    SIGNED.iter().find_map(folder)
}

fn is_folder(name: &&str) -> bool {
    name.is_empty() || name.ends_with('/')
}

/// Adds the next step to what is damaged or missing below `dists/`: where a run ended between its record and what
/// clients read, and where publishing again brings back what was lost.
pub(super) fn advise(store: &dyn Store, histories: &[(&Anchor, History)], report: &mut Report) {
    for (anchor, history) in histories {
        let Some(newest) = history.chain.latest_edition() else {
            continue;
        };
        let name = &anchor.name;
        let interrupted = !publish::is_published(store, &newest).unwrap_or(true);
        let lost = interrupted.then(|| lost_newest(store, anchor, history)).flatten();
        let (codes, step) = match (interrupted, lost) {
            (true, Some(lost)) => (
                &[Problem::DAMAGED, Problem::MISSING, Problem::RELEASE][..],
                format!(
                    "; the record `{}` of what clients have now is missing: put it back from a backup",
                    lost.record
                ),
            ),
            (true, None) => (
                &[Problem::DAMAGED, Problem::MISSING, Problem::RELEASE][..],
                format!("; run `assay publish {name}` to finish an interrupted run"),
            ),
            (false, _) => (
                &[Problem::MISSING][..],
                format!("; `assay publish --all {name}` puts it back when it is under another name yet"),
            ),
        };
        let top = format!("{name}/dists/");
        let ours = |problem: &&mut Problem| codes.contains(&problem.code) && problem.object.starts_with(&top);
        for problem in report.problems.iter_mut().filter(ours) {
            problem.why.push_str(&step);
        }
    }
}

/// The archives among these that have no snapshot, and nothing that should have one.
pub(super) fn nothing_yet(histories: &[(&Anchor, History)], report: &mut Report) {
    let problems = &report.problems;
    let found = |top: &str| problems.iter().any(|problem| problem.object.starts_with(top));
    let empty = histories.iter().filter(|(anchor, history)| {
        history.chain.is_empty() && !found(&format!("{}/", anchor.name)) && !found(&format!("state/{}/", anchor.name))
    });
    let empty: Vec<_> = empty.map(|(anchor, _)| anchor.name.clone()).collect();
    report.empty.extend(empty);
}
