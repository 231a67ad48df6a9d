//! What can be applied, and what comes of it.

use quorate_proto::etcdserverpb::{
    CompactionRequest, CompactionResponse, DeleteRangeRequest, DeleteRangeResponse, PutRequest,
    PutResponse, ResponseHeader, TxnRequest, TxnResponse,
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
