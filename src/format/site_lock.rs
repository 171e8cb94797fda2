//! `assay.lock`: which state of every archive, and which bytes of every declared source, an image is
//! made of. One entry a line, sorted, so that Git merges it well; the same state gives the same bytes.
//!
//! ```text
//! format 1
//! archive ARCHIVE SERIAL ID CONTENT
//! output ARCHIVE SOURCE VERSION POOL-PATH SHA256
//! ```

use std::collections::BTreeMap;

use serde::Serialize;

use super::FormatError;
use super::checksums::{lower_hex, value};
use super::manifest::{Details, Manifest, Wanted, WantedArchitecture};
use crate::domain::{ArchiveName, PackageName, PoolPath, Serial, Sha256, SnapshotId, SnapshotName, Version, escape};

const WHAT: &str = "assay.lock";
const FIRST: &str = "format 1";
/// The most bytes of a lock.
pub const LARGEST: u64 = 64 << 20;

/// What a lock says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SiteLock {
    /// The snapshot of each archive.
    pub archives: BTreeMap<ArchiveName, LockedState>,
    /// Every admitted file of the declared sources.
    pub outputs: BTreeMap<LockedOutput, Sha256>,
}

/// A snapshot, by what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedState {
    /// Its serial.
    pub serial: Serial,
    /// Its id.
    pub id: SnapshotId,
    /// The digest of its content, which renewing keeps (`snapshot::content_digest`).
    pub content: Sha256,
}

/// A file of a source package or its binary packages.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LockedOutput {
    /// The custom archive.
    pub archive: ArchiveName,
    /// The source package.
    pub source: PackageName,
    /// Its version.
    pub version: Version,
    /// Where the archive has it.
    pub path: PoolPath,
}

/// One way in which two locks differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// `added`, `removed` or `changed`.
    pub change: &'static str,
    /// What: `archive debian`, or `output …`.
    pub what: String,
    /// In the first lock.
    pub old: Option<String>,
    /// In the second.
    pub new: Option<String>,
}

impl SiteLock {
    /// Reads a lock.
    ///
    /// # Errors
    /// When a line is malformed, out of order or there twice: as after a Git merge that went wrong.
    pub fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        let text = std::str::from_utf8(bytes).map_err(|_| bad(1, "it is not UTF-8"))?;
        let mut lines = text.lines().enumerate().map(|(at, line)| (at.saturating_add(1), line));
        if lines.next().map(|(_, line)| line) != Some(FIRST) {
            return Err(bad(1, "it does not start with `format 1`"));
        }
        let mut lock = Self::default();
        for (number, line) in lines {
            let words: Vec<&str> = line.split(' ').collect();
            let there = match words.as_slice() {
                ["archive", archive, serial, id, content] => {
                    let state = LockedState {
                        serial: value(WHAT, "serial", serial)?,
                        id: value(WHAT, "id", id)?,
                        content: lower_hex(WHAT, "content", content)?,
                    };
                    lock.archives.insert(value(WHAT, "archive", archive)?, state).is_some()
                }
                ["output", archive, source, version, path, sha256] => {
                    let output = LockedOutput {
                        archive: value(WHAT, "archive", archive)?,
                        source: value(WHAT, "source", source)?,
                        version: value(WHAT, "version", version)?,
                        path: value(WHAT, "path", path)?,
                    };
                    let sha256 = lower_hex(WHAT, "SHA-256", sha256)?;
                    lock.outputs.insert(output, sha256).is_some()
                }
                _ => return Err(bad(number, format!("`{}` is no entry", escape(line)))),
            };
            if there {
                return Err(bad(number, format!("`{}` is there twice", escape(line))));
            }
        }
        let canonical = lock.to_text();
        let mut both = canonical.lines().zip(text.lines()).enumerate();
        if let Some((at, _)) = both.find(|(_, (ours, theirs))| ours != theirs) {
            return Err(bad(at.saturating_add(1), "the entries are not in order"));
        }
        Ok(lock)
    }

    /// The lock's bytes.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = format!("{FIRST}\n");
        for (archive, state) in &self.archives {
            text.push_str(&format!("archive {archive} {state}\n"));
        }
        for (output, sha256) in &self.outputs {
            text.push_str(&format!("{output} {sha256}\n"));
        }
        text
    }

    /// Whether a file starts as locks do.
    #[must_use]
    pub fn is_one(bytes: &[u8]) -> bool {
        bytes.split(|byte| *byte == b'\n').next() == Some(FIRST.as_bytes())
    }

    /// The admitted packages, as a manifest names them: each by its path and hash, with the snapshots they came from.
    ///
    /// # Errors
    /// When a package's file is not named as Debian names them.
    pub fn manifest(&self) -> Result<Manifest, FormatError> {
        let mut manifest = Manifest::default();
        for (archive, state) in &self.archives {
            let serial = SnapshotName::Serial(state.serial.clone());
            manifest.origins.insert(archive.clone(), Some(serial));
        }
        for (output, sha256) in &self.outputs {
            let name = output.path.file_name();
            let details = Details {
                sha256: Some(*sha256),
                archive: Some(output.archive.clone()),
                path: Some(output.path.clone()),
                ..Details::default()
            };
            if let Some(stem) = name.strip_suffix(".deb").or_else(|| name.strip_suffix(".udeb")) {
                manifest.binaries.push(Wanted {
                    details,
                    ..binary(stem)?
                });
            } else if name.ends_with(".dsc") {
                let source = WantedArchitecture::Exactly(value(WHAT, "architecture", "source")?);
                manifest.sources.push(Wanted {
                    details,
                    ..Wanted::new(output.source.clone(), output.version.clone(), source)
                });
            }
        }
        Ok(manifest)
    }

    /// What has to change in this lock to become the other.
    #[must_use]
    pub fn changes(&self, other: &Self) -> Vec<Change> {
        let entries = |lock: &Self| -> BTreeMap<String, String> {
            let archives = lock.archives.iter();
            let archives = archives.map(|(archive, state)| (format!("archive {archive}"), state.to_string()));
            let outputs = lock
                .outputs
                .iter()
                .map(|(output, sha256)| (output.to_string(), sha256.hex()));
            archives.chain(outputs).collect()
        };
        let (old, mut new) = (entries(self), entries(other));
        let mut changes = Vec::new();
        for (what, before) in old {
            let after = new.remove(&what);
            let change = match &after {
                Some(after) if *after == before => continue,
                Some(_) => "changed",
                None => "removed",
            };
            changes.push(Change {
                change,
                what,
                old: Some(before),
                new: after,
            });
        }
        changes.extend(new.into_iter().map(|(what, after)| Change {
            change: "added",
            what,
            old: None,
            new: Some(after),
        }));
        changes.sort_by(|a, b| a.what.cmp(&b.what));
        changes
    }
}

