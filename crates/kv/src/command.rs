//! What can be applied, and what comes of it.

use quorate_proto::etcdserverpb::{
    AlarmRequest, AlarmResponse, CompactionRequest, CompactionResponse, DeleteRangeRequest,
    DeleteRangeResponse, LeaseCheckpointRequest, LeaseCheckpointResponse, LeaseGrantRequest,
    LeaseGrantResponse, LeaseRevokeRequest, LeaseRevokeResponse, PutRequest, PutResponse,
    ResponseHeader, TxnRequest, TxnResponse,
};

/// A change of the store, as it stands in the log.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Write one key.
    Put(PutRequest),
    /// Delete the keys of a range.
    DeleteRange(DeleteRangeRequest),
    /// Compare, then run one of two lists of operations.
    Txn(TxnRequest),
    /// Forget what nobody can see at or after a revision.
    Compact(CompactionRequest),
    /// Grant a lease. Its id and its time to live were chosen before it was proposed.
    LeaseGrant(LeaseGrantRequest),
    /// End a lease, and delete the keys that hang on it.
    LeaseRevoke(LeaseRevokeRequest),
    /// Note how much time leases have left, so that a new leader need not start them over.
    LeaseCheckpoint(LeaseCheckpointRequest),
    /// Raise an alarm, end one, or list them.
    Alarm(AlarmRequest),
}

impl From<LeaseGrantRequest> for Command {
    fn from(request: LeaseGrantRequest) -> Command {
        Command::LeaseGrant(request)
    }
}

impl From<LeaseRevokeRequest> for Command {
    fn from(request: LeaseRevokeRequest) -> Command {
        Command::LeaseRevoke(request)
    }
}

impl From<LeaseCheckpointRequest> for Command {
    fn from(request: LeaseCheckpointRequest) -> Command {
        Command::LeaseCheckpoint(request)
    }
}

impl From<AlarmRequest> for Command {
    fn from(request: AlarmRequest) -> Command {
        Command::Alarm(request)
    }
}

impl From<PutRequest> for Command {
    fn from(request: PutRequest) -> Command {
        Command::Put(request)
    }
}

impl From<DeleteRangeRequest> for Command {
    fn from(request: DeleteRangeRequest) -> Command {
        Command::DeleteRange(request)
    }
}

impl From<TxnRequest> for Command {
    fn from(request: TxnRequest) -> Command {
        Command::Txn(request)
    }
}

impl From<CompactionRequest> for Command {
    fn from(request: CompactionRequest) -> Command {
        Command::Compact(request)
    }
}

/// The answer to a [`Command`]. Headers carry the revision alone; cluster, member and term are the
/// server's to fill in. Inside a transaction's answer the headers stay as they are, as in etcd; that of
/// a nested transaction carries nothing at all.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// To [`Command::Put`].
    Put(PutResponse),
    /// To [`Command::DeleteRange`].
    DeleteRange(DeleteRangeResponse),
    /// To [`Command::Txn`].
    Txn(TxnResponse),
    /// To [`Command::Compact`].
    Compact(CompactionResponse),
    /// To [`Command::LeaseGrant`].
    LeaseGrant(LeaseGrantResponse),
    /// To [`Command::LeaseRevoke`].
    LeaseRevoke(LeaseRevokeResponse),
    /// To [`Command::LeaseCheckpoint`].
    LeaseCheckpoint(LeaseCheckpointResponse),
    /// To [`Command::Alarm`].
    Alarm(AlarmResponse),
}

impl Reply {
    /// The header, of which only the revision is set.
    pub fn header(&self) -> Option<&ResponseHeader> {
        match self {
            Reply::Put(reply) => reply.header.as_ref(),
            Reply::DeleteRange(reply) => reply.header.as_ref(),
            Reply::Txn(reply) => reply.header.as_ref(),
            Reply::Compact(reply) => reply.header.as_ref(),
            Reply::LeaseGrant(reply) => reply.header.as_ref(),
            Reply::LeaseRevoke(reply) => reply.header.as_ref(),
            Reply::LeaseCheckpoint(reply) => reply.header.as_ref(),
            Reply::Alarm(reply) => reply.header.as_ref(),
        }
    }
}

/// Whether somebody waits for the answer at this member. Only one member has the client; the others
/// save themselves the copies that only an answer needs (previous values, ranges inside a
/// transaction). What is applied, and which error is returned, does not depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Build the whole answer.
    Wanted,
    /// Only the headers and counts matter.
    Discard,
}

impl Answer {
    pub(crate) fn wanted(self) -> bool {
        self == Answer::Wanted
    }
}

/// A header that carries a revision and nothing else.
pub(crate) fn header(revision: i64) -> Option<ResponseHeader> {
    Some(ResponseHeader {
        revision,
        ..ResponseHeader::default()
    })
}
