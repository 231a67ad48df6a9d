//! What can happen.
//!
//! An event says what changed, and no more; what holds at a moment is the fold over all events up
//! to it ([`Moment::apply`](crate::Moment::apply)). Messages, faults and client operations have a
//! beginning and an end, joined by a number.

use serde::{Deserialize, Serialize};

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When: nanoseconds of virtual time.
    pub at: u64,
    /// What.
    pub what: What,
    /// The state of the server it happened to, right after it, for whoever clicks on the event: any
    /// text, often JSON. Empty: nothing more to say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub state: String,
}

/// A server's role (Raft §5.1; pre-candidate: thesis §9.6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Follows a leader or waits for one.
    #[default]
    Follower,
    /// Asks whether it could win an election.
    PreCandidate,
    /// Asks for votes.
    Candidate,
    /// Leads.
    Leader,
}

/// Entries of one term that follow each other in a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Their term.
    pub term: u64,
    /// How many they are.
    pub count: u64,
    /// What the last of them carries, in a few words; empty when that is not to be told.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub label: String,
}

impl Run {
    /// `count` entries of which nothing is told but their term.
    pub fn new(term: u64, count: u64) -> Run {
        let label = String::new();
        Run { term, count, label }
    }

    /// One entry, and what it carries.
    pub fn labelled(term: u64, label: impl Into<String>) -> Run {
        let label = label.into();
        let count = 1;
        Run { term, count, label }
    }
}

impl Run {
    /// The entries of a log that ends at `last_index`, from the index of the first entry and the
    /// term of each run, ascending: the form in which a write-ahead log gives them back.
    pub fn of_term_runs(term_runs: &[(u64, u64)], last_index: u64) -> Vec<Run> {
        let begins = term_runs.iter().map(|(begins, _)| *begins);
        let ends = begins.skip(1).chain([last_index.saturating_add(1)]);
        let each = term_runs.iter().zip(ends);
        each.map(|((begins, term), end)| Run::new(*term, end.saturating_sub(*begins)))
            .collect()
    }
}

/// What goes wrong: decides how the band is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// The process is gone, until the server starts again.
    Crash,
    /// The process stands still.
    Pause,
    /// Nothing passes between groups of servers, or in one direction.
    Partition,
    /// The network loses, delays, repeats or reorders.
    Network,
    /// A disk that is slow, full, or gives errors or wrong bytes.
    Disk,
    /// A clock that is wrong.
    Clock,
    /// Anything else.
    Other,
}

/// How a client's operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was done.
    Done,
    /// It had no effect.
    Refused,
    /// Whether it has an effect, or will have, is not known.
    Unknown,
}

