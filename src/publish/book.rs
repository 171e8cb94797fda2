//! The book: what the ledger and the lineages of an archive hold, and which decisions its gate signed, as documents that its
//! newest record names.
//!
//! The ledger's own objects are the lock between writers, and whoever may write to the store can delete them. So what was
//! claimed by all that was ever listed is in the book, too, whose hash is in the record, which the archive's key signs and the
//! next record names. It is cut into pages by the hash of the name that a claim is about: an admission reads and writes
//! those of its own names only. Documents are created once, before the record that names them, and stay.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::admission::{LedgerEntry, LedgerKey};
use crate::domain::{ArchiveName, PackageName, Sha256};
use crate::format::FormatError;
use crate::format::json;
use crate::snapshot::Record;
use crate::store::Store;

use super::GateError;
use super::evidence::{add_document, read_document};

/// The format that is written.
const FORMAT: u32 = 1;
/// The largest document of a book, in bytes.
const LARGEST: u64 = 64 << 20;

/// A book, and where its pages are.
#[derive(Debug)]
pub struct Book<'a> {
    store: &'a dyn Store,
    archive: &'a ArchiveName,
    contents: Contents,
    /// Whether a record names it.
    is_kept: bool,
}

/// The document that a record names: its pages by the first two digits of the hash of the names on them.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Contents {
    format: u32,
    pages: BTreeMap<String, Sha256>,
    /// Of an unproven archive: its entries of claims up to this one are on the pages ([`super::claimed`]).
    #[serde(default, skip_serializing_if = "is_zero")]
    entries: u64,
    /// SHA-256 of that entry, which names the one before it; absent where it was not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    newest_entry: Option<Sha256>,
    /// Whether every decision of before is on the pages.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    decisions: bool,
}

/// What is on a page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// Every claim, by key.
    pub claims: BTreeMap<LedgerKey, LedgerEntry>,
    /// The declarations of each source that were admitted, in that order.
    pub lineages: BTreeMap<PackageName, Vec<Sha256>>,
    /// The decisions on each source that the gate signed, refusals too.
    pub decisions: BTreeMap<PackageName, BTreeSet<Sha256>>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Written {
    format: u32,
    claims: Vec<LedgerEntry>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    lineages: BTreeMap<PackageName, Vec<Sha256>>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    decisions: BTreeMap<PackageName, BTreeSet<Sha256>>,
}

impl<'a> Book<'a> {
    /// The one that a record names; an empty one when it names none.
    ///
    /// # Errors
    /// When it is missing, damaged or malformed; the store's failure.
    pub fn of(store: &'a dyn Store, archive: &'a ArchiveName, record: Option<&Record>) -> Result<Self, GateError> {
        let named = record.and_then(|record| record.ledger);
        let contents = match named {
            None => Contents {
                format: FORMAT,
                pages: BTreeMap::new(),
                entries: 0,
                newest_entry: None,
                decisions: false,
            },
            Some(sha256) => {
                let bytes = read_document(store, archive, &sha256, LARGEST)?;
                let contents: Contents = json::strict("ledger", &bytes).map_err(GateError::document("ledger"))?;
                check_format(contents.format)?;
                contents
            }
        };
        Ok(Self {
            store,
            archive,
            contents,
            is_kept: named.is_some(),
        })
    }

