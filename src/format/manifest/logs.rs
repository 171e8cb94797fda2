//! What a build fetched, as Tails captures it: lines of `package version uri`, in one file for binary packages of
//! debootstrap, one for those of apt, and one for sources.

use super::{Manifest, Wanted, WantedArchitecture};
use crate::domain::{Architecture, ArchiveName, SnapshotName, TagName};
use crate::format::FormatError;
use crate::format::checksums::value;

const WHAT: &str = "log of fetched packages";

impl Manifest {
    /// Adds the binary packages of a log; and the archives and snapshots that its URIs are below.
    ///
    /// # Errors
    /// When a line is not `package version uri`, or the URI of a .deb; when two snapshots of one archive were used.
    pub fn add_fetched_binaries(&mut self, log: &[u8]) -> Result<(), FormatError> {
        for (number, [package, version, uri]) in lines(log)? {
            let name = uri.rsplit('/').next().unwrap_or_default();
            let architecture = name.strip_suffix(".deb").and_then(|name| name.rsplit_once('_'));
            let (_, architecture) = architecture.ok_or_else(|| bad(number, "its URI is not that of a .deb"))?;
            let architecture: Architecture = value(WHAT, "architecture", architecture)?;
            let wanted = WantedArchitecture::Exactly(architecture);
            let wanted = Wanted::new(
                value(WHAT, "package", package)?,
                value(WHAT, "version", version)?,
                wanted,
            );
            let found = self.origin(number, uri, wanted)?;
            self.binaries.push(found);
        }
        self.settle();
        Ok(())
    }

    /// Adds the source packages of a log, each once however many files it has.
    ///
    /// # Errors
    /// As for binary packages.
    pub fn add_fetched_sources(&mut self, log: &[u8]) -> Result<(), FormatError> {
        for (number, [package, version, uri]) in lines(log)? {
            let architecture = WantedArchitecture::Exactly(value(WHAT, "architecture", "source")?);
            let wanted = Wanted::new(
                value(WHAT, "package", package)?,
                value(WHAT, "version", version)?,
                architecture,
            );
            let found = self.origin(number, uri, wanted)?;
            self.sources.push(found);
        }
        self.settle();
        Ok(())
    }

    /// The package with its archive, when its URI is that of a snapshot of ours: `…/ARCHIVE/SNAPSHOT/pool/…`
    /// or `…/TAG/ARCHIVE/pool/…`.
    fn origin(&mut self, number: usize, uri: &str, mut wanted: Wanted) -> Result<Wanted, FormatError> {
        let Some((archive, name)) = place(uri) else {
            return Ok(wanted);
        };
        let known = self.origins.entry(archive.clone()).or_default();
        if known.as_ref().is_some_and(|known| *known != name) {
            return Err(bad(
                number,
                "its URI is of another snapshot than those before it of this archive",
            ));
        }
        *known = Some(name);
        wanted.details.archive = Some(archive);
        Ok(wanted)
    }
}

fn place(uri: &str) -> Option<(ArchiveName, SnapshotName)> {
    let (base, _) = uri.split_once("/pool/")?;
    let mut parts = base.rsplit('/');
    let (last, before) = (parts.next()?, parts.next()?);
    match last.parse() {
        Ok(name @ (SnapshotName::Serial(_) | SnapshotName::At(_))) => Some((before.parse().ok()?, name)),
        _ => Some((last.parse().ok()?, SnapshotName::Tag(before.parse::<TagName>().ok()?))),
    }
}

fn lines(log: &[u8]) -> Result<Vec<(usize, [&str; 3])>, FormatError> {
    let text = std::str::from_utf8(log).map_err(|_| bad(1, "it is not UTF-8"))?;
    let mut found = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let mut words = line.split_ascii_whitespace();
        match (words.next(), words.next(), words.next(), words.next()) {
            (None, ..) => {}
            (Some(package), Some(version), Some(uri), None) => {
                found.push((at.saturating_add(1), [package, version, uri]))
            }
            _ => return Err(bad(at.saturating_add(1), "it is not `package version uri`")),
        }
    }
    Ok(found)
}

fn bad(number: usize, why: &str) -> FormatError {
    FormatError::malformed(WHAT, format!("line {number}"), why)
}
