//! Somebody else's store, read over HTTP: as `assay serve` or any web server over its folder offers it.
//!
//! Reads only, one object at a time. What comes is what the server says: whoever reads checks it, by hash
//! or by signature, as with every store. There are no listings, so verbs that need one fail.

use std::io::{Cursor, Read};
use std::path::PathBuf;
use std::time::Duration;

use futures_util::StreamExt as _;
use reqwest::{Client, Response, StatusCode, Url, header, redirect};

use super::object::Threads;
use super::{Created, Key, Meta, Store, StoreError};
use crate::domain::{Digest, Timestamp, escape};

/// To connect, and without a byte.
const PATIENCE: Duration = Duration::from_secs(30);
/// How many redirects apt follows, one after the other.
const MOST_REDIRECTS: usize = 10;
/// The largest object that is read as a stream, in bytes.
const LARGEST: u64 = 1 << 30;

/// A store behind a URL.
#[derive(Debug)]
pub struct HttpStore {
    base: Url,
    client: Client,
    threads: Threads,
}

impl HttpStore {
    /// The store at `url`, `http://` or `https://`.
    ///
    /// # Errors
    /// `Url` when it is no such URL; when the threads that drive it cannot be started.
    pub fn open(url: &str) -> Result<Self, StoreError> {
        Self::with(url, redirect::Policy::none())
    }

    /// The same for who reads what others serve, and follows redirects as apt does ([`HttpStore::look`]).
    ///
    /// # Errors
    /// As [`HttpStore::open`].
    pub fn open_following(url: &str) -> Result<Self, StoreError> {
        Self::with(url, redirect::Policy::custom(as_apt))
    }

    fn with(url: &str, redirects: redirect::Policy) -> Result<Self, StoreError> {
        let bad = |why: String| StoreError::Url { url: escape(url), why };
        let base = Url::parse(&format!("{}/", url.trim_end_matches('/'))).map_err(|error| bad(error.to_string()))?;
        if base.query().is_some() || base.fragment().is_some() || !base.username().is_empty() {
            return Err(bad("it has a query, a fragment or a user".to_owned()));
        }
        let client = Client::builder()
            .connect_timeout(PATIENCE)
            .read_timeout(PATIENCE)
            .redirect(redirects)
            .build()
            .map_err(|error| bad(error.to_string()))?;
        Ok(Self {
            base,
            client,
            threads: Threads::start(url)?,
        })
    }

    fn url(&self, key: &Key) -> Result<Url, StoreError> {
        self.base
            .join(key.as_str())
            .map_err(|source| failed("name", key, source))
    }

    fn fetch(&self, key: &Key, limit: u64) -> Result<Vec<u8>, StoreError> {
        match self.look(key, limit)? {
            Looked::Found { bytes, .. } => Ok(bytes),
            Looked::TooLarge => Err(StoreError::TooLarge {
                key: key.clone(),
                limit,
            }),
            Looked::Absent => Err(StoreError::Missing(key.clone())),
            Looked::Astray { status, .. } => Err(failed("read", key, Answer(status))),
        }
    }

    /// What is under a key, and from where it came.
    ///
    /// # Errors
    /// When the server cannot be asked, or fails.
    pub fn look(&self, key: &Key, limit: u64) -> Result<Looked, StoreError> {
        let request = self.client.get(self.url(key)?);
        let looked = self.threads.wait("read", key.as_str(), async move {
            let response = request.send().await?;
            let (status, url) = (response.status(), response.url().to_string());
            Ok(match status {
                StatusCode::OK => match read(response, limit).await? {
                    Some(bytes) => Looked::Found { bytes, url },
                    None => Looked::TooLarge,
                },
                StatusCode::NOT_FOUND | StatusCode::GONE => Looked::Absent,
                status => {
                    let to = response.headers().get(header::LOCATION);
                    let to = to.map(|to| String::from_utf8_lossy(to.as_bytes()).into_owned());
                    Looked::Astray { status, to }
                }
            })
        })?;
        match looked.map_err(|source: reqwest::Error| failed("read", key, source))? {
            Looked::Astray { status, .. } if !status.is_redirection() => Err(failed("read", key, Answer(status))),
            looked => Ok(looked),
        }
    }
}

