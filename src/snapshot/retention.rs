//! Which editions are kept, and why: a pure decision.

use std::collections::{BTreeMap, BTreeSet};

use super::{EditionName, Marks};
use crate::domain::{Serial, SnapshotId, TagName, Timestamp};
use crate::site::Keep;

/// Who outside the store needs which snapshots of an archive, in words: locks, serial files.
pub type Pins = BTreeMap<Serial, BTreeSet<String>>;

/// Snapshots of an archive that clients may be in the middle of, by number, and until when each stays for them.
pub type Reading = BTreeMap<u64, Timestamp>;

/// What becomes of an edition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It stays; for each of these reasons.
    Kept(Vec<String>),
    /// It would go, and stays until then: it was the newest a moment ago, and clients may be reading it.
    Read(Timestamp),
    /// The next garbage collection takes it, and why.
    Expired(String),
    /// It was taken.
    Gone(Timestamp),
}

impl Verdict {
    /// Whether it stays.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        matches!(self, Self::Kept(_) | Self::Read(_))
    }

    /// Why, in one line.
    #[must_use]
    pub fn why(&self) -> String {
        match self {
            Self::Kept(reasons) => reasons.join("; "),
            Self::Read(until) => format!("kept until {until} for clients that are reading it"),
            Self::Expired(why) => why.clone(),
            Self::Gone(at) => format!("it was let go, and is gone since {at}"),
        }
    }
}

/// What decides.
#[derive(Debug, Clone, Copy)]
pub struct Retention<'a> {
    /// The archive's rule; none: for ever.
    pub keep: Option<Keep>,
    /// Who needs which snapshots.
    pub pins: &'a Pins,
    /// What was said about editions.
    pub marks: &'a Marks,
    /// What clients may be in the middle of.
    pub reading: &'a Reading,
    /// The number of the newest snapshot.
    pub newest: u64,
    /// Now.
    pub now: Timestamp,
}

impl Retention<'_> {
    /// What becomes of snapshot `n`.
    #[must_use]
    pub fn snapshot(&self, n: u64, id: &SnapshotId, serial: &Serial) -> Verdict {
        let name = EditionName::Serial(serial.clone());
        if let Some(at) = self.marks.gone(&name) {
            return Verdict::Gone(at);
        }
        let mut reasons = Vec::new();
        if n >= self.newest {
            reasons.push("it is the newest".to_owned());
        }
        reasons.extend(self.marked(&name));
        reasons.extend(self.pins.get(serial).into_iter().flatten().cloned());
        let dropped = self.marks.is_dropped(&name);
        if !dropped {
            reasons.extend(self.by_rule(n, id));
        }
        if !reasons.is_empty() {
            return Verdict::Kept(reasons);
        }
        if let Some(until) = self.reading.get(&n) {
            return Verdict::Read(*until);
        }
        if dropped {
            return Verdict::Expired("it was dropped".to_owned());
        }
        Verdict::Expired(self.rule_in_words())
    }

    /// Whether somebody named it: by a mark, a lock or a serial file.
    #[must_use]
    pub fn is_named(&self, serial: &Serial) -> bool {
        let pinned = self.pins.get(serial).is_some_and(|by| !by.is_empty());
        pinned || self.marked(&EditionName::Serial(serial.clone())).is_some()
    }

    /// What becomes of a tag: it is kept until it is let go.
    #[must_use]
    pub fn tag(&self, tag: &TagName) -> Verdict {
        let name = EditionName::Tag(tag.clone());
        match self.marks.gone(&name) {
            Some(at) => Verdict::Gone(at),
            None if self.marks.is_dropped(&name) => Verdict::Expired("it was dropped".to_owned()),
            None => Verdict::Kept(vec!["tags are kept until they are dropped".to_owned()]),
        }
    }

    fn marked(&self, name: &EditionName) -> Option<String> {
        Some(match self.marks.kept(name, self.now)? {
            Some(until) => format!("marked to be kept until {until}"),
            None => "marked to be kept".to_owned(),
        })
    }

    /// Either rule is enough; without any, snapshots are kept for ever.
    fn by_rule(&self, n: u64, id: &SnapshotId) -> Option<String> {
        let Keep { days, count } = self.keep.unwrap_or_default();
        if days.is_none() && count.is_none() {
            return Some("snapshots of this archive are kept for ever".to_owned());
        }
        let newer = self.newest.saturating_sub(n);
        if let Some(count) = count.filter(|count| newer < u64::from(*count)) {
            return Some(format!("one of the newest {count}"));
        }
        let days = days.filter(|days| id.timestamp().plus_days(*days) > self.now)?;
        Some(format!("not older than {days} days"))
    }

    fn rule_in_words(&self) -> String {
        let Keep { days, count } = self.keep.unwrap_or_default();
        let days = days.map(|days| format!("older than {days} days"));
        let count = count.map(|count| format!("not one of the newest {count}"));
        days.into_iter().chain(count).collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn serial(text: &str) -> Serial {
        Serial::new(text).unwrap()
    }

    /// The verdict on snapshot `n` of 10, `age` days old.
    fn verdict(keep: Option<Keep>, pins: &Pins, n: u64, age: u32) -> Verdict {
        let now = Timestamp::parse_compact("20261122T120000Z").unwrap();
        let retention = Retention {
            keep,
            pins,
            marks: &Marks::default(),
            reading: &Reading::from([(6, now.plus(60))]),
            newest: 10,
            now,
        };
        let id = SnapshotId::at(now.plus(-86_400 * i64::from(age)));
        retention.snapshot(n, &id, &serial("2026010101"))
    }

    #[test]
    fn by_age_by_count_or_for_ever() {
        let none = Pins::new();
        let keep = |days, count| Some(Keep { days, count });
        for (keep, n, age, kept) in [
            (None, 1, 9999, true),
            (keep(None, None), 1, 9999, true),
            (keep(Some(90), None), 1, 89, true),
            (keep(Some(90), None), 1, 90, false),
            (keep(None, Some(3)), 8, 9999, true),
            (keep(None, Some(3)), 7, 0, false),
            (keep(Some(90), Some(3)), 7, 89, true),
            (keep(Some(90), Some(3)), 8, 9999, true),
            (keep(Some(90), Some(3)), 7, 90, false),
            // So does what clients are reading, which the rule alone would let go.
            (keep(Some(90), Some(3)), 6, 90, true),
            // The newest stays whatever is said.
            (keep(Some(0), Some(0)), 10, 9999, true),
        ] {
            let verdict = verdict(keep, &none, n, age);
            assert_eq!(verdict.is_kept(), kept, "{keep:?} {n} {age}: {}", verdict.why());
        }
        let why = verdict(keep(Some(90), Some(3)), &none, 1, 100).why();
        assert_eq!(why, "older than 90 days, not one of the newest 3");
        let why = verdict(keep(None, Some(3)), &none, 6, 0).why();
        assert_eq!(why, "kept until 2026-11-22T12:01:00Z for clients that are reading it");
    }

    #[test]
    fn who_needs_it_is_said() {
        let pins = Pins::from([(serial("2026010101"), BTreeSet::from(["locked by x".to_owned()]))]);
        let keep = Some(Keep {
            days: Some(1),
            count: None,
        });
        assert_eq!(
            verdict(keep, &pins, 1, 100),
            Verdict::Kept(vec!["locked by x".to_owned()])
        );
    }
}
