//! R4: who was asked has answered, or has had the time to; and what a builder is bound to is there.
//!
//! Nonces are in no signed record, and whoever may write to the store can take one away with its answer. A commitment is signed
//! by its builder, and a round by the gate: each names a nonce, and a round a record as well, which must all be there.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::{Sha256, Timestamp, escape};
use crate::rebuild::Commitment;

use super::super::context::{Context, Judged};
use super::super::evidence::IssuedNonce;
use super::super::standing::Standing;
use super::Verdict;

/// No answer is missing.
pub(super) fn r4(context: &Context<'_>) -> Verdict {
    let nonces = asked(context);
    let open: Vec<&IssuedNonce> = nonces
        .iter()
        .copied()
        .filter(|nonce| !answered(context, nonce))
        .collect();
    let gone = gone(context, &nonces);
    if !gone.is_empty() {
        return Verdict::broken(Vec::from_iter(gone).join("; "));
    }
    let waiting: Vec<&IssuedNonce> = open
        .iter()
        .copied()
        .filter(|nonce| nonce.answer_by >= context.now)
        .collect();
    if let Some(last) = waiting.iter().map(|nonce| nonce.answer_by).max() {
        return Verdict::broken(awaited(context, &waiting, last));
    }
    let named = |nonce: &&IssuedNonce| {
        let unsigned = unsigned_answer(context, nonce).map_or(String::new(), |record| {
            format!(" (its answer, the record {record}, is not signed by the key that the policy has for it)")
        });
        format!(
            "{}{}{unsigned}",
            nonce.builder,
            place(context, &nonce.declaration, &nonce.lock)
        )
    };
    let timed_out: BTreeSet<String> = open.iter().map(named).collect();
    let answers = nonces.len().saturating_sub(open.len());
    if timed_out.is_empty() {
        return Verdict::held(format!("{answers} nonces were issued, and all are answered"));
    }
    let late: Vec<String> = timed_out.into_iter().collect();
    Verdict::held(format!(
        "{answers} of {} nonces are answered; timed out: {}",
        nonces.len(),
        late.join(", ")
    ))
}

/// All who may still answer, since when each was asked, and what to do meanwhile.
fn awaited(context: &Context<'_>, waiting: &[&IssuedNonce], last: Timestamp) -> String {
    // In the order in which they were asked.
    let asked: BTreeMap<(Timestamp, &IssuedNonce), String> = waiting
        .iter()
        .map(|nonce| {
            let (builder, since, until) = (&nonce.builder, nonce.issued_at, nonce.answer_by);
            let place = place(context, &nonce.declaration, &nonce.lock);
            let short: String = escape(&nonce.nonce).chars().take(12).collect();
            let said = match unsigned_answer(context, nonce) {
                None => format!(
                    "`{builder}` has not answered the nonce {short} yet{place}, asked at {since}; it has time until {until}"
                ),
                Some(record) => format!(
                    "the answer of `{builder}` to the nonce {short}{place}, asked at {since}, is the record {record}, which is not signed by \
                     the key that the policy has for it; it has time until {until}"
                ),
            };
            ((since, *nonce), said)
        })
        .collect();
    let asked: Vec<String> = asked.into_values().collect();
    let source = context.common.whole.source;
    format!(
        "{}; next: `assay rebuild {source} --take DIR` with each answer, by a key of the policy, or decide after {last}, from when on silence is no reason to wait",
        asked.join("; ")
    )
}

