//! What each builder of a policy has said of a declaration by now: who is still to be asked, and whose
//! last build failed. A function of its input.

use crate::admission::{IssuedNonce, RecordEvidence, builder_fingerprint};
use crate::domain::{Sha256, SuiteName, Timestamp};
use crate::format::intoto::Outcome;
use crate::site::{Builder, Policy};

use super::Records;

/// What a builder has said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said<'a> {
    /// Nothing that counts.
    Nothing,
    /// It built it, or is bound to what it built.
    Built,
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

/// What every builder that is not revoked has said of a declaration in one environment: its own key's word only.
/// A build that failed and succeeded later has succeeded, as for the gate (rule R6).
#[must_use]
pub fn said<'a, 'p>(
    policy: &'p Policy,
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
    let of = |builder: &'p Builder| {
        let records = || found.records.iter().filter(|record| counts(record, builder));
        let shown = |nonce: &str| found.records.iter().any(|record| record.nonce == nonce);
        // A record that is shown is judged by itself.
        let mut bound = found.commitments.iter().filter(|c| !shown(&c.nonce));
        let bound = bound.any(|c| c.builder == builder.id && c.lock == *lock && asked_late(&c.nonce));
        if bound || records().any(|record| record.outcome == Outcome::Built) {
            return (builder, Said::Built);
        }
        let newest = records().max_by_key(|record| (record.finished_on, record.sha256));
        (builder, newest.map_or(Said::Nothing, Said::Failed))
    };
    let builders = policy.builders.iter().filter(|builder| builder.revoked_at.is_none());
    builders.map(of).collect()
}
