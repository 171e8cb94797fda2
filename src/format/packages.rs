//! Stanzas of Packages and Sources files: what names a package, and where its bytes are.

use crate::domain::{Architecture, Digest, FileName, PackageName, PoolPath, Version, escape};

use super::FormatError;
use super::checksums::{agrees, lower_hex, number, sha256_list, value};
use super::deb822::{Stanza, Stanzas};
use super::hashes::{self, Hashes, OtherHashes};

const PACKAGES: &str = "Packages";
const SOURCES: &str = "Sources";

/// A binary package, as a Packages file lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binary {
    /// Its name.
    pub package: PackageName,
    /// Its version.
    pub version: Version,
    /// Its architecture, or `all`.
    pub architecture: Architecture,
    /// The source package that it is built from: its own name when there is no `Source`.
    pub source: PackageName,
    /// The version of the source package: its own when `Source` says nothing else.
    pub source_version: Version,
    /// Where the .deb is, relative to the archive's base.
    pub filename: PoolPath,
    /// SHA-256 and size of the .deb.
    pub digest: Digest,
}

/// What names a binary package and its bytes, of a stanza that was read whole before: nothing is checked here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Glance<'a> {
    /// Its name.
    pub package: &'a str,
    /// Its version.
    pub version: &'a str,
    /// Its architecture.
    pub architecture: &'a str,
    /// Where the .deb is, relative to the archive's base.
    pub filename: &'a str,
    /// SHA-256 and size of the .deb.
    pub digest: Digest,
}

impl<'a> Glance<'a> {
    /// Looks at the lines of a stanza; none when it is another's, or has its fields in another form than all write them.
    #[must_use]
    pub fn of(stanza: &'a [u8]) -> Option<Self> {
        let [
            mut package,
            mut version,
            mut architecture,
            mut filename,
            mut sha256,
            mut size,
        ] = [None; 6];
        let mut rest = stanza;
        while let Some(at) = memchr::memchr(b'\n', rest) {
            let (line, after) = rest.split_at_checked(at)?;
            rest = after.get(1..)?;
            let is = |name: &[u8], slot: &mut Option<&'a str>| {
                let Some(value) = line.strip_prefix(name) else {
                    return true;
                };
                let value = std::str::from_utf8(value)
                    .ok()
                    .map(|value| value.trim_matches([' ', '\t']));
                slot.is_none() && value.is_some() && {
                    *slot = value;
                    true
                }
            };
            let once = match line.first() {
                Some(b'P') => is(b"Package:", &mut package),
                Some(b'V') => is(b"Version:", &mut version),
                Some(b'A') => is(b"Architecture:", &mut architecture),
                Some(b'F') => is(b"Filename:", &mut filename),
                Some(b'S') => is(b"SHA256:", &mut sha256) && is(b"Size:", &mut size),
                Some(b'D') => !line.starts_with(b"Directory:"),
                _ => true,
            };
            if !once {
                return None;
            }
        }
        let filename: &str = filename?;
        Some(Self {
            package: package?,
            version: version?,
            architecture: architecture?,
            filename: filename.strip_prefix("./").unwrap_or(filename),
            digest: Digest {
                sha256: sha256?.parse().ok()?,
                size: size?.parse().ok()?,
            },
        })
    }
}

/// A source package, as a Sources file lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its name.
    pub package: PackageName,
    /// Its version.
    pub version: Version,
    /// The folder of its files, relative to the archive's base; none where they lie at the base, as in a flat repository.
    pub directory: Option<PoolPath>,
    /// Its files: the .dsc and what that names.
    pub files: Vec<(FileName, Digest)>,
}

/// A pool file, as a stanza lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolFile {
    /// Where it is, relative to the archive's base.
    pub path: PoolPath,
    /// Its SHA-256 and size.
    pub digest: Digest,
    /// The other hashes that are listed for it.
    pub others: OtherHashes,
}

/// What one stanza lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// Of a Packages file.
    Binary(Binary),
    /// Of a Sources file.
    Source(Source),
}

