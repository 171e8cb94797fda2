//! The store in any `object_store`: memory here, cloud services in builds that have them.
//!
//! An object appears when its upload is complete; create-if-absent is the service's own conditional
//! write. The trait blocks, these clients do not: two threads of our own drive them, and callers
//! wait on a channel, which works from any thread.

use std::future::Future;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{
    Error, MultipartUpload, ObjectMeta, ObjectStoreExt as _, ObjectStoreScheme, PutMode, PutOptions, PutPayload,
    RetryConfig,
};
use tokio::runtime::{Builder, Handle, Runtime};

use super::{Created, Key, Meta, Store, StoreError, stream};
use crate::domain::{Digest, Timestamp};

/// What is uploaded at once: more than the 5 MiB that S3 demands of a part.
const PART: usize = 8 << 20;

/// How often is tried what may be done twice.
const TRIES: usize = 3;
/// The setting that names a service which speaks S3 and is not Amazon's.
const ENDPOINT: &str = "AWS_ENDPOINT_URL";

type Client = Arc<dyn object_store::ObjectStore>;

/// A store over an `object_store` client.
#[derive(Debug)]
pub struct ObjectStore {
    client: Client,
    threads: Threads,
}

impl ObjectStore {
    /// Drives `client`.
    ///
    /// # Errors
    /// When the threads that drive it cannot be started.
    pub fn new(client: Client) -> Result<Self, StoreError> {
        let threads = Threads::start(&client.to_string())?;
        Ok(Self { client, threads })
    }

    /// Objects in this process's memory, gone with it.
    ///
    /// # Errors
    /// When the threads that drive it cannot be started.
    pub fn memory() -> Result<Self, StoreError> {
        Self::new(Arc::new(object_store::memory::InMemory::new()))
    }

    /// What an `s3://bucket/prefix`, `gs://bucket/prefix` or `az://container/prefix` names. `settings` are named as the services'
    /// own tools name their environment variables, in any case; others than the service's own are left alone.
    ///
    /// # Errors
    /// `Url` when it or a setting means nothing, or one lacks; when the threads that drive it cannot be started.
    pub fn cloud(url: &str, settings: impl IntoIterator<Item = (String, String)>) -> Result<Self, StoreError> {
        let bad = |why: String| StoreError::Url {
            url: crate::domain::escape(url),
            why,
        };
        let parsed = reqwest::Url::parse(url).map_err(|error| bad(error.to_string()))?;
        if parsed.host_str().is_none_or(str::is_empty) || parsed.query().is_some() || parsed.fragment().is_some() {
            return Err(bad("write it as `s3://bucket/folder`, without `?` and `#`".to_owned()));
        }
        let patient = [("timeout", "300 seconds"), ("connect_timeout", "20 seconds")];
        let patient = patient.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let mut settings: Vec<(String, String)> = settings.into_iter().chain(patient).collect();
        // Whoever names a plain endpoint means it, as for a service on this machine.
        let plain =
            |(name, value): &(String, String)| name.eq_ignore_ascii_case(ENDPOINT) && value.starts_with("http://");
        if settings.iter().any(plain) {
            settings.push(("allow_http".to_owned(), "true".to_owned()));
        }
        let settings: Vec<_> = settings
            .iter()
            .map(|(name, value)| (name.to_ascii_lowercase(), value))
            .collect();
        let (scheme, folder) = ObjectStoreScheme::parse(&parsed).map_err(|error| bad(error.to_string()))?;
        macro_rules! client {
            ($builder:ty) => {{
                let mut builder = <$builder>::new().with_url(url).with_retry(retries());
                for (name, value) in &settings {
                    if let Ok(name) = name.parse() {
                        builder = builder.with_config(name, *value);
                    }
                }
                builder.build().map(|client| Arc::new(client) as Client)
            }};
        }
        let client = match scheme {
            ObjectStoreScheme::AmazonS3 => client!(AmazonS3Builder),
            ObjectStoreScheme::GoogleCloudStorage => client!(GoogleCloudStorageBuilder),
            ObjectStoreScheme::MicrosoftAzure => client!(MicrosoftAzureBuilder),
            _ => return Err(bad("it names no cloud service".to_owned())),
        };
        let client = client.map_err(|error| bad(error.to_string()))?;
        let folder = Path::parse(&folder).map_err(|error| bad(error.to_string()))?;
        if folder.as_ref().is_empty() {
            return Self::new(client);
        }
        Self::new(Arc::new(PrefixStore::new(client, folder)))
    }

