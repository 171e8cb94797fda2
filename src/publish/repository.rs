//! A repository that another tool published, read from disk to be brought over: each index by the hash that its Release gives,
//! each file by the hash that its index gives.
//!
//! `dists/` and `pool/` are what reprepro, aptly and all others publish, so no database of theirs is read. Symbolic links are
//! followed: the repository is the operator's own, and only its hashes are believed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::domain::{Architecture, Component, Digest, RelPath, SuiteName, Timestamp};
use crate::format::compress::{Compression, decompress};
use crate::format::deb822::Stanzas;
use crate::format::packages::{Binary, Source, is_source};
use crate::format::release::Release;
use crate::host::{Bar, files};
use crate::site::UnprovenArchive;
use crate::trust::{Keyring, Requirement, unverified_text, verify_inrelease, verify_release_gpg};

use super::included::{Included, ListRoom, in_batches, malformed, read_package, read_source};
use super::{Destination, IncludeError};

/// The largest Release, signature, index (plain) and configuration that are read, in bytes.
const LARGEST_RELEASE: u64 = 64 << 20;
const LARGEST_INDEX: u64 = 2 << 30;
const LARGEST_CONFIG: u64 = 1 << 20;
/// How deep a suite may lie below `dists/`, or `dists/` below what aptly publishes.
const DEEPEST: usize = 5;
/// The forms of an index that are read, quickest first.
const FORMS: [&str; 4] = ["", ".zst", ".gz", ".xz"];

/// Whose repository it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Any tool's: a folder with `dists/`.
    Folder(PathBuf),
    /// reprepro's base folder, with `conf/`.
    Reprepro(PathBuf),
    /// aptly's root folder, with `public/`.
    Aptly(PathBuf),
}

/// Where it is published, and what it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// The folder of `dists/` and `pool/`.
    pub base: PathBuf,
    /// Its suites: the folders below `dists/` that have a Release file.
    pub suites: Vec<SuiteName>,
    /// What is left out, and why.
    pub notes: Vec<String>,
}

impl Repository {
    /// Finds what is published.
    ///
    /// # Errors
    /// When nothing is, or it is not to be told what.
    pub fn find(origin: &Origin) -> Result<Self, IncludeError> {
        let repository = match origin {
            Origin::Folder(base) => Self::published(base.clone())?,
            Origin::Reprepro(base) => reprepro(base)?,
            Origin::Aptly(root) => Self::published(aptly(root)?)?,
        };
        if repository.suites.is_empty() {
            return Err(no_repository(
                &repository.base,
                "below its `dists/` is no folder with a Release file",
            ));
        }
        Ok(repository)
    }

    fn published(base: PathBuf) -> Result<Self, IncludeError> {
        let dists = base.join("dists");
        if !files::is_folder(&dists) {
            return Err(no_repository(&base, "it has no `dists/`"));
        }
        let (mut suites, mut notes) = (Vec::new(), Vec::new());
        let mut todo: Vec<(String, usize)> = names(&dists)?.into_iter().map(|name| (name, 1)).collect();
        while let Some((name, depth)) = todo.pop() {
            let folder = dists.join(&name);
            if !files::is_folder(&folder) || depth > DEEPEST {
                continue;
            }
            if files::first_link(&folder).ok().flatten().as_ref() == Some(&folder) {
                notes.push(format!(
                    "`dists/{name}` is a symbolic link, another name of a suite: left out"
                ));
            } else if ["InRelease", "Release"]
                .iter()
                .any(|file| files::exists(&folder.join(file)))
            {
                suites.push(SuiteName::new(&name).map_err(|error| no_repository(&folder, &error.to_string()))?);
            } else {
                todo.extend(
                    names(&folder)?
                        .into_iter()
                        .map(|below| (format!("{name}/{below}"), depth + 1)),
                );
            }
        }
        suites.sort();
        Ok(Self { base, suites, notes })
    }

