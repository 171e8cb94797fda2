//! Uploads: a `.changes` file and what it names, in a folder that somebody else fills.
//!
//! Nothing in the folder is trusted. No link is followed; what is no regular file, or larger than it says,
//! is not read; and only bytes of the SHA-256 that the `.changes` gives get into the store, whatever happens
//! to the file meanwhile. The signature on a `.changes` is nobody's vote and is not looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::admission::{Candidate, Offered, Output};
use crate::domain::{ArchiveName, Coded, Digest, FileName, Kind, PackageName, Sha256, Timestamp, Version, escape};
use crate::format::FormatError;
use crate::format::changes::Changes;
use crate::host::files::OpenFolder;
use crate::host::{HostError, files};
use crate::source::Declaration;
use crate::store::{Key, Store, StoreError, hash_stream};
use crate::trust::{TrustError, unverified_text};

use super::{GateError, add_document, hold, inspect};

/// The largest .changes file, the largest file and the largest upload that are read, in bytes.
const LARGEST_CHANGES: u64 = 1 << 20;
const LARGEST_FILE: u64 = 2 << 30;
const LARGEST_UPLOAD: u64 = 8 << 30;
/// The most files of an upload.
const MOST_FILES: usize = 1000;
/// How the name of an upload ends.
const CHANGES: &str = ".changes";
/// Where refused uploads go, below the folder.
const REFUSED: &str = "refused";

/// What somebody offers.
#[derive(Debug, Clone)]
pub struct Upload {
    folder: PathBuf,
    text: Vec<u8>,
    /// The source package.
    pub source: PackageName,
    /// Its version.
    pub version: Version,
    files: Vec<(FileName, Digest)>,
}

impl Upload {
    /// Reads a `.changes` file in a folder; not yet what it names.
    ///
    /// # Errors
    /// When it is no regular file, too large or malformed, or names more than is taken.
    pub fn read(folder: &Path, name: &FileName) -> Result<Self, UploadError> {
        let text = files::read_beneath(folder, Path::new(name.as_str()), LARGEST_CHANGES)?;
        let malformed = |why: String| UploadError::Malformed {
            path: folder.join(name.as_str()),
            why,
        };
        let signed = text.starts_with(b"-----BEGIN PGP SIGNED MESSAGE-----");
        let plain = if signed {
            unverified_text(&text).map_err(|error: TrustError| malformed(error.to_string()))?
        } else {
            text.clone()
        };
        let changes = Changes::parse(&plain).map_err(|error: FormatError| malformed(error.to_string()))?;
        // Else it would take another upload away with it, or the folder of those that were refused.
        let is_no_file_of_it = |name: &FileName| name.as_str().ends_with(CHANGES) || name.as_str() == REFUSED;
        if let Some((other, _)) = changes.files.iter().find(|(name, _)| is_no_file_of_it(name)) {
            return Err(UploadError::Nested {
                path: folder.join(name.as_str()),
                other: other.clone(),
            });
        }
        if changes.version != changes.source_version {
            return Err(UploadError::Differs {
                path: folder.join(name.as_str()),
                why: format!(
                    "its packages are {} of the source {}, and only a declared version is built here",
                    changes.version, changes.source_version
                ),
            });
        }
        let total = changes
            .files
            .iter()
            .fold(0_u64, |sum, (_, digest)| sum.saturating_add(digest.size));
        let largest = changes
            .files
            .iter()
            .map(|(_, digest)| digest.size)
            .max()
            .unwrap_or_default();
        if largest > LARGEST_FILE || total > LARGEST_UPLOAD || changes.files.len() > MOST_FILES {
            return Err(UploadError::TooMuch {
                path: folder.join(name.as_str()),
                files: changes.files.len(),
                bytes: total,
            });
        }
        let stem = format!("{}_{}_", changes.source, changes.version.without_epoch());
        if !name.as_str().starts_with(&stem) {
            return Err(UploadError::Differs {
                path: folder.join(name.as_str()),
                why: format!(
                    "a .changes of {} {} is named `{stem}…{CHANGES}`",
                    changes.source, changes.version
                ),
            });
        }
        Ok(Self {
            folder: folder.to_owned(),
            text,
            source: changes.source,
            version: changes.source_version,
            files: changes.files,
        })
    }

