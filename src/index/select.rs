//! Choosing stanzas: an index that has only some of another's, byte for byte. And finding in it what
//! a manifest names.

use std::collections::HashMap;

use super::IndexError;
use crate::domain::{ArchiveName, Component, Digest, PackageName, SuiteName, Version};
use crate::format::FormatError;
use crate::format::deb822::{Stanza, Stanzas};
use crate::format::manifest::Wanted;
use crate::format::packages::{Binary, Source};

/// The stanzas of an index for which `keep` says yes: their bytes as they stand, in their order, each
/// with an empty line after it.
///
/// # Errors
/// When the index is not strictly deb822; what `keep` fails with.
pub fn select<'a, E: From<FormatError>>(
    index: &'a [u8],
    mut keep: impl FnMut(&Stanza<'a>) -> Result<bool, E>,
) -> Result<Vec<u8>, E> {
    let mut kept = Vec::new();
    for stanza in Stanzas::new(index) {
        let stanza = stanza?;
        if keep(&stanza)? {
            kept.extend_from_slice(stanza.bytes());
            kept.push(b'\n');
        }
    }
    Ok(kept)
}

/// Which index a stanza stands in.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The archive.
    pub archive: &'a ArchiveName,
    /// The suite.
    pub suite: &'a SuiteName,
    /// The component, when the suite has some.
    pub component: Option<&'a Component>,
}

/// Packages that are looked for, in one index after another.
#[derive(Debug)]
pub struct Search<'m> {
    wanted: &'m [Wanted],
    /// Most stanzas are of no interest: their names alone tell.
    by_name: HashMap<&'m str, Vec<usize>>,
    found: Vec<bool>,
}

impl<'m> Search<'m> {
    /// A search for these.
    #[must_use]
    pub fn new(wanted: &'m [Wanted]) -> Self {
        let mut by_name: HashMap<&str, Vec<usize>> = HashMap::new();
        for (at, one) in wanted.iter().enumerate() {
            by_name.entry(one.package.as_str()).or_default().push(at);
        }
        Self {
            wanted,
            by_name,
            found: vec![false; wanted.len()],
        }
    }

    /// The binary package of a stanza of Packages, when it is looked for. One that is looked for in another place
    /// is taken here too, but is found only there.
    ///
    /// # Errors
    /// When it has the name of one that is, and is malformed.
    pub fn binary(&mut self, stanza: &Stanza<'_>, place: Place<'_>) -> Result<Option<Binary>, IndexError> {
        let Some(candidates) = stanza.field("Package").and_then(|name| self.by_name.get(name)) else {
            return Ok(None);
        };
        let binary = Binary::from_stanza(stanza)?;
        let is_it = |one: &Wanted| {
            let named = match &one.details.path {
                Some(path) => *path == binary.filename,
                None => one.version == binary.version,
            };
            named
                && one.architecture.admits(&binary.architecture)
                && is_file(one, Some(&binary.digest))
                && is_of(one, &binary.source, &binary.source_version)
        };
        let found = mark(&mut self.found, self.wanted, candidates, place, is_it);
        Ok(found.then_some(binary))
    }

    /// The source package of a stanza of Sources, when it is looked for; as for binary packages.
    ///
    /// # Errors
    /// When it has the name of one that is, and is malformed.
    pub fn source(&mut self, stanza: &Stanza<'_>, place: Place<'_>) -> Result<Option<Source>, IndexError> {
        let Some(candidates) = stanza.field("Package").and_then(|name| self.by_name.get(name)) else {
            return Ok(None);
        };
        let source = Source::from_stanza(stanza)?;
        let dsc = source.files.iter().find(|(name, _)| name.as_str().ends_with(".dsc"));
        let dsc = dsc.map(|(_, digest)| digest);
        let is_it = |one: &Wanted| {
            one.version == source.version && is_file(one, dsc) && is_of(one, &source.package, &source.version)
        };
        let found = mark(&mut self.found, self.wanted, candidates, place, is_it);
        Ok(found.then_some(source))
    }

    /// What was in no index so far, in the order of the manifest.
    pub fn missing(&self) -> impl Iterator<Item = &'m Wanted> + '_ {
        let pairs = self.wanted.iter().zip(&self.found);
        pairs.filter(|(_, found)| !**found).map(|(one, _)| one)
    }
}

/// Whether the file is the one that is wanted; any is when neither hash nor size is given.
fn is_file(wanted: &Wanted, file: Option<&Digest>) -> bool {
    let (sha256, size) = (wanted.details.sha256, wanted.details.size);
    sha256.is_none_or(|one| file.is_some_and(|file| file.sha256 == one))
        && size.is_none_or(|one| file.is_some_and(|file| file.size == one))
}

/// Whether it is built from the source package that is wanted, when one is.
fn is_of(wanted: &Wanted, source: &PackageName, version: &Version) -> bool {
    let details = &wanted.details;
    details.source.as_ref().is_none_or(|one| one == source)
        && details.source_version.as_ref().is_none_or(|one| one == version)
}

/// Whether this is where it is wanted from; every place is when none is given.
fn is_there(wanted: &Wanted, place: Place<'_>) -> bool {
    let details = &wanted.details;
    details.archive.as_ref().is_none_or(|one| one == place.archive)
        && details.suite.as_ref().is_none_or(|one| one == place.suite)
        && details
            .component
            .as_ref()
            .is_none_or(|one| Some(one) == place.component)
}

