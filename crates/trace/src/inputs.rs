//! What a [`Recorder`](crate::Recorder) is told, and the names that it gives out.

use crate::limits::{DEFAULT_MAX_BYTES, DEFAULT_MAX_EVENTS};
use crate::{Role, Run, ServerState};

/// How much a recorder keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Events. At least one is kept.
    pub max_events: usize,
    /// Bytes in memory. At least one event is kept.
    pub max_bytes: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            max_events: DEFAULT_MAX_EVENTS,
            max_bytes: DEFAULT_MAX_BYTES,
        }
    }
}

/// Names a message that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(pub(crate) u64);

/// Names a fault that lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FaultId(pub(crate) u64);

/// Names a client's operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperationId(pub(crate) u64);

/// What a server starts with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Start {
    /// Its term.
    pub term: u64,
    /// Whom it voted for in that term.
    pub vote: Option<usize>,
    /// The last index that its snapshot covers; 0 without one.
    pub snapshot_index: u64,
    /// The term of that entry.
    pub snapshot_term: u64,
    /// The index before the log's first entry.
    pub log_after: u64,
    /// The log.
    pub log: Vec<Run>,
    /// Its commit index.
    pub commit: u64,
    /// What its state machine holds.
    pub applied: u64,
}

/// What can be seen of a server after any step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// Its role.
    pub role: Role,
    /// Its term.
    pub term: u64,
    /// Whom it voted for in that term.
    pub vote: Option<usize>,
    /// The leader it knows.
    pub leader: Option<usize>,
    /// Its commit index.
    pub commit: u64,
    /// What its state machine holds.
    pub applied: u64,
}

/// A message that leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Letter<'a> {
    /// Who sends it.
    pub from: usize,
    /// For whom.
    pub to: usize,
    /// What it is called; the page filters by it, so there should be few kinds.
    pub kind: &'a str,
    /// The term that it carries.
    pub term: u64,
    /// What it says, the important first: the end is cut where there is no room.
    pub summary: &'a str,
    /// Whether it is part of the daily round (a heartbeat and its answer): out of sight at first.
    pub routine: bool,
}

impl View {
    /// What can be seen of a server that stands like this.
    pub(crate) fn of(state: &ServerState) -> View {
        View {
            role: state.role,
            term: state.term,
            vote: state.vote,
            leader: state.leader,
            commit: state.commit,
            applied: state.applied,
        }
    }
}