    /// Whether everything that it names is there, as it says.
    ///
    /// # Errors
    /// When a file is missing, is no regular file, or is another than the `.changes` says.
    pub fn check(&self) -> Result<(), UploadError> {
        for (name, said) in &self.files {
            let path = self.folder.join(name.as_str());
            let (file, size) = self.open(name)?;
            if size != said.size {
                return Err(UploadError::Size {
                    path,
                    said: said.size,
                    found: size,
                });
            }
            let key = Key::new(name.as_str())?;
            let found = hash_stream(&key, std::io::Read::take(file, said.size.saturating_add(1)))?;
            if found != *said {
                return Err(UploadError::Other {
                    path,
                    said: *said,
                    found,
                });
            }
        }
        Ok(())
    }

    fn open(&self, name: &FileName) -> Result<(impl std::io::Read + use<>, u64), UploadError> {
        let path = self.folder.join(name.as_str());
        if !files::exists(&path) {
            return Err(UploadError::Missing(path));
        }
        Ok(files::open_beneath(&self.folder, Path::new(name.as_str()))?)
    }

    /// Where it lies.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// All that it names.
    #[must_use]
    pub fn files(&self) -> &[(FileName, Digest)] {
        &self.files
    }

    /// Its packages, by name and digest.
    pub fn packages(&self) -> impl Iterator<Item = &(FileName, Digest)> {
        let package = |name: &str| [".deb", ".udeb", ".ddeb"].iter().any(|end| name.ends_with(end));
        self.files.iter().filter(move |(name, _)| package(name.as_str()))
    }

    /// Whether it brings a source package.
    #[must_use]
    pub fn has_source(&self) -> bool {
        self.files.iter().any(|(name, _)| name.as_str().ends_with(".dsc"))
    }

    /// Holds the packages and keeps the `.changes`, of an upload that brings nothing else than what is declared.
    ///
    /// # Errors
    /// As [`Upload::check_brought`]; when a file has other bytes by now; the store's failure.
    pub fn hold(
        &self,
        store: &dyn Store,
        archive: &ArchiveName,
        declaration: &Declaration,
    ) -> Result<Offer, UploadError> {
        self.check_brought(declaration)?;
        let mut packages = Vec::new();
        for (name, digest) in self.packages() {
            let (mut file, _) = self.open(name)?;
            hold(store, archive, digest, &mut file)?;
            packages.push(inspect(store, archive, name.clone(), digest.sha256)?);
        }
        Ok(Offer {
            changes: add_document(store, archive, &self.text)?,
            packages,
            files: self.files.clone(),
        })
    }
}

/// What an upload offers, in the store: the folder has no say any more.
#[derive(Debug, Clone)]
pub struct Offer {
    changes: Sha256,
    packages: Vec<Output>,
    files: Vec<(FileName, Digest)>,
}

impl Offer {
    /// Puts what is offered in the place of what the rebuilders gave.
    ///
    /// Tarballs take the place of the derived ones, and rule S8 says whether they are the same; the .dsc of an
    /// upload is signed by whoever built it, so it is never the derived one. A source alone asks for what the
    /// rebuilders gave.
    pub fn put_into(&self, candidate: &mut Candidate) {
        candidate.offered = Offered::Upload { changes: self.changes };
        for file in &mut candidate.source_files {
            let ours = self.files.iter().find(|(name, _)| *name == file.name);
            if let Some((_, digest)) = ours.filter(|(name, _)| !name.as_str().ends_with(".dsc")) {
                file.digest = *digest;
            }
        }
        let has_source = self.files.iter().any(|(name, _)| name.as_str().ends_with(".dsc"));
        if self.packages.is_empty() && has_source {
            return;
        }
        for set in &mut candidate.sets {
            set.outputs.clone_from(&self.packages);
        }
    }
}

