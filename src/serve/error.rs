//! What keeps the server from starting.

use crate::domain::{Coded, Kind};
use crate::upstream::UpstreamError;

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
    /// A mirror's upstream cannot be used.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
}

impl Coded for ServeError {
    fn code(&self) -> &'static str {
        match self {
            Self::Listen { .. } => "E-SERVE-001",
            Self::Start(_) => "E-SERVE-002",
            Self::Upstream(source) => source.code(),
        }
    }
    fn kind(&self) -> Kind {
        match self {
            Self::Listen { .. } | Self::Start(_) => Kind::Environment,
            Self::Upstream(source) => source.kind(),
        }
    }
    fn hint(&self) -> Option<String> {
        match self {
            Self::Listen { .. } => Some("give another address with --listen; port 0 takes any free one".to_owned()),
            Self::Start(_) => None,
            Self::Upstream(source) => source.hint(),
        }
    }
}
