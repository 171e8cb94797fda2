//! The bytes of one file, as they come, within their limits; over several answers, when one breaks off.

use std::io::{self, Read};
use std::time::Duration;

use bytes::Bytes;
use reqwest::{Response, StatusCode, Url, header};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout};

use super::client::{Client, Expect, Range};
use super::{Limits, UpstreamError};
use crate::domain::escape;

/// A connection that has brought so many bytes since it last broke may break as often again.
const PROGRESS: u64 = 1 << 20;

/// A stream that fails when there are more bytes than expected, fewer, or none for too long. What
/// it failed with is kept: see [`Body::failure`].
///
/// An answer that breaks off is followed by another for the rest, when the server says how large
/// the whole is: whoever reads sees one stream. That two answers belong together only the reader's
/// hash can tell; see [`Body::is_pieced`].
#[derive(Debug)]
pub struct Body<'c> {
    client: &'c Client,
    url: Url,
    expect: Expect,
    response: Response,
    pace: Pace,
    /// How large the whole file is, when that was expected or announced.
    whole: Option<u64>,
    /// What the file of the first answer was called, when its name says that no byte differs.
    validator: Option<header::HeaderValue>,
    chunk: Bytes,
    /// Bytes that came, of the whole.
    came: u64,
    /// Bytes of this answer that had come before.
    skip: u64,
    pieces: Pieces,
    ended: bool,
    failed: Option<UpstreamError>,
    /// One of the connections that the client may have, given back when this is dropped.
    _permit: OwnedSemaphorePermit,
}

/// How fast an answer comes. Time that the reader takes is not counted: a slow disk is no slow upstream.
#[derive(Debug, Default)]
struct Pace {
    /// Time that was waited since enough had come.
    waited: Duration,
    /// Bytes that came in this time.
    came: u64,
}

/// How often an answer may be continued by another.
#[derive(Debug)]
struct Pieces {
    left: u32,
    /// Where the last one started.
    from: u64,
    pieced: bool,
    /// The server's answer to a range was no part of the file.
    no_ranges: bool,
}

impl<'c> Body<'c> {
    pub(super) fn new(
        client: &'c Client,
        url: Url,
        expect: Expect,
        response: Response,
        permit: OwnedSemaphorePermit,
    ) -> Result<Self, UpstreamError> {
        let announced = response.content_length();
        let etag = response.headers().get(header::ETAG).cloned();
        let body = Self {
            client,
            url,
            expect,
            pace: Pace::default(),
            whole: match expect {
                Expect::Exactly(size) => Some(size),
                Expect::AtMost(_) => announced,
            },
            validator: etag.filter(|tag| tag.as_bytes().starts_with(b"\"")),
            response,
            chunk: Bytes::new(),
            came: 0,
            skip: 0,
            pieces: Pieces {
                left: client.limits().tries.saturating_sub(1),
                from: 0,
                pieced: false,
                no_ranges: false,
            },
            ended: false,
            failed: None,
            _permit: permit,
        };
        match announced {
            Some(announced) if body.is_wrong(announced) => Err(body.wrong_size(announced)),
            _ => Ok(body),
        }
    }

    /// The same, of one answer only.
    #[must_use]
    pub(super) fn in_one_piece(mut self) -> Self {
        self.pieces.left = 0;
        self
    }

    /// How large the file is, as the server says.
    pub(super) fn size(&self) -> Option<u64> {
        self.whole
    }

    /// What reading failed with; `seen` is what the reader was told, for a failure that was not ours.
    #[must_use]
    pub fn failure(&mut self, seen: &io::Error) -> UpstreamError {
        self.failed.take().unwrap_or_else(|| UpstreamError::Transport {
            url: self.url.to_string(),
            why: escape(&seen.to_string()),
        })
    }

