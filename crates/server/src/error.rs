//! Why a server does not start, or stops.

use std::net::SocketAddr;
use std::path::PathBuf;

/// Why a server does not start, or stops.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The settings contradict themselves.
    #[error("{0}")]
    Settings(String),
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {reason}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        reason: String,
    },
    /// The data directory cannot be used.
    #[error("data directory {path}: {reason}")]
    DataDir {
        /// The directory.
        path: PathBuf,
        /// Why, and what to do.
        reason: String,
    },
    /// The node's machines cannot be built.
    #[error("{0}")]
    Open(#[from] quorate_replica::OpenError),
    /// The log failed; nothing may be acknowledged any more.
    #[error("{0}; the node stops, because what is on disk can no longer be believed")]
    Log(quorate_wal::WalError),
    /// A committed entry cannot be applied by this version.
    #[error("{0}")]
    Apply(quorate_replica::ApplyError),
}
