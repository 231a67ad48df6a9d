//! What the eyes of a run are told: one [`Picture`] wraps the recorder of `quorate-trace`, and says
//! in words what nodes send each other and what their logs hold.
//!
//! A picture only listens. It draws no chance, makes no event and changes no state, so a run hashes
//! the same with a picture and without; `tests/it/tracing.rs` holds it to that.

mod words;

use std::collections::BTreeMap;

use quorate_raft::{Entry, Instant, Message, NodeId, Status, Write};
use quorate_replica::PeerMessage;
use quorate_trace::{Letter, MessageId, Recorder, Run, Start, Trace, View};

/// A recorder, and what it takes to tell news from the daily round.
pub(crate) struct Picture {
    pub(crate) recorder: Recorder,
    /// What was said last from one to another: a heartbeat that says the same again is routine.
    said: BTreeMap<(usize, usize), (u64, u64)>,
}

impl Picture {
    /// A picture with a column for each name.
    pub(crate) fn new(title: String, names: Vec<String>) -> Picture {
        Picture {
            recorder: Recorder::new(title, names),
            said: BTreeMap::new(),
        }
    }

    /// A process runs, with this log.
    pub(crate) fn started(
        &mut self,
        at: Instant,
        server: usize,
        status: &Status,
        snapshot_term: u64,
        log: Vec<Run>,
        applied: u64,
    ) {
        let start = Start {
            term: status.term.0,
            vote: status.vote.map(position),
            snapshot_index: status.snapshot_index.0,
            snapshot_term,
            log_after: status.first_index.0.saturating_sub(1),
            log,
            commit: status.commit.0,
            applied,
        };
        self.recorder.started(at.as_nanos(), server, start);
    }

    /// How a server stands after a step of consensus that asked for `write`. A snapshot whose last
    /// entry its log does not hold takes the place of the whole log.
    pub(crate) fn look(
        &mut self,
        at: Instant,
        server: usize,
        status: &Status,
        applied: u64,
        write: Option<&Write>,
    ) {
        let at = at.as_nanos();
        let mark = write.and_then(|write| write.snapshot);
        let marked = mark.map(|mark| (mark.index.0, mark.term.0));
        let state = &self.recorder.now().servers[server];
        let is_held = |(index, term)| {
            state.term_at(index) == Some(term)
                || (state.snapshot_index, state.snapshot_term) == (index, term)
        };
        let installed = marked.filter(|marked| !is_held(*marked));
        if let Some((index, term)) = installed {
            self.recorder.snapshot_installed(at, server, index, term);
        }
        let cut_after = write.and_then(|write| write.truncate_after);
        let appended = write.map_or(Vec::new(), |write| runs_of(&write.entries));
        let view = view_of(status, applied);
        let cut_after = cut_after.map(|after| after.0);
        let news = self
            .recorder
            .observe_write(at, server, view, cut_after, appended);
        if news {
            self.recorder.attach(words::of_status(status));
        }
        if let Some(mark) = mark.filter(|_| installed.is_none()) {
            let log_after = mark.release_before.0.saturating_sub(1);
            let (index, term) = (mark.index.0, mark.term.0);
            self.recorder
                .snapshot_taken(at, server, index, term, log_after);
        }
    }

    /// A message leaves.
    pub(crate) fn sent(
        &mut self,
        at: Instant,
        from: usize,
        to: usize,
        message: &PeerMessage,
    ) -> MessageId {
        let (kind, term, summary) = words::of_message(message);
        // What is forwarded carries no term; it is drawn in its sender's.
        let term = term.unwrap_or(self.recorder.now().servers[from].term);
        let letter = Letter {
            from,
            to,
            kind,
            term,
            summary: &summary,
            routine: self.says_nothing_new(from, to, message),
        };
        self.recorder.sent(at.as_nanos(), letter)
    }

    fn says_nothing_new(&mut self, from: usize, to: usize, message: &PeerMessage) -> bool {
        let said = match message {
            PeerMessage::Raft(Message::Append {
                term,
                commit,
                entries,
                ..
            }) if entries.is_empty() => (term.0, commit.0),
            PeerMessage::Raft(Message::SnapshotOffer { term, index, .. }) => (term.0, index.0),
            PeerMessage::Raft(Message::AppendAccepted { term, matched, .. }) => (term.0, matched.0),
            _ => return false,
        };
        self.said.insert((from, to), said) == Some(said)
    }

    /// The trace; with what went wrong at the end of it, if anything did.
    pub(crate) fn finish(mut self, at: Instant, failure: Option<&str>) -> Trace {
        if let Some(what) = failure {
            let text = format!("FAILED: {what}");
            self.recorder.note(at.as_nanos(), None, text);
        }
        self.recorder.finish()
    }
}

/// Entries, as the recorder takes them.
pub(crate) fn runs_of(entries: &[Entry]) -> Vec<Run> {
    let run = |entry: &Entry| Run::labelled(entry.term.0, words::of_payload(&entry.payload));
    entries.iter().map(run).collect()
}

fn position(id: NodeId) -> usize {
    id.0 as usize - 1
}

fn view_of(status: &Status, applied: u64) -> View {
    use quorate_raft::Role;
    View {
        role: match status.role {
            Role::Follower => quorate_trace::Role::Follower,
            Role::PreCandidate => quorate_trace::Role::PreCandidate,
            Role::Candidate => quorate_trace::Role::Candidate,
            Role::Leader => quorate_trace::Role::Leader,
        },
        term: status.term.0,
        vote: status.vote.map(position),
        leader: status.leader.map(position),
        commit: status.commit.0,
        applied,
    }
}
