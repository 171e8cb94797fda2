//! Checkpoints: what a reader has seen of a store's history, in a file that is kept elsewhere. A store that was
//! rolled back, forked, or lost a decision is validly signed throughout; only who remembers can tell.
//!
//! The file is a checkpoint as canonical JSON, or a DSSE envelope around it with the signatures of witnesses.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Anchor, Anchors, Problem, VerifyError};
use crate::domain::{ArchiveName, Sha256, TagName, Timestamp};
use crate::format::dsse::Envelope;
use crate::format::json;
use crate::publish::list_decisions;
use crate::snapshot::{Chain, Entry as _, Marks, SnapshotError, TagRecord};
use crate::store::{Key, Store};
use crate::trust::{Ed25519Key, Ed25519Public, sign_envelope, verify_envelope};

/// The DSSE payload type of checkpoints.
const CHECKPOINT: &str = "application/vnd.assay.checkpoint+json";
/// The format that is written.
const FORMAT: u32 = 1;
/// The largest checkpoint that is read, in bytes.
pub const LARGEST_CHECKPOINT: u64 = 64 << 20;

/// What was seen of every archive of a site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Checkpoint {
    /// The format of this document: 1.
    format: u32,
    /// When.
    pub at: Timestamp,
    /// By archive.
    archives: BTreeMap<ArchiveName, Seen>,
}

/// What was seen of one archive. Each record and mark names the hash of the one before, so the newest stand for all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Seen {
    /// How many records there were.
    records: u64,
    /// SHA-256 of the newest.
    record: Option<Sha256>,
    /// How many marks.
    marks: u64,
    /// SHA-256 of the newest.
    mark: Option<Sha256>,
    /// SHA-256 of each tag.
    tags: BTreeMap<TagName, Sha256>,
    /// SHA-256 of each decision, refusals too.
    decisions: BTreeSet<Sha256>,
}

impl Checkpoint {
    /// What a store has now. It says nothing of whether that holds: that is for [`super::verify`].
    ///
    /// # Errors
    /// What cannot be read.
    pub fn of(store: &dyn Store, anchors: &Anchors, now: Timestamp) -> Result<Self, Problem> {
        let seen = |anchor: &Anchor| {
            let archive = &anchor.name;
            let seen = Seen::of(store, anchor).map_err(|why| Problem::new(Problem::RECORD, archive, why))?;
            Ok((archive.clone(), seen))
        };
        Ok(Self {
            format: FORMAT,
            at: now,
            archives: anchors.archives.iter().map(seen).collect::<Result<_, Problem>>()?,
        })
    }

