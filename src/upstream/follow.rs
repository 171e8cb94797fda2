//! Following an upstream: every suite verified, every index fetched and checked, or nothing.

use std::collections::BTreeSet;

use super::fetch::{Absent, Fetch, Wanted};
use super::head::{Head, LARGEST_RELEASE};
use super::listed::Reader;
use super::pull::each_in_parallel;
use super::same::Same;
use super::{Client, UpstreamError};
use crate::domain::{ArchiveName, Digest, SuiteName, Timestamp};
use crate::format::packages::PoolFile;
use crate::host::Progress;
use crate::site::MirrorArchive;
use crate::snapshot::{IndexFile, Record, SnapshotError, SuiteState, UpstreamRelease, upstream_files};
use crate::store::Store;
use crate::trust::{Keyring, unframed_text};

/// What to follow, and what is believed.
#[derive(Debug, Clone, Copy)]
pub struct Follow<'a> {
    /// The upstream.
    pub client: &'a Client,
    /// Our name for it.
    pub archive: &'a ArchiveName,
    /// What the site says of it.
    pub config: &'a MirrorArchive,
    /// The certificates that may sign: already restricted to `config.signers`.
    pub keyring: &'a Keyring,
    /// The newest snapshot.
    pub previous: Option<&'a Record>,
    /// Suites that the newest snapshot does not have and an earlier one had, as they were then: a suite
    /// that was let go and is followed again must not be older than it was.
    pub earlier: &'a [SuiteState],
    /// Takes a `Suite` or `Codename` other than the newest snapshot's, once: Debian renames `stable`
    /// to `oldstable` at a release. As apt's option of this name, it is for a person to give.
    pub allow_release_info_change: bool,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Followed {
    /// Every suite is what the newest snapshot has. It took one request for each suite.
    Unchanged,
    /// What the next snapshot consists of, sorted by name. Its indexes are in the store.
    Changed(Vec<SuiteState>, Added),
}

/// The pool files that an upstream lists and the newest snapshot does not, with these bytes; none when there is no
/// snapshot, or when they are too many to be named one by one.
pub type Added = Option<Vec<PoolFile>>;

/// Follows an upstream: fetches what each suite's Release names, verified, into the store. An
/// upstream that is updated meanwhile is followed once more from its start. What its Release names
/// and it does not have is left out, when that need not be there.
///
/// # Errors
/// The first thing that is wrong. What was put into the store before is named by nothing.
pub fn follow(
    what: &Follow<'_>,
    store: &dyn Store,
    now: Timestamp,
    progress: &Progress,
) -> Result<Followed, UpstreamError> {
    let heads = what.heads(store, now, progress)?;
    what.look_for_languages(&heads);
    let mut fetch = Fetch {
        follow: what,
        store,
        progress,
        settled: false,
    };
    match what.take(&heads, &fetch) {
        Err(error) if error.is_moving() => {
            let again = what.heads(store, now, progress)?;
            fetch.settled = again.iter().map(Head::digest).eq(heads.iter().map(Head::digest));
            if fetch.settled && matches!(error, UpstreamError::Uncompressed { .. }) {
                return Err(error);
            }
            what.take(&again, &fetch)
        }
        done => done,
    }
}

/// Where upstream has a file of a suite, below its base: `folder` is empty, or ends with a slash. A flat repository
/// has no folders.
pub(super) fn location(config: &MirrorArchive, suite: &SuiteName, folder: &str, name: &str) -> String {
    match &config.flat {
        Some(flat) => format!("{}{name}", flat.prefix()),
        None => format!("dists/{suite}/{folder}{name}"),
    }
}

