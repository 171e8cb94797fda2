//! A Release file as apt loads it (`debReleaseIndex::Load`).

use std::collections::BTreeMap;

use super::section::{Section, sections};
use crate::domain::Timestamp;

/// The hashes that apt knows, the strongest first, with the names of their `by-hash` folders.
pub(super) const HASHES: [&str; 4] = ["SHA512", "SHA256", "SHA1", "MD5Sum"];

/// What a Release lists of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) size: u64,
    /// By the names of `HASHES`.
    pub(super) hashes: BTreeMap<&'static str, String>,
}

impl Entry {
    /// Whether apt uses what is listed: MD5 and SHA-1 do not suffice.
    pub(super) fn is_usable(&self) -> bool {
        self.strongest().is_some_and(|(name, _)| is_strong(name))
    }

    /// The strongest hash: the one that by-hash is asked by.
    pub(super) fn strongest(&self) -> Option<(&'static str, &str)> {
        let found = HASHES.iter().find_map(|name| self.hashes.get_key_value(name))?;
        Some((*found.0, found.1.as_str()))
    }
}

fn is_strong(name: &str) -> bool {
    matches!(name, "SHA512" | "SHA256")
}

/// A Release file.
#[derive(Debug, Clone)]
pub(super) struct Release<'a> {
    section: Section<'a>,
    pub(super) entries: BTreeMap<String, Entry>,
    pub(super) architectures: Vec<&'a str>,
    components: Vec<&'a str>,
    no_all: Vec<&'a str>,
}

/// Why apt loads none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unloadable {
    /// It is no section of fields.
    Malformed,
    /// A line of its hashes is not a hash, a size and a name.
    Hashes(&'static str),
}

impl<'a> Release<'a> {
    pub(super) fn load(text: &'a str) -> Result<Self, Unloadable> {
        let section = sections(text)
            .next()
            .and_then(Result::ok)
            .ok_or(Unloadable::Malformed)?;
        let mut entries: BTreeMap<String, Entry> = BTreeMap::new();
        for name in HASHES {
            let mut words = section.words(name);
            while let Some(hash) = words.next() {
                let (Some(size), Some(path)) = (words.next(), words.next()) else {
                    return Err(Unloadable::Hashes(name));
                };
                let entry = entries.entry(path.to_owned()).or_insert_with(|| Entry {
                    size: number(size),
                    ..Entry::default()
                });
                entry.hashes.entry(name).or_insert_with(|| hash.to_ascii_lowercase());
            }
        }
        let mut components = Vec::new();
        for component in section.words("Components") {
            // As security archives write theirs: `updates/main`.
            components.extend(component.rsplit_once('/').map(|(_, last)| last));
            components.push(component);
        }
        Ok(Self {
            architectures: section.words("Architectures").collect(),
            no_all: section.words("No-Support-for-Architecture-all").collect(),
            components,
            entries,
            section,
        })
    }

    pub(super) fn get(&self, name: &str) -> Option<&'a str> {
        self.section.filled(name)
    }

    /// A field of yes or no.
    pub(super) fn is(&self, name: &str) -> bool {
        let yes = ["yes", "true", "with", "on", "enable", "1"];
        self.get(name)
            .is_some_and(|value| yes.contains(&value.to_ascii_lowercase().as_str()))
    }

    /// When it was made; none when apt does not understand what it says.
    pub(super) fn date(&self) -> Option<Timestamp> {
        date(self.get("Date")?)
    }

    /// How packages of it are pinned.
    pub(super) fn default_pin(&self) -> u16 {
        match (self.is("NotAutomatic"), self.is("ButAutomaticUpgrades")) {
            (false, _) => 500,
            (true, true) => 100,
            (true, false) => 1,
        }
    }

    pub(super) fn supports(&self, architecture: &str) -> bool {
        self.architectures.is_empty() || self.architectures.contains(&architecture)
    }

    /// Whether indexes of this kind (`Packages`) are read from `binary-all`.
    pub(super) fn supports_all(&self, kind: &str) -> bool {
        self.supports("all") && !self.no_all.contains(&kind)
    }

    pub(super) fn has_component(&self, component: &str) -> bool {
        self.components.is_empty() || self.components.contains(&component)
    }

    /// The components that it names.
    pub(super) fn components(&self) -> impl Iterator<Item = &'a str> {
        self.section.words("Components")
    }
}

/// As apt reads it: with `GMT`, `UTC`, `Z` or a zone of zero, and any weekday.
pub(super) fn date(text: &str) -> Option<Timestamp> {
    if let Ok(date) = Timestamp::parse_release_date(text) {
        return Some(date);
    }
    // A weekday that is not that day's is none of apt's business.
    let (_, rest) = text.split_once(", ")?;
    let days = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    days.iter()
        .find_map(|day| Timestamp::parse_release_date(&format!("{day}, {rest}")).ok())
}

/// As `strtoull` reads it.
pub(super) fn number(text: &str) -> u64 {
    let digits = text.trim_start_matches('+');
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits.get(..end).unwrap_or_default().parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_loads_what_apt_loads() {
        let (md5, sha256) = ("1".repeat(32), "3".repeat(64));
        let text = format!(
            "Architectures: amd64 all\nComponents: updates/main\nNotAutomatic: yes\nDate: Mon, 1 Jan 2024 00:00:00 +0000\n\
             No-Support-for-Architecture-all: Packages\nMD5Sum:\n {md5} 12 a\n {md5} 3 old\nSHA256:\n {sha256} 13 a\n"
        );
        let release = Release::load(&text).unwrap();
        assert_eq!(release.entries["a"].size, 13, "the strongest hash is read first");
        assert_eq!(release.entries["a"].strongest().unwrap().0, "SHA256");
        assert!(release.entries["a"].is_usable() && !release.entries["old"].is_usable());
        assert!(release.has_component("main") && release.has_component("updates/main"));
        assert!(release.supports_all("Sources") && !release.supports_all("Packages"));
        assert_eq!(release.default_pin(), 1);
        assert_eq!(release.date().unwrap().rfc3339(), "2024-01-01T00:00:00Z");
        let odd = text.replace(" 13 a", " 13");
        assert_eq!(Release::load(&odd).unwrap_err(), Unloadable::Hashes("SHA256"));
        assert_eq!(Release::load("").unwrap_err(), Unloadable::Malformed);
    }

    #[test]
    fn dates_are_read_as_apt_reads_them() {
        assert!(date("Sun, 01 Jan 2024 00:00:00 UTC").is_some(), "it was a Monday");
        for bad in [
            "",
            "Mon, 01 Jan 2024 00:00:00 +0200",
            "yesterday",
            "Mon, 01 Jan 2024 00:00:00 CET",
        ] {
            assert!(date(bad).is_none(), "{bad:?}");
        }
        assert_eq!(number("12x"), 12);
        assert_eq!(number("-1"), 0);
    }
}
