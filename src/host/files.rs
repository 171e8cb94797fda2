//! Files of the site and of work folders. Not the store's: that has its own rules.
#![expect(
    clippy::disallowed_methods,
    reason = "this is the one place that touches files outside the store"
)]

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags};

use super::process::Owner;
use super::{HostError, Process};
use crate::domain::Timestamp;

type Result<T> = std::result::Result<T, HostError>;

fn failed(act: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> HostError {
    let path = path.to_owned();
    move |source| HostError::File { act, path, source }
}

/// Reads a whole file of at most `limit` bytes.
///
/// # Errors
/// When it cannot be read, or is larger.
pub fn read(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?
        .take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(failed("read", path))?;
    if bytes.len() as u64 > limit {
        return Err(HostError::TooLarge {
            path: path.to_owned(),
            limit,
        });
    }
    Ok(bytes)
}

/// Reads the last `most` bytes of a file, or all when it has fewer.
///
/// # Errors
/// When it cannot be read.
pub fn read_end(path: &Path, most: u64) -> Result<Vec<u8>> {
    let mut file = open(path)?;
    let size = file.metadata().map_err(failed("read", path))?.len();
    let start = SeekFrom::Start(size.saturating_sub(most));
    file.seek(start).map_err(failed("read", path))?;
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes).map_err(failed("read", path))?;
    Ok(bytes)
}

/// Reads a secret: a file that only its owner may read, of at most `limit` bytes.
///
/// # Errors
/// When it cannot be read, is larger, or group or others have any right on it.
pub fn read_secret(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let mode = fs::metadata(path).map_err(failed("read", path))?.mode();
    if mode & 0o077 != 0 {
        let source = std::io::Error::new(
            std::io::ErrorKind::PermissionDenied,
            format!(
                "others may read this secret (mode {:o}); run `chmod 600` on it",
                mode & 0o777
            ),
        );
        return Err(HostError::File {
            act: "use",
            path: path.to_owned(),
            source,
        });
    }
    read(path, limit)
}

/// Opens a file for reading.
///
/// # Errors
/// When it cannot be opened.
pub fn open(path: &Path) -> Result<File> {
    // Not blocking: a FIFO would wait for a writer for ever.
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let opened = OpenOptions::new().read(true).custom_flags(flags).open(path);
    let file = opened.map_err(failed("open", path))?;
    if file.metadata().map_err(failed("look at", path))?.is_file() {
        return Ok(file);
    }
    let why = std::io::Error::new(std::io::ErrorKind::InvalidInput, "it is no regular file");
    Err(failed("open", path)(why))
}

/// What tells a file from one that was changed: whoever writes to it sets its change time, which no
/// program can set back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stamp {
    inode: (u64, u64),
    size: u64,
    changed: (i64, i64),
}

impl Stamp {
    /// Of an open file.
    #[must_use]
    pub fn of(file: &std::fs::Metadata) -> Self {
        Self {
            inode: (file.dev(), file.ino()),
            size: file.len(),
            changed: (file.ctime(), file.ctime_nsec()),
        }
    }

    /// Of something of which no more is known than its size, and when it was written, in seconds.
    #[must_use]
    pub fn written(size: u64, seconds: i64) -> Self {
        Self {
            size,
            changed: (seconds, 0),
            ..Self::default()
        }
    }

    /// The second in which it was changed. Somebody may have written to it twice in that one.
    #[must_use]
    pub fn changed(&self) -> Timestamp {
        Timestamp::from_unix(self.changed.0)
    }

    /// All of it, to be kept.
    #[must_use]
    pub fn numbers(&self) -> [u64; 5] {
        let ((device, inode), (seconds, nanoseconds)) = (self.inode, self.changed);
        [
            device,
            inode,
            self.size,
            seconds.cast_unsigned(),
            nanoseconds.cast_unsigned(),
        ]
    }
}

/// What tells the file from one that was changed.
///
/// # Errors
/// When it is not there.
pub fn stamp(path: &Path) -> Result<Stamp> {
    Ok(Stamp::of(&fs::metadata(path).map_err(failed("look at", path))?))
}