    /// Whether reading failed here, and not where the bytes went.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.failed.is_some()
    }

    /// Whether the bytes came in several answers, which may have been parts of different files.
    #[must_use]
    pub fn is_pieced(&self) -> bool {
        self.pieces.pieced
    }

    /// What was asked for, before redirects.
    #[must_use]
    pub fn url(&self) -> &str {
        self.url.as_str()
    }

    fn is_wrong(&self, whole: u64) -> bool {
        match self.expect {
            Expect::Exactly(size) => whole != size,
            Expect::AtMost(size) => whole > size,
        }
    }

    fn wrong_size(&self, found: u64) -> UpstreamError {
        UpstreamError::Size {
            url: self.url.to_string(),
            expected: self.expect.most(),
            found,
        }
    }

    fn transport(&self, why: String) -> UpstreamError {
        UpstreamError::Transport {
            url: self.url.to_string(),
            why,
        }
    }

    /// Has a chunk, or the end; over as many answers as it may take.
    fn next(&mut self) -> Result<(), UpstreamError> {
        let mut failure = match self.step() {
            Err(error) if error.is_passing() && self.whole.is_some() => error,
            done => return done,
        };
        if self.came.saturating_sub(self.pieces.from) >= PROGRESS {
            self.pieces.left = self.client.limits().tries.saturating_sub(1);
        }
        let mut pause = self.client.limits().backoff;
        while self.pieces.left > 0 {
            self.pieces.left = self.pieces.left.saturating_sub(1);
            tracing::debug!(error = %failure, came = self.came, "going on");
            self.client.pause(pause)?;
            pause = pause.saturating_mul(2);
            failure = match self.go_on().and_then(|()| self.step()) {
                Err(error) if error.is_passing() => error,
                done => return done,
            };
        }
        Err(failure)
    }

    /// Asks for the rest.
    fn go_on(&mut self) -> Result<(), UpstreamError> {
        let from = if self.pieces.no_ranges { 0 } else { self.came };
        let range = Range {
            from,
            validator: self.validator.as_ref(),
        };
        let asked = self.client.ask(&self.url, range);
        if let Err(UpstreamError::Status { status: 416, .. }) = asked {
            self.pieces.no_ranges = true;
            return Err(self.transport("it has no ranges".to_owned()));
        }
        let response = asked?;
        self.pieces.pieced = self.came > 0;
        self.pieces.from = self.came;
        if response.status() == StatusCode::PARTIAL_CONTENT {
            if !self.is_the_rest(&response) {
                self.pieces.no_ranges = true;
                return Err(self.transport("its answer to a range is another range".to_owned()));
            }
            self.skip = 0;
        } else {
            // The server sends the whole, by choice or because it has changed.
            if let Some(announced) = response.content_length().filter(|size| Some(*size) != self.whole) {
                return Err(match self.expect {
                    Expect::Exactly(_) => self.wrong_size(announced),
                    Expect::AtMost(_) => self.transport("it changed while it was fetched".to_owned()),
                });
            }
            self.skip = self.came;
        }
        self.response = response;
        self.pace = Pace::default();
        Ok(())
    }

    /// Whether a partial answer says that it starts where we are, and is of a file of the same size.
    fn is_the_rest(&self, response: &Response) -> bool {
        let text = response.headers().get(header::CONTENT_RANGE);
        let parsed = text.and_then(|value| {
            let (range, size) = value.to_str().ok()?.strip_prefix("bytes ")?.split_once('/')?;
            let (first, _) = range.split_once('-')?;
            Some((first.parse::<u64>().ok()?, size.parse::<u64>().ok()))
        });
        parsed.is_some_and(|(first, size)| first == self.came && (size.is_none() || size == self.whole))
    }

    /// Has a chunk of this answer, or the end.
    fn step(&mut self) -> Result<(), UpstreamError> {
        while let Some(mut chunk) = self.receive()? {
            let old = self.skip.min(chunk.len() as u64);
            self.skip = self.skip.saturating_sub(old);
            let chunk = chunk.split_off(usize::try_from(old).unwrap_or_default());
            if chunk.is_empty() {
                continue;
            }
            self.came = self.came.saturating_add(chunk.len() as u64);
            if self.came > self.expect.most() {
                return Err(self.wrong_size(self.came));
            }
            self.chunk = chunk;
            return Ok(());
        }
        let short = self.skip > 0 || self.whole.is_some_and(|whole| self.came < whole);
        if short || self.is_wrong(self.came) {
            let whole = self.whole.unwrap_or_else(|| self.expect.most());
            return Err(self.transport(format!("it ended after {} of {whole} bytes", self.came)));
        }
        self.ended = true;
        Ok(())
    }

    fn receive(&mut self) -> Result<Option<Bytes>, UpstreamError> {
        let Limits {
            idle, total, slowest, ..
        } = *self.client.limits();
        let left = total.saturating_sub(self.pace.waited);
        let handle = self.client.handle();
        let started = Instant::now();
        // The timer belongs to the runtime, so it is made inside of it.
        let next = handle.block_on(async { timeout(idle.min(left), self.response.chunk()).await });
        self.pace.waited = self.pace.waited.saturating_add(started.elapsed());
        match next {
            Ok(Ok(chunk)) => {
                let size = chunk.as_ref().map_or(0, |chunk| chunk.len() as u64);
                self.pace.came = self.pace.came.saturating_add(size);
                if self.pace.came >= slowest.saturating_mul(total.as_secs()) {
                    self.pace = Pace::default();
                }
                Ok(chunk)
            }
            Ok(Err(error)) => Err(self.transport(causes(&error.without_url()))),
            Err(_) => Err(UpstreamError::TimedOut {
                url: self.url.to_string(),
                what: if left <= idle {
                    let (came, time) = (self.pace.came, seconds(total));
                    format!("{came} bytes came in {time}, and at least {slowest} a second are waited for")
                } else {
                    format!("no byte for {}", seconds(idle))
                },
            }),
        }
    }
}

fn seconds(time: Duration) -> String {
    format!("{} s", time.as_secs())
}

impl Read for Body<'_> {
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
