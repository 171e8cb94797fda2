//! What one rebuild record is worth: it counts, it contradicts, or it is void and says under which rule.
//!
//! A void record never refuses a candidate by itself: anybody who can write to the store could block
//! with one. It just does not count, and when the quorum is missed the rule that voided it says so.

use std::collections::BTreeMap;

use crate::domain::{FileName, Sha256, escape};
use crate::format::intoto::Outcome;
use crate::rebuild::Commitment;
use crate::site::Builder;

use super::context::{Context, Set};
use super::evidence::{IssuedNonce, RecordEvidence, builder_fingerprint};

/// Clocks of honest builders may differ by this many seconds.
const SKEW: i64 = 600;

/// What a record is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is one valid rebuild to the candidate's bytes.
    Counts,
    /// It is a valid rebuild, or a failed one, that did not give what the others gave.
    Differs(String),
    /// It says nothing, by this rule.
    Void(&'static str, String),
}

/// Judges one record. In the order: is it really that builder's, is it about this candidate, does it
/// contradict, is it fresh and complete. So nothing but who it is from and what it is about can keep
/// a contradiction from being heard.
pub(super) fn assess(context: &Context<'_>, record: &RecordEvidence) -> Standing {
    let spoken = speaker(context, record).and_then(|builder| subject(context, record).map(|set| (builder, set)));
    let (builder, set) = match spoken {
        Ok(spoken) => spoken,
        Err(void) => return void,
    };
    if let Some(differs) = contradiction(context, record, set) {
        return differs;
    }
    match complete(context, record, builder) {
        Ok(()) => Standing::Counts,
        Err(void) => void,
    }
}

/// R7, R5: the builder that the record names, when its own key signed and counted then.
fn speaker<'a>(context: &Context<'a>, record: &RecordEvidence) -> Result<&'a Builder, Standing> {
    let void = |why: String| Standing::Void("R7", why);
    let builder = context.policy.builder(&record.builder).map_err(void)?;
    let key = builder_fingerprint(builder).ok_or_else(|| {
        void(format!(
            "the policy's key of the builder `{}` is no key",
            record.builder
        ))
    })?;
    if !record.signed_by.contains(&key) {
        return Err(void(format!(
            "it is not signed by the key of `{}`, whom it names",
            record.builder
        )));
    }
    // The record's own time could be set back by whoever stole the key; the gate's could not.
    let asked = nonce_of(context, record).map(|nonce| nonce.issued_at);
    if let Some(from) = builder.valid_from
        && (record.finished_on < from || asked.is_some_and(|at| at < from))
    {
        let why = format!("the key of `{}` is valid from {from} only", record.builder);
        return Err(Standing::Void("R5", why));
    }
    if let Some(until) = builder.valid_until
        && (record.finished_on > until || asked.is_some_and(|at| at > until))
    {
        let why = format!("the key of `{}` was valid until {until} only", record.builder);
        return Err(Standing::Void("R5", why));
    }
    if let Some(revoked) = builder.revoked_at
        && (record.finished_on >= revoked || asked.is_some_and(|at| at >= revoked))
    {
        let why = format!("the key of `{}` was revoked {}", record.builder, revoked.as_since());
        return Err(Standing::Void("R5", why));
    }
    Ok(builder)
}

/// Whether a builder whose key counts says this of the candidate's source, in whatever environment, and under
/// whatever declaration of it.
pub(super) fn is_spoken(context: &Context<'_>, record: &RecordEvidence) -> bool {
    context.is_same_source(&record.declaration) && speaker(context, record).is_ok()
}