/// Reads a file of ours: the superuser's or our own, that nobody else may write to, of at most `limit` bytes.
///
/// # Errors
/// When it is not, cannot be read, or is larger.
pub fn read_own(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let file = open(path)?;
    let found = file.metadata().map_err(failed("look at", path))?;
    let foreign = found.uid() != 0 && found.uid() != super::process::user();
    if foreign || found.mode() & 0o022 != 0 {
        let why = std::io::Error::new(std::io::ErrorKind::PermissionDenied, "others may write to it");
        return Err(failed("use", path)(why));
    }
    if found.len() > limit {
        let path = path.to_owned();
        return Err(HostError::TooLarge { path, limit });
    }
    let room = usize::try_from(found.len()).unwrap_or_default();
    let mut bytes = Vec::with_capacity(room.saturating_add(1));
    let read = file.take(limit).read_to_end(&mut bytes);
    read.map_err(failed("read", path))?;
    Ok(bytes)
}

/// Reads a file of at most `limit` bytes below a folder that somebody else may have filled: no link is
/// followed, and nothing outside of the folder is reached.
///
/// # Errors
/// When a part of the path is a link or not there, or the file cannot be read or is larger.
pub fn read_beneath(folder: &Path, path: &Path, limit: u64) -> Result<Vec<u8>> {
    let whole = folder.join(path);
    let (file, _) = open_beneath(folder, path)?;
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(failed("read", &whole))?;
    if bytes.len() as u64 > limit {
        return Err(HostError::TooLarge { path: whole, limit });
    }
    Ok(bytes)
}

/// Opens a regular file below a folder that somebody else may have filled, with its size: no link is followed.
///
/// # Errors
/// When a part of the path is a link or not there, or it is no regular file.
pub fn open_beneath(folder: &Path, path: &Path) -> Result<(File, u64)> {
    let whole = folder.join(path);
    let file = File::from(beneath(folder, path, OFlags::RDONLY | OFlags::NONBLOCK)?);
    let metadata = file.metadata().map_err(failed("look at", &whole))?;
    if metadata.is_file() {
        return Ok((file, metadata.len()));
    }
    let why = std::io::Error::new(std::io::ErrorKind::InvalidInput, "it is no regular file");
    Err(failed("open", &whole)(why))
}

/// The names in a folder below another, sorted bytewise. No link is followed.
///
/// # Errors
/// When a part of the path is a link, not there or no folder, or it cannot be read.
pub fn list_beneath(folder: &Path, path: &Path) -> Result<Vec<PathBuf>> {
    beneath(folder, path, OFlags::DIRECTORY | OFlags::RDONLY)?;
    list(&folder.join(path))
}

fn beneath(folder: &Path, path: &Path, flags: OFlags) -> Result<OwnedFd> {
    let whole = folder.join(path);
    let io = |errno: rustix::io::Errno| failed("open", &whole)(errno.into());
    let top = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
    let top = rustix::fs::open(folder, top, Mode::empty()).map_err(io)?;
    let only_below = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    match rustix::fs::openat2(top, path, flags | OFlags::CLOEXEC, Mode::empty(), only_below) {
        Err(rustix::io::Errno::LOOP) => {
            let why = "it is a symbolic link, or leads through one, and none is followed";
            Err(failed("open", &whole)(std::io::Error::new(
                std::io::ErrorKind::InvalidInput,
                why,
            )))
        }
        opened => opened.map_err(io),
    }
}

/// An open folder, in which somebody else may write: what is done in it goes by its descriptor and by plain
/// names, so that no link is followed, and what is swapped meanwhile is not touched.
#[derive(Debug)]
pub struct OpenFolder {
    descriptor: OwnedFd,
    path: PathBuf,
}

impl OpenFolder {
    /// Opens a folder.
    ///
    /// # Errors
    /// When it is not there, or no folder.
    pub fn open(path: &Path) -> Result<Self> {
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let opened = rustix::fs::open(path, flags, Mode::empty());
        Ok(Self {
            descriptor: opened.map_err(|errno| failed("open", path)(errno.into()))?,
            path: path.to_owned(),
        })
    }