/// A folder that uploads arrive in, as `dput` writes them: the files first, the `.changes` last.
#[derive(Debug)]
pub struct Incoming {
    folder: PathBuf,
    /// The names of `.changes` files in it, sorted.
    pub changes: Vec<FileName>,
    /// Names of `.changes` files that no archive could have, escaped: they are left where they are.
    pub strange: Vec<String>,
    /// What each of those names which is still there.
    named: BTreeMap<FileName, BTreeMap<FileName, Digest>>,
}

impl Incoming {
    /// Looks into the folder. What is named otherwise than a `.changes` file waits for one.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn look(folder: &Path) -> Result<Self, UploadError> {
        let folder = files::absolute(folder)?;
        let mut incoming = Self {
            folder,
            changes: Vec::new(),
            strange: Vec::new(),
            named: BTreeMap::new(),
        };
        for name in incoming.uploads()? {
            match FileName::new(name.as_str()) {
                Ok(file) => incoming.changes.push(file),
                Err(_) => incoming.strange.push(escape(&name)),
            }
        }
        incoming.look_again()?;
        Ok(incoming)
    }

    /// The names that end as an upload's do.
    fn uploads(&self) -> Result<Vec<String>, UploadError> {
        let paths = files::list(&self.folder)?;
        let names = paths.iter().filter_map(|path| path.file_name());
        let names = names.map(|name| name.to_string_lossy().into_owned());
        Ok(names.filter(|name| name.ends_with(CHANGES)).collect())
    }

    /// Reads the uploads that came meanwhile: none of their files goes with another.
    fn look_again(&mut self) -> Result<(), UploadError> {
        for name in self.uploads()? {
            let Ok(name) = FileName::new(name) else { continue };
            if !self.named.contains_key(&name)
                && let Ok(upload) = Upload::read(&self.folder, &name)
            {
                self.named.insert(name, upload.files.into_iter().collect());
            }
        }
        Ok(())
    }

    /// Why an upload whose files are not as it says need not be waited for: another one says of the same file that it is something
    /// else, so both can never be whole.
    #[must_use]
    pub fn contested(&self, name: &FileName) -> Option<UploadError> {
        let own = self.named.get(name)?;
        let others = self.named.iter().filter(|(other, _)| *other != name);
        let mut others = others;
        others.find_map(|(other, theirs)| {
            let (file, _) = own
                .iter()
                .find(|(file, digest)| theirs.get(*file).is_some_and(|their| their != *digest))?;
            Some(UploadError::Contested {
                path: self.folder.join(name.as_str()),
                file: file.clone(),
                other: other.clone(),
            })
        })
    }

    /// Where it is.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// For how many seconds nobody has touched an upload.
    #[must_use]
    pub fn idle(&self, name: &FileName, now: Timestamp) -> i64 {
        let names = self.names(name);
        let touched = names
            .iter()
            .filter_map(|name| files::modified(&self.folder.join(name.as_str())).ok());
        touched.max().map_or(i64::MAX, |at| now.since(at))
    }

    /// The `.changes` file and all that it names, when it can be read.
    fn names(&self, name: &FileName) -> Vec<FileName> {
        let upload = Upload::read(&self.folder, name).ok();
        let files = upload.into_iter().flat_map(|upload| upload.files).map(|(name, _)| name);
        [name.clone()].into_iter().chain(files).collect()
    }

    /// What goes when an upload goes: all of it but what another one names that is still there. Of several that name
    /// a file, the last one takes it along.
    fn goes_with(&mut self, name: &FileName) -> Result<Vec<FileName>, UploadError> {
        self.look_again()?;
        let others = self.named.iter().filter(|(other, _)| *other != name);
        let needed: BTreeSet<&FileName> = others.flat_map(|(_, files)| files.keys()).collect();
        let mut names = self.names(name);
        names.retain(|name| !needed.contains(name));
        Ok(names)
    }

    /// Takes an admitted upload away: the store has it. The `.changes` goes first, so that a crash leaves
    /// files that no upload names, and not half an upload.
    ///
    /// # Errors
    /// When a file cannot be removed.
    pub fn done(&mut self, name: &FileName) -> Result<(), UploadError> {
        let folder = OpenFolder::open(&self.folder)?;
        for name in self.goes_with(name)? {
            folder.remove(name.as_str())?;
        }
        self.named.remove(name);
        Ok(())
    }

    /// Moves a refused upload, whole, into `refused/` with the reason beside it; gives where the reason is. The `.changes` goes first, as
    /// in `done`: else the next run would find an upload that lacks files, and refuse it once more for that.
    /// Files that another upload names, which is still there, stay. By descriptor: whoever fills the folder can put a link in the
    /// place of `refused`.
    ///
    /// # Errors
    /// When `refused` is a link or somebody else's, a file cannot be moved, or the reason cannot be written.
    pub fn refuse(&mut self, name: &FileName, reason: &str) -> Result<PathBuf, UploadError> {
        let stem = name.as_str().trim_end_matches(CHANGES);
        let folder = OpenFolder::open(&self.folder)?;
        let refused = folder.own_folder(REFUSED)?;
        let mut number = 1_u32;
        let mut made = refused.new_folder(stem)?;
        let place = loop {
            if let Some(place) = made {
                break place;
            }
            number = number.saturating_add(1);
            made = refused.new_folder(&format!("{stem}.{number}"))?;
        };
        let said = format!("{stem}.reason");
        place.write_new(&said, reason.as_bytes())?;
        for name in self.goes_with(name)? {
            folder.move_to(name.as_str(), &place)?;
        }
        self.named.remove(name);
        Ok(place.path().join(said))
    }
}