/// What a server answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Looked {
    /// The object.
    Found {
        /// Its bytes.
        bytes: Vec<u8>,
        /// Where they are, after all redirects.
        url: String,
    },
    /// More bytes than were wanted.
    TooLarge,
    /// There is none.
    Absent,
    /// A redirect that is not followed.
    Astray {
        /// The answer.
        status: StatusCode,
        /// Where it leads, when it says that.
        to: Option<String>,
    },
}

/// As apt has it: not from `https` to something else, and never to where it was already.
fn as_apt(attempt: redirect::Attempt<'_>) -> redirect::Action {
    let from = attempt.previous().last().map_or("", |url| url.scheme());
    let is_allowed = attempt.url().scheme() == from || (from, attempt.url().scheme()) == ("http", "https");
    let is_loop = attempt.previous().contains(attempt.url()) || attempt.previous().len() > MOST_REDIRECTS;
    if is_allowed && !is_loop {
        attempt.follow()
    } else {
        attempt.stop()
    }
}

/// The body; none when it is larger than the limit.
async fn read(response: Response, limit: u64) -> Result<Option<Vec<u8>>, reqwest::Error> {
    let mut bytes = Vec::new();
    let mut body = response.bytes_stream();
    while let Some(chunk) = body.next().await {
        let chunk = chunk?;
        if (bytes.len() as u64).saturating_add(chunk.len() as u64) > limit {
            return Ok(None);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(Some(bytes))
}

#[derive(Debug, thiserror::Error)]
#[error("the server answers {0}")]
struct Answer(StatusCode);

#[derive(Debug, thiserror::Error)]
#[error("a store that is read over HTTP has no listings and cannot be written to")]
struct ReadOnly;

fn failed(act: &'static str, key: &Key, source: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::Backend {
        act,
        key: key.to_string(),
        source: Box::new(source),
    }
}

impl Store for HttpStore {
    fn get(&self, key: &Key, limit: u64) -> Result<Vec<u8>, StoreError> {
        self.fetch(key, limit)
    }

    fn open(&self, key: &Key) -> Result<Box<dyn Read + Send>, StoreError> {
        Ok(Box::new(Cursor::new(self.fetch(key, LARGEST)?)))
    }

    fn head(&self, key: &Key) -> Result<Option<Meta>, StoreError> {
        let request = self.client.head(self.url(key)?);
        let answered = self
            .threads
            .wait("look at", key.as_str(), async move { request.send().await })?;
        let answer = answered.map_err(|source| failed("look at", key, source))?;
        match answer.status() {
            StatusCode::OK => Ok(Some(Meta {
                key: key.clone(),
                size: answer.content_length().unwrap_or(0),
                modified: Timestamp::from_unix(0),
                object: None,
            })),
            StatusCode::NOT_FOUND | StatusCode::GONE => Ok(None),
            status => Err(failed("look at", key, Answer(status))),
        }
    }

    fn has_listings(&self) -> bool {
        false
    }

    fn list(&self, prefix: &str) -> Result<Vec<Meta>, StoreError> {
        Err(StoreError::Backend {
            act: "list",
            key: prefix.to_owned(),
            source: Box::new(ReadOnly),
        })
    }

    fn create(&self, key: &Key, _bytes: &[u8]) -> Result<Created, StoreError> {
        Err(failed("write", key, ReadOnly))
    }

    fn put_stream(&self, key: &Key, _digest: &Digest, _stream: &mut dyn Read) -> Result<(), StoreError> {
        Err(failed("write", key, ReadOnly))
    }

    fn replace(&self, key: &Key, _bytes: &[u8]) -> Result<(), StoreError> {
        Err(failed("write", key, ReadOnly))
    }

    fn link(&self, _from: &Key, to: &Key) -> Result<(), StoreError> {
        Err(failed("write", to, ReadOnly))
    }

    fn is_same(&self, _a: &Key, _b: &Key) -> Result<Option<bool>, StoreError> {
        Ok(None)
    }

    fn delete(&self, key: &Key) -> Result<(), StoreError> {
        Err(failed("remove", key, ReadOnly))
    }

    fn local_path(&self, _key: &Key) -> Option<PathBuf> {
        None
    }
}
