//! HTTP to one upstream, with limits (threats F8, F9). Async inside, blocking outside.
//!
//! A client belongs to one base URL: redirects leave its host only for hosts that were allowed, and
//! private addresses are used only for the base URL's own host.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::{StatusCode, Url, header, redirect};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::address::{bad_url, base_url, check_redirect};
use super::body::Body;
use super::decoders::Decoders;
use super::resolve::{Guarded, is_private_host};
use super::{UpstreamError, body};
use crate::domain::{HostName, RelPath, escape};
use crate::site::MirrorArchive;

/// What a client takes at most.
#[derive(Debug, Clone)]
pub struct Limits {
    /// To connect.
    pub connect: Duration,
    /// Without a byte.
    pub idle: Duration,
    /// For an answer to begin; and within each such time as many bytes must come as `slowest` says, or the end.
    pub total: Duration,
    /// The slowest rate that is waited for, in bytes per second.
    pub slowest: u64,
    /// How often a file is tried.
    pub tries: u32,
    /// Before the second try; doubled before each further one.
    pub backoff: Duration,
    /// Files fetched at once.
    pub connections: usize,
    /// Redirects followed for one file.
    pub redirects: usize,
    /// Hosts that redirects may lead to, beside the base URL's own.
    pub allowed_hosts: Vec<HostName>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(15),
            idle: Duration::from_secs(30),
            total: Duration::from_secs(60),
            slowest: 4 << 10,
            tries: 3,
            backoff: Duration::from_millis(300),
            connections: 8,
            redirects: 5,
            allowed_hosts: Vec::new(),
        }
    }
}

impl Limits {
    /// The usual ones, with the redirects that the site allows this upstream.
    #[must_use]
    pub fn of(config: &MirrorArchive) -> Self {
        Self {
            allowed_hosts: config.allowed_hosts.clone(),
            ..Self::default()
        }
    }
}

/// How long a connection stays open that nobody uses: from one file to the next.
const UNUSED: Duration = Duration::from_secs(5);

/// The connections that several clients may have in all, and the decompressors for what comes. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Connections {
    count: usize,
    open: Arc<Semaphore>,
    decoders: Arc<Decoders>,
    pools: Arc<Pools>,
}

/// What keeps connections open, one for each host of an upstream, and the threads on which they are served. No connection
/// outlives these, whichever client it was opened for.
#[derive(Debug, Default)]
struct Pools {
    /// By host, and how long to connect to it.
    open: Mutex<BTreeMap<(String, Duration), reqwest::Client>>,
    /// There once a client was made, until dropped.
    runtime: Mutex<Option<Runtime>>,
}

impl Connections {
    /// So many in all.
    #[must_use]
    pub fn at_most(count: usize) -> Self {
        let count = count.max(1);
        Self {
            count,
            open: Arc::new(Semaphore::new(count)),
            decoders: Arc::new(Decoders::new()),
            pools: Arc::default(),
        }
    }

    fn handle(&self) -> Result<Handle, UpstreamError> {
        let mut runtime = self.pools.runtime.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(runtime) = runtime.as_ref() {
            return Ok(runtime.handle().clone());
        }
        let new = Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("assay-http")
            .enable_all()
            .build()
            .map_err(|error| UpstreamError::Client(body::causes(&error)))?;
        let handle = new.handle().clone();
        *runtime = Some(new);
        Ok(handle)
    }

    /// The pool of connections to an upstream's host, and to those that it may redirect to.
    fn pool(&self, base: &Url, connect: Duration) -> Result<reqwest::Client, UpstreamError> {
        let host = base.host_str().unwrap_or_default().to_owned();
        let mut open = self.pools.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pool) = open.get(&(host.clone(), connect)) {
            return Ok(pool.clone());
        }
        let http = reqwest::Client::builder()
            .user_agent(concat!("assay/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .http1_only()
            .connect_timeout(connect)
            .pool_idle_timeout(UNUSED)
            .pool_max_idle_per_host(self.count);
        let http = if is_private_host(base) {
            // A proxy has other loopback and private addresses than we.
            http.no_proxy()
        } else {
            let declared = host.clone();
            http.dns_resolver(Guarded { declared })
        };
        let pool = http
            .build()
            .map_err(|error| UpstreamError::Client(body::causes(&error)))?;
        open.insert((host, connect), pool.clone());
        Ok(pool)
    }
}

impl Drop for Pools {
    fn drop(&mut self) {
        let runtime = self.runtime.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(runtime) = runtime.take() {
            // Waiting is not allowed where a server drops this, and nothing here must be finished.
            runtime.shutdown_background();
        }
    }
}

/// What of a file is asked for: all from a byte on, of the file that has this name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Range<'a> {
    pub(super) from: u64,
    pub(super) validator: Option<&'a header::HeaderValue>,
}