impl Follow<'_> {
    fn heads(&self, store: &dyn Store, now: Timestamp, progress: &Progress) -> Result<Vec<Head>, UpstreamError> {
        let bar = progress.items(&format!("{} releases", self.archive), self.config.suites.len() as u64);
        let mut suites: Vec<&SuiteName> = self.config.suites.iter().collect();
        suites.sort();
        suites.dedup();
        let heads = each_in_parallel(self.client.connections(), &suites, |suite| {
            let head = Head::fetch(self, store, suite, now);
            bar.advance(1);
            head
        });
        bar.finish();
        heads
    }

    /// Says which languages the site asks for in vain. Few suites have all, and one that goes must keep no mirror from
    /// what is needed: so it is no error, as a component would be.
    fn look_for_languages(&self, heads: &[Head]) {
        let there: BTreeSet<&str> = heads.iter().flat_map(Head::languages).collect();
        let absent = self.config.languages.iter().map(String::as_str);
        // Asked for by all that say nothing else; and many archives have no translations at all.
        let by_default = |wanted: &str| there.is_empty() && wanted == "en";
        let absent: Vec<&str> = absent
            .filter(|wanted| !there.contains(wanted) && !by_default(wanted))
            .collect();
        if let [_, ..] = absent.as_slice() {
            let there: Vec<&str> = there.into_iter().collect();
            let (archive, absent) = (self.archive, absent.join(" "));
            let there = if there.is_empty() {
                "none".to_owned()
            } else {
                there.join(" ")
            };
            tracing::warn!("{archive}: upstream has no Translation for these `languages`: {absent}; it has: {there}");
        }
    }

    /// See [`location`].
    pub(super) fn location(&self, suite: &SuiteName, folder: &str, name: &str) -> String {
        location(self.config, suite, folder, name)
    }

    pub(super) fn before(&self, suite: &SuiteName) -> Option<&SuiteState> {
        self.previous?.suites.iter().find(|state| state.suite == *suite)
    }

    /// Holds a Release against the one that was accepted before: of one Date it says the same, and a flat repository
    /// calls itself as it did.
    fn held_against_before(&self, head: &Head, store: &dyn Store) -> Result<(), UpstreamError> {
        let suite = &head.state.suite;
        let earlier = || self.earlier.iter().find(|state| state.suite == *suite);
        let before = self.before(suite).or_else(earlier);
        let Some(accepted) = before.and_then(|state| state.upstream.as_ref()) else {
            return Ok(());
        };
        let text = || self.accepted_text(suite, accepted, store);
        head.is_no_other(accepted, text)?;
        if self.config.flat.is_some() && !self.allow_release_info_change && self.before(suite).is_some() {
            head.is_named_as(&text()?)?;
        }
        Ok(())
    }

    /// What upstream signed when it was accepted.
    fn accepted_text(
        &self,
        suite: &SuiteName,
        accepted: &UpstreamRelease,
        store: &dyn Store,
    ) -> Result<Vec<u8>, UpstreamError> {
        let files = upstream_files(self.archive, suite, accepted);
        let Some(file) = files.into_iter().next() else {
            return Err(UpstreamError::Bug);
        };
        let bytes = store.get(&file.key, LARGEST_RELEASE)?;
        let text = unframed_text(&bytes).ok().filter(|_| Digest::of(&bytes) == file.digest);
        text.ok_or_else(|| SnapshotError::Damaged { key: file.key }.into())
    }

    fn take(&self, heads: &[Head], fetch: &Fetch<'_>) -> Result<Followed, UpstreamError> {
        let same = |head: &Head| {
            self.before(&head.state.suite)
                .is_some_and(|before| head.is_what(before))
        };
        let count = self.previous.map_or(0, |record| record.suites.len());
        if count == heads.len() && heads.iter().all(same) {
            return Ok(Followed::Unchanged);
        }
        heads
            .iter()
            .try_for_each(|head| self.held_against_before(head, fetch.store))?;
        if self.config.follow_patches && self.config.flat.is_none() {
            let changed: Vec<&Head> = heads.iter().filter(|head| !same(head)).collect();
            fetch.patched(&changed);
        }
        let before = self.previous.map(|record| record.suites.as_slice());
        let reader = Reader {
            store: fetch.store,
            archive: self.archive,
            decoders: self.client.decoders(),
        };
        let planned: Vec<SuiteState> = heads.iter().map(|head| head.state.clone()).collect();
        let judge = Same::new(reader, before.unwrap_or_default(), &planned);
        // The newest snapshot's indexes are read meanwhile, and the new ones as they come.
        let absent = std::thread::scope(|scope| {
            scope.spawn(|| judge.read_known());
            fetch.indexes(wanted(heads), Some(&judge))
        })?;
        let mut states = Vec::new();
        for head in heads {
            match self.before(&head.state.suite) {
                Some(before) if head.is_what(before) => states.push(before.clone()),
                _ => states.push(self.state(head, &absent, fetch)?),
            }
        }
        // An upstream that names what it does not have is compared by what it has.
        let unchanged = before.is_some_and(|before| {
            before.len() == states.len() && before.iter().zip(&states).all(|(before, state)| is_same(before, state))
        });
        if unchanged {
            return Ok(Followed::Unchanged);
        }
        let added = judge.check(before.unwrap_or_default(), &states)?;
        Ok(Followed::Changed(states, added))
    }

    /// The next state of a suite, with all that it names in the store.
    fn state(&self, head: &Head, absent: &Absent, fetch: &Fetch<'_>) -> Result<SuiteState, UpstreamError> {
        let mut state = head.state.clone();
        state.indexes = there(head, absent)?;
        let lost = head.plan.files.iter().filter(|file| file.is_a_loss());
        let lost = lost.filter(|file| absent.contains(&(state.suite.clone(), file.path.clone())));
        let lost: Vec<_> = lost.map(|file| file.path.clone()).collect();
        if let Some(first) = lost.first() {
            let (suite, count) = (&state.suite, lost.len());
            tracing::warn!(
                %suite, count, %first,
                "upstream's Release lists files that upstream does not have: the snapshot is without them, and the next run looks \
                 for them again (`-v` names each)"
            );
        }
        if let Some(upstream) = &mut state.upstream {
            upstream.absent = lost;
        }
        fetch.chained(&mut state)?;
        let files = state
            .upstream
            .as_ref()
            .map(|signed| upstream_files(self.archive, &state.suite, signed));
        for (file, bytes) in files.unwrap_or_default().iter().zip(&head.files) {
            fetch.store.put_stream(&file.key, &file.digest, &mut bytes.as_slice())?;
        }
        Ok(state)
    }
}

