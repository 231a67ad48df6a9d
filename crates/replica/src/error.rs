//! What can go wrong, in variants that a caller acts on.

use quorate_kv::KvError;
use quorate_proto::envelope::EnvelopeError;
use quorate_raft::LogIndex;

use crate::cluster_version::TooNew;
use crate::entry_format::EntryError;
use crate::members::MemberError;

/// Why a client's request got no answer from the store. The texts are etcd's, byte for byte:
/// its clients decide by them.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum RequestError {
    /// The store refused it; it had no effect.
    #[error("{0}")]
    Refused(KvError),
    /// The members are not changed so; it had no effect.
    #[error("{0}")]
    Members(MemberError),
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
    /// This node's store is not yet what its clients have seen of the cluster. A read had no
    /// effect.
    #[error("etcdserver: this member has not caught up since its start; ask another, or try again")]
    NotCaughtUp,
    /// Not every member was seen to speak a version that knows this, so the log must not hold it; it had
    /// no effect. It works once all members run the newer program (`docs/upgrading.md`).
    #[error("etcdserver: not capable")]
    NotCapable,
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
    pub reason: ApplyFault,
}

/// What is wrong with an entry that a node must not apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplyFault {
    /// Its envelope.
    #[error("{0}")]
    Envelope(EnvelopeError),
    /// It is for members that speak a newer version.
    #[error("it needs {0}")]
    TooNew(#[from] TooNew),
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
    /// The cluster goes by a newer version than this program speaks.
    #[error("this member's data needs {0}. Nothing was changed")]
    TooNew(#[from] TooNew),
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
}

/// Why a snapshot's file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotContentError {
    /// The file: not there, damaged, or the disk failed.
    #[error(transparent)]
    File(#[from] quorate_wal::WalError),
    /// What it says of the node is not what a node writes.
    #[error(transparent)]
    Head(#[from] crate::snapshot_head::SnapshotHeadError),
    /// Nor what it says of the store.
    #[error(transparent)]
    Store(#[from] quorate_kv::SnapshotError),
    /// It is of a cluster that goes by a newer version than this program speaks.
    #[error("the snapshot needs {0}")]
    TooNew(#[from] TooNew),
    /// It ends before its head does.
    #[error("the snapshot ends within its head: use an older one, or fetch it again")]
    EndsInHead,
    /// Its head claims to be longer than any is.
    #[error("the snapshot claims a head of {bytes} bytes: use an older one, or fetch it again")]
    HeadTooLong {
        /// The claim.
        bytes: usize,
    },
    /// It is of another state than its name says.
    #[error(
        "the snapshot is of index {found} where its name says {expected}: use an older one, or fetch \
         it again"
    )]
    OtherIndex {
        /// By its name, or as it was asked for.
        expected: u64,
        /// By its content.
        found: u64,
    },
    /// Its source began to send one and went on with another.
    #[error("the peer began with the {expected} and now has the {found}: fetch that one instead")]
    SourceChanged {
        /// What it said first.
        expected: quorate_wal::snapshot::SnapshotId,
        /// What it says now.
        found: quorate_wal::snapshot::SnapshotId,
    },
}

impl SnapshotContentError {
    /// Whether another attempt to read the same file would come to the same.
    pub(crate) fn is_of_content(&self) -> bool {
        self.of_disk().is_none()
    }

    /// The error of the disk, if it is one, to be told from those of a file or a peer.
    pub fn of_disk(&self) -> Option<&quorate_disk::DiskError> {
        match self {
            SnapshotContentError::File(quorate_wal::WalError::Disk(error)) => Some(error),
            _ => None,
        }
    }
}
