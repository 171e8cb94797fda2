//! The server's life: start, run, stop.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Semaphore, oneshot};

use super::app::{App, Archive, handle};
use super::listener::{Limited, Patience};
use super::{Overlays, ServeError};
use crate::domain::{ArchiveName, Timestamp};
use crate::store::Store;
use crate::upstream::{Client, PullThrough};

/// Connections at once. Each may block one thread; tokio has 512.
const CONNECTIONS: usize = 400;
const PATIENCE: Patience = Patience {
    head: Duration::from_secs(20),
    idle: Duration::from_secs(90),
};
/// How long answers may go on after the server was told to stop.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// What is served, and where.
#[derive(Debug, Clone)]
pub struct ServeConfig {
    /// The address to listen on; port 0 takes any free one.
    pub listen: SocketAddr,
    /// Where everything is.
    pub store: Arc<dyn Store>,
    /// The archives.
    pub archives: Vec<ServedArchive>,
    /// The one of them that is also at the root: `/dists/…`, `/pool/…`.
    pub root: Option<ArchiveName>,
    /// Files in memory, at `/env/<digest>/…`.
    pub overlays: Overlays,
    /// The present: `Last-Modified` of what is made up here.
    pub now: Timestamp,
}

/// One archive.
#[derive(Debug, Clone)]
pub struct ServedArchive {
    /// Its name, the first part of its URLs.
    pub name: ArchiveName,
    /// For a mirror with a lazy pool: where files come from that the store lacks.
    pub upstream: Option<Arc<Client>>,
}

/// Starts servers.
#[derive(Debug)]
pub struct Server;

impl Server {
    /// Starts to listen and returns; threads of its own answer. Not for use on threads that run
    /// async code.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub fn start(config: ServeConfig) -> Result<Running, ServeError> {
        let app = app(&config);
        let runtime = Builder::new_multi_thread()
            .thread_name("assay-serve")
            .enable_all()
            .build()
            .map_err(ServeError::Start)?;
        let listen = |source| ServeError::Listen {
            address: config.listen,
            source,
        };
        let listener = runtime.block_on(TcpListener::bind(config.listen)).map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let limited = Limited {
            listener,
            free: Arc::new(Semaphore::new(CONNECTIONS)),
            patience: PATIENCE,
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let (ending, ended) = oneshot::channel::<()>();
        let router = Router::new().fallback(handle).with_state(Arc::new(app));
        runtime.spawn(async move {
            let serving = axum::serve(limited, router).with_graceful_shutdown(async {
                // A dropped sender means the same.
                let _ = stopped.await;
            });
            if let Err(error) = serving.await {
                tracing::error!(%error, "the server ended");
            }
            let _ = ending.send(());
        });
        Ok(Running {
            address,
            stop: Some(stop),
            ended: Some(ended),
            runtime: Some(runtime),
        })
    }
}

fn app(config: &ServeConfig) -> App {
    let mut archives = BTreeMap::new();
    for served in &config.archives {
        let (store, client) = (Arc::clone(&config.store), served.upstream.clone());
        let pool = PullThrough::new(served.name.clone(), store, client);
        archives.insert(served.name.clone(), Archive::new(pool));
    }
    App {
        store: Arc::clone(&config.store),
        archives,
        root: config.root.clone(),
        overlays: config.overlays.clone(),
        started: config.now,
    }
}

/// A server that runs until this is dropped.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    ended: Option<oneshot::Receiver<()>>,
    /// Always there until dropped.
    runtime: Option<Runtime>,
}

impl Running {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its base URL, without a slash at its end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Blocks until the process is told to stop (SIGINT, SIGTERM), then lets answers end for some
    /// seconds.
    ///
    /// # Errors
    /// When signals cannot be waited for.
    pub fn wait(mut self) -> Result<(), ServeError> {
        let Some(runtime) = self.runtime.take() else {
            return Ok(());
        };
        runtime.block_on(told_to_stop()).map_err(ServeError::Start)?;
        drop(self.stop.take());
        if let Some(ended) = self.ended.take() {
            // A client that does not take its answer is not waited for.
            let _ = runtime.block_on(async { tokio::time::timeout(LAST_WORDS, ended).await });
        }
        runtime.shutdown_background();
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Closes the listener and every connection.
            runtime.shutdown_background();
        }
    }
}

async fn told_to_stop() -> std::io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}
