//! Release files: what an archive's signature covers. Signatures are `trust`'s; this reads the text.

use std::collections::BTreeMap;

use crate::domain::{Architecture, Component, Digest, RelPath, Sha256, Timestamp, escape};

use super::FormatError;
use super::checksums::{number, value, words};
use super::deb822::{Paragraph, paragraph};

const WHAT: &str = "Release";
/// The most entries of one section.
const MOST_ENTRIES: usize = 200_000;

/// A Release file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    paragraph: Paragraph,
    entries: BTreeMap<RelPath, Listed>,
}

/// One index file that a Release lists, with each hash that it lists for it. Whoever fetches the
/// file checks them all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// SHA-256 and size.
    pub digest: Digest,
    /// MD5, 32 lower-case hexadecimal digits.
    pub md5: Option<String>,
    /// SHA-1, 40 lower-case hexadecimal digits.
    pub sha1: Option<String>,
    /// SHA-512, 128 lower-case hexadecimal digits.
    pub sha512: Option<String>,
}

impl Release {
    /// Reads the text of a Release file, without the frame of its signature.
    ///
    /// Files that have no SHA-256 are not among the entries: nobody may use them.
    ///
    /// # Errors
    /// When it is not one strict deb822 paragraph with a `SHA256` section, a path could leave its
    /// folder, a section lists a path twice, or two sections contradict each other.
    pub fn parse(text: &[u8]) -> Result<Self, FormatError> {
        let paragraph = paragraph(WHAT, text)?;
        paragraph.require(WHAT, "SHA256")?;
        let mut entries = BTreeMap::new();
        for (path, (hex, size)) in section(&paragraph, "SHA256", 64)? {
            let sha256: Sha256 = value(WHAT, "SHA256", hex)?;
            let listed = Listed {
                digest: Digest { sha256, size },
                md5: None,
                sha1: None,
                sha512: None,
            };
            entries.insert(path, listed);
        }
        add(&paragraph, &mut entries, "MD5Sum", 32, |listed, hex| {
            listed.md5 = Some(hex)
        })?;
        add(&paragraph, &mut entries, "SHA1", 40, |listed, hex| {
            listed.sha1 = Some(hex)
        })?;
        add(&paragraph, &mut entries, "SHA512", 128, |listed, hex| {
            listed.sha512 = Some(hex)
        })?;
        Ok(Self { paragraph, entries })
    }

    /// The value of a field.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        self.paragraph.get(name)
    }

    /// The words of a field, such as `Components`; none when the field is absent.
    pub fn words(&self, name: &str) -> impl Iterator<Item = &str> {
        self.field(name).unwrap_or_default().split_ascii_whitespace()
    }

    /// Name and value of each field, in order.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.paragraph.fields()
    }

    /// When the file was made.
    ///
    /// # Errors
    /// When `Date` is missing, or is not RFC 1123 in UTC.
    pub fn date(&self) -> Result<Timestamp, FormatError> {
        date("Date", self.paragraph.require(WHAT, "Date")?)
    }

    /// When the file expires, if it does.
    ///
    /// # Errors
    /// When `Valid-Until` is there and is not RFC 1123 in UTC.
    pub fn valid_until(&self) -> Result<Option<Timestamp>, FormatError> {
        self.field("Valid-Until")
            .map(|text| date("Valid-Until", text))
            .transpose()
    }

    /// This Release of a flat repository as that of a suite: what it lists is in one component.
    #[must_use]
    pub fn unfolded(mut self, component: &Component, architectures: &[Architecture]) -> Self {
        let mut entries = BTreeMap::new();
        for (path, listed) in std::mem::take(&mut self.entries) {
            let kind = path.as_str().split('.').next().unwrap_or_default();
            let folders: Vec<String> = match kind {
                "Packages" => architectures
                    .iter()
                    .map(|a| format!("{component}/binary-{a}"))
                    .collect(),
                "Sources" => vec![format!("{component}/source")],
                _ => Vec::new(),
            };
            let places = folders
                .into_iter()
                .filter_map(|folder| RelPath::new(format!("{folder}/{path}")).ok());
            entries.extend(places.map(|place| (place, listed.clone())));
        }
        self.entries = entries;
        self
    }

    /// The index files that it lists with a SHA-256.
    #[must_use]
    pub fn entries(&self) -> &BTreeMap<RelPath, Listed> {
        &self.entries
    }
}

fn date(field: &'static str, text: &str) -> Result<Timestamp, FormatError> {
    Timestamp::parse_release_date(text).map_err(|source| FormatError::Value {
        what: format!("{WHAT}: {field}"),
        source,
    })
}

type Section<'a> = BTreeMap<RelPath, (&'a str, u64)>;

