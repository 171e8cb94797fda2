//! The folder of a local store, one system call at a time: every name is looked up beneath the
//! root, part by part, and no symbolic link is ever followed, so that nothing that somebody put
//! into the folder leads out of it.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RawDir, RenameFlags, ResolveFlags, Stat, Timespec, Timestamps};
use rustix::io::Errno;
use rustix::path::Arg;

use super::strange::{NotOurs, Oddity};
use crate::domain::Timestamp;

/// Holds files that are being written. Like every name that starts with a dot it is no valid part of
/// a key, so that no listing and no server shows what is in it.
pub(super) const TEMP_FOLDER: &str = ".tmp-writes";
const TEMP_PREFIX: &str = ".tmp-";
/// A file that nobody wrote to for so long belongs to a writer that is gone.
const ABANDONED_SECONDS: i64 = 86_400;

/// Bytes of a listing that come at once.
const ENTRIES: usize = 16 << 10;

/// Immutable objects.
pub(super) const IMMUTABLE: u32 = 0o444;
/// Pointers.
pub(super) const POINTER: u32 = 0o644;

/// An open root.
#[derive(Debug)]
pub(super) struct Root {
    fd: OwnedFd,
    /// Where files are written; none in a folder that we may only read.
    temp: Option<OwnedFd>,
    path: PathBuf,
}

/// What is under a name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    pub(super) size: u64,
    pub(super) modified: Timestamp,
    /// Which file of the disk it is: the same for all its names.
    pub(super) inode: (u64, u64),
    /// How many names it has.
    pub(super) names: u64,
}