/// What is wrong with an upload.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// A file could not be read, or is no regular file.
    #[error(transparent)]
    Host(#[from] HostError),
    /// It could not be held.
    #[error(transparent)]
    Gate(#[from] GateError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The `.changes` file is none.
    #[error("`{}`: {why}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// It names more than is taken.
    #[error("`{}` names {files} files of {bytes} bytes, which is more than an upload may have", path.display())]
    TooMuch {
        /// The `.changes` file.
        path: PathBuf,
        /// How many files.
        files: usize,
        /// Their bytes.
        bytes: u64,
    },
    /// A file that it names is not there.
    #[error("`{}` is not there", .0.display())]
    Missing(PathBuf),
    /// A file is not as large as it says.
    #[error("`{}` has {found} bytes, not the {said} bytes that the .changes file says", path.display())]
    Size {
        /// The file.
        path: PathBuf,
        /// What was said.
        said: u64,
        /// What it has.
        found: u64,
    },
    /// A file has other bytes than it says.
    #[error("`{}` is {found}, and the .changes file says {said}", path.display())]
    Other {
        /// The file.
        path: PathBuf,
        /// What was said.
        said: Digest,
        /// What it is.
        found: Digest,
    },
    /// It names what is an upload of its own.
    #[error("`{}` names `{other}` as one of its files, which is none of any upload's", path.display())]
    Nested {
        /// The `.changes` file.
        path: PathBuf,
        /// What it names.
        other: FileName,
    },
    /// A file that is of nothing which is declared.
    #[error("`{}` is no file of {source_package} {version}: neither Git nor a rebuild gives one of that name", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The declared source package.
        source_package: PackageName,
        /// Its version.
        version: Version,
    },
    /// A `.changes`, `.dsc` or `.buildinfo` that says something else than Git and the upload.
    #[error("`{}` is not of what is declared: {why}", path.display())]
    Differs {
        /// The file.
        path: PathBuf,
        /// What it says.
        why: String,
    },
    /// Two uploads say of one file that it is something else.
    #[error("`{}` and `{other}` say of `{file}` that it is different bytes, and what is there is not what the first one says", path.display())]
    Contested {
        /// The `.changes` file.
        path: PathBuf,
        /// The file that both name.
        file: FileName,
        /// The other upload.
        other: FileName,
    },
}

