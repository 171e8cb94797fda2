//! What somebody hands to an unproven archive: a .deb, or a .dsc with its files, read from disk and hashed.
//!
//! Nothing is kept yet. What it must be is known to an index, a `.dsc` or a `.changes`, or to nobody but the operator.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use crate::admission::{LedgerEntry, LedgerKey};
use crate::domain::{
    Architecture, Component, Digest, DomainError, FileName, PackageName, PoolPath, Sha256, SuiteName, Version,
};
use crate::format::deb::{DebHead, DebLimits, read_deb, read_deb_head};
use crate::format::deb822::Paragraph;
use crate::format::dsc::Dsc;
use crate::host::files;
use crate::index::{FileList, binary_stanza, is_debug_symbols, source_stanza};
use crate::site::UnprovenArchive;
use crate::store::{Key, hash_stream};
use crate::trust::unframed_text;

use super::{IncludeError, Upload};

/// The most that a .dsc may have, in bytes.
const LARGEST_DSC: u64 = 1 << 20;
/// How files of packages end.
const PACKAGES: [&str; 3] = ["deb", "udeb", "ddeb"];

/// A package as it is to be in a suite, or a source package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Included {
    /// The suite.
    pub suite: SuiteName,
    /// The component.
    pub component: Component,
    /// The package.
    pub package: PackageName,
    /// Its version.
    pub version: Version,
    /// Its architecture; absent of a source package.
    pub architecture: Option<Architecture>,
    /// The source package that it is, or that it was built from.
    pub source: PackageName,
    /// SHA-256 of the .deb or .dsc.
    pub sha256: Sha256,
    /// Its stanza in Packages or Sources, without the empty line after it.
    pub(super) stanza: Vec<u8>,
    pub(super) files: Vec<IncludedFile>,
    /// What Contents is to say of it; absent where nobody asks, or where that is read again when it is asked for.
    pub(super) list: Option<FileList>,
}

/// A file of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct IncludedFile {
    pub(super) path: PoolPath,
    pub(super) digest: Digest,
    pub(super) from: PathBuf,
}

impl Included {
    /// What it claims, so that nothing else comes by its names, even when it has gone.
    pub(super) fn claims(&self) -> Vec<LedgerEntry> {
        let version = self.version.without_epoch().to_owned();
        let entry = |key: LedgerKey, sha256: Sha256| LedgerEntry {
            key,
            sha256,
            source: self.source.clone(),
            version: self.version.clone(),
        };
        let package = self.package.clone();
        let Some(architecture) = self.architecture.clone() else {
            let mut claims = vec![entry(LedgerKey::Source { package, version }, self.sha256)];
            for file in self.files.iter().filter(|file| file.digest.sha256 != self.sha256) {
                if let Ok(name) = FileName::new(file.path.file_name()) {
                    claims.push(entry(LedgerKey::File { name }, file.digest.sha256));
                }
            }
            return claims;
        };
        let key = LedgerKey::Binary {
            package,
            version,
            architecture,
        };
        vec![entry(key, self.sha256)]
    }

    /// It and its version, for people.
    #[must_use]
    pub fn title(&self) -> String {
        let architecture = self.architecture.as_ref().map_or("source", Architecture::as_str);
        format!("{} {} {architecture}", self.package, self.version)
    }
}

/// Room for the file lists of packages that are read together; of more than fit they are read again from the pool.
#[derive(Debug, Default)]
pub(super) struct ListRoom(AtomicUsize);

impl ListRoom {
    /// In bytes.
    const MOST: usize = 64 << 20;

    /// The same packages, with as many of their lists as there is room for.
    pub(super) fn take(&self, mut packages: Vec<Included>) -> Vec<Included> {
        for package in &mut packages {
            package.list = package.list.take().filter(|list| {
                let room = list.room();
                room.saturating_add(self.0.fetch_add(room, Ordering::Relaxed)) <= Self::MOST
            });
        }
        packages
    }
}

/// Where packages go.
#[derive(Debug, Clone, Copy)]
pub struct Destination<'a> {
    /// What the site says of the archive.
    pub config: &'a UnprovenArchive,
    /// The suite.
    pub suite: &'a SuiteName,
    /// The component; absent: that of debug symbols for such, the one that the package's `Section` names, or the archive's
    /// first.
    pub component: Option<&'a Component>,
}

impl Destination<'_> {
    fn component(&self, control: &Paragraph) -> Result<Component, String> {
        let section = control.get("Section").and_then(|section| section.split_once('/'));
        let named = section.and_then(|(first, _)| self.config.components.iter().find(|c| c.as_str() == first));
        let debug = self
            .config
            .dbgsym_component
            .as_ref()
            .filter(|_| is_debug_symbols(|name| control.get(name)));
        let component = self.component.or(debug).or(named).or(self.config.components.first());
        component
            .cloned()
            .ok_or_else(|| "the archive has no component".to_owned())
    }
}

