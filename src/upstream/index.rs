//! Which pool files an archive has, and by which digest.

use std::collections::BTreeSet;

use super::{Sums, UpstreamError};
use crate::domain::{ArchiveName, PoolPath, Sha256, SuiteName};
use crate::format::packages::{PoolFile, listed_files};
use crate::snapshot::{IndexFile, SuiteState, each_chunk, file_indexes};
use crate::store::Store;

/// Pool path → what is listed of it, from the Packages and Sources of snapshots. Lean: 72 bytes for each file.
#[derive(Debug, Clone, Default)]
pub(super) struct PoolIndex {
    /// The first half of the path's SHA-256, and the file's hashes; sorted.
    files: Vec<([u8; 16], Sums)>,
    /// Indexes that were read.
    read: BTreeSet<Sha256>,
}

impl PoolIndex {
    /// The hashes of a pool file.
    #[must_use]
    pub(super) fn get(&self, path: &PoolPath) -> Option<Sums> {
        let wanted = short(path);
        let at = self.files.binary_search_by(|(path, _)| path.cmp(&wanted)).ok()?;
        self.files.get(at).map(|(_, sums)| *sums)
    }

    /// Adds the files of an older snapshot than those before. What is known already stays.
    pub(super) fn add_older(
        &mut self,
        store: &dyn Store,
        archive: &ArchiveName,
        suites: &[SuiteState],
    ) -> Result<(), UpstreamError> {
        self.add(store, archive, suites, false)
    }

    /// Adds the files of a newer snapshot than those before. What it says counts.
    pub(super) fn add_newer(
        &mut self,
        store: &dyn Store,
        archive: &ArchiveName,
        suites: &[SuiteState],
    ) -> Result<(), UpstreamError> {
        self.add(store, archive, suites, true)
    }

    fn add(
        &mut self,
        store: &dyn Store,
        archive: &ArchiveName,
        suites: &[SuiteState],
        newer: bool,
    ) -> Result<(), UpstreamError> {
        let mut found = Vec::new();
        let mut take = |files: Vec<PoolFile>| {
            found.extend(files.iter().map(|file| (short(&file.path), Sums::of(file))));
            Ok(())
        };
        for state in suites {
            for index in file_indexes(state).into_values() {
                if self.read.insert(index.digest.sha256) {
                    read(store, archive, &state.suite, index, &mut take)?;
                }
            }
        }
        if found.is_empty() {
            return Ok(());
        }
        if newer {
            found.append(&mut self.files);
            self.files = found;
        } else {
            self.files.append(&mut found);
        }
        // Stable, so that of two with one path the one that counts stays.
        self.files.sort_by_key(|(path, _)| *path);
        self.files.dedup_by_key(|(path, _)| *path);
        self.files.shrink_to_fit();
        Ok(())
    }
}

/// What is done with some files of an index.
type Files<'a> = &'a mut dyn FnMut(Vec<PoolFile>) -> Result<(), UpstreamError>;

/// Every file that the Packages and Sources of suites name, some thousand at a time; each index once.
///
/// # Errors
/// When an index is not in the store, or is damaged; what `work` fails with.
pub(super) fn each_file(
    store: &dyn Store,
    archive: &ArchiveName,
    suites: &[SuiteState],
    work: Files<'_>,
) -> Result<(), UpstreamError> {
    let mut read_before = BTreeSet::new();
    for state in suites {
        for index in file_indexes(state).into_values() {
            if read_before.insert(index.digest.sha256) {
                read(store, archive, &state.suite, index, work)?;
            }
        }
    }
    Ok(())
}

fn read(
    store: &dyn Store,
    archive: &ArchiveName,
    suite: &SuiteName,
    index: &IndexFile,
    work: Files<'_>,
) -> Result<(), UpstreamError> {
    each_chunk(store, archive, suite, index, &mut |stanzas| {
        let mut files = Vec::new();
        for file in listed_files(stanzas) {
            match file {
                Ok(file) => files.push(file),
                // A stanza that we do not take must not take the other files away.
                Err(error) => tracing::warn!(%suite, index = %index.path, %error, "a stanza is left out"),
            }
        }
        work(files)
    })
}

fn short(path: &PoolPath) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(Sha256::of(path.as_str().as_bytes()).as_bytes().split_at(16).0);
    half
}