impl Entry {
    /// Reads a stanza of either file, see [`is_source`].
    ///
    /// # Errors
    /// As those of [`Binary::from_stanza`] and [`Source::from_stanza`].
    pub fn from_stanza(stanza: &Stanza<'_>) -> Result<Self, FormatError> {
        match is_source(stanza) {
            true => Source::from_stanza(stanza).map(Self::Source),
            false => Binary::from_stanza(stanza).map(Self::Binary),
        }
    }

    /// Its pool files, with their digests.
    ///
    /// # Errors
    /// When a path would be too long.
    pub fn pool_files(self) -> Result<Vec<(PoolPath, Digest)>, FormatError> {
        match self {
            Self::Binary(binary) => Ok(vec![(binary.filename, binary.digest)]),
            Self::Source(source) => source.pool_files(),
        }
    }

    /// Its pool files, with every hash that its stanza lists.
    ///
    /// # Errors
    /// As [`Entry::pool_files`] and [`Entry::other_hashes`].
    pub fn listed_files(self, stanza: &Stanza<'_>) -> Result<Vec<PoolFile>, FormatError> {
        let others = self.other_hashes(stanza)?;
        let listed = self.pool_files()?.into_iter().zip(others);
        let file = |((path, digest), others)| PoolFile { path, digest, others };
        Ok(listed.map(file).collect())
    }

    /// The hashes beside SHA-256 that its stanza lists for each of its pool files, in their order.
    ///
    /// # Errors
    /// When one has not the form of its kind, or the lists of a source package name different files.
    pub fn other_hashes(&self, stanza: &Stanza<'_>) -> Result<Vec<OtherHashes>, FormatError> {
        match self {
            Self::Binary(_) => match hashes::of_binary(PACKAGES, stanza) {
                Ok(listed) => Ok(vec![OtherHashes::from(&listed)]),
                Err(error) => Err(at_stanza(PACKAGES, stanza, error)),
            },
            Self::Source(source) => source
                .other_hashes(stanza)
                .map_err(|error| at_stanza(SOURCES, stanza, error)),
        }
    }
}

impl Binary {
    /// Reads a stanza of a Packages file.
    ///
    /// # Errors
    /// When a field that names the package or its bytes is missing or malformed.
    pub fn from_stanza(stanza: &Stanza<'_>) -> Result<Self, FormatError> {
        Self::read(stanza).map_err(|error| at_stanza(PACKAGES, stanza, error))
    }

    /// What tells it from every other binary package of a suite.
    #[must_use]
    pub fn key(&self) -> (PackageName, Version, Architecture) {
        let (package, version, architecture) = (&self.package, &self.version, &self.architecture);
        (package.clone(), version.clone(), architecture.clone())
    }

    /// The file that a stanza lists, all else of which is checked and left.
    fn file_of(stanza: &Stanza<'_>) -> Result<(PoolPath, Digest), FormatError> {
        Self::checked_file(stanza).map_err(|error| at_stanza(PACKAGES, stanza, error))
    }

