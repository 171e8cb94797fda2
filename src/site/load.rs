//! Finding and loading a site, with errors that point at the line.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use serde::de::DeserializeOwned;

use super::{
    ArchiveConfig, ArchiveKind, BranchPolicy, CustomArchive, MirrorArchive, Policy, PoolMode, SiteConfig,
    UnprovenArchive, branches, spelling::Spelled,
};
use crate::domain::{ArchiveName, Coded, DomainError, Fingerprint, Kind, PackageName, PolicyName, SuiteName};
use crate::host::{HostError, files};

/// The largest configuration file that is read, in bytes.
const LARGEST: u64 = 1 << 20;
const MARKER: &str = "assay.toml";
const LOCK: &str = "assay.lock";
const CHECKPOINT: &str = "assay.checkpoint";

/// A loaded site: everything that people wrote, checked against itself.
#[derive(Debug, Clone)]
pub struct Site {
    root: PathBuf,
    config: SiteConfig,
    archives: BTreeMap<ArchiveName, ArchiveConfig>,
}

impl Site {
    /// Loads the site in `start` or the nearest folder above it that has an `assay.toml`.
    ///
    /// # Errors
    /// When there is none, or its files are not what they should be.
    pub fn find(start: &Path) -> Result<Self, SiteError> {
        let start = files::absolute(start)?;
        match start.ancestors().find(|folder| files::exists(&folder.join(MARKER))) {
            Some(root) => Self::load(root),
            None => Err(SiteError::NoSite(start)),
        }
    }

    /// Loads the site in `root`.
    ///
    /// # Errors
    /// When its files are not what they should be.
    pub fn load(root: &Path) -> Result<Self, SiteError> {
        let root = files::absolute(root)?;
        refuse_links(&root)?;
        let config: SiteConfig = read_toml(&root.join(MARKER))?;
        let mut archives = BTreeMap::new();
        for path in files::list(&root.join("repos"))? {
            if path.extension().is_some_and(|e| e == "toml") {
                let name = stem(&path)
                    .and_then(ArchiveName::new)
                    .map_err(|source| SiteError::Name {
                        path: path.clone(),
                        source,
                    })?;
                let mut archive = read_archive(&path)?;
                archive.say_where_changelogs_are(&name, &config.public_url);
                archives.insert(name, archive);
            }
        }
        let site = Self { root, config, archives };
        site.refuse_linked_keyrings()?;
        site.check()?;
        Ok(site)
    }

    /// The folder of the site.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// `assay.toml`.
    #[must_use]
    pub fn config(&self) -> &SiteConfig {
        &self.config
    }

    /// Every archive, by name.
    #[must_use]
    pub fn archives(&self) -> &BTreeMap<ArchiveName, ArchiveConfig> {
        &self.archives
    }

    /// The archives that are mirrors.
    #[must_use]
    pub fn mirrors(&self) -> BTreeSet<ArchiveName> {
        let mirrors = self.archives.iter();
        let mirrors = mirrors.filter(|(_, archive)| matches!(archive, ArchiveConfig::Mirror(_)));
        mirrors.map(|(name, _)| name.clone()).collect()
    }

    /// One archive.
    ///
    /// # Errors
    /// When the site has no such archive.
    pub fn archive(&self, name: &ArchiveName) -> Result<&ArchiveConfig, SiteError> {
        self.archives.get(name).ok_or_else(|| SiteError::NoArchive {
            name: name.clone(),
            known: self
                .archives
                .keys()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(", "),
        })
    }

    /// One mirror.
    ///
    /// # Errors
    /// When the site has no such archive, or it is not a mirror.
    pub fn mirror(&self, name: &ArchiveName) -> Result<&MirrorArchive, SiteError> {
        match self.archive(name)? {
            ArchiveConfig::Mirror(mirror) => Ok(mirror),
            other => Err(wrong_kind(name, other, ArchiveKind::Mirror)),
        }
    }