impl std::fmt::Display for LockedState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {}", self.serial, self.id, self.content)
    }
}

impl std::fmt::Display for LockedOutput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            archive,
            source,
            version,
            path,
        } = self;
        write!(f, "output {archive} {source} {version} {path}")
    }
}

/// What `name_version_architecture`, of a .deb's file name, names.
fn binary(stem: &str) -> Result<Wanted, FormatError> {
    let mut parts = stem.splitn(3, '_');
    let (Some(name), Some(version), Some(architecture)) = (parts.next(), parts.next(), parts.next()) else {
        let why = "it is not like `name_version_architecture.deb`";
        return Err(FormatError::malformed(WHAT, escape(stem), why));
    };
    Ok(Wanted::new(
        value(WHAT, "package", name)?,
        value(WHAT, "version", version)?,
        WantedArchitecture::Exactly(value(WHAT, "architecture", architecture)?),
    ))
}

fn bad(line: usize, why: impl ToString) -> FormatError {
    FormatError::malformed(WHAT, format!("line {line}"), why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(entries: &[&str]) -> String {
        let hex = "ab".repeat(32);
        let lines: String = entries.iter().map(|entry| format!("{entry} {hex}\n")).collect();
        format!("format 1\n{lines}")
    }

    const GOOD: [&str; 4] = [
        "archive custom 2026112601 20261126T224744Z",
        "archive debian 2026112602 20261126T225533Z",
        "output custom hello 1.0 pool/main/h/hello/hello_1.0.dsc",
        "output custom hello 1.0 pool/main/h/hello/hello_1.0_amd64.deb",
    ];

    #[test]
    fn one_state_has_one_text() -> Result<(), FormatError> {
        let good = text(&GOOD);
        assert_eq!(SiteLock::parse(good.as_bytes())?.to_text(), good);
        for (bad, why) in [
            (String::new(), "format 1"),
            (text(&[GOOD[1], GOOD[0]]), "not in order"),
            (text(&[GOOD[0], GOOD[0]]), "twice"),
            (text(&["<<<<<<< main"]), "no entry"),
            (text(&["archive ../x 2026112601 20261126T224744Z"]), "archive"),
            (format!("{good}\n"), "no entry"),
        ] {
            let error = SiteLock::parse(bad.as_bytes()).err().map(|error| error.to_string());
            assert!(
                error.as_ref().is_some_and(|error| error.contains(why)),
                "{bad}: {error:?}"
            );
        }
        Ok(())
    }

    #[test]
    fn changes_are_named() -> Result<(), FormatError> {
        let old = SiteLock::parse(text(&GOOD[..3]).as_bytes())?;
        let new = text(&[GOOD[0], "archive debian 2026112701 20261127T225533Z", GOOD[3]]);
        let found = old.changes(&SiteLock::parse(new.as_bytes())?);
        let named: Vec<String> = found.iter().map(|one| format!("{} {}", one.change, one.what)).collect();
        assert_eq!(
            named,
            [
                "changed archive debian".to_owned(),
                format!("removed {}", GOOD[2]),
                format!("added {}", GOOD[3])
            ]
        );
        assert!(old.changes(&old).is_empty());
        Ok(())
    }
}