fn wanted(heads: &[Head]) -> Vec<Wanted<'_>> {
    let of = |head| {
        let Head {
            state, plan, by_hash, ..
        }: &Head = head;
        let fetched = plan.files.iter().filter(|file| file.fetched);
        fetched.map(|file| Wanted {
            suite: &state.suite,
            by_hash: *by_hash,
            file,
        })
    };
    heads.iter().flat_map(of).collect()
}

/// The indexes of a suite but for what upstream does not have: an index is listed while one of its
/// forms is kept, and one that must be there has one.
fn there(head: &Head, absent: &Absent) -> Result<Vec<IndexFile>, UpstreamError> {
    let suite = &head.state.suite;
    let is_absent = |path: &crate::domain::RelPath| absent.contains(&(suite.clone(), path.clone()));
    let mut kept = Vec::new();
    for file in &head.plan.files {
        let forms = || {
            head.plan
                .files
                .iter()
                .filter(|other| other.fetched && other.is_form_of(file))
        };
        let is_there = forms().any(|form| !is_absent(&form.path));
        if file.needed && !is_there {
            let url = format!("dists/{suite}/{}", file.path);
            return Err(UpstreamError::NotFound { url, status: 404 });
        }
        if is_absent(&file.path) {
            tracing::info!(%suite, path = %file.path, "upstream's Release lists it, and upstream does not have it");
        } else if is_there {
            kept.push(file.index());
        }
    }
    Ok(kept)
}

/// Whether two states of a suite are made of the same, and from the very same Release.
pub(super) fn is_same(before: &SuiteState, found: &SuiteState) -> bool {
    let signed = |state: &SuiteState| {
        state
            .upstream
            .as_ref()
            .map(|upstream| (upstream.inrelease, upstream.release_gpg))
    };
    signed(before) == signed(found)
        && before.fields == found.fields
        && before.architectures == found.architectures
        && before.components == found.components
        && before.indexes == found.indexes
}
