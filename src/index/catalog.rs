//! The catalog: what a suite holds, as stanzas; and all of its Packages and Sources files.

use std::collections::BTreeMap;

use super::IndexError;
use crate::domain::{Architecture, Component, DomainError, PackageName, PoolPath, RelPath, Sha256, Version};
use crate::format::FormatError;
use crate::format::deb822::{Stanza, Stanzas};
use crate::format::packages::{Binary, Source};

/// The stanzas of one suite. Adding the same stanza again changes nothing; another one for the same
/// package, version and architecture is refused.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    binaries: BTreeMap<BinaryKey, Entry>,
    sources: BTreeMap<(PackageName, Version), Entry>,
    files: BTreeMap<PoolPath, Sha256>,
}

type BinaryKey = (PackageName, Version, Architecture);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    component: Component,
    stanza: Vec<u8>,
}

impl Catalog {
    /// A suite without packages.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds all stanzas of a Packages file.
    ///
    /// # Errors
    /// When one is malformed, or contradicts what is there.
    pub fn add_packages(&mut self, component: &Component, packages: &[u8]) -> Result<(), IndexError> {
        for stanza in Stanzas::new(packages) {
            self.add_binary(component, &stanza?)?;
        }
        Ok(())
    }

    /// Adds all stanzas of a Sources file.
    ///
    /// # Errors
    /// When one is malformed, or contradicts what is there.
    pub fn add_sources(&mut self, component: &Component, sources: &[u8]) -> Result<(), IndexError> {
        for stanza in Stanzas::new(sources) {
            self.add_source(component, &stanza?)?;
        }
        Ok(())
    }

    /// The binary packages, sorted by name, text of the version, architecture.
    ///
    /// # Errors
    /// Never: the stanzas were read when they came.
    pub fn binaries(&self) -> Result<Vec<Binary>, IndexError> {
        let all = self.binaries.values().flat_map(|entry| Stanzas::new(&entry.stanza));
        all.map(|stanza| Ok(Binary::from_stanza(&stanza?)?)).collect()
    }

    /// The source packages, sorted by name and text of the version.
    ///
    /// # Errors
    /// Never: the stanzas were read when they came.
    pub fn sources(&self) -> Result<Vec<Source>, IndexError> {
        let all = self.sources.values().flat_map(|entry| Stanzas::new(&entry.stanza));
        all.map(|stanza| Ok(Source::from_stanza(&stanza?)?)).collect()
    }

    /// Takes out the binary packages and sources for which `keep` says no. `keep` sees the name and
    /// version of a source package, or of the source that a binary was built from.
    ///
    /// # Errors
    /// Never: the stanzas were read when they came.
    pub fn retain(&mut self, keep: impl Fn(&PackageName, &Version) -> bool) -> Result<(), IndexError> {
        let mut kept = Self::new();
        for (entry, binary) in self.binaries.values().zip(self.binaries()?) {
            if keep(&binary.source, &binary.source_version) {
                kept.add_packages(&entry.component, &entry.stanza)?;
            }
        }
        for (entry, source) in self.sources.values().zip(self.sources()?) {
            if keep(&source.package, &source.version) {
                kept.add_sources(&entry.component, &entry.stanza)?;
            }
        }
        *self = kept;
        Ok(())
    }

    fn add_binary(&mut self, component: &Component, stanza: &Stanza<'_>) -> Result<(), IndexError> {
        let binary = Binary::from_stanza(stanza)?;
        self.claim(&binary.filename, binary.digest.sha256)?;
        let what = format!("{} {} {}", binary.package, binary.version, binary.architecture);
        let key = (binary.package, binary.version, binary.architecture);
        put(&mut self.binaries, key, component, stanza, what)
    }

    fn add_source(&mut self, component: &Component, stanza: &Stanza<'_>) -> Result<(), IndexError> {
        let source = Source::from_stanza(stanza)?;
        for (path, digest) in source.pool_files()? {
            self.claim(&path, digest.sha256)?;
        }
        let what = format!("{} {} source", source.package, source.version);
        put(
            &mut self.sources,
            (source.package, source.version),
            component,
            stanza,
            what,
        )
    }

