//! How old what upstream signed may get before it counts as frozen (threat F2). Pure.

use std::num::NonZeroU16;

use crate::domain::Timestamp;
use crate::snapshot::UpstreamRelease;

/// When a Release of this Date is too old: at its Valid-Until, or at our own maximum age, whichever
/// comes first. Never, when there is neither.
fn end(date: Timestamp, valid_until: Option<Timestamp>, max_age_days: Option<NonZeroU16>) -> Option<Timestamp> {
    let ours = max_age_days.map(|days| date.plus_days(u32::from(days.get())));
    match (valid_until, ours) {
        (Some(theirs), Some(ours)) => Some(theirs.min(ours)),
        (theirs, ours) => theirs.or(ours),
    }
}

/// When what upstream signed is too old, once more than half of that time is over: nothing is wrong
/// yet, and an upstream that is updated as it should be does not get there.
#[must_use]
pub fn ageing(upstream: &UpstreamRelease, max_age_days: Option<NonZeroU16>, now: Timestamp) -> Option<Timestamp> {
    let end = end(upstream.date, upstream.valid_until, max_age_days)?;
    (now.since(upstream.date) > end.since(now)).then_some(end)
}

/// When what upstream signed became too old, if it has by `now`: nobody knows then what upstream has since.
#[must_use]
pub fn ended(upstream: &UpstreamRelease, max_age_days: Option<NonZeroU16>, now: Timestamp) -> Option<Timestamp> {
    end(upstream.date, upstream.valid_until, max_age_days).filter(|end| *end <= now)
}

/// Whether a Release of this Date is older than the site takes.
pub(super) fn is_too_old(date: Timestamp, max_age_days: Option<NonZeroU16>, now: Timestamp) -> bool {
    end(date, None, max_age_days).is_some_and(|end| end <= now)
}
