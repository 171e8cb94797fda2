//! Instants, in whole seconds: Release files, signatures and snapshot ids know nothing finer.

use std::fmt;

use chrono::{DateTime, NaiveDateTime, Utc};

use super::DomainError;

/// Seconds since 1970-01-01T00:00:00Z. In JSON and TOML: RFC 3339 in UTC, `2026-11-22T07:20:00Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timestamp(i64);

/// The last second of the year 9999: what every text form can still write.
const LAST: i64 = 253_402_300_799;

impl Timestamp {
    /// From when on something holds, as a sentence says it. The beginning of time is nobody's date.
    #[must_use]
    pub fn as_since(self) -> String {
        match self.unix() {
            0 => "from the beginning".to_owned(),
            _ => format!("at {self}"),
        }
    }

    /// From seconds since 1970, clamped to the years 1970 to 9999.
    #[must_use]
    pub fn from_unix(seconds: i64) -> Self {
        Self(seconds.clamp(0, LAST))
    }

    /// Seconds since 1970; never negative.
    #[must_use]
    pub fn unix(self) -> i64 {
        self.0
    }

    /// Seconds since 1970, for interfaces that count unsigned.
    #[must_use]
    pub fn unix_u64(self) -> u64 {
        self.0.unsigned_abs()
    }

    /// This instant moved by `seconds`.
    #[must_use]
    pub fn plus(self, seconds: i64) -> Self {
        Self::from_unix(self.0.saturating_add(seconds))
    }

    /// This instant moved by `days` days.
    #[must_use]
    pub fn plus_days(self, days: u32) -> Self {
        self.plus(i64::from(days).saturating_mul(86_400))
    }

    /// Seconds from `earlier` to this instant.
    #[must_use]
    pub fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// As Release files write it: `Sat, 11 Jul 2026 10:16:37 UTC`.
    #[must_use]
    pub fn release_date(self) -> String {
        self.format("%a, %d %b %Y %H:%M:%S UTC")
    }

    /// As a changelog or mail writes it, in UTC: `Sat, 11 Jul 2026 10:16:37 +0000`.
    #[must_use]
    pub fn rfc2822(self) -> String {
        self.format("%a, %d %b %Y %H:%M:%S +0000")
    }

    /// As HTTP writes it (RFC 9110): `Sat, 11 Jul 2026 10:16:37 GMT`.
    #[must_use]
    pub fn http_date(self) -> String {
        self.format("%a, %d %b %Y %H:%M:%S GMT")
    }

    /// `2026-11-22T07:20:00Z`.
    #[must_use]
    pub fn rfc3339(self) -> String {
        self.format("%Y-%m-%dT%H:%M:%SZ")
    }

    /// `20261122T072000Z`, as snapshot ids are written.
    #[must_use]
    pub fn compact(self) -> String {
        self.format("%Y%m%dT%H%M%SZ")
    }

    /// The UTC day, `20261122`.
    #[must_use]
    pub fn day(self) -> String {
        self.format("%Y%m%d")
    }

    fn format(self, pattern: &str) -> String {
        DateTime::<Utc>::from_timestamp(self.0, 0)
            .unwrap_or_default()
            .format(pattern)
            .to_string()
    }

    /// Reads the `Date` or `Valid-Until` of a Release file: RFC 1123 with `UTC`, `GMT`, `Z` or `+0000`.
    ///
    /// # Errors
    /// When the text is none of these, or the weekday contradicts the date.
    pub fn parse_release_date(text: &str) -> Result<Self, DomainError> {
        let bad = || DomainError::new("Release date", text, "it is not like `Sat, 11 Jul 2026 10:16:37 UTC`");
        let (front, zone) = text.rsplit_once(' ').ok_or_else(bad)?;
        if !matches!(zone, "UTC" | "GMT" | "Z" | "+0000") {
            return Err(bad());
        }
        let parsed = NaiveDateTime::parse_from_str(front, "%a, %d %b %Y %H:%M:%S").map_err(|_| bad())?;
        Self::checked(parsed.and_utc()).ok_or_else(bad)
    }

    /// Reads a date with a numeric zone, as `debian/changelog` has it.
    ///
    /// # Errors
    /// When the text is not RFC 2822.
    pub fn parse_rfc2822(text: &str) -> Result<Self, DomainError> {
        let bad = || DomainError::new("date", text, "it is not like `Sat, 11 Jul 2026 10:16:37 +0000`");
        let parsed = DateTime::parse_from_rfc2822(text).map_err(|_| bad())?;
        Self::checked(parsed.to_utc()).ok_or_else(bad)
    }

    /// Reads `20261122T072000Z`.
    ///
    /// # Errors
    /// When the text is anything else.
    pub fn parse_compact(text: &str) -> Result<Self, DomainError> {
        let bad = || DomainError::new("timestamp", text, "it is not like `20261122T072000Z`");
        if text.len() != 16 {
            return Err(bad());
        }
        let parsed = NaiveDateTime::parse_from_str(text, "%Y%m%dT%H%M%SZ").map_err(|_| bad())?;
        Self::checked(parsed.and_utc()).ok_or_else(bad)
    }

    /// Reads RFC 3339.
    ///
    /// # Errors
    /// When the text is anything else.
    pub fn parse_rfc3339(text: &str) -> Result<Self, DomainError> {
        let bad = || DomainError::new("timestamp", text, "it is not like `2026-11-22T07:20:00Z`");
        let parsed = DateTime::parse_from_rfc3339(text).map_err(|_| bad())?;
        Self::checked(parsed.to_utc()).ok_or_else(bad)
    }

    /// A leap second is none of these: `23:59:60` would be the same instant as another text, or not,
    /// depending on who reads it.
    fn checked(parsed: DateTime<Utc>) -> Option<Self> {
        let seconds = parsed.timestamp();
        let leap = parsed.timestamp_subsec_nanos() >= 1_000_000_000;
        ((0..=LAST).contains(&seconds) && !leap).then_some(Self(seconds))
    }
}

impl TryFrom<String> for Timestamp {
    type Error = DomainError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse_rfc3339(&text)
    }
}

impl From<Timestamp> for String {
    fn from(value: Timestamp) -> Self {
        value.rfc3339()
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.rfc3339())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_round_trip() -> Result<(), DomainError> {
        let at = Timestamp::parse_release_date("Sat, 11 Jul 2026 10:16:37 UTC")?;
        assert_eq!(at.release_date(), "Sat, 11 Jul 2026 10:16:37 UTC");
        assert_eq!(at.compact(), "20260711T101637Z");
        assert_eq!(Timestamp::parse_compact(&at.compact())?, at);
        assert_eq!(Timestamp::parse_rfc3339(&at.rfc3339())?, at);
        assert_eq!(Timestamp::parse_rfc2822("Sat, 11 Jul 2026 12:16:37 +0200")?, at);
        Ok(())
    }

    #[test]
    fn odd_dates_are_refused() {
        for bad in [
            "",
            "Sat, 11 Jul 2026 10:16:37 +0200",
            "Sun, 11 Jul 2026 10:16:37 UTC",
            "11 Jul 2026",
            "Sat, 32 Jul 2026 10:16:37 UTC",
            "Sat, 11 Jul 2026 10:16:60 UTC",
        ] {
            assert!(Timestamp::parse_release_date(bad).is_err(), "{bad:?}");
        }
        for bad in ["", "2026", "20261122T072000", "20261322T072000Z", "20261122T0720000"] {
            assert!(Timestamp::parse_compact(bad).is_err(), "{bad:?}");
        }
    }
}
