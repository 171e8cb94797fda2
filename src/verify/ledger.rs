//! What the gate must never forget: each decision that admitted something has its claims in the ledger, and its
//! declaration in the lineage of its source; and the newest record remembers all of it (`publish::Book`).
//!
//! The ledger refuses what comes again with other bytes. Whoever shortens it lets that in later, and nothing that is
//! listed now would show it.

use std::collections::{BTreeMap, BTreeSet};

use super::custom::unreadable;
use super::editions::History;
use super::hashing::Damaged;
use super::{Anchor, Anchors, Problem, Report};
use crate::admission::{KeptCase, LedgerEntry, LedgerKey, claims, identity};
use crate::domain::{Coded as _, PackageName, Sha256};
use crate::publish::{
    Book, Claimed, Forgotten, GateError, Kept, Lost, Page, forgotten, ledger_key, lineage_folder, load_admitted,
    load_claim, load_decision, noted_decisions,
};
use crate::snapshot::Entry as _;
use crate::store::{Key, Store, StoreError};
use crate::trust::Ed25519Public;

/// What must be remembered, and because of what.
#[derive(Debug, Default)]
pub(super) struct Memory {
    claims: BTreeMap<LedgerKey, (Sha256, Why)>,
    lineages: BTreeMap<PackageName, BTreeMap<Sha256, Why>>,
    known: BTreeSet<Sha256>,
}

/// Why something must be remembered.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Why {
    /// A snapshot lists what this decision admitted; of which source and version.
    Listed(Sha256, String),
    /// The gate admitted it, and no snapshot that can be read lists it.
    Decided(Sha256, String),
    /// The newest record says so.
    Remembered(String),
}

/// What is not there as it should be.
struct Missing {
    object: String,
    how: String,
}

impl Memory {
    /// What a decision that admitted something claims.
    pub(super) fn listed(&mut self, kept: &Kept) {
        let whole = kept.case.matter().whole();
        self.add(
            kept,
            &Why::Listed(kept.sha256, format!("{} {}", whole.source, whole.version)),
        );
    }

    fn add(&mut self, kept: &Kept, why: &Why) {
        // Where nobody looked at the lineage, nothing was added to it.
        if let KeptCase::Rebuilt(case) = &kept.case
            && case.evidence.lineage.is_some()
            && let Some(declaration) = identity(&case.candidate.declaration)
        {
            let source = case.candidate.declaration.source.clone();
            let lineage = self.lineages.entry(source).or_default();
            lineage.entry(declaration).or_insert_with(|| why.clone());
        }
        for claim in claims(kept.case.matter().whole()) {
            self.claim(claim, why);
        }
        self.known.insert(kept.sha256);
    }

    /// Of several decisions that claim the same, the first says why.
    fn claim(&mut self, claim: LedgerEntry, why: &Why) {
        let said = || (claim.sha256, why.clone());
        self.claims.entry(claim.key).or_insert_with(said);
    }

    /// Asks the newest record, the ledger and the lineages for all of it.
    pub(super) fn check(
        mut self,
        store: &dyn Store,
        anchors: &Anchors,
        (anchor, history): (&Anchor, &History),
        (damaged, report): (&Damaged, &mut Report),
    ) {
        if !anchor.is_unproven() {
            heard(store, anchor, &anchors.gate, (damaged, report));
        }
        let mut unread = Vec::new();
        let Some(newest) = history.chain.latest() else { return };
        let read = Book::of(store, &anchor.name, Some(newest)).and_then(|book| {
            let claimed = match anchor.is_unproven() {
                true => Claimed::beside(store, &anchor.name, &book)?,
                false => None,
            };
            Ok((book.is_kept(), book.whole()?, claimed))
        });
        let mut beside = None;
        match read {
            Err(error) => unread.push(unreadable(&newest.key(), &error)),
            Ok((is_kept, book, claimed)) => {
                beside = claimed;
                // Of an archive that is older than its book, no record has one.
                let mut before = history.chain.records(store).flatten();
                if is_kept || before.any(|record| record.ledger.is_some()) {
                    self.is_remembered(&newest.key(), &book, report);
                }
                self.remember(book);
            }
        }
        if let Err(error) = self.decided(store, anchors, anchor, &mut unread) {
            report.problem(Problem::LEDGER, &anchor.name, error);
        }
        report
            .problems
            .extend(unread.into_iter().filter(|problem| !damaged.names(&problem.object)));
        let lost = match anchor.is_unproven() {
            true => self.claimed_otherwise(anchor, beside.as_ref()),
            false => self.lost(store, anchor),
        };
        for (why, lost) in lost {
            report.problems.extend(told(anchor, &why, &lost));
        }
    }