    fn checked_file(stanza: &Stanza<'_>) -> Result<(PoolPath, Digest), FormatError> {
        let field = |name| stanza.require(PACKAGES, name);
        let wrong = |field: &'static str| {
            move |source| FormatError::Value {
                what: format!("{PACKAGES}: {field}"),
                source,
            }
        };
        PackageName::check(field("Package")?).map_err(wrong("Package"))?;
        Version::check(field("Version")?).map_err(wrong("Version"))?;
        if let Some(text) = stanza.field("Source") {
            let (name, version) = source_parts(PACKAGES, text)?;
            PackageName::check(name).map_err(wrong("Source"))?;
            version.map_or(Ok(()), Version::check).map_err(wrong("Source"))?;
        }
        Architecture::check(field("Architecture")?).map_err(wrong("Architecture"))?;
        Ok((Self::path_of(stanza)?, Self::digest_of(stanza)?))
    }

    fn path_of(stanza: &Stanza<'_>) -> Result<PoolPath, FormatError> {
        PoolPath::from_index(stanza.require(PACKAGES, "Filename")?).map_err(|source| FormatError::Value {
            what: format!("{PACKAGES}: Filename"),
            source,
        })
    }

    fn digest_of(stanza: &Stanza<'_>) -> Result<Digest, FormatError> {
        Ok(Digest {
            sha256: lower_hex(PACKAGES, "SHA256", stanza.require(PACKAGES, "SHA256")?)?,
            size: number(PACKAGES, "Size", stanza.require(PACKAGES, "Size")?)?,
        })
    }

    fn read(stanza: &Stanza<'_>) -> Result<Self, FormatError> {
        let field = |name| stanza.require(PACKAGES, name);
        let package: PackageName = value(PACKAGES, "Package", field("Package")?)?;
        let version: Version = value(PACKAGES, "Version", field("Version")?)?;
        let (source, source_version) = match stanza.field("Source") {
            Some(text) => source_of(PACKAGES, text, &version)?,
            None => (package.clone(), version.clone()),
        };
        Ok(Self {
            architecture: value(PACKAGES, "Architecture", field("Architecture")?)?,
            filename: Self::path_of(stanza)?,
            digest: Self::digest_of(stanza)?,
            package,
            version,
            source,
            source_version,
        })
    }
}

impl Source {
    /// Reads a stanza of a Sources file.
    ///
    /// # Errors
    /// When a field that names the package or its bytes is missing or malformed, or its lists of
    /// files differ.
    pub fn from_stanza(stanza: &Stanza<'_>) -> Result<Self, FormatError> {
        Self::read(stanza).map_err(|error| at_stanza(SOURCES, stanza, error))
    }

    fn read(stanza: &Stanza<'_>) -> Result<Self, FormatError> {
        let field = |name| stanza.require(SOURCES, name);
        field("Checksums-Sha256")?;
        let files = sha256_list(SOURCES, stanza.lines("Checksums-Sha256"))?;
        if stanza.field("Files").is_some() {
            agrees(SOURCES, "Files", 3, stanza.lines("Files"), &files)?;
        }
        Ok(Self {
            package: value(SOURCES, "Package", field("Package")?)?,
            version: value(SOURCES, "Version", field("Version")?)?,
            directory: directory(stanza.field("Directory"))?,
            files,
        })
    }

    fn other_hashes(&self, stanza: &Stanza<'_>) -> Result<Vec<OtherHashes>, FormatError> {
        let names: Vec<&FileName> = self.files.iter().map(|(name, _)| name).collect();
        let list = |field, digits| {
            if stanza.field(field).is_none() {
                return Ok(None);
            }
            agrees(SOURCES, field, 3, stanza.lines(field), &self.files)?;
            hashes::of_list(SOURCES, (field, digits), stanza.lines(field), &names).map(Some)
        };
        let lists = [
            list("Files", 32)?,
            list("Checksums-Sha1", 40)?,
            list("Checksums-Sha512", 128)?,
        ];
        let [mut md5, mut sha1, mut sha512] = lists.map(|list| list.map(Vec::into_iter));
        let next = |list: &mut Option<std::vec::IntoIter<String>>| list.as_mut().and_then(Iterator::next);
        let of_file = |_| {
            OtherHashes::from(&Hashes {
                md5: next(&mut md5),
                sha1: next(&mut sha1),
                sha512: next(&mut sha512),
            })
        };
        Ok(names.iter().map(of_file).collect())
    }

    /// Where a file of it is, relative to the archive's base.
    #[must_use]
    pub fn path_of(&self, name: &FileName) -> String {
        match &self.directory {
            Some(directory) => format!("{directory}/{name}"),
            None => name.to_string(),
        }
    }

