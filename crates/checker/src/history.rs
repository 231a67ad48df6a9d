//! A history: what clients asked, what they were told, and when.
//!
//! A history is recorded while it happens: [`History::invoke`] when a client sends, [`History::complete`] when its
//! answer is there. An operation that is never completed, or completed with [`Outcome::Unknown`], is *open*: it may
//! have taken effect at any moment since it was sent, may take effect later, or never.
//!
//! # What must hold
//!
//! One operation precedes another when it was completed before the other was invoked. Moments are ordered by their
//! time and, where times are equal, in the order in which they were recorded; so whoever records from several clocks
//! or merges logs puts invocations before completions of the same time, lest an order be seen that was none.

use crate::blob::Blob;
use crate::error::HistoryError;
use crate::store::{StoreAnswer, StoreCall};
use crate::watch_log::{WatchBatch, WatchId, WatchLog};

/// A time, in a unit of the recorder's choice; only the order counts. Nanoseconds where the page shows a scale.
pub type Time = u64;

/// Who asked.
pub type ClientId = u64;

/// An operation: its place in the order of invocation calls, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpId(pub usize);

/// A time, and the place in the order of recording that decides between equal times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    /// When.
    pub time: Time,
    /// The how-manieth thing recorded.
    pub sequence: u64,
}

/// What was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// An operation on one register, of those that stand under keys.
    Register(Blob, RegisterCall),
    /// A request to a store with revisions.
    Store(StoreCall),
}

/// An operation on one register, which holds a value or nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegisterCall {
    /// What does it hold?
    Read,
    /// Hold this; `None` is a deletion.
    Write(Option<Blob>),
    /// If it holds `expected`, hold `new`.
    CompareAndSwap {
        /// What must be there; `None` is nothing.
        expected: Option<Blob>,
        /// What is to be there then.
        new: Option<Blob>,
    },
    /// Add to the end of what it holds (of nothing: the empty value).
    Append(Blob),
}

/// What the client was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing that says whether it happened: the operation stays open.
    Unknown,
    /// That it did not happen and never will.
    Failed,
    /// What a read found.
    Read(Option<Blob>),
    /// That a write or an append was done.
    Written,
    /// Whether a compare-and-swap found what it expected.
    Swapped(bool),
    /// The store's answer.
    Store(StoreAnswer),
}

/// One operation of a history.
#[derive(Clone, Debug)]
pub struct Operation {
    /// Its name.
    pub id: OpId,
    /// What it is called where it was recorded; counted from 0 if it was not read from a recording.
    pub number: u64,
    /// Who asked.
    pub client: ClientId,
    /// What was asked.
    pub call: Call,
    /// When it was sent.
    pub invoked: Moment,
    /// When the answer came and what it was; `None` while it is open.
    pub completed: Option<(Moment, Outcome)>,
    /// Told that the outcome is unknown: when.
    pub gave_up: Option<Moment>,
}

impl Operation {
    /// Whether it may or may not have happened.
    pub fn is_open(&self) -> bool {
        self.completed.is_none()
    }

    /// The answer, unless it is open.
    pub fn outcome(&self) -> Option<&Outcome> {
        self.completed.as_ref().map(|(_, outcome)| outcome)
    }

    /// The key, if it is about one register.
    pub fn register_key(&self) -> Option<&Blob> {
        match &self.call {
            Call::Register(key, _) => Some(key),
            Call::Store(_) => None,
        }
    }
}

/// What clients asked and were told. See the head of this module.
///
/// ```
/// use quorate_checker::{History, Outcome, RegisterCall, check_registers, BUDGET_STEPS_DEFAULT};
///
/// let mut history = History::new();
/// let write = history.invoke(1, "x", RegisterCall::Write(Some("a".into())), 10);
/// history.complete(write, Outcome::Written, 20)?;
/// let read = history.invoke(2, "x", RegisterCall::Read, 30);
/// history.complete(read, Outcome::Read(None), 40)?;
/// assert!(check_registers(&history, BUDGET_STEPS_DEFAULT).is_violation(), "the write was forgotten");
/// # Ok::<(), quorate_checker::HistoryError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct History {
    operations: Vec<Operation>,
    watches: Vec<WatchLog>,
    recorded: u64,
    initial_value: Option<Blob>,
    initial_revision: Option<i64>,
}

impl History {
    /// A history in which nothing has happened: all registers hold nothing, the store is empty, at revision 1.
    pub fn new() -> Self {
        Self::default()
    }

