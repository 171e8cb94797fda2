//! The head of a suite: its signed Release, in the form that upstream has.

use std::collections::BTreeSet;

use super::age::ageing;
use super::follow::is_same;
use super::judge::{Signed, in_release, judge, same_names};
use super::{Expect, Follow, Plan, UpstreamError};
use crate::domain::{Digest, RelPath, SuiteName, Timestamp};
use crate::format::release::Release;
use crate::snapshot::{SuiteState, UpstreamFile, UpstreamRelease, upstream_files};
use crate::store::Store;
use crate::trust::{Requirement, Signer, TrustError, unframed_text, verify_detached, verify_inrelease};

/// The largest Release, in bytes: what apt takes. Debian's is 150 kB, that of another Assay with installer images some 2 MB.
pub(super) const LARGEST_RELEASE: u64 = 10_000_000;
/// The largest Release.gpg, in bytes.
const LARGEST_SIGNATURE: u64 = 64 << 10;

/// What a suite's Release says, verified.
pub(super) struct Head {
    /// What upstream signed, byte for byte: InRelease, or Release and Release.gpg.
    pub(super) files: Vec<Vec<u8>>,
    pub(super) by_hash: bool,
    pub(super) state: SuiteState,
    pub(super) plan: Plan,
    release: Release,
}

/// A Release text with its signatures checked, and the files that they were in.
struct Text {
    files: Vec<Vec<u8>>,
    text: Vec<u8>,
    signers: Vec<Signer>,
}

impl Head {
    /// Fetches and judges the Release of a suite.
    pub(super) fn fetch(
        follow: &Follow<'_>,
        store: &dyn Store,
        suite: &SuiteName,
        now: Timestamp,
    ) -> Result<Self, UpstreamError> {
        let requirement = Requirement {
            keyring: follow.keyring,
            threshold: follow.config.threshold,
            now,
        };
        let asking = Asking {
            follow,
            suite,
            requirement,
        };
        let Text { files, text, signers } = asking.as_accepted(asking.signed()?, store);
        let mut release = Release::parse(&text).map_err(in_release(suite))?;
        if let (Some(_), Some(component)) = (&follow.config.flat, follow.config.components.first()) {
            release = release.unfolded(component, &follow.config.architectures);
        }
        let mut digests = files.iter().map(|bytes| Digest::of(bytes));
        let signed = Signed {
            suite,
            inrelease: digests.next().unwrap_or_else(|| Digest::of(b"")),
            release_gpg: digests.next(),
            release: &release,
            signers: signers.into_iter().map(|signer| signer.primary).collect(),
        };
        let (state, plan) = judge(follow, follow.before(suite), &signed, now)?;
        let end = |upstream| ageing(upstream, follow.config.max_age_days, now);
        if let Some(end) = state.upstream.as_ref().and_then(end) {
            let date = release.date().map_err(in_release(suite))?;
            tracing::warn!(%suite, "upstream's Release is from {date}, and too old from {end} on: is it still updated?");
        }
        Ok(Self {
            by_hash: release.field("Acquire-By-Hash") == Some("yes"),
            files,
            state,
            plan,
            release,
        })
    }

    /// Whether it is what it was, of one Date with the Release that was accepted, whose file is `before`, or of a later one.
    /// What is around the signed text, such as one more signature, says nothing.
    pub(super) fn is_no_other(
        &self,
        accepted: &UpstreamRelease,
        before: impl Fn() -> Result<Vec<u8>, UpstreamError>,
    ) -> Result<(), UpstreamError> {
        let found = self.state.upstream.as_ref();
        let Some(found) = found.filter(|found| {
            let same_form = found.release_gpg.is_some() == accepted.release_gpg.is_some();
            found.date == accepted.date && same_form && found.inrelease != accepted.inrelease
        }) else {
            return Ok(());
        };
        let ours = self.files.first().and_then(|bytes| unframed_text(bytes).ok());
        if Some(before()?) == ours {
            return Ok(());
        }
        Err(UpstreamError::Equivocation {
            suite: self.state.suite.clone(),
            date: found.date,
        })
    }

    /// Whether a flat repository calls itself as it did: its suite is a name of ours, which says nothing. `text` is the
    /// Release before.
    pub(super) fn is_named_as(&self, text: &[u8]) -> Result<(), UpstreamError> {
        let suite = &self.state.suite;
        let before = Release::parse(text).map_err(in_release(suite))?;
        same_names(suite, |field| before.field(field), &self.release)
    }

    /// What tells this Release from another.
    pub(super) fn digest(&self) -> Vec<Digest> {
        self.files.iter().map(|bytes| Digest::of(bytes)).collect()
    }

