//! Skeleton.
use super::{Created, Key, Meta, Store, StoreError};
use crate::domain::Digest;
use std::io::Read;
use std::path::{Path, PathBuf};

/// A backend.
#[derive(Debug)]
pub struct ObjectStore;

impl Store for ObjectStore {
    fn get(&self, _key: &Key, _limit: u64) -> Result<Vec<u8>, StoreError> {
        todo!()
    }
    fn open(&self, _key: &Key) -> Result<Box<dyn Read + Send>, StoreError> {
        todo!()
    }
    fn head(&self, _key: &Key) -> Result<Option<Meta>, StoreError> {
        todo!()
    }
    fn list(&self, _prefix: &str) -> Result<Vec<Meta>, StoreError> {
        todo!()
    }
    fn create(&self, _key: &Key, _bytes: &[u8]) -> Result<Created, StoreError> {
        todo!()
    }
    fn put_stream(&self, _key: &Key, _digest: &Digest, _stream: &mut dyn Read) -> Result<(), StoreError> {
        todo!()
    }
    fn replace(&self, _key: &Key, _bytes: &[u8]) -> Result<(), StoreError> {
        todo!()
    }
    fn link(&self, _from: &Key, _to: &Key) -> Result<(), StoreError> {
        todo!()
    }
    fn delete(&self, _key: &Key) -> Result<(), StoreError> {
        todo!()
    }
    fn local_path(&self, _key: &Key) -> Option<PathBuf> {
        todo!()
    }
}
impl ObjectStore {
    /// Objects in this process's memory, gone with it.
    ///
    /// # Errors
    /// When the threads that drive it cannot be started.
    pub fn memory() -> Result<Self, StoreError> {
        todo!()
    }
}