/// How many bytes a file has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// Exactly so many: a signed index says so.
    Exactly(u64),
    /// Not known beforehand; no more than so many.
    AtMost(u64),
}

impl Expect {
    /// The most bytes that may come.
    #[must_use]
    pub fn most(self) -> u64 {
        match self {
            Self::Exactly(size) | Self::AtMost(size) => size,
        }
    }
}

/// An HTTP client of one upstream. Blocks; not for use on threads that run async code.
#[derive(Debug)]
pub struct Client {
    base: Url,
    http: reqwest::Client,
    limits: Limits,
    connections: Connections,
    /// That of the connections.
    runtime: Handle,
}

impl Client {
    /// A client for the upstream at `base_uri`, with connections of its own.
    ///
    /// # Errors
    /// As `sharing`.
    pub fn new(base_uri: &str, limits: Limits) -> Result<Self, UpstreamError> {
        let connections = Connections::at_most(limits.connections);
        Self::sharing(base_uri, limits, connections)
    }

    /// A client for the upstream at `base_uri` that has no more connections than these, together
    /// with the other clients that have them.
    ///
    /// # Errors
    /// When `base_uri` is no http(s) URL of a folder on a host, or the machine has no threads left.
    pub fn sharing(base_uri: &str, limits: Limits, connections: Connections) -> Result<Self, UpstreamError> {
        let base = base_url(base_uri)?;
        Ok(Self {
            http: connections.pool(&base, limits.connect)?,
            runtime: connections.handle()?,
            connections,
            base,
            limits,
        })
    }

    /// The base URL, with its trailing slash.
    #[must_use]
    pub fn base_uri(&self) -> &str {
        self.base.as_str()
    }

