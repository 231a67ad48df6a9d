//! Why a server does not start, or stops.

use std::net::SocketAddr;
use std::path::PathBuf;

use quorate_disk::ErrorKind;
use quorate_replica::OpenError;
use quorate_wal::WalError;

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
    #[error("{0}{advice}", advice = what_to_do_at_start(.0))]
    Open(#[from] OpenError),
    /// The log failed; nothing may be acknowledged any more.
    #[error("{0}{advice}", advice = what_to_do(.0))]
    Log(WalError),
    /// A committed entry cannot be applied by this version.
    #[error("{0}")]
    Apply(quorate_replica::ApplyError),
    /// A snapshot that was durable here cannot be loaded.
    #[error("{0}")]
    Snapshot(quorate_replica::SnapshotContentError),
    /// Another member holds something else.
    #[error(
        "this member differs from {peer} at revision {revision}: one of the two is corrupt; compare all members \
         (`quorate ctl endpoint hashkv --cluster`), then remove the one that differs from the others, and add it \
         anew on an empty data directory"
    )]
    Differs {
        /// The other member's name.
        peer: String,
        /// The revision at which both were compared.
        revision: i64,
    },
    /// Others removed this member.
    #[error(
        "the member has been permanently removed from the cluster; to have it back, add it anew \
         (`etcdctl member add`) and start it on an empty data directory"
    )]
    Removed,
    /// The cluster goes by a protocol version that this member does not speak.
    #[error(
        "the cluster takes this member in no more, because it needs {0}. Its data is as it was"
    )]
    Outgrown(quorate_replica::TooNew),
    /// A thread met a state that cannot be; what it was is on standard error.
    #[error(
        "the thread {0} panicked: this is a fault of quorate's own; please report it with the log"
    )]
    Panicked(&'static str),
}

/// What a person can do about a log that failed under a running node. Errors that are not the
/// disk's say so themselves.
fn what_to_do(error: &WalError) -> &'static str {
    match error {
        WalError::Disk(disk) => match disk.kind {
            ErrorKind::NoSpace => {
                "; the node stops, and keeps all that it acknowledged: free some space on that \
                 file system, or move the data directory to a larger one, then start it again"
            }
            ErrorKind::PermissionDenied => {
                "; the node stops, and keeps all that it acknowledged: make the file writable \
                 (is its file system mounted read-only?), then start it again"
            }
            ErrorKind::NotFound | ErrorKind::AlreadyExists | ErrorKind::Io => {
                "; the node stops, because what is on disk can no longer be believed: check that \
                 disk and the kernel's log, then start the node again; it reads and checks \
                 everything anew"
            }
        },
        _ => "",
    }
}

/// The same for a log that cannot be opened.
fn what_to_do_at_start(error: &OpenError) -> &'static str {
    match error {
        OpenError::Log(WalError::Disk(disk)) => match disk.kind {
            ErrorKind::NoSpace => {
                "; nothing is lost: a node needs room for a new segment of its log to start; free \
                 some space on that file system, or move the data directory to a larger one"
            }
            ErrorKind::PermissionDenied => {
                "; nothing was changed: make the file readable and writable for this user (is its \
                 file system mounted read-only?)"
            }
            ErrorKind::NotFound | ErrorKind::AlreadyExists | ErrorKind::Io => {
                "; check that disk and the kernel's log, then start the node again"
            }
        },
        _ => "",
    }
}