impl Root {
    /// Opens `path`, an absolute path without links, and removes what dead writers left.
    pub(super) fn open(path: PathBuf, now: Timestamp) -> io::Result<Self> {
        let fd = rustix::fs::openat(CWD, &path, FOLDER, Mode::empty())?;
        let temp = match enter_or_make(&fd, TEMP_FOLDER) {
            Ok((temp, _)) => Some(temp),
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem
                ) =>
            {
                None
            }
            Err(error) => return Err(error),
        };
        if let Some(temp) = &temp {
            sweep(temp, now)?;
        }
        Ok(Self { fd, temp, path })
    }

    /// Opens `path` as it is: nothing is made, removed or, later, written.
    pub(super) fn open_to_read(path: PathBuf) -> io::Result<Self> {
        let fd = rustix::fs::openat(CWD, &path, FOLDER, Mode::empty())?;
        Ok(Self { fd, temp: None, path })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What the file system has left for us.
    pub(super) fn free_bytes(&self) -> io::Result<u64> {
        let found = rustix::fs::fstatvfs(&self.fd)?;
        Ok(found.f_bavail.saturating_mul(found.f_frsize))
    }

    /// The folder that `key` is in; none when it is not there.
    pub(super) fn folder_of(&self, key: &str) -> io::Result<Option<OwnedFd>> {
        match key.rsplit_once('/') {
            Some((folder, _)) => self.folder(folder),
            None => self.fd.try_clone().map(Some),
        }
    }

    /// A folder by its path; the root itself when that is empty.
    pub(super) fn folder(&self, path: &str) -> io::Result<Option<OwnedFd>> {
        if let Some(known) = self.enter_all(path) {
            return Ok(known);
        }
        // Never a duplicate of the root's descriptor: two listings would share one place in it.
        let mut at = rustix::fs::openat(&self.fd, ".", FOLDER, Mode::empty())?;
        for part in path.split('/').filter(|part| !part.is_empty()) {
            match enter(&at, part)? {
                Some(inner) => at = inner,
                None => return Ok(None),
            }
        }
        Ok(Some(at))
    }

    /// A folder by its path, or that there is none, in one call. None where the kernel cannot do that
    /// (before Linux 5.6), or something else is in the way: part by part it comes out what.
    fn enter_all(&self, path: &str) -> Option<Option<OwnedFd>> {
        let path = if path.is_empty() { "." } else { path };
        self.find_beneath(path, FOLDER)
    }

    fn find_beneath(&self, path: &str, flags: OFlags) -> Option<Option<OwnedFd>> {
        let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        match rustix::fs::openat2(&self.fd, path, flags, Mode::empty(), beneath) {
            Ok(found) => Some(Some(found)),
            Err(Errno::NOENT) => Some(None),
            Err(_) => None,
        }
    }

    /// Opens the file `key` for reading; none when it is not there. In one look-up where the kernel can
    /// do that, else, and where something is in the way, part by part.
    pub(super) fn open_file(&self, key: &str) -> io::Result<Option<(File, Found)>> {
        if let Some(found) = self.find_beneath(key, FILE) {
            return found.map_or(Ok(None), opened);
        }
        let name = key.rsplit('/').next().unwrap_or_default();
        self.folder_of(key)?.map_or(Ok(None), |folder| open(&folder, name))
    }

    /// The folder that `key` is in, made durably where it is not there.
    pub(super) fn make_folder_of(&self, key: &str) -> io::Result<OwnedFd> {
        self.make_folder(key, |above| Ok(rustix::fs::fsync(above)?))
    }

    fn make_folder(&self, key: &str, made_in: impl Fn(&OwnedFd) -> io::Result<()>) -> io::Result<OwnedFd> {
        let folder = key.rsplit_once('/').map_or("", |(folder, _)| folder);
        if let Some(Some(found)) = self.enter_all(folder) {
            return Ok(found);
        }
        let mut at = self.fd.try_clone()?;
        for part in folder.split('/').filter(|part| !part.is_empty()) {
            let (inner, made) = enter_or_make(&at, part)?;
            if made {
                made_in(&at)?;
            }
            at = inner;
        }
        Ok(at)
    }

    /// Brings everything that was written to this file system to the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::syncfs(&self.fd)?)
    }

    /// Makes a temporary file, by its name, the object `key`, unless there is one: then `false`.
    /// Durable after the next `sync`.
    pub(super) fn adopt(&self, temp: &str, key: &str, name: &str) -> io::Result<bool> {
        let temp = TempName {
            folder: self.temp_folder()?,
            name: temp.to_owned(),
        };
        let folder = self.make_folder(key, |_| Ok(()))?;
        let moved = rustix::fs::renameat_with(temp.folder, &temp.name, &folder, name, RenameFlags::NOREPLACE);
        match moved {
            Ok(()) => {
                temp.leave();
                Ok(true)
            }
            Err(Errno::EXIST) => Ok(false),
            // The file system cannot do that.
            Err(Errno::INVAL | Errno::NOSYS) => temp.link(&folder, name),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes the folder `path` with all that is in it.
    pub(super) fn remove_all(&self, path: &str) -> io::Result<()> {
        let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
        match self.folder(above)? {
            Some(above) => {
                remove_all(&above, name)?;
                Ok(rustix::fs::fsync(&above)?)
            }
            None => Ok(()),
        }
    }

    /// A file that nobody sees yet.
    pub(super) fn temp(&self) -> io::Result<Temp<'_>> {
        let temp = TempName {
            folder: self.temp_folder()?,
            name: temp_name(),
        };
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(temp.folder, &temp.name, flags, Mode::RUSR | Mode::WUSR)?;
        Ok(Temp {
            temp,
            file: File::from(fd),
        })
    }

    /// Gives the object `from` in `folder` a second name that nobody sees yet. Where the file system
    /// refuses (another owner, too many links), `None`.
    pub(super) fn temp_link(&self, folder: &OwnedFd, from: &str) -> io::Result<Option<TempName<'_>>> {
        let temp = TempName {
            folder: self.temp_folder()?,
            name: temp_name(),
        };
        match rustix::fs::linkat(folder, from, temp.folder, &temp.name, AtFlags::empty()) {
            Ok(()) => Ok(Some(temp)),
            Err(Errno::PERM | Errno::MLINK | Errno::XDEV | Errno::OPNOTSUPP) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn temp_folder(&self) -> io::Result<&OwnedFd> {
        let refused = || io::Error::new(ErrorKind::PermissionDenied, "this process may not write to the store");
        self.temp.as_ref().ok_or_else(refused)
    }
}

/// Removes what dead writers left.
fn sweep(temp: &OwnedFd, now: Timestamp) -> io::Result<()> {
    for (name, kind) in names(temp)? {
        if kind == FileType::Directory || !name.starts_with(TEMP_PREFIX) {
            continue;
        }
        let Some(stat) = stat(temp, name.as_str())? else {
            continue;
        };
        if now.since(modified(&stat)) > ABANDONED_SECONDS {
            remove(temp, &name)?;
        }
    }
    Ok(())
}

/// A file that is being written; gone when dropped.
#[derive(Debug)]
pub(super) struct Temp<'a> {
    temp: TempName<'a>,
    file: File,
}

