//! Transactions that only read: no entry in the log, one view.

use quorate_proto::etcdserverpb::request_op::Request;
use quorate_proto::etcdserverpb::{TxnRequest, TxnResponse};

use crate::check::is_read_only;
use crate::command::{Answer, Command};
use crate::error::KvError;
use crate::pin::Pin;
use crate::store::Store;
use crate::txn::{Access, Transaction};

/// A transaction being read in steps, with the pin that keeps its view.
#[derive(Debug)]
pub struct ReadTxnCursor {
    transaction: Transaction,
    _pin: Pin,
}

/// What one step of a reading transaction gave.
#[derive(Debug)]
pub enum ReadTxnStep {
    /// Not done: call again.
    More,
    /// All of it.
    Done(Result<TxnResponse, KvError>),
}

impl Store {
    /// Runs a transaction that only reads, in one go.
    ///
    /// Panics when it is not [`is_read_only`]: those go through the log.
    pub fn read_only_txn(&self, request: &TxnRequest) -> Result<TxnResponse, KvError> {
        let mut cursor = self.begin_read_only_txn(request)?;
        loop {
            if let ReadTxnStep::Done(result) = self.advance_read_only_txn(&mut cursor, usize::MAX) {
                return result;
            }
        }
    }

    /// Starts a transaction that only reads, at the current revision.
    ///
    /// Panics when it is not [`is_read_only`].
    pub fn begin_read_only_txn(&self, request: &TxnRequest) -> Result<ReadTxnCursor, KvError> {
        assert!(
            is_read_only(request),
            "a transaction that writes goes through the log"
        );
        crate::check::check_command(&Command::Txn(request.clone()))?;
        self.check_readable()?;
        let (before, compacted) = (self.revision, self.compacted_revision);
        // Its ranges may name older revisions: whatever it may read must stay until it has.
        let named = request
            .success
            .iter()
            .chain(&request.failure)
            .filter_map(|operation| match &operation.request {
                Some(Request::RequestRange(range)) => Some(range.revision),
                _ => None,
            });
        let readable = named.filter(|revision| *revision > 0 && *revision >= compacted);
        let pin = self.pin(readable.min().unwrap_or(before).min(before))?;
        let transaction = Transaction::new(request.clone(), before, compacted, Answer::Wanted);
        Ok(ReadTxnCursor {
            transaction,
            _pin: pin,
        })
    }

    /// Goes on, touching at most `keys_max` keys (at least one). Not to be called after `Done`.
    pub fn advance_read_only_txn(
        &self,
        cursor: &mut ReadTxnCursor,
        keys_max: usize,
    ) -> ReadTxnStep {
        match cursor
            .transaction
            .step(Access::Read(self), &mut keys_max.max(1))
        {
            None => ReadTxnStep::More,
            Some(result) => ReadTxnStep::Done(result),
        }
    }
}
