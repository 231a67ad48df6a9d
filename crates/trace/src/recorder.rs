//! How a trace is made: the caller tells what happens, in order, as it happens.
//!
//! The recorder knows what holds now, so that the caller may hand it the whole state of a server
//! after every step ([`Recorder::observe`]) and only changes become events. Its memory is bounded:
//! over the limit the oldest events are dropped into [`Trace::start`].

use std::collections::{BTreeSet, VecDeque};

use crate::inputs::{FaultId, Letter, Limits, MessageId, OperationId, Start, View};
use crate::limits::{MAX_SERVERS, MAX_STATE_BYTES, MAX_TEXT_BYTES};
use crate::{Event, Fault, FaultKind, Moment, Outcome, Run, Trace, What};

/// Makes a [`Trace`]. Times are nanoseconds of virtual time and never go back; servers are named by
/// position; both are asserted, as they come from our own programs.
#[derive(Clone, Debug)]
pub struct Recorder {
    title: String,
    about: Vec<String>,
    servers: Vec<String>,
    limits: Limits,
    start: Moment,
    now: Moment,
    events: VecDeque<Event>,
    bytes: usize,
    dropped: u64,
    last_at: u64,
    next_number: u64,
    /// Faults whose end is known beforehand: when, and their numbers.
    due: BTreeSet<(u64, u64)>,
}

impl Recorder {
    /// A recorder with the default limits. None of the servers is up before it is `started`.
    ///
    /// # Panics
    ///
    /// Without servers, or with more than [`MAX_SERVERS`].
    pub fn new<S: Into<String>>(
        title: impl Into<String>,
        servers: impl IntoIterator<Item = S>,
    ) -> Recorder {
        Recorder::with_limits(title, servers, Limits::default())
    }

    /// A recorder that keeps as much as `limits` say.
    ///
    /// # Panics
    ///
    /// As [`Recorder::new`] does.
    pub fn with_limits<S: Into<String>>(
        title: impl Into<String>,
        servers: impl IntoIterator<Item = S>,
        limits: Limits,
    ) -> Recorder {
        let servers: Vec<String> = servers.into_iter().map(|name| short(name.into())).collect();
        let count = servers.len();
        assert!(
            (1..=MAX_SERVERS).contains(&count),
            "a trace of {count} servers; 1 to {MAX_SERVERS} can be drawn"
        );
        Recorder {
            title: short(title.into()),
            about: Vec::new(),
            start: Moment::new(count),
            now: Moment::new(count),
            servers,
            limits,
            events: VecDeque::new(),
            bytes: 0,
            dropped: 0,
            last_at: 0,
            next_number: 0,
            due: BTreeSet::new(),
        }
    }

    /// A line about the run: its seed, the command that repeats it.
    pub fn about(&mut self, line: impl Into<String>) {
        self.about.push(short(line.into()));
    }

    /// What holds now, as far as it was told.
    pub fn now(&self) -> &Moment {
        &self.now
    }

    /// A server starts, for the first time or again; a crash of it ends.
    pub fn started(&mut self, at: u64, server: usize, start: Start) {
        self.end_faults(at, |fault| {
            fault.kind == FaultKind::Crash && fault.groups.iter().flatten().eq([&server])
        });
        let log = start.log.into_iter().map(short_run).collect();
        let what = What::Started {
            server,
            term: start.term,
            vote: start.vote,
            snapshot_index: start.snapshot_index,
            snapshot_term: start.snapshot_term,
            log,
            log_after: start.log_after,
            commit: start.commit,
            applied: start.applied,
        };
        self.record(at, what);
    }

    /// How a server looks after a step that left its log as it was. What differs from before
    /// becomes events; says whether anything did, so that [`Recorder::attach`] is worth its cost.
    pub fn observe(&mut self, at: u64, server: usize, view: View) -> bool {
        self.observe_write(at, server, view, None, Vec::new())
    }

    /// How a server looks after a step that may have changed its log, as [`Recorder::log`] is told
    /// of it. Role and vote are recorded before the log, and the commit index after it: the other
    /// way round, entries that are being replaced would look committed.
    pub fn observe_write(
        &mut self,
        at: u64,
        server: usize,
        view: View,
        cut_after: Option<u64>,
        appended: Vec<Run>,
    ) -> bool {
        let role = self.observe_role(at, server, view);
        let log = self.log(at, server, cut_after, appended);
        let progress = self.observe_progress(at, server, view);
        role || log || progress
    }

    fn observe_role(&mut self, at: u64, server: usize, view: View) -> bool {
        let before = View::of(&self.now.servers[server]);
        let View {
            role, term, leader, ..
        } = view;
        let changed = (before.role, before.term, before.leader) != (role, term, leader);
        if changed {
            let what = What::Role {
                server,
                role,
                term,
                leader,
            };
            self.record(at, what);
        }
        let voted = (before.term, before.vote) != (term, view.vote);
        if let Some(candidate) = view.vote.filter(|_| voted) {
            let what = What::Vote {
                server,
                term,
                candidate,
            };
            self.record(at, what);
            return true;
        }
        changed
    }

