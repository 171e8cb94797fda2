//! Names: of packages, suites, components, architectures, archives, builders and Git refs.

use super::DomainError;

/// Makes a newtype over a validated string: `new`, `as_str`, `Display`, `FromStr`, serde.
/// There is no `Deref<str>`: a caller says when it wants the text.
macro_rules! text_type {
    ($(#[$doc:meta])* $name:ident, $what:literal, $check:path) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Checks `text` and takes it.
            ///
            /// # Errors
            /// When `text` does not follow the grammar of this type.
            pub fn new(text: impl Into<String>) -> Result<Self, $crate::domain::DomainError> {
                let text = text.into();
                Self::check(&text).map(|()| Self(text))
            }

            /// Checks `text`, and leaves it where it is.
            ///
            /// # Errors
            /// As `new`.
            pub fn check(text: &str) -> Result<(), $crate::domain::DomainError> {
                $check(text).map_err(|why| $crate::domain::DomainError::new($what, text, why))
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(&self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::domain::DomainError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = $crate::domain::DomainError;
            fn try_from(text: String) -> Result<Self, Self::Error> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.0
            }
        }
    };
}
pub(crate) use text_type;

text_type!(
    /// A source or binary package name (Debian Policy §5.6.1 and §5.6.7).
    PackageName, "package name", package_name
);
text_type!(
    /// A Debian architecture as it stands in an index: `amd64`, `all`, or `source` for Sources.
    Architecture, "architecture", lower_word
);
text_type!(
    /// A component of a suite, such as `main` or `updates/main`.
    Component, "component", slashed_word
);
text_type!(
    /// A section, such as `games` or `contrib/games` (Debian Policy §2.4).
    Section, "section", slashed_word
);
text_type!(
    /// A suite or codename, such as `trixie` or `trixie/updates`.
    SuiteName, "suite", slashed_word
);
text_type!(
    /// The name of an archive of this site: it is a folder of the store and part of URLs.
    ArchiveName, "archive name", archive_name
);
text_type!(
    /// The name of a policy file below `policies/`.
    PolicyName, "policy name", archive_name
);
text_type!(
    /// The name of a builder: the `builder.id` that its records carry. An URI or a plain word.
    BuilderId, "builder id", builder_id
);
text_type!(
    /// The base URL under which clients reach the archives. It is written into Release files and sources.
    PublicUrl, "public URL", public_url
);
text_type!(
    /// A fully qualified Git ref, such as `refs/tags/debian/1.2-3`.
    GitRef, "Git ref", git_ref
);

impl PackageName {
    /// The folder below `pool/<component>/` that Debian keeps this source package's files in.
    #[must_use]
    pub fn pool_prefix(&self) -> String {
        let taken = if self.0.starts_with("lib") && self.0.len() > 3 {
            4
        } else {
            1
        };
        self.0.chars().take(taken).collect()
    }
}

impl Architecture {
    /// Architecture-independent.
    #[must_use]
    pub fn all() -> Self {
        Self("all".to_owned())
    }

    /// Whether packages of this architecture are architecture-independent.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.0 == "all"
    }
}

impl SuiteName {
    /// Whether a part of it is like a serial: snapshots are kept at `dists/<suite>/<serial>`.
    #[must_use]
    pub fn has_serial(&self) -> bool {
        self.0.split('/').any(|part| super::Serial::new(part).is_ok())
    }
}

impl GitRef {
    /// The tag's own name, when this is a tag: what stands after `refs/tags/`.
    #[must_use]
    pub fn tag_name(&self) -> Option<&str> {
        self.0.strip_prefix("refs/tags/")
    }

    /// The branch's own name, when this is a branch: what stands after `refs/heads/`.
    #[must_use]
    pub fn branch_name(&self) -> Option<&str> {
        self.0.strip_prefix("refs/heads/")
    }

    /// The suite of a branch or tag.
    ///
    /// # Errors
    /// When it is neither, or its name gives no suite's name.
    pub fn suite(&self) -> Result<SuiteName, DomainError> {
        let name = self.branch_name().or_else(|| self.tag_name());
        let name = name.ok_or_else(|| DomainError::new("Git ref", &self.0, "it is neither a branch nor a tag"))?;
        let suite = suite_of_branch(name);
        // Where snapshots are kept: `dists/<suite>/<serial>`.
        if super::Serial::new(suite.as_str()).is_ok() {
            return Err(DomainError::new(
                "Git ref",
                &self.0,
                "its suite would be called like a serial",
            ));
        }
        SuiteName::new(suite)
    }
}

/// The suite of a branch or version, as Tails names them: lower case, and a dash for every character
/// that is not a letter, a digit, a dot or a dash.
#[must_use]
pub fn suite_of_branch(name: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    let one = |c: char| if allowed(c) { c.to_ascii_lowercase() } else { '-' };
    name.chars().map(one).collect()
}

type Check = Result<(), &'static str>;

fn all_bytes(text: &str, allowed: fn(u8) -> bool, why: &'static str) -> Check {
    if text.bytes().all(allowed) { Ok(()) } else { Err(why) }
}