    /// What a store had and has no more, or has otherwise; none when its history goes on from here.
    #[must_use]
    pub fn broken(&self, store: &dyn Store, anchors: &Anchors) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (archive, seen) in &self.archives {
            let Some(anchor) = anchors.archive(archive) else {
                let why = format!("the checkpoint of {} knows it, and the site does not", self.at);
                problems.push(Problem::new(Problem::CHECKPOINT, archive, why));
                continue;
            };
            match Seen::of(store, anchor) {
                Ok(found) => problems.extend(self.compare(store, archive, seen, &found)),
                Err(why) => problems.push(Problem::new(Problem::CHECKPOINT, archive, why)),
            }
        }
        problems
    }

    fn compare(&self, store: &dyn Store, archive: &ArchiveName, seen: &Seen, found: &Seen) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut problem = |object: &dyn std::fmt::Display, why: &str| {
            let why = format!("{why}, as the checkpoint of {} says", self.at);
            problems.push(Problem::new(Problem::CHECKPOINT, object, why));
        };
        if found.records < seen.records {
            let gone = Key::record(archive, found.records.saturating_add(1));
            let why = format!(
                "the archive was rolled back: there are {} snapshots, and there were {}",
                found.records, seen.records
            );
            problem(&gone, &why);
        } else if record(store, archive, seen.records) != seen.record {
            let why = "the archive's history is another one: this snapshot was different";
            problem(&Key::record(archive, seen.records), why);
        }
        if found.marks < seen.marks {
            let gone = Key::mark(archive, found.marks.saturating_add(1));
            problem(&gone, "what was kept and let go was rolled back: there were more marks");
        } else if mark(store, archive, seen.marks) != seen.mark {
            problem(&Key::mark(archive, seen.marks), "this mark was different");
        }
        for (tag, sha256) in &seen.tags {
            match found.tags.get(tag) {
                Some(same) if same == sha256 => {}
                Some(_) => problem(&Key::tag(archive, tag), "this tag was different"),
                None => problem(&Key::tag(archive, tag), "there was such a tag"),
            }
        }
        for decision in &seen.decisions {
            let key = Key::provenance(archive, decision);
            let there = matches!(store.head(&key), Ok(Some(_)));
            if !there || !found.decisions.contains(decision) {
                problem(&key, "this decision was there, and was dropped");
            }
        }
        problems
    }

    /// The file's bytes, with the signatures of these witnesses; beside those that `before`, a file with the same
    /// checkpoint, has already.
    ///
    /// # Errors
    /// Never for a checkpoint that was read or made by this program.
    pub fn to_bytes(&self, keys: &[Ed25519Key], before: Option<&[u8]>) -> Result<Vec<u8>, VerifyError> {
        let failed = |error: crate::format::FormatError| VerifyError::Checkpoint(error.to_string());
        let payload = json::canonical("checkpoint", self).map_err(failed)?;
        let before = before.and_then(|bytes| Envelope::parse(bytes).ok());
        let mut envelope = before.filter(|envelope| envelope.payload == payload);
        for key in keys {
            let signed = sign_envelope(CHECKPOINT, &payload, key);
            match &mut envelope {
                None => envelope = Some(signed),
                Some(envelope) => {
                    let new = signed
                        .signatures
                        .into_iter()
                        .filter(|s| !envelope.signatures.contains(s));
                    let new: Vec<_> = new.collect();
                    envelope.signatures.extend(new);
                }
            }
        }
        match envelope {
            Some(envelope) => envelope.to_bytes().map_err(failed),
            None => Ok(payload),
        }
    }

    /// How many signatures a file has, whoever made them; none: it is a bare checkpoint.
    #[must_use]
    pub fn signatures(bytes: &[u8]) -> usize {
        Envelope::parse(bytes).map_or(0, |envelope| envelope.signatures.len())
    }

    /// Reads a file, which as many of the witnesses must have signed as `threshold` says. When that is 0 nobody's
    /// signature is looked at: the file is as good as the place where it was kept.
    ///
    /// # Errors
    /// `Checkpoint` when it is malformed, or signed by too few.
    pub fn parse(bytes: &[u8], witnesses: &[Ed25519Public], threshold: usize) -> Result<Self, VerifyError> {
        let wrong = |why: String| VerifyError::Checkpoint(why);
        let envelope = Envelope::parse(bytes);
        let payload = match &envelope {
            Ok(envelope) => {
                if threshold > 0 {
                    let signed = verify_envelope(envelope, CHECKPOINT, witnesses);
                    let signed = signed.map_err(|error| wrong(error.to_string()))?.len();
                    if signed < threshold {
                        return Err(wrong(format!("{signed} witnesses signed it, and {threshold} must")));
                    }
                }
                envelope.payload.as_slice()
            }
            Err(_) if threshold > 0 => return Err(wrong(format!("no witness signed it, and {threshold} must"))),
            Err(_) => bytes,
        };
        let found: Self = json::strict("checkpoint", payload).map_err(|error| wrong(error.to_string()))?;
        if found.format != FORMAT {
            return Err(wrong(format!("it has the format {}, not {FORMAT}", found.format)));
        }
        Ok(found)
    }
}

impl Seen {
    fn of(store: &dyn Store, anchor: &Anchor) -> Result<Self, String> {
        let archive = &anchor.name;
        let text = |error: SnapshotError| error.to_string();
        let chain = Chain::load(store, archive).map_err(text)?;
        let marks = Marks::load(store, archive).map_err(text)?;
        let mut tags = BTreeMap::new();
        for tag in TagRecord::all(store, archive).map_err(text)? {
            let sha256 = tag.identity().map_err(text)?;
            tags.insert(tag.tag, sha256);
        }
        let decisions = if anchor.is_custom() {
            list_decisions(store, archive).map_err(|error| error.to_string())?
        } else {
            BTreeSet::new()
        };
        Ok(Self {
            records: chain.len(),
            record: chain
                .latest()
                .map(|latest| latest.identity())
                .transpose()
                .map_err(text)?,
            marks: marks.newest().map_or(0, |mark| mark.k),
            mark: marks.newest().map(|mark| mark.identity()).transpose().map_err(text)?,
            tags,
            decisions,
        })
    }
}

/// SHA-256 of record `n`; none of what is not there, and before the first.
fn record(store: &dyn Store, archive: &ArchiveName, n: u64) -> Option<Sha256> {
    let chain = Chain::load(store, archive).ok()?;
    chain.record(store, n).ok()?.identity().ok()
}

/// SHA-256 of mark `k`; the same.
fn mark(store: &dyn Store, archive: &ArchiveName, k: u64) -> Option<Sha256> {
    Marks::load(store, archive).ok()?.identity_of(k)
}