    /// One custom archive.
    ///
    /// # Errors
    /// When the site has no such archive, or it is not a custom one.
    pub fn custom(&self, name: &ArchiveName) -> Result<&CustomArchive, SiteError> {
        match self.archive(name)? {
            ArchiveConfig::Custom(custom) => Ok(custom),
            other => Err(wrong_kind(name, other, ArchiveKind::Custom)),
        }
    }

    /// One unproven archive.
    ///
    /// # Errors
    /// When the site has no such archive, or it is not an unproven one.
    pub fn unproven(&self, name: &ArchiveName) -> Result<&UnprovenArchive, SiteError> {
        match self.archive(name)? {
            ArchiveConfig::Unproven(unproven) => Ok(unproven),
            other => Err(wrong_kind(name, other, ArchiveKind::Unproven)),
        }
    }

    /// A policy, read anew.
    ///
    /// # Errors
    /// When it is absent or malformed, or names somebody in two spellings.
    pub fn policy(&self, name: &PolicyName) -> Result<Policy, SiteError> {
        let path = self.root.join("policies").join(format!("{name}.toml"));
        let policy = read_toml(&path)?;
        read_toml::<Spelled>(&path)?;
        Ok(policy)
    }

    /// Which snapshots a checkout may be built from: `policies/branches.toml`, or the shipped default.
    ///
    /// # Errors
    /// When the file is there and malformed.
    pub fn branch_policy(&self) -> Result<BranchPolicy, SiteError> {
        let path = self.root.join("policies").join("branches.toml");
        if files::exists(&path) {
            return read_toml(&path);
        }
        parse_toml(&path, branches::DEFAULT)
    }

    /// The file that declares a source package.
    #[must_use]
    pub fn declaration_path(&self, archive: &ArchiveName, source: &PackageName) -> PathBuf {
        self.root
            .join("repos")
            .join(archive.as_str())
            .join(format!("{source}.toml"))
    }

    /// The file that locks a source package's build environment.
    #[must_use]
    pub fn lock_path(&self, archive: &ArchiveName, source: &PackageName) -> PathBuf {
        self.root
            .join("repos")
            .join(archive.as_str())
            .join(format!("{source}.lock"))
    }

    /// The checkpoint that is kept with the site: what its store had.
    #[must_use]
    pub fn checkpoint_file(&self) -> PathBuf {
        self.root.join(CHECKPOINT)
    }

    /// The file that `assay lock` writes.
    #[must_use]
    pub fn lock_file(&self) -> PathBuf {
        self.root.join(LOCK)
    }

    /// The source packages that an archive's folder declares, by name.
    ///
    /// # Errors
    /// When the folder cannot be read or has a file with a bad name.
    pub fn declared(&self, archive: &ArchiveName) -> Result<Vec<PackageName>, SiteError> {
        let paths = files::list(&self.root.join("repos").join(archive.as_str()))?;
        let declarations = paths
            .iter()
            .filter(|path| path.extension().is_some_and(|e| e == "toml"));
        declarations
            .map(|path| {
                stem(path).and_then(PackageName::new).map_err(|source| SiteError::Name {
                    path: path.clone(),
                    source,
                })
            })
            .collect()
    }

