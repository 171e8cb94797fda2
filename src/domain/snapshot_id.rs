//! What names a snapshot: id, serial, tag, `latest`, or an instant; and `ARCHIVE@NAME`.

use std::fmt;
use std::str::FromStr;

use super::name::text_type;
use super::{ArchiveName, DomainError, Timestamp};

text_type!(
    /// `YYYYMMDDTHHMMSSZ`: when the snapshot was accepted.
    SnapshotId, "snapshot id", snapshot_id
);
text_type!(
    /// `YYYYMMDDNN`: the UTC day, and 01 to 99 within it.
    Serial, "serial", serial
);
text_type!(
    /// A tag's name: `[0-9a-z.-]+`, as Tails writes them, and nothing that apt's `Snapshot:` would
    /// read as a boolean, nor anything that could be an id, a serial or `latest`.
    TagName, "tag name", tag_name
);

impl SnapshotId {
    /// The id of a snapshot accepted at `at`.
    #[must_use]
    pub fn at(at: Timestamp) -> Self {
        Self(at.compact())
    }

    /// When the snapshot was accepted.
    #[must_use]
    pub fn timestamp(&self) -> Timestamp {
        Timestamp::parse_compact(self.as_str()).unwrap_or(Timestamp::from_unix(0))
    }
}

impl Serial {
    /// The first serial of the day of `now` that is later than `previous`; none after the 99th.
    /// A clock that went back a day does not: the serial stays above `previous`.
    ///
    /// # Errors
    /// When the day has had 99 snapshots.
    pub fn next(previous: Option<&Self>, now: Timestamp) -> Result<Self, DomainError> {
        let first = format!("{}01", now.day());
        let Some(previous) = previous.filter(|p| p.as_str() >= first.as_str()) else {
            return Self::new(first);
        };
        let full = || DomainError::new("serial", previous.as_str(), "the day has had 99 snapshots already");
        let number: u64 = previous.as_str().parse().map_err(|_| full())?;
        Self::new((number + 1).to_string()).map_err(|_| full())
    }
}

/// What stands after the `@` of a `REF`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SnapshotName {
    /// The newest snapshot.
    Latest,
    /// The snapshot with this id; or, when there is none, the newest not after it.
    At(SnapshotId),
    /// The snapshot with this serial.
    Serial(Serial),
    /// The snapshot with this tag.
    Tag(TagName),
}

impl FromStr for SnapshotName {
    type Err = DomainError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "latest" {
            return Ok(Self::Latest);
        }
        if let Ok(id) = SnapshotId::new(text) {
            return Ok(Self::At(id));
        }
        if let Ok(serial) = Serial::new(text) {
            return Ok(Self::Serial(serial));
        }
        if let Ok(at) = Timestamp::parse_rfc3339(text) {
            return Ok(Self::At(SnapshotId::at(at)));
        }
        // What could be no tag is looked for as one by nobody: why it could not be is not the question.
        TagName::new(text).map(Self::Tag).map_err(|_| {
            let why = "there is none: a snapshot has an id like `20261122T072000Z` and a serial like `2026112201`, maybe a tag, \
                       and `latest` or an instant mean one; `assay snapshot list` prints them";
            DomainError::new("name of a snapshot", text, why)
        })
    }
}

impl fmt::Display for SnapshotName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latest => f.pad("latest"),
            Self::At(id) => id.fmt(f),
            Self::Serial(serial) => serial.fmt(f),
            Self::Tag(tag) => tag.fmt(f),
        }
    }
}

/// `ARCHIVE@NAME`; a bare `ARCHIVE` means its latest snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotRef {
    /// Which archive.
    pub archive: ArchiveName,
    /// Which of its snapshots.
    pub name: SnapshotName,
}

impl FromStr for SnapshotRef {
    type Err = DomainError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (archive, name) = text.split_once('@').unwrap_or((text, "latest"));
        Ok(Self {
            archive: archive.parse()?,
            name: name.parse()?,
        })
    }
}

