//! The .dsc, with the fields that dpkg-source writes. Pure.

use std::collections::BTreeSet;

use md5::{Digest as _, Md5};

use super::SourceError;
use super::debian::Debian;
use crate::domain::{FileName, Sha256, escape};
use crate::format::FormatError;
use crate::format::control::BinaryControl;
use crate::format::deb822::Paragraph;
use crate::format::hashes::sha1;
use crate::format::relation::{Relation, Relations};

const CONTROL: &str = "debian/control";
/// A line of `Binary` is not longer than this.
const LONGEST_BINARY_LINE: usize = 980;
const CONFLICTS: [&str; 3] = ["Build-Conflicts", "Build-Conflicts-Arch", "Build-Conflicts-Indep"];
const DEPENDS: [&str; 3] = ["Build-Depends", "Build-Depends-Arch", "Build-Depends-Indep"];

/// The bytes of an unsigned .dsc over `tarballs`.
pub(super) fn dsc(debian: &Debian, tarballs: &[(FileName, Vec<u8>)]) -> Result<Vec<u8>, SourceError> {
    let control = &debian.control;
    let mut dsc = Paragraph::new();
    let mut set = |name: &str, value: &str| match value.is_empty() {
        true => Ok(()),
        false => dsc.set(name, value).map_err(in_control),
    };
    set("Format", debian.format.as_str())?;
    set("Source", control.name.as_str())?;
    set("Binary", &binary_field(&control.binaries))?;
    set("Architecture", &architecture_field(&control.binaries)?)?;
    set("Version", debian.head.version.as_str())?;
    for name in [
        "Origin",
        "Maintainer",
        "Uploaders",
        "Homepage",
        "Description",
        "Standards-Version",
    ] {
        set(name, &one_line(name, control.source.get(name).unwrap_or_default()))?;
    }
    for (name, value) in control.source.fields() {
        if name.get(..4).is_some_and(|front| front.eq_ignore_ascii_case("Vcs-")) {
            set(name, value)?;
        }
    }
    set("Testsuite", &testsuite(debian))?;
    set("Testsuite-Triggers", &triggers(debian)?)?;
    for name in DEPENDS {
        set(name, &relations(debian, name)?)?;
    }
    for name in CONFLICTS {
        set(name, &conflicts(debian, name)?)?;
    }
    for (name, value) in control.source.fields() {
        if let Some(own) = for_source(name) {
            set(own, value)?;
        }
    }
    set("Package-List", &package_list(debian)?)?;
    set("Checksums-Sha1", &listed(tarballs, sha1))?;
    set("Checksums-Sha256", &listed(tarballs, |bytes| Sha256::of(bytes).hex()))?;
    set("Files", &listed(tarballs, |bytes| hex::encode(Md5::digest(bytes))))?;
    Ok(dsc.to_bytes())
}

/// A field of build dependencies, in dpkg's spelling, without doubles.
pub(super) fn relations(debian: &Debian, field: &'static str) -> Result<String, SourceError> {
    let all = debian.control.relations(field).map_err(in_control)?;
    let mut unique: Vec<Vec<Relation>> = Vec::new();
    for group in all.0 {
        if !unique.contains(&group) {
            unique.push(group);
        }
    }
    Ok(Relations(unique).to_string())
}

/// All three fields of build conflicts.
pub(super) fn all_conflicts(debian: &Debian) -> Result<String, SourceError> {
    let fields: Result<Vec<String>, SourceError> = CONFLICTS.iter().map(|name| conflicts(debian, name)).collect();
    let fields: Vec<String> = fields?.into_iter().filter(|field| !field.is_empty()).collect();
    Ok(fields.join(", "))
}

/// Conflicts are a set: dpkg-source sorts them.
fn conflicts(debian: &Debian, field: &'static str) -> Result<String, SourceError> {
    let text = relations(debian, field)?;
    let sorted: BTreeSet<&str> = text.split(", ").filter(|one| !one.is_empty()).collect();
    Ok(sorted.into_iter().collect::<Vec<_>>().join(", "))
}

/// Section and priority of a binary package, with the source's as the default, then dpkg's.
pub(super) fn section_and_priority(debian: &Debian, binary: &BinaryControl) -> (String, String) {
    let field = |name: &str, default: &str| {
        let own = binary.paragraph.get(name).or_else(|| debian.control.source.get(name));
        own.unwrap_or(default).to_owned()
    };
    (field("Section", "unknown"), field("Priority", "optional"))
}

