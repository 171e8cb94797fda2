//! What each builder of a policy has said of a declaration by now: who is still to be asked, and whose
//! last build failed. A function of its input.

use crate::admission::{IssuedNonce, RecordEvidence, Unvaried, builder_fingerprint, shortage, unvaried};
use crate::domain::{Sha256, SuiteName, Timestamp};
use crate::format::intoto::Outcome;
use crate::rebuild::SBUILD_HOST;
use crate::site::{Builder, Policy, Terms};

use super::Records;

/// What a builder has said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said<'a> {
    /// Nothing that counts.
    Nothing,
    /// It built it, or is bound to what it built.
    Built,
    /// It built it, and all who make up the quorum did so with the same: the gate wants another run (rule E5).
    Alike(Unvaried),
    /// Its newest answer is that the build did not succeed.
    Failed(&'a RecordEvidence),
}

/// From when on answers count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fresh {
    /// Answers to nonces that were issued before say nothing.
    pub since: Option<Timestamp>,
    /// Records of builds that ended before say nothing.
    pub ended_after: Option<Timestamp>,
}

impl Fresh {
    /// As the gate has it under a policy in these suites, now (rule R3).
    #[must_use]
    pub fn of(since: Option<Timestamp>, policy: &Policy, suites: &[SuiteName], now: Timestamp) -> Self {
        let days = i64::from(policy.terms(suites).max_record_age_days);
        Self {
            since,
            ended_after: Some(now.plus(days.saturating_mul(-86_400))),
        }
    }
}

/// What every builder that is not revoked has said of a declaration in one environment, under the policy's terms for its suites:
/// its own key's word only. A build that failed and succeeded later has succeeded, as for the gate (rule R6).
#[must_use]
pub fn said<'a, 'p>(
    policy: &'p Policy,
    terms: &Terms,
    found: &'a Records,
    nonces: &[IssuedNonce],
    lock: &Sha256,
    fresh: Fresh,
) -> Vec<(&'p Builder, Said<'a>)> {
    let asked_late = |nonce: &str| {
        let of = |since| nonces.iter().any(|n| n.nonce == nonce && n.issued_at >= since);
        fresh.since.is_none_or(of)
    };
    let counts = |record: &&RecordEvidence, builder: &Builder| {
        record.builder == builder.id
            && record.lock == *lock
            && builder_fingerprint(builder).is_some_and(|key| record.signed_by.contains(&key))
            && fresh.ended_after.is_none_or(|after| record.finished_on >= after)
            && asked_late(&record.nonce)
    };
    let builders = || policy.builders.iter().filter(|builder| builder.revoked_at.is_none());
    let all: Vec<(&Builder, &RecordEvidence)> = builders()
        .flat_map(|builder| found.records.iter().map(move |record| (builder, record)))
        .filter(|(builder, record)| counts(record, builder) && record.outcome == Outcome::Built)
        .collect();
    let alike = alike(policy, terms, &all);
    let of = |builder: &'p Builder| {
        let records = || found.records.iter().filter(|record| counts(record, builder));
        let shown = |nonce: &str| found.records.iter().any(|record| record.nonce == nonce);
        // A record that is shown is judged by itself.
        let mut bound = found.commitments.iter().filter(|c| !shown(&c.nonce));
        let bound = bound.any(|c| c.builder == builder.id && c.lock == *lock && asked_late(&c.nonce));
        let newest = records().max_by_key(|record| (record.finished_on, record.sha256));
        let has_built = records().any(|record| record.outcome == Outcome::Built);
        let said = match (newest, alike) {
            _ if bound => Said::Built,
            (Some(newest), Some(alike)) if newest.outcome == Outcome::Built => Said::Alike(alike),
            _ if has_built => Said::Built,
            (newest, _) => newest.map_or(Said::Nothing, Said::Failed),
        };
        (builder, said)
    };
    builders().map(of).collect()
}

/// What builds that are enough for the quorum have in common, and must not. None when they could not differ in it: one more run
/// would be no other.
fn alike(policy: &Policy, terms: &Terms, built: &[(&Builder, &RecordEvidence)]) -> Option<Unvaried> {
    let rebuilders = built
        .iter()
        .map(|(b, _)| (b.operator.as_str(), b.hosting.as_str()))
        .collect();
    if terms.quorum < 2 || shortage(policy, terms, &rebuilders).is_some() {
        return None;
    }
    let records: Vec<&RecordEvidence> = built.iter().map(|(_, record)| *record).collect();
    // Where they contradict each other no run helps.
    let first = records.first()?;
    if records.iter().any(|record| record.outputs != first.outputs) {
        return None;
    }
    let what = unvaried(&records, &policy.vary)?;
    // sbuild names the host and the user itself.
    let is_fixed = matches!(what, Unvaried::Hostname | Unvaried::User);
    let by_sbuild = is_fixed && records.iter().all(|record| record.hostname == SBUILD_HOST);
    (!by_sbuild).then_some(what)
}
