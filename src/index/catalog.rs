//! The catalog: what a suite holds, as stanzas; and all of its Packages and Sources files.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use super::IndexError;
use crate::domain::{Architecture, Component, DomainError, PackageName, PoolPath, RelPath, Sha256, Version};
use crate::format::FormatError;
use crate::format::deb822::Stanzas;
use crate::format::packages::{Binary, Source};
use crate::site::AllPackages;

/// The stanzas of one suite, as slices of the indexes that they were read from. Adding the same stanza
/// again changes nothing; another one for the same package, version and architecture is refused.
#[derive(Debug, Clone, Default)]
pub struct Catalog<'a> {
    /// In the order that they came in: of indexes of ours, nearly that of the output.
    binaries: Vec<Listed<'a, Binary>>,
    sources: Vec<Listed<'a, Source>>,
    by_binary: HashMap<(PackageName, Version, Architecture), usize>,
    by_source: HashMap<(PackageName, Version), usize>,
    files: HashMap<PoolPath, Sha256>,
}

/// A stanza, with what it says.
#[derive(Debug, Clone)]
struct Listed<'a, T> {
    component: Component,
    stanza: &'a [u8],
    says: T,
}

impl<'a> Catalog<'a> {
    /// A suite without packages.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds all stanzas of a Packages file.
    ///
    /// # Errors
    /// When one is malformed, or contradicts what is there.
    pub fn add_packages(&mut self, component: &Component, packages: &'a [u8]) -> Result<(), IndexError> {
        for stanza in Stanzas::new(packages) {
            let stanza = stanza?;
            self.add_binary(Listed {
                component: component.clone(),
                stanza: stanza.bytes(),
                says: Binary::from_stanza(&stanza)?,
            })?;
        }
        Ok(())
    }

    /// Adds all stanzas of a Sources file.
    ///
    /// # Errors
    /// When one is malformed, or contradicts what is there.
    pub fn add_sources(&mut self, component: &Component, sources: &'a [u8]) -> Result<(), IndexError> {
        for stanza in Stanzas::new(sources) {
            let stanza = stanza?;
            self.add_source(Listed {
                component: component.clone(),
                stanza: stanza.bytes(),
                says: Source::from_stanza(&stanza)?,
            })?;
        }
        Ok(())
    }

    /// The binary packages, with the component of each.
    pub fn binaries(&self) -> impl Iterator<Item = (&Component, &Binary)> {
        self.binaries.iter().map(|listed| (&listed.component, &listed.says))
    }

    /// The source packages, with the component of each.
    pub fn sources(&self) -> impl Iterator<Item = (&Component, &Source)> {
        self.sources.iter().map(|listed| (&listed.component, &listed.says))
    }

    /// The pool files that its stanzas name.
    pub fn files(&self) -> impl Iterator<Item = (&PoolPath, &Sha256)> {
        self.files.iter()
    }

    /// Takes out the binary packages and sources for which `keep` says no. `keep` sees the name and
    /// version of a source package, or of the source that a binary was built from.
    ///
    /// # Errors
    /// Never: the stanzas were read when they came.
    pub fn retain(&mut self, keep: impl Fn(&PackageName, &Version) -> bool) -> Result<(), IndexError> {
        self.retain_each(
            |binary| keep(&binary.source, &binary.source_version),
            |source| keep(&source.package, &source.version),
        )
    }

    /// The same, of each as its stanza says it.
    ///
    /// # Errors
    /// Never: the stanzas were read when they came.
    pub fn retain_each(
        &mut self,
        keep_binary: impl Fn(&Binary) -> bool,
        keep_source: impl Fn(&Source) -> bool,
    ) -> Result<(), IndexError> {
        let Self { binaries, sources, .. } = std::mem::take(self);
        for listed in binaries {
            if keep_binary(&listed.says) {
                self.add_binary(listed)?;
            }
        }
        for listed in sources {
            if keep_source(&listed.says) {
                self.add_source(listed)?;
            }
        }
        Ok(())
    }

    fn add_binary(&mut self, listed: Listed<'a, Binary>) -> Result<(), IndexError> {
        let Binary {
            package,
            version,
            architecture,
            ..
        } = &listed.says;
        let key = (package.clone(), version.clone(), architecture.clone());
        if !is_new(self.by_binary.entry(key), &self.binaries, &listed, || {
            format!("{package} {version} {architecture}")
        })? {
            return Ok(());
        }
        claim(&mut self.files, &listed.says.filename, listed.says.digest.sha256)?;
        self.binaries.push(listed);
        Ok(())
    }

    fn add_source(&mut self, listed: Listed<'a, Source>) -> Result<(), IndexError> {
        let Source { package, version, .. } = &listed.says;
        let key = (package.clone(), version.clone());
        if !is_new(self.by_source.entry(key), &self.sources, &listed, || {
            format!("{package} {version} source")
        })? {
            return Ok(());
        }
        for (path, digest) in listed.says.pool_files()? {
            claim(&mut self.files, &path, digest.sha256)?;
        }
        self.sources.push(listed);
        Ok(())
    }
}

fn claim(files: &mut HashMap<PoolPath, Sha256>, path: &PoolPath, sha256: Sha256) -> Result<(), IndexError> {
    match files.get(path) {
        Some(there) if *there != sha256 => Err(IndexError::Conflict { what: path.to_string() }),
        Some(_) => Ok(()),
        None => {
            files.insert(path.clone(), sha256);
            Ok(())
        }
    }
}