/// What happened. A `server` is a position in [`Trace::servers`](crate::Trace::servers).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum What {
    /// A server starts, for the first time or again, with what was on its disk. Ends its crash.
    Started {
        /// Which.
        server: usize,
        /// Its term.
        term: u64,
        /// Whom it voted for in that term.
        vote: Option<usize>,
        /// The last index that its snapshot covers; 0 without one.
        snapshot_index: u64,
        /// The term of that entry.
        snapshot_term: u64,
        /// The log from the entry after `log_after` on.
        log: Vec<Run>,
        /// The index before the log's first entry.
        log_after: u64,
        /// Its commit index.
        commit: u64,
        /// What its state machine holds.
        applied: u64,
    },
    /// Role, term or leader of a server changed.
    Role {
        /// Which.
        server: usize,
        /// Its role now.
        role: Role,
        /// Its term now.
        term: u64,
        /// The leader it knows.
        leader: Option<usize>,
    },
    /// A server gave its vote.
    Vote {
        /// Which.
        server: usize,
        /// In this term.
        term: u64,
        /// To this one.
        candidate: usize,
    },
    /// A log changed: what follows `keep` is cut off, and `appended` comes after it.
    Log {
        /// Whose.
        server: usize,
        /// The last index that stays.
        keep: u64,
        /// What follows it.
        appended: Vec<Run>,
    },
    /// A server's commit index moved.
    Commit {
        /// Which.
        server: usize,
        /// Entries through here are known to be committed.
        index: u64,
    },
    /// A server's state machine has entries through here.
    Applied {
        /// Which.
        server: usize,
        /// The last entry that it holds the effect of.
        index: u64,
    },
    /// A server took a snapshot of its own state, and may have forgotten the log it covers.
    SnapshotTaken {
        /// Which.
        server: usize,
        /// The last index that it covers.
        index: u64,
        /// The term of that entry.
        term: u64,
        /// The log keeps what follows this index.
        log_after: u64,
    },
    /// A server took over a snapshot of another's; its log is void, and continues after it.
    SnapshotInstalled {
        /// Which.
        server: usize,
        /// The last index that it covers.
        index: u64,
        /// The term of that entry.
        term: u64,
    },
    /// A message left.
    Sent {
        /// Its number.
        message: u64,
        /// Who sent it.
        from: usize,
        /// For whom.
        to: usize,
        /// What it is called: "Append".
        kind: String,
        /// The term that it carries.
        term: u64,
        /// What it says, the important first.
        summary: String,
        /// Whether it is part of the daily round (a heartbeat and its answer), which a reader
        /// may want out of sight.
        routine: bool,
        /// The message that it repeats, when the network made it.
        repeats: Option<u64>,
    },
    /// A message arrived.
    Received {
        /// Its number.
        message: u64,
    },
    /// A message will never arrive.
    Lost {
        /// Its number.
        message: u64,
        /// Why.
        why: String,
    },
    /// Something goes wrong.
    FaultBegan {
        /// Its number.
        fault: u64,
        /// What sort of fault.
        kind: FaultKind,
        /// Whom it strikes. Several groups: nothing passes between them.
        groups: Vec<Vec<usize>>,
        /// What it is, in words.
        label: String,
    },
    /// It is over.
    FaultEnded {
        /// Its number.
        fault: u64,
    },
    /// A client asks for something.
    OperationBegan {
        /// Its number.
        operation: u64,
        /// Who asks.
        client: String,
        /// Which server is asked; none when that is not known.
        server: Option<usize>,
        /// For what.
        request: String,
    },
    /// The client has its answer, or gives up.
    OperationEnded {
        /// Its number.
        operation: u64,
        /// How it ended.
        outcome: Outcome,
        /// The answer.
        answer: String,
    },
    /// Something worth saying, of a server or of all.
    Note {
        /// Of whom.
        server: Option<usize>,
        /// What.
        text: String,
    },
}

impl Event {
    /// Bytes that it takes in memory, near enough to keep a limit.
    pub(crate) fn bytes(&self) -> usize {
        let runs = |runs: &[Run]| -> usize {
            let one = |run: &Run| size_of::<Run>() + run.label.len();
            runs.iter().map(one).sum()
        };
        let heap = match &self.what {
            What::Started { log, .. } => runs(log),
            What::Log { appended, .. } => runs(appended),
            What::Sent { kind, summary, .. } => kind.len() + summary.len(),
            What::Lost { why: text, .. }
            | What::OperationEnded { answer: text, .. }
            | What::Note { text, .. } => text.len(),
            What::FaultBegan { groups, label, .. } => {
                let group = |group: &Vec<usize>| size_of_val(group) + size_of_val(&group[..]);
                label.len() + groups.iter().map(group).sum::<usize>()
            }
            What::OperationBegan {
                client, request, ..
            } => client.len() + request.len(),
            What::Role { .. }
            | What::Vote { .. }
            | What::Commit { .. }
            | What::Applied { .. }
            | What::SnapshotTaken { .. }
            | What::SnapshotInstalled { .. }
            | What::Received { .. }
            | What::FaultEnded { .. } => 0,
        };
        size_of::<Event>() + heap + self.state.len()
    }
}

impl What {
    /// The servers that it names outright.
    pub(crate) fn servers(&self) -> [Option<usize>; 2] {
        match self {
            What::Started { server, vote, .. } => [Some(*server), *vote],
            What::Role { server, leader, .. } => [Some(*server), *leader],
            What::Vote {
                server, candidate, ..
            } => [Some(*server), Some(*candidate)],
            What::Log { server, .. }
            | What::Commit { server, .. }
            | What::Applied { server, .. }
            | What::SnapshotTaken { server, .. }
            | What::SnapshotInstalled { server, .. } => [Some(*server), None],
            What::Sent { from, to, .. } => [Some(*from), Some(*to)],
            What::OperationBegan { server, .. } | What::Note { server, .. } => [*server, None],
            What::Received { .. }
            | What::Lost { .. }
            | What::FaultBegan { .. }
            | What::FaultEnded { .. }
            | What::OperationEnded { .. } => [None, None],
        }
    }
}