    /// The paths of its files, relative to the archive's base.
    ///
    /// # Errors
    /// When a path would be too long.
    pub fn pool_files(&self) -> Result<Vec<(PoolPath, Digest)>, FormatError> {
        let path = |name: &FileName| value(SOURCES, "Directory", &self.path_of(name));
        self.files
            .iter()
            .map(|(name, digest)| Ok((path(name)?, *digest)))
            .collect()
    }
}

/// Whether a stanza lists a source package: it says in which folder its files are, or names files by lists alone, as
/// `apt-ftparchive sources .` does beside a Release file.
#[must_use]
pub fn is_source(stanza: &Stanza<'_>) -> bool {
    let has = |name| stanza.field(name).is_some();
    has("Directory") || (!has("Filename") && has("Checksums-Sha256"))
}

/// The folder that a `Directory` names; none for the archive's base.
fn directory(text: Option<&str>) -> Result<Option<PoolPath>, FormatError> {
    let is_base = |text: &&str| matches!(*text, "" | "." | "./");
    let folder = text
        .filter(|text| !is_base(text))
        .map(|text| text.strip_prefix("./").unwrap_or(text));
    folder.map(|text| value(SOURCES, "Directory", text)).transpose()
}

/// Reads `name` or `name (version)`, as the field `Source` has it; `version` is what a bare name means.
///
/// # Errors
/// When it has another form.
pub fn source_of(what: &'static str, text: &str, version: &Version) -> Result<(PackageName, Version), FormatError> {
    let (name, inner) = source_parts(what, text)?;
    let version = inner.map_or_else(|| Ok(version.clone()), |inner| value(what, "Source", inner))?;
    Ok((value(what, "Source", name)?, version))
}

/// The name and the version of `name` or `name (version)`.
fn source_parts<'a>(what: &'static str, text: &'a str) -> Result<(&'a str, Option<&'a str>), FormatError> {
    let Some((name, rest)) = text.split_once(' ') else {
        return Ok((text, None));
    };
    let inner = rest.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
    let inner = inner.ok_or_else(|| {
        let why = format!("`{}` is not like `name (version)`", escape(text));
        FormatError::malformed(what, "Source", why)
    })?;
    Ok((name, Some(inner)))
}

/// Every pool file of a Packages or Sources file, uncompressed, in its order; a file may come twice.
/// Each item is an error of its stanza, or a path and its digest.
pub fn pool_files(index: &[u8]) -> impl Iterator<Item = Result<(PoolPath, Digest), FormatError>> {
    let files = |stanza: Stanza<'_>| match is_source(&stanza) {
        // One file, and nothing else of it is taken.
        false => Ok((Some(Binary::file_of(&stanza)?), Vec::new())),
        true => Ok((None, Source::from_stanza(&stanza)?.pool_files()?)),
    };
    Stanzas::new(index).flat_map(move |stanza| {
        let (first, failed) = match stanza.and_then(files) {
            Ok(found) => (found, None),
            Err(error) => ((None, Vec::new()), Some(Err(error))),
        };
        let (one, more) = first;
        one.into_iter().chain(more).map(Ok).chain(failed)
    })
}

/// As [`pool_files`], with every hash that is listed.
pub fn listed_files(index: &[u8]) -> impl Iterator<Item = Result<PoolFile, FormatError>> {
    Stanzas::new(index).flat_map(|stanza| {
        let entry = |stanza: Stanza<'_>| Entry::from_stanza(&stanza)?.listed_files(&stanza);
        match stanza.and_then(entry) {
            Ok(files) => files.into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        }
    })
}

