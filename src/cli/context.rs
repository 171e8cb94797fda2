//! What every verb needs: the site, the clock, the store, how to print.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::args::Arguments;
use super::failure::{Failure, UsageError};
use super::output::{Output, say};
use crate::collect::{self, Work, Working};
use crate::domain::{ArchiveName, Timestamp};
use crate::host::{Clock, Environment, Progress};
use crate::publish::{self, Signers};
use crate::site::{ArchiveConfig, Site};
use crate::store::{Store, StoreError, open_store, open_store_to_read};

/// How long writers wait for garbage collection.
const PATIENCE: Duration = Duration::from_secs(900);

/// The state of one run.
#[derive(Debug, Clone)]
pub(super) struct Context {
    site: Option<PathBuf>,
    store: Option<String>,
    pub(super) clock: Clock,
    pub(super) environment: Environment,
    pub(super) output: Output,
    pub(super) progress: Progress,
    /// Whether more than the usual is said.
    pub(super) verbose: bool,
}

impl Context {
    pub(super) fn new(arguments: &Arguments) -> Result<Self, Failure> {
        let environment = Environment;
        let clock = Clock::from_environment(environment)?;
        // With `-q` and `--json`, too: what follows is of no such day.
        if let Clock::Fixed(at) = clock {
            say(&format!("for a test, now is {at} (ASSAY_TEST_CLOCK)"));
        }
        let shown = !arguments.quiet && !arguments.json;
        Ok(Self {
            site: arguments.site.clone(),
            store: arguments.store.clone(),
            clock,
            environment,
            verbose: arguments.verbose > 0,
            output: Output {
                json: arguments.json,
                quiet: arguments.quiet,
                aside: false,
            },
            progress: if shown {
                Progress::on_terminal()
            } else {
                Progress::hidden()
            },
        })
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The same, in the site that `--site` names, or else the nearest from a folder upwards.
    pub(super) fn in_site(&self, folder: &Path) -> Result<Self, Failure> {
        let site = match &self.site {
            Some(site) => site.clone(),
            None => Site::find(folder)?.root().to_owned(),
        };
        Ok(Self {
            site: Some(site),
            ..self.clone()
        })
    }

    /// The same, with records on standard error: what this verb prints is another's input.
    pub(super) fn aside(&self) -> Self {
        let output = Output {
            aside: true,
            ..self.output
        };
        Self { output, ..self.clone() }
    }

    /// The site that `--site` or the current folder names.
    pub(super) fn site(&self) -> Result<Site, Failure> {
        match &self.site {
            Some(folder) => Ok(Site::load(folder)?),
            None => Ok(Site::find(&self.environment.current_folder()?)?),
        }
    }

    /// Says in the store that a verb writes to an archive, as long as the value lives: garbage collection
    /// waits for its end, and it waits for the end of garbage collection.
    pub(super) fn writing(
        &self,
        store: &Arc<dyn Store>,
        archive: &ArchiveName,
        verb: &str,
    ) -> Result<Working, Failure> {
        self.working(store, archive, Work::Writing, verb, PATIENCE)
    }

    /// The same for any kind of work, waiting for at most this long.
    pub(super) fn working(
        &self,
        store: &Arc<dyn Store>,
        archive: &ArchiveName,
        work: Work,
        verb: &str,
        patience: Duration,
    ) -> Result<Working, Failure> {
        let mut told = String::new();
        let mut waiting = |other: &str| {
            if other != told {
                self.output
                    .note(&format!("waiting for {other}, which works on {archive}"));
                other.clone_into(&mut told);
            }
        };
        Ok(collect::work(store, archive, work, verb, patience, &mut waiting)?)
    }

    /// All keys that sign for an archive, when they are here and may.
    pub(super) fn signers(&self, site: &Site, archive: &ArchiveName) -> Result<Signers, Failure> {
        let signers = Signers::of(site, archive, self.now())?;
        for ending in publish::ending_keys(site, archive, self.now())? {
            self.output.note(&ending);
        }
        Ok(signers)
    }

    fn store_url<'a>(&'a self, site: &'a Site) -> &'a str {
        self.store.as_deref().unwrap_or(&site.config().store)
    }

    /// The site's store.
    pub(super) fn store(&self, site: &Site) -> Result<Arc<dyn Store>, Failure> {
        Ok(open_store(self.store_url(site), site.root(), self.environment)?)
    }

    /// The same for a verb that only looks: a store that is not there is not made.
    pub(super) fn store_to_read(&self, site: &Site) -> Result<Arc<dyn Store>, Failure> {
        Ok(open_store_to_read(self.store_url(site), site.root(), self.environment)?)
    }

    /// The same for a verb that has an answer for an empty store: the site's that is not made yet is empty, one that
    /// was named and is not there is a mistake.
    pub(super) fn store_if_any(&self, site: &Site) -> Result<Arc<dyn Store>, Failure> {
        match open_store_to_read(self.store_url(site), site.root(), self.environment) {
            Err(StoreError::Absent(_)) if self.store.is_none() => {
                Ok(open_store("memory:", site.root(), self.environment)?)
            }
            other => Ok(other?),
        }
    }
}

/// The archives that were named, or all that `wanted` takes.
pub(super) fn named_or_all(
    site: &Site,
    named: &[ArchiveName],
    wanted: fn(&ArchiveConfig) -> bool,
) -> Result<Vec<ArchiveName>, Failure> {
    if named.is_empty() {
        let all = site.archives().iter().filter(|(_, archive)| wanted(archive));
        return Ok(all.map(|(name, _)| name.clone()).collect());
    }
    for name in named {
        site.archive(name)?;
    }
    Ok(named.to_vec())
}

/// The custom archive that was named, or the only one.
pub(super) fn custom_archive(site: &Site, named: Option<&ArchiveName>) -> Result<ArchiveName, Failure> {
    if let Some(name) = named {
        site.custom(name)?;
        return Ok(name.clone());
    }
    let mut custom = site
        .archives()
        .iter()
        .filter(|(_, a)| matches!(a, ArchiveConfig::Custom(_)))
        .map(|(name, _)| name);
    match (custom.next(), custom.next()) {
        (Some(only), None) => Ok(only.clone()),
        (None, _) => Err(UsageError::Argument("the site has no custom archive".into()).into()),
        _ => Err(UsageError::Argument("the site has several custom archives: name one with `--archive`".into()).into()),
    }
}

/// 32 random hexadecimal digits: tells a writer its own record from another's.
pub(super) fn nonce() -> String {
    use rand::RngCore as _;
    let mut bytes = [0; 16];
    rand::rngs::OsRng.fill_bytes(&mut bytes);
    hex::encode(bytes)
}