    /// Where it was opened.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens a folder in it that is ours, and makes it when it is not there.
    ///
    /// # Errors
    /// When it cannot be made, or what is there is a link, no folder, or somebody else's.
    pub fn own_folder(&self, name: &str) -> Result<Self> {
        match self.new_folder(name)? {
            Some(made) => Ok(made),
            None => self.own(name),
        }
    }

    /// Makes a folder in it; none when something has the name already.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new_folder(&self, name: &str) -> Result<Option<Self>> {
        match rustix::fs::mkdirat(&self.descriptor, name, Mode::from(0o755)) {
            Ok(()) => self.own(name).map(Some),
            Err(rustix::io::Errno::EXIST) => Ok(None),
            Err(errno) => Err(failed("create the folder", &self.path.join(name))(errno.into())),
        }
    }

    fn own(&self, name: &str) -> Result<Self> {
        let path = self.path.join(name);
        let refuse = |errno: rustix::io::Errno| failed("use the folder", &path)(errno.into());
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
        let descriptor = rustix::fs::openat(&self.descriptor, name, flags, Mode::empty()).map_err(refuse)?;
        let found = rustix::fs::fstat(&descriptor).map_err(refuse)?;
        if found.st_uid != super::process::user() {
            let why = std::io::Error::new(std::io::ErrorKind::PermissionDenied, "somebody else owns it");
            return Err(failed("use the folder", &path)(why));
        }
        Ok(Self { descriptor, path })
    }

    /// Writes a new file in it.
    ///
    /// # Errors
    /// When it is there already, or cannot be written.
    pub fn write_new(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.path.join(name);
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(&self.descriptor, name, flags, Mode::from(0o644));
        let mut file = File::from(opened.map_err(|errno| failed("create", &path)(errno.into()))?);
        file.write_all(bytes)
            .and_then(|()| file.sync_all())
            .map_err(failed("write", &path))
    }

    /// Moves a file, a link itself and not what it points to, into another folder. One that is not there, or
    /// whose name is taken there, is left alone.
    ///
    /// # Errors
    /// When it cannot be moved.
    pub fn move_to(&self, name: &str, to: &Self) -> Result<()> {
        let flags = rustix::fs::RenameFlags::NOREPLACE;
        match rustix::fs::renameat_with(&self.descriptor, name, &to.descriptor, name, flags) {
            Ok(()) | Err(rustix::io::Errno::NOENT | rustix::io::Errno::EXIST) => Ok(()),
            Err(errno) => Err(failed("move", &self.path.join(name))(errno.into())),
        }
    }

    /// Removes a file in it, a link itself and not what it points to; one that is not there is no error.
    ///
    /// # Errors
    /// When it is there and cannot be removed.
    pub fn remove(&self, name: &str) -> Result<()> {
        match rustix::fs::unlinkat(&self.descriptor, name, rustix::fs::AtFlags::empty()) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
            Err(errno) => Err(failed("remove", &self.path.join(name))(errno.into())),
        }
    }
}

/// Writes a file so that a crash leaves the old one or the new one.
///
/// # Errors
/// When any step fails; the old file is then still there.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    write_mode(path, bytes, 0o644)
}

/// Writes a file that only its owner may read. Refuses to replace one.
///
/// # Errors
/// When it exists or cannot be written.
pub fn write_secret(path: &Path, bytes: &[u8]) -> Result<()> {
    if let Some(parent) = path.parent() {
        create_folder(parent)?;
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(failed("create", path))?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .map_err(failed("write", path))
}

/// Writes a file that only its owner may read, in the place of another or of none.
///
/// # Errors
/// When it cannot be written.
pub fn replace_secret(path: &Path, bytes: &[u8]) -> Result<()> {
    write_mode(path, bytes, 0o600)
}

fn write_mode(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let parent = path
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    create_folder(parent)?;
    let mut temp = tempfile::Builder::new()
        .prefix(&format!(".{}", temporary()?))
        .tempfile_in(parent)
        .map_err(failed("write below", parent))?;
    temp.write_all(bytes).map_err(failed("write", path))?;
    temp.as_file()
        .set_permissions(fs::Permissions::from_mode(mode))
        .map_err(failed("write", path))?;
    temp.as_file().sync_all().map_err(failed("sync", path))?;
    temp.persist(path)
        .map_err(|error| failed("replace", path)(error.error))?;
    File::open(parent)
        .and_then(|folder| folder.sync_all())
        .map_err(failed("sync", parent))
}

/// Creates a new file for writing, for output that a program or a stream fills.
///
/// # Errors
/// When it exists or cannot be created.
pub fn create_new(path: &Path) -> Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .map_err(failed("create", path))
}