/// Says at which stanza an error is: its line, and its package when it has one.
fn at_stanza(what: &'static str, stanza: &Stanza<'_>, error: FormatError) -> FormatError {
    let name = stanza
        .field("Package")
        .map(|name| format!(" (package `{}`)", escape(name)));
    FormatError::malformed(
        what,
        format!("the stanza at line {}{}", stanza.line(), name.unwrap_or_default()),
        error,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const BINARY: &str = "Package: libhello1\nSource: hello (1.0-1)\nVersion: 1.0-1+b1\nArchitecture: amd64\n\
        Filename: pool/main/h/hello/libhello1_1.0-1+b1_amd64.deb\nSize: 12\n\
        SHA256: 3333333333333333333333333333333333333333333333333333333333333333\n";
    const SOURCE: &str = "Package: hello\nVersion: 1:1.0-1\nDirectory: pool/main/h/hello\n\
        Files:\n 11111111111111111111111111111111 5 hello_1.0-1.dsc\n 11111111111111111111111111111111 6 hello_1.0.orig.tar.xz\n\
        Checksums-Sha256:\n 3333333333333333333333333333333333333333333333333333333333333333 5 hello_1.0-1.dsc\n \
        4444444444444444444444444444444444444444444444444444444444444444 6 hello_1.0.orig.tar.xz\n";

    fn only(text: &str) -> Stanza<'_> {
        Stanzas::new(text.as_bytes()).next().unwrap().unwrap()
    }

    #[test]
    fn a_binary_knows_its_source() -> Result<(), FormatError> {
        let binary = Binary::from_stanza(&only(BINARY))?;
        assert_eq!(binary.source.as_str(), "hello");
        assert_eq!(binary.source_version.as_str(), "1.0-1");
        assert_eq!(binary.version.as_str(), "1.0-1+b1");
        let plain = BINARY.replace("Source: hello (1.0-1)\n", "");
        let plain = Binary::from_stanza(&only(&plain))?;
        assert_eq!(
            (plain.source.as_str(), plain.source_version.as_str()),
            ("libhello1", "1.0-1+b1")
        );
        Ok(())
    }

    #[test]
    fn a_glance_sees_what_is_read() -> Result<(), FormatError> {
        let glance = |text: &str| {
            let found = Glance::of(text.as_bytes());
            found.map(|found| {
                let names = [found.package, found.version, found.architecture, found.filename];
                (names.map(ToOwned::to_owned), found.digest)
            })
        };
        for text in [
            BINARY.to_owned(),
            BINARY.replace("Filename: pool", "Filename: \t./pool"),
        ] {
            let read = Binary::from_stanza(&only(&text))?;
            let names = [
                read.package.as_str(),
                read.version.as_str(),
                read.architecture.as_str(),
                read.filename.as_str(),
            ];
            assert_eq!(glance(&text), Some((names.map(ToOwned::to_owned), read.digest)));
        }
        for (from, to) in [
            ("Package", "package"),
            ("Version: 1", "Version: 1\nVersion: 1"),
            ("SHA256: 3", "SHA256: z"),
            ("Size", "Directory"),
        ] {
            assert_eq!(glance(&BINARY.replace(from, to)), None);
        }
        assert_eq!(glance(SOURCE), None);
        Ok(())
    }

    #[test]
    fn stanzas_that_name_nothing_safe_are_refused() {
        for (from, to) in [
            ("Package: libhello1\n", ""),
            ("Version: 1.0-1+b1\n", ""),
            ("Architecture: amd64\n", ""),
            ("Size: 12\n", ""),
            ("Size: 12", "Size: 0x12"),
            ("Size: 12", "Size: -1"),
            ("SHA256", "SHA1"),
            ("SHA256: 3", "SHA256: A"),
            ("pool/main/h", "../main/h"),
            ("pool/main/h", "pool/%2e%2e/h"),
            ("Filename: pool", "Filename: /pool"),
            ("hello (1.0-1)", "hello 1.0-1"),
            ("hello (1.0-1)", "hello (1.0-1) x"),
            ("hello (1.0-1)", "../hello"),
            ("Package: lib", "Package: Lib"),
        ] {
            assert!(BINARY.contains(from), "{from:?}");
            let text = BINARY.replace(from, to);
            let error = Binary::from_stanza(&only(&text)).unwrap_err().to_string();
            assert!(error.contains("line 1"), "{error}");
        }
        for (from, to) in [
            ("Checksums-Sha256", "Checksums-Sha1"),
            (" 6 hello_1.0.orig.tar.xz\nC", " 7 hello_1.0.orig.tar.xz\nC"),
            (" 5 hello_1.0-1.dsc\n 1", " 5 hello_1.0-2.dsc\n 1"),
            ("hello_1.0-1.dsc", "../x.dsc"),
            ("hello_1.0-1.dsc", "hello_1.0.orig.tar.xz"),
            ("pool/main/h", "pool/../h"),
        ] {
            assert!(SOURCE.contains(from), "{from:?}");
            assert!(
                Source::from_stanza(&only(&SOURCE.replace(from, to))).is_err(),
                "{from:?} -> {to:?}"
            );
        }
    }

    #[test]
    fn every_hash_that_is_listed_counts() -> Result<(), FormatError> {
        let others = |text: &str| {
            let stanza = only(text);
            Entry::from_stanza(&stanza)?.other_hashes(&stanza)
        };
        let listed = |hash: &str| format!("{BINARY}{hash}\n");
        let (md5, sha1, sha512) = ("0a".repeat(16), "0b".repeat(20), "0c".repeat(64));
        assert_eq!(others(BINARY)?, [OtherHashes::NONE]);
        let weak = others(&listed(&format!("MD5sum: {md5}\nSHA1: {sha1}\nSHA512: {sha512}")))?;
        assert_eq!(
            weak.first().map(|weak| weak.names()),
            Some("MD5 or SHA-1 or SHA-512".to_owned())
        );
        let upper = format!("MD5sum: {}\nSHA1: {sha1}\nSHA512: {sha512}", md5.to_uppercase());
        assert_eq!(others(&listed(&upper))?, weak, "apt takes either case");
        assert_ne!(others(&listed(&format!("MD5sum: {md5}")))?, weak);
        for wrong in ["MD5sum: z", "MD5sum: 0a", "SHA1: 0b0b", "SHA512: 0c"] {
            assert!(others(&listed(wrong)).is_err(), "{wrong}");
        }
        assert!(others(&listed(&format!("MD5sum: {}", "z".repeat(32)))).is_err());
        let list = |field: &str, first: &str, second: &str| {
            format!("{SOURCE}{field}:\n {first} hello_1.0-1.dsc\n {second} hello_1.0.orig.tar.xz\n")
        };
        let sha1s = list("Checksums-Sha1", &format!("{sha1} 5"), &format!("{sha1} 6"));
        let both = others(&sha1s)?;
        assert_eq!((both.len(), others(SOURCE)?.len()), (2, 2));
        assert!(
            both.iter()
                .all(|both| both.has_md5() && both.has_sha1() && !both.has_sha512())
        );
        for (first, second) in [
            (format!("{sha1} 5"), format!("{sha1} 7")),
            (format!("{md5} 5"), format!("{sha1} 6")),
        ] {
            assert!(others(&list("Checksums-Sha1", &first, &second)).is_err());
        }
        let other = sha1s.replace(&format!("{sha1} 6 hello_1.0.orig"), &format!("{sha1} 6 hello_2.0.orig"));
        assert!(others(&other).is_err(), "another file");
        assert!(others(&SOURCE.replace("1111 6", "111z 6")).is_err());
        Ok(())
    }

    #[test]
    fn pool_files_are_all_of_an_index() -> Result<(), FormatError> {
        let index = format!("{BINARY}\n{SOURCE}\n");
        let files = pool_files(index.as_bytes()).collect::<Result<Vec<_>, _>>()?;
        let paths: Vec<&str> = files.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(
            paths,
            [
                "pool/main/h/hello/libhello1_1.0-1+b1_amd64.deb",
                "pool/main/h/hello/hello_1.0-1.dsc",
                "pool/main/h/hello/hello_1.0.orig.tar.xz"
            ]
        );
        assert!(pool_files(format!("{BINARY}\n{BINARY}X\n").as_bytes()).any(|file| file.is_err()));
        Ok(())
    }
}