/// The temporary name of a file; gone when dropped.
#[derive(Debug)]
pub(super) struct TempName<'a> {
    folder: &'a OwnedFd,
    name: String,
}

impl Write for Temp<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl<'a> Temp<'a> {
    /// As `finish`, but the bytes may not be on the disk before the next [`Root::sync`].
    pub(super) fn finish_unsynced(self, mode: u32) -> io::Result<TempName<'a>> {
        rustix::fs::fchmod(&self.file, Mode::from_raw_mode(mode))?;
        Ok(self.temp)
    }

    /// Brings the bytes to the disk. A failed fsync is not tried again: the kernel may have dropped them.
    pub(super) fn finish(self, mode: u32, not_before: Option<Timestamp>) -> io::Result<TempName<'a>> {
        rustix::fs::fchmod(&self.file, Mode::from_raw_mode(mode))?;
        if let Some(earliest) = not_before
            && modified(&rustix::fs::fstat(&self.file)?) < earliest
        {
            rustix::fs::futimens(&self.file, &at(earliest))?;
        }
        self.file.sync_all()?;
        Ok(self.temp)
    }
}

impl TempName<'_> {
    /// Leaves the file where it is; gives its name.
    pub(super) fn leave(mut self) -> String {
        std::mem::take(&mut self.name)
    }

    fn link(&self, folder: &OwnedFd, name: &str) -> io::Result<bool> {
        match rustix::fs::linkat(self.folder, &self.name, folder, name, AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes it `name` in `folder`, unless there is one: then `false`. Durable on return.
    pub(super) fn create(self, folder: &OwnedFd, name: &str) -> io::Result<bool> {
        let made = self.link(folder, name)?;
        // Also when another writer made it: it may not have come to this line yet.
        rustix::fs::fsync(folder)?;
        Ok(made)
    }

    /// Makes it `name` in `folder`, replacing what was there. Durable on return.
    pub(super) fn replace(self, folder: &OwnedFd, name: &str) -> io::Result<()> {
        match rustix::fs::renameat(self.folder, &self.name, folder, name) {
            Err(Errno::ISDIR) => return Err(not_ours(Oddity::Folder)),
            renamed => renamed?,
        }
        Ok(rustix::fs::fsync(folder)?)
    }
}

impl Drop for TempName<'_> {
    /// Also after a rename: between two names of one file that does nothing (POSIX), and leaves this
    /// one. Not synced: a temporary file that comes back after a power loss is swept later.
    fn drop(&mut self) {
        if self.name.is_empty() {
            return;
        }
        let _ = rustix::fs::unlinkat(self.folder, &self.name, AtFlags::empty());
    }
}

/// Opens a file for reading; none when it is not there.
pub(super) fn open(folder: impl AsFd, name: &str) -> io::Result<Option<(File, Found)>> {
    match rustix::fs::openat(folder, name, FILE, Mode::empty()) {
        Ok(fd) => opened(fd),
        Err(Errno::NOENT) => Ok(None),
        Err(Errno::LOOP) => Err(not_ours(Oddity::Link)),
        Err(error) => Err(error.into()),
    }
}

fn opened(fd: OwnedFd) -> io::Result<Option<(File, Found)>> {
    Ok(plain(&rustix::fs::fstat(&fd)?)?.map(|found| (File::from(fd), found)))
}

