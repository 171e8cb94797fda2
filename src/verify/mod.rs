//! Verify: the reader's view (DESIGN §8). Shares parsers with the rest, no state and no planner.
//!
//! Owns what a reader can recheck from keys and Git alone: every signature, every object by hash,
//! each mirror index against upstream's own signature, each custom package against its decision and the
//! records of enough operators, and the environments that these built in; and for one package (`why`) its signed commit too. Reads the store and writes nothing. A damaged object is
//! reported once, under its own name; what only fails because of it is not reported beside it.

mod anchors;
mod changelogs;
mod checkpoint;
mod contents;
mod custom;
mod declared;
mod dependencies;
mod editions;
mod environments;
mod evidence;
mod hashing;
mod held;
mod import;
mod later;
mod ledger;
mod objects;
mod places;
mod pool;
mod releases;
mod report;
mod returns;
mod selected;
mod state;
mod translations;
mod upstream;
mod why;

use environments::Environments;
use evidence::Decided;
use import::Carried;
use ledger::Memory;

pub use anchors::{Anchor, AnchorKind, Anchors};
pub use checkpoint::{Checkpoint, LARGEST_CHECKPOINT};
pub(crate) use evidence::{covers, inputs, named, pool_files, record, signed_decision, unsigned, voice};
pub use held::check_held;
pub use later::contradicted;
pub use report::{Problem, Report, VerifyError};
pub use why::{Chain, Findings, Found, Git, Hop, Proof, Subject, find, why};

use crate::domain::{ArchiveName, Sha256, Timestamp};
use crate::host::Progress;
use crate::snapshot::SuiteState;
use crate::store::Store;

/// Checks that a decision of a custom archive stands today, as `verify` does, whatever suite lists it: the gate's
/// signature, those of enough people on its source, and enough rebuilders' own; or upstream's.
///
/// # Errors
/// What does not hold.
pub fn check_standing(
    store: &dyn Store,
    anchors: &Anchors,
    archive: &ArchiveName,
    decision: &Sha256,
    now: Timestamp,
) -> Result<(), Problem> {
    standing(store, anchors, archive, decision, now).map(drop)
}

fn standing<'a>(
    store: &dyn Store,
    anchors: &'a Anchors,
    archive: &ArchiveName,
    decision: &Sha256,
    now: Timestamp,
) -> Result<(&'a Anchor, Decided, Carried), Problem> {
    let anchor = anchors.archive(archive);
    let missing = || {
        Problem::new(
            Problem::DECISION,
            decision,
            format!("the site has no archive `{archive}`"),
        )
    };
    let anchor = anchor.ok_or_else(missing)?;
    let decided = evidence::decision(store, anchors, anchor, decision)?;
    decided.locks(store, anchor)?;
    let carried = decided.carried(store, (anchors, anchor), now)?;
    Ok((anchor, decided, carried))
}

/// Checks that a decision lets something into a suite of a custom archive, as `verify` does: that it stands, see
/// [`check_standing`], and that it covers the suite under the suite's policy. Gives the
/// identity of the declaration that it is about; none of an import, which is of no declaration.
///
/// # Errors
/// What does not hold.
pub fn check_admitted(
    store: &dyn Store,
    anchors: &Anchors,
    archive: &ArchiveName,
    state: &SuiteState,
    decision: &Sha256,
    now: Timestamp,
) -> Result<Option<Sha256>, Problem> {
    let wrong = |why: String| Problem::new(Problem::DECISION, decision, why);
    let (anchor, decided, carried) = standing(store, anchors, archive, decision, now)?;
    decided.covers(anchor, state, &carried).map_err(wrong)?;
    if let Carried::Upstream(_) = carried {
        return Ok(None);
    }
    let (_, declaration) = decided.declaration(store, anchor)?;
    declaration
        .identity()
        .map(Some)
        .map_err(|error| wrong(error.to_string()))
}