/// Reads a .deb, .udeb, .dsc or .changes with all that it names.
///
/// # Errors
/// When a file is missing, malformed, or another than the .dsc or .changes says.
pub fn read_packages(path: &Path, into: Destination<'_>) -> Result<Vec<Included>, IncludeError> {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("dsc") => Ok(vec![read_source(path, None, into)?]),
        Some("changes") => read_changes(path, into),
        Some(extension) if PACKAGES.contains(&extension) => Ok(vec![read_package(path, None, into)?]),
        _ => Err(malformed(
            path,
            "its name ends neither with .deb, .udeb, .dsc nor with .changes",
        )),
    }
}

/// The same of several, on all cores, each by itself and in their order. `done` hears of each.
pub fn read_all(
    paths: &[PathBuf],
    into: Destination<'_>,
    done: impl Fn() + Sync,
) -> Vec<Result<Vec<Included>, IncludeError>> {
    let room = ListRoom::default();
    in_batches(paths, |path| {
        let read = read_packages(path, into).map(|packages| room.take(packages));
        done();
        read
    })
}

/// What is made of each, on all cores. This thread copies what stays: the others unpack packages, and what they keep would lie
/// scattered among what they free, and hold several times its size. It copies all of a batch before it lets go of any: an
/// allocator that was just given their memory back would put the next copy into it.
pub(super) fn in_batches<I: Sync, T: Clone + Send, E: Send>(
    items: &[I],
    make: impl Fn(&I) -> Result<T, E> + Sync,
) -> Vec<Result<T, E>> {
    const AT_ONCE: usize = 512;
    let mut all = Vec::with_capacity(items.len());
    for batch in items.chunks(AT_ONCE) {
        let made: Vec<Result<T, E>> = batch.par_iter().map(&make).collect();
        let copies: Vec<Option<T>> = made.iter().map(|made| made.as_ref().ok().cloned()).collect();
        for (made, copy) in made.into_iter().zip(copies) {
            all.push(match (made, copy) {
                (Err(error), _) => Err(error),
                (Ok(made), copy) => Ok(copy.unwrap_or(made)),
            });
        }
    }
    all
}

