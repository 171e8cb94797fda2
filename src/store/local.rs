//! The store in a local folder.
//!
//! An object appears by link(2) or rename(2) of a temporary file that is already on the disk, and
//! the folder is synced after. Immutable objects are files that nobody may write to. `object_store`'s
//! own local backend is not used: it writes through symbolic links and does not sync.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::folder::{self, Found, IMMUTABLE, Listed, POINTER, Root, TempName};
use super::strange::{NotOurs, Oddity};
use super::survey::{Reading, Survey, Walk, room};
use super::{Created, Key, Meta, Staged, Store, StoreError, stream};
use crate::domain::Digest;
use crate::host::{Clock, files};

/// A store in a folder of this machine.
#[derive(Debug)]
pub struct LocalStore {
    root: Root,
}

impl LocalStore {
    /// Opens the folder, which is made when it is not there, and removes temporary files that a
    /// writer left there more than a day ago.
    ///
    /// # Errors
    /// When it cannot be made or read.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        files::create_folder(root).map_err(|error| not_opened(root, error))?;
        let path = files::absolute(root).map_err(|error| not_opened(root, error))?;
        let root = Root::open(path, Clock::System.now()).map_err(|error| not_opened(root, error))?;
        Ok(Self { root })
    }

    /// Opens the folder for who only reads: it changes nothing, and cannot.
    ///
    /// # Errors
    /// `Absent` when there is no such folder; when it cannot be read.
    pub fn open_to_read(root: &Path) -> Result<Self, StoreError> {
        if !files::is_folder(root) {
            return Err(StoreError::Absent(root.display().to_string()));
        }
        let path = files::absolute(root).map_err(|error| not_opened(root, error))?;
        let root = Root::open_to_read(path).map_err(|error| not_opened(root, error))?;
        Ok(Self { root })
    }

    fn find(&self, key: &Key) -> io::Result<Option<(std::fs::File, Found)>> {
        self.root.open_file(key.as_str())
    }

    fn listed(&self, folder: &str) -> io::Result<Option<Listed>> {
        self.root.folder(folder)?.map(Listed::read).transpose()
    }

    fn look(&self, key: &Key) -> io::Result<Option<Found>> {
        match self.root.folder_of(key.as_str())? {
            Some(folder) => folder::look(&folder, name(key)),
            None => Ok(None),
        }
    }

    /// Whether `key` has exactly these bytes.
    fn is(&self, key: &Key, bytes: &[u8]) -> io::Result<bool> {
        let Some((file, found)) = self.find(key)? else {
            return Ok(false);
        };
        if found.size != bytes.len() as u64 {
            return Ok(false);
        }
        let mut there = Vec::with_capacity(bytes.len());
        file.take(found.size.saturating_add(1)).read_to_end(&mut there)?;
        Ok(there == bytes)
    }

    fn try_create(&self, key: &Key, bytes: &[u8]) -> io::Result<Created> {
        let folder = self.root.make_folder_of(key.as_str())?;
        let mut temp = self.root.temp()?;
        temp.write_all(bytes)?;
        let made = temp.finish(IMMUTABLE, None)?.create(&folder, name(key))?;
        Ok(if made || self.is(key, bytes)? {
            Created::Yes
        } else {
            Created::No
        })
    }

    fn try_replace(&self, key: &Key, bytes: &[u8]) -> io::Result<()> {
        let folder = self.root.make_folder_of(key.as_str())?;
        // HTTP clients ask for what is newer than their copy, in whole seconds: two versions of a
        // pointer must differ in that.
        let not_before = folder::look(&folder, name(key))?.map(|old| old.modified.plus(1));
        let mut temp = self.root.temp()?;
        temp.write_all(bytes)?;
        temp.finish(POINTER, not_before)?.replace(&folder, name(key))
    }

    /// `None` when `from` is not there.
    fn try_link(&self, from: &Key, to: &Key) -> io::Result<Option<()>> {
        let Some(source) = self.root.folder_of(from.as_str())? else {
            return Ok(None);
        };
        let Some((mut file, _)) = folder::open(&source, name(from))? else {
            return Ok(None);
        };
        let target = self.root.make_folder_of(to.as_str())?;
        let linked = match self.root.temp_link(&source, name(from))? {
            Some(linked) => linked,
            None => self.copy(&mut file)?,
        };
        linked.replace(&target, name(to))?;
        Ok(Some(()))
    }

    fn copy(&self, file: &mut std::fs::File) -> io::Result<TempName<'_>> {
        let mut temp = self.root.temp()?;
        io::copy(file, &mut temp)?;
        temp.finish(IMMUTABLE, None)
    }

    fn try_delete(&self, key: &Key) -> io::Result<()> {
        match self.root.folder_of(key.as_str())? {
            Some(folder) => folder::remove(&folder, name(key)),
            None => Ok(()),
        }
    }
}