fn package_list(debian: &Debian) -> Result<String, SourceError> {
    let mut lines = Vec::new();
    for binary in &debian.control.binaries {
        let (section, priority) = section_and_priority(debian, binary);
        let mut line = format!("{} {} {section} {priority}", binary.name, binary.package_type);
        line.push_str(&format!(" arch={}", binary.architectures.join(",")));
        if let Some(profiles) = binary.paragraph.get("Build-Profiles") {
            line.push_str(&format!(" profile={}", profile_formula(profiles)));
        }
        for name in ["Protected", "Essential"] {
            if binary.paragraph.get(name) == Some("yes") {
                line.push_str(&format!(" {}=yes", name.to_ascii_lowercase()));
            }
        }
        if line.contains('\n') {
            return Err(SourceError::content(
                CONTROL,
                format!("`{}` has a folded field", binary.name),
            ));
        }
        lines.push(line);
    }
    lines.sort_unstable();
    Ok(format!("\n{}", lines.join("\n")))
}

/// `<!a b> <c>` as `!a,b+c`.
fn profile_formula(text: &str) -> String {
    let inner = text.trim();
    let inner = inner.strip_prefix('<').unwrap_or(inner);
    let inner = inner.strip_suffix('>').unwrap_or(inner);
    let lists = inner
        .split('>')
        .map(|list| list.trim().trim_start_matches('<').split_whitespace());
    lists
        .map(|words| words.collect::<Vec<_>>().join(","))
        .collect::<Vec<_>>()
        .join("+")
}

/// The names, on lines that are not too long.
fn binary_field(binaries: &[BinaryControl]) -> String {
    let names: Vec<&str> = binaries.iter().map(|binary| binary.name.as_str()).collect();
    let all = names.join(", ");
    if all.len() <= LONGEST_BINARY_LINE {
        return all;
    }
    let mut lines = Vec::new();
    let mut rest = all.as_str();
    while let Some(comma) = rest.get(..=LONGEST_BINARY_LINE).unwrap_or(rest).rfind(',') {
        lines.push(rest.get(..=comma).unwrap_or_default());
        rest = rest.get(comma + 1..).unwrap_or_default().trim_start();
    }
    lines.push(rest);
    lines.join("\n")
}

/// The architectures of all binary packages together. `any` covers all but `all`; otherwise those
/// that a wildcard covers are left out.
fn architecture_field(binaries: &[BinaryControl]) -> Result<String, SourceError> {
    let mut all: Vec<&str> = Vec::new();
    for binary in binaries {
        let alone = |name: &String| name == "any" || name == "all";
        if binary.architectures.len() > 1 && binary.architectures.iter().any(alone) {
            let why = format!("`{}` has `any` or `all` beside other architectures", binary.name);
            return Err(SourceError::content(CONTROL, why));
        }
        for name in &binary.architectures {
            let plain = name
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
            if !plain || name.starts_with('-') {
                let why = format!("`{}` is not an architecture", escape(name));
                return Err(SourceError::content(CONTROL, why));
            }
            if !all.contains(&name.as_str()) {
                all.push(name);
            }
        }
    }
    if all.contains(&"any") {
        return Ok(if all.contains(&"all") { "any all" } else { "any" }.to_owned());
    }
    let wildcards: Vec<&str> = all.iter().copied().filter(|name| is_wildcard(name)).collect();
    let covered = |name: &&str| is_wildcard(name) || wildcards.iter().any(|wildcard| covers(wildcard, name));
    let rest: Vec<&str> = all.iter().copied().filter(|name| !covered(name)).collect();
    Ok([wildcards.clone(), rest].concat().join(" "))
}

fn is_wildcard(name: &str) -> bool {
    name.split('-').any(|part| part == "any")
}

/// Whether a wildcard of two parts covers an architecture: `linux-any` and `any-amd64` cover `amd64`.
fn covers(wildcard: &str, name: &str) -> bool {
    let (system, processor) = name.rsplit_once('-').unwrap_or(("linux", name));
    match wildcard.rsplit_once('-') {
        Some((wanted, "any")) => name != "all" && (wanted == "any" || wanted == system),
        Some(("any", wanted)) => wanted == processor,
        _ => false,
    }
}