/// Every file below a folder that [`read_packages`] takes alone, sorted: a plain folder of packages.
///
/// # Errors
/// When a folder cannot be read, or folders are nested too deep.
pub fn find_packages(folder: &Path) -> Result<Vec<PathBuf>, IncludeError> {
    const DEEPEST: usize = 16;
    let (mut found, mut todo) = (Vec::new(), vec![(folder.to_owned(), 0)]);
    while let Some((folder, depth)) = todo.pop() {
        if depth == DEEPEST {
            return Err(malformed(&folder, "folders are nested deeper than any repository's"));
        }
        for path in files::list(&folder)? {
            let extension = path
                .extension()
                .and_then(|extension| extension.to_str())
                .unwrap_or_default();
            if files::is_folder(&path) {
                todo.push((path, depth + 1));
            } else if extension == "dsc" || PACKAGES.contains(&extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Reads a binary package; its bytes must be those that somebody said. What it holds is read where an index is to speak of it.
pub(super) fn read_package(
    path: &Path,
    said: Option<&Digest>,
    into: Destination<'_>,
) -> Result<Included, IncludeError> {
    let wrong = |why: &dyn std::fmt::Display| malformed(path, why);
    let (limits, file) = (DebLimits::default(), files::open(path)?);
    let config = into.config;
    let read = match (config.contents, config.extract_changelogs) {
        (false, false) => read_deb_head(file, &limits).map(|head| (head, None)),
        (contents, _) => read_deb(file, &limits).map(|deb| {
            let list = contents.then(|| FileList::of(&deb));
            (DebHead::from(deb), list)
        }),
    };
    let (deb, list) = read.map_err(|error| match said {
        // A package that was changed may be no package any more.
        Some(said) => check(path, said).err().unwrap_or_else(|| wrong(&error)),
        None => wrong(&error),
    })?;
    if let Some(said) = said.filter(|said| **said != deb.digest) {
        return Err(other(path, said, &deb.digest));
    }
    let (source, _) = deb.source().map_err(|error| wrong(&error))?;
    let component = into.component(&deb.control).map_err(|why| wrong(&why))?;
    let extension = path
        .extension()
        .and_then(|extension| extension.to_str())
        .unwrap_or("deb");
    let (package, version, architecture) = (deb.package, deb.version, deb.architecture);
    let name = format!("{package}_{}_{architecture}.{extension}", version.without_epoch());
    let in_pool = |name: String| PoolPath::in_pool(&component, &source, &FileName::new(name)?);
    let pool = in_pool(name).map_err(|error: DomainError| wrong(&error))?;
    let stanza = binary_stanza(&deb.control, &pool, &deb.digest).map_err(|error| wrong(&error))?;
    Ok(Included {
        suite: into.suite.clone(),
        package,
        version,
        architecture: Some(architecture),
        source,
        sha256: deb.digest.sha256,
        stanza,
        files: vec![IncludedFile {
            path: pool,
            digest: deb.digest,
            from: path.to_owned(),
        }],
        list,
        component,
    })
}

/// Reads a .dsc and hashes what it names, beside it. Its signature is nobody's vote and is not looked at.
pub(super) fn read_source(path: &Path, said: Option<&Digest>, into: Destination<'_>) -> Result<Included, IncludeError> {
    let wrong = |why: &dyn std::fmt::Display| malformed(path, why);
    let bytes = files::read(path, LARGEST_DSC)?;
    let digest = Digest::of(&bytes);
    if let Some(said) = said.filter(|said| **said != digest) {
        return Err(other(path, said, &digest));
    }
    let text = unframed_text(&bytes).map_err(|error| wrong(&error))?;
    let dsc = Dsc::parse(&text).map_err(|error| wrong(&error))?;
    let component = into.component(&dsc.paragraph).map_err(|why| wrong(&why))?;
    let place = |name: &FileName| PoolPath::in_pool(&component, &dsc.source, name).map_err(|error| wrong(&error));
    let own = format!("{}_{}.dsc", dsc.source, dsc.version.without_epoch());
    let own = FileName::new(own).map_err(|error| wrong(&error))?;
    let pool = place(&own)?;
    let folder = pool.as_str().rsplit_once('/').map_or("", |(folder, _)| folder);
    let folder = PoolPath::new(folder).map_err(|error| wrong(&error))?;
    let stanza = source_stanza(&dsc.paragraph, &own, &bytes, &folder).map_err(|error| wrong(&error))?;
    let mut all = vec![IncludedFile {
        path: pool,
        digest,
        from: path.to_owned(),
    }];
    let beside = path.parent().unwrap_or(Path::new("."));
    for (name, digest) in &dsc.files {
        let from = beside.join(name.as_str());
        check(&from, digest)?;
        all.push(IncludedFile {
            path: place(name)?,
            digest: *digest,
            from,
        });
    }
    Ok(Included {
        suite: into.suite.clone(),
        package: dsc.source.clone(),
        version: dsc.version,
        architecture: None,
        source: dsc.source,
        sha256: digest.sha256,
        stanza,
        files: all,
        list: None,
        component,
    })
}

fn read_changes(path: &Path, into: Destination<'_>) -> Result<Vec<Included>, IncludeError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let name = FileName::new(name).map_err(|error| malformed(path, &error))?;
    let upload = Upload::read(folder, &name)?;
    upload.check()?;
    let mut packages = Vec::new();
    for (name, digest) in upload.files() {
        let path = folder.join(name.as_str());
        if name.as_str().ends_with(".dsc") {
            packages.push(read_source(&path, Some(digest), into)?);
        }
    }
    for (name, digest) in upload.packages() {
        packages.push(read_package(&folder.join(name.as_str()), Some(digest), into)?);
    }
    Ok(packages)
}

/// A file has the bytes that somebody said.
fn check(path: &Path, said: &Digest) -> Result<(), IncludeError> {
    if !files::exists(path) {
        return Err(IncludeError::Missing(path.to_owned()));
    }
    // The name is for the error of a disk that fails.
    let key = Key::new("file")?;
    let found = hash_stream(
        &key,
        std::io::Read::take(files::open(path)?, said.size.saturating_add(1)),
    )?;
    if found == *said {
        Ok(())
    } else {
        Err(other(path, said, &found))
    }
}

fn other(path: &Path, said: &Digest, found: &Digest) -> IncludeError {
    IncludeError::Other {
        path: path.to_owned(),
        said: *said,
        found: *found,
    }
}

pub(super) fn malformed(path: &Path, why: &(impl std::fmt::Display + ?Sized)) -> IncludeError {
    IncludeError::Malformed {
        path: path.to_owned(),
        why: why.to_string(),
    }
}

/// What of several packages cannot be together, or cannot be in the archive at all.
pub(super) fn check_together(config: &UnprovenArchive, packages: &[Included]) -> Vec<IncludeError> {
    let suites: BTreeSet<&SuiteName> = config.suites.iter().map(|suite| &suite.name).collect();
    let mut problems = BTreeSet::new();
    for package in packages {
        let outside = |what: &'static str, value: &str| (what, value.to_owned());
        if !suites.contains(&package.suite) {
            problems.insert(outside("suite", package.suite.as_str()));
        }
        if !config.components.contains(&package.component) {
            problems.insert(outside("component", package.component.as_str()));
        }
        if let Some(of) = package.architecture.as_ref().filter(|of| !of.is_all())
            && !config.architectures.contains(of)
        {
            problems.insert(outside("architecture", of.as_str()));
        }
    }
    problems
        .into_iter()
        .map(|(what, value)| IncludeError::Outside { what, value })
        .collect()
}
