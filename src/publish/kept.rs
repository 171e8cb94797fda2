//! What sources take from elsewhere than Git: tarballs that were kept, and source packages of mirrors.
//! Reads the store only, but what `fetch` brings; every byte is hashed again.

use crate::domain::{
    ArchiveName, Coded, Component, Digest, FileName, Kind, PackageName, PoolPath, Sha256, SnapshotName,
};
use crate::format::deb822::Stanzas;
use crate::format::packages::Source;
use crate::snapshot::{SuiteState, kept_index, read_plain_index};
use crate::source::{Base, Files, Packed, SourceError};
use crate::store::{Key, Store, StoreError};
use crate::trust::Keyring;

use super::read_vouched;

/// The largest tarball that is read, in bytes.
const LARGEST: u64 = 1 << 30;

/// The keys that the records of an archive must be signed by.
pub type Keyrings<'a> = &'a dyn Fn(&ArchiveName) -> Result<Keyring, String>;
/// Brings a file of a mirror's pool into the store: pools are filled on demand.
pub type Fetch<'a> = &'a dyn Fn(&ArchiveName, &PoolPath, &Digest) -> Result<(), Unfetched>;

/// Why a file did not come, as whoever was to bring it says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct Unfetched {
    why: String,
    code: &'static str,
    kind: Kind,
    hint: Option<String>,
}

impl Unfetched {
    /// Since of this.
    #[must_use]
    pub fn of(error: &dyn Coded) -> Self {
        Self {
            why: error.to_string(),
            code: error.code(),
            kind: error.kind(),
            hint: error.hint(),
        }
    }
}

impl Coded for Unfetched {
    fn code(&self) -> &'static str {
        self.code
    }
    fn kind(&self) -> Kind {
        self.kind
    }
    fn hint(&self) -> Option<String> {
        self.hint.clone()
    }
}

/// The files that the sources of one custom archive may take.
#[derive(Clone, Copy)]
pub struct StoreFiles<'a> {
    /// The store.
    pub store: &'a dyn Store,
    /// The custom archive.
    pub archive: &'a ArchiveName,
    /// Whose records count.
    pub keyrings: Keyrings<'a>,
    /// How files come that are not there yet; absent: they do not.
    pub fetch: Option<Fetch<'a>>,
    /// Where tarballs may lie that were packed before; absent: they are packed anew.
    pub packed: Option<Packed<'a>>,
}

impl Files for StoreFiles<'_> {
    fn kept(
        &self,
        component: &Component,
        source: &PackageName,
        name: &FileName,
        sha256: &Sha256,
    ) -> Result<Vec<u8>, SourceError> {
        let wrong = |why: &dyn std::fmt::Display| SourceError::kept(name.as_str(), &why.to_string());
        let pool = PoolPath::in_pool(component, source, name).map_err(|error| wrong(&error))?;
        for key in [Key::held(self.archive, sha256), Key::pool(self.archive, &pool)] {
            match self.store.get(&key, LARGEST) {
                Ok(bytes) if Sha256::of(&bytes) == *sha256 => return Ok(bytes),
                // Damaged, or another file of that name: not the one that is meant.
                Ok(_) | Err(StoreError::Missing(_)) => {}
                Err(error) => return Err(wrong(&error)),
            }
        }
        Err(wrong(&format!("the store has no such file with the SHA-256 {sha256}")))
    }

    fn base(&self, source: &PackageName, base: &Base) -> Result<Vec<(FileName, Vec<u8>)>, SourceError> {
        let wrong = |why: String| SourceError::kept(&format!("{source} of {}@{}", base.archive, base.serial), &why);
        let name = SnapshotName::Serial(base.serial.clone());
        let (found, listed) = self.find(&base.archive, &name, &base.dsc_sha256).map_err(wrong)?;
        if found != *base || listed.package != *source {
            let (package, version) = (&listed.package, &found.version);
            let why = format!("the declared .dsc is that of {package} {version} in `{}`", found.suite);
            return Err(wrong(why));
        }
        let mut tarballs = Vec::new();
        for (path, digest) in listed.pool_files().map_err(|error| wrong(error.to_string()))? {
            let name = FileName::new(path.file_name()).map_err(|error| wrong(error.to_string()))?;
            if is_orig(name.as_str()) {
                let bytes = self.pool_file(&base.archive, &path, &digest).map_err(wrong)?;
                tarballs.push((name, bytes));
            }
        }
        Ok(tarballs)
    }

    fn packed(&self) -> Option<Packed<'_>> {
        self.packed
    }
}

