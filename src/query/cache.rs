//! The cache: facts of documents that were verified before, in one file below the site's `cache/`.
//!
//! It may be deleted at any time. It is bound to the keys under which signatures were checked, and to its own
//! bytes: under other keys, of another version or damaged it is none. Its folder is the user's own, as the
//! program's is; what is in it never says what an archive lists, which is read from what the archive signs.

use std::path::{Path, PathBuf};

use super::codec;
use super::facts::Known;
use crate::domain::Sha256;
use crate::host::files;
use crate::trust::Ed25519Public;
use crate::verify::Anchors;

const MAGIC: &[u8] = b"assay facts 1\n";
/// The largest cache that is read, in bytes.
const LARGEST: u64 = 2 << 30;

/// Where facts are kept between runs.
#[derive(Debug, Clone)]
pub struct Cache {
    file: PathBuf,
}

impl Cache {
    /// The cache below a site's cache folder.
    #[must_use]
    pub fn below(folder: &Path) -> Self {
        Self {
            file: folder.join("facts"),
        }
    }

    /// What was kept under these keys; nothing when there is none, or when it is not what was written.
    pub(super) fn load(&self, key: &Sha256) -> Known {
        let read = || {
            let bytes = files::read(&self.file, LARGEST).ok()?;
            let (digest, signed) = bytes.strip_prefix(MAGIC)?.split_first_chunk::<32>()?;
            let (found, body) = signed.split_first_chunk::<32>()?;
            let ours = found == key.as_bytes() && Sha256::of(signed).as_bytes() == digest;
            ours.then(|| codec::read(body)).flatten()
        };
        read().unwrap_or_default()
    }

    /// Keeps facts. That it cannot be written is no failure: the next query reads the documents again.
    pub(super) fn save(&self, key: &Sha256, known: &Known) {
        let mut signed = key.as_bytes().to_vec();
        signed.extend(codec::write(known));
        let digest = Sha256::of(&signed);
        let bytes = [MAGIC, digest.as_bytes(), &signed].concat();
        if let Err(error) = files::write(&self.file, &bytes) {
            tracing::info!(%error, "the cache of facts was not written");
        }
    }
}

/// What facts depend on beside the documents: the gate's key, and the keys that builders may sign with.
pub(super) fn key(anchors: &Anchors, builders: &[Ed25519Public]) -> Sha256 {
    let mut text = format!("{}\n{}\n", env!("CARGO_PKG_VERSION"), anchors.gate.fingerprint());
    for builder in builders {
        text.push_str(&format!("{}\n", builder.fingerprint()));
    }
    for anchor in anchors.archives.iter().filter(|anchor| anchor.is_custom()) {
        text.push_str(&format!("{}\n", anchor.name));
    }
    Sha256::of(text.as_bytes())
}
