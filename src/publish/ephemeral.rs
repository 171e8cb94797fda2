//! An ephemeral suite: packages that were just built, for one image build on this machine. Nothing of it is
//! published or admitted; only hashes remain.
//!
//! Signed by a key that nobody keeps, so that apt needs no `trusted=yes`: it proves that the files are those
//! which were handed in, and no more.

use std::collections::BTreeMap;

use serde::Serialize;

use super::admit::malformed;
use super::{GateError, ReleaseSigner};
use crate::domain::{
    Architecture, Component, Digest, FileName, Fingerprint, PackageName, PoolPath, Sha256, SuiteName, Timestamp,
    Version,
};
use crate::format::deb::{DebLimits, read_deb};
use crate::format::json;
use crate::format::packages::Binary;
use crate::index::release::{Terms, release_text};
use crate::index::{Catalog, binary_stanza, suite_indexes};
use crate::site::AllPackages;
use crate::snapshot::{IndexFile, SuiteState};
use crate::trust::ArchiveKey;

/// What its Release file says of where it comes from: pins by the archive's own Origin do not match.
const ORIGIN: &str = "Assay ephemeral";

/// A suite in memory.
#[derive(Debug, Clone)]
pub struct Ephemeral {
    /// Everything below `dists/`, by path.
    pub files: BTreeMap<String, Vec<u8>>,
    /// Where each package goes, by its name.
    pub pool: BTreeMap<PoolPath, Digest>,
    /// What remains of it: canonical JSON.
    pub manifest: Vec<u8>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Manifest<'a> {
    format: u32,
    suite: &'a SuiteName,
    key: &'a Fingerprint,
    made_at: Timestamp,
    packages: Vec<Built>,
}

#[derive(Serialize)]
struct Built {
    package: PackageName,
    version: Version,
    architecture: Architecture,
    source: PackageName,
    source_version: Version,
    file: String,
    sha256: Sha256,
    size: u64,
}

impl Built {
    fn of(binary: &Binary) -> Self {
        Self {
            package: binary.package.clone(),
            version: binary.version.clone(),
            architecture: binary.architecture.clone(),
            source: binary.source.clone(),
            source_version: binary.source_version.clone(),
            file: binary.filename.file_name().to_owned(),
            sha256: binary.digest.sha256,
            size: binary.digest.size,
        }
    }
}

/// Makes the suite of these packages. `architecture` is that of the machine which installs them.
///
/// # Errors
/// When a file is no well-formed .deb, or two are the same package with other bytes.
pub fn ephemeral(
    suite: &SuiteName,
    architecture: &Architecture,
    packages: &[(FileName, Vec<u8>)],
    key: &ArchiveKey,
    now: Timestamp,
) -> Result<Ephemeral, GateError> {
    let component = Component::new("main").map_err(|error| malformed("component", &error.to_string()))?;
    let mut pool = BTreeMap::new();
    let mut stanzas = Vec::new();
    for (name, bytes) in packages {
        let deb = read_deb(bytes.as_slice(), &DebLimits::default()).map_err(GateError::document(name))?;
        let path = PoolPath::new(format!("pool/{name}"));
        let path = path.map_err(|error| malformed("pool", &error.to_string()))?;
        let stanza = [binary_stanza(&deb.control, &path, &deb.digest)?, b"\n".to_vec()].concat();
        stanzas.extend(stanza);
        pool.insert(path, deb.digest);
    }
    let mut catalog = Catalog::new();
    catalog.add_packages(&component, &stanzas)?;
    let built = catalog.binaries().map(|(_, binary)| Built::of(binary)).collect();
    let architectures = vec![architecture.clone()];
    let mut files = BTreeMap::new();
    let mut indexes = Vec::new();
    for (path, bytes) in suite_indexes(
        &catalog,
        std::slice::from_ref(&component),
        &architectures,
        AllPackages::Everywhere,
    )? {
        indexes.push(IndexFile {
            path: path.clone(),
            digest: Digest::of(&bytes),
            kept: true,
        });
        // Release says `Acquire-By-Hash`, and apt asks for that name first.
        let by_hash = format!(
            "dists/{suite}/{}by-hash/SHA256/{}",
            path.folder(),
            Digest::of(&bytes).sha256
        );
        files.insert(by_hash, bytes.clone());
        files.insert(format!("dists/{suite}/{path}"), bytes);
    }
    let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let state = SuiteState {
        suite: suite.clone(),
        date: now,
        fields: vec![
            field("Origin", ORIGIN),
            field("Label", ORIGIN),
            field("Suite", suite.as_str()),
            field("Codename", suite.as_str()),
        ],
        architectures,
        components: vec![component],
        indexes,
        upstream: None,
        custom: None,
    };
    let signed = ReleaseSigner::sign(key, &release_text(&state, &Terms::default()), now)?;
    files.insert(format!("dists/{suite}/InRelease"), signed.inrelease);
    let manifest = Manifest {
        format: 1,
        suite,
        key: key.fingerprint(),
        made_at: now,
        packages: built,
    };
    Ok(Ephemeral {
        files,
        pool,
        manifest: json::canonical("manifest", &manifest).map_err(GateError::document("manifest"))?,
    })
}