    /// Every environment lock of an archive, whether its source is still declared or not.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn locks(&self, archive: &ArchiveName) -> Result<Vec<PathBuf>, SiteError> {
        let mut paths = files::list(&self.root.join("repos").join(archive.as_str()))?;
        paths.retain(|path| path.extension().is_some_and(|e| e == "lock"));
        Ok(paths)
    }

    /// The folder for chroots and build trees.
    #[must_use]
    pub fn cache(&self) -> PathBuf {
        self.root.join(&self.config.cache)
    }

    /// The folder of secret keys.
    #[must_use]
    pub fn secret_keys(&self) -> PathBuf {
        self.root.join(&self.config.keys)
    }

    /// The folder of public keys.
    #[must_use]
    pub fn public_keys(&self) -> PathBuf {
        self.root.join("policies").join("keys")
    }

    /// A mirror's keyring file.
    #[must_use]
    pub fn keyring(&self, mirror: &MirrorArchive) -> PathBuf {
        self.root.join(&mirror.keyring)
    }

    /// A keyring in the site's tree is a file of its commit. One elsewhere is the machine's, which may have a link.
    fn refuse_linked_keyrings(&self) -> Result<(), SiteError> {
        let inside = |path: &Path| path.components().all(|part| matches!(part, Component::Normal(_)));
        for archive in self.archives.values() {
            if let ArchiveConfig::Mirror(mirror) = archive
                && inside(&mirror.keyring)
                && let Ok(led) = files::absolute(&self.keyring(mirror))
                && led != self.keyring(mirror)
            {
                return Err(SiteError::Link(mirror.keyring.clone()));
            }
        }
        Ok(())
    }

    /// What no single file can say about itself.
    fn check(&self) -> Result<(), SiteError> {
        let refuse = |name: &ArchiveName, why: String| {
            Err(SiteError::Inconsistent {
                archive: name.clone(),
                why,
            })
        };
        let upstream = |origin: &str| {
            self.archives
                .values()
                .any(|a| matches!(a, ArchiveConfig::Mirror(m) if m.origin.eq_ignore_ascii_case(origin)))
        };
        if let Some(root) = &self.config.root {
            self.archive(root).map_err(|error| SiteError::Toml {
                path: self.root.join(MARKER),
                why: format!("`root`: {error}"),
            })?;
        }
        for (name, archive) in &self.archives {
            check_keys(archive).or_else(|why| refuse(name, why))?;
            match archive {
                ArchiveConfig::Mirror(mirror) => {
                    if mirror.signers.is_empty() || mirror.threshold == 0 {
                        return refuse(
                            name,
                            "`signers` and `threshold` must not be empty: nothing would be verified".into(),
                        );
                    }
                    if mirror.pool == PoolMode::Closure && mirror.select.is_none() {
                        return refuse(
                            name,
                            "`pool = \"closure\"` needs a `[select]`: the closure of what?".into(),
                        );
                    }
                    let follows_sources = mirror.select.as_ref().is_some_and(|select| select.build_dependencies);
                    if mirror.pool == PoolMode::Closure && follows_sources && !mirror.sources {
                        return refuse(
                            name,
                            "`build-dependencies` in `[select]` needs `sources = true`: what packages are built with only Sources say"
                                .into(),
                        );
                    }
                    if mirror.signers.len() < mirror.threshold as usize {
                        return refuse(name, "`threshold` is larger than the number of `signers`".into());
                    }
                    if mirror.flat.is_some() && (mirror.suites.len() != 1 || mirror.components.len() != 1) {
                        return refuse(
                            name,
                            "a flat repository is one suite with one component: name one of each".into(),
                        );
                    }
                    if let Some(suite) = mirror.suites.iter().find(|suite| suite.has_serial()) {
                        let why = format!(
                            "a part of the suite `{suite}` is like a serial, below which snapshots are kept: to mirror a snapshot of \
                             another Assay, end `uri` with the serial, and name the suite without it"
                        );
                        return refuse(name, why);
                    }
                    if let Some((outer, inner)) = nested(&mirror.suites) {
                        let why = format!(
                            "`suites` has `{outer}` and `{inner}`, whose files would lie among those of `{outer}`: make two archives of \
                             them, each with a file of its own in `repos/`"
                        );
                        return refuse(name, why);
                    }
                    if mirror.suites.is_empty() || mirror.components.is_empty() || mirror.architectures.is_empty() {
                        return refuse(
                            name,
                            "`suites`, `components` and `architectures` must not be empty".into(),
                        );
                    }
                }
                ArchiveConfig::Custom(custom) => {
                    // A9: pins by Origin are how clients tell archives apart.
                    if upstream(&custom.origin) || upstream(&custom.label) {
                        return refuse(
                            name,
                            format!("`origin` and `label` may not be an upstream's (`{}`)", custom.origin),
                        );
                    }
                    if let Err(why) = custom.check_shape().and_then(|()| custom.check_suites()) {
                        return refuse(name, why);
                    }
                    for policy in custom.policies() {
                        self.check_imports(&self.policy(policy)?)
                            .or_else(|why| refuse(name, format!("its policy `{policy}` {why}")))?;
                    }
                    for class in custom.branches.iter().flat_map(|branches| &branches.classes) {
                        if class.of_tags() && self.policy(&class.policy)?.quorum < 2 {
                            let why = format!(
                                "the class `{}` is of tags, and its policy `{}` has a quorum of 1: releases need two operators at least",
                                class.name, class.policy
                            );
                            return refuse(name, why);
                        }
                    }
                    for source in &custom.environment {
                        let archive = match self.archive(&source.archive) {
                            Ok(archive) => archive,
                            Err(error) => return refuse(name, format!("`[[environment]]`: {error}")),
                        };
                        if let ArchiveConfig::Unproven(_) = archive {
                            let why = format!(
                                "`environment` names `{}`, which is unproven: nothing is built with it",
                                source.archive
                            );
                            return refuse(name, why);
                        }
                    }
                }
                ArchiveConfig::Unproven(unproven) => {
                    if upstream(&unproven.origin) || upstream(&unproven.label) {
                        return refuse(
                            name,
                            format!("`origin` and `label` may not be an upstream's (`{}`)", unproven.origin),
                        );
                    }
                    self.check_unproven(unproven).or_else(|why| refuse(name, why))?;
                }
            }
        }
        Ok(())
    }
}