/// Reads one section: digest, size and path on each line.
fn section<'a>(paragraph: &'a Paragraph, field: &'static str, digits: usize) -> Result<Section<'a>, FormatError> {
    let bad = |why: String| FormatError::malformed(WHAT, field, why);
    let mut section = Section::new();
    let Some(text) = paragraph.get(field) else {
        return Ok(section);
    };
    let mut lines = text.split('\n');
    if lines.next().is_some_and(|first| !first.is_empty()) {
        return Err(bad("there is text on its first line".to_owned()));
    }
    for line in lines {
        let [hex, size, path] = words(WHAT, field, line)?;
        let lower_hex = hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if hex.len() != digits || !lower_hex {
            let why = format!("`{}` is not {digits} lower-case hexadecimal digits", escape(hex));
            return Err(bad(why));
        }
        let size = number(WHAT, field, size)?;
        let path: RelPath = value(WHAT, field, path)?;
        if section.len() == MOST_ENTRIES {
            return Err(FormatError::Limit {
                what: WHAT,
                limit: MOST_ENTRIES as u64,
                unit: "entries",
            });
        }
        if let Some(path) = section.insert(path.clone(), (hex, size)).map(|_| path) {
            return Err(bad(format!("`{path}` is listed twice")));
        }
    }
    Ok(section)
}

/// Adds the hashes of another section to the entries, whose sizes must be the same.
fn add(
    paragraph: &Paragraph,
    entries: &mut BTreeMap<RelPath, Listed>,
    field: &'static str,
    digits: usize,
    set: fn(&mut Listed, String),
) -> Result<(), FormatError> {
    for (path, (hex, size)) in section(paragraph, field, digits)? {
        let Some(listed) = entries.get_mut(&path) else {
            continue;
        };
        if listed.digest.size != size {
            let why = format!("`{path}` has {size} bytes here and {} in SHA256", listed.digest.size);
            return Err(FormatError::malformed(WHAT, field, why));
        }
        set(listed, hex.to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release() -> String {
        let (md5, sha1, sha256, sha512) = ("1".repeat(32), "2".repeat(40), "3".repeat(64), "4".repeat(128));
        format!(
            "Origin: Debian\nComponents: main contrib\nDate: Sat, 11 Jul 2026 10:16:37 UTC\nValid-Until: Sat, 18 Jul 2026 10:16:37 UTC\n\
             MD5Sum:\n {md5}       12 main/binary-amd64/Packages\n {md5} 3 old\nSHA1:\n {sha1} 12 main/binary-amd64/Packages\n\
             SHA256:\n {sha256} 12 main/binary-amd64/Packages\n {sha256} 0 main/source/Sources\n\
             SHA512:\n {sha512} 12 main/binary-amd64/Packages\n"
        )
    }

    #[test]
    fn entries_have_each_hash_that_is_listed() -> Result<(), Box<dyn std::error::Error>> {
        let release = Release::parse(release().as_bytes())?;
        assert_eq!(release.date()?.rfc3339(), "2026-07-11T10:16:37Z");
        assert_eq!(
            release.valid_until()?.map(Timestamp::rfc3339).as_deref(),
            Some("2026-07-18T10:16:37Z")
        );
        assert_eq!(release.words("components").collect::<Vec<_>>(), ["main", "contrib"]);
        assert_eq!(release.entries().len(), 2, "a file with MD5 alone is not usable");
        let packages = &release.entries()[&RelPath::new("main/binary-amd64/Packages")?];
        assert_eq!(packages.digest.size, 12);
        assert_eq!(packages.md5, Some("1".repeat(32)));
        assert_eq!(packages.sha1, Some("2".repeat(40)));
        assert_eq!(packages.sha512, Some("4".repeat(128)));
        Ok(())
    }

    #[test]
    fn contradictions_and_odd_lines_are_refused() {
        let three = "3".repeat(64);
        for (from, to) in [
            ("SHA256:", "SHA256x:"),
            ("SHA256:\n", "SHA256: x\n"),
            (" 0 main/source/Sources", " 0 main/binary-amd64/Packages"),
            ("       12 main/binary-amd64", "       13 main/binary-amd64"),
            (" 0 main/source/Sources", " 0 ../Sources"),
            (" 0 main/source/Sources", " 0 /main/Sources"),
            (" 0 main/source/Sources", " 0 main/source/Sources x"),
            (" 0 main/source/Sources", " 0"),
            (" 0 main/source/Sources", " -1 main/source/Sources"),
            (" 0 main/source/Sources", " +1 main/source/Sources"),
            (" 0 main/source/Sources", " 99999999999999999999 main/source/Sources"),
            (&format!("{three} 0"), &format!("{} 0", "3".repeat(63))),
            (&format!("{three} 0"), &format!("{} 0", "A".repeat(64))),
            (
                &format!("{three} 0 main/source/Sources"),
                &format!("main/source/Sources 0 {three}"),
            ),
            ("Origin: Debian", "Date: Debian"),
            ("Origin: Debian\n", "Origin: Debian\n\n"),
        ] {
            assert!(release().contains(from), "{from:?}");
            assert!(
                Release::parse(release().replacen(from, to, 1).as_bytes()).is_err(),
                "{from:?} -> {to:?}"
            );
        }
    }

    #[test]
    fn dates_are_strict_when_they_are_asked_for() -> Result<(), FormatError> {
        let odd = Release::parse(release().replace("10:16:37 UTC", "10:16:37 +0200").as_bytes())?;
        assert!(odd.date().is_err() && odd.valid_until().is_err());
        let none = Release::parse(
            release()
                .replace("Valid-Until", "X-Valid")
                .replace("Date", "X-Date")
                .as_bytes(),
        )?;
        assert!(none.date().is_err());
        assert_eq!(none.valid_until()?, None);
        Ok(())
    }
}
