//! What is refused without looking at the state: before a request is proposed, as etcd's API layer
//! does (`api/v3rpc/key.go`), in the same order, so that a request with two faults gets the same
//! answer. Whether keys, leases and revisions exist is seen when the command is applied.

use prost::Message;
use quorate_proto::etcdserverpb::range_request::{SortOrder, SortTarget};
use quorate_proto::etcdserverpb::request_op::Request;
use quorate_proto::etcdserverpb::{
    CompactionRequest, DeleteRangeRequest, LeaseCheckpointRequest, LeaseGrantRequest, PutRequest,
    RangeRequest, RequestOp, TxnRequest,
};

use crate::command::Command;
use crate::error::KvError;
use crate::limits::{LEASE_CHECKPOINTS_MAX, LEASE_TTL_SECONDS_MAX, Limits, TXN_DEPTH_MAX};
use crate::overlap::check_overlap;

/// Checks a range. There is no limit to its size, since it is not proposed.
pub fn check_range(request: &RangeRequest) -> Result<(), KvError> {
    check_key(&request.key)?;
    SortOrder::try_from(request.sort_order).map_err(|_| KvError::InvalidSortOption)?;
    SortTarget::try_from(request.sort_target).map_err(|_| KvError::InvalidSortOption)?;
    Ok(())
}

/// Checks a put.
pub fn check_put(request: &PutRequest, limits: &Limits) -> Result<(), KvError> {
    check_put_form(request)?;
    check_size(request, limits)
}

/// Checks a deletion.
pub fn check_delete(request: &DeleteRangeRequest, limits: &Limits) -> Result<(), KvError> {
    check_key(&request.key)?;
    check_size(request, limits)
}

/// Checks a compaction.
pub fn check_compaction(request: &CompactionRequest, limits: &Limits) -> Result<(), KvError> {
    check_size(request, limits)
}

/// Checks a grant of a lease, whose id may still be 0: that is the server's to replace.
pub fn check_lease_grant(request: &LeaseGrantRequest) -> Result<(), KvError> {
    if request.ttl > LEASE_TTL_SECONDS_MAX {
        return Err(KvError::LeaseTtlTooLarge);
    }
    Ok(())
}

/// Checks a note of leases' remaining times, which only servers make.
pub fn check_lease_checkpoint(request: &LeaseCheckpointRequest) -> Result<(), KvError> {
    if request.checkpoints.len() > LEASE_CHECKPOINTS_MAX {
        return Err(KvError::RequestTooLarge);
    }
    Ok(())
}

/// Checks a transaction. One that only reads is not proposed and may have any size.
pub fn check_txn(request: &TxnRequest, limits: &Limits) -> Result<(), KvError> {
    check_txn_form(request, limits.txn_operations_max)?;
    if is_read_only(request) {
        Ok(())
    } else {
        check_size(request, limits)
    }
}

/// Whether a transaction holds nothing but ranges and so needs no entry in the log. As in etcd, one
/// with a transaction inside does not count as such, whatever that holds.
pub fn is_read_only(request: &TxnRequest) -> bool {
    ranges_only(request, |_| true)
}

/// Whether a transaction holds nothing but serializable ranges, so that any member may answer it from
/// its own state.
pub fn is_serializable(request: &TxnRequest) -> bool {
    ranges_only(request, |range| range.serializable)
}

fn ranges_only(request: &TxnRequest, also: impl Fn(&RangeRequest) -> bool) -> bool {
    request
        .success
        .iter()
        .chain(&request.failure)
        .all(|operation| match &operation.request {
            Some(Request::RequestRange(range)) => also(range),
            _ => false,
        })
}

/// The checks that applying relies on, with no limit that a member could set differently. A command
/// that came through a server's checks passes; anything else is refused by all members alike.
pub(crate) fn check_command(command: &Command) -> Result<(), KvError> {
    match command {
        Command::Put(request) => check_put_form(request),
        Command::DeleteRange(request) => check_key(&request.key),
        Command::Txn(request) => check_txn_form(request, usize::MAX),
        Command::LeaseCheckpoint(request) => check_lease_checkpoint(request),
        // A grant is looked at where it is made, after the alarms, as in etcd.
        Command::Compact(_)
        | Command::LeaseGrant(_)
        | Command::LeaseRevoke(_)
        | Command::Alarm(_) => Ok(()),
    }
}

fn check_txn_form(request: &TxnRequest, operations_max: usize) -> Result<(), KvError> {
    check_level(request, operations_max, 1)?;
    check_overlap(&request.success)?;
    check_overlap(&request.failure)
}

/// One level of a transaction, and those inside it: they get what this one leaves of the budget.
fn check_level(request: &TxnRequest, budget: usize, depth: usize) -> Result<(), KvError> {
    let used = request
        .compare
        .len()
        .max(request.success.len())
        .max(request.failure.len());
    if used > budget || depth > TXN_DEPTH_MAX {
        return Err(KvError::TooManyOperations);
    }
    request
        .compare
        .iter()
        .try_for_each(|compare| check_key(&compare.key))?;
    let mut operations = request.success.iter().chain(&request.failure);
    operations.try_for_each(|operation| check_operation(operation, budget - used, depth))
}

fn check_operation(operation: &RequestOp, budget: usize, depth: usize) -> Result<(), KvError> {
    match &operation.request {
        Some(Request::RequestRange(range)) => check_range(range),
        Some(Request::RequestPut(put)) => check_put_form(put),
        Some(Request::RequestDeleteRange(delete)) => check_key(&delete.key),
        Some(Request::RequestTxn(txn)) => check_level(txn, budget, depth + 1),
        // etcd's answer to an operation that is none.
        None => Err(KvError::KeyNotFound),
    }
}

fn check_put_form(request: &PutRequest) -> Result<(), KvError> {
    check_key(&request.key)?;
    if request.ignore_value && !request.value.is_empty() {
        return Err(KvError::ValueProvided);
    }
    if request.ignore_lease && request.lease != 0 {
        return Err(KvError::LeaseProvided);
    }
    Ok(())
}

fn check_key(key: &[u8]) -> Result<(), KvError> {
    if key.is_empty() {
        Err(KvError::KeyNotProvided)
    } else {
        Ok(())
    }
}

fn check_size(request: &impl Message, limits: &Limits) -> Result<(), KvError> {
    if request.encoded_len() > limits.request_bytes_max {
        return Err(KvError::RequestTooLarge);
    }
    Ok(())
}