fn wrong_kind(name: &ArchiveName, found: &ArchiveConfig, wanted: ArchiveKind) -> SiteError {
    SiteError::WrongKind {
        name: name.clone(),
        kind: found.kind().as_str(),
        wanted: wanted.as_str(),
    }
}

/// Each key has one part to play.
fn check_keys(archive: &ArchiveConfig) -> Result<(), String> {
    let (keys, signing) = (archive.signing_keys(), archive.signing());
    let mut known = BTreeSet::new();
    for key in keys.iter().chain(&signing.former_keys) {
        if !known.insert(key) {
            let why = "is there twice among `signing-key`, `further-keys` and `former-keys`: it signs, or it did";
            return Err(format!("the key `{key}` {why}"));
        }
        if key.as_str().contains(':') {
            return Err(format!("`{key}` is no OpenPGP key, which alone signs Release files"));
        }
    }
    Ok(())
}

/// Two suites, of which one has the other's name as its first part.
pub(super) fn nested(suites: &[SuiteName]) -> Option<(&SuiteName, &SuiteName)> {
    let is_inside = |outer: &SuiteName, inner: &SuiteName| {
        let rest = inner.as_str().strip_prefix(outer.as_str());
        rest.is_some_and(|rest| rest.starts_with('/'))
    };
    suites.iter().find_map(|outer| {
        let inner = suites.iter().find(|inner| is_inside(outer, inner))?;
        Some((outer, inner))
    })
}

/// What of a site people write and Git keeps. The root of trust is what its commit has, and of a link that is only where
/// it leads: whoever can write there would have a say, and another clone of the site another policy.
fn refuse_links(root: &Path) -> Result<(), SiteError> {
    for place in [MARKER, LOCK, CHECKPOINT, "repos", "policies"] {
        match files::first_link(&root.join(place))? {
            None => {}
            Some(link) => return Err(SiteError::Link(link.strip_prefix(root).unwrap_or(&link).to_owned())),
        }
    }
    Ok(())
}

/// Reads `repos/<archive>.toml`, as the kind that it says it is.
fn read_archive(path: &Path) -> Result<ArchiveConfig, SiteError> {
    #[derive(serde::Deserialize)]
    struct Head {
        kind: ArchiveKind,
    }
    Ok(match read_toml::<Head>(path)?.kind {
        ArchiveKind::Mirror => ArchiveConfig::Mirror(read_toml(path)?),
        ArchiveKind::Custom => ArchiveConfig::Custom(read_toml(path)?),
        ArchiveKind::Unproven => ArchiveConfig::Unproven(read_toml(path)?),
    })
}