/// Whether nothing stands under this key yet; then the next place in the list is its.
fn is_new<K, T>(
    entry: Entry<'_, K, usize>,
    list: &[Listed<'_, T>],
    new: &Listed<'_, T>,
    what: impl Fn() -> String,
) -> Result<bool, IndexError> {
    match entry {
        Entry::Vacant(place) => {
            place.insert(list.len());
            Ok(true)
        }
        Entry::Occupied(there) => match list.get(*there.get()) {
            Some(old) if old.component == new.component && old.stanza == new.stanza => Ok(false),
            _ => Err(IndexError::Conflict { what: what() }),
        },
    }
}

/// Every Packages and Sources file of a suite, uncompressed, empty ones too, sorted by path. Packages for all architectures
/// stand where `all` says; `all` itself and `source` among `architectures` give no file of their own. Within a file: by name, then version
/// as dpkg orders them (equal ones by text), then architecture.
///
/// # Errors
/// When a package is for a component or architecture that is not named.
pub fn suite_indexes(
    catalog: &Catalog<'_>,
    components: &[Component],
    architectures: &[Architecture],
    all: AllPackages,
) -> Result<Vec<(RelPath, Vec<u8>)>, IndexError> {
    check_inside(catalog, components, architectures)?;
    let mut binaries: Vec<_> = catalog.binaries.iter().collect();
    binaries.sort_by(|a, b| {
        let (a, b) = (&a.says, &b.says);
        let names = a.package.cmp(&b.package);
        names
            .then_with(|| a.version.dpkg_cmp(&b.version))
            .then_with(|| (&a.version, &a.architecture).cmp(&(&b.version, &b.architecture)))
    });
    let mut sources: Vec<_> = catalog.sources.iter().collect();
    sources.sort_by(|a, b| {
        let (a, b) = (&a.says, &b.says);
        let names = a.package.cmp(&b.package);
        names
            .then_with(|| a.version.dpkg_cmp(&b.version))
            .then_with(|| a.version.cmp(&b.version))
    });
    fn stanza<'a>(listed: &Listed<'a, Binary>) -> &'a [u8] {
        listed.stanza
    }
    let mut files = BTreeMap::new();
    for component in components {
        for architecture in architectures.iter().filter(|a| has_index(a)) {
            let here = binaries.iter().filter(|listed| {
                let of = &listed.says.architecture;
                // The installer reads no index for all architectures.
                let is_in_each = all.is_in_each() || is_udeb(&listed.says.filename);
                listed.component == *component && (of == architecture || (of.is_all() && is_in_each))
            });
            let (udebs, debs): (Vec<_>, Vec<_>) = here.partition(|listed| is_udeb(&listed.says.filename));
            let path = format!("{component}/binary-{architecture}/Packages");
            files.insert(index_path(path)?, joined(debs.into_iter().map(stanza)));
            // The installer's packages are no others' business: apt must not find them.
            if !udebs.is_empty() {
                let path = format!("{component}/debian-installer/binary-{architecture}/Packages");
                files.insert(index_path(path)?, joined(udebs.into_iter().map(stanza)));
            }
        }
        if all.has_index() {
            let here = binaries.iter().filter(|listed| {
                let of_all = listed.says.architecture.is_all() && !is_udeb(&listed.says.filename);
                listed.component == *component && of_all
            });
            let path = format!("{component}/binary-all/Packages");
            files.insert(index_path(path)?, joined(here.copied().map(stanza)));
        }
        let stanzas = sources.iter().filter(|listed| listed.component == *component);
        let path = format!("{component}/source/Sources");
        files.insert(index_path(path)?, joined(stanzas.map(|listed| listed.stanza)));
    }
    Ok(files.into_iter().collect())
}

/// Whether a file is a package of the installer.
fn is_udeb(path: &PoolPath) -> bool {
    path.as_str().ends_with(".udeb")
}

/// Whether an architecture has indexes of its own: what is for `all` stands in those of every other.
#[must_use]
pub fn has_index(architecture: &Architecture) -> bool {
    !architecture.is_all() && architecture.as_str() != "source"
}

fn check_inside(
    catalog: &Catalog<'_>,
    components: &[Component],
    architectures: &[Architecture],
) -> Result<(), IndexError> {
    let outside = |package: &PackageName, what, value: &str| IndexError::Outside {
        package: package.to_string(),
        what,
        value: value.to_owned(),
    };
    let binaries = catalog
        .binaries()
        .map(|(component, binary)| (component, &binary.package));
    let sources = catalog
        .sources()
        .map(|(component, source)| (component, &source.package));
    for (component, name) in binaries.chain(sources) {
        if !components.contains(component) {
            return Err(outside(name, "component", component.as_str()));
        }
    }
    for (_, binary) in catalog.binaries() {
        let of = &binary.architecture;
        let inside = of.is_all() || (has_index(of) && architectures.contains(of));
        if !inside {
            return Err(outside(&binary.package, "architecture", of.as_str()));
        }
    }
    Ok(())
}

/// The stanzas with an empty line after each, as Debian's own indexes have them.
fn joined<'a>(stanzas: impl Iterator<Item = &'a [u8]> + Clone) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(stanzas.clone().map(|stanza| stanza.len() + 1).sum());
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