fn testsuite(debian: &Debian) -> String {
    let declared = debian.control.source.get("Testsuite").unwrap_or_default();
    let mut suites: BTreeSet<&str> = declared
        .split(',')
        .map(str::trim)
        .filter(|suite| !suite.is_empty())
        .collect();
    match debian.tests {
        Some(_) => suites.insert("autopkgtest"),
        None => suites.remove("autopkgtest"),
    };
    suites.into_iter().collect::<Vec<_>>().join(", ")
}

/// The packages that tests depend on, but our own.
fn triggers(debian: &Debian) -> Result<String, SourceError> {
    if let Some(declared) = debian.control.source.get("Testsuite-Triggers") {
        return Ok(one_line("Testsuite-Triggers", declared));
    }
    let mut names: BTreeSet<String> = BTreeSet::new();
    for test in debian.tests.iter().flatten() {
        let depends = test.get("Depends").unwrap_or_default();
        for relation in depends
            .split([',', '|'])
            .map(str::trim)
            .filter(|relation| !relation.is_empty())
        {
            let name = relation
                .split([':', '(', '[', '<', ' ', '\t', '\n'])
                .next()
                .unwrap_or_default();
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.' | '@');
            if name.is_empty() || !name.chars().all(plain) {
                let why = format!("`Depends`: `{}` is not a package's name", escape(relation));
                return Err(SourceError::content("debian/tests/control", why));
            }
            names.insert(name.to_owned());
        }
    }
    for binary in &debian.control.binaries {
        names.remove(binary.name.as_str());
    }
    names.remove("@");
    Ok(names.into_iter().collect::<Vec<_>>().join(", "))
}

/// `XS-Name`, `XSB-Name`, …: a field of the author's own that goes into the .dsc as `Name`.
fn for_source(name: &str) -> Option<&str> {
    let (front, own) = name.split_once('-')?;
    let letters = front.strip_prefix(['X', 'x'])?;
    let known = letters
        .chars()
        .all(|c| matches!(c.to_ascii_uppercase(), 'S' | 'B' | 'C'));
    (known && letters.contains(['S', 's'])).then_some(own)
}

fn listed(tarballs: &[(FileName, Vec<u8>)], hash: impl Fn(&[u8]) -> String) -> String {
    let line = |(name, bytes): &(FileName, Vec<u8>)| format!("\n{} {} {name}", hash(bytes), bytes.len());
    tarballs.iter().map(line).collect()
}

/// dpkg-source unfolds `Uploaders` and leaves the others as they are.
fn one_line(name: &str, value: &str) -> String {
    if matches!(name, "Uploaders" | "Testsuite-Triggers") {
        return value
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect::<Vec<_>>()
            .join(" ");
    }
    value.to_owned()
}

fn in_control(source: FormatError) -> SourceError {
    SourceError::File {
        path: CONTROL.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::control::SourceControl;

    fn binaries(architectures: &[&str]) -> Vec<BinaryControl> {
        let mut text = "Source: xx\n".to_owned();
        for (number, architecture) in architectures.iter().enumerate() {
            text.push_str(&format!("\nPackage: package{number}\nArchitecture: {architecture}\n"));
        }
        SourceControl::parse(text.as_bytes()).unwrap().binaries
    }

    #[test]
    fn architectures_are_gathered_as_dpkg_does() {
        for (given, gathered) in [
            (&["any"][..], "any"),
            (&["all", "any"], "any all"),
            (&["amd64 arm64", "all"], "amd64 arm64 all"),
            (&["amd64", "linux-any", "hurd-i386"], "linux-any hurd-i386"),
            (&["any-amd64", "amd64 i386"], "any-amd64 i386"),
        ] {
            assert_eq!(architecture_field(&binaries(given)).unwrap(), gathered, "{given:?}");
        }
        assert!(architecture_field(&binaries(&["any all"])).is_err());
        assert!(architecture_field(&binaries(&["${arch}"])).is_err());
    }

    #[test]
    fn profiles_and_own_fields_are_spelled_as_dpkg_does() {
        assert_eq!(profile_formula("<!stage1 x> <y>"), "!stage1,x+y");
        assert_eq!(for_source("XS-Go-Import"), Some("Go-Import"));
        assert_eq!(for_source("XSBC-Original-Maintainer"), Some("Original-Maintainer"));
        assert_eq!(for_source("X-Other"), None);
        assert_eq!(for_source("XB-Other"), None);
        let many = binaries(&["any"; 200]);
        let field = binary_field(&many);
        assert!(field.lines().all(|line| line.len() <= LONGEST_BINARY_LINE + 1));
        assert_eq!(field.replace(",\n", ", ").split(", ").count(), 200);
    }
}