fn public_url(text: &str) -> Check {
    let place = ["http://", "https://", "file:///"]
        .iter()
        .find_map(|start| text.strip_prefix(start));
    if place.is_none_or(|place| place.starts_with('/') || place.is_empty()) {
        return Err("it is not http://, https:// or file:///, with a place behind it");
    }
    let allowed = |b: u8| b.is_ascii_graphic() && !matches!(b, b'"' | b'\'' | b'\\' | b'`' | b'<' | b'>' | b'?' | b'#');
    all_bytes(
        text,
        allowed,
        "it has a quote, a blank, a control character, a query or a fragment",
    )
}

fn first_byte(text: &str, allowed: fn(u8) -> bool, why: &'static str) -> Check {
    match text.bytes().next() {
        Some(byte) if allowed(byte) => Ok(()),
        Some(_) => Err(why),
        None => Err("it is empty"),
    }
}

fn length(text: &str, longest: usize) -> Check {
    if text.len() <= longest {
        Ok(())
    } else {
        Err("it is too long")
    }
}

fn lower_or_digit(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

fn package_name(text: &str) -> Check {
    length(text, 200)?;
    if text.len() < 2 {
        return Err("it has fewer than two characters");
    }
    first_byte(
        text,
        lower_or_digit,
        "it does not start with a lower-case letter or digit",
    )?;
    all_bytes(
        text,
        |b| lower_or_digit(b) || matches!(b, b'+' | b'-' | b'.'),
        "only lower-case letters, digits and `+-.` are allowed",
    )
}

fn lower_word(text: &str) -> Check {
    length(text, 40)?;
    first_byte(
        text,
        lower_or_digit,
        "it does not start with a lower-case letter or digit",
    )?;
    all_bytes(
        text,
        |b| lower_or_digit(b) || b == b'-',
        "only lower-case letters, digits and `-` are allowed",
    )
}

fn archive_name(text: &str) -> Check {
    lower_word(text)?;
    match text {
        "state" | "env" | "api" | "pages" | "dists" | "pool" | "provenance" | "project" => {
            Err("the store or the server uses this word itself")
        }
        _ => Ok(()),
    }
}

fn slashed_word(text: &str) -> Check {
    length(text, 100)?;
    for segment in text.split('/') {
        first_byte(
            segment,
            |b| b.is_ascii_alphanumeric(),
            "a part does not start with a letter or digit",
        )?;
        all_bytes(
            segment,
            |b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'+' | b'~' | b'_' | b'-'),
            "only letters, digits and `.+~_-` are allowed",
        )?;
        if matches!(segment, "by-hash" | "upstream" | "provenance") {
            return Err("the store uses this word itself");
        }
    }
    Ok(())
}

fn builder_id(text: &str) -> Check {
    length(text, 200)?;
    first_byte(
        text,
        |b| b.is_ascii_alphanumeric(),
        "it does not start with a letter or digit",
    )?;
    all_bytes(
        text,
        |b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'+' | b'~' | b'_' | b'-' | b':' | b'/' | b'@'),
        "only letters, digits and `.+~_-:/@` are allowed",
    )
}

/// The rules of `git check-ref-format`, and only ASCII.
fn git_ref(text: &str) -> Check {
    length(text, 200)?;
    if !text.starts_with("refs/") {
        return Err("it is not fully qualified: it does not start with `refs/`");
    }
    all_bytes(
        text,
        |b| b.is_ascii_graphic() && !matches!(b, b'~' | b'^' | b':' | b'?' | b'*' | b'[' | b'\\'),
        "it has a character that Git refuses in a ref",
    )?;
    let bad_part = |part: &str| {
        part.is_empty()
            || part.starts_with('.')
            || part.ends_with('.')
            || part.ends_with(".lock")
            || part.starts_with('-')
    };
    if text.split('/').any(bad_part) || text.contains("..") || text.contains("@{") {
        return Err("Git refuses such a ref");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn package_names_follow_policy() {
        for good in ["hello", "libc6", "g++-12", "0ad", "a2"] {
            assert!(PackageName::new(good).is_ok(), "{good}");
        }
        for bad in ["", "a", "Hello", "../etc", "a b", "-x", "ä1", "a\n", "a/b"] {
            assert!(PackageName::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn pool_prefix_is_debians() {
        assert_eq!(PackageName::new("hello").map(|n| n.pool_prefix()), Ok("h".to_owned()));
        assert_eq!(
            PackageName::new("libx11").map(|n| n.pool_prefix()),
            Ok("libx".to_owned())
        );
        assert_eq!(PackageName::new("lib").map(|n| n.pool_prefix()), Ok("l".to_owned()));
    }

    #[test]
    fn refs_are_qualified_and_plain() {
        assert!(GitRef::new("refs/tags/debian/1.2-3").is_ok());
        for bad in [
            "main",
            "refs/tags/../x",
            "refs/tags/-x",
            "refs/tags/a b",
            "refs/tags/x.lock",
            "refs/tags/a~1",
            "refs/tags/",
        ] {
            assert!(GitRef::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_branch_called_like_a_serial_has_no_suite() {
        assert!(GitRef::new("refs/heads/2026112701").unwrap().suite().is_err());
        assert!(GitRef::new("refs/heads/v2.0").unwrap().suite().is_ok());
    }

    #[test]
    fn suites_stay_inside() {
        assert!(SuiteName::new("trixie/updates").is_ok());
        for bad in ["..", "a/../b", "/a", "a/", "", "a/by-hash", "a\\b", "a%2e"] {
            assert!(SuiteName::new(bad).is_err(), "{bad:?}");
        }
    }
}