    /// How many files are fetched at once.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.limits.connections
    }

    /// The URL of a file below the base.
    ///
    /// # Errors
    /// Never for a checked path.
    pub fn url(&self, path: &str) -> Result<Url, UpstreamError> {
        let checked = RelPath::new(path).map_err(|source| bad_url(path, source))?;
        // No segment of a checked path is read in a special way but `name:` at its start, so it is
        // appended as text: `join` would take that for a scheme.
        Url::parse(&format!("{}{checked}", self.base)).map_err(|source| bad_url(path, source))
    }

    /// A whole small file.
    ///
    /// # Errors
    /// When it cannot be had, or is not of the expected size.
    pub fn get(&self, path: &str, expect: Expect) -> Result<Vec<u8>, UpstreamError> {
        let mut body = self.open(path, expect)?;
        let mut bytes = Vec::new();
        match std::io::Read::read_to_end(&mut body, &mut bytes) {
            Ok(_) => Ok(bytes),
            Err(error) => Err(body.failure(&error)),
        }
    }

    /// A file as a stream that enforces the limits, after any number of redirects. What fails for
    /// now, before or within the stream, is tried again, as often as the limits say.
    ///
    /// # Errors
    /// When it cannot be had, or a size other than the expected one is announced.
    pub fn open(&self, path: &str, expect: Expect) -> Result<Body<'_>, UpstreamError> {
        let url = self.url(path)?;
        let permit = self.permit()?;
        let whole = Range {
            from: 0,
            validator: None,
        };
        let answer = self.retrying(|| self.ask(&url, whole))?;
        Body::new(self, url, expect, answer, permit)
    }

    /// Places for decompressors, shared as the connections are.
    pub(super) fn decoders(&self) -> &Decoders {
        &self.connections.decoders
    }

    /// What a client takes at most.
    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// One try to have a file, or the rest of one.
    pub(super) fn ask(&self, url: &Url, range: Range<'_>) -> Result<reqwest::Response, UpstreamError> {
        self.handle().block_on(self.request(url, range))
    }

    /// Runs `fetch` until it succeeds, fails for good, or has been tried often enough.
    fn retrying<T>(&self, fetch: impl Fn() -> Result<T, UpstreamError>) -> Result<T, UpstreamError> {
        let mut pause = self.limits.backoff;
        for _ in 1..self.limits.tries {
            match fetch() {
                Err(error) if error.is_passing() => {
                    tracing::debug!(%error, "trying again");
                    self.pause(pause)?;
                    pause = pause.saturating_mul(2);
                }
                done => return done,
            }
        }
        fetch()
    }

    /// Waits.
    pub(super) fn pause(&self, time: Duration) -> Result<(), UpstreamError> {
        // Inside of the runtime, whose timer it is.
        self.handle().block_on(async { tokio::time::sleep(time).await });
        Ok(())
    }

    pub(super) fn handle(&self) -> &Handle {
        &self.runtime
    }

    fn permit(&self) -> Result<OwnedSemaphorePermit, UpstreamError> {
        let permits = self.connections.open.clone();
        let permit = self.handle().block_on(permits.acquire_owned());
        permit.map_err(|_| UpstreamError::Client("it was shut down".to_owned()))
    }

    async fn request(&self, first: &Url, range: Range<'_>) -> Result<reqwest::Response, UpstreamError> {
        let deadline = Instant::now() + self.limits.total;
        let mut url = first.clone();
        for _ in 0..=self.limits.redirects {
            let answer = self.answer(&url, range, deadline).await?;
            let status = answer.status();
            if status == StatusCode::OK || (status == StatusCode::PARTIAL_CONTENT && range.from > 0) {
                return Ok(answer);
            }
            if !is_redirect(status) {
                return Err(refusal(first, status));
            }
            url = self.redirected(&url, &answer)?;
        }
        Err(UpstreamError::Redirect {
            url: first.to_string(),
            to: escape(url.as_str()),
            why: "there are too many of them",
        })
    }

    async fn answer(&self, url: &Url, range: Range<'_>, deadline: Instant) -> Result<reqwest::Response, UpstreamError> {
        let soon = (Instant::now() + self.limits.connect + self.limits.idle).min(deadline);
        let mut request = self.http.get(url.clone()).header(header::ACCEPT_ENCODING, "identity");
        if range.from > 0 {
            request = request.header(header::RANGE, format!("bytes={}-", range.from));
            if let Some(validator) = range.validator {
                request = request.header(header::IF_RANGE, validator);
            }
        }
        match timeout_at(soon, request.send()).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) if error.is_timeout() => Err(UpstreamError::TimedOut {
                url: url.to_string(),
                what: format!("no connection within {} s", self.limits.connect.as_secs()),
            }),
            Ok(Err(error)) => Err(UpstreamError::Transport {
                url: url.to_string(),
                why: body::causes(&error.without_url()),
            }),
            Err(_) => Err(UpstreamError::TimedOut {
                url: url.to_string(),
                what: "no answer".to_owned(),
            }),
        }
    }

    fn redirected(&self, from: &Url, answer: &reqwest::Response) -> Result<Url, UpstreamError> {
        let raw = answer
            .headers()
            .get(header::LOCATION)
            .map_or(&b""[..], |value| value.as_bytes());
        let refuse = |why| UpstreamError::Redirect {
            url: from.to_string(),
            to: escape(&String::from_utf8_lossy(raw)),
            why,
        };
        let text = std::str::from_utf8(raw).map_err(|_| refuse("it is not ASCII"))?;
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(refuse(
                "it is empty or has blanks, control characters or bytes outside ASCII",
            ));
        }
        let to = from.join(text).map_err(|_| refuse("it is not a URL"))?;
        check_redirect(&self.base, &self.limits.allowed_hosts, from, &to).map_err(refuse)?;
        Ok(to)
    }
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

fn refusal(url: &Url, status: StatusCode) -> UpstreamError {
    let (url, status) = (url.to_string(), status.as_u16());
    match status {
        404 | 410 => UpstreamError::NotFound { url, status },
        _ => UpstreamError::Status { url, status },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_below_the_base() {
        let client = Client::new("http://127.0.0.1:1/debian", Limits::default()).unwrap();
        let url = client.url("pool/main/g/g++/a_1%2b".trim_end_matches("%2b")).unwrap();
        assert_eq!(url.as_str(), "http://127.0.0.1:1/debian/pool/main/g/g++/a_1");
        assert_eq!(
            client.url("a~1+b:2").unwrap().as_str(),
            "http://127.0.0.1:1/debian/a~1+b:2"
        );
        for bad in ["../x", "/x", "http://other/x", "a/%2e%2e/b", "a\r\nb", "a?b", "a#b"] {
            assert!(client.url(bad).is_err(), "{bad:?}");
        }
    }
}
