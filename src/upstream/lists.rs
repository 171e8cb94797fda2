//! What upstream's Release covers without listing it: patches that an `Index` names, images that a
//! `SHA256SUMS` names.

use std::collections::{BTreeMap, BTreeSet};

use super::fetch::{Fetch, Image, Wanted};
use super::{Planned, UpstreamError};
use crate::domain::{Digest, RelPath, Sha256};
use crate::format::FormatError;
use crate::format::chained::{LARGEST_LIST, ListKind, chained, list_kind};
use crate::format::pdiff::PdiffIndex;
use crate::format::release::Listed;
use crate::snapshot::{IndexFile, SuiteState, read_index};

impl Fetch<'_> {
    /// Has in the store what the lists of a suite name, as far as it is kept, and adds it.
    pub(super) fn chained(&self, state: &mut SuiteState) -> Result<(), UpstreamError> {
        let (mut patches, mut images) = (Vec::new(), BTreeMap::<Sha256, Vec<RelPath>>::new());
        let known: BTreeSet<&RelPath> = state.indexes.iter().map(|index| &index.path).collect();
        for list in state.indexes.iter().filter(|index| index.kept) {
            match list_kind(&list.path) {
                None => {}
                Some(ListKind::Patches) => patches.extend(self.patches(state, list)?),
                Some(ListKind::Images) => {
                    let files = chained(&list.path, &self.list(state, list)?).map_err(in_list(state, list))?;
                    for (path, says) in files.into_iter().filter(|(path, _)| !known.contains(path)) {
                        images.entry(says.sha256).or_default().push(path);
                    }
                }
            }
        }
        let mut found = self.fetch_patches(state, &patches)?;
        found.extend(self.fetch_images(state, images)?);
        state.indexes.extend(found);
        state.indexes.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(())
    }

    fn fetch_patches(&self, state: &SuiteState, patches: &[Planned]) -> Result<Vec<IndexFile>, UpstreamError> {
        let wanted = |file| Wanted {
            suite: &state.suite,
            by_hash: false,
            file,
        };
        if patches.is_empty() {
            return Ok(Vec::new());
        }
        let absent = self.indexes(patches.iter().map(wanted).collect(), None)?;
        let there = |file: &&Planned| !absent.contains(&(state.suite.clone(), file.path.clone()));
        Ok(patches
            .iter()
            .filter(there)
            .map(|file| kept(&file.path, file.listed.digest))
            .collect())
    }

    fn fetch_images(
        &self,
        state: &SuiteState,
        images: BTreeMap<Sha256, Vec<RelPath>>,
    ) -> Result<Vec<IndexFile>, UpstreamError> {
        let image = |(sha256, paths)| Image {
            suite: &state.suite,
            sha256,
            paths,
        };
        let images: Vec<Image<'_>> = images.into_iter().map(image).collect();
        if images.is_empty() {
            return Ok(Vec::new());
        }
        let found = self.images(&images)?;
        let names: usize = images.iter().map(|image| image.paths.len()).sum();
        if found.len() < names {
            let (suite, absent) = (&state.suite, names.saturating_sub(found.len()));
            tracing::warn!(%suite, absent, "upstream does not have all images that its SHA256SUMS name");
        }
        Ok(found.iter().map(|((_, path), digest)| kept(path, *digest)).collect())
    }

    /// The patches of an index that lead from a state that our clients may have.
    fn patches(&self, state: &SuiteState, list: &IndexFile) -> Result<Vec<Planned>, UpstreamError> {
        let index = PdiffIndex::parse(&self.list(state, list)?).map_err(in_list(state, list))?;
        let plain = list.path.as_str().trim_end_matches(".diff/Index");
        let forms = |index: &&IndexFile| {
            let rest = index.path.as_str().strip_prefix(plain);
            index.kept && rest.is_some_and(|rest| rest.is_empty() || (rest.starts_with('.') && !rest.contains('/')))
        };
        let whole = state.indexes.iter().filter(forms).map(|form| form.digest.size).min();
        let states = self.published(state, list, plain)?;
        let helpful = index.helpful(whole.unwrap_or_default(), |from| states.contains(from));
        let planned = |patch: &crate::format::pdiff::Patch| {
            let path = RelPath::new(format!("{}{}", list.path.folder(), patch.file));
            let path = path.map_err(|source| {
                in_list(state, list)(FormatError::Value {
                    what: list.path.to_string(),
                    source,
                })
            })?;
            let listed = Listed {
                digest: patch.download,
                md5: None,
                sha1: None,
                sha512: None,
            };
            Ok(Planned {
                path,
                listed,
                fetched: true,
                uncompressed: Some(patch.patch),
                needed: false,
            })
        };
        helpful.into_iter().map(planned).collect()
    }

    /// The states of an index that our snapshots had: the newest one's, and those whose patches it had.
    fn published(&self, state: &SuiteState, list: &IndexFile, plain: &str) -> Result<BTreeSet<Digest>, UpstreamError> {
        let Some(before) = self.follow.before(&state.suite) else {
            return Ok(BTreeSet::new());
        };
        let has = |path: &str| before.indexes.iter().find(|index| index.path.as_str() == path);
        let mut states: BTreeSet<Digest> = has(plain).map(|index| index.digest).into_iter().collect();
        if let Some(list) = has(list.path.as_str()) {
            let index = PdiffIndex::parse(&self.list(before, list)?).map_err(in_list(before, list))?;
            let had = |file: &str| has(&format!("{}{file}", list.path.folder())).is_some();
            let patches = index.patches.into_iter().filter(|patch| had(patch.file.as_str()));
            states.extend(patches.map(|patch| patch.from));
        }
        Ok(states)
    }

    fn list(&self, state: &SuiteState, list: &IndexFile) -> Result<Vec<u8>, UpstreamError> {
        if list.digest.size > LARGEST_LIST {
            return Err(UpstreamError::TooLarge {
                suite: state.suite.clone(),
                size: list.digest.size,
                limit: LARGEST_LIST,
            });
        }
        Ok(read_index(self.store, self.follow.archive, &state.suite, list)?)
    }
}

fn kept(path: &RelPath, digest: Digest) -> IndexFile {
    IndexFile {
        path: path.clone(),
        digest,
        kept: true,
    }
}

fn in_list(state: &SuiteState, list: &IndexFile) -> impl FnOnce(FormatError) -> UpstreamError {
    let url = format!("dists/{}/{}", state.suite, list.path);
    move |source| UpstreamError::Format { url, source }
}