/// What builders are bound to, and is not there: the record that a round was closed with, or the nonce of one that waits.
fn gone(context: &Context<'_>, nonces: &BTreeSet<&IssuedNonce>) -> BTreeSet<String> {
    let rounds = context.evidence.rounds.iter();
    let closed = rounds.flat_map(|round| round.commitments.iter().map(|bound| (bound, Some(round.closed_at))));
    let all = context.evidence.commitments.iter().map(|bound| (bound, None));
    let lost = |(bound, closed): &(&Commitment, Option<Timestamp>)| {
        let waits = closed.is_none() && nonces.iter().any(|nonce| is_to(bound, nonce));
        speaks(context, bound) && !waits && !is_said(context, bound, *closed)
    };
    let source = context.common.whole.source;
    let said = |(bound, closed): (&Commitment, Option<Timestamp>)| {
        let (builder, record) = (&bound.builder, bound.record.short());
        let what = match closed {
            Some(at) => format!(
                "`{builder}` was bound to the record {record} when the round was closed at {at}, and it is not there"
            ),
            None => format!(
                "`{builder}` is bound to the record {record}, and the nonce that it answers is not there any more"
            ),
        };
        format!(
            "{what}; next: `assay rebuild {source} --take DIR` with its answer, `state/` from a copy of the store, or a new answer: \
             `assay rebuild {source} --builder {builder}`"
        )
    };
    closed.chain(all).filter(lost).map(said).collect()
}

/// Whether a commitment is to something about the candidate's source, by a builder who may speak today.
fn speaks(context: &Context<'_>, bound: &Commitment) -> bool {
    let builder = context.policy.builder(&bound.builder).ok();
    let revoked = builder.is_none_or(|builder| builder.revoked_at.is_some_and(|at| at <= context.now));
    !revoked && context.is_same_source(&bound.declaration)
}

fn is_to(bound: &Commitment, nonce: &IssuedNonce) -> bool {
    (&nonce.nonce, &nonce.builder) == (&bound.nonce, &bound.builder)
        && (nonce.declaration, nonce.lock) == (bound.declaration, bound.lock)
}

/// Whether the record is there, or its builder built the same once more, after the round, and so said it again.
fn is_said(context: &Context<'_>, bound: &Commitment, closed: Option<Timestamp>) -> bool {
    context.records.iter().any(|judged| {
        let record = judged.record;
        let same =
            (&record.builder, record.declaration, record.lock) == (&bound.builder, bound.declaration, bound.lock);
        let again = same && closed.is_none_or(|at| record.started_on >= at) && is_signed(&judged.standing);
        record.sha256 == bound.record || again
    })
}

/// The nonces that were issued for this source, each once: also in environments that were locked before, and under other
/// declarations. Else who was asked, and saw it failing, need not answer once it is locked or declared again.
pub(super) fn asked<'a>(context: &Context<'a>) -> BTreeSet<&'a IssuedNonce> {
    let ours = |nonce: &&IssuedNonce| context.is_same_source(&nonce.declaration);
    context.evidence.nonces.iter().filter(ours).collect()
}

/// Where something was asked or built, when that is no more the candidate's environment, or not under its declaration.
pub(super) fn place(context: &Context<'_>, declaration: &Sha256, lock: &Sha256) -> String {
    if Some(*declaration) != context.declaration {
        return format!(" under the declaration {} of the same source", declaration.short());
    }
    if context.sets.iter().any(|set| set.set.lock == *lock) {
        return String::new();
    }
    format!(" in the environment {}, which was locked before", lock.short())
}

/// Whether a record that the asked builder signed answers this nonce.
pub(super) fn answered(context: &Context<'_>, nonce: &IssuedNonce) -> bool {
    context.records.iter().any(|judged| {
        let record = judged.record;
        is_signed(&judged.standing)
            && (&record.nonce, &record.builder) == (&nonce.nonce, &nonce.builder)
            && (record.declaration, record.lock) == (nonce.declaration, nonce.lock)
    })
}

/// The record that answers a nonce, and which the asked builder's key of today's policy did not sign.
fn unsigned_answer(context: &Context<'_>, nonce: &IssuedNonce) -> Option<String> {
    let mut answers = context.records.iter().filter(|judged| !is_signed(&judged.standing));
    let is_to = |judged: &Judged<'_>| (&judged.record.nonce, &judged.record.builder) == (&nonce.nonce, &nonce.builder);
    answers
        .find(|judged| is_to(judged))
        .map(|judged| judged.record.sha256.short())
}

/// Whether the builder that a record names signed it.
fn is_signed(standing: &Standing) -> bool {
    !matches!(standing, Standing::Void("R7", _))
}