    /// Reads all of it. What is wrong is named, each thing once; then nothing of it may be taken.
    ///
    /// `keyring`: whose signatures count, at this instant; absent: hashes are all that is checked.
    ///
    /// # Errors
    /// Only what keeps it from being read at all: everything else is among the problems.
    pub fn read(
        &self,
        config: &UnprovenArchive,
        keyring: Option<(&Keyring, Timestamp)>,
        bar: &Bar,
    ) -> Result<(Vec<Included>, Vec<IncludeError>), IncludeError> {
        let (mut wanted, mut problems) = (BTreeMap::new(), Vec::new());
        for suite in &self.suites {
            match self.listed(suite, keyring) {
                Ok((listed, wrong)) => {
                    wanted.extend(listed);
                    problems.extend(wrong);
                }
                Err(problem) => problems.push(problem),
            }
        }
        bar.extend(wanted.len() as u64);
        let wanted: Vec<(Place, Listed)> = wanted.into_iter().collect();
        let room = ListRoom::default();
        let read = in_batches(&wanted, |(place, listed)| {
            let package = self.package(config, place, listed);
            bar.advance(1);
            package.map(|package| room.take(vec![package]))
        });
        let mut packages = Vec::new();
        for one in read {
            match one {
                Ok(package) => packages.extend(package),
                Err(problem) => problems.push(problem),
            }
        }
        Ok((packages, problems))
    }

    fn package(&self, config: &UnprovenArchive, place: &Place, listed: &Listed) -> Result<Included, IncludeError> {
        let into = Destination {
            config,
            suite: &place.suite,
            component: Some(&place.component),
        };
        let path = self.base.join(&place.path);
        if !files::exists(&path) {
            return Err(IncludeError::Missing(path));
        }
        let package = match listed.architecture {
            Some(_) => read_package(&path, Some(&listed.digest), into)?,
            None => read_source(&path, Some(&listed.digest), into)?,
        };
        // A stanza that says something else than its file would have been believed by clients.
        if package.title() != listed.title {
            let why = format!("it is {}, and is listed as {}", package.title(), listed.title);
            return Err(malformed(&path, &why));
        }
        Ok(package)
    }

    /// Everything that a suite lists.
    fn listed(
        &self,
        suite: &SuiteName,
        keyring: Option<(&Keyring, Timestamp)>,
    ) -> Result<(BTreeMap<Place, Listed>, Vec<IncludeError>), IncludeError> {
        let folder = self.base.join("dists").join(suite.as_str());
        let text = release_text(&folder, keyring)?;
        let path = folder.join("Release");
        let release = Release::parse(&text).map_err(|error| malformed(&path, &error))?;
        let (mut wanted, mut problems) = (BTreeMap::new(), Vec::new());
        for component in words::<Component>(&release, "Components", &path)? {
            let mut indexes = vec![format!("{component}/source/Sources")];
            for architecture in words::<Architecture>(&release, "Architectures", &path)? {
                indexes.push(format!("{component}/binary-{architecture}/Packages"));
                indexes.push(format!("{component}/debian-installer/binary-{architecture}/Packages"));
            }
            for index in indexes {
                let read = index_text(&folder, &release, &index).and_then(|text| match text {
                    Some(text) => stanzas(&folder.join(&index), &text),
                    None => Ok(Vec::new()),
                });
                match read {
                    Ok(listed) => wanted.extend(listed.into_iter().map(|(path, listed)| {
                        let place = Place {
                            suite: suite.clone(),
                            component: component.clone(),
                            path,
                        };
                        (place, listed)
                    })),
                    Err(problem) => problems.push(problem),
                }
            }
        }
        Ok((wanted, problems))
    }
}

/// Where a file is listed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    suite: SuiteName,
    component: Component,
    /// Relative to the base.
    path: String,
}

/// What an index says of a .deb or .dsc.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Listed {
    title: String,
    architecture: Option<Architecture>,
    digest: Digest,
}