impl StoreFiles<'_> {
    /// The base that a .dsc of a mirror's snapshot makes, found by its hash.
    ///
    /// # Errors
    /// `Kept` when the snapshot is not there, is not signed by us, or has no such .dsc.
    pub fn find_base(
        &self,
        archive: &ArchiveName,
        name: &SnapshotName,
        dsc_sha256: &Sha256,
    ) -> Result<Base, SourceError> {
        let found = self.find(archive, name, dsc_sha256);
        found
            .map(|(base, _)| base)
            .map_err(|why| SourceError::kept(&format!("{archive}@{name}"), &why))
    }

    /// Every index is read by the hash that the record has, which is signed; the snapshot was made of what
    /// upstream signed.
    fn find(&self, archive: &ArchiveName, name: &SnapshotName, dsc_sha256: &Sha256) -> Result<(Base, Source), String> {
        let keyring = (self.keyrings)(archive)?;
        let failed = |error: &dyn std::fmt::Display| error.to_string();
        let chain = read_vouched(self.store, archive, &keyring).map_err(|error| failed(&error))?;
        let record = chain.resolve(self.store, name).map_err(|error| failed(&error))?;
        for state in record.suites.iter().filter(|state| state.upstream.is_some()) {
            if let Some(listed) = self.listed(archive, state, dsc_sha256)? {
                let base = Base {
                    archive: archive.clone(),
                    serial: record.serial.clone(),
                    suite: state.suite.clone(),
                    version: listed.version.clone(),
                    dsc_sha256: *dsc_sha256,
                };
                return Ok((base, listed));
            }
        }
        Err(format!(
            "no suite that an upstream signed lists a .dsc with the SHA-256 {dsc_sha256}"
        ))
    }

    fn listed(&self, archive: &ArchiveName, state: &SuiteState, dsc_sha256: &Sha256) -> Result<Option<Source>, String> {
        let hex = dsc_sha256.hex();
        for component in &state.components {
            let Some(index) = kept_index(state, &format!("{component}/source/Sources")) else {
                continue;
            };
            let text = read_plain_index(self.store, archive, &state.suite, index).map_err(|error| error.to_string())?;
            for stanza in Stanzas::new(&text) {
                let stanza = stanza.map_err(|error| error.to_string())?;
                if memchr::memmem::find(stanza.bytes(), hex.as_bytes()).is_none() {
                    continue;
                }
                let listed = Source::from_stanza(&stanza).map_err(|error| error.to_string())?;
                let dsc = |(name, digest): &(FileName, Digest)| {
                    name.as_str().ends_with(".dsc") && digest.sha256 == *dsc_sha256
                };
                if listed.files.iter().any(dsc) {
                    return Ok(Some(listed));
                }
            }
        }
        Ok(None)
    }

    /// From the mirror's pool; once it was admitted, also from where it is held.
    fn pool_file(&self, archive: &ArchiveName, path: &PoolPath, digest: &Digest) -> Result<Vec<u8>, String> {
        let pool = Key::pool(archive, path);
        let keys = [&pool, &Key::held(self.archive, &digest.sha256)];
        let read = || {
            let found = keys.iter().filter_map(|key| self.store.get(key, LARGEST).ok());
            found.into_iter().find(|bytes| Digest::of(bytes) == *digest)
        };
        if let Some(bytes) = read() {
            return Ok(bytes);
        }
        if let Some(fetch) = self.fetch {
            fetch(archive, path, digest).map_err(|error| error.to_string())?;
        }
        read().ok_or_else(|| format!("`{pool}` is not in the store"))
    }
}

/// `NAME_VERSION.orig.tar.xz`, or one of several parts, `NAME_VERSION.orig-PART.tar.xz`; not a signature.
fn is_orig(name: &str) -> bool {
    let orig = name.contains(".orig.tar.") || name.contains(".orig-");
    orig && [".gz", ".bz2", ".xz", ".zst", ".lzma"]
        .iter()
        .any(|end| name.ends_with(end))
}
