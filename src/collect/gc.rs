//! Garbage collection of one archive: judge, mark, sweep.
//!
//! Editions that go are marked as gone first: from then on no name means them, and whatever is left of
//! them after a crash is explained by the mark, and found by the next collection. Then goes the
//! InRelease of each of their trees, so that no client starts to read one; then pool files, while the
//! indexes that named them are still there; then the trees, names at the head that are out of date, and
//! objects by hash.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::CollectError;
use super::held::{orphaned_signatures, stale_held};
use super::scan::{Amount, Scan};
use super::standing::{SIGNED, Standing};
use crate::domain::{ArchiveName, RelPath, Sha256, Timestamp};
use crate::host::Progress;
use crate::publish::{PublishError, ReleaseSigner, commit_mark};
use crate::site::Keep;
use crate::snapshot::{Committed, EditionName, Made, Pins, Says};
use crate::store::{Key, Meta, Store};

/// How often a collection starts over because somebody said something about editions meanwhile.
const ATTEMPTS: u32 = 20;

/// What is collected, and by which rules.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "a signer has none")]
pub struct Collection<'a> {
    /// The store.
    pub store: &'a dyn Store,
    /// The archive.
    pub archive: &'a ArchiveName,
    /// How long its snapshots are kept.
    pub keep: Option<Keep>,
    /// Who needs which snapshots.
    pub pins: &'a Pins,
    /// Outputs that wait for a decision, by hash: none when that is not known.
    pub waiting: Option<BTreeSet<Sha256>>,
    /// Held files go when they are older than this many days and wait for nothing.
    pub held_days: u32,
    /// How the mark comes about, and when all this happens.
    pub made: Made<'a>,
    /// Who signs the mark.
    pub signer: &'a dyn ReleaseSigner,
    /// Whether links are copies in this store.
    pub copies: bool,
    /// Only say what would go.
    pub dry_run: bool,
    /// Also what clients may be in the middle of.
    pub at_once: bool,
    /// Shown to people.
    pub progress: &'a Progress,
}

/// One thing that goes or stays, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Whose.
    pub archive: ArchiveName,
    /// `edition`, `pool`, `indexes`, `names`, `filled`, `held`, `signatures`.
    pub kind: &'static str,
    /// Which: a serial or tag, a pool file, a suite.
    pub name: String,
    /// Whether it goes.
    pub goes: bool,
    /// Why it goes or stays.
    pub why: String,
    /// Of what would go, and stays for clients that are reading it: until when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// How many objects.
    pub objects: u64,
    /// How many bytes become free.
    pub bytes: u64,
}

impl Finding {
    pub(super) fn stays(archive: &ArchiveName, kind: &'static str, name: &str, why: String) -> Self {
        Self {
            archive: archive.clone(),
            kind,
            name: name.to_owned(),
            goes: false,
            why,
            until: None,
            objects: 0,
            bytes: 0,
        }
    }

    fn goes(what: &Collection<'_>, kind: &'static str, name: &str, why: &str, amount: Amount) -> Self {
        Self {
            goes: true,
            objects: amount.objects,
            bytes: amount.bytes,
            ..Self::stays(what.archive, kind, name, why.to_owned())
        }
    }
}

/// What a collection came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Collected {
    /// Editions that stay.
    pub kept: u64,
    /// Editions that went now.
    pub editions: u64,
    /// Objects that went.
    pub objects: u64,
    /// Bytes that became free.
    pub bytes: u64,
}

/// Collects the garbage of an archive, and gives each thing that goes or stays to `take`. Nobody else
/// may work on the archive meanwhile (see `work`). Doing it again after any failure finishes.
///
/// # Errors
/// When something is not vouched for, or an index that stays is missing or damaged: nothing is removed
/// then; the signer's or the store's failure.
pub fn collect(what: &Collection<'_>, take: &mut dyn FnMut(Finding)) -> Result<Collected, CollectError> {
    let (standing, scan) = judged(what, take)?;
    if !what.dry_run {
        standing.marks.copy(what.store, what.archive)?;
    }
    let mut total = Collected {
        kept: standing.kept.len() as u64,
        editions: standing.going.len() as u64,
        ..Collected::default()
    };
    let mut tell = |finding: Finding| {
        if finding.goes {
            total.objects = total.objects.saturating_add(finding.objects);
            total.bytes = total.bytes.saturating_add(finding.bytes);
        }
        take(finding);
    };
    tell_editions(what, &standing, &scan, &mut tell);
    sweep_signed(what, &scan)?;
    // Before the first pool file: a mirror that comes to the same content again must look at each.
    let filled = standing.filled.into_values().collect();
    sweep_state(
        what,
        "filled",
        "notes of a pool that had all of what goes",
        filled,
        &mut tell,
    )?;
    sweep_pool(what, &scan, &mut tell)?;
    sweep_trees(what, &scan)?;
    sweep_names(what, &scan, &mut tell)?;
    sweep_objects(what, &scan, &mut tell)?;
    let (held, signatures) = (stale_held(what)?, orphaned_signatures(what)?);
    sweep_state(
        what,
        "held",
        "build outputs that are old, and wait for nothing",
        held,
        &mut tell,
    )?;
    sweep_state(
        what,
        "signatures",
        "they sign nothing that is there",
        signatures,
        &mut tell,
    )?;
    Ok(total)
}

