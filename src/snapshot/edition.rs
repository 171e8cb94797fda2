//! Editions: what is published under one name of an archive. A pure view of records, renewals and tags.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Record, Renewal, SuiteState, TagRecord, index_key, upstream_files};
use crate::domain::{ArchiveName, Digest, DomainError, RelPath, Serial, SignedByKey, SnapshotId, TagName, Timestamp};
use crate::store::Key;

/// The name of an edition, and of its folder below `dists/<suite>/`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum EditionName {
    /// A snapshot's serial.
    Serial(Serial),
    /// A tag.
    Tag(TagName),
}

impl EditionName {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Serial(serial) => serial.as_str(),
            Self::Tag(tag) => tag.as_str(),
        }
    }
}

impl TryFrom<String> for EditionName {
    type Error = DomainError;
    fn try_from(text: String) -> Result<Self, DomainError> {
        match Serial::new(text.as_str()) {
            Ok(serial) => Ok(Self::Serial(serial)),
            Err(_) => TagName::new(text).map(Self::Tag),
        }
    }
}

impl From<EditionName> for String {
    fn from(name: EditionName) -> Self {
        name.to_string()
    }
}

impl fmt::Display for EditionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One state of an archive as clients see it now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edition {
    /// Whose.
    pub archive: ArchiveName,
    /// Under which name.
    pub name: EditionName,
    /// When the state was accepted.
    pub id: SnapshotId,
    /// Why it was made, in one line.
    pub reason: String,
    /// The number of the record, and of its newest renewal or 0; none of a tag.
    pub number: Option<(u64, u64)>,
    /// The suites, with the Dates that their Release files have now.
    pub suites: Vec<SuiteState>,
    /// `Valid-Until` is this many days after the Date; absent: no `Valid-Until`.
    pub valid_days: Option<u32>,
    /// `Signed-By` of its Release files; empty: none.
    pub signed_by: Vec<SignedByKey>,
}

impl Edition {
    /// A snapshot as its newest renewal has it.
    #[must_use]
    pub fn of_record(record: &Record, renewal: Option<&Renewal>) -> Self {
        let mut suites = record.suites.clone();
        if let Some(renewal) = renewal {
            suites.iter_mut().for_each(|state| state.date = renewal.date);
        }
        Self {
            archive: record.archive.clone(),
            name: EditionName::Serial(record.serial.clone()),
            id: record.id.clone(),
            reason: record.reason.clone(),
            number: Some((record.n, renewal.map_or(0, |renewal| renewal.k))),
            suites,
            valid_days: renewal.map(|renewal| renewal.valid_days).or(record.valid_days),
            signed_by: renewal.map_or(&record.signed_by, |renewal| &renewal.signed_by).clone(),
        }
    }

    /// A tag.
    #[must_use]
    pub fn of_tag(tag: &TagRecord) -> Self {
        Self {
            archive: tag.archive.clone(),
            name: EditionName::Tag(tag.tag.clone()),
            id: tag.id.clone(),
            reason: tag.reason.clone(),
            number: None,
            suites: tag.suites.clone(),
            valid_days: None,
            signed_by: Vec::new(),
        }
    }

    /// The files below `dists/` that it consists of, but for what we sign: those that are kept, with all their names.
    #[must_use]
    pub fn files(&self) -> Vec<EditionFile<'_>> {
        let mut found = Vec::new();
        for state in &self.suites {
            let suite = &state.suite;
            let file = |path: &RelPath, digest: Digest, key: Key| EditionFile {
                state,
                path: path.clone(),
                digest,
                key,
                names: vec![Key::dists_named(&self.archive, suite, self.name.as_str(), path)],
                head: self.number.map(|_| Key::dists(&self.archive, suite, path)),
            };
            for index in state.indexes.iter().filter(|index| index.kept) {
                let (path, sha256) = (&index.path, &index.digest.sha256);
                let mut indexed = file(path, index.digest, index_key(&self.archive, suite, index));
                let hashed = Key::by_hash_named(&self.archive, suite, self.name.as_str(), path, sha256);
                indexed.names.insert(0, hashed);
                found.push(indexed);
            }
            let Some(upstream) = &state.upstream else { continue };
            let signed = upstream_files(&self.archive, suite, upstream).into_iter();
            found.extend(signed.map(|signed| file(&signed.path, signed.digest, signed.key)));
            // Proofs of stanzas have no name but that by their hash.
            let proofs = upstream.indexes.iter().filter(|index| index.kept);
            found.extend(proofs.map(|index| EditionFile {
                state,
                path: index.path.clone(),
                digest: index.digest,
                key: index_key(&self.archive, suite, index),
                names: Vec::new(),
                head: None,
            }));
        }
        found
    }

    /// When the first of its Release files runs out; none: never.
    #[must_use]
    pub fn valid_until(&self) -> Option<Timestamp> {
        let days = self.valid_days?;
        self.suites.iter().map(|state| state.date.plus_days(days)).min()
    }

    /// Whether more than half of the time has passed for which its Release files are valid.
    #[must_use]
    pub fn renewal_due(&self, now: Timestamp) -> bool {
        let Some(days) = self.valid_days else { return false };
        let half = i64::from(days).saturating_mul(43_200);
        self.suites.iter().any(|state| now.since(state.date) > half)
    }

    /// The newest Date of its Release files.
    #[must_use]
    pub fn date(&self) -> Option<Timestamp> {
        self.suites.iter().map(|state| state.date).max()
    }
}

/// A file of an edition: an index, or what upstream signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EditionFile<'a> {
    /// Of which suite.
    pub state: &'a SuiteState,
    /// Below `dists/<suite>/`.
    pub path: RelPath,
    /// What it is.
    pub digest: Digest,
    /// Where its bytes are kept, once for all editions of the suite.
    pub key: Key,
    /// Its names in the edition's own tree.
    pub names: Vec<Key>,
    /// Its name at the head, while the edition is the newest; none of a tag.
    pub head: Option<Key>,
}

impl EditionFile<'_> {
    /// All its names.
    pub fn all_names(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.key).chain(&self.names).chain(&self.head)
    }

    /// Whether it is what upstream signed.
    #[must_use]
    pub fn is_signed(&self) -> bool {
        self.path.folder() == "upstream/" && self.names.len() == 1
    }
}
