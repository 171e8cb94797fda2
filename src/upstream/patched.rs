//! Indexes that are made here, of the ones before and upstream's patches (pdiffs), where those are less to
//! fetch and the site asks for it.
//!
//! Nothing of it is believed: what comes out is kept only when it has the digest that upstream's Release
//! lists, compressed, and it passes every check of an index that was fetched. Whatever goes wrong, the
//! index is fetched whole.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use sha2::Digest as _;

use super::fetch::Fetch;
use super::head::Head;
use super::pull::is_there;
use super::{Expect, Mismatch, Planned, UpstreamError};
use crate::domain::{Digest, RelPath, Sha256, SuiteName};
use crate::format::FormatError;
use crate::format::chained::LARGEST_LIST;
use crate::format::compress::{self, Compression, decompress};
use crate::format::ed::Script;
use crate::format::pdiff::{Patch, PdiffIndex};
use crate::host::Program;
use crate::snapshot::{IndexFile, SuiteState, index_key};
use crate::store::StoreError;

/// The most bytes of a compressed index that is made here: it is held in memory.
const LARGEST: u64 = 48 << 20;
/// The most bytes of all patches of one index, uncompressed.
const LARGEST_PATCHES: u64 = 64 << 20;

/// One index, with what is wanted of it.
struct Making<'a> {
    suite: &'a SuiteName,
    /// Its path without the ending of a compression.
    plain: &'a str,
    /// What Release says of it.
    digest: Digest,
    /// The forms that the store lacks.
    forms: Vec<&'a Planned>,
    /// The form that the newest snapshot has, and what it decompresses to.
    old: (&'a IndexFile, Digest),
    /// The list of its patches.
    list: (RelPath, Digest),
    by_hash: bool,
}

impl Making<'_> {
    /// Bytes that need not be fetched.
    fn whole(&self) -> u64 {
        self.forms
            .iter()
            .map(|form| form.listed.digest.size)
            .fold(0, u64::saturating_add)
    }
}