/// Judges the archive, and marks what goes. Starts over when somebody made a mark meanwhile: what he
/// said counts.
fn judged(what: &Collection<'_>, take: &mut dyn FnMut(Finding)) -> Result<(Standing, Scan), CollectError> {
    for _ in 0..ATTEMPTS {
        let mut stays = Vec::new();
        let standing = Standing::judge(what, &mut |finding| stays.push(finding))?;
        // Every index that stays can be read, or nothing is let go.
        let scan = Scan::of(what, &standing)?;
        if standing.going.is_empty() || what.dry_run {
            stays.into_iter().for_each(take);
            return Ok((standing, scan));
        }
        let names = standing.going.keys().cloned().collect();
        let mark = standing.marks.next(what.archive, Says::Gone { names }, what.made);
        if commit_mark(what.store, &mark, what.signer)? == Committed::Yes {
            stays.into_iter().for_each(take);
            return Ok((standing, scan));
        }
    }
    Err(PublishError::Busy(ATTEMPTS).into())
}

fn tell_editions(what: &Collection<'_>, standing: &Standing, scan: &Scan, tell: &mut dyn FnMut(Finding)) {
    let mut amounts: BTreeMap<&EditionName, Amount> = BTreeMap::new();
    for ((name, _), amount) in &scan.trees {
        let all = amounts.entry(name).or_default();
        all.objects = all.objects.saturating_add(amount.objects);
        all.bytes = all.bytes.saturating_add(amount.bytes);
    }
    let amount_of = |name| amounts.get(name).copied().unwrap_or_default();
    for (name, why) in &standing.going {
        tell(Finding::goes(what, "edition", name.as_str(), why, amount_of(name)));
    }
    for name in &standing.gone {
        let amount = amount_of(name);
        if amount.objects > 0 {
            let why = "its removal was interrupted";
            tell(Finding::goes(what, "edition", name.as_str(), why, amount));
        }
    }
}

fn remove(what: &Collection<'_>, key: &Key) -> Result<(), CollectError> {
    if !what.dry_run {
        what.store.delete(key)?;
    }
    Ok(())
}

fn sweep_signed(what: &Collection<'_>, scan: &Scan) -> Result<(), CollectError> {
    for (name, suite) in scan.trees.keys() {
        for path in SIGNED.iter().filter_map(|path| RelPath::new(*path).ok()) {
            remove(what, &Key::dists_named(what.archive, suite, name.as_str(), &path))?;
        }
    }
    Ok(())
}

fn sweep_state(
    what: &Collection<'_>,
    kind: &'static str,
    why: &str,
    metas: Vec<Meta>,
    tell: &mut dyn FnMut(Finding),
) -> Result<(), CollectError> {
    let mut amount = Amount::default();
    for meta in metas {
        amount.add(meta.size);
        remove(what, &meta.key)?;
    }
    if amount.objects > 0 {
        tell(Finding::goes(what, kind, kind, why, amount));
    }
    Ok(())
}

fn sweep_pool(what: &Collection<'_>, scan: &Scan, tell: &mut dyn FnMut(Finding)) -> Result<(), CollectError> {
    for file in &scan.pool {
        if let Some(by) = &file.named_by {
            tell(Finding::stays(
                what.archive,
                "pool",
                file.key.as_str(),
                format!("named by {by}"),
            ));
            continue;
        }
        remove(what, &file.key)?;
        let mut amount = Amount::default();
        amount.add(file.size);
        tell(Finding::goes(
            what,
            "pool",
            file.key.as_str(),
            "nothing that is kept names it",
            amount,
        ));
    }
    Ok(())
}

fn sweep_trees(what: &Collection<'_>, scan: &Scan) -> Result<(), CollectError> {
    if what.dry_run {
        return Ok(());
    }
    let bar = what.progress.items("trees", scan.trees.len() as u64);
    for (name, suite) in scan.trees.keys() {
        what.store
            .delete_all(&format!("{}/dists/{suite}/{name}", what.archive))?;
        bar.advance(1);
    }
    bar.finish();
    Ok(())
}

fn sweep_names(what: &Collection<'_>, scan: &Scan, tell: &mut dyn FnMut(Finding)) -> Result<(), CollectError> {
    for key in &scan.stale {
        remove(what, key)?;
        let mut amount = Amount::default();
        amount.add(0);
        tell(Finding::goes(
            what,
            "names",
            key.as_str(),
            "the newest snapshot does not have it",
            amount,
        ));
    }
    Ok(())
}

fn sweep_objects(what: &Collection<'_>, scan: &Scan, tell: &mut dyn FnMut(Finding)) -> Result<(), CollectError> {
    for (suite, metas) in &scan.objects {
        let mut amount = Amount::default();
        for meta in metas {
            amount.add(meta.size);
            remove(what, &meta.key)?;
        }
        let why = "indexes and signed files by hash that nothing kept has";
        tell(Finding::goes(what, "indexes", suite.as_str(), why, amount));
    }
    Ok(())
}
