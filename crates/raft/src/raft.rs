//! The machine: its inputs and its one output.

use bytes::Bytes;

use crate::config::Config;
use crate::error::{ConfigError, MessageError, ProposeError, ReadError};
use crate::message::Message;
use crate::ready::Ready;
use crate::status::Status;
use crate::types::{Entry, HardState, Instant, LogIndex, NodeId, ReadId, Term, WriteId};

/// What a node finds on its disk when it starts. [`Restored::default`] is an empty disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// Term and vote.
    pub hard_state: HardState,
    /// Index of the log's first entry, or where it will be: 1.
    pub first_index: LogIndex,
    /// Index of the last entry; `first_index - 1` when there is none.
    pub last_index: LogIndex,
    /// For each run of entries of one term, the index of its first entry and the term, ascending.
    pub term_runs: Vec<(LogIndex, Term)>,
    /// The state machine holds the effect of entries through here; those after it are handed out.
    pub applied: LogIndex,
}

impl Default for Restored {
    fn default() -> Restored {
        Restored {
            hard_state: HardState::default(),
            first_index: LogIndex(1),
            last_index: LogIndex::ZERO,
            term_runs: Vec::new(),
            applied: LogIndex::ZERO,
        }
    }
}

/// Where a proposal's commands stand in the log, if this leader gets to commit them: each is
/// committed exactly when an entry with this term is handed out at its index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Index of the first command.
    pub first: LogIndex,
    /// Index of the last.
    pub last: LogIndex,
    /// The leader's term.
    pub term: Term,
}

/// One node of a Raft cluster, as a state machine without I/O.
#[derive(Debug)]
pub struct Raft {}

#[allow(
    unused_variables,
    clippy::unimplemented,
    clippy::needless_pass_by_value,
    missing_docs
)]
impl Raft {
    pub fn new(config: Config, restored: Restored, now: Instant) -> Result<Raft, ConfigError> {
        unimplemented!()
    }
    pub fn deadline(&self) -> Option<Instant> {
        unimplemented!()
    }
    pub fn tick(&mut self, now: Instant) {
        unimplemented!()
    }
    pub fn receive(
        &mut self,
        now: Instant,
        from: NodeId,
        message: Message,
    ) -> Result<(), MessageError> {
        unimplemented!()
    }
    pub fn propose(
        &mut self,
        now: Instant,
        commands: Vec<Bytes>,
    ) -> Result<Accepted, ProposeError> {
        unimplemented!()
    }
    pub fn read(&mut self, now: Instant, id: ReadId) -> Result<(), ReadError> {
        unimplemented!()
    }
    pub fn wrote(&mut self, now: Instant, id: WriteId) {
        unimplemented!()
    }
    pub fn fetched(&mut self, now: Instant, first: LogIndex, entries: Vec<Entry>) {
        unimplemented!()
    }
    pub fn applied(&mut self, index: LogIndex) {
        unimplemented!()
    }
    pub fn link_lost(&mut self, now: Instant, peer: NodeId) {
        unimplemented!()
    }
    pub fn ready(&mut self) -> Ready {
        unimplemented!()
    }
    pub fn has_ready(&self) -> bool {
        unimplemented!()
    }
    pub fn status(&self) -> Status {
        unimplemented!()
    }
}
