//! What holds at one moment: the fold over all events up to it.
//!
//! The recorder keeps one of now, to tell what changed, and one of the time before its first kept
//! event; the text keeps one as it goes; the page's `model.js` has the same fold for what it shows
//! beside an event.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::limits::{MAX_LABELS, MAX_UNDER_WAY};
use crate::{Event, FaultKind, Role, Run, What};

/// Everything that holds at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// Each server's state.
    pub servers: Vec<ServerState>,
    /// Messages under way, by number.
    pub messages: BTreeMap<u64, Sent>,
    /// Faults that last, by number.
    pub faults: BTreeMap<u64, Fault>,
    /// Operations that wait for their answer, by number.
    pub operations: BTreeMap<u64, Operation>,
}

/// One server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerState {
    /// Whether its process runs.
    pub up: bool,
    /// Its role.
    pub role: Role,
    /// Its term.
    pub term: u64,
    /// Whom it voted for in that term.
    pub vote: Option<usize>,
    /// The leader it knows.
    pub leader: Option<usize>,
    /// The last index that its newest snapshot covers; 0 without one.
    pub snapshot_index: u64,
    /// The term of that entry.
    pub snapshot_term: u64,
    /// The index before the log's first entry.
    pub log_after: u64,
    /// The log, in runs of one term; neighbours differ in term.
    pub log: Vec<Run>,
    /// What the newest entries carry, by index.
    pub labels: BTreeMap<u64, String>,
    /// Its commit index.
    pub commit: u64,
    /// What its state machine holds.
    pub applied: u64,
}

/// A message under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// When it left.
    pub at: u64,
    /// Who sent it.
    pub from: usize,
    /// For whom.
    pub to: usize,
    /// What it is called.
    pub kind: String,
    /// The term that it carries.
    pub term: u64,
    /// What it says.
    pub summary: String,
    /// Whether it is part of the daily round.
    pub routine: bool,
    /// The message that it repeats.
    pub repeats: Option<u64>,
}

/// A fault that lasts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// When it began.
    pub at: u64,
    /// What sort of fault.
    pub kind: FaultKind,
    /// Whom it strikes.
    pub groups: Vec<Vec<usize>>,
    /// What it is.
    pub label: String,
}

/// An operation that waits for its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// When it began.
    pub at: u64,
    /// Who asks.
    pub client: String,
    /// Which server is asked.
    pub server: Option<usize>,
    /// For what.
    pub request: String,
}

impl ServerState {
    /// Index of the log's last entry.
    pub fn last_index(&self) -> u64 {
        let entries: u64 = self.log.iter().map(|run| run.count).sum();
        self.log_after + entries
    }

    /// The term of an entry; none if the log does not hold it.
    pub fn term_at(&self, index: u64) -> Option<u64> {
        let mut before = self.log_after;
        let held = self.log.iter().find(|run| {
            let begins = before;
            before += run.count;
            (begins + 1..=before).contains(&index)
        });
        held.map(|run| run.term)
    }

    /// The terms of the last `most` entries, the oldest first, and the index of the first of them.
    pub fn newest_terms(&self, most: usize) -> (u64, Vec<u64>) {
        let backwards = self.log.iter().rev();
        let each = backwards.flat_map(|run| (0..run.count).map(|_| run.term));
        let mut terms: Vec<u64> = each.take(most).collect();
        terms.reverse();
        (self.last_index() - terms.len() as u64 + 1, terms)
    }

    /// As a `What::Started` has it.
    fn started(what: &What) -> ServerState {
        let mut started = ServerState::default();
        if let What::Started {
            term,
            vote,
            snapshot_index,
            snapshot_term,
            log,
            log_after,
            commit,
            applied,
            ..
        } = what
        {
            started = ServerState {
                up: true,
                term: *term,
                vote: *vote,
                snapshot_index: *snapshot_index,
                snapshot_term: *snapshot_term,
                log_after: *log_after,
                commit: *commit,
                applied: *applied,
                ..ServerState::default()
            };
            started.append(log);
        }
        started
    }

    fn apply_snapshot(&mut self, what: &What) {
        match what {
            What::SnapshotTaken {
                index,
                term,
                log_after,
                ..
            } => {
                self.snapshot_index = *index;
                self.snapshot_term = *term;
                self.forget_through(*log_after);
            }
            What::SnapshotInstalled { index, term, .. } => {
                self.snapshot_index = *index;
                self.snapshot_term = *term;
                self.log.clear();
                self.labels.clear();
                self.log_after = *index;
                self.commit = *index;
                self.applied = *index;
            }
            _ => {}
        }
    }

    fn cut_after(&mut self, keep: u64) {
        let mut excess = self.last_index().saturating_sub(keep);
        while let Some(run) = self.log.last_mut().filter(|_| excess > 0) {
            let cut = run.count.min(excess);
            run.count -= cut;
            excess -= cut;
            if run.count == 0 {
                self.log.pop();
            }
        }
        self.labels.split_off(&(keep + 1));
        // Only a caller that forgot to tell of a snapshot keeps more than there is.
        if self.log.is_empty() {
            self.log_after = keep;
        }
    }

