//! What builders said against a package after it was admitted. The decision that was made stands; but the gate would not make
//! it today (rule A5), and whoever asks is told.

use std::collections::BTreeSet;

use super::evidence::{Decided, named, record, record_outputs, speaker};
use super::{Anchor, Anchors};
use crate::admission::RecordEvidence;
use crate::domain::{ArchiveName, Sha256, Timestamp};
use crate::format::intoto::Outcome;
use crate::store::{Key, Store};
use crate::trust::Ed25519Public;

/// What builders of today's policies said against a decision that it was not made on, in words; nothing where it cannot be read,
/// which others name.
#[must_use]
pub fn contradicted(
    store: &dyn Store,
    anchors: &Anchors,
    archive: &ArchiveName,
    decision: &Sha256,
    now: Timestamp,
) -> Vec<String> {
    let said = || {
        let anchor = anchors.archive(archive)?;
        let decided = super::evidence::decision(store, anchors, anchor, decision).ok()?;
        let binding = &decided.summary.assay_binding;
        let what = format!("{} {}", binding.source, binding.version);
        let said = decided.contradicted(store, anchor, now).into_iter();
        Some(said.map(|said| format!("{what}: {said}")).collect())
    };
    said().unwrap_or_default()
}

impl Decided {
    /// What valid records say that it was not made on and that contradict it, in words. A copy of the public part of a store has no list of them, nor has one that is read over HTTP.
    pub(super) fn contradicted(&self, store: &dyn Store, anchor: &Anchor, now: Timestamp) -> Vec<String> {
        self.against(store, anchor, now).unwrap_or_default()
    }

    fn against(&self, store: &dyn Store, anchor: &Anchor, now: Timestamp) -> Option<Vec<String>> {
        let policy = self.policy(anchor).ok()?;
        let declaration = self.declaration(store, anchor).ok()?.1.identity().ok()?;
        let inputs = |kind: &str| -> BTreeSet<Sha256> {
            let named = self.inputs.iter().filter(|(name, _)| name == kind);
            named.map(|(_, sha256)| *sha256).collect()
        };
        let (known, locks) = (inputs("rebuild-record"), inputs("environment-lock"));
        let builders = policy.builders.iter();
        let keys: Vec<Ed25519Public> = builders
            .filter_map(|builder| Ed25519Public::parse(&builder.public_key).ok())
            .collect();
        let mut spoken: Vec<RecordEvidence> = Vec::new();
        for meta in store
            .list(&format!("state/{}/evidence/{declaration}", anchor.name))
            .ok()?
        {
            let Some(sha256) = meta.key.named_sha256() else {
                continue;
            };
            let bytes = named(store, &Key::provenance(&anchor.name, &sha256), &sha256).ok();
            let record = bytes.and_then(|bytes| record(&bytes, &keys));
            spoken.extend(record.filter(|record| {
                record.declaration == declaration
                    && locks.contains(&record.lock)
                    && speaker(policy, &record.builder, &record.signed_by, now).is_some()
            }));
        }
        let built_later = |failed: &RecordEvidence| {
            spoken.iter().any(|other| {
                other.outcome == Outcome::Built
                    && (&other.builder, other.lock) == (&failed.builder, failed.lock)
                    && other.started_on >= failed.finished_on
            })
        };
        let new = spoken.iter().filter(|record| !known.contains(&record.sha256));
        let said = new.filter_map(|record| {
            let what = match record.outcome {
                Outcome::Built if record_outputs(record) != self.outputs() => "got other bytes",
                Outcome::Ftbfs if !built_later(record) => "could not build it",
                _ => return None,
            };
            let (builder, at) = (&record.builder, record.finished_on);
            let key = Key::provenance(&anchor.name, &record.sha256);
            Some(format!(
                "{builder} {what} on {at}, which the decision did not know: {key}; today the gate would refuse it (rule A5)"
            ))
        });
        Some(said.collect())
    }
}