    /// The languages of its Translation indexes.
    pub(super) fn languages(&self) -> BTreeSet<&str> {
        let names = self.release.entries().keys().map(RelPath::file_name);
        let languages = names.filter_map(|name| name.strip_prefix("Translation-"));
        languages
            .map(|name| name.split_once('.').map_or(name, |(language, _)| language))
            .collect()
    }

    /// What it says of a file.
    pub(super) fn listed(&self, path: &RelPath) -> Option<Digest> {
        self.release.entries().get(path).map(|listed| listed.digest)
    }

    /// Whether `before` was made of this Release, and has all that is wanted of it now.
    pub(super) fn is_what(&self, before: &SuiteState) -> bool {
        let mut listed = before.clone();
        // The rest is what its lists name.
        listed
            .indexes
            .retain(|index| self.release.entries().contains_key(&index.path));
        is_same(&listed, &self.state)
    }
}

/// The fetching of one suite's Release.
struct Asking<'a> {
    follow: &'a Follow<'a>,
    suite: &'a SuiteName,
    requirement: Requirement<'a>,
}

impl Asking<'_> {
    /// InRelease; where there is none and never was, Release and its detached signature. What is not accepted
    /// in one form is not looked for in the other (threat S8).
    fn signed(&self) -> Result<Text, UpstreamError> {
        let inrelease = match self.get("InRelease", LARGEST_RELEASE) {
            Err(UpstreamError::NotFound { url, status }) => return self.detached(url, status),
            other => other?,
        };
        self.verified(vec![inrelease]).map_err(|error| self.refused(error))
    }

    /// What was accepted before, when that is the same text with something else around it, such as one more signature, and still
    /// counts: who changes that on the way makes nothing new.
    fn as_accepted(&self, found: Text, store: &dyn Store) -> Text {
        let before = self.follow.before(self.suite);
        let Some(accepted) = before.and_then(|state| state.upstream.as_ref()) else {
            return found;
        };
        let files = upstream_files(self.follow.archive, self.suite, accepted);
        let digests = files.iter().map(|file| file.digest);
        if files.len() != found.files.len() || digests.eq(found.files.iter().map(|bytes| Digest::of(bytes))) {
            return found;
        }
        let read = |file: &UpstreamFile| {
            let bytes = store.get(&file.key, LARGEST_RELEASE).ok();
            bytes.filter(|bytes| Digest::of(bytes) == file.digest)
        };
        let files: Option<Vec<Vec<u8>>> = files.iter().map(read).collect();
        let accepted = files.and_then(|files| self.verified(files).ok());
        accepted.filter(|accepted| accepted.text == found.text).unwrap_or(found)
    }

    /// An InRelease; or a Release and its detached signature.
    fn verified(&self, files: Vec<Vec<u8>>) -> Result<Text, TrustError> {
        let (text, signers) = match files.as_slice() {
            [text, signature] => (text.clone(), verify_detached(text, signature, &self.requirement)?),
            [inrelease, ..] => {
                let verified = verify_inrelease(inrelease, &self.requirement)?;
                (verified.text, verified.signers)
            }
            [] => (Vec::new(), Vec::new()),
        };
        Ok(Text { files, text, signers })
    }

    /// Whether the last snapshot of the suite came from an InRelease: an upstream that had one keeps to that form.
    fn had_inrelease(&self) -> bool {
        let earlier = || self.follow.earlier.iter().find(|state| state.suite == *self.suite);
        let before = self.follow.before(self.suite).or_else(earlier);
        let upstream = before.and_then(|state| state.upstream.as_ref());
        upstream.is_some_and(|upstream| upstream.release_gpg.is_none())
    }

    /// `url` and `status` are of the InRelease that is not there.
    fn detached(&self, url: String, status: u16) -> Result<Text, UpstreamError> {
        let signature = match self.get("Release.gpg", LARGEST_SIGNATURE) {
            // Neither: the message names the form that everybody has.
            Err(UpstreamError::NotFound { .. }) => return Err(UpstreamError::NotFound { url, status }),
            other => other?,
        };
        if self.had_inrelease() {
            return Err(UpstreamError::Downgrade {
                suite: self.suite.clone(),
            });
        }
        let text = self.get("Release", LARGEST_RELEASE)?;
        self.verified(vec![text, signature])
            .map_err(|error| self.refused(error))
    }

    fn get(&self, name: &str, limit: u64) -> Result<Vec<u8>, UpstreamError> {
        let path = self.follow.location(self.suite, "", name);
        self.follow.client.get(&path, Expect::AtMost(limit))
    }

    fn refused(&self, source: TrustError) -> UpstreamError {
        UpstreamError::Signature {
            suite: self.suite.clone(),
            source: Box::new(source),
        }
    }
}
