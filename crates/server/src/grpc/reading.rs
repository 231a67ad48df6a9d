//! Reads of the store: short ones under one hold of its lock, long ones in steps under a pin.

use std::cell::Cell;

use prost::Message;
use quorate_kv::{KEYS_PER_STEP, RangeStep, ReadTxnStep, Store};
use quorate_proto::etcdserverpb::{RangeRequest, RangeResponse, TxnRequest, TxnResponse};
use quorate_replica::RequestError;
use tonic::{Response, Status};

use super::status;
use crate::bodies::AnswerCharge;
use crate::core::Core;
use crate::limits::SMALL_ANSWER_BYTES;

/// An answer with what it is charged, if it is large.
pub(super) struct Answer<T> {
    message: T,
    charge: Option<AnswerCharge>,
}

impl<T: Message> Answer<T> {
    /// Charges the answer of a read; refuses it when too much is on its way to other clients.
    pub(super) fn of_read(core: &Core, message: T) -> Result<Answer<T>, Status> {
        let bytes = message.encoded_len();
        let charge = if bytes <= SMALL_ANSWER_BYTES {
            None
        } else {
            let charge = core.large_answers.charge_or_alone(bytes);
            let refused = |_| status::of_request(&RequestError::TooManyRequests);
            Some(AnswerCharge::new(charge.map_err(refused)?))
        };
        Ok(Answer { message, charge })
    }

    /// Charges the answer of a write. It has happened, and a refusal would say that it has not.
    pub(super) fn of_write(core: &Core, message: T) -> Answer<T> {
        let bytes = message.encoded_len();
        let charge = (bytes > SMALL_ANSWER_BYTES)
            .then(|| AnswerCharge::new(core.large_answers.charge_always(bytes)));
        Answer { message, charge }
    }

    /// The message alone, for one who makes a small answer of it.
    pub(super) fn into_message(self) -> T {
        self.message
    }

    /// The charge goes with the response until the last byte is sent.
    pub(super) fn into_response(response: Response<Answer<T>>) -> Response<T> {
        let mut charge = None;
        let mut response = response.map(|answer| {
            charge = answer.charge;
            answer.message
        });
        if let Some(charge) = charge {
            response.extensions_mut().insert(charge);
        }
        response
    }
}

/// Reads a range of any size; others get the store between the steps.
pub(super) async fn range(core: &Core, request: &RangeRequest) -> Result<RangeResponse, Status> {
    core.metrics.store.ranged();
    if request.range_end.is_empty() {
        return with_store(core, &Cell::new(None), |store| store.range(request))?
            .map_err(|error| status::of_kv(&error));
    }
    let on = Cell::new(None);
    let mut cursor = with_store(core, &on, |store| store.begin_range(request))?
        .map_err(|error| status::of_kv(&error))?;
    loop {
        let advance = |store: &Store| store.advance_range(&mut cursor, KEYS_PER_STEP);
        match with_store(core, &on, advance)? {
            RangeStep::Done(response) => return Ok(response),
            RangeStep::More => tokio::task::yield_now().await,
        }
    }
}

/// Runs a transaction that only reads.
pub(super) async fn txn(core: &Core, request: &TxnRequest) -> Result<TxnResponse, Status> {
    let on = Cell::new(None);
    let begun = with_store(core, &on, |store| store.begin_read_only_txn(request))?;
    let mut cursor = begun.map_err(|error| status::of_kv(&error))?;
    loop {
        let advance = |store: &Store| store.advance_read_only_txn(&mut cursor, KEYS_PER_STEP);
        match with_store(core, &on, advance)? {
            ReadTxnStep::Done(result) => return result.map_err(|error| status::of_kv(&error)),
            ReadTxnStep::More => tokio::task::yield_now().await,
        }
    }
}

/// One step of a read on the store: the first notes in `on` which store that is, and every later
/// one refuses another.
fn with_store<T>(
    core: &Core,
    on: &Cell<Option<u64>>,
    step: impl FnOnce(&Store) -> T,
) -> Result<T, Status> {
    let (store, present) = core
        .readable_store()
        .map_err(|error| status::of_request(&error))?;
    if on
        .replace(Some(present))
        .is_some_and(|begun| begun != present)
    {
        return Err(status::of_request(&RequestError::NotCaughtUp));
    }
    Ok(step(&store))
}

#[cfg(test)]
mod tests {
    use quorate_proto::mvccpb::KeyValue;
    use tonic::Code;

    use super::*;
    use crate::core::tests::without_threads;
    use crate::limits::ANSWERS_BYTES;

    fn answer(value_bytes: usize) -> RangeResponse {
        let pair = KeyValue {
            value: vec![0; value_bytes].into(),
            ..Default::default()
        };
        RangeResponse {
            kvs: vec![pair],
            ..Default::default()
        }
    }

    #[test]
    fn large_reads_are_refused_while_too_much_is_on_its_way_and_small_reads_and_writes_are_not() {
        let core = without_threads();
        let on_its_way = core.large_answers.charge_always(ANSWERS_BYTES);
        let large = answer(SMALL_ANSWER_BYTES);
        let refused = Answer::of_read(&core, large.clone()).err();
        assert_eq!(refused.map(|it| it.code()), Some(Code::ResourceExhausted));
        assert!(Answer::of_read(&core, answer(100)).is_ok());
        let written = Answer::of_write(&core, large.clone());
        assert!(core.large_answers.used_bytes() > ANSWERS_BYTES + SMALL_ANSWER_BYTES);
        drop((on_its_way, written));
        let sent = Answer::into_response(Response::new(
            Answer::of_read(&core, large).map_err(|_| ()).expect("room"),
        ));
        assert!(core.large_answers.used_bytes() > SMALL_ANSWER_BYTES);
        drop(sent);
        assert_eq!(core.large_answers.used_bytes(), 0);
    }
}
