//! Files that exist in memory only: the indexes of a locked environment, at `/env/<digest>/…`.

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};

use axum::body::Bytes;

use crate::domain::{Digest, Sha256};

/// Files by their path below `/env/<digest>/`.
pub type Overlay = BTreeMap<String, Vec<u8>>;

/// All overlays of a server. Cheap to clone; clones share.
#[derive(Debug, Clone, Default)]
pub struct Overlays(Arc<RwLock<BTreeMap<Sha256, Held>>>);

#[derive(Debug)]
struct Held {
    files: BTreeMap<String, Bytes>,
    /// `<archive>/pool/…` → what has to be there.
    pool: BTreeMap<String, Digest>,
}

impl Overlays {
    /// Serves these files at `/env/<digest>/…`. The files of `pool` are below it as well, out of the
    /// archives' pools: `/env/<digest>/<archive>/pool/…`.
    pub fn add(&self, digest: Sha256, files: Overlay, pool: BTreeMap<String, Digest>) {
        let files = files.into_iter().map(|(path, bytes)| (path, bytes.into())).collect();
        if let Ok(mut all) = self.0.write() {
            all.insert(digest, Held { files, pool });
        }
    }

    /// Serves them no longer.
    pub fn remove(&self, digest: &Sha256) {
        if let Ok(mut all) = self.0.write() {
            all.remove(digest);
        }
    }

    pub(super) fn has(&self, digest: &Sha256) -> bool {
        self.0.read().is_ok_and(|all| all.contains_key(digest))
    }

    /// What a pool file of an overlay has to be.
    pub(super) fn pool(&self, digest: &Sha256, path: &str) -> Option<Digest> {
        self.0.read().ok()?.get(digest)?.pool.get(path).copied()
    }

    pub(super) fn file(&self, digest: &Sha256, path: &str) -> Option<Bytes> {
        self.0.read().ok()?.get(digest)?.files.get(path).cloned()
    }
}