    fn observe_progress(&mut self, at: u64, server: usize, view: View) -> bool {
        let before = View::of(&self.now.servers[server]);
        if before.commit != view.commit {
            let index = view.commit;
            self.record(at, What::Commit { server, index });
        }
        if before.applied != view.applied {
            let index = view.applied;
            self.record(at, What::Applied { server, index });
        }
        (before.commit, before.applied) != (view.commit, view.applied)
    }

    /// A log changed: entries after `cut_after`, if that is given, are cut off, and `appended`
    /// follow. When that changes nothing, nothing is recorded; says whether it was.
    pub fn log(
        &mut self,
        at: u64,
        server: usize,
        cut_after: Option<u64>,
        appended: Vec<Run>,
    ) -> bool {
        let known = self.now.servers[server].last_index();
        let keep = cut_after.unwrap_or(known);
        if keep >= known && appended.is_empty() {
            return false;
        }
        let appended = appended.into_iter().map(short_run).collect();
        let what = What::Log {
            server,
            keep,
            appended,
        };
        self.record(at, what);
        true
    }

    /// A server took a snapshot through `index`; its log keeps what follows `log_after`.
    pub fn snapshot_taken(
        &mut self,
        at: u64,
        server: usize,
        index: u64,
        term: u64,
        log_after: u64,
    ) {
        let what = What::SnapshotTaken {
            server,
            index,
            term,
            log_after,
        };
        self.record(at, what);
    }

    /// A server took over another's snapshot in the place of its log and state.
    pub fn snapshot_installed(&mut self, at: u64, server: usize, index: u64, term: u64) {
        let what = What::SnapshotInstalled {
            server,
            index,
            term,
        };
        self.record(at, what);
    }

    /// A message leaves. Tell later what became of it: `received` or `lost`.
    pub fn sent(&mut self, at: u64, letter: Letter<'_>) -> MessageId {
        let message = self.number();
        let what = What::Sent {
            message,
            from: letter.from,
            to: letter.to,
            kind: short(letter.kind.to_owned()),
            term: letter.term,
            summary: short(letter.summary.to_owned()),
            routine: letter.routine,
            repeats: None,
        };
        self.record(at, what);
        MessageId(message)
    }

    /// The network makes a second one of a message under way; it has a fate of its own. A message
    /// that is no longer under way gives itself back.
    pub fn duplicated(&mut self, at: u64, id: MessageId) -> MessageId {
        let Some(sent) = self.now.messages.get(&id.0).cloned() else {
            return id;
        };
        let message = self.number();
        let what = What::Sent {
            message,
            from: sent.from,
            to: sent.to,
            kind: sent.kind,
            term: sent.term,
            summary: sent.summary,
            routine: sent.routine,
            repeats: Some(id.0),
        };
        self.record(at, what);
        MessageId(message)
    }

    /// A message arrives.
    pub fn received(&mut self, at: u64, id: MessageId) {
        self.record(at, What::Received { message: id.0 });
    }

    /// A message is lost.
    pub fn lost(&mut self, at: u64, id: MessageId, why: impl Into<String>) {
        let why = short(why.into());
        self.record(at, What::Lost { message: id.0, why });
    }

    /// A process is gone. The band ends when the server is `started`.
    pub fn crashed(&mut self, at: u64, server: usize, label: impl Into<String>) {
        self.fault_began(at, FaultKind::Crash, vec![vec![server]], label);
    }

    /// Something goes wrong with these servers until it ends; of several groups, nothing passes
    /// between them.
    pub fn fault_began(
        &mut self,
        at: u64,
        kind: FaultKind,
        groups: Vec<Vec<usize>>,
        label: impl Into<String>,
    ) -> FaultId {
        for server in groups.iter().flatten() {
            self.assert_server(*server);
        }
        let fault = self.number();
        let label = short(label.into());
        let what = What::FaultBegan {
            fault,
            kind,
            groups,
            label,
        };
        self.record(at, what);
        FaultId(fault)
    }

    /// A fault of a moment: it is over when it has happened.
    pub fn fault_struck(
        &mut self,
        at: u64,
        kind: FaultKind,
        groups: Vec<Vec<usize>>,
        label: impl Into<String>,
    ) {
        let fault = self.fault_began(at, kind, groups, label);
        self.fault_ended(at, fault);
    }

    /// A fault whose end is known when it begins (a pause): it ends by itself, unless it is ended
    /// earlier.
    pub fn fault_until(
        &mut self,
        at: u64,
        until: u64,
        kind: FaultKind,
        groups: Vec<Vec<usize>>,
        label: impl Into<String>,
    ) -> FaultId {
        let fault = self.fault_began(at, kind, groups, label);
        self.due.insert((until.max(at), fault.0));
        fault
    }

