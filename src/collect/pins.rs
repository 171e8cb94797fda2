//! Who needs which snapshots: locks of the site, locks and serial files of Git repositories, and what listed packages
//! were built in.

use std::collections::{BTreeMap, BTreeSet};

use super::CollectError;
use crate::domain::{ArchiveName, Serial};
use crate::environment::Lock;
use crate::format::json;
use crate::format::site_lock::{self, SiteLock};
use crate::host::files;
use crate::publish::{self, DECISIONS, read_decisions};
use crate::site::{ArchiveConfig, Site};
use crate::snapshot::{Chain, EditionName, Marks, Pins, SuiteState, TagRecord};
use crate::source::Declaration;
use crate::source::checkout::branch_serials;
use crate::store::Store;

/// The largest lock that is read, in bytes.
const LARGEST: u64 = 4 << 20;

/// Who needs what.
#[derive(Debug, Clone, Default)]
pub struct Pinned {
    /// By archive.
    archives: BTreeMap<ArchiveName, Pins>,
    /// What on branches is malformed, so that nobody knows what it pins.
    unreadable: Vec<Unreadable>,
}

/// A file on a branch of a Git repository that should pin snapshots, and cannot be read.
#[derive(Debug, Clone)]
struct Unreadable {
    /// Of which archive it is; none of a lock, which may be of any.
    archive: Option<ArchiveName>,
    /// Which repository, branch and file, and what is wrong there.
    what: String,
}

impl Pinned {
    /// Who needs which snapshots of an archive, as far as that can be read.
    #[must_use]
    pub fn of(&self, archive: &ArchiveName) -> Pins {
        self.archives.get(archive).cloned().unwrap_or_default()
    }

    /// Who needs which snapshots of an archive.
    ///
    /// # Errors
    /// `Unreadable` when there is a file that may need some, and cannot be read.
    pub fn all_of(&self, archive: &ArchiveName) -> Result<Pins, CollectError> {
        let unreadable = self.unreadable_of(archive);
        if unreadable.is_empty() {
            return Ok(self.of(archive));
        }
        Err(CollectError::Unreadable {
            archive: archive.clone(),
            files: unreadable.join("; "),
        })
    }

    /// What may need snapshots of an archive and cannot be read: repository, branch, file and line, and what is wrong.
    #[must_use]
    pub fn unreadable_of(&self, archive: &ArchiveName) -> Vec<&str> {
        let concerns = |file: &&Unreadable| file.archive.as_ref().is_none_or(|of| of == archive);
        let files = self.unreadable.iter().filter(concerns);
        files.map(|file| file.what.as_str()).collect()
    }

    /// Pins what the packages were built in that a custom archive still lists under any name: without these snapshots
    /// nobody could recheck that (rules E1 to E3), wherever their locks are in the site by now.
    ///
    /// # Errors
    /// When a record, a decision or a lock cannot be read: what it pins is not known then.
    pub fn built_in(&mut self, store: &dyn Store, archive: &ArchiveName) -> Result<(), CollectError> {
        let failed = |error| CollectError::Built(Box::new(error));
        let chain = Chain::load(store, archive)?;
        let marks = Marks::load(store, archive)?;
        let (mut seen, mut decisions) = (BTreeSet::new(), BTreeSet::new());
        let mut list = |suites: &[SuiteState]| {
            for state in suites {
                let digest = state.indexes.iter().find(|index| index.path.as_str() == DECISIONS);
                if digest.is_some_and(|index| seen.insert((state.suite.clone(), index.digest.sha256))) {
                    let listed = read_decisions(store, archive, state).map_err(failed)?;
                    decisions.extend(listed.into_values().map(|(_, decision)| decision));
                }
            }
            Ok::<_, CollectError>(())
        };
        for record in chain.records(store) {
            let record = record?;
            if marks.gone(&EditionName::Serial(record.serial.clone())).is_none() {
                list(&record.suites)?;
            }
        }
        for tag in TagRecord::all(store, archive)? {
            if marks.gone(&EditionName::Tag(tag.tag.clone())).is_none() {
                list(&tag.suites)?;
            }
        }
        let why = format!("packages that {archive} lists were built in it");
        for locked in publish::built_in(store, archive, &decisions).map_err(failed)? {
            self.pin(locked.archive, locked.serial, &why);
        }
        Ok(())
    }