    /// What snapshots list is in the newest record's book.
    fn is_remembered(&self, record: &Key, book: &Page, report: &mut Report) {
        let mut forgotten: BTreeMap<&Why, Vec<String>> = BTreeMap::new();
        for (key, (sha256, why)) in &self.claims {
            if book.claims.get(key).is_none_or(|said| said.sha256 != *sha256) {
                forgotten.entry(why).or_default().push(key.to_string());
            }
        }
        for (source, declared) in &self.lineages {
            let said = book.lineages.get(source).map_or(&[][..], Vec::as_slice);
            for (declaration, why) in declared.iter().filter(|(declaration, _)| !said.contains(declaration)) {
                let what = format!("the declaration {declaration} of {source}");
                forgotten.entry(why).or_default().push(what);
            }
        }
        for (why, what) in forgotten {
            let first = what.first().map(String::as_str).unwrap_or_default();
            let why = format!("it forgets {first}{}, {why}", more(what.len()));
            report.problem(Problem::LEDGER, record, why);
        }
    }

    fn remember(&mut self, book: Page) {
        for claim in book.claims.into_values() {
            let why = Why::Remembered(format!("{} {}", claim.source, claim.version));
            self.claim(claim, &why);
        }
        for (source, lineage) in book.lineages {
            let known = self.lineages.entry(source.clone()).or_default();
            for declaration in lineage {
                let why = || Why::Remembered(source.to_string());
                known.entry(declaration).or_insert_with(why);
            }
        }
    }

    /// What was admitted and is listed no more. What the gate did not sign, or refused, claims nothing.
    fn decided(
        &mut self,
        store: &dyn Store,
        anchors: &Anchors,
        anchor: &Anchor,
        unread: &mut Vec<Problem>,
    ) -> Result<(), GateError> {
        for sha256 in noted_decisions(store, &anchor.name)? {
            let admits = || {
                let signed = load_decision(store, &anchor.name, &sha256, &anchors.gate);
                signed.is_ok_and(|statement| statement.predicate.admits())
            };
            if self.known.contains(&sha256) || !admits() {
                continue;
            }
            match Kept::load(store, &anchor.name, &sha256, &anchors.gate) {
                Ok(kept) => {
                    let whole = kept.case.matter().whole();
                    let what = format!("{} {}", whole.source, whole.version);
                    self.add(&kept, &Why::Decided(sha256, what));
                }
                Err(error) => unread.push(unreadable(&Key::provenance(&anchor.name, &sha256), &error)),
            }
        }
        Ok(())
    }

    /// What an unproven archive's newest entry of claims says otherwise: the book is what remembers there.
    fn claimed_otherwise(&self, anchor: &Anchor, beside: Option<&Claimed>) -> BTreeMap<Why, Vec<Missing>> {
        let mut lost: BTreeMap<Why, Vec<Missing>> = BTreeMap::new();
        for (claimed, held) in beside
            .iter()
            .flat_map(|claimed| claimed.claims.values().map(move |held| (claimed, held)))
        {
            if let Some((sha256, why)) = self.claims.get(&held.key).filter(|(sha256, _)| *sha256 != held.sha256) {
                let object = claimed.key(&anchor.name).to_string();
                let how = format!("says {}, and not {}", held.sha256.short(), sha256.short());
                lost.entry(why.clone()).or_default().push(Missing { object, how });
            }
        }
        lost
    }

    /// What ledger and lineages have no more, or otherwise.
    fn lost(&self, store: &dyn Store, anchor: &Anchor) -> BTreeMap<Why, Vec<Missing>> {
        let archive = &anchor.name;
        let mut lost: BTreeMap<Why, Vec<Missing>> = BTreeMap::new();
        for (key, (sha256, why)) in &self.claims {
            let how = match load_claim(store, archive, key) {
                Ok(Some(held)) if held.sha256 == *sha256 => continue,
                Ok(Some(held)) => format!("says {}, and not {}", held.sha256.short(), sha256.short()),
                Ok(None) => "is gone".to_owned(),
                Err(error) => error.to_string(),
            };
            let object = ledger_key(archive, key).map_or_else(|_| archive.to_string(), |key| key.to_string());
            lost.entry(why.clone()).or_default().push(Missing { object, how });
        }
        for (source, declared) in &self.lineages {
            let (admitted, how) = match load_admitted(store, archive, source, None) {
                Ok(admitted) => (admitted, "is gone".to_owned()),
                Err(error) => (Vec::new(), error.to_string()),
            };
            for (declaration, why) in declared {
                if !admitted.contains(declaration) {
                    let object = lineage_folder(archive, source);
                    let how = format!("the entry of the declaration {declaration} {how}");
                    lost.entry(why.clone()).or_default().push(Missing { object, how });
                }
            }
        }
        lost
    }
}