/// Looks at a name; none when no file is there.
pub(super) fn look(folder: impl AsFd, name: &str) -> io::Result<Option<Found>> {
    stat(folder, name)?.map_or(Ok(None), |stat| plain(&stat))
}

/// Removes a name durably; one that is not there is no error.
pub(super) fn remove(folder: &OwnedFd, name: &str) -> io::Result<()> {
    match rustix::fs::unlinkat(folder, name, AtFlags::empty()) {
        Ok(()) => Ok(rustix::fs::fsync(folder)?),
        Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Everything below `folder`: paths relative to it, in no order. Links and other oddities are left out.
pub(super) fn walk(folder: &Listed, above: &str, out: &mut dyn FnMut(String, Found)) -> io::Result<()> {
    for name in &folder.files {
        if let Some(found) = folder.look(name)? {
            out(below(above, name), found);
        }
    }
    for name in &folder.folders {
        if let Some(inner) = folder.enter(name)? {
            walk(&inner, &below(above, name), out)?;
        }
    }
    Ok(())
}

/// The path of what a folder has under a name.
pub(super) fn below(above: &str, name: &str) -> String {
    if above.is_empty() {
        name.to_owned()
    } else {
        format!("{above}/{name}")
    }
}

/// A folder, and the names of what is in it: of what may be ours, and of what the store never makes.
#[derive(Debug)]
pub(super) struct Listed {
    folder: OwnedFd,
    pub(super) files: Vec<String>,
    pub(super) folders: Vec<String>,
    pub(super) strange: Vec<(String, Oddity)>,
}

impl Listed {
    pub(super) fn read(folder: OwnedFd) -> io::Result<Self> {
        let (mut files, mut folders, mut strange) = (Vec::new(), Vec::new(), Vec::new());
        for (name, kind) in entries(&folder)? {
            match kind {
                FileType::Directory | FileType::RegularFile if is_no_key(&name) => {
                    strange.push((name, Oddity::Unnamed))
                }
                FileType::Directory => folders.push(name),
                FileType::RegularFile => files.push(name),
                other => strange.push((name, oddity(other))),
            }
        }
        Ok(Self {
            folder,
            files,
            folders,
            strange,
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty() && self.folders.is_empty() && self.strange.is_empty()
    }

    /// A folder in it; none when it is not there any more.
    pub(super) fn enter(&self, name: &str) -> io::Result<Option<Self>> {
        enter(&self.folder, name)?.map(Self::read).transpose()
    }

    /// Whether it is a temporary file of ours, or not there any more.
    pub(super) fn is_temp(&self, name: &str) -> io::Result<bool> {
        let there = stat(&self.folder, name)?;
        let file = there.is_none_or(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile);
        Ok(file && name.starts_with(TEMP_PREFIX))
    }

    /// Looks at a file in it; none when it is not there any more.
    pub(super) fn look(&self, name: &str) -> io::Result<Option<Found>> {
        look(&self.folder, name)
    }

    /// Opens a file in it for reading; none when it is not there any more.
    pub(super) fn open(&self, name: &str) -> io::Result<Option<(File, Found)>> {
        open(&self.folder, name)
    }
}

/// Of the names that are no part of a key those that need not be looked at closer; others show where keys are made.
fn is_no_key(name: &str) -> bool {
    name.starts_with('.') || name.contains(char::REPLACEMENT_CHARACTER)
}

/// Removes the folder `name` with all that is in it; links are removed, not followed.
fn remove_all(above: &OwnedFd, name: &str) -> io::Result<()> {
    let Some(folder) = enter(above, name)? else {
        return Ok(());
    };
    for (name, kind) in names(&folder)? {
        if kind == FileType::Directory {
            remove_all(&folder, &name)?;
        } else {
            unless_gone(rustix::fs::unlinkat(&folder, name.as_str(), AtFlags::empty()))?;
        }
    }
    unless_gone(rustix::fs::unlinkat(above, name, AtFlags::REMOVEDIR))
}

/// A folder in which somebody else put something stays.
fn unless_gone(removed: Result<(), Errno>) -> io::Result<()> {
    match removed {
        Ok(()) | Err(Errno::NOENT | Errno::NOTEMPTY | Errno::EXIST) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

const FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// A pipe would block the opening, hence NONBLOCK; for files it means nothing.
const FILE: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::CLOEXEC);

/// Opens a folder in a folder; none when it is not there, or is a file.
fn enter(folder: impl AsFd, name: &str) -> io::Result<Option<OwnedFd>> {
    let folder = folder.as_fd();
    match rustix::fs::openat(folder, name, FOLDER, Mode::empty()) {
        Ok(fd) => Ok(Some(fd)),
        Err(Errno::NOENT) => Ok(None),
        Err(Errno::NOTDIR | Errno::LOOP) => look(folder, name).map(|_| None),
        Err(error) => Err(error.into()),
    }
}

/// Opens a folder in a folder, and says whether it had to be made.
fn enter_or_make(folder: &OwnedFd, name: &str) -> io::Result<(OwnedFd, bool)> {
    if let Some(inner) = enter(folder, name)? {
        return Ok((inner, false));
    }
    let mode = Mode::from_raw_mode(0o755);
    let made = match rustix::fs::mkdirat(folder, name, mode) {
        Ok(()) => true,
        Err(Errno::EXIST) => false,
        Err(error) => return Err(error.into()),
    };
    let Some(inner) = enter(folder, name)? else {
        return Err(io::Error::new(
            ErrorKind::NotADirectory,
            "a file is where a folder would be",
        ));
    };
    if made {
        // Web servers read these as somebody else, whatever the umask of the writer.
        rustix::fs::fchmod(&inner, mode)?;
    }
    Ok((inner, made))
}

fn names(folder: &OwnedFd) -> io::Result<Vec<(String, FileType)>> {
    // With a place of its own in the listing.
    entries(&rustix::fs::openat(folder, ".", FOLDER, Mode::empty())?)
}

/// What is in a folder that was opened for this. A name that is not UTF-8 has U+FFFD where it is not: it is no part
/// of a key, and nothing is found under it.
fn entries(folder: &OwnedFd) -> io::Result<Vec<(String, FileType)>> {
    let (mut names, mut room) = (Vec::new(), Vec::with_capacity(ENTRIES));
    let mut listed = RawDir::new(folder, room.spare_capacity_mut());
    while let Some(entry) = listed.next() {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy();
        if matches!(name.as_ref(), "." | "..") {
            continue;
        }
        let kind = match entry.file_type() {
            FileType::Unknown => match stat(folder, entry.file_name())? {
                Some(stat) => FileType::from_raw_mode(stat.st_mode),
                None => continue,
            },
            kind => kind,
        };
        names.push((name.into_owned(), kind));
    }
    Ok(names)
}

fn stat(folder: impl AsFd, name: impl Arg) -> io::Result<Option<Stat>> {
    match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A file is an object, a folder is none; anything else somebody else put there.
fn plain(stat: &Stat) -> io::Result<Option<Found>> {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Ok(Some(Found {
            size: u64::try_from(stat.st_size).unwrap_or_default(),
            modified: modified(stat),
            inode: (stat.st_dev, stat.st_ino),
            names: stat.st_nlink,
        })),
        FileType::Directory => Ok(None),
        other => Err(not_ours(oddity(other))),
    }
}

fn oddity(kind: FileType) -> Oddity {
    match kind {
        FileType::Symlink => Oddity::Link,
        FileType::Fifo => Oddity::Pipe,
        FileType::Socket => Oddity::Socket,
        FileType::Directory => Oddity::Folder,
        _ => Oddity::Device,
    }
}

pub(super) fn not_ours(what: Oddity) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, NotOurs(what))
}

fn modified(stat: &Stat) -> Timestamp {
    Timestamp::from_unix(stat.st_mtime)
}

fn at(instant: Timestamp) -> Timestamps {
    let time = Timespec {
        tv_sec: instant.unix(),
        tv_nsec: 0,
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}

fn temp_name() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!(
        "{TEMP_PREFIX}{}-{count}-{:016x}",
        std::process::id(),
        rand::random::<u64>()
    )
}