/// Makes a folder and those above it.
///
/// # Errors
/// When it cannot be made.
pub fn create_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(failed("create the folder", path))
}

/// The names in a folder, sorted bytewise; empty when there is no such folder.
///
/// # Errors
/// When it cannot be read.
pub fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed("list", folder)(error)),
    };
    let mut paths = entries
        .map(|entry| entry.map(|e| e.path()))
        .collect::<std::io::Result<Vec<_>>>()
        .map_err(failed("list", folder))?;
    paths.sort();
    Ok(paths)
}

/// The first symbolic link, at a path or among what lies below it; names that begin with a dot are passed over, and
/// what is not there has none.
///
/// # Errors
/// When a folder cannot be read.
pub fn first_link(path: &Path) -> Result<Option<PathBuf>> {
    match fs::symlink_metadata(path) {
        Ok(found) => link_below(path, found.file_type()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("look at", path)(error)),
    }
}

fn link_below(path: &Path, kind: fs::FileType) -> Result<Option<PathBuf>> {
    if kind.is_symlink() {
        return Ok(Some(path.to_owned()));
    }
    if !kind.is_dir() {
        return Ok(None);
    }
    let mut links = Vec::new();
    for entry in fs::read_dir(path).map_err(failed("list", path))? {
        let entry = entry.map_err(failed("list", path))?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            let kind = entry.file_type().map_err(failed("look at", path))?;
            links.extend(link_below(&entry.path(), kind)?);
        }
    }
    Ok(links.into_iter().min())
}

/// Whether something is there, a broken link included.
#[must_use]
pub fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// Whether a folder is there.
#[must_use]
pub fn is_folder(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|m| m.is_dir())
}

/// The size of a file in bytes.
///
/// # Errors
/// When it cannot be looked at.
pub fn size(path: &Path) -> Result<u64> {
    Ok(fs::metadata(path).map_err(failed("look at", path))?.len())
}

/// When a file was last written, a link itself and not what it points to.
///
/// # Errors
/// When it cannot be looked at.
pub fn modified(path: &Path) -> Result<Timestamp> {
    let metadata = fs::symlink_metadata(path).map_err(failed("look at", path))?;
    Ok(Timestamp::from_unix(metadata.mtime()))
}

/// Moves a file within one file system.
///
/// # Errors
/// When it cannot be moved.
pub fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).map_err(failed("move", from))
}

/// Removes a file; one that is not there is no error.
///
/// # Errors
/// When it is there and cannot be removed.
pub fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(failed("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Copies the content of a regular file to a new one.
///
/// # Errors
/// When the target exists, or one of them cannot be read or written.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    copy_stream(&mut open(from)?, to)
}

/// Writes what is still to be read of a stream to a new file.
///
/// # Errors
/// When it exists, or one of them cannot be read or written.
pub fn copy_stream(from: &mut impl Read, to: &Path) -> Result<()> {
    let mut target = create_new(to)?;
    std::io::copy(from, &mut target).map_err(failed("write", to))?;
    Ok(())
}

/// Removes a folder and all that is in it; one that is not there is no error.
///
/// # Errors
/// When it is there and cannot be removed.
pub fn remove_folder(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(failed("remove", path)(error)),
        _ => Ok(()),
    }
}

/// The absolute form of a path, links resolved.
///
/// # Errors
/// When it is not there.
pub fn absolute(path: &Path) -> Result<PathBuf> {
    fs::canonicalize(path).map_err(failed("find", path))
}

/// What a symbolic link says.
///
/// # Errors
/// When it is no link, or cannot be read.
pub fn link_target(path: &Path) -> Result<PathBuf> {
    fs::read_link(path).map_err(failed("read the link", path))
}

