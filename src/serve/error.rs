//! What keeps the server from starting.

use crate::domain::{Coded, Kind};

/// Why the server did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address cannot be listened on.
    #[error("cannot listen on `{address}`: {source}")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// No threads for the server.
    #[error("cannot start the server: {0}")]
    Start(#[source] std::io::Error),
}

impl Coded for ServeError {
    fn code(&self) -> &'static str {
        match self {
            Self::Listen { .. } => "E-SERVE-001",
            Self::Start(_) => "E-SERVE-002",
        }
    }
    fn kind(&self) -> Kind {
        Kind::Environment
    }
    fn hint(&self) -> Option<String> {
        match self {
            Self::Listen { .. } => Some("give another address with --listen; port 0 takes any free one".to_owned()),
            Self::Start(_) => Some("look at this machine's limits of threads, memory and open files".to_owned()),
        }
    }
}
