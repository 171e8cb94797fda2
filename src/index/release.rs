//! Our Release files (Debian wiki, RepositoryFormat): pure.

use std::fmt::Write as _;

use crate::domain::SignedByKey;
use crate::snapshot::{Edition, SuiteState, is_descriptive};

/// How the line begins that says where snapshots are.
pub const SNAPSHOTS: &str = "Snapshots: ";

/// What a Release file says beside its suite.
#[derive(Debug, Clone, Copy, Default)]
pub struct Terms<'a> {
    /// `Valid-Until` is this many days after the Date; absent: none.
    pub valid_days: Option<u32>,
    /// The keys that apt takes the next Release by. It reads that only beside a Valid-Until.
    pub signed_by: &'a [SignedByKey],
    /// The value of the field `Snapshots`, with its `@SNAPSHOTID@`. apt reads it only when there is an Origin or a Label.
    pub snapshots_url: Option<&'a str>,
}

impl<'a> Terms<'a> {
    /// Those of an edition; where its snapshots are served is the site's to say.
    #[must_use]
    pub fn of(edition: &'a Edition, snapshots_url: Option<&'a str>) -> Self {
        Self {
            valid_days: edition.valid_days,
            signed_by: &edition.signed_by,
            snapshots_url,
        }
    }
}

/// The lines of a Release text that do not begin so. By bytes: what is no UTF-8, or ends in another way, is another line.
#[must_use]
pub fn lines_but<'t>(text: &'t [u8], free: &[&str]) -> Vec<&'t [u8]> {
    let lines = text.split(|byte| *byte == b'\n');
    let is_bound = |line: &&[u8]| !free.iter().any(|field| line.starts_with(field.as_bytes()));
    lines.filter(is_bound).collect()
}

/// The Release file of a suite, unsigned.
///
/// The fields come in the order of Debian's own. Only SHA-256 is listed, since apt fetches by the
/// strongest hash that it finds. No value can begin a line of its own, whatever it has in it.
#[must_use]
pub fn release_text(suite: &SuiteState, terms: &Terms<'_>) -> Vec<u8> {
    let mut text = Text::default();
    text.described(suite, |name| place(name) == Place::Name);
    text.field("Date", &suite.date.release_date());
    if let Some(days) = terms.valid_days {
        text.field("Valid-Until", &suite.date.plus_days(days).release_date());
    }
    text.field("Acquire-By-Hash", "yes");
    text.described(suite, |name| place(name) == Place::Rule);
    if !terms.signed_by.is_empty() {
        text.field(
            "Signed-By",
            &terms
                .signed_by
                .iter()
                .map(SignedByKey::as_str)
                .collect::<Vec<_>>()
                .join(", "),
        );
    }
    if let Some(url) = terms.snapshots_url
        && suite
            .fields
            .iter()
            .any(|(name, _)| is_one_of(name, &["Origin", "Label"]))
    {
        text.field("Snapshots", url);
    }
    text.field("Architectures", &words(&suite.architectures));
    text.field("Components", &words(&suite.components));
    text.described(suite, |name| place(name) == Place::Description);
    text.hashes(suite);
    text.0.into_bytes()
}

/// Where a field stands.
#[derive(PartialEq, Eq)]
enum Place {
    Name,
    Rule,
    Description,
}

fn place(name: &str) -> Place {
    if is_one_of(name, &["Origin", "Label", "Suite", "Version", "Codename", "Changelogs"]) {
        Place::Name
    } else if is_one_of(name, &["Description"]) {
        Place::Description
    } else {
        Place::Rule
    }
}

fn is_one_of(name: &str, names: &[&str]) -> bool {
    names.iter().any(|one| one.eq_ignore_ascii_case(name))
}

fn words<T: std::fmt::Display>(values: &[T]) -> String {
    let words: Vec<String> = values.iter().map(ToString::to_string).collect();
    words.join(" ")
}

#[derive(Default)]
struct Text(String);

impl Text {
    fn described(&mut self, suite: &SuiteState, here: impl Fn(&str) -> bool) {
        let described = suite
            .fields
            .iter()
            .filter(|(name, _)| is_descriptive(name) && here(name));
        for (name, value) in described {
            self.field(name, value);
        }
    }

    /// One line. A record's check refuses values that are not one already; here they become one.
    fn field(&mut self, name: &str, value: &str) {
        let plain: String = value.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let plain = plain.trim();
        if !plain.is_empty() {
            let _ = writeln!(self.0, "{name}: {plain}");
        }
    }

