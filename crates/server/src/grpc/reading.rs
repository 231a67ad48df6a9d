//! Reads of the store: short ones under one hold of its lock, long ones in steps under a pin.

use quorate_kv::{KEYS_PER_STEP, RangeStep, ReadTxnStep};
use quorate_proto::etcdserverpb::{RangeRequest, RangeResponse, TxnRequest, TxnResponse};
use tonic::Status;

use super::status;
use crate::core::Core;

/// Reads a range of any size; others get the store between the steps.
pub(super) async fn range(core: &Core, request: &RangeRequest) -> Result<RangeResponse, Status> {
    if request.range_end.is_empty() {
        return core
            .store()
            .range(request)
            .map_err(|error| status::of_kv(&error));
    }
    let mut cursor = core
        .store()
        .begin_range(request)
        .map_err(|error| status::of_kv(&error))?;
    loop {
        let step = core.store().advance_range(&mut cursor, KEYS_PER_STEP);
        match step {
            RangeStep::Done(response) => return Ok(response),
            RangeStep::More => tokio::task::yield_now().await,
        }
    }
}

/// Runs a transaction that only reads.
pub(super) async fn txn(core: &Core, request: &TxnRequest) -> Result<TxnResponse, Status> {
    let mut cursor = core
        .store()
        .begin_read_only_txn(request)
        .map_err(|error| status::of_kv(&error))?;
    loop {
        let step = core
            .store()
            .advance_read_only_txn(&mut cursor, KEYS_PER_STEP);
        match step {
            ReadTxnStep::Done(result) => return result.map_err(|error| status::of_kv(&error)),
            ReadTxnStep::More => tokio::task::yield_now().await,
        }
    }
}
