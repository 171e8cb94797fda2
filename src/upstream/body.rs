//! The bytes of one file, as they come, within their limits.

use std::io::{self, Read};
use std::time::Duration;

use bytes::Bytes;
use reqwest::Response;
use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout_at};

use super::UpstreamError;
use super::client::Expect;
use crate::domain::escape;

/// What one body may take.
#[derive(Debug)]
pub(super) struct Limits {
    pub(super) expect: Expect,
    pub(super) idle: Duration,
    pub(super) deadline: Instant,
}

/// A stream that fails when there are more bytes than expected, fewer, or none for too long. What
/// it failed with is kept: see [`Body::failure`].
#[derive(Debug)]
pub struct Body {
    url: String,
    response: Response,
    limits: Limits,
    handle: Handle,
    chunk: Bytes,
    came: u64,
    ended: bool,
    failed: Option<UpstreamError>,
    /// One of the connections that the client may have, given back when this is dropped.
    _permit: OwnedSemaphorePermit,
}

impl Body {
    pub(super) fn new(
        url: String,
        response: Response,
        limits: Limits,
        handle: Handle,
        permit: OwnedSemaphorePermit,
    ) -> Result<Self, UpstreamError> {
        let body = Self {
            url,
            response,
            limits,
            handle,
            chunk: Bytes::new(),
            came: 0,
            ended: false,
            failed: None,
            _permit: permit,
        };
        match body.response.content_length() {
            Some(announced) if body.is_wrong(announced) => Err(body.wrong_size(announced)),
            _ => Ok(body),
        }
    }

    /// What reading failed with; `seen` is what the reader was told, for a failure that was not ours.
    #[must_use]
    pub fn failure(&mut self, seen: &io::Error) -> UpstreamError {
        self.failed.take().unwrap_or_else(|| UpstreamError::Transport {
            url: self.url.clone(),
            why: escape(&seen.to_string()),
        })
    }

    /// Whether reading failed here, and not where the bytes went.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.failed.is_some()
    }

    /// What was asked for, before redirects.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    fn is_wrong(&self, whole: u64) -> bool {
        match self.limits.expect {
            Expect::Exactly(size) => whole != size,
            Expect::AtMost(size) => whole > size,
        }
    }

    fn wrong_size(&self, found: u64) -> UpstreamError {
        UpstreamError::Size {
            url: self.url.clone(),
            expected: self.limits.expect.most(),
            found,
        }
    }

    fn next(&mut self) -> Result<(), UpstreamError> {
        let soon = (Instant::now() + self.limits.idle).min(self.limits.deadline);
        let late = soon == self.limits.deadline;
        let handle = self.handle.clone();
        // The timer belongs to the runtime, so it is made inside of it.
        let next = handle.block_on(async { timeout_at(soon, self.response.chunk()).await });
        match next {
            Ok(Ok(Some(chunk))) => {
                self.came = self.came.saturating_add(chunk.len() as u64);
                if self.came > self.limits.expect.most() {
                    return Err(self.wrong_size(self.came));
                }
                self.chunk = chunk;
                Ok(())
            }
            Ok(Ok(None)) if self.is_wrong(self.came) => Err(UpstreamError::Transport {
                url: self.url.clone(),
                why: format!("it ended after {} of {} bytes", self.came, self.limits.expect.most()),
            }),
            Ok(Ok(None)) => {
                self.ended = true;
                Ok(())
            }
            Ok(Err(error)) => Err(UpstreamError::Transport {
                url: self.url.clone(),
                why: causes(&error.without_url()),
            }),
            Err(_) => Err(UpstreamError::TimedOut {
                url: self.url.clone(),
                what: if late {
                    format!("{} bytes came in all the time that it was given", self.came)
                } else {
                    format!("no byte for {} s", self.limits.idle.as_secs())
                },
            }),
        }
    }
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() && !self.ended {
            if let Some(failed) = &self.failed {
                return Err(io::Error::other(failed.to_string()));
            }
            if let Err(error) = self.next() {
                let told = io::Error::other(error.to_string());
                self.failed = Some(error);
                return Err(told);
            }
        }
        let taken = self.chunk.split_to(self.chunk.len().min(buffer.len()));
        if let Some(to) = buffer.get_mut(..taken.len()) {
            to.copy_from_slice(&taken);
        }
        Ok(taken.len())
    }
}

/// An error and what caused it, in one line.
pub(super) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let more = cause.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        next = cause.source();
    }
    escape(&text)
}