/// What is listed, by path below the base.
fn stanzas(index: &Path, text: &[u8]) -> Result<Vec<(String, Listed)>, IncludeError> {
    let wrong = |error: &dyn std::fmt::Display| malformed(index, error);
    let mut found = Vec::new();
    for stanza in Stanzas::new(text) {
        let stanza = stanza.map_err(|error| wrong(&error))?;
        if is_source(&stanza) {
            let source = Source::from_stanza(&stanza).map_err(|error| wrong(&error))?;
            let mut dscs = source.files.iter().filter(|(name, _)| name.as_str().ends_with(".dsc"));
            let (name, digest) = dscs
                .next()
                .ok_or_else(|| wrong(&format!("`{}` has no .dsc", source.package)))?;
            let listed = Listed {
                title: format!("{} {} source", source.package, source.version),
                architecture: None,
                digest: *digest,
            };
            found.push((source.path_of(name), listed));
        } else {
            let binary = Binary::from_stanza(&stanza).map_err(|error| wrong(&error))?;
            let listed = Listed {
                title: format!("{} {} {}", binary.package, binary.version, binary.architecture),
                architecture: Some(binary.architecture),
                digest: binary.digest,
            };
            found.push((binary.filename.to_string(), listed));
        }
    }
    Ok(found)
}

/// The text of a Release, of the form that is signed.
fn release_text(folder: &Path, keyring: Option<(&Keyring, Timestamp)>) -> Result<Vec<u8>, IncludeError> {
    let [clearsigned, plain, detached] = ["InRelease", "Release", "Release.gpg"].map(|name| folder.join(name));
    let requirement = keyring.map(|(keyring, now)| Requirement {
        keyring,
        threshold: 1,
        now,
    });
    let unsigned = |path: &Path, why: &dyn std::fmt::Display| IncludeError::Unsigned {
        path: path.to_owned(),
        why: why.to_string(),
    };
    if files::exists(&clearsigned) {
        let bytes = files::read(&clearsigned, LARGEST_RELEASE)?;
        return match &requirement {
            Some(requirement) => match verify_inrelease(&bytes, requirement) {
                Ok(verified) => Ok(verified.text),
                Err(error) => Err(unsigned(&clearsigned, &error)),
            },
            None => unverified_text(&bytes).map_err(|error| malformed(&clearsigned, &error)),
        };
    }
    let text = files::read(&plain, LARGEST_RELEASE)?;
    if let Some(requirement) = &requirement {
        if !files::exists(&detached) {
            return Err(unsigned(&plain, &"it has neither InRelease nor Release.gpg"));
        }
        let signature = files::read(&detached, LARGEST_CONFIG)?;
        verify_release_gpg(&text, &signature, requirement, false).map_err(|error| unsigned(&plain, &error))?;
    }
    Ok(text)
}

/// An index in whichever of its forms is there, by the hash that Release gives; none when Release lists none.
fn index_text(folder: &Path, release: &Release, index: &str) -> Result<Option<Vec<u8>>, IncludeError> {
    let mut listed = false;
    for form in FORMS {
        let name = format!("{index}{form}");
        let Some(entry) = RelPath::new(&name).ok().and_then(|path| release.entries().get(&path)) else {
            continue;
        };
        listed = true;
        let path = folder.join(&name);
        if !files::exists(&path) {
            continue;
        }
        let bytes = files::read(&path, LARGEST_INDEX)?;
        let found = Digest::of(&bytes);
        if found != entry.digest {
            return Err(IncludeError::Other {
                path,
                said: entry.digest,
                found,
            });
        }
        let plain = decompress(Compression::of_name(&name), &bytes, LARGEST_INDEX);
        return plain.map(Some).map_err(|error| malformed(&path, &error));
    }
    match listed {
        true => Err(IncludeError::Missing(folder.join(index))),
        false => Ok(None),
    }
}

fn words<T: std::str::FromStr<Err = crate::domain::DomainError>>(
    release: &Release,
    field: &str,
    path: &Path,
) -> Result<Vec<T>, IncludeError> {
    let words = release.words(field).filter(|word| *word != "source");
    words
        .map(|word| word.parse().map_err(|error| malformed(path, &error)))
        .collect()
}

/// The names in a folder.
fn names(folder: &Path) -> Result<Vec<String>, IncludeError> {
    let paths = files::list(folder)?;
    let name = |path: &PathBuf| path.file_name()?.to_str().map(str::to_owned);
    Ok(paths.iter().filter_map(name).collect())
}

fn no_repository(path: &Path, why: &str) -> IncludeError {
    IncludeError::Repository {
        path: path.to_owned(),
        why: why.to_owned(),
    }
}

