//! Relations between packages (Debian Policy §7.1): `Depends`, `Build-Depends` and their kin.

use std::cmp::Ordering;
use std::fmt;

use crate::domain::{Architecture, PackageName, Version};

use super::{FormatError, compat};

/// The value of a relation field: each group must hold, and holds when one of its alternatives does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Relations(pub Vec<Vec<Relation>>);

/// One package that is asked for: `python3:any (>= 3.11) [amd64 i386] <!nocheck>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// The package.
    pub package: PackageName,
    /// What follows a colon: `any`, `native`, or an architecture.
    pub qualifier: Option<Architecture>,
    /// Which versions will do.
    pub constraint: Option<(Operator, Version)>,
    /// The architectures on which this counts; always, when absent.
    pub architectures: Option<Architectures>,
    /// The build profiles in which this counts: in one that holds whole, or always when empty.
    pub profiles: Vec<Vec<Profile>>,
}

/// `[amd64 linux-any]` or `[!hurd-i386 !i386]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Architectures {
    /// Whether these are the ones that do not count.
    pub negated: bool,
    /// Names or wildcards.
    pub names: Vec<Architecture>,
}

/// `nocheck` or `!nocheck`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Whether the profile must not be active.
    pub negated: bool,
    /// Its name.
    pub name: String,
}

/// How a version is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// `<<`
    Earlier,
    /// `<=`
    EarlierOrEqual,
    /// `=`
    Equal,
    /// `>=`
    LaterOrEqual,
    /// `>>`
    Later,
}

impl Relations {
    /// Reads the value of the relation field `field`. Blank groups (a trailing comma) are passed over,
    /// as dpkg does.
    ///
    /// # Errors
    /// When a part of it is not understood: nothing is dropped in silence.
    pub fn parse(field: &'static str, text: &str) -> Result<Self, FormatError> {
        compat::relations(field, text)
    }
}

impl Relation {
    /// Whether a package of this name with this version would do, architectures aside.
    #[must_use]
    pub fn admits(&self, version: &Version) -> bool {
        self.constraint
            .as_ref()
            .is_none_or(|(operator, wanted)| operator.holds(version.dpkg_cmp(wanted)))
    }

    /// Whether it counts in a build on this architecture, without any build profile. Where the
    /// architecture is `all`, any may be meant.
    #[must_use]
    pub fn counts_on(&self, architecture: &str) -> bool {
        let profiles = &self.profiles;
        (profiles.is_empty() || profiles.iter().any(|all| all.iter().all(|profile| profile.negated)))
            && self.architectures.as_ref().is_none_or(|names| names.mean(architecture))
    }
}

impl Architectures {
    fn mean(&self, architecture: &str) -> bool {
        let is = |name: &Architecture| {
            matches!(name.as_str(), "any" | "linux-any")
                || name.as_str() == architecture
                || name.as_str().strip_prefix("any-") == Some(architecture)
        };
        architecture == "all" || self.names.iter().any(is) != self.negated
    }
}

impl Operator {
    /// Whether it holds when a version compares to the wanted one like this.
    #[must_use]
    pub fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Earlier => order.is_lt(),
            Self::EarlierOrEqual => order.is_le(),
            Self::Equal => order.is_eq(),
            Self::LaterOrEqual => order.is_ge(),
            Self::Later => order.is_gt(),
        }
    }
}

impl fmt::Display for Relations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        joined(f, &self.0, ", ", |f, group| {
            joined(f, group, " | ", |f, one| one.fmt(f))
        })
    }
}

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.package)?;
        if let Some(qualifier) = &self.qualifier {
            write!(f, ":{qualifier}")?;
        }
        if let Some((operator, version)) = &self.constraint {
            write!(f, " ({operator} {version})")?;
        }
        if let Some(architectures) = &self.architectures {
            let mark = if architectures.negated { "!" } else { "" };
            f.write_str(" [")?;
            joined(f, &architectures.names, " ", |f, name| write!(f, "{mark}{name}"))?;
            f.write_str("]")?;
        }
        for group in &self.profiles {
            f.write_str(" <")?;
            joined(f, group, " ", |f, profile| {
                write!(f, "{}{}", if profile.negated { "!" } else { "" }, profile.name)
            })?;
            f.write_str(">")?;
        }
        Ok(())
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Earlier => "<<",
            Self::EarlierOrEqual => "<=",
            Self::Equal => "=",
            Self::LaterOrEqual => ">=",
            Self::Later => ">>",
        })
    }
}

fn joined<T>(
    f: &mut fmt::Formatter<'_>,
    items: &[T],
    separator: &str,
    write: impl Fn(&mut fmt::Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    for (number, item) in items.iter().enumerate() {
        if number > 0 {
            f.write_str(separator)?;
        }
        write(f, item)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Relations, FormatError> {
        Relations::parse("Depends", text)
    }

    #[test]
    fn what_is_read_is_all_that_stands_there() -> Result<(), FormatError> {
        for (text, canonical) in [
            ("", ""),
            ("libc6 (>= 2.36), hello", "libc6 (>= 2.36), hello"),
            ("a2(<<1:1.0~rc1-1)|b2 , ", "a2 (<< 1:1.0~rc1-1) | b2"),
            (
                "debhelper-compat (= 13),\nhello [!i386  !hurd-any],",
                "debhelper-compat (= 13), hello [!i386 !hurd-any]",
            ),
            (
                "python3:any [linux-any]<!nocheck><!cross !stage1>",
                "python3:any [linux-any] <!nocheck> <!cross !stage1>",
            ),
            ("g++ <!nocheck>", "g++ <!nocheck>"),
        ] {
            let read = parse(text)?;
            assert_eq!(read.to_string(), canonical);
            assert_eq!(parse(canonical)?, read, "{text}");
        }
        Ok(())
    }

    #[test]
    fn what_another_reader_would_drop_is_refused() {
        for bad in [
            "hello (>= 1",
            "hello (>= )",
            "hello (> 1)",
            "hello (>= 1) (<< 2)",
            "hello world",
            "hello | ",
            "| hello",
            "hello (>= 1) junk",
            "hello [amd64 !i386]",
            "hello [!amd64 i386]",
            "hello []",
            "hello <>",
            "hello <!nocheck",
            "hello <nocheck> [amd64]",
            "${misc:Depends}",
            "../etc/passwd",
            "hello:",
            "Hello",
            "hello (>= 1/2)",
        ] {
            assert!(parse(bad).is_err(), "{bad:?} gave {:?}", parse(bad));
        }
    }

    #[test]
    fn versions_are_compared_as_dpkg_does() -> Result<(), Box<dyn std::error::Error>> {
        let relations = parse("hello (>= 1.0)")?;
        let relation = relations.0.first().and_then(|group| group.first()).ok_or("one")?;
        assert!(relation.admits(&Version::new("1.0a")?));
        assert!(!relation.admits(&Version::new("1.0~rc1")?));
        Ok(())
    }

    #[test]
    fn restrictions_say_where_a_relation_counts() -> Result<(), FormatError> {
        for (text, counts) in [
            ("hello", true),
            ("hello [amd64 i386]", true),
            ("hello [any-amd64]", true),
            ("hello [linux-any]", true),
            ("hello [i386]", false),
            ("hello [!amd64]", false),
            ("hello [!i386] <!nocheck>", true),
            ("hello <nocheck>", false),
            ("hello <stage1> <!cross !nodoc>", true),
        ] {
            let all = parse(text)?;
            assert!(
                all.0.iter().flatten().all(|one| one.counts_on("amd64") == counts),
                "{text}"
            );
        }
        Ok(())
    }
}