/// Reads a TOML file that people write.
pub(super) fn read_toml<T: DeserializeOwned>(path: &Path) -> Result<T, SiteError> {
    let bytes = files::read(path, LARGEST)?;
    let text = String::from_utf8(bytes).map_err(|error| malformed(path, error))?;
    parse_toml(path, &text)
}

fn parse_toml<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, SiteError> {
    toml::from_str(text).map_err(|error| malformed(path, error))
}

fn malformed(path: &Path, why: impl ToString) -> SiteError {
    SiteError::Toml {
        path: path.to_owned(),
        why: why.to_string(),
    }
}

fn stem(path: &Path) -> Result<&str, DomainError> {
    path.file_stem()
        .and_then(|s| s.to_str())
        .ok_or_else(|| DomainError::new("file name", &path.to_string_lossy(), "it is not UTF-8"))
}

/// What is wrong with a site.
#[derive(Debug, thiserror::Error)]
pub enum SiteError {
    /// No `assay.toml` here or above.
    #[error("no `{MARKER}` in `{}` or any folder above it", .0.display())]
    NoSite(PathBuf),
    /// A file could not be read.
    #[error(transparent)]
    Host(#[from] HostError),
    /// A file is not the TOML that it should be.
    #[error("`{}`: {why}", path.display())]
    Toml {
        /// The file.
        path: PathBuf,
        /// Where and why.
        why: String,
    },
    /// A file's name is not that of an archive or package.
    #[error("`{}`: {source}", path.display())]
    Name {
        /// The file.
        path: PathBuf,
        /// Why.
        source: DomainError,
    },
    /// An archive that the site does not have.
    #[error("the site has no archive `{name}`; it has: {known}")]
    NoArchive {
        /// The archive.
        name: ArchiveName,
        /// Those it has.
        known: String,
    },
    /// An archive of the other kind.
    #[error("the archive `{name}` is {kind}, but this needs a {wanted} one")]
    WrongKind {
        /// The archive.
        name: ArchiveName,
        /// What it is.
        kind: &'static str,
        /// What is needed.
        wanted: &'static str,
    },
    /// Two files contradict each other, or one would switch a check off.
    #[error("`repos/{archive}.toml`: {why}")]
    Inconsistent {
        /// The archive.
        archive: ArchiveName,
        /// What is wrong.
        why: String,
    },
    /// A symbolic link among the files that Git keeps, relative to the site.
    #[error("`{}` is a symbolic link: what it leads to is not in the site's commit", .0.display())]
    Link(PathBuf),
    /// A keyring file is malformed, or lacks a key that the mirror demands.
    #[error("the keyring `{}`: {why}", path.display())]
    Keyring {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A key file is not that of the key it is named after.
    #[error("`{}` is not the key {fingerprint}: {why}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// The key that it should hold.
        fingerprint: Fingerprint,
        /// What is wrong.
        why: String,
    },
}

impl Coded for SiteError {
    fn code(&self) -> &'static str {
        match self {
            Self::NoSite(_) => "E-SITE-001",
            Self::Host(error) => error.code(),
            Self::Toml { .. } => "E-SITE-002",
            Self::Name { .. } => "E-SITE-003",
            Self::NoArchive { .. } => "E-SITE-004",
            Self::WrongKind { .. } => "E-SITE-005",
            Self::Inconsistent { .. } => "E-SITE-006",
            Self::Key { .. } => "E-SITE-007",
            Self::Keyring { .. } => "E-SITE-008",
            Self::Link(_) => "E-SITE-009",
        }
    }
    fn kind(&self) -> Kind {
        match self {
            Self::Host(error) => error.kind(),
            _ => Kind::Usage,
        }
    }
    fn hint(&self) -> Option<String> {
        match self {
            Self::NoSite(_) => Some("make a site with `assay init DIR`, or name one with `--site DIR`".into()),
            Self::Host(error) => error.hint(),
            Self::Link(_) => Some("put the file itself in place of the link, and commit it".into()),
            Self::NoArchive { .. } => Some(
                "name one of these, or write its file in the site's `repos/`; `assay status` says more of each".into(),
            ),
            _ => None,
        }
    }
}
