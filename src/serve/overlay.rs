//! Files that exist in memory only: the indexes of a locked environment, at `/env/<digest>/…`.

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};

use axum::body::Bytes;

use crate::domain::Sha256;

/// Files by their path below `/env/<digest>/`.
pub type Overlay = BTreeMap<String, Vec<u8>>;

/// All overlays of a server. Cheap to clone; clones share.
#[derive(Debug, Clone, Default)]
pub struct Overlays(Arc<RwLock<BTreeMap<Sha256, BTreeMap<String, Bytes>>>>);

impl Overlays {
    /// Serves these files at `/env/<digest>/…`. The pools of all archives are below it as well:
    /// `/env/<digest>/<archive>/pool/…`.
    pub fn add(&self, digest: Sha256, files: Overlay) {
        let files = files.into_iter().map(|(path, bytes)| (path, bytes.into())).collect();
        if let Ok(mut all) = self.0.write() {
            all.insert(digest, files);
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

    pub(super) fn file(&self, digest: &Sha256, path: &str) -> Option<Bytes> {
        self.0.read().ok()?.get(digest)?.get(path).cloned()
    }
}
