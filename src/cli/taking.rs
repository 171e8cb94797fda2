//! What a mirror takes of its upstream: which packages, and which of their files at once.

use super::context::Context;
use super::failure::Failure;
use crate::domain::ArchiveName;
use crate::format::packages::PoolFile;
use crate::publish;
use crate::site::{MirrorArchive, PoolMode};
use crate::snapshot::{Record, SuiteState};
use crate::store::Store;
use crate::upstream::{self, Client};

/// One mirror, being followed.
pub(super) struct Taking<'a> {
    pub(super) context: &'a Context,
    pub(super) store: &'a dyn Store,
    pub(super) client: &'a Client,
    pub(super) archive: &'a ArchiveName,
    pub(super) config: &'a MirrorArchive,
}

impl Taking<'_> {
    /// What the site selects of an upstream's suites. What it names in vain is said where the site allows it.
    pub(super) fn selected(&self, suites: Vec<SuiteState>) -> Result<Vec<SuiteState>, Failure> {
        let Some(select) = &self.config.select else {
            return Ok(suites);
        };
        let filtered = publish::filter(self.store, self.archive, select, self.follows(), suites)?;
        let chosen = &filtered.chosen;
        for name in &chosen.absent {
            self.note(&format!("upstream has no {name}"));
        }
        for need in chosen.unmet.iter().chain(&chosen.unmet_recommends) {
            self.note(&format!("nothing satisfies {need}"));
        }
        self.note(&format!("{} packages selected", chosen.len()));
        Ok(filtered.suites)
    }

    /// Whether a snapshot was made with the selection that the site has now.
    pub(super) fn is_selection_of(&self, record: &Record) -> Result<bool, Failure> {
        let select = self.config.select.as_ref();
        let wanted = select.map(|select| publish::selection_digest(select, self.follows()));
        let wanted = wanted.transpose()?;
        let made = |state: &SuiteState| state.upstream.as_ref().and_then(|upstream| upstream.selection);
        Ok(record.suites.iter().all(|state| made(state) == wanted))
    }

    /// Fetches what is to be in the store before a snapshot names it, which says whether that is all. Of an upstream that
    /// lists little more than the newest snapshot, which had all that it names within a day, only the rest is looked for.
    pub(super) fn fill(
        &self,
        suites: &mut [SuiteState],
        more: Option<(&Record, Vec<PoolFile>)>,
    ) -> Result<(), Failure> {
        self.fetch(suites, more)?;
        for upstream in suites.iter_mut().filter_map(|state| state.upstream.as_mut()) {
            upstream.filled = self.is_filled();
        }
        Ok(())
    }

    fn fetch(&self, suites: &[SuiteState], more: Option<(&Record, Vec<PoolFile>)>) -> Result<(), Failure> {
        let (store, archive) = (self.store, self.archive);
        if let Some((latest, added)) = more
            && self.config.pool == PoolMode::Full
            && self.config.select.is_none()
            && self.is_selection_of(latest)?
            && let Some(looked) = upstream::last_filled(store, archive, &latest.suites, self.context.now())?
        {
            let added = (added, looked);
            upstream::fill_added(self.client, store, archive, suites, added, &self.context.progress)?;
            return Ok(());
        }
        self.fetched(suites).map(drop)
    }

    /// Fetches what the pool lacks of a snapshot: files from before the site asked for them, and files
    /// that were lost. Once it had all, that is looked at again the next day.
    pub(super) fn catch_up(&self, record: &Record) -> Result<(), Failure> {
        if upstream::was_filled(self.store, self.archive, &record.suites, self.context.now())? {
            return Ok(());
        }
        match self.fetched(&record.suites)? {
            0 => {}
            count => self.note(&format!("fetched {count} files that the pool lacked")),
        }
        Ok(())
    }

    fn fetched(&self, suites: &[SuiteState]) -> Result<usize, Failure> {
        if !self.is_filled() {
            return Ok(0);
        }
        let progress = &self.context.progress;
        Ok(upstream::fill_pool(
            self.client,
            self.store,
            self.archive,
            suites,
            progress,
        )?)
    }

    fn is_filled(&self) -> bool {
        matches!(self.config.pool, PoolMode::Full | PoolMode::Closure)
    }

    fn follows(&self) -> bool {
        self.config.pool == PoolMode::Closure
    }

    fn note(&self, text: &str) {
        let note = format!("{}: {text}", self.archive);
        self.context.progress.around(|| self.context.output.note(&note));
    }
}
