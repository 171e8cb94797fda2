//! The locked archive: an APT archive whose only packages are the locked ones.

use std::collections::BTreeMap;

use super::catalog::{Found, find, spell};
use super::{EnvironmentError, LockedPackage, SnapshotInput};
use crate::domain::{Architecture, Digest, Sha256, Timestamp};
use crate::trust::ArchiveKey;

/// The name of its only suite.
pub(super) const SUITE: &str = "lock";
/// The name of its only component.
pub(super) const COMPONENT: &str = "main";

/// The files of a locked archive, below `/env/<set digest>/`. Its packages' files are not among them:
/// `Filename` is `<archive>/<path in that archive>`, which the server answers from that archive.
#[derive(Debug, Clone)]
pub struct LockedArchive {
    /// Path (`dists/lock/InRelease`, …) → content.
    pub files: BTreeMap<String, Vec<u8>>,
    /// Path below the archive (`debian/pool/…`) → what has to be there. A server answers no others.
    pub pool: BTreeMap<String, Digest>,
}

/// What names a set of packages before its chroot exists: SHA-256 of the canonical JSON of
/// architecture and packages. The locked archive is served at `/env/<this>/`.
///
/// # Errors
/// Never for values of these types.
pub fn set_digest(architecture: &Architecture, packages: &[LockedPackage]) -> Result<Sha256, EnvironmentError> {
    let bytes = crate::format::json::canonical("environment", &(architecture, packages))
        .map_err(EnvironmentError::format("environment"))?;
    Ok(Sha256::of(&bytes))
}

/// Makes the locked archive of `packages`, whose stanzas are taken from `inputs`: the snapshots
/// that the lock names. `key` is thrown away afterwards; its certificate goes to
/// [`super::ChrootJob`].
///
/// # Errors
/// When a package is not in the indexes with exactly the locked SHA-256, size and path.
pub fn locked_archive(
    architecture: &Architecture,
    packages: &[LockedPackage],
    inputs: &[SnapshotInput],
    key: &ArchiveKey,
    now: Timestamp,
) -> Result<LockedArchive, EnvironmentError> {
    let identity = |p: &LockedPackage| (p.package.clone(), p.version.clone(), p.architecture.clone());
    let wanted: Vec<_> = packages.iter().map(identity).collect();
    let mut index = Vec::new();
    let mut pool = BTreeMap::new();
    for (package, found) in packages.iter().zip(find(inputs, &wanted)?) {
        if *package != found.locked {
            let package = spell(&identity(package));
            return Err(EnvironmentError::NotInSnapshot { package });
        }
        let filename = format!("{}/{}", package.archive, package.filename);
        index.extend(stanza(&found, &filename)?);
        index.push(b'\n');
        let digest = Digest {
            sha256: package.sha256,
            size: package.size,
        };
        pool.insert(filename, digest);
    }
    let path = format!("{COMPONENT}/binary-{architecture}/Packages");
    let entries = [(path.clone(), Digest::of(&index))];
    let release = release_text(SUITE, COMPONENT, architecture, now, &entries);
    let inrelease = key.clearsign(release.as_bytes(), now)?;
    let files = BTreeMap::from([
        (format!("dists/{SUITE}/InRelease"), inrelease),
        (format!("dists/{SUITE}/{path}"), index),
    ]);
    Ok(LockedArchive { files, pool })
}

fn stanza(found: &Found<'_>, filename: &str) -> Result<Vec<u8>, EnvironmentError> {
    let mut paragraph = found.stanza.to_paragraph();
    paragraph
        .set("Filename", filename)
        .map_err(EnvironmentError::format("locked archive"))?;
    Ok(paragraph.to_bytes())
}

/// A Release file for apt's eyes on this machine only; published ones are made by `index`.
pub(super) fn release_text(
    suite: &str,
    components: &str,
    architecture: &Architecture,
    date: Timestamp,
    entries: &[(String, Digest)],
) -> String {
    let mut text = format!(
        "Origin: Assay\nLabel: {suite}\nSuite: {suite}\nCodename: {suite}\nDate: {}\n\
         Architectures: {architecture}\nComponents: {components}\nSHA256:\n",
        date.release_date()
    );
    for (path, digest) in entries {
        text.push_str(&format!(" {} {} {path}\n", digest.sha256, digest.size));
    }
    text
}