    fn append(&mut self, runs: &[Run]) {
        for run in runs.iter().filter(|run| run.count > 0) {
            match self.log.last_mut().filter(|last| last.term == run.term) {
                Some(last) => last.count += run.count,
                None => self.log.push(Run::new(run.term, run.count)),
            }
            if !run.label.is_empty() {
                self.labels.insert(self.last_index(), run.label.clone());
            }
        }
        while self.labels.len() > MAX_LABELS {
            self.labels.pop_first();
        }
    }

    fn forget_through(&mut self, index: u64) {
        let mut excess = index.saturating_sub(self.log_after);
        self.log_after = self.log_after.max(index);
        while let Some(run) = self.log.first_mut().filter(|_| excess > 0) {
            let cut = run.count.min(excess);
            run.count -= cut;
            excess -= cut;
            if run.count == 0 {
                self.log.remove(0);
            }
        }
    }
}

impl Moment {
    /// Before anything has happened, with so many servers, none of them up.
    pub fn new(servers: usize) -> Moment {
        Moment {
            servers: vec![ServerState::default(); servers],
            ..Moment::default()
        }
    }

    /// What holds after `event`.
    ///
    /// # Panics
    ///
    /// When the event names a server that is not there.
    pub fn apply(&mut self, event: &Event) {
        match &event.what {
            What::Sent { .. } | What::Received { .. } | What::Lost { .. } => {
                self.apply_message(event);
            }
            What::FaultBegan { .. } | What::FaultEnded { .. } => self.apply_fault(event),
            What::OperationBegan {
                operation,
                client,
                server,
                request,
            } => {
                let waits = Operation {
                    at: event.at,
                    client: client.clone(),
                    server: *server,
                    request: request.clone(),
                };
                self.operations.insert(*operation, waits);
                forget_oldest(&mut self.operations);
            }
            What::OperationEnded { operation, .. } => {
                self.operations.remove(operation);
            }
            What::Note { .. } => {}
            what => self.apply_to_server(what),
        }
    }

    fn apply_message(&mut self, event: &Event) {
        match &event.what {
            What::Sent {
                message,
                from,
                to,
                kind,
                term,
                summary,
                routine,
                repeats,
            } => {
                let sent = Sent {
                    at: event.at,
                    from: *from,
                    to: *to,
                    kind: kind.clone(),
                    term: *term,
                    summary: summary.clone(),
                    routine: *routine,
                    repeats: *repeats,
                };
                self.messages.insert(*message, sent);
                forget_oldest(&mut self.messages);
            }
            What::Received { message } | What::Lost { message, .. } => {
                self.messages.remove(message);
            }
            _ => {}
        }
    }

    fn apply_fault(&mut self, event: &Event) {
        match &event.what {
            What::FaultBegan {
                fault,
                kind,
                groups,
                label,
            } => {
                if *kind == FaultKind::Crash {
                    for server in groups.iter().flatten() {
                        let server = &mut self.servers[*server];
                        server.up = false;
                        server.role = Role::Follower;
                        server.leader = None;
                    }
                }
                let fault_now = Fault {
                    at: event.at,
                    kind: *kind,
                    groups: groups.clone(),
                    label: label.clone(),
                };
                self.faults.insert(*fault, fault_now);
                forget_oldest(&mut self.faults);
            }
            What::FaultEnded { fault } => {
                self.faults.remove(fault);
            }
            _ => {}
        }
    }

    fn apply_to_server(&mut self, what: &What) {
        match what {
            What::Started { server, .. } => {
                self.servers[*server] = ServerState::started(what);
            }
            What::Role {
                server,
                role,
                term,
                leader,
            } => {
                let server = &mut self.servers[*server];
                if server.term != *term {
                    server.vote = None;
                }
                server.role = *role;
                server.term = *term;
                server.leader = *leader;
            }
            What::Vote {
                server,
                term,
                candidate,
            } => {
                let server = &mut self.servers[*server];
                server.term = *term;
                server.vote = Some(*candidate);
            }
            What::Log {
                server,
                keep,
                appended,
            } => {
                self.servers[*server].cut_after(*keep);
                self.servers[*server].append(appended);
            }
            What::Commit { server, index } => self.servers[*server].commit = *index,
            What::Applied { server, index } => self.servers[*server].applied = *index,
            What::SnapshotTaken { server, .. } | What::SnapshotInstalled { server, .. } => {
                self.servers[*server].apply_snapshot(what);
            }
            _ => {}
        }
    }
}

fn forget_oldest<T>(numbered: &mut BTreeMap<u64, T>) {
    while numbered.len() > MAX_UNDER_WAY {
        numbered.pop_first();
    }
}