impl UploadError {
    /// Whether the same upload may be good later: it is still arriving.
    #[must_use]
    pub fn may_be_unfinished(&self) -> bool {
        match self {
            Self::Missing(_) | Self::Malformed { .. } | Self::Other { .. } => true,
            Self::Size { said, found, .. } => found < said,
            Self::Gate(GateError::Store(error)) | Self::Store(error) => matches!(error, StoreError::Digest { .. }),
            Self::Host(_)
            | Self::Gate(_)
            | Self::TooMuch { .. }
            | Self::Nested { .. }
            | Self::Foreign { .. }
            | Self::Differs { .. }
            | Self::Contested { .. } => false,
        }
    }

    /// Whether the upload is to blame, and not the disk or the store.
    #[must_use]
    pub fn is_its_own(&self) -> bool {
        match self {
            Self::Missing(_)
            | Self::Malformed { .. }
            | Self::Other { .. }
            | Self::Size { .. }
            | Self::TooMuch { .. }
            | Self::Nested { .. }
            | Self::Foreign { .. }
            | Self::Differs { .. }
            | Self::Contested { .. }
            | Self::Host(_) => true,
            Self::Gate(GateError::Store(error)) | Self::Store(error) => matches!(error, StoreError::Digest { .. }),
            Self::Gate(_) => false,
        }
    }
}

impl Coded for UploadError {
    fn code(&self) -> &'static str {
        match self {
            Self::Host(error) => error.code(),
            Self::Gate(error) => error.code(),
            Self::Store(error) => error.code(),
            Self::Malformed { .. } => "E-UPLOAD-001",
            Self::TooMuch { .. } => "E-UPLOAD-002",
            Self::Missing(_) => "E-UPLOAD-003",
            Self::Size { .. } => "E-UPLOAD-004",
            Self::Other { .. } => "E-UPLOAD-005",
            Self::Nested { .. } => "E-UPLOAD-006",
            Self::Foreign { .. } => "E-UPLOAD-007",
            Self::Differs { .. } => "E-UPLOAD-008",
            Self::Contested { .. } => "E-UPLOAD-009",
        }
    }
    fn kind(&self) -> Kind {
        match self {
            Self::Host(error) => error.kind(),
            Self::Gate(error) => error.kind(),
            Self::Store(error) => error.kind(),
            Self::Nested { .. } | Self::Foreign { .. } | Self::Differs { .. } | Self::Contested { .. } => Kind::Refused,
            _ => Kind::Usage,
        }
    }
    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Host(error) => return error.hint(),
            Self::Gate(error) => return error.hint(),
            Self::Store(error) => return error.hint(),
            Self::Nested { .. } => "upload each .changes file with the files of its own build",
            Self::Foreign { .. } => {
                "upload it without that file: the declared .dsc and tarballs, the packages and their .buildinfo are taken, by the \
                 names that `assay rebuild NAME --output DIR` gives"
            }
            Self::Differs { .. } => {
                "build what the declared tag or commit has: `assay rebuild NAME --output DIR` gives the same files; or leave it out"
            }
            Self::Contested { .. } => "upload one build of each version, whole, once more",
            Self::Malformed { .. }
            | Self::Missing(_)
            | Self::Size { .. }
            | Self::Other { .. }
            | Self::TooMuch { .. } => {
                return None;
            }
        };
        Some(hint.to_owned())
    }
}
