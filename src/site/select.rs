//! `[select]` of a mirror: which of upstream's packages are followed.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::domain::DomainError;

/// Which packages a mirror has: those that one of the lists names. With `pool = "closure"` all that
/// they need comes along.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Select {
    /// Names of binary packages, or patterns with `*` and `?`.
    #[serde(default)]
    pub packages: BTreeSet<PackagePattern>,
    /// Whole sections: `admin`, `contrib/admin`.
    #[serde(default)]
    pub sections: BTreeSet<String>,
    /// Whole priorities: `required`, `important`, `standard`, `optional`.
    #[serde(default)]
    pub priorities: BTreeSet<String>,
    /// Whether what they recommend is needed.
    #[serde(default)]
    pub recommends: bool,
    /// Whether what the sources of the packages that the lists name are built with is needed, and build-essential, which each is.
    #[serde(default)]
    pub build_dependencies: bool,
    /// Whether a name, pattern, section or priority above may mean nothing that upstream has: it is said, and
    /// no error.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_missing: bool,
    /// Whether chosen packages may need what upstream does not have, as an archive does that stands on another
    /// one: it is said, and no error.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_unmet: bool,
}

impl Select {
    /// The same without what it may lack: that is no part of which packages it means.
    #[must_use]
    pub fn as_choice(&self) -> Self {
        Self {
            allow_missing: false,
            allow_unmet: false,
            ..self.clone()
        }
    }
}

/// The name of a binary package, in which `*` stands for any characters and `?` for one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PackagePattern(String);

impl PackagePattern {
    /// Checks a pattern and takes it.
    ///
    /// # Errors
    /// When it has a character that no package name has.
    pub fn new(text: impl Into<String>) -> Result<Self, DomainError> {
        let text = text.into();
        let legal =
            |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'*' | b'?');
        if text.is_empty() || text.len() > 200 || !text.bytes().all(legal) {
            let why = "a pattern has lower-case letters, digits, `+`, `-`, `.`, `*` and `?`";
            return Err(DomainError::new("package pattern", &text, why));
        }
        Ok(Self(text))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it stands for more than one name.
    #[must_use]
    pub fn is_pattern(&self) -> bool {
        self.0.contains(['*', '?'])
    }

    /// Whether a name is meant.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        matches_pattern(&self.0, name)
    }
}

/// Whether a name is one that a pattern with `*` (any characters) and `?` (one) stands for.
pub(super) fn matches_pattern(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    // Where to go on from when what follows the last star does not fit.
    let (mut at, mut of, mut star) = (0, 0, None);
    while of < name.len() {
        match (pattern.get(at), name.get(of)) {
            (Some(b'*'), _) => {
                star = Some((at + 1, of));
                at += 1;
            }
            (Some(p), Some(c)) if *p == b'?' || p == c => (at, of) = (at + 1, of + 1),
            _ => match star {
                Some((after, from)) => {
                    (at, of) = (after, from + 1);
                    star = Some((after, from + 1));
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(at).all(|p| *p == b'*')
}

impl TryFrom<String> for PackagePattern {
    type Error = DomainError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::new(text)
    }
}

impl From<PackagePattern> for String {
    fn from(pattern: PackagePattern) -> Self {
        pattern.0
    }
}

impl fmt::Display for PackagePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_names() -> Result<(), DomainError> {
        for (pattern, name, matches) in [
            ("hello", "hello", true),
            ("hello", "hello2", false),
            ("linux-image-*", "linux-image-6.1.0-9-amd64", true),
            ("linux-image-*-amd64", "linux-image-6.1.0-9-amd64", true),
            ("linux-image-*-amd64", "linux-image-6.1.0-9-arm64", false),
            ("lib?", "libc", true),
            ("lib?", "libcc", false),
            ("*", "anything", true),
            ("a*b*c", "aXbXbXc", true),
            ("a*b*c", "aXbXbX", false),
        ] {
            assert_eq!(PackagePattern::new(pattern)?.matches(name), matches, "{pattern} {name}");
        }
        assert!(PackagePattern::new("Bad name").is_err());
        assert!(PackagePattern::new("").is_err());
        Ok(())
    }
}