/// The claims of an unproven archive that no book has yet are there as they were made.
pub(super) fn check_beside(store: &dyn Store, anchor: &Anchor, history: &History, report: &mut Report) {
    let archive = &anchor.name;
    let read = Book::of(store, archive, history.chain.latest()).and_then(|book| Claimed::beside(store, archive, &book));
    match read {
        Ok(_) | Err(GateError::Store(StoreError::Missing(_)) | GateError::Swapped { .. }) => {}
        Err(GateError::Snapshot(error)) => {
            let object = error.object().map_or_else(|| archive.to_string(), ToString::to_string);
            report.problem(Problem::MISSING, object, error);
        }
        Err(error) => report.problem(Problem::LEDGER, archive, error),
    }
}

/// What decisions were made on, refusals too, is in `state/` as they name it: the gate must hear it again.
pub(super) fn heard(
    store: &dyn Store,
    anchor: &Anchor,
    gate: &Ed25519Public,
    (damaged, report): (&Damaged, &mut Report),
) {
    let archive = &anchor.name;
    let Lost {
        forgotten,
        unread,
        unsigned,
    } = match forgotten(store, archive, gate) {
        Ok(found) => found,
        Err(error) => return report.problem(Problem::EVIDENCE, archive, error),
    };
    for (key, why) in unsigned {
        let error = GateError::Round { key: key.clone(), why };
        let next = error.hint().unwrap_or_default();
        report.problem(Problem::EVIDENCE, key, format!("{error}; next: {next}"));
    }
    let (mut names, objects): (Vec<_>, Vec<_>) = forgotten.into_iter().partition(Forgotten::is_name);
    // A lost record, which is named already, remembers decisions that wait for none.
    let record = |object: &str| {
        let name = object
            .strip_prefix("state/")
            .and_then(|name| name.strip_prefix(archive.as_str()));
        let number = name.and_then(|name| name.strip_prefix('/')?.strip_suffix(".json"));
        number.is_some_and(|number| number.parse::<u64>().is_ok())
    };
    if report.problems.iter().any(|problem| record(&problem.object)) {
        names.retain(|lost| !lost.is_awaited());
    }
    if let Some(first) = names.first() {
        let why = format!(
            "it is gone{}: the gate signed that decision, and would forget it; next: `assay publish {archive}` puts it back",
            more(names.len())
        );
        report.problem(Problem::EVIDENCE, &first.key, why);
    }
    for lost in objects {
        let (how, next) = match lost.changed {
            false => ("is gone", format!("`assay publish {archive}` puts it back")),
            true => ("says something else", "put it back from a copy of the store".to_owned()),
        };
        let why = format!(
            "it {how}, and the decision {} was made on it: the gate would forget what it heard; next: {next}",
            lost.decision
        );
        report.problem(Problem::EVIDENCE, &lost.key, why);
    }
    let problems = unread
        .into_iter()
        .map(|(sha256, error)| unreadable(&Key::provenance(archive, &sha256), &error));
    report
        .problems
        .extend(problems.filter(|problem| !damaged.names(&problem.object)));
}

/// One problem for all that a decision's claims have lost: a ledger that is gone has thousands.
fn told(anchor: &Anchor, why: &Why, lost: &[Missing]) -> Option<Problem> {
    let first = lost.first()?;
    let archive = &anchor.name;
    let how = &first.how;
    let next = match why {
        _ if anchor.is_unproven() => format!("somebody changed it: take `{}` away", first.object),
        // The newest snapshot knows nothing of it.
        Why::Decided(..) => "put it back from a copy of the store, or admit what it decided on again".to_owned(),
        Why::Listed(..) | Why::Remembered(_) => format!(
            "`assay publish {archive}` puts back what the newest snapshot remembers, and a copy of the store has the rest"
        ),
    };
    let why = format!(
        "it {how}{}, {why}: the gate could take it again with other bytes; next: {next}",
        more(lost.len())
    );
    Some(Problem::new(Problem::LEDGER, &first.object, why))
}

fn more(count: usize) -> String {
    match count.saturating_sub(1) {
        0 => String::new(),
        more => format!(", and {more} more"),
    }
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Listed(decision, what) | Self::Decided(decision, what) => {
                write!(f, "which the decision {decision} on {what} claimed for ever")
            }
            Self::Remembered(what) => write!(f, "which the newest snapshot remembers of {what}"),
        }
    }
}
