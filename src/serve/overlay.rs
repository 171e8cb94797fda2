//! Files that exist in memory only: the indexes of a locked environment, at `/env/<digest>/…`.

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};

use crate::domain::Sha256;

/// Files by their path below `/env/<digest>/`.
pub type Overlay = BTreeMap<String, Vec<u8>>;

/// All overlays of a server. Cheap to clone; clones share.
#[derive(Debug, Clone, Default)]
pub struct Overlays(Arc<RwLock<BTreeMap<Sha256, Arc<Overlay>>>>);

impl Overlays {
    /// Serves these files at `/env/<digest>/…`. The pools of all archives are below it as well:
    /// `/env/<digest>/<archive>/pool/…`.
    pub fn add(&self, digest: Sha256, files: Overlay) {
        if let Ok(mut all) = self.0.write() {
            all.insert(digest, Arc::new(files));
        }
    }

    /// Serves them no longer.
    pub fn remove(&self, digest: &Sha256) {
        if let Ok(mut all) = self.0.write() {
            all.remove(digest);
        }
    }

    pub(super) fn get(&self, digest: &Sha256) -> Option<Arc<Overlay>> {
        self.0.read().ok()?.get(digest).cloned()
    }
}
