//! Build dependencies as one relation list, the form that a lock keeps and apt is asked with.
//!
//! `debian/control` comes from outside, so the list is read by its grammar (Debian Policy §7.1) and
//! written again: what reaches apt's command line cannot be an option or a file name.

use super::EnvironmentError;
use crate::domain::{PackageName, Version, escape};
use crate::source::BuildDepends;

/// What stands before the relations that must not hold.
const CONFLICTS: &str = "Conflicts:";
const LARGEST: usize = 256 << 10;

/// All build dependencies of a full binary build as one relation list; `Build-Conflicts` follow
/// after the word `Conflicts:`.
///
/// # Errors
/// When a field does not follow the grammar of relations.
pub fn wanted(build_depends: &BuildDepends) -> Result<String, EnvironmentError> {
    let fields = [&build_depends.any, &build_depends.arch, &build_depends.indep];
    let depends = fields.map(String::as_str).join(",");
    Ok(Wanted::parse(&format!("{depends} {CONFLICTS} {}", build_depends.conflicts))?.to_string())
}

/// A relation list that was read: what must be there, and what must not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Relations joined by `, `.
    pub(super) depends: String,
    /// The same, for conflicts.
    pub(super) conflicts: String,
}

impl Wanted {
    /// Reads what [`wanted`] wrote, or any relation list.
    pub(super) fn parse(text: &str) -> Result<Self, EnvironmentError> {
        if text.len() > LARGEST {
            return Err(refused(text, "the list is too long"));
        }
        let (depends, conflicts) = text.split_once(CONFLICTS).unwrap_or((text, ""));
        Ok(Self {
            depends: relations(depends)?,
            conflicts: relations(conflicts)?,
        })
    }
}

impl std::fmt::Display for Wanted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.depends)?;
        if self.conflicts.is_empty() {
            return Ok(());
        }
        let blank = if self.depends.is_empty() { "" } else { " " };
        write!(f, "{blank}{CONFLICTS} {}", self.conflicts)
    }
}

/// Each relation in one spelling. Empty ones are dropped: control files end in a comma at times.
fn relations(text: &str) -> Result<String, EnvironmentError> {
    let clauses = text.split(',').map(str::trim).filter(|clause| !clause.is_empty());
    let clauses = clauses.map(|clause| {
        let alternatives: Result<Vec<_>, _> = clause.split('|').map(|one| relation(one.trim())).collect();
        Ok(alternatives?.join(" | "))
    });
    let clauses: Result<Vec<_>, EnvironmentError> = clauses.collect();
    Ok(clauses?.join(", "))
}

/// `name[:qualifier] [(op version)] [[architectures]] [<profiles>]…`
fn relation(text: &str) -> Result<String, EnvironmentError> {
    let end = text.find(|c: char| c.is_whitespace() || matches!(c, '(' | '[' | '<'));
    let (name, mut rest) = text.split_at(end.unwrap_or(text.len()));
    let mut out = qualified_name(name).ok_or_else(|| refused(text, "there is no package name"))?;
    for (open, close, read) in [
        ('(', ')', version_restriction as fn(&str) -> Option<String>),
        ('[', ']', architectures),
    ] {
        if let Some((inside, after)) = bracketed(rest, open, close) {
            let inside = read(inside).ok_or_else(|| refused(text, "a restriction is malformed"))?;
            out.push_str(&format!(" {open}{inside}{close}"));
            rest = after;
        }
    }
    while let Some((inside, after)) = bracketed(rest, '<', '>') {
        let inside = words(inside).ok_or_else(|| refused(text, "a build profile is malformed"))?;
        out.push_str(&format!(" <{inside}>"));
        rest = after;
    }
    if rest.trim().is_empty() {
        Ok(out)
    } else {
        Err(refused(text, "a relation is malformed"))
    }
}

fn qualified_name(text: &str) -> Option<String> {
    let (name, qualifier) = text.split_once(':').map_or((text, None), |(n, q)| (n, Some(q)));
    let name = PackageName::new(name).ok()?;
    match qualifier {
        None => Some(name.to_string()),
        Some(qualifier) => Some(format!("{name}:{}", word(qualifier)?)),
    }
}

fn bracketed(text: &str, open: char, close: char) -> Option<(&str, &str)> {
    text.trim_start().strip_prefix(open)?.split_once(close)
}

fn version_restriction(text: &str) -> Option<String> {
    let text = text.trim();
    // The longer operators first: `<` begins `<<` and `<=`; alone it is obsolete and means `<=`.
    let operator = ["<<", "<=", ">=", ">>", "="]
        .into_iter()
        .find(|op| text.starts_with(op))?;
    let version = Version::new(text.strip_prefix(operator)?.trim()).ok()?;
    Some(format!("{operator} {version}"))
}

fn architectures(text: &str) -> Option<String> {
    words(text)
}

/// Architectures or profiles: words, each perhaps negated.
fn words(text: &str) -> Option<String> {
    let words: Option<Vec<_>> = text.split_whitespace().map(word).collect();
    words.filter(|words| !words.is_empty()).map(|words| words.join(" "))
}

fn word(text: &str) -> Option<&str> {
    let bare = text.strip_prefix('!').unwrap_or(text);
    let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.' | b'+' | b'/');
    let starts = bare.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    (starts && bare.bytes().all(good)).then_some(text)
}

fn refused(text: &str, why: &'static str) -> EnvironmentError {
    EnvironmentError::Wanted {
        text: escape(text),
        why,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_is_written_in_one_spelling() -> Result<(), EnvironmentError> {
        let fields = BuildDepends {
            any: "debhelper-compat(=13),gcc:native [ amd64  !i386 ]<!nocheck><stage1 x>,\n libfoo-dev(>= 1:2.0~rc1)|libbar-dev,".to_owned(),
            arch: String::new(),
            indep: "python3:any".to_owned(),
            conflicts: "zsh (<< 5)".to_owned(),
        };
        let text = wanted(&fields)?;
        assert_eq!(
            text,
            "debhelper-compat (= 13), gcc:native [amd64 !i386] <!nocheck> <stage1 x>, \
             libfoo-dev (>= 1:2.0~rc1) | libbar-dev, python3:any Conflicts: zsh (<< 5)"
        );
        assert_eq!(Wanted::parse(&text)?.to_string(), text, "reading and writing settles");
        assert_eq!(wanted(&BuildDepends::default())?, "");
        Ok(())
    }

    #[test]
    fn nothing_but_relations_reaches_apt() {
        for bad in [
            "-o APT::Get::Download=1",
            "./evil.deb",
            "/tmp/evil.deb",
            "a1 b2",
            "foo (>> )",
            "foo (~ 1)",
            "foo [",
            "foo []",
            "foo <>",
            "foo (= 1) (= 2)",
            "foo | ",
            "${misc:Depends}",
            "foo:any:any",
            "föö",
        ] {
            assert!(Wanted::parse(bad).is_err(), "{bad}");
        }
    }
}