    /// Columns as Debian has them: apt ignores lines in another order without a word.
    fn hashes(&mut self, suite: &SuiteState) {
        self.0.push_str("SHA256:\n");
        for index in &suite.indexes {
            let digest = &index.digest;
            let _ = writeln!(self.0, " {} {:>8} {}", digest.sha256, digest.size, index.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Architecture, Component, Digest, RelPath, SuiteName, Timestamp};
    use crate::snapshot::IndexFile;

    fn suite(fields: &[(&str, &str)]) -> SuiteState {
        let index = |path: &str, bytes: &[u8], kept| IndexFile {
            path: RelPath::new(path).unwrap(),
            digest: Digest::of(bytes),
            kept,
        };
        SuiteState {
            suite: SuiteName::new("trixie").unwrap(),
            date: Timestamp::parse_compact("20261122T072000Z").unwrap(),
            fields: fields.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(),
            architectures: vec![Architecture::all(), Architecture::new("amd64").unwrap()],
            components: vec![Component::new("main").unwrap()],
            indexes: vec![
                index("main/binary-amd64/Packages", b"", false),
                index("main/binary-amd64/Packages.xz", b"0123456789", true),
            ],
            upstream: None,
            custom: None,
        }
    }

    const URL: &str = "https://example.org/debian/@SNAPSHOTID@/";

    fn terms(valid_days: Option<u32>, url: &str) -> Terms<'_> {
        Terms {
            valid_days,
            snapshots_url: Some(url),
            ..Terms::default()
        }
    }

    #[test]
    fn the_keys_of_the_next_release_are_named() {
        let keys = [
            "4D64FEC119C2029067D6E791F8D2585B8783D481",
            "E8701A38B509D82F5BDF382BE360F957BB254C1F!",
        ];
        let keys = keys.map(|key| SignedByKey::new(key).unwrap());
        let terms = Terms {
            signed_by: &keys,
            ..terms(Some(10), URL)
        };
        let text = String::from_utf8(release_text(&suite(&[]), &terms)).unwrap();
        let line = format!("\nSigned-By: {}, {}\n", keys[0], keys[1]);
        assert!(text.contains(&line), "{text}");
    }

    #[test]
    fn it_looks_like_debians() {
        let suite = suite(&[
            ("Origin", "Debian"),
            ("Label", "Debian"),
            ("Suite", "stable"),
            ("Version", "13.2"),
            ("Codename", "trixie"),
            ("No-Support-for-Architecture-all", "Packages"),
            ("Changelogs", "https://example.org/@CHANGEPATH@"),
            ("Description", "Debian 13.2"),
        ]);
        let text = String::from_utf8(release_text(&suite, &terms(Some(10), URL))).unwrap();
        assert_eq!(
            text,
            "Origin: Debian\n\
             Label: Debian\n\
             Suite: stable\n\
             Version: 13.2\n\
             Codename: trixie\n\
             Changelogs: https://example.org/@CHANGEPATH@\n\
             Date: Sun, 22 Nov 2026 07:20:00 UTC\n\
             Valid-Until: Wed, 02 Dec 2026 07:20:00 UTC\n\
             Acquire-By-Hash: yes\n\
             No-Support-for-Architecture-all: Packages\n\
             Snapshots: https://example.org/debian/@SNAPSHOTID@/\n\
             Architectures: all amd64\n\
             Components: main\n\
             Description: Debian 13.2\n\
             SHA256:\n \
             e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855        0 main/binary-amd64/Packages\n \
             84d89877f0d4041efb6bf91a16f0248f2fd573e6af05c19f96bedb9f882f7882       10 main/binary-amd64/Packages.xz\n"
        );
    }

    #[test]
    fn snapshots_need_an_origin_or_label() {
        let with = |fields: &[(&str, &str)]| {
            let text = release_text(&suite(fields), &terms(None, URL));
            String::from_utf8(text).unwrap().contains("Snapshots:")
        };
        assert!(with(&[("Origin", "x")]) && with(&[("Label", "x")]));
        assert!(!with(&[("Suite", "x")]));
    }

    #[test]
    fn no_value_begins_a_line() {
        let hostile = suite(&[
            ("Origin", "a\nSHA256:\n 00 0 x"),
            ("Label\nSHA256", "x"),
            ("Date", "Sat, 01 Jan 2000 00:00:00 UTC"),
            ("sha256", "x"),
            ("Description", "\r\n\u{85}\n- dash"),
        ]);
        let text = String::from_utf8(release_text(&hostile, &terms(None, "x\nDate: y"))).unwrap();
        let names: Vec<&str> = text
            .lines()
            .filter(|line| !line.starts_with(' '))
            .map(|line| line.split(':').next().unwrap())
            .collect();
        assert_eq!(
            names,
            [
                "Origin",
                "Date",
                "Acquire-By-Hash",
                "Snapshots",
                "Architectures",
                "Components",
                "Description",
                "SHA256"
            ],
            "{text}"
        );
    }
}