/// Rechecks a whole store.
///
/// # Errors
/// When the store cannot be read at all. What does not hold is in the report.
pub fn verify(
    store: &dyn Store,
    anchors: &Anchors,
    now: Timestamp,
    progress: &Progress,
) -> Result<Report, VerifyError> {
    let mut report = Report::default();
    let mut histories = editions::histories(store, anchors, &mut report);
    // What a record says that nobody vouches for is whoever's word: it is reported, and not gone by.
    histories.retain(|(anchor, history)| history.is_vouched(store, anchor));
    let damaged = objects::check(
        store,
        &[String::new()],
        anchors,
        &histories,
        (now, progress),
        &mut report,
    )?;
    let mut environments = Environments::default();
    for (anchor, history) in &histories {
        releases::check(store, anchor, history, &damaged, now, &mut report);
        declared::check(anchor, history, &mut report);
        if let AnchorKind::Custom { .. } | AnchorKind::Unproven { .. } = anchor.kind {
            let to = (&mut environments, &mut report);
            custom::check(store, anchors, (anchor, history), &damaged, now, to);
        }
    }
    report.environments(
        environments.len(),
        environments.problems(store, anchors, &damaged, progress),
    );
    places::nothing_yet(&histories, &mut report);
    places::advise(store, &histories, &mut report);
    report.sort();
    Ok(report)
}

/// Checks of a store's mirrors only what upstream's own keys prove, offline: every index of a snapshot
/// is upstream's, every stanza of a partial one stands in an index that upstream signed, and clients find no
/// signed file that is of none of these. Our keys prove nothing here: they are asked only whether clients would take
/// what is published. Pool files are not looked at. What custom archives imported is proven by upstream's own files, too,
/// which they keep.
///
/// # Errors
/// When the store cannot be read at all. What does not hold is in the report.
pub fn verify_against_upstream(
    store: &dyn Store,
    anchors: &Anchors,
    progress: &Progress,
) -> Result<Report, VerifyError> {
    let mut report = Report::default();
    let mirrors = anchors.archives.iter();
    let mirrors = mirrors.filter(|anchor| matches!(anchor.kind, AnchorKind::Mirror { .. }));
    let histories = editions::unvouched(store, mirrors, &mut report);
    let damaged = objects::check_indexes(store, anchors, &histories, progress, &mut report)?;
    places::nothing_yet(&histories, &mut report);
    for (anchor, history) in &histories {
        declared::check_names(anchor, history, &mut report);
        upstream::check(store, anchor, history, &damaged, &mut report);
        upstream::check_published(store, anchor, history, &mut report);
        upstream::check_dropped(store, anchor, history, &damaged, &mut report);
    }
    places::advise(store, &histories, &mut report);
    let imports = |anchor: &&Anchor| anchor.policies().any(|policy| !policy.imports.is_empty());
    for (anchor, history) in editions::unvouched(store, anchors.archives.iter().filter(imports), &mut report) {
        import::check_against(store, anchors, anchor, &history, &mut report);
    }
    report.sort();
    Ok(report)
}

/// Looks for damage only: hashes every object of the archives of `anchors`, and checks the signature of
/// each Release file, whose bytes nothing else knows, and that the gate has all that it must never forget. What is not named, too old, or not proven is no
/// damage: that is for `verify`.
///
/// # Errors
/// When the store cannot be read at all. What is damaged is in the report.
pub fn fsck(store: &dyn Store, anchors: &Anchors, now: Timestamp, progress: &Progress) -> Result<Report, VerifyError> {
    let mut report = Report::default();
    let histories = editions::histories(store, anchors, &mut report);
    let names = anchors.archives.iter().map(|anchor| anchor.name.as_str());
    let prefixes: Vec<String> = names
        .flat_map(|name| [name.to_owned(), format!("state/{name}")])
        .collect();
    let damaged = objects::check(store, &prefixes, anchors, &histories, (now, progress), &mut report)?;
    for (anchor, history) in &histories {
        releases::check(store, anchor, history, &damaged, now, &mut report);
        if anchor.is_custom() {
            Memory::default().check(store, anchors, (anchor, history), (&damaged, &mut report));
        } else if anchor.is_unproven() {
            ledger::check_beside(store, anchor, history, &mut report);
        }
    }
    let kinds = [
        Problem::DAMAGED,
        Problem::MISSING,
        Problem::STRANGE,
        Problem::RECORD,
        Problem::RELEASE,
        Problem::SIGNATURE,
        Problem::LEDGER,
        Problem::EVIDENCE,
    ];
    report.problems.retain(|problem| kinds.contains(&problem.code));
    places::advise(store, &histories, &mut report);
    report.sort();
    Ok(report)
}