/// R3: the set that the record is about.
fn subject<'c, 'a>(context: &'c Context<'a>, record: &RecordEvidence) -> Result<&'c Set<'a>, Standing> {
    if Some(record.declaration) != context.declaration {
        let ours = context.declaration.map(|d| d.short()).unwrap_or_default();
        let mut why = format!("it is about the declaration {}, not {ours}", record.declaration.short());
        if let Some(other) = context.declared_elsewhere(&record.declaration) {
            let (other, ours) = (escape(&other.git), escape(&context.candidate.declaration.git));
            why.push_str(&format!(
                ", which differs in `git` only; next: declare it from `{other}` again, and write `\"{other}\" = \"{ours}\"` under \
                 `[moved-git]` of assay.toml"
            ));
        }
        return Err(Standing::Void("R3", why));
    }
    context.set_of(record).ok_or_else(|| {
        let why = format!(
            "it was made in the environment {}, which is not the candidate's",
            record.lock.short()
        );
        Standing::Void("R3", why)
    })
}

fn contradiction(context: &Context<'_>, record: &RecordEvidence, set: &Set<'_>) -> Option<Standing> {
    match record.outcome {
        Outcome::Built => first_difference(&offered(set), &record.outputs).map(Standing::Differs),
        Outcome::Ftbfs if built_later(context, record) => {
            let why = "the build failed, and the same builder built it later".to_owned();
            Some(Standing::Void("R6", why))
        }
        Outcome::Ftbfs => Some(Standing::Differs("the build failed".to_owned())),
        limited => limited
            .limit()
            .map(|what| Standing::Void("A6", format!("the build ran out of {what}"))),
    }
}

/// Whether the same builder says later that the same build succeeded, be it under the candidate's declaration.
pub(super) fn built_later(context: &Context<'_>, failed: &RecordEvidence) -> bool {
    context.evidence.records.iter().any(|other| {
        other.outcome == Outcome::Built
            && other.builder == failed.builder
            && (other.declaration == failed.declaration || Some(other.declaration) == context.declaration)
            && other.lock == failed.lock
            && other.started_on >= failed.finished_on
            && speaker(context, other).is_ok()
    })
}

/// R2, R3, R6, R8, R9, E4, E6: whether an agreeing record may count.
fn complete(context: &Context<'_>, record: &RecordEvidence, builder: &Builder) -> Result<(), Standing> {
    asked(context, record, builder)?;
    if context.policy.blind_rebuilds && !context.common.relaxed("R2") && !is_blind(context, record) {
        let why = "its builder had not committed to it before the first result was shown";
        return Err(void("R2", why.to_owned()));
    }
    if let Some(missed) = missed(context, record).filter(|_| !context.common.relaxed("R9")) {
        return Err(void("R9", missed));
    }
    in_time(context, record)?;
    let declared = context.candidate.declaration.source_date_epoch;
    if record.source_date_epoch != declared {
        let found = record.source_date_epoch;
        return Err(void(
            "R3",
            format!("SOURCE_DATE_EPOCH was {found}, declared is {declared}"),
        ));
    }
    if record.log.is_none() {
        return Err(void("R6", "it has no digest of the build log".to_owned()));
    }
    if let Some((name, _)) = record.documents.iter().find(|(_, sha256)| lost(context, sha256)) {
        let why = format!("`{name}`, which it names, is not kept with the bytes that it names");
        return Err(void("R8", why));
    }
    if record.network != "none" {
        let network = escape(&record.network);
        return Err(void("E4", format!("the build had the network `{network}`, not `none`")));
    }
    same_tests(context, record)
}

fn lost(context: &Context<'_>, document: &Sha256) -> bool {
    context.evidence.lost.contains(document)
}

fn asked(context: &Context<'_>, record: &RecordEvidence, builder: &Builder) -> Result<(), Standing> {
    let Some(nonce) = nonce_of(context, record) else {
        return Err(void(
            "R3",
            format!("the gate never issued its nonce `{}`", escape(&record.nonce)),
        ));
    };
    if nonce.builder != builder.id {
        return Err(void("R3", format!("its nonce was issued to `{}`", nonce.builder)));
    }
    if (nonce.declaration, nonce.lock) != (record.declaration, record.lock) {
        return Err(void("R3", "its nonce was issued for another build".to_owned()));
    }
    if let Some(since) = context
        .candidate
        .terms
        .fresh_since
        .filter(|since| nonce.issued_at < *since)
    {
        let why = format!("its nonce was issued before {since}, and the suite has rebuilds of its own from then on");
        return Err(void("R3", why));
    }
    if record.started_on.plus(SKEW) < nonce.issued_at {
        let why = format!("it started at {}, before its nonce was issued", record.started_on);
        return Err(void("R3", why));
    }
    Ok(())
}

