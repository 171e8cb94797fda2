//! The one place that uses the crate `debian-packaging`: it reads relations, and it is the second
//! reader of the file lists in `.dsc` and `.changes`.
//!
//! The crate takes the front of what it understands and drops the rest in silence, orders versions
//! in its own way and knows no build profiles. So nothing of it leaves this module: what it read is
//! turned into our types at once, and must account for every character of the input.

use debian_packaging::debian_source_control::DebianSourceControlFile;
use debian_packaging::dependency::{SingleDependency, VersionRelationship};

use crate::domain::{Digest, FileName, PackageName, escape};

use super::FormatError;
use super::checksums::value;
use super::relation::{Architectures, Operator, Profile, Relation, Relations};

/// The most bytes of one relation field.
const LARGEST_FIELD: usize = 1 << 20;

/// Reads a relation field.
pub(super) fn relations(field: &'static str, text: &str) -> Result<Relations, FormatError> {
    if text.len() > LARGEST_FIELD {
        return Err(FormatError::Limit {
            what: field,
            limit: LARGEST_FIELD as u64,
            unit: "bytes",
        });
    }
    let groups = text.split(',').filter(|group| !group.trim_ascii().is_empty());
    let group = |text: &str| text.split('|').map(|one| relation(field, one.trim_ascii())).collect();
    Ok(Relations(groups.map(group).collect::<Result<_, _>>()?))
}

fn relation(field: &'static str, text: &str) -> Result<Relation, FormatError> {
    let bad = || FormatError::malformed("relation", field, format!("`{}` is not understood", escape(text)));
    let (text_before, profiles_text) = split_profiles(text);
    let read = SingleDependency::parse(text_before).map_err(|_| bad())?;
    let (name, qualifier) = match read.package.split_once(':') {
        Some((name, qualifier)) => (name, Some(value("relation", field, qualifier)?)),
        None => (read.package.as_str(), None),
    };
    let constraint = match &read.version_constraint {
        Some(c) => Some((
            operator(c.relationship),
            value("relation", field, &c.version.to_string())?,
        )),
        None => None,
    };
    let architectures = match &read.architectures {
        Some((negated, names)) => Some(architectures(field, *negated, names)?),
        None => None,
    };
    let relation = Relation {
        package: value("relation", field, name)?,
        qualifier,
        constraint,
        architectures,
        profiles: profiles(profiles_text).ok_or_else(bad)?,
    };
    // The fence: all that stands there was understood, and as what it says.
    if without_blanks(&relation.to_string()) == without_blanks(text) {
        Ok(relation)
    } else {
        Err(bad())
    }
}

/// The build profiles, which the crate does not know, stand last; inside `(…)` a `<` is an operator.
fn split_profiles(text: &str) -> (&str, &str) {
    let start = text.rfind(')').unwrap_or(0);
    let at = text.get(start..).and_then(|rest| rest.find('<'));
    at.and_then(|at| text.split_at_checked(start.saturating_add(at)))
        .unwrap_or((text, ""))
}

/// `<a !b> <c>`; nothing when it is anything else.
fn profiles(text: &str) -> Option<Vec<Vec<Profile>>> {
    let mut groups = Vec::new();
    let mut rest = text.trim_ascii();
    while !rest.is_empty() {
        let (group, after) = rest.strip_prefix('<')?.split_once('>')?;
        let group: Vec<Profile> = group.split_ascii_whitespace().map(profile).collect::<Option<_>>()?;
        if group.is_empty() {
            return None;
        }
        groups.push(group);
        rest = after.trim_ascii_start();
    }
    Some(groups)
}

fn profile(text: &str) -> Option<Profile> {
    let name = text.strip_prefix('!').unwrap_or(text);
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'+' | b'_');
    (!name.is_empty() && name.bytes().all(allowed)).then(|| Profile {
        negated: text.starts_with('!'),
        name: name.to_owned(),
    })
}

/// Negated: the crate takes the first `!` off and leaves it at the other names.
fn architectures(field: &'static str, negated: bool, names: &[String]) -> Result<Architectures, FormatError> {
    let plain = |(number, name): (usize, &String)| {
        let name = if negated && number > 0 {
            name.strip_prefix('!').unwrap_or_default()
        } else {
            name
        };
        value("relation", field, name)
    };
    let names = names.iter().enumerate().map(plain).collect::<Result<_, _>>()?;
    Ok(Architectures { negated, names })
}

fn operator(relationship: VersionRelationship) -> Operator {
    match relationship {
        VersionRelationship::StrictlyEarlier => Operator::Earlier,
        VersionRelationship::EarlierOrEqual => Operator::EarlierOrEqual,
        VersionRelationship::ExactlyEqual => Operator::Equal,
        VersionRelationship::LaterOrEqual => Operator::LaterOrEqual,
        VersionRelationship::StrictlyLater => Operator::Later,
    }
}

fn without_blanks(text: &str) -> String {
    text.chars().filter(|c| !c.is_ascii_whitespace()).collect()
}

/// Whether the second reader sees the same source package and the same files in a `.dsc` or `.changes`.
pub(super) fn reads_the_same(
    what: &'static str,
    bytes: &[u8],
    source: &PackageName,
    files: &[(FileName, Digest)],
) -> Result<(), FormatError> {
    let differs = |why: String| FormatError::malformed(what, "second reading", why);
    let failed = |error: debian_packaging::error::DebianError| differs(escape(&error.to_string()));
    let control = DebianSourceControlFile::from_reader(bytes).map_err(failed)?;
    let field = control.source().map_err(failed)?;
    if field.split_ascii_whitespace().next() != Some(source.as_str()) {
        return Err(differs(format!("it names the source `{}`", escape(field))));
    }
    let mut left = files.iter();
    for entry in control.checksums_sha256().into_iter().flatten() {
        let entry = entry.map_err(failed)?;
        let same = left.next().is_some_and(|(name, digest)| {
            name.as_str() == entry.filename
                && digest.size == entry.size
                && digest.sha256.as_bytes() == entry.digest.digest_bytes()
        });
        if !same {
            return Err(differs(format!("it lists `{}` in another way", escape(entry.filename))));
        }
    }
    match left.next() {
        Some((name, _)) => Err(differs(format!("it does not list `{name}`"))),
        None => Ok(()),
    }
}
