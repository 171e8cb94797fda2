//! Following an upstream: every suite verified, every index fetched and checked, or nothing.

use std::io;

use super::inspect::{inspect, split};
use super::judge::{Signed, in_release, judge};
use super::pull::{bug, in_parallel, is_there, outcome};
use super::{Client, Expect, Plan, Planned, UpstreamError};
use crate::domain::{ArchiveName, Digest, SuiteName, Timestamp};
use crate::format::release::Release;
use crate::host::{Bar, Progress};
use crate::site::MirrorArchive;
use crate::snapshot::{IndexFile, Record, SuiteState, index_key, upstream_inrelease_key};
use crate::store::{Key, Store, StoreError};
use crate::trust::{Keyring, Requirement, verify_inrelease};

/// The largest InRelease, in bytes. Debian's is 150 kB.
const LARGEST_INRELEASE: u64 = 1 << 20;

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
    Changed(Vec<SuiteState>),
}

/// Follows an upstream: fetches what each suite's InRelease names, verified, into the store. An
/// upstream that is updated meanwhile is followed once more from its start.
///
/// # Errors
/// The first thing that is wrong. What was put into the store before is named by nothing.
pub fn follow(
    what: &Follow<'_>,
    store: &dyn Store,
    now: Timestamp,
    progress: &Progress,
) -> Result<Followed, UpstreamError> {
    let heads = what.heads(now, progress)?;
    match what.take(&heads, store, progress) {
        Err(error) if error.is_moving() => {
            let again = what.heads(now, progress)?;
            if again.iter().map(Head::digest).eq(heads.iter().map(Head::digest)) {
                return Err(error);
            }
            what.take(&again, store, progress)
        }
        done => done,
    }
}

/// What a suite's InRelease says, verified.
struct Head {
    bytes: Vec<u8>,
    by_hash: bool,
    state: SuiteState,
    plan: Plan,
}

impl Head {
    fn digest(&self) -> Digest {
        Digest::of(&self.bytes)
    }
}

/// One index to have in the store.
struct Wanted<'a> {
    suite: &'a SuiteName,
    by_hash: bool,
    file: &'a Planned,
    key: Key,
}