/// Whether a record is one that its builder was bound to before anybody could see another's.
pub(super) fn is_blind(context: &Context<'_>, record: &RecordEvidence) -> bool {
    let bound = |c: &Commitment| {
        (&c.nonce, &c.builder, c.record) == (&record.nonce, &record.builder, record.sha256)
            && (c.declaration, c.lock) == (record.declaration, record.lock)
    };
    let rounds = context.evidence.rounds.iter();
    rounds
        .filter(|round| round.lock == record.lock)
        .any(|round| round.commitments.iter().any(bound))
}

/// What the builder of a record got wrong of a source that was admitted: of several, the same each time.
pub(super) fn missed(context: &Context<'_>, record: &RecordEvidence) -> Option<String> {
    let own = context.evidence.missed.iter().filter(|m| m.builder == record.builder);
    own.min().map(|m| {
        let (builder, source, version, file) = (&m.builder, &m.source, &m.version, &m.file);
        let (admitted, rebuilt) = (m.admitted.short(), m.rebuilt.short());
        format!(
            "`{builder}` rebuilt `{file}` of {source} {version}, which was admitted as {admitted}, as {rebuilt}: the record {}",
            m.record.short()
        )
    })
}

fn in_time(context: &Context<'_>, record: &RecordEvidence) -> Result<(), Standing> {
    if record.finished_on < record.started_on {
        return Err(void("R3", "it ended before it started".to_owned()));
    }
    if record.finished_on > context.now.plus(SKEW) {
        return Err(void(
            "R3",
            format!("it says that it ended at {}, in the future", record.finished_on),
        ));
    }
    let days = context.terms.max_record_age_days;
    if record.finished_on.plus_days(days) < context.now {
        return Err(void(
            "R3",
            format!("it is of {}, older than {days} days", record.finished_on),
        ));
    }
    Ok(())
}

fn same_tests(context: &Context<'_>, record: &RecordEvidence) -> Result<(), Standing> {
    let relaxed = |word: &str| word == "nocheck" && context.common.relaxed("E6");
    let words = record.profiles.iter().chain(&record.options);
    match words.clone().find(|word| !relaxed(word)) {
        Some(word) => Err(void("E6", format!("it was built with `{}`", escape(word)))),
        None => Ok(()),
    }
}

fn void(rule: &'static str, why: String) -> Standing {
    Standing::Void(rule, why)
}

/// The issued nonce that a record answers.
fn nonce_of<'a>(context: &Context<'a>, record: &RecordEvidence) -> Option<&'a IssuedNonce> {
    context
        .evidence
        .nonces
        .iter()
        .filter(|nonce| nonce.nonce == record.nonce)
        .min()
}

/// What a set offers, by name.
pub(super) fn offered(set: &Set<'_>) -> BTreeMap<FileName, Sha256> {
    set.outputs
        .iter()
        .map(|output| (output.name.clone(), output.digest.sha256))
        .collect()
}

/// The first difference between what is offered and what a rebuild gave, in order of names.
pub(super) fn first_difference(
    offered: &BTreeMap<FileName, Sha256>,
    rebuilt: &BTreeMap<FileName, Sha256>,
) -> Option<String> {
    let names: std::collections::BTreeSet<&FileName> = offered.keys().chain(rebuilt.keys()).collect();
    names
        .into_iter()
        .find_map(|name| match (offered.get(name), rebuilt.get(name)) {
            (Some(a), Some(b)) if a == b => None,
            (Some(a), Some(b)) => Some(format!(
                "`{name}` is offered as {}, rebuilt as {}",
                a.short(),
                b.short()
            )),
            (Some(_), None) => Some(format!("`{name}` is offered, but the rebuild did not give it")),
            (None, _) => Some(format!("`{name}` was rebuilt, but is not offered")),
        })
}
