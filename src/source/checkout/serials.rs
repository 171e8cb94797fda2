//! Serial files: `config/APT_snapshots.d/ARCHIVE/serial`, one line, a serial or `latest`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::domain::{ArchiveName, Serial, escape};
use crate::host::files;
use crate::source::SourceError;

const LARGEST: u64 = 1000;

/// What a serial file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frozen {
    /// `latest`.
    Latest,
    /// A serial.
    At(Serial),
}

/// One serial file, and what it becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SerialChange {
    /// Which archive.
    pub archive: ArchiveName,
    /// What it holds.
    pub old: Frozen,
    /// What it will hold.
    pub new: Frozen,
}

/// Serials by archive, as Tails exports them from one build to another.
pub type Serials = BTreeMap<ArchiveName, Serial>;

/// Refuses serials of archives that a site does not have: nobody would look at them, and it would be another build than the one
/// that is replayed.
///
/// # Errors
/// When there is one; it names the archives that the site has.
pub fn check_replayed<'a>(
    serials: &Serials,
    site: impl Iterator<Item = &'a ArchiveName> + Clone,
) -> Result<(), SourceError> {
    let Some(unknown) = serials.keys().find(|archive| !site.clone().any(|own| own == *archive)) else {
        return Ok(());
    };
    let known: Vec<String> = site.map(|archive| format!("`{archive}`")).collect();
    let why = format!(
        "the build that is replayed has a serial of `{unknown}`, and this site has no such archive: it has {}",
        known.join(", ")
    );
    let fix = format!("give the serials of a build of this very site, or add `repos/{unknown}.toml`");
    Err(SourceError::checkout("replay", &why, &fix))
}

impl Frozen {
    /// The serial that a build takes: that of the build it replays, or its own; none when it is to take
    /// the newest.
    ///
    /// # Errors
    /// When the replayed build has none for the archive, or another one than the serial file.
    pub fn settle(&self, archive: &ArchiveName, replayed: Option<&Serials>) -> Result<Option<Serial>, SourceError> {
        let own = match self {
            Self::At(serial) => Some(serial),
            Self::Latest => None,
        };
        let Some(replayed) = replayed else {
            return Ok(own.cloned());
        };
        let fix = "give the serials of a build of this very checkout";
        let Some(theirs) = replayed.get(archive) else {
            let why = format!("the build that is replayed has no serial of `{archive}`");
            return Err(SourceError::checkout("replay", &why, fix));
        };
        match own {
            Some(own) if own != theirs => {
                let why =
                    format!("the build that is replayed had {theirs} of `{archive}`, and the serial file has {own}");
                Err(SourceError::checkout("replay", &why, fix))
            }
            _ => Ok(Some(theirs.clone())),
        }
    }
}

impl std::fmt::Display for Frozen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Latest => f.pad("latest"),
            Self::At(serial) => serial.fmt(f),
        }
    }
}

/// The serial file of every archive below `tree`, a path relative to the checkout. Names that start
/// with a dot (`.placeholder`) are passed over.
///
/// # Errors
/// When a file is missing, or does not hold one line with a serial or `latest`.
pub fn read_serials(checkout: &Path, tree: &Path) -> Result<BTreeMap<ArchiveName, Frozen>, SourceError> {
    let mut serials = BTreeMap::new();
    for path in files::list_beneath(checkout, tree)?
        .iter()
        .filter(|path| !is_hidden(path))
    {
        let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        let archive = ArchiveName::new(name.as_ref()).map_err(|source| SourceError::Name {
            what: tree.display().to_string(),
            source,
        })?;
        let file = file_of(tree, &archive);
        let bytes = files::read_beneath(checkout, &file, LARGEST)?;
        serials.insert(archive, parse(&file, &bytes)?);
    }
    Ok(serials)
}

/// Writes the new content of serial files. Whoever called commits them to Git.
///
/// # Errors
/// When one cannot be written, or is no longer what it was.
pub fn change_serials(checkout: &Path, tree: &Path, changes: &[SerialChange]) -> Result<(), SourceError> {
    for change in changes {
        let file = file_of(tree, &change.archive);
        let bytes = files::read_beneath(checkout, &file, LARGEST)?;
        if parse(&file, &bytes)? != change.old {
            let fix = "run the command again";
            let why = format!("`{}` changed meanwhile", file.display());
            return Err(SourceError::checkout("serial", &why, fix));
        }
        files::write(&checkout.join(&file), format!("{}\n", change.new).as_bytes())?;
    }
    Ok(())
}

pub(super) fn is_hidden(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| name.to_string_lossy().starts_with('.'))
}

fn file_of(tree: &Path, archive: &ArchiveName) -> PathBuf {
    tree.join(archive.as_str()).join("serial")
}

pub(super) fn parse(file: &Path, bytes: &[u8]) -> Result<Frozen, SourceError> {
    let text = String::from_utf8_lossy(bytes);
    let line = text.strip_suffix('\n').unwrap_or(&text);
    if line == "latest" {
        return Ok(Frozen::Latest);
    }
    Serial::new(line).map(Frozen::At).map_err(|_| {
        let is_good = |line: &str| line == "latest" || Serial::new(line).is_ok();
        // Of several that are good nobody knows which counts.
        let mut lines = (1..).zip(text.split('\n'));
        let (n, line) = lines.find(|(n, line)| *n > 1 || !is_good(line)).unwrap_or((1, line));
        let why = format!("`{}`, line {n}, holds `{}`", file.display(), escape(line));
        let fix = "it must hold one line: a serial such as 2026112201, or `latest`";
        SourceError::checkout("serial", &why, fix)
    })
}
