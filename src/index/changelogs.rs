//! Changelogs: which file of the pool is the changelog of which package. An index of our own, which clients need not read:
//! it names the files that `apt changelog` asks for, so that they are verified, kept and collected as packages are.
//!
//! A stanza for each package that has one, sorted by name, version and architecture. The file has the place that apt's
//! `@CHANGEPATH@` gives (`pkgAcqChangelog::URI`), which is that of Debian's pool: component, prefix, source, source without epoch.

use std::collections::{BTreeMap, BTreeSet};

use super::IndexError;
use super::touched::{places, spliced, touched};
use crate::domain::{Architecture, Component, Digest, DomainError, FileName, PackageName, PoolPath, Version};
use crate::format::FormatError;
use crate::format::compress::{Compression, decompress};
use crate::format::deb::Deb;
use crate::format::deb822::Stanzas;

/// The largest changelog, uncompressed, in bytes.
const LARGEST: u64 = 16 << 20;
/// The name of the index.
pub const CHANGELOGS: &str = "Changelogs";

/// The path of a component's index, uncompressed.
#[must_use]
pub fn changelogs_path(component: &Component) -> String {
    format!("{component}/changelogs/{CHANGELOGS}")
}

/// Where in the pool the changelog of a version of a source package is.
///
/// # Errors
/// When the path would be too long.
pub fn changelog_place(
    component: &Component,
    source: &PackageName,
    version: &Version,
) -> Result<PoolPath, DomainError> {
    let file = FileName::new(format!("{source}_{}_changelog", version.without_epoch()))?;
    PoolPath::in_pool(component, source, &file)
}

/// Whether a file of a package may be its changelog: what has to be kept in memory while it is read.
#[must_use]
pub fn may_be_changelog(path: &str) -> bool {
    let Some((package, file)) = path
        .strip_prefix("usr/share/doc/")
        .and_then(|rest| rest.split_once('/'))
    else {
        return false;
    };
    !package.is_empty() && NAMES.contains(&file)
}

/// The names that Debian Policy §12.7 gives it, what is Debian's own first: `changelog` alone may be upstream's.
const NAMES: [&str; 4] = ["changelog.Debian.gz", "changelog.Debian", "changelog.gz", "changelog"];

/// The changelog of a package, which was read with what [`may_be_changelog`] wants; none when it has none of its own, or one that is not of its
/// source package. Some packages of a source have a link to that of another.
#[must_use]
pub fn changelog_of(deb: &Deb) -> Option<Vec<u8>> {
    let (source, _) = deb.source().ok()?;
    let read = |name: &&str| {
        let path = format!("usr/share/doc/{}/{name}", deb.package);
        let content = deb.data.iter().find(|entry| entry.path == path)?.content.as_deref()?;
        let compression = Compression::of_name(name);
        let text = decompress(compression, content, LARGEST).ok()?;
        let is_of_source = text.starts_with(format!("{source} (").as_bytes());
        is_of_source.then_some(text)
    };
    NAMES.iter().find_map(read)
}

/// A package as the index has it.
pub type Listed = (PackageName, Version, Architecture);

/// The index after a change: without what it says of the packages in `gone`, and with these.
///
/// # Errors
/// When `before` is no such index.
pub fn changelogs(
    before: &[u8],
    gone: &BTreeSet<Listed>,
    new: &[(Listed, PoolPath, Digest)],
) -> Result<Vec<u8>, IndexError> {
    // Of what does not change nothing is parsed.
    let names = gone.iter().chain(new.iter().map(|(listed, ..)| listed));
    let names: BTreeSet<&str> = names.map(|(package, ..)| package.as_str()).collect();
    let unsorted = || FormatError::malformed(CHANGELOGS, "its stanzas", "they are not sorted by package");
    let places = places(before, &names).ok_or_else(unsorted)?;
    let mut rows: BTreeMap<(String, String, String), Vec<u8>> = BTreeMap::new();
    let key = |(package, version, architecture): &Listed| {
        (package.to_string(), version.to_string(), architecture.to_string())
    };
    let gone: BTreeSet<_> = gone.iter().map(key).collect();
    for stanza in Stanzas::new(&touched(before, &places)) {
        let stanza = stanza?;
        let field = |name| stanza.require(CHANGELOGS, name).map(str::to_owned);
        let listed = (field("Package")?, field("Version")?, field("Architecture")?);
        if !gone.contains(&listed) {
            let mut text = stanza.bytes().to_vec();
            text.push(b'\n');
            rows.insert(listed, text);
        }
    }
    for (listed, path, digest) in new {
        let (package, version, architecture) = listed;
        let text = format!(
            "Package: {package}\nVersion: {version}\nArchitecture: {architecture}\nFilename: {path}\nSize: {}\nSHA256: {}\n\n",
            digest.size, digest.sha256
        );
        rows.insert(key(listed), text.into_bytes());
    }
    let rows: Vec<u8> = rows.into_values().flatten().collect();
    Ok(spliced(before, &names, &places, &rows).ok_or_else(unsorted)?)
}

/// Reads such an index.
///
/// # Errors
/// When it is none.
pub fn read_changelogs(text: &[u8]) -> Result<BTreeMap<Listed, (PoolPath, Digest)>, FormatError> {
    let mut found = BTreeMap::new();
    for stanza in Stanzas::new(text) {
        let binary = crate::format::packages::Binary::from_stanza(&stanza?)?;
        let listed = (binary.package, binary.version, binary.architecture);
        found.insert(listed, (binary.filename, binary.digest));
    }
    Ok(found)
}