    fn pin(&mut self, archive: ArchiveName, serial: Serial, why: &str) {
        let pins = self.archives.entry(archive).or_default();
        pins.entry(serial).or_default().insert(why.to_owned());
    }

    fn lock(&mut self, lock: Lock, why: &str) {
        for locked in lock.snapshots {
            self.pin(locked.archive, locked.serial, why);
        }
    }

    fn site_lock(&mut self, lock: SiteLock, why: &str) {
        for (archive, state) in lock.archives {
            self.pin(archive, state.serial, why);
        }
    }
}

/// Reads everything that pins snapshots of a site and its store. Repositories are fetched into the site's cache.
///
/// # Errors
/// When a lock, a repository, or what a custom archive lists cannot be read: what it pins is not known then.
pub fn pinned(site: &Site, store: &dyn Store) -> Result<Pinned, CollectError> {
    let mut pinned = Pinned::default();
    for (archive, config) in site.archives() {
        if let ArchiveConfig::Custom(_) = config {
            pinned.built_in(store, archive)?;
        }
    }
    for archive in site.archives().keys() {
        for path in site.locks(archive)? {
            let lock: Lock = json::strict("environment lock", &files::read(&path, LARGEST)?).map_err(|source| {
                CollectError::Lock {
                    path: path.clone(),
                    source,
                }
            })?;
            let name = path.strip_prefix(site.root()).unwrap_or(&path).display().to_string();
            pinned.lock(lock, &format!("locked by {name}"));
        }
    }
    for archive in site.archives().keys() {
        for source in site.declared(archive)? {
            let declared = Declaration::load(&site.declaration_path(archive, &source));
            let declared = declared.map_err(|source| CollectError::Declaration(Box::new(source)))?;
            if let Some(base) = declared.base {
                pinned.pin(
                    base.archive,
                    base.serial,
                    &format!("{source} of {archive} is a change of its {source}"),
                );
            }
        }
    }
    let path = site.lock_file();
    if files::exists(&path) {
        let bytes = files::read(&path, site_lock::LARGEST)?;
        let lock = SiteLock::parse(&bytes).map_err(|source| CollectError::Lock { path, source })?;
        pinned.site_lock(lock, "locked by assay.lock");
    }
    for repository in &site.config().serials {
        let folder = site.root().join(repository);
        let address = if files::is_folder(&folder) {
            folder.display().to_string()
        } else {
            repository.clone()
        };
        let failed = |source| CollectError::Serials {
            repository: repository.clone(),
            source: Box::new(source),
        };
        let found = branch_serials(&address, &site.cache().join("serials")).map_err(failed)?;
        for pin in found.pins {
            let pins = pinned.archives.entry(pin.archive).or_default();
            let why = format!("named by {repository}, branch {}, {}", pin.branch, pin.file);
            pins.entry(pin.serial).or_default().insert(why);
        }
        for (branch, file, bytes) in found.locks {
            let why = format!("locked by {repository}, branch {branch}, {file}");
            let read = if file == "assay.lock" {
                SiteLock::parse(&bytes).map(|lock| pinned.site_lock(lock, &why))
            } else {
                json::strict("environment lock", &bytes).map(|lock| pinned.lock(lock, &why))
            };
            if let Err(error) = read {
                pinned.unreadable.push(Unreadable {
                    archive: None,
                    what: format!("{repository}: branch {branch}: `{file}`: {error}"),
                });
            }
        }
        let malformed = found.malformed.into_iter();
        pinned.unreadable.extend(malformed.map(|(archive, why)| Unreadable {
            archive: Some(archive),
            what: format!("{repository}: {why}"),
        }));
    }
    Ok(pinned)
}
