//! Connections, within limits: how many, how long a request's head may take, how long a client may
//! do nothing (threats K5).

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};

/// How long clients may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// For the head of a request.
    pub(super) head: Duration,
    /// Between two requests, and for taking any byte of an answer.
    pub(super) idle: Duration,
}

/// Accepts a bounded number of connections.
#[derive(Debug)]
pub(super) struct Limited {
    pub(super) listener: TcpListener,
    pub(super) free: Arc<Semaphore>,
    pub(super) patience: Patience,
}

impl Listener for Limited {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        loop {
            // Only what can be served is accepted; the others wait in the kernel's queue.
            let Ok(permit) = Arc::clone(&self.free).acquire_owned().await else {
                std::future::pending::<()>().await;
                continue;
            };
            match self.listener.accept().await {
                Ok((stream, address)) => {
                    // Without it a small last piece of an answer would wait for the client.
                    let _ = stream.set_nodelay(true);
                    return (Connection::new(stream, self.patience, permit), address);
                }
                Err(error) => {
                    tracing::debug!(%error, "a connection was not accepted");
                    sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that fails when its client is too slow.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    patience: Patience,
    waiting: Waiting,
    /// When the client must have done what is waited for.
    deadline: Pin<Box<Sleep>>,
    /// How much of the empty line that ends a head was seen.
    matched: usize,
    _permit: OwnedSemaphorePermit,
}

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waiting {
    /// The rest of a request's head.
    Head,
    /// The next request, or that the client takes more of the answer.
    Client,
    /// Our own answer.
    Us,
}

impl Connection {
    fn new(stream: TcpStream, patience: Patience, permit: OwnedSemaphorePermit) -> Self {
        Self {
            stream,
            patience,
            waiting: Waiting::Head,
            deadline: Box::pin(sleep(patience.head)),
            matched: 0,
            _permit: permit,
        }
    }

    fn wait_for(&mut self, what: Waiting) {
        self.waiting = what;
        let patience = if what == Waiting::Head {
            self.patience.head
        } else {
            self.patience.idle
        };
        self.deadline.as_mut().reset(Instant::now() + patience);
    }

    /// Follows where heads begin and end: only GET and HEAD are answered, and they have no body.
    fn saw(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if self.waiting != Waiting::Head {
                self.wait_for(Waiting::Head);
                self.matched = 0;
            }
            self.matched = match (byte, self.matched) {
                (b'\n', 0) => 1,
                (b'\n', _) => 2,
                (b'\r', matched) => matched,
                _ => 0,
            };
            if self.matched == 2 {
                self.waiting = Waiting::Us;
            }
        }
    }

    fn is_late(&mut self, context: &mut Context<'_>) -> bool {
        self.waiting != Waiting::Us && self.deadline.as_mut().poll(context).is_ready()
    }
}

fn late() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the client is too slow")
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        let came = buffer.filled().get(before..).unwrap_or_default();
        self.saw(came);
        if self.is_late(context) {
            Poll::Ready(Err(late()))
        } else {
            read
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.stream).poll_write(context, bytes) {
            Poll::Pending => {
                if self.waiting == Waiting::Us {
                    self.wait_for(Waiting::Client);
                }
                if self.is_late(context) {
                    Poll::Ready(Err(late()))
                } else {
                    Poll::Pending
                }
            }
            written => {
                // A client that sends its next request early must not be given more time for it.
                if self.waiting != Waiting::Head {
                    self.wait_for(Waiting::Client);
                }
                written
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_shutdown(context))?;
        Poll::Ready(Ok(()))
    }
}
