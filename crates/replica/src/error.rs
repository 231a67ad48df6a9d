//! What can go wrong, in variants that a caller acts on.

use quorate_kv::KvError;
use quorate_proto::envelope::EnvelopeError;
use quorate_raft::LogIndex;

use crate::entry_format::EntryError;

/// Why a client's request got no answer from the store. The texts are etcd's, byte for byte:
/// its clients decide by them.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum RequestError {
    /// The store refused it; it had no effect.
    #[error("{0}")]
    Refused(KvError),
    /// A queue is full; it had no effect.
    #[error("etcdserver: too many requests")]
    TooManyRequests,
    /// Larger than the log takes; it had no effect.
    #[error("etcdserver: request is too large")]
    TooLarge,
    /// No quorum in time. A write may or may not take effect.
    #[error("etcdserver: request timed out")]
    TimedOut,
    /// The leader that had it is gone. A write may or may not take effect.
    #[error("etcdserver: request timed out, possibly due to previous leader failure")]
    LeaderLost,
    /// This node is shutting down. A write may or may not take effect.
    #[error("etcdserver: server stopped")]
    Stopped,
    /// The command passed the checks of the node that took it but cannot be read by the store.
    #[error("etcdserver: the command cannot be decoded")]
    Undecodable,
}

/// Why a node must stop before it applies an entry: going on would make it differ from others.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot apply the entry at index {index}: {reason}")]
pub struct ApplyError {
    /// The entry.
    pub index: LogIndex,
    /// What it is.
    pub reason: EnvelopeError,
}

/// Why a node cannot start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The log cannot be opened.
    #[error(transparent)]
    Log(#[from] quorate_wal::WalError),
    /// The settings contradict themselves.
    #[error("cannot start consensus: {0}")]
    Settings(#[from] quorate_raft::ConfigError),
    /// The log holds an entry that this version does not understand.
    #[error(
        "the entry at index {index} of the write-ahead log is {reason}; start the version of \
         quorate that wrote it"
    )]
    Entry {
        /// Its index.
        index: u64,
        /// What is wrong with it.
        reason: EntryError,
    },
    /// The log's first segments are missing.
    #[error(
        "the write-ahead log begins at index {first_index}, not at 1: its first segments are \
         missing. Put them back, from this very disk; without them the store cannot be rebuilt"
    )]
    LogBegins {
        /// Its first index.
        first_index: u64,
    },
}