impl fmt::Display for SnapshotRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.archive, self.name)
    }
}

fn snapshot_id(text: &str) -> Result<(), &'static str> {
    Timestamp::parse_compact(text)
        .map(|_| ())
        .map_err(|_| "it is not like `20261122T072000Z`")
}

fn serial(text: &str) -> Result<(), &'static str> {
    let why = "it is not a UTC day and a number from 01 to 99, like `2026112201`";
    if text.len() != 10 || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(why);
    }
    let (day, number) = text.split_at_checked(8).ok_or(why)?;
    if number == "00" {
        return Err(why);
    }
    Timestamp::parse_compact(&format!("{day}T000000Z"))
        .map(|_| ())
        .map_err(|_| why)
}

fn tag_name(text: &str) -> Result<(), &'static str> {
    if text.is_empty() || text.len() > 60 {
        return Err("it is empty or longer than 60 bytes");
    }
    if !text
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-'))
    {
        return Err("only lower-case letters, digits, `.` and `-` are allowed");
    }
    if !text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric()) || text.ends_with('.') || text.contains("..") {
        return Err("it must start with a letter or digit, and have no `..` nor a dot at its end");
    }
    if matches!(
        text,
        "yes" | "true" | "with" | "on" | "enable" | "no" | "false" | "without" | "off" | "disable"
    ) {
        return Err("apt reads it as a boolean and would silently use the live archive");
    }
    if text.bytes().all(|b| b.is_ascii_digit()) {
        return Err("apt could read it as a boolean, and we as a serial: add a letter, a dot or a dash");
    }
    if text.starts_with("0x") {
        return Err("apt could read it as a number, and so as a boolean");
    }
    if snapshot_id(&text.to_ascii_uppercase()).is_ok() {
        return Err("it differs from the id of a snapshot by its case only: add a letter, a dot or a dash");
    }
    match text {
        "env" | "api" | "state" | "latest" | "upstream" | "by-hash" | "provenance" | "project" | "snapshots"
        | "pool" | "dists" => Err("it is a word that Assay uses itself"),
        "main" | "contrib" | "non-free" | "non-free-firmware" | "restricted" | "universe" | "multiverse"
        | "updates" => Err("it is the name of a component, which has a folder of its own"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serials_count_within_a_day() -> Result<(), DomainError> {
        let now = Timestamp::parse_compact("20261122T072000Z")?;
        let first = Serial::next(None, now)?;
        assert_eq!(first.as_str(), "2026112201");
        let second = Serial::next(Some(&first), now)?;
        assert_eq!(second.as_str(), "2026112202");
        assert_eq!(Serial::next(Some(&second), now.plus_days(1))?.as_str(), "2026112301");
        assert_eq!(Serial::next(Some(&second), now.plus(-86_400))?.as_str(), "2026112203");
        assert!(Serial::next(Some(&Serial::new("2026112299")?), now).is_err());
        Ok(())
    }

    #[test]
    fn names_are_told_apart() -> Result<(), DomainError> {
        assert_eq!("latest".parse::<SnapshotName>()?, SnapshotName::Latest);
        assert!(matches!("20261122T072000Z".parse()?, SnapshotName::At(_)));
        assert!(matches!("2026-11-22T07:20:00Z".parse()?, SnapshotName::At(_)));
        assert!(matches!("2026112201".parse()?, SnapshotName::Serial(_)));
        assert!(matches!("5.15.1".parse()?, SnapshotName::Tag(_)));
        for bad in [
            "1",
            "yes",
            "on",
            "true",
            "enable",
            "",
            "A",
            "a..b",
            "x?",
            "latest/",
            "2026",
            "main",
            "0x1",
            "env",
            "state",
            "project",
            "20261127t002753z",
        ] {
            assert!(TagName::new(bad).is_err(), "{bad:?}");
        }
        let reference: SnapshotRef = "debian".parse()?;
        assert_eq!(reference.to_string(), "debian@latest");
        Ok(())
    }
}