    /// A fault is over. One that has ended already stays as it is.
    pub fn fault_ended(&mut self, at: u64, id: FaultId) {
        self.end_due(at);
        if self.now.faults.contains_key(&id.0) {
            self.record(at, What::FaultEnded { fault: id.0 });
        }
    }

    /// Every fault but crashes that has to do with this server is over.
    pub fn faults_ended_at(&mut self, at: u64, server: usize) {
        self.end_faults(at, |fault| {
            fault.kind != FaultKind::Crash
                && fault.groups.iter().flatten().any(|one| *one == server)
        });
    }

    /// Every fault but crashes is over.
    pub fn healed(&mut self, at: u64) {
        self.end_faults(at, |fault| fault.kind != FaultKind::Crash);
    }

    fn end_faults(&mut self, at: u64, ends: impl Fn(&Fault) -> bool) {
        self.end_due(at);
        let faults = self.now.faults.iter().filter(|(_, fault)| ends(fault));
        let numbers: Vec<u64> = faults.map(|(number, _)| *number).collect();
        for fault in numbers {
            self.record(at, What::FaultEnded { fault });
        }
    }

    /// A client asks `server` (if it is known which) for something.
    pub fn operation_began(
        &mut self,
        at: u64,
        client: impl Into<String>,
        server: Option<usize>,
        request: impl Into<String>,
    ) -> OperationId {
        let operation = self.number();
        let what = What::OperationBegan {
            operation,
            client: short(client.into()),
            server,
            request: short(request.into()),
        };
        self.record(at, what);
        OperationId(operation)
    }

    /// The client has its answer, or gives up.
    pub fn operation_ended(
        &mut self,
        at: u64,
        id: OperationId,
        outcome: Outcome,
        answer: impl Into<String>,
    ) {
        let what = What::OperationEnded {
            operation: id.0,
            outcome,
            answer: short(answer.into()),
        };
        self.record(at, what);
    }

    /// Something worth saying, of a server or of all.
    pub fn note(&mut self, at: u64, server: Option<usize>, text: impl Into<String>) {
        let text = short(text.into());
        self.record(at, What::Note { server, text });
    }

    /// Gives the event that was recorded last a text for whoever clicks on it: the state of its
    /// server, often as JSON.
    pub fn attach(&mut self, state: impl Into<String>) {
        if let Some(event) = self.events.back_mut() {
            self.bytes -= event.state.len();
            event.state = cut(state.into(), MAX_STATE_BYTES);
            self.bytes += event.state.len();
            self.keep_limits();
        }
    }

    /// The trace.
    pub fn finish(self) -> Trace {
        Trace {
            title: self.title,
            about: self.about,
            servers: self.servers,
            start: self.start,
            events: self.events.into(),
            dropped: self.dropped,
            left_out: 0,
        }
    }

    fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    fn assert_server(&self, server: usize) {
        let count = self.servers.len();
        assert!(
            server < count,
            "an event of server {server}; there are {count}"
        );
    }

    fn record(&mut self, at: u64, what: What) {
        assert!(
            at >= self.last_at,
            "time goes back from {} to {at} with {what:?}",
            self.last_at
        );
        for server in what.servers().into_iter().flatten() {
            self.assert_server(server);
        }
        self.end_due(at);
        self.push(at, what);
    }

    /// Ends the faults whose known end has come by `at`, each at its own time.
    fn end_due(&mut self, at: u64) {
        while let Some((until, fault)) = self.due.first().copied().filter(|due| due.0 <= at) {
            self.due.remove(&(until, fault));
            if self.now.faults.contains_key(&fault) {
                self.push(until, What::FaultEnded { fault });
            }
        }
    }

    fn push(&mut self, at: u64, what: What) {
        self.last_at = at;
        let state = String::new();
        let event = Event { at, what, state };
        self.now.apply(&event);
        self.bytes += event.bytes();
        self.events.push_back(event);
        self.keep_limits();
    }

    fn keep_limits(&mut self) {
        while self.events.len() > 1
            && (self.events.len() > self.limits.max_events || self.bytes > self.limits.max_bytes)
        {
            if let Some(oldest) = self.events.pop_front() {
                self.bytes -= oldest.bytes();
                self.start.apply(&oldest);
                self.dropped += 1;
            }
        }
    }
}

fn short(text: String) -> String {
    cut(text, MAX_TEXT_BYTES)
}

fn short_run(run: Run) -> Run {
    let label = short(run.label);
    Run { label, ..run }
}

fn cut(mut text: String, most_bytes: usize) -> String {
    if text.len() > most_bytes {
        let end = text.floor_char_boundary(most_bytes);
        text.truncate(end);
        text.push_str(" … (cut)");
    }
    text
}