    /// All registers hold `value` at first.
    #[must_use]
    pub fn with_initial_value(mut self, value: Option<Blob>) -> Self {
        self.initial_value = value;
        self
    }

    /// The store was at `revision` when recording began; of what was in it then, nothing is known.
    #[must_use]
    pub fn with_initial_revision(mut self, revision: i64) -> Self {
        self.initial_revision = Some(revision);
        self
    }

    /// `client` sends an operation on the register under `key`.
    pub fn invoke(
        &mut self,
        client: ClientId,
        key: impl Into<Blob>,
        call: RegisterCall,
        time: Time,
    ) -> OpId {
        self.push(client, Call::Register(key.into(), call), time)
    }

    /// `client` sends a request to the store.
    pub fn invoke_store(&mut self, client: ClientId, call: StoreCall, time: Time) -> OpId {
        self.push(client, Call::Store(call), time)
    }

    fn push(&mut self, client: ClientId, call: Call, time: Time) -> OpId {
        let id = OpId(self.operations.len());
        let invoked = self.moment(time);
        self.operations.push(Operation {
            id,
            number: id.0 as u64,
            client,
            call,
            invoked,
            completed: None,
            gave_up: None,
        });
        id
    }

    /// Where it was recorded, `op` is called by this number, and so it is by whoever tells of it.
    ///
    /// # Errors
    /// There is no such operation.
    pub fn set_number(&mut self, op: OpId, number: u64) -> Result<(), HistoryError> {
        let operation = self.operations.get_mut(op.0);
        operation.ok_or(HistoryError::NoSuchOperation(op))?.number = number;
        Ok(())
    }

    /// The answer to `op` is there.
    ///
    /// # Errors
    /// There is no such operation, it has been completed before, the time is before its invocation, or the outcome
    /// does not answer what was asked. Nothing is recorded then.
    pub fn complete(&mut self, op: OpId, outcome: Outcome, time: Time) -> Result<(), HistoryError> {
        let operation = self
            .operations
            .get(op.0)
            .ok_or(HistoryError::NoSuchOperation(op))?;
        if operation.completed.is_some() || operation.gave_up.is_some() {
            return Err(HistoryError::CompletedTwice(op));
        }
        if time < operation.invoked.time {
            return Err(HistoryError::CompletedBeforeInvoked(op));
        }
        if !fits(&operation.call, &outcome) {
            return Err(HistoryError::OutcomeDoesNotFit(op));
        }
        let moment = self.moment(time);
        let operation = &mut self.operations[op.0];
        if outcome == Outcome::Unknown {
            operation.gave_up = Some(moment);
        } else {
            operation.completed = Some((moment, outcome));
        }
        Ok(())
    }

    /// A watch is begun; what it is told comes by [`History::watched`].
    pub fn watch(&mut self, watch: WatchLog) -> WatchId {
        self.watches.push(watch);
        WatchId(self.watches.len() - 1)
    }

    /// A watch was told something.
    ///
    /// # Errors
    /// There is no such watch.
    pub fn watched(
        &mut self,
        watch: WatchId,
        batch: WatchBatch,
        time: Time,
    ) -> Result<(), HistoryError> {
        let moment = self.moment(time);
        self.watches
            .get_mut(watch.0)
            .ok_or(HistoryError::NoSuchWatch(watch))?
            .batches
            .push((moment, batch));
        Ok(())
    }

    /// All operations, in the order of their ids.
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// All watches, in the order of their ids.
    pub fn watches(&self) -> &[WatchLog] {
        &self.watches
    }

    /// What registers hold at first.
    pub fn initial_value(&self) -> Option<&Blob> {
        self.initial_value.as_ref()
    }

    /// The store's revision when recording began.
    pub fn initial_revision(&self) -> i64 {
        self.initial_revision.unwrap_or(1)
    }

    fn moment(&mut self, time: Time) -> Moment {
        self.recorded += 1;
        Moment {
            time,
            sequence: self.recorded,
        }
    }
}

fn fits(call: &Call, outcome: &Outcome) -> bool {
    match (call, outcome) {
        (_, Outcome::Unknown | Outcome::Failed) => true,
        (Call::Register(_, call), outcome) => matches!(
            (call, outcome),
            (RegisterCall::Read, Outcome::Read(_))
                | (
                    RegisterCall::Write(_) | RegisterCall::Append(_),
                    Outcome::Written
                )
                | (RegisterCall::CompareAndSwap { .. }, Outcome::Swapped(_))
        ),
        (Call::Store(call), Outcome::Store(answer)) => call.fits(answer),
        (Call::Store(_), _) => false,
    }
}