/// Sets the rights of a file or folder.
///
/// # Errors
/// When they cannot be set.
pub fn set_mode(path: &Path, mode: u32) -> Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(failed("set the rights of", path))
}

/// What names of this process's temporary files begin with.
fn temporary() -> Result<String> {
    static NAME: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    if let Some(name) = NAME.get() {
        return Ok(name.clone());
    }
    let name = Process::current()?.temporary();
    Ok(NAME.get_or_init(|| name).clone())
}

/// How long temporary files stay whose owner cannot be seen from here: seconds.
const PATIENCE: i64 = 7 * 86_400;

/// The temporary files and folders in a folder that killed runs left: their process has ended, or they are a week old
/// and of another machine. Those of a run that lives are never among them. None when there is no such folder.
///
/// # Errors
/// When the folder cannot be read.
pub fn litter(folder: &Path, now: Timestamp) -> Result<Vec<PathBuf>> {
    if !is_folder(folder) {
        return Ok(Vec::new());
    }
    let own = Process::current()?;
    let is_litter = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        match own.owner_of(name) {
            Some(Owner::Dead) => true,
            Some(Owner::Unknown) => modified(path).is_ok_and(|at| now.since(at) > PATIENCE),
            Some(Owner::Lives) | None => false,
        }
    };
    Ok(list(folder)?.into_iter().filter(is_litter).collect())
}

/// A file that one process at a time holds; the machine lets go of it when that process ends, however it ends.
#[derive(Debug)]
pub struct Held(#[expect(dead_code, reason = "what is held ends with it")] File);

impl Held {
    /// Waits until nobody else holds it. The file stays.
    ///
    /// # Errors
    /// When it cannot be made or held.
    pub fn wait(path: &Path) -> Result<Self> {
        if let Some(parent) = path.parent() {
            create_folder(parent)?;
        }
        let opened = OpenOptions::new().create(true).truncate(false).write(true).open(path);
        let file = opened.map_err(failed("open", path))?;
        rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive)
            .map_err(|error| failed("hold", path)(error.into()))?;
        Ok(Self(file))
    }
}

/// A folder of this run's own, removed when dropped.
#[derive(Debug)]
pub struct TempFolder(tempfile::TempDir);

impl TempFolder {
    /// Makes one below `parent`, which is made too.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn below(parent: &Path) -> Result<Self> {
        create_folder(parent)?;
        let made = tempfile::Builder::new().prefix(&temporary()?).tempdir_in(parent);
        made.map(Self).map_err(failed("make a folder below", parent))
    }

    /// Makes one where the machine keeps temporary files.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new() -> Result<Self> {
        let made = tempfile::Builder::new().prefix(&temporary()?).tempdir();
        made.map(Self)
            .map_err(failed("make a temporary folder in", Path::new("/tmp")))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_dead_left_is_litter_and_nothing_else() -> Result<()> {
        let place = TempFolder::new()?;
        let folder = place.path();
        let living = TempFolder::below(folder)?;
        let dead = Process {
            pid: u32::MAX,
            ..Process::current()?
        };
        let left = [format!("{}abc", dead.temporary()), format!(".{}abc", dead.temporary())];
        create_folder(&folder.join(&left[0]).join("deep"))?;
        write(&folder.join(&left[1]), b"half")?;
        for other in ["assay.sources", "serials.json", ".assay-older", "assay-older"] {
            write(&folder.join(other), b"")?;
        }
        let names = |found: Vec<PathBuf>| -> Vec<String> {
            found
                .iter()
                .filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()))
                .collect()
        };
        let now = crate::host::Clock::System.now();
        let mut found = names(litter(folder, now)?);
        found.sort();
        let mut wanted = left.to_vec();
        wanted.sort();
        assert_eq!(found, wanted);
        let later = names(litter(folder, now.plus(PATIENCE + 60))?);
        assert!(
            later.contains(&"assay-older".to_owned()) && later.contains(&".assay-older".to_owned()),
            "{later:?}"
        );
        assert!(
            !later
                .iter()
                .any(|name| living.path().ends_with(name) || name == "assay.sources"),
            "{later:?}"
        );
        assert!(litter(&folder.join("not there"), now)?.is_empty());
        Ok(())
    }
}