    fn claim(&mut self, path: &PoolPath, sha256: Sha256) -> Result<(), IndexError> {
        match self.files.get(path) {
            Some(there) if *there != sha256 => Err(IndexError::Conflict { what: path.to_string() }),
            Some(_) => Ok(()),
            None => {
                self.files.insert(path.clone(), sha256);
                Ok(())
            }
        }
    }
}

fn put<K: Ord>(
    map: &mut BTreeMap<K, Entry>,
    key: K,
    component: &Component,
    stanza: &Stanza<'_>,
    what: String,
) -> Result<(), IndexError> {
    let entry = Entry {
        component: component.clone(),
        stanza: stanza.bytes().to_vec(),
    };
    match map.get(&key) {
        Some(there) if *there != entry => Err(IndexError::Conflict { what }),
        Some(_) => Ok(()),
        None => {
            map.insert(key, entry);
            Ok(())
        }
    }
}

/// Every Packages and Sources file of a suite, uncompressed, empty ones too, sorted by path. `all` packages stand in the Packages file of every architecture, so `all` itself and
/// `source` among `architectures` give no file of their own. Within a file: by name, then version
/// as dpkg orders them (equal ones by text), then architecture.
///
/// # Errors
/// When a package is for a component or architecture that is not named.
pub fn suite_indexes(
    catalog: &Catalog,
    components: &[Component],
    architectures: &[Architecture],
) -> Result<Vec<(RelPath, Vec<u8>)>, IndexError> {
    check_inside(catalog, components, architectures)?;
    let mut binaries: Vec<_> = catalog.binaries.iter().collect();
    binaries.sort_by(|((a, va, aa), _), ((b, vb, ab), _)| {
        a.cmp(b)
            .then_with(|| va.dpkg_cmp(vb))
            .then_with(|| (va, aa).cmp(&(vb, ab)))
    });
    let mut sources: Vec<_> = catalog.sources.iter().collect();
    sources.sort_by(|((a, va), _), ((b, vb), _)| a.cmp(b).then_with(|| va.dpkg_cmp(vb)).then_with(|| va.cmp(vb)));
    let mut files = BTreeMap::new();
    for component in components {
        for architecture in architectures.iter().filter(|a| is_real(a)) {
            let stanzas = binaries
                .iter()
                .filter(|((_, _, of), entry)| entry.component == *component && (of == architecture || of.is_all()));
            let bytes = joined(stanzas.map(|(_, entry)| entry.stanza.as_slice()));
            let path = format!("{component}/binary-{architecture}/Packages");
            files.insert(index_path(path)?, bytes);
        }
        let stanzas = sources.iter().filter(|(_, entry)| entry.component == *component);
        let bytes = joined(stanzas.map(|(_, entry)| entry.stanza.as_slice()));
        files.insert(index_path(format!("{component}/source/Sources"))?, bytes);
    }
    Ok(files.into_iter().collect())
}

fn is_real(architecture: &Architecture) -> bool {
    !architecture.is_all() && architecture.as_str() != "source"
}

fn check_inside(catalog: &Catalog, components: &[Component], architectures: &[Architecture]) -> Result<(), IndexError> {
    let outside = |package: &PackageName, what, value: &str| IndexError::Outside {
        package: package.to_string(),
        what,
        value: value.to_owned(),
    };
    let binaries = catalog.binaries.iter().map(|((name, _, _), entry)| (name, entry));
    let sources = catalog.sources.iter().map(|((name, _), entry)| (name, entry));
    for (name, entry) in binaries.chain(sources) {
        if !components.contains(&entry.component) {
            return Err(outside(name, "component", entry.component.as_str()));
        }
    }
    for (name, _, architecture) in catalog.binaries.keys() {
        let inside = architecture.is_all() || (is_real(architecture) && architectures.contains(architecture));
        if !inside {
            return Err(outside(name, "architecture", architecture.as_str()));
        }
    }
    Ok(())
}

/// The stanzas with an empty line after each, as Debian's own indexes have them.
fn joined<'a>(stanzas: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for stanza in stanzas {
        bytes.extend_from_slice(stanza);
        bytes.push(b'\n');
    }
    bytes
}

/// The path of an index, as a value.
///
/// # Errors
/// When it is not one that an index can have.
pub fn index_path(path: String) -> Result<RelPath, IndexError> {
    RelPath::new(path).map_err(|source: DomainError| {
        IndexError::Format(FormatError::Value {
            what: "index".to_owned(),
            source,
        })
    })
}