impl Follow<'_> {
    fn heads(&self, now: Timestamp, progress: &Progress) -> Result<Vec<Head>, UpstreamError> {
        let bar = progress.items("releases", self.config.suites.len() as u64);
        let mut suites: Vec<&SuiteName> = self.config.suites.iter().collect();
        suites.sort();
        suites.dedup();
        let head = |suite: &SuiteName| {
            let head = self.head(suite, now);
            bar.advance(1);
            head
        };
        let heads = suites.into_iter().map(head).collect();
        bar.finish();
        heads
    }

    fn head(&self, suite: &SuiteName, now: Timestamp) -> Result<Head, UpstreamError> {
        let path = format!("dists/{suite}/InRelease");
        let bytes = self.client.get(&path, Expect::AtMost(LARGEST_INRELEASE))?;
        let requirement = Requirement {
            keyring: self.keyring,
            threshold: self.config.threshold,
            now,
        };
        let refused = |source| UpstreamError::Signature {
            suite: suite.clone(),
            source: Box::new(source),
        };
        let verified = verify_inrelease(&bytes, &requirement).map_err(refused)?;
        let release = Release::parse(&verified.text).map_err(in_release(suite))?;
        let signed = Signed {
            suite,
            inrelease: Digest::of(&bytes),
            release: &release,
            signers: verified.signers.into_iter().map(|signer| signer.primary).collect(),
        };
        let (state, plan) = judge(self, self.before(suite), &signed, now)?;
        let by_hash = release.field("Acquire-By-Hash") == Some("yes");
        Ok(Head {
            bytes,
            by_hash,
            state,
            plan,
        })
    }

    fn before(&self, suite: &SuiteName) -> Option<&SuiteState> {
        self.previous?.suites.iter().find(|state| state.suite == *suite)
    }

    fn take(&self, heads: &[Head], store: &dyn Store, progress: &Progress) -> Result<Followed, UpstreamError> {
        let same = |head: &Head| {
            self.before(&head.state.suite)
                .is_some_and(|before| is_same(before, &head.state))
        };
        let count = self.previous.map_or(0, |record| record.suites.len());
        if count == heads.len() && heads.iter().all(same) {
            return Ok(Followed::Unchanged);
        }
        self.fetch(heads, store, progress)?;
        for head in heads {
            let digest = head.digest();
            let key = upstream_inrelease_key(self.archive, &head.state.suite, &digest);
            store.put_stream(&key, &digest, &mut head.bytes.as_slice())?;
        }
        let state = |head: &Head| match self.before(&head.state.suite) {
            Some(before) if is_same(before, &head.state) => before.clone(),
            _ => head.state.clone(),
        };
        Ok(Followed::Changed(heads.iter().map(state).collect()))
    }

    fn fetch(&self, heads: &[Head], store: &dyn Store, progress: &Progress) -> Result<(), UpstreamError> {
        let mut wanted = Vec::new();
        for head in heads {
            let fetched = head.plan.files.iter().filter(|file| file.fetched);
            wanted.extend(fetched.map(|file| self.wanted(head, file)));
        }
        // The largest first, so that no single one is left for the end.
        wanted.sort_by_key(|index| std::cmp::Reverse(index.file.listed.digest.size));
        let total = heads
            .iter()
            .fold(0u64, |sum, head| sum.saturating_add(head.plan.size()));
        let bar = progress.bytes("indexes", total);
        let done = in_parallel(self.client.connections(), &wanted, |index| {
            self.fetch_index(index, store, &bar)
        });
        bar.finish();
        done
    }

    fn wanted<'a>(&self, head: &'a Head, file: &'a Planned) -> Wanted<'a> {
        let index = IndexFile {
            path: file.path.clone(),
            digest: file.listed.digest,
            kept: true,
        };
        Wanted {
            suite: &head.state.suite,
            by_hash: head.by_hash,
            file,
            key: index_key(self.archive, &head.state.suite, &index),
        }
    }

    fn fetch_index(&self, index: &Wanted<'_>, store: &dyn Store, bar: &Bar) -> Result<(), UpstreamError> {
        let digest = index.file.listed.digest;
        if is_there(store, &index.key, &digest)? {
            if !self.was_checked(index) {
                inspect(index.suite, index.file, store.open(&index.key)?)?;
            }
            bar.advance(digest.size);
            return Ok(());
        }
        let folder = format!("dists/{}/{}", index.suite, index.file.path.folder());
        let plain = format!("{folder}{}", index.file.path.file_name());
        if index.by_hash {
            let by_hash = format!("{folder}by-hash/SHA256/{}", digest.sha256);
            match self.fetch_from(&by_hash, index, store, bar) {
                Err(UpstreamError::NotFound { .. }) => {}
                done => return done,
            }
        }
        self.fetch_from(&plain, index, store, bar)
    }

    /// Whether the newest snapshot has it: then it passed every check before.
    fn was_checked(&self, index: &Wanted<'_>) -> bool {
        self.before(index.suite).is_some_and(|before| {
            let same = |known: &IndexFile| known.path == index.file.path && known.digest == index.file.listed.digest;
            before.indexes.iter().any(|known| known.kept && same(known))
        })
    }

    fn fetch_from(&self, path: &str, index: &Wanted<'_>, store: &dyn Store, bar: &Bar) -> Result<(), UpstreamError> {
        let digest = index.file.listed.digest;
        self.client.retrying(|| {
            let mut body = self.client.open(path, Expect::Exactly(digest.size))?;
            let (mut tee, follower) = split(Counted { reader: &mut body, bar });
            let (stored, inspected) = std::thread::scope(|scope| {
                let inspector = scope.spawn(|| inspect(index.suite, index.file, follower));
                let mut stored = store.put_stream(&index.key, &digest, &mut tee);
                if stored.is_ok() {
                    // Another run may have been faster, and the store did not read to the end.
                    let rest = io::copy(&mut tee, &mut io::sink());
                    stored = rest.map(|_| ()).map_err(|error| broken(&index.key, error));
                }
                drop(tee);
                (stored, inspector.join().unwrap_or_else(|_| Err(bug())))
            });
            // A stream that broke is what the inspector stumbles over, too: the cause comes first.
            outcome(stored, &mut body)?;
            inspected
        })
    }
}

fn broken(key: &Key, error: io::Error) -> StoreError {
    StoreError::Backend {
        act: "fill",
        key: key.to_string(),
        source: Box::new(error),
    }
}

/// Whether the newest snapshot has all of this, and nothing else, from the very same InRelease.
fn is_same(before: &SuiteState, found: &SuiteState) -> bool {
    let inrelease = |state: &SuiteState| state.upstream.as_ref().map(|upstream| upstream.inrelease);
    inrelease(before) == inrelease(found)
        && before.fields == found.fields
        && before.architectures == found.architectures
        && before.components == found.components
        && before.indexes == found.indexes
}

/// Shows what passes by.
struct Counted<'a, R> {
    reader: R,
    bar: &'a Bar,
}

impl<R: io::Read> io::Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.bar.advance(count as u64);
        Ok(count)
    }
}