impl Fetch<'_> {
    /// Puts into the store what can be made of the newest snapshot and patches. What it cannot make it leaves.
    pub(super) fn patched(&self, heads: &[&Head]) {
        let mut makings: Vec<Making<'_>> = heads.iter().flat_map(|head| self.makings(head)).collect();
        // The smallest first: whether upstream compresses as we do is best found out on that.
        makings.sort_by_key(|making| making.digest.size);
        let mut other_compressors = BTreeSet::new();
        let title = format!("{} patched indexes", self.follow.archive);
        let bar = self.progress.items(&title, makings.len() as u64);
        for making in &makings {
            if let Err(error) = self.make(making, &mut other_compressors) {
                let (suite, index) = (making.suite, making.plain);
                tracing::info!(%suite, %index, %error, "it is not made of patches, but fetched");
            }
            bar.advance(1);
        }
        bar.finish();
    }

    /// The indexes of a suite that have patches, and that the store lacks.
    fn makings<'b>(&'b self, head: &'b Head) -> Vec<Making<'b>> {
        let suite = &head.state.suite;
        let Some(before) = self.follow.before(suite) else {
            return Vec::new();
        };
        let mut forms: BTreeMap<&str, Vec<&Planned>> = BTreeMap::new();
        for file in &head.plan.files {
            let lacking = || {
                let key = index_key(self.follow.archive, suite, &file.index());
                matches!(is_there(self.store, &key, &file.listed.digest), Ok(false))
            };
            let compression = Compression::of_name(file.path.file_name());
            if let Some(plain) = file.path.as_str().strip_suffix(compression.extension())
                && compressor(compression).is_some()
                && file.fetched
                && file.listed.digest.size <= LARGEST
                && lacking()
            {
                forms.entry(plain).or_default().push(file);
            }
        }
        let making = |(plain, forms): (&'b str, Vec<&'b Planned>)| {
            let list = RelPath::new(format!("{plain}.diff/Index")).ok()?;
            let listed = head.listed(&list)?;
            Some(Making {
                suite,
                plain,
                digest: forms.first()?.uncompressed?,
                forms,
                old: old(before, plain)?,
                list: (list, listed),
                by_hash: head.by_hash,
            })
        };
        forms.into_iter().filter_map(making).collect()
    }

    /// Makes each form of an index, unless its compressor is one of the `others`.
    fn make(&self, making: &Making<'_>, others: &mut BTreeSet<Compression>) -> Result<(), UpstreamError> {
        let compression = |form: &Planned| Compression::of_name(form.path.file_name());
        if making.forms.iter().all(|form| others.contains(&compression(form))) {
            return Ok(());
        }
        let Some(scripts) = self.scripts(making)? else {
            return Ok(());
        };
        for form in &making.forms {
            if others.contains(&compression(form)) {
                continue;
            }
            let (bytes, found) = self.compressed(making, &scripts, form)?;
            if found != making.digest {
                let expected = making.digest;
                return Err(UpstreamError::Uncompressed {
                    suite: making.suite.clone(),
                    path: form.path.clone(),
                    what: Box::new(Mismatch { expected, found }),
                });
            }
            let key = index_key(self.follow.archive, making.suite, &form.index());
            match self.store.put_stream(&key, &form.listed.digest, &mut bytes.as_slice()) {
                Err(StoreError::Digest { .. }) => {
                    others.insert(compression(form));
                }
                stored => stored?,
            }
        }
        Ok(())
    }

    /// The patched index, compressed as Debian's archive does it; and what went into the compressor.
    fn compressed(
        &self,
        making: &Making<'_>,
        scripts: &[Script],
        form: &Planned,
    ) -> Result<(Vec<u8>, Digest), UpstreamError> {
        let (index, plain) = making.old;
        let old = self.store.open(&index_key(self.follow.archive, making.suite, index))?;
        let compression = Compression::of_name(index.path.file_name());
        let mut text = compress::reader(compression, old, plain.size).map_err(|e| malformed(&index.path, e))?;
        for script in scripts {
            text = script.apply(text);
        }
        let mut hashed = Hashed {
            text: text.take(making.digest.size.saturating_add(1)),
            hash: sha2::Sha256::new(),
            size: 0,
        };
        let Some(program) = compressor(Compression::of_name(form.path.file_name())) else {
            return Ok((Vec::new(), Digest::of(b"")));
        };
        let output = program.limit(LARGEST).run_reading(&mut hashed)?;
        let sha256 = Sha256::from_bytes(hashed.hash.finalize().into());
        let size = hashed.size;
        Ok((output.stdout, Digest { sha256, size }))
    }

    /// The patches that lead from the newest snapshot's index to upstream's; none when they are not less to
    /// fetch than that is.
    fn scripts(&self, making: &Making<'_>) -> Result<Option<Vec<Script>>, UpstreamError> {
        let (path, digest) = &making.list;
        if digest.size > LARGEST_LIST || digest.size >= making.whole() {
            return Ok(None);
        }
        let bytes = self.small(making, path, *digest, making.by_hash)?;
        let index = PdiffIndex::parse(&bytes).map_err(|error| malformed(path, error))?;
        let (_, from) = making.old;
        let patches = index.helpful(making.whole().saturating_sub(digest.size), |state| *state == from);
        let size = patches
            .iter()
            .map(|patch| patch.patch.size)
            .fold(0, u64::saturating_add);
        if index.current != making.digest || patches.is_empty() || size > LARGEST_PATCHES {
            return Ok(None);
        }
        patches
            .into_iter()
            .map(|patch| self.script(making, patch))
            .collect::<Result<_, _>>()
            .map(Some)
    }

    fn script(&self, making: &Making<'_>, patch: &Patch) -> Result<Script, UpstreamError> {
        let path = format!("{}{}", making.list.0.folder(), patch.file);
        let path = RelPath::new(path).map_err(|source| {
            let what = making.list.0.to_string();
            malformed(&making.list.0, FormatError::Value { what, source })
        })?;
        let bytes = self.small(making, &path, patch.download, false)?;
        let text = decompress(Compression::Gzip, &bytes, patch.patch.size).map_err(|error| malformed(&path, error))?;
        self.expect(making, &path, patch.patch, &text)?;
        Script::parse(text).map_err(|error| malformed(&path, error))
    }

    /// A small file of the suite, whole. Patches have no names by hash.
    fn small(
        &self,
        making: &Making<'_>,
        path: &RelPath,
        digest: Digest,
        by_hash: bool,
    ) -> Result<Vec<u8>, UpstreamError> {
        let (follow, expect) = (self.follow, Expect::Exactly(digest.size));
        let get = |name: &str| {
            follow
                .client
                .get(&follow.location(making.suite, path.folder(), name), expect)
        };
        let by_hash = by_hash.then(|| get(&format!("by-hash/SHA256/{}", digest.sha256)));
        let bytes = match by_hash {
            None | Some(Err(UpstreamError::NotFound { .. })) => get(path.file_name())?,
            Some(done) => done?,
        };
        self.expect(making, path, digest, &bytes)?;
        Ok(bytes)
    }

    fn expect(&self, making: &Making<'_>, path: &RelPath, expected: Digest, bytes: &[u8]) -> Result<(), UpstreamError> {
        let found = Digest::of(bytes);
        if found == expected {
            return Ok(());
        }
        let url = self.follow.location(making.suite, path.folder(), path.file_name());
        Err(UpstreamError::Digest { url, expected, found })
    }
}

/// What the newest snapshot has of an index: a form that is read here, and what it decompresses to.
fn old<'a>(before: &'a SuiteState, plain: &str) -> Option<(&'a IndexFile, Digest)> {
    let of = |path: &str| before.indexes.iter().find(|index| index.path.as_str() == path);
    let digest = of(plain)?.digest;
    let kept = [
        Compression::Gzip,
        Compression::Xz,
        Compression::Zstd,
        Compression::Plain,
    ]
    .into_iter()
    .filter_map(|form| of(&format!("{plain}{}", form.extension())))
    .find(|index| index.kept)?;
    Some((kept, digest))
}

/// The programs that make the indexes of Debian's archive, as it calls them. xz cuts its output into blocks
/// there, which it does with any number of threads: here with one.
pub(super) fn compressor(compression: Compression) -> Option<Program> {
    match compression {
        Compression::Gzip => Some(Program::new("gzip").args(["-9cn", "--rsyncable"])),
        Compression::Xz => Some(Program::new("xz").args(["-6ec", "-T+1"])),
        Compression::Zstd | Compression::Plain => None,
    }
}

fn malformed(path: &RelPath, source: FormatError) -> UpstreamError {
    let url = path.to_string();
    UpstreamError::Format { url, source }
}

/// Hashes what is read through it.
struct Hashed<R> {
    text: R,
    hash: sha2::Sha256,
    size: u64,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.text.read(buffer)?;
        self.hash.update(buffer.get(..count).unwrap_or_default());
        self.size = self.size.saturating_add(count as u64);
        Ok(count)
    }
}