/// Marks every candidate that `is_it` and is in its place; whether one `is_it` at all.
fn mark(
    found: &mut [bool],
    wanted: &[Wanted],
    candidates: &[usize],
    place: Place<'_>,
    is_it: impl Fn(&Wanted) -> bool,
) -> bool {
    let mut any = false;
    for at in candidates {
        if let (Some(found), Some(one)) = (found.get_mut(*at), wanted.get(*at))
            && is_it(one)
        {
            *found |= is_there(one, place);
            any = true;
        }
    }
    any
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::manifest::Manifest;

    fn stanza(name: &str, version: &str, architecture: &str, sha256: &str) -> String {
        format!(
            "Package: {name}\nVersion: {version}\nArchitecture: {architecture}\nX-Odd:   kept as it is\n\
             Filename: pool/{name}.deb\nSize: 1\nSHA256: {}\n",
            sha256.repeat(64)
        )
    }

    /// Runs with a place: archive debian, suite sid, component main.
    fn in_sid<T>(run: impl FnOnce(Place<'_>) -> T) -> T {
        let archive = ArchiveName::new("debian").unwrap();
        let suite = SuiteName::new("sid").unwrap();
        let component = Component::new("main").unwrap();
        run(Place {
            archive: &archive,
            suite: &suite,
            component: Some(&component),
        })
    }

    #[test]
    fn stanzas_stay_as_they_stand() -> Result<(), FormatError> {
        let [a, b, c] = ["aa", "bb", "cc"].map(|name| stanza(name, "1", "amd64", "3"));
        let index = format!("{a}\n\n\n{b}\n{c}");
        let kept = select(index.as_bytes(), |stanza| {
            Ok::<_, FormatError>(stanza.field("Package") != Some("bb"))
        })?;
        assert_eq!(String::from_utf8_lossy(&kept), format!("{a}\n{c}\n"));
        assert!(select(b"A: 1\nB", |_| Ok::<_, FormatError>(true)).is_err());
        Ok(())
    }

    #[test]
    fn every_stanza_that_is_wanted_is_found_wherever_it_is() -> Result<(), IndexError> {
        let manifest = Manifest::parse(b"aa 1 amd64\nbb:all 2\ncc 3\ndd 4\n")?;
        let mut search = Search::new(&manifest.binaries);
        let mut look = |text: &str| {
            let found = select(text.as_bytes(), |stanza| {
                Ok::<_, IndexError>(in_sid(|place| search.binary(stanza, place))?.is_some())
            });
            found.map(|bytes| String::from_utf8_lossy(&bytes).matches("Package:").count())
        };
        let first = [
            stanza("aa", "1", "amd64", "3"),
            stanza("aa", "1", "i386", "3"),
            stanza("aa", "1+b1", "amd64", "3"),
            stanza("bb", "2", "all", "3"),
            stanza("cc", "3", "amd64", "3"),
            stanza("cc", "3", "i386", "3"),
            "Package: ee\nnothing: else\n".to_owned(),
        ];
        assert_eq!(look(&first.join("\n"))?, 4);
        assert_eq!(
            look(&stanza("aa", "1", "amd64", "4"))?,
            1,
            "another archive's is taken too"
        );
        assert!(look("Package: aa\nVersion: 1\n").is_err());
        let missing: Vec<String> = search.missing().map(ToString::to_string).collect();
        assert_eq!(missing, ["dd 4 any"]);
        Ok(())
    }

    #[test]
    fn a_hash_is_part_of_what_is_wanted() -> Result<(), IndexError> {
        let text = format!(
            "---\nformat: '2'\npackages:\n  binary:\n  - arch: amd64\n    package: aa\n    sha256: '{}'\n    version: '1'\n",
            "3".repeat(64)
        );
        let manifest = Manifest::parse(text.as_bytes())?;
        let mut search = Search::new(&manifest.binaries);
        for (digit, expected) in [("4", false), ("3", true)] {
            let index = stanza("aa", "1", "amd64", digit);
            for stanza in Stanzas::new(index.as_bytes()) {
                let stanza = stanza?;
                let binary = in_sid(|place| search.binary(&stanza, place))?;
                assert_eq!(binary.is_some(), expected, "{digit}");
            }
            assert_eq!(search.missing().count(), usize::from(!expected));
        }
        Ok(())
    }

    #[test]
    fn every_key_of_a_manifest_binds() -> Result<(), IndexError> {
        for (key, value, taken, found) in [
            ("size", "1", true, true),
            ("size", "2", false, false),
            ("source", "aa", true, true),
            ("source", "bb", false, false),
            ("source_version", "2", false, false),
            // It may be wanted from another place too: then it is taken from both, and missing there.
            ("archive", "debian", true, true),
            ("archive", "nope", true, false),
            ("suite", "sid", true, true),
            ("suite", "nosuite", true, false),
            ("component", "main", true, true),
            ("component", "contrib", true, false),
        ] {
            let text = format!(
                "---\nformat: '2'\npackages:\n  binary:\n  - arch: amd64\n    package: aa\n    version: '1'\n    {key}: '{value}'\n"
            );
            let manifest = Manifest::parse(text.as_bytes())?;
            let mut search = Search::new(&manifest.binaries);
            let index = stanza("aa", "1", "amd64", "3");
            for stanza in Stanzas::new(index.as_bytes()) {
                let stanza = stanza?;
                let binary = in_sid(|place| search.binary(&stanza, place))?;
                assert_eq!(binary.is_some(), taken, "{key} {value}");
            }
            assert_eq!(search.missing().count(), usize::from(!found), "{key} {value}");
        }
        Ok(())
    }
}
