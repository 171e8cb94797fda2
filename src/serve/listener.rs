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

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    async fn server(connections: usize) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let patience = Patience {
            head: Duration::from_millis(300),
            idle: Duration::from_millis(300),
        };
        let free = Arc::new(Semaphore::new(connections));
        // Our own answer may take longer than any client may.
        let slow = || async {
            sleep(Duration::from_millis(900)).await;
            "done"
        };
        let router = Router::new().route("/", get(slow));
        tokio::spawn(async move {
            axum::serve(
                Limited {
                    listener,
                    free,
                    patience,
                },
                router,
            )
            .await
        });
        address
    }

    #[tokio::test]
    async fn we_may_be_slow_and_clients_may_not() {
        let address = server(1).await;
        let mut dripping = TcpStream::connect(address).await.unwrap();
        let mut patient = TcpStream::connect(address).await.unwrap();
        patient
            .write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .await
            .unwrap();
        // A byte now and then does not help: the whole head has its time.
        let mut sent = 0;
        while dripping.write_all(b"G").await.is_ok() && sent < 1000 {
            sent += 1;
            sleep(Duration::from_millis(20)).await;
        }
        assert!(sent < 1000);
        // The only connection is free for the other one now.
        let mut answer = String::new();
        patient.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("done"), "{answer}");
        let mut idle = TcpStream::connect(address).await.unwrap();
        assert!(matches!(idle.read(&mut [0; 10]).await, Ok(0) | Err(_)));
    }
}