/// reprepro's: its `conf/distributions` names the suites, its `conf/options` where they are published.
fn reprepro(base: &Path) -> Result<Repository, IncludeError> {
    let conf = base.join("conf").join("distributions");
    if !files::exists(&conf) || files::is_folder(&conf) {
        return Err(no_repository(
            base,
            "it has no file `conf/distributions`; `--from-dir` reads what is published",
        ));
    }
    let text = without_comments(&files::read(&conf, LARGEST_CONFIG)?);
    let mut suites = BTreeSet::new();
    for stanza in Stanzas::new(&text) {
        let stanza = stanza.map_err(|error| malformed(&conf, &error))?;
        let codename = stanza
            .require("conf/distributions", "Codename")
            .map_err(|error| malformed(&conf, &error))?;
        suites.insert(SuiteName::new(codename).map_err(|error| malformed(&conf, &error))?);
    }
    let mut repository = Repository::published(outdir(base)?)?;
    // Those of others are theirs; a suite that reprepro never exported has nothing.
    let published: BTreeSet<SuiteName> = repository.suites.iter().cloned().collect();
    for suite in suites.difference(&published) {
        repository.notes.push(format!(
            "`{suite}` is in conf/distributions and not published: left out"
        ));
    }
    for suite in published.difference(&suites) {
        repository
            .notes
            .push(format!("`dists/{suite}` is not in conf/distributions: left out"));
    }
    repository.suites.retain(|suite| suites.contains(suite));
    Ok(repository)
}

/// `outdir` of `conf/options`, in which `+b` stands for the base; by default the base itself.
fn outdir(base: &Path) -> Result<PathBuf, IncludeError> {
    let options = base.join("conf").join("options");
    if !files::exists(&options) {
        return Ok(base.to_owned());
    }
    let text = files::read(&options, LARGEST_CONFIG)?;
    let text = String::from_utf8_lossy(&text);
    let option = |name: &str| {
        let words = text.lines().filter_map(|line| line.trim().split_once([' ', '\t']));
        words
            .filter(|(word, _)| *word == name)
            .map(|(_, value)| value.trim().to_owned())
            .next_back()
    };
    if let Some(other) = option("distdir") {
        let why = format!("its `distdir` is {other}; `--from-dir` reads a folder with `dists/` and `pool/`");
        return Err(no_repository(base, &why));
    }
    Ok(match option("outdir") {
        None => base.to_owned(),
        Some(folder) => match folder.strip_prefix("+b") {
            Some(below) => base.join(below.trim_start_matches('/')),
            None => base.join(folder),
        },
    })
}

fn without_comments(text: &[u8]) -> Vec<u8> {
    let lines = text.split_inclusive(|byte| *byte == b'\n');
    lines
        .filter(|line| !line.starts_with(b"#"))
        .flatten()
        .copied()
        .collect()
}

/// The one folder below aptly's `public/` that has `dists/`.
fn aptly(root: &Path) -> Result<PathBuf, IncludeError> {
    let public = root.join("public");
    if !files::is_folder(&public) {
        return Err(no_repository(root, "it has no `public/`: `aptly publish` makes it"));
    }
    let (mut found, mut todo) = (Vec::new(), vec![(public, 0)]);
    while let Some((folder, depth)) = todo.pop() {
        if files::is_folder(&folder.join("dists")) {
            found.push(folder.clone());
        }
        if depth < DEEPEST {
            let below = files::list(&folder)?.into_iter();
            let prefix = |path: &PathBuf| {
                let name = path.file_name().unwrap_or_default();
                files::is_folder(path) && name != "dists" && name != "pool"
            };
            todo.extend(below.filter(prefix).map(|path| (path, depth + 1)));
        }
    }
    found.sort();
    match found.as_slice() {
        [only] => Ok(only.clone()),
        [] => Err(no_repository(
            root,
            "nothing is published below `public/`: run `aptly publish`",
        )),
        several => {
            let each: Vec<String> = several.iter().map(|path| path.display().to_string()).collect();
            let why = format!(
                "several are published: bring each over with `--from-dir`: {}",
                each.join(", ")
            );
            Err(no_repository(root, &why))
        }
    }
}