impl Store for LocalStore {
    fn get(&self, key: &Key, limit: u64) -> Result<Vec<u8>, StoreError> {
        let (file, found) = self
            .find(key)
            .map_err(failed("read", key))?
            .ok_or_else(|| StoreError::Missing(key.clone()))?;
        stream::read_whole(key, file, found.size, limit)
    }

    fn open(&self, key: &Key) -> Result<Box<dyn Read + Send>, StoreError> {
        match self.find(key).map_err(failed("read", key))? {
            // Its size says where it ends: a small object is read with one call.
            Some((file, found)) => Ok(Box::new(file.take(found.size))),
            None => Err(StoreError::Missing(key.clone())),
        }
    }

    fn head(&self, key: &Key) -> Result<Option<Meta>, StoreError> {
        let found = self.look(key).map_err(failed("look at", key))?;
        Ok(found.map(|found| meta(key.clone(), found)))
    }

    fn list(&self, prefix: &str) -> Result<Vec<Meta>, StoreError> {
        let mut metas = Vec::new();
        self.visit(prefix, &mut |meta| metas.push(meta))?;
        metas.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(metas)
    }

    fn visit(&self, prefix: &str, take: &mut dyn FnMut(Meta)) -> Result<(), StoreError> {
        if !prefix.is_empty() {
            Key::new(prefix)?;
        }
        // Files that somebody else put there under a name that is no key are none of ours.
        let mut found = |path: String, found: Found| {
            if let Ok(key) = Key::new(path) {
                take(meta(key, found));
            }
        };
        let walked = self.listed(prefix).and_then(|folder| match folder {
            Some(folder) => folder::walk(&folder, prefix, &mut found),
            None => Ok(()),
        });
        walked.map_err(not_listed(prefix))
    }

    fn folders(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        Key::new(prefix)?;
        let listed = self.listed(prefix).map_err(not_listed(prefix))?;
        let mut folders = listed.map(|listed| listed.folders).unwrap_or_default();
        folders.sort();
        Ok(folders)
    }

    /// Small objects are read where they are found, on all cores; the others after that, the largest first.
    fn survey(&self, prefix: &str, reading: &Reading<'_>) -> Result<Survey, StoreError> {
        if !prefix.is_empty() {
            Key::new(prefix)?;
        }
        let walk = Walk::new(reading);
        if let Some(folder) = self.listed(prefix).map_err(not_listed(prefix))? {
            walk.folder(&folder, prefix, &mut room()).map_err(not_listed(prefix))?;
        }
        Ok(walk.finish(&|key| self.open(key)))
    }

    fn delete_all(&self, prefix: &str) -> Result<(), StoreError> {
        let key = Key::new(prefix)?;
        self.root.remove_all(key.as_str()).map_err(failed("remove", &key))
    }

    fn create(&self, key: &Key, bytes: &[u8]) -> Result<Created, StoreError> {
        self.try_create(key, bytes).map_err(failed("create", key))
    }

    fn put_stream(&self, key: &Key, digest: &Digest, stream: &mut dyn Read) -> Result<(), StoreError> {
        if let Some(there) = self.head(key)? {
            return stream::keep(key, digest, there.size);
        }
        let mut temp = self.root.temp().map_err(failed("write", key))?;
        stream::copy_checked(key, digest, stream, |bytes| temp.write_all(bytes))?;
        let made = temp
            .finish(IMMUTABLE, None)
            .and_then(|temp| temp.create(&self.root.make_folder_of(key.as_str())?, name(key)))
            .map_err(failed("write", key))?;
        match self.head(key)? {
            Some(there) if !made => stream::keep(key, digest, there.size),
            None if !made => Err(failed("write", key)(folder::not_ours(Oddity::Folder))),
            _ => Ok(()),
        }
    }

