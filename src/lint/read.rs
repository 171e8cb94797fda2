//! Reading what the judgement asks for.

use std::collections::BTreeMap;
use std::io::{Cursor, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::judge::{Judgement, Measured, Object, Question, Seen, dists, judge};
use super::signed::LARGEST_RELEASE;
use crate::domain::{Coded, Kind, Timestamp};
use crate::host::{HostError, files};
use crate::store::{HttpStore, Key, Looked, StoreError, hash_stream};

/// How often more may be asked for. Each index has at most fourteen names, and files come last.
const MOST_ROUNDS: usize = 40;
/// The largest file of a package that is read from a server, in bytes.
const LARGEST_FILE: u64 = 1 << 30;
/// How deep below `dists/` suites may be.
const DEEPEST: usize = 4;

/// Where a repository is.
#[derive(Debug, Clone)]
pub enum Repository {
    /// In a folder, as a web server would serve it: links are followed.
    Folder(PathBuf),
    /// Behind a URL.
    Web(Web),
}

/// A server, as apt asks it: redirects are followed, and where that of a suite's Release file leads, all its indexes are fetched.
#[derive(Debug, Clone)]
pub struct Web {
    first: Arc<HttpStore>,
    /// Where the Release files are that are elsewhere, by the folder of their suite.
    moved: Arc<Mutex<BTreeMap<String, Arc<HttpStore>>>>,
}

impl Web {
    fn look(&self, path: &str, key: &Key, limit: u64) -> Result<Looked, LintError> {
        if !path.starts_with("dists/") {
            return Ok(self.first.look(key, limit)?);
        }
        if let Some(moved) = self.moved_of(path) {
            return Ok(moved.look(key, limit)?);
        }
        let looked = self.first.look(key, limit)?;
        if let Looked::Found { url, .. } = &looked
            && let Some((suite, "InRelease" | "Release")) = path.rsplit_once('/')
            && let Some(base) = url.strip_suffix(path)
        {
            let moved = Arc::new(HttpStore::open_following(base)?);
            let mut known = self.moved.lock().unwrap_or_else(PoisonError::into_inner);
            known.entry(suite.to_owned()).or_insert(moved);
        }
        Ok(looked)
    }

    /// Where the suite of this file is, when it is elsewhere.
    fn moved_of(&self, path: &str) -> Option<Arc<HttpStore>> {
        let known = self.moved.lock().unwrap_or_else(PoisonError::into_inner);
        let is_of = |suite: &str| path.strip_prefix(suite).is_some_and(|rest| rest.starts_with('/'));
        let (_, moved) = known.iter().find(|(suite, _)| is_of(suite))?;
        Some(Arc::clone(moved))
    }
}

impl Repository {
    /// The repository at an `http://` or `https://` URL, or in a folder (relative ones below `base`).
    ///
    /// # Errors
    /// When it is neither.
    pub fn open(text: &str, base: &Path) -> Result<Self, LintError> {
        if text.starts_with("http://") || text.starts_with("https://") {
            return Ok(Self::Web(Web {
                first: Arc::new(HttpStore::open_following(text)?),
                moved: Arc::default(),
            }));
        }
        let folder = base.join(text.strip_prefix("file://").unwrap_or(text));
        if files::is_folder(&folder) {
            return Ok(Self::Folder(folder));
        }
        Err(LintError::NoRepository { folder })
    }

    /// Its suites, as a source names them: each folder with a Release below `dists/`, or a flat one at its top; none
    /// of what is behind a URL.
    ///
    /// # Errors
    /// When a folder cannot be listed.
    pub fn suites(&self) -> Result<Vec<String>, LintError> {
        let Self::Folder(folder) = self else {
            return Ok(Vec::new());
        };
        let mut suites = Vec::new();
        below(&folder.join("dists"), "", DEEPEST, &mut suites)?;
        if suites.is_empty() && is_head(folder) {
            suites.push("./".to_owned());
        }
        Ok(suites)
    }

    fn read(&self, path: &str, limit: u64) -> Result<Object, LintError> {
        // What can be no name of an object is nowhere.
        let Ok(key) = Key::new(path) else {
            return Ok(Object::Absent);
        };
        match self {
            Self::Folder(folder) => match files::read(&folder.join(path), limit) {
                Ok(bytes) => Ok(Object::Bytes(bytes)),
                Err(HostError::TooLarge { .. }) => Ok(Object::TooLarge),
                Err(error) if is_absent(&error) => Ok(Object::Absent),
                Err(error) => Err(error.into()),
            },
            Self::Web(web) => Ok(match web.look(path, &key, limit)? {
                Looked::Found { bytes, .. } => Object::Bytes(bytes),
                Looked::TooLarge => Object::TooLarge,
                Looked::Absent => Object::Absent,
                Looked::Astray { to, .. } => Object::Astray(to.unwrap_or_default()),
            }),
        }
    }

    /// When the InRelease of a suite was written.
    fn modified(&self, question: &Question<'_>) -> Option<Timestamp> {
        match self {
            Self::Folder(folder) => files::modified(&folder.join(dists(question, "InRelease"))).ok(),
            Self::Web(_) => None,
        }
    }

    fn measure(&self, path: &str) -> Result<Measured, LintError> {
        let Ok(key) = Key::new(path) else {
            return Ok(Measured::Absent);
        };
        let stream: Box<dyn std::io::Read> = match self {
            Self::Folder(folder) => match files::open(&folder.join(path)) {
                Ok(file) => Box::new(file),
                Err(error) if is_absent(&error) => return Ok(Measured::Absent),
                Err(error) => return Err(error.into()),
            },
            Self::Web(web) => match web.look(path, &key, LARGEST_FILE)? {
                Looked::Found { bytes, .. } => Box::new(Cursor::new(bytes)),
                // Larger than what is read here: nobody knows whether it is the right one.
                Looked::TooLarge => {
                    let limit = LARGEST_FILE;
                    return Err(StoreError::TooLarge { key, limit }.into());
                }
                Looked::Absent | Looked::Astray { .. } => return Ok(Measured::Absent),
            },
        };
        Ok(Measured::Is(hash_stream(&key, stream)?))
    }
}

fn is_absent(error: &HostError) -> bool {
    let HostError::File { source, .. } = error else {
        return false;
    };
    matches!(source.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

fn is_head(folder: &Path) -> bool {
    files::exists(&folder.join("InRelease")) || files::exists(&folder.join("Release"))
}

fn below(folder: &Path, name: &str, deep: usize, suites: &mut Vec<String>) -> Result<(), LintError> {
    // A mirror of ours keeps there what upstream signed, over indexes that it may not have.
    let is_other = |name: &str| name.starts_with("binary-") || matches!(name, "source" | "upstream" | "by-hash");
    if !name.is_empty() && is_head(folder) {
        suites.push(name.to_owned());
    }
    for path in files::list(folder)? {
        let last = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if deep > 0 && !is_other(last) && files::is_folder(&path) {
            let name = if name.is_empty() {
                last.to_owned()
            } else {
                format!("{name}/{last}")
            };
            below(&path, &name, deep.saturating_sub(1), suites)?;
        }
    }
    Ok(())
}

/// Reads as much of a suite as apt would, and judges it. `before` is the same repository as clients have it.
///
/// # Errors
/// When something can be neither read nor said to be absent.
pub fn lint(
    repository: &Repository,
    before: Option<&Repository>,
    question: &Question<'_>,
) -> Result<Judgement, LintError> {
    let mut seen = Seen {
        modified: repository.modified(question),
        ..Seen::default()
    };
    let before = before.map(|before| heads(before, question)).transpose()?;
    for _ in 0..MOST_ROUNDS {
        let judgement = judge(question, &seen, before.as_ref());
        if judgement.wanted.is_empty() && judgement.unmeasured.is_empty() {
            return Ok(judgement);
        }
        for (path, limit) in judgement.wanted {
            let object = repository.read(&path, limit)?;
            seen.objects.insert(path, object);
        }
        for path in judgement.unmeasured {
            let measured = repository.measure(&path)?;
            seen.files.insert(path, measured);
        }
    }
    Err(LintError::Endless {
        suite: question.suite.to_owned(),
    })
}

/// The Release files that clients have.
fn heads(before: &Repository, question: &Question<'_>) -> Result<Seen, LintError> {
    let mut seen = Seen {
        modified: before.modified(question),
        ..Seen::default()
    };
    for name in ["InRelease", "Release", "Release.gpg"] {
        let path = dists(question, name);
        let object = before.read(&path, LARGEST_RELEASE)?;
        seen.objects.insert(path, object);
    }
    Ok(seen)
}

/// What stands in the way of a judgement.
#[derive(Debug, thiserror::Error)]
pub enum LintError {
    /// The repository cannot be read over HTTP.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The repository's folder cannot be read.
    #[error(transparent)]
    Host(#[from] HostError),
    /// There is no such folder.
    #[error("`{}` is neither a folder nor an `http://` or `https://` URL", folder.display())]
    NoRepository {
        /// The folder.
        folder: PathBuf,
    },
    /// More and more is asked for.
    #[error("`{suite}`: reading it comes to no end")]
    Endless {
        /// The suite.
        suite: String,
    },
}

impl Coded for LintError {
    fn code(&self) -> &'static str {
        match self {
            Self::Store(error) => error.code(),
            Self::Host(error) => error.code(),
            Self::NoRepository { .. } => "E-LINT-002",
            Self::Endless { .. } => "E-LINT-001",
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Store(error) => error.kind(),
            Self::Host(error) => error.kind(),
            Self::NoRepository { .. } => Kind::Usage,
            Self::Endless { .. } => Kind::Bug,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Store(error) => error.hint(),
            Self::Host(error) => error.hint(),
            Self::NoRepository { .. } | Self::Endless { .. } => None,
        }
    }
}