    /// Runs one request on `key` to its end.
    fn run<T, F, W>(&self, act: &'static str, key: &Key, request: W) -> Result<T, StoreError>
    where
        W: FnOnce(Client, Path) -> F,
        F: Future<Output = object_store::Result<T>> + Send + 'static,
        T: Send + 'static,
    {
        let request = request(self.client.clone(), path(key.as_str())?);
        self.threads
            .wait(act, key.as_str(), request)?
            .map_err(|error| failed(act, key, error))
    }

    fn list_once(&self, prefix: &str, below: Option<Path>) -> Result<Vec<Meta>, StoreError> {
        let client = self.client.clone();
        let request = async move { client.list(below.as_ref()).collect::<Vec<_>>().await };
        let mut metas = Vec::new();
        for found in self.threads.wait("list", prefix, request)? {
            let found = found.map_err(|error| backend("list", prefix, error))?;
            metas.extend(meta(&found));
        }
        metas.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(metas)
    }

    fn folders_once(&self, prefix: &str, below: Path) -> Result<Vec<String>, StoreError> {
        let client = self.client.clone();
        let request = async move { client.list_with_delimiter(Some(&below)).await };
        let found = self.threads.wait("list", prefix, request)?;
        let found = found.map_err(|error| backend("list", prefix, error))?;
        let names = found.common_prefixes.iter().filter_map(Path::filename);
        let mut folders: Vec<String> = names.map(str::to_owned).collect();
        folders.sort();
        Ok(folders)
    }

    /// Whether this very request was answered as the one that created it. Services answer "there is one" to a request that
    /// they were sent twice: it may be ours all the same.
    fn create_once(&self, key: &Key, bytes: &[u8]) -> Result<bool, StoreError> {
        let payload = PutPayload::from(bytes.to_vec());
        let options = PutOptions::from(PutMode::Create);
        self.run("create", key, |client, path| async move {
            match client.put_opts(&path, payload, options).await {
                Ok(_) => Ok(true),
                Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => Ok(false),
                Err(error) => Err(error),
            }
        })
    }

    fn is(&self, key: &Key, bytes: &[u8]) -> Result<bool, StoreError> {
        match self.get(key, bytes.len() as u64) {
            Ok(there) => Ok(there == bytes),
            Err(StoreError::TooLarge { .. } | StoreError::Missing(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// What fits into one request is written if there is none; the rest goes up in parts. Two
    /// writers of one name both have its bytes, so that it does not matter whose stay.
    fn upload(&self, key: &Key, digest: &Digest, stream: &mut dyn Read) -> Result<(), StoreError> {
        if digest.size > PART as u64 {
            return self.upload_parts(key, digest, stream);
        }
        let mut bytes = Vec::new();
        stream::copy_checked(key, digest, stream, |chunk| {
            bytes.extend_from_slice(chunk);
            Ok(())
        })?;
        match self.create(key, &bytes)? {
            Created::Yes => Ok(()),
            Created::No => Err(StoreError::Different(key.clone())),
        }
    }

    /// The object appears when the upload is completed, and only then.
    fn upload_parts(&self, key: &Key, digest: &Digest, stream: &mut dyn Read) -> Result<(), StoreError> {
        let upload = self.run(
            "write",
            key,
            |client, path| async move { client.put_multipart(&path).await },
        )?;
        let mut parts = Parts {
            store: self,
            key,
            upload: Some(upload),
            buffer: Vec::new(),
        };
        let copied = stream::copy_checked(key, digest, stream, |bytes| parts.push(bytes).map_err(io::Error::other));
        let done = copied.and_then(|()| parts.complete());
        if done.is_err() {
            parts.abort();
        }
        done
    }
}

impl Store for ObjectStore {
    fn get(&self, key: &Key, limit: u64) -> Result<Vec<u8>, StoreError> {
        let (stream, size) = self.stream(key)?;
        stream::read_whole(key, stream, size, limit)
    }

    fn open(&self, key: &Key) -> Result<Box<dyn Read + Send>, StoreError> {
        self.stream(key)
            .map(|(stream, _)| Box::new(stream) as Box<dyn Read + Send>)
    }

    fn head(&self, key: &Key) -> Result<Option<Meta>, StoreError> {
        match self.run("look at", key, |client, path| async move { client.head(&path).await }) {
            Ok(found) => Ok(meta(&found)),
            Err(StoreError::Missing(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn list(&self, prefix: &str) -> Result<Vec<Meta>, StoreError> {
        let below = match prefix {
            "" => None,
            _ => Some(path(Key::new(prefix)?.as_str())?),
        };
        again(|| self.list_once(prefix, below.clone()))
    }

    fn folders(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let above = path(Key::new(prefix)?.as_str())?;
        again(|| self.folders_once(prefix, above.clone()))
    }

    fn create(&self, key: &Key, bytes: &[u8]) -> Result<Created, StoreError> {
        for _ in 1..TRIES {
            // Whether a request without an answer was done, what is there then says.
            let tried = self.create_once(key, bytes);
            if matches!(tried, Ok(true)) || self.is(key, bytes)? {
                return Ok(Created::Yes);
            }
            if self.head(key)?.is_some() {
                return Ok(Created::No);
            }
            // S3 answers a conflict also while another request for the name goes on, which then may have come to nothing.
        }
        Ok(match self.create_once(key, bytes)? || self.is(key, bytes)? {
            true => Created::Yes,
            false => Created::No,
        })
    }

    fn put_stream(&self, key: &Key, digest: &Digest, stream: &mut dyn Read) -> Result<(), StoreError> {
        match self.head(key)? {
            Some(there) => stream::keep(key, digest, there.size),
            None => self.upload(key, digest, stream),
        }
    }

    fn replace(&self, key: &Key, bytes: &[u8]) -> Result<(), StoreError> {
        again(|| {
            let payload = PutPayload::from(bytes.to_vec());
            self.run("replace", key, |client, path| async move {
                client.put(&path, payload).await.map(|_| ())
            })
        })
    }

    fn link(&self, from: &Key, to: &Key) -> Result<(), StoreError> {
        // Services refuse to copy an object to itself.
        if from == to {
            let there = self.head(from)?;
            return there.map_or_else(|| Err(StoreError::Missing(from.clone())), |_| Ok(()));
        }
        let to = path(to.as_str())?;
        again(|| {
            let to = to.clone();
            self.run(
                "copy",
                from,
                |client, from| async move { client.copy(&from, &to).await },
            )
        })
    }

    fn is_same(&self, _a: &Key, _b: &Key) -> Result<Option<bool>, StoreError> {
        Ok(None)
    }

    fn delete(&self, key: &Key) -> Result<(), StoreError> {
        let done = again(|| self.run("remove", key, |client, path| async move { client.delete(&path).await }));
        match done {
            Err(StoreError::Missing(_)) => Ok(()),
            other => other,
        }
    }

    fn local_path(&self, _key: &Key) -> Option<PathBuf> {
        None
    }
}

impl ObjectStore {
    fn stream(&self, key: &Key) -> Result<(ObjectStream, u64), StoreError> {
        let found = self.run("read", key, |client, path| async move { client.get(&path).await })?;
        let size = found.meta.size;
        let stream = ObjectStream {
            chunks: Some(found.into_stream()),
            rest: Bytes::new(),
            handle: self.threads.handle().ok_or_else(|| gone("read", key.as_str()))?,
        };
        Ok((stream, size))
    }
}

/// The threads that drive the client.
#[derive(Debug)]
pub(super) struct Threads(Option<Runtime>);

impl Threads {
    /// Starts them, for the store that is named.
    pub(super) fn start(store: &str) -> Result<Self, StoreError> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("store")
            .enable_all()
            .build();
        let runtime = runtime.map_err(|source| StoreError::Backend {
            act: "start",
            key: store.to_owned(),
            source: source.into(),
        })?;
        Ok(Self(Some(runtime)))
    }

    fn handle(&self) -> Option<Handle> {
        self.0.as_ref().map(|runtime| runtime.handle().clone())
    }

    pub(super) fn wait<T, F>(&self, act: &'static str, key: &str, work: F) -> Result<T, StoreError>
    where
        F: Future<Output = T> + Send + 'static,
        T: Send + 'static,
    {
        let handle = self.handle().ok_or_else(|| gone(act, key))?;
        wait(&handle, work).ok_or_else(|| gone(act, key))
    }
}

impl Drop for Threads {
    /// A runtime that is simply dropped panics inside another one, such as a server's.
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Runs `work` on the store's threads and waits for it; none when they are gone.
fn wait<T, F>(handle: &Handle, work: F) -> Option<T>
where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    let (sender, receiver) = sync_channel(1);
    handle.spawn(async move {
        // A caller that no longer waits does not want it.
        let _ = sender.send(work.await);
    });
    receiver.recv().ok()
}

/// An upload in parts of one size.
struct Parts<'a> {
    store: &'a ObjectStore,
    key: &'a Key,
    upload: Option<Box<dyn MultipartUpload>>,
    buffer: Vec<u8>,
}

impl Parts<'_> {
    fn push(&mut self, mut bytes: &[u8]) -> Result<(), StoreError> {
        while !bytes.is_empty() {
            let room = PART.saturating_sub(self.buffer.len()).min(bytes.len());
            let (now, later) = bytes.split_at_checked(room).unwrap_or((bytes, &[]));
            self.buffer.extend_from_slice(now);
            bytes = later;
            if self.buffer.len() >= PART {
                self.send()?;
            }
        }
        Ok(())
    }

    fn send(&mut self) -> Result<(), StoreError> {
        let part = std::mem::take(&mut self.buffer);
        self.tell(Tell::Part(part))
    }

    fn complete(&mut self) -> Result<(), StoreError> {
        if !self.buffer.is_empty() {
            self.send()?;
        }
        self.tell(Tell::Complete)
    }

    /// As well as it goes: what an upload leaves is invisible, and services expire it.
    fn abort(&mut self) {
        let _ = self.tell(Tell::Abort);
    }

    fn tell(&mut self, what: Tell) -> Result<(), StoreError> {
        let upload = self.upload.take().ok_or_else(|| gone("write", self.key.as_str()))?;
        let (upload, done) = self.store.threads.wait("write", self.key.as_str(), what.to(upload))?;
        self.upload = Some(upload);
        done.map_err(|error| failed("write", self.key, error))
    }
}

enum Tell {
    Part(Vec<u8>),
    Complete,
    Abort,
}

impl Tell {
    async fn to(self, mut upload: Box<dyn MultipartUpload>) -> (Box<dyn MultipartUpload>, object_store::Result<()>) {
        let done = match self {
            Self::Part(bytes) => upload.put_part(bytes.into()).await,
            Self::Complete => upload.complete().await.map(|_| ()),
            Self::Abort => upload.abort().await,
        };
        (upload, done)
    }
}

/// An object that is read chunk by chunk.
struct ObjectStream {
    chunks: Option<Chunks>,
    rest: Bytes,
    handle: Handle,
}

type Chunks = BoxStream<'static, object_store::Result<Bytes>>;

impl Read for ObjectStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            let Some(mut chunks) = self.chunks.take() else {
                return Ok(0);
            };
            let next = async move { (chunks.next().await, chunks) };
            let (chunk, chunks) = wait(&self.handle, next).ok_or_else(|| io::Error::other(Gone))?;
            match chunk {
                Some(chunk) => self.rest = chunk.map_err(io::Error::other)?,
                None => return Ok(0),
            }
            self.chunks = Some(chunks);
        }
        let count = buffer.len().min(self.rest.len());
        let now = self.rest.split_to(count);
        if let Some(target) = buffer.get_mut(..count) {
            target.copy_from_slice(&now);
        }
        Ok(count)
    }
}

/// What the clients themselves do about answers that say that a service is busy or broken.
fn retries() -> RetryConfig {
    RetryConfig {
        max_retries: 4,
        retry_timeout: Duration::from_secs(60),
        ..RetryConfig::default()
    }
}

/// Does what may be done twice again when the service failed: clients do not do so when an answer broke off, or a request
/// that changes something got none.
fn again<T>(work: impl Fn() -> Result<T, StoreError>) -> Result<T, StoreError> {
    for _ in 1..TRIES {
        match work() {
            Err(StoreError::Backend { .. }) => {}
            done => return done,
        }
    }
    work()
}

fn path(key: &str) -> Result<Path, StoreError> {
    // Never `Path::from`: it rewrites `~`.
    Path::parse(key).map_err(|source| backend("name", key, source))
}

/// None when somebody else wrote it under a name that is no key.
fn meta(found: &ObjectMeta) -> Option<Meta> {
    Some(Meta {
        key: Key::new(found.location.as_ref()).ok()?,
        size: found.size,
        modified: Timestamp::from_unix(found.last_modified.timestamp()),
        object: None,
    })
}

fn failed(act: &'static str, key: &Key, error: Error) -> StoreError {
    match error {
        Error::NotFound { .. } => StoreError::Missing(key.clone()),
        other => backend(act, key.as_str(), other),
    }
}

/// The threads of a store end with it.
#[derive(Debug, thiserror::Error)]
#[error("the store was closed")]
struct Gone;

fn gone(act: &'static str, key: &str) -> StoreError {
    backend(act, key, Gone)
}

fn backend(act: &'static str, key: &str, source: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::Backend {
        act,
        key: key.to_owned(),
        source: source.into(),
    }
}