    fn put_bytes(&self, key: &Key, digest: &Digest, bytes: &[u8]) -> Result<(), StoreError> {
        if let Some(there) = self.head(key)? {
            return stream::keep(key, digest, there.size);
        }
        match self.create(key, bytes)? {
            Created::Yes => Ok(()),
            Created::No => Err(StoreError::Different(key.clone())),
        }
    }

    fn stage(&self, key: &Key, digest: &Digest, stream: &mut dyn Read) -> Result<Staged, StoreError> {
        let mut staged = Staged::done(key, digest);
        if let Some(there) = self.head(key)? {
            return stream::keep(key, digest, there.size).map(|()| staged);
        }
        let mut temp = self.root.temp().map_err(failed("write", key))?;
        stream::copy_checked(key, digest, stream, |bytes| temp.write_all(bytes))?;
        let temp = temp.finish_unsynced(IMMUTABLE).map_err(failed("write", key))?;
        staged.temp = Some(temp.leave());
        Ok(staged)
    }

    fn settle(&self, staged: Vec<Staged>) -> Result<(), StoreError> {
        let Some(first) = staged.iter().find(|staged| staged.temp.is_some()) else {
            return Ok(());
        };
        // The bytes, before any name is there; then the names.
        self.root.sync().map_err(failed("sync", &first.key))?;
        for object in &staged {
            let Some(temp) = &object.temp else { continue };
            let made = self.root.adopt(temp, object.key.as_str(), name(&object.key));
            if !made.map_err(failed("write", &object.key))? {
                let size = self.head(&object.key)?.map_or(0, |there| there.size);
                stream::keep(&object.key, &object.digest, size)?;
            }
        }
        self.root.sync().map_err(failed("sync", &first.key))
    }

    fn free_bytes(&self) -> Result<Option<u64>, StoreError> {
        let free = self.root.free_bytes();
        free.map(Some).map_err(|source| StoreError::Backend {
            act: "look for room in",
            key: self.root.path().display().to_string(),
            source: source.into(),
        })
    }

    fn replace(&self, key: &Key, bytes: &[u8]) -> Result<(), StoreError> {
        self.try_replace(key, bytes).map_err(failed("replace", key))
    }

    fn link(&self, from: &Key, to: &Key) -> Result<(), StoreError> {
        self.try_link(from, to)
            .map_err(failed("link", to))?
            .ok_or_else(|| StoreError::Missing(from.clone()))
    }

    fn is_same(&self, a: &Key, b: &Key) -> Result<Option<bool>, StoreError> {
        let look = |key: &Key| self.look(key).map_err(failed("look at", key));
        match (look(a)?, look(b)?) {
            (Some(a), Some(b)) if a.inode == b.inode => Ok(Some(true)),
            // Where links cannot be made they are copies.
            (Some(a), Some(b)) if a.size == b.size => Ok(None),
            _ => Ok(Some(false)),
        }
    }

    fn delete(&self, key: &Key) -> Result<(), StoreError> {
        self.try_delete(key).map_err(failed("remove", key))
    }

    fn local_path(&self, key: &Key) -> Option<PathBuf> {
        self.look(key).ok().flatten()?;
        Some(self.root.path().join(key.as_str()))
    }
}

fn not_opened(root: &Path, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StoreError {
    StoreError::Backend {
        act: "open the store",
        key: root.display().to_string(),
        source: error.into(),
    }
}

fn name(key: &Key) -> &str {
    key.as_str().rsplit('/').next().unwrap_or_default()
}

pub(super) fn meta(key: Key, found: Found) -> Meta {
    Meta {
        key,
        size: found.size,
        modified: found.modified,
        object: Some(found.inode),
    }
}

fn not_listed(prefix: &str) -> impl FnOnce(io::Error) -> StoreError {
    let key = prefix.to_owned();
    move |source| backend("list", key, source)
}

pub(super) fn failed(act: &'static str, key: &Key) -> impl FnOnce(io::Error) -> StoreError {
    let key = key.to_string();
    move |source| backend(act, key, source)
}

fn backend(act: &'static str, key: String, source: io::Error) -> StoreError {
    let strange = source.get_ref().and_then(|inner| inner.downcast_ref());
    match strange {
        Some(NotOurs(what)) => StoreError::Strange { act, key, what: *what },
        None => StoreError::Backend {
            act,
            key,
            source: source.into(),
        },
    }
}