    /// Whether a record names it: before the first that does, nothing is known.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.is_kept
    }

    /// The number of the entry of claims that it has all of, with those before; 0: of none.
    #[must_use]
    pub(super) fn has_entries_until(&self) -> u64 {
        self.contents.entries
    }

    /// SHA-256 of that entry, where it is known.
    #[must_use]
    pub(super) fn newest_entry(&self) -> Option<Sha256> {
        self.contents.newest_entry
    }

    /// The same, which is to have all entries of claims up to this one, whose SHA-256 this is.
    pub(super) fn having_entries_until(mut self, entry: u64, sha256: Option<Sha256>) -> Self {
        self.contents.entries = entry;
        self.contents.newest_entry = sha256;
        self
    }

    /// The documents that its pages are.
    pub fn documents(&self) -> impl Iterator<Item = &Sha256> {
        self.contents.pages.values()
    }

    /// Whether it has every decision that was made before it.
    pub(super) fn knows_decisions(&self) -> bool {
        self.contents.decisions
    }

    /// The same, which is to have every decision that was made before it.
    pub(super) fn knowing_decisions(mut self) -> Self {
        self.contents.decisions = true;
        self
    }

    /// All that it says.
    ///
    /// # Errors
    /// When a page is missing, damaged or malformed; the store's failure.
    pub fn whole(&self) -> Result<Page, GateError> {
        let mut all = Page::default();
        for page in self.pages() {
            let page = page?;
            all.claims.extend(page.claims);
            all.lineages.extend(page.lineages);
            all.decisions.extend(page.decisions);
        }
        Ok(all)
    }

    /// Every page, one at a time.
    pub fn pages(&self) -> impl Iterator<Item = Result<Page, GateError>> {
        self.contents.pages.values().map(|sha256| self.read(sha256))
    }

    /// What it says of these names, of packages and files.
    ///
    /// # Errors
    /// When a page is missing, damaged or malformed; the store's failure.
    pub fn about(&self, names: &BTreeSet<&str>) -> Result<Page, GateError> {
        let mut found = Page::default();
        for place in names.iter().map(|name| place(name)).collect::<BTreeSet<_>>() {
            let page = self.page(&place)?;
            found
                .claims
                .extend(page.claims.into_iter().filter(|(key, _)| names.contains(key.subject())));
            found.lineages.extend(
                page.lineages
                    .into_iter()
                    .filter(|(name, _)| names.contains(name.as_str())),
            );
            let decisions = page.decisions.into_iter();
            found
                .decisions
                .extend(decisions.filter(|(name, _)| names.contains(name.as_str())));
        }
        Ok(found)
    }

    /// Writes the book that has all of this as well, and gives its SHA-256. What it has already stays as it is.
    ///
    /// # Errors
    /// `Forgotten` when it has a claim with other bytes; what a page that is read gives; the store's failure.
    pub(super) fn with(mut self, more: Page) -> Result<Sha256, GateError> {
        let mut changed: BTreeMap<String, Page> = BTreeMap::new();
        for (key, entry) in more.claims {
            let page = self.open(&mut changed, key.subject())?;
            let said = page.claims.entry(key).or_insert_with(|| entry.clone());
            if said.sha256 != entry.sha256 {
                return Err(GateError::forgotten(&said.key, &entry.sha256, &said.sha256));
            }
        }
        for (source, lineage) in more.lineages {
            let page = self.open(&mut changed, source.as_str())?;
            let said = page.lineages.entry(source).or_default();
            if lineage.len() > said.len() {
                *said = lineage;
            }
        }
        for (source, decisions) in more.decisions {
            let page = self.open(&mut changed, source.as_str())?;
            page.decisions.entry(source).or_default().extend(decisions);
        }
        for (place, page) in changed {
            let written = Written {
                format: FORMAT,
                claims: page.claims.into_values().collect(),
                lineages: page.lineages,
                decisions: page.decisions,
            };
            let sha256 = self.write(&written)?;
            self.contents.pages.insert(place, sha256);
        }
        self.write(&self.contents)
    }

    fn open<'c>(&self, changed: &'c mut BTreeMap<String, Page>, name: &str) -> Result<&'c mut Page, GateError> {
        let place = place(name);
        if !changed.contains_key(&place) {
            let page = self.page(&place)?;
            changed.insert(place.clone(), page);
        }
        Ok(changed.entry(place).or_default())
    }

    fn page(&self, place: &str) -> Result<Page, GateError> {
        match self.contents.pages.get(place) {
            Some(sha256) => self.read(sha256),
            None => Ok(Page::default()),
        }
    }

    fn read(&self, sha256: &Sha256) -> Result<Page, GateError> {
        let bytes = read_document(self.store, self.archive, sha256, LARGEST)?;
        let read: Written = json::strict("ledger page", &bytes).map_err(GateError::document("ledger page"))?;
        check_format(read.format)?;
        Ok(Page {
            claims: read
                .claims
                .into_iter()
                .map(|entry| (entry.key.clone(), entry))
                .collect(),
            lineages: read.lineages,
            decisions: read.decisions,
        })
    }

    fn write(&self, document: &impl Serialize) -> Result<Sha256, GateError> {
        let bytes = json::canonical("ledger", document).map_err(GateError::document("ledger"))?;
        add_document(self.store, self.archive, &bytes)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// The page that a name is on.
fn place(name: &str) -> String {
    Sha256::of(name.as_bytes()).hex().chars().take(2).collect()
}

fn check_format(format: u32) -> Result<(), GateError> {
    if format == FORMAT {
        return Ok(());
    }
    Err(GateError::document("ledger")(FormatError::Malformed {
        what: "ledger",
        at: "format".to_owned(),
        why: format!("it has the format {format}, not {FORMAT}"),
    }))
}
